"""Zernike's polynomials: orthonormal, numbered and named as in the literature, and polynomials all the way."""

import math

import numpy as np
import pytest
from scipy.special import eval_jacobi

from surffit.bases import (
    Chebyshev,
    Horner,
    Zernike,
    nm_to_noll,
    nm_to_osa,
    noll_to_nm,
    osa_to_nm,
    zernike_name,
)  # fmt: skip
from surffit.bases.polynomial import digits_left
from surffit.exceptions import ParameterError, ShapeError

# Noll 1976, table I: (n, m) with the sign of m for sine and cosine
NOLL = [(0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (3, -1), (3, 1), (3, -3), (3, 3), (4, 0), (4, 2), (4, -2), (4, 4), (4, -4)]
OSA = [(0, 0), (1, -1), (1, 1), (2, -2), (2, 0), (2, 2), (3, -3), (3, -1), (3, 1), (3, 3), (4, -4), (4, -2), (4, 0), (4, 2), (4, 4)]


def disc_rule(order, hole=0.0):
    """Points and weights that integrate polynomials of twice that order over a ring exactly; the weights' sum is 1."""
    nodes, weights = np.polynomial.legendre.leggauss(order + 2)
    u = hole**2 + (1 - hole**2) * (nodes + 1) / 2
    angle = 2 * np.pi * (np.arange(2 * order + 3) + 0.5) / (2 * order + 3)
    r, angle = np.sqrt(u)[:, None], angle[None, :]
    w = np.broadcast_to(weights[:, None] / 2 / angle.size, (u.size, angle.size))
    return (r * np.cos(angle)).ravel(), (r * np.sin(angle)).ravel(), w.ravel()


@pytest.mark.parametrize("hole", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("indexing", ["noll", "osa"])
def test_orthonormal_to_order_20(hole, indexing):
    x, y, w = disc_rule(20, hole)
    columns = Zernike(20, indexing, hole).columns(x, y)
    assert columns.shape[1] == 231
    assert np.abs(columns.T @ (w[:, None] * columns) - np.eye(231)).max() < 1e-12


def test_values_are_those_of_the_closed_form():
    """By Jacobi's polynomials, which scipy has."""
    x, y, _ = disc_rule(20)
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    basis = Zernike(20)
    for column, (n, m) in zip(basis.columns(x, y).T, basis.orders, strict=True):
        k = abs(m)
        radial = r**k * eval_jacobi((n - k) // 2, 0, k, 2 * r**2 - 1) * math.sqrt(n + 1)
        expected = radial * (1 if not m else math.sqrt(2) * (np.cos(m * angle) if m > 0 else np.sin(k * angle)))
        np.testing.assert_allclose(column, expected, atol=1e-11)


def test_annular_ones_of_low_order():
    """Mahajan 1981: defocus and spherical aberration on a ring."""
    e = 0.4
    x = np.linspace(e, 1, 7)
    columns = dict(zip(NOLL, Zernike(4, obscuration=e).columns(x, 0.0).T, strict=True))
    np.testing.assert_allclose(columns[2, 0], np.sqrt(3) * (2 * x**2 - 1 - e**2) / (1 - e**2), atol=1e-13)
    spherical = (6 * x**4 - 6 * (1 + e**2) * x**2 + 1 + 4 * e**2 + e**4) / (1 - e**2) ** 2
    np.testing.assert_allclose(columns[4, 0], np.sqrt(5) * spherical, atol=1e-12)
    np.testing.assert_allclose(columns[1, 1], 2 * x / np.sqrt(1 + e**2), atol=1e-14)


def test_indices_and_names():
    assert [noll_to_nm(j) for j in range(1, 16)] == NOLL
    assert [osa_to_nm(j) for j in range(15)] == OSA
    assert [nm_to_noll(*noll_to_nm(j)) for j in range(1, 500)] == list(range(1, 500))
    assert [nm_to_osa(*osa_to_nm(j)) for j in range(500)] == list(range(500))
    assert Zernike(2).names() == ("z1", "z2", "z3", "z4", "z5", "z6")
    assert Zernike(2, "osa").names() == ("z0", "z1", "z2", "z3", "z4", "z5")
    assert Zernike(2).titles == ("piston", "tilt in x", "tilt in y", "defocus", "oblique astigmatism", "vertical astigmatism")
    assert zernike_name(9, 1) == "n = 9, m = 1"
    # the names are right: horizontal coma is odd in x, oblique astigmatism goes as xy
    np.testing.assert_allclose(Zernike(2).columns(0.5, 0.5)[0, 4], math.sqrt(6) * 2 * 0.25)


@pytest.mark.parametrize("hole", [0.0, 0.35])
def test_derivatives_are_those_of_the_monomials(hole, rng):
    """The exact expansion says what the polynomial is; at the centre, too."""
    basis = Zernike(6, obscuration=hole, domain=((0, 10), (-3, 1)))
    x, y = np.append(rng.uniform(0, 10, 30), 5.0), np.append(rng.uniform(-3, 1, 30), -1.0)
    coef = rng.normal(size=28)
    plain = Horner(6, domain=basis.domain)
    monomials, _ = basis.convert(coef, plain)
    for orders in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (2, 3), (6, 0), (4, 4)):
        expected = plain.derivatives(x, y, orders=orders) @ monomials
        np.testing.assert_allclose(basis.derivatives(x, y, orders=orders) @ coef, expected, atol=1e-12 * max(np.abs(expected).max(), 1))


def test_evaluates_as_its_columns(rng):
    x, y = rng.uniform(-1, 1, (2, 20))
    basis, coef = Zernike(9, "osa", 0.2), rng.normal(size=55)
    np.testing.assert_allclose(basis.evaluate(list(coef), [x, y]), basis.columns(x, y) @ coef, rtol=1e-11, atol=1e-11)
    assert Zernike(0).columns([0.0, 1.0], [0.0, 0.0]).tolist() == [[1.0], [1.0]]


def test_converts_with_covariance(rng):
    basis = Zernike(5)
    coef, root = rng.normal(size=21), rng.normal(size=(21, 30))
    there, covar = basis.convert(coef, Horner(5), root @ root.T)
    x, y = rng.uniform(-0.7, 0.7, (2, 15))
    np.testing.assert_allclose(Horner(5).columns(x, y) @ there, basis.columns(x, y) @ coef, atol=1e-12)
    band = [np.einsum("ni,ij,nj->n", b.columns(x, y), c, b.columns(x, y)) for b, c in ((basis, root @ root.T), (Horner(5), covar))]
    np.testing.assert_allclose(*band, rtol=1e-10)
    back, covar = Horner(5, nvars=2).convert(there, basis, covar)
    np.testing.assert_allclose(back, coef, atol=1e-12)
    np.testing.assert_allclose(covar, root @ root.T, rtol=1e-10, atol=1e-10)


def test_there_and_back_at_order_20(rng):
    """231 functions in double-double: Chebyshev polynomials in between keep the digits."""
    basis, coef = Zernike(20), rng.normal(size=231)
    between = Chebyshev(20, domain=((-1, 1), (-1, 1)))
    there, _ = basis.convert(coef, between)
    back, _ = between.convert(there, basis)
    np.testing.assert_allclose(back, coef, atol=1e-12)
    # monomials keep about eight digits on the disc (the square's corners, where Zernike's functions are huge, don't count)
    there, _ = basis.convert(coef, Horner(20))
    x, y, _ = disc_rule(20)
    value = basis.columns(x, y) @ coef
    lost = np.abs(Horner(20).columns(x, y) @ there - value).max() / np.abs(value).max()
    assert 1e-12 < lost < 1e-6
    assert digits_left(basis, coef, Horner(20), there, 2) == pytest.approx(-np.log10(lost), abs=2)


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"order": -1}, "from 0 to 60"),
        ({"order": 2.0}, "from 0 to 60"),
        ({"order": 2, "indexing": "fringe"}, '"noll"'),
        ({"order": 2, "obscuration": 1.0}, "below 1"),
        ({"order": 2, "domain": (0, 1)}, "square around the disc"),
        ({"order": 2, "domain": ((0, 1), (2, 2))}, "square around the disc"),
    ],
)
def test_bad_arguments(kwargs, sentence):
    with pytest.raises(ParameterError, match=sentence):
        Zernike(**kwargs)


def test_bad_indices():
    for call in (
        lambda: noll_to_nm(0),
        lambda: osa_to_nm(-1),
        lambda: noll_to_nm(1.5),
        lambda: nm_to_noll(2, 1),
        lambda: zernike_name(1, 3),
    ):
        with pytest.raises(ParameterError):
            call()
    with pytest.raises(ShapeError, match="2 variables"):
        Zernike(2).columns([1.0])
