"""Joint fits against the same fit written by hand, and the words for calls that can't be right."""

import copy
import pickle

import lmfit
import numpy as np
import pytest
from lmfit.models import GaussianModel, LinearModel

import surffit as sf
from surffit.exceptions import DataError, ParameterError
from surffit.solve import blocks

T1, T2 = np.linspace(0.0, 4.0, 30), np.linspace(0.5, 9.0, 45)


def decay(t, height, tau, floor):
    return height * np.exp(-t / tau) + floor


def both(t, late, r_height, tau, r_floor, w_height, w_floor):
    """The two decays in one function, as people write it without a joint model."""
    return np.where(late, w_height, r_height) * np.exp(-t / tau) + np.where(late, w_floor, r_floor)


def records(seed=0):
    rng = np.random.default_rng(seed)
    sigma = {"r": np.full(30, 0.05), "w": rng.uniform(0.01, 0.03, 45)}
    data = {
        "r": decay(T1, 3.0, 1.7, 0.4) + sigma["r"] * rng.standard_normal(30),
        "w": decay(T2, 1.2, 1.7, 0.1) + sigma["w"] * rng.standard_normal(45),
    }
    return data, sigma


TIMES = {"r": T1, "w": T2}


@pytest.fixture
def model():
    return sf.SurfaceModel(decay)


@pytest.fixture
def joint(model):
    return sf.JointModel({"r": model, "w": model}, shared=["tau"])


@pytest.fixture(params=["whole columns", "blocks"])
def either_way(request, monkeypatch):
    """Both ways through the algebra, whatever the size."""
    monkeypatch.setattr(blocks, "DENSE", 0 if request.param == "blocks" else 1e30)


def equal(one, two, names=None, close=1e-10):
    """Values within `close` of their errors, errors and covariance to `close`."""
    names = names or {name: name for name in two.var_names}
    for a, b in names.items():
        first, second = one.params[a], two.params[b]
        assert abs(first.value - second.value) <= close * second.stderr, (a, first, second)
        assert first.stderr == pytest.approx(second.stderr, rel=close), a
    assert one.chisqr == pytest.approx(two.chisqr, rel=close)
    assert one.redchi == pytest.approx(two.redchi, rel=close)
    assert (one.ndata, one.nvarys, one.nfree) == (two.ndata, two.nvarys, pytest.approx(two.nfree, rel=1e-12))
    rows = [one.var_names.index(a) for a in names]
    columns = [two.var_names.index(b) for b in names.values()]
    scale = np.sqrt(two.covar.diagonal())
    difference = one.covar[np.ix_(rows, rows)] - two.covar[np.ix_(columns, columns)]
    assert np.abs(difference / np.outer(scale[columns], scale[columns])).max() <= close


# ---- the same as by hand -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale_covar", [True, False])
def test_two_together_are_the_concatenated_fit(joint, either_way, scale_covar):
    data, sigma = records()
    ours = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma, scale_covar=scale_covar)
    late = np.concatenate([np.zeros(30, bool), np.ones(45, bool)])
    hand = sf.SurfaceModel(both, ["t", "late"]).fit(
        np.concatenate([data["r"], data["w"]]), tau=1.0, t=np.concatenate([T1, T2]), late=late,
        sigma=np.concatenate([sigma["r"], sigma["w"]]), scale_covar=scale_covar,
    )  # fmt: skip
    assert ours.success
    equal(ours, hand)
    assert ours.residual == pytest.approx(hand.residual, abs=1e-10)
    assert ours.aic == pytest.approx(hand.aic)
    assert ours.bic == pytest.approx(hand.bic)


def test_two_together_are_lmfits_fit_by_hand(joint):
    data, sigma = records()
    params = joint.make_params(tau=1.0, r_height=1.0, r_floor=0.0, w_height=1.0, w_floor=0.0)

    def residual(p):
        return np.concatenate([
            (data[key] - decay(TIMES[key], p[f"{key}_height"].value, p["tau"].value, p[f"{key}_floor"].value)) / sigma[key] for key in data
        ])  # fmt: skip

    theirs = lmfit.minimize(residual, params, ftol=1e-14, xtol=1e-14)
    ours = joint.fit(data, params, t=TIMES, sigma=sigma)
    for name in params:
        assert abs(ours.params[name].value - theirs.params[name].value) < 1e-5 * theirs.params[name].stderr
        assert ours.params[name].stderr == pytest.approx(theirs.params[name].stderr, rel=1e-4)
    assert ours.chisqr == pytest.approx(theirs.chisqr, rel=1e-9)
    assert (ours.nvarys, ours.nfree) == (theirs.nvarys, theirs.nfree)


