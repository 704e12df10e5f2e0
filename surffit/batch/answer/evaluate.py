"""
The model of a batch at its own data or at other coordinates, block by block.

In the graph of a batch the parameters are arrays like the coordinates: one column of numbers for each, a row per data set. What can't be
traced is evaluated one data set after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ...core.structure import Arguments, Constraints, Resolved, call, evaluate, leaves, own_eval
from ...exceptions import ExpressionError, TraceError
from ...trace.emit import Program, compile_program
from ...trace.graph import Builder, Node, trace_call
from ..data.slabs import Block
from ..task import Task

__all__ = ["Evaluator", "numbers_of"]

# relative to an error: the step of a difference where there is no graph
STEP = 1e-3


class Evaluator:
    """
    Values and derivatives of a task's model for many data sets at once.

    Parameters
    ----------
    task : Task

    Attributes
    ----------
    traced : bool
        Whether it has a graph; else it is called once per data set.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.names = tuple(task.params)
        self._programs: dict[tuple[str, ...], Program] = {}
        self._tied: dict[str, Node] = {}
        self._node: Node | None = None
        self._builder = Builder()
        for model in (task.model, None):  # constraints may have a graph where the function has none
            # a user's function may raise anything when it is handed symbols
            with suppress(Exception):
                self._builder, self._node, self._tied = _trace(task, model)
                break
        self.traced = self._node is not None

    def _program(self, node: Node, varying: tuple[str, ...]) -> Program:
        key = (str(id(node)), *varying)
        if key not in self._programs:
            known = tuple(name for name in self.names if name not in varying and name not in self.task.tied)
            self._programs[key] = compile_program(self._builder, node, nonlinear=varying, linear=(), known=known)
        return self._programs[key]

    def value(self, params: Mapping[str, np.ndarray], coords: Sequence[np.ndarray]) -> np.ndarray:
        """
        The model.

        Parameters
        ----------
        params : mapping of str to ndarray, shape (n,)
            All parameters, tied ones too.
        coords : sequence of ndarray
            In the order of the task's coordinates; (points,) where they are the same for all data sets, else (n, points).

        Returns
        -------
        ndarray, shape (n, points)
        """
        n = len(next(iter(params.values())))
        shape = (n, np.broadcast_shapes((1,), *(np.shape(x)[-1:] for x in coords))[0])
        with np.errstate(all="ignore"):
            if self._node is None:
                return self._one_by_one(params, coords, shape)
            program = self._program(self._node, ())
            out = program.value([], [], [0.0] * len(program.known), self._arrays(program, params, coords))
        return np.broadcast_to(np.asarray(out, dtype=float), shape)

    def gradient(self, params: Mapping[str, np.ndarray], coords: Sequence[np.ndarray], errors: Mapping[str, np.ndarray]) -> Any:
        """
        The model and its derivatives with respect to the free parameters.

        Parameters
        ----------
        params, coords
            As in `value`.
        errors : mapping of str to ndarray, shape (n,)
            Scales of the steps, where derivatives must be differences.

        Returns
        -------
        value : ndarray, shape (n, points)
        J : ndarray, shape (parameters, n, points)
        """
        free = self.task.free
        if self._node is None:
            return self.value(params, coords), self._differences(params, coords, errors)
        program = self._program(self._node, free)
        with np.errstate(all="ignore"):
            out, columns = program.full([0.0] * len(free), [], [0.0] * len(program.known), self._arrays(program, params, coords))
        n = len(next(iter(params.values())))
        shape = (n, np.broadcast_shapes((1,), *(np.shape(x)[-1:] for x in coords))[0])
        J = np.zeros((len(free), *shape))
        for row, column in zip(J, columns, strict=True):
            if column is not None:
                row[...] = column
        return np.broadcast_to(np.asarray(out, dtype=float), shape), J

    def tied(self, name: str, params: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Values (n,) of a tied parameter and their gradient (free parameters, n), from the parameters that are not tied."""
        free, n = self.task.free, len(next(iter(params.values())))
        if name not in self._tied:
            sides = [self._difference(lambda moved: self._by_lmfit(name, moved), params, other, errors) for other in free]
            return self._by_lmfit(name, params), np.array(sides)
        program = self._program(self._tied[name], free)
        with np.errstate(all="ignore"):
            out, columns = program.full([0.0] * len(free), [], [0.0] * len(program.known), self._arrays(program, params, ()))
        J = np.zeros((len(free), n))
        for row, column in zip(J, columns, strict=True):
            if column is not None:
                row[...] = np.ravel(column)
        return np.broadcast_to(np.ravel(np.asarray(out, dtype=float)), (n,)), J

    def _by_lmfit(self, name: str, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """A constraint that only lmfit understands, one data set after the other."""
        from ...core.parameters import copy_parameters

        scratch, out = copy_parameters(self.task.params), np.full(len(next(iter(params.values()))), np.nan)
        given = {other: values for other, values in params.items() if other not in self.task.tied}
        for q in np.flatnonzero(np.isfinite(list(given.values())).all(axis=0)):
            for other, values in given.items():
                scratch[other].value = float(values[q])
            scratch.update_constraints()
            out[q] = scratch[name].value
        return out

    def _arrays(self, program: Program, params: Mapping[str, np.ndarray], coords: Sequence[np.ndarray]) -> list[np.ndarray]:
        symbols = {_symbol(name): np.asarray(values, dtype=float)[:, None] for name, values in params.items()}
        known = {**symbols, **dict(zip(self.task.coordinates, coords, strict=False))}
        # a graph of constraints alone has no use for the coordinates
        return [known.get(name, np.zeros(1)) for name in program.coordinates]

    def _one_by_one(self, params: Mapping[str, np.ndarray], coords: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
        out = np.full(shape, np.nan)
        for q in range(shape[0]):
            values = {name: float(column[q]) for name, column in params.items()}
            if all(np.isfinite(value) for value in values.values()):
                here = {name: x if np.ndim(x) == 1 else x[q] for name, x in zip(self.task.coordinates, coords, strict=True)}
                out[q] = evaluate(self.task.model, values, {**self.task.opts, **here})
        return out

    def _differences(self, params: Mapping[str, np.ndarray], coords: Sequence[np.ndarray], errors: Mapping[str, np.ndarray]) -> np.ndarray:
        def value(moved: dict[str, np.ndarray]) -> np.ndarray:
            return self.value({**moved, **{other: self.tied(other, moved, errors)[0] for other in self.task.tied}}, coords)

        return np.array([self._difference(value, params, name, errors) for name in self.task.free])

    def _difference(
        self, value: Callable[[dict[str, np.ndarray]], np.ndarray], params: Mapping[str, np.ndarray], name: str, errors: Mapping[str, Any]
    ) -> np.ndarray:
        """Central difference by one parameter, with steps that its error measures."""
        here, error = params[name], errors[name]
        with np.errstate(all="ignore"):
            step = np.where(np.isfinite(error) & (error > 0), STEP * error, 1e-6 * (np.abs(here) + 1e-6))
            above, below = (value({**params, name: here + sign * step}) for sign in (1.0, -1.0))
            return (above - below) / (2.0 * step.reshape(-1, *[1] * (above.ndim - 1)))


def _trace(task: Task, model: Any) -> tuple[Builder, Node | None, dict[str, Node]]:
    """The model's value and the tied parameters, every parameter an array plus a shift: derivatives are those of the shifts at 0."""
    if model is not None and any(own_eval(leaf) for leaf in leaves(model)):
        msg = "the model evaluates itself"
        raise TraceError(msg)
    plain = Builder()
    constraints = Constraints(task.params, plain)
    given = {**task.opts, **{name: plain.coordinate(name) for name in task.coordinates}}
    arguments = Arguments((name, Resolved(name, constraints.resolve)) for name in task.params)
    out = 0.0 if model is None else call(model, arguments, given, lambda func, kwargs: trace_call(plain, func, kwargs))
    tied = {}
    for name in task.tied:
        try:
            tied[name] = constraints.resolve(name)
        except ExpressionError:
            continue  # only lmfit can evaluate it
    root = plain.lift(out if isinstance(out, Node) else np.asarray(out).item())
    # Functions may treat parameters as the single numbers that they are (`max(tiny, sigma)`), so that they become arrays afterwards.
    builder, known = Builder(), {}
    for i in plain.below([root, *(node._index for node in tied.values())]):
        op, payload = plain.ops[i], plain.payload[i]
        if op == "parameter":
            known[i] = builder.lift(builder.coordinate(_symbol(payload)) + builder.parameter(payload))
        elif op == "coordinate":
            known[i] = builder.lift(builder.coordinate(payload))
        elif op in ("constant", "array"):
            known[i] = builder.lift(payload)
        else:
            known[i] = builder.apply(op, tuple(known[a] for a in plain.args[i]))
    nodes = {name: builder.node(known[node._index]) for name, node in tied.items()}
    return builder, None if model is None else builder.node(known[root]), nodes


def _symbol(name: str) -> str:
    """The name of a parameter among the graph's coordinates; never that of a coordinate."""
    return f"parameter {name}"


def numbers_of(what: float | np.ndarray, block: Block) -> np.ndarray:
    """One number per data set of a block, shape (n,)."""
    return what[block.start : block.stop] if isinstance(what, np.ndarray) else np.full(block.size, float(what))
