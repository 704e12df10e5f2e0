"""Ordinary fits give lmfit's answer: over fifty models, values to 1e-6 stderr and stderr to 1e-6 of an exact reference.

Three references, none of which knows surffit:

* lmfit's own `leastsq` at the tightest settings, from the true values, repeated until nothing moves. Its own one-sided
  differences stop it up to 1e-5 stderr away from the minimum (they are wrong by 1e-6 where a parameter is large beside the
  range in which it acts), so that its last runs get the derivatives of the next line by `Dfun`.
* The Gauss-Newton step that is left at our values, from the Jacobian of lmfit's `Model.eval` by eight-point differences
  that verify themselves by halving the step. At the minimum it vanishes.
* Standard errors from that Jacobian by Householder QR.

Where a parameter enters by its square only, its sign is no part of the answer: `fold` names those.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lmfit
import numpy as np
import pytest
from lmfit import lineshapes, models

import surffit as sf

CLOSE = 1e-6


@dataclass(frozen=True)
class Case:
    """A model, where it is looked at, the truth, and a sensible start."""

    make: Callable[[], lmfit.Model]
    coords: dict[str, Any]
    truth: str | dict[str, float]
    start: str | dict[str, float]
    noise: float = 0.02  # of the largest value
    hints: dict[str, dict[str, Any]] = field(default_factory=dict)  # how Parameters are set up, for both
    fold: tuple[str, ...] = ()
    weighted: bool = False


def line(low=-6.0, high=8.0, n=161):
    return {"x": np.linspace(low, high, n)}


def grid(nx=24, ny=19):
    y, x = np.mgrid[:ny, :nx] * 0.5
    return {"x": x, "y": y}


def function(func, *independent):
    """A plain function; ours gets it by SurfaceModel, lmfit by Model."""
    return lambda: lmfit.Model(func, independent_vars=list(independent) or ["x"])


# ---- functions as users write them -----------------------------------------------------------------------------------------


def rotated_gaussian(x, y, height, x0, y0, sx, sy, theta, sky):
    u = (x - x0) * np.cos(theta) + (y - y0) * np.sin(theta)
    v = (y - y0) * np.cos(theta) - (x - x0) * np.sin(theta)
    return height * np.exp(-0.5 * ((u / sx) ** 2 + (v / sy) ** 2)) + sky


def upright_gaussian(x, y, height, x0, y0, sx, sy, sky, gx, gy):
    return height * np.exp(-((x - x0) ** 2) / (2 * sx**2) - (y - y0) ** 2 / (2 * sy**2)) + sky + gx * x + gy * y


def lorentzian2d(x, y, height, x0, y0, wx, wy, sky):
    return sky + height / (1 + ((x - x0) / wx) ** 2 + ((y - y0) / wy) ** 2)


def moffat2d(x, y, height, x0, y0, r, beta, sky):
    return sky + height * (1 + ((x - x0) ** 2 + (y - y0) ** 2) / r**2) ** -beta


def ringing(x, amp, rate, omega, phase, level):
    return level + amp * np.exp(-rate * x) * np.cos(omega * x + phase)


def two_quadratures(x, c, s, rate, omega):
    return np.exp(-rate * x) * (c * np.cos(omega * x) + s * np.sin(omega * x))


def decay(x, amp, tau, level):
    return amp * np.exp(-x / tau) + level


def two_decays(x, amp1, tau1, amp2, tau2, level):
    return amp1 * np.exp(-x / tau1) + amp2 * np.exp(-x / tau2) + level


def stretched(x, amp, tau, beta):
    return amp * np.exp(-((x / tau) ** beta))


def sellmeier(x, B1, C1, B2, C2):
    return np.sqrt(1 + B1 * x**2 / (x**2 - C1) + B2 * x**2 / (x**2 - C2))


def cauchy(x, A, B, C):
    return A + B / x**2 + C / x**4


def cauchy_temperature(x, y, A, B, k, t0):
    return (A + B / x**2) * (1 + k * (y - 25.0) + t0 * (y - 25.0) ** 2)


def arrhenius(x, rate, energy):
    return rate * np.exp(-energy / 8.314e-3 * (1 / x - 1 / 300.0))


def michaelis(x, vmax, km):
    return vmax * x / (km + x)


def hill(x, top, half, n):
    return top * x**n / (half**n + x**n)


def langmuir2(x, y, q, k, h):
    return q * k * x / (1 + k * x + h * y)


def gompertz(x, top, shift, rate):
    return top * np.exp(-np.exp(-rate * (x - shift)))


def logistic4(x, low, high, middle, slope):
    return low + (high - low) / (1 + np.exp(-slope * (x - middle)))


def broken_power(x, norm, x0, a, b):
    return norm * np.where(x < x0, (x / x0) ** a, (x / x0) ** b)


def planck(x, norm, temperature):
    return norm / x**5 / np.expm1(1.4388 / (x * temperature))


def resonator(f, f0, q, amp, phase, re, im):
    return re + 1j * im + amp * np.exp(1j * phase) / (1 + 2j * q * (f / f0 - 1))


def wave(x, y, amp, kx, ky, phase):
    return amp * np.cos(kx * x + ky * y + phase)


def saturating(x, a, b, c):
    return a * np.arctan(b * x) + c * np.tanh(0.3 * x)


def rational(x, p0, p1, q1, q2):
    return (p0 + p1 * x) / (1 + q1 * x + q2 * x**2)


def sphere(x, y, x0, y0, z0, r):
    return z0 + np.sqrt(r**2 - (x - x0) ** 2 - (y - y0) ** 2)


def tied():
    """Two peaks a fixed distance apart, on a line."""
    model = models.GaussianModel(prefix="p_") + models.LorentzianModel(prefix="q_") + models.LinearModel(prefix="bg_")
    model.set_param_hint("q_center", expr="p_center + 2.5")
    model.set_param_hint("q_sigma", expr="p_sigma")
    return model


def tied_linear():
    """A doublet with the ratio of its lines fixed."""
    model = models.GaussianModel(prefix="p_") + models.GaussianModel(prefix="q_") + models.ConstantModel(prefix="bg_")
    model.set_param_hint("q_amplitude", expr="0.5*p_amplitude")
    model.set_param_hint("q_center", expr="p_center + split")
    model.set_param_hint("split", value=2.0)
    return model


peak = {"amplitude": 6.0, "center": 1.3, "sigma": 0.9}
near = {"amplitude": 4.0, "center": 0.9, "sigma": 1.2}

CASES = {
    # lmfit's built-in models
    "constant": Case(models.ConstantModel, line(), "c=3", "c=0"),
    "linear": Case(models.LinearModel, line(), "slope=0.4 intercept=3", "slope=0 intercept=0"),
    "quadratic": Case(models.QuadraticModel, line(), "a=0.1 b=-0.4 c=3", "a=0 b=0 c=0", weighted=True),
    "polynomial": Case(
        lambda: models.PolynomialModel(degree=5),
        line(-1.0, 1.2),
        {f"c{i}": (-1.0) ** i * (1 + i) for i in range(6)},
        {f"c{i}": 0.0 for i in range(6)},
    ),
    "spline": Case(
        lambda: models.SplineModel(xknots=np.linspace(-6, 8, 7)),
        line(),
        {f"s{i}": v for i, v in enumerate((1, 3, 2, 5, 1, 0, 2))},
        {f"s{i}": 1.0 for i in range(7)},
    ),
    "gaussian": Case(models.GaussianModel, line(), peak, near),
    "lorentzian": Case(models.LorentzianModel, line(), peak, near),
    "split_lorentzian": Case(models.SplitLorentzianModel, line(), {**peak, "sigma_r": 1.5}, {**near, "sigma_r": 1.0}),
    "voigt": Case(models.VoigtModel, line(), peak, near),
    "voigt_gamma": Case(
        models.VoigtModel, line(), {**peak, "gamma": 0.6}, {**near, "gamma": 0.8}, hints={"gamma": {"expr": "", "vary": True}}
    ),
    "pseudo_voigt": Case(models.PseudoVoigtModel, line(), {**peak, "fraction": 0.45}, {**near, "fraction": 0.5}),
    "moffat": Case(models.MoffatModel, line(), {**peak, "beta": 1.8}, {**near, "beta": 1.4}, noise=0.01),
    "pearson4": Case(models.Pearson4Model, line(), {**peak, "expon": 2.0, "skew": 1.1}, {**near, "expon": 1.6, "skew": 0.6}, noise=0.005),
    "pearson7": Case(models.Pearson7Model, line(), {**peak, "expon": 2.2}, {**near, "expon": 1.8}, noise=0.005),
    "students_t": Case(models.StudentsTModel, line(), {**peak, "sigma": 2.4}, {**near, "sigma": 2.0}),
    "breit_wigner": Case(models.BreitWignerModel, line(), {**peak, "q": 1.7}, {**near, "q": 1.3}),
    "lognormal": Case(models.LognormalModel, line(0.1, 9.0), "amplitude=6 center=0.8 sigma=0.5", "amplitude=4 center=0.6 sigma=0.6"),
    "damped_oscillator": Case(
        models.DampedOscillatorModel, line(0.1, 5.0), "amplitude=2 center=2.1 sigma=0.15", "amplitude=1.5 center=2 sigma=0.2"
    ),
    "dho": Case(
        models.DampedHarmonicOscillatorModel,
        line(),
        "amplitude=3 center=2.2 sigma=0.6 gamma=1.4",
        "amplitude=2 center=2 sigma=0.8 gamma=1.1",
    ),
    "exp_gaussian": Case(models.ExponentialGaussianModel, line(-6, 12), {**peak, "gamma": 0.7}, {**near, "gamma": 0.9}),
    "skewed_gaussian": Case(models.SkewedGaussianModel, line(), {**peak, "gamma": 1.8}, {**near, "gamma": 1.0}, noise=0.01),
    "skewed_voigt": Case(models.SkewedVoigtModel, line(), {**peak, "skew": 0.8}, {**near, "skew": 0.4}),
    "thermal_bose": Case(
        models.ThermalDistributionModel,
        line(1.0, 9.0),
        "amplitude=1.4 center=0 kt=1.7",
        "amplitude=1.2 center=0 kt=1.5",
        hints={"center": {"vary": False}},
    ),
    "thermal_maxwell": Case(
        lambda: models.ThermalDistributionModel(form="maxwell"),
        line(0.5, 9.0),
        "amplitude=1.4 center=0 kt=1.7",
        "amplitude=1.2 center=0 kt=1.5",
        hints={"center": {"vary": False}},
    ),
    "thermal_fermi": Case(
        lambda: models.ThermalDistributionModel(form="fermi"),
        line(),
        "amplitude=1 center=1.2 kt=0.7",
        "amplitude=1 center=1 kt=1",
        hints={"amplitude": {"vary": False}},
    ),
    "doniach": Case(models.DoniachModel, line(), {**peak, "gamma": 0.2}, {**near, "gamma": 0.1}),
    "power_law": Case(models.PowerLawModel, line(0.5, 9.0), "amplitude=3 exponent=-1.3", "amplitude=2 exponent=-1", weighted=True),
    "exponential": Case(models.ExponentialModel, line(0.0, 9.0), "amplitude=3 decay=2.3", "amplitude=2 decay=2"),
    "step_linear": Case(models.StepModel, line(), {**peak, "sigma": 4.1}, {**near, "sigma": 3.5}),
    "step_erf": Case(lambda: models.StepModel(form="erf"), line(), peak, near),
    "step_logistic": Case(lambda: models.StepModel(form="logistic"), line(), peak, near),
    "step_atan": Case(lambda: models.StepModel(form="arctan"), line(), peak, near),
    "rectangle_linear": Case(
        models.RectangleModel,
        line(),
        "amplitude=5 center1=-2 sigma1=1.4 center2=4 sigma2=1.7",
        "amplitude=4 center1=-1.8 sigma1=1.1 center2=3.7 sigma2=1.5",
    ),
    "rectangle_erf": Case(
        lambda: models.RectangleModel(form="erf"),
        line(),
        "amplitude=5 center1=-2 sigma1=0.8 center2=4 sigma2=1.1",
        "amplitude=4 center1=-1.8 sigma1=1 center2=3.7 sigma2=1.3",
    ),
    "rectangle_logistic": Case(
        lambda: models.RectangleModel(form="logistic"),
        line(),
        "amplitude=5 center1=-2 sigma1=0.4 center2=4 sigma2=0.6",
        "amplitude=4 center1=-1.8 sigma1=0.5 center2=3.7 sigma2=0.7",
    ),
    "rectangle_atan": Case(
        lambda: models.RectangleModel(form="atan"),
        line(),
        "amplitude=5 center1=-2 sigma1=0.4 center2=4 sigma2=0.6",
        "amplitude=4 center1=-1.8 sigma1=0.5 center2=3.7 sigma2=0.7",
    ),
    "sine": Case(models.SineModel, line(), "amplitude=2 frequency=1.3 shift=0.6", "amplitude=1 frequency=1.25 shift=0.4"),
    "expsine": Case(
        function(lineshapes.expsine),
        line(0, 9),
        "amplitude=2 frequency=2.3 shift=0.6 decay=0.3",
        "amplitude=1 frequency=2.2 shift=0.4 decay=0.2",
    ),
    "logistic_lineshape": Case(function(lineshapes.logistic), line(), peak, near),
    "gaussian2d": Case(
        lambda: models.Gaussian2dModel() + models.ConstantModel(),
        grid(),
        "amplitude=60 centerx=6.2 centery=4.4 sigmax=1.7 sigmay=1.2 c=0.4",
        "amplitude=40 centerx=5.8 centery=4.9 sigmax=1.4 sigmay=1.4 c=0",
    ),
    "complex_constant": Case(models.ComplexConstantModel, line(n=41), "re=1.2 im=-0.7", "re=0 im=0"),
    # functions as users write them
    "rotated_gaussian2d": Case(
        function(rotated_gaussian, "x", "y"),
        grid(),
        "height=5 x0=6.2 y0=4.4 sx=2.1 sy=1.1 theta=0.5 sky=0.3",
        "height=4 x0=5.8 y0=4.9 sx=1.8 sy=1.3 theta=0.4 sky=0",
        fold=("sx", "sy"),
    ),
    "gaussian2d_on_plane": Case(
        function(upright_gaussian, "x", "y"),
        grid(),
        "height=5 x0=6.2 y0=4.4 sx=2.1 sy=1.1 sky=0.3 gx=0.05 gy=-0.02",
        "height=4 x0=5.8 y0=4.9 sx=1.8 sy=1.3 sky=0 gx=0 gy=0",
        fold=("sx", "sy"),
        weighted=True,
    ),
    "lorentzian2d": Case(
        function(lorentzian2d, "x", "y"),
        grid(),
        "height=5 x0=6.2 y0=4.4 wx=2.1 wy=1.1 sky=0.3",
        "height=4 x0=5.8 y0=4.9 wx=1.8 wy=1.3 sky=0",
        fold=("wx", "wy"),
    ),
    "moffat2d": Case(
        function(moffat2d, "x", "y"),
        grid(),
        "height=5 x0=6.2 y0=4.4 r=2.1 beta=2.5 sky=0.3",
        "height=4 x0=5.8 y0=4.9 r=1.8 beta=2 sky=0",
        fold=("r",),
    ),
    "ringing": Case(
        function(ringing), line(0, 9), "amp=3 rate=0.4 omega=2.6 phase=0.5 level=0.7", "amp=2 rate=0.3 omega=2.5 phase=0.3 level=0"
    ),
    "two_quadratures": Case(function(two_quadratures), line(0, 9), "c=3 s=-1 rate=0.4 omega=2.6", "c=1 s=0 rate=0.3 omega=2.5"),
    "decay": Case(function(decay), line(0, 9), "amp=3 tau=1.8 level=0.5", "amp=2 tau=1.2 level=0"),
    "two_decays": Case(
        function(two_decays), line(0, 20), "amp1=3 tau1=0.8 amp2=2 tau2=5 level=0.3", "amp1=2 tau1=0.6 amp2=2 tau2=4 level=0", noise=0.005
    ),
    "stretched": Case(function(stretched), line(0.01, 9), "amp=3 tau=1.8 beta=0.7", "amp=2 tau=1.2 beta=0.9", weighted=True),
    "sellmeier": Case(
        function(sellmeier),
        line(0.4, 2.2),
        "B1=1.03 C1=0.012 B2=0.9 C2=95",
        "B1=1 C1=0.01 B2=0.8 C2=95",
        noise=1e-6,
        hints={"C2": {"vary": False}},
    ),
    "cauchy": Case(function(cauchy), line(0.4, 1.6), "A=1.5 B=0.004 C=0.0002", "A=1 B=0 C=0", noise=1e-5),
    "cauchy_temperature": Case(
        function(cauchy_temperature, "x", "y"),
        {"x": np.linspace(0.4, 1.6, 12), "y": np.linspace(0, 90, 9)[:, None]},
        "A=1.5 B=0.004 k=-0.0001 t0=2e-07",
        "A=1.4 B=0.003 k=0 t0=0",
        noise=1e-5,
    ),
    "arrhenius": Case(function(arrhenius), line(280, 350), "rate=0.4 energy=52", "rate=0.3 energy=45", weighted=True),
    "michaelis_menten": Case(function(michaelis), line(0.05, 12), "vmax=3 km=1.9", "vmax=2 km=1"),
    "hill": Case(function(hill), line(0.05, 12), "top=3 half=2.9 n=2.2", "top=2 half=2 n=1.7"),
    "langmuir": Case(function(langmuir2, "x", "y"), grid(), "q=3 k=0.9 h=0.5", "q=2 k=0.6 h=0.3"),
    "gompertz": Case(function(gompertz), line(), "top=3 shift=0.4 rate=0.9", "top=2 shift=0 rate=0.7"),
    "logistic4": Case(function(logistic4), line(), "low=0.5 high=3 middle=0.7 slope=1.4", "low=0 high=2 middle=0.2 slope=1"),
    "broken_power": Case(function(broken_power), line(0.5, 9), "norm=3 x0=3.013 a=0.7 b=-1.2", "norm=2.5 x0=2.8 a=0.5 b=-1"),
    "planck": Case(function(planck), line(0.3, 3.0), "norm=2 temperature=0.58", "norm=1 temperature=0.5"),
    "resonator": Case(
        function(resonator, "f"),
        {"f": np.linspace(4.9, 5.1, 81)},
        "f0=5.003 q=120 amp=0.8 phase=0.3 re=1 im=-0.2",
        "f0=5 q=100 amp=1 phase=0 re=0 im=0",
        weighted=True,
    ),
    "wave": Case(function(wave, "x", "y"), grid(), "amp=2 kx=0.8 ky=-0.5 phase=0.3", "amp=1 kx=0.75 ky=-0.45 phase=0.2"),
    "saturating": Case(function(saturating), line(), "a=2 b=1.6 c=-1", "a=1 b=1 c=0"),
    "rational": Case(function(rational), line(0, 6), "p0=1 p1=2 q1=0.4 q2=0.2", "p0=1 p1=1 q1=0.3 q2=0.1"),
    "sphere": Case(function(sphere, "x", "y"), grid(), "x0=6.1 y0=4.2 z0=-15 r=22", "x0=5 y0=5 z0=-14 r=20", noise=0.003, fold=("r",)),
    # composites
    "tied_centres": Case(
        tied,
        line(),
        "p_amplitude=5 p_center=-0.6 p_sigma=0.8 q_amplitude=7 bg_slope=0.05 bg_intercept=0.4",
        "p_amplitude=3 p_center=-0.3 p_sigma=1 q_amplitude=5 bg_slope=0 bg_intercept=0",
    ),
    "tied_amplitudes": Case(
        tied_linear,
        line(),
        "p_amplitude=5 p_center=-0.6 p_sigma=0.5 q_sigma=0.7 split=2.3 bg_c=0.2",
        "p_amplitude=3 p_center=-0.4 p_sigma=0.6 q_sigma=0.6 split=2.1 bg_c=0",
    ),
    "product": Case(
        lambda: models.GaussianModel() * models.ExponentialModel(prefix="e_"),
        line(0, 9),
        "amplitude=6 center=3 sigma=1.4 e_amplitude=1 e_decay=4",
        "amplitude=4 center=2.6 sigma=1.6 e_amplitude=1 e_decay=4",
        hints={"e_amplitude": {"vary": False}, "e_decay": {"vary": False}},
    ),
    "quotient": Case(
        lambda: models.GaussianModel() / models.QuadraticModel(prefix="d_"),
        line(),
        "amplitude=6 center=1 sigma=1.4 d_a=0.05 d_b=0.1 d_c=1",
        "amplitude=5 center=0.8 sigma=1.6 d_a=0.02 d_b=0 d_c=1",
        hints={"d_c": {"vary": False}},
        noise=0.005,
    ),
    "difference": Case(
        lambda: models.LinearModel() - models.LorentzianModel(prefix="dip_"),
        line(),
        "slope=0.1 intercept=3 dip_amplitude=4 dip_center=0.9 dip_sigma=0.8",
        "slope=0 intercept=2 dip_amplitude=2 dip_center=0.6 dip_sigma=1",
    ),
    "surface_and_lmfit": Case(
        lambda: lmfit.Model(upright_gaussian, independent_vars=["x", "y"], prefix="s_") + models.Gaussian2dModel(prefix="g_"),
        grid(),
        "s_height=5 s_x0=3.2 s_y0=4.4 s_sx=1.1 s_sy=1.3 s_sky=0.3 s_gx=0.02 s_gy=0.01"
        " g_amplitude=30 g_centerx=8 g_centery=4 g_sigmax=1.1 g_sigmay=0.9",
        "s_height=4 s_x0=3 s_y0=4.8 s_sx=1.3 s_sy=1.3 s_sky=0 s_gx=0 s_gy=0"
        " g_amplitude=20 g_centerx=7.7 g_centery=4.4 g_sigmax=1 g_sigmay=1",
        fold=("s_sx", "s_sy"),
    ),
}
if hasattr(lineshapes, "bose"):  # lmfit 1.3.4 has these two, 1.3.3 not yet
    CASES["bose"] = Case(
        function(lineshapes.bose), line(1.0, 8.0), "amplitude=5 center=0.4 kt=1.5", "amplitude=4 center=0.2 kt=1.7", noise=0.005
    )
    CASES["fermi"] = Case(function(lineshapes.fermi), line(), "amplitude=5 center=1.4 kt=0.6", "amplitude=4 center=1 kt=0.8")


def parameters(model, case, values):
    """Parameters from values written as "a=1 b=2", or as a dict."""
    if isinstance(values, str):
        values = {name: float(value) for name, value in (item.split("=") for item in values.split())}
    params = model.make_params(**values)
    for name, hint in case.hints.items():
        params[name].set(**hint)
    return params


def synthetic(name, case):
    """Data with noise of a fixed seed per model, and weights where the case wants them."""
    model = case.make()
    truth = parameters(model, case, case.truth)
    shape = np.broadcast_shapes(*(v.shape for v in case.coords.values()))
    clean = np.broadcast_to(model.eval(truth, **case.coords), shape)
    rng = np.random.default_rng(sum(map(ord, name)))
    sigma = case.noise * np.abs(clean).max() * np.ones(shape)
    if case.weighted:
        sigma = sigma * rng.uniform(0.5, 2.0, shape)
    noise = sigma * rng.normal(size=shape)
    if np.iscomplexobj(clean):
        noise = noise + 1j * sigma * rng.normal(size=shape)
    return clean + noise, 1 / sigma if case.weighted else None


def rows(values):
    """Complex values as two real rows."""
    values = np.ravel(values)
    return np.ascontiguousarray(values).view(float) if np.iscomplexobj(values) else values


class Reference:
    """Everything about the least-squares problem that can be had from lmfit's `eval` alone."""

    def __init__(self, case, data, weights):
        self.case, self.data, self.weights = case, data, weights
        self.model = case.make()
        self.steps = {}

    def residual(self, params):
        r = self.data - self.model.eval(params, **self.case.coords)
        return rows(r if self.weights is None else r * self.weights)

    def jacobian(self, params):
        """Derivative of the residual's negative, columns by varying parameter; each column is verified by halving the step."""
        names = [k for k, p in params.items() if p.vary and not p.expr]
        size = np.abs(rows(self.data)).max() * (1 if self.weights is None else np.median(self.weights))
        return names, np.column_stack([self._column(params, k, size) for k in names])

    def _line(self, params, name):
        """The residual as a function of one parameter, and its value."""
        moved = params.copy()
        moved[name].min, moved[name].max = -np.inf, np.inf

        def at(value):
            moved[name].value = value
            return self.residual(moved)

        return at, params[name].value

    def _column(self, params, name, size):
        at, value = self._line(params, name)
        base = self.residual(params)
        h = 1e-7 * max(abs(value), 1e-3)
        while np.nanmax(np.abs(at(value + h) - base)) < 0.01 * size:
            h *= 4
        best = np.inf, h, None
        for _ in range(9):
            two = [self._differences(at, value, step) for step in (h, h / 2)]
            error = np.abs(two[0] - two[1]).max() / np.abs(two[1]).max()
            if error < best[0]:
                best = error, h / 2, two[1]
            if error < 1e-11:
                break
            h /= 4
        error, self.steps[name], column = best
        assert error < 1e-8, f"the reference derivative by {name} is good to {error:.1e} only"
        return column

    @staticmethod
    def _differences(at, value, h):
        """Eight-point central difference, of order h**8."""
        coefficients = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
        return -sum(c * (at(value + k * h) - at(value - k * h)) for k, c in enumerate(coefficients, 1)) / h

    def gauss_newton(self, params):
        """Standard errors, and the step that is left, in standard errors."""
        names, J = self.jacobian(params)
        r = self.residual(params)
        scale = np.sqrt((J**2).sum(axis=0))
        Q, R = np.linalg.qr(J / scale)
        inverse = np.linalg.inv(R)
        s = np.sqrt(r @ r / (r.size - len(names)))
        stderr = s * np.sqrt((inverse**2).sum(axis=1)) / scale
        step = inverse @ (Q.T @ r) / scale
        return dict(zip(names, stderr, strict=True)), np.abs(step / stderr).max()

    def tight(self, params):
        """lmfit's leastsq with exact settings and the derivatives above, repeated until the values stand still."""
        first = lmfit.minimize(self.residual, params, method="leastsq", calc_covar=False)
        names, _ = self.jacobian(first.params)

        def derivatives(moved):
            return -np.column_stack([self._differences(*self._line(moved, k), self.steps[k]) for k in names])

        params, last = first.params, None
        for _ in range(6):
            tight = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
            found = lmfit.minimize(self.residual, params, method="leastsq", calc_covar=False, Dfun=derivatives, **tight)
            params = found.params
            values = np.array([params[k].value for k in names])
            if last is not None and np.all(np.abs(values - last) <= 1e-12 * np.abs(values)):
                break
            last = values
        return params, float(found.residual @ found.residual)


