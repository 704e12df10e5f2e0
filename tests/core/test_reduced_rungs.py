"""
The upper rungs, profile limits, losses, priors and joint fits where the data leave something open: as `test_reduced_errors`.

The oracle is the same estimator on the reduced problem.
"""

import math

import numpy as np
import pytest

import surffit as sf

t = np.linspace(0.0, 5.0, 40)


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def pair(t, a, b, k, c):
    return (a + b) * np.exp(-k * t) + c


def product(t, a, k, j, c):
    return a * np.exp(-k * j * t) + c


Z = decay(t, 5.0, 0.7, 1.0) + np.random.default_rng(20240607).normal(0, 0.05, t.size)
COUNTS = np.random.default_rng(3).poisson(decay(t, 100.0, 0.7, 20.0)).astype(float)
START = {"a": 3.0, "k": 0.5, "c": 0.5}
LOW = {"c": {"value": 0.5, "max": 0.9}}
HELD = {"c": {"value": 0.9, "vary": False}}
# the whole problem, its parameters, those of the reduced one, what is lost, what is held
CASES = {
    "a bound": (decay, START | LOW, START | HELD, "", "c"),
    "a + b": (pair, START | {"b": 1.0}, START, "ab", ""),
    "k * j": (product, START | {"j": 0.9}, START, "kj", ""),
    "a + b and a bound": (pair, START | {"b": 1.0} | LOW, START | HELD, "ab", "c"),
}


def both(name, z=Z, scale=1.0, **kws):
    func, whole, less, lost, held = CASES[name]

    def fit(func, given):
        model = sf.SurfaceModel(func)
        params = model.make_params(**given)
        for n in "abc":
            if n in params:
                params[n].max *= scale
                params[n].value *= scale
        return model.fit(z, params, t=t, **kws)

    return fit(func, whole), fit(decay, less), set(lost), set(held)


@pytest.mark.parametrize(
    ("rung", "name"),
    [
        *((rung, name) for rung in ("jacobian", "hessian") for name in CASES),
        *(pytest.param("mcmc", name, marks=pytest.mark.slow) for name in ("a + b and a bound", "k * j")),
    ],
)
def test_rungs_by_name(rung, name):
    result, reduced, lost, held = both(name)
    mine, theirs = (r.covariance(rung, rng=1).stderr for r in (result, reduced))
    # differences of the Hessian; Monte Carlo noise of a chain that reaches its gate
    close = {"jacobian": 1e-9, "hessian": 1e-6, "mcmc": 0.08}[rung]
    for n in set(mine) - lost - held:
        assert mine[n] == pytest.approx(theirs[n], rel=close), n
    assert all(mine[n] == np.inf for n in lost)
    assert all(math.isnan(mine[n]) for n in held)


@pytest.mark.parametrize("name", ["a + b", "k * j"])
def test_profile_limits(name):
    """Without a bound: a parameter held on one at the minimum may leave it elsewhere on the profile."""
    result, reduced, lost, held = both(name)
    names = [n for n in result.var_names if n not in lost | held]
    mine, theirs = result.conf_interval(p_names=names, sigmas=[1, 2]), reduced.conf_interval(p_names=names, sigmas=[1, 2])
    for n in names:
        for (p, value), (q, other) in zip(mine[n], theirs[n], strict=True):
            assert p == pytest.approx(q)
            assert abs(value - other) <= 1e-4 * reduced.params[n].stderr, (n, p)


@pytest.mark.parametrize("name", CASES)
def test_posterior(name):
    """What has no posterior is not sampled, and the rest has that of the reduced problem."""
    result, reduced, lost, held = both(name, scale_covar=False, sigma=0.05)
    mine, theirs = result.sample(steps=400, walkers=12, rng=1), reduced.sample(steps=400, walkers=12, rng=2)
    assert set(mine.names) == set(result.var_names) - lost  # what is on a bound is sampled within
    for n in [] if held else mine.names:
        one, two = mine.flat(n), theirs.flat(n)
        assert one.std() == pytest.approx(two.std(), rel=0.15)
        assert abs(one.mean() - two.mean()) < 0.2 * two.std()
    text = " ".join(mine.notes)
    assert all(n in text for n in lost)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("loss", ["soft_l1", "poisson"])
