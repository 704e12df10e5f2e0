"""One model in eight threads at once: bit for bit what the same fits give one after the other, the first use included.

The interpreter switches between threads as often as it can. A barrier lets the first fits of all threads begin together, so
that they meet where a model is traced, compiled and divided into linear and searched parameters.
"""

import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import lmfit
import numpy as np
import pytest
from lmfit.models import GaussianModel, LinearModel

import surffit as sf
from surffit.kernels.warned import filtered

THREADS = 8
FITS = 24
t = np.linspace(0.0, 5.0, 40)
y, x = np.mgrid[:8, :9].astype(float)


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def branchy(t, a, k, c):
    return a * np.exp(-k * t) + c if float(np.real(k)) > -99 else 0 * t


def cut(t, a, k, c):
    out = np.empty(t.shape)
    out[:] = a * np.exp(-k * t) + c  # numpy warns when this drops an imaginary part: that must end in this thread's filter
    return out


def bump(x, y, h, x0, y0, s, base):
    return h * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / s**2) + base


def decays(n):
    rng = np.random.default_rng(8)
    return [decay(t, 5.0, k, 1.0) + rng.normal(0.0, 0.05, t.shape) for k in np.linspace(0.3, 1.2, n)]


def counted(n):
    rng = np.random.default_rng(11)
    return [rng.poisson(20 * decay(t, 5.0, k, 1.0)).astype(float) for k in np.linspace(0.3, 1.2, n)]


def pairs(n):
    return [{"one": z, "two": 2.0 * z} for z in decays(n)]


def bumps(n):
    rng = np.random.default_rng(9)
    return [bump(x, y, 5.0, at, 3.5, 1.7, 1.0) + rng.normal(0.0, 0.05, x.shape) for at in np.linspace(3.0, 5.0, n)]


def peaks(n):
    rng = np.random.default_rng(10)
    return [np.exp(-((t - at) ** 2)) + 0.1 * t + rng.normal(0.0, 0.01, t.shape) for at in np.linspace(2.0, 3.0, n)]


START = {"a": 3.0, "k": 0.5, "c": 0.5}
BOUNDED = {"a": {"value": 3.0, "max": 4.8}, "k": {"value": 0.5, "min": 0.0, "max": 1.0}, "c": {"value": 0.5, "min": 0.0}}
TIED = {"a": 3.0, "k": 0.5, "c": {"expr": "a / 5"}}
BUMP = {"h": 1.0, "x0": 4.4, "y0": 3.1, "s": 2.0, "base": 0.0}
PEAK = {"amplitude": 1.0, "center": 2.5, "sigma": 0.6, "slope": 0.0, "intercept": 0.0}
# what is fitted: a maker of fresh models, the data, the parameters (one object that all threads share), the other arguments
CASES = {
    "traced": (lambda: sf.SurfaceModel(decay), decays, START, {"t": t}),
    "grid": (lambda: sf.SurfaceModel(bump, ["x", "y"]), bumps, BUMP, {"x": x, "y": y}),
    "composite": (lambda: sf.SurfaceModel.from_lmfit(GaussianModel() + LinearModel()), peaks, PEAK, {"x": t}),
    "lmfit's": (lambda: sf.SurfaceModel.from_lmfit(GaussianModel()), peaks, None, {"x": t, "center": 2.5, "sigma": 0.6}),
    "bounded": (lambda: sf.SurfaceModel(decay), decays, BOUNDED, {"t": t}),
    "tied": (lambda: sf.SurfaceModel(decay), decays, TIED, {"t": t}),
    "complex step": (lambda: sf.SurfaceModel(branchy), decays, START, {"t": t}),
    "differences": (lambda: sf.SurfaceModel(cut), decays, START, {"t": t}),
    "joint": (
        lambda: sf.JointModel({"one": sf.SurfaceModel(decay), "two": sf.SurfaceModel(branchy)}, shared=["k"]), pairs,
        {"one_a": 3.0, "one_c": 0.5, "two_a": 3.0, "two_c": 0.5, "k": 0.5}, {"t": t},
    ),
    "robust": (lambda: sf.SurfaceModel(decay), decays, START, {"t": t, "loss": "cauchy"}),
    "counts": (lambda: sf.SurfaceModel(decay), counted, {"a": 90.0, "k": 0.5, "c": 15.0}, {"t": t, "loss": "poisson"}),
    "priors": (lambda: sf.SurfaceModel(decay), decays, START, {"t": t, "priors": {"k": (0.7, 0.1), "c": abs}}),
    "nelder": (lambda: sf.SurfaceModel(decay), decays, START, {"t": t, "method": "nelder"}),
    "basinhopping": (lambda: sf.SurfaceModel(decay), lambda n: decays(4), START, {"t": t, "method": "basinhopping"}),
}  # fmt: skip


