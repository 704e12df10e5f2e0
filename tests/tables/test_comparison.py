"""Models side by side: the formulas, the tests, and when there is none."""

import numpy as np
import pytest
from lmfit.models import LinearModel
from scipy import stats

import surffit as sf
from surffit.exceptions import DataError, DataWarning, ParameterError
from surffit.surfaces import BSplineSurface, PolynomialSurface


@pytest.fixture
def data(rng):
    x = np.linspace(0, 3, 40)
    return x, 1 + x + 0.3 * x**2 + rng.normal(0, 0.2, 40)


def polynomials(data, degrees, **kws):
    x, z = data
    return {f"p{d}": PolynomialSurface(d, "x").fit(z, x=x, **kws) for d in degrees}


def test_formulas(data):
    fits = polynomials(data, (0, 1, 2, 3))
    table = sf.compare(fits, by="aic")
    for name, fit in fits.items():
        row = table.loc[name]
        n, k = 40, int(name[1]) + 1
        assert (row.n, row.k) == (n, k)
        assert row.aic == pytest.approx(fit.aic)
        assert row.bic == pytest.approx(fit.bic)
        # Hurvich and Tsai for regression: the variance is a parameter, too
        assert row.aicc == pytest.approx(fit.aic + 2 * (k + 1) * (k + 2) / (n - k - 2))
        assert row["loo"] == pytest.approx(fit.leave_one_out().rms)
    assert table.weight.sum() == pytest.approx(1)
    assert table.weight["p2"] / table.weight["p3"] == pytest.approx(np.exp(0.5 * (table.aicc["p3"] - table.aicc["p2"])))
    assert table.aic.is_monotonic_increasing


def test_the_f_test(data):
    fits = polynomials(data, (1, 3))
    row = sf.compare(fits).loc["p3"]
    small, large = fits["p1"], fits["p3"]
    F = (small.chisqr - large.chisqr) / 2 / (large.chisqr / 36)
    assert row.base == "p1"
    assert row.statistic == pytest.approx(F)
    assert row.p_value == pytest.approx(stats.f.sf(F, 2, 36))


def test_known_errors_make_it_chi_square(data):
    fits = polynomials(data, (1, 3), sigma=0.2, scale_covar=False)
    table = sf.compare(fits)
    gain = fits["p1"].chisqr - fits["p3"].chisqr
    assert table.statistic["p3"] == pytest.approx(gain)
    assert table.p_value["p3"] == pytest.approx(stats.chi2.sf(gain, 2))
    assert table.aic["p3"] == pytest.approx(fits["p3"].chisqr + 8)
    assert table.aicc["p3"] == pytest.approx(fits["p3"].chisqr + 8 + 2 * 4 * 5 / 35)


def test_the_base_is_the_largest_one_inside(data):
    table = sf.compare(polynomials(data, (0, 1, 2, 3)))
    assert table.base.to_dict() == {"p0": "", "p1": "p0", "p2": "p1", "p3": "p2"}


def test_only_nested_pairs_are_tested(data):
    x, z = data
    fits = {
        "square": sf.SurfaceModel(lambda x, a, b: a + b * x**2).fit(z, x=x),
        "others": sf.SurfaceModel(lambda x, a, b, c: a + b * x + c * np.exp(x)).fit(z, x=x),
        "all": sf.SurfaceModel(lambda x, a, b, c, d: a + b * x + c * np.exp(x) + d * x**2).fit(z, x=x),
        "fixed part": sf.SurfaceModel(lambda x, a: a + np.sin(x)).fit(z, x=x),
    }
    base = sf.compare(fits).base
    assert base["others"] == ""
    assert base["square"] == ""
    assert base["all"] == "others"
    # a sine that no term of the larger ones can make
    assert "fixed part" not in set(base)
    assert sf.compare(fits, nested=[("square", "others")]).base["others"] == "square"


def test_nonlinear_ones_with_a_parameter_fixed(rng):
    x = np.linspace(-3, 3, 50)
    model = sf.SurfaceModel(lambda x, h, s, b: h * np.exp(-0.5 * (x / s) ** 2) + b)
    z = model.eval(h=2, s=1, b=0.1, x=x) + rng.normal(0, 0.05, 50)
    free = model.fit(z, x=x, h=1, s=1.3, b=0)
    params = model.make_params(h=1, s=1.3, b=0)
    params["b"].vary = False
    table = sf.compare({"free": free, "b = 0": model.fit(z, params, x=x)})
    assert table.base["free"] == "b = 0"
    F = (table.chisqr["b = 0"] - table.chisqr["free"]) / table.redchi["free"]
    assert table.statistic["free"] == pytest.approx(F)
    # with one parameter that is Student's t of it, but for the curvature of the model
    assert np.sqrt(F) == pytest.approx(free.params["b"].value / free.params["b"].stderr, rel=0.1)
    # another function: no proof
    other = sf.SurfaceModel(lambda x, h, b: h * np.exp(-0.5 * x**2) + b).fit(z, x=x)
    assert sf.compare({"free": free, "other": other}).base["free"] == ""


