"""Fast numpy source from a graph.  The only place in the package where source is compiled.

What is compiled is made of generated names (p0, x1, t17), numbers and operators of the closed table; no text of a user
or of a file gets in.  Four entry points are emitted, each when it is first called:

``value``    the model, bit for bit what the user's function returns
``columns``  the model at c = 0 and its derivatives with respect to the linear parameters c
``full``     the model and its derivatives with respect to all parameters
``second``   the second derivatives that are not zero by structure

Parameters enter as Python floats, which are faster than numpy's and the same numbers, but raise where numpy gives inf
or nan.  When that happens the call is repeated by a twin of the source that computes with numpy scalars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from surffit.exceptions import LinearityError

from .builder import ARRAY, BOOL, COMPLEX, Builder
from .derive import derive
from .node import Node
from .ops import OPS, real_power

DEEPEST = 12
LONGEST = 300


def compile_program(builder: Builder, node: Node, *, nonlinear: Sequence[str], linear: Sequence[str], known: Sequence[str] = ()) -> Program:
    """Prepare the entry points of a model.

    Parameters
    ----------
    builder : Builder
    node : Node
        The model's value.
    nonlinear, linear, known : sequence of str
        All parameters of the model, in the order in which their values will be passed; names the model does not use
        may be among them.  `known` ones have values but no derivatives.

    Returns
    -------
    Program
    """
    return Program(builder, node, tuple(nonlinear), tuple(linear), tuple(known))


class Program:
    """Entry points of one model; sources are made and compiled when first used.

    All take sequences of floats `alpha` (non-linear), `c` (linear) and `known`, and `coords`, a sequence of arrays in
    the order of `coordinates`.  Results have their natural shape: a number, (nx,), (ny, 1), or what these broadcast to.

    Attributes
    ----------
    nonlinear, linear, known, parameters, coordinates : tuple of str
    no_effect : tuple of str
        Varying parameters whose derivative is zero by structure.
    """

    def __init__(self, builder: Builder, node: Node, nonlinear: tuple[str, ...], linear: tuple[str, ...], known: tuple[str, ...]) -> None:
        self.nonlinear, self.linear, self.known = nonlinear, linear, known
        self.parameters = nonlinear + linear
        self.coordinates = tuple(builder.coordinates)
        self._builder = builder
        self._root = builder.lift(node)
        everything = (*self.parameters, *known)
        check_names(builder, self._root, everything)

    @property
    def no_effect(self) -> tuple[str, ...]:
        with self._builder.lock:
            return tuple(n for n in self.parameters if derive(self._builder, self._root, n) is None)

    @property
    def is_complex(self) -> bool:
        """Whether the model is complex."""
        return bool(self._builder.flags[self._root] & COMPLEX)

    def value(self, alpha: Any, c: Any, known: Any, coords: Any) -> Any:
        """The model's value, bit for bit the user's function's."""
        return self._ready("value")(alpha, c, known, coords)

    def columns(self, alpha: Any, known: Any, coords: Any) -> tuple[Any, list[Any]]:
        """``(f0, [phi_j])``: F = f0 + sum_j c_j phi_j; f0 is None where it is zero by structure."""
        return self._ready("columns")(alpha, known, coords)

    def full(self, alpha: Any, c: Any, known: Any, coords: Any) -> tuple[Any, list[Any]]:
        """``(F, [J_j])``, non-linear parameters first; None for a derivative that is zero by structure."""
        return self._ready("full")(alpha, c, known, coords)

    def second(self, alpha: Any, c: Any, known: Any, coords: Any) -> list[tuple[int, int, Any]]:
        """``[(j, l, d2F/dp_j dp_l)]`` with l <= j, the non-zero ones; order of `parameters`."""
        return self._ready("second")(alpha, c, known, coords)

    def _ready(self, entry: str) -> Callable[..., Any]:
        builder = self._builder
        with builder.lock:
            compiled = self.__dict__.get(entry)
            if compiled is None:
                outputs, pattern = getattr(self, f"_{entry}_outputs")()
                names = (self.nonlinear, self.linear, self.known)
                compiled = compile_entry(builder, outputs, pattern, names, self.coordinates, with_c=entry != "columns")
                # On the instance the compiled function hides the method: later calls go straight to it.
                self.__dict__[entry] = compiled
        return compiled

    def source(self, entry: str) -> str:
        """The emitted source of an entry point, for reading."""
        return str(self._ready(entry).source)  # type: ignore[attr-defined]

    # -- what each entry point returns: node numbers, and where they go -------------------------------------------------
    def _value_outputs(self) -> tuple[list[int], str]:
        return [self._root], "{0}"

    def _full_outputs(self) -> tuple[list[int], str]:
        outputs = [self._root]
        slots = []
        for name in self.parameters:
            slots.append(_slot(outputs, derive(self._builder, self._root, name)))
        return outputs, "({0}, [" + ", ".join(slots) + "])"

    def _columns_outputs(self) -> tuple[list[int], str]:
        f0, phi = linear_parts(self._builder, self._root, self.linear)
        outputs: list[int] = []
        first = _slot(outputs, f0)
        return outputs, f"({first}, [" + ", ".join(_slot(outputs, p) for p in phi) + "])"

    def _second_outputs(self) -> tuple[list[int], str]:
        outputs: list[int] = []
        slots = [f"({j}, {k}, {_slot(outputs, d)})" for j, k, d in second_parts(self._builder, self._root, self.parameters)]
        return outputs, "[" + ", ".join(slots) + "]"


