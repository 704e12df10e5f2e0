"""Radial functions against scipy's interpolator, and their derivatives against differences in high precision."""

import mpmath
import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from surffit.bases import RadialBasis
from surffit.bases.radial import KERNELS
from surffit.exceptions import ParameterError

UNIT = ((-1.0, 1.0), (-1.0, 1.0))


@pytest.mark.parametrize("kernel", KERNELS)
def test_interpolates_as_scipy_does(kernel, rng):
    """Coefficients that sum to nothing against the polynomial, as scipy has them."""
    centres, values = rng.uniform(-1, 1, (25, 2)), rng.normal(size=25)
    basis = RadialBasis(centres, kernel, epsilon=1.5, domain=UNIT)
    degree, k = basis.degree, 25
    square = basis.columns(*centres.T)
    whole = np.vstack([square, np.hstack([square[:, k:].T, np.zeros((square.shape[1] - k,) * 2)])])
    coef = np.linalg.solve(whole, np.append(values, np.zeros(square.shape[1] - k)))
    at = rng.uniform(-1, 1, (40, 2))
    theirs = RBFInterpolator(centres, values, kernel=kernel, epsilon=1.5, degree=degree)(at)
    np.testing.assert_allclose(basis.columns(*at.T) @ coef, theirs, rtol=1e-7, atol=1e-7)


FORMULAS = {
    "linear": lambda r: -r,
    "thin_plate_spline": lambda r: r**2 * mpmath.log(r),
    "cubic": lambda r: r**3,
    "quintic": lambda r: -(r**5),
    "multiquadric": lambda r: -mpmath.sqrt(1 + r**2),
    "inverse_multiquadric": lambda r: 1 / mpmath.sqrt(1 + r**2),
    "inverse_quadratic": lambda r: 1 / (1 + r**2),
    "gaussian": lambda r: mpmath.exp(-(r**2)),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("orders", [(1, 0), (0, 2), (2, 1), (3, 2)])
def test_derivatives(kernel, orders):
    basis = RadialBasis([[0.1, -0.2]], kernel, epsilon=0.7, domain=((-2, 2), (-1, 1)), degree=1)
    got = basis.derivatives(0.9, 0.3, orders=orders)[0, 0]
    with mpmath.workdps(40):
        width, a, b = (mpmath.mpf(text) for text in ("0.7", "0.1", "-0.2"))

        def bump(x, y):
            return FORMULAS[kernel](width * mpmath.sqrt(((x - a) / 2) ** 2 + (y - b) ** 2))

        exact = mpmath.diff(bump, (mpmath.mpf("0.9"), mpmath.mpf("0.3")), orders)
    np.testing.assert_allclose(got, float(exact), rtol=1e-11)


def test_at_a_centre_only_what_exists():
    for kernel, kind in KERNELS.items():
        basis = RadialBasis([[0.0], [1.0]], kernel, degree=-1, domain=(-1, 1), epsilon=1.0)
        for order in range(5):
            at = basis.derivatives(0.0, orders=order)[0, 0]
            assert np.isfinite(at) == (order < max(kind.smooth, 1)), (kernel, order)
    # the slope of a gaussian is 0 there, the second derivative -2
    gaussian = RadialBasis([0.0, 1.0], "gaussian", degree=-1, domain=(-1, 1), epsilon=1.0)
    assert [gaussian.derivatives(0.0, orders=n)[0, 0] for n in range(3)] == [1.0, 0.0, -2.0]


def test_names_and_tail():
    basis = RadialBasis([[0, 0], [1, 5], [2, 3]])
    assert basis.names() == ("w0", "w1", "w2", "c0_0", "c1_0", "c0_1")
    assert basis.domain == ((0.0, 2.0), (0.0, 5.0))
    np.testing.assert_allclose(basis.columns(2.0, 5.0)[0, 3:], 1.0)
    assert RadialBasis([[0, 0], [1, 5], [2, 3]]) == basis
    assert hash(RadialBasis([[0, 0], [1, 5], [2, 3]])) == hash(basis)


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"kernel": "wendland"}, "is unknown; use one of"),
        ({"centres": []}, "one row for each centre"),
        ({"centres": [[np.nan, 1.0]]}, "one row for each centre"),
        ({"centres": "ab"}, "one row for each centre"),
        ({"degree": -2}, "-1 for none"),
        ({"epsilon": 0.0}, "above 0"),
        ({"domain": (0, 1)}, "the centres have 2"),
    ],
)
def test_bad_arguments(kwargs, sentence):
    with pytest.raises(ParameterError, match=sentence):
        RadialBasis(**{"centres": [[0.0, 0.0], [1.0, 1.0]], **kwargs})
