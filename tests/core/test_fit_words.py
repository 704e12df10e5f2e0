"""What Model.fit takes beside Parameters: independent variables, data errors, callbacks, methods; and that it changes nothing."""

import threading

import lmfit
import numpy as np
import pytest
from lmfit.models import ExponentialModel, GaussianModel, StepModel

import surffit as sf
from surffit.exceptions import DataError, ParameterError

X = np.linspace(0.0, 10.0, 120)


def peak(x, height, center, width, level, slope):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + level + slope * x


TRUTH = {"height": 5.0, "center": 4.2, "width": 0.9, "level": 1.0, "slope": 0.2}
START = {"height": 3.0, "center": 4.6, "width": 1.3, "level": 0.0, "slope": 0.0}
DATA = peak(X, **TRUTH) + np.random.default_rng(11).normal(0, 0.1, X.size)


def both(func=peak, **kwargs):
    """The same function as our model and as lmfit's."""
    return sf.SurfaceModel(func, **kwargs), lmfit.Model(func, **kwargs)


# ---- independent variables -------------------------------------------------------------------------------------------------


def test_options_that_are_not_parameters(tight, agree):
    """lmfit lists `form` among the independent variables of its step."""
    model = sf.SurfaceModel.from_lmfit(StepModel(form="erf"))
    data = model.eval(model.make_params(amplitude=3, center=5, sigma=1.1), x=X) + np.random.default_rng(0).normal(0, 0.02, X.size)
    start = model.make_params(amplitude=1, center=4.5, sigma=1.5)
    erf = model.fit(data, start, x=X)
    logistic = model.fit(data, start, x=X, form="logistic")
    theirs = StepModel()
    agree(erf, tight(theirs, data, theirs.make_params(amplitude=1, center=4.5, sigma=1.5), x=X, form="erf"))
    agree(logistic, tight(theirs, data, theirs.make_params(amplitude=1, center=4.5, sigma=1.5), x=X, form="logistic"))
    assert erf.conditioning.derivatives == logistic.conditioning.derivatives == "graph"
    assert model.fit(data, start, x=X).chisqr == erf.chisqr  # the option of one call does not stick


def test_independent_variables_that_are_no_arrays(tight, agree):
    """A mode, a flag, a dict, a table to look up: handed through as they are."""

    def func(x, table, mode, flag, a, k):
        factor = {"one": 1.0, "two": 2.0}[mode]
        extra = table["knots"][0] if flag else 0.0
        return a * factor * np.exp(-k * x) + extra

    names = ["x", "table", "mode", "flag"]
    ours, theirs = sf.SurfaceModel(func, independent_vars=names), lmfit.Model(func, independent_vars=names)
    given = {"x": X, "table": {"knots": [0.5, 2]}, "mode": "two", "flag": True}
    data = func(**given, a=1.5, k=0.6) + np.random.default_rng(0).normal(0, 0.02, X.size)
    result = ours.fit(data, a=1.0, k=0.4, **given)
    agree(result, tight(theirs, data, theirs.make_params(a=1.0, k=0.4), **given))
    assert result.conditioning.linear == ("a",)
    changed = {**given, "flag": False}
    agree(ours.fit(data, a=1.0, k=0.4, **changed), tight(theirs, data, theirs.make_params(a=1.0, k=0.4), **changed))


def test_a_scalar_independent_variable(tight, agree):
    def func(x, temperature, a, e):
        return a * np.exp(-e * x / temperature)

    names = ["x", "temperature"]
    ours, theirs = sf.SurfaceModel(func, independent_vars=names), lmfit.Model(func, independent_vars=names)
    data = func(X, 3.0, 2.0, 1.5) + np.random.default_rng(0).normal(0, 0.02, X.size)
    agree(ours.fit(data, x=X, temperature=3.0, a=1, e=1), tight(theirs, data, theirs.make_params(a=1, e=1), x=X, temperature=3.0))


