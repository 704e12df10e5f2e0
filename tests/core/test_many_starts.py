"""Many starts: a fit never blames a good start, a success is a minimum, and lmfit's and scipy's solvers don't get there more often.

Seeded statistics on small problems. The minimum is what lmfit's leastsq finds from the true values.
"""

import contextlib
import warnings

import lmfit
import numpy as np
import pytest
from scipy.optimize import least_squares

import surffit as sf

X = np.linspace(0.0, 8.0, 60)
FITS = 60


def one_peak(x, h, c, s, b):
    return h * np.exp(-0.5 * ((x - c) / s) ** 2) + b


def two_peaks(x, h1, c1, s1, h2, c2, s2, b):
    return h1 * np.exp(-0.5 * ((x - c1) / s1) ** 2) + h2 * np.exp(-0.5 * ((x - c2) / s2) ** 2) + b


def two_decays(x, a1, k1, a2, k2, b):
    return a1 * np.exp(-k1 * x) + a2 * np.exp(-k2 * x) + b


def ringing(x, a, k, w, p, b):
    return a * np.exp(-k * x) * np.cos(w * x + p) + b


RANGES = {
    one_peak: {"h": (1, 4), "c": (2, 6), "s": (0.3, 1.5), "b": (-1, 1)},
    two_peaks: {"h1": (1, 4), "c1": (2, 3.5), "s1": (0.3, 0.8), "h2": (0.5, 3), "c2": (4, 6), "s2": (0.3, 0.9), "b": (-0.5, 0.5)},
    two_decays: {"a1": (0.5, 4), "k1": (0.8, 3), "a2": (0.5, 3), "k2": (0.1, 0.4), "b": (-0.5, 0.5)},
    ringing: {"a": (1, 4), "k": (0.1, 0.6), "w": (1, 4), "p": (-1, 1), "b": (-1, 1)},
}


def problems(func, spread, seed, n=FITS):
    """Truth, data with 2 % noise, and a start within a factor `spread` of the truth."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        truth = {k: float(rng.uniform(*r)) for k, r in RANGES[func].items()}
        clean = func(X, **truth)
        data = clean + 0.02 * np.abs(clean).max() * rng.normal(size=X.size)
        yield truth, data, {k: float(v * rng.uniform(1 / spread, spread)) for k, v in truth.items()}


def chi2(func, data, values):
    return float(np.sum((data - func(X, **values)) ** 2))


def no_point_nearby_is_lower(func, data, result, rng):
    """Steps of 0.03 errors along each parameter and 20 random directions: at a minimum none lowers chi-square."""
    names = [n for n in result.var_names if np.isfinite(result.params[n].stderr)]
    if not names:
        return True
    where = [result.var_names.index(n) for n in names]
    L = np.linalg.cholesky(result.covar[np.ix_(where, where)] + 1e-300 * np.eye(len(names)))
    directions = np.concatenate([np.eye(len(names)), rng.normal(size=(20, len(names)))])
    best = chi2(func, data, result.best_values)
    for d in directions:
        for sign in (0.03, -0.03):
            step = sign * (L @ d) / np.linalg.norm(d)
            values = dict(result.best_values)
            for n, v in zip(names, step, strict=True):
                values[n] += v
            if chi2(func, data, values) < best * (1 - 1e-12):
                return False
    return True


SPREADS = [
    (one_peak, 1.5, False),
    (two_peaks, 1.2, False),
    (two_peaks, 1.4, False),
    (two_peaks, 1.4, True),
    (two_decays, 2.0, False),
    (ringing, 1.25, False),
]


@pytest.mark.parametrize(("func", "spread", "bounded"), SPREADS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_as_often_as_lmfit(func, spread, bounded):
    """A start within a factor of the truth: as many arrive as with lmfit's leastsq (two of sixty are chance), and none is refused."""
    ours, theirs = sf.SurfaceModel(func), lmfit.Model(func)
    rng = np.random.default_rng(1)
    arrived = {"ours": 0, "theirs": 0}
    for truth, data, start in problems(func, spread, seed=7):
        params = theirs.make_params(**start)
        if bounded:
            params["s1"].min = params["s2"].min = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = theirs.fit(data, theirs.make_params(**truth), x=X).chisqr * (1 + 1e-6)
            with contextlib.suppress(ValueError):  # lmfit gives up on non-finite trial points
                arrived["theirs"] += theirs.fit(data, params, x=X).chisqr <= wanted
        result = ours.fit(data, params, x=X)
        arrived["ours"] += result.chisqr <= wanted
        assert np.isfinite(result.chisqr)
        assert result.success or "FAILED" in result.explain()
        if result.success and not result.conditioning.at_bound:
            assert no_point_nearby_is_lower(func, data, result, rng), start
    assert arrived["ours"] >= arrived["theirs"] - 2


