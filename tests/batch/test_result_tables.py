"""A batch as tables and as a Dataset: the same numbers as those of single fits, row by row."""

import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.batch.answer.named import labels_of
from surffit.batch.answer.result import BatchResult
from surffit.exceptions import DataError
from surffit.tables import augment, glance, tidy

GOOD = [(0, 1), (0, 2), (1, 1), (1, 2)]


def rows(table, place):
    return table[(table["dim_0"] == place[0]) & (table["dim_1"] == place[1])].reset_index(drop=True)


def test_the_batch_is_what_the_tests_want(peak_batch):
    names = {place: sf.Status(int(peak_batch.status[place])).names for place in np.ndindex(2, 3)}
    assert names[0, 0] == ("NONFINITE_DATA",)
    assert names[1, 0] == ("FEW_POINTS",)
    assert "AT_BOUND" in names[0, 2]
    assert np.isnan(peak_batch.stderr["centre"][0, 2])


@pytest.mark.parametrize("place", GOOD)
def test_tidy_is_that_of_each_fit(peak_batch, place):
    mine = rows(peak_batch.tidy(level=0.9), place).drop(columns=["dim_0", "dim_1"])
    single = tidy(peak_batch.to_lmfit(place), level=0.9)
    assert mine.columns.tolist() == single.columns.tolist()
    pd.testing.assert_frame_equal(mine, single, rtol=1e-4, check_dtype=False)


def test_tidy_of_fits_that_failed_is_nan(peak_batch):
    failed = rows(peak_batch.tidy(), (0, 0)).set_index("term")
    assert failed.loc[["height", "fwhm"], ["estimate", "std_error", "p_value"]].isna().all(axis=None)
    assert not failed["at_bound"].any()
    assert failed.loc["floor", "estimate"] == 3.0
    assert len(peak_batch.tidy()) == 6 * 6
    with pytest.raises(DataError, match="between 0 and 1"):
        peak_batch.tidy(level=95)


@pytest.mark.parametrize("place", GOOD)
def test_glance_is_that_of_each_fit(peak_batch, place):
    mine = rows(peak_batch.glance(), place).iloc[0]
    single = glance(peak_batch.to_lmfit(place)).iloc[0]
    for name, other in [("nobs", "ndata"), ("nvary", "nvarys"), ("nfree", "nfree"), ("success", "success")]:
        assert mine[name] == single[other], name
    for name in ("chisqr", "redchi", "aic", "bic"):
        assert mine[name] == pytest.approx(single[name], rel=1e-9), name
    assert "AT_BOUND" not in mine["status"] or place == (0, 2)


def test_glance_says_how_fits_ended(peak_batch):
    table = peak_batch.glance()
    assert table.columns.tolist()[:5] == ["dim_0", "dim_1", "nobs", "nvary", "nfree"]
    assert table.loc[0, "status"] == "NONFINITE_DATA"
    assert table["success"].tolist() == [False, True, True, False, True, True]


@pytest.mark.parametrize("place", GOOD)
def test_augment_is_that_of_each_fit(peak_batch, place):
    mine = rows(peak_batch.augment(), place)
    single = augment(peak_batch.to_lmfit(place))
    assert mine.columns.tolist() == ["dim_0", "dim_1", "x", "data", "fitted", "resid", "std_resid", "status"]
    for name in ("x", "fitted", "resid"):
        np.testing.assert_allclose(mine[name], single[name], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mine["std_resid"], single["std_resid"], rtol=1e-4, atol=1e-4)


def test_augment_keeps_what_was_excluded(peak_batch, peaks):
    table = peak_batch.augment()
    np.testing.assert_array_equal(table["data"].to_numpy().reshape(2, 3, -1), np.moveaxis(peaks, 0, -1))
    out = rows(table, (1, 1)).iloc[:4]
    assert out["resid"].isna().all()
    assert out["fitted"].notna().all()
    assert rows(table, (0, 0))[["fitted", "std_resid"]].isna().all(axis=None)


