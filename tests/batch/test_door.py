"""What `fit_many` can be handed: containers, shapes, coordinates, names; and what it says where a call can't be right."""

import tracemalloc
import warnings

import lmfit
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import surffit as sf
from surffit.exceptions import DataError, LinearityError, NonFiniteError, ParameterError, ShapeError, UnknownModelError

T = np.array([0.0, 1.0, 2.0, 4.0, 5.0, 7.0])
NY, NX = 3, 4


def line(t, a, b):
    return a + b * t


def peak(x, height, center, width):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2)


@pytest.fixture
def cube(rng):
    return 2.0 + 0.5 * np.arange(NY * NX).reshape(NY, NX) * T[:, None, None] + rng.normal(0, 0.1, (6, NY, NX))


@pytest.fixture
def reference(cube):
    coef = np.polynomial.polynomial.polyfit(T, cube.reshape(6, -1), 1)
    return coef.reshape(2, NY, NX)


def same(batch, reference, rtol=1e-9):
    assert np.asarray(batch.values["a"]) == pytest.approx(reference[0], rel=rtol)
    assert np.asarray(batch.values["b"]) == pytest.approx(reference[1], rel=rtol)


# ---- models ----------------------------------------------------------------------------------------------------------


def test_models_of_every_kind(cube, reference):
    def closure():
        offset = 1.0
        return lambda t, a, b: a + b * t + 0.0 * offset

    for model in (line, sf.SurfaceModel(line, ["t"]), lmfit.Model(line), closure()):
        same(sf.fit_many(model, cube, t=T), reference)
    named = sf.fit_many("linear", cube, x=T)
    assert named.values["slope"] == pytest.approx(reference[1], rel=1e-9)
    composite = lmfit.models.LinearModel() + lmfit.models.ConstantModel()
    pars = composite.make_params()
    pars["c"].set(value=1.0, vary=False)
    assert sf.fit_many(composite, cube, 0, pars, x=T).values["intercept"] == pytest.approx(reference[0] - 1.0, rel=1e-9)


def test_options_of_the_model_pass_through(cube, reference):
    def scaled(t, a, b, unit="s", power=1):
        return a + b * t**power * {"s": 1.0, "ms": 1e-3}[unit]

    model = sf.SurfaceModel(scaled, ["t", "unit"], param_names=["a", "b"])
    batch = sf.fit_many(model, cube, t=T, unit="ms")
    assert batch.values["b"] == pytest.approx(1e3 * reference[1], rel=1e-9)
    assert batch.task.opts == {"unit": "ms"}
    assert sf.fit_many(scaled, cube, t=T, unit="s", power=2).var_names == ["a", "b"]


def test_coordinates_named_like_keywords(cube, reference):
    def sloped(block, a, b):
        return a + b * block

    same(sf.fit_many(sloped, cube, coords={"block": T}), reference)
    with pytest.raises(ParameterError, match=r"in coords=\{\.\.\.\}"):
        sf.fit_many(sloped, cube)
    with pytest.raises(ParameterError, match=r"coords=\{'block': \.\.\.\}"):
        sf.fit_many(sf.SurfaceModel(sloped, ["block"]), cube)


def test_starts_by_keyword(rng):
    x = np.linspace(-3, 3, 30)
    data = peak(x[:, None], 5.0, rng.uniform(-0.5, 0.5, 3), 1.0)
    model = sf.SurfaceModel(peak, ["x"])
    batch = sf.fit_many(model, data, x=x, center=np.zeros(3), width=0.8, engine="loop")
    assert batch.success.all()
    assert batch.task.value["center"].shape == (3,)


