"""Outliers of non-linear batches: found exactly as without the point, at the stated rate, whatever is around."""

from __future__ import annotations

import numpy as np
import pytest

import surffit as sf
from surffit.batch.data.stack import stacks
from surffit.batch.search.clipping import leverages, outliers
from surffit.batch.search.rowmodel import RowModel
from surffit.batch.search.walk import weighted
from surffit.batch.task import Options

X = np.linspace(0, 4, 12)
PARAMS = {"rate": 1.0}


def decay(x, height, rate):
    return height * np.exp(-rate * x)


def make(n, seed=0):
    rng = np.random.default_rng(seed)
    return decay(X, 3.0, 0.8) + rng.normal(0, 0.02, (n, X.size))


def fitted(data, **kwargs):
    return sf.fit_many(decay, data, axis=1, x=X, **{"params": PARAMS, "engine": "lockstep", "workers": 1, **kwargs})


def test_studentised_residual_is_that_of_the_fit_without_the_point():
    data = make(6, 3)
    data[:, 4] += 0.1
    batch = fitted(data)
    rows = batch.task.source.rows(batch.task.source.blocks(10)[0])
    model = RowModel(batch.task, None)
    stack = next(iter(stacks(rows, 2)))
    far = np.full((6, 2), np.inf)
    p, none = batch.maps.values.T, np.empty((6, 0))
    r, J, chi2 = weighted(model, stack, p, none, -far, far)
    h, rank = leverages(r, J, chi2, p, -far, far)
    assert h.sum(axis=1) == pytest.approx(2.0)
    assert (rank == 2).all()
    mask = np.zeros_like(data, dtype=bool)
    mask[:, 4] = True
    without = fitted(data, mask=mask)
    s = np.sqrt((chi2 - r[:, 4] ** 2 / (1 - h[:, 4])) / (12 - 2 - 1))
    assert s == pytest.approx(np.sqrt(without.maps.chisqr / without.maps.nfree), rel=0.02)


@pytest.mark.parametrize("engine", ["lockstep", "traced", "loop"])
def test_an_outlier_is_dropped_and_the_rest_fitted(engine):
    data = make(8)
    data[2, 5] += 5.0
    data[6, 0] -= 3.0
    batch = fitted(data, clip=True, engine=engine, covar=True)
    assert np.flatnonzero(batch.where("CLIPPED")).tolist() == [2, 6]
    mask = np.zeros_like(data, dtype=bool)
    mask[2, 5] = mask[6, 0] = True
    right = fitted(data, mask=mask, engine=engine, covar=True)
    assert (np.abs(batch.maps.values - right.maps.values) < 1e-4 * right.maps.stderr).all()
    assert batch.maps.covar == pytest.approx(right.maps.covar, rel=1e-4)
    assert np.array_equal(batch.maps.nobs, right.maps.nobs)
    assert np.array_equal(batch.maps.nfree, right.maps.nfree)
    left = [0, 1, 3, 4, 5, 7]
    assert np.array_equal(batch.maps.values[:, left], right.maps.values[:, left])


def test_found_where_the_population_hides_it():
    data = make(300)
    data[np.arange(300), np.arange(300) % 12] += 0.5  # 25 sigma
    found = sf.fit_many(decay, data[:, :9], axis=1, x=X[:9], params=PARAMS, engine="lockstep", clip=True, nsigma=3.0).where("CLIPPED")
    found = found[np.arange(300) % 12 < 9]
    assert found.mean() > 0.99
    # the largest residual over the population's scatter is below sqrt(n - p)
    few = sf.fit_many(decay, data[:, :9], axis=1, x=X[:9], params=PARAMS, engine="lockstep", clip="population", nsigma=3.0)
    assert few.where("CLIPPED").mean() == 0.0


def test_at_most_so_many_and_all_at_once():
    data = make(4)
    data[1, [2, 5, 8]] += [0.5, 3.0, 20.0]  # each far beyond the smaller ones' scatter
    assert fitted(data, clip=True, nsigma=4.0, maxiters=2).maps.nobs.tolist() == [12, 10, 12, 12]
    assert fitted(data, clip=True, nsigma=4.0, maxiters=5).maps.nobs.tolist() == [12, 9, 12, 12]
    known = {"sigma": 0.02, "scale_covar": False, "clip": "known"}
    assert fitted(data, clip_all=True, maxiters=1, **known).maps.nobs[1] <= 9


def test_independent_of_blocks():
    data = make(60)
    rng = np.random.default_rng(1)
    data[rng.integers(0, 60, 20), rng.integers(0, 12, 20)] += 2.0
    whole = fitted(data, clip=True)
    order = rng.permutation(60)
    for part, index in ((fitted(data, clip=True, block=7), np.arange(60)), (fitted(data[order], clip=True, workers=3, block=16), order)):
        for name in ("values", "stderr", "chisqr", "nobs", "nfev", "status"):
            assert np.array_equal(getattr(part.maps, name), getattr(whole.maps, name)[..., index]), name


@pytest.mark.parametrize("clip", ["studentized", "known"])
def test_false_alarms_come_at_the_stated_rate(clip):
    data = make(3000, 9)
    batch = fitted(data, sigma=0.02, scale_covar=False)
    rows = batch.task.source.rows(batch.task.source.blocks(4096)[0])
    model, count = RowModel(batch.task, None), 0
    far = np.full((3000, 2), np.inf)
    options = Options(clip=clip, clip_all=True, nsigma=2.5)
    for stack in stacks(rows, 2):
        at = stack.index
        count += outliers(model, stack, batch.maps.values[:, at].T, np.empty((len(at), 0)), -far[at], far[at], options).sum()
    expected = 0.012419 * 3000 * 12  # two-sided, 2.5 sigma
    assert abs(count - expected) < 6 * np.sqrt(expected)
    assert abs(count - 1.3 * expected) > 6 * np.sqrt(expected)
