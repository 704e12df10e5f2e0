"""
Scalar source from a graph: one plain loop over the points, for a compiler of numeric Python.

What is emitted is straight-line code on generated names: numbers that the points share are computed before the loop, every
common subexpression once, and each derivative next to the value it shares its parts with. The function is

    kern(X, o, n, p, y, w, W, b) -> chi2,  with  W[b + k, i] = w[i] df/dp_k  and  W[b + M, i] = (y[i] - f) w[i]  for i < n,

where ``X[j, o + i]`` is coordinate j of point i and ``p`` holds the M free parameters, then the known ones. ``o`` and ``n`` are unsigned:
an index that may be negative keeps a compiler from taking several points at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from surffit.exceptions import TraceError

from .builder import ARRAY, BOOL, COMPLEX, Builder
from .derive import derive
from .emit import compile_source
from .scalarops import BUILTINS, CHEAP, operation

# operations of an emitted kernel beyond which compiling it takes longer than most batches
MOST_OPERATIONS = 4000


@dataclass(frozen=True)
class ScalarKernel:
    """
    Source of a kernel and what it needs.

    Attributes
    ----------
    source : str
        Text of the function; equal texts are equal functions.
    functions : tuple of str
        Names of the functions in it, each with "c." in front where its arguments are complex; see `scalarops`.
    coordinates : tuple of str
        First rows of X.
    rows : tuple of int
        Nodes of coordinates and arrays alone, which are further rows of X.
    free, known : tuple of str
        Order of p.
    without : tuple of str
        Free parameters that the model does not depend on.
    """

    source: str
    functions: tuple[str, ...]
    coordinates: tuple[str, ...]
    rows: tuple[int, ...]
    free: tuple[str, ...]
    known: tuple[str, ...]
    without: tuple[str, ...]

    def compile(self, functions: dict[str, Any], exp: Any = BUILTINS["exp"]) -> Any:
        """The function, still in Python, with its functions by name as in `functions` (here in the attribute), and its exponential."""
        scope = {**BUILTINS, "exp": exp}
        scope.update((spelled(name), function) for name, function in functions.items())
        return compile_source(self.source, "kern", scope)


def spelled(name: str) -> str:
    """How a function's name stands in the source."""
    return "f_" + name.replace(".", "_")


def scalar_kernel(
    builder: Builder, root: int, free: Sequence[str], known: Sequence[str], coordinates: Sequence[str], *, hoist: bool = True
) -> ScalarKernel:
    """
    Emit the kernel of a model.

    Parameters
    ----------
    builder : Builder
    root : int
        Number of the model's node.
    free, known : sequence of str
        Parameters with and without derivatives; names the model does not use may be among them.
    coordinates : sequence of str
        Coordinates that the data have; all of the model's must be among them.
    hoist : bool
        Whether dear expressions of coordinates alone are computed beforehand, as further rows of X.

    Raises
    ------
    TraceError
        If an operation has no scalar form, with its name.
    """
    with builder.lock:
        writer = _Scalar(builder, tuple(free), tuple(known), tuple(coordinates), hoist)
        return writer.write(root)


