"""Gases over temperature: adsorbed on a surface, and real ones."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..family import Surface
from ..starting import best_of, thinned
from .rates import GAS_CONSTANT

if TYPE_CHECKING:
    import lmfit

T_REFERENCE = 298.15
"""Temperature of the affinity of `langmuir_temperature` [K]."""
BAR_LITRES = 10.0 * GAS_CONSTANT
"""Molar gas constant [bar L / (mol K)]."""


def langmuir_temperature(pressure: Any, temperature: Any, q_max: float, b: float, heat: float) -> Any:
    r"""
    Langmuir's isotherm with an affinity that follows van 't Hoff.

    .. math:: q = q_m\,\frac{b(T)\,p}{1 + b(T)\,p}, \qquad
              b(T) = b\,\exp\left[\frac{Q}{R}\left(\frac1T - \frac1{298.15\,\mathrm K}\right)\right]

    Parameters
    ----------
    pressure : array_like
        Pressure p (or concentration) [any unit], >= 0.
    temperature : array_like
        Absolute temperature T [K].
    q_max : float
        Amount of a full layer [data unit]. Linear.
    b : float
        Affinity at 298.15 K [1 / unit of pressure], > 0.
    heat : float
        Heat of adsorption Q, positive if heat is set free [kJ/mol].

    Returns
    -------
    ndarray, shape of ``pressure + temperature``
        Adsorbed amount [data unit].

    Notes
    -----
    Where all pressures are below 1/b only the product ``q_max * b`` is determined. Formula from [1]_; the affinity is given at 298.15 K,
    where it is hardly correlated with the heat.

    References
    ----------
    .. [1] I. Langmuir, J. Am. Chem. Soc. 40 (1918) 1361, doi:10.1021/ja02242a004.

    Examples
    --------
    >>> float(langmuir_temperature(3.0, 298.15, q_max=8.0, b=1.0, heat=20.0))
    6.0
    """
    affinity = b * np.exp(heat / GAS_CONSTANT * (1.0 / temperature - 1.0 / T_REFERENCE))
    return q_max * affinity * pressure / (1.0 + affinity * pressure)


class LangmuirTemperature(Surface):
    """Langmuir's isotherm with temperature, `langmuir_temperature`; affinity and heat are tried."""

    function = staticmethod(langmuir_temperature)
    variables = ("pressure", "temperature")
    units = {"temperature": "K"}
    hints: ClassVar = {"b": {"min": 0.0}}
    extent: ClassVar = {"pressure": (0.1, 10.0, 25), "temperature": (273.0, 353.0, 17)}
    typical: ClassVar = {"q_max": 5.0, "b": 0.8, "heat": 25.0}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Affinity and heat of adsorption."""
        z, points = thinned(z, coords)
        top, middle = float(points[0].max()) or 1.0, float(np.mean(1.0 / points[1]) - 1.0 / T_REFERENCE)
        shares, heats = 10.0 ** np.linspace(-1.5, 2.0, 8), (-60.0, -20.0, 0.0, 10.0, 20.0, 40.0, 80.0)
        # affinities are tried in the middle of the data, which may be far from 298 K
        tries = [{"b": float(s / top * np.exp(-q / GAS_CONSTANT * middle)), "heat": q} for s, q in product(shares, heats)]
        return best_of(langmuir_temperature, ["q_max"], z, points, tries)


def van_der_waals(volume: Any, temperature: Any, a: float, b: float) -> Any:
    r"""
    Pressure of a real gas after van der Waals.

    .. math:: p = \frac{R\,T}{v - b} - \frac{a}{v^2}

    Parameters
    ----------
    volume : array_like
        Molar volume v [L/mol], > b.
    temperature : array_like
        Absolute temperature T [K].
    a : float
        Attraction [bar L**2 / mol**2]. Linear.
    b : float
        Volume of the molecules [L/mol], >= 0 and below the smallest volume of the data.

    Returns
    -------
    ndarray, shape of ``volume + temperature``
        Pressure [bar].

    Notes
    -----
    R = 0.0831446 bar L / (mol K). Below the critical temperature the loop of the isotherm is no stable state: leave such points out.
    Formula from [1]_.

    References
    ----------
    .. [1] J. D. van der Waals, Over de continuiteit van den gas- en vloeistoftoestand, Leiden 1873.

    Examples
    --------
    >>> float(round(van_der_waals(0.5, 350.0, a=3.658, b=0.04286), 2))  # carbon dioxide
    49.03
    """
    return BAR_LITRES * temperature / (volume - b) - a / volume**2


class VanDerWaals(Surface):
    """A real gas after van der Waals, `van_der_waals`; `guess` bounds b so that its pole can't move into the data."""

    function = staticmethod(van_der_waals)
    variables = ("volume", "temperature")
    units = {"volume": "L/mol", "temperature": "K"}
    hints: ClassVar = {"b": {"min": 0.0}}
    extent: ClassVar = {"volume": (0.15, 1.5, 28), "temperature": (310.0, 450.0, 15)}
    typical: ClassVar = {"a": 3.658, "b": 0.04286}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """The volume of the molecules."""
        z, points = thinned(z, coords)
        smallest = float(points[0].min())
        return best_of(van_der_waals, ["a"], z, points, [{"b": smallest * s} for s in np.linspace(0.02, 0.98, 25)])

    def guess(self, data: Any, *coords: Any, **kws: Any) -> lmfit.Parameters:
        """
        Starts from data, with a bound that keeps the pole out of the data.

        Parameters
        ----------
        data, *coords, **kws
            As for `Surface.guess`.

        Returns
        -------
        lmfit.Parameters
        """
        params = super().guess(data, *coords, **kws)
        name = self.independent_vars[0]
        smallest = float(np.min(np.asarray(kws[name] if name in kws else coords[0], dtype=float)))
        b = params[self.prefix + "b"]
        if smallest > b.value:
            b.max = b.value + 0.999 * (smallest - b.value)
        return params
