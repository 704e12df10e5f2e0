"""
Surfaces as ready models, and work with them. Names are loaded on first use.

Classes
-------
PolynomialSurface
    Polynomials of one or more variables in a conditioned basis.
Surface
    What the ready surfaces have in common; the base of one's own.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .family import Surface
    from .polynomial import PolynomialSurface

_NAMES = {
    "PolynomialSurface": "polynomial",
    "Surface": "family",
}

__all__ = ["PolynomialSurface", "Surface"]


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
