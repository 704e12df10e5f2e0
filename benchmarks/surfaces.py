"""
Time fits on grids: surfaces of many columns beside numpy.linalg.lstsq on the same design, peaks beside lmfit.

    python benchmarks/surfaces.py            the tables
    python benchmarks/surfaces.py --quick    a quarter of the size along each axis, fewer repetitions
    python benchmarks/surfaces.py --check    exit status 1 if a bar fails or an answer is wrong

A "pass" is one reading of the data, `z.sum()`, timed in the same run. lstsq gets its design matrix ready made, so that only its
own work is timed; its memory is that matrix and what it adds. Memory is what a process of its own holds at most beyond what it
held with the data and the coordinates in place. lmfit runs its default (leastsq) from its own guess, surffit from the same values.
Answers agree if no value differs by more than a thousandth of its standard error (lstsq: a millionth). Times are medians of
processor time, one core for each side.
"""

# ruff: noqa: E402 - the number of threads is set before numpy is imported

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # one core for each side

import argparse
import inspect
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time
from typing import Any

import lmfit
import numpy as np
from lmfit.models import Gaussian2dModel

import surffit as sf
from surffit.bases import BSpline

DEGREE = 8
PASSES = 20.0  # most passes over the data that a fit of the polynomial surface may take
FASTER = 20.0  # least ratio of lstsq's time to ours
LEANER = 100.0  # the same of memory
LARGE = 2048  # size from which the bars of the polynomial surface count: smaller images stay in cache
PEAK = 10.0  # least ratio of lmfit's time to ours for the upright peak on a plane


@dataclass(frozen=True)
class Timing:
    """Median seconds, and the last answer."""

    seconds: float
    answer: Any


def timed(call: Callable[[], Any], repeats: int) -> Timing:
    """The first call is not counted: surffit reads the function there."""
    seconds, answer = [], call()
    for _ in range(repeats):
        begin = process_time()
        answer = call()
        seconds.append(process_time() - begin)
    return Timing(median(seconds), answer)


