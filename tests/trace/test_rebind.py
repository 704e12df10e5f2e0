"""Recording user's functions: the right numbers, or a clean refusal."""

import functools
import math

import lmfit
import numpy as np
import pytest
import scipy
from numpy import exp, where
from scipy import special

from surffit.exceptions import TraceError
from surffit.trace.emit import compile_program
from surffit.trace.graph import Builder, GraphFunction, evaluate, trace_call

X = np.linspace(-3, 7, 41) + 0.0123
FACTORS = [2.0]


def helper(t):
    return max(t, 1.0)


def deep(t, n=3):
    return t if n == 0 else deep(t, n - 1) + np.asarray(t)


def masks(x, a, b):
    out = np.zeros_like(x)
    m = x < a
    out[m] = b * x[m] ** 2
    out[~m] += x[~m]
    out[np.where(x > 4)] *= a
    return out


def keyword_only(x, a, b=2, *, c=3):
    return helper(a) * x + b * np.polyval([a, b, c], x) + math.exp(a) * FACTORS[0]


def conversions(x, a):
    return np.asarray(x, dtype=float) * float(a) + np.array(x) + (0.0 if isinstance(a, float) else 1.0)


def pieces(x, a, b):
    return np.select([x < a, x < b], [x, a * x], default=b) + np.piecewise(x, [x < 1, x >= 1], [lambda t: t * a, 3.0])


def series(x, a, b):
    poly = np.polynomial
    return (
        scipy.special.erf(x * a)
        + poly.polynomial.polyval(x, [a, b, 1.0])
        + poly.chebyshev.chebval(x, [a, b, a, b])
        + poly.legendre.legval(x, [a, b, a, b])
    )


class Callable:
    k = 3.0

    def __call__(self, x, a):
        return self.square(x) * a + max(a, self.k)

    def square(self, x):
        return np.where(x > 0, x, 0.0) ** 2

    def method(self, x, a):
        return self.k * a * x + min(a, 0.1)


def closure():
    k = 1.5

    def inner(t):
        return k * t + max(k, t * 0)

    def func(x, a):
        return inner(a) * x

    return func


def in_place(x, a):
    x -= a
    x *= 2
    y = x
    y += 1
    return x * y


def numpy_functions(x, a):
    out = np.clip(x, a, None) + x.clip(0, a) + np.hypot(x, a) + np.sinc(x * a) + np.heaviside(x - a, 0.5)
    return out + np.sign(x) + np.nan_to_num(x / a) + np.isclose(x, a, atol=1.0) * 1.0 + np.float_power(abs(x), a)


def special_functions(x, a):
    t = abs(a * x)
    return special.spherical_jn(2, x * a) + special.polygamma(1, x * a + 9) + special.jv(1.5, t) + special.gammainc(2.0, t)


def complex_parts(x, a):
    z = np.exp(1j * x)
    return abs(np.exp(1j * a * x) + 1) ** 2 + np.angle(z * a) + np.conj(z).imag + (z * complex(a, 1)).real


def type_branch(x, a):
    return x * a if isinstance(x, np.ndarray) else 1 / 0


def numbers_only(x, a):
    return x % a + np.full_like(x, a) + np.ones_like(x) * min(a, 1, 2) + math.hypot(a, 3.0) + math.log(a, 2)


def inner_function(x, a):
    def g(t):
        return t * max(a, 0.1)

    return g(x)


def plain_names(x, a):
    return where(x > 0, exp(-a * x), pow(abs(x), a))


