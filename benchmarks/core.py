"""
Time a single fit: surffit beside lmfit and scipy's curve_fit, on the same data, in one process, in turns.

    python benchmarks/core.py            the table
    python benchmarks/core.py --quick    fewer repetitions
    python benchmarks/core.py --check    exit status 1 if a bar fails or an answer is wrong

Each side starts from the same values and ends with every value and standard error read from its result. Models are made
beforehand; what the first fit costs on top (surffit reads the function and writes code for it) stands in its own column.
lmfit runs its default (leastsq), with the arrays raveled, as its users do. Ratios are of medians; the slowest run of
each side stands in brackets. The ratio to lmfit is what is claimed, and only where a bar is given.
"""

# ruff: noqa: E402 - the number of threads is set before numpy is imported

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # one core for each side

import argparse
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import lmfit
import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

import surffit as sf

AGREE = 1e-3  # answers agree if no value differs by more than this part of its standard error
CERTIFIED = Path(__file__).resolve().parents[1] / "tests" / "data" / "surface" / "certified.json"


@dataclass(frozen=True)
class Answer:
    """Values and standard errors by name; nan where a solver gives none."""

    values: dict[str, float]
    stderr: dict[str, float]


@dataclass(frozen=True, eq=False)
class Problem:
    """
    One fit that every side does.

    `func` takes the coordinates first. `coords` are what surffit gets (open grids, or arrays of the data's shape);
    the peers get them broadcast to the data's shape and raveled. `bar`: least ratio lmfit / surffit, or None.
    """

    name: str
    func: Callable[..., np.ndarray]
    coords: dict[str, np.ndarray]
    data: np.ndarray
    start: dict[str, float]
    bar: float | None
    repeats: int

    def flat(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Coordinates and data raveled."""
        coords = {name: np.broadcast_to(values, self.data.shape).ravel() for name, values in self.coords.items()}
        return coords, self.data.ravel()

    def chisqr(self, answer: Answer) -> float:
        """Sum of squared residuals at an answer."""
        with np.errstate(all="ignore"):
            return float(((self.data - self.func(**self.coords, **answer.values)) ** 2).sum())


Side = Callable[[], Answer]


def read(result: Any) -> Answer:
    """Touch what a user reads."""
    params = result.params
    values = {name: par.value for name, par in params.items()}
    return Answer(values, {name: np.nan if par.stderr is None else par.stderr for name, par in params.items()})


def surffit_side(problem: Problem) -> Side:
    model = sf.SurfaceModel(problem.func, independent_vars=list(problem.coords))
    params = model.make_params(**problem.start)
    return lambda: read(model.fit(problem.data, params, **problem.coords))


def lmfit_side(problem: Problem) -> Side:
    model = lmfit.Model(problem.func, independent_vars=list(problem.coords))
    params = model.make_params(**problem.start)
    coords, data = problem.flat()
    return lambda: read(model.fit(data, params, **coords))


def scipy_side(problem: Problem) -> Side:
    coords, data = problem.flat()
    names = [name for name in inspect.signature(problem.func).parameters if name in problem.start]
    x, start = tuple(coords.values()), [problem.start[name] for name in names]

    def run() -> Answer:
        values, covar = curve_fit(lambda x, *p: problem.func(*x, *p), x, data, p0=start)
        errors = np.sqrt(np.diag(covar))
        return Answer(dict(zip(names, values, strict=True)), dict(zip(names, errors, strict=True)))

    return run


SIDES: dict[str, Callable[[Problem], Side]] = {"surffit": surffit_side, "lmfit": lmfit_side, "curve_fit": scipy_side}


@dataclass(frozen=True, eq=False)
class Timing:
    """Seconds of every run, of the first fit of a new model, and the last answer."""

    seconds: list[float]
    first: float
    answer: Answer

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def worst(self) -> float:
        return max(self.seconds)


def measure(problem: Problem) -> dict[str, Timing]:
    """Run all sides in turns, so that a slow moment of the machine meets them all."""
    runs: dict[str, Side] = {}
    first: dict[str, float] = {}
    answers: dict[str, Answer] = {}
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for name, make in SIDES.items():
        begin = perf_counter()
        runs[name] = make(problem)
        runs[name]()
        first[name] = perf_counter() - begin
    for _ in range(problem.repeats):
        for name, run in runs.items():
            begin = perf_counter()
            answers[name] = run()
            seconds[name].append(perf_counter() - begin)
    return {name: Timing(seconds[name], first[name], answers[name]) for name in SIDES}


def distance(ours: Answer, peer: Answer) -> float:
    """Largest difference of a value, in our standard errors."""
    return float(np.max([abs(peer.values[name] - value) / ours.stderr[name] for name, value in ours.values.items()]))


def error_ratio(ours: Answer, peer: Answer) -> float:
    """Largest relative difference of a standard error."""
    return float(np.max([abs(peer.stderr[name] / error - 1) for name, error in ours.stderr.items()]))


def compare(problem: Problem, timings: Mapping[str, Timing]) -> list[str]:
    """What is wrong with our answer, empty if nothing; prints how far the peers are from it."""
    faults = []
    ours = timings["surffit"].answer
    for name in ("lmfit", "curve_fit"):
        peer = timings[name].answer
        gap, least = distance(ours, peer), problem.chisqr(ours)
        excess = problem.chisqr(peer) / least - 1
        note = f"    {name}: values within {gap:.1e} stderr of surffit's, stderr within {error_ratio(ours, peer):.1e}"
        # the sum of squares tells who is off: it can be compared to about 1e-12 of itself
        if excess < -1e-11:
            faults.append(f"{problem.name}: {name} found a lower chi-square, by {-excess:.1e}")
        if not gap <= AGREE:
            note += f"; {name} is off: its chi-square is higher by {excess:.1e} of surffit's"
        print(note)
    if not all(np.isfinite(list(ours.stderr.values()))):
        faults.append(f"{problem.name}: surffit gives no standard error for some parameter")
    return faults


def row(problem: Problem, timings: Mapping[str, Timing]) -> tuple[str, bool]:
    """One line of the table, and whether the bar holds."""
    ours = timings["surffit"]
    cells = "".join(f"{t.median * 1e3:9.2f} ({t.worst * 1e3:8.2f})" for t in timings.values())
    ratio, other = (timings[name].median / ours.median for name in ("lmfit", "curve_fit"))
    held = problem.bar is None or ratio >= problem.bar
    bar = "" if problem.bar is None else f">= {problem.bar:g}  {'ok' if held else 'FAILS'}"
    return f"{problem.name:42s}{cells}{ours.first * 1e3:9.1f}{ratio:9.1f}{other:9.1f}   {bar}", held


HEADER = f"{'[ms: median (slowest)]':42s}{'surffit':>20s}{'lmfit':>20s}{'curve_fit':>20s}{'first':>9s}{'lmfit/':>9s}{'c_fit/':>9s}   target"


def gaussian(x, height, centre, width):
    return height * np.exp(-((x - centre) ** 2) / (2 * width**2))


def decay(t, height, rate, level):
    return height * np.exp(-rate * t) + level


def peak_on_plane(x, y, height, x0, y0, sx, sy, level, slope_x, slope_y):
    return height * np.exp(-((x - x0) ** 2) / (2 * sx**2) - (y - y0) ** 2 / (2 * sy**2)) + level + slope_x * x + slope_y * y


def rotated_on_plane(x, y, height, x0, y0, sx, sy, theta, level, slope_x, slope_y):
    u = (x - x0) * np.cos(theta) + (y - y0) * np.sin(theta)
    v = (y - y0) * np.cos(theta) - (x - x0) * np.sin(theta)
    return height * np.exp(-(u**2) / (2 * sx**2) - v**2 / (2 * sy**2)) + level + slope_x * x + slope_y * y


def index_surface(x, y, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4):
    return (
        a1 + a2 * y + a3 * y**2 + a4 * y**3
        + (b1 + b2 * y + b3 * y**2 + b4 * y**3) / x**2
        + (c1 + c2 * y + c3 * y**2 + c4 * y**3) / x**4
        + (d1 + d2 * y + d3 * y**2 + d4 * y**3) / x**6
    )  # fmt: skip


# Published coefficients for water; those of the last term are printed 1e12 too small, which is where solvers get stuck.
PUBLISHED = {
    "a1": 1.3208, "a2": -1.2325e-5, "a3": -1.8674e-6, "a4": 5.0233e-9,
    "b1": 5208.2413, "b2": -0.5179, "b3": -2.284e-2, "b4": 6.9608e-5,
    "c1": -2.5551e8, "c2": -18341.336, "c3": -917.2319, "c4": 2.7729,
    "d1": 9.3495, "d2": 1.7855e-3, "d3": 3.6733e-5, "d4": -1.2932e-7,
}  # fmt: skip


def small_problems(repeats: int) -> list[Problem]:
    """Three parameters, fifty points."""
    rng = np.random.default_rng(20)
    x = np.linspace(0, 10, 50)
    peak = gaussian(x, 5.0, 4.2, 1.1) + rng.normal(0, 0.2, 50)
    falling = decay(x, 3.0, 0.6, 1.0) + rng.normal(0, 0.05, 50)
    return [
        Problem("Gaussian, 3 parameters, 50 points", gaussian, {"x": x}, peak, {"height": 4.0, "centre": 4.8, "width": 1.5}, 3.0, repeats),
        Problem("decay, 3 parameters, 50 points", decay, {"t": x}, falling, {"height": 2.0, "rate": 1.0, "level": 0.5}, 3.0, repeats),
    ]


def image_problems(size: int, repeats: int, bar: float | None) -> list[Problem]:
    """A Gaussian on a plane: upright on an open grid and on arrays of the image's shape, and rotated (no structure to use)."""
    rng = np.random.default_rng(size)
    x, y = np.arange(size) * 1.0, np.arange(size)[:, None] * 1.0
    mid = 0.5 * size
    truth = {"height": 9.0, "x0": 1.06 * mid, "y0": 0.95 * mid, "sx": 0.12 * size, "sy": 0.08 * size}
    plane = {"level": 2.0, "slope_x": 0.8 / size, "slope_y": -0.5 / size}
    start = {"height": 7.0, "x0": mid, "y0": mid, "sx": 0.1 * size, "sy": 0.1 * size, "level": 1.0, "slope_x": 0.0, "slope_y": 0.0}
    noise = rng.normal(0, 0.5, (size, size))
    upright = peak_on_plane(x, y, **truth, **plane) + noise
    rotated = rotated_on_plane(x, y, **truth, theta=0.4, **plane) + noise
    open_grid = {"x": x, "y": y}
    arrays = {name: np.broadcast_to(values, noise.shape).copy() for name, values in open_grid.items()}
    return [
        Problem(f"Gaussian + plane, {size}^2, open grid", peak_on_plane, open_grid, upright, start, bar, repeats),
        Problem(f"Gaussian + plane, {size}^2, x and y as images", peak_on_plane, arrays, upright, start, bar, repeats),
        Problem(
            f"rotated Gaussian + plane, {size}^2",
            rotated_on_plane,
            arrays,
            rotated,
            {**start, "theta": 0.2, "sy": 0.07 * size},
            None,
            repeats,
        ),
    ]


def surface_problem(repeats: int) -> Problem:
    """The refractive-index surface, 16 parameters, from its published start."""
    wavelength, temperature, index = np.loadtxt(sf.data.path("refractive_index.csv"), delimiter=",", skiprows=1).T
    coords = {"x": wavelength, "y": temperature}
    return Problem("refractive-index surface, 16 parameters", index_surface, coords, index, PUBLISHED, None, repeats)


def digits(found: Mapping[str, float], certified: Mapping[str, str]) -> float:
    """Number of right digits of the worst one; 0 where there is none, or no number at all."""
    errors = [abs(found[name] - float(text)) / abs(float(text)) for name, text in certified.items()]
    worst = max(error if np.isfinite(error) else np.inf for error in errors)
    return float(np.clip(-np.log10(worst), 0.0, 16.0)) if worst > 0 else 16.0


def certify(timings: Mapping[str, Timing]) -> list[str]:
    """Print the right digits of all sides on the certified surface; faults if ours are fewer than ten."""
    certified = json.loads(CERTIFIED.read_text(encoding="utf-8"))
    faults = []
    for name, timing in timings.items():
        value, error = digits(timing.answer.values, certified["params"]), digits(timing.answer.stderr, certified["stderr"])
        print(f"    {name}: right digits of the worst value {value:.1f}, of the worst standard error {error:.1f}")
        if name == "surffit" and min(value, error) < 10:
            faults.append(f"refractive-index surface: {value:.1f} digits of values, {error:.1f} of standard errors, 10 asked for")
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. Returns the exit status."""
    parser = argparse.ArgumentParser(description="surffit beside lmfit and curve_fit: single fits")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a bar fails or an answer is wrong")
    options = parser.parse_args(arguments)
    many, some, few = (40, 5, 3) if options.quick else (300, 15, 7)
    # the peers say that they could not estimate the covariance of the surface: the digits below show it
    warnings.simplefilter("ignore", OptimizeWarning)
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"lmfit|uncertainties|scipy|__main__")
    print(HEADER)
    faults: list[str] = []
    surface = surface_problem(many)
    for problem in [*small_problems(many), surface, *image_problems(100, some, None), *image_problems(256, few, 10.0)]:
        timings = measure(problem)
        line, held = row(problem, timings)
        print(line)
        faults += certify(timings) if problem is surface else compare(problem, timings)
        if not held:
            faults.append(f"{problem.name}: the bar does not hold")
    print("\nall bars hold and all answers agree" if not faults else "\n" + "\n".join(faults))
    return 1 if faults and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
