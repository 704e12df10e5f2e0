r"""
Columns on a rectangular grid that are short sums of products g(y) h(x), kept as their factors.

With the different factors along y as rows of U and those along x as rows of V, everything that least squares asks of such columns
is a product of small matrices with one image in the middle. No column is ever formed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr

from .problem import EPS

Term = tuple[np.ndarray, np.ndarray]

# products of pairs of factors from which it pays to look for the few functions that they are made of
MANY = 24
# numbers of an image looked at together
BLOCK = 131_072


@dataclass(slots=True, eq=False)
class Products:
    """
    Sums of products; factors that are one array are kept once.

    Attributes
    ----------
    U : ndarray, shape (u, ny)
    V : ndarray, shape (v, nx)
    iu, iv : ndarray of int, shape (t,)
        The factors of each term.
    owner : ndarray of int, shape (t,)
        The column of each term.
    n : int
        Number of columns.
    """

    U: np.ndarray
    V: np.ndarray
    iu: np.ndarray
    iv: np.ndarray
    owner: np.ndarray
    n: int

    @classmethod
    def of(cls, groups: Sequence[Sequence[Term] | None], ny: int, nx: int) -> Products:
        """From a list of terms (gy, gx) for each column; None and an empty list are zero."""
        along_y: dict[int, tuple[int, np.ndarray]] = {}
        along_x: dict[int, tuple[int, np.ndarray]] = {}
        found = [
            (along_y.setdefault(id(gy), (len(along_y), gy))[0], along_x.setdefault(id(gx), (len(along_x), gx))[0], j)
            for j, group in enumerate(groups)
            for gy, gx in group or ()
        ]
        U, V = (
            np.array([factor for _, factor in side.values()], dtype=float).reshape(len(side), length)
            for side, length in ((along_y, ny), (along_x, nx))
        )
        iu, iv, owner = np.array(found, dtype=int).reshape(-1, 3).T
        return cls(U, V, iu, iv, owner, len(groups))

    def within(self, box: Sequence[slice]) -> Products:
        """The same on some rows and columns of the grid."""
        U, V = (np.ascontiguousarray(F[:, part]) for F, part in zip((self.U, self.V), box, strict=True))
        return Products(U, V, self.iu, self.iv, self.owner, self.n)

    def matrix(self, c: np.ndarray) -> np.ndarray:
        """C (u, v) of the sum of the columns times c, which is U' C V."""
        u, v = len(self.U), len(self.V)
        return np.bincount(self.iu * v + self.iv, c[self.owner], minlength=u * v).reshape(u, v)

    def collect(self, M: np.ndarray) -> np.ndarray:
        """Of a number for each pair of factors (u, v), the sum over the terms of each column (n,)."""
        return np.bincount(self.owner, M[self.iu, self.iv], minlength=self.n)

    def against(self, image: np.ndarray) -> np.ndarray:
        """Each column times an image (ny, nx), summed over the grid."""
        return self.collect((self.U @ image) @ self.V.T)

    def gram(self, w: np.ndarray | None) -> np.ndarray:
        """Products of all pairs of columns (n, n), each weighted by w, an image of numbers or flags."""
        iu, iv = self.iu, self.iv
        if w is None:
            G = _at(self.U @ self.U.T, iu) * _at(self.V @ self.V.T, iv)
        else:
            at_y, y = _pairs(self.U)
            at_x, x = _pairs(self.V)
            G = pair_sums(y, x, w)[_at(at_y, iu), _at(at_x, iv)]
        if self.n == self.owner.size and (self.owner == np.arange(self.n)).all():
            return G
        T = np.zeros((self.n, self.owner.size))
        T[self.owner, np.arange(self.owner.size)] = 1.0
        return np.asarray(T @ G @ T.T)

    def image(self, c: np.ndarray) -> np.ndarray:
        """The sum of the columns times c as an image (ny, nx)."""
        return np.asarray(self.U.T @ (self.matrix(c) @ self.V))

    def rows(self, part: slice) -> np.ndarray:
        """The columns on some rows of the grid, (n, rows, nx)."""
        lines = self.U[:, part]
        out = np.zeros((self.n, lines.shape[1], self.V.shape[1]))
        for u, v, j in zip(self.iu, self.iv, self.owner, strict=True):
            out[j] += lines[u][:, None] * self.V[v]
        return out


def _at(M: np.ndarray, i: np.ndarray) -> np.ndarray:
    """Rows and columns i of a matrix."""
    return M.take(i, axis=0).take(i, axis=1)


def _pairs(F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the product of two factors stands, (f, f), and the products (pairs, length)."""
    f = len(F)
    p, q = np.triu_indices(f)
    at = np.empty((f, f), dtype=int)
    at[p, q] = at[q, p] = np.arange(p.size)
    return at, F[p] * F[q]


def pair_sums(y: np.ndarray, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """
    ``y @ w**2 @ x.T`` for many lines (p, ny) and (q, nx) that depend on each other, by as few lines over the image as there must be.

    The 45 products of nine polynomials of degree 0 to 8 are polynomials of degree 16: seventeen lines do.
    """
    (ry, ty), (rx, tx) = _made_of(y), _made_of(x)
    wide = len(ry) <= len(rx)
    total = np.zeros((len(ry), w.shape[1] if wide else len(rx)))
    for part, spare in blocks(w.shape):
        squares = np.multiply(w[part], w[part], out=spare)
        total += ry[:, part] @ (squares if wide else squares @ rx.T)
    small = total @ rx.T if wide else total
    small = small if ty is None else ty @ small
    return small if tx is None else np.asarray(small @ tx.T)


def blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, np.ndarray]]:
    """Parts of the rows of an image that stay in cache, each with an array of its shape to write into (always the same memory)."""
    rows = max(1, BLOCK // shape[1])
    buffer = np.empty((min(rows, shape[0]), shape[1]))
    for start in range(0, shape[0], rows):
        part = slice(start, min(start + rows, shape[0]))
        yield part, buffer[: part.stop - start]


def _made_of(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Fewer lines (r, length) and what the given ones are in them, (p, r); (lines, None) where there are no fewer."""
    if len(lines) < MANY:
        return lines, None
    size = np.sqrt(np.einsum("ij,ij->i", lines, lines))
    size[size == 0.0] = 1.0
    q, r, order = qr((lines / size[:, None]).T, mode="economic", pivoting=True, check_finite=False)
    rank = int((np.abs(r.diagonal()) > 4.0 * EPS).sum())
    if rank > 0.8 * len(lines):
        return lines, None
    made = np.empty((len(lines), rank))
    made[order] = r[:rank].T
    return np.ascontiguousarray(q[:, :rank].T), made * size[:, None]
