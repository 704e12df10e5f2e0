"""`fit_table`: columns in, the same answer as from arrays out, and a sentence for every wrong table."""

import lmfit
import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.exceptions import DataError, ParameterError, ShapeError


def plane(x, y, a, b, c):
    return a + b * x + c * y


@pytest.fixture
def df(rng):
    n = 60
    frame = pd.DataFrame({"u": rng.uniform(0, 5, n), "v": rng.uniform(-3, 3, n)}, index=np.arange(100, 100 + n))
    frame["z"] = plane(frame["u"], frame["v"], 1.0, 2.0, 3.0) + rng.normal(0, 0.1, n)
    frame["err"] = rng.uniform(0.05, 0.2, n)
    frame["bad"] = frame.index % 7 == 0
    return frame


@pytest.fixture
def model():
    return sf.SurfaceModel(plane, independent_vars=["x", "y"])


def values(result):
    return np.array([[par.value, par.stderr] for par in result.params.values()])


def test_columns_give_the_answer_of_arrays(df, model):
    table = sf.fit_table(df, model, data="z", x="u", y="v")
    arrays = model.fit(df["z"].to_numpy(), x=df["u"].to_numpy(), y=df["v"].to_numpy())
    np.testing.assert_array_equal(values(table), values(arrays))
    design = np.column_stack([np.ones(60), df["u"], df["v"]])
    np.testing.assert_allclose(values(table)[:, 0], np.linalg.lstsq(design, df["z"], rcond=None)[0], rtol=1e-12)


def test_sigma_weights_and_mask_are_columns_too(df, model):
    keep = ~df["bad"]
    arrays = model.fit(df["z"][keep].to_numpy(), x=df["u"][keep].to_numpy(), y=df["v"][keep].to_numpy(), sigma=df["err"][keep].to_numpy())
    table = sf.fit_table(df, model, data="z", x="u", y="v", sigma="err", mask="bad")
    np.testing.assert_allclose(values(table), values(arrays), rtol=1e-12)
    weighted = sf.fit_table(df.assign(w=1 / df["err"]), model, data="z", x="u", y="v", weights="w", mask="bad")
    np.testing.assert_allclose(values(weighted), values(arrays), rtol=1e-12)


def test_a_single_sigma_holds_for_all_rows(df, model):
    known = sf.fit_table(df, model, data="z", x="u", y="v", sigma=0.1, scale_covar=False)
    scaled = sf.fit_table(df, model, data="z", x="u", y="v")
    np.testing.assert_allclose(values(known)[:, 1] * np.sqrt(scaled.redchi) / 0.1, values(scaled)[:, 1], rtol=1e-10)


def test_sigma_is_the_data_error_even_if_the_model_has_a_sigma(rng):
    x = np.linspace(-3, 3, 80)
    gauss = sf.get_model("gaussian")
    frame = pd.DataFrame({"x": x, "y": gauss.eval(x=x, amplitude=2, center=0.3, sigma=0.7), "e": 0.01})
    result = sf.fit_table(frame, gauss, data="y", x="x", sigma="e", params=dict(amplitude=1, center=0, sigma=1))
    assert result.best_values["sigma"] == pytest.approx(0.7)
    assert np.asarray(result.weights).ravel()[0] == pytest.approx(100)
    again = sf.fit_table(frame, gauss, data="y", x="x", sigma=0.01, params=dict(amplitude=1, center=0, sigma=1))
    np.testing.assert_array_equal(values(result), values(again))


def test_arrays_and_series_may_stand_beside_the_table(df, model):
    reference = sf.fit_table(df, model, data="z", x="u", y="v")
    for u in (df["u"].to_numpy(), df["u"].tolist(), df["u"], df["u"].sample(frac=1, random_state=1)):
        np.testing.assert_array_equal(values(sf.fit_table(df, model, data=df["z"], x=u, y="v")), values(reference))


def test_foreign_labels_and_lengths_are_refused(df, model):
    with pytest.raises(ShapeError, match=r"x is a Series whose labels are not those of the table's 60 rows; .* x\.to_numpy\(\)"):
        sf.fit_table(df, model, data="z", x=df["u"].reset_index(drop=True), y="v")
    with pytest.raises(ShapeError, match=r"y has shape \(59,\), but the table has 60 rows"):
        sf.fit_table(df, model, data="z", x="u", y=df["v"].to_numpy()[1:])


