"""Jointly linear parameters: found on lmfit's models and composites, never where it would be wrong, and never trusted blindly.

The expected names were written by hand from the formulas. Being less than maximal is safe (a cancelled factor), being wrong
is not: the last part forces wrong sets on the solver, whose last step in the full space has to notice.
"""

import contextlib
import inspect

import lmfit
import numpy as np
import pytest
from lmfit import lineshapes, models

import surffit as sf
from surffit.core import bind_numeric, fitting
from surffit.trace.linearity import LinearSet
from surffit.trace.numeric import NumericLinear

BUILT_IN = {
    "constant": (models.ConstantModel, {"c"}),
    "complex_constant": (models.ComplexConstantModel, {"re", "im"}),
    "linear": (models.LinearModel, {"slope", "intercept"}),
    "quadratic": (models.QuadraticModel, {"a", "b", "c"}),
    "polynomial": (lambda: models.PolynomialModel(degree=4), {f"c{i}" for i in range(5)}),
    "gaussian": (models.GaussianModel, {"amplitude"}),
    "gaussian2d": (models.Gaussian2dModel, {"amplitude"}),
    "lorentzian": (models.LorentzianModel, {"amplitude"}),
    "split_lorentzian": (models.SplitLorentzianModel, {"amplitude"}),
    "voigt": (models.VoigtModel, {"amplitude"}),
    "pseudo_voigt": (models.PseudoVoigtModel, {"amplitude"}),  # fraction is linear too, but not together with the amplitude
    "moffat": (models.MoffatModel, {"amplitude"}),
    "pearson4": (models.Pearson4Model, {"amplitude"}),
    "pearson7": (models.Pearson7Model, {"amplitude"}),
    "students_t": (models.StudentsTModel, {"amplitude"}),
    "breit_wigner": (models.BreitWignerModel, {"amplitude"}),
    "lognormal": (models.LognormalModel, {"amplitude"}),
    "damped_oscillator": (models.DampedOscillatorModel, {"amplitude"}),
    "dho": (models.DampedHarmonicOscillatorModel, {"amplitude"}),
    "exp_gaussian": (models.ExponentialGaussianModel, {"amplitude"}),
    "skewed_gaussian": (models.SkewedGaussianModel, {"amplitude"}),
    "skewed_voigt": (models.SkewedVoigtModel, {"amplitude"}),
    "thermal": (models.ThermalDistributionModel, set()),  # 1 / (amplitude*exp(...) - 1): the amplitude stands below the line
    "thermal_maxwell": (lambda: models.ThermalDistributionModel(form="maxwell"), set()),
    "doniach": (models.DoniachModel, {"amplitude"}),
    "power_law": (models.PowerLawModel, {"amplitude"}),
    "exponential": (models.ExponentialModel, {"amplitude"}),
    "step": (models.StepModel, {"amplitude"}),
    "step_erf": (lambda: models.StepModel(form="erf"), {"amplitude"}),
    "rectangle": (models.RectangleModel, {"amplitude"}),
    "rectangle_logistic": (lambda: models.RectangleModel(form="logistic"), {"amplitude"}),
    "sine": (models.SineModel, {"amplitude"}),
    "expsine": (lambda: lmfit.Model(lineshapes.expsine), {"amplitude"}),
    "logistic": (lambda: lmfit.Model(lineshapes.logistic), {"amplitude"}),
    # composites
    "peak_on_line": (lambda: models.GaussianModel() + models.LinearModel(), {"amplitude", "slope", "intercept"}),
    "two_peaks": (
        lambda: models.GaussianModel(prefix="a_") + models.VoigtModel(prefix="b_") - models.ConstantModel(),
        {"a_amplitude", "b_amplitude", "c"},
    ),
    # amplitude * e_amplitude: only one of a pair; the first one stays
    "product": (lambda: models.GaussianModel() * models.ExponentialModel(prefix="e_"), {"amplitude"}),
    "product_with_sum": (
        lambda: models.GaussianModel() * models.LinearModel(), {"slope", "intercept"},  # two beat one
    ),
    "quotient": (lambda: models.GaussianModel() / models.LinearModel(), {"amplitude"}),
    "sum_of_products": (
        lambda: models.GaussianModel() * models.ExponentialModel(prefix="e_") + models.QuadraticModel(), {"amplitude", "a", "b", "c"}
    ),
}  # fmt: skip
if hasattr(lineshapes, "bose"):  # lmfit 1.3.4 has these two, 1.3.3 not yet
    BUILT_IN["bose"] = (lambda: lmfit.Model(lineshapes.bose), {"amplitude"})
    BUILT_IN["fermi"] = (lambda: lmfit.Model(lineshapes.fermi), {"amplitude"})


