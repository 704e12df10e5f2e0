"""Emitted source: the same bits as the user's function, everything once, nothing of the user's text inside."""

import math
import re
import threading
import time

import numpy as np
import pytest
from lmfit.lineshapes import gaussian

from surffit.exceptions import LinearityError
from surffit.trace.derive import derivative
from surffit.trace.emit import compile_program
from surffit.trace.graph import Builder, evaluate, trace_call
from surffit.trace.linearity import linear_set

X = np.linspace(0.5, 4, 23)

# NIST StRD models (https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml), parameters of about the certified size.
NIST = {
    "misra1a": (lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)), (238.9, 5.5e-4), "b1"),
    "misra1b": (lambda x, b1, b2: b1 * (1 - (1 + b2 * x / 2) ** (-2)), (338.0, 3.9e-4), "b1"),
    "misra1c": (lambda x, b1, b2: b1 * (1 - (1 + 2 * b2 * x) ** (-0.5)), (636.4, 2.1e-4), "b1"),
    "misra1d": (lambda x, b1, b2: b1 * b2 * x * ((1 + b2 * x) ** (-1)), (437.4, 3.0e-4), "b1"),
    "chwirut": (lambda x, b1, b2, b3: np.exp(-b1 * x) / (b2 + b3 * x), (0.19, 0.0061, 0.0105), ""),
    "danwood": (lambda x, b1, b2: b1 * x**b2, (0.769, 3.86), "b1"),
    "gauss": (
        lambda x, b1, b2, b3, b4, b5, b6, b7, b8: (
            b1 * np.exp(-b2 * x) + b3 * np.exp(-((x - b4) ** 2) / b5**2) + b6 * np.exp(-((x - b7) ** 2) / b8**2)
        ),
        (98.8, 0.0109, 100.5, 2.6, 1.1, 74.0, 3.4, 0.3),
        "b1 b3 b6",
    ),
    "lanczos": (
        lambda x, b1, b2, b3, b4, b5, b6: b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x),
        (0.0951, 1.0, 0.8607, 3.0, 1.5576, 5.0),
        "b1 b3 b5",
    ),
    "mgh09": (lambda x, b1, b2, b3, b4: b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4), (0.193, 0.191, 0.123, 0.136), "b1"),
    "mgh10": (lambda x, b1, b2, b3: b1 * np.exp(b2 / (x + b3)), (0.0056, 6181.0, 345.0), "b1"),
    "mgh17": (
        lambda x, b1, b2, b3, b4, b5: b1 + b2 * np.exp(-x * b4) + b3 * np.exp(-x * b5),
        (0.375, 1.936, -1.465, 0.0129, 0.0221),
        "b1 b2 b3",
    ),
    "rational": (
        lambda x, b1, b2, b3, b4, b5, b6, b7: (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3),
        (1.08, -0.123, 0.0041, -1.4e-6, -0.0058, 2.4e-4, -1.2e-7),
        "b1 b2 b3 b4",
    ),
    "nelson": (lambda x, z, b1, b2, b3: b1 - b2 * x * np.exp(-b3 * z), (2.59, 5.6e-9, 0.0577), "b1 b2"),
    "rat42": (lambda x, b1, b2, b3: b1 / (1 + np.exp(b2 - b3 * x)), (72.5, 2.6, 0.067), "b1"),
    "rat43": (lambda x, b1, b2, b3, b4: b1 / ((1 + np.exp(b2 - b3 * x)) ** (1 / b4)), (700.0, 5.28, 0.76, 1.28), "b1"),
    "roszman": (
        lambda x, b1, b2, b3, b4: b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi,
        (0.202, -6.2e-6, 1204.5, -181.3),
        "b1 b2",
    ),
    "bennett": (lambda x, b1, b2, b3: b1 * (b2 + x) ** (-1 / b3), (-2523.5, 46.7, 0.93), "b1"),
    "boxbod": (lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)), (213.8, 0.547), "b1"),
    "eckerle": (lambda x, b1, b2, b3: (b1 / b2) * np.exp(-0.5 * ((x - b3) / b2) ** 2), (1.55, 4.09, 2.5), "b1"),
    "enso": (
        lambda x, b1, b2, b3, b4, b5, b6: (
            b1
            + b2 * np.cos(2 * np.pi * x / 12)
            + b3 * np.sin(2 * np.pi * x / 12)
            + b5 * np.cos(2 * np.pi * x / b4)
            + b6 * np.sin(2 * np.pi * x / b4)
        ),
        (10.5, 3.08, 0.53, 44.3, -1.62, 0.52),
        "b1 b2 b3 b5 b6",
    ),
}


