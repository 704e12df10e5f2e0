"""Profile limits of terms that can change places, against profiles by brute force."""

import itertools
import warnings

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import t as student

import surffit as sf

T = np.linspace(0.0, 8.0, 60)
GRID = np.linspace(-3.0, 11.0, 701)


def peaks(t, a, k1, b, k2):
    return a * np.exp(-((t - k1) ** 2) / 2) + b * np.exp(-((t - k2) ** 2) / 2)


def decays(t, a, k1, b, k2, c):
    return a * np.exp(-k1 * t) + b * np.exp(-k2 * t) + c


def noisy_peaks(seed, apart, noise):
    z = peaks(T, 1, 3.8, 1, 3.8 + apart) + np.random.default_rng(seed).normal(0, noise, T.size)
    return sf.SurfaceModel(peaks).fit(z, t=T, k1=3, k2=5), z


def chi_square(z, held, other):
    """The least over the two heights, in closed form."""
    A = np.exp(-((T[:, None] - [held, other]) ** 2) / 2)
    step = z - A @ np.linalg.lstsq(A, z, rcond=1e-12)[0]
    return step @ step


def brute_force(z, held):
    """The least over the other place, from every point of a grid."""
    one, many = np.exp(-((T - held) ** 2) / 2), np.exp(-((T[:, None] - GRID) ** 2) / 2)
    unit = one / np.linalg.norm(one)
    many = many - np.outer(unit, unit @ many)
    rest = z - unit * (unit @ z)
    i = int(np.argmax((rest @ many) ** 2 / np.maximum((many**2).sum(axis=0), 1e-12)))
    near = (GRID[max(i - 1, 0)], GRID[min(i + 1, GRID.size - 1)])
    return minimize_scalar(lambda other: chi_square(z, held, other), bounds=near, method="bounded", options={"xatol": 1e-9}).fun


def check_order(found):
    """From the lowest to the highest; only infinite ones may be equal."""
    for name, rows in found.items():
        values = [value for _, value in rows]
        assert all(low < high or (low == high and np.isinf(low)) for low, high in itertools.pairwise(values)), (name, values)


@pytest.mark.parametrize("sigmas", [[1, 2], [2], [2, 1]])
def test_the_limits_are_those_of_the_global_profile(sigmas):
    result, z = noisy_peaks(4, 0.8, 0.08)
    found = result.conf_interval(["k1", "k2"], sigmas=sigmas)
    inner, outer = {"k1": (3.1615, 3.8696), "k2": (4.3404, 4.6576)}, {"k1": (2.7040, 4.0598), "k2": (4.2760, 5.0599)}
    for name, rows in found.items():
        values = [value for _, value in rows]
        assert (values[0], values[-1]) == pytest.approx(outer[name], abs=2e-4)
        if 1 in sigmas:
            assert (values[1], values[-2]) == pytest.approx(inner[name], abs=2e-4)
        for prob, value in rows:
            level = student.ppf((1 + prob) / 2, result.nfree)
            assert np.sqrt(max(brute_force(z, value) - result.chisqr, 0) / result.redchi) == pytest.approx(level, abs=1e-3)


@pytest.mark.parametrize(("seed", "apart", "noise"), [(0, 0.6, 0.08), (2, 0.6, 0.08), (7, 1.0, 0.15)])
def test_no_crossing_lies_before_a_limit(seed, apart, noise):
    """Walked by brute force in small steps from the best value outwards."""
    result, z = noisy_peaks(seed, apart, noise)
    found = result.conf_interval(["k1", "k2"], sigmas=[2])
    check_order(found)
    level = result.chisqr + result.redchi * student.ppf((1 + found["k1"][0][0]) / 2, result.nfree) ** 2
    for name, rows in found.items():
        best, error = result.params[name].value, result.params[name].stderr
        for limit, side in ((rows[0][1], -1), (rows[-1][1], 1)):
            step, last = side * 0.02 * error, best
            while brute_force(z, last + step) < level:
                last += step
                assert abs(last - best) < 20 * error
            wanted = brentq(lambda value: brute_force(z, value) - level, last, last + step, xtol=1e-7)
            assert limit == pytest.approx(wanted, abs=2e-3 * error), (name, side)


@pytest.mark.parametrize(("seed", "exact"), [(0, True), (2, False), (3, True)])
def test_limits_of_two_decays_are_ordered(seed, exact):
    """And exact, but where a far basin (a rate near 0 with huge heights) is met from no neighbour."""
    z = decays(T, 3, 0.3, 3, 1.5, 0.2) + np.random.default_rng(seed).normal(0, 0.2, T.size)
    result = sf.SurfaceModel(decays).fit(z, t=T, k1=0.3, k2=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = result.conf_interval(["k1", "k2"])
    check_order(found)
    if not exact:
        return
    rates = np.linspace(-1.5, 30.0, 3000)
    for name, rows in found.items():
        for prob, value in rows:
            if np.isfinite(value) and prob:
                # no rate of the other leads below the level
                Q = np.linalg.qr(np.stack([np.exp(-value * T), np.ones(T.size)], axis=1))[0]
                other = np.exp(-T[:, None] * rates)
                other = other - Q @ (Q.T @ other)
                rest = z - Q @ (Q.T @ z)
                least = rest @ rest - ((rest @ other) ** 2 / np.maximum((other**2).sum(axis=0), 1e-12)).max()
                level = student.ppf((1 + prob) / 2, result.nfree)
                assert np.sqrt((least - result.chisqr) / result.redchi) == pytest.approx(level, abs=2e-2), (name, prob, value)


def test_limits_do_not_depend_on_the_levels_asked_with_them():
    result, _ = noisy_peaks(9, 0.6, 0.08)
    alone = {s: result.conf_interval(["k1", "k2"], sigmas=[s]) for s in (1, 2)}
    both = result.conf_interval(["k1", "k2"], sigmas=[1, 2])
    for name, rows in both.items():
        values = [value for _, value in rows]
        for place, s in ((0, 2), (1, 1), (3, 1), (4, 2)):
            single = alone[s][name][0 if place < 2 else 2][1]
            assert values[place] == pytest.approx(single, abs=1e-4 * result.params[name].stderr)


def test_a_region_holds_the_lowest_cost_everywhere():
    """Two places held leave a linear fit; one place and its height leave a profile with two basins."""
    result, z = noisy_peaks(4, 0.8, 0.08)
    x, y, grid = result.conf_interval2d("k1", "k2", 8, 7, 3, chi2_out=True)
    wanted = [[chi_square(z, one, two) for one in x] for two in y]
    np.testing.assert_allclose(grid, wanted, rtol=1e-5)
    x, y, grid = result.conf_interval2d("k1", "a", 9, 7, 3, chi2_out=True)
    least = np.empty(grid.shape)
    for i, height in enumerate(y):
        for k, place in enumerate(x):
            rest = z - height * np.exp(-((T - place) ** 2) / 2)
            shapes = np.exp(-((T[:, None] - GRID) ** 2) / 2)
            gain = (shapes.T @ rest) ** 2 / (shapes**2).sum(axis=0)
            least[i, k] = rest @ rest - gain.max()
    # the grid of places is 0.02 apart
    assert (grid <= least + 1e-3 * result.redchi).all()
    assert np.abs(np.sqrt(grid) - np.sqrt(least)).max() < 5e-2 * np.sqrt(result.redchi)
