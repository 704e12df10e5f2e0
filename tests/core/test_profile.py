"""Profile intervals and regions, against lmfit's and closed forms, after every kind of fit."""

import warnings

import lmfit
import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

import surffit as sf
from surffit.exceptions import ConvergenceWarning, CovarianceWarning, DocumentError, ParameterError

X = np.linspace(0.0, 10.0, 60)
Y = 3.0 * np.exp(-0.45 * X) + 0.5 + np.random.default_rng(0).normal(0, 0.05, X.size)


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


def slow_decay(x, a, k, c):
    return np.array([float(a) * np.exp(-float(k) * v) + float(c) for v in x])


def pair(x, a, b, k):
    return (a + b) * np.exp(-k * x)


def line(x, a, b):
    return a + b * x


MODEL = sf.SurfaceModel(decay)


def limits(found, name):
    return np.array([value for _, value in found[name]])


@pytest.fixture(scope="module")
def theirs():
    result = lmfit.Model(decay).fit(Y, x=X, a=3.0, k=0.4, c=0.5)
    return result, result.conf_interval()


@pytest.mark.parametrize(
    ("func", "method", "kws"),
    [
        (decay, "separable", {}),
        (slow_decay, "separable", {}),
        (decay, "leastsq", {}),
        (decay, "nelder", {}),
        (decay, "powell", {}),
        (decay, "lbfgsb", {}),
        (decay, "separable", {"linear": ()}),
        (decay, "separable", {"scale": 1e6}),
        (decay, "separable", {"scale": 1e-12}),
    ],
)
def test_the_limits_are_lmfits(func, method, kws, theirs):
    scale = kws.pop("scale", 1.0)
    result = sf.SurfaceModel(func, **kws).fit(scale * Y, x=X, a=3.0 * scale, k=0.4, c=0.5 * scale, method=method)
    found = result.conf_interval()
    kws["scale"] = scale
    assert list(found) == ["a", "k", "c"]
    for name in found:
        unit = 1.0 if name == "k" else scale
        wanted = limits(theirs[1], name)
        assert [p for p, _ in found[name]] == pytest.approx([p for p, _ in theirs[1][name]])
        # lmfit's own root finding stops at 5e-5 of the value
        assert limits(found, name) / unit == pytest.approx(wanted, abs=1e-3 * theirs[0].params[name].stderr)


def test_it_asks_the_model_much_less_often_than_lmfits():
    """Counted, not timed: a busy machine says nothing about us."""
    asked = 0

    def counted(x, a, k, c):
        nonlocal asked
        asked += 1
        return decay(x, a, k, c)

    other = lmfit.Model(counted).fit(Y, x=X, a=3.0, k=0.4, c=0.5)
    asked = 0
    other.conf_interval()
    result = MODEL.fit(Y, x=X, k=0.4)
    problem = result._outcome.bound.problem
    before = problem.nfev
    result.conf_interval()
    assert 0 < problem.nfev - before < asked / 2


@pytest.mark.parametrize("known", [True, False])
def test_linear_limits_are_exact(known):
    result = sf.SurfaceModel(line).fit(Y, x=X, sigma=np.full(X.size, 0.07), scale_covar=not known)
    found = result.conf_interval(sigmas=[0.5, 1, 0.95, 2])
    for name in ("a", "b"):
        par = result.params[name]
        for prob, value in found[name]:
            times = (norm.ppf if known else lambda q: student.ppf(q, result.nfree))((1 + prob) / 2)
            assert abs(value - par.value) == pytest.approx(times * par.stderr, rel=1e-6, abs=1e-12)


def test_one_parameter_alone():
    """lmfit refuses it."""
    result = sf.SurfaceModel(lambda x, a: a + 0.0 * x).fit(Y, x=X)
    found = result.conf_interval(sigmas=[1])["a"]
    times = student.ppf((1 + found[0][0]) / 2, result.nfree)
    assert found[-1][1] - found[1][1] == pytest.approx(times * result.params["a"].stderr, rel=1e-6)


def test_a_limit_beyond_a_bound_is_infinite_and_said():
    params = MODEL.make_params(k=0.5)
    params["k"].set(min=0.44)
    result = MODEL.fit(Y, params, x=X)
    with pytest.warns(CovarianceWarning, match=r"k reaches its min = 0\.44 before a probability of 0\.9973") as seen:
        found = result.conf_interval()
    assert seen[0].message.bound == 0.44
    free = limits(MODEL.fit(Y, x=X, k=0.5).conf_interval(), "k")
    assert limits(found, "k")[0] == -np.inf
    np.testing.assert_allclose(limits(found, "k")[1:], free[1:], rtol=1e-7)


