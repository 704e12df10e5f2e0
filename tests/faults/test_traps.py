"""
Traps that have bitten users of other fitters: scales, bounds, functions that can't be traced, odd starts, odd calls.

Oracles are closed forms, the reduced problem, or scipy with a Jacobian written by hand.
"""

import math
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import lmfit
import numpy as np
import pytest
from scipy.optimize import least_squares

import surffit as sf
from surffit.exceptions import DataError, NonFiniteError, ParameterError, ShapeError
from surffit.solve.status import Status


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def decay_by_hand(t, a, k, c):
    e = np.exp(-k * t)
    return a * e + c, np.stack([e, -a * t * e, np.ones_like(e)], axis=-1)


def exact(by_hand, start, z, *coords, weights=1.0, scale_covar=True):
    """Values and standard errors by scipy with the Jacobian differentiated by hand."""
    z, w = np.ravel(z), np.broadcast_to(weights, np.shape(z)).ravel()
    coords = [np.ravel(c) for c in coords]
    fit = least_squares(
        lambda p: (by_hand(*coords, *p)[0] - z) * w, start, lambda p: by_hand(*coords, *p)[1] * w[:, None],
        x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=5000,
    )  # fmt: skip
    norms = np.linalg.norm(fit.jac, axis=0)
    inverse = np.linalg.inv(np.linalg.qr(fit.jac / norms, mode="r")) / norms[:, None]
    s2 = 2 * fit.cost / (z.size - len(start)) if scale_covar else 1.0
    return fit.x, np.sqrt(s2 * np.einsum("ij,ij->i", inverse, inverse))


def agree(result, names, values, errors, value_tol=1e-6, error_tol=1e-6):
    assert result.success, result.reason
    for name, value, error in zip(names, values, errors, strict=True):
        par = result.params[name]
        assert abs(par.value - value) <= value_tol * error, (name, par.value, value, error)
        assert par.stderr == pytest.approx(error, rel=error_tol), name


@pytest.fixture
def t():
    return np.linspace(0.0, 10.0, 60)


@pytest.fixture
def noisy(t, rng):
    return decay(t, 5.0, 0.7, 1.0) + rng.normal(0.0, 0.05, t.shape)


# ---- scales ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flux", [7e-17, 1e-17, 1e-40, 1e-100, 1e100])
@pytest.mark.parametrize("weighted", [False, True], ids=["bare", "weights"])
@pytest.mark.parametrize("scale_covar", [True, False])
@pytest.mark.parametrize("start", [1.0, 0.0, "flux"])
def test_tiny_and_huge_fluxes(t, noisy, flux, weighted, scale_covar, start):
    weights = np.full(t.shape, 1 / (0.05 * flux)) if weighted else None
    model = sf.SurfaceModel(decay)
    a = 3 * flux if start == "flux" else start
    result = model.fit(noisy * flux, model.make_params(a=a, k=0.3, c=0.0), weights=weights, scale_covar=scale_covar, t=t)
    values, errors = exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t, weights=1 / 0.05 if weighted else 1.0, scale_covar=scale_covar)
    unit = np.array([flux, 1.0, flux])
    if not weighted and not scale_covar:  # then the data error is 1, whatever the data's scale
        _, errors = exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t, scale_covar=False)
        unit_errors = np.array([1.0, 1 / flux, 1.0])
        # tolerance of the values in the errors that the data really have
        _, real = exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t)
        assert result.success
        for name, value, error, u, v in zip("akc", values, real, unit, unit_errors * errors, strict=True):
            assert abs(result.params[name].value - value * u) <= 1e-6 * error * u
            assert result.params[name].stderr == pytest.approx(v, rel=1e-6)
        return
    agree(result, "akc", values * unit, errors * unit)


@pytest.mark.parametrize("flux", [1e-300, 1e-170, 1e170, 1e200])
def test_squares_beyond_the_range_of_floats_give_no_false_certainty(t, noisy, flux):
    """Chi-square under- or overflows; the rate's error is a plain number all the same, and must not be told as 0."""
    result = sf.SurfaceModel(decay).fit(noisy * flux, a=flux, k=0.3, c=0.0, t=t)
    values, errors = exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t)
    k = result.params["k"]
    assert k.value == pytest.approx(values[1], abs=1e-6 * errors[1])
    if np.isnan(k.stderr):
        assert "No errors" in result.explain()
    else:
        assert k.stderr == pytest.approx(errors[1], rel=1e-6)


@pytest.mark.parametrize("flux", [7e-17, 1e-17])
def test_bounds_at_zero_do_not_lose_tiny_fluxes(t, noisy, flux):
    model = sf.SurfaceModel(decay)
    params = model.make_params(a={"value": 2 * flux, "min": 0}, k={"value": 0.3, "min": 0}, c={"value": flux, "min": 0, "max": 1e-3})
    result = model.fit(noisy * flux, params, t=t)
    values, errors = exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t)
    agree(result, "akc", values * [flux, 1, flux], errors * np.array([flux, 1, flux]))


@pytest.mark.parametrize("start", [1.0, 1e6, 1e13, 9.9e13])
def test_bounds_of_fourteen_decades(t, noisy, start):
    model = sf.SurfaceModel(decay)
    params = model.make_params(a={"value": start, "min": 0, "max": 1e14}, k={"value": 0.3, "min": 0, "max": 1e14}, c=0.0)
    result = model.fit(noisy, params, t=t)
    agree(result, "akc", *exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t))
    assert Status.AT_BOUND not in result.status


