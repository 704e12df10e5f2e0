"""The same fit in another basis: values, errors, covariance, bands, and what is held or undetermined."""

import pickle

import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import ConditionWarning, ParameterError
from surffit.surfaces import PolynomialSurface

BASES = ("chebyshev", "legendre", "monomial", "orthonormal")


@pytest.fixture
def scattered(rng):
    x, y = rng.uniform(0, 10, 120), rng.uniform(-2, 2, 120)
    z = 1 + 2 * x - 3 * y + 0.5 * x * y - 0.1 * x**2 + 0.2 * y**2 + rng.normal(0, 0.1, 120)
    return x, y, z


def same_fit(one, two, rtol=1e-9):
    """Values and errors of all parameters, and the covariance, are those of another fit."""
    assert list(one.params) == list(two.params)
    assert list(one.var_names) == list(two.var_names)
    for name in one.params:
        error = two.params[name].stderr or abs(two.params[name].value) or 1.0
        assert abs(one.params[name].value - two.params[name].value) <= rtol * error, name
        assert one.params[name].stderr == pytest.approx(two.params[name].stderr, rel=rtol, abs=1e-300), name
    errors = np.sqrt(two.covar.diagonal())
    np.testing.assert_allclose(one.covar / errors / errors[:, None], two.covar / errors / errors[:, None], atol=rtol)


@pytest.mark.parametrize("one", BASES)
@pytest.mark.parametrize("two", BASES)
def test_is_the_fit_in_that_basis(one, two, scattered):
    x, y, z = scattered
    w = np.linspace(0.5, 2, x.size)
    mapped = PolynomialSurface(2, basis=one).fit(z, x=x, y=y, weights=w).to_basis(two)
    direct = PolynomialSurface(2, basis=two).fit(z, x=x, y=y, weights=w)
    same_fit(mapped, direct, 1e-8)
    for name in ("nfree", "nvarys", "ndata", "covar_source", "success", "status"):
        assert getattr(mapped, name) == getattr(direct, name)
    for name in ("chisqr", "redchi", "aic", "bic"):
        assert getattr(mapped, name) == pytest.approx(getattr(direct, name), rel=1e-9)


def test_everything_works_on_it(scattered, tmp_path):
    x, y, z = scattered
    fit = PolynomialSurface(2).fit(z, x=x, y=y)
    mapped = fit.to_basis("monomial")
    assert isinstance(mapped, sf.SurfaceResult)
    at = {"x": np.array([1.0, 30.0]), "y": np.array([0.0, 1.0])}
    for kind in ("confidence", "prediction"):
        np.testing.assert_allclose(mapped.predict(kind=kind, **at), fit.predict(kind=kind, **at), rtol=1e-9)
    np.testing.assert_allclose(mapped.eval_uncertainty(**at), fit.eval_uncertainty(**at), rtol=1e-9)
    np.testing.assert_array_equal(mapped.best_fit, fit.best_fit)
    np.testing.assert_allclose(mapped.eval(**at), fit.eval(**at), rtol=1e-11)
    report = mapped.fit_report()
    assert "PolynomialSurface(2, monomial)" in report
    assert "c1_0:  2.0" in report
    told = mapped.explain()
    assert told.startswith("Coefficients are in the monomial basis: those of the fit in the chebyshev basis, mapped exactly")
    assert fit.explain() in told
    assert mapped.tidy().set_index("term").loc["c1_0", "std_error"] == mapped.params["c1_0"].stderr
    assert mapped.glance()["chisqr"].iloc[0] == fit.chisqr
    assert set(mapped.uvars) == set(mapped.params)
    assert mapped.uvars["c1_0"].std_dev == pytest.approx(mapped.params["c1_0"].stderr)
    assert "c1_0" in mapped._repr_html_()
    again = pickle.loads(pickle.dumps(mapped))
    assert again.explain() == told
    same_fit(again, mapped)
    same_fit(pickle.loads(pickle.dumps(fit)).to_basis("monomial"), mapped)
    mapped.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    np.testing.assert_allclose(loaded.eval(**at), fit.eval(**at), rtol=1e-11)
    with pytest.raises(ParameterError, match="no polynomial surface"):
        loaded.to_basis("chebyshev")


