"""
Random models in other clothes: sums of Gaussians, decays, planes and parabolas of one to three coordinates, traced or not, with
bounds (some of which bind), fixed and tied parameters, with and without weights. The same problem posed otherwise is the same
fit: values, errors, correlations, chi-square and flags, each as the transformation says.

Every parameter knows how it follows when data or coordinates are scaled or shifted; where it mixes with others (the constant
beside a slope when the coordinate is shifted) the predictions are compared in its place.
"""

import math
from dataclasses import dataclass, field, replace

import astropy.units as u
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import surffit as sf
from surffit.exceptions import SurffitError
from surffit.solve.status import CONVERGED

TOL = 1e-9
QUICK = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Par:
    """One parameter: its truth, and its powers of the data's unit and of one coordinate's; whether it moves with the coordinate."""

    name: str
    truth: float
    data: int = 0
    axis: str = ""
    power: int = 0
    moves: bool = False
    mixes: tuple[str, ...] = ()  # coordinates whose shift mixes it with other parameters
    positive: bool = False


@dataclass(frozen=True)
class Problem:
    """A model with data and parameters, ready to be fitted."""

    pars: tuple[Par, ...]
    formula: str
    traced: bool
    axes: tuple[str, ...]
    coords: dict
    data: np.ndarray
    weights: np.ndarray | None
    given: dict  # attributes of lmfit's Parameters
    kws: dict = field(default_factory=dict)

    def __repr__(self):
        weights = "weighted" if self.weights is not None else "unweighted"
        return f"<{self.formula}, {'traced' if self.traced else 'not traced'}, {weights}, {self.kws}, {self.given}>"

    def model(self, **kws):
        guard = f" if not math.isnan(float(np.real({self.pars[0].name}))) else 0.0 * {self.axes[0]}"
        text = f"lambda {', '.join((*self.axes, *(p.name for p in self.pars)))}: {self.formula}{'' if self.traced else guard}"
        return sf.SurfaceModel(eval(text, {"np": np, "math": math}), list(self.axes), **kws)  # noqa: S307 - our own formula

    def fit(self, **kws):
        model = kws.pop("model", None) or self.model()
        params = kws.pop("params", None) or model.make_params(**self.given)
        errors = {} if "sigma" in kws or "var" in kws or "ivar" in kws else {"weights": self.weights}
        return model.fit(kws.pop("data", self.data), params, **{**errors, **self.kws, **kws}, coords=self.coords)


@st.composite
def problems(draw, ndim=None, closed=False, weighted=None, grid=False):
    """Any of them; the numbers come from a generator, so that what shrinks is the structure. `closed`: shifted, it is a model still."""
    axes = AXES[: ndim or draw(st.integers(1, 3))]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    peaks = draw(st.integers(0, 2))
    decays = draw(st.booleans()) or peaks == 0
    slopes, parabola = draw(st.booleans()), draw(st.booleans()) and peaks < 2
    slopes, offset = slopes or (closed and parabola), closed or draw(st.booleans())
    pars, terms = [], []
    for i in range(peaks):
        pars.append(Par(f"h{i}", rng.uniform(4, 8), data=1))
        inner = []
        for axis in axes:
            centre = rng.uniform(2.5, 3.5) if i == 0 else rng.uniform(6.5, 7.5)
            pars.append(Par(f"{axis}{i}", centre, axis=axis, power=1, moves=True))
            pars.append(Par(f"s{axis}{i}", rng.uniform(1.0, 1.6), axis=axis, power=1, positive=True))
            inner.append(f"(({axis} - {axis}{i}) / s{axis}{i})**2")
        terms.append(f"h{i} * np.exp(-0.5 * ({' + '.join(inner)}))")
    if decays:
        axis = axes[-1]
        pars += [Par("a", rng.uniform(4, 8), data=1, mixes=(axis,)), Par("k", rng.uniform(0.4, 0.6), axis=axis, power=-1)]
        terms.append(f"a * np.exp(-k * {axis})")
    if slopes:
        for axis in axes:
            pars.append(Par(f"b{axis}", rng.normal(), data=1, axis=axis, power=-1, mixes=(axis,) if parabola and axis == axes[0] else ()))
            terms.append(f"b{axis} * {axis}")
    if parabola:
        pars.append(Par("q", 0.3 * rng.normal(), data=1, axis=axes[0], power=-2))
        terms.append(f"q * {axes[0]}**2")
    if offset:
        pars.append(Par("c", rng.normal(), data=1, mixes=tuple(axes) if slopes or parabola else ()))
        terms.append("c")
    if grid:
        first, second = np.meshgrid(np.linspace(0, 10, 12), np.linspace(0, 10, 11))
        coords = dict(zip(axes, (first, second), strict=True))
    else:
        coords = {axis: rng.uniform(0, 10, 50 + 60 * len(axes)) for axis in axes}
    formula = " + ".join(terms)
    names = {p.name: p.truth for p in pars}
    clean = eval(formula, {"np": np, **names, **coords})  # noqa: S307
    sigma = 0.02 * rng.uniform(0.5, 2.0, clean.shape)
    start = {p.name: {"value": p.truth * (1 + 0.03 * rng.uniform(-1, 1))} for p in pars}
    searched = [p for p in pars if not p.data and not p.mixes]
    if draw(st.booleans()):  # bounds that don't bind
        for p in searched:
            start[p.name] |= {"min": p.truth - 3 * abs(p.truth), "max": p.truth + 5 * abs(p.truth)}
    if searched and draw(st.booleans()):  # one that does
        p = searched[draw(st.integers(0, len(searched) - 1))]
        start[p.name] = {"value": p.truth * 0.97, "max": p.truth * 0.985}
    if len(searched) > 2 and draw(st.booleans()):
        start[searched[-1].name] = {"value": searched[-1].truth, "vary": False}
    if peaks == 2 and draw(st.booleans()):
        start["h1"] = {"expr": f"{names['h1'] / names['h0']!r} * h0"}
        if draw(st.booleans()):
            start[f"s{axes[0]}1"] = {"expr": f"{names[f's{axes[0]}1'] / names[f's{axes[0]}0']!r} * s{axes[0]}0"}
    weights = 1 / sigma if (draw(st.booleans()) if weighted is None else weighted) else None
    traced = draw(st.sampled_from([True, True, True, False]))
    kws = {"scale_covar": weights is None or draw(st.booleans())}
    return Problem(tuple(pars), formula, traced, axes, coords, clean + rng.normal(size=clean.shape) * sigma, weights, start, kws)