def test_an_array_that_is_not_elementwise(tight, agree):
    """A kernel of another length than the data: only the function knows what to do with it."""

    def func(x, kernel, a, k):
        return np.convolve(a * np.exp(-k * x), kernel, mode="same")

    names = ["x", "kernel"]
    ours, theirs = sf.SurfaceModel(func, independent_vars=names), lmfit.Model(func, independent_vars=names)
    kernel = np.array([0.2, 0.6, 0.2])
    data = func(X, kernel, 3.0, 0.5) + np.random.default_rng(0).normal(0, 0.02, X.size)
    result = ours.fit(data, x=X, kernel=kernel, a=1, k=1)
    agree(result, tight(theirs, data, theirs.make_params(a=1, k=1), x=X, kernel=kernel))
    assert result.conditioning.linear == ("a",)


def test_three_independent_variables(tight, agree):
    def func(x, y, t, a, b, k):
        return (a * x + b * y) * np.exp(-k * t)

    names = ["x", "y", "t"]
    ours, theirs = sf.SurfaceModel(func, independent_vars=names), lmfit.Model(func, independent_vars=names)
    rng = np.random.default_rng(0)
    coords = {n: rng.uniform(0, 3, (6, 5, 4)) for n in names}
    data = func(**coords, a=1.0, b=2.0, k=0.4) + rng.normal(0, 0.02, (6, 5, 4))
    result = ours.fit(data, a=1, b=1, k=1, **coords)
    agree(result, tight(theirs, data, theirs.make_params(a=1, b=1, k=1), **coords))
    assert result.best_fit.shape == (6, 5, 4)


def test_coords_with_names_of_keywords():
    def func(mask, method, sigma_x, a, k):
        return a * np.exp(-k * mask) + method * 0 + sigma_x * 0

    model = sf.SurfaceModel(func, independent_vars=["mask", "method", "sigma_x"])
    data = func(X, X, X, 3.0, 0.5) + np.random.default_rng(0).normal(0, 0.02, X.size)
    result = model.fit(data, coords={"mask": X, "method": X, "sigma_x": X}, a=1, k=1)
    assert result.params["k"].value == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ParameterError, match="twice"):
        model.fit(data, coords={"mask": X, "method": X, "sigma_x": X}, sigma_x=X, a=1, k=1)
    with pytest.raises(ParameterError, match="nothere"):
        model.fit(data, coords={"mask": X, "method": X, "sigma_x": X, "nothere": X}, a=1, k=1)


def test_unknown_and_missing_keywords():
    ours, _ = both()
    with pytest.raises(ParameterError, match=r"wieghts.*weights"):
        ours.fit(DATA, x=X, wieghts=1, **START)
    with pytest.raises(ParameterError, match="x"):
        ours.fit(DATA, **START)


# ---- a parameter called sigma ----------------------------------------------------------------------------------------------


def test_sigma_as_a_parameter(tight, agree):
    model = sf.SurfaceModel.from_lmfit(GaussianModel())
    rng = np.random.default_rng(0)
    error = rng.uniform(0.01, 0.05, X.size)
    data = model.eval(model.make_params(amplitude=5, center=4, sigma=0.7), x=X) + error * rng.normal(size=X.size)
    start = {"amplitude": 4, "center": 4.3}
    theirs = GaussianModel()
    plain = tight(theirs, data, theirs.make_params(sigma=1.0, **start), x=X)
    weighted = tight(theirs, data, theirs.make_params(sigma=1.0, **start), x=X, weights=1 / error)
    agree(model.fit(data, x=X, sigma=1.0, **start), plain)
    agree(model.fit(data, x=X, sigma=lmfit.Parameter("sigma", value=1.0, min=0), **start), plain)
    agree(model.fit(data, model.make_params(sigma=1.0, **start), x=X, sigma=error), weighted)
    for wrong in (error[:5], "1.0", error[:, None]):
        with pytest.raises((ParameterError, DataError), match="sigma"):
            model.fit(data, model.make_params(sigma=1.0, **start), x=X, sigma=wrong)


