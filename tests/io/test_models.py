"""Saved models come back as the models they were: they evaluate, fit, compose and guess, and give the same bits."""

import io as streams
import json
import math
import operator
import subprocess
import sys

import lmfit
import numpy as np
import pytest

import surffit as sf
from surffit import io
from surffit.exceptions import DocumentError

X = np.linspace(0.5, 6, 40)


def decay(x, amplitude, rate=0.5, offset=0.25):
    """A function of this file, which nothing that loads the model can import."""
    return amplitude * np.exp(-rate * x) + offset


def plane(x, y, a, b, c):
    return a + b * x + c * np.sqrt(np.abs(y))


def formed(x, a, b, form="linear", scale=None):
    """Options of two kinds: a word, and a default that means none."""
    grown = a * np.exp(-b * x) if form == "exponential" else a + b * x
    return grown if scale is None else scale * grown


def hinted():
    model = sf.SurfaceModel(decay, prefix="d_", name="my decay", nan_policy="omit", linear=["amplitude"])
    model.set_param_hint("rate", min=0, max=np.float64(9), value=1)
    model.set_param_hint("offset", vary=False, value=1.0)
    model.set_param_hint("half", expr="0.6931471805599453/d_rate")
    return model


def summed():
    left = sf.SurfaceModel(decay, prefix="d_")
    right = sf.SurfaceModel.from_expression("h*exp(-((x-m)/w)**2)", ["x"], prefix="g_")
    model = left * sf.SurfaceModel(lambda x, t: 1 + t * x, name="tilt") - right / sf.get_model("constant", prefix="k_")
    model.set_param_hint("g_m", expr="d_rate*2 + 1")
    model.set_param_hint("g_w", min=0.1)
    return model


MODELS = {
    "a function": lambda: sf.SurfaceModel(decay),
    "hints, prefix, name, stated linear": hinted,
    "no elimination": lambda: sf.SurfaceModel(decay, linear=()),
    "two variables": lambda: sf.SurfaceModel(plane, independent_vars=["x", "y"]),
    "a formula": lambda: sf.SurfaceModel.from_expression("a*exp(-b*x) + c/x", ["x"]),
    "an option": lambda: sf.SurfaceModel(formed, form="exponential"),
    "a lambda": lambda: sf.SurfaceModel(lambda x, k, q: k * x**q),
    "nothing but a parameter": lambda: sf.SurfaceModel(lambda x, k: k + 0 * x, name="level"),
    "a registered one": lambda: sf.get_model("gaussian", prefix="g_"),
    "a registered one with an option": lambda: sf.get_model("step", form="erf"),
    "knots": lambda: sf.get_model("spline", xknots=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    "lmfit's": lambda: sf.SurfaceModel.from_lmfit(lmfit.models.LorentzianModel(prefix="l_")),
    "lmfit's composite": lambda: sf.SurfaceModel.from_lmfit(lmfit.models.VoigtModel(prefix="v_") + lmfit.models.LinearModel()),
    "lmfit's plain": lambda: sf.SurfaceModel.from_lmfit(lmfit.Model(decay)),
    "lmfit's polynomial": lambda: sf.SurfaceModel.from_lmfit(lmfit.models.PolynomialModel(degree=3)),
    "a composite": summed,
}


def coords(model):
    rng = np.random.default_rng(5)
    return {name: rng.uniform(0.5, 3, 50) for name in model.independent_vars if name in ("x", "y")}


def values(model):
    """Parameters with plausible values."""
    rng = np.random.default_rng(6)
    params = model.make_params()
    for par in params.values():
        if not par.expr and (not math.isfinite(par.value) or par.value == 0):
            par.value = rng.uniform(0.5, 1.5)
    return params


def saved(model, folder):
    model.save(folder / "model.json")
    return sf.load(folder / "model.json")


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def test_a_loaded_model_evaluates_bit_for_bit(model, tmp_path):
    loaded = saved(model, tmp_path)
    assert isinstance(loaded, sf.SurfaceModel)
    assert isinstance(loaded, lmfit.Model)
    params = values(model)
    assert np.array_equal(loaded.eval(params, **coords(model)), model.eval(params, **coords(model)))


def test_what_a_model_says_of_itself_comes_back(model, tmp_path):
    loaded = saved(model, tmp_path)
    assert loaded.param_names == model.param_names
    assert loaded.param_hints == {name: {k: v for k, v in hint.items() if v is not None} for name, hint in model.param_hints.items()}
    assert loaded.linear == model.linear
    assert loaded.prefix == model.prefix
    assert loaded.nan_policy == model.nan_policy
    assert [(part.prefix, part._name) for part in loaded.components] == [(part.prefix, part._name) for part in model.components]
    assert set(loaded.independent_vars) <= set(model.independent_vars)
    one, two = model.make_params(), loaded.make_params()
    assert list(one) == list(two)
    for name, par in one.items():
        other = two[name]
        assert (par.vary, par.min, par.max, par.expr) == (other.vary, other.min, other.max, other.expr)
        assert par.value == other.value or (math.isnan(par.value) and math.isnan(other.value))


def test_a_loaded_model_fits_bit_for_bit(model, tmp_path):
    loaded = saved(model, tmp_path)
    params, given = values(model), coords(model)
    data = model.eval(params, **given) + 0.01 * np.sin(37 * given["x"])
    one, two = (either.fit(data, params, **given) for either in (model, loaded))
    assert one.success == two.success
    for name, par in one.params.items():
        assert (two.params[name].value, two.params[name].stderr) == pytest.approx((par.value, par.stderr), rel=0, abs=0, nan_ok=True)
    assert two.chisqr == one.chisqr
    assert two.conditioning.linear == one.conditioning.linear


def test_what_was_loaded_saves_as_the_same_document(model, tmp_path):
    loaded = saved(model, tmp_path)
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "model.json").read_text()


