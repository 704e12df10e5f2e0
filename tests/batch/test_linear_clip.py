"""Outliers of linear batches: found, and not invented."""

import numpy as np
import pytest
from scipy import stats

import surffit as sf
from surffit.batch import plan, run
from surffit.batch.door import opening as door
from surffit.batch.task import Options
from surffit.solve.status import Status

X = np.arange(10.0)


def line(x, a, b):
    return a + b * x


MODEL = sf.SurfaceModel(line, independent_vars=["x"])


def fit(data, weights=None, engine="auto", **options):
    cube = door.open_cube(data, (0,), {"x": X}, None, weights, None, "flag")
    task = door.make_task(MODEL, cube, None, ("x",), Options(**{"workers": 1, **options}), {})
    chosen = plan.choose(task, engine)
    return run.run(task, chosen)[0]


def noise(seed, n=20_000):
    rng = np.random.default_rng(seed)
    return rng, 5.0 + 2.0 * X[:, None] + rng.normal(size=(10, n))


@pytest.mark.parametrize("engine", ["common", "weighted"])
def test_a_far_point_is_found(engine):
    rng, y = noise(1)
    where = rng.integers(0, 10, y.shape[1])
    # 1000 sigma: the most that the ratio to a scatter with the outlier in it can reach is 3
    y[where, np.arange(y.shape[1])] += 1000.0
    maps = fit(y, engine=engine, clip="studentized", nsigma=4.0, maxiters=1)
    assert ((maps.status & Status.CLIPPED) != 0).mean() > 0.99
    np.testing.assert_array_equal(maps.nobs, np.where(maps.status & Status.CLIPPED, 9, 10))
    used = np.ones(y.shape, dtype=bool)
    used[where, np.arange(y.shape[1])] = False
    for q in range(0, 20_000, 4001):
        expected = np.linalg.lstsq(np.stack([np.ones(9), X[used[:, q]]], axis=1), y[used[:, q], q], rcond=None)[0]
        np.testing.assert_allclose(maps.values[:, q], expected, rtol=1e-11)
    # control: against a scatter that the outlier is part of, none is seen
    maps = fit(y, engine=engine, clip="population", nsigma=3.0)
    assert not (maps.status & Status.CLIPPED).any()


@pytest.mark.parametrize("engine", ["common", "weighted"])
@pytest.mark.parametrize("clip", ["studentized", "known"])
def test_the_false_rate_is_the_nominal_one(engine, clip):
    nsigma = 2.5
    _, y = noise(2)
    points = y.size
    expected = 2 * stats.norm.sf(nsigma)
    # with clip_all all points beyond the threshold of the first fit go
    maps = fit(y, engine=engine, clip=clip, nsigma=nsigma, maxiters=1, clip_all=True)
    rate = (10 - maps.nobs).sum() / points
    assert abs(rate - expected) < 4 * np.sqrt(expected / points) * 1.2
    # control: a plain threshold of 2.5 on t with 7 degrees of freedom would give three times as many
    assert 2 * stats.t.sf(nsigma, 7) > 3 * expected


def test_one_by_one_or_all_at_once():
    _, y = noise(3, 200)
    y[2], y[7] = y[2] + 500.0, y[7] - 300.0
    one = fit(y, clip="known", maxiters=1)
    np.testing.assert_array_equal(one.nobs, 9)
    two = fit(y, clip="known", maxiters=5)
    np.testing.assert_array_equal(two.nobs, 8)
    none = fit(y, clip="known", maxiters=0)
    np.testing.assert_array_equal(none.nobs, 10)


@pytest.mark.parametrize("kind", ["map", "full"])
def test_both_engines_drop_the_same(kind):
    rng, y = noise(4, 3000)
    w = rng.uniform(0.5, 2.0, (1, 3000) if kind == "map" else y.shape)
    y += rng.standard_t(2, y.shape) / w
    results = [
        fit(y, weights=w if kind == "map" else w.copy(), engine=engine, clip="studentized", nsigma=3.0, maxiters=4)
        for engine in (("common", "weighted") if kind == "map" else ("weighted", "weighted"))
    ]
    np.testing.assert_array_equal(results[0].nobs, results[1].nobs)
    np.testing.assert_allclose(results[0].values, results[1].values, rtol=1e-9, atol=1e-11)
    assert (results[0].nobs < 9).any()


def test_no_freedom_no_outliers():
    y = np.array([[0.0, 1.0, 50.0, 3.0]]).T
    cube = door.open_cube(y, (0,), {"x": X[:4]}, None, None, None, "flag")
    task = door.make_task(MODEL, cube, None, ("x",), Options(clip="studentized", nsigma=3.0), {})
    maps, _ = run.run(task, plan.choose(task))
    assert maps.nobs[0] >= 3