# ---- containers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda a: a.tolist(),
    lambda a: a.astype(">f8"),
    lambda a: np.asfortranarray(a),
    lambda a: np.repeat(np.repeat(a, 2, axis=0), 2, axis=1)[::2, ::2],
    lambda a: a[::-1][::-1],
    lambda a: np.ma.MaskedArray(a),
    lambda a: np.array(a, dtype=object),
    lambda a: a.astype(np.longdouble),
])  # fmt: skip
def test_arrays_of_every_kind(cube, reference, make):
    data = make(cube)
    if isinstance(data, np.ndarray):
        data.setflags(write=False)
    same(sf.fit_many(line, data, t=T), reference)


@pytest.mark.parametrize("dtype", ["u1", ">i2", "<u4", ">f4", "f2", "i8", "?"])
def test_number_types_give_the_same_as_float64(dtype, rng):
    data = rng.integers(0, 2 if dtype == "?" else 200, (6, 5)).astype(dtype)
    assert sf.fit_many(line, data, t=T).values["a"] == pytest.approx(sf.fit_many(line, data.astype(float), t=T).values["a"], rel=1e-6)


def test_axis(cube, reference):
    last = np.moveaxis(cube, 0, -1)
    same(sf.fit_many(line, last, axis=-1, t=T), reference)
    same(sf.fit_many(line, np.moveaxis(cube, 0, 1), axis=(1,), t=T), reference)
    one = sf.fit_many(line, cube[:, 1, 2], t=T)
    assert one.shape == ()
    assert float(one.values["b"]) == pytest.approx(reference[1, 1, 2])


def test_a_stack_of_planes():
    y, x = np.mgrid[:5, :7]
    stack = np.array([k + 0.5 * k * x - 0.25 * y for k in range(1, 4)])

    def plane(x, y, a, b, c):
        return a + b * x + c * y

    for data, axes in ((stack, (1, 2)), (np.moveaxis(stack, 0, 1), (0, 2)), (np.moveaxis(stack, 0, 2), (1, 0))):
        for coords in ((x, y), (np.arange(7), np.arange(5)[:, None])):
            batch = sf.fit_many(plane, data, axis=axes, x=coords[0], y=coords[1])
            assert batch.values["b"] == pytest.approx(0.5 * np.arange(1, 4), abs=1e-12)
            assert batch.values["c"] == pytest.approx(-0.25, abs=1e-12)


def test_coordinates_that_differ_from_data_set_to_data_set(rng):
    t = T[:, None, None] + rng.uniform(0, 0.5, (1, NY, NX))
    data = 1.0 + 2.0 * t
    for coordinate in (t, t.astype(np.float32), np.asfortranarray(t)):
        batch = sf.fit_many(line, data, t=coordinate)
        assert batch.values["b"] == pytest.approx(2.0, rel=1e-5)
    # a number per data set: length 1 along the fit axis
    factor = rng.uniform(1, 2, (1, NY, NX))
    batch = sf.fit_many(lambda t, f, a, b: a + b * f * t, 1.0 + factor * T[:, None, None], t=T, f=factor)
    assert batch.values["b"] == pytest.approx(1.0)


def test_masked_arrays_and_masks(cube, reference):
    mask = np.zeros(cube.shape, dtype=bool)
    mask[2, 0, 1] = True
    spoilt = np.where(mask, np.nan, cube)
    expected = np.polynomial.polynomial.polyfit(np.delete(T, 2), np.delete(cube[:, 0, 1], 2), 1)
    for batch in (
        sf.fit_many(line, spoilt, t=T, mask=mask),
        sf.fit_many(line, spoilt, t=T, mask=mask.astype("u1")),
        sf.fit_many(line, np.ma.MaskedArray(spoilt, mask), t=T),
        sf.fit_many(line, spoilt, t=T, nan_policy="omit"),
    ):
        assert batch.values["b"][0, 1] == pytest.approx(expected[1])
        assert batch.nobs[0, 1] == 5
        assert batch.success.all()
    both = sf.fit_many(line, np.ma.MaskedArray(spoilt, mask), t=T, mask=np.arange(6) == 0)
    assert both.nobs[0, 1] == 4
    assert isinstance(both.best_fit, np.ma.MaskedArray)
    pixels = sf.fit_many(line, cube, t=T, mask=np.arange(NX) == 3)
    assert (pixels.status[:, 3] == sf.Status.NO_DATA).all()
    assert pixels.success[:, :3].all()