def test_a_parameter_on_its_bound_has_a_limit_inside():
    """The cost rises from the bound with a slope; the limit is where its rise is that of the F-test."""
    params = MODEL.make_params(k=0.6)
    params["k"].set(min=0.5)
    result = MODEL.fit(Y, params, x=X)
    assert np.isnan(result.params["k"].stderr)
    with pytest.warns(CovarianceWarning, match="k reaches its min"):
        found = result.conf_interval(sigmas=[1, 2])
    for prob, value in found["k"][3:]:
        params["k"].set(value=value, min=-np.inf, vary=False)
        rise = MODEL.fit(Y, params, x=X).chisqr / result.chisqr - 1.0
        assert rise * result.nfree == pytest.approx(student.ppf((1 + prob) / 2, result.nfree) ** 2, rel=1e-5)
    assert limits(found, "k")[:2].tolist() == [-np.inf, -np.inf]


def test_redundant_pairs_have_no_limits_and_the_others_have_theirs():
    result = sf.SurfaceModel(pair).fit(Y - 0.5, x=X, a=1.0, b=1.0, k=0.4)
    found = result.conf_interval(sigmas=[1, 2])
    assert list(found) == ["k"]
    reduced = sf.SurfaceModel(lambda x, a, k: a * np.exp(-k * x)).fit(Y - 0.5, x=X, k=0.4)
    np.testing.assert_allclose(limits(found, "k"), limits(reduced.conf_interval(sigmas=[1, 2]), "k"), rtol=1e-7)
    lost = result.conf_interval(p_names=["a"], sigmas=[1])["a"]
    assert [v for _, v in lost] == [-np.inf, result.params["a"].value, np.inf]


@pytest.mark.parametrize("loss", ["soft_l1", "cauchy", "poisson"])
def test_losses_have_limits_of_their_own_cost(loss):
    data = np.random.default_rng(1).poisson(20 * np.exp(-0.3 * X) + 5) if loss == "poisson" else Y
    result = MODEL.fit(data, x=X, a=20.0 if loss == "poisson" else 3.0, k=0.3, c=1.0, loss=loss, scale_covar=loss != "poisson")
    found = result.conf_interval(sigmas=[1])
    for name in found:
        low, best, high = limits(found, name)
        assert low < best < high
        error = result.params[name].stderr
        assert 0.7 * error < 0.5 * (high - low) < 1.4 * error, name
    if loss == "poisson":
        # by hand: hold k at its limit, fit the rest, and the C-statistic has risen by 1
        params = result.params.copy()
        params["k"].set(value=limits(found, "k")[0], vary=False)
        held = MODEL.fit(data, params, x=X, loss=loss)
        assert held.chisqr - result.chisqr == pytest.approx(1.0, rel=1e-4)


def test_a_lower_minimum_is_reported():
    wave = sf.SurfaceModel(lambda x, a, w: a * np.sin(w * x))
    data = 2.0 * np.sin(1.3 * X) + np.random.default_rng(0).normal(0, 0.05, X.size)
    local = wave.fit(data, x=X, w=2.2)
    with pytest.warns(ConvergenceWarning, match="lower chi-square than the fit's") as seen:
        local.conf_interval()
    assert seen[0].message.chisqr < 0.8 * local.chisqr
    better = wave.fit(data, x=X, w=seen[0].message.values["w"])
    assert better.chisqr < 0.01 * local.chisqr


def test_prob_func_and_trace_are_lmfits(theirs):
    def chi_square(best, new):
        from scipy.stats import chi2

        return chi2.cdf((new.chisqr - best.chisqr) / best.redchi, best.nvarys - new.nvarys)

    result = MODEL.fit(Y, x=X, k=0.4)
    found, trace = result.conf_interval(p_names=["k"], sigmas=[1, 2], trace=True, prob_func=chi_square)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = theirs[0].conf_interval(p_names=["k"], sigmas=[1, 2], prob_func=chi_square)
    assert limits(found, "k") == pytest.approx(limits(wanted, "k"), abs=1e-3 * result.params["k"].stderr)
    assert list(trace["k"]) == ["a", "k", "c", "prob"]
    assert (np.diff(trace["k"]["k"]) >= 0).all()
    # the others follow their best values
    at = int(np.argmax(trace["k"]["k"]))
    params = MODEL.make_params(k={"value": trace["k"]["k"][at], "vary": False})
    assert MODEL.fit(Y, params, x=X).params["a"].value == pytest.approx(trace["k"]["a"][at], abs=1e-3 * result.params["a"].stderr)


def test_tied_parameters_are_in_the_trace():
    params = MODEL.make_params(k=0.4)
    params.add("half", expr="log(2)/k")
    _, trace = MODEL.fit(Y, params, x=X).conf_interval(p_names=["k"], sigmas=[1], trace=True)
    np.testing.assert_allclose(trace["k"]["half"], np.log(2) / trace["k"]["k"])


# ---- two dimensions -----------------------------------------------------------------------------------------------------------------


