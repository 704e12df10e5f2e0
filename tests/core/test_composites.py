"""Composites: every operator, every kind of model on either side, and lmfit's models by `from_lmfit` with all they carry."""

import operator

import lmfit
import numpy as np
import pytest
from lmfit.model import CompositeModel
from lmfit.models import (
    ConstantModel,
    ExponentialModel,
    ExpressionModel,
    Gaussian2dModel,
    GaussianModel,
    LinearModel,
    PolynomialModel,
    SplineModel,
    StepModel,
    VoigtModel,
)

import surffit as sf
from surffit.exceptions import ParameterError

X = np.linspace(0.1, 10.0, 140)
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def bump(x, height, center, width):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2)


def ramp(x, level, slope):
    return level + slope * x


# kinds of models that can stand on a side
LEFT = {"surface": lambda: sf.SurfaceModel(bump, prefix="l_"), "bare": lambda: lmfit.Model(bump, prefix="l_")}
RIGHT = {
    "surface": lambda: sf.SurfaceModel(ramp, prefix="r_"),
    "bare": lambda: lmfit.Model(ramp, prefix="r_"),
    "built-in": lambda: LinearModel(prefix="r_"),
}
TRUTH = {"l_height": 3.0, "l_center": 4.4, "l_width": 0.9}
SLOPES = {"r_level": 2.0, "r_slope": 0.3, "r_intercept": 2.0}


def values(model, scale=1.0):
    known = {**TRUTH, **SLOPES}
    return {n: known[n] * scale for n in model.param_names}


def fixed_where_ambiguous(model, symbol, params):
    """A product or quotient has one scale too many."""
    if symbol in "*/":
        for name in ("r_level", "r_intercept"):
            if name in params:
                params[name].vary = False
    return params


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize(("left", "right"), [("surface", "surface"), ("surface", "bare"), ("surface", "built-in"), ("bare", "surface")])
def test_operators(left, right, symbol, tight, agree):
    """A SurfaceModel or a bare lmfit.Model on the left, anything on the right: a SurfaceModel composite with lmfit's answer."""
    model = OPERATORS[symbol](LEFT[left](), RIGHT[right]())
    assert isinstance(model, sf.SurfaceModel)
    assert isinstance(model, CompositeModel)
    assert len(model.components) == 2
    plain_left, plain_right = (
        lmfit.Model(bump, prefix="l_"),
        LinearModel(prefix="r_") if right == "built-in" else lmfit.Model(ramp, prefix="r_"),
    )
    theirs = OPERATORS[symbol](plain_left, plain_right)
    assert model.param_names == theirs.param_names
    truth = model.make_params(**values(model))
    clean = model.eval(truth, x=X)
    np.testing.assert_allclose(clean, theirs.eval(theirs.make_params(**values(theirs)), x=X), rtol=1e-15)
    data = clean + 0.02 * np.random.default_rng(4).normal(size=X.size)
    start = fixed_where_ambiguous(model, symbol, model.make_params(**values(model)))
    start["l_center"].value, start["l_width"].value = 4.2, 1.1
    result = model.fit(data, start, x=X)
    agree(result, tight(theirs, data, start, x=X))
    assert result.conditioning.derivatives == "graph"
    expected = {"+": {"l_height", "r_slope", "r_level", "r_intercept"}, "-": {"l_height", "r_slope", "r_level", "r_intercept"}}
    if symbol in expected:
        assert set(result.conditioning.linear) == expected[symbol] & set(model.param_names)
    else:
        assert set(result.conditioning.linear) <= {"l_height", "r_slope"}
        assert result.conditioning.linear


def test_a_built_in_on_the_left_is_lmfits_composite(tight, agree):
    """Python asks the left side first; `from_lmfit` takes what lmfit makes of it."""
    surface = sf.SurfaceModel(ramp, prefix="r_")
    theirs = GaussianModel() + surface
    assert isinstance(theirs, CompositeModel)
    model = sf.SurfaceModel.from_lmfit(theirs)
    assert isinstance(model, sf.SurfaceModel)
    assert set(model.linear) == {"amplitude", "r_level", "r_slope"}
    truth = model.make_params(amplitude=5, center=4, sigma=0.7, r_level=1, r_slope=0.2)
    data = model.eval(truth, x=X) + 0.02 * np.random.default_rng(4).normal(size=X.size)
    result = model.fit(data, model.make_params(center=4.3, sigma=1), x=X)
    plain = GaussianModel() + lmfit.Model(ramp, prefix="r_")
    agree(result, tight(plain, data, plain.make_params(amplitude=4, center=4.3, sigma=1, r_level=0, r_slope=0), x=X))


