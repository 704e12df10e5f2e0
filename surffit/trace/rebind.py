"""Calling a user's function once with symbols.

Most of numpy finds the symbols by itself (``__array_ufunc__``, ``__array_function__``).  What does not (builtin ``max``,
``float``, the math module, ``numpy.asarray``) is exchanged in a *copy* of the function whose globals, closure and helper
functions are looked through; the user's own function and modules stay untouched.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy
from scipy import special

from surffit.exceptions import TraceError

from . import arrayfunctions
from .builder import Builder, Graph, evaluate
from .node import ArrayNode, Node, PickedNode
from .ops import OPS

DEPTH = 4
_LIBRARIES = ("numpy", "scipy")


def trace_call(builder: Builder, func: Callable[..., Any], kwargs: Mapping[str, Any]) -> Node:
    """Record one call of `func`.

    Parameters
    ----------
    builder : Builder
    func : callable
        A function, lambda, partial, bound method, ufunc, callable object, or a `GraphFunction`.
    kwargs : mapping
        Arguments by name: nodes, or any other objects, which are handed on as they are (arrays as copies).

    Returns
    -------
    Node
        A constant node if the function ignores its symbols.

    Raises
    ------
    TraceError
        When the function branches on a symbol, loops over it, or uses what has no derivative here.
    """
    arguments = {name: _own(value) for name, value in kwargs.items()}
    graph = getattr(func, "graph", None)
    if isinstance(graph, Graph):
        values = {name: arguments[name] for name in graph.parameters if name in arguments}
        coords = {name: arguments[name] for name in graph.coordinates if name in arguments}
        return _as_node(builder, evaluate(graph, values, coords), func)
    rebound = _Rebinder(builder).wrap(func, 0)
    try:
        if isinstance(rebound, (np.ufunc, types.BuiltinFunctionType)):
            result = rebound(*arguments.values())
        else:
            result = rebound(**arguments)
    except TraceError:
        raise
    except Exception as err:
        msg = f"{_name(func)} can't be recorded: it raised {type(err).__name__}: {err}"
        raise TraceError(msg, cause=err) from err
    return _as_node(builder, result, func)


def _own(value: Any) -> Any:
    """A handle or copy of its own, so that in-place changes inside the function stay inside."""
    if isinstance(value, Node):
        return value.again()
    if isinstance(value, np.ndarray):
        return value.copy()
    return value


def _as_node(builder: Builder, result: Any, func: Any) -> Node:
    if isinstance(result, Node):
        builder.lift(result)
        if isinstance(result, PickedNode):
            msg = f"{_name(func)} returns only the points under a mask"
            raise TraceError(msg)
        return result
    if isinstance(result, (list, tuple)):
        if any(isinstance(item, Node) for item in result):
            msg = f"{_name(func)} returns a {type(result).__name__}; return one array"
            raise TraceError(msg)
        result = np.asarray(result)
    return builder.node(builder.lift(result))


def _name(func: Any) -> str:
    return getattr(func, "__name__", type(func).__name__)


class _Rebinder:
    """Makes the copies for one trace; helper functions that call each other are copied once."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._copies: dict[int, Any] = {}
        self._kept: list[Any] = []
        self._builtins = _builtin_twins(builder)

    def wrap(self, value: Any, depth: int) -> Any:
        """`value` itself, or what stands for it while recording."""
        if isinstance(value, Node) or depth > DEPTH:
            return value
        replaced = self._replaced(value)
        if replaced is not None:
            return replaced
        if id(value) in self._copies:
            return self._copies[id(value)]
        if isinstance(value, types.ModuleType):
            return _ModuleProxy(self, value, depth)
        if isinstance(value, types.FunctionType):
            return value if _from_library(value) else self._function(value, depth)
        if isinstance(value, types.MethodType):
            return types.MethodType(self.wrap(value.__func__, depth), value.__self__)
        if isinstance(value, functools.partial):
            return functools.partial(self.wrap(value.func, depth), *value.args, **value.keywords)
        if type(value).__module__.split(".")[0] == "numba" and isinstance(getattr(value, "py_func", None), types.FunctionType):
            return self.wrap(value.py_func, depth)
        if depth == 0 and not isinstance(value, (type, types.BuiltinFunctionType, np.ufunc)):
            call = getattr(type(value), "__call__", None)  # noqa: B004 - the function itself is wanted
            if isinstance(call, types.FunctionType):
                return types.MethodType(self.wrap(call, depth), value)
        return value

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, types.BuiltinFunctionType) and value.__module__ == "math":
            return self._math(value)
        try:
            handler = arrayfunctions.REPLACED.get(value)
        except TypeError:  # unhashable: a list or dict among the globals
            return None
        if handler is None:
            return None
        builder = self.builder

        @functools.wraps(value, updated=())
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            if any(_holds_node(a) for a in args) or any(_holds_node(a) for a in kwargs.values()):
                return handler(builder, *args, **kwargs)
            return value(*args, **kwargs)

        return stand_in

    def _math(self, function: Any) -> Any:
        builder = self.builder
        name = f"math.{function.__name__}"

        def stand_in(*args: Any) -> Any:
            if not any(isinstance(a, Node) for a in args):
                return function(*args)
            if name == "math.log" and len(args) == 2:
                return stand_in(args[0]) / stand_in(args[1])
            if name not in OPS:
                msg = f"{name} can't be recorded; use the numpy function if there is one"
                raise TraceError(msg, operation=name)
            return builder.call(name, *args)

        return stand_in

    def _function(self, func: types.FunctionType, depth: int) -> types.FunctionType:
        code = func.__code__
        scope = func.__globals__
        new_scope = dict(scope)
        copy = types.FunctionType(code, new_scope, func.__name__, None, _empty_cells(func.__closure__))
        self._copies[id(func)] = copy
        self._kept.append(func)  # an id is only unique while its object lives
        for name in _names(code):
            if name in scope:
                new_scope[name] = self.wrap(scope[name], depth + 1)
            elif name in self._builtins:
                new_scope[name] = self._builtins[name]
        for old, new in zip(func.__closure__ or (), copy.__closure__ or (), strict=True):
            try:
                contents = old.cell_contents
            except ValueError:  # a name bound later in the enclosing function
                continue
            new.cell_contents = self.wrap(contents, depth + 1)
        copy.__defaults__ = tuple(self.wrap(d, depth + 1) for d in func.__defaults__) if func.__defaults__ else None
        if func.__kwdefaults__:
            copy.__kwdefaults__ = {k: self.wrap(v, depth + 1) for k, v in func.__kwdefaults__.items()}
        return copy


