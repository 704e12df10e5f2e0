"""
Whatever people hold their data in: the fit is that of the plain float64 arrays, and what comes back is in their container.

The oracle is linear least squares written out on plain arrays (and the fit itself on plain arrays for the rest).
"""

import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import DataError, DataWarning, NonFiniteError, ParameterError, ShapeError

NY, NX = 7, 9
Y, X = np.mgrid[:NY, :NX].astype(float)
NAMES = ("a", "b", "c")


def plane(x, y, a, b, c):
    return a + b * x + c * y


@pytest.fixture
def z(rng):
    return plane(X, Y, 1.0, 2.0, -3.0) + rng.normal(0.0, 0.1, X.shape)


@pytest.fixture
def model():
    return sf.SurfaceModel(plane, independent_vars=["x", "y"])


def lstsq(z, x=X, y=Y, weights=1.0, used=None):
    """Values and errors (scaled by the residual) of the plane."""
    z, x, y, w = (np.broadcast_to(np.asarray(a, dtype=float), np.shape(z)) for a in (z, x, y, weights))
    used = np.ones(z.shape, dtype=bool) if used is None else used
    A = np.stack([np.ones(used.sum()), x[used], y[used]], axis=1) * w[used][:, None]
    p, cost, _, _ = np.linalg.lstsq(A, z[used] * w[used], rcond=None)
    return p, np.sqrt(np.diag(np.linalg.inv(A.T @ A)) * cost[0] / (used.sum() - 3))


def check(result, expected, rel=1e-10):
    values, errors = expected
    assert result.success, result.reason
    assert [result.params[n].value for n in NAMES] == pytest.approx(values, rel=rel)
    assert [result.params[n].stderr for n in NAMES] == pytest.approx(errors, rel=rel)


# ---- plain containers and number types ---------------------------------------------------------------------------------


@pytest.mark.parametrize("container", [list, tuple])
def test_nested_sequences(model, z, container):
    nested = container(container(row) for row in z.tolist())
    result = model.fit(nested, x=container(container(row) for row in X.tolist()), y=Y.tolist())
    check(result, lstsq(z))
    assert np.shape(result.best_fit) == (NY, NX)


def test_lists_of_python_integers(model):
    z = [[3 * i + 2 * j + (i * j) % 2 for j in range(NX)] for i in range(NY)]
    result = model.fit(z, x=[list(range(NX))] * NY, y=[[i] * NX for i in range(NY)])
    check(result, lstsq(np.array(z, dtype=float)))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", ">i2", "u4", "i8", ">i8", "?", "f2", "f4", ">f4", ">f8", "g", "O"])
def test_number_types(model, z, dtype):
    data = np.clip(np.rint(z * 2), 0, 20).astype(dtype) if np.dtype(dtype).kind in "iub" else z.astype(dtype)
    result = model.fit(data, x=X.astype("u1"), y=Y.astype(dtype) if dtype != "?" else Y)
    check(result, lstsq(data.astype(float), y=Y.astype(dtype).astype(float) if dtype != "?" else Y))
    assert result.best_fit.dtype == np.float64


@pytest.mark.parametrize("layout", ["F", "strided", "reversed", "broadcast", "read-only", "transposed"])
def test_memory_layouts_and_nothing_is_written(model, z, layout):
    def lay(a):
        if layout == "F":
            return np.asfortranarray(a)
        if layout == "strided":
            wide = np.zeros((2 * NY, 3 * NX))
            wide[::2, ::3] = a
            return wide[::2, ::3]
        if layout == "reversed":
            return a[::-1, ::-1].copy()[::-1, ::-1]
        if layout == "transposed":
            return a.T.copy().T
        out = a.copy()
        out.flags.writeable = False
        return out

    data = lay(z)
    x, y = (np.broadcast_to(X[:1], X.shape), np.broadcast_to(Y[:, :1], Y.shape)) if layout == "broadcast" else (lay(X), lay(Y))
    before = data.tobytes(), x.tobytes(), y.tobytes()
    result = model.fit(data, weights=lay(1 + X), x=x, y=y)
    check(result, lstsq(z, weights=1 + X))
    assert (data.tobytes(), x.tobytes(), y.tobytes()) == before
    assert data.flags.writeable == (layout != "read-only" and layout != "broadcast")


