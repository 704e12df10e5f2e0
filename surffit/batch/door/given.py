"""Parameters as they are given for many data sets: numbers for all, or maps of starts, fixed values and bounds."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.containers import is_dataarray, is_series
from ...core.guessing import unstarted
from ...core.parameters import check_parameters, complete, copy_parameters, untouched
from ...exceptions import ParameterError, ShapeError
from .beside import by_dims
from .clothes import Clothes

if TYPE_CHECKING:
    import lmfit

__all__ = ["Given", "open_params", "without_labels"]

ENDS = ("value", "min", "max")
KEYS = (*ENDS, "vary", "expr", "brute_step")


@dataclass(eq=False)
class Given:
    """
    Parameters of a batch.

    Attributes
    ----------
    params : lmfit.Parameters
        What all data sets share; where they differ, a typical start and the widest bounds.
    value, lower, upper : dict of str to float or ndarray, shape (n_sets,)
        By name, of all parameters without an expression; nan for starts that nobody gave.
    unchosen : tuple of str
        Parameters whose value is a default of somebody's function, which a guess may replace.
    """

    params: lmfit.Parameters
    value: dict[str, float | np.ndarray] = field(default_factory=dict)
    lower: dict[str, float | np.ndarray] = field(default_factory=dict)
    upper: dict[str, float | np.ndarray] = field(default_factory=dict)
    unchosen: tuple[str, ...] = ()


def without_labels(params: Any, data: Clothes) -> Any:
    """DataArrays and Series among the values as plain arrays in the order of the map's axes, checked by their labels."""
    if not isinstance(params, Mapping) or _is_parameters(params):
        if hasattr(params, "data_vars"):
            params = {str(name): params[name] for name in params.data_vars}
        else:
            return params
    return {name: _bare_entry(f"params[{name!r}]", entry, data) for name, entry in params.items()}


def _bare_entry(what: str, entry: Any, data: Clothes) -> Any:
    if isinstance(entry, Mapping):
        return {key: _bare(f"{what}[{key!r}]", value, data) for key, value in entry.items()}
    return _bare(what, entry, data)


def _bare(what: str, value: Any, data: Clothes) -> Any:
    if is_dataarray(value):
        if data.dims is None:
            return value.to_numpy()
        dims = tuple(data.dims[a] for a in data.map_axes)
        return by_dims(value, what, data.data, dims)
    if is_series(value):
        return value.to_numpy()
    return value


def open_params(model: Any, params: Any, starts: Mapping[str, Any], shape: tuple[int, ...]) -> Given:
    """
    Parameters of all data sets from what a user gives.

    Parameters
    ----------
    model : SurfaceModel
    params : lmfit.Parameters, mapping, BatchResult or None
        A mapping's values are numbers or maps (starts), lmfit Parameters, or dicts of value, min, max, vary, expr, of which the first
        three may be maps. Of a batch: its best values are the starts, with its bounds, fixed values and expressions.
    starts : mapping
        The same by keyword.
    shape : tuple of int
        Shape of the maps.

    Raises
    ------
    ParameterError
        For names that the model hasn't, bounds that exclude each other (with their number and the first place), and values that aren't
        numbers.
    ShapeError
        For maps of another shape.
    """
    maps: dict[str, dict[str, np.ndarray]] = {}
    if _is_batch(params):
        template, maps = _from_batch(params, shape)
        given = complete_for(model, template)
        chosen = set(given)
    elif _is_parameters(params):
        given = complete_for(model, params)
        chosen = set(given)
    elif params is None or isinstance(params, Mapping):
        given = complete_for(model, None)
        chosen = set(params or ())
        _enter(model, given, params or {}, maps, shape)
    else:
        msg = f"params is a {type(params).__name__}; give lmfit Parameters, a dict of starts by name, or an earlier batch"
        raise ParameterError(msg)
    _enter(model, given, starts, maps, shape)
    chosen |= set(starts)
    check_parameters(given)
    out = Given(given)
    for name, par in given.items():
        if par.expr:
            continue
        value = float(par._val)
        lower, upper = maps.get(name, {}).get("min", par.min), maps.get(name, {}).get("max", par.max)
        _refuse_crossed(name, lower, upper, shape)
        own: Any = maps.get(name, {}).get("value", value if np.isfinite(value) else np.nan)
        if isinstance(own, np.ndarray) or isinstance(lower, np.ndarray) or isinstance(upper, np.ndarray):
            if par.vary:  # lmfit moves a start into its bounds too
                own = np.clip(own, lower, upper)
                own = own if isinstance(own, np.ndarray) else float(own)
            if isinstance(own, np.ndarray):
                own[~np.isfinite(own)] = np.nan
        elif not par.vary and np.isnan(own):
            msg = f"parameter {name} is fixed but has no value; give it one, e.g. params={{{name!r}: {{'value': 1.0, 'vary': False}}}}"
            raise ParameterError(msg, name=name)
        out.value[name], out.lower[name], out.upper[name] = own, lower, upper
        _widen(par, own, lower, upper)
    out.unchosen = tuple(name for name in unstarted(model, dict.fromkeys(chosen)) if name in out.value)
    return out


