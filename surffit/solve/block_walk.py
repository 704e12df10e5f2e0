r"""
The walk over many blocks: the linear parameters of a block are eliminated within it, the common ones after that.

With :math:`\Phi_b = Q_b R_b` the linear columns that are private to block b, each block's shared linear columns are projected by
:math:`I - Q_b Q_b'`, stacked, and eliminated second. What remains is a walk in the non-linear parameters alone, whatever the
number of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrow import ArrowSurveyor
from .blocks import Block, JointMoments, JointProblem
from .fullspace import Callback, trust_region
from .gram import FullEngine, Moments, WholeMoments
from .linear import Factor, bounded, column_scales, factor, solve
from .polish import DenseSurveyor, Surveyor
from .problem import EPS, Problem, finite
from .separable import IMITATED, DenseEngine, Engine, Inner, walk
from .status import Status


@dataclass(slots=True, eq=False)
class Eliminated:
    """The linear parameters solved block by block at one alpha, with the factors that say how sure they are."""

    c: np.ndarray
    chi2: float
    factors: list[Factor]
    top: Factor | None  # of the shared columns, projected and scaled; None without any
    scale: np.ndarray  # of the shared columns
    shared: np.ndarray  # their numbers among the linear parameters
    own: list[tuple[np.ndarray, np.ndarray, np.ndarray]]  # each block's own numbers, those of its shared ones in `top`, and their columns

    @property
    def pivots(self) -> np.ndarray:
        """Diagonal of the arrow R of the scaled columns, in size."""
        parts = [f.pivots for f in self.factors]
        return np.concatenate(parts if self.top is None else [*parts, self.top.pivots])

    @property
    def full_rank(self) -> bool:
        """Whether the data tell all linear parameters apart here."""
        return self.pivots.size == self.c.size

    @property
    def log_volume(self) -> float:
        """ln det R of the columns as they are."""
        scales = [f.scale for f in self.factors] + [self.scale]
        return float(np.log(self.pivots).sum() + sum(np.log(scale).sum() for scale in scales))

    def draw(self, sigma: float, rng: np.random.Generator) -> np.ndarray:
        """Linear parameters (k,) from their posterior at this alpha, for rows of standard deviation sigma."""
        out = self.c.copy()
        moved = np.zeros(self.shared.size)
        if self.top is not None:
            moved[self.top.pivot] = self.top.solve_r(rng.standard_normal(self.top.rank))
            moved /= self.scale
            out[self.shared] += sigma * moved
        for f, (own, numbers, phi) in zip(self.factors, self.own, strict=True):
            z = rng.standard_normal(f.rank)
            if numbers.size:
                z = z - f.qt(moved[numbers] @ phi)
            out[own[f.pivot]] += sigma * f.solve_r(z) / f.scale[f.pivot]
        return out


NONE = np.empty(0, dtype=int)


class BlockEngine:
    """Elimination block by block; see `solve.separable.Engine`."""

    noise = 0.0

    def __init__(self, problem: JointProblem) -> None:
        self.problem: Any = problem
        self.m = problem.m
        common = problem.uses > 1
        self.shared = np.flatnonzero(common[problem.m :])  # numbers among the linear parameters
        number = np.full(problem.k, -1)
        number[self.shared] = np.arange(self.shared.size)
        self.layout: list[tuple[Block, np.ndarray, np.ndarray]] = []  # which of its linear parameters are its own, and which not
        for block in problem.blocks:
            solved = block.solved - problem.m
            private = number[solved] < 0
            self.layout.append((block, private, ~private))

    def inner(self, alpha: np.ndarray) -> Inner | None:
        found = self.eliminated(alpha)
        return None if found is None else Inner(alpha, found.c, found.chi2, found)

    def eliminated(self, alpha: np.ndarray, bounds: bool = True) -> Eliminated | None:
        """The linear part solved at alpha, within its bounds or regardless of them; None where the model isn't finite."""
        problem = self.problem
        problem.nfev += 1
        parts = []
        for block, *_ in self.layout:
            part = block.problem.columns(alpha[block.searched])
            if part is None:
                return None
            parts.append(part)
        free = np.ones(problem.k, dtype=bool)
        found = self._solve(parts, free, np.zeros(problem.k))
        if found is None:
            return None
        if bounds and problem.linear_bounded:
            lower, upper = problem.lower[self.m :], problem.upper[self.m :]
            if (found.c < lower).any() or (found.c > upper).any():
                held = self._active(parts, lower, upper)
                if held is None:
                    return None
                active, c = held
                found = self._solve(parts, ~active, np.where(active, c, 0.0))
                if found is None:
                    return None
                found.c[~active] = np.clip(found.c, lower, upper)[~active]
        return found if np.isfinite(found.chi2) else None

    def _solve(self, parts: list[tuple[np.ndarray, np.ndarray]], free: np.ndarray, known: np.ndarray) -> Eliminated | None:
        """Linear parameters, chi-square and factors, with those that are not free at known values."""
        problem = self.problem
        c = known.copy()
        tol = max(10.0 * problem.k * EPS, problem.jac_error)
        factors: list[Factor] = []
        rest: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        common = self.shared[free[self.shared]]
        number = np.full(problem.k, -1)
        number[common] = np.arange(common.size)
        whole = np.zeros((common.size, problem.N))
        target = np.empty(problem.N)
        chi2 = 0.0
        for (block, private, others), (left, phi) in zip(self.layout, parts, strict=True):
            solved = block.solved - self.m
            fixed = ~free[solved]
            if fixed.any():
                left = left - known[solved[fixed]] @ phi[fixed]
            own = np.flatnonzero(private & ~fixed)
            f = factor(np.ascontiguousarray(phi[own]) if own.size < len(phi) else phi, problem.jac_error)
            if f is None:
                return None
            factors.append(f)
            if not common.size:
                c[solved[own]], r = solve(f, left)
                chi2 += float(r @ r)
                rest.append((solved[own], NONE, phi[:0]))
                continue
            both = np.flatnonzero(others & ~fixed)
            whole[number[solved[both]], block.rows] = phi[both]
            target[block.rows] = left
            rest.append((solved[own], number[solved[both]], phi[both]))
        if not common.size:
            return Eliminated(c, chi2, factors, None, np.empty(0), common, rest)
        scale = column_scales(whole)
        if scale is None:
            return None
        whole /= scale[:, None]
        before = np.sqrt(np.einsum("ij,ij->i", whole, whole))
        projected = np.empty_like(target)
        for (block, *_), f in zip(self.layout, factors, strict=True):
            projected[block.rows] = f.complement(target[block.rows])
            whole[:, block.rows] = f.complement(np.ascontiguousarray(whole[:, block.rows]))
        whole[np.sqrt(np.einsum("ij,ij->i", whole, whole)) <= tol * before] = 0.0
        top = factor(whole, tol, np.ones(common.size))
        if top is None:
            return None
        shared, r = solve(top, projected)
        shared /= scale
        c[common] = shared
        for (block, *_), f, (own, numbers, phi) in zip(self.layout, factors, rest, strict=True):
            c[own] = f.coefficients(f.qt(target[block.rows] - shared[numbers] @ phi))
        return Eliminated(c, float(r @ r), factors, top, scale, common, rest)

    def _active(
        self, parts: list[tuple[np.ndarray, np.ndarray]], lower: np.ndarray, upper: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Which linear parameters end on a bound, and where; block by block where none is shared."""
        problem = self.problem
        c = np.zeros(problem.k)
        active = np.zeros(problem.k, dtype=bool)
        if not self.shared.size:
            for (block, *_), (left, phi) in zip(self.layout, parts, strict=True):
                places = block.solved - self.m
                solved = bounded(phi, left, lower[places], upper[places])
                if solved is None:
                    return None
                c[places], active[places] = solved[0], solved[2] != 0
            return active, c
        target, whole = np.empty(problem.N), np.zeros((problem.k, problem.N))
        for (block, *_), (left, phi) in zip(self.layout, parts, strict=True):
            target[block.rows] = left
            whole[block.solved - self.m, block.rows] = phi
        solved = bounded(whole, target, lower, upper)
        return None if solved is None else (solved[2] != 0, solved[0])

    def system(self, point: Inner) -> tuple[np.ndarray, np.ndarray] | None:
        problem, m = self.problem, self.m
        problem.nfev += 1
        problem.njev += 1
        p = np.concatenate([point.alpha, point.c])
        found: Eliminated = point.work
        factors, top = found.factors, found.top
        A, g, size = np.zeros((m, m)), np.zeros(m), np.zeros(m)
        wide = None if top is None or not top.rank else np.zeros((m, problem.N))
        for (block, *_), f in zip(self.layout, factors, strict=True):
            full = block.problem.full(p[block.index])
            if full is None:
                return None
            r, D = full[0], full[1][: block.problem.m]
            searched = block.searched
            g[searched] += D @ r
            size[searched] += np.einsum("ij,ij->i", D, D)
            if f.rank:
                D = D - f.project(D)
            if wide is None:
                A[np.ix_(searched, searched)] += D @ D.T
            else:
                wide[searched, block.rows] = D
        if wide is not None and top is not None:
            wide -= top.project(wide)
            A = wide @ wide.T
        # what the linear parameters can imitate is rounding here; stepping along it would lead anywhere
        imitated = A.diagonal() <= max(IMITATED, 10.0 * problem.jac_error) ** 2 * size
        if imitated.any():
            A[imitated, :] = A[:, imitated] = 0.0
            g[imitated] = 0.0
        return (A, g) if finite(A) else None


def is_blockwise(problem: Any) -> bool:
    """Whether a problem is better looked at block by block."""
    return isinstance(problem, JointProblem) and problem.blockwise


def engine_of(problem: Problem) -> Engine:
    """The engine that serves where nothing is assumed about the columns: whole ones, or block by block."""
    many: Any = problem
    return BlockEngine(many) if is_blockwise(problem) else DenseEngine(problem)


def surveyor_of(problem: Problem) -> Surveyor:
    """The same for the end of a fit."""
    many: Any = problem
    return ArrowSurveyor(many) if is_blockwise(problem) else DenseSurveyor(problem)


def moments_of(problem: Problem) -> Moments:
    """Sums over rows: of whole columns, or block by block."""
    many: Any = problem
    return JointMoments(many) if is_blockwise(problem) else WholeMoments(problem)


def second_try(
    problem: Problem, p: np.ndarray, max_nfev: int, sigma_known: bool, callback: Callback | None = None
) -> tuple[np.ndarray | None, Status]:
    """All parameters at once from p: scipy's trust region, or where whole columns would be too many, Levenberg-Marquardt on sums."""
    if not is_blockwise(problem):
        return trust_region(problem, p, max_nfev, callback)
    engine = FullEngine(problem, moments_of(problem))
    first = engine.inner(np.clip(p, problem.lower, problem.upper))
    if first is None:
        return None, Status.STALLED

    def told(q: np.ndarray, _: np.ndarray, chi2: float) -> bool:
        return callback is not None and bool(callback(q[: problem.m], q[problem.m :], chi2))

    walked = walk(engine, first, max_nfev=max(max_nfev, problem.nfev + 20), sigma_known=sigma_known, callback=told)
    return walked.alpha, walked.status
