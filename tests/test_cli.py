"""The shell: what a user types, what comes out where, and the exit status."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.cli import main

TERMS = [f"{letter}{digit}" for letter in "abcd" for digit in range(1, 5)]
FORMULA = " + ".join(
    "(" + " + ".join(f"{letter}{j + 1}*y**{j}" if j else f"{letter}1" for j in range(4)) + ")" + (f"/x**{2 * i}" if i else "")
    for i, letter in enumerate("abcd")
)
TABLE = ["--data", "n", "--var", "x=wavelength_nm", "--var", "y=temperature_c"]


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; gives (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv, stdin=None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = main([str(item) for item in argv])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return status, out, err

    return run


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "index.csv"
    path.write_bytes(sf.data.path("refractive_index.csv").read_bytes())
    return path


@pytest.fixture
def decays(tmp_path, rng):
    """Groups of decays in a table."""
    t = np.linspace(0, 4, 30)
    frames = [pd.DataFrame({"run": run, "t": t, "v": 3 * np.exp(-k * t) + 1 + rng.normal(0, 0.01, 30)}) for run, k in (("p", 1), ("q", 2))]
    frame = pd.concat(frames).assign(err=0.01)
    path = tmp_path / "decays.csv"
    frame.to_csv(path, index=False)
    return path


def test_the_main_job(shell, table, tmp_path):
    status, out, err = shell("fit", table, *TABLE, "--expr", FORMULA, "--plot", "fit.png", "--save", "fit.json")
    assert (status, err) == (0, "")
    result = sf.load(tmp_path / "fit.json")
    for name in TERMS:
        assert f"{name}: " in out
    # from the certified solution in 120-digit arithmetic
    assert result.params["c2"].value == pytest.approx(290368.89988064209232, rel=1e-10)
    assert result.params["c2"].stderr == pytest.approx(4096068.1947534279564, rel=1e-10)
    assert result.explain() in out
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_the_saved_document(shell, table, tmp_path):
    status, out, _ = shell("fit", table, *TABLE, "--expr", "a + b*y + c/x**2", "--format", "json", "--save", "fit.json")
    assert status == 0
    assert out == (tmp_path / "fit.json").read_text()
    assert json.loads(out)["schema"] == "surffit.result/1"


def test_csv_has_name_value_stderr(shell, table):
    status, out, _ = shell("fit", table, *TABLE, "--expr", "a + b*y + c/x**2", "--format", "csv")
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["name", "value", "stderr"]
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    model = sf.SurfaceModel.from_expression("a + b*y + c/x**2", independent_vars=["x", "y"])
    result = sf.fit_table(sf.data.refractive_index(), model, data="n", x="wavelength_nm", y="temperature_c")
    assert [float(row["value"]) for row in rows] == list(result.best_values.values())
    assert [float(row["stderr"]) for row in rows] == [par.stderr for par in result.params.values()]


def test_stdin(shell, table):
    _, expected, _ = shell("fit", table, *TABLE, "--expr", "a + b*y", "--format", "csv")
    status, out, _ = shell("fit", "-", *TABLE, "--expr", "a + b*y", "--format", "csv", stdin=table.read_text())
    assert (status, out) == (0, expected)


@pytest.mark.parametrize("form", ["tabs", "blanks", "semicolons", "hash header", "crlf", "bom", "comments"])
def test_tables_come_in_many_forms(shell, table, form):
    text = table.read_text()
    expected = shell("fit", table, *TABLE, "--expr", "a + b*y", "--format", "csv")[1]
    table.write_text(
        {
            "tabs": text.replace(",", "\t"),
            "blanks": "\n".join("   ".join(line.split(",")) for line in text.splitlines()),
            "semicolons": text.replace(",", " ; "),
            "hash header": "# " + text.replace(",", "  "),
            "crlf": text.replace("\n", "\r\n"),
            "bom": "\ufeff" + text,
            "comments": text.replace("\n", "\n# a remark\n", 1),
        }[form],
        encoding="utf-8",
        newline="",
    )
    assert shell("fit", table, *TABLE, "--expr", "a + b*y", "--format", "csv")[:2] == (0, expected)


def test_start_fix_and_bound_reach_the_parameters(shell, decays, tmp_path):
    # fmt: off
    status, _, err = shell(
        "fit", decays, "--data", "v", "--var", "t", "--expr", "a*exp(-k*t) + c", "--start", "k=1.3", "--bound", "k=0:inf",
        "--fix", "c=1", "--bound", "a=:100", "--save", "fit.json",
    )
    # fmt: on
    assert (status, err) == (0, "")
    params = sf.load(tmp_path / "fit.json").params
    assert (params["k"].min, params["k"].max, params["k"].init_value) == (0, np.inf, 1.3)
    assert (params["c"].value, params["c"].vary) == (1, False)
    assert (params["a"].min, params["a"].max) == (-np.inf, 100)


def test_sigma_weights_and_known_errors(shell, decays):
    base = ["fit", decays, "--data", "v", "--var", "t", "--expr", "a*exp(-k*t) + c", "--start", "k=1.3", "--format", "csv"]
    plain, sigma, known = (shell(*base, *more)[1] for more in ([], ["--sigma", "err"], ["--sigma", "err", "--no-scale-covar"]))
    errors = [np.array([float(row["stderr"]) for row in csv.DictReader(io.StringIO(out))]) for out in (plain, sigma, known)]
    np.testing.assert_allclose(errors[0], errors[1], rtol=1e-7)
    assert not np.allclose(errors[1], errors[2], rtol=1e-2)
    assert shell(*base, "--sigma", "err", "--weights", "err")[0] == 2


def test_by_fits_every_group(shell, decays):
    base = ["fit", decays, "--data", "v", "--var", "t", "--expr", "a*exp(-k*t) + c", "--start", "k=1.3", "--by", "run"]
    status, out, _ = shell(*base, "--format", "csv")
    assert status == 0
    rows = [row for row in csv.DictReader(io.StringIO(out)) if row["name"] == "k"]
    assert [row["run"] for row in rows] == ["p", "q"]
    assert [float(row["value"]) for row in rows] == pytest.approx([1, 2], abs=0.1)
    status, out, _ = shell(*base, "--format", "json")
    groups = json.loads(out)["groups"]
    assert [group["key"] for group in groups] == [{"run": "p"}, {"run": "q"}]
    assert groups[0]["fit"]["schema"] == "surffit.result/1"
    assert "2 of 2 groups" in shell(*base)[1]
    status, _, err = shell(*base, "--plot", "fit.png")
    assert status == 2
    assert "--plot takes one fit" in err


def test_a_group_that_fails_is_named_and_counts(shell, decays):
    with decays.open("a") as file:
        file.write("r,1.0,2.0,0.01\n")
    status, out, err = shell("fit", decays, "--data", "v", "--var", "t", "--expr", "a + b*t", "--by", "run", "--format", "csv")
    assert status == 1
    assert "r,a,,\n" in out
    assert "the fit of run=r failed: 1 usable point" in err


def test_a_function_from_a_file(shell, decays, tmp_path):
    (tmp_path / "helper.py").write_text("import numpy as np\ndef e(k, t):\n    return np.exp(-k * t)\n")
    (tmp_path / "mine.py").write_text("from helper import e\ndef decay(t, a, k, c):\n    return a * e(k, t) + c\n")
    status, out, _ = shell("fit", decays, "--data", "v", "--var", "t", "--function", "mine.py:decay", "--start", "k=1", "--format", "csv")
    assert status == 0
    assert out.splitlines()[1].startswith("a,")


def test_a_model_by_name(shell, decays):
    status, out, _ = shell("fit", decays, "--data", "v", "--var", "x=t", "--model", "exponential", "--start", "decay=1", "--format", "csv")
    assert status == 0
    assert [line.partition(",")[0] for line in out.splitlines()] == ["name", "amplitude", "decay"]


def test_lmfits_methods(shell, decays):
    base = ["fit", decays, "--data", "v", "--var", "t", "--expr", "a*exp(-k*t) + c", "--start", "k=1.3", "--format", "csv"]
    one, other = (
        [float(row["value"]) for row in csv.DictReader(io.StringIO(shell(*base, *more)[1]))] for more in ([], ["--method", "leastsq"])
    )
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["fit", "nope.csv", *TABLE, "--expr", "a"], "No such file or directory: 'nope.csv'"),
        (
            ["fit", "index.csv", "--data", "nn", "--var", "x=wavelength_nm", "--expr", "a + b*x"],
            "no column 'nn' (given as data); did you mean 'n'",
        ),
        (["fit", "index.csv", "--data", "n", "--var", "x=wave", "--expr", "a + b*x"], "no column 'wave' (given as x)"),
        (["fit", "index.csv", "--data", "n", "--expr", "a + b*x"], "add --var x=COLUMN"),
        (["fit", "index.csv", *TABLE, "--expr", "__import__('os')"], "error: "),
        (["fit", "index.csv", *TABLE, "--expr", "a +"], "error: "),
        (["fit", "index.csv", *TABLE, "--expr", "a + b*y", "--start", "a"], "--start a: write it as --start name=value"),
        (["fit", "index.csv", *TABLE, "--expr", "a + b*y", "--start", "a=x"], "'x' is not a number"),
        (["fit", "index.csv", *TABLE, "--expr", "a + b*y", "--start", "aa=1"], "params has 'aa', which the model hasn't; did you mean 'a'"),
        (["fit", "index.csv", *TABLE, "--expr", "a + b*y", "--bound", "a=1"], "such as a=0:inf"),
        (["fit", "index.csv", *TABLE, "--expr", "a + b*y", "--bound", "a=2:1"], "min is not below max"),
        (["fit", "index.csv", *TABLE, "--expr", "a + b*y", "--fix", "a"], "give one, --fix a=1.0"),
        (["fit", "index.csv", *TABLE, "--expr", "a + b*y", "--method", "nope"], "method='nope' is unknown"),
        (["fit", "index.csv", *TABLE, "--expr", "a + b*y", "--plot", "fit.xyz"], "one of "),
        (["fit", "index.csv", *TABLE, "--model", "gausian2d"], "no model named 'gausian2d'; did you mean 'gaussian2d'"),
        (["fit", "index.csv", *TABLE, "--model", "spline"], "can't be made without options"),
        (["fit", "index.csv", *TABLE, "--function", "mine.py"], "write it as --function file.py:name"),
        (["fit", "index.csv", *TABLE, "--function", "none.py:f"], "there is no file none.py"),
        (["fit", "index.csv", *TABLE, "--function", "bug.py:f"], "failed with ZeroDivisionError: division by zero (line 2 of bug.py)"),
        (["fit", "index.csv", *TABLE, "--function", "ok.py:ff"], "ok.py has no 'ff'; did you mean 'f'"),
        (["fit", "index.csv", *TABLE, "--function", "ok.py:late"], "failed with AttributeError: "),
        (["fit", "numbers.csv", *TABLE, "--expr", "a"], "the first line of numbers.csv holds numbers (1,2,3)"),
        (["fit", "text.csv", *TABLE, "--expr", "a + b*y"], "1 of 2 rows are like 'n/o'"),
        (["fit", "empty.csv", *TABLE, "--expr", "a"], "empty.csv is empty"),
        (["fit", "binary.csv", *TABLE, "--expr", "a"], "not a text table"),
        (["fit", "index.csv", *TABLE, "--expr", "a + b*y", "--save", "no/such/folder.json"], "No such file or directory"),
        (["describe", "gausian"], "did you mean 'gaussian'"),
        (["fit", "index.csv", *TABLE], "one of the arguments --expr --function --model is required"),
        (["frobnicate"], "invalid choice"),
        ([], "required"),
    ],
    ids=lambda value: " ".join(map(str, value[-3:])) if isinstance(value, list) else None,
)
def test_wrong_usage_is_status_2_and_one_sentence(shell, table, tmp_path, argv, sentence):
    (tmp_path / "ok.py").write_text("def f(x, y, a):\n    return a + x\ndef late(x, y, a):\n    return x.nosuch(a)\n")
    (tmp_path / "bug.py").write_text("# a bug\n1 / 0\n")
    (tmp_path / "numbers.csv").write_text("1,2,3\n4,5,6\n")
    (tmp_path / "text.csv").write_text("wavelength_nm,temperature_c,n\n1,2,3\n2,3,n/o\n")
    (tmp_path / "empty.csv").write_text("\n")
    (tmp_path / "binary.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    status, out, err = shell(*argv)
    assert (status, out) == (2, "")
    assert sentence in err


def test_a_failed_fit_is_status_1_with_the_report(shell, tmp_path):
    frame = pd.DataFrame({"x": np.linspace(0, 1, 20)}).assign(y=lambda d: np.exp(-0.5 * ((d["x"] - 0.5) / 0.1) ** 2))
    frame.to_csv(tmp_path / "t.csv", index=False)
    formula = "h*exp(-0.5*((x - m)/s)**2)"
    status, out, err = shell("fit", "t.csv", "--data", "y", "--var", "x", "--expr", formula, "--start", "m=1e6", "--start", "s=0.1")
    assert status == 1
    assert "h:" in out
    assert "surffit: the fit failed: " in err


def test_missing_numbers_are_refused_with_the_remedy_or_omitted(shell, tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,1\n2,\n3,3\n4,4.1\n5,4.9\n")
    base = ["fit", "t.csv", "--data", "y", "--var", "x", "--expr", "a + b*x"]
    status, _, err = shell(*base)
    assert status == 2
    assert "data has 1 non-finite value" in err
    assert "--nan-policy omit" in err
    assert shell(*base, "--nan-policy", "omit")[0] == 0


def test_models_and_describe(shell):
    status, out, _ = shell("models")
    assert (status, out.split()) == (0, sf.models())
    status, out, _ = shell("describe", "gaussian2d")
    assert status == 0
    assert "gaussian2d  (lmfit.models:Gaussian2dModel, surffit " in out
    assert "independent variables: x, y" in out
    assert "linear parameters:     amplitude" in out
    assert "= 2.3548200*sigmax" in out


def test_version(shell):
    assert shell("--version")[:2] == (0, f"surffit {sf.__version__}\n")


def test_warnings_are_complaints_of_one_line(shell, tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,1\n2,2.1\n3,3\n4,4.1\n5,4.9\n")
    (tmp_path / "w.py").write_text("import warnings\nwarnings.warn('the file speaks')\ndef f(x, a, b):\n    return a + b*x\n")
    status, out, err = shell("fit", "t.csv", "--data", "y", "--var", "x", "--function", "w.py:f")
    assert status == 0
    assert err == "surffit: warning: the file speaks\n"
    assert "speaks" not in out


def test_the_command_itself(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "surffit", "--version"], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert done.stdout == f"surffit {sf.__version__}\n"


def test_a_reader_that_leaves_is_no_error(tmp_path):
    code = "import sys; from surffit.cli import main; sys.exit(main(['models']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
