"""Peaks with the wings of spectral lines: Lorentzian, Voigt, pseudo-Voigt."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..geometry import squared_radius, turned
from .ellipse import HWHM, Core, Peak


def lorentzian2d(x, y, height, x0, y0, gamma, q, theta):
    r"""
    Lorentzian of the elliptical radius.

    .. math:: z = \frac{h}{1 + r^2/\gamma^2}, \qquad r^2 = u^2 + (v/q)^2

    with u and v the offsets from the centre along the axis at `theta` and across it.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [unit of x].
    gamma : float
        Half width at half maximum along the axis at `theta` [unit of x]; > 0.
    q : float
        Length of the other axis over that at `theta`; > 0. A guess has q <= 1.
    theta : float
        Angle of the axis of `gamma` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    Its integral over the plane is infinite (a Moffat peak with beta = 1): its wings can't be told from a constant background
    unless the data reach several `gamma`. A cut through the centre is the Lorentzian line of [1]_. Where q is 1 `theta` has no
    effect; (gamma, q, theta) and (q gamma, 1/q, theta + pi/2) are the same surface.

    References
    ----------
    .. [1] W. Demtroeder, Laser Spectroscopy 1, 5th ed. (2014), 3.1, doi:10.1007/978-3-642-53859-9.

    Examples
    --------
    >>> import numpy as np
    >>> lorentzian2d(np.array([0.0, 2.0]), 0.0, height=3, x0=0, y0=0, gamma=2, q=0.5, theta=0)
    array([3. , 1.5])
    """
    return height / (1.0 + squared_radius(x, y, x0, y0, gamma, q, theta))


class Lorentzian2D(Peak):
    """Lorentzian of the elliptical radius, `lorentzian2d`."""

    function = staticmethod(lorentzian2d)
    hints: ClassVar = {"gamma": {"min": 0}, "q": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.0, "y0": 14.0, "gamma": 5.0, "q": 0.6, "theta": 0.5}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's half width, and a little off it."""
        return [core.ellipse(gamma=HWHM * core.width * k) for k in (0.5, 0.7, 1.0, 1.4)]


def pseudo_voigt2d(x, y, height, x0, y0, hwhm, fraction, q, theta):
    r"""
    Pseudo-Voigt peak: a Gaussian and a Lorentzian of the same half width, mixed.

    .. math:: z = h\left[(1 - f)\,2^{-r^2/w^2} + \frac{f}{1 + r^2/w^2}\right], \qquad r^2 = u^2 + (v/q)^2

    with u and v the offsets from the centre along the axis at `theta` and across it.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [unit of x].
    hwhm : float
        Half width at half maximum w along the axis at `theta` [unit of x]; > 0.
    fraction : float
        Share f of the Lorentzian in the height, 0 to 1.
    q : float
        Length of the other axis over that at `theta`; > 0. A guess has q <= 1.
    theta : float
        Angle of the axis of `hwhm` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    `fraction` is that of heights; lmfit's PseudoVoigtModel mixes areas. Where q is 1 `theta` has no effect; (hwhm, q, theta) and
    (q hwhm, 1/q, theta + pi/2) are the same surface. The mixture is that of [1]_ with the elliptical radius.

    References
    ----------
    .. [1] G. K. Wertheim et al., Rev. Sci. Instrum. 45 (1974) 1369, doi:10.1063/1.1686503.

    Examples
    --------
    >>> import numpy as np
    >>> pseudo_voigt2d(np.array([0.0, 2.0]), 0.0, height=3, x0=0, y0=0, hwhm=2, fraction=0.3, q=0.5, theta=0)
    array([3. , 1.5])
    """
    square = squared_radius(x, y, x0, y0, hwhm, q, theta)
    return height * ((1.0 - fraction) * np.exp(-np.log(2.0) * square) + fraction / (1.0 + square))


class PseudoVoigt2D(Peak):
    """Pseudo-Voigt peak, `pseudo_voigt2d`."""

    function = staticmethod(pseudo_voigt2d)
    hints: ClassVar = {"hwhm": {"min": 0}, "fraction": {"min": 0, "max": 1}, "q": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.0, "y0": 14.0, "hwhm": 5.0, "fraction": 0.4, "q": 0.6, "theta": 0.5}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's half width, for several mixtures."""
        return [core.ellipse(hwhm=HWHM * core.width * k, fraction=f) for f in (0.1, 0.5, 0.9) for k in (0.7, 1.0, 1.3)]


def voigt2d(x, y, height, x0, y0, sigma_major, gamma_major, q, theta):
    r"""
    Voigt profile of the elliptical radius.

    .. math:: z = h\,\frac{V(r; \sigma, \gamma)}{V(0; \sigma, \gamma)}, \quad
              V = \frac{\mathrm{Re}\,w(\zeta)}{\sigma\sqrt{2\pi}}, \quad \zeta = \frac{r + i\gamma}{\sigma\sqrt2}, \quad r^2 = u^2 + (v/q)^2

    with w the Faddeeva function, u and v the offsets from the centre along the axis at `theta` and across it.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [unit of x].
    sigma_major : float
        Standard deviation of the Gaussian along the axis at `theta` [unit of x]; > 0.
    gamma_major : float
        Half width at half maximum of the Lorentzian along that axis [unit of x]; >= 0.
    q : float
        Length of the other axis over that at `theta`; > 0. A guess has q <= 1.
    theta : float
        Angle of the axis of the widths [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    Every cut through the centre is a Voigt line [1]_. It is not the convolution of a two-dimensional Gaussian with a
    two-dimensional Lorentzian. Its integral over the plane is infinite unless `gamma_major` is 0. Where q is 1 `theta` has no effect.

    References
    ----------
    .. [1] NIST Digital Library of Mathematical Functions, 7.19, https://dlmf.nist.gov/7.19.

    Examples
    --------
    >>> import numpy as np
    >>> z = voigt2d(np.array([0.0, 2.0]), 0.0, height=3, x0=0, y0=0, sigma_major=2, gamma_major=0, q=0.5, theta=0)
    >>> bool(np.allclose(z, [3.0, 3.0 * np.exp(-0.5)]))
    True
    """
    from scipy.special import voigt_profile

    u, v = turned(x, y, x0, y0, theta)
    # hypot has a slope of 0 at 0, which is right for an even function
    profile = voigt_profile(np.hypot(u, v / q), sigma_major, gamma_major)
    return height * (profile / voigt_profile(0.0, sigma_major, gamma_major))


class Voigt2D(Peak):
    """Voigt profile of the elliptical radius, `voigt2d`."""

    function = staticmethod(voigt2d)
    hints: ClassVar = {"sigma_major": {"min": 0}, "gamma_major": {"min": 0}, "q": {"min": 0}}
    typical: ClassVar = {
        "height": 5.0, "x0": 18.0, "y0": 14.0, "sigma_major": 3.0, "gamma_major": 2.0, "q": 0.6, "theta": 0.5,
    }  # fmt: skip

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's width shared between both parts, in several ways."""
        mixtures = ((0.95, 0.1), (0.7, 0.5), (0.35, 0.9))
        return [
            core.ellipse(sigma_major=core.width * g * k, gamma_major=HWHM * core.width * w * k)
            for g, w in mixtures
            for k in (0.7, 1.0, 1.3)
        ]
