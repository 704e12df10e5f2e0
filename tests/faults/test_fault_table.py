"""
One test per fault that other fitters meet with a wrong number, a jargon message or a false success.

The problem is a 2-D Gaussian on 25 x 25 pixels with known truth. The oracle of every "right" answer is a fit written out
here: scipy's least squares with the Jacobian differentiated by hand, on the points that ought to be used.
"""

import contextlib
import errno
import warnings

import lmfit
import numpy as np
import pytest
from scipy.optimize import least_squares

import surffit as sf
from surffit.exceptions import DataError, DataWarning, NonFiniteError, ShapeError, TooFewPointsError
from surffit.solve.status import Status

TRUTH = {"height": 10.0, "x0": 12.3, "y0": 11.6, "sx": 3.0, "sy": 2.4, "sky": 1.5}
START = {"height": 8.0, "x0": 11.0, "y0": 12.5, "sx": 2.5, "sy": 3.0, "sky": 0.0}
NOISE = 0.1
Y, X = np.mgrid[:25, :25].astype(float)


def peak(x, y, height, x0, y0, sx, sy, sky):
    return height * np.exp(-0.5 * ((x - x0) / sx) ** 2 - 0.5 * ((y - y0) / sy) ** 2) + sky


def by_hand(x, y, height, x0, y0, sx, sy, sky):
    """Value and Jacobian (points, 6) of `peak`."""
    u, v = (x - x0) / sx, (y - y0) / sy
    e = np.exp(-0.5 * u**2 - 0.5 * v**2)
    f = height * e
    return f + sky, np.stack([e, f * u / sx, f * v / sy, f * u**2 / sx, f * v**2 / sy, np.ones_like(e)], axis=-1)


def oracle(z, x=X, y=Y, weights=1.0, used=None, scale_covar=True, start=None):
    """Values and standard errors by scipy, unit-scaled columns, on the used points."""
    used = np.ones(z.shape, dtype=bool) if used is None else used
    x, y, w = (np.broadcast_to(a, z.shape)[used] for a in (x, y, weights))
    z = np.asarray(z, dtype=float)[used]
    p0 = np.array(list((start or START).values()))
    fit = least_squares(
        lambda p: (by_hand(x, y, *p)[0] - z) * w, p0, lambda p: by_hand(x, y, *p)[1] * w[:, None],
        x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=2000,
    )  # fmt: skip
    norms = np.linalg.norm(fit.jac, axis=0)
    r = np.linalg.qr(fit.jac / norms, mode="r")
    inverse = np.linalg.inv(r) / norms[:, None]
    s2 = 2 * fit.cost / (z.size - 6) if scale_covar else 1.0
    return fit.x, np.sqrt(s2 * np.einsum("ij,ij->i", inverse, inverse))


def same_fit(result, expected, value_tol=1e-6, error_tol=1e-6):
    """Values within `value_tol` standard errors of the oracle, errors within `error_tol` of its errors."""
    values, errors = expected
    assert result.success, result.reason
    for name, value, error in zip(TRUTH, values, errors, strict=True):
        par = result.params[name]
        assert abs(par.value - value) <= value_tol * error, (name, par.value, value, error)
        assert par.stderr == pytest.approx(error, rel=error_tol), name
    assert result.errorbars
    assert result.covar_source == "jacobian"


@pytest.fixture
def z(rng):
    return peak(X, Y, **TRUTH) + rng.normal(0.0, NOISE, X.shape)


@pytest.fixture
def model():
    return sf.SurfaceModel(peak, independent_vars=["x", "y"])


@pytest.fixture
def params(model):
    return model.make_params(**START)


def test_the_oracle_and_the_healthy_fit_agree(model, params, z):
    expected = oracle(z)
    assert np.all(np.abs(expected[0] - list(TRUTH.values())) < 5 * expected[1])
    same_fit(model.fit(z, params, x=X, y=Y), expected)