@pytest.mark.parametrize(("start", "bounded"), [(s, b) for s in (0.0, 1e-12, 1e-9, 1e-7, -1e-9) for b in (False, True) if s >= 0 or not b])
def test_rate_of_1e_minus_9(rng, start, bounded):
    t = np.linspace(0.0, 5e9, 80)
    z = decay(t, 5.0, 1e-9, 1.0) + rng.normal(0.0, 0.02, t.shape)
    model = sf.SurfaceModel(decay)
    params = model.make_params(a=1.0, k={"value": start, **({"min": 0.0, "max": 1e-3} if bounded else {})}, c=0.0)
    values, errors = exact(lambda t, a, k, c: decay_by_hand(t * 1e-9, a, k, c), [4.0, 1.2, 0.5], z, t)
    unit = np.array([1.0, 1e-9, 1.0])
    agree(model.fit(z, params, t=t), "akc", values * unit, errors * unit)


@pytest.mark.parametrize("start", [1e-6, 1e-3, 1.0])
def test_rate_that_no_point_feels_is_never_a_success(rng, start):
    """From a rate a thousand times too fast only the first of the points sees the decay: nothing points the way back."""
    t = np.linspace(0.0, 5e9, 80)
    z = decay(t, 5.0, 1e-9, 1.0) + rng.normal(0.0, 0.02, t.shape)
    result = sf.SurfaceModel(decay).fit(z, a=1.0, k=start, c=0.0, t=t)
    assert not result.success
    assert result.status & (Status.NO_EFFECT_AT_START | Status.STALLED | Status.NOT_A_MINIMUM)
    assert "k" in result.explain().split()


def line_center(t, area, mid, width, base):
    return area / width * np.exp(-0.5 * ((t - mid) / width) ** 2) + base


def line_by_hand(t, area, mid, width, base):
    u = (t - mid) / width
    e = np.exp(-0.5 * u**2) / width
    return area * e + base, np.stack([e, area * e * u / width, area * e * (u**2 - 1) / width, np.ones_like(t)], axis=-1)


@pytest.mark.parametrize("offset", [0.0, 2.46e6, 2460676.5])
@pytest.mark.parametrize("start", [-1.0, 0.0, 2.0])
def test_julian_dates_of_a_transit(rng, offset, start):
    days = np.arange(-64, 65) / 32  # exact in binary at every offset
    z = line_center(days, -0.8, 0.21, 0.3, 10.0) + rng.normal(0.0, 0.01, days.shape)
    model = sf.SurfaceModel(line_center)
    result = model.fit(z, area=-1.0, mid=offset + 0.3 * start, width=0.5, base=9.0, t=days + offset)
    values, errors = exact(line_by_hand, [-1.0, 0.1, 0.5, 9.0], z, days)
    values[1] += offset
    # a date of 2.5e6 is a multiple of 4.7e-10: nothing finer can be written down, and the others follow that rounding
    spacing = np.spacing(offset) if offset else 0.0
    assert result.success
    for name, value, error in zip(("area", "mid", "width", "base"), values, errors, strict=True):
        assert abs(result.params[name].value - value) <= 1e-6 * error + spacing
        assert result.params[name].stderr == pytest.approx(error, rel=1e-6)


@pytest.mark.filterwarnings("ignore::surffit.exceptions.DataWarning")
def test_coordinate_offset_of_1e9(rng):
    days = np.arange(-64, 65) / 32.0
    z = line_center(days, -0.8, 0.21, 0.3, 10.0) + rng.normal(0.0, 0.01, days.shape)
    model = sf.SurfaceModel(line_center)
    result = model.fit(z, area=-1.0, mid=1e9 + 0.5, width=0.5, base=9.0, t=days + 1e9)
    values, errors = exact(line_by_hand, [-1.0, 0.1, 0.5, 9.0], z, days)
    assert result.success
    assert abs(result.params["mid"].value - (1e9 + values[1])) <= 1.2e-7
    assert result.params["mid"].stderr == pytest.approx(errors[1], rel=1e-4)
    assert result.params["width"].value == pytest.approx(values[2], abs=1e-3 * errors[2])


def test_polynomial_on_shifted_coordinates(rng):
    """A line on Julian dates: raw columns are parallel to 1e-6, and both coefficients still have all their digits."""
    days = np.arange(40.0)
    date = days + 2460676.0
    z = 3.0 + 0.25 * days + rng.normal(0.0, 0.1, days.shape)
    result = sf.SurfaceModel(lambda x, a, b: a + b * x).fit(z, x=date)
    slope, icept = np.polynomial.polynomial.polyfit(days, z, 1)[::-1]
    s2 = np.sum((z - icept - slope * days) ** 2) / 38
    sxx = np.sum((days - days.mean()) ** 2)
    assert result.params["b"].value == pytest.approx(slope, rel=1e-10)
    assert result.params["b"].stderr == pytest.approx(np.sqrt(s2 / sxx), rel=1e-9)
    assert result.params["a"].value == pytest.approx(icept - slope * 2460676.0, rel=1e-10)
    assert result.params["a"].stderr == pytest.approx(np.sqrt(s2 * (1 / 40 + date.mean() ** 2 / sxx)), rel=1e-9)


# ---- what the data don't determine ------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [{"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 0.0}, {"a": 100.0, "b": -3.0}, {}])
def test_redundant_sum_is_named_and_the_rest_is_the_reduced_fit(t, noisy, start):
    model = sf.SurfaceModel(lambda t, a, b, k: (a + b) * np.exp(-k * t))
    result = model.fit(noisy, k=0.5, t=t, **start)
    reduced = sf.SurfaceModel(lambda t, s, k: s * np.exp(-k * t)).fit(noisy, k=0.5, t=t)
    assert result.success
    assert Status.RANK_DEFICIENT in result.status
    assert result.params["a"].stderr == result.params["b"].stderr == np.inf
    k, s = reduced.params["k"], reduced.params["s"]
    assert abs(result.params["k"].value - k.value) <= 1e-8 * k.stderr
    assert result.params["k"].stderr == pytest.approx(k.stderr, rel=1e-10)
    assert result.params["a"].value + result.params["b"].value == pytest.approx(s.value, abs=1e-8 * s.stderr)
    assert result.redchi == pytest.approx(reduced.redchi, rel=1e-12)
    ours, theirs = result.predict(t=t[:5]), reduced.predict(t=t[:5])
    for mine, other in zip(ours.values() if isinstance(ours, dict) else ours.T.to_numpy(),
                           theirs.values() if isinstance(theirs, dict) else theirs.T.to_numpy(), strict=True):  # fmt: skip
        assert np.asarray(mine) == pytest.approx(np.asarray(other), rel=1e-8)


