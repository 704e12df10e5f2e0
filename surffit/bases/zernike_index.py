"""The two usual ways to number Zernike's polynomials, and the names that opticians give them."""

from __future__ import annotations

import math
import operator

from ..exceptions import ParameterError

# cosines (m > 0) and sines (m < 0) of the lowest ones
NAMES = {
    (0, 0): "piston",
    (1, 1): "tilt in x",
    (1, -1): "tilt in y",
    (2, 0): "defocus",
    (2, 2): "vertical astigmatism",
    (2, -2): "oblique astigmatism",
    (3, 1): "horizontal coma",
    (3, -1): "vertical coma",
    (3, 3): "oblique trefoil",
    (3, -3): "vertical trefoil",
    (4, 0): "primary spherical aberration",
    (4, 2): "vertical secondary astigmatism",
    (4, -2): "oblique secondary astigmatism",
    (4, 4): "vertical quadrafoil",
    (4, -4): "oblique quadrafoil",
    (5, 1): "horizontal secondary coma",
    (5, -1): "vertical secondary coma",
    (5, 3): "oblique secondary trefoil",
    (5, -3): "vertical secondary trefoil",
    (5, 5): "oblique pentafoil",
    (5, -5): "vertical pentafoil",
    (6, 0): "secondary spherical aberration",
    (8, 0): "tertiary spherical aberration",
}


def noll_to_nm(j: int) -> tuple[int, int]:
    """
    Radial order n and azimuthal order m of Noll's index.

    Parameters
    ----------
    j : int
        From 1. Even ones are cosines (m > 0), odd ones sines (m < 0).

    Returns
    -------
    n, m : int

    References
    ----------
    .. [1] R. J. Noll, J. Opt. Soc. Am. 66 (1976) 207, doi:10.1364/JOSA.66.000207.

    Examples
    --------
    >>> [noll_to_nm(j) for j in (1, 2, 3, 4, 5, 6, 11)]
    [(0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (4, 0)]
    """
    j = _whole(j, "Noll's index j", 1)
    n = (math.isqrt(8 * j - 7) - 1) // 2
    place = j - n * (n + 1) // 2 - 1  # in the row of order n
    m = 2 * (place // 2) + 1 if n % 2 else 2 * ((place + 1) // 2)
    return n, -m if j % 2 else m


def nm_to_noll(n: int, m: int) -> int:
    """
    Noll's index of radial order n and azimuthal order m.

    Examples
    --------
    >>> nm_to_noll(4, 0), nm_to_noll(3, -1)
    (11, 7)
    """
    n, m = _pair(n, m)
    first = n * (n + 1) // 2 + abs(m)
    if m == 0:
        return first + 1
    even = first + first % 2  # of the two indices of this |m|, the cosine's
    return even if m > 0 else first + (first + 1) % 2


def osa_to_nm(j: int) -> tuple[int, int]:
    """
    Radial order n and azimuthal order m of the OSA (ANSI Z80.28) index.

    Parameters
    ----------
    j : int
        From 0: (n (n + 2) + m) / 2.

    Returns
    -------
    n, m : int

    Examples
    --------
    >>> [osa_to_nm(j) for j in range(6)]
    [(0, 0), (1, -1), (1, 1), (2, -2), (2, 0), (2, 2)]
    """
    j = _whole(j, "the OSA index j", 0)
    n = (math.isqrt(8 * j + 1) - 1) // 2
    return n, 2 * j - n * (n + 2)


def nm_to_osa(n: int, m: int) -> int:
    """
    OSA (ANSI) index of radial order n and azimuthal order m.

    Examples
    --------
    >>> nm_to_osa(4, 0), nm_to_osa(3, -1)
    (12, 7)
    """
    n, m = _pair(n, m)
    return (n * (n + 2) + m) // 2


def zernike_name(n: int, m: int) -> str:
    """
    The classical name of an aberration, or its orders where it has none.

    Examples
    --------
    >>> zernike_name(2, 0), zernike_name(3, 1), zernike_name(7, -3)
    ('defocus', 'horizontal coma', 'n = 7, m = -3')
    """
    n, m = _pair(n, m)
    return NAMES.get((n, m), f"n = {n}, m = {m}")


def _whole(value: int, what: str, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        msg = f"{what} is {value!r}; it is a whole number from {least} up"
        raise ParameterError(msg)
    return number


def _pair(n: int, m: int) -> tuple[int, int]:
    n = _whole(n, "the radial order n", 0)
    if abs(m) > n or (n - m) % 2:
        msg = f"there is no Zernike polynomial with n = {n}, m = {m}; m is one of {', '.join(map(str, range(-n, n + 1, 2)))}"
        raise ParameterError(msg)
    return n, operator.index(m)
