"""Sines and cosines, their derivatives and names."""

import numpy as np
import pytest

from surffit.bases import Fourier
from surffit.exceptions import ParameterError


def test_columns_and_derivatives(rng):
    x, y = rng.uniform(-5, 20, (2, 30))
    basis = Fourier((2, 1), domain=((0.0, 10.0), (1.0, 4.0)))
    a, b = 2 * np.pi * x / 10, 2 * np.pi * (y - 1) / 3
    columns = dict(zip(basis.names(), basis.columns(x, y).T, strict=True))
    assert len(columns) == 15
    np.testing.assert_allclose(columns["fc2_s1"], np.cos(2 * a) * np.sin(b), atol=1e-14)
    np.testing.assert_array_equal(columns["f0_0"], 1.0)
    slopes = dict(zip(basis.names(), basis.derivatives(x, y, orders=(3, 1)).T, strict=True))
    np.testing.assert_allclose(
        slopes["fc2_s1"], (4 * np.pi / 10) ** 3 * np.sin(2 * a) * (2 * np.pi / 3) * np.cos(b), rtol=1e-11, atol=1e-11
    )
    np.testing.assert_array_equal(slopes["f0_s1"], 0.0)
    coef = rng.normal(size=15)
    np.testing.assert_allclose(basis.evaluate(list(coef), [x, y]), basis.columns(x, y) @ coef, atol=1e-12)


def test_orthogonal_on_a_whole_period():
    x = np.arange(12) / 12
    columns = Fourier(3, domain=(0, 1)).columns(x)
    np.testing.assert_allclose(columns.T @ columns / 12, np.diag([1] + [0.5] * 6), atol=1e-15)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [((-1,), "whole number"), ((1, (2.0, 2.0)), "longer than 0"), (((1, 2), (0, 1)), "different numbers"), (((60, 60),), "the limit is")],
)
def test_bad_arguments(args, sentence):
    with pytest.raises(ParameterError, match=sentence):
        Fourier(*args)
