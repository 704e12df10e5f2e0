"""Data sets of equal length side by side: what array arithmetic needs where a kernel takes one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .cube import Rows

__all__ = ["Stack", "padded", "stacks", "take"]

CHUNK = 512  # data sets at a time, so that their arrays stay in the cache
NUMBERS = 1_000_000  # in the derivatives of a chunk, where data sets are long


@dataclass(frozen=True, eq=False)
class Stack:
    """
    Data sets of one length.

    Attributes
    ----------
    index : ndarray of int, shape (n,)
        Which data sets of the block these are.
    y, w : ndarray, shape (n, D)
        Data and 1/sigma, 0 where excluded.
    x : tuple of ndarray, shape (D,) or (n, D)
        Coordinates.
    hole : ndarray of bool, shape (n, D), or None
        Where w is 0; None if nowhere.
    """

    index: np.ndarray
    y: np.ndarray
    w: np.ndarray
    x: tuple[np.ndarray, ...]
    hole: np.ndarray | None

    def take(self, which: np.ndarray) -> Stack:
        """Some of the data sets."""
        x = tuple(a if a.ndim == 1 else a[which] for a in self.x)
        return Stack(self.index[which], self.y[which], self.w[which], x, None if self.hole is None else self.hole[which])


def padded(length: np.ndarray) -> np.ndarray:
    """
    Length to which a data set is filled up with points of weight 0: the next of a fixed ladder.

    It depends on the data set alone, because a sum over more zeros may round differently.
    """
    step = np.maximum(1, 2 ** np.floor(np.log2(np.maximum(length, 1)) - 3)).astype(np.int64)
    return np.asarray(-(-length // step) * step)


def stacks(rows: Rows, width: int, which: np.ndarray | None = None) -> Iterator[Stack]:
    """
    The data sets of a block that may be fitted, by length, in chunks.

    Parameters
    ----------
    rows : Rows
    width : int
        Numbers per point that will be held: parameters, or candidates.
    which : ndarray of int, optional
        Only these; default: all with `Rows.status` 0.
    """
    lengths = np.diff(rows.offsets)
    if which is None:
        which = np.flatnonzero(rows.status == 0)
    whole = padded(lengths[which])
    if rows.shared and len(lengths):
        whole[:] = lengths[0]
    for D in np.unique(whole).tolist():
        members = which[whole == D]
        size = max(1, min(CHUNK, NUMBERS // max(1, D * width)))
        for first in range(0, len(members), size):
            yield _gather(rows, members[first : first + size], D)


def _gather(rows: Rows, index: np.ndarray, D: int) -> Stack:
    lengths = rows.offsets[index + 1] - rows.offsets[index]
    inside = np.minimum(np.arange(D), np.maximum(lengths, 1)[:, None] - 1)  # beyond its end: the last point again
    at = rows.offsets[index, None] + inside
    empty = lengths == 0
    if empty.any():
        at[empty] = 0
    beyond = np.arange(D) >= lengths[:, None]
    if len(rows.y):
        y, w = rows.y[at], rows.w[at]
    else:
        y, w = np.zeros(at.shape), np.zeros(at.shape)
    y[beyond] = w[beyond] = 0.0
    if rows.shared:
        x = tuple(rows.x[j, :D] for j in range(len(rows.x)))
    else:
        at = rows.x_offsets[index, None] + inside
        at[empty] = 0
        x = tuple(rows.x[j][at] for j in range(len(rows.x)))
    hole = w == 0
    return Stack(index, y, w, x, hole if hole.any() else None)


def take(rows: Rows, which: np.ndarray, y: np.ndarray | None = None, w: np.ndarray | None = None) -> Rows:
    """
    Some data sets of a block as a block of their own.

    Parameters
    ----------
    rows : Rows
    which : ndarray of int
        Their numbers in the block.
    y, w : ndarray, optional
        Data and weights in place of the block's, same layout.
    """
    y, w = rows.y if y is None else y, rows.w if w is None else w
    lengths = (rows.offsets[1:] - rows.offsets[:-1])[which]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at = np.repeat(rows.offsets[which] - offsets[:-1], lengths) + np.arange(offsets[-1])
    if rows.shared:
        x, x_offsets = rows.x, np.zeros(len(which), dtype=np.int64)
    else:
        x, x_offsets = rows.x[:, np.repeat(rows.x_offsets[which] - offsets[:-1], lengths) + np.arange(offsets[-1])], offsets[:-1]
    return Rows(y[at], w[at], x, offsets, x_offsets, rows.status[which])