def test_quantity(cube, reference):
    u = pytest.importorskip("astropy.units")
    batch = sf.fit_many(line, cube * u.Jy, t=T * u.s, sigma=np.full(6, 100.0) * u.mJy, scale_covar=False)
    same(batch, reference)
    known = sf.fit_many(line, cube, t=T, sigma=0.1, scale_covar=False)
    assert batch.stderr["b"] == pytest.approx(known.stderr["b"])
    assert batch.best_fit.unit == u.Jy
    with pytest.raises(DataError, match="not convertible"):
        sf.fit_many(line, cube * u.Jy, t=T, sigma=1.0 * u.m)
    with pytest.raises(DataError, match="have no unit"):
        sf.fit_many(line, cube, t=T, sigma=1.0 * u.m)


def test_nddata(cube, reference):
    nddata = pytest.importorskip("astropy.nddata")
    mask = np.zeros(cube.shape, dtype=bool)
    mask[0, 0, 0] = True
    known = sf.fit_many(line, cube, t=T, sigma=0.1, mask=mask, scale_covar=False)
    for uncertainty in (
        nddata.StdDevUncertainty(np.full(cube.shape, 0.1)),
        nddata.VarianceUncertainty(np.full(cube.shape, 0.01)),
        nddata.InverseVariance(np.full(cube.shape, 100.0)),
        nddata.StdDevUncertainty(np.full(cube.shape, 100.0), unit="mJy"),
    ):
        batch = sf.fit_many(line, nddata.NDData(cube, mask=mask, uncertainty=uncertainty, unit="Jy"), t=T, scale_covar=False)
        assert batch.stderr["b"] == pytest.approx(known.stderr["b"])
        assert batch.nobs[0, 0] == 5
    own = sf.fit_many(
        line, nddata.NDData(cube, uncertainty=nddata.StdDevUncertainty(np.ones(cube.shape))), t=T, sigma=0.1, scale_covar=False
    )
    assert own.stderr["b"][1, 1] == pytest.approx(known.stderr["b"][1, 1])


def test_tables_of_columns(cube, reference):
    frame = pd.DataFrame(cube.reshape(6, -1), columns=[f"p{i}" for i in range(NY * NX)])
    batch = sf.fit_many(line, frame, t=T)
    assert batch.values["b"]["p5"] == pytest.approx(reference[1].flat[5])
    rows = sf.fit_many(line, frame.T, axis=1, t=T)
    assert rows.values["b"].index.equals(frame.columns)
    assert batch.best_fit.columns.equals(frame.columns)


# ---- xarray ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def images(cube):
    return xr.DataArray(
        cube,
        dims=("time", "y", "x"),
        name="flux",
        attrs={"units": "DN", "instrument": "cam"},
        coords={
            "time": T,
            "y": np.arange(NY) * 10.0,
            "x": list("abcd"),
            "where": (("y", "x"), np.ones((NY, NX))),
            "phase": ("time", T / 7),
        },
    )


def test_dimensions_decide(images, reference, cube, rng):
    batch = sf.fit_many(line, images, dim="time", t="time", sigma=images.mean("time").transpose("x", "y") * 0 + 0.1)
    same(batch, reference)
    slope = batch.values["b"]
    assert slope.dims == ("y", "x")
    assert set(slope.coords) == {"y", "x", "where"}
    assert slope.attrs == {"instrument": "cam"}
    assert batch.best_fit.dims == images.dims
    shuffled = images.transpose("x", "time", "y")
    again = sf.fit_many(line, shuffled, dim="time", t="time", mask=images.isnull())
    assert again.values["b"].dims == ("x", "y")
    same_again = again.values["b"].transpose("y", "x")
    assert same_again.values == pytest.approx(reference[1])


