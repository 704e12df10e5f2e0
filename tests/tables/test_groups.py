"""by=: every group its own fit, and no group stops the others."""

import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.exceptions import DataError, OptionalDependencyError, ParameterError
from surffit.solve.status import Status

GOOD = ["c", "a", "b"]


@pytest.fixture
def df(rng):
    """Three good groups in an order of their own, then one each that is too small, not finite, and without weight."""
    parts = [pd.DataFrame({"g": name, "x": np.linspace(0, 4, 12), "k": k}) for k, name in enumerate(GOOD)]
    parts += [pd.DataFrame({"g": name, "x": np.linspace(0, 4, n), "k": 9}) for name, n in [("small", 1), ("holes", 8), ("masked", 8)]]
    frame = pd.concat(parts, ignore_index=True)
    frame["y"] = 1 + frame["k"] * frame["x"] + rng.normal(0, 0.05, len(frame))
    frame.loc[frame["g"] == "holes", "y"] = np.nan
    frame["off"] = frame["g"] == "masked"
    return frame


@pytest.fixture
def line():
    return sf.get_model("linear")


@pytest.fixture
def result(df, line):
    return sf.fit_table(df, line, data="y", by="g", x="x", mask="off")


def test_every_good_group_has_the_answer_of_its_own_fit(df, line, result):
    for name in GOOD:
        part = df[df["g"] == name]
        alone = line.fit(part["y"].to_numpy(), x=part["x"].to_numpy())
        assert result[name].best_values == alone.best_values
        assert result[name].params["slope"].stderr == alone.params["slope"].stderr


def test_the_order_of_appearance_is_kept(result):
    assert [group.key for group in result] == [("c",), ("a",), ("b",), ("small",), ("holes",), ("masked",)]
    assert result.glance()["g"].tolist() == ["c", "a", "b", "small", "holes", "masked"]


def test_bad_groups_are_flagged_with_a_reason(result):
    assert result.complete
    flags = {group.key[0]: group.status for group in result if group.result is None}
    assert flags == {"small": Status.FEW_POINTS, "holes": Status.NONFINITE_DATA, "masked": Status.NO_DATA}
    failed = result.failed.set_index("g")
    assert failed["status"].to_dict() == {"small": "FEW_POINTS", "holes": "NONFINITE_DATA", "masked": "NO_DATA"}
    assert "2 varying parameters" in failed.loc["small", "reason"]
    assert "8 non-finite values" in failed.loc["holes", "reason"]
    with pytest.raises(DataError, match="group 'small' has no fit: 1 usable point"):
        result["small"]
    with pytest.raises(LookupError, match=r"no group has g = 'zzz'; there are 6, the first: c, a, b"):
        result["zzz"]


def test_tidy_has_a_row_per_group_and_parameter(result):
    table = result.tidy(level=0.9)
    assert table.columns.tolist()[:4] == ["g", "term", "estimate", "std_error"]
    assert table.columns.tolist()[-2:] == ["lower", "upper"]
    assert len(table) == 12
    slopes = table[table["term"] == "slope"].set_index("g")["estimate"]
    np.testing.assert_allclose(slopes[GOOD], [0, 1, 2], atol=0.1)
    assert slopes[["small", "holes", "masked"]].isna().all()
    assert table["estimate"].dtype == float
    assert table["linear"].dtype == bool


def test_glance_has_a_row_per_group(result):
    table = result.glance().set_index("g")
    assert table["success"].tolist() == [True] * 3 + [False] * 3
    assert table["nfree"].tolist()[:3] == [10] * 3
    assert table.loc["small", "ndata"] == 1


def test_augment_has_every_row_once(df, result):
    table = result.augment()
    assert sorted(table.index) == sorted(df.index)
    pd.testing.assert_frame_equal(table.sort_index()[df.columns.tolist()], df)
    good = table[table["g"].isin(GOOD)]
    np.testing.assert_allclose(good["resid"], good["y"] - good["fitted"])
    assert table[~table["g"].isin(GOOD)]["fitted"].isna().all()


