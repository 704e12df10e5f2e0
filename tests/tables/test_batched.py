"""Many groups at once: the tables of the batch engines are those of one ordinary fit per group."""

import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.exceptions import DataError, ParameterError
from surffit.solve.status import Status
from surffit.tables import fit as fit_module

ROUNDING = ["nfev", "aic", "bic", "status", "reason"]  # of exact fits through two points, and of the rule that ends a search


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Few groups are enough for the engines here."""
    monkeypatch.setattr(fit_module, "FEW", 2)


@pytest.fixture
def line():
    return sf.get_model("linear")


def table(rng, n_groups=30, most=14):
    """Groups of 1 to `most` points in mixed order, with errors, a mask, and holes in the data."""
    n = rng.integers(1, most, n_groups)
    g = np.repeat(np.arange(n_groups), n)
    frame = pd.DataFrame({"g": np.array([f"s{i}" for i in range(n_groups)])[g], "x": rng.uniform(0, 4, g.size)})
    frame["y"] = 1 + 0.5 * frame["x"] + rng.normal(0, 0.1, g.size)
    frame["s"] = rng.uniform(0.05, 0.2, g.size)
    frame["skip"] = rng.uniform(size=g.size) < 0.1
    frame.loc[rng.integers(0, g.size, 12), "y"] = np.nan
    return frame.sample(frac=1, random_state=2)


def close(loop, batch, **tolerance):
    for name in ("tidy", "glance", "augment", "to_frame"):
        one, other = getattr(loop, name)(), getattr(batch, name)()
        if name == "glance":
            # a group of one point has no spread to explain
            one.loc[one["ndata"] - one["nfree"] >= one["ndata"], "rsquared"] = np.nan
            one, other = (frame.drop(columns=[*ROUNDING, "rsquared"]) for frame in (one, other))
        pd.testing.assert_frame_equal(one, other, **{"rtol": 1e-6, "atol": 1e-9, **tolerance})


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"sigma": "s"},
        {"sigma": "s", "scale_covar": False, "mask": "skip"},
        {"nan_policy": "omit", "mask": "skip"},
        {"params": {"slope": {"value": 1, "min": 0.5}}},
        {"params": {"intercept": {"expr": "2*slope"}}, "nan_policy": "omit"},
        {"params": {"slope": {"value": 0.5, "vary": False}}},
        {"weights": 4.0},
    ],
    ids=["plain", "sigma", "known", "omit", "bound", "tied", "fixed", "weights"],
)
def test_tables_are_those_of_ordinary_fits(rng, line, call):
    df = table(rng)
    before = df.copy()
    call = {"data": "y", "by": "g", "x": "x", **call}
    loop, batch = sf.fit_table(df, line, engine="loop", **call), sf.fit_table(df, line, **call)
    assert (loop.engine, batch.engine != "loop") == ("loop", True)
    close(loop, batch)
    assert batch.failed["g"].tolist() == loop.failed["g"].tolist()
    assert batch.failed["status"].tolist() == loop.failed["status"].tolist()
    assert batch.failed["reason"].tolist() == loop.failed["reason"].tolist()
    assert [group.key for group in batch] == [group.key for group in loop]
    pd.testing.assert_frame_equal(df, before)


def test_levels_and_dtypes_are_the_same(rng, line):
    df = table(rng).dropna()
    loop, batch = (sf.fit_table(df, line, data="y", by="g", x="x", engine=name) for name in ("loop", "auto"))
    pd.testing.assert_frame_equal(loop.tidy(level=0.9), batch.tidy(level=0.9), rtol=1e-7, atol=1e-10)
    assert (loop.glance().dtypes == batch.glance().dtypes).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        batch.tidy(level=95)


def test_a_wrong_number_would_be_seen(rng, line):
    df = table(rng)
    loop = sf.fit_table(df, line, data="y", by="g", x="x", engine="loop")
    df.loc[df["g"] == df["g"].iloc[0], "y"] += 1e-3 * df["x"]
    with pytest.raises(AssertionError):
        close(loop, sf.fit_table(df, line, data="y", by="g", x="x"))


def test_searched_models_agree_to_a_fraction_of_the_errors(rng):
    n_groups = 40
    g = np.repeat(np.arange(n_groups), rng.integers(12, 30, n_groups))
    df = pd.DataFrame({"g": g, "t": rng.uniform(0, 4, g.size)})
    df["v"] = 3 * np.exp(-rng.uniform(0.7, 1.4, n_groups)[g] * df["t"]) + 0.5 + rng.normal(0, 0.02, g.size)

    def decay(t, a, k, c):
        return a * np.exp(-k * t) + c

    call = {"data": "v", "by": "g", "t": "t", "params": {"k": 1.0}}
    loop, batch = (sf.fit_table(df, decay, engine=name, **call) for name in ("loop", "auto"))
    assert batch.engine != "loop"
    one, other = loop.tidy(), batch.tidy()
    assert (np.abs(other["estimate"] - one["estimate"]) < 1e-5 * one["std_error"]).all()
    np.testing.assert_allclose(other["std_error"], one["std_error"], rtol=1e-5)
    np.testing.assert_allclose(batch.augment()["std_resid"], loop.augment()["std_resid"], rtol=1e-4, atol=1e-5)
    assert other["linear"].tolist() == one["linear"].tolist()


def test_a_groups_full_result_is_made_when_asked_for(rng, line):
    df = table(rng)
    batch = sf.fit_table(df, line, data="y", by="g", x="x")
    loop = sf.fit_table(df, line, data="y", by="g", x="x", engine="loop")
    key = next(group.key[0] for group in loop if group.result is not None)
    assert isinstance(batch[key], sf.SurfaceResult)
    assert batch[key] is batch[key]
    assert batch[key].best_values == loop[key].best_values
    pd.testing.assert_frame_equal(batch[key].augment(), loop[key].augment())
    bad = next(group.key[0] for group in loop if group.result is None)
    with pytest.raises(DataError, match=f"the group '{bad}' has no fit: "):
        batch[bad]
    with pytest.raises(LookupError, match="no group has g = 'zzz'; there are 30, the first: "):
        batch["zzz"]


def test_every_fault_has_its_flag_and_its_numbers(rng, line):
    names = ["good", "small", "holes", "masked", "weightless", "wrong", "infinite"]
    df = pd.DataFrame({"g": np.repeat(names, 6), "x": np.tile(np.arange(6.0), len(names)), "w": 1.0, "off": False})
    df["y"] = 1 + 2 * df["x"] + rng.normal(0, 0.1, len(df))
    df.loc[(df["g"] == "small") & (df["x"] > 0), "off"] = True
    df.loc[(df["g"] == "holes") & (df["x"] < 2), "y"] = np.nan
    df.loc[df["g"] == "masked", "off"] = True
    df.loc[df["g"] == "weightless", "w"] = 0.0
    df.loc[(df["g"] == "wrong") & (df["x"] == 3), "w"] = -1.0
    df.loc[(df["g"] == "infinite") & (df["x"] == 3), "x"] = np.inf
    found = {}
    for engine in ("auto", "loop"):
        result = sf.fit_table(df, line, data="y", by="g", x="x", weights="w", mask="off", engine=engine)
        assert repr(result) == "<TableResult: 1 of 7 groups by g fitted>"
        found[engine] = result.failed.set_index("g")
    assert found["auto"]["status"].to_dict() == {
        "small": "FEW_POINTS", "holes": "NONFINITE_DATA", "masked": "NO_DATA", "weightless": "NO_DATA", "wrong": "NONFINITE_DATA",
        "infinite": "NONFINITE_DATA",
    }  # fmt: skip
    assert found["auto"]["status"].to_dict() == found["loop"]["status"].to_dict()
    assert found["auto"].loc["small", "reason"].startswith("1 usable point")
    assert "2 non-finite values" in found["auto"].loc["holes", "reason"]
    assert "weights must not be negative" in found["auto"].loc["wrong", "reason"]
    assert result.groups[0].status.success


def test_good_groups_are_the_same_beside_bad_ones(rng, line):
    df = table(rng).dropna()
    alone = sf.fit_table(df, line, data="y", by="g", x="x").to_frame()
    bad = pd.DataFrame(
        {"g": np.repeat(["a", "b", "c"], 5), "x": [*np.arange(10.0), *[np.nan] * 5], "y": [*[np.nan] * 5, *[np.inf] * 5, *[1e300] * 5]}
    )
    mixed = sf.fit_table(pd.concat([bad, df], ignore_index=True), line, data="y", by="g", x="x").to_frame()
    pd.testing.assert_frame_equal(mixed.iloc[3:].reset_index(drop=True), alone, check_exact=True, check_dtype=False)
    assert mixed.iloc[:3]["slope"].isna().all()


def test_keys_keep_their_types_and_order(rng, line):
    df = table(rng, 8, 20).dropna()
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(df["g"].str[1:].astype(int), unit="D")
    df = df.assign(
        day=days, kind=pd.Categorical(np.where(df["x"] < 2, "low", None), categories=["never", "low"]), g=df["g"].str[1:].astype("Int64")
    )
    result = sf.fit_table(df, line, data="y", by=["g", "day", "kind"], x="x", engine="auto")
    tidy = result.tidy()
    assert (tidy.dtypes[["g", "day", "kind"]] == df.dtypes[["g", "day", "kind"]]).all()
    expected = df[["g", "day", "kind"]].drop_duplicates().reset_index(drop=True)
    pd.testing.assert_frame_equal(result.glance()[["g", "day", "kind"]], expected)
    key = (int(expected.loc[0, "g"]), expected.loc[0, "day"], expected.loc[0, "kind"])
    assert result._grouping.number(key) == 0
    lost = expected.index[expected["kind"].isna()][0]
    assert result._grouping.number((expected.loc[lost, "g"], expected.loc[lost, "day"], np.nan)) == lost


def test_names_of_keys_like_ours_keep_them(rng, line):
    df = table(rng).rename(columns={"g": "term"}).assign(fitted="mine")
    result = sf.fit_table(df, line, data="y", by="term", x="x")
    assert result.tidy().columns.tolist()[:3] == ["term", "term_fit", "estimate"]
    assert result.augment().columns.tolist()[-4:] == ["fitted", "fitted_fit", "resid", "std_resid"]


def test_starts_and_constants_for_each_group(rng):
    centres = pd.Series({"b": 2.0, "a": -2.0, "c": 0.0, "unused": 9.0})
    df = pd.DataFrame({"g": np.repeat(["a", "b", "c"], 25), "x": np.tile(np.linspace(-4, 4, 25), 3)})
    df["y"] = 3 * np.exp(-((df["x"] - df["g"].map(centres)) ** 2) / 0.5) + rng.normal(0, 0.01, 75)

    def peak(x, h, x0):
        return h * np.exp(-((x - x0) ** 2) / 0.5)

    call = {"data": "y", "by": "g", "x": "x"}
    for engine in ("loop", "auto"):
        searched = sf.fit_table(df, peak, params={"x0": centres}, engine=engine, **call).to_frame().set_index("g")
        np.testing.assert_allclose(searched["x0"], centres[searched.index], atol=0.02)
        fixed = sf.fit_table(df, peak, params={"x0": {"value": centres, "vary": False}}, engine=engine, **call).to_frame().set_index("g")
        assert fixed["x0"].tolist() == [-2.0, 2.0, 0.0]
        np.testing.assert_allclose(fixed["h"], 3, atol=0.05)
    one = sf.fit_table(df, peak, params={"x0": {"value": centres, "vary": False}}, **call)["b"]
    assert one.params["x0"].value == 2.0
    # the wrong group's constant would be seen
    assert (
        abs(fixed["h"] - sf.fit_table(df, peak, params={"x0": {"value": 0.0, "vary": False}}, **call).to_frame()["h"].to_numpy()).max() > 1
    )
    with pytest.raises(ParameterError, match=r"params\['x0'\] has no number for the group g=c; its index must hold the groups' keys"):
        sf.fit_table(df, peak, params={"x0": centres.drop("c")}, **call)
    with pytest.raises(ParameterError, match="there are no groups; pass by="):
        sf.fit_table(df, peak, data="y", x="x", params={"x0": centres})


def test_several_keys_name_the_starts_too(rng, line):
    df = table(rng, 6, 20).dropna().assign(run=lambda d: np.where(d["x"] < 2, 1, 2))
    keys = df[["g", "run"]].drop_duplicates()
    own = pd.Series(np.arange(float(len(keys))), index=pd.MultiIndex.from_frame(keys.sample(frac=1, random_state=0)))
    fixed = sf.fit_table(df, line, data="y", by=["g", "run"], x="x", params={"slope": {"value": own, "vary": False}}).to_frame()
    np.testing.assert_array_equal(
        fixed["slope"].dropna(), own.reindex(pd.MultiIndex.from_frame(fixed[["g", "run"]]))[fixed["slope"].notna().to_numpy()]
    )


def test_what_only_ordinary_fits_can_do_goes_one_by_one(rng, line):
    df = table(rng, 6, 20).dropna()
    calls = {
        "method='leastsq'": {"method": "leastsq", "params": {"slope": 1, "intercept": 0}},
        "loss": {"loss": "huber"},
        "fit_kws": {"fit_kws": {"polish": False}},
    }
    for word, call in calls.items():
        result = sf.fit_table(df, line, data="y", by="g", x="x", **call)
        assert result.engine == "loop"
        assert word in result.engine_reason
        with pytest.raises(ParameterError, match="leave engine='auto'"):
            sf.fit_table(df, line, data="y", by="g", x="x", engine="weighted", **call)
    surface = sf.surfaces.PolynomialSurface(1, variables=("x",))
    assert "takes something from each group's data" in sf.fit_table(df, surface, data="y", by="g", x="x").engine_reason


def test_few_groups_go_one_by_one(rng, line, monkeypatch):
    monkeypatch.setattr(fit_module, "FEW", 200)
    result = sf.fit_table(table(rng), line, data="y", by="g", x="x")
    assert (result.engine, result.engine_reason) == ("loop", "30 groups are fitted one by one before a faster engine is ready")
    assert sf.fit_table(table(rng), line, data="y", by="g", x="x", engine="weighted").engine == "weighted"


def test_words_that_mean_nothing_are_refused(rng, line):
    df = table(rng)
    with pytest.raises(ParameterError, match="there are none; leave it out, or pass by="):
        sf.fit_table(df.dropna(), line, data="y", x="x", engine="weighted")
    with pytest.raises(ParameterError, match="engine='nope' is unknown"):
        sf.fit_table(df, line, data="y", by="g", x="x", engine="nope")
    with pytest.raises(ParameterError, match="nan_policy='propagate' is not available"):
        sf.fit_table(df, line, data="y", by="g", x="x", nan_policy="propagate")
    with pytest.raises(DataError, match="by names the column 'g' twice"):
        sf.fit_table(df, line, data="y", by=["g", "g"], x="x")
    with pytest.raises(ParameterError, match=r"k .* no start"):
        sf.fit_table(df.dropna(), lambda x, a, k: a * np.exp(-k * x), data="y", by="g", x="x")


def test_flag_is_what_raise_means_for_groups(rng, line):
    df = table(rng)
    one, other = (sf.fit_table(df, line, data="y", by="g", x="x", nan_policy=policy).glance() for policy in ("raise", "flag"))
    pd.testing.assert_frame_equal(one, other)
    assert "NONFINITE_DATA" in set(one["status"])


def test_dates_are_seconds_since_the_first_of_their_group(rng, line):
    df = table(rng, 20).assign(t=lambda d: pd.Timestamp("2024-03-01", tz="Europe/Berlin") + pd.to_timedelta(d["x"] * 3600, unit="s"))
    df.loc[df.index[3], "t"] = pd.NaT
    for column in ("t", "bare"):
        df["bare"] = df["t"].dt.tz_localize(None)
        loop, batch = (sf.fit_table(df, line, data="y", by="g", x=column, engine=name) for name in ("loop", "auto"))
        close(loop, batch)


def test_a_mask_hides_whatever_stands_beneath(rng, line):
    df = table(rng).dropna()
    clean = sf.fit_table(df, line, data="y", by="g", x="x", sigma="s", mask="skip").to_frame()
    assert df["skip"].sum() > 3
    for column, value in [("y", np.nan), ("y", 1e300), ("x", np.inf), ("s", -1.0), ("s", np.nan)]:
        dirty = df.assign(**{column: df[column].mask(df["skip"], value)})
        for engine in ("auto", "loop"):
            result = sf.fit_table(dirty, line, data="y", by="g", x="x", sigma="s", mask="skip", engine=engine)
            pd.testing.assert_frame_equal(result.to_frame(), clean, rtol=1e-9)


def test_an_interrupt_leaves_the_rest_aborted(rng, line, monkeypatch):
    from surffit.batch.data import ragged

    monkeypatch.setattr(ragged.Ragged, "blocks", lambda self, size, points=0: blocks(self, min(size, 10)))
    calls = []

    def stop(done, total, text):
        calls.append((done, total, text))
        raise KeyboardInterrupt

    df = table(rng)
    result = sf.fit_table(df, line, data="y", by="g", x="x", progress=stop)
    assert not result.complete
    assert "interrupted" in repr(result)
    assert "ABORTED" in result.summary()
    assert calls[0][:2] == (10, 30)
    assert isinstance(calls[0][2], str)
    assert result.glance()["status"].iloc[-1] == "ABORTED"
    assert len(result.tidy()) == 60
    assert len(result.augment()) == len(df)


def blocks(source, size):
    """Small blocks."""
    from surffit.batch.data.slabs import Block

    return [Block(start, min(start + size, source.n_sets)) for start in range(0, source.n_sets, size)]


def test_the_summary_says_it_in_words(rng, line):
    df = table(rng)
    result = sf.fit_table(df, line, data="y", by="g", x="x")
    text = result.summary()
    assert f"30 groups by g, {int(result.glance()['success'].sum())} fitted." in text
    assert "Engine: weighted" in text
    assert "NONFINITE_DATA" in text
    assert "slope" in text


def test_where_an_engine_finds_nothing_ordinary_fits_do(rng):
    df = pd.DataFrame({"g": np.repeat(np.arange(30), 30), "x": rng.uniform(-4, 4, 900)})
    df["y"] = 3 * np.exp(-(((df["x"] - 0.3) / 0.8) ** 2)) + rng.normal(0, 0.05, 900)

    def peak(x, h, x0, s):
        return h * np.exp(-(((x - x0) / s) ** 2))

    call = {"data": "y", "by": "g", "x": "x", "params": {"x0": {"value": 1.5, "min": -4, "max": 4}, "s": {"value": 0.05, "min": 0.01}}}
    named = sf.fit_table(df, peak, engine="lockstep", **call)
    lost = (~named.glance()["success"]).sum()
    assert lost > 0
    assert "ordinary fits" not in named.engine_reason
    result, loop = (sf.fit_table(df, peak, engine=engine, **call) for engine in ("auto", "loop"))
    good = loop.glance()["success"].to_numpy()
    assert result.glance()["success"].to_numpy()[good].all()
    assert "ordinary fits, which found" in result.engine_reason
    assert (result.to_frame()["success"] & ~named.to_frame()["success"]).sum() > 0


def test_undetermined_and_held_parameters_are_named(rng):
    df = table(rng, 20, 20).dropna()

    def f(x, a, b, c):
        return a + b + c * x

    for params in (None, {"c": {"value": 0.7, "min": 0.6}}):
        loop, batch = (sf.fit_table(df, f, data="y", by="g", x="x", params=params, engine=name) for name in ("loop", "auto"))
        enough = (loop.glance()["ndata"] > 4).to_numpy()
        reasons = [[words for words, many in zip(result.glance()["reason"], enough, strict=True) if many] for result in (loop, batch)]
        assert (
            sum("can't tell a and b apart" in words for words in reasons[1])
            == sum("can't tell a and b apart" in words for words in reasons[0])
            > 0
        )
        held = ["c ended on a bound" in words for words in reasons[1]]
        assert held == ["c ended on a bound" in words for words in reasons[0]]
        assert any(held) == (params is not None)


def test_an_untraced_model_has_its_tables_too(rng):
    df = table(rng, 12, 20).dropna()

    def strange(x, a, b):
        return a + b * np.interp(x, [0.0, 4.0], [0.0, 4.0])

    loop, batch = (
        sf.fit_table(df, strange, data="y", by="g", x="x", params={"a": 0.5, "b": 1.0}, engine=name) for name in ("loop", "auto")
    )
    one, other = loop.tidy(), batch.tidy()
    fitted = one["std_error"].notna() & (one["std_error"] > 0)
    np.testing.assert_allclose(other["estimate"][fitted], one["estimate"][fitted], rtol=1e-5, atol=1e-6)
    good = loop.augment()["std_resid"].notna().to_numpy() & batch.augment()["std_resid"].notna().to_numpy()
    assert good.sum() > 50
    np.testing.assert_allclose(batch.augment()["std_resid"][good], loop.augment()["std_resid"][good], rtol=1e-3, atol=1e-4)


def test_status_flags_are_those_of_fits(rng, line):
    result = sf.fit_table(table(rng), line, data="y", by="g", x="x")
    assert all(isinstance(group.status, Status) for group in result)
    assert sum(group.status.success for group in result) == int(result.glance()["success"].sum())
