"""Brightness of galaxies and of gas in clusters: Sersic's law, the exponential disc, the beta model."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..geometry import power_of, squared_radius
from .ellipse import HWHM, Core, Peak

# b(n)/(n + SHIFT) as a Chebyshev series in 1/(n + SHIFT), for n from 0.25 to 16
SHIFT = 0.16
INVERSE = (0.06188118811881188, 2.4390243902439024)
MEDIAN = (
    1.2321028746705003, -0.706371071106938, 0.024766401883252534, 0.003963450000965193, 0.0003374161125676541, 3.384737407676569e-06,
    -1.5586020962681325e-06, -2.9747225358084045e-07, -7.965153213431055e-08, -4.137377599933431e-09, -3.016013228018973e-10,
    -1.7393361425804333e-10, 4.494021491265133e-11, -4.759696484040244e-12, 1.9584194914492555e-15, 4.649388984044459e-13,
    -1.6369954147005089e-13, 3.963389219264406e-14, -4.869041308577355e-15,
)  # fmt: skip


def half_light(n: Any) -> Any:
    """
    The b of a Sersic profile, P(2n, b) = 1/2: ``scipy.special.gammaincinv(2*n, 0.5)`` to 1e-14, as arithmetic that has derivatives.

    Parameters
    ----------
    n : float
        Sersic index, 0.25 to 16.

    Returns
    -------
    float
        Half of the light lies inside the radius where the exponent is -b.

    Examples
    --------
    >>> round(half_light(1.0), 11)
    1.67834699002
    """
    low, high = INVERSE
    t = (2.0 / (n + SHIFT) - (low + high)) / (high - low)
    back, here = 0.0, MEDIAN[-1]
    for c in MEDIAN[-2:0:-1]:
        back, here = here, c + 2.0 * t * here - back
    return (n + SHIFT) * (MEDIAN[0] + t * here - back)


def sersic2d(x, y, flux, x0, y0, r_eff, n, q, theta):
    r"""
    Sersic surface with elliptical contours, point-sampled at (x, y).

    .. math:: I = \frac{F\, b^{2n}}{2\pi n\, q\, r_e^2\, \Gamma(2n)} \exp\{-b\,(r/r_e)^{1/n}\}, \qquad P(2n, b) = 1/2, \quad
              r^2 = u^2 + (v/q)^2

    with u and v the offsets from the centre along the major and minor axis, and P the regularised lower incomplete gamma function.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates of the pixel centres [pixel]; x is the column axis.
    flux : float
        Total F, the integral to infinity [data unit * pixel**2]. Linear.
    x0, y0 : float
        Centre [pixel].
    r_eff : float
        Radius r_e along the axis at `theta` that encloses half of `flux` [pixel]; > 0.
    n : float
        Sersic index, 0.3 to 12; 0.5 is a Gaussian, 1 an exponential disc, 4 de Vaucouleurs' law.
    q : float
        Length of the other axis over that at `theta`; > 0. A guess has q <= 1.
    theta : float
        Angle of the axis of `r_eff` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Surface brightness [data unit].

    Notes
    -----
    Point sampling makes the central pixel 11 % too bright at n = 1, r_eff = 6 pixels, and 39 times too bright at n = 4: do not use it
    for images of steep profiles, whose pixels hold averages. Formula from [1]_. At the centre, where the surface has a cusp for n > 0.5,
    derivatives by the position are taken as 0. Where q is 1 `theta` has no effect; (r_eff, q, theta) and (q r_eff, 1/q, theta + pi/2)
    are the same surface.

    References
    ----------
    .. [1] A. W. Graham, S. P. Driver, PASA 22 (2005) 118, doi:10.1071/AS05001.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:401, :401]
    >>> z = sersic2d(x, y, flux=50.0, x0=200, y0=200, r_eff=20, n=1, q=0.5, theta=0.3)
    >>> float(z.sum().round(2))
    50.0
    """
    from scipy.special import gammaln

    b = half_light(n)
    # the normalisation through logarithms, so that b**(2n) and Gamma(2n) stay finite
    scale = np.exp(2.0 * n * np.log(b) - gammaln(2.0 * n)) / (2.0 * np.pi * n * q * np.square(r_eff))
    return flux * (scale * np.exp(-b * power_of(squared_radius(x, y, x0, y0, r_eff, q, theta), 0.5 / n)))


class Sersic2D(Peak):
    """Sersic surface with elliptical contours, `sersic2d`."""

    function = staticmethod(sersic2d)
    hints: ClassVar = {"r_eff": {"min": 0}, "n": {"min": 0.3, "max": 12}, "q": {"min": 0}}
    typical: ClassVar = {"flux": 1000.0, "x0": 18.3, "y0": 14.4, "r_eff": 6.0, "n": 1.5, "q": 0.6, "theta": 0.5}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's half width, for several indices and sizes."""
        half = HWHM * core.width
        # half maximum of the profile lies at (ln 2 / b)**n effective radii; a cusp is rounded by the sampling, hence the factors
        sizes = [(n, half * k / (np.log(2.0) / half_light(n)) ** min(n, 1.0)) for n in (0.5, 1.0, 2.0, 4.0) for k in (0.6, 1.0, 1.6, 2.5)]
        return [core.ellipse(r_eff=size, n=n) for n, size in sizes]


