"""Priors: exact rows, conjugate closed forms, limits, direct minimisation, words and refusals."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

import surffit as sf
from surffit.exceptions import ParameterError
from surffit.solve.status import Status

x = np.linspace(0.0, 5.0, 40)
SIGMA = 0.1


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


def untraceable(x, a, k, c):
    return a * np.exp(-k * x) + c if float(np.real(k)) > -9 else np.zeros_like(x)


def line(x, a, b):
    return a + b * x


def twins(x, a, b, d):
    return (a + b) * x + d


model = sf.SurfaceModel(decay)
y = decay(x, 3.0, 1.1, 0.5) + np.random.default_rng(1).normal(0, SIGMA, x.size)
KNOWN = {"sigma": SIGMA, "scale_covar": False}


def values(result):
    return np.array([result.params[name].value for name in result.model.param_names])


def errors(result):
    return np.array([result.params[name].stderr for name in result.model.param_names])


# ---- Gaussian priors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linear", [None, ()])
def test_a_gaussian_prior_is_a_row_of_data(linear):
    """The same rows as data of a model that shows its own parameters at two more points."""

    def with_rows(x, a, k, c):
        return np.where(x == 100.0, k, np.where(x == 101.0, a, a * np.exp(-k * x) + c))

    kws = {"k": 0.5} if linear is None else {"k": 0.5, "a": 2.0, "c": 0.0}
    priors = {"k": (1.2, 0.05), "a": (3.2, 0.1)}
    one = sf.SurfaceModel(decay, linear=linear).fit(y, x=x, priors=priors, **kws, **KNOWN)
    sigma = np.r_[np.full(x.size, SIGMA), 0.05, 0.1]
    two = sf.SurfaceModel(with_rows, linear=linear).fit(np.r_[y, 1.2, 3.2], x=np.r_[x, 100.0, 101.0], sigma=sigma, scale_covar=False, **kws)
    assert values(one) == pytest.approx(values(two), rel=1e-12)
    assert errors(one) == pytest.approx(errors(two), rel=1e-12)
    assert one.covar == pytest.approx(two.covar, rel=1e-10)
    assert one.covar_source == "jacobian"


def test_conjugate_posterior_of_a_line():
    """Known errors: precision-weighted means, by hand."""
    d = line(x, 1.0, 2.0) + np.random.default_rng(2).normal(0, 0.3, x.size)
    result = sf.SurfaceModel(line).fit(d, x=x, sigma=0.3, scale_covar=False, priors={"a": (0.5, 0.1), "b": (2.2, 0.02)})
    X = np.stack([np.ones_like(x), x]) / 0.3
    P = X @ X.T + np.diag([1 / 0.1**2, 1 / 0.02**2])
    best = np.linalg.solve(P, X @ d / 0.3 + [0.5 / 0.1**2, 2.2 / 0.02**2])
    assert values(result) == pytest.approx(best, rel=1e-12)
    assert result.covar == pytest.approx(np.linalg.inv(P), rel=1e-11)
    assert result.nfree == pytest.approx(x.size - np.trace(X @ X.T @ np.linalg.inv(P)), rel=1e-12)
    assert result.chisqr == pytest.approx(np.sum(((d - line(x, *best)) / 0.3) ** 2), rel=1e-12)
    assert result.ndata == x.size
    assert result.residual.size == x.size


def test_unknown_variance_is_the_fixed_point_of_mackay():
    """s^2 = chi2 / (N - gamma), gamma the trace of the data's share: iterated by hand for a line."""
    d = line(x, 1.0, 2.0) + np.random.default_rng(2).normal(0, 0.3, x.size)
    result = sf.SurfaceModel(line).fit(d, x=x, priors={"a": (0.5, 0.1), "b": (2.2, 0.02)})
    X, T, mean = np.stack([np.ones_like(x), x]), np.diag([1 / 0.1**2, 1 / 0.02**2]), np.array([0.5, 2.2])
    s2 = 1.0
    for _ in range(300):
        P = X @ X.T / s2 + T
        p = np.linalg.solve(P, X @ d / s2 + T @ mean)
        gamma = np.trace(X @ X.T / s2 @ np.linalg.inv(P))
        s2 = np.sum((d - line(x, *p)) ** 2) / (x.size - gamma)
    assert values(result) == pytest.approx(p, rel=1e-10)
    assert result.covar == pytest.approx(np.linalg.inv(X @ X.T / s2 + T), rel=1e-9)
    assert result.nfree == pytest.approx(x.size - gamma, rel=1e-10)
    assert result.redchi == pytest.approx(s2, rel=1e-10)


