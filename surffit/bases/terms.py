"""Which terms a polynomial of several variables has, in which order, and the map of a domain onto [-1, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from ..exceptions import NonFiniteError, ParameterError
from ..kernels.dd import DD, two_prod

Term = tuple[int, ...]
Degree = int | tuple[int, ...]
Domain = tuple[tuple[float, float], ...]

MOST_TERMS = 5_000


def checked_degree(degree: Any) -> Degree:
    """
    A degree, or one for each variable, as plain whole numbers.

    Raises
    ------
    ParameterError
        If it is anything else, or negative.
    """
    several = isinstance(degree, tuple | list)
    numbers = tuple(degree) if several else (degree,)
    if not numbers or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in numbers):
        msg = f"degree={degree!r}; give a whole number from 0 up, or a tuple with one for each variable"
        raise ParameterError(msg)
    plain = tuple(int(n) for n in numbers)
    return plain if several else plain[0]


@lru_cache(maxsize=256)
def terms(degree: Degree, nvars: int, total: bool) -> tuple[Term, ...]:
    """
    Exponents of all terms, by total degree, powers of the first variable first.

    Parameters
    ----------
    degree : int or tuple of int
        Highest degree in each variable.
    nvars : int
    total : bool
        Whether the sum of the degrees is limited, too, by the highest of them.

    Returns
    -------
    tuple of tuple of int
        With every term also all those that divide it.

    Examples
    --------
    >>> terms(2, 2, True)
    ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
    """
    degrees = degree if isinstance(degree, tuple) else (degree,) * nvars
    if len(degrees) != nvars:
        msg = f"degree={degree} is for {len(degrees)} variables, but there are {nvars}"
        raise ParameterError(msg)
    limit = max(degrees) if total else sum(degrees)
    count = math.comb(limit + nvars, nvars) if total else math.prod(n + 1 for n in degrees)
    if count > MOST_TERMS:
        msg = f"degree={degree} in {nvars} variables makes {count} terms; the limit is {MOST_TERMS}"
        raise ParameterError(msg)
    found = [term for term in product(*(range(n + 1) for n in degrees)) if sum(term) <= limit]
    return tuple(sorted(found, key=lambda term: (sum(term), tuple(-n for n in term))))


def named(known: Sequence[Term], first: str = "c") -> tuple[str, ...]:
    """
    Names of coefficients by their terms.

    Examples
    --------
    >>> named(terms(1, 2, True))
    ('c0_0', 'c1_0', 'c0_1')
    """
    return tuple(first + "_".join(map(str, term)) for term in known)


@dataclass(frozen=True)
class Axis:
    """The map ``s = (x - centre) * scale`` of one variable; both are exact float64 numbers."""

    centre: float
    scale: float

    @property
    def shift(self) -> DD:
        """-centre * scale, exactly."""
        return two_prod(np.asarray(-self.centre), np.asarray(self.scale))

    def __call__(self, x: Any) -> Any:
        """The inner variable, for numbers, arrays, and symbols of a graph."""
        if self.centre == 0.0 and self.scale == 1.0:
            return x
        # the difference first: with an offset far larger than the domain, x * scale would lose digits
        return (x - self.centre) * self.scale


IDENTITY = Axis(0.0, 1.0)


def axis(low: float, high: float) -> Axis:
    """The map of [low, high] onto [-1, 1]; of a single point onto 0, with a unit of its own size."""
    half = 0.5 * high - 0.5 * low
    return Axis(0.5 * high + 0.5 * low, 1.0 / half if half > 0.0 and math.isfinite(1.0 / half) else 1.0 / (abs(low) or 1.0))


def checked_domain(domain: Any) -> Domain | None:
    """
    A domain as pairs of floats; a single pair is one variable's.

    Raises
    ------
    ParameterError
        If it isn't made of pairs of finite numbers, the lower one first.
    """
    if domain is None:
        return None
    try:
        array = np.asarray(domain, dtype=float)
    except (TypeError, ValueError):
        array = np.empty(0)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all() or (array[:, 0] > array[:, 1]).any():
        msg = f"domain={domain!r}; give (low, high) for one variable, or one such pair for each"
        raise ParameterError(msg)
    return tuple((float(low), float(high)) for low, high in array)


def domain_of(coords: Sequence[Any]) -> Domain:
    """Smallest and largest value of each coordinate."""
    out = []
    for i, values in enumerate(coords):
        array = np.asarray(values, dtype=float)
        low, high = (float(array.min()), float(array.max())) if array.size else (math.nan, math.nan)
        if not (math.isfinite(low) and math.isfinite(high)):
            msg = f"coordinate {i + 1} is empty or not finite everywhere, so it has no domain; give the basis a domain"
            raise NonFiniteError(msg)
        out.append((low, high))
    return tuple(out)
