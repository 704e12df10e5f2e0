r"""
The covariance from the QR factor, its rank, and which parameters the data determine.

Cov = s^2 S^{-1} R^{-1} R^{-T} S^{-1}; J'J is never formed or inverted. Below full rank the singular vectors tell which
parameters lie in a null direction (their error is infinite) and leave the others theirs. Parameters on a bound are held:
nan, and the others' errors are conditional on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .polish import Local

# share of a parameter in the null space above which it is undetermined
UNDETERMINED = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Covariance:
    """Covariance of all n parameters, unscaled by the residual variance, and what stands behind it.

    Attributes
    ----------
    matrix : ndarray, shape (n, n)
        inf on the diagonal of undetermined parameters, nan on that of held ones, nan off the diagonal of both.
    undetermined : ndarray of bool, shape (n,)
    observed : ndarray, shape (n,), or None
        Standard errors from the observed information (full Hessian), for comparison.
    singular_values : ndarray
        Of the unit-norm columns.
    null : ndarray, shape (n_free - rank, n)
        Directions without effect in raw parameters.
    weak : ndarray, shape (w, n)
        Directions in raw parameters with singular values below 1e-6 of the largest; `weak_sigma` their errors.
    root : ndarray, shape (n, rank)
        Root of the determined covariance: a gradient g has the variance |root' g|^2 if it is orthogonal to `null`.
    rank : int
    """

    matrix: np.ndarray
    undetermined: np.ndarray
    observed: np.ndarray | None
    singular_values: np.ndarray
    null: np.ndarray
    weak: np.ndarray
    weak_sigma: np.ndarray
    root: np.ndarray
    rank: int


def from_factor(here: Local, n: int, B: np.ndarray | None, rate: float | None) -> Covariance:
    """
    Covariance with unit variance from the factor at a minimum.

    Parameters
    ----------
    here : Local
        Factor of the free columns.
    n : int
        Number of all parameters.
    B : ndarray or None
        Scaled curvature of the free parameters, for the observed information.
    rate : float or None
        Largest eigenvalue of K; the observed information exists only below 1.
    """
    f, free = here.f, here.free
    k, rank = free.size, f.rank
    L, scale = here.left, f.scale
    matrix = np.full((n, n), np.nan)
    undetermined = np.zeros(n, dtype=bool)
    raw = L / scale[:, None]
    block = raw @ raw.T
    lost = np.zeros(k, dtype=bool)
    null = np.zeros((k - rank, n))
    if rank < k:
        V0 = f.null_space()
        lost = np.einsum("ij,ij->j", V0, V0) > UNDETERMINED
        undetermined[free[lost]] = True
        null[:, free] = V0 / scale
        block[lost, :] = block[:, lost] = np.nan
        block[lost, lost] = np.inf
    matrix[np.ix_(free, free)] = block
    observed = None
    if B is not None and rank == k and rank and (rate is None or rate < 1.0):
        K = L.T @ B @ L
        core = np.linalg.inv(np.eye(rank) - K)
        observed = np.full(n, np.nan)
        observed[free] = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", raw, core, raw), 0.0))
    root = np.zeros((n, rank))
    root[free] = raw
    R = f.r if f.tail is None else np.hstack([f.r, f.tail])
    norms = np.sqrt(np.einsum("ij,ij->j", R, R))
    norms[norms == 0] = 1.0
    singular = np.empty(0)
    weak = np.zeros((0, n))
    weak_sigma = np.empty(0)
    if rank:
        _, singular, Vt = np.linalg.svd(R / norms, full_matrices=False)
        thin = singular[:rank] < 1e-6 * singular[0]
        if thin.any():
            weak = np.zeros((int(thin.sum()), n))
            weak[:, free[f.pivot]] = Vt[:rank][thin] / (norms * scale[f.pivot])
            weak_sigma = 1.0 / singular[:rank][thin]
    return Covariance(matrix, undetermined, observed, singular[:rank], null, weak, weak_sigma, root, rank)