# ---- non-finite data and weights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_pixel_is_refused_with_count_and_first_index(model, params, z, bad):
    z[12, 3] = z[12, 9] = z[14, 0] = z[20, 20] = bad
    with pytest.raises(NonFiniteError) as err:
        model.fit(z, params, x=X, y=Y)
    assert str(err.value) == 'data has 4 non-finite values, the first at [12, 3]; mask them, or pass nan_policy="omit"'
    assert (err.value.count, err.value.first) == (4, (12, 3))


def test_one_non_finite_pixel_is_singular(model, params, z):
    z[0, 24] = np.nan
    with pytest.raises(NonFiniteError, match=r"data has 1 non-finite value, the first at \[0, 24\]"):
        model.fit(z, params, x=X, y=Y)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_omit_excludes_counts_and_reports(model, params, z, bad):
    where = ([12, 12, 14, 20], [3, 9, 0, 20])
    z[where] = bad
    used = np.ones(z.shape, dtype=bool)
    used[where] = False
    result = model.fit(z, params, nan_policy="omit", x=X, y=Y)
    same_fit(result, oracle(z, used=used))
    assert result.ndata == 621
    assert result.residual.shape == (621,)
    assert "4 of 625 points" in result.explain()
    assert np.array_equal(np.isnan(result.residual_map), ~used)
    assert result.best_fit.shape == (25, 25)


