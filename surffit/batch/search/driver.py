"""
Levenberg-Marquardt for many small fits, compiled once.

The model comes in as a function pointer (a kernel of `surffit.trace.scalar`), so that a new model costs the compilation of its
kernel alone. Nothing depends on the scale of parameters or data: damping is relative to the diagonal of J'J, which is factorised
with a unit diagonal; whether a step is worth taking is asked of chi-square. J. J. More, Lecture Notes in Mathematics 630 (1978) 105,
is the classic text on the method.

Everything here is a plain loop over contiguous float64, by explicit indices: slices of arrays, and arrays made on the way, would take
the compiler longer than all the rest. Derivatives and residuals stand in ``W``, of shape (2 (M + 1), points): rows b to b + M - 1 hold
J, row b + M holds r, and the other half of the rows is for the next trial. What normal equations can't do is in `driver_qr`.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from ...solve.status import Status
from ..compiled import compiled

__all__ = ["FLAGS", "KERNEL", "fit_sets"]

# sums may be reordered and products fused; NaN and inf keep their meaning
FLAGS = {"reassoc", "contract"}
_vector, _matrix, _int = nb.float64[::1], nb.float64[:, ::1], nb.int64
SIGNATURE = nb.float64(_matrix, nb.uint64, nb.uint64, _vector, _vector, _vector, _matrix, _int)
KERNEL = nb.types.FunctionType(SIGNATURE)

FTOL, XTOL, GRADIENT = int(Status.CONVERGED_FTOL), int(Status.CONVERGED_XTOL), int(Status.CONVERGED_GRADIENT)
MAX_NFEV, STALLED, RUNAWAY = int(Status.MAX_NFEV), int(Status.STALLED), int(Status.RUNAWAY)
NONFINITE_START, FEW_POINTS, NO_DATA = int(Status.NONFINITE_START), int(Status.FEW_POINTS), int(Status.NO_DATA)
RANK_DEFICIENT, AT_BOUND = int(Status.RANK_DEFICIENT), int(Status.AT_BOUND)
NO_EFFECT, QR_FALLBACK = int(Status.NO_EFFECT_AT_START), int(Status.QR_FALLBACK)
CONVERGED = FTOL | XTOL | GRADIENT
EPS = 2.220446049250313e-16
# no flag of the outside: this data set needs the QR
PENDING = 1 << 31
# squares, in standard errors, of a last Gauss-Newton step that is simply taken, and of one that no minimum is near of
NEAR, FAR = 1e-11, 1e-4
# what a parameter's column may depend on
SEARCHED, MOVING, STATIC = 0, 1, 2


# what others call by name needs no way in from Python; unsaid, the compiler makes two
POINTED: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True}
INNER: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True, **POINTED}
_step = nb.njit(**INNER)


@nb.njit(fastmath=FLAGS, **INNER)
def moments(W, b, M, n, H, g):
    """J'J and J'r; False if they aren't finite."""
    trace = 0.0
    for k in range(M):
        total = 0.0
        for i in range(n):
            total += W[b + k, i] * W[b + M, i]
        g[k] = total
        for j in range(k + 1):
            total = 0.0
            for i in range(n):
                total += W[b + k, i] * W[b + j, i]
            H[k, j] = total
            H[j, k] = total
        trace += H[k, k]
    return math.isfinite(trace)


@_step
def factor(H, damped, F, m, s, L):
    """
    Cholesky factor of the unit-diagonal matrix; returns its smallest pivot, 0 if it isn't positive definite.

    The diagonal of L holds the reciprocals: a division takes as long as ten products.
    """
    for a in range(m):
        s[a] = 1.0 / math.sqrt(damped[F[a]])
    least = 1.0
    for a in range(m):
        for b in range(a):
            total = H[F[a], F[b]] * s[a] * s[b]
            for c in range(b):
                total -= L[a, c] * L[b, c]
            L[a, b] = total * L[b, b]
        total = 1.0
        for c in range(a):
            total -= L[a, c] * L[a, c]
        if not total > 0.0:
            return 0.0
        least = min(least, total)
        L[a, a] = 1.0 / math.sqrt(total)
    return least


@_step
def solve(L, m, s, g, F, z):
    """Solution z of the factorised system for g; returns g'z."""
    for a in range(m):
        total = g[F[a]] * s[a]
        for b in range(a):
            total -= L[a, b] * z[b]
        z[a] = total * L[a, a]
    square = 0.0
    for a in range(m):
        square += z[a] * z[a]
    for a in range(m - 1, -1, -1):
        total = z[a]
        for b in range(a + 1, m):
            total -= L[b, a] * z[b]
        z[a] = total * L[a, a]
    for a in range(m):
        z[a] *= s[a]
    return square


