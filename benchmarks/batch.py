"""
Time batches: one model over many data sets, beside astropy's model sets, loops over scipy and lmfit, and the pass that only reads.

    python benchmarks/batch.py            the tables
    python benchmarks/batch.py --quick    smaller cubes, fewer rounds
    python benchmarks/batch.py --check    exit status 1 if a bar fails or an answer is wrong

Both sides work on the same data in one process, in turns: every round times each side once. "ratio" is the best round of the one
against the best of the other, "worst" the smallest ratio within any single round. All times are processor time on one core
(`workers=1`). What would take minutes is timed on a subset of the data sets and extrapolated ("of 2000"): those loops take the
same time for every data set. surffit always gives values, errors, chi-square, counts and flags (with common weights it makes errors and
flags when they are asked for: the row that asks counts that); astropy here gives values only, scipy and lmfit values and errors, from
the same starts as surffit.

Memory is what a process of its own holds at most beyond what it held with the data in place, less the maps it returns; reading
the function and loading packages are done before. Compile times are processor time of one call of `fit_many`, imports of numba
included, in a process of its own.
"""

# ruff: noqa: E402 - the number of threads is set before numpy is imported

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # one core for each side

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

import surffit as sf

PASSES = 4.0  # most passes over the cube that the line with common weights may take
PLAIN = 40.0  # least ratio of astropy's time to ours for it
PER_PIXEL = 500.0  # the same with weights, masks and outliers of each pixel's own
SCIPY, LMFIT = 50.0, 300.0  # the same for peaks, against loops
LINEAR = 2.0  # most by which the time per fit may grow from 10^4 fits on
EXTRA = 200.0  # MB beyond input and maps
FIRST, NEXT = 8.0, 1.0  # seconds of the first call on a new machine, and of a new model later


@dataclass(frozen=True)
class Race:
    """Seconds of every round per side, scaled to all data sets, and the last answers."""

    seconds: Mapping[str, list[float]]
    answers: Mapping[str, Any]

    def best(self, side: str) -> float:
        """Shortest time of a side."""
        return min(self.seconds[side])

    def ratio(self, side: str, to: str = "surffit") -> float:
        """How many times as long as the other."""
        return self.best(side) / self.best(to)

    def worst(self, side: str, to: str = "surffit") -> float:
        """Smallest ratio within a round."""
        return min(a / b for a, b in zip(self.seconds[side], self.seconds[to], strict=True))


