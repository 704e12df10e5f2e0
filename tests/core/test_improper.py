"""A posterior that isn't proper is called that: flat priors, and data that say nothing far out."""

import warnings

import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import ChainTooShortError, ConvergenceWarning, ParameterError

X = np.linspace(0.0, 5.0, 12)
Y = 2.0 * X / (2.0 + X) + np.random.default_rng(1).normal(0, 0.3, X.size)
KNOWN = {"sigma": 0.3, "scale_covar": False}


def saturation(x, v, K):
    return v * x / (K + x)


def decay(x, a, k):
    return a * np.exp(-k * x)


def peak(x, A, c, s):
    return A * np.exp(-((x - c) ** 2) / (2 * s**2))


MODEL = sf.SurfaceModel(saturation)


def sampled(result, steps, rng=1):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        posterior = result.sample(steps, rng=rng)
        posterior.summary()
    return posterior, heard


@pytest.mark.parametrize("steps", [100, 2000])
def test_a_chain_that_leaves_is_stopped_and_says_so(steps):
    posterior, heard = sampled(MODEL.fit(Y, x=X, K=1.0, **KNOWN), steps)
    assert not posterior.converged
    assert any("The posterior isn't proper in K" in note and "give it bounds or a prior" in note for note in posterior.notes)
    assert [w.category for w in heard] == [ConvergenceWarning]
    assert "NOT proper in K" in repr(posterior)
    with pytest.raises(ParameterError, match="isn't proper in K"):
        posterior.more(10)


def test_a_bound_on_one_side_is_no_prior():
    params = MODEL.make_params(K={"value": 1, "min": 0}, v={"value": 1, "min": 0})
    posterior, _ = sampled(MODEL.fit(Y, params, x=X, **KNOWN), 2000)
    assert not posterior.converged
    assert any("isn't proper in K and v" in note or "isn't proper in v and K" in note for note in posterior.notes)


@pytest.mark.slow
@pytest.mark.parametrize("given", ["bounds", "prior"])
def test_with_bounds_or_a_prior_it_is_proper(given):
    params = MODEL.make_params(K={"value": 1, "min": 0.01, "max": 20 if given == "bounds" else np.inf})
    priors = {"K": (2.0, 2.0)} if given == "prior" else None
    posterior, heard = sampled(MODEL.fit(Y, params, x=X, priors=priors, **KNOWN), 2000)
    assert posterior.converged
    assert not heard


def test_the_other_ways_to_a_chain_refuse_too():
    with pytest.raises(ChainTooShortError, match="isn't proper in K"):
        MODEL.fit(Y, x=X, K=1.0, **KNOWN).covariance("mcmc", rng=0)
    with pytest.warns(ConvergenceWarning, match="proper"), pytest.raises(ChainTooShortError, match="isn't proper in K"):
        MODEL.fit(Y, x=X, K=1.0, method="emcee", fit_kws={"steps": 300}, **KNOWN)


@pytest.mark.parametrize("seed", [3, 4])
def test_a_tail_that_no_walker_met_yet_is_found(seed):
    x = np.linspace(0, 5, 7)
    y = decay(x, 2, 0.6) + np.random.default_rng(seed).normal(0, 0.1, x.size)
    model = sf.SurfaceModel(decay)
    posterior, _ = sampled(model.fit(y, x=x, k=0.5), 300)
    assert not posterior.converged
    # better data make the tail too thin to be met
    sharp, heard = sampled(model.fit(decay(x, 2, 0.6) + 1e-3 * (y - decay(x, 2, 0.6)), x=x, k=0.5), 300)
    assert sharp.converged
    assert not heard


def test_a_linear_parameter_can_be_the_one():
    x = np.linspace(0, 10, 40)
    y = peak(x, 1.0, 5.0, 1.0) + np.random.default_rng(2).normal(0, 0.15, 40)
    model = sf.SurfaceModel(peak)
    posterior, heard = sampled(model.fit(y, x=x, c=5.0, s=1.0), 2000)
    assert not posterior.converged
    assert any("isn't proper in" in note for note in posterior.notes)
    assert {w.category for w in heard} == {ConvergenceWarning}
