"""
Levenberg-Marquardt for many small fits, compiled once.

The model comes in as a function pointer (a kernel of `surffit.trace.scalar`), so that a new model costs the compilation of its
kernel alone. Nothing depends on the scale of parameters or data: damping is relative to the diagonal of J'J, which is factorised
with a unit diagonal; whether a step is worth taking is asked of chi-square. J. J. More, Lecture Notes in Mathematics 630 (1978) 105,
is the classic text on the method.

Everything here is a plain loop over contiguous float64; the only arrays made per fit are those of the rare QR.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from ..solve.status import Status
from .compiled import compiled

__all__ = ["FLAGS", "KERNEL", "fit_sets"]

# sums may be reordered and products fused; NaN and inf keep their meaning
FLAGS = {"reassoc", "contract"}
_vector, _matrix, _int = nb.float64[::1], nb.float64[:, ::1], nb.int64
SIGNATURE = nb.float64(_matrix, _int, _vector, _vector, _vector, _vector, _matrix)
KERNEL = nb.types.FunctionType(SIGNATURE)

FTOL, XTOL, GRADIENT = int(Status.CONVERGED_FTOL), int(Status.CONVERGED_XTOL), int(Status.CONVERGED_GRADIENT)
MAX_NFEV, STALLED, RUNAWAY = int(Status.MAX_NFEV), int(Status.STALLED), int(Status.RUNAWAY)
NONFINITE_START, FEW_POINTS, NO_DATA = int(Status.NONFINITE_START), int(Status.FEW_POINTS), int(Status.NO_DATA)
RANK_DEFICIENT, AT_BOUND = int(Status.RANK_DEFICIENT), int(Status.AT_BOUND)
NO_EFFECT, QR_FALLBACK = int(Status.NO_EFFECT_AT_START), int(Status.QR_FALLBACK)
CONVERGED = FTOL | XTOL | GRADIENT
EPS = 2.220446049250313e-16
# what a parameter's column may depend on
SEARCHED, MOVING, STATIC = 0, 1, 2


_step = nb.njit(nogil=True, error_model="numpy")


@nb.njit(nogil=True, error_model="numpy", fastmath=FLAGS)
def moments(J, r, H, g):
    """J'J and J'r; False if they aren't finite."""
    M, n = J.shape
    trace = 0.0
    for k in range(M):
        total = 0.0
        for i in range(n):
            total += J[k, i] * r[i]
        g[k] = total
        for j in range(k + 1):
            total = 0.0
            for i in range(n):
                total += J[k, i] * J[j, i]
            H[k, j] = total
            H[j, k] = total
        trace += H[k, k]
    return math.isfinite(trace)


@_step
def factor(H, damped, F, m, s, L):
    """Cholesky factor of the unit-diagonal matrix; returns its smallest pivot, 0 if it isn't positive definite."""
    for a in range(m):
        s[a] = 1.0 / math.sqrt(damped[F[a]])
    least = 1.0
    for a in range(m):
        for b in range(a):
            total = H[F[a], F[b]] * s[a] * s[b]
            for c in range(b):
                total -= L[a, c] * L[b, c]
            L[a, b] = total / L[b, b]
        total = 1.0
        for c in range(a):
            total -= L[a, c] * L[a, c]
        if not total > 0.0:
            return 0.0
        least = min(least, total)
        L[a, a] = math.sqrt(total)
    return least


@_step
def solve(L, m, s, g, F, z):
    """Solution z of the factorised system for g; returns g'z."""
    for a in range(m):
        total = g[F[a]] * s[a]
        for b in range(a):
            total -= L[a, b] * z[b]
        z[a] = total / L[a, a]
    square = 0.0
    for a in range(m):
        square += z[a] * z[a]
    for a in range(m - 1, -1, -1):
        total = z[a]
        for b in range(a + 1, m):
            total -= L[b, a] * z[b]
        z[a] = total / L[a, a]
    for a in range(m):
        z[a] *= s[a]
    return square


