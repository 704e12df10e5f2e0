"""Columns of the bases against numpy and mpmath, and the exactness of the changes between them."""

import dataclasses
import pickle
from fractions import Fraction
from itertools import product

import mpmath
import numpy as np
import pytest
from numpy.polynomial import chebyshev, legendre, polynomial

from surffit.bases import BSpline, Chebyshev, Fourier, Horner, Legendre, Orthonormal
from surffit.bases.polynomial import apply
from surffit.bases.terms import axis, domain_of, terms
from surffit.exceptions import ConditionWarning, NonFiniteError, ParameterError, ShapeError

CLASSICAL = {Chebyshev: chebyshev.chebvander, Legendre: legendre.legvander, Horner: polynomial.polyvander}


class TestTerms:
    def test_total_degree(self):
        assert terms(2, 2, True) == ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
        assert [len(terms(d, 3, True)) for d in range(5)] == [1, 4, 10, 20, 35]

    def test_degree_of_each_variable(self):
        assert set(terms((2, 1), 2, False)) == set(product(range(3), range(2)))
        assert set(terms((2, 1), 2, True)) == set(product(range(3), range(2))) - {(2, 1)}
        assert len(terms(3, 2, False)) == 16

    @pytest.mark.parametrize(("degree", "nvars", "total"), [(4, 1, True), (3, 2, True), ((2, 3, 1), 3, False), ((2, 3, 1), 3, True)])
    def test_what_divides_a_term_comes_before_it(self, degree, nvars, total):
        known = terms(degree, nvars, total)
        for j, term in enumerate(known):
            for below in product(*(range(n + 1) for n in term)):
                assert known.index(below) <= j

    @pytest.mark.parametrize("degree", [-1, 1.5, "3", None, (), (1, -1), True])
    def test_bad_degrees(self, degree):
        with pytest.raises(ParameterError, match="whole number"):
            Chebyshev(degree)

    def test_too_many(self):
        with pytest.raises(ParameterError, match="the limit is"):
            Chebyshev(300, nvars=2).terms()

    @pytest.mark.parametrize("domain", [(1.0, 0.0), (0.0, np.inf), 3.0, ((0, 1), (1,)), "ab", (0.0, 1.0, 2.0)])
    def test_bad_domains(self, domain):
        with pytest.raises(ParameterError, match="low, high"):
            Chebyshev(2, domain)

    def test_variables_that_disagree(self):
        with pytest.raises(ParameterError, match="different numbers of variables"):
            Chebyshev((1, 2), domain=(0.0, 1.0))
        with pytest.raises(ShapeError, match="2 variables, but 1 coordinate came"):
            Chebyshev(2, nvars=2).columns([1.0, 2.0])
        with pytest.raises(ParameterError, match="pass one array"):
            Chebyshev(2).columns()

    def test_ends_of_a_domain(self):
        for low, high in ((0.0, 10.0), (1e6, 1e6 + 1.0), (-3e300, 2e300), (2.0, 2.0), (0.0, 0.0)):
            one = axis(low, high)
            assert abs(one(low)) <= 1.0 + 1e-12
            assert abs(one(high)) <= 1.0 + 1e-12
            assert one(low) <= one(high)

    def test_domain_of_points(self):
        assert domain_of([np.array([3.0, 1.0, 2.0]), np.array([[5.0]])]) == ((1.0, 3.0), (5.0, 5.0))
        with pytest.raises(NonFiniteError, match="not finite everywhere"):
            domain_of([np.array([np.nan, 1.0])])


class TestColumns:
    @pytest.mark.parametrize("kind", CLASSICAL)
    def test_one_variable_is_numpys(self, kind):
        s = np.linspace(-1, 1, 41)
        np.testing.assert_allclose(kind(9).columns(s), CLASSICAL[kind](s, 9), rtol=1e-13, atol=1e-14)

    @pytest.mark.parametrize("kind", CLASSICAL)
    @pytest.mark.parametrize(("degree", "total"), [(3, True), (2, False), ((1, 3), False)])
    def test_two_variables_are_products(self, kind, degree, total, rng):
        s, t = rng.uniform(-1, 1, (2, 30))
        basis = kind(degree, total=total)
        columns, one = basis.columns(s, t), CLASSICAL[kind]
        for column, (i, j) in zip(columns.T, basis.terms(2), strict=True):
            np.testing.assert_allclose(column, one(s, i)[:, i] * one(t, j)[:, j], rtol=1e-13, atol=1e-14)

    @pytest.mark.parametrize("kind", [Chebyshev, Legendre])
    def test_a_domain_is_mapped(self, kind):
        x = np.linspace(1e6, 1e6 + 4, 9)
        np.testing.assert_allclose(kind(5, domain=(1e6, 1e6 + 4)).columns(x), kind(5).columns(np.linspace(-1, 1, 9)), atol=1e-14)

    def test_a_single_point(self):
        for basis in (Chebyshev(2), Horner(2), Orthonormal(2, [0.0, 1.0, 3.0]), BSpline(2, (0.0, 3.0)), Fourier(1)):
            np.testing.assert_array_equal(basis.columns(2.0), basis.columns([2.0]))

    def test_open_grids_broadcast(self):
        x, y = np.arange(4.0), np.arange(3.0)[:, None]
        whole = np.broadcast_arrays(x, y)
        for basis in (Chebyshev(2), Horner(2), Orthonormal(2, x, y)):
            np.testing.assert_array_equal(basis.columns(x, y), basis.columns(*whole))
            assert basis.columns(x, y).shape == (12, 6)

    @pytest.mark.parametrize("kind", [*CLASSICAL, Orthonormal])
    def test_the_sum_is_columns_times_coefficients(self, kind, rng):
        x, y = rng.uniform(-1, 1, (2, 25))
        basis = Orthonormal(3, x, y) if kind is Orthonormal else kind(3)
        coef = rng.normal(size=10)
        np.testing.assert_allclose(basis.evaluate(list(coef), [x, y]), basis.columns(x, y) @ coef, rtol=1e-12, atol=1e-13)


class TestOrthonormal:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_is_orthonormal_on_its_points(self, rng, weighted):
        x, y = rng.uniform(0, 10, 400), rng.uniform(-1e5, 3e5, 400)
        w = rng.uniform(0.1, 10, 400) if weighted else None
        columns = Orthonormal(7, x, y, weights=w).columns(x, y)
        square = np.full(400, 1 / 400) if w is None else w**2 / (w @ w)
        np.testing.assert_allclose(columns.T @ (square[:, None] * columns), np.eye(36), atol=1e-12)

    def test_weight_zero_leaves_a_point_out(self):
        x = np.append(np.linspace(0, 1, 20), 1e6)
        w = np.append(np.ones(20), 0.0)
        assert Orthonormal(4, x, weights=w) == Orthonormal(4, x[:-1], weights=w[:-1])

    def test_leading_terms_are_its_own(self, rng):
        # on many even points it comes near to Legendre's polynomials
        x = (np.arange(200_000) + 0.5) / 100_000 - 1
        ours = Orthonormal(4, x).columns(np.linspace(-0.9, 0.9, 7))
        np.testing.assert_allclose(ours, Legendre(4).columns(np.linspace(-0.9, 0.9, 7)) * np.sqrt(2 * np.arange(5) + 1), atol=1e-4)

    def test_too_few_points_make_dependent_columns(self):
        x = np.repeat([0.0, 1.0, 2.0], 10)
        columns = Orthonormal(4, x).columns(x)
        assert np.linalg.matrix_rank(columns) == 3
        assert np.isfinite(columns).all()
        assert np.abs(columns).max() < 10

    def test_it_stays_as_it_is(self):
        basis = Orthonormal(2, np.arange(5.0))
        with pytest.raises(AttributeError, match="can't be changed"):
            basis.degree = 3
        again = pickle.loads(pickle.dumps(basis))
        assert again == basis
        assert hash(again) == hash(basis)
        assert basis != Orthonormal(2, np.arange(6.0))
        assert repr(basis) == "Orthonormal(degree=2, domain=((0.0, 4.0),), total=True)"

    def test_bad_points(self):
        with pytest.raises(ShapeError, match=r"weights have shape \(2,\), the points \(3,\)"):
            Orthonormal(1, [0.0, 1.0, 2.0], weights=[1.0, 1.0])
        with pytest.raises(NonFiniteError, match="weights are not finite"):
            Orthonormal(1, [0.0, 1.0, 2.0], weights=[1.0, np.nan, 1.0])
        with pytest.raises(NonFiniteError, match="coordinate 1"):
            Orthonormal(1, [0.0, np.inf, 2.0])


def test_classical_bases_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Chebyshev(2).degree = 3
    assert pickle.loads(pickle.dumps(Legendre(2, domain=(0, 1)))) == Legendre(2, domain=((0.0, 1.0),))


X = np.linspace(-8.78, -3.13, 60)  # where Filip's data lie
BASES = {
    "chebyshev": Chebyshev(10, domain=(X[0], X[-1])),
    "legendre": Legendre(10, domain=(X[0], X[-1])),
    "orthonormal": Orthonormal(10, X),
}


def in_monomials(basis, coef):
    """Monomial coefficients in rational arithmetic, from the recurrences themselves."""
    (one,) = basis.axes(1)
    scale, shift = Fraction(one.scale), -Fraction(one.scale) * Fraction(one.centre)

    def times_s(poly):
        out = [shift * c for c in poly] + [Fraction(0)]
        for i, c in enumerate(poly):
            out[i + 1] += scale * c
        return out

    def add(a, b, factor):
        n = max(len(a), len(b))
        return [(a[i] if i < len(a) else 0) + factor * (b[i] if i < len(b) else 0) for i in range(n)]

    functions = [[Fraction(1)]]
    for n in range(10):
        if isinstance(basis, Orthonormal):
            norm, *parts = basis.steps[0][n]
            new = times_s(functions[n])
            for h, other in zip(parts, functions, strict=True):
                new = add(new, other, -Fraction(h))
            new = [c * Fraction(1.0 / norm) for c in new]
        elif isinstance(basis, Chebyshev):
            new = times_s(functions[n]) if n == 0 else add([2 * c for c in times_s(functions[n])], functions[n - 1], -1)
        else:
            new = [Fraction(2 * n + 1, n + 1) * c for c in times_s(functions[n])]
            new = add(new, functions[n - 1], -Fraction(n, n + 1)) if n else new
        functions.append(new)
    out = [Fraction(0)] * 11
    for c, function in zip(coef, functions, strict=True):
        out = add(out, function, Fraction(float(c)))
    return out


class TestConvert:
    @pytest.mark.parametrize("name", BASES)
    def test_to_monomials_is_exact(self, name, rng):
        basis = BASES[name]
        coef = rng.normal(size=11) * np.geomspace(1, 1e-3, 11)
        got, _ = basis.convert(coef, Horner(10))
        for one, exact in zip(got, in_monomials(basis, coef), strict=True):
            assert abs(Fraction(float(one)) - exact) <= Fraction(2**-53) * abs(exact)  # rounded once

    @pytest.mark.parametrize("name", BASES)
    def test_covariance_keeps_thirteen_digits(self, name, rng):
        basis = BASES[name]
        A = rng.normal(size=(11, 20)) * np.geomspace(1, 1e-3, 11)[:, None]
        covar = A @ A.T
        _, got = basis.convert(np.zeros(11), Horner(10), covar)
        unit = [in_monomials(basis, row) for row in np.eye(11)]
        with mpmath.workdps(60):
            M = mpmath.matrix([[mpmath.mpf(u.numerator) / u.denominator for u in row] for row in unit]).T
            exact = M * mpmath.matrix(covar.tolist()) * M.T
            for i in range(11):
                assert abs(got[i, i] - exact[i, i]) <= 1e-13 * abs(exact[i, i])
        np.testing.assert_array_equal(got, got.T)

    @pytest.mark.parametrize("one", [*BASES, "monomial"])
    @pytest.mark.parametrize("two", [*BASES, "monomial"])
    def test_there_and_back(self, one, two, rng):
        bases = BASES | {"monomial": Horner(10)}
        there, back = bases[one].transition(bases[two]), bases[two].transition(bases[one])
        # in double-double both ways: plain monomials in between keep ten digits of their condition of 1e17 or so
        from surffit.kernels.dd import dd_mul, dd_sum

        high, low = dd_sum(*dd_mul((back[0][:, None, :], back[1][:, None, :]), (there[0].T[None], there[1].T[None])))
        np.testing.assert_allclose(high + low, np.eye(11), atol=1e-8 if "monomial" in (one, two) else 1e-13)

    def test_more_terms_may_come(self):
        got, _ = Chebyshev(2).convert([1.0, 2.0, 3.0], Legendre(4))
        s = np.linspace(-1, 1, 7)
        np.testing.assert_allclose(Legendre(4).columns(s) @ got, Chebyshev(2).columns(s) @ [1.0, 2.0, 3.0], atol=1e-14)
        assert got[3:].tolist() == [0.0, 0.0]

    def test_fewer_may_not(self):
        with pytest.raises(ShapeError, match=r"no term of degree \(3,\)"):
            Chebyshev(3).convert(np.ones(4), Legendre(2))

    @pytest.mark.parametrize("nvars", [2, 3])
    @pytest.mark.parametrize("total", [True, False])
    def test_several_variables(self, nvars, total, rng):
        domain = [(0.0, 10.0), (-1e3, 3e3), (5.0, 6.0)][:nvars]
        points = [rng.uniform(low, high, 80) for low, high in domain]
        kinds = [
            Chebyshev(3, domain, total=total),
            Legendre(3, domain, total=total),
            Horner(3, nvars=nvars, total=total),
            Orthonormal(3, *points, total=total),
        ]
        coef = rng.normal(size=len(terms(3, nvars, total)))
        value = kinds[0].columns(*points) @ coef
        for basis in kinds[1:]:
            other, _ = kinds[0].convert(coef, basis)
            size = np.abs(basis.columns(*points)) @ np.abs(other)
            assert np.abs(basis.columns(*points) @ other - value).max() <= 1e-13 * size.max()
            back, _ = basis.convert(other, kinds[0])
            np.testing.assert_allclose(back, coef, atol=1e-9)

    def test_shapes_are_checked(self):
        with pytest.raises(ShapeError, match=r"coef has shape \(2,\), but the basis has 3 terms"):
            Chebyshev(2).convert([1.0, 2.0], Horner(2))
        with pytest.raises(ShapeError, match=r"covar has shape \(3,\)"):
            Chebyshev(2).convert([1.0, 2.0, 3.0], Horner(2), np.ones(3))

    def test_a_basis_of_ones_own(self):
        """The protocol is what a further basis needs: shifted monomials."""

        class Shifted(Horner):
            def axes(self, nvars):
                return (axis(4.0, 6.0),) * nvars

        got, _ = Shifted(2).convert([1.0, 2.0, 3.0], Horner(2))  # 1 + 2 (x - 5) + 3 (x - 5)^2
        np.testing.assert_allclose(got, [66.0, -28.0, 3.0], rtol=1e-15)
        assert apply(Shifted(2).transition(Horner(2)), np.eye(3)).shape == (3, 3)


