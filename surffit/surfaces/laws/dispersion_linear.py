"""Dispersion formulas that are linear in all their parameters: Cauchy, Conrady, Herzberger, with temperature."""

from __future__ import annotations

from typing import Any, ClassVar

from ..family import Surface

T_REFERENCE = 20.0
"""Temperature at which the terms without temperature are the whole index [deg C]."""

# wavelengths of a visible and near infrared instrument [micrometre], room temperature and around [deg C]
EXTENT = {"wavelength": (0.4, 1.1, 36), "temperature": (-20.0, 80.0, 21)}


def cauchy_dispersion(wavelength: Any, temperature: Any, a: float, b: float, c: float, a_t: float, b_t: float) -> Any:
    r"""
    Refractive index after Cauchy, with a linear term of temperature.

    .. math:: n = a + \frac{b}{\lambda^2} + \frac{c}{\lambda^4} + (T - 20)\left(a_T + \frac{b_T}{\lambda^2}\right)

    Parameters
    ----------
    wavelength : array_like
        Wavelength :math:`\lambda` [micrometre].
    temperature : array_like
        Temperature T [deg C].
    a : float
        Index at long waves and 20 deg C. Linear.
    b : float
        First dispersion term at 20 deg C [micrometre**2]. Linear.
    c : float
        Second dispersion term [micrometre**4]. Linear.
    a_t : float
        Thermal change of `a` [1/K]. Linear.
    b_t : float
        Thermal change of `b` [micrometre**2/K]. Linear.

    Returns
    -------
    ndarray, shape of ``wavelength + temperature``
        Refractive index.

    Notes
    -----
    For transparent media far from their resonances, in the visible; `sellmeier_dispersion` reaches further. Any unit of wavelength may
    be used, `b` and `c` are then in its powers. Formula from [1]_; the thermal terms are its coefficients made linear in T.

    References
    ----------
    .. [1] A. L. Cauchy, Memoire sur la dispersion de la lumiere, Calve, Prague 1836.

    Examples
    --------
    >>> float(round(cauchy_dispersion(0.5876, 20.0, a=1.5046, b=0.0042, c=0.0, a_t=0.0, b_t=0.0), 4))  # a crown glass
    1.5168
    """
    square = wavelength**2
    return a + b / square + c / square**2 + (temperature - T_REFERENCE) * (a_t + b_t / square)


class CauchyDispersion(Surface):
    """Refractive index after Cauchy with temperature, `cauchy_dispersion`; every parameter is linear."""

    function = staticmethod(cauchy_dispersion)
    variables = ("wavelength", "temperature")
    units = {"wavelength": "micrometre", "temperature": "deg C"}
    extent: ClassVar = EXTENT
    typical: ClassVar = {"a": 1.504, "b": 4.2e-3, "c": 3e-5, "a_t": -1e-5, "b_t": 1e-6}


def conrady_dispersion(wavelength: Any, temperature: Any, n0: float, a: float, b: float, n0_t: float, a_t: float) -> Any:
    r"""
    Refractive index after Conrady, with a linear term of temperature.

    .. math:: n = n_0 + \frac{a}{\lambda} + \frac{b}{\lambda^{3.5}} + (T - 20)\left(n_{0T} + \frac{a_T}{\lambda}\right)

    Parameters
    ----------
    wavelength : array_like
        Wavelength :math:`\lambda` [micrometre], > 0.
    temperature : array_like
        Temperature T [deg C].
    n0 : float
        Constant term at 20 deg C. Linear.
    a : float
        First dispersion term at 20 deg C [micrometre]. Linear.
    b : float
        Second dispersion term [micrometre**3.5]. Linear.
    n0_t : float
        Thermal change of `n0` [1/K]. Linear.
    a_t : float
        Thermal change of `a` [micrometre/K]. Linear.

    Returns
    -------
    ndarray, shape of ``wavelength + temperature``
        Refractive index.

    Notes
    -----
    Good for few measured lines in the visible, where three terms must do. Formula from [1]_; the thermal terms are its coefficients made
    linear in T.

    References
    ----------
    .. [1] A. E. Conrady, Applied Optics and Optical Design, part 2, Dover 1960, p. 659.

    Examples
    --------
    >>> float(round(conrady_dispersion(0.25, 20.0, n0=1.0, a=0.25, b=1.0 / 128.0, n0_t=0.0, a_t=0.0), 9))  # 0.25**3.5 is 1/128
    3.0
    """
    return n0 + a / wavelength + b / wavelength**3.5 + (temperature - T_REFERENCE) * (n0_t + a_t / wavelength)


