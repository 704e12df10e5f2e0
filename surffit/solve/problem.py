"""A fit as arrays: weighted rows, columns, derivatives and bounds.

A `Kernel` evaluates a model in whatever broadcastable shapes come naturally (a column that depends on x alone on an open
grid is only as long as x). `Problem` multiplies the rows once by 1/sigma and lays columns out parameter-major, (n, N) in
C order, so that the transpose is what LAPACK wants and no copy is made. Parameters stand in one order throughout:
non-linear ones `alpha` (m) first, then the linear ones `c` (k). Nothing here knows names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

EPS = float(np.finfo(float).eps)
# squares of anything outside this range leave float64
TINY, HUGE = 1e-100, 1e100


def finite(array: np.ndarray) -> bool:
    """Whether every entry is finite; one dot product where squares stay inside float64."""
    flat = array.reshape(-1)
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(flat).all())


class Kernel(Protocol):
    """What a model must offer: unweighted values and derivatives in broadcastable shapes."""

    def value(self, alpha: np.ndarray, c: np.ndarray) -> Any:
        """Model values."""

    def columns(self, alpha: np.ndarray) -> tuple[Any | None, Sequence[Any]]:
        """Part without the linear parameters (None if structurally zero), and the linear columns."""

    def full(self, alpha: np.ndarray, c: np.ndarray) -> tuple[Any, Sequence[Any | None]]:
        """Model values and their derivatives, non-linear parameters first; None is a structural zero."""

    def second(self, alpha: np.ndarray, c: np.ndarray) -> Sequence[tuple[int, int, Any]] | None:
        """Non-zero second derivatives (i, j, array), j <= i; None if they can't be had exactly."""

    def settle(self, alpha: np.ndarray, c: np.ndarray) -> None:
        """The walk has ended here: numerical derivatives may tune their steps."""

    def patch(self, alpha: np.ndarray, c: np.ndarray, value: Any, arrays: Sequence[Any | None]) -> Sequence[Any | None]:
        """Derivatives of `full` again, those recomputed numerically that are not finite where the value is."""


