"""Gathering some data sets for the lanes: points first, float64, whatever the order of axes, number type and byte order."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Scratch"]


class Scratch:
    """
    Data, errors and masks of some data sets, shape (D, n) each.

    Parameters
    ----------
    D, n : int
        Points, data sets.
    error, mask : bool
        Whether there are any.
    """

    def __init__(self, D: int, n: int, error: bool, mask: bool) -> None:
        self.y, self.error = np.zeros((D, n)), np.zeros((D, n))
        self.mask = np.zeros((D, n) if mask else (0, 0), dtype=np.uint8)

    def fill(self, data: np.ndarray | None, error: np.ndarray | None, mask: np.ndarray | None, index: tuple[slice, ...]) -> None:
        """Gather the data sets of a rectangle from arrays of shape map + fit."""
        for target, source in ((self.y, data), (self.error, error), (self.mask, mask)):
            if source is not None:
                where: Any = (*index, ...)
                piece, k = source[where], len(index)
                turned = piece.transpose(*range(k, piece.ndim), *range(k))
                _columns(target, turned.shape, k)[...] = turned


def _columns(table: np.ndarray, shape: tuple[int, ...], k: int) -> np.ndarray:
    """The first columns of a table (points, data sets) with all axes: those of the points first, k of the map last."""
    if len(shape) == 2 and k == 1:
        return table[:, : shape[1]]
    steps, step = [0] * len(shape), 1
    for axis in range(len(shape) - 1, -1, -1):
        if axis == len(shape) - k - 1:
            step = table.shape[1]
        steps[axis] = step * table.itemsize
        step *= shape[axis]
    return np.lib.stride_tricks.as_strided(table, shape, steps)
