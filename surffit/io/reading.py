"""From a document to the fit: every entry is checked against what the writer writes, then given to the constructors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from surffit.exceptions import DocumentError, UnsafeFileError
from surffit.io.checks import KEYS, LISTS, MODEL_KEYS, PARAM_KEYS, STATS, TEXTS, check_expression, check_name, is_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["read_result"]


def read_result(content: Mapping[str, Any], model: Any = None) -> Any:
    """
    Rebuild a fit from its document.

    Parameters
    ----------
    content : mapping
        As `document` makes it.
    model : SurfaceModel or lmfit.Model, optional
        The model to use in place of the document's.

    Returns
    -------
    SurfaceResult

    Raises
    ------
    UnsafeFileError
        If an entry isn't such as `document` writes.
    DocumentError
        If `model` has other parameters than the document.
    """
    from surffit.core.restore import restore  # core stands on lmfit, whose import costs a second

    _exactly(content, KEYS, "the document")
    params = _read_params(content["params"])
    covar, covar_names = _read_covar(content["covar"], params)
    stats = _read_stats(content["stats"])
    stats |= {name: _real(content[name], name) for name in ("chisqr", "redchi")}
    stats["covar_source"] = _text(content["covar_source"], "covar_source")
    built = _read_model(content["model"]) if model is None else _given_model(model, params)
    return restore(built, params, covar=covar, covar_names=covar_names, stats=stats)


def _exactly(content: Any, keys: set[str], where: str) -> None:
    """Exactly these keys, in a dict."""
    if not isinstance(content, Mapping) or set(content) != keys:
        if isinstance(content, Mapping):
            odd = sorted(map(repr, set(content) ^ keys))[:5]
            found = f"{'unexpected or missing entries'} {', '.join(odd)[:200]}"
        else:
            found = f"{type(content).__name__} where an object belongs"
        msg = f"{where} has {found}; surffit never writes that"
        raise UnsafeFileError(msg)


def _real(value: Any, where: str) -> float:
    """A number of a document."""
    if value is None:
        return math.nan
    if value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{where} is {str(value)[:60]!r}, where a number, null, 'inf' or '-inf' belongs"
        raise UnsafeFileError(msg)
    return float(value)


def _text(value: Any, where: str) -> str:
    """A short text of a document."""
    if not isinstance(value, str) or len(value) > 100_000:
        msg = f"{where} is {str(value)[:60]!r}, where a short text belongs"
        raise UnsafeFileError(msg)
    return value


def _read_params(content: Any) -> Any:
    """lmfit's Parameters, built by their constructors."""
    import lmfit

    if not isinstance(content, Mapping):
        msg = "the document's params are no object; surffit never writes that"
        raise UnsafeFileError(msg)
    params = lmfit.Parameters()
    for name, entry in content.items():
        check_name(name, UnsafeFileError)
        _exactly(entry, PARAM_KEYS, f"parameter {name}")
        if not isinstance(entry["vary"], bool):
            msg = f"parameter {name} has vary = {str(entry['vary'])[:40]!r}, where true or false belongs"
            raise UnsafeFileError(msg)
        low, high = (_real(entry[side], f"{side} of {name}") for side in ("min", "max"))
        value = _real(entry["value"], f"value of {name}")
        # lmfit would swap or clip without a word
        if not low < high or value < low or value > high:
            msg = f"parameter {name} has the value {value} with min {low} and max {high}; surffit never writes that"
            raise UnsafeFileError(msg)
        params.add(lmfit.Parameter(name, value=value, vary=entry["vary"], min=low, max=high))
    _read_constraints({name: entry["expr"] for name, entry in content.items() if entry["expr"] is not None}, params)
    for name, entry in content.items():
        params[name].init_value = _real(entry["init_value"], f"init_value of {name}")
        params[name].stderr = _real(entry["stderr"], f"stderr of {name}")
    return params


def _read_constraints(content: Mapping[str, Any], params: Any) -> None:
    """Constraints into the Parameters (in place), if they are on the whitelist and don't refer to each other in a circle."""
    from surffit.trace.expression import names

    needs = {name: set(names(check_expression(name, text, params, UnsafeFileError))) & set(content) for name, text in content.items()}
    while needs:
        ready = [name for name, others in needs.items() if not others & set(needs)]
        if not ready:
            msg = f"the constraints of {', '.join(needs)} refer to each other in a circle"
            raise UnsafeFileError(msg, names=tuple(needs))
        for name in ready:
            del needs[name]
            try:
                params[name].set(expr=_floats(content[name]))
                params[name].value  # noqa: B018 -- lmfit evaluates here
            except (ArithmeticError, NotImplementedError, RuntimeError, TypeError, ValueError) as err:
                msg = f"the constraint of {name}, {content[name]!r}, can't be evaluated: {err}"
                raise UnsafeFileError(msg, name=name, expr=content[name]) from err


