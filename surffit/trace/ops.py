"""The closed table of operations a graph may hold.

A document, a derivative rule or emitted source can only name what stands here.  Each entry keeps the very function a
user's code would have called (``np.exp`` and ``math.exp`` differ in the last bit), so that replaying a graph gives the
user's own numbers back.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from .special import complex_polygamma


class Op(NamedTuple):
    """One operation.

    Attributes
    ----------
    name : str
        Name in the table and in documents.
    arity : int
        Number of arguments.
    function : callable
        Evaluates it on arrays and numpy scalars.
    infix : str or None
        Template of the Python operator that means the same, if there is one.
    result : {"same", "real", "bool", "complex"}
        Kind of the result; "same" is complex when an argument is.
    rule : str
        Name of the operation whose derivative rule holds (``math.exp`` follows ``exp``).
    scalar : callable or None
        Faster function with identical bits for Python floats; it may raise where numpy returns inf or nan.
    real_only : bool
        True when the operation has no meaning for complex arguments.
    """

    name: str
    arity: int
    function: Callable[..., Any]
    infix: str | None = None
    result: str = "same"
    rule: str = ""
    scalar: Callable[..., Any] | None = None
    real_only: bool = False


def first_wins_max(a: Any, b: Any) -> Any:
    """Builtin ``max(a, b)`` on scalars; the same choice point by point on arrays (ties and NaN keep `a`)."""
    if np.ndim(a) == 0 and np.ndim(b) == 0:
        return max(a, b)
    return np.where(np.greater(b, a), b, a)


def first_wins_min(a: Any, b: Any) -> Any:
    """Builtin ``min(a, b)`` on scalars; the same choice point by point on arrays (ties and NaN keep `a`)."""
    if np.ndim(a) == 0 and np.ndim(b) == 0:
        return min(a, b)
    return np.where(np.less(b, a), b, a)


def real_power(a: Any, b: Any) -> Any:
    """``a ** b`` where a negative float to a fractional power is nan, as on arrays, and never complex."""
    value = a**b
    if type(value) is complex and type(a) is not complex and type(b) is not complex:
        return math.nan
    return value


def _select(test: Any, a: Any, b: Any) -> Any:
    return np.where(test, a, b)[()]


def _guarded(exact: Callable[..., Any], array: Callable[..., Any]) -> Callable[..., Any]:
    """`exact` from the math module on scalars, numpy's answer (inf, nan) where it refuses, numpy on arrays."""

    def function(*args: Any) -> Any:
        if any(np.ndim(a) for a in args):
            return array(*args)
        try:
            return np.float64(exact(*(float(a) for a in args)))
        except (ArithmeticError, ValueError):
            return array(*args)

    return function


def _integer_order(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(order: Any, x: Any) -> Any:
        return function(int(order), x)

    return call


_INFIX: dict[str, tuple[str, Callable[..., Any]]] = {
    "add": ("({} + {})", operator.add),
    "sub": ("({} - {})", operator.sub),
    "mul": ("({} * {})", operator.mul),
    "div": ("({} / {})", operator.truediv),
    "pow": ("({} ** {})", real_power),
    "floordiv": ("({} // {})", operator.floordiv),
    "mod": ("({} % {})", operator.mod),
    "neg": ("(-{})", operator.neg),
    "lt": ("({} < {})", operator.lt),
    "le": ("({} <= {})", operator.le),
    "gt": ("({} > {})", operator.gt),
    "ge": ("({} >= {})", operator.ge),
    "eq": ("({} == {})", operator.eq),
    "ne": ("({} != {})", operator.ne),
    "and": ("({} & {})", operator.and_),
    "or": ("({} | {})", operator.or_),
    "xor": ("({} ^ {})", operator.xor),
    "invert": ("(~{})", operator.invert),
}
COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})
_REAL_INFIX = frozenset({"lt", "le", "gt", "ge", "floordiv", "mod"})

_COMPLEX_UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sqrt square reciprocal sin cos tan arcsin arccos arctan sinh cosh tanh "
    "arcsinh arccosh arctanh conjugate positive"
)
_REAL_UNARY = "cbrt fabs sign floor ceil rint trunc deg2rad rad2deg radians degrees"
_TESTS = "isnan isfinite isinf signbit logical_not"
_REAL_BINARY = "maximum minimum fmax fmin arctan2 hypot copysign heaviside logaddexp logaddexp2 fmod"
_LOGIC = "logical_and logical_or logical_xor"

_SPECIAL_COMPLEX = "erf erfc erfcx erfi dawsn expm1 log1p gamma loggamma rgamma psi exp1 expi"
_SPECIAL_REAL = "expit logit log_expit gammaln j0 j1 y0 y1 i0 i1 i0e i1e k0 k1 ndtr log_ndtr ndtri erfinv erfcinv exp10 exp2 cbrt sinc"
_SPECIAL_BINARY = "beta betaln xlogy xlog1py"
_SPECIAL_ORDER = "jv yv iv kv gammainc gammaincc hyp0f1"

# Names that numpy and scipy both use, for two different implementations.
_SHARED = frozenset({"expm1", "log1p", "exp2", "cbrt"})

