"""Fits with losses and priors, and polynomials in conditioned bases, as documents."""

import json

import numpy as np
import pytest

import surffit as sf
from surffit import io, registry
from surffit.surfaces import PolynomialSurface

X = np.linspace(0, 3, 40)
DATA = 2 * np.exp(-X) + 1 + 0.01 * np.sin(50 * X)
COUNTS = np.round(20 * DATA)


def squares(data, model):
    return (data - model) ** 2


def bell(value):
    return -0.5 * ((value - 1.0) / 0.2) ** 2


COSTS = {
    "huber": (dict(loss="huber"), "huber", {}),
    "poisson": (dict(loss="poisson"), "poisson", {}),
    "a function": (dict(loss=squares), "squares", {}),
    "a prior": (dict(priors={"b": (1.0, 0.1)}), None, {"b": "1.0 +/- 0.1"}),
    "a density": (dict(priors={"b": bell}), None, {"b": "bell"}),
    "both": (dict(loss="cauchy", priors={"b": (1.0, 0.1), "c": bell}), "cauchy", {"b": "1.0 +/- 0.1", "c": "bell"}),
}


@pytest.fixture(params=COSTS)
def case(request):
    kws, loss, priors = COSTS[request.param]
    model = sf.SurfaceModel.from_expression("a*exp(-b*x) + c", ["x"])
    data = COUNTS if loss == "poisson" else DATA
    return model.fit(data, model.make_params(a=2, b=1, c=1), x=X, **kws), loss, priors


def test_fits_with_losses_and_priors_come_back(case, tmp_path):
    result, loss, priors = case
    result.save(tmp_path / "fit.json")
    stats = json.loads((tmp_path / "fit.json").read_text())["stats"]
    assert stats.get("loss") == loss
    assert stats.get("priors", {}) == priors
    loaded = sf.load(tmp_path / "fit.json")
    assert loaded.fit_report() == result.fit_report()
    assert loaded.explain() == result.explain()
    assert loaded.tidy().equals(result.tidy())
    assert loaded.glance().equals(result.glance())
    assert loaded.nfree == result.nfree
    assert loaded.covar_source == result.covar_source
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "fit.json").read_text()


def test_bands_of_a_loaded_fit_come_from_its_covariance(case, tmp_path):
    """Confidence bands are g C g' of the covariance in the file, prediction bands add the scatter that the loss tells."""
    result, loss, _ = case
    result.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    new = np.array([0.3, 1.7])
    a, b, _ = (result.params[name].value for name in result.var_names)
    assert result.var_names == ["a", "b", "c"]
    g = np.array([np.exp(-b * new), -a * new * np.exp(-b * new), np.ones(2)])
    sd = np.sqrt(np.einsum("in,ij,jn->n", g, result.covar, g))
    band = loaded.predict(level=0.6826894921370859, x=new)
    width = np.asarray(band["upper"] - band["fit"]) / sd
    np.testing.assert_allclose(width, width[0], rtol=1e-9)  # one factor, that of the level
    assert 0.99 < width[0] < 1.05
    if loss != "squares":
        one, two = (fit.predict(kind="prediction", x=new) for fit in (result, loaded))
        np.testing.assert_allclose(np.asarray(two), np.asarray(one), rtol=1e-3)


def test_plain_fits_say_nothing_of_losses(tmp_path):
    model = sf.get_model("linear")
    stats = io.document(model.fit(2 * X + 1 + np.sin(9 * X), x=X))["stats"]
    assert not {"loss", "priors", "scatter"} & set(stats)


def test_badly_scaled_covariances_keep_their_digits(tmp_path):
    """Variances of 1e-40 beside 1e20: the bands of the loaded fit are those of the fit."""
    model = sf.SurfaceModel(lambda x, a, b: 1e20 * a + b * x / 1e10)
    result = model.fit(3.0 + 2.0 * X + 0.01 * np.sin(50 * X), x=X)
    result.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    one, two = (np.asarray(fit.predict(x=X)["upper"]) for fit in (result, loaded))
    np.testing.assert_allclose(two, one, rtol=1e-12)


# ---- polynomials


@pytest.fixture(scope="module")
def plane():
    y, x = np.mgrid[:12, :15].astype(float)
    x = 1000 + 10 * x
    z = 1 + 2 * x / 1000 + 3 * y + 0.1 * x * y / 1000 + 0.01 * np.sin(7 * x + 5 * y)
    return x, y, z


NEW = dict(x=np.array([1003.0, 1100.0, 1200.0]), y=np.array([1.0, 2.0, 20.0]))
BASES = ["chebyshev", "legendre", "monomial", "orthonormal"]


@pytest.mark.parametrize("basis", BASES)
def test_polynomials_come_back(basis, plane, tmp_path):
    x, y, z = plane
    result = PolynomialSurface(3, basis=basis).fit(z, x=x, y=y)
    for fit in (result, result.to_basis("monomial"), result.to_basis("legendre")):
        fit.save(tmp_path / "fit.json")
        loaded = sf.load(tmp_path / "fit.json")
        # beside the coefficients the file holds the fit they were made of, which evaluates
        assert np.array_equal(loaded.eval(**NEW), fit.eval(**NEW))
        assert np.array_equal(loaded.eval(loaded.params, **NEW), fit.eval(fit.params, **NEW))
        assert loaded.tidy().equals(fit.tidy())
        one, two = (np.asarray(either.predict(**NEW)) for either in (fit, loaded))
        # the covariance in the file has the digits of a double; monomials on 1000..1140 lose some of them
        np.testing.assert_allclose(two, one, rtol=1e-8)


@pytest.fixture
def registered(monkeypatch):
    """The surfaces as they are when the package is installed."""
    from importlib import metadata

    point = metadata.EntryPoint("polynomial_surface", "surffit.surfaces:PolynomialSurface", registry.GROUP)
    offers = {**registry._offers(), "polynomial_surface": [point]}
    monkeypatch.setattr(registry, "_offers", lambda: offers)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("degree", [2, (1, 3)])
def test_polynomial_models_come_back(basis, degree, plane, tmp_path):
    x, y, z = plane
    model = PolynomialSurface(degree, basis=basis, total=False, prefix="p_")
    model.save(tmp_path / "model.json")
    loaded = sf.load(tmp_path / "model.json")
    assert json.loads((tmp_path / "model.json").read_text())["model"]["kind"] == "registered"
    assert isinstance(loaded, PolynomialSurface)
    assert loaded.name == model.name
    assert loaded.fit(z, x=x, y=y).best_values == model.fit(z, x=x, y=y).best_values


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("basis", BASES)
def test_polynomial_models_with_their_range_come_back(basis, plane, tmp_path):
    x, y, z = plane
    result = PolynomialSurface(3, basis=basis).fit(z, x=x, y=y)
    result.model.save(tmp_path / "model.json")
    loaded = sf.load(tmp_path / "model.json")
    assert isinstance(loaded, PolynomialSurface) is (basis != "orthonormal")  # whose points are not in the file: it goes as a graph
    assert np.array_equal(loaded.eval(result.params, **NEW), result.eval(**NEW))


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    "options", [{"degree": 10**9}, {"degree": [10**6] * 2}, {"degree": 2, "variables": ["x"] * 10**5}, {"degree": "9**9"}]
)
def test_polynomials_without_end_are_refused(options):
    content = io.document(PolynomialSurface(1))
    content["model"]["options"] |= options
    with pytest.raises(io.files.DocumentError):
        io.read_model(content)