def test_built_in_left_composites_in_fit_table():
    import pandas as pd

    theirs = GaussianModel() + sf.SurfaceModel(ramp, prefix="r_")
    surface = sf.SurfaceModel.from_lmfit(theirs)
    data = surface.eval(surface.make_params(amplitude=5, center=4, sigma=0.7, r_level=1, r_slope=0.2), x=X)
    frame = pd.DataFrame({"q": X, "v": data + 0.02 * np.random.default_rng(4).normal(size=X.size)})
    result = sf.fit_table(frame, theirs, data="v", x="q", params=surface.make_params(center=4.3, sigma=1))
    assert result.success
    assert result.params["center"].value == pytest.approx(4, abs=0.05)


def test_sums_of_many_and_nested_ones(tight, agree):
    parts = [sf.SurfaceModel(bump, prefix=f"p{i}_") for i in range(3)]
    model = (parts[0] + parts[1]) * LinearModel(prefix="m_") + (parts[2] - ConstantModel(prefix="c_"))
    plain = (lmfit.Model(bump, prefix="p0_") + lmfit.Model(bump, prefix="p1_")) * LinearModel(prefix="m_") + (
        lmfit.Model(bump, prefix="p2_") - ConstantModel(prefix="c_")
    )
    assert isinstance(model, sf.SurfaceModel)
    assert [c.prefix for c in model.components] == ["p0_", "p1_", "m_", "p2_", "c_"]
    truth = {"m_slope": 0.1, "m_intercept": 1.0, "c_c": -0.5}
    for i, center in enumerate((2.0, 5.0, 8.0)):
        truth |= {f"p{i}_height": 3.0 + i, f"p{i}_center": center, f"p{i}_width": 0.6}
    data = model.eval(model.make_params(**truth), x=X) + 0.02 * np.random.default_rng(4).normal(size=X.size)
    start = model.make_params(**truth)
    start["m_intercept"].vary = start["p1_height"].vary = False  # the scales of a product can't be told apart
    for i in range(3):
        start[f"p{i}_center"].value += 0.1
        start[f"p{i}_width"].value *= 1.1
    agree(model.fit(data, start, x=X), tight(plain, data, start, x=X))


def test_two_dimensional_composite(tight):
    y, x = np.mgrid[:24, :30] * 0.5
    plane = sf.SurfaceModel.from_expression("sky + gx*x + gy*y", independent_vars=["x", "y"])
    for model in (plane + Gaussian2dModel(prefix="g_"), sf.SurfaceModel.from_lmfit(Gaussian2dModel(prefix="g_") + plane)):
        assert set(model.linear) == {"sky", "gx", "gy", "g_amplitude"}
        truth = {
            "sky": 1.0,
            "gx": 0.05,
            "gy": -0.03,
            "g_amplitude": 60,
            "g_centerx": 7.0,
            "g_centery": 5.5,
            "g_sigmax": 1.5,
            "g_sigmay": 1.1,
        }
        data = model.eval(model.make_params(**truth), x=x, y=y) + 0.05 * np.random.default_rng(1).normal(size=x.shape)
        start = {"g_centerx": 6.5, "g_centery": 5.0, "g_sigmax": 1.2, "g_sigmay": 1.3}
        result = model.fit(data, model.make_params(**start), x=x, y=y)
        flat = lmfit.Model(lambda x, y, sky, gx, gy: sky + gx * x + gy * y, independent_vars=["x", "y"]) + Gaussian2dModel(prefix="g_")
        reference = tight(flat, data.ravel(), flat.make_params(**truth), x=x.ravel(), y=y.ravel())
        assert result.success
        for name in truth:
            assert abs(result.params[name].value - reference.params[name].value) <= 1e-6 * reference.params[name].stderr
        assert result.best_fit.shape == x.shape
        parts = result.eval_components()
        assert sum(parts.values()).shape == x.shape
        np.testing.assert_allclose(sum(parts.values()), result.best_fit, rtol=1e-12)


