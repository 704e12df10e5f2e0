r"""
First derivatives of many blocks, factored without ever forming whole columns.

A column belongs to one block alone (private) or to several (shared). With :math:`P_b = Q_b R_b` the private columns of block b
and :math:`S` the shared ones, :math:`J = Q R` with

.. math:: R = \begin{pmatrix} R_1 & & & C_1 \\ & \ddots & & \vdots \\ & & R_B & C_B \\ & & & R_s \end{pmatrix}, \qquad
          C_b = Q_b' S_b, \quad Q_s R_s = \mathrm{stack}_b\,(I - Q_b Q_b') S_b :

R is an arrow. Steps, the covariance and Newton's correction keep that shape, so that their cost grows with the number of
blocks, not with its cube. Ranks are judged column by column against the columns as they were before anything was projected
out of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from .blocks import JointProblem
from .linear import Factor, column_scales, factor
from .polish import Local, pseudo_inverse
from .problem import EPS


@dataclass(slots=True, eq=False)
class Share:
    """What one block contributes: its private columns factored, and what the shared ones have along them."""

    f: Factor
    columns: np.ndarray  # places of its private columns among all
    along: np.ndarray  # C_b (rank_b, s): the shared columns in terms of Q_b
    rows: slice
    z: slice  # its part of Q'r


class ArrowFactor:
    """
    The factor of all columns; as much of `solve.linear.Factor` as the end of a fit asks for.

    Parameters
    ----------
    parts : list of (ndarray, ndarray, ndarray, ndarray, slice)
        For every block: private columns (q_b, N_b), their places among all columns, the shared columns it has (s_b, N_b),
        their numbers among the shared ones, and its rows.
    shared : ndarray of int, shape (s,)
        Places of the shared columns among all.
    k, rows : int
        Number of all columns and rows.
    tol : float
        Relative error of the columns.
    """

    def __init__(
        self, parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, slice]], shared: np.ndarray, k: int, rows: int, tol: float
    ):
        tol = max(10.0 * k * EPS, tol)
        self.k, self.shared = k, shared
        self.scale = np.ones(k)
        whole = np.zeros((shared.size, rows))
        for _, _, columns, numbers, where in parts:
            whole[numbers, where] = columns
        scale = column_scales(whole) if shared.size else np.empty(0)
        self.finite = scale is not None
        if scale is None:
            return
        whole /= scale[:, None]
        self.scale[shared] = scale
        before = np.sqrt(np.einsum("ij,ij->i", whole, whole))
        self.shares: list[Share] = []
        start = 0
        for private, places, _, numbers, where in parts:
            f = factor(private, tol)
            if f is None:
                self.finite = False
                return
            self.scale[places] = f.scale
            along = np.zeros((f.rank, shared.size))
            if numbers.size and f.rank:
                mine = np.ascontiguousarray(whole[numbers, where])
                along[:, numbers] = f.qt(mine).T
                whole[numbers, where] = f.complement(mine)
            self.shares.append(Share(f, places, along, where, slice(start, start + f.rank)))
            start += f.rank
        # what the private columns can imitate is rounding now, and must not pass for a column
        left = np.sqrt(np.einsum("ij,ij->i", whole, whole))
        whole[left <= tol * before] = 0.0
        top = factor(whole, tol, np.ones(shared.size))
        self.finite = top is not None
        if top is not None:
            self.top = top
            self.rank = start + top.rank
            self.z = slice(start, self.rank)

    def qt(self, r: np.ndarray) -> np.ndarray:
        """Q'r, the blocks' parts first."""
        return np.concatenate([*(share.f.qt(r[share.rows]) for share in self.shares), self.top.qt(r)])

    @cached_property
    def inverses(self) -> list[np.ndarray]:
        """R_b^-1 of each block, (q_b, rank_b), for columns in their own order."""
        return [pseudo_inverse(share.f) for share in self.shares]

    @cached_property
    def inverse_top(self) -> np.ndarray:
        """The same of the shared triangle, (s, rank_s)."""
        return pseudo_inverse(self.top)

    @cached_property
    def carried(self) -> list[np.ndarray]:
        """How the private parameters follow the shared ones' part of Q'r, (q_b, rank_s) for each block."""
        return [-inverse @ (share.along @ self.inverse_top) for share, inverse in zip(self.shares, self.inverses, strict=True)]

    @cached_property
    def left(self) -> np.ndarray:
        """L (k, rank) with (J S^-1) L = Q; the shortest such below full rank."""
        L = np.zeros((self.k, self.rank))
        for share, inverse, carried in zip(self.shares, self.inverses, self.carried, strict=True):
            L[share.columns, share.z] = inverse
            L[share.columns, self.z] = carried
        L[self.shared, self.z] = self.inverse_top
        if self.rank < self.k:
            V0 = self.null_space()
            L -= V0.T @ (V0 @ L)
        return L

    def step(self, z: np.ndarray) -> np.ndarray:
        """L z for full rank, block by block."""
        out = np.empty(self.k)
        for share, inverse, carried in zip(self.shares, self.inverses, self.carried, strict=True):
            out[share.columns] = inverse @ z[share.z] + carried @ z[self.z]
        out[self.shared] = self.inverse_top @ z[self.z]
        return out

    def products(self) -> np.ndarray:
        """L L' (k, k) for full rank, from the blocks: private parameters of different blocks meet through the shared ones only."""
        M = np.empty((self.k, self.z.stop - self.z.start))
        for share, carried in zip(self.shares, self.carried, strict=True):
            M[share.columns] = carried
        M[self.shared] = self.inverse_top
        out: np.ndarray = M @ M.T
        for share, inverse in zip(self.shares, self.inverses, strict=True):
            out[np.ix_(share.columns, share.columns)] += inverse @ inverse.T
        return out

    def null_space(self) -> np.ndarray:
        """Orthonormal directions that change nothing, (k - rank, k), in scaled parameters."""
        rows = []
        for share in self.shares:
            own = share.f.null_space()
            out = np.zeros((len(own), self.k))
            out[:, share.columns] = own
            rows.append(out)
        V = self.top.null_space()
        out = np.zeros((len(V), self.k))
        out[:, self.shared] = V
        for share, inverse in zip(self.shares, self.inverses, strict=True):
            out[:, share.columns] = -(V @ share.along.T) @ inverse.T
        rows.append(out)
        together = np.concatenate(rows)
        return np.asarray(np.linalg.qr(together.T)[0].T) if len(together) else together

    @cached_property
    def pivots(self) -> np.ndarray:
        """Diagonal of R, in size."""
        return np.abs(np.concatenate([*(share.f.r.diagonal() for share in self.shares), self.top.r.diagonal()]))

    @cached_property
    def pivot(self) -> np.ndarray:
        """Order of the columns in `r` and `tail`."""
        kept = [share.columns[share.f.pivot[: share.f.rank]] for share in self.shares] + [self.shared[self.top.pivot[: self.top.rank]]]
        rest = [share.columns[share.f.pivot[share.f.rank :]] for share in self.shares] + [self.shared[self.top.pivot[self.top.rank :]]]
        return np.concatenate(kept + rest).astype(int)

    @cached_property
    def _whole(self) -> np.ndarray:
        R = np.zeros((self.rank, self.k))
        for share in self.shares:
            R[share.z, share.columns[share.f.pivot]] = share.f.r if share.f.tail is None else np.hstack([share.f.r, share.f.tail])
            R[share.z, self.shared] = share.along
        R[self.z, self.shared[self.top.pivot]] = self.top.r if self.top.tail is None else np.hstack([self.top.r, self.top.tail])
        return R[:, self.pivot]

    @property
    def r(self) -> np.ndarray:
        """The arrow in full, (rank, rank)."""
        return self._whole[:, : self.rank]

    @property
    def tail(self) -> np.ndarray | None:
        """Dependent columns in terms of Q; None at full rank."""
        return None if self.rank == self.k else self._whole[:, self.rank :]


