"""
What an error bar promises, counted: 2000 fits of data with known truth per family, seeded.

A pull is (estimate - truth) / stderr. With known data errors it is standard normal; with errors scaled by the residual it
follows Student's t with the fit's degrees of freedom, and is mapped to a normal deviate through that distribution. Every
test has its negative control: errors x 0.85, correlations forgotten, degrees of freedom miscounted must be seen.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

import surffit as sf

pytestmark = pytest.mark.slow

N = 2000
ONE_SIGMA, MOST = 0.6827, 0.95
COVER = 3 * np.sqrt(ONE_SIGMA * (1 - ONE_SIGMA) / N)  # 3.1 points
P_SEEN = 1e-3  # Kolmogorov-Smirnov: below, a distribution is called wrong

rows, columns = np.mgrid[:6, :7].astype(float)
times = np.linspace(0.0, 5.0, 25)
freq = np.linspace(1.0, 3.0, 40)


def surface(x, y, a, b, c, d, e):
    return a + b * x + c * y + d * x * y + e * x**2


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def bump(x, y, h, x0, y0, s, base):
    return h * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / s**2) + base


def untraceable(t, a, k, c):
    return a * np.exp(-k * t) + c if float(np.real(k)) > 0 else np.zeros_like(t)


def resonance(f, s, f0, q):
    return s / (1 + 2j * q * (f - f0) / f0)


class Family:
    """A model with its truth, its coordinates, and others to predict at."""

    def __init__(self, func, truth, sigma, coords, held_out, *, is_complex=False, **params):
        self.func, self.truth, self.coords, self.held_out, self.is_complex = func, truth, coords, held_out, is_complex
        self.model = sf.SurfaceModel(func, list(coords))
        self.params = self.model.make_params(**truth)
        for name, changes in params.items():
            if name in self.params:
                self.params[name].set(**changes)
            else:
                self.params.add(name, **changes)
        self.clean = func(**coords, **truth)
        # unequal errors: a factor of three across the data
        self.sigma = sigma * np.linspace(0.5, 1.5, self.clean.size).reshape(self.clean.shape)
        self.sigma_new = sigma


FAMILIES = {
    "linear": Family(
        surface, {"a": 1.0, "b": 2.0, "c": -1.0, "d": 0.1, "e": -0.2}, 0.5, {"x": columns, "y": rows},
        {"x": np.array([0.5, 3.3, 8.0]), "y": np.array([0.5, 2.2, 7.0])},
    ),
    "nonlinear": Family(decay, {"a": 5.0, "k": 0.8, "c": 1.0}, 0.1, {"t": times}, {"t": np.array([0.1, 1.7, 6.0])}),
    "surface": Family(
        bump, {"h": 10.0, "x0": 3.1, "y0": 2.6, "s": 1.6, "base": 1.0}, 0.1, {"x": columns, "y": rows},
        {"x": np.array([3.0, 0.2, 4.5]), "y": np.array([2.5, 5.5, 1.1])},
    ),
    "numeric": Family(untraceable, {"a": 5.0, "k": 0.8, "c": 1.0}, 0.1, {"t": times}, {"t": np.array([0.1, 1.7, 6.0])}),
    "complex": Family(
        resonance, {"s": 2.0, "f0": 2.05, "q": 9.0}, 0.05, {"f": freq}, {"f": np.array([1.9, 2.05, 2.6])}, is_complex=True
    ),
    "tied": Family(
        lambda x, h1, h2, x1, x2: h1 * np.exp(-((x - x1) ** 2)) + h2 * np.exp(-((x - x2) ** 2)),
        {"h1": 3.0, "h2": 1.5, "x1": 0.0, "x2": 1.8}, 0.05, {"x": np.linspace(-2, 4, 40)}, {"x": np.array([-1.0, 0.9, 3.0])},
        h2={"expr": "h1/2"}, x2={"expr": "x1 + split"}, split={"value": 1.8},
    ),
    "bounded far away": Family(
        decay, {"a": 5.0, "k": 0.8, "c": 1.0}, 0.1, {"t": times}, {"t": np.array([0.1, 1.7, 6.0])},
        a={"min": 0, "max": 1e3}, k={"min": 0, "max": 50}, c={"min": -10, "max": 10},
    ),
}  # fmt: skip
# known errors (scale_covar=False) or scaled by the residual; where the road is the same, one of the two is enough
LEFT_OUT = [("numeric", True), ("tied", True), ("bounded far away", False)]
CASES = [(name, scaled) for name in FAMILIES for scaled in (False, True) if (name, scaled) not in LEFT_OUT]
# families whose correlations are strong, and linear parameters many, so that forgetting them must be seen in 2000 fits
CORRELATED = ("linear", "nonlinear")
KINDS = ("confidence", "prediction")
BANDS = ("linear", "nonlinear", "complex")  # families whose bands are counted too


class Sample:
    """What 2000 fits gave."""

    def __init__(self, values, errors, covars, chisqr, nfree, names, free, bands, news):
        self.values, self.errors, self.covars, self.chisqr, self.nfree = values, errors, covars, chisqr, nfree
        self.names, self.free, self.bands, self.news = names, free, bands, news


@cache
def sample(name, scaled):
    family = FAMILIES[name]
    rng = np.random.default_rng(20240607 + 10 * list(FAMILIES).index(name) + scaled)
    factor = 3.0 if scaled else 1.0  # the errors handed in are then too small by 3: scaling has to find out
    names = tuple(family.params)
    values, errors, covars, chisqr, bands, news = [], [], [], [], [], []
    nfree = free = None
    for _ in range(N):
        noise = rng.normal(size=family.clean.shape)
        if family.is_complex:
            noise = noise + 1j * rng.normal(size=family.clean.shape)
        z = family.clean + noise * family.sigma
        result = family.model.fit(z, family.params, sigma=family.sigma / factor, scale_covar=scaled, **family.coords)
        assert result.success, result.reason
        values.append([result.params[n].value for n in names])
        errors.append([result.params[n].stderr for n in names])
        covars.append(result.covar)
        chisqr.append(result.chisqr / factor**2)
        nfree, free = result.nfree, result.var_names
        if name not in BANDS:
            continue
        new_sigma = family.sigma_new / factor
        kinds = [
            result.predict(level=level, kind=kind, sigma_new=new_sigma if kind == "prediction" else None, **family.held_out)
            for kind in KINDS
            for level in (ONE_SIGMA, MOST)
        ]
        bands.append([[np.asarray(kind[column]) for column in ("fit", "lower", "upper")] for kind in kinds])
        new = rng.normal(size=3) + (1j * rng.normal(size=3) if family.is_complex else 0)
        news.append(family.func(**family.held_out, **family.truth) + family.sigma_new * new)
    return Sample(
        np.array(values), np.array(errors), np.array(covars), np.array(chisqr), nfree, names, list(free), np.array(bands), np.array(news)
    )


def truth_of(family):
    """True values of all parameters, helpers such as `split` included."""
    return np.array([family.truth.get(n, family.params[n].value) for n in family.params])


def deviates(name, scaled, errors_times=1.0):
    """Pulls (N, n) as normal deviates."""
    s = sample(name, scaled)
    pulls = (s.values - truth_of(FAMILIES[name])) / (errors_times * s.errors)
    return stats.norm.ppf(stats.t.cdf(pulls, s.nfree)) if scaled else pulls


def verdict(u):
    """What is wrong with normal deviates (N, n): a sentence, or None; 3 sigma of each statistic."""
    mean, sd = u.mean(axis=0), u.std(axis=0)
    cover = (np.abs(u) < stats.norm.ppf((1 + ONE_SIGMA) / 2)).mean(axis=0)
    counts = [np.histogram(column, np.arange(-3.5, 4.0))[0].tolist() for column in u.T]
    text = f"N = {len(u)}, mean {mean.round(3)}, sd {sd.round(3)}, coverage {cover.round(3)}, pulls -3.5..3.5 {counts}"
    if np.any((sd < 0.93) | (sd > 1.07)):
        return "width: " + text
    if np.any(np.abs(cover - ONE_SIGMA) > COVER):
        return "coverage: " + text
    if np.any(np.abs(mean) > 3 / np.sqrt(len(u))):
        return "bias: " + text
    return None


@pytest.mark.parametrize(("name", "scaled"), CASES, ids=[f"{name}-{'scaled' if scaled else 'known'}" for name, scaled in CASES])
class TestFamilies:
    """Every statistic of every sample; the samples are made once and kept."""

    def test_pulls(self, name, scaled):
        wrong = verdict(deviates(name, scaled))
        # a model that bends within its errors is biased by a fraction of them, which is no fault of the error
        assert wrong is None or (wrong.startswith("bias") and name != "linear"), wrong

    def test_pulls_with_errors_15_percent_too_small_are_seen(self, name, scaled):
        wrong = verdict(deviates(name, scaled, 0.85))
        assert wrong is not None
        assert wrong.startswith("width")

    def test_coverage_alone_sees_errors_15_percent_too_small(self, name, scaled):
        u = deviates(name, scaled, 0.85)
        cover = (np.abs(u) < 1.0).mean(axis=0)
        assert np.all(cover < ONE_SIGMA - COVER)

    def test_bias_is_a_small_part_of_the_error(self, name, scaled):
        mean = np.abs(deviates(name, scaled).mean(axis=0))
        assert np.all(mean < 3 / np.sqrt(N) + 0.05), mean

    def test_whole_covariance(self, name, scaled):
        s = sample(name, scaled)
        where = [s.names.index(n) for n in s.free]
        d = s.values[:, where] - truth_of(FAMILIES[name])[where]

        def p_value(covars):
            # unit diagonal first: covariances of parameters of any units are then well conditioned
            scale = np.sqrt(np.einsum("ijj->ij", covars))
            u = d / scale
            m2 = np.einsum("ij,ij->i", u, np.linalg.solve(covars / scale[:, :, None] / scale[:, None, :], u[..., None])[..., 0])
            n = len(where)
            law = stats.f(n, s.nfree).cdf if scaled else stats.chi2(n).cdf
            return stats.kstest(m2 / n if scaled else m2, law).pvalue

        assert p_value(s.covars) > P_SEEN
        diagonal = np.einsum("ij,jk->ijk", np.einsum("ijj->ij", s.covars), np.eye(len(where)))
        if name in CORRELATED:
            assert p_value(diagonal) < P_SEEN / 1e3

    def test_chi_square_counts_the_linear_parameters_too(self, name, scaled):
        s = sample(name, scaled)
        points = FAMILIES[name].clean.size * (2 if FAMILIES[name].is_complex else 1)
        assert s.nfree == points - len(s.free)
        assert stats.kstest(s.chisqr, stats.chi2(s.nfree).cdf).pvalue > P_SEEN
        if name in CORRELATED:
            linear = len(FAMILIES[name].model.linear)
            assert linear > 1
            assert stats.kstest(s.chisqr, stats.chi2(s.nfree + linear).cdf).pvalue < P_SEEN / 1e3


def within(covered, level):
    """Whether shares of N intervals are those that the level promises: 3 binomial sigma."""
    return np.abs(covered - level) < 3 * np.sqrt(level * (1 - level) / N)


@pytest.mark.parametrize(("name", "scaled"), [case for case in CASES if case[0] in BANDS])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [ONE_SIGMA, MOST])
def test_bands_at_held_out_coordinates(name, scaled, kind, level):
    family, s = FAMILIES[name], sample(name, scaled)
    fit, lower, upper = np.moveaxis(s.bands[:, 2 * KINDS.index(kind) + (level == MOST)], 1, 0)
    if kind == "confidence":
        target = np.broadcast_to(family.func(**family.held_out, **family.truth), fit.shape)
    else:
        target = s.news
    parts = ("real", "imag") if family.is_complex else ("real",)
    for part in parts:
        at, low, mid, high = (getattr(v, part) for v in (target, lower, fit, upper))
        cover = ((low < at) & (at < high)).mean(axis=0)
        assert within(cover, level).all(), (part, cover)
        small = (np.abs(at - mid) < 0.85 * (high - mid)).mean(axis=0)
        assert not within(small, level).any(), (part, small)


def test_band_from_the_diagonal_alone_is_seen():
    """Negative control of the bands: without its correlations the covariance gives bands that miss by far."""
    family, s = FAMILIES["linear"], sample("linear", False)
    x, y = family.held_out["x"], family.held_out["y"]
    g = np.stack([np.ones(3), x, y, x * y, x**2])
    fit = s.bands[:, 0, 0]
    truth = family.func(**family.held_out, **family.truth)
    whole = np.sqrt(np.einsum("ik,nij,jk->nk", g, s.covars, g))
    alone = np.sqrt(np.einsum("ik,nii,ik->nk", g, s.covars, g))
    assert np.all(np.abs((np.abs(fit - truth) < whole).mean(axis=0) - ONE_SIGMA) < COVER)
    assert np.all(np.abs((np.abs(fit - truth) < alone).mean(axis=0) - ONE_SIGMA) > COVER)


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_the_verdict_sees_wrong_errors_in_300_of_300(factor):
    rng = np.random.default_rng(1)
    assert all(verdict(rng.normal(size=(N, 1)) / factor) for _ in range(300))


def test_the_verdict_seldom_condemns_right_errors():
    """Three statistics at 3 sigma: a false alarm in about 1 of 150."""
    rng = np.random.default_rng(2)
    assert sum(verdict(rng.normal(size=(N, 1))) is not None for _ in range(300)) <= 8
