"""Powers and exponentials of two variables."""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar

import numpy as np

from ..family import Surface
from ..starting import best_of, span, thinned, weighted_logs


def power_law2d(x: Any, y: Any, a: float, b: float, c: float) -> Any:
    r"""
    Product of powers.

    .. math:: z = a\,x^b\,y^c

    Parameters
    ----------
    x, y : array_like
        Coordinates, > 0 [any unit].
    a : float
        Value at x = y = 1 [data unit]. Linear.
    b, c : float
        Exponents of x and y.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    A straight line in the logarithms if the *relative* error of the data is constant; this fit is for a constant absolute one, or for
    known errors.

    Examples
    --------
    >>> power_law2d(2.0, 3.0, a=5.0, b=3.0, c=2.0)
    360.0
    """
    return a * x**b * y**c


class PowerLaw2D(Surface):
    """A product of powers, `power_law2d`; exponents start from a plane in the logarithms."""

    function = staticmethod(power_law2d)
    extent: ClassVar = {"x": (0.5, 8.0, 26), "y": (0.2, 5.0, 25)}
    typical: ClassVar = {"a": 2.5, "b": 1.3, "c": -0.6}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Both exponents."""
        b, c = weighted_logs(z, [np.log(np.maximum(one, 1e-300)) for one in coords])
        return {"b": b, "c": c}


def exponential_plane(x: Any, y: Any, z0: float, a: float, bx: float, by: float) -> Any:
    r"""
    Exponential of a plane, over a constant.

    .. math:: z = z_0 + a\,\exp(b_x x + b_y y)

    Parameters
    ----------
    x, y : array_like
        Coordinates [any unit].
    z0 : float
        What it tends to [data unit]. Linear.
    a : float
        Value above that at the origin [data unit]. Linear.
    bx, by : float
        Rates along x and y [1/unit of x], [1/unit of y].

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    Far from the origin `a` is tiny or huge: shift the coordinates so that it lies within the data.

    Examples
    --------
    >>> float(exponential_plane(0.0, 0.0, z0=1.0, a=2.0, bx=3.0, by=4.0))
    3.0
    """
    return z0 + a * np.exp(bx * x + by * y)


class ExponentialPlane(Surface):
    """The exponential of a plane, `exponential_plane`; rates of either sign are tried."""

    function = staticmethod(exponential_plane)
    extent: ClassVar = {"x": (0.0, 4.0, 25), "y": (0.0, 3.0, 21)}
    typical: ClassVar = {"z0": 1.5, "a": 2.0, "bx": -0.7, "by": 0.4}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Both rates."""
        z, points = thinned(z, coords)
        (_, hx), (_, hy) = map(span, points)
        rates = (-8.0, -4.0, -2.0, -1.0, -0.4, 0.0, 0.4, 1.0, 2.0, 4.0, 8.0)
        tries = [{"bx": p / hx, "by": q / hy} for p, q in product(rates, rates) if p or q]
        return best_of(exponential_plane, ["z0", "a"], z, points, tries)
