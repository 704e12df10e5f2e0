"""Saved joint fits and joint models come back whole."""

import json

import lmfit
import numpy as np
import pytest

import surffit as sf
from surffit import io
from surffit.exceptions import DocumentError

T = np.linspace(0, 5, 40)
S = np.linspace(0, 2, 25)


def decay(t, height, tau, base):
    return height * np.exp(-t / tau) + base


def line(s, slope, tau):
    return slope * s / tau


@pytest.fixture
def joint():
    model = sf.SurfaceModel(decay)
    return sf.JointModel({"r": model, "w": model, "l": sf.SurfaceModel(line)}, shared=["tau"])


@pytest.fixture
def fitted(joint, rng):
    params = joint.make_params(tau=dict(value=1.0, min=0.01))
    params["w_base"].set(expr="2*r_base + 0.1")
    data = {"r": decay(T, 2, 1.5, 0.3), "w": decay(T, 5, 1.5, 0.7), "l": line(S, 2, 1.5)}
    data = {key: values + rng.normal(0, 0.01, values.size) for key, values in data.items()}
    return joint.fit(data, params, t=T, s=S)


@pytest.fixture
def loaded(fitted, tmp_path):
    fitted.save(tmp_path / "joint.json")
    return sf.load(tmp_path / "joint.json")


def test_everything_comes_back(fitted, loaded):
    assert type(loaded) is type(fitted)
    assert isinstance(loaded, lmfit.model.ModelResult)
    assert loaded.keys() == fitted.keys()
    assert loaded.fit_report() == fitted.fit_report()
    assert loaded.explain() == fitted.explain()
    assert repr(loaded) == repr(fitted)
    assert loaded.tidy().equals(fitted.tidy())
    assert loaded.glance().equals(fitted.glance())
    assert loaded.data_sets().equals(fitted.data_sets())
    assert np.array_equal(loaded.covar, fitted.covar)
    assert loaded.data_sha256 == io.document(fitted)["stats"]["data_sha256"]


def test_every_data_set_has_its_share(fitted, loaded):
    for key in fitted:
        one, two = fitted[key], loaded[key]
        assert two.tidy().equals(one.tidy())
        assert two.fit_report() == one.fit_report()
        np.testing.assert_allclose(two.covar, one.covar, rtol=1e-9)
        assert two.var_names == one.var_names
        for name in ("ndata", "nfree", "chisqr", "redchi", "aic", "bic", "success", "covar_source", "joint_names"):
            assert getattr(two, name) == getattr(one, name), name


def test_it_evaluates_and_predicts_by_key(fitted, loaded):
    new = np.array([0.1, 2.0, 7.0])
    for key, values in fitted.eval(t=new, s=new).items():
        assert np.array_equal(loaded.eval(t=new, s=new)[key], values)
        name = "s" if key == "l" else "t"
        assert np.array_equal(loaded.eval(key=key, **{name: new}), values)
        for kind in ("confidence", "prediction"):
            one, two = (result.predict(kind=kind, key=key, **{name: new}) for result in (fitted, loaded))
            np.testing.assert_allclose(np.asarray(two), np.asarray(one), rtol=1e-10)
            one, two = (result[key].predict(kind=kind, **{name: new}) for result in (fitted, loaded))
            np.testing.assert_allclose(np.asarray(two), np.asarray(one), rtol=1e-10)


def test_a_parameter_tied_to_another_data_set_keeps_its_error(fitted, loaded):
    assert loaded.params["w_base"].expr == "2*r_base + 0.1"
    assert loaded["w"].params["base"].stderr == fitted["w"].params["base"].stderr
    assert loaded["w"].params["base"].stderr == pytest.approx(2 * fitted.params["r_base"].stderr)


def test_what_was_loaded_saves_as_the_same_document(fitted, loaded, tmp_path):
    fitted.save(tmp_path / "one.json")
    loaded.save(tmp_path / "two.json")
    assert (tmp_path / "two.json").read_text() == (tmp_path / "one.json").read_text()


def test_a_model_that_serves_several_data_sets_is_written_once(fitted):
    content = io.document(fitted)
    assert content["schema"] == "surffit.joint/1"
    assert len(content["models"]) == 2
    assert [entry["model"] for entry in content["sets"].values()] == [0, 0, 1]
    assert content["sets"]["r"]["names"] == {"height": "r_height", "tau": "tau", "base": "r_base"}


def test_what_needs_the_data_says_so(loaded):
    for call in (loaded.fit, loaded.sample, loaded.conf_interval, lambda: loaded.covariance("hessian")):
        with pytest.raises(DocumentError, match="fit the data again"):
            call()
    assert loaded.best_fit is None
    assert loaded.residual_map is None


def test_registered_models_with_hints_and_options(rng, tmp_path):
    model = sf.get_model("gaussian", prefix="g_")
    joint = sf.JointModel([model, model, sf.get_model("step")], shared=["g_center"])
    truth = joint.make_params(
        d0_g_amplitude=3, g_center=2.5, d0_g_sigma=0.4, d1_g_amplitude=5, d1_g_sigma=0.6, d2_amplitude=1, d2_center=3, d2_sigma=0.5
    )
    data = joint.eval(truth, x=T, form={"d2": "erf"} if False else "erf")
    data = {key: values + rng.normal(0, 0.001, values.size) for key, values in data.items()}
    result = joint.fit(data, truth, x=T, form="erf")
    result.save(tmp_path / "joint.json")
    loaded = sf.load(tmp_path / "joint.json")
    assert loaded.fit_report() == result.fit_report()
    assert loaded.params["d0_g_fwhm"].expr
    for key, values in result.best_fit.items():
        np.testing.assert_allclose(loaded.eval(x=T)[key], values, rtol=1e-12)