@pytest.mark.parametrize("name", BUILT_IN)
def test_lmfits_models(name):
    make, expected = BUILT_IN[name]
    assert set(sf.SurfaceModel.from_lmfit(make()).linear) == expected


def test_every_lineshape_is_in_the_table():
    used = set()
    for make, _ in BUILT_IN.values():
        model = make()
        used |= {part.func.__name__ for part in getattr(model, "components", [model])}
    assert set(lineshapes.functions) <= used


def test_linear_in_the_fit_is_linear_in_the_model():
    """What a fit reports is the same set, on data."""
    x = np.linspace(-3, 4, 60)
    for name in ("gaussian", "pseudo_voigt", "quotient", "peak_on_line", "product_with_sum"):
        make, expected = BUILT_IN[name]
        model = sf.SurfaceModel.from_lmfit(make())
        params = model.make_params()
        truth = {"amplitude": 5.0, "center": 0.4, "sigma": 0.8, "slope": 0.1, "intercept": 2.0, "fraction": 0.3}
        for key, value in truth.items():
            if key in params:
                params[key].value = value
        data = model.eval(params, x=x) + np.random.default_rng(0).normal(0, 0.01, x.size)
        if name == "product_with_sum" or name == "quotient":
            params["amplitude" if name == "product_with_sum" else "intercept"].vary = False
        result = model.fit(data, params, x=x)
        found = set(result.conditioning.linear)
        assert found == expected, name


# ---- functions of every kind, and traps ------------------------------------------------------------------------------------


def half(a):
    return 0.5 * a


def helper(x, a, b):
    return half(a) * x + np.sum(np.array([1.0, 2.0])) * b


FUNCTIONS = {
    "plane": (lambda x, y, a, b, c: a + b * x + c * y, {"a", "b", "c"}),
    "horner": (lambda x, y, a, b, c: a + x * (b + x * c) + 0 * y, {"a", "b", "c"}),
    "with an offset 1e8": (lambda x, y, a, b: 1e8 + a * x + b * y, {"a", "b"}),
    "constant factor": (lambda x, y, a, b: (a * 3 - b) / 7 + x + y, {"a", "b"}),
    "in a helper": (lambda x, y, a, b: helper(x, a, b) + y, {"a", "b"}),
    "where on a coordinate": (lambda x, y, a, b: np.where(x > 1, a * x, b) + y, {"a", "b"}),
    "mask times parameter": (lambda x, y, a, b: a * (x > 1) + b * (x <= 1) * y, {"a", "b"}),
    "exponential": (lambda x, y, a, k: a * np.exp(-k * x) * y, {"a"}),
    "two rates": (lambda x, y, a, b, k: a * np.exp(-k * x) + b * np.exp(-2 * k * y), {"a", "b"}),
    "phase": (lambda x, y, c, s, w: c * np.cos(w * x) + s * np.sin(w * y), {"c", "s"}),
    "polyval": (lambda x, y, a, b, c: np.polyval([a, b, c], x) + y, {"a", "b", "c"}),
    "negative": (lambda x, y, a, b: -a - -b * x + y, {"a", "b"}),
    "complex": (lambda x, y, re, im, q: re + 1j * im + 1 / (1 + 1j * q * x) + y, {"re", "im"}),
    "real part": (lambda x, y, re, im: ((re + 1j * im) * np.exp(1j * x)).real + y, {"re", "im"}),
    "dot with constants": (lambda x, y, a, b: sum(c * v for c, v in zip((a, b), (x, y), strict=True)), {"a", "b"}),
}