class _Scalar:
    """Statements of a kernel: those before the loop, those in it."""

    def __init__(self, builder: Builder, free: tuple[str, ...], known: tuple[str, ...], coordinates: tuple[str, ...], hoist: bool) -> None:
        self.builder = builder
        self.free, self.known, self.coordinates, self.hoist = free, known, coordinates, hoist
        self.before: list[str] = []
        self.inside: list[str] = []
        self.text: dict[int, str] = {}
        self.inverse: dict[int, str] = {}
        self.functions: dict[str, None] = {}
        self.rows: list[int] = []
        self.divisors: dict[int, int] = {}

    def write(self, root: int) -> ScalarKernel:
        builder = self.builder
        if builder.flags[root] & COMPLEX:
            msg = "the model is complex"
            raise TraceError(msg)
        outputs = [root]
        slots: list[int | None] = []
        for name in self.free:
            d = derive(builder, root, name)
            slots.append(d)
            if d is not None:
                outputs.append(d)
        order = builder.below(outputs)
        if len(order) > MOST_OPERATIONS:
            msg = f"the model and its derivatives take {len(order)} operations, of which at most {MOST_OPERATIONS} are compiled"
            raise TraceError(msg)
        self._leaves(order)
        self._precomputed(order, outputs)
        needed = self._needed(outputs)
        for i in order:
            if i in needed and builder.ops[i] == "div":
                divisor = builder.args[i][1]
                self.divisors[divisor] = self.divisors.get(divisor, 0) + 1
        for i in order:
            if i in needed and i not in self.text:
                self._statement(i)
        lines = ["def kern(X, o, n, p, y, w, W, b):", f"    jr = b + {len(slots)}"]
        lines += [f"    j{k} = b + {k}" for k in range(len(slots))]
        lines += [f"    {line}" for line in self.before]
        lines += ["    for i in range(n):", "        wi = w[i]"]
        lines += [f"        {line}" for line in self.inside]
        lines.append(f"        W[jr, i] = (y[i] - {self._number(root)}) * wi")
        for k, d in enumerate(slots):
            lines.append(f"        W[j{k}, i] = " + ("0.0" if d is None else "wi" if self.text[d] == "1.0" else f"wi * {self._number(d)}"))
        # a loop of its own, which writes nothing: in one that does, the compiler tests at run time whether arrays overlap, and the
        # order of the sum depends on where they lie
        lines += ["    chi2 = 0.0", "    for i in range(n):", "        chi2 += W[jr, i] * W[jr, i]", "    return chi2"]
        without = tuple(name for name, d in zip(self.free, slots, strict=True) if d is None)
        source = "\n".join(lines) + "\n"
        return ScalarKernel(source, tuple(self.functions), self.coordinates, tuple(self.rows), self.free, self.known, without)

    # -- leaves --------------------------------------------------------------------------------------------------------
    def _leaves(self, order: list[int]) -> None:
        builder = self.builder
        place = {name: k for k, name in enumerate((*self.free, *self.known))}
        for i in order:
            op = builder.ops[i]
            if op == "parameter":
                name = builder.payload[i]
                if name not in place:
                    msg = f"the model depends on {name}, which has no value here"
                    raise TraceError(msg)
                self.text[i] = f"p{place[name]}"
                self.before.append(f"p{place[name]} = p[{place[name]}]")
            elif op == "coordinate":
                name = builder.payload[i]
                if name not in self.coordinates:
                    msg = f"the model depends on the coordinate {name}, which the data don't have"
                    raise TraceError(msg)
                self.text[i] = f"x{self.coordinates.index(name)}"
                self.inside.append(f"{self.text[i]} = X[{self.coordinates.index(name)}, o + i]")
            elif op == "constant":
                self.text[i] = self._constant(builder.payload[i])

    def _constant(self, value: Any) -> str:
        if isinstance(value, bool):
            return repr(value)
        if isinstance(value, complex):
            return f"complex({self._constant(value.real)}, {self._constant(value.imag)})"
        if not math.isfinite(value):
            return "nan" if value != value else "inf" if value > 0 else "(-inf)"
        text = repr(value)
        return text if text[0] != "-" else f"({text})"

    def _precomputed(self, order: list[int], outputs: list[int]) -> None:
        """Rows of X: the largest expressions without parameters that are dear, or hold an array."""
        builder = self.builder
        bare = {i for i in order if builder.flags[i] & ARRAY and not builder.mask[i]}
        dear: set[int] = set()
        stuck: set[int] = set()
        for i in order:
            if i in bare:
                op, args = builder.ops[i], builder.args[i]
                if op == "array" or any(a in stuck for a in args):
                    stuck.add(i)
                elif not builder.flags[i] & COMPLEX and op != "coordinate":
                    try:
                        operation(builder, i, ["a"] * len(args))
                    except TraceError:
                        stuck.add(i)
                if i in stuck or (self.hoist and ((op not in CHEAP and op != "coordinate") or any(a in dear for a in args))):
                    dear.add(i)
        used = set(outputs)
        for i in order:
            if i not in bare:
                used.update(builder.args[i])
        top = [i for i in order if i in dear and i in used]
        for i in top:
            if builder.flags[i] & COMPLEX:
                if i in stuck:
                    msg = "a complex array in the model can't be compiled"
                    raise TraceError(msg)
                continue
            row = f"X[{len(self.coordinates) + len(self.rows)}, o + i]"
            self.inside.append(f"t{i} = {row} != 0.0" if builder.flags[i] & BOOL else f"t{i} = {row}")
            self.text[i] = f"t{i}"
            self.rows.append(i)

    def _needed(self, outputs: list[int]) -> set[int]:
        """Nodes under the outputs, not going below what has a text already."""
        seen = set(outputs)
        stack = list(seen)
        while stack:
            i = stack.pop()
            if i in self.text:
                continue
            for a in self.builder.args[i]:
                if a not in seen:
                    seen.add(a)
                    stack.append(a)
        return seen

    # -- operations ----------------------------------------------------------------------------------------------------
    def _number(self, i: int) -> str:
        return f"(1.0 if {self.text[i]} else 0.0)" if self.builder.flags[i] & BOOL else self.text[i]

    def _statement(self, i: int) -> None:
        builder = self.builder
        op, args, flags = builder.ops[i], builder.args[i], builder.flags
        lines = self.inside if flags[i] & ARRAY else self.before
        if op == "div" and not (flags[args[0]] | flags[args[1]]) & (COMPLEX | BOOL):
            inverse = self._inverse(args, lines)
            if inverse is not None:
                lines.append(f"t{i} = {inverse}" if self.text[args[0]] == "1.0" else f"t{i} = {self.text[args[0]]} * {inverse}")
                self.text[i] = f"t{i}"
                return
        text, names = operation(builder, i, [self.text[a] for a in args])
        self.functions.update(dict.fromkeys(names))
        lines.append(f"t{i} = {text}")
        self.text[i] = f"t{i}"

    def _inverse(self, args: tuple[int, ...], lines: list[str]) -> str | None:
        """The reciprocal of a divisor, where it is the same for all points or divides more than once."""
        flags, divisor = self.builder.flags, args[1]
        if divisor in self.inverse:
            return self.inverse[divisor]
        hoisted = not flags[divisor] & ARRAY
        if (hoisted and not flags[args[0]] & ARRAY) or (not hoisted and self.divisors[divisor] < 2):
            return None
        name = f"q{divisor}"
        (self.before if hoisted else lines).append(f"{name} = 1.0 / {self.text[divisor]}")
        self.inverse[divisor] = name
        return name
