"""
Time joint fits: many data sets with common parameters, block by block, beside lmfit and beside whole columns.

    python benchmarks/joint.py            the tables
    python benchmarks/joint.py --quick    fewer repetitions and sizes
    python benchmarks/joint.py --check    exit status 1 if a bar fails or an answer is wrong

Every data set has 60 points and three linear parameters of its own (amplitudes); four non-linear parameters
are common to all. lmfit does what its users do: one residual function over all data sets, leastsq, from the same starts
(those of the linear parameters, which surffit does not need, are good ones). "Whole columns" is surffit's solver on the same
problem with every column as long as all data together, as one big model would have it. Answers agree if no value differs by
more than a thousandth of its standard error. Ratios are of medians of processor time, one core for each side.
"""

# ruff: noqa: E402 - the number of threads is set before numpy is imported

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # one core for each side

import argparse
import sys
from statistics import median
from time import process_time
from typing import Any

import lmfit
import numpy as np

import surffit as sf
from surffit.solve import blocks

AGREE = 1e-3  # of a standard error
POINTS = 60
SHARED = {"tau": 1.0, "slow": 6.0, "q": 1.5, "phi": 0.3}
STARTS = {"tau": 1.3, "slow": 5.0, "q": 1.48, "phi": 0.4}
OWN = ("a", "b", "c")
# at most this many times as long for four times as many data sets (50 to 200): growth a little beyond linear is the
# covariance matrix itself, which has as many entries as the parameters squared
LINEAR = 6.0
# least ratio of lmfit's time to ours for 100 data sets; lmfit's time grows with the cube of their number, ours with the number
BAR = 15.0


def record(t: np.ndarray, a: float, b: float, c: float, tau: float, slow: float, q: float, phi: float) -> np.ndarray:
    """Two decays and a ripple."""
    return a * np.exp(-t / tau) + b * np.exp(-t / slow) + c * np.cos(q * t + phi)


class Case:
    """Data sets, and both sides' way to fit them."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(count)
        self.keys = [f"s{i}" for i in range(count)]
        self.times = {key: np.sort(rng.uniform(0.0, 10.0, POINTS)) for key in self.keys}
        self.own = {key: rng.uniform(1.0, 5.0, 3) for key in self.keys}
        self.data = {key: record(self.times[key], *self.own[key], **SHARED) + 0.01 * rng.standard_normal(POINTS) for key in self.keys}
        self.joint = sf.JointModel(dict.fromkeys(self.keys, sf.SurfaceModel(record)), shared=list(SHARED))
        self.params = self.joint.make_params(**STARTS)

    def ours(self) -> Any:
        """Our fit."""
        return self.joint.fit(self.data, self.params, t=self.times, sigma=0.01)

    def whole(self) -> Any:
        """The same with whole columns."""
        before, blocks.DENSE = blocks.DENSE, 10**18
        try:
            return self.ours()
        finally:
            blocks.DENSE = before

    def theirs(self) -> Any:
        """lmfit by hand; the linear parameters start within 20 % of the truth."""
        params = lmfit.Parameters()
        for name, value in STARTS.items():
            params.add(name, value=value)
        for key in self.keys:
            for name, value in zip(OWN, self.own[key], strict=True):
                params.add(f"{key}_{name}", value=1.2 * value)

        def residual(p: lmfit.Parameters) -> np.ndarray:
            v = p.valuesdict()
            common = [v[name] for name in SHARED]
            return np.concatenate(
                [(self.data[key] - record(self.times[key], *(v[f"{key}_{n}"] for n in OWN), *common)) / 0.01 for key in self.keys]
            )

        return lmfit.minimize(residual, params)


def timed(call: Any, repeats: int) -> tuple[float, Any]:
    """Median seconds, and the last answer."""
    seconds, answer = [], None
    for _ in range(repeats):
        start = process_time()
        answer = call()
        seconds.append(process_time() - start)
    return median(seconds), answer


def difference(one: Any, two: Any) -> float:
    """Largest difference of a value in standard errors, or of a standard error relative, whichever is larger."""
    values = max(abs(one.params[n].value - two.params[n].value) / one.params[n].stderr for n in one.var_names)
    errors = max(abs(two.params[n].stderr / one.params[n].stderr - 1.0) for n in one.var_names) if two.errorbars else np.inf
    return float(max(values, 1e-3 * errors))  # lmfit's errors come from differences


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    repeats = 3 if options.quick else 7
    faults = []

    print("beside lmfit (one residual function over all data sets)")
    print(f"{'data sets':>10} {'parameters':>11} {'surffit ms':>11} {'lmfit ms':>10} {'ratio':>7} {'difference/sigma':>17}")
    for count in (10, 20) if options.quick else (10, 20, 50, 100):
        case = Case(count)
        case.ours()
        mine, ours = timed(case.ours, repeats)
        other, theirs = timed(case.theirs, 1 if options.quick else 3 if count < 100 else 1)
        gap = difference(ours, theirs)
        print(f"{count:>10} {ours.nvarys:>11} {1e3 * mine:>11.1f} {1e3 * other:>10.0f} {other / mine:>7.0f} {gap:>17.1e}")
        if not gap < AGREE:
            faults.append(f"{count} data sets: lmfit's answer differs by {gap:.1e} standard errors")
        if count == 100 and other / mine < BAR:
            faults.append(f"{count} data sets: ratio {other / mine:.0f}, the bar is {BAR:.0f}")

    print("\nbeside whole columns, and how the time grows")
    print(
        f"{'data sets':>10} {'parameters':>11} {'blocks ms':>10} {'per set ms':>11} {'whole ms':>9} {'ratio':>6} {'difference/sigma':>17}"
    )
    seen = {}
    for count in (25, 50, 100) if options.quick else (25, 50, 100, 200):
        case = Case(count)
        case.ours()
        seen[count], ours = timed(case.ours, repeats)
        row = f"{count:>10} {ours.nvarys:>11} {1e3 * seen[count]:>10.0f} {1e3 * seen[count] / count:>11.2f}"
        if count <= 100:
            other, whole = timed(case.whole, 1)
            gap = difference(ours, whole)
            row += f" {1e3 * other:>9.0f} {other / seen[count]:>6.1f} {gap:>17.1e}"
            if not gap < 1e-6:
                faults.append(f"{count} data sets: whole columns give an answer that differs by {gap:.1e} standard errors")
        if not ours.success:
            faults.append(f"{count} data sets: {ours.reason}")
        print(row)
    if 200 in seen:
        growth = seen[200] / seen[50]
        print(f"\nfrom 50 to 200 data sets: {growth:.1f} times as long")
        if growth > LINEAR:
            faults.append(f"from 50 to 200 data sets the time grows {growth:.1f} times; the bar is {LINEAR:.1f}")
    for fault in faults:
        print("FAILED:", fault)
    return 1 if faults and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
