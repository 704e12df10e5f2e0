"""Where a straight line crosses data: projections at many angles."""

from __future__ import annotations

import numpy as np

from ..solve.rough import some

_EDGE_POINTS, _RIDGE_POINTS = 1500, 4000
_EDGE_ANGLES, _RIDGE_ANGLES = 48, 90
_BOXES = (1, 2, 3, 5, 8, 13)


def best_edges(z: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float, float]]:
    """
    Lines that part the data into low and high.

    Parameters
    ----------
    z, x, y : ndarray, shape (n,)
        Data and coordinates, in any order.

    Returns
    -------
    list of (float, float, float)
        Distance from the origin, angle of the normal towards the higher side [rad], extent of the data along the normal; the best first.
    """
    rows = some(np.arange(z.size), _EDGE_POINTS)
    frame = _Frame(x, y)
    z, x, y = z[rows], *frame.scaled(x[rows], y[rows])
    # wild points count no more than the highest and lowest few per cent
    z = np.clip(z, *np.quantile(z, (0.03, 0.97)))
    n = z.size
    count = np.arange(1, n)

    def parted(theta: float) -> tuple[float, float, float, float]:
        s = x * np.cos(theta) + y * np.sin(theta)
        order = np.argsort(s, kind="stable")
        total = np.cumsum(z[order])
        # squares between the two sides of every possible edge
        between = (total[:-1] - total[-1] * count / n) ** 2 / (count * (n - count))
        k = int(np.argmax(between))
        falls = total[k] / (k + 1) > (total[-1] - total[k]) / (n - k - 1)
        d = 0.5 * float(s[order[k]] + s[order[k + 1]])
        return float(between[k]), -d if falls else d, theta + np.pi if falls else theta, float(np.ptp(s))

    if n < 2:
        return [(*frame.line(0.0, 0.0)[:2], 1.0)]
    step = np.pi / _EDGE_ANGLES
    best = max(parted(k * step) for k in range(_EDGE_ANGLES))
    fine = max(parted(best[2] + k * step / 5) for k in range(-4, 5))
    d, theta, unit = frame.line(fine[1], fine[2])
    return [(d, theta, fine[3] * unit)]


def best_ridges(z: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float, float]]:
    """
    Lines along which the data stand out, up or down.

    Parameters
    ----------
    z, x, y : ndarray, shape (n,)
        Data and coordinates, in any order.

    Returns
    -------
    list of (float, float, float)
        Distance from the origin, angle of the normal above -pi/2 and at most pi/2 [rad], width (standard deviation).
    """
    rows = some(np.arange(z.size), _RIDGE_POINTS)
    frame = _Frame(x, y)
    z, x, y = z[rows], *frame.scaled(x[rows], y[rows])
    z = np.clip(z, *np.quantile(z, (0.01, 0.99))) - np.median(z)
    reach = float(np.sqrt(2.0))
    bins = int(np.clip(1.2 * np.sqrt(z.size), 8, 96))

    def crest(theta: float) -> tuple[float, float, float, float]:
        s = x * np.cos(theta) + y * np.sin(theta)
        place = np.minimum((0.5 * bins * (s / reach + 1.0)).astype(int), bins - 1)
        total = np.concatenate([[0.0], np.cumsum(np.bincount(place, z, bins))])
        number = np.concatenate([[0.0], np.cumsum(np.bincount(place, None, bins))])
        out = (-1.0, 0.0, theta, reach)
        for b in _BOXES:
            if b > bins // 2:
                break
            score = np.abs(total[b:] - total[:-b]) / np.sqrt(np.maximum(number[b:] - number[:-b], 1.0) + 3.0)
            k = int(np.argmax(score))
            if score[k] > out[0]:
                out = (float(score[k]), reach * ((2.0 * k + b) / bins - 1.0), theta, 2.0 * reach * b / bins / 2.8)
        return out

    step = np.pi / _RIDGE_ANGLES
    best = max(crest(k * step) for k in range(_RIDGE_ANGLES))
    for part in (3, 9):
        best = max(crest(best[2] + k * step / part) for k in range(-2, 3))
    d, theta, unit = frame.line(best[1], best[2])
    if not -np.pi / 2 < theta <= np.pi / 2:
        d, theta = -d, _turn(theta + np.pi)
    return [(d, theta, best[3] * unit)]


class _Frame:
    """Coordinates scaled to -1...1, where angles are spread evenly whatever the units, and lines back in the data's own."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.mid = (0.5 * float(x.min() + x.max()), 0.5 * float(y.min() + y.max()))
        self.half = (0.5 * float(np.ptp(x)) or 1.0, 0.5 * float(np.ptp(y)) or 1.0)

    def scaled(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (x - self.mid[0]) / self.half[0], (y - self.mid[1]) / self.half[1]

    def line(self, distance: float, theta: float) -> tuple[float, float, float]:
        """Distance, angle and unit of length along the normal, in the data's coordinates."""
        a, b = np.cos(theta) / self.half[0], np.sin(theta) / self.half[1]
        unit = 1.0 / float(np.hypot(a, b))
        return float(distance + a * self.mid[0] + b * self.mid[1]) * unit, _turn(float(np.arctan2(b, a))), unit


def _turn(theta: float) -> float:
    """An angle above -pi and at most pi."""
    return float(theta - 2 * np.pi * np.ceil(theta / (2 * np.pi) - 0.5))
