"""A model as people composed it, called on whatever stands for its parameters: numbers, or symbols of a graph.

lmfit's own `make_funcargs` decides which argument gets which value (prefixes, options, defaults), so that a traced model
and an evaluated one can't differ in their bookkeeping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import lmfit
import numpy as np
from lmfit.model import CompositeModel

from ..exceptions import ExpressionError, TraceError
from ..trace import expression
from ..trace.emit import Program, compile_program
from ..trace.graph import Builder, Node, trace_call
from ..trace.linearity import LinearSet, linear_set

# relative to the largest value: rounding of a re-arranged special function passes, another branch does not
SAME = 1e-9


class Argument:
    """Stands in for an lmfit Parameter where only its value is asked for."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Arguments(dict):
    """Stands in for lmfit Parameters; see `Argument`."""

    def update_constraints(self) -> None:
        """Constraints are resolved before anything is called."""


def leaves(model: lmfit.Model) -> Iterator[lmfit.Model]:
    """The models at the ends of a composite."""
    if isinstance(model, CompositeModel):
        yield from leaves(model.left)
        yield from leaves(model.right)
    else:
        yield model


def own_eval(model: lmfit.Model) -> bool:
    """Whether a leaf evaluates itself in a way that its function alone does not show."""
    model = getattr(model, "wrapped", model)
    method = type(model).eval
    return method is not lmfit.Model.eval and not getattr(method, "evaluates_func", False)


def call(model: lmfit.Model, arguments: Arguments, coords: Mapping[str, Any], leaf: Callable[..., Any]) -> Any:
    """Evaluate a composite with `leaf(func, kwargs)` for each function."""
    if isinstance(model, CompositeModel):
        return model.op(call(model.left, arguments, coords, leaf), call(model.right, arguments, coords, leaf))
    if own_eval(model):
        return model.eval(params=arguments, **coords)
    kwargs = lmfit.Model.make_funcargs(model, arguments, dict(coords))
    return leaf(model.func, kwargs)


