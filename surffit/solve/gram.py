r"""
The walk on normal equations, for data much longer than the parameter list.

All that a Gauss-Newton step needs of N rows are the moments J'J, J'r and r'r. They are summed block by block, or, on a
rectangular grid where columns are products g(y) h(x), taken from the factors without ever forming a column
(`solve.grid`). Only steps come from here: the final residual, errors and rank come from QR of whole columns. Where the
triangle of J'J is too ill-conditioned to trust, `IllConditioned` sends the walk back to QR.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtrs

from .linear import Factor, bounded
from .polish import Local
from .problem import Kernel, Problem, finite
from .separable import Inner

# smallest ratio of pivots of the scaled triangle: steps keep about eps / ratio^2 = 2e-6 relative accuracy
PIVOT_RATIO = 1e-5
# the same for the final errors: they keep about eps / ratio^2 = 2e-10
SURE_RATIO = 1e-3
BLOCK_ROWS = 8192
# share of a squared column that must be left beside the linear columns
CANCELLED = 1e-10
# share of the linear part by which a solve may move it before the derivatives by alpha are taken again
REUSE = 0.01
# rows from which the moments pay for their bookkeeping: on a grid, and block by block
LONG_GRID = 4_000
LONG_ROWS = 20_000

Sums = tuple[np.ndarray, np.ndarray, float]


class IllConditioned(ArithmeticError):
    """Normal equations can't be trusted here; use QR."""


class Moments(Protocol):
    """Sums over all rows."""

    @property
    def noise(self) -> float:
        """Absolute rounding error of r'r as `full` gives it."""

    def full(self, p: np.ndarray) -> Sums | None:
        """J'J (n, n), J'r (n,) and r'r at p; None if not finite."""