scales = st.builds(lambda m, e: m * 10.0**e, st.floats(1.0, 9.99), st.integers(-12, 12))
signed = st.builds(lambda s, v: s * v, st.sampled_from([1.0, -1.0]), scales)


@dataclass(frozen=True)
class Change:
    """Data times `k` plus `c`; the coordinate `axis` times `kx` plus `cx`."""

    k: float = 1.0
    c: float = 0.0
    axis: str = ""
    kx: float = 1.0
    cx: float = 0.0

    def factor(self, p):
        along = self.kx if p.axis == self.axis else 1.0
        return self.k**p.data * (abs(along) if p.positive else along) ** p.power

    def offset(self, p):
        return (self.cx if p.moves and p.axis == self.axis else 0.0) + (self.c if p.name == "c" else 0.0)

    def mixed(self, p):
        return self.cx != 0 and self.axis in p.mixes

    def coords(self, coords):
        return {name: v * self.kx + self.cx if name == self.axis else v for name, v in coords.items()}

    def problem(self, problem):
        pars = {p.name: p for p in problem.pars}

        def attributes(name, old):
            new = dict(old)
            factor, offset = self.factor(pars[name]), self.offset(pars[name])
            for key in {"value", "min", "max"} & set(old):
                new[key] = old[key] * factor + offset
            if factor < 0 and ("min" in old or "max" in old):
                new["min"], new["max"] = new.get("max", -np.inf), new.get("min", np.inf)
            return new

        weights = problem.weights if problem.weights is None or self.k == 1.0 else problem.weights / abs(self.k)
        return replace(
            problem, coords=self.coords(problem.coords), data=problem.data * self.k + self.c, weights=weights,
            given={name: attributes(name, old) for name, old in problem.given.items()},
        )  # fmt: skip


def flags(result):
    return result.status & ~CONVERGED