class ConradyDispersion(Surface):
    """Refractive index after Conrady with temperature, `conrady_dispersion`; every parameter is linear."""

    function = staticmethod(conrady_dispersion)
    variables = ("wavelength", "temperature")
    units = {"wavelength": "micrometre", "temperature": "deg C"}
    extent: ClassVar = EXTENT
    typical: ClassVar = {"n0": 1.4945, "a": 0.0101, "b": 5.4e-4, "n0_t": -1e-5, "a_t": 3e-6}


def herzberger_dispersion(
    wavelength: Any, temperature: Any, a: float, b: float, c: float, d: float, e: float, a_t: float, b_t: float
) -> Any:
    r"""
    Refractive index after Herzberger, with a linear term of temperature.

    .. math:: n = a + b L + c L^2 + d \lambda^2 + e \lambda^4 + (T - 20)(a_T + b_T L), \qquad L = \frac{1}{\lambda^2 - 0.028}

    Parameters
    ----------
    wavelength : array_like
        Wavelength :math:`\lambda` [micrometre], above 0.1674, where L has its pole.
    temperature : array_like
        Temperature T [deg C].
    a : float
        Constant term at 20 deg C. Linear.
    b : float
        Short-wave dispersion at 20 deg C [micrometre**2]. Linear.
    c : float
        Its second order [micrometre**4]. Linear.
    d : float
        Long-wave dispersion [1/micrometre**2]. Linear.
    e : float
        Its second order [1/micrometre**4]. Linear.
    a_t : float
        Thermal change of `a` [1/K]. Linear.
    b_t : float
        Thermal change of `b` [micrometre**2/K]. Linear.

    Returns
    -------
    ndarray, shape of ``wavelength + temperature``
        Refractive index.

    Notes
    -----
    Made for infrared materials and glasses from the visible on; the constant 0.028 micrometre**2 is Herzberger's mean resonance, so that
    the wavelength must be in micrometre. Formula from [1]_; the thermal terms are its coefficients made linear in T.

    References
    ----------
    .. [1] M. Herzberger, C. D. Salzberg, J. Opt. Soc. Am. 52 (1962) 420, doi:10.1364/JOSA.52.000420.

    Examples
    --------
    >>> float(round(herzberger_dispersion(2.0, 20.0, 3.41696, 0.138497, 0.013924, -2.09e-5, 1.48e-7, 0.0, 0.0), 4))  # silicon
    3.4526
    """
    square = wavelength**2
    short = 1.0 / (square - 0.028)
    return a + b * short + c * short**2 + d * square + e * square**2 + (temperature - T_REFERENCE) * (a_t + b_t * short)


class HerzbergerDispersion(Surface):
    """Refractive index after Herzberger with temperature, `herzberger_dispersion`; every parameter is linear."""

    function = staticmethod(herzberger_dispersion)
    variables = ("wavelength", "temperature")
    units = {"wavelength": "micrometre", "temperature": "deg C"}
    extent: ClassVar = {"wavelength": (1.36, 11.0, 41), "temperature": (-20.0, 80.0, 21)}
    typical: ClassVar = {"a": 3.41696, "b": 0.138497, "c": 0.013924, "d": -2.09e-5, "e": 1.48e-7, "a_t": 1.5e-4, "b_t": 2e-5}