def linear_start(W, M, n, kind, p, start, L, s, z, F):
    """Linear parameters by normal equations of their columns (p holds 0 there); columns that others explain keep their start or 0."""
    m = 0
    for k in range(M):
        if kind[k] == SEARCHED:
            continue
        norm = 0.0
        for i in range(n):
            norm += W[k, i] * W[k, i]
        if not (math.isfinite(norm) and norm > 0.0):
            p[k] = start[k] if math.isfinite(start[k]) else 0.0
            continue
        s[m] = 1.0 / math.sqrt(norm)
        pivot = 1.0
        for b in range(m):
            total = 0.0
            for i in range(n):
                total += W[k, i] * W[F[b], i]
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
            total += W[k, i] * W[M, i]
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
def patch(kern, X, o, n, p, y, w, W, b, M):
    """Derivatives that aren't finite where the value is (0/0 at a removable point), by differences; 0 where these aren't either."""
    other = M + 1 - b
    for k in range(M):
        bad = False
        for i in range(n):
            bad = bad or not math.isfinite(W[b + k, i])
        if not bad:
            continue
        here = p[k]
        h = 1e-7 * abs(here) if here != 0.0 else 1e-7
        p[k] = here + h
        kern(X, o, np.uint64(n), p, y, w, W, other)
        for i in range(n):
            if not math.isfinite(W[b + k, i]):
                slope = (W[b + M, i] - W[other + M, i]) / h
                W[b + k, i] = slope if math.isfinite(slope) else 0.0
        p[k] = here


def walk(
    kern, X, o, n, y, w, W, b, M, p, trial, lower, upper, H, g, damped, dmax, s, L, z, F, c, yy, nfev, ftol, xtol, gtol, max_nfev
):  # fmt: skip
    """From p, with c and J there, to a minimum; returns flags, chi-square, evaluations and b."""
    lam = 1e-3
    fresh = True
    done = 0
    m = np.int64(0)  # a plain 0 is a type of its own, for which what is called would be compiled once more
    while True:
        if fresh:
            patched = False
            while not moments(W, b, M, n, H, g):
                if patched:
                    return STALLED, c, nfev, b
                patch(kern, X, o, n, p, y, w, W, b, M)
                patched = True
            if done:
                return done, c, nfev, b
            m = np.int64(0)
            steepest = 0.0
            for k in range(M):
                h = H[k, k]
                dmax[k] = max(dmax[k], h)
                if h > 0.0 and not (p[k] <= lower[k] and g[k] < 0.0) and not (p[k] >= upper[k] and g[k] > 0.0):
                    F[m] = k
                    m += 1
                    steepest = max(steepest, abs(g[k]) / math.sqrt(h))
            if m == 0 or c <= 1e-30 * yy or steepest <= gtol * math.sqrt(c):
                return GRADIENT, c, nfev, b
        if nfev >= max_nfev:
            return MAX_NFEV, c, nfev, b
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
                for e in range(m):
                    total += H[k, F[e]] * z[e]
                pred += z[a] * (2.0 * g[k] - total)
                moved += H[k, k] * z[a] * z[a]
                size += H[k, k] * p[k] * p[k]
            cn = kern(X, o, np.uint64(n), trial, y, w, W, M + 1 - b)
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
                b = M + 1 - b
                fresh = True
                continue
            for k in range(M):
                trial[k] = p[k]
            if 0.0 <= pred <= ftol * c:
                return FTOL, c, nfev, b
        lam *= 10.0
        if lam > 1e16:
            return STALLED, c, nfev, b


def covariance(W, b, M, n, H, g, F, m, s, L, z, damped, C, perm, t, lost):
    """
    Covariance with unit variance of the parameters F in C (row and column a for F[a]), and the Gauss-Newton step in z.

    Returns rank, condition of the unit columns, squared length of the step in standard errors, and whether QR was needed; a rank of -1
    says that it is.
    """
    for a in range(m):
        damped[F[a]] = H[F[a], F[a]]
        lost[a] = 0
    least = factor(H, damped, F, m, s, L)
    if least >= 1e-8:
        length = solve(L, m, s, g, F, z)
        # rows of the inverse of L, in the upper triangle of C
        for a in range(m):
            for e in range(a, m):
                total = 1.0 if a == e else 0.0
                for c in range(a, e):
                    total -= L[e, c] * C[a, c]
                C[a, e] = total * L[e, e]
        for a in range(m):
            for e in range(a, m):
                total = 0.0
                for c in range(e, m):
                    total += C[a, c] * C[e, c]
                C[a, e] = total * s[a] * s[e]
        for a in range(m):
            for e in range(a):
                C[a, e] = C[e, a]
        return m, 1.0 / math.sqrt(least), length, False
    return -1, math.inf, math.inf, True


