"""
Equal terms back in the order of their starts.

Two exponentials, three Gaussians: the model is the same with their parameters exchanged, so chi-square has as many equal
minima as there are orders, and which of them a fit finds means nothing. The one nearest to the start values is what people
asked for. Which parameters can be exchanged is proved from the graph (`surffit.trace.symmetry`), once per model.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from lmfit.model import CompositeModel
from scipy.optimize import linear_sum_assignment

from ..solve.minimum import Options, judge
from ..solve.verdict import Solution, final_flags
from ..trace.symmetry import Family, Form, exchangeable, forms_of_graph
from .structure import asked_for, own_eval

if TYPE_CHECKING:
    import lmfit

    from .bound import Bound

# of the products compared: what one order must gain on another to count as nearer to the start
GAIN = 1e-10
# starts of linear parameters decide only between orders that the others leave equal
LINEAR = 1e-6
# the cost at an exchanged point is the same but for its rounding
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
    if len(bound.names) < 2 or not solution.status.success or not _out_of_order(bound.start.tolist(), solution.p.tolist()):
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
    # priors may tell apart what the model doesn't
    if other is None or not problem.cost(other.p) <= _slightly_above(problem.cost(solution.p)) + problem.noise**2:
        return solution, ""
    other.restarts, other.escapes = solution.restarts, [direction[order] for direction in solution.escapes]
    final_flags(problem, other)
    if not other.status.success:
        return solution, ""
    which = "; ".join(" with ".join(", ".join(block) for block in blocks) for blocks in moved)
    return other, f"The model is the same with parameters exchanged ({which}); they are in the order nearest to their starts."


def _slightly_above(cost: float) -> float:
    return cost + SAME * abs(cost)


def _out_of_order(start: list[float], end: list[float]) -> bool:
    """Whether any two have changed places: without that, no exchange brings the end nearer to the start."""
    pairs = sorted((s, e) for s, e in zip(start, end, strict=True) if math.isfinite(s))
    # sorted by their starts (and equal starts by their ends), the ends go down somewhere
    return any(one[1] > two[1] for one, two in pairwise(pairs))


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
        # constraints that the model uses are not part of these forms, so what they name has a place of its own
        asked = asked_for(model)
        if any(par.expr for name, par in params.items() if name in asked):
            tied = " ".join(par.expr for par in params.values() if par.expr)
            labels = {name: label for name, label in labels.items() if name not in tied}
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
    places = [[at[name] for name in block] for block in family]
    here, m = solution.here, len(bound.nonlinear)
    if here.f.rank < here.free.size:
        return None  # parameters that the data can't tell apart have no errors to measure by
    start, end = bound.start.tolist(), solution.p.tolist()
    columns = [column for column in zip(*places, strict=True) if all(math.isfinite(start[i]) for i in column)]
    if not any(_out_of_order([start[i] for i in column], [end[i] for i in column]) for column in columns):
        return None
    sd = np.full(len(start), np.nan)
    with np.errstate(all="ignore"):
        sd[here.free] = solution.sigma * np.sqrt(np.einsum("ij,ij->i", here.left, here.left)) / here.scale
    errors = sd.tolist()
    size = len(family)
    total = [[0.0] * size for _ in family]
    for searched, weight in ((True, 1.0), (False, LINEAR)):
        part = [[0.0] * size for _ in family]
        for column in columns:
            unit = max(errors[i] for i in column)
            if (column[0] < m) != searched or not 0.0 < unit < math.inf:
                continue
            middle, centre = sum(start[i] for i in column) / size, sum(end[i] for i in column) / size
            for row, i in zip(part, column, strict=True):
                for k, j in enumerate(column):
                    row[k] += (start[i] - middle) / unit * ((end[j] - centre) / unit)
        largest = max(abs(value) for row in part for value in row)
        if largest > 0.0:
            total = [[a + b * (weight / largest) for a, b in zip(*rows, strict=True)] for rows in zip(total, part, strict=True)]
    kept = sum(total[i][i] for i in range(size))
    if size == 2:
        best: tuple[int, ...] = (1, 0) if total[0][1] + total[1][0] > kept + GAIN else (0, 1)
    else:
        gain = np.array(total)
        _, found = linear_sum_assignment(gain, maximize=True)
        best = tuple(found.tolist()) if gain[range(size), found].sum() > kept + GAIN else tuple(range(size))
    return None if best == tuple(range(size)) else (np.array(places), np.array(places)[list(best)])
