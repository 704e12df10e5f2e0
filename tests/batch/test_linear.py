"""Linear batches against least squares one by one, in every layout and number type."""

import numpy as np
import pytest

import surffit as sf
from surffit.batch import plan, run
from surffit.batch.door import opening as door
from surffit.batch.task import Options
from surffit.solve.status import Status

X = np.linspace(-1.0, 3.0, 9)
MAPS = (7, 23)


def line(x, a, b):
    return a + b * x


def parabola(x, a, b, c):
    return a + b * x + c * x**2


def plane(x, y, a, b, c):
    return a + b * x + c * y


def model_of(func):
    names = [n for n in func.__code__.co_varnames[: func.__code__.co_argcount] if n in ("x", "y")]
    return sf.SurfaceModel(func, independent_vars=names)


def fit(func, data, axes=(0,), coords=None, sigma=None, weights=None, mask=None, nan_policy="flag", params=None, engine="auto", **options):
    """The maps of a batch, and its engine; below the door, which has its own tests."""
    coords = {"x": X} if coords is None else coords
    cube = door.open_cube(data, axes, coords, sigma, weights, mask, nan_policy)
    model = func if isinstance(func, sf.SurfaceModel) else model_of(func)
    task = door.make_task(model, cube, params, tuple(coords), Options(**{"workers": 1, **options}), {})
    chosen = plan.choose(task, engine)
    return run.run(task, chosen)[0], chosen


def cube_of(rng, dtype=float, level=50.0):
    y = level + rng.normal(size=MAPS) * X[:, None, None] + rng.normal(size=(len(X), *MAPS))
    return np.rint(y).astype(dtype) if np.dtype(dtype).kind in "iu" else y.astype(dtype)


def one_by_one(columns, y, w):
    """Coefficients, covariance for known errors, chi-square."""
    A = columns * w[:, None]
    r = np.linalg.qr(A, mode="r")
    c = np.linalg.lstsq(A, y * w, rcond=None)[0]
    root = np.linalg.inv(r)
    return c, root @ root.T, float(np.sum((w * (y - columns @ c)) ** 2))


@pytest.fixture
def rng():
    return np.random.default_rng(20260101)


@pytest.mark.parametrize("scale_covar", [True, False])
@pytest.mark.parametrize("kind", ["none", "along", "map", "full", "masked"])
@pytest.mark.parametrize("func", [line, parabola])
def test_lstsq(rng, func, kind, scale_covar):
    y = cube_of(rng)
    w = {
        "none": np.ones_like(y),
        "along": np.broadcast_to(rng.uniform(0.5, 2.0, len(X))[:, None, None], y.shape),
        "map": np.broadcast_to(rng.uniform(0.5, 2.0, MAPS), y.shape),
    }.get(kind, rng.uniform(0.5, 2.0, y.shape))
    mask = rng.random(y.shape) < 0.15 if kind == "masked" else None
    maps, engine = fit(func, y, weights=None if kind == "none" else w, mask=mask, scale_covar=scale_covar, covar=True)
    assert engine.name == ("weighted" if kind in ("full", "masked") else "common")
    K = len(maps.values)
    columns = X[:, None] ** np.arange(K)
    flat, wflat = y.reshape(len(X), -1), w.reshape(len(X), -1)
    for q in rng.choice(flat.shape[1], 50, replace=False):
        used = np.ones(len(X), dtype=bool) if mask is None else ~mask.reshape(len(X), -1)[:, q]
        c, C, chi2 = one_by_one(columns[used], flat[used, q], wflat[used, q])
        n = used.sum()
        C = C * (chi2 / (n - K) if scale_covar else 1.0)
        np.testing.assert_allclose(maps.values[:, q], c, rtol=1e-12, atol=1e-12 * np.abs(flat[:, q]).max())
        np.testing.assert_allclose(maps.chisqr[q], chi2, rtol=1e-11)
        np.testing.assert_allclose(maps.covar[:, :, q], C, rtol=1e-10, atol=1e-12 * np.abs(C).max())
        np.testing.assert_allclose(maps.stderr[:, q], np.sqrt(np.diag(C)), rtol=1e-11)
        assert maps.nobs[q] == n
        assert maps.nfree[q] == n - K
        assert Status(int(maps.status[q])) == Status.CONVERGED_GRADIENT


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("engine", ["common", "weighted"])
def test_the_order_of_axes_is_nothing_to_the_numbers(rng, axis, engine):
    y = cube_of(rng)
    expected, _ = fit(parabola, y, engine=engine)
    turned = np.ascontiguousarray(np.moveaxis(y, 0, axis))
    maps, _ = fit(parabola, turned, axes=(axis,), engine=engine)
    np.testing.assert_array_equal(maps.values, expected.values)
    np.testing.assert_array_equal(maps.stderr, expected.stderr)


@pytest.mark.parametrize("engine", ["common", "weighted"])
@pytest.mark.parametrize("dtype", ["f4", ">f4", ">f8", "f8", "f2", "g", "u1", "i2", "u2", ">i2", "i4", "i8", "bool"])
def test_number_types(rng, dtype, engine):
    y = cube_of(rng, "u1").astype(dtype)
    y.flags.writeable = False
    maps, _ = fit(line, y, engine=engine)
    expected, _ = fit(line, y.astype(float), engine=engine)
    np.testing.assert_array_equal(maps.values, expected.values)
    np.testing.assert_array_equal(maps.chisqr, expected.chisqr)