def test_redundant_product_of_nonlinear_parameters(t, noisy):
    model = sf.SurfaceModel(lambda t, a, k, j, c: a * np.exp(-k * j * t) + c)
    result = model.fit(noisy, a=1.0, k=1.0, j=0.5, c=0.0, t=t)
    values, errors = exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t)
    assert result.success, result.reason
    assert Status.RANK_DEFICIENT in result.status
    assert set(result.conditioning.undetermined) == {"k", "j"}
    assert result.params["k"].stderr == result.params["j"].stderr == np.inf
    assert result.params["k"].value * result.params["j"].value == pytest.approx(values[1], abs=1e-5 * errors[1])
    assert result.params["a"].stderr == pytest.approx(errors[0], rel=1e-6)
    assert result.params["c"].stderr == pytest.approx(errors[2], rel=1e-6)


def test_structurally_unused_argument_gets_inf_and_the_rest_succeeds(t, noisy):
    model = sf.SurfaceModel(lambda t, a, k, c, ghost: a * np.exp(-k * t) + c + 0 * ghost)
    result = model.fit(noisy, a=1.0, k=0.5, c=0.0, ghost=3.0, t=t)
    agree(result, "akc", *exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t))
    assert result.params["ghost"].value == 3.0
    assert result.params["ghost"].stderr == np.inf
    assert "ghost has no effect on the model at all" in result.explain().replace("\n  ", " ")


# ---- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["linear", "nonlinear"])
@pytest.mark.parametrize("start_on_bound", [False, True])
def test_solution_on_a_bound(t, noisy, which, start_on_bound):
    """The one on the bound has stderr nan; value and error of the others are those with it fixed there."""
    model = sf.SurfaceModel(decay)
    params = model.make_params(a=1.0, k=0.5, c=0.5)
    if which == "linear":
        name, bound = "c", 0.9
        params["c"].set(max=bound, value=bound if start_on_bound else 0.5)
    else:
        name, bound = "k", 0.6
        params["k"].set(max=bound, value=bound if start_on_bound else 0.5)
    result = model.fit(noisy, params, t=t)
    fixed = model.make_params(a=1.0, k=0.5, c=0.5)
    fixed[name].set(value=bound, vary=False)
    reduced = model.fit(noisy, fixed, t=t)
    assert result.success
    assert Status.AT_BOUND in result.status
    assert result.params[name].value == bound
    assert np.isnan(result.params[name].stderr)
    assert result.conditioning.at_bound == {name: "max"}
    for other in set("akc") - {name}:
        mine, theirs = result.params[other], reduced.params[other]
        assert abs(mine.value - theirs.value) <= 1e-6 * theirs.stderr
        assert mine.stderr == pytest.approx(theirs.stderr, rel=1e-6)
    index = result.var_names.index(name)
    assert np.isnan(result.covar[index]).all()
    assert np.isnan(result.covar[:, index]).all()
    assert result.errorbars
    assert f"{name} is on its max = {bound}" in result.explain().replace("\n  ", " ")


def test_two_bounds_at_once(t, noisy):
    model = sf.SurfaceModel(decay)
    params = model.make_params(a={"value": 1.0, "max": 4.0}, k={"value": 0.5, "min": 0.1}, c={"value": 0.5, "max": 0.9})
    result = model.fit(noisy, params, t=t)
    fixed = model.make_params(a={"value": 4.0, "vary": False}, k=0.5, c={"value": 0.9, "vary": False})
    reduced = model.fit(noisy, fixed, t=t)
    assert set(result.conditioning.at_bound) == {"a", "c"}
    assert result.params["k"].value == pytest.approx(reduced.params["k"].value, abs=1e-6 * reduced.params["k"].stderr)
    assert result.params["k"].stderr == pytest.approx(reduced.params["k"].stderr, rel=1e-6)


@pytest.mark.parametrize("bad", ["value below min", "value above max"])
def test_bounds_that_do_not_bind_change_nothing(t, noisy, bad):
    model = sf.SurfaceModel(decay)
    params = model.make_params(
        a={"value": 0.0, "min": 0.0, "max": 50}, k={"value": 0.0 if bad == "value below min" else 20.0, "min": 0.0, "max": 20.0}, c=0.0
    )
    agree(model.fit(noisy, params, t=t), "akc", *exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t))


def test_min_above_max_is_refused_with_both_numbers(t, noisy):
    model = sf.SurfaceModel(decay)
    params = model.make_params(a=1.0, k=0.5, c=0.0)
    params["k"].min, params["k"].max = 3.0, 2.0
    with pytest.raises(ParameterError, match=r"k has min = 3\.0 above max = 2\.0"):
        model.fit(noisy, params, t=t)


def test_min_equal_to_max_is_refused_with_the_remedy(t, noisy):
    model = sf.SurfaceModel(decay)
    params = model.make_params(a=1.0, k=0.5, c=0.0)
    params["k"].min = params["k"].max = 0.5
    with pytest.raises(ParameterError, match=r"k has min == max = 0\.5; fix it with vary=False"):
        model.fit(noisy, params, t=t)


def test_bounds_given_through_make_params_and_hints_are_refused_alike(t, noisy):
    model = sf.SurfaceModel(decay)
    model.set_param_hint("k", min=3.0, max=2.0)
    with pytest.raises(ParameterError, match=r"k has min = 3\.0 above max = 2\.0"):
        model.fit(noisy, a=1.0, k=2.5, c=0.0, t=t)


