r"""
Moments of columns that are sums of products on a rectangular grid, with any weight image.

With :math:`J_a = f^y_a \otimes f^x_a` and W the image of squared weights,
:math:`(J'WJ)_{ab} = \sum_x [(f^y_a f^y_b) W]\,(f^x_a f^x_b)`: one matrix product over the pairs a <= b.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from .gram import IllConditioned, Sums
from .problem import EPS, finite
from .products import Products, Term

ONE = np.ones(1)


class GridKernel(Protocol):
    """A kernel whose arrays are short sums of products: each is a list of (gy, gx)."""

    has_fixed: bool  # whether anything is left without the linear parameters

    def columns(self, alpha: np.ndarray) -> tuple[list[Term] | None, Sequence[list[Term] | None]]: ...

    def full(self, alpha: np.ndarray, c: np.ndarray) -> tuple[object, Sequence[list[Term] | None]]: ...

    def second(self, alpha: np.ndarray, c: np.ndarray) -> Sequence[tuple[int, int, list[Term]]] | None: ...


class GridMoments:
    """
    Sums over a grid; see `solve.gram.LongMoments`.

    Parameters
    ----------
    kernel : GridKernel
    y, w : ndarray, shape (ny, nx), or None for w
        Data and 1/sigma; excluded points have w = 0 and any finite y.
    used : ndarray of bool or None
        Points that are not excluded.
    m : int
        Number of non-linear parameters.

    Attributes
    ----------
    y, w, used : ndarray or None
        Without the rows and columns at the edges that hold no used point. Flags stand for weights where there are no others.
    """

    def __init__(self, kernel: GridKernel, y: np.ndarray, w: np.ndarray | None, used: np.ndarray | None, m: int) -> None:
        self.kernel = kernel
        self.m = m
        self._shape = y.shape
        self._box: tuple[slice, ...] | None = None
        if used is not None:
            # functions that are orthogonal on all rows and columns would be far from it on a few
            found = (np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0)))
            self._box = tuple(slice(int(i[0]), int(i[-1]) + 1) for i in found)
            y, used, w = y[self._box], used[self._box], (used if w is None else w)[self._box]
        self.y, self.w, self.used = y, w, used

    def products(self, groups: Sequence[Sequence[Term] | None]) -> Products:
        """Columns of the kernel where they are looked at."""
        found = Products.of(groups, *self._shape)
        return found if self._box is None else found.within(self._box)

    @cached_property
    def Wy(self) -> np.ndarray:
        """The data, weighted twice."""
        return self.y if self.w is None else self.w * self.w * self.y

    @cached_property
    def yy(self) -> float:
        """Sum of squares of the weighted data."""
        return float(np.vdot(self.Wy, self.y))

    @cached_property
    def noise(self) -> float:
        """Rounding error of r'r."""
        return 8.0 * EPS * self.yy

    def full(self, p: np.ndarray) -> Sums | None:
        fixed = self.kernel.columns(p[: self.m])[0] if self.kernel.has_fixed else None
        _, groups = self.kernel.full(p[: self.m], p[self.m :])
        columns = self.products([*groups, fixed])
        G, b = columns.gram(self.w), columns.against(self.Wy)
        # the model itself is the linear columns times c, plus what has no linear parameter: r'r and J'r come from moments of
        # the data, without a pass over the image but the one product above
        f = np.concatenate([np.zeros(self.m), p[self.m :], ONE])
        Gf = G @ f
        rr = self.yy - float(2.0 * (f @ b) - f @ Gf)
        if not (math.isfinite(rr) and finite(G)):
            return None
        if rr < 1e3 * self.noise:
            raise IllConditioned  # so little is left of the data that the difference of sums has no digits
        n = p.size
        return G[:n, :n], (b - Gf)[:n], rr

    def residual(self, p: np.ndarray) -> np.ndarray | None:
        fixed, phi = self.kernel.columns(p[: self.m])
        image = self.products([*phi, fixed]).image(np.concatenate([p[self.m :], ONE]))
        r = np.subtract(self.y, image, out=image)
        if self.w is not None:
            r *= self.w
        r = r.reshape(-1) if self.used is None else r[self.used]
        return r if finite(r) else None

    def _weighted(self, r: np.ndarray) -> np.ndarray:
        """The residual of the used points as an image, weighted once more."""
        if self.used is None:
            image = r.reshape(self.y.shape)
        else:
            image = np.zeros(self.y.shape)
            image[self.used] = r
        return image if self.w is None else image * self.w

    def gradient(self, p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        _, groups = self.kernel.full(p[: self.m], p[self.m :])
        columns = self.products(groups)
        G, g = columns.gram(self.w), columns.against(self._weighted(r))
        return (G, g) if finite(G) and finite(g) else None

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray | None:
        second = self.kernel.second(p[: self.m], p[self.m :])
        if second is None:
            return None
        B = np.zeros((p.size, p.size))
        if second:
            sums = self.products([group for _, _, group in second]).against(self._weighted(r))
            for (i, j, _), total in zip(second, sums, strict=True):
                B[i, j] = B[j, i] = total
        return B if finite(B) else None
