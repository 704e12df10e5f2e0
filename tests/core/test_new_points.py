"""`predict(kind="prediction", sigma_new=...)`: whose unit it is in, and what is no error."""

import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import DataError

X = np.linspace(0, 10, 200)
AT = np.array([5.0, 6.0])
LINE = sf.SurfaceModel(lambda x, a, b: a + b * x)
TIMES = 1.972  # Student's t, 95 %, 198


@pytest.fixture
def data(rng):
    return 1 + 2 * X + rng.normal(0, 0.05, X.size)


def width(fit, **kws):
    band = fit.predict(x=AT, **kws)
    return (band["upper"] - band["fit"]).to_numpy()


@pytest.mark.parametrize("loss", [None, "huber"])
@pytest.mark.parametrize("sigma", [0.05, 1.0])
def test_without_errors_it_is_the_error_itself(data, sigma, loss):
    fit = LINE.fit(data, x=X, loss=loss) if loss else LINE.fit(data, x=X)
    expected = np.hypot(width(fit), TIMES * sigma)
    np.testing.assert_allclose(width(fit, kind="prediction", sigma_new=sigma), expected, rtol=1e-3)


@pytest.mark.parametrize("scaled", [True, False])
def test_with_errors_it_is_one_of_theirs(data, scaled):
    fit = LINE.fit(data, x=X, sigma=0.01, scale_covar=scaled)  # too small by 5
    same = width(fit, kind="prediction", sigma_new=0.01)
    np.testing.assert_allclose(same, width(fit, kind="prediction"), rtol=1e-12)
    factor = np.sqrt(fit.redchi) if scaled else 1.0
    assert factor > 4 or not scaled
    expected = np.hypot(width(fit), (TIMES if scaled else 1.96) * factor * 0.02)
    np.testing.assert_allclose(width(fit, kind="prediction", sigma_new=0.02), expected, rtol=1e-3)


def test_of_counts_it_is_the_error_itself(rng):
    fit = LINE.fit(rng.poisson(20 + 2 * X).astype(float), x=X, loss="poisson", a=20, b=2)
    np.testing.assert_allclose(width(fit, kind="prediction", sigma_new=7.0), np.hypot(width(fit), 1.96 * 7), rtol=1e-3)


def test_it_broadcasts_to_the_points(data):
    fit = LINE.fit(data, x=X)
    each = width(fit, kind="prediction", sigma_new=[0.1, 0.4])
    np.testing.assert_allclose(each[0], width(fit, kind="prediction", sigma_new=0.1)[0])
    np.testing.assert_allclose(each[1], width(fit, kind="prediction", sigma_new=0.4)[1])
    np.testing.assert_allclose(width(fit, kind="prediction", sigma_new=0.0), width(fit))
    assert np.isinf(width(fit, kind="prediction", sigma_new=np.inf)).all()


@pytest.mark.parametrize(
    "wrong", [-1, np.nan, [0.1, -0.1], [0.1, np.nan], "a", [1, 2, 3], [[0.1], [0.2]], [[0.1, 0.2]], 1j, None, {"a": 1}]
)
def test_what_is_no_error_is_refused(data, wrong):
    fit = LINE.fit(data, x=X)
    if wrong is None:  # negative control: no error given is none refused
        assert width(fit, kind="prediction").shape == (2,)
        return
    with pytest.raises(DataError, match="sigma_new"):
        fit.predict(x=AT, kind="prediction", sigma_new=wrong)


def test_a_confidence_band_has_no_use_for_it(data):
    fit = LINE.fit(data, x=X)
    with pytest.raises(DataError, match='kind="prediction"'):
        fit.predict(x=AT, sigma_new=0.1)
    joint = sf.JointModel({"p": LINE, "q": LINE}).fit({"p": data, "q": data}, x=X)
    with pytest.raises(DataError, match='kind="prediction"'):
        joint.predict(x=AT, sigma_new=0.1)
    with pytest.raises(DataError, match="shape"):
        joint.predict(x=AT, kind="prediction", sigma_new={"p": 0.1, "q": [1, 2, 3]})


def test_units_are_converted(data):
    units = pytest.importorskip("astropy.units")
    fit = LINE.fit(data * units.m, x=X)
    band = fit.predict(x=AT, kind="prediction", sigma_new=100 * units.cm)
    expected = fit.predict(x=AT, kind="prediction", sigma_new=1.0)
    np.testing.assert_allclose(band["upper"].value, expected["upper"].value)
    with pytest.raises(DataError, match="not convertible"):
        fit.predict(x=AT, kind="prediction", sigma_new=1 * units.s)
