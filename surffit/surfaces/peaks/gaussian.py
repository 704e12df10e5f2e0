"""Gaussian peaks: turned, and with steeper or flatter flanks."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..geometry import power_of, squared_radius, turned
from .ellipse import HWHM, Core, Peak


def gaussian2d_rotated(x, y, height, x0, y0, sigma_x, sigma_y, theta):
    r"""
    Gaussian peak with axes in any direction.

    .. math:: z = h \exp\left[-\tfrac12\left(\frac{u^2}{\sigma_x^2} + \frac{v^2}{\sigma_y^2}\right)\right], \quad
              u = (x - x_0)\cos\theta + (y - y_0)\sin\theta, \quad v = (y - y_0)\cos\theta - (x - x_0)\sin\theta

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [unit of x].
    sigma_x, sigma_y : float
        Standard deviations along the turned x and y axis [unit of x]; > 0.
    theta : float
        Angle of the axis of `sigma_x` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    See Also
    --------
    lmfit.models.Gaussian2dModel : The same with axes along x and y, and its integral as parameter.

    Notes
    -----
    The total is :math:`2\pi h\,\sigma_x\sigma_y`; the full width at half maximum is 2.3548 sigma. Exchanging the sigmas and
    adding pi/2 to `theta` gives the same surface, and so does adding pi: a guess has sigma_x >= sigma_y and
    -pi/2 < theta <= pi/2. Where the sigmas are equal `theta` has no effect. Formula: the bivariate normal density [1]_.

    References
    ----------
    .. [1] M. Abramowitz, I. A. Stegun, Handbook of Mathematical Functions (1964), 26.3.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:61, :81]
    >>> z = gaussian2d_rotated(x, y, height=2.0, x0=40, y0=30, sigma_x=6, sigma_y=3, theta=0.4)
    >>> float(z.max()), float(round(z.sum() / (2 * np.pi * 6 * 3), 6))
    (2.0, 2.0)
    """
    u, v = turned(x, y, x0, y0, theta)
    return height * np.exp(-0.5 * (np.square(u / sigma_x) + np.square(v / sigma_y)))


class Gaussian2DRotated(Peak):
    """
    Gaussian peak with axes in any direction, `gaussian2d_rotated`.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:31, :41]
    >>> model = Gaussian2DRotated()
    >>> z = model.eval(x=x, y=y, height=5, x0=18, y0=14, sigma_x=6, sigma_y=3, theta=0.5)
    >>> result = model.fit(z, x=x, y=y)  # starts are guessed
    >>> {name: float(round(value, 6)) for name, value in result.best_values.items()}
    {'height': 5.0, 'x0': 18.0, 'y0': 14.0, 'sigma_x': 6.0, 'sigma_y': 3.0, 'theta': 0.5}
    """

    function = staticmethod(gaussian2d_rotated)
    hints: ClassVar = {"sigma_x": {"min": 0}, "sigma_y": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.0, "y0": 14.0, "sigma_x": 6.0, "sigma_y": 3.0, "theta": 0.5}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts from the Gaussian core, which is the model itself."""
        sigmas = {"sigma_x": core.width, "sigma_y": core.width * core.q}
        return [{"height": core.height, "x0": core.x0, "y0": core.y0, **sigmas, "theta": core.theta}]


def supergaussian2d(x, y, height, x0, y0, width, power, q, theta):
    r"""
    Super-Gaussian peak: a flat top for powers above 1, a cusp below.

    .. math:: z = h \exp\left[-\left(\frac{r^2}{2 w^2}\right)^p\right], \qquad r^2 = u^2 + (v/q)^2

    with u and v the offsets from the centre along the axis at `theta` and across it.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [unit of x].
    width : float
        Radius w along the axis at `theta` [unit of x], > 0; the standard deviation where `power` is 1.
    power : float
        Power p, > 0: 1 is a Gaussian, 5 nearly a top hat.
    q : float
        Length of the other axis over that at `theta`; > 0. A guess has q <= 1.
    theta : float
        Angle of the axis of `width` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    The total is :math:`2\pi h q w^2\,\Gamma(1 + 1/p)`. Laser profiles are often written as
    :math:`\exp[-2 (r/w_L)^P]`: then P = 2p and :math:`w_L = 2^{1/P}\sqrt2\,w` [1]_. Where q is 1 `theta` has no effect;
    (width, q, theta) and (q width, 1/q, theta + pi/2) are the same surface.

    References
    ----------
    .. [1] A. Parent, M. Morin, P. Lavigne, Opt. Quantum Electron. 24 (1992) S1071, doi:10.1007/BF01588606.

    Examples
    --------
    >>> import numpy as np
    >>> supergaussian2d(np.array([0.0, 1.0, 4.0]), 0.0, height=3, x0=0, y0=0, width=2, power=5, q=1, theta=0).round(3)
    array([3., 3., 0.])
    """
    return height * np.exp(-power_of(0.5 * squared_radius(x, y, x0, y0, width, q, theta), power))


class SuperGaussian2D(Peak):
    """Super-Gaussian peak, `supergaussian2d`."""

    function = staticmethod(supergaussian2d)
    hints: ClassVar = {"width": {"min": 0}, "power": {"min": 0}, "q": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.0, "y0": 14.0, "width": 7.0, "power": 3.0, "q": 0.6, "theta": 0.5}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's half width, for several powers."""
        widths = [
            (p, core.width * HWHM * k / (np.sqrt(2.0) * np.log(2.0) ** (0.5 / p))) for p in (0.6, 1.0, 2.0, 5.0) for k in (0.8, 1.0, 1.25)
        ]
        return [core.ellipse(width=w, power=p) for p, w in widths]