def test_losses(name, loss):
    counted = loss == "poisson"
    result, reduced, lost, held = both(name, COUNTS if counted else Z, 15.0 if counted else 1.0, loss=loss)
    assert result.success, result.reason
    for n in set(result.var_names) - lost - held:
        assert abs(result.params[n].value - reduced.params[n].value) <= 1e-4 * reduced.params[n].stderr
        assert result.params[n].stderr == pytest.approx(reduced.params[n].stderr, rel=1e-5), n
    assert all(result.params[n].stderr == np.inf for n in lost)
    assert all(math.isnan(result.params[n].stderr) for n in held)
    text = result.explain().replace("\n  ", " ")
    assert all(n in text for n in lost | held)


def test_a_prior_on_one_of_a_pair_determines_both():
    """The sum is measured, one term is known beforehand: the other's error is both together."""
    model = sf.SurfaceModel(pair)
    result = model.fit(Z, t=t, sigma=0.05, scale_covar=False, priors={"b": (1.0, 0.3)}, b=1.0, **START)
    alone = sf.SurfaceModel(decay).fit(Z, t=t, sigma=0.05, scale_covar=False, **START)
    assert not result.conditioning.undetermined
    assert result.params["b"].value == pytest.approx(1.0, abs=1e-9)
    assert result.params["b"].stderr == pytest.approx(0.3, rel=1e-9)
    assert result.params["a"].stderr == pytest.approx(math.hypot(0.3, alone.params["a"].stderr), rel=1e-6)
    for n in "kc":
        assert result.params[n].stderr == pytest.approx(alone.params[n].stderr, rel=1e-6)


def test_a_prior_on_another_parameter_leaves_the_pair_open():
    result = sf.SurfaceModel(pair).fit(Z, t=t, sigma=0.05, scale_covar=False, priors={"k": (0.7, 0.02)}, b=1.0, **START)
    reduced = sf.SurfaceModel(decay).fit(Z, t=t, sigma=0.05, scale_covar=False, priors={"k": (0.7, 0.02)}, **START)
    assert set(result.conditioning.undetermined) == {"a", "b"}
    assert result.params["a"].stderr == result.params["b"].stderr == np.inf
    for n in "kc":
        assert result.params[n].stderr == pytest.approx(reduced.params[n].stderr, rel=1e-6)


class TestJoint:
    """Two data sets that share the rate."""

    def fit(self, func, **more):
        model = sf.JointModel({"one": sf.SurfaceModel(func), "two": sf.SurfaceModel(decay)}, shared=["k"])
        params = model.make_params(one_a=3.0, one_c=0.5, two_a=3.0, two_c=0.5, k=0.5, **({"one_b": 1.0} if func is pair else {}))
        for name, attributes in more.items():
            params[name].set(**attributes)
        rng = np.random.default_rng(9)
        return model.fit({"one": Z, "two": decay(t, 2.0, 0.7, 3.0) + rng.normal(0, 0.1, t.size)}, params, t=t)

    def test_pair_in_one_of_them(self):
        result, reduced = self.fit(pair), self.fit(decay)
        assert result.params["one_a"].stderr == result.params["one_b"].stderr == np.inf
        for n in ("k", "one_c", "two_a", "two_c"):
            assert result.params[n].stderr == pytest.approx(reduced.params[n].stderr, rel=1e-6), n

    @pytest.mark.parametrize("name", ["one_c", "two_a", "k"])
    def test_one_on_a_bound(self, name):
        free = self.fit(decay).params[name]
        edge = free.value - 3 * free.stderr
        result, reduced = self.fit(decay, **{name: {"max": edge}}), self.fit(decay, **{name: {"value": edge, "vary": False}})
        assert math.isnan(result.params[name].stderr)
        for n in set(result.var_names) - {name}:
            assert result.params[n].stderr == pytest.approx(reduced.params[n].stderr, rel=1e-6), n

    def test_pair_that_the_other_data_set_parts(self):
        """a + b in one, b alone in the other: together both are determined."""
        model = sf.JointModel({"one": sf.SurfaceModel(pair), "two": sf.SurfaceModel(lambda t, b: b * t)}, shared=["b"])
        z = 1.5 * t + np.random.default_rng(2).normal(0, 0.05, t.size)
        result = model.fit(
            {"one": Z, "two": z}, model.make_params(one_a=3.0, b=1.0, one_k=0.5, one_c=0.5), t=t, sigma=0.05, scale_covar=False
        )
        b = sf.SurfaceModel(lambda t, b: b * t).fit(z, t=t, sigma=0.05, scale_covar=False).params["b"]
        a = sf.SurfaceModel(decay).fit(Z, t=t, sigma=0.05, scale_covar=False, **START).params["a"]
        assert result.params["b"].stderr == pytest.approx(b.stderr, rel=1e-6)
        assert result.params["one_a"].stderr == pytest.approx(math.hypot(a.stderr, b.stderr), rel=1e-6)
