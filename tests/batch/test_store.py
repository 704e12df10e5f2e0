"""`fit_store`: the same numbers as `fit_many`, from files to files."""

import textwrap
import time

import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import DataError, ParameterError

zarr = pytest.importorskip("zarr")
xr = pytest.importorskip("xarray")

T = np.arange(6.0)
NY, NX = 4, 6


def line(t, slope, intercept):
    return slope * t + intercept


MODEL = sf.SurfaceModel(line, independent_vars=["t"])


@pytest.fixture(scope="module")
def cube():
    data = 3.0 * T[:, None, None] + np.random.default_rng(7).normal(size=(6, NY, NX))
    data[2, 1, 4] = np.nan
    return data.astype("f4")


@pytest.fixture
def array(tmp_path, cube):
    zarr.create_array(tmp_path / "cube.zarr", data=cube, chunks=(3, 2, 3))
    return tmp_path / "cube.zarr"


@pytest.fixture
def named(tmp_path, cube):
    coords = {
        "t": T,
        "y": np.arange(NY) * 0.5,
        "lon": (("y", "x"), np.ones((NY, NX))),
        "band": "a",
        "read": ("t", np.arange(6)),
    }
    sigma = (("y", "x"), np.random.default_rng(1).uniform(1, 2, (NY, NX)))
    data = {"flux": (("t", "y", "x"), cube, {"units": "DN", "night": "2"}), "err": sigma, "bad": (("t", "y", "x"), cube > 14)}
    xr.Dataset(data, coords).to_zarr(
        tmp_path / "named.zarr", zarr_format=2, encoding={name: {"chunks": (6, 2, 3)} for name in ("flux", "bad")}
    )
    return tmp_path / "named.zarr"


def same(dataset, right):
    for name, v in right.to_dataset().data_vars.items():
        assert np.array_equal(dataset[name].values, v.values, equal_nan=v.dtype.kind == "f"), name
        assert dataset[name].dtype == v.dtype


@pytest.mark.parametrize("workers", [1, 3])
def test_a_zarr_array(tmp_path, array, cube, workers):
    fit = sf.fit_store(array, MODEL, out=tmp_path / "fit.zarr", axis=0, t=T, workers=workers, client=False)
    assert fit.complete
    assert not fit.quarantined
    same(fit.dataset(), sf.fit_many(MODEL, cube, axis=0, t=T))
    assert fit.dataset()["status"].attrs["flag_meanings"].split()[-1] == "CHUNK_FAILED"
    # the chunks of the map are those of the data
    assert zarr.open_group(tmp_path / "fit.zarr")["slope"].chunks == (2, 3)
    assert "23 CONVERGED" in fit.summary()
    assert "1 NONFINITE_DATA" in fit.summary()
    # people open it with xarray, and are warned of nothing
    assert list(xr.open_zarr(tmp_path / "fit.zarr").sizes) == ["dim_0", "dim_1"]


def test_an_open_array_and_another_axis(tmp_path, cube):
    data = zarr.create_array(tmp_path / "last.zarr", data=np.moveaxis(cube, 0, -1), chunks=(2, 3, 6))
    fit = sf.fit_store(data, MODEL, out=tmp_path / "fit.zarr", axis=-1, t=T, client=False)
    same(fit.dataset(), sf.fit_many(MODEL, cube, axis=0, t=T))


def test_a_dataset_with_names(tmp_path, named, cube):
    with xr.open_zarr(named) as ds:
        sigma, mask = ds["err"].values, ds["bad"].values
    fit = sf.fit_store(named, MODEL, out=tmp_path / "fit.zarr", variable="flux", dim="t", sigma="err", mask="bad", covar=True, client=False)
    found, right = fit.dataset(), sf.fit_many(MODEL, cube, axis=0, t=T, sigma=sigma[None], mask=mask, covar=True)
    same(found, right)
    assert found["slope"].dims == ("y", "x")
    assert set(found.coords) == {"y", "lon", "band", "parameter", "parameter_2"}
    assert found["band"].item() == "a"
    assert found.attrs["night"] == "2"
    assert "units" not in found.attrs
    assert list(found.data_vars) == list(right.to_dataset().data_vars)


