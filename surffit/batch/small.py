"""Linear algebra of a few parameters, for kernels: scalar loops, since calls to LAPACK would cost more than they do here."""

from __future__ import annotations

import math

from .compiled import compiled

__all__ = ["SAFE", "cholesky", "dot", "independent", "solve"]

# What lets sums vectorise; nan and inf keep their meaning.
SAFE = {"reassoc", "contract"}


@compiled(fastmath=SAFE, error_model="numpy")
def dot(a, b):
    """Scalar product of two lines."""
    s = 0.0
    for i in range(a.shape[0]):
        s += a[i] * b[i]
    return s


@compiled(error_model="numpy")
def cholesky(A, m):
    """
    Factor the leading m x m block of A in place (lower triangle).

    Returns
    -------
    float
        The smallest squared pivot relative to its diagonal; not above 0 where the factorisation breaks down.
    """
    least = 1.0
    for j in range(m):
        s = A[j, j]
        for k in range(j):
            s -= A[j, k] * A[j, k]
        if not s > 0.0:
            return 0.0
        least = min(least, s / A[j, j])
        d = math.sqrt(s)
        A[j, j] = d
        for i in range(j + 1, m):
            t = A[i, j]
            for k in range(j):
                t -= A[i, k] * A[j, k]
            A[i, j] = t / d
    return least


@compiled(error_model="numpy")
def solve(A, b, x, m):
    """Solve with the factor of `cholesky`: A x = b."""
    for i in range(m):
        t = b[i]
        for k in range(i):
            t -= A[i, k] * x[k]
        x[i] = t / A[i, i]
    for i in range(m - 1, -1, -1):
        t = x[i]
        for k in range(i + 1, m):
            t -= A[k, i] * x[k]
        x[i] = t / A[i, i]


@compiled(fastmath=SAFE, error_model="numpy")
def independent(Q, m, R, order):
    """
    Orthonormalise m rows of Q in place, the largest remaining one first: Q[order] = R' Q.

    Gram-Schmidt, each row twice: after the second pass it is orthogonal to rounding (Giraud, Langou and Rozloznik 2005).

    Parameters
    ----------
    Q : ndarray, shape (>= m, points)
        Rows of unit norm.
    R : ndarray, shape (>= m, >= m)
        Upper triangle in the new order; rows from the rank on hold nothing of use.
    order : ndarray of int64
        Which row came when; the first `rank` are independent.

    Returns
    -------
    int
        Rank: rows whose rest is above 10 m eps of the first, as for single fits.
    """
    for j in range(m):
        order[j] = j
        for i in range(m):
            R[i, j] = 0.0
    floor = 10.0 * m * 2.220446049250313e-16
    for j in range(m):
        best, most = j, -1.0
        for i in range(j, m):
            size = dot(Q[order[i]], Q[order[i]])
            if size > most:
                best, most = i, size
        order[j], order[best] = order[best], order[j]
        for i in range(j):
            R[i, j], R[i, best] = R[i, best], R[i, j]
        row = Q[order[j]]
        for _ in range(2):
            for i in range(j):
                c = dot(Q[order[i]], row)
                R[i, j] += c
                for q in range(row.shape[0]):
                    row[q] -= c * Q[order[i], q]
        norm = math.sqrt(dot(row, row))
        if not norm > floor:
            return j
        R[j, j] = norm
        for q in range(row.shape[0]):
            row[q] /= norm
        for i in range(j + 1, m):
            other = Q[order[i]]
            c = dot(row, other)
            R[j, i] = c
            for q in range(row.shape[0]):
                other[q] -= c * row[q]
    return m