def test_a_loaded_model_composes(tmp_path):
    loaded = saved(hinted(), tmp_path)
    both = loaded + sf.get_model("linear", prefix="l_")
    params = both.make_params(d_amplitude=2, l_slope=1, l_intercept=0)
    expected = 2 * np.exp(-X) + 1.0 + X
    np.testing.assert_allclose(both.eval(params, x=X), expected, rtol=1e-15)
    assert set(both.eval_components(params=params, x=X)) == {"d_", "l_"}


def test_parts_of_a_composite_are_told_apart(tmp_path):
    model = summed()
    loaded = saved(model, tmp_path)
    assert loaded.name == model.name
    params = values(model)
    one, two = (either.eval_components(params=params, x=X) for either in (model, loaded))
    assert list(one) == list(two)
    for name in one:
        assert np.array_equal(one[name], two[name])


def test_guess_comes_back_where_the_registry_has_it(tmp_path):
    data = 3 * np.exp(-((X - 3) ** 2))
    loaded = saved(sf.SurfaceModel.from_lmfit(lmfit.models.GaussianModel(prefix="g_")), tmp_path)
    assert loaded.guess(data, x=X)["g_center"].value == pytest.approx(3, abs=0.2)
    with pytest.raises(NotImplementedError, match="guess"):
        saved(hinted(), tmp_path).guess(data, x=X)


def test_a_prefix_changed_after_making_comes_back(tmp_path):
    model = sf.get_model("linear", prefix="a_")
    model.prefix = "b_"
    assert saved(model, tmp_path).param_names == ["b_slope", "b_intercept"]


