"""
One least-squares problem from its start to a judged minimum.

Walk (variable projection), polish (Newton), verdict; where the verdict is bad, once more by a trust region in the full
space from the same start, and off a saddle along the direction in which chi-square curves down. What was tried is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .block_walk import engine_of, is_blockwise, moments_of, second_try, surveyor_of
from .covariance import refine_root
from .fullspace import Callback, minpack
from .gram import FullEngine, GramEngine, GramSurveyor, IllConditioned, LongMoments, WholeMoments
from .linear import bounded, factor, refine, solve
from .polish import Local, Polished, Surveyor, curvature, polish, remaining
from .problem import EPS, Problem
from .saddle import LOWER, saddle_direction, ways_down
from .separable import DenseEngine, Engine, Inner, Walk, walk
from .status import CONVERGED, Status
from .verdict import KAPPA, Solution, better, far_off, final_flags, good

ESCAPES = 3
WALK_NFEV = 150  # evaluations per non-linear parameter before the walk is given up
SHORT = 5_000  # values of all derivatives up to which the algebra around an evaluation costs more than the evaluation
QUICK = 1e-8  # where MINPACK stops: the polish takes over
EXACT = 1e-13  # error of derivatives below which normal equations lead as well as QR


@dataclass(frozen=True, slots=True)
class Options:
    """How to go about it; see `minimise`."""

    max_nfev: int
    sigma_known: bool = False
    polish: bool = True
    restart: bool = True
    refine: bool = True


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
        return _linear(problem, c, options, callback)
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
    other = judge(problem, walked.alpha, walked.status, start, options, "full")
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
    solution = judge(problem, found, status, start, options, name, moments if name == "gram" else None)
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
    first = DenseEngine(problem).inner(alpha)
    if first is None:
        return None
    start = np.concatenate([alpha, first.c])
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


def _linear(problem: Problem, given: np.ndarray | None, options: Options, callback: Callback | None) -> Solution | None:
    """Everything linear: one solve, refined in double-double residuals where whole columns are held."""
    if is_blockwise(problem):
        return _linear_blocks(problem, options, callback)
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


def _rank_costs(problem: Problem, target: np.ndarray, phi: np.ndarray, solution: Solution) -> bool:
    """Whether the directions that were cut off would have explained a good part of what is left."""
    norms = np.sqrt(np.einsum("ij,ij->i", phi, phi))
    if problem.bounded or not (norms > 0).all():
        return False
    A = (phi / norms[:, None]).T
    _, _, Vt = np.linalg.svd(A, full_matrices=False)
    q, _ = np.linalg.qr(A @ Vt.T)
    left = target - q @ (q.T @ target)
    return float(left @ left) < 0.5 * solution.here.chi2 and solution.here.chi2 > problem.noise**2


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
        engines.insert(0, ("gram", GramEngine(problem, moments, near)))
    elif problem.jac_error < EXACT and not is_blockwise(problem):
        engines.insert(0, ("normal", GramEngine(problem, WholeMoments(problem), near)))
    for name, engine in engines:
        try:
            first = engine.inner(alpha)
            if first is None:
                return None, None
            walked = walk_within(engine, first, options, callback)
        except IllConditioned:
            extra = Status.QR_FALLBACK if name == "gram" else extra
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


def _sigma(problem: Problem, chi2: float, options: Options) -> float:
    sigma = float(np.sqrt(chi2 / max(problem.N - problem.n, 1))) if chi2 >= 0.0 else problem.unit
    if options.sigma_known:
        sigma = min(sigma, problem.unit)
    return max(sigma, problem.noise, np.finfo(float).tiny)


def _held(problem: Problem, here: Local) -> np.ndarray:
    """Parameters on a bound from which chi-square doesn't pull them back inside."""
    p = here.p
    on_lower, on_upper = p <= problem.lower, p >= problem.upper
    if not (on_lower.any() or on_upper.any()):
        return np.zeros(problem.n, dtype=bool)
    g = here.gradient()
    slack = 1e-6 * here.norms() * np.sqrt(here.chi2)
    return (on_lower & (g <= slack)) | (on_upper & (g >= -slack))


def judge(
    problem: Problem, p: np.ndarray, status: Status, start: np.ndarray, options: Options, name: str,
    moments: LongMoments | None = None,
) -> Solution | None:  # fmt: skip
    """Polish, then say what kind of point this is."""
    if moments is not None:
        try:
            return _judge(GramSurveyor(problem, moments), problem, p, status, start, options, name)
        except IllConditioned:
            pass  # whole columns by QR keep the digits
    return _judge(surveyor_of(problem), problem, p, status, start, options, name)


def _judge(
    surveyor: Surveyor, problem: Problem, p: np.ndarray, status: Status, start: np.ndarray, options: Options, name: str
) -> Solution | None:  # fmt: skip
    none = np.zeros(problem.n, dtype=bool)
    problem.kernel.settle(p[: problem.m], p[problem.m :])
    for _ in range(problem.n + 1):
        here = surveyor.local(p, none)
        if here is None:
            return None
        held = _held(problem, here) if problem.bounded else none
        if held.any():
            here = surveyor.local(p, held)
            if here is None:
                return None
        sigma = _sigma(problem, here.chi2, options)
        while True:
            if not options.polish or status & Status.ABORTED:
                left = float(np.sqrt(here.qtr @ here.qtr))
                done = Polished(here, remaining(problem, left, sigma), curvature(surveyor, problem, here), None, none)
                break
            done = polish(problem, surveyor, here, held, sigma, max(options.max_nfev, problem.nfev + 1))
            before, sigma = sigma, _sigma(problem, done.here.chi2, options)
            if sigma > 0.5 * before:
                break
            here = done.here  # it came from far away: what was negligible there isn't here
        if not done.bound_hit.any():
            break
        # a step wants to leave the box: put those parameters on their bound and look again
        p = done.here.p.copy()
        z = np.zeros(problem.n)
        z[done.here.free] = done.here.step(done.here.qtr)
        goal = np.clip(p + z, problem.lower, problem.upper)
        p[done.bound_hit] = goal[done.bound_hit]
        trial = surveyor.local(p, none)
        if trial is None or trial.chi2 > done.here.chi2 * (1 + 1e-6) + sigma**2 * 1e-3:
            break
    here = done.here
    kappa = done.kappa
    if kappa > KAPPA and problem.k:
        # linear terms far larger than their sum (powers of a coordinate with an offset) leave their rounding in the residual
        left = math.sqrt(here.qtr @ here.qtr)
        kappa = max(left - 8.0 * EPS * here.largest_sum() * math.sqrt(problem.N), 0.0) / sigma
    K, B, saddle = None, None, None
    if (
        done.second is not None and (problem.m or not problem.least_squares) and here.chi2 > problem.noise**2
    ):  # a residual of rounding has a curvature of rounding
        K, B = done.second
        if not done.definite or here.f.rank < here.free.size:
            saddle = saddle_direction(problem, here, K, B)
    elif done.second is not None:
        K = np.zeros_like(done.second[0])
    no_effect = np.zeros(problem.n, dtype=bool)
    if here.f.rank < here.free.size:
        no_effect = here.dead()
    return Solution(
        here, status, held, no_effect, kappa, K, B, _sigma(problem, here.chi2, options), start,
        saddle=saddle, engine=name,
    )  # fmt: skip


def _deficient_at(problem: Problem, p: np.ndarray) -> bool:
    """Whether parameters are redundant already at the start: a restart would not cure that."""
    here = surveyor_of(problem).local(p, np.zeros(problem.n, dtype=bool))
    return here is not None and here.f.rank < problem.n
