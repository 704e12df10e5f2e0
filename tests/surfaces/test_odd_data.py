"""Guesses from data that hold little: finite starts within the bounds, and never a warning or an error."""

import numpy as np
import pytest

from surffit import surfaces
from surffit.exceptions import ParameterError, ShapeError, TooFewPointsError

NAMES = (
    "Airy2D", "Beta2D", "Exponential2D", "Gaussian2DRotated", "Lorentzian2D", "Moffat2D", "PlaneWave2D", "PseudoVoigt2D", "Ridge2D",
    "Ring2D", "Ripple2D", "Sersic2D", "Sigmoid2D", "Sinc2D", "StandingWave2D", "Step2D", "SuperGaussian2D", "Voigt2D",
)  # fmt: skip
Y, X = np.mgrid[:12, :15].astype(float)
HILL = np.exp(-((X - 7) ** 2 + (Y - 5) ** 2) / 8)
RANDOM = np.random.default_rng(0).normal(size=(3, 9))
DATA = {
    "one point": ([3.0], [1.0], [2.0]),
    "nine points": tuple(RANDOM),
    "constant": (np.full(X.shape, 3.0), X, Y),
    "zero": (np.zeros(X.shape), X, Y),
    "one place": (RANDOM[0], np.ones(9), np.ones(9)),
    "one line": (RANDOM[0], np.arange(9.0), np.zeros(9)),
    "one wild point": (np.where((X == 4) & (Y == 5), 9.0, 0.0), X, Y),
    "tiny": (1e-200 * HILL, 1e-40 * X, 1e-40 * Y),
    "huge": (1e200 * HILL, 1e40 * X, 1e40 * Y),
    "whole numbers": ((100 * HILL).astype(int), X.astype(int), Y.astype(int)),
    "different units": (HILL, 1e9 * X, 1e-9 * Y),
    "far away": (HILL, X + 1e6, Y - 1e6),
}


@pytest.mark.parametrize("name", NAMES)
def test_starts_are_finite_and_within_bounds(name):
    model = getattr(surfaces, name)()
    for what, (z, x, y) in DATA.items():
        for parameter, par in model.guess(z, x=x, y=y).items():
            assert np.isfinite(par.value), (what, parameter)
            assert par.min <= par.value <= par.max, (what, parameter)


def test_bad_calls_are_answered():
    model = surfaces.Airy2D()
    with pytest.raises(ShapeError, match="needs the coordinate y"):
        model.guess(HILL, x=X)
    with pytest.raises(ShapeError, match="broadcast"):
        model.guess(HILL, x=X, y=Y[:5])
    with pytest.raises(TooFewPointsError, match="none of the 180"):
        model.guess(np.full(X.shape, np.nan), x=X, y=Y)
    with pytest.raises(ParameterError, match=r"'radios', which is neither .*radius"):
        model.guess(HILL, x=X, y=Y, radios=3)
