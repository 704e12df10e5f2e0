"""
Levenberg-Marquardt in lock-step: every fit of a stack takes its own step at the same time, and leaves when it has arrived.

Sums run along the points of one fit and nothing else mixes fits, so that none of them depends on the others, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...solve.status import Status
from ..data.stack import Stack
from ..task import Options
from .rowmodel import RowModel

__all__ = ["Ended", "cholesky", "linear_solve", "solved", "sums", "unit_diagonal", "walk", "weighted"]

START = 1e-3  # damping
STUCK = 1e16
VANISHED = 1e-30  # of the data's own sum of squares: an exact fit
NEAR = 1e-8  # of chi-square: what a step gains that is small against the parameters
COLUMN = 1e-12  # of the largest a column has been: below, it is damped by that
PIVOT = 1e-12  # of unit-norm linear columns, to be solved for


@dataclass(eq=False)
class Ended:
    """
    Where the fits of a stack have ended.

    Attributes
    ----------
    p : ndarray, shape (n, M)
    r, J : ndarray, shape (n, D), (n, M, D)
        Weighted residuals (data - model) and derivatives of the model there.
    chi2 : ndarray, shape (n,)
    status : ndarray of uint32, shape (n,)
    nfev : ndarray of int, shape (n,)
    """

    p: np.ndarray
    r: np.ndarray
    J: np.ndarray
    chi2: np.ndarray
    status: np.ndarray
    nfev: np.ndarray


def weighted(
    model: RowModel, stack: Stack, p: np.ndarray, known: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted residuals, derivatives and their sum of squares; excluded points count nothing whatever the model is there."""
    f, J = model.full(p, known, stack.x, lower, upper)
    r = (stack.y - f) * stack.w
    J *= stack.w[:, None, :]
    if stack.hole is not None:
        r[stack.hole] = 0.0
        J[np.broadcast_to(stack.hole[:, None, :], J.shape)] = 0.0
    return r, J, np.einsum("nd,nd->n", r, r)


