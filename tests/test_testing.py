"""`check_model` passes models that keep their promises, and sees each promise broken."""

import random
import time
import warnings

import lmfit
import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import ModelCheckError
from surffit.testing import check_model
from surffit.trace import derive

# ---- a plugin as people write it, and models of one and three coordinates ------------------------------------------------


def moffat2d(x, y, height, x0, y0, alpha, beta, sky):
    return sky + height * (1 + ((x - x0) ** 2 + (y - y0) ** 2) / alpha**2) ** -beta


class Moffat2D(sf.SurfaceModel):
    surffit_api = 1

    def __init__(self, **kw):
        super().__init__(moffat2d, independent_vars=["x", "y"], linear=["height", "sky"], **kw)
        self.set_param_hint("alpha", min=0)
        self.set_param_hint("beta", min=0.5)

    def guess(self, data, x, y, **kw):
        return self.make_params(height=1, sky=0, x0=x.flat[data.argmax()], y0=y.flat[data.argmax()], alpha=3, beta=2.5, **kw)


def plane3(u, v, w, a, b, c, d):
    return a + b * u + c * v + d * w


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(Moffat2D, id="plugin"),
        pytest.param(Moffat2D(prefix="m_"), id="prefix"),
        pytest.param(sf.SurfaceModel(plane3, ["u", "v", "w"]), id="three coordinates"),
        pytest.param("gaussian", id="registered"),
        pytest.param("polynomial_surface", id="range from data"),
        pytest.param(lmfit.models.LorentzianModel, id="lmfit's class"),
    ],
)
def test_good_models_pass(model):
    start = time.process_time()
    report = check_model(model)
    assert time.process_time() - start < 2.0  # it takes a tenth of that; a busy machine is no failure
    assert report.traced
    assert len(report.checks) == 15
    assert report.figures["own surface, error of the range"] < 1e-8
    assert report.model in str(report)


def test_units_are_checked_where_the_formula_allows():
    skipped = check_model(Moffat2D).skipped
    assert not [what for what in skipped if "units" in what or "origin" in what]
    decay = Decay(decay_in_kelvin, ["t_celsius"])
    decay.set_param_hint("c", value=2000.0)
    assert {"units of the coordinates", "origin of the coordinates"} <= set(check_model(decay).skipped)


def decay_in_kelvin(t_celsius, a, c):
    return a * np.exp(-c / (t_celsius + 273.15))


class Decay(sf.SurfaceModel):
    def guess(self, data, t_celsius, **kw):
        return self.make_params(c=1000.0)


# ---- broken promises ------------------------------------------------------------------------------------------------------


def good(x, y, a, b):
    """A good surface."""
    return a * np.exp(-b * x * x) + 0.0 * y


def made(function, guess=None, hints=None, **kw):
    """A model of two coordinates; with a guess if it is given one."""

    maker = sf.SurfaceModel if guess is None else type("Made", (sf.SurfaceModel,), {"guess": guess})
    model = maker(function, ["x", "y"], **kw)
    if hints is None:
        hints = {"b": {"value": 0.5}} if function in (good, sine) else {}
    for name, hint in hints.items():
        model.set_param_hint(name, **hint)
    return model


def noisy(x, y, a, b):
    return a * x + b * y + 1e-3 * np.random.default_rng().normal(size=np.shape(x + y))


def twins(x, y, a, b):
    """The sum of two."""
    return (a + b) * np.exp(-x * y)


MEMORY = [0.0]


def remembers(x, y, a, b):
    MEMORY[0] += 1e-3
    return a * x + b * y + MEMORY[0]


def writes(x, y, a, b):
    out = a * x + b * y
    x *= 2.0
    return out


def single(x, y, a, b):
    return np.float32(a * x + b * y)


def grids_only(x, y, a, b):
    return a * x + b * np.outer(y[:, 0], np.ones(x.shape[1]))


def flat(x, y, a, b):
    return np.ravel(a * x + b * y)


def squared(x, y, a, b):
    return a**2 * x + b * y


def hidden_square(x, y, a, b):
    return (a**2 if a != 1234.5 else 0.0) * x + b * y  # a branch: it can't be recorded


def two_faced(x, y, a, b):
    return a * np.sin(b * x) + y if type(x) is np.ndarray else a * np.cos(b * x) + y


def kinked(x, y, a, x0):
    return a * np.sqrt((x - x0) ** 2) + y


def sine(x, y, a, b):
    return a * np.sin(b * x) + 0.0 * y


