"""From a document to the fit: every entry is checked against what the writer writes, then given to the constructors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from surffit.exceptions import DocumentError, UnsafeFileError
from surffit.io.checks import (
    COST,
    EXTRA,
    FLAGS,
    KEYS,
    LISTS,
    MAPPED,
    MODEL_KEYS,
    MOST_PARAMETERS,
    NUMBERS,
    PARAM_KEYS,
    PART_KEYS,
    SCHEMA,
    STATS,
    TEXTS,
    WHOLE,
    check_expression,
    check_name,
    check_text,
    clean,
    exactly,
    floats,
    in_order,
    real,
    shown,
)  # fmt: skip
from surffit.io.models import read_graph, read_registered, read_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["check_complete", "read_numbers", "read_params", "read_part", "read_result"]


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

    mapped = "mapped" in content
    exactly(content, KEYS | ({"mapped"} if mapped else set()), "the document")
    params, covar, covar_names, stats = read_numbers(content)
    built = read_part(content["model"]) if model is None else _given_model(model, params)
    check_complete(built, params, "the fit")
    part = stats.pop("part", None)
    if part is None:
        result = restore(built, params, covar=covar, covar_names=covar_names, stats=stats)
    else:
        from surffit.core.joint_restore import restore_part

        result = restore_part(built, params, covar=covar, covar_names=covar_names, stats=stats, part=part)
    if mapped:
        _read_mapped(content["mapped"], result, given=model is not None)
    return result


def _read_mapped(content: Any, result: Any, *, given: bool) -> None:
    """The fit whose coefficients these are in another basis; it evaluates, unless the caller gives a model."""
    exactly(content, MAPPED, "what the fit was mapped from")
    source = content["fit"]
    exactly(source, KEYS, "the fit before its mapping")
    if source["schema"] != SCHEMA:
        msg = f"the fit before its mapping has the schema {shown(source['schema'])}; surffit never writes that"
        raise UnsafeFileError(msg)
    fit = read_result(source)
    result._mapped = check_text(content["basis"], "the basis", 100)
    if not given and source["model"] is not None:
        result._fitted_in = fit


def read_numbers(content: Mapping[str, Any]) -> tuple[Any, Any, list[str], dict[str, Any]]:
    """What every fit's document has: parameters, covariance (k, k) or None with its names, statistics."""
    check_text(content["surffit"], "the version", 100)
    params = read_params(content["params"])
    covar, covar_names = _read_covar(content["covar"], params)
    stats = _read_stats(content["stats"])
    stats |= {name: real(content[name], name) for name in ("chisqr", "redchi")}
    stats["covar_source"] = check_text(content["covar_source"], "covar_source")
    return params, covar, covar_names, stats


def read_params(content: Any) -> Any:
    """lmfit's Parameters, built by their constructors."""
    import lmfit

    if not isinstance(content, Mapping):
        msg = "the document's params are no object; surffit never writes that"
        raise UnsafeFileError(msg)
    if len(content) > MOST_PARAMETERS:
        msg = f"the document has {len(content)} parameters, where at most {MOST_PARAMETERS} are read"
        raise UnsafeFileError(msg)
    params = lmfit.Parameters()
    for name, entry in content.items():
        check_name(name, UnsafeFileError)
        exactly(entry, PARAM_KEYS, f"parameter {name}")
        if not isinstance(entry["vary"], bool):
            msg = f"parameter {name} has vary = {str(entry['vary'])[:40]!r}, where true or false belongs"
            raise UnsafeFileError(msg)
        low, high = (real(entry[side], f"{side} of {name}") for side in ("min", "max"))
        value = real(entry["value"], f"value of {name}")
        # lmfit would swap or clip without a word
        if not low < high or value < low or value > high:
            msg = f"parameter {name} has the value {value} with min {low} and max {high}; surffit never writes that"
            raise UnsafeFileError(msg)
        try:
            params.add(lmfit.Parameter(name, value=value, vary=entry["vary"], min=low, max=high))
        except ArithmeticError as err:  # lmfit squares the distance to the bounds
            msg = f"parameter {name} has the value {value} with min {low} and max {high}, which lmfit can't hold: {err}"
            raise UnsafeFileError(msg) from err
    _read_constraints({name: entry["expr"] for name, entry in content.items() if entry["expr"] is not None}, params)
    for name, entry in content.items():
        first = real(entry["init_value"], f"init_value of {name}")
        params[name].init_value = None if math.isnan(first) else first  # a tied parameter has no start
        params[name].stderr = real(entry["stderr"], f"stderr of {name}")
        if params[name].stderr < 0:
            msg = f"parameter {name} has the negative standard error {params[name].stderr}; surffit never writes that"
            raise UnsafeFileError(msg)
    return params


