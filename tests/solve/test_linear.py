"""Linear least squares: rank, refinement to the last digit, bounds."""

from __future__ import annotations

import json
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy.optimize import lsq_linear

from surffit.solve.linear import bounded, factor, gram_inverse, refine, solve

NIST = Path(__file__).parent.parent / "data" / "nist_linear"
CERTIFIED = json.loads((NIST / "certified.json").read_text())

# digits of the values and of the standard errors that float64 columns and data allow (half a digit of slack)
LIMITS = {
    "norris": (13.5, 13.5),
    "pontius": (13.0, 13.3),
    "longley": (14.2, 14.6),
    "noint1": (15.4, 15.0),
    "noint2": (15.4, 15.0),
    "filip": (7.2, 7.2),  # its powers of x are rounded; the digits are in a better basis
    "wampler1": (15.4, None),  # an exact polynomial: certified errors are 0
    "wampler2": (12.7, None),
    "wampler3": (15.4, 15.2),
    "wampler4": (15.4, 15.2),
    "wampler5": (15.4, 15.2),
}


def problem(name):
    table = np.genfromtxt(NIST / f"{name}.csv", delimiter=",", skip_header=1, encoding="utf-8-sig")
    y, x = table[:, 0].copy(), table[:, 1]
    if name.startswith("noint"):
        columns = x[None].copy()
    elif name == "longley":
        columns = np.vstack([np.ones(y.size), table[:, 1:].T])
    else:
        columns = np.vstack([x**j for j in range(CERTIFIED[name]["p"])])
    return columns, y


def digits(got, want):
    """Digits of the worst entry; want as decimal strings or mpmath numbers."""
    with mpmath.workdps(40):
        errors = [abs((mpmath.mpf(float(g)) - mpmath.mpf(w)) / mpmath.mpf(w)) for g, w in zip(got, want, strict=True)]
        return float(min(17 if e == 0 else -mpmath.log10(e) for e in errors))


def precise(columns, y):
    """Solution, residual and inverse of A'A of exactly these float64 numbers, in 80 digits."""
    with mpmath.workdps(80):
        a = mpmath.matrix(columns.T.tolist())
        b = mpmath.matrix(y.tolist())
        inverse = (a.T * a) ** -1
        c = inverse * (a.T * b)
        return list(c), list(b - a * c), [inverse[j, j] for j in range(len(c))]


def ill_conditioned(rng, k, n, cond):
    q = np.linalg.qr(rng.normal(size=(n, k)))[0]
    z = np.linalg.qr(rng.normal(size=(k, k)))[0]
    columns = (q * np.geomspace(1, 1 / cond, k)) @ z
    return np.ascontiguousarray(columns.T) * 10.0 ** rng.integers(-9, 10, size=(k, 1))


