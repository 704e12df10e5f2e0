"""
Surfaces as ready models, and work with them. Names are loaded on first use.

Classes
-------
BSplineSurface
    Piecewise polynomials for local features, with smoothing where data are scarce or noisy.
FourierSurface
    Sines and cosines for what repeats itself.
PolynomialSurface
    Polynomials of one or more variables in a conditioned basis.
RadialBasisSurface
    Functions of the distance to centres, for scattered points.
ZernikeSurface
    Wavefronts on a disc or a ring.
BasisSurface
    What surfaces made of a basis have in common.
Surface
    What the ready surfaces have in common; the base of one's own.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .basis_surface import BasisSurface
    from .basis_surfaces import FourierSurface, RadialBasisSurface, ZernikeSurface
    from .family import Surface
    from .polynomial import PolynomialSurface
    from .spline import BSplineSurface

_NAMES = {
    "BSplineSurface": "spline",
    "BasisSurface": "basis_surface",
    "FourierSurface": "basis_surfaces",
    "PolynomialSurface": "polynomial",
    "RadialBasisSurface": "basis_surfaces",
    "Surface": "family",
    "ZernikeSurface": "basis_surfaces",
}

__all__ = [
    "BSplineSurface",
    "BasisSurface",
    "FourierSurface",
    "PolynomialSurface",
    "RadialBasisSurface",
    "Surface",
    "ZernikeSurface",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> object:
    from difflib import get_close_matches
    from importlib import import_module

    if name not in _NAMES:
        close = get_close_matches(name, _NAMES, n=1)
        msg = f"module 'surffit.surfaces' has no attribute {name!r}" + "".join(f"; did you mean {other!r}?" for other in close)
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
    globals()[name] = value  # the hook runs once per name
    return value