def complete_for(model: Any, params: lmfit.Parameters | None) -> lmfit.Parameters:
    """A private copy with what the model still needs."""
    with untouched(model):
        return complete(model, params, False)


def _is_parameters(params: Any) -> bool:
    return hasattr(params, "valuesdict")


def _is_batch(params: Any) -> bool:
    return hasattr(params, "maps") and hasattr(params, "task")


def _from_batch(batch: Any, shape: tuple[int, ...]) -> tuple[lmfit.Parameters, dict[str, dict[str, np.ndarray]]]:
    """Where an earlier batch ended; where it failed, where it began."""
    task = batch.task
    if tuple(batch.shape) != shape:
        msg = f"params is a batch with maps of shape {tuple(batch.shape)}, but this one has {shape}; give starts as maps of that shape"
        raise ShapeError(msg)
    n = int(np.prod(shape))
    maps: dict[str, dict[str, np.ndarray]] = {}
    for name in (*task.free, *task.known):
        # one from a file has forgotten where its fits began
        ends = {"min": task.lower[name], "max": task.upper[name], "value": task.value.get(name, np.nan)}
        maps[name] = {end: np.array(number, dtype=float) for end, number in ends.items() if isinstance(number, np.ndarray)}
    for name, row in zip(task.free, batch.maps.values, strict=True):
        maps[name]["value"] = np.where(np.isfinite(row), row, np.broadcast_to(task.value.get(name, np.nan), (n,)))
    return copy_parameters(task.params), maps