def check_names(builder: Builder, root: int, names: Sequence[str]) -> None:
    """Every parameter the model uses must be listed, once."""
    double = sorted({n for n in names if names.count(n) > 1})
    unlisted = [n for n in builder.parameters if builder.bit(n) & builder.mask[root] and n not in names]
    if double or unlisted:
        what = f"parameters {', '.join(double)} are listed twice" if double else f"parameters {', '.join(unlisted)} are not listed"
        msg = f"{what}; each one must be non-linear, linear or known"
        raise ValueError(msg)


def linear_parts(builder: Builder, root: int, linear: Sequence[str]) -> tuple[int | None, list[int | None]]:
    """(f0, [phi_j]) of a model affine in `linear`; raises LinearityError if it is not."""
    bits = builder.bits(linear)
    phi = [derive(builder, root, name) for name in linear]
    for name, p in zip(linear, phi, strict=True):
        if p is not None and builder.mask[p] & bits:
            others = [n for n in linear if builder.mask[p] & builder.bit(n)]
            msg = f"the model is not jointly linear in {name} and {others[0]}: the derivative by {name} depends on {others[0]}"
            raise LinearityError(msg, pair=(name, others[0]))
    return at_zero(builder, root, bits), phi


def second_parts(builder: Builder, root: int, names: Sequence[str]) -> list[tuple[int, int, int]]:
    """(j, l, node) of the second derivatives that are not zero by structure, l <= j."""
    found = []
    first = [derive(builder, root, name) for name in names]
    for j, d in enumerate(first):
        for k in range(j + 1):
            # Differentiate the later one by the earlier: mixed derivatives are symmetric.
            dd = None if d is None or first[k] is None else derive(builder, d, names[k])
            if dd is not None:
                found.append((j, k, dd))
    return found


def at_zero(builder: Builder, root: int, bits: int) -> int | None:
    """The node with the parameters of `bits` set to zero; None when nothing is left.  Terms that vanish are dropped."""
    known: dict[int, int | None] = {}

    def of(a: int) -> int | None:
        return known.get(a, a)

    for i in builder.below([root]):
        if not builder.mask[i] & bits:
            continue
        op, args = builder.ops[i], builder.args[i]
        if op == "parameter":
            known[i] = None
            continue
        new = [of(a) for a in args]
        if op in ("add", "sub") and (new[0] is None or new[1] is None):
            if new[0] is not None or op == "add":
                known[i] = new[0] if new[0] is not None else new[1]
            else:
                known[i] = None if new[1] is None else builder.apply("neg", (new[1],))
        elif _vanishes(op, new):
            known[i] = None
        else:
            zero = builder.constant_index(0.0)
            known[i] = builder.apply(op, tuple(zero if a is None else a for a in new))
    found = of(root)
    if found is not None and builder.ops[found] == "constant" and builder.payload[found] == 0:
        return None
    return found


def _vanishes(op: str, args: Sequence[int | None]) -> bool:
    """Whether ``op(*args)`` is zero by structure, given which arguments are."""
    if op == "mul":
        return None in args
    if op == "select":
        return args[1] is None and args[2] is None
    return (op == "div" or op in _ZERO_AT_ZERO) and args[0] is None


_ZERO_AT_ZERO = frozenset({"neg", "positive", "real", "imag", "conjugate", "deg2rad", "rad2deg", "radians", "degrees"})


def _slot(outputs: list[int], index: int | None) -> str:
    if index is None:
        return "None"
    outputs.append(index)
    return "{" + str(len(outputs) - 1) + "}"