def linear_start(J, r, kind, p, start, L, s, z, F):
    """Linear parameters by normal equations of their columns (p holds 0 there); columns that others explain keep their start or 0."""
    M, n = J.shape
    m = 0
    for k in range(M):
        if kind[k] == SEARCHED:
            continue
        norm = 0.0
        for i in range(n):
            norm += J[k, i] * J[k, i]
        if not (math.isfinite(norm) and norm > 0.0):
            p[k] = start[k] if math.isfinite(start[k]) else 0.0
            continue
        s[m] = 1.0 / math.sqrt(norm)
        pivot = 1.0
        for b in range(m):
            total = 0.0
            for i in range(n):
                total += J[k, i] * J[F[b], i]
            total *= s[m] * s[b]
            for c in range(b):
                total -= L[m, c] * L[b, c]
            L[m, b] = total / L[b, b]
            pivot -= L[m, b] * L[m, b]
        if not pivot > 1e-12:
            continue
        L[m, m] = math.sqrt(pivot)
        total = 0.0
        for i in range(n):
            total += J[k, i] * r[i]
        total *= s[m]
        for b in range(m):
            total -= L[m, b] * z[b]
        z[m] = total / L[m, m]
        F[m] = k
        m += 1
    for a in range(m - 1, -1, -1):
        total = z[a]
        for b in range(a + 1, m):
            total -= L[b, a] * z[b]
        z[a] = total / L[a, a]
    for a in range(m):
        p[F[a]] = z[a] * s[a]


@_step
def take(r, rt, J, Jt):
    """What was tried becomes what is."""
    M, n = J.shape
    for i in range(n):
        r[i] = rt[i]
    for k in range(M):
        for i in range(n):
            J[k, i] = Jt[k, i]


@_step
def patch(kern, X, o, p, y, w, r, rt, J, Jt):
    """Derivatives that aren't finite where the value is (0/0 at a removable point), by differences; 0 where these aren't either."""
    M, n = J.shape
    for k in range(M):
        bad = False
        for i in range(n):
            bad = bad or not math.isfinite(J[k, i])
        if not bad:
            continue
        here = p[k]
        h = 1e-7 * abs(here) if here != 0.0 else 1e-7
        p[k] = here + h
        kern(X, o, p, y, w, rt, Jt)
        for i in range(n):
            if not math.isfinite(J[k, i]):
                slope = (r[i] - rt[i]) / h
                J[k, i] = slope if math.isfinite(slope) else 0.0
        p[k] = here


def walk(
    kern, X, o, y, w, p, trial, lower, upper, r, rt, J, Jt, H, g, damped, dmax, s, L, z, F, c, yy, nfev, ftol, xtol, gtol, max_nfev
):  # fmt: skip
    """From p, with c and J there, to a minimum; returns flags, chi-square and evaluations. The last J and r are in J and r."""
    M = J.shape[0]
    lam = 1e-3
    fresh = True
    done = 0
    m = 0
    while True:
        if fresh:
            patched = False
            while not moments(J, r, H, g):
                if patched:
                    return STALLED, c, nfev
                patch(kern, X, o, p, y, w, r, rt, J, Jt)
                patched = True
            if done:
                return done, c, nfev
            m = 0
            steepest = 0.0
            for k in range(M):
                h = H[k, k]
                dmax[k] = max(dmax[k], h)
                if h > 0.0 and not (p[k] <= lower[k] and g[k] < 0.0) and not (p[k] >= upper[k] and g[k] > 0.0):
                    F[m] = k
                    m += 1
                    steepest = max(steepest, abs(g[k]) / math.sqrt(h))
            if m == 0 or c <= 1e-30 * yy or steepest <= gtol * math.sqrt(c):
                return GRADIENT, c, nfev
        if nfev >= max_nfev:
            return MAX_NFEV, c, nfev
        for a in range(m):
            k = F[a]
            damped[k] = H[k, k] + lam * (H[k, k] if H[k, k] > 1e-12 * dmax[k] else dmax[k])
        fresh = False
        if factor(H, damped, F, m, s, L) > 0.0:
            solve(L, m, s, g, F, z)
            for a in range(m):
                k = F[a]
                trial[k] = min(max(p[k] + z[a], lower[k]), upper[k])
                z[a] = trial[k] - p[k]
            pred = 0.0
            moved = 0.0
            size = 0.0
            for a in range(m):
                k = F[a]
                total = 0.0
                for b in range(m):
                    total += H[k, F[b]] * z[b]
                pred += z[a] * (2.0 * g[k] - total)
                moved += H[k, k] * z[a] * z[a]
                size += H[k, k] * p[k] * p[k]
            cn = kern(X, o, trial, y, w, rt, Jt)
            nfev += 1
            if cn <= c:
                if c - cn <= ftol * c and pred <= ftol * c:
                    done = FTOL
                elif moved <= xtol * xtol * size and lam <= 1.0:
                    done = XTOL
                if c - cn > 0.25 * pred:
                    lam *= 0.1
                c = cn
                for k in range(M):
                    p[k] = trial[k]
                take(r, rt, J, Jt)
                fresh = True
                continue
            for k in range(M):
                trial[k] = p[k]
            if 0.0 <= pred <= ftol * c:
                return FTOL, c, nfev
        lam *= 10.0
        if lam > 1e16:
            return STALLED, c, nfev


