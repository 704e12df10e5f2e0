"""Monomials in Horner's form, and the classical polynomials that three-term recurrences make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..exceptions import ParameterError
from ..kernels.dd import DD, dd_add, dd_div, dd_mul
from .basis import Basis, Map, require_variables
from .terms import IDENTITY, Axis, Degree, Domain, Term, axis, checked_degree, checked_domain, terms


@dataclass(frozen=True)
class _Product(Basis):
    """Products of polynomials of one variable each; a subclass says which."""

    degree: Degree
    domain: Domain | None = None
    nvars: int | None = field(default=None, kw_only=True)
    total: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", checked_degree(self.degree))
        object.__setattr__(self, "domain", checked_domain(self.domain))
        counts = {len(part) for part in (self.domain, self.degree) if isinstance(part, tuple)}
        if self.nvars is not None:
            counts.add(self.nvars)
        if len(counts) > 1 or counts == {0}:
            msg = f"degree={self.degree}, domain={self.domain} and nvars={self.nvars} are for different numbers of variables"
            raise ParameterError(msg)
        object.__setattr__(self, "nvars", counts.pop() if counts else None)

    @property
    def nvars_known(self) -> int | None:
        return self.nvars

    def terms(self, nvars: int | None = None) -> tuple[Term, ...]:
        """Degrees of each function in each variable, by total degree; `nvars` where the basis doesn't know it."""
        return terms(self.degree, require_variables(nvars or self.nvars or 1, self.nvars), bool(self.total))

    def axes(self, nvars: int) -> tuple[Axis, ...]:
        """The map of each variable onto [-1, 1]; none without a domain."""
        require_variables(nvars, self.nvars)
        return (IDENTITY,) * nvars if self.domain is None else tuple(axis(*pair) for pair in self.domain)

    def evaluate(self, coef: Sequence[Any], coords: Sequence[Any]) -> Any:
        """The sum of coefficients times functions, for numbers, arrays, and symbols of a graph."""
        known = self.terms(len(coords))
        inner = [one(x) for one, x in zip(self.axes(len(coords)), coords, strict=True)]
        return self._nested(list(zip(known, coef, strict=True)), 0, inner, self._factors(known, inner))

    def _factors(self, known: tuple[Term, ...], inner: list[Any]) -> list[list[Any]]:
        return [self._functions(s, max(term[i] for term in known)) for i, s in enumerate(inner)]

    def _nested(self, entries: list[tuple[Term, Any]], i: int, inner: list[Any], factors: list[list[Any]]) -> Any:
        """Sums inside sums: every function of the first variable is multiplied once."""
        if i == len(inner):
            return entries[0][1]
        groups: dict[int, list[tuple[Term, Any]]] = {}
        for term, c in entries:
            groups.setdefault(term[i], []).append((term, c))
        out: Any = None
        for n, group in sorted(groups.items()):
            part = self._nested(group, i + 1, inner, factors)
            part = part * factors[i][n] if n else part
            out = part if out is None else out + part
        return out

    def columns(self, *coords: Any) -> np.ndarray:
        """The functions at coordinates; see `Basis.columns`."""
        arrays = [np.asarray(values, dtype=float) for values in coords]
        known = self.terms(require_variables(len(arrays), self.nvars))
        inner = [one(x) for one, x in zip(self.axes(len(arrays)), arrays, strict=True)]
        factors = self._factors(known, inner)
        out = np.ones((len(known), *np.broadcast_shapes(*(a.shape for a in arrays))))
        for column, term in zip(out, known, strict=True):
            for i, n in enumerate(term):
                if n:
                    column *= factors[i][n]
        return np.ascontiguousarray(out.reshape(len(known), -1).T)

    def expansion(self, maps: Sequence[Map]) -> DD:
        """The functions in monomials; see `Basis.expansion`."""
        known = self.terms(len(maps))
        singles = [self._expanded(max(term[i] for term in known), one) for i, one in enumerate(maps)]
        rows = [np.array([term[i] for term in known]) for i in range(len(maps))]
        out: DD = (np.ones((len(known), len(known))), np.zeros((len(known), len(known))))
        for (high, low), n in zip(singles, rows, strict=True):
            out = dd_mul(out, (high[np.ix_(n, n)], low[np.ix_(n, n)]))
        return out

    def _expanded(self, degree: int, one: Map) -> DD:
        """Functions of one variable in monomials, (degree + 1, degree + 1)."""
        factor, shift = one
        high, low = np.zeros((degree + 1, degree + 1)), np.zeros((degree + 1, degree + 1))
        high[0, 0] = 1.0
        for n in range(degree):
            before: DD = (high[n], low[n])
            shifted: DD = (np.roll(before[0], 1), np.roll(before[1], 1))  # the last entry is still 0
            new = dd_add(dd_mul(factor, shifted), dd_mul(shift, before))
            times, less = self._recurrence(n)
            new = dd_mul(times, new)
            if n:
                gone = dd_mul(less, (high[n - 1], low[n - 1]))
                new = dd_add(new, (-gone[0], -gone[1]))
            high[n + 1], low[n + 1] = new
        return high, low

    def _functions(self, s: Any, degree: int) -> list[Any]:
        """The functions of one variable at s, degree 0 to `degree`."""
        out: list[Any] = [1.0, s]
        for n in range(1, degree):
            times, less = (float(high) for high, _ in self._recurrence(n))
            out.append(times * s * out[n] - (out[n - 1] if less == 1.0 else less * out[n - 1]))
        return out

    @staticmethod
    def _recurrence(n: int) -> tuple[DD, DD]:
        """a, b of ``phi[n+1] = a s phi[n] - b phi[n-1]``, in double-double."""
        raise NotImplementedError


