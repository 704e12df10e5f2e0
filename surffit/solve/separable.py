r"""
Variable projection: the walk in the non-linear parameters alone.

At every alpha the linear parameters are solved for exactly, c(alpha); what is left, r(alpha) = (I - QQ')(y - f0), is
walked down by Levenberg-Marquardt with Kaufman's Jacobian -(I - QQ')D, which needs no derivative of the linear columns
and whose gradient -D'r is exact (L. Kaufman, BIT 15 (1975) 49; G. Golub, V. Pereyra, Inverse Problems 19 (2003) R1).

The walk sees an `Engine`: two operations, `inner` (solve the linear part at alpha) and `system` (reduced normal matrix
and gradient there). `DenseEngine` works on whole columns with QR; normal equations, for long data and where derivatives
are exact, stand in `gram`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.linalg.lapack import dposv

from .linear import Factor, bounded, factor, solve
from .problem import Problem, finite
from .status import Status

# the walk stops at this fraction of a standard deviation; the polish, which converges faster there, does the rest
STEP_IN_SIGMA = 1e-2
RELATIVE_GAIN = 1e-15
# a column of which less than this share is left beside the linear columns has no effect of its own
IMITATED = 1e-13
FAR = 1e150
# no parameter grows by more than this factor in one step
LEAP = 30.0
LAMBDA_MAX = 1e16


@dataclass(slots=True, eq=False)
class Inner:
    """The linear part solved at one alpha."""

    alpha: np.ndarray
    c: np.ndarray
    chi2: float
    work: Any  # what the engine wants to find again in `system`


class Engine(Protocol):
    """How the walk looks at a problem."""

    problem: Problem
    noise: float  # absolute rounding error of chi-square
    m: int  # how many parameters are searched: the first m

    def inner(self, alpha: np.ndarray) -> Inner | None:
        """Solve for the linear parameters; None where the model isn't finite."""

    def system(self, point: Inner) -> tuple[np.ndarray, np.ndarray] | None:
        """Reduced normal matrix (m, m) and descent direction D'r (m,); None where derivatives aren't finite."""


@dataclass(slots=True, eq=False)
class Walk:
    """Where the walk ended."""

    alpha: np.ndarray
    c: np.ndarray
    chi2: float
    status: Status


class DenseEngine:
    """Whole columns in memory, QR for the linear part."""

    noise = 0.0

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.m = problem.m

    def inner(self, alpha: np.ndarray) -> Inner | None:
        problem = self.problem
        columns = problem.columns(alpha)
        if columns is None:
            return None
        target, phi = columns
        if not problem.k:
            return Inner(alpha, np.empty(0), float(target @ target), None)
        f = factor(phi, problem.jac_error)
        if f is None:
            return None
        c, r = solve(f, target)
        if problem.linear_bounded:
            lower, upper = problem.lower[problem.m :], problem.upper[problem.m :]
            if (c < lower).any() or (c > upper).any():
                solved = bounded(phi, target, lower, upper, f)
                if solved is None:
                    return None
                c, r, active = solved
                # columns held on a bound are known numbers here: only the free ones are projected out
                f = factor(phi[active == 0], problem.jac_error)
        chi2 = float(r @ r)
        return Inner(alpha, c, chi2, f) if np.isfinite(chi2) else None

    def system(self, point: Inner) -> tuple[np.ndarray, np.ndarray] | None:
        problem = self.problem
        full = problem.full(np.concatenate([point.alpha, point.c]))
        if full is None:
            return None
        r, D = full[0], full[1][: problem.m]
        f: Factor | None = point.work
        g = D @ r
        if f is not None and f.rank:
            q, whole = f.q, D
            D = whole - (whole @ q) @ q.T
            A = D @ D.T
            # what the linear parameters can imitate is rounding here; stepping along it would lead anywhere
            imitated = A.diagonal() <= max(IMITATED, 10.0 * problem.jac_error) ** 2 * np.einsum("ij,ij->i", whole, whole)
            if imitated.any():
                A[imitated, :] = A[:, imitated] = 0.0
                g[imitated] = 0.0
        else:
            A = D @ D.T
        return (A, g) if finite(A) else None