def test_nan_start_is_refused_by_name(t, noisy):
    model = sf.SurfaceModel(decay)
    with pytest.raises(ParameterError, match="start of parameter k is nan"):
        model.fit(noisy, a=1.0, k=np.nan, c=0.0, t=t)


# ---- shapes and weights ------------------------------------------------------------------------------------------------


def plane(x, y, a, b, c):
    return a + b * x + c * y


@pytest.mark.parametrize("name", ["weights", "sigma", "var", "ivar", "mask"])
def test_errors_of_one_row_are_not_broadcast_over_all(name):
    y, x = np.mgrid[:20, :30].astype(float)
    row = np.zeros(30, dtype=bool) if name == "mask" else np.ones(30)
    with pytest.raises(ShapeError, match=rf"{name} has shape \(30,\), the data \(20, 30\)"):
        sf.SurfaceModel(plane, ["x", "y"]).fit(plane(x, y, 1, 2, 3), x=x, y=y, **{name: row})


@pytest.mark.parametrize("shape", [(1, 25), (25, 1), (25,), (24, 25), (1,), ()])
def test_data_smaller_than_the_model(shape):
    y, x = np.mgrid[:25, :25].astype(float)
    with pytest.raises(ShapeError) as err:
        sf.SurfaceModel(plane, ["x", "y"]).fit(np.ones(shape), x=x, y=y)
    assert str(shape) in str(err.value)
    assert "(25, 25)" in str(err.value)


def test_data_larger_than_the_model():
    y, x = np.mgrid[:25, :25].astype(float)
    with pytest.raises(ShapeError, match=r"data has shape \(26, 25\) .*\(25, 25\)"):
        sf.SurfaceModel(plane, ["x", "y"]).fit(np.ones((26, 25)), x=x, y=y)


def test_scalar_sigma_is_one_error_for_all(t, noisy):
    model = sf.SurfaceModel(decay)
    one = model.fit(noisy, sigma=0.05, scale_covar=False, a=1.0, k=0.5, c=0.0, t=t)
    agree(one, "akc", *exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t, weights=20.0, scale_covar=False))


@pytest.mark.parametrize(("name", "value"), [("weights", 20.0), ("sigma", 0.05), ("var", 0.0025), ("ivar", 400.0)])
def test_four_spellings_of_the_error(t, noisy, name, value):
    ramp = 1 + t
    power = {"weights": -1, "sigma": 1, "var": 2, "ivar": -2}[name]
    result = sf.SurfaceModel(decay).fit(noisy, a=1.0, k=0.5, c=0.0, t=t, scale_covar=False, **{name: value * ramp**power})
    agree(result, "akc", *exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t, weights=20.0 / ramp, scale_covar=False))


def test_two_spellings_together_are_refused(t, noisy):
    with pytest.raises(DataError, match="weights and sigma were both given"):
        sf.SurfaceModel(decay).fit(noisy, a=1.0, k=0.5, c=0.0, t=t, weights=np.ones(60), sigma=np.ones(60))


def test_infinite_sigma_excludes(t, noisy):
    sigma = np.full(60, 0.05)
    sigma[[3, 30]] = np.inf
    broken = noisy.copy()
    broken[3], broken[30] = np.nan, 1e9
    result = sf.SurfaceModel(decay).fit(broken, a=1.0, k=0.5, c=0.0, t=t, sigma=sigma)
    used = np.isfinite(sigma)
    agree(result, "akc", *exact(decay_by_hand, [4.0, 0.5, 0.5], noisy[used], t[used], weights=20.0))
    assert result.ndata == 58


# ---- nothing of the user's changes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["good", "refused", "interrupted"])
def test_model_params_and_inputs_are_unchanged(t, noisy, outcome):
    model = sf.SurfaceModel(decay)
    model.set_param_hint("k", min=0)
    params = model.make_params(a=1.0, k=0.5, c=0.0)
    params.add("half_life", expr="log(2)/k")
    weights, mask = np.full(60, 20.0), np.zeros(60, dtype=bool)
    weights[7], mask[8] = 0.0, True
    inputs = {"data": noisy, "t": t, "weights": weights, "mask": mask}
    if outcome == "refused":
        noisy[0] = np.nan
    before = {name: (a.tobytes(), a.dtype, a.shape, a.flags.writeable) for name, a in inputs.items()}
    dumped, pickled = params.dumps(), pickle.dumps({k: v for k, v in sorted(vars(model).items()) if k not in ("_structures", "func")})

    def stop(*args, **kws):
        raise KeyboardInterrupt

    try:
        model.fit(noisy, params, weights=weights, mask=mask, t=t, iter_cb=stop if outcome == "interrupted" else None)
    except (NonFiniteError, KeyboardInterrupt):
        assert outcome != "good"
    else:
        assert outcome == "good"
    assert {name: (a.tobytes(), a.dtype, a.shape, a.flags.writeable) for name, a in inputs.items()} == before
    assert params.dumps() == dumped
    assert pickle.dumps({k: v for k, v in sorted(vars(model).items()) if k not in ("_structures", "func")}) == pickled
    assert all(par.stderr is None for par in params.values())


def test_sigma_mask_and_kws_are_unchanged(t, noisy):
    model = sf.SurfaceModel(decay)
    sigma, kws = np.full(60, 0.05), {"polish": True}
    model.fit(noisy, sigma=sigma, fit_kws=kws, a=1.0, k=0.5, c=0.0, t=t)
    assert (sigma == 0.05).all()
    assert kws == {"polish": True}


def test_nan_policy_is_not_sticky(t, noisy):
    model = sf.SurfaceModel(decay)
    noisy[3] = np.nan
    assert model.fit(noisy, nan_policy="omit", a=1.0, k=0.5, c=0.0, t=t).ndata == 59
    assert model.nan_policy == "raise"
    with pytest.raises(NonFiniteError):
        model.fit(noisy, a=1.0, k=0.5, c=0.0, t=t)


