"""The house: who may import whom, read from the source with `ast`."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "surffit"

# Rooms from the ground up; a module imports from rooms before its own. The number is the floor.
FLOORS = {
    "exceptions": 0, "_version": 0, "data": 0,
    "kernels": 1, "trace": 1, "bases": 1,
    "solve": 2,
    "core": 3,
    "registry": 4, "batch": 4, "tables": 4, "io": 4, "fits": 4, "plot": 4,
    "surfaces": 5, "ramps": 5, "spectra": 5, "images": 5, "testing": 5,
    "cli": 6,
    "__main__": 7,
}  # fmt: skip
ORDER = list(FLOORS)
PLUGINS = {"ramps", "spectra", "images", "surfaces"}

# Imports that reach up, all of them inside functions, and why each may.
BRIDGES = {
    ("core", "tables"): "result.tidy(), glance() and augment() hand over to the tables",
    ("core", "io"): "result.save() hands over to the writer",
    ("core", "plot"): "result.plot() and its siblings hand over to the pictures",
    ("batch", "io"): "batch.save() hands over to the writer",
    ("batch", "plot"): "batch.plot() hands over to the pictures",
    ("__init__", "tables"): "the accessor is registered when pandas is already loaded",
}

# Packages that cost more than numpy to import, and the rooms that may do so at their top. Everywhere else they are imported
# inside the functions that need them. The rooms that may are loaded lazily themselves.
HEAVY = {
    "scipy": {"kernels", "trace", "bases", "solve", "core"},
    "lmfit": {"core"},
    "asteval": {"core"},
    "uncertainties": {"core"},
    "pandas": {"tables"},
    "numba": {"batch", "ramps", "spectra", "images"},
    "matplotlib": set(),
    "numdifftools": set(),
    "emcee": set(),
    "astropy": set(),
    "xarray": set(),
    "dask": set(),
    "tqdm": set(),
    "dynesty": set(),
}
NUMPY = set(ORDER[ORDER.index("kernels") :]) - {"cli", "__main__", "registry"}


def room(path, root):
    """The room a file belongs to: the first part of its path."""
    return path.relative_to(root).parts[0].removesuffix(".py")


def imports(path, root):
    """Yield (dotted absolute module, inside a function, line) for every import of a file, type-checking blocks aside."""
    package = ["surffit", *path.relative_to(root).parent.parts]

    def walk(node, inner):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield alias.name, inner, child.lineno
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *([child.module] if child.module else [])])
                for alias in child.names:
                    yield f"{module}.{alias.name}", inner, child.lineno
            yield from walk(child, inner or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


def faults(root):
    """Every breach of the house rules below `root`, as sentences."""
    found = []
    for path in sorted(root.rglob("*.py")):
        own = room(path, root)
        own_place = -1 if own == "__init__" else ORDER.index(own)  # an unknown room is an error: give it a floor first
        for name, inner, line in imports(path, root):
            where = f"{path.relative_to(root)}:{line}"
            top, *rest = name.split(".")
            if top == "surffit":
                if not rest or rest[0] == own:
                    continue
                target = rest[0]
                if target.startswith("__version"):
                    target = "_version"
                if target not in FLOORS:
                    found.append(f"{where}: {name} is no room (names of the package are for users; import from their modules)")
                elif ORDER.index(target) >= own_place and own_place >= 0 and not (inner and (own, target) in BRIDGES):
                    found.append(f"{where}: {own} reaches up to {target}")
                elif own == "__init__" and target != "_version" and not (inner and (own, target) in BRIDGES):
                    found.append(f"{where}: the package loads {target} at its import")
                if own in FLOORS and target in PLUGINS and FLOORS[own] < 6:
                    found.append(f"{where}: {own} names the plugin {target}")
            elif not inner and top in HEAVY and own not in HEAVY[top]:
                found.append(f"{where}: {own} imports {top} at its top")
            elif not inner and top == "numpy" and own not in NUMPY:
                found.append(f"{where}: {own} imports numpy at its top")
            elif top in {"lmfit", "pandas"} and FLOORS.get(own, 9) < 3 and own != "data":
                found.append(f"{where}: {own} knows {top}")
    return found


def module_cycles(root):
    """Circles among the module-level imports below `root`."""
    names = {".".join(["surffit", *p.relative_to(root).with_suffix("").parts]).removesuffix(".__init__"): p for p in root.rglob("*.py")}
    edges = {}
    for name, path in names.items():
        targets = set()
        for target, inner, _ in imports(path, root):
            if not inner:
                targets |= {t for t in (target, target.rpartition(".")[0]) if t in names and t not in {name, "surffit"}}
        edges[name] = targets
    cycles, done = [], set()

    def visit(name, trail):
        if name in trail:
            cycles.append([*trail[trail.index(name) :], name])
        elif name not in done:
            for target in sorted(edges[name]):
                visit(target, [*trail, name])
            done.add(name)

    for name in sorted(edges):
        # a package's own modules import each other through it; only circles between modules count
        visit(name, [])
    return [c for c in cycles if not any(other.startswith(f"{one}.") for one in c for other in c)]


def test_house_rules_hold():
    assert faults(ROOT) == []


def test_no_circles():
    assert module_cycles(ROOT) == []


def test_every_bridge_is_used():
    used = set()
    for path in ROOT.rglob("*.py"):
        used |= {(room(path, ROOT), name.split(".")[1]) for name, _, _ in imports(path, ROOT) if name.startswith("surffit.")}
    assert [pair for pair in BRIDGES if pair not in used] == []


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("solve/walk.py", "from ..core import model", "solve reaches up to core"),
        ("solve/walk.py", "def f():\n    from surffit import io", "solve reaches up to io"),
        ("core/model.py", "from surffit.io import save", "core reaches up to io"),
        ("core/model.py", "def f():\n    from surffit.batch import fit_many", "core reaches up to batch"),
        ("tables.py", "from surffit.plot import plot", "tables reaches up to plot"),
        ("kernels/dd.py", "from .. import core", "kernels reaches up to core"),
        ("plot.py", "import matplotlib.pyplot as plt", "plot imports matplotlib at its top"),
        ("cli.py", "import pandas", "cli imports pandas at its top"),
        ("trace/graph.py", "def f():\n    import lmfit", "trace knows lmfit"),
        ("io.py", "def f():\n    from surffit.ramps import x", "io names the plugin ramps"),
        ("__init__.py", "import surffit.tables", "the package loads tables"),
        ("core/model.py", "from surffit import SurfaceModel", "no room"),
    ],
)
def test_a_breach_is_seen(tmp_path, file, text, sentence):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert any(sentence in fault for fault in faults(tmp_path)), faults(tmp_path)


def test_a_circle_is_seen(tmp_path):
    (tmp_path / "solve").mkdir()
    (tmp_path / "solve" / "a.py").write_text("from surffit.solve.b import f")
    (tmp_path / "solve" / "b.py").write_text("from surffit.solve import a")
    assert module_cycles(tmp_path)


def test_an_unknown_room_needs_a_floor(tmp_path):
    (tmp_path / "attic.py").write_text("")
    with pytest.raises(ValueError, match="attic"):
        faults(tmp_path)


def test_no_subpackage_hides_a_public_function():
    import surffit

    rooms = {p.stem for p in ROOT.iterdir() if p.is_dir() or p.suffix == ".py"}
    assert not rooms & set(surffit._NAMES)


def test_code_is_compiled_in_one_place_only():
    calls = []
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {"eval", "exec", "compile", "__import__"}
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                calls.append((str(path.relative_to(ROOT)), node.func.id))
    assert {file for file, _ in calls} <= {"trace/emit.py"}, calls


def test_no_executable_file_formats():
    banned = {"pickle", "dill", "marshal", "shelve", "cloudpickle", "joblib"}
    # models under test go through a pickle in memory, as they do on their way to worker processes; no file is read
    allowed = {("testing/keeping.py", "pickle")}
    found = {(str(p.relative_to(ROOT)), n) for p in ROOT.rglob("*.py") for n, _, _ in imports(p, ROOT) if n.split(".")[0] in banned}
    assert found == allowed
