r"""
A problem whose rows carry weights that depend on the parameters: any cost seen as least squares of the moment.

With g, h, w of the rows (see `loss`) the wrapper hands out r~ = g / sqrt(w) and J~ = sqrt(w) J. Then J~ r~ = J g is exactly
the direction of steepest descent of cost/2, J~J~' the normal matrix of reweighted least squares or of Fisher scoring, and
`curvature` is what J~J~' differs by from the exact Hessian of cost/2. Walk, polish, saddle checks and errors work on it
without knowing of losses.
"""

from __future__ import annotations

import math

import numpy as np

from .around import Around
from .loss import Poisson, Term
from .problem import EPS, Problem, finite


class Reweighted(Around):
    """
    A loss around a least-squares problem.

    Parameters
    ----------
    base : Problem
    term : Term
        What each row adds to the cost.

    Attributes
    ----------
    reference : float
        Subtracted from the cost: a user's -2 ln L may be negative, while solvers judge by ratios of costs.
    """

    def __init__(self, base: Problem, term: Term) -> None:
        super().__init__(base)
        self.least_squares = False
        self.term = term
        self.unit = 1.0 if term.likelihood else base.unit
        self.reference = 0.0
        self._known: tuple[np.ndarray, float] | None = None
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # p, residual and derivatives of the inner problem

    def forget(self) -> None:
        """The term has changed: costs that are kept no longer hold."""
        self._known = None

    def refer(self, p: np.ndarray) -> None:
        """Set the reference so that the cost at p is about as large as a chi-square; a cost that is never negative needs none."""
        if not self.term.likelihood or isinstance(self.term, Poisson):
            return
        self.reference = 0.0
        self.forget()
        cost = self.cost(p)
        if math.isfinite(cost):
            self.reference = cost - max(self.N - self.n, 1)
        self.forget()

    def _total(self, p: np.ndarray, r: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            total = float(self.term.cost(r, self.y).sum())
        total = total - self.reference if math.isfinite(total) else math.inf
        self._known = p.copy(), total
        return total

    def cost(self, p: np.ndarray) -> float:
        known = self._known
        if known is not None and np.array_equal(known[0], p):
            return known[1]
        r = self.base.residual(p)
        return self._total(p, r) if finite(r) else math.inf

    def _weighted(self, p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
        """r~, sqrt(w), g and w - h."""
        if not math.isfinite(self._total(p, r)):
            return None
        with np.errstate(all="ignore"):
            g, h, w = self.term.rows(r, self.y)
            root = np.sqrt(w)
            left = np.where(w > 0.0, g / np.where(w > 0.0, root, 1.0), 0.0)
        if not (finite(left) and finite(root) and finite(g)):
            return None
        self.noise = 8.0 * EPS * float(np.abs(root * self.y).max(initial=0.0)) * math.sqrt(self.N)
        return left, root, g, w - h

    def residual(self, p: np.ndarray) -> np.ndarray:
        """r~, not finite where the model's value is impossible."""
        weighted = self._weighted(p, self.base.residual(p))
        return np.full(self.N, np.inf) if weighted is None else weighted[0]

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        full = self.base.full(p)
        if full is None:
            return None
        self._last = (p.copy(), *full)
        weighted = self._weighted(p, full[0])
        return None if weighted is None else (weighted[0], full[1] * weighted[1])

    def columns(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Not to be had: with weights that depend on all parameters none is solved for linearly."""
        msg = "a reweighted problem has no linear parameters to eliminate"
        raise TypeError(msg)

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray | None:
        """J~J~' minus the exact Hessian of cost/2, (n, n); without second derivatives of the model where there are none."""
        last = self._last
        full = last[1:] if last is not None and np.array_equal(last[0], p) else self.base.full(p)
        weighted = None if full is None else self._weighted(p, full[0])
        if full is None or weighted is None:
            return None
        _, _, g, excess = weighted
        J = full[1]
        B = (J * excess) @ J.T
        of_model = self.base.curvature(p, g) if self.m else None
        if of_model is not None:
            B = B + of_model
        return B if finite(B) else None


class Weighted(Around):
    """
    A least-squares problem with its rows multiplied by fixed factors.

    Parameters
    ----------
    base : Problem
    factors : ndarray, shape (N,)
    """

    def __init__(self, base: Problem, factors: np.ndarray) -> None:
        super().__init__(base)
        self.factors = factors
        self.y = base.y * factors
        self.noise = 8.0 * EPS * float(np.abs(self.y).max(initial=0.0)) * math.sqrt(self.N)

    def columns(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        columns = self.base.columns(alpha)
        return None if columns is None else (columns[0] * self.factors, columns[1] * self.factors)

    def residual(self, p: np.ndarray) -> np.ndarray:
        return self.base.residual(p) * self.factors

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        full = self.base.full(p)
        return None if full is None else (full[0] * self.factors, full[1] * self.factors)

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray | None:
        return self.base.curvature(p, r * self.factors)
