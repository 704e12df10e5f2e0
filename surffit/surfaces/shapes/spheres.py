"""Caps of spheres and ellipsoids."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, ClassVar

import numpy as np

from ..family import Surface
from ..starting import SecondOrder, best_of, refined, span, thinned

# radii that are tried, in distances of the farthest point
REACHES = (0.4, 0.6, 0.8, 1.01, 1.3, 2.0, 5.0)
# semi-axes that are tried, in half widths of the data
SHARES = np.array([0.3, 0.5, 0.75, 1.0, 1.2, 1.45, 1.8, 2.4, 4.0])


def _cap(share: Any) -> Any:
    """sqrt(1 - share), and 0 beyond the rim, with a derivative that is finite there, too."""
    inside = share < 1.0
    return np.where(inside, np.sqrt(np.where(inside, 1.0 - share, 1.0)), 0.0)


def sphere(x: Any, y: Any, x0: float, y0: float, z0: float, radius: float) -> Any:
    r"""
    Cap of a sphere.

    .. math:: z = z_0 + R\,\sqrt{1 - [(x - x_0)^2 + (y - y_0)^2] / R^2}

    and z0 beyond the rim.

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    x0, y0 : float
        Centre [length].
    z0 : float
        Height of the centre [length]. Linear.
    radius : float
        Radius R [length]; positive for a dome above the centre, negative for a bowl below it.

    Returns
    -------
    ndarray, shape of ``x + y``
        Heights [length, as x and y].

    Notes
    -----
    The residual is along z, not along the normal. At the rim the surface is vertical: leave out points beyond it. A
    shallow cap determines radius and `z0` only together: `paraboloid` or `conic` (by curvature) are better then.

    Examples
    --------
    >>> float(sphere(3.0, 0.0, x0=0.0, y0=0.0, z0=1.0, radius=5.0))
    5.0
    """
    return z0 + radius * _cap(((x - x0) ** 2 + (y - y0) ** 2) / radius**2)


class Sphere(Surface):
    """A cap of a sphere, `sphere`; starts from the algebraic fit and from the curvature of the data."""

    function = staticmethod(sphere)
    typical: ClassVar = {"x0": 19.0, "y0": 14.0, "z0": -3.0, "radius": 32.0}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Centre and signed radius."""
        z, points = thinned(z, coords)
        found = best_of(sphere, ["z0"], z, points, self._candidates(z, *points))
        # the rim is a cusp that a fit climbs over with difficulty: come close to it first
        steps = {"x0": 0.1 * span(points[0])[1], "y0": 0.1 * span(points[1])[1], "radius": 0.15 * found["radius"]} if found else {}
        return refined(sphere, ["z0"], z, points, found, steps, 4)

    def _candidates(self, z: np.ndarray, x: np.ndarray, y: np.ndarray) -> Iterator[dict[str, float]]:
        # |p|^2 = 2 p.c + R^2 - |c|^2 is linear in centre and constant
        middle = np.array([x.mean(), y.mean(), z.mean()])
        p = np.array([x, y, z]).T - middle
        found = np.linalg.lstsq(np.c_[2 * p, np.ones(len(z))], (p**2).sum(axis=1), rcond=None)[0]
        r = float(np.sqrt(max(found[3] + found[:3] @ found[:3], 0.0)))
        shape = SecondOrder(z, x, y)
        bend = 0.5 * float(np.trace(shape.hessian))
        for x0, y0 in ((middle[0] + found[0], middle[1] + found[1]), shape.centre):
            reach = float(np.sqrt(((x - x0) ** 2 + (y - y0) ** 2).max()))
            for size in (
                r,
                1.0 / abs(bend) if bend else 10 * reach,
                0.4 * reach,
                0.6 * reach,
                0.8 * reach,
                1.01 * reach,
                1.3 * reach,
                2 * reach,
                5 * reach,
            ):
                if np.isfinite(size) and size > 0:
                    yield {"x0": float(x0), "y0": float(y0), "radius": size}
                    yield {"x0": float(x0), "y0": float(y0), "radius": -size}


def ellipsoid(x: Any, y: Any, z0: float, height: float, x0: float, y0: float, a: float, b: float) -> Any:
    r"""
    Cap of an ellipsoid with axes along x, y and z.

    .. math:: z = z_0 + h\,\sqrt{1 - (x - x_0)^2/a^2 - (y - y_0)^2/b^2}

    and z0 beyond the rim.

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    z0 : float
        Value at the centre's plane, and beyond the rim [data unit]. Linear.
    height : float
        Height h above it, negative for a bowl [data unit]. Linear.
    x0, y0 : float
        Centre [length].
    a, b : float
        Semi-axes along x and y [length], > 0.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    At the rim the surface is vertical, and chi-square has many minima: leave out points on both sides of it.

    Examples
    --------
    >>> float(ellipsoid(3.0, 0.0, z0=1.0, height=10.0, x0=0.0, y0=0.0, a=5.0, b=1.0))
    9.0
    """
    return z0 + height * _cap(((x - x0) / a) ** 2 + ((y - y0) / b) ** 2)


class Ellipsoid(Surface):
    """A cap of an ellipsoid, `ellipsoid`; its centre is that of the data's curvature, its axes are tried."""

    function = staticmethod(ellipsoid)
    hints: ClassVar = {"a": {"min": 0.0}, "b": {"min": 0.0}}
    typical: ClassVar = {"z0": 2.0, "height": 9.0, "x0": 19.0, "y0": 14.0, "a": 34.0, "b": 27.0}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Centre and semi-axes in the plane."""
        z, points = thinned(z, coords)
        linear = ["z0", "height"]
        found = best_of(ellipsoid, linear, z, points, self._candidates(z, *points))
        # the rim is a cusp that a fit climbs over with difficulty: come close to it first
        hx, hy = span(points[0])[1], span(points[1])[1]
        steps = {"x0": 0.08 * hx, "y0": 0.08 * hy, "a": 0.12 * found["a"], "b": 0.12 * found["b"]} if found else {}
        return refined(ellipsoid, linear, z, points, found, steps)

    def _candidates(self, z: np.ndarray, x: np.ndarray, y: np.ndarray) -> Iterator[dict[str, float]]:
        (mx, hx), (my, hy) = span(x), span(y)
        for x0, y0 in (SecondOrder(z, x, y).centre, (mx, my)):
            for a, b in product(hx * SHARES, hy * SHARES):
                yield {"x0": x0, "y0": y0, "a": float(a), "b": float(b)}