def hill(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Data with noise and full meshgrids x, y."""
    y, x = np.mgrid[:size, :size] * 1.0
    clean = np.sin(2.0 * x / size) + np.cos(3.0 * y / size) * x / size
    return clean + 0.1 * np.random.default_rng(size).standard_normal((size, size)), x, y


def values_of(result: Any) -> np.ndarray:
    """Fitted values in the order of the columns."""
    return np.array([par.value for par in result.params.values()])


def stderr_of(result: Any) -> np.ndarray:
    """Their standard errors."""
    return np.array([par.stderr for par in result.params.values()])


# ---- memory, each in a process of its own -----------------------------------------------------------------------------------


def held(what: str) -> float:
    """MB that this process holds now (VmRSS), or has held at most (VmHWM)."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024.0


def memory_child(which: str, size: int) -> None:
    """Print the MB that a fit adds to the data."""
    z, x, y = hill(size)
    # what reading functions and loading packages takes is no matter of the data
    small, sx, sy = hill(100)
    model = sf.surfaces.PolynomialSurface(DEGREE)
    basis = model.fit(small, x=sx, y=sy).model.basis
    np.linalg.lstsq(basis.columns(sx, sy), small.ravel())
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")  # the most that is held counts from here
    before = held("VmRSS")
    if which == "surffit":
        assert model.fit(z, x=x, y=y).success
    else:
        np.linalg.lstsq(basis.columns(x * (99.0 / (size - 1)), y * (99.0 / (size - 1))), z.ravel())
    print(held("VmHWM") - before)


def memory(which: str, size: int) -> float:
    """The same from outside (Linux only)."""
    command = [sys.executable, __file__, "--memory", which, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - this very file
    return float(done.stdout)


# ---- the tables ---------------------------------------------------------------------------------------------------------------


def polynomial(size: int, repeats: int) -> list[str]:
    """A polynomial surface of degree 8 on a large image."""
    faults = []
    z, x, y = hill(size)
    model = sf.surfaces.PolynomialSurface(DEGREE)
    rng = np.random.default_rng(1)
    weights, mask = rng.uniform(0.5, 2.0, z.shape), rng.uniform(size=z.shape) < 0.1
    holes = z.copy()
    holes[rng.uniform(size=z.shape) < 0.01] = np.nan
    disc = (x - size / 2) ** 2 + (y - size / 2) ** 2 > (size / 2) ** 2
    one = timed(z.sum, 5 * repeats).seconds
    print(f"PolynomialSurface({DEGREE}), 45 coefficients, on {size} x {size}; one pass takes {1e3 * one:.2f} ms")
    print(f"{'':34}{'ms':>9}{'passes':>9}   solved by")
    first: Any = None
    cases: dict[str, Callable[[], Any]] = {
        "x, y as images": lambda: model.fit(z, x=x, y=y),
        "x, y as images of integers": lambda: model.fit(z, x=x.astype(int), y=y.astype(int)),
        "x, y as an open grid": lambda: model.fit(z, x=x[:1], y=y[:, :1]),
        "weights": lambda: model.fit(z, x=x, y=y, weights=weights),
        "a tenth masked": lambda: model.fit(z, x=x, y=y, mask=mask),
        "a hundredth NaN, omitted": lambda: model.fit(holes, x=x, y=y, nan_policy="omit"),
        "all but a disc masked": lambda: model.fit(z, x=x, y=y, mask=disc),
    }
    for name, call in cases.items():
        got = timed(call, repeats)
        first = first or got
        line = f"{name:34}{1e3 * got.seconds:>9.1f}{got.seconds / one:>9.1f}   {got.answer.conditioning.engine}"
        if got is first and size >= LARGE:
            line += f"   (bar: {PASSES:.0f} passes)"
            if got.seconds > PASSES * one:
                faults.append(f"the polynomial surface takes {got.seconds / one:.1f} passes; the bar is {PASSES:.0f}")
        print(line)
        if not got.answer.success:
            faults.append(f"{name}: {got.answer.reason}")
    design = first.answer.model.basis.columns(x, y)
    begin = process_time()
    values, squares, *_ = np.linalg.lstsq(design, z.ravel())
    seconds = process_time() - begin
    gap = float(np.max(np.abs(values - values_of(first.answer)) / stderr_of(first.answer)))
    excess = float(abs(first.answer.chisqr / squares[0] - 1.0))
    del design
    print(
        f"{'numpy.linalg.lstsq':34}{1e3 * seconds:>9.0f}{seconds / one:>9.0f}   {seconds / first.seconds:.0f} times as long "
        f"(bar: {FASTER:.0f}); values within {gap:.1e} stderr, chi-square within {excess:.1e}"
    )
    if not gap < 1e-6 or not excess < 1e-9:
        faults.append(f"lstsq's answer differs by {gap:.1e} standard errors, its chi-square by {excess:.1e}")
    if size >= LARGE and seconds < FASTER * first.seconds:
        faults.append(f"lstsq takes only {seconds / first.seconds:.1f} times as long; the bar is {FASTER:.0f}")
    ours, theirs = memory("surffit", size), memory("lstsq", size)
    print(f"memory beyond the data: surffit {ours:.1f} MB, lstsq {theirs:.0f} MB (bar: a {LEANER:.0f}th)\n")
    if size >= LARGE and ours * LEANER > theirs:
        faults.append(f"surffit takes {ours:.1f} MB, more than a {LEANER:.0f}th of lstsq's {theirs:.0f} MB")
    return faults


class Splines:
    """A spline surface as a plain model function."""

    __name__ = "splines"

    def __init__(self, intervals: int, size: int) -> None:
        self.basis = BSpline(intervals, domain=((0, size - 1), (0, size - 1)))
        self.names = self.basis.names()
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in ("x", "y", *self.names)])

    def __call__(self, x: Any, y: Any, **coefficients: Any) -> Any:
        return self.basis.evaluate([coefficients[name] for name in self.names], (x, y))


def splines(sizes: Sequence[int], repeats: int) -> list[str]:
    """Cubic spline surfaces with 20 x 20 coefficients, beside lstsq where its table fits."""
    faults = []
    print("cubic splines, 20 x 20 coefficients")
    print(f"{'size':>10}{'first ms':>10}{'ms':>9}{'passes':>9}{'lstsq ms':>10}{'ratio':>7}{'difference/stderr':>19}   solved by")
    for size in sizes:
        z, x, y = hill(size)
        one = timed(z.sum, 5 * repeats).seconds
        function = Splines(17, size)
        model = sf.SurfaceModel(function, ["x", "y"])
        begin = process_time()
        model.fit(z, x=x, y=y)
        first = process_time() - begin
        got = timed(lambda: model.fit(z, x=x, y=y), repeats)  # noqa: B023 - called here
        line = f"{size:>10}{1e3 * first:>10.0f}{1e3 * got.seconds:>9.1f}{got.seconds / one:>9.0f}"
        if size <= 256:
            design = function.basis.columns(x, y)
            begin = process_time()
            values = np.linalg.lstsq(design, z.ravel())[0]
            seconds = process_time() - begin
            gap = float(np.max(np.abs(values - values_of(got.answer)) / stderr_of(got.answer)))
            line += f"{1e3 * seconds:>10.0f}{seconds / got.seconds:>7.0f}{gap:>19.1e}"
            if not gap < 1e-6:
                faults.append(f"splines on {size}^2: lstsq's answer differs by {gap:.1e} standard errors")
        else:
            line += " " * 36
        print(f"{line}   {got.answer.conditioning.engine}")
    print()
    return faults