def test_the_fit_itself_is_not_changed(scattered):
    x, y, z = scattered
    fit = PolynomialSurface(2).fit(z, x=x, y=y)
    before = {name: (par.value, par.stderr, dict(par.correl)) for name, par in fit.params.items()}
    told, covar = fit.explain(), fit.covar.copy()
    fit.to_basis("monomial")
    assert {name: (par.value, par.stderr, dict(par.correl)) for name, par in fit.params.items()} == before
    assert fit.explain() == told
    np.testing.assert_array_equal(fit.covar, covar)
    assert fit.model.basis_name == "chebyshev"


def test_composites_keep_their_other_parts(scattered):
    def peak(x, y, h, x0, y0, s):
        return h * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / s**2)

    x, y, z = scattered
    z = z + peak(x, y, 3, 4, 0.5, 1)
    other = sf.SurfaceModel(peak, ["x", "y"])
    fits = [(PolynomialSurface(2, basis=basis) + other).fit(z, x=x, y=y, x0=4.2, y0=0.4, s=1.1, h=3) for basis in ("chebyshev", "monomial")]
    mapped = fits[0].to_basis("monomial")
    same_fit(mapped, fits[1], 1e-6)
    for name in ("h", "x0", "y0", "s"):
        assert mapped.params[name].value == fits[0].params[name].value
        assert mapped.params[name].stderr == pytest.approx(fits[0].params[name].stderr, rel=1e-12)


def fit_with(basis, data, **attributes):
    x, y, z = data
    model = PolynomialSurface(2, basis=basis)
    params = model.make_params()
    for name, values in attributes.items():
        params[name].set(**values)
    return model.fit(z, params, x=x, y=y)


def by_hand(result, two):
    """Covariance of all coefficients in another basis, without the module under test: columns against columns."""
    other = PolynomialSurface(2, basis=two).fit(np.asarray(result.data), **result.userkws)
    points = [result.userkws["x"], result.userkws["y"]]
    M = np.linalg.lstsq(other.model.basis.columns(*points), result.model.basis.columns(*points))[0]
    names = list(result.params)
    covar = np.zeros((6, 6))
    free = [names.index(name) for name in result.var_names]
    covar[np.ix_(free, free)] = np.where(np.isfinite(result.covar), result.covar, 0.0)
    values = M @ [result.params[name].value for name in names]
    return values, M @ covar @ M.T


def test_a_fixed_coefficient(scattered):
    fit = fit_with("chebyshev", scattered, c1_1={"value": 0.2, "vary": False}, c0_0={"value": 6.0, "vary": False})
    mapped = fit.to_basis("monomial")
    values, covar = by_hand(fit, "monomial")
    np.testing.assert_allclose([par.value for par in mapped.params.values()], values, rtol=1e-9)
    np.testing.assert_allclose([par.stderr for par in mapped.params.values()], np.sqrt(covar.diagonal()), rtol=1e-8, atol=1e-12)
    # x*y is in c1_1 alone, so it stays fixed; the constant gets a share of all
    assert not mapped.params["c1_1"].vary
    assert mapped.params["c1_1"].stderr == 0.0
    assert mapped.params["c0_0"].vary
    assert mapped.params["c0_0"].stderr > 0
    assert "c1_1" not in mapped.var_names
    assert mapped.nvarys == fit.nvarys
    assert np.isfinite(mapped.covar).all()


def test_a_coefficient_on_its_bound(scattered):
    fit = fit_with("chebyshev", scattered, c1_1={"max": 0.0})
    assert fit.conditioning.at_bound == {"c1_1": "max"}
    mapped = fit.to_basis("monomial")
    values, covar = by_hand(fit, "monomial")
    np.testing.assert_allclose([par.value for par in mapped.params.values()], values, rtol=1e-9, atol=1e-12)
    assert np.isnan(mapped.params["c1_1"].stderr)  # held by the bound, as before
    for i, name in enumerate(mapped.params):
        if name != "c1_1":
            assert mapped.params[name].stderr == pytest.approx(np.sqrt(covar[i, i]), rel=1e-8)
        assert mapped.params[name].max == np.inf
    assert "Bounds and ties (c1_1) held in the fit" in " ".join(mapped.explain().split())


