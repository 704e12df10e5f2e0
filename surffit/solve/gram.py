r"""
The walk on normal equations, for data much longer than the parameter list.

All that a Gauss-Newton step needs of N rows are the moments J'J, J'r and r'r. They are summed block by block, or, on a
rectangular grid where columns are products g(y) h(x), taken from the factors without ever forming a column
(`GridMoments`). Only steps come from here: the final residual, errors and rank come from QR of whole columns. Where the
triangle of J'J is too ill-conditioned to trust, `IllConditioned` sends the walk back to QR.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtrs

from .linear import bounded
from .problem import Kernel, Problem
from .separable import Inner

# smallest ratio of pivots of the scaled triangle: steps keep about eps / ratio^2 = 2e-6 relative accuracy
PIVOT_RATIO = 1e-5
BLOCK_ROWS = 8192

Term = tuple[np.ndarray, np.ndarray]


class IllConditioned(ArithmeticError):
    """Normal equations can't be trusted here; use QR."""


class Moments(Protocol):
    """Sums over all rows."""

    def columns(self, alpha: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        """Phi'Phi (k, k), Phi'r (k,) and r'r with r the residual at (alpha, c); None if not finite."""

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        """J'J (n, n), J'r (n,) and r'r at p; None if not finite."""

    def curvature(self, p: np.ndarray) -> np.ndarray | None:
        """Sum of r_i times the Hessian of F_i, (n, n)."""


class BlockMoments:
    """Moments summed over blocks of rows that stay in cache."""

    def __init__(self, problem: Problem, parts: Sequence[tuple[Kernel, tuple[slice, ...]]]) -> None:
        whole = problem
        data = whole.data
        weights = None if whole.w is None else whole.w.reshape(-1)
        self.k = whole.k
        self.blocks = []
        per_row = 2 if whole.complex else 1
        index = np.arange(data.size).reshape(data.shape)
        for kernel, part in parts:
            w = None
            if weights is not None:
                where = index[part]
                w = weights[where] if per_row == 1 else weights[2 * where] + 1j * weights[2 * where + 1]
            block = Problem(kernel, data[part], w, whole.m, whole.k, whole.lower, whole.upper, whole.jac_error)
            self.blocks.append(block)

    def columns(self, alpha: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        G, b, rr = np.zeros((self.k, self.k)), np.zeros(self.k), 0.0
        for block in self.blocks:
            columns = block.columns(alpha)
            if columns is None:
                return None
            target, phi = columns
            r = target - c @ phi
            G += phi @ phi.T
            b += phi @ r
            rr += float(r @ r)
        return G, b, rr

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        n = p.size
        G, g, rr = np.zeros((n, n)), np.zeros(n), 0.0
        for block in self.blocks:
            full = block.full(p)
            if full is None:
                return None
            r, J = full
            G += J @ J.T
            g += J @ r
            rr += float(r @ r)
        return G, g, rr

    def curvature(self, p: np.ndarray) -> np.ndarray | None:
        B = np.zeros((p.size, p.size))
        for block in self.blocks:
            part = block.curvature(p, block.residual(p))
            if part is None:
                return None
            B += part
        return B


class GridKernel(Protocol):
    """A kernel whose arrays are short sums of products: each is a list of (gy, gx)."""

    def columns(self, alpha: np.ndarray) -> tuple[list[Term] | None, Sequence[list[Term]]]: ...

    def full(self, alpha: np.ndarray, c: np.ndarray) -> tuple[list[Term], Sequence[list[Term] | None]]: ...

    def second(self, alpha: np.ndarray, c: np.ndarray) -> Sequence[tuple[int, int, list[Term]]] | None: ...


def _stack(groups: Sequence[list[Term] | None], ny: int, nx: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All factors below each other, and which column each belongs to."""
    owner = [j for j, terms in enumerate(groups) for _ in terms or ()]
    GY, GX = np.empty((len(owner), ny)), np.empty((len(owner), nx))
    i = 0
    for terms in groups:
        for gy, gx in terms or ():
            GY[i], GX[i] = gy, gx
            i += 1
    return GY, GX, np.array(owner, dtype=int)


class GridMoments:
    r"""
    Moments of rank-1 columns on a rectangular grid with any weight image.

    With :math:`J_a = f^y_a \otimes f^x_a` and W the image of squared weights,
    :math:`(J'WJ)_{ab} = \sum_x [(f^y_a f^y_b) W]\,(f^x_a f^x_b)`: one matrix product over the pairs a <= b.

    Parameters
    ----------
    kernel : GridKernel
    y, w : ndarray, shape (ny, nx), or None for w
        Data and 1/sigma; excluded points have w = 0 and any finite y.
    m, k : int
        Number of non-linear and linear parameters.
    """

    def __init__(self, kernel: GridKernel, y: np.ndarray, w: np.ndarray | None, m: int, k: int) -> None:
        self.kernel = kernel
        self.y = y
        self.W = None if w is None else w * w
        self.m, self.k = m, k

    def _gram(self, GY: np.ndarray, GX: np.ndarray) -> np.ndarray:
        if self.W is None:
            return (GY @ GY.T) * (GX @ GX.T)
        a, b = np.triu_indices(len(GY))
        # the pairs share one product with the weight image; the rest is as long as x
        sums = np.einsum("ij,ij->i", (GY[a] * GY[b]) @ self.W, GX[a] * GX[b])
        G = np.empty((len(GY), len(GY)))
        G[a, b] = G[b, a] = sums
        return G

    def _residual(self, groups: Sequence[list[Term] | None], factors: np.ndarray) -> tuple[np.ndarray, float]:
        """W r and r'Wr for the model sum_j factors_j group_j."""
        GY, GX, owner = _stack(groups, *self.y.shape)
        r = self.y - (GY * factors[owner, None]).T @ GX if len(owner) else self.y
        Wr = r if self.W is None else self.W * r
        return Wr, float(np.vdot(Wr, r))

    def _moments(self, groups: Sequence[list[Term] | None], Wr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        GY, GX, owner = _stack(groups, *self.y.shape)
        n = len(groups)
        G_terms = self._gram(GY, GX)
        g_terms = np.einsum("ij,ij->i", GY @ Wr, GX)
        if len(owner) == n:
            return G_terms, g_terms
        T = np.zeros((n, len(owner)))
        T[owner, np.arange(len(owner))] = 1.0
        return T @ G_terms @ T.T, T @ g_terms

    def columns(self, alpha: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        fixed, groups = self.kernel.columns(alpha)
        Wr, rr = self._residual([fixed, *groups], np.concatenate([[1.0], c]))
        if not np.isfinite(rr):
            return None
        G, b = self._moments(groups, Wr)
        return (G, b, rr) if np.isfinite(G.sum()) else None

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        value, groups = self.kernel.full(p[: self.m], p[self.m :])
        Wr, rr = self._residual([value], np.ones(1))
        if not np.isfinite(rr):
            return None
        G, g = self._moments(groups, Wr)
        return (G, g, rr) if np.isfinite(G.sum()) else None

    def curvature(self, p: np.ndarray) -> np.ndarray | None:
        value, _ = self.kernel.full(p[: self.m], p[self.m :])
        second = self.kernel.second(p[: self.m], p[self.m :])
        if second is None:
            return None
        Wr, _ = self._residual([value], np.ones(1))
        B = np.zeros((p.size, p.size))
        if second:
            GY, GX, owner = _stack([terms for _, _, terms in second], *self.y.shape)
            sums = np.bincount(owner, np.einsum("ij,ij->i", GY @ Wr, GX), minlength=len(second))
            for (j, l, _), total in zip(second, sums, strict=True):
                B[j, l] = B[l, j] = total
        return B if np.isfinite(B).all() else None


def triangle(G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper triangle R and column norms S with G = S R'R S; raises `IllConditioned`."""
    S = np.sqrt(np.maximum(G.diagonal(), 0.0))
    if not (S > 0).all():
        raise IllConditioned
    R, info = dpotrf(G / np.outer(S, S), lower=0, clean=1)
    if info or R.diagonal().min() < PIVOT_RATIO:
        raise IllConditioned
    return R, S


class GramEngine:
    """The walk's engine on moments; see `separable.Engine`."""

    def __init__(self, problem: Problem, moments: Moments, c: np.ndarray) -> None:
        self.problem = problem
        self.moments = moments
        # where the last linear solution stood: sums are taken of what is left there, not of the data, to keep digits
        self.c = c

    def inner(self, alpha: np.ndarray) -> Inner | None:
        problem = self.problem
        problem.nfev += 1
        sums = self.moments.columns(alpha, self.c)
        if sums is None:
            return None
        G, b, rr = sums
        free = np.ones(problem.k, dtype=bool)
        if problem.k:
            R, S = triangle(G)
            z = dtrtrs(R, b / S, trans=1)[0]
            c = self.c + dtrtrs(R, z)[0] / S
            if problem.linear_bounded:
                lower, upper = problem.lower[problem.m :], problem.upper[problem.m :]
                if (c < lower).any() or (c > upper).any():
                    # the same minimum seen through the triangle: |R S (c - c0) - z|^2
                    rows = np.ascontiguousarray((R * S).T)
                    c, _, active = bounded(rows, z + R @ (S * self.c), lower, upper)
                    free = active == 0
            step = c - self.c
            rr = rr - float(2.0 * (b @ step) - step @ (G @ step))
        else:
            c = self.c
        if not np.isfinite(rr):
            return None
        return Inner(alpha, c, max(rr, 0.0), free)

    def system(self, point: Inner) -> tuple[np.ndarray, np.ndarray] | None:
        problem = self.problem
        problem.njev += 1
        self.c = point.c
        sums = self.moments.full(np.concatenate([point.alpha, point.c]))
        if sums is None:
            return None
        G, g, _ = sums
        m = problem.m
        A, gradient = G[:m, :m], g[:m]
        free = m + np.flatnonzero(point.work)
        if free.size:
            R, S = triangle(G[np.ix_(free, free)])
            X = dtrtrs(R, G[free, :m] / S[:, None], trans=1)[0]
            A = A - X.T @ X
            gradient = gradient - X.T @ dtrtrs(R, g[free] / S, trans=1)[0]
        return A, gradient


def row_blocks(shape: tuple[int, ...], size: int = BLOCK_ROWS) -> list[tuple[slice, ...]]:
    """Slices along the first axis that hold about `size` points each."""
    rows = max(1, size // max(1, int(np.prod(shape[1:], dtype=int))))
    return [(slice(start, min(start + rows, shape[0])),) for start in range(0, shape[0], rows)]