class Problem:
    """Weighted least squares of one data set: minimise |y - F(alpha, c)|^2 with rows already divided by sigma.

    Parameters
    ----------
    kernel : Kernel
        The model.
    y : ndarray
        Data, any shape that the kernel's arrays broadcast to; float64 or complex128.
    w : ndarray or None
        1/sigma, same shape as `y`; complex for separate weights of real and imaginary parts.
    m, k : int
        Number of non-linear and linear parameters.
    lower, upper : ndarray, shape (m + k,)
        Bounds; infinite where there is none.
    jac_error : float
        Relative error of the derivatives: 1e-15 for exact ones, larger for differences. It sets every rank tolerance.

    Attributes
    ----------
    y : ndarray, shape (N,)
        Weighted data; real and imaginary parts of complex data are interleaved.
    unit : float
        Power of two by which all rows were multiplied to keep squares inside float64 (1 for ordinary data).
    nfev, njev : int
        How often values and derivatives were computed.
    least_squares : bool
        True: `cost` is the sum of squares of the rows, so that elimination and marginalisation of linear parameters are exact.
        A problem around a problem (a loss, a prior) may say False.
    N, ndata : int
        Number of rows, and how many of them are data (a prior adds rows that are not).
    """

    least_squares = True

    def __init__(
        self,
        kernel: Kernel,
        y: np.ndarray,
        w: np.ndarray | None,
        m: int,
        k: int,
        lower: np.ndarray,
        upper: np.ndarray,
        jac_error: float = 1e-15,
    ) -> None:
        self.kernel = kernel
        y = np.atleast_1d(y)
        self.shape = y.shape
        self.complex = np.iscomplexobj(y)
        self.m, self.k, self.n = m, k, m + k
        self.lower, self.upper = lower, upper
        self.bounded = bool(np.isfinite(lower).any() or np.isfinite(upper).any())
        self.linear_bounded = k > 0 and bool(np.isfinite(lower[m:]).any() or np.isfinite(upper[m:]).any())
        self.jac_error = jac_error
        self.nfev = self.njev = 0
        self.data = y
        rows = np.ascontiguousarray(y).reshape(-1)
        if self.complex:
            rows = rows.view(float)
            if w is not None:
                w = np.ascontiguousarray(w).reshape(-1)
                w = w.view(float) if np.iscomplexobj(w) else np.repeat(w, 2)
        elif w is not None:
            w = np.ascontiguousarray(w, dtype=float).reshape(-1)
        weighted = rows if w is None else rows * w
        self.unit = 1.0
        # no temporary the size of the data
        largest = max(float(weighted.max(initial=0.0)), -float(weighted.min(initial=0.0)))
        if largest > 0.0 and not TINY < largest < HUGE:
            # a power of two is exact: no digit changes, only the exponents
            self.unit = float(np.ldexp(1.0, -int(np.frexp(largest)[1])))
            w = np.full(rows.shape, self.unit) if w is None else w * self.unit
            weighted = rows * w
            largest *= self.unit
        self.w = w
        self.y = weighted
        self.N = self.ndata = weighted.size
        self.noise = 8.0 * EPS * largest * math.sqrt(self.N)

    def _rows(self, arrays: Sequence[Any | None]) -> np.ndarray:
        """Broadcast to the data's shape, interleave complex parts, weight: (len(arrays), N)."""
        buffer = np.empty((len(arrays), *self.shape), dtype=complex if self.complex else float)
        for row, array in zip(buffer, arrays, strict=True):
            row[...] = 0.0 if array is None else array
        rows = buffer.reshape(len(arrays), -1 if arrays else self.N)
        if self.complex:
            rows = rows.view(float)
        if self.w is not None:
            rows *= self.w
        return rows

    def columns(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """What the linear parameters must explain, (N,), and their columns (k, N); None if not finite."""
        self.nfev += 1
        fixed, arrays = self.kernel.columns(alpha)
        phi = self._rows(arrays)
        target = self.y if fixed is None else self.y - self._rows([fixed])[0]
        return (target, phi) if finite(target) and finite(phi) else None

    def _left(self, value: Any) -> np.ndarray:
        """y - F for the model's values."""
        if not self.complex and type(value) is np.ndarray and value.shape == self.shape:
            rows = value.reshape(-1)
            return self.y - (rows if self.w is None else rows * self.w)
        return self.y - self._rows([value])[0]

    def residual(self, p: np.ndarray) -> np.ndarray:
        """Weighted residual y - F, shape (N,); may hold non-finite values."""
        self.nfev += 1
        return self._left(self.kernel.value(p[: self.m], p[self.m :]))

    def cost(self, p: np.ndarray) -> float:
        """What is minimised, in the rows' unit squared: chi2 here. Infinite where the model is not finite."""
        r = self.residual(p)
        chi2 = float(r.dot(r))
        return chi2 if math.isfinite(chi2) else math.inf

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Weighted residual (N,) and derivatives of the model (n, N); None if not finite."""
        self.nfev += 1
        self.njev += 1
        value, arrays = self.kernel.full(p[: self.m], p[self.m :])
        r, J = self._left(value), self._rows(arrays)
        if not finite(r):
            return None
        if not finite(J):
            arrays = self.kernel.patch(p[: self.m], p[self.m :], value, arrays)
            J = self._rows(arrays)
            if not finite(J):
                return None
        return r, J

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray | None:
        """Sum over rows of r_i times the Hessian of F_i, (n, n): the exact Hessian of chi2/2 is J'J minus this."""
        second = self.kernel.second(p[: self.m], p[self.m :])
        if second is None:
            return None
        B = np.zeros((self.n, self.n))
        if second:
            rows = r if self.w is None else r * self.w
            if self.complex:
                conjugate = (rows[0::2] - 1j * rows[1::2]).reshape(self.shape)
                for i, j, array in second:
                    B[i, j] = B[j, i] = np.sum(conjugate * array).real
            else:
                weights = rows.reshape(self.shape)
                for i, j, array in second:
                    whole = getattr(array, "shape", None) == self.shape
                    B[i, j] = B[j, i] = rows.dot(array.reshape(-1)) if whole else np.sum(weights * array)
        return B if finite(B) else None
