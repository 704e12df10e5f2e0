r"""
The covariance from the curvature of what is minimised, by numdifftools in whitened coordinates.

With p = p0 + s R q, where R R' is the covariance with unit variance as far as it is known, cost(p(q)) / (2 s^2) has a Hessian
near I whatever the units of p are; its inverse, mapped back, is the covariance by the observed information:
Cov = s^2 R H^{-1} R'. numdifftools' adaptive steps are used: fixed ones are off by 1e-3 and worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from ..kernels.warned import filtered
from .covariance import Covariance, from_root
from .problem import Problem

LEAST, MOST = 1e-3, 1e3  # eigenvalues between which whitened curvature can be trusted
FLAT = 1e-7  # eigenvalue of the curvature with unit diagonal below which a direction has no effect
VISIBLE = 1e-6  # of the data's size: what a whitened step changes at least, well above rounding
UNSTEADY = 0.02  # error of the curvature, as numdifftools estimates it, beyond which it is none
SHARE = 1e-8  # of a parameter in flat directions above which it is undetermined
TENFOLDS = 45


class NoCurvatureError(ArithmeticError):
    """The curvature can't be had, or isn't that of a minimum."""


def from_hessian(
    problem: Problem, p: np.ndarray, sigma: float, root: np.ndarray | None, which: np.ndarray, null: np.ndarray, undetermined: np.ndarray
) -> Covariance:
    """
    Covariance with unit variance by numerical second derivatives of the cost.

    Parameters
    ----------
    problem : Problem
    p : ndarray, shape (n,)
        The minimum.
    sigma : float
        Standard deviation of a row in the rows' unit: the length of one whitened step.
    root : ndarray, shape (w, w), or None
        Of the covariance of `which` with unit variance, the others fixed; None: each parameter's scale is found from the cost.
    which : ndarray of int, shape (w,)
        The parameters that move.
    null : ndarray, shape (d, n)
        Directions without effect.
    undetermined : ndarray of bool, shape (n,)

    Raises
    ------
    NoCurvatureError
        If the model isn't finite around the minimum, the curvature isn't positive, or it depends on the step (a kink, a jump).
    """
    with np.errstate(all="ignore"):
        # the Hessian doesn't depend on the unit of q, but its rounding does
        size = math.sqrt(float(problem.y @ problem.y) / max(problem.N, 1))
        step = max(sigma, VISIBLE * size)
        if root is None:
            root, which, null, undetermined = _by_scales(problem, p, step, which, null, undetermined)
        if not which.size:
            msg = "the cost changes with no parameter"
            raise NoCurvatureError(msg)
        H = whitened_hessian(problem, p, step, root, which)
        L = _cholesky(H)
        if L is None:
            msg = "the second derivatives of the cost are not those of a minimum"
            raise NoCurvatureError(msg)
        if not _trusted(H):
            # whiten once more, by what was found
            root = root @ np.linalg.inv(L).T
            H = whitened_hessian(problem, p, step, root, which)
            L = _cholesky(H)
            if L is None or not _trusted(H):
                msg = "the second derivatives of the cost change with the step: there is a kink, a jump or noise at the minimum"
                raise NoCurvatureError(msg)
        return from_root(root @ np.linalg.inv(L).T, which, problem.n, null, undetermined)


def whitened_hessian(problem: Problem, p: np.ndarray, step: float, root: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Hessian (w, w) of cost / (2 step^2) with respect to q at 0, p = p0 + step root q."""
    from numdifftools import Hessian

    moved = p.copy()
    base = problem.cost(p)

    def cost(q: np.ndarray) -> float:
        moved[which] = p[which] + step * (root @ q)
        return (problem.cost(moved) - base) / step / step / 2.0

    with filtered("ignore"):  # numdifftools' means over steps that all left the model's domain
        found = Hessian(cost, full_output=True)(np.zeros(root.shape[1]))
    H, info = np.atleast_2d(found[0]), found if hasattr(found, "error_estimate") else found[1]  # a pair before numdifftools 0.10
    if not np.isfinite(H).all():
        msg = "the cost is not finite around the minimum"
        raise NoCurvatureError(msg)
    # along an edge, or in noise, what is found depends on the step
    if float(np.max(info.error_estimate)) > UNSTEADY * max(1.0, float(np.abs(H).max())):
        msg = "the second derivatives of the cost change with the step: there is a kink, a jump or noise at the minimum"
        raise NoCurvatureError(msg)
    return np.asarray(0.5 * (H + H.T))


