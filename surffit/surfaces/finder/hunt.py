"""The search itself: screen all laws on some points, fit the promising ones to all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from . import links, polynomials, shaped, sums
from .judge import Entry, Judge
from .laws import Law
from .points import Points
from .polish import fitted, search

# points on which sums are screened, starts are looked for, and promising laws are fitted before all points are
SCREENED, MIDDLE = 20_000, 600
# laws that go on to the next stage: searched on few points, on more, fitted to all (sums and others)
SEARCHED, PROMISING, SUMS, SHAPED = 700, 130, 130, 50
SEED = 20240607


@dataclass(eq=False)
class Hunt:
    """What a search has seen: entries, and how many laws of each family were tried."""

    entries: list[Entry]
    tried: dict[str, int]


def hunt(points: Points, judge: Judge) -> Hunt:
    """
    Try every law of the generated families.

    Parameters
    ----------
    points : Points
        All points.
    judge : Judge

    Returns
    -------
    Hunt
    """
    rng = np.random.default_rng(SEED)
    n = points.size
    most = max(1, min(30, (n - 2) // 3))
    wide, middle, few = (
        points if n <= size else points.part(rng.choice(n, size, replace=False)) for size in (SCREENED, MIDDLE, shaped.FEW)
    )
    tried: dict[str, int] = {}

    simple = sums.candidates(wide, lambda rss, k, cost: judge.screen(rss, k, cost, wide.size), min(most, 8))
    whole = polynomials.candidates(wide, most)
    _count(tried, (law for law, _ in simple + whole))
    levels = [np.unique(c).size for c in points.raw]
    simple, whole = ([(law, rss) for law, rss in laws if law.fits_levels(levels)] for laws in (simple, whole))
    linear = _best(simple, judge, wide.size, SUMS) + _best(whole, judge, wide.size, SUMS // 3)

    grids = shaped.Grids(few)
    starts: list[tuple[Law, np.ndarray, float]] = []
    for law in (*shaped.one_shape(points), *shaped.two_shapes(points)):
        if law.k <= most and law.fits_levels(levels):
            starts.append((law, *shaped.start(law, grids)))
    for law in links.laws(points):
        if law.k <= most and law.fits_levels(levels):
            starts.append((law, *links.start(law, few)))
    _count(tried, (law for law, _, _ in starts))
    starts = _first(starts, judge, few.size, SEARCHED)
    starts = [(law, *search(law, few, theta, steps=8, tolerance=1e-3)) for law, theta, _ in starts]
    if middle is not few:
        starts = _first(starts, judge, few.size, PROMISING)
        starts = [(law, *search(law, middle, theta, steps=10, tolerance=1e-6)) for law, theta, _ in starts]
    starts = _first(starts, judge, middle.size, SHAPED)

    box = _box(points)
    entries = []
    for law in linear:
        entry = _entry(law, points, np.zeros(0), box)
        if entry is not None:
            entries.append(entry)
    for law, theta, _ in starts:
        theta, _ = search(law, points, theta, steps=10, tolerance=1e-7)
        entry = _entry(law, points, theta, box)
        if entry is not None:
            entries.append(entry)
    return Hunt(entries, tried)


def _count(tried: dict[str, int], laws: Iterable[Law]) -> None:
    for law in laws:
        tried[law.family] = tried.get(law.family, 0) + 1


def _best(laws: list[tuple[Law, float]], judge: Judge, m: int, most: int) -> list[Law]:
    scores = np.array([judge.screen(rss, law.k, law.cost, m) for law, rss in laws])
    order = np.argsort(scores, kind="stable")[:most]
    return [laws[i][0] for i in order if np.isfinite(scores[i])]


def _first(starts: list[tuple[Law, np.ndarray, float]], judge: Judge, m: int, most: int) -> list[tuple[Law, np.ndarray, float]]:
    scores = np.array([judge.screen(rss, law.k, law.cost, m) for law, _, rss in starts])
    order = np.argsort(scores, kind="stable")[:most]
    return [starts[i] for i in order if np.isfinite(scores[i])]


def _box(points: Points) -> Points:
    """A mesh over the box of the coordinates, on the same scales, with the points themselves."""
    axes = [np.linspace(c.min(), c.max(), 41) for c in points.raw]
    mesh = [m.ravel() for m in np.meshgrid(*axes)]
    coords = [np.concatenate([m, c]) for m, c in zip(mesh, points.raw, strict=True)]
    blank = np.ones(coords[0].size)
    return Points(coords, blank, blank, points.scales)


def _entry(law: Law, points: Points, theta: np.ndarray, box: Points) -> Entry | None:
    fit = fitted(law, points, theta)
    if fit is None:
        return None
    return Entry(law, "", "", law.family, law.k, law.cost, fit.theta, fit.rss, fit.loo, fit.residual, law.has_pole(box, fit.theta))
