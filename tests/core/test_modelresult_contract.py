"""The result of a fit is a genuine lmfit ModelResult: every attribute, report, table, interval, copy and picture."""

import copy
import inspect
import pickle
import threading
import warnings

import lmfit
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from lmfit.minimizer import MinimizerResult
from lmfit.model import ModelResult
from lmfit.models import ExponentialModel, GaussianModel, LinearModel
from scipy.stats import norm
from scipy.stats import t as student

import surffit as sf
from surffit.core.result import SurfaceResult
from surffit.exceptions import DataError, DocumentError, ParameterError

X = np.linspace(0.0, 10.0, 101)


def bump(x, height, center, width, level):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + level


def surface(x, y, a, b, k):
    return a + b * np.exp(-k * x) * y


START = {"height": 3.0, "center": 4.5, "width": 1.2, "level": 0.0}
DATA = bump(X, 5.0, 4.2, 0.9, 1.0) + np.random.default_rng(7).normal(0, 0.2, X.size)
WEIGHTS = np.random.default_rng(8).uniform(2, 8, X.size)


def fits(weights=None, change=None, **kws):
    """The same fit by us and by lmfit, which is repeated with central differences so that it converges."""
    ours, theirs = sf.SurfaceModel(bump), lmfit.Model(bump)
    params = ours.make_params(**START)
    if change is not None:
        change(params)
    result = ours.fit(DATA, params, weights, x=X, **kws)
    first = theirs.fit(DATA, params, weights, x=X, **kws)
    settings = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "epsfcn": 1e-12}
    reference = theirs.fit(DATA, first.params, weights, x=X, fit_kws=settings, **kws)
    return result, reference


@pytest.fixture(scope="module")
def pair():
    return fits()


@pytest.fixture(scope="module")
def weighted():
    return fits(WEIGHTS)


def tied(params):
    params["width"].set(min=0.1)
    params.add("fwhm", expr="2.35482*width")
    params["level"].set(value=1.0, vary=False)


@pytest.fixture(scope="module")
def with_expr():
    return fits(WEIGHTS, tied)


PAIRS = ("pair", "weighted", "with_expr")

# only lmfit's way of driving MINPACK has these
PRIVATE_TO_LEASTSQ = {"last_internal_values"}


@pytest.mark.parametrize("which", PAIRS)
def test_every_attribute_of_lmfits_result(which, request):
    ours, theirs = request.getfixturevalue(which)
    assert isinstance(ours, ModelResult)
    assert isinstance(ours, SurfaceResult)
    missing = [name for name in vars(theirs) if not name.startswith("_") and name not in PRIVATE_TO_LEASTSQ and not hasattr(ours, name)]
    assert not missing
    wrong = []
    for name, value in vars(theirs).items():
        if name.startswith("_") or name in PRIVATE_TO_LEASTSQ or value is None or callable(value):
            continue
        mine = getattr(ours, name)
        kinds = {bool: (bool, np.bool_), int: (int, np.integer), float: (float, np.floating), str: (str,)}
        expected = next((kinds[k] for k in (bool, int, float, str) if isinstance(value, kinds[k])), (type(value),))
        if name in ("model", "ier", "lmdif_message"):
            continue
        if not isinstance(mine, expected):
            wrong.append(f"{name}: {type(mine).__name__} instead of {type(value).__name__}")
    assert not wrong


