"""setup.cfg, pyproject.toml and what is installed agree with each other and with the code."""

import ast
import configparser
import re
import tomllib
from importlib import metadata

import pytest

import surffit


@pytest.fixture(scope="module")
def setup(project):
    parser = configparser.ConfigParser(delimiters="=")
    parser.optionxform = str
    parser.read_string((project / "setup.cfg").read_text(encoding="utf-8"))
    return parser


def lines(block):
    return [line.strip() for line in block.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_pyproject_holds_no_metadata(project):
    with (project / "pyproject.toml").open("rb") as file:
        assert set(tomllib.load(file)) <= {"build-system", "tool", "dependency-groups"}


def test_version_is_the_installed_one(project):
    assert metadata.version("surffit") == surffit.__version__
    assert f"version: {surffit.__version__}" in (project / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {surffit.__version__}" in (project / "CHANGELOG.md").read_text(encoding="utf-8")


def test_metadata_say_what_the_package_needs(setup):
    meta = metadata.metadata("surffit")
    assert meta["License-Expression"] == "BSD-3-Clause"
    assert meta["Requires-Python"] == ">=3.11"
    needs = {re.split(r"[<>=!~]", need)[0] for need in lines(setup["options"]["install_requires"])}
    assert needs == {"numpy", "scipy", "lmfit", "numdifftools", "emcee", "matplotlib", "pandas", "numba"}


def test_extras_are_all_there(setup):
    assert set(metadata.metadata("surffit").get_all("Provides-Extra")) == set(setup["options.extras_require"])
    assert {"astro", "parallel", "mc", "asdf", "progress", "docs", "test", "bench", "all"} == set(setup["options.extras_require"])


@pytest.mark.parametrize("group", ["surffit.models", "surffit.documents", "console_scripts"])
def test_entry_points_are_installed_as_written(setup, group):
    written = dict(map(str.strip, line.split(" = ")) for line in lines(setup["options.entry_points"][group]))
    installed = {point.name: point.value for point in metadata.entry_points(group=group) if point.dist.name == "surffit"}
    assert installed == written, "run pip install -e . again"


@pytest.mark.parametrize("group", ["surffit.models", "surffit.documents", "console_scripts"])
def test_entry_points_load(group):
    points = [point for point in metadata.entry_points(group=group) if point.dist.name == "surffit"]
    assert points
    import lmfit.models

    # older lmfits, which are allowed, have fewer models
    absent = {point.name for point in points if point.value.startswith("lmfit.") and not hasattr(lmfit.models, point.attr)}
    assert absent <= {"bose", "fermi"}
    for point in points:
        assert point.name in absent or callable(point.load())


def test_extras_named_in_error_texts_exist(project, setup):
    named = set()
    for path in (project / "surffit").rglob("*.py"):
        named |= set(re.findall(r"surffit\[(\w+)\]", path.read_text(encoding="utf-8")))
    assert named, "no error text names an extra: this test has lost its object"
    assert named <= set(setup["options.extras_require"])


def test_python_files_state_their_subject(project):
    for path in (project / "surffit").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


def test_typed_and_data_files_are_shipped():
    from importlib.resources import files

    assert files("surffit").joinpath("py.typed").is_file()
    assert files("surffit.data").joinpath("refractive_index.csv").is_file()
    assert files("surffit.data").joinpath("README.md").is_file()


def test_shipped_table_is_the_table(refractive):
    assert list(refractive.columns) == ["wavelength_nm", "temperature_c", "n"]
    assert refractive.shape == (66, 3)
    assert refractive.iloc[0].tolist() == [226.5, 0.0, 1.3945]
    assert refractive.groupby("wavelength_nm").size().tolist() == [11] * 6


def test_a_file_that_is_not_shipped_is_refused():
    with pytest.raises(FileNotFoundError, match=r"ships refractive_index\.csv"):
        surffit.data.path("../setup.cfg")


def test_every_folder_of_code_is_a_package(project):
    # setuptools leaves out folders without one, which an editable install doesn't show
    folders = {path.parent for path in (project / "surffit").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []
