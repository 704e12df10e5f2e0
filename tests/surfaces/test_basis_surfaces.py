"""Surfaces of splines, sines, radial functions and Zernike's polynomials as ordinary models."""

import pickle

import numpy as np
import pytest

import surffit as sf
from surffit.bases import BSpline, Fourier, Horner, RadialBasis, Zernike
from surffit.exceptions import ParameterError
from surffit.surfaces import BSplineSurface, FourierSurface, RadialBasisSurface, ZernikeSurface
from surffit.testing import check_model

MODELS = {
    "splines": lambda **kws: BSplineSurface((3, 2), **kws),
    "smoothed splines": lambda **kws: BSplineSurface((5, 4), smoothing=1e-3, **kws),
    "sines": lambda **kws: FourierSurface((1, 2), **kws),
    "radial functions": lambda **kws: RadialBasisSurface(12, **kws),
    "gaussians": lambda **kws: RadialBasisSurface(12, kernel="gaussian", **kws),
    "a wavefront": lambda **kws: ZernikeSurface(4, indexing="osa", **kws),
}


@pytest.fixture
def scattered(rng):
    x, y = rng.uniform(0, 10, 200), rng.uniform(-2, 2, 200)
    return x, y, np.sin(x / 3) * y + 0.1 * x + rng.normal(0, 0.05, 200)


@pytest.mark.parametrize("name", ["bspline_surface", "fourier_surface", "radial_basis_surface", "zernike_surface", "polynomial_surface"])
def test_what_every_model_promises(name):
    kws = {"intervals": 3} if name == "bspline_surface" else {}  # fewer coefficients take less time
    assert check_model(sf.get_model(name, **kws)).linear


@pytest.mark.parametrize("kind", MODELS)
class TestEveryKind:
    def test_is_least_squares(self, kind, scattered):
        x, y, z = scattered
        w = np.linspace(0.5, 2, x.size)
        result = MODELS[kind]().fit(z, x=x, y=y, weights=w)
        columns = result.model.basis.columns(x, y)
        rows = np.zeros((0, columns.shape[1])) if kind != "smoothed splines" else np.sqrt(1e-3) * result.model.basis.penalty()
        best = columns @ np.linalg.lstsq(np.vstack([w[:, None] * columns, rows]), np.r_[w * z, np.zeros(len(rows))])[0]
        np.testing.assert_allclose(result.best_fit, best, atol=1e-9)
        assert result.conditioning.derivatives == "graph"
        assert result.conditioning.linear == tuple(result.params) == result.model.linear

    def test_a_band_on_new_points_is_exact(self, kind, scattered):
        x, y, z = scattered
        result = MODELS[kind]().fit(z, x=x, y=y)
        at = {"x": np.array([1.0, 5.0, 9.0]), "y": np.array([0.0, 1.0, -1.0])}
        band = result.predict(**at)
        columns = result.model.basis.columns(*at.values())
        sd = np.sqrt(np.einsum("ni,ij,nj->n", columns, result.covar, columns))
        np.testing.assert_allclose(band["fit"], result.eval(**at), rtol=1e-12)
        width = (band["upper"] - band["lower"]) / sd
        np.testing.assert_allclose(width, width[0], rtol=1e-6)

    def test_masked_points_have_no_say(self, kind, scattered):
        x, y, z = scattered
        mask = np.arange(x.size) % 9 == 0
        far = np.where(mask, 1e6, x)
        result = MODELS[kind]().fit(np.where(mask, 1e9, z), x=far, y=y, mask=mask)
        again = MODELS[kind]().fit(z[~mask], x=x[~mask], y=y[~mask])
        np.testing.assert_allclose(list(result.best_values.values()), list(again.best_values.values()), rtol=1e-7, atol=1e-9)

    def test_results_travel(self, kind, scattered, tmp_path):
        x, y, z = scattered
        result = MODELS[kind](prefix="s_").fit(z, x=x, y=y)
        again = pickle.loads(pickle.dumps(result))
        np.testing.assert_array_equal(again.eval(x=x, y=y), result.eval(x=x, y=y))
        for _ in range(2):  # a loaded fit can be saved again
            result.save(tmp_path / "fit.json")
            loaded = sf.load(tmp_path / "fit.json")
            np.testing.assert_allclose(loaded.eval(x=x, y=y), again.eval(x=x, y=y), rtol=1e-12, atol=1e-12)
            result = loaded

    def test_beside_another_model(self, kind, scattered, tmp_path):
        x, y, z = scattered
        model = MODELS[kind]() + sf.SurfaceModel(_bump, ["x", "y"])
        data = z + _bump(x, y, 3.0, 4.0)
        result = model.fit(data, x=x, y=y, height=2.0, centre=4.2)
        assert result.success
        assert abs(result.params["centre"].value - 4.0) < 0.2
        result.save(tmp_path / "fit.json")
        if "height" in result.conditioning.linear and kind not in ("sines", "a wavefront"):
            np.testing.assert_allclose(sf.load(tmp_path / "fit.json").eval(x=x, y=y), result.best_fit, rtol=1e-10, atol=1e-10)

    def test_it_waits_for_data(self, kind):
        model = MODELS[kind]()
        assert set(model.linear) == set(model.param_names)
        with pytest.raises(ParameterError, match="taken from the data at a fit"):
            model.eval(model.make_params(**dict.fromkeys(model.param_names, 1.0)), x=np.arange(3.0), y=np.arange(3.0))


