"""
What the error maps of a batch promise, counted over ten thousand fits (a hundred thousand in the slow tests), seeded.

A pull is (value - truth) / stderr: standard normal where sigma is known, Student's t with the fit's own degrees of freedom where it
is taken from the scatter. Negative controls: sigma x 1.2 must be seen, and so must a normal distribution in the place of Student's.
"""

import functools

import numpy as np
import pytest
from scipy import stats

import surffit as sf

P_SEEN = 1e-3  # Kolmogorov-Smirnov: below, a distribution is called wrong
SIZES = [pytest.param(10_000, id="1e4"), pytest.param(100_000, id="1e5", marks=pytest.mark.slow)]


def line(x, a, b):
    return a + b * x


def gaussian(x, height, center, width, level):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + level


# truth, coordinates (few: Student's t is then far from normal), noise, starts
FAMILIES = {
    "line": (line, {"a": 3.0, "b": -0.5}, np.linspace(0.0, 5.0, 6), 0.7, {}),
    "gaussian": (
        gaussian,
        {"height": 100.0, "center": 0.2, "width": 1.5, "level": 5.0},
        np.linspace(-4.5, 4.5, 9),
        0.3,
        {"center": 0.0, "width": 1.3},
    ),
}
LEAVE_OUT = 0.05  # of the points of the lines: degrees of freedom then differ from fit to fit


@functools.cache
def fitted(name, n, scaled, times=1.0):
    """Pulls (parameters, n), degrees of freedom and chi-square of every fit."""
    func, truth, x, noise, start = FAMILIES[name]
    rng = np.random.default_rng([n, scaled, len(name)])
    shape = (len(x), n)
    sigma = noise * rng.uniform(0.5, 1.5, shape)  # every number its own
    data = func(x[:, None], **truth) + sigma * rng.standard_normal(shape)
    mask = rng.uniform(size=shape) < LEAVE_OUT if name == "line" else None
    # with scaled errors the level of sigma is wrong by 3: the scatter has to find out
    given = sigma * times / (3.0 if scaled else 1.0)
    model = sf.SurfaceModel(func, independent_vars=["x"])
    batch = sf.fit_many(model, data, axis=0, params=start or None, sigma=given, mask=mask, scale_covar=scaled, x=x)
    good = np.asarray(batch.success)
    free = np.asarray(batch.nobs) - len(truth)
    good &= free > 0
    assert good.sum() > 0.995 * n, batch.summary()
    pulls = [(batch.values[key] - value)[good] / batch.stderr[key][good] for key, value in truth.items()]
    return np.array(pulls), free[good], np.asarray(batch.chisqr)[good]


def widths(pulls):
    return pulls.std(axis=1)


def calibrated(pulls):
    return bool(np.all((widths(pulls) > 0.97) & (widths(pulls) < 1.03)))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", FAMILIES)
class TestKnownSigma:
    def test_pulls(self, name, n):
        pulls, _, _ = fitted(name, n, False)
        print(name, n, widths(pulls).round(4))
        assert calibrated(pulls), widths(pulls)
        assert np.all(np.abs(pulls.mean(axis=1)) < 0.02 + 3.0 / np.sqrt(n)), pulls.mean(axis=1)
        cover = (np.abs(pulls) < 1.0).mean(axis=1)
        assert np.all((cover > 0.66) & (cover < 0.70)), cover

    def test_sigma_20_percent_too_large_is_seen(self, name, n):
        pulls, _, _ = fitted(name, n, False, 1.2)
        assert not calibrated(pulls)
        np.testing.assert_allclose(widths(pulls), 1.0 / 1.2, atol=0.03)

    def test_chi_square(self, name, n):
        _, free, chisqr = fitted(name, n, False)
        assert abs(chisqr.sum() - free.sum()) < 4.0 * np.sqrt(2.0 * free.sum())
        assert stats.kstest(stats.chi2(free).cdf(chisqr), "uniform").pvalue > P_SEEN
        # a parameter forgotten in the count would be seen
        assert stats.kstest(stats.chi2(free + 1).cdf(chisqr), "uniform").pvalue < P_SEEN


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", FAMILIES)
class TestErrorsFromTheScatter:
    def test_pulls_follow_students_t(self, name, n):
        pulls, free, _ = fitted(name, n, True)
        for one in pulls:
            assert stats.kstest(stats.t(free).cdf(one), "uniform").pvalue > P_SEEN

    def test_quantiles(self, name, n):
        pulls, free, _ = fitted(name, n, True)
        for level in (0.6827, 0.95, 0.99):
            inside = (np.abs(pulls) < stats.t(free).ppf((1.0 + level) / 2.0)).mean(axis=1)
            assert np.all(np.abs(inside - level) < 4.0 * np.sqrt(level * (1.0 - level) / n)), (level, inside)

    def test_a_normal_distribution_is_seen(self, name, n):
        pulls, _, _ = fitted(name, n, True)
        assert all(stats.kstest(one, "norm").pvalue < P_SEEN for one in pulls)
