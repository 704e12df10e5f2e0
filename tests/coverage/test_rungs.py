"""
What the upper rungs of the ladder and profile limits promise, counted on seeded fits.

As in `test_pulls`: pulls have unit spread, intervals cover what they say, and errors 15 % too small are seen.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

import surffit as sf

pytestmark = pytest.mark.slow

ONE_SIGMA, MOST = 0.6827, 0.95
t = np.linspace(0.0, 5.0, 25)
TRUTH = {"a": 5.0, "k": 0.8, "c": 1.0}
LINE = {"a": 5.0, "b": 0.8, "c": -0.2}


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def parabola(t, a, b, c):
    return a + b * t + c * t * t


DECAY, PARABOLA = sf.SurfaceModel(decay), sf.SurfaceModel(parabola)
SIGMA = 0.1 * np.linspace(0.5, 1.5, t.size)


def gaussian(model, truth, scaled):
    """Fits of Gaussian data; with `scaled` the errors handed in are too small by 3."""

    def one(rng):
        z = model.func(t, **truth) + SIGMA * rng.normal(size=t.size)
        return model.fit(z, sigma=SIGMA / (3.0 if scaled else 1.0), scale_covar=scaled, t=t, **truth)

    return one


# what is fitted, its truth, which rung, how many fits, and whether errors are scaled (then pulls follow Student's t)
CASES = {
    "hessian, known errors": (gaussian(DECAY, TRUTH, False), TRUTH, "hessian", 800, False),
    "hessian, scaled errors": (gaussian(DECAY, TRUTH, True), TRUTH, "hessian", 400, True),
    "mcmc, all linear": (gaussian(PARABOLA, LINE, False), LINE, "mcmc", 400, False),
}


@cache
def sample(name):
    """Pulls (fits, parameters) as normal deviates."""
    fit, truth, rung, count, scaled = CASES[name]
    rng = np.random.default_rng(20240607 + list(CASES).index(name))
    pulls = []
    nfree = 0
    for run in range(count):
        result = fit(rng)
        assert result.success, result.reason
        errors = result.covariance(rung, rng=run).stderr
        pulls.append([(result.params[n].value - truth[n]) / errors[n] for n in truth])
        nfree = result.nfree
    pulls = np.array(pulls)
    return stats.norm.ppf(stats.t.cdf(pulls, nfree)) if scaled else pulls


def wrong(pulls):
    """What is wrong with pulls; None if nothing is: bands of the promise, widened to 3 sigma of the number of fits."""
    n = len(pulls)
    sd, mean = pulls.std(axis=0), pulls.mean(axis=0)
    told = f"{n} fits: mean {mean.round(3)}, sd {sd.round(3)}"
    if np.any(np.abs(sd - 1) > max(0.07, 3 / np.sqrt(2 * n))):
        return "width: " + told
    for level, slack in ((ONE_SIGMA, 0.025), (MOST, 0.015)):
        cover = (np.abs(pulls) < stats.norm.ppf((1 + level) / 2)).mean(axis=0)
        if np.any(np.abs(cover - level) > max(slack, 3 * np.sqrt(level * (1 - level) / n))):
            return f"coverage {cover.round(3)} for {level}: " + told
    if np.any(np.abs(mean) > 3 / np.sqrt(n) + 0.07):  # a model that bends within its errors is biased by a fraction of them
        return "bias: " + told
    return None


@pytest.mark.parametrize("name", CASES)
def test_pulls(name):
    assert wrong(sample(name)) is None


@pytest.mark.parametrize("name", CASES)
def test_errors_15_percent_too_small_are_seen(name):
    assert wrong(sample(name) / 0.85) is not None


@pytest.mark.parametrize("name", CASES)
def test_weights_wrong_by_half_are_seen(name):
    assert wrong(sample(name) / 1.5) is not None
    assert wrong(sample(name) * 1.5) is not None


# ---- profile limits ------------------------------------------------------------------------------------------------------


@cache
def limits(scaled):
    """Shares of the probability below the truth at which profile limits were drawn: (fits, parameters, limits)."""
    fit = gaussian(DECAY, TRUTH, scaled)
    rng = np.random.default_rng(77 + scaled)
    found = []
    for _ in range(400):
        intervals = fit(rng).conf_interval(sigmas=[ONE_SIGMA, MOST])
        found.append([[value for _, value in intervals[name]] for name in TRUTH])
    return np.array(found)


def covered(found, level, shrink=1.0):
    low, best, high = (found[:, :, i] for i in ((1, 2, 3) if level == ONE_SIGMA else (0, 2, 4)))
    truth = np.array(list(TRUTH.values()))
    return ((best - shrink * (best - low) < truth) & (truth < best + shrink * (high - best))).mean(axis=0)


@pytest.mark.parametrize("scaled", [False, True], ids=["known", "scaled"])
@pytest.mark.parametrize("level", [ONE_SIGMA, MOST])
def test_profile_limits_cover(scaled, level):
    found = limits(scaled)
    slack = 3 * np.sqrt(level * (1 - level) / len(found))
    cover = covered(found, level)
    assert np.all(np.abs(cover - level) < slack), cover
    assert np.all(covered(found, level, 0.85) < level - slack / 3)
    assert covered(found, level, 0.85).mean() < level - slack / 2


@pytest.mark.parametrize("scaled", [False, True], ids=["known", "scaled"])
def test_profile_limits_miss_on_both_sides_alike(scaled):
    """Where the error of the rate is large the limits are not symmetric, and each side misses its share."""
    found = limits(scaled)
    truth = np.array(list(TRUTH.values()))
    below, above = (truth < found[:, :, 0]).mean(axis=0), (truth > found[:, :, 4]).mean(axis=0)
    half = (1 - MOST) / 2
    assert np.all(np.abs(below - half) < 3 * np.sqrt(half * (1 - half) / len(found))), below
    assert np.all(np.abs(above - half) < 3 * np.sqrt(half * (1 - half) / len(found))), above
    assert np.all(found[:, 1, 4] - found[:, 1, 2] > found[:, 1, 2] - found[:, 1, 0])  # the rate's upper side is the longer one