def test_it_is_a_model_and_its_result_a_modelresult(joint):
    data, sigma = records()
    result = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma)
    assert isinstance(joint, lmfit.Model)
    assert isinstance(result, lmfit.model.ModelResult)
    assert joint.param_names == ["r_height", "tau", "r_floor", "w_height", "w_floor"]
    assert joint.independent_vars == ["t"]
    assert result.residual.shape == (75,)
    assert set(result.best_fit) == set(result.data) == set(result.weights) == set(result.residual_map) == {"r", "w"}
    assert result.residual[:30] == pytest.approx((data["r"] - result.best_fit["r"]) / sigma["r"])
    assert result.residual_map["w"] == pytest.approx(data["w"] - result.best_fit["w"])
    assert result.init_fit["r"].shape == (30,)
    assert "[[Data sets]]" in result.fit_report()
    assert result.summary()["ndata"] == 75
    assert 0.9 < result.rsquared < 1.0


def test_a_shared_linear_parameter(model, either_way):
    data, sigma = records()
    data["w"] = data["w"] + 0.3  # so that one floor serves both
    ours = sf.JointModel({"r": model, "w": model}, shared=["tau", "floor"]).fit(data, tau=1.0, t=TIMES, sigma=sigma)

    def one(t, late, r_height, tau, floor, w_height):
        return np.where(late, w_height, r_height) * np.exp(-t / tau) + floor

    late = np.concatenate([np.zeros(30, bool), np.ones(45, bool)])
    hand = sf.SurfaceModel(one, ["t", "late"]).fit(
        np.concatenate([data["r"], data["w"]]), tau=1.0, t=np.concatenate([T1, T2]), late=late, sigma=np.concatenate([*sigma.values()])
    )
    equal(ours, hand)
    assert set(ours.conditioning.linear) == {"r_height", "floor", "w_height"}
    assert ours.conditioning.nonlinear == ("tau",)


@pytest.mark.parametrize(
    ("expr", "linear"), [("0.25*r_floor", True), ("r_floor + 2*w_height - 2.7", True), ("r_floor**2", False), ("0.1*tau", False)]
)
def test_expressions_tie_parameters_of_different_data_sets(joint, either_way, expr, linear):
    data, sigma = records()
    params = joint.make_params(tau=1.0, r_floor=0.3)
    params["w_floor"].expr = expr
    ours = joint.fit(data, params, t=TIMES, sigma=sigma)
    hand_model = sf.SurfaceModel(both, ["t", "late"])
    by_hand = hand_model.make_params(tau=1.0, r_floor=0.3)
    by_hand["w_floor"].expr = expr
    late = np.concatenate([np.zeros(30, bool), np.ones(45, bool)])
    hand = hand_model.fit(
        np.concatenate([data["r"], data["w"]]), by_hand, t=np.concatenate([T1, T2]), late=late, sigma=np.concatenate([*sigma.values()])
    )
    equal(ours, hand)
    assert ours.params["w_floor"].value == pytest.approx(hand.params["w_floor"].value, rel=1e-9)
    assert ours.params["w_floor"].stderr == pytest.approx(hand.params["w_floor"].stderr, rel=1e-9)
    if expr != "0.1*tau":
        assert ("r_floor" in ours.conditioning.linear) == linear
    # the part shows its tied parameter as a number with an error
    assert ours["w"].params["floor"].stderr == pytest.approx(ours.params["w_floor"].stderr, rel=1e-9)
    assert ours["w"].params["floor"].expr == (expr if expr == "0.1*tau" else None)  # tau is its own, too
    assert np.isfinite(ours["w"].predict(t=T2)["lower"]).all()


def test_an_expression_that_only_lmfit_understands(joint):
    data, sigma = records()
    params = joint.make_params(tau=1.0, r_floor=0.3, w_floor=0.1)
    params._asteval.symtable["share"] = lambda value: 0.25 * value
    params["w_floor"].expr = "share(r_floor)"
    result = joint.fit(data, params, t=TIMES, sigma=sigma)
    exact = joint.make_params(tau=1.0, r_floor=0.3)
    exact["w_floor"].expr = "0.25*r_floor"
    reference = joint.fit(data, exact, t=TIMES, sigma=sigma)
    assert result.params["tau"].value == pytest.approx(reference.params["tau"].value, rel=1e-7)
    assert result.params["tau"].stderr == pytest.approx(reference.params["tau"].stderr, rel=1e-5)
    assert "went without exact derivatives" in result.explain()


