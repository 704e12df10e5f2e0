r"""
Minima, maxima and saddles of a fitted surface, with the errors of where they are and how high.

Newton's method goes from every point of a grid at once to where the gradient is 0. There, grad f(x*(p), p) = 0 defines x* as a
function of the parameters: dx*/dp = -H^{-1} d(grad f)/dp (implicit function theorem), and the value changes by df/dp alone, since
the gradient vanishes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ..exceptions import DataError, DataWarning
from .bands import half_width
from .containers import users_line
from .geometry import checked_level
from .space import Space

KINDS = ("minimum", "maximum", "saddle")
# starts in all, about
STARTS = 2000
ITERATIONS = 60
# of the range searched: when a step is the last, and when two ends are the same
CLOSE, SAME = 1e-9, 1e-6
# share of the curvature on the grid below which there is none
FLAT = 1e-9


def extrema(result: Any, kind: str | None, level: float, given: Mapping[str, Any]) -> Any:
    """Stationary points as a table; see `SurfaceResult.extrema`."""
    import pandas as pd

    if kind is not None and kind not in KINDS:
        msg = f"kind={kind!r}; use one of {', '.join(map(repr, KINDS))}, or None for all"
        raise DataError(msg)
    space = Space(result, "extrema()")
    times = half_width(space.result, checked_level(level))
    box, fixed = searched(space, given, "extrema()")
    names = tuple(box)
    ends, degenerate = _stationary(space, box, fixed)
    if degenerate:
        msg = (
            f"the surface is flat to first and second order at {degenerate} of the points that were reached (a line of equal height, or no "
            "slope at all): a position there isn't determined, and they are left out"
        )
        warnings.warn(DataWarning(msg, count=degenerate), stacklevel=users_line())
    rows = []
    for u in ends:
        row = _described(space, {name: float(x) for name, x in zip(names, u, strict=True)}, fixed, times)
        if kind is None or row["kind"] == kind:
            rows.append(row)
    columns = ["kind", *(f"{name}{end}" for name in (*names, "value") for end in ("", "_stderr", "_lower", "_upper")), "certainty"]
    return pd.DataFrame(rows, columns=columns).sort_values("value", ascending=False, ignore_index=True)


def searched(space: Space, given: Mapping[str, Any], what: str) -> tuple[dict[str, tuple[Any, Any]], dict[str, Any]]:
    """Ranges (low, high) of some coordinates, and what the others are held at; ranges of the data where nothing is given."""
    box: dict[str, tuple[Any, Any]] = {}
    held: dict[str, Any] = {}
    for name, value in given.items():
        ends = tuple(value) if isinstance(value, tuple | list) and len(value) == 2 else None
        if name not in space.variables or ends is None:
            held[name] = value
        elif any(callable(end) for end in ends):
            box[name] = ends
        else:
            if hasattr(value[0], "to_datetime64"):  # pandas' times have a unit, too
                ends = tuple(end.to_datetime64() for end in ends)
            limits = type(ends[0])(list(ends)) if hasattr(ends[0], "unit") else np.asarray(ends)
            low, high = np.ravel(space.converted(name, limits))
            box[name] = (float(low), float(high))
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                msg = f"{name}=({low:g}, {high:g}) is no range; give (low, high) with low < high, both finite"
                raise DataError(msg)
    unknown = [name for name in held if name not in space.result.model.independent_vars]
    if unknown:
        msg = f"{what}: {', '.join(unknown)}: unknown; the coordinates of {space.result.model.name} are {', '.join(space.variables)}"
        raise DataError(msg)
    held = {name: space.converted(name, value) if name in space.variables else value for name, value in held.items()}
    missing = [name for name in space.variables if name not in box and name not in held]
    if missing:
        ranges = space.ranges(what)
        box = {**{name: ranges[name] for name in missing}, **box}
    if not box:
        msg = f"{what} has no coordinate left to go along: all are held; give one as a range (low, high)"
        raise DataError(msg)
    options = {name: value for name, value in space.result.userkws.items() if name not in space.variables}
    return box, {**options, **held}


def _stationary(space: Space, box: Mapping[str, tuple[float, float]], fixed: Mapping[str, Any]) -> tuple[np.ndarray, int]:
    """Different points (m, k) with zero gradient within the box, and at how many ends of the walk there is no curvature."""
    names, k = tuple(box), len(box)
    if any(np.size(fixed.get(name, 0.0)) != 1 for name in space.variables):
        msg = "extrema() looks at one surface: hold a coordinate at one number"
        raise DataError(msg)
    low = np.array([box[name][0] for name in names])
    width = np.array([box[name][1] for name in names]) - low
    if not (width > 0).all():
        msg = f"the data have one value of {names[int(np.argmin(width))]} only; hold it at that number to look along the others"
        raise DataError(msg)
    count = max(3, round(STARTS ** (1.0 / k)) | 1)
    u = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, count)] * k, indexing="ij"), axis=-1).reshape(-1, k)
    stride = 2.0 / (count - 1)
    steep = curved = 0.0
    done: list[np.ndarray] = []
    flat = 0
    for _ in range(ITERATIONS):
        g, H = _derivatives(space, names, low + u * width, fixed)
        g, H = g * width, H * width * width[:, None]
        fine = np.isfinite(g).all(axis=1) & np.isfinite(H).all(axis=(1, 2))
        u, g, H = u[fine], g[fine], H[fine]
        if not len(u):
            break
        if not steep:
            steep, curved = float(np.abs(g).max()), float(np.abs(H).max())
        values, vectors = np.linalg.eigh(H)
        none = np.abs(values) <= FLAT * curved
        along = np.einsum("mij,mi->mj", vectors, g)
        # where there is no curvature, downhill or uphill a stride leads out, unless there is no slope either
        step = -np.where(none, np.sign(along) * stride * (np.abs(along) > CLOSE * (steep + curved)), along / np.where(none, 1.0, values))
        step = np.einsum("mij,mj->mi", vectors, step)
        long = np.sqrt(np.sum(step * step, axis=1))
        end = (long < CLOSE) & (np.abs(g).max(axis=1) <= 100 * CLOSE * (steep + curved))
        inside = ((u > -CLOSE) & (u < 1.0 + CLOSE)).all(axis=1)
        lost = end & inside & none.any(axis=1)
        flat += int(lost.sum())
        done.extend((u + step)[end & inside & ~lost])
        u = (u + step * np.minimum(1.0, stride / np.where(long > 0, long, 1.0))[:, None])[~end]
        u = u[((u > -0.1) & (u < 1.1)).all(axis=1)]
        if not len(u):
            break
    different: list[np.ndarray] = []
    for one in done:
        if all(np.abs(one - other).max() > SAME for other in different):
            different.append(one)
    return low + np.array(different).reshape(-1, k) * width, flat


def _derivatives(space: Space, names: tuple[str, ...], points: np.ndarray, fixed: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (m, k) and Hessian (m, k, k) at points (m, k)."""
    k = len(names)
    pairs = tuple(combinations_with_replacement(range(k), 2))
    where = {**fixed, **{name: points[:, i] for i, name in enumerate(names)}}
    partials = (*((name,) for name in names), *((names[i], names[j]) for i, j in pairs))
    found = [value for value, _ in space.at(where, partials, errors=False)]
    H = np.empty((len(points), k, k))
    for (i, j), part in zip(pairs, found[k:], strict=True):
        H[:, i, j] = H[:, j, i] = part
    return np.stack(found[:k], axis=1), H


