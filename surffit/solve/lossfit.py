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
from .layers import Layers, robust_scale
from .loss import Poisson, Robust
from .minimum import ESCAPES, Options, judge, minimise, walk_within
from .priors import GaussianPrior, PriorProblem
from .problem import Problem, finite
from .resistant import resistant
from .reweighted import Weighted
from .saddle import LOWER, STEPS
from .separable import DenseEngine
from .status import CONVERGED, Status
from .verdict import Solution, better, final_flags, good

ROUNDS = 60  # of the scales' fixed point
ROUGHLY = 1e-3  # relative change of a scale at which the walk hands over to the polish
SETTLED = 1e-11  # relative change of a scale at which it counts as found
CLEARLY = 0.1  # relative difference of two scales beyond which the smaller one tells the better fit
APART = 0.3  # of the residuals' scale: models that differ by more belong to two minima
NEAR = 0.1  # of the residuals' scale: a start that close to a minimum leads nowhere else
CONTRADICTS = 5.0  # prior standard deviations between a start and its prior from which the prior's centre is tried as well
FLOORS = (0.3, 0.03, 3e-3, 1e-4, 1e-6)  # of the mean count: where a Poisson term is continued while the model isn't positive yet


class CostMoments:
    """Normal matrix, descent direction and cost of any problem at one point: what a walk in all parameters asks for."""

    noise = 0.0

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.lowest: tuple[float, np.ndarray] | None = None

    def full(self, p: np.ndarray) -> Sums | None:
        """J~J~', J~r~ and the cost."""
        whole = self.problem.full(p)
        if whole is None:
            return None
        r, J = whole
        cost = self.problem.cost(p)
        if self.lowest is None or cost <= self.lowest[0]:
            self.lowest = cost, p.copy()
        return J @ J.T, J @ r, cost


def minimise_loss(
    problem: Problem, alpha: np.ndarray, c: np.ndarray, options: Options, layers: Layers, callback: Callback | None = None,
    milder: Robust | None = None,
) -> Solution | None:  # fmt: skip
    """
    Find the minimum of a cost that is no sum of squares.

    Parameters
    ----------
    problem : Problem
        With a loss around it, or priors that are not Gaussian, or both.
    alpha, c : ndarray, shapes (m,) and (k,)
        Starts; nan for linear parameters without one.
    options : Options
    layers : Layers
        Of the problem.
    callback : callable, optional
        As for `minimise`.
    milder : Robust, optional
        For a loss with several minima: a convex one whose answer is a start.

    Returns
    -------
    Solution or None
        None if the model isn't finite (or not possible) at any start.
    """
    quick = replace(options, polish=False, refine=False, sigma_known=False)
    first = squares(layers)
    plain = minimise(first, alpha, c, quick, None, callback)
    if plain is None:
        return None
    if plain.status & (Status.ABORTED | Status.MAX_NFEV):
        layers.update(plain.p)
        return _stopped(problem, plain, options)
    points = [plain.p]
    given = np.isfinite(c)
    own = -1  # which of the points the user gave
    if problem.m or given.any():
        for begin in alphas(layers, alpha):
            linear = DenseEngine(first).inner(begin)
            solved = plain.p[problem.m :] if linear is None else linear.c
            own = len(points) if own < 0 else own
            points.append(np.concatenate([begin, np.where(given, c, solved)]))
    if milder is not None:
        for begin in [plain.p[: problem.m]] if not problem.m else [plain.p[: problem.m], alpha]:
            stout = resistant(layers.data, begin)
            if stout is not None:
                points.append(np.concatenate([begin, stout]))
    points = [layers.starts(point) for point in points]
    if milder is not None:
        # first in line: of ends that are about as good, the one that came from the convex loss
        points.insert(0, _mild(layers, milder, points, options, callback))
        own += own >= 0
    ends: list[tuple[int, Solution]] = []
    best: Solution | None = None
    for i, point in enumerate(points):
        near = [end for _, end in ends if milder is not None and good(problem, end) and not _apart(layers, point, end.p, NEAR)]
        if near:
            ends.append((i, near[0]))
            continue
        layers.update(point)
        found = _down(layers, point, options, callback, plain.start)
        if found is None:
            continue
        ends.append((i, found))
        best = found if best is None else _lower(layers, best, found)
        if found.status & (Status.ABORTED | Status.MAX_NFEV):
            break
    if best is None:
        return None
    layers.update(best.p)  # the last of the ends left its own scales
    answer = finish(best, options, layers)
    if answer is not None and milder is not None:
        answer.elsewhere = next((end.p for i, end in ends if i == own and _apart(layers, end.p, answer.p)), None)
    return answer