def test_the_table_is_never_changed(df, model):
    before = df.copy()
    result = sf.fit_table(df, model, data="z", x="u", y="v", by="bad")
    for table in (result.augment(), sf.fit_table(df, model, data="z", x="u", y="v").augment()):
        table["z"] = 0
        table.iloc[0, 0] = 99
    result.tidy()
    pd.testing.assert_frame_equal(df, before)


def test_row_order_does_not_matter(df, model):
    one = values(sf.fit_table(df, model, data="z", x="u", y="v"))
    other = values(sf.fit_table(df.sample(frac=1, random_state=3), model, data="z", x="u", y="v"))
    np.testing.assert_allclose(other, one, rtol=1e-11)


def test_answers_come_on_the_tables_index(df, model):
    result = sf.fit_table(df, model, data="z", x="u", y="v")
    assert isinstance(result.best_fit, pd.Series)
    assert result.best_fit.index.equals(df.index)


def test_every_kind_of_model_is_taken(df, model):
    reference = values(sf.fit_table(df, model, data="z", x="u", y="v"))
    native = lmfit.Model(plane, independent_vars=["x", "y"])
    for other in (plane, native, sf.SurfaceModel.from_lmfit(native)):
        np.testing.assert_allclose(values(sf.fit_table(df, other, data="z", x="u", y="v")), reference, rtol=1e-12)
    composite = lmfit.models.GaussianModel() + lmfit.models.ConstantModel()
    frame = pd.DataFrame({"x": np.linspace(-4, 4, 50)})
    frame["y"] = composite.eval(composite.make_params(amplitude=3, center=0.5, sigma=0.8, c=2), x=frame["x"].to_numpy())
    result = sf.fit_table(frame, composite, data="y", x="x", params=dict(center=0, sigma=1))
    assert isinstance(result, sf.SurfaceResult)
    assert result.best_values["c"] == pytest.approx(2)


def test_a_plain_functions_other_arguments_are_parameters(df):
    result = sf.fit_table(df, lambda v, u, p, q: p * u + q * v, data="z", u="u", v="v")
    assert list(result.params) == ["p", "q"]


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (dict(data="zz", x="u", y="v"), DataError, r"no column 'zz' \(given as data\); did you mean 'z'"),
        (dict(data="z", x="wave", y="v"), DataError, r"no column 'wave' \(given as x\); it has 'u', 'v', 'z', 'err', 'bad'"),
        (dict(data="z", x="u"), ParameterError, r"the model needs a column for y; pass y=\"\.\.\.\""),
        (dict(data="z", x="u", y="v", t="u"), ParameterError, "'t' is neither an independent variable"),
        (dict(data="z", x="u", y="v", sigm="err"), ParameterError, "'sigm' is neither .* did you mean 'sigma'"),
        (dict(data="z", x="u", y="v", a=1.0), ParameterError, r"a is a parameter of the model; in fit_table starts go into params=\{'a'"),
        (dict(data="z", x="u", y="v", params={"aa": 1}), ParameterError, "params has 'aa', which the model hasn't; did you mean 'a'"),
        (dict(data="z", x="u", y="v", coords={"x": "v"}), ParameterError, "x stands both as a keyword and in coords"),
        (dict(data="z", x="u", y="v", sigma="err", weights="err"), DataError, "weights and sigma were both given"),
        (dict(data="z", x="u", y="v", by="nope"), DataError, r"no column 'nope' \(given as by\)"),
        (dict(data="z", x="u", y="v", mask="err"), DataError, "column 'err' .* other values than True and False"),
    ],
)
def test_a_wrong_call_gets_one_clear_sentence(df, model, call, error, sentence):
    with pytest.raises(error, match=sentence):
        sf.fit_table(df, model, **call)


