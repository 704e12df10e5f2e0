"""
Errors of what the data do determine are those of the reduced problem, whatever they leave open beside it.

The oracle is another fit: parameters on a bound fixed there, redundant ones merged into one, flat ones left out. Values are
compared in units of their errors. What is lost has stderr inf (undetermined) or nan (on a bound) and is named wherever a
person may look: `explain()`, `conditioning`, `fit_report()`.
"""

import math

import numpy as np
import pytest

import surffit as sf
from surffit.solve.status import Status

CLOSE = 1e-6
t = np.linspace(0.0, 5.0, 40)
y, x = np.mgrid[:8, :9].astype(float)
rows_1d = {"t": t}
rows_2d = {"x": x, "y": y}


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def plane(x, y, a, b, c):
    return a + b * x + c * y


def bump(x, y, h, x0, y0, s, base):
    return h * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / s**2) + base


DECAY = decay(t, 5.0, 0.7, 1.0)
PLANE = plane(x, y, 1.0, 2.0, -0.5)
BUMP = bump(x, y, 9.0, 3.7, 3.2, 1.6, 2.0)


class Case:
    """
    A problem that leaves something open, and the reduced one.

    Parameters
    ----------
    func, params : model and parameters (starts, or dicts of attributes)
    reduced, reduced_params : the same of the reduced problem
    lost, held : names of the undetermined parameters, and of those on a bound
    merged : value of a reduced parameter from those of the full fit, by name
    succeeds : False where a searched parameter has no effect around its start, so that nobody knows whether it would elsewhere
    """

    def __init__(self, func, params, reduced, reduced_params, lost=(), held=(), merged=None, coords=rows_1d, clean=DECAY, succeeds=True):
        self.func, self.params, self.reduced, self.reduced_params = func, params, reduced, reduced_params
        self.lost, self.held, self.merged = set(lost), set(held), merged or {}
        self.coords, self.clean, self.succeeds = coords, clean, succeeds


def up_to(value, bound):
    return {"value": value, "max": bound}


def at_least(value, bound):
    return {"value": value, "min": bound}


def fixed(value):
    return {"value": value, "vary": False}


