"""dask in, dask out: the same numbers as `fit_many`, bit for bit, and nothing computed before it is wanted."""

import pickle
import time

import numpy as np
import pytest

import surffit as sf
from surffit.batch.large.lazy import LazyMaps, fit_lazy
from surffit.exceptions import DataError, ParameterError, ShapeError

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
xr = pytest.importorskip("xarray")

T = np.arange(6.0)
NY, NX = 4, 6


def line(t, slope, intercept):
    return slope * t + intercept


MODEL = sf.SurfaceModel(line, independent_vars=["t"])


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(7)
    data = 3.0 * T[:, None, None] + rng.normal(size=(6, NY, NX))
    data[2, 1, 4] = np.nan
    return data


@pytest.fixture(scope="module")
def sigma():
    return np.random.default_rng(8).uniform(0.5, 2.0, size=(6, NY, NX))


@pytest.fixture(scope="module")
def right(cube, sigma):
    return sf.fit_many(MODEL, cube, axis=0, t=T, sigma=sigma)


def equal(lazy, right):
    for name in ("slope", "intercept"):
        assert np.array_equal(lazy.values[name], right.values[name], equal_nan=True)
        assert np.array_equal(lazy.stderr[name], right.stderr[name], equal_nan=True)
    for name in ("chisqr", "redchi", "nobs", "nfree", "nfev", "status"):
        found, wanted = getattr(lazy, name), getattr(right, name)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted, equal_nan=name in ("chisqr", "redchi"))


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_same_numbers_under_every_scheduler(cube, sigma, right, scheduler):
    lazy = fit_lazy(MODEL, da.from_array(cube, chunks=(-1, 2, 3)), axis=0, sigma=sigma, coords={"t": T})
    assert isinstance(lazy, LazyMaps)
    equal(lazy.compute(scheduler=scheduler, num_workers=2), right)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_the_fit_axis_may_stand_anywhere(cube, sigma, right, axis):
    data, error = np.moveaxis(cube, 0, axis), np.moveaxis(sigma, 0, axis)
    chunks = [2, 2, 2]
    chunks[axis] = -1
    equal(fit_lazy(MODEL, da.from_array(data, chunks=chunks), axis=axis, sigma=error, coords={"t": T}).compute(), right)


def test_a_dataarray_becomes_a_lazy_dataset_with_its_coordinates(cube, sigma, right):
    coords = {"t": T, "y": np.arange(NY) * 0.5, "lon": (("y", "x"), np.ones((NY, NX))), "night": 17, "read": ("t", np.arange(6))}
    data = xr.DataArray(da.from_array(cube, chunks=(-1, 2, 3)), dims=("t", "y", "x"), coords=coords, attrs={"units": "DN", "night": "2"})
    lazy = fit_lazy(MODEL, data, dim="t", sigma=xr.DataArray(sigma, dims=("t", "y", "x")).transpose("x", "t", "y"))
    assert set(lazy.coords) == {"y", "lon", "night"}
    assert lazy.attrs["night"] == "2"
    assert "units" not in lazy.attrs  # a slope has others
    assert all(v.chunks == ((2, 2), (3, 3)) for v in lazy.data_vars.values())
    # the layout is that of the result that is not lazy
    whole = right.to_dataset()
    assert list(lazy.data_vars) == list(whole.data_vars)
    found = lazy.compute()
    for name, v in found.data_vars.items():
        assert v.dtype == whole[name].dtype
        assert np.array_equal(v.values, whole[name].values, equal_nan=v.dtype.kind == "f")
        assert {k: str(w) for k, w in v.attrs.items()} == {k: str(w) for k, w in whole[name].attrs.items()}


def test_building_the_graph_computes_nothing_and_is_cheap(cube):
    def explode(block):
        raise AssertionError("computed")

    data = da.from_array(cube, chunks=(-1, 2, 3)).map_blocks(explode, dtype=float, meta=np.empty((0, 0, 0)))
    fit_lazy(MODEL, data, axis=0, coords={"t": T}, sigma=data, params={"slope": {"value": data[0]}})
    large = da.zeros((6, 100_000, 100_000), chunks=(-1, 1000, 1000))
    start = time.perf_counter()
    maps = fit_lazy(MODEL, large, axis=0, coords={"t": T})
    # 10,000 chunks; a graph that is written out chunk by chunk would take many seconds
    assert time.perf_counter() - start < 5.0
    assert maps.chisqr.shape == (100_000, 100_000)


def test_the_model_is_in_the_graph_once(cube):
    lazy = fit_lazy(MODEL, da.from_array(cube, chunks=(-1, 1, 1)), axis=0, coords={"t": T})
    graph = dict(lazy.chisqr.__dask_graph__())
    assert len([key for key in graph if str(key).startswith("surffit-model")]) == 1