def _enter(
    model: Any, params: lmfit.Parameters, given: Mapping[str, Any], maps: dict[str, dict[str, np.ndarray]], shape: tuple[int, ...]
) -> None:
    """Numbers into `params`, arrays into `maps`."""
    unknown = [name for name in given if name not in params]
    if unknown:
        close = get_close_matches(str(unknown[0]), params, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its parameters are {', '.join(params)}"
        msg = f"params has {unknown[0]!r}, which {model.name} hasn't; {hint}"
        raise ParameterError(msg, unknown=unknown)
    for name, entry in given.items():
        found = _entry(name, entry)
        arrays = {end: _map(f"params[{name!r}]", found.pop(end), shape) for end in ENDS if np.ndim(found.get(end, 0.0)) > 0}
        for end in ENDS:
            if found.get(end) is not None:
                found[end] = _number(name, end, found[end])
        if found.get("expr") is not None:
            _refuse_expression(name, found["expr"], params)
        if found.get("expr") and "value" in arrays:
            msg = f"params[{name!r}] has an expression and a map of values; give one of them"
            raise ParameterError(msg, name=name)
        if "value" in arrays:
            finite = arrays["value"][np.isfinite(arrays["value"])]
            found["value"] = float(np.median(finite)) if finite.size else 0.0
        bounds = {end: found.pop(end) for end in ("min", "max") if end in found}
        for end, bound in bounds.items():  # first, lest a start be clipped by bounds that are about to go
            setattr(params[name], end, (-np.inf if end == "min" else np.inf) if bound is None else bound)
        for end, bound in (("min", -np.inf), ("max", np.inf)):
            if end in arrays:
                setattr(params[name], end, bound)
        if found:
            params[name].set(**found)
        maps.setdefault(name, {}).update(arrays)


def _entry(name: str, entry: Any) -> dict[str, Any]:
    if hasattr(entry, "brute_step"):
        out = {"min": entry.min, "max": entry.max, "vary": entry.vary}
        return {**out, "expr": entry.expr} if entry.expr else {**out, "value": entry.value}
    if not isinstance(entry, Mapping):
        return {"value": entry}
    unknown = [key for key in entry if key not in KEYS]
    if unknown:
        close = get_close_matches(str(unknown[0]), KEYS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(KEYS)}"
        msg = f"params[{name!r}] has {unknown[0]!r}; {hint}"
        raise ParameterError(msg, name=name)
    if np.ndim(entry.get("vary", True)) > 0:
        msg = (
            f"params[{name!r}] varies in some data sets only; fit those with the parameter fixed in a batch of their own (vary is one bool)"
        )
        raise ParameterError(msg, name=name)
    return {key: value for key, value in entry.items() if value is not None or key in ("min", "max")}


def _refuse_expression(name: str, expr: Any, params: lmfit.Parameters) -> None:
    """What is no formula of the parameters and the functions that expressions know."""
    if isinstance(expr, str) and not expr.strip():
        return  # lmfit's way to take an expression away
    if not isinstance(expr, str):
        msg = f"params[{name!r}]: expr is {expr!r}; give text, one expression for all data sets, such as '2*a'"
        raise ParameterError(msg, name=name)
    try:
        tree = ast.parse(expr.strip(), mode="eval")
    except (SyntaxError, ValueError) as err:
        msg = f"params[{name!r}]: expr={expr!r} is no formula (syntax error); write it as in Python, such as '2*a'"
        raise ParameterError(msg, name=name, expr=expr) from err
    known = {*params, *params._asteval.symtable}
    local = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known | local:
            close = get_close_matches(node.id, params, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the parameters are {', '.join(params)}"
            msg = f"params[{name!r}]: expr has {node.id!r}, which is neither a parameter nor a function that expressions know; {hint}"
            raise ParameterError(msg, name=name, unknown=node.id)


def _number(name: str, end: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as err:
        remedy = "give a number, or an array with one per data set"
        if hasattr(value, "to_value"):
            remedy += "; parameters have no units, so take .to_value(unit) in those of the data and coordinates"
        msg = f"params[{name!r}]: {end} is {value!r}; {remedy}"
        raise ParameterError(msg, name=name) from err


def _map(what: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """One number per data set, in C order of the map."""
    if isinstance(value, np.ma.MaskedArray):
        value = np.ma.filled(value.astype(float), np.nan)
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as err:
        msg = f"{what} is {value!r}; give a number, or an array with one per data set"
        raise ParameterError(msg) from err
    try:
        return np.array(np.broadcast_to(array, shape)).reshape(-1)
    except ValueError as err:
        msg = f"{what} has shape {array.shape}, but the maps have {shape}; give one value per data set"
        raise ShapeError(msg, argument=what) from err


def _refuse_crossed(name: str, lower: Any, upper: Any, shape: tuple[int, ...]) -> None:
    """Bounds of single data sets that leave no room."""
    if not isinstance(lower, np.ndarray) and not isinstance(upper, np.ndarray):
        return
    low, high = np.broadcast_arrays(lower, upper)
    bad = ~(low < high)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        place = [int(i) for i in np.unravel_index(first, shape)]
        msg = (
            f"parameter {name} has bounds that leave no room in {bad.sum()} of {bad.size} data sets, the first at {place}: "
            f"min = {low[first]:g}, max = {high[first]:g}; min must be below max, and neither NaN"
        )
        raise ParameterError(msg, name=name, count=int(bad.sum()), first=tuple(place))


def _widen(par: lmfit.Parameter, value: Any, lower: Any, upper: Any) -> None:
    """What stands for all data sets where they differ."""
    if isinstance(lower, np.ndarray):
        par.min = float(lower.min(initial=np.inf))
    if isinstance(upper, np.ndarray):
        par.max = float(upper.max(initial=-np.inf))
    if isinstance(value, np.ndarray) and np.isfinite(value).any():
        par.value = float(np.median(value[np.isfinite(value)]))
