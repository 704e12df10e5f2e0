"""A ripple: circular waves that die away."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .family import Surface
from .frequencies import explained, peaks, refined, scaled, spectrum

_POINTS = 500
_MOST_PLACES = 20


def ripple2d(x, y, height, x0, y0, wavelength, decay, phase):
    r"""
    Ripple: circular waves around a centre that die away outwards.

    .. math:: z = h\, e^{-r/L} \cos(2\pi r/\lambda + \varphi), \qquad r^2 = (x - x_0)^2 + (y - y_0)^2

    Parameters
    ----------
    x, y : array_like, shape (ny, nx) or broadcastable
        Coordinates [unit of x]; both in the same unit.
    height : float
        Size h of the waves, extrapolated to the centre [data unit]. Linear.
    x0, y0 : float
        Centre [unit of x].
    wavelength : float
        Distance of the crests [unit of x]; > 0.
    decay : float
        Distance L over which the waves become smaller by a factor e [unit of x]; > 0.
    phase : float
        Phase at the centre [rad]; 0 for a crest there.

    Returns
    -------
    ndarray, shape of ``x + y``
        Values [data unit].

    Notes
    -----
    The centre is a cusp, where derivatives by the position are taken as 0. (height, phase) and (-height, phase + pi) are the same
    surface; a guess has height >= 0 and -pi < phase <= pi. Waves on water in two dimensions become smaller by 1/sqrt(r) even
    without damping, which this does not describe near the centre. Formula: a damped wave, [1]_, section 348.

    References
    ----------
    .. [1] H. Lamb, Hydrodynamics, 6th ed. (1932).

    Examples
    --------
    >>> import numpy as np
    >>> ripple2d(np.array([0.0, 1.0, 2.0]), 0.0, height=2, x0=0, y0=0, wavelength=2, decay=4, phase=0).round(6)
    array([ 2.      , -1.557602,  1.213061])
    """
    r = np.hypot(x - x0, y - y0)
    return height * (np.exp(-r / decay) * np.cos((2.0 * np.pi) * r / wavelength + phase))


class Ripple2D(Surface):
    """Circular waves that die away, `ripple2d`."""

    function = staticmethod(ripple2d)
    hints: ClassVar = {"wavelength": {"min": 0}, "decay": {"min": 0}}
    typical: ClassVar = {"height": 5.0, "x0": 18.3, "y0": 14.2, "wavelength": 8.0, "decay": 15.0, "phase": 0.7}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> list[dict[str, float]]:
        """Starts from a search for the centre, at the strongest wavelengths; see `Surface.starts`."""
        x, y = coords
        data = scaled(z, x, y)
        few = scaled(z, x, y, _POINTS)
        size = max(few.half)
        px, py = few.x * few.half[0], few.y * few.half[1]
        out = []

        def score(p: np.ndarray) -> float:
            return explained(_columns(px, py, p, size), few.z)[0]

        found = [(*_centre(px, py, few.z, k, few.half, size), k) for k in _wavenumbers(data, x, y)]
        for _, place, k in sorted(found, key=lambda one: -one[0])[:3]:
            for decay in (1.0, 0.3):
                step = np.array([0.5 / k, 0.5 / k, 0.1 * k, 0.4])
                _, p = refined(score, np.array([*place, k, np.log(decay)]), step, 7)
                _, (c, s) = explained(_columns(px, py, p, size), few.z)
                out.append({
                    "x0": float(p[0] + few.mid[0]), "y0": float(p[1] + few.mid[1]), "wavelength": float(2 * np.pi / abs(p[2])),
                    "decay": float(size * np.exp(p[3])), "phase": float(np.arctan2(-s, c)),
                })  # fmt: skip
        return out


def _wavenumbers(data, x, y) -> list[float]:
    """Wave numbers where rings around the origin of the spectrum are strong."""
    power, kx, ky = spectrum(data, x, y)
    # the frame of the spectrum has its own unit for each coordinate
    k = np.hypot(kx[:, None] / data.half[0], ky[None, :] / data.half[1])
    step = 0.5 * np.pi / max(data.half)
    last = int(min(kx[-1] / data.half[0], ky[-1] / data.half[1]) / step)
    ring = np.minimum(k / step + 0.5, last + 1).astype(int)
    total = np.bincount(ring.ravel(), power.ravel())[: last + 1]
    number = np.bincount(ring.ravel())[: last + 1]
    # a wave is narrow along k and wide around: the sum of a ring is what it holds
    mean = total / np.sqrt(np.maximum(number, 1))
    found = peaks(mean[2:, None], 4) if mean.size > 4 else []
    return [step * (i + 2) for i, _ in found] or [step * 2]


def _centre(px: np.ndarray, py: np.ndarray, z: np.ndarray, k: float, half: tuple[float, float], size: float) -> tuple[float, np.ndarray]:
    """How much circular waves of a wave number explain, and around which place they explain most."""
    count = [int(np.clip(np.ceil(2 * h * k / 1.2), 5, _MOST_PLACES)) for h in half]
    best = (-1.0, np.zeros(2))
    for a in np.linspace(-half[0], half[0], count[0]):
        b = np.linspace(-half[1], half[1], count[1])[:, None]
        r = np.hypot(px - a, py - b)
        fade = np.exp(-r / size)
        angle = k * r
        c, s = fade * np.cos(angle), fade * np.sin(angle)
        cc, ss, cs = (c * c).sum(1), (s * s).sum(1), (c * s).sum(1)
        cz, sz = c @ z, s @ z
        det = np.maximum(cc * ss - cs * cs, 1e-12 * cc * ss)
        value = (cz * cz * ss - 2 * cz * sz * cs + sz * sz * cc) / det
        j = int(np.argmax(value))
        if value[j] > best[0]:
            best = (float(value[j]), np.array([a, b[j, 0]]))
    return best


def _columns(px: np.ndarray, py: np.ndarray, p: np.ndarray, size: float) -> list[np.ndarray]:
    r = np.hypot(px - p[0], py - p[1])
    fade = np.exp(-r / (size * np.exp(np.clip(p[3], -4, 4))))
    return [fade * np.cos(p[2] * r), fade * np.sin(p[2] * r)]