def _read_constraints(content: Mapping[str, Any], params: Any) -> None:
    """Constraints into the Parameters (in place), if they are on the whitelist and don't refer to each other in a circle."""
    import numpy as np

    for name, text in content.items():
        check_expression(name, text, params, UnsafeFileError)
    for name in in_order(content, UnsafeFileError):
        try:
            with np.errstate(all="ignore"):
                params[name].set(expr=floats(content[name]))
                float(params[name].value)  # lmfit evaluates here
        except Exception as err:  # asteval hands on whatever the arithmetic raised
            msg = f"the constraint of {name}, {content[name]!r}, can't be evaluated: {_reason(err)}"
            raise UnsafeFileError(msg, name=name, expr=content[name]) from err


def _reason(err: Exception) -> str:
    """What an evaluation complained of; some versions of asteval raise the bare kind of error and drop the words."""
    if said := " ".join(str(err).split()):
        return clean(said, 200)
    kinds = {ZeroDivisionError: "it divides by zero", RuntimeError: "it has a power that is too large", OverflowError: "it overflows"}
    return kinds.get(type(err), f"it raises {type(err).__name__}")


def _read_covar(content: Any, params: Any) -> tuple[Any, list[str]]:
    """Covariance matrix (k, k) or None, and the names of its rows."""
    import numpy as np

    if content is None:
        return None, []
    exactly(content, {"names", "values"}, "the covariance")
    names, rows = content["names"], content["values"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name in params for name in names) or len(set(names)) != len(names):
        msg = "the covariance names other parameters than the document has"
        raise UnsafeFileError(msg)
    if not isinstance(rows, list) or len(rows) != len(names) or any(not isinstance(row, list) or len(row) != len(names) for row in rows):
        msg = f"the covariance is not a {len(names)} x {len(names)} matrix"
        raise UnsafeFileError(msg)
    values = [[real(value, "the covariance") for value in row] for row in rows]
    matrix = np.array(values, dtype=float).reshape(len(names), len(names))
    size = np.sqrt(np.abs(matrix.diagonal()))
    with np.errstate(all="ignore"):
        lopsided = (np.abs(matrix - matrix.T) > 1e-6 * np.outer(size, size)).any()
    if (matrix.diagonal() < 0).any() or lopsided:
        msg = "the covariance has negative variances or is not symmetric; surffit never writes that"
        raise UnsafeFileError(msg)
    return matrix, names


def _read_stats(content: Any) -> dict[str, Any]:
    """Statistics: numbers, words, switches, and lists of words."""
    known = {*STATS, *LISTS, *TEXTS}
    exactly(content, known | (set(content) & {*COST, *EXTRA} if isinstance(content, Mapping) else set()), "stats")
    stats: dict[str, Any] = {}
    for name, value in content.items():
        if name in LISTS:
            if not isinstance(value, list) or len(value) > MOST_PARAMETERS or not all(isinstance(item, str) for item in value):
                msg = f"stats has {name} = {shown(value)}, where a list of names belongs"
                raise UnsafeFileError(msg)
            stats[name] = _read_status(value) if name == "status" else tuple(check_text(item, name, 200) for item in value)
        elif name == "typical_sigma":
            stats["_typical_sigma"] = read_sigma(value)
        elif name == "part":
            stats[name] = _read_joint_part(value)
        elif name in COST:
            stats |= _read_cost(name, value)
        elif value is None:
            stats[name] = math.nan if name == "nfree" else None
        elif name in FLAGS:
            if not isinstance(value, bool):
                msg = f"stats has {name} = {shown(value)}, where true, false or null belongs"
                raise UnsafeFileError(msg)
            stats[name] = value
        elif name in WHOLE:
            if type(value) is not int:
                msg = f"stats has {name} = {shown(value)}, where a whole number or null belongs"
                raise UnsafeFileError(msg)
            stats[name] = value
        elif name in NUMBERS:
            stats[name] = value if type(value) is int else real(value, name)
        else:
            stats[name] = check_text(value, name)
    return stats


