r"""
What all polynomial bases share: terms, columns, and the exact change from one to another.

With :math:`\phi_j = \sum_i W_{ji} m_i` (monomials :math:`m_i` of an inner variable), coefficients :math:`c` of one basis become
:math:`c' = V^{-T} W^T c` of another, and their covariance :math:`M C M^T` with the same matrix M. Everything is done in
double-double: the numbers in W cancel by as many digits as the monomials are badly conditioned. For products of polynomials
W and V are triangular in the common order of terms.

The coefficients that come out are exact to their last digit, and that may still not be enough: where ``sum |c_i m_i(x)|`` is
1e10 times the polynomial itself, sums of rounded coefficients have ten digits less. `PolynomialBasis.convert` says so.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..exceptions import ConditionWarning, ShapeError
from ..kernels.dd import DD, dd_add, dd_div, dd_dot, dd_mul, dd_sum
from .basis import Basis, refuse_conversion
from .terms import Axis, Degree, Term, named

EPS = 2.0**-53
ENOUGH = 6.0  # digits, as single precision has them: fewer are worth a warning
POINTS = 400  # of the domain, at which digits are counted

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

    def sample(self, nvars: int) -> np.ndarray:
        """Some points of the domain, mapped onto [-1, 1], (nvars, n): where digits are counted."""
        share = np.random.default_rng(0).uniform(-1.0, 1.0, size=(nvars, POINTS))
        share[:, :2] = [-1.0, 1.0]  # sums are largest at an end
        return share

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
        ParameterError
            If the other basis is none of polynomials.

        Warns
        -----
        ConditionWarning
            If sums of the new coefficients in double precision keep fewer than six digits somewhere on the domain. The sentence and
            ``warning.digits`` name how many are left.

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
        assert isinstance(other, PolynomialBasis)  # noqa: S101 - for the type checker: `transition` refuses others
        _warn_of_lost_digits(self, values, other, out, nvars)
        if covar is None:
            return out, None
        square = np.asarray(covar, dtype=float)
        if square.shape != (k, k):
            msg = f"covar has shape {square.shape}, but the basis has {k} terms; give a square of that size"
            raise ShapeError(msg)
        half = apply_dd(matrix, square)
        mapped = _both_sides(matrix, half)
        return out, (mapped + mapped.T) / 2


def digits_left(one: PolynomialBasis, coef: np.ndarray, other: PolynomialBasis, out: np.ndarray, nvars: int) -> float:
    """
    Decimal digits that sums of a basis's rounded coefficients keep, of the largest value of the polynomial on the domain.

    Parameters
    ----------
    one, coef
        The polynomial in the basis it came from.
    other, out
        The same in the basis whose sums are judged.
    nvars : int

    Returns
    -------
    float
        -log10 of eps times the largest ``sum |c_i f_i|`` over the largest ``|sum c_i f_i|``.
    """
    domain = one.domain or other.domain or ((-1.0, 1.0),) * nvars
    share = next((basis for basis in (one, other) if basis.domain), one).sample(nvars)
    points = [0.5 * (low + high) + 0.5 * (high - low) * part for part, (low, high) in zip(share, domain, strict=True)]
    with np.errstate(all="ignore"):
        value = np.abs(one.columns(*points) @ coef).max()
        size = (np.abs(other.columns(*points)) @ np.abs(out)).max()
        return float(-np.log10(EPS * size / value)) if value > 0.0 and np.isfinite(size) else math.nan


def _warn_of_lost_digits(one: PolynomialBasis, coef: np.ndarray, other: PolynomialBasis, out: np.ndarray, nvars: int) -> None:
    left = digits_left(one, coef, other, out, nvars)
    if left < ENOUGH:
        kept = f"about {left:.0f} of 16 digits" if left >= 0.5 else "none of their 16 digits"
        kind = type(other).__name__
        cure = "give Horner the same domain=, or evaluate" if kind == "Horner" and other.domain is None else "evaluate"
        msg = f"sums of these {kind} coefficients in double precision keep {kept} on the domain; {cure} in the {type(one).__name__} basis"
        warnings.warn(ConditionWarning(msg, digits=max(left, 0.0)), stacklevel=3)


def _between(axis: Axis, base: Axis) -> Map:
    """A variable's inner one as factor and shift of another inner one of the same variable."""
    one = (np.asarray(1.0), np.asarray(0.0))
    if axis == base:
        return one, (np.asarray(0.0), np.asarray(0.0))
    factor = dd_div((np.asarray(axis.scale), np.asarray(0.0)), (np.asarray(base.scale), np.asarray(0.0)))
    moved = dd_mul(factor, base.shift)
    return factor, dd_add(axis.shift, (-moved[0], -moved[1]))


def _solve_transposed(V: DD, b: DD) -> DD:
    """V' X = B: back substitution, column block at once; V is lower triangular, or made so."""
    if np.triu(V[0], 1).any():
        V, b = _triangular(V, b)
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


def _triangular(V: DD, b: DD) -> tuple[DD, DD]:
    """V' X = B with V made lower triangular: elimination with the largest pivot."""
    A: DD = (V[0].T.copy(), V[1].T.copy())
    B: DD = (b[0].copy(), b[1].copy())
    for i in range(len(A[0]) - 1):
        pivot = i + int(np.argmax(np.abs(A[0][i:, i])))
        for part in (*A, *B):
            part[[i, pivot]] = part[[pivot, i]]
        rows = i + 1 + np.flatnonzero(A[0][i + 1 :, i])
        factor = dd_div((A[0][rows, i], A[1][rows, i]), (A[0][i, i], A[1][i, i]))
        factor = (factor[0][:, None], factor[1][:, None])
        for M in (A, B):
            gone = dd_mul(factor, (M[0][i], M[1][i]))
            M[0][rows], M[1][rows] = dd_add((M[0][rows], M[1][rows]), (-gone[0], -gone[1]))
        A[0][rows, i] = A[1][rows, i] = 0.0
    return (A[0].T, A[1].T), B


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
