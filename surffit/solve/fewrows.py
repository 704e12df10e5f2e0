"""
A linear problem of many rows in few rows that say the same.

With J' = QR the sum of squares is ``|Q'y - R c|**2`` plus what no c can change. A roughness beside the data asks for J'J more often than
a plain solve does: from here on each time costs what the few rows cost.
"""

from __future__ import annotations

import math

import numpy as np

from .around import Around, innermost
from .gram import LongMoments
from .grid import GridMoments
from .gridlinear import LinearGrid
from .problem import Problem, finite

LONG = 8  # times as many rows as columns, from which it is worth while
BLOCK = 4_000_000  # numbers that are factored at a time


class FewRows(Around):
    """
    Few rows in place of a linear problem's own.

    Parameters
    ----------
    base : Problem
        Without non-linear parameters.
    phi : ndarray, shape (k, q)
        Columns in few rows.
    target : ndarray, shape (q,)
        Data in these rows.
    rest : float
        Squares of the data beside all columns.
    """

    def __init__(self, base: Problem, phi: np.ndarray, target: np.ndarray, rest: float) -> None:
        super().__init__(base)
        self._phi = np.hstack([phi, np.zeros((self.k, 1))])
        self._target = np.append(target, math.sqrt(max(rest, 0.0)))
        self.y = self._target
        self.N = self._target.size
        self.jac_error = max(base.jac_error, 1e-15)

    def columns(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._target.copy(), self._phi

    def residual(self, p: np.ndarray) -> np.ndarray:
        return self._target - p @ self._phi

    def cost(self, p: np.ndarray) -> float:
        r = self.residual(p)
        return float(r @ r)

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.residual(p), self._phi

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray:
        return np.zeros((self.n, self.n))


def few_rows(problem: Problem, moments: LongMoments | None) -> Problem:
    """
    A linear problem in few rows; the problem itself where that isn't worth while, or not possible.

    Parameters
    ----------
    problem : Problem
        Of the data alone.
    moments : LongMoments, optional
        Its factors, on a grid.
    """
    if problem.m or LONG * (problem.k + 1) > problem.N or innermost(problem) is not problem:
        return problem
    if isinstance(moments, GridMoments):
        grid = LinearGrid(moments)
        target, chi2 = grid.look(None)
        if math.isfinite(chi2) and finite(grid.root):
            return FewRows(problem, grid.root, target, chi2 - float(target @ target))
    columns = problem.columns(np.empty(0))
    if columns is None:
        return problem
    y, phi = columns
    top = np.zeros((0, problem.k + 1))
    size = max(problem.k + 1, BLOCK // (problem.k + 1))
    for start in range(0, y.size, size):
        part = slice(start, start + size)
        top = np.asarray(np.linalg.qr(np.vstack([top, np.column_stack([phi[:, part].T, y[part]])]), mode="r"))
    return FewRows(problem, np.ascontiguousarray(top[:-1, :-1].T), top[:-1, -1], float(top[-1, -1] ** 2))