def test_bounds_fixed_values_and_hints(joint, model, either_way):
    data, sigma = records()
    params = joint.make_params(tau={"value": 1.0, "min": 0.1}, w_floor={"value": 0.5, "min": 0.2})
    params["r_floor"].set(value=0.4, vary=False)
    ours = joint.fit(data, params, t=TIMES, sigma=sigma)
    assert ours.params["w_floor"].value == 0.2
    assert np.isnan(ours.params["w_floor"].stderr)
    assert ours["w"].at_bound == {"floor": "min"}
    held = joint.make_params(tau=1.0)
    held["w_floor"].set(value=0.2, vary=False)
    held["r_floor"].set(value=0.4, vary=False)
    other = joint.fit(data, held, t=TIMES, sigma=sigma)
    for name in ("tau", "r_height", "w_height"):
        assert ours.params[name].value == pytest.approx(other.params[name].value, rel=1e-8)
        assert ours.params[name].stderr == pytest.approx(other.params[name].stderr, rel=1e-7)
    hinted = sf.SurfaceModel(decay)
    hinted.set_param_hint("tau", value=1.2, min=0.01)
    hinted.set_param_hint("twice", expr="2*tau")
    together = sf.JointModel({"r": hinted, "w": model}, shared=["tau"])
    together.set_param_hint("w_floor", max=10.0)
    made = together.make_params()
    assert (made["tau"].value, made["tau"].min) == (1.2, 0.01)
    assert made["r_twice"].expr == "2*tau"
    assert made["w_floor"].max == 10.0
    result = together.fit(data, made, t=TIMES, sigma=sigma)
    assert result.params["r_twice"].value == pytest.approx(2 * result.params["tau"].value)
    assert result["r"].params["twice"].expr == "2*tau"


def test_one_data_set_is_the_fit_alone(model):
    data, sigma = records()
    ours = sf.JointModel({"r": model}).fit({"r": data["r"]}, r_tau=1.0, t=T1, sigma=sigma["r"])
    alone = model.fit(data["r"], tau=1.0, t=T1, sigma=sigma["r"])
    equal(ours, alone, {f"r_{name}": name for name in alone.var_names})
    equal(ours["r"], alone)


def test_a_parameter_that_its_data_set_leaves_undetermined(either_way):
    def line(x, slope, offset, extra):
        return slope * x + offset + extra

    def plain(x, slope, offset):
        return slope * x + offset

    rng = np.random.default_rng(2)
    x = np.linspace(0.0, 1.0, 20)
    data = {"r": 2 * x + 1 + 0.1 * rng.standard_normal(20), "w": 2 * x + 3 + 0.1 * rng.standard_normal(20)}
    ours = sf.JointModel({"r": sf.SurfaceModel(line), "w": sf.SurfaceModel(plain)}, shared=["slope"]).fit(data, x=x)
    less = sf.JointModel({"r": sf.SurfaceModel(plain), "w": sf.SurfaceModel(plain)}, shared=["slope"]).fit(data, x=x)
    assert ours.success
    assert np.isinf([ours.params["r_offset"].stderr, ours.params["r_extra"].stderr]).all()
    for name in ("slope", "w_offset"):
        assert ours.params[name].value == pytest.approx(less.params[name].value, rel=1e-10)
        assert ours.params[name].stderr == pytest.approx(less.params[name].stderr, rel=1e-10)
    assert ours.chisqr == pytest.approx(less.chisqr, rel=1e-10)
    assert ours.nfree == less.nfree
    assert np.isinf(ours["r"].params["extra"].stderr)
    assert np.isfinite(ours["r"].predict(x=x)["upper"]).all()  # their sum is determined
    assert "r_offset" in ours.explain()


def test_parts_of_different_dimensions(either_way):
    def bump(x, y, height, x0, width):
        return height * np.exp(-((x - x0) ** 2 + y**2) / (2 * width**2))

    def profile(x, amplitude, x0, width, level):
        return amplitude * np.exp(-((x - x0) ** 2) / (2 * width**2)) + level

    rng = np.random.default_rng(5)
    x, y = np.linspace(-3, 3, 25), np.linspace(-2, 2, 17)[:, None]
    line = np.linspace(-4, 4, 40)
    data = {"image": bump(x, y, 5.0, 0.4, 0.9), "scan": profile(line, 3.0, 0.4, 0.9, 0.2)}
    data = {key: values + 0.01 * rng.standard_normal(values.shape) for key, values in data.items()}
    joint = sf.JointModel({"image": sf.SurfaceModel(bump, ["x", "y"]), "scan": sf.SurfaceModel(profile, ["x"])}, shared=["x0", "width"])
    assert joint.independent_vars == ["x", "y"]
    for third in (y, {"image": y}, {"image": y, "scan": None}):
        result = joint.fit(data, x0=0.0, width=1.5, x={"image": x, "scan": line}, y=third)
        assert result.success
        assert result.params["width"].value == pytest.approx(0.9, abs=5 * result.params["width"].stderr)
    assert result.best_fit["image"].shape == (17, 25)
    assert result["image"].residual_map.shape == (17, 25)
    assert len(result.augment()) == 17 * 25 + 40
    with pytest.raises(DataError, match="'scan', whose model has no y"):
        joint.fit(data, x0=0.0, width=1.5, x={"image": x, "scan": line}, y={"image": y, "scan": 1.0})


# ---- parts of every kind -----------------------------------------------------------------------------------------------------


