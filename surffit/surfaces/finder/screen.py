"""Residuals of very many small least-squares problems at once."""

from __future__ import annotations

import numpy as np

# smaller than this, relative to its column, what is left of a column after the others is rounding
DEPENDENT = 1e-11


def eliminate(tables: np.ndarray) -> np.ndarray:
    """
    Residual sums of squares from normal equations, all at once.

    Parameters
    ----------
    tables : ndarray, shape (N, k + 1, k + 1)
        Products of k columns of length 1 with each other and, last, with the data. Overwritten.

    Returns
    -------
    ndarray, shape (N,)
        What is left of the data's square; inf where the columns depend on each other.
    """
    good = np.ones(len(tables), dtype=bool)
    size = tables.shape[1]
    for j in range(size - 1):
        pivot = tables[:, j, j]
        good &= pivot > DEPENDENT
        row = tables[:, j, j + 1 :] / np.where(pivot > DEPENDENT, pivot, 1.0)[:, None]
        tables[:, j + 1 :, j + 1 :] -= tables[:, j, j + 1 :, None] * row[:, None, :]
    left = tables[:, -1, -1]
    return np.where(good & np.isfinite(left), np.maximum(left, 0.0), np.inf)


def subsets(gram: np.ndarray, right: np.ndarray, square: float, chosen: np.ndarray) -> np.ndarray:
    """
    Residuals of many choices of columns.

    Parameters
    ----------
    gram : ndarray, shape (c, c)
        Products of the columns, each of length 1.
    right : ndarray, shape (c,)
        Their products with the data.
    square : float
        The data's square.
    chosen : ndarray of int, shape (N, k)
        The columns of each problem.

    Returns
    -------
    ndarray, shape (N,)
    """
    count, k = chosen.shape
    out = np.empty(count)
    step = max(1, 4_000_000 // (k + 1) ** 2)
    for first in range(0, count, step):
        block = chosen[first : first + step]
        tables = np.empty((len(block), k + 1, k + 1))
        tables[:, :k, :k] = gram[block[:, :, None], block[:, None, :]]
        tables[:, :k, k] = tables[:, k, :k] = right[block]
        tables[:, k, k] = square
        out[first : first + step] = eliminate(tables)
    return out


def residuals(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """
    Residual sums of squares of T problems that share their data.

    Parameters
    ----------
    columns : ndarray, shape (T, k, m)
        Columns of each problem. Overwritten.
    target : ndarray, shape (m,)
        Data.

    Returns
    -------
    ndarray, shape (T,)
        inf where columns are not finite or depend on each other.
    """
    count, k, _ = columns.shape
    length = np.sqrt(np.einsum("tkm,tkm->tk", columns, columns))
    bad = ~(np.isfinite(length) & (length > 0)).all(axis=1)
    columns /= np.where(bad[:, None] | (length == 0), 1.0, length)[:, :, None]
    tables = np.empty((count, k + 1, k + 1))
    tables[:, :k, :k] = columns @ columns.transpose(0, 2, 1)
    tables[:, :k, k] = tables[:, k, :k] = columns @ target
    tables[:, k, k] = target @ target
    if bad.any():
        tables[bad] = np.eye(k + 1)
    out = eliminate(tables)
    out[bad] = np.inf
    return out
