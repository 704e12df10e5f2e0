"""The node store of one trace, and the frozen graph that comes out of it.

Nodes are rows of a table, named by their number.  Asking twice for the same operation on the same arguments gives the
same number (hash-consing), so common subexpressions are found at once.  Nothing here is shared between traces: a
thread that traces owns its builder.
"""

from __future__ import annotations

import hashlib
import math
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surffit.exceptions import TraceError

from .node import ArrayNode, Node, PickedNode
from .ops import BOOL_ARGUMENTS, FIRST_ARGUMENT_FIXED, OPS, WHOLE_ORDER

ARRAY, COMPLEX, BOOL = 1, 2, 4
MOST_NODES = 200_000
NO_SHAPE: frozenset[Any] = frozenset()


class Builder:
    """A hash-consing store of nodes.

    Attributes
    ----------
    ops, args, payload : list
        Operation name, argument numbers, and constant or name of each node.
    mask : list of int
        Bit mask of the parameters below each node (bit k is the k-th parameter created).
    flags : list of int
        Bits ARRAY (a coordinate or an array stands below), COMPLEX and BOOL.
    """

    def __init__(self) -> None:
        self.ops: list[str] = []
        self.args: list[tuple[int, ...]] = []
        self.payload: list[Any] = []
        self.mask: list[int] = []
        self.flags: list[int] = []
        self.parameters: dict[str, int] = {}
        self.coordinates: dict[str, int] = {}
        self.derivatives: dict[int, dict[int, int | None]] = {}
        self.lock = threading.RLock()
        self._known: dict[Any, int] = {}

    # -- leaves ------------------------------------------------------------------------------------------------------
    def parameter(self, name: str) -> Node:
        """The parameter `name`; created on the first call."""
        if name not in self.parameters:
            self._refuse_double(name, self.coordinates)
            self.parameters[name] = self._append("parameter", (), name, 1 << len(self.parameters), 0)
        return Node(self, self.parameters[name])

    def coordinate(self, name: str) -> Node:
        """The coordinate `name`, standing for an array of real numbers; created on the first call."""
        if name not in self.coordinates:
            self._refuse_double(name, self.parameters)
            self.coordinates[name] = self._append("coordinate", (), name, 0, ARRAY)
        index = self.coordinates[name]
        return ArrayNode(self, index, frozenset({index}))

    @staticmethod
    def _refuse_double(name: str, others: Mapping[str, int]) -> None:
        if name in others:
            msg = f"{name!r} is both a parameter and a coordinate; rename one of them"
            raise TraceError(msg, name=name)

    def constant(self, value: float | complex | bool) -> Node:
        """A number."""
        return Node(self, self.constant_index(value))

    def array(self, value: Any) -> Node:
        """An array of numbers; a copy is kept."""
        value = np.asarray(value)
        index = self._array_index(value)
        return ArrayNode(self, index, frozenset({value.shape})) if value.ndim else Node(self, index)

    def constant_index(self, value: Any) -> int:
        """Number of the node of a constant; the sign of zero counts (``-0.0 == 0.0`` in a dict)."""
        key: Any
        if isinstance(value, (bool, np.bool_)):
            value = bool(value)
            key = ("bool", value)
            flags = BOOL
        elif isinstance(value, complex):
            value = complex(value)
            key = ("complex", struct.pack("<dd", value.real, value.imag))
            flags = COMPLEX
        else:
            try:
                value = float(value)
            except OverflowError as err:
                msg = f"a constant of {value.bit_length()} bits is too large for a float"
                raise TraceError(msg) from err
            key = ("nan",) if value != value else ("float", value, math.copysign(1.0, value))
            flags = 0
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._append("constant", (), value, 0, flags)
        return found

    def _array_index(self, value: np.ndarray) -> int:
        if value.ndim == 0:
            return self.lift(value.item() if value.dtype.kind in "bif" and value.dtype.itemsize >= 8 else value[()])
        kind = value.dtype.kind
        if type(value) is not np.ndarray or kind not in "biufc":
            msg = f"an array of type {type(value).__name__} and dtype {value.dtype} can't be recorded; pass plain numbers"
            raise TraceError(msg)
        if (kind == "f" and value.dtype.itemsize != 8) or (kind == "c" and value.dtype.itemsize != 16):
            msg = f"an array of dtype {value.dtype} would be computed in another precision than float64"
            raise TraceError(msg)
        dtype = {"b": np.bool_, "c": np.complex128}.get(kind, np.float64)
        kept: np.ndarray = np.array(value, dtype=dtype, order="C")
        kept.setflags(write=False)
        key = ("array", kept.shape, kept.dtype.char, hashlib.blake2b(kept.tobytes(), digest_size=32).digest())
        found = self._known.get(key)
        if found is None:
            flags = ARRAY | (COMPLEX if kind == "c" else 0) | (BOOL if kind == "b" else 0)
            found = self._known[key] = self._append("array", (), kept, 0, flags)
        return found

    # -- operations --------------------------------------------------------------------------------------------------
    def lift(self, value: Any) -> int:
        """Number of the node of an operand: a node of this builder, a number or an array."""
        if isinstance(value, Node):
            if value._builder is not self:
                msg = "nodes of two different traces were mixed; a function must not keep values between calls"
                raise TraceError(msg)
            return value._index
        if isinstance(value, (bool, np.bool_, int, float, complex, np.integer)):
            return self.constant_index(value)
        if isinstance(value, np.ndarray):
            return self._array_index(value)
        what = f"numpy.{type(value).__name__}" if isinstance(value, np.generic) else type(value).__name__
        msg = f"an operand of type {what} can't be recorded; use float64 numbers and arrays"
        raise TraceError(msg)

    def call(self, op: str, *operands: Any) -> Node:
        """Record one operation on nodes, numbers and arrays, and hand back its node."""
        indices = []
        shape = NO_SHAPE
        picked: int | None = None
        for operand in operands:
            indices.append(self.lift(operand))
            if isinstance(operand, ArrayNode):
                if operand._shape is not shape:
                    shape = shape | operand._shape
                if isinstance(operand, PickedNode):
                    picked = operand._test
            elif isinstance(operand, np.ndarray) and operand.ndim:
                shape = shape | {operand.shape}
        array = bool(shape)
        if picked is not None:
            return PickedNode(self, self._pick(op, operands, indices, picked), shape, picked)
        if op.startswith("math.") and array:
            msg = f"{op} takes single numbers, not coordinates; use the numpy function"
            raise TraceError(msg)
        if op in ("max", "min") and array:
            msg = f"the builtin {op}() can't compare coordinates point by point; use numpy.{op}imum"
            raise TraceError(msg)
        result = self.apply(op, tuple(indices))
        return ArrayNode(self, result, shape) if array else Node(self, result)

    def _pick(self, op: str, operands: Sequence[Any], indices: Sequence[int], test: int) -> int:
        """An operation among points picked by one mask; it is recorded for all points."""
        for operand in operands:
            array = isinstance(operand, ArrayNode) or (isinstance(operand, np.ndarray) and operand.ndim)
            if array and not (isinstance(operand, PickedNode) and operand._test == test):
                msg = "points picked by a mask can only be combined with points picked by the same mask"
                raise TraceError(msg)
        if op in ("max", "min") or op.startswith("math."):
            msg = f"{op} takes single numbers, not coordinates"
            raise TraceError(msg)
        return self.apply(op, tuple(indices))

    def apply(self, op: str, args: tuple[int, ...]) -> int:
        """Number of the node ``op(*args)``; constants are folded, nothing is reassociated."""
        key = (op, args)
        found = self._known.get(key)
        if found is None:
            found = self._simplified(op, args)
            if found is None:
                flags = self._result_flags(op, args)
                mask = 0
                for a in args:
                    mask |= self.mask[a]
                found = self._append(op, args, None, mask, flags)
            self._known[key] = found
        return found

    def _simplified(self, op: str, args: tuple[int, ...]) -> int | None:
        """The same number by less work, where that is exact: ``1*x``, ``x/1``, ``x**1``, ``--x``, folded constants."""
        ops = self.ops
        if op in ("mul", "div", "pow"):
            a, b = args
            if ops[b] == "constant" and self.payload[b] == 1.0 and not (self.flags[a] | self.flags[b]) & (BOOL | COMPLEX):
                return a
            if op == "mul" and ops[a] == "constant" and self.payload[a] == 1.0:
                return b if not (self.flags[a] | self.flags[b]) & (BOOL | COMPLEX) else None
        elif op == "neg" and ops[args[0]] == "neg":
            return self.args[args[0]][0]
        elif op in ("real", "conjugate", "positive") and not self.flags[args[0]] & (COMPLEX | BOOL):
            return args[0]
        if all(ops[a] == "constant" for a in args):
            return self._folded(op, args)
        return None

    def _folded(self, op: str, args: tuple[int, ...]) -> int | None:
        self._result_flags(op, args)
        values = [np.float64(v) if type(v) is float else v for v in (self.payload[a] for a in args)]
        with np.errstate(all="ignore"):
            try:
                value = OPS[op].function(*values)
            except (ArithmeticError, ValueError, TypeError):
                return None
        if isinstance(value, np.ndarray):
            value = value.item() if value.ndim == 0 else None
        if not isinstance(value, (bool, np.bool_, int, float, complex, np.integer)):
            return None
        return self.constant_index(value)

    def _result_flags(self, op: str, args: tuple[int, ...]) -> int:
        entry = OPS[op]
        if len(args) != entry.arity:
            msg = f"{op} takes {entry.arity} arguments, got {len(args)}"
            raise TraceError(msg)
        below = 0
        every = ~0
        for a in args:
            below |= self.flags[a]
            every &= self.flags[a]
        if below & COMPLEX and entry.real_only:
            msg = f"{op} has no meaning for complex numbers"
            raise TraceError(msg, operation=op)
        if below & BOOL and op not in BOOL_ARGUMENTS:
            msg = f"{op} of a truth value can't be recorded; turn it into a number with numpy.where(test, 1.0, 0.0)"
            raise TraceError(msg, operation=op)
        if op in FIRST_ARGUMENT_FIXED and self.ops[args[0]] != "constant":
            msg = f"the first argument of {op} must be a constant: no derivative is known for it"
            raise TraceError(msg, operation=op)
        if op in WHOLE_ORDER and self.payload[args[0]] not in range(101):
            msg = f"the order of {op} must be a whole number from 0 to 100, not {self.payload[args[0]]}"
            raise TraceError(msg, operation=op)
        if op in ("and", "or", "xor", "invert") and not (every & BOOL and below & ARRAY):
            msg = f"the bitwise operator {op!r} is recorded for tests on coordinates only"
            raise TraceError(msg, operation=op)
        if op in ("add", "sub") and every & BOOL and (op == "sub" or not below & ARRAY):
            msg = f"{op} of two truth values can't be recorded; use numpy.where(test, 1.0, 0.0)"
            raise TraceError(msg, operation=op)
        result = below & ARRAY
        if entry.result == "bool":
            return result | BOOL
        if entry.result == "complex":
            return result | COMPLEX
        if entry.result == "real":
            return result
        if op == "select":
            branches = self.flags[args[1]] | self.flags[args[2]]
            both = self.flags[args[1]] & self.flags[args[2]]
            return result | (branches & COMPLEX) | (both & BOOL)
        if every & BOOL and op != "div":
            result |= BOOL
        return result | (below & COMPLEX)

    def _append(self, op: str, args: tuple[int, ...], payload: Any, mask: int, flags: int) -> int:
        number = len(self.ops)
        if number >= MOST_NODES:
            msg = f"the function unrolls into more than {MOST_NODES} operations; it is too large to record"
            raise TraceError(msg)
        self.ops.append(op)
        self.args.append(args)
        self.payload.append(payload)
        self.mask.append(mask)
        self.flags.append(flags)
        return number

    # -- reading -----------------------------------------------------------------------------------------------------
    def node(self, index: int) -> Node:
        """A handle on node number `index`."""
        if not self.flags[index] & ARRAY:
            return Node(self, index)
        shape = frozenset(
            i if self.ops[i] == "coordinate" else self.payload[i].shape
            for i in self.below([index])
            if self.ops[i] in ("coordinate", "array")
        )
        return ArrayNode(self, index, shape)

    def bit(self, name: str) -> int:
        """Bit mask of one parameter; 0 for a name the trace never saw."""
        index = self.parameters.get(name)
        return 0 if index is None else self.mask[index]

    def bits(self, names: Any) -> int:
        """Bit mask of several parameters."""
        mask = 0
        for name in names:
            mask |= self.bit(name)
        return mask

    def below(self, roots: Any) -> list[int]:
        """Numbers of all nodes under `roots`, themselves included, arguments before users."""
        seen = set(roots)
        stack = list(seen)
        args = self.args
        while stack:
            for a in args[stack.pop()]:
                if a not in seen:
                    seen.add(a)
                    stack.append(a)
        return sorted(seen)

    def graph(self, output: Node) -> Graph:
        """Freeze what stands under `output`; every parameter and coordinate is kept, used or not."""
        root = self.lift(output)
        # Names first, in their order: a graph that was written and read again is then written the same way.
        leaves = [*self.parameters.values(), *self.coordinates.values()]
        numbers = [*leaves, *(i for i in self.below([root]) if self.ops[i] not in ("parameter", "coordinate"))]
        new = {old: k for k, old in enumerate(numbers)}
        rows = tuple((self.ops[i], tuple(new[a] for a in self.args[i]), self.payload[i]) for i in numbers)
        return Graph(
            rows=rows,
            output=new[root],
            parameters=tuple(self.parameters),
            coordinates=tuple(self.coordinates),
            is_complex=bool(self.flags[root] & COMPLEX),
        )