def test_all_maps_together_take_one_pass(cube):
    calls = []

    def counted(block):
        calls.append(block.shape)
        return block

    data = da.from_array(cube, chunks=(-1, 2, 3)).map_blocks(counted, dtype=float, meta=np.empty((0, 0, 0)))
    fit_lazy(MODEL, data, axis=0, coords={"t": T}).compute(scheduler="synchronous")
    assert calls == [(6, 2, 3)] * 4


def test_a_cut_fit_axis_is_refused_with_the_remedy(cube):
    data = da.from_array(cube, chunks=(2, 2, 3))
    with pytest.raises(DataError, match=r"axis 0, which is cut into 3 chunks.*data.rechunk\(\{0: -1\}\)"):
        fit_lazy(MODEL, data, axis=0, coords={"t": T})
    named = xr.DataArray(data, dims=("time", "y", "x"))
    with pytest.raises(DataError, match=r"'time'.*3 chunks.*da.chunk\(\{\"time\": -1\}\)"):
        fit_lazy(MODEL, named, dim="time", coords={"t": T})


@pytest.mark.parametrize("kind", ["map", "line", "scalar", "dask", "dataarray"])
def test_sigma_of_every_kind(cube, kind):
    per_pixel = np.random.default_rng(3).uniform(1, 2, (1, NY, NX))
    given = {
        "map": per_pixel,
        "line": np.linspace(1, 2, 6),
        "scalar": 2.0,
        "dask": da.from_array(per_pixel, chunks=(1, 3, 1)),
        "dataarray": xr.DataArray(per_pixel[0], dims=("y", "x")),
    }[kind]
    wanted = per_pixel if kind in ("dask", "dataarray") else given
    data = xr.DataArray(da.from_array(cube, chunks=(-1, 2, 3)), dims=("t", "y", "x"), coords={"t": T})
    found = fit_lazy(MODEL, data, dim="t", sigma=given, scale_covar=False).compute()
    right = sf.fit_many(MODEL, cube, axis=0, t=T, sigma=wanted, scale_covar=False)
    assert np.array_equal(found["slope_stderr"], right.stderr["slope"], equal_nan=True)


def test_masks_and_weights(cube):
    mask = np.random.default_rng(5).random((6, NY, NX)) < 0.2
    data = da.from_array(cube, chunks=(-1, 2, 3))
    found = fit_lazy(MODEL, data, axis=0, coords={"t": T}, mask=da.from_array(mask, chunks=-1), weights=2.0, nan_policy="omit").compute()
    equal(found, sf.fit_many(MODEL, cube, axis=0, t=T, mask=mask, weights=2.0, nan_policy="omit"))


def test_covariances(cube):
    data = da.from_array(cube, chunks=(-1, 2, 3))
    right = sf.fit_many(MODEL, cube, axis=0, t=T, covar=True)
    found = fit_lazy(MODEL, data, axis=0, coords={"t": T}, covar=True)
    assert np.array_equal(found.compute().covar, right.covar, equal_nan=True)
    assert found.to_dataset()["covar"].dims == right.to_dataset()["covar"].dims


def test_several_fit_axes():
    def plane(x, y, a, b, c):
        return a * x + b * y + c

    stamps = np.random.default_rng(2).normal(size=(5, 3, 4))
    model = sf.SurfaceModel(plane, independent_vars=["x", "y"])
    coords = {"x": np.arange(4.0), "y": np.arange(3.0)[:, None]}
    found = fit_lazy(model, da.from_array(stamps, chunks=(2, -1, -1)), axis=(1, 2), coords=coords).compute()
    right = sf.fit_many(model, stamps, axis=(1, 2), **coords)
    assert np.array_equal(found.values["b"], right.values["b"])


def test_a_name_of_a_coordinate_serves_another_variable(cube):
    data = xr.DataArray(da.from_array(cube, chunks=(-1, 2, 3)), dims=("time", "y", "x"), coords={"time": T})
    found = fit_lazy(MODEL, data, dim="time", coords={"t": "time"})
    assert float(found["slope"][0, 0]) == sf.fit_many(MODEL, cube, axis=0, t=T).values["slope"][0, 0]
    with pytest.raises(DataError, match="t='when' names no coordinate"):
        fit_lazy(MODEL, data, dim="time", coords={"t": "when"})