class ArrowLocal(Local):
    """First derivatives at one point, block by block."""

    f: Any

    def __init__(
        self, problem: JointProblem, p: np.ndarray, r: np.ndarray, free: np.ndarray, f: ArrowFactor, columns: list[np.ndarray]
    ) -> None:
        super().__init__(problem, p, r, free, f, f.qt(r), None)  # type: ignore[arg-type]
        self.problem = problem
        self.columns = columns

    @property
    def left(self) -> np.ndarray:
        return np.asarray(self.f.left)

    def step(self, z: np.ndarray) -> np.ndarray:
        scaled = self.f.step(z) if self.f.rank == self.free.size else self.f.left @ z
        return np.asarray(scaled / self.f.scale)

    def products(self, norms: np.ndarray) -> np.ndarray:
        if self.f.rank < self.free.size:
            return super().products(norms)
        return np.asarray(self.f.products() / norms / norms[:, None])

    def gradient(self) -> np.ndarray:
        g = np.zeros(self.p.size)
        for block, J in zip(self.problem.blocks, self.columns, strict=True):
            g[block.index] += J @ self.r[block.rows]
        return g

    def norms(self) -> np.ndarray:
        squares = np.zeros(self.p.size)
        for block, J in zip(self.problem.blocks, self.columns, strict=True):
            squares[block.index] += np.einsum("ij,ij->i", J, J)
        return np.sqrt(squares)

    def dead(self) -> np.ndarray:
        alive = np.zeros(self.p.size, dtype=bool)
        for block, J in zip(self.problem.blocks, self.columns, strict=True):
            alive[block.index] |= J.any(axis=1)
        return ~alive

    def largest_sum(self) -> float:
        largest = 0.0
        for block, J in zip(self.problem.blocks, self.columns, strict=True):
            m = block.problem.m
            largest = max(largest, float((np.abs(self.p[block.solved]) @ np.abs(J[m:])).max(initial=0.0)))
        return largest