def plane(x, y, level, slope_x, slope_y):
    return level + slope_x * x + slope_y * y


def rotated(x, y, height, x0, y0, sx, sy, theta):
    u = (x - x0) * np.cos(theta) + (y - y0) * np.sin(theta)
    v = (y - y0) * np.cos(theta) - (x - x0) * np.sin(theta)
    return height * np.exp(-(u**2) / (2 * sx**2) - v**2 / (2 * sy**2))


def peaks(size: int, repeats: int) -> list[str]:
    """A Gaussian on a plane, as lmfit's users compose it, from lmfit's guess."""
    faults = []
    y, x = np.mgrid[:size, :size] * 1.0
    rng = np.random.default_rng(size)
    ground = plane(x, y, 2.0, 0.8 / size, -0.5 / size) + rng.normal(0.0, 0.5, x.shape)
    shape = {"x0": 0.53 * size, "y0": 0.47 * size, "sx": 0.12 * size, "sy": 0.08 * size}
    tilted = lmfit.Model(rotated, independent_vars=["x", "y"])
    print(f"a Gaussian on a plane, {size} x {size}, from lmfit's guess; x, y as images (lmfit gets them raveled)")
    print(f"{'':34}{'surffit ms':>11}{'lmfit ms':>10}{'ratio':>7}{'difference/stderr':>19}   solved by")
    for name, peak, theta, bar in (("upright (Gaussian2dModel)", Gaussian2dModel(), 0.0, PEAK), ("rotated", tilted, 0.4, None)):
        z = ground + rotated(x, y, 9.0, **shape, theta=theta)
        composite = peak + lmfit.Model(plane, independent_vars=["x", "y"])
        guess = Gaussian2dModel().guess((z - np.median(z)).ravel(), x=x.ravel(), y=y.ravel())
        params = composite.make_params(level=float(np.median(z)), slope_x=0.0, slope_y=0.0)
        of_lmfit = {"x0": "centerx", "y0": "centery", "sx": "sigmax", "sy": "sigmay", "height": "height"}
        for key in params:
            source = key if key in guess else of_lmfit.get(key)
            if source is not None and not params[key].expr:
                params[key].value = guess[source].value
        if theta:
            # equal widths have no angle
            params["theta"].value, params["sx"].value, params["sy"].value = 0.1, 1.2 * params["sx"].value, 0.8 * params["sy"].value
        model = sf.SurfaceModel.from_lmfit(composite)
        flat = {"x": x.ravel(), "y": y.ravel()}
        ours = timed(lambda: model.fit(z, params, x=x, y=y), 3 * repeats)  # noqa: B023 - called here
        theirs = timed(lambda: composite.fit(z.ravel(), params, **flat), repeats)  # noqa: B023
        one, two, ratio = ours.answer, theirs.answer, theirs.seconds / ours.seconds
        gap = max(abs(one.params[n].value - two.params[n].value) / one.params[n].stderr for n in one.var_names)
        line = f"{name:34}{1e3 * ours.seconds:>11.2f}{1e3 * theirs.seconds:>10.1f}{ratio:>7.1f}{gap:>19.1e}"
        print(f"{line}   {one.conditioning.engine}" + (f"   (bar: {bar:.0f})" if bar else ""))
        if bar and ratio < bar:
            faults.append(f"{name}: lmfit takes only {ratio:.1f} times as long; the bar is {bar:.0f}")
        if one.chisqr > two.chisqr * (1.0 + 1e-9):
            faults.append(f"{name}: lmfit found a lower chi-square")
        elif not gap < 1e-3 and two.chisqr <= one.chisqr * (1.0 + 1e-9):
            faults.append(f"{name}: the answers differ by {gap:.1e} standard errors")
    print()
    return faults


def main() -> int:
    """Print the tables; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller images, fewer repetitions")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a bar fails or an answer is wrong")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        memory_child(options.memory[0], int(options.memory[1]))
        return 0
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"lmfit|uncertainties")
    repeats = 5 if options.quick else 9
    faults = polynomial(512 if options.quick else 2048, repeats)
    faults += splines((128,) if options.quick else (128, 512, 1024), repeats)
    faults += peaks(256, repeats)
    print("all bars hold and all answers agree" if not faults else "\n".join(f"FAILED: {fault}" for fault in faults))
    return 1 if faults and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
