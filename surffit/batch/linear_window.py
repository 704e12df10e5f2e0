"""Where the numbers of a block lie in memory, so that a kernel reads them in place whatever the order of the axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .slabs import Block

__all__ = ["Window", "window"]

# what the kernels read as it is; anything else is converted, one block at a time
NATIVE = frozenset({"f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"})
FLOATS = frozenset({"f4", "f8"})


@dataclass(frozen=True, eq=False)
class Window:
    """
    A block of an array: element (q, d) is ``base[lanes[q] + points[d]]``.

    Attributes
    ----------
    base : ndarray, 1-D, native, read-only
        Memory from the first to the last element of the block.
    lanes, points : ndarray of int64
        Offsets in elements of the data sets and of the points.
    """

    base: np.ndarray
    lanes: np.ndarray
    points: np.ndarray

    def take(self, sets: np.ndarray) -> np.ndarray:
        """Some data sets, shape (sets, points)."""
        return np.asarray(self.base[self.lanes[sets][:, None] + self.points])

    def at(self, used: np.ndarray) -> Window:
        """Some of the points only."""
        return Window(self.base, self.lanes, self.points[used])


def window(array: np.ndarray, block: Block, ndim: int, accepted: frozenset[str] = NATIVE) -> Window:
    """
    Look at a block of an array without copying it; foreign byte orders and number types are converted.

    Parameters
    ----------
    array : ndarray, shape map + fit
        Any strides, 0 and negative ones included.
    block : Block
    ndim : int
        Number of map axes.
    accepted : frozenset of str
        Number types that need no conversion.
    """
    index: Any = (*block.index, ...)
    piece = np.asarray(array)[index]
    if piece.dtype.kind == "b":
        piece = piece.view(np.uint8)
    size = piece.itemsize
    native = piece.dtype.isnative and piece.dtype.str[1:] in accepted and piece.flags.aligned
    if not native or any(stride % size for stride in piece.strides):
        kind = piece.dtype.str[1:]
        target = np.dtype(kind) if kind in accepted else np.dtype(float)
        # a stride of 0 (the same number for all) stays one
        thin = piece[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in piece.strides)]
        piece, size = np.broadcast_to(thin.astype(target, order="K"), piece.shape), target.itemsize
    backwards = tuple(slice(None, None, -1) if stride < 0 else slice(None) for stride in piece.strides)
    span = sum((n - 1) * abs(stride) for n, stride in zip(piece.shape, piece.strides, strict=True)) // size + 1
    base = np.lib.stride_tricks.as_strided(piece[backwards], (span,), (size,), writeable=False)
    shape, steps = piece.shape, [stride // size for stride in piece.strides]
    return Window(base, _offsets(shape[:ndim], steps[:ndim]), _offsets(shape[ndim:], steps[ndim:]))


def _offsets(shape: tuple[int, ...], steps: list[int]) -> np.ndarray:
    """Offsets of all elements in C order, counted from the lowest address."""
    offsets = np.zeros((), dtype=np.int64)
    for n, step in zip(shape, steps, strict=True):
        along = np.arange(n, dtype=np.int64) * step
        offsets = offsets[..., None] + (along if step >= 0 else along - (n - 1) * step)
    return offsets.reshape(-1)
