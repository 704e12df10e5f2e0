"""A joint model becomes a `JointProblem`: each part is bound as if it were alone, on the names that all agree on.

Which parameters are linear is decided for all parts together: one that multiplies another in any of them, or bends any of
them, is searched. Expressions are resolved before, so that a parameter tied to that of another data set is, in the part's
graph, a function of that one: derivatives and linearity follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lmfit
import numpy as np

from ..exceptions import ParameterError
from ..solve.blocks import JointMoments, JointProblem
from ..trace.graph import Builder
from ..trace.linearity import without_conflicts
from .bind import find_structure
from .bind_graph import bind_graph
from .bind_numeric import bind_numeric
from .bound import Bound, free_names, no_start, probe_value, starts_of, value_of
from .data import FitData
from .joint_data import JointData
from .joint_names import view
from .structure import Constraints, Structure

if TYPE_CHECKING:
    from .joint import JointModel

ROUTES = ("graph", "complex-step", "differences")


@dataclass(eq=False)
class _Part:
    """One part on its way to a problem."""

    key: str
    model: Any
    params: Any
    to_joint: dict[str, str]
    data: FitData
    structure: Structure | None
    bound: Bound | None = None

    @property
    def to_own(self) -> dict[str, str]:
        return {joint: own for own, joint in self.to_joint.items()}


def bind_joint(
    model: JointModel,
    params: lmfit.Parameters,
    data: JointData,
    *,
    linear: tuple[str, ...] | None = None,
    rng: Any = None,
    route: str | None = None,
) -> Bound:
    """
    Make the arrays of a joint fit; see `surffit.core.bind.bind`.

    Parameters
    ----------
    model : JointModel
    params : lmfit.Parameters
        Joint names.
    data : JointData
    linear : tuple, optional
        () switches elimination off.
    rng, route
        As for one data set.

    Returns
    -------
    Bound
        Of a `JointProblem`; `structure` holds the constraints.
    """
    builder = Builder()
    tied = Constraints(params, builder).tied()
    varying = free_names(params)
    known: dict[Any, Structure] = {}
    parts = [_prepare(model, key, params, data.parts[key], set(tied), route, known) for key in model.parts]
    chosen = _jointly_linear(model, parts, params, varying, linear, rng, route)
    names, problem, unused, stepped, notes = _compose(model, parts, params, varying, chosen, rng, route)
    start = starts_of(params, names)[0]
    m = problem.m
    start[:m] = np.clip(start[:m], problem.lower[:m], problem.upper[:m])
    for part in parts:
        if part.bound is not None and part.bound.derivatives != "graph":
            # the numeric route has moved starts off their bounds: it steps around them
            for own, value in zip(part.bound.names, part.bound.start, strict=True):
                i = names.index(part.to_joint[own])
                if i < m and np.isfinite(value) and start[i] in (problem.lower[i], problem.upper[i]):
                    start[i] = value
    routes = [part.bound.derivatives for part in parts if part.bound is not None]
    numeric = [part.key for part in parts if part.bound is not None and part.bound.derivatives != "graph"]
    if 0 < len(numeric) < len(parts):
        notes.append(f"Only {', '.join(numeric)} went without exact derivatives.")
    long = any(block.moments is not None for block in problem.blocks) and all(r == "graph" for r in routes)
    constraints = Structure(builder, builder.constant(0.0), tied, (), concrete=False)
    return Bound(
        problem, JointMoments(problem) if long else None, names, names[:m], names[m:], unused, stepped, start,  # type: ignore[arg-type]
        constraints, max(routes, key=ROUTES.index), notes,
    )  # fmt: skip


def _prepare(
    model: JointModel, key: str, params: lmfit.Parameters, data: FitData, tied: set[str], route: str | None, known: dict[Any, Structure]
) -> _Part:
    """A part's view of the parameters, and its graph if it has one."""
    part = model.parts[key]
    own, to_joint = view(part, model.names.joint[key], params)
    if any(own[name]._expr and joint not in tied for name, joint in to_joint.items()):
        own, to_joint = view(part, model.names.joint[key], params, real=True)
    # data sets with one model share its graph, checked against the function once
    constraints = tuple((name, par._expr, par.min, par.max) for name, par in own.items() if par._expr)
    options = tuple((name, id(value)) for name, value in data.coords.items() if name not in data.names)
    kind = (id(part), tuple(own), constraints, options, data.names)
    structure = known.get(kind) if data.elementwise else None
    if structure is None and route in (None, "graph"):
        structure = find_structure(part, own, data, model._structures)
        if structure is not None and not structure.concrete:
            known[kind] = structure
    if structure is None and route == "graph":
        msg = f'{part.name} of {key!r} can\'t be traced, so jac="graph" is not to be had; leave jac=None'
        raise ParameterError(msg)
    return _Part(key, part, own, to_joint, data, structure)


