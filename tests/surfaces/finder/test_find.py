"""`find_surface`: the law that made the data is found, whatever the units, and nothing is found in noise."""

import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.exceptions import DataError, DataWarning, ParameterError, TooFewPointsError, UnknownModelError
from surffit.surfaces.finder.task import Task


def noisy(z, rng, ratio=30.0):
    return z + rng.normal(0, z.std() / ratio, z.size)


@pytest.fixture(scope="module")
def decay():
    """A decay times a line, in units that are far from 1, as a table with errors."""
    rng = np.random.default_rng(7)
    t, c = rng.uniform(2e-9, 10e-9, 90), rng.uniform(300.0, 1500.0, 90)
    frame = pd.DataFrame({"t_s": t, "c_ppm": c, "v": noisy((40.0 + 0.2 * c) * np.exp(-t / 3e-9), rng)})
    frame["err"] = 2.0
    return frame


@pytest.fixture(scope="module")
def found(decay):
    return sf.find_surface(decay, data="v", x="t_s", y="c_ppm", sigma="err")


def test_the_law_is_found(found):
    assert "(a0 + a1*y)*exp(b0*x)" in list(found.table["formula"][:3])
    assert found.n_tried > 20_000
    table = found.table
    assert list(table["rank"]) == list(range(1, len(table) + 1))
    assert table.loc[~table["pole"], "score"].is_monotonic_increasing
    assert table["weight"].sum() == pytest.approx(1.0)
    assert (table["loo"] > table["rms"]).all()


def test_results_are_ordinary_fits_that_agree_with_the_table(found, decay, tmp_path):
    rms = found.table["rms"]
    for place, result in enumerate(found.results(8)):
        assert result.success
        assert result.nvarys == found.table.loc[place, "k"]
        # the search stops at a relative gain of 1e-7
        assert np.sqrt(np.mean((result.best_fit - decay["v"]) ** 2)) == pytest.approx(rms[place], rel=1e-5)
    place = list(found.table["formula"]).index("(a0 + a1*y)*exp(b0*x)")
    result = found[place]
    assert result.best_values["b0"] == pytest.approx(-1 / 3e-9, abs=5 * result.params["b0"].stderr)
    assert result is found[place]
    assert "a1" in result.explain() or result.explain()
    assert len(result.augment()) == 90
    result.save(tmp_path / "fit.json")
    assert sf.load(tmp_path / "fit.json").best_values == result.best_values


@pytest.mark.slow
def test_units_change_nothing(found, decay):
    other = sf.find_surface(decay["v"].to_numpy() * 1e6, x=decay["t_s"].to_numpy() * 1e9, y=decay["c_ppm"].to_numpy() / 1e4, sigma=3.0)
    assert list(other.table["formula"][:5]) == list(found.table["formula"][:5])
    ours, theirs = found.table["weight"][:5].to_numpy(), other.table["weight"][:5].to_numpy()
    np.testing.assert_allclose(theirs, ours, rtol=1e-3)  # both searches stop near the minimum


def test_averaged_prediction(found):
    coords = {"x": np.array([3e-9, 6e-9]), "y": np.array([500.0, 1000.0])}
    band = found.predict(**coords)
    truth = (40.0 + 0.2 * coords["y"]) * np.exp(-coords["x"] / 3e-9)
    assert (np.abs(band["fit"] - truth) < 5 * band["std_error"]).all()
    assert (band["lower"] < band["fit"]).all()
    with pytest.raises(DataError, match="missing: y"):
        found.predict(x=coords["x"])


def test_report_warns_of_the_choice(found):
    text = found.report(3)
    assert str(found.n_tried) in text
    assert "are too small" in text
    assert "x (t_s) and y (c_ppm)" in text
    assert "<table" in found._repr_html_()
    assert "best" in repr(found)


def test_picture(found):
    from matplotlib import pyplot as plt

    figure = found.plot(2)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0] == "data"
    assert titles[1].startswith("1: ")
    assert figure.axes[0].get_xlabel() == "x = t_s"
    plt.close(figure)
    with pytest.raises(DataError, match="n=0"):
        found.plot(0)


