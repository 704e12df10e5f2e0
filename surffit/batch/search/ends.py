"""What a fit ends with: errors, degrees of freedom, and the flags that only the end can tell."""

from __future__ import annotations

import numpy as np

from ...solve.linear import factor
from ...solve.polish import pseudo_inverse
from ...solve.status import CONVERGED, Status
from ..maps import Maps
from ..task import Options
from .walk import Ended, cholesky, solved, sums, unit_diagonal

__all__ = ["PIVOT", "by_qr", "fill", "held_at"]

PIVOT = 1e-8  # squared, of unit-norm columns: below, the sums of products have lost too many digits
UNDETERMINED = 1e-10  # share of a parameter in the null space above which it is undetermined
LAST = 1e-2  # of an error: a last step up to this length is taken without another look, a longer one is no minimum
FAR = 1e3  # times its start: a parameter has gone far off
CONDITION = 1e9  # of unit-norm columns: beyond, a parameter far off has left the region that the data speak about
SLACK = 1e-6  # of the columns' norms: gradients on a bound that count as none


def held_at(p: np.ndarray, g: np.ndarray, size: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Parameters (n, M) on a bound from which chi-square, falling along g, doesn't pull them back inside."""
    slack = SLACK * size
    return np.asarray(((p <= lower) & (g <= slack)) | ((p >= upper) & (g >= -slack)))


def fill(
    out: Maps, index: np.ndarray, end: Ended, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, nobs: np.ndarray,
    nonlinear: list[int], options: Options,
) -> None:  # fmt: skip
    """
    Write the ends of the fits of a stack into their places.

    Parameters
    ----------
    out : Maps
    index : ndarray of int, shape (n,)
        Places.
    end : Ended
    start, lower, upper : ndarray, shape (n, M)
    nobs : ndarray of int, shape (n,)
    nonlinear : list of int
        Which parameters were searched.
    options : Options
    """
    out.nfev[index] = end.nfev
    bad = (end.status & np.uint32(Status.NONFINITE_START)) != 0
    for flag in np.unique(end.status[bad]).tolist():
        out.fail(index[bad & (end.status == flag)], flag)
    keep = np.flatnonzero(~bad)
    if not len(keep):
        return
    p, r, J, chi2, status = (a[keep] for a in (end.p, end.r, end.J, end.chi2, end.status))
    index, start, lower, upper, nobs = (a[keep] for a in (index, start, lower, upper, nobs))
    n, M = p.shape
    g, H = sums(r, J)
    diag = np.einsum("nkk->nk", H)
    held = held_at(p, g, np.sqrt(diag * chi2[:, None]), lower, upper)
    dead = diag == 0
    free = ~held & ~dead
    C, s = unit_diagonal(H, free)
    L, least = cholesky(C)
    inverse = np.empty_like(C)
    for k in range(M):
        e = np.zeros((n, M))
        e[:, k] = 1.0
        inverse[:, :, k] = solved(L, e)
    step = solved(L, np.where(free, g / s, 0.0)) / s
    inverse /= s[:, :, None] * s[:, None, :]
    rank = free.sum(axis=1)
    undetermined = dead & ~held
    poor = np.flatnonzero(~(least > PIVOT) & free.any(axis=1))
    condition, length = np.ones(n), np.zeros(n)
    for q in poor.tolist():
        found = by_qr(J[q], r[q], np.flatnonzero(free[q]))
        if found is None:
            continue
        inverse[q], step[q], lost, rank[q], condition[q], length[q] = found
        undetermined[q] |= lost
        status[q] |= np.uint32(Status.QR_FALLBACK)
    dof = nobs - rank
    with np.errstate(all="ignore"):
        variance = np.where(dof > 0, chi2 / dof, np.nan)
        scale = variance if options.scale_covar else np.ones(n)
        sd = np.sqrt(np.einsum("nkk->nk", inverse) * scale[:, None])
    sd[undetermined] = np.inf
    sd[held] = np.nan
    # what the sums of products still see of a step
    small = (np.abs(step) <= LAST * np.where(free, sd, np.inf)) | (step == 0)
    goal = p + step
    take = small.all(axis=1) & ((goal >= lower) & (goal <= upper) | held).all(axis=1) & ((status & np.uint32(CONVERGED)) != 0)
    moves = take[:, None] & free
    p[moves] = goal[moves]
    gain = np.zeros(n)
    for k in range(M):
        gain += np.where(moves[:, k], g[:, k] * step[:, k], 0.0)
    chi2 = np.maximum(chi2 - gain, 0.0)
    _flag(status, p, start, nonlinear, held, dead, undetermined, condition, length, np.sqrt(np.abs(variance)), poor)
    out.values[:, index], out.stderr[:, index], out.chisqr[index] = p.T, sd.T, chi2
    out.nfree[index], out.status[index] = dof, out.status[index] | status
    if out.covar is not None:
        covar = inverse * scale[:, None, None]
        off = held | undetermined
        covar[off] = np.nan
        np.swapaxes(covar, 1, 2)[off] = np.nan
        covar[:, np.arange(M), np.arange(M)] = np.where(undetermined, np.inf, np.einsum("nkk->nk", covar))
        out.covar[..., index] = np.moveaxis(covar, 0, -1)


def by_qr(J: np.ndarray, r: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, float, float] | None:
    """Inverse of J J', step, undetermined parameters, rank, condition and length of the step of one fit, by orthogonal transformations."""
    f = factor(np.ascontiguousarray(J[free]))
    if f is None or not f.rank:
        return None
    M = len(J)
    root = np.zeros((M, f.rank))
    root[free] = pseudo_inverse(f) / f.scale[:, None]
    lost = np.zeros(M, dtype=bool)
    if f.rank < len(free):
        null = f.null_space()
        lost[free[np.einsum("ij,ij->j", null, null) > UNDETERMINED]] = True
    z = f.qt(r)
    condition = float(f.pivots.max() / f.pivots.min()) if f.rank == len(free) else np.inf
    return root @ root.T, root @ z, lost, f.rank, condition, float(np.sqrt(z @ z))


def _flag(
    status: np.ndarray, p: np.ndarray, start: np.ndarray, nonlinear: list[int], held: np.ndarray, dead: np.ndarray,
    undetermined: np.ndarray, condition: np.ndarray, length: np.ndarray, sigma: np.ndarray, poor: np.ndarray,
) -> None:  # fmt: skip
    """What a single fit would say of such an end (in place)."""
    status[held.any(axis=1)] |= np.uint32(Status.AT_BOUND)
    status[undetermined.any(axis=1)] |= np.uint32(Status.RANK_DEFICIENT)
    status[(dead & ~held)[:, nonlinear].any(axis=1)] |= np.uint32(Status.NO_EFFECT_AT_START)
    begun = np.abs(start[:, nonlinear])
    far = ((begun > 0) & (np.abs(p[:, nonlinear]) > FAR * begun)).any(axis=1)
    for q in poor.tolist():
        if status[q] & np.uint32(Status.MAX_NFEV):
            continue
        lost = far[q] and condition[q] >= CONDITION
        if length[q] > LAST * sigma[q] and not status[q] & np.uint32(Status.CONVERGED_GRADIENT):
            status[q] = status[q] & ~np.uint32(CONVERGED) | np.uint32(Status.RUNAWAY if far[q] and condition[q] >= 1e6 else Status.STALLED)
        elif lost:
            status[q] = status[q] & ~np.uint32(CONVERGED) | np.uint32(Status.RUNAWAY)