def test_non_finite_coordinate_is_refused_by_name_or_omitted(model, params, z):
    x = X.copy()
    x[3, 4] = np.nan
    with pytest.raises(NonFiniteError, match=r"x has 1 non-finite value, the first at \[3, 4\]"):
        model.fit(z, params, x=x, y=Y)
    same_fit(model.fit(z, params, nan_policy="omit", x=x, y=Y), oracle(z, used=np.isfinite(x)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_pixel_with_weight_zero_is_excluded(model, params, z, bad):
    weights = np.full(z.shape, 1 / NOISE)
    weights[12, 12] = weights[3, 4] = 0.0
    z[12, 12] = bad
    result = model.fit(z, params, weights=weights, x=X, y=Y)
    same_fit(result, oracle(z, weights=weights, used=weights > 0))
    assert result.ndata == 623


def test_nan_weight_is_refused_naming_weights(model, params, z):
    weights = np.full(z.shape, 1 / NOISE)
    weights[12, 12] = np.nan
    with pytest.raises(DataError) as err:
        model.fit(z, params, weights=weights, x=X, y=Y)
    assert str(err.value) == "weights is NaN at 1 point, [12, 12]; a weight of 0 excludes a point, NaN does not"


def test_all_weights_zero_is_refused_with_zero_usable_points(model, params, z):
    with pytest.raises(DataError, match="0 usable points of 625") as err:
        model.fit(z, params, weights=np.zeros(z.shape), x=X, y=Y)
    assert err.value.n_points == 0


def test_negative_weights_are_refused_with_count_and_value(model, params, z):
    weights = np.full(z.shape, 1 / NOISE)
    weights[5, 6] = -3.5
    weights[7, 7] = -1.0
    with pytest.raises(DataError, match=r"weights must not be negative; 2 values are not, the first at \[5, 6\]: -3\.5"):
        model.fit(z, params, weights=weights, x=X, y=Y)


@pytest.mark.parametrize("error", ["sigma", "var"])
@pytest.mark.parametrize("bad", [0.0, -0.25])
def test_errors_that_are_not_positive_are_refused(model, params, z, error, bad):
    given = np.full(z.shape, NOISE)
    given[5, 6] = bad
    with pytest.raises(DataError, match=rf"{error} must be positive .* \[5, 6\]: {bad}"):
        model.fit(z, params, **{error: given}, x=X, y=Y)


# ---- masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("garbage", [1e6, np.nan, np.inf])
def test_masked_array_is_honoured_whatever_lies_under_the_mask(model, params, z, garbage):
    mask = (X - 12) ** 2 + (Y - 12) ** 2 < 9
    z[mask] = garbage
    result = model.fit(np.ma.MaskedArray(z, mask=mask), params, x=X, y=Y)
    same_fit(result, oracle(z, used=~mask))
    assert result.ndata == int((~mask).sum())
    assert f"{int(mask.sum())} of 625 points are excluded" in result.explain()


@pytest.mark.parametrize("how", ["masked array", "mask="])
def test_fully_masked_is_refused(model, params, z, how):
    everything = np.ones(z.shape, dtype=bool)
    data, mask = (z, everything) if how == "mask=" else (np.ma.MaskedArray(z, mask=everything), None)
    with pytest.raises(DataError, match=r"0 usable points of 625 .*625 masked"):
        model.fit(data, params, mask=mask, x=X, y=Y)


# ---- the problem itself ------------------------------------------------------------------------------------------------


def test_degenerate_pair_is_named_with_rank_and_null_direction(z):
    def two_skies(x, y, height, x0, y0, sx, sy, a, b):
        return height * np.exp(-0.5 * ((x - x0) / sx) ** 2 - 0.5 * ((y - y0) / sy) ** 2) + (a + b)

    model = sf.SurfaceModel(two_skies, independent_vars=["x", "y"])
    start = {name: value for name, value in START.items() if name != "sky"}
    result = model.fit(z, model.make_params(**start, a=1.0, b=0.0), x=X, y=Y)
    values, errors = oracle(z)
    assert result.success
    assert Status.RANK_DEFICIENT in result.status
    assert result.conditioning.rank == 6
    assert result.conditioning.n_free == 7
    (direction,) = result.conditioning.null_directions
    assert set(direction) == {"a", "b"}
    assert direction["a"] == pytest.approx(-direction["b"])
    assert result.conditioning.undetermined == ("a", "b")
    assert result.params["a"].stderr == result.params["b"].stderr == np.inf
    for name, value, error in zip(list(TRUTH)[:5], values, errors, strict=False):
        assert abs(result.params[name].value - value) <= 1e-6 * error
        assert result.params[name].stderr == pytest.approx(error, rel=1e-6)
    assert abs(result.params["a"].value + result.params["b"].value - values[5]) <= 1e-6 * errors[5]
    text = result.explain()
    assert "Rank 6 of 7" in text
    assert "can't tell a and b apart" in text
    assert "a + b is determined" in text


def log_surface(x, y, a, b):
    return a * np.log(x + 0.5 * y - b)


@pytest.mark.parametrize("jac", [None, "differences"])
@pytest.mark.parametrize("b0", [-400.0, -40.0, 0.9])
def test_non_finite_trial_step_is_rejected_and_the_fit_goes_on(rng, jac, b0):
    x, y = X + 1.0, Y  # the logarithm needs b < 1
    z = log_surface(x, y, 2.0, 0.75) + rng.normal(0.0, 0.01, x.shape)
    model = sf.SurfaceModel(log_surface, independent_vars=["x", "y"])
    # the full step from the start leaves the domain, else this test shows nothing
    if b0 < 0:
        u = x + 0.5 * y - b0
        basis = np.log(u).ravel()
        a = basis @ z.ravel() / (basis @ basis)
        jacobian = np.stack([basis, (-a / u).ravel()], axis=1)
        step = np.linalg.lstsq(jacobian, z.ravel() - a * basis, rcond=None)[0]
        assert b0 + step[1] > 1.0
    result = model.fit(z, fit_kws={"jac": jac} if jac else None, b=b0, a=1.0, x=x, y=y)
    u = x + 0.5 * y
    ref = least_squares(
        lambda p: (log_surface(x, y, *p) - z).ravel(), [2.0, 0.75],
        lambda p: np.stack([np.log(u - p[1]).ravel(), (-p[0] / (u - p[1])).ravel()], axis=1),
        x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15,
    )  # fmt: skip
    errors = np.sqrt(2 * ref.cost / (z.size - 2) * np.diag(np.linalg.inv(ref.jac.T @ ref.jac)))
    assert result.success, result.reason
    for name, value, error in zip("ab", ref.x, errors, strict=True):
        assert abs(result.params[name].value - value) < 1e-6 * error
        assert result.params[name].stderr == pytest.approx(error, rel=1e-6)


def test_overflow_at_the_start_is_refused_naming_the_start(z):
    def cliff(x, y, a, k):
        return a * np.exp(k * (x + y))

    model = sf.SurfaceModel(cliff, independent_vars=["x", "y"])
    with pytest.raises(NonFiniteError, match=r"not finite .* start k = 1000;") as err:
        model.fit(z, a=1.0, k=1000.0, x=X, y=Y)
    assert err.value.start == {"k": 1000.0}


def test_three_points_cannot_determine_five_parameters(z):
    def round_peak(x, y, height, x0, y0, s, sky):
        return height * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / s**2) + sky

    model = sf.SurfaceModel(round_peak, independent_vars=["x", "y"])
    mask = np.ones((5, 5), dtype=bool)
    mask[0, 0] = mask[2, 3] = mask[4, 1] = False
    with pytest.raises(TooFewPointsError) as err:
        model.fit(z[:5, :5], mask=mask, x=X[:5, :5], y=Y[:5, :5], height=1.0, x0=2.0, y0=2.0, s=1.0, sky=0.0)
    expected = "3 usable points (of 25; 22 masked) cannot determine 5 varying parameters; fix some with vary=False or unmask data"
    assert str(err.value) == expected
    assert (err.value.n_points, err.value.n_varying) == (3, 5)


def test_one_point_is_refused_with_the_numbers(model, params, z):
    with pytest.raises(TooFewPointsError, match="1 usable point cannot determine 6 varying parameters"):
        model.fit(z[:1, :1], params, x=X[:1, :1], y=Y[:1, :1])


@pytest.mark.parametrize("empty", [np.empty(0), np.empty((0, 25)), []])
def test_empty_data_is_refused_clearly(model, params, empty):
    with pytest.raises(DataError, match=r"data is empty \(shape \(0"):
        model.fit(empty, params, x=np.empty(np.shape(empty)), y=np.empty(np.shape(empty)))


# ---- shapes ------------------------------------------------------------------------------------------------------------


def test_row_of_data_on_a_full_grid_is_refused_with_both_shapes(model, params, z):
    with pytest.raises(ShapeError) as err:
        model.fit(z[:1], params, x=X, y=Y)
    assert str(err.value) == "data has shape (1, 25) but x and y broadcast to (25, 25); give data of shape (25, 25)"


def test_open_grid_equals_the_full_grid(model, params, z):
    same_fit(model.fit(z, params, x=X[:1], y=Y[:, :1]), oracle(z))


# ---- scales ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flux", [1e-17, 7e-17, 1e17])
@pytest.mark.parametrize("weighted", [False, True], ids=["no weights", "weights"])
def test_any_flux_scale(model, z, flux, weighted):
    params = model.make_params(**{**START, "height": START["height"] * flux, "sky": 0.0})
    weights = np.full(z.shape, 1 / (NOISE * flux)) if weighted else None
    result = model.fit(z * flux, params, weights=weights, x=X, y=Y)
    values, errors = oracle(z)
    unit = np.array([flux, 1, 1, 1, 1, flux])
    same_fit(result, (values * unit, errors * unit))


def test_coordinate_offset_of_1e9(model, z):
    offset = 1e9
    params = model.make_params(**{**START, "x0": START["x0"] + offset})
    with pytest.warns(DataWarning, match="x runs from 1000000000 to 1000000024: its offset leaves about 8 digits of float64"):
        result = model.fit(z, params, x=X + offset, y=Y)
    values, errors = oracle(z)
    assert result.success
    for i, name in enumerate(TRUTH):
        expected = values[i] + (offset if name == "x0" else 0.0)
        # one number of size 1e9 is known to a spacing of 1.2e-7; the rest follows x0's rounding, far below its error
        assert abs(result.params[name].value - expected) <= (1.2e-7 if name == "x0" else 1e-4 * errors[i]), name
        assert result.params[name].stderr == pytest.approx(errors[i], rel=1e-5), name


def test_julian_dates(model, z):
    offset = 2.46e6
    params = model.make_params(**{**START, "x0": START["x0"] + offset})
    result = model.fit(z, params, x=X + offset, y=Y)
    values, errors = oracle(z)
    values[1] += offset
    same_fit(result, (values, errors), value_tol=1e-5)


def test_julian_dates_in_float32_warn_with_the_step_and_fit_what_is_there(model, z):
    offset = 2.46e6
    params = model.make_params(**{**START, "x0": START["x0"] + offset})
    with pytest.warns(DataWarning, match="x runs from 2460000 to 2460024: .*2 digits of float32") as seen:
        result = model.fit(z, params, x=(X + offset).astype(np.float32), y=Y)
    assert [w.filename for w in seen] == [__file__]  # the warning points at the user's line
    values, errors = oracle(z)  # whole days are exact in float32 up to 1.6e7
    values[1] += offset
    same_fit(result, (values, errors), value_tol=1e-5)


# ---- starts ------------------------------------------------------------------------------------------------------------


def guarded(x, y, height, x0, y0, sx, sy, sky):
    """lmfit's habit: a width of 0 is no division by zero, but a peak that no pixel feels."""
    sx, sy = np.maximum(np.abs(sx), 1e-15), np.maximum(np.abs(sy), 1e-15)
    return height * np.exp(-0.5 * ((x - x0) / sx) ** 2 - 0.5 * ((y - y0) / sy) ** 2) + sky


@pytest.mark.parametrize(
    "start",
    [{"x0": 0.5, "y0": 0.5, "sx": 0.0, "sy": 0.0}, {"x0": 1e4, "y0": 1e4, "sx": 2.0, "sy": 2.0}],
    ids=["width 0", "far away"],
)
def test_start_without_effect_and_no_guess_is_told(z, start):
    model = sf.SurfaceModel(guarded, independent_vars=["x", "y"])
    result = model.fit(z, model.make_params(height=1.0, sky=0.0, **start), x=X, y=Y)
    assert not result.success
    assert Status.NO_EFFECT_AT_START in result.status
    for name in ("x0", "y0", "sx", "sy"):
        assert name in result.reason
        assert result.params[name].value == start[name]
        assert result.params[name].stderr == np.inf
    # what can be fitted is fitted: the sky of a model without peak is the mean
    assert result.params["sky"].value == pytest.approx(z.mean(), rel=1e-12)
    assert result.params["sky"].stderr == pytest.approx(z.std(ddof=1) / 25, rel=1e-6)
    assert "height" in result.conditioning.undetermined


@pytest.mark.parametrize(
    "start",
    [{"centerx": 0.0, "centery": 0.0, "sigmax": 0.0, "sigmay": 0.0}, {"centerx": 1e4, "centery": 1e4, "sigmax": 2.0, "sigmay": 2.0}],
    ids=["width 0", "far away"],
)
def test_start_without_effect_is_moved_by_guess(z, start):
    model = sf.SurfaceModel.from_lmfit(lmfit.models.Gaussian2dModel())
    z = z - TRUTH["sky"]
    x, y, flat = X.ravel(), Y.ravel(), z.ravel()
    result = model.fit(flat, model.make_params(amplitude=1.0, **start), x=x, y=y)
    _, errors = oracle(z)
    near = model.fit(flat, model.make_params(amplitude=400.0, centerx=12.0, centery=12.0, sigmax=3.0, sigmay=2.0), x=x, y=y)
    assert result.success, result.reason
    assert Status.NO_EFFECT_AT_START not in result.status
    assert "guess" in result.explain()
    for name, par in near.params.items():
        assert result.params[name].value == pytest.approx(par.value, abs=1e-6 * (par.stderr or 1.0))
    # and that is the truth, not a local minimum
    assert abs(result.params["centerx"].value - TRUTH["x0"]) < 5 * errors[1]


# ---- containers --------------------------------------------------------------------------------------------------------


def test_quantity_is_carried(model, params, z):
    units = pytest.importorskip("astropy.units")
    result = model.fit(z * units.Jy, params, x=X * units.pix, y=Y * units.pix)
    same_fit(result, oracle(z))
    assert result.best_fit.unit == units.Jy
    assert result.residual_map.unit == units.Jy
    assert result.units["data"] == units.Jy
    assert result.units["x"] == units.pix


def test_quantity_against_plain_errors_is_converted_or_refused(model, params, z):
    units = pytest.importorskip("astropy.units")
    same_fit(model.fit(z * units.Jy, params, sigma=np.full(z.shape, 1000 * NOISE) * units.mJy, x=X, y=Y), oracle(z, weights=1 / NOISE))
    with pytest.raises(DataError, match="not convertible to Jy"):
        model.fit(z * units.Jy, params, sigma=np.full(z.shape, NOISE) * units.s, x=X, y=Y)


def test_series_in_another_order_are_aligned_by_label(model, params, z, rng):
    pd = pytest.importorskip("pandas")
    data = pd.Series(z.ravel())
    x, y, sigma = pd.Series(X.ravel()), pd.Series(Y.ravel()), pd.Series(np.full(z.size, NOISE) * (1 + X.ravel() / 25))
    shuffled = rng.permutation(z.size)
    result = model.fit(data, params, sigma=sigma.iloc[shuffled[::-1]], x=x.iloc[shuffled], y=y.iloc[::-1])
    same_fit(result, oracle(z, weights=1 / (NOISE * (1 + X / 25))))
    assert result.best_fit.index.equals(data.index)


def test_series_that_cannot_be_aligned_are_refused(model, params, z):
    pd = pytest.importorskip("pandas")
    with pytest.raises(ShapeError, match=r"x lacks 5 of the 625 labels of the data, e\.g\. 0"):
        model.fit(pd.Series(z.ravel()), params, x=pd.Series(X.ravel(), index=np.arange(5, 630)), y=pd.Series(Y.ravel()))


def as_integer(a):
    return np.rint(a * 1000).astype(np.int32)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def strided(a):
    wide = np.full((50, 75), 777.0)
    wide[::2, ::3] = a
    return wide[::2, ::3]


def byte_offset(a):
    raw = np.zeros(a.nbytes + 1, dtype=np.uint8)
    out = raw[1:].view(float).reshape(a.shape)
    out[...] = a
    return out


@pytest.mark.parametrize(
    ("convert", "unit"),
    [
        (as_integer, 1000.0), (lambda a: a.astype(np.float32), 1.0), (lambda a: a.astype(">f8"), 1.0), (lambda a: a.astype(">f4"), 1.0),
        (lambda a: a.astype(">i2"), 1.0), (read_only, 1.0), (np.asfortranarray, 1.0), (strided, 1.0), (byte_offset, 1.0),
        (lambda a: a[::-1, ::-1].copy()[::-1, ::-1], 1.0), (lambda a: a.tolist(), 1.0), (lambda a: a.astype(object), 1.0),
    ],
    ids=["int32", "f4", ">f8", ">f4", ">i2", "read-only", "Fortran", "strided", "unaligned", "negative strides", "list", "object"],
)  # fmt: skip
def test_number_types_and_memory_layouts(model, z, convert, unit):
    params = model.make_params(**{**START, "height": START["height"] * unit})
    data, sigma = convert(z), convert(np.full(z.shape, 1.0))
    result = model.fit(data, params, sigma=sigma, x=convert(X) if unit == 1.0 else X.astype(np.int64), y=convert(Y) if unit == 1.0 else Y)
    start = {**START, "height": START["height"] * unit}
    same_fit(result, oracle(np.array(data, dtype=float), start=start))


# ---- interrupts and files ----------------------------------------------------------------------------------------------


def interrupting(after):
    """The peak, in a form that can't be traced, and that is interrupted in call number `after`."""
    calls = []

    def slow(x, y, height, x0, y0, sx, sy, sky):
        calls.append(1)
        if len(calls) == after:
            raise KeyboardInterrupt
        if float(sx) == 0.0:  # a branch on a value: numeric derivatives
            return np.zeros_like(x)
        return peak(x, y, height, x0, y0, sx, sy, sky)

    return slow, calls


def test_keyboard_interrupt_is_raised(z):
    slow, calls = interrupting(10**9)
    model = sf.SurfaceModel(slow, independent_vars=["x", "y"])
    model.fit(z, model.make_params(**START), x=X, y=Y)
    middle = len(calls) // 2
    assert middle > 20
    slow, _ = interrupting(middle)
    model = sf.SurfaceModel(slow, independent_vars=["x", "y"])
    with pytest.raises(KeyboardInterrupt):
        model.fit(z, model.make_params(**START), x=X, y=Y)


def test_keyboard_interrupt_returns_the_best_so_far_on_request(model, params, z):
    seen = []

    def stop(p, i, resid, **kws):
        seen.append(float(np.sum(resid**2)))
        if len(seen) == 3:
            raise KeyboardInterrupt

    result = model.fit(z, params, iter_cb=stop, fit_kws={"on_interrupt": "return"}, x=X, y=Y)
    assert len(seen) == 3
    assert not result.success
    assert result.aborted
    assert Status.ABORTED in result.status
    assert "best so far" in result.reason
    assert result.chisqr <= min(seen) * (1 + 1e-9)
    assert result.chisqr < np.sum((peak(X, Y, **START) - z) ** 2)
    assert all(np.isfinite(par.value) for par in result.params.values())
    assert result.fit_report()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9], ids=["first step", "walk", "end"])
