"""Laws with shape parameters in one or both variables: decays, powers, saturations, profiles, waves beside simple functions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .functions import COSTS, allowed
from .laws import Group, Law, ShapeFactor, constant, total_cost
from .points import LOG, ONE, Points, Product
from .screen import residuals
from .shapes import COSINE, EXP, GROWTH, SATURATION, SHAPES, SINE, Shape

# points in the grid searches: enough to tell good starts from bad ones
FEW = 160


def _law(groups: list[Group], family: str) -> Law:
    return Law(tuple(groups), family, total_cost(groups))


def one_shape(points: Points) -> Iterator[Law]:
    """Laws with one function F that has shape parameters: c + a F, a F g, c + b g + F (a + d g) and the like, g a simple function."""
    nvars = len(points.coords)
    one = constant(nvars)
    simple: list[Product] = []
    for variable in range(nvars):
        for function in allowed(points.raw[variable], [f for f in COSTS if f != ONE]):
            simple.append(tuple(function if v == variable else ONE for v in range(nvars)))
    for variable in range(nvars):
        for shape in SHAPES:
            if not shape.fits(points.coords[variable]):
                continue
            factor = ShapeFactor(shape, variable, 0)
            family = f"{shape.name} in one variable" if nvars > 1 else shape.name
            yield from _beside_one(factor, simple, one, family, shape, variable)
        shape = COSINE
        if shape.fits(points.coords[variable]):
            cosine, sine = ShapeFactor(COSINE, variable, 0), ShapeFactor(SINE, variable, 0)

            def wave(*products: Product, pair: tuple[ShapeFactor, ...] = (cosine, sine)) -> list[Group]:
                return [Group((factor,), products) for factor in pair]

            yield _law(wave(one), "wave")
            yield _law([Group((), (one,)), *wave(one)], "wave")
            for g in simple:
                yield _law([Group((), (one, g)), *wave(one)], "wave")
                if g[variable] == ONE and LOG not in g:
                    yield _law([Group((), (one,)), *wave(g)], "wave")


def _beside_one(factor: ShapeFactor, simple: list[Product], one: Product, family: str, shape: Shape, variable: int) -> Iterator[Law]:
    if shape.constant:
        yield _law([Group((factor,), (one,))], family)
    if shape.alone:
        yield _law([Group((), (one,)), Group((factor,), (one,))], family)
    for g in simple:
        same = g[variable] != ONE
        if same:  # a power times an exponential of the same variable, and a trend beside a profile
            if shape.alone and shape.constant:
                yield _law([Group((), (one, g)), Group((factor,), (one,))], family)
            if shape.name in ("exp", "arrhenius", "gaussian") and LOG not in g:
                yield _law([Group((factor,), (g,))], family)
                yield _law([Group((), (one,)), Group((factor,), (g,))], family)
            continue
        log = LOG in g  # a logarithm needs a constant beside it, as its unit is a convention
        if shape.constant and not log:
            yield _law([Group((factor,), (g,))], family)
            yield _law([Group((factor,), (one,)), Group((), (g,))], family)
        if shape.constant:
            yield _law([Group((factor,), (one, g))], family)
        if not shape.alone:
            continue
        if not log:
            yield _law([Group((), (one,)), Group((factor,), (g,))], family)
        yield _law([Group((), (one, g)), Group((factor,), (one,))], family)
        yield _law([Group((), (one,)), Group((factor,), (one, g))], family)
        yield _law([Group((), (one, g)), Group((factor,), (one, g))], family)
        if not log:
            yield _law([Group((), (one, g)), Group((factor,), (g,))], family)


def two_shapes(points: Points) -> Iterator[Law]:
    """Laws with a function F of the first and G of the second variable: F G, c + F G, F + G, c + F + G."""
    if len(points.coords) != 2:
        return
    one = constant(2)
    for shape in SHAPES:
        for other in SHAPES:
            if not (shape.fits(points.coords[0]) and other.fits(points.coords[1])):
                continue
            f, g = ShapeFactor(shape, 0, 0), ShapeFactor(other, 1, shape.count)
            family = f"{shape.name} and {other.name}"
            constants = shape.constant and other.constant
            if constants:
                yield _law([Group((f, g), (one,))], family)
                yield _law([Group((), (one,)), Group((f, g), (one,))], family)
            if shape.alone and other.alone:
                if constants:
                    yield _law([Group((f,), (one,)), Group((g,), (one,))], family)
                yield _law([Group((), (one,)), Group((f,), (one,)), Group((g,), (one,))], family)
            elif shape in (SATURATION, GROWTH) and other in (EXP, SATURATION, GROWTH):
                yield _law([Group((f,), (one,)), Group((g,), (one,))], family)


class Grids:
    """Shape parameters to try, by law."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self._made: dict[tuple[int, int], np.ndarray] = {}

    def of(self, factor: ShapeFactor) -> np.ndarray:
        """The grid (T, p) of one factor."""
        key = (id(factor.shape), factor.variable)
        if key not in self._made:
            self._made[key] = factor.shape.grid(self.points.coords[factor.variable])
        return self._made[key]

    def all(self, law: Law) -> np.ndarray:
        """The grid of a law: all pairs where it has two factors."""
        grids = [self.of(f) for f in law.factors if isinstance(f, ShapeFactor)]
        if len(grids) == 1:
            return grids[0]
        first, second = grids
        return np.hstack([np.repeat(first, len(second), axis=0), np.tile(second, (len(first), 1))])


def start(law: Law, grids: Grids) -> tuple[np.ndarray, float]:
    """
    Where on its grid a law fits best, and how well.

    Parameters
    ----------
    law : Law
    grids : Grids
        With a few of the points.

    Returns
    -------
    theta : ndarray, shape (p,)
    rss : float
        inf where nothing could be computed.
    """
    points = grids.points
    grid = grids.all(law)
    best, least = grid[0], np.inf
    with np.errstate(all="ignore"):
        rss = residuals(law.columns(points, grid), points.target)
        at = int(np.argmin(rss))
        if np.isfinite(rss[at]):
            best, least = grid[at], float(rss[at])
    return best, least
