"""da.surffit.fit is fit_many, and nobody's xarray is imported for it."""

import subprocess
import sys

import numpy as np
import pytest

import surffit as sf

xr = pytest.importorskip("xarray")


@pytest.fixture
def cube(rng):
    t = np.arange(8.0)
    data = 1.0 + t[:, None, None] * rng.uniform(1, 2, (3, 4)) + rng.normal(0, 0.01, (8, 3, 4))
    return xr.DataArray(data, dims=("time", "y", "x"), coords={"time": t, "y": [10, 20, 30]})


def test_the_accessor_is_the_same_call(cube):
    model = sf.get_model("linear")
    one = cube.surffit.fit(model, dim="time", x="time")
    other = sf.fit_many(model, cube, dim="time", x="time")
    for name in ("slope", "intercept"):
        xr.testing.assert_identical(one.values[name], other.values[name])
        xr.testing.assert_identical(one.stderr[name], other.stderr[name])
    assert one.values["slope"].dims == ("y", "x")


def run(code):
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


HAS = "print(hasattr(xr.DataArray, 'surffit'))"
QUIET = "import sys, warnings; warnings.simplefilter('error'); import xarray, surffit; surffit.Status; surffit.tables.register(); "


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(f"import xarray as xr, surffit; {HAS}", "True", marks=pytest.mark.slow),
        (
            f"import surffit, xarray as xr; {HAS}; surffit.Status; {HAS}",
            "False\nTrue",
        ),
        pytest.param(f"import pandas, surffit.tables, xarray as xr; surffit.Status; {HAS}", "True", marks=pytest.mark.slow),
        (f"import xarray as xr, surffit.tables; {HAS}", "True"),
        ("import surffit.tables, sys; print('xarray' in sys.modules, 'lmfit' in sys.modules)", "False False"),
        (
            QUIET + "print('quiet')",
            "quiet",
        ),
    ],
)
def test_it_is_registered_once_and_early_enough(code, expected):
    assert run(code) == expected