def surface(x, y, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4):
    zero = a1 + a2 * y + a3 * y**2 + a4 * y**3
    two = b1 + b2 * y + b3 * y**2 + b4 * y**3
    four = c1 + c2 * y + c3 * y**2 + c4 * y**3
    six = d1 + d2 * y + d3 * y**2 + d4 * y**3
    return zero + two / x**2 + four / x**4 + six / x**6


SURFACE = (1.3, -1e-4, 2e-7, -3e-10, 4e3, 2.0, -1e-2, 3e-5, -5e7, 3e5, 4e2, -2.0, 6e12, -5e9, 3e6, 1e3)


def ready(record, func, coords=("x",)):
    builder, node = record(func, coords=coords)
    found = linear_set(builder, node, tuple(builder.parameters))
    return builder, node, compile_program(builder, node, nonlinear=found.nonlinear, linear=found.names)


def by_name(program, builder, p):
    values = dict(zip(builder.parameters, p, strict=True))
    return values, [values[n] for n in program.nonlinear], [values[n] for n in program.linear]


@pytest.mark.parametrize("name", NIST)
def test_nist_models(record, name):
    func, p, linear = NIST[name]
    coords = {"x": X, "z": X[::-1].copy()} if name == "nelson" else {"x": X}
    builder, _, program = ready(record, func, tuple(coords))
    values, alpha, c = by_name(program, builder, p)
    assert program.linear == tuple(linear.split())
    expected = func(**coords, **values)
    arrays = [coords[n] for n in program.coordinates]
    assert np.array_equal(program.value(alpha, c, [], arrays), expected)
    value, jacobian = program.full(alpha, c, [], arrays)
    assert np.array_equal(value, expected)
    for n, column in zip(program.parameters, jacobian, strict=True):
        h = 1e-40
        complex_step = np.imag(func(**coords, **{**values, n: values[n] + 1j * h})) / h
        np.testing.assert_allclose(column, complex_step, rtol=0, atol=1e-13 * np.max(np.abs(complex_step)))
    f0, phi = program.columns(alpha, [], arrays)
    total = sum(cj * col for cj, col in zip(c, phi, strict=True)) + (0.0 if f0 is None else f0)
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-13 * np.max(np.abs(c)) * max(np.max(np.abs(q)) for q in phi) if c else 1.0)