def assert_same(problem, one, two, change=None, tol=TOL, names=lambda name: name, redundancy=1):
    """`two` is `one` under the change; `redundancy` times as many rows."""
    change = change or Change()
    assert flags(one) == flags(two), (one.reason, two.reason)
    assert one.success, one.reason
    assert two.success, two.reason
    weighted = problem.weights is not None
    factor = 1.0 if weighted else change.k**2
    assert two.chisqr == pytest.approx(one.chisqr * factor, rel=tol)
    assert two.nvarys == one.nvarys
    assert two.nfree == one.nfree + (redundancy - 1) * one.ndata
    ratio = math.sqrt(one.nfree / two.nfree) if one.scale_covar else 1.0
    if not weighted and not one.scale_covar:
        ratio /= abs(change.k)
    kept = []
    for p in problem.pars:
        if change.mixed(p):
            continue
        mine, theirs = two.params[names(p.name)], one.params[p.name]
        f = change.factor(p)
        # a value carries the rounding of what it was shifted by, besides a share of its error
        want = theirs.value * f + change.offset(p)
        error = abs(f) * theirs.stderr if theirs.stderr and math.isfinite(theirs.stderr) else 0.0
        assert abs(mine.value - want) <= 10 * tol * error + 4e-14 * (abs(want) + abs(change.offset(p))), p.name
        assert mine.vary == theirs.vary
        if theirs.stderr is None:
            assert mine.stderr is None
        else:
            assert mine.stderr == pytest.approx(abs(f) * theirs.stderr * ratio, rel=tol, nan_ok=True), p.name
        if theirs.vary and not theirs.expr:
            kept.append((p.name, math.copysign(1.0, f)))
    if kept:
        signs = np.array([sign for _, sign in kept])
        correlations = []
        for result, rename in ((one, str), (two, names)):
            where = [result.var_names.index(rename(name)) for name, _ in kept]
            block = result.covar[np.ix_(where, where)]
            correlations.append(block / np.sqrt(np.outer(np.diag(block), np.diag(block))))
        assert np.allclose(correlations[1], correlations[0] * np.outer(signs, signs), rtol=0, atol=10 * tol, equal_nan=True)
    probe = {axis: np.array([1.0, 4.4, 9.0]) for axis in problem.axes}
    first, second = (np.asarray(r.predict(level=0.6827, **c)["fit"]) for r, c in ((one, probe), (two, change.coords(probe))))
    band, other = (
        np.asarray(r.predict(level=0.6827, **c)["upper"]) - v for r, c, v in ((one, probe, first), (two, change.coords(probe), second))
    )
    spread = np.abs(band * change.k)
    assert np.all(np.abs(second - change.c - first * change.k) <= 10 * tol * spread + 1e-13 * np.abs(second)), "prediction"
    if redundancy == 1:  # otherwise Student's t has other degrees of freedom
        scale = abs(change.k) * ratio
        assert np.abs(other) == pytest.approx(np.abs(band) * scale, rel=100 * tol, abs=1e-12 * float(np.abs(second).max())), "band"


@QUICK
@given(problems(), signed)
def test_data_scaled(problem, k):
    change = Change(k=k)
    assert_same(problem, problem.fit(), change.problem(problem).fit(), change)


@QUICK
@given(problems(closed=True), st.floats(-1e3, 1e3))
def test_data_shifted(problem, c):
    change = Change(c=c)
    # z + c is rounded to c's last digit, which counts in units of the data's error of 0.02
    assert_same(problem, problem.fit(), change.problem(problem).fit(), change, tol=max(TOL, 1e-10 * abs(c)))


@QUICK
@given(problems(), signed, st.integers(0, 2))
def test_coordinate_scaled_and_mirrored(problem, k, which):
    change = Change(axis=problem.axes[which % len(problem.axes)], kx=k)
    assert_same(problem, problem.fit(), change.problem(problem).fit(), change)


@QUICK
@given(problems(closed=True), st.floats(-30, 30), st.integers(0, 2))
def test_coordinate_shifted(problem, c, which):
    change = Change(axis=problem.axes[which % len(problem.axes)], cx=c)
    # digits of x + c are lost against x, and columns seen from afar are alike
    assert_same(problem, problem.fit(), change.problem(problem).fit(), change, tol=1e-7)


@QUICK
@given(problems(), scales, scales, st.integers(0, 2))
def test_units_of_everything(problem, k, kx, which):
    """Nanometres to metres, counts to something else: data and a coordinate at once."""
    change = Change(k=k, axis=problem.axes[which % len(problem.axes)], kx=kx)
    assert_same(problem, problem.fit(), change.problem(problem).fit(), change)


