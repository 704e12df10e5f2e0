"""Scalar kernels against the numpy programs of the same graphs: every line shape, every registered model, every special function."""

import inspect

import numpy as np
import pytest
from lmfit import lineshapes

import surffit as sf
from surffit.batch.search.traced import _compiled
from surffit.exceptions import TraceError
from surffit.trace.builder import Builder
from surffit.trace.emit import compile_program
from surffit.trace.rebind import trace_call
from surffit.trace.scalar import scalar_kernel

FORMS = {
    "thermal_distribution": ("bose", "maxwell", "fermi"),
    "step": ("linear", "erf", "logistic", "atan"),
    "rectangle": ("linear", "erf", "logistic", "atan"),
}
CASES = [(name, form) for name in lineshapes.functions for form in FORMS.get(name, (None,))]
rng = np.random.default_rng(5)
LINE = np.linspace(-3, 7, 41) + 0.0123


def outputs(builder, node, names, coords, values, hoist):
    """(value, derivatives) by the compiled kernel, its extra rows by numpy."""
    kernel = scalar_kernel(builder, builder.lift(node), names, (), tuple(coords), hoist=hoist)
    n = np.broadcast_shapes(*(np.shape(x) for x in coords.values()))[0]
    rows = [np.broadcast_to(x, n) for x in coords.values()]
    arrays = [coords.get(name, 0.0) for name in builder.coordinates]
    for i in kernel.rows:
        program = compile_program(builder, builder.node(i), nonlinear=(), linear=())
        rows.append(np.broadcast_to(program.value([], [], [], arrays), n).astype(float))
    X = np.ascontiguousarray(rows, dtype=float)
    W = np.full((len(names) + 3, n + 2), 7.0)
    chi2 = _compiled(kernel)[0](X, 0, n, np.array(values, dtype=float), np.zeros(n), np.ones(n), W, 1)
    assert (W[0] == 7.0).all()
    assert (W[-1] == 7.0).all()
    assert (W[:, n:] == 7.0).all()
    J, r = W[1 : len(names) + 1, :n], W[len(names) + 1, :n]
    assert chi2 == pytest.approx(np.sum(r**2), rel=1e-12, nan_ok=True)
    return -r, J


def compare(builder, node, names, coords, values, hoist=True, rtol=1e-9):
    value, J = outputs(builder, node, names, coords, values, hoist)
    program = compile_program(builder, node, nonlinear=names, linear=())
    with np.errstate(all="ignore"):
        expected, slopes = program.full(list(values), [], [], [coords[c] for c in program.coordinates])
    assert np.isfinite(np.asarray(expected)).all()
    close(value, expected, rtol)
    for k, slope in enumerate(slopes):
        close(J[k], 0.0 if slope is None else slope, rtol)


def close(found, expected, rtol):
    expected = np.broadcast_to(expected, found.shape)
    finite = np.isfinite(expected)
    scale = np.abs(expected[finite]).max(initial=0.0)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=rtol, atol=1e-12 * scale)


EVERYDAY = {"gaussian", "voigt", "pearson4", "pvoigt", "step", "students_t", "doniach"}


@pytest.mark.parametrize(("name", "form"), [pytest.param(*c, marks=() if c[0] in EVERYDAY else pytest.mark.slow) for c in CASES])
def test_line_shapes(name, form):
    func = getattr(lineshapes, name)
    names = [p for p in inspect.signature(func).parameters if p not in ("x", "y", "form")]
    values = [float(v) for v in np.random.default_rng(1).uniform(0.6, 1.9, len(names))]
    x = np.abs(LINE) + 2.5 if name in ("powerlaw", "bose") or form == "bose" else LINE
    coords = {"x": x, "y": np.cos(x)} if "y" in inspect.signature(func).parameters else {"x": x}
    builder = Builder()
    static = {} if form is None else {"form": form}
    node = trace_call(builder, func, {**{c: builder.coordinate(c) for c in coords}, **{n: builder.parameter(n) for n in names}, **static})
    compare(builder, node, names, coords, values)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(sf.models()))
