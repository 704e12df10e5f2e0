"""lmfit models and Parameters become a `Problem`; below this file there are only arrays in one order.

The graph route first, with symbols for coordinates; then with the coordinates themselves; then the function as it is,
by complex step or differences. Each graph is checked against the function at every fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lmfit
import numpy as np

from ..exceptions import ExpressionError, LinearityError, ParameterError, TraceError
from ..solve.gram import LONG_GRID
from .bind_graph import bind_graph
from .bind_numeric import bind_numeric
from .bound import Bound, free_names, probe_value
from .data import FitData
from .meshgrid import open_grid
from .structure import Structure, evaluate, same, signature, trace_model

# positions along each axis at which a known graph is checked against its function again
SAMPLE = 16
# the same for a new graph, which is checked in full on fewer points than these
FIRST_SAMPLE = 64
# graphs that a model keeps
KEPT = 32


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
    probe = {name: probe_value(par) for name, par in params.items()}
    if route in (None, "graph"):
        structure = find_structure(model, params, data, {} if cache is None else cache)
        if structure is not None:
            return bind_graph(model, params, data, structure, varying, stated)
        if route == "graph":
            msg = f'{model.name} can\'t be traced, so jac="graph" is not to be had; leave jac=None'
            raise ParameterError(msg)
    return bind_numeric(model, params, data, varying, stated, probe, rng, route != "differences")


def find_structure(
    model: lmfit.Model, params: lmfit.Parameters, data: Any, cache: dict[Any, Structure], symbolic_only: bool = False
) -> Structure | None:
    """The traced model, from the cache where it still agrees with the function; None if it can't be traced."""
    probe = {name: probe_value(par) for name, par in params.items()}
    constraints = tuple((name, par.expr, par.min, par.max) for name, par in params.items() if par.expr)
    options = tuple((name, id(value)) for name, value in data.coords.items() if name not in data.names)
    base = (signature(model), tuple(params), constraints, options, data.names)
    for concrete in (False,) if symbolic_only else (False, True) if data.elementwise else (True,):
        if concrete and data.elementwise:
            structure = _of_lines(model, params, data, cache, base, probe)
            if structure is not None:
                return structure
        key = (*base, tuple(id(data.coords[name]) for name in data.names)) if concrete else base
        known = cache.get(key)
        if known is not None and _agrees(model, params, data, known, [probe], SAMPLE):
            return known
        cache.pop(key, None)
        structure = _traced(model, params, data, data.coords, concrete)
        if structure is not None and _agrees(model, params, data, structure, _perturbed(probe, params)):
            return _remembered(cache, key, structure)
    return None


def _traced(model: lmfit.Model, params: lmfit.Parameters, data: FitData, coords: dict[str, Any], concrete: bool) -> Structure | None:
    """The graph, or None where the function doesn't take symbols."""
    try:
        return trace_model(model, params, coords, data.names, concrete)
    except (TraceError, ExpressionError):
        return None
    except Exception:  # noqa: BLE001 - a user's function may raise anything when it is handed symbols
        return None


def _remembered(cache: dict[Any, Structure], key: Any, structure: Structure) -> Structure:
    # the oldest go: graphs of concrete coordinates hold the arrays alive; other threads may be at it too
    for oldest in list(cache)[: max(0, len(cache) + 1 - KEPT)]:
        cache.pop(oldest, None)
    cache[key] = structure
    return structure


def _of_lines(
    model: lmfit.Model, params: lmfit.Parameters, data: FitData, cache: dict[Any, Structure], base: tuple[Any, ...], probe: dict[str, float]
) -> Structure | None:
    """
    The graph that holds the open coordinates of a large rectangular grid; None where there is no such grid.

    What a function looks up in tables (splines, interpolation) is then short: a line along one axis. The function must give on open
    coordinates what it gives on those of the data's shape.
    """
    if data.data.size < LONG_GRID or min(data.shape) < 2:
        return None
    axes, arrays = open_grid(data.shape, [data.coords[name] for name in data.names])
    if axes is None or len(set(axes)) < 2:
        return None
    lines = dict(zip(data.names, arrays, strict=True))
    key = (*base, data.shape, *(line.tobytes() for line in arrays))
    known = cache.get(key)
    coords = {**data.coords, **lines}
    if known is not None and _agrees(model, params, data, known, [probe], coords=coords):
        return known
    structure = _traced(model, params, data, coords, concrete=True)
    if structure is None:
        return None
    structure.shape = (data.shape[0], data.shape[1])
    structure.kept = tuple(value for name, value in data.coords.items() if name not in data.names)
    if not _agrees(model, params, data, structure, _perturbed(probe, params), coords=coords):
        return None
    whole = evaluate(model, probe | _tied(structure, probe, params), data.coords)
    if np.shape(whole) != data.shape or not _agrees(model, params, data, structure, [probe], theirs=whole):
        return None
    return _remembered(cache, key, structure)


def _tied(structure: Structure, values: dict[str, float], params: lmfit.Parameters) -> dict[str, float]:
    """Values of the constrained parameters."""
    free = tuple(name for name in params if name not in structure.constraints)
    out = {}
    for name in structure.constraints:
        program = structure.constraint_program(name, (), free)
        out[name] = float(program.value([], [], [values[n] for n in free], (0.0,) * len(program.coordinates)))
    return out


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
    model: lmfit.Model, params: lmfit.Parameters, data: FitData, structure: Structure, points: list[dict[str, float]],
    sample: int = FIRST_SAMPLE, coords: dict[str, Any] | None = None, theirs: Any = None,
) -> bool:  # fmt: skip
    """
    Whether the graph gives what the function gives, at up to `sample` positions along each axis where coordinates are symbols.

    `coords` are coordinates to evaluate the function at in place of the data's, `theirs` what it gave already.
    """
    names = structure.parameters
    program = structure.program((), (), names)
    given = coords or (data.coords if structure.concrete else _sampled(data, sample))
    at = tuple(given[name] for name in program.coordinates)
    for point in points:
        values = point | _tied(structure, point, params)
        try:
            value = evaluate(model, values, given) if theirs is None else theirs
        except Exception:  # noqa: BLE001 - whatever the function raises at a probe, the graph isn't confirmed there
            return False
        if not same(program.value([], [], [values[n] for n in names], at), value):
            return False
    return True


def _sampled(data: FitData, sample: int) -> dict[str, Any]:
    """Coordinates at about `sample` positions along each axis: enough to notice that a function has changed."""
    if data.data.size <= sample**2:
        return data.coords
    ndim = len(data.shape)
    # one long axis has as many positions as two shorter ones
    steps = [max(1, length // (sample if ndim > 1 else sample**2)) for length in data.shape]
    out = dict(data.coords)
    for name in data.names:
        array = data.coords[name]
        out[name] = array[
            tuple(
                slice(None, None, steps[ndim - array.ndim + axis]) if length > 1 else slice(None) for axis, length in enumerate(array.shape)
            )
        ]
    return out
