"""Everything lmfit's Parameters can say, one test per word, against lmfit's own answer on well-scaled problems."""

import lmfit
import numpy as np
import pytest
from lmfit.models import VoigtModel

import surffit as sf
from surffit.exceptions import ParameterError

X = np.linspace(0.0, 10.0, 120)


def peak(x, height, center, width, level, slope):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + level + slope * x


TRUTH = {"height": 5.0, "center": 4.2, "width": 0.9, "level": 1.0, "slope": 0.2}
START = {"height": 3.0, "center": 4.6, "width": 1.3, "level": 0.0, "slope": 0.0}
DATA = peak(X, **TRUTH) + np.random.default_rng(11).normal(0, 0.1, X.size)


def both(func=peak, **kwargs):
    """The same function as our model and as lmfit's."""
    return sf.SurfaceModel(func, **kwargs), lmfit.Model(func, **kwargs)


@pytest.fixture
def compare(tight, agree):
    def run(change, start=START, data=DATA, **fit):
        """Fit by both after `change(params)`; the Parameters handed in stay as they were."""
        ours, theirs = both()
        params = ours.make_params(**start)
        change(params)
        before = params.dumps()
        result = ours.fit(data, params, x=X, **fit)
        assert params.dumps() == before
        reference = tight(theirs, data, params, x=X)
        agree(result, reference)
        return result, reference

    return run


# ---- bounds ----------------------------------------------------------------------------------------------------------------


def test_inactive_bounds(compare):
    def change(p):
        p["width"].set(min=0.1, max=3.0)
        p["center"].set(min=2, max=8)
        p["height"].set(min=0)
        p["level"].set(min=-10, max=10)

    compare(change)


@pytest.fixture
def held(tight):
    def run(name, side, value):
        """Bound `name` at `value`; the right answer is the fit with it fixed there."""
        ours, theirs = both()
        params = ours.make_params(**START)
        params[name].set(**{side: value})
        if not params[name].min <= START[name] <= params[name].max:
            params[name].value = value
        result = ours.fit(DATA, params, x=X)
        fixed = ours.make_params(**START)
        fixed[name].set(value=value, vary=False)
        reference = tight(theirs, DATA, fixed, x=X)
        assert result.success, result.reason
        assert result.params[name].value == pytest.approx(value, abs=1e-12)
        assert np.isnan(result.params[name].stderr)
        assert name in result.conditioning.at_bound
        assert result.conditioning.at_bound[name] == side
        assert "AT_BOUND" in result.status.names
        assert name in result.explain()
        assert result.chisqr == pytest.approx(reference.chisqr, rel=1e-9)
        scale = np.sqrt(reference.nfree / result.nfree)
        for other in result.var_names:
            if other != name:
                assert result.params[other].value == pytest.approx(reference.params[other].value, abs=1e-6 * reference.params[other].stderr)
                assert result.params[other].stderr == pytest.approx(reference.params[other].stderr * scale, rel=1e-6)
        return result

    return run


@pytest.mark.parametrize(
    ("name", "side", "value"),
    [("width", "min", 1.2), ("width", "max", 0.7), ("center", "max", 4.0), ("center", "min", 4.5), ("height", "max", 4.0),
     ("level", "min", 1.4),
     ("slope", "max", 0.1), ("slope", "min", 0.3), ("level", "max", 0.0)],
)  # fmt: skip
def test_active_bounds(name, side, value, held):
    """On non-linear and on linear parameters: the KKT point is the fit with the parameter fixed on its bound."""
    held(name, side, value)


def test_two_active_bounds_at_once(tight):
    ours, theirs = both()
    params = ours.make_params(**START)
    params["width"].set(min=1.2)
    params["slope"].set(max=0.1)
    result = ours.fit(DATA, params, x=X)
    fixed = ours.make_params(**START)
    fixed["width"].set(value=1.2, vary=False)
    fixed["slope"].set(value=0.1, vary=False)
    reference = tight(theirs, DATA, fixed, x=X)
    assert set(result.conditioning.at_bound) == {"width", "slope"}
    assert result.chisqr == pytest.approx(reference.chisqr, rel=1e-9)