def race(sides: Mapping[str, tuple[Callable[[], Any], float]], rounds: int) -> Race:
    """
    Time all sides in turns; the first call of each is not counted.

    `sides`: name -> (call, how many times the work of this call all data sets are).
    """
    answers = {name: call() for name, (call, _) in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (call, share) in sides.items():
            begin = process_time()
            answers[name] = call()
            seconds[name].append((process_time() - begin) * share)
    return Race(seconds, answers)


def row(label: str, got: Race, side: str, count: int, note: str = "") -> str:
    """One line of a table."""
    ns = 1e9 / count
    return (
        f"{label:38}{ns * got.best(side):>12.1f}{ns * got.best('surffit'):>10.1f}{got.ratio(side):>9.1f}{got.worst(side):>9.1f}"
        f"   {got.answers['surffit'].engine}{note}"
    )


# ---- straight lines -----------------------------------------------------------------------------------------------------------

LINE = sf.SurfaceModel.from_expression("bias + rate*t", independent_vars=["t"])
READS = 10.0 * np.arange(10)


def ramps(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A cube (10, size, size) of float32 with a noise of 5 % of the signal, and the rates."""
    rng = np.random.default_rng(size)
    rate = rng.uniform(1.0, 100.0, (size, size))
    signal = 200.0 + rate * READS[:, None, None]
    return rng.normal(signal, 0.05 * signal).astype(np.float32), rate


def some(cube: np.ndarray, count: int) -> np.ndarray:
    """The first pixels as astropy wants them: (pixels, reads), float64."""
    return np.array(cube.reshape(len(cube), -1)[:, :count].T, dtype=float)


def worst_of(ours: Any, theirs: Any, count: int) -> float:
    """Largest difference to astropy's coefficients in standard errors."""
    off = [
        np.abs(np.asarray(ours.values[name]).reshape(-1)[:count] - np.ravel(value)) / np.asarray(ours.stderr[name]).reshape(-1)[:count]
        for name, value in (("bias", theirs.c0.value), ("rate", theirs.c1.value))
    ]
    return float(np.nanmax(off))


def lines(size: int, subset: int, rounds: int) -> list[str]:
    """Straight lines over a cube."""
    from astropy.modeling import fitting, models
    from astropy.stats import sigma_clip

    faults = []
    cube, rate = ramps(size)
    rng = np.random.default_rng(1)
    n = size * size
    lsq = fitting.LinearLSQFitter()

    def lines_of(count: int) -> Any:
        return models.Polynomial1D(1, n_models=count)

    print(f"straight line through 10 reads, {size} x {size} float32; ns per pixel")
    print(f"{'':38}{'peer':>12}{'surffit':>10}{'ratio':>9}{'worst':>9}   engine")

    def ours(**options: Any) -> Any:
        return sf.fit_many(LINE, cube, axis=0, t=READS, workers=1, **options)

    # both without errors from outside: the same weight for all reads
    plain = some(cube, n)

    def ours_and_errors() -> Any:
        batch = ours()
        return [batch.stderr[name] for name in batch.var_names], batch.status

    def theirs() -> Any:
        return lsq(lines_of(n), READS, cube.reshape(len(READS), -1).T)

    sides: dict[str, tuple[Callable[[], Any], float]] = {
        "read": (cube.sum, 1.0),
        "surffit": (ours, 1.0),
        "surffit, errors": (ours_and_errors, 1.0),
        "astropy": (theirs, 1.0),
        "astropy, copy": (lambda: lsq(lines_of(n), READS, plain), 1.0),
    }
    got = race(sides, rounds)
    passes = 1.0 / got.ratio("read")
    worst = max(b / a for a, b in zip(got.seconds["read"], got.seconds["surffit"], strict=True))
    print(row("reading the cube once", got, "read", n, f"   {passes:.1f} passes, worst {worst:.1f} (bar: {PASSES:.0f})"))
    # errors and flags are made when they are asked for: what that takes in all
    all_of_it = got.ratio("surffit, errors")
    errors = f"   {passes * all_of_it:.1f} passes"
    print(row("values, chi-square, errors and flags", got, "surffit, errors", n, errors))
    print(row("astropy, plain", got, "astropy", n, f"   (bar: {PLAIN:.0f})"))
    print(row("astropy, a transposed copy made before", got, "astropy, copy", n))
    gap = worst_of(got.answers["surffit"], got.answers["astropy"], n)
    if not gap < 1e-6:
        faults.append(f"plain line: astropy's answer differs by {gap:.1e} standard errors")
    if passes > PASSES:
        faults.append(f"the plain line takes {passes:.1f} passes; the bar is {PASSES:.0f}")
    if got.ratio("astropy") < PLAIN:
        faults.append(f"the plain line is {got.ratio('astropy'):.0f} times as fast as astropy; the bar is {PLAIN:.0f}")

    weights = (1.0 / (0.05 * (200.0 + rate * READS[:, None, None])) * rng.uniform(0.8, 1.2, cube.shape)).astype(np.float32)
    mask = rng.uniform(size=cube.shape) < 0.05
    hit = rng.integers(0, len(cube), (size, size))
    struck = rng.uniform(size=(size, size)) < 0.05
    dirty = cube + 1e5 * (struck & (hit == np.arange(len(cube))[:, None, None])).astype(np.float32)

    few, fewer = subset, max(subset // 4, 50)
    y, w, m = some(cube, few), some(weights, few), some(mask, few).astype(bool)
    masked = np.ma.array(y, mask=m)
    remover = fitting.FittingWithOutlierRemoval(lsq, sigma_clip, niter=3, sigma=2.5)
    spoiled = np.ma.array(some(dirty, fewer), mask=m[:fewer])
    cases: dict[str, tuple[Callable[[], Any], Callable[[], Any], int]] = {
        "weights of each read": (lambda: ours(weights=weights), lambda: lsq(lines_of(few), READS, y, weights=w), few),
        "5 % masked": (lambda: ours(mask=mask), lambda: lsq(lines_of(few), READS, masked), few),
        "outliers removed": (
            lambda: sf.fit_many(LINE, dirty, axis=0, t=READS, clip="studentized", workers=1),
            lambda: remover(lines_of(fewer), READS, spoiled.data)[0],
            fewer,
        ),
        "weights, masks, outliers": (
            lambda: sf.fit_many(LINE, dirty, axis=0, t=READS, weights=weights, mask=mask, clip="studentized", workers=1),
            lambda: remover(lines_of(fewer), READS, spoiled, weights=w[:fewer])[0],
            fewer,
        ),
    }
    for label, (mine, theirs, count) in cases.items():
        got = race({"surffit": (mine, 1.0), "astropy": (theirs, n / count)}, max(3, rounds // 2))
        # the bar is for masks and outliers; weights alone are the lighter task on both sides
        bar = 0.0 if label == "weights of each read" else PER_PIXEL
        note = f"   (bar: {bar:.0f})" if bar else ""
        if "outliers" in label:
            # the two rules differ, so both are held against the truth: how many struck pixels are saved
            left = struck.reshape(-1)[:count]
            true = rate.reshape(-1)[:count][left]
            shares = [
                float(np.mean(np.abs(np.ravel(slope)[:count][left] / true - 1.0) < 0.3))
                for slope in (got.answers["surffit"].values["rate"], got.answers["astropy"].c1.value)
            ]
            note += f"   pixels saved from an outlier: {100 * shares[0]:.0f} %, astropy's 2.5 sigma {100 * shares[1]:.0f} %"
            if shares[0] < 0.9:
                faults.append(f"{label}: only {100 * shares[0]:.0f} % of the pixels with an outlier are right")
        else:
            gap = worst_of(got.answers["surffit"], got.answers["astropy"], count)
            if not gap < 1e-6:
                faults.append(f"{label}: astropy's answer differs by {gap:.1e} standard errors")
        print(row(f"astropy, {label} (of {count})", got, "astropy", n, note))
        if got.ratio("astropy") < bar:
            faults.append(f"{label}: {got.ratio('astropy'):.0f} times as fast as astropy; the bar is {bar:.0f}")
    print()
    return faults


# ---- peaks ----------------------------------------------------------------------------------------------------------------------

CHANNELS = np.linspace(-5.0, 5.0, 50)


def peak(x: Any, height: Any, center: Any, width: Any, level: Any) -> Any:
    """A Gaussian on a constant."""
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + level


def spectra(count: int, dtype: Any = float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Spectra (50, count) with a signal-to-noise ratio of 5 to 50, and a start for each read off the data."""
    rng = np.random.default_rng(count)
    height, center, width = rng.uniform(5.0, 50.0, count), rng.uniform(-1.5, 1.5, count), rng.uniform(0.7, 1.5, count)
    data = np.empty((len(CHANNELS), count), dtype)
    for k, x in enumerate(CHANNELS):
        data[k] = peak(x, height, center, width, 10.0) + rng.standard_normal(count)
    low = np.median(data, axis=0).astype(float) if count <= 200_000 else np.full(count, 10.0)
    start = {"height": data.max(axis=0) - low, "center": CHANNELS[data.argmax(axis=0)], "width": np.ones(count), "level": low}
    return data, start


def peaks(count: int, rounds: int) -> list[str]:
    """Gaussians beside loops over curve_fit and lmfit."""
    import lmfit
    from scipy.optimize import curve_fit

    faults = []
    data, start = spectra(count)
    model = sf.SurfaceModel(peak, independent_vars=["x"])
    few, fewer = 300, 30
    names = list(start)
    by_lmfit = lmfit.Model(peak)

    def ours() -> Any:
        return sf.fit_many(model, data, axis=0, params=start, x=CHANNELS, workers=1)

    def scipy_loop() -> tuple[np.ndarray, np.ndarray]:
        fits = [curve_fit(peak, CHANNELS, data[:, q], [start[name][q] for name in names]) for q in range(few)]
        return np.array([p for p, _ in fits]), np.array([np.sqrt(np.diag(c)) for _, c in fits])

    def lmfit_loop() -> tuple[np.ndarray, np.ndarray]:
        values, errors = [], []
        for q in range(fewer):
            one = by_lmfit.fit(data[:, q], x=CHANNELS, **{name: float(start[name][q]) for name in names})
            values.append([one.params[name].value for name in names])
            errors.append([one.params[name].stderr or np.nan for name in names])
        return np.array(values), np.array(errors)

    got = race({"surffit": (ours, 1.0), "scipy": (scipy_loop, count / few), "lmfit": (lmfit_loop, count / fewer)}, rounds)
    mine = got.answers["surffit"]
    print(f"Gaussian + constant, {count} spectra of 50 channels; ns per fit, errors on all sides, same starts")
    print(f"{'':38}{'peer':>12}{'surffit':>10}{'ratio':>9}{'worst':>9}   engine")
    for side, number, bar in (("scipy", few, SCIPY), ("lmfit", fewer, LMFIT)):
        values, errors = got.answers[side]
        best = np.array([np.asarray(mine.values[name])[:number] for name in names]).T
        stderr = np.array([np.asarray(mine.stderr[name])[:number] for name in names]).T
        # a width of either sign is the same peak
        gap = float(np.nanmedian(np.max(np.abs(np.abs(best) - np.abs(values)) / stderr, axis=1)))
        error_gap = float(np.nanmedian(np.abs(errors / stderr - 1.0)))
        label = {"scipy": "scipy curve_fit", "lmfit": "lmfit Model.fit"}[side]
        note = f"   (bar: {bar:.0f}) median difference {gap:.0e} stderr, errors {error_gap:.0e}"
        print(row(f"{label} loop (of {number})", got, side, count, note))
        if got.ratio(side) < bar:
            faults.append(f"peaks: {got.ratio(side):.0f} times as fast as {label}; the bar is {bar:.0f}")
        if not (gap < 1e-3 and error_gap < 1e-3):
            faults.append(f"peaks: {label}'s answer differs by {gap:.1e} standard errors, its errors by {error_gap:.1e}")
    share = float(np.mean(np.asarray(mine.success)))
    print(f"{100 * share:.3f} % of the batch converged\n")
    if share < 0.999:
        faults.append(f"peaks: only {100 * share:.2f} % converged")
    return faults


# ---- how the time grows ---------------------------------------------------------------------------------------------------------


def growth(largest: int) -> list[str]:
    """Time per fit from 10^3 fits on."""
    faults = []
    model = sf.SurfaceModel(peak, independent_vars=["x"])
    counts = [10**k for k in range(3, len(str(largest)))]
    print("time per fit [ns], best of several")
    print(f"{'fits':>10}{'line':>10}{'Gaussian':>10}")
    seen: dict[str, list[float]] = {"line": [], "Gaussian": []}
    rng = np.random.default_rng(4)
    for count in counts:
        rounds = max(3, min(30, 300_000 // count))
        ramp = (200.0 + rng.uniform(1.0, 100.0, count) * READS[:, None]).astype(np.float32)
        data, start = spectra(count, np.float32)
        calls = {
            "line": lambda: sf.fit_many(LINE, ramp, axis=0, t=READS, workers=1),  # noqa: B023 - called here
            "Gaussian": lambda: sf.fit_many(model, data, axis=0, params=start, x=CHANNELS, workers=1),  # noqa: B023
        }
        for name, call in calls.items():
            seen[name].append(race({name: (call, 1e9 / count)}, rounds).best(name))
        print(f"{count:>10}{seen['line'][-1]:>10.1f}{seen['Gaussian'][-1]:>10.1f}")
    for name, per_fit in seen.items():
        power = float(np.polyfit(np.log(counts[1:]), np.log(np.array(per_fit[1:]) * counts[1:]), 1)[0]) if len(counts) > 2 else np.nan
        print(f"{name}: from {counts[1]} on the time grows with the power {power:.2f} of the number of fits")
        if max(per_fit[1:]) > LINEAR * per_fit[1]:
            faults.append(f"{name}: the time per fit grows {max(per_fit[1:]) / per_fit[1]:.1f} times from {counts[1]} fits on")
    print()
    return faults


# ---- memory and compile time, each in a process of its own ------------------------------------------------------------------------


def held(what: str) -> float:
    """MB that this process holds now (VmRSS), or has held at most (VmHWM)."""
    with open("/proc/self/status") as status:
        return next(int(text.split()[1]) for text in status if text.startswith(what)) / 1024.0


def memory_calls(size: int) -> dict[str, Callable[[int], Callable[[], Any]]]:
    """Name -> a function that lays out the data for `size` and returns the call."""
    model = sf.SurfaceModel(peak, independent_vars=["x"])

    def plain(n: int) -> Callable[[], Any]:
        cube = ramps(n)[0]
        return lambda: sf.fit_many(LINE, cube, axis=0, t=READS)

    def big_endian(n: int) -> Callable[[], Any]:
        cube = ramps(n)[0].astype(">f4")
        return lambda: sf.fit_many(LINE, cube, axis=0, t=READS)

    def everything(n: int) -> Callable[[], Any]:
        cube = ramps(n)[0]
        rng = np.random.default_rng(2)
        weights, mask = rng.uniform(0.5, 1.0, cube.shape).astype(np.float32), rng.uniform(size=cube.shape) < 0.05
        return lambda: sf.fit_many(LINE, cube, axis=0, t=READS, weights=weights, mask=mask, clip="studentized")

    def peaks_along_0(n: int) -> Callable[[], Any]:
        data, start = spectra(n * n // 4, np.float32)
        return lambda: sf.fit_many(model, data, axis=0, params=start, x=CHANNELS)

    return {"line": plain, "line, big-endian": big_endian, "line, weights, masks, clip": everything, "Gaussian": peaks_along_0}


def memory_child(which: str, size: int) -> None:
    """Print the MB that a batch takes beyond data and maps, and the MB of these two."""
    lay_out = memory_calls(size)[which]
    lay_out(64)()  # reading the function and loading packages is no matter of the data
    call = lay_out(size)
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")  # the most that is held counts from here
    before = held("VmRSS")
    batch = call()
    top = held("VmHWM")
    arrays = [batch.values, batch.stderr, {"": batch.chisqr, "n": batch.nobs, "e": batch.nfev, "s": batch.status}]
    maps = sum(np.asarray(array).nbytes for group in arrays for array in group.values()) / 2**20
    print(top - before - maps, maps)


def memory(size: int) -> list[str]:
    """Peak memory (Linux only)."""
    faults = []
    print(f"memory beyond the data and the maps [MB] (bar: {EXTRA:.0f}), {size} x {size} x 10, or {size * size // 4} x 50")
    for which in memory_calls(size):
        done = subprocess.run([sys.executable, __file__, "--memory", which, str(size)], capture_output=True, text=True, check=True)  # noqa: S603 - this very file
        extra, maps = map(float, done.stdout.split()[-2:])
        print(f"{which:38}{extra:>10.1f}   (maps {maps:.0f})")
        if extra > EXTRA:
            faults.append(f"{which}: {extra:.0f} MB beyond data and maps; the bar is {EXTRA:.0f}")
    print()
    return faults


def compile_child(formula: str) -> None:
    """Print the processor seconds of the first call of a model."""
    x = np.linspace(0.0, 5.0, 50)
    data = np.random.default_rng(1).normal(3.0 * np.exp(-0.7 * x)[:, None] + 1.0, 0.1, (50, 200))
    model = sf.SurfaceModel.from_expression(formula, independent_vars=["x"])
    start = {name: {"k": 1.0, "c": 0.5, "q": 1.5}[name] for name in model.param_names if name in "kcq"}
    begin = process_time()
    batch = sf.fit_many(model, data, axis=0, params=start or None, x=x, workers=1)
    print(batch.engine, process_time() - begin)


def compiling() -> list[str]:
    """First calls, with an empty cache and with a filled one."""
    faults = []
    print("first call of a process [s of one core]")
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"NUMBA_CACHE_DIR": str(Path(folder) / "numba")}

        def first(label: str, formula: str, bar: float) -> None:
            done = subprocess.run([sys.executable, __file__, "--compile", formula], env=env, capture_output=True, text=True, check=True)  # noqa: S603
            engine, seconds = done.stdout.split()[-2:]
            print(f"{label:38}{float(seconds):>10.2f}   {engine} (bar: {bar:.0f})")
            if float(seconds) > bar:
                faults.append(f"{label}: {float(seconds):.1f} s; the bar is {bar:.0f}")

        first("a line on a new machine", "a + b*x", FIRST)
        first("a cubic, the line compiled before", "a + b*x + d*x**2 + e*x**3", FIRST)
        first("a decay on a new machine", "a*exp(-k*x) + b", FIRST)
        first("the same again", "a*exp(-k*x) + b", NEXT)
        first("a new model, the walk compiled before", "a*exp(-0.5*((x - c)/k)**2) + b", NEXT)
        first("another", "a*exp(-k*x) + b*cos(q*x)", NEXT)
    print()
    return faults


def main() -> int:
    """Print the tables; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller cubes, fewer rounds")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a bar fails or an answer is wrong")
    parser.add_argument("--only", choices=("lines", "peaks", "growth", "memory", "compiling"), help="one table")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--compile", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        memory_child(options.memory[0], int(options.memory[1]))
        return 0
    if options.compile:
        compile_child(options.compile)
        return 0
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"lmfit|uncertainties|astropy|scipy")
    warnings.filterwarnings("ignore", message="Covariance of the parameters could not be estimated")
    quick = options.quick
    tables: dict[str, Callable[[], list[str]]] = {
        "lines": lambda: lines(256 if quick else 1024, 400 if quick else 4000, 3 if quick else 7),
        "peaks": lambda: peaks(10_000 if quick else 100_000, 3 if quick else 8),
        "growth": lambda: growth(10**5 if quick else 10**6),
        "memory": lambda: memory(512 if quick else 2048),
        "compiling": compiling,
    }
    faults = [fault for name, table in tables.items() if options.only in (None, name) for fault in table()]
    print("all bars hold and all answers agree" if not faults else "\n".join(f"FAILED: {fault}" for fault in faults))
    return 1 if faults and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
