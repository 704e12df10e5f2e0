r"""
Linear least squares on a grid, for columns that are sums of products, without the columns.

With the QR of the factors along each axis, :math:`U' = Q_y R_y` and :math:`V' = Q_x R_x`, the design matrix is
:math:`J = (Q_y \otimes Q_x) K`, where K holds only products of entries of the two triangles. All rows count alike: then J and K
have the same R, whatever the condition of either, and :math:`Q' r` needs :math:`Q_y' r Q_x` alone, two thin matrix products. With
weights the orthonormal functions that span the columns, :math:`Z`, get a Gram matrix :math:`Z'WZ = R_1'R_1`, which is well
conditioned unless the weights leave out much of the grid; then :math:`R = R_1 R_0`. Where it isn't, the functions are made
orthonormal by R_1 and looked at once more (CholeskyQR2), block by block of rows; where even that is beyond double precision, the
columns themselves are factored by Householder QR of such blocks.

Either way a solve is two passes over the data: one for the right-hand side, one for the residual at the solution, whose products
with the columns correct the coefficients to the last digits and whose squares are chi-square, without cancellation.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dgeqrf, dtrcon, dtrtrs

from .condensed import Look, sound, within
from .gram import IllConditioned, triangle
from .grid import ONE, GridMoments
from .linear import Factor
from .problem import finite
from .products import Products, blocks

# numbers in a block of rows of the columns
TALL = 2_000_000
# numbers in a table of the functions that the factors of both axes make: beyond, rows by QR
MOST_NUMBERS = 50_000_000
# least reciprocal condition (1-norm) of the triangle of the weighted functions, which means a condition of some 400: errors keep
# eleven digits
SURE = 5e-4
# the same for R1 to be good enough to make them nearly orthonormal, so that a second one puts it right
ONCE_MORE = 1e-6


class LinearGrid:
    """
    The columns of a linear problem on a grid.

    Parameters
    ----------
    moments : GridMoments
        Of a problem without non-linear parameters.

    Attributes
    ----------
    way : str
        "grid" (factors), or "grid rows" (blocks of rows by QR).
    root : ndarray, shape (k, q)
        The columns in few rows: root root' = J'WJ, and its rows are those of R where there are weights.
    """

    def __init__(self, moments: GridMoments) -> None:
        self.y, self.w = moments.y, moments.w
        fixed, phi = moments.kernel.columns(np.empty(0))
        self.k = len(phi)
        self.columns = moments.products(phi)
        self.fixed = moments.products([fixed]) if fixed else None
        self.way = "grid rows"
        self._factors: tuple[np.ndarray, ...] | None = None
        self._triangle: Factor | None = None
        sizes = [min(F.shape) for F in (self.columns.U, self.columns.V)]
        functions = sizes[0] * sizes[1]
        # with weights all products of these functions are summed, which may cost more than rows of few columns
        weighted = self.w is None or functions**2 <= min(MOST_NUMBERS, self.y.size * self.k)
        if self.k * functions <= MOST_NUMBERS and weighted:
            try:
                self.root = self._by_factors()
                self.way = "grid"
            except IllConditioned:
                self._factors = None
        if self._factors is None:
            self.root = self._by_rows(None)[0]
            self._triangle = sound(self.root)

    # ---- the columns in few rows -----------------------------------------------------------------------------------------

    def _by_factors(self) -> np.ndarray:
        columns = self.columns
        Qy, Ry = np.linalg.qr(columns.U.T)
        Qx, Rx = np.linalg.qr(columns.V.T)
        if not (finite(Ry) and finite(Rx)):
            raise IllConditioned
        products = np.zeros((self.k, Ry.shape[0], Rx.shape[0]))
        for i, j, owner in zip(columns.iu, columns.iv, columns.owner, strict=True):
            products[owner] += Ry[:, i][:, None] * Rx[:, j]
        K = products.reshape(self.k, -1)
        if self.w is None:
            self._factors = Qy, Qx
            return K
        Q0, R0 = np.linalg.qr(K.T)
        u, v = Qy.shape[1], Qx.shape[1]
        places = np.divmod(np.arange(u * v), v)
        every = Products(np.ascontiguousarray(Qy.T), np.ascontiguousarray(Qx.T), *places, np.arange(u * v), u * v)
        R1, S = triangle(Q0.T @ every.gram(self.w) @ Q0, 0.0)
        sure = float(dtrcon(R1)[0])
        R1 = R1 * S
        if not sure > SURE:
            if not sure > ONCE_MORE:
                raise IllConditioned
            R1 = self._once_more(self.w, Qy, Qx, Q0, R1) @ R1
        self._factors = Qy, Qx, Q0, R1
        return np.ascontiguousarray((R1 @ R0).T)

    def _once_more(self, w: np.ndarray, Qy: np.ndarray, Qx: np.ndarray, Q0: np.ndarray, R1: np.ndarray) -> np.ndarray:
        """Triangle of the functions that R1 has made nearly orthonormal under the weights: what rounding has spoilt in R1."""
        n = Q0.shape[1]
        core = np.ascontiguousarray(Q0.T).reshape(n, Qy.shape[1], Qx.shape[1])
        G = np.zeros((n, n))
        rows = max(1, TALL // (n * self.y.shape[1]))
        for start in range(0, len(self.y), rows):
            part = slice(start, start + rows)
            block = (Qy[part] @ core) @ Qx.T
            block *= w[part]
            flat = dtrsm(1.0, R1, block.reshape(n, -1).T, side=1, overwrite_b=1).T
            G += flat @ flat.T
        R2, S = triangle(G, 0.5)
        return R2 * S

    def _by_rows(self, c: np.ndarray | None) -> tuple[np.ndarray, Look]:
        """Triangle of the columns and the residual beside them, block after block of rows."""
        n = self.k + 1
        top = np.zeros((0, n))
        rows = max(1, TALL // (n * self.y.shape[1]))
        for start in range(0, len(self.y), rows):
            part = slice(start, start + rows)
            block = np.empty((n, *self.y[part].shape))
            block[:-1] = self.columns.rows(part)
            block[-1] = self._residual(c, part, block[-1])
            if self.w is not None:
                block *= self.w[part]
            whole = np.concatenate([top, block.reshape(n, -1).T])
            top = np.triu(dgeqrf(whole, lwork=64 * n, overwrite_a=1)[0][:n])
        short = np.zeros((n, n))
        short[: len(top)] = top
        s = short[:-1, -1]
        return np.ascontiguousarray(short[:-1, :-1].T), (s, float(s @ s) + float(short[-1, -1] ** 2))

    # ---- passes over the data ----------------------------------------------------------------------------------------------

    def _residual(self, c: np.ndarray | None, part: slice, spare: np.ndarray) -> np.ndarray:
        """y - F on some rows, written to `spare` unless it is y itself."""
        block = self.y[part]
        for columns, values in ((self.columns, c), (self.fixed, ONE)):
            if columns is not None and values is not None:
                product = np.matmul(columns.U[:, part].T, columns.matrix(values) @ columns.V, out=spare if block is not spare else None)
                block = np.subtract(block, product, out=spare)
        return block

    def look(self, c: np.ndarray | None) -> Look:
        """
        The residual at coefficients c (None: at zero) in one pass.

        Returns
        -------
        s : ndarray, shape (q,)
            Its part within the columns: root s = J'Wr.
        chi2 : float
        """
        if self._factors is None and self._triangle is None:
            return self._by_rows(c)[1]
        y, x = (self.columns.U.T, self.columns.V.T) if self._factors is None else self._factors[:2]
        chi2, total = 0.0, np.zeros((y.shape[1], x.shape[1]))
        w = self.w
        flags = w is not None and w.dtype == bool
        for part, r in blocks(self.y.shape):
            block = self._residual(c, part, r)
            if w is not None:
                block = np.multiply(block, w[part], out=r)
            flat = block.reshape(-1)
            chi2 += float(flat @ flat)
            if w is not None and not flags:  # flags are their own squares
                block = np.multiply(block, w[part], out=r)
            total += y[part].T @ (block @ x)
        return self._in_rows(total), chi2

    def _in_rows(self, total: np.ndarray) -> np.ndarray:
        """s of `look` from the products of the residual with the functions of both axes."""
        if self._factors is None and self._triangle is not None:
            return within(self._triangle, self.columns.collect(total))
        if self._factors is None or self.w is None:
            return total.reshape(-1)
        Q0, R1 = self._factors[2:]
        return np.asarray(dtrtrs(R1, Q0.T @ total.reshape(-1), trans=1)[0])

    # ---- what is asked of columns -------------------------------------------------------------------------------------------

    def terms_size(self, c: np.ndarray) -> float:
        """No sum over the columns of the sizes of their terms is larger, anywhere on the grid."""
        columns = self.columns
        largest = np.abs(columns.U).max(axis=1, initial=0.0)[columns.iu] * np.abs(columns.V).max(axis=1, initial=0.0)[columns.iv]
        return float(np.abs(c)[columns.owner] @ largest)