@pytest.mark.parametrize("engine", ["common", "weighted"])
def test_strides(rng, engine):
    big = cube_of(rng)
    wide = np.zeros((2 * len(X), 3 * MAPS[0], 2 * MAPS[1]))
    part = wide[::-2, ::3, ::-2]
    part[...] = big
    sigma = np.broadcast_to(rng.uniform(1, 2, MAPS), big.shape)
    expected, _ = fit(line, big, engine=engine, sigma=sigma)
    maps, _ = fit(line, part, engine=engine, sigma=sigma)
    np.testing.assert_array_equal(maps.values, expected.values)
    odd = np.zeros(big.shape, dtype=[("other", "i1"), ("y", "f8")])
    odd["y"] = big
    maps, _ = fit(line, odd["y"], engine=engine, sigma=sigma)
    np.testing.assert_array_equal(maps.values, expected.values)


def test_several_fit_axes(rng):
    stack = 5.0 + rng.normal(size=(11, 6, 4)) + np.arange(4.0)
    x, y = np.arange(4.0), np.arange(6.0)[:, None]
    for axes, data in (((1, 2), stack), ((0, 1), np.moveaxis(stack, 0, 2)), ((0, 2), np.moveaxis(stack, 0, 1))):
        maps, engine = fit(plane, data, axes=axes, coords={"x": x, "y": y})
        assert engine.name == "common"
        A = np.stack([np.ones(24), np.tile(x, 6), np.repeat(np.arange(6.0), 4)], axis=1)
        np.testing.assert_allclose(maps.values, np.linalg.lstsq(A, stack.reshape(11, -1).T, rcond=None)[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", ["none", "map", "masked"])
@pytest.mark.parametrize("clip", [None, "studentized"])
def test_blocks_threads_and_neighbours_change_nothing(rng, kind, clip):
    y = cube_of(rng)
    y[4, ::2, ::5] += 40.0
    more = {"none": {}, "map": {"sigma": rng.uniform(1, 2, (1, *MAPS))}, "masked": {"mask": rng.random(y.shape) < 0.2}}[kind]
    whole, _ = fit(line, y, clip=clip, **more)
    for options in ({"block": 5}, {"block": 64}, {"block": 7, "workers": 3}):
        maps, _ = fit(line, y, clip=clip, **more, **options)
        for name in ("values", "stderr", "chisqr", "nobs", "nfree", "status"):
            np.testing.assert_array_equal(getattr(maps, name), getattr(whole, name))
    order = rng.permutation(MAPS[1])
    maps, _ = fit(line, y[..., order], clip=clip, **{name: value[..., order] for name, value in more.items()})
    np.testing.assert_array_equal(maps.values.reshape(2, *MAPS), whole.values.reshape(2, *MAPS)[..., order])


def test_bad_citizens_leave_the_others_alone(rng):
    y = cube_of(rng)
    sigma = rng.uniform(1.0, 2.0, y.shape)
    mask = np.zeros(y.shape, dtype=bool)
    good, _ = fit(line, y, sigma=sigma, mask=mask)
    flags = {
        (0, 0): Status.NONFINITE_DATA, (0, 1): Status.NONFINITE_DATA, (0, 2): Status.NONFINITE_DATA, (0, 3): Status.NO_DATA,
        (0, 4): Status.FEW_POINTS, (0, 5): Status.NONFINITE_DATA, (0, 6): Status.NO_DATA, (0, 7): Status.RANK_DEFICIENT,
    }  # fmt: skip
    y[:, 0, 0], y[3, 0, 1], y[2, 0, 2] = np.nan, np.nan, np.inf
    mask[:, 0, 3] = mask[1:, 0, 4] = True
    sigma[1, 0, 5], sigma[:, 0, 6] = -1.0, np.inf
    mask[:, 0, 7], y[:, 0, 8], y[:, 0, 9] = True, 0.0, 4.0
    maps, _ = fit(line, np.concatenate([y, y[:1]]), coords={"x": np.append(X, X[0])}, sigma=np.concatenate([sigma, sigma[:1]]),
                  mask=np.concatenate([mask, mask[:1]]))  # fmt: skip
    # the extra point repeats the first coordinate: with (0, 7) nothing is left
    assert Status(int(maps.status.reshape(MAPS)[0, 7])) == Status.NO_DATA
    maps, _ = fit(line, y, sigma=sigma, mask=mask)
    status = maps.status.reshape(MAPS)
    for where, flag in flags.items():
        if flag != Status.RANK_DEFICIENT:
            assert Status(int(status[where])) == flag
            assert np.isnan(maps.values.reshape(2, *MAPS)[(slice(None), *where)]).all()
    others = np.ones(MAPS, dtype=bool)
    others[0, :10] = False
    for name in ("values", "stderr", "chisqr", "status"):
        one, two = (getattr(m, name).reshape(-1, *MAPS)[:, others] for m in (maps, good))
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(maps.values.reshape(2, *MAPS)[:, 0, 8], 0.0)
    np.testing.assert_allclose(maps.values.reshape(2, *MAPS)[:, 0, 9], [4.0, 0.0], atol=1e-15)


def test_an_empty_map():
    maps, engine = fit(line, np.empty((len(X), 0, 3)))
    assert maps.values.shape == (2, 0)
    assert "there are no data sets" in engine.reason