def test_a_tied_coefficient(scattered):
    fit = fit_with("chebyshev", scattered, c0_2={"expr": "2*c2_0"})
    mapped = fit.to_basis("monomial")
    x, y, _ = scattered
    np.testing.assert_allclose(mapped.eval(x=x, y=y), fit.best_fit, rtol=1e-10)
    at = {"x": np.array([3.0]), "y": np.array([0.1])}
    np.testing.assert_allclose(mapped.predict(**at), fit.predict(**at), rtol=1e-9)
    assert mapped.params["c0_2"].expr is None
    # in the monomials of x and y alone, the two are still one number times known ones
    assert mapped.params["c0_2"].stderr == pytest.approx(
        fit.params["c0_2"].stderr * abs(mapped.params["c0_2"].value / fit.params["c0_2"].value), rel=1e-9
    )


def test_another_parameter_tied_to_a_coefficient_is_refused():
    model = PolynomialSurface(1, "x") + sf.SurfaceModel(lambda x, k: np.sin(k * x), ["x"])
    params = model.make_params(k=1.0)
    params["k"].set(expr="c1")
    x = np.linspace(0, 3, 30)
    params["c1"].set(value=0.9)
    fit = model.fit(1 + x + np.sin(x), params, x=x)
    with pytest.raises(ParameterError, match="k is tied to c1"):
        fit.to_basis("monomial")


def test_undetermined_stays_undetermined():
    x = np.repeat([0.0, 1.0, 2.0], 5)
    fit = PolynomialSurface(3, "x").fit(x**2 + np.linspace(0, 0.1, 15), x=x)
    lost = {name for name, par in fit.params.items() if np.isinf(par.stderr)}
    assert lost == {"c1", "c3"}  # T1 and T3 are the same at -1, 0 and 1
    mapped = fit.to_basis("monomial")
    # x (x - 1) (x - 2) is free: all but the constant
    assert {name for name, par in mapped.params.items() if np.isinf(par.stderr)} == {"c1", "c2", "c3"}
    assert mapped.params["c0"].stderr == pytest.approx(fit.predict(x=[0.0])["upper"].iloc[0] - fit.eval(x=np.zeros(1))[0], rel=10)
    band = mapped.predict(x=[0.0, 1.0, 1.5])
    assert np.isfinite(band["upper"][:2]).all()
    assert np.isinf(band["upper"][2])
    assert "The data don't determine c1, c2, c3" in " ".join(mapped.explain().split())
    back = mapped.to_basis("chebyshev")
    assert {name for name, par in back.params.items() if np.isinf(par.stderr)} == lost


def test_without_errors():
    x = np.arange(3.0)
    fit = PolynomialSurface(2, "x").fit(x**2, x=x)
    assert fit.covar is None
    mapped = fit.to_basis("monomial")
    assert mapped.covar is None
    assert np.isnan(mapped.params["c0"].stderr)
    np.testing.assert_allclose(list(mapped.best_values.values()), [0, 0, 1], atol=1e-14)


def test_fitting_it_again_fits_in_its_basis(scattered):
    x, y, z = scattered
    mapped = PolynomialSurface(2).fit(z, x=x, y=y).to_basis("monomial")
    before = dict(mapped.best_values)
    mapped.fit()
    for name, value in before.items():
        assert mapped.best_values[name] == pytest.approx(value, rel=1e-9)


def test_bad_calls(scattered):
    x, y, z = scattered
    fit = PolynomialSurface(1).fit(z, x=x, y=y)
    with pytest.raises(ParameterError, match="basis='fourier'; use one of"):
        fit.to_basis("fourier")
    plain = sf.SurfaceModel(lambda x, a: a * x, ["x"]).fit(z, x=x)
    with pytest.raises(ParameterError, match="has no polynomial surface"):
        plain.to_basis("monomial")


def test_the_example_runs(project, capsys):
    import runpy

    runpy.run_path(str(project / "examples" / "conditioned_basis.py"))
    out = capsys.readouterr().out
    conditions = [float(line.split()[-1]) for line in out.splitlines() if "condition" in line]
    assert conditions[0] > 1e8
    assert conditions[1] < 10


def test_one_part_of_a_joint_fit(scattered):
    x, y, z = scattered
    joint = sf.JointModel({"a": PolynomialSurface(2), "b": PolynomialSurface(1)}).fit({"a": z, "b": z + 1}, x=x, y=y)
    mapped, alone = joint["a"].to_basis("monomial"), PolynomialSurface(2).fit(z, x=x, y=y).to_basis("monomial")
    np.testing.assert_allclose(list(mapped.best_values.values()), list(alone.best_values.values()), rtol=1e-9)
    with pytest.raises(ParameterError, match=r"result\['a'\].to_basis\('monomial'\)"):
        joint.to_basis("monomial")


