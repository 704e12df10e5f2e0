"""The numeric route: a function that can't be traced becomes a problem by complex step or differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lmfit
import numpy as np

from ..exceptions import DataError, LinearityError
from ..solve.problem import Problem
from ..trace import numeric
from ..trace.graph import Builder
from ..trace.graph import evaluate as walk_graph
from .bound import Bound, check_shape, common_shape, inside, no_start, value_of
from .data import FitData, shape_mismatch
from .kernels import NumericKernel
from .parameters import copy_parameters
from .structure import Constraints, asked_for, evaluate


def bind_numeric(
    model: lmfit.Model, params: lmfit.Parameters, data: FitData, varying: tuple[str, ...], stated: tuple[str, ...] | None,
    probe: dict[str, float], rng: Any, complex_step: bool,
) -> Bound:  # fmt: skip
    resolve, complex_ok = resolver(model, params)
    complex_ok = complex_ok and complex_step
    missing = [name for name in varying if not np.isfinite(value_of(params[name]))]
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
        raise shape_mismatch(data.shape, data.coords, data.names, common_shape(data)) from err
    try:
        np.asarray(first)
    except ValueError as err:
        msg = f"{model.name} returned a {type(first).__name__} that is no array ({err}); the model function returns one array of values"
        raise DataError(msg) from err
    if first is None:
        msg = f"{model.name} returned None; the model function needs a return statement"
        raise DataError(msg)
    check_shape(model, data, first)
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
    notes = (
        [] if steady else [f"{model.name} gives different values for the same arguments; derivatives and errors are only as good as that."]
    )
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
                    msg = f"{name} was stated as linear, but {model.name} doesn't look linear in it beside the others; pass linear=None"
                    raise LinearityError(msg, pair=(name, name))
            chosen &= set(stated)
    linear = tuple(name for name in varying if name in chosen and name not in unfelt)
    nonlinear = tuple(name for name in varying if name not in chosen and name not in unfelt)
    unset = [name for name in nonlinear if name in missing]
    if unset:
        raise no_start(unset, model)
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
