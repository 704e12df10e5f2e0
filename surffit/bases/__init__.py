"""
Conditioned bases for polynomials, and exact ways between them.

A basis gives columns at coordinates; `convert` takes coefficients and their covariance to another basis of the same
polynomials, in double-double arithmetic, so that the digits of a well-conditioned fit arrive in badly conditioned monomials.

Classes
-------
Horner
    Monomials, evaluated in Horner's form. For results that people read; not for fitting high degrees.
Chebyshev, Legendre
    Classical polynomials on a domain. For fitting, of any degree that makes sense.
Orthonormal
    Polynomials orthonormal on given (weighted) points. The best condition there is, 1.
Basis
    What these have in common: subclass it for another one.
"""

from .basis import Basis
from .classical import Chebyshev, Horner, Legendre
from .orthonormal import Orthonormal
from .polynomial import PolynomialBasis
from .product import ProductBasis

__all__ = ["Basis", "Chebyshev", "Horner", "Legendre", "Orthonormal", "PolynomialBasis", "ProductBasis"]
