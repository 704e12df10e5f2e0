"""
Is the posterior the posterior? Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788).

Parameters are drawn from the prior, data from the parameters, samples from the posterior of those data: the rank of the truth
among the samples is uniform, whatever the model. The ranks are compared with the uniform distribution by chi-square over bins,
and as normal deviates by the sum of their squares, which sees widths best. Negative controls come from the very same samples:
shrunk, weighted by another prior, or weighted back to the profile, where linear parameters are minimised instead of integrated.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

import surffit as sf

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::surffit.exceptions.ConvergenceWarning")]

RUNS = 320
DRAWS = 63  # ranks 0..63 fall evenly into 8 bins
P_SEEN = 1e-3  # below, ranks are called wrong
STEPS, WALKERS = 150, 6
SIGMA = 0.5
t = np.linspace(0.0, 3.0, 12)  # few points, so that what is integrated out matters
PRIORS = {"a": (5.0, 2.0), "k": (1.5, 0.35), "c": (1.0, 2.0)}


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def with_priors(t, a, k, c):
    """The decay on all but the last three rows, which are the priors as data: each parameter measured once."""
    return np.concatenate([a * np.exp(-k * t[:-3]) + c, np.stack([a, k, c])]) if np.ndim(t) else 0.0


def bent(t, a, k, c, d, e):
    return a * np.exp(-k * t) + c + d * t + e * t**2


def ranked(draws, truth, rng, weights=None):
    """Share of the (weighted) draws below the truth, as a normal deviate; equal shares where the draws are independent."""
    below = (draws < truth).astype(float)
    if weights is None:
        share = (below.sum() + rng.uniform()) / (len(draws) + 1)
    else:
        share = (below @ weights / weights.sum() * len(draws) + rng.uniform()) / (len(draws) + 1)
    return stats.norm.ppf(share)


def p_value(z):
    """The least of three tests of N deviates, with the share that three of them take."""
    n = len(z)
    bins = stats.chisquare(np.histogram(stats.norm.cdf(z), 8, (0, 1))[0]).pvalue
    width = 2 * min(stats.chi2(n).sf(z @ z), stats.chi2(n).cdf(z @ z))
    middle = 2 * stats.norm.sf(abs(z.sum()) / np.sqrt(n))
    return 3 * min(bins, width, middle)


def thinned(posterior, name, count=DRAWS):
    """Nearly independent draws."""
    flat = posterior.to_frame()[name].to_numpy()
    return flat[np.linspace(0, len(flat) - 1, count).astype(int)]


@cache
def proper():
    """Draws of the decay with Gaussian priors and known errors: truth (RUNS, 3), draws (RUNS, DRAWS, 3)."""
    rng = np.random.default_rng(20240607)
    model = sf.SurfaceModel(with_priors, ["t"])
    centre, width = (np.array(v) for v in zip(*PRIORS.values(), strict=True))
    truths, draws = [], []
    for run in range(RUNS):
        truth = rng.normal(centre, width)
        y = np.concatenate([decay(t, *truth) + SIGMA * rng.normal(size=t.size), centre])
        sigma = np.concatenate([np.full(t.size, SIGMA), width])
        starts = dict(zip(PRIORS, truth, strict=True))
        result = model.fit(y, sigma=sigma, scale_covar=False, t=np.concatenate([t, [0.0, 0.0, 0.0]]), **starts)
        assert result.success, result.reason
        posterior = result.sample(steps=STEPS, walkers=WALKERS, rng=run)
        truths.append(truth)
        draws.append(np.stack([thinned(posterior, name) for name in PRIORS], axis=1))
    return np.array(truths), np.array(draws)


def deviates(truths, draws, weights=None):
    rng = np.random.default_rng(1)
    return np.array([[ranked(draws[i, :, j], truths[i, j], rng, None if weights is None else weights[i]) for j in range(draws.shape[2])]
                     for i in range(len(draws))])  # fmt: skip


@pytest.mark.parametrize("j", range(3), ids=PRIORS)
class TestProperPriors:
    def test_ranks_are_uniform(self, j):
        z = deviates(*proper())[:, j]
        assert p_value(z) > P_SEEN, (z.mean(), z.std(), np.histogram(stats.norm.cdf(z), 8, (0, 1))[0])

    def test_samples_15_percent_too_narrow_are_seen(self, j):
        truths, draws = proper()
        middle = draws.mean(axis=1, keepdims=True)
        assert p_value(deviates(truths, middle + 0.85 * (draws - middle))[:, j]) < P_SEEN

    def test_a_prior_shifted_by_half_a_sigma_is_seen(self, j):
        truths, draws = proper()
        centre, width = list(PRIORS.values())[j]
        u = (draws[:, :, j] - centre) / width
        weights = np.exp(0.5 * u**2 - 0.5 * (u - 0.5) ** 2)
        assert p_value(deviates(truths, draws, weights)[:, j]) < P_SEEN
