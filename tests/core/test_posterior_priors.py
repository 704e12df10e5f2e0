"""Priors beside an unknown error of the data: the posterior of both, checked on a grid."""

import numpy as np
import pytest

import surffit as sf

X = np.linspace(0, 5, 7)
Y = 2.0 * np.exp(-0.6 * X) + np.random.default_rng(3).normal(0, 0.1, X.size)
K_PRIOR, A_PRIOR = (0.5, 0.2), (2.0, 0.1)


def decay(x, a, k):
    return a * np.exp(-k * x)


def gaussian(v, mean, sigma):
    return -0.5 * ((v - mean) / sigma) ** 2


def on_a_grid(with_a):
    """Means and standard deviations of a and k, sigma integrated out with the prior 1/sigma."""
    a, k = np.meshgrid(np.linspace(0.2, 5, 400), np.linspace(-0.5, 2.5, 400), indexing="ij")
    chi2 = ((Y - decay(X, a[..., None], k[..., None])) ** 2).sum(axis=-1)
    log = -0.5 * X.size * np.log(chi2) + gaussian(k, *K_PRIOR) + (gaussian(a, *A_PRIOR) if with_a else 0.0)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    means = [float((weight * v).sum()) for v in (a, k)]
    return np.array(means), np.array([float((weight * (v - mean) ** 2).sum()) ** 0.5 for v, mean in zip((a, k), means, strict=True)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("priors", "marginalised"),
    [
        ({"k": K_PRIOR}, ("a",)),
        ({"k": lambda v: gaussian(v, *K_PRIOR)}, ("a",)),
        ({"k": K_PRIOR, "a": A_PRIOR}, ()),
    ],
    ids=["Gaussian", "density", "on the linear one, too"],
)
def test_the_error_is_integrated_out_beside_priors(priors, marginalised):
    mean, sd = on_a_grid("a" in priors)
    posterior = sf.SurfaceModel(decay).fit(Y, x=X, k=0.5, priors=priors).sample(2500, rng=1)
    assert posterior.marginalised == marginalised
    assert posterior.converged
    assert any("integrated out with the prior 1/sigma" in note for note in posterior.notes)
    table = posterior.summary().loc[["a", "k"]]
    np.testing.assert_allclose(table["sd"], sd, rtol=0.05)
    assert (np.abs(table["mean"].to_numpy() - mean) < 5 * table["mc_error"].to_numpy() + 1e-3).all()
