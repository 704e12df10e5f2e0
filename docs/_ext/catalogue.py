"""The page of all registered models: name, formula, variables, parameters, from the models themselves."""

import importlib
import inspect
import re
from pathlib import Path

import surffit as sf

HEAD = """\
# Registered models

`sf.get_model(name)` makes each of them; `surffit describe name` tells the same in the shell. The list is made from what is installed
with surffit; packages of others [add to it](../how-to/write-a-plugin.md).
"""


def write(folder: Path) -> None:
    """The page, for models of surffit first."""
    own, lmfits = [], []
    for name in sf.models():
        said = sf.registry.describe(name)
        if said["package"] != "surffit":
            continue  # what else is installed where the site is built doesn't belong to it
        row = _row(name, said["object"])
        (lmfits if said["object"].startswith("lmfit.") else own).append(row)
    text = HEAD
    for title, rows in (("surffit's own", own), ("lmfit's", lmfits)):
        text += f"\n## {title}\n\n| name | what | variables | parameters |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    path = folder / "models.md"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _row(name: str, where: str) -> str:
    module, _, cls = where.partition(":")
    maker = getattr(importlib.import_module(module), cls)
    try:
        model = sf.get_model(name)
    except TypeError:  # needs options, such as a number of centres
        variables = parameters = "by its options"
        told = inspect.getdoc(maker) or ""
    else:
        variables, parameters = ", ".join(model.independent_vars), _shortened(model.param_names)
        own = not module.startswith("lmfit") and hasattr(maker, "function")
        told = inspect.getdoc(maker.function if own else maker) or ""
    what = " ".join(told.partition("\n\n")[0].split()).partition(", with functional form")[0]
    what = what.replace(":math:", "{math}")
    formula = re.search(r"\.\. math:: (.*?)\n\n", told, re.DOTALL)
    if formula and not module.startswith("lmfit"):
        what += f" {{math}}`{' '.join(formula[1].split())}`"
    if hasattr(sf.surfaces, cls):
        what += f" ([`{cls}`](api/generated/surffit.surfaces.{cls}.rst))"
    return f"| `{name}` | {what.replace('|', chr(92) + '|')} | {variables} | {parameters} |"


def _shortened(names: list[str]) -> str:
    shown = names if len(names) <= 10 else [*names[:9], "..."]
    return ", ".join(f"`{name}`" if name != "..." else name for name in shown)
