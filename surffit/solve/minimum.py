"""
One least-squares problem from its start to a judged minimum.

Walk (variable projection), polish (Newton), verdict; where the verdict is bad, once more by a trust region in the full
space from the same start, and off a saddle along the direction in which chi-square curves down. What was tried is kept.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .block_walk import engine_of, is_blockwise, moments_of, second_try, surveyor_of
from .fullspace import Callback, minpack
from .gram import FullEngine, GramEngine, IllConditioned, LongMoments, WholeMoments
from .grid import GridMoments
from .judge import Options, judge
from .linear_fit import minimise_linear
from .problem import Problem
from .saddle import LOWER, ways_down
from .separable import DenseEngine, Engine, Inner, Walk, walk
from .status import CONVERGED, Status
from .verdict import Solution, better, far_off, final_flags, good

SUMS = ("gram", "grid")  # engines that look at long data through sums alone
ESCAPES = 3
WALK_NFEV = 150  # evaluations per non-linear parameter before the walk is given up
SHORT = 5_000  # values of all derivatives up to which the algebra around an evaluation costs more than the evaluation
QUICK = 1e-8  # where MINPACK stops: the polish takes over
EXACT = 1e-13  # error of derivatives below which normal equations lead as well as QR


def minimise(
    problem: Problem,
    alpha: np.ndarray,
    c: np.ndarray | None,
    options: Options,
    moments: LongMoments | None = None,
    callback: Callback | None = None,
) -> Solution | None:
    """
    Find the minimum of chi-square.

    Parameters
    ----------
    problem : Problem
    alpha : ndarray, shape (m,)
        Start of the non-linear parameters, inside their bounds.
    c : ndarray, shape (k,), or None
        Start of the linear ones for a restart in the full space; None or nan: as solved at `alpha`.
    options : Options
    moments : LongMoments, optional
        Sums over rows for long data.
    callback : callable, optional
        Called with (alpha, c, chi2) after accepted steps; a true answer stops the fit.

    Returns
    -------
    Solution or None
        None if the model isn't finite at the start.
    """
    if problem.m == 0:
        return minimise_linear(problem, c, options, moments, callback)
    solution = _eliminated(problem, alpha, c, options, moments, callback)
    if solution is None or c is None or not options.restart or not np.isfinite(c).all():
        return solution
    if solution.status & (Status.ABORTED | Status.MAX_NFEV) or not _left_the_start(problem, solution, c):
        return solution
    given = _from_given(problem, np.concatenate([alpha, c]), solution, options, moments, callback)
    return solution if given is None else given


def _left_the_start(problem: Problem, solution: Solution, c: np.ndarray) -> bool:
    """Whether elimination ended badly, or with linear parameters of another sign than the user gave, or on a bound."""
    end = solution.p[problem.m :]
    return bool((c * end < 0.0).any() or solution.held[problem.m :].any() or not solution.status.success)


def _from_given(
    problem: Problem, start: np.ndarray, solution: Solution, options: Options, moments: LongMoments | None, callback: Callback | None
) -> Solution | None:
    """From the values given for all parameters, in the full space: the answer if it is better than that of elimination."""
    engine = FullEngine(problem, moments_of(problem) if moments is None else moments)
    inside = np.clip(start, problem.lower, problem.upper)
    try:
        first = engine.inner(inside)
        if first is None:
            return None
        walked = walk_within(engine, first, options, callback)
    except IllConditioned:
        return None
    other = judge(problem, walked.alpha, walked.status, start, options, "full", moments)
    if other is None:
        return None
    final_flags(problem, other)
    if not other.status.success or (solution.status.success and other.here.chi2 > solution.here.chi2 * (1.0 - LOWER)):
        return None
    return other


def _eliminated(
    problem: Problem,
    alpha: np.ndarray,
    c: np.ndarray | None,
    options: Options,
    moments: LongMoments | None,
    callback: Callback | None,
) -> Solution | None:
    """By variable projection from `alpha`, with second tries where it ends badly."""
    short = moments is None and problem.n * problem.N <= SHORT and problem.jac_error < EXACT
    if short and options.restart and callback is None:
        quick = _quickly(problem, alpha, options)
        if quick is not None:
            return quick
    first, walked = _walk(problem, alpha, options, moments, callback, c)
    if first is None or walked is None:
        return None
    start = np.concatenate([alpha, first.c])
    found, status, name = walked
    solution = judge(problem, found, status, start, options, name, moments if name in SUMS else None)
    if status & (Status.ABORTED | Status.MAX_NFEV) and solution is not None:
        final_flags(problem, solution)
        return solution
    bad = options.restart and (solution is None or not good(problem, solution))
    if bad and _deficient_at(problem, start):
        solution = _from_beside(problem, start, status, options, solution, callback)
    elif bad:
        again = start.copy()
        if c is not None:
            again[problem.m :] = np.where(np.isfinite(c), c, first.c)
        # from the same start, and if that doesn't end well either, on from where the walk gave up
        for from_ in (again, found):
            other, how = second_try(problem, from_, options.max_nfev, options.sigma_known, callback)
            if other is not None:
                second = judge(problem, other, how, start, options, "trust-region")
                if how & Status.ABORTED and second is not None:
                    final_flags(problem, second)
                    return second
                solution = second if solution is None else solution if second is None else better(problem, solution, second)
            if solution is not None:
                solution.restarts += 1
                if good(problem, solution):
                    break
    if solution is None:
        # neither way ended at a point with finite derivatives: the start is all there is to show
        cause = Status.MAX_NFEV if problem.nfev >= options.max_nfev else Status.RUNAWAY
        solution = judge(problem, start, cause, start, replace(options, polish=False), name)
        if solution is None:
            return None
        final_flags(problem, solution)
        solution.status = solution.status & ~(CONVERGED | Status.STALLED) | cause
        return solution
    for _ in range(ESCAPES):
        ways = ways_down(problem, solution.here, solution.saddle)
        if not ways:
            break
        _, away, direction = ways[0]
        _, walked = _walk(problem, away, options, None, callback)
        if walked is None:
            break
        found, status, name = walked
        next_ = judge(problem, found, status, start, options, name)
        if next_ is None or next_.here.chi2 >= solution.here.chi2 * (1.0 - LOWER):
            break
        next_.escapes = [*solution.escapes, direction]
        next_.restarts = solution.restarts
        solution = next_
    final_flags(problem, solution)
    return solution


def _quickly(problem: Problem, alpha: np.ndarray, options: Options) -> Solution | None:
    """
    A small problem in few calls: the linear part solved at the start, then MINPACK in all parameters at once.

    Elimination saves evaluations, but on a few points an evaluation costs less than the algebra around it. Only an end that
    passes every check is taken; otherwise None, and the walk does it properly from the same start.
    """
    engine = DenseEngine(problem)
    first = engine.inner(alpha)
    if first is None:
        return None
    if first.work is None or first.work.rank == problem.k:
        return _quickly_from(problem, first, options)
    # columns that coincide (two peaks that start in one place) are parted on purpose: rounding alone would choose the way
    start = np.concatenate([alpha, first.c])
    origin = judge(problem, start, Status.CONVERGED_GRADIENT, start, replace(options, polish=False), "dense")
    beside = [] if origin is None else [engine.inner(away) for _, away, _ in ways_down(problem, origin.here, origin.saddle)[:ESCAPES]]
    found = [end for point in (first, *beside) if point is not None and (end := _quickly_from(problem, point, options)) is not None]
    for end in found:
        end.start = start
    return min(found, key=lambda end: end.here.chi2, default=None)


def _quickly_from(problem: Problem, first: Inner, options: Options) -> Solution | None:
    """One try of `_quickly`."""
    start = np.concatenate([first.alpha, first.c])
    end = minpack(problem, start, QUICK, min(options.max_nfev, 20 * (problem.n + 1)))
    if end is None:
        return None
    solution = judge(problem, end, Status.CONVERGED_GRADIENT, start, options, "minpack")
    if solution is None or not good(problem, solution) or solution.no_effect.any():
        return None
    if solution.here.chi2 > first.chi2 * (1.0 + LOWER) or far_off(problem, solution):
        return None
    if problem.bounded and not ((problem.lower < solution.p) & (solution.p < problem.upper)).all():
        return None
    final_flags(problem, solution)
    return solution if solution.status.success else None


def _from_beside(
    problem: Problem, start: np.ndarray, status: Status, options: Options, solution: Solution | None, callback: Callback | None
) -> Solution | None:
    """Columns that coincide at the start (two peaks in one place): again from places beside it, until one ends well."""
    origin = judge(problem, start, status, start, replace(options, polish=False), "dense")
    for _, away, direction in [] if origin is None else ways_down(problem, origin.here, origin.saddle)[:ESCAPES]:
        first, walked = _walk(problem, away, options, None, callback)
        if first is None or walked is None:
            continue
        beside = judge(problem, walked[0], walked[1], start, options, walked[2])
        if beside is None or not good(problem, beside):
            end, how = second_try(problem, np.concatenate([away, first.c]), options.max_nfev, options.sigma_known, callback)
            beside = None if end is None else judge(problem, end, how, start, options, "trust-region")
        if beside is not None and good(problem, beside):
            beside.escapes = [direction]
            solution = beside if solution is None else better(problem, solution, beside)
    return solution


def _walk(
    problem: Problem,
    alpha: np.ndarray,
    options: Options,
    moments: LongMoments | None,
    callback: Callback | None,
    c: np.ndarray | None = None,
) -> tuple[Inner | None, tuple[np.ndarray, Status, str] | None]:
    """Walk on moments where the data are long, else on whole columns; the start as solved, and where the walk ended."""
    near = np.zeros(problem.k) if c is None else np.where(np.isfinite(c), c, 0.0)  # saves an evaluation if it is near
    extra = Status(0)
    engines: list[tuple[str, Engine]] = [("blocks" if is_blockwise(problem) else "dense", engine_of(problem))]
    if moments is not None:
        engines.insert(0, ("grid" if isinstance(moments, GridMoments) else "gram", GramEngine(problem, moments, near)))
    elif problem.jac_error < EXACT and not is_blockwise(problem):
        engines.insert(0, ("normal", GramEngine(problem, WholeMoments(problem), near)))
    for name, engine in engines:
        try:
            first = engine.inner(alpha)
            if first is None:
                return None, None
            walked = walk_within(engine, first, options, callback)
        except IllConditioned:
            extra = Status.QR_FALLBACK if name in SUMS else extra
            continue
        return first, (np.concatenate([walked.alpha, walked.c]), walked.status | extra, name)
    return None, None


def walk_within(engine: Engine, first: Inner, options: Options, callback: Callback | None) -> Walk:
    """
    A walk with a share of the evaluations; one that spends its share without spending the whole limit has stalled.

    A walk that hasn't arrived by then goes round in circles (bounded linear parameters make kinks); others do better there.
    """
    problem = engine.problem
    limit = min(options.max_nfev, problem.nfev + WALK_NFEV * (engine.m + 1))
    walked = walk(engine, first, max_nfev=limit, sigma_known=options.sigma_known, callback=callback)
    if walked.status & Status.MAX_NFEV and problem.nfev < options.max_nfev:
        walked.status = walked.status & ~Status.MAX_NFEV | Status.STALLED
    return walked


def _deficient_at(problem: Problem, p: np.ndarray) -> bool:
    """Whether parameters are redundant already at the start: a restart would not cure that."""
    here = surveyor_of(problem).local(p, np.zeros(problem.n, dtype=bool))
    return here is not None and here.f.rank < problem.n