@_step
def pivoted(J, r, F, m, s, R, perm, t):
    """QR with pivoting of unit columns: R, the order of the columns, Q'r in t, and the rank."""
    n = r.shape[0]
    A = np.empty((m, n))
    v = r.copy()
    left = np.empty(m)
    for a in range(m):
        perm[a] = a
        for i in range(n):
            A[a, i] = J[F[a], i] * s[a]
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


def covariance(J, r, H, g, F, m, s, L, z, damped, C, perm, t, lost):
    """
    Covariance with unit variance of the parameters F in C (row and column a for F[a]), and the Gauss-Newton step in z.

    Returns rank, condition of the unit columns, squared length of the step in standard errors, and whether QR was needed.
    """
    for a in range(m):
        damped[F[a]] = H[F[a], F[a]]
        lost[a] = 0
    least = factor(H, damped, F, m, s, L)
    if least >= 1e-8:
        length = solve(L, m, s, g, F, z)
        # rows of the inverse of L, in the upper triangle of C
        for a in range(m):
            for b in range(a, m):
                total = 1.0 if a == b else 0.0
                for c in range(a, b):
                    total -= L[b, c] * C[a, c]
                C[a, b] = total / L[b, b]
        for a in range(m):
            for b in range(a, m):
                total = 0.0
                for c in range(b, m):
                    total += C[a, c] * C[b, c]
                C[a, b] = total * s[a] * s[b]
        for a in range(m):
            for b in range(a):
                C[a, b] = C[b, a]
        return m, 1.0 / math.sqrt(least), length, False
    R = L
    rank = pivoted(J, r, F, m, s, R, perm, t)
    determined(R, perm, m, rank, lost)
    for a in range(m):
        z[a] = 0.0
    length = 0.0
    for a in range(rank - 1, -1, -1):
        length += t[a] * t[a]
        total = t[a]
        for b in range(a + 1, rank):
            total -= R[a, b] * z[perm[b]]
        z[perm[a]] = total / R[a, a]
    for a in range(m):
        z[a] *= s[a]
    V = np.zeros((m, m))
    for b in range(rank):
        for a in range(b, -1, -1):
            total = 1.0 if a == b else 0.0
            for c in range(a + 1, b + 1):
                total -= R[a, c] * V[c, b]
            V[a, b] = total / R[a, a]
    for a in range(m):
        for b in range(m):
            ka, kb = perm[a], perm[b]
            if lost[ka] or lost[kb]:
                C[ka, kb] = math.inf if ka == kb else math.nan
            else:
                total = 0.0
                for c in range(max(a, b), rank):
                    total += V[a, c] * V[b, c]
                C[ka, kb] = total * s[ka] * s[kb]
    condition = abs(R[0, 0] / R[rank - 1, rank - 1]) if rank == m else math.inf
    return rank, condition, length, True


