"""A ring: a Gaussian across an ellipse."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..family import Surface
from ..geometry import turned


def ring2d(x, y, height, x0, y0, radius, width, q, theta):
    r"""
    Ring: a Gaussian across an ellipse.

    .. math:: z = h \exp\left[-\frac{(r - R)^2}{2 w^2}\right], \qquad r^2 = u^2 + (v/q)^2

    with u and v the offsets from the centre along the axis at `theta` and across it.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    height : float
        Value h on the crest [data unit]. Linear.
    x0, y0 : float
        Centre [unit of x].
    radius : float
        Radius R of the crest along the axis at `theta` [unit of x]; > 0.
    width : float
        Standard deviation w of the profile along that axis [unit of x]; > 0.
    q : float
        Length of the other axis over that at `theta`; > 0. A guess has q <= 1.
    theta : float
        Angle of the axis of `radius` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    The flank is q times as wide along the minor axis. Unless `radius` is some `width` the centre has a small cusp, where derivatives by the
    position are taken as 0. Where q is 1 `theta` has no effect; (radius, width, q, theta) and (q radius, q width, 1/q, theta + pi/2) are
    the same surface. The normal profile is that of [1]_, 26.2.

    References
    ----------
    .. [1] M. Abramowitz, I. A. Stegun, Handbook of Mathematical Functions (1964).

    Examples
    --------
    >>> import numpy as np
    >>> ring2d(np.array([0.0, 5.0, 6.0]), 0.0, height=2, x0=0, y0=0, radius=5, width=1, q=0.8, theta=0).round(6)
    array([7.000000e-06, 2.000000e+00, 1.213061e+00])
    """
    u, v = turned(x, y, x0, y0, theta)
    return height * np.exp(-0.5 * np.square((np.hypot(u, v / q) - radius) / width))


class Ring2D(Surface):
    """A Gaussian across an ellipse, `ring2d`."""

    function = staticmethod(ring2d)
    hints: ClassVar = {"radius": {"min": 0}, "width": {"min": 0}, "q": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 20.3, "y0": 15.2, "radius": 10.0, "width": 2.0, "q": 0.8, "theta": 0.5}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> list[dict[str, float]]:
        """Starts from the moments of the points that stand out; see `Surface.starts`."""
        x, y = coords
        off = z - np.median(z)
        out = []
        # the highest points tell how high it is, or, if these are wild ones, the highest few per cent
        for sign in (1.0, -1.0):
            for share in (min(8.0 / z.size, 0.5), 0.04):
                top = float(np.quantile(sign * off, 1.0 - share))
                bright = (sign * off > 0.4 * top) & (sign * off < 2.5 * top)
                if top > 0 and int(bright.sum()) >= 4:
                    out += _rings(x[bright], y[bright])
        if not out:
            # nothing stands out: a ring in the middle
            radius = 0.25 * float(np.hypot(np.ptp(x), np.ptp(y))) or 1.0
            middle = {"x0": 0.5 * float(x.min() + x.max()), "y0": 0.5 * float(y.min() + y.max())}
            out = [{**middle, "radius": radius, "width": 0.2 * radius, "q": 1.0, "theta": 0.0}]
        return out


def _rings(x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
    """Rings of several sizes and widths through points that lie on one."""
    # medians, since single wild points lie far off
    x0, y0 = (0.5 * float(np.quantile(v, 0.15) + np.quantile(v, 0.85)) for v in (x, y))
    (small, large), axes = np.linalg.eigh(np.cov(np.stack([x - x0, y - y0])))
    theta = float(np.arctan2(axes[1, 1], axes[0, 1]))
    theta -= np.pi * np.ceil(theta / np.pi - 0.5)
    # points spread evenly along an ellipse have half the squared semi-axes as variances
    radius = float(np.sqrt(2.0 * max(large, 0.0)))
    q = float(np.sqrt(max(small, 1e-6 * large) / large)) if large > 0 else 1.0
    return [
        {"x0": x0, "y0": y0, "radius": radius * k, "width": radius * w, "q": q, "theta": theta}
        for k in (0.85, 0.93, 1.0, 1.08)
        for w in (0.05, 0.12, 0.25)
    ]
