"""`result.sample` and `method="emcee"`: names, what is left out and said, words for what can't be."""

import pickle
import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt

import surffit as sf
from surffit.exceptions import ConvergenceWarning, DocumentError, OptionalDependencyError, ParameterError

X = np.linspace(0.0, 10.0, 60)
Y = 3.0 * np.exp(-0.45 * X) + 0.5 + np.random.default_rng(0).normal(0, 0.05, X.size)


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


def line(x, a, b):
    return a + b * x


MODEL = sf.SurfaceModel(decay)


def tied():
    params = MODEL.make_params(k=0.4)
    params.add("half", expr="log(2)/k")
    return params


@pytest.fixture(scope="module")
def result():
    return MODEL.fit(Y, tied(), x=X)


@pytest.fixture(scope="module")
def posterior(result):
    return result.sample(600, rng=1)


def test_names_and_shapes(posterior):
    assert posterior.names == ("a", "k", "c", "half")
    assert posterior.derived == ("half",)
    assert posterior.marginalised == ("a", "c")
    assert posterior.chain.shape == (600, 16, 4)
    assert posterior.log_prob.shape == (600, 16)
    assert (posterior.steps, posterior.walkers, posterior.seed) == (600, 16, 1)
    assert posterior.converged
    assert posterior.tau.shape == (4,)
    assert 0.15 < posterior.acceptance < 1
    assert 0 < posterior.burn < 100
    assert "600 steps x 16 walkers, converged" in repr(posterior)
    assert any("integrated out exactly" in note for note in posterior.notes)


def test_derived_columns_follow_their_parents(posterior):
    np.testing.assert_allclose(posterior.flat("half"), np.log(2) / posterior.flat("k"), rtol=1e-12)


def test_constraints_of_lmfit_models_hold_in_every_sample():
    """lmfit's heights guard against a width of 0 by max(), which takes single numbers only."""
    from lmfit.models import GaussianModel

    model = sf.SurfaceModel.from_lmfit(GaussianModel())
    params = model.make_params(center=5, sigma=1.5)
    data = model.eval(params, amplitude=3, x=X) + np.random.default_rng(1).normal(0, 0.02, X.size)
    posterior = model.fit(data, params, x=X).sample(300, rng=1)
    height = posterior.flat("amplitude") / posterior.flat("sigma") / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(posterior.flat("height"), height, rtol=1e-6)
    np.testing.assert_allclose(posterior.flat("fwhm"), 2.3548200 * posterior.flat("sigma"), rtol=1e-6)


def test_constraints_that_only_lmfit_understands_are_followed():
    def scaled(x, a, b):
        return a + b * x

    model = sf.SurfaceModel(scaled)
    params = model.make_params(a=1.0, b=0.1)
    params._asteval.symtable["twice"] = lambda v: 2 * v
    params.add("d", expr="twice(b)")
    posterior = model.fit(Y, params, x=X).sample(50, rng=1)
    np.testing.assert_allclose(posterior.flat("d"), 2 * posterior.flat("b"))


def test_summary_and_frame(result, posterior):
    table = posterior.summary()
    assert list(table.columns) == ["mean", "sd", "q2.5", "q15.87", "q50", "q84.13", "q97.5", "n_eff", "mc_error"]
    assert list(table.index) == list(posterior.names)
    np.testing.assert_allclose(table["mc_error"], table["sd"] / np.sqrt(table["n_eff"]))
    for name in ("a", "k", "c", "half"):
        par, row = result.params[name], table.loc[name]
        assert abs(row["mean"] - par.value) < 0.2 * par.stderr
        assert row["sd"] == pytest.approx(par.stderr, rel=0.15)
    frame = posterior.to_frame()
    assert list(frame.columns) == [*posterior.names, "log_prob"]
    assert len(frame) == 16 * len(range(posterior.burn, 600, posterior.thin))


