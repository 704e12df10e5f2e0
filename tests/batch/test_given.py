"""Parameters of many data sets: maps of starts, fixed values and bounds; ties; earlier batches."""

import lmfit
import numpy as np
import pytest

import surffit as sf
from surffit.batch.plan import OFFERS
from surffit.exceptions import ParameterError, ShapeError

X = np.linspace(-4.0, 4.0, 30)
SHAPE = (2, 4)


def peak(x, height, center, width, level):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + level


def line(x, a, b):
    return a + b * x


@pytest.fixture
def data(rng):
    centre, width = rng.uniform(-1, 1, SHAPE), rng.uniform(0.8, 1.5, SHAPE)
    return peak(X[:, None, None], 5.0, centre, width, 1.0) + rng.normal(0, 0.05, (len(X), *SHAPE))


def one_by_one(data, change, index, **kws):
    model = sf.SurfaceModel(peak, ["x"])
    params = model.make_params(height=4, center=0.2, width=1, level=0)
    change(params, index)
    return model.fit(data[(slice(None), *index)], params, x=X, **kws)


def engines():
    """Those that take this model."""
    return [name for name in OFFERS if name not in ("common", "weighted")]


STARTS = {"height": 4.0, "center": 0.2, "width": 1.0, "level": 0.0}


@pytest.mark.parametrize("engine", engines())
def test_maps_of_starts_fixed_values_and_bounds(data, engine):
    level, top = np.linspace(0.9, 1.1, 8).reshape(SHAPE), np.linspace(0.9, 2.0, 8).reshape(SHAPE)
    params = {
        "height": 4.0,
        "center": np.zeros(SHAPE),
        "level": {"value": level, "vary": False},
        "width": {"value": 0.85, "min": 0.1, "max": top},
    }
    batch = sf.fit_many(peak, data, 0, params, x=X, engine=engine)
    assert batch.var_names == ["height", "center", "width"]
    assert np.array_equal(batch.values["level"], level)
    assert not batch.stderr["level"].any()
    for index in np.ndindex(SHAPE):

        def change(params, index):
            params["level"].set(value=level[index], vary=False)
            params["width"].set(value=0.85, min=0.1, max=top[index])

        one = one_by_one(data, change, index)
        for name in batch.var_names:
            error = one.params[name].stderr
            scale = error if np.isfinite(error) else 1e-3
            assert abs(batch.values[name][index] - one.best_values[name]) < 1e-5 * scale
            assert batch.stderr[name][index] == pytest.approx(error, rel=1e-5, nan_ok=True)
    assert (np.isnan(batch.stderr["width"]) == (batch.values["width"] >= top)).all()


@pytest.mark.parametrize("engine", engines())
def test_tied_parameters_have_values_and_errors(data, engine):
    offset = np.linspace(0.5, 1.5, 8).reshape(SHAPE)
    model = sf.SurfaceModel(peak, ["x"])
    params = model.make_params(**STARTS)
    params["level"].set(expr="0.2*height*width")
    params.add("area", expr="height*width*2.5066282746")
    params.add("offset", value=1.0, vary=False)
    params.add("apart", expr="center - offset")
    batch = sf.fit_many(model, data, 0, params, x=X, engine=engine)
    assert batch.maps.covar is None
    for index in np.ndindex(SHAPE):
        one = model.fit(data[(slice(None), *index)], params, x=X)
        for name in ("level", "area", "apart"):
            assert batch.values[name][index] == pytest.approx(one.params[name].value, abs=1e-5 * one.params[name].stderr)
            assert batch.stderr[name][index] == pytest.approx(one.params[name].stderr, rel=1e-5)
    # a constraint that stands on a number of each data set
    held = sf.SurfaceModel(lambda x, height, center, width, level, shift: peak(x, height, center + shift, width, level), ["x"])
    given = {**STARTS, "shift": {"value": offset, "vary": False}, "level": {"expr": "0.2*height + 0*shift"}}
    batch = sf.fit_many(held, data, 0, given, x=X, engine=engine)
    plain = sf.fit_many(peak, data, 0, {**STARTS, "level": {"expr": "0.2*height"}}, x=X, engine=engine)
    assert batch.values["center"] + offset == pytest.approx(plain.values["center"], abs=1e-6)
    assert batch.stderr["level"] == pytest.approx(0.2 * plain.stderr["height"], rel=1e-5)