def test_a_bound_that_is_active_on_the_way_only(tight, agree):
    """The start lies on the bound; the answer doesn't."""
    ours, theirs = both()
    params = ours.make_params(**START)
    params["width"].set(value=3.0, max=3.0)
    params["height"].set(value=0.0, min=0.0)
    agree(ours.fit(DATA, params, x=X), tight(theirs, DATA, ours.make_params(**TRUTH), x=X), fold=("width",))


def test_nonnegative_amplitudes(tight):
    """All linear parameters bounded from below, one of them on its bound."""
    truth = {"height": 5.0, "center": 4.2, "width": 0.9, "level": 0.0, "slope": -0.05}
    data = peak(X, **truth) + np.random.default_rng(1).normal(0, 0.05, X.size)
    ours, theirs = both()
    params = ours.make_params(**START)
    for name in ("height", "level", "slope"):
        params[name].min = 0
    result = ours.fit(data, params, x=X)
    fixed = ours.make_params(**START)
    reference = None
    for names in (("slope",), ("level",), ("slope", "level")):
        for name in names:
            fixed[name].set(value=0.0, vary=False)
        found = tight(theirs, data, fixed, x=X)
        if min(found.params[n].value for n in ("height", "level", "slope")) >= 0 and (reference is None or found.chisqr < reference.chisqr):
            reference = found
        for name in names:
            fixed[name].set(vary=True)
    assert result.success
    assert result.chisqr == pytest.approx(reference.chisqr, rel=1e-9)
    assert min(result.params[n].value for n in ("height", "level", "slope")) >= 0


def test_bounds_that_exclude_each_other():
    ours, _ = both()
    params = ours.make_params(**START)
    params["width"].min = 3.0
    params["width"]._val = 2.0
    params["width"].max = 3.0
    with pytest.raises(ParameterError, match="width"):
        ours.fit(DATA, params, x=X)


# ---- vary, expr ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [("width",), ("height",), ("level",), ("center", "slope"), ("height", "level", "slope"), ("center", "width")]
)
def test_fixed(names, compare):
    def change(p):
        for name in names:
            p[name].set(value=TRUTH[name] * 1.01, vary=False)

    result, _ = compare(change)
    for name in names:
        assert result.params[name].value == TRUTH[name] * 1.01
        assert result.params[name].stderr == 0.0
        assert name not in result.var_names


def test_everything_fixed():
    ours, _ = both()
    params = ours.make_params(**TRUTH)
    for p in params.values():
        p.vary = False
    with pytest.raises(ParameterError, match="vary"):
        ours.fit(DATA, params, x=X)


@pytest.mark.parametrize(
    ("name", "expr"),
    [("level", "0.2*height"), ("level", "height/5 + slope"), ("slope", "level*0.2"), ("width", "center/5"), ("level", "height**2/25"),
     ("height", "exp(width)*2"),
     ("center", "4 + slope"), ("level", "sqrt(abs(height))/2"), ("width", "0.9"), ("level", "-(slope - 1.2)"),
     ("slope", "min(level, 3)*0.2"),
     ("level", "height*slope"), ("level", "sin(center)**2 + 0.2"), ("slope", "log(width + 1)/pi")],
)  # fmt: skip
def test_expr(name, expr, compare):
    def change(p):
        p[name].expr = expr

    result, _ = compare(change)
    assert result.conditioning.derivatives == "graph"
    assert result.params[name].expr == expr


@pytest.mark.parametrize(("low", "high"), [(-np.inf, 0.8), (1.1, np.inf), (0.5, 3.0)])
def test_bounds_on_an_expr(low, high, tight, agree):
    """lmfit clips what the expression gives; clipped, it no longer depends on anything."""
    ours, theirs = both()
    params = ours.make_params(**START)
    params["level"].set(expr="0.2*height", min=low, max=high)
    result, reference = ours.fit(DATA, params, x=X), tight(theirs, DATA, params, x=X)
    clipped = not low < reference.params["level"].value < high
    assert clipped == ((low, high) != (0.5, 3.0))
    if clipped:
        reference.params["level"].stderr = None  # lmfit's error there is that of the expression without its bounds
        assert result.params["level"].stderr == 0.0
    agree(result, reference)
    assert result.params["level"].value == pytest.approx(np.clip(0.2 * result.params["height"].value, low, high), rel=1e-15)