def test_registered_models(name):
    try:
        model = sf.get_model(name)
    except TypeError:
        pytest.skip("has no default form")
    structure = model._traced()
    if structure is None:
        pytest.skip("can't be traced")
    coords, values = model.example()
    n = min(60, np.broadcast(*coords.values()).size)
    flat = [np.array(a, dtype=float).reshape(-1) for a in np.broadcast_arrays(*coords.values())]
    some = np.linspace(0, flat[0].size - 1, n).astype(int)
    lines = {c: a[some] for c, a in zip(coords, flat, strict=True)}
    names = [p for p in structure.parameters if p in values]
    try:
        compare(structure.builder, structure.node, names, lines, [values[p] for p in names])
    except TraceError as err:
        pytest.skip(str(err))


SPECIAL = """
    erf erfc erfcx erfi dawsn expm1 log1p gamma loggamma rgamma psi exp1 expi expit log_expit gammaln j0 j1 y0 y1 i0 i1 i0e i1e k0 k1
    ndtr log_ndtr exp10 exp2 cbrt
"""
NUMPY = """
    exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan arctan sinh cosh tanh arcsinh floor ceil rint trunc sign abs square
    reciprocal
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"special.{n}" for n in SPECIAL.split()] + [f"np.{n}" for n in NUMPY.split()])
@pytest.mark.parametrize("hoist", [True, False])
def test_functions_of_one_number(name, hoist):
    from scipy import special

    where, word = name.split(".")
    function = getattr(special if where == "special" else np, word)
    builder = Builder()
    x, a = builder.coordinate("x"), builder.parameter("a")
    node = function(a * x) + a * function(x)
    compare(builder, node, ["a"], {"x": np.linspace(0.3, 3.1, 15)}, [0.83], hoist)


def test_functions_of_two_numbers():
    from scipy import special

    builder = Builder()
    x, a, b = builder.coordinate("x"), builder.parameter("a"), builder.parameter("b")
    node = special.jv(2.0, a * x) + special.kv(0.5, b * x) + special.gammainc(1.5, a * x) + special.xlogy(a, x) + np.hypot(a * x, b)
    node = node + np.arctan2(a, x) + np.logaddexp(a * x, b) + special.beta(a, b) + special.voigt_profile(x - a, b, a) + np.sinc(a * x)
    node = node + np.maximum(a * x, b) + np.minimum(x, b) + np.where(x > a, b * x, a) + (a * x) ** b + x**a + x**3
    node = node + builder.call("polygamma", 1.0, a * x)
    compare(builder, node, ["a", "b"], {"x": np.linspace(0.3, 3.1, 15)}, [0.83, 1.3])


def test_arrays_become_rows():
    builder = Builder()
    x, a, b = builder.coordinate("x"), builder.parameter("a"), builder.parameter("b")
    template = rng.normal(size=15)
    node = a * template + np.exp(-b * x) * (template > 0)
    compare(builder, node, ["a", "b"], {"x": np.linspace(0.3, 3.1, 15)}, [0.83, 1.3])


def test_what_has_no_form_is_named():
    builder = Builder()
    x, a = builder.coordinate("x"), builder.parameter("a")
    with pytest.raises(TraceError, match="complex"):
        scalar_kernel(builder, builder.lift(x * a * 1j), ["a"], (), ("x",))
    with pytest.raises(TraceError, match="log2"):
        scalar_kernel(builder, builder.lift(np.log2(x * a * 1j).real), ["a"], (), ("x",))
    with pytest.raises(TraceError, match="coordinate x"):
        scalar_kernel(builder, builder.lift(x * a), ["a"], (), ("t",))


def test_equal_models_have_equal_source():
    texts = set()
    for _ in range(2):
        builder = Builder()
        node = builder.parameter("a") * np.exp(builder.coordinate("x"))
        texts.add(scalar_kernel(builder, builder.lift(node), ["a"], (), ("x",)).source)
    assert len(texts) == 1
    assert "exp" not in texts.pop()  # of the coordinate alone: a row
