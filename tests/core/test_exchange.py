"""Equal terms end in the order of their starts, whichever of the equal minima the solver found."""

import numpy as np
import pytest
from lmfit.models import GaussianModel

import surffit as sf
from surffit.core import fitting

X = np.linspace(0, 12, 120)


def three(x, a1, a2, a3, c1, c2, c3, w):
    return a1 * np.exp(-(((x - c1) / w) ** 2)) + a2 * np.exp(-(((x - c2) / w) ** 2)) + a3 * np.exp(-(((x - c3) / w) ** 2))


DATA = three(X, 3, 2, 4, 3, 5, 8, 1.0) + np.random.default_rng(1).normal(0, 0.05, X.size)
TRUE = {3: 3.0, 5: 2.0, 8: 4.0}
# Starts and the order of centres expected; from most of them the walk ends in another order.
STARTS = [
    ((4.68, 11.7, 7.5), (3, 8, 5)),
    ((4.98, 5.56, 10.61), (3, 5, 8)),
    ((10.42, 0.59, 8.18), (8, 3, 5)),
    ((5.6, 3.28, 3.44), (8, 3, 5)),
    ((8.2, 5.1, 2.9), (8, 5, 3)),
]


def centres(result):
    return tuple(round(result.params[name].value) for name in ("c1", "c2", "c3"))


def as_found(monkeypatch):
    """Switch the ordering off."""
    monkeypatch.setattr(fitting, "in_order", lambda model, params, bound, solution, options: (solution, ""))


def exchanged(result):
    return any("with parameters exchanged" in note for note in result._notes)


@pytest.mark.parametrize(("start", "expected"), STARTS)
def test_three_gaussians(start, expected):
    result = sf.SurfaceModel(three).fit(DATA, x=X, w=1.0, **dict(zip(("c1", "c2", "c3"), start, strict=True)))
    assert result.success
    assert centres(result) == expected
    for height, centre in zip(("a1", "a2", "a3"), expected, strict=True):
        assert result.params[height].value == pytest.approx(TRUE[centre], abs=0.15)  # heights go with their centres


def test_it_is_the_ordering_that_does_it(monkeypatch):
    as_found(monkeypatch)
    ends = [centres(sf.SurfaceModel(three).fit(DATA, x=X, w=1.0, c1=c1, c2=c2, c3=c3)) for (c1, c2, c3), _ in STARTS]
    assert [end for end, (_, wanted) in zip(ends, STARTS, strict=True) if end != wanted]


def test_without_telling_starts_nothing_is_exchanged():
    # equal starts of what is searched, no starts of what is solved: any order is as near
    result = sf.SurfaceModel(three).fit(DATA, x=X, w=1.0, c1=4.0, c2=4.0, c3=4.0)
    assert not exchanged(result)


def test_heights_tell_where_centres_do_not():
    def two(x, a, b, c, d, w):
        return a * np.exp(-(((x - c) / w) ** 2)) + b * np.exp(-(((x - d) / w) ** 2))

    data = two(X, 3, 2, 3, 6, 1.0)
    ends = [sf.SurfaceModel(two).fit(data, x=X, w=1.0, c=4.0, d=4.0, a=a, b=b) for a, b in ((5, 1), (1, 5))]
    assert [round(end.params["a"].value) for end in ends] == [3, 2]
    assert [round(end.params["c"].value) for end in ends] == [3, 6]


def fitted(model, start, **attributes):
    params = model.make_params(**start)
    for name, values in attributes.items():
        params[name].set(**values)
    return model.fit(DECAY, params, x=T)


T = np.linspace(0, 10, 80)
DECAY = 3 * np.exp(-0.3 * T) + 2 * np.exp(-1.7 * T) + 0.5


def two_decays(x, a, b, k, q, level):
    return a * np.exp(-k * x) + b * np.exp(-q * x) + level


def rates(result):
    assert result.success, result.explain()
    return round(result.params["k"].value, 6), round(result.params["q"].value, 6)


@pytest.fixture
def crossed(monkeypatch):
    """Make the solver end in the other order than the starts, whatever the walk does."""
    inner = fitting.minimise

    def other_way(problem, alpha, c, options, moments=None, callback=None):
        return inner(problem, alpha[::-1].copy(), c, options, moments, callback)

    monkeypatch.setattr(fitting, "minimise", other_way)


def test_two_decays(crossed):
    assert rates(fitted(sf.SurfaceModel(two_decays), {"k": 0.5, "q": 1.2})) == (0.3, 1.7)
    assert rates(fitted(sf.SurfaceModel(two_decays), {"k": 1.2, "q": 0.5})) == (1.7, 0.3)