def compile_rows(
    builder: Builder, node: Node, parameters: Sequence[str], known: Sequence[str]
) -> tuple[Callable[..., Any], Callable[..., Any], tuple[str, ...]]:
    """
    Two functions that evaluate a model for many sets of parameters at once.

    Parameters
    ----------
    builder : Builder
    node : Node
        The model's value.
    parameters, known : sequence of str
        Names of the parameters with and without derivatives; those that the model doesn't use may be among them.

    Returns
    -------
    value, full : callable
        ``value(p, [], known, coords)`` gives F, ``full`` gives ``(F, [J_j])`` with None for a derivative that is zero by structure. `p`
        and `known` are sequences of arrays of shape (n, 1), `coords` of shape (D,) or (n, D); what comes back broadcasts to (n, D).
    coordinates : tuple of str
        Names of `coords`.
    """
    root = builder.lift(node)
    check_names(builder, root, (*parameters, *known))
    names, coordinates = (tuple(parameters), (), tuple(known)), tuple(builder.coordinates)
    with builder.lock:
        outputs = [root]
        slots = [_slot(outputs, derive(builder, root, name)) for name in parameters]
    pattern = "({0}, [" + ", ".join(slots) + "])"
    value, full = (
        _compile(builder, listed, text, names, coordinates, True, (), {}, fallback=None, arrays=True)
        for listed, text in (([root], "{0}"), (outputs, pattern))
    )
    return value, full, coordinates


# -- source ------------------------------------------------------------------------------------------------------------
def compile_entry(
    builder: Builder,
    outputs: Sequence[int],
    pattern: str,
    names: tuple[Sequence[str], Sequence[str], Sequence[str]],
    coordinates: Sequence[str],
    *,
    with_c: bool = True,
    prepare: Iterable[str] = (),
    extra: dict[str, Any] | None = None,
) -> Callable[..., Any]:
    """Compile one function of (alpha, [c,] known, coords) that returns `pattern` filled with the outputs' expressions."""
    make = (builder, outputs, pattern, names, coordinates, with_c, tuple(prepare), extra or {})
    safe: list[Callable[..., Any]] = []

    def fallback(*args: Any) -> Any:
        if not safe:
            safe.append(_compile(*make, fallback=None))
        return safe[0](*args)

    return _compile(*make, fallback=fallback)


def _compile(
    builder: Builder,
    outputs: Sequence[int],
    pattern: str,
    names: tuple[Sequence[str], Sequence[str], Sequence[str]],
    coordinates: Sequence[str],
    with_c: bool,
    prepare: Sequence[str],
    extra: dict[str, Any],
    *,
    fallback: Callable[..., Any] | None,
    arrays: bool = False,
) -> Callable[..., Any]:
    with builder.lock:
        writer = _Writer(builder, safe=fallback is None and not arrays, arrays=arrays)
        alpha, c, known = (writer.unpack(group, kind) for group, kind in zip(names, ("alpha", "c", "known"), strict=True))
        lines = [*alpha, *(c if with_c else []), *known, *writer.unpack_coordinates(coordinates), *prepare]
        body, expressions = writer.write(outputs)
    lines += body
    lines.append("return " + pattern.format(*expressions))
    arguments = "alpha, c, known, coords" if with_c else "alpha, known, coords"
    if fallback is None:
        text = [f"def entry({arguments}):", *(f"    {line}" for line in lines)]
    else:
        text = [f"def entry({arguments}):", "    try:", *(f"        {line}" for line in lines)]
        text += ["    except failures:", f"        return fallback({arguments})"]
    source = "\n".join(text) + "\n"
    scope: dict[str, Any] = {"__builtins__": {}, **writer.scope, **extra, "failures": (ArithmeticError, ValueError)}
    scope["fallback"] = fallback
    return compile_source(source, "entry", scope)


def compile_source(source: str, name: str, scope: dict[str, Any]) -> Callable[..., Any]:
    """The function `name` of a source that holds generated names, numbers and operators only."""
    scope = {"__builtins__": {}, **scope}
    exec(compile(source, "<surffit.trace.emit>", "exec"), scope)  # noqa: S102 - see above
    function: Callable[..., Any] = scope[name]
    function.source = source  # type: ignore[attr-defined]
    return function


def as_floats(values: Any) -> list[Any]:
    """Parameter values as Python floats, which compute faster than numpy's."""
    return values.tolist() if type(values) is np.ndarray else [v.item() if isinstance(v, np.generic) else v for v in values]