def test_a_flat_prior_is_none():
    """In the limit the scaled covariance of least squares, freedom included."""
    one, two = model.fit(y, x=x, k=0.5, priors={"k": (1.2, 1e7), "c": (0.0, 1e9)}), model.fit(y, x=x, k=0.5)
    assert values(one) == pytest.approx(values(two), rel=1e-10)
    assert one.covar == pytest.approx(two.covar, rel=1e-9)
    assert one.nfree == pytest.approx(two.nfree, rel=1e-12)
    assert one.redchi == pytest.approx(two.redchi, rel=1e-12)


def test_a_sharp_prior_holds():
    """In the limit the fit with the parameter fixed: values, errors, freedom."""
    one = model.fit(y, x=x, k=0.5, priors={"k": (1.2, 1e-8)})
    params = model.make_params(k={"value": 1.2, "vary": False})
    two = model.fit(y, params, x=x)
    assert values(one) == pytest.approx(values(two), rel=1e-10)
    assert errors(one) == pytest.approx([errors(two)[0], 1e-8, errors(two)[2]], rel=1e-6)
    assert one.nfree == pytest.approx(two.nfree, abs=1e-8)


@pytest.mark.parametrize("kws", [{}, KNOWN])
def test_what_the_data_leave_open_gets_the_error_of_its_prior(kws):
    """Only a + b is determined: with a prior on a alone a has its prior, and the sum is the data's."""
    d = twins(x, 1.0, 1.0, 0.5) + np.random.default_rng(3).normal(0, SIGMA, x.size)
    result = sf.SurfaceModel(twins).fit(d, x=x, priors={"a": (0.7, 0.2)}, **kws)
    plain = sf.SurfaceModel(line).fit(d, x=x, **kws)
    assert result.success
    assert not result.status & Status.RANK_DEFICIENT
    assert result.params["a"].value == pytest.approx(0.7, rel=1e-9)
    assert result.params["a"].stderr == pytest.approx(0.2, rel=1e-9)
    assert result.params["a"].value + result.params["b"].value == pytest.approx(plain.params["b"].value, rel=1e-9)
    assert result.params["b"].stderr == pytest.approx(np.hypot(0.2, plain.params["b"].stderr), rel=1e-9)
    assert result.nfree == pytest.approx(x.size - 2, rel=1e-9)


def test_fewer_points_than_parameters():
    """Enough with priors for the rest."""
    result = model.fit(y[:2], x=x[:2], k=0.5, priors={"k": (1.1, 0.1), "c": (0.5, 0.1)}, **KNOWN)
    assert result.success
    assert np.isfinite(errors(result)).all()


@pytest.mark.parametrize("factor", [1e-60, 1e140])
def test_units_of_data_and_prior_go_together(factor):
    one = model.fit(y, x=x, k=0.5, priors={"a": (3.2, 0.1)})
    two = model.fit(factor * y, x=x, k=0.5, priors={"a": (3.2 * factor, 0.1 * factor)})
    assert values(two) == pytest.approx(values(one) * [factor, 1, factor], rel=1e-10)
    assert errors(two) == pytest.approx(errors(one) * [factor, 1, factor], rel=1e-9)


def test_a_frozen_normal_is_the_pair():
    one, two = (model.fit(y, x=x, k=0.5, priors={"k": prior}) for prior in ((1.2, 0.05), stats.norm(1.2, 0.05)))
    assert np.array_equal(one.covar, two.covar)


# ---- any density -------------------------------------------------------------------------------------------------------------------

DENSITIES = {
    "gamma": {"k": stats.gamma(30, scale=0.04), "a": (3.2, 0.1)},
    "heavy tails": {"k": stats.t(3, 1.3, 0.05)},
    "lognormal": {"c": stats.lognorm(0.1, scale=0.55)},
    "function": {"k": lambda k: -300 * (np.log(k) - 0.2) ** 2},
    "joint": {("a", "k"): stats.multivariate_normal([3.2, 1.2], [[0.01, 0.004], [0.004, 0.0025]])},
    "joint function": {("k", "c"): lambda k, c: -2e3 * (k * c - 0.6) ** 2 - 10 * k},
}


