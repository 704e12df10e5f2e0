"""
Linear least squares on columns of any scale: pivoted QR, refinement, bounds.

Columns are parameter-major, shape (k, N), so that their transpose is what LAPACK
wants and no copy is made. They are divided by powers of two, which costs no digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import frexp, ldexp, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgeqp3, dgeqrf, dorgqr, dtrtrs
from scipy.optimize import lsq_linear, nnls

from ..kernels.dd import dd_dot, dd_matvec, split, two_sum

__all__ = ["Factor", "bounded", "column_scales", "factor", "gram_inverse", "refine", "solve"]

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
LONG = 20_000  # rows from which blocks pay: dgeqp3 works at the speed of memory, dgeqrf on a block in cache
BLOCK = 4096
WIDE = 256  # columns beyond which the stacked triangles are no longer small
REFINEMENTS = 12
CONTRACTED = 1e-9  # last relative step of a refinement that worked


@dataclass(slots=True, eq=False)
class Factor:
    """
    Rank-truncated, column-pivoted QR of scaled columns: ``(columns / scale)[pivot].T = Q R``.

    Attributes
    ----------
    r : ndarray, shape (rank, rank)
        Upper triangle of the independent columns.
    pivot : ndarray of int, shape (k,)
        Order of the columns; the first `rank` are the independent ones.
    scale : ndarray, shape (k,)
        Norms of the columns rounded to powers of two; 1 for a zero column.
    rank : int
    tail : ndarray, shape (rank, k - rank), or None
        Dependent columns in terms of Q; None at full rank.
    """

    r: Array
    pivot: NDArray[np.intp]
    scale: Array
    rank: int
    tail: Array | None
    _q: Array | _Blocks

    @property
    def pivots(self) -> Array:
        """Diagonal of R, in size."""
        return np.abs(self.r.diagonal())

    @property
    def q(self) -> Array:
        """Orthonormal columns, shape (N, rank), Fortran order; formed on first use if the rows came in blocks."""
        if isinstance(self._q, _Blocks):
            self._q = self._q.orthonormal()
        return self._q

    def qt(self, v: Array) -> Array:
        """Q' v for v of shape (N,) or (m, N); returns (rank,) or (m, rank)."""
        return v @ self.q

    def project(self, v: Array) -> Array:
        """Q Q' v, the part of v within the span of the columns, in the shape of v."""
        return (v @ self.q) @ self.q.T

    def complement(self, v: Array) -> Array:
        """
        (I - Q Q') v, the part of v outside the span, in the shape of v.

        Done twice where little is left of v: one pass leaves eps |v| inside the span, which
        may be much of a short remainder.
        """
        q = self.q
        rest = v - (v @ q) @ q.T
        if v.ndim == 1:
            again = bool(rest @ rest < 0.01 * (v @ v))
        else:
            again = bool((_squares(rest) < 0.01 * _squares(v)).any())
        if again:
            rest -= (rest @ q) @ q.T
        return rest

    def solve_r(self, b: Array) -> Array:
        """Solve R x = b for b of shape (rank,) or (rank, m)."""
        return dtrtrs(self.r, b)[0] if self.rank else b.copy()

    def solve_rt(self, b: Array) -> Array:
        """Solve R' x = b for b of shape (rank,) or (rank, m)."""
        return dtrtrs(self.r, b, trans=1)[0] if self.rank else b.copy()

    def coefficients(self, qty: Array) -> Array:
        """
        Coefficients, shape (k,), of the least-squares solution from ``qty`` = Q' y, shape (rank,).

        With rank < k the one with the smallest ``|scale * c|``.
        """
        c = np.zeros(self.pivot.size)
        if self.tail is None:
            if self.rank:
                c[self.pivot] = dtrtrs(self.r, qty)[0]
        elif self.rank:
            z, t = self._rows()
            c[self.pivot] = z[:, : self.rank] @ dtrtrs(t, qty, trans=1)[0]
        c /= self.scale
        return c

    def null_space(self) -> Array:
        """
        Orthonormal directions that change nothing, shape (k - rank, k), in scaled parameters ``scale * c``.
        """
        k = self.pivot.size
        rows = np.zeros((k - self.rank, k))
        if self.tail is not None:
            rows[:, self.pivot] = self._rows()[0][:, self.rank :].T
        return rows

    def _rows(self) -> tuple[Array, Array]:
        """Complete orthogonal decomposition: [R, tail]' = Z[:, :rank] T with Z (k, k) orthogonal, T upper."""
        whole = self.r if self.tail is None else np.hstack([self.r, self.tail])
        z, t = np.linalg.qr(whole.T, mode="complete")
        return z, np.asfortranarray(t[: self.rank])