def test_more_is_one_run(result):
    whole = result.sample(120, rng=5)
    half = result.sample(60, rng=5)
    joined, again = half.more(60), half.more(60)
    for other in (joined, again):
        np.testing.assert_array_equal(other.chain, whole.chain)
        np.testing.assert_array_equal(other.log_prob, whole.log_prob)
        np.testing.assert_array_equal(other.tau, whole.tau)
        assert other.acceptance == pytest.approx(whole.acceptance)
    assert half.steps == 60
    direct = sf.SurfaceModel(line).fit(Y, x=X)
    np.testing.assert_array_equal(direct.sample(30, rng=5).more(30).chain, direct.sample(60, rng=5).chain)


test_more_is_one_run = pytest.mark.filterwarnings("ignore:the chain has not converged")(test_more_is_one_run)


def test_pickled_posteriors_keep_their_numbers(posterior):
    copy = pickle.loads(pickle.dumps(posterior))
    np.testing.assert_array_equal(copy.chain, posterior.chain)
    np.testing.assert_allclose(copy.summary(), posterior.summary(), rtol=1e-12)
    assert copy.notes == posterior.notes
    with pytest.raises(DocumentError, match=r"carrying on needs the model and the data"):
        copy.more(10)
    with pytest.raises(DocumentError, match=r"the evidence needs the model"):
        _ = copy.evidence


def test_a_short_chain_says_so(result):
    with pytest.warns(ConvergenceWarning, match=r"has not converged: 40 steps are fewer than 50 autocorrelation times") as seen:
        posterior = result.sample(40, rng=1)
    assert seen[0].filename == __file__
    assert not posterior.converged
    assert "NOT converged" in repr(posterior)
    assert any("has not converged" in note for note in posterior.notes)
    assert posterior.burn <= 20


def test_what_has_no_posterior_is_left_out_and_named():
    def func(x, a, b, k, unused):
        return (a + b) * np.exp(-k * x)

    result = sf.SurfaceModel(func).fit(Y - 0.5, x=X, a=1.0, b=1.0, k=0.4, unused=1.0)
    posterior = result.sample(600, rng=1)
    assert posterior.names == ("k",)
    note = next(n for n in posterior.notes if "without a prior" in n)
    assert "a, b and unused" in note
    assert posterior.summary().loc["k", "sd"] == pytest.approx(result.params["k"].stderr, rel=0.15)


def test_a_parameter_that_ended_on_its_bound_is_sampled_within():
    """A straight line with a curvature that must not be negative: a truncated normal distribution."""
    x, sigma = np.linspace(-1, 1, 40), 0.5
    y = 1 + 0.5 * x + 0.1 * x**2 + np.random.default_rng(5).normal(0, sigma, x.size)
    model = sf.SurfaceModel.from_expression("a + b * x + c * x**2", independent_vars=["x"])
    params = model.make_params(a=1.0, b=1.0, c={"value": 1, "min": 0})
    result = model.fit(y, params, x=x, sigma=sigma, scale_covar=False)
    assert result.params["c"].value == 0.0
    A = np.stack([np.ones_like(x), x, x**2], axis=1) / sigma
    inverse = np.linalg.inv(A.T @ A)
    draws = np.random.default_rng(0).multivariate_normal(inverse @ (A.T @ (y / sigma)), inverse, 400_000)
    draws = draws[draws[:, 2] > 0]
    posterior = result.sample(1500, rng=1)
    table = posterior.summary()
    assert posterior.names == ("a", "b", "c")
    assert posterior.flat("c").min() >= 0.0
    np.testing.assert_allclose(table["sd"], draws.std(axis=0), rtol=0.06)
    assert (np.abs(table["mean"] - draws.mean(axis=0)) < 5 * table["mc_error"] + 1e-3).all()
    medians = model.fit(y, params, x=x, sigma=sigma, scale_covar=False, method="emcee", fit_kws={"steps": 1000})
    assert medians.params["c"].value == pytest.approx(np.median(draws[:, 2]), rel=0.15)
    # the rung of the covariance holds it, as the others do
    assert np.isnan(result.covariance("mcmc", rng=0).stderr["c"])


