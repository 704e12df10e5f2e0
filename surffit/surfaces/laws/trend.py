"""A peak on a smooth trend."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..family import Surface
from ..starting import SecondOrder, best_of, span, thinned


def trend_peak(
    x: Any,
    y: Any,
    height: float,
    x0: float,
    y0: float,
    sigma: float,
    c0: float,
    cx: float,
    cy: float,
    cxx: float,
    cxy: float,
    cyy: float,
) -> Any:
    r"""
    Round Gaussian peak on a trend of second order.

    .. math:: z = h\,\exp\left[-\frac{(x - x_0)^2 + (y - y_0)^2}{2\sigma^2}\right]
              + c_0 + c_x x + c_y y + c_{xx} x^2 + c_{xy} x y + c_{yy} y^2

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    height : float
        Height h of the peak, negative for a dip [data unit]. Linear.
    x0, y0 : float
        Its centre [length].
    sigma : float
        Its standard deviation [length], > 0.
    c0 : float
        Trend at the origin [data unit]. Linear.
    cx, cy : float
        Its slopes there [data unit / length]. Linear.
    cxx, cxy, cyy : float
        Its second-order terms [data unit / length**2]. Linear.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    A peak as wide as the data can't be told from the trend. For other trends add models: a thin-plate or spline surface plus a peak is
    one line, ``trend + peak``.

    Examples
    --------
    >>> import numpy as np
    >>> flat = dict.fromkeys(("cx", "cy", "cxx", "cxy", "cyy"), 0.0)
    >>> float(trend_peak(3.0, 4.0, height=2.0, x0=3.0, y0=4.0, sigma=1.0, c0=10.0, **flat))
    12.0
    """
    peak = height * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / sigma**2)
    return peak + c0 + cx * x + cy * y + cxx * x**2 + cxy * x * y + cyy * y**2


LINEAR = ("height", "c0", "cx", "cy", "cxx", "cxy", "cyy")


class TrendPeak(Surface):
    """A peak on a trend of second order, `trend_peak`; the peak is looked for in what the trend alone leaves."""

    function = staticmethod(trend_peak)
    hints: ClassVar = {"sigma": {"min": 0.0}}
    typical: ClassVar = {
        "height": 6.0, "x0": 24.0, "y0": 12.0, "sigma": 3.0, "c0": 3.0, "cx": 0.15, "cy": -0.2, "cxx": -0.004, "cxy": 0.003, "cyy": 0.006,
    }  # fmt: skip

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Centre and width of the peak."""
        z, (x, y) = thinned(z, coords)
        (_, hx), (_, hy) = span(x), span(y)
        left = SecondOrder(z, x, y).residual
        size = min(hx, hy)
        # what is left, averaged over neighbours, is largest where the peak is
        near = np.exp(-0.5 * (np.subtract.outer(x, x) ** 2 + np.subtract.outer(y, y) ** 2) / (0.12 * size) ** 2)
        # few neighbours make a mean uncertain: weigh it by its own error
        strength = np.abs(near @ left) / np.sqrt((near**2).sum(axis=1))
        places: list[int] = []
        for i in np.argsort(-strength):
            if all(np.hypot(x[i] - x[j], y[i] - y[j]) > 0.3 * size for j in places):
                places.append(int(i))
            if len(places) == 5:
                break
        tries = [
            {"x0": float(x[i]), "y0": float(y[i]), "sigma": float(size * s)}
            for i in places
            for s in (0.03, 0.06, 0.12, 0.2, 0.3, 0.45, 0.7)
        ]
        return best_of(trend_peak, LINEAR, z, (x, y), tries)
