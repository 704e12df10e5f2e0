"""Fits in which everything is linear: one solve, by whole columns, block by block, or by a few rows that stand for all."""

from __future__ import annotations

from typing import Any

import numpy as np

from .block_walk import engine_of, is_blockwise, second_try
from .condensed import Condensed, CondensedSurveyor
from .covariance import refine_root
from .fullspace import Callback
from .gram import BlockMoments, IllConditioned, LongMoments
from .grid import GridMoments
from .gridlinear import LinearGrid
from .judge import Options, judge, judge_by
from .linear import bounded, factor, refine, solve
from .problem import Problem
from .rowlinear import LinearRows
from .status import CONVERGED, Status
from .verdict import KAPPA, Solution, better, final_flags


def minimise_linear(
    problem: Problem, given: np.ndarray | None, options: Options, moments: LongMoments | None, callback: Callback | None
) -> Solution | None:
    """Everything linear: one solve, refined in double-double residuals where whole columns are held."""
    many: Any = problem
    if is_blockwise(many):
        return _linear_blocks(problem, options, callback)
    found = _linear_condensed(problem, moments, options, callback)
    if found is not None:
        return found
    columns = problem.columns(np.empty(0))
    if columns is None:
        return None
    target, phi = columns
    f = factor(phi, problem.jac_error)
    if f is None:
        return None
    c, _ = solve(f, target)
    active = np.zeros(problem.k, dtype=int)
    if problem.linear_bounded and ((c < problem.lower) | (c > problem.upper)).any():
        solved = bounded(phi, target, problem.lower, problem.upper, f)
        if solved is None:
            return None
        c, _, active = solved
    free, left = active == 0, None
    if options.refine and free.any():
        if not free.all():
            target = target - c[~free] @ phi[~free]
            f = factor(phi[free], problem.jac_error)
        if f is not None and f.rank == int(free.sum()):
            c[free], left = refine(np.ascontiguousarray(phi[free]), target, f)
            if problem.linear_bounded:
                inside = np.clip(c, problem.lower, problem.upper)
                c, left = inside, left if np.array_equal(inside, c) else None
    status = Status.CONVERGED_GRADIENT
    if callback is not None and callback(np.empty(0), c, np.nan):
        status = Status.ABORTED
    solution = judge(problem, c, status, c.copy(), options, "linear")
    if solution is not None:
        if not solution.kappa <= KAPPA and not status & Status.ABORTED:
            # the model isn't as linear as it was said to be: the full space has the last word
            begin = c if given is None else np.where(np.isfinite(given), given, c)
            other, how = second_try(problem, begin, options.max_nfev, options.sigma_known, callback)
            if other is not None:
                second = judge(problem, other, how, c.copy(), options, "trust-region")
                if second is not None:
                    solution = better(problem, solution, second)
                    solution.restarts += 1
        if options.refine:
            refine_root(solution.here)
        if left is not None and np.array_equal(solution.p, c):
            # the residual of the exact minimum, without the rounding of the coefficients
            solution.here.r, solution.here.chi2 = left, float(left @ left)
        final_flags(problem, solution)
        if solution.here.f.rank < problem.k and _rank_costs(problem, target, phi, solution):
            # the columns do differ, but less than double precision can use: what was found is not the minimum
            solution.status = solution.status & ~CONVERGED | Status.STALLED
    return solution


def _linear_blocks(problem: Problem, options: Options, callback: Callback | None) -> Solution | None:
    """The same block by block."""
    first = engine_of(problem).inner(np.empty(0))
    if first is None:
        return None
    status = Status.CONVERGED_GRADIENT
    if callback is not None and callback(first.alpha, first.c, first.chi2):
        status = Status.ABORTED
    solution = judge(problem, first.c, status, first.c.copy(), options, "blocks")
    if solution is not None:
        final_flags(problem, solution)
    return solution


def _linear_condensed(problem: Problem, moments: LongMoments | None, options: Options, callback: Callback | None) -> Solution | None:
    """The same on a few rows that stand for all, where there are ways to have them; None where whole columns must see to it."""
    try:
        if isinstance(moments, GridMoments):
            columns: Condensed = LinearGrid(moments)
        elif isinstance(moments, BlockMoments) and problem.least_squares:
            columns = LinearRows(moments)
        else:
            return None
    except IllConditioned:
        return None
    surveyor = CondensedSurveyor(problem, columns)
    target, chi2 = columns.look(None)
    f = factor(columns.root, problem.jac_error) if np.isfinite(chi2) else None
    if f is None:
        return None
    c, _ = solve(f, target)
    active = np.zeros(problem.k, dtype=int)
    if problem.linear_bounded and ((c < problem.lower) | (c > problem.upper)).any():
        solved = bounded(columns.root, target, problem.lower, problem.upper, f)
        if solved is None:
            return None
        c, _, active = solved
    free = active == 0
    if free.any():
        # what rounding has left of the residual within the columns
        s, _ = surveyor.look(c)
        part = f if free.all() else factor(np.ascontiguousarray(columns.root[free]), problem.jac_error)
        if part is not None:
            c = c.copy()
            c[free] += part.coefficients(part.qt(s))
            c = np.clip(c, problem.lower, problem.upper) if problem.linear_bounded else c
    status = Status.CONVERGED_GRADIENT
    if callback is not None and callback(np.empty(0), c, np.nan):
        status = Status.ABORTED
    solution = judge_by(surveyor, problem, c, status, c.copy(), options, columns.way)
    if solution is None or not (solution.kappa <= KAPPA or status & Status.ABORTED):
        return None
    final_flags(problem, solution)
    s, chi2 = surveyor.look(solution.p)
    if solution.here.f.rank < problem.k and _rank_costs(problem, s, columns.root, solution, chi2 - float(s @ s)):
        solution.status = solution.status & ~CONVERGED | Status.STALLED
    return solution


def _rank_costs(problem: Problem, target: np.ndarray, phi: np.ndarray, solution: Solution, beside: float = 0.0) -> bool:
    """Whether the directions that were cut off would have explained a good part of what is left (`beside`: squares in no row of phi)."""
    norms = np.sqrt(np.einsum("ij,ij->i", phi, phi))
    if problem.bounded or not (norms > 0).all():
        return False
    A = (phi / norms[:, None]).T
    _, _, Vt = np.linalg.svd(A, full_matrices=False)
    q, _ = np.linalg.qr(A @ Vt.T)
    left = target - q @ (q.T @ target)
    return float(left @ left) + beside < 0.5 * solution.here.chi2 and solution.here.chi2 > problem.noise**2