def test_far_outside_its_bound_a_parameter_falls_off_exponentially():
    params = MODEL.make_params(k=0.6)
    params["k"].set(min=0.5)
    result = MODEL.fit(Y, params, x=X, sigma=0.05, scale_covar=False)
    assert result.params["k"].value == 0.5
    posterior = result.sample(1000, rng=1)
    assert posterior.names == ("a", "k", "c")
    assert posterior.converged
    assert not any("held" in note for note in posterior.notes)
    k = np.linspace(0.5, 0.7, 2000)
    density = []
    for rate in k:
        columns = np.stack([np.exp(-rate * X), np.ones_like(X)], axis=1) / 0.05
        q, r = np.linalg.qr(columns)
        left = Y / 0.05 - q @ (q.T @ (Y / 0.05))
        density.append(-0.5 * left @ left - np.log(np.abs(np.diag(r))).sum())
    weight = np.exp(np.array(density) - max(density))
    mean = (weight * k).sum() / weight.sum()
    assert posterior.flat("k").mean() - 0.5 == pytest.approx(mean - 0.5, rel=0.1)


@pytest.mark.slow
def test_known_errors_are_taken_as_they_are():
    """Twice the errors, twice the spread, whatever the residuals say."""
    sds = []
    for sigma in (0.05, 0.1):
        result = MODEL.fit(Y, tied(), x=X, sigma=np.full(X.size, sigma), scale_covar=False)
        sds.append(result.sample(1000, rng=1).summary()["sd"]["c"])
        assert sds[-1] == pytest.approx(result.params["c"].stderr, rel=0.1)
    assert sds[1] / sds[0] == pytest.approx(2.0, rel=0.1)


def test_progress_is_told(result):
    seen = []
    result.sample(300, rng=1, progress=lambda done, total, text: seen.append((done, total, text)))
    assert [done for done, _, _ in seen] == list(range(1, 301))
    assert seen[0][1:] == (300, "steps")


@pytest.mark.parametrize(
    ("kws", "sentence"),
    [
        ({"steps": 0}, "steps=0; give a positive whole number"),
        ({"steps": 1.5}, r"steps=1\.5"),
        ({"walkers": 2}, "walkers=2 are too few for 1 walked"),
        ({"rng": True}, "rng=True"),
    ],
)
def test_wrong_calls_are_refused(result, kws, sentence):
    with pytest.raises(ParameterError, match=sentence):
        result.sample(**kws)


def test_without_freedom_there_is_no_posterior():
    result = sf.SurfaceModel(line).fit([1.0, 2.0], x=np.array([0.0, 1.0]))
    with pytest.raises(ParameterError, match=r"2 points for 2 parameters say nothing about the errors"):
        result.sample()
    known = sf.SurfaceModel(line).fit([1.0, 2.0], x=np.array([0.0, 1.0]), sigma=np.array([0.1, 0.1]), scale_covar=False)
    assert known.sample(500, rng=1).summary().loc["a", "sd"] == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("loss", ["soft_l1", "poisson"])
def test_losses_are_sampled_by_their_cost(loss):
    data = np.random.default_rng(1).poisson(20 * np.exp(-0.3 * X) + 20) if loss == "poisson" else Y
    size = 20.0 if loss == "poisson" else 1.0
    params = MODEL.make_params(a=size, k=0.3, c=size)
    params["k"].set(min=0.1, max=0.9)  # else the tail towards a straight line is long
    fit = MODEL.fit(data, params, x=X, loss=loss, scale_covar=loss != "poisson")
    posterior = fit.sample(2500, rng=1)
    assert posterior.marginalised == ()
    for name in ("a", "k", "c"):
        assert posterior.summary().loc[name, "sd"] == pytest.approx(fit.params[name].stderr, rel=0.3), name


def test_joint_fits_are_sampled():
    joint = sf.JointModel({"one": MODEL, "two": MODEL}, shared=["k"])
    result = joint.fit({"one": Y, "two": 0.5 * Y}, x=X, k=0.4)
    posterior = result.sample(600, rng=1)
    assert set(posterior.names) == set(result.var_names)
    assert posterior.summary().loc["k", "sd"] == pytest.approx(result.params["k"].stderr, rel=0.15)


# ---- pictures, other formats, evidence --------------------------------------------------------------------------------------------


def test_corner(posterior):
    figure = posterior.corner(names=["a", "k"])
    assert [ax.get_xlabel() for ax in figure.axes][-2:] == ["a", "k"]
    plt.close(figure)
    with pytest.raises(ParameterError, match="'q' is not in this posterior"):
        posterior.corner(names=["q"])