@dataclass(slots=True, eq=False)
class _Blocks:
    """Rows factored block by block; `top` joins the triangles of the blocks."""

    parts: list[tuple[Array, Array]]
    top: Array

    def orthonormal(self) -> Array:
        k = self.parts[0][0].shape[1]
        q = np.empty((self.top.shape[1], sum(part.shape[0] for part, _ in self.parts))).T
        start = 0
        for i, (part, tau) in enumerate(self.parts):
            stop = start + part.shape[0]
            q[start:stop] = dorgqr(part, tau, lwork=64 * k, overwrite_a=0)[0] @ self.top[i * k : (i + 1) * k]
            start = stop
        return q


def _squares(v: Array) -> Array:
    return np.einsum("ij,ij->i", v, v)


@lru_cache(maxsize=64)
def _upper(n: int) -> Array:
    mask = np.triu(np.ones((n, n)))
    mask.setflags(write=False)
    return mask


def column_scales(columns: Array) -> Array | None:
    """Power of two next above the norm of each column; None if any entry is not finite."""
    squares = _squares(columns).tolist()
    # floats of Python are faster than arrays for a few columns; a nan makes the sum nan and fails
    if min(squares) > 1e-280 and sum(squares) < 1e280:
        return np.array([ldexp(1.0, frexp(sqrt(s))[1]) for s in squares])
    if not np.isfinite(columns).all():
        return None
    exponents = np.frexp(np.abs(columns).max(axis=1))[1]
    norms = np.sqrt(_squares(np.ldexp(columns, -exponents[:, None])))
    # 2**1024 would overflow, and numbers below 2**-1021 have lost bits already
    scale = np.ldexp(1.0, np.clip(exponents + np.frexp(norms)[1], -1021, 1023))
    return np.where(norms > 0, scale, 1.0)


def factor(columns: Array, tol: float = 0.0, scale: Array | None = None) -> Factor | None:
    r"""
    Column-scaled, column-pivoted QR of a design matrix.

    The numerical rank is the number of :math:`|R_{jj}| > \max(10 k \epsilon, tol)\,|R_{11}|`.

    Parameters
    ----------
    columns : ndarray, shape (k, N), float64, C-contiguous
        One row per column of the design matrix. k = 0 and zero columns are allowed. Not changed.
    tol : float
        Relative error of the columns, 0 if they are exact to rounding.
    scale : ndarray, shape (k,), optional
        Scales to use instead of the norms, for columns out of which something was projected: their rank is then judged
        against unit columns, as they were before.

    Returns
    -------
    Factor or None
        None if an entry is not finite.
    """
    k, n = columns.shape
    if not (k and n):
        return Factor(np.empty((0, 0)), np.arange(k), np.ones(k), 0, np.empty((0, k)) if k else None, np.empty((n, 0), order="F"))
    unit = scale is not None
    scale = column_scales(columns) if scale is None else scale
    if scale is None:
        return None
    if n > LONG and k <= WIDE:
        parts = _block_parts(columns, scale)
        matrix = np.concatenate([_upper(k) * part[:k] for part, _ in parts])
    else:
        parts = None
        matrix = (columns / scale[:, None]).T
    qr, pivot, tau, _, _ = dgeqp3(matrix, lwork=34 * (k + 1), overwrite_a=1)
    pivot -= 1
    diagonal = qr.diagonal().tolist()
    floor = max(10 * k * EPS, tol) * (1.0 if unit else abs(diagonal[0]))
    if k <= n and abs(diagonal[-1]) > floor:
        rank, tail = k, None
        r = qr[:k] * _upper(k)
    else:
        rank = next((j for j, d in enumerate(diagonal) if not abs(d) > floor), len(diagonal))
        tail = qr[:rank, rank:].copy()
        r = qr[:rank, :rank] * _upper(rank)
    q = dorgqr(qr[:, :rank], tau[:rank], lwork=32 * k, overwrite_a=1)[0] if rank else np.empty((qr.shape[0], 0), order="F")
    return Factor(r, pivot, scale, rank, tail, q if parts is None else _Blocks(parts, q))


def _block_parts(columns: Array, scale: Array) -> list[tuple[Array, Array]]:
    """Householder QR of blocks of rows, for designs much longer than wide (TSQR)."""
    k, n = columns.shape
    edges = np.linspace(0, n, round(n / BLOCK) + 1).astype(int).tolist()
    parts = []
    for start, stop in pairwise(edges):
        qr, tau, _, _ = dgeqrf((columns[:, start:stop] / scale[:, None]).T, lwork=64 * k, overwrite_a=1)
        parts.append((qr, tau))
    return parts