class _Lazy:
    """A matrix that is built when numpy asks for it."""

    def __init__(self, make: Any, n: int) -> None:
        self._make, self.shape, self.size = make, (n, n), n * n

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self._make(), dtype=dtype)


class ArrowCurvature:
    """
    The relative curvature K = L'BL, an arrow like R: second derivatives tie a private parameter to its own block's and to the
    shared ones only. Unpacks to (K, scaled B), built in full when they are used.
    """

    def __init__(self, here: ArrowLocal, curvatures: list[np.ndarray], B: _Lazy) -> None:
        f: ArrowFactor = here.f
        problem = here.problem
        self.f = f
        place = np.full(problem.n, -1)
        place[here.free] = np.arange(here.free.size)
        numbers = np.full(f.k, -1)
        numbers[f.shared] = np.arange(f.shared.size)
        top = f.inverse_top
        self.own: list[np.ndarray] = []
        self.cross: list[np.ndarray] = []
        self.top = np.zeros((top.shape[1], top.shape[1]))
        for block, inverse, carried, curved in zip(problem.blocks, f.inverses, f.carried, curvatures, strict=True):
            mine = place[block.index]
            kept = mine >= 0
            mine = mine[kept]
            b = curved[np.ix_(kept, kept)] / f.scale[mine] / f.scale[mine][:, None]
            private = numbers[mine] < 0
            inner = np.flatnonzero(private)  # in the order of the block's share of the factor
            outer = np.flatnonzero(~private)
            bpp, bps, bss = b[np.ix_(inner, inner)], b[np.ix_(inner, outer)], b[np.ix_(outer, outer)]
            t = top[numbers[mine[outer]]]
            along = bpp @ carried + bps @ t
            self.own.append(inverse.T @ bpp @ inverse)
            self.cross.append(inverse.T @ along)
            mixed = carried.T @ (bps @ t)
            self.top += carried.T @ bpp @ carried + mixed + mixed.T + t.T @ bss @ t
        self._pair = (_Lazy(self.whole, f.rank), B)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pair)

    def __getitem__(self, i: int) -> Any:
        return self._pair[i]

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.top).all() and all(np.isfinite(a).all() for a in (*self.own, *self.cross)))

    def whole(self) -> np.ndarray:
        """K (rank, rank)."""
        K = np.zeros((self.f.rank, self.f.rank))
        for share, own, cross in zip(self.f.shares, self.own, self.cross, strict=True):
            K[share.z, share.z] = own
            K[share.z, self.f.z] = cross
            K[self.f.z, share.z] = cross.T
        K[self.f.z, self.f.z] = self.top
        return K

    def newton(self, z: np.ndarray) -> np.ndarray | None:
        """(I - K)^-1 z, or None where I - K is not positive definite."""
        out = np.empty_like(z)
        rest = z[self.f.z].copy()
        middle = np.eye(self.top.shape[0]) - self.top
        solved: list[np.ndarray | None] = []
        for share, own, cross in zip(self.f.shares, self.own, self.cross, strict=True):
            if not own.size:
                solved.append(None)
                continue
            R, info = dpotrf(np.eye(own.shape[0]) - own)
            if info:
                return None
            one = dpotrs(R, np.column_stack([cross, z[share.z]]))[0]
            solved.append(one)
            middle -= cross.T @ one[:, :-1]
            rest += cross.T @ one[:, -1]
        if rest.size:
            R, info = dpotrf(middle)
            if info:
                return None
            rest = dpotrs(R, rest)[0]
        out[self.f.z] = rest
        for share, one in zip(self.f.shares, solved, strict=True):
            if one is not None:
                out[share.z] = one[:, :-1] @ rest + one[:, -1]
        return out


