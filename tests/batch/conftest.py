"""A small batch that several files look at."""

import os

import numpy as np
import pytest

import surffit as sf

from .forks import Forks

T = np.linspace(-5.0, 5.0, 40)


def peak(x, height, centre, width, floor):
    return height * np.exp(-0.5 * ((x - centre) / width) ** 2) + floor


@pytest.fixture(scope="package")
def peaks():
    """Peaks on a map of 2 x 3, the fit axis first; one pixel has a nan, another is masked but for two points."""
    rng = np.random.default_rng(3)
    centres = np.array([[-1.0, 0.0, 1.0], [0.5, -0.5, 0.2]])
    data = peak(T[:, None, None], 10.0, centres, 1.2, 3.0) + rng.normal(0.0, 0.3, (len(T), 2, 3))
    data[5, 0, 0] = np.nan
    return data


@pytest.fixture(scope="package")
def peak_batch(peaks):
    """Free, fixed and tied parameters; a bound that holds one fit; a few excluded points."""
    model = sf.SurfaceModel(peak, independent_vars=["x"])
    params = model.make_params(height=5.0, centre={"value": 0.1, "max": 0.7}, width=1.0, floor={"value": 3.0, "vary": False})
    params.add("fwhm", expr="2.3548200450309493*width")
    params.add("flux", expr="height*width*sqrt(2*pi)")
    mask = np.zeros(peaks.shape, dtype=bool)
    mask[2:, 1, 0] = True
    mask[:4, 1, 1] = True
    return sf.fit_many(model, peaks, axis=0, params=params, sigma=0.3, mask=mask, x=T, covar=True, workers=1)


@pytest.fixture(scope="package")
def forks(tmp_path_factory):
    """Processes that may be killed."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    running = Forks(tmp_path_factory.mktemp("forks"))
    yield running
    running.close()
