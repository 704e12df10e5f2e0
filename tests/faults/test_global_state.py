"""What belongs to the whole process is after every fit, good, bad or broken off, as it was before: a table of endings.

numpy's error state, the filters of `warnings`, both global random generators, numpy's print options and matplotlib's
settings; and whatever the error state is, the answer is the same.
"""

import random
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from lmfit.minimizer import SCALAR_METHODS

import surffit as sf
from surffit.core.result import SurfaceResult
from surffit.exceptions import ConvergenceWarning, SurffitError

METHODS = ("separable", "leastsq", "least_squares", *sorted(set(SCALAR_METHODS.values())))
GLOBAL = ("brute", "basinhopping", "ampgo", "shgo", "dual_annealing")
t = np.linspace(0.0, 5.0, 40)
noisy = 5.0 * np.exp(-0.7 * t) + 1.0 + np.random.default_rng(1).normal(0.0, 0.05, t.size)


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def branchy(t, a, k, c):
    return a * np.exp(-k * t) + c if float(np.real(k)) > -99 else 0 * t


def cut(t, a, k, c):
    out = np.empty(t.shape)
    out[:] = a * np.exp(-k * t) + c  # drops imaginary parts with a warning
    return out


def half(t, a, k, c):
    return a * np.log(t - k) + c


def underflows(t, a, x0, s):
    return a * np.exp(-(((t - x0) / s) ** 2))


def peak(size):
    rng = np.random.default_rng(2)
    with np.errstate(all="ignore"):
        z = size * (underflows(t, 5.0, 2.0, 0.1) + rng.normal(0.0, 0.05, t.size))
    return sf.SurfaceModel(underflows).fit(z, t=t, a=size, x0=2.1, s=0.15)


class Breaks:
    """A model function that raises at a given call, and an error at all later ones: probes survive one."""

    def __init__(self, error, calls):
        self.error, self.left, self.once = error, calls, error is KeyboardInterrupt
        self.__name__ = "breaks"

    def __call__(self, t, a, k, c):
        if float(np.real(k)) < -99:
            return 0 * t
        self.left -= 1
        if self.left == -1 or (self.left < 0 and not self.once):
            raise self.error
        return a * np.exp(-k * t) + c


MODEL = sf.SurfaceModel(decay)
START = {"a": 3.0, "k": 0.5, "c": 0.5}
BOUNDED = {"a": {"value": 3.0, "min": 0, "max": 9}, "k": {"value": 0.5, "min": 0.1, "max": 2}, "c": {"value": 0.5, "min": -3, "max": 3}}


def by(method, **kws):
    return MODEL.fit(noisy, MODEL.make_params(**BOUNDED), method=method, t=t, **kws)


def broken(error, calls, **kws):
    return sf.SurfaceModel(Breaks(error, calls), ["t"]).fit(noisy, t=t, **START, **kws)


def everything(result):
    """All that a result computes when asked."""
    for name in ("best_fit", "init_fit", "residual_map", "uvars", "rsquared", "conditioning", "reason", "message", "result"):
        getattr(result, name)
    result.explain(), result.fit_report(), result._repr_html_(), result.eval_uncertainty(), result.predict(level=0.9)
    result.predict(t=np.array([0.0, 1e300, -1e300])), result.tidy(), result.glance(), result.augment(), result.dumps()
    return result


def groups():
    import pandas as pd

    table = pd.DataFrame(
        {"t": np.tile(t, 3), "n": np.concatenate([noisy, np.full(t.size, np.nan), noisy]), "which": np.repeat([0, 1, 2], 40)}
    )
    return sf.fit_table(table, MODEL, "n", by="which", t="t", params=MODEL.make_params(**START))


def pictures():
    import matplotlib.pyplot as plt

    figure = by("separable").plot()
    plt.close(figure)


def joint(broken=False):
    model = sf.JointModel({"one": sf.SurfaceModel(decay), "two": sf.SurfaceModel(half if broken else decay)}, shared=["k"])
    return model.fit({"one": noisy, "two": noisy + 1.0}, t=t, one_a=3.0, one_c=0.5, two_a=3.0, two_c=0.5, k=9.0 if broken else 0.5)


