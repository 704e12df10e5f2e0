"""Checks of a model's function: values, shapes, linear parameters, derivatives, bounds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from surffit.core.structure import Argument, Arguments, call
from surffit.testing.case import Case, listed

# relative to the largest value: rounding of sums of a few dozen terms
ROUNDING = 1e-9
# exact derivatives against differences of fourth order
DIFFERENCES = 1e-6
# of more linear parameters some are looked at alone, all together
MANY = 16


def example(case: Case) -> Iterator[str]:
    """The example has every parameter, within its bounds, and a finite surface that each of them changes."""
    names, given = set(case.model.param_names), set(case.values)
    if names != given:
        yield f"example() gives values for {', '.join(sorted(given))}, but the parameters are {', '.join(sorted(names))}"
        return
    for name, value in case.values.items():
        low, high = case.params[name].min, case.params[name].max
        if not low <= value <= high:
            yield f"the example's {name} = {value:.6g} is outside its bounds {low:.6g} to {high:.6g}"
    if not np.isfinite(case.surface).all():
        yield f"{np.sum(~np.isfinite(case.surface))} of {case.surface.size} values of the example are not finite, at {listed(case.values)}"
        return
    for name in case.free:
        step = 1e-3 * case.scale(name)
        ends = [np.asarray(case.evaluate({name: case.values[name] + s})) for s in (step, -step)]
        if not np.nanmax(np.abs(ends[0] - ends[1])) > 0:
            yield f"{name} has no effect on the example: the surface is the same at {case.values[name]:.6g} and {step:.2g} beside it"


def broadcasting(case: Case) -> Iterator[str]:
    """Axes of their own shape, flat points and full grids give the same float64 values."""
    axes = [np.unique(array)[:: max(1, len(np.unique(array)) // 7)] for array in case.coords.values()]
    full = dict(zip(case.variables, np.meshgrid(*axes, indexing="ij"), strict=True))
    reshaped = {name: axis.reshape([-1 if i == k else 1 for i in range(len(axes))]) for k, (name, axis) in enumerate(full_axes(case, axes))}
    wanted = np.asarray(case.evaluate(coords=full))
    shape = next(iter(full.values())).shape
    if wanted.shape != shape:
        yield f"coordinates of shape {shape} give values of shape {wanted.shape}"
        return
    if wanted.dtype != np.float64:
        yield f"the values are {wanted.dtype}, not float64"
    for what, coords, expected in (
        (f"coordinates of shapes {', '.join(str(a.shape) for a in reshaped.values())}", reshaped, wanted),
        ("flat coordinates", {name: array.ravel() for name, array in full.items()}, wanted.ravel()),
        ("one point", {name: array.ravel()[:1] for name, array in full.items()}, wanted.ravel()[:1]),
    ):
        try:
            got = np.asarray(case.evaluate(coords=coords))
        except Exception as err:  # noqa: BLE001 - the author's function may raise anything
            yield f"{what} raise {type(err).__name__}: {err}"
            continue
        if got.shape != expected.shape:
            yield f"{what} give values of shape {got.shape} instead of {expected.shape}"
        elif not np.allclose(got, expected, rtol=ROUNDING, atol=ROUNDING * np.abs(expected).max(initial=0.0), equal_nan=True):
            yield f"{what} give other values than a full grid, by {np.nanmax(np.abs(got - expected)):.3g}"


def full_axes(case: Case, axes: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Names with their axes."""
    return list(zip(case.variables, axes, strict=True))


def repeatable(case: Case) -> Iterator[str]:
    """The same question gets the same answer, and arguments are left as they were."""
    first = np.asarray(case.evaluate())
    case.evaluate({name: case.values[name] + 0.01 * case.scale(name) for name in case.free})
    second = np.asarray(case.evaluate())
    if not np.array_equal(first, second, equal_nan=True):
        off = np.nanmax(np.abs(first - second))
        yield f"evaluated again at the same values it differs by {off:.3g}: the function has a memory or is random"
    changed: set[str] = set()

    def leaf(func, kwargs):
        given = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in kwargs.items()}
        out = func(**given)
        changed.update(n for n, v in given.items() if isinstance(v, np.ndarray) and not np.array_equal(v, kwargs[n], equal_nan=True))
        return out

    values = case.complete(case.values)
    call(case.leaf, Arguments((name, Argument(value)) for name, value in values.items()), case.coords, leaf)
    for name in sorted(changed):
        yield f"the function writes into its argument {name}; work on a copy"


