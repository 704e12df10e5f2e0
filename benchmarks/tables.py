"""
Time tables: one model, ten thousand groups of unequal length, beside groupby + lmfit and a loop over scipy's curve_fit.

    python benchmarks/tables.py            the table
    python benchmarks/tables.py --quick    fewer groups, fewer rounds
    python benchmarks/tables.py --check    exit status 1 if a bar fails or an answer is wrong

All sides begin at the same starts and see the same table, whose rows are in mixed order, in one process, in turns: every round times
each side once. Ours includes parting the table into groups, the fits, the tidy table (a row per group and parameter) and the wide one
(a row per group); theirs the fits and a list of values and errors. The loops are timed on some of the groups and extrapolated
("of 300"): they take the same time for every group. "ratio" is their best round against our best, "worst" the smallest ratio within a
round. Times are processor time on one core. The first call, which compiles, is not counted; its seconds are in the last line.
"""

# ruff: noqa: E402 - the number of threads is set before numpy is imported

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # one core for each side

import argparse
import sys
import warnings
from collections.abc import Callable
from time import process_time
from typing import Any

import lmfit
import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

import surffit as sf

LMFIT, SCIPY = 80.0, 8.0  # least ratios
CLOSE = 1e-3  # largest difference to curve_fit (with its own tolerances, tightened) in standard errors
STARTS = {"a": 3.0, "c": 0.0, "s": 1.0, "b": 0.0}


def peak(x: Any, a: Any, c: Any, s: Any, b: Any) -> Any:
    """A Gaussian on a constant."""
    return a * np.exp(-0.5 * ((x - c) / s) ** 2) + b


def make_table(groups: int) -> pd.DataFrame:
    """Groups of 15 to 39 points, a S/N of 20 to 80, rows in mixed order."""
    rng = np.random.default_rng(groups)
    of = np.repeat(np.arange(groups), rng.integers(15, 40, groups))
    x = rng.uniform(-5.0, 5.0, of.size)
    height, centre, width = rng.uniform(2.0, 8.0, groups)[of], rng.normal(0.0, 0.5, groups)[of], rng.uniform(0.8, 1.6, groups)[of]
    y = peak(x, height, centre, width, 1.0) + rng.normal(0.0, 0.1, of.size)
    return pd.DataFrame({"star": of, "x": x, "y": y}).sample(frac=1.0, random_state=1, ignore_index=True)


def ours(table: pd.DataFrame, model: Any) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """Fits, tidy and wide table."""
    params = {name: STARTS[name] for name in ("c", "s")}  # linear parameters need no start
    result = sf.fit_table(table, model, data="y", by="star", x="x", params=params)
    return result, result.tidy(), result.to_frame()


def by_lmfit(table: pd.DataFrame) -> dict[int, list[float]]:
    """groupby and a fit of each group."""
    model, out = lmfit.Model(peak), {}
    params = model.make_params(**STARTS)
    for key, rows in table.groupby("star", sort=False):
        result = model.fit(rows["y"].to_numpy(), params, x=rows["x"].to_numpy())
        out[key] = [number for par in result.params.values() for number in (par.value, par.stderr)]
    return out


def by_scipy(table: pd.DataFrame, **tolerances: float) -> dict[int, list[float]]:
    """The same with curve_fit."""
    out = {}
    for key, rows in table.groupby("star", sort=False):
        try:
            values, covar = curve_fit(peak, rows["x"].to_numpy(), rows["y"].to_numpy(), p0=list(STARTS.values()), **tolerances)
        except RuntimeError:
            continue
        out[key] = np.column_stack([values, np.sqrt(np.diag(covar))]).reshape(-1).tolist()
    return out


def far(wide: pd.DataFrame, theirs: dict[int, list[float]]) -> float:
    """Largest difference in standard errors; a width counts by its size, since its sign means nothing."""
    wide = wide.set_index("star").loc[list(theirs)]
    rows = np.abs(np.array(list(theirs.values())).reshape(-1, 4, 2)) if theirs else np.empty((0, 4, 2))
    values, errors = (np.abs(wide[[f"{name}{end}" for name in STARTS]].to_numpy()) for end in ("", "_stderr"))
    both = np.isfinite(errors).all(axis=1) & np.isfinite(rows).all(axis=(1, 2)) & wide["success"].to_numpy()
    return float((np.abs(values - rows[..., 0]) / errors)[both].max())


def main() -> int:
    """Race, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2000 groups, two rounds")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a bar fails")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # curve_fit's, of groups where it fails
    groups, some, rounds = (2000, 100, 2) if args.quick else (10_000, 300, 5)
    table, model = make_table(groups), sf.SurfaceModel(peak)
    part = table[table["star"] < some]
    sides: dict[str, tuple[Callable[[], Any], float]] = {
        "surffit": (lambda: ours(table, model), 1.0),
        "groupby + lmfit": (lambda: by_lmfit(part), groups / some),
        "curve_fit loop": (lambda: by_scipy(part), groups / some),
    }
    answers, seconds = {}, {name: [] for name in sides}
    begin = process_time()
    sides["surffit"][0]()
    first = process_time() - begin
    for _ in range(rounds):
        for name, (call, share) in sides.items():
            begin = process_time()
            answers[name] = call()
            seconds[name].append((process_time() - begin) * share)
    result, tidy, wide = answers["surffit"]
    print(f"{groups} groups, {len(table)} rows; engine {result.engine}; {len(tidy)} rows of tidy, {int((~wide['success']).sum())} failed")
    print(f"{'':24}{'s':>9}{'ratio':>9}{'worst':>9}")
    best, good = min(seconds["surffit"]), True
    for name, bar in (("surffit", 1.0), ("groupby + lmfit", LMFIT), ("curve_fit loop", SCIPY)):
        ratio = min(seconds[name]) / best
        worst = min(a / b for a, b in zip(seconds[name], seconds["surffit"], strict=True))
        good &= ratio >= bar
        note = f"   of {some}; bar {bar:g}: {'ok' if ratio >= bar else 'FAILED'}" if name != "surffit" else ""
        print(f"{name:24}{min(seconds[name]):9.3f}{ratio:9.1f}{worst:9.1f}{note}")
    tight = by_scipy(part, ftol=1e-14, xtol=1e-14, gtol=1e-14)
    off = far(wide, tight)
    good &= off < CLOSE and bool(wide["success"].mean() > 0.999)
    print(f"largest difference to curve_fit: {off:.1e} standard errors ({'ok' if off < CLOSE else 'FAILED'})")
    print(f"first call, with compiling: {first:.1f} s")
    return int(args.check and not good)


if __name__ == "__main__":
    sys.exit(main())