def solve(f: Factor, y: Array) -> tuple[Array, Array]:
    """
    Least-squares coefficients and residual.

    Parameters
    ----------
    f : Factor
    y : ndarray, shape (N,)

    Returns
    -------
    c : ndarray, shape (k,)
        The minimum-norm solution in scaled columns if the rank is below k.
    resid : ndarray, shape (N,)
        The part of y outside the span of the columns.
    """
    q = f.q
    qty = y.dot(q)  # the method costs half of the operator on short arrays
    resid = y - q.dot(qty)
    if resid.dot(resid) < 0.01 * y.dot(y):
        # little is left of y: what the first pass left inside the span belongs to the coefficients
        more = resid.dot(q)
        resid -= q.dot(more)
        qty += more
    return f.coefficients(qty), resid


def refine(columns: Array, y: Array, f: Factor, c: Array | None = None) -> tuple[Array, Array]:
    r"""
    Least squares to the last digit that the float64 columns and data carry.

    Bjorck's iterative refinement of the augmented system [1]_

    .. math:: \begin{pmatrix} I & A \\ A' & 0 \end{pmatrix}
              \begin{pmatrix} r \\ x \end{pmatrix} = \begin{pmatrix} y \\ 0 \end{pmatrix}

    with its residuals in double-double. Refining x alone does not help when the residual is large;
    hence r is refined, too.

    Parameters
    ----------
    columns : ndarray, shape (k, N)
    y : ndarray, shape (N,)
    f : Factor
        Of these columns.
    c : ndarray, shape (k,), optional
        Where to start; the plain solution by default.

    Returns
    -------
    c : ndarray, shape (k,)
    resid : ndarray, shape (N,)
        Residual of the exact minimum, rounded once; it is not ``y - c @ columns``, whose error is
        that of the rounded coefficients.

    Notes
    -----
    Below full rank, or where the refinement does not contract (condition of the scaled columns
    near 1/eps), the plain solution is returned. Standard errors come from R and gain nothing.

    References
    ----------
    .. [1] A. Bjorck, BIT 7 (1967) 257, doi:10.1007/BF01939321.
    """
    plain, resid = solve(f, y)
    peak = float(np.abs(y).max(initial=0.0))
    if f.rank < f.pivot.size or not f.rank or not 0 < peak < np.inf:
        return plain, resid
    size = 2.0 ** np.clip(np.frexp(peak)[1], -1021, 1023)  # everything of order 1, far from where splitting overflows
    a = (columns / f.scale[:, None])[f.pivot]
    a_split = split(a)
    b = y / size
    start = plain if c is None else c
    x = (start * f.scale / size)[f.pivot]
    r = resid / size if c is None else dd_matvec(a, x, np.zeros_like(x), b, np.zeros_like(b), a_split)[0]
    better = _augmented(f, a, a_split, b, np.zeros_like(x), x, r)
    if better is None:
        return plain, resid
    refined = np.empty_like(plain)
    refined[f.pivot] = better[0] * size
    return refined / f.scale, better[1] * size


def gram_inverse(columns: Array, f: Factor) -> Array:
    r"""
    :math:`(A'A)^{-1}` to the last digits that the float64 columns carry.

    Column j is the x of the augmented system of `refine` with the right-hand side (0, -e_j). From R
    alone the relative error is eps times the condition of the scaled columns, which is enough but for
    certified standard errors; this costs k refinements.

    Parameters
    ----------
    columns : ndarray, shape (k, N)
    f : Factor
        Of these columns, at full rank.

    Returns
    -------
    ndarray, shape (k, k)
        Symmetric; columns that could not be refined come from R.
    """
    k = f.rank
    if k < f.pivot.size:
        msg = f"the columns have rank {k} of {f.pivot.size}, so that A'A has no inverse; drop the dependent ones"
        raise ValueError(msg)
    a = (columns / f.scale[:, None])[f.pivot]
    a_split = split(a)
    inverse_r = f.solve_r(np.eye(k))
    gram = inverse_r @ inverse_r.T
    for j in range(k):
        # r = -A x carries the other half of the system
        better = _augmented(f, a, a_split, np.zeros(a.shape[1]), -np.eye(k)[j], gram[j].copy(), -gram[j].dot(a))
        if better is not None:
            gram[j] = better[0]
    out = np.empty_like(gram)
    out[np.ix_(f.pivot, f.pivot)] = (gram + gram.T) / 2
    return out / f.scale / f.scale[:, None]


def _augmented(f: Factor, a: Array, a_split: tuple[Array, Array], b: Array, g: Array, x: Array, r: Array) -> tuple[Array, Array] | None:
    """
    Refine x (k,), r (N,) of ``r + a' x = b, a r = g`` with a (k, N) scaled and in pivot order; None if it diverges.
    """
    x_low, r_low = np.zeros_like(x), np.zeros_like(r)
    last = np.inf
    for _ in range(REFINEMENTS):
        df, low = two_sum(b, -r)
        df = dd_matvec(a, x, x_low, df, low - r_low, a_split)[0]
        hi, low = dd_dot(a, r, r_low, a_split)
        dg = (g - hi) - low
        along = f.qt(df) - f.solve_rt(dg)
        dx = f.solve_r(along)
        size = np.abs(x)
        step = np.abs(dx)
        change = float(step.max() / max(size.max(), EPS))  # b is of order 1: coefficients below eps are zeros
        if not change < last:  # a nan ends here, too
            break
        last = change
        x, e = two_sum(x, dx)
        x, x_low = two_sum(x, e + x_low)
        r, e = two_sum(r, df - f.q.dot(along))
        r, r_low = two_sum(r, e + r_low)
        if (step <= EPS / 8 * size).all():
            break
    return (x, r) if last < CONTRACTED else None