def test_coordinates_are_found_by_name(images, reference):
    def of_time(time, a, b):
        return a + b * time

    same(sf.fit_many(of_time, images, dim="time"), reference)
    same(sf.fit_many(sf.SurfaceModel(of_time, ["time"]), images, dim="time"), reference)
    half = sf.fit_many(lambda phase, a, b: a + b * phase, images, dim="time")
    assert half.values["b"].values == pytest.approx(7 * reference[1])
    # one number per data set is a coordinate as well
    batch = sf.fit_many(lambda time, where, a, b: a * where + b * time, images, dim="time")
    assert batch.values["a"].values == pytest.approx(reference[0])
    stack = sf.fit_many(lambda x, y, a, b: a + b * x + 0 * y, images.drop_vars("x"), dim=("x", "y"))
    assert stack.values["a"].dims == ("time",)


def test_dates_are_seconds(images, reference):
    dated = images.assign_coords(time=np.datetime64("2024-03-01") + (T * 1e9).astype("timedelta64[ns]"))
    batch = sf.fit_many(line, dated, dim="time", t="time")
    same(batch, reference)
    assert batch.task.epochs == {"t": np.datetime64("2024-03-01", "ns")}
    lasting = images.assign_coords(time=(T * 1e9).astype("timedelta64[ns]"))
    same(sf.fit_many(line, lasting, dim="time", t="time"), reference)


def test_labels_are_aligned_or_refused(images, reference):
    sigma = xr.DataArray(np.arange(1.0, 5.0), dims="x", coords={"x": list("abcd")})
    one = sf.fit_many(line, images, dim="time", t="time", sigma=sigma, scale_covar=False)
    two = sf.fit_many(line, images, dim="time", t="time", sigma=sigma.isel(x=[3, 1, 0, 2]), scale_covar=False)
    assert one.stderr["b"].equals(two.stderr["b"])
    with pytest.raises(ShapeError, match=r"sigma lacks 1 of the 4 labels of the data along 'x', e.g. \['c'\]"):
        sf.fit_many(line, images, dim="time", t="time", sigma=sigma.isel(x=[0, 1, 3]))
    with pytest.raises(ShapeError, match="'band'"):
        sf.fit_many(line, images, dim="time", t="time", sigma=sigma.rename(x="band"))


def test_maps_of_parameters_are_aligned(images):
    held = xr.DataArray(np.arange(12.0).reshape(4, 3), dims=("x", "y"))
    batch = sf.fit_many(line, images, dim="time", params={"a": {"value": held, "vary": False}}, t="time")
    assert batch.values["a"].values.tolist() == held.T.values.tolist()


@pytest.mark.parametrize(("call", "text"), [
    ({}, "name the dimension to fit along, e.g. dim='time'"),
    ({"axis": 0}, "axis=0 is for arrays"),
    ({"dim": "tine"}, "did you mean 'time'"),
    ({"dim": "time", "t": "tyme"}, "did you mean 'time'"),
    ({"dim": "time", "axis": 0, "t": "time"}, "both given"),
    ({"dim": "time"}, "no coordinate of line was given"),
])  # fmt: skip
def test_words_for_dataarrays(images, call, text):
    with pytest.raises((DataError, ParameterError), match=text):
        sf.fit_many(line, images, **call)


def test_datasets_are_no_data(images):
    with pytest.raises(DataError, match=r"dataset\['flux'\]"):
        sf.fit_many(line, images.to_dataset(), dim="time", t="time")


# ---- shapes ----------------------------------------------------------------------------------------------------------