def test_scaled_integers_are_fitted_as_what_they_mean(tmp_path, cube):
    packed = xr.Dataset({"flux": (("t", "y", "x"), np.nan_to_num(cube))}, {"t": T})
    packed.to_zarr(tmp_path / "i.zarr", encoding={"flux": {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -32768}}, zarr_format=2)
    with xr.open_zarr(tmp_path / "i.zarr") as ds:
        right = sf.fit_many(MODEL, ds["flux"].values, axis=0, t=T)
    fit = sf.fit_store(tmp_path / "i.zarr", MODEL, out=tmp_path / "fit.zarr", dim="t", client=False)
    same(fit.dataset(), right)


def test_a_group_and_its_variable(tmp_path, named, cube):
    group = zarr.open_group(named, mode="r")
    fit = sf.fit_store(group, MODEL, out=tmp_path / "fit.zarr", dim="t", variable="flux", client=False)
    same(fit.dataset(), sf.fit_many(MODEL, cube, axis=0, t=T))
    with pytest.raises(DataError, match="by variable="):
        sf.fit_store(named, MODEL, out=tmp_path / "fit2.zarr", dim="t")
    with pytest.raises(DataError, match="no variable 'flax'"):
        sf.fit_store(named, MODEL, out=tmp_path / "fit2.zarr", dim="t", variable="flax")
    assert not (tmp_path / "fit2.zarr").exists()


def test_arrays_in_memory_go_with_data_in_a_store(tmp_path, array, cube):
    sigma = np.random.default_rng(1).uniform(1, 2, (6, NY, NX))
    fit = sf.fit_store(array, MODEL, out=tmp_path / "fit.zarr", t=T, sigma=sigma, scale_covar=False, client=False)
    same(fit.dataset(), sf.fit_many(MODEL, cube, axis=0, t=T, sigma=sigma, scale_covar=False))


def test_the_size_of_the_chunks(tmp_path, array):
    sf.fit_store(array, MODEL, out=tmp_path / "a.zarr", t=T, chunks={"dim_0": 3}, client=False)
    assert zarr.open_group(tmp_path / "a.zarr")["slope"].chunks == (3, 6)
    for bad in ((1,), (0, 2), {"z": 2}):
        with pytest.raises(DataError, match="chunks"):
            sf.fit_store(array, MODEL, out=tmp_path / "b.zarr", t=T, chunks=bad, client=False)


def test_chunks_too_large_for_memory_are_cut(tmp_path, array, monkeypatch):
    monkeypatch.setattr("surffit.batch.large.store.LARGEST", 6 * 3 * 8)
    sf.fit_store(array, MODEL, out=tmp_path / "a.zarr", t=T, client=False)
    assert zarr.open_group(tmp_path / "a.zarr")["slope"].chunks == (1, 3)


def test_another_fit_is_no_resume(tmp_path, array):
    def fit(model=MODEL, **kws):
        return sf.fit_store(array, model, **{"out": tmp_path / "fit.zarr", "t": T, "client": False, **kws})

    fit()
    with pytest.raises(DataError, match="4 of 4 chunks done; pass resume=True"):
        fit()
    assert fit(resume=True).complete

    def other(t, slope, intercept):
        return slope * t + 2.0 * intercept

    for kws, named in (
        ({"model": sf.SurfaceModel(other, independent_vars=["t"])}, "fit model was"),
        ({"t": T + 1}, "coord:t was"),
        ({"scale_covar": False}, "scale_covar was"),
        ({"params": {"slope": {"value": 1.0, "vary": False}}}, "params slope was"),
        ({"sigma": 2.0}, "sigma was"),
        ({"chunks": (1, 1)}, "output chunks was"),
    ):
        with pytest.raises(DataError, match=named):
            fit(resume=True, **kws)


