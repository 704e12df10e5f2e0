"""
Coordinates that depend on the row or the column alone, as `numpy.meshgrid` and `numpy.mgrid` make them.

Such an array is kept as a view that repeats one line: it has the shape and the values that came in, takes no memory, and shows by
its strides along which axis it runs. Equality is exact: one number that differs makes it an ordinary array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# points from which it pays to look
LONG = 4_000
# numbers compared at a time: they stay in cache
BLOCK = 32_768


def line_of(array: np.ndarray) -> np.ndarray | None:
    """
    The one line that a 2-D array repeats.

    Parameters
    ----------
    array : ndarray, shape (ny, nx)

    Returns
    -------
    ndarray, shape (1, nx) or (ny, 1), or None
        A view; None if there is no such line (nan is equal to nothing).

    Examples
    --------
    >>> y, x = np.mgrid[:2, :3]
    >>> line_of(x).tolist(), line_of(y).tolist(), line_of(x + y)
    ([[0, 1, 2]], [[0], [1]], None)
    """
    for axis, start in ((0, array[:1]), (1, array[:, :1])):
        if array.strides[axis] == 0:
            return start
        if not np.array_equal(array[-1:] if axis == 0 else array[:, -1:], start):
            continue
        rows = max(1, BLOCK // array.shape[1])
        if all((array[i : i + rows] == (start if axis == 0 else start[i : i + rows])).all() for i in range(0, len(array), rows)):
            return start
    return None


def repeated(value: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """A coordinate of a large 2-D grid as a float view of one line, in the data's shape; None for anything else."""
    if type(value) is not np.ndarray or len(shape) != 2 or value.shape != shape or min(shape) < 2 or value.size < LONG:
        return None
    line = line_of(value) if value.dtype.kind in "biuf" else None
    return None if line is None else np.broadcast_to(np.array(line, dtype=float), shape)


def trimmed(array: np.ndarray) -> np.ndarray:
    """An array without the repetitions of a broadcast view: all its values, in fewer places, with as many axes."""
    if 0 not in array.strides or not array.size:
        return array
    return array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]


def open_grid(shape: tuple[int, ...], arrays: list[Any]) -> tuple[list[int] | None, list[Any]]:
    """Coordinates of a rectangular grid cut down to open ones, with the axis of each; (None, as they came) otherwise."""
    if len(shape) != 2 or not arrays:
        return None, arrays
    axes, out = [], []
    for array in arrays:
        a = np.asarray(array)
        a = a.reshape((1,) * (2 - a.ndim) + a.shape) if a.ndim < 2 else a
        line = a if 1 in a.shape else line_of(a)
        if line is None:
            return None, arrays
        axes.append(1 if line.shape[0] == 1 else 0)
        out.append(line)
    return axes, out
