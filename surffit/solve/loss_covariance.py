r"""
The covariance that fits a loss.

A likelihood: the inverse of the observed information, the exact Hessian H of -ln L at its minimum. With J~ S^{-1} = Q R
and K the relative curvature, H^{-1} = S^{-1} R^{-1} (I - K)^{-1} R^{-T} S^{-1}: nothing is inverted but the small, well
scaled I - K.

A robust loss: with psi = d'/2 the M-estimator's covariance

    k^2 [sum psi^2 / (N - n)] / [mean psi']^2 (J'J)^{-1},   k = 1 + (n / N) var(psi') / (mean psi')^2

(P. Huber, Robust Statistics, 1981, eq. 7.6.5). It holds the residual's dispersion, so that nothing is left to scale.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .covariance import Covariance, from_factor
from .linear import factor
from .polish import DenseSurveyor, Local, curvature
from .problem import EPS, Problem
from .reweighted import Reweighted
from .verdict import Solution


def dispersion(problem: Reweighted, p: np.ndarray, freedom: float) -> float:
    """
    Variance factor of a robust fit, in the rows' unit squared: the covariance is this times (J'J)^{-1}.

    Parameters
    ----------
    problem : Reweighted
    p : ndarray, shape (n,)
    freedom : float
        Number of rows minus that of the parameters they determine.

    Returns
    -------
    float
        nan where the loss has no curvature left on the whole: every residual is an outlier to it.
    """
    r = problem.base.residual(p)
    psi, slope, _ = problem.term.rows(r, problem.y)
    mean = float(slope.mean())
    if not mean > 0.0 or not freedom > 0.0:
        return math.nan
    n = r.size - freedom
    k = 1.0 + n / r.size * float(slope.var()) / mean**2
    return k * k * float(psi @ psi) / freedom / mean**2


def from_loss(problem: Problem, solution: Solution) -> tuple[Covariance, str]:
    """
    Covariance of a fit whose cost is no sum of squares, nothing left to scale.

    Parameters
    ----------
    problem : Problem
    solution : Solution
        Its minimum.

    Returns
    -------
    Covariance
    source : str
        "jacobian" or "hessian"; or a sentence that begins with "no " where there is none.
    """
    here, n = solution.here, problem.n
    if isinstance(problem, Reweighted) and not problem.term.likelihood:
        return _robust(problem, solution)
    # at the very end: the polish lets the last step go unlooked at
    here = DenseSurveyor(problem).local(here.p, solution.held) or here
    K = _relative_curvature(problem, here)
    rank = here.f.rank
    plain = scaled(from_factor(here, n, None), 1.0)
    if not rank:
        return plain, "hessian"
    values, vectors = np.linalg.eigh(np.eye(rank) - K)
    if not values[0] > 0.0:
        return plain, "no minimum: the Hessian of the likelihood is not positive there"
    return scaled(from_factor(here, n, None, vectors / np.sqrt(values)), 1.0), "hessian"


def _robust(problem: Reweighted, solution: Solution) -> tuple[Covariance, str]:
    here, n = solution.here, problem.n
    full = problem.base.full(here.p)
    f = None if full is None else factor(full[1][here.free], problem.jac_error)
    if full is None or f is None:
        return from_factor(here, n, None), "no finite derivatives at the end"
    local = Local(problem.base, here.p, full[0], here.free, f, f.qt(full[0]), full[1])
    cov = from_factor(local, n, None)
    factor_ = dispersion(problem, here.p, problem.ndata - f.rank)
    if not math.isfinite(factor_):
        return cov, "no curvature: to this loss nearly every point is an outlier; raise f_scale"
    # a fit without residual is sure to the rounding of the data only
    scale = max(math.sqrt(factor_), problem.base.noise / math.sqrt(problem.N))
    return scaled(cov, scale), "jacobian"


def scaled(cov: Covariance, scale: float) -> Covariance:
    """A covariance times scale^2, nothing left to scale."""
    return replace(cov, sd=cov.sd * scale, root=cov.root * scale, scale=(cov.scale or 1.0) * scale)


def _relative_curvature(problem: Problem, here: Local) -> np.ndarray:
    """K (rank, rank); the model's second derivatives by differences where they can't be had exactly."""
    if exact_second(problem, here.p):
        second = curvature(DenseSurveyor(problem), problem, here)
        if second is not None:
            return second[0]
    return _by_differences(problem, here)


def exact_second(problem: Problem, p: np.ndarray) -> bool:
    """Whether the model's own second derivatives are known exactly."""
    return problem.kernel.second(p[: problem.m], p[problem.m :]) is not None


def _by_differences(problem: Problem, here: Local) -> np.ndarray:
    """K from central differences of the cost's gradient along whitened directions, where the cost rises by about h^2."""
    L = here.left / here.scale[:, None]
    rank = here.f.rank
    centre = L.T @ (here.J @ here.r)[here.free]
    h = float(np.clip(max(problem.jac_error, EPS) ** 0.25, 1e-3, 0.1))
    H = np.zeros((rank, rank))
    for j in range(rank):
        ends = []
        for sign in (1.0, -1.0):
            p = here.p.copy()
            p[here.free] += sign * h * L[:, j]
            inside = (p >= problem.lower) & (p <= problem.upper)
            full = problem.full(p) if inside.all() else None
            if full is not None:
                ends.append((sign * h, L.T @ (full[1] @ full[0])[here.free]))
        if len(ends) == 1:  # at a bound, or at the edge of what is possible
            ends.append((0.0, centre))
        if not ends:
            H[j, j] = 1.0
        else:
            H[:, j] = -(ends[0][1] - ends[1][1]) / (ends[0][0] - ends[1][0])
    return np.eye(rank) - 0.5 * (H + H.T)