def test_shapes_of_errors(cube):
    full = np.broadcast_to(0.1, cube.shape)
    expected = sf.fit_many(line, cube, t=T, sigma=np.array(full), scale_covar=False).stderr["b"]
    for sigma in (0.1, np.float32(0.1), np.full(6, 0.1), np.full((1, NY, NX), 0.1), np.full((NY, NX), 0.1), np.full(NX, 0.1), full):
        assert sf.fit_many(line, cube, t=T, sigma=sigma, scale_covar=False).stderr["b"] == pytest.approx(expected, rel=1e-6)
    for weights in (10, np.full(6, 10), np.full((6, 1, 1), 10.0)):
        assert sf.fit_many(line, cube, t=T, weights=weights, scale_covar=False).stderr["b"] == pytest.approx(expected)


def test_one_dimension_lies_along_the_fit_axis_where_both_would_do(rng):
    data, sigma = rng.normal(size=(6, 6)), np.arange(1.0, 7.0)
    along = sf.fit_many(line, data, t=T, sigma=sigma, scale_covar=False)
    assert along.stderr["a"] == pytest.approx(along.stderr["a"][0])
    across = sf.fit_many(line, data, t=T, sigma=sigma[None], scale_covar=False)
    assert across.stderr["a"] == pytest.approx(across.stderr["a"][0] * sigma)


@pytest.mark.parametrize(("call", "error", "text"), [
    ({"t": T[:4]}, ShapeError, r"t has shape \(4,\), the data \(6, 3, 4\), fitted along axis 0; give \(6,\) along axis 0"),
    ({"t": T, "sigma": np.ones((6, 3))}, ShapeError, r"sigma has shape \(6, 3\), the data \(6, 3, 4\)"),
    ({"t": T, "mask": np.ones((6, 4), bool)}, ShapeError, r"mask has shape \(6, 4\)"),
    ({"t": T, "mask": np.ones(6)}, DataError, "mask has dtype float64"),
    ({"t": T, "sigma": 1.0, "weights": 1.0}, DataError, "both given"),
    ({"t": T, "sigma": -1.0}, DataError, r"sigma must be positive .* it is -1.0"),
    ({"t": T, "weights": np.array([1, 1, np.nan, 1, 1, -1])}, DataError, r"2 of 6 values are not, the first at \[2\]: nan"),
    ({"t": np.array([0, 1, np.nan, 3, 4, 5])}, NonFiniteError, r"t has 1 non-finite value, the first at \[2\]"),
    ({"t": T * 1j}, DataError, "t is complex"),
    ({"t": T, "axis": 3}, DataError, "axis=3 is no axis"),
    ({"t": T, "axis": (0, 0)}, DataError, "twice"),
    ({"t": T, "axis": "time"}, DataError, "axis='time' is a name"),
    ({"t": T, "dim": "time"}, DataError, "ndarray has none"),
    ({"t": T, "start": "middle"}, ParameterError, "start='middle'"),
    ({"t": T, "clip": "sigma"}, ParameterError, "clip='sigma'"),
    ({"t": T, "clip": "known"}, ParameterError, "no|are none"),
    ({"t": T, "clip_all": True}, ParameterError, "no effect without clipping"),
    ({"t": T, "nan_policy": "skip"}, ParameterError, "'flag' or 'omit' or 'raise'"),
    ({"t": T, "engine": "gpu"}, ParameterError, "engine='gpu' is unknown"),
    ({"t": T, "workers": 0}, ParameterError, "workers=0"),
    ({"t": T, "block": 2.5}, ParameterError, "block=2.5"),
    ({"t": T, "progress": "yes"}, ParameterError, "progress='yes'"),
    ({"t": T, "params": 3}, ParameterError, "params is a int"),
    ({"t": T, "params": {"slope": 1}}, ParameterError, "its parameters are a, b"),
    ({"t": T, "params": {"a": {"valu": 1}}}, ParameterError, "did you mean 'value'"),
    ({"t": T, "params": {"a": {"value": 1, "vary": np.ones((3, 4), bool)}}}, ParameterError, "vary is one bool"),
    ({"t": T, "params": {"a": np.ones((4, 3))}}, ShapeError, r"params\['a'\] has shape \(4, 3\), but the maps have \(3, 4\)"),
    ({"t": T, "params": {"a": "big"}}, ParameterError, "value is 'big'"),
    ({"t": T, "params": {"a": {"min": np.arange(12.0).reshape(3, 4), "max": 5.5}}}, ParameterError, r"in 6 of 12 .* the first at \[1, 2\]"),
    ({"t": T, "params": {"a": {"vary": False}}}, ParameterError, "a is fixed but has no value"),
    ({"t": T, "params": {n: {"value": 1.0, "vary": False} for n in "ab"}}, ParameterError, "every parameter"),
    ({"x": T}, ParameterError, "line has no argument 'x'; "),
    ({"t": T, "sigm": 1}, ParameterError, "did you mean 'sigma'"),
    ({"t": T, "coords": {"t": T}}, ParameterError, "given twice"),
    ({"coords": [T]}, ParameterError, "coords is a list"),
    ({}, ParameterError, "no coordinate of line"),
])  # fmt: skip
def test_calls_that_cannot_be_right(cube, call, error, text):
    with pytest.raises(error, match=text):
        sf.fit_many(line, cube, **call)