def log_prior(priors, p):
    total = 0.0
    for key, prior in priors.items():
        v = [p[name] for name in (key if isinstance(key, tuple) else (key,))]
        if isinstance(prior, tuple):
            total += -0.5 * ((v[0] - prior[0]) / prior[1]) ** 2
        elif hasattr(prior, "logpdf"):
            total += float(prior.logpdf(v if len(v) > 1 else v[0]))
        else:
            total += prior(*v)
    return total


@pytest.mark.parametrize("name", DENSITIES)
def test_any_density_against_direct_minimisation(name):
    """Nelder-Mead on -ln P by hand, then one Newton step by differences; errors from that Hessian."""
    priors = DENSITIES[name]
    result = model.fit(y, x=x, k=1.0, a=3.0, c=0.5, priors=priors, **KNOWN)

    def cost(p):
        return 0.5 * np.sum(((y - decay(x, *p)) / SIGMA) ** 2) - log_prior(priors, dict(zip("akc", p, strict=True)))

    best = minimize(cost, values(result), method="Nelder-Mead", options={"xatol": 1e-11, "fatol": 1e-13, "maxfev": 4000}).x
    assert result.success
    assert result.covar_source == "hessian"
    assert values(result) == pytest.approx(best, abs=2e-6 * errors(result).min())
    assert cost(values(result)) <= cost(best) * (1 + 1e-14)
    h = 0.02 * errors(result)
    steps = np.diag(h)
    rises = [cost(best + s + t) - cost(best + s - t) - cost(best - s + t) + cost(best - s - t) for s in steps for t in steps]
    H = np.reshape(rises, (3, 3)) / 4
    assert result.covar == pytest.approx(np.linalg.inv(H / np.outer(h, h)), rel=1e-3, abs=1e-3 * np.abs(result.covar).min())


def test_a_density_that_is_normal_gives_what_the_row_gives():
    """Values to the rounding of its derivatives; errors those of the full Hessian, which the row leaves to J'J."""
    one = model.fit(y, x=x, k=0.5, priors={"c": (0.45, 0.01)})
    two = model.fit(y, x=x, k=0.5, priors={"c": lambda c: -0.5 * ((c - 0.45) / 0.01) ** 2})
    assert values(two) == pytest.approx(values(one), rel=1e-9)
    assert errors(two) == pytest.approx(errors(one), rel=0.05)


def test_linear_parameters_with_any_prior_need_no_start():
    result = model.fit(y, x=x, k=0.5, priors={"a": stats.gamma(100, scale=0.032), "c": lambda c: -((c - 0.5) ** 2) / 0.02})
    assert result.success
    assert "needed no start" in result.explain()


def test_the_end_of_a_support_is_a_bound():
    result = model.fit(y, x=x, k=0.7, priors={"k": stats.uniform(0.5, 0.4)})
    assert result.best_values["k"] == 0.9
    assert result.status & Status.AT_BOUND
    assert np.isnan(result.params["k"].stderr)


def test_a_flat_density_changes_nothing():
    one, two = model.fit(y, x=x, k=0.7, priors={"k": stats.uniform(0.1, 40)}), model.fit(y, x=x, k=0.7)
    assert values(one) == pytest.approx(values(two), rel=1e-9)
    assert one.nfree == pytest.approx(two.nfree)


def test_a_corner_is_told_as_one():
    """The peak of a Laplace density: no derivative, no parabola, no error bar out of thin air."""
    result = model.fit(y, x=x, k=0.7, priors={"k": stats.laplace(1.2, 0.001)})
    assert result.best_values["k"] == pytest.approx(1.2, abs=1e-4)
    assert result.covar is None
    assert "corner" in result.explain()


# ---- with losses and other routes ------------------------------------------------------------------------------------------------------


def test_counts_with_a_conjugate_prior():
    """A gamma prior on a constant rate: the mode and the curvature there in closed form."""
    n = np.random.default_rng(3).poisson(0.3, 50)
    result = sf.SurfaceModel(lambda x, rate: rate + 0 * x).fit(
        n, x=np.arange(50.0), loss="poisson", priors={"rate": stats.gamma(9, scale=0.05)}
    )
    shape, rate = n.sum() + 9, 50 + 20
    assert result.params["rate"].value == pytest.approx((shape - 1) / rate, rel=1e-10)
    assert result.params["rate"].stderr == pytest.approx(np.sqrt(shape - 1) / rate, rel=1e-7)


