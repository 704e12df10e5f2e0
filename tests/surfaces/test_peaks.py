"""Peaks: closed forms by quadrature, mpmath and astropy; derivatives at the centre; what is linear; starts from data."""

import mpmath
import numpy as np
import pytest
from astropy.modeling import models as astropy_models
from scipy import special
from scipy.integrate import quad

from surffit import surfaces
from surffit.surfaces.peaks.ellipse import find_core
from surffit.surfaces.peaks.galaxies import beta2d, exponential2d, half_light, sersic2d
from surffit.surfaces.peaks.gaussian import gaussian2d_rotated, supergaussian2d
from surffit.surfaces.peaks.lorentzian import lorentzian2d, pseudo_voigt2d, voigt2d
from surffit.surfaces.peaks.optics import AIRY_HALF, J1_ZERO, SINC_HALF, airy2d, moffat2d, sinc2d
from surffit.surfaces.peaks.ring import ring2d

PEAKS = (
    "Airy2D", "Beta2D", "Exponential2D", "Gaussian2DRotated", "Lorentzian2D", "Moffat2D", "PseudoVoigt2D", "Ring2D", "Sersic2D", "Sinc2D",
    "SuperGaussian2D", "Voigt2D",
)  # fmt: skip
LINEAR = {"Sersic2D": ("flux",)}
Y, X = np.mgrid[:31, :41].astype(float)


def model_of(name):
    return getattr(surfaces, name)()


@pytest.mark.parametrize("name", PEAKS)
def test_what_is_linear(name):
    assert model_of(name).linear == LINEAR.get(name, ("height",))


# ---- values against other libraries and closed forms ----------------------------------------------------------------


def test_gaussian_is_that_of_astropy():
    ours = gaussian2d_rotated(X, Y, 3.0, 17.2, 14.1, 5.0, 2.5, 0.7)
    theirs = astropy_models.Gaussian2D(3.0, 17.2, 14.1, 5.0, 2.5, theta=0.7)(X, Y)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0)  # exponents up to 50, each to 1e-15


def test_moffat_is_that_of_astropy_where_round():
    ours = moffat2d(X, Y, 3.0, 17.2, 14.1, 5.0, 2.5, 1.0, 0.7)
    np.testing.assert_allclose(ours, astropy_models.Moffat2D(3.0, 17.2, 14.1, 5.0, 2.5)(X, Y), rtol=1e-13)


def test_airy_is_that_of_astropy():
    ours = airy2d(X, Y, 3.0, 17.2, 14.1, 5.0)
    np.testing.assert_allclose(ours, astropy_models.AiryDisk2D(3.0, 17.2, 14.1, 5.0)(X, Y), rtol=0, atol=1e-14)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.3, 4.0])
def test_sersic_is_that_of_astropy(n):
    flux, r, q = 100.0, 6.0, 0.6
    b = special.gammaincinv(2 * n, 0.5)
    at_r = flux * b ** (2 * n) / (2 * np.pi * n * q * r**2 * np.exp(b) * special.gamma(2 * n))
    theirs = astropy_models.Sersic2D(at_r, r, n, 17.2, 14.1, 1 - q, 0.7)(X, Y)
    np.testing.assert_allclose(sersic2d(X, Y, flux, 17.2, 14.1, r, n, q, 0.7), theirs, rtol=1e-12)


def test_half_light_radius_to_fourteen_digits():
    with mpmath.workdps(30):
        for n in (0.25, 0.3, 0.5, 0.77, 1.0, 2.0, 4.0, 7.3, 12.0, 16.0):
            b = mpmath.mpf(half_light(n))
            # one Newton step from our value gives its error
            step = (mpmath.gammainc(2 * n, 0, b, regularized=True) - 0.5) * mpmath.gamma(2 * n) * mpmath.exp(b) / b ** (2 * n - 1)
            assert abs(step / b) < 1e-14, n


def total(profile, q=1.0):
    """Integral over the plane of a surface whose cut along the major axis is `profile`."""
    return 2 * np.pi * q * sum(quad(lambda r: profile(r) * r, a, b, limit=400)[0] for a, b in ((0, 1), (1, 10), (10, np.inf)))