def test_what_needs_the_solver_is_asked_of_the_fit(scattered):
    x, y, z = scattered
    mapped = PolynomialSurface(2).fit(z, x=x, y=y).to_basis("monomial")
    for ask in (lambda: mapped.sample(steps=10), lambda: mapped.covariance("hessian"), mapped.conf_interval):
        with pytest.raises(ParameterError, match="was mapped to the monomial basis"):
            ask()
    np.testing.assert_array_equal(mapped.covariance().matrix, mapped.covar)


def test_powers_that_double_precision_cant_sum_are_told_and_not_used():
    """Years to the eighth power: the coefficients are right to sixteen digits, and sums of them are noise."""
    year = np.arange(1990, 2027.0)
    z = np.sin((year - 1990) / 6) + np.random.default_rng(0).normal(0, 0.01, year.size)
    fit = PolynomialSurface(8, "x").fit(z, x=year)
    with pytest.warns(ConditionWarning, match="in double precision are off by up to"):
        mapped = fit.to_basis("monomial")
    assert "off by up to" in mapped.explain()
    at = np.array([2000.0, 2010.5])
    np.testing.assert_array_equal(mapped.eval(x=at), fit.eval(x=at))
    np.testing.assert_array_equal(mapped.predict(x=at), fit.predict(x=at))
    np.testing.assert_array_equal(mapped.eval_uncertainty(x=at), fit.eval_uncertainty(x=at))
    back = mapped.to_basis("chebyshev")
    for name, par in fit.params.items():
        assert back.params[name].value == pytest.approx(par.value, rel=1e-12)
        assert back.params[name].stderr == pytest.approx(par.stderr, rel=1e-12)
    # the control: the coefficients themselves, summed
    assert np.abs(mapped.eval(mapped.params, x=at) - fit.eval(x=at)).max() > 0.1


def test_a_saved_mapping_keeps_the_digits_of_the_fit(rng, tmp_path):
    x, y = rng.uniform(2000, 2010, (2, 120))
    fit = PolynomialSurface(6).fit(np.sin(x) + y + rng.normal(0, 0.05, 120), x=x, y=y)
    with pytest.warns(ConditionWarning):
        mapped = fit.to_basis("monomial")
    at = {"x": np.array([2001.5, 2008.0]), "y": np.array([2003.0, 2004.0])}
    off = mapped.model.eval(mapped.params, **at) - fit.eval(**at)
    assert np.abs(off).max() > 1.0  # the powers themselves have lost it
    for _ in range(2):  # a loaded fit may be saved again
        mapped.save(tmp_path / "fit.json")
        loaded = sf.load(tmp_path / "fit.json")
        assert {name: par.value for name, par in loaded.params.items()} == {name: par.value for name, par in mapped.params.items()}
        np.testing.assert_array_equal(loaded.eval(**at), fit.eval(**at))
        np.testing.assert_allclose(loaded.predict(**at)["upper"], fit.predict(**at)["upper"], rtol=1e-12)
        mapped = loaded
    given = sf.load(tmp_path / "fit.json", model=mapped.model)  # the caller's model is what evaluates
    np.testing.assert_array_equal(given.eval(**at), mapped.model.eval(mapped.params, **at))


def test_components_of_a_mapping_are_those_of_the_fit(rng):
    x, y = rng.uniform(2000, 2010, (2, 120))
    model = PolynomialSurface(5, prefix="a_") + sf.get_model("gaussian2d_rotated", prefix="g_")
    truth = dict(g_height=8.0, g_x0=2004.0, g_y0=2006.0, g_sigma_x=1.0, g_sigma_y=0.8, g_theta=0.2)
    z = sf.get_model("gaussian2d_rotated", prefix="g_").eval(x=x, y=y, **truth) + 0.1 * (x - 2005) ** 2 + rng.normal(0, 0.05, 120)
    fit = model.fit(z, x=x, y=y)
    with pytest.warns(ConditionWarning):
        mapped = fit.to_basis("monomial")
    own, mine = fit.eval_components(), mapped.eval_components()
    assert list(mine) == ["a_", "g_"]
    np.testing.assert_array_equal(mine["a_"], own["a_"])
