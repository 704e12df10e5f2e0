"""
Surfaces as ready models, and work with them. Names are loaded on first use.

Classes
-------
BSplineSurface
    Piecewise polynomials for local features, with smoothing where data are scarce or noisy.
BasisSurface
    What surfaces made of a basis have in common.
FourierSurface
    Sines and cosines for what repeats itself.
PolynomialSurface
    Polynomials of one or more variables in a conditioned basis.
RadialBasisSurface
    Functions of the distance to centres, for scattered points.
ZernikeSurface
    Wavefronts on a disc or a ring.
DegreeChoice, Detrended
    What `surffit.choose_degree` and `detrend` found.
Surface
    What the ready surfaces have in common; the base of one's own.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMES = {
    # made of a basis
    "BSplineSurface": "spline",
    "BasisSurface": "basis_surface",
    "FourierSurface": "basis_surfaces",
    "RadialBasisSurface": "basis_surfaces",
    "ZernikeSurface": "basis_surfaces",
    "DegreeChoice": "degree",
    "Detrended": "background",
    "PolynomialSurface": "polynomial",
    "Surface": "family",
    # peaks
    "Airy2D": "peaks.optics",
    "Beta2D": "peaks.galaxies",
    "Exponential2D": "peaks.galaxies",
    "Gaussian2DRotated": "peaks.gaussian",
    "Lorentzian2D": "peaks.lorentzian",
    "Moffat2D": "peaks.optics",
    "PseudoVoigt2D": "peaks.lorentzian",
    "Ring2D": "peaks.ring",
    "Sersic2D": "peaks.galaxies",
    "Sinc2D": "peaks.optics",
    "SuperGaussian2D": "peaks.gaussian",
    "Voigt2D": "peaks.lorentzian",
    # ridges, edges and waves
    "PlaneWave2D": "waves",
    "Ridge2D": "fronts",
    "Ripple2D": "ripple",
    "Sigmoid2D": "fronts",
    "StandingWave2D": "waves",
    "Step2D": "fronts",
    # work with surfaces
    "choose_degree": "degree",
    "detrend": "background",
}

__all__ = sorted(_NAMES)


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> "Any":
    from difflib import get_close_matches
    from importlib import import_module

    if name not in _NAMES:
        close = get_close_matches(name, _NAMES, n=1)
        msg = f"module 'surffit.surfaces' has no attribute {name!r}" + "".join(f"; did you mean {other!r}?" for other in close)
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
    globals()[name] = value  # the hook runs once per name
    return value
