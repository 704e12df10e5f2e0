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

RUNS = 360
DRAWS = 63  # ranks 0..63 fall evenly into 8 bins
P_SEEN = 1e-3  # below, ranks are called wrong
STEPS, WALKERS, BURN = 44, 8, 12  # short chains: about three steps are as good as independent here
SIGMA = 0.5
t = np.linspace(0.0, 3.0, 12)  # few points, so that what is integrated out matters
PRIORS = {"a": (5.0, 2.0), "k": (1.5, 0.35), "c": (1.0, 2.0)}
TRUTH = {"a": 20.0, "k": 1.3, "c": 1.0, "d": -0.5, "e": 0.3}


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


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
    flat = posterior.chain[BURN:, :, posterior.names.index(name)].reshape(-1)
    return flat[np.linspace(0, len(flat) - 1, count).astype(int)]


@cache
def proper():
    """Draws of the decay with Gaussian priors and known errors: truth (RUNS, 3), draws (RUNS, DRAWS, 3)."""
    rng = np.random.default_rng(20242607)
    model = sf.SurfaceModel(decay)
    centre, width = (np.array(v) for v in zip(*PRIORS.values(), strict=True))
    truths, draws = [], []
    for run in range(RUNS):
        truth = rng.normal(centre, width)
        y = decay(t, *truth) + SIGMA * rng.normal(size=t.size)
        starts = dict(zip(PRIORS, truth, strict=True))
        result = model.fit(y, sigma=SIGMA, scale_covar=False, priors=PRIORS, t=t, **starts)
        assert result.success, result.reason
        posterior = result.sample(steps=STEPS, walkers=WALKERS, rng=run)
        assert posterior.marginalised == ("a", "c")
        truths.append(truth)
        draws.append(np.stack([thinned(posterior, name) for name in PRIORS], axis=1))
    return np.array(truths), np.array(draws)


@cache
def unknown():
    """
    Draws of the rate of `bent` with unknown errors and flat priors, which here are those of the frequentist too: truth, draws,
    and what weights each draw back to the profile.
    """
    rng = np.random.default_rng(20240608)
    model = sf.SurfaceModel(bent)
    clean = bent(t, **TRUTH)
    draws, weights = [], []
    for run in range(RUNS):
        y = clean + 0.02 * rng.normal(size=t.size)
        result = model.fit(y, t=t, **TRUTH)
        posterior = result.sample(steps=STEPS, walkers=WALKERS, rng=run)
        assert len(posterior.marginalised) == 4
        k = thinned(posterior, "k")
        # chi-square and determinant of the columns at each draw: marginal = chi2^-(N - 4)/2 / det, profile = chi2^-N/2
        columns = np.stack([np.exp(-k[:, None] * t), *(np.broadcast_to(t**power, (k.size, t.size)) for power in range(3))], axis=2)
        Q, R = np.linalg.qr(columns)
        chi2 = y @ y - ((y @ Q) ** 2).sum(axis=1)
        log = np.log(np.abs(np.einsum("ijj->ij", R))).sum(axis=1) - 2 * np.log(chi2)
        draws.append(k)
        weights.append(np.exp(log - log.max()))
    return np.full((RUNS, 1), TRUTH["k"]), np.array(draws)[:, :, None], np.array(weights)


def deviates(truths, draws, weights=None):
    rng = np.random.default_rng(1)
    n = draws.shape[2]
    return np.array(
        [[ranked(draws[i, :, j], truths[i, j], rng, None if weights is None else weights[i]) for j in range(n)] for i in range(len(draws))]
    )


def told(z):
    return f"mean {z.mean():.3f}, sd {z.std():.3f}, bins {np.histogram(stats.norm.cdf(z), 8, (0, 1))[0].tolist()}, p {p_value(z):.2g}"


@pytest.mark.parametrize("j", range(3), ids=PRIORS)
class TestProperPriors:
    """The walked parameter and those integrated out."""

    def test_intervals_cover_and_pulls_have_unit_width(self, j):
        """With the truth drawn from the prior, the rung's errors keep the same promises as the others'."""
        truths, draws = (v[..., j] for v in proper())
        pulls = (draws.mean(axis=1) - truths) / draws.std(axis=1, ddof=1)
        assert abs(pulls.std() - 1) < 3 / np.sqrt(2 * RUNS)
        assert abs((pulls / 0.85).std() - 1) > 3 / np.sqrt(2 * RUNS) / 2
        ordered = np.sort(draws, axis=1)
        for out in (10, 2, 1):  # draws left out on each side: 69, 94 and 97 % of the truths lie between the others, exactly
            level = 1 - 2 * out / (DRAWS + 1)
            cover = ((ordered[:, out - 1] < truths) & (truths < ordered[:, -out])).mean()
            assert abs(cover - level) < 3 * np.sqrt(level * (1 - level) / RUNS), (level, cover)

    def test_ranks_are_uniform(self, j):
        z = deviates(*proper())[:, j]
        assert p_value(z) > P_SEEN, told(z)

    def test_samples_15_percent_too_narrow_are_seen(self, j):
        truths, draws = proper()
        middle = draws.mean(axis=1, keepdims=True)
        z = deviates(truths, middle + 0.85 * (draws - middle))[:, j]
        assert p_value(z) < P_SEEN, told(z)

    def test_samples_a_quarter_of_their_width_off_are_seen(self, j):
        truths, draws = proper()
        z = deviates(truths, draws + 0.25 * draws.std(axis=1, keepdims=True))[:, j]
        assert p_value(z) < P_SEEN, told(z)


def test_a_prior_shifted_by_half_a_sigma_is_seen():
    truths, draws = proper()
    centre, width = PRIORS["k"]
    u = (draws[:, :, 1] - centre) / width
    z = deviates(truths, draws, np.exp(0.5 * u**2 - 0.5 * (u - 0.5) ** 2))[:, 1]
    assert p_value(z) < P_SEEN, told(z)


def test_twelve_points_with_unknown_errors():
    truths, draws, _ = unknown()
    z = deviates(truths, draws)[:, 0]
    assert p_value(z) > P_SEEN, told(z)


def test_the_profile_in_place_of_the_marginal_is_seen():
    """Minimised over four linear parameters instead of integrated, twelve points pass for more than they are."""
    truths, draws, weights = unknown()
    z = deviates(truths, draws, weights)[:, 0]
    assert z.std() > 1.1
    assert p_value(z) < P_SEEN, told(z)


def test_the_verdict_seldom_condemns_uniform_ranks():
    rng = np.random.default_rng(5)
    assert sum(p_value(rng.normal(size=RUNS)) < 0.01 for _ in range(500)) <= 12
