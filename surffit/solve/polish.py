r"""
The last digits: Newton steps in the full space until they stop shrinking.

At a point p, J S^{-1} = Q R (columns scaled, pivoted). The Gauss-Newton step in units of the errors is Q'r; Newton's is
(I - K)^{-1} Q'r with K = R^{-T} S^{-1} B S^{-1} R^{-1} and B = sum_i r_i Hess F_i. The largest eigenvalue of K is the rate
at which Gauss-Newton converges, and I - K is positive definite exactly where the Hessian of chi-square is: below 1 the
point is a minimum, above it a saddle. Below full rank everything is done in the range of J, and the null space is asked
separately whether chi-square curves down there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .linear import Factor, factor
from .problem import EPS, Problem

GAUSS_NEWTON_STEPS = 60


@dataclass(slots=True, eq=False)
class Local:
    """Everything first and second derivatives say at one point.

    `free` lists the parameters that may move, in the order of the factor; `directions` (rank, n_free) are the rows that
    turn `z` into a scaled step, `null` (n_free - rank, n_free) the scaled directions without effect.
    """

    p: np.ndarray
    r: np.ndarray
    chi2: float
    J: np.ndarray
    free: np.ndarray
    f: Factor
    qtr: np.ndarray
    solve_left: np.ndarray = field(repr=False)  # L with scaled step = L z

    @property
    def scale(self) -> np.ndarray:
        return self.f.scale

    def step(self, z: np.ndarray) -> np.ndarray:
        """Full step of the free parameters for a step z in units of the errors."""
        return (self.solve_left @ z) / self.scale


def local(problem: Problem, p: np.ndarray, held: np.ndarray) -> Local | None:
    """Factor the derivatives at p, leaving out the held parameters; None if they aren't finite."""
    full = problem.full(p)
    if full is None:
        return None
    r, J = full
    free = np.flatnonzero(~held)
    f = factor(J if free.size == p.size else J[free], problem.jac_error)
    if f is None:
        return None
    return Local(p, r, float(r @ r), J, free, f, f.qt(r), left_inverse(f))


def left_inverse(f: Factor) -> np.ndarray:
    """L (k, rank) with scaled minimum-norm step = L z, i.e. (J S^-1) L = Q."""
    k = f.pivot.size
    L = np.zeros((k, f.rank))
    if f.tail is None:
        L[f.pivot] = f.solve_r(np.eye(k))
    elif f.rank:
        L[f.pivot] = np.linalg.pinv(np.hstack([f.r, f.tail]), rcond=EPS)
    return L


def curvature(problem: Problem, here: Local) -> tuple[np.ndarray, np.ndarray] | None:
    """K (rank, rank) and the scaled B (n_free, n_free); None where second derivatives can't be had."""
    B = problem.curvature(here.p, here.r)
    if B is None:
        return None
    scaled = B[np.ix_(here.free, here.free)] / np.outer(here.scale, here.scale)
    L = here.solve_left
    return L.T @ scaled @ L, scaled


@dataclass(slots=True, eq=False)
class Polished:
    """The polished point and the verdict on it."""

    here: Local
    kappa: float  # |Q'r|: remaining Gauss-Newton step in units of the residual's norm per point (sigma)
    rate: float | None  # largest eigenvalue of K; None if unknown
    bound_hit: np.ndarray  # parameters that a step wanted to carry across a bound


def polish(problem: Problem, here: Local, held: np.ndarray, sigma: float, max_nfev: int) -> Polished:
    """
    Newton steps (Gauss-Newton where the Hessian isn't positive or can't be had) until they stop shrinking.

    Parameters
    ----------
    problem : Problem
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
    lower, upper = problem.lower[~held], problem.upper[~held]
    best = here
    last = np.inf
    rate: float | None = None
    hit = np.zeros(problem.n, dtype=bool)
    linear = problem.m == 0
    for _ in range(GAUSS_NEWTON_STEPS):
        z = here.qtr
        length = float(np.sqrt(z @ z))
        if not linear:
            second = curvature(problem, here)
            if second is None:
                rate = None
            elif here.f.rank:
                K = second[0]
                rate = float(np.linalg.eigvalsh(K)[-1])
                if rate < 1.0:
                    z = np.linalg.solve(np.eye(len(K)) - K, z)
                    length = float(np.sqrt(z @ z))
            else:
                rate = 0.0
        elif length <= 1e-6 * sigma:
            rate = 0.0  # exactly solved and refined already: a further step would only add rounding
            break
        else:
            rate = 0.0
        if length >= last or problem.nfev >= max_nfev:
            break
        last = length
        p = here.p.copy()
        p[here.free] += here.step(z)
        if problem.bounded:
            inside = np.clip(p[here.free], lower, upper)
            if (inside != p[here.free]).any():
                hit[here.free[inside != p[here.free]]] = True
                break
        moved = np.abs(p - here.p).max() > 0 and (np.abs(p - here.p) > 4e-16 * np.abs(p)).any()
        if not moved:
            break
        trial = local(problem, p, held)
        if trial is None or trial.f.rank != here.f.rank or trial.chi2 > best.chi2 * (1.0 + 1e-9):
            break
        here = trial
        if float(np.sqrt(here.qtr @ here.qtr)) <= float(np.sqrt(best.qtr @ best.qtr)) or here.chi2 < best.chi2:
            best = here
    qtr = best.qtr
    return Polished(best, float(np.sqrt(qtr @ qtr)) / sigma if sigma > 0 else 0.0, rate, hit)
