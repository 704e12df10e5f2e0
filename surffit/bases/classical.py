"""Monomials in Horner's form, and the classical polynomials that three-term recurrences make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..exceptions import ParameterError
from ..kernels.dd import DD, dd_add, dd_div, dd_mul
from .basis import require_variables
from .polynomial import Map, PolynomialBasis
from .product import ProductBasis
from .terms import IDENTITY, Axis, Degree, Domain, Term, axis, checked_degree, checked_domain, terms


@dataclass(frozen=True)
class Classical(ProductBasis, PolynomialBasis):
    """
    Products of polynomials of one variable each, made by three-term recurrences.

    Parameters
    ----------
    degree : int or tuple of int
        Highest degree, or one for each variable.
    domain : tuple of (low, high), optional
        What is mapped onto [-1, 1] for each variable; a single pair for one variable. None: the variable itself.
    nvars : int, optional
        Number of variables; None: as the domain says, else as many as there are coordinates.
    total : bool
        Whether the sum of the degrees is limited, too (by the highest of them), or only each one.
    """

    degree: Degree
    domain: Domain | None = None
    nvars: int | None = field(default=None, kw_only=True)
    total: bool = field(default=True, kw_only=True)

    begins_with_one = True

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
        """Number of variables, where domain, degrees or `nvars` tell it."""
        return self.nvars

    def terms(self, nvars: int | None = None) -> tuple[Term, ...]:
        """Degrees of each function in each variable, by total degree; `nvars` where the basis doesn't know it."""
        return terms(self.degree, require_variables(nvars or self.nvars or 1, self.nvars), bool(self.total))

    def axes(self, nvars: int) -> tuple[Axis, ...]:
        """The map of each variable onto [-1, 1]; none without a domain."""
        require_variables(nvars, self.nvars)
        return (IDENTITY,) * nvars if self.domain is None else tuple(axis(*pair) for pair in self.domain)

    def axis_functions(self, i: int, x: Any, order: int = 0) -> np.ndarray:
        """The polynomials of one variable, (n, degree + 1); see `ProductBasis.axis_functions`."""
        one, degree = self._axis(i)
        s = one(np.asarray(x, dtype=float).reshape(-1))
        below: list[Any] = []
        for d in range(order + 1):
            below = self._derived(s, degree, d, below)
        out = np.empty((degree + 1, s.size))
        for row, function in zip(out, below, strict=True):
            row[:] = function
        return out.T * one.scale**order if order else out.T

    def axis_factors(self, i: int, x: Any, highest: int) -> list[Any]:
        """The polynomials of one variable up to a degree, for numbers, arrays, and symbols of a graph."""
        return self._derived(self._axis(i)[0](x), highest, 0, [])

    def _axis(self, i: int) -> tuple[Axis, int]:
        """Map and highest degree of one variable."""
        return self.axes(self.nvars or i + 1)[i], self.degree[i] if isinstance(self.degree, tuple) else self.degree

    def _derived(self, s: Any, degree: int, d: int, below: list[Any]) -> list[Any]:
        """Derivatives of order d, with those of one order less: ``phi[n+1] = a s phi[n] - b phi[n-1]`` differentiated d times."""
        out: list[Any] = [1.0, s] if d == 0 else [0.0, 1.0 if d == 1 else 0.0]
        for n in range(1, degree):
            times, less = (float(high) for high, _ in self._recurrence(n))
            up = times * s * out[n] if d == 0 else times * (s * out[n] + d * below[n])
            out.append(up - (out[n - 1] if less == 1.0 else less * out[n - 1]))
        return out[: degree + 1]

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

    @staticmethod
    def _recurrence(n: int) -> tuple[DD, DD]:
        """a, b of ``phi[n+1] = a s phi[n] - b phi[n-1]``, in double-double."""
        raise NotImplementedError


def _number(value: float) -> DD:
    return np.asarray(float(value)), np.asarray(0.0)


@dataclass(frozen=True)
class Chebyshev(Classical):
    r"""
    Chebyshev polynomials of the first kind, :math:`T_i(s)\,T_j(t) \ldots`, on a domain.

    Arguments as for `Classical`: degree, domain, nvars, total.

    Examples
    --------
    >>> Chebyshev(2, domain=(0.0, 10.0)).columns([0.0, 5.0, 10.0]).tolist()
    [[1.0, -1.0, 1.0], [1.0, 0.0, -1.0], [1.0, 1.0, 1.0]]
    """

    @staticmethod
    def _recurrence(n: int) -> tuple[DD, DD]:
        return _number(2.0 if n else 1.0), _number(1.0)


@dataclass(frozen=True)
class Legendre(Classical):
    r"""
    Legendre polynomials, :math:`P_i(s)\,P_j(t) \ldots`, on a domain: orthogonal under a constant weight there.

    Arguments as for `Classical`: degree, domain, nvars, total.

    Examples
    --------
    >>> Legendre(2).columns([0.0, 1.0]).tolist()
    [[1.0, 0.0, -0.5], [1.0, 1.0, 1.0]]
    """

    @staticmethod
    def _recurrence(n: int) -> tuple[DD, DD]:
        return dd_div(_number(2 * n + 1), _number(n + 1)), dd_div(_number(n), _number(n + 1))


@dataclass(frozen=True)
class Horner(Classical):
    """
    Monomials, ``x**i * y**j ...``, evaluated in Horner's form.

    For results that people read. Fit high degrees in another basis and convert: on coordinates of any size the columns of
    monomials are nearly alike. With a domain they are monomials of its own variable s, which goes from -1 to 1: as easy to read,
    with coefficients that keep their digits.

    Arguments as for `Classical`: degree, domain, nvars, total.

    Examples
    --------
    >>> Horner(2).columns([2.0, 3.0]).tolist()
    [[1.0, 2.0, 4.0], [1.0, 3.0, 9.0]]
    >>> Horner(2, domain=(2000.0, 2010.0)).columns([2000.0, 2005.0, 2010.0]).tolist()
    [[1.0, -1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """

    def axis_functions(self, i: int, x: Any, order: int = 0) -> np.ndarray:
        """The powers of one variable, (n, degree + 1); see `ProductBasis.axis_functions`."""
        one, degree = self._axis(i)
        s = one(np.asarray(x, dtype=float).reshape(-1))
        powers = np.arange(degree + 1)
        times = np.array([math.perm(n, order) * one.scale**order for n in powers.tolist()], dtype=float)
        return times * s[:, None] ** np.maximum(powers - order, 0)

    def axis_factors(self, i: int, x: Any, highest: int) -> list[Any]:
        """The variable alone: nesting needs no powers."""
        return [self._axis(i)[0](x)]

    def nested(self, entries: list[tuple[Term, Any]], i: int, factors: list[list[Any]]) -> Any:
        """Horner's form: ``(c2 x + c1) x + c0``, with such sums of the other variables as coefficients."""
        if i == len(factors):
            return entries[0][1]
        groups: dict[int, list[tuple[Term, Any]]] = {}
        for term, c in entries:
            groups.setdefault(term[i], []).append((term, c))
        out: Any = None
        for n in range(max(groups), -1, -1):
            part = self.nested(groups[n], i + 1, factors)
            out = part if out is None else part + factors[i][0] * out
        return out

    @staticmethod
    def _recurrence(n: int) -> tuple[DD, DD]:
        return _number(1.0), _number(0.0)
