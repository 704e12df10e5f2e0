"""Rough work for guesses: a few points out of many, and least squares that far points hardly enter."""

from __future__ import annotations

import numpy as np


def some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, drawn evenly but in no pattern that a grid could have, and the same at every call."""
    if rows.size <= most:
        return rows
    # multiples of the golden ratio, modulo 1, fill the interval evenly
    places = (np.arange(most) * 0.6180339887498949) % 1.0
    return rows[np.sort((places * rows.size).astype(int))]


def strong_and_some(z: np.ndarray, most: int) -> np.ndarray:
    """Rows of the points that are farthest from the median, and of some others: a fifth and the rest of `most`."""
    n = z.size
    if n <= most:
        return np.arange(n)
    k = most // 5
    few = some(np.arange(n), most)
    middle = np.median(z[few])
    # how far the farthest lie, from the few
    far = np.partition(np.abs(z[few] - middle), few.size - 1 - few.size * k // n)[few.size - 1 - few.size * k // n]
    return np.unique(np.concatenate([some(np.flatnonzero(np.abs(z - middle) > far), k), few[: most - k]]))


def resisting(columns: np.ndarray, z: np.ndarray, rounds: int = 4, start: np.ndarray | None = None) -> np.ndarray:
    """
    Coefficients of columns by least squares in which far points count less and less.

    Parameters
    ----------
    columns : ndarray, shape (k, n)
    z : ndarray, shape (n,)
    rounds : int
    start : ndarray, shape (k,), optional
        Coefficients whose residuals give the first weights; default: all points count alike.

    Returns
    -------
    ndarray, shape (k,)
    """
    scale = np.abs(columns).max(axis=1)
    scale[scale == 0] = 1.0
    unit = (columns / scale[:, None]).T
    w, c = np.ones_like(z), np.zeros(len(columns))
    if start is not None:
        c = start * scale
        w = _weights(z - unit @ c)
    for _ in range(rounds):
        c = np.linalg.lstsq(unit * w[:, None], z * w, rcond=None)[0]
        w = _weights(z - unit @ c)
    return np.asarray(c / scale)


def _weights(r: np.ndarray) -> np.ndarray:
    """Square roots of Cauchy's weights, at three standard deviations."""
    limit = 3.0 * 1.4826 * float(np.median(np.abs(r)))
    return np.sqrt(1.0 / (1.0 + np.square(r / limit))) if limit > 0 else np.ones_like(r)


def beneath(columns: np.ndarray, z: np.ndarray, draws: int = 40) -> np.ndarray:
    """
    Coefficients of columns that describe most points, where peaks stand on nearly half of them.

    Parameters
    ----------
    columns : ndarray, shape (k, n)
    z : ndarray, shape (n,)
    draws : int
        Fits through a few points that are tried.

    Returns
    -------
    ndarray, shape (k,)

    Notes
    -----
    Least median of squares (P. Rousseeuw, J. Am. Stat. Assoc. 79 (1984) 871), then the weights of `resisting`.
    """
    k, n = columns.shape
    if n <= k + 2:
        return np.asarray(np.linalg.lstsq(columns.T, z, rcond=None)[0])
    scale = np.abs(columns).max(axis=1)
    scale[scale == 0] = 1.0
    columns = columns / scale[:, None]
    rng = np.random.default_rng(20)
    few = some(np.arange(n), 1000)
    part, target = columns[:, few], z[few]
    half = (few.size + k + 1) // 2

    def nearest_of(starts: np.ndarray) -> np.ndarray:
        off = np.partition(np.abs(target - starts @ part), half - 1, axis=1)[:, half - 1]
        return np.asarray(starts[int(np.argmin(off))])

    # twice as many points as coefficients: noise spoils a start less than through as many
    draws = draws if k <= 10 else 0
    rows = rng.integers(few.size, size=(draws, 2 * k))
    drawn = part.T[rows]
    grams = np.swapaxes(drawn, 1, 2) @ drawn
    grams += 1e-12 * np.trace(grams, axis1=1, axis2=2)[:, None, None] * np.eye(k) + 1e-300 * np.eye(k)
    starts = np.linalg.solve(grams, np.einsum("dik,di->dk", drawn, target[rows])[..., None])[..., 0]
    best = nearest_of(np.concatenate([np.linalg.lstsq(part.T, target, rcond=None)[0][None], starts]))
    for _ in range(3):
        kept = np.argpartition(np.abs(target - best @ part), half - 1)[:half]
        best = nearest_of(np.stack([best, np.linalg.lstsq(part[:, kept].T, target[kept], rcond=None)[0]]))
    return resisting(columns, z, 3, best) / scale
