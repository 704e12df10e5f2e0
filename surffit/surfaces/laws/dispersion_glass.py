"""Dispersion formulas for the square of the index: Schott, Sellmeier, with temperature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...exceptions import DataError, ParameterError
from ..family import Surface
from ..starting import MANY, thinned
from .dispersion_linear import EXTENT, T_REFERENCE

if TYPE_CHECKING:
    import lmfit

# n**2 is kept above this: trial values may cross a pole
TINY = 1e-6


def schott_dispersion(
    wavelength: Any, temperature: Any, a0: float, a1: float, a2: float, a3: float, a4: float, a5: float, a0_t: float, a2_t: float
) -> Any:
    r"""
    Refractive index by the formula of old Schott catalogues, with a linear term of temperature.

    .. math:: n^2 = a_0 + a_1\lambda^2 + a_2\lambda^{-2} + a_3\lambda^{-4} + a_4\lambda^{-6} + a_5\lambda^{-8}
              + (T - 20)(a_{0T} + a_{2T}\lambda^{-2})

    Parameters
    ----------
    wavelength : array_like
        Wavelength :math:`\lambda` [micrometre].
    temperature : array_like
        Temperature T [deg C].
    a0 : float
        Constant term of the squared index at 20 deg C.
    a1 : float
        Long-wave term [1/micrometre**2].
    a2, a3, a4, a5 : float
        Short-wave terms [micrometre**2, micrometre**4, micrometre**6, micrometre**8].
    a0_t : float
        Thermal change of `a0` [1/K].
    a2_t : float
        Thermal change of `a2` [micrometre**2/K].

    Returns
    -------
    ndarray, shape of ``wavelength + temperature``
        Refractive index.

    Notes
    -----
    The index is the root of a sum that is linear in the parameters; they are strongly correlated, and `a3` to `a5` need data of five
    digits. A squared index below 1e-6 counts as 1e-6. Formula from [1]_; the thermal terms are its coefficients made linear in T.

    References
    ----------
    .. [1] Schott, Technical Information TIE-29, Refractive Index and Dispersion (2016), section 2.

    Examples
    --------
    >>> bk7 = dict(a0=2.2718929, a1=-1.0108077e-2, a2=1.0592509e-2, a3=2.0816965e-4, a4=-7.6472538e-6, a5=4.9240991e-7)
    >>> float(round(schott_dispersion(0.58756, 20.0, **bk7, a0_t=0.0, a2_t=0.0), 5))
    1.5168
    """
    square = wavelength**2
    r = 1.0 / square
    n2 = a0 + a1 * square + r * (a2 + r * (a3 + r * (a4 + r * a5))) + (temperature - T_REFERENCE) * (a0_t + a2_t * r)
    return np.sqrt(np.maximum(n2, TINY))


class SchottDispersion(Surface):
    """Refractive index by Schott's old formula with temperature, `schott_dispersion`; starts from a linear fit of the squared index."""

    function = staticmethod(schott_dispersion)
    variables = ("wavelength", "temperature")
    units = {"wavelength": "micrometre", "temperature": "deg C"}
    extent: ClassVar = EXTENT
    typical: ClassVar = {
        "a0": 2.2718929, "a1": -1.0108077e-2, "a2": 1.0592509e-2, "a3": 2.0816965e-4, "a4": -7.6472538e-6, "a5": 4.9240991e-7,
        "a0_t": -1e-5, "a2_t": 3e-6,
    }  # fmt: skip

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """All coefficients: linear in the squared index."""
        _refuse_none(coords[0], self.independent_vars[0])
        z, (wavelength, temperature) = thinned(z, coords, MANY)
        square, dt = wavelength**2, temperature - T_REFERENCE
        columns = np.array([np.ones_like(z), square, 1 / square, square**-2.0, square**-3.0, square**-4.0, dt, dt / square])
        return dict(zip(self._param_root_names, map(float, _lstsq(columns, z**2)), strict=True))


def _refuse_none(wavelength: np.ndarray, name: str) -> None:
    """Powers of a reciprocal need wavelengths above 0."""
    if not wavelength.min() > 0.0:
        few = f"{int((wavelength <= 0).sum())} of {wavelength.size} points"
        msg = f"{name} is {wavelength.min():.6g} at {few}; give wavelengths above 0, in micrometres"
        raise DataError(msg)


