"""The door for many data sets: everything `fit_many` can be handed becomes a `Task`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.asmodel import as_model, as_params
from ..core.bound import free_names
from .cube import Cube, moved
from .task import Options, Task

__all__ = ["make_task", "open_cube"]


def open_cube(
    data: np.ndarray, axes: tuple[int, ...], coords: Mapping[str, Any], sigma: Any, weights: Any, mask: Any, nan_policy: str
) -> Cube:
    """Views of all arrays with the fit axes last."""
    fit_shape = tuple(data.shape[a] for a in axes)
    ndim = data.ndim - len(axes)

    def whole(value: Any, dtype: Any = None) -> np.ndarray | None:
        if value is None:
            return None
        array = np.asarray(value, dtype=dtype)
        if array.ndim == 1 and len(axes) == 1 and array.size == fit_shape[0]:
            array = array.reshape([-1 if a == axes[0] else 1 for a in range(data.ndim)])
        return moved(np.broadcast_to(array, data.shape), axes)

    def coordinate(value: Any) -> np.ndarray:
        array = np.asarray(value, dtype=float)
        if array.ndim <= len(axes):
            return np.broadcast_to(array, moved(data, axes).shape)
        return moved(np.broadcast_to(array, data.shape), axes)

    error = sigma if sigma is not None else weights
    return Cube(
        moved(data, axes),
        whole(error),
        sigma is None,
        whole(mask, bool),
        tuple(map(coordinate, coords.values())),
        ndim,
        nan_policy == "omit",
    )


def make_task(model: Any, source: Any, params: Any, coordinates: tuple[str, ...], options: Options, opts: Mapping[str, Any]) -> Task:
    """Names and numbers of the parameters, and the model's graph."""
    model = as_model(model, [*coordinates, *opts])
    params = as_params(model, params)
    if params is None:
        params = model.make_params()
    free = tuple(name for name in free_names(params))
    structure = model._traced()
    linear = tuple(structure.linear(free, free).names) if structure is not None else ()
    tied = tuple(name for name, par in params.items() if par.expr)
    known = tuple(name for name in params if name not in free and name not in tied)
    value = {name: params[name].value if np.isfinite(params[name].value) else np.nan for name in (*free, *known)}
    lower, upper = ({name: getattr(params[name], end) for name in (*free, *known)} for end in ("min", "max"))
    return Task(model, source, structure, coordinates, free, linear, known, tied, value, lower, upper, params, options, opts)
