"""Prior rows: derivatives of densities that come as functions, supports, corners, and what the data determine beside them."""

import numpy as np
import pytest
from scipy import stats

from surffit.solve.priors import DensityPrior, determined

CASES = {
    "normal": (stats.norm(3.0, 0.2).logpdf, 3.3, -0.3 / 0.04, -1 / 0.04),
    "normal far out": (stats.norm(3.0, 0.2).logpdf, 9.0, -6.0 / 0.04, -1 / 0.04),
    "gamma": (stats.gamma(30, scale=0.04).logpdf, 1.2, 29 / 1.2 - 25, -29 / 1.2**2),
    "exponential": (stats.expon(scale=2.0).logpdf, 5.0, -0.5, 0.0),
    "cauchy": (stats.cauchy(0, 1).logpdf, 2.0, -4 / 5, -2 * (1 - 4) / 25),
    "tiny scale": (lambda v: -0.5 * (v / 1e-9) ** 2, 2e-9, -2e9, -1e18),
    "huge scale": (lambda v: -0.5 * (v / 1e9) ** 2, 2e9, -2e-9, -1e-18),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("guess", [1e-6, 1.0, 1e6])
def test_derivatives_of_a_log_density(name, guess):
    """Whatever the first guess of the scale; exact values by hand."""
    logp, x, first, second = CASES[name]
    g, H = DensityPrior([0], lambda v: float(logp(v)), [guess]).derivatives(np.array([x]))
    assert g[0] == pytest.approx(first, rel=1e-9)
    assert H[0, 0] == pytest.approx(second, rel=1e-6, abs=1e-6 * first**2)


def test_derivatives_of_a_joint_density():
    C = np.array([[0.04, 0.003], [0.003, 25.0]])
    d = stats.multivariate_normal([1.0, -3.0], C)
    x = np.array([1.3, 4.0])
    g, H = DensityPrior([0, 1], lambda a, b: float(d.logpdf([a, b])), [1.0, 1.0]).derivatives(x)
    assert g == pytest.approx(-np.linalg.solve(C, x - d.mean), rel=1e-8)
    assert -np.linalg.inv(C) == pytest.approx(H, rel=1e-6)


def test_a_density_that_raises_no_error_but_nan_is_impossible_there():
    prior = DensityPrior([0], lambda v: np.log(v), [1.0])
    assert prior.value(np.array([-1.0])) == -np.inf
    assert prior.derivatives(np.array([-1.0])) is None


@pytest.mark.parametrize(
    ("density", "x", "corner"),
    [
        (stats.laplace(1, 0.1), 1.0, True), (stats.laplace(1, 0.1), 1.3, False), (stats.norm(1, 0.1), 1.0, False),
        (stats.expon(), 2.0, False), (stats.t(3), 0.0, False), (stats.triang(0.5), 0.5, True),
    ],
)  # fmt: skip
def test_a_corner_is_told_from_a_curve(density, x, corner):
    assert DensityPrior([0], lambda v: float(density.logpdf(v)), [density.std()]).corner(np.array([x])) is corner


def test_number_of_parameters_that_the_data_determine(rng):
    """The trace of A (A + T)^-1, from its definition."""
    J, T = rng.normal(size=(4, 30)), np.diag([0.0, 1.0, 10.0, 1e6])
    A = J @ J.T
    exact = float(np.trace(A @ np.linalg.inv(A + T @ T)))
    assert determined(J, T) == pytest.approx(exact, rel=1e-12)
    assert determined(J, np.zeros((4, 1))) == pytest.approx(4.0, rel=1e-14)
