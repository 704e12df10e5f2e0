r"""
Slopes and curvatures of a fitted surface, with errors from the full covariance.

A quantity q(p) has the variance g' C g, g = dq/dp. The derivatives of the model along its coordinates are differentiated by the
parameters exactly; curvatures are functions of them, and their gradients follow by the chain rule (complex steps through a few
lines of algebra). Where parameters are undetermined, what doesn't depend on the lost directions still has its error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ..exceptions import DataError
from .bands import half_width
from .containers import is_series
from .space import Space

# complex step: nothing is subtracted, so nothing is lost
TINY_STEP = 1e-30


Quantity = tuple[np.ndarray, np.ndarray]  # values of shape S, and their derivatives by the parameters, (n, *S)


def table(space: Space, given: Mapping[str, Any], columns: Mapping[str, Quantity], level: float, where: Mapping[str, Any]) -> Any:
    """
    Quantities and their errors as a DataFrame for points in a row, else a dict of arrays.

    Parameters
    ----------
    space : Space
    given : mapping
        What the user gave: labels of a Series stay.
    columns : mapping of str to (value, gradient)
    level : float
    where : mapping
        Coordinates, in the units of the fit.
    """
    times = half_width(space.result, checked_level(level))
    shape = np.shape(next(iter(columns.values()))[0])
    out = {name: np.broadcast_to(np.asarray(where[name], dtype=float), shape) for name in space.variables}
    for name, (value, J) in columns.items():
        error = space.error(J)
        out |= {name: value, f"{name}_stderr": error, f"{name}_lower": value - times * error, f"{name}_upper": value + times * error}
    if len(shape) > 1:
        return out
    import pandas as pd

    observed = space.result.__dict__.get("observed")
    index = observed.index if observed is not None and not given else None
    for one in given.values():
        index = one.index if is_series(one) and (len(one),) == shape else index
    return pd.DataFrame({name: np.atleast_1d(values) for name, values in out.items()}, index=index)


def checked_level(level: float) -> float:
    """A probability between 0 and 1."""
    if not 0 < level < 1:
        msg = f"level = {level!r} is outside 0 to 1; for 95 % pass level=0.95"
        raise DataError(msg)
    return level


def slopes(result: Any, level: float, given: Mapping[str, Any]) -> Any:
    """First derivatives; see `SurfaceResult.gradient`."""
    space = Space(result, "gradient()")
    where = space.points(given)
    first = space.at(where, tuple((name,) for name in space.variables))
    columns = {f"d_{name}": one for name, one in zip(space.variables, first, strict=True)}
    if len(space.variables) > 1:
        columns["slope"] = chain(lambda parts: np.sqrt(sum(part * part for part in parts)), first)
    return table(space, given, columns, level, where)


def curvatures(result: Any, level: float, given: Mapping[str, Any]) -> Any:
    """Second derivatives and curvatures; see `SurfaceResult.curvature`."""
    space = Space(result, "curvature()")
    where = space.points(given)
    pairs = tuple(combinations_with_replacement(space.variables, 2))
    count = len(space.variables)
    found = space.at(where, (*((name,) for name in space.variables), *pairs))
    columns = {f"d_{one}_{two}": part for (one, two), part in zip(pairs, found[count:], strict=True)}
    if count == 1:
        columns["curvature"] = chain(lambda parts: parts[1] / (1.0 + parts[0] ** 2) ** 1.5, found)
        return table(space, given, columns, level, where)
    columns["mean"] = chain(lambda parts: _mean(parts, count), found)
    columns["gaussian"] = chain(lambda parts: _gaussian(parts, count), found)
    if count == 2:
        columns["principal_1"] = chain(lambda parts: _principal(parts, 1.0), found)
        columns["principal_2"] = chain(lambda parts: _principal(parts, -1.0), found)
    return table(space, given, columns, level, where)


def chain(function: Callable[[Sequence[np.ndarray]], Any], parts: Sequence[Quantity]) -> Quantity:
    """A function of quantities with gradients, with its own: sum of df/dq_i dq_i/dp."""
    values = [value.astype(complex) for value, _ in parts]
    J = np.zeros(parts[0][1].shape)
    with np.errstate(all="ignore"):
        for i, (_, gradient) in enumerate(parts):
            moved = [value + (1j * TINY_STEP if j == i else 0.0) for j, value in enumerate(values)]
            J += np.asarray(function(moved)).imag / TINY_STEP * gradient
        return np.asarray(function(values)).real, J


def _shape_operator(parts: Sequence[np.ndarray], count: int) -> np.ndarray:
    """(I + gg')^{-1} H / sqrt(1 + g'g), shape (*S, count, count): its eigenvalues are the principal curvatures of the graph."""
    g = np.stack(parts[:count], axis=-1)
    H = np.empty((*g.shape, count), dtype=g.dtype)
    for (i, j), part in zip(combinations_with_replacement(range(count), 2), parts[count:], strict=True):
        H[..., i, j] = H[..., j, i] = part
    steep = 1.0 + np.sum(g * g, axis=-1)[..., None, None]
    gH = np.einsum("...i,...ij->...j", g, H)
    # the inverse of I + gg' is I - gg'/(1 + g'g)
    return np.asarray((H - g[..., :, None] * gH[..., None, :] / steep) / np.sqrt(steep))


def _mean(parts: Sequence[np.ndarray], count: int) -> np.ndarray:
    return np.asarray(np.einsum("...ii->...", _shape_operator(parts, count)) / count)


def _gaussian(parts: Sequence[np.ndarray], count: int) -> np.ndarray:
    return np.asarray(np.linalg.det(_shape_operator(parts, count)))


def _principal(parts: Sequence[np.ndarray], sign: float) -> np.ndarray:
    S = _shape_operator(parts, 2)
    half = 0.5 * (S[..., 0, 0] - S[..., 1, 1])
    return np.asarray(0.5 * (S[..., 0, 0] + S[..., 1, 1]) + sign * np.sqrt(half * half + S[..., 0, 1] * S[..., 1, 0]))
