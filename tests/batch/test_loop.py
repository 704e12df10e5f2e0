"""One by one: the same answers as the fits themselves, and flags for what a data set raises."""

from __future__ import annotations

import numpy as np
import pytest

import surffit as sf
from surffit.solve.status import Status

X = np.linspace(0, 4, 25)


def decay(x, height, rate, level):
    return height * np.exp(-rate * x) + level


def picky(x, height, rate, level):
    x = np.asarray(x, dtype=float)
    if not rate < 50:
        msg = "too fast"
        raise RuntimeError(msg)
    return decay(x, height, float(rate), level)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    return np.array([decay(X, *t) for t in rng.uniform([1, 0.5, 0], [4, 2, 1], (24, 3))]) + rng.normal(0, 0.02, (24, X.size))


def test_same_as_single_fits(data):
    batch = sf.fit_many(picky, data, axis=1, x=X, params={"height": 2.0, "rate": 1.0, "level": 0.3}, covar=True)
    assert batch.engine == "loop"
    assert "not lockstep" in batch.engine_reason
    model = sf.SurfaceModel(picky)
    for q in (0, 7, 23):
        one = model.fit(data[q], x=X, height=2.0, rate=1.0, level=0.3)
        assert batch.maps.values[:, q].tolist() == [one.params[n].value for n in batch.task.free]
        assert batch.maps.stderr[:, q].tolist() == [one.params[n].stderr for n in batch.task.free]
        assert (batch.maps.chisqr[q], batch.maps.nfree[q]) == (one.chisqr, one.nfree)
        order = [one.var_names.index(n) for n in batch.task.free]
        assert np.array_equal(batch.maps.covar[..., q], one.covar[np.ix_(order, order)])


def test_one_that_raises_is_flagged(data):
    rate = np.full(24, 1.0)
    rate[5] = 99.0
    params = {"height": 2.0, "rate": rate, "level": 0.3}
    bad = data.copy()
    bad[3] = np.nan
    with pytest.warns(sf.exceptions.SurffitWarning, match="too fast"):
        batch = sf.fit_many(picky, bad, axis=1, x=X, params=params)
    assert np.flatnonzero(~batch.success).tolist() == [3, 5]
    assert Status(int(batch.maps.status[5])) == Status.CHUNK_FAILED
    assert Status(int(batch.maps.status[3])) == Status.NONFINITE_DATA
    whole = sf.fit_many(picky, data, axis=1, x=X, params={"height": 2.0, "rate": 1.0, "level": 0.3})
    left = np.setdiff1d(np.arange(24), [3, 5])
    assert np.array_equal(batch.maps.values[:, left], whole.maps.values[:, left])


def test_what_all_raise_is_raised(data):
    with pytest.raises(RuntimeError, match="too fast"):
        sf.fit_many(picky, data, axis=1, x=X, params={"height": 2.0, "rate": 99.0, "level": 0.3})


def test_bounds_and_known_values_of_each(data):
    top = np.linspace(0.6, 3.0, 24)
    level = np.linspace(0.0, 1.0, 24)
    params = {"height": 2.0, "rate": {"value": 0.5, "max": top}, "level": {"value": level, "vary": False}}
    before, batch = (sf.fit_many(decay, data, axis=1, x=X, params=params, engine=engine) for engine in ("loop", "lockstep"))
    for one in (before, batch):
        assert one.success.all()
        assert (one.values["rate"] <= top).all()
    assert (np.abs(batch.maps.values - before.maps.values) <= 1e-4 * np.nan_to_num(before.maps.stderr, nan=1e-9)).all()
    assert np.array_equal(batch.where("AT_BOUND"), before.where("AT_BOUND"))
