"""
The lessons keep their form: one picture, one number, and no number that was typed.

The quick ones run here; all of them, and the gallery, run when the site is built.
"""

import ast
import re
import runpy

import pytest

LESSONS = 10
QUICK = ("01_why_nothing_moved", "02_scale_your_variables", "03_pixels_to_the_eighth", "05_orthogonality", "10_from_lmfit")
# "condition number 1e5", "condition of 300", "7 digits", "12 decades", "0.97 times the error"
TYPED = re.compile(
    r"condition[^.\n\d]{0,40}\d|\d[\d.e+-]*\s+(right |correct |significant )?(digits?|decades?|times|sigma)\b", re.IGNORECASE
)


def scripts(project):
    return sorted((project / "examples" / "teaching").glob("*.py"))


def words(source):
    """What a script says in prose and in fixed parts of its texts, and not by computing it."""
    tree = ast.parse(source)
    fixed = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join([*fixed, *re.findall(r"^# (.*)$", source, re.MULTILINE)])


def test_there_are_ten_with_one_picture_and_one_number_each(project):
    assert len(scripts(project)) == LESSONS
    for path in scripts(project):
        source = path.read_text(encoding="utf-8")
        assert source.count("plt.show()") == 1, path.name
        assert source.count('print(f"The number: {') == 1, path.name


def test_no_number_is_typed(project):
    for path in scripts(project):
        typed = TYPED.search(words(path.read_text(encoding="utf-8")))
        assert typed is None, f"{path.name}: {typed[0]!r} is typed, not computed"
    for page in (project / "docs" / "explanation").glob("*.md"):
        typed = TYPED.search(page.read_text(encoding="utf-8"))
        assert typed is None, f"{page.name}: {typed[0]!r} is typed, not computed"


@pytest.mark.parametrize("text", ["a condition number of 1e5", "only 7 digits are left", "12.5 decades", "# 9 times too small"])
def test_a_typed_number_would_be_seen(text):
    assert TYPED.search(text)


@pytest.mark.parametrize("name", QUICK)
def test_it_runs_and_says_its_number(project, name, capsys):
    import matplotlib.pyplot as plt

    runpy.run_path(str(project / "examples" / "teaching" / f"{name}.py"), run_name="__main__")
    figures = plt.get_fignums()
    plt.close("all")
    assert len(figures) == 1
    assert len(re.findall(r"^The number: .*\d", capsys.readouterr().out, re.MULTILINE)) == 1
