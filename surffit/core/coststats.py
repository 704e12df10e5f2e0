"""What a fit with a loss or priors reports: its statistics, its covariance, and the words for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..solve.around import innermost
from ..solve.covariance import Covariance, from_factor
from ..solve.loss import Poisson, Robust
from ..solve.loss_covariance import from_loss
from ..solve.reweighted import Reweighted
from .likelihood import kind_of, label

if TYPE_CHECKING:
    from .outcome import Outcome
    from .result import SurfaceResult


def loss_of(problem: Any) -> Reweighted | None:
    """The loss among the wrappers of a problem."""
    while hasattr(problem, "base"):
        if isinstance(problem, Reweighted):
            return problem
        problem = problem.base
    return None


def statistics(result: SurfaceResult, outcome: Outcome) -> None:
    """
    Statistics of the data, by the loss (on the result, in place of those of least squares).

    `residual` stays (data - model) * weights. `chisqr` is the cost of the data: the C-statistic for counts, -2 ln L for a
    user's likelihood, the sum of f^2 rho for a robust loss. `aic` and `bic` stand on -2 ln L, of which counts know the constant;
    a robust cost takes lmfit's formula, which compares fits with the same loss and scale.
    """
    problem, p = outcome.bound.problem, outcome.solution.p
    data = innermost(problem)
    result.ndata = problem.ndata
    result.nfree = problem.ndata - outcome.solution.here.f.rank
    r = data.residual(p)
    result.residual = r / data.unit
    loss = loss_of(problem)
    if loss is not None:
        cost = (loss.cost(p) + loss.reference) / loss.unit / loss.unit
        result.chisqr = cost if loss.term.likelihood else max(cost, 1e-250 * result.ndata)
        result.redchi = cost / max(1, result.nfree)
        likelihood = result.ndata * float(np.log(max(result.chisqr, 1e-300) / result.ndata))
        if loss.term.likelihood:
            likelihood = cost + (_saturated(data.y) if isinstance(loss.term, Poisson) else 0.0)
        result.aic = likelihood + 2 * result.nvarys
        result.bic = likelihood + float(np.log(result.ndata)) * result.nvarys
    result.nfev = problem.nfev


def _saturated(n: np.ndarray) -> float:
    """-2 ln L of counts under a model that gives each exactly: what the C-statistic leaves out."""
    from scipy.special import gammaln, xlogy

    return float(2.0 * np.sum(n - xlogy(n, n) + gammaln(n + 1.0)))


def covariance(outcome: Outcome) -> tuple[Covariance, str, str]:
    """Covariance, its source, and why there is none (empty where there is one)."""
    problem, solution = outcome.bound.problem, outcome.solution
    if problem.least_squares:
        return from_factor(solution.here, problem.n, solution.B), "jacobian", ""
    cov, source = from_loss(problem, solution)
    if source.startswith("no "):
        return cov, "none", f"there is {source}."
    return cov, source, ""


def words(result: SurfaceResult) -> list[str]:
    """What was minimised, and what the errors stand on."""
    outcome = result._outcome
    loss = None if outcome is None else loss_of(outcome.bound.problem)
    if loss is None or outcome is None:
        return []
    name = label(result._call.loss)
    if isinstance(loss.term, Poisson):
        lines = ["Minimised: the C-statistic of Poisson counts (chisqr holds it). Its errors are never scaled: counts know their own."]
        if np.any(loss.y != np.round(loss.y)):
            lines.append("The data are not all whole numbers: if they are not counts of events, these errors mean nothing.")
    elif isinstance(loss.term, Robust):
        f = loss.term.scale / loss.unit
        beyond = int((np.abs(innermost(loss).residual(outcome.solution.p)) > loss.term.scale).sum())
        unit = "standard deviations of the data, as given" if not result.scale_covar else "the data's (weighted) unit, found with the fit"
        lines = [
            f"Minimised: the loss {name} with f_scale = {f:.4g} in {unit}; {beyond} of {result.ndata} residuals lie beyond it. chisqr is "
            "the loss, not a chi-square."
        ]
    else:
        lines = [f"Minimised: the sum of {name}(data, model), taken as -2 ln L (chisqr holds it). Its errors are never scaled."]
    if result.covar is not None:
        if kind_of(result._call.loss) == "robust":
            lines.append("Errors are those of an M-estimator (Huber 1981), from the residual's own dispersion, whatever scale_covar says.")
        else:
            lines.append("Errors come from the observed information (the Hessian of -ln L at the minimum).")
    return lines
