"""Leverage and leave-one-out: against fits that really leave each point out."""

import copy
import pickle

import numpy as np
import pytest

import surffit as sf
from surffit.core import hat
from surffit.exceptions import DataError, DocumentError, ParameterError
from surffit.surfaces import PolynomialSurface


def plane_and_wave(x, y, a, b, c):
    return a + b * x + c * np.sin(y)


def peak(x, y, h, x0, s, c):
    return c + h * np.exp(-((x - x0) ** 2 + y**2) / (2 * s * s))


@pytest.fixture
def scattered(rng):
    x, y = rng.uniform(0, 10, 40), rng.uniform(-2, 2, 40)
    sigma = rng.uniform(0.05, 0.3, 40)
    return {"x": x, "y": y}, 1 + 2 * x - np.sin(y) + sigma * rng.normal(size=40), sigma


def brute(model, data, coords, sigma, mask=None, params=None):
    """Prediction errors of fits that don't see the point."""
    out = np.full(data.shape, np.nan)
    for i in np.ndindex(data.shape):
        if mask is not None and mask[i]:
            continue
        without = np.zeros(data.shape, bool) if mask is None else mask.copy()
        without[i] = True
        fit = model.fit(data, params, sigma=sigma, mask=without, **coords)
        out[i] = data[i] - fit.eval()[i]
    return out


def test_linear_fits_are_exact(scattered):
    coords, data, sigma = scattered
    mask = np.zeros(data.shape, bool)
    mask[[3, 17]] = True
    model = sf.SurfaceModel(plane_and_wave, ["x", "y"])
    fit = model.fit(data, sigma=sigma, mask=mask, **coords)
    found = fit.leave_one_out()
    expected = brute(model, data, coords, sigma, mask)
    np.testing.assert_allclose(found.residual, expected, rtol=1e-10, atol=1e-12)
    assert found.exact
    assert found.press == pytest.approx(np.nansum((expected / sigma) ** 2), rel=1e-10)
    assert found.rms == pytest.approx(np.sqrt(found.press / 38), rel=1e-12)
    weights = np.where(mask, 0, sigma**-2)
    centre = np.average(data, weights=weights)
    assert found.rsquared == pytest.approx(1 - found.press / np.sum(weights * (data - centre) ** 2), rel=1e-10)
    assert np.nansum(found.leverage) == pytest.approx(3, rel=1e-12)
    assert np.isnan(found.leverage[mask]).all()


def test_the_hat_matrix_itself(scattered):
    coords, data, sigma = scattered
    fit = sf.SurfaceModel(plane_and_wave, ["x", "y"]).fit(data, sigma=sigma, **coords)
    A = np.column_stack([np.ones(40), coords["x"], np.sin(coords["y"])]) / sigma[:, None]
    H = A @ np.linalg.solve(A.T @ A, A.T)
    np.testing.assert_allclose(fit.leave_one_out().leverage, H.diagonal(), rtol=1e-11)


def test_a_polynomial_on_the_range_of_its_data_is_exact_too(scattered):
    """Leaving the outermost point out changes the basis, not the surface."""
    coords, data, sigma = scattered
    expected = brute(PolynomialSurface(2), data, coords, sigma)
    np.testing.assert_allclose(PolynomialSurface(2).fit(data, sigma=sigma, **coords).leave_one_out().residual, expected, rtol=1e-9)


def test_nonlinear_fits_to_first_order(rng):
    x, y = rng.uniform(-3, 3, (2, 60))
    data = peak(x, y, 5, 0.3, 1.2, 1) + rng.normal(0, 0.05, 60)
    model = sf.SurfaceModel(peak, ["x", "y"])
    params = model.make_params(h=5, x0=0.3, s=1.2, c=1)
    found = model.fit(data, params, x=x, y=y).leave_one_out()
    expected = brute(model, data, {"x": x, "y": y}, None, params=params)
    assert not found.exact
    # what is left is of the second order in the noise: 1 % of a residual here, where the residuals themselves are 8 % off
    np.testing.assert_allclose(found.residual, expected, atol=0.002)
    plain = data - model.fit(data, params, x=x, y=y).best_fit
    assert np.abs(plain - expected).max() > 0.01


def test_in_blocks_or_at_once(scattered, monkeypatch):
    coords, data, sigma = scattered
    fit = PolynomialSurface(3).fit(data, sigma=sigma, **coords)
    whole = fit.leave_one_out().residual
    monkeypatch.setattr(hat, "BLOCK", 70)  # seven rows at a time
    np.testing.assert_allclose(fit.leave_one_out().residual, whole, rtol=1e-12)