def test_frame(peak_batch):
    table = peak_batch.to_frame()
    assert table.index.names == ["dim_0", "dim_1"]
    assert len(table) == 6
    assert table.loc[(1, 2), "width"] == peak_batch.values["width"][1, 2]
    assert table.loc[(1, 2), "fwhm_stderr"] == peak_batch.stderr["fwhm"][1, 2]
    assert table["status"].tolist() == peak_batch.status.ravel().tolist()
    assert table.columns.tolist()[-7:] == ["chisqr", "redchi", "nobs", "nfree", "nfev", "status", "success"]


def test_known_errors_use_the_normal_distribution(peaks):
    line = sf.get_model("linear")
    scaled, known = (
        sf.fit_many(line, peaks, axis=0, x=np.linspace(-5, 5, 40), sigma=0.3, nan_policy="omit", scale_covar=scale, workers=1)
        for scale in (True, False)
    )
    from scipy import stats

    for batch, law in [(scaled, stats.t(38)), (known, stats.norm())]:
        table = rows(batch.tidy(level=0.95), (1, 1))
        np.testing.assert_allclose(table["p_value"], 2 * law.sf(np.abs(table["statistic"])), rtol=1e-12)
        np.testing.assert_allclose(table["upper"], table["estimate"] + law.ppf(0.975) * table["std_error"], rtol=1e-12)


def test_names_that_collide_get_a_suffix():
    model = sf.SurfaceModel(lambda t, status, term: status * t + term, independent_vars=["t"])
    t = np.arange(5.0)
    batch = sf.fit_many(model, 2.0 * t + np.arange(3.0)[:, None], axis=1, t=t, workers=1)
    data = batch.to_dataset()
    np.testing.assert_allclose(data["status_fit"], 2.0)
    assert data["status"].dtype == np.uint32
    frame = batch.to_frame()
    np.testing.assert_allclose(frame["status"], 2.0)
    assert frame["status_fit"].tolist() == batch.status.tolist()


def test_dataset(peak_batch):
    xr = pytest.importorskip("xarray")
    data = peak_batch.to_dataset()
    assert isinstance(data, xr.Dataset)
    assert data["width"].dims == ("dim_0", "dim_1")
    np.testing.assert_array_equal(data["width_stderr"], peak_batch.stderr["width"])
    assert data["covar"].sel(parameter="width", parameter_2="width").shape == (2, 3)
    assert data["fwhm"].attrs["parameter"] == "= 2.3548200450309493*width"
    assert data["floor"].attrs["parameter"] == "fixed"
    # CF: flags by name
    masks = dict(zip(data["status"].attrs["flag_meanings"].split(), data["status"].attrs["flag_masks"], strict=True))
    assert masks == {flag.name: flag.value for flag in sf.Status}
    np.testing.assert_array_equal((data["status"].to_numpy() & masks["AT_BOUND"]) != 0, peak_batch.where("AT_BOUND"))


@pytest.fixture
def dressed(peak_batch):
    """The same batch as if its data had been a DataArray."""
    xr = pytest.importorskip("xarray")
    coords = {"y": [0.5, 1.5], "x": pd.date_range("2020-01-01", periods=3), "band": ("x", ["g", "r", "i"])}
    template = xr.DataArray(np.zeros((2, 3)), dims=("y", "x"), coords=coords, attrs={"telescope": "T1"})
    engine = type("Engine", (), {"name": "loop", "reason": ""})
    return BatchResult(peak_batch.task, peak_batch.maps, (2, 3), lambda a: template.copy(data=a), engine, True, axes=(0,))


