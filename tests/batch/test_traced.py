"""The compiled engine: answers of one-by-one fits, flags of bad data sets, and nothing that depends on the neighbours."""

import numpy as np
import pytest
from scipy.optimize import curve_fit, least_squares

import surffit as sf
from surffit.batch import fit_many
from surffit.solve.status import Status

X = np.linspace(-5, 5, 50)


def peak(x, amp, cen, sig, c):
    return amp * np.exp(-0.5 * ((x - cen) / sig) ** 2) + c


def slopes(x, amp, cen, sig, c):
    z = (x - cen) / sig
    e = np.exp(-0.5 * z**2)
    return np.stack([e, amp * e * z / sig, amp * e * z**2 / sig, np.ones_like(x)], axis=1)


@pytest.fixture(scope="module")
def peaks():
    rng = np.random.default_rng(7)
    p = rng.uniform([5, -1, 0.8, -1], [50, 1, 1.6, 1], (300, 4))
    return peak(X, *p.T[:, :, None]) + rng.normal(size=(300, 50))


def fit(data, start=(20.0, 0.3, 1.5, 0.0), model=peak, names=("amp", "cen", "sig", "c"), x=X, **options):
    model = sf.SurfaceModel(model)
    params = model.make_params(**dict(zip(names, start, strict=True)))
    return fit_many(model, data, axis=-1, params=params, engine="traced", coords={"x": x}, **options)


def test_answers_of_curve_fit(peaks):
    maps = fit(peaks).maps
    assert all(Status(int(s)).success for s in maps.status)
    for q in range(0, 300, 3):
        best, covar = curve_fit(peak, X, peaks[q], p0=[20, 0.3, 1.5, 0], jac=slopes, ftol=1e-14, xtol=1e-14, gtol=1e-14)
        sd = np.sqrt(np.diag(covar))
        assert np.abs((maps.values[:, q] * [1, 1, np.sign(maps.values[2, q] * best[2]), 1] - best) / sd).max() < 1e-5
        np.testing.assert_allclose(maps.stderr[:, q], sd, rtol=1e-5)


def test_bounds_and_those_held_on_them(peaks):
    model = sf.SurfaceModel(peak)
    params = model.make_params(amp=20.0, cen=0.3, sig=1.5, c=0.0)
    params["cen"].set(min=-0.3, max=0.3)
    params["sig"].set(min=1.0)
    maps = fit_many(model, peaks, axis=-1, params=params, engine="traced", x=X).maps
    low, high = [-np.inf, -0.3, 1.0, -np.inf], [np.inf, 0.3, np.inf, np.inf]
    held = 0
    for q in range(100):
        best = least_squares(
            lambda p, q=q: peak(X, *p) - peaks[q], [20, 0.2, 1.5, 0], slopes_of(q), bounds=(low, high), ftol=1e-12, xtol=1e-12
        )
        assert maps.chisqr[q] <= 2 * best.cost * (1 + 1e-8)
        on = [maps.values[1, q] in (-0.3, 0.3), maps.values[2, q] == 1.0]
        held += any(on)
        assert list(np.isnan(maps.stderr[1:3, q])) == on
        assert bool(maps.status[q] & Status.AT_BOUND) == any(on)
    assert held > 30


def slopes_of(q):
    return lambda p: slopes(X, *p)


def test_neither_neighbours_nor_blocks_nor_threads_matter(peaks):
    whole = fit(peaks, covar=True).maps
    order = np.random.default_rng(1).permutation(300)
    cases = [(order, {"block": 37, "workers": 2}), ([5], {}), (slice(None), {"block": 7})]
    for where, options in cases:
        other = fit(peaks[where], covar=True, **options)
        for name in ("values", "stderr", "chisqr", "nfev", "status", "covar"):
            assert np.array_equal(getattr(other.maps, name), getattr(whole, name)[..., where], equal_nan=True), name