def test_lmfit_models_composites_and_prefixes():
    rng = np.random.default_rng(3)
    x = np.linspace(-5, 5, 60)
    peak = GaussianModel(prefix="g_")
    parts = {"a": peak + LinearModel(prefix="l_"), "b": GaussianModel(prefix="g_")}
    truth = peak.eval(x=x, g_amplitude=5.0, g_center=0.5, g_sigma=1.1)
    data = {"a": truth + 0.2 * x + 1.0 + 0.02 * rng.standard_normal(60), "b": 2 * truth + 0.02 * rng.standard_normal(60)}
    joint = sf.JointModel(parts, shared=["g_center", "g_sigma"])
    params = joint.make_params(g_center=0.0, g_sigma=2.0)
    assert params["a_g_fwhm"].expr == "2.3548200*g_sigma"
    result = joint.fit(data, params, x=x)
    assert result.success
    assert result.params["g_sigma"].value == pytest.approx(1.1, abs=0.02)
    assert result.params["b_g_amplitude"].value == pytest.approx(10.0, abs=0.1)
    assert result["b"].params["g_fwhm"].value == pytest.approx(2.35482 * result.params["g_sigma"].value)
    assert set(result.eval_components()["a"]) == {"g_", "l_"}
    guessed = sf.JointModel({"b": GaussianModel()}).guess({"b": data["b"]}, x=x)
    assert guessed["b_center"].value == pytest.approx(0.5, abs=0.3)
    with pytest.raises(NotImplementedError, match="not known for any model"):
        sf.JointModel({"a": sf.SurfaceModel(decay)}).guess({"a": data["a"]}, t=x)


def test_a_part_without_a_graph_beside_one_with(joint, model):
    def untraceable(t, height, tau, floor):
        if float(tau) < -1e9:
            return t
        return height * np.exp(-t / tau) + floor

    data, sigma = records()
    mixed = sf.JointModel({"r": sf.SurfaceModel(untraceable), "w": model}, shared=["tau"])
    ours = mixed.fit(data, tau=1.0, r_height=1.0, r_floor=0.1, t=TIMES, sigma=sigma)
    exact = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma)
    assert ours.success
    for name in exact.var_names:
        assert abs(ours.params[name].value - exact.params[name].value) < 1e-4 * exact.params[name].stderr
        assert ours.params[name].stderr == pytest.approx(exact.params[name].stderr, rel=1e-5)
    assert ours.conditioning.derivatives != "graph"
    assert "Only r went without exact derivatives" in ours.explain().replace("\n  ", " ")


def test_complex_data(model):
    def wave(t, amplitude, tau, phase):
        return amplitude * np.exp(-t / tau + 1j * phase * t)

    rng = np.random.default_rng(1)
    noise = 0.02 * (rng.standard_normal(45) + 1j * rng.standard_normal(45))
    data = {"r": decay(T1, 3.0, 1.7, 0.4) + 0.02 * rng.standard_normal(30), "w": wave(T2, 2.0, 1.7, 0.8) + noise}
    result = sf.JointModel({"r": model, "w": sf.SurfaceModel(wave)}, shared=["tau"]).fit(data, tau=1.2, w_phase=0.7, t=TIMES)
    assert result.success
    assert result.ndata == 30 + 90
    assert result.residual.dtype == float
    assert np.iscomplexobj(result.best_fit["w"])
    assert result.params["tau"].value == pytest.approx(1.7, abs=5 * result.params["tau"].stderr)


def test_linear_is_what_all_parts_agree_on(either_way):
    def first(x, a, b):
        return a * x + b

    def second(x, a, c):
        return c * np.exp(a * x)

    x = np.linspace(0.0, 1.0, 20)
    result = sf.JointModel({"p": sf.SurfaceModel(first), "q": sf.SurfaceModel(second)}, shared=["a"]).fit(
        {"p": 1.5 * x + 2.0 + 1e-3 * np.cos(40 * x), "q": 0.5 * np.exp(1.5 * x) + 1e-3 * np.sin(50 * x)}, a=1.0, x=x
    )
    assert result.conditioning.nonlinear == ("a",)
    assert set(result.conditioning.linear) == {"p_b", "q_c"}
    assert result.params["a"].value == pytest.approx(1.5, abs=1e-2)

    def product(x, a, k):
        return a * k * x

    def plus(x, a, k):
        return a + k * x

    # a and k are linear in each part alone, but multiply each other in one of them
    together = sf.JointModel({"p": sf.SurfaceModel(product), "q": sf.SurfaceModel(plus)}, shared=["a", "k"])
    result = together.fit({"p": 6.0 * x + 1e-3 * np.cos(40 * x), "q": 2.0 + 3.0 * x + 1e-3 * np.cos(33 * x)}, a=1.0, k=1.0, x=x)
    assert result.success
    assert len(result.conditioning.linear) == 1
    assert result.params["a"].value * result.params["k"].value == pytest.approx(6.0, abs=1e-2)
    stated = sf.JointModel({"p": sf.SurfaceModel(first, linear=()), "q": sf.SurfaceModel(first)})
    assert stated.fit({"p": x + 1.0, "q": x + 2.0}, p_a=1.0, p_b=0.5, x=x).conditioning.nonlinear == ("p_a", "p_b")


