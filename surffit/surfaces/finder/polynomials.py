"""Whole polynomials of the variables, of their logarithms, reciprocals and roots: response surfaces of several degrees."""

from __future__ import annotations

import numpy as np

from .functions import COSTS, TRANSFORMS, allowed
from .laws import Group, Law
from .points import Function, Points
from .screen import subsets

HIGHEST = 6
# a formula longer than this can't be written as an expression; the variables' own polynomials need none
TERMS = 12
# nats of a coefficient: less than in a sum, where every term is chosen on its own
EACH = 1.5


def exponents(nvars: int) -> list[tuple[str, tuple[tuple[int, ...], ...]]]:
    """Sets of exponents with their names: total degree, degree per variable, sums without products."""
    if nvars == 1:
        return [(f"polynomial of degree {d}", tuple((i,) for i in range(d + 1))) for d in range(1, HIGHEST + 3)]
    out: list[tuple[str, tuple[tuple[int, ...], ...]]] = []
    for degree in range(1, HIGHEST + 1):
        whole = tuple((i, d - i) for d in range(degree + 1) for i in range(d, -1, -1))
        out.append((f"polynomial of degree {degree}", whole))
    for p in range(1, 5):
        for q in range(1, 5):
            both = tuple((i, j) for i in range(p + 1) for j in range(q + 1))
            out.append((f"polynomial of degrees {p} and {q}", both))
            alone = tuple((i, 0) for i in range(p + 1)) + tuple((0, j) for j in range(1, q + 1))
            if max(p, q) > 1:
                out.append((f"sum of polynomials of degrees {p} and {q}", alone))
            mixed = tuple((i, j) for i in range(p + 1) for j in range(q + 1) if i + j <= max(p, q))
            if p != q:
                out.append((f"polynomial of degrees {p} and {q}, together {max(p, q)}", mixed))
    return out


def candidates(points: Points, most: int) -> list[tuple[Law, float]]:
    """
    Screen all polynomials.

    Parameters
    ----------
    points : Points
        All points, or enough of them.
    most : int
        No law may have more parameters.

    Returns
    -------
    list of (Law, float)
        Every law with its residual sum of squares.
    """
    nvars = len(points.coords)
    choices = [allowed(c, TRANSFORMS) for c in points.raw]
    shapes = [(name, chosen) for name, chosen in exponents(nvars) if len(chosen) <= most]
    if not shapes:
        return []
    every = list(dict.fromkeys(e for _, chosen in shapes for e in chosen))
    place = {e: i for i, e in enumerate(every)}
    pairs: list[tuple[Function, ...]] = [(f,) for f in choices[0]] if nvars == 1 else [(f, g) for f in choices[0] for g in choices[1]]
    own = ((1.0, 0),) * nvars
    out = []
    for pair in pairs:
        usable = [(n, c) for n, c in shapes if pair == own or len(c) <= TERMS]
        columns = points.chebyshev(pair, every) * points.w
        with np.errstate(all="ignore"):
            columns /= np.sqrt(np.einsum("km,km->k", columns, columns))[:, None]
        gram, right, square = columns @ columns.T, columns @ points.target, float(points.target @ points.target)
        price = 2.0 + sum(COSTS[f] for f in pair)
        by_size: dict[int, list[tuple[str, tuple[tuple[int, ...], ...]]]] = {}
        for name, chosen in usable:
            by_size.setdefault(len(chosen), []).append((name, chosen))
        for members in by_size.values():
            sums = subsets(gram, right, square, np.array([[place[e] for e in chosen] for _, chosen in members]))
            for (name, chosen), rss in zip(members, sums, strict=True):
                terms = tuple(tuple((p * e[v], n * e[v]) for v, (p, n) in enumerate(pair)) for e in chosen)
                out.append((Law((Group((), terms),), name, price + EACH * len(chosen), (pair, chosen)), float(rss)))
    return out
