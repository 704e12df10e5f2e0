"""The lock-step engine: answers of scipy one by one, flags, and independence of everything around a data set."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit, least_squares

import surffit as sf
from surffit.batch.data.cube import Rows
from surffit.batch.data.stack import padded, stacks
from surffit.solve.status import Status


def peak(x, height, centre, width, level):
    return height * np.exp(-(((x - centre) / width) ** 2) / 2) + level


def opaque(x, height, centre, width, level):
    return peak(x + 0.0 * np.ptp(np.asarray(x, dtype=float)), height, centre, width, level)  # a symbol is no array


X = np.linspace(-5, 5, 41)
STARTS = {"centre": 0.0, "width": 1.5}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    truth = np.column_stack([rng.uniform(1, 5, 90), rng.uniform(-2, 2, 90), rng.uniform(0.8, 2, 90), rng.uniform(0, 1, 90)])
    return np.array([peak(X, *t) for t in truth]) + rng.normal(0, 0.1, (90, X.size))


def fitted(model, data, **kwargs):
    kwargs = {"params": STARTS, "engine": "lockstep", "workers": 1, **kwargs}
    return sf.fit_many(model, data, axis=-1, x=X, **kwargs)


@pytest.mark.parametrize("weighted", [False, True])
def test_same_as_curve_fit(data, weighted):
    sigma = np.random.default_rng(1).uniform(0.05, 0.2, data.shape) if weighted else None
    batch = fitted(peak, data, sigma=sigma, scale_covar=not weighted, covar=True)
    assert batch.engine == "lockstep"
    assert batch.success.all()
    for q in range(0, 90, 3):
        here = batch.maps.values[:, q]
        tight = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14}
        known = {"sigma": sigma[q], "absolute_sigma": True} if weighted else {}
        p, covar = curve_fit(peak, X, data[q], p0=here, **known, **tight)
        error = np.sqrt(np.diag(covar))
        assert np.abs((p - here) / error).max() < 1e-5
        assert batch.maps.stderr[:, q] == pytest.approx(error, rel=1e-5)
        assert batch.maps.covar[..., q] == pytest.approx(covar, rel=1e-4, abs=1e-5 * error.max() ** 2)


def test_columns_of_parameters_without_a_graph(data):
    traced, plain = fitted(peak, data), fitted(opaque, data, params={**STARTS, "height": 2.0, "level": 0.5})
    assert "columns" in plain.engine_reason
    same = (np.abs(plain.maps.chisqr / traced.maps.chisqr - 1) < 1e-9) & (plain.maps.values[2] > 0) & (traced.maps.values[2] > 0)
    assert same.mean() > 0.8
    assert (np.abs(plain.maps.values - traced.maps.values) / traced.maps.stderr)[:, same].max() < 1e-5
    assert plain.maps.stderr[:, same] == pytest.approx(traced.maps.stderr[:, same], rel=1e-5)


def test_what_takes_no_columns_is_refused(data):
    def branch(x, height, centre, width, level):
        if width < 0.1:
            width = 0.1
        return np.asarray(peak(np.asarray(x, dtype=float), height, centre, width, level))

    with pytest.raises(sf.exceptions.ParameterError, match="columns"):
        fitted(branch, data, params={**STARTS, "height": 2.0, "level": 0.5})


@pytest.mark.parametrize("model", [peak, opaque])
def test_independent_of_blocks_and_neighbours(data, model):
    params = {**STARTS, "height": 2.0, "level": 0.5}
    whole = fitted(model, data, params=params, covar=True).maps
    order = np.random.default_rng(0).permutation(90)
    for part, index in (
        (fitted(model, data, params=params, block=7, covar=True), np.arange(90)),
        (fitted(model, data[order], params=params, block=32, covar=True), order),
        (fitted(model, data[17:18], params=params, covar=True), np.array([17])),
    ):
        for name in ("values", "stderr", "chisqr", "nfev", "status", "covar"):
            assert np.array_equal(getattr(part.maps, name), getattr(whole, name)[..., index], equal_nan=True), name


def test_lengths_do_not_mix():
    rng = np.random.default_rng(5)
    lengths = rng.integers(5, 60, 40)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    x = np.sort(rng.uniform(-5, 5, offsets[-1]))[None]
    y = rng.normal(size=offsets[-1])
    rows = Rows(y, np.ones_like(y), x, offsets, offsets[:-1], np.zeros(40, dtype=np.uint32))
    seen = []
    for stack in stacks(rows, 4):
        assert stack.y.shape[1] == padded(lengths[stack.index])[0]
        for k, q in enumerate(stack.index):
            n = lengths[q]
            assert np.array_equal(stack.y[k, :n], y[offsets[q] : offsets[q + 1]])
            assert not stack.w[k, n:].any()
            assert np.isin(stack.x[0][k], x[0, offsets[q] : offsets[q + 1]]).all()
        seen += stack.index.tolist()
    assert sorted(seen) == list(range(40))
    assert (padded(np.arange(1, 2000)) < 1.15 * np.arange(1, 2000) + 1).all()


def test_bounds_as_trf(data):
    params = {**{k: {"value": v} for k, v in STARTS.items()}, "width": {"value": 1.1, "min": 0.1, "max": 1.2}}
    batch = fitted(peak, data, params=params)
    held = batch.where("AT_BOUND")
    assert 0.1 < held.mean() < 0.9
    for q in range(0, 90, 6):
        lower, upper = [-np.inf, -np.inf, 0.1, -np.inf], [np.inf, np.inf, 1.2, np.inf]
        start = np.clip(batch.maps.values[:, q] + 1e-3, lower, upper)
        best = least_squares(lambda p, q=q: peak(X, *p) - data[q], start, bounds=(lower, upper), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        assert batch.maps.chisqr[q] == pytest.approx(2 * best.cost, rel=1e-9)
        assert np.isnan(batch.maps.stderr[2, q]) == held[q]
        if held[q]:
            free = [0, 1, 3]
            _, covar = curve_fit(lambda x, h, c, b: peak(x, h, c, 1.2, b), X, data[q], p0=batch.maps.values[free, q])
            assert batch.maps.stderr[free, q] == pytest.approx(np.sqrt(np.diag(covar)), rel=1e-4)


def test_bad_citizens_have_flags_and_disturb_nobody(data):
    good = fitted(peak, data).maps
    bad = data.copy()
    weights = np.ones_like(bad)
    bad[0], bad[1, 3], weights[2], bad[3] = np.nan, np.inf, 0.0, 0.0
    weights[4, 3:] = 0.0
    start = np.full(90, 0.0)
    start[5] = 1e200
    width = np.full(90, 1.5)
    width[5] = 0.0
    batch = fitted(peak, bad, weights=weights, params={"centre": start, "width": width})
    flags = [Status(int(s)) for s in batch.maps.status]
    assert Status.NONFINITE_DATA in flags[0]
    assert Status.NONFINITE_DATA in flags[1]
    assert Status.NO_DATA in flags[2]
    assert Status.NO_EFFECT_AT_START in flags[3]
    assert np.isinf(batch.maps.stderr[1, 3])
    assert Status.FEW_POINTS in flags[4]
    assert Status.NONFINITE_START in flags[5]
    assert not batch.success.ravel()[:6].any()
    for name in ("values", "stderr", "chisqr", "status", "nfev"):
        assert np.array_equal(getattr(batch.maps, name)[..., 6:], getattr(good, name)[..., 6:]), name


def test_twins_are_rank_deficient(data):
    def twins(x, a, b, centre):
        return (a + b) * np.exp(-((x - centre) ** 2) / 2)

    batch = fitted(twins, data[:20] - 0.5, params={"centre": 0.3})
    assert batch.where("RANK_DEFICIENT").all()
    assert np.isinf(batch.maps.stderr[:2]).all()
    assert np.isfinite(batch.maps.stderr[2]).all()
    assert (batch.maps.nfree == X.size - 2).all()


def test_points_where_the_model_is_not_finite_may_be_masked(data):
    def pole(x, a, b, k):
        return a / (x + 5.0) + b * np.exp(-k * (x + 5.0))  # the first point lies at -5

    mask = np.zeros_like(data, dtype=bool)
    mask[:, 0] = True
    batch = fitted(pole, data[:10], params={"k": 0.3}, mask=mask[:10])
    assert np.isfinite(batch.maps.chisqr).all()
    batch = fitted(pole, data[:10], params={"k": 0.3})
    assert batch.where("NONFINITE_START").all()


@pytest.mark.slow
def test_pulls():
    rng = np.random.default_rng(11)
    truth = (3.0, 0.3, 1.3, 0.5)
    data = peak(X, *truth) + rng.normal(0, 0.1, (10_000, X.size))
    batch = fitted(peak, data, sigma=0.1, scale_covar=False)
    pulls = (batch.maps.values - np.array(truth)[:, None]) / batch.maps.stderr
    assert (np.abs(pulls.std(axis=1) - 1) < 0.03).all()
    assert np.mean(batch.maps.chisqr / batch.maps.nfree) == pytest.approx(1.0, abs=0.01)
    wrong = fitted(peak, data, sigma=0.12, scale_covar=False)  # the check sees an error of 20 %
    assert (np.abs(((wrong.maps.values - np.array(truth)[:, None]) / wrong.maps.stderr).std(axis=1) - 1) > 0.03).all()


def moved_peak(t, height, centre, width, level):
    if np.any(t < 0):
        raise ValueError
    return peak(t, height, centre, width, level)


def test_times_far_from_zero_cost_no_digits():
    rng = np.random.default_rng(8)
    t = np.arange(10.0)
    data = 5 + 0.3 * t[:, None] + rng.normal(0, 0.2, (10, 20))
    near = sf.fit_many(lambda t, a, b: a + b * t, data, t=t, engine="lockstep")
    far = sf.fit_many(lambda t, a, b: a + b * t, data, t=t + 1.7e9, engine="lockstep")
    assert far.success.all()
    assert np.abs((far.values["b"] - near.values["b"]) / near.stderr["b"]).max() < 1e-5
    assert far.stderr["b"] == pytest.approx(near.stderr["b"], rel=1e-5)


@pytest.mark.parametrize("model", [peak, moved_peak])
def test_a_peak_far_from_zero(model):
    t, day = np.linspace(0, 10, 41), 1.7e9
    data = peak(t, 5.0, 5.0, 1.3, 1.0)[:, None] + np.random.default_rng(9).normal(0, 0.05, (41, 10))
    start = {"height": 4.0, "width": 1.0, "level": 0.5}
    name = "x" if model is peak else "t"
    near = sf.fit_many(peak, data, x=(t + day) - day, params={**start, "centre": 4.0})
    far = sf.fit_many(model, data, coords={name: t + day}, params={**start, "centre": day + 4.0}, engine="lockstep")
    assert far.success.all()
    assert not far.where("RANK_DEFICIENT").any()
    for par in ("height", "width", "level"):
        assert np.abs((far.values[par] - near.values[par]) / near.stderr[par]).max() < 1e-5
        assert far.stderr[par] == pytest.approx(near.stderr[par], rel=1e-5)


def test_without_a_graph_unknown_starts_are_left_to_single_fits(data):
    batch = sf.fit_many(opaque, data[:6], axis=-1, x=X, params=STARTS)
    assert batch.engine == "loop"
    assert "height, level have no start" in batch.engine_reason
    assert batch.success.all()
    assert batch.chisqr == pytest.approx(fitted(peak, data[:6]).chisqr, rel=1e-6)