# name: function, parameters that must never be called linear together with all the others that are; the largest right set(s)
TRAPS = {
    "max(a, -100)": (lambda x, y, a, b: max(a, -100.0) * x + b * y, [{"b"}]),
    "np.maximum(a, -100)": (lambda x, y, a, b: np.maximum(a, -100.0) * x + b * y, [{"b"}]),
    "np.clip(a)": (lambda x, y, a, b: np.clip(a, -1e3, 1e3) * x + b * y, [{"b"}]),
    "np.clip of the sum": (lambda x, y, a, b: np.clip(a * x + b * y, -1e3, 1e3), [set()]),
    "abs(a)": (lambda x, y, a, b: abs(a) * x + b * y, [{"b"}]),
    "sqrt(a**2)": (lambda x, y, a, b: np.sqrt(a**2) * x + b * y, [{"b"}]),
    "a*b": (lambda x, y, a, b: a * b * x + y, [{"a"}, {"b"}]),
    "(a+x)*(b+y)": (lambda x, y, a, b: (a + x) * (b + y), [{"a"}, {"b"}]),
    "a*b + c": (lambda x, y, a, b, c: a * b * x + c * y, [{"a", "c"}, {"b", "c"}]),
    "a*(b + c)": (lambda x, y, a, b, c: a * (b + c * x) * y, [{"b", "c"}]),
    "a**2": (lambda x, y, a, b: a**2 * x + b * y, [{"b"}]),
    "a*a": (lambda x, y, a, b: a * a * x + b * y, [{"b"}]),
    "x**a": (lambda x, y, a, b: x**a + b * y, [{"b"}]),
    "a/b": (lambda x, y, a, b: a / b * x + y, [{"a"}]),
    "1/a": (lambda x, y, a, b: 1 / a + b * x + y, [{"b"}]),
    "a*b/b": (lambda x, y, a, b: a * b / b * x + y, [{"a"}, set()]),
    "a - a*b": (lambda x, y, a, b: (a - a * b) * x + y, [{"a"}, {"b"}]),
    "where on a": (lambda x, y, a, b: np.where(a > 0, a, 2 * a) * x + b * y, [{"b"}]),
    "where on x > a": (lambda x, y, a, b, c: np.where(x > a, b, c) * y, [{"b", "c"}]),
    "a*(x > a)": (lambda x, y, a, b: a * (x > a) + b * y, [{"b"}]),
    "branch by sign": (lambda x, y, a, b: np.sign(a) * a * x + b * y, [{"b"}]),
    "heaviside": (lambda x, y, a, b: np.heaviside(a - 1, 0.5) * a * x + b * y, [{"b"}]),
    "floor": (lambda x, y, a, b: np.floor(a) * x + b * y, [{"b"}]),
    "piecewise line": (lambda x, y, a, b, c: np.where(x < c, a * x, a * c + b * (x - c)) + 0 * y, [{"a", "b"}]),
    "hypot": (lambda x, y, a, b: np.hypot(a, b) * x + y, [set()]),
    "modulus": (lambda x, y, re, im: np.abs(re + 1j * im) * x + y, [set()]),
    "log sum": (lambda x, y, a, b: np.log(np.exp(a) * 1.0) * x + b * y, [{"b"}]),  # a in disguise: missed, safely
}
# chi-square jumps with these parameters, so that no derivative leads to the minimum
JUMPS = ("where on x > a", "a*(x > a)", "floor")


def surface(func):
    return sf.SurfaceModel(func, independent_vars=["x", "y"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    func, expected = FUNCTIONS[name]
    assert set(surface(func).linear) == expected


@pytest.mark.parametrize("name", TRAPS)
def test_traps(name):
    func, allowed = TRAPS[name]
    assert set(surface(func).linear) in allowed


@pytest.mark.parametrize("name", TRAPS)
def test_traps_in_a_fit(name):
    """Whatever route the fit takes, its linear set is allowed, and the fit is right."""
    func, allowed = TRAPS[name]
    model = surface(func)
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0.5, 3, 50), rng.uniform(0.5, 3, 50)
    truth = dict(zip(model.param_names, (1.3, 0.8, 1.9), strict=False))
    data = func(x, y, **truth) + rng.normal(0, 0.01, 50)
    start = {k: 1.1 * v for k, v in truth.items()}
    result = model.fit(data, x=x, y=y, **start)
    assert set(result.conditioning.linear) in allowed
    if name in JUMPS:
        return
    best = float(np.sum((data - func(x, y, **truth)) ** 2))
    assert result.chisqr <= best * (1 + 1e-9)
    # in a*b/b the effect of b is rounding, so it can't be told from a parameter that has none at its start
    assert result.success or name == "a*b/b"


@pytest.mark.parametrize("name", TRAPS)
@pytest.mark.parametrize("jac", ["complex-step", "differences"])
def test_traps_on_the_numeric_route_end_in_the_minimum(name, jac):
    """Without the graph a set may look linear nearby (max(a, -100) does); the answer must be right all the same."""
    func, _ = TRAPS[name]
    model = surface(func)
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0.5, 3, 50), rng.uniform(0.5, 3, 50)
    truth = dict(zip(model.param_names, (1.3, 0.8, 1.9), strict=False))
    data = func(x, y, **truth) + rng.normal(0, 0.01, 50)
    result = model.fit(data, x=x, y=y, fit_kws={"jac": jac}, **{k: 1.1 * v for k, v in truth.items()})
    best = float(np.sum((data - func(x, y, **truth)) ** 2))
    assert not result.success or result.chisqr <= best * (1 + 1e-9) or name in JUMPS