def test_arviz(posterior):
    tree = posterior.to_arviz()
    assert tree.posterior["k"].shape == (16, 600 - posterior.burn)
    np.testing.assert_array_equal(tree.posterior["k"].values.T, posterior.chain[posterior.burn :, :, 1])


@pytest.mark.slow
def test_evidence_of_a_line_is_the_closed_form():
    """A Gaussian well inside uniform priors: ln L at the maximum + ln sqrt(det 2 pi C) - ln volume."""
    model = sf.SurfaceModel(line)
    params = model.make_params(a=0.0, b=0.0)
    params["a"].set(min=-2, max=6)
    params["b"].set(min=-2, max=2)
    result = model.fit(Y, params, x=X, sigma=np.full(X.size, 0.5), scale_covar=False)
    found = result.sample(100, rng=1).evidence
    top = -0.5 * result.chisqr - X.size * np.log(0.5 * np.sqrt(2 * np.pi))
    wanted = top + 0.5 * np.log(np.linalg.det(2 * np.pi * result.covar)) - np.log(8 * 4)
    assert abs(found.ln_z - wanted) < 4 * found.error
    assert 0.05 < found.error < 0.4
    assert result.sample(100, rng=1).evidence == found


def test_evidence_with_gaussian_priors_is_the_closed_form():
    """Data and priors Gaussian: the prior rows count as data, their normalisation too."""
    sigma = np.full(X.size, 0.5)
    priors = {"a": (2.0, 1.0), "b": (0.0, 0.5)}
    result = sf.SurfaceModel(line).fit(Y, x=X, sigma=sigma, scale_covar=False, priors=priors)
    found = result.sample(100, rng=1).evidence
    left = Y - line(X, *(result.params[n].value for n in "ab"))
    chi2 = np.sum((left / sigma) ** 2) + sum(((result.params[n].value - mean) / sd) ** 2 for n, (mean, sd) in priors.items())
    top = -0.5 * chi2 - np.log(sigma * np.sqrt(2 * np.pi)).sum() - sum(np.log(sd * np.sqrt(2 * np.pi)) for _, sd in priors.values())
    wanted = top + 0.5 * np.log(np.linalg.det(2 * np.pi * result.covar))
    assert abs(found.ln_z - wanted) < 4 * found.error


def test_evidence_without_priors_is_refused(posterior):
    with pytest.raises(ParameterError, match="needs the errors of the data"):
        _ = posterior.evidence
    known = MODEL.fit(Y, x=X, k=0.4, sigma=np.full(X.size, 0.05), scale_covar=False)
    with pytest.raises(
        ParameterError, match=r"proper prior for every parameter, and k, a and c have none; give them a min and a max, or a prior"
    ):
        _ = known.sample(500, rng=1).evidence


@pytest.mark.parametrize(
    ("package", "use"),
    [("corner", lambda p: p.corner()), ("arviz", lambda p: p.to_arviz()), ("dynesty", lambda p: p.evidence)],
)
def test_missing_packages_are_named(package, use, monkeypatch):
    model = sf.SurfaceModel(line)
    params = model.make_params(a=0.0, b=0.0)
    for name in params:
        params[name].set(min=-9, max=9)
    drawn = model.fit(Y, params, x=X, sigma=np.full(X.size, 0.5), scale_covar=False).sample(100, rng=1)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OptionalDependencyError, match=rf'{package}: pip install "surffit\[mc\]"'):
        use(drawn)


# ---- method="emcee" ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    return MODEL.fit(Y, tied(), x=X, method="emcee", fit_kws={"steps": 600, "seed": 3})


