"""
Last steps by orthogonal transformations, where sums of products have lost the digits.

A line over times near 1.7e9 has columns that are parallel to nine digits: the sums J J' hold nothing of their difference, and a gradient
that is small against the columns may still be many errors long. Their QR decomposition sees it.
"""

from __future__ import annotations

import numpy as np

from ...solve.status import CONVERGED
from ..data.stack import Stack
from .ends import PIVOT, by_qr, held_at
from .rowmodel import RowModel
from .walk import Ended, cholesky, sums, unit_diagonal, weighted

__all__ = ["refine"]

STEPS = 8
SHORT = 1e-6  # of the residuals' length: a step that lowers them by less than its square is none


def refine(model: RowModel, stack: Stack, end: Ended, known: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
    """
    Take Gauss-Newton steps from where fits with nearly dependent columns have arrived (in place).

    Parameters
    ----------
    model : RowModel
    stack : Stack
    end : Ended
        Fits that haven't converged are left alone.
    known, lower, upper : ndarray, shape (n, K), (n, M), (n, M)
    """
    left = np.flatnonzero((end.status & np.uint32(CONVERGED)) != 0)
    for _ in range(STEPS):
        left, step = _steps(end, left, lower, upper)
        if not len(left):
            return
        trial = np.clip(end.p[left] + step, lower[left], upper[left])
        some = stack.take(left)
        r, J, c = weighted(model, some, trial, known[left], lower[left], upper[left])
        end.nfev[left] += 1
        better = np.isfinite(J).all(axis=(1, 2)) & (c < end.chi2[left])
        left = left[better]
        end.p[left], end.r[left], end.J[left], end.chi2[left] = trial[better], r[better], J[better], c[better]


def _steps(end: Ended, left: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of these fits have a step to take, and the steps."""
    J, r, chi2 = end.J[left], end.r[left], end.chi2[left]
    g, H = sums(r, J)
    diag = np.einsum("nkk->nk", H)
    free = ~held_at(end.p[left], g, np.sqrt(diag * chi2[:, None]), lower[left], upper[left]) & (diag > 0)
    _, least = cholesky(unit_diagonal(H, free)[0])
    going, steps = [], []
    for q in np.flatnonzero(~(least > PIVOT) & free.any(axis=1)).tolist():
        found = by_qr(J[q], r[q], np.flatnonzero(free[q]))
        if found is None:
            continue
        step, length = found[1], found[5]
        if np.isfinite(step).all() and length > SHORT * np.sqrt(chi2[q]):
            going.append(q)
            steps.append(step)
    return left[going], np.array(steps).reshape(len(going), end.p.shape[1])