def without_effect(x, y, a, b):
    return a * x + y + 0.0 * b


def logarithm(x, y, a, b):
    return a * np.log(b) * x + y


def half_described(x, y, a, b):
    """
    A surface.

    Parameters
    ----------
    x, y : array_like
        Coordinates.
    a : float
        One thing.
    c : float
        What it never takes.

    Returns
    -------
    ndarray
    """
    return a * x + b * y


def seeds(x, y, a, b):
    np.random.seed(1)  # noqa: NPY002 - the fault under test
    return a * x + b * y


def rolls(x, y, a, b):
    random.seed(1)
    return a * x + b * y


def silences(x, y, a, b):
    np.seterr(all="ignore")
    return a * x + b * y


def complains(x, y, a, b):
    if isinstance(x, np.ndarray):
        warnings.warn("an old function", DeprecationWarning, stacklevel=2)
    return a * x + b * y


def widens(self, data, x, y, **kw):
    params = self.make_params(a=1, b=1)
    params["b"].set(min=-np.inf, value=-3.0)
    return params


def lost(self, data, x, y, **kw):
    params = self.make_params(a=1)
    params["b"].value = np.nan
    return params


def fickle(self, data, x, y, **kw):
    return self.make_params(a=1, b=np.random.default_rng().uniform(0.4, 0.6))


def raises(self, data, x, y, **kw):
    return self.make_params(a=1, b=data[5, 5])


def hopeless(self, data, x, y, **kw):
    return self.make_params(a=1, b=60.0)


def short(self, data, x, y, **kw):
    return lmfit.create_params(b=0.5)


def thresholds(self, data, x, y, **kw):
    return self.make_params(a=1, b=0.5 if data.max() > 1e-3 else 60.0)


def pixels(self, data, x, y, **kw):
    return self.make_params(a=1, b=0.5 if np.ptp(x) > 1 else 1e-4)


def rewrites(self, data, x, y, **kw):
    self.set_param_hint("b", value=data.mean())
    return self.make_params(a=1, b=0.5)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (made(noisy), "has a memory or is random"),
        (made(remembers), "has a memory or is random"),
        (made(writes), "writes into its argument x"),
        (made(single), "the values are float32"),
        (made(grids_only), "flat coordinates raise IndexError"),
        (made(flat), "no example of Model(flat) was found"),
        (made(squared, linear=["a", "b"]), "linear= names a, but by the function's graph the jointly linear ones are b"),
        (made(hidden_square, linear=["a", "b"]), "a is said to be linear, but the second difference"),
        (made(two_faced), "the recorded graph gives other values than the function"),
        (made(kinked, hints={"x0": {"value": 0.0}}), "the derivative by x0 is not finite at x = 0"),
        (made(without_effect), "b has no effect on the example"),
        (made(logarithm, hints={"b": {"min": -1.0}}), "not finite inside the bounds"),
        (made(logarithm, hints={"b": {"max": -1.0}}), "no example of Model(logarithm) was found"),
        (made(lambda x, y, a, b: a * x + b * y), "can't be pickled"),
        (made(hidden_square), "can't be kept in a document"),
        (made(half_described), "does not describe b"),
        (made(half_described), "describes c, which it does not take"),
        (made(good, hints={"b": {"value": 0.5}, "c": {"min": 0}}), "there is a hint for c, which is no parameter"),
        (made(good, hints={"b": {"value": 0.5, "min": 1.0, "max": 2.0}}), "value = 0.5 outside its bounds"),
        (made(seeds), "numpy's random state was changed"),
        (made(rolls), "Python's random state was changed"),
        (made(silences), "numpy's error state was changed"),
        (made(complains), "warns: an old function"),
        (made(sine, hints={}), "there is no guess(), and b can't do without a start"),
        (made(good, widens, {"b": {"min": 0.0}}), "outside its bounds 0 to inf"),
        (made(good, lost), "gives b = nan"),
        (made(good, fickle), "gives other starts the second time"),
        (made(good, raises), "guess() on scattered points raises IndexError"),
        (made(good, short), "guess() on a full grid has no a"),
        (made(sine, hopeless), "a fit of its own surface from guess() is off by"),
        (made(sine, hopeless), "a fit of noisy data at scattered points (S/N 30) from guess() ends at chi-square"),
        (made(sine, thresholds), "data in other units (x 1e-12) end at chi-square"),
        (made(sine, pixels), "with x x 0.001"),
        (made(twins), "does not determine a, b (stderr inf)"),
        (made(good, rewrites), "guess() changes the model's hints"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else value.func.__name__,
)  # fmt: skip
def test_a_broken_promise_is_seen(model, sentence):
    with np.errstate(), pytest.raises(ModelCheckError) as caught:  # one of them changes the error state
        check_model(model)
    assert sentence in str(caught.value)
    assert any(sentence in failure for failure in caught.value.failures)


