"""Models by name: from the metadata of installed packages, without importing them."""

import re
from importlib import metadata

import pytest

from surffit import registry
from surffit.exceptions import PluginError, UnknownModelError


class FakeDistribution:
    """What the registry reads of a distribution."""

    def __init__(self, name, version):
        self.name, self.version = name, version


def point(name, value, package="moffat-models", version="0.3"):
    return metadata.EntryPoint(name, value, registry.GROUP)._for(FakeDistribution(package, version))


@pytest.fixture
def offers(monkeypatch):
    """Replace what is installed by the given entry points."""

    def install(*points):
        monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [p for p in points if p.group == group])
        registry.refresh()

    yield install
    monkeypatch.undo()
    registry.refresh()


class Plugin:
    """Stands for a plugin's model class."""

    surffit_api = 1

    def __init__(self, **options):
        self.options = options


class OldPlugin(Plugin):
    surffit_api = 99


class Unmarked:
    """A class that says nothing."""


NOT_CALLABLE = 3
HERE = "surffit_test_plugins"


@pytest.fixture(autouse=True)
def plugin_module(monkeypatch):
    """Make this file's classes importable by a plain name (importlib mode gives test files none)."""
    import sys
    import types

    module = types.ModuleType(HERE)
    for thing in (Plugin, OldPlugin, Unmarked):
        setattr(module, thing.__name__, thing)
    module.NOT_CALLABLE = NOT_CALLABLE
    monkeypatch.setitem(sys.modules, HERE, module)


def snake(cls):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__.removesuffix("Model")).lower()


def built_in():
    """lmfit's models by the names that the registry gives them, as far as the installed lmfit has them."""
    from lmfit.models import lmfit_models

    return {snake(cls): cls for cls in lmfit_models.values() if cls.__name__ != "ExpressionModel"}


def test_every_built_in_of_lmfit_is_there_under_its_own_name():
    listed = {name: registry.describe(name)["object"] for name in registry.models()}
    missing = {name: cls.__name__ for name, cls in built_in().items() if listed.get(name) != f"lmfit.models:{cls.__name__}"}
    assert missing == {}


def test_a_built_in_that_an_older_lmfit_lacks_says_so(offers):
    offers(point("newest", "lmfit.models:NewestModel", "surffit"))
    with pytest.raises(PluginError, match=r"lmfit \S+ has no model 'newest', newer ones have: pip install --upgrade lmfit"):
        registry.get_model("newest")


def test_names_are_sorted_identifiers():
    names = registry.models()
    assert names == sorted(names)
    assert all(name.isidentifier() and name == name.lower() for name in names)


def test_listing_never_loads_a_plugin(offers):
    offers(point("broken", "no_such_module:Model"))
    assert registry.models() == ["broken"]
    assert registry.describe("broken") == {
        "name": "broken", "object": "no_such_module:Model", "package": "moffat-models", "version": "0.3",
    }  # fmt: skip


def test_a_broken_plugin_is_named_only_when_asked_for(offers):
    offers(point("broken", "no_such_module:Model"))
    with pytest.raises(PluginError, match=r"'broken' of moffat-models 0\.3 can't be loaded: ModuleNotFoundError") as caught:
        registry.get_model("broken")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert (caught.value.package, caught.value.version) == ("moffat-models", "0.3")


def test_two_offers_of_one_name_are_refused_by_both_names(offers):
    offers(point("plane", "a:Plane", "planes", "1.0"), point("plane", "b:Plane", "aeroplanes", "2.1"))
    assert registry.models() == ["plane"]
    with pytest.raises(PluginError, match=r"planes 1\.0 \(a:Plane\) and aeroplanes 2\.1 \(b:Plane\)"):
        registry.get_model("plane")


def test_one_installation_found_twice_is_one_offer(offers):
    offers(point("plane", f"{HERE}:Plugin"), point("plane", f"{HERE}:Plugin"))
    assert registry.describe("plane")["package"] == "moffat-models"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("old", f"{HERE}:OldPlugin", r"made for version 99 .* needs surffit_api = 1"),
        ("unmarked", f"{HERE}:Unmarked", r"does not say for which .* needs surffit_api = 1"),
        ("number", f"{HERE}:NOT_CALLABLE", "not a class or function"),
        ("Upper", f"{HERE}:Plugin", "lower-case identifiers"),
        ("with-dash", f"{HERE}:Plugin", "lower-case identifiers"),
    ],
)
def test_a_plugin_outside_the_rules_is_refused(offers, name, value, sentence):
    offers(point(name, value))
    with pytest.raises(PluginError, match=sentence):
        registry.get_model(name)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("gausian2d", "no model named 'gausian2d'; did you mean 'gaussian2d'"),
        ("zzzz", r"installed models: .*\bbose, "),
        (7, "no model named 7"),
    ],
)
def test_a_misspelling_is_answered(asked, sentence):
    with pytest.raises(UnknownModelError, match=sentence):
        registry.get_model(asked)


def test_a_bare_checkout_says_so(offers):
    offers()
    assert registry.models() == []
    with pytest.raises(UnknownModelError, match=r"run from a checkout: pip install -e \."):
        registry.get_model("gaussian")


def test_refresh_looks_again(offers):
    offers(point("one", "a:A"))
    assert registry.models() == ["one"]
    offers(point("two", "a:A"))
    assert registry.models() == ["two"]


@pytest.mark.parametrize("name", sorted(set(built_in()) - {"polynomial", "spline"}))
def test_every_built_in_is_a_ready_surface_model(name):
    import surffit as sf

    model = registry.get_model(name, prefix="p_")
    assert isinstance(model, sf.SurfaceModel)
    original = built_in()[name](prefix="p_")
    assert model.param_names == original.param_names
    assert model.independent_vars == original.independent_vars
    assert sorted(model.make_params()) == sorted(original.make_params())
    assert registry.registered_as(model) == (name, {"prefix": "p_"})


def test_options_reach_the_class():
    assert registry.get_model("polynomial", degree=3).param_names == ["c0", "c1", "c2", "c3"]
    assert len(registry.get_model("spline", xknots=[0.0, 1, 2, 3, 4]).param_names) == 5


def test_guess_works(rng):
    import numpy as np

    model = registry.get_model("gaussian")
    x = np.linspace(0, 10, 60)
    truth = dict(amplitude=5.0, center=4.2, sigma=0.8)
    data = model.eval(x=x, **truth) + rng.normal(0, 1e-3, x.size)
    guess = model.guess(data, x=x)
    assert abs(guess["center"].value - 4.2) < 0.3
    fit = model.fit(data, guess, x=x)
    for name, value in truth.items():
        assert abs(fit.params[name].value - value) < 5 * fit.params[name].stderr


def test_models_that_came_otherwise_have_no_name():
    assert registry.registered_as(object()) is None
