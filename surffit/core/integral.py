r"""
Integrals of a fitted surface over a box, or a region with curved sides, with their errors.

Gauss-Legendre in cells that are halved until nothing changes. What is narrower than the cells would change nothing either: so a
look as close as the data's own follows, and what it finds sends the halving on from there. The integral's derivatives by the parameters
are the integrals of the model's: its error comes from the same nodes, and the full covariance.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..exceptions import ConvergenceWarning, DataError
from .bands import half_width
from .containers import users_line
from .extrema import searched
from .geometry import checked_level
from .space import Space

ORDER = 10
# relative change of the integral, and of its error, below which it is done; and above which it is said that it isn't
DONE, SURE, NOTICED = 1e-11, 1e-5, 1e-8
# relative change of the error from which it is said that it has no limit
POLE = 0.05
MOST_NODES = 3_000_000
# nodes of the close look: at least, along one coordinate and together, and at most
LOOK_ALONG, LOOK, LOOK_MOST = 1000, 10_000, 1_000_000
BLOCK = 1 << 20
Cells = tuple[int, ...]


def integral(result: Any, level: float, given: Mapping[str, Any]) -> Any:
    """The integral as a table; see `SurfaceResult.integral`."""
    import pandas as pd

    space = Space(result, "integral()")
    times = half_width(space.result, checked_level(level))
    box, fixed = searched(space, given, "integral()")
    held = [name for name in space.variables if name not in box]
    try:
        columns = np.broadcast_arrays(*(np.atleast_1d(fixed[name]) for name in held)) if held else []
    except ValueError as err:
        shapes = ", ".join(f"{name} {np.shape(fixed[name])}" for name in held)
        msg = f"the coordinates that are held don't broadcast together: {shapes}"
        raise DataError(msg) from err
    rows = []
    for values in zip(*(np.ravel(c) for c in columns), strict=True) if held else [()]:
        at = dict(zip(held, map(float, values), strict=True))
        value, by, change, unsettled = _refined(space, box, {**fixed, **at})
        error = float(space.error(by[:, None])[0])
        if unsettled > POLE:
            msg = (
                f"the error of the integral still changes by {unsettled:.0%} of itself at {MOST_NODES} nodes: the model seems to have "
                "a pole in this region, where the integral means nothing; integrate over regions without it"
            )
            warnings.warn(ConvergenceWarning(msg, change=unsettled), stacklevel=users_line())
        elif change > NOTICED and not change * abs(value) < 0.01 * error:
            msg = f"the integral still changes by {change:.1g} of itself at {MOST_NODES} nodes; part the region where the model has edges"
            warnings.warn(ConvergenceWarning(msg, change=change), stacklevel=users_line())
        rows.append({**at, "value": value, "stderr": error, "lower": value - times * error, "upper": value + times * error})
    return pd.DataFrame(rows)


def _refined(space: Space, box: Mapping[str, tuple[Any, Any]], fixed: Mapping[str, Any]) -> tuple[float, np.ndarray, float, float]:
    """Value, gradient, and the last relative changes of the value and of its error."""
    cells, close = (1,) * len(box), _close(space, box)
    change = unsettled = np.inf
    before: tuple[float, np.ndarray] | None = None
    while True:
        value, by, size = _summed(space, box, fixed, cells)
        if before is not None:
            change = abs(value - before[0]) / size if size > 0 else 0.0
            error, last = (float(space.error(g[:, None])[0]) for g in (by, before[1]))
            unsettled = abs(error - last) / error if np.isfinite(error) and error > 0 else 0.0
            if change <= DONE and unsettled <= SURE:
                if all(a >= b for a, b in zip(cells, close, strict=True)):
                    break
                look, _, seen = _summed(space, box, fixed, close, errors=False)
                if abs(look - value) <= NOTICED * seen:
                    break
                before, cells = None, close
                continue
        if math.prod(2 * c * ORDER for c in cells) > MOST_NODES and before is not None:
            break
        before, cells = (value, by), tuple(2 * c for c in cells)
    return value, by, change, unsettled


def _close(space: Space, box: Mapping[str, tuple[Any, Any]]) -> Cells:
    """Cells along each coordinate whose nodes are as close as the data points: they have seen nothing narrower."""
    least = min(LOOK_ALONG, LOOK ** (1.0 / len(box)))
    nodes = []
    for name, (low, high) in box.items():
        distance, count = space.spacing().get(name, (np.inf, 0.0))
        nodes.append(max(least, count if callable(low) or callable(high) else (high - low) / distance))
    shrink = max(1.0, (math.prod(nodes) / LOOK_MOST) ** (1.0 / len(nodes)))
    return tuple(max(1, math.ceil(n / shrink / ORDER)) for n in nodes)


def _summed(
    space: Space, box: Mapping[str, tuple[Any, Any]], fixed: Mapping[str, Any], cells: Cells, errors: bool = True
) -> tuple[float, np.ndarray, float]:
    """Value, gradient and integral of the absolute value, by so many cells along each coordinate."""
    n = len(space.result._names) if errors else 0
    value, by, size = 0.0, np.zeros(n), 0.0
    for where, weights in _nodes(box, cells, max(1, BLOCK // max(1, n))):
        f, J = space.at({**fixed, **where}, ((),), errors)[0]
        if not np.isfinite(f).all():
            bad = int(np.flatnonzero(~np.isfinite(f))[0])
            at = ", ".join(f"{name}={x[bad]:.6g}" for name, x in where.items())
            msg = f"the model is not finite at {at}; integrate over a region where it is"
            raise DataError(msg)
        value += float(weights @ f)
        size += float(np.abs(weights) @ np.abs(f))
        by += J @ weights
    return value, by, size


def _nodes(box: Mapping[str, tuple[Any, Any]], cells: Cells, step: int) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Nodes and weights, in blocks; limits of a coordinate may be functions of those before it."""
    names = list(box)
    x, w = np.polynomial.legendre.leggauss(ORDER)
    t = [((np.arange(c)[:, None] + 0.5 * (x + 1.0)) / c).ravel() for c in cells]
    dt = [np.tile(0.5 * w / c, c) for c in cells]
    curved = [any(callable(end) for name in names[i + 1 :] for end in box[name]) for i in range(len(names))]
    counts = tuple(s.size for s in t)
    total = math.prod(counts)
    for start in range(0, total, step):
        index = np.unravel_index(np.arange(start, min(start + step, total)), counts)
        where: dict[str, np.ndarray] = {}
        weights = np.ones(index[0].size)
        for i, name in enumerate(names):
            s, ds = t[i][index[i]], dt[i][index[i]]
            if curved[i]:  # sides that end steeply, like those of a disc, are smooth in this variable
                s, ds = s * s * (3.0 - 2.0 * s), 6.0 * s * (1.0 - s) * ds
            low, high = (_limit(name, end, where) for end in box[name])
            where[name] = low + (high - low) * s
            weights = weights * (high - low) * ds
        yield where, weights


def _limit(name: str, end: Any, where: Mapping[str, np.ndarray]) -> np.ndarray:
    """One end of a range, at every node of the coordinates before it."""
    if not callable(end):
        return np.asarray(end, dtype=float)
    try:
        return np.asarray(end(*where.values()), dtype=float)
    except TypeError as err:
        before = ", ".join(where) or "none"
        msg = f"a limit of {name} fails: {err}; it is called with the coordinates given before it, in their order ({before})"
        raise DataError(msg) from err