def test_a_wrong_derivative_is_seen(monkeypatch):
    wrong = {**derive.OUTER, "exp": lambda A, e, a: A.op("mul", A.const(1.001), e)}
    check_model(made(good))
    monkeypatch.setattr(derive, "OUTER", wrong)
    with pytest.raises(ModelCheckError, match=r"derivative by b differs from differences by 0\.001"):
        check_model(made(good))


def test_words_are_asked_for():
    maker = type("Wordless", (sf.SurfaceModel,), {"__module__": "nowhere"})
    model = maker(kinked, ["x", "y"])
    with pytest.raises(ModelCheckError, match="has a docstring"):
        check_model(model)


def test_all_failures_come_at_once():
    with pytest.raises(ModelCheckError) as caught:
        check_model(made(hidden_square, linear=["a", "b"]))
    assert len(caught.value.failures) > 2
    assert str(caught.value).startswith(f"Model(hidden_square) fails {len(caught.value.failures)} checks:\n- ")


def test_what_is_no_model_is_one_failure():
    with pytest.raises(ModelCheckError, match="no model named 'gausian'"):
        check_model("gausian")
    with pytest.raises(ModelCheckError, match="is not an lmfit model"):
        check_model(3)


# ---- what plugins rely on: examples and coordinates -------------------------------------------------------------------------


def test_examples_are_inside_hints_and_tell_parameters_apart():
    coords, values = Moffat2D(prefix="m_").example()
    assert set(coords) == {"x", "y"}
    assert coords["x"].shape == coords["y"].shape == (25, 31)
    assert set(values) == {"m_height", "m_x0", "m_y0", "m_alpha", "m_beta", "m_sky"}
    assert values["m_beta"] > 0.5
    assert coords["x"].min() < values["m_x0"] < coords["x"].max()
    model = sf.SurfaceModel(decay_in_kelvin)
    model.set_param_hint("c", value=123.0)
    assert model.example()[1]["c"] == 123.0
    assert "c" in model.param_names
    assert model.param_hints["c"] == {"value": 123.0}


def test_examples_of_lmfits_models():
    for name in ("gaussian2d", "voigt", "lognormal", "power_law"):
        model = sf.get_model(name)
        coords, values = model.example()
        assert set(values) == set(model.param_names)
        assert np.isfinite(model.eval(model.make_params(**values), **coords)).all()


class Recorder(sf.SurfaceModel):
    """Keeps what its guess was given."""

    def __init__(self):
        super().__init__(moffat2d, ["x", "y"])

    def guess(self, data, x, y, **kw):
        self.given = (data, x, y)
        return self.make_params(**kw)


def test_a_guess_sees_points_of_one_shape():
    model, z = Recorder(), np.arange(12.0).reshape(3, 4)
    model.guess(z, np.arange(4.0), y=np.arange(3.0)[:, None], sky=2.0)
    data, x, y = model.given
    assert data.shape == x.shape == y.shape == (3, 4)
    data[0, 0] = 99.0  # its own copy
    assert z[0, 0] == 0.0
    assert x.flags.writeable


@pytest.mark.parametrize("hole", [np.nan, np.inf, "masked"])
def test_a_guess_sees_finite_points_only(hole):
    model, z = Recorder(), np.ma.array(np.arange(12.0).reshape(3, 4))
    if hole == "masked":
        z[1, 2] = np.ma.masked
    else:
        z[1, 2] = hole
    model.guess(z, x=np.arange(4), y=np.arange(3)[:, None])
    data, x, y = model.given
    assert data.shape == x.shape == y.shape == (11,)
    assert 6.0 not in data
    np.testing.assert_array_equal(data, x + 4 * y)


def test_what_does_not_fit_is_refused_before_a_guess():
    with pytest.raises(sf.exceptions.ShapeError, match=r"data has shape \(3, 4\), but the coordinates are x \(5,\), y \(3, 1\)"):
        Recorder().guess(np.zeros((3, 4)), np.arange(5.0), np.arange(3.0)[:, None])
    with pytest.raises(sf.exceptions.TooFewPointsError, match="none of the 4 data points is finite"):
        Recorder().guess(np.full(4, np.nan), np.arange(4.0), np.arange(4.0))
