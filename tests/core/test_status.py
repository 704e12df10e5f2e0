"""Every way in which a single fit can end is reached here, is judged rightly, and says so by the parameters' names."""

import lmfit
import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import DataError, NonFiniteError, ParameterError, TooFewPointsError
from surffit.solve.status import SENTENCES, Status


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


@pytest.fixture
def t():
    return np.linspace(0.0, 10.0, 60)


@pytest.fixture
def z(t, rng):
    return decay(t, 5.0, 0.7, 1.0) + rng.normal(0.0, 0.05, t.shape)


@pytest.fixture
def model():
    return sf.SurfaceModel(decay)


def flat(text):
    return text.replace("\n  ", " ")


def test_every_flag_has_a_sentence_with_a_remedy_or_a_verdict():
    assert set(SENTENCES) == set(Status)
    for flag, sentence in SENTENCES.items():
        assert sentence[0].isupper(), flag
        assert sentence.endswith("."), flag
        assert Status(flag).sentence == sentence


@pytest.mark.parametrize("flag", list(Status))
def test_success_needs_a_minimum_and_nothing_against_it(flag):
    good = Status.CONVERGED_GRADIENT
    benign = {
        Status.CONVERGED_FTOL, Status.CONVERGED_XTOL, Status.CONVERGED_GRADIENT, Status.RANK_DEFICIENT, Status.AT_BOUND, Status.CLIPPED,
        Status.QR_FALLBACK,
    }  # fmt: skip
    assert (good | flag).success == (flag in benign)
    assert Status(flag).success == flag.name.startswith("CONVERGED")
    assert not Status(0).success


def test_converged_on_the_gradient(model, t, z):
    result = model.fit(z, a=3.0, k=0.5, c=0.5, t=t)
    assert result.success
    assert result.status.names == ("CONVERGED_GRADIENT",)
    assert result.reason == SENTENCES[Status.CONVERGED_GRADIENT] == result.message
    assert result.solver_status is None
    assert flat(result.explain()).startswith(result.reason)


def test_converged_on_chi_square(model, t, z):
    """lmfit's solver ran; its own integer and sentence stay to be read."""
    result = model.fit(z, method="leastsq", a=3.0, k=0.5, c=0.5, t=t)
    assert result.success
    assert Status.CONVERGED_FTOL in result.status
    assert result.solver_status in (1, 2, 3, 4)
    assert "succeeded" in result.message
    assert result.reason == SENTENCES[Status.CONVERGED_FTOL]


@pytest.mark.parametrize("method", ["separable", "leastsq", "nelder", "least_squares", "powell", "lbfgsb"])
def test_limit_of_evaluations(model, t, z, method):
    result = model.fit(z, method=method, max_nfev=5, a=1.0, k=5.0, c=0.0, t=t)
    assert not result.success
    assert Status.MAX_NFEV in result.status
    assert not result.status & (Status.CONVERGED_FTOL | Status.CONVERGED_GRADIENT)
    assert "max_nfev" in result.reason
    assert all(np.isfinite(p.value) for p in result.params.values())
    assert result.fit_report().startswith("## FIT FAILED")
    assert flat(result.explain()).startswith("THE FIT FAILED")


def test_a_limit_that_suffices_is_not_reported(model, t, z):
    assert Status.MAX_NFEV not in model.fit(z, max_nfev=200, a=3.0, k=0.5, c=0.5, t=t).status


def test_stalled(rng):
    """A rate a thousand times too fast: only rounding is left of its gradient."""
    t = np.linspace(0.0, 5e9, 80)
    z = decay(t, 5.0, 1e-9, 1.0) + rng.normal(0.0, 0.02, t.shape)
    result = sf.SurfaceModel(decay).fit(z, a=1.0, k=1e-6, c=0.0, t=t)
    assert not result.success
    assert result.status & (Status.STALLED | Status.NOT_A_MINIMUM | Status.NO_EFFECT_AT_START)
    assert not result.status & (Status.CONVERGED_FTOL | Status.CONVERGED_GRADIENT) or Status.NOT_A_MINIMUM in result.status