def test_a_function_that_cant_be_traced_is_known_by_its_code(tmp_path, array):
    def make(step):
        def model(t, a):
            return a * np.asarray([float(v) + step for v in t])

        return model

    def fit(step, **kws):
        return sf.fit_store(array, make(step), out=tmp_path / "fit.zarr", t=T, client=False, params={"a": 1.0}, **kws)

    fit(1.0)
    assert fit(1.0, resume=True).complete
    with pytest.raises(DataError, match="model was"):
        fit(2.0, resume=True)


def test_a_poison_chunk_is_given_up_and_the_others_complete(tmp_path, array, cube):
    """A damaged object in the data: the rest of the map is fitted, and the chunk is named with its error."""
    (array / "c/0/1/0").write_bytes(b"rubbish")
    fit = sf.fit_store(array, MODEL, out=tmp_path / "fit.zarr", t=T, client=False)
    assert fit.complete
    assert list(fit.quarantined) == [2]
    lost = fit.quarantined[2]
    assert lost.where == {"dim_0": slice(2, 4), "dim_1": slice(0, 3)}
    assert lost.reason
    assert "chunk 2 (dim_0 2:4, dim_1 0:3) was given up" in fit.summary()
    assert "6 CHUNK_FAILED" in fit.summary()
    found, right = fit.dataset(), sf.fit_many(MODEL, cube, axis=0, t=T)
    bad = np.zeros((NY, NX), dtype=bool)
    bad[2:4, 0:3] = True
    assert (found["status"].values[bad] == sf.Status.CHUNK_FAILED).all()
    assert np.isnan(found["slope"].values[bad]).all()
    assert np.array_equal(found["slope"].values[~bad], right.values["slope"][~bad], equal_nan=True)
    with pytest.raises(DataError, match="chunk 2"):
        sf.fit_store(array, MODEL, out=tmp_path / "fit2.zarr", t=T, client=False, on_error="raise")


def test_errors_before_anything_is_written(tmp_path, array, named):
    out = tmp_path / "fit.zarr"
    for error, text, store, kws in (
        (DataError, "does not exist", tmp_path / "nothing.zarr", {"t": T}),
        (DataError, "give a path", np.ones((6, 2)), {"t": T}),
        (DataError, "sigma='err' names no variable", array, {"t": T, "sigma": "err"}),
        (DataError, "dim='t' needs data with named", array, {"t": T, "dim": "t"}),
        (DataError, "need dim=", named, {"variable": "flux"}),
        (ParameterError, "whole map", array, {"t": T, "start": "neighbours"}),
        (ParameterError, "no argument 'tt'", array, {"tt": T, "model": line}),
    ):
        with pytest.raises(error, match=text):
            sf.fit_store(store, **{"model": MODEL, "out": out, "client": False, **kws})
        assert not out.exists()


def test_a_killed_fit_goes_on_and_ends_with_the_same_numbers(tmp_path, array, cube, forks):
    """The process dies in the middle, without any chance to tidy up."""
    # the third chunk it reads is its last
    text = textwrap.dedent(f"""
        import os, signal
        import numpy as np
        import surffit as sf
        from surffit.batch.large import store

        def line(t, slope, intercept):
            return slope * t + intercept

        read, seen = store.FitWork.compute, []
        def compute(self, chunk, block, workers):
            seen.append(chunk)
            if len(seen) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return read(self, chunk, block, workers)
        store.FitWork.compute = compute
        model = sf.SurfaceModel(line, independent_vars=["t"])
        sf.fit_store({str(array)!r}, model, out={str(tmp_path / "fit.zarr")!r}, t=np.arange(6.0), workers=1)
        """)
    assert forks.run(text)[0] == -9
    out = tmp_path / "fit.zarr"
    times = {path: path.stat().st_mtime_ns for path in (out / "slope/c").rglob("*") if path.is_file()}
    assert len(times) == 2
    time.sleep(0.02)
    fit = sf.fit_store(array, MODEL, out=out, t=T, resume=True, client=False)
    assert fit.complete
    assert not fit.quarantined
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())
    same(fit.dataset(), sf.fit_many(MODEL, cube, axis=0, t=T))
    whole = sf.fit_store(array, MODEL, out=tmp_path / "whole.zarr", t=T, client=False)
    assert fit.dataset().identical(whole.dataset())