def linear(case: Case) -> Iterator[str]:
    """Linear parameters have no second difference, together and alone, and the function's graph says so."""
    structure = case.leaf._traced()
    if structure is None:
        case.skipped["graph"] = "the function can't be traced, so that derivatives and linear parameters are found numerically"
    elif case.model._stated_linear is not None:
        found = structure.linear(tuple(case.free), tuple(case.linear)).names
        unseen = [name for name in case.linear if name not in found]
        if unseen:
            yield f"linear= names {', '.join(unseen)}, but by the function's graph the jointly linear ones are {', '.join(found) or 'none'}"
    rng = np.random.default_rng(case.seed)
    middle = np.asarray(case.evaluate())
    some = case.linear[:: 1 + len(case.linear) // MANY]
    for names in [*((name,) for name in some), case.linear] if case.linear else []:
        steps = {name: case.scale(name) * rng.uniform(0.5, 2.0) * rng.choice([-1, 1]) for name in names}
        ends = [np.asarray(case.evaluate({n: case.values[n] + s * d for n, d in steps.items()})) for s in (1, -1)]
        second = np.abs(ends[0] - 2 * middle + ends[1])
        size = max(np.abs(ends[0]).max(), np.abs(ends[1]).max(), np.abs(middle).max())
        if not second.max() <= ROUNDING * size:
            who = ", ".join(names) + (" is" if len(names) == 1 else " are")
            yield f"{who} said to be linear, but the second difference is {second.max() / size:.2g} of the values"
            break
    case.figures["linear parameters"] = len(case.linear)


def derivatives(case: Case) -> Iterator[str]:
    """The graph has the function's values, and its derivatives are those of differences."""
    structure = case.leaf._traced()
    if structure is None:
        return
    program = structure.program(case.free, (), case.tied)
    rng = np.random.default_rng(case.seed)
    coords = tuple(case.coords[name] for name in program.coordinates)
    worst = 0.0
    for trial in range(3):
        values = dict(case.values)
        for name in case.free if trial else ():
            # off the bounds, where differences have room
            scale = case.scale(name)
            low, high = case.params[name].min + 0.05 * scale, case.params[name].max - 0.05 * scale
            values[name] = float(np.clip(values[name] + 0.1 * scale * rng.uniform(-1, 1), min(low, values[name]), max(high, values[name])))
        values = case.complete(values)
        with np.errstate(all="ignore"):
            surface, columns = program.full([values[n] for n in case.free], [], [values[n] for n in case.tied], coords)
            own = np.asarray(case.evaluate(values))
        size = np.abs(own).max(initial=0.0)
        if not np.allclose(surface, own, rtol=ROUNDING, atol=ROUNDING * size, equal_nan=True):
            yield f"the recorded graph gives other values than the function at {listed(values)}, by {np.abs(surface - own).max():.3g}"
            return
        for name, column in zip(case.free, columns, strict=True):
            exact = np.broadcast_to(np.asarray(0.0 if column is None else column, dtype=float), own.shape)
            if not np.isfinite(exact).all() and np.isfinite(own).all():
                where = {n: float(np.broadcast_to(a, own.shape)[~np.isfinite(exact)][0]) for n, a in case.coords.items()}
                yield f"the derivative by {name} is not finite at {listed(where)}, where the function is"
                continue
            error = _against_differences(case, values, name, exact)
            worst = max(worst, error)
            if error > DIFFERENCES:
                yield f"the derivative by {name} differs from differences by {error:.2g} of its largest value, at {listed(values)}"
        if worst > DIFFERENCES:
            return
    case.figures["derivatives, relative error"] = worst


def _against_differences(case: Case, values: dict[str, float], name: str, exact: np.ndarray) -> float:
    """Relative difference from central differences of fourth order, at the step where they agree best."""
    best = np.inf
    for size in (1e-3, 1e-4, 1e-2, 1e-5):
        h = size * case.scale(name)
        with np.errstate(all="ignore"):
            f = [np.asarray(case.evaluate({**values, name: values[name] + k * h})) for k in (-2, -1, 1, 2)]
        numeric = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
        # what rounding of the values alone does to the difference is no fault of the derivative
        noise = 1e-14 * max(np.abs(part).max(initial=0.0) for part in f) / h
        largest = max(np.abs(numeric).max(initial=0.0), np.abs(exact).max(initial=0.0), 1e-300)
        error = max(0.0, float(np.abs(numeric - exact).max() - noise)) / largest
        best = min(best, error) if np.isfinite(error) else best
        if best < 0.01 * DIFFERENCES:
            break
    return best


def bounds(case: Case) -> Iterator[str]:
    """Values inside the bounds, and close to each of them, give finite surfaces."""
    rng = np.random.default_rng(case.seed)
    trials: list[dict[str, float]] = []
    for name in case.free:
        low, high = case.params[name].min, case.params[name].max
        trials += [{name: end + sign * 1e-6 * case.scale(name)} for end, sign in ((low, 1), (high, -1)) if np.isfinite(end)]
    trials += [{name: _inside(case, name, rng) for name in case.free} for _ in range(12)]
    for values in trials:
        with np.errstate(all="ignore"):
            surface = np.asarray(case.evaluate(values))
        bad = ~np.isfinite(surface)
        if bad.any():
            yield (
                f"{bad.sum()} of {bad.size} values are not finite inside the bounds, at {listed({**case.values, **values})}; "
                "set bounds that keep the function finite"
            )
            return


def _inside(case: Case, name: str, rng: np.random.Generator) -> float:
    low, high = case.params[name].min, case.params[name].max
    if np.isfinite(low) and np.isfinite(high):
        return float(rng.uniform(low, high))
    value, scale = case.values[name], case.scale(name)
    if np.isfinite(low):
        return float(low + max(value - low, 0.1 * scale) * 10.0 ** rng.uniform(-1, 1))
    if np.isfinite(high):
        return float(high - max(high - value, 0.1 * scale) * 10.0 ** rng.uniform(-1, 1))
    return float(value + scale * rng.uniform(-1, 1))
