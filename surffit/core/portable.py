"""What of a model can travel without its code: the graph of its function, checked against the function itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import lmfit
import numpy as np

from ..exceptions import DocumentError, TraceError
from ..trace.function import GraphFunction
from ..trace.graph import Builder, trace_call
from .keywords import has_option
from .structure import Argument, Arguments, call, own_eval, plain, same

__all__ = ["leaf_graph", "overridden"]

# what a class may do besides its function; a document can't carry any of it
WAYS = ("eval", "fit", "make_params", "make_funcargs", "post_fit", "_residual", "columns", "derivatives", "eval_components")


def leaf_graph(model: lmfit.Model) -> tuple[Any, list[str]]:
    """
    The graph of one model's function, and its coordinates.

    Parameters
    ----------
    model : lmfit.Model
        No composite. Options and defaults that are no numbers become part of the graph, with the values they have.

    Returns
    -------
    graph : Graph
        Its parameters are the function's, without the prefix, in the model's order.
    variables : list of str
        The independent variables that have no value of their own.

    Raises
    ------
    DocumentError
        If there is no such graph: the sentence says why.
    """
    builder = Builder()
    variables = [name for name in model.independent_vars if not has_option(model, name)]
    arguments = Arguments((model.prefix + name, Argument(builder.parameter(name))) for name in model._param_root_names or ())
    try:
        if own_eval(model):
            msg = f"{type(getattr(model, 'wrapped', model)).__name__} evaluates itself"
            raise TraceError(msg)
        given = {name: builder.coordinate(name) for name in variables}
        node = call(model, arguments, given, lambda func, kwargs: trace_call(builder, func, kwargs))
        graph = builder.graph(node)
    except Exception as err:  # a user's function may raise anything when it is handed symbols
        raise _cannot(model, f"its function can't be recorded as a graph ({err})") from err
    arrays = [payload.shape for op, _, payload in graph.rows if op == "array"]
    if arrays:
        raise _cannot(model, f"its function holds an array of shape {arrays[0]}")
    _confirm(model, graph, variables)
    return graph, variables


def _cannot(model: lmfit.Model, why: str) -> DocumentError:
    msg = (
        f"the model {model._name!r} can't be kept in a document, since {why}; register its class under the entry-point group "
        "'surffit.models', or save the fit's result and load it with model="
    )
    return DocumentError(msg, model=model._name, why=why)


def _confirm(model: lmfit.Model, graph: Any, variables: list[str]) -> None:
    """
    Compare graph and function at a few points: what hides something from the recorder must not travel.

    The points are drawn anew each time from a fixed seed, so that one answer is given always.
    """
    walk = GraphFunction(graph, independent_vars=variables)
    failed: Exception | None = None
    seen = False
    for values, coords in _trials(model, variables):
        arguments = Arguments((model.prefix + name, Argument(value)) for name, value in values.items())
        with np.errstate(all="ignore"):
            try:
                answers = [call(model, arguments, coords, plain) for _ in range(2)]
            except Exception as err:  # noqa: BLE001 -- a user's function may raise anything on points it was not made for
                failed = err
                continue
            if not same(answers[0], answers[1]):
                raise _cannot(model, "its function answers the same question differently each time")
            walked = walk(**coords, **values)
        if not same(walked, answers[0]):
            raise _cannot(model, "its function looks at more than its arguments, so that the recorded graph answers differently")
        seen = True
    if not seen:
        raise _cannot(model, f"its function fails on trial coordinates ({type(failed).__name__}: {failed})") from failed


def _trials(model: lmfit.Model, variables: list[str]) -> Iterator[tuple[dict[str, float], dict[str, Any]]]:
    """Values and coordinates to try: those of the hints and defaults, positive ones, any."""
    rng = np.random.default_rng(20240607)
    names = list(model._param_root_names or ())
    hints = {name: model.param_hints.get(name, {}).get("value", model.def_vals.get(name)) for name in names}
    for shapes in ([(7,)] * len(variables), [(7,), (5, 1), *[(5, 7)] * len(variables)]):
        for low, high in ((0.5, 1.5), (-3.0, 3.0), (1.0, 100.0)):
            drawn = {name: float(rng.uniform(low, high)) for name in names}
            usual = {name: float(hint) for name, hint in hints.items() if isinstance(hint, int | float) and math.isfinite(hint)}
            coords = {name: np.sort(rng.uniform(low, high, shape)) for name, shape in zip(variables, shapes, strict=False)}
            yield drawn, coords
            if usual:
                yield drawn | usual, coords


def overridden(model: lmfit.Model) -> list[str]:
    """What the class of a leaf does in its own way, besides its function."""
    from .model import SurfaceModel
    from .wrapped import LmfitModel

    if isinstance(model, LmfitModel):
        own, base = type(model.wrapped), lmfit.Model
    else:
        own, base = type(model), SurfaceModel
    return [name for name in WAYS if getattr(own, name, None) is not getattr(base, name, None)]