FREE = {"a": 3.0, "k": 0.5, "c": 0.5}
SPOT = {"h": 5.0, "x0": 4.0, "y0": 3.0, "s": 2.0, "base": 0.0}
CASES = {
    # ---- bounds
    "linear bound": Case(decay, FREE | {"c": up_to(0.5, 0.9)}, decay, FREE | {"c": fixed(0.9)}, held="c"),
    "nonlinear bound": Case(decay, FREE | {"k": at_least(0.9, 0.8)}, decay, FREE | {"k": fixed(0.8)}, held="k"),
    "nonlinear bound, start on it": Case(decay, FREE | {"k": at_least(0.8, 0.8)}, decay, FREE | {"k": fixed(0.8)}, held="k"),
    "both kinds": Case(
        decay, {"a": up_to(3.0, 4.5), "k": at_least(0.9, 0.72), "c": 0.5}, decay, {"a": fixed(4.5), "k": fixed(0.72), "c": 0.5}, held="ak"
    ),
    "linear model, two bounds": Case(
        plane, {"a": at_least(3.0, 2.0), "b": 1.0, "c": at_least(0.0, 0.0)}, plane, {"a": fixed(2.0), "b": 1.0, "c": fixed(0.0)},
        held="ac", coords=rows_2d, clean=PLANE,
    ),
    "surface, three bounds": Case(
        bump, SPOT | {"x0": up_to(2.0, 3.5), "s": at_least(3.0, 1.7), "base": at_least(3.0, 2.1)},
        bump, SPOT | {"x0": fixed(3.5), "s": fixed(1.7), "base": fixed(2.1)}, held=("x0", "s", "base"), coords=rows_2d, clean=BUMP,
    ),
    "all but one": Case(
        decay, {"a": up_to(3.0, 4.0), "k": 0.5, "c": up_to(0.1, 0.9)}, decay, {"a": fixed(4.0), "k": 0.5, "c": fixed(0.9)}, held="ac"
    ),
    # ---- redundant parameters
    "a + b": Case(
        lambda t, a, b, k, c: (a + b) * np.exp(-k * t) + c, FREE | {"b": 1.0}, decay, FREE, lost="ab",
        merged={"a": lambda p: p["a"] + p["b"]},
    ),
    "a * b": Case(
        lambda t, a, b, k, c: a * b * np.exp(-k * t) + c, FREE | {"b": 1.5}, decay, FREE, lost="ab", merged={"a": lambda p: p["a"] * p["b"]}
    ),
    "a / b": Case(
        lambda t, a, b, k, c: a / b * np.exp(-k * t) + c, FREE | {"b": 0.7}, decay, FREE, lost="ab", merged={"a": lambda p: p["a"] / p["b"]}
    ),
    "sum in an exponent": Case(
        lambda t, a, k, j, c: a * np.exp(-(k + j) * t) + c, FREE | {"j": 0.1}, decay, FREE, lost="kj",
        merged={"k": lambda p: p["k"] + p["j"]},
    ),
    "product in an exponent": Case(
        lambda t, a, k, j, c: a * np.exp(-k * j * t) + c, FREE | {"j": 0.9}, decay, FREE, lost="kj",
        merged={"k": lambda p: p["k"] * p["j"]},
    ),
    "factor and offset in an exponent": Case(
        lambda t, a, b, k, c: a * np.exp(-k * t + b) + c, FREE | {"b": 0.3}, decay, FREE, lost="ab",
        merged={"a": lambda p: p["a"] * math.exp(p["b"])},
    ),
    "three in a sum": Case(
        lambda t, a, b, d, k, c: (a + 2 * b - d) * np.exp(-k * t) + c, FREE | {"b": 1.0, "d": 0.5}, decay, FREE, lost="abd",
        merged={"a": lambda p: p["a"] + 2 * p["b"] - p["d"]},
    ),
    "three in a product": Case(
        lambda t, a, b, d, k, c: a * b * d * np.exp(-k * t) + c, FREE | {"b": 1.3, "d": 0.8}, decay, FREE, lost="abd",
        merged={"a": lambda p: p["a"] * p["b"] * p["d"]},
    ),
    "two pairs": Case(
        lambda t, a, b, k, j, c: (a + b) * np.exp(-(k + j) * t) + c, FREE | {"b": 1.0, "j": 0.1}, decay, FREE, lost="abkj",
        merged={"a": lambda p: p["a"] + p["b"], "k": lambda p: p["k"] + p["j"]},
    ),
    "chain of three": Case(  # a, b and d share two sums
        lambda x, y, a, b, d, c: (a + b) * x + (b + d) * y + c, {"a": 1.0, "b": 0.0, "d": 0.0, "c": 0.0},
        lambda x, y, p, q, c: p * x + q * y + c, {"p": 1.0, "q": 0.0, "c": 0.0}, lost="abd", coords=rows_2d, clean=PLANE,
        merged={"p": lambda p: p["a"] + p["b"], "q": lambda p: p["b"] + p["d"]},
    ),
    "redundant through a constraint": Case(
        lambda t, a, k, c: a * np.exp(-k * t) + c, {"a": {"expr": "u - v"}, "k": 0.5, "c": 0.5, "u": 2.0, "v": 0.5}, decay, FREE,
        lost=("u", "v"), merged={"a": lambda p: p["u"] - p["v"]},
    ),
    "two centres that only meet": Case(
        lambda x, y, h, x0, dx, y0, s, base: bump(x, y, h, x0 + dx, y0, s, base), SPOT | {"dx": 0.1}, bump, SPOT, lost=("x0", "dx"),
        coords=rows_2d, clean=BUMP, merged={"x0": lambda p: p["x0"] + p["dx"]},
    ),
    # ---- flat directions
    "no such argument": Case(
        lambda t, a, k, c, ghost: a * np.exp(-k * t) + c + 0 * ghost, FREE | {"ghost": 3.0}, decay, FREE, lost=("ghost",)
    ),
    "times a coordinate of zeros": Case(
        lambda t, u, a, k, c, g: a * np.exp(-k * t) + c + g * u, FREE | {"g": 0.0},
        lambda t, u, a, k, c: decay(t, a, k, c), FREE, lost="g", coords={"t": t, "u": 0 * t},
    ),
    "searched, times a coordinate of zeros": Case(
        lambda t, u, a, k, c, g: a * np.exp(-k * t - np.sin(g) * u) + c, FREE | {"g": 0.4},
        lambda t, u, a, k, c: decay(t, a, k, c), FREE, lost="g", coords={"t": t, "u": 0 * t},
        succeeds=False,
    ),
    "a coordinate that does not vary": Case(
        lambda x, y, a, b, c: plane(x, y, a, b, c), {"a": 0.0, "b": 0.0, "c": 0.0}, lambda x, y, a, b: a + b * x, {"a": 0.0, "b": 0.0},
        lost="ac", coords={"x": x, "y": 0 * y + 2.0}, clean=plane(x, 2.0, 1.0, 2.0, -0.5), merged={"a": lambda p: p["a"] + 2 * p["c"]},
    ),
    "a switched-off term": Case(  # max(k - 5, 0) is 0 with all its slopes around here
        lambda t, a, k, c, q: decay(t, a, k, c) + np.maximum(q - 50.0, 0.0), FREE | {"q": 1.0}, decay, FREE, lost="q", succeeds=False
    ),
    # ---- combinations
    "a + b, and c on a bound": Case(
        lambda t, a, b, k, c: (a + b) * np.exp(-k * t) + c, FREE | {"b": 1.0, "c": up_to(0.5, 0.9)}, decay, FREE | {"c": fixed(0.9)},
        lost="ab", held="c", merged={"a": lambda p: p["a"] + p["b"]},
    ),
    "k * j, and c on a bound": Case(
        lambda t, a, k, j, c: a * np.exp(-k * j * t) + c, FREE | {"j": 1.1, "c": at_least(2.0, 1.1)}, decay, FREE | {"c": fixed(1.1)},
        lost="kj", held="c", merged={"k": lambda p: p["k"] * p["j"]},
    ),
    "a + b, k on a bound, and a ghost": Case(
        lambda t, a, b, k, c, ghost: (a + b) * np.exp(-k * t) + c + 0 * ghost, FREE | {"b": 1.0, "ghost": 2.0, "k": at_least(0.9, 0.75)},
        decay, FREE | {"k": fixed(0.75)}, lost=("a", "b", "ghost"), held="k", merged={"a": lambda p: p["a"] + p["b"]},
    ),
    "surface: pair, bound and flat": Case(
        lambda x, y, u, h, x0, dx, y0, s, base, g: bump(x, y, h, x0 - dx, y0, s, base) + g * u,
        SPOT | {"dx": 0.1, "g": 0.0, "s": at_least(3.0, 1.7)},
        lambda x, y, u, h, x0, y0, s, base: bump(x, y, h, x0, y0, s, base), SPOT | {"s": fixed(1.7)}, lost=("x0", "dx", "g"), held="s",
        coords={**rows_2d, "u": 0 * x}, clean=BUMP, merged={"x0": lambda p: p["x0"] - p["dx"]},
    ),
    "a pair with bounds that do not bind": Case(
        lambda t, a, b, k, c: (a + b) * np.exp(-k * t) + c,
        FREE | {"a": {"value": 3.0, "min": 0, "max": 50}, "b": {"value": 1.0, "min": -50, "max": 50}},
        decay, FREE, lost="ab", merged={"a": lambda p: p["a"] + p["b"]},
    ),
}  # fmt: skip


