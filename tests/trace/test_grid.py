"""Rank-1 structure on grids against the dense program."""

import numpy as np
import pytest

from surffit.trace.emit import compile_program
from surffit.trace.grid import HIGHEST_RANK, grid_program
from surffit.trace.linearity import linear_set

X, Y = np.linspace(-1.0, 6.0, 17), np.linspace(0.5, 7.0, 13)
AXES = {"x": 1, "y": 0}


def gauss(x, y, amp, x0, y0, sx, sy, c, bx, by):
    return amp * np.exp(-((x - x0) ** 2 / (2 * sx**2) + (y - y0) ** 2 / (2 * sy**2))) + c + bx * x + by * y


def gauss_halves(x, y, amp, x0, y0, sx, sy):
    return amp * np.exp(-0.5 * (((x - x0) / sx) ** 2 + ((y - y0) / max(1e-15, sy)) ** 2)) / (2 * np.pi * sx * sy)


def two_gausses(x, y, amp, x0, s, other, x1, t):
    return amp * np.exp(-((x - x0) ** 2) / s**2 - y**2 / s**2) + other * np.exp(-((x - x1) ** 2) / t**2) * np.exp(-(y**2) / t**2)


def polynomial(x, y, a, b, c, d, e, f):
    return a + b * x + c * y + d * x * y + e * x**2 * y**3 - f * (x * y) ** 2


def branches(x, y, a, b, k):
    return np.where(x > 1, a * x * y, b * y) + np.cos(k * x) * np.sin(y) / (1 + y**2)


def many(x, y, **p):
    return sum(p[f"a{k}"] * np.exp(-((x - p[f"c{k}"]) ** 2) - (y - k) ** 2) for k in range(6))


def rotated(x, y, amp, x0, y0, s, t, theta):
    u = (x - x0) * np.cos(theta) + (y - y0) * np.sin(theta)
    v = -(x - x0) * np.sin(theta) + (y - y0) * np.cos(theta)
    return amp * np.exp(-(u**2) / (2 * s**2) - v**2 / (2 * t**2))


def programs(record, func, coords=("x", "y"), axes=AXES):
    builder, node = record(func, coords=coords)
    found = linear_set(builder, node, tuple(builder.parameters))
    names = {"nonlinear": found.nonlinear, "linear": found.names}
    return grid_program(builder, node, **names, axes=axes), compile_program(builder, node, **names)


def dense(terms):
    total = np.zeros((Y.size, X.size))
    for gy, gx in terms or ():
        assert gy.shape == (Y.size,)
        assert gx.shape == (X.size,)
        assert gy.dtype == gx.dtype == np.float64
        total += np.outer(gy, gx)
    return total


def close(terms, expected):
    expected = np.broadcast_to(0.0 if expected is None else expected, (Y.size, X.size))
    np.testing.assert_allclose(dense(terms), expected, rtol=0, atol=1e-13 * np.max(np.abs(expected)))


@pytest.mark.parametrize("func", [gauss, gauss_halves, two_gausses, polynomial, branches])
def test_against_the_dense_program(record, func):
    grid, plain = programs(record, func)
    assert grid is not None
    alpha = list(np.linspace(1.2, 2.6, len(plain.nonlinear)))
    c = list(np.linspace(-1.0, 3.0, len(plain.linear)))
    flat = [X if n == "x" else Y for n in grid.coordinates]
    open_grid = [X if n == "x" else Y[:, None] for n in plain.coordinates]
    for got, expected in (
        (grid.columns(alpha, [], flat), plain.columns(alpha, [], open_grid)),
        (grid.full(alpha, c, [], flat), plain.full(alpha, c, [], open_grid)),
    ):
        assert (got[0] is None) == (expected[0] is None)
        close(got[0], expected[0])
        for terms, array in zip(got[1], expected[1], strict=True):
            assert (terms is None) == (array is None)
            assert terms is None or len(terms) <= HIGHEST_RANK
            close(terms, array)
    assert grid.has_second
    second = plain.second(alpha, c, [], open_grid)
    listed = grid.second(alpha, c, [], flat)
    assert [(j, k) for j, k, _ in listed] == [(j, k) for j, k, _ in second]
    for (_, _, terms), (_, _, array) in zip(listed, second, strict=True):
        close(terms, array)


