"""
Scalar source from a graph: one data set, one loop over its points, the value and all slopes together.

What does not depend on coordinates is computed once in front of the loop, so are reciprocals of such divisors; what value and
slopes share is computed once. Compiled by numba against a signature that the caller gives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .builder import ARRAY, BOOL, COMPLEX, Builder
from .derive import derive
from .emit import compile_source
from .node import Node
from .ops import OPS

__all__ = ["NoScalarForm", "scalar_function", "scalar_source"]

# numpy's functions that numba takes for numbers, by the names of the operations
_NUMPY = (
    "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh floor ceil rint "
    "trunc fabs sign deg2rad rad2deg radians degrees isnan isfinite isinf signbit arctan2 hypot copysign fmod logaddexp logaddexp2 "
    "conjugate cbrt"
)
_MATH = (
    "exp expm1 log log2 log10 log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh fabs degrees radians gamma lgamma atan2 "
    "hypot copysign erf erfc pow"
)
_TEXTS = {
    "add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})", "div": "({0} / {1})", "neg": "(-{0})", "positive": "{0}",
    "lt": "({0} < {1})", "le": "({0} <= {1})", "gt": "({0} > {1})", "ge": "({0} >= {1})", "eq": "({0} == {1})", "ne": "({0} != {1})",
    "mod": "({0} % {1})", "floordiv": "np.floor({0} / {1})", "real": "({0}).real", "imag": "({0}).imag", "square": "({0} * {0})",
    "reciprocal": "(1.0 / {0})", "select": "({1} if {0} else {2})", "pow": "({0} ** {1})", "power": "({0} ** {1})", "float_power": "({0} ** {1})",
    "max": "({1} if {1} > {0} else {0})", "min": "({1} if {1} < {0} else {0})",
    "maximum": "({0} if ({0} >= {1} or {0} != {0}) else {1})", "minimum": "({0} if ({0} <= {1} or {0} != {0}) else {1})",
    "fmax": "({0} if ({0} >= {1} or {1} != {1}) else {1})", "fmin": "({0} if ({0} <= {1} or {1} != {1}) else {1})",
    "and": "({0} and {1})", "or": "({0} or {1})", "xor": "({0} != {1})", "invert": "(not {0})",
    "logical_and": "({0} != 0 and {1} != 0)", "logical_or": "({0} != 0 or {1} != 0)", "logical_xor": "(({0} != 0) != ({1} != 0))",
    "logical_not": "({0} == 0)", "heaviside": "(0.0 if {0} < 0.0 else ({1} if {0} == 0.0 else 1.0))",
    "abs": "abs({0})", "erf": "math.erf({0})", "erfc": "math.erfc({0})",
}  # fmt: skip
# operations that are no function of real numbers in scipy's table of C functions, or none at all
_NOT_SPECIAL = frozenset({"wofz", "loggamma", "complex_polygamma", "polygamma", "spherical_jn", "np.sinc"})
# products of one factor are faster than powers, and as exact
LARGEST_POWER = 8
LONGEST = 200


class NoScalarForm(ValueError):
    """A graph holds something that can't be computed number by number; the message says what."""


