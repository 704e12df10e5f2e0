"""Reference pages that hold code or come from it."""

import re

import matplotlib.pyplot as plt

from surffit.solve.status import Status


def test_the_code_on_the_page_of_batches_runs(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (project / "docs" / "reference" / "batch.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    exec(compile("\n".join(blocks), "batch.md", "exec"), {})  # noqa: S102 -- our own page
    plt.close("all")
    said = capsys.readouterr().out
    assert "[[0 0]]" in said
    assert said.rstrip().endswith("(4, 5) (4, 5)")


def test_the_page_of_flags_has_them_all(project, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(project / "docs" / "_ext"))
    import flags

    flags.write(tmp_path)
    text = (tmp_path / "flags.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)`", text, re.MULTILINE) == [flag.name for flag in Status]
    assert f"| `RUNAWAY` | {int(Status.RUNAWAY)} | no | " in text