def test_ties_of_linear_models(rng):
    data = line(X[:, None], 1.0, rng.uniform(1, 2, 5)) + rng.normal(0, 0.1, (30, 5))
    params = sf.SurfaceModel(line, ["x"]).make_params()
    params.add("root", expr="-a/b")
    batch = sf.fit_many(line, data, 0, params, x=X, covar=True)
    a, b = batch.values["a"], batch.values["b"]
    J = np.array([-1 / b, a / b**2])
    expected = np.sqrt(np.einsum("in,ijn,jn->n", J, batch.covar, J))
    assert batch.values["root"] == pytest.approx(-a / b)
    assert batch.stderr["root"] == pytest.approx(expected)
    dropped = sf.fit_many(line, data, 0, params, x=X)
    assert dropped.stderr["root"] == pytest.approx(expected)
    assert dropped.maps.covar is None


def test_ties_where_there_is_no_fit(data):
    data[:, 0, 0] = np.nan
    params = {**STARTS, "level": {"expr": "0.2*height"}}
    batch = sf.fit_many(peak, data, 0, params, x=X)
    assert np.isnan(batch.values["level"][0, 0])
    assert np.isnan(batch.stderr["level"][0, 0])
    assert np.isfinite(batch.stderr["level"].flat[1:]).all()


def test_an_earlier_batch_gives_starts(data):
    data[:, 1, 1] = np.nan
    params = {**STARTS, "width": {"value": 1.0, "min": np.full(SHAPE, 0.1)}, "level": {"value": np.ones(SHAPE), "vary": False}}
    first = sf.fit_many(peak, data, 0, params, x=X, engine="loop")
    data[:, 1, 1] = data[:, 0, 0]
    again = sf.fit_many(peak, data, 0, first, x=X, engine="loop")
    assert again.success.all()
    assert again.var_names == first.var_names
    assert again.task.lower["width"].tolist() == [0.1] * 8
    assert again.task.value["center"][0] == first.values["center"][0, 0]
    assert again.task.value["center"][5] == STARTS["center"]  # where the first one failed, its start
    assert (again.nfev.flat[:5] <= first.nfev.flat[:5]).all()
    with pytest.raises(ShapeError, match=r"maps of shape \(2, 4\), but this one has \(4,\)"):
        sf.fit_many(peak, data[:, 0], 0, first, x=X)


def test_lmfit_parameters_stay_as_they_are(data):
    params = lmfit.create_params(**STARTS)
    before = params.dumps()
    sf.fit_many(peak, data, 0, params, x=X)
    assert params.dumps() == before


def test_parameters_one_by_one_in_a_mapping(data):
    given = lmfit.Parameter("other", value=0.2, min=-3, max=3)
    batch = sf.fit_many(peak, data, 0, {**STARTS, "center": given}, x=X)
    assert (batch.task.lower["center"], batch.task.upper["center"]) == (-3, 3)


def test_starts_are_moved_into_their_bounds(data):
    upper = np.full(SHAPE, 0.5)
    batch = sf.fit_many(peak, data, 0, {**STARTS, "center": {"value": 2.0, "max": upper}}, x=X)
    assert (batch.task.value["center"] == 0.5).all()


def test_maps_broadcast(data):
    batch = sf.fit_many(peak, data, 0, {**STARTS, "center": np.array([[-1.0], [1.0]])}, x=X)
    assert batch.task.value["center"].tolist() == [-1.0] * 4 + [1.0] * 4


def test_defaults_that_nobody_chose_are_replaced_by_a_guess(data):
    model = sf.get_model("gaussian")
    assert sf.fit_many(model, data - 1, x=X + 100.0).success.all()
    chosen = sf.fit_many(model, data - 1, 0, {"center": 0.0, "sigma": 1.0}, x=X)
    assert chosen.task.value["center"] == 0.0


def test_what_nothing_varies(data):
    with pytest.raises(ParameterError, match="every parameter"):
        sf.fit_many(peak, data, 0, {name: {"value": value, "vary": False} for name, value in STARTS.items()}, x=X)