class _ModuleProxy:
    """A module whose functions are exchanged as they are asked for."""

    def __init__(self, rebinder: _Rebinder, module: types.ModuleType, depth: int) -> None:
        self._rebinder = rebinder
        self._module = module
        self._depth = depth

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        found: Any
        if isinstance(value, types.ModuleType) and self._module not in (np, scipy, np.polynomial):
            found = _ModuleProxy(self._rebinder, value, self._depth)
        elif isinstance(value, types.ModuleType):
            found = _ModuleProxy(self._rebinder, value, self._depth) if value in _SEEN_THROUGH else value
        else:
            found = self._rebinder.wrap(value, self._depth)
        self.__dict__[name] = found
        return found


_SEEN_THROUGH = frozenset({
    special, np.polynomial, np.polynomial.polynomial, np.polynomial.chebyshev, np.polynomial.legendre,
})  # fmt: skip


def _empty_cells(closure: Any) -> Any:
    return None if closure is None else tuple(types.CellType() for _ in closure)


def _from_library(func: types.FunctionType) -> bool:
    return (func.__module__ or "").split(".")[0] in _LIBRARIES


def _codes(code: types.CodeType) -> list[types.CodeType]:
    """The code and that of the functions and lambdas defined inside it."""
    found = [code]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.extend(_codes(constant))
    return found


def _names(code: types.CodeType) -> set[str]:
    return {name for part in _codes(code) for name in part.co_names}


def _holds_node(value: Any) -> bool:
    return isinstance(value, Node | arrayfunctions.Shape) or (isinstance(value, (list, tuple)) and any(isinstance(v, Node) for v in value))


def _builtin_twins(builder: Builder) -> dict[str, Callable[..., Any]]:
    def extreme(name: str, builtin: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            values = args[0] if len(args) == 1 and isinstance(args[0], (list, tuple)) else args
            if not any(isinstance(v, Node) for v in values):
                return builtin(*args, **kwargs)
            if kwargs:
                msg = f"{name}() with {', '.join(kwargs)}= can't be recorded"
                raise TraceError(msg)
            out = values[0]
            if len(values) == 1 and isinstance(out, ArrayNode):
                msg = f"{name}() over a coordinate can't be recorded"
                raise TraceError(msg)
            for v in values[1:]:
                out = builder.call(name, out, v)
            return out

        return stand_in

    def to_float(value: Any = 0.0) -> Any:
        if not isinstance(value, Node):
            return float(value)
        if isinstance(value, ArrayNode) or value.is_complex:
            msg = "float() of an array or a complex number is not possible"
            raise TraceError(msg)
        return value * 1.0

    def to_complex(real: Any = 0.0, imag: Any = 0.0) -> Any:
        if not isinstance(real, Node) and not isinstance(imag, Node):
            return complex(real, imag)
        if isinstance(real, ArrayNode) or isinstance(imag, ArrayNode):
            msg = "complex() of an array is not possible"
            raise TraceError(msg)
        return real + 1j * imag

    def is_instance(value: Any, kinds: Any) -> bool:
        kinds = tuple(map(_original, kinds)) if isinstance(kinds, tuple) else _original(kinds)
        if not isinstance(value, Node):
            return isinstance(value, kinds)
        if isinstance(value, ArrayNode):
            return isinstance(_ARRAY, kinds)
        return isinstance(0j if value.is_complex else 0.0, kinds)

    return {
        "max": extreme("max", max),
        "min": extreme("min", min),
        "float": _TypeTwin(float, to_float),
        "complex": _TypeTwin(complex, to_complex),
        "isinstance": is_instance,
    }


class _TypeTwin:
    """Stands for ``float`` or ``complex``: called, in ``isinstance``, and as a dtype (numpy reads `dtype`)."""

    def __init__(self, original: type, call: Callable[..., Any]) -> None:
        self.original = original
        self.dtype = np.dtype(original)
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)


def _original(kind: Any) -> Any:
    return kind.original if isinstance(kind, _TypeTwin) else kind


_ARRAY = np.zeros(1)
_ARRAY.setflags(write=False)
