"""
Asking a function that may fail where it was not meant to be asked: values, visible steps, noise.

A function here is ``func(p) -> values``, p of shape (n,), values of shape (N,) float64. It is only
trusted where it is known to work: it may raise or be non-finite elsewhere, be noisy, mutate its
argument or hand out the same buffer again.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import factorial

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EPS",
    "Array",
    "Function",
    "beside",
    "box",
    "largest",
    "measure_noise",
    "probe",
    "probe_at",
    "rms",
    "value_at",
    "visible",
    "visible_scales",
]

Array = NDArray[np.float64]
Function = Callable[[NDArray], NDArray]

EPS = float(np.finfo(np.float64).eps)
VISIBLE = 1e-2  # change of the function, relative to its largest value, that makes a step visible
DECADES = 45


def visible_scales(
    func: Function,
    p: Array,
    *,
    lower: Array | None = None,
    upper: Array | None = None,
    rng: np.random.Generator | int | None = None,
) -> Array:
    """
    The step of each parameter that changes the function visibly, by 1 % of its largest value.

    Parameter values say nothing about it: a start may be 0, a date 2.4 million, a coefficient 12 decades
    too small. From ``|p_j|`` (or 1) the step grows or shrinks by decades to the smallest visible one.

    Parameters
    ----------
    func : callable
    p : ndarray, shape (n,)
    lower, upper : ndarray, shape (n,), optional
        Bounds that no probe leaves.
    rng : Generator or int, optional
        For a second look at parameters without effect, with the others moved; fixed by default.

    Returns
    -------
    ndarray, shape (n,)
        inf where nothing ever changes.
    """
    p = np.array(p, dtype=float)
    lower, upper = box(p, lower, upper)
    base = value_at(func, p)
    scale = np.array([visible(func, p, j, base, lower[j], upper[j]) for j in range(p.size)], dtype=float)
    if largest(base) == 0:
        # all terms start at zero, so that each step was visible for itself; now beside the largest of them
        ends = np.where(p + scale <= upper, p + scale, p - scale)
        changes = [largest(probe_at(func, p, j, x, base)) if np.isfinite(x) else 0.0 for j, x in enumerate(ends)]
        size = max(changes, default=0.0)
        for j, change in enumerate(changes):
            if 0 < change < VISIBLE * size:
                scale[j] = visible(func, p, j, base, lower[j], upper[j], size)
    if np.isinf(scale).any():
        # the parameter of a term whose factor starts at zero has no effect here, but will have
        other = beside(func, p, base, scale, np.random.default_rng(0 if rng is None else rng), lower, upper)
        if other is not None:
            q, value = other
            for j in np.flatnonzero(np.isinf(scale)).tolist():
                scale[j] = visible(func, q, j, value, lower[j], upper[j])
    return scale


def measure_noise(func: Function, p: Array, direction: Array, *, lower: Array | None = None, upper: Array | None = None) -> float:
    r"""
    Rounding (or other) noise of the function values, from difference tables [1]_.

    With :math:`F_i = F(p + i t d)`, i = 0..7, the k-th differences of the smooth part vanish like t**k, those
    of the noise don't: :math:`\epsilon_k^2 = \frac{(k!)^2}{(2k)!} \langle (\Delta^k F)^2 \rangle`, and the
    first k from which three agree within a factor of 4 counts.

    Parameters
    ----------
    func : callable
    p, direction : ndarray, shape (n,)
        `direction` is a visible step.
    lower, upper : ndarray, shape (n,), optional
        Bounds that no probe leaves.

    Returns
    -------
    float
        Absolute, root mean square over the values.

    References
    ----------
    .. [1] J. J. More, S. M. Wild, SIAM J. Sci. Comput. 33 (2011) 1292, doi:10.1137/100786125.
    """
    p = np.array(p, dtype=float)
    lower, upper = box(p, lower, upper)
    base = value_at(func, p)
    direction = np.where(p + 1e-4 * direction > upper, -direction, direction)
    plateaus, floors = [], []
    # two step lengths: a function that rounds its parameters to float32 does not see the shorter one
    for t in (1e-9, 1e-6):
        table = np.array([base] + [probe(func, np.clip(p + i * t * direction, lower, upper), base) for i in range(1, 8)])
        table = table[:, np.isfinite(table).all(axis=0)]
        if not table.size:
            continue
        levels = []
        for k in range(1, 8):
            table = np.diff(table, axis=0)
            levels.append(factorial(k) / factorial(2 * k) ** 0.5 * rms(table))
        flat = [a for a, b, c in zip(levels, levels[1:], levels[2:], strict=False) if max(a, b, c) <= 4 * min(a, b, c)]
        plateaus += flat[:1]
        floors.append(min(levels))
    return max(plateaus, default=min(floors, default=0.0))


def box(p: Array, lower: Array | None, upper: Array | None) -> tuple[Array, Array]:
    low = np.full(p.size, -np.inf) if lower is None else np.array(lower, dtype=float)
    high = np.full(p.size, np.inf) if upper is None else np.array(upper, dtype=float)
    return np.minimum(low, p), np.maximum(high, p)


def value_at(func: Function, p: Array) -> Array:
    """The function at p as a fresh float64 vector; nan where it is complex."""
    with np.errstate(all="ignore"):
        out = np.asarray(func(p.copy()))
        if np.iscomplexobj(out):
            out = np.where(out.imag == 0, out.real, np.nan)
        return np.array(out, dtype=np.float64).ravel()


def probe(func: Function, p: Array, like: Array) -> Array:
    """The function at a point where it need not work: nan if it raises or changes its length."""
    try:
        out = value_at(func, p)
    except (ArithmeticError, ValueError):
        return np.full(like.size, np.nan)
    return out if out.size == like.size else np.full(like.size, np.nan)


def probe_at(func: Function, p: Array, j: int, x: float, like: Array) -> Array:
    q = p.copy()
    q[j] = x
    return probe(func, q, like)


def visible(func: Function, p: Array, j: int, base: Array, low: float, high: float, size: float = 0.0) -> float:
    """Smallest decade of steps in p_j that changes the function by `VISIBLE`; inf if none changes it at all."""
    usable = np.isfinite(base)
    threshold = VISIBLE * (largest(base) or size)

    def change(step: float) -> float:
        """Largest change of the function by +-step, -1 if neither side is finite."""
        found = -1.0
        for x in (p[j] + step, p[j] - step):
            if low <= x <= high and np.isfinite(x) and x != p[j]:
                with np.errstate(all="ignore"):
                    difference = np.abs(probe_at(func, p, j, x, base) - base)[usable]
                if np.isfinite(difference).all():
                    found = max(found, float(difference.max(initial=0.0)))
                if found > threshold:
                    break
        return found

    room = max(high - p[j], p[j] - low)
    if not room > 0:
        return np.inf
    step = min(abs(p[j]) or 1.0, room)
    seen = change(step)
    # shrink while the step is too long: undefined, or visible ten times over
    for _ in range(DECADES):
        if 0 <= seen <= threshold:
            break
        shorter = change(step / 10)
        if seen >= 0 and 0 <= shorter <= threshold:
            return step
        if threshold == 0 and _power_law(seen, shorter, *(change(step / d) for d in (100, 1000))):
            return step
        step, seen = step / 10, shorter
    if seen > threshold:
        return step
    if seen < 0:
        return np.inf
    history = [(step, seen)]
    for _ in range(DECADES):
        step = min(step * 10, room)
        seen = change(step)
        if seen > threshold:
            return step
        if seen < 0:
            break
        history.append((step, seen))
        if step == room:
            break
    most = max(seen for _, seen in history)
    # never visible, but not without effect: the step from which it has most of the effect it can have
    return next((step for step, seen in history if seen > 0.1 * most), np.inf)


def _power_law(*changes: float) -> bool:
    """
    Changes by steps a decade apart that fall as steadily as those of a smooth function.

    Where the function is zero no change is too small to see, so that only this tells a short step from a long one.
    """
    if min(changes) <= 0:
        return False
    ratios = [b / a for a, b in pairwise(changes)]
    return max(ratios) < 0.2 and max(ratios) < 1.2 * min(ratios)


def beside(
    func: Function, p: Array, base: Array, scale: Array, random: np.random.Generator, lower: Array, upper: Array
) -> tuple[Array, Array] | None:
    """A random point about half a visible step from p in every parameter, and the function there."""
    length = np.where(np.isfinite(scale), scale, np.maximum(np.abs(p), 1.0))
    for shrink in (1.0, 0.3, 0.1, 0.01):
        for _ in range(2):
            step = shrink * length * random.uniform(0.3, 0.8, p.size) * random.choice([-1.0, 1.0], p.size)
            q = p + step
            q = np.clip(np.where((q < lower) | (q > upper), p - step, q), lower, upper)
            value = probe(func, q, base)
            if np.array_equal(np.isfinite(value), np.isfinite(base)):
                return q, value
    return None


def largest(v: Array) -> float:
    """Largest magnitude among the finite values, 0 if there is none."""
    return float(np.abs(v[np.isfinite(v)]).max(initial=0.0))


def rms(v: Array) -> float:
    v = v[np.isfinite(v)]
    size = float(np.abs(v).max(initial=0.0))  # squares of 1e-200 would vanish
    return size * float(np.sqrt(np.mean((v / size) ** 2))) if size > 0 else 0.0
