"""What a binding is, and what both ways of binding need: starts, bounds and shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import lmfit
import numpy as np

from ..exceptions import ParameterError, ShapeError
from ..solve.gram import LongMoments
from ..solve.problem import Problem
from .data import FitData, shape_mismatch
from .structure import Structure

# a start on a bound where the model can't begin is moved inside by this share of the smaller of width and scale
INSIDE = 1e-3


@dataclass(eq=False)
class Bound:
    """
    A model bound to data and parameters.

    Attributes
    ----------
    problem : Problem
    moments : LongMoments or None
        Sums over rows for long data.
    names : tuple of str
        Free parameters, non-linear first, then linear.
    nonlinear, linear : tuple of str
    unused : tuple of str
        Free parameters that the model can't feel at all.
    stepped : tuple of str
        Free parameters in which the model only jumps (comparisons, signs): no derivative leads anywhere.
    start : ndarray, shape (n,)
        nan for linear parameters without a start.
    structure : Structure or None
        The graph; None on the numeric route.
    derivatives : str
        "graph", "complex-step" or "differences".
    """

    problem: Problem
    moments: LongMoments | None
    names: tuple[str, ...]
    nonlinear: tuple[str, ...]
    linear: tuple[str, ...]
    unused: tuple[str, ...]
    stepped: tuple[str, ...]
    start: np.ndarray
    structure: Structure | None
    derivatives: str
    notes: list[str] = field(default_factory=list)


def free_names(params: lmfit.Parameters) -> tuple[str, ...]:
    """Parameters that a fit varies."""
    return tuple(name for name, par in params.items() if par.vary and not par.expr)


def probe_value(par: lmfit.Parameter) -> float:
    """A value to evaluate at: the start, or something ordinary where there is none."""
    value = par._val if par.expr else par.value
    if value is not None and math.isfinite(value):
        return float(value)
    low, high = par.min, par.max
    if np.isfinite(low) and np.isfinite(high):
        return 0.5 * (low + high)
    return low + 1.0 if np.isfinite(low) else high - 1.0 if np.isfinite(high) else 1.0


def starts_of(params: lmfit.Parameters, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, lower and upper bounds; nan for a start that was never set."""
    start = np.array([value_of(params[name]) for name in names], dtype=float)
    lower = np.array([params[name].min for name in names], dtype=float)
    upper = np.array([params[name].max for name in names], dtype=float)
    return start, lower, upper


def value_of(par: lmfit.Parameter) -> float:
    value = par.value
    return float(value) if value is not None and math.isfinite(value) else math.nan


def inside(start: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Starts that lie on a bound moved a little inside."""
    width = upper - lower
    scale = np.minimum(np.where(np.isfinite(width), width, np.inf), np.where(start != 0, np.abs(start), 1.0))
    out = np.where(start <= lower, lower + INSIDE * scale, start)
    return np.where(out >= upper, upper - INSIDE * scale, out)


def no_start(names: Sequence[str], model: lmfit.Model) -> ParameterError:
    listed = ", ".join(names)
    one = len(names) == 1
    msg = (
        f"parameter{'' if one else 's'} {listed} of {model.name} {'has' if one else 'have'} no start value and {'is' if one else 'are'} "
        f"not linear; give {'it' if one else 'them'} one, e.g. fit(..., {names[0]}=1.0)"
    )
    return ParameterError(msg, names=tuple(names))


def common_shape(data: FitData) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(np.shape(data.coords[name]) for name in data.names))
    except ValueError:
        return ()


def check_shape(model: lmfit.Model, data: FitData, out: Any) -> None:
    """Refuse values that would enlarge the data or don't fit them."""
    shape = np.shape(out)
    try:
        fits = np.broadcast_shapes(shape, data.shape) == data.shape
    except ValueError:
        fits = False
    if not fits and data.elementwise and common_shape(data) == data.shape:
        msg = f"the data have shape {data.shape}, but {model.name} returned values of shape {shape}; return one value per data point"
        raise ShapeError(msg, data_shape=data.shape, model_shape=shape)
    if not fits:
        raise shape_mismatch(data.shape, data.coords, data.names, shape)
