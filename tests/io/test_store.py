"""Saved fits come back whole, on another machine too."""

import json
import math
import os
import stat
import subprocess
import sys

import lmfit
import numpy as np
import pytest

import surffit as sf
from surffit import io
from surffit.exceptions import DocumentError

X = np.linspace(1, 6, 40)


def decay(x, amplitude, rate, offset):
    """A function of this file, which nothing that loads the fit can import."""
    return amplitude * np.exp(-rate * x) + offset


@pytest.fixture
def fitted(rng):
    model = sf.SurfaceModel(decay)
    data = decay(X, 5.0, 0.7, 1.0) + rng.normal(0, 0.01, X.size)
    params = model.make_params(rate=dict(value=1, min=0), amplitude=1, offset=0)
    return model.fit(data, params, x=X)


def same(one, other):
    return (math.isnan(one) and math.isnan(other)) or one == other


def test_everything_saved_comes_back_bit_for_bit(fitted, tmp_path):
    fitted.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    assert isinstance(loaded, sf.SurfaceResult)
    assert isinstance(loaded, lmfit.model.ModelResult)
    assert list(loaded.params) == list(fitted.params)
    for name, par in fitted.params.items():
        other = loaded.params[name]
        assert (other.value, other.stderr, other.vary, other.min, other.max, other.expr) == (
            par.value, par.stderr, par.vary, par.min, par.max, par.expr,
        )  # fmt: skip
        assert same(other.init_value, par.init_value)
    for name in ("chisqr", "redchi", "aic", "bic", "ndata", "nvarys", "nfree", "nfev", "success", "status", "covar_source", "method"):
        assert getattr(loaded, name) == getattr(fitted, name), name
    assert loaded.var_names == fitted.var_names
    assert np.array_equal(loaded.covar, fitted.covar)


def test_the_loaded_fit_evaluates_and_predicts(fitted, tmp_path):
    fitted.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    new = np.array([0.5, 2.25, 9.0])
    assert np.array_equal(loaded.eval(x=new), fitted.eval(x=new))
    ours, theirs = (np.asarray(r.predict(level=0.9, x=new)["upper"]) for r in (loaded, fitted))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert [line for line in loaded.fit_report().splitlines() if "+/-" in line] == [
        line for line in fitted.fit_report().splitlines() if "+/-" in line
    ]
    assert loaded.explain()


def test_a_users_function_opens_where_that_function_does_not_exist(fitted, tmp_path):
    path = tmp_path / "fit.json"
    fitted.save(path)
    code = f"import surffit; print(repr(float(surffit.load({str(path)!r}).eval(x=2.5))))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=120).stdout
    assert float(out) == pytest.approx(float(fitted.eval(x=np.array([2.5]))[0]), rel=1e-15)


def test_constraints_bounds_and_fixed_parameters_come_back(rng, tmp_path):
    def two(x, a, b, c, d):
        return a + b * x + c * x**2 + d * np.sin(x)

    model = sf.SurfaceModel(two)
    params = model.make_params(a=1, b=dict(value=1, max=5), c=dict(expr="0.5*b**2"), d=dict(value=0.25, vary=False))
    result = model.fit(two(X, 1, 2, 2, 0.25) + rng.normal(0, 0.01, X.size), params, x=X)
    result.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    assert loaded.params["c"].value == pytest.approx(result.params["c"].value, rel=1e-15)
    assert loaded.params["c"].stderr == result.params["c"].stderr
    assert not loaded.params["d"].vary
    assert loaded.params["b"].max == 5
    loaded.params["b"].value = 3
    assert loaded.params["c"].value == pytest.approx(4.5)  # the constraint is alive


def test_infinite_and_missing_errors_come_back(tmp_path):
    def redundant(x, a, b, c):
        return a + b + c * x

    result = sf.SurfaceModel(redundant).fit(2 + 3 * X + np.sin(40 * X), x=X)
    assert math.isinf(result.params["a"].stderr)
    result.save(tmp_path / "fit.json")
    text = (tmp_path / "fit.json").read_text()
    assert '"inf"' in text
    assert "Infinity" not in text
    assert "NaN" not in text
    loaded = sf.load(tmp_path / "fit.json")
    assert math.isinf(loaded.params["a"].stderr)
    assert np.array_equal(loaded.covar, result.covar, equal_nan=True)
    assert loaded.status == result.status