def test_nan_policy_of_the_model_is_overridden_for_one_fit_only(t, noisy):
    model = sf.SurfaceModel(decay, nan_policy="omit")
    noisy[3] = np.nan
    with pytest.raises(NonFiniteError):
        model.fit(noisy, nan_policy="raise", a=1.0, k=0.5, c=0.0, t=t)
    assert model.fit(noisy, a=1.0, k=0.5, c=0.0, t=t).ndata == 59


def test_propagate_is_refused_with_a_sentence(t, noisy):
    with pytest.raises(ParameterError, match='nan_policy=\'propagate\' is not available; use "raise", or "omit"'):
        sf.SurfaceModel(decay, nan_policy="propagate")
    with pytest.raises((ParameterError, DataError), match="'propagate' is not available"):
        sf.SurfaceModel(decay).fit(noisy, nan_policy="propagate", a=1.0, k=0.5, c=0.0, t=t)


def test_param_names_do_not_grow_with_use():
    model = sf.SurfaceModel.from_lmfit(lmfit.models.GaussianModel())
    names = list(model.param_names)
    x = np.linspace(-3, 3, 40)
    z = np.exp(-(x**2)) + 0.01 * np.cos(9 * x)
    for _ in range(2):
        model.fit(z, amplitude=1.0, center=0.1, sigma=1.0, x=x)
        assert model.param_names == names


def test_numpy_error_state_is_restored_after_every_ending(t, noisy):
    def raises(t, a, k):
        if float(k) > -1e9:
            msg = "no"
            raise RuntimeError(msg)
        return a * t

    def half(t, a, k):
        return a * np.log(t - k)

    model, broken, odd = (sf.SurfaceModel(f) for f in (decay, raises, half))
    for state in ("ignore", "warn", "raise"):
        with np.errstate(all=state):
            before = np.geterr()
            model.fit(noisy, a=1.0, k=0.5, c=0.0, t=t)
            assert np.geterr() == before
            with pytest.raises(RuntimeError, match="no"):
                broken.fit(noisy, a=1.0, k=1.0, t=t)
            assert np.geterr() == before
            with pytest.raises(NonFiniteError):
                odd.fit(noisy, a=1.0, k=5.0, t=t)
            assert np.geterr() == before
            model.fit(noisy, method="leastsq", a=1.0, k=0.5, c=0.0, t=t)
            assert np.geterr() == before
            model.fit(noisy, max_nfev=1, a=1.0, k=0.5, c=0.0, t=t)
            assert np.geterr() == before


def test_fits_do_not_touch_the_global_random_state(t, noisy):
    def branchy(t, a, k, c):
        return decay(t, a, k, c) if float(k) > -1 else t

    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what is looked at
    sf.SurfaceModel(branchy).fit(noisy, a=1.0, k=0.5, c=0.0, t=t)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


# ---- functions that can't be traced, or only with care ----------------------------------------------------------------


def with_if(t, a, k, c):
    if k < 0:
        return np.full_like(t, 1e3)
    return a * np.exp(-k * t) + c


def with_try(t, a, k, c):
    try:
        factor = math.exp(-float(k))
    except TypeError:
        factor = 1.0  # what a symbol or a complex step would get: a wrong function
    return a * factor**t + c


def with_bare_except(t, a, k, c):
    try:
        return a * math.exp(-k) ** t + c
    except Exception:  # noqa: BLE001 - the trap
        return a * t + c


def in_place(t, a, k, c):
    out = np.zeros_like(t)
    out += a * np.exp(-k * t)
    out += c
    return out


def writes_into_x(t, a, k, c):
    t *= -k
    np.exp(t, out=t)
    t *= a
    t += c
    return t


def with_loop(t, a, k, c):
    return np.array([a * math.exp(-k * ti) + c for ti in t])


def indexed(t, a, k, c):
    out = np.empty_like(t)
    out[:30] = a * np.exp(-k * t[:30]) + c
    out[30:] = a * np.exp(-k * t[30:]) + c
    return out


def with_float(t, a, k, c):
    return a * np.exp(-float(k) * t) + c


def with_where(t, a, k, c):
    return np.where(t > 5, a * np.exp(-k * t), a / np.exp(k * t)) + c


def with_abs(t, a, k, c):
    return np.abs(a) * np.exp(-np.abs(k) * t) + c


def with_complex_parts(t, a, k, c):
    return (a * np.exp((-k + 0j) * t)).real + c


def with_max(t, a, k, c):
    return a * np.exp(-max(k, 1e-3) * t) + c


def with_isinstance(t, a, k, c):
    if isinstance(k, (int, float)):
        return a * np.exp(-k * t) + c
    return a * np.cos(k * t) + c


def with_string(t, a, k, c):
    return eval(f"a*np.exp(-({float(k)!r})*t) + c", {"np": np, "a": a, "t": t, "c": c})  # noqa: S307 - a user's habit


def returns_list(t, a, k, c):
    return list(a * np.exp(-k * t) + c)


FUNCTIONS = {
    with_if: {"differences", "complex-step"}, with_try: {"graph", "differences"}, with_bare_except: {"graph", "differences"},
    in_place: {"graph", "differences"}, writes_into_x: {"graph", "complex-step", "differences"}, with_loop: {"graph", "differences"},
    indexed: {"graph", "differences"}, with_float: {"graph", "differences"}, with_where: {"graph"},
    with_abs: {"graph"}, with_complex_parts: {"graph", "differences"}, with_max: {"graph"}, with_isinstance: {"graph", "differences"},
    with_string: {"differences"}, returns_list: {"graph", "complex-step"},
}  # fmt: skip


@pytest.mark.parametrize("func", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_kind_of_function_gets_the_right_answer_and_says_how(t, noisy, func):
    model = sf.SurfaceModel(func)
    result = model.fit(noisy, a=3.0, k=0.4, c=0.5, t=t)
    assert result.conditioning.derivatives in FUNCTIONS[func], result.conditioning.derivatives
    agree(result, "akc", *exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t), value_tol=1e-5, error_tol=1e-6)
    shown = {"graph": "exact", "complex-step": "complex step", "differences": "finite differences"}[result.conditioning.derivatives]
    assert shown in result.explain()


def test_branch_taken_on_data_not_on_parameters_is_exact(t, noisy):
    def branch(t, a, k, c):
        if t.max() > 5:
            return a * np.exp(-k * t) + c
        return a * t

    result = sf.SurfaceModel(branch).fit(noisy, a=3.0, k=0.4, c=0.5, t=t)
    agree(result, "akc", *exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t))


def test_branch_whose_sides_meet_in_the_fit(t, rng):
    """A kink at a parameter: the branch that the start takes isn't the one of the solution."""

    def broken_line(t, a, b, knee):
        if knee > 5:
            return a + b * t
        return a + b * np.minimum(t, 2.5)

    z = 1.0 + 0.5 * np.minimum(t, 2.5) + rng.normal(0, 0.01, t.shape)
    model = sf.SurfaceModel(broken_line)
    params = model.make_params(a=0.0, b=1.0, knee={"value": 4.0, "vary": False})
    first = model.fit(z, params, t=t)
    params["knee"].value = 6.0
    second = model.fit(z, params, t=t)
    for result, u in ((first, np.minimum(t, 2.5)), (second, t)):
        expected = np.polynomial.polynomial.polyfit(u, z, 1)
        assert [result.params["a"].value, result.params["b"].value] == pytest.approx(expected, rel=1e-9)


def test_random_functions_are_not_given_digits_they_do_not_have(t):
    generator = np.random.default_rng(3)

    def noisy_function(t, a, k, c):
        return a * np.exp(-k * t) + c + generator.normal(0.0, 1e-6, np.shape(t))

    z = decay(t, 5.0, 0.7, 1.0) + np.random.default_rng(4).normal(0.0, 0.05, t.shape)
    result = sf.SurfaceModel(noisy_function).fit(z, a=3.0, k=0.4, c=0.5, t=t)
    values, errors = exact(decay_by_hand, [4.0, 0.5, 0.5], z, t)
    assert result.conditioning.derivatives == "differences"
    for name, value, error in zip("akc", values, errors, strict=True):
        assert abs(result.params[name].value - value) < 0.02 * error
        assert result.params[name].stderr == pytest.approx(error, rel=0.02)


def test_function_with_memory(t, noisy):
    calls = []

    def counting(t, a, k, c):
        calls.append(1)
        return a * np.exp(-k * t) + c + 1e-9 * len(calls)

    result = sf.SurfaceModel(counting).fit(noisy, a=3.0, k=0.4, c=0.5, t=t)
    assert result.conditioning.derivatives != "graph"
    values, errors = exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t)
    for name, value, error in zip("akc", values, errors, strict=True):
        assert abs(result.params[name].value - value) < 0.02 * error


def test_float32_function_has_float32_digits(t, noisy):
    def single(t, a, k, c):
        t = np.asarray(t, dtype=np.float32)
        return np.float32(a) * np.exp(-np.float32(k) * t) + np.float32(c)

    result = sf.SurfaceModel(single).fit(noisy, a=3.0, k=0.4, c=0.5, t=t)
    values, errors = exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t)
    assert result.success, result.reason
    assert result.conditioning.derivatives == "differences"
    for name, value, error in zip("akc", values, errors, strict=True):
        assert abs(result.params[name].value - value) < 1e-3 * error
        assert result.params[name].stderr == pytest.approx(error, rel=1e-3)


def test_complex_model(rng):
    f = np.linspace(1.0, 3.0, 80)

    def resonance(f, s, f0, q, phi):
        return s * np.exp(1j * phi) / (1 + 2j * q * (f - f0) / f0)

    noise = rng.normal(0, 0.01, 80) + 1j * rng.normal(0, 0.01, 80)
    z = resonance(f, 2.0, 2.05, 9.0, 0.4) + noise
    result = sf.SurfaceModel(resonance).fit(z, s=1.0, f0=2.0, q=5.0, phi=0.0, f=f)

    def both(p):
        r = resonance(f, *p) - z
        return np.concatenate([r.real, r.imag])

    def jac(p):
        s, f0, q, phi = p
        d = 1 + 2j * q * (f - f0) / f0
        F = s * np.exp(1j * phi) / d
        columns = [F / s, -F / d * 2j * q * (-f / f0**2), -F / d * 2j * (f - f0) / f0, 1j * F]
        return np.concatenate([np.array(columns).real, np.array(columns).imag], axis=1).T

    ref = least_squares(both, [2.0, 2.05, 9.0, 0.4], jac, x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15)
    errors = np.sqrt(2 * ref.cost / (160 - 4) * np.diag(np.linalg.inv(ref.jac.T @ ref.jac)))
    agree(result, ("s", "f0", "q", "phi"), ref.x, errors)
    assert np.iscomplexobj(result.best_fit)
    assert np.iscomplexobj(result.residual_map)


def test_function_that_raises_raises_its_own_error(t, noisy):
    def broken(t, a, k):
        msg = f"k = {float(k)} is not supported"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="is not supported"):
        sf.SurfaceModel(broken).fit(noisy, a=1.0, k=0.5, t=t)


@pytest.mark.parametrize("error", [ValueError, ZeroDivisionError, FloatingPointError, OverflowError])
def test_function_that_raises_somewhere_in_the_walk(t, noisy, error):
    """Arithmetic that fails at a trial point is a point without value; it must not end the fit."""

    def fussy(t, a, k, c):
        if float(k) > 1.4:
            msg = "too fast"
            raise error(msg)
        return a * np.exp(-float(k) * t) + c

    values, errors = exact(decay_by_hand, [4.0, 0.5, 0.5], noisy, t)
    model = sf.SurfaceModel(fussy)
    result = model.fit(noisy, a=3.0, k=1.35, c=0.5, t=t)
    agree(result, "akc", values, errors, value_tol=1e-5, error_tol=1e-5)