@pytest.mark.parametrize(
    ("expected", "profile"),
    [
        (2 * np.pi * 2 * 3 * 1.5, lambda r: gaussian2d_rotated(r, 0.0, 2.0, 0, 0, 3.0, 1.5, 0.0)),
        (2 * np.pi * 2 * 0.5 * 9 * special.gamma(1 + 1 / 2.5), lambda r: supergaussian2d(r, 0.0, 2.0, 0, 0, 3.0, 2.5, 0.5, 0.0)),
        (np.pi * 2 * 0.5 * 9 / 1.5, lambda r: moffat2d(r, 0.0, 2.0, 0, 0, 3.0, 2.5, 0.5, 0.0)),
        (50.0, lambda r: sersic2d(r, 0.0, 50.0, 0, 0, 3.0, 4.0, 0.5, 0.0)),
        (2 * np.pi * 2 * 0.5 * 9, lambda r: exponential2d(r, 0.0, 2.0, 0, 0, 3.0, 0.5, 0.0)),
        (np.pi * 2 * 0.5 * 9 / (3 * 1.1 - 1.5), lambda r: beta2d(r, 0.0, 2.0, 0, 0, 3.0, 1.1, 0.5, 0.0)),
    ],
    ids=["gaussian", "super-gaussian", "moffat", "sersic", "exponential", "beta"],
)
def test_total(expected, profile):
    assert total(profile, 0.5) == pytest.approx(expected, rel=1e-7)  # of the quadrature


def test_half_of_the_flux_inside_the_effective_radius():
    inside = 2 * np.pi * 0.5 * quad(lambda r: sersic2d(r, 0.0, 50.0, 0, 0, 3.0, 2.5, 0.5, 0.0) * r, 0, 3)[0]
    assert inside == pytest.approx(25.0, rel=1e-9)


def test_encircled_energy_of_the_airy_disc():
    inside = 2 * np.pi * quad(lambda r: airy2d(r, 0.0, 2.0, 0, 0, 5.0) * r, 0, 5)[0]
    whole = 4 * np.pi * 2 * 25 / J1_ZERO**2
    # Rayleigh: 1 - J0(v)**2 - J1(v)**2
    assert inside / whole == pytest.approx(1 - special.j0(J1_ZERO) ** 2, rel=1e-10)


def test_half_widths():
    half = [
        lorentzian2d(3.0, 0.0, 2.0, 0, 0, 3.0, 0.5, 0.0),
        pseudo_voigt2d(3.0, 0.0, 2.0, 0, 0, 3.0, 0.3, 0.5, 0.0),
        pseudo_voigt2d(0.0, 1.5, 2.0, 0, 0, 3.0, 0.3, 0.5, 0.0),
        moffat2d(3.0 * np.sqrt(2 ** (1 / 2.5) - 1), 0.0, 2.0, 0, 0, 3.0, 2.5, 0.5, 0.0),
        airy2d(5.0 * AIRY_HALF / J1_ZERO, 0.0, 2.0, 0, 0, 5.0),
        sinc2d(0.0, 3.0 * SINC_HALF / np.pi, 2.0, 0, 0, 5.0, 3.0, 0.0),
        voigt2d(0.0, 1.5, 2.0, 0, 0, 1e-9, 3.0, 0.5, 0.0),
    ]
    np.testing.assert_allclose(half, 1.0, rtol=1e-8)  # the tabulated half widths have ten digits


def test_voigt_against_mpmath():
    with mpmath.workdps(25):
        sigma, gamma, r = 2.0, 1.5, 3.7

        def line(x):
            z = mpmath.mpc(x, gamma) / (sigma * mpmath.sqrt(2))
            return mpmath.re(mpmath.exp(-(z**2)) * mpmath.erfc(-1j * z))

        expected = float(2 * line(r) / line(0))
    assert voigt2d(0.6 * r * -np.sin(0.4), 0.6 * r * np.cos(0.4), 2.0, 0, 0, sigma, gamma, 0.6, 0.4) == pytest.approx(expected, rel=1e-13)


def test_ring_is_highest_on_its_ellipse():
    phi = np.linspace(0, 2 * np.pi, 9)
    u, v = 5 * np.cos(phi), 3 * np.sin(phi)
    x, y = 1 + u * np.cos(0.4) - v * np.sin(0.4), 2 + u * np.sin(0.4) + v * np.cos(0.4)
    np.testing.assert_allclose(ring2d(x, y, 2.0, 1, 2, 5.0, 1.0, 0.6, 0.4), 2.0, rtol=1e-14)


# ---- derivatives and limits ---------------------------------------------------------------------------------------------


def derivatives(model, values, x, y):
    """Recorded derivatives by each parameter."""
    names = tuple(model.param_names)
    program = model._traced().program(names, (), ())
    with np.errstate(all="ignore"):
        _, columns = program.full([values[n] for n in names], [], [], [x, y])
    return dict(zip(names, columns, strict=True))


