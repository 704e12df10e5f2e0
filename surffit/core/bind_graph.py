"""The graph route: a traced model becomes a problem with exact derivatives, on open grids and long data too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import lmfit
import numpy as np

from ..exceptions import LinearityError
from ..solve.gram import LONG_GRID, LONG_ROWS, BlockMoments, LongMoments, row_blocks
from ..solve.grid import GridMoments
from ..solve.gridproblem import GridProblem, in_range, largest_row
from ..solve.problem import Problem
from ..trace.emit import Program
from .bound import Bound, check_shape, no_start, probe_value, starts_of, value_of
from .data import FitData, shape_mismatch
from .kernels import GraphKernel, GridProgramKernel
from .meshgrid import open_grid
from .structure import Structure, same

# numbers in a linear problem's columns from which they are not held as a whole
LARGE = 5_000_000


@dataclass(frozen=True)
class Plan:
    """How the parameters of a structure are divided, and the program for it."""

    nonlinear: tuple[str, ...]
    linear: tuple[str, ...]
    known: tuple[str, ...]
    unused: tuple[str, ...]
    stepped: tuple[str, ...]
    program: Program


def _plan(
    model: lmfit.Model,
    params: lmfit.Parameters,
    data: FitData,
    structure: Structure,
    varying: tuple[str, ...],
    stated: tuple[str, ...] | None,
) -> Plan:
    """Divide the parameters; kept with the structure for the next fit of the same kind."""
    program = structure.program((), (), structure.parameters)
    if structure.shape is not None:
        pass  # the shape was looked at with the graph
    elif structure.concrete:
        coords = [data.coords[name] for name in program.coordinates]
        check_shape(model, data, program.value([], [], [probe_value(params[n]) for n in structure.parameters], coords))
    elif program.coordinates:
        shape = np.broadcast_shapes(*(np.shape(data.coords[name]) for name in program.coordinates))
        if np.broadcast_shapes(shape, data.shape) != data.shape:
            raise shape_mismatch(data.shape, data.coords, data.names, shape)
    present = set(structure.parameters)
    candidates = tuple(name for name in varying if name in present)
    wants = tuple(
        (not math.isfinite(value_of(params[n])), math.isfinite(params[n].min) or math.isfinite(params[n].max)) for n in candidates
    )
    key = (varying, stated, wants)
    if key in structure.plans:
        plan: Plan = structure.plans[key]
        return plan
    unused = [name for name in varying if name not in present]
    linear = _linear_names(model, structure, params, candidates, stated)
    nonlinear = tuple(name for name in candidates if name not in linear)
    known = tuple(name for name in structure.parameters if name not in candidates)
    compiled = structure.program(nonlinear, linear, known)
    dead = set(compiled.no_effect)
    stepped: tuple[str, ...] = ()
    if dead:
        stepped = tuple(name for name in candidates if name in dead and _matters(name, structure, params, data))
        unused += [name for name in candidates if name in dead and name not in stepped]
        nonlinear = tuple(name for name in nonlinear if name not in dead)
        linear = tuple(name for name in linear if name not in dead)
        known = tuple(name for name in structure.parameters if name not in nonlinear and name not in linear)
        compiled = structure.program(nonlinear, linear, known)
    plan = Plan(nonlinear, linear, known, tuple(unused), stepped, compiled)
    if not dead:  # what has no effect depends on values and data
        structure.plans[key] = plan
    return plan


def bind_graph(
    model: lmfit.Model,
    params: lmfit.Parameters,
    data: FitData,
    structure: Structure,
    varying: tuple[str, ...],
    stated: tuple[str, ...] | None,
) -> Bound:
    """The problem of a traced model; see `surffit.core.bind.bind`."""
    plan = _plan(model, params, data, structure, varying, stated)
    nonlinear, linear, known = plan.nonlinear, plan.linear, plan.known
    names = nonlinear + linear
    start, lower, upper = starts_of(params, names)
    m = len(nonlinear)
    if not np.isfinite(start[:m]).all():
        raise no_start([name for name, value in zip(nonlinear, start[:m], strict=True) if not np.isfinite(value)], model)
    start[:m] = np.clip(start[:m], lower[:m], upper[:m])
    fixed = [probe_value(params[name]) for name in known]
    bound = _on_grid(structure, plan, data, fixed, lower, upper)
    problem, moments = bound if bound is not None else _by_rows(structure, plan, data, fixed, lower, upper)
    return Bound(problem, moments, names, nonlinear, linear, plan.unused, plan.stepped, start, structure, "graph")


def _on_grid(
    structure: Structure, plan: Plan, data: FitData, fixed: list[float], lower: np.ndarray, upper: np.ndarray
) -> tuple[Problem, LongMoments] | None:
    """On a large rectangular grid, where all columns are short sums of products."""
    y, w, used = data.data, data.weights, data.used
    if (structure.concrete and structure.shape is None) or structure.graph.is_complex or np.iscomplexobj(y) or data.n_used < LONG_GRID:
        return None
    compiled = plan.program
    # with excluded points the grid is in the whole coordinates
    axes, arrays = open_grid(data.shape, [data.coords[name] for name in compiled.coordinates]) if structure.shape is None else ([], [])
    if axes is None or not all(np.isfinite(a.sum()) for a in arrays):
        return None
    program = structure.grid(plan.nonlinear, plan.linear, plan.known, dict(zip(compiled.coordinates, axes, strict=True)))
    if program is None or not in_range(largest := largest_row(y, w)):
        return None
    lines = {
        name: np.ascontiguousarray(np.broadcast_to(a, data.shape)[0] if axis else np.broadcast_to(a, data.shape)[:, 0])
        for name, a, axis in zip(compiled.coordinates, arrays, axes, strict=True)
    }
    kernel = GraphKernel(compiled, fixed, arrays, None if used is None else data.select)
    m, k = len(plan.nonlinear), len(plan.linear)
    problem = GridProblem(kernel, y, w, used, largest, m, k, lower, upper)
    grid_kernel = GridProgramKernel(program, fixed, [lines[name] for name in program.coordinates])
    return problem, GridMoments(grid_kernel, y, w, used, m)


def _by_rows(
    structure: Structure, plan: Plan, data: FitData, fixed: list[float], lower: np.ndarray, upper: np.ndarray
) -> tuple[Problem, LongMoments | None]:
    """Whole columns, or blocks of rows where they are long."""
    y, w = data.data, data.weights
    if structure.graph.is_complex and not np.iscomplexobj(y):
        y = y.astype(complex)
    compiled = plan.program
    arrays = [data.coords[name] for name in compiled.coordinates]
    select = None
    if structure.concrete:
        if data.used is not None or np.ndim(y) == 0:
            select = data.select
    elif data.used is not None:
        arrays = [array if np.ndim(array) == 0 else data.select(array) for array in arrays]
    else:
        _, arrays = open_grid(data.shape, arrays)
    if data.used is not None:
        y, w = y[data.used], None if w is None else w[data.used]
    kernel = GraphKernel(compiled, fixed, arrays, select)
    problem = Problem(kernel, y, w, len(plan.nonlinear), len(plan.linear), lower, upper)
    if problem.N < LONG_ROWS or structure.concrete or select is not None:
        return problem, None
    if not problem.m and problem.N * problem.k < LARGE:
        return problem, None  # whole columns give the last digits
    parts = row_blocks(problem.shape)
    return problem, BlockMoments(problem, [(kernel.part(rows[0], problem.shape[0]), rows) for rows in parts])


def _matters(name: str, structure: Structure, params: lmfit.Parameters, data: FitData) -> bool:
    """Whether the model changes at all when a parameter without a gradient does."""
    program = structure.program((), (), structure.parameters)
    coords = [data.coords[n] for n in program.coordinates]
    values = {n: probe_value(params[n]) for n in structure.parameters}
    x = values[name]
    reach = [abs(float(np.max(np.abs(c)))) for c in coords if np.size(c) and np.isfinite(c).all()]
    goals = (-x, 2 * x + 1, x - 1, 0.5 * x, 10 * x + 10, -10 * x - 10, *reach, *(-r for r in reach), *(0.5 * r for r in reach))
    # two branches may hold the same value at the start: among others, linear parameters without a start are all alike there
    rng = np.random.default_rng(0)
    free = [n for n in values if params[n].vary]
    for base in (
        values,
        *({**values, **{n: values[n] + (abs(values[n]) or 1.0) * rng.uniform(-0.5, 0.5) for n in free}} for _ in range(3)),
    ):
        here = program.value([], [], list(base.values()), coords)
        if any(not same(program.value([], [], list({**base, name: float(moved)}.values()), coords), here) for moved in goals):
            return True
    return False


def _linear_names(
    model: lmfit.Model, structure: Structure, params: lmfit.Parameters, candidates: tuple[str, ...], stated: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Jointly linear parameters: found, or stated and checked."""
    if stated == ():
        return ()
    if stated is None:
        unset = [name for name in candidates if not np.isfinite(value_of(params[name]))]
        unbounded = [name for name in candidates if not (np.isfinite(params[name].min) or np.isfinite(params[name].max))]
        prefer = tuple(dict.fromkeys([*unset, *unbounded, *candidates]))
        return tuple(structure.linear(candidates, prefer).names)
    wanted = tuple(name for name in candidates if name in stated)
    found = structure.linear(candidates, wanted + tuple(name for name in candidates if name not in wanted))
    for name in wanted:
        if name in found.nonlinear or name not in found.affine:
            msg = f"{name} was stated as linear, but {model.name} is not linear in it; leave it out of linear=, or pass linear=None"
            raise LinearityError(msg, pair=(name, name))
    for one, two in found.conflicts:
        if one in wanted and two in wanted:
            msg = f"{one} and {two} were stated as linear, but they multiply each other in {model.name}; state only one of them"
            raise LinearityError(msg, pair=(one, two))
    return wanted
