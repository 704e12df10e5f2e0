"""The rungs of the ladder as arrays: against closed forms, the exact Hessian, and each other."""

import warnings

import numpy as np
import pytest
from scipy import stats

import surffit as sf
from surffit.exceptions import ChainTooShortError, ParameterError
from surffit.solve.hessian import NoCurvatureError, reach, whitened_hessian
from surffit.solve.ladder import climb
from surffit.solve.posterior import Run, Target, divide

X = np.linspace(0.0, 10.0, 60)
NOISE = np.random.default_rng(11).normal(0.0, 0.05, X.size)


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


def wave(x, a, w, d):
    return a * np.sin(w * x) * np.exp(-d * x)


def line(x, a, b):
    return a + b * x


CURVED = {
    "decay": (decay, {"a": 3.0, "k": 0.45, "c": 0.5}),
    "wave": (wave, {"a": 2.0, "w": 1.3, "d": 0.1}),
    "line": (line, {"a": 1.0, "b": -0.3}),
}


def fitted(name, size=1.0, **kws):
    func, truth = CURVED[name]
    model = sf.SurfaceModel(func)
    return model.fit(size * (func(X, **truth) + NOISE), x=X, **{n: v for n, v in truth.items() if n not in model.linear}, **kws)


@pytest.mark.parametrize("size", [1.0, 1e6, 1e-12])
@pytest.mark.parametrize("name", list(CURVED))
def test_the_hessian_is_the_exact_one(name, size):
    """J'J - B from the graph's second derivatives; numdifftools knows nothing of them."""
    result = fitted(name, size)
    solution, cov = result._outcome.solution, result._covariance
    K = np.zeros((cov.rank, cov.rank)) if solution.K is None else solution.K
    exact = cov.here.left @ np.linalg.inv(np.eye(cov.rank) - K) @ cov.here.left.T / cov.here.scale / cov.here.scale[:, None]
    found = result.covariance("hessian")
    wanted = np.sqrt(exact.diagonal()) * result._sd_scale
    np.testing.assert_allclose([found.stderr[n] for n in result._names], wanted, rtol=1e-7)
    assert found.source == "hessian"


def test_the_hessian_is_not_the_jacobians():
    """Negative control: on a curved model the two rungs differ by far more than the tolerance above."""
    result = fitted("wave")
    ratio = result.covariance("hessian").stderr["d"] / result.covariance("jacobian").stderr["d"]
    assert abs(ratio - 1.0) > 1e-4


@pytest.mark.parametrize("name", list(CURVED))
def test_the_chain_agrees(name):
    """Nearly Gaussian posteriors: within the Monte Carlo error of some 3000 independent samples, and then some."""
    result = fitted(name)
    found = result.covariance("mcmc", rng=3)
    for n, sd in result.covariance("jacobian").stderr.items():
        assert found.stderr[n] == pytest.approx(sd, rel=0.06), n
    matrix, wanted = found.matrix, result.covar
    corr, exact = (m / np.sqrt(np.outer(m.diagonal(), m.diagonal())) for m in (matrix, wanted))
    assert np.abs(corr - exact).max() < 0.06
    assert "seed 3" in found.notes[0]