def numeric(func, coords):
    """The same function, but with a branch that no tracer follows."""
    import inspect

    names = list(inspect.signature(func).parameters)
    free = names[-1]

    def branched(*args):
        values = dict(zip(names, args, strict=True))
        return func(**values) if not math.isnan(float(np.real(values[free]))) else np.zeros(np.shape(values[names[0]]))

    text = f"lambda {', '.join(names)}: branched({', '.join(names)})"
    return eval(text, {"branched": branched})  # noqa: S307 - our own names


def parameters(model, given):
    params = model.make_params(**{name: value for name, value in given.items() if name in model.param_names})
    for name, value in given.items():
        if name not in params:
            params.add(name, **(value if isinstance(value, dict) else {"value": value}))
    for name, value in given.items():  # expressions of helpers that came later
        if isinstance(value, dict) and "expr" in value:
            params[name].expr = value["expr"]
    return params


def both(case, route="graph", weighted=False, linear=None, **kws):
    """The full fit and the reduced one."""
    rng = np.random.default_rng(20240607)
    sigma = np.full(np.shape(case.clean), 0.05)
    if weighted:
        sigma = sigma * rng.uniform(0.5, 2.0, sigma.shape)
        kws["weights"] = 1 / sigma
    z = case.clean + rng.normal(size=sigma.shape) * sigma
    results = []
    for func, given in ((case.func, case.params), (case.reduced, case.reduced_params)):
        model = sf.SurfaceModel(func if route == "graph" else numeric(func, case.coords), list(case.coords), linear=linear)
        results.append(model.fit(z, parameters(model, given), **kws, **case.coords))
    return results