@QUICK
@given(problems(ndim=2))
def test_astropy_units(problem):
    """A Quantity is its numbers; handed in in another unit, the change of units."""
    units = {"x": u.nm, "y": u.K}
    sky = replace(problem, coords={name: v * units[name] for name, v in problem.coords.items()}, data=problem.data * u.mJy)
    one, two = problem.fit(), sky.fit()
    for name, par in one.params.items():
        assert (par.value, np.nan_to_num(par.stderr or 0.0)) == (two.params[name].value, np.nan_to_num(two.params[name].stderr or 0.0))
    assert np.array_equal(one.covar, two.covar, equal_nan=True)
    assert two.best_fit.unit == u.mJy
    change = Change(k=1e-3, axis="x", kx=1e-9)
    metres = change.problem(problem)
    metres = replace(
        metres, coords={"x": (problem.coords["x"] * u.nm).to(u.m), "y": problem.coords["y"] * u.K}, data=(problem.data * u.mJy).to(u.Jy)
    )
    three = metres.fit()
    at = {"x": np.array([1.0, 5.0]) * u.nm, "y": np.array([2.0, 6.0]) * u.K}
    before, after = two.predict(**at), three.predict(**at)
    for column in ("fit", "lower", "upper"):
        assert np.allclose(after[column].to_value(u.mJy), before[column].to_value(u.mJy), rtol=1e-9, atol=1e-11)
    plain = replace(metres, coords=change.coords(problem.coords), data=change.k * problem.data).fit()
    assert_same(problem, one, plain, change)


@QUICK
@given(problems(), st.integers(0, 2**32 - 1))
def test_rows_permuted(problem, seed):
    order = np.random.default_rng(seed).permutation(problem.data.size)
    other = replace(
        problem, coords={name: v[order] for name, v in problem.coords.items()}, data=problem.data[order],
        weights=None if problem.weights is None else problem.weights[order],
    )  # fmt: skip
    one, two = problem.fit(), other.fit()
    assert_same(problem, one, two)
    assert np.asarray(two.best_fit) == pytest.approx(np.asarray(one.best_fit)[order], rel=1e-9, abs=1e-9)
    assert two.residual == pytest.approx(one.residual[order], abs=1e-9)


@QUICK
@given(problems(ndim=2, grid=True))
def test_grids_transposed_flat_open_and_turned(problem):
    one = problem.fit()
    x, y = problem.coords["x"], problem.coords["y"]
    w = problem.weights

    def again(turn, x, y):
        result = replace(problem, coords={"x": x, "y": y}, data=turn(problem.data), weights=None if w is None else turn(w)).fit()
        assert_same(problem, one, result)
        assert np.asarray(result.best_fit) == pytest.approx(turn(np.asarray(one.best_fit)), rel=1e-9, abs=1e-9)

    again(np.transpose, x.T, y.T)
    again(np.ravel, x.ravel(), y.ravel())
    again(lambda v: v[::-1, ::-1], x[::-1, ::-1], y[::-1, ::-1])
    again(lambda v: v, x[:1], y[:, :1])


@QUICK
@given(problems(ndim=2))
def test_axes_swapped(problem):
    """The function's arguments x and y change places, and so do the data that go by these names."""

    def swap(text):
        return text.replace("x", "#").replace("y", "x").replace("#", "y").replace("exp", "exp").replace("eyp", "exp")

    given = {
        swap(name): {key: swap(value) if key == "expr" else value for key, value in old.items()} for name, old in problem.given.items()
    }
    other = replace(
        problem, pars=tuple(replace(p, name=swap(p.name), axis=swap(p.axis)) for p in problem.pars), formula=swap(problem.formula),
        coords={swap(name): v for name, v in problem.coords.items()}, given=given,
    )  # fmt: skip
    one, two = problem.fit(), other.fit()
    for p in problem.pars:
        mine, theirs = two.params[swap(p.name)], one.params[p.name]
        assert abs(mine.value - theirs.value) <= 10 * TOL * np.nan_to_num(theirs.stderr or 0.0) + 1e-13 * abs(theirs.value)
        assert mine.stderr == pytest.approx(theirs.stderr, rel=TOL, nan_ok=True)
    assert two.chisqr == pytest.approx(one.chisqr, rel=TOL)
    assert flags(one) == flags(two)


@QUICK
@given(problems())
def test_renamed_by_a_prefix(problem):
    def prefixed(old):
        return {
            key: "p_" + value.rpartition(" ")[2] + " * " + value.partition(" ")[0] if key == "expr" else value for key, value in old.items()
        }

    model = problem.model(prefix="p_")
    params = model.make_params(**{name: prefixed(old) for name, old in problem.given.items()})
    assert_same(problem, problem.fit(), problem.fit(model=model, params=params), names=lambda name: "p_" + name)


