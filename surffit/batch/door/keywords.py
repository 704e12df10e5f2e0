"""The keywords of one call: which are coordinates, which are options of the model, which are starts; and what else may be mistaken."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from ...core.asmodel import as_model
from ...core.containers import is_array_like, is_dataarray
from ...core.keywords import has_option
from ...core.structure import leaves
from ...exceptions import DataError, ParameterError
from ..task import CLIPS, STARTS, Options
from .clothes import Clothes

__all__ = ["as_batch_model", "check_options", "sort_variables", "together"]

WORDS = (
    "axis", "dim", "params", "sigma", "weights", "mask", "nan_policy", "scale_covar", "clip", "clip_all", "nsigma", "maxiters", "start",
    "covar", "engine", "workers", "block", "max_nfev", "ftol", "xtol", "gtol", "on_error", "rng", "progress", "coords",
)  # fmt: skip
POLICIES = ("flag", "omit", "raise")


def together(variables: Mapping[str, Any], coords: Any) -> dict[str, Any]:
    """Keywords and `coords` in one, none of them twice."""
    if coords is not None and not isinstance(coords, Mapping):
        msg = f"coords is a {type(coords).__name__}; give a dict of coordinates by name, such as coords={{'x': x}}"
        raise ParameterError(msg)
    both = [name for name in variables if name in (coords or {})]
    if both:
        msg = f"coordinate {both[0]!r} was given twice, as a keyword and in coords"
        raise ParameterError(msg, name=both[0])
    return {**variables, **(coords or {})}


def as_batch_model(model: Any, variables: Mapping[str, Any], data: Any, params: Any) -> Any:
    """
    A SurfaceModel from whatever describes one.

    Parameters
    ----------
    model : SurfaceModel, lmfit.Model, callable or str
        Of a function the arguments that are given as more than a number, and those that are called like a coordinate of a
        DataArray, are independent variables; the others are parameters, and a number for one without a default is its start.
    variables : mapping
        What was given by name.
    data : object
        The data as they came in.
    params : object
        As in `fit_many`; names in it are parameters.
    """
    if isinstance(model, str):
        from ...registry import get_model

        return get_model(model)
    if hasattr(model, "parts") and hasattr(model, "independent_vars"):
        msg = f"{model.name} joins several data sets to one fit; fit_many fits one model to each data set: pass a model of one"
        raise ParameterError(msg)
    if isinstance(model, type):
        msg = f"model is the class {model.__name__}; pass an instance: {model.__name__}()"
        raise ParameterError(msg)
    if not callable(model) or hasattr(model, "make_params"):
        return as_model(model, ())
    arguments = _arguments(model)
    name = getattr(model, "__name__", type(model).__name__)
    unknown = [v for v in variables if v not in arguments]
    if unknown:
        close = get_close_matches(unknown[0], [*arguments, *WORDS], n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its arguments are {', '.join(arguments)}"
        msg = f"{name} has no argument {unknown[0]!r}; {hint}"
        raise ParameterError(msg, unknown=unknown)
    named = set(getattr(data, "coords", ())) | set(data.dims) if is_dataarray(data) else set()
    taken = set(params) if isinstance(params, Mapping) else set()
    # a number for an argument without a default is a start, as with any model: what runs along the data has more than one
    optional = _optional(model)
    starts = {v for v, value in variables.items() if v not in optional and is_array_like(value) and np.ndim(value) == 0}
    found = [v for v in arguments if (v in variables and v not in starts) or (v in named and v not in taken)]
    if not found:
        msg = f"no coordinate of {name} was given; pass its independent variables by name, e.g. fit_many(..., {arguments[0]}=...)"
        if set(arguments) & set(WORDS):
            msg += " (in coords={...} where it is a keyword of fit_many)"
        raise ParameterError(msg)
    return as_model(model, found)


def _optional(function: Any) -> set[str]:
    """Arguments with a default: what is given for them is an option."""
    return {name for name, one in inspect.signature(function).parameters.items() if one.default is not one.empty}


def _arguments(function: Any) -> list[str]:
    try:
        arguments = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        arguments = []
    if not arguments:
        msg = f"{function!r} shows no arguments; pass a function such as f(x, a, b), or SurfaceModel(f, ['x'], param_names=['a', 'b'])"
        raise ParameterError(msg)
    return arguments


def sort_variables(model: Any, variables: Mapping[str, Any], data: Clothes) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """
    Part what was given by name into coordinates, options of the model, and starts.

    With a DataArray, independent variables that were not given are its coordinates of that name, and text names one.

    Raises
    ------
    ParameterError
        For names that nothing asks for, and coordinates that are missing.
    """
    coords: dict[str, Any] = {}
    opts: dict[str, Any] = {}
    starts: dict[str, Any] = {}
    own = {name for leaf in leaves(model) for name in leaf._func_allargs}
    takes_any = any(leaf._func_haskeywords for leaf in leaves(model))
    hinted = set(model.param_names) | set(model.param_hints)
    for name, value in variables.items():
        if name not in model.independent_vars and name in hinted:
            starts[name] = value
        elif name in model.independent_vars and isinstance(value, str) and data.dims is not None and _names_one(data, value):
            coords[name] = data.data[value]
        elif name in model.independent_vars or name in own or takes_any:
            if not is_array_like(value):
                _refuse_name(name, value, data)
                opts[name] = value
            elif np.ndim(value) == 0:
                opts[name] = _number(value)
            else:
                coords[name] = value
        else:
            raise _unknown(model, name)
    for name in model.independent_vars:
        if name not in variables and data.dims is not None and _names_one(data, name):
            coords[name] = data.data[name]
    lacking = [v for v in model.independent_vars if v not in coords and v not in opts and not has_option(model, v)]
    if lacking:
        raise _missing(model, lacking, data)
    order = [name for name in model.independent_vars if name in coords] + [name for name in coords if name not in model.independent_vars]
    return {name: coords[name] for name in order}, opts, starts


def _names_one(data: Clothes, name: str) -> bool:
    return name in data.data.coords or name in data.data.dims


def _refuse_name(name: str, value: Any, data: Clothes) -> None:
    """Text that should name a coordinate."""
    if isinstance(value, str) and data.dims is not None:
        known = [*data.dims, *(str(c) for c in data.data.coords if c not in data.dims)]
        close = get_close_matches(value, known, n=1)
        if close:
            msg = f"{name}={value!r} names no coordinate of the data; did you mean {close[0]!r}?"
            raise DataError(msg)


def _number(value: Any) -> Any:
    if hasattr(value, "unit") and hasattr(value, "to_value"):
        value = value.value
    return value if isinstance(value, int | float) else np.asarray(value).item()


def _unknown(model: Any, name: str) -> ParameterError:
    expected = [*model.independent_vars, *model.param_names]
    close = get_close_matches(name, [*expected, *WORDS], n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(expected)}"
    msg = f"{name!r} is neither a coordinate nor a parameter of {model.name}; {hint}"
    return ParameterError(msg, name=name)


def _missing(model: Any, lacking: list[str], data: Clothes) -> ParameterError:
    first = lacking[0]
    if first in WORDS:
        how = f"pass coords={{{first!r}: ...}}, since {first}= is a keyword of fit_many"
    elif data.dims is not None:
        known = [str(c) for c in dict.fromkeys([*data.dims, *data.data.coords])]
        how = f"pass {first}=..., as an array or by the name of one of the data's coordinates: {', '.join(known)}"
    else:
        how = f"pass fit_many(..., {first}=...)"
    what = "coordinate" if len(lacking) == 1 else "coordinates"
    msg = f"{what} {', '.join(lacking)} of {model.name} missing; {how}"
    return ParameterError(msg, names=tuple(lacking))


def refuse_ambiguous(model: Any, given: Mapping[str, Any]) -> None:
    """A single number for an error may be the start of a parameter of the same name."""
    for what, value in given.items():
        if value is not None and what in model.param_names and (np.ndim(value) == 0 or isinstance(value, Mapping)):
            other = f"weights={1.0 / value:g}" if what == "sigma" and isinstance(value, int | float) and value else "an array"
            msg = (
                f"{what}={value!r} may be the data error or the start of the parameter {what} of {model.name}; "
                f"pass params={{{what!r}: {value!r}}} for the start, {other} for the error"
            )
            raise ParameterError(msg, name=what)


def check_options(options: Options, nan_policy: str, on_error: str, has_error: bool) -> None:
    """
    Refuse words that mean nothing.

    Raises
    ------
    ParameterError
        With what is allowed.
    """
    choices: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
        ("nan_policy", nan_policy, POLICIES),
        ("on_error", on_error, ("flag", "raise")),
        ("clip", options.clip, CLIPS),
    )
    for word, value, allowed in choices:
        if (value is not None and not isinstance(value, str)) or value not in allowed:
            msg = f"{word}={value!r} is not available; use {' or '.join(map(repr, allowed))}"
            raise ParameterError(msg)
    if isinstance(options.start, str) and options.start not in STARTS:
        msg = f"start={options.start!r} is not available; use {' or '.join(map(repr, STARTS))}, or give starts in params"
        raise ParameterError(msg)
    if options.start is not None and not isinstance(options.start, str | Mapping):
        known = ", ".join(map(repr, STARTS))
        msg = f"start is a {type(options.start).__name__}; use one of {known} (a coordinate of this name goes into coords)"
        raise ParameterError(msg)
    for word, least in (("block", 1), ("max_nfev", 1), ("maxiters", 1), ("workers", 1)):
        value = getattr(options, word)
        if word == "workers" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            msg = f"{word}={value!r}; give a whole number from {least} on"
            raise ParameterError(msg)
    for word in ("nsigma", "ftol", "xtol", "gtol"):
        value = getattr(options, word)
        if not isinstance(value, int | float | np.number) or not value >= 0 or (word == "nsigma" and not value > 0):
            msg = f"{word}={value!r}; give a {'positive' if word == 'nsigma' else 'non-negative'} number"
            raise ParameterError(msg)
    if options.clip is None and options.clip_all:
        msg = "clip_all=True has no effect without clipping; add clip=True"
        raise ParameterError(msg)
    if options.clip == "known" and not has_error:
        msg = "clip='known' compares residuals with the given errors, but there are none; pass sigma= or weights=, or clip='studentized'"
        raise ParameterError(msg)