def assert_reduced(result, reduced, case, errors=CLOSE, values=CLOSE):
    """All that is promised of `result`."""
    assert result.success == case.succeeds or result.conditioning.derivatives != "graph", result.reason
    assert reduced.success
    assert result.errorbars
    lost, held = case.lost, case.held
    determined = set(result.var_names) - lost - held
    for name in determined:
        mine, theirs = result.params[name], reduced.params[name]
        assert mine.stderr == pytest.approx(theirs.stderr, rel=errors), name
        assert abs(mine.value - theirs.value) <= values * theirs.stderr, name
    best = {name: par.value for name, par in result.params.items()}
    for name, merge in case.merged.items():
        assert abs(merge(best) - reduced.params[name].value) <= values * reduced.params[name].stderr, name
    assert all(result.params[name].stderr == np.inf for name in lost), {n: result.params[n].stderr for n in lost}
    assert all(math.isnan(result.params[name].stderr) for name in held), {n: result.params[n].stderr for n in held}
    assert (result.nfree, result.redchi) == (reduced.nfree, pytest.approx(reduced.redchi, rel=1e-9))
    # correlations of the determined ones too, and nothing but nan beside the others
    both_have = [name for name in result.var_names if name in determined]
    mine = [[result.covar[result.var_names.index(a), result.var_names.index(b)] for a in both_have] for b in both_have]
    theirs = [[reduced.covar[reduced.var_names.index(a), reduced.var_names.index(b)] for a in both_have] for b in both_have]
    assert np.allclose(mine, theirs, rtol=errors, atol=errors * np.sqrt(np.outer(np.diag(theirs), np.diag(theirs))) if both_have else 0)
    for name in lost | held:
        beside = np.delete(result.covar[result.var_names.index(name)], result.var_names.index(name))
        assert np.isnan(beside).all(), name
    # named
    assert set(result.conditioning.undetermined) == lost
    assert set(result.conditioning.at_bound) == held
    assert bool(result.status & Status.AT_BOUND) == bool(held)
    text = result.explain().replace("\n  ", " ")
    assert all(name in text for name in lost | held)
    assert ("stderr is inf" in text) == bool(lost)
    assert ("stderr is nan" in text) == bool(held)
    report = {line.split(":")[0].strip(): line for line in result.fit_report().splitlines() if "+/-" in line}
    assert all(" inf " in report[name] for name in lost)
    assert all(" nan " in report[name] for name in held)
    assert all("nan" not in report[name] and " inf " not in report[name] for name in determined)
    # the surface itself is as sure as the reduced one
    ours, theirs = result.eval_uncertainty(), reduced.eval_uncertainty()
    assert np.asarray(ours) == pytest.approx(np.asarray(theirs), rel=max(errors, 1e-5), abs=1e-9 * float(np.max(theirs)))


@pytest.mark.parametrize("name", CASES)
def test_exact_derivatives(name):
    case = CASES[name]
    assert_reduced(*both(case), case)


@pytest.mark.parametrize("name", CASES)
def test_known_errors(name):
    case = CASES[name]
    result, reduced = both(case, weighted=True, scale_covar=False)
    assert_reduced(result, reduced, case)


@pytest.mark.parametrize("name", CASES)
def test_numeric_route(name):
    case = CASES[name]
    result, reduced = both(case, "numeric")
    assert result.conditioning.derivatives != "graph"
    # a null direction is found to the error of the derivatives
    assert_reduced(result, reduced, case, errors=1e-5, values=1e-4)


