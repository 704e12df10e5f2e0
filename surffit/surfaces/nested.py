r"""
All polynomials up to a degree at once, from one pass over the data.

With the columns A of the highest degree, weighted, and A'A = R'R for [A, y] by QR of blocks of rows, the fit of every smaller
polynomial is a QR of some columns of the small triangle R: chi-square without touching the data again. Blocks that belong to
a fold of a cross-validation keep a triangle of their own; the fit without a fold is a QR of the others, and its chi-square on
the fold a product with the fold's triangle. Only leverages need the rows once more.
"""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np

from ..bases import Chebyshev
from ..bases.terms import Degree, domain_of
from ..core.data import FitData

# numbers in a block of rows
BLOCK = 1 << 20
# share of a column that must be left beside those of lower degree
DEPENDENT = 1e-9


class Polynomials:
    """
    Fits of every polynomial up to a degree.

    Parameters
    ----------
    data : FitData
    variables : tuple of str
    highest : int or tuple of int
    total : bool
        Whether candidates are total degrees, or one degree for each variable.
    fold : ndarray of int, shape (n,), optional
        Which fold a used point belongs to.

    Attributes
    ----------
    n : int
        Points used.
    degrees : list
        Those that the points determine, with at least two points more than coefficients; by number of coefficients.
    dropped : list
        The others.
    dependent : bool
        Whether some of those have points enough, but columns that depend on each other.
    """

    def __init__(self, data: FitData, variables: tuple[str, ...], highest: Degree, total: bool, fold: np.ndarray | None = None) -> None:
        self.coords = [np.asarray(data.select(data.coords[name]), dtype=float) for name in variables]
        self.y = data.select(data.data)
        self.w = None if data.weights is None else data.select(data.weights)
        self.n = self.y.size
        self.total = total
        self.basis = Chebyshev(highest, domain_of(self.coords), total=total)
        self.terms = self.basis.terms(len(variables))
        degrees = highest if isinstance(highest, tuple) else (highest,) * len(variables)
        every: list[Degree] = list(range(max(degrees) + 1)) if total else list(product(*(range(n + 1) for n in degrees)))
        # blocks are kept apart by fold
        self.order = np.arange(self.n) if fold is None else np.argsort(fold, kind="stable")
        edges = [0, self.n] if fold is None else np.searchsorted(np.asarray(fold)[self.order], range(int(fold.max()) + 2)).tolist()
        self.folds = [self._triangle(start, stop) for start, stop in pairwise(edges)]
        self.R = np.asarray(np.linalg.qr(np.vstack(self.folds), mode="r"))
        self.degrees: list[Degree] = []
        self.dropped: list[Degree] = []
        self.dependent = False
        for degree in sorted(every, key=lambda d: (self.columns(d).size, d)):
            self._known(degree)

    def _known(self, degree: Degree) -> None:
        columns = self.columns(degree)
        fits = self.n >= columns.size + 2
        if fits:
            part = self.R[:, columns]
            triangle = np.asarray(np.linalg.qr(part, mode="r"))
            sizes = np.sqrt(np.einsum("ij,ij->j", part, part))
            fits = triangle.shape[0] == columns.size and bool((np.abs(triangle.diagonal()) > DEPENDENT * sizes).all())
            self.dependent |= not fits
        (self.degrees if fits else self.dropped).append(degree)

    def columns(self, degree: Degree) -> np.ndarray:
        """Which columns a polynomial has."""
        if isinstance(degree, tuple):
            inside = [all(n <= limit for n, limit in zip(term, degree, strict=True)) for term in self.terms]
        else:
            inside = [sum(term) <= degree for term in self.terms]
        return np.flatnonzero(inside)

    def _rows(self, start: int, stop: int) -> np.ndarray:
        """Weighted columns and data, (rows, p + 1)."""
        which = self.order[start:stop]
        rows = np.column_stack([self.basis.columns(*(c[which] for c in self.coords)), self.y[which]])
        return rows if self.w is None else rows * self.w[which, None]

    def _steps(self, start: int, stop: int) -> list[tuple[int, int]]:
        step = max(1, BLOCK // (len(self.terms) + 1))
        return [(i, min(i + step, stop)) for i in range(start, stop, step)]

    def _triangle(self, start: int, stop: int) -> np.ndarray:
        triangle: np.ndarray = np.zeros((0, len(self.terms) + 1))
        for one, two in self._steps(start, stop):
            triangle = np.asarray(np.linalg.qr(np.vstack([triangle, self._rows(one, two)]), mode="r"))
        return triangle

    def _solved(self, triangle: np.ndarray, degree: Degree) -> tuple[np.ndarray, np.ndarray, float]:
        """Triangle of the candidate's columns, Q'y and chi-square."""
        columns = self.columns(degree)
        k = columns.size
        R = np.asarray(np.linalg.qr(np.hstack([triangle[:, columns], triangle[:, -1:]]), mode="r"))
        return R[:k, :k], R[:k, k], float(R[k, k] ** 2) if R.shape[0] > k else 0.0

    def chisqr(self, degree: Degree) -> float:
        """Weighted sum of squares that a polynomial leaves."""
        return self._solved(self.R, degree)[2]

    def press(self) -> dict[Degree, float]:
        """Sum of squares of the weighted leave-one-out residuals, for every degree; inf where a point decides a coefficient alone."""
        from scipy.linalg import solve_triangular

        solved = {degree: self._solved(self.R, degree)[:2] for degree in self.degrees}
        out = dict.fromkeys(self.degrees, 0.0)
        for start, stop in self._steps(0, self.n):
            rows = self._rows(start, stop)
            y = rows[:, -1]
            if self.total:  # each polynomial's columns are the first of the next one's: one orthonormal row serves all
                R, qty = solved[self.degrees[-1]]
                q = solve_triangular(R, rows[:, : len(R)].T, trans=1)
                h, fitted = np.cumsum(q * q, axis=0), np.cumsum(q * qty[:, None], axis=0)
            for degree in self.degrees:
                if self.total:
                    k = self.columns(degree).size - 1
                    lever, left = h[k], y - fitted[k]
                else:
                    R, qty = solved[degree]
                    q = solve_triangular(R, rows[:, self.columns(degree)].T, trans=1)
                    lever, left = np.einsum("ij,ij->j", q, q), y - qty @ q
                with np.errstate(divide="ignore", invalid="ignore"):
                    without = np.where(lever < 1.0 - 1e-10, left / (1.0 - lever), np.inf)
                out[degree] += float(np.sum(without**2))
        return out

    def crossed(self, degree: Degree) -> float:
        """Sum of squares on the folds, each predicted from the others."""
        from scipy.linalg import solve_triangular

        columns, total = self.columns(degree), 0.0
        for i, fold in enumerate(self.folds):
            R, qty, _ = self._solved(np.vstack([f for j, f in enumerate(self.folds) if j != i]), degree)
            if R.shape[0] < columns.size or np.abs(R.diagonal()).min() <= DEPENDENT * np.abs(R.diagonal()).max():
                return np.inf
            left = fold[:, -1] - fold[:, columns] @ solve_triangular(R, qty)
            total += float(left @ left)
        return total
