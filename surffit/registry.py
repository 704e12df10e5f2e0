"""
Models by name.

Packages offer models under the entry-point group ``surffit.models``; surffit's own families and
lmfit's built-in models stand in the same group, there is no private way in. The names are read from
the metadata of the installed packages, so that listing them imports nothing; a model's code is
loaded when its name is asked for.

Functions
---------
models
    The names.
get_model
    A ready instance.
describe
    What the installed metadata say about a name.
refresh
    Look again, after packages were installed or removed.
"""

from __future__ import annotations

import functools
import sys
from importlib import metadata

from surffit.exceptions import PluginError, UnknownModelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from surffit.core.model import SurfaceModel

__all__ = ["describe", "get_model", "models", "name_of", "refresh", "registered_as"]

GROUP = "surffit.models"
API = 1  # what `surffit_api` on a plugin's class must say; raised when the contract with plugins changes


@functools.cache
def _offers() -> dict[str, list[metadata.EntryPoint]]:
    """All that is offered, by name: a list, since two distributions may offer one name."""
    offers: dict[str, list[metadata.EntryPoint]] = {}
    for point in metadata.entry_points(group=GROUP):
        known = offers.setdefault(point.name, [])
        # the same installation may be found twice (a checkout on the path and its installed metadata): that is one offer
        if not any(point.value == other.value and _distribution(point) == _distribution(other) for other in known):
            known.append(point)
    return offers


def refresh() -> None:
    """
    Forget the list of models; the next call reads it from the installed packages again.

    Examples
    --------
    >>> refresh()
    """
    _offers.cache_clear()


def models() -> list[str]:
    """
    Names of all models that are installed, sorted.

    Returns
    -------
    list of str
        Names for `get_model`. Nothing is imported to make the list, so that a broken plugin can't
        break it.

    Examples
    --------
    >>> "gaussian2d" in models()
    True
    """
    return sorted(_offers())


def describe(name: str) -> dict[str, str]:
    """
    What the installed packages say about a name, without loading the model.

    Parameters
    ----------
    name : str
        One of `models`.

    Returns
    -------
    dict
        ``name``, ``object`` (module and class), ``package`` and ``version`` of the one who offers it.

    Raises
    ------
    UnknownModelError
        If there is no such name.
    PluginError
        If two packages offer it.

    Examples
    --------
    >>> describe("gaussian")["object"]
    'lmfit.models:GaussianModel'
    """
    point = _find(name)
    package, version = _distribution(point)
    return {"name": name, "object": point.value, "package": package, "version": version}


def get_model(name: str, **options: Any) -> SurfaceModel:
    """
    A ready model, by name.

    Parameters
    ----------
    name : str
        One of `models`.
    **options
        What the model's class takes, such as ``prefix="p1_"``, or ``degree=3`` for "polynomial".

    Returns
    -------
    SurfaceModel
        A new instance. lmfit's models come with their `guess`, hints and derived parameters.

    Raises
    ------
    UnknownModelError
        If there is no such name; the sentence has the closest ones.
    PluginError
        If the plugin can't be loaded, was made for another version of surffit, or if two packages
        offer the name.

    Examples
    --------
    >>> get_model("gaussian", prefix="g_").param_names
    ['g_amplitude', 'g_center', 'g_sigma']
    """
    maker = _load(name)
    # the import is here because core stands on lmfit, whose import costs a second; listing names must not pay for it
    from surffit.core.model import SurfaceModel

    model = SurfaceModel.from_lmfit(maker(**options))
    model.registered_as = (name, options)  # how a document names it: see `registered_as`
    return model


def registered_as(model: object) -> tuple[str, dict[str, Any]] | None:
    """
    The name and options under which `get_model` gives this model again.

    Parameters
    ----------
    model : object
        Any model.

    Returns
    -------
    tuple of (str, dict), or None
        None if the model did not come from `get_model`.

    Examples
    --------
    >>> registered_as(get_model("linear", prefix="a_"))
    ('linear', {'prefix': 'a_'})
    """
    return getattr(model, "registered_as", None)


def name_of(maker: type) -> str | None:
    """
    The name under which a class is offered.

    Parameters
    ----------
    maker : type
        A model's class, such as ``lmfit.models.GaussianModel``.

    Returns
    -------
    str or None
        None if no package, or more than one, offers it.

    Examples
    --------
    >>> from lmfit.models import GaussianModel
    >>> name_of(GaussianModel)
    'gaussian'
    """
    # a class that exists was imported, so looking at what is loaded is enough: nothing is loaded for it
    names = [
        name
        for name, points in _offers().items()
        if len(points) == 1 and getattr(sys.modules.get(points[0].module), points[0].attr, None) is maker
    ]
    return names[0] if len(names) == 1 else None


def _find(name: str) -> metadata.EntryPoint:
    """The one offer of a name."""
    offers = _offers()
    if name not in offers:
        from difflib import get_close_matches

        close = get_close_matches(name, offers, n=3) if isinstance(name, str) else []
        if not offers:
            hint = "no models are registered at all, since surffit is not installed but run from a checkout: pip install -e ."
        elif close:
            hint = f"did you mean {' or '.join(map(repr, close))}?"
        else:
            hint = f"installed models: {', '.join(sorted(offers))}"
        msg = f"no model named {name!r}; {hint}"
        raise UnknownModelError(msg, model=name, close=close, installed=sorted(offers))
    points = offers[name]
    if len(points) > 1:
        who = " and ".join(f"{package} {version} ({point.value})" for point in points for package, version in [_distribution(point)])
        msg = f"the model name {name!r} is offered by {who}; uninstall one of them, or import the class itself"
        raise PluginError(msg, model=name, offers=[point.value for point in points])
    return points[0]


def _load(name: str) -> Any:
    """The registered class (or factory), checked."""
    point = _find(name)
    package, version = _distribution(point)
    if name != name.lower() or not name.isidentifier():
        msg = f"{package} {version} registers a model named {name!r}; model names are lower-case identifiers"
        raise PluginError(msg, model=name, package=package, version=version)
    try:
        maker = point.load()
    except Exception as err:  # whatever a plugin's import raises, the user needs to know whose it is
        if point.value.startswith("lmfit."):
            msg = f"lmfit {metadata.version('lmfit')} has no model {name!r}, newer ones have: pip install --upgrade lmfit"
        else:
            msg = f"the model {name!r} of {package} {version} can't be loaded: {type(err).__name__}: {err}"
        raise PluginError(msg, model=name, package=package, version=version) from err
    if not callable(maker):
        msg = f"the model {name!r} of {package} {version} is {point.value}, which is not a class or function that makes a model"
        raise PluginError(msg, model=name, package=package, version=version)
    # lmfit's own classes can't carry our mark
    api = getattr(maker, "surffit_api", API if point.value.startswith("lmfit.") else None)
    if api != API:
        said = "does not say for which" if api is None else f"is made for version {api!r}"
        msg = f"the model {name!r} of {package} {version} {said} of surffit's plugin interface; this surffit needs surffit_api = {API}"
        raise PluginError(msg, model=name, package=package, version=version, surffit_api=api)
    return maker


def _distribution(point: metadata.EntryPoint) -> tuple[str, str]:
    """Name and version of the package that offers an entry point."""
    return (point.dist.name, point.dist.version) if point.dist is not None else ("an unnamed package", "?")