def test_helper_parameters(compare):
    """Parameters that are no arguments of the function, free and fixed, used by expr."""

    def change(p):
        p.add("share", value=0.25)
        p.add("ratio", value=0.1)
        p.add("unit", value=2.0, vary=False)
        p["level"].expr = "ratio*unit"
        p["width"].expr = "center*share"

    result, _ = compare(change)
    assert "ratio" in result.conditioning.linear
    assert result.params["unit"].value == 2.0
    assert result.params["ratio"].stderr > 0


def test_a_derived_parameter_that_the_model_does_not_use(compare):
    def change(p):
        p.add("fwhm", expr="2.354820*width")
        p.add("area", expr="height*width*sqrt(2*pi)")

    result, reference = compare(change)
    for name in ("fwhm", "area"):
        assert result.uvars[name].std_dev == pytest.approx(reference.uvars[name].std_dev, rel=1e-4)
        assert name not in result.best_values


def test_chained_expr(compare):
    def change(p):
        p.add("one", expr="2*slope")
        p.add("two", expr="one + level")
        p.add("three", expr="two*one")

    compare(change)


@pytest.mark.parametrize("expr", ["sinc(height)/10", "degrees(height)/1000", "arange(3)[1]*0.2*height", "height if height > 0 else 0"])
def test_expr_outside_the_whitelist_is_evaluated_by_lmfit(expr, tight, agree):
    """Only lmfit understands it, so lmfit evaluates it; derivatives are numerical then."""
    from scipy.special import gamma, wofz

    ours, theirs = both()
    params = ours.make_params(**START)
    for name, func in (("gamfcn", gamma), ("wofz", wofz), ("arange", np.arange)):
        params._asteval.symtable[name] = func
    params["level"].expr = expr
    before = params.dumps()
    result = ours.fit(DATA, params, x=X)
    agree(result, tight(theirs, DATA, params, x=X), close=1e-4, errors=1e-4)
    assert result.conditioning.derivatives != "graph"
    assert params.dumps() == before


def test_a_strange_expr_that_the_model_does_not_use_costs_nothing(tight):
    """lmfit's own models carry such: the height of a Voigt profile needs the Faddeeva function."""
    model = sf.SurfaceModel.from_lmfit(VoigtModel())
    truth = model.make_params(amplitude=5, center=4, sigma=0.7)
    data = model.eval(truth, x=X) + np.random.default_rng(1).normal(0, 0.01, X.size)
    result = model.fit(data, model.make_params(amplitude=4, center=4.3, sigma=1), x=X)
    assert result.conditioning.derivatives == "graph"
    theirs = tight(VoigtModel(), data, VoigtModel().make_params(amplitude=4, center=4.3, sigma=1), x=X)
    for name in ("height", "fwhm", "gamma"):
        assert result.params[name].value == pytest.approx(theirs.params[name].value, rel=1e-6)
        assert result.params[name].stderr == pytest.approx(theirs.params[name].stderr, rel=1e-4), name


def test_a_circle_of_expr():
    ours, _ = both()
    params = ours.make_params(**START)
    params["level"].expr = "slope"
    params["slope"].expr = "level"
    with pytest.raises(sf.exceptions.SurffitError, match=r"circle.*(level.*slope|slope.*level)"):
        ours.fit(DATA, params, x=X)


def test_symbols_that_the_user_added(tight, agree):
    ours, theirs = both()
    params = ours.make_params(**START)
    params._asteval.symtable["twice"] = lambda v: 2 * v
    params["level"].expr = "twice(height)/10"
    result = ours.fit(DATA, params, x=X)
    agree(result, tight(theirs, DATA, params, x=X), close=1e-4, errors=1e-4)


def test_expr_of_another_order(tight, agree):
    """An expression that uses a parameter declared after it."""
    ours, theirs = both()
    params = lmfit.Parameters()
    params.add("width", value=1.0)
    params.add("level", value=0.1)
    params.add("slope", value=0.1)
    params.add("height", value=3.0)
    params.add("center", value=4.4)
    params["level"].expr = "height/5"
    result = ours.fit(DATA, params, x=X)
    agree(result, tight(theirs, DATA, params, x=X))
    assert list(result.params) == list(params)


# ---- prefix, hints, names --------------------------------------------------------------------------------------------------