@dataclass(frozen=True, eq=False)
class Graph:
    """A frozen expression graph; it pickles, and `evaluate` walks it.

    Attributes
    ----------
    rows : tuple of (op, args, payload)
        Arguments come before their users.
    output : int
        Number of the row that is the value.
    parameters, coordinates : tuple of str
        In order of creation.
    is_complex : bool
        Whether the value is complex.
    """

    rows: tuple[tuple[str, tuple[int, ...], Any], ...]
    output: int
    parameters: tuple[str, ...]
    coordinates: tuple[str, ...]
    is_complex: bool

    @property
    def portable(self) -> bool:
        """True when no array constant is inside, so that the graph can travel in a document."""
        return all(op != "array" for op, _, _ in self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def evaluate(graph: Graph, values: Mapping[str, Any], coords: Mapping[str, Any]) -> Any:
    """Value of a graph by walking its rows.

    Parameters
    ----------
    graph : Graph
    values : mapping of str to float or Node
        Every parameter the value depends on.
    coords : mapping of str to array or Node
        Every coordinate the value depends on.

    Returns
    -------
    ndarray, numpy scalar or Node
        A `Node` when any value or coordinate is one: the graph is then inlined into that node's builder.
    """
    builder = next((v._builder for v in (*values.values(), *coords.values()) if isinstance(v, Node)), None)
    results: list[Any] = []
    needed = _needed(graph)
    for k, (op, args, payload) in enumerate(graph.rows):
        if k not in needed:
            results.append(None)
        elif op in ("constant", "array"):
            results.append(np.float64(payload) if type(payload) is float and builder is None else payload)
        elif op == "parameter":
            results.append(_number(_look_up(values, payload, "parameter")))
        elif op == "coordinate":
            value = _look_up(coords, payload, "coordinate")
            results.append(value if isinstance(value, Node) else np.asarray(value)[()])
        else:
            operands = [results[a] for a in args]
            if builder is not None and any(isinstance(o, Node) for o in operands):
                results.append(builder.call(op, *operands))
            else:
                results.append(OPS[op].function(*operands))
    value = results[graph.output]
    return value if builder is None or isinstance(value, Node) else builder.node(builder.lift(value))


def _needed(graph: Graph) -> set[int]:
    needed = {graph.output}
    for k in range(graph.output, -1, -1):
        if k in needed:
            needed.update(graph.rows[k][1])
    return needed


def _look_up(values: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in values:
        msg = f"no value for the {what} {name!r}; given: {', '.join(map(str, values)) or 'nothing'}"
        raise TypeError(msg)
    return values[name]


def _number(value: Any) -> Any:
    # numpy scalars give inf and nan where Python floats raise; the numbers are the same otherwise.
    if isinstance(value, Node):
        return value
    if isinstance(value, (bool, int, float)):
        return np.float64(value)
    if isinstance(value, complex):
        return np.complex128(value)
    return np.asarray(value)[()]