def test_key_columns_named_like_ours_keep_their_names(df, line):
    renamed = df.rename(columns={"g": "term"})
    table = sf.fit_table(renamed[renamed["k"] < 3], line, data="y", by="term", x="x").tidy()
    assert table.columns.tolist()[:3] == ["term", "term_fit", "estimate"]
    assert set(table["term"]) == set(GOOD)
    renamed = df.rename(columns={"g": "status"})
    failed = sf.fit_table(renamed, line, data="y", by="status", x="x", mask="off").failed
    assert failed.columns.tolist() == ["status", "status_fit", "reason"]


def test_several_keys_and_a_missing_one(df, line):
    good = df[df["k"] < 3].assign(run=lambda d: np.where(d["x"] < 2, "one", None))
    result = sf.fit_table(good, line, data="y", by=["g", "run"], x="x")
    assert len(result) == 6
    assert result["c", "one"].ndata == 6
    assert sum(pd.isna(group.key[1]) for group in result) == 3
    assert result.glance().columns.tolist()[:2] == ["g", "run"]


def test_categories_without_rows_are_no_groups(df, line):
    good = df[df["k"] < 3]
    categorical = good.assign(g=pd.Categorical(good["g"], categories=["a", "b", "c", "never"]))
    assert [g.key[0] for g in sf.fit_table(categorical, line, data="y", by="g", x="x")] == GOOD


def test_an_empty_table_gives_an_empty_answer(df, line):
    result = sf.fit_table(df.iloc[:0], line, data="y", by="g", x="x")
    assert len(result) == 0
    assert result.tidy().columns.tolist()[:2] == ["g", "term"]
    assert result.augment().empty


def test_a_fault_of_the_call_is_raised_not_flagged(df, line):
    with pytest.raises(ParameterError, match="method='nope' is unknown"):
        sf.fit_table(df[df["k"] < 3], line, data="y", by="g", x="x", method="nope")

    def broken(x, a):
        raise RuntimeError("a bug of the user's")

    with pytest.raises(RuntimeError, match="a bug"):
        sf.fit_table(df[df["k"] < 3], broken, data="y", by="g", x="x")


def test_progress_calls_and_bar(df, line, capsys, monkeypatch):
    calls = []
    sf.fit_table(df, line, data="y", by="g", x="x", mask="off", progress=lambda *call: calls.append(call))
    assert calls == [(n + 1, 6, f"g={name}") for n, name in enumerate([*GOOD, "small", "holes", "masked"])]
    sf.fit_table(df, line, data="y", by="g", x="x", mask="off", progress=True)
    assert "6/6" in capsys.readouterr().err
    import sys

    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(OptionalDependencyError, match=r'pip install "surffit\[progress\]"'):
        sf.fit_table(df, line, data="y", by="g", x="x", mask="off", progress=True)


def test_an_interrupt_returns_what_is_done(df, line):
    def stop(done, total, text):
        if done == 2:
            raise KeyboardInterrupt

    result = sf.fit_table(df, line, data="y", by="g", x="x", mask="off", progress=stop)
    assert not result.complete
    assert "interrupted" in repr(result)
    assert [group.result is not None for group in result] == [True, True, False, False, False, False]
    assert result.glance()["status"].tolist()[2:] == ["ABORTED"] * 4
    assert len(result.tidy()) == 12
    assert len(result.augment()) == len(df)


def test_repr_counts(result):
    assert repr(result) == "<TableResult: 3 of 6 groups by g fitted>"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({"by": []}, "by names no columns"),
        ({"by": pd.Series([1, 2])}, "by is a Series"),
        ({"by": "where"}, "'where' .* is in the index"),
    ],
)
def test_keys_that_are_no_columns(df, line, call, told):
    with pytest.raises(DataError, match=told):
        sf.fit_table(df.rename_axis("where"), line, data="y", x="x", **call)


def test_a_number_per_group_is_a_series(df, line):
    with pytest.raises(ParameterError, match=r"params\['slope'\] is a ndarray; .* a Series"):
        sf.fit_table(df, line, data="y", x="x", by="g", params={"slope": np.ones(6)})