class TestFactor:
    @pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 50), (2, 50), (5, 5), (16, 66), (7, 3), (3, 30_000), (12, 25_001)])
    def test_is_a_qr_and_solves(self, k, n):
        rng = np.random.default_rng(k * n)
        columns = rng.normal(size=(k, n)) * 10.0 ** rng.integers(-30, 31, size=(k, 1))
        kept = columns.copy()
        y = rng.normal(size=n)
        f = factor(columns)
        c, resid = solve(f, y)
        assert np.array_equal(columns, kept)
        assert f.rank == min(k, n)
        assert np.array_equal(f.scale, 2.0 ** np.round(np.log2(f.scale)))
        scaled = (columns / f.scale[:, None]).T
        np.testing.assert_allclose(f.q.T @ f.q, np.eye(f.rank), atol=2e-14)
        np.testing.assert_allclose(f.q @ f.r, scaled[:, f.pivot[: f.rank]], atol=2e-14)
        assert np.array_equal(f.r, np.triu(f.r))
        want = np.linalg.lstsq(scaled, y, rcond=None)[0]
        np.testing.assert_allclose(c * f.scale, want, rtol=1e-9, atol=1e-12 * np.abs(want).max())
        np.testing.assert_allclose(resid, y - scaled @ want, atol=1e-11)

    @pytest.mark.parametrize("n", [60, 25_000])
    def test_methods_agree_with_dense_matrices(self, n):
        rng = np.random.default_rng(5)
        f = factor(rng.normal(size=(4, n)))
        v = rng.normal(size=(3, n))
        b = rng.normal(size=4)
        for w in (v, v[1]):
            np.testing.assert_allclose(f.qt(w), w @ f.q, atol=1e-13)
            np.testing.assert_allclose(f.project(w) + f.complement(w), w, atol=1e-13)
            assert np.abs(f.qt(f.complement(w))).max() < 1e-13
        np.testing.assert_allclose(f.r @ f.solve_r(b), b, atol=1e-13)
        np.testing.assert_allclose(f.r.T @ f.solve_rt(b), b, atol=1e-13)
        np.testing.assert_allclose(f.r @ f.solve_r(np.eye(4)), np.eye(4), atol=1e-13)

    def test_complement_survives_cancellation(self):
        rng = np.random.default_rng(6)
        columns = rng.normal(size=(3, 40))
        f = factor(columns)
        tiny = f.complement(rng.normal(size=40)) * 1e-13
        v = rng.normal(size=3) @ columns + tiny
        once = v - (v @ f.q) @ f.q.T
        rest = f.complement(v)
        assert np.linalg.norm(f.qt(once)) > 1e-4 * np.linalg.norm(once)  # what a single pass leaves
        assert np.linalg.norm(f.qt(rest)) < 1e-14 * np.linalg.norm(rest)
        assert np.linalg.norm(f.qt(f.complement(np.vstack([v, v])))) < 1e-14 * np.linalg.norm(rest)

    @pytest.mark.parametrize("n", [30, 24_000])
    def test_dependent_columns_give_the_minimum_norm_solution(self, n):
        rng = np.random.default_rng(7)
        a, b = rng.normal(size=(2, n))
        columns = np.vstack([a, 3.3 * a + 0.7 * b, b, np.zeros(n), 1e8 * a]) * np.array([[1e9], [1], [1e-9], [1], [1]])
        y = rng.normal(size=n)
        f = factor(columns)
        c, resid = solve(f, y)
        assert f.rank == 2
        assert f.scale[3] == 1.0
        scaled = (columns / f.scale[:, None]).T
        want = np.linalg.lstsq(scaled, y, rcond=1e-12)[0]
        np.testing.assert_allclose(c * f.scale, want, atol=1e-13)
        np.testing.assert_allclose(resid, y - scaled @ want, atol=1e-12)
        null = f.null_space()
        assert null.shape == (3, 5)
        np.testing.assert_allclose(null @ null.T, np.eye(3), atol=1e-14)
        assert np.abs(scaled @ null.T).max() < 1e-14
        assert np.abs(null @ (c * f.scale)).max() < 1e-14

    def test_tolerance_cuts_what_differences_cannot_see(self):
        rng = np.random.default_rng(8)
        a, b = rng.normal(size=(2, 100))
        columns = np.vstack([a, a + 1e-8 * b])
        assert factor(columns).rank == 2
        assert factor(columns, tol=1e-6).rank == 1

    @pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
    def test_nothing_to_factor(self, shape):
        f = factor(np.ones(shape))
        y = np.arange(float(shape[1]))
        c, resid = solve(f, y)
        assert f.rank == 0
        assert np.array_equal(c, np.zeros(shape[0]))
        assert np.array_equal(resid, y)
        assert f.null_space().shape == (shape[0], shape[0])
        assert f.complement(np.ones((2, shape[1]))).shape == (2, shape[1])

    def test_all_zero_columns(self):
        f = factor(np.zeros((2, 6)))
        c, resid = solve(f, np.ones(6))
        assert f.rank == 0
        assert np.array_equal(c, np.zeros(2))
        assert np.array_equal(resid, np.ones(6))
        np.testing.assert_allclose(np.abs(f.null_space() @ f.null_space().T), np.eye(2))

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_non_finite_is_none(self, bad):
        columns = np.ones((3, 8))
        columns[1, 4] = bad
        assert factor(columns) is None
        assert bounded(columns, np.ones(8), np.zeros(3), np.ones(3)) is None

    def test_extreme_scales(self):
        f = factor(np.array([[1e250, 1e250, 2e250], [1e-250, 2e-250, 1e-250], [0.0, 0.0, 0.0], [1e-300, 0.0, 0.0]]))
        c, _ = solve(f, np.ones(3))
        assert f.rank == 3
        np.testing.assert_allclose(c, [1 / 3e250, 1 / 3e-250, 0, 1 / 3e-300], rtol=1e-14)