def test_prefix(tight, agree):
    ours, theirs = sf.SurfaceModel(peak, prefix="p_"), lmfit.Model(peak, prefix="p_")
    assert ours.param_names == theirs.param_names
    params = ours.make_params(**{f"p_{k}": v for k, v in START.items()})
    params["p_level"].expr = "p_height/5"
    result = ours.fit(DATA, params, x=X)
    agree(result, tight(theirs, DATA, params, x=X))
    assert result.conditioning.linear == ("p_height", "p_slope")
    assert ours.linear == ("p_height", "p_level", "p_slope")


def test_prefix_with_stated_linear():
    ours = sf.SurfaceModel(peak, prefix="p_", linear=["height"])
    assert ours.linear == ("p_height",)
    result = ours.fit(DATA, x=X, **{f"p_{k}": v for k, v in START.items()})
    assert result.conditioning.linear == ("p_height",)


def test_starts_without_prefix_as_lmfit_takes_them():
    """make_params(center=...) is taken with and without the prefix, as in lmfit."""
    ours, theirs = sf.SurfaceModel(peak, prefix="p_"), lmfit.Model(peak, prefix="p_")
    assert ours.make_params(**START).valuesdict() == theirs.make_params(**START).valuesdict()


def test_hints(tight, agree):
    def make(kind):
        model = kind(peak)
        model.set_param_hint("width", value=1.4, min=0.1, max=5)
        model.set_param_hint("slope", value=0.21, vary=False)
        model.set_param_hint("fwhm", expr="2.35*width")
        model.set_param_hint("level", expr="height/5")
        return model

    ours, theirs = make(sf.SurfaceModel), make(lmfit.Model)
    start = {"height": 3.0, "center": 4.6}
    assert ours.make_params(**start).dumps() == theirs.make_params(**start).dumps()
    agree(ours.fit(DATA, x=X, **start), tight(theirs, DATA, theirs.make_params(**start), x=X))


def test_no_start_for_a_nonlinear_parameter():
    ours, _ = both()
    with pytest.raises(ParameterError, match=r"center.*width"):
        ours.fit(DATA, x=X)
    result = ours.fit(DATA, x=X, center=4.5, width=1.0)  # the others are linear
    assert result.success
    assert result.init_values["height"] == pytest.approx(result.params["height"].init_value)


def test_defaults_of_the_function_are_starts(tight, agree):
    def func(x, height=3.0, center=4.6, width=1.3, level=0.0):
        return height * np.exp(-0.5 * ((x - center) / width) ** 2) + level

    ours, theirs = both(func)
    result = ours.fit(DATA, x=X)
    agree(result, tight(theirs, DATA, theirs.make_params(), x=X))
    assert result.init_values["center"] == 4.6


def test_param_names(tight, agree):
    """Arguments that are parameters by request; the others are options with their defaults."""

    def func(x, a, b, power=2, scale=1.0):
        return a * np.exp(-b * x) + scale * x**power / 100

    ours = sf.SurfaceModel(func, independent_vars=["x"], param_names=["a", "b"])
    theirs = lmfit.Model(func, independent_vars=["x"], param_names=["a", "b"])
    assert ours.param_names == theirs.param_names == ["a", "b"]
    data = func(X, 3.0, 0.7) + np.random.default_rng(0).normal(0, 0.02, X.size)
    agree(ours.fit(data, x=X, a=1, b=1), tight(theirs, data, theirs.make_params(a=1, b=1), x=X))


def test_keyword_only_arguments(tight, agree):
    def func(x, *, a, k=0.5):
        return a * np.exp(-k * x)

    ours, theirs = both(func)
    assert ours.param_names == theirs.param_names
    data = func(X, a=3.0, k=0.7) + np.random.default_rng(0).normal(0, 0.02, X.size)
    agree(ours.fit(data, x=X, a=1.0), tight(theirs, data, theirs.make_params(a=1.0), x=X))


def test_starts_as_parameter_objects_and_dicts(tight, agree):
    ours, theirs = both()
    start = {**START, "width": lmfit.Parameter("width", value=1.2, min=0.5, max=2), "slope": {"value": 0.2, "vary": False}}
    params = theirs.make_params(**{**START, "width": 1.2, "slope": 0.2})
    params["width"].set(min=0.5, max=2)
    params["slope"].vary = False
    result = ours.fit(DATA, x=X, **start)
    agree(result, tight(theirs, DATA, params, x=X))
    assert result.params["width"].max == 2


