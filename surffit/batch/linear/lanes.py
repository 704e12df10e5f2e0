"""
Kernels for linear models over 64 neighbouring data sets at a time.

The innermost loop always runs over data sets and holds one arithmetic statement, so that it becomes vector code although every data set
is a fit of its own; the numbers of 64 data sets stay in the nearest cache, and the array is read once, in its own order and number type.
No sum runs over data sets: a data set's numbers don't depend on its neighbours, whichever lane it stands in.

K columns: ``V`` (K, D) in the basis of `linear_basis`, ``T`` back to the user's coefficients, ``one`` the user's coefficients of 1.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numba import boolean, float64, from_dtype, int32, int64, types, uint8, void

from ..compiled import compiled

__all__ = ["common_kernel", "weighted_kernel"]

LANES = 64
# no reassociation: products may be fused with sums, nothing else may move; no entry for C, which takes time to compile
FLAGS = {"fastmath": {"contract"}, "error_model": "numpy", "no_cfunc_wrapper": True}


# a difference of sums this much larger than itself still has 11 digits; beyond, residuals are squared
CLOSE = 1e4


@compiled(**FLAGS)
def _rows(t, base, lanes, points, s, whole, y0, f0, along):
    """Weighted data of 64 data sets, what is subtracted from all subtracted; missing lanes repeat the last."""
    last = len(lanes) - 1
    for d in range(len(points)):
        td, o = t[d], points[d]
        if whole:
            run = base[lanes[s] + o : lanes[s] + o + LANES]
            for q in range(LANES):
                td[q] = run[q] - y0[q]
        else:
            for q in range(LANES):
                td[q] = base[lanes[min(s + q, last)] + o] - y0[q]
        if len(f0):
            away = f0[d]
            for q in range(LANES):
                td[q] -= away
        if len(along):
            factor = along[d]
            for q in range(LANES):
                td[q] *= factor


@compiled(**FLAGS)
def _residuals(t, Q, g, lever, chi2, worst):
    """Residuals in place of the data; their chi-square and the largest square in units of `lever`."""
    for q in range(LANES):
        chi2[q] = 0.0
        worst[q] = 0.0
    for d in range(len(t)):
        td = t[d]
        for i in range(0, len(Q), 2):
            f1, f2, g0, g1 = Q[i, d], Q[i + 1, d], g[i], g[i + 1]
            for q in range(LANES):
                td[q] = (td[q] - f1 * g0[q]) - f2 * g1[q]
        for q in range(LANES):
            chi2[q] += td[q] * td[q]
        if len(lever):
            factor = lever[d]
            for q in range(LANES):
                worst[q] = max(worst[q], factor * (td[q] * td[q]))


def _common(base, lanes, points, together, f0, along, Q, lever, T, one, subtract, values, chisqr, worst, again):
    """
    Fits that share columns and weights (but for a factor, which is not its business).

    Memory decides: data are read once, two points at a time, and only coefficients and chi-square are written.

    Parameters
    ----------
    base, lanes, points, together : as in `Window`
        The number of points D is even: a last one may be there twice, and then doesn't count.
    f0 : ndarray, shape (D,) or (0,)
        What is subtracted from all.
    along : ndarray, shape (D,) or (0,)
        Weights along the fit axis, 0 where a point doesn't count; (0,): all 1.
    Q : ndarray, shape (K rounded up to even, D)
        Orthonormal columns for the weighted data, 0 where a point or column doesn't count.
    lever : ndarray, shape (D,) or (0,)
        ``1 / (1 - h)`` for the search for outliers.
    T : ndarray, shape (K, K)
        The user's coefficients are ``T @ Q @ weighted data`` and
    one : ndarray, shape (K,)
        times the first point, where that is subtracted from all
    subtract : bool
    values, chisqr, worst, again : ndarray
        Results: coefficients; chi-square; largest ``lever r^2``; 1 where a data set must be looked at one by one.

    Returns
    -------
    int
        Whether there are such.
    """
    K, D, n = len(T), len(points), len(lanes)
    t = np.empty((D, LANES))
    g = np.empty((len(Q), LANES))
    y0, yy, chi2, row, most = np.zeros(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
    some = 0
    for s in range(0, n, LANES):
        m = min(LANES, n - s)
        whole = together and m == LANES
        first = points[0]
        if subtract and whole:
            run = base[lanes[s] + first : lanes[s] + first + LANES]
            for q in range(LANES):
                y0[q] = run[q]
        elif subtract:
            for q in range(LANES):
                y0[q] = base[lanes[min(s + q, n - 1)] + first]
        ready = not whole or len(f0) + len(along) + len(lever) > 0
        if ready:
            _rows(t, base, lanes, points, s, whole, y0, f0, along)
        for i in range(0, len(Q), 2):
            # squares count once: what comes with further columns goes nowhere
            g0, g1, total = g[i], g[i + 1], yy if i == 0 else row
            for q in range(LANES):
                g0[q] = 0.0
                g1[q] = 0.0
                total[q] = 0.0
            for d in range(0, D, 2):
                a, b, c, e = Q[i, d], Q[i, d + 1], Q[i + 1, d], Q[i + 1, d + 1]
                # the order of the sums is written out: both copies give the same numbers
                if ready:
                    t1, t2 = t[d], t[d + 1]
                    for q in range(LANES):
                        v1, v2 = t1[q], t2[q]
                        g0[q] = (g0[q] + a * v1) + b * v2
                        g1[q] = (g1[q] + c * v1) + e * v2
                        total[q] = (total[q] + v1 * v1) + v2 * v2
                else:
                    o, p = lanes[s] + points[d], lanes[s] + points[d + 1]
                    r1, r2 = base[o : o + LANES], base[p : p + LANES]
                    for q in range(LANES):
                        v1, v2 = r1[q] - y0[q], r2[q] - y0[q]
                        g0[q] = (g0[q] + a * v1) + b * v2
                        g1[q] = (g1[q] + c * v1) + e * v2
                        total[q] = (total[q] + v1 * v1) + v2 * v2
        for q in range(LANES):
            chi2[q] = yy[q]
        for i in range(K):
            gi = g[i]
            for q in range(LANES):
                chi2[q] -= gi[q] * gi[q]
        for q in range(LANES):
            row[q] = 0.0 if chi2[q] * CLOSE >= yy[q] else 1.0
        close = 0.0
        for q in range(LANES):
            close = max(close, row[q])
        if close > 0.0 or len(lever):
            if not ready:
                _rows(t, base, lanes, points, s, whole, y0, f0, along)
            _residuals(t, Q, g, lever, yy, most)
            for q in range(LANES):
                chi2[q] = yy[q] if row[q] > 0.0 else chi2[q]
            for q in range(m if len(lever) else 0):
                worst[s + q] = most[q]
            wrong = 0.0
            for q in range(LANES):
                row[q] = 0.0 if chi2[q] - chi2[q] == 0.0 else 1.0
            for q in range(LANES):
                wrong = max(wrong, row[q])
            if wrong > 0.0:
                some = 1
                for q in range(m):
                    again[s + q] = row[q] != 0.0
        place = chisqr[s : s + m]
        for q in range(m):
            place[q] = chi2[q]
        for k in range(K):
            factor = one[k]
            for q in range(LANES):
                row[q] = factor * y0[q]
            for i in range(K):
                factor = T[k, i]
                if factor != 0.0:
                    gi = g[i]
                    for q in range(LANES):
                        row[q] += factor * gi[q]
            place = values[k, s : s + m]
            for q in range(m):
                place[q] = row[q]
    return some


def _weighted(
    t, w, wkind, mask, f0, V, T, one, subtract, omit, scale_covar, look, critical, guard,
    values, stderr, chisqr, nobs, covar, again,
):  # fmt: skip
    """
    Fits with weights and masks of their own, by normal equations.

    Parameters
    ----------
    t, w : ndarray, shape (D, n), n a multiple of 64
        Data and errors, which are overwritten. Columns beyond those of `again` may hold anything.
    wkind : int
        What `w` holds: 0 nothing, 1 weights, 2 sigma.
    mask : ndarray of uint8, shape (D, n) or (0, 0)
        1 = excluded.
    f0, one, subtract : as in `_common`
    V : ndarray, shape (K, D)
    T : ndarray, shape (K, K)
        From coefficients of `V` to the user's.
    omit : bool
        Leave out points that are not finite; otherwise their data set is looked at one by one.
    scale_covar : bool
    look : int
        Search for outliers: 0 no, 1 against chi-square, leverage included, 2 against known errors, 3 against chi-square, as they are.
    critical : ndarray, shape (D + 1,)
        Threshold by number of points.
    guard : float
        Smallest ratio of a pivot to what it was; below it the data set is looked at one by one.
    values, stderr, chisqr, nobs, covar, again : ndarray
        Results; `again` is 1 where a data set must be looked at one by one.
    """
    K, D = V.shape
    n = len(again)
    NP = K * (K + 1) // 2
    G = np.empty((NP, LANES))
    b = np.empty((K, LANES))
    M = np.empty((K * K, LANES))
    diagonal = np.empty((K, LANES))
    u = np.empty((K, LANES))
    first = np.empty(LANES)
    row = np.empty(LANES)
    count = np.empty(LANES)
    bad = np.empty(LANES)
    chi2 = np.empty(LANES)
    worst = np.empty(LANES)
    pivot = np.empty(LANES)
    s2 = np.empty(LANES)
    masked = mask.shape[0] > 0
    at = np.empty((K, K), dtype=np.int64)  # where element (i, j) of the upper triangle stands
    number = 0
    for i in range(K):
        for j in range(i, K):
            at[i, j] = number
            number += 1
    for s in range(0, n, LANES):
        m = min(LANES, n - s)
        for q in range(LANES):
            count[q] = 0.0
            bad[q] = 0.0
            first[q] = 0.0
        for d in range(D):
            # slices: the compiler need not fear negative indices
            td, wd = t[d, s : s + LANES], w[d, s : s + LANES]
            # errors that are none (negative, nan) become nan
            if wkind == 0:
                for q in range(LANES):
                    wd[q] = 1.0
            elif wkind == 1:
                for q in range(LANES):
                    value = wd[q]
                    wd[q] = value if value >= 0.0 else math.nan
            elif wkind == 2:
                for q in range(LANES):
                    sigma = wd[q]
                    inverse = 1.0 / sigma
                    wd[q] = inverse if sigma > 0.0 else math.nan
            if masked:
                md = mask[d, s : s + LANES]
                for q in range(LANES):
                    value = wd[q]
                    wd[q] = 0.0 if md[q] else value
            # 0 for what is excluded, 1 for what is used; both factors, as 0 nan is nan
            for q in range(LANES):
                value, factor = td[q], wd[q]
                finite = (value - value == 0.0) & (factor - factor == 0.0) & (factor >= 0.0)
                square = factor * factor
                bad[q] += 0.0 if finite | (factor == 0.0) else 1.0
                wd[q] = square if finite else 0.0
            for q in range(LANES):
                value, before = td[q], first[q]
                first[q] = value if (wd[q] > 0.0) & (count[q] == 0.0) else before
            for q in range(LANES):
                count[q] += 1.0 if wd[q] > 0.0 else 0.0
        for q in range(LANES):
            first[q] = first[q] if subtract else 0.0
        for i in range(NP):
            for q in range(LANES):
                G[i, q] = 0.0
        for i in range(K):
            for q in range(LANES):
                b[i, q] = 0.0
        for d in range(D):
            td, wd = t[d, s : s + LANES], w[d, s : s + LANES]
            away = f0[d] if len(f0) else 0.0
            for q in range(LANES):
                value = (td[q] - first[q]) - away
                td[q] = value if wd[q] > 0.0 else 0.0
            for i in range(K):
                factor = V[i, d]
                for q in range(LANES):
                    row[q] = factor * wd[q]
                for q in range(LANES):
                    b[i, q] += row[q] * td[q]
                for j in range(i, K):
                    factor = V[j, d]
                    ij = at[i, j]
                    for q in range(LANES):
                        G[ij, q] += factor * row[q]
        # LDL' by rows of the upper triangle; what is below a pivot of 0 becomes nan and is looked at again
        for i in range(K):
            ii = at[i, i]
            for q in range(LANES):
                diagonal[i, q] = G[ii, q]
        for q in range(LANES):
            pivot[q] = 1.0
        for i in range(K):
            ii = at[i, i]
            for q in range(LANES):
                row[q] = 1.0 / G[ii, q]
                ratio = G[ii, q] / diagonal[i, q]
                pivot[q] = pivot[q] if ratio >= pivot[q] else ratio
            for q in range(LANES):
                diagonal[i, q] = row[q]
            # rows of L' take the place of D L'; the diagonal holds 1 / D
            for j in range(i + 1, K):
                ij = at[i, j]
                for q in range(LANES):
                    row[q] = G[ij, q] * diagonal[i, q]
                for q in range(LANES):
                    b[j, q] -= row[q] * b[i, q]
                for k in range(j, K):
                    ik, jk = at[i, k], at[j, k]
                    for q in range(LANES):
                        G[jk, q] -= row[q] * G[ik, q]
            for j in range(i + 1, K):
                ij = at[i, j]
                for q in range(LANES):
                    G[ij, q] *= diagonal[i, q]
            for q in range(LANES):
                b[i, q] *= diagonal[i, q]
        for i in range(K - 1, -1, -1):
            for j in range(i + 1, K):
                ij = at[i, j]
                for q in range(LANES):
                    b[i, q] -= G[ij, q] * b[j, q]
        # M = L^-1 T': covariance M' D^-1 M of the user's coefficients
        for k in range(K):
            for i in range(K):
                factor = T[k, i]
                for q in range(LANES):
                    M[i * K + k, q] = factor
            for i in range(K):
                for j in range(i + 1, K):
                    ij = at[i, j]
                    for q in range(LANES):
                        M[j * K + k, q] -= G[ij, q] * M[i * K + k, q]
        for q in range(LANES):
            chi2[q] = 0.0
            worst[q] = 0.0
        for d in range(D):
            td, wd = t[d, s : s + LANES], w[d, s : s + LANES]
            for i in range(K):
                factor = V[i, d]
                for q in range(LANES):
                    td[q] -= factor * b[i, q]
            for q in range(LANES):
                chi2[q] += wd[q] * (td[q] * td[q])
        if look:
            for d in range(D):
                td, wd = t[d, s : s + LANES], w[d, s : s + LANES]
                for q in range(LANES):
                    row[q] = 0.0
                if look < 3:
                    for i in range(K):
                        factor = V[i, d]
                        for q in range(LANES):
                            u[i, q] = factor
                    for i in range(K):
                        for j in range(i + 1, K):
                            ij = at[i, j]
                            for q in range(LANES):
                                u[j, q] -= G[ij, q] * u[i, q]
                        for q in range(LANES):
                            row[q] += u[i, q] * u[i, q] * diagonal[i, q]
                for q in range(LANES):
                    rest = 1.0 - wd[q] * row[q]
                    size = wd[q] * (td[q] * td[q]) / rest
                    size = size if rest > 1e-10 else 0.0
                    worst[q] = max(worst[q], size)
        for q in range(m):
            enough = count[q] >= K
            fine = enough & (pivot[q] >= guard) & (chi2[q] - chi2[q] == 0.0) & (omit or bad[q] == 0.0)
            if look:
                limit = critical[int(count[q])]
                fine &= not worst[q] > (limit if look == 2 else limit * chi2[q])
            again[s + q] = not fine
            chisqr[s + q] = chi2[q]
            nobs[s + q] = int(count[q])
        for q in range(LANES):
            s2[q] = 1.0
            if scale_covar:
                left = count[q] - K
                s2[q] = chi2[q] / left if left > 0.0 else math.nan
        for k in range(K):
            factor = one[k]
            for q in range(LANES):
                row[q] = factor * first[q]
            for i in range(K):
                factor = T[k, i]
                if factor != 0.0:
                    for q in range(LANES):
                        row[q] += factor * b[i, q]
            place = values[k, s : s + m]
            for q in range(m):
                place[q] = row[q]
            for q in range(LANES):
                row[q] = 0.0
            for i in range(K):
                ik = i * K + k
                for q in range(LANES):
                    row[q] += M[ik, q] * M[ik, q] * diagonal[i, q]
            for q in range(LANES):
                row[q] = math.sqrt(row[q] * s2[q])
            place = stderr[k, s : s + m]
            for q in range(m):
                place[q] = row[q]
            for j in range(K if covar.shape[0] else 0):
                for q in range(LANES):
                    row[q] = 0.0
                for i in range(K):
                    ik, ij = i * K + k, i * K + j
                    for q in range(LANES):
                        row[q] += M[ik, q] * M[ij, q] * diagonal[i, q]
                for q in range(m):
                    covar[k, j, s + q] = row[q] * s2[q]


# types are stated, so that the same code serves views of maps and whole maps
OFFSETS, LINE, TABLE = int64[::1], float64[::1], types.Array(float64, 2, "C")
RESULT, RESULTS, PAIRS = types.Array(float64, 1, "A"), types.Array(float64, 2, "A"), types.Array(float64, 3, "A")


def _memory(kind: str) -> Any:
    return types.Array(from_dtype(np.dtype(kind)), 1, "C", readonly=True)


@cache
def common_kernel(kind: str) -> Any:
    """`_common` for data of this number type ("f4", "u2", ...), compiled on first use."""
    data = (_memory(kind), OFFSETS, OFFSETS, boolean, LINE)
    model = (LINE, TABLE, LINE, TABLE, LINE, boolean)
    return compiled(int64(*data, *model, RESULTS, RESULT, LINE, uint8[::1]), **FLAGS)(_common)


@cache
def weighted_kernel() -> Any:
    """`_weighted`, compiled on first use."""
    data = (TABLE, TABLE, int64, types.Array(uint8, 2, "C"), LINE)
    model = (TABLE, TABLE, LINE, boolean, boolean, boolean, int64, LINE, float64)
    results = (RESULTS, RESULTS, RESULT, types.Array(int32, 1, "A"), PAIRS, uint8[::1])
    return compiled(void(*data, *model, *results), **FLAGS)(_weighted)
