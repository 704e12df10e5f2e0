"""The table in the documentation is what its script writes: surffit's own columns, fitted again."""

import re

import pytest

import surffit as sf

SLACK = 0.5  # digits: the last ones are rounding, which differs between processors
ROUNDING = 1.5  # where the error is nothing but rounding


@pytest.fixture(scope="module")
def accuracy(project, load_file):
    return load_file("benchmark_accuracy", project / "benchmarks" / "accuracy.py")


@pytest.fixture(scope="module")
def page(accuracy):
    return accuracy.TABLE.read_text(encoding="utf-8")


def cells(page, heading):
    """Label -> column -> text of the last table under a heading."""
    part = page.split(heading)[1].split("\n## ")[0]
    block = [text for text in re.split(r"\n\n", part) if text.startswith("|")][-1].splitlines()
    header = [cell.strip() for cell in block[0].strip("|").split("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block[2:]]
    keys = [name for name in header if name in ("problem", "start")]
    return {tuple(re.sub(r" \[.*", "", row[header.index(key)]) for key in keys): dict(zip(header, row, strict=True)) for row in rows}


def same(text, digits, slack=SLACK):
    """Whether a cell shows these digits."""
    shown = [None if word == "–" else float(word) for word in text.split(" / ")]
    found = [digits.value, digits.error] if digits.value is not None else [None]
    return len(shown) == len(found) and all(
        (one is None) == (two is None) and (one is None or abs(one - two) <= slack) for one, two in zip(shown, found, strict=True)
    )


def test_nonlinear(accuracy, page):
    written = cells(page, "## Non-linear")
    rows = accuracy.nonlinear_rows({"surffit": accuracy.surffit_function})
    assert list(written) == list(rows)
    assert [key for key, row in rows.items() if not same(written[key]["surffit"], row["surffit"])] == []
    assert not accuracy.faults(rows, {})


def test_linear(accuracy, page):
    written = cells(page, "## Linear")
    rows = accuracy.linear_rows({name: accuracy.LINEAR_METHODS[name] for name in ("surffit", "surffit, surface")})
    assert list(written) == [(name,) for name, _ in rows]
    # 13 digits and more are a matter of single roundings
    wrong = [
        (name, column, written[name,][column], str(digits))
        for (name, _), row in rows.items()
        for column, digits in row.items()
        if not same(re.sub(r"1[2-5]\.\d", "13", written[name,][column]), rounded(accuracy, digits), ROUNDING)
    ]
    assert wrong == []
    assert not accuracy.faults({}, rows)


def rounded(accuracy, digits):
    return accuracy.Digits(*(None if value is None else 13.0 if value >= 11.95 else value for value in (digits.value, digits.error)))


def test_every_method_has_its_column(accuracy, page):
    assert list(next(iter(cells(page, "## Non-linear").values())))[2:] == list(accuracy.NONLINEAR_METHODS)
    assert list(next(iter(cells(page, "## Linear").values())))[1:] == list(accuracy.LINEAR_METHODS)
    assert f"surffit {sf.__version__}" in page
    assert "/work" not in page
    assert "/home" not in page


def test_a_wrong_cell_is_seen(accuracy):
    assert same("10.4 / 9.9", accuracy.Digits(10.42, 9.88))
    assert not same("10.4 / 9.9", accuracy.Digits(10.42, 8.0))
    assert not same("10.4 / –", accuracy.Digits(10.42, 9.9))
    assert same("–", accuracy.Digits(None, None))


def test_an_answer_that_fails_has_no_digits(accuracy, nist):
    problem = accuracy.NIST.nonlinear("Misra1a")

    def raises(problem, start):
        raise ValueError("no answer")

    assert accuracy.count(raises, problem, problem.starts[0], 11.0) == accuracy.Digits(0.0, 0.0)
    assert accuracy.count(lambda p, s: ([1.0, 1.0], None), problem, problem.starts[0], 11.0) == accuracy.Digits(0.0, None)
    assert accuracy.count(lambda p, s: None, problem, problem.starts[0], 11.0) == accuracy.Digits(None, None)


def test_the_docs_lead_to_it(project, accuracy):
    index = (project / "docs" / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", index)
    assert str(accuracy.TABLE.relative_to(project / "docs")) in links
    assert [link for link in links if not (project / "docs" / link).exists()] == []