def test_what_has_no_meaning_here_is_refused(cube):
    data = da.from_array(cube, chunks=(-1, 2, 3))
    for kws, text in (
        ({"progress": True}, "progress="),
        ({"workers": 2}, "workers="),
        ({"start": "neighbours"}, "whole map"),
        ({"start": "coarse"}, "whole map"),
    ):
        with pytest.raises(ParameterError, match=text):
            fit_lazy(MODEL, data, axis=0, coords={"t": T}, **kws)
    with pytest.raises(ShapeError, match=r"sigma has shape \(5,\)"):
        fit_lazy(MODEL, data, axis=0, coords={"t": T}, sigma=np.ones(5))
    named = xr.DataArray(data, dims=("t", "y", "x"))
    with pytest.raises(DataError, match="need dim="):
        fit_lazy(MODEL, named, coords={"t": T})
    with pytest.raises(DataError, match="dim='z' names no dimension"):
        fit_lazy(MODEL, named, dim="z", coords={"t": T})
    with pytest.raises(DataError, match="outside data with 3 axes"):
        fit_lazy(MODEL, data, axis=3, coords={"t": T})


def test_same_call_same_names_other_call_other_names(cube):
    data = da.from_array(cube, chunks=(-1, 2, 3))
    one, two, other = (fit_lazy(MODEL, data, axis=0, coords={"t": T}, nan_policy=p).chisqr.name for p in ("flag", "flag", "omit"))
    assert one == two
    assert one != other


def test_lazy_maps_pickle_and_name_what_they_have(cube):
    lazy = fit_lazy(MODEL, da.from_array(cube, chunks=(-1, 2, 3)), axis=0, coords={"t": T})
    again = pickle.loads(pickle.dumps(lazy.compute()))
    assert np.array_equal(again.chisqr, lazy.compute().chisqr, equal_nan=True)
    with pytest.raises(AttributeError, match="no 'covar'; they have values, stderr, chisqr"):
        lazy.covar  # noqa: B018


def test_fit_many_is_lazy_for_lazy_data(cube, sigma, right):
    equal(sf.fit_many(MODEL, da.from_array(cube, chunks=(-1, 2, 3)), axis=0, sigma=sigma, t=T).compute(), right)
    data = xr.DataArray(da.from_array(cube, chunks=(-1, 2, 3)), dims=("t", "y", "x"), coords={"t": T})
    lazy = sf.fit_many(line, data, dim="t")  # a plain function: its argument that is called like a coordinate is one
    assert lazy["slope"].chunks == ((2, 2), (3, 3))
    assert np.array_equal(lazy["slope"].compute(), sf.fit_many(MODEL, cube, t=T).values["slope"], equal_nan=True)
    named = sf.fit_many("linear", data, dim="t", x="t")
    assert np.allclose(named["slope"].compute(), lazy["slope"].compute(), equal_nan=True, rtol=1e-12)


def test_parameters_that_differ_are_cut_with_the_data(cube):
    fixed = np.random.default_rng(4).normal(size=(NY, NX))
    data = xr.DataArray(da.from_array(cube, chunks=(-1, 2, 3)), dims=("t", "y", "x"), coords={"t": T})
    right = sf.fit_many(MODEL, cube, t=T, params={"slope": {"value": fixed, "vary": False}})
    for given in (fixed, da.from_array(fixed, chunks=(4, 1)), xr.DataArray(fixed.T, dims=("x", "y"))):
        lazy = sf.fit_many(MODEL, data, dim="t", params={"slope": {"value": given, "vary": False}})
        assert lazy["slope"].attrs["parameter"] == "fixed"
        found = lazy.compute()
        assert np.array_equal(found["intercept"], right.values["intercept"], equal_nan=True)
        assert np.array_equal(found["slope"], fixed)
        assert (found["slope_stderr"] == 0).all()


def test_lazy_maps_tell_what_they_are(cube):
    lazy = fit_lazy(MODEL, da.from_array(cube, chunks=(-1, 2, 3)), coords={"t": T})
    assert repr(lazy) == "<LazyMaps of Model(line): not computed yet (4 x 6)>"
    done = lazy.compute()
    assert repr(done) == "<LazyMaps of Model(line): 23 of 24 fits succeeded (4 x 6)>"
    assert np.array_equal(lazy.failed.compute(), done.failed)
    assert np.array_equal(done.failed, np.isnan(done.values["slope"]))


def test_calls_that_cant_be_right_are_refused_before_anything_is_read(cube):
    data = da.from_array(cube, chunks=(-1, 2, 3))
    with pytest.raises(ParameterError, match="engine='quick' is unknown"):
        fit_lazy(MODEL, data, coords={"t": T}, engine="quick")
    with pytest.raises(DataError, match="complex"):
        fit_lazy(MODEL, data.astype(complex), coords={"t": T})
    with pytest.raises(DataError, match="both given"):
        fit_lazy(MODEL, xr.DataArray(data, dims=("t", "y", "x")), dim="t", axis=0, coords={"t": T})