@pytest.fixture
def restless():
    """The interpreter switches between threads after every instruction that lets it."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def together(func, items):
    """`func` of every item in eight threads that begin at once; the answers in order."""
    barrier = threading.Barrier(min(THREADS, len(items)))

    def one(numbered):
        i, item = numbered
        if i < barrier.parties:
            barrier.wait()
        return func(item)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, enumerate(items)))


def assert_equal(mine, theirs):
    """Bit for bit."""
    for name, par in theirs.params.items():
        other = mine.params[name]
        assert np.array_equal([other.value, other.stderr], [par.value, par.stderr], equal_nan=True), name
    assert np.array_equal(mine.covar, theirs.covar, equal_nan=True)
    assert (mine.status, mine.chisqr, mine.nfev, mine.var_names) == (theirs.status, theirs.chisqr, theirs.nfev, theirs.var_names)
    assert np.array_equal(mine.residual, theirs.residual)


@pytest.mark.parametrize("name", CASES)
def test_fits_in_threads_are_the_serial_fits(restless, name):
    make, samples, starts, kws = CASES[name]
    data = samples(FITS)
    alone = make()
    params = None if starts is None else alone.make_params(**starts)
    expected = [alone.fit(z, params, **kws) for z in data]
    names = list(alone.param_names)
    filters, errors = list(warnings.filters), np.geterr()
    for _ in range(2 if name in ("traced", "composite") else 1):  # the first use again
        shared = make()
        results = together(lambda z, model=shared: model.fit(z, params, **kws), data)
        for mine, theirs in zip(results, expected, strict=True):
            assert_equal(mine, theirs)
        assert shared.param_names == names
    assert warnings.filters == filters
    assert np.geterr() == errors


def test_posteriors_rungs_and_profiles_in_threads(restless):
    """Of one model, and of one result."""

    def one(result, seed):
        chain = result.sample(steps=20, walkers=6, rng=seed).chain
        limits = result.conf_interval(sigmas=[1])
        return chain.tobytes(), str(limits), result.covariance("hessian").matrix.tobytes()

    model, data = sf.SurfaceModel(decay), decays(THREADS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.exceptions.ConvergenceWarning)  # twenty steps are too few
        results = [model.fit(z, t=t, **START) for z in data]
        expected = [one(result, seed) for seed, result in enumerate(results)]
        results = [model.fit(z, t=t, **START) for z in data]
        assert together(lambda i: one(results[i], i), range(THREADS)) == expected
        fresh = model.fit(data[3], t=t, **START)
        assert together(lambda _: one(fresh, 3), range(THREADS)) == [expected[3]] * THREADS


def test_the_comparison_sees_the_last_bit():
    """Negative control."""
    model, z = sf.SurfaceModel(decay), decays(1)[0]
    theirs = model.fit(z, t=t, **START)
    z[7] = np.nextafter(z[7], 9.0)
    with pytest.raises(AssertionError):
        assert_equal(model.fit(z, t=t, **START), theirs)


@pytest.mark.parametrize("starts", [START, TIED, BOUNDED], ids=["free", "tied", "bounded"])
def test_one_result_read_by_eight_threads(restless, starts):
    """Everything that a result computes when it is asked for, asked for by all threads at once."""

    def read(result):
        band = result.predict(t=t[::3], level=0.9)
        kept = {name: par.stderr for name, par in result.params.items()}
        return (
            result.explain(), result.fit_report(), band.to_numpy().tobytes(), np.asarray(result.best_fit).tobytes(), str(result.uvars),
            np.asarray(result.eval(t=t)).tobytes(), result.eval_uncertainty().tobytes(), result.conditioning.condition_scaled,
            result.dumps(), str(result.init_values), result.rsquared, str(kept),
        )  # fmt: skip

    model = sf.SurfaceModel(decay)
    z = decays(5)[3]
    for _ in range(3):
        expected = read(model.fit(z, model.make_params(**starts), t=t))
        fresh = model.fit(z, model.make_params(**starts), t=t)
        for found in together(lambda _, result=fresh: read(result), range(16)):
            assert found == expected


def test_more_structures_than_a_model_keeps(restless):
    """Every thread asks for structures of its own, so that they push each other out."""
    model = sf.SurfaceModel(decay)
    z = decays(1)[0]

    def one(i):
        # another constraint is another structure
        return model.fit(z, model.make_params(a=3.0, k=0.5, c={"expr": f"a / {3 + i % 50}"}), t=t)

    expected = [sf.SurfaceModel(decay).fit(z, model.make_params(a=3.0, k=0.5, c={"expr": f"a / {3 + i}"}), t=t) for i in range(50)]
    for i, mine in enumerate(together(one, range(100))):
        assert_equal(mine, expected[i % 50])
    assert len(model._structures) <= 40  # about as many as one thread leaves


def test_names_do_not_grow_when_two_threads_ask_for_parameters():
    """lmfit's `make_params` adds names to the model; put back one inside the other, the second would bring them back."""

    class Slow(lmfit.Model):
        def make_params(self, verbose=False, **kwargs):
            out = super().make_params(verbose=verbose, **kwargs)
            time.sleep(0.01)
            return out

    slow = Slow(decay)
    slow.set_param_hint("life", expr="1 / k")
    model = sf.SurfaceModel.from_lmfit(slow)
    results = together(lambda z: model.fit(z, t=t, **START), decays(THREADS))
    assert model.param_names == ["a", "k", "c"]
    assert slow.param_names == ["a", "k", "c"]
    assert all(result.params["life"].stderr > 0 for result in results)


