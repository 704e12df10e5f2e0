r"""
Linear problems whose columns are known by a few rows that stand for all of them.

All that least squares asks of the columns J (N, k) beyond one pass over the data is in a `root` of J'WJ, the transpose of R or of
anything with the same product. Everything that follows from columns (rank, errors, bounds, directions without effect) follows from
the root in their place; only the residual needs the data again.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from scipy.linalg.lapack import dtrcon

from .linear import Factor, factor
from .polish import Local
from .problem import Problem

# share of chi-square that a step may move for its effect to be told without another pass
NEAR = 1e-6
# least reciprocal condition (1-norm) of the scaled triangle for its transpose to be solved in place of another QR
NORMAL = 1e-6

Look = tuple[np.ndarray, float]


class Condensed(Protocol):
    """
    The columns of a linear problem in few rows.

    Attributes
    ----------
    way : str
        How they were had; see `engine` of `surffit.core.conditioning.Conditioning`.
    root : ndarray, shape (k, q)
        root root' = J'WJ.
    """

    way: str
    root: np.ndarray

    def look(self, c: np.ndarray | None) -> Look:
        """The residual r at coefficients c (None: at zero): s (q,) with root s = J'Wr, and chi-square."""

    def terms_size(self, c: np.ndarray) -> float:
        """No sum over the columns of the sizes of their terms is larger, at any point."""


def sound(root: np.ndarray) -> Factor | None:
    """The factor of a root if it is good enough for `within`."""
    f = factor(root)
    return f if f is not None and f.rank == len(root) and dtrcon(f.r)[0] > NORMAL else None


def within(f: Factor, g: np.ndarray) -> np.ndarray:
    """s of `Condensed.look` from g = J'Wr: with root = S P R' Q' it is Q R^-T P' S^-1 g."""
    return np.asarray(f.q @ f.solve_rt((g / f.scale)[f.pivot]))


class CondensedLocal(Local):
    """What first derivatives say at one point, from the root; see `solve.polish.Local`."""

    __slots__ = ("_columns", "_s")

    def __init__(self, problem: Problem, columns: Condensed, p: np.ndarray, look: Look, free: np.ndarray, f: Factor) -> None:
        super().__init__(problem, p, None, free, f, f.qt(look[0]), None, look[1])
        self._columns, self._s = columns, look[0]

    def rows(self, which: np.ndarray) -> np.ndarray:
        return np.asarray(self._columns.root[which])

    def gradient(self) -> np.ndarray:
        return np.asarray(self._columns.root @ self._s)

    def norms(self) -> np.ndarray:
        return np.sqrt(np.einsum("ij,ij->i", self._columns.root, self._columns.root))

    def dead(self) -> np.ndarray:
        return np.asarray(~self._columns.root.any(axis=1))

    def largest_sum(self) -> float:
        return self._columns.terms_size(self.p)


class CondensedSurveyor:
    """The end of such a fit; see `solve.polish.Surveyor`."""

    last = 0.0

    def __init__(self, problem: Problem, columns: Condensed) -> None:
        self.problem, self.columns = problem, columns
        self._from: tuple[np.ndarray, Look] | None = None

    def look(self, p: np.ndarray) -> Look:
        """As of the columns, without a pass where the last one was near enough: the residual is linear in p."""
        if self._from is not None:
            q, (s, chi2) = self._from
            moved = (p - q) @ self.columns.root
            if float(moved @ moved) <= NEAR * chi2:
                return s - moved, chi2 - float(moved @ (s + (s - moved)))
        self.problem.nfev += 1
        self._from = p.copy(), self.columns.look(p)
        return self._from[1]

    def local(self, p: np.ndarray, held: np.ndarray) -> Local | None:
        look = self.look(p)
        if not math.isfinite(look[1]):
            return None
        free = np.flatnonzero(~held)
        f = factor(np.ascontiguousarray(self.columns.root[free]), self.problem.jac_error)
        return None if f is None else CondensedLocal(self.problem, self.columns, p, look, free, f)

    def curvature(self, here: Local) -> Any:
        """Nothing is curved in linear parameters."""
        return np.zeros((self.problem.n, self.problem.n))
