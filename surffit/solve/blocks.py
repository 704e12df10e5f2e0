"""Several data sets as one problem: each block keeps its own kernel, data and weights, and names the parameters it uses.

The rows stand one block after the other, the parameters in one common order, non-linear ones first. Everything that
`solve.problem.Problem` offers is here with the same meaning, so that whatever works on one data set works on several; whole
columns are mostly zeros, though, and where there are many blocks `arrow` works on the blocks instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .gram import LongMoments
from .problem import EPS, HUGE, TINY, Problem, finite

# floating-point operations of a QR of whole columns from which the blocks are worth their bookkeeping
DENSE = 2_000_000


@dataclass(slots=True, eq=False)
class Block:
    """One data set in a joint problem.

    Attributes
    ----------
    problem : Problem
        The data set alone, with parameters in its own order.
    index : ndarray of int, shape (n_b,)
        Where these parameters stand in the joint order.
    rows : slice
        Its rows among all.
    moments : LongMoments or None
        Sums over its rows, if it is long.
    """

    problem: Problem
    index: np.ndarray
    rows: slice
    moments: LongMoments | None = None

    @property
    def searched(self) -> np.ndarray:
        """Joint positions of its non-linear parameters."""
        return self.index[: self.problem.m]

    @property
    def solved(self) -> np.ndarray:
        """Joint positions of its linear parameters."""
        return self.index[self.problem.m :]


class BlockKernel:
    """What is asked of the models of all blocks at once."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks

    def settle(self, alpha: np.ndarray, c: np.ndarray) -> None:
        """The walk has ended here: numerical derivatives may tune their steps."""
        p = np.concatenate([alpha, c])
        for block in self.blocks:
            block.problem.kernel.settle(p[block.searched], p[block.solved])

    def second(self, alpha: np.ndarray, c: np.ndarray) -> Sequence[tuple[int, int, Any]] | None:
        """Second derivatives of each block's values, (i, j, array) with joint places; None if one block has none."""
        p = np.concatenate([alpha, c])
        out: list[tuple[int, int, Any]] = []
        for block in self.blocks:
            found = block.problem.kernel.second(p[block.searched], p[block.solved])
            if found is None:
                return None
            places = block.index.tolist()
            out += [(max(places[i], places[j]), min(places[i], places[j]), array) for i, j, array in found]
        return out

    @property
    def patched(self) -> int:
        """Derivative values that were recomputed numerically."""
        return sum(int(getattr(block.problem.kernel, "patched", 0)) for block in self.blocks)


