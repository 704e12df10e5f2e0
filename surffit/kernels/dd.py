r"""
Double-double arithmetic on arrays: sums and products with their rounding errors.

A value is a pair hi + lo of float64, about 32 digits. Everything here is exact only in
round-to-nearest without contraction: never compile it with fastmath. Numbers of order 1
are safe; `split` overflows beyond 1e300 and products lose their error below 1e-290.

References
----------
.. [1] T. J. Dekker, Numer. Math. 18 (1971) 224, doi:10.1007/BF01397083.
.. [2] T. Ogita, S. M. Rump, S. Oishi, SIAM J. Sci. Comput. 26 (2005) 1955, doi:10.1137/030601818.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DD", "dd_add", "dd_div", "dd_dot", "dd_matvec", "dd_mul", "dd_sum", "split", "two_prod", "two_sum"]

Array = NDArray[np.float64]

DD = tuple[Array, Array]  # high and low part

SPLITTER = 134217729.0  # 2**27 + 1


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """
    Sum and its rounding error: ``a + b == s + err`` exactly (Knuth).

    Parameters
    ----------
    a, b : array_like
        Broadcastable against each other.

    Returns
    -------
    s, err : ndarray
    """
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def split(a: Array) -> tuple[Array, Array]:
    """
    Two halves of at most 26 bits: ``a == hi + lo`` exactly [1]_.

    Parameters
    ----------
    a : array_like
        Magnitude below 1e300.

    Returns
    -------
    hi, lo : ndarray
    """
    c = SPLITTER * a
    hi = c - (c - a)
    return hi, a - hi


def two_prod(a: Array, b: Array, a_split: tuple[Array, Array] | None = None) -> tuple[Array, Array]:
    """
    Product and its rounding error: ``a * b == p + err`` exactly [1]_.

    Parameters
    ----------
    a, b : array_like
        Broadcastable against each other.
    a_split : tuple of ndarray, optional
        ``split(a)``, if the same a is used often.

    Returns
    -------
    p, err : ndarray
    """
    ah, al = split(a) if a_split is None else a_split
    bh, bl = split(b)
    p = a * b
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def dd_sum(hi: Array, lo: Array) -> tuple[Array, Array]:
    """
    Sum of double-double numbers over the last axis, pairwise.

    The error is of the order of eps**2 times the sum of magnitudes [2]_.

    Parameters
    ----------
    hi, lo : ndarray, shape (..., n)

    Returns
    -------
    hi, lo : ndarray, shape (...)
    """
    low = lo.sum(axis=-1)
    while hi.shape[-1] > 1:
        half = hi.shape[-1] // 2
        s, err = two_sum(hi[..., :half], hi[..., half : 2 * half])
        low = low + err.sum(axis=-1)
        hi = np.concatenate([s, hi[..., 2 * half :]], axis=-1) if hi.shape[-1] % 2 else s
    if not hi.shape[-1]:
        return low, np.zeros_like(low)
    return two_sum(hi[..., 0], low)


def dd_dot(a: Array, b: Array, b_low: Array | None = None, a_split: tuple[Array, Array] | None = None) -> tuple[Array, Array]:
    """
    Inner products over the last axis in double-double: sum of ``a * (b + b_low)``.

    Parameters
    ----------
    a, b : ndarray, shape (..., n)
        Broadcastable against each other.
    b_low : ndarray, optional
        Low part of b.
    a_split : tuple of ndarray, optional
        ``split(a)``.

    Returns
    -------
    hi, lo : ndarray, shape (...)
    """
    p, err = two_prod(a, b, a_split)
    if b_low is not None:
        err += a * b_low
    return dd_sum(p, err)


def dd_matvec(
    rows: Array, x: Array, x_low: Array, hi: Array, lo: Array, rows_split: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """
    Residual ``hi + lo - rows' (x + x_low)`` in double-double.

    Parameters
    ----------
    rows : ndarray, shape (k, n)
        Parameter-major matrix.
    x, x_low : ndarray, shape (k,)
    hi, lo : ndarray, shape (n,)
        Where to start from; not changed.
    rows_split : tuple of ndarray, optional
        ``split(rows)``.

    Returns
    -------
    hi, lo : ndarray, shape (n,)
    """
    p, err = two_prod(rows, x[:, None], rows_split)
    low = lo - (err + rows * x_low[:, None]).sum(axis=0)
    for term in p:  # k passes over n numbers: n is long, k is not
        hi, e = two_sum(hi, -term)
        low += e
    return two_sum(hi, low)


def dd_add(a: DD, b: DD) -> DD:
    """
    Sum of double-double arrays, to about eps**2 of the larger one.

    Parameters
    ----------
    a, b : tuple of (ndarray, ndarray)
        High and low parts, broadcastable against each other.

    Returns
    -------
    hi, lo : ndarray
    """
    s, err = two_sum(a[0], b[0])
    return two_sum(s, err + (a[1] + b[1]))


def dd_mul(a: DD, b: DD) -> DD:
    """
    Product of double-double arrays, to about eps**2 of itself.

    Parameters
    ----------
    a, b : tuple of (ndarray, ndarray)

    Returns
    -------
    hi, lo : ndarray
    """
    p, err = two_prod(a[0], b[0])
    return two_sum(p, err + (a[0] * b[1] + a[1] * b[0]))


def dd_div(a: DD, b: DD) -> DD:
    """
    Quotient of double-double arrays, to about eps**2 of itself.

    Parameters
    ----------
    a, b : tuple of (ndarray, ndarray)
        b without zeros.

    Returns
    -------
    hi, lo : ndarray
    """
    first = a[0] / b[0]
    p, err = two_prod(first, b[0])
    # what is left of a after the first quotient times b; its leading parts cancel exactly
    left = ((a[0] - p) - err) + a[1] - first * b[1]
    return two_sum(first, left / b[0])
