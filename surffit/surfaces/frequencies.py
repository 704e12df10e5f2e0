"""Frequencies in data at any points: a coarse spectrum, and its strongest entries refined by least squares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..solve.rough import some

_POINTS, _FINE_POINTS = 4000, 1200
# most half periods across the data that are looked for
_HIGHEST = 128
_PEAKS = 6


class Spectrum(NamedTuple):
    """Squares of the Fourier sums at a grid of frequencies, from points brought to -1...1."""

    power: np.ndarray
    kx: np.ndarray
    ky: np.ndarray


class Scaled(NamedTuple):
    """Data and coordinates with the middle of the data as origin and half their extent as unit."""

    z: np.ndarray
    x: np.ndarray
    y: np.ndarray
    mid: tuple[float, float]
    half: tuple[float, float]


def scaled(z: np.ndarray, x: np.ndarray, y: np.ndarray, most: int = _POINTS) -> Scaled:
    """A sample of the data in the frame that spectra use; wild values brought in to the usual ones."""
    mid = (0.5 * float(x.min() + x.max()), 0.5 * float(y.min() + y.max()))
    half = (0.5 * float(np.ptp(x)) or 1.0, 0.5 * float(np.ptp(y)) or 1.0)
    rows = some(np.arange(z.size), most)
    low, high = np.quantile(z, (0.02, 0.98))
    room = 0.2 * (high - low)
    return Scaled(np.clip(z, low - room, high + room)[rows], (x[rows] - mid[0]) / half[0], (y[rows] - mid[1]) / half[1], mid, half)


def spectrum(data: Scaled, full: np.ndarray, other: np.ndarray) -> Spectrum:
    """
    Power at frequencies up to what the density of the points allows.

    Parameters
    ----------
    data : Scaled
    full, other : ndarray, shape (n,)
        All x and y, whose density limits the frequencies.

    Returns
    -------
    Spectrum
        For kx >= 0 and ky of both signs.
    """
    step = 0.5 * np.pi
    count = [_different(v) for v in (full, other)]
    kx = step * np.arange(min(count[0], _HIGHEST) + 1)
    ky = step * np.arange(-min(count[1], _HIGHEST), min(count[1], _HIGHEST) + 1)
    z = data.z - data.z.mean()
    sums = (np.exp(1j * np.outer(kx, data.x)) * z) @ np.exp(1j * np.outer(data.y, ky))
    return Spectrum(np.abs(sums) ** 2, kx, ky)


def _different(values: np.ndarray) -> int:
    """How many values a coordinate takes on a grid; for scattered points, on a grid as dense."""
    number = np.unique(values[: 4 * _POINTS]).size if values.size <= 4 * _POINTS else np.unique(values).size
    return int(min(number, max(2.0 * np.sqrt(values.size), 4)))


def peaks(power: np.ndarray, most: int = _PEAKS) -> list[tuple[int, int]]:
    """Places of the highest local maxima."""
    padded = np.pad(power, 1, constant_values=-1.0)
    rows, cols = power.shape
    around = [padded[1 + i : 1 + i + rows, 1 + j : 1 + j + cols] for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    top = np.where(np.all([power >= a for a in around], axis=0), power, -1.0)
    order = np.argsort(top, axis=None)[::-1][:most]
    return [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, top.shape), strict=True) if top[i, j] >= 0]


def explained(columns: Sequence[np.ndarray], z: np.ndarray) -> tuple[float, np.ndarray]:
    """How much of the squares of z the columns explain, and their coefficients."""
    A = np.stack(columns)
    gram = A @ A.T
    right = A @ z
    c = np.linalg.solve(gram + 1e-9 * np.trace(gram) * np.eye(len(A)) + 1e-300 * np.eye(len(A)), right)
    return float(c @ right), c


def refined(score: Callable[[np.ndarray], float], at: np.ndarray, step: np.ndarray, rounds: int = 6) -> tuple[float, np.ndarray]:
    """Climb on a pattern whose step is halved each time nothing is better."""
    best = score(at)
    for _ in range(rounds):
        for _ in range(4):
            moved = False
            for j in range(at.size):
                for sign in (1.0, -1.0):
                    trial = at.copy()
                    trial[j] += sign * step[j]
                    value = score(trial)
                    if value > best:
                        best, at, moved = value, trial, True
                        break
            if not moved:
                break
        step = 0.5 * step
    return best, at


def _fine(data: Scaled) -> Scaled:
    rows = some(np.arange(data.z.size), _FINE_POINTS)
    return data._replace(z=data.z[rows], x=data.x[rows], y=data.y[rows])


def plane_starts(z: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
    """
    Starts of a plane wave, `PlaneWave2D.starts`.

    Parameters
    ----------
    z, x, y : ndarray, shape (n,)

    Returns
    -------
    list of dict
    """
    data = scaled(z, x, y)
    power = spectrum(data, x, y)
    few = _fine(data)

    def columns(k: np.ndarray) -> list[np.ndarray]:
        angle = k[0] * few.x + k[1] * few.y
        return [np.cos(angle), np.sin(angle)]

    out = []
    for i, j in peaks(power.power):
        _, k = refined(lambda k: explained(columns(k), few.z)[0], np.array([power.kx[i], power.ky[j]]), np.full(2, 0.25 * np.pi))
        _, (c, s) = explained(columns(k), few.z)
        kx, ky = k[0] / data.half[0], k[1] / data.half[1]
        phase = np.arctan2(-s, c) - kx * data.mid[0] - ky * data.mid[1]
        if kx < 0:
            kx, ky, phase = -kx, -ky, -phase
        out.append({"kx": float(kx), "ky": float(ky), "phase": _turn(phase)})
    return out


def standing_starts(z: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
    """
    Starts of a standing wave, `StandingWave2D.starts`.

    Parameters
    ----------
    z, x, y : ndarray, shape (n,)

    Returns
    -------
    list of dict
    """
    data = scaled(z, x, y)
    power, kx, ky = spectrum(data, x, y)
    middle = ky.size // 2
    # both diagonals belong to one standing wave
    both = power[:, middle:] + power[:, middle::-1]
    few = _fine(data)

    def columns(k: np.ndarray) -> list[np.ndarray]:
        a, b = k[0] * few.x, k[1] * few.y
        return [f(a) * g(b) for f in (np.sin, np.cos) for g in (np.sin, np.cos)]

    out = []
    for i, j in peaks(both):
        _, k = refined(lambda k: explained(columns(k), few.z)[0], np.array([kx[i], ky[middle + j]]), np.full(2, 0.25 * np.pi))
        k = np.abs(k)
        _, c = explained(columns(k), few.z)
        # sin(a + p) sin(b + q) has coefficients (cos p, sin p) x (cos q, sin q)
        left, _, right = np.linalg.svd(c.reshape(2, 2))
        p, q = np.arctan2(left[1, 0], left[0, 0]), np.arctan2(right[0, 1], right[0, 0])
        px = _turn(p - k[0] / data.half[0] * data.mid[0])
        py = _turn(q - k[1] / data.half[1] * data.mid[1])
        if not -np.pi / 2 < py <= np.pi / 2:
            px, py = _turn(px + np.pi), _turn(py + np.pi)
        out.append({"kx": float(k[0] / data.half[0]), "ky": float(k[1] / data.half[1]), "phase_x": px, "phase_y": py})
    return out


def _turn(angle: float) -> float:
    """An angle above -pi and at most pi."""
    return float(angle - 2 * np.pi * np.ceil(angle / (2 * np.pi) - 0.5))
