"""How laws are compared: AICc, leave-one-out error, and the price of having looked at many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

# residuals below this, relative to the data, are rounding
ROUNDING = 1e-14
# two laws with the same number of parameters whose values differ by less than this fraction of the residual are one law
SAME = 1e-3


def aicc(rss: float, n: int, k: int) -> float:
    """
    Akaike's criterion with its correction for few points, errors of the data known up to a factor.

    Parameters
    ----------
    rss : float
        Weighted sum of squared residuals.
    n, k : int
        Points and parameters of the law; the factor of the errors counts as one more.

    Returns
    -------
    float
        ``n ln(rss/n) + 2 k + 2 K (K + 1)/(n - K - 1)`` with K = k + 1, as `surffit.compare`; inf with too few points.

    References
    ----------
    Hurvich and Tsai, Biometrika 76, 297 (1989); Burnham and Anderson, Model Selection and Multimodel Inference (2002), 2.4.

    Examples
    --------
    >>> round(aicc(10.0, 10, 1), 3)
    3.714
    """
    count = k + 1
    if n - count - 1 <= 0 or not np.isfinite(rss):
        return np.inf
    return float(n * np.log(max(rss, 1e-300) / n) + 2 * k + 2 * count * (count + 1) / (n - count - 1))


@dataclass(eq=False)
class Entry:
    """
    A law with its fit to all points.

    Attributes
    ----------
    law : Law or None
        None for a registered model.
    name : str
        A registered model's name, else "".
    formula, family : str
        The law in words.
    k : int
        Number of parameters.
    cost : float
        Nats.
    theta : ndarray
        Shape parameters, or the registered model's best values.
    rss, loo : float
        Weighted sums of squares, of the residuals and of the leave-one-out residuals.
    residual : ndarray
        Weighted residuals.
    pole : bool
        Whether a denominator vanishes among the data.
    also : list of str
        Other names of the same law.
    """

    law: Any
    name: str
    formula: str
    family: str
    k: int
    cost: float
    theta: np.ndarray
    rss: float
    loo: float
    residual: np.ndarray
    pole: bool = False
    note: str = ""
    also: list[str] = field(default_factory=list)
    aicc: float = np.nan
    score: float = np.nan
    weight: float = np.nan


class Judge:
    """
    The score of laws on n points.

    Parameters
    ----------
    n : int
        Number of points.
    square : float
        The weighted data's square, which says what rounding is.

    Notes
    -----
    The score is the larger of AICc and its leave-one-out twin ``n ln(loo/n)``, plus twice the law's cost in nats. The cost is
    minus the logarithm of the probability of the law before the data are seen: a nat for each linear parameter and some
    for each function. A term picked as the best of M useless ones gains about 2 ln M on average in AICc; that is what its
    cost takes back. Among laws that the data can't tell apart the simpler one comes first.
    """

    def __init__(self, n: int, square: float) -> None:
        self.n = n
        self.floor = max(ROUNDING**2 * square, 1e-300)

    def screen(self, rss: float, k: int, cost: float, m: int | None = None) -> float:
        """Score from a sum of squares on m of the points."""
        n = self.n
        m = n if m is None else m
        if m <= k + 2 or not np.isfinite(rss):
            return np.inf
        return aicc(max(rss / (m - k) * (n - k), self.floor), n, k) + 2.0 * cost

    def settle(self, entry: Entry) -> None:
        """Fill in an entry's criteria."""
        n = self.n
        entry.aicc = aicc(max(entry.rss, self.floor), n, entry.k)
        twin = float(n * np.log(max(entry.loo, self.floor) / n))
        entry.score = max(entry.aicc, twin) + 2.0 * entry.cost


def ranked(entries: list[Entry], judge: Judge) -> list[Entry]:
    """
    Best first, every law once, laws with poles at the end.

    Parameters
    ----------
    entries : list of Entry
    judge : Judge

    Returns
    -------
    list of Entry
        Their weights, proportional to ``exp(-score/2)``, sum to one over the laws without poles.
    """
    for entry in entries:
        judge.settle(entry)
    order = sorted((e for e in entries if np.isfinite(e.score)), key=lambda e: (e.pole, e.score))
    kept: list[Entry] = []
    by_size: dict[int, list[Entry]] = {}
    for entry in order:
        twin = next((other for other in by_size.get(entry.k, ()) if _same(entry, other, judge.floor)), None)
        if twin is None:
            kept.append(entry)
            by_size.setdefault(entry.k, []).append(entry)
        elif entry.name and entry.name not in twin.also:
            twin.also.append(entry.name)
    good = [e for e in kept if not e.pole]
    least = min((e.score for e in good), default=0.0)
    weights = np.array([np.exp(-0.5 * (e.score - least)) for e in good])
    for entry, weight in zip(good, weights / weights.sum() if good else weights, strict=True):
        entry.weight = float(weight)
    for entry in kept[len(good) :]:
        entry.weight = 0.0
    return kept


def _same(one: Entry, two: Entry, floor: float) -> bool:
    """Whether two fits have the same values at all points, beside what they leave over."""
    least = max(min(one.rss, two.rss), floor)
    if abs(one.rss - two.rss) > SAME * least:
        return False
    gap = one.residual - two.residual
    return float(gap @ gap) <= SAME**2 * least + 100.0 * floor
