"""Ridges, edges and waves: closed forms, scipy, limits, and starts from data."""

import numpy as np
import pytest
from scipy import special, stats

from surffit import surfaces
from surffit.surfaces.frequencies import plane_starts, standing_starts
from surffit.surfaces.fronts import ridge2d, sigmoid2d, step2d
from surffit.surfaces.lines import best_edges, best_ridges
from surffit.surfaces.ripple import ripple2d
from surffit.surfaces.waves import plane_wave2d, standing_wave2d

LINEAR = {
    "PlaneWave2D": ("height",), "Ridge2D": ("height",), "Ripple2D": ("height",), "Sigmoid2D": ("low", "high"),
    "StandingWave2D": ("height",), "Step2D": ("low", "high"),
}  # fmt: skip
Y, X = np.mgrid[:31, :41].astype(float)


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_what_is_linear(name):
    assert getattr(surfaces, name)().linear == LINEAR[name]


# ---- values -----------------------------------------------------------------------------------------------------------------

ACROSS = X * np.cos(0.6) + Y * np.sin(0.6) - 24.0


def test_ridge_is_a_normal_profile():
    expected = 2 * stats.norm.pdf(ACROSS, 0, 3) / stats.norm.pdf(0, 0, 3)
    np.testing.assert_allclose(ridge2d(X, Y, 2.0, 24.0, 0.6, 3.0), expected, rtol=1e-12)


def test_step_is_a_normal_distribution():
    # rounding of the two shares, each to 1e-16 of the plateaus
    np.testing.assert_allclose(step2d(X, Y, 1.0, 6.0, 24.0, 0.6, 2.0), 1 + 5 * stats.norm.cdf(ACROSS, 0, 2), rtol=1e-14)


@pytest.mark.parametrize("asymmetry", [0.3, 1.0, 4.0])
def test_front_is_a_generalised_logistic_distribution(asymmetry):
    expected = 1 + 5 * stats.genlogistic.cdf(ACROSS, asymmetry, 0, 2)
    np.testing.assert_allclose(sigmoid2d(X, Y, 1.0, 6.0, 24.0, 0.6, 2.0, asymmetry), expected, rtol=1e-12)


def test_exchanged_sides_are_the_same_edge():
    one, other = step2d(X, Y, 1.0, 6.0, 24.0, 0.6, 2.0), step2d(X, Y, 6.0, 1.0, -24.0, 0.6 + np.pi, 2.0)
    np.testing.assert_allclose(one, other, rtol=1e-13)


@pytest.mark.parametrize("width", [1e-300, 1e-9, 1e9, 1e300])
def test_sharp_and_broad_edges_are_finite_without_warnings(width):
    for z in (step2d(X, Y, 1.0, 6.0, 24.0, 0.6, width), sigmoid2d(X, Y, 1.0, 6.0, 24.0, 0.6, width, 2.0)):
        assert (z >= 1).all()
        assert (z <= 6).all()


def test_a_standing_wave_is_two_travelling_ones():
    a, b = plane_wave2d(X, Y, 1.0, 0.5, -0.3, 0.7 - 0.2), plane_wave2d(X, Y, 1.0, 0.5, 0.3, 0.7 + 0.2)
    np.testing.assert_allclose(standing_wave2d(X, Y, 2.0, 0.5, 0.3, 0.7, 0.2), a - b, atol=1e-14)


def test_a_ripple_is_a_damped_wave_of_the_radius():
    expected = (2 * np.exp((-1 / 7 + 2j * np.pi / 3) * np.hypot(X - 9, Y - 8) + 0.4j)).real
    np.testing.assert_allclose(ripple2d(X, Y, 2.0, 9.0, 8.0, 3.0, 7.0, 0.4), expected, atol=1e-13)


def test_edge_on_steep_logistic_keeps_its_tail():
    # far before the front: share = exp(a s / w), where 1 + exp(-s/w) has lost the 1
    assert sigmoid2d(-80.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 3.0) == pytest.approx(np.exp(-240.0), rel=1e-12)
    assert special.expit(-80.0) ** 3 == pytest.approx(np.exp(-240.0), rel=1e-12)


# ---- starts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theta", [-3.0, -1.6, -0.4, 0.0, 0.9, 2.4, np.pi])
def test_the_edge_is_found_and_points_up(theta):
    rng = np.random.default_rng(5)
    d = 21.0 * np.cos(theta) + 14.0 * np.sin(theta)
    z = step2d(X, Y, -3.0, 2.0, d, theta, 1.5) + rng.normal(0, 0.5, X.shape)
    distance, angle, _ = best_edges(z.ravel(), X.ravel(), Y.ravel())[0]
    assert np.cos(angle - theta) > 0.995
    assert abs(21.0 * np.cos(angle) + 14.0 * np.sin(angle) - distance) < 1.0


@pytest.mark.parametrize("theta", [-1.5, -0.4, 0.0, 0.9, np.pi / 2])
def test_the_trench_is_found(theta):
    rng = np.random.default_rng(6)
    d = 21.0 * np.cos(theta) + 14.0 * np.sin(theta)
    z = ridge2d(X, Y, -5.0, d, theta, 1.5) + 7.0 + rng.normal(0, 0.5, X.shape)
    distance, angle, width = best_ridges(z.ravel(), X.ravel(), Y.ravel())[0]
    assert abs(np.cos(angle - theta)) > 0.999
    assert abs(21.0 * np.cos(angle) + 14.0 * np.sin(angle) - distance) < 1.0
    assert -np.pi / 2 < angle <= np.pi / 2
    assert 0.5 < width < 5


@pytest.mark.parametrize(("kx", "ky"), [(0.2, 0.1), (1.2, -0.7), (0.0, 2.0), (2.6, 0.4)])
def test_the_strongest_frequency_comes_first(kx, ky):
    rng = np.random.default_rng(7)
    x, y = rng.uniform(0, 40, 900), rng.uniform(100, 130, 900)
    z = plane_wave2d(x, y, 3.0, kx, ky, 0.3) + rng.normal(0, 1.0, 900)
    found = min((abs(s["kx"] - kx) + abs(s["ky"] - ky) for s in plane_starts(z, x, y)[:2]), default=9)
    assert found < 0.02  # a quarter of the frequency that one radian across the data makes


def test_standing_starts_have_the_phases():
    z = standing_wave2d(X, Y, 3.0, 0.5, 0.35, 0.7, -0.4)
    start = standing_starts(z.ravel(), X.ravel(), Y.ravel())[0]
    assert start == pytest.approx({"kx": 0.5, "ky": 0.35, "phase_x": 0.7, "phase_y": -0.4}, abs=0.05)


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_a_guess_is_canonical_and_leaves_the_data_alone(name):
    model = getattr(surfaces, name)()
    coords, values = model.example()
    z = model.eval(**coords, **values) + np.random.default_rng(2).normal(0, 0.2, X.shape)
    before = z.copy()
    params = model.guess(z, **coords)
    assert np.array_equal(z, before)
    if "low" in params:
        assert params["low"].value < params["high"].value
    else:
        assert params["height"].value > 0
    for angle in ("theta", "phase", "phase_x", "phase_y"):
        if angle in params:
            assert -np.pi < params[angle].value <= np.pi
