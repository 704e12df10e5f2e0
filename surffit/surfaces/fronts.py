"""Things along a straight line: ridges, edges and fronts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .family import Surface
from .lines import best_edges, best_ridges


def _across(x: Any, y: Any, distance: Any, theta: Any) -> Any:
    """Signed distance from the line whose normal is at `theta`."""
    return x * np.cos(theta) + y * np.sin(theta) - distance


def ridge2d(x, y, height, distance, theta, width):
    r"""
    Ridge (or trench): a Gaussian across a straight line.

    .. math:: z = h \exp\left(-\frac{s^2}{2 w^2}\right), \qquad s = x\cos\theta + y\sin\theta - d

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    height : float
        Value h on the crest [data unit]; negative for a trench. Linear.
    distance : float
        Distance d of the crest from the origin, along the normal [unit of x].
    theta : float
        Angle of the normal [rad], counter-clockwise from +x; the crest runs at right angles to it.
    width : float
        Standard deviation w of the profile [unit of x]; > 0.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    (distance, theta) and (-distance, theta + pi) are the same line, in Hesse's normal form [1]_; a guess has -pi/2 < theta <= pi/2. If
    the data lie far from the origin, distance and theta are strongly correlated: shift the coordinates.

    References
    ----------
    .. [1] R. O. Duda, P. E. Hart, Commun. ACM 15 (1972) 11, doi:10.1145/361237.361242.

    Examples
    --------
    >>> import numpy as np
    >>> ridge2d(np.array([0.0, 3.0, 5.0]), 7.0, height=2, distance=3, theta=0, width=2).round(6)
    array([0.649305, 2.      , 1.213061])
    """
    return height * np.exp(-0.5 * np.square(_across(x, y, distance, theta) / width))


class Ridge2D(Surface):
    """A Gaussian across a straight line, `ridge2d`."""

    function = staticmethod(ridge2d)
    hints: ClassVar = {"width": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "distance": 24.0, "theta": 0.6, "width": 3.0}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> list[dict[str, float]]:
        """Starts from the projection with the highest crest; see `Surface.starts`."""
        return [
            {"distance": d, "theta": theta, "width": w * k} for d, theta, w in best_ridges(z, *coords) for k in (0.5, 0.7, 1.0, 1.5, 2.5)
        ]


def step2d(x, y, low, high, distance, theta, width):
    r"""
    Straight edge between two plateaus, blurred by a Gaussian.

    .. math:: z = z_- (1 - g) + z_+\, g, \qquad g = \tfrac12\left[1 + \mathrm{erf}\left(\frac{s}{\sqrt2\,w}\right)\right], \quad
              s = x\cos\theta + y\sin\theta - d

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates, e.g. of pixel centres [pixel]; both in the same unit.
    low, high : float
        Plateaus before and behind the edge [data unit]. Linear.
    distance : float
        Distance d of the edge from the origin, along the normal [pixel].
    theta : float
        Angle of the normal, which points from `low` to `high` [rad], counter-clockwise from +x.
    width : float
        Standard deviation w of the blur [pixel]; > 0.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    The edge spread function of a slanted edge [1]_. (low, high, distance, theta) and (high, low, -distance, theta + pi) are the same
    surface; a guess has low <= high. A `width` well below the spacing of the points can't be determined.

    References
    ----------
    .. [1] ISO 12233:2017, Photography: electronic still picture imaging, resolution and spatial frequency responses.

    Examples
    --------
    >>> import numpy as np
    >>> step2d(np.array([0.0, 3.0, 5.0]), 7.0, low=1, high=3, distance=3, theta=0, width=2).round(6)
    array([1.133614, 2.      , 2.682689])
    """
    from scipy.special import ndtr

    share = ndtr(_across(x, y, distance, theta) / width)
    return low * (1.0 - share) + high * share


class Step2D(Surface):
    """Straight edge between two plateaus, `step2d`."""

    function = staticmethod(step2d)
    hints: ClassVar = {"width": {"min": 0}}
    typical: ClassVar = {"low": 1.0, "high": 6.0, "distance": 24.0, "theta": 0.6, "width": 2.0}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> list[dict[str, float]]:
        """Starts from the projection that parts the data best; see `Surface.starts`."""
        return [
            {"distance": d, "theta": theta, "width": w}
            for d, theta, reach in best_edges(z, *coords)
            for w in reach * np.array([0.01, 0.03, 0.1, 0.25])
        ]


def sigmoid2d(x, y, low, high, distance, theta, width, asymmetry):
    r"""
    Front between two plateaus with different onsets: Richards' generalised logistic function of the distance from a line.

    .. math:: z = z_- (1 - g) + z_+\, g, \qquad g = \left(1 + e^{-s/w}\right)^{-a}, \quad s = x\cos\theta + y\sin\theta - d

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    low, high : float
        Plateaus before and behind the front [data unit]. Linear.
    distance : float
        Distance d from the origin, along the normal [unit of x]; of the line of half height where `asymmetry` is 1.
    theta : float
        Angle of the normal, which points from `low` to `high` [rad], counter-clockwise from +x.
    width : float
        Length w over which the far end approaches its plateau by a factor e [unit of x]; > 0.
    asymmetry : float
        Exponent a, > 0: 1 is the logistic function; above 1 the front starts steeply and ends slowly, below 1 the reverse.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    The near end decays over w/a. `distance` and `asymmetry` are strongly correlated; fix asymmetry=1 unless the data resolve both
    ends. Unlike `step2d` the two sides can't be exchanged, except for asymmetry 1. Formula from [1]_.

    References
    ----------
    .. [1] F. J. Richards, J. Exp. Bot. 10 (1959) 290, doi:10.1093/jxb/10.2.290.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid2d(np.array([1.0, 3.0, 5.0]), 7.0, low=1, high=3, distance=3, theta=0, width=2, asymmetry=1).round(6)
    array([1.537883, 2.      , 2.462117])
    """
    from scipy.special import log_expit

    share = np.exp(asymmetry * log_expit(_across(x, y, distance, theta) / width))
    return low * (1.0 - share) + high * share


class Sigmoid2D(Surface):
    """Front between two plateaus with different onsets, `sigmoid2d`."""

    function = staticmethod(sigmoid2d)
    hints: ClassVar = {"width": {"min": 0}, "asymmetry": {"min": 0}}
    typical: ClassVar = {"low": 1.0, "high": 6.0, "distance": 24.0, "theta": 0.6, "width": 2.0, "asymmetry": 1.5}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> list[dict[str, float]]:
        """Starts from the projection that parts the data best, for several asymmetries; see `Surface.starts`."""
        out = []
        for d, theta, reach in best_edges(z, *coords):
            for w in reach * np.array([0.01, 0.03, 0.08, 0.2]):
                for a in (0.4, 1.0, 2.5):
                    # half height lies where 1 + exp(-s/w) = 2**(1/a)
                    out.append({"distance": d + w * float(np.log(2.0 ** (1 / a) - 1.0)), "theta": theta, "width": w, "asymmetry": a})
        return out
