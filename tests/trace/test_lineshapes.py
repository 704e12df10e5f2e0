"""All of lmfit's line shapes: recorded to the bit, with exact first and second derivatives."""

import inspect

import numpy as np
import pytest
from lmfit import lineshapes

from surffit.trace.emit import compile_program
from surffit.trace.graph import evaluate
from surffit.trace.linearity import linear_set

X = np.linspace(-3, 7, 41) + 0.0123
Y = np.linspace(0, 1, 7)[:, None]
FORMS = {
    "thermal_distribution": ("bose", "maxwell", "fermi"),
    "step": ("linear", "erf", "logistic", "atan"),
    "rectangle": ("linear", "erf", "logistic", "atan"),
}
CASES = [(name, form) for name in lineshapes.functions for form in FORMS.get(name, (None,))]
LINEAR = {
    "linear": {"slope", "intercept"},
    "parabolic": {"a", "b", "c"},
    "thermal_distribution": set(),  # 1/(amplitude*exp(...) + 1)
}


def setting(name, form, seed=1):
    func = getattr(lineshapes, name)
    rng = np.random.default_rng(seed)
    values = {p: float(rng.uniform(0.6, 1.9)) for p in inspect.signature(func).parameters if p not in ("x", "y", "form")}
    # Real powers of negative x are nan, and the poles of two shapes spoil differences near them.
    x = np.abs(X) + 2.5 if name in ("powerlaw", "bose") or form == "bose" else X
    return func, values, {"x": x, "y": Y}, {} if form is None else {"form": form}


def recorded(record, name, form):
    func, values, coords, static = setting(name, form)
    builder, node = record(func, coords=("x", "y"), **static)
    found = linear_set(builder, node, tuple(values))
    made = compile_program(builder, node, nonlinear=found.nonlinear, linear=found.names)
    arrays = [coords[c] for c in made.coordinates]
    return func, values, static, builder, node, made, arrays


@pytest.mark.parametrize(("name", "form"), CASES)
def test_value_and_linear_parameters(record, name, form):
    func, values, static, builder, node, made, arrays = recorded(record, name, form)
    with np.errstate(all="ignore"):
        for seed in (1, 2, 3):
            values = setting(name, form, seed)[1]
            alpha, c = [values[n] for n in made.nonlinear], [values[n] for n in made.linear]
            expected = func(**values, **static, **{n: a.copy() for n, a in zip(made.coordinates, arrays, strict=True)})
            assert np.array_equal(made.value(alpha, c, [], arrays), expected, equal_nan=True)
            assert np.array_equal(made.full(alpha, c, [], arrays)[0], expected, equal_nan=True)
            walked = evaluate(builder.graph(node), values, dict(zip(made.coordinates, arrays, strict=True)))
            np.testing.assert_allclose(walked, expected, rtol=2e-15, atol=1e-300)
            f0, phi = made.columns(alpha, [], arrays)
            total = sum(cj * p for cj, p in zip(c, phi, strict=True)) + (0.0 if f0 is None else f0)
            np.testing.assert_allclose(total, expected, rtol=1e-13, atol=1e-15)
    assert set(made.linear) == LINEAR.get(name, {"amplitude"})
    assert made.no_effect == ()


@pytest.mark.parametrize(("name", "form"), CASES)
def test_first_and_second_derivatives(record, central, name, form):
    *_, values, _, _, _, made, arrays = recorded(record, name, form)
    p = [values[n] for n in made.parameters]
    m = len(made.nonlinear)
    n = len(p)

    def split(q):
        return q[:m], q[m:], [], arrays

    with np.errstate(all="ignore"):
        value, jacobian = made.full(*split(p))
        second = {(j, k): s for j, k, s in made.second(*split(p))}
        for j in range(n):
            numeric = central(lambda q: made.value(*split(q)), p, j)
            scale = np.max(np.abs(numeric)) + 1e-6 * np.max(np.abs(value))
            np.testing.assert_allclose(jacobian[j] + 0 * numeric, numeric, rtol=0, atol=2e-10 * scale)
            for k in range(j + 1):
                numeric = central(lambda q, k=k: made.full(*split(q))[1][k] + 0 * value, p, j)
                scale = np.max(np.abs(numeric)) + 1e-6 * np.max(np.abs(jacobian[k]))
                np.testing.assert_allclose(second.get((j, k), 0.0) + 0 * numeric, numeric, rtol=0, atol=2e-9 * scale)