def test_floats_survive_exactly(rng):
    values = [*rng.normal(size=200) * 10.0 ** rng.integers(-300, 300, 200), 5e-324, 1.7976931348623157e308, 0.1, -0.0]
    content = {"schema": "x", "values": [io.files.number(value) for value in values]}
    assert io.parse(io.dumps(content))["values"] == values


def test_the_document_has_the_published_form(fitted):
    content = io.document(fitted)
    assert list(content) == ["schema", "surffit", "model", "params", "chisqr", "redchi", "covar", "covar_source", "stats"]
    assert content["schema"] == "surffit.result/1"
    assert list(content["params"]["rate"]) == ["value", "stderr", "vary", "min", "max", "expr", "init_value"]
    assert content["params"]["rate"]["max"] == "inf"
    assert content["model"]["kind"] == "graph"
    assert json.loads(io.dumps(content)) == content


def test_the_digest_tells_data_apart(fitted, rng):
    other = fitted.model.fit(np.asarray(fitted.observed.data) + 1e-9, fitted.params, x=X)
    one, two = (io.document(result)["stats"]["data_sha256"] for result in (fitted, other))
    assert len(one) == 64
    assert one != two
    again = fitted.model.fit(np.asarray(fitted.observed.data).copy(), fitted.params, x=X)
    assert io.document(again)["stats"]["data_sha256"] == one


def test_a_prefix_comes_back(rng, tmp_path):
    model = sf.SurfaceModel(decay, prefix="d_")
    result = model.fit(decay(X, 5.0, 0.7, 1.0), model.make_params(rate=1, amplitude=1, offset=0), x=X)
    result.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    assert list(loaded.params) == ["d_amplitude", "d_rate", "d_offset"]
    assert np.array_equal(loaded.eval(x=X), result.eval(x=X))


def test_an_option_of_the_model_comes_back(tmp_path):
    model = sf.get_model("step")
    truth = dict(amplitude=3.0, center=3.5, sigma=0.4)
    data = model.eval(model.make_params(**truth), x=X, form="erf")
    result = model.fit(data, model.make_params(amplitude=2, center=3.2, sigma=0.6), x=X, form="erf")
    assert result.best_values["center"] == pytest.approx(3.5)
    result.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    np.testing.assert_allclose(loaded.eval(x=X), data, atol=1e-8)


def test_composites_come_back(tmp_path):
    model = sf.get_model("gaussian", prefix="g_") + sf.get_model("linear", prefix="l_")
    truth = dict(g_amplitude=3.0, g_center=3.5, g_sigma=0.4, l_slope=0.2, l_intercept=1.0)
    data = model.eval(model.make_params(**truth), x=X)
    result = model.fit(data, model.make_params(g_center=3.2, g_sigma=0.6), x=X)
    result.save(tmp_path / "fit.json")
    np.testing.assert_allclose(sf.load(tmp_path / "fit.json").eval(x=X), data, atol=1e-8)


def test_what_was_loaded_saves_as_the_same_document(fitted, tmp_path):
    fitted.save(tmp_path / "one.json")
    sf.load(tmp_path / "one.json").save(tmp_path / "two.json")
    assert (tmp_path / "two.json").read_text() == (tmp_path / "one.json").read_text()


def test_tables_of_a_loaded_fit(fitted, tmp_path):
    fitted.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    assert loaded.tidy(level=0.9).equals(fitted.tidy(level=0.9))
    assert loaded.tidy()["linear"].tolist() == [True, False, True]
    assert loaded.glance().equals(fitted.glance())


def test_a_registered_model_travels_by_its_name(tmp_path):
    knots = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    model = sf.get_model("spline", xknots=knots)
    data = np.sin(X)
    result = model.fit(data, model.guess(data, x=X), x=X)
    result.save(tmp_path / "fit.json")
    content = json.loads((tmp_path / "fit.json").read_text())
    assert content["model"] == {"kind": "registered", "name": "spline", "options": {"xknots": knots}}
    np.testing.assert_allclose(sf.load(tmp_path / "fit.json").eval(x=X), result.best_fit, rtol=1e-12)


