"""Backgrounds: found under stars, in every container, and with error bars that know of the clipping."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import surffit as sf
from surffit.exceptions import ConvergenceWarning, DataError, ParameterError
from surffit.surfaces import PolynomialSurface, detrend
from surffit.surfaces.truncation import truncation

Y, X = np.mgrid[:60, :70]
TRUE = 100 + 0.5 * X - 0.2 * Y + 0.002 * X * Y


def sky(rng, stars=8, noise=2.0):
    image = TRUE + rng.normal(0, noise, X.shape)
    for _ in range(stars):
        x, y = rng.uniform(0, 70), rng.uniform(0, 60)
        image += rng.uniform(50, 400) * np.exp(-((X - x) ** 2 + (Y - y) ** 2) / 4)
    return image


# ---- the corrections ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(3, 3), (2, 2), (1, 1), (math.inf, 2), (2, math.inf), (1.5, 3), (math.inf, math.inf)])
def test_corrections_by_quadrature_and_simulation(low, high, rng):
    t = truncation(float(low), float(high))
    inside = max(t.shift - low, -40), min(t.shift + high, 40)
    moment = [integrate.quad(lambda u, k=k: (u - t.shift) ** k * stats.norm.pdf(u), *inside, epsabs=1e-13, points=[0])[0] for k in range(3)]
    assert moment[1] == pytest.approx(0, abs=1e-10)  # the fit sits at the mean of what it keeps
    assert t.kept == pytest.approx(moment[0], rel=1e-9)
    assert t.noise == pytest.approx(math.sqrt(moment[0] / moment[2]), rel=1e-8)
    u = rng.normal(size=400_000)
    u = u[(u > inside[0]) & (u < inside[1])]
    # its own scatter is 0.3 %
    assert np.median(np.abs(u - np.median(u))) == pytest.approx(t.deviation, rel=0.01)


# ---- the background ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [3, 2.5, (None, 2.5), (4, 2.5)])
def test_stars_are_left_out(clip, rng):
    image = sky(rng)
    found = detrend(image, 2, clip=clip, grow=2)
    assert found.converged
    assert found.clipped[image - TRUE > 12].all()
    off = found.background - TRUE - found.shift * found.noise
    error = found.result.eval_uncertainty(x=X, y=Y)
    assert np.abs(off / error).max() < 4.5
    assert found.noise == pytest.approx(2, rel=0.04)
    np.testing.assert_allclose(found.residual + found.background, image, rtol=1e-13)
    # a control: without clipping the stars lift the sky
    plain = detrend(image, 2, clip=None)
    assert plain.background.mean() - TRUE.mean() > 1
    assert plain.iterations == 1
    assert not plain.clipped.any()


def pulls(clip, known, count=220):
    """Errors of the background at a point in units of the standard error, and the factor that was applied."""
    rng = np.random.default_rng(12)
    y, x = np.mgrid[:14, :15]
    at = {"x": np.array([3.0]), "y": np.array([9.0])}
    out, noise = [], []
    for _ in range(count):
        image = 5 + 0.1 * x - 0.2 * y + rng.normal(0, 2, x.shape)
        errors = {"sigma": np.full(x.shape, 2.0), "scale_covar": False} if known else {}
        found = detrend(image, 1, clip=clip, **errors)
        out.append((found.result.eval(**at)[0] - 3.5 - found.shift * 2) / found.result.eval_uncertainty(**at)[0])
        noise.append(found.noise)
    return np.array(out), np.mean(noise)


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "known"), [(2.0, False), (2.0, True), ((None, 2.0), False)])
def test_error_bars_are_right(clip, known):
    found, noise = pulls(clip, known)
    # the scatter of a standard deviation from 220 draws is 4.8 %
    assert 0.87 < found.std() < 1.13
    low, high = (math.inf, 2.0) if isinstance(clip, tuple) else (2.0, 2.0)
    t = truncation(low, high)
    if not known:
        assert noise == pytest.approx(2, rel=0.02)
    if clip == 2.0 and not known:
        # a control: what the fit alone says is too small by more than this test would miss
        assert (found * t.noise**2).std() > 1.13
        assert noise / t.noise < 0.95 * 2


def test_the_result_is_an_ordinary_one(rng, tmp_path):
    image = sky(rng)
    found = detrend(image, 1, clip=2.5)
    result = found.result
    assert isinstance(result, sf.SurfaceResult)
    plain = PolynomialSurface(1).fit(image, x=X, y=Y, mask=found.mask)
    factor = truncation(2.5, 2.5).noise ** 2
    np.testing.assert_allclose(result.best_fit, plain.best_fit, rtol=1e-12)
    np.testing.assert_allclose(result.covar, plain.covar * factor**2, rtol=1e-10)
    at = {"x": np.array([3.0]), "y": np.array([5.0])}
    one, two = (r.predict(**at) for r in (result, plain))
    np.testing.assert_allclose(one.upper - one.fit, factor * (two.upper - two.fit), rtol=1e-10)
    one, two = (r.predict(kind="prediction", **at) for r in (result, plain))
    assert ((one.upper - one.fit) / (two.upper - two.fit)).iloc[0] == pytest.approx(truncation(2.5, 2.5).noise, rel=1e-3)
    assert f"multiplied by {factor:.4g}" in " ".join(result.explain().split())
    monomials = result.to_basis("monomial")
    np.testing.assert_allclose(monomials.best_fit, result.best_fit, rtol=1e-12)
    np.testing.assert_allclose(monomials.predict(**at), result.predict(**at), rtol=1e-9)
    assert monomials.params["c0_1"].stderr == pytest.approx(plain.to_basis("monomial").params["c0_1"].stderr * factor, rel=1e-9)
    result.save(tmp_path / "sky.json")
    assert sf.load(tmp_path / "sky.json").params["c1_0"].stderr == pytest.approx(result.params["c1_0"].stderr)


def test_masks_and_nan_are_told_from_what_was_clipped(rng):
    image = sky(rng)
    image[3, 4] = np.nan
    user = np.zeros(image.shape, bool)
    user[10:20, :5] = True
    found = detrend(image, 1, mask=user)
    assert np.array_equal(found.masked, user | np.isnan(image))
    assert not (found.clipped & found.masked).any()
    assert np.array_equal(found.mask, found.clipped | found.masked)
    assert np.isfinite(found.background).all()
    assert np.isnan(found.residual).sum() == 1
    assert "51 of 4200 points were masked" in found.report()
    assert image[3, 4] != image[3, 4]


@pytest.mark.parametrize("kind", ["series", "masked", "quantity", "dataarray", "scattered"])
def test_containers_come_back(kind, rng):
    line = 1 + 0.01 * np.arange(200.0) + rng.normal(0, 0.1, 200)
    line[50:53] += 3
    image = line.reshape(10, 20)
    if kind == "series":
        data = pd.Series(line, index=np.arange(200) + 7, name="flux")
        found = detrend(data, 1)
        pd.testing.assert_index_equal(found.residual.index, data.index)
        assert found.background.name == "flux"
    elif kind == "masked":
        found = detrend(np.ma.MaskedArray(image, mask=image < 0.9), 1)
        assert isinstance(found.residual, np.ma.MaskedArray)
        assert found.masked.sum() == (image < 0.9).sum()
    elif kind == "quantity":
        u = pytest.importorskip("astropy.units")
        found = detrend(image * u.mJy, 1)
        assert found.residual.unit == u.mJy == found.background.unit
    elif kind == "dataarray":
        xarray = pytest.importorskip("xarray")
        data = xarray.DataArray(image, dims=("y", "x"), coords={"x": np.linspace(5, 6, 20), "y": np.arange(10.0)})
        found = detrend(data, 1)
        assert found.background.dims == ("y", "x")
        assert found.result.model.basis.domain[0] == (5, 6)
    else:
        x, y = rng.uniform(0, 1, (2, 200))
        found = detrend(line, 3, lon=x, lat=y)
        assert found.result.model.variables == ("lon", "lat")
    assert found.converged


def test_any_model_and_starts(rng):
    x = np.linspace(0, 10, 300)
    data = 3 * np.exp(-x / 2) + 1 + rng.normal(0, 0.05, 300)
    data[::25] += 2
    decay = sf.SurfaceModel(lambda x, a, tau, c: a * np.exp(-x / tau) + c)
    found = detrend(data, decay, x=x, tau=1.0)
    assert found.clipped[::25].all()
    assert found.result.params["tau"].value == pytest.approx(2, abs=5 * found.result.params["tau"].stderr)
    assert not detrend(data[1:25], decay, x=x[1:25], params=decay.make_params(a=3, tau=1, c=1), clip=5).clipped.any()


def test_what_does_not_end_says_so(rng):
    with pytest.warns(ConvergenceWarning, match="the limit of 2 fits"):
        stopped = detrend(sky(rng, stars=20), 1, clip=2.5, max_iter=2)
    assert not stopped.converged
    assert stopped.report().startswith("NOT CONVERGED. The limit of 2 fits")
    assert "NOT CONVERGED" in repr(stopped)
    assert stopped.iterations == 2
    # what is clipped is what the result was fitted without
    assert stopped.result.ndata == (~stopped.mask).sum()


def test_data_without_noise_lose_nothing_but_the_spikes():
    image = np.full((20, 30), 7.0)
    image[4, 5] = 9
    found = detrend(image, 0)
    assert found.clipped.sum() == 1
    np.testing.assert_allclose(found.background, 7, rtol=1e-12)


def test_uncut_noise_keeps_its_errors(rng):
    image = TRUE + rng.uniform(-1, 1, X.shape)  # nothing beyond 1.7 sigma
    found = detrend(image, 2, clip=4)
    plain = PolynomialSurface(2).fit(image, x=X, y=Y)
    assert not found.clipped.any()
    np.testing.assert_allclose(found.result.covar, plain.covar, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"clip": 0.5}, ParameterError, "from 1 up"),
        ({"clip": (3, 3, 3)}, ParameterError, "clip="),
        ({"clip": "3 sigma"}, ParameterError, "clip='3 sigma'"),
        ({"clip": np.nan}, ParameterError, "from 1 up"),
        ({"max_iter": 0}, ParameterError, "max_iter=0"),
        ({"grow": 1.5}, ParameterError, "grow=1.5"),
        ({"model": "plane"}, ParameterError, "model='plane'"),
        ({"clipp": 2}, ParameterError, "got clipp=2, which is no argument"),
        ({"loss": "huber"}, ParameterError, "got loss='huber', which is no argument"),
        ({"nan_policy": "raise", "mask": None}, DataError, "non-finite"),
    ],
)
def test_bad_calls_are_one_sentence(options, error, sentence, rng):
    image = sky(rng)
    image[0, 0] = np.nan
    with pytest.raises(error, match=sentence):
        detrend(image, **options)


def test_growing_needs_neighbours(rng):
    x, y, z = rng.uniform(0, 1, (3, 50))
    with pytest.raises(DataError, match="image or a line"):
        detrend(z, 1, grow=1, x=x, y=y)
    with pytest.raises(DataError, match="the coordinate y"):
        detrend(z.reshape(5, 10), sf.SurfaceModel(lambda x, y, a: a + x + y, ["x", "y"]), x=np.arange(10.0))
