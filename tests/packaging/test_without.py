"""Without the optional packages everything works but what they are for, and that says which one is missing."""

import subprocess
import sys

import pytest

OPTIONAL = ["astropy", "sep", "xarray", "dask", "distributed", "zarr", "h5netcdf", "dynesty", "corner", "arviz", "asdf", "tqdm"]

MAIN_JOB = """
import sys
for name in {hidden!r}:
    sys.modules[name] = None
import surffit as sf
from surffit.plot import picture

def f(x, y, a, b, c):
    return a + b * y + c / x**2

df = sf.data.refractive_index()
result = sf.fit_table(df, f, data="n", x="wavelength_nm", y="temperature_c")
assert result.success and result.explain() and len(result.tidy()) == 3 and len(result.augment()) == 66
assert len(df.surffit.fit(f, "n", "wavelength_nm", x="wavelength_nm", y="temperature_c").tidy()) == 18
picture(result)
result.save(sys.argv[1])
assert sf.load(sys.argv[1]).best_values == result.best_values
"""


@pytest.mark.parametrize("hidden", [OPTIONAL, ["astropy"], ["xarray"], ["tqdm"]], ids=lambda names: "+".join(names)[:20])
def test_the_main_job_needs_no_optional_package(hidden, tmp_path):
    code = MAIN_JOB.format(hidden=hidden)
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "fit.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_the_list_is_that_of_the_extras(project):
    import configparser
    import re

    parser = configparser.ConfigParser(delimiters="=")
    parser.read_string((project / "setup.cfg").read_text(encoding="utf-8"))
    extras = parser["options.extras_require"]
    named = {
        re.split(r"[<>=]", need.strip())[0] for key in ("astro", "parallel", "mc", "asdf", "progress") for need in extras[key].split(";")
    }
    assert named == set(OPTIONAL)