def as_numpy(values: Any) -> list[Any]:
    """Parameter values as numpy scalars, which give inf and nan where Python floats raise."""
    return [np.complex128(v) if isinstance(v, complex) else np.float64(v) for v in values]


class _Writer:
    """Statements for a set of nodes: shared ones get a name, the others stand where they are used."""

    def __init__(self, builder: Builder, safe: bool, arrays: bool = False) -> None:
        self.builder = builder
        self.safe = safe
        self.arrays = arrays
        self.scope: dict[str, Any] = {"floats": as_numpy if safe else as_floats, "list": list, "type": type}
        self._text: dict[int, str] = {}
        self._depth: dict[int, int] = {}

    def unpack(self, names: Sequence[str], kind: str) -> list[str]:
        """Lines that give the parameters of one group their generated names."""
        targets = []
        for k, name in enumerate(names):
            target = f"{kind[0]}{k}"
            index = self.builder.parameters.get(name)
            if index is not None:
                self._text[index] = target
            targets.append(target)
        if not targets:
            return []
        left = ", ".join(targets) + ("," if len(targets) == 1 else "")
        if self.arrays:
            return [f"{left} = {kind}"]
        if self.safe:
            return [f"{left} = floats({kind})"]
        return [f"{left} = {kind} if type({kind}) is list else floats({kind})"]

    def unpack_coordinates(self, names: Sequence[str]) -> list[str]:
        """Line that names the coordinate arrays."""
        targets = []
        for k, name in enumerate(names):
            self._text[self.builder.coordinates[name]] = f"x{k}"
            targets.append(f"x{k}")
        return [", ".join(targets) + ("," if len(targets) == 1 else "") + " = coords"] if targets else []

    def write(self, outputs: Sequence[int]) -> tuple[list[str], list[str]]:
        """Statements, and one expression per output."""
        builder = self.builder
        order = builder.below(outputs)
        uses = dict.fromkeys(order, 0)
        for i in order:
            for a in builder.args[i]:
                uses[a] += 1
        for i in outputs:
            uses[i] += 2  # outputs are handed out: they keep a name, so that no array is returned as a temporary twice
        lines = []
        for i in order:
            if i in self._text:
                continue
            op = builder.ops[i]
            if op in ("constant", "array"):
                self._text[i] = self._constant(builder.payload[i])
                continue
            text = self._operation(i, op)
            depth = 1 + max(self._depth.get(a, 0) for a in builder.args[i])
            if uses[i] > 1 or depth > DEEPEST or len(text) > LONGEST:
                lines.append(f"t{i} = {text}")
                text, depth = f"t{i}", 0
            self._text[i] = text
            self._depth[i] = depth
        return lines, [self._text[i] for i in outputs]

    def _constant(self, value: Any) -> str:
        if isinstance(value, bool):
            return repr(value)
        if isinstance(value, float) and math.isfinite(value) and not self.safe:
            text = repr(value)
            return text if text[0] != "-" else f"({text})"
        if isinstance(value, float):
            value = np.float64(value) if self.safe else value
        elif isinstance(value, complex) and self.safe:
            value = np.complex128(value)
        name = f"b{len(self.scope)}"  # not the k of the known parameters
        self.scope[name] = value
        return name

    def _operation(self, i: int, op: str) -> str:
        builder = self.builder
        args = builder.args[i]
        texts = [self._text[a] for a in args]
        below = 0
        for a in args:
            below |= builder.flags[a]
        number = not below & ARRAY and not self.arrays
        entry = OPS[op]
        if op == "select" and not builder.flags[args[0]] & ARRAY and not self.arrays:
            return f"({texts[1]} if {texts[0]} else {texts[2]})"
        if op == "pow" and number and not below & COMPLEX and not self._plain_exponent(args[1]):
            return f"{self._bound('real_power', real_power)}({', '.join(texts)})"
        if entry.infix is not None:
            return entry.infix.format(*texts)
        function = entry.function
        if number and entry.scalar is not None and not below & (COMPLEX | BOOL) and not (self.safe and op not in ("max", "min", "abs")):
            function = entry.scalar
        return f"{self._bound(op, function)}({', '.join(texts)})"

    def _plain_exponent(self, i: int) -> bool:
        value = self.builder.payload[i] if self.builder.ops[i] == "constant" else None
        return isinstance(value, float) and value.is_integer()

    def _bound(self, op: str, function: Callable[..., Any]) -> str:
        name = "f_" + op.replace(".", "_")
        other = self.scope.setdefault(name, function)
        if other is not function:
            name += "_s"
            self.scope[name] = function
        return name