def walk(
    engine: Engine,
    start: Inner,
    *,
    max_nfev: int,
    sigma_known: bool = False,
    callback: Callable[[np.ndarray, np.ndarray, float], bool] | None = None,
) -> Walk:
    """
    Levenberg-Marquardt in the non-linear parameters, the linear ones solved at every point.

    Parameters
    ----------
    engine : Engine
    start : Inner
        `engine.inner` at the start, which lies within the bounds.
    max_nfev : int
        Limit of the problem's evaluations.
    sigma_known : bool
        Judge steps against unit variance when that is smaller than the residual variance.
    callback : callable, optional
        Called with (alpha, c, chi2) after every accepted step; a true answer stops the walk.

    Returns
    -------
    Walk
    """
    problem = engine.problem
    m = engine.m
    lower, upper = problem.lower[:m], problem.upper[:m]
    point = start
    dof = max(problem.N - problem.n, 1)
    lam, up = 1e-3, 2.0
    # a column that is nearly zero where the walk starts (an angle between equal widths) promises steps of any length
    reach = np.where(start.alpha == 0.0, 1.0, np.abs(start.alpha))
    while True:
        if callback is not None and callback(point.alpha, point.c, point.chi2):
            return Walk(point.alpha, point.c, point.chi2, Status.ABORTED)
        system = engine.system(point)
        if system is None:
            return Walk(point.alpha, point.c, point.chi2, Status.STALLED)
        A, g = system
        d2 = A.diagonal().copy()
        if problem.bounded or not d2.min() > 0:
            held = ~(d2 > 0) | ((point.alpha <= lower) & (g < 0)) | ((point.alpha >= upper) & (g > 0))
            if held.all():
                return Walk(point.alpha, point.c, point.chi2, Status.CONVERGED_GRADIENT)
            A[held, :] = A[:, held] = 0.0
            g[held] = 0.0
            d2[held] = 1.0
            A[held, held] = 1.0
        # a -2 ln L, counted from anywhere, may be negative; its rows know their errors
        sigma = math.sqrt(point.chi2 / dof) if point.chi2 >= 0.0 else problem.unit
        if sigma_known:
            sigma = min(sigma, problem.unit)
        floor = max(sigma, problem.noise)
        while True:
            damped = A.copy()
            damped.flat[:: m + 1] += lam * d2
            step, info = dposv(damped, g, overwrite_a=1)[1:]
            new = point.alpha + step
            longest = LEAP * np.maximum(np.abs(point.alpha), reach)
            if problem.bounded or (np.abs(step) > longest).any():
                new = np.minimum(np.maximum(point.alpha + np.clip(step, -longest, longest), lower), upper)
                step = new - point.alpha
            length = math.sqrt(d2 @ (step * step))
            trial = None
            # no step where rounding has spoilt the definiteness, nor where squares leave float64
            if not info and length < FAR and all(map(_near, new.tolist())):
                predicted = float(2.0 * (g @ step) - step @ (A @ step))
                if lam < 0.1 and length <= STEP_IN_SIGMA * floor:
                    # what chi-square is there, the polish will see
                    return Walk(new, point.c, point.chi2, Status.CONVERGED_GRADIENT)
                if length == 0.0 or abs(predicted) <= RELATIVE_GAIN * point.chi2 + engine.noise:
                    return Walk(point.alpha, point.c, point.chi2, Status.CONVERGED_FTOL)
                trial = engine.inner(new)
            if trial is not None and predicted > 0 and trial.chi2 <= point.chi2 + engine.noise:
                lam *= max(1.0 / 3.0, 1.0 - (2.0 * (point.chi2 - trial.chi2) / predicted - 1.0) ** 3)
                up = 2.0
                point = trial
                break
            lam *= up
            up *= 2.0
            if lam > LAMBDA_MAX:
                return Walk(point.alpha, point.c, point.chi2, Status.STALLED)
            if problem.nfev >= max_nfev:
                break
        if problem.nfev >= max_nfev:
            return Walk(point.alpha, point.c, point.chi2, Status.MAX_NFEV)


def _near(value: float) -> bool:
    return -FAR < value < FAR