def test_wrong_shape_from_the_function(t, noisy):
    def wrong(t, a, k):
        return a * np.exp(-k * t[:-1])

    with pytest.raises(ShapeError, match=r"\(60,\).*\(59,\)"):
        sf.SurfaceModel(wrong).fit(noisy, a=1.0, k=0.5, t=t)


def test_function_that_returns_none(t, noisy):
    def forgot(t, a, k):
        a * np.exp(-k * t)

    with pytest.raises((DataError, ParameterError, TypeError)) as err:
        sf.SurfaceModel(forgot).fit(noisy, a=1.0, k=0.5, t=t)
    assert "None" in str(err.value)


# ---- starts ------------------------------------------------------------------------------------------------------------


def wave(t, a, f, phi):
    return a * np.sin(f * t + phi)


@pytest.mark.parametrize("width", ["fixed", "free"])
@pytest.mark.parametrize("place", [0.0, 0.1])
def test_start_exactly_at_a_saddle_is_left(rng, width, place):
    """
    Two peaks started at the same place: by symmetry the gradient never separates them.

    With a free width a split is, to second order, a broadening: chi-square then falls only to fourth order.
    """
    x = np.linspace(-6, 6, 121)

    def two(x, h, left, right, s):
        return h * (np.exp(-0.5 * ((x - left) / s) ** 2) + np.exp(-0.5 * ((x - right) / s) ** 2))

    z = two(x, 2.0, -1.5, 1.7, 0.8) + rng.normal(0, 0.02, x.shape)
    model = sf.SurfaceModel(two)
    params = model.make_params(h=1.0, left=-1.0, right=1.0, s={"value": 0.8, "vary": width == "free"})
    apart = model.fit(z, params, x=x)
    params["left"].value = params["right"].value = place
    result = model.fit(z, params, x=x)
    assert result.success, result.reason
    assert result.chisqr == pytest.approx(apart.chisqr, rel=1e-9)
    ends = sorted([result.params["left"].value, result.params["right"].value])
    assert ends == pytest.approx([apart.params["left"].value, apart.params["right"].value], abs=1e-6)
    assert Status.RANK_DEFICIENT not in result.status


def test_start_on_a_maximum_of_one_parameter(rng):
    """cos(b) at b = 0: zero gradient, and chi-square falls both ways."""
    x = np.linspace(0.5, 1.5, 40)
    z = 0.3 * x + rng.normal(0, 1e-3, x.shape)
    model = sf.SurfaceModel(lambda x, b: np.cos(b) * x)
    result = model.fit(z, b=0.0, x=x)
    cosine = float(x @ z / (x @ x))
    assert result.success, result.reason
    assert abs(result.params["b"].value) == pytest.approx(math.acos(cosine), abs=1e-8)
    assert "saddle" in result.explain()


def lump(x, h, x0, s, c):
    return h * np.exp(-0.5 * ((x - x0) / np.maximum(np.abs(s), 1e-15)) ** 2) + c


@pytest.mark.parametrize("traced", [True, False], ids=["graph", "numeric"])
@pytest.mark.parametrize(
    "start", [{"x0": 0.123, "s": 0.0}, {"x0": 1e4, "s": 1.0}, {"x0": -1e3, "s": 2.0}], ids=["width 0", "far", "far left"]
)
def test_peak_that_no_point_feels_at_the_start(rng, traced, start):
    x = np.linspace(-5, 5, 101)
    z = lump(x, 3.0, 0.4, 0.9, 1.0) + rng.normal(0, 0.05, x.shape)

    def untraceable(x, h, x0, s, c):
        return lump(x, h, float(np.real(x0)), s, c)

    result = sf.SurfaceModel(lump if traced else untraceable).fit(z, h=1.0, c=0.0, x=x, **start)
    if result.success:  # found nevertheless: then it must be the minimum
        near = sf.SurfaceModel(lump).fit(z, h=1.0, x0=0.5, s=1.0, c=0.0, x=x)
        assert result.chisqr == pytest.approx(near.chisqr, rel=1e-6)
        assert np.isfinite([par.stderr for par in result.params.values()]).all()
        return
    assert Status.NO_EFFECT_AT_START in result.status
    assert "x0" in result.reason
    assert result.params["c"].value == pytest.approx(z.mean(), rel=1e-9)
    assert result.params["x0"].value == start["x0"]
    assert result.params["x0"].stderr == np.inf


def test_start_with_zero_width_that_divides_by_zero(rng):
    x = np.linspace(-5, 5, 101)
    z = lump(x, 3.0, 0.4, 0.9, 1.0) + rng.normal(0, 0.05, x.shape)

    def bare(x, h, x0, s, c):
        return h * np.exp(-0.5 * ((x - x0) / s) ** 2) + c

    model = sf.SurfaceModel(bare)
    # off the points everything is exp(-inf) = 0: finite, without effect
    result = model.fit(z, h=1.0, x0=0.123, s=0.0, c=0.0, x=x)
    if result.success:  # a look around found the peak; then it is the peak
        assert result.chisqr == pytest.approx(model.fit(z, h=2.0, x0=0.5, s=1.0, c=1.0, x=x).chisqr, rel=1e-9)
    else:
        assert Status.NO_EFFECT_AT_START in result.status
    # on a point it is 0/0
    with pytest.raises(NonFiniteError, match=r"x0 = .*s = 0"):
        model.fit(z, h=1.0, x0=x[50], s=0.0, c=0.0, x=x)


@pytest.mark.parametrize("start", [{"center": 1e5, "sigma": 1.0}, {"center": 0.0, "sigma": 0.0}, {"center": 0.123, "sigma": 0.0}])
def test_built_in_peak_is_moved_by_its_guess(rng, start):
    x = np.linspace(-5, 5, 101)
    z = lump(x, 3.0, 0.4, 0.9, 0.0) + rng.normal(0, 0.05, x.shape)
    model = sf.SurfaceModel.from_lmfit(lmfit.models.GaussianModel())
    result = model.fit(z, model.make_params(amplitude=1.0, **start), x=x)
    near = model.fit(z, model.guess(z, x=x), x=x)
    assert result.success, result.reason
    assert result.chisqr == pytest.approx(near.chisqr, rel=1e-9)
    assert "moved to the guess" in result.explain().replace("\n  ", " ")


