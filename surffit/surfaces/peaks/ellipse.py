"""What all peaks share: a guess through the Gaussian core, an elliptical Gaussian fitted roughly where the data stand out most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...solve.rough import some
from ..family import Surface

# half width at half maximum of a Gaussian of unit width
HWHM = float(np.sqrt(2.0 * np.log(2.0)))
_BOXES = (1, 2, 3, 4, 6, 9, 13, 19, 28, 41)
_MOST_BINS = 64
_WINDOW = 500
_STEPS = 6
# points that tell what is usual
_USUAL = 6000


@dataclass(frozen=True)
class Core:
    """
    An elliptical Gaussian that describes the middle of a peak.

    Attributes
    ----------
    x0, y0 : float
        Centre.
    width, q : float
        Standard deviation along the major axis; minor over major axis, at most 1.
    theta : float
        Angle of the major axis, above -pi/2 and at most pi/2.
    height : float
        Of either sign.
    gain : float
        By how much it lessens the squares of the residuals (limited ones).
    """

    x0: float
    y0: float
    width: float
    q: float
    theta: float
    height: float
    gain: float

    def ellipse(self, **shape: float) -> dict[str, float]:
        """Starts of position and direction, with those of the shape."""
        return {"x0": self.x0, "y0": self.y0, "q": self.q, "theta": self.theta, **shape}


class Peak(Surface):
    """A peak. A subclass says in `shapes` how its widths follow from those of a Gaussian core."""

    def shapes(self, core: Core) -> list[dict[str, float]]:
        """
        Starts of the searched parameters to choose from.

        Parameters
        ----------
        core : Core

        Returns
        -------
        list of dict
        """
        raise NotImplementedError

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> list[dict[str, float]]:
        """Starts from the Gaussian core that stands out most from the data; see `Surface.starts`."""
        return self.shapes(find_core(z, *coords))


def find_core(z: np.ndarray, x: np.ndarray, y: np.ndarray) -> Core:
    """
    The elliptical Gaussian that stands out most, of either sign.

    Parameters
    ----------
    z, x, y : ndarray, shape (n,)
        Data and coordinates, in any order.

    Returns
    -------
    Core

    Notes
    -----
    Means over boxes of all sizes show where and how broad it is (the highest mean in units of its error), then a Gaussian and a
    constant are fitted in a window around, with weights that let outliers go.
    """
    mid = np.array([0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())])
    half = np.array([0.5 * np.ptp(x) or 1.0, 0.5 * np.ptp(y) or 1.0])
    points = np.stack([(x - mid[0]) / half[0], (y - mid[1]) / half[1]])
    # a common unit keeps sums of squares of tiny or huge data finite
    unit = float(np.abs(z).max()) or 1.0
    z = z / unit
    found = [_refined(z, points, place, sigma) for place, sigma in _boxes(z, points)]
    centre, cov, height, gain = max(found, key=lambda one: one[3])
    cov = cov * np.outer(half, half)
    spread = float(np.sqrt(max(cov[0, 0], cov[1, 1])))
    lengths, axes = np.linalg.eigh(cov / spread**2)
    small, large = np.sqrt(np.maximum(lengths, 1e-8))
    theta = float(np.arctan2(axes[1, 1], axes[0, 1]))
    theta -= np.pi * np.ceil(theta / np.pi - 0.5)
    x0, y0 = centre * half + mid
    return Core(float(x0), float(y0), float(large * spread), float(small / large), theta, float(height * unit), float(gain))


def _boxes(z: np.ndarray, points: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Centre and width of the boxes whose means are farthest above and below the rest."""
    n = z.size
    usual = z[some(np.arange(n), _USUAL)]
    middle = float(np.median(usual))
    bins = int(np.clip(np.sqrt(n / 2), 3, _MOST_BINS))
    where = np.minimum((0.5 * bins * (points + 1.0)).astype(int), bins - 1)
    flat = where[1] * bins + where[0]
    number = _table(np.bincount(flat, None, bins * bins).reshape(bins, bins))
    found: list[tuple[np.ndarray, float]] = []
    # single wild points count no more than the fifth, or, if there are many, no more than the highest few per cent
    m = usual.size
    for k in sorted({min(5 + n // 1000, n - 1) * m // n, m // 40}):
        low, high = np.partition(usual, (k, m - 1 - k))[[k, m - 1 - k]]
        total = _table(np.bincount(flat, np.clip(z, low, high) - middle, bins * bins).reshape(bins, bins))
        signs = [_best_box(sign, total, number, bins) for sign in (1, -1)]
        top = max(value for value, _, _ in signs)
        for value, place, sigma in signs:
            if value >= 0.5 * top and not any(0.5 < sigma / s < 2.0 and np.hypot(*(place - p)) < max(s, sigma) for p, s in found):
                found.append((place, sigma))
    return found


def _table(counts: np.ndarray) -> np.ndarray:
    """Sums over all rectangles that begin in the corner."""
    return np.pad(np.cumsum(np.cumsum(counts, 0), 1), ((1, 0), (1, 0)))


def _best_box(sign: int, total: np.ndarray, number: np.ndarray, bins: int) -> tuple[float, np.ndarray, float]:
    """Score, centre and width of the best box of any size."""
    best = (-np.inf, np.zeros(2), 1.0)
    for b in _BOXES:
        if b > max(1, bins // 2):
            break
        inside, count = (t[b:, b:] - t[b:, :-b] - t[:-b, b:] + t[:-b, :-b] for t in (total, number))
        # a box of few points is worth a little less than its mean in units of its error
        score = sign * inside / np.sqrt(count + 3.0)
        j, i = np.unravel_index(int(np.argmax(score)), score.shape)
        if score[j, i] > best[0]:
            best = (float(score[j, i]), (np.array([i, j]) + 0.5 * b) * 2.0 / bins - 1.0, 2.0 * b / bins / 2.8)
    return best


def _refined(z: np.ndarray, points: np.ndarray, centre: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Centre, covariance, height and gain of a Gaussian and a constant fitted around a place."""
    finest = 0.2 * 2.0 / np.sqrt(z.size)
    precision = np.array([1.0, 0.0, 1.0]) / sigma**2
    p = np.array([*centre, *precision, 0.0, 0.0])
    gain = 0.0
    for reach in (3.5, 4.0, 4.0):
        inside = _exponent(p, points) < 0.5 * reach**2
        chosen = some(np.flatnonzero(inside), _WINDOW) if int(inside.sum()) >= 12 else _nearest(p, points)
        new, better = _walk(p, z[chosen], points[:, chosen])
        cov = _covariance(new)
        if cov is None or not np.all(np.abs(new[:2]) < 1.5):
            break
        size = np.sqrt(np.diag(cov))
        if size.max() > 3.0 or size.max() < finest:
            break
        before, p = p, new
        gain = better * max(int(inside.sum()), chosen.size) / chosen.size
        if reach > 3.5 and np.allclose(before[2:5], p[2:5], rtol=0.1, atol=0.03 * (p[2] + p[4])):
            break  # another window would be the same
    cov = _covariance(p)
    return p[:2], cov if cov is not None else np.eye(2) * sigma**2, float(p[5]), gain


def _nearest(p: np.ndarray, points: np.ndarray) -> np.ndarray:
    square = _exponent(p, points)
    return np.argsort(square, kind="stable")[: min(30, square.size)]


def _exponent(p: np.ndarray, points: np.ndarray) -> np.ndarray:
    dx, dy = points[0] - p[0], points[1] - p[1]
    out: np.ndarray = 0.5 * (p[2] * dx * dx + 2.0 * p[3] * dx * dy + p[4] * dy * dy)
    return out


def _covariance(p: np.ndarray) -> np.ndarray | None:
    det = p[2] * p[4] - p[3] ** 2
    if not (p[2] > 0 and det > 1e-6 * p[2] * p[4]):
        return None
    return np.array([[p[4], -p[3]], [-p[3], p[2]]]) / det


def _walk(p: np.ndarray, z: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, float]:
    """A few damped steps of centre, precision matrix, height and constant; and how much better than a constant that is."""
    flat = z - np.median(z)
    p = _heights(p, z, points)
    r = _residual(p, z, points)
    # noise from the start is too high where that is bad, and comes down on the way
    damping = 1e-2
    limit = np.inf
    for _ in range(_STEPS):
        limit = min(limit, _limit(r))
        w = 1.0 / (1.0 + np.square(r / limit))
        J = _slopes(p, points)
        H, g = (J * w) @ J.T, (J * w) @ r
        scale = np.sqrt(np.maximum(np.diag(H), 1e-300))
        cost = float(w @ np.square(r))
        for _ in range(4):
            step = np.linalg.solve(H / np.outer(scale, scale) + damping * np.eye(7), g / scale) / scale
            trial = p + step
            new = _residual(trial, z, points) if _covariance(trial) is not None else None
            if new is not None and float(w @ np.square(new)) < cost:
                slow = float(w @ np.square(new)) > 0.995 * cost
                p, r, damping = trial, new, damping * 0.2
                break
            damping *= 8.0
        else:
            break
        if slow:
            break
    limit = _limit(r)
    gain = float(np.sum(np.minimum(np.square(flat), (6 * limit) ** 2)) - np.sum(np.minimum(np.square(r), (6 * limit) ** 2)))
    return p, gain


def _limit(r: np.ndarray) -> float:
    return 3.0 * 1.4826 * float(np.median(np.abs(r))) or 1e-12


def _residual(p: np.ndarray, z: np.ndarray, points: np.ndarray) -> np.ndarray:
    out: np.ndarray = z - p[5] * np.exp(-_exponent(p, points)) - p[6]
    return out


def _heights(p: np.ndarray, z: np.ndarray, points: np.ndarray) -> np.ndarray:
    e = np.exp(-_exponent(p, points))
    columns = np.stack([e, np.ones_like(e)])
    return np.concatenate([p[:5], np.linalg.lstsq(columns.T, z, rcond=None)[0]])


def _slopes(p: np.ndarray, points: np.ndarray) -> np.ndarray:
    dx, dy = points[0] - p[0], points[1] - p[1]
    e = np.exp(-_exponent(p, points))
    he = p[5] * e
    by_precision = [-0.5 * he * dx * dx, -he * dx * dy, -0.5 * he * dy * dy]
    return np.stack([he * (p[2] * dx + p[3] * dy), he * (p[3] * dx + p[4] * dy), *by_precision, e, np.ones_like(e)])
