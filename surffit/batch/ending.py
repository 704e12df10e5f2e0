"""Where a walk has ended: the covariance there, a last step, and what the end is like, in flags."""

from __future__ import annotations

import math

import numpy as np

from ..solve.status import Status
from .compiled import compiled
from .small import cholesky, dot, independent, solve

__all__ = ["finish"]

RANK_DEFICIENT, AT_BOUND, RUNAWAY = int(Status.RANK_DEFICIENT), int(Status.AT_BOUND), int(Status.RUNAWAY)
NO_EFFECT, QR_FALLBACK = int(Status.NO_EFFECT_AT_START), int(Status.QR_FALLBACK)
CONVERGED = int(Status.CONVERGED_FTOL | Status.CONVERGED_XTOL | Status.CONVERGED_GRADIENT)
# below this squared pivot the normal matrix has lost half of its digits
LEAST_PIVOT = 1e-8
# a step taken without a further call of the model must be this small against the errors
SMALL_STEP = 0.01
# a parameter this many times its first step away from the start has run away
FAR = 1e8


@compiled(error_model="numpy")
def finish(p, begin, first_scale, low, high, linear, J, Q, H, g, c, nobs, known_errors, flag, stderr, covar, whole):
    """
    Errors of one data set at the end of its walk.

    Parameters
    ----------
    p : ndarray, shape (K,)
        The end, moved by a last Gauss-Newton step where that is small against the errors.
    begin, first_scale : ndarray, shape (M,)
        Start, and the size of a step there.
    low, high, linear : ndarray, shape (M,)
    J, Q : ndarray, shape (M, points)
        Slopes at the end, and space for as many numbers.
    H, g : ndarray
        Normal matrix and gradient.
    c : float
        chi2.
    nobs : int
    known_errors : bool
    flag : int
        How the walk ended.
    stderr : ndarray, shape (M,)
        Filled in.
    covar : ndarray, shape (M, M)
        Filled in where `whole`.
    whole : bool

    Returns
    -------
    nfree : int
        Points minus determined parameters.
    more : int
        Further flags.
    """
    M = linear.shape[0]
    free = np.empty(M, np.int64)
    s = np.empty(M)
    m, more = 0, 0
    for k in range(M):
        stderr[k] = math.nan
        if (p[k] <= low[k] and g[k] <= 0.0) or (p[k] >= high[k] and g[k] >= 0.0):
            more |= AT_BOUND
        elif not H[k, k] > 0.0:
            # what the model doesn't feel is undetermined
            stderr[k] = math.inf
            more |= NO_EFFECT
        else:
            free[m] = k
            s[m] = math.sqrt(H[k, k])
            m += 1
    A, C = np.empty((m, m)), np.zeros((m, m))
    for a in range(m):
        for e in range(a + 1):
            A[a, e] = H[free[a], free[e]] / (s[a] * s[e])
    lost = np.zeros(m, np.bool_)
    rank = m
    if m == 0 or cholesky(A, m) > LEAST_PIVOT:
        unit, column = np.zeros(m), np.empty(m)
        for a in range(m):
            unit[a] = 1.0
            solve(A, unit, column, m)
            unit[a] = 0.0
            for e in range(m):
                C[e, a] = column[e]
    else:
        more |= QR_FALLBACK
        rank = orthogonal(J, Q, free, s, m, C, lost)
        if rank < m:
            more |= RANK_DEFICIENT
    nfree = nobs - rank
    scale = 1.0 if known_errors else (c / nfree if nfree > 0 else math.nan)
    for a in range(m):
        k = free[a]
        stderr[k] = math.inf if lost[a] else math.sqrt(C[a, a] * scale) / s[a]
    if rank == m and m and flag & CONVERGED:
        last_step(p, low, high, free, m, s, C, g, c, nobs)
    far = False
    for a in range(m):
        k = free[a]
        distance = abs(p[k] - begin[k])
        if not linear[k] and distance > FAR * (first_scale[k] + abs(begin[k])) and not stderr[k] < abs(p[k]):
            far = True
    if far:
        more |= RUNAWAY
    if whole:
        for k in range(M):
            for i in range(M):
                covar[k, i] = math.nan
            if math.isinf(stderr[k]):
                covar[k, k] = math.inf
        for a in range(m):
            for e in range(m):
                if not (lost[a] or lost[e]):
                    covar[free[a], free[e]] = C[a, e] * scale / (s[a] * s[e])
    return nfree, more


@compiled(error_model="numpy")
def orthogonal(J, Q, free, s, m, C, lost):
    """Inverse of the scaled normal matrix by QR of the slopes; parameters in a null direction are `lost`. Returns the rank."""
    R, order = np.zeros((m, m)), np.empty(m, np.int64)
    for a in range(m):
        for i in range(J.shape[1]):
            Q[a, i] = J[free[a], i] / s[a]
    rank = independent(Q, m, R, order)
    inverse = np.zeros((rank, rank))
    for j in range(rank):
        inverse[j, j] = 1.0 / R[j, j]
        for i in range(j - 1, -1, -1):
            t = 0.0
            for k in range(i + 1, j + 1):
                t -= R[i, k] * inverse[k, j]
            inverse[i, j] = t / R[i, i]
    # null directions: a dependent column against what it takes of the independent ones
    for j in range(rank, m):
        lost[order[j]] = True
        for i in range(rank):
            t = 0.0
            for k in range(i, rank):
                t += inverse[i, k] * R[k, j]
            if abs(t) > 1e-6:
                lost[order[i]] = True
    for i in range(rank):
        for j in range(rank):
            C[order[i], order[j]] = dot(inverse[i], inverse[j])
    return rank


@compiled(error_model="numpy")
def last_step(p, low, high, free, m, s, C, g, c, nobs):
    """One Gauss-Newton step with the factorisation at hand, where it is small against the errors and inside the bounds (in place)."""
    step = np.empty(m)
    sigma2 = c / max(nobs - m, 1)
    for a in range(m):
        t = 0.0
        for e in range(m):
            t += C[a, e] * g[free[e]] / s[e]
        k = free[a]
        step[a] = t / s[a]
        after = p[k] + step[a]
        if not (t * t <= SMALL_STEP**2 * C[a, a] * sigma2 and low[k] < after < high[k]):
            return
    for a in range(m):
        p[free[a]] += step[a]
