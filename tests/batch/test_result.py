"""What a batch hands back: maps, flags, values elsewhere, and any one fit as a full result."""

import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import DataError, ParameterError

T = np.linspace(-5.0, 5.0, 40)


def peak(x, height, centre, width, floor):
    return height * np.exp(-0.5 * ((x - centre) / width) ** 2) + floor


@pytest.fixture(scope="module")
def cube():
    """Peaks on a map of 2 x 3, the fit axis first; one pixel has a nan."""
    rng = np.random.default_rng(3)
    centres = np.array([[-1.0, 0.0, 1.0], [0.5, -0.5, 0.2]])
    data = peak(T[:, None, None], 10.0, centres, 1.2, 3.0) + rng.normal(0.0, 0.3, (len(T), 2, 3))
    data[5, 0, 0] = np.nan
    return data


@pytest.fixture(scope="module")
def batch(cube):
    model = sf.SurfaceModel(peak, independent_vars=["x"])
    params = model.make_params(height=5.0, centre=0.1, width=1.0, floor=0.0)
    params.add("fwhm", expr="2.3548200450309493*width")
    params.add("flux", expr="height*width*sqrt(2*pi)")
    params["floor"].set(value=3.0, vary=False)
    return sf.fit_many(model, cube, axis=0, params=params, sigma=0.3, x=T, covar=True, workers=1)


def test_maps_of_free_fixed_and_tied_parameters(batch):
    assert list(batch.values) == ["height", "centre", "width", "floor", "fwhm", "flux"]
    assert batch.values["centre"].shape == (2, 3)
    assert (batch.values["floor"] == 3.0).all()
    assert (batch.stderr["floor"] == 0.0).all()
    np.testing.assert_allclose(batch.stderr["fwhm"][1], 2.3548200450309493 * batch.stderr["width"][1], rtol=1e-12)
    assert np.isnan(batch.values["fwhm"][0, 0])
    assert np.isnan(batch.stderr["fwhm"][0, 0])


def test_a_wrong_name_is_answered_with_the_nearest(batch):
    with pytest.raises(KeyError, match=r"^the batch has no parameter 'center'; did you mean 'centre'"):
        batch.values["center"]
    assert batch.values.get("center") is None


def test_maps_of_numbers(batch, cube):
    assert batch.redchi[1, 1] == batch.chisqr[1, 1] / batch.nfree[1, 1]
    assert batch.nobs[1, 1] == len(T)
    assert batch.nfree[1, 1] == len(T) - 3
    assert batch.success.tolist() == [[False, True, True], [True, True, True]]
    assert (batch.failed == ~batch.success).all()
    assert batch.status.dtype == np.uint32


def test_flags_by_name(batch):
    assert np.argwhere(batch.where("NONFINITE_DATA")).tolist() == [[0, 0]]
    assert batch.where("NONFINITE_DATA|CONVERGED_GRADIENT").all()
    assert batch.where(sf.Status.RUNAWAY).sum() == 0
    with pytest.raises(ParameterError, match="no flag 'RUNAWY'; did you mean 'RUNAWAY'"):
        batch.where("RUNAWY")
    assert "non-finite" in batch.message((0, 0))
    assert batch.message(dim_0=1, dim_1=-1 % 3).startswith("Converged")


def test_covariance(batch, cube):
    assert batch.covar.shape == (3, 3, 2, 3)
    assert batch.var_names == ["height", "centre", "width"]
    np.testing.assert_allclose(np.sqrt(batch.covar[1, 1, 1]), batch.stderr["centre"][1], rtol=1e-12)


def test_covariance_that_was_not_kept_says_its_price(cube):
    small = sf.fit_many(sf.get_model("linear"), cube, axis=0, x=T, nan_policy="omit", workers=1)
    with pytest.raises(DataError, match=r"fit with covar=True, which takes 192 bytes for 6 data sets of 2 parameters"):
        _ = small.covar
    with pytest.raises(DataError, match="covar=True"):
        small.predict(level=0.95, x=0.0)


def test_best_fit_and_residual_have_the_shape_of_the_data(batch, cube):
    assert batch.best_fit.shape == cube.shape
    one = batch.to_lmfit((1, 2))
    np.testing.assert_allclose(batch.best_fit[:, 1, 2], one.best_fit, rtol=1e-12)
    np.testing.assert_allclose(batch.residual()[:, 1, 2], (cube[:, 1, 2] - one.best_fit) / 0.3, atol=1e-9)
    np.testing.assert_allclose(batch.residual(weighted=False)[:, 1, 2], cube[:, 1, 2] - one.best_fit, atol=1e-9)
    assert np.isnan(batch.best_fit[:, 0, 0]).all()
    np.testing.assert_allclose(np.nansum(batch.residual() ** 2, axis=0)[1], batch.chisqr[1], rtol=1e-9)


def test_predict(batch):
    assert batch.predict(x=0.0).shape == (2, 3)
    x = np.linspace(-1.0, 1.0, 7)
    new = batch.predict(x=x)
    assert new.shape == (7, 2, 3)
    one = batch.to_lmfit((1, 1))
    np.testing.assert_allclose(new[:, 1, 1], one.eval(x=x), rtol=1e-9)
    assert batch.predict().shape == (len(T), 2, 3)
    band = batch.predict(level=0.9, x=x)
    expected = one.predict(0.9, x=x)
    for name in ("fit", "lower", "upper"):
        np.testing.assert_allclose(band[name][:, 1, 1], expected[name], rtol=1e-7)
    # coordinates of their own
    own = batch.predict(x=batch.values["centre"][None])
    np.testing.assert_allclose(own[0, 1], batch.values["height"][1] + 3.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("coords", "sentence"),
    [({"t": 1.0}, r"got t; give all of x"), ({"x": np.zeros((2, 2, 7)), "level": 2}, "outside 0 to 1")],
)
def test_predict_refuses(batch, coords, sentence):
    with pytest.raises(DataError, match=sentence):
        batch.predict(**coords)