def test_nothing_is_found_in_noise():
    """The negative control: no law may be sure of itself where there is none."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(1, 5, (2, 80))
    table = sf.find_surface(10.0 + rng.normal(0, 1, 80), x=x, y=y, registered=False).table
    best = table.iloc[0]
    assert best["formula"] == "a0" or best["weight"] < 0.5
    assert best["R2"] < 0.3
    assert "a0" in list(table["formula"][:10])


def test_one_variable_with_masked_and_missing_points(rng):
    t = rng.uniform(1.0, 9.0, 60)
    z = noisy(2.0 * t / (3.0 + t), rng)
    z[4], mask = np.nan, np.arange(60) == 7
    z[7] = 1e6
    found = sf.find_surface(z, t=t, mask=mask, nan_policy="omit", registered=False)
    assert "a0*t/(t + b0)" in list(found.table["formula"][:3])
    assert found.best.ndata == 58
    assert len(found.plot(2).axes) == 2


@pytest.mark.slow
def test_exact_data_give_the_simple_law():
    rng = np.random.default_rng(5)
    x, y = rng.uniform(1, 5, (2, 40))
    found = sf.find_surface(2.0 * x / y, x=x, y=y, registered=False)
    assert found.table.loc[0, "formula"] == "a0*x/y"
    assert found.best.best_values["a0"] == pytest.approx(2.0)


def test_few_levels_are_not_interpolated(refractive):
    found = sf.find_surface(refractive, data="n", x="wavelength_nm", y="temperature_c", registered=False)
    assert found.table.loc[0, "rms"] < 5e-5
    for entry in found._entries:
        if entry.law.factors:
            continue
        assert len({p[0] for group in entry.law.groups for p in group.products}) <= 4  # of 6 wavelengths


def test_a_broken_plugin_stops_nothing(monkeypatch, decay):
    from surffit import registry

    true = registry.get_model

    def broken(name, **options):
        if name == "polynomial_surface":
            msg = "the plugin is broken"
            raise ImportError(msg)
        return true(name, **options)

    monkeypatch.setattr(registry, "get_model", broken)
    names = ["gaussian2d", "polynomial_surface"]
    from surffit.surfaces.finder import registered
    from surffit.surfaces.finder.judge import Judge
    from surffit.surfaces.finder.points import Points

    z = decay["v"].to_numpy()
    points = Points([decay["t_s"].to_numpy(), decay["c_ppm"].to_numpy()], z, np.ones(z.size))
    entries, notes, tried = registered.entries(names, points, Judge(z.size, z @ z), 1)
    assert "the plugin is broken" in notes["polynomial_surface"]
    assert tried == 1
    assert all(entry.name == "gaussian2d" for entry in entries)


def test_a_registered_surface_is_found():
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-4, 4, (2, 150))
    z = noisy(5.0 * np.exp(-0.5 * ((x - 0.4) / 1.1) ** 2 - 0.5 * ((y + 0.7) / 1.6) ** 2), rng)
    found = sf.find_surface(z, x=x, y=y, registered=["gaussian2d"])
    first = found.table.iloc[0]
    assert "gaussian2d" in first["formula"] + first["note"] or first["formula"].count("exp(-0.5*((") == 2
    assert found.best.success


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"data": "v"}, ParameterError, "no variable is given"),
        ({"data": "v", "x": "t_s", "y": "c_ppm", "simga": "err"}, ParameterError, "did you mean 'sigma'"),
        ({"x": "t_s"}, DataError, "data= is missing"),
        ({"data": "v", "x": "t"}, DataError, "no column 't'"),
        ({"data": "v", "x": "t_s", "y": "err"}, DataError, "y is 2 at all points"),
        ({"data": "v", "x": "t_s", "registered": ["nothing_like_it"]}, UnknownModelError, "nothing_like_it"),
    ],
)
def test_wrong_calls_get_one_sentence(decay, arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        sf.find_surface(decay, **arguments)


def test_a_search_can_be_pickled(found):
    again = pickle.loads(pickle.dumps(found))
    pd.testing.assert_frame_equal(again.table, found.table)
    assert again[1].best_values == found[1].best_values


def test_criteria_are_those_of_compare(found):
    table = sf.compare({str(i): found[i] for i in range(3)})
    np.testing.assert_allclose(table["aicc"][["0", "1", "2"]], found.table["aicc"][:3], atol=1e-3)


def test_odd_data_are_told_of_and_nothing_warns(rng):
    x = rng.uniform(1, 5, 8)
    once = sf.find_surface(np.full(8, 3.0), x=x)
    assert once.table["formula"][0] == "a0"
    with pytest.warns(DataWarning, match="16 of 24 rows are exact copies"):
        assert "exact copies" in sf.find_surface(np.tile(np.sin(x), 3), x=np.tile(x, 3), registered=False).report()
    with pytest.raises(DataError, match="squares float64 can't hold"):
        sf.find_surface(1e200 * x, x=x)


def test_variables_on_one_line_are_told(rng):
    x = rng.uniform(1, 5, 12)
    task = Task(np.sin(x), None, {}, {"x": x, "y": 2 * x + 1}, "raise")
    assert "x and y lie on one line" in task.notes[0]
    assert not Task(np.sin(x), None, {}, {"x": x, "y": 2 * x + 1e-9 * x**2}, "raise").notes


def test_a_variable_may_be_called_data():
    frame = pd.DataFrame({"u": np.arange(1.0, 10.0), "v": np.arange(9.0) ** 2})
    task = Task(frame, "v", {}, {"data": "u"}, "raise")
    assert (task.label, task.labels) == ("v", {"data": "u"})


def test_an_average_where_some_laws_have_no_value():
    x = np.linspace(1, 29, 29)
    found = sf.find_surface(5 * np.exp(-0.3 * x) + 1 + 0.01 * np.cos(1e3 * x), x=x, registered=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = found.predict(x=[0.0, 5.0])
    assert np.isnan(table.fit[0]) or abs(table.fit[0] - 6) < 1
    assert not np.isinf(table.fit).any()
    assert np.isfinite(table.loc[1]).all()


def test_wrong_arrays_get_one_sentence(decay):
    z = decay["v"].to_numpy()
    with pytest.raises(DataError, match="there is no table"):
        sf.find_surface(z, x="t_s")
    with pytest.raises(TooFewPointsError, match="3 usable points"):
        sf.find_surface(z[:3], x=z[:3] + np.arange(3))
    with pytest.raises(DataError, match="complex"):
        sf.find_surface(z + 1j, x=z)


def test_shell(tmp_path, decay, capsys):
    from surffit.cli import main

    path = tmp_path / "decay.csv"
    decay.to_csv(path, index=False)
    command = ["find", str(path), "--data", "v", "--var", "x=t_s", "--var", "y=c_ppm", "--no-registered", "--top", "3"]
    assert main([*command, "--format", "json", "--plot", str(tmp_path / "laws.png"), "--save", str(tmp_path / "best.json")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "surffit.found/1"
    assert len(document["laws"]) == 3
    assert document["laws"][0]["params"]
    assert (tmp_path / "laws.png").read_bytes().startswith(b"\x89PNG")
    assert sf.load(tmp_path / "best.json").best_values
    assert main(["find", str(path), "--data", "v"]) == 2
    assert "add --var" in capsys.readouterr().err


@pytest.mark.slow
def test_the_law_is_among_the_first_three(project):
    """Every third law of `benchmarks/finder.py`, as it draws them at a signal-to-noise ratio of 30; the benchmark has 200 tables."""
    import importlib.util

    loader = importlib.util.spec_from_file_location("finder_benchmark", project / "benchmarks" / "finder.py")
    import sys

    module = sys.modules[loader.name] = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    places = [module.place(sf.find_surface(t.z, x=t.x, y=t.y, registered=False), t) for t in list(module.tables(30, 4))[::3]]
    assert sum(place > 0 for place in places) >= 9
