"""Derivatives without a graph: the functions that complex step and differences get wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, special

from surffit.trace.numeric import Differentiator, choose, linear_set, measure_noise, patch_entries, visible_scales

X = np.linspace(0.1, 5, 60)


def decay(p):
    return p[0] * np.exp(-p[1] * X)


def decay_exact(p):
    return [np.exp(-p[1] * X), -p[0] * X * np.exp(-p[1] * X)]


def peak(p):
    return p[0] * np.exp(-0.5 * ((X - p[1]) / p[2]) ** 2)


def peak_exact(p):
    u, g = (X - p[1]) / p[2], peak([1, p[1], p[2]])
    return [g, p[0] * g * u / p[2], p[0] * g * u * u / p[2]]


def julian(p):
    return p[0] * np.exp(-0.5 * ((X + 2.46e6 - p[1]) / p[2]) ** 2)


def julian_exact(p):
    u = (X + 2.46e6 - p[1]) / p[2]
    g = np.exp(-0.5 * u * u)
    return [g, p[0] * g * u / p[2], p[0] * g * u * u / p[2]]


def math_loop(p):
    return np.array([p[0] * math.exp(-p[1] * t) for t in X])


def swallowed(p):
    try:
        return math_loop(p)
    except TypeError:
        return np.zeros(X.size)


def wrong_length(p):
    return decay(p)[:-1] if np.iscomplexobj(p) else decay(p)


def garbled(p):
    return decay(p).astype(str) if np.iscomplexobj(p) else decay(p)


def in_place(p):
    out = np.empty(X.size)
    out[:] = decay(p)  # numpy warns, and cuts the imaginary part off
    return out


BUFFER = np.empty(X.size)


def same_buffer(p):
    BUFFER[:] = decay(p).real
    return BUFFER


def mutating(p):
    out = decay(p)
    p[:] = 0
    return out


def raising(p):
    if np.iscomplexobj(p):
        raise KeyError(p[0])
    return decay(p)


GRID = np.linspace(0, 2000, 50)


def polynomial(p):
    return sum(p[j] * GRID**j for j in range(8))


def polynomial_exact(p):
    return [GRID**j for j in range(8)]


def check(func, p, exact, rtol, **kw):
    p = np.array(p, dtype=float)
    kept = p.copy()
    d = choose(func, p, **kw)
    got = d.jacobian(func, p)
    want = np.array(exact(p))
    assert np.array_equal(p, kept)
    assert got.shape == want.shape
    size = np.abs(want).max(axis=1, keepdims=True)
    assert (np.abs(got - want) <= rtol * np.where(size > 0, size, 1)).all()
    return d


@pytest.mark.parametrize(("func", "start", "exact"), [
    (decay, [2, 0.7], decay_exact),
    (decay, [0, 0.7], decay_exact),
    (peak, [3, 2, 0.5], peak_exact),
    (julian, [3, 2.46e6 + 2, 0.5], julian_exact),
    (polynomial, [1] * 8, polynomial_exact),
    (polynomial, [0] * 8, polynomial_exact),
    (mutating, [2, 0.7], decay_exact),
    (lambda p: np.sqrt(p[0] - X), [5.001], lambda p: [0.5 / np.sqrt(p[0] - X)]),
    (lambda p: np.where(p[0] < X, p[1], 0.0), [2.0, 3.0], lambda p: [0 * X, 1.0 * (p[0] < X)]),
    (lambda p: special.erf(p[0] * X), [0.4], lambda p: [2 / np.sqrt(np.pi) * X * np.exp(-((p[0] * X) ** 2))]),
], ids=["decay", "zero factor", "peak", "julian date", "degree 7", "degree 7 from zero", "mutating", "near its domain",
        "step", "erf"])  # fmt: skip
def test_complex_step_where_it_is_right(func, start, exact):
    d = check(func, start, exact, 3e-15)
    assert d.route == "complex-step"
    assert d.jac_error == 1e-15


@pytest.mark.parametrize(("func", "start", "exact", "rtol"), [
    (lambda p: p[0] * np.exp(-np.abs(p[1]) * X), [2, 0.7], decay_exact, 1e-11),
    (lambda p: p[0] * np.exp(-np.abs(p[1]) * X), [0, 0.7], decay_exact, 1e-11),
    (lambda p: decay(p).real, [2, 0.7], decay_exact, 1e-11),
    (lambda p: special.wofz(X + 1j * p[0]).real, [0.7], lambda p: [(1j * special_dw(X + 1j * p[0])).real], 1e-10),
    (math_loop, [2, 0.7], decay_exact, 1e-11),
    (swallowed, [2, 0.7], decay_exact, 1e-11),
    (wrong_length, [2, 0.7], decay_exact, 1e-11),
    (garbled, [2, 0.7], decay_exact, 1e-11),
    (in_place, [2, 0.7], decay_exact, 1e-11),
    (same_buffer, [2, 0.7], decay_exact, 1e-11),
    (raising, [2, 0.7], decay_exact, 1e-11),
    (lambda p: np.sign(p[0]) * p[1] * X, [2, 0.7], lambda p: [0 * X, X], 1e-11),
    (lambda p: special.jv(p[0], X[:9]), [0.5], None, 1e-9),
    (lambda p: np.copysign(p[0], X - 2) * X, [1.5], lambda p: [np.copysign(X, X - 2)], 1e-11),
    (lambda p: np.hypot(p[0], X), [1.5], lambda p: [p[0] / np.hypot(p[0], X)], 1e-11),
    (lambda p: np.array([integrate.quad(lambda t: math.exp(-p[0] * t * t), 0, b)[0] for b in (0.5, 1, 2)]), [1.5], None, 1e-9),
], ids=["abs", "abs behind a zero", "real", "voigt", "math", "swallowed", "length", "strings", "in place", "same buffer", "raising",
        "sign", "jv", "copysign", "hypot", "quad"])  # fmt: skip
def test_differences_where_complex_step_is_wrong(func, start, exact, rtol):
    if exact is None:  # an independent, slow derivative
        h = 1e-3
        exact = lambda p: [sum(w * func(p + k * h) for k, w in STENCIL) / h]  # noqa: E731
    d = check(func, start, exact, rtol)
    assert d.route == "differences"
    assert 1e-13 < d.jac_error < 1e-8


STENCIL = ((-3, -1 / 60), (-2, 3 / 20), (-1, -3 / 4), (1, 3 / 4), (2, -3 / 20), (3, 1 / 60))


def special_dw(z):
    return -2 * z * special.wofz(z) + 2j / np.sqrt(np.pi)


class TestDifferences:
    @pytest.mark.parametrize(("func", "start", "exact"), [
        (peak, [3, 2, 0.5], peak_exact),
        (julian, [3, 2.46e6 + 2, 0.5], julian_exact),
        (polynomial, [1] * 8, polynomial_exact),
        (polynomial, [0] * 8, polynomial_exact),
        (lambda p: 1 + np.sin(X + p[0] * 1e12), [0], lambda p: [1e12 * np.cos(X)]),
        (lambda p: 1 + np.sin(X + p[0] * 1e-12), [0], lambda p: [1e-12 * np.cos(X)]),
        (lambda p: X * np.sin(p[0] * 1e12), [0], lambda p: [1e12 * X]),
        (lambda p: np.sin(X * p[0] * 1e-12), [0], lambda p: [1e-12 * X]),
        (lambda p: 1e-17 * decay(p), [2, 0.7], lambda p: [1e-17 * e for e in decay_exact(p)]),
        (lambda p: decay([p[0] * 1e15, p[1]]), [1e-15, 0.7], lambda p: [1e15 * np.exp(-p[1] * X), decay_exact([1, p[1]])[1]]),
        (lambda p: np.exp(X * p[0]), [141.0], lambda p: [X * np.exp(X * p[0])]),  # overflows not far from here
    ], ids=["peak", "julian", "degree 7", "degree 7 zero", "1e-12", "1e12", "1e-12 zero", "1e12 zero", "small data",
            "start 12 decades too small", "overflow"])  # fmt: skip
    def test_scales_of_any_size(self, func, start, exact):
        d = check(func, start, exact, 2e-11, complex_step=False)
        assert d.route == "differences"
        assert d.jac_error < 1e-10

    def test_measured_error_is_honest(self):
        def single(p):
            q = np.real(p).astype(np.float32)
            return (q[0] * np.exp(-q[1] * X.astype(np.float32))).astype(float)

        d = choose(single, np.array([2, 0.7]))
        error = np.abs(d.jacobian(single, np.array([2, 0.7])) - decay_exact([2, 0.7])).max()
        assert d.route == "differences"
        assert 1e-9 < d.noise < 1e-6
        assert error < 10 * d.jac_error < 1e-3

    def test_parameter_without_effect(self):
        func = lambda p: np.sin(X * p[0])  # noqa: E731
        assert np.isinf(visible_scales(func, np.array([1.0, 5.0]))).tolist() == [False, True]
        for flag in (True, False):
            d = check(func, [1.0, 5.0], lambda p: [X * np.cos(X * p[0]), 0 * X], 1e-11, complex_step=flag)
            assert np.isinf(d.scale).tolist() == [False, True]

    def test_parameter_behind_a_zero_factor_is_seen_later(self):
        func = lambda p: p[0] * np.exp(-np.abs(p[1]) * X)  # noqa: E731
        d = choose(func, np.array([0.0, 0.7]))
        assert np.isfinite(d.scale).all()
        np.testing.assert_allclose(d.jacobian(func, np.array([3.0, 0.7])), decay_exact([3.0, 0.7]), atol=1e-9)

    def test_noise_that_is_not_rounding(self):
        rng = np.random.default_rng(1)
        noisy = lambda p: decay(p) + 1e-5 * rng.normal(size=X.size)  # noqa: E731
        d = choose(noisy, np.array([2, 0.7]))
        assert d.route == "differences"
        assert 3e-6 < d.noise < 3e-5
        assert np.abs(d.jacobian(noisy, np.array([2, 0.7])) - decay_exact([2, 0.7])).max() < 3e-3

    def test_same_seed_same_answer(self):
        a, b = (choose(decay, np.array([2, 0.7]), complex_step=False) for _ in range(2))
        assert np.array_equal(a.step, b.step)
        assert a.jac_error == b.jac_error

    def test_records_are_read_only(self):
        d = choose(decay, np.array([2, 0.7]))
        assert isinstance(d, Differentiator)
        with pytest.raises(ValueError, match="read-only"):
            d.scale[0] = 1

    def test_no_parameters(self):
        d = choose(lambda p: X, np.empty(0))
        assert d.jacobian(lambda p: X, np.empty(0)).shape == (0, X.size)


class Guarded:
    """A function that may not be asked outside its bounds."""

    def __init__(self, func, lower, upper):
        self.func, self.lower, self.upper = func, np.array(lower), np.array(upper)

    def __call__(self, p):
        assert (np.real(p) >= self.lower).all()
        assert (np.real(p) <= self.upper).all()
        return self.func(p)


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize(("start", "lower", "upper"), [
    ([0.5, 2.0], [0.5, 0.0], [9.0, np.inf]),  # on the lower bound
    ([0.5, 2.0], [0.0, 0.0], [0.5, 2.0]),  # on the upper ones
    ([0.5, 2.0], [0.5 - 1e-5, 2 - 1e-6], [0.5 + 1e-5, 2 + 1e-7]),  # between two narrow ones
    ([1e-9, 1e-9], [0.0, 0.0], [1.0, 1.0]),
])  # fmt: skip
def test_probes_stay_within_the_bounds(start, lower, upper, flag):
    func = Guarded(lambda p: 1 + np.sqrt(X) * np.exp(-p[0] * X) + (p[1] + p[1] ** 2) * X, lower, upper)
    exact = lambda p: [-X * np.sqrt(X) * np.exp(-p[0] * X), (1 + 2 * p[1]) * X]  # noqa: E731
    # a width of 1e-6 leaves few digits to any difference: noise / step
    rtol = 3e-14 if flag else max(1e-9, 1e-14 / np.min(np.subtract(upper, lower)))
    d = check(func, start, exact, rtol, complex_step=flag, lower=lower, upper=upper)
    assert d.route == ("complex-step" if flag else "differences")


def test_domain_edge_without_bounds():
    func = lambda p: np.sqrt(p[0]) ** 3 * X  # noqa: E731
    d = choose(func, np.array([0.3]), complex_step=False)
    row = d.jacobian(func, np.array([1e-4]))  # the step chosen elsewhere is longer than the way to the edge
    np.testing.assert_allclose(row[0], 1.5e-2 * X, rtol=1e-7)


def test_steps_chosen_elsewhere_are_too_long():
    d = choose(peak, np.array([3.0, 2.5, 30.0]), complex_step=False)
    p = np.array([3.0, 2.5, 0.05])
    want = np.array(peak_exact(p))
    assert (np.abs(d.jacobian(peak, p) - want) <= 1e-6 * np.abs(want).max(axis=1, keepdims=True)).all()


def test_exceptions_at_a_probe_are_no_end():
    def picky(p):
        return np.array([math.log(p[0] - 1) * t for t in X])  # ValueError below 1

    d = check(picky, [1 + 1e-6], lambda p: [X / (p[0] - 1)], 1e-6)
    assert d.route == "differences"


def test_errors_of_the_function_itself_come_through():
    def broken(p):
        raise TypeError("no such thing")

    with pytest.raises(TypeError, match="no such thing"):
        choose(broken, np.array([1.0]))


class TestNoise:
    def test_float64_and_float32(self):
        p, step = np.array([2, 0.7]), np.array([0.02, 0.07])
        assert 1e-17 < measure_noise(decay, p, step) < 2e-15
        rounded = lambda q: decay(q).astype(np.float32).astype(float)  # noqa: E731
        assert 1e-9 < measure_noise(rounded, p, step) < 2e-7

    @pytest.mark.parametrize("sigma", [1e-12, 1e-7, 1e-3])
    def test_known_noise(self, sigma):
        rng = np.random.default_rng(2)
        got = measure_noise(lambda p: decay(p) + sigma * rng.normal(size=X.size), np.array([2, 0.7]), np.array([0.02, 0.07]))
        assert 0.5 * sigma < got < 2 * sigma

    def test_constant_function(self):
        assert measure_noise(lambda p: np.ones(5), np.zeros(2), np.ones(2)) == 0


class TestPatch:
    def test_power_of_zero(self):
        x = np.array([0.0, 1.0, 2.0])
        func = lambda p: p[0] * x ** p[1]  # noqa: E731
        p = np.array([2.0, 1.5])
        with np.errstate(all="ignore"):
            naive = p[0] * x ** p[1] * np.log(x)
        assert np.isnan(naive[0])
        kept = naive.copy()
        column, n = patch_entries(func, p, 1, naive, func(p))
        assert n == 1
        assert abs(column[0]) < 1e-12
        assert np.array_equal(column[1:], naive[1:])
        assert np.array_equal(naive, kept, equal_nan=True)

    def test_exact_where_complex_step_works_and_right_where_not(self):
        p = np.array([2.0, 0.7])
        column = decay_exact(p)[1].copy()
        column[[3, 7]] = np.nan, np.inf
        for func, rtol in ((decay, 1e-15), (lambda q: q[0] * np.exp(-np.abs(q[1]) * X), 1e-8), (math_loop, 1e-8)):
            got, n = patch_entries(func, p, 1, column, decay(p))
            assert n == 2
            np.testing.assert_allclose(got, decay_exact(p)[1], rtol=rtol)

    def test_nothing_to_do_and_nothing_to_be_done(self):
        p = np.array([2.0, 0.7])
        assert patch_entries(decay, p, 0, np.ones(X.size), decay(p))[1] == 0
        value = decay(p)
        value[2] = np.nan
        column = np.ones(X.size)
        column[2] = np.nan
        got, n = patch_entries(decay, p, 0, column, value)
        assert n == 0
        assert np.isnan(got[2])


def two_decays(p):
    return p[0] * np.exp(-p[1] * X) + p[2] * np.exp(-p[3] * X) + p[4]


@pytest.mark.parametrize(("func", "start", "prefer", "linear", "conflicts"), [
    (two_decays, [2, 0.7, 1, 3, 0.1], (), (0, 2, 4), ()),
    (two_decays, [0, 0.7, 0, 3, 0], (), (0, 2, 4), ()),
    (lambda p: p[0] + p[1] * X + p[2] * X**2, [0, 0, 0], (), (0, 1, 2), ()),
    (polynomial, [1] * 8, (), tuple(range(8)), ()),
    (polynomial, [0] * 8, (), tuple(range(8)), ()),
    (lambda p: p[0] + p[1] / (300 + X) ** 6, [0, 0], (), (0, 1), ()),
    (lambda p: p[0] * p[1] * X + p[2], [1, 2, 3], (), (0, 2), ((0, 1),)),
    (lambda p: p[0] * p[1] * X + p[2], [1, 2, 3], (1,), (1, 2), ((0, 1),)),
    (lambda p: p[0] * p[1] * X + p[2], [0, 0, 3], (), (0, 2), ((0, 1),)),
    (lambda p: p[0] * (p[1] + p[2] * X + p[3] * X**2), [1, 2, 3, 4], (0,), (1, 2, 3), ((0, 1), (0, 2), (0, 3))),
    (lambda p: p[0] * p[1] * p[2] * X + p[3], [1, 2, 3, 4], (), (0, 3), ((0, 1), (0, 2), (1, 2))),
    (lambda p: p[0] ** 2 * X + p[1], [1, 2], (), (1,), ()),
    (lambda p: abs(p[0]) * X + p[1], [1, 2], (), (1,), ()),
    (lambda p: p[0] * np.log(p[1] * X), [1, 2], (), (0,), ()),
    (lambda p: peak(p[:3]) + p[3] + p[4] * X, [1, 2, 0.5, 0, 0], (), (0, 3, 4), ()),
    (lambda p: p[0] * X, [1, 2], (), (0,), ()),
    (lambda p: p[0] * 1e-20 * X + p[1] * 1e15, [1e20, 1e-15], (), (0, 1), ()),
    (lambda p: np.sin(p[0] * X), [1], (), (), ()),
    (lambda p: X, [], (), (), ()),
])  # fmt: skip
def test_linear_set(func, start, prefer, linear, conflicts):
    p = np.array(start, dtype=float)
    kept = p.copy()
    got = linear_set(func, p, visible_scales(func, p), prefer)
    assert got.linear == linear
    assert got.conflicts == conflicts
    assert np.array_equal(p, kept)


def test_linear_set_is_cheap():
    calls = []
    func = lambda p: calls.append(1) or two_decays(p)  # noqa: E731
    p = np.array([2, 0.7, 1, 3, 0.1])
    scale = visible_scales(two_decays, p)
    linear_set(func, p, scale)
    assert len(calls) <= 4 * 5 + 7


def test_choose_is_cheap():
    calls = []
    func = lambda p: calls.append(1) or decay(p)  # noqa: E731
    choose(func, np.array([2, 0.7]))
    assert len(calls) <= 60