@pytest.mark.parametrize("grid", ["full", "open", "row and column", "scalar"])
def test_grids(model, z, grid):
    if grid == "scalar":
        result = sf.SurfaceModel(lambda x, y, a, b: a + b * x * y, ["x", "y"]).fit(z[0], x=X[0], y=2.0)
        A = np.stack([np.ones(NX), 2 * X[0]], axis=1)
        assert [result.params[n].value for n in "ab"] == pytest.approx(np.linalg.lstsq(A, z[0], rcond=None)[0], rel=1e-10)
        return
    x, y = {"full": (X, Y), "open": (X[:1], Y[:, :1]), "row and column": (X[0], Y[:, :1])}[grid]
    result = model.fit(z, x=x, y=y)
    check(result, lstsq(z))
    assert result.best_fit.shape == result.residual_map.shape == z.shape
    assert result.residual.shape == (z.size,)
    assert np.asarray(result.best_fit) == pytest.approx(plane(X, Y, *lstsq(z)[0]))
    assert z - result.best_fit == pytest.approx(result.residual_map, abs=1e-13)


def test_three_coordinates_and_three_dimensions(rng):
    t, y, x = np.ogrid[:4, :5, :6]
    z = 1.0 + 2.0 * x - y + 0.5 * t + rng.normal(0, 0.1, (4, 5, 6))
    result = sf.SurfaceModel(lambda x, y, t, a, b, c, d: a + b * x + c * y + d * t, ["x", "y", "t"]).fit(z, x=x, y=y, t=t)
    full = [np.broadcast_to(v, z.shape).ravel().astype(float) for v in (x, y, t)]
    A = np.stack([np.ones(z.size), *full], axis=1)
    assert [p.value for p in result.params.values()] == pytest.approx(np.linalg.lstsq(A, z.ravel(), rcond=None)[0], rel=1e-9)
    assert result.residual_map.shape == (4, 5, 6)


def test_zero_dimensional_and_scalar_data(rng):
    with pytest.raises(DataError, match="1 usable point cannot determine 3"):
        sf.SurfaceModel(plane, ["x", "y"]).fit(5.0, x=1.0, y=2.0)


# ---- masked arrays -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["data", "mask=", "both", "weights", "x"])
def test_masks_from_every_side_add_up(model, z, how):
    one, two = X == 3, Y == 5
    wrong = z.copy()
    wrong[one | two] = np.nan
    if how == "data":
        result = model.fit(np.ma.MaskedArray(wrong, mask=one | two), x=X, y=Y)
    elif how == "mask=":
        result = model.fit(wrong, mask=one | two, x=X, y=Y)
    elif how == "both":
        result = model.fit(np.ma.MaskedArray(wrong, mask=one), mask=two, x=X, y=Y)
    elif how == "weights":
        result = model.fit(wrong, weights=np.ma.MaskedArray(np.ones(z.shape), mask=one | two), x=X, y=Y)
    else:
        result = model.fit(np.ma.MaskedArray(wrong, mask=two), mask=one, x=X, y=np.where(two, np.nan, Y))
    check(result, lstsq(z, used=~(one | two)))
    assert np.array_equal(np.isnan(np.ma.filled(result.residual_map, np.nan)), one | two)


def test_masked_array_comes_back_masked(model, z):
    data = np.ma.MaskedArray(z, mask=X == 3)
    result = model.fit(data, x=X, y=Y)
    for out in (result.best_fit, result.residual_map):
        assert isinstance(out, np.ma.MaskedArray)
        assert np.array_equal(out.mask, data.mask)
        assert out.shape == data.shape


def test_masked_array_without_mask(model, z):
    check(model.fit(np.ma.MaskedArray(z), x=X, y=Y), lstsq(z))


def test_masked_integers_and_hard_masks(model, z):
    data = np.ma.MaskedArray(np.rint(10 * z).astype(int), mask=X == 3, hard_mask=True)
    check(model.fit(data, x=X, y=Y), lstsq(np.rint(10 * z), used=X != 3))


