"""Functions of a sum: reciprocals, roots, squares, exponentials of simple laws, and rational surfaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .functions import COSTS, TRANSFORMS, allowed, closed, cost
from .laws import Group, Law, LinkFactor, constant, total_cost
from .points import LOG, ONE, Points, Product
from .screen import residuals

# rounds of the linearised fit of a rational law, each weighted by the denominator of the last
ROUNDS = 5


def _law(kind: str, lead: Product, terms: Sequence[Product], tops: Sequence[Product], family: str, offset: bool = False) -> Law:
    link = LinkFactor(kind, lead, tuple(terms))
    groups = [Group((link,), tuple(tops))]
    if offset:
        groups.insert(0, Group((), (constant(len(lead)),)))
    return Law(tuple(groups), family, total_cost(groups))


def laws(points: Points) -> Iterator[Law]:
    """All of them, for one or two variables."""
    nvars = len(points.coords)
    one = constant(nvars)
    singles: list[list[Product]] = []
    u: Product
    v: Product
    tops: tuple[Product, ...]
    terms: tuple[Product, ...]
    for variable in range(nvars):
        functions = [f for f in allowed(points.raw[variable], TRANSFORMS) if COSTS[f] < 3]
        singles.append([tuple(f if i == variable else ONE for i in range(nvars)) for f in functions])
    if nvars == 1:
        yield from _one_variable(singles[0], one)
        return
    for u in singles[0]:
        for v in singles[1]:
            uv = (u[0], v[1])
            for kind in ("reciprocal", "sqrt", "square"):
                yield _law(kind, one, (u, v), (one,), f"{kind} of a sum")
                yield _law(kind, one, (u, v, uv), (one,), f"{kind} of a sum")
                yield _law(kind, one, (u, v), (one,), f"{kind} of a sum", offset=True)
                if LOG not in (u[0], v[1]) and kind != "square":
                    yield _law(kind, u, (v,), (one,), f"{kind} of a sum")
                    yield _law(kind, u, (v,), (one,), f"{kind} of a sum", offset=True)
            yield _law("exp", one, (u, v, uv), (one,), "exp of a sum")
            yield _law("exp", one, (u, v, uv), (one,), "exp of a sum", offset=True)
            if cost(uv) > 4:
                continue
            # rational surfaces: (a0 + a1 u + a2 v + a3 u v)/(1 + b0 u + b1 v + b2 u v) and its parts
            for tops in ((one, u), (one, v), (one, u, v), (one, u, v, uv), (u, v), (uv,), (u,), (v,)):
                if not closed(tops):
                    continue
                for terms in ((u,), (v,), (u, v), (u, v, uv), (uv,)):
                    if len(terms) == 1 and set(tops) <= {one, terms[0]} and len(tops) == 2:
                        continue
                    yield _law("reciprocal", one, terms, tops, "rational surface")
    x, y = (((1.0, 0), ONE), (ONE, (1.0, 0)))
    quadratic = (x, y, ((2.0, 0), ONE), ((1.0, 0), (1.0, 0)), (ONE, (2.0, 0)))
    for tops in ((one,), (one, x, y)):
        yield _law("reciprocal", one, quadratic, tops, "rational surface")
    for offset in (False, True):
        yield _law("exp", one, quadratic, (one,), "exp of a sum", offset=offset)
        yield _law("sqrt", one, quadratic, (one,), "sqrt of a sum", offset=offset)


def _one_variable(singles: list[Product], one: Product) -> Iterator[Law]:
    for u in singles:
        for kind in ("reciprocal", "sqrt", "square"):
            yield _law(kind, one, (u,), (one,), f"{kind} of a sum")
        yield _law("reciprocal", one, (u,), (one, u), "rational law")
    x, xx, xxx = (((float(p), 0),) for p in (1, 2, 3))
    for terms in ((x, xx), (x, xx, xxx), (xx,)):
        for tops in ((one,), (one, x), (x,), (one, x, xx)):
            yield _law("reciprocal", one, terms, tops, "rational law")
    yield _law("exp", one, (x, xx), (one,), "exp of a sum")
    yield _law("sqrt", one, (x, xx), (one,), "sqrt of a sum")


def start(law: Law, points: Points) -> tuple[np.ndarray, float]:
    """
    Shape parameters of a link from a linearised fit, and how good they are.

    Parameters
    ----------
    law : Law
        With one link as its factor.
    points : Points
        A few points.

    Returns
    -------
    theta : ndarray, shape (p,)
    rss : float
        inf where there is none.

    Notes
    -----
    A rational law N/(lead + D) is linear as ``N - z D = z lead``; each further round divides by the denominator found before,
    which then is the fit itself (Sanathanan and Koerner 1963). Others are linear in h**-1(z - c): with the weights of
    the first-order change, for several c where there is an offset.
    """
    link = next(f for f in law.factors if isinstance(f, LinkFactor))
    offset = len(law.groups) > 1
    tops = law.groups[-1].products
    guesses = _rational(link, tops, points) if link.kind == "reciprocal" and not offset else _transformed(link, points, offset)
    if not guesses:
        return np.zeros(link.count), np.inf
    trials = np.array(guesses)
    with np.errstate(all="ignore"):
        rss = residuals(law.columns(points, trials), points.target)
    at = int(np.argmin(rss))
    return trials[at], float(rss[at])


def _rational(link: LinkFactor, tops: Sequence[Product], points: Points) -> list[np.ndarray]:
    z = points.z
    above = np.stack([points.product(p) for p in tops])
    below = np.stack([points.product(t) for t in link.terms])
    lead = points.product(link.lead)
    weight, out = points.w, []
    for _ in range(ROUNDS):
        columns = np.vstack([above, -z * below]) * weight
        length = np.sqrt(np.einsum("km,km->k", columns, columns))
        if not (np.isfinite(length).all() and (length > 0).all()):
            break
        solution = np.linalg.lstsq((columns / length[:, None]).T, z * lead * weight, rcond=1e-12)[0] / length
        theta = solution[len(tops) :]
        out.append(theta)
        denominator = lead + theta @ below
        weight = points.w / np.maximum(np.abs(denominator), 1e-3 * np.abs(denominator).max())
    return out


def _transformed(link: LinkFactor, points: Points, offset: bool) -> list[np.ndarray]:
    z = points.z
    low, high = float(z.min()), float(z.max())
    span = high - low
    levels = [0.0] if not offset else [low - f * span for f in (0.03, 0.2, 1.0, 5.0)] + [high + f * span for f in (0.03, 0.2, 1.0, 5.0)]
    terms = np.stack([points.product(t) for t in link.terms])
    lead = points.product(link.lead)
    out = []
    for level in levels:
        height = z - level
        sign = 1.0 if np.median(height) > 0 else -1.0
        height = np.maximum(height * sign, 1e-3 * np.abs(height).max())
        if link.kind == "exp":
            inverse, slope = np.log(height), height
        elif link.kind == "reciprocal":
            inverse, slope = 1.0 / height, height**2
        elif link.kind == "sqrt":
            inverse, slope = height**2, 0.5 / height
        else:
            inverse, slope = np.sqrt(height), 2.0 * np.sqrt(height)
        columns = np.vstack([lead, terms]) * (slope * points.w)
        length = np.sqrt(np.einsum("km,km->k", columns, columns))
        if not (np.isfinite(length).all() and (length > 0).all()):
            continue
        solution = np.linalg.lstsq((columns / length[:, None]).T, inverse * slope * points.w, rcond=1e-12)[0] / length
        theta = solution[1:] if link.kind == "exp" else solution[1:] / (solution[0] or 1e-300)
        out.append(theta)
    return [theta for theta in out if np.isfinite(theta).all()]
