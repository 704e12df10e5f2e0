"""Sines and cosines: for what repeats itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..exceptions import ParameterError
from .basis import require_variables
from .product import ProductBasis
from .terms import MOST_TERMS, Degree, Domain, Term, checked_degree, checked_domain

TURN: tuple[float, float] = (0.0, 2.0 * math.pi)


@dataclass(frozen=True)
class Fourier(ProductBasis):
    r"""
    Products of 1, :math:`\cos k\theta`, :math:`\sin k\theta` with :math:`\theta = 2\pi (x - \mathrm{low})/(\mathrm{high} - \mathrm{low})`.

    Parameters
    ----------
    order : int or tuple of int
        Highest harmonic k, or one for each variable; there are 2 order + 1 functions in each variable.
    domain : tuple of (low, high), optional
        One period of each variable; a single pair for one variable. None: [0, 2 pi].
    nvars : int, optional
        Number of variables; None: as the other arguments say, else 1.

    Notes
    -----
    Coefficients are named by their factors, ``f`` and for each variable 0, ``c{k}`` or ``s{k}``: ``fc1_s2`` is that of
    cos(theta_x) sin(2 theta_y).

    Raises
    ------
    ParameterError
        For orders or periods that aren't such, or for different numbers of variables.

    Examples
    --------
    >>> basis = Fourier(1, domain=(0.0, 360.0))
    >>> basis.names()
    ('f0', 'fc1', 'fs1')
    >>> basis.columns([0.0, 90.0]).round(12).tolist()
    [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """

    order: Degree
    domain: Domain | None = None
    nvars: int | None = None

    begins_with_one = True

    def __post_init__(self) -> None:
        order, domain = checked_degree(self.order), checked_domain(self.domain)
        counts = {len(part) for part in (domain, order) if isinstance(part, tuple)} | ({self.nvars} if self.nvars is not None else set())
        if len(counts) > 1:
            msg = f"order={order}, domain={domain} and nvars={self.nvars} are for different numbers of variables"
            raise ParameterError(msg)
        nvars = counts.pop() if counts else 1
        domain = domain or (TURN,) * nvars
        for low, high in domain:
            if low == high:
                msg = f"domain={domain}: a period is longer than 0; give (low, high) of one whole period"
                raise ParameterError(msg)
        orders = order if isinstance(order, tuple) else (order,) * nvars
        k = math.prod(2 * n + 1 for n in orders)
        if k > MOST_TERMS:
            msg = f"order={order} in {nvars} variables makes {k} functions; the limit is {MOST_TERMS}"
            raise ParameterError(msg)
        for name, value in (("order", orders), ("domain", domain), ("nvars", nvars)):
            object.__setattr__(self, name, value)

    def terms(self, nvars: int | None = None) -> tuple[Term, ...]:
        """For each function the number of its factor in each variable: 0 is 1, 2k - 1 and 2k are cosine and sine of k theta."""
        require_variables(nvars or self.nvars or 1, self.nvars)
        return tuple(product(*(range(2 * n + 1) for n in self._orders)))

    def names(self, nvars: int | None = None) -> tuple[str, ...]:
        """Names for the coefficients, e.g. ``fc1_s2`` for cosine 1 of the first and sine 2 of the second variable."""
        return tuple("f" + "_".join(_factor(n) for n in term) for term in self.terms(nvars))

    @property
    def _orders(self) -> tuple[int, ...]:
        return self.order if isinstance(self.order, tuple) else (self.order,)

    def axis_functions(self, i: int, x: Any, order: int = 0) -> np.ndarray:
        """1, cosines and sines of one variable, (n, 2 order + 1); see `ProductBasis.axis_functions`."""
        angle, rate = self._angle(i, np.asarray(x, dtype=float).reshape(-1))
        out = np.zeros((angle.size, 2 * self._orders[i] + 1))
        out[:, 0] = order == 0
        for k in range(1, self._orders[i] + 1):
            cosine, sine = np.cos(k * angle), np.sin(k * angle)
            # each differentiation is a quarter turn
            for column, turned in ((2 * k - 1, (cosine, -sine, -cosine, sine)), (2 * k, (sine, cosine, -sine, -cosine))):
                out[:, column] = turned[order % 4] * (k * rate) ** order
        return out

    def axis_factors(self, i: int, x: Any, highest: int) -> list[Any]:
        """The same up to a number, for numbers, arrays, and symbols of a graph."""
        angle, _ = self._angle(i, x)
        out: list[Any] = [1.0]
        for k in range(1, (highest + 1) // 2 + 1):
            out += [np.cos(k * angle), np.sin(k * angle)]
        return out

    def _angle(self, i: int, x: Any) -> tuple[Any, float]:
        """The angle, and its rate of change."""
        low, high = (self.domain or (TURN,))[i]
        rate = 2.0 * math.pi / (high - low)
        return (x - low) * rate, rate


def _factor(n: int) -> str:
    return "0" if n == 0 else f"{'c' if n % 2 else 's'}{(n + 1) // 2}"
