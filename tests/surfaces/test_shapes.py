"""Shapes by their implicit equations, by each other, and by quadrature."""

import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import ParameterError
from surffit.surfaces import Wavefront
from surffit.surfaces.shapes.conics import cone, conic
from surffit.surfaces.shapes.second_order import elliptic_paraboloid, paraboloid, quadric, saddle
from surffit.surfaces.shapes.spheres import ellipsoid, sphere
from surffit.surfaces.shapes.wavefront import TERMS, wavefront
from surffit.surfaces.starting import POINTS, SecondOrder, best_of, refined, thinned, weighted_logs

Y, X = np.mgrid[:31, :41].astype(float)


@pytest.mark.parametrize(("shape", "sign"), [(elliptic_paraboloid, 1.0), (saddle, -1.0)])
def test_quadrics_by_centre_are_quadrics_by_coefficients(shape, sign):
    z = shape(X, Y, z0=3.0, cu=0.08, cv=0.03, x0=15.0, y0=12.0, theta=0.7)
    c, s = np.cos(0.7), np.sin(0.7)
    cxx, cxy, cyy = (0.08 * c * c + sign * 0.03 * s * s) / 2, (0.08 - sign * 0.03) * c * s, (0.08 * s * s + sign * 0.03 * c * c) / 2
    cx, cy = -2 * cxx * 15 - cxy * 12, -cxy * 15 - 2 * cyy * 12
    c0 = 3.0 + cxx * 225 + cxy * 180 + cyy * 144
    np.testing.assert_allclose(z, quadric(X, Y, c0, cx, cy, cxx, cxy, cyy), atol=1e-11)


@pytest.mark.parametrize("name", ["elliptic_paraboloid", "saddle"])
def test_a_fit_by_centre_ends_at_the_linear_one(name):
    rng = np.random.default_rng(5)
    model = sf.get_model(name)
    for trial in range(4):
        values = dict(
            z0=1.0, cu=rng.uniform(0.05, 0.1), cv=rng.uniform(0.01, 0.04), x0=rng.uniform(5, 35), y0=rng.uniform(5, 25), theta=trial - 1.5
        )
        z = model.eval(model.make_params(**values), x=X, y=Y) + rng.standard_normal(X.shape)
        mine, linear = model.fit(z, model.guess(z, X, Y), x=X, y=Y), sf.get_model("quadric").fit(z, x=X, y=Y)
        assert mine.chisqr == pytest.approx(linear.chisqr, rel=1e-9)  # both span the same surfaces


def test_round_shapes_satisfy_their_equations():
    z = sphere(X, Y, 20.0, 15.0, -3.0, 30.0)
    np.testing.assert_allclose((X - 20) ** 2 + (Y - 15) ** 2 + (z + 3) ** 2, 900.0, rtol=1e-13)
    np.testing.assert_allclose(sphere(X, Y, 20.0, 15.0, 3.0, -30.0), -z, rtol=1e-13)
    z = ellipsoid(X, Y, 2.0, 9.0, 20.0, 15.0, 34.0, 27.0)
    np.testing.assert_allclose(((X - 20) / 34) ** 2 + ((Y - 15) / 27) ** 2 + ((z - 2) / 9) ** 2, 1.0, rtol=1e-13)
    assert (sphere(X, Y, 20.0, 15.0, -3.0, 5.0)[0] == -3.0).all()  # beyond the rim
    assert ellipsoid(0.0, 0.0, 2.0, 9.0, 20.0, 15.0, 5.0, 5.0) == 2.0


def test_conics_between_their_kin():
    c = 0.03
    ball = conic(X, Y, 0.0, c, 0.0, 20.0, 15.0)
    np.testing.assert_allclose(ball, 1 / c + sphere(X, Y, 20.0, 15.0, 0.0, -1 / c), atol=1e-13)
    np.testing.assert_allclose(conic(X, Y, 1.0, c, -1.0, 20.0, 15.0), paraboloid(X, Y, 1.0, c, 20.0, 15.0), rtol=1e-13)
    # c r^2 - 2 z + (1 + k) c z^2 = 0
    z, r2 = conic(X, Y, 0.0, c, -3.0, 20.0, 15.0), (X - 20) ** 2 + (Y - 15) ** 2
    np.testing.assert_allclose(c * r2 - 2 * z - 2 * c * z**2, 0.0, atol=1e-12)
    # a hyperboloid far out is a cone of slope 1/sqrt(-1 - k)
    far = np.array([1e6, 2e6])
    slope = np.diff(conic(far, 0.0, 0.0, c, -3.0, 0.0, 0.0))[0] / 1e6
    assert slope == pytest.approx(1 / np.sqrt(2.0), rel=1e-9)
    assert np.diff(cone(far, 0.0, 0.0, slope, 0.0, 0.0))[0] == pytest.approx(1e6 / np.sqrt(2.0), rel=1e-9)


# ---- wavefronts -------------------------------------------------------------------------------------------------------------


def test_aberrations_are_orthonormal_on_the_pupil():
    # Gauss-Legendre in r^2 (exact to degree 15 in it), equal steps in the angle (exact to order 15)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    r, angle = np.sqrt(0.5 * (nodes + 1))[:, None], 2 * np.pi * np.arange(16) / 16
    x, y = 3.0 + 2.5 * r * np.cos(angle), -1.0 + 2.5 * r * np.sin(angle)
    pupil = dict(centre_x=3.0, centre_y=-1.0, radius=2.5)
    table = [wavefront(x, y, **(dict.fromkeys(TERMS, 0.0) | {name: 1.0}), **pupil) * np.ones_like(x) for name in TERMS]
    inner = np.einsum("aij,bij,i->ab", table, table, weights / 2) / 16
    np.testing.assert_allclose(inner, np.eye(11), atol=1e-13)


