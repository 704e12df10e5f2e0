"""Which of several starts is nearest to the data, with the linear parameters solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..solve.rough import resisting, strong_and_some

if TYPE_CHECKING:
    from ..core.model import SurfaceModel

# points the starts are compared on
MOST = 2000


def nearest(
    model: SurfaceModel, params: Mapping[str, Any], options: Sequence[Mapping[str, float]], z: np.ndarray, points: Sequence[np.ndarray]
) -> dict[str, float]:
    """
    The best of several starts, completed.

    Parameters
    ----------
    model : SurfaceModel
    params : lmfit.Parameters
        The model's; values where a start is silent, and bounds.
    options : sequence of dict
        Full names to starts.
    z, points : ndarray, shape (n,)
        Data and coordinates.

    Returns
    -------
    dict
        Every parameter that has a value; inside its bounds.
    """
    if len(options) == 1 and set(options[0]) >= set(model.param_names):
        return {name: _inside(float(value), params[name]) for name, value in options[0].items()}
    rows = strong_and_some(z, MOST)
    z, coords = z[rows], [p[rows] for p in points]
    names = model.linear
    best: tuple[float, dict[str, float]] | None = None
    for option in options:
        start = {name: _inside(float(value), params[name]) for name, value in option.items()}
        for name, par in params.items():
            if name not in start and not par.expr and np.isfinite(par.value):
                start[name] = float(par.value)
        solved = [name for name in names if name not in option]
        if any(name not in start and name not in solved for name in model.param_names):
            continue  # nothing is known of a searched parameter
        filled, cost = _solved(model, params, start, solved, z, coords)
        if best is None or cost < best[0]:
            best = (cost, filled)
    if best is None:
        return {name: _inside(float(value), params[name]) for name, value in dict(options[0]).items()} if options else {}
    return best[1]


def _solved(
    model: SurfaceModel,
    params: Mapping[str, Any],
    start: dict[str, float],
    names: Sequence[str],
    z: np.ndarray,
    coords: Sequence[np.ndarray],
) -> tuple[dict[str, float], float]:
    """A start with its linear parameters, and the sum of the sizes of what it leaves."""
    out = {**start, **dict.fromkeys(names, 0.0)}
    zero = _values(model, out, coords, z)
    rest = z - zero
    if names:
        columns = np.stack([_values(model, {**out, name: 1.0}, coords, z) - zero for name in names])
        if not np.isfinite(columns).all() or not np.isfinite(rest).all():
            return out, np.inf
        found = resisting(columns, rest)
        for name, value in zip(names, found, strict=True):
            out[name] = _inside(float(value), params[name])
        rest = rest - np.array([out[name] for name in names]) @ columns
    unit = float(np.abs(rest).max()) or 1.0
    # sums of sizes, not squares: wild points count little
    cost = float(np.abs(rest / unit).sum()) * unit
    return out, cost if np.isfinite(cost) else np.inf


def _values(model: SurfaceModel, values: Mapping[str, float], coords: Sequence[np.ndarray], like: np.ndarray) -> np.ndarray:
    own = {name: values[model.prefix + name] for name in model._param_root_names}
    return np.broadcast_to(np.asarray(model.func(*coords, **own), dtype=float), like.shape)


def _inside(value: float, par: Any) -> float:
    """A value a little inside the bounds of a parameter."""
    low, high = float(par.min), float(par.max)
    if low < value < high:
        return value
    room = high - low if np.isfinite(high - low) else max(abs(low if np.isfinite(low) else high), 1e-3)
    return float(min(max(value, low + 1e-3 * room if np.isfinite(low) else value), high - 1e-3 * room if np.isfinite(high) else value))
