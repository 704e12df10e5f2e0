"""From a fit to its document."""

from __future__ import annotations

import hashlib
from numbers import Integral

from surffit._version import __version__
from surffit.exceptions import DocumentError
from surffit.io.checks import FLAGS, MOST_PARAMETERS, SCHEMA, STATS, WHOLE, WORDS, check_expression, check_name, clean, in_order, is_plain
from surffit.io.files import number
from surffit.io.models import model_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["document", "model_of", "numbers_of", "sigma_of"]


def document(thing: Any) -> dict[str, Any]:
    """
    A fit or a model as plain dicts, lists, strings and numbers.

    Parameters
    ----------
    thing : SurfaceResult, lmfit.model.ModelResult, SurfaceModel or lmfit.Model
        A fit, or a model (see `surffit.io.models.model_document`).

    Returns
    -------
    dict
        Of a fit:
        ``schema``, ``surffit`` (version), ``model``, ``params``, ``chisqr``, ``redchi``, ``covar``, ``covar_source`` and ``stats``,
        ready for strict JSON: nan is None, infinities are "inf" and "-inf". Of coefficients in another basis than that of the fit
        (`SurfaceResult.to_basis`) also ``mapped``, with that ``basis`` and the document of the ``fit``.

    Raises
    ------
    DocumentError
        If a constraint or name could not be read back.

    Notes
    -----
    The model stands in it as its graph, where the function could be traced; else by its registered name; else not at all
    (None). Parameters' ``user_data`` and ``brute_step`` are not kept.
    """
    import numpy as np
    from lmfit import Model

    with np.errstate(all="ignore"):  # constraints are evaluated on the way
        if isinstance(thing, Model):
            return model_document(thing)
        if isinstance(getattr(thing, "model", None), Model) and hasattr(thing.model, "parts"):
            from surffit.io.joints import joint_document

            return joint_document(thing)
        content = {"schema": SCHEMA, "surffit": __version__, "model": model_of(thing), **numbers_of(thing)}
        source = getattr(thing, "__dict__", {}).get("_fitted_in")
        if source is not None:
            content["mapped"] = {"basis": thing._mapped, "fit": document(source)}
        return content


def numbers_of(result: Any) -> dict[str, Any]:
    """The entries that every fit's document has, whatever its model."""
    names = tuple(result.params)
    if len(names) > MOST_PARAMETERS:
        msg = f"a fit of {len(names)} parameters can't be kept in a document, which holds at most {MOST_PARAMETERS}"
        raise DocumentError(msg)
    for name, par in result.params.items():
        check_name(name, DocumentError)
        if par.expr is not None:
            check_expression(name, par.expr, names, DocumentError)
    in_order({name: par.expr for name, par in result.params.items() if par.expr is not None}, DocumentError)  # for its complaints
    return {
        "params": {
            name: {
                "value": number(par.value),
                "stderr": number(par.stderr),
                "vary": bool(par.vary),
                "min": number(par.min),
                "max": number(par.max),
                "expr": par.expr,
                "init_value": number(par.init_value),
            }
            for name, par in result.params.items()
        },
        "chisqr": number(result.chisqr),
        "redchi": number(result.redchi),
        "covar": _covar_document(result),
        "covar_source": getattr(result, "covar_source", "none" if result.covar is None else "jacobian"),
        "stats": _stats(result),
    }


def model_of(result: Any) -> dict[str, Any] | None:
    """The model as its graph, by registered names, or None."""
    from surffit.core.structure import leaves
    from surffit.registry import registered_as
    from surffit.trace.document import to_document

    graph, variables = _portable_graph(result)
    if graph is not None:
        # without lmfit's frame, which the rebuilt model puts around it again
        name = clean(str(result.model.name), 500).removeprefix("Model(").removesuffix(")")
        return {"kind": "graph", "name": name, "independent_vars": variables, "graph": to_document(graph)}
    known = registered_as(result.model)
    if known is not None and is_plain(known[1]) and not hasattr(result.model, "document_options"):
        return {"kind": "registered", "name": known[0], "options": dict(known[1])}
    if any(hasattr(leaf, "document_options") for leaf in leaves(result.model)):
        # functions without a graph of their own (splines): the registry makes them again
        try:
            return {"kind": "tree", "model": model_document(result.model)["model"]}
        except DocumentError:
            return None
    return None