def test_a_users_model_opens_where_its_function_does_not_exist(tmp_path):
    hinted().save(tmp_path / "model.json")
    code = (
        "import surffit\n"
        "model = surffit.load('model.json')\n"
        "result = model.fit([2.0, 1.7, 1.5, 1.35, 1.25, 1.2], x=[0.0, 0.5, 1.0, 1.5, 2.0, 2.5])\n"
        "print(result.success, repr(result.best_values['d_rate']))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=120).stdout
    here = hinted().fit(np.array([2.0, 1.7, 1.5, 1.35, 1.25, 1.2]), x=np.arange(6) / 2)
    assert out.split() == ["True", repr(here.best_values["d_rate"])]


def test_lmfits_words(tmp_path):
    model = hinted()
    with open(tmp_path / "dumped.json", "w") as file:
        assert model.dump(file) == len(model.dumps())
    assert sf.load(tmp_path / "dumped.json").param_names == model.param_names
    lmfit.model.save_model(model, str(tmp_path / "by_lmfit.json"))
    assert sf.load(tmp_path / "by_lmfit.json").param_names == model.param_names
    assert json.loads(model.dumps(indent=1)) == io.document(model)
    for call in (lambda: model.loads(model.dumps()), lambda: model.load(streams.StringIO(model.dumps()))):
        with pytest.raises(DocumentError, match=r"surffit\.load\(path\)"):
            call()
    with pytest.raises(ValueError, match="Cannot restore Model"):
        lmfit.model.load_model(str(tmp_path / "by_lmfit.json"))


def test_saving_leaves_the_model_as_it_was(model, tmp_path):
    def state():
        return [(p.prefix, list(p.param_names), {k: dict(v) for k, v in p.param_hints.items()}, dict(p.opts)) for p in model.components]

    before = state()
    model.save(tmp_path / "model.json")
    assert state() == before


TABLE = np.linspace(0, 1, 7)
STATE = {"calls": 0}


def counting(x, a):
    STATE["calls"] += 1
    return a * x + STATE["calls"]


def swallowing(x, a):
    try:
        return a * float(x.sum()) + 0 * x
    except TypeError:
        return a * x


def branching(x, a):
    return a * x if a > 0 else x


class Pedestal(sf.SurfaceModel):
    """Adds something that its function doesn't show."""

    def eval(self, params=None, **kwargs):
        return 1 + super().eval(params=params, **kwargs)


def convolved(one, two):
    return np.convolve(one, two, mode="same")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: sf.SurfaceModel(lambda x, a: a * np.interp(x, np.arange(7.0), TABLE), name="looked up"), "'looked up' can.t be kept in"),
        (lambda: sf.SurfaceModel(lambda x, a: a * (x[:, None] - TABLE).sum(axis=1)), "can't be recorded as a graph"),
        (lambda: sf.SurfaceModel(lambda x, a, table=None: a * x + table, table=TABLE), r"holds an array of shape \(7,\)"),
        (lambda: sf.SurfaceModel(counting), "answers the same question differently|looks at more than its arguments"),
        (lambda: sf.SurfaceModel(swallowing), "looks at more than its arguments|can't be recorded"),
        (lambda: sf.SurfaceModel(branching), "can't be recorded as a graph"),
        (lambda: Pedestal(decay), "Pedestal has its own eval"),
        (lambda: sf.SurfaceModel.from_lmfit(lmfit.models.ExpressionModel("a*x")), "can't be kept in a document"),
        (
            lambda: sf.SurfaceModel.from_lmfit(
                lmfit.model.CompositeModel(lmfit.Model(decay), lmfit.models.GaussianModel(prefix="g_"), convolved)
            ),
            "joined by 'convolved' can't be kept",
        ),
    ],
)  # fmt: skip
def test_what_cannot_travel_is_refused_with_the_reason(model, sentence, tmp_path):
    (tmp_path / "model.json").write_text("old")
    with pytest.raises(DocumentError, match=sentence):
        model().save(tmp_path / "model.json")
    assert (tmp_path / "model.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("hint", "sentence"),
    [
        (dict(expr="mystery(a)"), "'mystery' is not an allowed function"),
        (dict(expr="a.real"), "an attribute is not allowed"),
        (dict(expr="elsewhere*2"), "uses 'elsewhere', which is no parameter"),
        (dict(value="three"), "is no number"),
        (dict(value=1j), "is no number"),
        (dict(expr="b"), "circle"),
    ],
)
def test_hints_that_load_would_refuse_are_refused(hint, sentence):
    model = sf.SurfaceModel(lambda x, a, b: a + b * x)
    model.set_param_hint("a", expr="2*b") if hint == dict(expr="b") else None
    model.set_param_hint("b", **(dict(expr="a") if hint == dict(expr="b") else hint))
    with pytest.raises(DocumentError, match=sentence):
        model.dumps()


def test_a_model_that_is_not_installed_says_so(tmp_path):
    content = io.document(sf.get_model("gaussian"))
    content["model"]["name"] = "gaussiann"
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(DocumentError, match=r"can't be made here: no model named 'gaussiann'; did you mean 'gaussian'"):
        sf.load(tmp_path / "model.json")


def test_a_models_document_takes_no_model(tmp_path):
    sf.get_model("gaussian").save(tmp_path / "model.json")
    with pytest.raises(DocumentError, match="model= is for saved fits"):
        sf.load(tmp_path / "model.json", model=sf.get_model("gaussian"))


def test_operators_are_those_of_the_closed_table():
    assert set(io.models.OPERATORS.values()) == {operator.add, operator.sub, operator.mul, operator.truediv}


def test_a_hundred_parts(tmp_path):
    model = sf.get_model("gaussian", prefix="p0_")
    for k in range(1, 60):
        model = model + sf.get_model("gaussian", prefix=f"p{k}_")
    loaded = saved(model, tmp_path)
    assert loaded.param_names == model.param_names
    assert len(loaded.components) == 60
