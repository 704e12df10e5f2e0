"""B-splines against scipy, their derivatives, and the integral that measures roughness."""

import numpy as np
import pytest
from scipy.interpolate import BSpline as Splines

from surffit.bases import BSpline, Chebyshev, Horner
from surffit.exceptions import ParameterError, TraceError
from surffit.trace.graph import Builder


@pytest.mark.parametrize("degree", [0, 1, 3, 5])
@pytest.mark.parametrize("order", [0, 1, 2, 6])
def test_one_variable_is_scipys(degree, order):
    knots = [2000.0, 2001.0, 2003.5, 2010.0]
    x = np.linspace(1999, 2011, 40)
    basis = BSpline(knots=knots, degree=degree)
    t = np.concatenate([[2000.0] * degree, knots, [2010.0] * degree])
    splines = [Splines.basis_element(t[i : i + degree + 2], extrapolate=True) for i in range(3 + degree)]
    inside = (x >= 2000) & (x < 2010)
    for column, one, i in zip(basis.derivatives(x, orders=order).T, splines, range(3 + degree), strict=True):
        live = inside & (x >= t[i]) & (x < t[i + degree + 1])
        expected = one(x[live], nu=order) if order <= degree else np.zeros(live.sum())
        np.testing.assert_allclose(column[live], expected, rtol=1e-9, atol=1e-10)
        assert not column[inside & ~live].any()


def test_they_add_up_to_one_and_hold_polynomials(rng):
    basis = BSpline((4, 3), domain=((0, 10), (-1, 1)))
    x, y = rng.uniform(0, 10, 200), rng.uniform(-1, 1, 200)
    columns = basis.columns(x, y)
    assert columns.shape == (200, 7 * 6)
    np.testing.assert_allclose(columns.sum(axis=1), 1.0, rtol=1e-14)
    z = 1 + x - 2 * y + 0.1 * x**3 * y**2
    coef = np.linalg.lstsq(columns, z)[0]
    np.testing.assert_allclose(columns @ coef, z, rtol=1e-10, atol=1e-10)
    # and so are the derivatives, in the end pieces' continuation, too
    np.testing.assert_allclose(basis.derivatives([11.0], [1.5], orders=(1, 2)) @ coef, 0.6 * 11**2, rtol=1e-8)


def test_axis_functions_make_the_columns(rng):
    basis = BSpline((3, 2), domain=((0, 1), (0, 1)), degree=(2, 1))
    x, y = rng.uniform(0, 1, (2, 30))
    one, two = basis.axis_functions(0, x, 1), basis.axis_functions(1, y)
    for column, (i, j) in zip(basis.derivatives(x, y, orders=(1, 0)).T, basis.terms(), strict=True):
        np.testing.assert_allclose(column, one[:, i] * two[:, j], rtol=1e-15)
    coef = rng.normal(size=15)
    np.testing.assert_allclose(basis.evaluate(list(coef), [x, y]), basis.columns(x, y) @ coef, rtol=1e-12, atol=1e-13)


def test_roughness_is_the_integral(rng):
    basis = BSpline((2, 3), domain=((0, 4), (1, 3)))
    coef = rng.normal(size=30)

    # a Gauss rule is exact for the pieces; it must not cross a knot
    nodes, weights = np.polynomial.legendre.leggauss(5)
    half = np.array([1.0, 1 / 3])
    x = (np.array([1.0, 3.0])[:, None] + half[0] * nodes).ravel()
    y = (np.array([4, 6, 8])[:, None] / 3 + half[1] * nodes).ravel()
    square = np.outer(np.tile(weights, 2) * half[0] / 4, np.tile(weights, 3) * half[1] / 2)
    grid = [c.ravel() for c in np.meshgrid(x, y, indexing="ij")]
    second = [basis.derivatives(*grid, orders=n) @ coef * s for n, s in (((2, 0), 4**2), ((1, 1), 4 * 2), ((0, 2), 2**2))]
    whole = square.ravel() @ (second[0] ** 2 + 2 * second[1] ** 2 + second[2] ** 2)
    np.testing.assert_allclose(np.sum((basis.penalty() @ coef) ** 2), whole, rtol=1e-11)
    plane = np.linalg.lstsq(basis.columns(*grid), 1 + 2 * grid[0] - grid[1])[0]
    np.testing.assert_allclose(basis.penalty() @ plane, 0.0, atol=1e-10)


def test_symbols_have_no_graph_here():
    x = Builder().coordinate("x")
    with pytest.raises(TraceError, match="no graph"):
        BSpline(2).evaluate([1.0] * 5, [x])


def test_no_conversion():
    for one, other in ((BSpline(2), Horner(3)), (Chebyshev(3), BSpline(2))):
        with pytest.raises(ParameterError, match="can't be converted"):
            one.convert(np.ones(5 if one.degree == (3,) else 4), other)


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"intervals": 0}, "from 1 up"),
        ({"intervals": 2.5}, "from 1 up"),
        ({"intervals": (2, 3), "domain": (0, 1)}, "different numbers"),
        ({"domain": (1, 1)}, "more than one point"),
        ({"knots": [0, 0, 1]}, "increase"),
        ({"knots": "ab"}, "increase"),
        ({"knots": [0, 1], "domain": (0, 1)}, "leave domain out"),
        ({"intervals": (100, 100), "domain": ((0, 1), (0, 1))}, "the limit is"),
        ({"degree": -1}, "whole number"),
    ],
)
def test_bad_arguments(kwargs, sentence):
    with pytest.raises(ParameterError, match=sentence):
        BSpline(**kwargs)
