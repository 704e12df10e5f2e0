r"""
What all polynomial bases share: terms, columns, and the exact change from one to another.

With :math:`\phi_j = \sum_i W_{ji} m_i` (monomials :math:`m_i` of an inner variable), coefficients :math:`c` of one basis become
:math:`c' = V^{-T} W^T c` of another, and their covariance :math:`M C M^T` with the same matrix M. W and V are triangular in the
common order of terms, and everything is done in double-double: the numbers in W cancel by as many digits as the monomials
are badly conditioned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..exceptions import ShapeError
from ..kernels.dd import DD, dd_add, dd_div, dd_dot, dd_mul, dd_sum
from .basis import Basis, refuse_conversion
from .terms import Axis, Degree, Term, named

Map = tuple[DD, DD]  # factor and shift of one variable


class PolynomialBasis(Basis):
    """
    A basis of polynomials. A subclass has these attributes and overrides `axes`, `terms`, `expansion` and what `Basis` asks for.

    Attributes
    ----------
    degree : int or tuple of int
    domain : tuple of (low, high), or None
    total : bool
    """

    degree: Degree
    total: bool

    @property
    def nvars_known(self) -> int | None:
        """Number of variables, where domain, degrees or points tell it."""
        if self.domain is not None:
            return len(self.domain)
        return len(self.degree) if isinstance(self.degree, tuple) else None

    def axes(self, nvars: int) -> tuple[Axis, ...]:
        """The map of each variable to the inner one in which the basis is defined."""
        raise NotImplementedError

    def terms(self, nvars: int | None = None) -> tuple[Term, ...]:
        """Exponents of the monomials that the functions are made of; with each also all that divide it, by total degree."""
        raise NotImplementedError

    def expansion(self, maps: Sequence[Map]) -> DD:
        """
        The functions in monomials, (k, k) in double-double, row by function, column by term.

        Parameters
        ----------
        maps : sequence of (factor, shift)
            For each variable: inner variable = factor * u + shift; the monomials are those of the u.
        """
        raise NotImplementedError

    # ---- what follows from these ----------------------------------------------------------------------------------------

    def names(self, nvars: int | None = None) -> tuple[str, ...]:
        """Names for the coefficients: ``c{i}_{j}`` for degree i in the first and j in the second variable."""
        return named(self.terms(nvars))

    def transition(self, other: Basis, nvars: int | None = None) -> DD:
        """
        The matrix M of the change to another basis: its coefficients are ``M @ coef``.

        Parameters
        ----------
        other : Basis
            With all terms of this one, and perhaps more.
        nvars : int, optional
            Number of variables, where neither basis knows it.

        Returns
        -------
        hi, lo : ndarray, shape (k_other, k)
            In double-double.

        Raises
        ------
        ShapeError
            If the other basis lacks a term of this one.
        """
        if not isinstance(other, PolynomialBasis):
            refuse_conversion(self, other)
        nvars = nvars or self.nvars_known or other.nvars_known or 1
        mine, theirs = self.terms(nvars), other.terms(nvars)
        place = {term: i for i, term in enumerate(theirs)}
        lacking = [term for term in mine if term not in place]
        if lacking:
            msg = f"the other basis has no term of degree {lacking[0]}; give it degree={self.degree} and total={self.total}, or more"
            raise ShapeError(msg, lacking=tuple(lacking))
        # monomials of our inner variable, unless the other has none of its own: then of the plain one
        ours, others = self.axes(nvars), other.axes(nvars)
        frame = others if all(axis.centre == 0.0 and axis.scale == 1.0 for axis in others) else ours
        W = self.expansion([_between(one, base) for one, base in zip(ours, frame, strict=True)])
        V = other.expansion([_between(two, base) for two, base in zip(others, frame, strict=True)])
        target = tuple(np.zeros((len(theirs), len(mine))) for _ in range(2))
        rows = [place[term] for term in mine]
        for part, w in zip(target, W, strict=True):
            part[rows] = w.T
        return _solve_transposed(V, (target[0], target[1]))

    def convert(self, coef: Any, other: Basis, covar: Any = None) -> tuple[np.ndarray, np.ndarray | None]:
        """
        Coefficients in another basis, of the same polynomial.

        Parameters
        ----------
        coef : array_like, shape (k,)
        other : Basis
            With all terms of this one, and perhaps more.
        covar : array_like, shape (k, k), optional
            Covariance of the coefficients.

        Returns
        -------
        coef : ndarray, shape (k_other,)
        covar : ndarray, shape (k_other, k_other), or None

        Raises
        ------
        ShapeError
            If shapes or terms don't fit.

        Examples
        --------
        >>> from surffit.bases import Chebyshev, Horner
        >>> coef, _ = Chebyshev(2, domain=(0.0, 8.0)).convert([1.0, 2.0, 3.0], Horner(2))
        >>> coef.tolist()
        [2.0, -2.5, 0.375]
        """
        values = np.asarray(coef, dtype=float)
        nvars = self.nvars_known or other.nvars_known or 1
        k = len(self.terms(nvars))
        if values.shape != (k,):
            msg = f"coef has shape {values.shape}, but the basis has {k} terms; give one number for each"
            raise ShapeError(msg)
        matrix = self.transition(other, nvars)
        out = apply(matrix, values[:, None])[:, 0]
        if covar is None:
            return out, None
        square = np.asarray(covar, dtype=float)
        if square.shape != (k, k):
            msg = f"covar has shape {square.shape}, but the basis has {k} terms; give a square of that size"
            raise ShapeError(msg)
        half = apply_dd(matrix, square)
        mapped = _both_sides(matrix, half)
        return out, (mapped + mapped.T) / 2


def _between(axis: Axis, base: Axis) -> Map:
    """A variable's inner one as factor and shift of another inner one of the same variable."""
    one = (np.asarray(1.0), np.asarray(0.0))
    if axis == base:
        return one, (np.asarray(0.0), np.asarray(0.0))
    factor = dd_div((np.asarray(axis.scale), np.asarray(0.0)), (np.asarray(base.scale), np.asarray(0.0)))
    moved = dd_mul(factor, base.shift)
    return factor, dd_add(axis.shift, (-moved[0], -moved[1]))


def _solve_transposed(V: DD, b: DD) -> DD:
    """V' X = B for lower triangular V: back substitution, column block at once."""
    k = len(V[0])
    x = (np.zeros_like(b[0]), np.zeros_like(b[1]))
    for i in range(k - 1, -1, -1):
        row: DD = (b[0][i], b[1][i])
        for j in range(i + 1, k):
            v = V[0][j, i]
            if v != 0.0 or V[1][j, i] != 0.0:
                term = dd_mul((v, V[1][j, i]), (x[0][j], x[1][j]))
                row = dd_add(row, (-term[0], -term[1]))
        x[0][i], x[1][i] = dd_div(row, (V[0][i, i], V[1][i, i]))
    return x


def apply_dd(matrix: DD, b: np.ndarray) -> DD:
    """A double-double matrix times a plain one, (k, r), in double-double."""
    return dd_dot(b.T[None], matrix[0][:, None, :], matrix[1][:, None, :])


def apply(matrix: DD, b: np.ndarray) -> np.ndarray:
    """The same, rounded once."""
    high, low = apply_dd(matrix, b)
    return np.asarray(high + low)


def _both_sides(matrix: DD, half: DD) -> np.ndarray:
    """(M C) M', where both cancel."""
    a, b = (matrix[0][None], matrix[1][None]), (half[0][:, None, :], half[1][:, None, :])
    p = dd_mul(a, b)
    high, low = dd_sum(*p)
    return np.asarray(high + low)
