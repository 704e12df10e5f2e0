"""What the tests of the documentation share: its helpers, which are no installed package."""

import importlib.util

import pytest


@pytest.fixture(scope="session")
def helper(project):
    """A function that loads a file of docs/ as a module."""

    def load(path):
        spec = importlib.util.spec_from_file_location(path.rpartition("/")[2].removesuffix(".py"), project / "docs" / path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(autouse=True)
def no_figures_left():
    """Pages and lessons leave their pictures open; the next one counts its own."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