class TestDerivatives:
    """Against numpy's polynomials, differentiated as polynomials."""

    @pytest.mark.parametrize(("kind", "one"), [(Chebyshev, np.polynomial.Chebyshev), (Legendre, np.polynomial.Legendre), (Horner, None)])
    @pytest.mark.parametrize("order", [0, 1, 2, 5])
    def test_one_variable(self, kind, one, order):
        one = one or np.polynomial.Polynomial
        s = np.linspace(-1, 1, 17)  # numpy's own map of a domain far from 0 would lose digits
        got = kind(7, domain=(2000.0, 2010.0)).derivatives(2005 + 5 * s, orders=order)
        for n, column in enumerate(got.T):
            expected = one.basis(n).deriv(order)(s)
            np.testing.assert_allclose(column * 5.0**order, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())

    @pytest.mark.parametrize("kind", [Chebyshev, Legendre, Horner, Orthonormal])
    def test_a_polynomials_are_those_of_its_monomials(self, kind, rng):
        x, y = rng.uniform(-1, 1, (2, 40))
        basis = Orthonormal(4, x, y) if kind is Orthonormal else kind(4, nvars=2)
        coef = rng.normal(size=15)
        plain, _ = basis.convert(coef, Horner(4))
        for orders in product(range(4), range(3)):
            expected = sum(
                c * polynomial.polyval2d(x, y, _derivative_of_power(i, j, orders))
                for c, (i, j) in zip(plain, Horner(4).terms(2), strict=True)
            )
            np.testing.assert_allclose(basis.derivatives(x, y, orders=orders) @ coef, expected, rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("orders", [1, (1,), (1, -1), (1, 0.5), "ab"])
    def test_bad_orders(self, orders):
        with pytest.raises(ParameterError, match="whole number from 0 up"):
            Chebyshev(2).derivatives([0.0], [1.0], orders=orders)


def _derivative_of_power(i, j, orders):
    power = np.zeros((i + 1, j + 1))
    power[i, j] = 1.0
    return polynomial.polyder(polynomial.polyder(power, orders[0], axis=0), orders[1], axis=1)


@pytest.mark.parametrize("kind", [Chebyshev, Legendre, Horner])
def test_columns_are_products_of_axis_functions(kind, rng):
    x, y = rng.uniform(0, 3, (2, 20))
    basis = kind(3, domain=((0, 3), (-1, 5)))
    for orders in ((0, 0), (1, 0), (2, 1)):
        tables = [basis.axis_functions(i, c, order) for i, (c, order) in enumerate(zip((x, y), orders, strict=True))]
        assert [t.shape for t in tables] == [(20, 4), (20, 4)]
        for column, (i, j) in zip(basis.derivatives(x, y, orders=orders).T, basis.terms(), strict=True):
            np.testing.assert_allclose(column, tables[0][:, i] * tables[1][:, j], rtol=1e-15)


YEARS = (2000.0, 2010.0)


class TestDigits:
    @pytest.mark.parametrize("domain", [(-1.0, 1.0), YEARS])
    @pytest.mark.parametrize("there", [Legendre, Horner])
    def test_degree_12_within_one_domain(self, domain, there, rng):
        coef, root = rng.normal(size=13), rng.normal(size=(13, 13))
        one, two = Chebyshev(12, domain), there(12, domain)
        moved, covar = one.convert(coef, two, root @ root.T)
        back, covar = two.convert(moved, one, covar)
        # of the size of what is summed: monomials of [-1, 1] have coefficients up to 1e4 at this degree
        size = np.abs(two.transition(one)[0]) @ np.abs(moved)
        assert (np.abs(back - coef) <= 1e-13 * np.maximum(size, 1)).all()
        if there is Legendre:
            np.testing.assert_allclose(back, coef, atol=1e-13)
            np.testing.assert_allclose(covar, root @ root.T, atol=1e-12)
        s = np.linspace(-1, 1, 9)
        expected = chebyshev.chebval(s, coef)
        low, high = domain
        np.testing.assert_allclose(two.columns((low + high) / 2 + (high - low) / 2 * s) @ moved, expected, atol=1e-12 * np.abs(moved).max())

    def test_raw_monomials_of_years_at_degree_3_are_exact(self, rng):
        basis, coef = Chebyshev(3, YEARS), rng.normal(size=4)
        got, _ = basis.convert(coef, Horner(3))  # no warning: seven digits are left
        for one, exact in zip(got, in_monomials(basis, np.append(coef, np.zeros(7))), strict=False):
            assert abs(Fraction(float(one)) - exact) <= Fraction(2**-53) * abs(exact)

    @pytest.mark.parametrize(("degree", "left"), [(4, 4), (5, 1), (8, 0)])
    def test_a_warning_names_the_digits_left(self, degree, left, rng):
        basis, coef = Chebyshev(degree, YEARS), np.ones(degree + 1)
        with pytest.warns(ConditionWarning, match="digits on the domain; give Horner the same domain=") as caught:
            got, _ = basis.convert(coef, Horner(degree))
        (warning,) = (w.message for w in caught)
        x = np.linspace(*YEARS, 501)
        lost = np.abs(Horner(degree).columns(x) @ got - basis.columns(x) @ coef).max() / np.abs(basis.columns(x) @ coef).max()
        assert abs(warning.digits - left) < 1
        # the sum is as wrong as said, or a little better
        assert -0.3 < max(-np.log10(lost), 0.0) - warning.digits < 1.7 or left == 0

    def test_no_false_alarm(self, rng):
        """Filip's domain keeps eight digits; within one domain there is nothing to lose."""
        BASES["chebyshev"].convert(rng.normal(size=11), Horner(10))
        Chebyshev(12, YEARS).convert(np.ones(13), Legendre(12, YEARS))
        Chebyshev(12, YEARS).convert(np.ones(13), Horner(12, YEARS))
        Horner(2).convert([0.0, 0.0, 0.0], Chebyshev(2))
