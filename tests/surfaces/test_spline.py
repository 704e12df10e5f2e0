"""Splines with smoothing: the estimator, its strength, its errors."""

import numpy as np
import pytest
from scipy.interpolate import make_lsq_spline

import surffit as sf
from surffit.bases import BSpline
from surffit.exceptions import ParameterError
from surffit.surfaces import BSplineSurface
from surffit.surfaces.smoothing import choose


def made(rng, n=120, sigma=0.2):
    x = np.sort(rng.uniform(0, 10, n))
    return x, np.sin(x) + 0.3 * x + rng.normal(0, sigma, n)


def hat(basis, x, w, strength):
    """Hat matrix of weighted rows, densely."""
    X, R = w[:, None] * basis.columns(x), basis.penalty()
    return X @ np.linalg.solve(X.T @ X + strength * R.T @ R, X.T)


class TestWithoutSmoothing:
    def test_is_scipys_least_squares_spline(self, rng):
        x, z = made(rng)
        inner = [2.0, 3.0, 5.5, 8.0]
        result = BSplineSurface(variables="x", knots=[x[0], *inner, x[-1]]).fit(z, x=x)
        t = np.r_[[x[0]] * 4, inner, [x[-1]] * 4]
        np.testing.assert_allclose(list(result.best_values.values()), make_lsq_spline(x, z, t).c, rtol=1e-9)

    def test_a_grid_by_its_factors(self, rng):
        y, x = np.mgrid[:90, :80].astype(float)
        z = np.sin(x / 20) * np.cos(y / 30) + rng.normal(0, 0.1, x.shape)
        result = BSplineSurface(5).fit(z, x=x, y=y)
        columns = result.model.basis.columns(x, y)
        np.testing.assert_allclose(list(result.best_values.values()), np.linalg.lstsq(columns, z.ravel())[0], rtol=1e-9)

    def test_a_hole_in_the_data_is_told(self, rng):
        x = np.r_[np.linspace(0, 3, 60), np.linspace(7, 10, 60)]
        result = BSplineSurface(30, "x").fit(np.sin(x), x=x)
        assert sf.Status.RANK_DEFICIENT in result.status
        assert np.isinf(result.predict(x=[5.0])["upper"]).all()
        assert np.isfinite(result.predict(x=[1.0])["upper"]).all()


