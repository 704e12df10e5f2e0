"""Turned coordinates and elliptical radii, written so that derivatives are finite at the centre too."""

from __future__ import annotations

from typing import Any

import numpy as np


def turned(x: Any, y: Any, x0: Any, y0: Any, theta: Any) -> tuple[Any, Any]:
    """Offsets from (x0, y0) along the direction `theta` [rad, counter-clockwise from +x] and to the left of it."""
    dx, dy = x - x0, y - y0
    c, s = np.cos(theta), np.sin(theta)
    return dx * c + dy * s, dy * c - dx * s


def squared_radius(x: Any, y: Any, x0: Any, y0: Any, width: Any, q: Any, theta: Any) -> Any:
    """Square of the elliptical radius in units of `width`, which lies along `theta`; the other axis is q times as long."""
    u, v = turned(x, y, x0, y0, theta)
    return np.square(u / width) + np.square(v / (q * width))


def power_of(square: Any, exponent: Any) -> Any:
    """``square**exponent`` for squares >= 0; its derivative at 0 is 0, which is the mean of all directions where there is a cusp."""
    outside = square > 0.0
    return np.where(outside, np.where(outside, square, 1.0) ** exponent, 0.0)
