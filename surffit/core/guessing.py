"""What every `guess` may rely on: coordinates of the data's shape, and no point that isn't finite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import lmfit
import numpy as np

from ..exceptions import ShapeError, TooFewPointsError
from .keywords import has_option
from .structure import leaves

__all__ = ["Guessing", "finite_points", "unstarted"]


class Guessing:
    """Makes the promise of `model.guess(data, **coords)` true for classes that bring their own."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("guess")
        if callable(own) and not getattr(own, "sees_to_points", False):
            cls.guess = on_points(own)  # type: ignore[attr-defined]


def on_points(guess: Callable[..., Any]) -> Callable[..., Any]:
    """
    A `guess` that is handed coordinates broadcast to the shape of the data.

    Where data or coordinates are not finite or masked, it gets the points that are, as flat arrays. What is no number passes as it is.

    Parameters
    ----------
    guess : callable
        ``guess(self, data, *coords, **kws)``

    Returns
    -------
    callable
        The same signature. It raises ShapeError for coordinates that don't fit the data, TooFewPointsError without a finite point.
    """

    @functools.wraps(guess)
    def guarded(self: Any, data: Any, *args: Any, **kws: Any) -> Any:
        names = [name for name in self.independent_vars if not has_option(self, name)]
        given = {**dict(zip(names, args, strict=False)), **{name: kws[name] for name in names if name in kws}}
        if isinstance(data, Mapping) or not given or not all(map(_is_number, (data, *given.values()))):
            return guess(self, data, *args, **kws)
        values, points = finite_points(self.name, data, given)
        args = tuple(points.get(name, value) for name, value in zip(names, args, strict=False)) + args[len(names) :]
        return guess(self, values, *args, **{name: points.get(name, value) for name, value in kws.items()})

    return guarded


def _is_number(value: Any) -> bool:
    return bool(np.asanyarray(value).dtype.kind in "fiu")


def finite_points(model: str, data: Any, given: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Data and coordinates of one shape, copies; flat where some points had to go."""
    values = _array(data)
    try:
        coords = {name: np.broadcast_to(_array(value), values.shape) for name, value in given.items()}
    except ValueError as err:
        shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in given.items())
        msg = f"data has shape {values.shape}, but the coordinates are {shapes}; give arrays that broadcast to the data's shape"
        raise ShapeError(msg) from err
    used = np.isfinite(values) & np.all([np.isfinite(array) for array in coords.values()], axis=0)
    if used.all():
        return values.copy(), {name: array.copy() for name, array in coords.items()}
    if not used.any():
        msg = f"guess() of {model}: none of the {values.size} data points is finite"
        raise TooFewPointsError(msg)
    return values[used], {name: array[used] for name, array in coords.items()}


def _array(value: Any) -> np.ndarray:
    array: np.ndarray = np.ma.filled(np.ma.asarray(value).astype(float), np.nan)
    return array


def unstarted(model: lmfit.Model, starts: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Parameters of lmfit's own models that stand at the default of their function, which nobody chose, where a guess is known.

    Parameters
    ----------
    model : lmfit.Model
    starts : mapping
        What was given by name.
    """
    found: list[str] = []
    for leaf in leaves(model):
        inner = getattr(leaf, "wrapped", leaf)
        if type(inner).__module__ == "lmfit.models" and type(inner).guess is not lmfit.Model.guess:
            hinted = {leaf.prefix + root for root, hint in leaf.param_hints.items() if "value" in hint}
            found += [name for name in leaf.param_names if name not in starts and name not in hinted]
    return tuple(found)
