"""A SurfaceModel and its Parameters from whatever describes them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from ..exceptions import ParameterError

__all__ = ["as_model", "as_params"]


def as_model(model: Any, variables: Iterable[str]) -> Any:
    """
    A SurfaceModel from whatever describes one.

    Parameters
    ----------
    model : SurfaceModel, lmfit.Model or callable
        A plain function's arguments that are not in `variables` become parameters.
    variables : iterable of str
        Names of the independent variables.

    Returns
    -------
    SurfaceModel

    Raises
    ------
    ParameterError
        If it is none of these, or has no such arguments.
    """
    # here, because lmfit is heavy and models are built on this
    import lmfit

    from .model import SurfaceModel

    if isinstance(model, lmfit.Model):
        return SurfaceModel.from_lmfit(model)
    if not callable(model):
        hint = " (formulas: SurfaceModel.from_expression; names: get_model)" if isinstance(model, str) else ""
        msg = f"model is {model!r}; give a SurfaceModel, an lmfit model or a function{hint}"
        raise ParameterError(msg)
    arguments = list(inspect.signature(model).parameters)
    unknown = [name for name in variables if name not in arguments]
    if unknown:
        name = getattr(model, "__name__", "the function")
        msg = f"{name} has no argument {', '.join(map(repr, unknown))}; its arguments are {', '.join(arguments)}"
        raise ParameterError(msg, unknown=unknown)
    return SurfaceModel(model, independent_vars=[name for name in arguments if name in set(variables)])


def as_params(model: Any, params: Any) -> Any:
    """lmfit's Parameters, also from a plain mapping of names to starts."""
    import lmfit

    if params is None or isinstance(params, lmfit.Parameters):
        return params
    known = model.make_params()
    unknown = [name for name in params if name not in known]
    if unknown:
        close = get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its parameters are {', '.join(known)}"
        msg = f"params has {unknown[0]!r}, which the model hasn't; {hint}"
        raise ParameterError(msg, unknown=unknown)
    for name, value in params.items():
        known[name].set(**(value if isinstance(value, Mapping) else {"value": value}))
    return known
