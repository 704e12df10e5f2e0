"""
The minimum of a cost that is no sum of squares.

From several starts (least squares, which needs no start of the linear parameters; the values the user gave) a walk in all
parameters on the reweighted rows, accepted by the cost itself, then the same polish and verdict as for least squares. The
scale of a robust loss may be found together with the fit: it is a fixed point, so that the answer does not depend on how
it was reached.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .fullspace import Callback
from .gram import FullEngine, IllConditioned, Sums
from .loss import Poisson, Robust, Term
from .minimum import ESCAPES, WALK_NFEV, Options, judge, minimise
from .problem import EPS, Problem, finite
from .reweighted import Reweighted, Weighted
from .saddle import LOWER, STEPS
from .separable import DenseEngine, walk
from .status import Status
from .verdict import Solution, better, final_flags, good

CONSISTENT = 0.6744897501960817  # median of |r| for unit normal r
ROUNDS = 60  # of the scale's fixed point
SETTLED = 1e-11  # relative change of the scale at which it counts as found
FLOORS = (0.3, 0.03, 0.003, 3e-5)  # of the mean count: where a Poisson term is continued while the model isn't positive yet


class CostMoments:
    """Normal matrix, descent direction and cost of any problem at one point: what a walk in all parameters asks for."""

    noise = 0.0

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def full(self, p: np.ndarray) -> Sums | None:
        """J~J~', J~r~ and the cost."""
        whole = self.problem.full(p)
        if whole is None:
            return None
        r, J = whole
        return J @ J.T, J @ r, self.problem.cost(p)


def robust_scale(r: np.ndarray, n: int) -> float:
    """
    Standard deviation of a residual by its median absolute value, for a fit of n parameters.

    The n - 1 smallest values are left out: a fit can make that many residuals vanish.
    """
    size = np.sort(np.abs(r))
    kept = size[max(min(n - 1, size.size - 1), 0) :]
    return float(np.median(kept)) / CONSISTENT


class Scale:
    """Scale of a robust loss: given in the rows' unit, or as a multiple of the residual's robust scale."""

    def __init__(self, problem: Reweighted, factor: float | None) -> None:
        self.problem, self.factor = problem, factor

    @property
    def free(self) -> bool:
        """Whether it is found with the fit."""
        return self.factor is not None

    def update(self, p: np.ndarray) -> float:
        """Set the loss's scale from the residual at p; the relative change."""
        problem, term = self.problem, self.problem.term
        if self.factor is None or not isinstance(term, Robust):
            return 0.0
        before = term.scale
        least = 8.0 * EPS * float(np.abs(problem.base.y).max(initial=0.0)) or 1.0
        term.scale = self.factor * max(robust_scale(problem.base.residual(p), problem.n), least)
        problem.forget()
        return abs(term.scale / before - 1.0)