def sums(r: np.ndarray, J: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J r, (n, M), and J J', (n, M, M)."""
    M = J.shape[1]
    g, H = np.empty(J.shape[:2]), np.empty((len(J), M, M))
    for k in range(M):
        g[:, k] = np.einsum("nd,nd->n", J[:, k], r)
        for j in range(k + 1):
            H[:, k, j] = H[:, j, k] = np.einsum("nd,nd->n", J[:, k], J[:, j])
    return g, H


def unit_diagonal(H: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal matrices (n, M, M) in unit scale, those parameters that are not `free` (n, M) decoupled, and the scales (n, M)."""
    diag = np.einsum("nkk->nk", H)
    s = np.where(free, np.sqrt(np.where(free, diag, 1.0)), 1.0)
    C = H / (s[:, :, None] * s[:, None, :])
    C[~free] = 0.0
    np.swapaxes(C, 1, 2)[~free] = 0.0
    np.einsum("nkk->nk", C)[...] = 1.0
    return C, s


def cholesky(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower factors of matrices (n, M, M), and their smallest squared pivots, (n,); without meaning where these aren't positive."""
    L = np.zeros_like(A)
    least = np.full(len(A), np.inf)
    for j in range(A.shape[1]):
        d = A[:, j, j].copy()
        for k in range(j):
            d -= L[:, j, k] * L[:, j, k]
        least = np.where(d < least, d, np.where(np.isnan(d), np.nan, least))
        root = np.sqrt(np.maximum(d, np.finfo(float).tiny))
        L[:, j, j] = root
        for i in range(j + 1, A.shape[1]):
            e = A[:, i, j].copy()
            for k in range(j):
                e -= L[:, i, k] * L[:, j, k]
            L[:, i, j] = e / root
    return L, least


def solved(L: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solutions (n, M) of L L' x = b."""
    x = b.copy()
    M = b.shape[1]
    for i in range(M):
        for k in range(i):
            x[:, i] -= L[:, i, k] * x[:, k]
        x[:, i] /= L[:, i, i]
    for i in reversed(range(M)):
        for k in range(i + 1, M):
            x[:, i] -= L[:, k, i] * x[:, k]
        x[:, i] /= L[:, i, i]
    return x


def linear_solve(r: np.ndarray, J: np.ndarray) -> np.ndarray:
    """
    Coefficients (n, k) of the weighted columns J (n, k, D) that lower the residuals r most.

    A column that depends on those before it gets 0.
    """
    b, G = sums(r, J)
    n, k = b.shape
    scale = np.sqrt(np.einsum("nkk->nk", G))
    scale[~(scale > 0)] = 1.0
    A = G / (scale[:, :, None] * scale[:, None, :])
    b = b / scale
    out = np.ones((n, k), dtype=bool)
    # forward elimination with dependent columns left out
    for i in range(k):
        out[:, i] = ~(A[:, i, i] > PIVOT)
        pivot = np.where(out[:, i], 1.0, A[:, i, i])
        A[:, i, i] = pivot
        for j in range(i + 1, k):
            f = np.where(out[:, i], 0.0, A[:, j, i] / pivot)
            b[:, j] -= f * b[:, i]
            A[:, j, i:] -= f[:, None] * A[:, i, i:]
    c = np.zeros((n, k))
    for i in reversed(range(k)):
        e = b[:, i].copy()
        for j in range(i + 1, k):
            e -= A[:, i, j] * c[:, j]
        c[:, i] = np.where(out[:, i], 0.0, e / A[:, i, i])
    return np.asarray(c / scale)


def _start(
    model: RowModel, stack: Stack, p: np.ndarray, known: np.ndarray, lower: np.ndarray, upper: np.ndarray, linear: list[int]
) -> tuple[np.ndarray, int]:
    """Starts within the bounds, with the linear parameters solved for; and how often the model was evaluated."""
    p = np.clip(p, lower, upper)
    if not linear:
        return p, 0
    p[:, linear] = 0.0
    r, J, _ = weighted(model, stack, p, known, lower, upper)
    p[:, linear] = linear_solve(r, J[:, linear])
    return np.clip(p, lower, upper), 1


def walk(
    model: RowModel, stack: Stack, p: np.ndarray, known: np.ndarray, lower: np.ndarray, upper: np.ndarray, linear: list[int],
    options: Options,
) -> Ended:  # fmt: skip
    """
    Fit the data sets of a stack.

    Parameters
    ----------
    model : RowModel
    stack : Stack
    p : ndarray, shape (n, M)
        Starts; those of linear parameters are not looked at, nan for others ends in NONFINITE_START.
    known, lower, upper : ndarray, shape (n, K), (n, M), (n, M)
    linear : list of int
        Which parameters are linear.
    options : Options

    Returns
    -------
    Ended
    """
    ftol, xtol, gtol = options.ftol, options.xtol, options.gtol
    p, calls = _start(model, stack, p, known, lower, upper, linear)
    r, J, c = weighted(model, stack, p, known, lower, upper)
    n, M = p.shape
    end = Ended(p, r, J, c, np.zeros(n, dtype=np.uint32), np.full(n, calls + 1))
    end.status[~(np.isfinite(c) & np.isfinite(J).all(axis=(1, 2)))] = np.uint32(Status.NONFINITE_START)
    yy = np.einsum("nd,nd->n", stack.w * stack.y, stack.w * stack.y)
    live = np.flatnonzero(end.status == 0)
    if not len(live):
        return end
    p, r, J, c, known, lower, upper, yy = (a[live] for a in (p, r, J, c, known, lower, upper, yy))
    stack = stack.take(live)
    nfev, lam, dmax = end.nfev[live], np.full(len(live), START), np.zeros((len(live), M))
    g, H = sums(r, J)
    while True:
        diag = np.einsum("nkk->nk", H)
        dmax = np.maximum(dmax, diag)
        held = ((p <= lower) & (g < 0)) | ((p >= upper) & (g > 0))
        size = np.sqrt(diag * c[:, None])
        cosine = np.where(held | ~(size > 0), 0.0, np.abs(g) / np.where(size > 0, size, 1.0)).max(axis=1, initial=0.0)
        status = np.where((cosine <= gtol) | (c <= VANISHED * yy) | held.all(axis=1), np.uint32(Status.CONVERGED_GRADIENT), np.uint32(0))
        status[(status == 0) & (nfev >= options.max_nfev)] = np.uint32(Status.MAX_NFEV)
        # a step, in columns of unit norm
        s = np.where(diag > COLUMN * dmax, diag, dmax)
        s = np.sqrt(np.where(s > 0, s, 1.0))
        A = H / (s[:, :, None] * s[:, None, :])
        A[held] = 0.0
        np.swapaxes(A, 1, 2)[held] = 0.0
        steps = np.einsum("nkk->nk", A)
        steps += lam[:, None]
        steps[held] = 1.0
        L, pivot = cholesky(A)
        step = solved(L, np.where(held, 0.0, g / s)) / s
        trial = np.clip(p + step, lower, upper)
        wrong = ~(pivot > 0) | ~np.isfinite(trial).all(axis=1)
        trial[wrong] = p[wrong]
        step = trial - p
        pred = 2 * _dot(g, step) - _dot(step, np.stack([_dot(H[:, k], step) for k in range(M)], axis=1))
        moved = _dot(diag * step, step)
        rn, Jn, cn = weighted(model, stack, trial, known, lower, upper)
        sound = np.isfinite(Jn).all(axis=(1, 2)) & ~wrong
        going = status == 0
        nfev = nfev + going
        better = going & sound & (cn <= c)
        act = c - cn
        status[better & (act <= ftol * c) & (pred <= ftol * c)] |= np.uint32(Status.CONVERGED_FTOL)
        # far from zero a step may be small against the parameter, and long against its error
        tiny = (moved <= xtol**2 * _dot(diag * p, p)) & (pred <= NEAR * c)
        status[better & tiny & (lam <= 1)] |= np.uint32(Status.CONVERGED_XTOL)
        worse = going & ~better
        status[worse & ~wrong & (pred >= 0) & (pred <= ftol * c)] |= np.uint32(Status.CONVERGED_FTOL)
        lam = np.where(better & (act > 0.25 * pred), 0.1 * lam, np.where(worse, 10 * lam, lam))
        status[worse & (status == 0) & (lam > STUCK)] = np.uint32(Status.STALLED)
        p[better], r[better], J[better], c[better] = trial[better], rn[better], Jn[better], cn[better]
        done = status != 0
        if done.any():
            at = live[done]
            end.p[at], end.r[at], end.J[at], end.chi2[at] = p[done], r[done], J[done], c[done]
            end.status[at], end.nfev[at] = status[done], nfev[done]
            if done.all():
                return end
            left = np.flatnonzero(~done)
            live, stack = live[left], stack.take(left)
            p, r, J, c, known, lower, upper, yy = (a[left] for a in (p, r, J, c, known, lower, upper, yy))
            nfev, lam, dmax, g, H, better = nfev[left], lam[left], dmax[left], g[left], H[left], better[left]
        if better.all():
            g, H = sums(r, J)
        elif better.any():
            g[better], H[better] = sums(r[better], J[better])


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums of products along the last axis, one after the other."""
    out = a[:, 0] * b[:, 0]
    for k in range(1, a.shape[1]):
        out = out + a[:, k] * b[:, k]
    return np.asarray(out)