def test_a_robust_fit_with_a_flat_and_a_sharp_prior():
    wild = y.copy()
    wild[::7] += 2.0
    plain = model.fit(wild, x=x, k=0.5, loss="soft_l1")
    flat = model.fit(wild, x=x, k=0.5, loss="soft_l1", priors={"k": (1.0, 1e6)})
    assert values(flat) == pytest.approx(values(plain), rel=1e-9)
    assert errors(flat) == pytest.approx(errors(plain), rel=1e-8)
    assert flat.nfree == pytest.approx(plain.nfree)
    sharp = model.fit(wild, x=x, k=0.5, loss="soft_l1", priors={"k": (1.2, 1e-7)})
    params = model.make_params(k={"value": 1.2, "vary": False})
    held = model.fit(wild, params, x=x, loss="soft_l1")
    # another number of parameters counts in the residual's scale
    assert values(sharp) == pytest.approx(values(held), rel=0.02)
    assert errors(sharp)[1] == pytest.approx(1e-7, rel=1e-4)


@pytest.mark.parametrize("priors", [{"k": (1.2, 0.05)}, {"k": stats.gamma(30, scale=0.04)}])
def test_functions_that_can_t_be_traced(priors):
    one, two = (sf.SurfaceModel(f).fit(y, x=x, k=0.5, a=2.0, c=0.0, priors=priors) for f in (decay, untraceable))
    assert two.conditioning.derivatives == "complex-step"
    assert values(two) == pytest.approx(values(one), rel=1e-9)
    assert errors(two) == pytest.approx(errors(one), rel=1e-6)


@pytest.mark.parametrize("method", ["leastsq", "least_squares", "nelder", "lbfgsb"])
@pytest.mark.parametrize("priors", [{"k": (1.2, 0.05)}, {"k": stats.gamma(30, scale=0.04)}])
def test_lmfit_s_methods_feel_the_prior(method, priors):
    if method.startswith("least") and "gamma" in str(getattr(priors["k"], "dist", "")):
        with pytest.raises(ParameterError, match="minimises a sum of squares"):
            model.fit(y, x=x, k=0.5, priors=priors, method=method)
        return
    one, two = model.fit(y, x=x, k=0.5, priors=priors), model.fit(y, x=x, k=0.5, priors=priors, method=method)
    assert values(two) == pytest.approx(values(one), rel=1e-8)
    assert errors(two) == pytest.approx(errors(one), rel=1e-7)


def test_joint_fits_take_priors_by_joint_name():
    joint = sf.JointModel({"r": model, "w": model}, shared=["k"])
    result = joint.fit({"r": y, "w": 2 * y}, x=x, k=0.8, priors={"k": (1.2, 0.01), "w_c": (1.1, 0.01)})
    assert result.success
    assert result.params["k"].stderr < 0.01
    assert result.params["w_c"].stderr < 0.01
    assert result.data_sets()["nfree"].sum() == pytest.approx(result.nfree, rel=1e-8)


def test_posterior_stands_on_the_priors():
    result = model.fit(y, x=x, k=0.5, priors={"k": (1.2, 0.03)}, **KNOWN)
    frame = result.sample(steps=1500, rng=1).to_frame()
    assert frame["k"].std() == pytest.approx(result.params["k"].stderr, rel=0.1)
    assert frame["k"].mean() == pytest.approx(result.params["k"].value, abs=0.2 * result.params["k"].stderr)
    assert frame["k"].std() < 0.9 * model.fit(y, x=x, k=0.5, **KNOWN).params["k"].stderr


def test_a_start_that_contradicts_its_prior_is_not_the_only_one():
    """Two decays whose starts lie in each other's places: the prior says which is which, and its centre is tried as well."""

    def two(x, a1, k1, a2, k2):
        return a1 * np.exp(-k1 * x) + a2 * np.exp(-k2 * x)

    d = two(x, 3.0, 0.3, 5.0, 2.0) + np.random.default_rng(0).normal(0, 0.02, x.size)
    result = sf.SurfaceModel(two).fit(d, x=x, k1=3.0, k2=0.2, priors={"k1": (0.3, 0.05)})
    assert result.best_values["k1"] == pytest.approx(0.3, abs=0.05)
    assert result.best_values["k2"] == pytest.approx(2.0, abs=0.3)


