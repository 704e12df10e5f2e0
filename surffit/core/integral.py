r"""
Integrals of a fitted surface over a box, or a region with curved sides, with their errors.

Gauss-Legendre in cells that are halved until nothing changes. The integral's derivatives by the parameters are the integrals of the
model's: its error comes from the same nodes, and the full covariance.
"""

from __future__ import annotations

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
MOST_NODES = 3_000_000
BLOCK = 1 << 20


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
        value, by, change = _refined(space, box, {**fixed, **at})
        error = float(space.error(by[:, None])[0])
        if change > NOTICED and not change * abs(value) < 0.01 * error:
            msg = f"the integral still changes by {change:.1g} of itself at {MOST_NODES} nodes; part the region where the model has edges"
            warnings.warn(ConvergenceWarning(msg, change=change), stacklevel=users_line())
        rows.append({**at, "value": value, "stderr": error, "lower": value - times * error, "upper": value + times * error})
    return pd.DataFrame(rows)


def _refined(space: Space, box: Mapping[str, tuple[Any, Any]], fixed: Mapping[str, Any]) -> tuple[float, np.ndarray, float]:
    """Value, gradient, and the last relative change."""
    cells, change = 1, np.inf
    before: tuple[float, np.ndarray] | None = None
    while True:
        value, by, size = _summed(space, box, fixed, cells)
        if before is not None:
            change = abs(value - before[0]) / size if size > 0 else 0.0
            error, last = (float(space.error(g[:, None])[0]) for g in (by, before[1]))
            same = not np.isfinite(error) or abs(error - last) <= SURE * error
            if change <= DONE and same:
                break
        if (2 * cells * ORDER) ** len(box) > MOST_NODES:
            break
        before, cells = (value, by), 2 * cells
    return value, by, change


def _summed(space: Space, box: Mapping[str, tuple[Any, Any]], fixed: Mapping[str, Any], cells: int) -> tuple[float, np.ndarray, float]:
    """Value, gradient and integral of the absolute value, by so many cells along each coordinate."""
    n = len(space.result._names)
    value, by, size = 0.0, np.zeros(n), 0.0
    for where, weights in _nodes(box, cells, max(1, BLOCK // max(1, n))):
        f, J = space.at({**fixed, **where}, ((),))[0]
        if not np.isfinite(f).all():
            bad = int(np.flatnonzero(~np.isfinite(f))[0])
            at = ", ".join(f"{name}={x[bad]:.6g}" for name, x in where.items())
            msg = f"the model is not finite at {at}; integrate over a region where it is"
            raise DataError(msg)
        value += float(weights @ f)
        size += float(np.abs(weights) @ np.abs(f))
        by += J @ weights
    return value, by, size


def _nodes(box: Mapping[str, tuple[Any, Any]], cells: int, step: int) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Nodes and weights, in blocks; limits of a coordinate may be functions of those before it."""
    names = list(box)
    x, w = np.polynomial.legendre.leggauss(ORDER)
    t = ((np.arange(cells)[:, None] + 0.5 * (x + 1.0)) / cells).ravel()
    dt = np.tile(0.5 * w / cells, cells)
    curved = [any(callable(end) for name in names[i + 1 :] for end in box[name]) for i in range(len(names))]
    total = t.size ** len(names)
    for start in range(0, total, step):
        index = np.unravel_index(np.arange(start, min(start + step, total)), (t.size,) * len(names))
        where: dict[str, np.ndarray] = {}
        weights = np.ones(index[0].size)
        for i, name in enumerate(names):
            s, ds = t[index[i]], dt[index[i]]
            if curved[i]:  # sides that end steeply, like those of a disc, are smooth in this variable
                s, ds = s * s * (3.0 - 2.0 * s), 6.0 * s * (1.0 - s) * ds
            low, high = (np.asarray(end(*where.values()) if callable(end) else end, dtype=float) for end in box[name])
            where[name] = low + (high - low) * s
            weights = weights * (high - low) * ds
        yield where, weights