def strange(data, model):
    """-2 ln L of Gaussian data, in a way that takes no complex numbers."""
    return np.hypot(data - np.real(model), 0.0) ** 2 / 0.05**2


counts = np.round(20 * decay(t, 5.0, 0.7, 1.0))
COUNTED = {"a": 90.0, "k": 0.5, "c": 15.0}


def losses(loss):
    return MODEL.fit(counts if loss == "poisson" else noisy, t=t, loss=loss, **(COUNTED if loss == "poisson" else START))


def saved():
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fit.json")
        by("separable").save(path)
        return sf.load(path)


ENDINGS = {
    **{method: (lambda method=method: by(method), None) for method in (*METHODS, *GLOBAL)},
    "stopped early": (lambda: by("separable", max_nfev=1), None),
    "stopped by the user": (lambda: by("separable", iter_cb=lambda *_, **__: True), None),
    "numeric": (lambda: sf.SurfaceModel(branchy).fit(noisy, t=t, **START), None),
    "drops imaginary parts": (lambda: sf.SurfaceModel(cut).fit(noisy, t=t, **START), None),
    "underflow": (lambda: everything(peak(1e-200)), None),
    "overflow": (lambda: everything(peak(1e200)), None),
    "exact data": (lambda: everything(MODEL.fit(decay(t, 5.0, 0.7, 0.0), t=t, **START)), None),
    "zero data": (lambda: MODEL.fit(0 * t, t=t, **START), None),
    "at a bound": (lambda: MODEL.fit(noisy, MODEL.make_params(**START | {"k": {"value": 0.5, "max": 0.6}}), t=t), None),
    "rank deficient": (lambda: sf.SurfaceModel(lambda t, a, b, k: (a + b) * np.exp(-k * t)).fit(noisy, t=t, a=1.0, b=1.0, k=0.5), None),
    "all that a result offers": (lambda: everything(by("separable")), None),
    "profile": (lambda: by("separable").ci_report(), None),
    "profile in two dimensions": (lambda: by("separable").conf_interval2d("a", "k", 5, 5), None),
    "hessian": (lambda: by("separable").covariance("hessian"), None),
    "posterior": (lambda: by("separable").sample(steps=200, rng=1).summary(), None),
    "chain too short": (lambda: by("separable").sample(steps=5, rng=1), ConvergenceWarning),
    "unknown estimator": (lambda: by("separable").covariance("guess"), SurffitError),
    "emcee": (lambda: by("emcee", fit_kws={"steps": 200, "nwalkers": 20, "burn": 20}), None),
    **{f"loss {loss}": (lambda loss=loss: losses(loss), None) for loss in ("soft_l1", "cauchy", "poisson")},
    "user's likelihood": (lambda: losses(strange), None),
    "negative counts": (lambda: MODEL.fit(-counts, t=t, loss="poisson", **START), SurffitError),
    "unknown loss": (lambda: losses("square"), SurffitError),
    "priors": (lambda: by("separable", priors={"k": (0.7, 0.1), "c": lambda c: -abs(c)}), None),
    "a prior that is nan": (lambda: by("separable", priors={"k": lambda k: np.nan}), SurffitError),
    "a prior of nobody": (lambda: by("separable", priors={"q": (0.0, 1.0)}), SurffitError),
    "joint": (joint, None),
    "joint, not finite at the start": (lambda: joint(broken=True), SurffitError),
    "saved and loaded": (saved, None),
    "loaded from nothing": (lambda: sf.load("no such file.json"), Exception),
    "pictures": (pictures, None),
    "table with a broken group": (groups, None),
    "wrong shape": (lambda: MODEL.fit(noisy[:7], t=t, **START), SurffitError),
    "nan": (lambda: MODEL.fit(np.where(t > 4, np.nan, noisy), t=t, **START), SurffitError),
    "not finite at the start": (lambda: sf.SurfaceModel(half).fit(noisy, t=t, a=1.0, k=9.0, c=0.0), SurffitError),
    "too few points": (lambda: MODEL.fit(noisy[:2], t=t[:2], **START), SurffitError),
    "unknown method": (lambda: by("no such method"), SurffitError),
    "unknown keyword": (lambda: by("separable", tt=1.0), SurffitError),
    "constraints in a circle": (lambda: MODEL.fit(noisy, MODEL.make_params(a=1.0, k={"expr": "c"}, c={"expr": "k"}), t=t), SurffitError),
    **{f"raises {where}": (lambda n=n: broken(RuntimeError("no"), n), RuntimeError) for where, n in {"at once": 0, "later": 150}.items()},
    "interrupt": (lambda: broken(KeyboardInterrupt, 150), KeyboardInterrupt),
    "interrupt in the middle of nelder": (lambda: broken(KeyboardInterrupt, 250, method="nelder"), KeyboardInterrupt),
    "interrupt in the middle of ampgo": (lambda: broken(KeyboardInterrupt, 900, method="ampgo"), KeyboardInterrupt),
    "interrupt, best so far": (lambda: broken(KeyboardInterrupt, 150, fit_kws={"on_interrupt": "return"}), None),
}  # fmt: skip