def test_aberrations_in_polar_form():
    # Noll's table
    r, t = 0.8, 0.6
    wanted = {
        "piston": 1.0, "tilt_x": 2 * r * np.cos(t), "tilt_y": 2 * r * np.sin(t), "defocus": 3**0.5 * (2 * r**2 - 1),
        "astigmatism_45": 6**0.5 * r**2 * np.sin(2 * t), "astigmatism_0": 6**0.5 * r**2 * np.cos(2 * t),
        "coma_y": 8**0.5 * (3 * r**3 - 2 * r) * np.sin(t), "coma_x": 8**0.5 * (3 * r**3 - 2 * r) * np.cos(t),
        "trefoil_y": 8**0.5 * r**3 * np.sin(3 * t), "trefoil_x": 8**0.5 * r**3 * np.cos(3 * t),
        "spherical": 5**0.5 * (6 * r**4 - 6 * r**2 + 1),
    }  # fmt: skip
    for name, value in wanted.items():
        got = wavefront(r * np.cos(t), r * np.sin(t), **(dict.fromkeys(TERMS, 0.0) | {name: 1.0}))
        assert got == pytest.approx(value, abs=1e-14)


def test_the_pupil_travels_with_the_model(tmp_path):
    model = Wavefront(centre=(20, 15), radius=14.0, prefix="w_")
    model.save(tmp_path / "wavefront.json")
    again = sf.load(tmp_path / "wavefront.json")
    assert (again.centre, again.radius, again.prefix) == ((20.0, 15.0), 14.0, "w_")
    values = dict(zip(model.param_names, range(11), strict=True))
    np.testing.assert_array_equal(again.eval(again.make_params(**values), x=X, y=Y), model.eval(model.make_params(**values), x=X, y=Y))
    with pytest.raises(ParameterError, match=r"radius=-1\.0 are no pupil"):
        Wavefront(radius=-1.0)


# ---- starts -----------------------------------------------------------------------------------------------------------------


def test_second_order_surface_finds_centre_and_axes():
    x, y = X.ravel() * 1e-3 + 5.0, Y.ravel() * 1e4
    shape = SecondOrder(quadric(x, y, 1.0, 2.0, 3e-4, 40.0, 1e-3, 5e-8), x, y)
    flat = np.linalg.solve([[80.0, 1e-3], [1e-3, 1e-7]], [-2.0, -3e-4])
    assert shape.hessian == pytest.approx(np.array([[80.0, 1e-3], [1e-3, 1e-7]]), rel=1e-6)
    near = SecondOrder(saddle(X, Y, 1.0, 0.06, 0.02, 17.0, 13.0, 0.5).ravel(), X.ravel(), Y.ravel())
    assert near.centre == pytest.approx((17.0, 13.0), abs=1e-9)
    assert near.axes() == pytest.approx((0.06, -0.02, 0.5), abs=1e-9)
    # a centre far outside is brought near: a plane has none
    assert abs(shape.centre[0] - 5.02) <= 5 * 0.02 + 1e-12 < abs(flat[0] - 5.02)


def test_candidates_that_are_not_finite_lose():
    x, y = X.ravel(), Y.ravel()
    z = 2.0 + 3.0 * np.hypot(x - 10.0, y - 8.0)
    tries = [{"x0": np.nan, "y0": 0.0}, {"x0": 11.0, "y0": 8.0}, {"x0": 30.0, "y0": 8.0}]
    found = best_of(cone, ["z0", "slope"], z, (x, y), tries)
    assert (found["x0"], found["y0"]) == (11.0, 8.0)
    closer = refined(cone, ["z0", "slope"], z, (x, y), found, {"x0": 1.0, "y0": 1.0}, 1)
    assert (closer["x0"], closer["y0"]) == (10.0, 8.0)
    assert (closer["z0"], closer["slope"]) == pytest.approx((2.0, 3.0), abs=1e-9)
    assert best_of(cone, ["z0", "slope"], z, (x, y), tries[:1]) == {}
    assert refined(cone, ["z0"], z, (x, y), {}, {"x0": 1.0}) == {}


def test_searches_see_a_part_of_many_points():
    z, (x,) = thinned(np.arange(9000.0), [np.arange(9000.0)])
    assert z.size == POINTS
    np.testing.assert_array_equal(z, x)
    assert np.ptp(z) > 8900
    assert weighted_logs(np.full(5, np.nan), [np.ones(5)]) == [0.0]


@pytest.mark.parametrize("name", ["paraboloid", "elliptic_paraboloid", "saddle", "sphere", "conic", "cone"])
def test_guesses_lead_home_from_anywhere(name):
    """Scattered points, S/N 30, twelve random shapes inside the data: chi-square ends where the truth's does."""
    model = sf.get_model(name)
    _, typical = model.example()
    missed = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x, y = rng.uniform(0, 40, 150), rng.uniform(0, 30, 150)
        values = {p: v * np.exp(rng.uniform(-0.4, 0.4)) for p, v in typical.items()} | {"x0": rng.uniform(10, 30), "y0": rng.uniform(8, 22)}
        z = model.eval(model.make_params(**values), x=x, y=y)
        sigma = np.ptp(z) / 30
        z = z + sigma * rng.standard_normal(150)
        fit = {"x": x, "y": y, "sigma": np.full(150, sigma), "scale_covar": False, "calc_covar": False}
        mine, truth = model.fit(z, model.guess(z, x, y), **fit), model.fit(z, model.make_params(**values), **fit)
        missed += mine.chisqr > truth.chisqr + 1.0  # points near a rim give minima side by side, within one standard error
    assert missed == 0