def _jointly_linear(
    model: JointModel,
    parts: list[_Part],
    params: lmfit.Parameters,
    varying: tuple[str, ...],
    linear: tuple[str, ...] | None,
    rng: Any,
    route: str | None,
) -> set[str]:
    """Parameters in which all parts together are affine."""
    affine: dict[str, None] = {}
    bent: set[str] = set()
    conflicts: set[tuple[str, str]] = set()
    for part in parts:
        mine = part.to_own
        free = tuple(mine[name] for name in varying if name in mine)
        stated = _stated(part)
        if linear == ():
            stated = ()
        if part.structure is not None:
            free = tuple(name for name in free if name in set(part.structure.parameters))
            if stated:  # checked, and refused with the pair where they are not
                part.bound = bind_graph(part.model, part.params, part.data, part.structure, tuple(free), stated)
            found = part.structure.linear(free, ())
            names, rest, pairs = found.affine, {*found.affine, *found.nonlinear}, found.conflicts
        else:
            part.bound = _numeric(part, free, stated, rng, route)
            names, rest, pairs = part.bound.linear, set(part.bound.names), ()
        if stated is not None:
            names = tuple(name for name in names if name in stated)
        affine |= dict.fromkeys(part.to_joint[name] for name in names)
        bent |= {part.to_joint[name] for name in rest - set(names)}
        conflicts |= {(part.to_joint[a], part.to_joint[b]) for a, b in pairs}
    candidates = [name for name in varying if name in affine and name not in bent]
    order = {name: i for i, name in enumerate(varying)}
    unset = [name for name in candidates if not math.isfinite(value_of(params[name]))]
    unbounded = [name for name in candidates if not (math.isfinite(params[name].min) or math.isfinite(params[name].max))]
    prefer = list(dict.fromkeys([*unset, *unbounded, *candidates]))
    left = sorted({tuple(sorted(pair, key=order.__getitem__)) for pair in conflicts if set(pair) <= set(candidates)})
    return without_conflicts(candidates, left, prefer, order)


def _stated(part: _Part) -> tuple[str, ...] | None:
    """What the part's maker said is linear; None: to be found."""
    return None if part.model._stated_linear is None else part.model.linear


def _numeric(part: _Part, free: tuple[str, ...], stated: tuple[str, ...] | None, rng: Any, route: str | None) -> Bound:
    probe = {name: probe_value(par) for name, par in part.params.items()}
    try:
        return bind_numeric(part.model, part.params, part.data, free, stated, probe, rng, route != "differences")
    except ParameterError as err:
        names = getattr(err, "names", ())
        if not names:
            raise
        raise no_start([part.to_joint[name] for name in names], part.model) from err


def _compose(
    model: JointModel, parts: list[_Part], params: lmfit.Parameters, varying: tuple[str, ...], chosen: set[str], rng: Any, route: str | None
) -> tuple[tuple[str, ...], JointProblem, tuple[str, ...], tuple[str, ...], list[str]]:
    """Bind every part with the linear parameters that all agreed on, and put them together."""
    missing = [name for name in varying if name not in chosen and not math.isfinite(value_of(params[name])) and _felt(parts, name)]
    if missing:
        raise no_start(missing, model)
    notes: list[str] = []
    felt: set[str] = set()
    jumps: set[str] = set()
    for part in parts:
        mine = part.to_own
        free = tuple(mine[name] for name in varying if name in mine)
        stated = tuple(mine[name] for name in varying if name in chosen and name in mine)
        if part.structure is not None:
            part.bound = bind_graph(part.model, part.params, part.data, part.structure, free, stated)
        elif part.bound is None or set(part.bound.linear) != set(stated) & set(part.bound.names):
            part.bound = _numeric(part, free, stated, rng, route)
        felt |= {part.to_joint[name] for name in part.bound.names}
        jumps |= {part.to_joint[name] for name in part.bound.stepped}
        notes += [f"{part.key}: {note}" for note in part.bound.notes]
    both = [name for name in varying if name in jumps and name in felt]
    if both:
        msg = f"{both[0]} moves one data set smoothly and another only in jumps (a comparison); give the second a parameter of its own"
        raise ParameterError(msg, name=both[0])
    nonlinear = tuple(name for name in varying if name in felt and name not in chosen)
    solved = tuple(name for name in varying if name in felt and name in chosen)
    names = nonlinear + solved
    place = {name: i for i, name in enumerate(names)}
    _, lower, upper = starts_of(params, names)
    bounds = [(part, part.bound) for part in parts if part.bound is not None]
    problem = JointProblem(
        [(bound.problem, np.array([place[part.to_joint[n]] for n in bound.names], dtype=int), bound.moments) for part, bound in bounds],
        len(nonlinear), len(solved), lower, upper,
    )  # fmt: skip
    unused = tuple(name for name in varying if name not in felt and name not in jumps)
    stepped = tuple(name for name in varying if name in jumps)
    return names, problem, unused, stepped, notes


def _felt(parts: list[_Part], name: str) -> bool:
    """Whether any part depends on a parameter."""
    for part in parts:
        own = part.to_own.get(name)
        if own is not None and (part.structure is None or own in part.structure.parameters):
            return True
    return False
