"""What guesses share: the best of some candidates, and the second-order surface through data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

# points that a search looks at; more make a guess slower, hardly better
POINTS = 3000


def thinned(z: np.ndarray, coords: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """At most POINTS of the points, spread over the data."""
    if z.size <= POINTS:
        return z, list(coords)
    # a stride that is no divisor of row lengths would still alias with grids: draw instead, always the same ones
    kept = np.random.default_rng(0).permutation(z.size)[:POINTS]
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
    best, found = np.inf, {}
    with np.errstate(all="ignore"):
        for values in candidates:
            solution = _solved(function, linear, z, coords, values, weights)
            if solution is not None and solution[0] < best:
                best, found = solution
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
    hessian : ndarray, shape (2, 2)
        Second derivatives.
    """

    def __init__(self, z: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
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
        return float(values[1]), float(values[0]), float(np.arctan2(vectors[1, 1], vectors[0, 1]))
