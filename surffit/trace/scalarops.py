"""Operations of the table as scalar expressions: what a template can't say is a named function, bound by the compiler's side."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from surffit.exceptions import TraceError

from .builder import BOOL, COMPLEX, Builder

BUILTINS = MappingProxyType({
    "range": range, "abs": abs, "complex": complex, "nan": math.nan, "inf": math.inf, "math": math, "cmath": cmath,
    "exp": math.exp,
})  # fmt: skip
"""Names that every kernel may use."""

CHEAP = frozenset({
    "add", "sub", "mul", "div", "neg", "square", "positive", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "invert", "abs",
    "select", "maximum", "minimum",
})  # fmt: skip
"""Operations that cost no more than reading their result from memory."""

# {0}, {1}, {2}: the arguments, which are names or numbers
_REAL = {
    "neg": "-{0}", "positive": "{0}", "square": "{0} * {0}", "reciprocal": "1.0 / {0}", "abs": "abs({0})", "fabs": "abs({0})",
    "floordiv": "f_floor({0} / {1})", "fmod": "math.fmod({0}, {1})", "conjugate": "{0}", "real": "{0}", "imag": "0.0 * {0}",
    "sqrt": "math.sqrt({0})", "sign": "(1.0 if {0} > 0.0 else (-1.0 if {0} < 0.0 else {0}))",
    "deg2rad": "{0} * 0.017453292519943295", "radians": "{0} * 0.017453292519943295",
    "rad2deg": "{0} * 57.29577951308232", "degrees": "{0} * 57.29577951308232",
    "isnan": "{0} != {0}", "isfinite": "math.isfinite({0})", "isinf": "math.isinf({0})", "signbit": "math.copysign(1.0, {0}) < 0.0",
    "maximum": "({0} if ({0} >= {1} or {0} != {0}) else {1})", "minimum": "({0} if ({0} <= {1} or {0} != {0}) else {1})",
    "fmax": "({0} if ({0} >= {1} or {1} != {1}) else {1})", "fmin": "({0} if ({0} <= {1} or {1} != {1}) else {1})",
    "max": "({1} if {1} > {0} else {0})", "min": "({1} if {1} < {0} else {0})",
    "heaviside": "({1} if {0} == 0.0 else (1.0 if {0} > 0.0 else (0.0 if {0} < 0.0 else {0})))",
    "expit": "1.0 / (1.0 + exp(-{0}))", "exp10": "10.0 ** {0}", "exp2": "2.0 ** {0}",
    "logit": "math.log({0} / (1.0 - {0}))", "cbrt": "math.copysign(abs({0}) ** 0.3333333333333333, {0})",
    "log2": "math.log({0}) * 1.4426950408889634", "arctan2": "math.atan2({0}, {1})",
    "np.sinc": "(1.0 if {0} == 0.0 else math.sin(3.141592653589793 * {0}) / (3.141592653589793 * {0}))",
    "floor": "f_floor({0})", "ceil": "-f_floor(-{0})", "trunc": "math.copysign(f_floor(abs({0})), {0})",
}  # fmt: skip
_LIBRARY = {
    "exp": "exp", "expm1": "expm1", "log": "log", "log10": "log10", "log1p": "log1p", "sin": "sin", "cos": "cos", "tan": "tan",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "hypot": "hypot", "copysign": "copysign", "erf": "erf", "erfc": "erfc",
    "gamma": "gamma", "gammaln": "lgamma",
}  # fmt: skip
_COMPLEX = {
    "neg": "-{0}", "positive": "{0}", "square": "{0} * {0}", "reciprocal": "1.0 / {0}", "abs": "abs({0})", "conjugate": "{0}.conjugate()",
    "real": "{0}.real", "imag": "{0}.imag", "isnan": "{0} != {0}", "isfinite": "cmath.isfinite({0})", "isinf": "cmath.isinf({0})",
}  # fmt: skip
_COMPLEX_LIBRARY = {
    name: _LIBRARY.get(name, name)
    for name in [
        "exp",
        "log",
        "log10",
        "sqrt",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "arcsinh",
        "arccosh",
        "arctanh",
    ]
}
# {n}: the function's generated name
FUNCTIONS = frozenset({
    "floor", "rint", "mod", "logaddexp", "logaddexp2", "xlogy", "xlog1py", "log_expit", "erfcx", "erfi", "dawsn", "rgamma", "psi", "exp1",
    "expi", "loggamma", "j0", "j1", "y0", "y1", "i0", "i1", "i0e", "i1e", "k0", "k1", "ndtr", "log_ndtr", "ndtri", "erfinv", "erfcinv",
    "beta", "betaln", "jv", "yv", "iv", "kv", "gammainc", "gammaincc", "hyp0f1", "voigt_profile", "wofz", "polygamma", "spherical_jn",
})  # fmt: skip
COMPLEX_FUNCTIONS = frozenset({"erf", "erfc", "erfcx", "erfi", "dawsn", "gamma", "loggamma", "rgamma", "psi", "exp1", "expi", "wofz"})
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_LOGIC = {"and": "and", "or": "or", "logical_and": "and", "logical_or": "or"}
_POWERS = {0.5: "math.sqrt({0})", -0.5: "1.0 / math.sqrt({0})", 1.5: "{0} * math.sqrt({0})"}
LARGEST_POWER = 16


def operation(builder: Builder, i: int, texts: list[str]) -> tuple[str, tuple[str, ...]]:
    """
    One node as an expression.

    Parameters
    ----------
    builder : Builder
    i : int
        Number of the node.
    texts : list of str
        Its arguments: names or numbers.

    Returns
    -------
    text : str
    functions : tuple of str
        Names in `FUNCTIONS` that stand in it; "c." in front of those on complex numbers.

    Raises
    ------
    TraceError
        If it has no scalar form.
    """
    op, args, flags = builder.ops[i], builder.args[i], builder.flags
    if not flags[i] & COMPLEX and all(flags[a] & BOOL for a in args) and op in ("add", "mul", "maximum", "minimum"):
        return f"({texts[0]} {'or' if op in ('add', 'maximum') else 'and'} {texts[1]})", ()
    if op in _LOGIC or op in ("xor", "logical_xor", "invert", "logical_not"):
        return _logic(op, [_truth(builder, a, text) for a, text in zip(args, texts, strict=True)]), ()
    if op == "select":
        return _choice(builder, i, texts), ()
    texts = [f"(1.0 if {text} else 0.0)" if flags[a] & BOOL else text for a, text in zip(args, texts, strict=True)]
    name = op.removeprefix("math.").removeprefix("special.")
    name = _MATH_NAMES.get(name, name) if op.startswith("math.") else name
    if any(flags[a] & COMPLEX for a in args) or name == "wofz":
        return _complex(
            builder, i, name, [text if flags[a] & COMPLEX else f"complex({text}, 0.0)" for a, text in zip(args, texts, strict=True)]
        )
    if name in _ARITHMETIC:
        return f"{texts[0]} {_ARITHMETIC[name]} {texts[1]}", ()
    if name in _COMPARE:
        return f"{texts[0]} {_COMPARE[name]} {texts[1]}", ()
    if name in ("pow", "power", "float_power"):
        return _power(builder, args, texts), ()
    if name in _REAL:
        text = _REAL[name].format(*texts)
        return text, (("floor",) if "f_floor" in text else ())
    if name in _LIBRARY:
        # the compiler's side puts its own in the place of exp
        return f"{'' if name == 'exp' else 'math.'}{_LIBRARY[name]}({', '.join(texts)})", ()
    if name in FUNCTIONS:
        return f"f_{name}({', '.join(texts)})", (name,)
    raise _missing(op)


_MATH_NAMES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "lgamma": "gammaln",
    "atan2": "arctan2",
}  # fmt: skip


def _missing(op: str) -> TraceError:
    msg = f"{op} has no compiled form"
    return TraceError(msg, operation=op)


def _truth(builder: Builder, i: int, text: str) -> str:
    return text if builder.flags[i] & BOOL else f"({text} != 0.0)"


def _logic(op: str, texts: list[str]) -> str:
    if op in ("invert", "logical_not"):
        return f"(not {texts[0]})"
    if op in ("xor", "logical_xor"):
        return f"({texts[0]} != {texts[1]})"
    return f"({texts[0]} {_LOGIC[op]} {texts[1]})"


def _choice(builder: Builder, i: int, texts: list[str]) -> str:
    args, flags = builder.args[i], builder.flags
    test = _truth(builder, args[0], texts[0])
    branches = []
    for a, text in zip(args[1:], texts[1:], strict=True):
        if flags[a] & BOOL and not flags[i] & BOOL:
            text = f"(1.0 if {text} else 0.0)"
        if flags[i] & COMPLEX and not flags[a] & COMPLEX:
            text = f"complex({text}, 0.0)"
        branches.append(text)
    return f"({branches[0]} if {test} else {branches[1]})"


def _power(builder: Builder, args: tuple[int, ...], texts: list[str]) -> str:
    exponent = builder.payload[args[1]] if builder.ops[args[1]] == "constant" else None
    base = texts[0]
    if isinstance(exponent, float) and not isinstance(exponent, bool):
        if exponent in _POWERS:
            return _POWERS[exponent].format(base)
        if exponent.is_integer() and 0 < abs(exponent) <= LARGEST_POWER:
            product = _product(base, int(abs(exponent)))
            return product if exponent > 0 else f"1.0 / ({product})"
    return f"{base} ** {texts[1]}"


def _product(base: str, n: int) -> str:
    """base**n by squares of squares."""
    if n == 1:
        return base
    half = _product(base, n // 2)
    text = f"({half}) * ({half})"
    return text if n % 2 == 0 else f"{text} * {base}"


def _complex(builder: Builder, i: int, name: str, texts: list[str]) -> tuple[str, tuple[str, ...]]:
    if name in _ARITHMETIC:
        return f"{texts[0]} {_ARITHMETIC[name]} {texts[1]}", ()
    if name in ("eq", "ne"):
        return f"{texts[0]} {_COMPARE[name]} {texts[1]}", ()
    if name in ("pow", "power", "float_power"):
        args = builder.args[i]
        exponent = builder.payload[args[1]] if builder.ops[args[1]] == "constant" else None
        if isinstance(exponent, float) and exponent.is_integer() and 0 < abs(exponent) <= LARGEST_POWER:
            product = _product(texts[0], int(abs(exponent)))
            return (product if exponent > 0 else f"1.0 / ({product})"), ()
        return f"{texts[0]} ** {texts[1]}", ()
    if name in _COMPLEX:
        return _COMPLEX[name].format(*texts), ()
    if name in _COMPLEX_LIBRARY:
        return f"cmath.{_COMPLEX_LIBRARY[name]}({', '.join(texts)})", ()
    if name in COMPLEX_FUNCTIONS:
        return f"f_c_{name}({', '.join(texts)})", (f"c.{name}",)
    raise _missing(name)


Function = Callable[..., Any]
