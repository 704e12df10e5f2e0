"""
Profiles: what the cost is where one or two parameters are held and all others are fitted again.

The others follow by Gauss-Newton from where they were last, moved along by the covariance; near a minimum that is a step or
two. Where derivatives don't lead down (a kink, noise), Powell's method looks without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .covariance import lengths
from .polish import DenseSurveyor, Local
from .problem import Problem

CLOSE = 1e-4  # of a standard deviation: the cost is within 1e-8 of its minimum then
STEPS = 40
HALVINGS = 12


class Profiler:
    """
    Minima of the cost over all parameters but a few.

    Parameters
    ----------
    problem : Problem
    p : ndarray, shape (n,)
        The minimum.
    root : ndarray, shape (n, r)
        Of the covariance there, in the parameters' units.
    sigma : float
        Standard deviation of a row in the rows' unit.

    Attributes
    ----------
    best : float
        Cost at `p`.
    sd : ndarray, shape (n,)
        Errors, 0 for parameters that don't move.
    lowest : tuple of (float, ndarray)
        The lowest cost met so far, and where.
    """

    def __init__(self, problem: Problem, p: np.ndarray, root: np.ndarray, sigma: float) -> None:
        self.problem, self.p, self.root, self.sigma = problem, p, root, sigma
        self.sd = lengths(root)
        self._surveyor = DenseSurveyor(problem)
        self.best = problem.cost(p)
        self.lowest = self.best, p

    def at(self, which: np.ndarray, values: np.ndarray, near: np.ndarray) -> tuple[float, np.ndarray]:
        """
        The cost with some parameters held, the others at their best.

        Parameters
        ----------
        which : ndarray of int, shape (h,)
            The held parameters.
        values : ndarray, shape (h,)
        near : ndarray, shape (n,)
            A minimum for other values of them.

        Returns
        -------
        cost : float
            Infinite where the model isn't finite.
        p : ndarray, shape (n,)
        """
        problem = self.problem
        held = np.zeros(problem.n, dtype=bool)
        held[which] = True
        cost, p = math.inf, near
        for start in (self._follow(which, values, near), near):
            start = np.clip(start, problem.lower, problem.upper) if problem.bounded else start.copy()
            start[which] = values
            cost = problem.cost(start)
            p = start
            if math.isfinite(cost):
                break
        else:
            return math.inf, p
        if not held.all():
            cost, p, arrived = self._descend(p, cost, held)
            if not arrived:
                cost, p = self._without_derivatives(p, cost, held)
        if cost < self.lowest[0]:
            self.lowest = cost, p
        return cost, p

    def _follow(self, which: np.ndarray, values: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Where the others go when some move, as the covariance has it."""
        rows = self.root[which]
        moved = values - near[which]
        size = self.sd[which]
        if not (size > 0).all():
            return near
        unit = rows / size[:, None]
        try:
            return np.asarray(near + self.root @ unit.T @ np.linalg.solve(unit @ unit.T, moved / size))
        except np.linalg.LinAlgError:
            return near

    def _descend(self, p: np.ndarray, cost: float, held: np.ndarray) -> tuple[float, np.ndarray, bool]:
        """Gauss-Newton with halved steps; the last entry tells whether it ended at a minimum."""
        problem = self.problem
        for _ in range(STEPS):
            here = self._local(p, held)
            if here is None:
                return cost, p, False
            if math.sqrt(here.qtr @ here.qtr) <= CLOSE * self.sigma:
                return cost, p, True
            step = np.zeros(problem.n)
            step[here.free] = here.step(here.qtr)
            share = 1.0
            for _ in range(HALVINGS):
                trial = p + share * step
                if problem.bounded:
                    trial = np.where(held, p, np.clip(trial, problem.lower, problem.upper))
                new = problem.cost(trial)
                if new < cost:
                    break
                share *= 0.5
            else:
                # nowhere down along the step: rounding, or no derivative to be trusted
                return cost, p, math.sqrt(here.qtr @ here.qtr) <= 1e-2 * self.sigma + problem.noise
            gained, cost, p = cost - new, new, trial
            if gained <= (CLOSE * self.sigma) ** 2 and share == 1.0:
                return cost, p, True
        return cost, p, False

    def _local(self, p: np.ndarray, held: np.ndarray) -> Local | None:
        """Derivatives at p without the held parameters, nor those on a bound that pushes back."""
        here = self._surveyor.local(p, held)
        problem = self.problem
        if here is None or not problem.bounded:
            return here
        pull = here.J @ here.r
        stuck = ~held & (((p <= problem.lower) & (pull <= 0)) | ((p >= problem.upper) & (pull >= 0)))
        return self._surveyor.local(p, held | stuck) if stuck.any() else here

    def _without_derivatives(self, p: np.ndarray, cost: float, held: np.ndarray) -> tuple[float, np.ndarray]:
        """Powell's method in units of the errors."""
        from scipy.optimize import minimize

        problem = self.problem
        sd = self.sd
        free = np.flatnonzero(~held & (sd > 0))
        if not free.size:
            return cost, p
        base, unit = p.copy(), self.sigma**2

        def total(z: np.ndarray) -> float:
            q = base.copy()
            q[free] += z * sd[free]
            if problem.bounded:
                q[free] = np.clip(q[free], problem.lower[free], problem.upper[free])
            value = problem.cost(q)
            return (value - cost) / unit if math.isfinite(value) else 1e100

        found = minimize(total, np.zeros(free.size), method="Powell", options={"xtol": 1e-4, "ftol": 1e-8, "maxfev": 400 * free.size})
        if not found.fun < 0.0:
            return cost, p
        q = base.copy()
        q[free] += np.atleast_1d(found.x) * sd[free]
        if problem.bounded:
            q[free] = np.clip(q[free], problem.lower[free], problem.upper[free])
        return problem.cost(q), q