def surface_model(case):
    """The same model as ours: a plain function through SurfaceModel itself, anything else through from_lmfit."""
    theirs = case.make()
    if type(theirs) is lmfit.Model:
        return sf.SurfaceModel(theirs.func, independent_vars=theirs.independent_vars)
    return sf.SurfaceModel.from_lmfit(theirs)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # lmfit's trial points may overflow
def test_same_answer_as_lmfit(name):
    case = CASES[name]
    data, weights = synthetic(name, case)
    model = surface_model(case)
    result = model.fit(data, parameters(model, case, case.start), weights=weights, **case.coords)
    assert result.success, result.reason
    assert result.covar_source == "jacobian"
    assert result.errorbars

    reference = Reference(case, data, weights)
    stderr, left = reference.gauss_newton(result.params)
    assert left < CLOSE, f"a step of {left:.1e} stderr is left"
    for k, error in stderr.items():
        assert result.params[k].stderr == pytest.approx(error, rel=CLOSE), k

    theirs, chi2 = reference.tight(parameters(reference.model, case, case.truth))
    assert result.chisqr == pytest.approx(chi2, rel=1e-10)
    assert result.chisqr <= chi2 * (1 + 1e-11)
    for k, error in stderr.items():
        ours, other = result.params[k].value, theirs[k].value
        if k in case.fold:
            ours, other = abs(ours), abs(other)
        assert abs(ours - other) <= CLOSE * error, f"{k}: {ours!r} against lmfit's {other!r}, {abs(ours - other) / error:.1e} stderr apart"


