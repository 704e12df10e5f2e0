"""The README is true: its Python runs, its commands are those of the shell, the example does the main job."""

import json
import re
import shlex
import subprocess
import sys

import pytest


def blocks(project, language):
    text = (project / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_python_blocks_run(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    found = blocks(project, "python")
    assert len(found) >= 2
    for number, block in enumerate(found):
        exec(compile(block, f"README.md, Python block {number + 1}", "exec"), names)  # noqa: S102 -- our own README
    out = capsys.readouterr().out
    assert "a1" in out
    assert (tmp_path / "index.json").is_file()
    import matplotlib.pyplot as plt

    plt.close("all")


def test_the_first_two_shell_blocks_are_what_ci_runs(project):
    first, second = (block.strip() for block in blocks(project, "sh")[:2])
    assert first.endswith("python examples/refractive_index.py")
    assert "pip install ." in first
    assert second.endswith('pip install -e ".[test]" && .venv/bin/python -m pytest')
    ci = (project / ".ci" / "run").read_text(encoding="utf-8")
    assert "readme_command 1" in ci
    assert "readme_command 2" in ci


def test_shell_commands_run(project, tmp_path, monkeypatch, capsys):
    from surffit import data
    from surffit.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_bytes(data.path("refractive_index.csv").read_bytes())
    commands = blocks(project, "sh")[2].replace("\\\n", " ").splitlines()
    assert len(commands) == 4
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "surffit"
        assert main(arguments) == 0, capsys.readouterr().err
    for picture in ("fit.png", "laws.png"):
        assert (tmp_path / picture).stat().st_size > 10_000
    assert json.loads((tmp_path / "fit.json").read_text())["schema"] == "surffit.result/1"


@pytest.fixture(scope="module")
def example(project, tmp_path_factory):
    """The example, run as it is, in an empty folder."""
    folder = tmp_path_factory.mktemp("example")
    script = project / "examples" / "refractive_index.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_example_reports_sixteen_values_with_errors(example):
    _, out = example
    lines = re.findall(r"^ +([abcd][1-4]): +\S+ \+/- \S+", out, re.MULTILINE)
    assert lines == [letter + digit for letter in "abcd" for digit in "1234"]


def test_the_example_writes_the_picture_and_the_fit(example):
    folder, _ = example
    assert (folder / "refractive_index.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "refractive_index.png").stat().st_size > 30_000
    params = json.loads((folder / "refractive_index.json").read_text())["params"]
    # the least-squares solution in 120-digit arithmetic, from the table's decimal strings
    for name, value, stderr in [
        ("a1", 1.3215057369030794433, 0.00043510178760642449184),
        ("b2", -2.3994735830592889232, 26.503587585436610362),
        ("d4", 394178.20438558724488, 23020935.039064573814),
    ]:
        assert params[name]["value"] == pytest.approx(value, rel=1e-10)
        assert params[name]["stderr"] == pytest.approx(stderr, rel=1e-10)
