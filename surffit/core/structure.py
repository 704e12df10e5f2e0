"""A model as people composed it, called on whatever stands for its parameters: numbers, or symbols of a graph.

lmfit's own `make_funcargs` decides which argument gets which value (prefixes, options, defaults), so that a traced model
and an evaluated one can't differ in their bookkeeping.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import lmfit
import numpy as np
from lmfit.model import CompositeModel

from ..exceptions import ExpressionError, TraceError
from ..trace import expression
from ..trace.emit import Program, compile_program
from ..trace.graph import Builder, Node, trace_call
from ..trace.grid import grid_program
from ..trace.linearity import LinearSet, linear_set

# relative to the largest value: rounding of a re-arranged special function passes, another branch does not
SAME = 1e-9


class Argument:
    """Stands in for an lmfit Parameter where only its value is asked for."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Resolved:
    """The same for a parameter that becomes a node when a function asks for it: nobody may need it."""

    __slots__ = ("_name", "_resolve")

    def __init__(self, name: str, resolve: Callable[[str], Node]) -> None:
        self._name, self._resolve = name, resolve

    @property
    def value(self) -> Node:
        return self._resolve(self._name)


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
    shape : tuple of int or None
        Of the grid, where the coordinates in the graph are its open ones.
    kept : tuple
        Objects that must stay alive as long as the cache key that names them by identity.
    """

    builder: Builder
    node: Node
    constraints: dict[str, Node]
    coordinates: tuple[str, ...]
    concrete: bool
    kept: tuple[Any, ...] = ()
    shape: tuple[int, int] | None = None
    plans: dict[Any, Any] = field(default_factory=dict)
    _linear: dict[Any, LinearSet] = field(default_factory=dict)
    _programs: dict[Any, Program] = field(default_factory=dict)
    _gradients: dict[Any, Program] = field(default_factory=dict)
    _grids: dict[Any, Any] = field(default_factory=dict)
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

    def grid(self, nonlinear: tuple[str, ...], linear: tuple[str, ...], known: tuple[str, ...], axes: dict[str, int]) -> Any:
        """The rank-1 form on a rectangular grid, or None where there is none."""
        key = (nonlinear, linear, known, tuple(axes.items()))
        if key not in self._grids:
            self._grids[key] = grid_program(
                self.builder, self.node, nonlinear=nonlinear, linear=linear, known=known, axes=axes, shape=self.shape
            )
        return self._grids[key]

    def constraint_program(self, name: str, varying: tuple[str, ...], known: tuple[str, ...]) -> Program:
        """Value and gradient of one constrained parameter."""
        key = (name, varying, known)
        if key not in self._gradients:
            self._gradients[key] = compile_program(self.builder, self.constraints[name], nonlinear=varying, linear=(), known=known)
        return self._gradients[key]


class Constraints:
    """
    Parameters as nodes: symbols, or what their expressions make of the others, clipped to their bounds as in lmfit.

    Parameters
    ----------
    params : mapping
        lmfit Parameters.
    builder : Builder
    """

    def __init__(self, params: Mapping[str, Any], builder: Builder) -> None:
        self.params = params
        self.builder = builder
        self.nodes: dict[str, Node] = {}
        self._pending: list[str] = []

    def resolve(self, name: str) -> Node:
        """
        The node of one parameter.

        Raises
        ------
        ExpressionError
            If an expression is outside the whitelist or refers to itself.
        """
        if name in self.nodes:
            return self.nodes[name]
        if name not in self.params:
            msg = f"{name!r} in a constraint is neither a parameter nor a known function"
            raise ExpressionError(msg, name=name)
        par = self.params[name]
        if not par.expr:
            node = self.builder.parameter(name)
        else:
            if name in self._pending:
                circle = " -> ".join([*self._pending[self._pending.index(name) :], name])
                msg = f"constraints form a circle: {circle}; break it by giving one of them a value"
                raise ExpressionError(msg, circle=circle)
            self._pending.append(name)
            try:
                node = expression.parse(par.expr, self.resolve, self.builder)
            finally:
                self._pending.pop()
            # lmfit clips the value of an expression to the parameter's bounds
            if math.isfinite(par.min):
                node = cast(Node, np.maximum(node, float(par.min)))
            if math.isfinite(par.max):
                node = cast(Node, np.minimum(node, float(par.max)))
        self.nodes[name] = node
        return node

    def tied(self) -> dict[str, Node]:
        """Every constrained parameter whose expression can become a node."""
        out = {}
        for name, par in self.params.items():
            if par.expr:
                try:
                    out[name] = self.resolve(name)
                except ExpressionError:
                    continue  # only lmfit can evaluate it; harmless as long as the model does not ask for it
        return out


def asked_for(model: lmfit.Model) -> set[str]:
    """Full names of the parameters that the model's functions take."""
    return {leaf.prefix + name for leaf in leaves(model) for name in leaf._param_root_names or ()}


def trace_model(
    model: lmfit.Model,
    params: Mapping[str, Any],
    coords: Mapping[str, Any],
    arrays: tuple[str, ...],
    concrete: bool,
    shifts: Mapping[str, str] | None = None,
) -> Structure:
    """
    Trace a model, coordinates as symbols or (`concrete`) as copies of the arrays themselves.

    With `shifts` (parameter by coordinate) every such coordinate is a symbol plus that parameter: at 0 nothing changes, and a
    derivative with respect to it is the model's derivative along the coordinate.

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
    constraints = Constraints(params, builder)
    given = dict(coords)
    for name in arrays:
        given[name] = np.array(coords[name]) if concrete else builder.coordinate(name)
        if shifts and name in shifts:
            given[name] = given[name] + builder.parameter(shifts[name])
    arguments = Arguments((name, Resolved(name, constraints.resolve)) for name in params)
    out = call(model, arguments, given, lambda func, kwargs: trace_call(builder, func, kwargs))
    if not isinstance(out, Node):
        array = np.asarray(out)
        out = builder.constant(array.item()) if array.ndim == 0 else builder.array(array)
    kept = tuple(value for name, value in coords.items() if concrete or name not in arrays)
    return Structure(builder, out, constraints.tied(), () if concrete else arrays, concrete, kept)


def evaluate(model: lmfit.Model, values: Mapping[str, Any], coords: Mapping[str, Any]) -> Any:
    """The model's value by its own functions, on copies of the arrays; values may be complex."""
    composed = isinstance(model, CompositeModel)
    if not (composed or model.prefix or model.opts or model.independent_vars_defvals or model._func_haskeywords or own_eval(model)):
        # what lmfit's bookkeeping comes to where there is nothing to keep
        known = model._func_allargs
        return plain(model.func, {**{name: value for name, value in values.items() if name in known}, **coords})
    arguments = Arguments((name, Argument(value)) for name, value in values.items())
    return call(model, arguments, coords, plain)


def same(one: Any, two: Any) -> bool:
    """Whether two evaluations agree up to the rounding of a special function, non-finite values included."""
    one, two = np.asarray(one), np.asarray(two)
    try:
        one, two = np.broadcast_arrays(one, two)
    except ValueError:
        return False
    if one.dtype.kind not in "fc":
        one, two = one.astype(float), two.astype(float)
    if np.array_equal(one, two, equal_nan=True):
        return True
    finite = np.isfinite(one) & np.isfinite(two)
    if (np.isfinite(one) != np.isfinite(two)).any():
        return False
    return not finite.any() or bool(np.abs(one[finite] - two[finite]).max() <= SAME * np.abs(two[finite]).max())