def test_regions_are_lmfits(theirs):
    wanted = lmfit.conf_interval2d(theirs[0], theirs[0], "a", "k", 7, 6)
    found = MODEL.fit(Y, x=X, k=0.4).conf_interval2d("a", "k", 7, 6)
    for one, two, close in zip(found, wanted, (1e-6, 1e-6, 1e-3), strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, atol=close)


def test_regions_of_a_line_are_ellipses():
    result = sf.SurfaceModel(line).fit(Y, x=X)
    a, b, grid = result.conf_interval2d("a", "b", 5, 8, 3)
    step = np.stack(np.meshgrid(a, b), axis=-1) - [result.params["a"].value, result.params["b"].value]
    wanted = np.sqrt(np.einsum("ijk,kl,ijl->ij", step, np.linalg.inv(result.covar), step))
    np.testing.assert_allclose(grid, wanted, rtol=1e-6, atol=1e-6)
    assert a[-1] - result.params["a"].value == pytest.approx(3 * result.params["a"].stderr)
    chi2 = result.conf_interval2d("a", "b", 5, 8, 3, chi2_out=True)[2]
    np.testing.assert_allclose(chi2, result.chisqr + result.redchi * wanted**2, rtol=1e-6)
    given = result.conf_interval2d("a", "b", 3, 3, ((1.0, 0.0), (0.2, -0.2)))
    assert (given[0][0], given[0][-1], given[1][0], given[1][-1]) == (0.0, 1.0, -0.2, 0.2)
    prob = result.conf_interval2d("a", "b", 5, 8, 3, prob_func=lambda best, new: new.chisqr / best.chisqr)[2]
    np.testing.assert_allclose(prob, chi2 / result.chisqr)


def test_regions_stop_at_bounds():
    params = MODEL.make_params(k=0.5)
    params["k"].set(min=0.45)
    k = MODEL.fit(Y, params, x=X).conf_interval2d("a", "k", 3, 5)[1]
    assert k[0] == 0.45


# ---- lmfit's functions, refusals --------------------------------------------------------------------------------------------------


def test_lmfits_own_functions_work_on_our_result(theirs):
    result = MODEL.fit(Y, x=X, k=0.4)
    before = (result.params.dumps(), result.chisqr, result.result.chisqr)
    found = lmfit.conf_interval(result, result)
    for name in found:
        assert limits(found, name) == pytest.approx(limits(theirs[1], name), abs=1e-3 * result.params[name].stderr)
    grid = lmfit.conf_interval2d(result, result, "a", "k", 4, 4)[2]
    np.testing.assert_allclose(grid, result.conf_interval2d("a", "k", 4, 4)[2], atol=1e-6)
    assert (result.params.dumps(), result.chisqr, result.result.chisqr) == before


def test_what_cannot_be_profiled_is_said(tmp_path):
    result = sf.SurfaceModel(pair).fit(Y - 0.5, x=X, a=1.0, b=1.0, k=0.4)
    with pytest.raises(ParameterError, match="don't determine a"):
        result.conf_interval2d("a", "k")
    with pytest.raises(ParameterError, match="two different parameters"):
        result.conf_interval2d("k", "k")
    with pytest.raises(ParameterError, match="'q' was not varied"):
        result.conf_interval(p_names=["q"])
    result.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    with pytest.raises(DocumentError, match="holds no data"):
        loaded.conf_interval()
    with pytest.raises(DocumentError, match="holds no data"):
        loaded.sample()
    with pytest.raises(DocumentError, match="only the covariance from the jacobian"):
        loaded.covariance("hessian")
    assert loaded.covariance().stderr["k"] == result.params["k"].stderr


@pytest.mark.parametrize("kws", [{"sigmas": [-1]}, {"sigmas": [np.nan]}, {"sigmas": []}, {"sigmas": "two"}, {"maxiter": 0}])
def test_levels_that_cant_be_are_refused(kws):
    with pytest.raises(ParameterError, match=f"{next(iter(kws))}="):
        MODEL.fit(Y, x=X, k=0.4).conf_interval(["k"], **kws)


def test_one_level_and_one_name_need_no_list():
    result = MODEL.fit(Y, x=X, k=0.4)
    assert result.conf_interval("k", sigmas=2) == result.conf_interval(["k"], sigmas=[2])


@pytest.mark.parametrize(
    "kws", [{"nx": 0}, {"ny": 1.5}, {"limits": ((0.8, 0.6),)}, {"limits": ((np.nan, 0.8), (1, 2))}, {"nsigma": -1}, {"nsigma": np.inf}]
)
def test_grids_that_cant_be_are_refused(kws):
    with pytest.raises(ParameterError, match=f"{next(iter(kws))}="):
        MODEL.fit(Y, x=X, k=0.4).conf_interval2d("a", "k", **kws)
