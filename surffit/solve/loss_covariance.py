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

from .around import innermost
from .covariance import Covariance, from_factor
from .layers import Layers
from .linear import factor
from .polish import DenseSurveyor, Local, curvature
from .problem import EPS, Problem
from .verdict import Solution


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
    layers = Layers(problem)
    if layers.loss is not None and not layers.likelihood:
        return _robust(layers, solution)
    if layers.prior is not None and any(density.corner(here.p[density.indices]) for density in layers.prior.densities):
        return from_factor(here, n, None), "no parabola: a prior has a corner where the fit ended; sample() draws the posterior"
    if layers.touching(here.p, solution.held):
        return from_factor(here, n, None), "no minimum inside: the model comes down to zero where there are no counts"
    scale = 1.0 if layers.prior is None else layers.prior.scale
    # at the very end: the polish lets the last step go unlooked at
    here = DenseSurveyor(problem).local(here.p, solution.held) or here
    K = _relative_curvature(problem, here)
    rank = here.f.rank
    plain = scaled(from_factor(here, n, None), scale)
    if not rank:
        return plain, "hessian"
    values, vectors = np.linalg.eigh(np.eye(rank) - K)
    if not values[0] > 0.0:
        return plain, "no minimum: the Hessian of the likelihood is not positive there"
    return scaled(from_factor(here, n, None, vectors / np.sqrt(values)), scale), "hessian"


def _robust(layers: Layers, solution: Solution) -> tuple[Covariance, str]:
    here, problem, data = solution.here, layers.problem, layers.data
    full = data.full(here.p)
    variance, _ = layers.variance(here.p)
    if full is None or not math.isfinite(variance):
        return from_factor(here, problem.n, None), "no curvature: to this loss nearly every point is an outlier; raise f_scale"
    r, J = full
    scale = math.sqrt(variance)
    T = None if layers.prior is None else layers.prior.information(here.p)
    if T is not None:
        J = np.hstack([J, scale * T])
        r = np.concatenate([r, np.zeros(T.shape[1])])
    f = factor(J[here.free], problem.jac_error)
    if f is None:
        return from_factor(here, problem.n, None), "no finite derivative at the end"
    return scaled(from_factor(Local(data, here.p, r, here.free, f, f.qt(r), J), problem.n, None), scale), "jacobian"


def scaled(cov: Covariance, scale: float) -> Covariance:
    """A covariance times scale^2, nothing left to scale."""
    return replace(cov, sd=cov.sd * scale, root=cov.root * scale, scale=(cov.scale or 1.0) * scale)


def cost_scale(problem: Problem, p: np.ndarray) -> float:
    """
    s such that cost / s^2 is -2 ln of the posterior density, up to a constant.

    For a robust loss, which is no likelihood, it is the s with which the density has the covariance of the M-estimator.
    """
    layers = Layers(problem)
    if layers.prior is not None:
        return layers.prior.scale
    if layers.loss is None or layers.likelihood:
        return layers.data.unit
    return math.sqrt(layers.variance(p)[1])


def _relative_curvature(problem: Problem, here: Local) -> np.ndarray:
    """K (rank, rank); the model's second derivatives by differences where they can't be had exactly."""
    if exact_second(problem, here.p):
        second = curvature(DenseSurveyor(problem), problem, here)
        if second is not None:
            return second[0]
    return _by_differences(problem, here)


def exact_second(problem: Problem, p: np.ndarray) -> bool:
    """Whether the model's own second derivatives are known exactly."""
    data = innermost(problem)
    return data.curvature(p, np.zeros(data.N)) is not None


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
