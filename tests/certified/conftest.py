"""The certified problems, for the tests beside this file."""

import importlib.util
import sys
from pathlib import Path

import pytest


def load(name, path):
    """A module from a file that is in no package."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def nist():
    """The module of problems, parsers and the count of digits."""
    return load("certified_nist", Path(__file__).with_name("nist.py"))


@pytest.fixture(scope="session")
def load_file():
    """A function that loads a script as a module."""
    return load