@pytest.mark.parametrize("name", ["linear bound", "both kinds", "a + b", "two pairs", "a + b, k on a bound, and a ghost"])
def test_without_elimination(name):
    case = CASES[name]
    assert_reduced(*both(case, linear=()), case)


LONG_T = np.linspace(0.0, 5.0, 60_000)
WIDE_Y, WIDE_X = np.mgrid[:8:160j, :9:180j]
LONG = ("linear bound", "both kinds", "a + b", "product in an exponent", "a + b, k on a bound, and a ghost")


@pytest.mark.parametrize("name", LONG)
def test_long_data(name):
    """Sums over blocks of rows in place of columns."""
    small = CASES[name]
    case = Case(
        small.func, small.params, small.reduced, small.reduced_params, small.lost, small.held, small.merged,
        {"t": LONG_T}, decay(LONG_T, 5.0, 0.7, 1.0),
    )  # fmt: skip
    result, reduced = both(case)
    assert result._outcome.bound.moments is not None
    assert_reduced(result, reduced, case)


@pytest.mark.parametrize("name", ["surface, three bounds", "two centres that only meet", "surface: pair, bound and flat"])
@pytest.mark.parametrize("weighted", [False, True])
def test_wide_grids(name, weighted):
    """Sums over the lines of a rectangular grid."""
    small = CASES[name]
    coords = {"x": WIDE_X, "y": WIDE_Y} | ({"u": 0 * WIDE_X} if "u" in small.coords else {})
    case = Case(
        small.func, small.params, small.reduced, small.reduced_params, small.lost, small.held, small.merged,
        coords, bump(WIDE_X, WIDE_Y, 9.0, 3.7, 3.2, 1.6, 2.0),
    )  # fmt: skip
    result, reduced = both(case, weighted=weighted)
    assert result._outcome.bound.moments is not None
    assert_reduced(result, reduced, case)


def test_complex_data():
    f = np.linspace(1.0, 3.0, 40)

    def resonance(f, s, f0, q):
        return s / (1 + 2j * q * (f - f0) / f0)

    rng = np.random.default_rng(3)
    z = resonance(f, 2.0, 2.05, 9.0) + 0.05 * (rng.normal(size=40) + 1j * rng.normal(size=40))
    start = {"s": 1.0, "f0": 2.0, "q": 8.0}
    for extra, given in ((lambda s, g: s + g, {"g": 0.5}), (lambda s, g: s * g, {"g": 1.5})):
        result = sf.SurfaceModel(lambda f, s, g, f0, q, extra=extra: resonance(f, extra(s, g), f0, q)).fit(z, f=f, **start, **given)
        reduced = sf.SurfaceModel(resonance).fit(z, f=f, **start)
        for name in ("f0", "q"):
            assert result.params[name].stderr == pytest.approx(reduced.params[name].stderr, rel=CLOSE)
        assert result.params["s"].stderr == result.params["g"].stderr == np.inf


def test_constraints_know_what_they_lean_on():
    """A sum that is determined has its error, though its terms have none; what leans on lost or held parameters has theirs."""
    model = sf.SurfaceModel(lambda t, a, b, k, c: (a + b) * np.exp(-k * t) + c)
    params = model.make_params(a=3.0, b=1.0, k=0.5, c=up_to(0.5, 0.9))
    for name, expr in {"whole": "a + b", "life": "1 / k", "part": "a / 2", "twice": "2 * c", "odd": "a + b + c"}.items():
        params.add(name, expr=expr)
    z = DECAY + np.random.default_rng(4).normal(0, 0.05, t.size)
    result = model.fit(z, params, t=t)
    less = sf.SurfaceModel(decay)
    reduced_params = less.make_params(a=3.0, k=0.5, c=fixed(0.9))
    reduced_params.add("life", expr="1 / k")
    reduced = less.fit(z, reduced_params, t=t)
    assert result.params["whole"].stderr == pytest.approx(reduced.params["a"].stderr, rel=CLOSE)
    assert result.params["life"].stderr == pytest.approx(reduced.params["life"].stderr, rel=CLOSE)
    assert result.params["part"].stderr == np.inf
    assert np.isnan(result.params["twice"].stderr)
    assert np.isnan(result.params["odd"].stderr)


