"""
Derivatives and linearity of functions that can't be traced: complex step, then differences.

A function here is ``func(p) -> values``, p of shape (n,), values of shape (N,) float64. It is only
trusted at the points where it is called: it may raise or be non-finite elsewhere, be noisy, mutate
its argument, hand out the same buffer again, or be wrong on complex numbers without saying so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..kernels.warned import filtered
from .probe import EPS, Array, Function, beside, box, largest, measure_noise, probe, probe_at, rms, value_at, visible, visible_scales

__all__ = ["Differentiator", "NumericLinear", "choose", "linear_set", "measure_noise", "patch_entries", "visible_scales"]

IMAGINARY = 1e-40  # complex step: its square is nothing beside 1, and it is far from underflow
CENTRAL = 6e-6  # best step of a two-point central difference, eps**(1/3)
DIFFERENCE = 1e-3  # step of the four-point difference, eps**(1/5) rounded up
EXACT = 1e-15
SHRINKS = 6
FLOOR = 1e-12  # no difference is trusted beyond this
UNTUNED = 1e-10  # usual error of a step that could not be tuned


@dataclass(frozen=True, eq=False)
class Differentiator:
    """
    How to differentiate one function.

    Attributes
    ----------
    route : {"complex-step", "differences"}
    scale : ndarray, shape (n,)
        Step of each parameter that visibly changes the function; inf where nothing ever does.
    noise : float
        Absolute rounding error of the function values.
    jac_error : float
        Error of a derivative relative to the largest one of its parameter, as measured for differences.
    step : ndarray, shape (n,)
        What the steps of differences are measured in: `scale` tuned to the least error.
    lower, upper : ndarray, shape (n,)
        No probe leaves these.
    """

    route: str
    scale: Array
    noise: float
    jac_error: float
    step: Array
    lower: Array
    upper: Array

    def jacobian(self, func: Function, p: Array) -> Array:
        """
        Derivatives of the values with respect to each parameter, shape (n, N).

        An entry is nan where no step gave a finite value; a parameter without effect has zeros.
        """
        p = np.array(p, dtype=float)
        lower, upper = box(p, self.lower, self.upper)
        rows: list[Array] = []
        base: Array | None = None
        for j in range(p.size):
            row = _complex_row(func, p, j, self.scale[j]) if self.route == "complex-step" else None
            if row is None or (rows and row.size != rows[0].size):
                base = value_at(func, p) if base is None else base
                noise = max(self.noise, EPS * largest(base))
                row = _difference_row(func, p, j, base, self.step[j], noise, lower[j], upper[j])
            rows.append(row)
        return np.array(rows) if rows else np.empty((0, value_at(func, p).size))


@dataclass(frozen=True)
class NumericLinear:
    """Indices that are jointly linear, and the pairs among the candidates that are not."""

    linear: tuple[int, ...]
    conflicts: tuple[tuple[int, int], ...]


def choose(
    func: Function,
    p: Array,
    *,
    complex_step: bool = True,
    rng: np.random.Generator | int | None = None,
    lower: Array | None = None,
    upper: Array | None = None,
) -> Differentiator:
    r"""
    Find out how to differentiate a function, once per fit.

    The complex step :math:`J_j = \Im F(p + i h e_j) / h` is exact, but silently wrong for functions that
    drop the imaginary part. It is accepted if it agrees with central differences,
    :math:`\max|cs - fd| \le 10^{-3} \max|fd| + 200\,\epsilon_F / h`, at p and at a point beside it (at p
    alone a factor that is zero hides everything behind it).

    Parameters
    ----------
    func : callable
    p : ndarray, shape (n,)
        Where the function is known to work. Not changed.
    complex_step : bool
        False for functions that are complex themselves and come as interleaved real rows.
    rng : Generator or int, optional
        For the point beside p; fixed by default.
    lower, upper : ndarray, shape (n,), optional
        Bounds that no probe leaves.

    Returns
    -------
    Differentiator
    """
    p = np.array(p, dtype=float)
    lower, upper = box(p, lower, upper)
    random = np.random.default_rng(0 if rng is None else rng)
    base = value_at(func, p)
    repeat = value_at(func, p)
    steady = np.array_equal(base, repeat, equal_nan=True)
    scale = visible_scales(func, p, lower=lower, upper=upper, rng=random)
    size = largest(base)
    noise = max(EPS * size, measure_noise(func, p, np.where(np.isfinite(scale), scale, 0.0), lower=lower, upper=upper))
    if not steady:
        noise = max(noise, rms(base - repeat))
    points = [(p, base)]
    other = beside(func, p, base, scale, random, lower, upper)
    if other is not None:
        points.append(other)
    for array in (scale, lower, upper):
        array.setflags(write=False)
    if complex_step and steady and all(_complex_is_right(func, q, value, scale, noise, lower, upper) for q, value in points):
        return Differentiator("complex-step", scale, noise, EXACT, scale, lower, upper)
    step, error = _tuned(func, points, scale, noise, lower, upper)
    step.setflags(write=False)
    return Differentiator("differences", scale, noise, error, step, lower, upper)


def patch_entries(
    func: Function,
    p: Array,
    j: int,
    column: Array,
    value: Array,
    *,
    lower: Array | None = None,
    upper: Array | None = None,
) -> tuple[Array, int]:
    """
    Mend the non-finite entries of one derivative column where the function itself is finite.

    Parameters
    ----------
    func : callable
    p : ndarray, shape (n,)
    j : int
        Which parameter the column belongs to.
    column, value : ndarray, shape (N,)
        Derivative and value of the function at p.
    lower, upper : ndarray, shape (n,), optional
        Bounds that no probe leaves.

    Returns
    -------
    column : ndarray, shape (N,)
        By complex step, or by differences where the two disagree or the first is not finite; an entry that
        neither can give stays as it was.
    n_patched : int
    """
    bad = ~np.isfinite(column) & np.isfinite(value)
    column = np.array(column, dtype=float)
    if not bad.any():
        return column, 0
    p = np.array(p, dtype=float)
    lower, upper = box(p, lower, upper)
    scale = visible(func, p, j, value, lower[j], upper[j])
    noise = EPS * largest(value)
    best = _difference_row(func, p, j, value, scale, noise, lower[j], upper[j])
    exact = _checked_complex_row(func, p, j, scale)
    if exact is not None:
        with np.errstate(all="ignore"):
            good = np.abs(exact - best) <= 1e-3 * np.abs(best) + 1e3 * noise / (DIFFERENCE * scale)
        best = np.where(np.isfinite(exact) & (good | ~np.isfinite(best)), exact, best)
    mended = bad & np.isfinite(best)
    column[mended] = best[mended]
    return column, int(mended.sum())


def linear_set(
    func: Function, p: Array, scale: Array, prefer: Sequence[int] = (), *, rng: np.random.Generator | int | None = None
) -> NumericLinear:
    """
    Which parameters the function is jointly linear in, judged by second differences.

    Each parameter alone at two base points with steps of 0.5 and 1.7 (of its scale or value, so that kinks
    at zero are crossed); then one random cross difference of all candidates together, and their pairs only
    if that fails. Cheap, and no proof: float32 hides linearity (harmless), ``max(a, -100)`` feigns it.

    Parameters
    ----------
    func : callable
    p, scale : ndarray, shape (n,)
        Start and visible steps; parameters of infinite scale are not candidates.
    prefer : sequence of int
        Which to keep linear first if not all can be, in order; then the earlier ones.
    rng : Generator or int, optional
        Fixed by default.

    Returns
    -------
    NumericLinear
    """
    random = np.random.default_rng(0 if rng is None else rng)
    p = np.array(p, dtype=float)
    seen = np.isfinite(scale)
    reach = np.maximum(scale, np.abs(p))
    moved = np.where(seen & (np.abs(p) < 1e-3 * scale), 0.3 * scale, p)
    value = value_at(func, p)
    lower, upper = box(p, None, None)
    first = probe(func, moved, value)
    start, first = (moved, first) if np.isfinite(first).all() else (p, value)
    bases = [(start, first), beside(func, start, first, scale, random, lower, upper) or (start, first)]

    def straight(j: int) -> bool:
        for (base, middle), length in zip(bases, (0.5, 1.7), strict=True):
            step = _unit(p.size, j) * (length * reach[j])
            up, down = probe(func, base + step, value), probe(func, base - step, value)
            if not _vanishes(up + down - 2 * middle, up - down, middle):
                return False
        return True

    with np.errstate(all="ignore"):
        chosen = [j for j in range(p.size) if seen[j] and straight(j)]
        base, middle = bases[1]

        def together(members: Sequence[int]) -> bool:
            """No cross difference of two random steps within the members."""
            mask = np.zeros(p.size)
            mask[list(members)] = reach[list(members)]
            u, v = (mask * random.choice([-1.0, 1.0], p.size) * random.uniform(0.5, 1.5, p.size) for _ in range(2))
            at_u, at_v, at_both = (probe(func, base + s, value) for s in (u, v, u + v))
            return _vanishes(at_both - at_u - at_v + middle, np.abs(at_u - middle) + np.abs(at_v - middle), middle)

        if len(chosen) < 2 or together(chosen):
            return NumericLinear(tuple(chosen), ())
        conflicts = []
        single = {j: probe(func, base + _unit(p.size, j) * reach[j], value) for j in chosen}
        for i, j in combinations(chosen, 2):
            both = probe(func, base + _unit(p.size, i) * reach[i] + _unit(p.size, j) * reach[j], value)
            change = np.abs(single[i] - middle) + np.abs(single[j] - middle)
            if not _vanishes(both - single[i] - single[j] + middle, change, middle):
                conflicts.append((i, j))
        order = {j: (list(prefer).index(j) if j in prefer else len(prefer) + j) for j in chosen}
        while chosen:
            left = [pair for pair in conflicts if pair[0] in chosen and pair[1] in chosen]
            if not left and (len(chosen) < 2 or together(chosen)):
                break
            chosen.remove(max(chosen, key=lambda j: (sum(j in pair for pair in left), order[j])))
    return NumericLinear(tuple(chosen), tuple(conflicts))


def _vanishes(second: Array, first: Array, value: Array) -> bool:
    """Second difference zero beside the first one and beside the function."""
    size = _peak(second)
    return size <= 1e-9 * _peak(first) and size <= 1e-6 * max(_peak(value), _peak(first))


def _unit(n: int, j: int) -> Array:
    e = np.zeros(n)
    e[j] = 1.0
    return e


def _peak(v: Array) -> float:
    """Largest magnitude; nan if any value is."""
    return float(np.abs(v).max(initial=0.0))


def _complex_row(func: Function, p: Array, j: int, scale: float) -> Array | None:
    """Derivative by p_j from a complex step; None if the function fails on complex numbers."""
    h = IMAGINARY * min(scale, 1.0)
    q = p.astype(complex)
    q[j] += 1j * h
    with np.errstate(all="ignore"):
        try:
            out = np.asarray(func(q))
        except Exception:  # noqa: BLE001 - a function that was not written for complex numbers fails in any way it likes
            return None
        if not np.iscomplexobj(out):
            return np.zeros(out.size) if out.dtype.kind in "fiub" else None
        return np.where(np.isfinite(out.real), out.imag, np.nan).ravel() / h


def _checked_complex_row(func: Function, p: Array, j: int, scale: float) -> Array | None:
    """The same for a function not yet known to keep imaginary parts: numpy only warns when one is cut off."""
    with filtered("error", np.exceptions.ComplexWarning):
        return _complex_row(func, p, j, scale)


def _complex_is_right(func: Function, p: Array, base: Array, scale: Array, noise: float, lower: Array, upper: Array) -> bool:
    size = largest(base)
    relative = CENTRAL if size == 0 else min(max(CENTRAL, (noise / size) ** (1 / 3)), 0.1)
    for j in range(p.size):
        exact = _checked_complex_row(func, p, j, scale[j])
        if exact is None or exact.size != base.size:
            return False
        if not np.isfinite(scale[j]):
            continue
        h = relative * scale[j]
        floor = max(noise, EPS * size)
        if lower[j] <= p[j] - h and p[j] + h <= upper[j]:
            right, left = probe_at(func, p, j, p[j] + h, base), probe_at(func, p, j, p[j] - h, base)
            with np.errstate(all="ignore"):
                rough = (right - left) / ((p[j] + h) - (p[j] - h))
            floor = max(floor, EPS * largest(right))  # where the function is zero it has no size of its own
        else:
            rough = _difference_row(func, p, j, base, scale[j], noise, lower[j], upper[j])
        known = np.isfinite(rough) & np.isfinite(exact)
        if 2 * known.sum() < np.isfinite(rough).sum():  # a few entries, like 0**p, can be mended; most can't
            return False
        if _peak((exact - rough)[known]) > 1e-3 * _peak(rough[known]) + 200 * floor / h:
            return False
    return True


def _weights(offsets: Array) -> Array:
    """Weights of function values at these offsets that give the derivative at 0, exact for polynomials."""
    size = np.abs(offsets).max()
    powers = np.vander(offsets / size, increasing=True).T
    return np.linalg.solve(powers, _unit(offsets.size, 1)) / size


def _step(base: Array, scale: float, noise: float) -> float:
    """Step of the four-point difference that balances its truncation and the noise."""
    size = largest(base)
    return (DIFFERENCE if size == 0 else min(max((noise / size) ** 0.2, DIFFERENCE), 0.1)) * scale


def _difference_row(func: Function, p: Array, j: int, base: Array, scale: float, noise: float, low: float, high: float) -> Array:
    """
    Derivative by p_j from five points (four where they lie symmetrically), all within the bounds.

    Where the function is not finite at one of them: to one side, to the other, then with a shorter step. Shorter,
    too, where the three nearest points disagree: the scale was found elsewhere, and the function bends faster here.
    """
    if not np.isfinite(scale):
        return np.zeros(base.size)
    h = min(_step(base, scale, noise), (high - low) / 4)
    row = spare = np.full(base.size, np.nan)
    usable = np.isfinite(base)
    for _ in range(SHRINKS):
        if not (h > 0 and p[j] + h != p[j]):
            break
        h = float(2.0 ** np.floor(np.log2(h)))  # sums with a power of two are mostly exact
        for shift in (0.0, 2 * h, -2 * h):
            centre = min(max(p[j] + shift, low + 2 * h), high - 2 * h)
            nodes = np.clip(centre + h * np.arange(-2.0, 3.0), low, high)
            offsets = nodes - p[j]
            if np.unique(offsets).size < 5:
                continue
            if shift == 0.0 and centre == p[j]:
                nodes, offsets = np.delete(nodes, 2), np.delete(offsets, 2)
            with np.errstate(all="ignore"):
                changes = np.array([base if d == 0 else probe_at(func, p, j, x, base) for x, d in zip(nodes, offsets, strict=True)]) - base
                trial = _weights(offsets) @ changes
                near = np.argsort(np.abs(offsets))[:-2]
                gap = _peak((trial - _weights(offsets[near]) @ changes[near])[usable])
            row = np.where(np.isfinite(row), row, trial)
            if np.isfinite(row[usable]).all():
                if gap > 1e-2 * _peak(trial[usable]) and gap > 1e3 * noise / h:
                    spare, row = row, np.full(base.size, np.nan)
                    break
                return row
        h /= 16
    return np.where(np.isfinite(row), row, spare)


def _tuned(
    func: Function, points: list[tuple[Array, Array]], scale: Array, noise: float, lower: Array, upper: Array
) -> tuple[Array, float]:
    """Best step of each parameter, at the first of the points where it has an effect, and the largest error left."""
    step = scale.copy()
    worst = FLOOR
    for j in np.flatnonzero(np.isfinite(scale)).tolist():
        for p, base in points:
            power, error = _best_power(func, p, j, base, scale[j], noise, lower[j], upper[j])
            if np.isfinite(error):
                step[j] *= 2.0**power
                break
        worst = max(worst, error if np.isfinite(error) else UNTUNED)
    return step, min(worst, 0.1)


def _best_power(func: Function, p: Array, j: int, base: Array, scale: float, noise: float, low: float, high: float) -> tuple[int, float]:
    """
    Power of two by which to lengthen the step so that halving it changes the derivative least, and that change.

    A visible step is within two decades of the best one, either way: shorter ones are tried where the
    truncation rules, longer ones where the noise does. An infinite change means that there is no effect here.
    """
    rows: dict[int, Array] = {}

    def change(power: int) -> float:
        for e in (power, power - 1):
            if e not in rows:
                rows[e] = _difference_row(func, p, j, base, scale * 2.0**e, noise, low, high)
        whole, half = rows[power], rows[power - 1]
        both = np.isfinite(whole) & np.isfinite(half)
        size = _peak(half[both])
        return _peak((whole - half)[both]) / size if size > 0 else np.inf

    errors = {0: change(0)}
    if np.isfinite(errors[0]):
        truncated = errors[0] > 1e-10 + 10 * noise / (_step(base, scale, noise) * largest(rows[0]))
        for power in range(-2, -26, -2) if truncated else range(2, 10, 2):
            errors[power] = change(power)
            least = min(errors.values())
            if errors[power] < FLOOR or errors[power] > (4 * least if least < 1e-6 or not truncated else np.inf):
                break
    best = min(errors, key=errors.__getitem__)
    return best, errors[best]