def test_labels_of_dataarrays_are_kept(dressed):
    assert dressed.values["width"].dims == ("y", "x")
    assert dressed.to_frame().index.names == ["y", "x"]
    assert dressed.glance()["y"].tolist() == [0.5] * 3 + [1.5] * 3
    data = dressed.to_dataset()
    assert data["band"].values.tolist() == ["g", "r", "i"]
    assert data.attrs["telescope"] == "T1"
    assert dressed.to_lmfit(y=1.5, x="2020-01-03").params == dressed.to_lmfit((1, 2)).params
    with pytest.raises(DataError, match=r"y = 1.4 is not among the labels of y; the nearest is 1.5"):
        dressed.to_lmfit(y=1.4, x="2020-01-03")
    with pytest.raises(DataError, match=r"at y=0.5, x=2020-01-01.* has no fit"):
        dressed.to_lmfit((0, 0))


def test_new_coordinates_of_dataarrays(dressed, peak_batch):
    new = dressed.predict(x=np.array([0.0, 1.0]))
    assert new.dims == ("y", "x", "x_fit")  # the coordinate has the name of a dimension of the map
    np.testing.assert_array_equal(np.moveaxis(new.to_numpy(), -1, 0), peak_batch.predict(x=np.array([0.0, 1.0])))
    assert dressed.predict(x=0.0).dims == ("y", "x")


def test_labels_of_series(peak_batch):
    series = labels_of((3,), lambda a: pd.Series(a, index=pd.Index(["a", "b", "c"], name="sample")))
    assert series.dims == ("sample",)
    assert series.columns()["sample"].tolist() == ["a", "b", "c"]
    assert series.number(None, {"sample": "b"}) == 1
    assert series.place(2) == "sample=c"


def test_a_single_data_set():
    t = np.arange(5.0)
    batch = sf.fit_many(sf.get_model("linear"), 2.0 * t, axis=0, x=t, workers=1)
    assert batch.values["slope"].shape == ()
    assert len(batch.to_frame()) == 1
    assert batch.tidy()["term"].tolist() == ["slope", "intercept"]
    assert batch.to_lmfit().best_values["slope"] == pytest.approx(2.0)
    assert batch.best_fit.shape == (5,)
    assert "one data set" in batch.summary()
    assert batch.to_dataset()["slope"].shape == ()


def test_no_data_sets_at_all():
    batch = sf.fit_many("linear", np.zeros((5, 0, 3)), axis=0, x=np.arange(5.0), covar=True, workers=1)
    assert batch.values["slope"].shape == (0, 3)
    assert batch.best_fit.shape == batch.residual().shape == (5, 0, 3)
    assert batch.predict(level=0.9, x=0.0)["upper"].shape == (0, 3)
    assert [len(table) for table in (batch.tidy(0.9), batch.glance(), batch.augment(), batch.to_frame())] == [0, 0, 0, 0]
    assert "0 fits (0 x 3)" in batch.summary()
    assert batch._repr_html_()
    with pytest.raises(DataError, match="there are no data sets to draw"):
        batch.plot()


def test_a_million_rows_take_seconds():
    """Nothing here may go through the data sets one by one."""
    import time

    from surffit.batch.maps import Maps

    t = np.arange(5.0)
    small = sf.fit_many(sf.get_model("linear"), np.ones((4, 5)), axis=1, x=t, workers=1)
    n = 300_000
    rng = np.random.default_rng(0)
    maps = Maps.empty(2, n, False)
    maps.values[...], maps.stderr[...], maps.chisqr[...] = rng.normal(size=(2, n)), 1.0, 3.0
    maps.nobs[...], maps.nfree[...], maps.status[...] = 5, 3, rng.integers(1, 5, n)
    large = BatchResult(small.task, maps, (n,), lambda a: a, type("E", (), {"name": "loop", "reason": ""}), True, axes=(1,))
    start = time.perf_counter()
    assert len(large.tidy(0.95)) == 2 * n
    assert len(large.glance()) == n
    assert len(large.to_frame()) == n
    assert large.summary()
    # 0.4 s alone; one by one it would be minutes
    assert time.perf_counter() - start < 10