def minimise_loss(
    problem: Reweighted, alpha: np.ndarray, c: np.ndarray, options: Options, scale: Scale, callback: Callback | None = None,
    milder: Term | None = None,
) -> Solution | None:  # fmt: skip
    """
    Find the minimum of a loss.

    Parameters
    ----------
    problem : Reweighted
    alpha, c : ndarray, shapes (m,) and (k,)
        Starts; nan for linear parameters without one.
    options : Options
    scale : Scale
        Of a robust loss.
    callback : callable, optional
        As for `minimise`.
    milder : Term, optional
        For a loss with several minima: a convex one whose answer is a start.

    Returns
    -------
    Solution or None
        None if the model isn't finite (or not possible) at any start.
    """
    quick = replace(options, polish=False, refine=False, sigma_known=False)
    base: Problem = problem.base
    first: Problem = base
    if problem.term.likelihood:
        # the variance of a count is its mean; the count itself is the first guess of that
        first = Weighted(base, 1.0 / np.sqrt(np.maximum(base.y, 1.0))) if isinstance(problem.term, Poisson) else base
    plain = minimise(first, alpha, c, quick, None, callback)
    if plain is None:
        return None
    if plain.status & (Status.ABORTED | Status.MAX_NFEV):
        scale.update(plain.p)
        return _stopped(problem, plain, options)
    points = [plain.p]
    complete = bool(np.isfinite(c).all())
    if problem.m or (complete and not problem.term.convex):
        linear = DenseEngine(first).inner(alpha)
        solved = plain.p[problem.m :] if linear is None else linear.c
        points.append(np.clip(np.concatenate([alpha, np.where(np.isfinite(c), c, solved)]), problem.lower, problem.upper))
    if milder is not None:
        # a scale from the mild loss's answer, so that all candidates are told by one cost
        points.insert(0, _mild(problem, milder, points, options, scale, callback))
    best: Solution | None = None
    frozen = milder is not None
    if frozen:
        scale.update(points[0])
    for point in points:
        if not frozen:
            scale.update(point)
        found = _down(problem, point, options, scale, callback, plain.start, frozen)
        if found is None:
            continue
        best = found if best is None else _lower(problem, best, found, scale, frozen)
        if found.status & (Status.ABORTED | Status.MAX_NFEV):
            break
    return None if best is None else finish(problem, best, options, scale, callback)


def _mild(
    problem: Reweighted, milder: Term, points: list[np.ndarray], options: Options, scale: Scale, callback: Callback | None
) -> np.ndarray:
    """The answer of a convex loss; the start itself where there is none."""
    inner = Reweighted(problem.base, milder)
    its = Scale(inner, scale.factor)
    if isinstance(milder, Robust) and isinstance(problem.term, Robust):
        milder.scale = problem.term.scale
    best: np.ndarray | None = None
    lowest = np.inf
    for point in points:
        its.update(point)
        for _ in range(ROUNDS):
            found = _walk(inner, point, options, callback)
            if found is None:
                break
            point = found[0]
            if its.update(point) < 1e-3:
                break
        size = robust_scale(problem.base.residual(point), problem.n)
        if size < lowest:
            best, lowest = point, size
    return points[0] if best is None else best


def _walk(problem: Reweighted, start: np.ndarray, options: Options, callback: Callback | None) -> tuple[np.ndarray, Status] | None:
    """Levenberg-Marquardt in all parameters on the reweighted rows, accepted by the cost; None where it can't begin."""
    engine = FullEngine(problem, CostMoments(problem))
    first = engine.inner(np.clip(start, problem.lower, problem.upper))
    if first is None:
        return None
    limit = min(options.max_nfev, problem.nfev + WALK_NFEV * (problem.n + 1))
    try:
        walked = walk(engine, first, max_nfev=limit, sigma_known=options.sigma_known, callback=callback)
    except IllConditioned:
        return None
    status = walked.status
    if status & Status.MAX_NFEV and problem.nfev < options.max_nfev:
        status = status & ~Status.MAX_NFEV | Status.STALLED
    return walked.alpha, status


def feasible(problem: Reweighted, start: np.ndarray, options: Options, callback: Callback | None) -> np.ndarray | None:
    """A point where the cost is finite, on the way down from `start`; None if none is found."""
    if np.isfinite(problem.cost(start)):
        return start
    if not isinstance(problem.term, Poisson):
        return None
    exact, mean = problem.term, float(problem.y.mean()) or 1.0
    try:
        for share in FLOORS:
            problem.term = Poisson(floor=share * mean)
            problem.forget()
            found = _walk(problem, start, options, callback)
            if found is None:
                return None
            start = found[0]
            problem.term = exact
            problem.forget()
            if np.isfinite(problem.cost(start)):
                return start
    finally:
        problem.term = exact
        problem.forget()
    return None


