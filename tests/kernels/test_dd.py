"""Exactness of the double-double kernels, with `fractions` as the oracle."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from surffit.kernels import dd


def wild(rng, shape):
    return rng.normal(size=shape) * 10.0 ** rng.integers(-12, 13, size=shape)


def exact(values):
    return sum((Fraction(float(v)) for v in np.ravel(values)), Fraction(0))


@pytest.mark.parametrize("seed", range(5))
def test_sum_and_product_are_exact(seed):
    rng = np.random.default_rng(seed)
    a, b = wild(rng, 200), wild(rng, 200)
    s, es = dd.two_sum(a, b)
    p, ep = dd.two_prod(a, b)
    hi, lo = dd.split(a)
    assert np.array_equal(s, a + b)
    for i in range(a.size):
        x, y = Fraction(float(a[i])), Fraction(float(b[i]))
        assert Fraction(float(s[i])) + Fraction(float(es[i])) == x + y
        assert Fraction(float(p[i])) + Fraction(float(ep[i])) == x * y
        assert Fraction(float(hi[i])) + Fraction(float(lo[i])) == x
    assert np.abs(es).max() > 0  # the errors are not all zero: something was there to catch
    assert np.abs(ep).max() > 0


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 64, 1001])
def test_dot_keeps_thirty_digits_under_cancellation(n):
    rng = np.random.default_rng(n)
    a = wild(rng, (3, n))
    b, low = wild(rng, n), np.zeros(n)
    low = b * 1e-17
    hi, lo = dd.dd_dot(a, b, low)
    assert hi.shape == lo.shape == (3,)
    for j in range(3):
        terms = [Fraction(float(x)) * (Fraction(float(y)) + Fraction(float(z))) for x, y, z in zip(a[j], b, low, strict=True)]
        error = abs(Fraction(float(hi[j])) + Fraction(float(lo[j])) - sum(terms, Fraction(0)))
        assert error <= Fraction(1, 10**29) * sum(map(abs, terms), Fraction(0))


def test_sum_of_a_cancelling_series():
    terms = np.array([1e16, 1.0, -1e16, 1e-16, 3.0, -4.0])
    hi, lo = dd.dd_sum(terms, np.zeros(6))
    assert terms.sum() != 1e-16  # what plain summation makes of it
    assert Fraction(float(hi)) + Fraction(float(lo)) == exact(terms)


def test_residual_of_a_nearly_solved_system():
    rng = np.random.default_rng(3)
    rows, x = rng.normal(size=(4, 30)), rng.normal(size=4)
    x_low = x * 1e-17
    y = x @ rows
    hi, lo = dd.dd_matvec(rows, x, x_low, y, np.zeros(30))
    for i in range(30):
        want = Fraction(float(y[i])) - sum(
            (Fraction(float(rows[j, i])) * (Fraction(float(x[j])) + Fraction(float(x_low[j]))) for j in range(4)), Fraction(0)
        )
        assert abs(Fraction(float(hi[i])) + Fraction(float(lo[i])) - want) < Fraction(1, 10**30)
    assert np.array_equal(y, x @ rows)  # inputs untouched


def test_split_may_be_handed_in():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 9)), rng.normal(size=9)
    for got, want in zip(dd.dd_dot(a, b, None, dd.split(a)), dd.dd_dot(a, b), strict=True):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("seed", range(3))
def test_arithmetic_of_pairs_keeps_thirty_digits(seed):
    rng = np.random.default_rng(seed)
    a, b = (dd.two_sum(high, 1e-17 * high * rng.normal(size=200)) for high in wild(rng, (2, 200)))
    for pairs, exact_of in ((dd.dd_add, lambda x, y: x + y), (dd.dd_mul, lambda x, y: x * y), (dd.dd_div, lambda x, y: x / y)):
        high, low = pairs(a, b)
        for i in range(200):
            x, y = (Fraction(float(v[0][i])) + Fraction(float(v[1][i])) for v in (a, b))
            size = abs(x) + abs(y) if pairs is dd.dd_add else abs(exact_of(x, y))
            assert abs(Fraction(float(high[i])) + Fraction(float(low[i])) - exact_of(x, y)) <= Fraction(2) ** -98 * size
        assert np.array_equal(high + low, high)
        assert np.abs(low).max() > 0