def _apart(layers: Layers, p: np.ndarray, q: np.ndarray, share: float = APART) -> bool:
    """Whether two ends are two minima: their models differ by a good part of the residuals' scale."""
    r, s = layers.data.residual(p), layers.data.residual(q)
    return not bool(np.sqrt(np.mean((r - s) ** 2)) <= share * robust_scale(s, layers.problem.n))


def squares(layers: Layers) -> Problem:
    """The nearest problem of least squares: it needs no start of the linear parameters, and its answer is one."""
    first = layers.data
    if layers.loss is not None and isinstance(layers.loss.term, Poisson):
        # the variance of a count is its mean; the count itself is the first guess of that
        first = Weighted(first, 1.0 / np.sqrt(np.maximum(first.y, 1.0)))
    prior = layers.prior
    if prior is None:
        return first
    known = [
        GaussianPrior(int(density.indices[0]), density.centre, density.spread)
        for density in prior.densities
        if density.indices.size == 1 and np.isfinite(density.centre) and 0.0 < density.spread < np.inf
    ]
    near = PriorProblem(first, [*prior.gaussian, *prior.smooth, *known], prior.scale)
    near.confine(prior.lower, prior.upper)
    return near


def _mild(layers: Layers, milder: Robust, points: list[np.ndarray], options: Options, callback: Callback | None) -> np.ndarray:
    """The answer of a convex loss; the start itself where there is none."""
    loss = layers.loss
    if loss is None:
        return points[0]
    strict = loss.term
    best, lowest = points[0], np.inf
    try:
        loss.term = milder
        for start in points:
            layers.update(start)
            point = start
            for _ in range(ROUNDS):
                found = _walk(layers.problem, point, options, callback)
                if found is None:
                    break
                point = found[0]
                if layers.update(point) < ROUGHLY:
                    break
            size = layers.problem.cost(point) if layers.factor is None else robust_scale(layers.data.residual(point), loss.n)
            if size < lowest:
                best, lowest = point, size
    finally:
        loss.term = strict
        loss.forget()
    return best


def _walk(problem: Problem, start: np.ndarray, options: Options, callback: Callback | None) -> tuple[np.ndarray, Status] | None:
    """Levenberg-Marquardt in all parameters on the reweighted rows, accepted by the cost; None where it can't begin."""
    moments = CostMoments(problem)
    engine = FullEngine(problem, moments)
    first = engine.inner(np.clip(start, problem.lower, problem.upper))
    if first is None:
        return None
    try:
        walked = walk_within(engine, first, options, callback)
    except IllConditioned:
        return None
    if not np.isfinite(problem.cost(walked.alpha)) and moments.lowest is not None:
        return moments.lowest[1], walked.status  # the last step, which the walk leaves unlooked at, went too far
    return walked.alpha, walked.status


def feasible(layers: Layers, start: np.ndarray, options: Options, callback: Callback | None) -> np.ndarray | None:
    """A point where the cost is finite, on the way down from `start`; None if none is found."""
    problem, loss = layers.problem, layers.loss
    if np.isfinite(problem.cost(start)):
        return start
    if loss is None or not isinstance(loss.term, Poisson):
        return None
    exact, mean = loss.term, float(loss.y.mean()) or 1.0
    try:
        for share in FLOORS:
            loss.term = Poisson(floor=share * mean)
            loss.forget()
            found = _walk(problem, start, options, callback)
            if found is None:
                return None
            start = found[0]
        polished = judge(problem, start, Status.CONVERGED_GRADIENT, start, options, "reweighted")
        start = start if polished is None else polished.p
    finally:
        loss.term = exact
        loss.forget()
    return start if np.isfinite(problem.cost(start)) else None


def _down(layers: Layers, point: np.ndarray, options: Options, callback: Callback | None, start: np.ndarray) -> Solution | None:
    """Walk from one point, the scales following and judge the end."""
    problem = layers.problem
    begin = feasible(layers, point, options, callback)
    if begin is None:
        return None
    layers.refer(begin)
    status = Status.STALLED
    for _ in range(ROUNDS):
        found = _walk(problem, begin, options, callback)
        if found is None:
            break
        begin, status = found
        if status & (Status.ABORTED | Status.MAX_NFEV) or layers.update(begin) < ROUGHLY:
            break
    layers.refer(begin)
    solution = judge(problem, begin, status, start, options, "reweighted")
    return None if solution is None else _off_saddles(layers, solution, options, callback)


def _off_saddles(layers: Layers, solution: Solution, options: Options, callback: Callback | None) -> Solution:
    """Walk on where the cost falls along the direction in which it curves down."""
    problem = layers.problem
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