def _cholesky(H: np.ndarray) -> np.ndarray | None:
    try:
        return np.linalg.cholesky(H)
    except np.linalg.LinAlgError:
        return None


def _trusted(H: np.ndarray) -> bool:
    values = np.linalg.eigvalsh(H)
    return bool(values[0] >= LEAST and values[-1] <= MOST)


def rise(problem: Problem, p: np.ndarray, direction: np.ndarray, base: float, length: float) -> float:
    """How much the cost rises on average of both sides of p; infinite where it isn't finite on one."""
    return 0.5 * (problem.cost(p + length * direction) - base) + 0.5 * (problem.cost(p - length * direction) - base)


def reach(rise_at: Callable[[float], float], goal: float, first: float) -> float | None:
    """Length at which something that grows reaches `goal`, within a factor of two; None if it never does, nan if it isn't finite."""
    length, last = first, 0.0
    for _ in range(TENFOLDS):
        value = rise_at(length)
        if value >= goal or not math.isfinite(value):
            break
        last = length
        length *= 10.0
    else:
        return None
    low, high = last, length
    for _ in range(40):
        value = rise_at(high)
        if goal <= value <= 4.0 * goal:
            return high
        middle = math.sqrt(low * high) if low > 0 else 0.1 * high
        if rise_at(middle) >= goal or not math.isfinite(rise_at(middle)):
            high = middle
        else:
            low = middle
        if high <= low * (1.0 + 1e-6):
            break
    return high if math.isfinite(rise_at(high)) else math.nan


def scales(problem: Problem, p: np.ndarray, step: float, which: np.ndarray) -> np.ndarray:
    """How far each parameter alone carries the cost up by step^2, (w,); inf for those that change nothing."""
    base = problem.cost(p)
    out = np.full(which.size, np.inf)
    for i, j in enumerate(which):
        found = reach(partial(_alone, problem, p, int(j), base), step * step, 1e-10 * abs(float(p[j])) or 1e-10)
        if found is not None and not math.isfinite(found):
            msg = "the cost is not finite around the minimum"
            raise NoCurvatureError(msg)
        out[i] = math.inf if found is None else found
    return out


def _alone(problem: Problem, p: np.ndarray, j: int, base: float, length: float) -> float:
    direction = np.zeros(problem.n)
    direction[j] = 1.0
    return rise(problem, p, direction, base, length)


def _by_scales(
    problem: Problem, p: np.ndarray, step: float, which: np.ndarray, null: np.ndarray, undetermined: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Whitening from the cost alone: each parameter's own scale, then the curvature in these; flat directions are fixed."""
    undetermined = undetermined.copy()
    lengths = scales(problem, p, step, which)
    felt = np.isfinite(lengths)
    undetermined[which[~felt]] = True
    flat = np.zeros((int((~felt).sum()), problem.n))
    flat[np.arange(len(flat)), which[~felt]] = 1.0
    which, unit = which[felt], lengths[felt] / step
    null = np.concatenate([null, flat])
    if not which.size:
        return np.zeros((0, 0)), which, null, undetermined
    H = whitened_hessian(problem, p, step, np.diag(unit), which)
    diagonal = H.diagonal()
    msg = "the second derivatives of the cost are not those of a minimum"
    if not (diagonal > 0).all():
        raise NoCurvatureError(msg)
    unit, H = unit / np.sqrt(diagonal), H / np.sqrt(diagonal) / np.sqrt(diagonal)[:, None]
    values, vectors = np.linalg.eigh(H)
    if values[0] < -FLAT * which.size:
        raise NoCurvatureError(msg)
    seen = values > FLAT
    root = unit[:, None] * (vectors[:, seen] / np.sqrt(values[seen]))
    if not seen.all():
        hidden = vectors[:, ~seen].T
        more = np.zeros((len(hidden), problem.n))
        more[:, which] = hidden * unit
        undetermined[which[np.einsum("ij,ij->j", hidden, hidden) > SHARE]] = True
        null = np.concatenate([null, more])
    return root, which, null, undetermined
