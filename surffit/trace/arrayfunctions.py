"""numpy functions (those that are not ufuncs) as nodes, reached through ``__array_function__``.

Each handler repeats numpy's own formula, operation by operation, so that the recorded value is the same number.
A function that stands in no table here is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import special

from surffit.exceptions import TraceError


class Positions(tuple):
    """What ``numpy.where(test)`` returns: good for nothing but writing (``y[where(test)] = number``)."""

    test: Any

    def __new__(cls, test: Any) -> Positions:
        self = super().__new__(cls, (None,))
        self.test = test
        return self


class Shape:
    """The shape of a recorded array: good for nothing but making another array of it (``ones(shape(x))``)."""

    def __init__(self, like: Any) -> None:
        self.like = like

    def _refuse(self, *args: Any) -> Any:
        msg = "the shape of a coordinate is not known while the function is recorded"
        raise TraceError(msg)

    __len__ = __iter__ = __getitem__ = __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __add__ = __radd__ = _refuse
    __mul__ = __rmul__ = __contains__ = __bool__ = __index__ = __int__ = __array__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def dispatch(builder: Any, func: Any, args: Any, kwargs: Any) -> Any:
    """Record numpy's `func`, or refuse it by name."""
    handler = FUNCTIONS.get(func)
    if handler is None:
        msg = f"numpy.{getattr(func, '__name__', func)} can't be recorded"
        raise TraceError(msg, operation=getattr(func, "__name__", str(func)))
    try:
        return handler(builder, *args, **kwargs)
    except TypeError as err:
        msg = f"numpy.{func.__name__} can't be recorded with these arguments: {err}"
        raise TraceError(msg, operation=func.__name__) from err


def is_node(value: Any) -> bool:
    """Whether `value` is a recorded number or array."""
    return hasattr(type(value), "__array_ufunc__") and hasattr(value, "_builder")


def is_array(builder: Any, value: Any) -> bool:
    """Whether `value` stands for an array."""
    if is_node(value):
        return hasattr(type(value), "__setitem__")
    return np.ndim(value) > 0


def _as_array(builder: Any, value: Any, like: Any) -> Any:
    """Handle on `value` that counts as an array where `like` does."""
    index = builder.lift(value)
    if not is_array(builder, like):
        return builder.node(index)
    return (like if is_node(like) else builder.array(np.zeros(np.shape(like)))).again(index)


def _where(builder: Any, test: Any, *branches: Any) -> Any:
    if not branches:
        return Positions(test)
    a, b = branches
    if not is_node(test):
        if np.ndim(test) == 0:
            # numpy would spread the chosen branch over both shapes; the shape alone differs here.
            chosen = a if test else b
            return chosen.again() if is_node(chosen) else builder.call("positive", chosen)
    elif not builder.flags[test._index] & 4:
        test = test != 0.0
    return builder.call("select", test, a, b)


