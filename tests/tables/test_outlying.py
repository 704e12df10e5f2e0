"""Outliers: the textbook's numbers from fits with a dummy parameter, and how often they cry wolf."""

import warnings

import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.exceptions import DataError


@pytest.fixture
def fit(rng):
    x, y = rng.uniform(0, 10, 30), rng.uniform(0, 1, 30)
    sigma = rng.uniform(0.1, 0.3, 30)
    data = 1 + x - 2 * y + sigma * rng.normal(size=30)
    data[11] += 2
    return sf.SurfaceModel(lambda x, y, a, b, c: a + b * x + c * y, ["x", "y"]).fit(data, x=x, y=y, sigma=sigma)


def test_studentised_residuals_are_t_statistics_of_a_dummy(fit):
    """A parameter that belongs to one point alone: its t is that point's externally studentised residual, its value the jump."""
    table = fit.outliers().table
    observed = fit.observed
    for i in (0, 11, 29):
        alone = np.zeros(30)
        alone[i] = 1
        dummy = sf.SurfaceModel(lambda x, y, d, a, b, c, jump: a + b * x + c * y + jump * d, ["x", "y", "d"])
        with_jump = dummy.fit(observed.data, sigma=observed.sigma, d=alone, **observed.coords)
        row = with_jump.tidy().set_index("term").loc["jump"]
        assert table.studentised[i] == pytest.approx(row.statistic, rel=1e-9)
        assert table.p_value[i] == pytest.approx(row.p_value, rel=1e-7)
        assert table.loo_resid[i] == pytest.approx(row.estimate, rel=1e-9)


def test_cooks_distance_by_its_definition(fit):
    table, observed = fit.outliers().table, fit.observed
    b, inverse = np.array(list(fit.best_values.values())), np.linalg.inv(fit.covar)
    for i in (0, 11):
        mask = np.zeros(30, bool)
        mask[i] = True
        without = fit.model.fit(observed.data, sigma=observed.sigma, mask=mask, **observed.coords)
        moved = b - np.array(list(without.best_values.values()))
        assert table.cook[i] == pytest.approx(moved @ inverse @ moved / 3, rel=1e-9)


def test_the_planted_one_is_found_and_left_out(fit):
    found = fit.outliers()
    assert found.found.index.tolist() == [11]
    assert found.mask.sum() == 1
    assert "row 11 (x=" in found.report()
    assert repr(found) == "<Outliers: 1 of 30 points>"
    again = found.refit()
    assert again.ndata == 29
    assert again.redchi < 0.5 * fit.redchi
    assert fit.ndata == 30
    assert "No point is an outlier" in again.outliers().report()


def test_errors_that_are_known_make_it_normal(rng):
    x = np.arange(20.0)
    data = 2 * x + rng.normal(0, 0.1, 20)
    data[7] += 0.6
    fit = sf.get_model("linear").fit(data, x=x, sigma=0.1, scale_covar=False)
    row = fit.outliers().table.loc[7]
    h = 1 / 20 + (7 - 9.5) ** 2 / np.sum((x - 9.5) ** 2)
    assert row.leverage == pytest.approx(h)
    assert row.studentised == pytest.approx(row.resid / 0.1 / np.sqrt(1 - h))
    assert row.outlier


def test_false_alarms_come_as_often_as_the_level_says(rng):
    x = np.arange(25.0)
    model = sf.get_model("linear")
    alarms = sum(model.fit(rng.normal(size=25), x=x).outliers(level=0.2).mask.any() for _ in range(100))
    # 20 +- 4 expected; Bonferroni is hardly conservative for nearly independent residuals
    assert 8 < alarms < 32
    # a control that must see outliers: tails of Cauchy
    alarms = sum(model.fit(rng.standard_cauchy(size=25), x=x).outliers(level=0.2).mask.any() for _ in range(15))
    assert alarms > 11


def test_tables_keep_their_names_and_rows(rng):
    df = pd.DataFrame({"leverage": rng.uniform(0, 1, 15), "n": rng.normal(size=15)}, index=list("abcdefghijklmno"))
    df.loc["c", "n"] = 50
    found = sf.fit_table(df, lambda x, a, b: a + b * x, data="n", x="leverage").outliers()
    assert found.found.index.tolist() == ["c"]
    assert found.columns["leverage"] == "leverage_fit"
    pd.testing.assert_series_equal(found.table["leverage"], df["leverage"])
    assert "row c (leverage=" in found.report()


def test_masked_points_are_not_judged(fit):
    mask = np.zeros(30, bool)
    mask[11] = True
    observed = fit.observed
    again = fit.model.fit(observed.data, sigma=observed.sigma, mask=mask, **observed.coords).outliers()
    assert np.isnan(again.table.studentised[11])
    assert not again.mask[11]
    assert "29 tests" in again.report()


@pytest.mark.parametrize("level", [0, 1, -1, 5])
def test_level_is_a_probability(fit, level):
    with pytest.raises(DataError, match="between 0 and 1"):
        fit.outliers(level=level)


def test_rounding_is_no_outlier():
    x = np.linspace(0, 7, 90)
    model = sf.SurfaceModel(lambda x, a, b: a + b * x)
    data = 1 / 3 + x / 7
    table = model.fit(data, x=x).outliers().table
    assert not table.outlier.any()
    assert table.cook.max() < 1
    data[40] += 1e-9  # a control
    assert model.fit(data, x=x).outliers().mask.nonzero()[0].tolist() == [40]


def test_points_that_decide_alone_do_not_warn():
    x = np.append(np.zeros(8), 1.0)
    fit = sf.SurfaceModel(lambda x, a, b: a + b * x).fit(np.cos(np.arange(9.0)), x=x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "1 decide a parameter alone" in fit.outliers().report()