def _number(value: float) -> DD:
    return np.asarray(float(value)), np.asarray(0.0)


@dataclass(frozen=True)
class Chebyshev(_Product):
    r"""
    Chebyshev polynomials of the first kind, :math:`T_i(s)\,T_j(t) \ldots`, on a domain.

    Parameters
    ----------
    degree : int or tuple of int
        Highest degree, or one for each variable.
    domain : tuple of (low, high), optional
        What is mapped onto [-1, 1] for each variable; a single pair for one variable. None: [-1, 1] itself.
    nvars : int, optional
        Number of variables; None: as the domain says, else as many as there are coordinates.
    total : bool
        Whether the sum of the degrees is limited, too (by the highest of them), or only each one.

    Examples
    --------
    >>> Chebyshev(2, domain=(0.0, 10.0)).columns([0.0, 5.0, 10.0]).tolist()
    [[1.0, -1.0, 1.0], [1.0, 0.0, -1.0], [1.0, 1.0, 1.0]]
    """

    @staticmethod
    def _recurrence(n: int) -> tuple[DD, DD]:
        return _number(2.0 if n else 1.0), _number(1.0)


@dataclass(frozen=True)
class Legendre(_Product):
    r"""
    Legendre polynomials, :math:`P_i(s)\,P_j(t) \ldots`, on a domain: orthogonal under a constant weight there.

    Parameters
    ----------
    degree : int or tuple of int
        Highest degree, or one for each variable.
    domain : tuple of (low, high), optional
        What is mapped onto [-1, 1] for each variable; a single pair for one variable. None: [-1, 1] itself.
    nvars : int, optional
        Number of variables; None: as the domain says, else as many as there are coordinates.
    total : bool
        Whether the sum of the degrees is limited, too (by the highest of them), or only each one.

    Examples
    --------
    >>> Legendre(2).columns([0.0, 1.0]).tolist()
    [[1.0, 0.0, -0.5], [1.0, 1.0, 1.0]]
    """

    @staticmethod
    def _recurrence(n: int) -> tuple[DD, DD]:
        return dd_div(_number(2 * n + 1), _number(n + 1)), dd_div(_number(n), _number(n + 1))


@dataclass(frozen=True)
class Horner(_Product):
    """
    Monomials, ``x**i * y**j ...``, evaluated in Horner's form.

    Fit high degrees in another basis and convert: on coordinates of any size the columns of monomials are nearly alike.

    Parameters
    ----------
    degree : int or tuple of int
        Highest degree, or one for each variable.
    domain : None
        Monomials have none; anything else is refused.
    nvars : int, optional
        Number of variables; None: as many as there are coordinates.
    total : bool
        Whether the sum of the degrees is limited, too (by the highest of them), or only each one.

    Examples
    --------
    >>> Horner(2).columns([2.0, 3.0]).tolist()
    [[1.0, 2.0, 4.0], [1.0, 3.0, 9.0]]
    """

    def __post_init__(self) -> None:
        if self.domain is not None:
            msg = f"domain={self.domain!r}: monomials have no domain; leave it out, or take Chebyshev or Legendre"
            raise ParameterError(msg)
        super().__post_init__()

    def _factors(self, known: tuple[Term, ...], inner: list[Any]) -> list[list[Any]]:
        return []

    def _nested(self, entries: list[tuple[Term, Any]], i: int, inner: list[Any], factors: list[list[Any]]) -> Any:
        if i == len(inner):
            return entries[0][1]
        groups: dict[int, list[tuple[Term, Any]]] = {}
        for term, c in entries:
            groups.setdefault(term[i], []).append((term, c))
        out: Any = None
        for n in range(max(groups), -1, -1):
            part = self._nested(groups[n], i + 1, inner, factors)
            out = part if out is None else part + inner[i] * out
        return out

    def columns(self, *coords: Any) -> np.ndarray:
        """The monomials at coordinates; see `Basis.columns`."""
        arrays = [np.asarray(values, dtype=float) for values in coords]
        known = self.terms(require_variables(len(arrays), self.nvars))
        out = np.ones((len(known), *np.broadcast_shapes(*(a.shape for a in arrays))))
        for column, term in zip(out, known, strict=True):
            for x, n in zip(arrays, term, strict=True):
                if n:
                    column *= x**n
        return np.ascontiguousarray(out.reshape(len(known), -1).T)

    @staticmethod
    def _recurrence(n: int) -> tuple[DD, DD]:
        return _number(1.0), _number(0.0)