def test_parts_of_different_variables(tight, agree):
    """Each side asks for its own coordinates."""

    def along(t, a, k):
        return a * np.exp(-k * t)

    model = sf.SurfaceModel(ramp) * sf.SurfaceModel(along, independent_vars=["t"])
    rng = np.random.default_rng(0)
    x, t = rng.uniform(0, 3, 60), rng.uniform(0, 3, 60)
    data = ramp(x, 1.0, 0.5) * along(t, 2.0, 0.7) + 0.01 * rng.normal(size=60)
    params = model.make_params(level=1.0, slope=0.2, a=1.5, k=0.5)
    params["level"].vary = False
    result = model.fit(data, params, x=x, t=t)
    plain = lmfit.Model(ramp) * lmfit.Model(along, independent_vars=["t"])
    agree(result, tight(plain, data, params, x=x, t=t))


@pytest.mark.parametrize("other", [3.0, "text", None, np.ones(3)])
def test_something_that_is_no_model(other):
    model = sf.SurfaceModel(ramp)
    for op in OPERATORS.values():
        with pytest.raises(TypeError):
            op(model, other)


def test_names_that_clash():
    with pytest.raises(NameError, match="level"):
        sf.SurfaceModel(ramp) + sf.SurfaceModel(ramp)


# ---- from_lmfit: what comes along ------------------------------------------------------------------------------------------


def test_a_surface_model_stays_itself():
    model = sf.SurfaceModel(ramp)
    assert sf.SurfaceModel.from_lmfit(model) is model


@pytest.mark.parametrize("wrong", [ramp, "GaussianModel", GaussianModel, None, 3])
def test_from_lmfit_of_something_else(wrong):
    with pytest.raises(ParameterError, match="model"):
        sf.SurfaceModel.from_lmfit(wrong)


@pytest.mark.parametrize("prefix", ["", "g_"])
def test_guess(prefix, tight, agree):
    theirs = GaussianModel(prefix=prefix)
    ours = sf.SurfaceModel.from_lmfit(theirs)
    data = theirs.eval(theirs.make_params(amplitude=5, center=4, sigma=0.7), x=X) + 0.02 * np.random.default_rng(4).normal(size=X.size)
    assert ours.guess(data, x=X).dumps() == theirs.guess(data, x=X).dumps()
    assert ours.guess(data, x=X, amplitude=2).dumps() == theirs.guess(data, x=X, amplitude=2).dumps()
    result = ours.fit(data, ours.guess(data, x=X), x=X)
    agree(result, tight(theirs, data, theirs.guess(data, x=X), x=X))


def test_hints_and_prefix():
    theirs = VoigtModel(prefix="v_")
    theirs.set_param_hint("gamma", value=0.5, vary=True, expr="")
    theirs.set_param_hint("center", min=3, max=5)
    theirs.set_param_hint("ratio", expr="v_gamma/v_sigma")
    ours = sf.SurfaceModel.from_lmfit(theirs)
    assert ours.prefix == "v_"
    assert ours.make_params(sigma=0.7).dumps() == theirs.make_params(sigma=0.7).dumps()
    # later hints go to one of the two only
    ours.set_param_hint("sigma", value=2.5)
    assert "value" not in theirs.param_hints["sigma"]
    assert ours.make_params()["v_sigma"].value == 2.5
    theirs.set_param_hint("center", min=1)
    assert ours.make_params()["v_center"].min == 3