class TestSmoothing:
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("n", [120, 25])  # with so many points rows are condensed, with fewer than coefficients they aren't
    def test_is_penalised_least_squares(self, rng, n, weighted):
        x, z = made(rng, n)
        w = np.linspace(1, 4, n) if weighted else np.ones(n)
        result = BSplineSurface(10 if n > 100 else 30, "x", smoothing=1e-3).fit(z, x=x, weights=w if weighted else None)
        H = hat(result.model.basis, x, w, 1e-3)
        fitted = H @ (w * z)
        np.testing.assert_allclose(w * result.best_fit, fitted, rtol=1e-8)
        np.testing.assert_allclose(result.ndata - result.nfree, np.trace(H), rtol=1e-8)
        # s^2 (X'X + lambda P)^-1 with s^2 from what freedom is left
        s2 = np.sum((w * z - fitted) ** 2) / (n - np.trace(H))
        np.testing.assert_allclose(result.redchi, s2, rtol=1e-8)
        X, R = w[:, None] * result.model.basis.columns(x), result.model.basis.penalty()
        np.testing.assert_allclose(result.covar, s2 * np.linalg.inv(X.T @ X + 1e-3 * R.T @ R), rtol=1e-6, atol=1e-9)
        assert "effective degrees of freedom" in result.explain()

    def test_known_errors_change_the_errors_only(self, rng):
        x, z = made(rng)
        model = BSplineSurface(10, "x", smoothing=1e-2)
        scaled, known = (model.fit(z, x=x, sigma=0.1, scale_covar=flag) for flag in (True, False))
        np.testing.assert_allclose(list(scaled.best_values.values()), list(known.best_values.values()), rtol=1e-12)
        np.testing.assert_allclose(scaled.covar, known.covar * scaled.redchi, rtol=1e-8)

    def test_from_least_squares_to_a_plane(self, rng):
        y, x = np.mgrid[:30, :30].astype(float)
        z = np.sin(x / 5) + rng.normal(0, 0.1, x.shape)
        plain = BSplineSurface(4).fit(z, x=x, y=y)
        little = BSplineSurface(4, smoothing=1e-10).fit(z, x=x, y=y)
        np.testing.assert_allclose(little.best_fit, plain.best_fit, atol=1e-5)
        much = BSplineSurface(4, smoothing=1e9).fit(z, x=x, y=y)
        plane = np.stack([np.ones(900), x.ravel(), y.ravel()], axis=1)
        np.testing.assert_allclose(much.best_fit.ravel(), plane @ np.linalg.lstsq(plane, z.ravel())[0], atol=1e-5)
        assert much.ndata - much.nfree == pytest.approx(3, abs=1e-4)

    def test_a_hole_in_the_data_is_bridged(self, rng):
        x = np.r_[np.linspace(0, 3, 60), np.linspace(7, 10, 60)]
        result = BSplineSurface(30, "x", smoothing="gcv").fit(2 + 0.5 * x + rng.normal(0, 0.1, 120), x=x)
        band = result.predict(x=[5.0])
        assert result.success
        assert band["lower"][0] < 4.5 < band["upper"][0]
        assert band["upper"][0] - band["lower"][0] > 1.5 * np.ptp(result.predict(x=[1.0])[["lower", "upper"]].to_numpy())

    def test_fixed_coefficients(self, rng):
        x, z = made(rng)
        model = BSplineSurface(6, "x", smoothing=1e-2, prefix="s_")
        params = model.make_params()
        params["s_c3"].set(value=2.0, vary=False)
        result = model.fit(z, params, x=x)
        X, R = result.model.basis.columns(x), np.sqrt(1e-2) * result.model.basis.penalty()
        A, b = np.vstack([X, R]), np.r_[z, np.zeros(len(R))] - 2.0 * np.vstack([X, R])[:, 3]
        expected = np.linalg.lstsq(np.delete(A, 3, axis=1), b)[0]
        np.testing.assert_allclose(np.delete(list(result.best_values.values()), 3), expected, rtol=1e-9)
        params["s_c4"].set(expr="s_c3 + 1")
        with pytest.raises(ParameterError, match="s_c4 is tied by expr"):
            model.fit(z, params, x=x)

    def test_other_costs_and_solvers(self, rng):
        x, z = made(rng)
        model = BSplineSurface(8, "x", smoothing=1e-2)
        plain = model.fit(z, x=x)
        by_lmfit = model.fit(z, x=x, method="leastsq")
        np.testing.assert_allclose(list(by_lmfit.best_values.values()), list(plain.best_values.values()), rtol=1e-5, atol=1e-6)
        z[::20] += 8.0
        robust = model.fit(z, x=x, loss="soft_l1")
        assert np.abs(robust.best_fit - plain.best_fit).max() < 0.3 * np.abs(model.fit(z, x=x).best_fit - plain.best_fit).max()
        held = model.fit(z, x=x, priors={"c4": (1.0, 1e-6)})
        assert held.params["c4"].value == pytest.approx(1.0, abs=1e-5)
        assert "the priors and the smoothing" in " ".join(held.explain().split())

    def test_a_result_keeps_what_was_chosen(self, rng, tmp_path):
        x, z = made(rng)
        model = BSplineSurface(12, "x", smoothing="gcv")
        result = model.fit(z, x=x)
        assert model.smoothing == "gcv"
        assert isinstance(result.model.smoothing, float)
        assert "was chosen by generalised cross-validation" in " ".join(result.explain().split())
        result.save(tmp_path / "fit.json")
        assert sf.load(tmp_path / "fit.json").model.smoothing == result.model.smoothing
        model.save(tmp_path / "model.json")
        assert sf.load(tmp_path / "model.json").smoothing == "gcv"

    def test_refusals(self, rng):
        x, z = made(rng)
        with pytest.raises(ParameterError, match="can't choose its smoothing beside another model"):
            (BSplineSurface(5, "x", smoothing="gcv") + sf.get_model("gaussian")).fit(z, x=x)
        model = BSplineSurface(5, "x", smoothing=1.0)
        with pytest.raises(ParameterError, match="can't be part of a joint fit"):
            sf.JointModel({"a": model, "b": model}).fit({"a": z, "b": z}, x={"a": x, "b": x})
        with pytest.raises(ParameterError, match="scale_covar=False"):
            model.fit(z, x=x).sample(steps=10)