def scalar_source(
    builder: Builder, node: Node, *, free: Sequence[str], known: Sequence[str], coordinates: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """
    Source of ``kern(X, first, p, y, w, r, J) -> chi2``, and what its names mean.

    Parameters
    ----------
    builder : Builder
    node : Node
        The model's value.
    free, known : sequence of str
        Parameters in the order of `p`; there are slopes for the `free` ones.
    coordinates : sequence of str
        In the order of the rows of `X`; the data set's begin at column `first`.

    Returns
    -------
    source : str
        Fills in ``r = (y - f) w`` and ``J[k] = w df/dp_k``; points of weight 0 get zeros and are not evaluated.
    scope : dict

    Raises
    ------
    NoScalarForm
        If an operation has no scalar form.
    """
    with builder.lock:
        root = builder.lift(node)
        slopes = [derive(builder, root, name) for name in free]
        writer = _Writer(builder, [*free, *known], coordinates, [root, *(s for s in slopes if s is not None)])
    zeros = [f"            J[{k}, i] = 0.0" for k in range(len(free))]
    lines = ["def kern(X, first, p, y, w, r, J):"]
    lines += [f"    p{k} = p[{k}]" for k in range(len(free) + len(known))]
    lines += [f"    {line}" for line in writer.head]
    lines += ["    total = 0.0", "    for i in range(y.shape[0]):", "        u = w[i]"]
    lines += ["        if u == 0.0:", "            r[i] = 0.0", *zeros, "            continue"]
    lines += [f"        x{k} = X[{k}, first + i]" for k in range(len(coordinates))]
    lines += [f"        {line}" for line in writer.body]
    lines += [f"        d = (y[i] - {writer.text[root]}) * u", "        r[i] = d", "        total += d * d"]
    lines += [f"        J[{k}, i] = " + ("0.0" if s is None else f"{writer.text[s]} * u") for k, s in enumerate(slopes)]
    lines.append("    return total")
    return "\n".join(lines) + "\n", writer.scope


def scalar_function(
    builder: Builder, node: Node, *, free: Sequence[str], known: Sequence[str], coordinates: Sequence[str], signature: Any
) -> Any:
    """The compiled function of `scalar_source`, for one numba signature."""
    from numba import njit

    source, scope = scalar_source(builder, node, free=free, known=known, coordinates=coordinates)
    function = compile_source(source, "kern", scope)
    return njit(signature, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})(function)


class _Writer:
    """Statements before and inside the loop."""

    def __init__(self, builder: Builder, names: Sequence[str], coordinates: Sequence[str], outputs: Sequence[int]) -> None:
        self.builder = builder
        self.scope: dict[str, Any] = {"np": np, "math": math, "range": range, "abs": abs, "complex": complex}
        self.text: dict[int, str] = {}
        self.head: list[str] = []
        self.body: list[str] = []
        self._inverse: set[int] = set()
        for k, name in enumerate(names):
            if name in builder.parameters:
                self.text[builder.parameters[name]] = f"p{k}"
        for k, name in enumerate(coordinates):
            if name in builder.coordinates:
                self.text[builder.coordinates[name]] = f"x{k}"
        order = builder.below(outputs)
        uses = dict.fromkeys(order, 0)
        for i in order:
            for a in builder.args[i]:
                uses[a] += 1
        for i in outputs:
            uses[i] += 1
        for i in order:
            if i not in self.text:
                self._write(i, uses[i])

    def _write(self, i: int, uses: int) -> None:
        builder, op = self.builder, self.builder.ops[i]
        if op == "constant":
            self.text[i] = self._constant(builder.payload[i])
            return
        if op == "array":
            msg = "its graph holds arrays"
            raise NoScalarForm(msg)
        text = self._operation(i, op)
        varies = bool(builder.flags[i] & ARRAY)
        # a choice needs its arguments as names: its text repeats them
        if uses > 1 or not varies or len(text) > LONGEST or (op in _TEXTS and _repeats(_TEXTS[op])):
            (self.body if varies else self.head).append(f"t{i} = {text}")
            text = f"t{i}"
        self.text[i] = text

    def _named(self, a: int) -> str:
        """An argument by name: texts that repeat it would compute it twice."""
        text = self.text[a]
        if re.fullmatch(r"[a-z]\d+|\(?-?[\d.e+-]+\)?", text):
            return text
        varies = bool(self.builder.flags[a] & ARRAY)
        (self.body if varies else self.head).append(f"t{a} = {text}")
        self.text[a] = f"t{a}"
        return self.text[a]

    def _operation(self, i: int, op: str) -> str:
        builder = self.builder
        args = builder.args[i]
        below = 0
        for a in args:
            below |= builder.flags[a]
        if op in ("pow", "power") and not below & COMPLEX:
            power = self._whole_power(args)
            if power is not None:
                return power
        if op == "div" and builder.flags[i] & ARRAY and not (builder.flags[args[1]] & ARRAY) and not below & COMPLEX:
            if args[1] not in self._inverse:
                self._inverse.add(args[1])
                self.head.append(f"q{args[1]} = 1.0 / {self.text[args[1]]}")
            return f"({self.text[args[0]]} * q{args[1]})"
        if op in _TEXTS and not (below & COMPLEX and op in ("erf", "erfc")):
            form = _TEXTS[op]
            texts = [self._named(a) if form.count(f"{{{k}}}") > 1 else self.text[a] for k, a in enumerate(args)]
            if below & BOOL and op in ("add", "sub", "mul", "div", "maximum", "minimum"):
                texts = [f"({t} * 1.0)" if builder.flags[a] & BOOL else t for t, a in zip(texts, args, strict=True)]
            return form.format(*texts)
        return f"{self._function(op, len(args), bool(below & COMPLEX))}({', '.join(self.text[a] for a in args)})"

    def _whole_power(self, args: Sequence[int]) -> str | None:
        value = self.builder.payload[args[1]] if self.builder.ops[args[1]] == "constant" else None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or not 1 <= abs(value) <= LARGEST_POWER:
            return None
        product = "(" + " * ".join([self._named(args[0])] * abs(int(value))) + ")"
        return product if value > 0 else f"(1.0 / {product})"

    def _function(self, op: str, arity: int, is_complex: bool) -> str:
        if op in _NUMPY.split():
            return f"np.{op}"
        base = op.removeprefix("math.")
        if op.startswith("math.") and base in _MATH.split():
            return f"math.{base}"
        if is_complex or op in _NOT_SPECIAL:
            msg = f"{op} has no scalar form" + (" for complex numbers" if is_complex else "")
            raise NoScalarForm(msg)
        name = OPS[op].rule if op.startswith(("special.", "math.")) else op
        found = special_function(name.removeprefix("special."), arity)
        if found is None:
            msg = f"{op} has no scalar form"
            raise NoScalarForm(msg)
        self.scope[f"f_{name}"] = found
        return f"f_{name}"

    def _constant(self, value: Any) -> str:
        if isinstance(value, bool):
            return repr(value)
        if isinstance(value, complex):
            return f"complex({self._constant(value.real)}, {self._constant(value.imag)})"
        number = float(value)
        if not math.isfinite(number):
            return "np.nan" if math.isnan(number) else "np.inf" if number > 0 else "(-np.inf)"
        return repr(number) if math.copysign(1.0, number) > 0 else f"({number!r})"