def test_parameters_that_differ_go_with_their_chunks(tmp_path, array, cube):
    fixed = np.random.default_rng(4).normal(size=(NY, NX))
    params = {"slope": {"value": fixed, "vary": False}}
    fit = sf.fit_store(array, line, out=tmp_path / "fit.zarr", t=T, params=params, client=False)
    same(fit.dataset(), sf.fit_many(MODEL, cube, t=T, params=params))
    other = {"slope": {"value": fixed + 1, "vary": False}}
    with pytest.raises(DataError, match="value:slope was"):
        sf.fit_store(array, line, out=tmp_path / "fit.zarr", t=T, params=other, client=False, resume=True)


def test_an_option_of_the_model_is_no_coordinate(tmp_path, array):
    out = tmp_path / "fit.zarr"
    sf.fit_store(array, "step", out=out, x=T, form="erf", client=False, params={"center": 2.0, "sigma": 1.0})
    with pytest.raises(DataError, match="model's options form was 'erf' and is now 'atan'"):
        sf.fit_store(array, "step", out=out, x=T, form="atan", client=False, params={"center": 2.0, "sigma": 1.0}, resume=True)


def test_a_store_that_was_written_again_is_read_again(tmp_path):
    for times, n in ((1, 4), (2, 6)):
        grown = xr.Dataset({"c": (("t", "p"), np.outer(times * T * 3, np.ones(n)))}, {"t": times * T})
        grown.to_zarr(tmp_path / "c.zarr", mode="w", consolidated=False)
        fit = sf.fit_store(tmp_path / "c.zarr", MODEL, out=tmp_path / f"{n}.zarr", dim="t", client=False)
        assert fit.dataset()["slope"].values == pytest.approx(np.full(n, 3.0))


def test_other_data_of_the_same_layout_are_no_resume(tmp_path, array, cube):
    sf.fit_store(array, MODEL, out=tmp_path / "fit.zarr", t=T, client=False)
    zarr.open_array(array, mode="r+")[:] = cube + 1
    with pytest.raises(DataError, match="sample of the data was"):
        sf.fit_store(array, MODEL, out=tmp_path / "fit.zarr", t=T, client=False, resume=True)


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        ({"engine": "quick"}, ParameterError, "engine='quick' is unknown"),
        ({"model": "gaussian", "engine": "common", "x": T, "params": {"center": 3.0, "sigma": 1.0}}, ParameterError, "can't fit this"),
        ({"axis": 0, "dim": "t"}, DataError, "both given"),
        ({"chunks": (2.5, 3)}, DataError, "no whole number"),
        ({"workers": 0}, ParameterError, "workers=0"),
        ({"group": "nowhere"}, DataError, "the group 'nowhere' of .* can't be opened"),
        ({"out": None}, DataError, "out is None"),
        ({"out": "/proc/nobody/fit.zarr"}, DataError, "can't be written"),
    ],
)
def test_a_wrong_argument_is_an_error_not_a_quarantine(tmp_path, array, words, kind, told):
    words = {"model": MODEL, "out": tmp_path / "fit.zarr", **words}
    coords = {} if "x" in words else {"t": T}
    with pytest.raises(kind, match=told):
        sf.fit_store(array, words.pop("model"), client=False, **coords, **words)


def test_numbers_that_cant_be_fitted_are_refused(tmp_path):
    zarr.create_array(tmp_path / "c.zarr", data=np.ones((6, 2), dtype=complex))
    with pytest.raises(DataError, match="complex"):
        sf.fit_store(tmp_path / "c.zarr", MODEL, out=tmp_path / "fit.zarr", t=T, client=False)


def test_the_summary_names_the_whole_model(tmp_path, array):
    model = sf.SurfaceModel.from_expression("a + b*t", independent_vars=["t"])
    fit = sf.fit_store(array, model, out=tmp_path / "fit.zarr", t=T, client=False)
    assert fit.summary().startswith("Model(a + b*t): 24 fits in ")
