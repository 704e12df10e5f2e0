"""Linear batches where numbers are hard: certified problems, raw years, pedestals, masks that spoil the basis, columns without effect."""

import importlib.util
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest

import surffit as sf
from surffit.batch import plan, run
from surffit.batch.data.cube import Rows
from surffit.batch.data.slabs import Block
from surffit.batch.door import opening as door
from surffit.batch.task import Options, Task
from surffit.solve.status import Status


def fit(model, data, coords, axes=(0,), sigma=None, weights=None, mask=None, nan_policy="flag", params=None, engine="auto", **options):
    """The maps of a batch, and its engine."""
    cube = door.open_cube(data, axes, coords, sigma, weights, mask, nan_policy)
    task = door.make_task(model, cube, params, tuple(coords), Options(**{"workers": 1, **options}), {})
    chosen = plan.choose(task, engine)
    return run.run(task, chosen)[0], chosen


def line(x, a, b):
    return a + b * x


def cubic(x, a, b, c, d):
    return a + b * x + c * x**2 + d * x**3


LINE, CUBIC = (sf.SurfaceModel(f, independent_vars=["x"]) for f in (line, cubic))


@pytest.fixture(scope="module")
def nist():
    path = Path(__file__).parents[1] / "certified" / "nist.py"
    spec = importlib.util.spec_from_file_location("certified_nist_for_batches", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# digits of values and errors: what one pass in a good basis gives, where residuals may be a thousand times the signal; 0: exact data
DIGITS = {
    "Norris": (12, 13), "Pontius": (11, 13), "NoInt1": (14, 14), "NoInt2": (14, 14), "Longley": (10, 10), "Wampler1": (8, 0),
    "Wampler2": (11, 0), "Wampler3": (9, 13), "Wampler4": (8, 13), "Wampler5": (6, 13), "Filip": (8, 8),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["common", "weighted"])
@pytest.mark.parametrize("name", DIGITS)
def test_certified_and_tiled(nist, name, engine):
    problem = nist.linear(name)
    model = sf.SurfaceModel(problem.func, independent_vars=list(problem.coords))
    one, _ = fit(model, problem.data[:, None], problem.coords, engine=engine)
    values, errors = DIGITS[name]
    assert nist.digits(one.values[:, 0], problem.values.values()) >= values
    if engine == "common":
        errors = min(errors, 12)  # chi-square is a difference of sums that may be 1e4 times as large
    if errors:
        assert nist.digits(one.stderr[:, 0], problem.errors.values()) >= errors
    # a thousand copies among others, in any order: each is the single fit, bit for bit
    rng = np.random.default_rng(5)
    copies = np.repeat(problem.data[:, None], 1000, axis=1)
    strangers = rng.random(1000) < 0.3
    copies[:, strangers] *= rng.normal(size=strangers.sum())
    many, _ = fit(model, copies, problem.coords, engine=engine, block=300)
    for found in ("values", "stderr", "chisqr", "status"):
        alone = getattr(one, found)
        np.testing.assert_array_equal(
            getattr(many, found)[..., ~strangers], np.broadcast_to(alone, (*alone.shape[:-1], (~strangers).sum()))
        )


@pytest.mark.parametrize("masked", [False, True])
def test_polynomials_of_raw_years(masked):
    rng = np.random.default_rng(3)
    x = np.linspace(2000.0, 2010.0, 40)
    z = (x - 2005.0) / 5.0
    y = 3.0 + np.polynomial.legendre.legval(z, rng.normal(size=(4, 200))).T + 0.01 * rng.normal(size=(40, 200))
    mask = rng.random(y.shape) < 0.1 if masked else np.zeros(y.shape, dtype=bool)
    maps, engine = fit(CUBIC, y, {"x": x}, mask=mask if masked else None)
    assert "Legendre" in engine.reason
    mpmath.mp.dps = 50
    for q in range(0, 200, 40):
        used = ~mask[:, q]
        A = mpmath.matrix([[mpmath.mpf(v) ** k for k in range(4)] for v in x[used]])
        b = mpmath.matrix([mpmath.mpf(v) for v in y[used, q]])
        G = (A.T * A) ** -1
        exact = G * (A.T * b)
        errors = [float(mpmath.sqrt(G[k, k])) * 0.01 for k in range(4)]
        for k in range(4):
            # lost: rounding of the data; a QR of the raw powers loses 1e-7 of the prediction
            assert abs(float(exact[k] - mpmath.mpf(maps.values[k, q]))) < 1e-11 * errors[k]


def test_columns_of_any_kind_are_made_orthogonal():
    rng = np.random.default_rng(4)
    x = np.linspace(1.0, 1.05, 30)
    model = sf.SurfaceModel(lambda x, a, b, c: a * np.exp(x) + b * np.sin(x) + c / x, independent_vars=["x"])
    y = np.exp(x)[:, None] + 1e-3 * rng.normal(size=(30, 100))
    for engine in ("common", "weighted"):
        maps, chosen = fit(model, y, {"x": x}, engine=engine)
        assert "orthogonal" in chosen.reason
        A = np.stack([np.exp(x), np.sin(x), 1 / x], axis=1)
        mpmath.mp.dps = 40
        M = mpmath.matrix(A.tolist())
        exact = (M.T * M) ** -1 * (M.T * mpmath.matrix(y[:, 7].tolist()))
        for k in range(3):
            assert abs(float(exact[k] - mpmath.mpf(maps.values[k, 7]))) < 1e-10 * maps.stderr[k, 7]


@pytest.mark.parametrize("engine", ["common", "weighted"])
def test_a_pedestal_changes_only_the_constant(engine):
    rng = np.random.default_rng(6)
    x = np.arange(12.0)
    y = np.rint(rng.normal(size=(12, 300)) * 64) / 64
    low, _ = fit(LINE, y, {"x": x}, engine=engine)
    high, _ = fit(LINE, y + 2.0**30, {"x": x}, engine=engine)
    np.testing.assert_array_equal(high.values[1], low.values[1])
    np.testing.assert_array_equal(high.chisqr, low.chisqr)
    np.testing.assert_allclose(high.values[0] - 2.0**30, low.values[0], atol=1e-6)


def test_masks_that_leave_a_short_piece_go_to_qr():
    """Against 40 digits: where normal equations would lose, QR takes over and says so."""
    rng = np.random.default_rng(7)
    x = np.linspace(-1.0, 1.0, 60)
    model = sf.SurfaceModel(lambda x, a, b, c, d, e, f: a + x * (b + x * (c + x * (d + x * (e + x * f)))), independent_vars=["x"])
    y = rng.normal(size=(60, 40)) + 1.0
    mask = np.ones(y.shape, dtype=bool)
    for q in range(40):
        first = rng.integers(0, 50)
        mask[first : first + 7 + q // 8, q] = False
    maps, engine = fit(model, y, {"x": x}, mask=mask)
    assert engine.name == "weighted"
    flagged = (maps.status & Status.QR_FALLBACK) != 0
    assert flagged.sum() > 10
    worst = 0.0
    mpmath.mp.dps = 40
    for q in range(0, 40, 3):
        used = ~mask[:, q]
        A = mpmath.matrix([[mpmath.mpf(v) ** k for k in range(6)] for v in x[used]])
        G = (A.T * A) ** -1
        exact = G * (A.T * mpmath.matrix(y[used, q].tolist()))
        for k in range(6):
            worst = max(worst, abs(float(exact[k] - mpmath.mpf(maps.values[k, q]))) / float(mpmath.sqrt(G[k, k])))
    assert worst < 1e-9


def both(x, a, b, c):
    return (a + b) * x + c


@pytest.mark.parametrize("weights", [False, True])
def test_columns_that_depend_on_each_other(weights):
    rng = np.random.default_rng(8)
    x = np.arange(10.0)
    y = 2.0 * x[:, None] + 1.0 + 0.1 * rng.normal(size=(10, 70))
    w = rng.uniform(0.5, 1, y.shape) if weights else None
    model = sf.SurfaceModel(both, independent_vars=["x"])
    maps, engine = fit(model, y, {"x": x}, weights=w, covar=True)
    simple, _ = fit(LINE, y, {"x": x}, weights=w)
    assert engine.name == "weighted"
    assert (maps.status == Status.CONVERGED_GRADIENT | Status.RANK_DEFICIENT | Status.QR_FALLBACK).all()
    assert np.isposinf(maps.stderr[:2]).all()
    np.testing.assert_allclose(maps.values[0] + maps.values[1], simple.values[1], rtol=1e-12)
    np.testing.assert_allclose(maps.values[0], maps.values[1], rtol=1e-12)  # the smallest of all solutions
    np.testing.assert_allclose(maps.values[2], simple.values[0], rtol=1e-11)
    np.testing.assert_allclose(maps.stderr[2], simple.stderr[0], rtol=1e-11)
    np.testing.assert_array_equal(maps.nfree, 8)
    assert np.isposinf(maps.covar[0, 0]).all()
    assert np.isnan(maps.covar[0, 2]).all()
    single = model.fit(y[:, 3], x=x, weights=None if w is None else w[:, 3])
    np.testing.assert_allclose([single.params[n].value for n in "abc"], maps.values[:, 3], rtol=1e-10)


def test_only_the_data_sets_whose_masks_spoil_it_are_deficient():
    rng = np.random.default_rng(9)
    x = np.repeat(np.arange(4.0), 3)
    y = rng.normal(size=(12, 100))
    mask = np.zeros(y.shape, dtype=bool)
    mask[3:, 5] = True  # one abscissa only
    mask[6:, 6] = True  # two: a line, but no parabola
    model = sf.SurfaceModel(lambda x, a, b, c: a + b * x + c * (x - 1.0) ** 2, independent_vars=["x"])
    maps, _ = fit(model, y, {"x": x}, mask=mask)
    lost = (maps.status & Status.RANK_DEFICIENT) != 0
    np.testing.assert_array_equal(np.flatnonzero(lost), [5, 6])
    np.testing.assert_allclose(maps.chisqr[5], np.sum((y[:3, 5] - y[:3, 5].mean()) ** 2), rtol=1e-12)
    assert maps.nfree[5] == 2


def test_as_many_points_as_parameters():
    x, y = np.array([1.0, 2.0]), np.array([[1.0, 5.0], [3.0, 4.0]])
    for engine in ("common", "weighted"):
        maps, _ = fit(LINE, y, {"x": x}, engine=engine)
        np.testing.assert_allclose(maps.values, [[-1.0, 6.0], [2.0, -1.0]], atol=1e-14)
        assert np.isnan(maps.stderr).all()
        maps, _ = fit(LINE, y, {"x": x}, engine=engine, scale_covar=False)
        np.testing.assert_allclose(maps.stderr[1], np.sqrt(2.0), rtol=1e-14)
        np.testing.assert_array_equal(maps.nfree, 0)


def test_a_part_without_parameters_and_fixed_ones():
    rng = np.random.default_rng(10)
    x = np.linspace(0.1, 2.0, 15)
    model = sf.SurfaceModel(lambda x, a, b, k: np.exp(-k * x) + a + b * x, independent_vars=["x"])
    y = np.exp(-1.5 * x)[:, None] + 2.0 + x[:, None] + 0.1 * rng.normal(size=(15, 90))
    params = model.make_params(k={"value": 1.5, "vary": False})
    line_of, _ = fit(LINE, y - np.exp(-1.5 * x)[:, None], {"x": x})
    for engine in ("common", "weighted"):
        maps, _ = fit(model, y, {"x": x}, params=params, engine=engine)
        np.testing.assert_allclose(maps.values, line_of.values, rtol=1e-11)
        np.testing.assert_allclose(maps.stderr, line_of.stderr, rtol=1e-11)


def test_fixed_values_and_coordinates_of_each_data_set():
    rng = np.random.default_rng(11)
    x = np.linspace(0.1, 2.0, 15)[:, None] + rng.uniform(0, 0.1, size=(15, 40))
    k = rng.uniform(1.0, 2.0, 40)
    model = sf.SurfaceModel(lambda x, a, b, k: a * np.exp(-k * x) + b, independent_vars=["x"])
    y = 3.0 * np.exp(-k * x) + 1.0 + 0.05 * rng.normal(size=x.shape)
    y[2, 7] = np.nan
    params = model.make_params(k={"value": 1.0, "vary": False})
    for policy in ("flag", "omit"):
        cube = door.open_cube(y, (0,), {"x": x}, None, None, None, policy)
        task = door.make_task(model, cube, params, ("x",), Options(workers=1, block=16), {})
        task.value["k"] = k
        maps, _ = run.run(task, plan.choose(task, "weighted"))
        for q in range(40):
            used = np.isfinite(y[:, q])
            if policy == "flag" and q == 7:
                assert Status(int(maps.status[q])) == Status.NONFINITE_DATA
                continue
            A = np.stack([np.exp(-k[q] * x[used, q]), np.ones(used.sum())], axis=1)
            np.testing.assert_allclose(maps.values[:, q], np.linalg.lstsq(A, y[used, q], rcond=None)[0], rtol=1e-12)
            assert maps.nobs[q] == used.sum()


@pytest.mark.parametrize("engine", ["common", "weighted"])
def test_what_is_excluded_may_hold_anything(engine):
    rng = np.random.default_rng(12)
    x = np.arange(9.0)
    y = rng.normal(size=(9, 80))
    out = np.zeros(y.shape, dtype=bool)
    out[rng.integers(0, 9, 30), rng.integers(0, 80, 30)] = True
    reference, _ = fit(LINE, y, {"x": x}, mask=out)
    for poison in (np.nan, np.inf, 1e300):
        bad = np.where(out, poison, y)
        maps, _ = fit(LINE, bad, {"x": x}, mask=out)
        np.testing.assert_array_equal(maps.values, reference.values)
        if np.isfinite(poison):
            continue
        maps, _ = fit(LINE, bad, {"x": x}, nan_policy="omit", engine=engine)
        np.testing.assert_allclose(maps.values, reference.values, rtol=1e-11, atol=1e-13)
        np.testing.assert_array_equal(maps.nobs, reference.nobs)
    maps, _ = fit(LINE, y, {"x": x}, mask=out[:, :1])  # a mask that all share
    np.testing.assert_array_equal(maps.nobs, 9 - out[:, 0].sum())


def test_what_it_refuses():
    x = np.arange(9.0)
    y = np.ones((9, 5))
    bounded = LINE.make_params(a={"value": 0.0, "min": 0.0})
    assert "a has bounds" in fit(LINE, y, {"x": x}, params=bounded)[1].reason
    curved = sf.SurfaceModel(lambda x, a, k: a * np.exp(-k * x), independent_vars=["x"])
    with pytest.raises(sf.exceptions.ParameterError, match="not linear in k"):
        fit(curved, y, {"x": x}, engine="weighted", params=curved.make_params(a=1, k=1))
    with pytest.raises(sf.exceptions.ParameterError, match="weights differ"):
        fit(LINE, y, {"x": x}, engine="common", weights=np.ones((9, 5)) + np.arange(5.0))


class Ragged:
    """Groups of a table, as engines see them."""

    def __init__(self, x, y, w, lengths):
        self.x, self.y, self.w = x, y, w
        self.edges = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.n_sets, self.longest = len(lengths), max(lengths)

    def blocks(self, size):
        return [Block(q, min(q + size, self.n_sets)) for q in range(0, self.n_sets, size)]

    def rows(self, block):
        edges = self.edges[block.start : block.stop + 1]
        cut = slice(edges[0], edges[-1])
        offsets = edges - edges[0]
        return Rows(self.y[cut], self.w[cut], self.x[None, cut], offsets, offsets[:-1], np.zeros(block.size, dtype=np.uint32))


def test_groups_of_any_length():
    rng = np.random.default_rng(13)
    lengths = [0, 1, 2, 3, 17, 40, 5]
    n = sum(lengths)
    x = rng.uniform(0, 1, n)
    y, w = 2.0 + 3.0 * x + 0.1 * rng.normal(size=n), rng.uniform(1, 2, n)
    source = Ragged(x, y, w, lengths)
    task = door.make_task(LINE, source, None, ("x",), Options(workers=1), {})
    engine = plan.choose(task)
    assert engine.name == "weighted"
    for size in (7, 2):
        maps = run.run(Task(**{**vars(task), "options": Options(workers=1, block=size)}), engine)[0]
        names = [Status(int(s)).names for s in maps.status]
        assert names[:2] == [("NO_DATA",), ("FEW_POINTS",)]
        assert all(name == ("CONVERGED_GRADIENT",) for name in names[2:])
        for q in range(2, len(lengths)):
            cut = slice(source.edges[q], source.edges[q + 1])
            A = np.stack([np.ones(lengths[q]), x[cut]], axis=1) * w[cut, None]
            np.testing.assert_allclose(maps.values[:, q], np.linalg.lstsq(A, y[cut] * w[cut], rcond=None)[0], rtol=1e-10)
        np.testing.assert_array_equal(maps.nobs, lengths)


def test_long_data_sets_one_by_one():
    rng = np.random.default_rng(14)
    x, y = np.arange(90.0), np.arange(60.0)[:, None]
    stack = rng.normal(size=(3, 60, 90)) + 1e-3 * x
    model = sf.SurfaceModel(lambda x, y, a, b, c: a + b * x + c * y, independent_vars=["x", "y"])
    maps, engine = fit(model, stack, {"x": x, "y": y}, axes=(1, 2))
    assert engine.name == "weighted"
    A = np.stack([np.ones(5400), np.tile(x, 60), np.repeat(y.ravel(), 90)], axis=1)
    np.testing.assert_allclose(maps.values, np.linalg.lstsq(A, stack.reshape(3, -1).T, rcond=None)[0], rtol=1e-9, atol=1e-13)