def exponential2d(x, y, height, x0, y0, scale, q, theta):
    r"""
    Exponential disc with elliptical contours.

    .. math:: z = h \exp(-r/s), \qquad r^2 = u^2 + (v/q)^2

    with u and v the offsets from the centre along the axis at `theta` and across it.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates, e.g. of pixel centres [pixel]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [pixel].
    scale : float
        Length s along the axis at `theta` over which it falls by a factor e [pixel]; > 0.
    q : float
        Length of the other axis over that at `theta`; > 0. A guess has q <= 1.
    theta : float
        Angle of the axis of `scale` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    The total is :math:`2\pi h q s^2`, half of it inside 1.6783 s: `sersic2d` with n = 1, and as there the cusp at the centre has the
    derivative 0 by the position. The law is Freeman's [1]_. Where q is 1 `theta` has no effect; (scale, q, theta) and
    (q scale, 1/q, theta + pi/2) are the same surface.

    References
    ----------
    .. [1] K. C. Freeman, Astrophys. J. 160 (1970) 811, doi:10.1086/150474.

    Examples
    --------
    >>> import numpy as np
    >>> exponential2d(np.array([0.0, 3.0]), 0.0, height=2, x0=0, y0=0, scale=3, q=0.8, theta=0).round(6)
    array([2.      , 0.735759])
    """
    return height * np.exp(-power_of(squared_radius(x, y, x0, y0, scale, q, theta), 0.5))


class Exponential2D(Peak):
    """Exponential disc with elliptical contours, `exponential2d`."""

    function = staticmethod(exponential2d)
    hints: ClassVar = {"scale": {"min": 0}, "q": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.3, "y0": 14.4, "scale": 5.0, "q": 0.6, "theta": 0.5}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's half width, and off it, since the sampling rounds the cusp."""
        return [core.ellipse(scale=HWHM * core.width * k / np.log(2.0)) for k in (0.4, 0.6, 0.8, 1.0)]


def beta2d(x, y, height, x0, y0, r_core, beta, q, theta):
    r"""
    Beta model: the X-ray brightness of gas in a cluster of galaxies.

    .. math:: z = h\,(1 + r^2/r_c^2)^{1/2 - 3\beta}, \qquad r^2 = u^2 + (v/q)^2

    with u and v the offsets from the centre along the axis at `theta` and across it.

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates, e.g. of pixel centres [pixel]; both in the same unit.
    height : float
        Value h at the centre [data unit]. Linear.
    x0, y0 : float
        Centre [pixel].
    r_core : float
        Core radius r_c along the axis at `theta` [pixel]; > 0.
    beta : float
        Slope, above 1/6 (where the surface is flat); about 2/3 for clusters, and above 1/2 the total is finite.
    q : float
        Length of the other axis over that at `theta`; > 0. A guess has q <= 1.
    theta : float
        Angle of the axis of `r_core` [rad], counter-clockwise from +x.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    `r_core` and `beta` are strongly correlated unless the data reach several core radii. `moffat2d` with the exponent 3 beta - 1/2 is the
    same surface. The total is :math:`\pi h q r_c^2/(3\beta - 3/2)`. Formula from [1]_. Where q is 1 `theta` has no effect;
    (r_core, q, theta) and (q r_core, 1/q, theta + pi/2) are the same surface.

    References
    ----------
    .. [1] A. Cavaliere, R. Fusco-Femiano, Astron. Astrophys. 49 (1976) 137.

    Examples
    --------
    >>> import numpy as np
    >>> beta2d(np.array([0.0, 3.0]), 0.0, height=4, x0=0, y0=0, r_core=3, beta=0.5, q=0.8, theta=0)
    array([4., 2.])
    """
    return height * (1.0 + squared_radius(x, y, x0, y0, r_core, q, theta)) ** (0.5 - 3.0 * beta)


class Beta2D(Peak):
    """Beta model, `beta2d`."""

    function = staticmethod(beta2d)
    hints: ClassVar = {"r_core": {"min": 0}, "beta": {"min": 1 / 6}, "q": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.0, "y0": 14.0, "r_core": 4.0, "beta": 0.7, "q": 0.7, "theta": 0.5}

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """Starts with the core's half width, for several slopes."""
        half = HWHM * core.width
        sizes = [(b, half * k / np.sqrt(2.0 ** (1 / (3 * b - 0.5)) - 1.0)) for b in (0.5, 0.7, 1.2) for k in (0.5, 0.7, 0.85, 1.0)]
        return [core.ellipse(r_core=size, beta=b) for b, size in sizes]
