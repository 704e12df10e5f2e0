"""Where the numbers of a block lie in memory, so that a kernel reads them in place whatever the order of the axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.slabs import Block

__all__ = ["Field", "Window"]

# what the kernels read as it is; anything else is converted, one block at a time
NATIVE = frozenset({"f4", "f8", "i2", "u2"})
FLOATS = frozenset({"f4", "f8"})


@dataclass(frozen=True, eq=False)
class Window:
    """
    A block of an array: element (q, d) is ``base[lanes[q] + points[d]]``.

    Attributes
    ----------
    base : ndarray, 1-D, native
        Memory from the first element of the block on.
    lanes, points : ndarray of int64
        Offsets in elements of the data sets and of the points.
    together : bool
        Whether the data sets of the block lie side by side.
    """

    base: np.ndarray
    lanes: np.ndarray
    points: np.ndarray
    together: bool

    def take(self, sets: np.ndarray) -> np.ndarray:
        """Some data sets, shape (sets, points)."""
        return np.asarray(self.base[self.lanes[sets][:, None] + self.points])


class Field:
    """
    An array seen block by block; foreign byte orders and number types are converted, one block at a time.

    Parameters
    ----------
    array : ndarray, shape map + fit
        Any strides, 0 and negative ones included.
    ndim : int
        Number of map axes.
    used : ndarray of int
        Numbers of the points that are wanted.
    accepted : frozenset of str
        Number types that need no conversion.
    """

    def __init__(self, array: np.ndarray, ndim: int, used: np.ndarray, accepted: frozenset[str] = NATIVE) -> None:
        self._array = np.asarray(array)
        if self._array.dtype.kind == "b":
            self._array = self._array.view(np.uint8)
        dtype = self._array.dtype
        self.kind = dtype.str[1:] if dtype.str[1:] in accepted else "f8"
        self._ndim, self._used = ndim, used
        self._known: dict[tuple[int, ...], tuple[np.ndarray, bool]] = {}
        self._in_place = (
            self._array.size > 0
            and dtype.isnative
            and dtype.str[1:] == self.kind
            and self._array.flags.aligned
            and not any(stride % dtype.itemsize for stride in self._array.strides)
        )
        if self._in_place:
            self._look(self._array)

    def _look(self, array: np.ndarray) -> None:
        self._base, shape, self._steps = _flat(array), array.shape, [stride // array.itemsize for stride in array.strides]
        self._shape = shape
        self._points = _offsets(shape[self._ndim :], self._steps[self._ndim :])[self._used]

    def at(self, block: Block) -> Window:
        """The window of a block."""
        if not self._in_place:
            where: Any = (*block.index, ...)
            piece = self._array[where]
            # a stride of 0 (the same number for all) stays one
            thin = piece[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in piece.strides)]
            part = Field(np.broadcast_to(thin.astype(self.kind, order="K"), piece.shape), self._ndim, self._used)
            return part.at(Block(0, block.size, tuple(slice(0, n) for n in piece.shape[: self._ndim])))
        extent = tuple(cut.stop - cut.start for cut in block.index)
        known = self._known.get(extent)
        if known is None:
            lanes = _offsets(extent, self._steps[: self._ndim])
            known = self._known[extent] = lanes, bool((np.diff(lanes) == 1).all())
        begin = 0
        for cut, n, step in zip(block.index, self._shape, self._steps, strict=False):
            begin += cut.start * step if step >= 0 else (cut.stop - n) * step
        return Window(self._base[begin:], known[0], self._points, known[1])


def _flat(array: np.ndarray) -> np.ndarray:
    """Memory from the lowest address on, read-only."""
    lowest = array[tuple(slice(None, None, -1) if stride < 0 else slice(None) for stride in array.strides)]
    span = sum((n - 1) * abs(stride) for n, stride in zip(array.shape, array.strides, strict=True)) // array.itemsize + 1
    return np.lib.stride_tricks.as_strided(lowest, (span,), (array.itemsize,), writeable=False)


def _offsets(shape: tuple[int, ...], steps: list[int]) -> np.ndarray:
    """Offsets of all elements in C order, counted from the lowest address."""
    offsets = np.zeros((), dtype=np.int64)
    for n, step in zip(shape, steps, strict=True):
        along = np.arange(n, dtype=np.int64) * step
        offsets = offsets[..., None] + (along if step >= 0 else along - (n - 1) * step)
    return offsets.reshape(-1)