def stretched(t, a, k, q):
    return a * np.exp(-k * t**q)


@pytest.mark.parametrize("cut", [{"max_nfev": 3}, {"iter_cb": lambda params, count, *_, **__: count >= 2}], ids=["limit", "callback"])
def test_fit_cut_short_with_a_parameter_on_its_bound_says_both(t, cut):
    """Evidence of where a fit stopped is told whatever stopped it."""
    model = sf.SurfaceModel(stretched)
    params = model.make_params(a={"value": 1.0, "max": 2.0}, k=5.0, q=0.4)
    result = model.fit(stretched(t, 3.0, 0.7, 1.3), params, t=t, **cut)
    assert not result.success
    assert result.status & (Status.MAX_NFEV | Status.ABORTED)
    assert Status.AT_BOUND in result.status
    assert result.params["a"].value == 2.0


def test_fit_cut_short_with_redundant_parameters_says_both(t, z):
    model = sf.SurfaceModel(lambda t, a, b, k, q: a * np.exp(-k * t**q) + 2 * b * np.exp(-k * t**q))
    result = model.fit(z, t=t, a=1.0, b=1.0, k=40.0, q=0.2, max_nfev=3)
    assert not result.success
    assert Status.MAX_NFEV in result.status
    assert Status.RANK_DEFICIENT in result.status


