r"""
The last digits: Newton steps in the full space until they stop shrinking.

At a point p, J S^{-1} = Q R (columns scaled, pivoted). The Gauss-Newton step in units of the errors is Q'r; Newton's is
(I - K)^{-1} Q'r with K = R^{-T} S^{-1} B S^{-1} R^{-1} and B = sum_i r_i Hess F_i. The largest eigenvalue of K is the rate
at which Gauss-Newton converges, and I - K is positive definite exactly where the Hessian of chi-square is: below 1 the
point is a minimum, above it a saddle. Below full rank everything is done in the range of J, and the null space is asked
separately whether chi-square curves down there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.linalg.lapack import dposv

from .linear import Factor, factor
from .problem import EPS, Problem, finite

GAUSS_NEWTON_STEPS = 60
NEGLIGIBLE = 1e-6  # of a standard deviation
FINAL = 1e-10  # of a standard deviation: a Newton step this short is the last


class Local:
    """Everything first derivatives say at one point.

    Attributes
    ----------
    p, r : ndarray
        Parameters and weighted residual.
    chi2 : float
        The problem's cost where that is no sum of squares.
    free : ndarray of int
        The parameters that may move, in the order of the factor.
    f : Factor
        Of their columns.
    qtr : ndarray, shape (rank,)
        Q'r, the Gauss-Newton step in units of the errors.
    """

    __slots__ = ("_J", "_left", "_problem", "_r", "chi2", "f", "free", "p", "qtr")

    def __init__(
        self, problem: Problem, p: np.ndarray, r: np.ndarray | None, free: np.ndarray, f: Factor, qtr: np.ndarray, J: np.ndarray | None,
        chi2: float | None = None,
    ) -> None:  # fmt: skip
        self._problem = problem
        self.p, self._r = p, r
        self.chi2 = chi2 if chi2 is not None else float(self.r @ self.r) if problem.least_squares else problem.cost(p)
        self.free, self.f, self.qtr = free, f, qtr
        self._J = J
        self._left: np.ndarray | None = None

    @property
    def r(self) -> np.ndarray:
        """The weighted residual; computed on first use where the end was found without it."""
        if self._r is None:
            self._r = self._problem.residual(self.p)
        return self._r

    @r.setter
    def r(self, value: np.ndarray) -> None:
        self._r = value

    @property
    def has_r(self) -> bool:
        """Whether the residual is there already."""
        return self._r is not None

    @property
    def J(self) -> np.ndarray:
        """Weighted derivatives (n, N); computed on first use where the walk went without them."""
        if self._J is None:
            full = self._problem.full(self.p)
            self._J = np.zeros((self._problem.n, self._problem.N)) if full is None else full[1]
        return self._J

    @property
    def scale(self) -> np.ndarray:
        """Norms of the free columns, about."""
        return self.f.scale

    @property
    def left(self) -> np.ndarray:
        """L (n_free, rank) with scaled minimum-norm step = L z, i.e. (J S^-1) L = Q."""
        if self._left is None:
            self._left = pseudo_inverse(self.f)
        return self._left

    def step(self, z: np.ndarray) -> np.ndarray:
        """Step of the free parameters for a step z in units of the errors."""
        return (self.left @ z) / self.f.scale

    def products(self, norms: np.ndarray) -> np.ndarray:
        """L L' with the rows of L divided by `norms`, (n_free, n_free)."""
        unit = self.left / norms[:, None]
        return unit @ unit.T

    def rows(self, which: np.ndarray) -> np.ndarray:
        """Some columns (w, rows), or what has the same products with each other."""
        return self.J[which]

    def gradient(self) -> np.ndarray:
        """J r (n,): half of what chi-square falls by per unit of each parameter."""
        return self.J @ self.r

    def norms(self) -> np.ndarray:
        """Norms of all columns (n,)."""
        return np.sqrt(np.einsum("ij,ij->i", self.J, self.J))

    def dead(self) -> np.ndarray:
        """Which columns (n,) are zero."""
        return np.asarray(~self.J.any(axis=1))

    def largest_sum(self) -> float:
        """Largest sum over the linear parameters of the sizes of their terms, over all rows."""
        m = self._problem.m
        return float((np.abs(self.p[m:]) @ np.abs(self.J[m:])).max())


def pseudo_inverse(f: Factor) -> np.ndarray:
    """L (k, rank) with (columns / scale)' L = Q, the shortest such."""
    L = np.zeros((f.pivot.size, f.rank))
    if f.tail is None:
        L[f.pivot] = f.solve_r(np.eye(f.rank))
    elif f.rank:
        L[f.pivot] = np.linalg.pinv(np.hstack([f.r, f.tail]), rcond=EPS)
    return L


class Surveyor(Protocol):
    """How the end of a fit looks at a problem."""

    last: float  # of a standard deviation: steps this short may be the last where they shrink fast enough

    def local(self, p: np.ndarray, held: np.ndarray) -> Local | None:
        """First derivatives at p, leaving out the held parameters; None if they aren't finite."""

    def curvature(self, here: Local) -> np.ndarray | None:
        """Sum of r_i times the Hessian of F_i, (n, n); None where it can't be had."""