def test_the_same_seed_gives_the_same_chain():
    result = fitted("decay")
    one, two, other = (result.sample(200, rng=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.chain, two.chain)
    assert not np.array_equal(one.chain, other.chain)
    assert (one.seed, other.seed) == (3, 4)
    drawn = result.sample(200)
    np.testing.assert_array_equal(drawn.chain, result.sample(200, rng=drawn.seed).chain)
    np.testing.assert_array_equal(
        result.sample(200, rng=np.random.default_rng(8)).chain, result.sample(200, rng=np.random.default_rng(8)).chain
    )


# ---- bounds, redundancy: every rung gives the reduced problem ---------------------------------------------------------------------


@pytest.mark.parametrize(("rung", "close"), [("jacobian", 1e-6), ("hessian", 1e-6), ("mcmc", 0.06)])
def test_a_parameter_on_its_bound_is_held(rung, close):
    model = sf.SurfaceModel(decay)
    data = decay(X, 3.0, 0.45, 0.5) + NOISE
    params = model.make_params(k=0.6)
    params["k"].set(min=0.5)
    result = model.fit(data, params, x=X)
    params["k"].set(value=0.5, min=-np.inf, vary=False)
    reduced = model.fit(data, params, x=X)
    found = result.covariance(rung, rng=1)
    assert np.isnan(found.stderr["k"])
    # one parameter less is free, so the residual variance is the same too
    for name in ("a", "c"):
        assert found.stderr[name] == pytest.approx(reduced.params[name].stderr, rel=close)
    assert np.isnan(found.matrix[found.names.index("k")]).all()


@pytest.mark.parametrize(("rung", "close"), [("jacobian", 1e-6), ("hessian", 1e-6), ("mcmc", 0.06)])
@pytest.mark.parametrize("pair", ["sum", "product"])
def test_a_redundant_pair_is_inf_and_the_others_are_right(rung, close, pair):
    def func(x, a, b, k):
        return (a + b if pair == "sum" else a * b) * np.exp(-k * x)

    data = decay(X, 3.0, 0.45, 0.0) + NOISE
    result = sf.SurfaceModel(func).fit(data, x=X, a=1.5, b=2.0, k=0.4)
    reduced = sf.SurfaceModel(func).fit(data, sf.SurfaceModel(func).make_params(a=1.0, b={"value": 1.0, "vary": False}, k=0.4), x=X)
    assert result.covar_source == "jacobian"
    assert result.covar_notes == ()
    found = result.covariance(rung, rng=1)
    assert np.isinf(found.stderr["a"])
    assert np.isinf(found.stderr["b"])
    wanted = reduced.covariance("hessian" if rung == "hessian" else "jacobian").stderr["k"]
    assert found.stderr["k"] == pytest.approx(wanted, rel=close)


# ---- what climbs ------------------------------------------------------------------------------------------------------------------


def flat(slope):
    """Data with exactly this much of sin(x) beside a constant."""
    wave_ = np.sin(X) - np.sin(X).mean()
    data = 2.0 + NOISE
    return data - wave_ * (wave_ @ data / (wave_ @ wave_) - slope)


def kinked(x, a, k):
    return a + np.abs(k) * np.sin(x)


def coarse(x, a, k):
    return a * np.exp(-np.round(k, 3) * x)


@pytest.mark.parametrize("method", ["separable", "nelder"])
def test_a_kink_at_the_minimum_climbs_to_the_chain(method):
    """
    The data want -|k|: the cost rises linearly on both sides of 0, and the posterior of k is two half Gaussians' tails.

    Oracle: the density exp(-cost/(2 s^2)) on a fine grid, the constant solved at every k.
    """
    data = flat(-0.03)
    result = sf.SurfaceModel(kinked).fit(data, x=X, a=1.0, k=0.5, method=method)
    assert result.covar_source == "mcmc"
    assert result.success
    text = " ".join(result.covar_notes)
    assert "kink" in text
    assert "The Hessian does not serve" in text
    assert "seed" in text
    assert text.split(".")[0] in " ".join(result.explain().split())
    k = np.linspace(-0.1, 0.1, 4001)
    left = data - np.abs(k)[:, None] * np.sin(X)
    cost = ((left - left.mean(axis=1)[:, None]) ** 2).sum(axis=1)
    density = np.exp(-0.5 * (cost - cost.min()) / result.redchi)
    sd = np.sqrt((density * k**2).sum() / density.sum())
    assert result.params["k"].stderr == pytest.approx(sd, rel=0.08)
    again = sf.SurfaceModel(kinked).fit(data, x=X, a=1.0, k=0.5, method=method)
    np.testing.assert_array_equal(result.covar, again.covar)


def test_jumps_finer_than_the_error_climb_to_the_chain():
    """A parameter that acts in steps: every derivative is zero, and still its error is that of the smooth model."""
    data = decay(X, 3.0, 0.4567, 0.0) + NOISE
    result = sf.SurfaceModel(coarse).fit(data, x=X, a=1.0, k=0.5)
    smooth = sf.SurfaceModel(lambda x, a, k: a * np.exp(-k * x)).fit(data, x=X, a=1.0, k=0.5)
    assert result.covar_source == "mcmc"
    assert "vanish" in result.covar_notes[0]
    assert result.nfree == smooth.nfree
    for name in ("a", "k"):
        assert result.params[name].stderr == pytest.approx(smooth.params[name].stderr, rel=0.08)


def test_noise_in_the_function_climbs_to_the_chain():
    draws = np.random.default_rng(5)

    def noisy(x, a, k):
        return a * np.exp(-k * x) + 1e-3 * draws.standard_normal(x.size)

    data = decay(X, 3.0, 0.4567, 0.0) + NOISE
    result = sf.SurfaceModel(noisy).fit(data, x=X, a=1.0, k=0.5)
    smooth = sf.SurfaceModel(lambda x, a, k: a * np.exp(-k * x)).fit(data, x=X, a=1.0, k=0.5)
    assert result.covar_source in ("mcmc", "jacobian")
    for name in ("a", "k"):
        assert result.params[name].stderr == pytest.approx(smooth.params[name].stderr, rel=0.15)


def square(x, a, k):
    return a + k**2 * np.sin(x)


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_a_higher_power_does_not_climb(start):
    """k^2 at k = 0 has no first derivative, but nothing that a Hessian could find either."""
    result = sf.SurfaceModel(square).fit(flat(0.0), x=X, a=1.0, k=start)
    assert result.covar_source == "jacobian"


def test_strong_curvature_does_not_climb():
    x = np.linspace(0.0, 3.0, 5)
    result = sf.SurfaceModel(decay).fit(decay(x, 2.0, 1.5, 0.0) + NOISE[:5] * 3, x=x, k=1.0)
    assert result.covar_source == "jacobian"


def untraceable(x, a, k):
    return np.array([float(a) * np.exp(-float(k) * v) for v in x])


def test_honest_differences_do_not_climb():
    data = decay(X, 3.0, 0.4567, 0.0) + NOISE
    result = sf.SurfaceModel(untraceable).fit(data, x=X, a=1.0, k=0.5)
    assert result.conditioning.derivatives == "differences"
    assert result.covar_source == "jacobian"


# ---- state and refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", ["jacobian", "hessian", "mcmc", "sample", "profile"])
def test_no_global_state_changes(rung):
    result = fitted("decay")
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the legacy state is what is watched
    with np.errstate(all="warn"), warnings.catch_warnings():
        before = np.geterr(), list(warnings.filters)
        if rung == "sample":
            result.sample(500, rng=1)
        elif rung == "profile":
            result.conf_interval(sigmas=[1])
        else:
            result.covariance(rung, rng=1)
        assert (np.geterr(), list(warnings.filters)) == before
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("rung", ["hessian", "mcmc"])
def test_a_rung_that_fails_says_why_and_leaves_numpy_alone(rung, monkeypatch):
    result = fitted("decay")
    problem = result._outcome.bound.problem
    here = result._outcome.solution.p.copy()
    real = type(problem).cost

    def nowhere(self, p):
        return real(self, p) if np.array_equal(p, here) else np.inf

    monkeypatch.setattr(type(problem), "cost", nowhere)
    monkeypatch.setattr(type(problem), "columns", lambda self, alpha: None)
    with np.errstate(all="warn"):
        before = np.geterr()
        with pytest.raises(ParameterError, match=f"no covariance from the {rung}: .*finite"):
            result.covariance(rung, rng=1)
        assert np.geterr() == before


def test_a_chain_that_does_not_converge_is_told_and_kept(monkeypatch):
    monkeypatch.setattr("surffit.solve.ladder.LONGEST", 20)
    monkeypatch.setattr("surffit.solve.ladder.CHAIN", 20)
    from surffit.solve import ladder

    monkeypatch.setattr(ladder.mcmc, "__defaults__", (True, 20))
    with pytest.raises(ChainTooShortError, match="has not converged after 20 steps") as err:
        fitted("decay").covariance("mcmc", rng=1)
    assert err.value.chain.shape[0] == 20
    assert err.value.tau.shape == (3,)


def test_unknown_estimators_are_named():
    with pytest.raises(ParameterError, match="'jacobian', 'hessian' or 'mcmc'"):
        fitted("line").covariance("bootstrap")


def test_climb_keeps_the_first_rung_without_asking():
    """An exact, full-rank minimum costs no evaluation."""
    result = fitted("decay")
    problem = result._outcome.bound.problem
    before = problem.nfev
    found = climb(problem, result._outcome.solution, result._covariance, result._sd_scale, 0)
    assert (found.source, found.notes, problem.nfev) == ("jacobian", (), before)


def test_whitened_curvature_is_nearly_one():
    result = fitted("line")
    problem, solution = result._outcome.bound.problem, result._outcome.solution
    root = result._covariance.root
    np.testing.assert_allclose(whitened_hessian(problem, solution.p, result._sd_scale, root, np.arange(2)), np.eye(2), atol=1e-8)


def test_a_kink_has_no_whitened_curvature():
    result = sf.SurfaceModel(kinked).fit(flat(-0.03), x=X, a=1.0, k=0.5)
    problem, solution = result._outcome.bound.problem, result._outcome.solution
    with pytest.raises(NoCurvatureError, match="kink"):
        whitened_hessian(problem, solution.p, result._sd_scale, np.diag([0.005 / result._sd_scale] * 2), np.arange(2))


@pytest.mark.parametrize(("func", "wanted"), [(lambda h: h * h, 1.0), (lambda h: 1e-20 * h, 1e20), (lambda h: 0.0, None)])
def test_reach(func, wanted):
    found = reach(func, 1.0, 1e-10)
    assert found is None if wanted is None else wanted <= found <= 4.0 * wanted


# ---- draws ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_a_linear_posterior_is_exact(known):
    """No chain: Student t with the residual's freedom where sigma is unknown, normal where it is known (Kolmogorov-Smirnov)."""
    x, y = X[:7], (1.0 - 0.3 * X + NOISE)[:7]
    sigma = np.full(7, 0.05)
    result = sf.SurfaceModel(line).fit(y, x=x, sigma=sigma, scale_covar=not known)
    posterior = result.sample(2000, rng=2)
    assert posterior.marginalised == ("a", "b")
    assert posterior.burn == 0
    law = stats.norm() if known else stats.t(result.nfree)
    for name in ("a", "b"):
        par = result.params[name]
        pulls = (posterior.flat(name) - par.value) / par.stderr
        assert stats.kstest(pulls, law.cdf).pvalue > 1e-3, name
        # negative control: the other law is seen with so many samples
        other = stats.t(result.nfree) if known else stats.norm()
        assert stats.kstest(pulls, other.cdf).pvalue < 1e-6, name
    assert np.corrcoef(posterior.flat().T)[0, 1] == pytest.approx(result.params["a"].correl["b"], abs=0.05)


def small_decay(**kws):
    """Twelve points: the posterior of the rate is visibly not Gaussian."""
    x = np.linspace(0.0, 3.0, 12)
    y = 2.0 * np.exp(-1.5 * x) + np.random.default_rng(4).normal(0, 0.1, 12)
    return x, y, sf.SurfaceModel(decay, **kws).fit(y, x=x, a=2.0, k=1.3, c=0.0)


def rate_by_quadrature(x, y, marginal=True):
    """Mean and sd of k on a grid: the linear part by numpy's QR; without `marginal` it is only maximised (the profile)."""
    grid = np.linspace(0.05, 6.0, 3000)
    log = np.empty(grid.size)
    for i, k in enumerate(grid):
        q, r = np.linalg.qr(np.stack([np.exp(-k * x), np.ones_like(x)], axis=1))
        left = y - q @ (q.T @ y)
        log[i] = -0.5 * (x.size - 2 if marginal else x.size) * np.log(left @ left) - marginal * np.log(np.abs(r.diagonal())).sum()
    weight = np.exp(log - log.max())
    mean = (weight * grid).sum() / weight.sum()
    return mean, np.sqrt((weight * (grid - mean) ** 2).sum() / weight.sum())


@pytest.mark.slow
def test_the_marginal_is_right_and_the_profile_is_not():
    """Linear parameters integrated out, against quadrature; the profile in its place is 15 % too narrow at N = 12."""
    x, y, result = small_decay()
    params = result.params.copy()
    params["k"].set(min=0.05, max=6.0)
    posterior = result.model.fit(y, params, x=x).sample(2500, walkers=24, rng=1)
    assert set(posterior.marginalised) == {"a", "c"}
    assert posterior.converged
    mean, sd = rate_by_quadrature(x, y)
    row = posterior.summary().loc["k"]
    assert abs(row["mean"] - mean) < 5 * row["mc_error"]
    assert row["sd"] == pytest.approx(sd, rel=0.05)
    _, narrow = rate_by_quadrature(x, y, marginal=False)
    assert narrow < 0.92 * sd  # the control would be seen
    assert abs(narrow / row["sd"] - 1) > 0.05


@pytest.mark.slow
def test_marginalised_and_full_chains_agree():
    """The same posterior walked in one dimension and in three."""
    x, y, result = small_decay()
    params = result.params.copy()
    params["k"].set(min=0.05, max=6.0)
    one = result.model.fit(y, params, x=x).sample(2500, walkers=24, rng=1).summary()
    whole = sf.SurfaceModel(decay, linear=()).fit(y, params, x=x).sample(2500, walkers=48, rng=2)
    assert whole.marginalised == ()
    full = whole.summary()
    for name in ("a", "k", "c"):
        # heavy tails (9 degrees of freedom, a curved ridge): compare what they don't rule
        error = np.hypot(one.loc[name, "mc_error"], full.loc[name, "mc_error"])
        assert abs(one.loc[name, "q50"] - full.loc[name, "q50"]) < 6 * error + 0.02 * one.loc[name, "sd"], name
        widths = [t.loc[name, "q84.13"] - t.loc[name, "q15.87"] for t in (one, full)]
        assert widths[0] == pytest.approx(widths[1], rel=0.06), name


def test_a_linear_parameter_near_its_bound_is_walked():
    """An amplitude that may not be negative: a Gaussian cut off at the wall."""
    y = 0.02 * np.exp(-0.4 * X) + NOISE

    def peak(x, a):
        return a * np.exp(-0.4 * x)

    model = sf.SurfaceModel(peak)
    params = model.make_params(a=0.1)
    params["a"].set(min=0.0)
    result = model.fit(y, params, x=X, sigma=np.full(X.size, 0.05), scale_covar=False)
    assert result.params["a"].value > 0
    posterior = result.sample(4000, rng=1)
    assert posterior.marginalised == ()
    flat_ = posterior.flat("a", thin=max(1, int(2 * posterior.tau[0])))
    assert flat_.min() >= 0.0
    value, sd = result.params["a"].value, result.params["a"].stderr
    law = stats.truncnorm(-value / sd, np.inf, loc=value, scale=sd)
    assert stats.kstest(flat_, law.cdf).pvalue > 1e-3
    assert stats.kstest(flat_, stats.norm(value, sd).cdf).pvalue < 1e-6


def test_rows_far_from_one_make_no_difference():
    """The same chain in units of the error, whatever the unit of the data."""
    chains = []
    for size in (1.0, 2.0**40, 2.0**-60):
        result = fitted("decay", size)
        posterior = result.sample(200, rng=1)
        chains.append(posterior.chain[-1, :, 1])
    np.testing.assert_allclose(chains[1], chains[0], rtol=1e-6)
    np.testing.assert_allclose(chains[2], chains[0], rtol=1e-6)


def test_division_fixes_one_of_a_redundant_pair():
    def func(x, a, b, k):
        return (a + b) * np.exp(-k * x)

    result = sf.SurfaceModel(func).fit(decay(X, 3.0, 0.45, 0.0) + NOISE, x=X, a=1.5, b=2.0, k=0.4)
    problem, here, cov = result._outcome.bound.problem, result._outcome.solution.here, result._covariance
    division = divide(problem, here, cov.null, cov.sd)
    assert division.still.size == 1
    run = Run(Target(problem, here.p, division, result._sd_scale), 16, 0, result._sd_scale)
    run.extend(10)
    assert run.samples().chain.shape == (10, 16, 2)


def test_a_ratio_does_not_climb():
    """Only a / b counts: along the null direction both pass through zero together, where 0 / 0 is anything."""

    def func(x, a, b, k):
        return a / b * np.exp(-k * x)

    data = decay(X, 3.0, 0.45, 0.0) + NOISE
    for b in (0.7, 1.0, 2.0):
        result = sf.SurfaceModel(func).fit(data, x=X, a=3.0, b=b, k=0.4)
        assert result.covar_source == "jacobian"
        assert np.isinf(result.params["b"].stderr)


@pytest.mark.parametrize(
    ("steps", "tau", "given_up"),
    [(2000, 700.0, False), (4000, 600.0, False), (4000, 700.0, True), (4000, np.nan, True)],
)
def test_a_chain_that_the_longest_would_not_save_is_given_up(steps, tau, given_up):
    """Fifty autocorrelation times of 640 steps are the 32 000 of the longest chain; the first chain is too short to tell."""
    from surffit.solve.ladder import _hopeless
    from surffit.solve.posterior import Samples

    samples = Samples(np.zeros((steps, 4, 1)), np.zeros((steps, 4)), 0.3, np.array([1.0, tau]))
    assert _hopeless(samples, 2000) is given_up
