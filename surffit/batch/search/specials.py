"""
Functions that compiled kernels call: scipy's own scalar routines by their address, and a few short ones.

scipy publishes its routines for compiled callers as ``scipy.special.cython_special``. Those of complex numbers hand a pair of doubles
over in registers, which compilers agree on except on Windows; there such models go to another engine.
"""

from __future__ import annotations

import ctypes
import math
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from ...exceptions import TraceError

__all__ = ["function"]

# B_2, B_4, ... B_20
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
_SHORT: dict[str, Callable[..., Any]] = {}


def _short(function: Callable[..., Any]) -> Callable[..., Any]:
    _SHORT[function.__name__.strip("_")] = function
    return function


@_short
def _floor(a: float) -> float:
    return np.floor(a)


@_short
def _rint(a: float) -> float:
    return np.rint(a)


@_short
def _mod(a: float, b: float) -> float:
    return a % b


@_short
def _logaddexp(a: float, b: float) -> float:
    if a == b:
        return a + 0.6931471805599453
    top, low = (a, b) if a > b else (b, a)
    return top + math.log1p(math.exp(low - top))


@_short
def _logaddexp2(a: float, b: float) -> float:
    if a == b:
        return a + 1.0
    top, low = (a, b) if a > b else (b, a)
    return top + math.log1p(2.0 ** (low - top)) * 1.4426950408889634


@_short
def _xlogy(a: float, b: float) -> float:
    return 0.0 if a == 0.0 and b == b else a * math.log(b)


@_short
def _xlog1py(a: float, b: float) -> float:
    return 0.0 if a == 0.0 and b == b else a * math.log1p(b)


@_short
def _log_expit(a: float) -> float:
    return -math.log1p(math.exp(-a)) if a > 0.0 else a - math.log1p(math.exp(a))


@cache
def function(name: str) -> Any:
    """
    The compiled function of a name in `surffit.trace.scalarops`.

    Raises
    ------
    TraceError
        If there is none on this machine.
    """
    name, is_complex = name.removeprefix("c."), name.startswith("c.")
    if not is_complex:
        if name in _SHORT:
            return nb.njit(nogil=True, error_model="numpy")(_SHORT[name])
        if name == "polygamma":
            return _polygamma()
        if name == "spherical_jn":
            return _spherical()
    elif sys.platform == "win32":
        msg = f"{name} of complex numbers has no compiled form on Windows"
        raise TraceError(msg, operation=name)
    return _routine(name, is_complex)


def _address(name: str, is_complex: bool) -> tuple[int, int]:
    """(address, number of arguments) of scipy's routine."""
    from scipy.special import cython_special

    number = "__pyx_t_double_complex" if is_complex else "double"
    pattern = re.compile(rf"{number} \((.*), int __pyx_skip_dispatch\)")
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    for key, capsule in cython_special.__pyx_capi__.items():
        if key == name or re.fullmatch(rf"__pyx_fuse_[\d_]+{name}", key):
            words = name_of(capsule)
            match = pattern.fullmatch(words.decode())
            if match and set(match[1].split(", ")) == {number}:
                return pointer_of(capsule, words), match[1].count(",") + 1
    msg = f"{name} has no compiled form in this scipy"
    raise TraceError(msg, operation=name)


def _routine(name: str, is_complex: bool) -> Any:
    address, count = _address(name, is_complex)
    number = nb.types.complex128 if is_complex else nb.types.float64
    double = ir.DoubleType()
    kind = ir.LiteralStructType([double, double]) if is_complex else double

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # the last argument is Cython's skip_dispatch
        type_ = ir.FunctionType(kind, [kind] * count + [ir.IntType(32)])
        pointer = builder.inttoptr(ir.Constant(ir.IntType(64), address), ir.PointerType(type_))
        return builder.call(pointer, [*args, ir.Constant(ir.IntType(32), 0)])

    if count == 1:

        @intrinsic
        def one(typing: Any, a: Any) -> Any:
            return number(number), generate

        return one
    if count == 2:

        @intrinsic
        def two(typing: Any, a: Any, b: Any) -> Any:
            return number(number, number), generate

        return two

    @intrinsic
    def three(typing: Any, a: Any, b: Any, c: Any) -> Any:
        return number(number, number, number), generate

    return three


def _polygamma() -> Any:
    def polygamma(order: float, x: float) -> float:
        # the recurrence up to where the asymptotic series holds, Abramowitz and Stegun 6.4.6 and 6.4.11
        if x != x or x < -1000.0 or (x <= 0.0 and x == np.floor(x)):
            return math.nan
        factorial = math.gamma(order)
        total = 0.0
        while x < 15.0 + order:
            total += x ** (-order - 1.0)
            x += 1.0
        series = factorial * x**-order + 0.5 * factorial * order * x ** (-order - 1.0)
        term = factorial * order * (order + 1.0) * 0.5 * x ** (-order - 2.0)
        for k in range(len(BERNOULLI)):
            series += BERNOULLI[k] * term
            j = 2.0 * (k + 1)
            term *= (j + order) * (j + order + 1.0) / ((j + 1.0) * (j + 2.0) * x * x)
        sign = 1.0 if order % 2.0 == 1.0 else -1.0
        return sign * (series + factorial * order * total)

    return nb.njit(nogil=True, error_model="numpy")(polygamma)


def _spherical() -> Any:
    jv = function("jv")

    def spherical_jn(order: float, x: float) -> float:
        if x == 0.0:
            return 1.0 if order == 0.0 else 0.0
        size = abs(x)
        value = jv(order + 0.5, size) * math.sqrt(1.5707963267948966 / size)
        return -value if x < 0.0 and order % 2.0 == 1.0 else value

    return nb.njit(nogil=True, error_model="numpy")(spherical_jn)