def drive(
    kern, begin, search, close, y, w, X, offsets, x_offsets, start, lower, upper, known, kind, ftol, xtol, gtol, max_nfev, scale_covar,
    r_, rt_, J_, Jt_, y_, w_, X_, H, L, C, g, damped, dmax, s, z, t, first, p, trial, F, perm, lost,
    values, stderr, chisqr, nobs, nfree, nfev, flags, covar,
):  # fmt: skip
    """Fit data sets one after the other; see `fit_sets`."""
    M, K, nx = start.shape[1], known.shape[1], X.shape[0]
    linear = False
    for k in range(M):
        linear = linear or kind[k] != SEARCHED
    for q in range(x_offsets.shape[0]):
        lo, hi, at = offsets[q], offsets[q + 1], x_offsets[q]
        n = 0
        for i in range(lo, hi):
            if w[i] != 0.0:
                n += 1
        nobs[q] = n
        if flags[q] == 0:
            flags[q] = NO_DATA if n == 0 else FEW_POINTS if n < M else 0
        if flags[q] != 0:
            continue
        # only used points: what stands at the others may be anything
        ys, ws = y_[:n], w_[:n]
        Xs, o = X, at
        if n < hi - lo:
            Xs, o = X_[: nx * n].reshape(nx, n), 0
        e = 0
        yy = 0.0
        for i in range(lo, hi):
            if w[i] != 0.0:
                y_[e] = y[i]
                w_[e] = w[i]
                yy += (y[i] * w[i]) ** 2
                if n < hi - lo:
                    for j in range(nx):
                        X_[j * n + e] = X[j, at + i - lo]
                e += 1
        r, rt = r_[:n], rt_[:n]
        J, Jt = J_[: M * n].reshape(M, n), Jt_[: M * n].reshape(M, n)
        low, up = lower[q], upper[q]
        for k in range(K):
            p[M + k] = known[q, k]
            trial[M + k] = known[q, k]
        for k in range(M):
            p[k] = 0.0 if kind[k] != SEARCHED else min(max(start[q, k], low[k]), up[k])
            dmax[k] = 0.0
        c = math.nan
        count = 0
        for attempt in range(2):
            if attempt == 0 and not linear:
                continue
            c = kern(Xs, o, p, ys, ws, r, J)
            count += 1
            if attempt == 0:
                found = math.isfinite(c)
                if found:
                    begin(J, r, kind, p, start[q], L, s, z, F)
                for k in range(M):
                    if kind[k] != SEARCHED:
                        p[k] = min(max(p[k] if found else start[q, k], low[k]), up[k])
        for k in range(M):
            first[k] = p[k]
            trial[k] = p[k]
        if not math.isfinite(c):
            flags[q] = NONFINITE_START
            nfev[q] = count
            continue
        flag = 0
        rank, condition, needs_qr, m = 0, 1.0, False, 0
        square = 0.0
        for attempt in range(4):
            flag, c, count = search(
                kern, Xs, o, ys, ws, p, trial, low, up, r, rt, J, Jt, H, g, damped, dmax, s, L, z, F, c, yy, count, ftol, xtol, gtol,
                max_nfev,
            )  # fmt: skip
            # what is held on a bound, and what has no say
            m = 0
            for k in range(M):
                slack = 1e-6 * math.sqrt(H[k, k] * c)
                held = (p[k] <= low[k] and g[k] <= slack) or (p[k] >= up[k] and g[k] >= -slack)
                if not held and H[k, k] > 0.0:
                    F[m] = k
                    m += 1
                stderr[q, k] = math.nan
                if held:
                    flag |= AT_BOUND
            rank, condition, length, needs_qr = close(J, r, H, g, F, m, s, L, z, damped, C, perm, t, lost)
            square = c / (n - rank) if n > rank else c / n
            if not scale_covar:
                square = min(square, 1.0)
            square = max(square, 1e-26 * yy / n)
            if length <= 1e-4 * square or c <= 1e-30 * yy:
                if flag & STALLED:
                    flag = flag & ~STALLED | GRADIENT
                break
            if flag & MAX_NFEV or count >= max_nfev or not math.isfinite(length):
                break
            if attempt == 3:
                flag = flag & ~CONVERGED | STALLED
                break
            # a stop with the minimum still away: heavy damping, or normal equations that have lost their digits
            inside = True
            for a in range(m):
                k = F[a]
                trial[k] = p[k] + z[a]
                inside = inside and low[k] <= trial[k] <= up[k]
            if inside:
                cn = kern(Xs, o, trial, ys, ws, rt, Jt)
                count += 1
                if cn < c:
                    c = cn
                    for k in range(M):
                        p[k] = trial[k]
                    take(r, rt, J, Jt)
            for k in range(M):
                trial[k] = p[k]
        scale = c / (n - rank) if scale_covar and n > rank else 1.0
        # one more Gauss-Newton step, which costs nothing
        small = flag & CONVERGED != 0 and rank == m
        for a in range(m):
            k = F[a]
            small = small and low[k] < p[k] + z[a] < up[k] and z[a] * z[a] <= 1e-4 * C[a, a] * max(scale, square)
        if small:
            for a in range(m):
                p[F[a]] += z[a]
        if needs_qr:
            flag |= QR_FALLBACK
        alive = m
        for k in range(M):
            values[q, k] = p[k]
            if H[k, k] == 0.0 and low[k] < p[k] < up[k]:
                stderr[q, k] = math.inf
                alive += 1
                if kind[k] == SEARCHED:
                    flag |= NO_EFFECT if dmax[k] == 0.0 else RUNAWAY
        if rank < alive:
            flag |= RANK_DEFICIENT
        for a in range(m):
            k = F[a]
            stderr[q, k] = math.sqrt(C[a, a] * scale)
            if covar.shape[0]:
                for b in range(m):
                    covar[q, k, F[b]] = C[a, b] * scale
            # far away along a direction that the data say nothing about
            size = abs(p[k])
            before = abs(first[k])
            if kind[k] == SEARCHED:
                if before > 0.0 and size > 1e3 * before and condition >= (1e9 if flag & CONVERGED else 1e6):
                    flag |= RUNAWAY
                if size > 1e3 * (before if before > 0.0 else 1.0) and size * EPS > 1e-3 * math.sqrt(C[a, a] * square):
                    flag |= RUNAWAY
            elif kind[k] == MOVING and condition >= 1e9 and size * math.sqrt(H[k, k]) > 1e5 * math.sqrt(yy):
                flag |= RUNAWAY
        if flag & RUNAWAY:
            flag &= ~CONVERGED
        chisqr[q], nfree[q], nfev[q], flags[q] = c, n - rank, count, flag


