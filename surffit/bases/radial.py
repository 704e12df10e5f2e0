r"""
Radial basis functions: bumps, or cones, around centres.

Each function depends on the distance to its centre only, :math:`\varphi(\epsilon r_i)`, with distances in variables scaled to the range of
the centres, so that x in metres and y in kelvin can be mixed. A polynomial of low degree comes with them.

References
----------
.. [1] G. E. Fasshauer, Meshfree Approximation Methods with MATLAB (2007), World Scientific.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..exceptions import ParameterError
from .basis import Basis, checked_orders, require_variables
from .classical import Horner
from .terms import MOST_TERMS, Domain, axis, checked_domain, named

Derivative = Callable[[np.ndarray, int], np.ndarray]  # of a kernel as a function of q = (epsilon r)^2


def _power(power: float, shift: float, sign: float = 1.0) -> Derivative:
    """``sign (shift + q)**power``, differentiated n times."""

    def derivative(q: np.ndarray, n: int) -> np.ndarray:
        factor = sign * math.prod(power - i for i in range(n))
        return factor * (shift + q) ** (power - n)

    return derivative


def _plate(q: np.ndarray, n: int) -> np.ndarray:
    """``r**2 log r = q log(q) / 2``, differentiated n times."""
    if n == 0:
        return 0.5 * np.where(q > 0.0, q * np.log(q), 0.0)
    if n == 1:
        return 0.5 * (np.log(q) + 1.0)
    return 0.5 * (-1.0) ** n * math.factorial(n - 2) * q ** (1 - n)


@dataclass(frozen=True)
class Kernel:
    """A function of the distance: derivatives in q, how smooth it is at its centre, and the degree that goes with it."""

    derivative: Derivative
    smooth: float  # derivatives of this order and above don't exist at the centre
    degree: int
    scaled: bool  # whether epsilon changes more than a factor


# names, signs and degrees as in scipy.interpolate.RBFInterpolator
KERNELS = {
    "linear": Kernel(_power(0.5, 0.0, -1.0), 1, 0, False),
    "thin_plate_spline": Kernel(_plate, 2, 1, False),
    "cubic": Kernel(_power(1.5, 0.0), 3, 1, False),
    "quintic": Kernel(_power(2.5, 0.0, -1.0), 5, 2, False),
    "multiquadric": Kernel(_power(0.5, 1.0, -1.0), math.inf, 0, True),
    "inverse_multiquadric": Kernel(_power(-0.5, 1.0), math.inf, 0, True),
    "inverse_quadratic": Kernel(_power(-1.0, 1.0), math.inf, 0, True),
    "gaussian": Kernel(lambda q, n: (-1.0) ** n * np.exp(-q), math.inf, 0, True),
}


@dataclass(frozen=True)
class RadialBasis(Basis):
    """
    Functions of the distance to given centres, and a polynomial.

    Parameters
    ----------
    centres : array_like, shape (c, nvars)
        Where the functions sit; one-dimensional for one variable.
    kernel : str
        "thin_plate_spline" (r^2 log r; the smoothest surface through points), "linear" (-r), "cubic" (r^3), "quintic" (-r^5),
        "gaussian" (exp(-r^2)), "multiquadric" (-sqrt(1 + r^2)), "inverse_multiquadric", "inverse_quadratic" (1/(1 + r^2)): those
        of `scipy.interpolate.RBFInterpolator`, with r for epsilon times the distance.
    epsilon : float, optional
        One over the width. None: 1 for the first four, whose shape doesn't depend on it, else one over the typical distance of
        neighbours.
    degree : int, optional
        Of the polynomial; -1 for none. None: as scipy has it, 1 for thin plates.
    domain : tuple of (low, high), optional
        The range of each variable that is mapped onto [-1, 1] before distances are taken. None: that of the centres.

    Notes
    -----
    Columns are the functions of the centres, then the monomials in mapped variables; coefficients are named ``w{i}`` and
    ``c{i}_{j}``. Derivatives at a centre that don't exist there (the second ones of a thin plate, all of a cone) are nan.

    Raises
    ------
    ParameterError
        For an unknown kernel, bad centres, or an epsilon or degree that aren't such.

    Examples
    --------
    >>> basis = RadialBasis([[0.0, 0.0], [4.0, 0.0], [0.0, 10.0]], kernel="gaussian", epsilon=1.0, degree=0)
    >>> basis.names()
    ('w0', 'w1', 'w2', 'c0_0')
    >>> basis.columns(0.0, 10.0).round(4).tolist()  # mapped distances 2, sqrt(8) and 0
    [[0.0183, 0.0003, 1.0, 1.0]]
    """

    centres: Any
    kernel: str = "thin_plate_spline"
    epsilon: float | None = None
    degree: int | None = None
    domain: Domain | None = None

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            msg = f"kernel={self.kernel!r} is unknown; use one of {', '.join(map(repr, KERNELS))}"
            raise ParameterError(msg)
        try:
            centres = np.array(self.centres, dtype=float)
        except (TypeError, ValueError):
            centres = np.empty(0)
        centres = centres[:, None] if centres.ndim == 1 else centres
        if centres.ndim != 2 or not centres.size or not np.isfinite(centres).all():
            msg = f"centres have the shape {centres.shape}; give finite numbers, one row for each centre, one column for each variable"
            raise ParameterError(msg)
        kind = KERNELS[self.kernel]
        degree = kind.degree if self.degree is None else self.degree
        if isinstance(degree, bool) or not isinstance(degree, int | np.integer) or degree < -1:
            msg = f"degree={self.degree!r}; give that of the polynomial, a whole number from 0 up, or -1 for none"
            raise ParameterError(msg)
        # neighbours of c centres that fill a square of side 2
        epsilon = self.epsilon if self.epsilon is not None else 0.5 * len(centres) ** (1.0 / centres.shape[1]) if kind.scaled else 1.0
        if not (isinstance(epsilon, int | float | np.number) and math.isfinite(epsilon) and epsilon > 0.0):
            msg = f"epsilon={self.epsilon!r}; it is one over the width of the functions, a number above 0"
            raise ParameterError(msg)
        domain = checked_domain(self.domain) or tuple(zip(centres.min(axis=0).tolist(), centres.max(axis=0).tolist(), strict=True))
        if len(domain) != centres.shape[1]:
            msg = f"domain={self.domain} is for {len(domain)} variables, the centres have {centres.shape[1]}"
            raise ParameterError(msg)
        if len(centres) > MOST_TERMS:
            msg = f"{len(centres)} centres make as many functions; the limit is {MOST_TERMS}"
            raise ParameterError(msg)
        plain = tuple(map(tuple, centres.tolist()))
        for name, value in (("centres", plain), ("epsilon", float(epsilon)), ("degree", int(degree)), ("domain", domain)):
            object.__setattr__(self, name, value)

    @property
    def tail(self) -> Horner | None:
        """The polynomial that comes with the functions, in mapped variables; None for degree -1."""
        degree = -1 if self.degree is None else self.degree
        return Horner(degree, self.domain) if degree >= 0 else None

    def names(self, nvars: int | None = None) -> tuple[str, ...]:
        """Names for the coefficients: ``w{i}`` for centre i, then ``c{i}_{j}`` for the monomials."""
        require_variables(nvars or self.nvars_known or 1, self.nvars_known)
        radial = tuple(f"w{i}" for i in range(len(self.centres)))
        return radial if self.tail is None else radial + named(self.tail.terms())

    def derivatives(self, *coords: Any, orders: int | Sequence[int] = 1) -> np.ndarray:
        """Exact partial derivatives; see `Basis.derivatives`."""
        domain = self.domain or ()
        plain = checked_orders(orders, require_variables(len(coords), len(domain)))
        arrays = np.broadcast_arrays(*(np.asarray(values, dtype=float) for values in coords))
        maps = [axis(*pair) for pair in domain]
        epsilon = self.epsilon or 1.0
        centres = np.array(self.centres).T
        z = [epsilon * (one(x.reshape(-1))[:, None] - one(centre)[None, :]) for one, x, centre in zip(maps, arrays, centres, strict=True)]
        q = sum(part * part for part in z)
        kind = KERNELS[self.kernel]
        radial = np.zeros_like(z[0])
        with np.errstate(all="ignore"):
            # Faa di Bruno for g(q): of q the first derivative is 2 z, the second 2, all others 0
            for pairs in product(*(range(n // 2 + 1) for n in plain)):
                part = np.ones_like(radial)
                for n, k, one in zip(plain, pairs, z, strict=True):
                    part *= math.perm(n, 2 * k) / math.factorial(k) * (2.0 * one) ** (n - 2 * k)
                radial += part * kind.derivative(q, sum(plain) - sum(pairs))
        at_centre = q == 0.0
        if at_centre.any() and sum(plain) and kind.smooth < math.inf:
            radial[at_centre] = 0.0 if sum(plain) < kind.smooth else math.nan
        radial *= math.prod((epsilon * one.scale) ** n for one, n in zip(maps, plain, strict=True))
        return radial if self.tail is None else np.hstack([radial, self.tail.derivatives(*arrays, orders=plain)])