def test_everything_else_stays(crossed, monkeypatch):
    model, start = sf.SurfaceModel(two_decays), {"k": 0.5, "q": 1.2}
    noisy = DECAY + np.random.default_rng(3).normal(0, 0.01, T.size)
    ordered = model.fit(noisy, x=T, **start)
    as_found(monkeypatch)
    plain = model.fit(noisy, x=T, **start)
    place = {"a": "b", "b": "a", "k": "q", "q": "k", "level": "level"}
    assert plain.params["k"].value > plain.params["q"].value  # the other way round
    assert ordered.chisqr == pytest.approx(plain.chisqr, rel=1e-12)
    names = list(ordered.var_names)
    same = [names.index(place[name]) for name in names]
    np.testing.assert_allclose(ordered.covar, plain.covar[np.ix_(same, same)], rtol=1e-6)
    for name, other in place.items():
        assert ordered.params[name].value == pytest.approx(plain.params[other].value, rel=1e-9)
        assert ordered.params[name].stderr == pytest.approx(plain.params[other].stderr, rel=1e-6)
    assert ordered.params["k"].init_value == 0.5  # starts are the user's
    assert ordered.status == plain.status
    assert exchanged(ordered)
    assert not exchanged(plain)
    assert "(a, k with b, q); they are in the order nearest to their starts" in " ".join(ordered.explain().split())


def test_bounds_that_differ_keep_their_parameters(crossed):
    result = fitted(sf.SurfaceModel(two_decays), {"k": 0.5, "q": 1.2}, k={"min": 0.0})
    assert rates(result) == (1.7, 0.3)  # as found: the two are not alike
    assert not exchanged(result)
    result = fitted(sf.SurfaceModel(two_decays), {"k": 0.5, "q": 1.2}, k={"min": 0.0}, q={"min": 0.0})
    assert rates(result) == (0.3, 1.7)


def test_a_near_miss_is_no_exchange(crossed):
    def unlike(x, a, b, k, q, level):
        return a * np.exp(-k * x) + b * np.exp(-q * x**1.001) + level

    result = fitted(sf.SurfaceModel(unlike), {"k": 0.5, "q": 1.2})
    assert not exchanged(result)


def test_a_fixed_partner_is_no_exchange(crossed):
    result = fitted(sf.SurfaceModel(two_decays), {"k": 0.5, "q": 1.2, "b": 2.0}, b={"vary": False})
    assert not exchanged(result)


def test_a_constraint_that_tells_them_apart(crossed):
    result = fitted(sf.SurfaceModel(two_decays), {"k": 0.5, "q": 1.2}, b={"expr": "a*2/3"})
    assert not exchanged(result)


def composite():
    left, right = GaussianModel(prefix="l_"), GaussianModel(prefix="r_")
    return sf.SurfaceModel.from_lmfit(left + right), {"l_center": 4.0, "r_center": 8.0, "l_sigma": 0.9, "r_sigma": 0.9}


def test_composites_of_one_function(crossed):
    model, start = composite()
    data = model.eval(x=X, params=model.make_params(**start | {"l_amplitude": 3.0, "r_amplitude": 5.0, "r_sigma": 0.6}))
    result = model.fit(data, x=X, **start)
    assert result.params["l_center"].value == pytest.approx(4.0, abs=1e-6)
    assert result.params["r_amplitude"].value == pytest.approx(5.0, abs=1e-6)
    assert result.params["r_fwhm"].value == pytest.approx(2.3548200 * 0.6, abs=1e-5)  # follows its own peak


@pytest.mark.parametrize("jac", ["complex-step", "differences"])
def test_composites_that_are_not_traced(jac, crossed):
    model, start = composite()
    data = model.eval(x=X, params=model.make_params(**start | {"l_amplitude": 3.0, "r_amplitude": 5.0, "r_sigma": 0.6}))
    result = model.fit(data, x=X, fit_kws={"jac": jac}, **start)
    assert result.params["l_center"].value == pytest.approx(4.0, abs=1e-6)
    assert result.params["r_center"].value == pytest.approx(8.0, abs=1e-6)


def test_robust_losses_too():
    noisy = DATA + np.where(np.arange(X.size) % 17 == 0, 2.0, 0.0)
    start = {"c1": 4.98, "c2": 5.56, "c3": 10.61, "w": 1.0}
    result = sf.SurfaceModel(three).fit(noisy, x=X, loss="soft_l1", sigma=0.05, **start)
    assert result.success
    assert centres(result) == tuple(sorted(centres(result)))


def test_a_prior_tells_them_apart():
    model = sf.SurfaceModel(two_decays)
    noisy = DECAY + np.random.default_rng(3).normal(0, 0.01, T.size)
    # the start says one order, a prior the other: the prior is part of what is minimised
    result = model.fit(noisy, x=T, k=0.5, q=1.2, sigma=0.01, scale_covar=False, priors={"k": (1.7, 0.01), "q": (0.3, 0.01)})
    assert result.success
    assert result.params["k"].value == pytest.approx(1.7, abs=0.05)
    assert not exchanged(result)


def test_lmfits_methods_answer_as_lmfit_does():
    result = sf.SurfaceModel(three).fit(DATA, x=X, w=1.0, c1=2.44, c2=3.41, c3=3.77, method="leastsq")
    assert not exchanged(result)
