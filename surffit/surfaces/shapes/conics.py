"""Surfaces of revolution of optics: conic of revolution, cone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ..family import Surface
from ..starting import SecondOrder, best_of, refined, span, thinned


def conic(x: Any, y: Any, z0: float, curvature: float, k: float, x0: float, y0: float) -> Any:
    r"""
    Conic of revolution, the sag of mirrors and lenses.

    .. math:: z = z_0 + \frac{c\,r^2}{1 + \sqrt{1 - (1 + k)\,c^2 r^2}}, \qquad r^2 = (x - x_0)^2 + (y - y_0)^2

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    z0 : float
        Height of the vertex [length]. Linear.
    curvature : float
        Curvature c at the vertex, 1/radius, positive for a bowl [1/length].
    k : float
        Conic constant: below -1 a hyperboloid, -1 a paraboloid, up to 0 an ellipsoid with its long axis along z, 0 a sphere,
        above 0 an oblate ellipsoid.
    x0, y0 : float
        Vertex [length].

    Returns
    -------
    ndarray, shape of ``x + y``
        Sag [length, as x and y].

    Notes
    -----
    Beyond the rim of an ellipsoid the square root counts as 0. `k` is determined by terms of fourth order only: shallow or noisy
    surfaces leave it open. Formula e.g. in [1]_.

    References
    ----------
    .. [1] D. Malacara (ed.), Optical Shop Testing, 3rd ed., Wiley 2007, appendix 1.

    Examples
    --------
    >>> round(float(conic(3.0, 0.0, z0=0.0, curvature=0.2, k=0.0, x0=0.0, y0=0.0)), 12)  # a sphere of radius 5
    1.0
    """
    r2 = (x - x0) ** 2 + (y - y0) ** 2
    share = (1.0 + k) * curvature**2 * r2
    inside = share < 1.0
    return z0 + curvature * r2 / (1.0 + np.where(inside, np.sqrt(np.where(inside, 1.0 - share, 1.0)), 0.0))


class Conic(Surface):
    """A conic of revolution, `conic`; curvature and conic constant are tried about those of the data."""

    function = staticmethod(conic)
    hints: ClassVar = {"k": {"min": -50.0, "max": 50.0}}
    typical: ClassVar = {"z0": 1.0, "curvature": 0.035, "k": -0.6, "x0": 19.0, "y0": 14.0}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Vertex, curvature, conic constant."""
        z, points = thinned(z, coords)
        found = best_of(conic, ["z0"], z, points, self._candidates(z, *points))
        hx, hy = span(points[0])[1], span(points[1])[1]
        steps = {"x0": 0.1 * hx, "y0": 0.1 * hy, "curvature": 0.1 * found["curvature"], "k": 0.4} if found else {}
        return refined(conic, ["z0"], z, points, found, steps)

    def _candidates(self, z: np.ndarray, x: np.ndarray, y: np.ndarray) -> Iterator[dict[str, float]]:
        shape = SecondOrder(z, x, y)
        bend = 0.5 * float(np.trace(shape.hessian))
        for x0, y0 in (shape.centre, (span(x)[0], span(y)[0])):
            for c in bend * np.array([0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.6, 2.5]):
                for k in (-6.0, -3.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.5, 4.0):
                    yield {"x0": x0, "y0": y0, "curvature": float(c), "k": k}


def cone(x: Any, y: Any, z0: float, slope: float, x0: float, y0: float) -> Any:
    r"""
    Cone of revolution.

    .. math:: z = z_0 + s\,\sqrt{(x - x_0)^2 + (y - y_0)^2}

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    z0 : float
        Value at the apex [data unit]. Linear.
    slope : float
        Slope s, positive for a funnel, negative for a tip [data unit / length]. Linear.
    x0, y0 : float
        Apex [length].

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Examples
    --------
    >>> float(cone(3.0, 4.0, z0=1.0, slope=2.0, x0=0.0, y0=0.0))
    11.0
    """
    return z0 + slope * np.hypot(x - x0, y - y0)


class Cone(Surface):
    """A cone, `cone`; its apex is tried all over the data and a little beyond."""

    function = staticmethod(cone)
    typical: ClassVar = {"z0": 1.0, "slope": 0.4, "x0": 17.3, "y0": 12.6}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """The apex."""
        z, points = thinned(z, coords)
        (mx, hx), (my, hy) = map(span, points)
        places = [{"x0": mx + hx * u, "y0": my + hy * v} for u in np.linspace(-1.4, 1.4, 13) for v in np.linspace(-1.4, 1.4, 13)]
        return best_of(cone, ["z0", "slope"], z, points, places)