def process():
    """What belongs to the process, comparable."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "numpy errors": np.geterr(),
        "error callback": np.geterrcall(),
        "warnings": list(warnings.filters),
        "numpy random": (kind, keys.tobytes(), *rest),
        "random": random.getstate(),
        "printing": {name: value for name, value in np.get_printoptions().items() if name != "override_repr"},
        "matplotlib": dict(mpl.rcParams),
    }


def run(ending, wanted):
    if wanted is None:
        return ending()
    with pytest.raises(wanted):
        ending()
    return None


@pytest.mark.parametrize("name", ENDINGS)
def test_everything_is_as_it_was(name):
    ending, wanted = ENDINGS[name]
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002
    plain = run(ending, wanted)
    for state in ("ignore", "warn", "raise"):
        with np.errstate(all=state, under="ignore" if state == "warn" else state):
            before = process()
            result = run(ending, wanted)
            after = process()
        assert after == before, state
        assert (result is None) == (wanted is not None or plain is None)
        if isinstance(result, SurfaceResult):
            assert result.best_values == plain.best_values
            assert np.array_equal(result.covar, plain.covar, equal_nan=True) if plain.covar is not None else result.covar is None
            assert (result.status, result.nfev, result.chisqr) == (plain.status, plain.nfev, plain.chisqr)


@pytest.mark.parametrize("name", [name for name, (_, wanted) in ENDINGS.items() if wanted is not None])
def test_warnings_that_were_on_are_on_after_a_failed_fit(name):
    ending, wanted = ENDINGS[name]
    with np.errstate(all="warn"):
        run(ending, wanted)
        with pytest.warns(RuntimeWarning, match="invalid value encountered in log"):
            np.log(np.array([-1.0]))
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            np.array([1.0]) / 0.0
        with pytest.warns(np.exceptions.ComplexWarning):
            np.array([1j]).astype(float)


def test_the_comparison_sees_each_change():
    """Negative control."""
    changes = {
        "numpy errors": lambda: np.seterr(divide="raise" if np.geterr()["divide"] != "raise" else "warn"),
        "error callback": lambda: np.seterrcall(print),
        "warnings": lambda: warnings.simplefilter("ignore", np.exceptions.ComplexWarning),
        "numpy random": lambda: np.random.random(),  # noqa: NPY002
        "random": random.random,
        "printing": lambda: np.set_printoptions(precision=3),
        "matplotlib": lambda: mpl.rcParams.update({"lines.linewidth": 9.0}),
    }
    callback = np.geterrcall()
    try:
        for what, change in changes.items():
            with np.errstate(), warnings.catch_warnings(), np.printoptions(), mpl.rc_context():
                before = process()
                change()
                after = process()
            assert [name for name in before if before[name] != after[name]] == [what]
    finally:
        np.seterrcall(callback)