@pytest.mark.parametrize("mask", [np.zeros((NY, NX)), np.full((NY, NX), "a")], ids=["float", "text"])
def test_mask_that_is_not_boolean_is_refused(model, z, mask):
    with pytest.raises(DataError, match=r"mask has dtype .*True where a point is excluded"):
        model.fit(z, mask=mask, x=X, y=Y)


def test_masked_coordinate_of_another_shape_is_refused(model, z):
    with pytest.raises(ShapeError, match=r"x is masked but has shape \(9,\), the data \(7, 9\)"):
        model.fit(z, x=np.ma.MaskedArray(X[0], mask=X[0] == 2), y=Y)


# ---- pandas ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


@pytest.fixture
def table(pd, z):
    return pd.DataFrame({"z": z.ravel(), "x": X.ravel(), "y": Y.ravel(), "w": 1 + X.ravel()}, index=[f"r{i:02d}" for i in range(z.size)])


def test_series_come_back_as_series_with_index_and_name(model, z, table):
    result = model.fit(table["z"], x=table["x"], y=table["y"])
    check(result, lstsq(z))
    for out in (result.best_fit, result.residual_map):
        assert type(out) is type(table["z"])
        assert out.index.equals(table.index)
        assert out.name == "z"
    assert (table["z"] - result.best_fit - result.residual_map).abs().max() < 1e-13


def test_series_in_another_order(model, z, table, rng):
    order = rng.permutation(len(table))
    mask = table["x"] == 3
    result = model.fit(
        table["z"], x=table["x"].iloc[order], y=table["y"].iloc[::-1], weights=table["w"].iloc[order[::-1]], mask=mask.iloc[order]
    )
    check(result, lstsq(z, weights=1 + X, used=X != 3))
    shuffled = model.fit(table["z"].iloc[order], x=table["x"], y=table["y"], weights=table["w"], mask=mask)
    check(shuffled, lstsq(z, weights=1 + X, used=X != 3))
    assert shuffled.best_fit.index.equals(table.index[order])


def test_longer_series_are_cut_to_the_datas_labels(model, z, table):
    part = table.iloc[10:40]
    check(model.fit(part["z"], x=table["x"], y=table["y"]), lstsq(part["z"], part["x"], part["y"]))


def test_missing_labels_are_refused_with_their_number_and_one_of_them(model, table):
    with pytest.raises(ShapeError, match=r"y lacks 4 of the 63 labels of the data, e\.g\. 'r00'"):
        model.fit(table["z"], x=table["x"], y=table["y"].iloc[4:])


def test_duplicate_index(model, z, table, pd):
    twice = table.set_index(pd.Index(["a"] * len(table)))
    check(model.fit(twice["z"], x=twice["x"], y=twice["y"]), lstsq(z))  # the same index: position is what is meant
    with pytest.raises(ShapeError, match="duplicate labels"):
        model.fit(twice["z"], x=table["x"], y=twice["y"])


def test_series_with_plain_arrays_go_by_position(model, z, table):
    check(model.fit(table["z"], x=X.ravel(), y=table["y"].to_numpy()), lstsq(z))
    with pytest.raises((ShapeError, DataError), match=r"\(63,\).*\(62,\)|\(62,\).*\(63,\)"):
        model.fit(table["z"], x=X.ravel()[:-1], y=table["y"])


