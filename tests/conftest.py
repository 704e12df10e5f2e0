"""Fixtures that several test files share; no library code."""

import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything can load pyplot: CI machines have no display

import numpy as np
import pytest


def pytest_addoption(parser):
    parser.addoption("--regen-golden", action="store_true", help="rewrite the expected texts; review the diff")


@pytest.fixture
def rng():
    """A fresh generator with a fixed seed."""
    return np.random.default_rng(20240607)


@pytest.fixture
def golden(request):
    """A function that compares a text with ``tests/golden/<name>``."""

    def compare(text, name):
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--regen-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{name} differs; if that is meant: pytest --regen-golden, then review the diff"

    return compare


@pytest.fixture(scope="session")
def refractive():
    """The shipped refractive-index table (66 rows)."""
    from surffit import data

    return data.refractive_index()


@pytest.fixture(scope="session")
def project():
    """The root of the checkout that the tests lie in."""
    return Path(__file__).parent.parent