def test_bad_data_sets_are_flagged_alone(peaks):
    clean = fit(peaks).maps
    data, weights = peaks.copy(), np.ones_like(peaks)
    data[3] = np.nan
    data[10, 4] = np.inf
    weights[20] = 0.0
    weights[30, 3:] = 0.0
    maps = fit(data, weights=weights).maps
    expected = {3: Status.NONFINITE_DATA, 10: Status.NONFINITE_DATA, 20: Status.NO_DATA, 30: Status.FEW_POINTS}
    for q, flag in expected.items():
        assert maps.status[q] == flag
        assert np.isnan(maps.values[:, q]).all()
    others = np.setdiff1d(np.arange(300), list(expected))
    assert np.array_equal(maps.values[:, others], clean.values[:, others])


def test_excluded_points_have_no_say(peaks):
    weights = np.ones_like(peaks)
    weights[:, ::7] = 0.0
    data = peaks.copy()
    data[:, ::7] = 1e300
    some = np.arange(50) % 7 != 0
    one, two = fit(data, weights=weights).maps, fit(peaks[:, some], x=X[some]).maps
    for name in ("values", "stderr", "chisqr", "nobs", "status"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


def test_noise_free_data_converge(peaks):
    p = np.random.default_rng(3).uniform([5, -1, 0.8, -1], [50, 1, 1.6, 1], (200, 4))
    maps = fit(peak(X, *p.T[:, :, None])).maps
    assert all(Status(int(s)).success for s in maps.status)
    np.testing.assert_allclose(np.abs(maps.values[2]), p[:, 2], rtol=1e-9)


def test_parameters_of_any_scale():
    p = np.random.default_rng(3).uniform([5, -1, 0.8, -1], [50, 1, 1.6, 1], (50, 4))
    data = peak(X, *p.T[:, :, None]) + np.random.default_rng(4).normal(size=(50, 50))
    plain = fit(data).maps
    scaled = fit(data * 1e13, (20e13, 0.3e-9, 1.5e-9, 0.0), x=X * 1e-9).maps
    factor = np.array([1e13, 1e-9, 1e-9, 1e13])[:, None]
    np.testing.assert_allclose(scaled.values / factor, plain.values, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scaled.stderr / factor, plain.stderr, rtol=1e-6)


def test_what_the_data_cannot_tell(peaks):
    def twice(x, a, b, cen, sig):
        return (a + b) * np.exp(-0.5 * ((x - cen) / sig) ** 2)

    maps = fit(peaks, (1.0, 1.0, 0.3, 1.5), twice, ("a", "b", "cen", "sig")).maps
    assert (maps.status & Status.RANK_DEFICIENT).all()
    assert np.isinf(maps.stderr[:2]).all()
    assert np.isfinite(maps.stderr[2:]).all()
    assert (maps.nfree == 47).all()


def test_a_parameter_without_influence(peaks):
    def step(x, amp, cen, sig, c, limit):
        return np.where(x > limit, amp * np.exp(-0.5 * ((x - cen) / sig) ** 2) + c, 0.0)

    maps = fit(peaks, (20.0, 0.3, 1.5, 0.0, -7.0), step, ("amp", "cen", "sig", "c", "limit")).maps
    assert (maps.status & Status.NO_EFFECT_AT_START).all()
    assert not any(Status(int(s)).success for s in maps.status)
    np.testing.assert_allclose(maps.values[:4], fit(peaks).maps.values, rtol=1e-6, atol=1e-6)


def test_a_start_without_a_value(peaks):
    def root(x, amp, k):
        return amp * np.sqrt(k - x)

    assert (fit(peaks, (1.0, 0.0), root, ("amp", "k")).maps.status == Status.NONFINITE_START).all()


def test_the_limit_of_evaluations(peaks):
    model = sf.SurfaceModel(peak)
    batch = fit_many(model, peaks, axis=-1, params=model.make_params(amp=20, cen=0.3, sig=1.5, c=0), engine="traced", x=X, max_nfev=3)
    assert (batch.maps.status & Status.MAX_NFEV).any()
    assert batch.maps.nfev.max() <= 4


def test_the_same_model_compiles_once(peaks):
    def other(x, amp, cen, sig, c):
        return amp / (1 + ((x - cen) / sig) ** 2) ** 1.25 + c

    assert "compiled in" in fit(peaks[:2], model=other).engine_reason
    assert "compiled before" in fit(peaks[:2], model=other).engine_reason


def test_an_exponential_for_all_numbers():
    from numba import float64, njit, void

    from surffit.batch.search.driver import FLAGS
    from surffit.batch.search.exponential import exp

    @njit(void(float64[::1], float64[::1]), error_model="numpy", fastmath=FLAGS)
    def fill(x, out):
        for i in range(x.shape[0]):
            out[i] = exp(x[i])

    odd = [np.nan, np.inf, -np.inf, 0.0, 709.78, 709.79, -745.2, -740.0, 1e308, -1e308, 1e-300]
    x = np.concatenate([odd, np.random.default_rng(2).uniform(-700, 700, 20_000), np.random.default_rng(3).uniform(-1, 1, 20_000)])
    out = np.empty_like(x)
    fill(x, out)
    with np.errstate(all="ignore"):
        np.testing.assert_array_almost_equal_nulp(out[11:], np.exp(x[11:]), 2)
        np.testing.assert_array_equal(out[:11], np.exp(x[:11]))


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


RNG = np.random.default_rng(11)
NOTHING = {
    "decay of noise": (decay, {"a": 1.0, "k": 1.0, "c": 0.0}, RNG.normal(size=(200, 50)), np.linspace(0, 5, 50)),
    "peak in noise": (peak, {"amp": 1.0, "cen": 20.0, "sig": 1.0, "c": 0.0}, RNG.normal(size=(200, 50)), X),
    "straight line": (decay, {"a": 1.0, "k": 1.0, "c": 0.0}, 3.0 * np.linspace(0, 5, 50) + np.zeros((2, 1)), np.linspace(0, 5, 50)),
}


@pytest.mark.parametrize("case", NOTHING)
def test_nonsense_is_no_success(case):
    func, start, data, x = NOTHING[case]
    model = sf.SurfaceModel(func)
    maps = fit_many(model, data, axis=-1, params=model.make_params(**start), engine="traced", coords={"x": x}).maps
    failed = 0
    for q in range(len(data)):
        if not Status(int(maps.status[q])).success:
            failed += 1
            continue
        # what is called a success is a minimum: no point close by, by stderr, is better
        error, best = maps.stderr[:, q], maps.values[:, q]
        for k in np.flatnonzero(np.isfinite(error) & (error > 0)):
            for side in (-1e-2, 1e-2):
                moved = best.copy()
                moved[k] += side * error[k]
                assert np.sum((data[q] - func(x, *moved)) ** 2) >= maps.chisqr[q] * (1 - 1e-9)
    assert failed == len(data) if case == "straight line" else failed > 0


def test_as_many_points_as_parameters_leave_no_scatter_for_the_errors():
    x, data = np.array([0.0, 1.0, 2.0]), np.array([[4.0, 2.2, 1.5], [3.0, 1.9, 1.2]]).T
    call = {"axis": 0, "x": x, "params": {"k": 0.7}, "covar": True}
    model = sf.SurfaceModel.from_expression("a*exp(-k*x) + c", independent_vars=["x"])
    for engine in ("loop", "traced"):
        batch = sf.fit_many(model, data, engine=engine, **call)
        assert batch.success.all()
        assert all(np.isnan(batch.stderr[name]).all() for name in batch.var_names), engine
        assert np.isnan(batch.covar).all(), engine
        known = sf.fit_many(model, data, engine=engine, sigma=0.1, scale_covar=False, **call)
        assert all(np.isfinite(known.stderr[name]).all() for name in known.var_names), engine
