"""
Conditioned bases for surfaces, and exact ways between those of polynomials.

A basis gives columns at coordinates, and their derivatives. For polynomials `convert` takes coefficients and their covariance to
another basis of the same polynomials, in double-double arithmetic, so that the digits of a well-conditioned fit arrive in badly
conditioned monomials.

Classes
-------
Horner
    Monomials, evaluated in Horner's form. For results that people read; not for fitting high degrees.
Chebyshev, Legendre
    Classical polynomials on a domain. For fitting, of any degree that makes sense.
Orthonormal
    Polynomials orthonormal on given (weighted) points. The best condition there is, 1.
Zernike
    Polynomials orthonormal on a disc or an annulus: for optics.
BSpline
    Piecewise polynomials, for local features; with a measure of roughness.
Fourier
    Sines and cosines, for what repeats itself.
RadialBasis
    Functions of the distance to centres, for scattered points.
Basis, PolynomialBasis, ProductBasis
    What these have in common: subclass one for another basis.

Functions
---------
noll_to_nm, nm_to_noll, osa_to_nm, nm_to_osa, zernike_name
    Zernike's polynomials by index, orders and name.
"""

from .basis import Basis
from .bspline import BSpline
from .classical import Chebyshev, Horner, Legendre
from .fourier import Fourier
from .orthonormal import Orthonormal
from .polynomial import PolynomialBasis
from .product import ProductBasis
from .radial import RadialBasis
from .zernike import Zernike
from .zernike_index import nm_to_noll, nm_to_osa, noll_to_nm, osa_to_nm, zernike_name

__all__ = [
    "BSpline",
    "Basis",
    "Chebyshev",
    "Fourier",
    "Horner",
    "Legendre",
    "Orthonormal",
    "PolynomialBasis",
    "ProductBasis",
    "RadialBasis",
    "Zernike",
    "nm_to_noll",
    "nm_to_osa",
    "noll_to_nm",
    "osa_to_nm",
    "zernike_name",
]