@QUICK
@given(problems(), st.integers(0, 2**32 - 1))
def test_parameters_in_another_order(problem, seed):
    import lmfit

    model = problem.model()
    ordered = model.make_params(**problem.given)
    shuffled = lmfit.Parameters()
    names = list(ordered)
    np.random.default_rng(seed).shuffle(names)
    shuffled.add_many(*(ordered[name] for name in sorted(names, key=lambda name: bool(ordered[name].expr))))
    assert_same(problem, problem.fit(), problem.fit(params=shuffled))


@QUICK
@given(problems(weighted=True))
def test_errors_in_other_words(problem):
    one = problem.fit()
    w = problem.weights
    for words in ({"sigma": 1 / w}, {"var": w**-2.0}, {"ivar": w**2}):
        assert_same(problem, one, problem.fit(**words))


@QUICK
@given(problems(), st.integers(2, 3))
def test_rows_given_several_times_with_less_weight(problem, n):
    w = np.ones_like(problem.data) if problem.weights is None else problem.weights
    once = replace(problem, weights=w)
    more = replace(
        once,
        coords={name: np.tile(v, n) for name, v in problem.coords.items()},
        data=np.tile(problem.data, n),
        weights=np.tile(w, n) / math.sqrt(n),
    )
    assert_same(once, once.fit(), more.fit(), redundancy=n)


def strided(v):
    wide = np.full((*v.shape[:-1], 2 * v.shape[-1]), np.nan)
    wide[..., ::2] = v
    return wide[..., ::2]


def read_only(v):
    v = v.copy()
    v.setflags(write=False)
    return v


LAYOUTS = {
    "big-endian": lambda v: v.astype(">f8"),
    "strided": strided,
    "reversed": lambda v: np.ascontiguousarray(v[..., ::-1])[..., ::-1],
    "read-only": read_only,
    "Fortran": np.asfortranarray,
    "list": lambda v: v.tolist(),
    "float32": lambda v: v.astype(np.float32),
    "big-endian float32": lambda v: v.astype(">f4"),
    "long double": lambda v: v.astype(np.longdouble),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(QUICK, max_examples=4)
@given(problem=problems(ndim=2, grid=True))
def test_number_types_and_layouts_are_bit_for_bit_the_same(layout, problem):
    convert = LAYOUTS[layout]
    # numbers that float32 holds too
    round_ = lambda v: None if v is None else v.astype(np.float32).astype(float)  # noqa: E731
    problem = replace(
        problem, coords={n: round_(v) for n, v in problem.coords.items()}, data=round_(problem.data), weights=round_(problem.weights)
    )
    w = problem.weights
    other = replace(
        problem,
        coords={n: convert(v) for n, v in problem.coords.items()},
        data=convert(problem.data),
        weights=None if w is None else convert(w),
    )
    one, two = problem.fit(), other.fit()
    for name, par in one.params.items():
        assert np.array_equal([par.value, par.stderr or 0.0], [two.params[name].value, two.params[name].stderr or 0.0], equal_nan=True)
    assert np.array_equal(one.covar, two.covar, equal_nan=True)
    assert (one.chisqr, one.status) == (two.chisqr, two.status)


# ---- negative controls: a transformation that is a little wrong is seen -------------------------------------------------


def seen(problem, one, pose, change):
    try:
        assert_same(problem, one, pose().fit(), change)
    except (AssertionError, SurffitError):  # a fit that can't even be posed is seen as well
        return True
    return False


BROKEN = {
    "data scaled by a part in 1e8 more": (Change(k=2.0), lambda p: replace(p, data=p.data * (1 + 1e-8))),
    "weights not scaled with the data": (Change(k=2.0), lambda p: replace(p, weights=p.weights * 2)),
    "coordinate not mirrored": (Change(axis="x", kx=-1.0), lambda p: replace(p, coords={**p.coords, "x": -p.coords["x"]})),
    "two rows exchanged": (Change(), lambda p: replace(p, data=np.concatenate([p.data[1::-1], p.data[2:]]))),
    "one weight doubled": (Change(), lambda p: replace(p, weights=np.concatenate([[2 * p.weights[0]], p.weights[1:]]))),
    "data in float32": (Change(), lambda p: replace(p, data=p.data.astype(np.float32))),
}


@pytest.mark.parametrize("name", BROKEN)
@settings(QUICK, max_examples=3)
@given(problem=problems(ndim=1, weighted=True))
def test_broken_transformations_are_seen(name, problem):
    change, broken = BROKEN[name]
    one = problem.fit()
    assert not seen(problem, one, lambda: change.problem(problem), change)
    assert seen(problem, one, lambda: broken(change.problem(problem)), change)
