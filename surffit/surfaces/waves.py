"""Waves: travelling plane ones and standing ones."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .family import Surface
from .frequencies import plane_starts, standing_starts


def plane_wave2d(x, y, height, kx, ky, phase):
    r"""
    Plane wave, as it stands at one moment: straight parallel crests.

    .. math:: z = h \cos(k_x x + k_y y + \varphi)

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x, unit of y].
    height : float
        Value h on the crests [data unit]. Linear.
    kx, ky : float
        Wave vector [rad / unit of x, rad / unit of y]; the wavelength is 2 pi / hypot(kx, ky).
    phase : float
        Phase at the origin [rad].

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    One of the coordinates may be the time: then its k is the angular frequency, negative for a wave that travels towards larger
    values of the other. (kx, ky, phase) and (-kx, -ky, -phase) are the same surface, and so are (height, phase) and
    (-height, phase + pi); a guess has kx >= 0, height >= 0 and -pi < phase <= pi. If the data lie far from the origin, phase and
    wave vector are strongly correlated: shift the coordinates. Formula: [1]_, 1.3.

    References
    ----------
    .. [1] M. Born, E. Wolf, Principles of Optics, 7th ed. (1999).

    Examples
    --------
    >>> import numpy as np
    >>> plane_wave2d(np.array([0.0, 2.0, 4.0]), 0.0, height=2, kx=np.pi / 4, ky=1, phase=0).round(6) + 0.0
    array([ 2.,  0., -2.])
    """
    return height * np.cos(kx * x + ky * y + phase)


class PlaneWave2D(Surface):
    """Plane wave, `plane_wave2d`."""

    function = staticmethod(plane_wave2d)
    typical: ClassVar = {"height": 5.0, "kx": 0.5, "ky": 0.35, "phase": 0.7}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> list[dict[str, float]]:
        """Starts from the strongest frequencies; see `Surface.starts`."""
        return plane_starts(z, *coords)


def standing_wave2d(x, y, height, kx, ky, phase_x, phase_y):
    r"""
    Standing wave: a sine in x times a sine in y, as of a rectangular membrane.

    .. math:: z = h \sin(k_x x + \varphi_x)\, \sin(k_y y + \varphi_y)

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x, unit of y].
    height : float
        Value h of the highest points [data unit]. Linear.
    kx, ky : float
        Wave numbers [rad / unit of x, rad / unit of y]; >= 0. The wavelengths are 2 pi / kx and 2 pi / ky.
    phase_x, phase_y : float
        Phases at the origin [rad].

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    Adding pi to one phase changes the sign of `height`: a guess has height >= 0, -pi < phase_x <= pi and -pi/2 < phase_y <= pi/2. If
    the data lie far from the origin, phases and wave numbers are strongly correlated: shift the coordinates. Formula: [1]_, section 195.

    References
    ----------
    .. [1] Lord Rayleigh, The Theory of Sound, vol. 1, 2nd ed. (1894).

    Examples
    --------
    >>> import numpy as np
    >>> z = standing_wave2d(np.array([0.0, 2.0, 4.0]), 1.0, height=2, kx=np.pi / 4, ky=np.pi / 2, phase_x=0, phase_y=0)
    >>> z.round(6) + 0.0
    array([0., 2., 0.])
    """
    return height * (np.sin(kx * x + phase_x) * np.sin(ky * y + phase_y))


class StandingWave2D(Surface):
    """Standing wave, `standing_wave2d`."""

    function = staticmethod(standing_wave2d)
    hints: ClassVar = {"kx": {"min": 0}, "ky": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "kx": 0.5, "ky": 0.35, "phase_x": 0.7, "phase_y": -0.4}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> list[dict[str, float]]:
        """Starts from the strongest pairs of frequencies; see `Surface.starts`."""
        return standing_starts(z, *coords)
