"""
One side of a profile: the points visited so far, from the minimum outwards, each with the lowest cost known there.

Where terms of a model can change places, the other parameters may settle in one of several basins. A point starts from both
its neighbours and from the fit, and keeps the lowest; when a new point turns out lower, its neighbours try from there as well.
So the profile does not depend on the order in which points were visited, and its first crossing of a level can be found.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from .profile import Profiler

FURTHEST = 64.0  # standard errors beyond which a limit is taken as infinite
FINEST = 0.01  # of a standard error: a hill narrower than this may be overlooked
EXACT = 1e-7  # of the first distance: how closely a limit is found
ROUNDS = 6

Meaning = Callable[[float], float]


class Flank:
    """
    The profile of one parameter on one side of the fit.

    Parameters
    ----------
    profiler : Profiler
    j : int
        The held parameter.
    side : {-1, 1}
    error : float
        A length on the scale of its error.

    Attributes
    ----------
    distances : list of float
        Of the points visited from the fit, growing; the first is 0.
    costs : list of float
        The lowest known; infinite where the model isn't finite.
    states : list of ndarray, shape (n,)
        All parameters there.
    """

    def __init__(self, profiler: Profiler, j: int, side: int, error: float) -> None:
        self.profiler, self.side, self.error = profiler, side, error
        self.which = np.array([j])
        self.best = float(profiler.p[j])
        problem = profiler.problem
        self.edge = float(problem.upper[j] - self.best if side > 0 else self.best - problem.lower[j])
        self.distances, self.costs, self.states = [0.0], [profiler.best], [profiler.p]

    def limit(self, goal: float, first: float, meaning: Meaning, target: float, maxiter: int) -> float:
        """
        The first crossing of a level, seen from the fit.

        Parameters
        ----------
        goal : float
            The level in standard errors, for guesses.
        first : float
            A guess of the distance.
        meaning : callable
            What of a cost is compared with `target`; it grows with the cost.
        target : float
        maxiter : int
            Points that may be added.

        Returns
        -------
        float
            Value of the parameter; side * inf where the level isn't reached.
        """
        found, most = math.inf, len(self.distances) + maxiter
        for _ in range(ROUNDS):
            if math.isfinite(found) and len(self.distances) > most:
                break
            place = self._bracket(goal, first, meaning, target, most)
            if place is None:
                return self.side * math.inf
            low, high = self.distances[place - 1], self.distances[place]
            if high - low <= 2.0 * EXACT * first or low <= found <= high or meaning(self.costs[place]) == target:
                # nothing lower came to light on the way
                return self._value(found if low <= found <= high else high)
            found = self._root(low, high, meaning, target, EXACT * first, maxiter)
            if not math.isfinite(found):
                return self.side * math.inf
            self._visit(found)
        return self._value(found)

    def height(self, place: int) -> float:
        """sqrt of the rise over the fit's cost, in standard errors."""
        return math.sqrt(max(self.costs[place] - self.profiler.best, 0.0)) / self.profiler.sigma

    def _value(self, distance: float) -> float:
        return self.best + self.side * distance

    def _bracket(self, goal: float, first: float, meaning: Meaning, target: float, most: int) -> int | None:
        """The first point at or above the level, once no gap before it can hide another; None if there is none."""
        place, step = 1, first
        while len(self.distances) <= most:
            if place == len(self.distances):
                last = self.distances[-1]
                if last >= self.edge or last > FURTHEST * self.error:
                    return None
                step = self._step(goal, first, step)
                if min(last + step, self.edge) == last or self._value(last + step) == self._value(last):
                    return None
                self._visit(min(last + step, self.edge))
            middle = self._suspect(place, goal)
            if middle is not None:
                self._visit(middle)
                # a lower cost may have spread inwards
                place = 1
                continue
            if not meaning(self.costs[place]) < target:
                return place
            place += 1
        return None

    def _step(self, goal: float, first: float, step: float) -> float:
        """How far to go beyond the last point: what is missing, by the slope so far; never far too short, never too far."""
        if len(self.distances) == 1:
            return first
        missing, slope = goal - self.height(len(self.distances) - 1), self._slope(len(self.distances) - 1)
        guess = 1.05 * missing / slope if slope > 0 and missing > 0 else 2.0 * step
        return float(np.clip(guess, 0.02 * step, 3.0 * step))

    def _slope(self, place: int) -> float:
        """Of the height up to a point, over a distance that rounding doesn't spoil."""
        inner = place - 1
        while inner > 0 and self.distances[place] - self.distances[inner] < FINEST * self.error:
            inner -= 1
        if inner < 0:
            return 1.0 / self.error
        return (self.height(place) - self.height(inner)) / (self.distances[place] - self.distances[inner])

    def _suspect(self, place: int, goal: float) -> float | None:
        """The middle of a gap in which the level may be crossed unseen: the height behind it is far below what its slope promised."""
        low, high = self.distances[place - 1], self.distances[place]
        if high - low <= FINEST * self.error or not math.isfinite(self.costs[place]):
            return None
        inner, outer = self.height(place - 1), self.height(place)
        rise = max(self._slope(place - 1), 0.0) * (high - low)
        # a way thrice as steep would reach the level in between
        hidden = outer < goal and outer - inner < 0.5 * rise and inner + 3.0 * rise >= goal
        return 0.5 * (low + high) if hidden else None

    def _visit(self, distance: float) -> float:
        """The cost at a distance."""
        place = bisect_left(self.distances, distance)
        if place < len(self.distances) and self.distances[place] == distance:
            return self.costs[place]
        value = np.array([self._value(distance)])
        cost, p = self.profiler.at(self.which, value, self.states[place - 1])
        if place < len(self.distances):
            cost, p = self.profiler.lower(self.which, value, self.states[place], cost, p)
        if place > 1:
            cost, p = self.profiler.lower(self.which, value, self.states[0], cost, p)
        self.distances.insert(place, distance)
        self.costs.insert(place, cost)
        self.states.insert(place, p)
        if math.isfinite(cost):
            self._spread(place, -1)
            self._spread(place, 1)
        return cost

    def _spread(self, place: int, direction: int) -> None:
        """Let the neighbours start from a new state, and theirs in turn, as long as that lowers them."""
        while 0 < place + direction < len(self.distances):
            near, place = self.states[place], place + direction
            before = self.costs[place]
            value = np.array([self._value(self.distances[place])])
            self.costs[place], self.states[place] = self.profiler.lower(self.which, value, near, before, self.states[place])
            if self.costs[place] >= before:
                return

    def _root(self, low: float, high: float, meaning: Meaning, target: float, close: float, maxiter: int) -> float:
        """The crossing between a point below the level and one at it or above."""
        from scipy.optimize import brentq

        if not math.isfinite(self._visit(high)):
            return self._to_the_edge(low, high, meaning, target)
        ends = {d: meaning(self._visit(d)) - target for d in (low, high)}

        def offset(distance: float) -> float:
            return ends[distance] if distance in ends else meaning(self._visit(distance)) - target

        def finite(distance: float) -> float:
            found = offset(distance)
            return found if math.isfinite(found) else ends[high]

        return float(brentq(finite, low, high, xtol=max(close, 1e-300), rtol=1e-13, maxiter=maxiter, disp=False))

    def _to_the_edge(self, low: float, high: float, meaning: Meaning, target: float) -> float:
        """The crossing between a point below the level and one where the model isn't finite, by bisection."""
        for _ in range(60):
            middle = 0.5 * (low + high)
            if middle in (low, high):
                break
            if meaning(self._visit(middle)) < target:
                low = middle
            else:
                high = middle
        return high if math.isfinite(self._visit(high)) else math.inf
