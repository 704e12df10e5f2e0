"""A loss and priors in words: what was minimised, what the errors stand on, how far parameters moved from their priors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..solve.layers import Layers, robust_scale
from ..solve.loss import Poisson, Robust
from .likelihood import label
from .priors import names_of

if TYPE_CHECKING:
    from ..solve.problem import Problem
    from .result import SurfaceResult

FAR = 3.0  # prior standard deviations beyond which data and prior disagree
FIRM = 0.5  # share of a parameter's information from its prior beyond which that is worth a word


def words(result: SurfaceResult) -> list[str]:
    """Sentences for `explain`, in place of those about the errors of least squares."""
    outcome = result._outcome
    if outcome is None:
        return []
    layers = Layers(outcome.bound.problem)
    lines = [] if layers.loss is None else _loss(result, layers)
    if result.covar is None:
        return [*lines, f"No errors: {result._no_errors}"]
    lines += _errors(result, layers)
    return lines if layers.prior is None else [*lines, *_priors(result)]


def starts(problem: Problem) -> str:
    """What linear parameters needed of a start."""
    loss = Layers(problem).loss
    if loss is None or loss.term.convex:
        return " and needed no start; with this cost all were searched"
    if isinstance(loss.term, Robust):
        return "; with this loss, which may have several minima, all were searched from several starts"
    return "; with this cost, which may have several minima, all were searched"


def stalled(result: SurfaceResult) -> str:
    """Why no step leads down although the gradient hasn't vanished, where the loss or a prior is the cause; else empty."""
    outcome = result._outcome
    if outcome is None:
        return ""
    layers = Layers(outcome.bound.problem)
    p = outcome.solution.p
    touched = layers.touching(p, outcome.solution.held)
    if touched:
        points = f"{touched} point{'s' if touched > 1 else ''}"
        return (
            f"The model comes down to zero at {points} without counts and can't go below: the best rate lies on the edge of what is "
            "possible; use a model that stays positive."
        )
    corners = [density for density in ([] if layers.prior is None else layers.prior.densities) if density.corner(p[density.indices])]
    if corners:
        names = ", ".join(outcome.bound.names[j] for density in corners for j in density.indices)
        return f"The prior of {names} has a corner where the fit ended: no derivative leads on, and sample() draws the posterior."
    return ""


def _loss(result: SurfaceResult, layers: Layers) -> list[str]:
    loss, name = layers.loss, label(result._call.loss)
    if loss is None:
        return []
    if isinstance(loss.term, Poisson):
        lines = ["Minimised: the C-statistic of Poisson counts (chisqr holds it)."]
        if np.any(loss.y != np.round(loss.y)):
            lines.append("The data are not all whole numbers: if they are not counts of events, these errors mean nothing.")
        return lines
    if not isinstance(loss.term, Robust):
        return [f"Minimised: the sum of {name}(data, model), taken as -2 ln L (chisqr holds it)."]
    f = loss.term.scale / layers.data.unit
    beyond = int((np.abs(result.residual) > f).sum())
    weighted = result.weights is not None
    if result.scale_covar:
        what = f"f = {f:.4g} {'times the given errors' if weighted else 'in units of the data'}, from the residual's own scatter"
    else:
        what = f"f = {f:.4g} {'standard deviations' if weighted else 'in units of the data'}, as given"
    return [
        f"Minimised: the robust loss {name} with {what}; {beyond} of {result.ndata} residuals lie beyond f. chisqr holds the loss, which "
        "is no chi-square.",
        _elsewhere(result, layers),
    ]


def _elsewhere(result: SurfaceResult, layers: Layers) -> str:
    """That the user's start led to another minimum than the one returned."""
    outcome = result._outcome
    p = None if outcome is None else outcome.solution.elsewhere
    if outcome is None or p is None:
        return ""
    there = ", ".join(f"{name} = {value:.6g}" for name, value in zip(outcome.bound.names, p, strict=True))
    if result.scale_covar:
        sizes = [robust_scale(layers.data.residual(end), layers.problem.n) / layers.data.unit for end in (p, outcome.solution.p)]
        why = f"the residuals scatter more ({sizes[0]:.4g}, here {sizes[1]:.4g})"
    else:
        why = "the loss is higher"
    return f"The start given led to another minimum, {there}, where {why}; bounds would keep the fit there."


def _errors(result: SurfaceResult, layers: Layers) -> list[str]:
    if layers.loss is not None and not layers.likelihood:
        return ["Errors are those of an M-estimator (Huber 1981), from the scatter of the residuals whatever scale_covar says."]
    if layers.likelihood:
        return ["Errors come from the observed information (the Hessian of -ln L) and are never scaled: a likelihood knows its own."]
    prior = layers.prior
    what = " and ".join(["the priors"] * bool(result._call.priors) + ["the smoothing"] * bool(result._call.roughness))
    exact = "the Hessian of -ln P" if result.covar_source == "hessian" else f"the Jacobian and {what} by QR"
    if prior is None or not result.scale_covar:
        return [f"Errors come from {exact}, the data's errors taken as given."]
    unit = "times the given errors" if result.weights is not None else "in units of the data"
    return [f"Errors come from {exact}; the data's standard deviation was found with the fit ({result._scatter:.4g} {unit})."]


def _priors(result: SurfaceResult) -> list[str]:
    """How much the priors had to say."""
    known = _number(result.ndata - result.nfree)
    lines = []
    if result._call.roughness:
        lines.append(f"Smoothing: the data determine {known} of the {result.nvarys} parameters (effective degrees of freedom).")
    if not result._call.priors:
        return lines
    lines += [f"Prior{'s' if len(result._call.priors) > 1 else ''}: the data determine {known} of the "
              f"{result.nvarys} parameters beside {'them' if len(result._call.priors) > 1 else 'it'}."]  # fmt: skip
    for name, centre, spread in _moments(result._call.priors):
        par = result.params[name]
        if math.isnan(centre):
            lines.append(f"{name} has a prior given as a function.")
            continue
        moved = (par.value - centre) / spread
        text = f"{name} moved {moved:+.2g} standard deviations from its prior ({centre:.6g} +/- {spread:.3g})"
        share = (par.stderr / spread) ** 2 if par.stderr is not None and np.isfinite(par.stderr) else 0.0
        if abs(moved) > FAR:
            text += ": data and prior disagree; look at both"
        elif share > FIRM:
            text += f", which holds {100 * min(share, 1.0):.0f} % of what is known of it"
        lines.append(f"{text}.")
    return lines


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 1e-3 else f"{value:.2f}"


def _moments(priors: Any) -> Iterator[tuple[str, float, float]]:
    """Name, centre and spread of every prior; nan where a function keeps them to itself."""
    for key, given in priors.items():
        names = names_of(key)
        if len(names) == 1 and isinstance(given, tuple | list | np.ndarray):
            yield names[0], float(given[0]), float(given[1])
        elif len(names) == 1 and hasattr(given, "ppf"):
            spread = float(given.std())
            if not 0.0 < spread < math.inf:
                spread = float(given.ppf(0.75) - given.ppf(0.25)) / 1.349
            yield names[0], float(given.median()), spread
        else:
            for name in names:
                yield name, math.nan, math.nan
