"""
Models as documents: what `model.save` writes and how it is read back.

A model is a tree. Its leaves are graphs or names of registered models; its branches are one of four operators. Both
directions stand here, side by side, because the writer proves its work by reading it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping

from surffit._version import __version__
from surffit.exceptions import DocumentError, LinearityError, ParameterError, PluginError, UnknownModelError, UnsafeFileError
from surffit.io.checks import (
    MOST_PARAMETERS,
    check_expression,
    check_name,
    check_text,
    clean,
    exactly,
    floats,
    in_order,
    is_plain,
    real,
    shown,
)  # fmt: skip
from surffit.io.files import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SCHEMA", "made", "model_document", "read_graph", "read_model", "read_registered", "read_tree"]

SCHEMA = "surffit.model/1"
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
HINTS = ("value", "vary", "min", "max", "expr")
COMMON = {"kind", "hints", "linear", "nan_policy"}
KEYS = {
    "graph": COMMON | {"name", "function", "prefix", "independent_vars", "defaults", "graph"},
    "registered": COMMON | {"name", "options", "label"},
    "composite": {"kind", "operator", "left", "right", "hints"},
}
JOINT_KEYS = {"kind", "name", "shared", "models", "parts", "hints"}
DEEPEST = 200


# ---- writing


def model_document(model: Any) -> dict[str, Any]:
    """
    A model as plain dicts, lists, strings and numbers.

    Parameters
    ----------
    model : SurfaceModel or lmfit.Model
        Any model or composite.

    Returns
    -------
    dict
        ``schema``, ``surffit`` (version) and ``model``, a tree.

    Raises
    ------
    DocumentError
        If a part can't travel: the sentence names the part and the reason.
    """
    from surffit.core.model import SurfaceModel

    written = _write_joint(model) if hasattr(model, "parts") else _write(SurfaceModel.from_lmfit(model), 0)
    content = {"schema": SCHEMA, "surffit": __version__, "model": written}
    try:
        read_model(content)
    except UnsafeFileError as err:
        msg = f"the model {clean(str(model._name))[:80]!r} can't be kept in a document: {err}"
        raise DocumentError(msg) from err
    return content


def _write_joint(model: Any) -> dict[str, Any]:
    """A joint model; a part that serves several data sets is written once."""
    parts = list({id(part): part for part in model.parts.values()}.values())
    return {
        "kind": "joint",
        "name": model._name,
        "shared": list(model.shared),
        "models": [_write(part, 1) for part in parts],
        "parts": {key: next(i for i, one in enumerate(parts) if one is part) for key, part in model.parts.items()},
        "hints": _write_hints(model),
    }


def _write(model: Any, depth: int) -> dict[str, Any]:
    from lmfit.model import CompositeModel

    if depth > DEEPEST:
        msg = f"a composite nested more than {DEEPEST} deep can't be kept in a document"
        raise DocumentError(msg)
    if isinstance(model, CompositeModel):
        sign = next((sign for sign, op in OPERATORS.items() if op is model.op), None)
        if sign is None:
            name = getattr(model.op, "__name__", repr(model.op))
            msg = f"a composite joined by {name!r} can't be kept in a document, which knows {' '.join(OPERATORS)} only; save its parts"
            raise DocumentError(msg, operator=name)
        return {
            "kind": "composite",
            "operator": sign,
            "left": _write(model.left, depth + 1),
            "right": _write(model.right, depth + 1),
            "hints": _write_hints(model),
        }
    common = {
        "hints": _write_hints(model),
        "linear": None if model._stated_linear is None else list(model._stated_linear),
        "nan_policy": model.nan_policy,
    }
    known = _registered(model)
    if known is not None:
        return {"kind": "registered", "name": known[0], "options": known[1], "label": model._name, **common}
    return {**_write_graph(model), **common}


def _write_graph(model: Any) -> dict[str, Any]:
    from surffit.core.portable import leaf_graph, overridden
    from surffit.trace.document import to_document

    own = overridden(model)
    if own:
        kind = type(getattr(model, "wrapped", model)).__name__
        msg = (
            f"the model {model._name!r} can't be kept in a document, since its class {kind} has its own {', '.join(own)}; register "
            "the class under the entry-point group 'surffit.models'"
        )
        raise DocumentError(msg, model=model._name, own=tuple(own))
    graph, variables = leaf_graph(model)
    return {
        "kind": "graph",
        "name": model._name,
        "function": str(getattr(model.func, "__name__", model._name)),
        "prefix": model.prefix,
        "independent_vars": variables,
        "defaults": {name: number(value) for name, value in model.def_vals.items() if name in graph.parameters},
        "graph": to_document(graph),
    }


def _write_hints(model: Any) -> dict[str, dict[str, Any]]:
    """Hints as lmfit uses them: what it doesn't look at, and what is None, has no effect."""
    import numpy as np

    hints: dict[str, dict[str, Any]] = {}
    for name, hint in model.param_hints.items():
        kept: dict[str, Any] = {}
        for key in HINTS:
            value = hint.get(key)
            if value is None:
                continue
            if key == "expr":
                kept[key] = str(value)
            elif key == "vary":
                kept[key] = bool(value)
            elif np.ndim(value) == 0 and np.isrealobj(value) and not isinstance(value, str):
                kept[key] = number(value)
            else:
                msg = f"the hint {key}={str(value)[:60]!r} of {name} is no number and can't be kept in a document; set it to one"
                raise DocumentError(msg, name=name)
        hints[name] = kept
    return hints