GOOD = {
    f.__name__: f
    for f in (
        masks, keyword_only, conversions, pieces, series, in_place, numpy_functions, special_functions, complex_parts,
        type_branch, numbers_only, inner_function, plain_names,
    )
}  # fmt: skip
GOOD |= {
    "lambda": lambda x, a: np.square(x) * a,
    "recursive": lambda x, a: deep(a * x),
    "callable": Callable(),
    "method": Callable().method,
    "closure": closure(),
    "partial": functools.partial(lambda x, a, b: a * x + b, b=3.0),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_same_bits_as_the_function(record, name):
    func = GOOD[name]
    static = {"keyword_only": {"b": 2, "c": 3}, "partial": {"b": 3.0}}.get(name, {})
    builder, node = record(func, **static)
    values = dict(zip(builder.parameters, [0.7, 2.2, 1.3], strict=False))
    made = compile_program(builder, node, nonlinear=tuple(values), linear=())
    expected = func(X.copy(), **values)
    assert np.array_equal(made.value(list(values.values()), [], [], [X]), expected)
    assert np.array_equal(made.value(np.array(list(values.values())), [], [], [X]), expected)
    walked = evaluate(builder.graph(node), values, {"x": X})
    np.testing.assert_allclose(walked, expected, rtol=1e-15, atol=1e-15)


def test_the_users_function_and_arrays_stay_untouched(program):
    before = {k: id(v) for k, v in in_place.__globals__.items()}
    x = X.copy()
    builder = Builder()
    with pytest.raises(TraceError, match="out="):  # an array of numbers can't become one of symbols in place
        trace_call(builder, in_place, {"x": x, "a": builder.parameter("a")})
    _, _, made = program(in_place)
    made.full([0.5], [], [], [x])
    assert np.array_equal(x, X)
    assert {k: id(v) for k, v in in_place.__globals__.items()} == before


def _branch(x, a):
    return x if a > 0 else -x


def _loop(x, a):
    return sum(v * a for v in x)


def _object_array(x, a):
    out = np.empty(3)
    out[0] = a
    return out * x


def _wrong_mask(x, a):
    out = np.zeros_like(x)
    out[x > 0] = x[x > 1] * a
    return out


def _view(x, a):
    z = x + 1j * a
    z.real[x > 0] = 0.0
    return abs(z)


BAD = {
    "branch": _branch,
    "equality": lambda x, a: x if a == 1.0 else 2 * x,
    "truth": lambda x, a: a or x,
    "loop": _loop,
    "mean": lambda x, a: a * x.mean(),
    "np.mean": lambda x, a: np.mean(a * x),
    "cumsum": lambda x, a: a * np.cumsum(x),
    "len": lambda x, a: a * len(x),
    "interp": lambda x, a: np.interp(x - a, [0, 1], [0, 1]),
    "builtin max of a coordinate": lambda x, a: max(x, a),
    "math of a coordinate": lambda x, a: math.exp(x) * a,
    "slice": lambda x, a: a * x[1:],
    "only the masked points": lambda x, a: x[x > a],
    "list": lambda x, a: [a * x, x],
    "unknown ufunc": lambda x, a: special.hyp2f1(a, 1, 2, x),
    "order with a parameter": lambda x, a: special.jv(a, x),
    "sum over a list": lambda x, a: np.sum([a, x], axis=0),
    "array of symbols": lambda x, a: np.array([x, x]) * a,
    "float32 number": lambda x, a: np.float32(0.1) * (a * x),
    "float32 conversion": lambda x, a: (a * x).astype(np.float32),
    "outer": lambda x, a: np.multiply.outer(x, a),
    "accumulate": lambda x, a: a * np.maximum.accumulate(x),
    "object array": _object_array,
    "int": lambda x, a: x * int(a),
    "round": lambda x, a: x * round(a, 2),
    "format": lambda x, a: f"{a:.2f}",
    "vectorize": lambda x, a: np.vectorize(lambda t: t * a)(x),
    "float of a coordinate": lambda x, a: a * float(x),
    "invert a number's test": lambda x, a: x * (~(a > 0)),
    "sine of a test": lambda x, a: np.sin(x > a),
    "one entry of the shape": lambda x, a: a * np.zeros(x.shape[0]),
    "length of the shape": lambda x, a: a * x * len(x.shape),
    "comparing the shape": lambda x, a: a * x if np.shape(x) == (3,) else x,
    "unpacking the shape": lambda x, a: a * np.ones((*x.shape,)),
    "a longer shape": lambda x, a: a * np.ones(x.shape + (2,)),  # noqa: RUF005 - adding is the point
    "truth of the shape": lambda x, a: a * x if x.shape else x,
    "product of the shape": lambda x, a: a * x * np.prod(x.shape),
    "reshape to the shape": lambda x, a: a * np.reshape(np.arange(41.0), x.shape),
    "single precision of the shape": lambda x, a: a * np.ones(x.shape, dtype=np.float32),
    "full of integers": lambda x, a: np.full(x.shape, a, dtype=int) * x,
    "where=": lambda x, a: np.exp(a * x, where=x > 0),
    "its own error": lambda x, a: a * x + {}["no"],
    "two masks": _wrong_mask,
    "writing into a view": _view,
    "other object": lambda x, a: "text",
    "single precision table": lambda x, a: a * np.ones(3, dtype=np.float32),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_recorded_is_refused(record, name):
    with pytest.raises(TraceError) as caught:
        record(BAD[name])
    assert len(str(caught.value)) > 20


SHAPES = {
    "ones": lambda x, y, a: a * np.ones(np.shape(x)) + y,
    "zeros": lambda x, y, a: np.zeros(x.shape) + a * x,
    "zeros written into": None,
    "full": lambda x, y, a: np.full(x.shape, a) * y,
    "full of a number": lambda x, y, a: np.full(np.shape(x * y), 2.5) * a,
    "shape of a result": lambda x, y, a: a * np.ones((a * x + y).shape),
    "complex": lambda x, y, a: a * np.ones(x.shape, dtype=complex) + 1j * y,
    "float by name": lambda x, y, a: a * np.ones(x.shape, dtype=np.float64) + np.full(y.shape, a, dtype="float64"),
}


def _written(x, y, a):
    out = np.zeros(np.shape(x))
    out[x > 1] = a
    return out + np.empty(x.shape) * 0.0


SHAPES["zeros written into"] = _written


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("shapes", [((41,), (41,)), ((1, 41), (5, 1)), ((), ())])
def test_arrays_of_the_shape_of_a_coordinate(record, name, shapes):
    """Bit for bit the function's values, in its own shape, however the coordinates are laid out."""
    func = SHAPES[name]
    coords = ("x", "y")
    x = X.reshape(shapes[0]) if shapes[0] else np.array(1.25)
    y = np.linspace(-1, 2, int(np.prod(shapes[1]))).reshape(shapes[1])
    builder, node = record(func, coords=coords)
    program = compile_program(builder, node, nonlinear=("a",), linear=())
    expected = func(x, y, 1.7)
    got = program.value([1.7], [], [], [{"x": x, "y": y}[n] for n in program.coordinates])
    assert np.array_equal(np.broadcast_to(got, np.shape(expected)), expected)
    walked = evaluate(builder.graph(node), {"a": 1.7}, {"x": x, "y": y})
    assert np.array_equal(np.broadcast_to(walked, np.shape(expected)), expected)


@pytest.mark.parametrize(("model", "values"), [("ConstantModel", {"c": -0.75}), ("ComplexConstantModel", {"re": 1.5, "im": -2.25})])
def test_lmfits_constants_are_recorded(record, model, values):
    func = getattr(lmfit.models, model)().func
    builder, node = record(func)
    assert tuple(builder.parameters) == tuple(values)
    program = compile_program(builder, node, nonlinear=(), linear=tuple(values))
    got = program.value([], list(values.values()), [], [X][: len(program.coordinates)])
    expected = func(X, **values)
    assert np.array_equal(np.broadcast_to(got, expected.shape), expected)
    assert np.iscomplexobj(got) == np.iscomplexobj(expected)
    f0, phi = program.columns([], [], [X][: len(program.coordinates)])
    assert f0 is None
    for name, column in zip(values, phi, strict=True):
        unit = func(X, **{**dict.fromkeys(values, 0.0), name: 1.0})
        assert np.array_equal(np.broadcast_to(column, unit.shape), unit)


def test_a_mask_of_another_shape_is_refused(record):
    def func(x, y, a):
        out = a * x + y
        out[x > 0] = 0.0  # with x (n,) and y (n, 1) numpy would pick rows
        return out

    with pytest.raises(TraceError, match="different coordinates"):
        record(func, coords=("x", "y"))


def test_concrete_coordinates_with_symbolic_parameters():
    def func(x, a, b):
        return a * (x - x.mean()) ** 2 + np.interp(x, [0, 5], [1, 2]) * b + x**b

    x = X - X.min() + 0.5
    builder = Builder()
    node = trace_call(builder, func, {"x": x, "a": builder.parameter("a"), "b": builder.parameter("b")})
    graph = builder.graph(node)
    assert not graph.portable
    assert graph.coordinates == ()
    for b in (2.0, 0.5, 1.7):
        made = compile_program(builder, node, nonlinear=("a", "b"), linear=())
        assert np.array_equal(made.value([1.3, b], [], [], []), func(x, 1.3, b))


def test_a_function_that_ignores_its_symbols_is_a_constant(record):
    builder, node = record(lambda x, a: 3.5)
    assert evaluate(builder.graph(node), {}, {}) == 3.5
    builder, node = record(lambda x, a: np.arange(3.0))
    assert np.array_equal(evaluate(builder.graph(node), {}, {}), [0.0, 1.0, 2.0])


def test_a_kept_symbol_of_another_trace_is_refused(record):
    kept = []

    def func(x, a):
        kept.append(a)
        return x * kept[0]

    record(func)
    with pytest.raises(TraceError, match="two different traces"):
        record(func)


def test_a_ufunc_and_a_graph_function_are_functions_too():
    builder = Builder()
    node = trace_call(builder, np.exp, {"x": builder.coordinate("x")})
    inner = GraphFunction(builder.graph(node * builder.parameter("k")), "growth")
    other = Builder()
    node = trace_call(other, inner, {"x": 2 * other.coordinate("t"), "k": other.parameter("q")})
    graph = other.graph(node)
    assert graph.parameters == ("q",)
    np.testing.assert_array_equal(evaluate(graph, {"q": 3.0}, {"t": X}), np.exp(2 * X) * 3.0)


def test_equality_is_a_node(record):
    builder, node = record(lambda x, a: np.where(a == 0, 1.0, np.sin(a * x) / a))
    graph = builder.graph(node)
    with np.errstate(invalid="ignore"):
        assert np.array_equal(evaluate(graph, {"a": 0.0}, {"x": X}), np.ones_like(X))
    np.testing.assert_array_equal(evaluate(graph, {"a": 2.0}, {"x": X}), np.sin(2 * X) / 2)


def test_equal_variables_are_written_to_separately(record):
    def func(x, a):
        first = np.exp(a * x)
        second = np.exp(a * x)
        first[x > 0] = 0.0
        return first + 2 * second

    builder, node = record(func)
    np.testing.assert_array_equal(evaluate(builder.graph(node), {"a": 0.3}, {"x": X}), func(X, 0.3))