def test_many_data_sets_go_block_by_block():
    rng = np.random.default_rng(6)
    model = sf.SurfaceModel(decay)
    keys = [f"s{i}" for i in range(40)]
    times = {key: np.sort(rng.uniform(0.0, 6.0, 60)) for key in keys}
    data = {key: decay(times[key], *rng.uniform(1, 3, 1), 1.7, 0.2) + 0.05 * rng.standard_normal(60) for key in keys}
    result = sf.JointModel(dict.fromkeys(keys, model), shared=["tau"]).fit(data, tau=1.0, t=times)
    assert result.success
    assert result.conditioning.engine == "blocks"
    assert result.nvarys == 81
    assert result.params["tau"].value == pytest.approx(1.7, abs=5 * result.params["tau"].stderr)
    assert sum(result.data_sets()["nfree"]) == pytest.approx(result.nfree, rel=1e-9)
    alone = sf.JointModel(dict.fromkeys(keys[:2], model), shared=["tau"]).fit(
        {k: data[k] for k in keys[:2]}, tau=1.0, t={k: times[k] for k in keys[:2]}
    )
    assert result.params["tau"].stderr < 0.4 * alone.params["tau"].stderr


# ---- data ---------------------------------------------------------------------------------------------------------------------


def test_masks_weights_and_nan_by_data_set(joint):
    data, sigma = records()
    clean = joint.fit(
        {"r": data["r"][5:], "w": data["w"][:-3]}, tau=1.0, t={"r": T1[5:], "w": T2[:-3]}, sigma={"r": 0.05, "w": sigma["w"][:-3]}
    )
    dirty = {key: values.copy() for key, values in data.items()}
    dirty["r"][:5] = 1e6
    dirty["w"][-3:] = np.nan
    mask = {"r": np.arange(30) < 5, "w": None}
    ours = joint.fit(dirty, tau=1.0, t=TIMES, weights={"r": 20.0, "w": 1 / sigma["w"]}, mask=mask, nan_policy="omit")
    equal(ours, clean)
    assert np.isnan(ours.best_fit["r"]).any() or np.isfinite(ours.best_fit["r"]).all()
    assert np.isnan(ours.residual_map["r"][:5]).all()
    assert "In r: 5 of 30 points" in ours.explain()
    with pytest.raises(DataError, match="data set 'w': data has 3 non-finite values"):
        joint.fit(dirty, tau=1.0, t=TIMES)
    zero = joint.fit(dirty | {"w": data["w"]}, tau=1.0, t=TIMES, weights={"r": np.where(mask["r"], 0.0, 20.0), "w": 1 / sigma["w"]})
    assert zero.ndata == 25 + 45


def test_pandas_goes_in_and_comes_out(joint):
    import pandas as pd

    data, _ = records()
    frames = {key: pd.Series(values, index=np.arange(values.size) * 2) for key, values in data.items()}
    result = joint.fit(frames, tau=1.0, t=TIMES)
    assert isinstance(result.best_fit["r"], pd.Series)
    assert list(result.best_fit["w"].index[:2]) == [0, 2]
    table = result.augment()
    assert list(table.columns) == ["dataset", "t", "data", "fitted", "resid", "std_resid"]
    assert (table["dataset"] == "r").sum() == 30


def test_the_users_objects_stay_as_they_were(joint, model):
    data, sigma = records()
    params = joint.make_params(tau=1.0)
    params["w_floor"].expr = "r_floor/4"
    before = params.dumps()
    kept = copy.deepcopy((data, sigma, TIMES))
    state = (list(model._param_names), dict(model.param_hints), list(joint._param_names))
    joint.fit(data, params, t=TIMES, sigma=sigma)
    assert params.dumps() == before
    for old, new in zip(kept, (data, sigma, TIMES), strict=True):
        assert all((old[key] == new[key]).all() for key in old)
    assert (list(model._param_names), dict(model.param_hints), list(joint._param_names)) == state


def test_losses_and_priors(joint):
    data, sigma = records()
    plain = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma)
    data["r"][4] += 20.0
    robust = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma, loss="soft_l1")
    hurt = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma)
    error = plain.params["tau"].stderr
    assert abs(robust.params["tau"].value - plain.params["tau"].value) < error
    assert abs(hurt.params["r_height"].value - plain.params["r_height"].value) > 5 * plain.params["r_height"].stderr
    assert sum(robust.data_sets()["chisqr"]) == pytest.approx(robust.chisqr, rel=1e-9)
    data, sigma = records()
    known = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma, scale_covar=False)
    prior = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma, scale_covar=False, priors={"tau": (1.6, known.params["tau"].stderr)})
    assert prior.params["tau"].stderr == pytest.approx(known.params["tau"].stderr / np.sqrt(2), rel=0.03)
    assert prior.residual.shape == (75,)