@pytest.mark.parametrize("name", ["mask", "weights", "method", "params", "data", "coords"])
def test_parameters_with_names_of_keywords_are_refused(name):
    scope: dict = {}
    exec(f"def func(x, {name}, b):\n    return {name} * x + b", scope)  # noqa: S102 - the test's own text
    with pytest.raises(ValueError, match=name):  # three of them lmfit refuses itself
        sf.SurfaceModel(scope["func"])


# ---- data, weights, callbacks ----------------------------------------------------------------------------------------------


def resonator(f, f0, q, re, im):
    return (re + 1j * im) / (1 + 2j * q * (f / f0 - 1))


def complex_problem():
    f = np.linspace(0.9, 1.1, 60)
    rng = np.random.default_rng(5)
    data = resonator(f, 1.003, 30.0, 0.8, 0.3) + 0.01 * (rng.normal(size=60) + 1j * rng.normal(size=60))
    return f, data, {"f0": 1.0, "q": 25.0, "re": 1.0, "im": 0.0}


@pytest.mark.parametrize("kind", ["none", "real", "complex"])
def test_complex_data(kind, tight, agree):
    """Against lmfit on real and imaginary parts one after the other; complex weights weigh the two parts separately.

    (That is what lmfit documents. In 1.3.4 it multiplies as complex numbers, so that it can't be asked directly.)
    """
    f, data, start = complex_problem()
    rng = np.random.default_rng(0)
    weights = {"none": None, "real": rng.uniform(50, 200, 60), "complex": rng.uniform(50, 200, 60) + 1j * rng.uniform(50, 200, 60)}[kind]
    ours = sf.SurfaceModel(resonator, ["f"])
    result = ours.fit(data, f=f, weights=weights, **start)

    def parts(f, f0, q, re, im):
        return resonator(f, f0, q, re, im).view(float)

    theirs = lmfit.Model(parts, ["f"])
    flat = None if weights is None else (weights if np.iscomplexobj(weights) else weights * (1 + 1j)).view(float)
    reference = tight(theirs, data.view(float), theirs.make_params(**start), f=f, weights=flat)
    agree(result, reference)
    assert result.ndata == 120
    assert np.iscomplexobj(result.best_fit)
    assert set(result.conditioning.linear) == {"re", "im"}
    np.testing.assert_allclose(result.residual, reference.residual, atol=1e-6 * np.abs(reference.residual).max())


@pytest.mark.parametrize("spelling", ["weights", "sigma", "var", "ivar", "scalar"])
def test_weights(spelling, tight, agree):
    rng = np.random.default_rng(3)
    sigma = np.full(X.size, 0.3) if spelling == "scalar" else rng.uniform(0.05, 0.4, X.size)
    given = {"weights": 1 / sigma, "sigma": sigma, "var": sigma**2, "ivar": sigma**-2, "scalar": 1 / 0.3}[spelling]
    ours, theirs = both()
    keyword = "weights" if spelling == "scalar" else spelling
    result = ours.fit(DATA, x=X, **{keyword: given}, **START)
    agree(result, tight(theirs, DATA, theirs.make_params(**START), x=X, weights=1 / sigma))


def test_two_data_errors():
    ours, _ = both()
    with pytest.raises(DataError, match=r"weights.*sigma"):
        ours.fit(DATA, x=X, weights=np.ones(X.size), sigma=np.ones(X.size), **START)


def test_scale_covar():
    sigma = np.full(X.size, 0.1)
    ours, theirs = both()
    loose = ours.fit(DATA, x=X, sigma=sigma, **START)
    known = ours.fit(DATA, x=X, sigma=sigma, scale_covar=False, **START)
    reference = theirs.fit(DATA, theirs.make_params(**START), x=X, weights=1 / sigma, scale_covar=False)
    for name in START:
        assert known.params[name].stderr == pytest.approx(reference.params[name].stderr, rel=1e-4)
        assert loose.params[name].stderr == pytest.approx(known.params[name].stderr * np.sqrt(loose.redchi), rel=1e-10)


