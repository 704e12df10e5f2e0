"""
Where the data sets lie: views of what the user handed in, and the gathering of one block of them.

Nothing is copied but one block at a time, and that copy does everything at once: byte order, number type, masks, order of axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...solve.status import Status
from .slabs import Block, slabs

__all__ = ["Cube", "Rows", "Source"]


@dataclass(frozen=True, eq=False)
class Rows:
    """
    The data sets of a block one after the other, ready for a kernel.

    Attributes
    ----------
    y, w : ndarray, shape (points,)
        Data and 1/sigma, float64; both 0 where a point is excluded. `w` is never None.
    x : ndarray, shape (number of coordinates, points or those of one data set)
        Coordinates in the order of the source.
    offsets : ndarray of int64, shape (n + 1,)
        Data set q has the points ``offsets[q]:offsets[q + 1]``.
    x_offsets : ndarray of int64, shape (n,)
        Its coordinates begin here in `x`; all 0 where the data sets share them.
    status : ndarray of uint32, shape (n,)
        Flags of data sets that must not be fitted (NONFINITE_DATA), 0 for the others.
    """

    y: np.ndarray
    w: np.ndarray
    x: np.ndarray
    offsets: np.ndarray
    x_offsets: np.ndarray
    status: np.ndarray

    @property
    def size(self) -> int:
        """Number of data sets."""
        return len(self.x_offsets)

    @property
    def shared(self) -> bool:
        """Whether all data sets have the same coordinates (and so as many points)."""
        return not self.x_offsets.any()


class Source(Protocol):
    """What the engines see of the data, be they a cube or the groups of a table."""

    @property
    def n_sets(self) -> int: ...
    @property
    def longest(self) -> int: ...
    def blocks(self, size: int) -> list[Block]: ...
    def rows(self, block: Block) -> Rows: ...


@dataclass(frozen=True, eq=False)
class Cube:
    """
    Many data sets in one array.

    All arrays are views of shape ``map_shape + fit_shape`` on what came in, with stride 0 where something is the same for all.

    Attributes
    ----------
    y : ndarray of any number type, byte order and strides
        Data.
    error : ndarray or None
        sigma, or 1/sigma if `inverse`.
    inverse : bool
        Whether `error` holds weights.
    mask : ndarray of bool or None
        True = excluded.
    coords : tuple of ndarray
        Coordinates; float64 where the data sets share them, any real type where not.
    ndim : int
        Number of map axes, which come first.
    omit : bool
        Whether points that are not finite are left out; otherwise their data set is.
    """

    y: np.ndarray
    error: np.ndarray | None
    inverse: bool
    mask: np.ndarray | None
    coords: tuple[np.ndarray, ...]
    ndim: int
    omit: bool = False

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Shape of the maps: one element per data set."""
        return self.y.shape[: self.ndim]

    @property
    def fit_shape(self) -> tuple[int, ...]:
        """Shape of one data set."""
        return self.y.shape[self.ndim :]

    @property
    def n_sets(self) -> int:
        """Number of data sets."""
        return math.prod(self.map_shape)

    @property
    def longest(self) -> int:
        """Points of the longest data set."""
        return math.prod(self.fit_shape)

    def is_shared(self, array: np.ndarray) -> bool:
        """Whether an array is the same for all data sets."""
        return all(n == 1 or stride == 0 for n, stride in zip(array.shape[: self.ndim], array.strides, strict=False))

    @property
    def shared_coords(self) -> bool:
        """Whether all data sets have the same coordinates."""
        return all(self.is_shared(x) for x in self.coords)

    def line(self, array: np.ndarray) -> np.ndarray:
        """What a shared array holds for each data set, 1-D float64."""
        return np.array(array[(0,) * self.ndim], dtype=float).reshape(-1)

    def blocks(self, size: int) -> list[Block]:
        """The data sets in blocks of at most `size`."""
        return slabs(self.map_shape, size)

    def rows(self, block: Block) -> Rows:
        """Gather one block: points of a data set side by side."""
        n, D = block.size, self.longest
        y = np.empty((n, D))
        w = np.ones((n, D))
        whole: Any = (*block.index, ...)
        piece = self.y[whole]
        y.reshape(piece.shape)[...] = piece
        if self.error is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                w.reshape(piece.shape)[...] = self.error[whole]
                # what is no error at all (negative, nan) is a fault of its data set
                w = np.where(w >= 0, w, np.nan) if self.inverse else np.where(w > 0, 1.0 / w, np.nan)
        status = np.zeros(n, dtype=np.uint32)
        out = w == 0
        if self.mask is not None:
            out |= self.mask[whole].reshape(n, D)
        x, x_offsets = self._coordinates(block)
        bad = ~np.isfinite(y) | ~np.isfinite(w)
        if not np.isfinite(x).all():
            bad |= ~np.isfinite(x).all(axis=0).reshape(-1, D)
            x = np.where(np.isfinite(x), x, 0.0)
        bad &= ~out
        if bad.any():
            if not self.omit:
                status[bad.any(axis=1)] = Status.NONFINITE_DATA
            out |= bad
        if out.any():
            y[out] = 0.0
            w[out] = 0.0
        return Rows(y.reshape(-1), w.reshape(-1), x, np.arange(n + 1, dtype=np.int64) * D, x_offsets, status)

    def _coordinates(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        n, D = block.size, self.longest
        if self.shared_coords:
            lines = [self.line(x) for x in self.coords]
            return (np.array(lines) if lines else np.empty((0, D))), np.zeros(n, dtype=np.int64)
        whole: Any = (*block.index, ...)
        gathered = [np.array(x[whole], dtype=float).reshape(-1) for x in self.coords]
        return np.array(gathered), np.arange(n, dtype=np.int64) * D


def moved(array: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """A view with the fit axes last, in the order in which they stand."""
    return np.moveaxis(array, tuple(axes), tuple(range(array.ndim - len(axes), array.ndim)))