def test_grids_data_of_any_size_and_pickles(rng):
    y, x = np.mgrid[:5, :6].astype(float)
    data = 1 + x - y + rng.normal(0, 0.1, x.shape)
    fit = PolynomialSurface(1).fit(data, x=np.arange(6.0)[None, :], y=np.arange(5.0)[:, None])
    found = fit.leave_one_out()
    assert found.residual.shape == (5, 6)
    np.testing.assert_allclose(found.residual, brute(PolynomialSurface(1), data, {"x": x, "y": y}, None), rtol=1e-10)
    huge = PolynomialSurface(1).fit(1e150 * data, x=x, y=y).leave_one_out()
    np.testing.assert_allclose(huge.residual, 1e150 * found.residual, rtol=1e-10)
    back = pickle.loads(pickle.dumps(fit)).leave_one_out()
    np.testing.assert_allclose(back.residual, found.residual, rtol=1e-12)
    assert not back.exact  # a pickle doesn't tell which parameters are linear
    np.testing.assert_allclose(fit.to_basis("monomial").leave_one_out().residual, found.residual, rtol=1e-12)


def test_what_is_not_determined_or_held_pulls_nothing(rng):
    x = rng.uniform(0, 1, 30)
    data = 1 + x + rng.normal(0, 0.1, 30)
    twins = sf.SurfaceModel(lambda x, a, b, c: a + b + c * x).fit(data, x=x)
    assert twins.leave_one_out().leverage.sum() == pytest.approx(2, rel=1e-10)
    model = sf.SurfaceModel(lambda x, a, c: a + c * x)
    params = model.make_params()
    params["c"].set(max=0.5)
    held = model.fit(data, params, x=x).leave_one_out()
    np.testing.assert_allclose(held.leverage, 1 / 30, rtol=1e-10)
    assert not held.exact


def test_a_point_alone_is_said_to_be_alone():
    x = np.array([0.0, 0, 0, 0, 1])
    found = sf.SurfaceModel(lambda x, a, c: a + c * x).fit(np.array([1.0, 2, 3, 2, 9]), x=x).leave_one_out()
    assert found.leverage[-1] == pytest.approx(1)
    assert np.isinf(found.residual[-1])
    assert found.press == np.inf


@pytest.mark.parametrize(
    ("fit", "error", "sentence"),
    [
        (lambda m, x, d: m.fit(d, x=x, loss="huber"), ParameterError, "loss='huber'"),
        (lambda m, x, d: m.fit(d, x=x, priors={"a": (0, 1)}), ParameterError, "priors"),
        (lambda m, x, d: m.fit(d + 1j, x=x), DataError, "real"),
        (lambda m, x, d: sf.JointModel([m, m], shared=["a"]).fit({"d0": d, "d1": d}, x=x), ParameterError, "several"),
        (lambda m, x, d: sf.JointModel([m, m], shared=["a"]).fit({"d0": d, "d1": d}, x=x)["d0"], ParameterError, "several"),
    ],
)
def test_refused_in_one_sentence(fit, error, sentence, rng):
    x = np.arange(12.0)
    result = fit(sf.SurfaceModel(lambda x, a, b: a + b * x), x, 1 + x + rng.normal(0, 0.1, 12))
    with pytest.raises(error, match=sentence):
        result.leave_one_out()


def test_a_loaded_fit_has_no_data(tmp_path):
    fit = PolynomialSurface(1, "x").fit(np.array([1.0, 2, 4, 3]), x=np.arange(4.0))
    fit.save(tmp_path / "fit.json")
    with pytest.raises(DocumentError, match="loaded fit"):
        sf.load(tmp_path / "fit.json").leave_one_out()


def test_nothing_is_changed(scattered):
    coords, data, sigma = scattered
    fit = PolynomialSurface(2).fit(data, sigma=sigma, **coords)
    before = copy.deepcopy(fit.params)
    fit.leave_one_out()
    assert before == fit.params


def test_fits_from_the_sums_of_a_grid(rng):
    """Long grids are fitted without columns; their leverages are those of the columns."""
    x, y = np.linspace(-1, 1, 90)[None, :], np.linspace(0, 2, 80)[:, None]
    data = 1 + x * y + rng.normal(0, 0.1, (80, 90))
    fit = PolynomialSurface(2).fit(data, x=x, y=y)
    found = fit.leave_one_out()
    X, Y = (c.ravel() for c in np.broadcast_arrays(x, y))
    q, _ = np.linalg.qr(np.column_stack([np.ones(7200), X, Y, X * X, X * Y, Y * Y]))
    h = np.sum(q * q, axis=1)
    np.testing.assert_allclose(found.leverage.ravel(), h, rtol=1e-9)
    np.testing.assert_allclose(found.residual.ravel(), (data.ravel() - q @ (q.T @ data.ravel())) / (1 - h), atol=1e-12)
    assert found.exact
