"""
The columns of a linear model in a basis in which normal equations lose nothing, and the exact way back.

User's coefficients are ``c = T g``. T is a table of float64 numbers, whatever was used to find it; the columns of the new basis are made
from it to the last bit, ``V = T' phi``, so that the way back is exact although T stands for an ill-conditioned change of basis.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...kernels.dd import two_prod, two_sum
from ...solve.linear import column_scales

__all__ = ["Basis", "conditioned"]

EPS = float(np.finfo(float).eps)
CONDITION = 1e3  # of the scaled columns, beyond which they are replaced
DEGREE = 40  # highest power of a polynomial that is recognised


@dataclass(frozen=True, eq=False)
class Basis:
    """
    Columns and the map to the user's coefficients.

    Attributes
    ----------
    V : ndarray, shape (K, D), C order
    T : ndarray, shape (K, K)
        User's coefficients are ``T @ g``.
    one : ndarray, shape (K,), or None
        User's coefficients of the constant 1; None where the columns don't span it.
    size : ndarray, shape (K,)
        Norms of the user's columns, 1 for a zero column.
    full : bool
        Whether the columns are independent.
    how : str
        For the engine's reason; empty where the user's columns are good as they are.
    """

    V: np.ndarray
    T: np.ndarray
    one: np.ndarray | None
    size: np.ndarray
    full: bool
    how: str


def conditioned(phi: np.ndarray, weights: np.ndarray, lines: list[np.ndarray]) -> Basis:
    """
    A basis for columns of any scale and condition.

    Parameters
    ----------
    phi : ndarray, shape (K, D)
        The user's columns, finite.
    weights : ndarray, shape (D,)
        1/sigma of a typical data set.
    lines : list of ndarray, shape (D,)
        The coordinates that the model depends on, to recognise polynomials of one variable.
    """
    K, phi = len(phi), np.ascontiguousarray(phi)
    s = column_scales(phi) if phi.size else np.ones(K)
    size = np.ones(K) if s is None else s
    scaled = phi / size[:, None]
    norms = np.linalg.norm(scaled, axis=1)
    diagonal = np.diag(1.0 / size)
    if phi.shape[1] < K or not (norms > 0).all():
        return Basis(scaled, diagonal, None, size, False, "")
    values = np.linalg.svd(np.linalg.qr((scaled * weights).T, mode="r"), compute_uv=False)
    if values[-1] * CONDITION >= values[0]:
        return Basis(scaled, diagonal, _one(phi, scaled, diagonal, size), size, True, "")
    powers = _powers(phi, lines)
    if powers is not None:
        V, T = _legendre(powers, lines[0])
        return Basis(V, T, np.where(np.array(powers) == 0, 1.0, 0.0), size, True, "columns in Legendre polynomials")
    if values[-1] <= 10 * K * EPS * values[0]:
        return Basis(scaled, diagonal, None, size, False, "")
    T = np.eye(K)
    V = scaled
    for _ in range(2):
        T = T @ np.linalg.inv(np.linalg.qr((V * weights).T, mode="r"))
        V = _exact_product(T, scaled)
    T /= size[:, None]
    return Basis(V, T, _one(phi, V, T, size), size, True, "columns made orthogonal")


def _exact_product(T: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """``T' phi`` in double-double, rounded once."""
    out = np.empty_like(phi)
    for k in range(len(phi)):
        hi, lo = np.zeros(phi.shape[1]), np.zeros(phi.shape[1])
        for factor, column in zip(T[:, k], phi, strict=True):
            product, rest = two_prod(np.full_like(column, factor), column)
            hi, error = two_sum(hi, product)
            lo += error + rest
        out[k] = hi + lo
    return out


def _one(phi: np.ndarray, V: np.ndarray, T: np.ndarray, size: np.ndarray) -> np.ndarray | None:
    """User's coefficients of the constant 1, or None."""
    for k, column in enumerate(phi):
        if (column == column[0]).all():
            return np.where(np.arange(len(phi)) == k, 1.0 / column[0], 0.0)
    ones = np.ones(phi.shape[1])
    g = np.linalg.lstsq(V.T, ones, rcond=None)[0]
    if np.abs(ones - g @ V).max() > 64 * EPS:
        return None
    c = T @ g
    c[np.abs(c * size) < 1e-13 * np.abs(c * size).max()] = 0.0
    return np.asarray(c)


def _powers(phi: np.ndarray, lines: list[np.ndarray]) -> list[int] | None:
    """Exponents if the columns are 1, x, ..., x**n in any order, to the rounding of a power."""
    K = len(phi)
    if len(lines) != 1 or K > DEGREE:
        return None
    x = lines[0]
    found: list[int] = []
    if not x.max() > x.min():
        return None
    for column in phi:
        powers = [p for p in range(K) if p not in found and (np.abs(column - x**p) <= (p + 2) * EPS * np.abs(column)).all()]
        if not powers:
            return None
        found.append(powers[0])
    return found


def _legendre(powers: list[int], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Legendre polynomials over the range of x, and their coefficients in powers of x by exact rational arithmetic."""
    K = len(powers)
    middle, half = float(0.5 * x.min() + 0.5 * x.max()), float(0.5 * x.max() - 0.5 * x.min())
    z = (x - middle) / half
    shift, step = Fraction(middle), 1 / Fraction(half)
    rows = [np.ones_like(z), z]
    exact = [[Fraction(1)], [-shift * step, step]]
    for n in range(1, K):
        rows.append(((2 * n + 1) * z * rows[n] - n * rows[n - 1]) / (n + 1))
        last, before = exact[n], exact[n - 1] + [Fraction(0)] * 2
        longer = [Fraction(0), *last]
        inner = [step * (a - shift * b) for a, b in zip(longer, [*last, Fraction(0)], strict=True)]
        exact.append([((2 * n + 1) * a - n * b) / (n + 1) for a, b in zip(inner, before, strict=True)])
    T = np.zeros((K, K))
    for k in range(K):
        for p, coefficient in enumerate(exact[k]):
            T[powers.index(p), k] = float(coefficient)
    return np.array(rows[:K]), T
