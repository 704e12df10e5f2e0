"""What a saved fit says of new points, and what it says where it can't: loaded and live agree."""

import json

import lmfit
import numpy as np
import pytest

import surffit as sf
from surffit import io
from surffit.exceptions import DataError, DocumentError, UnsafeFileError

T = np.linspace(0, 10, 80)
NEW = np.array([1.0, 5.0, 12.0])
ERRORS = {
    "none": {},
    "one sigma": dict(sigma=0.05),
    "sigma each": dict(sigma=np.linspace(0.02, 0.08, T.size)),
    "weights": dict(weights=np.linspace(10, 30, T.size)),
    "var": dict(var=np.linspace(0.001, 0.004, T.size)),
    "ivar": dict(ivar=np.linspace(300, 500, T.size)),
}


def decay(t, height, tau, base):
    return height * np.exp(-t / tau) + base


def odd(t, a, b):
    return np.array([a * float(v) ** b for v in t])


@pytest.fixture
def data(rng):
    return decay(T, 3, 1.4, 0.5) + rng.normal(0, 0.05, T.size)


@pytest.fixture
def model():
    return sf.SurfaceModel(decay)


@pytest.fixture
def joint(model):
    return sf.JointModel({"a": model, "b": model}, shared=["tau"])


def again(thing, tmp_path, change=None):
    """Saved and loaded, after a change of its document."""
    path = tmp_path / "thing.json"
    thing.save(path)
    if change is not None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    return sf.load(path)


def same_bands(one, two, **kws):
    for given in ({}, {"kind": "prediction"}, {"kind": "prediction", "sigma_new": 0.3}):
        np.testing.assert_allclose(np.asarray(two.predict(**given, **kws)), np.asarray(one.predict(**given, **kws)), rtol=1e-9)


def same_reports(one, two):
    same_bands(one, two, t=NEW)
    np.testing.assert_allclose(two.eval_uncertainty(t=NEW), one.eval_uncertainty(t=NEW), rtol=1e-9)
    np.testing.assert_allclose(two.dely_predicted, one.dely_predicted, rtol=1e-9)
    numbers = one.tidy().select_dtypes("number")
    np.testing.assert_allclose(two.tidy()[numbers.columns], numbers, rtol=1e-9)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("errors", ERRORS)
def test_new_points_of_a_loaded_fit(model, data, tmp_path, errors, scaled):
    fit = model.fit(data, t=T, tau=1.0, scale_covar=scaled, **ERRORS[errors])
    loaded = again(fit, tmp_path)
    same_reports(fit, loaded)
    assert io.document(loaded)["stats"] == io.document(fit)["stats"]


def test_the_typical_error_is_the_median_of_the_used_data(model, data):
    sigma = np.where(T > 7, 100.0, 0.05)
    fit = model.fit(data, t=T, tau=1.0, sigma=sigma, mask=T > 7)
    assert io.document(fit)["stats"]["typical_sigma"] == pytest.approx(0.05)
    assert io.document(model.fit(data, t=T, tau=1.0))["stats"]["typical_sigma"] is None


def test_new_points_of_loaded_data_sets(joint, data, tmp_path):
    fit = joint.fit({"a": data, "b": data + 0.1}, t=T, tau=1.0, sigma={"a": 0.05, "b": 0.2})
    loaded = again(fit, tmp_path)
    for key in fit:
        same_bands(fit, loaded, key=key, t=NEW)
        same_reports(fit[key], loaded[key])
    widths = [np.asarray(loaded[key].predict(kind="prediction", t=NEW)["upper"] - loaded[key].eval(t=NEW)) for key in fit]
    assert (widths[1] > 2 * widths[0]).all()


def test_lmfits_own_results_carry_their_errors_too(data, tmp_path):
    fit = lmfit.Model(decay).fit(data, t=T, height=3, tau=1.0, base=0.5, weights=np.full(T.size, 20.0))
    io.save(fit, tmp_path / "fit.json")
    assert io.document(fit)["stats"]["typical_sigma"] == pytest.approx(0.05)
    loaded = sf.load(tmp_path / "fit.json", sf.SurfaceModel(decay))
    band = loaded.predict(kind="prediction", t=NEW)
    assert (band["upper"] - band["fit"]).between(0.08, 0.13).all()


def test_older_files_ask_for_the_error_of_new_points(model, joint, data, tmp_path):
    def older(content):
        del content["stats"]["typical_sigma"]

    def older_joint(content):
        for entry in content["sets"].values():
            del entry["typical_sigma"]

    fit = model.fit(data, t=T, tau=1.0, sigma=0.05)
    loaded = again(fit, tmp_path, older)
    both = again(joint.fit({"a": data, "b": data}, t=T, tau=1.0, sigma=0.05), tmp_path, older_joint)
    for one in (loaded, both["a"]):
        assert one.predict(t=NEW).notna().all(axis=None)
        with pytest.raises(DataError, match="doesn't tell which errors its data had; pass sigma_new="):
            one.predict(kind="prediction", t=NEW)
        band = one.predict(kind="prediction", t=NEW, sigma_new=0.05)
        assert (band["upper"] - band["fit"]).between(0.09, 0.12).all()
        one.eval_uncertainty(t=NEW)
        assert np.isnan(one.dely_predicted).all()
    assert "typical_sigma" not in io.document(loaded)["stats"]