def _bump(x, y, height, centre):
    return height * np.exp(-2 * (x - centre) ** 2 - y**2)


def test_a_given_domain_is_kept(scattered):
    x, y, z = scattered
    domain = ((-1, 11), (-3, 3))
    for model, kind in (
        (BSplineSurface(3, domain=domain), BSpline),
        (FourierSurface(1, domain=domain), Fourier),
        (ZernikeSurface(3, domain=((-5, 15), (-10, 10))), Zernike),
        (RadialBasisSurface([[0, 0], [5, 1], [9, -1]], domain=domain), RadialBasis),
    ):
        result = model.fit(z, x=x, y=y)
        assert result.model is model
        assert isinstance(model.basis, kind)


class TestPeriods:
    def test_a_grid_is_a_whole_period(self):
        hour = np.arange(24.0)
        z = 3 + 2 * np.cos(2 * np.pi * hour / 24) - np.sin(4 * np.pi * hour / 24)
        result = FourierSurface(2, "hour").fit(z, hour=hour)
        np.testing.assert_allclose([result.best_values[n] for n in ("f0", "fc1", "fs1", "fc2", "fs2")], [3, 2, 0, 0, -1], atol=1e-12)

    def test_one_value_has_none(self):
        with pytest.raises(ParameterError, match="x has one value only"):
            FourierSurface(1, "x").fit(np.ones(5), x=np.ones(5))


class TestWavefronts:
    def test_a_pupil_is_found(self, rng):
        """An image of a pupil, off centre, with a central hole: coefficients are those that made it."""
        y, x = np.mgrid[:80, :90]
        r = np.hypot(x - 44.0, y - 39.0) / 36
        truth = np.zeros(15)
        truth[[3, 4, 7, 10]] = [0.3, -0.1, 0.07, 0.05]  # defocus, astigmatism, coma, spherical
        basis = Zernike(4, obscuration=0.3, domain=((8, 80), (3, 75)))
        z = (basis.columns(x, y) @ truth).reshape(x.shape)
        result = ZernikeSurface(4, obscuration=0.3).fit(z, x=x, y=y, mask=(r > 1) | (r < 0.3))
        np.testing.assert_allclose(result.model.basis.domain, basis.domain, atol=1e-9)
        np.testing.assert_allclose(list(result.best_values.values()), truth, atol=1e-12)
        # an even cover of the pupil hardly correlates them, and each is the rms of its aberration
        noisy = ZernikeSurface(4, obscuration=0.3).fit(z + rng.normal(0, 0.01, z.shape), x=x, y=y, mask=(r > 1) | (r < 0.3))
        correlation = noisy.covar / np.sqrt(np.outer(np.diag(noisy.covar), np.diag(noisy.covar)))
        assert np.abs(correlation - np.eye(15)).max() < 0.1
        monomials, covar = noisy.model.basis.convert(list(noisy.best_values.values()), Horner(4), noisy.covar)
        assert monomials.shape == (15,)
        assert (np.diag(covar) > 0).all()

    def test_bad_calls(self):
        with pytest.raises(ParameterError, match="two coordinates"):
            ZernikeSurface(2, "x")
        with pytest.raises(ParameterError, match="there is no disc"):
            ZernikeSurface(1).fit(np.ones(5), x=np.ones(5), y=np.ones(5))


class TestCentres:
    def test_centres_are_data_points_far_from_each_other(self, scattered):
        x, y, z = scattered
        centres = np.array(RadialBasisSurface(15).fit(z, x=x, y=y).model.basis.centres)
        known = {*zip(x.tolist(), y.tolist(), strict=True)}
        assert all(tuple(c) in known for c in centres.tolist())
        scaled = centres / [10, 4]
        distance = np.sqrt(((scaled[:, None] - scaled[None]) ** 2).sum(axis=2))[np.triu_indices(15, 1)]
        assert distance.min() > 0.15

    def test_as_many_centres_as_points_interpolate(self, rng):
        x = np.linspace(0, 1, 7)
        result = RadialBasisSurface(x, "x", kernel="linear", degree=-1).fit(np.cos(3 * x), x=x)
        np.testing.assert_allclose(result.best_fit, np.cos(3 * x), atol=1e-12)

    @pytest.mark.parametrize(
        ("kwargs", "sentence"),
        [
            ({"centres": 0}, "from 1 up"),
            ({"centres": [[1.0, 2.0, 3.0]]}, "centres have 3 columns, but there are 2 variables"),
            ({"kernel": "round"}, "is unknown; use one of"),
            ({"epsilon": -1.0, "kernel": "gaussian"}, "above 0"),
        ],
    )
    def test_bad_calls(self, kwargs, sentence):
        with pytest.raises(ParameterError, match=sentence):
            RadialBasisSurface(**kwargs)

    def test_too_few_points(self):
        with pytest.raises(ParameterError, match="only 3 different points"):
            RadialBasisSurface(5, "x").fit(np.ones(9), x=np.repeat([0.0, 1.0, 2.0], 3))
