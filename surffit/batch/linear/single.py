"""
Linear fits one data set at a time: QR where normal equations lose too much, rank, outliers dropped one after the other.

The same columns and results as in `linear_lanes`; what these lanes can't finish comes here, and so do data sets with their own coordinates.
"""

from __future__ import annotations

import math

import numpy as np

from ...solve.status import Status
from ..compiled import compiled

__all__ = ["single"]

FLAGS = {"fastmath": {"contract"}, "error_model": "numpy", "no_cfunc_wrapper": True}
SUMS = {
    "fastmath": {"contract", "reassoc"},
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}  # sums along one data set may run in several lanes
CONVERGED, NO_DATA, FEW_POINTS = int(Status.CONVERGED_GRADIENT), int(Status.NO_DATA), int(Status.FEW_POINTS)
RANK_DEFICIENT, CLIPPED, QR_FALLBACK = int(Status.RANK_DEFICIENT), int(Status.CLIPPED), int(Status.QR_FALLBACK)
EPS = 2.0**-52
GUARD = 1e-5  # smallest ratio of a pivot to what it was before elimination: normal equations keep 10 digits
UNDETERMINED = 1e-10  # share of a scaled parameter that lies in the null space


@compiled(**SUMS)
def product(a, b):
    """Sum of products of two lines."""
    total = 0.0
    for d in range(len(a)):
        total += a[d] * b[d]
    return total


@compiled(**FLAGS)
def residuals(y, V, v0, g, r):
    """y - g V for the columns that begin at v0."""
    n = len(y)
    for d in range(n):
        r[d] = y[d]
    for k in range(len(g)):
        column, factor = V[k, v0 : v0 + n], g[k]
        for d in range(n):
            r[d] -= factor * column[d]


@compiled(**FLAGS)
def normal(y, w, V, v0, G, b, root, g, z):
    """Normal equations of one data set; the smallest ratio of pivots. Fills coefficients g and root R with covariance R R'."""
    K, n = V.shape[0], len(y)
    for i in range(K):
        column = V[i, v0 : v0 + n]
        for d in range(n):
            z[d] = w[d] * w[d] * column[d]
        b[i] = product(z, y)
        for j in range(i, K):
            G[i, j] = product(z, V[j, v0 : v0 + n])
    least = math.inf
    for i in range(K):
        g[i] = G[i, i]
    for i in range(K):
        ratio = G[i, i] / g[i]
        if not ratio >= least:
            least = ratio
        for j in range(i + 1, K):
            factor = G[i, j] / G[i, i]
            b[j] -= factor * b[i]
            for k in range(j, K):
                G[j, k] -= factor * G[i, k]
    if not least >= GUARD:
        return least
    for i in range(K - 1, -1, -1):
        total = b[i]
        for j in range(i + 1, K):
            total -= G[i, j] * g[j]
        g[i] = total / G[i, i]
    # G = U' U / D with U = D L': the covariance's root is the inverse of D^(-1/2) U
    root[:] = 0.0
    for k in range(K):
        for i in range(k, -1, -1):
            total = 1.0 if i == k else 0.0
            if i == k:
                root[i, k] = 1.0 / math.sqrt(G[k, k])
            else:
                total = 0.0
                for j in range(i + 1, k + 1):
                    total -= G[i, j] * root[j, k]
                root[i, k] = total / G[i, i]
    return least


