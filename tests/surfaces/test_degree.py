"""The degree of a surface: found where there is one, the same numbers as fits one by one, and honest at the edges."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import surffit as sf
from surffit.exceptions import DataError, DataWarning, ParameterError, TooFewPointsError
from surffit.surfaces import PolynomialSurface, nested

# the highest degree may win by chance, or because no more are tried here
unconcerned = pytest.mark.filterwarnings("ignore:the best degree by:surffit.exceptions.DataWarning")


def scattered(rng, n=80, noise=0.1):
    x, y = rng.uniform(10, 60, n), rng.uniform(-1, 1, n)
    u = (x - 35) / 25
    return x, y, 2 + u - y + 0.6 * u * y + 0.5 * u**3 - 0.7 * u * y**2 + noise * rng.normal(size=n)


@pytest.fixture
def table(rng):
    x, y, z = scattered(rng)
    sigma = rng.uniform(0.05, 0.2, z.size)
    return pd.DataFrame({"x": x, "y": y, "z": z, "s": sigma})


@unconcerned
@pytest.mark.parametrize(("total", "highest"), [(True, 4), (False, (3, 2))])
@pytest.mark.parametrize("scale_covar", [True, False])
def test_numbers_are_those_of_fits_one_by_one(table, total, highest, scale_covar, monkeypatch):
    monkeypatch.setattr(nested, "BLOCK", 300)  # several blocks
    call = {"x": table.x, "y": table.y, "sigma": table.s, "scale_covar": scale_covar}
    choice = sf.choose_degree(table.z, max_degree=highest, total=total, **call)
    degrees = range(5) if total else [(i, j) for i in range(4) for j in range(3)]
    assert len(choice.table) == len(degrees)
    for degree in degrees:
        row = choice.table.loc[degree if total else str(degree)]
        fit = PolynomialSurface(degree, total=total).fit(table.z, **call)
        expected = sf.compare({"fit": fit}).loc["fit"]
        for name in ("k", "chisqr", "redchi", "aicc", "bic", "loo"):
            assert row[name] == pytest.approx(expected[name], rel=1e-9), name
    assert choice.result.model.degree == choice.degree
    assert choice.result.scale_covar == scale_covar


@unconcerned
def test_tests_are_those_of_compare(table):
    choice = sf.choose_degree(table.z, x=table.x, y=table.y, max_degree=3, criterion="ftest")
    fits = {str(d): PolynomialSurface(d).fit(table.z, x=table.x, y=table.y) for d in range(4)}
    expected = sf.compare(fits)
    for d in (1, 2, 3):
        assert choice.table.statistic[d] == pytest.approx(expected.statistic[str(d)], rel=1e-9)
        assert choice.table.p_value[d] == pytest.approx(expected.p_value[str(d)], rel=1e-6, abs=1e-300)


@unconcerned
def test_cross_validation_by_brute_force(table):
    choice = sf.choose_degree(table, "z", x="x", y="y", max_degree=3, criterion="cv", folds=5, rng=3)
    fold = np.random.default_rng(3).permutation(len(table)) % 5
    for degree in range(4):
        total = 0.0
        for f in range(5):
            model = PolynomialSurface(degree, domain=[(table.x.min(), table.x.max()), (table.y.min(), table.y.max())])
            fit = model.fit(table.z, x=table.x, y=table.y, mask=fold == f)
            total += float(np.sum((table.z - fit.eval())[fold == f] ** 2))
        assert choice.table.cv[degree] == pytest.approx(np.sqrt(total / len(table)), rel=1e-9)
    again = sf.choose_degree(table, "z", x="x", y="y", max_degree=3, criterion="cv", folds=5, rng=3)
    pd.testing.assert_frame_equal(again.table, choice.table)


@unconcerned
@pytest.mark.parametrize("criterion", ["bic", "ftest"])
def test_the_degree_is_found(criterion):
    rng = np.random.default_rng(5)
    found = [sf.choose_degree(z, x=x, y=y, max_degree=6, criterion=criterion).degree for x, y, z in (scattered(rng) for _ in range(60))]
    assert np.mean(np.array(found) == 3) >= 0.9
    # control: so much noise that degree 3 can't be seen
    found = [
        sf.choose_degree(z, x=x, y=y, max_degree=6, criterion=criterion).degree for x, y, z in (scattered(rng, noise=4) for _ in range(10))
    ]
    assert 3 not in found


@unconcerned
def test_noise_has_no_degree():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(40):
        x, y, _ = scattered(rng)
        found.append(sf.choose_degree(rng.normal(size=80), x=x, y=y, max_degree=5).degree)
    assert np.mean(np.array(found) == 0) >= 0.9


def test_a_surface_without_the_terms_between(rng):
    """An even surface has no terms of degree 3: going up one by one would stop at 2."""
    x, y = rng.uniform(-1, 1, (2, 150))
    z = x**2 + y**2 - 0.8 * x**4 + rng.normal(0, 0.02, 150)
    for criterion in ("ftest", "bic", "aicc", "loo"):
        assert sf.choose_degree(z, x=x, y=y, criterion=criterion, max_degree=6).degree in ((4,) if criterion != "aicc" else (4, 5))


def test_axes_have_their_own_degrees(rng):
    x, y = rng.uniform(-1, 1, (2, 200))
    z = 1 + x**3 * y - x + rng.normal(0, 0.05, 200)
    choice = sf.choose_degree(z, x=x, y=y, total=False, max_degree=(5, 3))
    assert choice.degree == (3, 1)
    assert "Degree (3, 1) (8 coefficients)" in choice.report()


def test_images_have_pixels(rng):
    y, x = np.mgrid[:30, :40]
    image = 0.01 * x * y + rng.normal(0, 0.5, x.shape)
    choice = sf.choose_degree(image, max_degree=4)
    assert choice.degree == 2
    given = sf.choose_degree(image, max_degree=4, x=x, y=y)
    pd.testing.assert_frame_equal(choice.table, given.table, rtol=1e-9)
    masked = np.where(x > 35, np.nan, image)
    assert sf.choose_degree(masked, max_degree=4, nan_policy="omit").result.ndata == 36 * 30


def test_the_highest_degree_is_not_praised(rng):
    x = np.linspace(0, 1, 50)
    z = np.sin(9 * x) + rng.normal(0, 0.01, 50)
    with pytest.warns(DataWarning, match="the highest that was tried: pass a larger max_degree"):
        choice = sf.choose_degree(z, x=x, max_degree=4)
    assert choice.at_limit
    assert "highest that was tried" in choice.report()
    assert choice.result.model.variables == ("x",)


def test_degrees_that_the_points_do_not_determine_are_left_out(rng):
    x, y = (c.ravel() for c in np.meshgrid(np.arange(3.0), np.arange(20.0)))  # three values of x
    z = x**2 + y + rng.normal(0, 0.1, 60)
    with pytest.warns(DataWarning, match="the highest that the points determine"):
        choice = sf.choose_degree(z, x=x, y=y, total=False, max_degree=(5, 2))
    assert choice.degree == (2, 1)
    assert all(degree[0] > 2 for degree in choice.dropped)
    assert choice.table.index.tolist()[-1] == "(2, 2)"
    assert "Not tried" in choice.report()


def test_the_report_says_what_selection_does(table):
    report = sf.choose_degree(table, "z", x="x", y="y", sigma="s").report()
    assert "they are too small" in report
    assert "higher in BIC" in report


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"criterion": "r2"}, ParameterError, "criterion='r2'"),
        ({"criterion": "ftest", "total": False}, ParameterError, "total=True"),
        ({"max_degree": -1}, ParameterError, "whole number"),
        ({"criterion": "cv", "folds": 1}, ParameterError, "folds=1"),
        ({"variables": ("x",)}, ParameterError, "y, which is no argument"),
        ({"mask": np.arange(80) > 1}, TooFewPointsError, "2 usable points"),
        ({"max_deg": 2}, ParameterError, "got max_deg=2, which is no argument"),
        ({"method": "lm"}, ParameterError, "got method='lm', which is no argument"),
    ],
)
def test_bad_calls_are_one_sentence(table, change, error, sentence):
    with pytest.raises(error, match=sentence):
        sf.choose_degree(table.z, **{"x": table.x, "y": table.y, **change})


def test_more_bad_calls(table):
    with pytest.raises(DataError, match="give a DataFrame first"):
        sf.choose_degree(table.z, "z", x=table.x)
    with pytest.raises(DataError, match="give the coordinates"):
        sf.choose_degree(table, "z")
    with pytest.raises(DataError, match="only images and lines"):
        sf.choose_degree(np.zeros((3, 4, 5)))
    with pytest.raises(DataError, match="real data"):
        sf.choose_degree(table.z + 1j, x=table.x)


def test_a_table_without_the_name_of_its_data(table):
    with pytest.raises(DataError, match="name the column of the data"):
        sf.choose_degree(table, x="x", y="y")


def test_coordinates_that_say_nothing_are_told(table):
    with pytest.warns(DataWarning, match=r"is 0, the highest that the points determine \(w: one value only\)"):
        assert sf.choose_degree(table.z, x=table.x, w=np.ones(80)).at_limit
    with pytest.warns(DataWarning, match="follow from one another"):
        sf.choose_degree(table.z, x=table.x, y=table.y, w=table.x + 2 * table.y)


@unconcerned
@pytest.mark.parametrize("options", [{}, {"total": False, "max_degree": (3, 2)}])
def test_the_picture(table, options):
    from matplotlib import pyplot as plt

    choice = sf.choose_degree(table, "z", x="x", y="y", **options)
    ax = choice.plot()
    residual, ahead = ax.get_lines()[:2]
    np.testing.assert_allclose(residual.get_ydata(), np.sqrt(choice.table.chisqr / 80))
    np.testing.assert_allclose(ahead.get_ydata(), choice.table["loo"])
    assert ax.get_ylabel() == "root mean square [data unit]"
    assert choice.plot(ax=plt.figure().add_subplot()) is not ax
    plt.close("all")


@unconcerned
def test_f_tests_keep_their_level():
    rng = np.random.default_rng(8)
    x, y = rng.uniform(-1, 1, (2, 60))
    false = sum(sf.choose_degree(rng.normal(size=60), x=x, y=y, criterion="ftest", alpha=0.3, max_degree=4).degree > 0 for _ in range(80))
    # 4 tests at 0.3 / 4 each: a false alarm in 26 % of the tables, 21 +- 4 of 80
    assert 9 < false < 33
    assert stats.binom.sf(33, 80, 0.26) < 0.01
