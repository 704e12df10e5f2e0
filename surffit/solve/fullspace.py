"""Walks in all parameters at once, by scipy: MINPACK for small problems, the trust region for second tries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .problem import Problem, finite
from .status import Status

Callback = Callable[[np.ndarray, np.ndarray, float], bool]


def minpack(problem: Problem, start: np.ndarray, tolerance: float, max_nfev: int) -> np.ndarray | None:
    """Levenberg-Marquardt with exact derivatives and without bounds; None where it did not arrive."""
    from scipy.optimize import leastsq

    # MINPACK asks for derivatives only where it has just asked for the value: one evaluation gives both
    seen: list[np.ndarray | None] = [None]

    def left(p: np.ndarray) -> np.ndarray:
        full = problem.full(p)
        if full is None:
            seen[0] = None
            return problem.residual(p)
        seen[0] = full[1]
        return full[0]

    def slopes(p: np.ndarray) -> np.ndarray:
        J = seen[0]
        if J is None:
            raise _NoSlopesError
        return -J

    try:
        end, _, _, _, ier = leastsq(
            left, start, Dfun=slopes, col_deriv=True, full_output=True, ftol=tolerance, xtol=tolerance, maxfev=max_nfev
        )
    except (_NoSlopesError, TypeError):  # the latter: fewer points than parameters
        return None
    arrived = ier in (1, 2, 3) and finite(end)
    return end if arrived else None


class _NoSlopesError(ArithmeticError):
    """Derivatives are not finite at a trial point."""


def trust_region(problem: Problem, p: np.ndarray, max_nfev: int, callback: Callback | None = None) -> tuple[np.ndarray | None, Status]:
    """scipy's trust-region reflective solver in the full space, with exact derivatives and column scaling."""
    from scipy.optimize import least_squares

    lower, upper = problem.lower, problem.upper
    span = np.where(np.isfinite(upper - lower), upper - lower, 1.0)
    inside = np.clip(p, lower + 1e-10 * span, upper - 1e-10 * span) if problem.bounded else p
    stopped: list[np.ndarray] = []

    def fun(q: np.ndarray) -> np.ndarray:
        return -problem.residual(q)

    def jac(q: np.ndarray) -> np.ndarray:
        # asked for once per accepted step
        if callback is not None and callback(q[: problem.m], q[problem.m :], np.nan):
            stopped.append(q.copy())
            raise StopIteration
        full = problem.full(q)
        # the point itself was finite; a derivative that isn't leaves the parameter where it is
        return np.zeros((problem.N, problem.n)) if full is None else full[1].T

    left = max(max_nfev - problem.nfev, 20)
    try:
        found = least_squares(fun, inside, jac, bounds=(lower, upper), x_scale="jac", ftol=1e-8, xtol=1e-8, gtol=1e-8, max_nfev=left)
    except StopIteration:
        return stopped[-1], Status.ABORTED
    except (ValueError, np.linalg.LinAlgError):  # not finite at the start, or no step could be computed
        return None, Status.STALLED
    return np.asarray(found.x), Status.CONVERGED_FTOL