@pytest.mark.parametrize("value", [-1, "inf", "nan", True, [], {}])
def test_a_typical_error_that_is_none_is_refused(model, joint, data, tmp_path, value):
    with pytest.raises(UnsafeFileError, match="typical_sigma"):
        again(model.fit(data, t=T, tau=1.0), tmp_path, lambda content: content["stats"].update(typical_sigma=value))
    fit = joint.fit({"a": data, "b": data}, t=T, tau=1.0)
    with pytest.raises(UnsafeFileError, match="typical_sigma"):
        again(fit, tmp_path, lambda content: content["sets"]["a"].update(typical_sigma=value))
    with pytest.raises(UnsafeFileError, match="only one data set"):
        again(fit, tmp_path, lambda content: content["stats"].update(typical_sigma=0.1))


def test_a_part_saved_by_itself_has_the_joint_fits_scatter(joint, rng, tmp_path):
    t = np.linspace(0, 5, 6)
    data = {key: decay(t, 3, 1.4, 0.5) + rng.normal(0, size, t.size) for key, size in (("a", 0.02), ("b", 0.2))}
    fit = joint.fit(data, t=t, tau=1.0)
    part = fit["a"]
    loaded = again(part, tmp_path)
    same_reports(part, loaded)
    for name in ("key", "joint_names", "nfree", "redchi", "chisqr", "ndata"):
        assert getattr(loaded, name) == getattr(part, name), name
    assert type(loaded) is type(part)
    same_reports(part, again(loaded, tmp_path))
    same_reports(part, again(again(fit, tmp_path)["a"], tmp_path))
    # what the part alone would say is another thing
    alone = again(part, tmp_path, lambda content: content["stats"].pop("part"))
    assert not np.allclose(alone.predict(t=NEW)["upper"], part.predict(t=NEW)["upper"], rtol=1e-4)


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {"key": "a"}, dict(key="a b"), dict(names={}), dict(names={"x": 3}), dict(nfree="many"), dict(redchi=True)]
)
def test_a_part_that_is_none_is_refused(joint, data, tmp_path, wrong):
    def change(content):
        part = content["stats"]["part"]
        content["stats"]["part"] = part | wrong if wrong and len(wrong) == 1 and "a" not in wrong.values() else wrong

    with pytest.raises(UnsafeFileError):
        again(joint.fit({"a": data, "b": data}, t=T, tau=1.0)["a"], tmp_path, change)


def test_without_coordinates_a_loaded_fit_asks_for_them(model, joint, data, tmp_path):
    loaded = again(model.fit(data, t=T, tau=1.0), tmp_path)
    both = again(joint.fit({"a": data, "b": data}, t=T, tau=1.0), tmp_path)
    for one in (loaded, both, both["a"]):
        for method in (one.predict, one.eval, one.eval_uncertainty, one.eval_components):
            with pytest.raises(DocumentError, match=r"aren't in its file; give the coordinates to evaluate at: t=\.\.\."):
                method()
    plane = sf.SurfaceModel(lambda x, y, a, b: a * x + b * y, independent_vars=["x", "y"])
    loaded = again(plane.fit(T + 2 * T[::-1] ** 2, x=T, y=T[::-1] ** 2), tmp_path)
    with pytest.raises(DocumentError, match=r"evaluate at: y=\.\.\.$"):
        loaded.predict(x=T)


def test_without_covariance_there_is_no_band(model, joint, data, tmp_path):
    for fit in (model.fit(data, t=T, tau=1.0), joint.fit({"a": data, "b": data}, t=T, tau=1.0)):
        loaded = again(fit, tmp_path, lambda content: content.update(covar=None))
        for method in (loaded.predict, loaded.eval_uncertainty):
            with pytest.raises(DocumentError, match="no covariance, so there is no band"):
                method(t=NEW)
        values = loaded.eval(t=NEW)
        assert np.isfinite(values["a"] if isinstance(values, dict) else values).all()


@pytest.mark.parametrize(("text", "reason"), [("height/0", "divi"), ("9**9**9**9", "power|exponent")])
def test_a_constraint_that_has_no_value_says_why(model, data, tmp_path, text, reason):
    params = model.make_params(tau=1.0)
    params["base"].set(expr="height/6")

    def change(content):
        content["params"]["base"]["expr"] = text

    with pytest.raises(UnsafeFileError, match=rf"can't be evaluated: .*({reason})"):
        again(model.fit(data, params, t=T), tmp_path, change)


def test_a_function_that_could_not_travel_is_asked_for(tmp_path):
    t = np.linspace(1, 4, 9)
    one = sf.SurfaceModel(odd)
    fit = one.fit(2 * t**1.5, t=t, a=1, b=1)
    loaded = again(fit, tmp_path)
    both = again(sf.JointModel({"p": one, "q": one}).fit({"p": 2 * t**1.5, "q": t}, t=t, p_a=1, p_b=1, q_a=1, q_b=1), tmp_path)
    for asked in (loaded, both, both["p"]):
        for method in (asked.predict, asked.eval, asked.eval_uncertainty):
            for coords in ({"t": t}, {"x": t}, {}):
                with pytest.raises(DocumentError, match=r"no model, .*surffit\.load\(path, model="):
                    method(**coords)
    np.testing.assert_allclose(sf.load(tmp_path / "thing.json", sf.JointModel({"p": one, "q": one}))["q"].eval(t=t), t, rtol=1e-6)


def test_numbers_without_one_of_the_models_parameters_are_refused(model, joint, data, tmp_path):
    params = model.make_params(tau=1.0)
    params["base"].set(expr="height/6")
    with pytest.raises(UnsafeFileError, match="'base', for which the document has no value"):
        again(model.fit(data, params, t=T), tmp_path, lambda content: content["params"].pop("base"))
    fit = joint.fit({"a": data, "b": data}, t=T, tau=1.0)
    with pytest.raises(UnsafeFileError, match="data set a has the parameter 'base'"):
        again(fit, tmp_path, lambda content: content["sets"]["a"]["names"].pop("base"))