class TestChoosing:
    @pytest.mark.parametrize("way", ["gcv", "loo"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_is_the_smallest_by_definition(self, rng, way, weighted):
        """Points are left out one by one, and the fit repeated."""
        x, z = made(rng, 40)
        w = rng.uniform(0.5, 3, 40) if weighted else np.ones(40)
        basis = BSpline(12, (x[0], x[-1]))

        def score(strength):
            if way == "gcv":
                H = hat(basis, x, w, strength)
                return 40 * np.sum((w * z - H @ (w * z)) ** 2) / (40 - np.trace(H)) ** 2
            R, left = basis.penalty(), []
            for i in range(40):
                kept = np.arange(40) != i
                X = w[kept, None] * basis.columns(x[kept])
                c = np.linalg.solve(X.T @ X + strength * R.T @ R, X.T @ (w * z)[kept])
                left.append(w[i] * (z[i] - (basis.columns(x[i]) @ c)[0]))
            return np.mean(np.square(left))

        best = choose(basis, [x], z, w if weighted else None, way)
        assert score(best) <= min(score(best * factor) for factor in (0.5, 0.9, 1.1, 2.0, 1e-3, 1e3)) * (1 + 1e-6)

    def test_on_a_grid_it_is_the_same(self, rng):
        y, x = np.mgrid[:25, :20].astype(float)
        z = np.sin(x / 4) + 0.1 * y + rng.normal(0, 0.2, x.shape)
        model = BSplineSurface((6, 5), smoothing="gcv")
        strengths = [
            model.fit(data, x=a, y=b).model.smoothing for data, a, b in ((z, x, y), (z.T, x.T, y.T), (z.ravel(), x.ravel(), y.ravel()))
        ]
        np.testing.assert_allclose(strengths, strengths[0], rtol=1e-3)

    def test_noise_asks_for_more(self, rng):
        x = np.linspace(0, 10, 300)
        noise = rng.normal(size=300)
        chosen = [choose(BSpline(20, (0, 10)), [x], np.sin(x) + s * noise, None, "gcv") for s in (0.01, 0.1, 1.0)]
        assert chosen[0] < chosen[1] < chosen[2]


@pytest.mark.parametrize("right", [True, False])
def test_bands_hold_the_surface(rng, right):
    """Surfaces drawn from the prior that the smoothing stands for: pulls have variance 1; with a wrong strength they have not."""
    strength, sigma = 1e-3, 0.1
    x = np.linspace(0, 1, 60)
    basis = BSpline(8, (0.0, 1.0))
    R = basis.penalty()
    values, vectors = np.linalg.eigh(R.T @ R)
    rough = values > 1e-9 * values[-1]
    spread = np.where(rough, sigma / np.sqrt(strength * np.where(rough, values, 1.0)), 3.0)  # the trend is anything
    model = BSplineSurface(8, "x", smoothing=strength if right else 1e3 * strength, domain=(0, 1))
    pulls = []
    for _ in range(60):
        coef = vectors @ (spread * rng.normal(size=spread.size))
        z = basis.columns(x) @ coef + rng.normal(0, sigma, x.size)
        result = model.fit(z, x=x, sigma=sigma, scale_covar=False)
        pulls.append((list(result.best_values.values()) - coef) @ np.linalg.solve(result.covar, list(result.best_values.values()) - coef))
    n = 60 * coef.size
    off = (np.sum(pulls) - n) / np.sqrt(2 * n)  # of a chi-square
    assert abs(off) < 4 if right else off > 20


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"smoothing": 0.0}, "a number above 0"),
        ({"smoothing": "aic"}, '"gcv" or "loo"'),
        ({"intervals": 0}, "from 1 up"),
        ({"degree": -1}, "whole number"),
        ({"knots": [[0, 1], [0, 1], [0, 1]]}, "3 variables"),
        ({"knots": [[0, 1], [0, 1]], "domain": ((0, 1), (0, 1))}, "leave domain out"),
        ({"domain": (0, 1)}, "one pair for each variable"),
    ],
)
def test_bad_calls(kwargs, sentence):
    with pytest.raises(ParameterError, match=sentence):
        BSplineSurface(**kwargs)
