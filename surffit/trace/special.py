"""Special functions the derivative rules need and scipy lacks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# B_2, B_4, ... B_20
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
_FAR = 15.0
_MOST_SHIFTS = 2000


def complex_polygamma(order: Any, z: Any) -> Any:
    r"""Polygamma function of a complex argument.

    Parameters
    ----------
    order : int
        Order m >= 1 (1 is the trigamma function).
    z : array_like of complex
        Any shape.

    Returns
    -------
    ndarray of complex
        :math:`\psi^{(m)}(z)`; nan at poles and far left of the imaginary axis (Re z < -1985).

    Notes
    -----
    The recurrence :math:`\psi^{(m)}(z) = \psi^{(m)}(z + n) - (-1)^m m! \sum_{k<n} (z+k)^{-m-1}` moves the argument to
    Re z >= 15, where the asymptotic series holds (Abramowitz and Stegun, 6.4.6 and 6.4.11):

    .. math:: \psi^{(m)}(z) \sim (-1)^{m-1} \left[ \frac{(m-1)!}{z^m} + \frac{m!}{2 z^{m+1}}
        + \sum_k B_{2k} \frac{(2k+m-1)!}{(2k)!\, z^{2k+m}} \right]
    """
    m = int(order)
    z = np.asarray(z, dtype=np.complex128)
    finite = np.isfinite(z)
    lowest = float(np.min(z.real[finite])) if np.any(finite) else _FAR
    # Higher orders converge later: the series needs |z| well above m.
    shifts = max(0, math.ceil(_FAR + m - lowest))
    if shifts > _MOST_SHIFTS:
        left = z.real < _FAR + m - _MOST_SHIFTS
        z = np.where(left, complex(math.nan, math.nan), z)
        shifts = _MOST_SHIFTS
    total = np.zeros_like(z)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        for k in range(shifts):
            total = total + (z + k) ** (-m - 1)
        total = total * math.factorial(m)
        far = z + shifts
        inverse = 1.0 / far
        series = math.factorial(m - 1) * inverse**m + 0.5 * math.factorial(m) * inverse ** (m + 1)
        for k, b in enumerate(_BERNOULLI, start=1):
            series = series + b * (math.factorial(2 * k + m - 1) / math.factorial(2 * k)) * inverse ** (2 * k + m)
        return (-1.0) ** (m - 1) * (series + total)