def _lstsq(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Coefficients of columns of any size; what the data don't determine is kept small."""
    norms = np.sqrt((columns**2).sum(axis=1))
    norms[norms == 0] = 1.0
    out: np.ndarray = np.linalg.lstsq((columns / norms[:, None]).T, target, rcond=1e-13)[0] / norms
    return out


def _sellmeier(wavelength: Any, temperature: Any, terms: Sequence[tuple[Any, Any]], d0: Any, d1: Any, e0: Any) -> Any:
    square, dt = wavelength**2, temperature - T_REFERENCE
    n2 = 1.0
    for b, c in terms:
        n2 = n2 + b * square / (square - c)
    n2 = np.maximum(n2, TINY)
    n = np.sqrt(n2)
    return n + (n2 - 1.0) / (2.0 * n) * dt * (d0 + d1 * dt + e0 / (square - terms[0][1]))


def sellmeier_dispersion(
    wavelength: Any,
    temperature: Any,
    b1: float,
    c1: float,
    b2: float,
    c2: float,
    b3: float,
    c3: float,
    d0: float,
    d1: float,
    e0: float,
) -> Any:
    r"""
    Refractive index after Sellmeier with three resonances, and its change with temperature.

    .. math:: n_{20}^2 = 1 + \sum_{i=1}^3 \frac{b_i \lambda^2}{\lambda^2 - c_i}, \qquad
              n = n_{20} + \frac{n_{20}^2 - 1}{2 n_{20}}\,\Delta T\left(d_0 + d_1\,\Delta T + \frac{e_0}{\lambda^2 - c_1}\right),
              \quad \Delta T = T - 20

    Parameters
    ----------
    wavelength : array_like
        Wavelength :math:`\lambda` [micrometre].
    temperature : array_like
        Temperature T [deg C].
    b1, b2, b3 : float
        Strengths of the resonances, >= 0.
    c1, c2, c3 : float
        Squares of the resonances' wavelengths [micrometre**2], >= 0: the first two below the data's wavelengths, the third above.
    d0 : float
        Thermal coefficient [1/K].
    d1 : float
        Its change with temperature [1/K**2].
    e0 : float
        Thermal dispersion [micrometre**2/K], at the first resonance.

    Returns
    -------
    ndarray, shape of ``wavelength + temperature``
        Refractive index.

    Notes
    -----
    The formula of glass catalogues [1]_, its thermal part that of [2]_ with :math:`\lambda_{TK}^2 = c_1` and without the cubic and the
    second dispersive term. Three resonances need data from the ultraviolet to the infrared with five digits; their parameters are
    correlated all the same. With data of the visible use ``SellmeierDispersion(terms=2)``.

    References
    ----------
    .. [1] W. Sellmeier, Annalen der Physik 219 (1871) 272, doi:10.1002/andp.18712190612.
    .. [2] Schott, Technical Information TIE-19, Temperature Coefficient of the Refractive Index (2016).

    Examples
    --------
    >>> bk7 = dict(b1=1.03961212, c1=0.00600069867, b2=0.231792344, c2=0.0200179144, b3=1.01046945, c3=103.560653)
    >>> float(round(sellmeier_dispersion(0.58756, 20.0, **bk7, d0=0.0, d1=0.0, e0=0.0), 5))
    1.5168
    """
    return _sellmeier(wavelength, temperature, ((b1, c1), (b2, c2), (b3, c3)), d0, d1, e0)


def sellmeier2(wavelength: Any, temperature: Any, b1: float, c1: float, b2: float, c2: float, d0: float, d1: float, e0: float) -> Any:
    r"""
    Refractive index after Sellmeier with one resonance below and one above the data, and its change with temperature.

    .. math:: n_{20}^2 = 1 + \frac{b_1 \lambda^2}{\lambda^2 - c_1} + \frac{b_2 \lambda^2}{\lambda^2 - c_2}

    and the thermal part of `sellmeier_dispersion`.

    Parameters
    ----------
    wavelength : array_like
        Wavelength :math:`\lambda` [micrometre].
    temperature : array_like
        Temperature T [deg C].
    b1, b2 : float
        Strengths of the resonances, >= 0.
    c1, c2 : float
        Squares of the resonances' wavelengths [micrometre**2], >= 0.
    d0 : float
        Thermal coefficient [1/K].
    d1 : float
        Its change with temperature [1/K**2].
    e0 : float
        Thermal dispersion [micrometre**2/K], at the first resonance.

    Returns
    -------
    ndarray, shape of ``wavelength + temperature``
        Refractive index.

    Examples
    --------
    >>> float(sellmeier2(1.0, 20.0, b1=1.5, c1=0.25, b2=2.0, c2=2.0, d0=0.0, d1=0.0, e0=0.0))  # 1 + 2 - 2
    1.0
    """
    return _sellmeier(wavelength, temperature, ((b1, c1), (b2, c2)), d0, d1, e0)


class SellmeierDispersion(Surface):
    """
    Refractive index after Sellmeier with temperature, `sellmeier_dispersion`.

    Resonances are tried below and above the data's wavelengths, strengths and thermal terms solved from the squared index; `guess` bounds
    the resonances so that no pole can move into the data.

    Parameters
    ----------
    independent_vars, prefix, nan_policy, name, linear
        As for `SurfaceModel`.
    terms : {3, 2}
        Number of resonances.

    Raises
    ------
    ParameterError
        For another number of terms.
    """

    function = staticmethod(sellmeier_dispersion)
    variables = ("wavelength", "temperature")
    units = {"wavelength": "micrometre", "temperature": "deg C"}
    hints: ClassVar = {name: {"min": 0.0} for name in ("b1", "c1", "b2", "c2", "b3", "c3")}
    extent: ClassVar = {"wavelength": (0.35, 2.3, 40), "temperature": (-40.0, 80.0, 21)}
    typical: ClassVar = {
        "b1": 1.03961212, "c1": 0.00600069867, "b2": 0.231792344, "c2": 0.0200179144, "b3": 1.01046945, "c3": 103.560653,
        "d0": 1.86e-6, "d1": 1.31e-8, "e0": 4.34e-7,
    }  # fmt: skip

    def __init__(
        self,
        independent_vars: Sequence[str] | None = None,
        prefix: str = "",
        nan_policy: str = "raise",
        name: str | None = None,
        *,
        terms: int = 3,
        linear: Sequence[str] | None = None,
    ) -> None:
        if terms not in (2, 3):
            msg = f"terms={terms!r}; use 3 resonances, or 2"
            raise ParameterError(msg)
        self.terms = int(terms)
        if terms == 2:
            self.hints = {name: hint for name, hint in type(self).hints.items() if not name.endswith("3")}  # type: ignore[misc]
            self.typical = {  # type: ignore[misc]
                "b1": 1.2714, "c1": 0.0091, "b2": 1.01, "c2": 103.6, "d0": 1.86e-6, "d1": 1.31e-8, "e0": 4.34e-7,
            }  # fmt: skip
        super().__init__(independent_vars, prefix, nan_policy, name, linear=linear)

    def _function(self) -> Callable[..., Any]:
        return sellmeier_dispersion if self.terms == 3 else sellmeier2

    def document_options(self) -> dict[str, Any]:
        """What makes this model again, for documents."""
        return {"terms": self.terms}

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float]:
        """Resonances from those tried, the rest from the squared index."""
        _refuse_none(coords[0], self.independent_vars[0])
        z, (wavelength, temperature) = thinned(z, coords)
        square, dt = wavelength**2, temperature - T_REFERENCE
        best: float = np.inf
        found: dict[str, float] = {}
        for resonances in self._resonances(float(square.min()), float(square.max())):
            terms = [square / (square - c) for c in resonances]
            # the thermal part of the squared index is (n^2 - 1) dt (d0 + d1 dt + e0 / ...), and n^2 - 1 hardly changes
            thermal = [dt, dt * dt, dt / (square - resonances[0])]
            size = float(np.mean(z**2 - 1.0)) or 1.0
            coef = _lstsq(np.array([*terms, *thermal]), z**2 - 1.0)
            off = z**2 - 1.0 - coef @ np.array([*terms, *thermal])
            # a negative strength is no resonance: its start would lie on the bound
            cost = float(off @ off) * (1.0 + 10.0 * float((coef[: len(terms)] <= 0).any()))
            if cost < best:
                best = cost
                found = {f"b{i + 1}": max(float(b), 1e-3) for i, b in enumerate(coef[: len(terms)])}
                found |= {f"c{i + 1}": float(c) for i, c in enumerate(resonances)}
                found |= dict(zip(("d0", "d1", "e0"), map(float, coef[len(terms) :] / size), strict=True))
        return found

    def _resonances(self, shortest: float, longest: float) -> Iterator[tuple[float, ...]]:
        above = [longest * f for f in (1.5, 3.0, 8.0, 20.0, 60.0)]
        below = [shortest * f for f in (0.01, 0.03, 0.06, 0.1, 0.16, 0.25, 0.4, 0.6, 0.8)]
        if self.terms == 2:
            yield from product(below, above)
        else:
            yield from ((c1, c2, c3) for c1, c2, c3 in product(below, below, above) if c1 < c2)

    def guess(self, data: Any, *coords: Any, **kws: Any) -> lmfit.Parameters:
        """
        Starts from data, with bounds that keep the poles out of the data.

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
        given = kws[name] if name in kws else coords[0]
        square = np.asarray(given, dtype=float) ** 2
        for i in range(1, self.terms + 1):
            resonance = params[f"{self.prefix}c{i}"]
            if i < self.terms and resonance.value < square.min():
                resonance.max = 0.999 * float(square.min())
            elif i == self.terms and resonance.value > square.max():
                resonance.min = 1.001 * float(square.max())
        return params