def test_there_are_enough_models():
    assert len(CASES) >= 40
    assert set(lineshapes.functions) <= covered() | {"constant"}


def covered():
    """The lmfit lineshapes that the cases use."""
    found = set()
    for case in CASES.values():
        parts = case.make()
        for part in getattr(parts, "components", [parts]):
            found.add(part.func.__name__)
    return found


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("spline",)])
def test_derivatives_come_from_the_graph(name):
    """All of lmfit's lineshapes trace, and so do plain numpy functions."""
    case = CASES[name]
    data, weights = synthetic(name, case)
    model = surface_model(case)
    result = model.fit(data, parameters(model, case, case.start), weights=weights, **case.coords)
    assert result.conditioning.derivatives == "graph"


# ---- long data, where the walk goes on sums over rows ----------------------------------------------------------------------


def image(open_grid):
    y, x = np.mgrid[:150, :160] * 0.1
    return {"x": x[:1], "y": y[:, :1]} if open_grid else {"x": x, "y": y}


BIG = {
    "grid": (upright_gaussian, image(False), "height=5 x0=8.2 y0=7.4 sx=2.1 sy=1.1 sky=0.3 gx=0.05 gy=-0.02"),
    "open grid": (upright_gaussian, image(True), "height=5 x0=8.2 y0=7.4 sx=2.1 sy=1.1 sky=0.3 gx=0.05 gy=-0.02"),
    "rotated": (rotated_gaussian, image(False), "height=5 x0=8.2 y0=7.4 sx=2.1 sy=1.1 theta=0.5 sky=0.3"),
    "decay": (decay, {"x": np.linspace(0, 9, 24_000)}, "amp=3 tau=1.8 level=0.5"),
    "resonator": (resonator, {"f": np.linspace(4.9, 5.1, 21_000)}, "f0=5.003 q=120 amp=0.8 phase=0.3 re=1.0 im=-0.2"),
}


@pytest.mark.parametrize("extra", ["plain", "weights", "mask", "weights and mask", "fixed"])
@pytest.mark.parametrize("name", BIG)
def test_long_data(name, extra):
    """Against the reference Jacobian: no step is left, and the errors are right."""
    func, coords, truth = BIG[name]
    case = Case(function(func, *coords), coords, truth, truth, weighted="weights" in extra)
    if extra == "fixed":
        case.hints[next(iter(truth.split("=")))] = {"vary": False}
    data, weights = synthetic(name, case)
    mask = np.random.default_rng(0).random(data.shape) < 0.1 if "mask" in extra else None
    model = surface_model(case)
    start = parameters(model, case, truth)
    for k, par in start.items():
        if par.vary:
            par.value *= 1.02 if k in ("f0",) else 1.1
    if "f0" in start:
        start["f0"].value = 5.0
    result = model.fit(data, start, weights=weights, mask=mask, **coords)
    assert result.success, result.reason
    assert result.conditioning.derivatives == "graph"
    if mask is not None:  # a point without weight, for the reference
        weights = np.where(mask, 0.0, 1.0 if weights is None else weights)
    reference = Reference(case, data, weights)
    stderr, left = reference.gauss_newton(result.params)
    assert left < CLOSE
    lost = 0 if mask is None else int(mask.sum()) * (2 if np.iscomplexobj(data) else 1)
    size = data.size * (2 if np.iscomplexobj(data) else 1)
    assert result.ndata == size - lost
    factor = np.sqrt((size - len(stderr)) / (size - lost - len(stderr)))
    for k, error in stderr.items():
        assert result.params[k].stderr == pytest.approx(error * factor, rel=CLOSE), k