@_step
def gather(y, w, X, lo, hi, at, y_, w_, X_):
    """Copy the points used, as what stands at the others may be anything; returns their number and the sum of (w y)^2."""
    n = 0
    yy = 0.0
    for i in range(lo, hi):
        if w[i] != 0.0:
            y_[n] = y[i]
            w_[n] = w[i]
            yy += (y[i] * w[i]) ** 2
            n += 1
    if n < hi - lo:
        for j in range(X.shape[0]):
            e = 0
            for i in range(lo, hi):
                if w[i] != 0.0:
                    X_[j, e] = X[j, at + i - lo]
                    e += 1
    return n, yy


def drive(
    kern, begin, search, close, y, w, X, offsets, x_offsets, start, lower, upper, known, kind, ftol, xtol, gtol, max_nfev, scale_covar,
    W, X_, y_, w_, H, L, C, g, damped, dmax, s, z, t, first, low, up, p, trial, F, perm, lost,
    values, stderr, chisqr, nobs, nfree, nfev, flags, covar,
):  # fmt: skip
    """Fit data sets one after the other; see `fit_sets`."""
    M = start.shape[1]
    linear = False
    for k in range(M):
        linear = linear or kind[k] != SEARCHED
    for q in range(x_offsets.shape[0]):
        lo, hi = offsets[q], offsets[q + 1]
        n, yy = gather(y, w, X, lo, hi, x_offsets[q], y_, w_, X_)
        nobs[q] = n
        if flags[q] == 0:
            flags[q] = NO_DATA if n == 0 else FEW_POINTS if n < M else 0
        if flags[q] != 0:
            continue
        Xs, o = X, np.uint64(x_offsets[q])
        if n < hi - lo:
            Xs, o = X_, np.uint64(0)
        un = np.uint64(n)
        for k in range(known.shape[1]):
            p[M + k] = known[q, k]
            trial[M + k] = known[q, k]
        for k in range(M):
            low[k] = lower[q, k]
            up[k] = upper[q, k]
            first[k] = min(max(start[q, k], low[k]), up[k])
            p[k] = 0.0 if kind[k] != SEARCHED else first[k]
            dmax[k] = 0.0
        c = kern(Xs, o, un, p, y_, w_, W, 0)
        count = 1
        if linear:
            if math.isfinite(c):
                begin(W, M, n, kind, p, first, L, s, z, F)
                for k in range(M):
                    first[k] = min(max(p[k], low[k]), up[k])
            for k in range(M):
                p[k] = first[k]
            c = kern(Xs, o, un, p, y_, w_, W, 0)
            count = 2
        for k in range(M):
            first[k] = p[k]
            trial[k] = p[k]
        if not math.isfinite(c):
            flags[q] = NONFINITE_START
            nfev[q] = count
            continue
        b, flag, rank, m = 0, 0, 0, 0
        condition, needs_qr, square, length = 1.0, False, 0.0, 0.0
        for attempt in range(4):
            flag, c, count, b = search(
                kern, Xs, o, n, y_, w_, W, b, M, p, trial, low, up, H, g, damped, dmax, s, L, z, F, c, yy, count, ftol, xtol, gtol,
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
                if held:
                    flag |= AT_BOUND
            rank, condition, length, needs_qr = close(W, b, M, n, H, g, F, m, s, L, z, damped, C, perm, t, lost)
            if rank < 0:
                break
            square = c / (n - rank) if n > rank else c / n
            if not scale_covar:
                square = min(square, 1.0)
            square = max(square, 1e-26 * yy / n)
            if length <= NEAR * square or c <= 1e-30 * yy or (attempt > 0 and length <= FAR * square and flag & STALLED != 0):
                if flag & STALLED:
                    flag = flag & ~STALLED | GRADIENT
                break
            if flag & MAX_NFEV or count >= max_nfev or not math.isfinite(length):
                break
            if attempt == 3:
                if length > FAR * square:
                    flag = flag & ~CONVERGED | STALLED
                elif flag & STALLED:
                    flag = flag & ~STALLED | GRADIENT
                break
            # a stop with the minimum still away: heavy damping, or normal equations that have lost their digits
            inside = True
            for a in range(m):
                k = F[a]
                trial[k] = p[k] + z[a]
                inside = inside and low[k] <= trial[k] <= up[k]
            if inside:
                cn = kern(Xs, o, un, trial, y_, w_, W, M + 1 - b)
                count += 1
                if cn < c:
                    c = cn
                    for k in range(M):
                        p[k] = trial[k]
                    b = M + 1 - b
            for k in range(M):
                trial[k] = p[k]
        if rank < 0:
            flags[q] = PENDING
            continue
        # as many points as parameters: there is no scatter to take the errors from
        scale = 1.0 if not scale_covar else c / (n - rank) if n > rank else math.nan
        # one more Gauss-Newton step, which costs nothing
        small = flag & CONVERGED != 0 and rank == m
        for a in range(m):
            k = F[a]
            small = small and low[k] < p[k] + z[a] < up[k] and z[a] * z[a] <= FAR * C[a, a] * (max(scale, square) if n > rank else square)
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
                for e in range(m):
                    covar[q, k, F[e]] = C[a, e] * scale
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
u8, f, i, u = nb.uint64[::1], nb.float64, nb.int64, nb.uint64
BEGIN = nb.void(f2, i, i, i1, f1, f1, f2, f1, f1, u8)
WALK = nb.types.Tuple((i, f, i, i))(KERNEL, f2, u, i, f1, f1, f2, i, i, f1, f1, f1, f1, f2, f1, f1, f1, f1, f2, f1, u8, f, f, i, f, f, f, i)
CLOSE = nb.types.Tuple((i, f, f, nb.boolean))(f2, i, i, i, f2, f1, u8, i, f1, f2, f1, f1, f2, u8, f1, i1)
DRIVE = nb.void(
    KERNEL, *(nb.types.FunctionType(one) for one in (BEGIN, WALK, CLOSE)), f1, f1, f2, i1, i1, f2, f2, f2, f2, i1, f, f, f, i, nb.boolean,
    f2, f2, f1, f1, f2, f2, f2, *(f1,) * 11, u8, u8, i1, f2, f2, f1, i4, i4, i4, u1, f3,
)  # fmt: skip

# four functions that call each other by pointer: as one, they would take the compiler four times as long
_begin = compiled(BEGIN, **POINTED)(linear_start)
_walk = compiled(WALK, **POINTED)(walk)
_close = compiled(CLOSE, **POINTED)(covariance)
_drive = compiled(DRIVE, error_model="numpy")(drive)


def fit_sets(
    kern: Any, y: Any, w: Any, X: Any, offsets: Any, x_offsets: Any, flags: Any, start: Any, lower: Any, upper: Any, known: Any, kind: Any,
    tolerances: tuple[float, float, float], max_nfev: int, scale_covar: bool, with_covar: bool, hard: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
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
    hard : bool
        Use the QR at once where it is needed, without a first attempt; changes the time, no number.

    Returns
    -------
    values, stderr : ndarray, shape (n, M)
    chisqr, nobs, nfree, nfev : ndarray, shape (n,)
    covar : ndarray, shape (n, M, M), or (0, M, M) without
    hard : bool
        Whether the QR was needed.
    """
    n, M = start.shape
    longest, nx = int(np.diff(offsets).max(initial=0)), len(X)
    values, stderr, chisqr = np.full((n, M), np.nan), np.full((n, M), np.nan), np.full(n, np.nan)
    nobs, nfree, nfev = (np.zeros(n, dtype=np.int32) for _ in range(3))
    covar = np.full((n if with_covar else 0, M, M), np.nan)
    K = known.shape[1]
    scratch = [np.empty((2 * (M + 1), longest)), np.empty((nx, longest)), np.empty(longest), np.empty(longest)]
    scratch += [np.empty((M, M)) for _ in range(3)] + [np.empty(M) for _ in range(9)] + [np.empty(M + K) for _ in range(2)]
    indices = (np.empty(M, np.uint64), np.empty(M, np.uint64), np.empty(M, np.int64))

    def run(close: Any, marks: np.ndarray) -> None:
        _drive(
            kern, _begin, _walk, close, y, w, X, offsets, x_offsets, start, lower, upper, known, kind, *tolerances, max_nfev, scale_covar,
            *scratch, *indices, values, stderr, chisqr, nobs, nfree, nfev, marks, covar,
        )  # fmt: skip

    if not hard:
        run(_close, flags)
        left = flags == PENDING
        hard = bool(left.any())
        marks = np.where(left, 0, PENDING).astype(np.uint32)
    else:
        left, marks = np.ones(n, dtype=bool), flags.copy()
    if hard:
        # compiled when first needed; those data sets once more, from their starts
        from .driver_qr import close

        run(close, marks)
        flags[left] = marks[left]
    return values, stderr, chisqr, nobs, nfree, nfev, covar, hard