# ---- results ------------------------------------------------------------------------------------------------------------------


def test_the_share_of_one_data_set(joint, model):
    data, sigma = records()
    result = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma)
    part = result["w"]
    assert isinstance(part, lmfit.model.ModelResult)
    assert list(part.params) == ["height", "tau", "floor"]
    assert part.params["height"].value == result.params["w_height"].value
    assert part.params["tau"].stderr == pytest.approx(result.params["tau"].stderr, rel=1e-12)
    assert part.params["height"].correl["tau"] == pytest.approx(result.params["w_height"].correl["tau"], rel=1e-9)
    rows = [result.var_names.index(name) for name in ("w_height", "tau", "w_floor")]
    assert part.covar == pytest.approx(result.covar[np.ix_(rows, rows)], rel=1e-9)
    assert part.ndata == 45
    assert part.chisqr == pytest.approx(np.sum(((data["w"] - part.best_fit) / sigma["w"]) ** 2))
    assert part.chisqr + result["r"].chisqr == pytest.approx(result.chisqr)
    assert part.nfree + result["r"].nfree == pytest.approx(result.nfree)
    assert part.best_values["floor"] == part.params["floor"].value
    assert "height" in part.fit_report()
    assert "joint fit" in part.explain()
    assert part.tidy()["term"].tolist() == ["height", "tau", "floor"]
    assert part.plot() is not None
    assert part.eval(t=[1.0, 2.0]) == pytest.approx(decay(np.array([1.0, 2.0]), **part.best_values))
    for call in (part.fit, part.conf_interval, part.conf_interval2d, part.minimize, part.sample):
        with pytest.raises(ParameterError, match="all data sets together"):
            call()
    with pytest.raises(ParameterError, match="'x' is no data set of this fit; it has 'r', 'w'"):
        result["x"]


def test_bands_are_those_of_the_joint_fit(joint):
    data, sigma = records()
    result = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma)
    at = np.array([0.5, 3.0])
    late = np.concatenate([np.zeros(30, bool), np.ones(45, bool)])
    hand = sf.SurfaceModel(both, ["t", "late"]).fit(
        np.concatenate([data["r"], data["w"]]), tau=1.0, t=np.concatenate([T1, T2]), late=late, sigma=np.concatenate([*sigma.values()])
    )
    theirs = hand.predict(t=at, late=np.array([True, True]))
    for ours in (
        result.predict(t=at)["w"],
        result.predict(key="w", t=at),
        result["w"].predict(t=at),
        result.predict(t={"r": T1, "w": at})["w"],
    ):
        assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-9)
    assert result.eval_uncertainty(t=at)["w"] == pytest.approx(hand.eval_uncertainty(t=at, late=np.array([True, True])), rel=1e-9)
    assert result.eval(t=at)["r"] == pytest.approx(result["r"].eval(t=at))
    assert result.eval(key="r", t=at) == pytest.approx(result["r"].eval(t=at))
    moved = result.params.copy()
    moved["tau"].value = 3.0
    assert result.eval(moved, key="w", t=at) == pytest.approx(decay(at, moved["w_height"].value, 3.0, moved["w_floor"].value))
    with pytest.raises(ParameterError, match=r"call result\[key\].plot"):
        result.plot()
    with pytest.raises(DataError, match="'u' is no coordinate"):
        result.predict(u=at)


def test_tables_profiles_and_other_rungs(joint):
    data, sigma = records()
    result = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma)
    assert result.tidy()["term"].tolist() == list(result.params)
    assert len(result.glance()) == 1
    assert result.data_sets()["dataset"].tolist() == ["r", "w"]
    assert result.keys() == ("r", "w")
    assert [key for key, _ in result.items()] == list(result) == ["r", "w"]
    limits = result.conf_interval(p_names=["tau"], sigmas=[1])["tau"]
    assert limits[0][1] == pytest.approx(result.params["tau"].value - result.params["tau"].stderr, rel=1e-2)
    hessian = result.covariance("hessian")
    assert hessian.stderr["tau"] == pytest.approx(result.params["tau"].stderr, rel=0.05)
    again = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma)
    again.fit(weights={"r": 1.0, "w": None})
    assert again.chisqr != result.chisqr
    assert again.success
    with pytest.raises(ParameterError, match="can't be added"):
        joint + joint
    with pytest.raises(ParameterError, match="fitted by its own fit"):
        joint.parts["r"] + joint
    with pytest.raises(ParameterError, match="fitted by its own fit"):
        sf.SurfaceModel.from_lmfit(joint)
    assert sf.tables.augment(result).equals(result.augment())
    with pytest.raises(ParameterError, match=r"call result\[key\].plot"):
        sf.plot.plot(result)