def _clip(builder: Any, a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low = a_min if a_min is not None else min
    high = a_max if a_max is not None else max
    out = a
    if low is not None:
        out = builder.call("maximum", out, low)
    if high is not None:
        out = builder.call("minimum", out, high)
    return out


def polyval(builder: Any, p: Any, x: Any) -> Any:
    """Horner's rule, highest power first, as ``numpy.polyval``."""
    coefficients = list(p)
    if not coefficients:
        return _as_array(builder, 0.0, x)
    out = _as_array(builder, coefficients[0], x)
    for c in coefficients[1:]:
        out = out * x + c
    return out


def polynomial_polyval(builder: Any, x: Any, c: Any, tensor: bool = True) -> Any:
    """Horner's rule, lowest power first, as ``numpy.polynomial.polynomial.polyval``."""
    coefficients = list(c)
    out = coefficients[-1] + x * 0
    for k in range(2, len(coefficients) + 1):
        out = coefficients[-k] + out * x
    return out


def chebval(builder: Any, x: Any, c: Any, tensor: bool = True) -> Any:
    """Clenshaw's rule for Chebyshev series, as ``numpy.polynomial.chebyshev.chebval``."""
    coefficients = list(c)
    if len(coefficients) == 1:
        c0, c1 = coefficients[0], 0
    elif len(coefficients) == 2:
        c0, c1 = coefficients
    else:
        x2 = 2 * x
        c0, c1 = coefficients[-2], coefficients[-1]
        for k in range(3, len(coefficients) + 1):
            c0, c1 = coefficients[-k] - c1, c0 + c1 * x2
    return c0 + c1 * x


def legval(builder: Any, x: Any, c: Any, tensor: bool = True) -> Any:
    """Clenshaw's rule for Legendre series, as ``numpy.polynomial.legendre.legval``."""
    coefficients = list(c)
    if len(coefficients) == 1:
        c0, c1 = coefficients[0], 0
    elif len(coefficients) == 2:
        c0, c1 = coefficients
    else:
        n = len(coefficients)
        c0, c1 = coefficients[-2], coefficients[-1]
        for k in range(3, len(coefficients) + 1):
            n -= 1
            c0, c1 = coefficients[-k] - c1 * ((n - 1) / n), c0 + c1 * x * ((2 * n - 1) / n)
    return c0 + c1 * x


def full_like(builder: Any, a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None) -> Any:
    """An array variable with one value everywhere."""
    if shape is not None:
        msg = "full_like with shape= can't be recorded"
        raise TraceError(msg)
    return _as_array(builder, _of_kind(builder, fill_value, dtype), a)


def _of_kind(builder: Any, value: Any, dtype: Any) -> Any:
    if dtype is None:
        return value
    kind = np.dtype(dtype)
    if kind == np.float64:
        return value
    if kind == np.complex128:
        return value + 0j
    msg = f"an array of dtype {kind} can't be recorded; use float64"
    raise TraceError(msg)


def _zeros_like(builder: Any, a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None) -> Any:
    return full_like(builder, a, 0.0, dtype, shape=shape)


def _ones_like(builder: Any, a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None) -> Any:
    return full_like(builder, a, 1.0, dtype, shape=shape)


def converted(builder: Any, a: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    """``asarray``, ``array``, ``astype``: the same values, if the type stays a 64-bit one."""
    if not is_node(a):
        msg = "a list of symbols can't be made into an array while the function is recorded"
        raise TraceError(msg)
    if dtype is None:
        return a
    try:
        kind = np.dtype(dtype)
    except TypeError as err:
        msg = f"a conversion to {dtype!r} can't be recorded"
        raise TraceError(msg) from err
    flags = builder.flags[a._index]
    if kind == np.complex128:
        return a if flags & 2 else a + 0j
    if kind == np.float64 and not flags & 2:
        return a * 1.0 if flags & 4 else a
    msg = f"a conversion to {kind} can't be recorded; use float64"
    raise TraceError(msg)


def _fresh(builder: Any, a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    return converted(builder, a, dtype).again()


def _copy(builder: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    return a.again()


def _select(builder: Any, condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    out = default
    for test, choice in zip(reversed(list(condlist)), reversed(list(choicelist)), strict=True):
        out = builder.call("select", test, choice, out)
    return out


def _piecewise(builder: Any, x: Any, condlist: Any, funclist: Any, *args: Any, **kwargs: Any) -> Any:
    tests = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    pieces = list(funclist)
    out: Any = 0.0
    if len(pieces) == len(tests) + 1:
        out = _piece(pieces.pop(), x, args, kwargs)
    if len(pieces) != len(tests):
        msg = f"piecewise has {len(tests)} conditions and {len(funclist)} functions"
        raise TraceError(msg)
    for test, piece in zip(tests, pieces, strict=True):
        out = builder.call("select", test, _piece(piece, x, args, kwargs), out)
    return out


def _piece(piece: Any, x: Any, args: Any, kwargs: Any) -> Any:
    return piece(x, *args, **kwargs) if callable(piece) else piece


def _isclose(builder: Any, a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    finite = builder.call("isfinite", b) if is_node(b) else bool(np.all(np.isfinite(b)))
    near = builder.call("le", abs(a - b), atol + rtol * abs(b))
    close = builder.call("logical_or", builder.call("logical_and", near, finite), builder.call("eq", a, b))
    if equal_nan:
        both = builder.call("logical_and", builder.call("isnan", a), builder.call("isnan", b))
        close = builder.call("logical_or", close, both)
    return close


def _nan_to_num(builder: Any, x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if not copy:
        msg = "nan_to_num with copy=False can't be recorded"
        raise TraceError(msg)
    most = float(np.finfo(np.float64).max)
    out = builder.call("select", builder.call("isnan", x), nan, x)
    out = builder.call("select", builder.call("eq", x, math.inf), most if posinf is None else posinf, out)
    return builder.call("select", builder.call("eq", x, -math.inf), -most if neginf is None else neginf, out)


def _real(builder: Any, val: Any) -> Any:
    return val.real


def _imag(builder: Any, val: Any) -> Any:
    return val.imag


def _angle(builder: Any, z: Any, deg: bool = False) -> Any:
    angle = builder.call("arctan2", z.imag, z.real)
    return angle * (180 / np.pi) if deg else angle


def _same(builder: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    if is_array(builder, a):
        return a
    msg = "a single number can't become an array while the function is recorded"
    raise TraceError(msg)


def _ndim(builder: Any, a: Any) -> int:
    return int(_scalar_only(builder, a, 0))


def _shape(builder: Any, a: Any) -> Any:
    return Shape(a) if is_array(builder, a) and is_node(a) else tuple(_scalar_only(builder, a, ()))


def _filled(value: float) -> Callable[..., Any]:
    """``zeros``, ``ones``, ``empty`` of the shape of a coordinate."""

    def handler(builder: Any, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        return full_like(builder, shape.like, value, dtype)

    return handler


def _full(builder: Any, shape: Any, fill_value: Any, dtype: Any = None, **kwargs: Any) -> Any:
    if not isinstance(shape, Shape):
        msg = "full of a symbol with a given shape can't be recorded"
        raise TraceError(msg)
    return full_like(builder, shape.like, fill_value, dtype)


def _size(builder: Any, a: Any, axis: Any = None) -> int:
    return int(_scalar_only(builder, a, 1))


def _scalar_only(builder: Any, a: Any, answer: Any) -> Any:
    if is_array(builder, a):
        msg = "the shape of a coordinate is not known while the function is recorded"
        raise TraceError(msg)
    return answer


def _spherical_jn(builder: Any, n: Any, z: Any, derivative: bool = False) -> Any:
    if derivative:
        msg = "spherical_jn with derivative=True can't be recorded"
        raise TraceError(msg)
    return builder.call("spherical_jn", n, z)


def _polygamma(builder: Any, n: Any, x: Any) -> Any:
    return builder.call("psi", x) if n == 0 else builder.call("polygamma", n, x)


def _one(op: str) -> Callable[..., Any]:
    def handler(builder: Any, x: Any) -> Any:
        return builder.call(op, x)

    return handler


FUNCTIONS: MappingProxyType[Any, Callable[..., Any]] = MappingProxyType({
    np.where: _where, np.clip: _clip, np.polyval: polyval, np.full_like: full_like, np.zeros_like: _zeros_like,
    np.ones_like: _ones_like, np.empty_like: _zeros_like, np.copy: _copy, np.select: _select, np.piecewise: _piecewise,
    np.isclose: _isclose, np.nan_to_num: _nan_to_num, np.real: _real, np.imag: _imag, np.angle: _angle,
    np.sinc: _one("np.sinc"), np.atleast_1d: _same, np.ndim: _ndim, np.shape: _shape, np.size: _size,
})  # fmt: skip
"""Functions numpy hands over by itself when an argument is a node."""

REPLACED: MappingProxyType[Any, Callable[..., Any]] = MappingProxyType({
    np.array: _fresh, np.asarray: converted, np.asanyarray: converted, np.ascontiguousarray: converted,
    np.polyval: polyval, np.full_like: full_like,
    np.polynomial.polynomial.polyval: polynomial_polyval, np.polynomial.chebyshev.chebval: chebval,
    np.polynomial.legendre.legval: legval, special.spherical_jn: _spherical_jn, special.polygamma: _polygamma,
    np.zeros: _filled(0.0), np.ones: _filled(1.0), np.empty: _filled(0.0), np.full: _full,
    np.isscalar: lambda builder, a: not is_array(builder, a),
})  # fmt: skip
"""Functions that must be exchanged in the copy of the user's function, because numpy would not hand them over."""
