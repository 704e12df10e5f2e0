"""A problem on a grid: its rows are laid out when somebody asks for them, which a fit by moments doesn't."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .problem import EPS, HUGE, TINY, Kernel, Problem
from .products import blocks


def largest_row(y: np.ndarray, w: np.ndarray | None) -> float:
    """Size of the largest weighted number, without a temporary the size of the data."""
    if w is None:
        return max(float(y.max()), -float(y.min()))
    largest = 0.0
    for part, spare in blocks(y.shape):
        np.multiply(y[part], w[part], out=spare)
        largest = max(largest, float(spare.max()), -float(spare.min()))
    return largest


class GridProblem(Problem):
    """
    Weighted least squares on a 2-D grid; see `solve.problem.Problem`, which it becomes where rows are asked for.

    Parameters
    ----------
    kernel : Kernel
        Gives the used points.
    y, w : ndarray, shape (ny, nx), or None for w
        Data and 1/sigma, with any numbers at excluded points.
    used : ndarray of bool or None
    largest : float
        As `largest_row` gives it, inside the range in which squares stay float64.
    m, k, lower, upper
        As for `Problem`.
    """

    def __init__(
        self, kernel: Kernel, y: np.ndarray, w: np.ndarray | None, used: np.ndarray | None, largest: float, m: int, k: int,
        lower: np.ndarray, upper: np.ndarray,
    ) -> None:  # fmt: skip
        self._given = y, w, used
        self.kernel = kernel
        self.complex = False
        self.m, self.k, self.n = m, k, m + k
        self.lower, self.upper = lower, upper
        self.bounded = bool(np.isfinite(lower).any() or np.isfinite(upper).any())
        self.linear_bounded = k > 0 and bool(np.isfinite(lower[m:]).any() or np.isfinite(upper[m:]).any())
        self.jac_error = 1e-15
        self.nfev = self.njev = 0
        self.unit = 1.0
        self.N = self.ndata = y.size if used is None else int(np.count_nonzero(used))
        self.shape = y.shape if used is None else (self.N,)
        self.noise = 8.0 * EPS * largest * math.sqrt(self.N)

    def __getattr__(self, name: str) -> Any:
        if name not in ("y", "w", "data") or "_given" not in self.__dict__:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        y, w, used = self._given
        self.data = y if used is None else y[used]
        rows = None if w is None else w.reshape(-1) if used is None else w[used]
        self.w = rows
        self.y = self.data.reshape(-1) if rows is None else self.data.reshape(-1) * rows
        return self.__dict__[name]


def in_range(largest: float) -> bool:
    """Whether squares of such rows stay inside float64."""
    return largest == 0.0 or TINY < largest < HUGE