def test_emcee_gives_medians_as_lmfit_does(drawn, result):
    flat = drawn.flatchain
    assert list(flat.columns) == ["a", "k", "c", "half"]
    for name in flat:
        low, middle, high = np.percentile(flat[name], [15.87, 50, 84.13])
        par = drawn.params[name]
        if name != "half":
            assert par.value == middle
        assert par.stderr == 0.5 * (high - low)
        assert abs(par.value - result.params[name].value) < 0.15 * par.stderr
    assert drawn.covar_source == "mcmc"
    np.testing.assert_allclose(drawn.covar, np.cov(flat[["a", "k", "c"]].T), rtol=1e-9)
    assert drawn.params["a"].correl["k"] == pytest.approx(np.corrcoef(flat["a"], flat["k"])[0, 1])
    assert drawn.chisqr == pytest.approx(np.sum((Y - decay(X, *(drawn.params[n].value for n in "akc"))) ** 2))
    assert drawn.chisqr >= result.chisqr
    assert drawn.method == "emcee"
    assert drawn.chain.shape[1:] == (16, 4)
    assert drawn.lnprob.shape == drawn.chain.shape[:2]
    assert drawn.acor.shape == (4,)
    assert drawn.posterior.steps == 600
    assert "medians" in drawn.explain()
    assert "fitting method   = emcee" in drawn.fit_report()
    assert drawn.posterior.more(10).steps == 610
    assert drawn.predict(x=X[:3]).shape == (3, 3)


def test_emcee_takes_lmfits_words():
    kws = {"steps": 400, "nwalkers": 20, "burn": 100, "thin": 2, "seed": 1, "is_weighted": False, "progress": False}
    drawn = MODEL.fit(Y, tied(), x=X, method="emcee", fit_kws=kws)
    assert drawn.chain.shape == (150, 20, 4)
    assert len(drawn.flatchain) == 3000


@pytest.mark.parametrize(
    ("kws", "sentence"),
    [
        ({"ntemps": 3}, "'ntemps'; method='emcee' takes steps"),
        ({"seed": 1, "rng": 2}, "seed and rng"),
        ({"is_weighted": True}, "contradict each other"),
        ({"steps": 300, "burn": 300}, "leaves nothing of 300 steps"),
    ],
)
def test_emcee_refuses_what_it_does_not_take(kws, sentence):
    with pytest.raises(ParameterError, match=sentence):
        MODEL.fit(Y, tied(), x=X, method="emcee", fit_kws=kws)


def test_emcee_leaves_inf_and_nan_where_they_were():
    def func(x, a, b, k):
        return (a + b) * np.exp(-k * x)

    drawn = sf.SurfaceModel(func).fit(Y - 0.5, x=X, a=1.0, b=1.0, k=0.4, method="emcee", fit_kws={"steps": 400, "seed": 1})
    assert np.isinf(drawn.params["a"].stderr)
    assert np.isinf(drawn.covar[0, 0])
    assert 0 < drawn.params["k"].stderr < np.inf
    assert drawn.flatchain.columns.tolist() == ["k"]


@pytest.mark.parametrize(("kws", "said"), [({"rng": -1}, "rng=-1"), ({"steps": "a"}, "steps='a'"), ({"steps": float("nan")}, "steps=nan")])
def test_counts_and_seeds_are_refused_in_a_sentence(result, kws, said):
    with pytest.raises(ParameterError, match=said):
        result.sample(**kws)


def test_thin_must_be_a_count(posterior):
    with pytest.raises(ParameterError, match="thin=0"):
        posterior.flat(thin=0)
    for kws in ({"thin": 0}, {"burn": -3}):
        with pytest.raises(ParameterError, match=r"; give a (positive )?whole number"):
            MODEL.fit(Y, x=X, k=0.4, method="emcee", fit_kws={"steps": 20} | kws)


def test_emcee_words_about_a_minimum_on_a_bound():
    x = np.linspace(0, 5, 40)
    z = 2 * np.exp(-0.02 * x) + np.random.default_rng(1).normal(0, 0.1, x.size)
    model = sf.SurfaceModel.from_expression("a*exp(-k*x)", independent_vars=["x"])
    params = model.make_params(a=2, k=1)
    params["k"].min = 0.05
    plain = model.fit(z, params, x=x)
    assert "k is on its min = 0.05: stderr is nan" in " ".join(plain.explain().split())
    sampled = model.fit(z, params, x=x, method="emcee", fit_kws={"steps": 1500})
    words = " ".join(sampled.explain().split())
    assert np.isfinite(sampled.params["k"].stderr)
    assert "The minimum lies at the min = 0.05 of k; its value and error are those of the samples." in words
    assert "nan" not in words