def crossing(
    height: Callable[[float], float], start: float, first: float, side: int, edge: float, furthest: float, goal: float, maxiter: int
) -> float:
    """
    Where a height that is 0 at `start` and grows on one side reaches `goal`.

    Parameters
    ----------
    height : callable
        Nearly linear in its argument, for few evaluations.
    start, first : float
        Where to begin, and a guess of the crossing.
    side : {-1, 1}
    edge : float
        A bound on this side.
    furthest : float
        Distance from `start` beyond which the crossing is taken as infinite.
    goal : float
    maxiter : int

    Returns
    -------
    float
        side * inf where it isn't reached before the edge, or at all.
    """
    from scipy.optimize import brentq

    inner, outer, at_inner = start, first, -goal
    step = abs(first - start)
    for _ in range(maxiter):
        if (outer - edge) * side >= 0:
            outer = edge
        if outer == inner:
            return outer  # steps below the spacing of numbers
        at_outer = height(outer) - goal
        if at_outer >= 0 or math.isnan(at_outer):
            break
        if outer == edge or abs(outer - start) > furthest:
            return side * math.inf
        # what is missing, by the slope so far; never far too short, never too far
        slope = (at_outer - at_inner) / abs(outer - inner)
        inner, at_inner = outer, at_outer
        step = float(np.clip(-1.05 * at_outer / slope if slope > 0 else 2.0 * step, 0.02 * step, 3.0 * step))
        outer = inner + side * step
    else:
        return side * math.inf
    if at_outer == 0.0:
        return outer
    if not math.isfinite(at_outer):
        # the model ends before: halve the distance until it is there
        return _to_the_edge(height, inner, outer, goal, side)
    known = {inner: at_inner, outer: at_outer}

    def offset(v: float) -> float:
        return known[v] if v in known else height(v) - goal

    low, high = sorted((inner, outer))
    return float(brentq(offset, low, high, xtol=max(1e-7 * abs(first - start), 1e-300), rtol=1e-13, maxiter=maxiter, disp=False))


def _to_the_edge(height: Callable[[float], float], inner: float, outer: float, goal: float, side: int) -> float:
    """The crossing between a point below the goal and one where the model isn't finite, by bisection."""
    for _ in range(60):
        middle = 0.5 * (inner + outer)
        value = height(middle)
        if math.isfinite(value) and value < goal:
            inner = middle
        else:
            outer = middle
    value = height(outer)
    return outer if math.isfinite(value) else side * math.inf