def test_the_sixteen_parameter_surface(record):
    builder, _, program = ready(record, surface, ("x", "y"))
    assert program.linear == tuple(builder.parameters)
    x, y = np.linspace(300.0, 2400.0, 11), np.linspace(10.0, 50.0, 6)[:, None]
    assert np.array_equal(program.value([], SURFACE, [], [x, y]), surface(x, y, *SURFACE))
    f0, phi = program.columns([], [], [x, y])
    assert f0 is None
    for k, column in enumerate(phi):
        expected = y ** (k % 4) / x ** (2 * (k // 4))
        np.testing.assert_allclose(np.broadcast_to(column, (6, 11)), np.broadcast_to(expected, (6, 11)), rtol=1e-14)
    assert program.second([], SURFACE, [], [x, y]) == []


def test_known_parameters_move_to_the_known_side(record):
    builder, node = record(lambda x, a, b, k: a * np.exp(-k * x) + b * x)
    program = compile_program(builder, node, nonlinear=("k",), linear=("a",), known=("b", "unused"))
    f0, (phi,) = program.columns([2.0], [3.0, 9.0], [X])
    assert np.array_equal(f0, 3.0 * X)
    assert np.array_equal(phi, np.exp(-2.0 * X))
    assert len(program.full([2.0], [1.0], [3.0, 9.0], [X])[1]) == 2


def test_structural_zeros(record):
    builder, node = record(lambda x, a, b, k: a * x + np.sign(b) * x)
    program = compile_program(builder, node, nonlinear=("b", "k"), linear=("a",))
    assert program.no_effect == ("b", "k")
    value, jacobian = program.full([1.0, 1.0], [2.0], [], [X])
    assert jacobian[0] is None
    assert jacobian[1] is None
    assert np.array_equal(jacobian[2], X)
    assert program.second([1.0, 1.0], [2.0], [], [X]) == []
    assert np.array_equal(value, 3 * X)


def test_parameters_not_jointly_linear_are_refused(record):
    builder, node = record(lambda x, a, b: a * b * x)
    program = compile_program(builder, node, nonlinear=(), linear=("a", "b"))
    with pytest.raises(LinearityError) as caught:
        program.columns([], [], [X])
    assert set(caught.value.pair) == {"a", "b"}


def test_every_parameter_must_be_listed_once(record):
    builder, node = record(lambda x, a, b: a * b * x)
    with pytest.raises(ValueError, match="b are not listed"):
        compile_program(builder, node, nonlinear=("a",), linear=())
    with pytest.raises(ValueError, match="a are listed twice"):
        compile_program(builder, node, nonlinear=("a",), linear=("a", "b"))


def test_numbers_overflow_to_infinity(record):
    def func(x, a, b):
        return x * (b**a) + 1.0 / (a - 400.0) + a ** (b - 10.5) + max(a, b) * math.exp(a - 300) + np.sqrt(b - 11)

    builder, node = record(func)
    program = compile_program(builder, node, nonlinear=("a", "b"), linear=())
    with np.errstate(all="ignore"):
        for a, b in ((400.0, 10.0), (2000.0, 10.0), (-1.0, 10.0), (0.5, 11.5), (400.0, 12.0)):
            numbers = np.float64(a), np.float64(b)
            got = program.value([a, b], [], [], [X])
            root = np.sqrt(numbers[1] - 11)
            growth = np.exp(np.float64(a - 300)) if a > 900 else math.exp(a - 300)
            powers = X * numbers[1] ** numbers[0] + 1.0 / (numbers[0] - 400.0) + numbers[0] ** (numbers[1] - 10.5)
            expected = powers + max(numbers) * growth + root
            np.testing.assert_array_equal(got, expected)
            program.full([a, b], [], [], [X])


def test_a_negative_number_to_a_fraction_is_nan(record):
    builder, node = record(lambda x, a, b: x * a**b)
    program = compile_program(builder, node, nonlinear=("a", "b"), linear=())
    with np.errstate(all="ignore"):
        got = program.value([-2.0, 0.5], [], [], [X])
        assert got.dtype == np.float64
        assert np.isnan(got).all()
    assert np.array_equal(program.value([-2.0, 3.0], [], [], [X]), X * -8.0)


def test_wrong_shapes_still_raise(record):
    builder, node = record(lambda x, y, a: a * x * y, ("x", "y"))
    program = compile_program(builder, node, nonlinear=(), linear=("a",))
    with pytest.raises(ValueError, match="broadcast"):
        program.value([], [1.0], [], [np.ones(3), np.ones(4)])


def test_complex_models(record):
    def func(x, a, f, g):
        return a * np.exp((2j * np.pi * f - g) * x)

    builder, node = record(func)
    program = compile_program(builder, node, nonlinear=("f", "g"), linear=("a",))
    assert program.is_complex
    assert builder.graph(node).is_complex
    value, (by_f, by_g, by_a) = program.full([1.5, 0.3], [2.0], [], [X])
    expected = func(X, 2.0, 1.5, 0.3)
    assert np.array_equal(value, expected)
    np.testing.assert_allclose(by_f, 2j * np.pi * X * expected, rtol=1e-14)
    np.testing.assert_allclose(by_g, -X * expected, rtol=1e-14)
    np.testing.assert_allclose(by_a, expected / 2.0, rtol=1e-14)


def test_emitted_derivatives_are_the_walked_ones(record):
    builder, node = record(gaussian)
    program = compile_program(builder, node, nonlinear=("center", "sigma"), linear=("amplitude",))
    values = {"amplitude": 2.0, "center": 1.5, "sigma": 0.7}
    _, jacobian = program.full([1.5, 0.7], [2.0], [], [X])
    for name, column in zip(program.parameters, jacobian, strict=True):
        walked = evaluate(builder.graph(derivative(builder, node, name)), values, {"x": X})
        np.testing.assert_allclose(column, walked, rtol=1e-15)


def test_no_text_of_the_user_reaches_the_source():
    builder = Builder()
    strange = "import_os_système"
    node = np.exp(builder.parameter(strange) * builder.coordinate("__class__")) + builder.array(np.arange(3.0))
    program = compile_program(builder, node, nonlinear=(strange,), linear=())
    for entry in ("value", "full", "second"):
        source = program.source(entry)
        assert strange not in source
        assert "class" not in source
        words = set(re.findall(r"[A-Za-z_]\w*", source))
        allowed = r"def|entry|alpha|c|known|coords|try|return|if|else|type|is|list|floats|except|failures|fallback|None|f_\w+|[abctxk]\d+|e"
        assert all(re.fullmatch(allowed, w) for w in words), words


def _bound_constants(x, a, p, q, r, s, t):
    """What stands in the source by name: complex numbers, a table, infinities; beside parameters of every group."""
    table = np.array([0.5, 2.0, -1.0])
    wave = (2.5 - 0.25j) * np.exp((0.1 + 2j) * x * q) * p + (0.3 + 1.5j) * r
    return a * wave + (s - 1j) * table * t + np.where(x > np.inf, 7j, 0.5 + 0.5j)


@pytest.mark.parametrize("groups", ["known", "linear", "nonlinear"])
def test_constants_and_parameters_have_names_of_their_own(record, groups):
    """Five or more parameters of any group beside constants that are bound by name, in both twins of the source."""
    x = np.array([0.4, 1.1, 2.7])
    builder, node = record(_bound_constants)
    names = tuple(builder.parameters)
    assert len(names) == 6
    p = [1.5, -0.75, 2.25, 3.5, -4.25, 0.125]
    split = {"known": ((), (), names), "linear": ((), names, ()), "nonlinear": (names, (), ())}[groups]
    program = compile_program(builder, node, nonlinear=split[0], linear=split[1], known=split[2])
    values = [p if group else [] for group in split]
    assert np.array_equal(program.value(*values, [x]), _bound_constants(x, *p))
    value, columns = program.full(*values, [x])
    assert np.array_equal(value, _bound_constants(x, *p))
    assert len(columns) == (0 if groups == "known" else 6)
    with np.errstate(all="ignore"):  # overflow of a Python float: the twin that computes with numpy scalars
        huge = [1.5, 1e200, 1e200, 3.5, -4.25, 0.125]
        values = [huge if group else [] for group in split]
        expected = _bound_constants(x, *map(np.float64, huge))
        np.testing.assert_array_equal(program.value(*values, [x]), expected)


def test_the_twin_of_the_source_binds_constants_beside_known_parameters(record):
    """The powers overflow Python's floats, so that numpy's twin runs; it binds every constant by name."""

    def func(x, a, k0, k1, k2, k3, k4):
        return a**k0 * x * 2.5 + k1 * 3.25 + (k2 * 0.75j + k3) * (1.5 - 2j) + k4 * 0.125

    builder, node = record(func)
    program = compile_program(builder, node, nonlinear=("a",), linear=(), known=("k0", "k1", "k2", "k3", "k4"))
    for a, k0 in ((1e3, 500.0), (1.5, 2.0)):
        known = [k0, 2.0, 3.0, 4.0, 5.0]
        with np.errstate(all="ignore"):
            expected = func(X, np.float64(a), *map(np.float64, known))
            np.testing.assert_array_equal(program.value([a], [], known, [X]), expected)


def test_ten_peaks_are_quick():
    builder = Builder()
    x = builder.coordinate("x")
    node = builder.parameter("background")
    for k in range(10):
        names = ("amplitude", "center", "sigma")
        node = node + trace_call(builder, gaussian, {"x": x, **{n: builder.parameter(f"p{k}_{n}") for n in names}})
    start = time.perf_counter()
    found = linear_set(builder, node, tuple(builder.parameters))
    program = compile_program(builder, node, nonlinear=found.nonlinear, linear=found.names)
    second = program.second([1.3] * 20, [1.0] * 11, [], [X])
    program.full([1.3] * 20, [1.0] * 11, [], [X])
    assert time.perf_counter() - start < 0.5  # about 0.02 s
    assert len(found.names) == 11
    assert len(second) == 50  # per peak: 3 of centre and width, 2 with the amplitude


def test_threads_may_share_a_program(record):
    builder, node = record(gaussian)
    program = compile_program(builder, node, nonlinear=("center", "sigma"), linear=("amplitude",))
    expected = gaussian(X, 2.0, 1.5, 0.7)
    wrong = []

    def work():
        for entry in (program.full, program.second, program.columns, program.value):
            args = ([1.5, 0.7], [], [X]) if entry == program.columns else ([1.5, 0.7], [2.0], [], [X])
            entry(*args)
        if not np.array_equal(program.value([1.5, 0.7], [2.0], [], [X]), expected):
            wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
