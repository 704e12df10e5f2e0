"""Losses with several minima, and losses that handle their arguments roughly."""

import numpy as np
import pytest

import surffit as sf


def _two_crowds():
    """30 points, 19 on 1 + x/2 and the last 11 at 20: least squares, and soft_l1 after it, lean to a compromise."""
    x = np.arange(30.0)
    rng = np.random.default_rng(2)
    y = 1 + 0.5 * x + rng.normal(0, 0.2, 30)
    y[-11:] = 20 + rng.normal(0, 0.2, 11)
    return sf.SurfaceModel.from_expression("a+b*x", independent_vars=["x"]), x, y


@pytest.mark.parametrize("kws", [{"sigma": 0.2, "scale_covar": False}, {}], ids=["known", "found"])
@pytest.mark.parametrize("start", [{}, {"a": 1.0, "b": 0.5}, {"b": 0.5}, {"a": -0.187, "b": 0.698}], ids=["none", "near", "one", "worse"])
@pytest.mark.parametrize("loss", ["cauchy", "arctan", np.log1p])
def test_a_linear_model_ends_in_the_lowest_of_several_minima(loss, start, kws):
    model, x, y = _two_crowds()
    result = model.fit(y, x=x, loss=loss, **kws, **start)
    assert result.success
    assert result.values["a"] == pytest.approx(1.0, abs=0.25)
    assert result.values["b"] == pytest.approx(0.5, abs=0.02)
    if loss == "cauchy" and kws:
        assert result.chisqr == pytest.approx(85.342167506919, rel=1e-9)
    assert "needed no start" not in " ".join(result.explain().split())


def test_explain_tells_of_another_minimum_that_the_start_led_to():
    model, x, y = _two_crowds()
    kws = {"x": x, "loss": "cauchy", "sigma": 0.2, "scale_covar": False}
    worse = model.fit(y, a=-0.187, b=0.698, **kws)
    assert "The start given led to another minimum, a = -0.186671, b = 0.698288, where the loss is higher" in " ".join(
        worse.explain().split()
    )
    assert "another minimum" not in " ".join(model.fit(y, a=1.0, b=0.5, **kws).explain().split())
    assert "needed no start" in " ".join(model.fit(y, **{**kws, "loss": "soft_l1"}).explain().split())


def _writes(data, model):
    np.subtract(data, model, out=data)
    np.divide(data, 0.1, out=data)
    return np.square(data, out=data)


def _writes_rho(z):
    z += 1.0
    return np.log(z, out=z)


def test_a_loss_may_write_into_its_arguments():
    model, x, y = _two_crowds()
    given = y.copy()
    result = model.fit(y, x=x, loss=_writes)
    plain = model.fit(y, x=x, loss=lambda data, fitted: ((data - fitted) / 0.1) ** 2)
    assert result.best_values == pytest.approx(plain.best_values, rel=1e-9)
    assert result.chisqr == pytest.approx(plain.chisqr, rel=1e-9)
    assert np.array_equal(y, given)
    assert model.fit(y, x=x, loss=_writes_rho).best_values == pytest.approx(model.fit(y, x=x, loss=np.log1p).best_values, rel=1e-6)


@pytest.mark.parametrize("what", ["sigma", "var", "ivar", "weights"])
def test_one_complex_error_serves_all_complex_data(what):
    w = np.geomspace(0.1, 100, 25)
    rng = np.random.default_rng(3)
    model = sf.SurfaceModel(lambda w, a, t: a / (1 + 1j * w * t), independent_vars=["w"])
    z = model.eval(a=3.0, t=0.3, w=w) + rng.normal(0, 0.05, 25) + 1j * rng.normal(0, 0.1, 25)
    one = {"sigma": 0.05 + 0.1j, "var": 0.0025 + 0.01j, "ivar": 400 + 100j, "weights": 20 + 10j}[what]
    result = model.fit(z, w=w, t=0.2, scale_covar=False, loss="soft_l1", **{what: one})
    same = model.fit(z, w=w, t=0.2, scale_covar=False, loss="soft_l1", weights=np.full(25, 20 + 10j))
    assert result.chisqr == pytest.approx(same.chisqr, rel=1e-12)
    assert result.best_values == pytest.approx(same.best_values, rel=1e-12)