def test_calc_covar_switched_off():
    ours, _ = both()
    result = ours.fit(DATA, x=X, calc_covar=False, **START)
    assert result.success
    assert result.covar is None
    assert not result.errorbars
    assert result.covar_source == "none"
    assert all(np.isnan(result.params[n].stderr) for n in result.var_names)
    assert "calc_covar" in result.explain()
    assert "calc_covar" in result.fit_report()


def test_iter_cb():
    seen = []

    def watch(params, iteration, resid, *args, **kws):
        seen.append((params.valuesdict(), iteration, np.asarray(resid), kws))

    ours, _ = both()
    result = ours.fit(DATA, x=X, iter_cb=watch, **START)
    assert result.success
    assert seen
    assert [s[1] for s in seen] == sorted(s[1] for s in seen)
    values, _, resid, kws = seen[-1]
    assert set(values) == set(START)
    np.testing.assert_array_equal(kws["x"], X)
    np.testing.assert_allclose(resid, DATA - peak(X, **values), atol=1e-12)


@pytest.mark.parametrize("method", ["separable", "leastsq", "nelder"])
def test_iter_cb_stops_the_fit(method):
    count = []

    def stop(params, iteration, resid, *args, **kws):
        count.append(iteration)
        return len(count) >= 2

    ours, _ = both()
    result = ours.fit(DATA, x=X, iter_cb=stop, method=method, **START)
    assert len(count) == 2
    assert result.aborted
    assert not result.success
    assert "ABORTED" in result.status.names


def test_max_nfev():
    ours, _ = both()
    result = ours.fit(DATA, x=X, max_nfev=3, **START)
    assert not result.success
    assert "MAX_NFEV" in result.status.names
    assert result.nfev < 30
    assert "max_nfev" in result.reason
    assert all(np.isfinite(p.value) for p in result.params.values())


def test_a_generous_max_nfev_changes_nothing():
    ours, _ = both()
    assert ours.fit(DATA, x=X, max_nfev=5000, **START).best_values == ours.fit(DATA, x=X, **START).best_values


@pytest.mark.parametrize("policy", ["model", "call"])
def test_nan_policy_omit(policy, tight, agree):
    data = DATA.copy()
    data[[3, 50, 51]] = np.nan, np.inf, -np.inf
    ours = sf.SurfaceModel(peak, nan_policy="omit" if policy == "model" else "raise")
    kws = {} if policy == "model" else {"nan_policy": "omit"}
    result = ours.fit(data, x=X, **START, **kws)
    used = np.isfinite(data)
    reference = tight(lmfit.Model(peak), DATA[used], lmfit.Model(peak).make_params(**START), x=X[used])
    agree(result, reference)
    assert result.ndata == X.size - 3
    assert result.best_fit.shape == X.shape
    assert np.isnan(result.residual_map[[3, 50, 51]]).all()
    assert ours.nan_policy == ("omit" if policy == "model" else "raise")
    if policy == "call":  # the policy of one call doesn't stick
        with pytest.raises(DataError):
            ours.fit(data, x=X, **START)


def test_nan_policy_raise_and_propagate():
    data = DATA.copy()
    data[3] = np.nan
    ours, _ = both()
    with pytest.raises(DataError, match="data"):
        ours.fit(data, x=X, **START)
    with pytest.raises(ParameterError, match="propagate"):
        ours.fit(DATA, x=X, nan_policy="propagate", **START)
    with pytest.raises(ParameterError, match="propagate"):
        sf.SurfaceModel(peak, nan_policy="propagate")


def test_nan_in_a_coordinate_is_omitted_too(tight, agree):
    x = X.copy()
    x[7] = np.nan
    ours, theirs = both()
    used = np.isfinite(x)
    agree(ours.fit(DATA, x=x, nan_policy="omit", **START), tight(theirs, DATA[used], theirs.make_params(**START), x=X[used]))