@pytest.mark.parametrize("seed", range(40))
def test_random_polynomials_in_the_parameters(seed):
    """Against the degrees by hand: a set is jointly linear iff no monomial holds two of its members or one squared."""
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", "d"]
    monomials = [tuple(sorted(rng.choice(names, rng.integers(0, 4)))) for _ in range(rng.integers(2, 6))]
    text = " + ".join("*".join([f"{1 + i}.5", "x" if i % 2 else "y", *m]) for i, m in enumerate(monomials))
    model = sf.SurfaceModel.from_expression(text, independent_vars=["x", "y"])
    found = set(model.linear)
    present = {n for m in monomials for n in m}
    assert found <= present
    for m in monomials:
        assert sum(n in found for n in m) <= 1, f"{found} are not jointly linear in {text}"
    alone = {n for n in present if all(m.count(n) <= 1 for m in monomials)}
    assert bool(found) == bool(alone)
    # nothing could be added
    for other in alone - found:
        assert any(m.count(other) and any(n in found for n in m) for m in monomials), f"{other} could join {found} in {text}"


# ---- fixed, tied and stated ------------------------------------------------------------------------------------------------


def trial(x, a, b, k):
    return a * np.exp(-k * x) + a * b * x


def test_fixing_one_of_a_pair_frees_the_other():
    model = sf.SurfaceModel(trial, independent_vars=["x"])
    x = np.linspace(0, 3, 40)
    params = model.make_params(a=2.0, b=0.3, k=1.0)
    data = trial(x, 2.1, 0.4, 1.3) + 0.01 * np.cos(37 * x)
    assert model.linear in (("a",), ("b",))
    params["a"].vary = False
    result = model.fit(data, params, x=x)
    assert result.conditioning.linear == ("b",)
    params["a"].vary, params["b"].vary = True, False
    assert model.fit(data, params, x=x).conditioning.linear == ("a",)


@pytest.mark.parametrize(
    ("expr", "linear"),
    [("0.5*a", {"a"}), ("a + 3", {"a"}), ("-a/4", {"a"}), ("a**2", set()), ("abs(a)", set()), ("max(a, 1)", set()), ("1/a", set())],
)
def test_constraints_carry_linearity(expr, linear):
    model = sf.SurfaceModel(lambda x, a, b, k: a * np.exp(-k * x) + b * x, independent_vars=["x"])
    params = model.make_params(a=2.0, b=0.3, k=1.0)
    params["b"].expr = expr
    x = np.linspace(0, 3, 40)
    data = model.eval(params, x=x, k=1.2) + 0.01 * np.cos(37 * x)
    assert set(model.fit(data, params, x=x).conditioning.linear) == linear


def test_a_constraint_that_multiplies_two_linear_ones():
    model = sf.SurfaceModel(lambda x, a, b, c: a + b * x + c * x**2, independent_vars=["x"])
    params = model.make_params(a=2.0, b=0.3, c=0.1)
    params["c"].expr = "a*b"
    x = np.linspace(0, 3, 40)
    data = 2 + 0.3 * x + 0.6 * x**2 + 0.01 * np.cos(37 * x)
    result = model.fit(data, params, x=x)
    assert set(result.conditioning.linear) in ({"a"}, {"b"})
    theirs = lmfit.Model(lambda x, a, b, c: a + b * x + c * x**2).fit(data, params, x=x)
    for name in ("a", "b", "c"):
        assert result.params[name].value == pytest.approx(theirs.params[name].value, abs=1e-5 * theirs.params[name].stderr)


