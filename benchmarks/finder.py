"""
Does the search find the law that made the data, and how long does it take?

    python benchmarks/finder.py            200 tables, and the times
    python benchmarks/finder.py --quick    30 tables, one time
    python benchmarks/finder.py --check    exit status 1 if a bar fails
    python benchmarks/finder.py --seed 7   other tables

Thirty laws, such as people have in their tables, in turn. Each table has 60 to 500 scattered points (log-uniform), over a range of a
factor 3 to 10 in positive variables (log-uniform) or about zero where the law has a natural centre, in units drawn from a thousandth
to a thousand. Noise is normal, its sigma 1/30 of the standard deviation of the law's values. Parameters are drawn until each matters:
the part of its effect (value times derivative) that the other parameters can't take over has an rms of at least twice the noise.
Free exponents keep 0.15 away from multiples of one half, which would be another law.

A law counts as found if one of the first three has as many parameters and can take the values of the true one, without noise, at
all points to a millionth of their spread: then it is the same function, however it is written.
Each search is for 25 000 laws and more. Times are those of the processor, one thread, and of the clock.
"""

# ruff: noqa: E402 - the number of threads is set before numpy is imported

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import numpy as np

import surffit as sf

NOISE = 30.0  # signal to noise
MATTERS = 2.0  # least effect of a parameter, in sigmas of the noise
FOUND = 0.9  # share of the tables
SECONDS, CANDIDATES = 10.0, 1000
SAME = 1e-6


@dataclass(frozen=True)
class Truth:
    """A law: its values, how its parameters are drawn in units where x and y are about 1, and the range of x and y."""

    name: str
    function: Callable[..., Any]
    draw: Callable[[np.random.Generator], list[float]]
    range: str = "++"  # of each variable: positive, or centred (0)
    scaled: bool = True  # whether the units of x and y are drawn, too


def _signed(rng: np.random.Generator, count: int, low: float = 0.3, high: float = 2.0) -> list[float]:
    return list(rng.uniform(low, high, count) * rng.choice([-1.0, 1.0], count))


def _exponent(rng: np.random.Generator) -> float:
    while True:
        value = float(rng.uniform(-2.5, 2.5))
        if abs(2 * value - round(2 * value)) > 0.3:
            return value


def _linear(count: int) -> Callable[[np.random.Generator], list[float]]:
    return lambda rng: _signed(rng, count)


def _rates(signed: int, *ranges: tuple[float, float]) -> Callable[[np.random.Generator], list[float]]:
    """Some signed linear parameters, then positive ones in ranges."""
    return lambda rng: [*_signed(rng, signed), *(float(np.exp(rng.uniform(np.log(a), np.log(b)))) for a, b in ranges)]