def _down(
    problem: Reweighted, point: np.ndarray, options: Options, scale: Scale, callback: Callback | None, start: np.ndarray, frozen: bool
) -> Solution | None:
    """Walk from one point, the scale following unless it is frozen, and judge the end."""
    begin = feasible(problem, point, options, callback)
    if begin is None:
        return None
    refer(problem, begin)
    status = Status.STALLED
    for _ in range(ROUNDS):
        found = _walk(problem, begin, options, callback)
        if found is None:
            break
        begin, status = found
        if frozen or status & (Status.ABORTED | Status.MAX_NFEV) or scale.update(begin) < 1e-3:
            break
    refer(problem, begin)
    solution = judge(problem, begin, status, start, options, "reweighted")
    if solution is not None:
        solution = _off_saddles(problem, solution, options, callback)
    return solution


def _off_saddles(problem: Reweighted, solution: Solution, options: Options, callback: Callback | None) -> Solution:
    """Walk on where the cost falls along the direction in which it curves down."""
    for _ in range(ESCAPES):
        direction, here = solution.saddle, solution.here
        if direction is None:
            break
        length = float(np.sqrt(np.sum((direction[here.free] * here.scale) ** 2))) or 1.0
        tried = [
            np.clip(here.p + sign * size * direction, problem.lower, problem.upper)
            for size in np.sqrt(max(here.chi2, 0.0)) / length * STEPS
            for sign in (1.0, -1.0)
        ]
        costs = [problem.cost(p) for p in tried]
        lowest = int(np.argmin(costs))
        if not costs[lowest] < here.chi2 * (1.0 - LOWER):
            break
        found = _walk(problem, tried[lowest], options, callback)
        next_ = None if found is None else judge(problem, found[0], found[1], solution.start, options, "reweighted")
        if next_ is None or next_.here.chi2 >= here.chi2 * (1.0 - LOWER):
            break
        next_.escapes = [*solution.escapes, direction]
        solution = next_
    return solution


def _lower(problem: Reweighted, one: Solution, two: Solution, scale: Scale, frozen: bool) -> Solution:
    """The better of two ends: the lower cost, or the smaller scale where each has its own."""
    if not frozen and scale.free:
        sizes = [robust_scale(problem.base.residual(s.p), problem.n) for s in (one, two)]
        if abs(sizes[0] - sizes[1]) > 1e-6 * min(sizes):
            return one if sizes[0] < sizes[1] else two
        return two if good(problem, two) and not good(problem, one) else one
    one.here.chi2, two.here.chi2 = problem.cost(one.p), problem.cost(two.p)  # the reference may have moved between them
    return better(problem, one, two)


def finish(problem: Reweighted, solution: Solution, options: Options, scale: Scale, callback: Callback | None) -> Solution | None:
    """Bring a found scale to its fixed point, polishing along, and draw up the verdict."""
    status, start, escapes = solution.status, solution.start, solution.escapes
    stopped = status & (Status.ABORTED | Status.MAX_NFEV)
    best: Solution | None = solution
    if scale.free:
        scale.update(solution.p)
        best = judge(problem, solution.p, status, start, options, solution.engine)
        for _ in range(0 if stopped or not options.polish else ROUNDS):
            if best is None or scale.update(best.p) < SETTLED:
                break
            best = judge(problem, best.p, status, start, options, solution.engine)
    if best is None:
        return None
    best.escapes = escapes
    final_flags(problem, best)
    return best


def _stopped(problem: Reweighted, plain: Solution, options: Options) -> Solution | None:
    """A fit that was cut while still at least squares, as it stands."""
    if not finite(problem.residual(plain.p)):
        return None
    solution = judge(problem, plain.p, plain.status, plain.start, replace(options, polish=False), plain.engine)
    if solution is not None:
        final_flags(problem, solution)
    return solution


def refer(problem: Reweighted, p: np.ndarray) -> None:
    """Count a user's -2 ln L from below the best point so far, so that it is positive and about as large as a chi-square."""
    term = problem.term
    if not term.likelihood or isinstance(term, Poisson):
        return
    problem.reference = 0.0
    problem.forget()
    cost = problem.cost(p)
    if np.isfinite(cost):
        problem.reference = cost - max(problem.N - problem.n, 1)
    problem.forget()