def plain(func: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
    """Call a function on copies of its arrays: some write into them."""
    return func(**{name: value.copy() if isinstance(value, np.ndarray) else value for name, value in kwargs.items()})


def signature(model: lmfit.Model) -> tuple[Any, ...]:
    """What identifies the structure of a model: functions, operators, options and prefixes."""
    if isinstance(model, CompositeModel):
        return ("composite", model.op, signature(model.left), signature(model.right))
    options = tuple((name, _option(value)) for name, value in model.opts.items())
    return (model.func, model.prefix, tuple(model.independent_vars), tuple(model.param_names), options)


def _option(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return (type(value), value)


@dataclass(eq=False)
class Structure:
    """
    A traced model with its constraints: one node over free parameters, known parameters and coordinates.

    Attributes
    ----------
    builder : Builder
    node : Node
        The model's value.
    constraints : dict of str to Node
        Parameters that an expression ties to others.
    coordinates : tuple of str
        Independent variables that stand as symbols; empty if the graph holds concrete arrays.
    concrete : bool
        The coordinates are part of the graph, which therefore belongs to them.
    kept : tuple
        Objects that must stay alive as long as the cache key that names them by identity.
    """

    builder: Builder
    node: Node
    constraints: dict[str, Node]
    coordinates: tuple[str, ...]
    concrete: bool
    kept: tuple[Any, ...] = ()
    _linear: dict[Any, LinearSet] = field(default_factory=dict)
    _programs: dict[Any, Program] = field(default_factory=dict)
    _gradients: dict[Any, Program] = field(default_factory=dict)
    _graph: Any = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters that the model's value depends on, constraints resolved."""
        return self.graph.parameters

    @property
    def graph(self) -> Any:
        if self._graph is None:
            self._graph = self.builder.graph(self.node)
        return self._graph

    def linear(self, varying: tuple[str, ...], prefer: tuple[str, ...]) -> LinearSet:
        key = (varying, prefer)
        if key not in self._linear:
            self._linear[key] = linear_set(self.builder, self.node, varying, prefer)
        return self._linear[key]

    def program(self, nonlinear: tuple[str, ...], linear: tuple[str, ...], known: tuple[str, ...]) -> Program:
        key = (nonlinear, linear, known)
        if key not in self._programs:
            self._programs[key] = compile_program(self.builder, self.node, nonlinear=nonlinear, linear=linear, known=known)
        return self._programs[key]

    def constraint_program(self, name: str, varying: tuple[str, ...], known: tuple[str, ...]) -> Program:
        """Value and gradient of one constrained parameter."""
        key = (name, varying, known)
        if key not in self._gradients:
            self._gradients[key] = compile_program(self.builder, self.constraints[name], nonlinear=varying, linear=(), known=known)
        return self._gradients[key]


def constraint_nodes(params: Mapping[str, Any], builder: Builder) -> dict[str, Node]:
    """
    Every parameter as a node: a symbol, or what its expression makes of the others, clipped to its bounds as in lmfit.

    Raises
    ------
    ExpressionError
        If an expression is outside the whitelist or refers to itself.
    """
    nodes: dict[str, Node] = {}
    pending: list[str] = []

    def resolve(name: str) -> Node:
        if name in nodes:
            return nodes[name]
        if name not in params:
            msg = f"{name!r} in a constraint is neither a parameter nor a known function"
            raise ExpressionError(msg, name=name)
        par = params[name]
        if not par.expr:
            nodes[name] = builder.parameter(name)
            return nodes[name]
        if name in pending:
            circle = " -> ".join([*pending[pending.index(name) :], name])
            msg = f"constraints form a circle: {circle}; break it by giving one of them a value"
            raise ExpressionError(msg, circle=circle)
        pending.append(name)
        node = expression.parse(par.expr, resolve, builder)
        # lmfit clips the value of an expression to the parameter's bounds
        if np.isfinite(par.min):
            node = np.maximum(node, float(par.min))
        if np.isfinite(par.max):
            node = np.minimum(node, float(par.max))
        pending.pop()
        nodes[name] = node
        return node

    for name in params:
        resolve(name)
    return nodes


def trace_model(model: lmfit.Model, params: Mapping[str, Any], coords: Mapping[str, Any], arrays: tuple[str, ...], concrete: bool) -> Structure:
    """
    Trace a model, coordinates as symbols or (`concrete`) as copies of the arrays themselves.

    Raises
    ------
    TraceError, ExpressionError
        If the model or one of its constraints can't become a graph.
    """
    for leaf in leaves(model):
        if own_eval(leaf):
            msg = f"{type(leaf).__name__} evaluates itself"
            raise TraceError(msg)
    builder = Builder()
    nodes = constraint_nodes(params, builder)
    given = dict(coords)
    for name in arrays:
        given[name] = np.array(coords[name]) if concrete else builder.coordinate(name)
    arguments = Arguments((name, Argument(node)) for name, node in nodes.items())
    out = call(model, arguments, given, lambda func, kwargs: trace_call(builder, func, kwargs))
    if not isinstance(out, Node):
        array = np.asarray(out)
        out = builder.constant(array.item()) if array.ndim == 0 else builder.array(array)
    constraints = {name: nodes[name] for name in params if params[name].expr}
    kept = tuple(value for name, value in coords.items() if concrete or name not in arrays)
    return Structure(builder, out, constraints, () if concrete else arrays, concrete, kept)


def evaluate(model: lmfit.Model, values: Mapping[str, Any], coords: Mapping[str, Any]) -> Any:
    """The model's value by its own functions, on copies of the arrays; values may be complex."""
    arguments = Arguments((name, Argument(value)) for name, value in values.items())
    return call(model, arguments, coords, plain)


def same(one: Any, two: Any) -> bool:
    """Whether two evaluations agree up to the rounding of a special function, non-finite values included."""
    one, two = np.asarray(one), np.asarray(two)
    try:
        one, two = np.broadcast_arrays(one, two)
    except ValueError:
        return False
    if np.array_equal(one, two, equal_nan=True):
        return True
    finite = np.isfinite(one) & np.isfinite(two)
    if (np.isfinite(one) != np.isfinite(two)).any():
        return False
    return not finite.any() or bool(np.abs(one[finite] - two[finite]).max() <= SAME * np.abs(two[finite]).max())