class TestRefine:
    @pytest.mark.parametrize("name", list(LIMITS))
    def test_nist_to_the_limit_of_the_input(self, name):
        columns, y = problem(name)
        truth = CERTIFIED[name]
        f = factor(columns)
        c, resid = refine(columns, y, f)
        value, error = LIMITS[name]
        assert digits(c, truth["params"]) >= value
        rss = float(resid @ resid)
        if error is None:
            assert rss < 1e-24 * float(y @ y)
        else:
            stderr = np.sqrt(rss / (y.size - c.size) * gram_inverse(columns, f).diagonal())
            assert digits(stderr, truth["stderr"]) >= error

    @pytest.mark.parametrize("name", ["longley", "wampler4", "wampler5"])
    def test_the_plain_solution_does_not_reach_it(self, name):
        columns, y = problem(name)
        assert digits(solve(factor(columns), y)[0], CERTIFIED[name]["params"]) < LIMITS[name][0] - 2

    @pytest.mark.parametrize("seed", range(24))
    def test_against_eighty_digits(self, seed):
        rng = np.random.default_rng(seed)
        k, n, cond = int(rng.integers(1, 9)), int(rng.integers(12, 40)), 10.0 ** (seed % 9)
        columns = ill_conditioned(rng, k, n, cond)
        noise = 10.0 ** rng.integers(-6, 4)
        y = rng.normal(size=k) @ (columns / np.linalg.norm(columns, axis=1)[:, None]) + noise * rng.normal(size=n)
        y *= 10.0 ** rng.integers(-20, 20)
        f = factor(columns)
        c, resid = refine(columns, y, f)
        want, rest, diagonal = precise(columns, y)
        assert digits(c, want) >= 15
        assert digits([np.linalg.norm(resid)], [mpmath.norm(rest)]) >= 15
        assert digits(gram_inverse(columns, f).diagonal(), diagonal) >= 14.5

    def test_in_blocks_and_from_a_poor_start(self):
        rng = np.random.default_rng(9)
        x = np.linspace(-1, 1, 24_000)
        columns = np.vstack([x**j for j in range(6)])
        y = rng.normal(size=x.size)
        f = factor(columns)
        c, resid = refine(columns, y, f)
        again, _ = refine(columns, y, f, c * (1 + 1e-4))
        np.testing.assert_allclose(again, c, rtol=4e-16)
        hi, lo = np.zeros(6), np.zeros(6)
        for j in range(6):
            hi[j] = mpmath.fdot(columns[j].tolist(), resid.tolist())
            lo[j] = np.linalg.norm(columns[j]) * np.linalg.norm(resid)
        assert np.abs(hi / lo).max() < 1e-17 * np.sqrt(x.size)  # orthogonal up to the rounding of resid itself

    def test_leaves_alone_what_it_cannot_refine(self):
        ones = np.ones(5)
        y = np.arange(5.0)
        twice = np.vstack([ones, 2 * ones])
        for columns, data in [(twice, y), (twice[:1], 0 * y), (twice[:0], y)]:
            f = factor(columns)
            for got, want in zip(refine(columns, data, f), solve(f, data), strict=True):
                assert np.array_equal(got, want)
        with pytest.raises(ValueError, match="rank 1 of 2"):
            gram_inverse(twice, factor(twice))

    def test_zero_coefficients_stay_small(self):
        x = np.arange(-4.0, 5.0)
        c, _ = refine(columns := np.vstack([np.ones(9), x]), x * x, factor(columns))
        assert abs(c[0] - 60 / 9) < 2e-15
        assert abs(c[1]) < 1e-18