def _described(space: Space, at: dict[str, float], fixed: Mapping[str, Any], times: float) -> dict[str, Any]:
    """One row of the table: what it is, where and how high."""
    names, k = tuple(at), len(at)
    pairs = tuple(combinations_with_replacement(range(k), 2))
    where = {**fixed, **{name: np.asarray(x) for name, x in at.items()}}
    partials = ((), *((name,) for name in names), *((names[i], names[j]) for i, j in pairs))
    found = space.at({n: np.asarray(v, dtype=float).reshape(()) if n in space.variables else v for n, v in where.items()}, partials)
    H, dH = np.empty((k, k)), np.empty((len(space.result._names), k, k))
    for (i, j), (part, by) in zip(pairs, found[1 + k :], strict=True):
        H[i, j] = H[j, i] = part
        dH[:, i, j] = dH[:, j, i] = by
    values, vectors = np.linalg.eigh(H)
    kind = "minimum" if (values > 0).all() else "maximum" if (values < 0).all() else "saddle"
    moved = -np.linalg.solve(H, np.stack([by for _, by in found[1 : 1 + k]]))
    with np.errstate(divide="ignore"):  # a curvature that no free parameter changes is certain
        curvature = np.abs(values) / space.error(np.einsum("ij,nik,kj->nj", vectors, dH, vectors))
    row: dict[str, Any] = {"kind": kind}
    numbers = [*at.values(), float(found[0][0])]
    for name, value, by in zip((*names, "value"), numbers, [*moved, found[0][1]], strict=True):
        error = float(space.error(by[:, None])[0])
        row |= {name: value, f"{name}_stderr": error, f"{name}_lower": value - times * error, f"{name}_upper": value + times * error}
    return {**row, "certainty": float(curvature.min())}
