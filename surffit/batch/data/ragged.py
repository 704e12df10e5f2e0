"""Data sets of unequal length, one after the other: the groups of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...solve.status import Status
from .cube import Rows
from .slabs import Block

__all__ = ["Ragged", "ragged"]

# points of a block, unless one data set alone has more
POINTS = 1 << 18


@dataclass(frozen=True, eq=False)
class Ragged:
    """
    Many data sets, their points in flat arrays; every one has coordinates of its own.

    Attributes
    ----------
    y, w : ndarray, shape (points,)
        Data and 1/sigma, float64; both 0 where a point is excluded.
    x : ndarray, shape (number of coordinates, points)
        Coordinates, 0 where they are not finite (at excluded points only).
    offsets : ndarray of int64, shape (n_sets + 1,)
        Data set q has the points ``offsets[q]:offsets[q + 1]``.
    status : ndarray of uint32, shape (n_sets,)
        NONFINITE_DATA where a data set must not be fitted, else 0.
    weighted : bool
        Whether errors were given.
    """

    y: np.ndarray
    w: np.ndarray
    x: np.ndarray
    offsets: np.ndarray
    status: np.ndarray
    weighted: bool

    @property
    def n_sets(self) -> int:
        """Number of data sets."""
        return len(self.status)

    @property
    def lengths(self) -> np.ndarray:
        """Points of each data set, excluded ones too."""
        return np.diff(self.offsets)

    @property
    def longest(self) -> int:
        """Points of the longest data set."""
        return int(self.lengths.max(initial=0))

    def blocks(self, size: int, points: int = POINTS) -> list[Block]:
        """The data sets in runs of at most `size`, and of at most `points` points where that is more than one."""
        out: list[Block] = []
        start = 0
        while start < self.n_sets:
            full = int(np.searchsorted(self.offsets, self.offsets[start] + points, side="right")) - 1
            stop = min(start + size, self.n_sets, max(full, start + 1))
            out.append(Block(start, stop))
            start = stop
        return out

    def rows(self, block: Block) -> Rows:
        """The data sets of a block: copies, so that an engine may write into them."""
        first, last = int(self.offsets[block.start]), int(self.offsets[block.stop])
        offsets = self.offsets[block.start : block.stop + 1] - first
        cut = slice(first, last)
        status = self.status[block.start : block.stop].copy()
        return Rows(self.y[cut].copy(), self.w[cut].copy(), self.x[:, cut].copy(), offsets, offsets[:-1].copy(), status)


def ragged(
    y: np.ndarray,
    coords: Sequence[np.ndarray],
    offsets: np.ndarray,
    *,
    sigma: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    omit: bool = False,
) -> Ragged:
    """
    Check and lay out data sets of unequal length.

    Parameters
    ----------
    y : ndarray of any real type, shape (points,)
        Data, the data sets one after the other.
    coords : sequence of ndarray, shape (points,)
        Coordinates.
    offsets : ndarray of int, shape (n_sets + 1,)
        Where each data set begins; the last one is the number of points. No data set is empty.
    sigma, weights : ndarray, shape (points,), optional
        Errors of the data or their inverse, at most one of the two. Infinite errors and weights of 0 exclude a point; what is no
        error (nan, negative, a sigma of 0) takes its data set out, as in a single fit.
    mask : ndarray of bool, shape (points,), optional
        True = excluded, whatever else stands there.
    omit : bool
        Leave out points where data or coordinates are not finite, instead of their data sets.

    Examples
    --------
    >>> sets = ragged(np.array([1.0, 2.0, np.nan, 4.0]), [np.arange(4.0)], np.array([0, 2, 4]))
    >>> sets.n_sets, sets.longest, sets.status.tolist()
    (2, 2, [0, 256])
    """
    data = np.array(y, dtype=float)
    n = len(data)
    out = np.zeros(n, dtype=bool) if mask is None else np.array(mask, dtype=bool)
    wrong = None
    if sigma is not None or weights is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            w = np.array(weights, dtype=float) if sigma is None else 1.0 / np.asarray(sigma, dtype=float)
        fine = (w >= 0) & np.isfinite(w)
        if sigma is not None:
            fine &= ~np.signbit(w)  # 1 / -inf
        wrong = ~fine & ~out
        out |= w == 0
    else:
        w = np.ones(n)
    x = np.array(coords, dtype=float).reshape(len(coords), n)
    bad = ~np.isfinite(data)
    finite = np.isfinite(x)
    if not finite.all():
        bad |= ~finite.all(axis=0)
        x[~finite] = 0.0
    bad &= ~out
    out |= bad
    status = np.zeros(len(offsets) - 1, dtype=np.uint32)
    if omit:
        bad = np.zeros(n, dtype=bool)
    if wrong is not None:
        bad |= wrong
        out |= wrong
    if bad.any():
        status[np.logical_or.reduceat(bad, offsets[:-1])] = Status.NONFINITE_DATA
    if out.any():
        data[out] = 0.0
        w[out] = 0.0
    return Ragged(data, w, x, np.asarray(offsets, dtype=np.int64), status, sigma is not None or weights is not None)
