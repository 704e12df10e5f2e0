"""lmfit models and Parameters become a `Problem`; below this file there are only arrays in one order.

The graph route first, with symbols for coordinates; then with the coordinates themselves; then the function as it is,
by complex step or differences. Each graph is checked against the function at every fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lmfit
import numpy as np

from ..exceptions import DataError, ExpressionError, LinearityError, ParameterError, TraceError
from ..solve.gram import LONG_GRID, LONG_ROWS, BlockMoments, GridMoments, LongMoments, row_blocks
from ..solve.problem import Problem
from ..trace import numeric
from ..trace.emit import Program
from ..trace.graph import Builder
from ..trace.graph import evaluate as walk_graph
from .data import FitData, shape_mismatch
from .kernels import GraphKernel, GridProgramKernel, NumericKernel
from .parameters import copy_parameters
from .structure import Constraints, Structure, asked_for, evaluate, same, signature, trace_model

# a start on a bound where the model can't begin is moved inside by this share of the smaller of width and scale
INSIDE = 1e-3
SAMPLE = 32


@dataclass(eq=False)
class Bound:
    """
    A model bound to data and parameters.

    Attributes
    ----------
    problem : Problem
    moments : LongMoments or None
        Sums over rows for long data.
    names : tuple of str
        Free parameters, non-linear first, then linear.
    nonlinear, linear : tuple of str
    unused : tuple of str
        Free parameters that the model can't feel at all.
    stepped : tuple of str
        Free parameters in which the model only jumps (comparisons, signs): no derivative leads anywhere.
    start : ndarray, shape (n,)
        nan for linear parameters without a start.
    structure : Structure or None
        The graph; None on the numeric route.
    derivatives : str
        "graph", "complex-step" or "differences".
    """

    problem: Problem
    moments: LongMoments | None
    names: tuple[str, ...]
    nonlinear: tuple[str, ...]
    linear: tuple[str, ...]
    unused: tuple[str, ...]
    stepped: tuple[str, ...]
    start: np.ndarray
    structure: Structure | None
    derivatives: str
    notes: list[str] = field(default_factory=list)


def free_names(params: lmfit.Parameters) -> tuple[str, ...]:
    """Parameters that a fit varies."""
    return tuple(name for name, par in params.items() if par.vary and not par.expr)


def bind(
    model: lmfit.Model,
    params: lmfit.Parameters,
    data: FitData,
    *,
    linear: Sequence[str] | None = None,
    cache: dict[Any, Structure] | None = None,
    rng: Any = None,
    route: str | None = None,
) -> Bound:
    """
    Make the arrays of a fit.

    Parameters
    ----------
    model : lmfit.Model
    params : lmfit.Parameters
        Starts; -inf (lmfit's "not set") is allowed for linear parameters.
    data : FitData
    linear : sequence of str, optional
        None: found; names: stated, checked; (): no elimination.
    cache : dict, optional
        Where traced structures are kept between fits.
    rng : optional
        For the probes of the numeric route.
    route : {None, "graph", "complex-step", "differences"}
        How to get derivatives; None: the best there is.

    Returns
    -------
    Bound

    Raises
    ------
    LinearityError
        If stated linear parameters are not jointly linear.
    ParameterError
        If a non-linear parameter has no start.
    ShapeError
        If the model's values don't fit the data's shape.
    """
    varying = free_names(params)
    stated = None if linear is None else tuple(linear)
    if stated:
        for name in stated:
            if name not in params:
                msg = f"linear={list(stated)!r} names {name!r}, which is not a parameter of {model.name}; parameters: {', '.join(params)}"
                raise LinearityError(msg, name=name)
    probe = {name: _probe_value(par) for name, par in params.items()}
    if route in (None, "graph"):
        structure = find_structure(model, params, data, {} if cache is None else cache)
        if structure is not None:
            return _bind_graph(model, params, data, structure, varying, stated)
        if route == "graph":
            msg = f'{model.name} can\'t be traced, so jac="graph" is not to be had; leave jac=None'
            raise ParameterError(msg)
    return _bind_numeric(model, params, data, varying, stated, probe, rng, route != "differences")


def _probe_value(par: lmfit.Parameter) -> float:
    """A value to evaluate at: the start, or something ordinary where there is none."""
    value = par._val if par.expr else par.value
    if value is not None and math.isfinite(value):
        return float(value)
    low, high = par.min, par.max
    if np.isfinite(low) and np.isfinite(high):
        return 0.5 * (low + high)
    return low + 1.0 if np.isfinite(low) else high - 1.0 if np.isfinite(high) else 1.0


def find_structure(
    model: lmfit.Model, params: lmfit.Parameters, data: Any, cache: dict[Any, Structure], symbolic_only: bool = False
) -> Structure | None:
    """The traced model, from the cache where it still agrees with the function; None if it can't be traced."""
    probe = {name: _probe_value(par) for name, par in params.items()}
    constraints = tuple((name, par.expr, par.min, par.max) for name, par in params.items() if par.expr)
    options = tuple((name, id(value)) for name, value in data.coords.items() if name not in data.names)
    base = (signature(model), tuple(params), constraints, options, data.names)
    for concrete in (False,) if symbolic_only else (False, True) if data.elementwise else (True,):
        key = (*base, tuple(id(data.coords[name]) for name in data.names)) if concrete else base
        known = cache.get(key)
        if known is not None and _agrees(model, params, data, known, [probe], sample=True):
            return known
        cache.pop(key, None)
        try:
            structure = trace_model(model, params, data.coords, data.names, concrete)
        except (TraceError, ExpressionError):
            continue
        except Exception:  # noqa: BLE001, S112 - a user's function may raise anything when it is handed symbols
            continue
        if _agrees(model, params, data, structure, _perturbed(probe, params)):
            cache[key] = structure
            return structure
    return None


def _perturbed(probe: dict[str, float], params: lmfit.Parameters) -> list[dict[str, float]]:
    """The probe and two random points around it, within the bounds; the probe twice, to notice a function with memory."""
    rng = np.random.default_rng(0)
    points = [probe, probe]
    for size in (0.1, 1.0):
        point = {}
        for name, value in probe.items():
            par = params[name]
            moved = value * (1.0 + size * rng.uniform(-1, 1)) if value else size * rng.uniform(-1, 1)
            point[name] = float(np.clip(moved, par.min, par.max))
        points.append(point)
    return points


def _agrees(
    model: lmfit.Model, params: lmfit.Parameters, data: FitData, structure: Structure, points: list[dict[str, float]], sample: bool = False
) -> bool:
    """Whether the graph gives what the function gives; with `sample`, on a few points only."""
    names = structure.parameters
    program = structure.program((), (), names)
    given = _sampled(data) if sample and not structure.concrete else data.coords
    coords = tuple(given[name] for name in program.coordinates)
    free = tuple(name for name in params if name not in structure.constraints)
    for point in points:
        values = dict(point)
        for name in structure.constraints:
            constraint = structure.constraint_program(name, (), free)
            values[name] = float(constraint.value([], [], [values[n] for n in free], (0.0,) * len(constraint.coordinates)))
        try:
            theirs = evaluate(model, values, given)
        except Exception:  # noqa: BLE001 - whatever the function raises at a probe, the graph isn't confirmed there
            return False
        if not same(program.value([], [], [values[n] for n in names], coords), theirs):
            return False
    return True


def _sampled(data: FitData) -> dict[str, Any]:
    """Coordinates at up to SAMPLE positions along each axis: enough to notice that a function has changed."""
    if data.data.size <= SAMPLE**2:
        return data.coords
    ndim = len(data.shape)
    steps = [max(1, length // SAMPLE) for length in data.shape]
    out = dict(data.coords)
    for name in data.names:
        array = data.coords[name]
        out[name] = array[tuple(slice(None, None, steps[ndim - array.ndim + axis]) if length > 1 else slice(None) for axis, length in enumerate(array.shape))]
    return out


def _starts(params: lmfit.Parameters, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, lower and upper bounds; nan for a start that was never set."""
    start = np.array([_value(params[name]) for name in names], dtype=float)
    lower = np.array([params[name].min for name in names], dtype=float)
    upper = np.array([params[name].max for name in names], dtype=float)
    return start, lower, upper


def _value(par: lmfit.Parameter) -> float:
    value = par.value
    return float(value) if value is not None and math.isfinite(value) else math.nan


def inside(start: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Starts that lie on a bound moved a little inside."""
    width = upper - lower
    scale = np.minimum(np.where(np.isfinite(width), width, np.inf), np.where(start != 0, np.abs(start), 1.0))
    out = np.where(start <= lower, lower + INSIDE * scale, start)
    return np.where(out >= upper, upper - INSIDE * scale, out)


def _missing(names: Sequence[str], model: lmfit.Model) -> ParameterError:
    listed = ", ".join(names)
    one = len(names) == 1
    msg = (
        f"parameter{'' if one else 's'} {listed} of {model.name} {'has' if one else 'have'} no start value and {'is' if one else 'are'} "
        f"not linear; give {'it' if one else 'them'} one, e.g. fit(..., {names[0]}=1.0)"
    )
    return ParameterError(msg, names=tuple(names))


def _common_shape(data: FitData) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(np.shape(data.coords[name]) for name in data.names))
    except ValueError:
        return ()


def _check_shape(model: lmfit.Model, data: FitData, out: Any) -> None:
    """Refuse values that would enlarge the data or don't fit them."""
    shape = np.shape(out)
    try:
        fits = np.broadcast_shapes(shape, data.shape) == data.shape
    except ValueError:
        fits = False
    if not fits:
        raise shape_mismatch(data.shape, data.coords, data.names, shape)


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
    model: lmfit.Model, params: lmfit.Parameters, data: FitData, structure: Structure, varying: tuple[str, ...], stated: tuple[str, ...] | None
) -> Plan:
    """Divide the parameters; kept with the structure for the next fit of the same kind."""
    program = structure.program((), (), structure.parameters)
    if structure.concrete:
        coords = [data.coords[name] for name in program.coordinates]
        _check_shape(model, data, program.value([], [], [_probe_value(params[n]) for n in structure.parameters], coords))
    elif program.coordinates:
        shape = np.broadcast_shapes(*(np.shape(data.coords[name]) for name in program.coordinates))
        if np.broadcast_shapes(shape, data.shape) != data.shape:
            raise shape_mismatch(data.shape, data.coords, data.names, shape)
    present = set(structure.parameters)
    candidates = tuple(name for name in varying if name in present)
    wants = tuple((not math.isfinite(_value(params[n])), math.isfinite(params[n].min) or math.isfinite(params[n].max)) for n in candidates)
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


def _bind_graph(
    model: lmfit.Model, params: lmfit.Parameters, data: FitData, structure: Structure, varying: tuple[str, ...], stated: tuple[str, ...] | None
) -> Bound:
    plan = _plan(model, params, data, structure, varying, stated)
    nonlinear, linear, known = plan.nonlinear, plan.linear, plan.known
    names = nonlinear + linear
    start, lower, upper = _starts(params, names)
    m = len(nonlinear)
    if not np.isfinite(start[:m]).all():
        raise _missing([name for name, value in zip(nonlinear, start[:m], strict=True) if not np.isfinite(value)], model)
    start[:m] = np.clip(start[:m], lower[:m], upper[:m])
    fixed = [_probe_value(params[name]) for name in known]
    y, w = data.data, data.weights
    is_complex = structure.graph.is_complex
    if is_complex and not np.iscomplexobj(y):
        y = y.astype(complex)
    compiled = plan.program
    arrays = [data.coords[name] for name in compiled.coordinates]
    select = None
    axes = None
    if structure.concrete:
        if data.used is not None or np.ndim(y) == 0:
            select = data.select
    elif data.used is not None:
        arrays = [array if np.ndim(array) == 0 else data.select(array) for array in arrays]
    else:
        axes, arrays = _open_grid(data.shape, arrays)
    if data.used is not None:
        y, w = y[data.used], None if w is None else w[data.used]
    kernel = GraphKernel(compiled, fixed, arrays, select)
    problem = Problem(kernel, y, w, m, len(linear), lower, upper)
    moments = None
    if problem.N >= LONG_GRID and m:
        moments = _moments(structure, problem, kernel, data, nonlinear, linear, known, fixed, is_complex)
    return Bound(problem, moments, names, nonlinear, linear, plan.unused, plan.stepped, start, structure, "graph")


def _matters(name: str, structure: Structure, params: lmfit.Parameters, data: FitData) -> bool:
    """Whether the model changes at all when a parameter without a gradient does."""
    program = structure.program((), (), structure.parameters)
    coords = [data.coords[n] for n in program.coordinates]
    values = {n: _probe_value(params[n]) for n in structure.parameters}
    here = program.value([], [], list(values.values()), coords)
    x = values[name]
    reach = [abs(float(np.max(np.abs(c)))) for c in coords if np.size(c) and np.isfinite(c).all()]
    for moved in (-x, 2 * x + 1, x - 1, 0.5 * x, 10 * x + 10, -10 * x - 10, *reach, *(-r for r in reach), *(0.5 * r for r in reach)):
        if not same(program.value([], [], list({**values, name: float(moved)}.values()), coords), here):
            return True
    return False


def _linear_names(
    model: lmfit.Model, structure: Structure, params: lmfit.Parameters, candidates: tuple[str, ...], stated: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Jointly linear parameters: found, or stated and checked."""
    if stated == ():
        return ()
    if stated is None:
        unset = [name for name in candidates if not np.isfinite(_value(params[name]))]
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


def _open_grid(shape: tuple[int, ...], arrays: list[Any]) -> tuple[list[int] | None, list[Any]]:
    """Coordinates of a rectangular grid cut down to open ones, with the axis of each; unchanged otherwise."""
    if len(shape) != 2 or not arrays:
        return None, arrays
    axes, out = [], []
    for array in arrays:
        a = np.asarray(array)
        a = a.reshape((1,) * (2 - a.ndim) + a.shape) if a.ndim < 2 else a
        if a.shape[0] == 1 or (a.shape == shape and (a == a[:1]).all()):
            axes.append(1)
            out.append(a[:1])
        elif a.shape[1] == 1 or (a.shape == shape and (a == a[:, :1]).all()):
            axes.append(0)
            out.append(a[:, :1])
        else:
            return None, arrays
    return axes, out


def _moments(
    structure: Structure, problem: Problem, kernel: GraphKernel, data: FitData, nonlinear: tuple[str, ...], linear: tuple[str, ...],
    known: tuple[str, ...], fixed: list[float], is_complex: bool,
) -> LongMoments | None:  # fmt: skip
    """How to sum over rows without holding columns: rank-1 grid factors, or blocks."""
    compiled = kernel.program
    if not structure.concrete and not is_complex and problem.unit == 1.0:
        full = [data.coords[name] for name in compiled.coordinates]
        axes, arrays = _open_grid(data.shape, full)
        if axes is not None and all(np.isfinite(a.sum()) for a in arrays):
            program = structure.grid(nonlinear, linear, known, dict(zip(compiled.coordinates, axes, strict=True)))
            if program is not None:
                lines = [np.ascontiguousarray(np.broadcast_to(a, data.shape)[0] if axis else np.broadcast_to(a, data.shape)[:, 0])
                         for a, axis in zip(arrays, axes, strict=True)]  # fmt: skip
                w = data.weights
                if data.used is not None and w is None:
                    w = data.used.astype(float)
                order = [compiled.coordinates.index(name) for name in program.coordinates]
                grid_kernel = GridProgramKernel(program, fixed, [lines[i] for i in order])
                return GridMoments(grid_kernel, data.data, w, data.used, problem.m, problem.k)
    if structure.concrete or kernel.select is not None or problem.N < LONG_ROWS:
        return None
    parts = row_blocks(problem.shape)
    return BlockMoments(problem, [(kernel.part(rows[0], problem.shape[0]), rows) for rows in parts])


def _bind_numeric(
    model: lmfit.Model, params: lmfit.Parameters, data: FitData, varying: tuple[str, ...], stated: tuple[str, ...] | None,
    probe: dict[str, float], rng: Any, complex_step: bool,
) -> Bound:  # fmt: skip
    resolve, complex_ok = resolver(model, params)
    complex_ok = complex_ok and complex_step
    missing = [name for name in varying if not np.isfinite(_value(params[name]))]
    start0 = np.array([probe[name] for name in varying])
    lower = np.array([params[name].min for name in varying], dtype=float)
    upper = np.array([params[name].max for name in varying], dtype=float)
    start0 = inside(start0, lower, upper)
    base = {name: value for name, value in probe.items() if name not in varying}
    try:
        first = evaluate(model, resolve(base | dict(zip(varying, start0.tolist(), strict=True))), data.coords)
    except (ValueError, TypeError) as err:
        if data.elementwise or not data.names:
            raise
        # coordinates that don't broadcast may suit a function that unpacks them; this one it doesn't
        raise shape_mismatch(data.shape, data.coords, data.names, _common_shape(data)) from err
    if first is None:
        msg = f"{model.name} returned None; the model function needs a return statement"
        raise DataError(msg)
    _check_shape(model, data, first)
    is_complex = np.iscomplexobj(first) or np.iscomplexobj(data.data)

    def rows(names: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
        def func(p: np.ndarray) -> np.ndarray:
            values = resolve(base | dict(zip(names, p.tolist(), strict=True)))
            out = data.select(np.asarray(evaluate(model, values, data.coords)))
            if is_complex:
                return np.ascontiguousarray(out, dtype=complex).view(float)
            return out if np.iscomplexobj(out) else np.asarray(out, dtype=float)

        return func

    func = rows(varying)
    steady = np.array_equal(func(start0), func(start0), equal_nan=True)
    notes = [] if steady else [f"{model.name} gives different values for the same arguments; derivatives and errors are only as good as that."]
    kwargs: dict[str, Any] = {} if rng is None else {"rng": rng}
    differentiator = numeric.choose(func, start0, complex_step=complex_ok and not is_complex, lower=lower, upper=upper, **kwargs)
    scale = np.asarray(differentiator.scale)
    unfelt = tuple(name for name, s in zip(varying, scale, strict=True) if not np.isfinite(s))
    chosen: set[str] = set()
    if stated is None or stated:
        prefer = [i for i, name in enumerate(varying) if name in missing]
        found = numeric.linear_set(func, start0, scale, prefer)
        chosen = {varying[i] for i in found.linear}
        if stated:
            for name in stated:
                if name in varying and name not in chosen:
                    msg = f"{name} was stated as linear, but {model.name} doesn't look linear in it together with the others; pass linear=None"
                    raise LinearityError(msg, pair=(name, name))
            chosen &= set(stated)
    linear = tuple(name for name in varying if name in chosen and name not in unfelt)
    nonlinear = tuple(name for name in varying if name not in chosen and name not in unfelt)
    unset = [name for name in nonlinear if name in missing]
    if unset:
        raise _missing(unset, model)
    names = nonlinear + linear
    order = [varying.index(name) for name in names]
    base |= {name: float(start0[varying.index(name)]) for name in unfelt}
    func = rows(names)
    start = start0[order]
    differentiator = numeric.choose(
        func, start, complex_step=differentiator.route == "complex-step", lower=lower[order], upper=upper[order], **kwargs
    )
    m = len(nonlinear)
    kernel = NumericKernel(func, len(names), m, differentiator, scale[order], start[m:].copy())
    y, w = data.data, data.weights
    if data.used is not None:
        y, w = y[data.used], None if w is None else w[data.used]
    y = y.reshape(-1)
    if is_complex:
        y = np.ascontiguousarray(y, dtype=complex).view(float)
        if w is not None:
            w = w.reshape(-1)
            w = np.ascontiguousarray(w).view(float) if np.iscomplexobj(w) else np.repeat(w, 2)
    problem = Problem(kernel, y, w, m, len(linear), lower[order], upper[order], max(differentiator.jac_error, 1e-15))
    start = start.copy()
    for i, name in enumerate(names):
        if name in missing:
            start[i] = np.nan
    unused, hidden = (unfelt, ()) if steady else ((), unfelt)
    return Bound(problem, None, names, nonlinear, linear, unused, hidden, start, None, differentiator.route, notes)


def resolver(model: lmfit.Model, params: lmfit.Parameters) -> tuple[Callable[[Mapping[str, Any]], dict[str, Any]], bool]:
    """A function from free and known values to all values that the model asks for; and whether it lets complex numbers through."""
    tied = [name for name, par in params.items() if par.expr]
    if not tied:
        return dict, True
    builder = Builder()
    nodes = Constraints(params, builder).tied()
    if any(name in asked_for(model) and name not in nodes for name in tied):
        # an expression only lmfit understands: let lmfit evaluate it, floats only
        scratch = copy_parameters(params)

        def by_lmfit(values: Mapping[str, Any]) -> dict[str, Any]:
            for name, value in values.items():
                if name not in tied:
                    scratch[name].value = float(np.real(value))
            scratch.update_constraints()
            return {**values, **{name: scratch[name].value for name in tied}}

        return by_lmfit, False
    graphs = {name: builder.graph(node) for name, node in nodes.items()}

    def by_graph(values: Mapping[str, Any]) -> dict[str, Any]:
        out = dict(values)
        for name, graph in graphs.items():
            out[name] = walk_graph(graph, {n: values[n] for n in graph.parameters}, {})
        return out

    return by_graph, True