def test_ranks_stay_small(record):
    grid, _ = programs(record, gauss)
    _, jacobian = grid.full([1.0, 1.0, 2.0, 2.0], [1.0] * 4, [], [X, Y])
    assert [len(t) for t in jacobian] == [1] * 8
    value, _ = grid.full([1.0, 1.0, 2.0, 2.0], [1.0] * 4, [], [X, Y])
    assert len(value) <= 3  # peak, what depends on x, what depends on y


def test_many_peaks_have_a_long_value_and_short_columns():
    from surffit.trace.graph import Builder

    builder = Builder()
    x, y = builder.coordinate("x"), builder.coordinate("y")
    node = many(x, y, **{f"{n}{k}": builder.parameter(f"{n}{k}") for k in range(6) for n in "ac"})
    names = {"nonlinear": tuple(f"c{k}" for k in range(6)), "linear": tuple(f"a{k}" for k in range(6))}
    grid = grid_program(builder, node, **names, axes=AXES)
    alpha, c = [0.5 * k for k in range(6)], [1.0 + k for k in range(6)]
    value, jacobian = grid.full(alpha, c, [], [X, Y])
    assert len(value) == 6
    assert all(len(t) == 1 for t in jacobian)
    close(value, compile_program(builder, node, **names).value(alpha, c, [], [X, Y[:, None]]))


NOT_SEPARABLE = {
    "rotated": rotated,
    "moffat": lambda x, y, a, s: a / (1 + (x**2 + y**2) / s**2) ** 1.5,
    "distance": lambda x, y, a: a * np.hypot(x, y),
    "unknown sign": lambda x, y, a, k: a * np.exp(k * x**2 + k * y**2),
    "power of a sum": lambda x, y, a, k: a * (x - k * y) ** 2,
    "product of sums": lambda x, y, a, k: a * (x - k * y) * (x + k * y),
    "root of unknown sign": lambda x, y, a, k: a * np.sqrt((x - k) * (y - k)),
    "branch on both": lambda x, y, a, k: np.where(x > k * y, a, 0.0),
    "branch beside infinity": lambda x, y, a, k: np.where(x > 1, a * x / y**k, 0.0),
    "complex": lambda x, y, a, k: (a * np.exp(1j * k * x) * np.exp(1j * y)).real,
}


@pytest.mark.parametrize("name", NOT_SEPARABLE)
def test_the_others_are_left_alone(record, name):
    assert programs(record, NOT_SEPARABLE[name])[0] is None


def test_coordinates_without_an_axis(record):
    def func(x, y, t, a):
        return a * x * y * t

    assert programs(record, func, coords=("x", "y", "t"))[0] is None
    grid, _ = programs(record, func, coords=("x", "y", "t"), axes={"x": 1, "y": 0, "t": 1})
    (terms,) = grid.columns([], [], [X, Y, 2 * X])[1]
    close(terms, 2 * X**2 * Y[:, None])


def test_large_exponents_do_not_overflow(record):
    # exp(a - b) with a, b huge is kept whole; with both negative it is split, and underflows to zero as it should.
    grid, _ = programs(record, lambda x, y, a, s: a * np.exp(-((x / s) ** 2) - (y / s) ** 2))
    value, _ = grid.full([1e-3], [1.0], [], [X, Y])
    assert np.array_equal(dense(value), np.zeros((Y.size, X.size)))
    assert programs(record, lambda x, y, a, s: a * np.exp((x / s) ** 2 - (y / s) ** 2))[0] is None
