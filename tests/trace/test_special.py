"""Polygamma of complex arguments against mpmath."""

import mpmath
import numpy as np
import pytest

from surffit.trace.special import complex_polygamma


@pytest.mark.parametrize("order", [1, 2, 3, 6])
@pytest.mark.parametrize("z", [0.3 + 0.1j, 2 - 3j, 10 + 40j, -5.5 + 0.2j, 40 + 0j, 1e-3j, 300.5 - 1e4j])
def test_against_mpmath(order, z):
    expected = complex(mpmath.polygamma(order, z))
    assert abs(complex_polygamma(order, z) - expected) < 3e-15 * abs(expected)


def test_arrays_poles_and_the_far_left():
    got = complex_polygamma(1, np.array([[1.0 + 0j, -2.0], [-5000.5, np.nan]]))
    assert got.shape == (2, 2)
    assert abs(got[0, 0] - np.pi**2 / 6) < 1e-14  # the far point costs 2000 additions
    assert not np.isfinite(got.ravel()[1:]).any()