def test_a_document_keeps_a_freedom_that_is_no_whole_number(tmp_path):
    result = model.fit(y, x=x, k=0.5, priors={"k": (1.2, 0.05)})
    result.save(tmp_path / "fit.json")
    again = sf.load(tmp_path / "fit.json")
    assert again.nfree == result.nfree
    assert again.explain() == result.explain()


def test_bounds_and_priors_together():
    params = model.make_params(a=3.0, k={"value": 0.5, "max": 1.0}, c={"value": 0.1, "min": 0.0})
    result = model.fit(y, params, x=x, priors={"k": (1.5, 0.01), "c": (0.5, 0.1)})
    assert result.best_values["k"] == 1.0
    assert result.status & Status.AT_BOUND


# ---- words and refusals ---------------------------------------------------------------------------------------------------------------


def test_words():
    text = model.fit(y, x=x, k=0.5, priors={"k": (1.2, 0.05), "a": stats.gamma(100, scale=0.03), "c": lambda c: -(c**2)}).explain()
    text = " ".join(text.split())
    assert "of the 3 parameters beside them" in text
    assert "k moved " in text
    assert "standard deviations from its prior (1.2 +/- 0.05)" in text
    assert "c has a prior given as a function" in text
    assert "data and prior disagree" in " ".join(model.fit(y, x=x, k=0.5, priors={"k": (9.0, 1.0)}).explain().split())


def test_refit_and_minimize_keep_the_priors():
    result = model.fit(y, x=x, k=0.5, priors={"k": (1.2, 0.01)})
    before = values(result)
    result.fit()
    assert values(result) == pytest.approx(before, rel=1e-10)
    assert result.minimize("nelder").params["k"].value == pytest.approx(before[1], rel=1e-8)
    result.fit(priors=None)
    assert abs(result.params["k"].value - before[1]) > 0.01


def test_priors_are_not_changed():
    priors = {"k": [1.2, 0.05], ("a", "c"): lambda a, c: -(a**2)}
    before = dict(priors)
    model.fit(y, x=x, k=0.5, a=1.0, c=0.0, priors=priors)
    assert priors == before


def tied():
    params = model.make_params(a=2.0, k=1.0, c=0.5)
    params["c"].expr = "a / 6"
    return params


def fixed():
    params = model.make_params(a=2.0, k=1.0, c=0.5)
    params["c"].vary = False
    return params