@pytest.mark.parametrize("seed", [0, 1])
def test_bounded_amplitudes(seed):
    """Bounds on the linear parameters of two decays: inside the bounds, at a KKT point, and hardly ever above bounded TRF."""
    rng = np.random.default_rng(seed)
    model = sf.SurfaceModel(two_decays)
    worse, failed = [], []
    for truth, data, start in problems(two_decays, 2.0, seed=seed + 20):
        params = model.make_params(**start)
        for name in ("a1", "a2", "b"):
            if rng.random() < 0.7:
                ends = sorted(truth[name] + abs(truth[name]) * rng.normal(0, 0.7, 2))
                params[name].set(min=ends[0] if rng.random() < 0.7 else -np.inf, max=ends[1] if rng.random() < 0.7 else np.inf)
        low, high = (np.array([getattr(p, end) for p in params.values()]) for end in ("min", "max"))
        result = model.fit(data, params, x=X)
        values = np.array([result.params[n].value for n in params])
        assert (values >= low).all()
        assert (values <= high).all()
        names = list(params)
        width = np.where(np.isfinite(high - low), high - low, 1.0)
        inside = np.clip([params[n].value for n in names], low + 1e-6 * width, high - 1e-6 * width)
        tight = {"x_scale": "jac", "ftol": 1e-12, "xtol": 1e-12, "gtol": 1e-12, "max_nfev": 400}
        with np.errstate(over="ignore"):
            peer = least_squares(lambda q, data=data: data - two_decays(X, *q), inside, "3-point", (low, high), **tight)
        if result.success and result.chisqr > 2 * peer.cost * (1 + 1e-7):
            worse.append((start, result.chisqr, 2 * peer.cost))
        if not result.success:
            # a rate that runs to infinity, or two that become one, are no minimum to stand on; but nothing lower may be missed
            if result.chisqr > 2 * peer.cost * (1 + 1e-7):
                failed.append((start, result.status.names))
            continue
        # complex-step gradient, scaled: zero where free, outward where held
        r = data - two_decays(X, *values)
        columns = [two_decays(X, *(values + 1e-30j * unit)).imag / 1e-30 for unit in np.eye(5)]
        for name, value, column, lowest, highest in zip(names, values, columns, low, high, strict=True):
            g = column @ r / max(np.linalg.norm(column), 1e-300) / np.sqrt(r @ r / 55)
            if value == lowest:
                assert g < 1e-3, name
            elif value == highest:
                assert g > -1e-3, name
            else:
                assert abs(g) < 1e-3, name
    assert not failed
    assert len(worse) <= 2


def test_exact_data():
    """Without noise the answer is the truth to rounding, and errors are (next to) nothing."""
    for func, ranges in RANGES.items():
        truth = {k: 0.7 * low + 0.3 * high for k, (low, high) in ranges.items()}
        start = {k: 1.1 * v for k, v in truth.items()}
        result = sf.SurfaceModel(func).fit(func(X, **truth), x=X, **start)
        assert result.success, result.reason
        for name, value in truth.items():
            assert result.params[name].value == pytest.approx(value, rel=1e-11), (func.__name__, name)
            assert 0 <= result.params[name].stderr < 1e-10