def test_incomplete_parameters_are_completed(tight):
    ours, theirs = both()
    params = lmfit.Parameters()
    params.add("center", value=4.5)
    params.add("width", value=1.0)
    agree_values = ours.fit(DATA, params, x=X)
    reference = tight(theirs, DATA, theirs.make_params(**START), x=X)
    for name in TRUTH:
        assert agree_values.params[name].value == pytest.approx(reference.params[name].value, abs=1e-4 * reference.params[name].stderr)
    assert list(params) == ["center", "width"]


# ---- parameters that the data don't feel -----------------------------------------------------------------------------------


def test_a_varying_parameter_that_nothing_uses():
    """It gets an infinite error and its name; the others are fitted as if it weren't there."""
    ours, theirs = both()
    params = ours.make_params(**START)
    params.add("idle", value=3.0)
    params.add("busy", expr="2*height")
    params.add("sum", expr="idle + height")
    result = ours.fit(DATA, params, x=X)
    reference = theirs.fit(DATA, theirs.make_params(**START), x=X)
    assert result.success
    assert result.params["idle"].value == 3.0
    assert np.isinf(result.params["idle"].stderr)
    assert "idle" in result.explain()
    for name in START:
        assert result.params[name].stderr == pytest.approx(reference.params[name].stderr, rel=1e-4)
    assert result.params["busy"].stderr == pytest.approx(2 * result.params["height"].stderr, rel=1e-12)
    assert np.isinf(result.params["sum"].stderr), "what depends on an undetermined parameter is undetermined"


def test_a_peak_that_is_not_there():
    """Constant data: there is nothing to know of centre and width, whatever way the fit says so."""
    ours, _ = both()
    result = ours.fit(np.ones(X.size), x=X, **START)
    np.testing.assert_allclose(result.best_fit, 1.0, rtol=1e-12)
    for name in ("center", "width"):
        assert result.params[name].stderr > np.ptp(X), "an error of rounding's size would be a false claim"


@pytest.mark.parametrize("scale", [1e-250, 1e-160, 1e-30, 1e30, 1e150, 1e200])
def test_units_of_the_data(scale):
    """Squares of the data may leave float64; the errors don't."""
    ours, _ = both()
    plain, scaled = ours.fit(DATA, x=X, **START), ours.fit(DATA * scale, x=X, **START)
    assert scaled.success
    for name in ("center", "width"):
        assert scaled.params[name].value == pytest.approx(plain.params[name].value, rel=1e-9)
        assert scaled.params[name].stderr == pytest.approx(plain.params[name].stderr, rel=1e-8)
    for name in ("height", "level", "slope"):
        assert scaled.params[name].value / scale == pytest.approx(plain.params[name].value, rel=1e-8)
        assert scaled.params[name].stderr / scale == pytest.approx(plain.params[name].stderr, rel=1e-8)


def test_a_misnamed_parameter_is_not_lost():
    model = sf.SurfaceModel(peak)
    params = lmfit.create_params(**{("Height" if n == "height" else n): v for n, v in START.items()})
    with pytest.raises(ParameterError, match="params has Height, which peak has no parameter for, and lacks height"):
        model.fit(DATA, params, x=X)
    joint = sf.JointModel({"a": model, "b": model}, shared=["center"])
    with pytest.raises(ParameterError, match="has no parameter for, and lacks a_height"):
        joint.fit({"a": DATA, "b": DATA}, model.make_params(**START), x=X)
    # helpers that constraints use, and linear parameters that are left out, are no slips
    params = lmfit.create_params(center=4.6, width={"expr": "half * 2"}, half=0.6)
    assert model.fit(DATA, params, x=X).success


def test_names_of_keywords_are_refused():
    with pytest.raises(ParameterError, match="a parameter named 'scale_covar'"):
        sf.SurfaceModel(lambda x, scale_covar: scale_covar * x)
    with pytest.raises(ParameterError, match="would be called 'scale_covar'"):
        sf.JointModel({"scale": sf.SurfaceModel(lambda x, covar: covar * x, name="w"), "b": sf.SurfaceModel(lambda x, q: q * x, name="v")})
