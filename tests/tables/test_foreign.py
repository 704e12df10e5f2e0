"""Tables of other libraries: pyarrow, polars, and whatever speaks Arrow."""

import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.exceptions import DataError
from surffit.tables.foreign import as_frame

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def df(rng):
    frame = pd.DataFrame({"g": np.repeat(["a", "b", "c"], 10), "x": np.tile(np.arange(10.0), 3), "n": np.arange(30)})
    frame["y"] = 1 + 2 * frame["x"] + rng.normal(0, 0.1, 30)
    return frame


class Foreign:
    """What polars' frames are to us: columns behind the Arrow PyCapsule protocol."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def arrow(frame):
    return pa.table({name: pa.array(frame[name].to_numpy(), from_pandas=True) for name in frame.columns})


@pytest.mark.parametrize("wrap", [lambda t: t, Foreign, lambda t: t.combine_chunks().to_batches()[0]], ids=["table", "stream", "batch"])
def test_the_answer_is_that_of_pandas(df, wrap):
    expected = sf.fit_table(df, sf.get_model("linear"), data="y", by="g", x="x", sigma=0.1)
    found = sf.fit_table(wrap(arrow(df)), sf.get_model("linear"), data="y", by="g", x="x", sigma=0.1)
    pd.testing.assert_frame_equal(found.tidy(), expected.tidy())
    pd.testing.assert_frame_equal(found.augment(), expected.augment())
    assert isinstance(found.augment(), pd.DataFrame)
    one = sf.fit_table(wrap(arrow(df)), sf.get_model("linear"), data="y", x="x")
    assert one.best_values == sf.fit_table(df, sf.get_model("linear"), data="y", x="x").best_values


def test_numbers_keep_their_memory(df):
    table = arrow(df)
    for source in (table, Foreign(table)):
        frame = as_frame(source)
        address = table["y"].chunk(0).buffers()[1].address
        assert frame["y"].to_numpy().__array_interface__["data"][0] == address


def test_missing_values_dictionaries_and_dates(df):
    y = [None, *df["y"][1:]]
    table = pa.table(
        {
            "g": pa.array(df["g"]).dictionary_encode(),
            "x": pa.array(df["x"]),
            "y": pa.array(y),
            "n": pa.array([None, *range(1, 30)]),
            "day": pa.array(np.datetime64("2024-01-01") + np.arange(30)),
            "bad": pa.array([True] + [False] * 29),
        }
    )
    result = sf.fit_table(table, sf.get_model("linear"), data="y", by="g", x="x")
    assert result.glance()["status"].tolist()[0] == "NONFINITE_DATA"
    assert result.tidy()["g"].dtype == "category"
    omitted = sf.fit_table(table, sf.get_model("linear"), data="y", by="g", x="x", nan_policy="omit")
    masked = sf.fit_table(table, sf.get_model("linear"), data="y", by="g", x="x", mask="bad")
    assert omitted["a"].ndata == masked["a"].ndata == 9
    assert sf.fit_table(table, sf.get_model("linear"), data="n", by="g", x="day", nan_policy="omit")["b"].best_values[
        "slope"
    ] == pytest.approx(1 / 86400)


def test_chunks_are_one_column(df):
    half = arrow(df)
    table = pa.concat_tables([half.slice(0, 13), half.slice(13)])
    assert table["y"].num_chunks == 2
    expected = sf.fit_table(df, sf.get_model("linear"), data="y", x="x").best_values
    assert sf.fit_table(table, sf.get_model("linear"), data="y", x="x").best_values == expected


def test_an_index_noted_in_the_schema_is_a_column(df):
    table = pa.Table.from_pandas(df.set_index("x"))
    assert "x" in as_frame(table).columns


def test_what_is_no_table_is_refused(df):
    with pytest.raises(DataError, match="df is Foreign, which pyarrow doesn't take for a table"):
        sf.fit_table(Foreign(pa.chunked_array([[1.0, 2.0]])), sf.get_model("linear"), data="y", x="x")
    with pytest.raises(DataError, match="df is list; give a pandas DataFrame"):
        sf.fit_table([1, 2], sf.get_model("linear"), data="y", x="x")


def test_polars_by_column_where_there_is_no_pyarrow(df, monkeypatch):
    class DataFrame:
        def __init__(self, frame):
            self._frame, self.columns = frame, list(frame.columns)

        def __getitem__(self, name):
            return self._frame[name]

    DataFrame.__module__ = "polars.dataframe.frame"
    pd.testing.assert_frame_equal(as_frame(DataFrame(df)), pd.DataFrame({name: df[name].to_numpy() for name in df}))

    class LazyFrame(DataFrame):
        def collect(self):
            raise AssertionError

    LazyFrame.__module__ = "polars.lazyframe.frame"
    with pytest.raises(DataError, match=r"pass df\.collect\(\)"):
        as_frame(LazyFrame(df))


def test_polars_itself(df):
    pl = pytest.importorskip("polars")
    table = pl.DataFrame({name: df[name].to_numpy() for name in df})
    expected = sf.fit_table(df, sf.get_model("linear"), data="y", by="g", x="x")
    found = sf.fit_table(table, sf.get_model("linear"), data="y", by="g", x="x")
    pd.testing.assert_frame_equal(found.tidy(), expected.tidy())


def test_the_finder_takes_them_too(rng):
    frame = pd.DataFrame({"x": rng.uniform(1, 5, 60)})
    frame["z"] = 2 + 3 * frame["x"] + rng.normal(0, 0.01, 60)
    call = {"data": "z", "x": "x", "registered": False}
    expected = sf.find_surface(frame, **call).table
    pd.testing.assert_frame_equal(sf.find_surface(arrow(frame), **call).table, expected)
