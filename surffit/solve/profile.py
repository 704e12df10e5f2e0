"""
Profiles: what the cost is where one or two parameters are held and all others are fitted again.

The others follow by Gauss-Newton from where they were last, moved along by the covariance; near a minimum that is a step or
two. Where derivatives don't lead down (a kink, noise), Powell's method looks without them.
"""

from __future__ import annotations

import math

import numpy as np

from .covariance import lengths
from .polish import DenseSurveyor, Local
from .problem import Problem

CLOSE = 1e-4  # of a standard deviation: the cost is within 1e-8 of its minimum then
NEAR = 0.3  # of a standard deviation: two states this close lie in one basin
LOWER = 1e-6  # of a variance: a fall of the cost that is more than rounding
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

    def at(self, which: np.ndarray, values: np.ndarray, near: np.ndarray, thorough: bool = True) -> tuple[float, np.ndarray]:
        """
        The cost with some parameters held, the others at their best.

        Parameters
        ----------
        which : ndarray of int, shape (h,)
            The held parameters.
        values : ndarray, shape (h,)
        near : ndarray, shape (n,)
            A minimum for other values of them.
        thorough : bool
            Whether to look without derivatives where they don't lead to a minimum.

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
            here = problem.cost(start)
            # far out the covariance may lead astray: then the others stay where they are to begin with
            if here < cost - LOWER * self.sigma**2 or not math.isfinite(cost):
                cost, p = here, start
                if not held.all() and math.isfinite(cost):
                    cost, p, arrived = self._descend(p, cost, held)
                    if not arrived and thorough:
                        cost, p = self._without_derivatives(p, cost, held)
        if not math.isfinite(cost):
            return math.inf, p
        if cost < self.lowest[0]:
            self.lowest = cost, p
        return cost, p

    def lower(self, which: np.ndarray, values: np.ndarray, near: np.ndarray, cost: float, p: np.ndarray) -> tuple[float, np.ndarray]:
        """
        The lower of a known cost and the one reached from another state.

        Parameters
        ----------
        which, values, near
            As for `at`.
        cost : float
        p : ndarray, shape (n,)
            What is known for these values.

        Returns
        -------
        cost : float
        p : ndarray, shape (n,)
        """
        if math.isfinite(cost):
            apart = np.abs(self._follow(which, values, near) - p)
            apart[which] = 0.0
            if (apart <= NEAR * self.sd).all():
                # the way from there would end here
                return cost, p
        other = self.at(which, values, near, thorough=not math.isfinite(cost))
        return other if other[0] < cost - LOWER * self.sigma**2 or not math.isfinite(cost) else (cost, p)

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
        pull = here.gradient()
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
