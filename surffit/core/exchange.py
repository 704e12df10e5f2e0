"""
Equal terms back in the order of their starts.

Two exponentials, three Gaussians: the model is the same with their parameters exchanged, so chi-square has as many equal
minima as there are orders, and which of them a fit finds means nothing. The one nearest to the start values is what people
asked for. Which parameters can be exchanged is proved from the graph (`surffit.trace.symmetry`), once per model.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from lmfit.model import CompositeModel
from scipy.optimize import linear_sum_assignment

from ..solve.minimum import Options, judge
from ..solve.verdict import Solution, final_flags
from ..trace.symmetry import Family, Form, exchangeable, forms_of_graph
from .structure import own_eval

if TYPE_CHECKING:
    import lmfit

    from .bound import Bound

# of the products compared: what one order must gain on another to count as nearer to the start
GAIN = 1e-10
# starts of linear parameters decide only between orders that the others leave equal
LINEAR = 1e-6
# chi-square at an exchanged point is the same but for its rounding
SAME = 1e-9


def in_order(model: lmfit.Model, params: lmfit.Parameters, bound: Bound, solution: Solution, options: Options) -> tuple[Solution, str]:
    """
    The same minimum with exchangeable terms in the order of their starts.

    Parameters
    ----------
    model : lmfit.Model
    params : lmfit.Parameters
    bound : Bound
    solution : Solution
        Where the fit ended.
    options : Options

    Returns
    -------
    solution : Solution
        As given if there is nothing to exchange, or if the order is the nearest one already.
    note : str
        What was exchanged, in words; empty if nothing was.
    """
    if len(bound.names) < 2 or not solution.status.success or not _out_of_order(bound.start, solution.p):
        return solution, ""
    order = np.arange(len(bound.names))
    moved: list[Family] = []
    for family in _families(model, params, bound):
        found = _nearest(bound, solution, family)
        if found is not None:
            order[found[0]] = found[1]
            changed = [block for block, i, j in zip(family, found[0].T[0], found[1].T[0], strict=True) if i != j]
            moved.append(tuple(changed))
    if not moved:
        return solution, ""
    problem = bound.problem
    other = judge(problem, solution.p[order], solution.status, solution.start, options, solution.engine, bound.moments)
    if other is None or not other.here.chi2 <= solution.here.chi2 * (1.0 + SAME) + problem.noise**2:
        return solution, ""
    other.restarts, other.escapes = solution.restarts, [direction[order] for direction in solution.escapes]
    final_flags(problem, other)
    if not other.status.success:
        return solution, ""
    which = "; ".join(" with ".join(", ".join(block) for block in blocks) for blocks in moved)
    return other, f"The model is the same with parameters exchanged ({which}); they are in the order nearest to their starts."


def _out_of_order(start: np.ndarray, end: np.ndarray) -> bool:
    """Whether any two parameters have changed places: without that, no exchange brings the end nearer to the start."""
    if start.size > 24:
        # (s_i - s_j)(e_i - e_j) < 0 for some i, j: the ends, sorted by their starts, go down somewhere
        known = np.isfinite(start)
        return bool((np.diff(end[known][np.argsort(start[known], kind="stable")]) < 0).any())
    starts, ends = start.tolist(), end.tolist()
    for i in range(1, len(starts)):
        for j in range(i):
            if (starts[i] - starts[j]) * (ends[i] - ends[j]) < 0.0:  # nan where there is no start
                return True
    return False


def _families(model: lmfit.Model, params: lmfit.Parameters, bound: Bound) -> tuple[Family, ...]:
    """What can be exchanged among the free parameters with equal bounds; kept with the structure."""
    structure = bound.structure
    key = ("exchange", bound.names, bound.problem.lower.tobytes(), bound.problem.upper.tobytes())
    if structure is not None and key in structure.plans:
        known: tuple[Family, ...] = structure.plans[key]
        return known
    labels = {
        name: (float(low), float(high)) for name, low, high in zip(bound.names, bound.problem.lower, bound.problem.upper, strict=True)
    }
    if structure is not None:
        forms = forms_of_graph(structure.builder, structure.node)
    else:
        forms = _forms_of_model(model)
        # constraints are not part of these forms, so what they name has a place of its own
        for par in params.values():
            if par.expr:
                labels = {name: label for name, label in labels.items() if name not in par.expr}
    families = () if forms is None else exchangeable(forms, labels)
    if structure is not None:
        structure.plans[key] = families
    return families


def _forms_of_model(model: lmfit.Model) -> list[Form]:
    """A model that can't be traced, as far as its composition shows it: its functions are opaque, their sums and products are not."""
    import operator

    out: list[Form] = []

    def add(form: Form) -> int:
        out.append(form)
        return len(out) - 1

    parameters: dict[str, int] = {}

    def visit(part: Any) -> int:
        if isinstance(part, CompositeModel):
            left, right = visit(part.left), visit(part.right)
            tags = (0, 0) if part.op in (operator.add, operator.mul) else (0, 1)
            return add(Form(("composite", id(part.op)), ((tags[0], left), (tags[1], right))))
        names = [part.prefix + name for name in part._param_root_names or ()]
        for name in names:
            if name not in parameters:
                parameters[name] = add(Form(("parameter", name), ()))
        inner = getattr(part, "wrapped", part)
        alike = id(inner) if own_eval(part) else (id(inner.func), repr(sorted(part.opts.items(), key=str)), tuple(part.independent_vars))
        return add(Form(("function", alike), tuple((i, parameters[name]) for i, name in enumerate(names))))

    visit(model)
    return out


def _nearest(bound: Bound, solution: Solution, family: Family) -> tuple[np.ndarray, np.ndarray] | None:
    """
    Which block's values belong into which place: two arrays (blocks, names) of numbers of parameters; None to leave all as it is.

    Distances are in standard errors, the same for the parameters that correspond to each other: a centre that is known to a
    thousandth weighs more than a height that is known to a tenth.
    """
    at = {name: i for i, name in enumerate(bound.names)}
    places = np.array([[at[name] for name in block] for block in family])
    here, m = solution.here, len(bound.nonlinear)
    sd = np.full(len(bound.names), np.nan)
    with np.errstate(all="ignore"):
        sd[here.free] = solution.sigma * np.sqrt(np.einsum("ij,ij->i", here.left, here.left)) / here.scale
    if here.f.rank < here.free.size:
        return None  # parameters that the data can't tell apart have no errors to measure by
    gain = np.zeros((len(family), len(family)))
    for searched, weight in ((True, 1.0), (False, LINEAR)):
        part = np.zeros_like(gain)
        for column in places.T:
            if bool(column[0] < m) != searched:
                continue
            start, end, error = bound.start[column], solution.p[column], sd[column]
            unit = float(np.max(error))
            if not (np.isfinite(start).all() and 0.0 < unit < math.inf):
                continue
            part += np.outer((start - start.mean()) / unit, (end - end.mean()) / unit)
        size = float(np.abs(part).max())
        gain += part * (weight / size if size else 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    if not gain[rows, columns].sum() > np.trace(gain) + GAIN:
        return None
    return places[rows], places[columns]