def _lower(layers: Layers, one: Solution, two: Solution) -> Solution:
    """The better of two ends: the lower cost, or the clearly smaller scale where each has its own."""
    problem = layers.problem
    if layers.factor is not None:
        sizes = [robust_scale(layers.data.residual(s.p), problem.n) for s in (one, two)]
        if max(sizes) > (1.0 + CLEARLY) * min(sizes):
            return one if sizes[0] < sizes[1] else two
        return two if good(problem, two) and not good(problem, one) else one
    one.here.chi2, two.here.chi2 = problem.cost(one.p), problem.cost(two.p)  # the reference may have moved between them
    return better(problem, one, two)


def finish(solution: Solution, options: Options, layers: Layers) -> Solution | None:
    """Bring scales that are found with the fit to their fixed point, polishing along, and draw up the verdict."""
    problem = layers.problem
    status, start, escapes, restarts = solution.status, solution.start, solution.escapes, solution.restarts
    stopped = bool(status & (Status.ABORTED | Status.MAX_NFEV))
    best: Solution | None = solution
    if layers.searched:
        for rounds in range(0 if stopped or not options.polish else ROUNDS):
            # once in any case: where the values don't depend on the scale, their errors still do
            if best is None or (layers.update(best.p) < SETTLED and rounds):
                break
            if problem.m or not problem.least_squares:
                best = judge(problem, best.p, status, start, options, solution.engine)
            else:
                best = minimise(problem, np.empty(0), None, options)
    layers.variance(solution.p if best is None else best.p)
    if best is None:
        return None
    best.escapes, best.restarts = escapes, restarts
    final_flags(problem, best)
    if not stopped and layers.touching(best.p, best.held):
        # the cost ends there: what looks like a minimum is the edge of what is possible
        best.status = best.status & ~(CONVERGED | Status.RANK_DEFICIENT) | Status.STALLED
    return best


def minimise_with_priors(
    problem: Problem, alpha: np.ndarray, c: np.ndarray, options: Options, layers: Layers, callback: Callback | None = None
) -> Solution | None:
    """
    Least squares with Gaussian priors, the data's variance found with the fit where it isn't known.

    Parameters and answer as for `minimise`.
    """
    best: Solution | None = None
    lowest = np.inf
    for begin in alphas(layers, alpha):
        begin_scale(layers, begin)
        solution = minimise(problem, begin, c, options, None, callback)
        for _ in range(ROUNDS):
            if solution is None or solution.status & (Status.ABORTED | Status.MAX_NFEV) or layers.update(solution.p) < 0.1:
                break
            solution = minimise(problem, solution.p[: problem.m], solution.p[problem.m :], options, None, callback)
        solution = None if solution is None else finish(solution, options, layers)
        if solution is None:
            continue
        solution.start[: problem.m] = alpha
        found = layers.minus_two_log(solution.p)
        if best is None or (found < lowest * (1.0 - LOWER) and solution.status.success):
            best, lowest, scale = solution, found, layers.scales()
        if solution.status & (Status.ABORTED | Status.MAX_NFEV):
            break
    if best is not None:
        layers.restore(scale)
    return best


def alphas(layers: Layers, alpha: np.ndarray) -> list[np.ndarray]:
    """Starts of the searched parameters: the given ones, and where these contradict the priors, the priors' centres."""
    expected = alpha.copy()
    prior = layers.prior
    for j, centre, spread in [] if prior is None else prior.centres():
        if j < alpha.size and abs(alpha[j] - centre) > CONTRADICTS * spread:
            expected[j] = np.clip(centre, layers.problem.lower[j], layers.problem.upper[j])
    return [alpha] if np.array_equal(expected, alpha) else [alpha, expected]


def begin_scale(layers: Layers, alpha: np.ndarray) -> None:
    """A first unit for prior rows, where sigma isn't known: the scatter about the model with its linear part solved."""
    if layers.prior is None or layers.sigma_known or layers.likelihood:
        return
    first = DenseEngine(layers.data).inner(alpha)
    if first is not None and first.chi2 > 0.0:
        layers.prior.scale = float(np.sqrt(first.chi2 / layers.data.ndata))


def _stopped(problem: Problem, plain: Solution, options: Options) -> Solution | None:
    """A fit that was cut while still at least squares, as it stands."""
    if not finite(problem.residual(plain.p)):
        return None
    solution = judge(problem, plain.p, plain.status, plain.start, replace(options, polish=False), plain.engine)
    if solution is not None:
        final_flags(problem, solution)
    return solution