def test_coerce_farray_off():
    """The function gets the list it was given."""

    def func(x, a, b):
        assert isinstance(x, list)
        return a * np.asarray(x) + b

    result = sf.SurfaceModel(func).fit(3 * X + 1 + 0.01 * np.cos(9 * X), x=X.tolist(), coerce_farray=False, a=1, b=1)
    assert result.params["a"].value == pytest.approx(3, abs=0.01)


def test_positional_arguments_in_lmfits_order():
    ours, theirs = both()
    params = ours.make_params(**START)
    weights = np.full(X.size, 2.0)
    result = ours.fit(DATA, params, weights, "leastsq", None, False, x=X)
    reference = theirs.fit(DATA, params, weights, "leastsq", None, False, x=X)
    assert result.method == "leastsq"
    for name in START:
        assert result.params[name].stderr == pytest.approx(reference.params[name].stderr, rel=1e-4)


# ---- methods ---------------------------------------------------------------------------------------------------------------

METHODS = [
    "separable", "leastsq", "least_squares", "nelder", "lbfgsb", "powell", "cg", "newton", "cobyla", "bfgs", "tnc", "trust-ncg",
    "trust-exact",
    "trust-krylov", "trust-constr", "dogleg", "slsqp", "differential_evolution", "brute", "basinhopping", "ampgo", "shgo", "dual_annealing",
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_methods(method):
    """Every name lmfit knows, to 1e-6 stderr after our polish."""

    def func(x, amp, tau, level):
        return amp * np.exp(-x / tau) + level

    x = np.linspace(0, 6, 40)
    data = func(x, 3.0, 1.5, 0.5) + np.random.default_rng(3).normal(0, 0.05, 40)
    model = sf.SurfaceModel(func)
    params = model.make_params(amp=2.0, tau=1.2, level=0.0)
    params["tau"].set(min=0.2, max=5.0)
    params["amp"].set(min=0.0, max=10.0)
    params["level"].set(min=-5.0, max=5.0)
    reference = model.fit(data, params, x=x)
    result = model.fit(data, params, x=x, method=method)
    assert result.success, result.reason
    assert result.method == method
    assert result.covar_source == "jacobian"
    for name in params:
        assert abs(result.params[name].value - reference.params[name].value) <= 1e-6 * reference.params[name].stderr, name
        assert result.params[name].stderr == pytest.approx(reference.params[name].stderr, rel=1e-6)
    theirs = lmfit.Model(func).fit(data, params, x=x)
    assert result.chisqr <= theirs.chisqr * (1 + 1e-9)


def test_an_unknown_method():
    ours, _ = both()
    with pytest.raises(ParameterError, match="nosuch"):
        ours.fit(DATA, x=X, method="nosuch", **START)
    with pytest.raises(ParameterError, match="nosuch"):
        ours.fit(DATA, x=X, fit_kws={"nosuch": 1}, **START)


def test_fit_kws_of_lmfits_methods():
    ours, _ = both()
    result = ours.fit(DATA, x=X, method="leastsq", fit_kws={"ftol": 1e-3, "xtol": 1e-3}, **START)
    assert result.success


# ---- nothing is changed ----------------------------------------------------------------------------------------------------


def state_of(model):
    """What a user can see of a model."""
    return (
        list(model.param_names), list(model.independent_vars), {k: dict(v) for k, v in model.param_hints.items()}, model.nan_policy,
        model.prefix,
        dict(model.opts), model.name, model.make_params().dumps(),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["separable", "leastsq", "nelder"])
def test_nothing_that_was_handed_in_is_changed(method):
    model = sf.SurfaceModel.from_lmfit(GaussianModel(prefix="g_") + ExponentialModel(prefix="e_"))
    params = model.make_params(g_amplitude=4, g_center=4.5, g_sigma=1, e_amplitude=1, e_decay=3)
    params["g_sigma"].set(min=0.1)
    params.add("half", expr="g_amplitude/2")
    rng = np.random.default_rng(0)
    data = model.eval(params, x=X) + rng.normal(0, 0.01, X.size)
    weights = rng.uniform(1, 2, X.size)
    mask = X > 9
    arrays = {"data": data, "weights": weights, "mask": mask, "x": X.copy()}
    kept = {k: v.copy() for k, v in arrays.items()}
    before, settings = params.dumps(), state_of(model)
    kws: dict = {}
    for _ in range(2):
        model.fit(arrays["data"], params, weights=arrays["weights"], mask=arrays["mask"], x=arrays["x"], method=method, fit_kws=kws)
        assert params.dumps() == before
        assert state_of(model) == settings
        assert kws == {}
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, kept[name])
    assert all(p.stderr is None for p in params.values())
    assert all(p.correl is None for p in params.values())