def read_sigma(value: Any) -> float | None:
    """The typical error of the data; None if they had none."""
    sigma = None if value is None else real(value, "typical_sigma")
    if sigma is not None and not 0 <= sigma < math.inf:
        msg = f"typical_sigma is {sigma}, where the error of a data point belongs"
        raise UnsafeFileError(msg)
    return sigma


def _read_joint_part(content: Any) -> dict[str, Any]:
    """What a fit is part of: key, names in the joint fit, and that one's freedom and scatter."""
    exactly(content, PART_KEYS, "the part of a joint fit")
    check_name(content["key"], UnsafeFileError)
    names = content["names"]
    if not isinstance(names, Mapping) or not 0 < len(names) <= MOST_PARAMETERS:
        msg = f"the joint names of the part are {shown(names)}, where an object belongs"
        raise UnsafeFileError(msg)
    for own, joint in names.items():
        check_name(own, UnsafeFileError)
        check_name(joint, UnsafeFileError)
    numbers = {
        name: content[name] if type(content[name]) is int else real(content[name], f"the joint {name}") for name in ("nfree", "redchi")
    }
    return {"key": content["key"], "names": dict(names), **numbers}


def _read_cost(name: str, value: Any) -> dict[str, Any]:
    """What a fit with a loss or priors says of them, in words; the functions themselves are code and stay behind."""
    if name == "scatter" and value is not None:
        return {"_scatter": check_text(value, name, 20) if isinstance(value, str) and value not in ("inf", "-inf") else real(value, name)}
    if name == "covar_notes":
        if not isinstance(value, list) or len(value) > MOST_PARAMETERS:
            msg = f"stats has covar_notes = {shown(value)}, where a list of sentences belongs"
            raise UnsafeFileError(msg)
        return {name: tuple(check_text(item, name) for item in value)}
    if name in ("loss", "scatter"):
        return {name: check_text(value, name, 200)}
    if not isinstance(value, Mapping) or len(value) > MOST_PARAMETERS:
        msg = f"stats has priors = {shown(value)}, where an object with words for each parameter belongs"
        raise UnsafeFileError(msg)
    return {name: {check_text(of, "a prior's parameter", 1000): check_text(words, "a prior", 1000) for of, words in value.items()}}


def _read_status(names: list[str]) -> Any:
    """Named flags as the one flag type."""
    from surffit.solve.status import Status

    status = Status(0)
    for name in names:
        if name not in Status.__members__:
            msg = f"stats has the unknown status {shown(name)}"
            raise UnsafeFileError(msg)
        status |= Status[name]
    return status


def check_complete(model: Any, names: Any, where: str) -> None:
    """Refuse numbers that lack a parameter of their model, which could never be evaluated."""
    missing = [name for name in getattr(model, "param_names", ()) if name not in names]
    if missing:
        msg = f"the model of {where} has the parameter {missing[0]!r}, for which the document has no value; surffit never writes that"
        raise UnsafeFileError(msg, missing=missing)


def read_part(content: Any) -> Any:
    """The model of a document: from its graph, by its name through the registry, or None."""
    if content is None:
        return None
    kind = content.get("kind") if isinstance(content, Mapping) else None
    if not isinstance(kind, str) or kind not in MODEL_KEYS:
        msg = f"the document's model is of the kind {shown(kind)}; surffit writes 'graph', 'registered', 'tree' or null"
        raise UnsafeFileError(msg)
    exactly(content, MODEL_KEYS[kind], "the model")
    if kind == "registered":
        return read_registered(content)
    if kind == "tree":
        return read_tree(content["model"])
    return read_graph({**content, "function": content["name"], "prefix": "", "defaults": {}})


def _given_model(model: Any, params: Any) -> Any:
    """The caller's model, if its parameters are the document's."""
    from surffit.core.model import SurfaceModel

    model = SurfaceModel.from_lmfit(model)
    missing = [name for name in model.param_names if name not in params]
    if missing:
        msg = f"the model given has the parameter {missing[0]!r}, which the document hasn't (it has {', '.join(params)})"
        raise DocumentError(msg, missing=missing)
    return model