E = np.exp
TRUTHS = (
    Truth("plane", lambda x, y, a, b, c: a + b * x + c * y, _linear(3)),
    Truth("twisted plane", lambda x, y, a, b, c, d: a + b * x + c * y + d * x * y, _linear(4)),
    Truth("quadratic", lambda x, y, a, b, c, d, e, f: a + b * x + c * y + d * x * x + e * x * y + f * y * y, _linear(6), "00"),
    Truth("saddle", lambda x, y, a, b, c: a + b * x * x - b * c * y * y, _rates(2, (0.5, 2.0)), "00"),
    Truth("paraboloid off centre", lambda x, y, a, b, c, d, e: a + b * x + c * x * x + d * y + e * y * y, _linear(5), "00"),
    Truth("power law", lambda x, y, a, b, c: a * x**b * y**c, lambda rng: [rng.uniform(1, 3), _exponent(rng), _exponent(rng)]),
    Truth(
        "power law and offset", lambda x, y, a, b, c, d: d + a * x**b * y**c,
        lambda rng: [1.0, _exponent(rng), _exponent(rng), *_signed(rng, 1, 1, 5)],
    ),
    Truth("x/y", lambda x, y, a: a * x / y, _linear(1)),
    Truth("product", lambda x, y, a: a * x * y, _linear(1)),
    Truth("x/y**2 and offset", lambda x, y, a, b: a + b * x / y**2, _linear(2)),
    Truth("Arrhenius", lambda x, y, a, b, c: a * E(-c / x) * y**b, lambda rng: [1.0, _exponent(rng), rng.uniform(1, 6)]),
    Truth("Cauchy", lambda x, y, a, b, c: a + b / x**2 + c * y, _linear(3)),
    Truth("Cauchy, next term", lambda x, y, a, b, c, d: a + b / x**2 + c / x**4 + d * y, _linear(4)),
    Truth("Cauchy over temperature", lambda x, y, a, b, c, d: a + b * y + (c + d * y) / x**2, _linear(4)),
    Truth("logarithm and line", lambda x, y, a, b, c: a + b * np.log(x) + c * y, _linear(3)),
    Truth("two logarithms", lambda x, y, a, b, c: a + b * np.log(x) + c * np.log(y), _linear(3)),
    Truth("decay times line", lambda x, y, a, b, k: (a + b * y) * E(-k * x), _rates(2, (0.4, 3.0))),
    Truth("decay times y, offset", lambda x, y, a, b, k: a + b * y * E(-k * x), _rates(2, (0.4, 3.0))),
    Truth("decay and line", lambda x, y, a, b, c, k: a + b * E(-k * x) + c * y, _rates(3, (0.4, 3.0))),
    Truth("Michaelis-Menten, two substrates", lambda x, y, v, k, m: v * x / (k + x) * y / (m + y), _rates(1, (0.4, 3.0), (0.4, 3.0))),
    Truth("ping-pong", lambda x, y, v, k, m: v * x * y / (x * y + k * y + m * x), _rates(1, (0.4, 3.0), (0.4, 3.0))),
    Truth("rational", lambda x, y, a, b, c, d: (a + b * x + c * y) / (1 + d * x), _rates(3, (0.3, 3.0))),
    Truth("reciprocal of a plane", lambda x, y, a, b, c: 1 / (a + b * x + c * y), _rates(0, (0.2, 1.0), (0.3, 2.0), (0.3, 2.0))),
    Truth(
        "Gaussian peak", lambda x, y, a, b, c, d, e: a * E(-0.5 * ((x - b) / c) ** 2 - 0.5 * ((y - d) / e) ** 2),
        lambda rng: [2.0, rng.uniform(-0.5, 0.5), rng.uniform(0.3, 0.8), rng.uniform(-0.5, 0.5), rng.uniform(0.3, 0.8)], "00",
    ),
    Truth(
        "Gaussian peak on a level", lambda x, y, a, b, c, d, e, f: f + a * E(-0.5 * ((x - b) / c) ** 2 - 0.5 * ((y - d) / e) ** 2),
        lambda rng: [2.0, rng.uniform(-0.5, 0.5), rng.uniform(0.3, 0.6), rng.uniform(-0.5, 0.5), rng.uniform(0.3, 0.6), *_signed(rng, 1)],
        "00",
    ),
    Truth("root and line", lambda x, y, a, b, c: a + b * np.sqrt(x) + c * y, _linear(3)),
    Truth(
        "root of a sum of squares", lambda x, y, a, b, c: np.sqrt(a + b * x * x + c * y * y),
        _rates(0, (0.1, 1.0), (0.5, 3.0), (0.5, 3.0)), "00",
    ),
    Truth("exponential of a plane", lambda x, y, a, b, c: a * E(b * x + c * y), _linear(3)),
    Truth(
        "ripple on a slope", lambda x, y, a, b, c, q, p: a + b * np.sin(q * x + p) + c * y,
        lambda rng: [*_signed(rng, 1), 1.0, *_signed(rng, 1), rng.uniform(3.0, 12.0), rng.uniform(0, 6.28)], "00",
    ),
    Truth("saturating growth times y", lambda x, y, a, k: a * y * (1 - E(-k * x)), _rates(1, (0.4, 2.0))),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Table:
    """Points of a law."""

    truth: Truth
    x: np.ndarray
    y: np.ndarray
    clean: np.ndarray
    z: np.ndarray
    k: int


def effects(truth: Truth, x: np.ndarray, y: np.ndarray, values: list[float]) -> np.ndarray:
    """The rms of each parameter's own effect: value times derivative, less what the others can take over."""
    columns = []
    for i, value in enumerate(values):
        step = 1e-5 * value
        up, down = ([*values[:i], value + s, *values[i + 1 :]] for s in (step, -step))
        columns.append((truth.function(x, y, *up) - truth.function(x, y, *down)) / (2e-5))
    table = np.array(columns) * np.ones(x.size)
    out = []
    for i in range(len(values)):
        others = np.delete(table, i, axis=0).T
        left = table[i] - (others @ np.linalg.lstsq(others, table[i], rcond=None)[0] if others.size else 0.0)
        out.append(np.sqrt(np.mean(left**2)))
    return np.array(out)


def table(truth: Truth, rng: np.random.Generator) -> Table:
    """Draw a table; see the top of the file."""
    n = int(np.exp(rng.uniform(np.log(60), np.log(500))))
    while True:
        coords = []
        for kind in truth.range:
            if kind == "+":
                factor = float(np.exp(rng.uniform(np.log(3.0), np.log(10.0))))
                coords.append(np.exp(rng.uniform(-0.5, 0.5, n) * np.log(factor)))
            else:
                coords.append(rng.uniform(-1.0, 1.0, n))
        x, y = coords
        values = truth.draw(rng)
        with np.errstate(all="ignore"):
            clean = truth.function(x, y, *values)
            sigma = clean.std() / NOISE
            if not np.isfinite(clean).all() or not (effects(truth, x, y, values) >= MATTERS * sigma).all():
                continue
        units = 10.0 ** rng.uniform(-3, 3, 3)
        return Table(truth, x * units[0], y * units[1], clean * units[2], (clean + sigma * rng.standard_normal(n)) * units[2], len(values))


def place(found: Any, made: Table, first: int = 3) -> int:
    """The place (from 1) of the true law among the first laws, 0 if it isn't there."""
    for i, result in enumerate(found.results(first)):
        if result.nvarys != made.k:
            continue
        again = result.model.fit(made.clean, result.params, **dict(zip(result.model.independent_vars, (made.x, made.y), strict=False)))
        if np.std(again.residual) < SAME * made.clean.std() and np.abs(again.residual).max() < 1e3 * SAME * made.clean.std():
            return i + 1
    return 0


def tables(count: int, seed: int) -> list[Table]:
    """Tables of all laws in turn."""
    rng = np.random.default_rng(seed)
    return [table(TRUTHS[i % len(TRUTHS)], rng) for i in range(count)]


def times(quick: bool) -> list[str]:
    """Print how long searches take; faults."""
    faults = []
    print(f"\n{'points':>7} {'laws':>7} {'processor s':>12} {'clock s':>8}")
    rng = np.random.default_rng(0)
    for n in (66, 1000) if quick else (66, 500, 2000, 10_000):
        x, y = rng.uniform(1, 5, (2, n))
        z = (2 + 0.4 * y) * np.exp(-0.4 * x) + 0.3
        z = z + rng.standard_normal(n) * z.std() / NOISE
        start, clock = process_time(), perf_counter()
        found = sf.find_surface(z, x=x, y=y)
        seconds, wall = process_time() - start, perf_counter() - clock
        print(f"{n:>7} {found.n_tried:>7} {seconds:>12.1f} {wall:>8.1f}")
        if found.n_tried < CANDIDATES or seconds > SECONDS:
            faults.append(f"{n} points: {found.n_tried} laws in {seconds:.1f} s; the bar is {CANDIDATES} in {SECONDS:.0f} s")
    return faults


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--tables", type=int, default=None)
    parser.add_argument("--missed", action="store_true", help="print the best laws of each table that was missed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    count = options.tables or (30 if options.quick else 200)
    score: dict[str, list[int]] = {truth.name: [] for truth in TRUTHS}
    start = process_time()
    for made in tables(count, options.seed):
        found = sf.find_surface(made.z, x=made.x, y=made.y)
        score[made.truth.name].append(place(found, made))
        if options.missed and not score[made.truth.name][-1]:
            print(made.truth.name, made.z.size, found.table.head(4)[["formula", "k", "score", "weight"]].to_string(), flush=True)
    seconds = process_time() - start
    print(f"{'law':<34} {'tables':>6} {'first':>6} {'first three':>12}")
    for name, places in score.items():
        if places:
            print(f"{name:<34} {len(places):>6} {sum(p == 1 for p in places):>6} {sum(p > 0 for p in places):>12}")
    every = [p for places in score.values() for p in places]
    share = sum(p > 0 for p in every) / len(every)
    print(f"{'all':<34} {len(every):>6} {sum(p == 1 for p in every):>6} {sum(p > 0 for p in every):>12}   {share:.1%}")
    print(f"{seconds / len(every):.1f} s of processor time per table")
    faults = [] if share >= FOUND else [f"found in {share:.1%} of the tables; the bar is {FOUND:.0%}"]
    faults += times(options.quick)
    for fault in faults:
        print(f"FAULT: {fault}")
    return int(bool(faults) and options.check)


if __name__ == "__main__":
    sys.exit(main())
