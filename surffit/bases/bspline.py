r"""
B-splines: piecewise polynomials, each function at home on a few intervals only.

A surface made of them follows local features that a polynomial of any sensible degree rings at. Where data are scarce or noisy,
its roughness can be held down: the integral of the squared second derivatives (that of a bent thin plate),

.. math:: \int \sum_{|\alpha| = 2} \frac{2}{\alpha!} \left(\partial^\alpha f\right)^2 du,

over the domain, in variables u that go from 0 to 1 there.

References
----------
.. [1] C. de Boor, A Practical Guide to Splines (1978), Springer.
.. [2] P. H. C. Eilers, B. D. Marx, Statist. Sci. 11 (1996) 89, doi:10.1214/ss/1038425655.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..exceptions import ParameterError
from .basis import require_variables
from .product import ProductBasis
from .terms import MOST_TERMS, Domain, Term, checked_degree, checked_domain

Knots = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class BSpline(ProductBasis):
    """
    Tensor products of B-splines.

    Parameters
    ----------
    intervals : int or tuple of int
        Number of equal intervals of the domain, or one for each variable.
    domain : tuple of (low, high), optional
        The range of each variable; a single pair for one variable. None: [-1, 1].
    degree : int or tuple of int
        Of the pieces: 3 for cubic splines, which have continuous second derivatives; 1 for broken lines.
    knots : sequence of sequence of float, optional
        In place of `intervals` and `domain`: for each variable where pieces meet, increasing, the ends of the domain included. For
        one variable a single sequence.
    nvars : int, optional
        Number of variables, where the other arguments don't tell it.

    Notes
    -----
    There are intervals + degree functions in each variable. Beyond the domain the end pieces go on. Values come from
    `scipy.interpolate.BSpline`.

    Raises
    ------
    ParameterError
        For arguments that are no numbers of intervals, degrees or knots, or that disagree about the number of variables.

    Examples
    --------
    >>> basis = BSpline(4, domain=(0.0, 8.0), degree=1)
    >>> basis.columns([0.0, 1.0, 2.0, 8.0]).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
    >>> BSpline((4, 6), domain=((0, 8), (0, 1))).names()[:3]
    ('c0_0', 'c0_1', 'c0_2')
    """

    intervals: int | tuple[int, ...] | None = 8
    domain: Domain | None = None
    degree: int | tuple[int, ...] = 3
    knots: Any = None
    nvars: int | None = None

    def __post_init__(self) -> None:
        degree = checked_degree(self.degree)
        domain, knots = checked_domain(self.domain), _checked_knots(self.knots)
        if knots is not None:
            if domain is not None:
                msg = "knots and domain were given; the knots begin and end at the ends of the domain, so leave domain out"
                raise ParameterError(msg)
            domain = tuple((one[0], one[-1]) for one in knots)
        counts = {len(part) for part in (domain, degree, self.intervals if knots is None else None) if isinstance(part, tuple | list)}
        counts |= set() if self.nvars is None else {self.nvars}
        if len(counts) > 1:
            given = f"intervals={self.intervals}, domain={domain}, degree={degree} and nvars={self.nvars}"
            msg = f"{given} are for different numbers of variables"
            raise ParameterError(msg)
        nvars = counts.pop() if counts else 1
        domain = domain or ((-1.0, 1.0),) * nvars
        if knots is None:
            knots = tuple(_even(pair, count) for pair, count in zip(domain, checked_intervals(self.intervals, nvars), strict=True))
        degrees = degree if isinstance(degree, tuple) else (degree,) * nvars
        k = math.prod(len(one) - 1 + n for one, n in zip(knots, degrees, strict=True))
        if k > MOST_TERMS:
            msg = f"{[len(one) - 1 for one in knots]} intervals of degree {degree} make {k} functions; the limit is {MOST_TERMS}"
            raise ParameterError(msg)
        for name, value in (("degree", degrees), ("domain", domain), ("knots", knots), ("nvars", nvars)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "intervals", tuple(len(one) - 1 for one in knots))

    def terms(self, nvars: int | None = None) -> tuple[Term, ...]:
        """For each function the number of its B-spline in each variable, from 0."""
        require_variables(nvars or self.nvars or 1, self.nvars)
        return tuple(product(*(range(len(one) - 1 + n) for one, n in zip(self.knots, self._degrees, strict=True))))

    @property
    def _degrees(self) -> tuple[int, ...]:
        return self.degree if isinstance(self.degree, tuple) else (self.degree,)

    def axis_functions(self, i: int, x: Any, order: int = 0) -> np.ndarray:
        """The B-splines of one variable, (n, intervals + degree); see `ProductBasis.axis_functions`."""
        from scipy.interpolate import BSpline as Splines

        degree, inner = self._degrees[i], np.array(self.knots[i])
        low, high = inner[0], inner[-1]
        # in the domain's own variable: knots of 1e-300 or Julian dates make no difference there
        s = (np.asarray(x, dtype=float).reshape(-1) - low) / (high - low)
        t = np.concatenate([np.zeros(degree), (inner - low) / (high - low), np.ones(degree)])
        k = t.size - degree - 1
        if order > degree:
            return np.zeros((s.size, k))
        if order == 0 and np.isfinite(s).all():
            return np.asarray(Splines.design_matrix(s, t, degree, extrapolate=True).toarray())
        return np.asarray(Splines(t, np.eye(k), degree)(s, nu=order)) / (high - low) ** order

    def penalty(self) -> np.ndarray:
        """
        Rows R, (q, k), with ``|R c|**2`` the integral of the squared second derivatives (see the module).

        Examples
        --------
        >>> import numpy as np
        >>> basis = BSpline(5, domain=(0.0, 10.0))
        >>> parabola = np.linalg.lstsq(basis.columns(np.linspace(0, 10, 50)), np.linspace(0, 1, 50) ** 2)[0]
        >>> round(float(np.sum((basis.penalty() @ parabola) ** 2)), 9)  # of u**2 on [0, 1]: 2**2
        4.0
        """
        nvars = len(self.knots)
        roots = [[self._root(i, order) for order in range(3)] for i in range(nvars)]
        blocks = []
        for orders in product(range(3), repeat=nvars):
            if sum(orders) == 2:
                block = np.ones((1, 1))
                for one, order in zip(roots, orders, strict=True):
                    block = np.kron(block, one[order])
                blocks.append(math.sqrt(2.0 / math.prod(math.factorial(n) for n in orders)) * block)
        return np.concatenate(blocks)

    def _root(self, i: int, order: int) -> np.ndarray:
        """A root of the integrals of products of derivatives: triangular, from a Gauss rule that is exact on each interval."""
        degree, inner = self._degrees[i], np.array(self.knots[i])
        nodes, weights = np.polynomial.legendre.leggauss(degree + 1)
        half = 0.5 * np.diff(inner)
        x = (inner[:-1] + half)[:, None] + half[:, None] * nodes
        length = inner[-1] - inner[0]
        square = (half[:, None] * weights).reshape(-1) / length
        rows = np.sqrt(square)[:, None] * self.axis_functions(i, x, order) * length**order
        return np.asarray(np.linalg.qr(rows, mode="r"))


def checked_intervals(intervals: Any, nvars: int) -> tuple[int, ...]:
    """
    Numbers of intervals, one for each variable.

    Raises
    ------
    ParameterError
        If they aren't whole numbers from 1 up.
    """
    given = tuple(intervals) if isinstance(intervals, tuple | list) else (intervals,) * nvars
    if len(given) != nvars or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1 for n in given):
        msg = f"intervals={intervals!r}; give a whole number from 1 up, or a tuple with one for each variable"
        raise ParameterError(msg)
    return tuple(int(n) for n in given)


def _even(pair: tuple[float, float], count: int) -> tuple[float, ...]:
    low, high = pair
    if not low < high:
        msg = f"domain={pair}: splines need a range of more than one point"
        raise ParameterError(msg)
    return tuple(np.linspace(low, high, count + 1).tolist())


def _checked_knots(knots: Any) -> Knots | None:
    """Knots as tuples of floats; a single sequence is one variable's."""
    if knots is None:
        return None
    try:
        given = [knots] if np.ndim(knots[0]) == 0 else list(knots)
        out = tuple(tuple(float(value) for value in one) for one in given)
    except (TypeError, ValueError, IndexError, KeyError):
        out = ((),)
    if not out or any(len(one) < 2 or not np.isfinite(one).all() or (np.diff(one) <= 0).any() for one in out):
        msg = f"knots={knots!r}; give for each variable at least two finite numbers that increase, the ends of the domain included"
        raise ParameterError(msg)
    return out
