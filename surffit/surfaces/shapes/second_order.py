"""Planes and quadrics, by coefficients and by centre, curvatures and direction."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..family import Surface
from ..starting import SecondOrder


def plane(x: Any, y: Any, z0: float, sx: float, sy: float) -> Any:
    r"""
    Plane.

    .. math:: z = z_0 + s_x x + s_y y

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    z0 : float
        Value at the origin [data unit]. Linear.
    sx, sy : float
        Slopes [data unit / length]. Linear.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    Far from the origin `z0` and the slopes are strongly correlated; the plane itself is not hurt by that.

    Examples
    --------
    >>> plane(2.0, 3.0, z0=1.0, sx=10.0, sy=100.0)
    321.0
    """
    return z0 + sx * x + sy * y


class Plane(Surface):
    """A plane, `plane`; every parameter is linear."""

    function = staticmethod(plane)
    typical: ClassVar = {"z0": 2.0, "sx": 0.3, "sy": -0.5}


def quadric(x: Any, y: Any, c0: float, cx: float, cy: float, cxx: float, cxy: float, cyy: float) -> Any:
    r"""
    General surface of second order.

    .. math:: z = c_0 + c_x x + c_y y + c_{xx} x^2 + c_{xy} x y + c_{yy} y^2

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    c0 : float
        Value at the origin [data unit]. Linear.
    cx, cy : float
        Slopes at the origin [data unit / length]. Linear.
    cxx, cxy, cyy : float
        Half the curvature along x, the twist, half the curvature along y [data unit / length**2]. Linear.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    `saddle` and `elliptic_paraboloid` are the same surfaces by centre, curvatures and direction.

    Examples
    --------
    >>> quadric(1.0, 2.0, c0=1.0, cx=0.0, cy=0.0, cxx=10.0, cxy=100.0, cyy=1000.0)
    4211.0
    """
    return c0 + cx * x + cy * y + cxx * x**2 + cxy * x * y + cyy * y**2


class Quadric(Surface):
    """The general surface of second order, `quadric`; every parameter is linear."""

    function = staticmethod(quadric)
    typical: ClassVar = {"c0": 5.0, "cx": 0.3, "cy": -0.5, "cxx": 0.02, "cxy": -0.03, "cyy": 0.01}


def paraboloid(x: Any, y: Any, z0: float, curvature: float, x0: float, y0: float) -> Any:
    r"""
    Paraboloid of revolution.

    .. math:: z = z_0 + \frac{c}{2}\,[(x - x_0)^2 + (y - y_0)^2]

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    z0 : float
        Value at the vertex [data unit]. Linear.
    curvature : float
        Curvature c at the vertex, positive for a bowl [data unit / length**2]. Linear.
    x0, y0 : float
        Vertex [length].

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Examples
    --------
    >>> paraboloid(3.0, 4.0, z0=1.0, curvature=2.0, x0=0.0, y0=0.0)
    26.0
    """
    return z0 + 0.5 * curvature * ((x - x0) ** 2 + (y - y0) ** 2)


class Paraboloid(Surface):
    """A paraboloid of revolution, `paraboloid`; the vertex is searched from that of the second-order surface through the data."""

    function = staticmethod(paraboloid)
    typical: ClassVar = {"z0": 5.0, "curvature": 0.04, "x0": 17.0, "y0": 13.0}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """The vertex."""
        x0, y0 = SecondOrder(z, *coords).centre
        return {"x0": x0, "y0": y0}


def _principal(x: Any, y: Any, x0: float, y0: float, theta: float) -> tuple[Any, Any]:
    """Offsets from the centre along the axis at `theta`, and across it."""
    c, s = np.cos(theta), np.sin(theta)
    return c * (x - x0) + s * (y - y0), c * (y - y0) - s * (x - x0)


def elliptic_paraboloid(x: Any, y: Any, z0: float, cu: float, cv: float, x0: float, y0: float, theta: float) -> Any:
    r"""
    Elliptic paraboloid: a bowl or dome with two curvatures.

    .. math:: z = z_0 + \tfrac12 (c_u u^2 + c_v v^2)

    with u, v the offsets from the vertex along the direction theta and across it.

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    z0 : float
        Value at the vertex [data unit]. Linear.
    cu, cv : float
        Curvatures along and across the direction [data unit / length**2], of the same sign. Linear.
    x0, y0 : float
        Vertex [length].
    theta : float
        Direction of the axis of `cu` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    Where both curvatures are equal, theta means nothing: use `paraboloid`. A quarter turn with `cu` and `cv` exchanged is the same
    surface.

    Examples
    --------
    >>> float(elliptic_paraboloid(2.0, 3.0, z0=1.0, cu=2.0, cv=20.0, x0=0.0, y0=0.0, theta=0.0))
    95.0
    """
    u, v = _principal(x, y, x0, y0, theta)
    return z0 + 0.5 * (cu * u**2 + cv * v**2)


class EllipticParaboloid(Surface):
    """A bowl or dome with two curvatures, `elliptic_paraboloid`; starts are read off the second-order surface through the data."""

    function = staticmethod(elliptic_paraboloid)
    typical: ClassVar = {"z0": 5.0, "cu": 0.06, "cv": 0.02, "x0": 17.0, "y0": 13.0, "theta": 0.5}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Vertex and direction."""
        shape = SecondOrder(z, *coords)
        return {"x0": shape.centre[0], "y0": shape.centre[1], "theta": shape.axes()[2]}


def saddle(x: Any, y: Any, z0: float, cu: float, cv: float, x0: float, y0: float, theta: float) -> Any:
    r"""
    Hyperbolic paraboloid: up along one axis, down along the other.

    .. math:: z = z_0 + \tfrac12 (c_u u^2 - c_v v^2)

    with u, v the offsets from the centre along the direction theta and across it.

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    z0 : float
        Value at the saddle point [data unit]. Linear.
    cu, cv : float
        Curvatures up along the direction and down across it [data unit / length**2]. Linear.
    x0, y0 : float
        Saddle point [length].
    theta : float
        Direction of the axis of `cu` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    If a fit ends with `cu` and `cv` of different signs, the surface is no saddle but an `elliptic_paraboloid`.

    Examples
    --------
    >>> float(saddle(2.0, 3.0, z0=1.0, cu=2.0, cv=20.0, x0=0.0, y0=0.0, theta=0.0))
    -85.0
    """
    u, v = _principal(x, y, x0, y0, theta)
    return z0 + 0.5 * (cu * u**2 - cv * v**2)


class Saddle(Surface):
    """A hyperbolic paraboloid, `saddle`; starts are read off the second-order surface through the data."""

    function = staticmethod(saddle)
    typical: ClassVar = {"z0": 5.0, "cu": 0.06, "cv": 0.02, "x0": 17.0, "y0": 13.0, "theta": 0.5}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Saddle point and direction of the upward axis."""
        shape = SecondOrder(z, *coords)
        return {"x0": shape.centre[0], "y0": shape.centre[1], "theta": shape.axes()[2]}
