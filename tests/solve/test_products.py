"""Columns kept as their factors, against the columns themselves."""

import numpy as np
import pytest

from surffit.solve import products
from surffit.solve.products import Products, blocks, pair_sums

NY, NX = 37, 53


@pytest.fixture
def groups(rng):
    along_y, along_x = list(rng.normal(size=(5, NY))), list(rng.normal(size=(7, NX)))
    picks = [[(0, 0)], [(0, 1)], [(1, 2), (4, 6)], [], [(2, 3), (3, 4), (0, 5)]]
    return [[(along_y[i], along_x[j]) for i, j in one] for one in picks] + [None]


@pytest.fixture
def dense(groups):
    return np.array([sum((np.outer(gy, gx) for gy, gx in one or ()), np.zeros((NY, NX))).ravel() for one in groups])


def test_products_are_those_of_the_columns(groups, dense, rng):
    found = Products.of(groups, NY, NX)
    image, c = rng.normal(size=(NY, NX)), rng.normal(size=len(groups))
    np.testing.assert_allclose(found.against(image), dense @ image.ravel(), atol=1e-11)
    np.testing.assert_allclose(found.image(c).ravel(), c @ dense, atol=1e-12)
    np.testing.assert_allclose(found.rows(slice(3, 9)), dense.reshape(-1, NY, NX)[:, 3:9], atol=1e-14)
    part = found.within((slice(2, 30), slice(5, 50)))
    np.testing.assert_allclose(part.image(c), found.image(c)[2:30, 5:50], atol=1e-14)


@pytest.mark.parametrize("kind", ["none", "weights", "flags"])
@pytest.mark.parametrize("many", [1, 1000])
def test_gram(groups, dense, rng, monkeypatch, kind, many):
    monkeypatch.setattr(products, "MANY", many)
    monkeypatch.setattr(products, "BLOCK", 3 * NX)
    w = {"none": None, "weights": rng.uniform(0, 2, (NY, NX)), "flags": rng.uniform(size=(NY, NX)) < 0.5}[kind]
    weighted = dense if w is None else dense * w.ravel()
    np.testing.assert_allclose(Products.of(groups, NY, NX).gram(w), weighted @ weighted.T, atol=1e-11)


def test_a_factor_that_is_one_array_is_kept_once(groups):
    found = Products.of(groups, NY, NX)
    assert found.U.shape == (5, NY)
    assert found.V.shape == (7, NX)


def test_products_of_polynomials_need_few_lines(rng):
    s, t = np.linspace(-1, 1, 200), np.linspace(-1, 1, 150)
    y, x = (np.polynomial.chebyshev.chebvander(u, 8).T for u in (s, t))
    p, q = np.triu_indices(9)
    w = rng.uniform(0.1, 1, (200, 150))
    lines, made = products._made_of(y[p] * y[q])
    assert len(lines) == 17
    np.testing.assert_allclose(made @ lines, y[p] * y[q], atol=1e-13)
    exact = (y[p] * y[q]) @ w**2 @ (x[p] * x[q]).T
    np.testing.assert_allclose(pair_sums(y[p] * y[q], x[p] * x[q], w), exact, rtol=0, atol=1e-12 * np.abs(exact).max())


@pytest.mark.parametrize("shape", [(1, 5), (7, 200_000), (300, 40)])
def test_blocks_are_all_rows_once(shape):
    seen = [part for part, spare in blocks(shape) if spare.shape == (part.stop - part.start, shape[1])]
    assert [row for part in seen for row in range(part.start, part.stop)] == list(range(shape[0]))
