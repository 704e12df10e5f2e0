"""
Levenberg-Marquardt for many small data sets, compiled once for all models.

The model comes as a first-class function, so a new model compiles its own kernel (`surffit.trace.scalar`) and nothing else. The
walk: Gauss-Newton steps damped by the diagonal of the normal matrix (Moré 1978), in unit scale, with bounds held natively. The
rules that end it are those of `Options`: see `fit_many`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from ..solve.status import Status
from .compiled import compiled
from .ending import finish
from .small import SAFE, cholesky, dot, solve

__all__ = ["KERNEL", "drive"]

_LINE, _TABLE = types.Array(types.float64, 1, "C"), types.Array(types.float64, 2, "C")
# chi2 = kern(X, first, p, y, w, r, J): residuals (y - f) w and their slopes w df/dp
KERNEL = types.float64(_TABLE, types.int64, _LINE, _LINE, _LINE, _LINE, _TABLE)
_COUNTS, _FLAGS = types.Array(types.int32, 1, "C"), types.Array(types.uint32, 1, "C")
_PLACES, _BOOLS = types.Array(types.int64, 1, "C"), types.Array(types.boolean, 1, "C")
_DRIVE = types.void(
    types.FunctionType(KERNEL), _TABLE, _PLACES, _PLACES, _LINE, _LINE, _FLAGS, _TABLE, _BOOLS, _TABLE, _TABLE, types.boolean,
    types.int64, types.float64, types.float64, types.float64,
    _TABLE, types.Array(types.float64, 3, "C"), _LINE, _COUNTS, _COUNTS, _COUNTS, _FLAGS,
)  # fmt: skip

FTOL, XTOL, GRADIENT = (int(s) for s in (Status.CONVERGED_FTOL, Status.CONVERGED_XTOL, Status.CONVERGED_GRADIENT))
MAX_NFEV, STALLED = int(Status.MAX_NFEV), int(Status.STALLED)
NONFINITE_START, FEW_POINTS, NO_DATA = int(Status.NONFINITE_START), int(Status.FEW_POINTS), int(Status.NO_DATA)
LARGEST_DAMPING = 1e16


@compiled(error_model="numpy")
def linear_starts(kern, X, first, p, y, w, r, J, linear, lower, upper, A, b, s, dp, free):
    """Least-squares values of the linear parameters at the others' starts (in place), clipped to their bounds."""
    m = 0
    for k in range(linear.shape[0]):
        if linear[k]:
            p[k] = 0.0
            free[m] = k
            m += 1
    if not math.isfinite(kern(X, first, p, y, w, r, J)):
        return
    for a in range(m):
        s[a] = math.sqrt(dot(J[free[a]], J[free[a]]))
        if not (s[a] > 0.0 and math.isfinite(s[a])):
            s[a] = 1.0
    for a in range(m):
        b[a] = dot(J[free[a]], r) / s[a]
        for e in range(a):
            A[a, e] = dot(J[free[a]], J[free[e]]) / (s[a] * s[e])
        A[a, a] = 1.0 + 1e-12
    if not cholesky(A, m) > 0.0:
        return
    solve(A, b, dp, m)
    for a in range(m):
        value = dp[a] / s[a]
        if math.isfinite(value):
            k = free[a]
            p[k] = min(max(value, lower[k]), upper[k])


@compiled(fastmath=SAFE, error_model="numpy")
def slopes(J, r, H, g):
    """Normal matrix (both triangles) and gradient; slopes that are not finite (0 * inf at a removable point) count as none."""
    for k in range(g.shape[0]):
        g[k] = dot(J[k], r)
        for i in range(k + 1):
            H[k, i] = H[i, k] = dot(J[k], J[i])
        if not math.isfinite(H[k, k]):
            for i in range(J.shape[1]):
                if not math.isfinite(J[k, i]):
                    J[k, i] = 0.0
            g[k] = dot(J[k], r)
            for i in range(k + 1):
                H[k, i] = H[i, k] = dot(J[k], J[i])


