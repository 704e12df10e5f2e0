"""What normal equations of a data set can't tell: rank, errors and the last step, by QR with pivoting; compiled when first needed."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from .compiled import compiled
from .driver import CLOSE, EPS, INNER, POINTED, covariance

__all__ = ["close"]

_step = nb.njit(**INNER)
_normal = nb.njit(**INNER)(covariance)


@_step
def pivoted(W, b, M, n, F, m, s, R, perm, t):
    """QR with pivoting of unit columns: R, the order of the columns, Q'r in t, and the rank."""
    A = np.empty((m, n))
    v = np.empty(n)
    for i in range(n):
        v[i] = W[b + M, i]
    left = np.empty(m)
    for a in range(m):
        perm[a] = a
        for i in range(n):
            A[a, i] = W[b + np.int64(F[a]), i] * s[a]
    top = min(m, n)
    for j in range(top):
        best = j
        for a in range(j, m):
            total = 0.0
            for i in range(j, n):
                total += A[a, i] * A[a, i]
            left[a] = total
            if left[a] > left[best]:
                best = a
        if best != j:
            for i in range(n):
                A[j, i], A[best, i] = A[best, i], A[j, i]
            for i in range(j):
                R[i, j], R[i, best] = R[i, best], R[i, j]
            perm[j], perm[best] = perm[best], perm[j]
            left[j], left[best] = left[best], left[j]
        norm = math.sqrt(left[j])
        alpha = -norm if A[j, j] >= 0.0 else norm
        half = norm * (norm + abs(A[j, j]))
        A[j, j] -= alpha
        if half > 0.0:
            for a in range(j + 1, m):
                total = 0.0
                for i in range(j, n):
                    total += A[j, i] * A[a, i]
                total /= half
                for i in range(j, n):
                    A[a, i] -= total * A[j, i]
            total = 0.0
            for i in range(j, n):
                total += A[j, i] * v[i]
            total /= half
            for i in range(j, n):
                v[i] -= total * A[j, i]
        R[j, j] = alpha
        for a in range(j + 1, m):
            R[j, a] = A[a, j]
        t[j] = v[j]
    rank = 0
    while rank < top and abs(R[rank, rank]) > 10.0 * m * EPS * abs(R[0, 0]):
        rank += 1
    return rank


@_step
def determined(R, perm, m, rank, lost):
    """Marks the columns that have a part in the null space."""
    for a in range(m):
        lost[a] = 0
    if rank == m:
        return
    free = m - rank
    N = np.zeros((free, m))
    for j in range(free):
        N[j, rank + j] = 1.0
        for a in range(rank - 1, -1, -1):
            total = -R[a, rank + j]
            for b in range(a + 1, rank):
                total -= R[a, b] * N[j, b]
            N[j, a] = total / R[a, a]
        for _ in range(2):
            for b in range(j):
                total = 0.0
                for a in range(m):
                    total += N[j, a] * N[b, a]
                for a in range(m):
                    N[j, a] -= total * N[b, a]
        total = 0.0
        for a in range(m):
            total += N[j, a] * N[j, a]
        for a in range(m):
            N[j, a] /= math.sqrt(total)
    for a in range(m):
        total = 0.0
        for j in range(free):
            total += N[j, a] * N[j, a]
        if total > 1e-10:
            lost[perm[a]] = 1


def by_rank(W, b, M, n, H, g, F, m, s, L, z, damped, C, perm, t, lost):
    """As `covariance` of the driver, whatever the rank."""
    rank, condition, length, needs = _normal(W, b, M, n, H, g, F, m, s, L, z, damped, C, perm, t, lost)
    if not needs:
        return rank, condition, length, needs
    R = L
    rank = pivoted(W, b, M, n, F, m, s, R, perm, t)
    determined(R, perm, m, rank, lost)
    for a in range(m):
        z[a] = 0.0
    length = 0.0
    for a in range(rank - 1, -1, -1):
        length += t[a] * t[a]
        total = t[a]
        for e in range(a + 1, rank):
            total -= R[a, e] * z[perm[e]]
        z[perm[a]] = total / R[a, a]
    for a in range(m):
        z[a] *= s[a]
    V = np.zeros((m, m))
    for e in range(rank):
        for a in range(e, -1, -1):
            total = 1.0 if a == e else 0.0
            for c in range(a + 1, e + 1):
                total -= R[a, c] * V[c, e]
            V[a, e] = total / R[a, a]
    for a in range(m):
        for e in range(m):
            ka, kb = perm[a], perm[e]
            if lost[ka] or lost[kb]:
                C[ka, kb] = math.inf if ka == kb else math.nan
            else:
                total = 0.0
                for c in range(max(a, e), rank):
                    total += V[a, c] * V[e, c]
                C[ka, kb] = total * s[ka] * s[kb]
    condition = abs(R[0, 0] / R[rank - 1, rank - 1]) if rank == m else math.inf
    return rank, condition, length, True


close = compiled(CLOSE, **POINTED)(by_rank)
