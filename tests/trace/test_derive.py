"""Derivative rules: each operation, the forms that stay finite, and random expressions against mpmath."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from surffit.trace.derive import derivative
from surffit.trace.emit import compile_program
from surffit.trace.graph import Builder, evaluate
from surffit.trace.ops import FIRST_ARGUMENT_FIXED, OPS
from surffit.trace.rules import DEEP_RULES, OUTER, RULES, ZERO

INSIDE = {"arccosh": (1.3, 2.6), "erfinv": (-0.6, 0.7), "ndtri": (0.2, 0.8), "logit": (0.2, 0.8), "erfcinv": (0.4, 1.6)}
LEFT = {"arcsin", "arccos", "arctanh"}


def points(rule):
    if rule in LEFT:
        return (-0.7, 0.1, 0.6)
    return INSIDE.get(rule, (0.4, 1.3, 2.7))


def value_of(builder, node, **values):
    with np.errstate(all="ignore"):
        return evaluate(builder.graph(node), values, {})


def test_every_operation_has_a_rule():
    for op in OPS.values():
        assert (op.rule in ZERO) + (op.rule in OUTER) + (op.rule in RULES) + (op.rule in DEEP_RULES) == 1, op.name


@pytest.mark.parametrize("name", sorted(n for n, op in OPS.items() if op.arity == 1 and op.rule not in ZERO and n != "imag"))
def test_functions_of_one_argument(central, name):
    rule = OPS[name].rule
    for at in points(rule):
        builder = Builder()
        p = builder.parameter("p")
        scaled = 0.9 * p + 0.03
        node = builder.call(name, scaled).real
        first = derivative(builder, node, "p")
        if first is None:
            pytest.fail(f"{name} has no derivative")
        second = derivative(builder, first, "p")
        got = value_of(builder, first, p=at)
        numeric = central(lambda q, b=builder, n=node: value_of(b, n, p=q[0]), [at], 0, step=3e-3)
        assert got == pytest.approx(numeric, rel=1e-9, abs=1e-10), name
        got = 0.0 if second is None else value_of(builder, second, p=at)
        numeric = central(lambda q, b=builder, n=first: value_of(b, n, p=q[0]), [at], 0, step=3e-3)
        assert got == pytest.approx(numeric, rel=1e-8, abs=1e-9), name


@pytest.mark.parametrize(
    "name", sorted(n for n, op in OPS.items() if op.arity == 1 and not op.real_only and op.rule not in ZERO and n != "complex_polygamma")
)
def test_complex_functions_of_a_real_parameter(central, name):
    builder = Builder()
    p = builder.parameter("p")
    z = (0.6 + 0.35j) * p + (0.2 - 0.1j) * p * p + 0.1j
    node = builder.call(name, z)
    first = derivative(builder, node, "p")
    second = derivative(builder, first, "p")
    for at in (0.5, 0.8):
        numeric = central(lambda q: value_of(builder, node, p=q[0]), [at], 0, step=3e-3)
        assert abs(value_of(builder, first, p=at) - numeric) < 1e-9 * (1 + abs(numeric)), name
        numeric = central(lambda q: value_of(builder, first, p=q[0]), [at], 0, step=3e-3)
        got = 0.0 if second is None else value_of(builder, second, p=at)
        assert abs(got - numeric) < 1e-8 * (1 + abs(numeric)), name


@pytest.mark.parametrize("name", sorted(n for n, op in OPS.items() if op.arity in (2, 3) and op.rule not in ZERO and n != "select"))
def test_functions_of_several_arguments(central, name):
    op = OPS[name]
    fixed = name in FIRST_ARGUMENT_FIXED
    names = [None, "q"] if fixed else ["p", "q", "r"][: op.arity]
    builder = Builder()
    operands = [builder.constant(2.0) if n is None else builder.parameter(n) for n in names]
    node = builder.call(name, *operands)
    if node.is_complex:
        node = node.real + node.imag
    used = [n for n in names if n]
    for at in ([1.7, 0.6, 0.4], [0.5, 1.2, 0.9]):
        p = at[: len(used)]

        def func(q, n=node):
            return value_of(builder, n, **dict(zip(used, q, strict=True)))

        for j, first_name in enumerate(used):
            first = derivative(builder, node, first_name)
            got = 0.0 if first is None else func(p, first)
            assert got == pytest.approx(central(func, p, j), rel=1e-9, abs=1e-10), (name, first_name)
            for k, second_name in enumerate(used):
                if first is None:
                    continue
                second = derivative(builder, first, second_name)
                got = 0.0 if second is None else func(p, second)
                numeric = central(lambda q, n=first: func(q, n), p, k)
                assert got == pytest.approx(numeric, rel=1e-8, abs=1e-9), (name, first_name, second_name)


def grad(func, x, *p):
    """Value and derivatives by all parameters of a recorded function of (x, *p)."""
    builder = Builder()
    names = [f"p{k}" for k in range(len(p))]
    node = func(builder.coordinate("x"), *(builder.parameter(n) for n in names))
    program = compile_program(builder, node, nonlinear=names, linear=())
    with np.errstate(all="ignore"):
        value, jacobian = program.full(list(p), [], [], [np.asarray(x, dtype=float)])
        second = program.second(list(p), [], [], [np.asarray(x, dtype=float)])
    return value, jacobian, {(j, k): s for j, k, s in second}


def test_powers_at_zero():
    _, (slope,), second = grad(lambda x, b: x**b, [0.0, 2.0], 1.5)
    assert np.array_equal(slope, [0.0, 2**1.5 * math.log(2.0)])
    assert second[0, 0][0] == 0.0
    assert second[0, 0][1] == pytest.approx(2**1.5 * math.log(2.0) ** 2, rel=1e-15)
    _, (by_a, by_b), second = grad(lambda x, a, b: (x - a) ** b, [1.0, 3.0], 1.0, 2.0)
    assert np.array_equal(by_a, [0.0, -4.0])
    assert by_b[0] == 0.0
    assert all(np.isfinite(s).all() for s in second.values())


@pytest.mark.parametrize("z", [800.0, 709.5, 30.0, 0.3, -30.0, -800.0])
def test_the_logistic_function_far_out(z):
    forms = [
        lambda x, a, k: a / (1.0 + np.exp(k * x)),
        lambda x, a, k: a / (np.exp(k * x) + 1.0),
        lambda x, a, k: a * (1.0 - 1.0 / (1.0 + np.exp(-(k * x)))),
        lambda x, a, k: a * (1.0 + np.exp(k * x)) ** -1.0,
        lambda x, a, k: a / (2.0 + 3.0 * np.exp(k * x) - 1.0) * 1.0,
    ]
    for number, form in enumerate(forms):
        factor = 3.0 if number == 4 else 1.0
        t = mpmath.mpf(z)
        s = 1 / (1 + factor * mpmath.exp(t))
        expected = float(-2.0 * factor * mpmath.exp(t) * s**2 * t)
        _, (by_a, by_k), second = grad(form, [z], 2.0, 1.0)
        assert by_k[0] == pytest.approx(expected, rel=1e-12, abs=1e-300), number
        assert by_a[0] == pytest.approx(float(s), rel=1e-12 if number != 2 or z < 0 else 1e-2, abs=1e-15), number
        assert all(np.isfinite(v).all() for v in second.values()), number


def test_a_bose_factor_far_out():
    for z in (800.0, 2.0, 1e-3, -800.0):
        _, (by_a, by_k), second = grad(lambda x, a, k: a / (np.exp(k * x) - 1.0), [z], 2.0, 1.0)
        t = mpmath.mpf(z)
        assert by_k[0] == pytest.approx(float(-2 * t * mpmath.exp(t) / (mpmath.exp(t) - 1) ** 2), rel=1e-11, abs=1e-300)
        assert np.isfinite(by_a[0])
        assert all(np.isfinite(v).all() for v in second.values())


def test_an_exponential_with_nothing_added():
    _, (by_a, by_k), _ = grad(lambda x, a, k: a / (np.exp(k * x) + 0.0), [-700.0, 700.0, 0.5], 2.0, 1.0)
    np.testing.assert_allclose(by_a, np.exp([700.0, -700.0, -0.5]), rtol=1e-15)
    np.testing.assert_allclose(by_k, [1400.0 * np.exp(700.0), -1400.0 * np.exp(-700.0), -np.exp(-0.5)], rtol=1e-13)


def test_log_of_one_plus_exp_far_out():
    for form in (lambda x, a: np.log(1.0 + np.exp(a * x)), lambda x, a: np.log1p(np.exp(a * x)), lambda x, a: np.logaddexp(0.0, a * x)):
        _, (slope,), second = grad(form, [-800.0, 0.5, 800.0], 1.0)
        np.testing.assert_allclose(slope, [0.0, 0.5 * special.expit(0.5), 800.0], rtol=1e-15)
        assert np.isfinite(second[0, 0]).all()


def test_ties_take_the_first():
    for op, expected in (("maximum", (1.0, 0.0)), ("minimum", (1.0, 0.0)), ("max", (1.0, 0.0)), ("min", (1.0, 0.0))):
        builder = Builder()
        node = builder.call(op, builder.parameter("a"), builder.parameter("b"))
        got = [value_of(builder, derivative(builder, node, n), a=2.0, b=2.0) for n in "ab"]
        assert tuple(got) == expected, op


def test_masked_branches_have_no_say():
    value, (slope,), _ = grad(lambda x, a: np.where(x > 0, np.log(a * x), a), [-1.0, 0.0, 2.0], 3.0)
    np.testing.assert_allclose(value, [3.0, 3.0, math.log(6.0)])
    np.testing.assert_allclose(slope, [1.0, 1.0, 1 / 3])


def test_kinks_have_slope_zero():
    for form in (abs, np.abs, lambda t: np.hypot(t, 0.0), lambda t: abs(t * (1 + 1j))):
        _, (slope,), _ = grad(lambda x, a, form=form: form(a * x), [0.0], 2.0)
        assert slope[0] == 0.0


def test_structural_zeros_are_none():
    builder = Builder()
    x, a, b = builder.coordinate("x"), builder.parameter("a"), builder.parameter("b")
    assert derivative(builder, a * x, "b") is None
    assert derivative(builder, a * x, "nobody") is None
    assert derivative(builder, np.sign(a) * x + (b > a) * x + np.floor(b), "b") is None
    assert derivative(builder, b - b + a, "b") is None
    assert derivative(builder, derivative(builder, a * x + b, "a"), "a") is None


def test_derivatives_are_remembered():
    builder = Builder()
    node = np.exp(builder.parameter("a") * builder.coordinate("x"))
    first = derivative(builder, node, "a")
    size = len(builder.ops)
    assert derivative(builder, node, "a")._index == first._index
    assert len(builder.ops) == size


def test_erfcx_and_tanh_keep_their_digits_in_the_wings():
    _, (slope,), _ = grad(lambda x, a: special.erfcx(a * x), [3.0, 45.0, 60.0, 1e5], 1.0)
    for x, got in zip((3.0, 45.0, 60.0, 1e5), slope, strict=True):
        with mpmath.workdps(60):
            t = mpmath.mpf(x)
            far = -1 / (mpmath.sqrt(mpmath.pi) * t)
            exact = t * (2 * t * mpmath.exp(t * t) * mpmath.erfc(t) - 2 / mpmath.sqrt(mpmath.pi)) if x < 100 else far
        assert got == pytest.approx(float(exact), rel=2e-10)
    _, (slope,), _ = grad(lambda x, a: np.tanh(a * x), [20.0], 1.0)
    assert slope[0] == pytest.approx(float(20 * mpmath.sech(20) ** 2), rel=1e-14)


# -- random expressions against mpmath at 40 digits -----------------------------------------------------------------------
UNARY = {
    "neg": lambda t: -t, "exp": mpmath.exp, "sin": mpmath.sin, "cos": mpmath.cos, "tanh": mpmath.tanh, "arctan": mpmath.atan,
    "erf": mpmath.erf, "arcsinh": mpmath.asinh, "expit": lambda t: 1 / (1 + mpmath.exp(-t)), "square": lambda t: t * t,
    "expm1": mpmath.expm1,
}  # fmt: skip
BINARY = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b}

leaf = st.sampled_from(["p", "q"]) | st.sampled_from([0.5, 2.0, -1.5])
tree = st.recursive(
    leaf,
    lambda inner: st.tuples(st.sampled_from(sorted(UNARY)), inner) | st.tuples(st.sampled_from(sorted(BINARY)), inner, inner),
    max_leaves=8,
)


def build(builder, t):
    if isinstance(t, str):
        return builder.parameter(t)
    if isinstance(t, float):
        return builder.constant(t)
    return builder.call(t[0], *(build(builder, part) for part in t[1:]))


def exact(t, values):
    if isinstance(t, str):
        return values[t]
    if isinstance(t, float):
        return mpmath.mpf(t)
    return (UNARY.get(t[0]) or BINARY[t[0]])(*(exact(part, values) for part in t[1:]))


@settings(deadline=None, max_examples=150)
@given(tree)
def test_random_expressions_against_mpmath(t):
    at = {"p": 0.7, "q": -0.4}
    builder = Builder()
    node = build(builder, t)
    with mpmath.workdps(60):
        for orders in ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2)):
            d = node
            for name in ["p"] * orders[0] + ["q"] * orders[1]:
                d = derivative(builder, d, name) if d is not None else None
            got = 0.0 if d is None else float(value_of(builder, d, **at))
            try:
                size = mpmath.mpf(0)
                for i, j in itertools.product(range(-1, 2), repeat=2):
                    size = max(size, abs(exact(t, {"p": mpmath.mpf(0.7) + i * 1e-3, "q": mpmath.mpf(-0.4) + j * 1e-3})))
                expected = mpmath.diff(lambda p, q: exact(t, {"p": p, "q": q}), (mpmath.mpf(0.7), mpmath.mpf(-0.4)), orders)
            except (ZeroDivisionError, OverflowError, ValueError):
                return
            if not 1e-20 < size < 1e20 or abs(expected) > 1e20 * size:
                return
            # Ill-conditioned trees lose digits in the value already; the bound is relative to the larger of the two.
            assert abs(got - expected) <= 1e-9 * max(abs(expected), size, 1e-3)