def test_lmfits_results_too(data):
    x, z = data
    table = sf.compare([LinearModel().fit(z, x=x), PolynomialSurface(1, "x").fit(z, x=x)])
    np.testing.assert_allclose(table.aic, table.aic.iloc[0])
    assert np.isnan(table["loo"]).sum() == 1


def test_loaded_fits_too(data, tmp_path):
    fits = polynomials(data, (1, 2))
    fits["p1"].save(tmp_path / "p1.json")
    table = sf.compare({"p1": sf.load(tmp_path / "p1.json"), "p2": fits["p2"]})
    expected = sf.compare(fits)
    np.testing.assert_allclose(table.bic, expected.bic, rtol=1e-9)
    assert np.isnan(table["loo"]["p1"])
    # without data nothing proves that one holds the other
    assert table.base["p2"] == ""


def test_different_data_are_said_to_be_different(data):
    x, z = data
    one = PolynomialSurface(1, "x").fit(z, x=x)
    for other, words in (
        (PolynomialSurface(2, "x").fit(z[:30], x=x[:30]), "different data"),
        (PolynomialSurface(2, "x").fit(z + 1, x=x), "different data or errors"),
        (PolynomialSurface(2, "x").fit(z, x=x, sigma=2.0), "different data or errors"),
        (PolynomialSurface(2, "x").fit(z, x=x, sigma=2.0, scale_covar=False), "as known"),
        (PolynomialSurface(2, "x").fit(z, x=x, loss="huber"), "losses"),
    ):
        with pytest.warns(DataWarning, match=words):
            table = sf.compare({"one": one, "other": other})
        assert table.weight.isna().all()
        assert table.statistic.isna().all()


def test_bad_calls_are_one_sentence(data):
    fits = polynomials(data, (0, 1))
    with pytest.raises(DataError, match="sort by one of"):
        sf.compare(fits, by="chisqr")
    with pytest.raises(DataError, match="nested names 'p7'"):
        sf.compare(fits, nested=[("p0", "p7")])
    with pytest.raises(DataError, match="no results"):
        sf.compare([])
    with pytest.raises(DataError, match="not a result"):
        sf.compare({"a": 3})
    with pytest.raises(DataError, match="dict of results"):
        sf.compare(fits["p0"])


def test_what_rounding_leaves_is_no_evidence():
    x, y = np.random.default_rng(0).uniform(-3, 3, (2, 80))

    def table(z):
        return sf.compare({f"p{d}": PolynomialSurface(d).fit(z, x=x, y=y) for d in (1, 2)})

    exact = table(1 + x)
    assert exact.index[0] == "p1"
    assert exact.p_value["p2"] > 0.05
    # a control: a curvature that float64 can tell is told
    assert table(1 + x + 1e-12 * x**2).p_value["p2"] < 1e-6


def test_unit_errors_are_no_errors(data):
    x, z = data
    fits = {"none": PolynomialSurface(1, "x").fit(z, x=x), "one": PolynomialSurface(2, "x").fit(z, x=x, sigma=1.0)}
    assert sf.compare(fits).base["one"] == "none"


@pytest.mark.parametrize("known", [False, True])
def test_priors_and_smoothing_count_what_the_data_determine(known):
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 1, 60))
    z = np.sin(6 * x) + rng.normal(0, 0.1, 60)
    spline = BSplineSurface(9, "x", smoothing=0.1).fit(z, x=x, sigma=0.1, scale_covar=not known)
    line = sf.SurfaceModel(lambda x, a, b: a + b * x).fit(z, x=x, sigma=0.1, scale_covar=not known, priors={"b": (0.0, 0.01)})
    table = sf.compare({"spline": spline, "line": line})
    for name, fit in (("spline", spline), ("line", line)):
        k = 60 - fit.nfree
        assert k < fit.nvarys - 0.5
        cost = fit.chisqr if known else 60 * np.log(fit.chisqr / 60)
        assert table.aic[name] == pytest.approx(cost + 2 * k)
        assert table.bic[name] == pytest.approx(cost + np.log(60) * k)
    with pytest.raises(ParameterError, match="this fit has smoothing"):
        spline.leave_one_out()
