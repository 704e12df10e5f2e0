"""The page of all registered models: name, formula, variables, parameters, from the models themselves."""

import inspect
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
    try:
        model = sf.get_model(name)
    except TypeError:  # such as polynomials, which need a degree
        variables = parameters = "by its options"
    else:
        variables, parameters = ", ".join(model.independent_vars), _shortened(model.param_names)
    maker = getattr(__import__(module, fromlist=[cls]), cls)
    what = (inspect.getdoc(maker) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    what = what.replace(":math:", "")
    if not module.startswith("lmfit"):
        what += f" ([`{cls}`](api/generated/{_page(module, cls)}))"
    return f"| `{name}` | {what} | {variables} | {parameters} |"


def _shortened(names: list[str]) -> str:
    shown = names if len(names) <= 10 else [*names[:9], "..."]
    return ", ".join(f"`{name}`" if name != "..." else name for name in shown)


def _page(module: str, cls: str) -> str:
    return f"surffit.surfaces.{cls}.rst" if hasattr(sf.surfaces, cls) else f"{module}.{cls}.rst"
