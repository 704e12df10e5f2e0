"""Pages of the API reference, from the lists of public names in the code: a new name shows up by itself."""

import importlib
import shutil
from pathlib import Path

# module -> title; a module that isn't there yet is left out
MODULES = {
    "surffit": "Fitting",
    "surffit.surfaces": "Surfaces",
    "surffit.bases": "Bases",
    "surffit.registry": "Models by name",
    "surffit.plot": "Pictures",
    "surffit.io": "Saved documents",
    "surffit.data": "Tables that are shipped",
    "surffit.testing": "For plugin authors",
    "surffit.exceptions": "Errors and warnings",
}
# what calls return, which no public list names
RETURNED = (
    "surffit.core.conditioning.Conditioning",
    "surffit.core.hat.LeaveOneOut",
    "surffit.core.posterior.Posterior",
    "surffit.core.rungs.NamedCovariance",
    "surffit.tables.groups.TableResult",
    "surffit.tables.outlying.Outliers",
)

PAGE = """\
{title}
{rule}

.. automodule:: {module}
   :no-members:
   :no-index:

.. currentmodule:: {module}

.. autosummary::
   :toctree: generated
   :nosignatures:

{names}
"""
INDEX = """\
API
===

All public names, from their docstrings.

.. toctree::
   :maxdepth: 2

{pages}
"""
RETURNS = """\
What calls return
=================

Objects that you get but don't make.

.. autosummary::
   :toctree: generated
   :nosignatures:

{names}
"""


def public(module: str) -> list[str]:
    """The names a module shows: its ``__all__`` without dunders, surffit's own things only."""
    found = importlib.import_module(module)
    names = getattr(found, "__all__", [name for name in dir(found) if not name.startswith("_")])
    return sorted((name for name in names if not name.startswith("__")), key=lambda name: (name.islower(), name.lower()))


def write(folder: Path) -> list[Path]:
    """A page for each module, and one that leads to them; returns the pages."""
    shutil.rmtree(folder, ignore_errors=True)  # pages of names that are gone
    folder.mkdir(parents=True)
    pages: list[str] = []
    shown: list[object] = []  # what stands in two lists has one page, that of the first
    for module, title in MODULES.items():
        try:
            names = public(module)
        except ModuleNotFoundError as err:
            if err.name != module:
                raise
            continue
        objects = {name: getattr(importlib.import_module(module), name) for name in names}
        names = [name for name, found in objects.items() if not any(found is other for other in shown)]
        shown += [objects[name] for name in names]
        text = PAGE.format(title=title, rule="=" * len(title), module=module, names="\n".join(f"   {name}" for name in names))
        (folder / f"{module}.rst").write_text(text, encoding="utf-8")
        pages.append(module)
    (folder / "returned.rst").write_text(RETURNS.format(names="\n".join(f"   ~{name}" for name in RETURNED)), encoding="utf-8")
    pages.insert(1, "returned")
    (folder / "index.rst").write_text(INDEX.format(pages="\n".join(f"   {page}" for page in pages)), encoding="utf-8")
    return [folder / f"{page}.rst" for page in pages]
