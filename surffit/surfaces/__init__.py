"""
Surfaces as ready models.

Classes
-------
PolynomialSurface
    Polynomials of one or more variables in a conditioned basis.
"""

from .polynomial import PolynomialSurface

__all__ = ["PolynomialSurface"]