@pytest.mark.parametrize(("model", "data", "error", "text"), [
    ("linaer", np.ones((6, 2)), UnknownModelError, "did you mean 'linear'"),
    (3, np.ones((6, 2)), ParameterError, "model is 3"),
    (lmfit.models.LinearModel, np.ones((6, 2)), ParameterError, r"pass an instance: LinearModel\(\)"),
    (line, np.ones((6, 2)) * 1j, DataError, "complex"),
    (line, np.array(["a"]), DataError, "dtype"),
    (line, [[1, 2], [3]], DataError, "different lengths"),
    (line, 3.0, DataError, "single number"),
    (line, np.ones((0, 3)), DataError, "no points"),
])  # fmt: skip
def test_models_and_data_that_cannot_be_right(model, data, error, text):
    with pytest.raises(error, match=text):
        sf.fit_many(model, data, t=T)


def test_an_error_or_a_start(rng):
    model = sf.get_model("gaussian")
    data = peak(T[:, None], 1.0, 3.0, 1.0) + np.zeros((6, 2))
    with pytest.raises(ParameterError, match=r"params=\{'sigma': 0.1\} for the start, weights=10 for the error"):
        sf.fit_many(model, data, x=T, sigma=0.1)


def test_a_searched_parameter_needs_a_start():
    with pytest.raises(ParameterError, match=r"parameters center, width of Model\(peak\) have no start and are not linear"):
        sf.fit_many(peak, np.ones((6, 2)), x=T)


def test_stated_linear_parameters_are_checked(cube):
    model = sf.SurfaceModel(peak, ["x"], linear=["center"])
    with pytest.raises(LinearityError, match="not linear in center"):
        sf.fit_many(model, cube, 0, {"center": 1.0, "width": 1.0, "height": 1.0}, x=T)
    assert sf.fit_many(sf.SurfaceModel(line, ["t"], linear=()), cube, 0, {"a": 1, "b": 1}, t=T, engine="loop").task.linear == ()


def test_no_data_sets_at_all():
    batch = sf.fit_many(line, np.ones((6, 0)), t=T)
    assert batch.values["a"].shape == (0,)


def test_nan_policy_raise(cube):
    cube[2, 1, 3] = np.nan
    with pytest.raises(NonFiniteError, match=r"1 of 12 data sets .* the first at \[1, 3\]"):
        sf.fit_many(line, cube, t=T, nan_policy="raise")
    cube[2, 1, 3] = 0.0
    assert sf.fit_many(line, cube, t=T, nan_policy="raise").success.all()


