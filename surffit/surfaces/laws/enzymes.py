"""Rates of enzymes with an inhibitor or with two substrates."""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar

import numpy as np

from ..family import Surface
from ..starting import best_of, thinned

# shares of the largest concentration at which half saturation is tried
SHARES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
POSITIVE = {"min": 0.0}


def _top(x: np.ndarray) -> float:
    return float(np.abs(x).max()) or 1.0


def michaelis_inhibition(substrate: Any, inhibitor: Any, v_max: float, k_m: float, k_i: float) -> Any:
    r"""
    Rate of an enzyme with a competitive inhibitor, after Michaelis and Menten.

    .. math:: v = \frac{V\,s}{K_m\,(1 + i/K_i) + s}

    Parameters
    ----------
    substrate : array_like
        Concentration s of the substrate, >= 0 [any unit].
    inhibitor : array_like
        Concentration i of the inhibitor, >= 0 [any unit].
    v_max : float
        Limiting rate V [data unit]. Linear.
    k_m : float
        Michaelis constant [unit of substrate], > 0.
    k_i : float
        Inhibition constant [unit of inhibitor], > 0.

    Returns
    -------
    ndarray, shape of ``substrate + inhibitor``
        Initial rate [data unit].

    Notes
    -----
    The substrate must reach beyond `k_m`, and the inhibitor beyond `k_i`, or only ratios are determined. Formula from [1]_, equation 5.1.

    References
    ----------
    .. [1] A. Cornish-Bowden, Fundamentals of Enzyme Kinetics, 4th ed., Wiley-Blackwell 2012.

    Examples
    --------
    >>> michaelis_inhibition(2.0, 3.0, v_max=10.0, k_m=1.0, k_i=1.0)
    3.3333333333333335
    """
    return v_max * substrate / (k_m * (1.0 + inhibitor / k_i) + substrate)


class MichaelisInhibition(Surface):
    """Competitive inhibition, `michaelis_inhibition`; the constants are tried over three decades."""

    function = staticmethod(michaelis_inhibition)
    variables = ("substrate", "inhibitor")
    hints: ClassVar = {"k_m": POSITIVE, "k_i": POSITIVE}
    extent: ClassVar = {"substrate": (0.2, 12.0, 25), "inhibitor": (0.0, 6.0, 17)}
    typical: ClassVar = {"v_max": 10.0, "k_m": 1.8, "k_i": 2.5}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Both constants."""
        z, points = thinned(z, coords)
        s, i = map(_top, points)
        tries = [{"k_m": s * p, "k_i": i * q} for p, q in product(SHARES, SHARES)]
        return best_of(michaelis_inhibition, ["v_max"], z, points, tries)


def ping_pong(substrate_a: Any, substrate_b: Any, v_max: float, k_a: float, k_b: float) -> Any:
    r"""
    Rate of an enzyme with two substrates that are bound one after the other has left (ping-pong, substituted enzyme).

    .. math:: v = \frac{V\,a\,b}{K_a\,b + K_b\,a + a\,b}

    Parameters
    ----------
    substrate_a, substrate_b : array_like
        Concentrations a and b of the substrates, > 0 [any unit].
    v_max : float
        Limiting rate V [data unit]. Linear.
    k_a : float
        Michaelis constant of the first substrate [its unit], > 0.
    k_b : float
        Michaelis constant of the second substrate [its unit], > 0.

    Returns
    -------
    ndarray, shape of ``substrate_a + substrate_b``
        Initial rate [data unit].

    Notes
    -----
    In double reciprocal plots the lines are parallel; where they cross, use `ordered_bi_bi`. Formula from [1]_, chapter 8.

    References
    ----------
    .. [1] A. Cornish-Bowden, Fundamentals of Enzyme Kinetics, 4th ed., Wiley-Blackwell 2012.

    Examples
    --------
    >>> ping_pong(2.0, 4.0, v_max=10.0, k_a=1.0, k_b=2.0)
    5.0
    """
    return v_max * substrate_a * substrate_b / (k_a * substrate_b + k_b * substrate_a + substrate_a * substrate_b)


class PingPong(Surface):
    """Two substrates, ping-pong, `ping_pong`; the constants are tried over three decades."""

    function = staticmethod(ping_pong)
    variables = ("substrate_a", "substrate_b")
    hints: ClassVar = {"k_a": POSITIVE, "k_b": POSITIVE}
    extent: ClassVar = {"substrate_a": (0.2, 10.0, 23), "substrate_b": (0.1, 6.0, 19)}
    typical: ClassVar = {"v_max": 10.0, "k_a": 1.5, "k_b": 0.8}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Both constants."""
        z, points = thinned(z, coords)
        a, b = map(_top, points)
        tries = [{"k_a": a * p, "k_b": b * q} for p, q in product(SHARES, SHARES)]
        return best_of(ping_pong, ["v_max"], z, points, tries)


def ordered_bi_bi(substrate_a: Any, substrate_b: Any, v_max: float, k_a: float, k_b: float, k_ia: float) -> Any:
    r"""
    Rate of an enzyme that binds two substrates in order, without products.

    .. math:: v = \frac{V\,a\,b}{K_{ia} K_b + K_b\,a + K_a\,b + a\,b}

    Parameters
    ----------
    substrate_a, substrate_b : array_like
        Concentrations a and b of the substrates, in the order of binding, > 0 [any unit].
    v_max : float
        Limiting rate V [data unit]. Linear.
    k_a : float
        Michaelis constant of the first substrate [its unit], > 0.
    k_b : float
        Michaelis constant of the second substrate [its unit], > 0.
    k_ia : float
        Dissociation constant of the first substrate [its unit], >= 0; 0 is `ping_pong`.

    Returns
    -------
    ndarray, shape of ``substrate_a + substrate_b``
        Initial rate [data unit].

    Notes
    -----
    The random order in rapid equilibrium gives the same surface, so that a fit can't tell which one it is. Formula from [1]_, chapter 8.

    References
    ----------
    .. [1] A. Cornish-Bowden, Fundamentals of Enzyme Kinetics, 4th ed., Wiley-Blackwell 2012.

    Examples
    --------
    >>> ordered_bi_bi(2.0, 4.0, v_max=10.0, k_a=1.0, k_b=2.0, k_ia=2.0)
    4.0
    """
    below = k_ia * k_b + k_b * substrate_a + k_a * substrate_b + substrate_a * substrate_b
    return v_max * substrate_a * substrate_b / below


class OrderedBiBi(Surface):
    """Two substrates in order, `ordered_bi_bi`; the constants are tried over three decades."""

    function = staticmethod(ordered_bi_bi)
    variables = ("substrate_a", "substrate_b")
    hints: ClassVar = {"k_a": POSITIVE, "k_b": POSITIVE, "k_ia": POSITIVE}
    extent: ClassVar = {"substrate_a": (0.2, 10.0, 23), "substrate_b": (0.1, 6.0, 19)}
    typical: ClassVar = {"v_max": 10.0, "k_a": 1.5, "k_b": 0.8, "k_ia": 2.5}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """All three constants."""
        z, points = thinned(z, coords)
        a, b = map(_top, points)
        some = SHARES[1:]
        tries = [{"k_a": a * p, "k_b": b * q, "k_ia": a * r} for p, q, r in product(some, some, some)]
        return best_of(ordered_bi_bi, ["v_max"], z, points, tries)