def test_stated_linear_names_are_checked():
    x = np.linspace(0, 3, 40)
    data = trial(x, 2.1, 0.4, 1.3)
    for stated, pair in ((["a", "b"], {"a", "b"}), (["k"], {"k"})):
        model = sf.SurfaceModel(trial, independent_vars=["x"], linear=stated)
        with pytest.raises(sf.exceptions.LinearityError) as caught:
            model.fit(data, x=x, a=2.0, b=0.3, k=1.0)
        for name in pair:
            assert name in str(caught.value)
    model = sf.SurfaceModel(trial, independent_vars=["x"], linear=["b"])
    result = model.fit(data, x=x, a=2.0, k=1.0)
    assert model.linear == ("b",)
    assert result.conditioning.linear == ("b",)
    with pytest.raises(sf.exceptions.LinearityError, match="nothere"):
        sf.SurfaceModel(trial, independent_vars=["x"], linear=["nothere"]).fit(data, x=x, a=1, b=1, k=1)


def test_elimination_switched_off():
    x = np.linspace(0, 3, 40)
    data = trial(x, 2.1, 0.4, 1.3) + 0.01 * np.cos(37 * x)
    start = {"a": 2.0, "b": 0.3, "k": 1.0}
    off = sf.SurfaceModel(trial, independent_vars=["x"], linear=())
    result = off.fit(data, x=x, **start)
    on = sf.SurfaceModel(trial, independent_vars=["x"]).fit(data, x=x, **start)
    assert off.linear == ()
    assert result.conditioning.linear == ()
    for name in start:
        assert result.params[name].value == pytest.approx(on.params[name].value, rel=1e-12)
        assert result.params[name].stderr == pytest.approx(on.params[name].stderr, rel=1e-9)
    with pytest.raises(sf.exceptions.ParameterError, match="b"):
        off.fit(data, x=x, a=2.0, k=1.0)  # without elimination b needs a start


# ---- a wrong set must be survived ------------------------------------------------------------------------------------------


def noisy(func, truth, x, size=0.01, seed=0):
    clean = func(x, **truth)
    return clean + size * np.abs(clean).max() * np.random.default_rng(seed).normal(size=x.size)


WRONG = {
    # function, truth, start, the set forced on the solver
    "product of two": (lambda x, a, b, c: a * b * x + a + c * b, {"a": 1.3, "b": 0.7, "c": 2}, {"a": 1, "b": 1, "c": 1}, ("a", "b")),
    "square": (lambda x, a, b: a**2 * x + b, {"a": 1.3, "b": 0.7}, {"a": 1.0, "b": 1.0}, ("a", "b")),
    "exponent": (lambda x, a, k: a * np.exp(-k * x), {"a": 3.0, "k": 0.8}, {"a": 1.0, "k": 0.5}, ("a", "k")),
    "exponent alone": (lambda x, a, k, b: a * np.exp(-k * x) + b, {"a": 3, "k": 0.8, "b": 0.3}, {"a": 1, "k": 0.5, "b": 0}, ("k", "b")),
    "abs": (lambda x, a, b: np.abs(a) * x - b * x**2, {"a": 1.3, "b": 0.7}, {"a": 1.0, "b": 1.0}, ("a", "b")),
    "clipped": (lambda x, a, b: np.maximum(a, -100.0) * x + b, {"a": 1.3, "b": 0.7}, {"a": 1.0, "b": 1.0}, ("a", "b")),
    "clipped, and the clip is active": (
        lambda x, a, b: np.maximum(a, 1.0) * x + b * np.exp(a * x / 10), {"a": 1.3, "b": 0.7}, {"a": 1.1, "b": 1.0}, ("a", "b"),
    ),
    "centre": (
        lambda x, h, m, s: h * np.exp(-0.5 * ((x - m) / s) ** 2), {"h": 3, "m": 1.6, "s": 0.5}, {"h": 2, "m": 1.4, "s": 0.6}, ("h", "m"),
    ),
    "everything": (
        lambda x, h, m, s: h * np.exp(-0.5 * ((x - m) / s) ** 2), {"h": 3, "m": 1.6, "s": 0.5}, {"h": 2, "m": 1.4, "s": 0.6},
        ("h", "m", "s"),
    ),
}  # fmt: skip