@pytest.mark.parametrize("which", PAIRS)
def test_numbers_of_lmfits_result(which, request):
    ours, theirs = request.getfixturevalue(which)
    for name in ("ndata", "nvarys", "nfree", "var_names", "errorbars", "success", "aborted"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("chisqr", "redchi", "rsquared"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-9), name
    for name in ("aic", "bic"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-7), name
    assert list(ours.best_values) == list(theirs.best_values)
    for name, value in theirs.best_values.items():
        assert ours.best_values[name] == pytest.approx(value, rel=1e-6)
    assert ours.init_values.keys() == theirs.init_values.keys()
    assert list(ours.init_vals) == [START[n] for n in ours.var_names]
    np.testing.assert_allclose(ours.best_fit, theirs.best_fit, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.residual, theirs.residual, atol=1e-5 * np.abs(theirs.residual).max())
    np.testing.assert_array_equal(ours.data, theirs.data)
    if theirs.weights is not None:
        np.testing.assert_array_equal(ours.weights, theirs.weights)
    sd = np.sqrt(theirs.covar.diagonal())
    np.testing.assert_allclose(ours.covar / np.outer(sd, sd), theirs.covar / np.outer(sd, sd), atol=2e-5)
    for name, par in theirs.params.items():
        mine = ours.params[name]
        assert (mine.vary, mine.min, mine.max, mine.expr) == (par.vary, par.min, par.max, par.expr)
        if par.correl:
            assert mine.correl.keys() == par.correl.keys()
            for other, value in par.correl.items():
                assert mine.correl[other] == pytest.approx(value, abs=1e-5)


def test_start_values_are_kept():
    ours, _ = fits()
    assert ours.init_values == START
    assert [ours.init_vals[i] for i in range(4)] == list(START.values())
    assert {n: p.value for n, p in ours.init_params.items()} == START
    assert {n: p.init_value for n, p in ours.params.items()} == START
    np.testing.assert_allclose(ours.init_fit, bump(X, **START), rtol=1e-14)


def test_residual_has_lmfits_sign_and_weights(weighted):
    ours, _ = weighted
    np.testing.assert_allclose(ours.residual, (DATA - ours.best_fit) * WEIGHTS, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.residual_map, DATA - ours.best_fit, atol=1e-12)
    assert ours.chisqr == pytest.approx(float(ours.residual @ ours.residual), rel=1e-13)


# ---- reports ---------------------------------------------------------------------------------------------------------------


def lines_of(report):
    """A report without its line of evaluations and method, and the numbers rounded to what both must share."""
    keep = [line for line in report.splitlines() if "function evals" not in line and "fitting method" not in line]
    return [line.split("(init")[0].rstrip() for line in keep]


@pytest.mark.parametrize("which", PAIRS)
@pytest.mark.parametrize("kws", [{}, {"show_correl": False}, {"min_correl": 0.5}, {"sort_pars": True}, {"correl_mode": "table"}])
def test_fit_report(which, kws, request):
    ours, theirs = request.getfixturevalue(which)
    mine, wanted = lines_of(ours.fit_report(**kws)), lines_of(theirs.fit_report(**kws))
    assert len(mine) == len(wanted)
    for one, two in zip(mine, wanted, strict=True):
        assert one.split()[:1] == two.split()[:1]
    assert f"{ours.params['center'].value:.5f}"[:6] in ours.fit_report(**kws)


def test_fit_report_against_starts_and_truth():
    ours, _ = fits()
    text = ours.fit_report(modelpars=ours.model.make_params(height=5.0, center=4.2, width=0.9, level=1.0))
    assert "model_value = 5" in text


def test_a_failed_fit_says_so_first():
    result = sf.SurfaceModel(bump).fit(DATA, x=X, max_nfev=2, **START)
    assert not result.success
    assert "FAILED" in result.fit_report().splitlines()[0]
    assert "FAILED" in result.explain().splitlines()[0]


def test_html(pair, with_expr):
    for ours, _ in (pair, with_expr):
        html = ours._repr_html_()
        assert "<table" in html
        assert "center" in html
        assert "Correl" in html
        assert "<table" in ours.params._repr_html_()


def test_summary(with_expr):
    ours, theirs = with_expr
    mine, wanted = ours.summary(), theirs.summary()
    assert wanted.keys() <= mine.keys()
    assert mine["chisqr"] == pytest.approx(wanted["chisqr"], rel=1e-9)
    assert [p[0] for p in mine["params"]] == [p[0] for p in wanted["params"]]
    assert len(mine["params"][0]) == len(wanted["params"][0])


def test_str_and_repr(pair):
    ours, _ = pair
    assert "bump" in repr(ours) or "Result" in repr(ours)
    assert str(ours)


def test_words(pair):
    ours, _ = pair
    assert ours.reason
    assert ours.message
    assert ours.explain()
    assert "height" in ours.explain()
    assert ours.status.success
    assert ours.status.names
    assert ours.solver_status is None
    assert ours.covar_source == "jacobian"


# ---- evaluating ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", PAIRS)
def test_eval(which, request):
    ours, theirs = request.getfixturevalue(which)
    new = np.linspace(3, 6, 11)
    np.testing.assert_allclose(ours.eval(x=new), theirs.eval(x=new), rtol=1e-5)
    np.testing.assert_allclose(ours.eval(), ours.best_fit, rtol=1e-13)
    np.testing.assert_allclose(ours.eval(height=0.0, x=new), np.full(11, ours.params["level"].value), rtol=1e-13)
    np.testing.assert_allclose(ours.eval(params=ours.init_params), ours.init_fit, rtol=1e-13)


@pytest.mark.parametrize("which", PAIRS)
@pytest.mark.parametrize("sigma", [1, 2, 0.95])
def test_eval_uncertainty(which, sigma, request):
    """As lmfit's, within what its forward steps of 1 % of an error are good for."""
    ours, theirs = request.getfixturevalue(which)
    new = np.linspace(2, 7, 21)
    for coords in ({}, {"x": new}):
        np.testing.assert_allclose(ours.eval_uncertainty(sigma=sigma, **coords), theirs.eval_uncertainty(sigma=sigma, **coords), rtol=2e-3)
    assert ours.dely.shape == (21,)


def test_eval_uncertainty_is_linear_propagation(with_expr):
    """Against J C J' with the Jacobian by hand."""
    ours, _ = with_expr
    p = ours.best_values
    u = (X - p["center"]) / p["width"]
    g = np.exp(-0.5 * u**2)
    by_hand = {"height": g, "center": p["height"] * g * u / p["width"], "width": p["height"] * g * u**2 / p["width"]}
    J = np.array([by_hand[n] for n in ours.var_names])
    sd = np.sqrt(np.einsum("ik,ij,jk->k", J, ours.covar, J))
    factor = student.ppf((1 + 0.682689492137) / 2, ours.nfree)
    np.testing.assert_allclose(ours.eval_uncertainty(sigma=1), factor * sd, rtol=1e-8)


def test_dely_predicted_without_weights_is_lmfits(pair):
    ours, theirs = pair
    ours.eval_uncertainty(), theirs.eval_uncertainty()
    np.testing.assert_allclose(ours.dely_predicted, theirs.dely_predicted, rtol=1e-3)


def test_dely_predicted_with_weights_knows_the_error_of_a_point(weighted):
    """lmfit adds the bare reduced chi-square, which with weights is no variance of the data. Ours adds that of the point."""
    ours, theirs = weighted
    ours.eval_uncertainty(), theirs.eval_uncertainty()
    factor = student.ppf((1 + 0.682689492137) / 2, ours.nfree)
    wanted = np.sqrt(ours.dely**2 + factor**2 * ours.redchi / WEIGHTS**2)
    np.testing.assert_allclose(ours.dely_predicted, wanted, rtol=1e-6)
    assert not np.allclose(theirs.dely_predicted, wanted, rtol=0.2)


def test_prediction_band_covers_new_data():
    """Statistics, seeded: 95 % of new points lie in the 95 % prediction band."""
    rng = np.random.default_rng(3)
    inside = total = 0
    for _ in range(40):
        sigma = rng.uniform(0.05, 0.4, X.size)
        clean = bump(X, 5.0, 4.2, 0.9, 1.0)
        result = sf.SurfaceModel(bump).fit(clean + sigma * rng.normal(size=X.size), x=X, sigma=sigma, **START)
        band = result.predict(0.95, "prediction")
        new = clean + sigma * rng.normal(size=X.size)
        inside += int(((band["lower"] <= new) & (new <= band["upper"])).sum())
        total += X.size
    share = inside / total
    assert abs(share - 0.95) < 4 * np.sqrt(0.95 * 0.05 / total)


@pytest.mark.parametrize("scale", [True, False])
def test_predict(scale):
    ours, _ = fits(WEIGHTS, scale_covar=scale)
    new = np.linspace(2, 7, 9)
    frame = ours.predict(level=0.9, x=new)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["fit", "lower", "upper"]
    np.testing.assert_allclose(frame["fit"], ours.eval(x=new), rtol=1e-13)
    times = student.ppf(0.95, ours.nfree) if scale else norm.ppf(0.95)
    one = (student.ppf((1 + 0.682689492137) / 2, ours.nfree)) if scale else 1.0
    np.testing.assert_allclose((frame["upper"] - frame["lower"]) / 2, times * ours.eval_uncertainty(x=new, sigma=1) / one, rtol=1e-6)
    wide = ours.predict(level=0.9, kind="prediction", x=X)
    assert ((wide["upper"] - wide["lower"]) > (ours.predict(level=0.9, x=X)["upper"] - ours.predict(level=0.9, x=X)["lower"])).all()
    assert len(ours.predict()) == X.size
    for wrong in ({"level": 1.2}, {"kind": "nosuch"}, {"q": new}):
        with pytest.raises((DataError, ParameterError)):
            ours.predict(**wrong)


def test_predict_of_a_surface():
    y, x = np.mgrid[:6, :9] * 0.5
    data = surface(x, y, 1.0, 2.0, 0.6) + np.random.default_rng(0).normal(0, 0.02, x.shape)
    result = sf.SurfaceModel(surface, ["x", "y"]).fit(data, x=x, y=y, k=1.0)
    band = result.predict()
    assert band["fit"].shape == x.shape
    assert (band["lower"] < band["fit"]).all()
    assert result.eval_uncertainty().shape == x.shape
    assert result.eval_uncertainty(x=1.0, y=np.arange(4.0)).shape == (4,)


# ---- intervals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["pair", "weighted"])
def test_conf_interval(which, request):
    """Against lmfit's on this well-scaled problem; the levels and the layout are lmfit's."""
    ours, theirs = request.getfixturevalue(which)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = theirs.conf_interval(sigmas=[1, 2])
    found = ours.conf_interval(sigmas=[1, 2])
    assert list(found) == list(wanted)
    for name, entries in wanted.items():
        assert len(found[name]) == len(entries)
        for (p1, v1), (p2, v2) in zip(found[name], entries, strict=True):
            assert p1 == pytest.approx(p2, abs=1e-9)
            assert abs(v1 - v2) <= 1e-3 * theirs.params[name].stderr, (name, p1)
    assert ours.ci_out is found
    report = ours.ci_report()
    assert "center" in report
    assert "68.27%" in report
    assert "95.45%" in report


def test_conf_interval_of_a_linear_model_is_students_t():
    """With one linear parameter among linear ones the profile is exact: value +- t(nu) stderr."""
    data = 1.0 + 0.3 * X + np.random.default_rng(2).normal(0, 0.1, X.size)
    result = sf.SurfaceModel.from_lmfit(LinearModel()).fit(data, x=X)
    found = result.conf_interval(sigmas=[1, 2, 0.95])
    for name in ("slope", "intercept"):
        par = result.params[name]
        for prob, value in found[name]:
            times = student.ppf((1 + prob) / 2, result.nfree) if prob else 0.0
            assert abs(value - par.value) == pytest.approx(times * par.stderr, rel=1e-6, abs=1e-12)


def test_conf_interval_options(pair):
    ours, _ = pair
    some = ours.conf_interval(p_names=["center"], sigmas=[1])
    assert list(some) == ["center"]
    assert [round(p, 3) for p, _ in some["center"]] == [0.683, 0.0, 0.683]
    out, trace = ours.conf_interval(p_names=["center"], sigmas=[1], trace=True)
    assert out.keys() == trace.keys()
    assert set(trace["center"]) >= {"center", "prob"}
    with pytest.raises(ParameterError, match="nothere"):
        ours.conf_interval(p_names=["nothere"])


def test_conf_interval_leaves_the_result_alone():
    ours, _ = fits(WEIGHTS)
    before = (ours.params.dumps(), ours.chisqr, ours.covar.copy())
    ours.conf_interval(sigmas=[1])
    assert (ours.params.dumps(), ours.chisqr) == before[:2]
    np.testing.assert_array_equal(ours.covar, before[2])


@pytest.mark.parametrize("which", PAIRS)
def test_uvars(which, request):
    ours, theirs = request.getfixturevalue(which)
    assert list(ours.uvars) == list(theirs.uvars)
    for name, wanted in theirs.uvars.items():
        assert ours.uvars[name].nominal_value == pytest.approx(wanted.nominal_value, rel=1e-6)
        assert ours.uvars[name].std_dev == pytest.approx(wanted.std_dev, rel=1e-4)
    mine = ours.uvars["height"] * ours.uvars["width"]
    other = theirs.uvars["height"] * theirs.uvars["width"]
    assert mine.std_dev == pytest.approx(other.std_dev, rel=1e-4)
    if "fwhm" in ours.uvars:  # the tie is kept
        assert (ours.uvars["fwhm"] - 2.35482 * ours.uvars["width"]).std_dev == pytest.approx(0, abs=1e-9)


def test_covariance(pair):
    ours, _ = pair
    named = ours.covariance()
    assert named.names == tuple(ours.var_names)
    np.testing.assert_array_equal(named.matrix, ours.covar)
    named.matrix[:] = 0  # a copy
    assert ours.covar.any()
    with pytest.raises((ParameterError, ValueError), match="nosuch"):
        ours.covariance("nosuch")


# ---- pictures --------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("which", PAIRS)
def test_plot_fit(which, request):
    ours, theirs = request.getfixturevalue(which)
    ax, wanted = ours.plot_fit(show_init=True, numpoints=50), theirs.plot_fit(show_init=True, numpoints=50)
    assert len(ax.lines) == len(wanted.lines)
    assert ax.get_xlabel() == wanted.get_xlabel()
    _, given = plt.subplots()
    assert ours.plot_fit(ax=given) is given


def test_plot_residuals(weighted):
    ours, _ = weighted
    _, given = plt.subplots()
    ours.plot_residuals(ax=given)
    assert given.lines or given.collections or given.containers


def test_plot(pair):
    ours, _ = pair
    assert ours.plot() is not None
    assert plt.get_fignums()


def test_plot_of_a_surface():
    y, x = np.mgrid[:6, :9] * 0.5
    data = surface(x, y, 1.0, 2.0, 0.6) + np.random.default_rng(0).normal(0, 0.02, x.shape)
    result = sf.SurfaceModel(surface, ["x", "y"]).fit(data, x=x, y=y, k=1.0)
    assert result.plot() is not None
    assert result.plot_surface() is not None
    assert result.plot_residuals() is not None


# ---- copies ----------------------------------------------------------------------------------------------------------------

MODELS = {
    "module function": lambda: sf.SurfaceModel(bump),
    "expression": lambda: sf.SurfaceModel.from_expression("height*exp(-0.5*((x - center)/width)**2) + level", independent_vars=["x"]),
    "composite": lambda: sf.SurfaceModel(bump) + ExponentialModel(prefix="e_"),
    "built-in": lambda: sf.SurfaceModel.from_lmfit(GaussianModel()),
}


def fitted(kind, **kws):
    model = MODELS[kind]()
    start = {**START, "e_amplitude": 0.1, "e_decay": 3.0, "amplitude": 5.0, "sigma": 1.0}
    params = model.make_params(**{k: v for k, v in start.items() if k in model.param_names})
    if kind == "composite":
        params["e_decay"].vary = False
    return model.fit(DATA - (1.0 if kind == "built-in" else 0.0), params, x=X, **kws)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickle(kind, protocol):
    ours = fitted(kind)
    twin = pickle.loads(pickle.dumps(ours, protocol))
    same(ours, twin)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_copies(kind, copier):
    ours = fitted(kind)
    same(ours, copier(ours))


def same(ours, twin):
    """Everything a reader can ask, asked of the copy."""
    assert isinstance(twin, ModelResult)
    assert twin.fit_report() == ours.fit_report()
    assert twin.explain() == ours.explain()
    assert twin.params.dumps() == ours.params.dumps()
    assert twin.status == ours.status
    np.testing.assert_array_equal(twin.covar, ours.covar)
    np.testing.assert_array_equal(twin.best_fit, ours.best_fit)
    np.testing.assert_array_equal(twin.residual, ours.residual)
    np.testing.assert_array_equal(twin.residual_map, ours.residual_map)
    np.testing.assert_allclose(twin.eval(x=X[:5]), ours.eval(x=X[:5]), rtol=1e-15)
    np.testing.assert_allclose(twin.eval_uncertainty(), ours.eval_uncertainty(), rtol=1e-9)
    pd.testing.assert_frame_equal(twin.predict(x=X[:5]), ours.predict(x=X[:5]))
    pd.testing.assert_frame_equal(twin.tidy(), ours.tidy())
    assert twin.conditioning == ours.conditioning
    assert list(twin.uvars) == list(ours.uvars)
    assert twin.init_values == ours.init_values
    twin.fit(DATA)  # refits
    assert twin.success


def test_a_copy_is_independent():
    ours = fitted("module function")
    twin = copy.deepcopy(ours)
    twin.params["height"].value = 0
    twin.fit(DATA * 2)
    assert ours.params["height"].value == pytest.approx(5, abs=0.5)
    assert twin.params["height"].value == pytest.approx(10, abs=1)


def test_models_are_picklable():
    for make in MODELS.values():
        model = make()
        twin = pickle.loads(pickle.dumps(model))
        assert twin.param_names == model.param_names
        assert twin.linear == model.linear


def test_local_functions_give_a_plain_pickle_error():
    result = sf.SurfaceModel(lambda x, a: a * x).fit(2 * X, x=X)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(result)
    assert copy.deepcopy(result).params["a"].value == pytest.approx(2)


# ---- again -----------------------------------------------------------------------------------------------------------------


def test_refit_in_place():
    ours, theirs = fits(WEIGHTS)
    assert ours.fit(DATA + 1) is None  # in place, as in lmfit
    theirs.fit(DATA + 1)
    assert ours.params["level"].value == pytest.approx(theirs.params["level"].value, rel=1e-5)
    np.testing.assert_array_equal(ours.weights, WEIGHTS)
    ours.fit(DATA + 1, weights=np.full(X.size, 3.0))
    np.testing.assert_array_equal(ours.weights, np.full(X.size, 3.0))
    params = ours.params.copy()
    params["center"].vary = False
    ours.fit(params=params)
    assert ours.nvarys == 3
    ours.fit(DATA[:50], x=X[:50], weights=WEIGHTS[:50], params=params)
    assert ours.ndata == 50
    ours.fit(method="leastsq")
    assert ours.method == "leastsq"


def test_lmfits_solvers_on_a_result(pair):
    ours, _ = pair
    before = ours.params.dumps()
    for call in (ours.leastsq, ours.least_squares, lambda: ours.minimize("nelder")):
        found = call()
        assert isinstance(found, MinimizerResult)
        assert found.params["center"].value == pytest.approx(ours.params["center"].value, rel=1e-8)
    assert ours.params.dumps() == before


def test_load_is_refused(pair, tmp_path):
    ours, _ = pair
    for call in (ours.load, ours.loads):
        with pytest.raises(DocumentError, match=r"sf\.load|surffit\.load"):
            call("{}")
    path = tmp_path / "fit.json"
    ours.save(path)
    twin = sf.load(path)
    assert twin.params["center"].value == ours.params["center"].value
    assert twin.params["center"].stderr == ours.params["center"].stderr
    np.testing.assert_allclose(twin.eval(x=X), ours.best_fit, rtol=1e-14)


def test_dumps_is_the_document(pair):
    import json

    ours, _ = pair
    document = json.loads(ours.dumps())
    assert document["schema"] == "surffit.result/1"
    assert document["params"]["center"]["value"] == ours.params["center"].value


# ---- tables ----------------------------------------------------------------------------------------------------------------


def test_tidy_glance_augment(with_expr):
    ours, _ = with_expr
    tidy = ours.tidy()
    assert list(tidy["term"]) == ["height", "center", "width", "level", "fwhm"]
    row = tidy.set_index("term").loc["center"]
    assert row["estimate"] == ours.params["center"].value
    assert row["std_error"] == ours.params["center"].stderr
    assert row["p_value"] == pytest.approx(2 * student.sf(abs(row["statistic"]), ours.nfree), rel=1e-9, abs=1e-300)
    assert bool(tidy.set_index("term").loc["height"]["linear"])
    assert {"lower", "upper"} <= set(ours.tidy(level=0.9).columns)
    glance = ours.glance()
    assert len(glance) == 1
    assert glance["redchi"].iloc[0] == ours.redchi
    augment = ours.augment()
    assert len(augment) == X.size
    np.testing.assert_allclose(augment["fitted"], ours.best_fit, rtol=1e-14)
    np.testing.assert_allclose(augment["resid"], DATA - ours.best_fit, atol=1e-12)


# ---- the class -------------------------------------------------------------------------------------------------------------


def test_every_public_method_of_lmfits_class_is_there(pair):
    ours, theirs = pair
    for name, value in inspect.getmembers(type(theirs)):
        if not name.startswith("_") and callable(value):
            assert callable(getattr(ours, name)), name


def test_unknown_attributes(pair):
    ours, _ = pair
    with pytest.raises(AttributeError, match="nothere"):
        _ = ours.nothere
    assert not hasattr(ours, "nothere")
    bare = type(ours).__new__(type(ours))
    with pytest.raises(AttributeError):
        _ = bare.best_fit  # pickle asks before anything is set


def test_signature_begins_with_lmfits():
    """Positional use keeps working: lmfit's arguments in lmfit's order, ours behind a star."""
    for ours, theirs in ((sf.SurfaceModel.fit, lmfit.Model.fit), (sf.SurfaceModel.__init__, lmfit.Model.__init__)):
        wanted = [n for n, p in inspect.signature(theirs).parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        found = [n for n, p in inspect.signature(ours).parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert found == wanted
    for name in ("fit_report", "eval_uncertainty", "conf_interval", "fit"):
        wanted = [n for n in inspect.signature(getattr(ModelResult, name)).parameters if n != "kwargs"]
        found = list(inspect.signature(getattr(type(fits()[0]), name)).parameters)
        assert [n for n in wanted if n in found] == [n for n in found if n in wanted], name


def test_shapes_of_a_surface_with_a_mask():
    y, x = np.mgrid[:6, :9] * 0.5
    data = surface(x, y, 1.0, 2.0, 0.6) + np.random.default_rng(0).normal(0, 0.02, x.shape)
    mask = np.zeros(x.shape, dtype=bool)
    mask[2, 3] = mask[0, 0] = True
    data[2, 3] = np.nan
    result = sf.SurfaceModel(surface, ["x", "y"]).fit(data, x=x, y=y, k=1.0, mask=mask)
    assert result.ndata == 52
    assert result.residual.shape == (52,)
    assert result.best_fit.shape == x.shape
    assert np.isfinite(result.best_fit).all()
    assert np.isnan(result.residual_map[mask]).all()
    np.testing.assert_allclose(result.residual_map[~mask], result.residual, rtol=1e-9, atol=1e-12)
    assert 0 < result.rsquared < 1
    flat = lmfit.Model(surface, independent_vars=["x", "y"])
    reference = flat.fit(data[~mask], flat.make_params(a=1, b=2, k=0.6), x=x[~mask], y=y[~mask])
    assert result.rsquared == pytest.approx(reference.rsquared, rel=1e-6)


def test_results_may_be_read_from_several_threads():
    """What is computed when asked for is the same whoever asks first."""
    ours, _ = fits(WEIGHTS)
    seen = []

    def read():
        seen.append((ours.best_fit.sum(), ours.conditioning.rank, ours.uvars["height"].std_dev, ours.rsquared))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 6
    assert len(set(seen)) == 1