def test_read_only_input():
    arrays = [DATA.copy(), X.copy(), np.ones(X.size)]
    for array in arrays:
        array.setflags(write=False)
    ours, _ = both()
    assert ours.fit(arrays[0], x=arrays[1], weights=arrays[2], **START).success


def test_functions_that_write_into_their_arguments():
    """lmfit's own lognormal does."""
    model = sf.SurfaceModel.from_lmfit(lmfit.models.LognormalModel())
    x = np.linspace(-1.0, 8.0, 90)
    kept = x.copy()
    data = model.eval(model.make_params(amplitude=5, center=1, sigma=0.5), x=x) + np.random.default_rng(0).normal(0, 0.01, 90)
    result = model.fit(data, model.make_params(amplitude=4, center=0.8, sigma=0.6), x=x)
    np.testing.assert_array_equal(x, kept)
    assert result.success
    assert result.params["center"].value == pytest.approx(1.0, abs=0.05)


def test_numpy_error_state_is_left_alone():
    before = np.geterr()
    ours, _ = both()
    ours.fit(DATA, x=X, **START)
    with pytest.raises(DataError):
        ours.fit(DATA[:3], x=X[:3], **START)
    assert np.geterr() == before


def test_eight_threads_share_a_model():
    """One model, many fits at once: every answer is that of the fit alone."""
    ours, _ = both()
    rng = np.random.default_rng(0)
    sets = [peak(X, **{**TRUTH, "center": 3 + 0.3 * i}) + rng.normal(0, 0.05, X.size) for i in range(8)]
    fixed = [("slope",) if i % 2 else () for i in range(8)]

    def params(i):
        p = ours.make_params(**{**START, "center": 3.2 + 0.3 * i})
        for name in fixed[i]:
            p[name].set(value=0.2, vary=False)
        return p

    alone = [sf.SurfaceModel(peak).fit(sets[i], params(i), x=X) for i in range(8)]
    found: dict[int, list] = {i: [] for i in range(8)}
    errors = []
    gate = threading.Barrier(8)

    def work(i):
        try:
            gate.wait(timeout=30)
            for _ in range(3):
                found[i].append(ours.fit(sets[i], params(i), x=X))
        except Exception as error:  # noqa: BLE001 - reported by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not errors
    for i in range(8):
        assert len(found[i]) == 3
        for result in found[i]:
            assert result.best_values == alone[i].best_values
            np.testing.assert_array_equal(result.covar, alone[i].covar)


def test_fits_are_deterministic():
    ours, _ = both()
    one, two = (ours.fit(DATA, x=X, **START) for _ in range(2))
    assert one.best_values == two.best_values
    np.testing.assert_array_equal(one.covar, two.covar)


@pytest.mark.parametrize("wrong", [{"a": 1.0}, [1.0, 2.0], "params"])
def test_params_of_another_type(wrong):
    ours, _ = both()
    with pytest.raises(ParameterError, match="Parameters"):
        ours.fit(DATA, wrong, x=X)


def test_a_start_that_is_no_number():
    ours, _ = both()
    for wrong in ("three", [1, 2]):
        with pytest.raises(ParameterError, match="width"):
            ours.fit(DATA, x=X, **{**START, "width": wrong})
    with pytest.raises((ParameterError, ValueError), match=r"nan|NaN"):
        ours.fit(DATA, x=X, **{**START, "width": np.nan})