class LongMoments(Moments, Protocol):
    """Moments that can also finish a fit without whole columns."""

    def residual(self, p: np.ndarray) -> np.ndarray | None:
        """Weighted residual of the used points at p, (N,); None if not finite."""

    def gradient(self, p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """J'J and J'r as `full`, from the residual itself: to the last digit."""

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray | None:
        """Sum of r_i times the Hessian of F_i, (n, n)."""


class WholeMoments:
    """Moments of rows that are all held at once."""

    noise = 0.0

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def full(self, p: np.ndarray) -> Sums | None:
        whole = self.problem.full(p)
        if whole is None:
            return None
        r, J = whole
        return J @ J.T, J @ r, float(r @ r)


class BlockMoments:
    """Moments summed over blocks of rows that stay in cache."""

    noise = 0.0

    def __init__(self, problem: Problem, parts: Sequence[tuple[Kernel, tuple[slice, ...]]]) -> None:
        whole = problem
        data = whole.data
        weights = None if whole.w is None else whole.w.reshape(-1)
        self.blocks = []
        self.edges = [0]
        per_row = 2 if whole.complex else 1
        index = np.arange(data.size).reshape(data.shape)
        for kernel, part in parts:
            w = None
            if weights is not None:
                where = index[part]
                w = weights[where] if per_row == 1 else weights[2 * where] + 1j * weights[2 * where + 1]
            block = Problem(kernel, data[part], w, whole.m, whole.k, whole.lower, whole.upper, whole.jac_error)
            self.blocks.append(block)
            self.edges.append(self.edges[-1] + block.N)

    def full(self, p: np.ndarray) -> Sums | None:
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

    def residual(self, p: np.ndarray) -> np.ndarray | None:
        r = np.concatenate([block.residual(p) for block in self.blocks])
        return r if finite(r) else None

    def gradient(self, p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        sums = self.full(p)
        return None if sums is None else sums[:2]

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray | None:
        B = np.zeros((p.size, p.size))
        for block, start, stop in zip(self.blocks, self.edges[:-1], self.edges[1:], strict=True):
            part = block.curvature(p, r[start:stop])
            if part is None:
                return None
            B += part
        return B


def triangle(G: np.ndarray, ratio: float = PIVOT_RATIO) -> tuple[np.ndarray, np.ndarray]:
    """Upper triangle R and column norms S with G = S R'R S; raises `IllConditioned` for pivots below `ratio`."""
    S = np.sqrt(np.maximum(G.diagonal(), 0.0))
    if not S.min(initial=1.0) > 0:
        raise IllConditioned
    R, info = dpotrf(G / S / S[:, None], lower=0, clean=1)
    if info or R.diagonal().min(initial=1.0) < ratio:
        raise IllConditioned
    return R, S


class GramEngine:
    """
    The walk's engine on moments; see `separable.Engine`.

    One evaluation serves both halves of a step: it is taken at the new alpha with the linear parameters that the last step
    predicts. They are then solved for exactly; the derivatives by alpha are computed again only where that moved them
    noticeably.
    """

    def __init__(self, problem: Problem, moments: Moments, c: np.ndarray) -> None:
        self.problem = problem
        self.moments = moments
        self.noise = moments.noise
        self.m = problem.m
        self._at: tuple[np.ndarray, np.ndarray] | None = None  # where the last system was taken
        self._follow = np.zeros((problem.k, problem.m))  # how c follows alpha from there
        self._c = c

    def inner(self, alpha: np.ndarray) -> Inner | None:
        problem, m = self.problem, self.problem.m
        c0 = self._c if self._at is None else self._at[1] - self._follow @ (alpha - self._at[0])
        sums = self.moments.full(np.concatenate([alpha, c0]))
        if sums is None:
            return None
        G, g, rr = sums
        if not problem.k:
            return Inner(alpha, c0, rr, (G, g, None, False))
        b, Gcc = g[m:], G[m:, m:]
        free = None
        if problem.k == 1 and not problem.linear_bounded:
            if not Gcc[0, 0] > 0:
                raise IllConditioned
            step = b / Gcc[0, 0]
        else:
            R, S = triangle(Gcc)
            z = dtrtrs(R, b / S, trans=1)[0]
            step = dtrtrs(R, z)[0] / S
            if problem.linear_bounded:
                c = c0 + step
                lower, upper = problem.lower[m:], problem.upper[m:]
                if (c < lower).any() or (c > upper).any():
                    # the same minimum seen through the triangle: |R S (c - c0) - z|^2
                    solved = bounded(np.ascontiguousarray((R * S).T), z + R @ (S * c0), lower, upper)
                    if solved is None:
                        return None
                    c, _, active = solved
                    free = np.flatnonzero(active == 0)
                    step = c - c0
        moved = float(step @ (Gcc @ step))
        rr -= 2.0 * float(b @ step) - moved
        c = c0 + step
        if not math.isfinite(rr):
            return None
        return Inner(alpha, c, max(rr, 0.0), (G, g - G[:, m:] @ step, free, moved > REUSE**2 * float(c @ (Gcc @ c))))

    def system(self, point: Inner) -> tuple[np.ndarray, np.ndarray] | None:
        problem, m = self.problem, self.problem.m
        G, g, free, stale = point.work
        if stale:
            sums = self.moments.full(np.concatenate([point.alpha, point.c]))
            if sums is None:
                return None
            G, g, _ = sums
        self._at = point.alpha, point.c
        if not problem.k:
            return G, g
        if free is not None:
            kept = np.concatenate([np.arange(m), m + free])
            G, g = G[np.ix_(kept, kept)], g[kept]
        k = g.size - m
        # backwards the linear parameters come first, and the triangle's last block is that of the reduced problem
        whole = G.diagonal()[::-1]
        R, info = dpotrf(G[::-1, ::-1], lower=0, clean=1)
        if info or not _sound(R.diagonal().tolist(), whole.tolist(), k):
            raise IllConditioned
        R12, R22 = R[:k, k:], R[k:, k:]
        self._follow = np.zeros((problem.k, m))
        if not k:
            return G, g
        self._follow[slice(None) if free is None else free] = dtrtrs(R[:k, :k], R12)[0][::-1, ::-1]
        gradient = g[:m] - (R12.T @ dtrtrs(R[:k, :k], g[: m - 1 : -1], trans=1)[0])[::-1]
        return (R22.T @ R22)[::-1, ::-1], gradient


class FullEngine:
    """All parameters searched at once, from the values given for all of them; see `separable.Engine`."""

    def __init__(self, problem: Problem, moments: Moments) -> None:
        self.problem, self.moments = problem, moments
        self.noise = moments.noise
        self.m = problem.n

    def inner(self, p: np.ndarray) -> Inner | None:
        sums = self.moments.full(p)
        return None if sums is None else Inner(p, np.empty(0), sums[2], sums[:2])

    def system(self, point: Inner) -> tuple[np.ndarray, np.ndarray] | None:
        G, g = point.work
        return G.copy(), g.copy()


def _sound(pivots: list[float], squares: list[float], k: int) -> bool:
    """Whether enough of every column is left beside those before it."""
    return all(
        pivot * pivot >= (PIVOT_RATIO * PIVOT_RATIO if i < k else CANCELLED) * square
        for i, (pivot, square) in enumerate(zip(pivots, squares, strict=True))
    )


class GramSurveyor:
    """The end of a fit on moments: the triangle comes from J'J where its pivots leave ten digits, else `IllConditioned`."""

    last = 1e-5  # what it would change in the errors is far below the rounding of J'J

    def __init__(self, problem: Problem, moments: LongMoments) -> None:
        self.problem, self.moments = problem, moments

    def local(self, p: np.ndarray, held: np.ndarray) -> Local | None:
        problem = self.problem
        problem.nfev += 1
        problem.njev += 1
        r = self.moments.residual(p)
        if r is None:
            return None
        sums = self.moments.gradient(p, r)
        if sums is None:
            return None
        G, g = sums
        free = np.flatnonzero(~held)
        R, S = triangle(G[np.ix_(free, free)], SURE_RATIO)
        f = Factor(R, np.arange(free.size), S, free.size, None, np.empty((0, free.size)))  # nobody asks for Q here
        return Local(problem, p, r, free, f, dtrtrs(R, g[free] / S, trans=1)[0], None)

    def curvature(self, here: Local) -> np.ndarray | None:
        return self.moments.curvature(here.p, here.r)


def row_blocks(shape: tuple[int, ...], size: int = BLOCK_ROWS) -> list[tuple[slice, ...]]:
    """Slices along the first axis that hold about `size` points each."""
    rows = max(1, size // max(1, int(np.prod(shape[1:], dtype=int))))
    return [(slice(start, min(start + rows, shape[0])),) for start in range(0, shape[0], rows)]
