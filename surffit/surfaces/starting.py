"""What guesses share: the best of some candidates, and the second-order surface through data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..solve.rough import some

# points that a search looks at, and one linear fit; more make a guess slower, hardly better
POINTS = 1000
MANY = 30_000


def thinned(z: np.ndarray, coords: Sequence[np.ndarray], most: int = POINTS) -> tuple[np.ndarray, list[np.ndarray]]:
    """At most so many of the points, spread over the data."""
    if z.size <= most:
        return z, list(coords)
    kept = some(np.arange(z.size), most)
    return z[kept], [c[kept] for c in coords]


def best_of(
    function: Callable[..., Any],
    linear: Sequence[str],
    z: np.ndarray,
    coords: Sequence[np.ndarray],
    candidates: Iterable[Mapping[str, float]],
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """
    The candidate with the smallest sum of squares, its linear parameters solved.

    Parameters
    ----------
    function : callable
        ``function(*coords, **values)``
    linear : sequence of str
        Parameters in which it is linear.
    z : ndarray, shape (n,)
        Data.
    coords : sequence of ndarray, shape (n,)
        Coordinates.
    candidates : iterable of mapping
        Values of the other parameters.
    weights : ndarray, shape (n,), optional
        1/sigma.

    Returns
    -------
    dict
        The values of all parameters; empty if no candidate is finite.
    """
    best: float = np.inf
    found: dict[str, float] = {}
    with np.errstate(all="ignore"):
        for values in candidates:
            solution = _solved(function, linear, z, coords, values, weights)
            if solution is not None and solution[0] < best:
                best, found = solution
    return found


def refined(
    function: Callable[..., Any],
    linear: Sequence[str],
    z: np.ndarray,
    coords: Sequence[np.ndarray],
    found: dict[str, float],
    steps: Mapping[str, float],
    rounds: int = 3,
) -> dict[str, float]:
    """
    A candidate improved by trying values around it, closer in every round: for surfaces with cusps, which derivatives don't show.

    Parameters
    ----------
    function, linear, z, coords
        As for `best_of`.
    found : dict
        Where to begin; an empty one is returned as it is.
    steps : mapping of str to float
        First steps of the parameters that are searched.
    rounds : int

    Returns
    -------
    dict
        The values of all parameters.
    """
    size = 1.0
    for _ in range(rounds if found else 0):
        moves = product((-size, 0.0, size), repeat=len(steps))
        around = ({n: found[n] + k * s for (n, s), k in zip(steps.items(), move, strict=True)} for move in moves)
        found = best_of(function, linear, z, coords, around)
        size *= 0.45
    return found


def _solved(
    function: Callable[..., Any],
    linear: Sequence[str],
    z: np.ndarray,
    coords: Sequence[np.ndarray],
    values: Mapping[str, float],
    weights: np.ndarray | None,
) -> tuple[float, dict[str, float]] | None:
    empty = dict.fromkeys(linear, 0.0)
    constant = np.broadcast_to(function(*coords, **values, **empty), z.shape)
    columns = np.array([np.broadcast_to(function(*coords, **values, **{**empty, name: 1.0}), z.shape) - constant for name in linear])
    target = z - constant
    if weights is not None:
        target, columns = target * weights, columns * weights
    if not np.isfinite(target).all() or not np.isfinite(columns).all():
        return None
    if not linear:
        return float(target @ target), dict(values)
    norms = np.sqrt((columns**2).sum(axis=1))
    norms[norms == 0] = 1.0
    c = np.linalg.lstsq((columns / norms[:, None]).T, target, rcond=1e-10)[0] / norms
    off = target - c @ columns
    return float(off @ off), {**values, **dict(zip(linear, map(float, c), strict=True))}


def span(x: np.ndarray) -> tuple[float, float]:
    """Middle and half width of a coordinate; the width is never 0."""
    low, high = float(x.min()), float(x.max())
    return 0.5 * (low + high), 0.5 * (high - low) or 1.0


class SecondOrder:
    """
    The second-order surface through data, about the middle of the coordinates.

    Parameters
    ----------
    z, x, y : ndarray, shape (n,)
        Data and coordinates.

    Attributes
    ----------
    centre : tuple of float
        Where it is flat; kept within a few widths of the data.
    residual : ndarray
        What it leaves of the data (of part of them, where there are very many).
    hessian : ndarray, shape (2, 2)
        Second derivatives.
    """

    def __init__(self, z: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        z, (x, y) = thinned(z, (x, y), MANY)
        (mx, hx), (my, hy) = span(x), span(y)
        u, v = (x - mx) / hx, (y - my) / hy
        columns = np.array([np.ones_like(u), u, v, u * u, u * v, v * v]).T
        c = np.linalg.lstsq(columns, z, rcond=None)[0]
        scaled = np.array([[2 * c[3], c[4]], [c[4], 2 * c[5]]])
        flat = np.linalg.lstsq(scaled, -c[1:3], rcond=1e-8)[0]
        flat = np.clip(flat, -5.0, 5.0)
        self.centre = (mx + hx * float(flat[0]), my + hy * float(flat[1]))
        self.hessian = scaled / np.outer([hx, hy], [hx, hy])
        self.residual = z - columns @ c

    def axes(self) -> tuple[float, float, float]:
        """Curvatures (second derivatives) along the principal axes, the larger first, and the angle of the first [rad]."""
        values, vectors = np.linalg.eigh(self.hessian)
        along = vectors[:, 1] * (-1.0 if vectors[0, 1] < 0 else 1.0)  # half a turn is the same direction
        return float(values[1]), float(values[0]), float(np.arctan2(along[1], along[0]))


def weighted_logs(z: np.ndarray, columns: Sequence[np.ndarray]) -> list[float]:
    """
    Slopes of ln|z| in some columns, with the weights that an error of z, not of ln z, gives.

    Parameters
    ----------
    z : ndarray, shape (n,)
        Data; the sign of the larger part counts, the others are left out.
    columns : sequence of ndarray, shape (n,)

    Returns
    -------
    list of float
        One slope per column.
    """
    z, columns = thinned(z, columns, MANY)
    sign = 1.0 if np.abs(z[z > 0]).sum() >= np.abs(z[z < 0]).sum() else -1.0
    table = np.array([np.ones_like(z), *columns])
    # noise makes small values useless in the logarithm, and selects the high ones among them
    used = (sign * z > 0.05 * np.abs(z).max()) & np.isfinite(table).all(axis=0)
    if used.sum() <= len(columns) + 1:
        used = (sign * z > 0) & np.isfinite(table).all(axis=0)
    if not used.any():
        return [0.0] * len(columns)
    w, table = np.abs(z[used]), table[:, used]
    middle = table[1:].mean(axis=1, keepdims=True)
    table[1:] -= middle
    norms = np.abs(table).max(axis=1, initial=0.0)
    norms[norms == 0] = 1.0
    scaled = w / w.max()
    found = np.linalg.lstsq((table / norms[:, None] * scaled).T, np.log(w) * scaled, rcond=1e-12)[0] / norms
    return [float(v) for v in found[1:]]
