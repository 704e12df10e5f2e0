"""Every surface that surffit registers keeps what models promise."""

from importlib import metadata

import pytest

import surffit as sf
from surffit.testing import check_model

OWN = sorted(point.name for point in metadata.entry_points(group="surffit.models") if point.value.startswith("surffit.surfaces"))


def test_there_are_enough_of_them():
    assert len(OWN) >= 30
    assert set(OWN) <= set(sf.models())


@pytest.mark.parametrize("name", OWN)
def test_a_registered_surface_keeps_its_promises(name):
    report = check_model(name)
    searched = [parameter for parameter in sf.get_model(name).param_names if parameter not in report.linear]
    assert report.traced or not searched, "derivatives of what is searched are exact"
    assert "guess" not in report.skipped or not searched


@pytest.mark.parametrize("name", OWN)
def test_a_registered_surface_has_words_with_formula_and_units(name):
    model = sf.get_model(name)
    assert type(model).__doc__
    function = getattr(type(model), "function", None)
    if function is not None:  # others are made of a basis
        assert ".. math::" in function.__doc__
        assert "[" in function.__doc__
        assert ">>>" in function.__doc__ or ">>>" in type(model).__doc__
