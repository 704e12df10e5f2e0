"""
A batch gives what one-by-one fits by scipy give: values to 1e-5 of their error, errors to 1e-5 of themselves.

Fourteen models, each with many random data sets (50 every day, 500 in the slow tests): with and without errors, masks, bounds,
fixed and tied parameters, in float32, as images. scipy's `curve_fit` runs with its tightest tolerances and derivatives by five-point
differences, so that its own rounding stays below what is tested, and a second time from its own optimum for the covariance.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy import optimize, special

import surffit as sf

CLOSE = 1e-5

x40 = np.linspace(-6.0, 6.0, 40)
x60 = np.linspace(-6.0, 6.0, 60)
t30 = np.linspace(0.0, 6.0, 30)
t50 = np.linspace(0.0, 10.0, 50)
far = np.linspace(2000.0, 2010.0, 12)
positive = np.geomspace(0.3, 20.0, 25)
row, column = np.mgrid[:11, :9].astype(float)


def line(x, a, b):
    return a + b * x


def cubic(x, c0, c1, c2, c3):
    return c0 + c1 * x + c2 * x**2 + c3 * x**3


def gaussian(x, height, center, width, level):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + level


def decay(x, height, rate, offset):
    return height * np.exp(-rate * x) + offset


def lorentzian(x, height, center, width, level, slope):
    return height / (1.0 + ((x - center) / width) ** 2) + level + slope * x


def pseudo_voigt(x, height, center, width, fraction):
    z = ((x - center) / width) ** 2
    return height * (fraction / (1.0 + z) + (1.0 - fraction) * np.exp(-np.log(2.0) * z))


def voigt(x, amplitude, center, sigma_g, gamma, level):
    return amplitude * special.voigt_profile(x - center, sigma_g, gamma) + level


def oscillator(x, height, damping, omega, phase):
    return height * np.exp(-damping * x) * np.cos(omega * x + phase)


def star(x, y, height, x0, y0, sx, sy, sky):
    return height * np.exp(-0.5 * ((x - x0) / sx) ** 2 - 0.5 * ((y - y0) / sy) ** 2) + sky


def power(x, scale, exponent):
    return scale * x**exponent


def sine(x, height, frequency, phase, level):
    return height * np.sin(2.0 * np.pi * frequency * x + phase) + level


def saturation(x, vmax, km):
    return vmax * x / (km + x)


def logistic(x, top, middle, steep, bottom):
    return bottom + (top - bottom) / (1.0 + np.exp(-steep * (x - middle)))


def doublet(x, strong, weak, center, split, width):
    return strong * np.exp(-0.5 * ((x - center) / width) ** 2) + weak * np.exp(-0.5 * ((x - center - split) / width) ** 2)


@dataclass(frozen=True)
class Case:
    """
    A model and how its data sets are made and fitted.

    `truth`: (low, high) of each parameter; `start`: of the non-linear ones, for all data sets, or a fraction of the truth by which
    each data set starts off it. `noise` in data units. `bound`: a parameter and its lower bound. `error`: how errors go in: None,
    "line" (one per point of the data set), "each" (one per number), "weights". `dtype` of the data.
    """

    func: Callable[..., Any]
    truth: Mapping[str, tuple[float, float]]
    coords: Mapping[str, np.ndarray]
    noise: float
    start: Mapping[str, float] | float = field(default_factory=dict)
    error: str | None = None
    mask: float = 0.0
    known: bool = False
    bound: tuple[str, float] | None = None
    fixed: str | None = None
    tied: tuple[str, str, Callable[[Mapping[str, float]], float]] | None = None
    dtype: Any = float
    axis: Any = 0
    engine: str = "traced"


CASES = {
    "line": Case(line, {"a": (-5, 5), "b": (-1, 1)}, {"x": far}, 0.1, engine="common"),
    "cubic, errors, masks": Case(
        cubic, {"c0": (-1, 1), "c1": (-1, 1), "c2": (-1, 1), "c3": (-0.3, 0.3)}, {"x": x40}, 0.5, error="each", mask=0.2,
        engine="weighted",
    ),
    "gaussian + constant, known errors": Case(
        gaussian, {"height": (5, 30), "center": (-2, 2), "width": (0.7, 1.6), "level": (0, 5)}, {"x": x60}, 0.5,
        {"center": 0.0, "width": 1.2}, error="each", known=True,
    ),
    "decay, masks": Case(
        decay, {"height": (5, 20), "rate": (0.4, 1.5), "offset": (-2, 2)}, {"x": t30}, 0.2, {"rate": 0.8}, mask=0.15
    ),
    "decay, offset bounded": Case(
        decay, {"height": (5, 20), "rate": (0.4, 1.5), "offset": (-0.05, 0.05)}, {"x": t30}, 0.2, {"rate": 0.8}, error="line",
        bound=("offset", 0.0),
    ),
    "lorentzian + line, float32": Case(
        lorentzian, {"height": (5, 30), "center": (-2, 2), "width": (0.5, 1.2), "level": (0, 5), "slope": (-0.5, 0.5)}, {"x": x60}, 0.3,
        {"center": 0.0, "width": 1.0}, dtype=np.float32,
    ),
    "pseudo-Voigt, fraction bounded": Case(
        pseudo_voigt, {"height": (10, 30), "center": (-1, 1), "width": (0.8, 1.6), "fraction": (0.0, 0.06)}, {"x": x60}, 0.4, 0.1,
        bound=("fraction", 0.0),
    ),
    "voigt, weights": Case(
        voigt, {"amplitude": (60, 150), "center": (-1, 1), "sigma_g": (0.7, 1.2), "gamma": (0.5, 1.0), "level": (0, 2)}, {"x": x60}, 0.1,
        0.1, error="weights", engine="",
    ),
    "damped oscillator, each its start": Case(
        oscillator, {"height": (5, 10), "damping": (0.1, 0.3), "omega": (2, 4), "phase": (-1, 1)}, {"x": t50}, 0.3, 0.05
    ),
    "stars, masks": Case(
        star, {"height": (20, 60), "x0": (3, 5), "y0": (4, 6), "sx": (1, 1.6), "sy": (1, 1.6), "sky": (0, 3)},
        {"x": column, "y": row}, 1.0, {"x0": 4.0, "y0": 5.0, "sx": 1.3, "sy": 1.3}, mask=0.05, axis=(1, 2),
    ),
    "power law, errors": Case(power, {"scale": (1, 5), "exponent": (-2, -0.5)}, {"x": positive}, 0.05, 0.1, error="line"),
    "sine, errors, masks, each its start": Case(
        sine, {"height": (3, 8), "frequency": (0.2, 0.5), "phase": (-1, 1), "level": (-2, 2)}, {"x": t50}, 0.5, 0.03, error="each", mask=0.3
    ),
    "saturation, known errors": Case(
        saturation, {"vmax": (5, 20), "km": (1, 5)}, {"x": positive}, 0.1, {"km": 2.0}, error="line", known=True
    ),
    "logistic": Case(
        logistic, {"top": (5, 10), "middle": (-1, 1), "steep": (0.7, 2), "bottom": (-2, 2)}, {"x": x40}, 0.2,
        {"middle": 0.0, "steep": 1.2},
    ),
    "doublet, each its split, ratio tied": Case(
        doublet, {"strong": (10, 30), "center": (-2, 0), "split": (1.5, 2.5), "width": (0.5, 0.9), "weak": (0, 0)}, {"x": x60}, 0.4,
        {"center": -1.0, "width": 0.7}, fixed="split", tied=("weak", "strong / 3", lambda p: p["strong"] / 3.0),
    ),
}  # fmt: skip


class Sets:
    """The data sets of a case, data sets first."""

    def __init__(self, case: Case, n: int) -> None:
        rng = np.random.default_rng(sorted(CASES).index(next(k for k, c in CASES.items() if c is case)))
        self.case = case
        self.shape = next(iter(case.coords.values())).shape
        self.truth = {name: rng.uniform(low, high, n) for name, (low, high) in case.truth.items()}
        if case.tied:
            self.truth[case.tied[0]] = case.tied[2](self.truth)
        column_of = (slice(None), *[None] * len(self.shape))
        clean = case.func(*case.coords.values(), **{name: v[column_of] for name, v in self.truth.items()})
        self.sigma = None
        scatter = np.full(clean.shape, case.noise)
        if case.error == "line":
            self.sigma = case.noise * rng.uniform(0.5, 1.5, self.shape)
            scatter = np.broadcast_to(self.sigma, clean.shape)
        elif case.error:
            self.sigma = scatter = case.noise * rng.uniform(0.5, 1.5, clean.shape)
        self.data = (clean + scatter * rng.standard_normal(clean.shape)).astype(case.dtype)
        self.mask = rng.uniform(size=clean.shape) < case.mask if case.mask else None
        if self.mask is not None:
            self.data[self.mask] = np.where(rng.uniform(size=self.mask.sum()) < 0.5, np.nan, 1e30)  # never looked at
        free = [name for name in case.truth if name != case.fixed and not (case.tied and name == case.tied[0])]
        if isinstance(case.start, float):
            off = {name: 1.0 + case.start * rng.choice([-1.0, 1.0], n) for name in free}
            self.start = {name: np.maximum(self.truth[name] * off[name], 1e-3 if name == "fraction" else -np.inf) for name in free}
        else:
            self.start = {name: case.start[name] for name in free if name in case.start}
        self.free = free

    def batch(self, **changes: Any) -> Any:
        """All at once."""
        case = self.case
        params: dict[str, Any] = dict(self.start)
        if case.bound:
            params[case.bound[0]] = {"value": self.start.get(case.bound[0], 0.1), "min": case.bound[1]}
        if case.fixed:
            params[case.fixed] = {"value": self.truth[case.fixed], "vary": False}
        if case.tied:
            params[case.tied[0]] = {"expr": case.tied[1]}
        extra: dict[str, Any] = {}
        # the fit axes stand where `axis` says, the data sets along the one left
        first = case.axis == 0
        if self.sigma is not None:
            errors = np.moveaxis(self.sigma, 0, -1) if first and self.sigma.ndim > len(self.shape) else self.sigma
            extra = {"weights": 1.0 / errors} if case.error == "weights" else {"sigma": errors}
        if self.mask is not None:
            extra["mask"] = np.moveaxis(self.mask, 0, -1) if first else self.mask
        data = np.ascontiguousarray(np.moveaxis(self.data, 0, -1)) if first else self.data
        model = sf.SurfaceModel(case.func, independent_vars=list(case.coords))
        options = {"scale_covar": not case.known, **extra, **changes}
        return sf.fit_many(model, data, case.axis, params or None, **options, **case.coords)

    def one(self, q: int) -> tuple[np.ndarray, np.ndarray]:
        """Values and errors of one data set by scipy; nan is the error of what is held on its bound."""
        values, errors, _ = self.by_scipy(q, {})
        if self.case.bound:
            name, lower = self.case.bound
            k = self.free.index(name)
            if values[k] < lower:
                values, errors, _ = self.by_scipy(q, {name: lower})
        return values, errors

    def by_scipy(self, q: int, held: dict[str, float]) -> tuple[np.ndarray, np.ndarray, float]:
        case = self.case
        keep = np.ones(self.shape, bool) if self.mask is None else ~self.mask[q]
        coords = [x[keep] for x in case.coords.values()]
        y = self.data[q][keep].astype(float)
        sigma = None if self.sigma is None else np.broadcast_to(self.sigma, self.data.shape)[q][keep]
        names = [name for name in self.free if name not in held]
        fixed = held | ({case.fixed: self.truth[case.fixed][q]} if case.fixed else {})

        def func(_: Any, *p: float) -> np.ndarray:
            values = dict(zip(names, p, strict=True)) | fixed
            if case.tied:
                values[case.tied[0]] = case.tied[2](values)
            return case.func(*coords, **values)

        def jac(_: Any, *p: float) -> np.ndarray:
            out = []
            for k, value in enumerate(p):
                h = 1e-3 * max(abs(value), 0.05)
                at = [func(_, *p[:k], value + m * h, *p[k + 1 :]) for m in (-2, -1, 1, 2)]
                out.append((at[0] - 8.0 * at[1] + 8.0 * at[2] - at[3]) / (12.0 * h))
            return np.array(out).T

        start = [self.truth[name][q] for name in names]
        keywords = {"sigma": sigma, "absolute_sigma": case.known, "ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "maxfev": 2000}
        best, _ = optimize.curve_fit(func, None, y, start, jac=jac, **keywords)
        best, covar = optimize.curve_fit(func, None, y, best, jac=jac, **keywords)
        values = np.array([held.get(name, np.nan) for name in self.free])
        errors = np.full(len(self.free), np.nan)
        where = [self.free.index(name) for name in names]
        values[where], errors[where] = best, np.sqrt(np.diag(covar))
        return values, errors, float(np.sum(((y - func(None, *best)) / (1.0 if sigma is None else sigma)) ** 2))


def differences(values, errors, expected, expected_errors):
    """Worst differences of values in standard errors, and of errors relative; inf where one has an error and the other has none."""
    if not np.array_equal(np.isfinite(errors), np.isfinite(expected_errors)):
        return np.inf, np.inf
    held = ~np.isfinite(expected_errors)
    off = np.abs(values - expected) / np.where(held, CLOSE * np.maximum(np.abs(expected), 1e-12), expected_errors)
    return float(off.max()), float(np.nanmax(np.abs(errors / expected_errors - 1.0)))


@functools.cache
def made(name, n):
    sets = Sets(CASES[name], n)
    reference = [sets.one(q) for q in range(n)]
    return sets, np.array([r[0] for r in reference]).T, np.array([r[1] for r in reference]).T


EVEN = ("width", "sx", "sy")  # the models know these by their squares only: either sign is right


def arrays(batch, names):
    values = [np.abs(batch.values[name]) if name in EVEN else batch.values[name] for name in names]
    return np.array(values), np.array([batch.stderr[name] for name in names])


@pytest.mark.filterwarnings("ignore:Covariance of the parameters could not be estimated", "ignore:.*gtol=.*:UserWarning")
@pytest.mark.parametrize("n", [pytest.param(50, id="50"), pytest.param(500, id="500", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_as_scipy_one_by_one(name, n):
    sets, expected, expected_errors = made(name, n)
    batch = sets.batch()
    assert np.asarray(batch.success).all(), batch.summary()
    off, errors_off = differences(*arrays(batch, sets.free), expected, expected_errors)
    print(f"{name:40} {batch.engine:10} values {off:.1e} stderr, errors {errors_off:.1e}")
    assert off < CLOSE
    assert errors_off < CLOSE
    if sets.case.engine:
        assert batch.engine == sets.case.engine, batch.engine_reason
    if sets.case.bound:
        held = np.isnan(expected_errors).any(axis=0)
        assert 0.2 * n < held.sum() < 0.8 * n  # the case has both
        flagged = (np.asarray(batch.status) & sf.Status.AT_BOUND) != 0
        np.testing.assert_array_equal(flagged, held)


@pytest.mark.filterwarnings("ignore:Covariance of the parameters could not be estimated", "ignore:.*gtol=.*:UserWarning")
@pytest.mark.parametrize("engine", ["lockstep", pytest.param("loop", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.engine not in ("common", "weighted")])
def test_so_do_the_other_engines(name, engine):
    sets, expected, expected_errors = made(name, 50)
    batch = sets.batch(engine=engine)
    off, errors_off = differences(*arrays(batch, sets.free), expected, expected_errors)
    print(f"{name:40} {batch.engine:10} values {off:.1e} stderr, errors {errors_off:.1e}")
    assert off < CLOSE
    assert errors_off < CLOSE


@pytest.mark.parametrize("what", ["values", "errors", "held"])
def test_a_difference_would_be_seen(what):
    values, errors = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[0.1, 0.2], [0.3, np.nan]])
    assert differences(values, errors, values, errors) == (0.0, 0.0)
    other, other_errors = values.copy(), errors.copy()
    if what == "values":
        other[0, 1] += 2e-5 * errors[0, 1]
    elif what == "errors":
        other_errors[0, 1] *= 1.00002
    else:
        other_errors[1, 1] = 0.1
    assert max(differences(other, other_errors, values, errors)) > CLOSE


def test_errors_with_the_other_meaning_of_scale_covar_would_be_seen():
    sets, expected, expected_errors = made("gaussian + constant, known errors", 50)
    batch = sets.batch(scale_covar=True)
    off, errors_off = differences(*arrays(batch, sets.free), expected, expected_errors)
    assert off < CLOSE
    assert errors_off > 0.01
