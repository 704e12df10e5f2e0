"""What normal equations of a data set can't tell: rank, errors and the last step, by QR with pivoting; compiled when first needed."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ..compiled import compiled
from .driver import CLOSE, EPS, INNER, POINTED, _close

__all__ = ["close"]

_step = nb.njit(**INNER)


@_step
def pivoted(W, b, M, n, F, m, s, R, perm, t):
    """
    QR with pivoting of unit columns: R, the order of the columns, Q'r in t, and the rank.

    It is worked out in the idle half of W.
    """
    o = M + 1 - b
    v = o + M
    for i in range(n):
        W[v, i] = W[b + M, i]
    for a in range(m):
        perm[a] = a
        for i in range(n):
            W[o + a, i] = W[b + np.int64(F[a]), i] * s[a]
    top = min(m, n)
    for j in range(top):
        best = j
        for a in range(j, m):
            total = 0.0
            for i in range(j, n):
                total += W[o + a, i] * W[o + a, i]
            t[a] = total
            if t[a] > t[best]:
                best = a
        if best != j:
            for i in range(n):
                W[o + j, i], W[o + best, i] = W[o + best, i], W[o + j, i]
            for i in range(j):
                R[i, j], R[i, best] = R[i, best], R[i, j]
            perm[j], perm[best] = perm[best], perm[j]
            t[j], t[best] = t[best], t[j]
        norm = math.sqrt(t[j])
        alpha = -norm if W[o + j, j] >= 0.0 else norm
        half = norm * (norm + abs(W[o + j, j]))
        W[o + j, j] -= alpha
        if half > 0.0:
            for a in range(j + 1, m):
                total = 0.0
                for i in range(j, n):
                    total += W[o + j, i] * W[o + a, i]
                total /= half
                for i in range(j, n):
                    W[o + a, i] -= total * W[o + j, i]
            total = 0.0
            for i in range(j, n):
                total += W[o + j, i] * W[v, i]
            total /= half
            for i in range(j, n):
                W[v, i] -= total * W[o + j, i]
        R[j, j] = alpha
        for a in range(j + 1, m):
            R[j, a] = W[o + a, j]
        t[j] = W[v, j]
    rank = 0
    while rank < top and abs(R[rank, rank]) > 10.0 * m * EPS * abs(R[0, 0]):
        rank += 1
    return rank


@_step
def determined(R, perm, m, rank, lost, N):
    """Marks the columns that have a part in the null space, whose vectors are worked out in N."""
    for a in range(m):
        lost[a] = 0
    if rank == m:
        return
    free = m - rank
    for j in range(free):
        for a in range(rank, m):
            N[j, a] = 1.0 if a == rank + j else 0.0
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
    rank, condition, length, needs = _close(W, b, M, n, H, g, F, m, s, L, z, damped, C, perm, t, lost)
    if not needs:
        return rank, condition, length, needs
    R = L
    rank = pivoted(W, b, M, n, F, m, s, R, perm, t)
    determined(R, perm, m, rank, lost, C)
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
    condition = abs(R[0, 0] / R[rank - 1, rank - 1]) if rank == m else math.inf
    # the inverse in the place of R, from the last column on
    for e in range(rank - 1, -1, -1):
        for a in range(e, -1, -1):
            total = 1.0 if a == e else 0.0
            for c in range(a + 1, e + 1):
                total -= R[a, c] * R[c, e]
            R[a, e] = total / R[a, a]
    for a in range(m):
        for e in range(m):
            ka, kb = perm[a], perm[e]
            if lost[ka] or lost[kb]:
                C[ka, kb] = math.inf if ka == kb else math.nan
            else:
                total = 0.0
                for c in range(max(a, e), rank):
                    total += R[a, c] * R[e, c]
                C[ka, kb] = total * s[ka] * s[kb]
    return rank, condition, length, True


close = compiled(CLOSE, **POINTED)(by_rank)