# NIST StRD "MGH09", start 1: chi-square has a valley that leads to infinity
MGH09_X = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
MGH09_Y = np.array([0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
MGH09 = (1.9280693458e-1, 1.9128232873e-1, 1.2305650693e-1, 1.3606233068e-1)  # certified


def mgh09(x, b1, b2, b3, b4):
    return b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4)


def test_runaway_without_restart_is_no_success():
    model = sf.SurfaceModel(mgh09)
    result = model.fit(MGH09_Y, b1=25.0, b2=39.0, b3=41.5, b4=39.0, x=MGH09_X, fit_kws={"restart": False})
    assert not result.success
    assert Status.RUNAWAY in result.status
    assert "b2" in result.reason
    assert "bounds" in result.reason


def test_failed_fits_do_not_say_that_they_converged():
    model = sf.SurfaceModel(mgh09)
    result = model.fit(MGH09_Y, b1=25.0, b2=39.0, b3=41.5, b4=39.0, x=MGH09_X, fit_kws={"restart": False})
    assert "Converged" not in result.reason


def test_runaway_is_cured_by_the_restart():
    result = sf.SurfaceModel(mgh09).fit(MGH09_Y, b1=25.0, b2=39.0, b3=41.5, b4=39.0, x=MGH09_X)
    assert result.success
    assert [p.value for p in result.params.values()] == pytest.approx(MGH09, rel=1e-9)
    assert result.conditioning.restarts == 1 or result.conditioning.engine == "minpack"


def test_not_a_minimum():
    """cos(b) x^2 with its data on the wrong side of 1: b = 0 is the best there is, b = pi the worst, and a start there is a maximum."""
    x = np.linspace(0.5, 1.5, 40)
    model = sf.SurfaceModel(lambda x, b: np.cos(b) * x)
    result = model.fit(0.3 * x, b=0.0, x=x, fit_kws={"restart": False})
    if not result.success:
        assert Status.NOT_A_MINIMUM in result.status
        assert "saddle" in result.reason
        assert result.covar is None
        assert np.isnan(result.params["b"].stderr)
    else:
        assert np.cos(result.params["b"].value) == pytest.approx(0.3, rel=1e-12)
        assert "saddle" in result.explain()


def test_a_bound_can_make_a_maximum_the_end(rng):
    """Between bounds around a maximum the fit goes to a bound, and doesn't stay on the maximum."""
    x = np.linspace(0.5, 1.5, 40)
    model = sf.SurfaceModel(lambda x, b: np.cos(b) * x)
    params = model.make_params(b={"value": 0.0, "min": -0.1, "max": 0.1})
    result = model.fit(0.3 * x, params, x=x)
    assert Status.AT_BOUND in result.status
    assert abs(result.params["b"].value) == 0.1
    assert result.success


def test_nonfinite_start_is_raised_with_its_flag(t, z):
    with pytest.raises(NonFiniteError) as err:
        sf.SurfaceModel(lambda t, a, k: a * np.log(t - k)).fit(z, a=1.0, k=2.0, t=t)
    assert err.value.status is Status.NONFINITE_START
    assert "k = 2" in str(err.value)


def test_nonfinite_start_of_linear_parameters_reads_well(t, z):
    with pytest.raises(NonFiniteError, match=r"not finite on the data"):
        sf.SurfaceModel(lambda t, a, b: a + b / t).fit(z, t=t)


def test_bad_data_are_raised(model, t, z):
    broken = z.copy()
    broken[4] = np.nan
    with pytest.raises(NonFiniteError):
        model.fit(broken, a=1.0, k=1.0, c=0.0, t=t)
    with pytest.raises(TooFewPointsError):
        model.fit(z[:2], a=1.0, k=1.0, c=0.0, t=t[:2])
    with pytest.raises(DataError):
        model.fit(z, weights=0.0 * z, a=1.0, k=1.0, c=0.0, t=t)


def test_rank_deficient_is_a_success_that_names_the_pair(t, z):
    result = sf.SurfaceModel(lambda t, p, q, k: (p + q) * np.exp(-k * t)).fit(z, k=0.5, t=t)
    assert result.success
    assert Status.RANK_DEFICIENT in result.status
    assert "p and q" in result.reason
    assert result.errorbars
    assert result.params["p"].stderr == result.params["q"].stderr == np.inf
    assert np.isfinite(result.params["k"].stderr)


@pytest.mark.parametrize("bounds", [("a",), ("a", "c")])
def test_at_bound_names_the_parameters(model, t, z, bounds):
    params = model.make_params(a=1.0, k=0.5, c=0.0)
    if "a" in bounds:
        params["a"].max = 4.0
    if "c" in bounds:
        params["c"].max = 0.5
    result = model.fit(z, params, t=t)
    assert result.success
    assert Status.AT_BOUND in result.status
    assert " and ".join(bounds) + " ended on" in result.reason
    assert set(result.conditioning.at_bound) == set(bounds)


def lump(x, h, x0, s, c):
    return h * np.exp(-0.5 * ((x - x0) / s) ** 2) + c


def test_no_effect_at_start_names_the_parameters(rng):
    x = np.linspace(-5, 5, 101)
    z = lump(x, 3.0, 0.4, 0.9, 1.0) + rng.normal(0, 0.05, x.shape)
    result = sf.SurfaceModel(lump).fit(z, h=1.0, x0=1e3, s=1.0, c=0.0, x=x)
    assert not result.success
    assert Status.NO_EFFECT_AT_START in result.status
    assert "x0 and s had no effect at the start" in result.reason
    assert result.params["c"].value == pytest.approx(z.mean(), rel=1e-12)
    assert result.params["x0"].value == 1e3
    assert result.params["x0"].stderr == np.inf
    assert "no effect" in flat(result.explain())


def test_no_effect_is_not_claimed_of_parameters_that_moved(t, z):
    """Rounded values have no derivative; whatever the fit says, it must not say that a moved parameter never moved."""
    result = sf.SurfaceModel(lambda t, a, k, c: np.round(a * np.exp(-k * t) + c, 2)).fit(z, a=3.0, k=0.4, c=0.5, t=t)
    start = {"a": 3.0, "k": 0.4, "c": 0.5}
    if "never moved" in result.reason:
        named = result.reason.split(" had no effect")[0].rsplit(". ", 1)[-1].replace(" and ", ", ").split(", ")
        assert named
        for name in named:
            assert result.params[name].value == start[name], name


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_a_function_drowned_in_its_own_noise_is_no_success(t, z, noise):
    generator = np.random.default_rng(0)

    def jittery(t, a, k, c):
        return decay(t, a, k, c) + generator.normal(0.0, noise, t.shape)

    result = sf.SurfaceModel(jittery).fit(z, a=3.0, k=0.5, c=0.5, t=t)
    if result.success:  # then it must have found it, within what its noise allows
        assert result.params["a"].value == pytest.approx(5.0, abs=10 * noise)
        assert result.params["k"].value == pytest.approx(0.7, abs=5 * noise)
    else:
        assert result.reason
    assert "structurally" not in result.explain()


def test_structurally_unused_succeeds(t, z):
    result = sf.SurfaceModel(lambda t, a, k, c, ghost: decay(t, a, k, c) + 0 * ghost).fit(z, a=3.0, k=0.5, c=0.5, ghost=1.0, t=t)
    assert result.success
    assert result.conditioning.unused == ("ghost",)
    assert result.params["ghost"].stderr == np.inf
    assert "ghost" in result.explain()


@pytest.mark.parametrize("method", ["separable", "leastsq", "nelder"])
def test_aborted_by_the_callback(model, t, z, method):
    seen = []

    def stop(params, i, resid, *args, **kws):
        seen.append((i, {n: p.value for n, p in params.items()}, resid.shape))
        return len(seen) == 3

    result = model.fit(z, method=method, iter_cb=stop, a=1.0, k=5.0, c=0.0, t=t)
    assert len(seen) == 3
    assert not result.success
    assert result.aborted
    assert Status.ABORTED in result.status
    assert "best so far" in result.reason
    assert seen[0][2] == z.shape
    assert set(seen[0][1]) == {"a", "k", "c"}


def test_callback_that_never_stops_changes_nothing(model, t, z):
    plain = model.fit(z, a=1.0, k=5.0, c=0.0, t=t)
    watched = model.fit(z, iter_cb=lambda *args, **kws: None, a=1.0, k=5.0, c=0.0, t=t)
    for name, par in plain.params.items():  # the same minimum; the way there is told step by step, so it may be another
        assert watched.params[name].value == pytest.approx(par.value, abs=1e-9 * par.stderr)
    assert watched.success
    assert plain.success


def test_qr_fallback_is_told_and_right(rng):
    """A large image whose x has an offset of 1e7: sums of squares can't hold it, whole columns can."""
    y, x = np.mgrid[:160, :150].astype(float)

    def blob(x, y, h, x0, y0, s, a, b, c):
        return h * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / s**2) + a + b * x + c * y

    z = blob(x, y, 10.0, 70.0, 80.0, 12.0, 1.0, 0.01, 0.02) + rng.normal(0, 0.1, x.shape)
    model = sf.SurfaceModel(blob, ["x", "y"])
    near = model.fit(z, x0=69.0, y0=81.0, s=11.0, x=x, y=y)
    far = model.fit(z, x0=69.0 + 1e7, y0=81.0, s=11.0, x=x + 1e7, y=y)
    assert near.success
    assert far.success
    assert Status.QR_FALLBACK in far.status
    assert Status.QR_FALLBACK not in near.status
    assert "QR took over" in far.reason
    for name in ("h", "y0", "s", "b", "c"):
        assert abs(far.params[name].value - near.params[name].value) <= 1e-4 * near.params[name].stderr
        assert far.params[name].stderr == pytest.approx(near.params[name].stderr, rel=1e-5)