def test_interrupt_in_the_users_function_returns_the_best_so_far_too(z, part):
    slow, calls = interrupting(10**9)
    model = sf.SurfaceModel(slow, independent_vars=["x", "y"])
    at = []
    model.fit(z, model.make_params(**START), iter_cb=lambda *args, **kws: at.append(len(calls)), x=X, y=Y)
    # before the walk there is nothing to return; from its first step on there is
    slow, _ = interrupting(at[0] + 1 + int(part * (len(calls) - at[0])))
    model = sf.SurfaceModel(slow, independent_vars=["x", "y"])
    result = model.fit(z, model.make_params(**START), fit_kws={"on_interrupt": "return"}, x=X, y=Y)
    assert not result.success
    assert Status.ABORTED in result.status
    assert result.chisqr <= np.sum((peak(X, Y, **START) - z) ** 2)
    assert result.fit_report()


def test_disk_full_while_saving_leaves_the_old_file(model, params, z, tmp_path):
    resource = pytest.importorskip("resource")  # not on Windows
    path = tmp_path / "fit.json"
    model.fit(z, params, x=X, y=Y).save(path)
    before = path.read_bytes()
    other = model.fit(z * 2, params, x=X, y=Y)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))  # writes beyond 200 bytes fail, as on a full disk
    try:
        with pytest.raises(OSError) as err:  # noqa: PT011 - the number is checked below
            other.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert err.value.errno == errno.EFBIG
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fit.json"]
    same_fit(model.fit(z, params, x=X, y=Y), oracle(z))
    assert sf.load(path).params["x0"].value == pytest.approx(oracle(z)[0][1], abs=1e-9)


def test_no_fault_leaves_warnings_behind(model, params, z):
    """numpy's error state is the caller's, whatever the fit met."""
    before = np.geterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for bad in (np.nan, 1e300):
            broken = z.copy()
            broken[0, 0] = bad
            with np.errstate(all="warn"):
                inside = np.geterr()
                with contextlib.suppress(DataError):
                    model.fit(broken, params, x=X, y=Y)
                assert np.geterr() == inside
    assert np.geterr() == before