@compiled(_DRIVE, error_model="numpy")
def drive(
    kern, X, x_offsets, offsets, y, w, skip, P, linear, lower, upper, known_errors, max_nfev, ftol, xtol, gtol,
    stderr, covar, chisqr, nobs, nfree, nfev, status,
):  # fmt: skip
    """
    Fit the data sets of a block one after the other.

    Parameters
    ----------
    kern : first-class function of type `KERNEL`
    X, x_offsets, offsets, y, w : ndarray
        As in `Rows`.
    skip : ndarray of uint32, shape (n,)
        Data sets that are not fitted, with their flags.
    P : ndarray, shape (n, M + fixed)
        Starts of the M free parameters, then the fixed ones; the answers afterwards.
    linear : ndarray of bool, shape (M,)
        Parameters that need no start.
    lower, upper : ndarray, shape (n, M)
    known_errors : bool
        Whether 1/w are the data's errors; otherwise they are scaled by the scatter.
    max_nfev, ftol, xtol, gtol
        When to stop.
    stderr, covar, chisqr, nobs, nfree, nfev, status : ndarray
        Filled in; `covar` (n, M, M), or (0, M, M) if it isn't wanted.
    """
    n, M, K = skip.shape[0], linear.shape[0], P.shape[1]
    H, A = np.zeros((M, M)), np.zeros((M, M))
    g, dp, s, b = np.zeros(M), np.zeros(M), np.zeros(M), np.zeros(M)
    dmax, first_scale, begin = np.zeros(M), np.zeros(M), np.zeros(M)
    free = np.zeros(M, np.int64)
    p, trial = np.zeros(K), np.zeros(K)
    length = -1
    J, J2, r, r2 = np.empty((M, 0)), np.empty((M, 0)), np.empty(0), np.empty(0)
    some_linear = False
    for k in range(M):
        some_linear |= linear[k]
    for q in range(n):
        if skip[q] != 0:
            status[q] = skip[q]
            continue
        D = offsets[q + 1] - offsets[q]
        Y, W = y[offsets[q] : offsets[q + 1]], w[offsets[q] : offsets[q + 1]]
        if length != D:
            length = D
            J, J2, r, r2 = np.empty((M, D)), np.empty((M, D)), np.empty(D), np.empty(D)
        first, size = x_offsets[q], 0.0
        low, high = lower[q], upper[q]
        for i in range(D):
            nobs[q] += W[i] != 0.0
            size += (Y[i] * W[i]) ** 2
        if nobs[q] == 0:
            status[q] = NO_DATA
            continue
        if nobs[q] < M:
            status[q] = FEW_POINTS
            continue
        usable = True
        for k in range(K):
            p[k] = P[q, k]
            if k < M:
                if linear[k] and not math.isfinite(p[k]):
                    p[k] = 0.0
                p[k] = min(max(p[k], low[k]), high[k])
            usable &= math.isfinite(p[k])
        if not usable:
            status[q] = NONFINITE_START
            continue
        count = 0
        if some_linear:
            linear_starts(kern, X, first, p, Y, W, r, J, linear, low, high, A, b, s, dp, free)
            count = 1
        c = kern(X, first, p, Y, W, r, J)
        count += 1
        if not math.isfinite(c):
            status[q], nfev[q] = NONFINITE_START, count
            continue
        lam, fresh, flag, m = 1e-3, True, 0, 0
        dmax[:] = 0.0
        for k in range(M):
            begin[k] = p[k]
        while True:
            if fresh:
                slopes(J, r, H, g)
                fresh, m, cosine = False, 0, 0.0
                for k in range(M):
                    dmax[k] = max(dmax[k], H[k, k])
                    held = (p[k] <= low[k] and g[k] < 0.0) or (p[k] >= high[k] and g[k] > 0.0)
                    if not held and dmax[k] > 0.0:
                        free[m] = k
                        m += 1
                        if H[k, k] > 0.0 and c > 0.0:
                            cosine = max(cosine, abs(g[k]) / math.sqrt(H[k, k] * c))
                if count <= 2:
                    for k in range(M):
                        first_scale[k] = math.sqrt(c / H[k, k]) if H[k, k] > 0.0 else 0.0
                if cosine <= gtol or c <= 1e-30 * size or m == 0:
                    flag = GRADIENT
                    break
            if count >= max_nfev:
                flag = MAX_NFEV
                break
            for a in range(m):
                k = free[a]
                s[a] = math.sqrt(H[k, k] if H[k, k] > 1e-12 * dmax[k] else dmax[k])
            for a in range(m):
                k = free[a]
                b[a] = g[k] / s[a]
                for e in range(a):
                    A[a, e] = H[k, free[e]] / (s[a] * s[e])
                A[a, a] = H[k, k] / (s[a] * s[a]) + lam
            better = False
            if cholesky(A, m) > 0.0:
                solve(A, b, dp, m)
                for k in range(K):
                    trial[k] = p[k]
                for a in range(m):
                    k = free[a]
                    trial[k] = min(max(p[k] + dp[a] / s[a], low[k]), high[k])
                promised, moved, length2 = 0.0, 0.0, 0.0
                for a in range(m):
                    k = free[a]
                    step = trial[k] - p[k]
                    promised += 2.0 * g[k] * step
                    moved += H[k, k] * step * step
                    length2 += H[k, k] * p[k] * p[k]
                    for e in range(m):
                        promised -= step * H[k, free[e]] * (trial[free[e]] - p[free[e]])
                after = kern(X, first, trial, Y, W, r2, J2)
                count += 1
                better = after <= c  # nan compares False: a point without a value is a rejected step
                if better:
                    gain, before, c = c - after, c, after
                    for k in range(K):
                        p[k] = trial[k]
                    J, J2, r, r2, fresh = J2, J, r2, r, True
                    if gain <= ftol * before and promised <= ftol * before:
                        flag = FTOL
                    elif moved <= xtol * xtol * length2 and lam <= 1.0:
                        flag = XTOL
                    elif gain > 0.25 * promised:
                        lam *= 0.1
                elif 0.0 <= promised <= ftol * c:
                    flag = FTOL  # only rounding is left to gain
            if flag:
                break
            if not better:
                lam *= 10.0
                if lam > LARGEST_DAMPING:
                    flag = STALLED
                    break
        if fresh:
            slopes(J, r, H, g)
        nfev[q], chisqr[q] = count, c
        wanted = covar[q] if covar.shape[0] else A
        nfree[q], more = finish(
            p, begin, first_scale, low, high, linear, J, J2, H, g, c, nobs[q], known_errors, flag, stderr[q], wanted, covar.shape[0] > 0
        )
        status[q] = flag | more
        for k in range(K):
            P[q, k] = p[k]