def test_what_is_no_table_or_model_is_refused(df, model):
    with pytest.raises(DataError, match="df is dict; give a pandas DataFrame"):
        sf.fit_table({"z": [1]}, model, data="z")
    with pytest.raises(ParameterError, match=r"model is 'a\*x'; give .*from_expression"):
        sf.fit_table(df, "a*x", data="z", x="u")
    with pytest.raises(ParameterError, match=r"plane has no argument 't'; its arguments are x, y, a, b, c"):
        sf.fit_table(df, plane, data="z", t="u")


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (lambda s: s.map("{:.3f}".format), r"does not hold numbers: 60 of 60 rows are like '.*' \(the first in row 0\); .* pd.to_numeric"),
        (lambda s: s.astype(object).where(s.index != 103, "n/a"), r"1 of 60 rows are like 'n/a' \(the first in row 3\)"),
        (lambda s: pd.Categorical(np.where(s > 0, "up", "down")), r"categorical with categories like \['down', 'up'\]"),
    ],
)
def test_text_is_not_taken_for_numbers(df, model, column, sentence):
    with pytest.raises(DataError, match=sentence):
        sf.fit_table(df.assign(z=column(df["z"])), model, data="z", x="u", y="v")


@pytest.mark.parametrize("dtype", ["Float64", "object", "category", "float32", "Int64", "int16", ">f8"])
def test_every_numeric_dtype_is_taken(df, model, dtype):
    df = df.assign(z=df["z"].round())
    expected = values(sf.fit_table(df, model, data="z", x="u", y="v"))
    got = values(sf.fit_table(df.assign(z=df["z"].astype(dtype)), model, data="z", x="u", y="v"))
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_missing_numbers_are_refused_or_omitted(df, model):
    holes = df.assign(z=df["z"].astype("Float64"))
    holes.loc[[105, 110], "z"] = pd.NA
    with pytest.raises(DataError, match="data has 2 non-finite values"):
        sf.fit_table(holes, model, data="z", x="u", y="v")
    omitted = sf.fit_table(holes, model, data="z", x="u", y="v", nan_policy="omit")
    dropped = sf.fit_table(df.drop([105, 110]), model, data="z", x="u", y="v")
    np.testing.assert_allclose(values(omitted), values(dropped), rtol=1e-12)


def test_masked_arrays_are_missing_where_masked(df, model):
    z = np.ma.masked_array(df["z"].to_numpy(), mask=df["bad"].to_numpy())
    masked = sf.fit_table(df, model, data=z, x="u", y="v", nan_policy="omit")
    np.testing.assert_allclose(values(masked), values(sf.fit_table(df, model, data="z", x="u", y="v", mask="bad")), rtol=1e-12)


def test_a_column_that_stands_twice_is_refused(df, model):
    twice = pd.concat([df, df[["u"]]], axis=1)
    with pytest.raises(DataError, match="2 columns named 'u'"):
        sf.fit_table(twice, model, data="z", x="u", y="v")


def test_options_of_the_model_are_handed_through():
    step = sf.get_model("step")
    x = np.linspace(0, 6, 60)
    frame = pd.DataFrame({"x": x, "y": step.eval(x=x, amplitude=2, center=3, sigma=0.5, form="erf")})
    params = dict(amplitude=1, center=2.8, sigma=0.7)
    right = sf.fit_table(frame, step, data="y", x="x", form="erf", params=params)
    assert right.best_values["sigma"] == pytest.approx(0.5)
    wrong = sf.fit_table(frame, step, data="y", x="x", form="atan", params=params)
    assert wrong.chisqr > 1e-3


def test_bounds_and_constraints_by_name(df, model):
    result = sf.fit_table(df, model, data="z", x="u", y="v", params={"a": {"value": 0.5, "vary": False}, "c": {"expr": "1.5*b"}})
    assert result.params["a"].value == 0.5
    assert result.params["c"].value == pytest.approx(1.5 * result.params["b"].value)


def test_coords_serves_names_that_are_keywords(rng):
    def f(method, by, a, b):
        return a * method + b * by

    frame = pd.DataFrame({"p": rng.uniform(size=20), "q": rng.uniform(size=20)})
    frame["z"] = 2 * frame["p"] + 3 * frame["q"]
    result = sf.fit_table(frame, sf.SurfaceModel(f, independent_vars=["method", "by"]), data="z", coords={"method": "p", "by": "q"})
    assert result.best_values == pytest.approx({"a": 2, "b": 3})


def test_the_accessor_is_the_same_call(df, model):
    one = df.surffit.fit(model, data="z", x="u", y="v", sigma="err")
    np.testing.assert_array_equal(values(one), values(sf.fit_table(df, model, data="z", x="u", y="v", sigma="err")))
    assert len(df.surffit.fit(model, "z", "bad", x="u", y="v")) == 2
    assert df.assign(surffit=1)["surffit"].sum() == 60