def test_a_wrong_sigma_in_one_data_set_is_told(joint):
    data, sigma = records()
    told = joint.fit(data, tau=1.0, t=TIMES, sigma={"r": 0.05, "w": sigma["w"] / 5})
    assert "The scatter of w is" in told.explain()
    assert "The scatter of r is" not in told.explain()  # of two that differ, one is told
    table = told.data_sets().set_index("dataset")["redchi"]
    assert table["w"] / table["r"] == pytest.approx(25, rel=0.6)
    assert "The scatter" not in joint.fit(data, tau=1.0, t=TIMES, sigma=sigma).explain()
    absolute = joint.fit(data, tau=1.0, t=TIMES, sigma={"r": 0.5, "w": sigma["w"]}, scale_covar=False)
    assert "The scatter of r is" in absolute.explain()
    assert "too large" in absolute.explain()


@pytest.mark.parametrize("by_blocks", [False, True])
def test_pickle(joint, monkeypatch, by_blocks):
    monkeypatch.setattr(blocks, "DENSE", 0 if by_blocks else 1e30)
    data, sigma = records()
    result = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma)
    back = pickle.loads(pickle.dumps(result))
    assert back.fit_report() == result.fit_report()
    assert back.explain() == result.explain()
    assert back["w"].params["tau"].stderr == result["w"].params["tau"].stderr
    assert back.predict(t=T1)["r"].to_numpy() == pytest.approx(result.predict(t=T1)["r"].to_numpy())
    assert back.data_sets().equals(result.data_sets())
    assert pickle.loads(pickle.dumps(joint)).param_names == joint.param_names


def test_evaluating_the_model(joint):
    params = joint.make_params(tau=1.0, r_height=2.0, r_floor=0.0, w_height=1.0, w_floor=0.5)
    values = joint.eval(params, t={"r": T1, "w": T2})
    assert values["r"] == pytest.approx(decay(T1, 2.0, 1.0, 0.0))
    assert joint.eval(params, t=T1, tau=3.0)["w"] == pytest.approx(decay(T1, 1.0, 3.0, 0.5))
    assert repr(joint).startswith("JointModel(r: ")
    assert joint.copy(name="other").param_names == joint.param_names
    assert joint.linear == ("r_height", "r_floor", "w_height", "w_floor")


def test_the_callback_and_the_limit(joint):
    data, sigma = records()
    seen = []
    joint.fit(data, tau=1.0, t=TIMES, sigma=sigma, iter_cb=lambda params, i, resid, **kws: seen.append((params["tau"].value, resid.size)))
    assert seen
    assert all(size == 75 for _, size in seen)
    stopped = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma, iter_cb=lambda *args, **kws: True)
    assert stopped.aborted
    for method in ("leastsq", "nelder"):
        other = joint.fit(data, tau=1.0, t=TIMES, sigma=sigma, method=method)
        assert other.params["tau"].value == pytest.approx(1.7, abs=0.1)


# ---- calls that can't be right ------------------------------------------------------------------------------------------------


def test_a_list_of_models_gets_numbered_keys(model):
    joint = sf.JointModel([model, model], shared="tau")
    assert joint.keys == ("d0", "d1")
    assert joint.param_names == ["d0_height", "tau", "d0_floor", "d1_height", "d1_floor"]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda m: sf.JointModel({"1r": m}), "'1r' is not an identifier"),
        (lambda m: sf.JointModel({3: m}), "3 is not an identifier"),
        (lambda m: sf.JointModel({}), "at least one model"),
        (lambda m: sf.JointModel(m), "takes several models"),
        (lambda m: sf.JointModel({"r": decay}), "is a function, not a model"),
        (lambda m: sf.JointModel({"r": m, "w": m}, shared=["nope"]), "'nope', which is a parameter of none"),
        (lambda m: sf.JointModel({"r": m, "w": LinearModel()}, shared=["tau"]), "only 'r' has a parameter"),
        (lambda m: sf.JointModel({"r": m, "w": m}, shared=["tau", "tau"]), "'tau' twice"),
        (lambda m: sf.JointModel({"r": m, "j": sf.JointModel({"a": m})}), "is a JointModel itself"),
        (
            lambda m: sf.JointModel({"a": sf.SurfaceModel(lambda x, b_c: b_c * x), "a_b": sf.SurfaceModel(lambda x, c: c * x)}),
            "would both be called 'a_b_c'",
        ),
    ],
)
def test_models_that_cannot_be_right(model, build, words):
    with pytest.raises(ParameterError, match=words):
        build(model)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": np.zeros(5)}, "data is a ndarray; give one data set per key: {'r': ..., 'w': ...}"),
        ({"data": {"r": T1}}, "'w' is missing"),
        ({"data": {"r": T1, "w": T2, "z": T1}}, "'z' is no data set here"),
        ({"t": {"r": T1, "x": T2}}, "'x' is no data set here and 'w' is missing"),
        ({"sigma": {"r": 0.1}}, "sigma is a dict whose keys don't match"),
        ({"weights": 1.0, "sigma": 1.0}, "data set 'r'"),
        ({"t": {"r": T2, "w": T2}}, "data set|data has shape|shape"),
        ({"nope": 1.0}, "'nope' is not a coordinate or parameter of the joint model"),
        ({"height": 1.0}, "did you mean '[rw]_height'"),
        ({"t": None}, "coordinate t of data set 'r' is missing|t"),
        ({"nan_policy": "propagate"}, "nan_policy='propagate'"),
        ({"method": "nonsense"}, "method='nonsense'"),
        ({"coords": {"t": T1}}, "given twice"),
    ],
)
def test_calls_that_cannot_be_right(joint, change, words):
    data, sigma = records()
    arguments = {"data": data, "tau": 1.0, "t": TIMES, "sigma": sigma} | change
    with pytest.raises((DataError, ParameterError, TypeError), match=words):
        joint.fit(arguments.pop("data"), **arguments)


