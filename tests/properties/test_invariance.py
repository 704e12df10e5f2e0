"""
Fits of the same data in other clothes: scaled, shifted, shuffled, turned, split. The results transform exactly.

The oracle is the symmetry itself. Two fits of one problem in two scalings agree to rounding times the condition of the
problem, far below 1e-9 here; values are compared on the scale of their errors, since a value near 0 has no relative digits.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import surffit as sf

TOL = 1e-9
QUICK = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
seeds = st.integers(0, 2**32 - 1)
# a decade exponent and a mantissa: scales that are no powers of two
scales = st.builds(lambda m, e: m * 10.0**e, st.floats(1.0, 9.99), st.integers(-12, 12))
signed = st.builds(lambda s, v: s * v, st.sampled_from([1.0, -1.0]), scales)
shifts = st.floats(-1e3, 1e3)


def bump(x, y, h, x0, y0, sx, sy, base):
    return h * np.exp(-0.5 * ((x - x0) / sx) ** 2 - 0.5 * ((y - y0) / sy) ** 2) + base


def tilted(x, y, a, b, c, d):
    return a + b * x + c * y + d * x * y


BUMP = sf.SurfaceModel(bump, ["x", "y"])
TILTED = sf.SurfaceModel(tilted, ["x", "y"])
NAMES = ("h", "x0", "y0", "sx", "sy", "base")
START = {"x0": 4.5, "y0": 5.5, "sx": 2.5, "sy": 1.7, "h": 1.0, "base": 0.0}


def problem(seed, grid=True):
    rng = np.random.default_rng(seed)
    if grid:
        y, x = np.mgrid[:11, :10].astype(float)
    else:
        x, y = rng.uniform(0, 10, 90), rng.uniform(0, 11, 90)
    h, x0, y0 = rng.uniform(3, 9), rng.uniform(4, 5), rng.uniform(4.5, 6)
    z = bump(x, y, h, x0, y0, *rng.uniform(1.5, 3, 2), base=rng.normal()) + rng.normal(0, 0.1, x.shape)
    w = rng.uniform(5, 15, x.shape)
    return x, y, z, w


def fit(x, y, z, w, start=START, **kws):
    result = BUMP.fit(z, BUMP.make_params(**start), weights=w, x=x, y=y, **kws)
    assert result.success, result.reason
    return result


def compare(result, reference, values=lambda v: v, errors=lambda e: e, names=None, tol=TOL):
    """`result` against the transformed values and errors of `reference`; `names` maps renamed parameters."""
    want = values(dict(reference.best_values))
    want_errors = errors({n: p.stderr for n, p in reference.params.items()})
    for name, par in reference.params.items():
        mine = result.params[(names or {}).get(name, name)]
        # a value carries the rounding of what it was shifted by, besides a share of its error
        assert abs(mine.value - want[name]) <= tol * want_errors[name] * 10 + 1e-14 * abs(want[name]), name
        assert mine.stderr == pytest.approx(want_errors[name], rel=tol), name
        assert par.stderr > 0


@QUICK
@given(seeds, signed)
def test_data_scaled(seed, k):
    x, y, z, w = problem(seed)
    compare(
        fit(x, y, z * k, w / abs(k)), fit(x, y, z, w),
        lambda v: {**v, "h": v["h"] * k, "base": v["base"] * k}, lambda e: {**e, "h": e["h"] * abs(k), "base": e["base"] * abs(k)},
    )  # fmt: skip


@QUICK
@given(seeds, scales)
def test_data_scaled_without_weights(seed, k):
    x, y, z, _ = problem(seed)
    one, two = fit(x, y, z, None), fit(x, y, z * k, None)
    compare(two, one, lambda v: {**v, "h": v["h"] * k, "base": v["base"] * k}, lambda e: {**e, "h": e["h"] * k, "base": e["base"] * k})
    assert two.chisqr == pytest.approx(one.chisqr * k * k, rel=TOL)
    assert two.aic - one.aic == pytest.approx(z.size * 2 * np.log(k), rel=1e-9, abs=1e-6)


@QUICK
@given(seeds, shifts)
def test_data_shifted_by_what_the_model_can_shift(seed, c):
    x, y, z, w = problem(seed)
    one, two = fit(x, y, z, w), fit(x, y, z + c, w)
    # z + c is rounded to c's last digit: that, seen in sigmas, is what may differ
    compare(two, one, lambda v: {**v, "base": v["base"] + c}, tol=max(TOL, 1e-11 * abs(c)))
    assert two.chisqr == pytest.approx(one.chisqr, rel=max(TOL, 1e-11 * abs(c)))


@QUICK
@given(seeds, shifts)
def test_coordinate_shifted(seed, c):
    x, y, z, w = problem(seed)
    one = fit(x, y, z, w)
    two = fit(x + c, y, z, w, {**START, "x0": START["x0"] + c})
    compare(two, one, lambda v: {**v, "x0": v["x0"] + c}, tol=max(TOL, 1e-11 * abs(c)))


@QUICK
@given(seeds, signed)
def test_coordinate_scaled_and_mirrored(seed, k):
    x, y, z, w = problem(seed)
    one = fit(x, y, z, w)
    two = fit(x * k, y, z, w, {**START, "x0": START["x0"] * k, "sx": START["sx"] * abs(k)})
    compare(
        two, one, lambda v: {**v, "x0": v["x0"] * k, "sx": v["sx"] * abs(k)},
        lambda e: {**e, "x0": e["x0"] * abs(k), "sx": e["sx"] * abs(k)},
    )  # fmt: skip


@QUICK
@given(seeds, seeds)
def test_points_permuted(seed, order):
    x, y, z, w = problem(seed, grid=False)
    p = np.random.default_rng(order).permutation(z.size)
    one, two = fit(x, y, z, w), fit(x[p], y[p], z[p], w[p])
    compare(two, one)
    assert two.residual == pytest.approx(one.residual[p], abs=1e-9)
    assert np.asarray(two.best_fit) == pytest.approx(np.asarray(one.best_fit)[p], rel=1e-9)


@QUICK
@given(seeds)
def test_grid_open_grid_flat_and_shuffled_axes_are_one_fit(seed):
    x, y, z, w = problem(seed)
    one = fit(x, y, z, w)
    compare(fit(x[:1], y[:, :1], z, w), one)
    compare(fit(x.ravel(), y.ravel(), z.ravel(), w.ravel()), one)
    compare(fit(x[::-1, ::-1], y[::-1, ::-1], z[::-1, ::-1], w[::-1, ::-1]), one)
    compare(fit(x.T, y.T, z.T, w.T), one)


@QUICK
@given(seeds)
def test_axes_swapped(seed):
    x, y, z, w = problem(seed)
    swapped = {**START, "x0": START["y0"], "y0": START["x0"], "sx": START["sy"], "sy": START["sx"]}
    compare(fit(y, x, z, w, swapped), fit(x, y, z, w), names={"x0": "y0", "y0": "x0", "sx": "sy", "sy": "sx"})


@QUICK
@given(seeds, st.integers(2, 4))
def test_weights_split_over_copies(seed, n):
    """A point given n times, each with weight w / sqrt(n), is that point once."""
    x, y, z, w = problem(seed, grid=False)
    one = fit(x, y, z, w, scale_covar=False)
    two = fit(np.tile(x, n), np.tile(y, n), np.tile(z, n), np.tile(w, n) / np.sqrt(n), scale_covar=False)
    compare(two, one)
    assert two.chisqr == pytest.approx(one.chisqr, rel=TOL)


@QUICK
@given(seeds, scales)
def test_weights_scaled_do_not_matter_when_the_covariance_is_scaled(seed, k):
    x, y, z, w = problem(seed)
    one, two = fit(x, y, z, w), fit(x, y, z, w * k)
    compare(two, one)
    assert two.chisqr == pytest.approx(one.chisqr * k * k, rel=TOL)


@QUICK
@given(seeds, scales)
def test_weights_scaled_scale_the_errors_when_they_are_known(seed, k):
    x, y, z, w = problem(seed)
    compare(fit(x, y, z, w * k, scale_covar=False), fit(x, y, z, w, scale_covar=False), errors=lambda e: {n: v / k for n, v in e.items()})


@QUICK
@given(seeds)
def test_excluded_points_are_no_points(seed):
    x, y, z, w = problem(seed, grid=False)
    out = np.random.default_rng(seed).random(z.size) < 0.2
    one = fit(x[~out], y[~out], z[~out], w[~out])
    dirty = np.where(out, np.nan, z)
    compare(fit(x, y, dirty, w, mask=out), one)
    compare(fit(x, y, dirty, np.where(out, 0.0, w)), one)
    compare(fit(x, y, dirty, w, nan_policy="omit"), one)
    compare(fit(x, y, np.ma.MaskedArray(dirty, mask=out), w), one)


@QUICK
@given(seeds, signed, signed)
def test_starts_of_linear_parameters_do_not_matter(seed, h, base):
    x, y, z, w = problem(seed)
    one, two = fit(x, y, z, w), fit(x, y, z, w, {**START, "h": h, "base": base})
    compare(two, one)


@QUICK
@given(seeds, signed, signed, signed, st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_linear_model_under_affine_maps_of_everything(seed, kz, kx, ky, cx, cy):
    """a + b x + c y + d x y in new coordinates is the same surface: its coefficients follow from the old ones."""
    x, y, z, w = problem(seed, grid=False)
    cx, cy = cx * abs(kx) / 100, cy * abs(ky) / 100
    one = TILTED.fit(z, weights=w, x=x, y=y)
    two = TILTED.fit(kz * z, weights=w, x=kx * x + cx, y=ky * y + cy)
    X, Y = np.array([0.0, 10.0, 3.0, 7.0]), np.array([0.0, 2.0, 11.0, 6.0])
    ours, theirs = two.predict(x=kx * X + cx, y=ky * Y + cy), one.predict(x=X, y=Y)
    old, new = np.asarray(theirs["fit"]), np.asarray(ours["fit"]) / kz
    band = np.asarray(theirs["upper"]) - old
    # shifts of up to a hundred times the range cost their digits twice in x * y
    assert np.abs(new - old).max() <= 1e-7 * band.min()
    assert np.abs(np.asarray(ours["upper"]) - np.asarray(ours["fit"])) / abs(kz) == pytest.approx(band, rel=1e-7)
    d = one.params["d"]
    factor = kz / (kx * ky)
    assert abs(two.params["d"].value - d.value * factor) <= 1e-7 * d.stderr * abs(factor)
    assert two.params["d"].stderr == pytest.approx(d.stderr * abs(factor), rel=1e-7)


@QUICK
@given(seeds, st.floats(0.05, 20))
def test_bound_that_does_not_bind_and_a_fixed_truth(seed, factor):
    """Bounds away from the solution change nothing; a parameter fixed at its best value leaves the others where they were."""
    x, y, z, w = problem(seed)
    one = fit(x, y, z, w)
    params = BUMP.make_params(**START)
    for name, par in params.items():
        best, error = one.params[name].value, one.params[name].stderr
        par.set(min=best - (1000 + 100 * factor) * error - abs(START[name]), max=best + (1000 + 50 / factor) * error + abs(START[name]))
    compare(BUMP.fit(z, params, weights=w, x=x, y=y), one)
    fixed = BUMP.make_params(**START)
    fixed["sx"].set(value=one.params["sx"].value, vary=False)
    two = BUMP.fit(z, fixed, weights=w, x=x, y=y)
    for name in NAMES:
        assert abs(two.params[name].value - one.params[name].value) <= 1e-7 * one.params[name].stderr
        assert two.params[name].stderr <= one.params[name].stderr * np.sqrt((z.size - 5) / (z.size - 6)) * (1 + 1e-9)


def test_the_comparison_sees_a_part_in_1e8():
    """Negative control of everything above."""
    x, y, z, w = problem(1)
    with pytest.raises(AssertionError):
        compare(fit(x, y, z * (1 + 1e-8), w), fit(x, y, z, w))