def _portable_graph(result: Any) -> tuple[Any, list[str]]:
    """
    The graph of the model's function as it was fitted, and its variables; (None, []) where there is none that can travel.

    Constraints stay out of it, since the parameters carry them; options of the function that are no arrays are part of it, with
    the values they had in the fit.
    """
    observed = getattr(result, "observed", None)
    if observed is None:  # a loaded fit, whose model came from a graph, or one of lmfit's own
        graph = getattr(result.model, "graph", None)
        return (graph, list(result.model.independent_vars)) if graph is not None and graph.portable else (None, [])
    import numpy as np

    from surffit.core.structure import same, trace_model
    from surffit.trace.function import GraphFunction

    variables = [name for name in result.model.independent_vars if name in observed.names]
    free = {name: _Free() for name in result.params}
    try:
        graph = trace_model(result.model, free, observed.coords, tuple(variables), concrete=False).graph
    except Exception:  # noqa: BLE001 -- a user's function may raise anything when it is handed symbols; then it can't travel
        return None, []
    if not graph.portable:
        return None, []
    values = {name: result.params[name].value for name in graph.parameters}
    with np.errstate(all="ignore"):
        walked = GraphFunction(graph, independent_vars=variables)(**{name: observed.coords[name] for name in variables}, **values)
    # what would answer otherwise than the function did (it looks at more than its arguments) must not travel in its place
    return (graph, variables) if same(walked, result.best_fit) else (None, [])


class _Free:
    """A parameter without a constraint, as tracing sees it."""

    expr = None


def _covar_document(result: Any) -> dict[str, Any] | None:
    """Names and rows of the covariance."""
    if result.covar is None:
        return None
    return {"names": list(result.var_names), "values": [[number(value) for value in row] for row in result.covar]}


def _stats(result: Any) -> dict[str, Any]:
    """Counts, sums, words and flags; a digest says which data they belong to."""

    stats: dict[str, Any] = {}
    for name in STATS:
        value = getattr(result, name, None)
        if value is None:
            stats[name] = None
        elif name in WORDS:
            stats[name] = clean(str(value))
        elif name in FLAGS:
            stats[name] = bool(value)
        elif isinstance(value, Integral):
            stats[name] = int(value)
        elif name in WHOLE:
            whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
            # priors leave a freedom that is no whole number
            stats[name] = int(value) if whole else number(value) if name == "nfree" else None
        else:
            stats[name] = number(value)
    status = getattr(result, "status", None)
    stats["status"] = list(getattr(status, "names", ()))
    # a loaded fit has no conditioning any more, but the two lists of names that its file had
    found = getattr(result, "conditioning", None) or result
    for name in ("linear", "at_bound"):
        stats[name] = list(getattr(found, name, ()))
    stats["explain"] = clean(result.explain()) if hasattr(result, "explain") else ""
    stats["data_sha256"] = _digest(result)
    return stats | sigma_of(result) | _part(result) | _cost(result)


def sigma_of(result: Any) -> dict[str, Any]:
    """The typical error of the data, from which new points scatter; null if they had none."""
    from surffit.core.new_points import UNSAID, typical_sigma

    sigma = typical_sigma(result)
    return {} if sigma == UNSAID else {"typical_sigma": number(sigma)}


def _part(result: Any) -> dict[str, Any]:
    """Of one data set's share of a joint fit: the joint fit's freedom and scatter, from which its errors come."""
    if not hasattr(result, "joint_names"):
        return {}
    names = {own: joint for own, joint in result.joint_names.items() if own in result.params}
    return {"part": {"key": result.key, "names": names, "nfree": number(result._joint_nfree), "redchi": number(result._joint_redchi)}}


def _cost(result: Any) -> dict[str, Any]:
    """A loss and priors in words, and what the bands need of them."""
    from surffit.core.costnames import loss_name, prior_names

    found: dict[str, Any] = {
        "loss": loss_name(result),
        "priors": {clean(name, 1000): clean(words, 1000) for name, words in prior_names(result).items()},
        "covar_notes": [clean(str(note)) for note in getattr(result, "covar_notes", None) or ()],
    }
    scatter = result.__dict__.get("_scatter")
    found["scatter"] = scatter if isinstance(scatter, str) else number(scatter)
    if found["loss"] is not None:
        found["loss"] = clean(found["loss"], 200)
    return {name: value for name, value in found.items() if value not in (None, {}, [])}


def _digest(result: Any) -> str | None:
    """SHA-256 of the data and coordinates as little-endian doubles, in the order of the model's variables."""
    observed = getattr(result, "observed", None)
    if observed is None or observed.data is None:
        return getattr(result, "data_sha256", None)  # a loaded fit keeps what its file said
    digest = hashlib.sha256()
    if hasattr(observed, "parts"):
        for key, part in observed.parts.items():
            digest.update(f"{key} {_digest_of(part)}".encode())
        return digest.hexdigest()
    return _digest_of(observed)


def _digest_of(observed: Any) -> str:
    import numpy as np

    digest = hashlib.sha256()
    for values in (observed.data, *(observed.coords[name] for name in observed.names)):
        array = np.ascontiguousarray(values)
        kind = "<c16" if np.iscomplexobj(array) else "<f8"
        digest.update(repr(array.shape).encode())
        digest.update(array.astype(kind).tobytes())
    return digest.hexdigest()