f1, f2, f3, i1, i4, u1 = _vector, _matrix, nb.float64[:, :, ::1], nb.int64[::1], nb.int32[::1], nb.uint32[::1]
u8, f, i = nb.uint64[::1], nb.float64, nb.int64
BEGIN = nb.void(f2, f1, i1, f1, f1, f2, f1, f1, u8)
_ends = nb.types.Tuple((i, f, i))
WALK = _ends(KERNEL, f2, i, f1, f1, f1, f1, f1, f1, f1, f1, f2, f2, f2, f1, f1, f1, f1, f2, f1, u8, f, f, i, f, f, f, i)
_found = nb.types.Tuple((i, f, f, nb.boolean))
CLOSE = _found(f2, f1, f2, f1, u8, i, f1, f2, f1, f1, f2, u8, f1, i1)
DRIVE = nb.void(
    KERNEL, *(nb.types.FunctionType(one) for one in (BEGIN, WALK, CLOSE)), f1, f1, f2, i1, i1, f2, f2, f2, f2, i1, f, f, f, i, nb.boolean,
    *(f1,) * 7, f2, f2, f2, *(f1,) * 6, f1, f1, f1, u8, u8, i1, f2, f2, f1, i4, i4, i4, u1, f3,
)  # fmt: skip

# four functions that call each other by pointer: as one, they would take the compiler four times as long
_begin = compiled(BEGIN, error_model="numpy")(linear_start)
_walk = compiled(WALK, error_model="numpy")(walk)
_close = compiled(CLOSE, error_model="numpy")(covariance)
_drive = compiled(DRIVE, error_model="numpy")(drive)


def fit_sets(
    kern: Any, y: Any, w: Any, X: Any, offsets: Any, x_offsets: Any, flags: Any, start: Any, lower: Any, upper: Any, known: Any, kind: Any,
    tolerances: tuple[float, float, float], max_nfev: int, scale_covar: bool, with_covar: bool,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """
    Fit data sets one after the other.

    Parameters
    ----------
    kern : KERNEL
    y, w, X, offsets, x_offsets
        As in `Rows`; X has the kernel's rows. Float64, in C order, writable.
    flags : ndarray of uint32, shape (n,)
        Data sets with a flag are not fitted; filled.
    start, lower, upper : ndarray, shape (n, M)
        By data set; nan where a linear parameter has no start.
    known : ndarray, shape (n, K)
    kind : ndarray of int64, shape (M,)
        SEARCHED, or MOVING or STATIC for linear parameters, by whether their column changes in the search.
    tolerances : (ftol, xtol, gtol)
    max_nfev : int
    scale_covar, with_covar : bool

    Returns
    -------
    values, stderr : ndarray, shape (n, M)
    chisqr, nobs, nfree, nfev : ndarray, shape (n,)
    covar : ndarray, shape (n, M, M), or (0, M, M) without
    """
    n, M = start.shape
    longest, nx = int(np.diff(offsets).max(initial=0)), len(X)
    values, stderr, chisqr = np.full((n, M), np.nan), np.full((n, M), np.nan), np.full(n, np.nan)
    nobs, nfree, nfev = (np.zeros(n, dtype=np.int32) for _ in range(3))
    covar = np.full((n if with_covar else 0, M, M), np.nan)
    scratch = [np.empty(size) for size in (longest, longest, M * longest, M * longest, longest, longest, nx * longest)]
    scratch += [np.empty((M, M)) for _ in range(3)] + [np.empty(M) for _ in range(7)]
    scratch += [np.empty(M + known.shape[1]) for _ in range(2)]
    indices = (np.empty(M, np.uint64), np.empty(M, np.uint64), np.empty(M, np.int64))
    _drive(
        kern, _begin, _walk, _close, y, w, X, offsets, x_offsets, start, lower, upper, known, kind, *tolerances, max_nfev, scale_covar,
        *scratch, *indices, values, stderr, chisqr, nobs, nfree, nfev, flags, covar,
    )  # fmt: skip
    return values, stderr, chisqr, nobs, nfree, nfev, covar