def test_starts_that_are_missing_or_misnamed(joint):
    data, _ = records()
    with pytest.raises(ParameterError, match=r"tau of .* has no start value"):
        joint.fit(data, t=TIMES)
    with pytest.raises(ParameterError, match="did you mean 'r_height'"):
        joint.make_params(height=1.0)
    with pytest.raises(ParameterError, match="coordinate t of data set") as error:
        joint.fit(data, tau=1.0)
    assert "'r'" in str(error.value)


def test_shared_hints_that_disagree():
    one, two = sf.SurfaceModel(decay), sf.SurfaceModel(decay)
    one.set_param_hint("tau", min=2.0)
    two.set_param_hint("tau", max=1.0)
    with pytest.raises(ParameterError, match="make them overlap"):
        sf.JointModel({"r": one, "w": two}, shared=["tau"]).make_params()


def test_sigma_is_always_the_data_error():
    x = np.linspace(-4, 4, 50)
    rng = np.random.default_rng(0)
    peak = GaussianModel()
    data = {key: peak.eval(x=x, amplitude=a, center=0.2, sigma=1.1) + 0.01 * rng.standard_normal(50) for key, a in (("r", 3.0), ("w", 5.0))}
    joint = sf.JointModel({"r": peak, "w": peak}, shared=["sigma", "center"])
    result = joint.fit(data, joint.make_params(sigma=2.0, center=0.0), x=x, sigma=0.01, scale_covar=False)
    assert result.params["sigma"].value == pytest.approx(1.1, abs=0.01)
    assert result.weights["r"] == pytest.approx(np.full(50, 100.0))


def test_own_names_that_look_like_joint_ones():
    def first(x, a, r_a):
        return a * x + r_a

    def second(x, r_a, b):
        return r_a * x**2 + b

    rng = np.random.default_rng(4)
    x = np.linspace(0.0, 2.0, 30)
    data = {"w": 6.0 * x**2 + 1.0 + 0.01 * rng.standard_normal(30), "r": 3.0 * x + 0.5 + 0.01 * rng.standard_normal(30)}
    joint = sf.JointModel({"r": sf.SurfaceModel(first), "w": sf.SurfaceModel(second)})
    assert joint.param_names == ["r_a", "r_r_a", "w_r_a", "w_b"]
    params = joint.make_params()
    params["w_r_a"].expr = "2*r_a"  # the slope of r, not the w model's own r_a
    result = joint.fit(data, params, x=x)  # the order of the data's keys doesn't matter
    assert result.params["r_a"].value == pytest.approx(3.0, abs=0.02)
    assert result.params["r_r_a"].value == pytest.approx(0.5, abs=0.02)
    assert result["w"].params["r_a"].value == pytest.approx(2 * result.params["r_a"].value)
    assert list(result.best_fit) == ["r", "w"]


def test_a_start_without_effect_is_moved_to_the_guess():
    x = np.linspace(0.0, 20.0, 80)
    rng = np.random.default_rng(7)
    peak = GaussianModel()
    data = {
        key: peak.eval(x=x, amplitude=a, center=12.0, sigma=0.7) + 0.01 * rng.standard_normal(80) for key, a in (("p", 3.0), ("q", 5.0))
    }
    joint = sf.JointModel({"p": peak, "q": peak}, shared=["center", "sigma"])
    result = joint.fit(data, joint.make_params(center=-900.0, sigma=0.5), x=x)
    assert result.success
    assert result.params["center"].value == pytest.approx(12.0, abs=0.05)
    assert "moved to the guess" in result.explain().replace("\n  ", " ")