@compiled(**FLAGS)
def orthogonal(y, w, V, v0, A, r, order, root, g, null):
    """
    Column-pivoted Householder QR of one data set; its rank.

    Columns are scaled to unit norm first. Fills g and root as `normal` does, dependent coefficients 0, and the null space in `null`.
    """
    K, n = V.shape[0], len(y)
    norms = np.empty(K)
    for k in range(K):
        column = V[k, v0 : v0 + n]
        for d in range(n):
            A[k, d] = w[d] * column[d]
        total = product(A[k, :n], A[k, :n])
        norms[k] = math.sqrt(total) if total > 0.0 else 1.0
        for d in range(n):
            A[k, d] /= norms[k]
        order[k] = k
    for d in range(n):
        r[d] = w[d] * y[d]
    rank = K
    largest = 0.0
    for i in range(K):
        best, most = i, -1.0
        for k in range(i, K):
            total = product(A[k, i:n], A[k, i:n])
            if total > most:
                best, most = k, total
        size = math.sqrt(most)
        if i == 0:
            largest = size
        if not size > 10.0 * K * EPS * largest:
            rank = i
            break
        if best != i:
            for d in range(n):
                A[i, d], A[best, d] = A[best, d], A[i, d]
            order[i], order[best] = order[best], order[i]
        alpha = -size if A[i, i] > 0.0 else size
        A[i, i] -= alpha
        mirror = A[i, i:n]
        norm = product(mirror, mirror)
        for k in range(i + 1, K + 1):
            line = A[k, i:n] if k < K else r[i:n]
            total = 2.0 * product(mirror, line) / norm
            for d in range(n - i):
                line[d] -= total * mirror[d]
        # R's column i stands in A[i, :i] and here
        A[i, i] = alpha
    # inverse of the triangle R[i, k] = A[k, i], k >= i
    root[:] = 0.0
    g[:] = 0.0
    null[:] = 0.0
    work = np.zeros((K, K))
    for k in range(rank):
        for i in range(k, -1, -1):
            total = 1.0 if i == k else 0.0
            for j in range(i + 1, k + 1):
                total -= A[j, i] * work[j, k]
            work[i, k] = total / A[i, i]
    for i in range(rank):
        total = 0.0
        for k in range(i, rank):
            root[order[i], k] = work[i, k] / norms[order[i]]
            total += work[i, k] * r[k]
        g[order[i]] = total / norms[order[i]]
    for k in range(rank, K):
        null[order[k], k - rank] = 1.0 / norms[order[k]]
        for i in range(rank):
            total = 0.0
            for j in range(i, rank):
                total -= work[i, j] * A[k, j]
            null[order[i], k - rank] = total / norms[order[i]]
    return rank


@compiled(**FLAGS)
def settle_null(T, size, null, lost, c, share):
    """The null space in scaled parameters, orthonormal; the coefficients with the smallest norm; `share` of each parameter in it."""
    K = len(c)
    N = np.zeros((K, lost))
    for k in range(K):
        for j in range(lost):
            total = 0.0
            for i in range(K):
                total += T[k, i] * null[i, j]
            N[k, j] = total * size[k]
    share[:] = 0.0
    for j in range(lost):
        for _ in range(2):
            for i in range(j):
                total = 0.0
                for k in range(K):
                    total += N[k, i] * N[k, j]
                for k in range(K):
                    N[k, j] -= total * N[k, i]
            total = 0.0
            for k in range(K):
                total += N[k, j] * N[k, j]
            for k in range(K):
                N[k, j] /= math.sqrt(total)
        total = 0.0
        for k in range(K):
            share[k] += N[k, j] * N[k, j]
    for j in range(lost):
        total = 0.0
        for k in range(K):
            total += N[k, j] * c[k] * size[k] if share[k] > UNDETERMINED else 0.0
        for k in range(K):
            if share[k] > UNDETERMINED:
                c[k] -= total * N[k, j] / size[k]


@compiled(**FLAGS)
def outliers(w, V, v0, r, root, rank, n, chi2, look, critical, clip_all, drop):
    """Mark points to drop, the worst or all; how many."""
    K, D = V.shape[0], len(w)
    worst, where, count = 0.0, -1, 0
    limit = critical[n] * (1.0 if look == 2 else chi2)
    for d in range(D):
        drop[d] = 0
        if w[d] == 0.0:
            continue
        size = (w[d] * r[d]) ** 2
        if look < 3:
            h = 0.0
            for j in range(rank):
                total = 0.0
                for k in range(K):
                    total += root[k, j] * V[k, v0 + d]
                h += total * total
            left = 1.0 - w[d] * w[d] * h
            size = size / left if left > 1e-10 else 0.0
        if size > limit:
            count += 1
            drop[d] = 1
            if size > worst:
                worst, where = size, d
    if count and not clip_all:
        drop[:] = 0
        drop[where] = 1
        count = 1
    return count