def test_other_schemas_are_read_by_who_is_registered_for_them(tmp_path, monkeypatch):
    from importlib import metadata

    points = [metadata.EntryPoint("other.thing/1", "json:loads", io.store.GROUP)]
    monkeypatch.setattr(io.store.metadata, "entry_points", lambda group: [p for p in points if p.group == group])
    (tmp_path / "thing.json").write_text('{"schema": "other.thing/1", "surffit": "0.1"}')
    monkeypatch.setattr(json, "loads", lambda content, *more, loads=json.loads, **kw: loads(content, **kw) if kw else ("read", content))
    assert sf.load(tmp_path / "thing.json") == ("read", {"schema": "other.thing/1", "surffit": "0.1"})


TABLE = np.linspace(0, 1, 50)


def looked_up(x, a, b):
    """Holds an array, which is not portable, and indexes with data."""
    return a + b * TABLE[np.asarray(x, dtype=int)]


def test_a_model_that_cannot_travel_saves_its_answer_and_asks_for_the_model(tmp_path):
    x = np.arange(40.0)
    result = sf.SurfaceModel(looked_up).fit(looked_up(x, 1.0, 2.0), x=x)
    result.save(tmp_path / "fit.json")
    assert json.loads((tmp_path / "fit.json").read_text())["model"] is None
    loaded = sf.load(tmp_path / "fit.json")
    assert loaded.params["b"].value == result.params["b"].value
    with pytest.raises((DocumentError, ValueError), match="model="):
        loaded.eval(x=x)
    given = sf.load(tmp_path / "fit.json", model=sf.SurfaceModel(looked_up))
    np.testing.assert_allclose(given.eval(x=x), looked_up(x, 1.0, 2.0))


def test_a_wrong_model_is_refused(fitted, tmp_path):
    fitted.save(tmp_path / "fit.json")
    with pytest.raises(DocumentError, match="has the parameter 'a', which the document hasn't"):
        sf.load(tmp_path / "fit.json", model=sf.SurfaceModel(looked_up))


def test_save_refuses_the_constraint_that_load_would_refuse(fitted, tmp_path):
    fitted.params.add("helper", value=1)
    fitted.params._asteval.symtable["mystery"] = lambda value: value
    fitted.params.add("other", expr="mystery(helper)")
    with pytest.raises(DocumentError, match=r"constraint of other, 'mystery\(helper\)', can't be kept"):
        fitted.save(tmp_path / "fit.json")
    assert not list(tmp_path.iterdir())


def test_results_of_lmfits_own_models_can_be_documented():
    model = lmfit.models.LinearModel()
    content = io.document(model.fit(2 * X + 1 + np.sin(9 * X), x=X, slope=1, intercept=0))
    assert content["model"] is None
    assert content["covar"]["names"] == ["slope", "intercept"]
    assert content["covar_source"] == "jacobian"


# ---- the file


@pytest.fixture
def umask():
    old = os.umask(0o027)
    yield
    os.umask(old)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_a_new_file_has_the_modes_of_other_new_files(tmp_path, umask):
    io.write_atomic(tmp_path / "a.json", "{}")
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_an_old_file_keeps_its_mode(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    path.chmod(0o604)
    io.write_atomic(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.json").write_text("old")
    link = tmp_path / "link.json"
    link.symlink_to("real.json")
    io.write_atomic(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"


def test_nothing_is_left_beside_the_file(fitted, tmp_path):
    fitted.save(tmp_path / "fit.json")
    assert [path.name for path in tmp_path.iterdir()] == ["fit.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch, step):
    path = tmp_path / "fit.json"
    path.write_text("old and whole")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io.files.os, step, full)
    with pytest.raises(OSError, match="No space"):
        io.write_atomic(path, "new" * 1000)
    monkeypatch.undo()
    assert path.read_text() == "old and whole"
    assert [p.name for p in tmp_path.iterdir()] == ["fit.json"]


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
def test_a_disk_limit_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "fit.json"
    path.write_text("old and whole")
    code = (
        "import resource, signal, sys\n"
        "from surffit import io\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    io.write_atomic(sys.argv[1], 'new' * 20000)\n"
        "except OSError:\n    sys.exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60).returncode == 7
    assert path.read_text() == "old and whole"
    assert [p.name for p in tmp_path.iterdir()] == ["fit.json"]


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DocumentError, match="not a regular file"):
        io.write_atomic(tmp_path, "x")
    with pytest.raises(FileNotFoundError):
        io.write_atomic(tmp_path / "no" / "such" / "folder.json", "x")
