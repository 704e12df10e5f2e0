"""What importing costs, and that every public name is there."""

import subprocess
import sys

import pytest

HEAVY = ["numpy", "scipy", "lmfit", "numdifftools", "pandas", "matplotlib", "astropy", "xarray", "emcee", "numba"]


def loaded_by(code, *more):
    """The modules of HEAVY (and `more`) that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys\nprint(*[m for m in {[*HEAVY, *more]!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.split()


@pytest.mark.parametrize("module", ["surffit", "surffit.exceptions", "surffit.registry", "surffit.cli", "surffit.data", "surffit.io"])
def test_import_is_light(module):
    assert loaded_by(f"import {module}") == []


def test_the_package_does_not_load_typing():
    # typing alone triples the time of `import surffit`; -S because site-packages' .pth files may load it themselves
    code = "import sys, surffit; sys.exit('typing' in sys.modules)"
    path = subprocess.run(
        [sys.executable, "-c", "import surffit; print(surffit.__path__[0])"], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()
    start = f"import sys; sys.path.insert(0, {path.removesuffix('surffit')!r}); "
    assert subprocess.run([sys.executable, "-S", "-c", start + code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("module", ["surffit.trace.graph", "surffit.solve.separable"])
def test_arrays_rooms_do_not_load_lmfit(module):
    assert not set(loaded_by(f"import {module}")) & {"lmfit", "pandas", "matplotlib", "emcee", "numba", "astropy", "xarray"}


def test_listing_models_loads_nothing():
    assert loaded_by("import surffit; assert 'gaussian' in surffit.models()") == []


def test_the_budget_test_can_fail():
    assert loaded_by("import surffit; import numpy") == ["numpy"]


def test_every_public_name_resolves():
    import surffit

    for name in dir(surffit):
        assert getattr(surffit, name) is not None
    assert set(surffit.__all__) <= set(dir(surffit))
    assert set(surffit.__all__) - {"__version__"} == set(surffit._NAMES)


def test_a_misspelt_name_is_answered():
    import surffit

    with pytest.raises(AttributeError, match="no attribute 'SurfaceModle'; did you mean 'SurfaceModel'"):
        surffit.SurfaceModle  # noqa: B018 -- the access is the test
    assert not hasattr(surffit, "qqqq")


def test_accessor_comes_with_pandas_in_either_order():
    for code in ("import pandas, surffit", "import surffit; surffit.fit_table; import pandas", "import pandas; import surffit.tables"):
        script = f"{code}\nassert hasattr(pandas.DataFrame, 'surffit')"
        subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)


def test_registering_the_accessor_loads_no_lmfit():
    assert "lmfit" not in loaded_by("import pandas, surffit")