def random_bounds(rng, kind, k):
    lower, upper = np.full(k, -np.inf), np.full(k, np.inf)
    some = rng.random(k) < 0.6
    if kind == "non-negative":
        lower[:] = 0
    elif kind == "one-sided":
        lower[some], upper[~some] = 0, 0.3
        free = rng.random(k) < 0.3
        lower[free], upper[free] = -np.inf, np.inf
    elif kind == "box":
        lower[:], upper[:] = -0.1, 0.5
    else:
        lower[some] = rng.normal(size=k)[some]
        other = rng.random(k) < 0.6
        upper[other] = np.where(np.isfinite(lower), lower + 1, rng.normal(size=k))[other]
    return lower, upper


class TestBounded:
    @pytest.mark.parametrize("kind", ["non-negative", "one-sided", "box", "mixed"])
    @pytest.mark.parametrize("seed", range(25))
    def test_against_scipy_and_the_kkt_conditions(self, kind, seed):
        rng = np.random.default_rng(seed)
        k = int(rng.integers(1, 9))
        n = int(rng.integers(k, 40))
        columns = rng.normal(size=(k, n)) * 10.0 ** rng.integers(-9, 10, size=(k, 1))
        size = np.linalg.norm(columns, axis=1)
        unit = columns / size[:, None]
        y = (rng.normal(size=n) + rng.normal(size=k) @ unit) * 10.0 ** rng.integers(-9, 10)
        lower, upper = (b * np.linalg.norm(y) / size for b in random_bounds(rng, kind, k))
        c, resid, active = bounded(columns, y, lower, upper)
        assert active.dtype == np.int8
        assert (c >= lower).all()
        assert (c <= upper).all()
        assert np.array_equal(c[active < 0], lower[active < 0])
        assert np.array_equal(c[active > 0], upper[active > 0])
        np.testing.assert_allclose(resid, y - c @ columns, atol=1e-12 * np.linalg.norm(y))
        slope = unit @ resid / np.linalg.norm(y)  # of -chi2/2: zero if free, outward at a bound
        assert np.abs(slope[active == 0]).max(initial=0) < 1e-12
        assert (slope[active < 0] < 1e-12).all()
        assert (slope[active > 0] > -1e-12).all()
        scale = np.linalg.norm(y)
        want = lsq_linear(unit.T, y / scale, (lower * size / scale, upper * size / scale), method="bvls", tol=1e-14)
        assert resid @ resid / scale**2 <= 2 * want.cost + 1e-14

    def test_free_solution_first(self):
        rng = np.random.default_rng(1)
        columns, y = rng.normal(size=(3, 30)), rng.normal(size=30)
        f = factor(columns)
        c, _, active = bounded(columns, y, np.full(3, -9.0), np.full(3, np.inf), f)
        assert np.array_equal(c, solve(f, y)[0])
        assert not active.any()

    def test_known_answer(self):
        x = np.arange(6.0)
        c, _, active = bounded(np.vstack([np.ones(6), x]), 2 - 0.5 * x, np.array([-np.inf, 0.0]), np.full(2, np.inf))
        np.testing.assert_allclose(c, [0.75, 0.0], atol=1e-15)
        assert active.tolist() == [0, -1]

    @pytest.mark.parametrize("columns", [
        np.vstack([np.ones(5), 2 * np.ones(5)]),
        np.zeros((2, 5)),
        np.vstack([np.ones(5), np.ones(5), np.arange(5.0)]),
        np.ones((6, 5)) + np.eye(6, 5),
    ], ids=["parallel", "zero", "pair", "wide"])  # fmt: skip
    @pytest.mark.parametrize(("low", "high"), [(0.0, np.inf), (0.5, 0.6), (-np.inf, -1.0), (1.0, np.inf)])
    def test_dependent_columns_stay_finite(self, columns, low, high):
        y = np.array([1.0, 2, 3, 4, 4])
        k = len(columns)
        c, resid, active = bounded(columns, y, np.full(k, low), np.full(k, high))
        assert np.isfinite(c).all()
        assert (c >= low).all()
        assert (c <= high).all()
        assert active.shape == (k,)
        np.testing.assert_allclose(resid, y - c @ columns, atol=1e-13)
        want = lsq_linear(columns.T, y, (low, high), method="trf", tol=1e-12)
        assert resid @ resid <= 2 * want.cost + 1e-6

    def test_non_finite_data_is_none(self):
        assert bounded(np.ones((1, 3)), np.array([1.0, np.nan, 2.0]), np.zeros(1), np.ones(1)) is None