class DenseSurveyor:
    """Whole columns, QR."""

    last = 0.0

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def local(self, p: np.ndarray, held: np.ndarray) -> Local | None:
        problem = self.problem
        full = problem.full(p)
        if full is None:
            return None
        r, J = full
        free = np.flatnonzero(~held)
        f = factor(J if free.size == p.size else J[free], problem.jac_error)
        return None if f is None else Local(problem, p, r, free, f, f.qt(r), J)

    def curvature(self, here: Local) -> np.ndarray | None:
        return self.problem.curvature(here.p, here.r)


def curvature(surveyor: Surveyor, problem: Problem, here: Local) -> tuple[np.ndarray, np.ndarray] | None:
    """K (rank, rank) and the scaled B (n_free, n_free); None where second derivatives can't be had."""
    if not problem.m and problem.least_squares:
        return np.zeros((here.f.rank, here.f.rank)), np.zeros((here.free.size, here.free.size))
    relative = getattr(surveyor, "relative", None)
    if relative is not None and here.f.rank == here.free.size:
        arrow: Any = relative(here)
        return arrow  # unpacks to the same pair
    B = surveyor.curvature(here)
    if B is None:
        return None
    if here.free.size < problem.n:
        B = B[np.ix_(here.free, here.free)]
    scaled = B / here.scale / here.scale[:, None]
    L = here.left
    K = L.T @ scaled @ L
    return (K, scaled) if finite(K) else None


def newton_step(second: Any, z: np.ndarray) -> np.ndarray | None:
    """(I - K)^-1 z, or None where I - K is not positive definite: its Cholesky factor exists just where it is."""
    if hasattr(second, "newton"):
        return second.newton(z)
    _, step, info = dposv(np.eye(z.size) - second[0], z)
    return None if info else step


@dataclass(slots=True, eq=False)
class Polished:
    """The polished point and the verdict on it."""

    here: Local
    kappa: float  # remaining step in standard deviations
    second: tuple[np.ndarray, np.ndarray] | None  # `curvature` at the point
    definite: bool | None  # whether I - K is positive definite there: a minimum; None if unknown
    bound_hit: np.ndarray  # parameters that a step wanted to carry across a bound


def remaining(problem: Problem, left: float, sigma: float) -> float:
    """What is left of the step in standard deviations; rounding of the data doesn't count."""
    return max(left - problem.noise, 0.0) / sigma


def polish(problem: Problem, surveyor: Surveyor, here: Local, held: np.ndarray, sigma: float, max_nfev: int) -> Polished:
    """
    Newton steps (Gauss-Newton where the Hessian isn't positive or can't be had) until they stop shrinking.

    Parameters
    ----------
    problem : Problem
    surveyor : Surveyor
    here : Local
        Where the walk ended.
    held : ndarray of bool, shape (n,)
        Parameters on a bound.
    sigma : float
        Residual standard deviation, the unit of `kappa`.
    max_nfev : int
        Limit of the problem's evaluations.

    Returns
    -------
    Polished
    """
    hit = np.zeros(problem.n, dtype=bool)
    last = np.inf
    best, best_second, best_left = here, None, np.inf
    best_definite: bool | None = None
    for _ in range(GAUSS_NEWTON_STEPS):
        z = here.qtr
        left = math.sqrt(z @ z)
        if best_second is not None and left <= FINAL * sigma and here.f.rank == best.f.rank:
            # arrived; the curvature of the step before is as good as new, and what the last step changes in r and J is rounding
            step = newton_step(best_second, z)
            if step is not None and not problem.bounded and (problem.m or not problem.least_squares):
                here.p = here.p.copy()
                here.p[here.free] += here.step(step)
            return Polished(here, remaining(problem, left, sigma), best_second, best_definite, hit)
        second = curvature(surveyor, problem, here)
        newton, definite = False, None
        if second is not None and here.f.rank:
            better = newton_step(second, z)
            definite = better is not None
            if better is not None:
                z, newton = better, True
        if left <= best_left or here.chi2 < best.chi2:
            best, best_second, best_left, best_definite = here, second, left, definite
        length = math.sqrt(z @ z)
        # linear problems come solved and refined: a further step would only add rounding
        if length >= last or problem.nfev >= max_nfev or (not problem.m and problem.least_squares and left <= NEGLIGIBLE * sigma):
            break
        before, last = last, length
        p = here.p.copy()
        p[here.free] += here.step(z)
        if problem.bounded:
            inside = np.clip(p, problem.lower, problem.upper)
            outside = (inside != p) & ~held
            if outside.any():
                hit |= outside
                break
        # on long data an evaluation more would show in nothing: the step after this one is the cube of it, over the last one's square
        cubed = length**3 <= FINAL * sigma * before**2 and length <= surveyor.last * sigma
        if newton and (length <= FINAL * sigma or cubed):
            # what a further quadratically convergent step would add is far below rounding; so is what r and J changed
            best.p = p
            best_left = 0.0
            break
        if not (np.abs(p - here.p) > 4e-16 * np.abs(p)).any():
            break
        trial = surveyor.local(p, held)
        if trial is None or trial.f.rank != here.f.rank or trial.chi2 > best.chi2 * (1.0 + 1e-9):
            break
        here = trial
    return Polished(best, remaining(problem, best_left, sigma), best_second, best_definite, hit)