class TestFilters:
    """`warnings` has one list of filters for all threads; ours must neither stay nor hold elsewhere."""

    def test_nothing_stays_when_threads_leave_in_the_order_they_came(self):
        before = list(warnings.filters)
        inside, leave = threading.Barrier(3), threading.Event()

        def first():
            with filtered("error", UserWarning):
                inside.wait()

        def second():
            with filtered("error", UserWarning):
                inside.wait()
                leave.wait()

        threads = [threading.Thread(target=first), threading.Thread(target=second)]
        for thread in threads:
            thread.start()
        inside.wait()
        threads[0].join()
        leave.set()
        threads[1].join()
        assert warnings.filters == before

    def test_python_s_own_do_stay(self):
        """Negative control: the same with `warnings.catch_warnings`."""
        before = list(warnings.filters)
        kept = warnings.filters
        one, two = warnings.catch_warnings(), warnings.catch_warnings()
        one.__enter__()
        warnings.simplefilter("error", UserWarning)
        two.__enter__()
        one.__exit__(None, None, None)
        two.__exit__(None, None, None)
        try:
            if not getattr(sys.flags, "context_aware_warnings", False):
                assert warnings.filters != before
        finally:
            warnings.filters = kept
            warnings.simplefilter("default", ImportWarning)  # tells `warnings` that its list has changed
            warnings.filters.pop(0)
        assert warnings.filters == before

    @pytest.mark.parametrize("action", ["ignore", "error"])
    def test_other_threads_hear_their_warnings(self, action):
        def warned():
            with pytest.warns(UserWarning, match="told"):
                warnings.warn("told", stacklevel=1)
            return True

        inside, leave = threading.Event(), threading.Event()

        def quiet():
            with filtered(action, UserWarning):
                inside.set()
                leave.wait()

        thread = threading.Thread(target=quiet)
        thread.start()
        inside.wait()
        try:
            assert warned()
        finally:
            leave.set()
            thread.join()

    def test_inside_they_are_treated_as_asked_others_not(self):
        with filtered("ignore", DeprecationWarning), filtered("error", np.exceptions.ComplexWarning):
            warnings.warn("old", DeprecationWarning, stacklevel=1)
            with pytest.raises(np.exceptions.ComplexWarning):
                np.array([1j]).astype(float)
            with filtered("ignore"):
                warnings.warn("any", stacklevel=1)
            with pytest.raises(UserWarning, match="other"):  # as the tests are set up, warnings are errors
                warnings.warn("other", stacklevel=1)

    def test_users_own_filters_meanwhile_are_kept(self):
        with warnings.catch_warnings():
            with filtered("ignore"):
                warnings.simplefilter("error", ImportWarning)
            assert warnings.filters[0][:3] == ("error", None, ImportWarning)


def test_error_state_of_each_thread_is_its_own(restless):
    """Half of the threads want numpy's errors raised, half ignored; each keeps what it asked for."""
    model, data = sf.SurfaceModel(decay), decays(FITS)
    expected = [model.fit(z, t=t, **START) for z in data]

    def one(i):
        state = "raise" if i % 2 else "ignore"
        with np.errstate(all=state):
            result = model.fit(data[i], t=t, **START)
            assert set(np.geterr().values()) == {state}
            if i % 2:
                with pytest.raises(FloatingPointError):
                    np.log(np.zeros(1))
            else:
                np.log(np.zeros(1))
        return result

    for mine, theirs in zip(together(one, range(FITS)), expected, strict=True):
        assert_equal(mine, theirs)