@compiled(**FLAGS)
def single(
    y, w, offsets, y0, V, V_offsets, T, one, size, scale_covar, look, critical, clip_all, maxiters, full,
    values, stderr, chisqr, nobs, nfree, status, covar,
):  # fmt: skip
    """
    Fit data sets one by one.

    Parameters
    ----------
    y, w : ndarray, shape (points,)
        Data (what is constant already subtracted) and 1/sigma; w = 0 excludes a point. `w` is changed by clipping.
    offsets : ndarray of int64, shape (m + 1,)
    y0 : ndarray, shape (m,)
        The constant that was subtracted.
    V : ndarray, shape (K, D) or (K, points)
    V_offsets : ndarray of int64, shape (m,)
        Where a data set's columns begin.
    T, one : as in `linear_basis.Basis`
    size : ndarray, shape (K,) or (0,)
        Norms of the user's columns; (0,): those of the data set.
    look, critical : as in `linear_lanes`
    clip_all, maxiters : as in `Options`
    full : bool
        Whether normal equations may be tried.
    values, stderr, ..., covar : ndarray
        Results of the data sets, last axis (m,).
    """
    K = V.shape[0]
    longest = 0
    for q in range(len(offsets) - 1):
        longest = max(longest, offsets[q + 1] - offsets[q])
    A, r, z, drop = np.empty((0, 0)), np.empty(longest), np.empty(longest), np.empty(longest, dtype=np.uint8)
    G, b, g, c = np.empty((K, K)), np.empty(K), np.empty(K), np.empty(K)
    root, null, TR = np.empty((K, K)), np.empty((K, K)), np.empty((K, K))
    order, share, own = np.empty(K, dtype=np.int64), np.zeros(K), np.ones(K)
    for q in range(len(offsets) - 1):
        begin, end = offsets[q], offsets[q + 1]
        yq, wq = y[begin:end], w[begin:end]
        D = end - begin
        v0 = V_offsets[q]
        rq = r[:D]
        n = 0
        for d in range(D):
            if wq[d] != 0.0:
                n += 1
        flags, dropped, passes = 0, 0, 0
        rank, chi2 = 0, 0.0
        while True:
            if n < K or n == 0:
                flags |= FEW_POINTS if n else NO_DATA
                break
            rank = K
            if not full or not normal(yq, wq, V, v0, G, b, root, g, rq) >= GUARD:
                if A.shape[1] < longest:
                    A = np.empty((K, longest))
                rank = orthogonal(yq, wq, V, v0, A, rq, order, root, g, null)
                flags |= QR_FALLBACK
            residuals(yq, V, v0, g, rq)
            for d in range(D):
                z[d] = wq[d] * rq[d]
            chi2 = product(z[:D], z[:D])
            if not look or passes >= maxiters:
                break
            gone = outliers(wq, V, v0, rq, root, rank, n, chi2, look, critical, clip_all, drop)
            if not gone:
                break
            for d in range(D):
                if drop[d]:
                    wq[d] = 0.0
            flags = CLIPPED
            n -= gone
            dropped += gone
            passes += 1
        nobs[q] = n
        if n < K or n == 0:
            status[q] = flags
            nfree[q] = 0
            chisqr[q] = math.nan
            values[:, q] = math.nan
            stderr[:, q] = math.nan
            if covar.shape[0]:
                covar[:, :, q] = math.nan
            continue
        flags |= CONVERGED
        for k in range(K):
            total = 0.0
            for i in range(K):
                total += T[k, i] * g[i]
            c[k] = total + one[k] * y0[q]
            for j in range(K):
                total = 0.0
                for i in range(K):
                    total += T[k, i] * root[i, j]
                TR[k, j] = total
        share[:] = 0.0
        if rank < K:
            flags |= RANK_DEFICIENT
            for k in range(K):
                own[k] = size[k] if len(size) else 1.0
                if not len(size):
                    total = 0.0
                    for d in range(D):
                        total += (wq[d] * V[k, v0 + d]) ** 2
                    own[k] = math.sqrt(total) if total > 0.0 else 1.0
            settle_null(T, own, null, K - rank, c, share)
        left = n - rank
        s2 = 1.0
        if scale_covar:
            s2 = chi2 / left if left > 0 else math.nan
        for k in range(K):
            values[k, q] = c[k]
            total = 0.0
            for j in range(rank):
                total += TR[k, j] * TR[k, j]
            stderr[k, q] = math.inf if share[k] > UNDETERMINED else math.sqrt(total * s2)
            if covar.shape[0]:
                for i in range(K):
                    total = 0.0
                    for j in range(rank):
                        total += TR[k, j] * TR[i, j]
                    undetermined = share[k] > UNDETERMINED or share[i] > UNDETERMINED
                    covar[k, i, q] = (math.inf if i == k else math.nan) if undetermined else total * s2
        chisqr[q] = chi2
        nfree[q] = left
        status[q] = flags
