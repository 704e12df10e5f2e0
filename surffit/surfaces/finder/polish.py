"""The exact fit of one law: its linear parameters are solved, its shape parameters searched by damped steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .laws import Law
from .points import Points

_DAMPINGS = np.array([0.0, 1e-3, 3e-2, 1.0, 30.0])
_DIFFERENCE = 1e-6


@dataclass(frozen=True, eq=False)
class Fitted:
    """
    A law with its parameters.

    Attributes
    ----------
    theta : ndarray, shape (p,)
        Shape parameters, in units of the scales.
    rss : float
        Weighted sum of squares.
    loo : float
        Sum of squares of the weighted leave-one-out residuals, exact for linear laws, linearised for others.
    residual : ndarray, shape (n,)
        Weighted residuals.
    """

    theta: np.ndarray
    rss: float
    loo: float
    residual: np.ndarray


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """Orthonormal rows (T, k, m) that span the rows of `columns` (T, k, m); nan where they aren't finite."""
    length = np.sqrt(np.einsum("tkm,tkm->tk", columns, columns))
    with np.errstate(all="ignore"):
        scaled = columns / np.where(length > 0, length, 1.0)[:, :, None]
    bad = ~np.isfinite(scaled).all(axis=(1, 2))
    scaled[bad] = 0.0
    q = np.linalg.qr(scaled.transpose(0, 2, 1))[0].transpose(0, 2, 1)
    q[bad] = np.nan
    return q


def _left(law: Law, points: Points, theta: np.ndarray) -> np.ndarray:
    """Residuals (T, m) of the best linear parameters."""
    q = orthonormal(law.columns(points, theta))
    target = points.target
    return target - np.einsum("tk,tkm->tm", q @ target, q)


def search(law: Law, points: Points, theta: np.ndarray, steps: int = 15, tolerance: float = 1e-9) -> tuple[np.ndarray, float]:
    """
    Shape parameters of least squares from a start.

    Parameters
    ----------
    law : Law
    points : Points
    theta : ndarray, shape (p,)
        Start.
    steps : int
        At most.
    tolerance : float
        Relative gain in the sum of squares below which the search ends.

    Returns
    -------
    theta : ndarray, shape (p,)
    rss : float
    """
    p = theta.size
    with np.errstate(all="ignore"):
        residual = _left(law, points, theta[None])[0]
        rss = float(residual @ residual)
        if not np.isfinite(rss):
            return theta, np.inf
        floor = 1e-28 * float(points.target @ points.target)
        for _ in range(steps):
            size = np.abs(theta) + 1e-3
            moved = theta + np.diag(_DIFFERENCE * size)
            slopes = (_left(law, points, moved) - residual) / _DIFFERENCE  # of theta in units of its size
            if not np.isfinite(slopes).all():
                break
            normal, right = slopes @ slopes.T, slopes @ residual
            strength = np.diag(normal).copy()
            strength[strength <= 0] = 1.0
            trials = []
            for damping in _DAMPINGS:
                try:
                    trials.append(np.linalg.solve(normal + np.diag((damping + 1e-12) * strength), -right))
                except np.linalg.LinAlgError:
                    trials.append(np.zeros(p))
            candidates = theta + np.array(trials) * size
            tried = _left(law, points, candidates)
            sums = np.einsum("tm,tm->t", tried, tried)
            sums[~np.isfinite(sums)] = np.inf
            best = int(np.argmin(sums))
            if not sums[best] < rss:
                break
            gain = rss - float(sums[best])
            theta, rss, residual = candidates[best], float(sums[best]), tried[best]
            if gain < tolerance * rss or rss < floor:
                break
    return theta, rss


def fitted(law: Law, points: Points, theta: np.ndarray) -> Fitted | None:
    """
    The law's fit at given shape parameters, through orthogonal columns.

    Parameters
    ----------
    law : Law
    points : Points
    theta : ndarray, shape (p,)
        Shape parameters as `search` left them.

    Returns
    -------
    Fitted or None
        None if the columns are not finite or depend on each other, or a shape parameter is not determined.
    """
    target = points.target
    with np.errstate(all="ignore"):
        columns = law.columns(points, theta[None])[0]
        length = np.sqrt(np.einsum("km,km->k", columns, columns))
        if not (np.isfinite(length).all() and (length > 0).all()):
            return None
        q, r = np.linalg.qr((columns / length[:, None]).T)
        if np.abs(np.diag(r)).min() < 1e-10:
            return None
        residual = target - q @ (q.T @ target)
        residual -= q @ (q.T @ residual)
        leverage = np.einsum("mk,mk->m", q, q)
        if theta.size:
            size = np.abs(theta) + 1e-3
            slopes = (_left(law, points, theta + np.diag(_DIFFERENCE * size)) - residual) / _DIFFERENCE
            slopes = slopes - (slopes @ q) @ q.T
            if not np.isfinite(slopes).all():
                return None
            norms = np.sqrt(np.einsum("pm,pm->p", slopes, slopes))
            if (norms <= 1e-7 * np.sqrt(target @ target)).any():
                return None
            s, t = np.linalg.qr((slopes / norms[:, None]).T)
            if np.abs(np.diag(t)).min() < 1e-5:
                return None
            # a shape parameter with an error as large as itself makes the law another one, with a parameter less
            noise = np.sqrt(residual @ residual / max(1, points.size - law.k))
            error = noise * np.sqrt(np.einsum("ij,ij->i", np.linalg.inv(t), np.linalg.inv(t))) / norms * size
            if (error > law.sizes(points, theta)).any():
                return None
            leverage = leverage + np.einsum("mp,mp->m", s, s)
        without = residual / np.maximum(1.0 - leverage, 1e-12)
    return Fitted(theta, float(residual @ residual), float(without @ without), residual)