def test_hints_of_composites(tight, agree):
    theirs = GaussianModel(prefix="a_") + GaussianModel(prefix="b_")
    theirs.set_param_hint("b_center", expr="a_center + gap")
    theirs.set_param_hint("gap", value=2.0, min=0)
    ours = sf.SurfaceModel.from_lmfit(theirs)
    start = {"a_center": 3, "a_sigma": 0.5, "b_sigma": 0.5}
    assert ours.make_params(**start).dumps() == theirs.make_params(**start).dumps()
    data = ours.eval(ours.make_params(a_amplitude=3, b_amplitude=2, gap=2.3, **start), x=X) + 0.01 * np.random.default_rng(0).normal(
        size=X.size
    )
    params = ours.make_params(a_amplitude=1, b_amplitude=1, gap=2.1, **start)
    result = ours.fit(data, params, x=X)
    agree(result, tight(theirs, data, params, x=X))
    assert result.params["b_center"].stderr == pytest.approx(tight(theirs, data, params, x=X).params["b_center"].stderr, rel=1e-5)


def test_options():
    for form in ("linear", "erf", "logistic", "atan"):
        ours, theirs = sf.SurfaceModel.from_lmfit(StepModel(form=form)), StepModel(form=form)
        params = theirs.make_params(amplitude=2, center=5, sigma=1.3)
        np.testing.assert_array_equal(ours.eval(params, x=X), theirs.eval(params, x=X))
        assert ours.opts == theirs.opts
        np.testing.assert_array_equal(ours.eval(params, x=X, form="erf"), theirs.eval(params, x=X, form="erf"))


class Halved(lmfit.Model):
    """A model that adds to its result after the fit, as lmfit's documentation shows."""

    def __init__(self, **kwargs):
        super().__init__(ramp, **kwargs)

    def post_fit(self, fitresult):
        level = fitresult.params[f"{self.prefix}level"]
        fitresult.params.add(f"{self.prefix}half", value=level.value / 2)
        fitresult.params[f"{self.prefix}half"].stderr = level.stderr / 2


@pytest.mark.parametrize("prefix", ["", "h_"])
def test_post_fit(prefix):
    ours = sf.SurfaceModel.from_lmfit(Halved(prefix=prefix))
    result = ours.fit(ramp(X, 2.0, 0.3) + 0.01 * np.cos(9 * X), x=X)
    assert result.params[f"{prefix}half"].value == result.params[f"{prefix}level"].value / 2
    assert result.params[f"{prefix}half"].stderr == result.params[f"{prefix}level"].stderr / 2
    assert "half" in result.fit_report()


def test_post_fit_of_parts_of_a_composite_is_as_in_lmfit():
    """lmfit calls the composite's own only."""
    theirs = Halved() + GaussianModel()
    data = theirs.eval(theirs.make_params(level=1, slope=0.1, amplitude=3, center=4, sigma=0.7), x=X) + 0.01 * np.cos(9 * X)
    params = theirs.make_params(level=1, slope=0, amplitude=3, center=4, sigma=1)
    assert ("half" in theirs.fit(data, params, x=X).params) == ("half" in sf.SurfaceModel.from_lmfit(theirs).fit(data, params, x=X).params)


def test_subclasses_of_surface_model():
    class Decay(sf.SurfaceModel):
        def __init__(self, **kwargs):
            super().__init__(lambda x, a, k: a * np.exp(-k * x), independent_vars=["x"], **kwargs)

        def guess(self, data, x, **kwargs):
            slope, intercept = np.polyfit(x, np.log(np.maximum(np.abs(data), 1e-6)), 1)
            return self.make_params(a=np.exp(intercept), k=-slope)

    model = Decay(prefix="d_")
    data = 3 * np.exp(-0.5 * X) + 0.005 * np.cos(9 * X)
    result = model.fit(data, x=X)  # d_k has no start: guessed
    assert result.success
    assert result.params["d_k"].value == pytest.approx(0.5, abs=0.02)
    assert "guess" in result.explain()


def test_expression_model(tight, agree):
    theirs = ExpressionModel("amp*exp(-x/tau) + off", independent_vars=["x"])
    data = 3 * np.exp(-X / 2) + 0.5 + 0.02 * np.random.default_rng(0).normal(size=X.size)
    params = theirs.make_params(amp=2, tau=1.5, off=0)
    result = sf.SurfaceModel.from_lmfit(theirs).fit(data, params, x=X)
    agree(result, tight(theirs, data, params, x=X), close=1e-5, errors=1e-5)
    assert set(result.conditioning.linear) == {"amp", "off"}
    composite = sf.SurfaceModel(ramp) + ExpressionModel("amp*exp(-x/tau)", independent_vars=["x"])
    assert isinstance(composite, sf.SurfaceModel)
    plain = lmfit.Model(ramp) + ExpressionModel("amp*exp(-x/tau)", independent_vars=["x"])
    start = plain.make_params(level=0, slope=0, amp=2, tau=1.5)
    agree(composite.fit(data, start, x=X), tight(plain, data, start, x=X), close=1e-5, errors=1e-5)