@pytest.mark.parametrize(("x0", "y0", "s"), [(69.0, 81.0, 11.0), (60.0, 90.0, 9.0), (75.0, 75.0, 20.0)])
def test_a_healthy_image_needs_no_second_chance(rng, x0, y0, s):
    y, x = np.mgrid[:160, :150].astype(float)

    def blob(x, y, h, x0, y0, s, a, b, c):
        return h * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / s**2) + a + b * x + c * y

    z = blob(x, y, 10.0, 70.0, 80.0, 12.0, 1.0, 0.01, 0.02) + rng.normal(0, 0.1, x.shape)
    result = sf.SurfaceModel(blob, ["x", "y"]).fit(z, x0=x0, y0=y0, s=s, x=x, y=y)
    assert result.success
    assert result.conditioning.restarts == 0
    assert result.chisqr == pytest.approx(z.size * 0.01, rel=0.05)


def test_several_flags_stand_together(t, z):
    model = sf.SurfaceModel(lambda t, p, q, k, c: (p + q) * np.exp(-k * t) + c)
    params = model.make_params(p=1.0, q=1.0, k=0.5, c={"value": 0.0, "max": 0.5})
    result = model.fit(z, params, t=t)
    assert result.success
    assert Status.AT_BOUND | Status.RANK_DEFICIENT in result.status
    assert "c ended on a bound" in result.reason
    assert np.isnan(result.params["c"].stderr)
    assert result.params["p"].stderr == np.inf