class ArrowSurveyor:
    """The end of a fit of many blocks; see `solve.polish.Surveyor`."""

    last = 0.0

    def __init__(self, problem: JointProblem) -> None:
        self.problem = problem

    def local(self, p: np.ndarray, held: np.ndarray) -> ArrowLocal | None:
        problem = self.problem
        problem.nfev += 1
        problem.njev += 1
        free = np.flatnonzero(~held)
        place = np.full(problem.n, -1)
        place[free] = np.arange(free.size)
        shared = np.flatnonzero(problem.uses[free] > 1)
        numbers = np.full(free.size, -1)
        numbers[shared] = np.arange(shared.size)
        r = np.empty(problem.N)
        parts, columns = [], []
        for block in problem.blocks:
            full = block.problem.full(p[block.index])
            if full is None:
                return None
            r[block.rows] = full[0]
            J = full[1]
            columns.append(J)
            mine = place[block.index]
            common = numbers[np.maximum(mine, 0)]
            private = (mine >= 0) & (common < 0)
            both = (mine >= 0) & (common >= 0)
            parts.append((J[private], mine[private], J[both], common[both], block.rows))
        f = ArrowFactor(parts, shared, free.size, problem.N, problem.jac_error)
        return ArrowLocal(problem, p, r, free, f, columns) if f.finite else None

    def curvature(self, here: Local) -> np.ndarray | None:
        return self.problem.curvature(here.p, here.r)

    def relative(self, here: ArrowLocal) -> ArrowCurvature | None:
        """K and the scaled B as arrows, at full rank."""
        curvatures = []
        for block in self.problem.blocks:
            part = block.problem.curvature(here.p[block.index], here.r[block.rows])
            if part is None:
                return None
            curvatures.append(part)

        def scaled() -> np.ndarray:
            B = np.zeros((self.problem.n, self.problem.n))
            for block, part in zip(self.problem.blocks, curvatures, strict=True):
                B[np.ix_(block.index, block.index)] += part
            return B[np.ix_(here.free, here.free)] / here.scale / here.scale[:, None]

        found = ArrowCurvature(here, curvatures, _Lazy(scaled, here.free.size))
        return found if found.finite else None