def _floats(text: str) -> str:
    """
    The expression with float constants, where whole numbers could be raised to a power.

    lmfit evaluates constraints with Python's integers, and ``9**9999**9999`` of integers never ends. Floats overflow at once.
    """
    import ast

    if "**" not in text:
        return text
    tree = ast.parse(text.strip(), mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            node.value = float(node.value)
    return ast.unparse(tree)


def _read_covar(content: Any, params: Any) -> tuple[Any, list[str]]:
    """Covariance matrix (k, k) or None, and the names of its rows."""
    import numpy as np

    if content is None:
        return None, []
    _exactly(content, {"names", "values"}, "the covariance")
    names, rows = content["names"], content["values"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name in params for name in names) or len(set(names)) != len(names):
        msg = "the covariance names other parameters than the document has"
        raise UnsafeFileError(msg)
    if not isinstance(rows, list) or len(rows) != len(names) or any(not isinstance(row, list) or len(row) != len(names) for row in rows):
        msg = f"the covariance is not a {len(names)} x {len(names)} matrix"
        raise UnsafeFileError(msg)
    values = [[_real(value, "the covariance") for value in row] for row in rows]
    return np.array(values, dtype=float).reshape(len(names), len(names)), names


def _read_stats(content: Any) -> dict[str, Any]:
    """Statistics: numbers, words, switches, and lists of words."""
    _exactly(content, {*STATS, *LISTS, *TEXTS}, "stats")
    stats: dict[str, Any] = {}
    for name, value in content.items():
        if name in LISTS:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                msg = f"stats has {name} = {str(value)[:60]!r}, where a list of names belongs"
                raise UnsafeFileError(msg)
            stats[name] = _read_status(value) if name == "status" else tuple(value)
        elif value is None or isinstance(value, bool):
            stats[name] = value
        elif name in ("method", "message", "reason", *TEXTS):
            stats[name] = _text(value, name)
        else:
            real = _real(value, name)
            stats[name] = int(real) if name in ("ndata", "nvarys", "nfree", "nfev", "solver_status") and math.isfinite(real) else real
    return stats


def _read_status(names: list[str]) -> Any:
    """Named flags as the one flag type."""
    from surffit.solve.status import Status

    status = Status(0)
    for name in names:
        if name not in Status.__members__:
            msg = f"stats has the unknown status {name[:60]!r}"
            raise UnsafeFileError(msg)
        status |= Status[name]
    return status


def _read_model(content: Any) -> Any:
    """The model of a document: from its graph, by its name through the registry, or None."""
    if content is None:
        return None
    kind = content.get("kind") if isinstance(content, Mapping) else None
    if not isinstance(kind, str) or kind not in MODEL_KEYS:
        msg = f"the document's model is of the kind {str(kind)[:40]!r}; surffit writes 'graph', 'registered' or null"
        raise UnsafeFileError(msg)
    _exactly(content, MODEL_KEYS[kind], "the model")
    name = _text(content["name"], "the model's name")
    if kind == "registered":
        from surffit.registry import get_model

        if not isinstance(content["options"], dict) or not is_plain(content["options"]):
            msg = "the model's options are not plain numbers and texts"
            raise UnsafeFileError(msg)
        return get_model(name, **content["options"])
    from surffit.core.model import SurfaceModel
    from surffit.trace.document import from_document
    from surffit.trace.function import GraphFunction

    variables = content["independent_vars"]
    if not isinstance(variables, list):
        msg = "the model's independent_vars are no list"
        raise UnsafeFileError(msg)
    for variable in variables:
        check_name(variable, UnsafeFileError)
    graph = from_document(content["graph"])
    unknown = [coordinate for coordinate in graph.coordinates if coordinate not in variables]
    if unknown or len(set(variables)) != len(variables):
        msg = f"the model's independent_vars {variables} are not those of its graph, {', '.join(graph.coordinates)}"
        raise UnsafeFileError(msg)
    return SurfaceModel(GraphFunction(graph, independent_vars=variables), independent_vars=variables, name=name)


def _given_model(model: Any, params: Any) -> Any:
    """The caller's model, if its parameters are the document's."""
    from surffit.core.model import SurfaceModel

    model = SurfaceModel.from_lmfit(model)
    missing = [name for name in model.param_names if name not in params]
    if missing:
        msg = f"the model given has the parameter {missing[0]!r}, which the document hasn't (it has {', '.join(params)})"
        raise DocumentError(msg, missing=missing)
    return model