def test_polynomial_and_spline(tight, agree):
    for theirs in (PolynomialModel(degree=3), SplineModel(xknots=np.linspace(0.1, 10, 6))):
        ours = sf.SurfaceModel.from_lmfit(theirs)
        data = np.sin(X) + 0.02 * np.random.default_rng(0).normal(size=X.size)
        params = theirs.make_params(**dict.fromkeys(theirs.param_names, 0.0))
        result = ours.fit(data, params, x=X)
        agree(result, tight(theirs, data, params, x=X))
        assert set(result.conditioning.linear) == set(theirs.param_names)


# ---- operators of the user's own -------------------------------------------------------------------------------------------


def convolve(one, two):
    """As in lmfit's documentation."""
    middle = np.concatenate([np.full(30, one[0]), one, np.full(30, one[-1])])
    out = np.convolve(middle, two / two.sum(), mode="valid")
    cut = (out.size - one.size) // 2
    return out[cut : cut + one.size]


@pytest.mark.parametrize("copied", [False, True])
def test_convolution(copied, tight, agree):
    """Data-dependent operators can't be traced: numerical derivatives, the same answer."""
    x = np.linspace(-5, 5, 61)
    theirs = CompositeModel(StepModel(form="erf", prefix="s_"), GaussianModel(prefix="g_"), convolve)
    truth = theirs.make_params(s_amplitude=2, s_center=0.3, s_sigma=0.8, g_amplitude=1, g_center=0, g_sigma=0.6)
    for name in ("g_amplitude", "g_center", "g_sigma"):
        truth[name].vary = False
    data = theirs.eval(truth, x=x) + 0.01 * np.random.default_rng(0).normal(size=x.size)
    start = truth.copy()
    start["s_center"].value, start["s_sigma"].value, start["s_amplitude"].value = 0.1, 1.0, 1.5
    model = sf.SurfaceModel.from_lmfit(theirs)
    if copied:
        model = model.copy()
    result = model.fit(data, start, x=x)
    agree(result, tight(theirs, data, start, x=x), close=1e-4, errors=1e-4)
    assert result.conditioning.derivatives != "graph"
    assert "s_amplitude" in result.conditioning.linear


def test_any_operator_on_nodes_is_traced(tight, agree):
    theirs = CompositeModel(GaussianModel(), LinearModel(), np.hypot)
    ours = sf.SurfaceModel.from_lmfit(theirs)
    params = theirs.make_params(amplitude=5, center=4, sigma=1, slope=0.1, intercept=1)
    data = theirs.eval(params, x=X) + 0.01 * np.random.default_rng(0).normal(size=X.size)
    params["center"].value = 4.2
    result = ours.fit(data, params, x=X)
    agree(result, tight(theirs, data, params, x=X))
    assert result.conditioning.derivatives == "graph"
    assert result.conditioning.linear == ()


# ---- components ------------------------------------------------------------------------------------------------------------


def composite_fit():
    model = sf.SurfaceModel(bump, prefix="p_") + ExponentialModel(prefix="e_")
    params = model.make_params(p_height=3, p_center=4, p_width=0.8, e_amplitude=2, e_decay=3)
    data = model.eval(params, x=X) + 0.02 * np.random.default_rng(0).normal(size=X.size)
    return model, model.fit(data, params, x=X), data, params


def test_eval_components():
    model, result, _, _ = composite_fit()
    theirs = lmfit.Model(bump, prefix="p_") + ExponentialModel(prefix="e_")
    wanted = theirs.eval_components(params=result.params, x=X)
    for found in (model.eval_components(params=result.params, x=X), result.eval_components(), result.eval_components(x=X)):
        assert list(found) == list(wanted)
        for name, part in wanted.items():
            np.testing.assert_allclose(found[name], part, rtol=1e-14)
    new = np.linspace(2, 3, 7)
    assert result.eval_components(x=new)["p_"].shape == (7,)


