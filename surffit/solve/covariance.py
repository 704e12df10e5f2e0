r"""
The covariance from the QR factor, its rank, and which parameters the data determine.

Cov = s^2 S^{-1} R^{-1} R^{-T} S^{-1}; J'J is never formed or inverted. Below full rank the singular vectors tell which
parameters lie in a null direction (their error is infinite) and leave the others theirs. Parameters on a bound are held:
nan, and the others' errors are conditional on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernels.dd import dd_dot
from .polish import Local

# share of a parameter in the null space above which it is undetermined
UNDETERMINED = 1e-10
# singular values below this share of the largest make weak directions
WEAK = 1e-6
# numbers in the products of all pairs of columns up to which errors are refined: beyond, it costs as much as the fit
SMALL = 10_000
# condition from which errors lose more than three digits, so that refining them is worth its while
LOSSY = 1e3


@dataclass(frozen=True, slots=True, eq=False)
class Covariance:
    """Covariance of all n parameters, unscaled by the residual variance, and what stands behind it.

    Attributes
    ----------
    sd : ndarray, shape (n,)
        Standard errors: inf for undetermined parameters, nan for held ones.
    correlation : ndarray, shape (n, n)
        1 on the diagonal, nan off it for undetermined and held parameters.
    undetermined : ndarray of bool, shape (n,)
    null : ndarray, shape (n_free - rank, n)
        Directions without effect in raw parameters.
    weak : ndarray, shape (w, n)
        Directions in raw parameters with singular values below 1e-6 of the largest; `weak_sigma` their errors.
    root : ndarray, shape (n, rank)
        Root of the determined covariance: a gradient g has the variance |root' g|^2 if it is orthogonal to `null`.
    rank : int
    scale : float or None
        By what the errors were multiplied; None where the residual variance is still to come.
    """

    sd: np.ndarray
    correlation: np.ndarray
    undetermined: np.ndarray
    null: np.ndarray
    root: np.ndarray
    rank: int
    here: Local | None = None
    B: np.ndarray | None = None
    scale: float | None = None

    def observed(self) -> np.ndarray | None:
        """Standard errors (n,) from the observed information (the full Hessian) instead, or None where it isn't known."""
        here, B = self.here, self.B
        if here is None or B is None or here.f.rank < here.free.size or not here.f.rank:
            return None
        L = here.left
        information = np.eye(here.f.rank) - L.T @ B @ L
        if np.linalg.eigvalsh(information)[0] <= 0.0:
            return None
        core = np.linalg.inv(information)
        out = np.full(self.sd.size, np.nan)
        out[here.free] = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", L, core, L), 0.0)) / here.scale
        return out

    def spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Singular values of the unit-norm columns; directions (w, n) in raw parameters with tiny ones; and their errors."""
        n = self.sd.size
        if self.here is None or not self.rank:
            return np.empty(0), np.zeros((0, n)), np.empty(0)
        f, free = self.here.f, self.here.free
        R = f.r if f.tail is None else np.hstack([f.r, f.tail])
        norms = np.sqrt(np.einsum("ij,ij->j", R, R))
        norms[norms == 0] = 1.0
        _, s, Vt = np.linalg.svd(R / norms, full_matrices=False)
        thin = s < WEAK * s[0]
        weak = np.zeros((int(thin.sum()), n))
        weak[:, free[f.pivot]] = Vt[thin] / (norms * f.scale[f.pivot])
        return s, weak, (self.scale or 1.0) / s[thin]


def from_factor(here: Local, n: int, B: np.ndarray | None, core: np.ndarray | None = None) -> Covariance:
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
    core : ndarray, shape (rank, rank), optional
        Root of another covariance in units of the errors: CC' in place of the identity.
    """
    f, free = here.f, here.free
    k, rank = free.size, f.rank
    L, scale = here.left if core is None else here.left @ core, f.scale
    # all in scaled coordinates, where everything is of order one: raw parameters may be 1e-200 or 1e200
    norms = np.sqrt(np.einsum("ij,ij->i", L, L))
    undetermined = np.zeros(n, dtype=bool)
    errors = norms / scale
    null = np.zeros((k - rank, n))
    positive = norms if rank == k else np.where(norms > 0, norms, 1.0)
    if core is None:
        block = here.products(positive)
    else:
        unit = L / positive[:, None]
        block = unit @ unit.T
    if rank < k:
        V0 = f.null_space()
        lost = np.einsum("ij,ij->j", V0, V0) > UNDETERMINED
        undetermined[free[lost]] = True
        null[:, free] = np.where(lost, V0, 0.0) / scale  # what is determined has no part in it but rounding
        block[lost, :] = block[:, lost] = np.nan
        errors[lost] = np.inf
    block.flat[:: k + 1] = 1.0
    if k == n:
        return Covariance(errors, block, undetermined, null, L / scale[:, None], rank, here, B)
    sd, correlation, root = np.full(n, np.nan), np.full((n, n), np.nan), np.zeros((n, rank))
    sd[free], correlation[np.ix_(free, free)], root[free] = errors, block, L / scale[:, None]
    correlation.flat[:: n + 1] = 1.0
    return Covariance(sd, correlation, undetermined, null, root, rank, here, B)