_MATH = {
    "exp": "exp", "expm1": "expm1", "log": "log", "log2": "log2", "log10": "log10", "log1p": "log1p", "sqrt": "sqrt",
    "sin": "sin", "cos": "cos", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "fabs": "fabs",
    "degrees": "degrees", "radians": "radians", "cbrt": "cbrt", "exp2": "exp2", "erf": "erf", "erfc": "erfc",
    "gamma": "gamma", "lgamma": "gammaln", "atan2": "arctan2", "hypot": "hypot", "copysign": "copysign", "pow": "power",
}  # fmt: skip


def _build() -> dict[str, Op]:
    table: dict[str, Op] = {}

    def put(name: str, arity: int, function: Callable[..., Any], **options: Any) -> None:
        table[name] = Op(name, arity, function, **{"rule": name, **options})

    for name, (template, function) in _INFIX.items():
        result = "bool" if name in COMPARISONS else "same"
        put(name, template.count("{}"), function, infix=template, result=result, real_only=name in _REAL_INFIX)
    for name in _COMPLEX_UNARY.split():
        put(name, 1, getattr(np, name))
    for name in _REAL_UNARY.split():
        put(name, 1, getattr(np, name), real_only=True)
    for name in _TESTS.split():
        put(name, 1, getattr(np, name), result="bool")
    for name in _REAL_BINARY.split():
        put(name, 2, getattr(np, name), real_only=True)
    for name in _LOGIC.split():
        put(name, 2, getattr(np, name), result="bool")
    put("abs", 1, np.absolute, result="real", scalar=abs)
    put("real", 1, np.real, result="real", infix="{}.real")
    put("imag", 1, np.imag, result="real", infix="{}.imag")
    put("power", 2, np.power)
    put("float_power", 2, np.float_power)
    put("select", 3, _select)
    put("max", 2, first_wins_max, scalar=max, real_only=True)
    put("min", 2, first_wins_min, scalar=min, real_only=True)
    put("np.sinc", 1, np.sinc, real_only=True)
    put("wofz", 1, special.wofz, result="complex")
    put("voigt_profile", 3, special.voigt_profile, real_only=True)
    put("complex_polygamma", 2, complex_polygamma, result="complex")
    put("polygamma", 2, special.polygamma, real_only=True)
    put("spherical_jn", 2, _integer_order(special.spherical_jn), real_only=True)
    for name in _SPECIAL_COMPLEX.split():
        key = f"special.{name}" if name in _SHARED else name
        put(key, 1, getattr(special, name), rule=name)
    for name in _SPECIAL_REAL.split():
        if name == "sinc":
            continue  # numpy's, above
        key = f"special.{name}" if name in _SHARED else name
        put(key, 1, getattr(special, name), rule=name, real_only=True)
    for name in _SPECIAL_BINARY.split():
        put(name, 2, getattr(special, name), real_only=name in ("beta", "betaln"))
    for name in _SPECIAL_ORDER.split():
        put(name, 2, getattr(special, name), real_only=True)
    for name, twin in _MATH.items():
        exact = getattr(math, name)
        array = table[twin].function
        put(f"math.{name}", table[twin].arity, _guarded(exact, array), rule=twin, scalar=exact, real_only=True)
    # Both are correctly rounded, so math's is the same number as numpy's.
    table["sqrt"] = table["sqrt"]._replace(scalar=math.sqrt)
    return table


OPS = MappingProxyType(_build())

_UFUNC_ALIASES = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "div", np.negative: "neg",
    np.floor_divide: "floordiv", np.remainder: "mod", np.less: "lt", np.less_equal: "le", np.greater: "gt",
    np.greater_equal: "ge", np.equal: "eq", np.not_equal: "ne", np.bitwise_and: "and", np.bitwise_or: "or",
    np.bitwise_xor: "xor", np.invert: "invert", np.absolute: "abs",
}  # fmt: skip


def _ufuncs() -> dict[Any, str]:
    known: dict[Any, str] = dict(_UFUNC_ALIASES)
    for op in OPS.values():
        if isinstance(op.function, np.ufunc):
            known.setdefault(op.function, op.name)
    return known


UFUNCS = MappingProxyType(_ufuncs())
"""numpy and scipy.special ufuncs that can be recorded, with their names in the table."""

FIRST_ARGUMENT_FIXED = frozenset({*_SPECIAL_ORDER.split(), "polygamma", "spherical_jn", "complex_polygamma"})
"""Operations whose first argument (an order) has no derivative here and so must not hold a parameter."""

WHOLE_ORDER = frozenset({"polygamma", "complex_polygamma", "spherical_jn"})
"""Operations whose first argument is a small whole number; a large one (from a file, say) could run for hours."""

BOOL_ARGUMENTS = frozenset({
    "add", "sub", "mul", "div", *COMPARISONS, "and", "or", "xor", "invert", *_LOGIC.split(), "logical_not", "select",
    "maximum", "minimum",
})  # fmt: skip
"""Operations that may take truth values; numpy would go to half precision or to integers in the others."""