def test_uncertainty_of_components():
    _, result, data, params = composite_fit()
    theirs = (lmfit.Model(bump, prefix="p_") + ExponentialModel(prefix="e_")).fit(data, params, x=X)
    theirs.eval_uncertainty()
    result.eval_uncertainty()
    assert list(result.dely_comps) == list(theirs.dely_comps)
    for name, wanted in theirs.dely_comps.items():
        np.testing.assert_allclose(result.dely_comps[name], wanted, rtol=2e-3, atol=1e-5)


def test_names_and_representations():
    model, result, _, _ = composite_fit()
    theirs = lmfit.Model(bump, prefix="p_") + ExponentialModel(prefix="e_")
    assert "bump" in repr(model)
    assert "exponential" in repr(model)
    assert "bump" in result.fit_report()
    assert "e_" in result.fit_report()
    assert model.independent_vars == theirs.independent_vars


def test_copy_is_independent():
    model, *_ = composite_fit()
    other = model.copy()
    other.set_param_hint("p_width", value=7.0)
    assert "p_width" not in model.param_hints
    assert other.param_names == model.param_names
    single = sf.SurfaceModel(bump)
    single.set_param_hint("width", value=2.0)
    twin = single.copy(prefix="q_")
    assert twin.param_names == ["q_height", "q_center", "q_width"]
    assert single.param_names == ["height", "center", "width"]
    assert twin.make_params()["q_width"].value == 2.0
    assert (single + twin).param_names == ["height", "center", "width", "q_height", "q_center", "q_width"]


def test_elimination_switched_off_in_both_parts():
    off = sf.SurfaceModel(bump, prefix="p_", linear=()) + sf.SurfaceModel(ramp, linear=())
    assert off.linear == ()
    _, _, data, _ = composite_fit()
    on = sf.SurfaceModel(bump, prefix="p_") + sf.SurfaceModel(ramp)
    start = {"p_height": 2.0, "p_center": 4.2, "p_width": 1.0, "level": 0.0, "slope": 0.0}
    one, two = off.fit(data, x=X, **start), on.fit(data, x=X, **start)
    assert one.conditioning.linear == ()
    for name in start:
        assert one.params[name].value == pytest.approx(two.params[name].value, rel=1e-9)
        assert one.params[name].stderr == pytest.approx(two.params[name].stderr, rel=1e-7)


def test_defaults_of_lmfits_functions_are_no_starts(rng):
    """A centre at 0 is the function's default and nobody's choice: far from the data the guess starts the fit."""
    x = np.linspace(0, 100, 200)
    z = 5 * np.exp(-((x - 60) ** 2) / 18) + rng.normal(0, 0.1, 200)
    model = sf.get_model("gaussian")
    for result in (model.fit(z, x=x), (model + sf.get_model("constant")).fit(z, x=x)):
        assert result.success
        assert result.params["center"].value == pytest.approx(60, abs=0.3)
        assert "guessed from the data" in result.explain()
    chosen = model.fit(z, model.make_params(), x=x)  # parameters that somebody handed over are starts
    assert "guessed" not in chosen.explain()
    assert model.fit(z, x=x, center=58.0).init_values["center"] == 58.0


def test_lmfits_guess_takes_images(rng):
    y, x = np.mgrid[:40, :50].astype(float)
    model = sf.get_model("gaussian2d")
    truth = dict(amplitude=5000.0, centerx=22.0, centery=18.0, sigmax=5.0, sigmay=4.0)
    z = model.eval(x=x, y=y, **truth) + rng.normal(0, 0.5, x.shape)
    guessed = model.guess(z, x=x, y=y)
    assert guessed["centerx"].value == pytest.approx(22, abs=2)
    z[3, 4] = np.nan
    result = model.fit(z, x=x * 1e-9 + 1e-3, y=y[:, :1] * 1e6, nan_policy="omit")
    assert result.success
    assert result.params["sigmay"].value == pytest.approx(4e6, rel=0.02)