def bounded(columns: Array, y: Array, lower: Array, upper: Array, f: Factor | None = None) -> tuple[Array, Array, NDArray[np.int8]] | None:
    """
    Linear least squares with bounds on the coefficients.

    The free solution is tried first. Then the problem is reduced to its triangle and its active set found
    there, by NNLS (the unbounded columns projected out) where no coefficient has two bounds, else by BVLS;
    the coefficients that stay free are solved anew from the columns.

    Parameters
    ----------
    columns : ndarray, shape (k, N)
    y : ndarray, shape (N,)
    lower, upper : ndarray, shape (k,)
        lower < upper; infinities where there is no bound.
    f : Factor, optional
        Of these columns, if it is there already.

    Returns
    -------
    c : ndarray, shape (k,)
        Within the bounds, exactly on them where active.
    resid : ndarray, shape (N,)
    active : ndarray of int8, shape (k,)
        -1 at the lower bound, +1 at the upper one, 0 free.

    Notes
    -----
    None is returned instead of the three if an entry of `columns` or `y` is not finite. Where columns are
    dependent there are many solutions; one of them is returned, not always the shortest.
    """
    f = factor(columns) if f is None else f
    if f is None:
        return None
    c, resid = solve(f, y)
    active = np.zeros(c.size, dtype=np.int8)
    if ((c >= lower) & (c <= upper)).all():
        return c, resid, active
    if not np.isfinite(y).all():
        return None
    triangle = np.empty((f.rank, c.size))
    triangle[:, f.pivot] = f.r if f.tail is None else np.hstack([f.r, f.tail])
    qty = f.qt(y)
    unit = f.scale / (np.abs(qty).max(initial=0.0) or 1.0)  # the solvers' tolerances mean numbers of order 1
    z, active = _active_set(triangle, qty * (unit / f.scale)[0], lower * unit, upper * unit)
    fixed = np.where(active < 0, lower, np.where(active > 0, upper, 0.0))
    free = active == 0
    rest = y - fixed.dot(columns)
    part = factor(np.ascontiguousarray(columns[free]))
    if part is None:  # it can't be: the columns were finite above
        return None
    c = fixed
    c[free], resid = solve(part, rest)
    if not ((c >= lower) & (c <= upper)).all():
        # several solutions, or a coefficient within rounding of its bound
        c[free] = np.clip(z / unit, lower, upper)[free]
        resid = y - c.dot(columns)
        active[c <= lower] = -1
        active[c >= upper] = 1
    return c, resid, active


def _active_set(a: Array, b: Array, lower: Array, upper: Array) -> tuple[Array, NDArray[np.int8]]:
    """Solution z (k,) of min |a z - b| within the bounds and its active set, a (rank, k) of unit columns."""
    below, above = np.isfinite(lower), np.isfinite(upper)
    if not (below & above).any():
        either = below | above
        sign = np.where(above, -1.0, 1.0)
        origin = np.where(below, lower, np.where(above, upper, 0.0))
        outside = np.linalg.qr(a[:, ~either], mode="complete")[0][:, (~either).sum() :].T
        target = b - a @ origin
        try:
            w = nnls((outside @ a * sign)[:, either], outside @ target)[0]
        except RuntimeError:  # it may cycle where columns are dependent
            pass
        else:
            z = origin.copy()
            z[either] += sign[either] * w
            z[~either] = np.linalg.lstsq(a[:, ~either], b - a[:, either] @ z[either], rcond=None)[0]
            active = np.zeros(z.size, dtype=np.int8)
            active[either] = np.where(w > 0, 0, -sign[either])
            return z, active
    for method in ("bvls", "trf"):
        try:
            found = lsq_linear(a, b, bounds=(lower, upper), method=method, tol=1e-14, max_iter=100 + 10 * lower.size)
        except np.linalg.LinAlgError:
            continue
        if found.success and np.isfinite(found.x).all():
            return found.x, found.active_mask.astype(np.int8)
    start = np.clip(0.0, lower, upper)  # neither worked: a point within the bounds, and the caller sees what it is worth
    return start, np.where(start == lower, -1, np.where(start == upper, 1, 0)).astype(np.int8)