def test_nothing_warns_about_bad_pixels(cube):
    cube[:, 0, 0], cube[1, 0, 1], cube[:, 1, 0] = np.nan, np.inf, 1e308
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = sf.fit_many(line, cube, t=T, sigma=np.where(cube > 10, 0.0, 1.0))
    assert not batch.success[0, :2].any()


# ---- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", ">i2", "u2", ">f8"])
def test_the_data_are_never_copied(dtype):
    data = np.ones((20, 300, 500), dtype=dtype)
    data[:] = np.arange(20).reshape(-1, 1, 1)
    for extra in ({}, {"mask": np.zeros(data.shape, dtype=bool)}, {"sigma": np.ones((1, 300, 500), "f4")}):
        few = {name: value[:, :2] for name, value in extra.items()}
        sf.fit_many(line, data[:, :2], t=np.arange(20.0), **few)  # what is imported and compiled is no copy
        tracemalloc.start()
        try:
            batch = sf.fit_many(line, data, t=np.arange(20.0), workers=1, **extra)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        maps = sum(getattr(batch.maps, name).nbytes for name in ("values", "stderr", "chisqr", "nobs", "nfree", "nfev", "status"))
        assert peak_bytes - maps < min(0.4 * data.nbytes, 6e6), peak_bytes - maps


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("2*zz", "neither a parameter nor a function"),
        ("2*", "syntax error"),
        ("bb*2", "did you mean 'b'"),
        (np.array(["a", "b"]), "one expression for all"),
    ],
)
def test_an_expression_that_is_none(cube, expr, words):
    with pytest.raises(ParameterError, match=words):
        sf.fit_many(line, cube, t=T, params={"a": {"expr": expr}})


def test_expressions_may_use_functions_and_generators(cube):
    batch = sf.fit_many(line, cube, t=T, params={"a": {"expr": "sum([b * k for k in (1, 2)]) + sqrt(4) - 2"}})
    assert batch.values["a"] == pytest.approx(3 * batch.values["b"])


def test_words_for_what_is_no_number(cube):
    units = pytest.importorskip("astropy.units")
    with pytest.raises(ParameterError, match="to_value"):
        sf.fit_many(line, cube, t=T, params={"b": 3 * units.s})
    with pytest.raises(DataError, match="select_dtypes"):
        sf.fit_many(line, pd.DataFrame(cube[:, :, 0]).assign(name="x"), t=T)
    with pytest.raises(DataError, match="along axis 0;"):
        sf.fit_many(line, np.zeros((0, 4)), t=np.zeros(0))


def test_a_function_that_returns_nothing(cube):
    def forgot(t, a, b):
        a + b * t

    with pytest.raises(DataError, match="returned None"):
        sf.fit_many(forgot, cube, t=T, params={"a": 1.0, "b": 1.0})


def test_starts_from_a_saved_batch(cube, tmp_path):
    batch = sf.fit_many(peak, cube, x=T, params={"center": 6.0, "width": 3.0})
    batch.save(tmp_path / "batch.npz")
    again = sf.fit_many(peak, cube, x=T, params=sf.load(tmp_path / "batch.npz"))
    done = batch.success & again.success
    assert done.any()
    assert again.chisqr[done] == pytest.approx(batch.chisqr[done], rel=1e-6)


def test_a_number_for_a_plain_function_is_a_start():
    def decay(t, a, tau):
        return a * np.exp(-t / tau)

    t = np.arange(20.0)
    cube = 3.0 * np.exp(-t[:, None] / np.array([4.0, 5.0, 6.0]))
    batch = sf.fit_many(decay, cube, t=t, tau=2.0)
    assert list(batch.var_names) == ["a", "tau"]
    np.testing.assert_allclose(batch.values["tau"], [4.0, 5.0, 6.0], rtol=1e-6)
    with pytest.raises(ParameterError, match="no coordinate of decay was given"):
        sf.fit_many(decay, cube, tau=2.0)