@pytest.mark.parametrize("name", PEAKS)
def test_derivatives_at_the_very_centre(name):
    model = model_of(name)
    values = {**model.example()[1], "x0": 18.0, "y0": 14.0}
    at = (np.array([18.0]), np.array([14.0]))
    linear = model.linear[0]
    here = float(model.function(*at, **values)[0])
    for parameter, found in derivatives(model, values, *at).items():
        expected = 0.0
        if parameter == linear:
            expected = here / values[parameter]
        elif parameter not in ("x0", "y0", "theta"):
            h = 1e-5 * values[parameter]
            up, down = (model.function(*at, **{**values, parameter: values[parameter] + s * h}) for s in (1, -1))
            expected = (up - down) / (2 * h)
        # central differences: 1e-10 of their own error, rounding of 1e-16 over a step of 1e-5
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9 * abs(here), err_msg=parameter)


@pytest.mark.parametrize("u", [0.0, 1e-8, 1e-4, 0.3, 7.0])
def test_airy_derivatives_near_the_centre_against_mpmath(u):
    model = surfaces.Airy2D()
    values = {"height": 2.0, "x0": 0.0, "y0": 0.0, "radius": J1_ZERO}
    found = derivatives(model, values, np.array([u]), np.array([0.0]))
    with mpmath.workdps(40):

        def disc(s):
            return 2 * (2 * mpmath.besselj(1, s) / s) ** 2 if s else mpmath.mpf(2)

        slope = mpmath.diff(disc, u) if u else 0.0
    np.testing.assert_allclose(found["x0"], -float(slope), rtol=1e-12, atol=0)
    np.testing.assert_allclose(found["radius"], -float(slope) * u / J1_ZERO, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", PEAKS)
@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_narrow_and_broad_peaks_are_finite_without_warnings(name, factor):
    model = model_of(name)
    values = model.example()[1]
    widths = (
        "sigma_x",
        "sigma_y",
        "width",
        "gamma",
        "hwhm",
        "sigma_major",
        "gamma_major",
        "alpha",
        "radius",
        "width_x",
        "width_y",
        "r_eff",
    )
    values = {n: v * factor if n in (*widths, "scale", "r_core") else v for n, v in values.items()}
    assert np.isfinite(model.function(X, Y, **values)).all()


# ---- starts ----------------------------------------------------------------------------------------------------------------


def test_core_of_a_gaussian():
    for seed, theta in enumerate((-1.5, -0.8, 0.0, 0.6, 1.57)):
        rng = np.random.default_rng(seed)
        z = gaussian2d_rotated(X, Y, -4.0, 17.2, 14.1, 6.0, 2.0, theta) + 100.0 + rng.normal(0, 0.2, X.shape)
        core = find_core(z.ravel(), X.ravel(), Y.ravel())
        assert core.height == pytest.approx(-4, rel=0.1)
        assert (core.x0, core.y0) == pytest.approx((17.2, 14.1), abs=0.3)
        assert (core.width, core.width * core.q) == pytest.approx((6, 2), rel=0.15)
        assert np.cos(2 * (core.theta - theta)) > 0.99
        assert -np.pi / 2 < core.theta <= np.pi / 2


def test_core_does_not_follow_wild_points():
    rng = np.random.default_rng(1)
    z = gaussian2d_rotated(X, Y, 4.0, 17.2, 14.1, 5.0, 2.5, 0.4) + rng.normal(0, 0.3, X.shape)
    wild = rng.random(z.shape) < 0.01
    z[wild] += rng.choice([-40, 40], wild.sum())
    core = find_core(z.ravel(), X.ravel(), Y.ravel())
    assert (core.x0, core.y0, core.width) == pytest.approx((17.2, 14.1, 5.0), abs=0.7)


def test_guess_takes_what_is_given():
    model = surfaces.Moffat2D(prefix="m_")
    z = model.eval(x=X, y=Y, m_height=5, m_x0=18, m_y0=14, m_alpha=6, m_beta=2.5, m_q=0.6, m_theta=0.5)
    params = model.guess(z, x=X, y=Y, beta=3.0, m_x0={"value": 17.0, "vary": False})
    assert params["m_beta"].value == 3.0
    assert (params["m_x0"].value, params["m_x0"].vary) == (17.0, False)
    with pytest.raises(ValueError, match="neither a coordinate"):
        model.guess(z, x=X, y=Y, bet=3.0)


def test_a_round_peak_has_no_direction_and_fits():
    rng = np.random.default_rng(3)
    model = surfaces.Moffat2D()
    z = model.eval(x=X, y=Y, height=5, x0=18, y0=14, alpha=5, beta=2.5, q=1, theta=0) + rng.normal(0, 0.2, X.shape)
    result = model.fit(z, x=X, y=Y, sigma=0.2)
    assert result.success
    assert result.chisqr < z.size + 3 * np.sqrt(2 * z.size)
    assert result.best_values["q"] == pytest.approx(1, abs=5 * result.params["q"].stderr)