@pytest.mark.parametrize(("top", "held"), [(2.0, "ab"), (2.4, "ab")])
def test_pair_whose_sum_both_bounds_cut(top, held):
    model = sf.SurfaceModel(lambda t, a, b, k, c: (a + b) * np.exp(-k * t) + c)
    z = DECAY + np.random.default_rng(4).normal(0, 0.05, t.size)
    result = model.fit(z, model.make_params(a=up_to(1.0, top), b=up_to(1.0, top), k=0.5, c=0.5), t=t)
    reduced = sf.SurfaceModel(decay).fit(z, sf.SurfaceModel(decay).make_params(a=fixed(2 * top), k=0.5, c=0.5), t=t)
    assert set(result.conditioning.at_bound) == set(held)
    assert not result.conditioning.undetermined
    for name in "kc":
        assert result.params[name].stderr == pytest.approx(reduced.params[name].stderr, rel=CLOSE)


def test_pair_of_which_one_begins_on_its_bound():
    """Whether a parameter that nothing pushes stays on its bound or not, the errors of the others are the same."""
    model = sf.SurfaceModel(lambda t, a, b, k, c: (a + b) * np.exp(-k * t) + c)
    z = DECAY + np.random.default_rng(4).normal(0, 0.05, t.size)
    result = model.fit(z, model.make_params(a=up_to(1.0, 1.0), b=1.0, k=0.5, c=0.5), t=t)
    reduced = sf.SurfaceModel(decay).fit(z, t=t, **FREE)
    for name in "kc":
        assert result.params[name].stderr == pytest.approx(reduced.params[name].stderr, rel=CLOSE)
    assert not np.isfinite(result.params["a"].stderr)
    held = bool(result.conditioning.at_bound)
    assert result.params["b"].stderr == (pytest.approx(reduced.params["a"].stderr, rel=CLOSE) if held else np.inf)


@pytest.mark.parametrize("method", ["leastsq", "least_squares", "nelder"])
@pytest.mark.parametrize("name", ["linear bound", "nonlinear bound", "a + b", "k * j, and c on a bound", "no such argument"])
def test_lmfits_methods(name, method):
    case = CASES[name]
    assert_reduced(*both(case, method=method), case)


@pytest.mark.parametrize("name", ["linear bound", "both kinds", "a + b", "product in an exponent", "a + b, k on a bound, and a ghost"])
def test_tables_by_groups(name):
    """Each group has its own open questions: in the second nothing is on a bound."""
    import pandas as pd

    case = CASES[name]
    rng = np.random.default_rng(5)
    clean = [case.clean, decay(t, 4.0, 0.95, 0.6)]
    n = np.concatenate([z + rng.normal(0, 0.01, t.size) for z in clean])
    table = pd.DataFrame({"time": np.tile(t, 2), "n": n, "which": np.repeat(["one", "two"], t.size)})
    model, reduced = sf.SurfaceModel(case.func), sf.SurfaceModel(case.reduced)
    fits = sf.fit_table(table, model, "n", by="which", t="time", params=parameters(model, case.params))
    tidy = fits.tidy().set_index(["which", "term"])["std_error"]
    for key, group in table.groupby("which"):
        coords = {"t": group["time"].to_numpy()}
        alone = model.fit(group["n"].to_numpy(), parameters(model, case.params), **coords)
        for term in alone.var_names:
            assert np.array_equal(tidy[key, term], alone.params[term].stderr, equal_nan=True)
    small = reduced.fit(table["n"].to_numpy()[: t.size], parameters(reduced, case.reduced_params), t=t)
    for term in set(small.var_names) - case.lost:
        assert tidy["one", term] == pytest.approx(small.params[term].stderr, rel=CLOSE)
    assert all(tidy["one", term] == np.inf for term in case.lost)
    assert all(math.isnan(tidy["one", term]) for term in case.held)
    assert not any(math.isnan(tidy["two", term]) for term in case.held - {"a"})


def test_the_comparison_sees_a_part_in_1e5():
    """Negative control."""
    case = CASES["a + b"]
    result, reduced = both(case)
    reduced.params["k"].stderr *= 1 + 1e-5
    with pytest.raises(AssertionError):
        assert_reduced(result, reduced, case)
    result, reduced = both(case)
    result.params["a"].stderr = 1e9
    with pytest.raises(AssertionError):
        assert_reduced(result, reduced, case)
