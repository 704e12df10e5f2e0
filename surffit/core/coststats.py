"""What a fit with a loss or priors reports: its statistics and its covariance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..solve.around import innermost
from ..solve.covariance import Covariance, from_factor
from ..solve.layers import Layers, robust_scale
from ..solve.loss import Poisson
from ..solve.loss_covariance import from_loss, scaled
from ..solve.priors import PriorProblem
from ..solve.problem import Problem
from .new_points import COUNTS, UNKNOWN

if TYPE_CHECKING:
    from .outcome import Outcome
    from .result import SurfaceResult


def statistics(result: SurfaceResult, outcome: Outcome) -> None:
    """
    Statistics of the data, by the loss (on the result, in place of those of least squares).

    `residual` stays (data - model) * weights. `chisqr` is the cost of the data: the C-statistic for counts, -2 ln L for a
    user's likelihood, the sum of f^2 rho for a robust loss. `aic` and `bic` stand on -2 ln L, of which counts know the constant;
    a robust cost takes lmfit's formula, which compares fits with the same loss and scale. With priors `nfree` counts the
    parameters that the data determine, which need not be a whole number.
    """
    problem, p = outcome.bound.problem, outcome.solution.p
    layers = Layers(problem, sigma_known=not outcome.call.scale_covar)
    data, loss = layers.data, layers.loss
    result.ndata = problem.ndata
    result.nfree = problem.ndata - outcome.solution.here.f.rank
    if layers.prior is not None:
        # a prior that holds a parameter gives a degree of freedom back
        layers.variance(p)
        result.nfree = problem.ndata - layers.gamma
    r = layers.whole.residual(p)
    result.residual = r / data.unit
    if loss is None:
        chi2 = float(r @ r) / data.unit / data.unit
        result._scatter = math.sqrt(chi2 / result.nfree) if result.scale_covar and result.nfree > 0 else 1.0
    else:
        result._pointwise = loss.term.cost(r, data.y) / loss.unit / loss.unit
        chi2 = float(result._pointwise.sum())
        result._scatter = robust_scale(r, problem.n) / data.unit if result.scale_covar else 1.0
        if not layers.likelihood:
            psi, slope, _ = loss.term.rows(r, data.y)
            # what the cost falls by for a parameter that means nothing: the variance, if psi = r
            mean = float(slope.mean()) * max(result.nfree, 1e-8) * loss.unit**2
            result._cost_scale = float(psi @ psi) / mean if mean > 0 else math.nan
        if layers.likelihood:
            result._scatter = COUNTS if isinstance(loss.term, Poisson) else UNKNOWN
    result.chisqr = chi2 if layers.likelihood else max(chi2, 1e-250 * result.ndata)
    result.redchi = chi2 / max(1e-8, result.nfree)
    if layers.likelihood and loss is not None:
        likelihood = chi2 + (_saturated(data.y) if isinstance(loss.term, Poisson) else 0.0)
    else:
        likelihood = result.ndata * math.log(result.chisqr / result.ndata)
    result.aic = likelihood + 2 * result.nvarys
    result.bic = likelihood + math.log(result.ndata) * result.nvarys
    result.nfev = problem.nfev


def _saturated(n: np.ndarray) -> float:
    """-2 ln L of counts under a model that gives each exactly: what the C-statistic leaves out."""
    from scipy.special import gammaln, xlogy

    return float(2.0 * np.sum(n - xlogy(n, n) + gammaln(n + 1.0)))


def covariance(outcome: Outcome) -> tuple[Covariance, str, str]:
    """Covariance, its source, and why there is none (empty where there is one)."""
    problem, solution = outcome.bound.problem, outcome.solution
    if problem.least_squares and isinstance(problem, PriorProblem):
        return scaled(from_factor(solution.here, problem.n, None), problem.scale), "jacobian", ""
    cov, source = from_loss(problem, solution)
    if source.startswith("no "):
        return cov, "none", f"there is {source}."
    return cov, source, ""


def leverage_rows(problem: Problem, p: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Rows (rank, N) whose squares, summed over some points, are the number of parameters that these points determine."""
    layers = Layers(problem)
    full = layers.loss.full(p) if layers.likelihood and layers.loss is not None else innermost(problem).full(p)
    if full is None:
        return np.full((root.shape[1], innermost(problem).N), np.nan)
    return np.asarray(root.T @ full[1] / math.sqrt(layers.variance(p)[0] if layers.loss is not None else _row_variance(layers)))


def _row_variance(layers: Layers) -> float:
    return layers.data.unit**2 if layers.prior is None else layers.prior.scale**2