def test_status_of_a_built_in_model(rng):
    x = np.linspace(-5, 5, 101)
    model = sf.SurfaceModel.from_lmfit(lmfit.models.GaussianModel())
    z = 3 * np.exp(-0.5 * ((x - 0.4) / 0.9) ** 2) + rng.normal(0, 0.05, x.shape)
    result = model.fit(z, model.guess(z, x=x), x=x)
    assert result.success
    assert isinstance(result.status, Status)
    assert int(result.status) == result.status


@pytest.mark.parametrize("starts", [{}, {"low": 1.0, "high": 1.0}, {"low": 1.0, "high": 3.0}])
def test_a_jump_is_seen_where_both_sides_start_alike(rng, starts):
    x = np.linspace(0, 20, 200)
    z = np.where(x < 9.31, 1.0, 3.0) + rng.normal(0, 0.3, x.size)
    model = sf.SurfaceModel(lambda x, low, high, edge: np.where(x < edge, low, high), name="step")
    result = model.fit(z, x=x, edge=6.0, **starts)
    assert not result.success
    assert Status.NO_EFFECT_AT_START in result.status
    assert "only jumps with edge" in result.explain()
    unused = sf.SurfaceModel(lambda x, low, high, edge: np.where(x < 5 + 0 * edge, low, high), name="fixed step").fit(z, x=x, edge=6.0)
    assert unused.success
    assert unused.params["edge"].stderr == np.inf


def test_powers_of_far_coordinates_have_not_run_away(rng):
    """A peak on a parabola at x = 1e6: the parabola's terms cancel, by the coordinates alone; the peak is the same."""
    y, x = np.mgrid[:25, :30].astype(float)
    model = sf.get_model("trend_peak")
    truth = dict(height=50.0, x0=14.0, y0=12.0, sigma=3.0, c0=5.0, cx=0.1, cy=0.1, cxx=0.002, cxy=0.001, cyy=0.003)
    z = model.eval(x=x, y=y, **truth) + rng.normal(0, 0.5, x.shape)
    near, far = model.fit(z, x=x, y=y), model.fit(z, x=x + 1e6, y=y - 1e5)
    assert far.success, far.message
    for name, off in (("height", 0.0), ("sigma", 0.0), ("x0", 1e6), ("cxx", 0.0)):
        sd = near.params[name].stderr
        assert far.params[name].value == pytest.approx(near.params[name].value + off, abs=1e-3 * sd)
        assert far.params[name].stderr == pytest.approx(sd, rel=1e-3)


def test_points_where_no_parameters_help_are_named(rng):
    """A volume of 0: not "no start" is the trouble, though the guess fails there."""
    t, volume = np.mgrid[:5, :8].astype(float)
    model = sf.get_model("van_der_waals")
    with pytest.raises(NonFiniteError, match=r"not finite at 5 of 40 points .* the first at volume = 0, temperature = 0; mask"):
        model.fit(1.5 + rng.normal(0, 0.01, t.shape), volume=volume, temperature=t)
    shifted = sf.SurfaceModel(lambda x, a, b: a * np.log(x - b), independent_vars=["x"])
    with pytest.raises(ParameterError, match="no start value"):  # finite for a b below all points
        shifted.fit(np.arange(5.0), x=np.arange(5.0))
