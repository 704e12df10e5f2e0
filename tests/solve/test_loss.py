"""Pointwise terms of a cost: values, derivatives, digits, and what is refused."""

import mpmath
import numpy as np
import pytest
from scipy.optimize import least_squares

from surffit.exceptions import ParameterError
from surffit.solve.derivatives import Pointwise, differences
from surffit.solve.loss import CONVEX, ROBUST, Poisson, Rho, Robust, UserLikelihood

r = np.array([-30.0, -2.0, -0.9, -1e-3, 0.0, 1e-9, 0.5, 1.1, 7.0])
counts = np.array([0.0, 0.0, 1.0, 2.0, 3.0, 7.0, 40.0, 1e6])
rates = np.array([1e-3, 2.5, 0.4, 2.0, 9.0, 7.0 + 1e-7, 35.0, 1.001e6])


def gaussian(data, model):
    return (data - model) ** 2 / 0.04


def cash(data, model):
    return 2.0 * (model - data * np.log(model))


@pytest.mark.parametrize("name", ROBUST)
def test_robust_functions_are_those_of_scipy(name):
    """One residual at a time through scipy's own solver: its cost at the start is rho / 2 * f^2."""
    for f in (0.3, 2.0):
        mine = Robust(ROBUST[name], name in CONVEX, f).cost(r, r)
        theirs = [2 * least_squares(lambda p, v=v: np.array([v]) + 0 * p, [0.0], loss=name, f_scale=f).cost for v in r]
        assert mine == pytest.approx(theirs, rel=1e-14, abs=1e-15)  # scipy's 2 (sqrt(1 + z) - 1) cancels


TERMS = {
    **{name: (Robust(ROBUST[name], True, 0.7), r, r) for name in ROBUST},
    "poisson": (Poisson(), counts - rates, counts),
    "poisson continued": (Poisson(floor=0.45), counts - rates, counts),
    "user rho": (Robust(Rho(lambda z: np.log1p(z)), False, 0.7), r, r),
    "user likelihood": (UserLikelihood(cash, counts, 1.0), counts - rates, counts),
}


@pytest.mark.parametrize("name", TERMS)
def test_rows_are_half_derivatives_of_the_cost(name):
    """By differences of high order, away from the kinks of huber's second derivative."""
    term, left, y = TERMS[name]
    m = y - left
    scale = 0.3 * np.abs(m) if "oisson" in name or "likelihood" in name else np.full(left.size, 0.05)
    _, first, second = differences(lambda v: term.cost(v, y), left, scale)
    g, h, w = term.rows(left, y)
    assert g == pytest.approx(0.5 * first, rel=1e-7, abs=1e-7)
    assert h == pytest.approx(0.5 * second, rel=2e-5, abs=2e-5)
    assert (w > 0).all()


def test_rows_would_show_a_wrong_sign():
    """The check above sees a gradient of the wrong sign."""
    term, left, y = TERMS["poisson"]
    _, first, _ = differences(lambda v: term.cost(v, y), left, 0.3 * np.minimum(y - left, 1.0))
    assert -term.rows(left, y)[0] != pytest.approx(0.5 * first, rel=1e-2, abs=1e-2)


def test_poisson_keeps_its_digits_where_model_and_counts_agree():
    with mpmath.workdps(40):
        exact = [
            float(2 * (mpmath.mpf(m) - mpmath.mpf(n) + (mpmath.mpf(n) * mpmath.log(mpmath.mpf(n) / mpmath.mpf(m)) if n else 0)))
            for n, m in zip(counts, rates, strict=True)
        ]
    # n - m is known to eps * n, and the term there is (n - m)^2 / n
    assert Poisson().cost(counts - rates, counts) == pytest.approx(exact, rel=1e-13, abs=1e-12)


def test_impossible_rates_cost_infinitely_much():
    y = np.array([0.0, 0.0, 3.0, 3.0])
    m = np.array([0.0, -1e-9, 0.0, -1.0])
    assert np.array_equal(np.isfinite(Poisson().cost(y - m, y)), [True, False, False, False])


def test_user_rho_by_values_alone_equals_the_built_in_ones():
    for name in ("soft_l1", "cauchy", "arctan"):
        built, user = Robust(ROBUST[name], False, 0.6), Robust(Rho(lambda z, name=name: ROBUST[name](z)[0]), False, 0.6)
        for mine, theirs in zip(user.rows(r, r), built.rows(r, r), strict=True):
            assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-9)


def test_user_rho_with_its_derivatives_is_taken_as_it_is():
    rho = Rho(lambda z: np.array(ROBUST["cauchy"](z)))
    assert rho.whole
    for mine, theirs in zip(rho(r**2), ROBUST["cauchy"](r**2), strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("func", "text"),
    [
        (lambda z: np.sum(z), r"returned shape \(\) for z of shape \(7,\)"),
        (lambda z: np.zeros((2, z.size)), r"returned shape \(2, 7\)"),
        (lambda z: 1 / z, "not finite at z = 0"),
        (lambda z: -z, "falls before z = 0.1"),
        (lambda z: z + 1j, "not real numbers"),
        (lambda z: np.array([np.log1p(z), 1 + z, z]), "rho' = "),
    ],
)
def test_a_wrong_rho_is_told_what_is_wrong(func, text):
    with np.errstate(all="ignore"), pytest.raises(ParameterError, match=text):
        Rho(func)


@pytest.mark.parametrize(
    ("func", "text"),
    [
        (lambda data, model: np.sum((data - model) ** 2), r"returned shape \(\) for 8 points"),
        (lambda data, model: (data - model) * 1j, "not real numbers"),
    ],
)
def test_a_wrong_likelihood_is_told_what_is_wrong(func, text):
    with pytest.raises(ParameterError, match=text):
        UserLikelihood(func, counts, 1.0)


def test_complex_step_is_used_only_where_it_is_right():
    """A function that drops the imaginary part, or takes an absolute value, gets differences: the same derivatives."""
    x = np.linspace(0.3, 3.0, 9)
    for func in (np.sin, lambda v: np.sin(v.real), lambda v: np.abs(np.sin(v)) if np.iscomplexobj(v) else np.sin(v)):
        value, first, second = Pointwise(func)(x, x)
        assert value == pytest.approx(np.sin(x))
        assert first == pytest.approx(np.cos(x), rel=1e-11, abs=1e-11)
        assert second == pytest.approx(-np.sin(x), rel=1e-9, abs=1e-9)


def test_user_likelihood_in_a_scaled_problem_is_that_of_the_bare_data():
    y = np.array([1.0, 2.0, 4.0])
    model = np.array([1.1, 1.8, 4.4])
    plain, scaled = UserLikelihood(gaussian, y, 1.0), UserLikelihood(gaussian, 8 * y, 8.0)
    left = y - model
    assert scaled.cost(8 * left, 8 * y) == pytest.approx(plain.cost(left, y), rel=1e-14)
    assert scaled.rows(8 * left, 8 * y)[0] == pytest.approx(plain.rows(left, y)[0] / 8, rel=1e-12)
    assert scaled.rows(8 * left, 8 * y)[1] == pytest.approx(plain.rows(left, y)[1] / 64, rel=1e-9)
