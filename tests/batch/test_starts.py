"""Where fits begin: lines that drift over a map are found without any start, and blocks don't matter."""

from __future__ import annotations

import numpy as np
import pytest
from lmfit.models import ConstantModel, GaussianModel

import surffit as sf

X = np.arange(50.0)
SIDE = 16


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:SIDE, :SIDE] / SIDE
    centre = 25 + 15 * np.sin(3 * xx + 2 * yy) + rng.normal(0, 0.3, (SIDE, SIDE))
    area, sigma = rng.uniform(5, 20, (SIDE, SIDE)), 1.5 * rng.uniform(0.7, 1.4, (SIDE, SIDE))
    shape = np.exp(-(((X - centre[..., None]) / sigma[..., None]) ** 2) / 2) / (sigma[..., None] * np.sqrt(2 * np.pi))
    return centre, area[..., None] * shape + 1 + rng.normal(0, 0.1, (SIDE, SIDE, 50))


def fitted(scene, **kwargs):
    model = GaussianModel() + ConstantModel()
    return sf.fit_many(model, scene[1], axis=2, x=X, weights=10.0, scale_covar=False, **{"engine": "lockstep", "workers": 1, **kwargs})


def right(batch, scene):
    return np.mean(np.abs(batch.values["center"] - scene[0]) < 6 * batch.stderr["center"])


@pytest.mark.parametrize("start", [None, pytest.param("coarse", marks=pytest.mark.slow), "neighbours"])
def test_a_drifting_line_is_found_without_a_start(scene, start):
    assert right(fitted(scene, start=start), scene) > 0.995


def test_the_control_misses_it(scene):
    assert right(fitted(scene, params={"center": 25.0, "sigma": 1.5}), scene) < 0.7


def test_candidates_given(scene):
    start = {"center": np.arange(4, 48, 2.0), "sigma": [1.0, 2.0]}
    assert right(fitted(scene, start=start, params={"center": 25.0, "sigma": 1.5}), scene) == 1.0
    assert right(fitted(scene, start={"center": np.arange(4, 48, 2.0)}, params={"sigma": 1.5}), scene) > 0.99


def test_neighbours_only_improve(scene):
    params = {"center": 25.0, "sigma": 1.5}
    alone, helped = fitted(scene, params=params), fitted(scene, params=params, start="neighbours")
    assert right(helped, scene) > right(alone, scene) + 0.2
    both = alone.success & helped.success
    assert (helped.chisqr[both] <= alone.chisqr[both]).all()
    assert helped.success.sum() > alone.success.sum()


@pytest.mark.parametrize("start", [None, *(pytest.param(name, marks=pytest.mark.slow) for name in ("neighbours", "coarse"))])
def test_independent_of_blocks_and_threads(scene, start):
    one, other = fitted(scene, start=start), fitted(scene, start=start, block=30, workers=3)
    for name in ("values", "stderr", "chisqr", "nfev", "status"):
        assert np.array_equal(getattr(one.maps, name), getattr(other.maps, name)), name


def test_only_what_has_no_start_is_guessed(scene):
    centre = scene[0] + 0.1
    start = np.where(np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 3 > 0, centre, np.nan)
    batch = fitted(scene, params={"center": start, "sigma": 1.5})
    plain = fitted(scene, params={"center": centre, "sigma": 1.5})
    given = np.isfinite(start).ravel()
    assert np.array_equal(batch.maps.values[:, given], plain.maps.values[:, given])
    assert right(batch, scene) > 0.995


def test_what_can_not_be_had_is_said(scene):
    def peak(x, height, centre):
        return height * np.exp(-((x - centre) ** 2))

    data = scene[1][0]
    with pytest.raises(sf.exceptions.ParameterError, match=r"no guess\(\)"):
        sf.fit_many(peak, data, axis=1, x=X, start="guess", params={"centre": 1.0})
    with pytest.raises(sf.exceptions.ParameterError, match="linear and needs no start"):
        sf.fit_many(peak, data, axis=1, x=X, start={"height": [1.0]}, params={"centre": 1.0})
    with pytest.raises(sf.exceptions.ParameterError, match="finite numbers"):
        sf.fit_many(peak, data, axis=1, x=X, start={"centre": [np.nan]}, params={"centre": 1.0})
    moving = np.broadcast_to(X, data.shape) + np.arange(SIDE)[:, None]
    with pytest.raises(sf.exceptions.ParameterError, match="coordinates that they share"):
        sf.fit_many(peak, data, axis=1, x=moving, start="coarse", params={"centre": 1.0}, on_error="raise")
