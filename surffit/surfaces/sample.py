"""A few points out of many, always the same ones."""

from __future__ import annotations

import numpy as np


def some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, drawn evenly but in no pattern that a grid could have, and the same at every call."""
    if rows.size <= most:
        return rows
    # multiples of the golden ratio, modulo 1, fill the interval evenly
    places = (np.arange(most) * 0.6180339887498949) % 1.0
    return rows[np.unique((places * rows.size).astype(int))]


def strong_and_some(z: np.ndarray, most: int) -> np.ndarray:
    """Rows of the points that are farthest from the median, and of some others: a fifth and the rest of `most`."""
    n = z.size
    if n <= most:
        return np.arange(n)
    k = most // 5
    far = np.argpartition(np.abs(z - np.median(z)), n - k)[n - k :]
    return np.unique(np.concatenate([far, some(np.arange(n), most - k)]))
