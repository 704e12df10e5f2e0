"""
Fits that just fit: plugins on top of lmfit for surfaces, ramps, spectra and images.

Start here: `SurfaceModel` (a plain function becomes a model), `fit_table` (the same on a pandas table), `fit_many` (a million
data sets), `JointModel` (several data sets together), `get_model` (models by name), `choose_degree` and `find_surface` (which
model), `compare` (which fit), `load` (saved fits). Names are loaded on first use; ``import surffit`` itself costs milliseconds.
"""

import sys

from surffit._version import __version__

TYPE_CHECKING = False  # type checkers know this name; importing typing would triple the import time
if TYPE_CHECKING:
    from surffit.batch import BatchResult, fit_many, fit_store
    from surffit.core.joint import JointModel
    from surffit.core.joint_result import JointResult
    from surffit.core.model import SurfaceModel
    from surffit.core.result import SurfaceResult
    from surffit.io import load
    from surffit.registry import get_model, models
    from surffit.solve.status import Status
    from surffit.surfaces.degree import choose_degree
    from surffit.surfaces.finder import FoundSurfaces, find_surface
    from surffit.tables import compare, fit_table

_NAMES = {
    "BatchResult": "surffit.batch",
    "FoundSurfaces": "surffit.surfaces.finder",
    "JointModel": "surffit.core.joint",
    "JointResult": "surffit.core.joint_result",
    "SurfaceModel": "surffit.core.model",
    "SurfaceResult": "surffit.core.result",
    "Status": "surffit.solve.status",
    "choose_degree": "surffit.surfaces.degree",
    "compare": "surffit.tables",
    "find_surface": "surffit.surfaces.finder",
    "fit_many": "surffit.batch",
    "fit_store": "surffit.batch",
    "fit_table": "surffit.tables",
    "get_model": "surffit.registry",
    "load": "surffit.io",
    "models": "surffit.registry",
}
_MODULES = (
    "bases",
    "batch",
    "core",
    "data",
    "exceptions",
    "io",
    "kernels",
    "plot",
    "registry",
    "solve",
    "surfaces",
    "tables",
    "testing",
    "trace",
)

__all__ = [
    "BatchResult",
    "FoundSurfaces",
    "JointModel",
    "JointResult",
    "Status",
    "SurfaceModel",
    "SurfaceResult",
    "__version__",
    "choose_degree",
    "compare",
    "find_surface",
    "fit_many",
    "fit_store",
    "fit_table",
    "get_model",
    "load",
    "models",
]


def __dir__():
    return sorted([*__all__, *_MODULES])


def __getattr__(name):
    from difflib import get_close_matches
    from importlib import import_module

    if name in _NAMES:
        value = getattr(import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = import_module(f"surffit.{name}")
    else:
        close = get_close_matches(name, [*_NAMES, *_MODULES], n=1)
        msg = f"module 'surffit' has no attribute {name!r}" + "".join(f"; did you mean {other!r}?" for other in close)
        raise AttributeError(msg)
    globals()[name] = value  # the hook runs once per name
    _register_accessors()
    return value


def _register_accessors():
    # pandas finds no accessors by itself: they are registered once pandas is loaded, never by loading it.
    if "pandas" in sys.modules and "surffit.tables" not in sys.modules:
        import surffit.tables  # noqa: F401 -- for its effect


_register_accessors()
