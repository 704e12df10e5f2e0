"""Losses beyond chi-square: against scipy, closed forms and direct minimisation; what they report; what they refuse."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import least_squares, minimize, root
from scipy.special import gammaln

import surffit as sf
from surffit.exceptions import DataError, NonFiniteError, ParameterError
from surffit.solve.status import Status

x = np.linspace(0.0, 5.0, 60)


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


def untraceable(x, a, k, c):
    return a * np.exp(-k * x) + c if float(np.real(k)) > -9 else np.zeros_like(x)


def line(x, a, b):
    return a + b * x


def constant(x, rate):
    return rate + 0.0 * x


def bump(x, h, x0, s):
    return h * np.exp(-0.5 * ((x - x0) / s) ** 2)


def cash(data, model):
    return 2.0 * (model - data * np.log(model))


def quadratic(data, model):
    return (data - model) ** 2 / 0.01


@pytest.fixture(scope="module")
def wild():
    """A decay with 13 % wild points."""
    y = decay(x, 3.0, 1.1, 0.5) + np.random.default_rng(1).normal(0, 0.1, x.size)
    y[::8] += 3.0
    return y


@pytest.fixture(scope="module")
def counts():
    return np.random.default_rng(1).poisson(decay(x, 30.0, 1.1, 5.0))


model = sf.SurfaceModel(decay)


def values(result):
    return np.array([result.params[name].value for name in result.model.param_names])


def errors(result):
    return np.array([result.params[name].stderr for name in result.model.param_names])


# ---- robust losses ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("f_scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy", "arctan"])
def test_robust_losses_agree_with_scipy(wild, loss, f_scale, weighted):
    """Scipy's solver from our end, as far as it goes; with known errors f_scale is scipy's."""
    sigma = np.linspace(0.08, 0.15, x.size) if weighted else np.full(x.size, 0.1)

    def rows(p):
        return (wild - decay(x, *p)) / sigma

    result = model.fit(wild, x=x, k=0.5, sigma=sigma, scale_covar=False, loss=loss, fit_kws={"f_scale": f_scale})
    tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    theirs = least_squares(rows, [3.0, 1.0, 0.5], loss=loss, f_scale=f_scale, jac="cs", x_scale="jac", max_nfev=2000, **tight)

    def gradient(p):
        """Of scipy's own rho: (rho(z))' by its definition, on an exact Jacobian."""
        z = (rows(p) / f_scale) ** 2
        e = np.exp(-p[1] * x)
        first = {
            "soft_l1": (1 + z) ** -0.5,
            "huber": np.where(z <= 1, 1, np.maximum(z, 1) ** -0.5),
            "cauchy": 1 / (1 + z),
            "arctan": 1 / (1 + z**2),
        }
        return np.stack([e, -p[0] * x * e, np.ones_like(x)]) @ (first[loss] * rows(p) / sigma)

    # scipy accepts steps by the cost, which is flat there: its last half of the digits comes from its gradient
    best = root(gradient, theirs.x, tol=1e-14).x
    assert best == pytest.approx(theirs.x, rel=1e-6)
    assert result.success
    assert result.covar_source == "jacobian"
    assert values(result) == pytest.approx(best, rel=1e-8)
    assert result.chisqr == pytest.approx(2 * theirs.cost, rel=1e-12)
    assert result.chisqr <= 2 * theirs.cost * (1 + 1e-15)


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy", "arctan"])
def test_the_gradient_vanishes_to_the_last_digit(wild, loss):
    result = model.fit(wild, x=x, k=0.5, loss=loss, scale_covar=False, fit_kws={"f_scale": 0.2})
    problem, here = result._outcome.bound.problem, result._outcome.solution
    full = problem.full(here.p)
    terms = np.abs(full[1] * full[0]).sum(axis=1)
    assert (np.abs(full[1] @ full[0]) <= 1e-13 * terms).all()


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e120])
def test_the_scale_found_with_the_fit_follows_the_data(wild, factor):
    """f is f_scale times the median absolute residual / 0.6745 (the fit's n - 1 smallest left out): a fixed point, in any unit."""
    result = model.fit(factor * wild, x=x, k=0.5, loss="huber", fit_kws={"f_scale": 1.5})
    plain = model.fit(wild, x=x, k=0.5, loss="huber", fit_kws={"f_scale": 1.5})
    assert values(result) == pytest.approx(values(plain) * [factor, 1, factor], rel=1e-9)
    assert errors(result) == pytest.approx(errors(plain) * [factor, 1, factor], rel=1e-8)
    f = 1.5 * np.median(np.sort(np.abs(plain.residual))[2:]) / stats.norm.ppf(0.75)
    again = model.fit(wild, x=x, k=0.5, loss="huber", scale_covar=False, fit_kws={"f_scale": f})
    assert values(again) == pytest.approx(values(plain), rel=1e-9)
    assert errors(again) == pytest.approx(errors(plain), rel=1e-8)


def test_a_redescending_loss_finds_its_way_from_a_hopeless_least_squares_fit():
    """Every fourth point on another line: cauchy from soft_l1's answer takes the majority's."""
    rng = np.random.default_rng(4)
    y = line(x, 1.0, 2.0) + rng.normal(0, 0.05, x.size)
    y[::4] = 30 - 4 * x[::4]
    result = sf.SurfaceModel(line).fit(y, x=x, loss="cauchy")
    assert values(result) == pytest.approx([1.0, 2.0], abs=0.05)
    assert np.abs(values(sf.SurfaceModel(line).fit(y, x=x)) - [1.0, 2.0]).max() > 1.0


def test_the_lower_of_several_minima_is_kept():
    """From the user's start arctan sits on the minority; from soft_l1's answer on the majority, which costs less."""
    y = np.r_[np.full(20, 0.0), np.full(12, 10.0)] + np.random.default_rng(3).normal(0, 0.1, 32)
    kws = {"loss": "arctan", "scale_covar": False, "fit_kws": {"f_scale": 0.5}}
    one = sf.SurfaceModel(constant).fit(y, x=x[:32], rate=10.0, **kws)
    two = sf.SurfaceModel(constant).fit(y, x=x[:32], rate=0.0, **kws)
    assert one.best_values["rate"] == pytest.approx(two.best_values["rate"], rel=1e-9)
    assert abs(one.best_values["rate"]) < 0.2


def test_m_estimator_covariance_from_its_definition(wild):
    """Huber 1981, eq. 7.6.5, by hand for a line."""
    y = line(x, 1.0, 2.0) + wild - decay(x, 3.0, 1.1, 0.5)
    f = 0.15
    result = sf.SurfaceModel(line).fit(y, x=x, loss="huber", scale_covar=False, fit_kws={"f_scale": f})
    r = y - line(x, *values(result))
    psi, slope = np.clip(r, -f, f), (np.abs(r) <= f).astype(float)
    X = np.stack([np.ones_like(x), x])
    k = 1 + 2 / x.size * slope.var() / slope.mean() ** 2
    covar = k**2 * np.sum(psi**2) / (x.size - 2) / slope.mean() ** 2 * np.linalg.inv(X @ X.T)
    assert result.covar == pytest.approx(covar, rel=1e-10)


def test_scale_covar_changes_only_what_f_scale_means(wild):
    """With f_scale chosen to give the same f, values and errors are the same."""
    free = model.fit(wild, x=x, k=0.5, loss="soft_l1")
    f = free._outcome.bound.problem.term.scale
    known = model.fit(wild, x=x, k=0.5, loss="soft_l1", scale_covar=False, fit_kws={"f_scale": f})
    assert values(known) == pytest.approx(values(free), rel=1e-9)
    assert errors(known) == pytest.approx(errors(free), rel=1e-8)


def test_user_rho_gives_what_the_built_in_one_gives(wild):
    kws = {"scale_covar": False, "fit_kws": {"f_scale": 0.2}}
    built = model.fit(wild, x=x, k=0.5, loss="cauchy", **kws)
    for rho in (np.log1p, lambda z: np.log1p(z), lambda z: np.array([np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])):
        mine = model.fit(wild, x=x, k=0.5, loss=rho, **kws)
        assert values(mine) == pytest.approx(values(built), rel=1e-9)
        assert errors(mine) == pytest.approx(errors(built), rel=1e-7)


def test_bisquare_drops_its_outliers_altogether(wild):
    """A user's redescending rho that ends flat: the wild points count for nothing, as if masked."""

    def bisquare(z):
        return np.where(z < 1, 1 - (1 - np.minimum(z, 1.0)) ** 3, 1.0) / 3

    result = model.fit(wild, x=x, k=0.5, loss=bisquare, scale_covar=False, fit_kws={"f_scale": 0.6})
    masked = model.fit(wild, x=x, k=0.5, loss=bisquare, scale_covar=False, fit_kws={"f_scale": 0.6}, mask=np.arange(x.size) % 8 == 0)
    assert values(result) == pytest.approx(values(masked), rel=1e-8)


def test_complex_data_have_real_and_imaginary_rows():
    freq = np.linspace(1.0, 3.0, 50)

    def resonance(f, s, f0, q):
        return s / (1 + 2j * q * (f - f0) / f0)

    rng = np.random.default_rng(2)
    z = resonance(freq, 2.0, 2.0, 9.0) + 0.02 * (rng.normal(size=50) + 1j * rng.normal(size=50))
    z[4] += 2j
    result = sf.SurfaceModel(resonance, ["f"]).fit(z, f=freq, f0=1.9, q=7.0, loss="cauchy")
    assert np.abs(values(result) - [2.0, 2.0, 9.0]).max() < 4 * errors(result).max()
    assert result.ndata == 100


# ---- counts ------------------------------------------------------------------------------------------------------------------------


def test_constant_rate_in_closed_form():
    n = np.random.default_rng(3).poisson(0.3, 50)
    result = sf.SurfaceModel(constant).fit(n, x=np.arange(50.0), loss="poisson")
    par = result.params["rate"]
    assert par.value == pytest.approx(n.mean(), rel=1e-14)
    assert par.stderr == pytest.approx(np.sqrt(n.mean() / 50), rel=1e-12)
    log = -2 * stats.poisson.logpmf(n, n.mean()).sum()
    assert result.aic == pytest.approx(log + 2, rel=1e-12)
    assert result.bic == pytest.approx(log + np.log(50), rel=1e-12)
    assert result.chisqr == pytest.approx(log + 2 * stats.poisson.logpmf(n, np.maximum(n, 1e-300)).sum(), rel=1e-10)
    assert result.covar_source == "hessian"


@pytest.mark.parametrize("rate", [0.1, 1.0, 30.0, 1e6])
def test_poisson_against_direct_minimisation(rate):
    """Newton by hand on the exact gradient and Hessian in long double."""
    n = np.random.default_rng(5).poisson(rate * decay(x, 3.0, 1.1, 0.5))
    result = model.fit(n, x=x, k=1.0, loss="poisson")
    t, n = x.astype(np.longdouble), n.astype(np.longdouble)
    p = values(result).astype(np.longdouble) * (1 + np.array([1e-4, -1e-4, 1e-4]))
    for _ in range(8):
        e = np.exp(-p[1] * t)
        m, J = p[0] * e + p[2], np.stack([e, -p[0] * t * e, np.ones_like(t)])
        H = (J * n / m**2) @ J.T
        u = 1 - n / m
        H[0, 1] += np.sum(u * -t * e)
        H[1, 0] = H[0, 1]
        H[1, 1] += np.sum(u * p[0] * t**2 * e)
        p = p - np.linalg.solve(H.astype(float), (J @ u).astype(float))
    sd = np.sqrt(np.diag(np.linalg.inv(H.astype(float))))
    assert result.success
    assert values(result) == pytest.approx(p.astype(float), rel=1e-10, abs=1e-10 * sd.max())
    assert errors(result) == pytest.approx(sd, rel=1e-9)
    assert result.covar / np.outer(sd, sd) == pytest.approx(np.linalg.inv(H.astype(float)) / np.outer(sd, sd), rel=1e-8, abs=1e-8)


def test_the_same_likelihood_in_three_ways(counts):
    """Built in, up to a constant, and from scipy.stats, which takes no complex numbers."""
    built = model.fit(counts, x=x, k=0.5, loss="poisson")
    for loss in (cash, lambda data, model: -2 * stats.poisson.logpmf(data, model)):
        mine = model.fit(counts, x=x, k=0.5, loss=loss)
        assert mine.success
        assert values(mine) == pytest.approx(values(built), rel=1e-9)
        assert errors(mine) == pytest.approx(errors(built), rel=1e-7)
    assert mine.aic == pytest.approx(built.aic, rel=1e-12)
    assert mine.chisqr == pytest.approx(built.aic - 6, rel=1e-12)


def test_a_gaussian_likelihood_by_hand_is_least_squares(wild):
    """Values to rounding; errors those of the full Hessian, which least squares only tells of."""
    hand = model.fit(wild, x=x, k=0.5, loss=quadratic)
    plain = model.fit(wild, x=x, k=0.5, sigma=0.1, scale_covar=False)
    assert values(hand) == pytest.approx(values(plain), rel=1e-10)
    observed = dict(zip(plain._names, plain._covariance.observed(), strict=True))
    assert errors(hand) == pytest.approx([observed[name] for name in model.param_names], rel=1e-7)


def test_likelihoods_that_are_negative_fit_as_well(counts):
    """-2 ln L counts from anywhere: an offset changes nothing."""
    results = [model.fit(counts, x=x, k=0.5, loss=lambda n, m, c=c: cash(n, m) + c) for c in (0.0, -1e4, 1e4)]
    for result in results[1:]:
        assert result.success
        assert values(result) == pytest.approx(values(results[0]), rel=1e-9)
    assert results[1].chisqr == pytest.approx(results[0].chisqr - 1e4 * x.size, rel=1e-12)


def test_empty_bins_in_the_wings_of_a_peak():
    """The model underflows to zero where there are no counts; from a poor start, too."""
    wide = np.linspace(-200, 200, 401)
    n = np.random.default_rng(0).poisson(bump(wide, 20.0, 1.0, 2.0))
    results = [sf.SurfaceModel(bump).fit(n, x=wide, x0=x0, s=s, loss="poisson") for x0, s in ((0.0, 3.0), (4.0, 1.0))]
    for result in results:
        assert result.success
        assert (bump(wide, *values(result)) == 0).any()
    assert values(results[1]) == pytest.approx(values(results[0]), rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_rate_that_wants_to_be_negative_ends_on_the_edge(seed):
    """The best line is a (1 - x / 5) with a = sum n / sum (1 - x / 5): a closed form, no minimum, and it says so."""
    n = np.random.default_rng(seed).poisson(np.maximum(2 - x, 0))
    result = sf.SurfaceModel(line).fit(n, x=x, loss="poisson")
    a = n.sum() / np.sum(1 - x / 5)
    assert values(result) == pytest.approx([a, -a / 5], rel=1e-5)
    assert not result.success
    assert result.status & Status.STALLED
    assert "comes down to zero at 1 point without counts" in result.explain()
    assert np.isnan(errors(result)).all()


def test_no_counts_at_all():
    params = sf.SurfaceModel(constant).make_params(rate={"value": 1.0, "min": 0.0})
    bounded = sf.SurfaceModel(constant).fit(np.zeros(9), params, x=x[:9], loss="poisson")
    assert bounded.success
    assert bounded.status & Status.AT_BOUND
    free = sf.SurfaceModel(constant).fit(np.zeros(9), x=x[:9], loss="poisson")
    assert not free.success
    assert "without counts" in free.reason


def test_masked_counts_don_t_count(counts):
    mask = np.arange(x.size) % 3 == 0
    dirty = np.where(mask, -5.0, counts)
    one = model.fit(dirty, x=x, k=0.5, loss="poisson", mask=mask)
    two = model.fit(counts[~mask], x=x[~mask], k=0.5, loss="poisson")
    assert values(one) == pytest.approx(values(two), rel=1e-11)
    assert errors(one) == pytest.approx(errors(two), rel=1e-9)


# ---- other ways to the same answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["soft_l1", "cauchy", "poisson", cash])
@pytest.mark.parametrize("jac", [None, "differences"])
def test_functions_that_can_t_be_traced(counts, loss, jac):
    exact = model.fit(counts, x=x, k=0.5, a=20.0, c=1.0, loss=loss)
    opaque = sf.SurfaceModel(untraceable).fit(counts, x=x, k=0.5, a=20.0, c=1.0, loss=loss, fit_kws={"jac": jac} if jac else None)
    assert opaque.success
    assert opaque.conditioning.derivatives != "graph"
    # differences know the gradient to 1e-10 of its terms
    assert values(opaque) == pytest.approx(values(exact), rel=1e-7 if jac else 1e-9)
    assert errors(opaque) == pytest.approx(errors(exact), rel=1e-4 if jac else 1e-5)


@pytest.mark.parametrize("loss", ["soft_l1", "poisson", cash])
@pytest.mark.parametrize("method", ["nelder", "powell", "lbfgsb", "trust-exact", "differential_evolution"])
def test_lmfit_s_scalar_methods_minimise_the_loss(counts, loss, method):
    params = model.make_params(
        a={"value": 20, "min": 1, "max": 99}, k={"value": 0.5, "min": 0.01, "max": 9}, c={"value": 1, "min": 0.01, "max": 50}
    )
    ours, theirs = model.fit(counts, params, x=x, loss=loss), model.fit(counts, params, x=x, loss=loss, method=method)
    assert theirs.success
    assert values(theirs) == pytest.approx(values(ours), rel=1e-8)
    assert errors(theirs) == pytest.approx(errors(ours), rel=1e-6)


@pytest.mark.parametrize("loss", ["cauchy", "poisson"])
def test_bounds_hold_with_a_loss(counts, loss):
    params = model.make_params(a=20.0, k={"value": 0.5, "max": 0.7}, c=1.0)
    result = model.fit(counts, params, x=x, loss=loss)
    assert result.best_values["k"] == 0.7
    assert result.status & Status.AT_BOUND
    params["k"].set(value=0.7, vary=False)
    held = model.fit(counts, params, x=x, loss=loss)
    assert [result.params[n].stderr for n in "ac"] == pytest.approx(
        [held.params[n].stderr for n in "ac"], rel=0.05 if loss == "cauchy" else 1e-7
    )


def test_long_data_go_the_same_way():
    t = np.linspace(0, 5, 30_000)
    n = np.random.default_rng(0).poisson(decay(t, 3.0, 1.1, 0.5))
    result = model.fit(n, x=t, k=0.5, loss="poisson")
    assert np.abs((values(result) - [3.0, 1.1, 0.5]) / errors(result)).max() < 3.5


def test_two_data_sets_with_one_loss(counts):
    joint = sf.JointModel({"r": model, "w": model}, shared=["k"])
    more = np.random.default_rng(9).poisson(decay(x, 10.0, 1.1, 2.0))
    result = joint.fit({"r": counts, "w": more}, x=x, k=0.8, loss="poisson")

    def cost(p):
        return sum(np.sum(cash(n, decay(x, a, p[0], c))) for n, a, c in ((counts, p[1], p[2]), (more, p[3], p[4])))

    names = ["k", "r_a", "r_c", "w_a", "w_c"]
    best = [result.params[name].value for name in names]
    direct = minimize(cost, best, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13, "maxfev": 5000})
    assert result.success
    assert best == pytest.approx(direct.x, rel=1e-6)
    assert result.data_sets()["chisqr"].sum() == pytest.approx(result.chisqr)
    assert result.data_sets()["nfree"].sum() == pytest.approx(result.nfree, abs=0.5)  # expected against observed information


# ---- what a result says -----------------------------------------------------------------------------------------------------------------


def test_residual_stays_lmfit_s(wild, counts):
    result = model.fit(wild, x=x, k=0.5, sigma=0.2, loss="huber")
    assert result.residual == pytest.approx((wild - result.best_fit) / 0.2)
    result = model.fit(counts, x=x, k=0.5, loss="poisson")
    assert result.residual == pytest.approx(counts - result.best_fit)


def test_words(wild, counts):
    text = model.fit(wild, x=x, k=0.5, loss="huber").explain().replace("\n ", "")
    assert "Minimised: the robust loss 'huber' with f = " in text
    assert "M-estimator (Huber 1981)" in text
    text = model.fit(counts, x=x, k=0.5, loss="poisson").explain()
    assert "C-statistic" in text
    assert "observed information" in text
    assert "not all whole numbers" in model.fit(counts + 0.5, x=x, k=0.5, loss="poisson").explain()
    assert "sum of cash(data, model)" in model.fit(counts, x=x, k=0.5, loss=cash).explain()


def test_bands_of_new_points(wild, counts):
    """A new count scatters by the root of its mean; a likelihood that isn't ours doesn't tell; a robust scatter leaves outliers out."""
    one, two = (model.fit(counts, x=x, k=0.5, loss="poisson").predict(level=0.6827, kind=kind) for kind in ("confidence", "prediction"))
    half = [(band["upper"] - band["lower"]).to_numpy() / 2 for band in (one, two)]
    assert np.hypot(half[0], np.sqrt(one["fit"].to_numpy())) == pytest.approx(half[1], rel=1e-4)
    with pytest.raises(DataError, match="sigma_new"):
        model.fit(counts, x=x, k=0.5, loss=cash).predict(kind="prediction")
    new = model.fit(wild, x=x, k=0.5, loss="cauchy").predict(level=0.6827, kind="prediction")
    assert ((new["upper"] - new["lower"]).to_numpy() / 2).max() < 0.15


def test_a_result_is_fitted_again_with_its_loss(wild, counts):
    result = model.fit(wild, x=x, k=0.5, loss="huber", fit_kws={"f_scale": 2.0})
    before = values(result)
    result.fit()
    assert values(result) == pytest.approx(before, rel=1e-10)
    assert result.minimize("nelder").params["k"].value == pytest.approx(before[1], rel=1e-7)
    other = model.fit(counts, x=x, k=0.5, loss="poisson")
    before = values(other)
    other.fit(params=other.params)
    assert values(other) == pytest.approx(before, rel=1e-10)
    text = other.explain()
    assert pickle.loads(pickle.dumps(other)).explain() == text


def test_tables_pass_the_loss_along(counts):
    import pandas as pd

    df = pd.DataFrame({"n": counts, "x": x})
    result = sf.fit_table(df, model, data="n", x="x", params={"k": 0.5}, loss="poisson")
    assert values(result) == pytest.approx(values(model.fit(counts, x=x, k=0.5, loss="poisson")))
    parts = sf.fit_table(pd.concat([df.assign(g=1), df.assign(g=2)]), model, data="n", by="g", x="x", params={"k": 0.5}, loss="poisson")
    assert parts.tidy()["estimate"].nunique() == 3


def test_a_callback_stops_a_loss_too(wild):
    result = model.fit(wild, x=x, k=0.5, loss="cauchy", iter_cb=lambda *args, **kws: True)
    assert result.aborted
    assert result.status & Status.ABORTED


def test_the_limit_of_evaluations_holds(wild):
    result = model.fit(wild, x=x, k=5.0, loss="cauchy", max_nfev=8)
    assert result.status & Status.MAX_NFEV
    assert result.nfev < 20


# ---- refusals ---------------------------------------------------------------------------------------------------------------------------

REFUSED = {
    "unknown name": ({"loss": "huger"}, ParameterError, "did you mean 'huber'"),
    "no loss at all": ({"loss": 3}, ParameterError, "neither a name nor a function"),
    "three arguments": ({"loss": lambda a, b, c: a}, ParameterError, "takes 3 arguments"),
    "any number of arguments": ({"loss": lambda *a: a[0]}, ParameterError, "takes any number of arguments"),
    "leastsq": ({"loss": "huber", "method": "leastsq"}, ParameterError, "minimises a sum of squares"),
    "least_squares": ({"loss": "poisson", "method": "least_squares"}, ParameterError, "minimises a sum of squares"),
    "lmfit's own loss": ({"method": "least_squares", "fit_kws": {"loss": "cauchy"}}, ParameterError, r"pass it as fit\(..., loss="),
    "f_scale without": ({"fit_kws": {"f_scale": 2.0}}, ParameterError, "f_scale has no effect with loss='linear'"),
    "f_scale of counts": ({"loss": "poisson", "fit_kws": {"f_scale": 2.0}}, ParameterError, "f_scale has no effect with loss='poisson'"),
    "f_scale 0": ({"loss": "huber", "fit_kws": {"f_scale": 0.0}}, ParameterError, "must be a positive number"),
    "sigma of counts": ({"loss": "poisson", "sigma": 2.0}, ParameterError, "sigma was given with loss='poisson'"),
    "weights of a likelihood": ({"loss": cash, "weights": np.ones(60)}, ParameterError, "weights was given with loss=cash"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_t_be_meant_is_refused(counts, case):
    kws, error, text = REFUSED[case]
    with pytest.raises(error, match=text):
        model.fit(counts, x=x, k=0.5, a=20.0, c=1.0, **kws)


def test_negative_and_complex_counts_are_refused(counts):
    with pytest.raises(DataError, match=r"data have 1 negative value, the lowest -3;"):
        model.fit(np.r_[-3, counts[1:]], x=x, k=0.5, loss="poisson")
    with pytest.raises(DataError, match="complex"):
        model.fit(counts + 1j, x=x, k=0.5, loss="poisson")


def test_a_model_that_can_t_be_positive_is_told_so():
    params = sf.SurfaceModel(constant).make_params(rate={"value": -2.0, "max": -1.0})
    with pytest.raises(NonFiniteError, match=r"is not positive where there are counts \(at rate = -1\)"):
        sf.SurfaceModel(constant).fit(np.ones(9), params, x=x[:9], loss="poisson")
    with pytest.raises(NonFiniteError, match="cash gives no finite -2 ln L for"), np.errstate(all="ignore"):
        sf.SurfaceModel(constant).fit(np.ones(9), params, x=x[:9], loss=cash)


def test_least_squares_is_what_it_was(wild):
    """loss="linear", spelled out or not: the same numbers to the bit."""
    one, two = model.fit(wild, x=x, k=0.5), model.fit(wild, x=x, k=0.5, loss="linear", priors={})
    assert np.array_equal(one.covar, two.covar)
    assert one.nfev == two.nfev


def test_the_example_runs(project):
    script = project / "examples" / "robust_and_counts.py"
    out = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert "cauchy" in out
    assert "dark = 7 +/- 1 beforehand" in out


def test_saturated_likelihood_of_counts():
    """The constant between the C-statistic and -2 ln L."""
    from surffit.core.coststats import _saturated

    n = np.array([0.0, 1.0, 7.0, 300.0])
    assert _saturated(n) == pytest.approx(-2 * np.sum(np.where(n > 0, n * np.log(np.maximum(n, 1)), 0) - n - gammaln(n + 1)))
