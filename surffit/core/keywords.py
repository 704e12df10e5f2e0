"""The keywords of one call of `fit`: coordinates, options of the function, starts, or errors of the data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import lmfit
import numpy as np

from ..exceptions import ParameterError
from .structure import leaves

ERRORS = ("sigma", "var", "ivar")


def errors_or_starts(model: lmfit.Model, errors: dict[str, Any], data: Any) -> dict[str, Any]:
    """Tell the data error from the start of a parameter that has the same name (changes `errors`)."""
    starts: dict[str, Any] = {}
    for name in ERRORS:
        value = errors[name]
        if value is None or name not in model.param_names:
            continue
        scalar = isinstance(value, lmfit.Parameter | dict) or (np.ndim(value) == 0 and np.isreal(value))
        if scalar and name == "sigma":
            starts[name] = value
            errors[name] = None
        elif scalar or np.shape(value) != np.shape(data):
            shape = np.shape(data)
            msg = (
                f"{name} is also a parameter of {model.name}: pass its start as a number in params (model.make_params({name}=...)), "
                f"and the data error as an array of the data's shape {shape}, here {np.shape(value)}"
            )
            raise ParameterError(msg, name=name)
    return starts


def sort_keywords(
    model: lmfit.Model, kwargs: dict[str, Any], coords: Mapping[str, Any] | None, params: lmfit.Parameters
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords become coordinates and options, or starts."""
    known: dict[str, Any] = {}
    starts: dict[str, Any] = {}
    takes_any = any(leaf._func_haskeywords for leaf in leaves(model))
    options = {name for leaf in leaves(model) for name in leaf._func_allargs}
    for name, value in kwargs.items():
        if name in model.param_names or (name in params and name not in model.independent_vars):
            starts[name] = value
        elif name in model.independent_vars or name in options or takes_any:
            known[name] = value
        else:
            expected = [*model.independent_vars, *model.param_names]
            close = get_close_matches(name, [*expected, "weights", "sigma", "mask", "method"], n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(expected)}"
            msg = f"{name!r} is neither a coordinate nor a parameter of {model.name}; {hint}"
            raise ParameterError(msg, name=name)
    for name, value in (coords or {}).items():
        if name not in model.independent_vars:
            msg = f"coords names {name!r}, but the coordinates of {model.name} are {', '.join(model.independent_vars)}"
            raise ParameterError(msg, name=name)
        if name in known:
            msg = f"coordinate {name!r} was given twice, as a keyword and in coords"
            raise ParameterError(msg, name=name)
        known[name] = value
    missing = [v for v in model.independent_vars if v not in known and v not in params and not has_option(model, v)]
    if missing:
        msg = f"coordinate{'s' if len(missing) > 1 else ''} {', '.join(missing)} of {model.name} missing; pass fit(data, {missing[0]}=...)"
        raise ParameterError(msg, names=tuple(missing))
    return known, starts


def has_option(model: lmfit.Model, name: str) -> bool:
    """Whether an independent variable has a value without being given one: an option or a default."""
    for leaf in leaves(model):
        if name in leaf.opts or leaf.independent_vars_defvals.get(name, inspect.Parameter.empty) is not inspect.Parameter.empty:
            return True
    return False
