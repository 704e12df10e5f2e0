"""Laws without shape parameters: sums of products of simple functions, screened together from one table of products."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np

from .functions import COSTS, allowed, closed
from .laws import Group, Law, constant, total_cost
from .points import ONE, Function, Points, Product
from .screen import subsets

Terms = tuple[Product, ...]
# after the listed shapes, this many of the best laws get every other term, in this many rounds
BEAM, ROUNDS = 25, 2


def listed(functions: tuple[list[Function], ...]) -> Iterable[Terms]:
    """
    Shapes of sums, with every choice of functions.

    Parameters
    ----------
    functions : tuple of list of Function
        For each variable, without the constant.

    Yields
    ------
    tuple of Product
        The terms. With f of the first and g of the second variable: 1; f; g; f, g; fg; f, g, fg; f, fg; g, fg, each with and
        without a constant; two functions of one variable with one or two of the other, and all their products with one of it.
    """
    if len(functions) == 1:
        yield from _of_one(functions[0])
        return
    one = constant(2)
    first = [(f, ONE) for f in functions[0]]
    second = [(ONE, g) for g in functions[1]]
    yield (one,)
    for f in [*first, *second]:
        yield (f,)
        yield (one, f)
    for f in first:
        for g in second:
            fg = (f[0], g[1])
            for terms in ((f, g), (fg,), (f, g, fg), (f, fg), (g, fg)):
                yield terms
                yield (one, *terms)
    for mine, other in ((first, second), (second, first)):
        for f1, f2 in combinations(mine, 2):
            yield (f1, f2)
            yield (one, f1, f2)
            for g in other:
                products = tuple(tuple(p if p != ONE else q for p, q in zip(f, g, strict=True)) for f in (f1, f2))
                yield (f1, f2, g)
                yield (one, f1, f2, g)
                yield (one, f1, f2, g, *products)
                yield (one, f1, g, products[0], f2)
                yield (one, f1, g, products[0], f2, products[1])
    for f1, f2 in combinations(first, 2):
        for g1, g2 in combinations(second, 2):
            yield (one, f1, f2, g1, g2)


def _of_one(functions: list[Function]) -> Iterable[Terms]:
    """Up to three functions of one variable, with and without a constant."""
    yield ((ONE,),)
    for count in (1, 2, 3):
        for chosen in combinations(functions, count):
            terms = tuple((f,) for f in chosen)
            yield terms
            yield ((ONE,), *terms)


class Table:
    """Products of all columns with each other and the data, once as they are and once without their constant part."""

    def __init__(self, points: Points) -> None:
        nvars = len(points.coords)
        self.functions = tuple(allowed(c, [f for f in COSTS if f != ONE]) for c in points.raw)
        choices: list[Product] = [(f,) for f in [ONE, *self.functions[0]]]
        if nvars == 2:
            choices = [(*f, g) for f in choices for g in [ONE, *self.functions[1]]]
        self.one = constant(nvars)
        self.products = [p for p in choices if p != self.one]
        self.place = {p: i for i, p in enumerate(self.products)}
        columns = np.stack([points.product(p) * points.w for p in self.products])
        unit = points.w / np.sqrt(points.w @ points.w)
        self.plain = self._products(columns, points.target)
        columns -= (columns @ unit)[:, None] * unit
        self.centred = self._products(columns, points.target - (points.target @ unit) * unit)

    @staticmethod
    def _products(columns: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        length = np.sqrt(np.einsum("km,km->k", columns, columns))
        scaled = columns / np.where(length > 0, length, 1.0)[:, None]
        return scaled @ scaled.T, scaled @ target, float(target @ target)

    def sums(self, laws: list[Terms]) -> np.ndarray:
        """Residual sums of squares of sums of products."""
        out = np.full(len(laws), np.inf)
        groups: dict[tuple[bool, int], list[int]] = {}
        for i, terms in enumerate(laws):
            groups.setdefault((self.one in terms, len(terms)), []).append(i)
        for (has_one, count), members in groups.items():
            gram, right, square = self.centred if has_one else self.plain
            if count == 1 and has_one:
                out[members] = square
                continue
            chosen = np.array([[self.place[t] for t in laws[i] if t != self.one] for i in members])
            out[members] = subsets(gram, right, square, chosen)
        return out


def as_law(terms: Terms) -> Law:
    """The law of some terms."""
    group = Group((), terms)
    return Law((group,), "sum", total_cost([group]))


def candidates(points: Points, judge: Callable[[float, int, float], float], most: int) -> list[tuple[Law, float]]:
    """
    Screen all sums.

    Parameters
    ----------
    points : Points
        All points, or enough of them.
    judge : callable
        ``judge(rss, k, cost)``, the smaller the better.
    most : int
        No law may have more parameters.

    Returns
    -------
    list of (Law, float)
        Every law that was tried, with its residual sum of squares.
    """
    table = Table(points)
    seen: dict[frozenset[Product], Terms] = {}
    for terms in listed(table.functions):
        key = frozenset(terms)
        if key not in seen and len(terms) <= most and closed(terms):
            seen[key] = terms
    laws = list(seen.values())
    rss = list(table.sums(laws))
    for _ in range(ROUNDS):
        order = np.argsort([judge(r, len(t), _cost(t)) for r, t in zip(rss, laws, strict=True)])[:BEAM]
        fresh = []
        for i in order:
            for extra in table.products:
                terms = (*laws[i], extra)
                key = frozenset(terms)
                if len(key) == len(terms) <= most and key not in seen and closed(terms):
                    seen[key] = terms
                    fresh.append(terms)
        laws += fresh
        rss += list(table.sums(fresh))
    return [(as_law(terms), float(value)) for terms, value in zip(laws, rss, strict=True)]


def _cost(terms: Terms) -> float:
    return total_cost([Group((), terms)])