def test_plain_data_with_series_coordinates_go_by_position(model, z, table):
    check(model.fit(z.ravel(), x=table["x"], y=table["y"]), lstsq(z))


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "Float32", "int64[pyarrow]", "boolean"])
def test_nullable_types(model, z, table, pd, dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    rounded = (table["z"] > 0) if dtype == "boolean" else table["z"].round() if "nt" in dtype else table["z"]
    column = rounded.astype(dtype)
    result = model.fit(column, x=table["x"].astype("Int64"), y=table["y"].astype("Float64"))
    check(result, lstsq(column.to_numpy(dtype=float).reshape(z.shape)), rel=1e-9)
    column = column.copy()
    column.iloc[5] = pd.NA
    with pytest.raises(NonFiniteError, match=r"data has 1 non-finite value, the first at \[5\]"):
        model.fit(column, x=table["x"], y=table["y"])
    used = np.ones(z.shape, dtype=bool)
    used.flat[5] = False
    omitted = model.fit(column, nan_policy="omit", x=table["x"], y=table["y"])
    check(omitted, lstsq(rounded.to_numpy(dtype=float).reshape(z.shape), used=used), rel=1e-6 if dtype == "Float32" else 1e-9)
    assert omitted.residual_map.isna().sum() == 1
    assert omitted.best_fit.index.equals(table.index)


def test_text_columns_are_refused_with_the_cure(model, table):
    text = table["z"].map("{:.3f} mm".format)
    with pytest.raises(DataError, match=r"data holds values that aren't numbers .*pandas.to_numeric"):
        model.fit(text, x=table["x"], y=table["y"])


def test_data_frame_of_a_grid(model, z, pd):
    frame = pd.DataFrame(z, index=list("abcdefg"), columns=[f"c{i}" for i in range(NX)])
    result = model.fit(frame, x=X, y=Y)
    check(result, lstsq(z))
    assert result.best_fit.index.equals(frame.index)
    assert result.best_fit.columns.equals(frame.columns)
    assert result.residual_map.shape == z.shape


def test_data_frame_with_an_error_frame_in_another_order(model, z, pd):
    frame = pd.DataFrame(z, index=list("abcdefg"), columns=[f"c{i}" for i in range(NX)])
    sigma = pd.DataFrame(1 / (1 + X + 3 * Y), index=frame.index, columns=frame.columns)
    try:
        result = model.fit(frame, sigma=sigma.loc[list("gfedcba"), frame.columns[::-1]], x=X, y=Y)
    except ShapeError:
        return  # refused is as good as aligned; silently by position is not
    check(result, lstsq(z, weights=1 + X + 3 * Y))


def test_categorical_and_date_data_are_refused(model, table, pd):
    with pytest.raises(DataError, match="data"):
        model.fit(pd.Series(pd.date_range("2024-01-01", periods=63)), x=X.ravel(), y=Y.ravel())


# ---- xarray ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def xr():
    return pytest.importorskip("xarray")


@pytest.fixture
def cube(xr, z):
    coords = {"row": np.arange(NY) * 1.0, "col": np.arange(NX) * 1.0}
    return xr.DataArray(z, dims=("row", "col"), coords=coords, name="n", attrs={"unit": "mm"})


def test_data_array_comes_back_with_dims_coords_and_name(model, z, cube):
    result = model.fit(cube, x=cube["col"], y=cube["row"])
    check(result, lstsq(z))
    for out in (result.best_fit, result.residual_map):
        assert type(out) is type(cube)
        assert out.dims == ("row", "col")
        assert out.coords["col"].equals(cube.coords["col"])
    assert float(abs(cube - result.best_fit - result.residual_map).max()) < 1e-13


def test_data_array_coordinates_are_broadcast_by_name_not_position(model, z, xr):
    square = xr.DataArray(z[:, :7], dims=("row", "col"), coords={"row": np.arange(7.0), "col": np.arange(7.0)})
    check(model.fit(square, x=square["col"], y=square["row"]), lstsq(z[:, :7], X[:, :7], Y[:, :7]))
    # transposed errors too
    sigma = xr.DataArray(1 / (1 + X[:, :7] + 3 * Y[:, :7]), dims=("row", "col")).transpose("col", "row")
    result = model.fit(square, x=square["col"], y=square["row"], sigma=sigma)
    check(result, lstsq(z[:, :7], X[:, :7], Y[:, :7], weights=1 + X[:, :7] + 3 * Y[:, :7]))


def test_transposed_mask_of_a_data_array(model, z, xr):
    square = xr.DataArray(z[:, :7], dims=("row", "col"), coords={"row": np.arange(7.0), "col": np.arange(7.0)})
    mask = (xr.DataArray(X[:, :7] == 3, dims=("row", "col"))).transpose("col", "row")
    check(model.fit(square, x=square["col"], y=square["row"], mask=mask), lstsq(z[:, :7], X[:, :7], Y[:, :7], used=X[:, :7] != 3))


def test_data_array_labels_in_another_order_are_aligned_or_refused(model, z, xr, cube):
    sigma = xr.DataArray(1 / (1 + X + 3 * Y), dims=cube.dims, coords=cube.coords)
    try:
        result = model.fit(cube, x=cube["col"], y=cube["row"], sigma=sigma.isel(row=slice(None, None, -1)))
    except (ShapeError, DataError):
        return
    check(result, lstsq(z, weights=1 + X + 3 * Y))


def test_data_array_with_other_labels_is_refused(model, z, xr, cube):
    sigma = xr.DataArray(np.ones(z.shape), dims=cube.dims, coords={"row": np.arange(NY) + 3.0, "col": cube["col"]})
    with pytest.raises((ShapeError, DataError)):
        model.fit(cube, x=cube["col"], y=cube["row"], sigma=sigma)


def test_nan_in_a_data_array(model, z, cube):
    used = np.ones(z.shape, dtype=bool)
    used[2, 3] = False
    broken = cube.copy()
    broken[2, 3] = np.nan
    with pytest.raises(NonFiniteError, match=r"\[2, 3\]"):
        model.fit(broken, x=cube["col"], y=cube["row"])
    result = model.fit(broken, nan_policy="omit", x=cube["col"], y=cube["row"])
    check(result, lstsq(z, used=used))
    assert bool(result.residual_map.isnull()[2, 3])


# ---- astropy -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def units():
    return pytest.importorskip("astropy.units")


def test_quantity_units_on_results_and_predictions(model, z, units):
    result = model.fit(z * units.mJy, sigma=100 * np.ones(z.shape) * units.uJy, x=X * units.cm, y=Y * units.cm)
    check(result, lstsq(z, weights=10.0))
    assert result.best_fit.unit == units.mJy
    assert result.residual_map.unit == units.mJy
    assert result.units["x"] == units.cm
    inside = result.predict(x=X[0] * 10 * units.mm, y=Y[0] * units.cm)
    plain = result.predict(x=X[0], y=Y[0])
    for name in ("fit", "lower", "upper"):
        assert np.asarray(inside[name], dtype=float) == pytest.approx(np.asarray(plain[name], dtype=float), rel=1e-12)
    with pytest.raises(DataError, match="x is in s, which is not convertible to cm"):
        result.predict(x=X[0] * units.s, y=Y[0] * units.cm)


def test_unit_against_no_unit_is_refused(model, z, units):
    with pytest.raises(DataError, match="sigma is in mJy but the data have no unit"):
        model.fit(z, sigma=np.ones(z.shape) * units.mJy, x=X, y=Y)
    with pytest.raises(DataError, match="weights is in s"):
        model.fit(z * units.mJy, weights=np.ones(z.shape) * units.s, x=X, y=Y)


@pytest.mark.parametrize(("name", "power"), [("sigma", 1), ("weights", -1), ("var", 2), ("ivar", -2)])
def test_every_error_is_converted_to_the_datas_unit(model, z, units, name, power):
    given = (0.1 * (1 + X)) ** power * 1000.0**power * units.uJy**power
    check(model.fit(z * units.mJy, x=X, y=Y, **{name: given}), lstsq(z, weights=1 / (0.1 * (1 + X))))


def test_column_with_unit(model, z, units):
    table = pytest.importorskip("astropy.table")
    t = table.QTable({"z": z.ravel() * units.mJy, "x": X.ravel() * units.cm, "y": Y.ravel() * units.cm})
    check(model.fit(t["z"], x=t["x"], y=t["y"]), lstsq(z))
    plain = table.Table({"z": z.ravel(), "x": X.ravel(), "y": Y.ravel()})
    check(model.fit(plain["z"], x=plain["x"], y=plain["y"]), lstsq(z))


def test_masked_column(model, z):
    table = pytest.importorskip("astropy.table")
    t = table.Table({"z": z.ravel(), "x": X.ravel(), "y": Y.ravel()}, masked=True)
    t["z"].mask = X.ravel() == 3
    t["z"][X.ravel() == 3] = 1e9
    t["z"].mask = X.ravel() == 3
    check(model.fit(t["z"], x=t["x"], y=t["y"]), lstsq(z, used=X != 3))


def test_masked_quantity(model, z, units):
    masked = pytest.importorskip("astropy.utils.masked")
    wrong = np.where(X == 3, 1e9, z)
    check(model.fit(masked.Masked(wrong * units.mJy, mask=X == 3), x=X, y=Y), lstsq(z, used=X != 3))


@pytest.mark.parametrize("kind", ["std", "var", "ivar", None])
def test_nddata_brings_mask_and_errors(model, z, kind):
    nddata = pytest.importorskip("astropy.nddata")
    sigma = 0.1 * (1 + X)
    classes = {"std": nddata.StdDevUncertainty, "var": nddata.VarianceUncertainty, "ivar": nddata.InverseVariance}
    power = {"std": 1, "var": 2, "ivar": -2, None: 1}[kind]
    uncertainty = None if kind is None else classes[kind](sigma**power)
    wrong = np.where(X == 3, np.nan, z)
    data = nddata.NDData(wrong, mask=X == 3, uncertainty=uncertainty)
    result = model.fit(data, x=X, y=Y)
    check(result, lstsq(z, weights=1.0 if kind is None else 1 / sigma, used=X != 3))
    # given errors win over nothing, but not silently over others
    if kind is None:
        check(model.fit(data, sigma=sigma, x=X, y=Y), lstsq(z, weights=1 / sigma, used=X != 3))


def test_ccddata_comes_back_as_ccddata(model, z, units):
    nddata = pytest.importorskip("astropy.nddata")
    data = nddata.CCDData(z.astype(">f4"), unit=units.adu, mask=X == 3, uncertainty=nddata.StdDevUncertainty(0.1 * (1 + X)))
    result = model.fit(data, x=X, y=Y)
    check(result, lstsq(z.astype("f4"), weights=1 / (0.1 * (1 + X)), used=X != 3))
    for out in (result.best_fit, result.residual_map):
        assert type(out) is nddata.CCDData
        assert out.unit == units.adu
        assert out.shape == z.shape


def test_nddata_without_unit_comes_back_as_nddata(model, z):
    nddata = pytest.importorskip("astropy.nddata")
    result = model.fit(nddata.NDData(z), x=X, y=Y)
    assert type(result.best_fit) is nddata.NDData
    assert np.asarray(result.best_fit.data) == pytest.approx(plane(X, Y, *lstsq(z)[0]))


# ---- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["s", "ms", "ns", "D"])
def test_datetime_coordinate_is_seconds_from_the_first(rng, unit):
    days = np.arange(40)
    dates = np.datetime64("2024-03-01", unit) + (days * np.timedelta64(1, "D")).astype(f"m8[{unit}]")
    z = 5.0 + 1e-6 * 86400 * days + rng.normal(0, 0.01, 40)
    result = sf.SurfaceModel(lambda t, a, rate: a + rate * t).fit(z, t=dates)
    A = np.stack([np.ones(40), 86400.0 * days], axis=1)
    assert [result.params[n].value for n in ("a", "rate")] == pytest.approx(np.linalg.lstsq(A, z, rcond=None)[0], rel=1e-9)
    text = result.explain().replace("\n  ", " ")
    assert "t holds times" in text
    assert "seconds since 2024-03-01" in text


def test_timedelta_and_pandas_dates(rng):
    pd = pytest.importorskip("pandas")
    seconds = np.arange(30.0)
    z = pd.Series(1.0 + 0.5 * seconds + rng.normal(0, 0.01, 30))
    model = sf.SurfaceModel(lambda t, a, rate: a + rate * t)
    expected = np.linalg.lstsq(np.stack([np.ones(30), seconds], axis=1), z.to_numpy(), rcond=None)[0]
    for t in (
        pd.Series(pd.to_timedelta(seconds, unit="s")), pd.Series(pd.date_range("2024-01-01", periods=30, freq="s")),
        pd.Series(pd.date_range("2024-01-01", periods=30, freq="s", tz="Europe/Berlin")), (seconds * 1e3).astype("m8[ms]"),
    ):  # fmt: skip
        result = model.fit(z, t=t)
        assert [result.params[n].value for n in ("a", "rate")] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("first", [False, True])
def test_not_a_time_is_refused_by_name_or_omitted(first):
    dates = np.datetime64("2024-03-01", "s") + np.arange(20) * np.timedelta64(10, "s")
    where = 0 if first else 7
    dates[where] = np.datetime64("NaT", "s")
    model = sf.SurfaceModel(lambda t, a, rate: a + rate * t)
    z = 1.0 + 3.0 * np.arange(20) + 0.1 * (np.arange(20) % 2)
    with pytest.raises(NonFiniteError, match=rf"t has 1 non-finite value, the first at \[{where}\]"):
        model.fit(z, t=dates)
    result = model.fit(z, nan_policy="omit", t=dates)
    assert result.ndata == 19
    assert result.params["rate"].value == pytest.approx(0.3, rel=1e-2)


# ---- other coordinates -------------------------------------------------------------------------------------------------


def test_coordinates_that_are_not_arrays_go_through(rng):
    class Instrument:
        gain = 2.0

    x = np.linspace(0, 1, 30)
    z = 2.0 * (1 + 3 * x) + rng.normal(0, 0.01, 30)
    model = sf.SurfaceModel(lambda x, how, a, b: how.gain * (a + b * x), ["x", "how"])
    result = model.fit(z, x=x, how=Instrument())
    expected = np.linalg.lstsq(2 * np.stack([x**0, x], 1), z, rcond=None)[0]
    assert [p.value for p in result.params.values()] == pytest.approx(expected, rel=1e-9)


def test_dictionary_and_table_coordinates(rng):
    pd = pytest.importorskip("pandas")
    x, y = rng.uniform(0, 1, 30), rng.uniform(0, 1, 30)
    z = 1 + 2 * x - 3 * y + rng.normal(0, 0.01, 30)
    model = sf.SurfaceModel(lambda p, a, b, c: a + b * p["u"] + c * p["v"], ["p"])
    expected = np.linalg.lstsq(np.stack([x**0, x, y], 1), z, rcond=None)[0]
    assert [p.value for p in model.fit(z, p={"u": x, "v": y}).params.values()] == pytest.approx(expected, rel=1e-9)
    frame = pd.DataFrame({"u": x, "v": y})
    assert [p.value for p in model.fit(z, p=frame, coerce_farray=False).params.values()] == pytest.approx(expected, rel=1e-9)


def test_coordinates_named_like_keywords(rng):
    u, v = rng.uniform(0, 1, 30), rng.uniform(0, 1, 30)
    z = 1 + 2 * u - 3 * v + rng.normal(0, 0.01, 30)
    model = sf.SurfaceModel(lambda mask, sigma, a, b, c: a + b * mask + c * sigma, ["mask", "sigma"])
    result = model.fit(z, coords={"mask": u, "sigma": v})
    expected = np.linalg.lstsq(np.stack([u**0, u, v], 1), z, rcond=None)[0]
    assert [result.params[n].value for n in "abc"] == pytest.approx(expected, rel=1e-9)
    assert result.ndata == 30
    excluded = model.fit(z, coords={"mask": u, "sigma": v}, mask=u > 0.5, sigma=np.full(30, 0.1))
    assert excluded.ndata == int((u <= 0.5).sum())


def test_parameter_named_sigma(rng):
    x = np.linspace(-3, 3, 50)
    z = 2 * np.exp(-0.5 * (x / 0.8) ** 2) + rng.normal(0, 0.01, 50)
    model = sf.SurfaceModel(lambda x, h, sigma: h * np.exp(-0.5 * (x / sigma) ** 2))
    one = model.fit(z, x=x, sigma=1.0)
    assert one.params["sigma"].value == pytest.approx(0.8, abs=0.02)
    assert one.weights is None
    two = model.fit(z, model.make_params(sigma=1.0), x=x, sigma=np.full(50, 0.01))
    assert two.params["sigma"].value == pytest.approx(one.params["sigma"].value, rel=1e-9)
    assert two.redchi == pytest.approx(one.redchi * 1e4, rel=1e-9)
    with pytest.raises(ParameterError, match=r"sigma is also a parameter .*make_params\(sigma=.*\(50,\)"):
        model.fit(z, x=x, sigma=np.ones(3))


def test_missing_coordinate_and_unknown_coords_are_named(model, z):
    with pytest.raises(ParameterError, match=r"coordinate y of .* missing"):
        model.fit(z, x=X)
    with pytest.raises(ParameterError, match=r"coords names 'u', but the coordinates of .* are x, y"):
        model.fit(z, coords={"x": X, "y": Y, "u": X})
    with pytest.raises(ParameterError, match="'x' was given twice"):
        model.fit(z, x=X, coords={"x": X, "y": Y})


def test_complex_coordinates_in_a_real_model(rng):
    u = np.linspace(0, 1, 30) + 1j * np.linspace(1, 2, 30) ** 2
    z = 1 + 2 * u.real + 3 * u.imag + rng.normal(0, 0.01, 30)
    result = sf.SurfaceModel(lambda u, a, b, c: a + b * u.real + c * u.imag).fit(z, u=u)
    expected = np.linalg.lstsq(np.stack([u.real**0, u.real, u.imag], 1), z, rcond=None)[0]
    assert [p.value for p in result.params.values()] == pytest.approx(expected, rel=1e-8)


def test_complex_data_for_a_real_model_are_refused_or_exact(model, z):
    try:
        result = model.fit(z + 1j * z, x=X, y=Y)
    except DataError:
        return
    # a real model of complex data: the imaginary part is all residual
    check_values = [result.params[n].value for n in NAMES]
    assert check_values == pytest.approx(lstsq(z)[0], rel=1e-9)


def test_coarse_float32_coordinate_warns_once(model, z):
    with pytest.warns(DataWarning, match="float32") as seen:
        model.fit(z, x=(X + 2.46e6).astype("f4"), y=Y)
    assert len(seen) == 1


# ---- refusals with their numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"weights": np.ones((NX, NY))}, ShapeError, r"weights has shape \(9, 7\), the data \(7, 9\)"),
        ({"sigma": np.ones(5)}, ShapeError, r"sigma has shape \(5,\), the data \(7, 9\)"),
        ({"sigma": "0.1"}, DataError, "sigma has dtype"),
        ({"sigma": np.full((NY, NX), 1j)}, DataError, "sigma is complex but the data are real"),
        ({"var": 0.0}, DataError, "var must be positive"),
        ({"sigma": np.nan}, DataError, "sigma is NaN"),
        ({"ivar": np.full((NY, NX), np.inf)}, DataError, r"ivar gives an infinite weight at 63 point"),
        ({"weights": -1.0}, DataError, "weights must not be negative; 63 values are not"),
        ({"mask": np.zeros(3, dtype=bool)}, ShapeError, r"mask has shape \(3,\), the data \(7, 9\)"),
        ({"x": X[:, :-1]}, ShapeError, r"data has shape \(7, 9\)"),
        ({"x": [[1, 2], [3]]}, DataError, "x"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else None,
)
def test_wrong_arguments_are_told_with_numbers(model, z, arguments, error, text):
    with pytest.raises(error, match=text):
        model.fit(z, **{"x": X, "y": Y, **arguments})


def test_ragged_data_are_refused(model):
    with pytest.raises(DataError, match="data can't be made an array of numbers"):
        model.fit([[1.0, 2.0], [3.0]], x=[1.0, 2.0], y=[1.0, 2.0])


def test_text_data_are_refused(model):
    with pytest.raises(DataError, match="data"):
        model.fit(["a", "b"], x=[1.0, 2.0], y=[1.0, 2.0])


def test_none_is_refused(model):
    with pytest.raises(DataError, match="data"):
        model.fit(None, x=[1.0, 2.0], y=[1.0, 2.0])