def test_nonlinear_parameter_without_start_is_named(t, noisy):
    with pytest.raises(ParameterError, match=r"k of .* has no start value and is not linear") as err:
        sf.SurfaceModel(decay).fit(noisy, t=t)
    assert err.value.names == ("k",)


@pytest.mark.parametrize("start", [1e3, 1e5, 1e300, -1e3])
def test_overflow_at_the_start(t, noisy, start):
    """Where the model overflows the start is named; where it merely vanishes the parameter has no effect there."""
    model = sf.SurfaceModel(lambda t, a, k: a * np.exp(k * (t + 1)))
    if start < 0:
        result = model.fit(noisy, a=1.0, k=start, t=t)
        assert not result.success or result.params["k"].value == pytest.approx(-0.5, abs=0.5)
        return
    with pytest.raises(NonFiniteError, match=rf"k = {start:.6g}; change the start".replace("+", r"\+")):
        model.fit(noisy, a=1.0, k=start, t=t)


# ---- calls -------------------------------------------------------------------------------------------------------------


def test_unknown_keyword_is_refused_with_the_nearest_name(t, noisy):
    with pytest.raises(ParameterError, match=r"'wieghts' is neither .*did you mean 'weights'"):
        sf.SurfaceModel(decay).fit(noisy, a=1.0, k=0.5, c=0.0, t=t, wieghts=np.ones(60))


def test_everything_fixed_is_refused(t, noisy):
    model = sf.SurfaceModel(decay)
    params = model.make_params(a={"value": 1, "vary": False}, k={"value": 1, "vary": False}, c={"value": 0, "vary": False})
    with pytest.raises(ParameterError, match=r"every parameter of .* is fixed; nothing to fit"):
        model.fit(noisy, params, t=t)


def test_as_many_points_as_parameters(t):
    few = t[[0, 20, 50]]
    z = decay(few, 5.0, 0.7, 1.0)
    result = sf.SurfaceModel(decay).fit(z, a=3.0, k=0.4, c=0.5, t=few)
    assert result.success
    assert [p.value for p in result.params.values()] == pytest.approx([5.0, 0.7, 1.0], rel=1e-8)
    assert all(np.isnan(p.stderr) for p in result.params.values())
    assert "3 points for 3 parameters" in result.explain().replace("\n  ", " ")
    known = sf.SurfaceModel(decay).fit(z, sigma=np.full(3, 0.1), scale_covar=False, a=3.0, k=0.4, c=0.5, t=few)
    J = decay_by_hand(few, 5.0, 0.7, 1.0)[1] / 0.1
    assert [p.stderr for p in known.params.values()] == pytest.approx(np.sqrt(np.diag(np.linalg.inv(J.T @ J))), rel=1e-7)


def test_exact_data_have_zero_errors_not_nan(t):
    z = decay(t, 5.0, 0.7, 1.0)
    result = sf.SurfaceModel(decay).fit(z, a=3.0, k=0.4, c=0.5, t=t)
    assert result.success, result.reason
    assert [p.value for p in result.params.values()] == pytest.approx([5.0, 0.7, 1.0], rel=1e-13)
    assert all(0 <= p.stderr < 1e-13 for p in result.params.values())


def test_constant_zero_data(t):
    result = sf.SurfaceModel(plane, ["x", "y"]).fit(np.zeros(60), x=t, y=t**2)
    assert result.success
    assert [p.value for p in result.params.values()] == [0.0, 0.0, 0.0]
    assert [p.stderr for p in result.params.values()] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("level", [3.0, -1e5, 1e-9])
def test_constant_data_leave_the_rate_of_a_decay_undetermined(t, level):
    """The amplitude is 0 to rounding, so the rate has no effect; that nothing is left over must not make it certain."""
    result = sf.SurfaceModel(decay).fit(np.full(60, level), a=1.0, k=0.5, c=0.0, t=t)
    assert result.params["c"].value == pytest.approx(level, rel=1e-12)
    assert abs(result.params["a"].value) < 1e-12 * abs(level)
    assert not result.params["k"].stderr < 1.0


def test_results_are_the_same_twice(t, noisy):
    def branchy(t, a, k, c):
        return a * np.exp(-float(k) * t) + c if float(k) > -1 else t

    for func in (decay, branchy):
        one = sf.SurfaceModel(func).fit(noisy, a=3.0, k=0.4, c=0.5, t=t)
        two = sf.SurfaceModel(func).fit(noisy, a=3.0, k=0.4, c=0.5, t=t)
        assert one.best_values == two.best_values
        assert np.array_equal(one.covar, two.covar)


def test_a_shared_model_in_threads_gives_what_it_gives_alone(t):
    """Eight threads, first use included, with the interpreter switching as often as it can."""
    rng = np.random.default_rng(8)
    data = [decay(t, 5.0, k, 1.0) + rng.normal(0.0, 0.05, t.shape) for k in np.linspace(0.3, 1.2, 40)]
    alone = sf.SurfaceModel(decay)
    expected = [alone.fit(z, a=3.0, k=0.5, c=0.5, t=t) for z in data]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(3):
            shared = sf.SurfaceModel(decay)
            with ThreadPoolExecutor(8) as pool:
                results = list(pool.map(lambda z, model=shared: model.fit(z, a=3.0, k=0.5, c=0.5, t=t), data))
            for mine, theirs in zip(results, expected, strict=True):
                assert mine.best_values == theirs.best_values
                assert np.array_equal(mine.covar, theirs.covar)
    finally:
        sys.setswitchinterval(interval)