def _registered(model: Any) -> tuple[str, dict[str, Any]] | None:
    """Name and options under which the registry gives this very model again, or None."""
    from surffit.registry import get_model, name_of, registered_as

    known = registered_as(model)
    told = getattr(model, "document_options", None)  # a model that knows how it was made
    if told is not None:
        name, options = name_of(type(model)), told()
        if name is None or options is None:
            return None
        known = (name, options)
    if known is None:
        wrapped = getattr(model, "wrapped", model)
        name = name_of(type(wrapped))
        if name is None:
            return None
        known = (name, {**wrapped.opts, "nan_policy": model.nan_policy})
    name, options = known[0], dict(known[1])
    if model.prefix or "prefix" in options:
        options["prefix"] = model.prefix
    if not is_plain(options):
        return None
    try:
        again = get_model(name, **options)
    except Exception:  # noqa: BLE001 -- a constructor that takes other things; then its graph must serve
        return None
    alike = all(getattr(again, part, None) == getattr(model, part, None) for part in ("prefix", "independent_vars", "_param_root_names"))
    if not alike or not _same_options(again.opts, model.opts):
        return None
    # an instance that did not come from the registry may have been given any function
    return (name, options) if told is not None or registered_as(model) is not None or again.func is model.func else None


def _same_options(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    return one.keys() == two.keys() and all(is_plain(two[name]) and one[name] == two[name] for name in one)


# ---- reading


def read_model(content: Mapping[str, Any], model: Any = None) -> Any:
    """
    Rebuild a model from its document.

    Parameters
    ----------
    content : mapping
        As `model_document` makes it.
    model : None
        A model's document needs no other model.

    Returns
    -------
    SurfaceModel

    Raises
    ------
    UnsafeFileError
        If an entry isn't such as `model_document` writes.
    DocumentError
        If a registered model is not installed, or `model` was given.
    """
    if model is not None:
        msg = "model= is for saved fits; this document holds a model itself"
        raise DocumentError(msg)
    exactly(content, {"schema", "surffit", "model"}, "the document")
    check_text(content["surffit"], "the version", 100)
    joint = isinstance(content["model"], Mapping) and content["model"].get("kind") == "joint"
    built = _read_joint(content["model"]) if joint else _read(content["model"], 0)
    _check_hints(built)
    return built


def read_tree(content: Any) -> Any:
    """A model of a fit's document that is written as models' own documents are: names, graphs, and how they are put together."""
    built = _read(content, 0)
    _check_hints(built)
    return built


def _check_hints(built: Any) -> None:
    """Refuse hints whose constraints are outside the whitelist, speak of strangers or in circles; keep lmfit from endless numbers."""
    known = {name for node in _nodes(built) for name in (*node.param_names, *(node.prefix + hint for hint in node.param_hints))}
    known |= set(built.names.all) if hasattr(built, "parts") else set()
    if len(known) > MOST_PARAMETERS:
        msg = f"the model has {len(known)} parameters, where at most {MOST_PARAMETERS} are read"
        raise UnsafeFileError(msg)
    for node in _nodes(built):
        texts = {node.prefix + name: hint["expr"] for name, hint in node.param_hints.items() if "expr" in hint}
        for name, text in texts.items():
            check_expression(name, text, known, UnsafeFileError)
        in_order(texts, UnsafeFileError)  # for its complaints
        for hint in node.param_hints.values():
            if "expr" in hint:
                hint["expr"] = floats(hint["expr"])


def _nodes(model: Any) -> Iterator[Any]:
    """A composite and all its parts."""
    if hasattr(model, "left"):
        yield from _nodes(model.left)
        yield from _nodes(model.right)
    yield model


def _read(content: Any, depth: int) -> Any:
    if depth > DEEPEST:
        msg = f"the model is nested more than {DEEPEST} deep; surffit never writes that"
        raise UnsafeFileError(msg)
    kind = content.get("kind") if isinstance(content, Mapping) else None
    if not isinstance(kind, str) or kind not in KEYS:
        msg = f"a model of the document is of the kind {shown(kind)}; surffit writes {', '.join(map(repr, KEYS))}"
        raise UnsafeFileError(msg)
    exactly(content, KEYS[kind], "a model of the document")
    hints = _read_hints(content["hints"])
    if kind == "composite":
        from surffit.core.composite import SurfaceComposite

        sign = content["operator"]
        if not isinstance(sign, str) or sign not in OPERATORS:
            msg = f"the operator {shown(sign)} joins no models; surffit writes {' '.join(OPERATORS)}"
            raise UnsafeFileError(msg)
        left, right = _read(content["left"], depth + 1), _read(content["right"], depth + 1)
        model = made(lambda: SurfaceComposite(left, right, OPERATORS[sign]), "the composite")
    else:
        linear, policy = content["linear"], content["nan_policy"]
        if linear is not None and not (isinstance(linear, list) and len(linear) <= MOST_PARAMETERS):
            msg = f"the linear parameters are {shown(linear)}, where a list of names or null belongs"
            raise UnsafeFileError(msg)
        for name in linear or ():
            check_name(name, UnsafeFileError)
        if policy not in ("raise", "omit"):
            msg = f'the nan_policy is {shown(policy)}; surffit writes "raise" or "omit"'
            raise UnsafeFileError(msg)
        model = read_graph(content) if kind == "graph" else read_registered(content)
        if kind == "registered":
            model._name = check_text(content["label"], "the model's label", 2000)
        model._stated_linear = None if linear is None else tuple(linear)
        model.nan_policy = policy
        absent = [name for name in linear or () if name not in model.param_names and model.prefix + name not in model.param_names]
        if absent:
            msg = f"the model states {absent[0]!r} as linear, which is no parameter of it"
            raise UnsafeFileError(msg)
    for name in hints:
        check_name(model.prefix + name, UnsafeFileError)
    model.param_hints = hints
    return model


def _read_joint(content: Mapping[str, Any]) -> Any:
    """A joint model."""
    from surffit.core.joint import JointModel

    exactly(content, JOINT_KEYS, "the joint model")
    name, shared, models, parts = (
        check_text(content["name"], "the model's name", 2000),
        content["shared"],
        content["models"],
        content["parts"],
    )
    lists = isinstance(shared, list) and isinstance(models, list) and isinstance(parts, Mapping)
    if not lists or not 0 < len(models) <= len(parts) <= MOST_PARAMETERS or len(shared) > MOST_PARAMETERS:
        msg = (
            f"the joint model has shared = {shown(shared)}, models = {shown(models)} and parts = {shown(parts)}; surffit never writes that"
        )
        raise UnsafeFileError(msg)
    for one in (*shared, *parts):
        check_name(one, UnsafeFileError)
    for key, place in parts.items():
        if type(place) is not int or not 0 <= place < len(models):
            msg = f"the data set {key} has the model {shown(place)} of {len(models)}"
            raise UnsafeFileError(msg)
    built = [_read(one, 1) for one in models]
    for one in built:
        _check_hints(one)  # before a joint model makes parameters of them
    model = made(lambda: JointModel({key: built[place] for key, place in parts.items()}, shared, name=name), "the joint model")
    hints = _read_hints(content["hints"])
    for hint in hints:
        check_name(hint, UnsafeFileError)
    model.param_hints = hints
    return model


def read_registered(content: Mapping[str, Any]) -> Any:
    """A model by its name, which only the registry resolves."""
    from surffit.registry import get_model

    name, options = content["name"], content["options"]
    check_name(name, UnsafeFileError)
    if not isinstance(options, dict) or not is_plain(options):
        msg = "the model's options are not plain numbers and texts"
        raise UnsafeFileError(msg)
    for option in options:
        check_name(option, UnsafeFileError)
    try:
        return get_model(name, **options)
    except (UnknownModelError, PluginError) as err:
        msg = f"the document's model can't be made here: {err}"
        raise DocumentError(msg, model=name) from err
    except Exception as err:  # whatever a constructor says to options that are not for it
        msg = f"the model {name!r} can't be made with the document's options: {clean(str(err), 200)}"
        raise UnsafeFileError(msg, model=name) from err


def read_graph(content: Mapping[str, Any]) -> Any:
    """A model of a recorded function."""
    from surffit.core.model import SurfaceModel
    from surffit.trace.document import from_document
    from surffit.trace.function import GraphFunction

    name, function = (check_text(content[key], f"the model's {key}", 2000) for key in ("name", "function"))
    prefix, variables, defaults = content["prefix"], content["independent_vars"], content["defaults"]
    if prefix != "":
        check_name(prefix, UnsafeFileError)
    if not isinstance(variables, list) or len(variables) > 100:
        msg = f"the model's independent_vars are {shown(variables)}, where a list of names belongs"
        raise UnsafeFileError(msg)
    for variable in variables:
        check_name(variable, UnsafeFileError)
    graph = from_document(content["graph"])
    if len(set(variables)) != len(variables) or set(graph.coordinates) - set(variables) or set(graph.parameters) & set(variables):
        msg = f"the model's independent_vars {variables} are not those of its graph, {', '.join(graph.coordinates)}"
        raise UnsafeFileError(msg)
    if prefix and any(variable.startswith(prefix) for variable in variables):
        msg = f"the model's prefix {prefix!r} begins one of its independent_vars {variables}, where lmfit would cut it off"
        raise UnsafeFileError(msg)
    if not isinstance(defaults, dict) or not set(defaults) <= set(graph.parameters):
        msg = f"the model's defaults are {shown(defaults)}, where numbers of its parameters belong"
        raise UnsafeFileError(msg)
    numbers = {key: real(value, f"the default of {key}") for key, value in defaults.items()}

    def build() -> Any:
        func = GraphFunction(graph, function, variables, numbers)
        return SurfaceModel(func, list(variables), prefix=prefix, name=name)

    return made(build, f"the model {name[:80]!r}")


def made(build: Any, what: str) -> Any:
    """What a constructor makes; its complaints are about the document here."""
    try:
        return build()
    except (LinearityError, NameError, ParameterError, TypeError, ValueError) as err:
        msg = f"{what} can't be made: {clean(str(err).strip(), 200)}"
        raise UnsafeFileError(msg) from err


def _read_hints(content: Any) -> dict[str, dict[str, Any]]:
    """Hints by name, as `set_param_hint` keeps them."""
    if not isinstance(content, Mapping) or len(content) > MOST_PARAMETERS:
        msg = f"a model's hints are {shown(content)}, where an object belongs"
        raise UnsafeFileError(msg)
    hints: dict[str, dict[str, Any]] = {}
    for name, entry in content.items():
        check_name(name, UnsafeFileError)
        if not isinstance(entry, Mapping) or not set(entry) <= set(HINTS):
            msg = f"the hint of {name} is {shown(entry)}, where some of {', '.join(HINTS)} belong"
            raise UnsafeFileError(msg)
        hint: dict[str, Any] = {}
        for key, value in entry.items():
            if key == "vary":
                if not isinstance(value, bool):
                    msg = f"the hint of {name} has vary = {shown(value)}, where true or false belongs"
                    raise UnsafeFileError(msg)
                hint[key] = value
            elif key == "expr":
                if not isinstance(value, str):
                    msg = f"the constraint of {name} is {shown(value)}, where a text belongs"
                    raise UnsafeFileError(msg)
                hint[key] = value
            else:
                hint[key] = real(value, f"the {key} of {name}")
                if key != "value" and math.isnan(hint[key]):
                    msg = f"the hint of {name} has no number for {key}; surffit never writes that"
                    raise UnsafeFileError(msg)
        hints[name] = hint
    return hints
