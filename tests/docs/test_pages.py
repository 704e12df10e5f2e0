"""The pages are true: their Python runs, their links lead somewhere, quoted sentences are those of the code, and the plugin is one."""

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest


def prose(text):
    """A page without its code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


# ---- links (those between the pages are looked at when the site is built) ---------------------------------------------------------


@pytest.mark.parametrize("page", ["README.md", "SECURITY.md", "CHANGELOG.md", "docs/README.md"])
def test_links_to_own_files_lead_to_files(project, page):
    text = prose((project / page).read_text(encoding="utf-8"))
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]
    for link in filter(None, links):
        assert ((project / page).parent / link).exists(), f"{page} links to {link}"


def test_the_link_checker_sees_what_is_wrong(helper, tmp_path):
    problems = helper("check_links.py").problems
    (tmp_path / "a.html").write_text(
        '<p id="here"></p><a href="b.html#there">b</a><a href="#here">a</a><a href="https://example.org">c</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p><img src="data:image/png;base64,AAAA">')
    assert problems(tmp_path) == []
    (tmp_path / "b.html").write_text('<a href="c.html">c</a><script src="https://example.org/x.js"></script>')
    assert len(problems(tmp_path)) == 3


# ---- what the pages say ----------------------------------------------------------------------------------------------------------


PAGES = [
    "index.md",
    "tutorials/first-fit.md",
    "how-to/tables-and-groups.md",
    "how-to/save-and-reopen.md",
    "how-to/line-per-pixel.md",
    "how-to/spectra-per-pixel.md",
    "how-to/cubes-larger-than-memory.md",
]
NEEDS = {"line-per-pixel": ["astropy"], "spectra-per-pixel": ["xarray"], "cubes-larger-than-memory": ["xarray", "dask", "zarr"]}


@pytest.mark.parametrize("name", PAGES)
def test_python_blocks_run(project, name, tmp_path, monkeypatch, capsys):
    for package in NEEDS.get(name.rpartition("/")[2].removesuffix(".md"), []):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", (project / "docs" / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks
    exec(compile("\n".join(blocks), name, "exec"), {})  # noqa: S102 -- our own pages
    import matplotlib.pyplot as plt

    plt.close("all")


def sentences(folder):
    """All string constants of the package, with "…" for what is put in."""
    found = []
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_troubleshooting_quotes_the_words_of_the_code(project):
    said = sentences(project / "surffit")
    quotes = re.findall(r"^> (.+)$", (project / "docs" / "how-to" / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(quotes) > 20

    def is_said(quote):
        pattern = ".*".join(re.escape(part) for part in re.split(r"\s*…\s*", quote))
        return any(re.search(pattern, text, re.DOTALL) for text in said)

    assert [quote for quote in quotes if not is_said(quote)] == []
    assert not is_said("Nobody … says this")


def test_every_public_name_has_a_page(helper, tmp_path):
    import surffit

    public_names = helper("_ext/public_names.py")
    public_names.write(tmp_path)
    listed = (tmp_path / "surffit.rst").read_text()
    assert all(f"   {name}\n" in listed for name in surffit.__all__ if not name.startswith("__"))
    assert "   PolynomialSurface\n" in (tmp_path / "surffit.surfaces.rst").read_text()


# ---- the plugin ------------------------------------------------------------------------------------------------------------------


def test_the_plugin_page_has_a_whole_plugin(helper, project, tmp_path):
    page = helper("_ext/plugin_page.py")
    page.write(tmp_path)
    files = page.files()
    assert set(files) == {"pyproject.toml", "surffit_hubble.py"}
    assert sum(bool(line.strip()) for text in files.values() for line in text.splitlines()) < 25
    # what installing it leaves behind, without a build (CI builds and installs it): metadata beside the module
    meta = tomllib.loads(files["pyproject.toml"])["project"]
    package = tmp_path / "package"
    info = package / "surffit_hubble-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {meta['name']}\nVersion: {meta['version']}\n")
    points = "".join(f"{name} = {value}\n" for name, value in meta["entry-points"]["surffit.models"].items())
    (info / "entry_points.txt").write_text(f"[surffit.models]\n{points}")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(project), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-W", "error", "use.py"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"core: +(\S+) \+/- (\S+)", done.stdout)
    assert abs(float(found[1]) - 4.0) < 4 * float(found[2])
    assert float(found[2]) < 0.1
