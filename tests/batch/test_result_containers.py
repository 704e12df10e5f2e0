"""Answers come back in the container of the data, with its names, labels and units."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.exceptions import DataError

T = np.arange(8.0)


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(0)
    return 3.0 + rng.normal(0.0, 0.1, (8, 4, 5)) + 2.0 * T[:, None, None]


@pytest.fixture(scope="module")
def plain(cube):
    return sf.fit_many("linear", cube, axis=0, x=T, sigma=0.1, covar=True, workers=1)


def test_dataarrays(cube, plain):
    xr = pytest.importorskip("xarray")
    coords = {"time": T, "y": ("y", np.arange(4) * 0.5, {"units": "deg"}), "x": np.arange(5) * 2.0}
    data = xr.DataArray(cube, dims=("time", "y", "x"), coords=coords, attrs={"units": "adu", "telescope": "T"})
    batch = sf.fit_many("linear", data, dim="time", x="time", sigma=0.1, covar=True, workers=1)
    assert batch.values["slope"].dims == ("y", "x")
    assert batch.values["slope"].attrs == {"telescope": "T"}
    assert batch.best_fit.dims == data.dims
    assert batch.best_fit.attrs["units"] == "adu"
    assert batch.residual(weighted=False).attrs["units"] == "adu"
    assert "units" not in batch.residual().attrs  # in sigma
    np.testing.assert_array_equal(batch.best_fit, plain.best_fit)
    one = batch.to_lmfit(y=0.5, x=4.0)
    assert one.redchi == pytest.approx(plain.redchi[1, 2], rel=1e-9)
    assert batch.to_lmfit({"y": 1, "x": 2}).params == one.params
    later = xr.DataArray([10.0, 11.0], dims="time", coords={"time": [10.0, 11.0]})
    band = batch.predict(level=0.9, x=later)
    assert band["lower"].dims == ("y", "x", "time")
    assert band["lower"].coords["time"].values.tolist() == [10.0, 11.0]
    assert batch.to_dataset()["slope"].coords["y"].attrs["units"] == "deg"
    assert batch.tidy()["y"].unique().tolist() == [0.0, 0.5, 1.0, 1.5]


def test_quantities(cube, plain):
    u = pytest.importorskip("astropy.units")
    batch = sf.fit_many("linear", cube * u.Jy, axis=0, x=T * u.s, sigma=100 * u.mJy, covar=True, workers=1)
    assert type(batch.values["slope"]) is np.ndarray
    assert batch.units == {"data": u.Jy, "x": u.s}
    assert batch.best_fit.unit == u.Jy
    assert type(batch.residual()) is np.ndarray
    np.testing.assert_allclose(batch.residual(), plain.residual(), atol=1e-9)
    assert batch.residual(weighted=False).unit == u.Jy
    assert batch.predict(x=2000 * u.ms).unit == u.Jy
    np.testing.assert_allclose(batch.predict(x=2000 * u.ms).value, plain.predict(x=2.0), rtol=1e-12)
    assert batch.predict(level=0.9, x=np.arange(3) * u.s)["upper"].shape == (3, 4, 5)
    with pytest.raises(DataError, match="x is in kg, which is not convertible to s of the fit"):
        batch.predict(x=2 * u.kg)


def test_times(cube, plain):
    days = pd.date_range("2020-01-01", periods=8)
    batch = sf.fit_many("linear", cube, axis=0, x=days, workers=1)
    np.testing.assert_allclose(batch.predict(x=np.datetime64("2020-01-03")), plain.predict(x=2.0), rtol=1e-9)


def test_masked_arrays(cube):
    data = np.ma.MaskedArray(cube, mask=np.zeros(cube.shape, dtype=bool))
    data[2:4, 1, 1] = np.ma.masked
    batch = sf.fit_many("linear", data, axis=0, x=T, workers=1)
    assert isinstance(batch.best_fit, np.ma.MaskedArray)
    assert batch.best_fit.mask[2:4, 1, 1].all()
    assert batch.to_lmfit((1, 1)).ndata == 6


def test_frames(cube):
    frame = pd.DataFrame(cube[:, 0, :3], columns=pd.Index(["a", "b", "c"], name="sample"))
    batch = sf.fit_many("linear", frame, axis=0, x=T, workers=1)
    assert batch.values["slope"].index.tolist() == ["a", "b", "c"]
    assert batch.to_lmfit(sample="b").params == batch.to_lmfit(1).params
    assert batch.to_frame().index.tolist() == ["a", "b", "c"]
    assert batch.glance()["sample"].tolist() == ["a", "b", "c"]
    assert batch.best_fit.columns.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(("scale_covar", "clip_all"), [(True, False), (True, True), (False, False)])
def test_clipped_points_stay_dropped_in_the_full_result(cube, scale_covar, clip_all):
    rng = np.random.default_rng(1)
    spiked = cube + 30.0 * (rng.random(cube.shape) < 0.05)
    clip = "studentized" if scale_covar else "known"
    batch = sf.fit_many("linear", spiked, axis=0, x=T, sigma=0.1, scale_covar=scale_covar, clip=clip, clip_all=clip_all, workers=1)
    places = [tuple(map(int, place)) for place in np.argwhere(batch.where("CLIPPED") & batch.success)]
    assert len(places) > 3
    for place in places:
        one = batch.to_lmfit(place)
        assert one.ndata == batch.nobs[place] < 8
        assert one.redchi == pytest.approx(batch.redchi[place], rel=1e-6)
        assert one.params["slope"].stderr == pytest.approx(batch.stderr["slope"][place], rel=1e-6)
        assert "dropped as in the batch" in one.batch_notes[0]
        assert len(one.batch_notes) == 1


def test_fixed_values_and_bounds_of_one_data_set(cube):
    level = np.full((4, 5), 3.0)
    level[1, 2] = 2.5
    floor = np.full((4, 5), -np.inf)
    floor[1, 2] = 2.2
    batch = sf.fit_many(
        "linear", cube, axis=0, x=T, params={"intercept": {"value": level, "vary": False}, "slope": {"min": floor}}, workers=1
    )
    one = batch.to_lmfit((1, 2))
    assert one.params["intercept"].value == 2.5
    assert not one.params["intercept"].vary
    assert one.params["slope"].min == 2.2
    assert one.params["slope"].value == batch.values["slope"][1, 2] == 2.2
    assert batch.to_lmfit((0, 0)).params["slope"].min == -np.inf
    assert batch.tidy().query("at_bound")[["dim_0", "dim_1"]].to_numpy().tolist() == [[1, 2]]


@pytest.mark.parametrize("kind", ["array", "masked", "xarray", "frame", "units"])
@pytest.mark.parametrize("model", ["linear", "exponential"])
def test_a_batch_travels_between_processes(kind, model):
    t = np.arange(8.0)
    data = 5 * np.exp(-t / 3)[:, None] + np.random.default_rng(2).normal(0, 0.01, (8, 3))
    how = {"axis": 0, "x": t}
    if kind == "masked":
        data = np.ma.masked_greater(data, 4.99)
    elif kind == "xarray":
        data, how = pytest.importorskip("xarray").DataArray(data, dims=("x", "y"), coords={"x": t}), {"dim": "x"}
    elif kind == "frame":
        data = pd.DataFrame(data, columns=list("abc"))
    elif kind == "units":
        data = data * pytest.importorskip("astropy.units").K
    batch = sf.fit_many(sf.get_model(model), data, covar=True, **how)
    for again in (pickle.loads(pickle.dumps(batch)), copy.deepcopy(batch)):
        assert again.summary() == batch.summary()
        assert type(again.best_fit) is type(batch.best_fit)
        assert np.array_equal(np.asarray(again.best_fit), np.asarray(batch.best_fit), equal_nan=True)
        assert again.to_lmfit(1).params.valuesdict() == batch.to_lmfit(1).params.valuesdict()
