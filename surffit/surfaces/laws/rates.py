"""Rates of reactions over concentration and temperature."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..family import Surface
from ..starting import weighted_logs

GAS_CONSTANT = 8.31446261815324e-3
"""Molar gas constant [kJ / (mol K)], exact in the SI of 2019."""


def arrhenius_power(concentration: Any, temperature: Any, a: float, ea: float, order: float) -> Any:
    r"""
    Rate of a reaction: Arrhenius in temperature, a power of concentration.

    .. math:: r = A\,\exp\left(-\frac{E_a}{R\,T}\right) c^{\,m}

    Parameters
    ----------
    concentration : array_like
        Concentration c [any unit], > 0.
    temperature : array_like
        Absolute temperature T [K].
    a : float
        Rate constant A at infinite temperature [data unit / concentration**order]. Linear.
    ea : float
        Activation energy [kJ/mol].
    order : float
        Order m of the reaction.

    Returns
    -------
    ndarray, shape of ``concentration + temperature``
        Rate [data unit].

    Notes
    -----
    `a` and `ea` are correlated to 1 - 1e-3 or closer, since the data are far from infinite temperature; predictions inside the data are
    not hurt by that. Formula from [1]_.

    References
    ----------
    .. [1] S. Arrhenius, Z. Phys. Chem. 4 (1889) 226, doi:10.1515/zpch-1889-0416.

    Examples
    --------
    >>> float(round(arrhenius_power(2.0, 300.0, a=1e9, ea=50.0, order=2.0), 4))
    7.8787
    """
    return a * np.exp(-ea / (GAS_CONSTANT * temperature)) * concentration**order


class ArrheniusPower(Surface):
    """Rate over concentration and temperature, `arrhenius_power`; starts from a straight line in the logarithms."""

    function = staticmethod(arrhenius_power)
    variables = ("concentration", "temperature")
    units = {"temperature": "K"}
    extent: ClassVar = {"concentration": (0.1, 2.0, 20), "temperature": (290.0, 350.0, 25)}
    typical: ClassVar = {"a": 3e8, "ea": 55.0, "order": 1.4}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Activation energy and order."""
        concentration, temperature = coords
        slopes = weighted_logs(z, [np.log(np.maximum(concentration, 1e-300)), -1.0 / (GAS_CONSTANT * temperature)])
        return {"order": slopes[0], "ea": slopes[1]}
