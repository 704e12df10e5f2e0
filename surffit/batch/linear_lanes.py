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

from .compiled import compiled

__all__ = ["common_kernel", "weighted_kernel"]

LANES = 64
# no reassociation: products may be fused with sums, nothing else may move
FLAGS = {"fastmath": {"contract"}, "error_model": "numpy"}


@compiled(**FLAGS)
def neighbours(lanes, s, m):
    """Whether 64 data sets lie side by side."""
    together = m == LANES
    if together:
        for q in range(LANES):
            together &= lanes[s + q] == lanes[s] + q
    return together


@compiled(**FLAGS)
def load(base, lanes, together, s, m, point, table, d):
    """One point of up to 64 data sets into row d of a table; missing lanes repeat the last."""
    if together:
        # a slice: the compiler need not fear negative indices
        begin = lanes[s] + point
        run = base[begin : begin + LANES]
        for q in range(LANES):
            table[d, q] = run[q]
    else:
        for q in range(LANES):
            table[d, q] = base[lanes[s + min(q, m - 1)] + point]


def _common(
    base, lanes, points, scale_lanes, scales, inverse, f0, V, B, T, one, subtract, a2, lever, C, nfree, critical, rms,
    values, stderr, chisqr, covar, again,
):  # fmt: skip
    """
    Fits that share columns and weights up to a factor per data set.

    Parameters
    ----------
    base, lanes, points : as in `Window`
    scales, scale_lanes : ndarray
        Factor of the weights of each data set (its inverse where not `inverse`).
    f0 : ndarray, shape (D,) or (0,)
        What is subtracted from all.
    V : ndarray, shape (K, D + 3)
        Padded with zeros, as four points are summed at a time.
    B : ndarray, shape (K, D + 3)
        Pseudo-inverse: coefficients are ``B @ y``.
    a2 : ndarray, shape (D,)
        Squared weights along the fit axis.
    lever : ndarray, shape (D,) or (0,)
        ``a2 / (1 - h)`` for the search for outliers.
    C : ndarray, shape (K, K)
        Covariance of the user's coefficients for unit weights.
    critical : float
        A data set is looked at again if ``lever r^2`` exceeds `critical` times chi-square (`rms`) or `critical` alone.
    values, stderr, chisqr, covar, again : ndarray
        Results; `again` is 1 where a data set must be looked at one by one.
    """
    K, D = V.shape[0], len(points)
    n = len(lanes)
    t = np.zeros((D + 3, LANES))
    g = np.zeros((K + 1, LANES))
    y0 = np.zeros((1, LANES))
    chi2 = np.empty(LANES)
    worst = np.empty(LANES)
    b = np.ones((1, LANES))
    s2 = np.empty(LANES)
    row = np.empty(LANES)
    for s in range(0, n, LANES):
        m = min(LANES, n - s)
        together = neighbours(lanes, s, m)
        if subtract:
            load(base, lanes, together, s, m, points[0], y0, 0)
        for d in range(D):
            load(base, lanes, together, s, m, points[d], t, d)
            away = f0[d] if len(f0) else 0.0
            for q in range(LANES):
                t[d, q] = (t[d, q] - y0[0, q]) - away
        for i in range(K):
            for q in range(LANES):
                row[q] = 0.0
            for d in range(0, D, 4):
                f1, f2, f3, f4 = B[i, d], B[i, d + 1], B[i, d + 2], B[i, d + 3]
                for q in range(LANES):
                    row[q] += f1 * t[d, q] + f2 * t[d + 1, q] + f3 * t[d + 2, q] + f4 * t[d + 3, q]
            for q in range(LANES):
                g[i, q] = row[q]
        for q in range(LANES):
            chi2[q] = 0.0
            worst[q] = 0.0
        for d in range(D):
            for i in range(0, K, 2):
                f1, f2 = V[i, d], V[i + 1, d] if i + 1 < K else 0.0
                for q in range(LANES):
                    t[d, q] -= f1 * g[i, q] + f2 * g[i + 1, q]
            factor = a2[d]
            for q in range(LANES):
                chi2[q] += factor * (t[d, q] * t[d, q])
            if len(lever):
                factor = lever[d]
                for q in range(LANES):
                    worst[q] = max(worst[q], factor * (t[d, q] * t[d, q]))
        if len(scales):
            load(scales, scale_lanes, neighbours(scale_lanes, s, m), s, m, 0, b, 0)
            for q in range(LANES):
                b[0, q] = 1.0 / (b[0, q] * b[0, q]) if inverse else b[0, q] * b[0, q]
        # b is sigma^2 now; chi2 is still without it
        for q in range(LANES):
            row[q] = chi2[q] / b[0, q]
        for q in range(m):
            chisqr[s + q] = row[q]
        wrong = 0.0
        for q in range(LANES):
            limit = critical * (chi2[q] if rms else b[0, q])
            row[q] = 0.0 if (row[q] - row[q] == 0.0) & (b[0, q] > 0.0) & (not worst[q] > limit) else 1.0
        for q in range(LANES):
            wrong = max(wrong, row[q])
        if wrong > 0.0:
            for q in range(m):
                again[s + q] = row[q] != 0.0
        part = 1.0 / nfree if nfree > 0 else math.nan
        for q in range(LANES):
            s2[q] = part * chi2[q] if nfree >= 0 else b[0, q]
        for k in range(K):
            factor = one[k]
            for q in range(LANES):
                row[q] = factor * y0[0, q]
            for i in range(K):
                factor = T[k, i]
                if factor != 0.0:
                    for q in range(LANES):
                        row[q] += factor * g[i, q]
            for q in range(m):
                values[k, s + q] = row[q]
            factor = C[k, k]
            for q in range(LANES):
                row[q] = math.sqrt(factor * s2[q])
            for q in range(m):
                stderr[k, s + q] = row[q]
            if covar.shape[0]:
                for j in range(K):
                    factor = C[k, j]
                    for q in range(m):
                        covar[k, j, s + q] = factor * s2[q]


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
    f0, V, T, one, subtract : as in `_common`, not padded
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
            if wkind == 0:
                for q in range(LANES):
                    w[d, s + q] = 1.0
            elif wkind == 2:
                for q in range(LANES):
                    w[d, s + q] = 1.0 / w[d, s + q] if w[d, s + q] > 0.0 else math.nan
            if masked:
                for q in range(LANES):
                    w[d, s + q] = 0.0 if mask[d, s + q] else w[d, s + q]
            # 0 for what is excluded, 1 for what is used; both factors, as 0 nan is nan
            for q in range(LANES):
                finite = (t[d, s + q] - t[d, s + q] == 0.0) & (w[d, s + q] - w[d, s + q] == 0.0)
                bad[q] += 0.0 if finite | (w[d, s + q] == 0.0) else 1.0
                w[d, s + q] = w[d, s + q] * w[d, s + q] if finite else 0.0
            for q in range(LANES):
                first[q] = t[d, s + q] if (w[d, s + q] > 0.0) & (count[q] == 0.0) else first[q]
                count[q] += 1.0 if w[d, s + q] > 0.0 else 0.0
        for q in range(LANES):
            first[q] = first[q] if subtract else 0.0
        for i in range(NP):
            for q in range(LANES):
                G[i, q] = 0.0
        for i in range(K):
            for q in range(LANES):
                b[i, q] = 0.0
        for d in range(D):
            away = f0[d] if len(f0) else 0.0
            for q in range(LANES):
                t[d, s + q] = (t[d, s + q] - first[q]) - away if w[d, s + q] > 0.0 else 0.0
            for i in range(K):
                factor = V[i, d]
                for q in range(LANES):
                    row[q] = factor * w[d, s + q]
                for q in range(LANES):
                    b[i, q] += row[q] * t[d, s + q]
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
            for i in range(K):
                factor = V[i, d]
                for q in range(LANES):
                    t[d, s + q] -= factor * b[i, q]
            for q in range(LANES):
                chi2[q] += w[d, s + q] * (t[d, s + q] * t[d, s + q])
        if look:
            for d in range(D):
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
                    rest = 1.0 - w[d, s + q] * row[q]
                    size = w[d, s + q] * (t[d, s + q] * t[d, s + q]) / rest
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
            for q in range(m):
                values[k, s + q] = row[q]
            for q in range(LANES):
                row[q] = 0.0
            for i in range(K):
                ik = i * K + k
                for q in range(LANES):
                    row[q] += M[ik, q] * M[ik, q] * diagonal[i, q]
            for q in range(LANES):
                row[q] = math.sqrt(row[q] * s2[q])
            for q in range(m):
                stderr[k, s + q] = row[q]
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
def common_kernel(kind: str, error: str) -> Any:
    """`_common` for data and errors of these number types ("f4", "u2", ...), compiled on first use."""
    data = (_memory(kind), OFFSETS, OFFSETS, OFFSETS, _memory(error), boolean)
    model = (LINE, TABLE, TABLE, TABLE, LINE, boolean, LINE, LINE, TABLE, int64, float64, boolean)
    return compiled(void(*data, *model, RESULTS, RESULTS, RESULT, PAIRS, uint8[::1]), **FLAGS)(_common)


@cache
def weighted_kernel() -> Any:
    """`_weighted`, compiled on first use."""
    data = (TABLE, TABLE, int64, types.Array(uint8, 2, "C"), LINE)
    model = (TABLE, TABLE, LINE, boolean, boolean, boolean, int64, LINE, float64)
    results = (RESULTS, RESULTS, RESULT, types.Array(int32, 1, "A"), PAIRS, uint8[::1])
    return compiled(void(*data, *model, *results), **FLAGS)(_weighted)