@pytest.mark.parametrize("scale_covar", [True, False])
def test_one_fit_as_a_full_result(cube, scale_covar):
    model = sf.SurfaceModel(peak, independent_vars=["x"])
    params = model.make_params(height=5.0, centre=0.1, width={"value": 1.0, "min": 0.1}, floor=0.0)
    mask = np.zeros(cube.shape, dtype=bool)
    mask[:7] = True
    fits = sf.fit_many(model, cube, axis=0, params=params, sigma=0.2, mask=mask, x=T, covar=True, scale_covar=scale_covar, workers=1)
    for place in [(0, 0), (1, 2)]:
        one = fits.to_lmfit(place)
        assert one.ndata == len(T) - 7 == fits.nobs[place]
        assert one.redchi == pytest.approx(fits.redchi[place], rel=1e-9)
        for name in fits.var_names:
            assert one.params[name].value == pytest.approx(fits.values[name][place], rel=1e-9)
            assert one.params[name].stderr == pytest.approx(fits.stderr[name][place], rel=1e-6)
        order = [one.var_names.index(name) for name in fits.var_names]
        np.testing.assert_allclose(one.covar[np.ix_(order, order)], fits.covar[(..., *place)], rtol=1e-6)
        assert one.params["width"].min == 0.1
        assert one.batch_notes == ()


def test_one_fit_by_name_of_the_axis(batch):
    assert batch.to_lmfit(dim_0=1, dim_1=2).params == batch.to_lmfit({"dim_0": 1, "dim_1": -1}).params
    for index, sentence in [(3, "give 2 whole numbers"), ((0, 7), "outside the map"), ({"dim_0": 0}, "the axes dim_0, dim_1")]:
        with pytest.raises(DataError, match=sentence):
            batch.to_lmfit(index)
    with pytest.raises(DataError, match="'dim_3' is no axis"):
        batch.to_lmfit(dim_3=0)


def test_a_data_set_without_fit_says_why(batch):
    with pytest.raises(DataError, match=r"at \(0, 0\) has no fit. The data hold non-finite values"):
        batch.to_lmfit((0, 0))


def test_words(batch):
    assert repr(batch) == "<BatchResult: 5 of 6 fits succeeded (2 x 3), engine loop>"
    text = batch.summary()
    for part in ("6 fits (2 x 3), 5 succeeded (83 %)", "1 (17 %)  NONFINITE_DATA: The data hold", "floor   3  (fixed)", "fwhm", "redchi"):
        assert part in text, text
    assert "<table>" in batch._repr_html_()


def untraceable(x, a, b):
    return a * np.array([float(v) for v in x]) + b


def test_a_model_without_a_graph(cube):
    model = sf.SurfaceModel(untraceable, independent_vars=["x"])
    params = model.make_params(a=1.0, b=0.0)
    params.add("twice", expr="2*a")
    fits = sf.fit_many(model, cube, axis=0, params=params, x=T, nan_policy="omit", covar=True, workers=1)
    line = sf.fit_many(sf.get_model("linear"), cube, axis=0, x=T, nan_policy="omit", covar=True, workers=1)
    assert not fits.evaluator.traced
    np.testing.assert_allclose(fits.best_fit, line.best_fit, rtol=1e-6)
    np.testing.assert_allclose(fits.values["twice"], 2 * fits.values["a"])
    np.testing.assert_allclose(fits.stderr["twice"], 2 * fits.stderr["a"], rtol=1e-9)
    mine, theirs = (one.predict(level=0.95, x=np.arange(3.0)) for one in (fits, line))
    np.testing.assert_allclose(mine["upper"], theirs["upper"], rtol=1e-6)


def test_what_was_not_determined_has_no_band():
    def model(x, a, b, c):
        return (a + b) * x + c

    x = np.arange(6.0)
    data = np.random.default_rng(1).normal(size=(4, 6)) + x
    fits = sf.fit_many(sf.SurfaceModel(model, independent_vars=["x"]), data, axis=1, x=x, covar=True, workers=1)
    assert np.isinf(fits.stderr["a"]).all()
    band = fits.predict(level=0.9, x=np.array([0.0, 1.0]))
    assert np.isfinite(band["upper"][:, 0]).all()
    assert np.isinf(band["upper"][:, 1]).all()


def test_stamps_on_several_axes():
    y, x = np.mgrid[:5, :6].astype(float)
    stack = np.stack([1.0 + 2.0 * x + k * y for k in range(4)], axis=1)  # (y, stack, x): the fit axes are not neighbours
    plane = sf.SurfaceModel(lambda x, y, a, b, c: a + b * x + c * y, independent_vars=["x", "y"])
    fits = sf.fit_many(plane, stack, axis=(0, 2), x=x, y=y, workers=1)
    np.testing.assert_allclose(fits.best_fit, stack, atol=1e-9)
    assert fits.best_fit.flags.c_contiguous
    np.testing.assert_allclose(fits.predict(x=x, y=y), stack, atol=1e-9)
    np.testing.assert_allclose(fits.predict(x=np.zeros(3), y=np.ones(3))[0], 1.0 + np.arange(4.0), atol=1e-9)
    assert fits.to_lmfit(2).best_fit.shape == (5, 6)
