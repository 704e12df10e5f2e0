"""Rank-1 structure on rectangular grids.

On a grid, a node that depends on y alone is a column, one that depends on x alone is a row, and many models are short
sums of products of the two: ``F[i, j] = sum_t gy_t[i] * gx_t[j]``.  Such sums are found here by structure, so that a
model and its derivatives on (ny, nx) points cost ny + nx evaluations.

A form is only taken where it is as accurate and as safe as the dense one: ``exp(a(y) + b(x))`` is split when both
exponents can't be positive (no overflow), and powers or products of sums are not multiplied out (no cancellation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from surffit.exceptions import TraceError

from .algebra import Algebra, sure
from .builder import BOOL, COMPLEX, Builder
from .derive import derive
from .emit import check_names, compile_entry, linear_parts, second_parts
from .node import Node
from .ops import OPS

HIGHEST_RANK = 4  # of a derivative or a column
LONGEST_SUM = 32  # of what has no linear parameter, which may have many peaks

Term = tuple[int, int]
Terms = list[Term]


def grid_program(
    builder: Builder,
    node: Node,
    *,
    nonlinear: Sequence[str],
    linear: Sequence[str],
    known: Sequence[str] = (),
    axes: Mapping[str, int],
    shape: tuple[int, int] | None = None,
) -> GridProgram | None:
    """Entry points that return sums of products.

    Parameters
    ----------
    builder, node, nonlinear, linear, known
        As for `surffit.trace.emit.compile_program`.
    axes : mapping of str to int
        For each coordinate, the axis it runs along: 0 (shape (ny, 1)) or 1 (shape (nx,)).
    shape : (ny, nx), optional
        Of the grid, where the graph holds arrays: those of shape (ny, 1) and (1, nx) are factors.

    Returns
    -------
    GridProgram or None
        None if a first derivative has no sum of at most 4 products, or what is left without the linear parameters none of at
        most 32.
    """
    if set(axes) != set(builder.coordinates) or any(a not in (0, 1) for a in axes.values()):
        return None
    program = GridProgram(builder, node, tuple(nonlinear), tuple(linear), tuple(known), dict(axes), shape)
    return program if program.found else None


class GridProgram:
    """Like `Program`, with each array given as a list of terms ``(gy, gx)``: gy (ny,) and gx (nx,), float64.

    An empty list stands for a sum that is zero by structure inside `second`; None stands for it elsewhere, and for a value that
    has no short sum of its own.  Coordinates
    are 1-D arrays.  `second` exists where `has_second` is true; `has_fixed` tells whether anything is left without the linear
    parameters.
    """

    def __init__(
        self,
        builder: Builder,
        node: Node,
        nonlinear: tuple[str, ...],
        linear: tuple[str, ...],
        known: tuple[str, ...],
        axes: dict[str, int],
        shape: tuple[int, int] | None = None,
    ) -> None:
        self.nonlinear, self.linear, self.known = nonlinear, linear, known
        self._shape = shape
        self.parameters = nonlinear + linear
        self.coordinates = tuple(builder.coordinates)
        self._builder = builder
        self._axes = axes
        root = builder.lift(node)
        check_names(builder, root, (*self.parameters, *known))
        with builder.lock:
            self._splitter = _Splitter(builder, axes, shape)
            f0, phi = linear_parts(builder, root, linear)
            first = [derive(builder, root, n) for n in self.parameters]
            self._full = [self._splitter.of(root), *(self._splitter.short(i) for i in first)]
            self._columns = [self._splitter.of(f0), *(self._splitter.short(i) for i in phi)]
            # the value itself may be long: it is the linear columns times their parameters
            self.found = all(t is not None for t in (*self._full[1:], *self._columns))
            self._root = root
            self._second: list[tuple[int, int, Terms | None]] | None = None
        self._empty = [i is None for i in (root, *first)], [i is None for i in (f0, *phi)]
        self.has_fixed = f0 is not None

    @property
    def has_second(self) -> bool:
        """Whether all second derivatives are short sums of products too."""
        return all(t is not None for _, _, t in self._second_terms())

    def _second_terms(self) -> list[tuple[int, int, Terms | None]]:
        with self._builder.lock:
            if self._second is None:
                parts = second_parts(self._builder, self._root, self.parameters)
                self._second = [(j, k, self._splitter.short(i)) for j, k, i in parts]
        return self._second

    def columns(self, alpha: Any, known: Any, coords: Any) -> tuple[Any, list[Any]]:
        """``(f0, [phi_j])`` as terms."""
        return self._ready("columns")(alpha, known, coords)

    def full(self, alpha: Any, c: Any, known: Any, coords: Any) -> tuple[Any, list[Any]]:
        """``(F, [J_j])`` as terms, non-linear parameters first."""
        return self._ready("full")(alpha, c, known, coords)

    def second(self, alpha: Any, c: Any, known: Any, coords: Any) -> list[tuple[int, int, Any]]:
        """``[(j, l, terms)]`` of the second derivatives, l <= j."""
        return self._ready("second")(alpha, c, known, coords)

    def _ready(self, entry: str) -> Callable[..., Any]:
        with self._builder.lock:
            compiled = self.__dict__.get(entry)
            if compiled is None:
                compiled = self.__dict__[entry] = self._compile(entry)
        return compiled

    def _compile(self, entry: str) -> Callable[..., Any]:
        outputs: list[int] = []
        seen: set[str] = set()
        if entry == "second":
            listed = self._second_terms()
            if not self.has_second:
                msg = "a second derivative has no short sum of products on this grid; use the dense program"
                raise TraceError(msg)
            pattern = "[" + ", ".join(f"({j}, {k}, {self._terms(t, outputs, seen)})" for j, k, t in listed) + "]"
        else:
            terms, empty = (self._full, self._empty[0]) if entry == "full" else (self._columns, self._empty[1])
            texts = ["None" if e or t is None else self._terms(t, outputs, seen) for t, e in zip(terms, empty, strict=True)]
            pattern = f"({texts[0]}, [{', '.join(texts[1:])}])"
        names = (self.nonlinear, self.linear, self.known)
        sizes = self._size_lines()
        extra = {"spread": _spread, "size": np.size}
        return compile_entry(
            self._builder, outputs, pattern, names, self.coordinates, with_c=entry != "columns", prepare=sizes, extra=extra
        )

    def _size_lines(self) -> list[str]:
        lines = []
        for axis in (0, 1):
            along = [k for k, name in enumerate(self.coordinates) if self._axes[name] == axis]
            size = 1 if self._shape is None else self._shape[axis]
            lines.append(f"n{axis} = size(x{along[0]})" if along else f"n{axis} = {size}")
        return lines

    @staticmethod
    def _terms(terms: Terms | None, outputs: list[int], seen: set[str]) -> str:
        texts = []
        for pair in terms or ():
            sides = []
            for axis, node in enumerate(pair):
                # a factor that several terms share is spread once, so that they also share the array
                name = f"s{axis}_{node}"
                if name not in seen:
                    seen.add(name)
                    sides.append(f"({name} := spread({{{len(outputs)}}}, n{axis}))")
                    outputs.append(node)
                else:
                    sides.append(name)
            texts.append(f"({sides[0]}, {sides[1]})")
        return "[" + ", ".join(texts) + "]"


def _spread(values: Any, size: int) -> np.ndarray:
    """A factor as a full vector."""
    if type(values) is np.ndarray and values.shape == (size,) and values.dtype == np.float64:
        return values
    if np.size(values) == size:
        return np.array(values, dtype=np.float64).reshape(size)
    return np.full(size, values, dtype=np.float64)


class _Splitter:
    """Sums of products of nodes, remembered per node."""

    def __init__(self, builder: Builder, axes: Mapping[str, int], shape: tuple[int, int] | None = None) -> None:
        self.builder = builder
        # bits of arrays that run along one axis
        self._lines = {} if shape is None or 1 in shape else {(shape[0], 1): 1, (1, shape[1]): 2, (1, 1): 0, (): 0}
        self.algebra = Algebra(builder)
        self.one = builder.constant_index(1.0)
        self._axis_of = {builder.coordinates[name]: axis for name, axis in axes.items()}
        self._below: dict[int, int] = {}
        self._known: dict[int, Terms | None] = {}
        self._signs: dict[int, int] = {}

    def of(self, root: int | None) -> Terms | None:
        """Terms of a node, or None if it has no short form."""
        if root is None:
            return []
        for i in self.builder.below([root]):
            if i not in self._known:
                self._known[i] = self._split(i)
        return self._known[root]

    def short(self, root: int | None) -> Terms | None:
        """Terms of a node if they are few."""
        terms = self.of(root)
        return terms if terms is not None and len(terms) <= HIGHEST_RANK else None

    def axes_below(self, root: int) -> int:
        """Bit 0: depends on axis 0; bit 1: on axis 1; bit 2: on an array whose axis is not known."""
        if root not in self._below:
            for i in self.builder.below([root]):
                if i not in self._below:
                    op = self.builder.ops[i]
                    bits = 1 << self._axis_of[i] if op == "coordinate" else 0
                    if op == "array":
                        bits = self._lines.get(np.shape(self.builder.payload[i]), 4)
                    for a in self.builder.args[i]:
                        bits |= self._below[a]
                    self._below[i] = bits
        return self._below[root]

    def _split(self, i: int) -> Terms | None:
        builder = self.builder
        bits = self.axes_below(i)
        if bits & 4 or builder.flags[i] & COMPLEX:
            return None
        if bits == 1:
            return [(i, self.one)]
        if bits in (0, 2):
            return [(self.one, i)]
        op, args = builder.ops[i], builder.args[i]
        rule = OPS[op].rule
        if rule in ("exp", "exp2", "exp10"):
            return self._split_exponential(op, args[0])
        if rule == "select":
            return self._split_select(args)
        parts = [t for a in args if (t := self._known.get(a)) is not None]
        if len(parts) != len(args) or any(builder.flags[a] & BOOL for a in args):
            return None
        a = parts[0]
        if rule == "neg":
            return self._times((self.one, builder.constant_index(-1.0)), a)
        if rule in ("square", "pow") and len(a) == 1:
            return self._split_power(op, args, a[0])
        if rule == "square" or (rule == "pow" and self.algebra.value(args[1]) == 2.0):
            return self._product(a, a)
        if rule in ("sqrt", "abs", "fabs", "reciprocal", "sign") and len(a) == 1:
            gy, gx = a[0]
            # The square root of a product splits only when no factor is negative.
            if rule == "sqrt" and not (self._sign(gy) == 1 and self._sign(gx) == 1):
                return None
            return [(builder.apply(op, (gy,)), builder.apply(op, (gx,)))]
        if len(parts) != 2:
            return None
        b = parts[1]
        if rule == "add":
            return self._merged(a + b)
        if rule == "sub":
            minus = self._times((self.one, builder.constant_index(-1.0)), b)
            return self._merged(a + minus)
        if rule == "mul":
            if len(a) == 1:
                return self._times(a[0], b)
            return self._times(b[0], a) if len(b) == 1 else self._product(a, b)
        if rule == "div" and len(b) == 1:
            gy, gx = b[0]
            return [(self._over(ty, gy), self._over(tx, gx)) for ty, tx in a]
        return None

    def _over(self, a: int, b: int) -> int:
        return a if b == self.one else sure(self.algebra.div(a, b))

    def _times(self, term: Term, terms: Terms) -> Terms:
        mul = self.algebra.mul
        return [(sure(mul(term[0], gy)), sure(mul(term[1], gx))) for gy, gx in terms]

    def _product(self, a: Terms, b: Terms) -> Terms | None:
        """Product of two sums, multiplied out where nothing in it can cancel."""
        if not (self._one_signed(a) and self._one_signed(b)):
            return None
        return self._merged([term for factor in a for term in self._times(factor, b)])

    def _one_signed(self, terms: Terms) -> bool:
        """Whether all terms have the same sign, up to a common number."""
        kinds = set()
        for term in terms:
            numbers = []
            sign = 1
            for factor in term:
                number, array = self.algebra.split(factor)
                if number is not None and self.builder.ops[number] == "neg":
                    number, sign = self.builder.args[number][0], -sign
                if number is not None and number != self.one:
                    numbers.append(number)
                sign *= 1 if array is None else self._sign(array)
            kinds.add((*sorted(numbers), sign))
        return len(kinds) == 1 and kinds.pop()[-1] != 0

    def _split_power(self, op: str, args: tuple[int, ...], term: Term) -> Terms | None:
        gy, gx = term
        if op == "square":
            return [(self.builder.apply(op, (gy,)), self.builder.apply(op, (gx,)))]
        n = self.algebra.value(args[1])
        if not isinstance(n, float) or not (n.is_integer() or (self._sign(gy) == 1 and self._sign(gx) == 1)):
            return None
        return [(self.builder.apply(op, (gy, args[1])), self.builder.apply(op, (gx, args[1])))]

    def _split_exponential(self, op: str, exponent: int) -> Terms | None:
        terms = self._known.get(exponent)
        if terms is None:
            return None
        algebra = self.algebra
        sums: list[int | None] = [None, None]
        for gy, gx in terms:
            depends = (1 if self.axes_below(gy) else 0) | (2 if self.axes_below(gx) else 0)
            if depends == 3 or self._sign(gy) * self._sign(gx) != -1:
                return None
            side = 0 if depends == 1 else 1
            sums[side] = algebra.add(sums[side], algebra.mul(gy, gx))
        factors = [self.one if s is None else self.builder.apply(op, (s,)) for s in sums]
        return [(factors[0], factors[1])]

    def _split_select(self, args: tuple[int, ...]) -> Terms | None:
        test, a, b = args
        bits = self.axes_below(test)
        yes, no = self._known.get(a), self._known.get(b)
        if bits not in (0, 1, 2) or yes is None or no is None:
            return None
        side = 0 if bits == 1 else 1
        zero = self.builder.constant_index(0.0)
        out = []
        for terms, taken in ((yes, True), (no, False)):
            for term in terms:
                factors = list(term)
                branches = (factors[side], zero) if taken else (zero, factors[side])
                factors[side] = self.builder.apply("select", (test, *branches))
                # The other factor may be infinite or nan where this branch is not taken: 0 * inf would spread.
                if self.axes_below(factors[1 - side]) and not self._tame(factors[1 - side]):
                    return None
                out.append((factors[0], factors[1]))
        return self._merged(out)

    def _tame(self, i: int) -> bool:
        """Finite for finite coordinates by structure: sums, products and bounded functions of them."""
        safe = {"add", "sub", "mul", "neg", "square", "sin", "cos", "tanh", "arctan", "expit", "abs", "erf", "erfc"}
        ops = self.builder.ops
        return all(ops[j] in safe or ops[j] in ("constant", "coordinate", "parameter") for j in self.builder.below([i]))

    def _merged(self, terms: Terms) -> Terms | None:
        """Terms with an equal factor become one: ``g*a + g*b = g*(a + b)``."""
        algebra = self.algebra
        out: Terms = []
        for gy, gx in terms:
            for k, (old_y, old_x) in enumerate(out):
                if old_x != gx and old_y != gy:
                    continue
                total = algebra.add(old_y, gy) if old_x == gx else algebra.add(old_x, gx)
                if total is None:
                    del out[k]
                else:
                    out[k] = (total, gx) if old_x == gx else (gy, total)
                break
            else:
                out.append((gy, gx))
        out = self._gathered(out)
        return out if len(out) <= LONGEST_SUM else None

    def _gathered(self, terms: Terms) -> Terms:
        """Terms in x alone share a number as y factor, and the other way round: ``3 x + 5 x^2`` is one term."""
        algebra = self.algebra
        alone: dict[int, int | None] = {1: None, 0: None}
        out: Terms = []
        for gy, gx in terms:
            by, bx = self.axes_below(gy), self.axes_below(gx)
            if by and bx:
                out.append((gy, gx))
            else:
                side = 0 if by else 1
                alone[side] = algebra.add(alone[side], algebra.mul(gy, gx))
        for side, total in alone.items():
            if total is not None and algebra.value(total) != 0.0:
                out.append((self.one, total) if side == 1 else (total, self.one))
        return out

    # -- signs by structure ------------------------------------------------------------------------------------------
    def _sign(self, root: int) -> int:
        """+1 never negative, -1 never positive, 0 not known."""
        if root not in self._signs:
            for i in self.builder.below([root]):
                if i not in self._signs:
                    self._signs[i] = self._sign_of(i)
        return self._signs[root]

    def _sign_of(self, i: int) -> int:
        builder, signs = self.builder, self._signs
        op, args = builder.ops[i], builder.args[i]
        if op == "constant":
            value = builder.payload[i]
            return 0 if isinstance(value, complex) or value != value else 1 if value >= 0 else -1
        if op not in OPS or builder.flags[i] & COMPLEX:
            return 0
        rule = OPS[op].rule
        if rule in _NEVER_NEGATIVE:
            return 1
        if rule == "neg":
            return -signs[args[0]]
        if rule in ("mul", "div"):
            return 1 if rule == "mul" and args[0] == args[1] else signs[args[0]] * signs[args[1]]
        if rule in ("add", "sub"):
            second = signs[args[1]] if rule == "add" else -signs[args[1]]
            return signs[args[0]] if signs[args[0]] == second else 0
        if rule in ("max", "maximum"):
            return 1 if 1 in (signs[args[0]], signs[args[1]]) else min(signs[args[0]], signs[args[1]])
        if rule == "pow":
            n = self.algebra.value(args[1])
            return 1 if signs[args[0]] == 1 or (isinstance(n, float) and n % 2 == 0) else 0
        return 0


_NEVER_NEGATIVE = frozenset({"square", "abs", "fabs", "exp", "exp2", "exp10", "sqrt", "expit", "hypot", "erfc", "cosh"})