def _repeats(form: str) -> bool:
    """Whether a text holds a choice."""
    return " if " in form


def special_function(name: str, arity: int) -> Callable[..., float] | None:
    """
    scipy's own C function of real arguments, callable from compiled code; None if there is none.

    Parameters
    ----------
    name : str
        As in `scipy.special.cython_special`.
    arity : int
    """
    import ctypes

    from numba.extending import get_cython_function_address
    from scipy.special import cython_special

    wanted = re.compile(rf"double \({', '.join(['double'] * arity)}(, int __pyx_skip_dispatch)?\)")
    for key, capsule in cython_special.__pyx_capi__.items():
        if re.sub(r"^(__pyx_fuse_\d+)+", "", key) == name and (match := re.search(r'"(.*)"', repr(capsule))) and wanted.fullmatch(match[1]):
            types = [ctypes.c_double] * arity + ([ctypes.c_int] if "skip_dispatch" in match[1] else [])
            address = get_cython_function_address("scipy.special.cython_special", key)
            pointer = ctypes.CFUNCTYPE(ctypes.c_double, *types)(address)
            if len(types) == arity:
                return pointer
            from numba import njit

            # Cython's own flag stands behind the arguments
            return njit(nogil=True)(_with_flag(pointer, arity))
    return None


def _with_flag(pointer: Any, arity: int) -> Callable[..., float]:
    if arity == 1:
        return lambda a: pointer(a, 1)
    if arity == 2:
        return lambda a, b: pointer(a, b, 1)
    return lambda a, b, c: pointer(a, b, c, 1)