def force_graph(monkeypatch, names):
    """The graph's answer replaced: these names, no conflicts."""

    def wrong(*args, **kwargs):
        return LinearSet(names=tuple(names), conflicts=(), affine=tuple(names), nonlinear=())

    from surffit.core import structure

    monkeypatch.setattr(structure, "linear_set", wrong)


def force_numeric(monkeypatch, names, varying):
    found = NumericLinear(tuple(varying.index(n) for n in names), ())
    monkeypatch.setattr(bind_numeric.numeric, "linear_set", lambda *args, **kwargs: found)


def right_or_failed(result, func, data, x, truth):
    """The minimum that lmfit finds from the truth, or a result that says that it failed."""
    theirs = lmfit.Model(func).fit(data, x=x, **truth)
    if result.success:
        assert result.chisqr <= theirs.chisqr * (1 + 1e-6), "a wrong answer was called a success"
    else:
        assert result.reason
        assert "FIT FAILED" in result.fit_report()
    return result.success


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_wrong_set_on_the_graph_route_is_survived(name, monkeypatch):
    """Refused by name when its columns are derived, or fitted right."""
    func, truth, start, names = WRONG[name]
    x = np.linspace(0.1, 3, 60)
    data = noisy(func, truth, x)
    force_graph(monkeypatch, names)
    try:
        result = sf.SurfaceModel(func).fit(data, x=x, **start)
    except sf.exceptions.LinearityError as error:
        assert any(n in str(error) for n in names)  # noqa: PT017 - one of two right outcomes
        return
    right_or_failed(result, func, data, x, truth)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("jac", ["complex-step", "differences"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_wrong_set_on_the_numeric_route_is_survived(name, jac, monkeypatch):
    func, truth, start, names = WRONG[name]
    x = np.linspace(0.1, 3, 60)
    data = noisy(func, truth, x)
    force_numeric(monkeypatch, names, list(start))
    result = sf.SurfaceModel(func).fit(data, x=x, fit_kws={"jac": jac}, **start)
    right_or_failed(result, func, data, x, truth)


def test_the_forcing_works(monkeypatch):
    """The negative control of the two tests above: the wrong set does reach the solver."""
    func, truth, start, names = WRONG["exponent alone"]
    x = np.linspace(0.1, 3, 60)
    reached = []
    solver = fitting.minimise
    monkeypatch.setattr(fitting, "minimise", lambda problem, *args: reached.append(problem.k) or solver(problem, *args))
    force_numeric(monkeypatch, names, list(start))
    sf.SurfaceModel(func).fit(noisy(func, truth, x), x=x, fit_kws={"jac": "differences"}, **start)
    assert reached[0] == len(names)
    reached.clear()
    force_graph(monkeypatch, names)
    with contextlib.suppress(sf.exceptions.LinearityError):
        sf.SurfaceModel(func).fit(noisy(func, truth, x), x=x, **start)
    assert reached[0] == len(names)


@pytest.mark.parametrize("threshold", [-100.0, -0.5, 0.2])
@pytest.mark.parametrize("start", [-3.0, 1.0, 50.0])
def test_a_clip_far_below_is_right_for_every_start(threshold, start):
    """max(a, t) looks linear everywhere but at t, to any probe that never gets there."""

    def func(x, a, b):
        if a > 1e300:  # not traceable
            raise ValueError
        return max(a, threshold) * x + b

    x = np.linspace(0, 1, 30)
    data = func(x, 0.7, 0.2) + 0.01 * np.cos(40 * x)
    A = np.column_stack([x, np.ones(30)])
    best = float(np.linalg.lstsq(A, data, rcond=None)[1][0])
    result = sf.SurfaceModel(func).fit(data, x=x, a=start, b=1.0)
    assert result.conditioning.derivatives != "graph"
    if result.success:
        assert result.chisqr == pytest.approx(best, rel=1e-9)
    else:
        assert start <= threshold  # below the clip the function is flat in a: only there may it fail


def test_signatures_of_the_table():
    """The tables above use functions of x and y only, so that a typo can't make a parameter a coordinate."""
    for table in (FUNCTIONS, TRAPS):
        for func, *_ in table.values():
            assert list(inspect.signature(func).parameters)[:2] == ["x", "y"]
