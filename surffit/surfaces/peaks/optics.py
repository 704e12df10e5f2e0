"""Images of points: Moffat's profile, Airy's disc, and the sinc of a rectangular pupil."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..geometry import squared_radius, turned
from .ellipse import HWHM, Core, Peak

# first zero of J1
J1_ZERO = 3.8317059702075125
# where (2 J1(u)/u)^2 and sin(t)/t are a half
AIRY_HALF = 1.6163399481
SINC_HALF = 1.8954942670


def moffat2d(x, y, height, x0, y0, alpha, beta, q, theta):
    r"""
    Moffat peak with elliptical contours: a core and power-law wings.

    .. math:: z = h\,(1 + r^2/\alpha^2)^{-\beta}, \qquad r^2 = u^2 + (v/q)^2

    with u and v the offsets from the centre along the axis at `theta` and across it.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates, e.g. of pixel centres [pixel]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [pixel].
    alpha : float
        Core width along the axis at `theta` [pixel]; > 0.
    beta : float
        Exponent of the wings, > 0; above 1 the total is finite, above about 10 it can't be told from a Gaussian.
    q : float
        Length of the other axis over that at `theta`; > 0. A guess has q <= 1.
    theta : float
        Angle of the axis of `alpha` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    Full width at half maximum :math:`2\alpha\sqrt{2^{1/\beta} - 1}`, total :math:`\pi h q\alpha^2/(\beta - 1)`. Formula from [1]_. Where
    q is 1 `theta` has no effect; (alpha, q, theta) and (q alpha, 1/q, theta + pi/2) are the same surface.

    References
    ----------
    .. [1] A. F. J. Moffat, Astron. Astrophys. 3 (1969) 455.

    Examples
    --------
    >>> import numpy as np
    >>> moffat2d(np.array([0.0, 3.0]), 0.0, height=2, x0=0, y0=0, alpha=3, beta=2, q=0.8, theta=0)
    array([2. , 0.5])
    """
    return height * (1.0 + squared_radius(x, y, x0, y0, alpha, q, theta)) ** (-beta)


class Moffat2D(Peak):
    """Moffat peak with elliptical contours, `moffat2d`."""

    function = staticmethod(moffat2d)
    hints: ClassVar = {"alpha": {"min": 0}, "beta": {"min": 0}, "q": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.0, "y0": 14.0, "alpha": 6.0, "beta": 2.5, "q": 0.6, "theta": 0.5}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's half width, for several exponents."""
        half = HWHM * core.width
        return [
            core.ellipse(alpha=half * k / np.sqrt(2.0 ** (1 / b) - 1.0), beta=b) for b in (1.2, 2.0, 4.0) for k in (0.7, 0.85, 1.0, 1.2)
        ]


def airy2d(x, y, height, x0, y0, radius):
    r"""
    Airy disc: the image of a point through a circular aperture.

    .. math:: z = h \left[\frac{2 J_1(s)}{s}\right]^2, \qquad s = j_{1,1}\,\frac{r}{R}, \quad j_{1,1} = 3.8317

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates, e.g. of pixel centres [pixel]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [pixel].
    radius : float
        Radius R of the first dark ring [pixel], > 0; 1.2197 wavelength times focal ratio.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    Full width at half maximum 0.8437 R, total :math:`4\pi h R^2 / j_{1,1}^2`; 83.8 % of it lies inside R [1]_. For a telescope with
    a central obscuration the rings are brighter than here.

    References
    ----------
    .. [1] M. Born, E. Wolf, Principles of Optics, 7th ed. (1999), 8.5.2.

    Examples
    --------
    >>> import numpy as np
    >>> airy2d(np.array([0.0, 5.0]), 0.0, height=2, x0=0, y0=0, radius=5).round(12)
    array([2., 0.])
    """
    from scipy.special import hyp0f1

    square = squared_radius(x, y, x0, y0, radius, 1.0, 0.0)
    # 2 J1(s)/s as a function of s**2, which has no trouble at the centre
    return height * np.square(hyp0f1(2.0, (-0.25 * J1_ZERO**2) * square))


class Airy2D(Peak):
    """Airy disc, `airy2d`."""

    function = staticmethod(airy2d)
    hints: ClassVar = {"radius": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.0, "y0": 14.0, "radius": 9.0}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's half width."""
        half = HWHM * core.width * np.sqrt(core.q)
        return [{"x0": core.x0, "y0": core.y0, "radius": half * k * J1_ZERO / AIRY_HALF} for k in (0.8, 1.0, 1.25)]


def sinc2d(x, y, height, x0, y0, width_x, width_y, theta):
    r"""
    Product of two sincs along turned axes: the amplitude behind a rectangular aperture.

    .. math:: z = h\,\mathrm{sinc}(u/w_x)\,\mathrm{sinc}(v/w_y), \qquad \mathrm{sinc}(t) = \frac{\sin\pi t}{\pi t}

    with u and v the offsets from the centre along the axis at `theta` and across it.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [unit of x].
    width_x, width_y : float
        Distance from the centre to the first zero along the turned x and y axis [unit of x]; > 0.
    theta : float
        Angle of the axis of `width_x` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit], of both signs.

    Notes
    -----
    An intensity behind the aperture is the square of this [1]_. Its total is :math:`h\,w_x w_y`. Exchanging the widths and adding
    pi/2 to `theta` gives the same surface. Unlike that of a Gaussian, its contours are not ellipses, so that `theta` matters
    where the widths are equal, too.

    References
    ----------
    .. [1] M. Born, E. Wolf, Principles of Optics, 7th ed. (1999), 8.5.1.

    Examples
    --------
    >>> import numpy as np
    >>> sinc2d(np.array([0.0, 1.5, 3.0]), 0.0, height=2, x0=0, y0=0, width_x=3, width_y=1, theta=0).round(6)
    array([2.      , 1.27324, 0.      ])
    """
    u, v = turned(x, y, x0, y0, theta)
    return height * (np.sinc(u / width_x) * np.sinc(v / width_y))


class Sinc2D(Peak):
    """Product of two sincs along turned axes, `sinc2d`."""

    function = staticmethod(sinc2d)
    hints: ClassVar = {"width_x": {"min": 0}, "width_y": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.0, "y0": 14.0, "width_x": 9.0, "width_y": 5.0, "theta": 0.5}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's half width; in several directions, since a round core has none."""
        half = HWHM * core.width * np.pi / SINC_HALF
        turns = [(core.q, core.theta + k * np.pi / 12) for k in range(-1, 2)] + [(1.0, k * np.pi / 12) for k in range(6)]
        return [
            {"x0": core.x0, "y0": core.y0, "width_x": half * k, "width_y": half * k * q, "theta": theta}
            for q, theta in turns
            for k in ((0.85, 1.0, 1.2) if q < 1 else (np.sqrt(core.q),))
        ]