def refine_root(here: Local) -> None:
    """
    Standard errors to the digits that the columns carry, where there are few of them (in place).

    From R alone their relative error is eps times the condition of the scaled columns. Here (A'A)^{-1} takes Newton's steps
    X + X (I - A'A X), with A'A and what is left of I in double-double, and the rows of R^{-1} get the norms that follow.

    Parameters
    ----------
    here : Local
        Left as it is below full rank, for many numbers, and beyond a condition of about 1e7, where the steps don't contract.
    """
    k = here.free.size
    if here.f.rank < k or not k or k * k * here.r.size > SMALL:
        return
    pivots = np.abs(here.f.r.diagonal())
    if pivots[0] < LOSSY * pivots[-1]:
        return
    a = here.J[here.free] / here.f.scale[:, None]
    high, low = dd_dot(a[:, None, :], a)
    left = here.left
    inverse = left @ left.T
    size = np.inf
    while True:
        part, rest = dd_dot(inverse, high[:, None, :], low[:, None, :])  # rows of A'A times columns of X, which is symmetric
        error = (np.eye(k) - part) - rest
        before, size = size, float(np.abs(error).max())
        if not size < 0.1 * before or not size < 0.1:
            break
        inverse += inverse @ error
        inverse = (inverse + inverse.T) / 2
    if np.isfinite(before) and (inverse.diagonal() > 0).all():
        here._left = left * np.sqrt(inverse.diagonal() / np.einsum("ij,ij->i", left, left))[:, None]


def lengths(rows: np.ndarray) -> np.ndarray:
    """Norms of rows (n, r) of any size: squares of 1e-200 would be nothing."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    unit = rows / np.where(largest > 0, largest, 1.0)[:, None]
    return np.asarray(largest * np.sqrt(np.einsum("ij,ij->i", unit, unit)))


def from_root(root: np.ndarray, which: np.ndarray, n: int, null: np.ndarray, undetermined: np.ndarray) -> Covariance:
    """
    Covariance from a root of it for some of the parameters, the others held or fixed along the null directions.

    Parameters
    ----------
    root : ndarray, shape (w, r)
        Of the covariance with unit variance.
    which : ndarray of int, shape (w,)
        Its parameters.
    n : int
    null : ndarray, shape (d, n)
    undetermined : ndarray of bool, shape (n,)
    """
    whole = np.zeros((n, root.shape[1]))
    whole[which] = root
    sd = lengths(whole)
    unit = whole / np.where(sd > 0, sd, 1.0)[:, None]
    sd[sd == 0] = np.nan
    sd[undetermined] = np.inf
    correlation = unit @ unit.T
    lost = ~np.isfinite(sd)
    correlation[lost, :] = correlation[:, lost] = np.nan
    correlation.flat[:: n + 1] = 1.0
    return Covariance(sd, correlation, undetermined, null, whole, root.shape[1])
