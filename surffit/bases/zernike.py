r"""
Zernike's polynomials on a disc or an annulus.

With :math:`u = x^2 + y^2`, a function of orders n, m is the real or imaginary part of :math:`p_k(u)\,(x + iy)^{|m|}`,
:math:`k = (n - |m|)/2`, where the :math:`p_k` are orthonormal under the weight :math:`u^{|m|}` on [obscuration^2, 1]. They obey
a three-term recurrence in u, whose coefficients Stieltjes' procedure gives on the nodes of a Gauss rule that is exact for
them. So nothing cancels at high orders, nothing is singular at the centre, and derivatives follow the same recurrence.

References
----------
.. [1] R. J. Noll, J. Opt. Soc. Am. 66 (1976) 207, doi:10.1364/JOSA.66.000207.
.. [2] V. N. Mahajan, J. Opt. Soc. Am. 71 (1981) 75, doi:10.1364/JOSA.71.000075 (annular).
.. [3] W. Gautschi, Orthogonal Polynomials (2004), Oxford University Press, section 2.2 (Stieltjes' procedure).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from ..exceptions import ParameterError
from ..kernels.dd import DD, dd_add, dd_mul
from .basis import checked_orders, require_variables
from .polynomial import Map, PolynomialBasis
from .terms import Axis, Domain, Term, axis, checked_domain, terms
from .zernike_index import noll_to_nm, osa_to_nm, zernike_name

HIGHEST = 60  # radial order; beyond, (x + iy)^m has no digits left near the centre
UNIT: Domain = ((-1.0, 1.0), (-1.0, 1.0))
INDEXINGS = {"noll": (noll_to_nm, 1), "osa": (osa_to_nm, 0)}

Recurrence = tuple[float, tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Zernike(PolynomialBasis):
    r"""
    Zernike's polynomials in x and y: orthonormal on a disc, or an annulus.

    The mean of :math:`Z_i Z_j` over the disc is 1 for i = j, else 0, so that a coefficient is the rms of its aberration and their
    squares add up to the variance of the wavefront. On points that cover the disc evenly, coefficients are nearly uncorrelated.

    Parameters
    ----------
    order : int
        Highest radial order n; there are (n + 1)(n + 2)/2 functions.
    indexing : {"noll", "osa"}
        In which order they come: Noll's (j from 1), or that of OSA and ANSI (j from 0).
    obscuration : float
        Radius of the central hole over that of the disc, 0 <= obscuration < 1. With a hole the functions are orthonormal on the ring.
    domain : tuple of (low, high)
        The square in x and y around the disc. Default: [-1, 1] each.

    Notes
    -----
    They are polynomials, and go on outside of the disc, where they grow fast. `orders` has n and m of each, `titles` the name that
    opticians give it.

    Raises
    ------
    ParameterError
        For an order that is no whole number from 0 to 60, an unknown indexing, a hole as large as the disc, or a bad domain.

    Examples
    --------
    >>> basis = Zernike(2)
    >>> basis.names()
    ('z1', 'z2', 'z3', 'z4', 'z5', 'z6')
    >>> basis.titles[3]
    'defocus'
    >>> [round(value, 6) for value in basis.columns(0.0, 1.0)[0].tolist()]  # sqrt(3) (2 r^2 - 1) for defocus
    [1.0, 0.0, 2.0, 1.732051, 0.0, -2.44949]
    """

    order: int
    indexing: str = "noll"
    obscuration: float = 0.0
    domain: Domain | None = UNIT

    def __post_init__(self) -> None:
        if isinstance(self.order, bool) or not isinstance(self.order, int | np.integer) or not 0 <= self.order <= HIGHEST:
            msg = f"order={self.order!r}; the highest radial order is a whole number from 0 to {HIGHEST}"
            raise ParameterError(msg)
        if self.indexing not in INDEXINGS:
            msg = f'indexing={self.indexing!r}; use "noll" (from 1) or "osa" (from 0)'
            raise ParameterError(msg)
        if not (isinstance(self.obscuration, int | float | np.number) and 0.0 <= self.obscuration < 1.0):
            msg = f"obscuration={self.obscuration!r}; it is the inner radius over the outer one, from 0 to below 1"
            raise ParameterError(msg)
        domain = checked_domain(UNIT if self.domain is None else self.domain)
        if domain is None or len(domain) != 2 or any(low == high for low, high in domain):
            msg = f"domain={self.domain!r}; give the square around the disc, ((x_low, x_high), (y_low, y_high))"
            raise ParameterError(msg)
        for name, value in (("order", int(self.order)), ("obscuration", float(self.obscuration)), ("domain", domain)):
            object.__setattr__(self, name, value)

    # ---- which functions -------------------------------------------------------------------------------------------------

    @property
    def degree(self) -> int:  # type: ignore[override]
        """The highest radial order: that of the polynomials in x and y."""
        return self.order

    @property
    def total(self) -> bool:  # type: ignore[override]
        """True: the sum of the degrees is limited."""
        return True

    @property
    def indices(self) -> range:
        """Index j of each function."""
        start = INDEXINGS[self.indexing][1]
        return range(start, start + (self.order + 1) * (self.order + 2) // 2)

    @property
    def orders(self) -> tuple[tuple[int, int], ...]:
        """Radial and azimuthal order (n, m) of each function; m > 0 are cosines, m < 0 sines."""
        of = INDEXINGS[self.indexing][0]
        return tuple(of(j) for j in self.indices)

    @property
    def titles(self) -> tuple[str, ...]:
        """What opticians call each function."""
        return tuple(zernike_name(n, m) for n, m in self.orders)

    def names(self, nvars: int | None = None) -> tuple[str, ...]:
        """Names for the coefficients, ``z{j}`` with the index j."""
        return tuple(f"z{j}" for j in self.indices)

    def terms(self, nvars: int | None = None) -> tuple[Term, ...]:
        """Exponents of the monomials in x and y, by total degree."""
        return terms(self.order, require_variables(nvars or 2, 2), True)

    def axes(self, nvars: int) -> tuple[Axis, ...]:
        """The map of the square around the disc onto [-1, 1] in each variable."""
        require_variables(nvars, 2)
        return tuple(axis(*pair) for pair in self.domain or UNIT)

    def sample(self, nvars: int) -> np.ndarray:
        """Some points of the disc."""
        square = super().sample(nvars)
        return square / np.maximum(np.hypot(*square), 1.0)

    # ---- values ----------------------------------------------------------------------------------------------------------

    def evaluate(self, coef: Sequence[Any], coords: Sequence[Any]) -> Any:
        """The sum of coefficients times functions, for numbers, arrays, and symbols of a graph."""
        s, t = (one(x) for one, x in zip(self.axes(len(coords)), coords, strict=True))
        place = dict(zip(self.orders, coef, strict=True))
        u = s * s + t * t
        out: Any = None
        real, imaginary = 1.0, 0.0
        for m in range(self.order + 1):
            if m:
                real, imaginary = (s, t) if m == 1 else (s * real - t * imaginary, s * imaginary + t * real)
            first, shifts, norms = recurrence(m, self.obscuration, (self.order - m) // 2)
            radial: list[Any] = [first]
            for k, shift in enumerate(shifts):
                new = (u - shift) * radial[k] - (norms[k - 1] * radial[k - 1] if k else 0.0)
                radial.append(new * (1.0 / norms[k]))
            for sign, harmonic in ((1, real), (-1, imaginary)):
                if sign < 0 and not m:
                    continue
                part: Any = None
                for k, p in enumerate(radial):
                    one = place[m + 2 * k, sign * m] * p
                    part = one if part is None else part + one
                part = part * harmonic if m else part
                out = part if out is None else out + part
        return out

    def derivatives(self, *coords: Any, orders: int | Sequence[int] = 1) -> np.ndarray:
        """Exact partial derivatives with respect to x and y; see `Basis.derivatives`."""
        a, b = checked_orders(orders, require_variables(len(coords), 2))
        arrays = np.broadcast_arrays(*(np.asarray(values, dtype=float) for values in coords))
        maps = self.axes(2)
        s, t = (one(x.reshape(-1)) for one, x in zip(maps, arrays, strict=True))
        u, place = s * s + t * t, {pair: i for i, pair in enumerate(self.orders)}
        out = np.empty((len(place), s.size))
        powers = [np.ones(s.size, dtype=complex)]  # of x + iy
        for _ in range(self.order):
            powers.append(powers[-1] * (s + 1j * t))
        below = list(product(range(a + 1), range(b + 1)))
        nothing = np.zeros(s.size, dtype=complex)
        for m in range(self.order + 1):
            first, shifts, norms = recurrence(m, self.obscuration, (self.order - m) // 2)
            now = {(i, j): first * math.perm(m, i + j) * 1j**j * powers[m - i - j] if i + j <= m else nothing for i, j in below}
            before = dict.fromkeys(below, nothing)
            for k in range((self.order - m) // 2 + 1):
                whole = now[a, b]
                out[place[m + 2 * k, m]] = whole.real
                if m:
                    out[place[m + 2 * k, -m]] = whole.imag
                if k < len(shifts):
                    new = {}
                    for i, j in below:  # Leibniz for u times the function: only two derivatives of u are not 0
                        value = (u - shifts[k]) * now[i, j]
                        for n, z, less, twice in ((i, s, (i - 1, j), (i - 2, j)), (j, t, (i, j - 1), (i, j - 2))):
                            value = value + 2.0 * n * z * now[less] if n else value
                            value = value + n * (n - 1.0) * now[twice] if n > 1 else value
                        new[i, j] = (value - (norms[k - 1] * before[i, j] if k else 0.0)) * (1.0 / norms[k])
                    before, now = now, new
        return np.ascontiguousarray(out.T) * (maps[0].scale ** a * maps[1].scale ** b)

    def expansion(self, maps: Sequence[Map]) -> DD:
        """The functions in monomials; see `PolynomialBasis.expansion`."""
        known, place = self.terms(len(maps)), {pair: i for i, pair in enumerate(self.orders)}
        rows = tuple(np.array([term[i] for term in known]) for i in range(2))
        out: DD = (np.zeros((len(known),) * 2), np.zeros((len(known),) * 2))
        size = (self.order + 1,) * 2
        one: DD = (np.zeros(size), np.zeros(size))
        one[0][0, 0] = 1.0
        real, imaginary = one, (np.zeros(size), np.zeros(size))
        for m in range(self.order + 1):
            if m:
                real, imaginary = (
                    _plus(_times(real, 0, maps), _times(imaginary, 1, maps), -1.0),
                    _plus(_times(imaginary, 0, maps), _times(real, 1, maps)),
                )
            first, shifts, norms = recurrence(m, self.obscuration, (self.order - m) // 2)
            for sign, harmonic in ((1, real), (-1, imaginary)) if m else ((1, real),):
                now, before = _scaled(harmonic, first), _scaled(harmonic, 0.0)
                for k in range((self.order - m) // 2 + 1):
                    at = place[m + 2 * k, sign * m]
                    out[0][at], out[1][at] = now[0][rows], now[1][rows]
                    if k < len(shifts):
                        new = _plus(_times(_times(now, 0, maps), 0, maps), _times(_times(now, 1, maps), 1, maps))
                        new = _plus(new, _scaled(now, shifts[k]), -1.0)
                        new = _plus(new, _scaled(before, norms[k - 1]), -1.0) if k else new
                        before, now = now, _scaled(new, 1.0 / norms[k])
        return out


@lru_cache(maxsize=512)
def recurrence(m: int, obscuration: float, count: int) -> Recurrence:
    """
    Polynomials in u = r^2 for azimuthal order m: ``p[k + 1] = ((u - shift[k]) p[k] - norm[k - 1] p[k - 1]) / norm[k]``.

    They are orthonormal under the mean of ``u**m p q`` over [obscuration^2, 1]; the angle's share, a factor sqrt(2), is in the first.

    Parameters
    ----------
    m : int
    obscuration : float
    count : int
        How many beside the first.

    Returns
    -------
    first : float
        p[0].
    shifts, norms : tuple of float
    """
    low = obscuration**2
    nodes, weights = np.polynomial.legendre.leggauss(m // 2 + count + 2)  # exact to degree m + 2 count + 3
    u = low + (1.0 - low) * 0.5 * (nodes + 1.0)
    square = 0.5 * weights * u**m
    first = 1.0 / math.sqrt(square.sum())
    before, now = np.zeros(u.size), np.full(u.size, first)
    shifts: list[float] = []
    norms: list[float] = []
    for k in range(count):
        shifts.append(float(square @ (u * now * now)))
        new = (u - shifts[k]) * now - (norms[k - 1] * before if k else 0.0)
        norms.append(math.sqrt(square @ new**2))
        before, now = now, new / norms[k]
    return first * (math.sqrt(2.0) if m else 1.0), tuple(shifts), tuple(norms)


def _times(poly: DD, i: int, maps: Sequence[Map]) -> DD:
    """A polynomial times the inner variable i, ``factor * u + shift``; there is room for the higher degree."""
    factor, shift = maps[i]
    moved: DD = (np.roll(poly[0], 1, axis=i), np.roll(poly[1], 1, axis=i))
    return dd_add(dd_mul(factor, moved), dd_mul(shift, poly))


def _scaled(poly: DD, factor: float) -> DD:
    return dd_mul((np.asarray(factor), np.asarray(0.0)), poly)


def _plus(one: DD, two: DD, sign: float = 1.0) -> DD:
    return dd_add(one, (sign * two[0], sign * two[1]))