TABLE = np.linspace(0, 1, 50)


def looked_up(x, a, b):
    return a + b * TABLE[np.asarray(x, dtype=int)]


def test_a_part_that_cannot_travel_asks_for_the_model(tmp_path):
    x = np.arange(40.0)
    joint = sf.JointModel({"one": sf.SurfaceModel(looked_up), "two": sf.get_model("linear", prefix="l_")})
    result = joint.fit({"one": looked_up(x, 1, 2) + np.sin(x), "two": 3 * x + np.cos(x)}, x=x)
    result.save(tmp_path / "joint.json")
    loaded = sf.load(tmp_path / "joint.json")
    assert loaded.fit_report().split("[[Fit Stat")[1] == result.fit_report().split("[[Fit Stat")[1]
    assert np.array_equal(loaded.eval(key="two", x=x), result.eval(key="two", x=x))
    with pytest.raises(DocumentError, match="model="):
        loaded.eval(key="one", x=x)
    given = sf.load(tmp_path / "joint.json", model=joint)
    assert np.array_equal(given.eval(x=x)["one"], result.best_fit["one"])


def test_a_wrong_model_is_refused(fitted, joint, tmp_path):
    fitted.save(tmp_path / "joint.json")
    assert sf.load(tmp_path / "joint.json", model=joint).keys() == ("r", "w", "l")
    model = sf.SurfaceModel(decay)
    for wrong, sentence in (
        (sf.JointModel({"r": model, "w": model}, shared=["tau"]), "has the data sets r, w, the document has r, w, l"),
        (sf.JointModel({"r": model, "w": model, "l": sf.SurfaceModel(line)}), "has the parameter 'tau' of 'r' as 'r_tau'"),
        (model, "has the data sets none"),
    ):
        with pytest.raises(DocumentError, match=sentence):
            sf.load(tmp_path / "joint.json", model=wrong)


def test_two_hundred_data_sets(rng, tmp_path):
    model = sf.SurfaceModel(decay)
    joint = sf.JointModel({f"k{i}": model for i in range(200)}, shared=["tau"])
    data = {f"k{i}": decay(T, 1 + i % 7, 1.5, 0.2) + rng.normal(0, 0.01, T.size) for i in range(200)}
    result = joint.fit(data, tau=1.0, t=T)
    result.save(tmp_path / "joint.json")
    loaded = sf.load(tmp_path / "joint.json")
    assert loaded.tidy().equals(result.tidy())
    assert loaded["k150"].tidy().equals(result["k150"].tidy())


def test_a_joint_model_comes_back(joint, tmp_path):
    joint.set_param_hint("tau", value=2.0, min=0.0)
    joint.set_param_hint("w_base", expr="2*r_base")
    joint.save(tmp_path / "model.json")
    loaded = sf.load(tmp_path / "model.json")
    assert isinstance(loaded, sf.JointModel)
    assert loaded.param_names == joint.param_names
    assert loaded.names.joint == joint.names.joint
    assert loaded.parts["r"] is loaded.parts["w"]
    params = loaded.make_params(r_base=1.0)
    assert params["w_base"].value == 2.0
    data = {"r": decay(T, 2, 1.5, 0.3), "w": decay(T, 5, 1.5, 0.6), "l": line(S, 2, 1.5) + 0.01 * np.sin(9 * S)}
    one, two = (model.fit(data, model.make_params(), t=T, s=S) for model in (joint, loaded))
    assert two.best_values == one.best_values
    assert json.loads(loaded.dumps()) == json.loads((tmp_path / "model.json").read_text())
    with pytest.raises(DocumentError, match=r"surffit\.load"):
        loaded.loads("{}")


@pytest.mark.parametrize("cost", [dict(loss="huber"), dict(priors={"tau": (1.5, 0.01)}), dict(loss="huber", priors={"tau": (1.5, 0.01)})])
def test_losses_and_priors(cost, rng, tmp_path):
    model = sf.SurfaceModel(decay)
    joint = sf.JointModel({"r": model, "w": model}, shared=["tau"])
    data = {"r": decay(T, 2, 1.5, 0.3) + rng.normal(0, 0.01, T.size), "w": decay(T, 5, 1.5, 0.7) + rng.normal(0, 0.02, T.size)}
    starts = joint.make_params(tau=1.0, r_height=1, w_height=1, r_base=0, w_base=0)
    result = joint.fit(data, starts, t=T, **cost)
    result.save(tmp_path / "joint.json")
    loaded = sf.load(tmp_path / "joint.json")
    assert loaded.fit_report() == result.fit_report()
    assert loaded.data_sets().equals(result.data_sets())
    for key in result:
        assert loaded[key].fit_report() == result[key].fit_report()
        for kind in ("confidence", "prediction"):
            one, two = (np.asarray(fit.predict(kind=kind, key=key, t=T)) for fit in (result, loaded))
            np.testing.assert_allclose(two, one, rtol=1e-12)
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "joint.json").read_text()


def test_posteriors_of_joint_fits(fitted, tmp_path):
    posterior = fitted.sample(steps=400, rng=2)
    posterior.save(tmp_path / "posterior.json")
    assert sf.load(tmp_path / "posterior.json").summary().equals(posterior.summary())
