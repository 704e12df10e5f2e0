"""tidy, glance and augment against closed forms."""

import lmfit
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import surffit as sf
from surffit.tables import augment, glance, tidy


@pytest.fixture
def line(rng):
    """A straight line with everything known in closed form."""
    x = np.linspace(0, 9, 12)
    y = 1.0 + 0.5 * x + rng.normal(0, 0.3, x.size)
    return x, y, sf.get_model("linear").fit(y, x=x)


def test_tidy_is_the_textbooks_regression_table(line):
    x, y, result = line
    design = np.column_stack([x, np.ones_like(x)])
    coef, rss = np.linalg.lstsq(design, y, rcond=None)[:2]
    error = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * rss[0] / 10)
    table = tidy(result, level=0.9)
    assert table.columns.tolist() == [
        "term", "estimate", "std_error", "statistic", "p_value", "at_bound", "linear", "lower", "upper",
    ]  # fmt: skip
    assert table["term"].tolist() == ["slope", "intercept"]
    np.testing.assert_allclose(table["estimate"], coef, rtol=1e-12)
    np.testing.assert_allclose(table["std_error"], error, rtol=1e-10)
    np.testing.assert_allclose(table["statistic"], coef / error, rtol=1e-10)
    regression = stats.linregress(x, y)
    np.testing.assert_allclose(table["p_value"][0], regression.pvalue, rtol=1e-8)
    np.testing.assert_allclose(table["upper"] - table["estimate"], stats.t.ppf(0.95, 10) * error, rtol=1e-10)
    np.testing.assert_allclose(table["lower"] + table["upper"], 2 * table["estimate"], rtol=1e-12)
    assert table["linear"].all()
    assert not table["at_bound"].any()


def test_known_errors_use_the_normal_distribution(line):
    x, y, _ = line
    table = sf.get_model("linear").fit(y, x=x, sigma=np.full(x.size, 0.3), scale_covar=False).tidy(level=0.95)
    np.testing.assert_allclose(table["p_value"], 2 * stats.norm.sf(table["statistic"].abs()), rtol=1e-12)
    np.testing.assert_allclose(table["upper"] - table["estimate"], 1.959963984540054 * table["std_error"], rtol=1e-12)


def test_fixed_held_and_open_parameters(line):
    x, y, _ = line

    def f(x, a, b, c, d):
        return a + b + c * x + d * x**2

    model = sf.SurfaceModel(f)
    fixed = tidy(model.fit(y, model.make_params(d=dict(value=0, vary=False), b=dict(value=0, vary=False)), x=x)).set_index("term")
    assert fixed.loc["d", "std_error"] == 0
    assert np.isnan(fixed.loc["d", ["statistic", "p_value"]].astype(float)).all()
    held = tidy(model.fit(y, model.make_params(b=dict(value=0, vary=False), d=dict(value=0.5, min=0.2)), x=x)).set_index("term")
    assert held.loc["d", "at_bound"]
    assert not held.loc["a", "at_bound"]
    assert np.isnan(held.loc["d", "std_error"])
    open_ = tidy(model.fit(y, x=x)).set_index("term")
    assert np.isinf(open_.loc[["a", "b"], "std_error"]).all()
    assert open_.loc["a", "p_value"] == 1
    assert np.isfinite(open_.loc["c", "std_error"])


def test_a_level_outside_its_range_is_refused(line):
    for level in (0, 1, 95):
        with pytest.raises(ValueError, match=r"between 0 and 1 \(0\.95"):
            tidy(line[2], level=level)


def test_tidy_and_glance_take_lmfits_own_results(line):
    x, y, ours = line
    theirs = lmfit.models.LinearModel().fit(y, x=x, slope=1, intercept=0)
    np.testing.assert_allclose(tidy(theirs)["estimate"], tidy(ours)["estimate"], rtol=1e-6)
    assert glance(theirs).loc[0, "nfree"] == 10


def test_glance_is_one_row_of_lmfits_numbers(line):
    _, _, result = line
    row = glance(result)
    assert len(row) == 1
    for name in ("ndata", "nvarys", "nfree", "chisqr", "redchi", "aic", "bic", "rsquared", "nfev", "success", "method", "covar_source"):
        assert row.loc[0, name] == getattr(result, name), name
    assert "CONVERGED" in row.loc[0, "status"]


def test_augment_has_studentised_residuals(line):
    x, y, result = line
    design = np.column_stack([x, np.ones_like(x)])
    hat = design @ np.linalg.inv(design.T @ design) @ design.T
    resid = y - hat @ y
    expected = resid / np.sqrt(resid @ resid / 10 * (1 - np.diag(hat)))
    table = augment(result)
    assert table.columns.tolist() == ["x", "data", "fitted", "resid", "std_resid"]
    np.testing.assert_array_equal(table["x"], x)
    np.testing.assert_allclose(table["fitted"], hat @ y, rtol=1e-11)
    np.testing.assert_allclose(table["resid"], resid, atol=1e-12)
    np.testing.assert_allclose(table["std_resid"], expected, rtol=1e-8)


def test_augment_with_errors_of_the_data(rng):
    x = np.linspace(0, 9, 12)
    sigma = rng.uniform(0.1, 0.6, 12)
    y = 1 + 0.5 * x + rng.normal(0, sigma)
    design = np.column_stack([x, np.ones_like(x)]) / sigma[:, None]
    hat = design @ np.linalg.inv(design.T @ design) @ design.T
    resid = (np.eye(12) - hat) @ (y / sigma)
    for scale in (False, True):
        table = sf.get_model("linear").fit(y, x=x, sigma=sigma, scale_covar=scale).augment()
        s = np.sqrt(resid @ resid / 10) if scale else 1
        np.testing.assert_allclose(table["std_resid"], resid / np.sqrt(1 - np.diag(hat)) / s, rtol=1e-7)


def test_augment_of_a_table_is_the_table_and_three_columns(rng):
    frame = pd.DataFrame({"x": np.arange(8.0), "resid": list("abcdefgh"), "y": np.arange(8.0) + rng.normal(size=8)}, index=list("ijklmnop"))
    frame["skip"] = [False] * 7 + [True]
    result = sf.fit_table(frame, sf.get_model("linear"), data="y", x="x", mask="skip")
    table = result.augment()
    assert table.columns.tolist() == ["x", "resid", "y", "skip", "fitted", "resid_fit", "std_resid"]
    assert table.index.tolist() == list("ijklmnop")
    assert table["resid"].tolist() == list("abcdefgh")
    np.testing.assert_allclose(table["resid_fit"][:7], (table["y"] - table["fitted"])[:7])
    assert np.isnan(table["resid_fit"].iloc[7])
    assert np.isfinite(table["fitted"].iloc[7])


def test_augment_of_an_image_has_a_row_per_pixel():
    y, x = np.mgrid[:4, :5]
    model = sf.SurfaceModel.from_expression("a + b*x + c*y", independent_vars=["x", "y"])
    z = 1.0 + 2 * x + 3 * y + 0.1 * np.sin(7.0 * x * y)
    table = model.fit(z, x=np.arange(5), y=np.arange(4)[:, None]).augment()
    assert len(table) == 20
    np.testing.assert_array_equal(table["x"], x.ravel())
    np.testing.assert_array_equal(table["y"], y.ravel())
    np.testing.assert_array_equal(table["data"], z.ravel())


def test_a_loaded_fit_has_no_data_to_augment(line, tmp_path):
    line[2].save(tmp_path / "fit.json")
    with pytest.raises(ValueError, match="has no data"):
        sf.load(tmp_path / "fit.json").augment()
