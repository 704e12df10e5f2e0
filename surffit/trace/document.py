"""The portable form of a graph: plain data for JSON, and the careful way back.

A document holds nothing that could be run: operations come from the closed table, arguments are row numbers, constants
are numbers, names are identifiers.  Reading rebuilds the graph through the builder, as if it had been recorded.
"""

from __future__ import annotations

import keyword
import math
from typing import Any

from surffit.exceptions import DocumentError, TraceError, UnsafeFileError

from .builder import Builder, Graph
from .ops import OPS

SCHEMA = "surffit.graph/1"
LONGEST_NAME = 200


def to_document(graph: Graph) -> dict[str, Any]:
    """JSON-able form of a graph.

    Returns
    -------
    dict
        ``{"schema", "parameters", "coordinates", "nodes", "output"}``; a node is ``[op, [arguments]]``,
        ``["constant", value]``, ``["parameter", name]`` or ``["coordinate", name]``.

    Raises
    ------
    DocumentError
        If the graph holds an array of numbers.
    """
    if not graph.portable:
        sizes = [payload.shape for op, _, payload in graph.rows if op == "array"]
        msg = f"this graph holds arrays of shape {', '.join(map(str, sizes))} and can't travel in a document; register the model by name"
        raise DocumentError(msg, shapes=sizes)
    nodes: list[list[Any]] = []
    for op, args, payload in graph.rows:
        if op == "constant":
            nodes.append([op, _encode(payload)])
        elif op in ("parameter", "coordinate"):
            nodes.append([op, payload])
        else:
            nodes.append([op, list(args)])
    return {
        "schema": SCHEMA,
        "parameters": list(graph.parameters),
        "coordinates": list(graph.coordinates),
        "nodes": nodes,
        "output": graph.output,
    }


def _encode(value: Any) -> Any:
    if isinstance(value, complex):
        return {"real": _encode(value.real), "imag": _encode(value.imag)}
    if isinstance(value, bool):
        return value
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def from_document(document: Any, max_nodes: int = 100_000) -> Graph:
    """The graph a document describes.

    Raises
    ------
    UnsafeFileError
        For anything that `to_document` would not have written.
    """
    nodes, output = _frame(document, max_nodes)
    builder = Builder()
    for name in _names(document, "parameters"):
        builder.parameter(name)
    for name in _names(document, "coordinates"):
        _declare(builder, name)
    index: list[int] = []
    for k, row in enumerate(nodes):
        try:
            index.append(_row(builder, row, index))
        except (TraceError, OverflowError) as err:
            msg = f"node {k} of the graph is not valid: {err}"
            raise UnsafeFileError(msg, node=k) from err
    return builder.graph(builder.node(index[output]))


def _declare(builder: Builder, name: str) -> None:
    try:
        builder.coordinate(name)
    except TraceError as err:
        raise UnsafeFileError(str(err), name=name) from err


def _frame(document: Any, max_nodes: int) -> tuple[list[Any], int]:
    keys = {"schema", "parameters", "coordinates", "nodes", "output"}
    if not isinstance(document, dict) or set(document) != keys:
        msg = f"a graph document must have exactly the keys {', '.join(sorted(keys))}"
        raise UnsafeFileError(msg)
    if document["schema"] != SCHEMA:
        msg = f"unknown graph schema {document['schema']!r:.60}; this version reads {SCHEMA}"
        raise UnsafeFileError(msg)
    nodes, output = document["nodes"], document["output"]
    if not isinstance(nodes, list) or not 0 < len(nodes) <= max_nodes:
        msg = f"a graph must have 1 to {max_nodes} nodes, this one has {len(nodes) if isinstance(nodes, list) else 'none'}"
        raise UnsafeFileError(msg)
    if type(output) is not int or not 0 <= output < len(nodes):
        msg = f"the output {output!r:.60} is not one of the {len(nodes)} nodes"
        raise UnsafeFileError(msg)
    return nodes, output


def _names(document: dict[str, Any], key: str) -> list[str]:
    names = document[key]
    if not isinstance(names, list) or len(names) > 10_000 or not all(_is_name(n) for n in names) or len(set(names)) != len(names):
        msg = f"the graph's {key} must be different identifiers"
        raise UnsafeFileError(msg)
    return names


def _is_name(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= LONGEST_NAME
        and value.isidentifier()
        and not keyword.iskeyword(value)
        and not value.startswith("__")
    )


def _row(builder: Builder, row: Any, index: list[int]) -> int:
    if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], str):
        msg = f"it must be [operation, arguments], not {row!r:.60}"
        raise TraceError(msg)
    op, rest = row
    if op == "constant":
        return builder.constant_index(_decode(rest))
    if op in ("parameter", "coordinate"):
        known = builder.parameters if op == "parameter" else builder.coordinates
        if not isinstance(rest, str) or rest not in known:
            msg = f"the {op} {rest!r:.60} is not declared"
            raise TraceError(msg)
        return known[rest]
    if op not in OPS:
        msg = f"unknown operation {op!r:.60}"
        raise TraceError(msg)
    if not isinstance(rest, list) or len(rest) != OPS[op].arity:
        msg = f"{op} takes {OPS[op].arity} arguments"
        raise TraceError(msg)
    for a in rest:
        if type(a) is not int or not 0 <= a < len(index):
            msg = f"argument {a!r:.60} is not an earlier node"
            raise TraceError(msg)
    return builder.apply(op, tuple(index[a] for a in rest))


def _decode(value: Any) -> Any:
    if value is None:
        return math.nan
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        if isinstance(value, float) and not math.isfinite(value):
            msg = "a bare NaN or Infinity is not JSON"
            raise TraceError(msg)
        return float(value)
    if isinstance(value, str) and value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, dict) and set(value) == {"real", "imag"}:
        parts = [_decode(value["real"]), _decode(value["imag"])]
        if all(isinstance(p, float) for p in parts):
            return complex(*parts)
    msg = f"{value!r:.60} is not a number"
    raise TraceError(msg)