REFUSED = {
    "no dict": ([1], "priors is list"),
    "unknown name": ({"kk": (1, 1)}, "did you mean 'k'"),
    "sigma 0": ({"k": (1, 0)}, "sigma 0"),
    "sigma negative": ({"k": (1, -1)}, "sigma -1"),
    "sigma infinite": ({"k": (1, np.inf)}, "sigma inf"),
    "mean nan": ({"k": (np.nan, 1)}, "mean nan"),
    "words": ({"k": ("a", "b")}, "are two numbers"),
    "a number": ({"k": 3.0}, r"the prior of k is 3.0; give \(mean, sigma\)"),
    "discrete": ({"k": stats.poisson(3)}, "is a discrete distribution"),
    "twice": ({"k": (1, 1), ("k", "a"): lambda k, a: 0.0}, "k has two priors"),
    "impossible start": ({"k": lambda k: -np.inf}, "start k = 1 is impossible by its prior"),
    "nan": ({"k": lambda k: np.nan}, "log-density is nan at k = 1"),
    "no number": ({"k": lambda k: None}, "log-density failed at k = 1"),
    "wrong number of arguments": ({("k", "a"): lambda k: 0.0}, "log-density failed at k = 1, a = 2"),
    "pair for two": ({("k", "a"): (1, 2)}, "give a joint log-density"),
    "not frozen": ({"k": stats.gamma}, r"gamma without its arguments; write scipy.stats.gamma\(a, loc, scale\)"),
    "normal, not frozen": ({"k": stats.norm}, r"norm without its arguments; write scipy.stats.norm\(0, 1\)"),
    "bad distribution": ({"k": stats.gamma(-1)}, "check the distribution's arguments"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_prior_is_refused(case):
    priors, text = REFUSED[case]
    with pytest.raises(ParameterError, match=text), np.errstate(all="ignore"):
        model.fit(y, x=x, a=2.0, k=1.0, c=0.5, priors=priors)


def test_priors_belong_to_fitted_parameters():
    with pytest.raises(ParameterError, match=r"c has a prior but is fixed at 0\.5"):
        model.fit(y, fixed(), x=x, priors={"c": (0.5, 0.1)})
    with pytest.raises(ParameterError, match="c has a prior but is tied by expr 'a / 6'"):
        model.fit(y, tied(), x=x, priors={"c": (0.5, 0.1)})
    with pytest.raises(ParameterError, match="no effect on the model"):
        sf.SurfaceModel(lambda x, a, b: a * x + 0 * b).fit(y, x=x, priors={"b": (0.0, 1.0)})


EDGES = {
    "uniform": stats.uniform(0, 2),
    "halfnorm": stats.halfnorm(scale=1),
    "expon": stats.expon(scale=1),
    "truncnorm": stats.truncnorm(-1, 3, loc=1, scale=1),
}


def _pushed():
    x = np.linspace(0, 5, 30)
    model = sf.SurfaceModel.from_expression("a*exp(-k*x)+b", independent_vars=["x"])
    y = model.eval(a=3, k=0.7, b=-0.1, x=x) + np.random.default_rng(0).normal(0, 0.1, x.size)
    return model, x, y


@pytest.mark.parametrize("start", [{}, {"a": 3.0, "b": 0.1}, {"a": 3.0, "b": -1.0}], ids=["none", "inside", "outside"])
@pytest.mark.parametrize("name", EDGES)
def test_data_that_push_against_the_edge_of_a_prior_end_on_it(name, start):
    model, x, y = _pushed()
    same = model.fit(y, model.make_params(k=0.6, b={"value": 0.1, "min": 0, "max": 2}), x=x, sigma=0.1, scale_covar=False)
    result = model.fit(y, x=x, k=0.6, sigma=0.1, scale_covar=False, priors={"b": EDGES[name]}, **start)
    assert result.success, result.message
    assert result.params["b"].value == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(result.params["b"].stderr)
    assert Status.AT_BOUND in result.status
    for other in ("a", "k"):
        assert result.params[other].value == pytest.approx(same.params[other].value, rel=1e-8)
        assert result.params[other].stderr == pytest.approx(same.params[other].stderr, rel=0.05)  # Hessian beside Jacobian
    assert result.params["b"].min == -np.inf
    assert "b is on the min = 0 of its prior" in " ".join(result.explain().split())


def test_a_smooth_density_counts_inside_its_hard_edges():
    model, x, y = _pushed()
    prior = stats.truncnorm(-3, 1, loc=0.4, scale=0.1)
    result = model.fit(y, x=x, k=0.6, sigma=0.1, scale_covar=False, priors={"b": prior})

    def cost(p):
        return np.sum(((y - model.eval(a=p[0], k=p[1], b=p[2], x=x)) / 0.1) ** 2) + ((p[2] - 0.4) / 0.1) ** 2

    direct = minimize(cost, [3.0, 0.7, 0.2], method="L-BFGS-B", bounds=[(None, None), (None, None), (0.1, 0.5)], tol=1e-14)
    assert result.success
    assert result.values["b"] == pytest.approx(0.1, abs=1e-12)
    assert [result.values[n] for n in "akb"] == pytest.approx(direct.x, rel=1e-4)


def test_a_support_outside_the_bounds_is_named():
    model, x, y = _pushed()
    params = model.make_params(k=0.6, b={"value": -1.0, "max": -0.5})
    with pytest.raises(ParameterError, match="nothing is left between"):
        model.fit(y, params, x=x, priors={"b": stats.uniform(0, 2)})


def test_a_function_prior_that_forbids_the_best_value_raises_nothing_raw():
    model, x, y = _pushed()
    result = model.fit(y, x=x, k=0.6, a=3.0, b=0.1, sigma=0.1, scale_covar=False, priors={"b": lambda b: 0.0 if b >= 0 else -np.inf})
    assert result.values["b"] >= 0.0
    assert isinstance(result.explain(), str)
