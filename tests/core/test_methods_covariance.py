"""Whatever lmfit method minimises, the covariance is that of the minimum."""

import numpy as np
import pytest
from lmfit.minimizer import SCALAR_METHODS

import surffit as sf

X = np.linspace(0.0, 10.0, 60)
Y = 3.0 * np.exp(-0.45 * X) + 0.5 + np.random.default_rng(0).normal(0, 0.05, X.size)


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


MODEL = sf.SurfaceModel(decay)
WHOLE = sf.SurfaceModel(decay, linear=())
VECTOR = ["leastsq", "least_squares"]
SHORT = {
    "brute": {"Ns": 5},
    "basinhopping": {"niter": 3},
    "ampgo": {"totaliter": 2, "maxfunevals": 200},
    "dual_annealing": {"maxiter": 20},
    "shgo": {},
    "differential_evolution": {"rng": 1},
}
SOME = ["leastsq", "nelder", "powell", "lbfgsb", "cg", "cobyla", "differential_evolution"]


def fitted(model, method, size=1.0, **kws):
    params = model.make_params(a=2.0 * size, k=0.3, c=0.1 * size)
    params["k"].set(min=0.01, max=2.0)
    for name in ("a", "c"):
        params[name].set(min=-10 * size, max=10 * size)
    return model.fit(size * Y, params, x=X, method=method, **kws)


def agrees(result, size=1.0):
    wanted = MODEL.fit(size * Y, x=X, k=0.3)
    assert result.success, result.reason
    assert result.covar_source == "jacobian"
    np.testing.assert_allclose(
        result.covar / np.outer(*[[result.params[n].stderr for n in "akc"]] * 2),
        wanted.covar / np.outer(*[[wanted.params[n].stderr for n in "akc"]] * 2),
        atol=1e-6,
    )
    for name in "akc":
        assert result.params[name].stderr == pytest.approx(wanted.params[name].stderr, rel=1e-6), name


@pytest.mark.parametrize("method", [*VECTOR, *SCALAR_METHODS, *SHORT])
def test_every_method_ends_with_the_right_covariance(method):
    agrees(fitted(MODEL, method, fit_kws=dict(SHORT.get(method, {}))))


@pytest.mark.parametrize("size", [1e6, 1e-12])
@pytest.mark.parametrize("method", SOME)
def test_and_in_any_unit_without_elimination(method, size):
    agrees(fitted(WHOLE, method, size, fit_kws=dict(SHORT.get(method, {}))), size)


@pytest.mark.parametrize("method", ["nelder", "powell", "cobyla"])
def test_functions_that_can_only_be_called(method):
    """Nothing to trace: differences, and the ladder still ends on the first rung, to their accuracy."""

    def func(x, a, k, c):
        return np.array([float(a) * np.exp(-float(k) * v) + float(c) for v in x])

    agrees(fitted(sf.SurfaceModel(func), method, 1e6), 1e6)


@pytest.mark.parametrize("rung", ["hessian", "mcmc"])
def test_the_other_rungs_after_a_scalar_method(rung):
    found = fitted(MODEL, "nelder").covariance(rung, rng=1)
    wanted = MODEL.fit(Y, x=X, k=0.3).covariance("hessian")
    for name in "akc":
        assert found.stderr[name] == pytest.approx(wanted.stderr[name], rel=1e-6 if rung == "hessian" else 0.06)


def test_an_unpolished_end_keeps_the_errors_of_where_it_is():
    """polish=False: the walk stops a hundredth of an error from the minimum; the errors are right to what that moves them."""
    rough = MODEL.fit(Y, x=X, k=0.3, fit_kws={"polish": False})
    wanted = MODEL.fit(Y, x=X, k=0.3)
    assert rough.covar_source == "jacobian"
    for name in "akc":
        assert rough.params[name].stderr == pytest.approx(wanted.params[name].stderr, rel=1e-3)
        assert rough.covariance("hessian").stderr[name] == pytest.approx(wanted.covariance("hessian").stderr[name], rel=1e-3)
