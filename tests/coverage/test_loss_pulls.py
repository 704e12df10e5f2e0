"""
What the error bars of losses and priors promise, counted: 1000 fits per family with known truth, seeded.

A pull is (estimate - truth) / stderr. Each family has its negative control: the covariance of chi-square on contaminated data,
sqrt(n) weights on low counts, a prior that is left out of the errors.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

import surffit as sf

pytestmark = pytest.mark.slow

N = 1000
COVER = 3 * np.sqrt(0.6827 * 0.3173 / N)  # 4.4 points
x = np.linspace(0.0, 5.0, 60)
TRUTH = {"a": 3.0, "k": 0.8, "c": 1.0}


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


def waiting(data, model):
    """-2 ln L of exponentially distributed data around their mean."""
    return 2.0 * (np.log(model) + data / model)


model = sf.SurfaceModel(decay)
clean = decay(x, **TRUTH)


def contaminated(rng):
    y = clean + rng.normal(0, 0.1, x.size)
    bad = rng.random(x.size) < 0.1
    return np.where(bad, clean + rng.normal(0, 1.5, x.size), y)


def known(loss):
    return {"loss": loss, "sigma": 0.1, "scale_covar": False}


FAMILIES = {
    "soft_l1": (contaminated, {"loss": "soft_l1"}),
    "huber": (contaminated, {"loss": "huber", "fit_kws": {"f_scale": 1.345}}),
    "cauchy": (contaminated, {"loss": "cauchy", "fit_kws": {"f_scale": 2.385}}),
    "soft_l1, known errors": (contaminated, known("soft_l1")),
    "poisson": (lambda rng: rng.poisson(40 * clean), {"loss": "poisson"}),
    "exponential": (lambda rng: rng.exponential(np.tile(clean, 12)), {"loss": waiting}),
}


@cache
def pulls(name):
    draw, kws = FAMILIES[name]
    rng = np.random.default_rng(20240607)
    factor = 40.0 if name == "poisson" else 1.0
    t = np.tile(x, 12) if name == "exponential" else x
    out = []
    for _ in range(N):
        result = model.fit(draw(rng), x=t, k=0.8, a=3.0 * factor, c=1.0 * factor, **kws)
        if result.success:
            true = np.array([TRUTH[n] * (factor if n != "k" else 1.0) for n in "akc"])
            out.append([(result.params[n].value - t) / result.params[n].stderr for n, t in zip("akc", true, strict=True)])
    assert len(out) > 0.98 * N
    # the residual's scatter is found from the data: Student's t, mapped to a normal deviate
    scaled = kws["loss"] in ("soft_l1", "huber", "cauchy") and kws.get("scale_covar", True)
    return stats.norm.ppf(stats.t(x.size - 3).cdf(out)) if scaled else np.array(out)


def promise(z):
    """Standard deviation within 7 %, 68 % intervals within their counting error, no bias beyond a tenth of an error."""
    spread, inside, bias = z.std(axis=0), (np.abs(z) < 1).mean(axis=0), np.abs(z.mean(axis=0))
    return bool((np.abs(spread - 1) < 0.07).all() and (np.abs(inside - 0.6827) < COVER).all() and (bias < 0.12).all())


@pytest.mark.parametrize("name", FAMILIES)
def test_pulls(name):
    z = pulls(name)
    assert promise(z), (z.std(axis=0), (np.abs(z) < 1).mean(axis=0), z.mean(axis=0))
    assert not promise(z / 0.85)


def test_chi_square_on_contaminated_data_fails_the_same_test():
    rng = np.random.default_rng(20240607)
    z = []
    for _ in range(300):
        result = model.fit(contaminated(rng), x=x, k=0.8, sigma=0.1, scale_covar=False)
        z.append([(result.params[n].value - TRUTH[n]) / result.params[n].stderr for n in "akc"])
    assert np.std(z, axis=0).min() > 2.0


def test_root_n_weights_on_low_counts_fail_the_same_test():
    rng = np.random.default_rng(20240607)
    z = []
    for _ in range(300):
        n = rng.poisson(4 * clean)
        result = model.fit(n, x=x, k=0.8, sigma=np.sqrt(np.maximum(n, 1)), scale_covar=False)
        z.append([(result.params[p].value - t) / result.params[p].stderr for p, t in (("a", 12.0), ("c", 4.0))])
    assert np.abs(np.mean(z, axis=0)).max() > 0.5


@cache
def prior_pulls(scaled):
    """Truths drawn from the prior, data from the truth."""
    rng = np.random.default_rng(7)
    out = []
    for _ in range(N):
        k, c = rng.normal(0.8, 0.03), rng.normal(1.0, 0.02)
        y = decay(x, 3.0, k, c) + rng.normal(0, 0.1, x.size)
        kws = {} if scaled else {"sigma": 0.1, "scale_covar": False}
        result = model.fit(y, x=x, k=0.8, priors={"k": (0.8, 0.03), "c": (1.0, 0.02)}, **kws)
        plain = model.fit(y, x=x, k=0.8, **kws)
        out.append([
            ((result.params[n].value - t) / result.params[n].stderr, (result.params[n].value - t) / plain.params[n].stderr)
            for n, t in zip("akc", (3.0, k, c), strict=True)
        ])  # fmt: skip
    return np.array(out)


@pytest.mark.parametrize("scaled", [True, False])
def test_pulls_with_priors(scaled):
    z = prior_pulls(scaled)
    assert promise(z[:, :, 0]), z[:, :, 0].std(axis=0)
    assert not promise(z[:, :, 1])  # errors that forget the prior