class JointProblem:
    """
    Weighted least squares of several data sets with common parameters; see `solve.problem.Problem` for what is not told here.

    Parameters
    ----------
    parts : sequence of (Problem, ndarray of int, LongMoments or None)
        The data sets, and where the parameters of each stand in the joint order; non-linear ones among the first `m`.
    m, k : int
        Number of all non-linear and linear parameters.
    lower, upper : ndarray, shape (m + k,)

    Notes
    -----
    The parts become ours: their rows are brought to one common unit.
    """

    least_squares = True

    def __init__(
        self,
        parts: Sequence[tuple[Problem, np.ndarray, LongMoments | None]],
        m: int,
        k: int,
        lower: np.ndarray,
        upper: np.ndarray,
    ) -> None:
        self.m, self.k, self.n = m, k, m + k
        self.lower, self.upper = lower, upper
        self.bounded = bool(np.isfinite(lower).any() or np.isfinite(upper).any())
        self.linear_bounded = k > 0 and bool(np.isfinite(lower[m:]).any() or np.isfinite(upper[m:]).any())
        self.jac_error = max((part.jac_error for part, _, _ in parts), default=1e-15)
        self.nfev = self.njev = 0
        self.complex = False
        self.unit = _common_unit([part for part, _, _ in parts])
        self.blocks: list[Block] = []
        start = 0
        for part, index, moments in parts:
            if part.unit != self.unit:
                _rescale(part, self.unit / part.unit)
                moments = None
            self.blocks.append(Block(part, np.asarray(index, dtype=int), slice(start, start + part.N), moments))
            start += part.N
        self.N = self.ndata = start
        self.shape = (start,)
        self.y = np.concatenate([part.y for part, _, _ in parts]) if parts else np.empty(0)
        self.noise = 8.0 * EPS * float(np.abs(self.y).max(initial=0.0)) * math.sqrt(start)
        self.kernel = BlockKernel(self.blocks)
        self.uses = np.zeros(self.n, dtype=int)  # how many blocks feel each parameter
        for block in self.blocks:
            self.uses[block.index] += 1

    def columns(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """What the linear parameters must explain, (N,), and their columns (k, N); None if not finite."""
        self.nfev += 1
        target, phi = np.empty(self.N), np.zeros((self.k, self.N))
        for block in self.blocks:
            part = block.problem.columns(alpha[block.searched])
            if part is None:
                return None
            target[block.rows] = part[0]
            phi[block.solved - self.m, block.rows] = part[1]
        return target, phi

    def residual(self, p: np.ndarray) -> np.ndarray:
        """Weighted residual y - F, shape (N,); may hold non-finite values."""
        self.nfev += 1
        return np.concatenate([block.problem.residual(p[block.index]) for block in self.blocks])

    def cost(self, p: np.ndarray) -> float:
        """What is minimised, in the rows' unit squared: chi2. Infinite where the model is not finite."""
        r = self.residual(p)
        chi2 = float(r.dot(r))
        return chi2 if math.isfinite(chi2) else math.inf

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Weighted residual (N,) and derivatives of the model (n, N); None if not finite."""
        self.nfev += 1
        self.njev += 1
        r, J = np.empty(self.N), np.zeros((self.n, self.N))
        for block in self.blocks:
            part = block.problem.full(p[block.index])
            if part is None:
                return None
            r[block.rows] = part[0]
            J[block.index, block.rows] = part[1]
        return r, J

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray | None:
        """Sum over rows of r_i times the Hessian of F_i, (n, n)."""
        B = np.zeros((self.n, self.n))
        for block in self.blocks:
            part = block.problem.curvature(p[block.index], r[block.rows])
            if part is None:
                return None
            B[np.ix_(block.index, block.index)] += part
        return B if finite(B) else None

    @property
    def blockwise(self) -> bool:
        """Whether there is so much of it that whole columns would cost more than the blocks."""
        return len(self.blocks) > 1 and self.n * self.n * self.N > DENSE


def _common_unit(parts: Sequence[Problem]) -> float:
    """One power of two for the rows of all data sets, 1 if their squares stay inside float64 as they are."""
    if all(part.unit == 1.0 for part in parts):
        return 1.0
    largest = max(float(np.abs(part.y).max(initial=0.0)) / part.unit for part in parts)
    return 1.0 if not largest > 0.0 or TINY < largest < HUGE else float(np.ldexp(1.0, -int(np.frexp(largest)[1])))


def _rescale(part: Problem, factor: float) -> None:
    part.w = np.full(part.y.shape, factor) if part.w is None else part.w * factor
    part.y = part.y * factor
    part.noise *= factor
    part.unit *= factor


def block_gram(block: Block, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
    """J'J (n_b, n_b), J'r and r'r of one block at the joint point p."""
    mine = p[block.index]
    if block.moments is not None:
        return block.moments.full(mine)
    full = block.problem.full(mine)
    if full is None:
        return None
    r, J = full
    return J @ J.T, J @ r, float(r @ r)


class JointMoments:
    """Sums over the rows of all blocks, each summed the way that suits it; see `solve.gram.LongMoments`."""

    def __init__(self, problem: JointProblem) -> None:
        self.problem = problem
        self.noise = sum(float(getattr(block.moments, "noise", 0.0)) for block in problem.blocks)

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        n = self.problem.n
        G, g, rr = np.zeros((n, n)), np.zeros(n), 0.0
        for block in self.problem.blocks:
            sums = block_gram(block, p)
            if sums is None:
                return None
            G[np.ix_(block.index, block.index)] += sums[0]
            g[block.index] += sums[1]
            rr += sums[2]
        self.problem.nfev += 1
        self.problem.njev += 1
        return G, g, rr

    def residual(self, p: np.ndarray) -> np.ndarray | None:
        parts: list[Any] = []
        for block in self.problem.blocks:
            mine = p[block.index]
            parts.append(block.problem.residual(mine) if block.moments is None else block.moments.residual(mine))
            if parts[-1] is None:
                return None
        r = np.concatenate(parts)
        return r if finite(r) else None

    def gradient(self, p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        n = self.problem.n
        G, g = np.zeros((n, n)), np.zeros(n)
        for block in self.problem.blocks:
            mine, rest = p[block.index], r[block.rows]
            if block.moments is not None:
                sums = block.moments.gradient(mine, rest)
            else:
                full = block.problem.full(mine)
                sums = None if full is None else (full[1] @ full[1].T, full[1] @ rest)
            if sums is None:
                return None
            G[np.ix_(block.index, block.index)] += sums[0]
            g[block.index] += sums[1]
        return G, g

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray | None:
        n = self.problem.n
        B = np.zeros((n, n))
        for block in self.problem.blocks:
            how: Any = block.problem if block.moments is None else block.moments
            part = how.curvature(p[block.index], r[block.rows])
            if part is None:
                return None
            B[np.ix_(block.index, block.index)] += part
        return B if finite(B) else None
