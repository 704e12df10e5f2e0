"""Checks of a model's guess, and of the fits that begin with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from surffit.testing.case import SIGNAL_TO_NOISE, Case, listed

# of the range of the data
OWN_SURFACE = 1e-8
# chi-square of a fit from the guess above that of a fit from the truth
SAME_MINIMUM = 0.01


def guess(case: Case) -> Iterator[str]:
    """Starts are finite, within bounds, the same each time, for grids, open grids, scattered points and points that are NaN."""
    if not case.guesses:
        unset = [name for name in case.nonlinear if not np.isfinite(case.params[name].value)]
        if unset:
            yield f"there is no guess(), and {', '.join(unset)} can't do without a start; write one, or set hints with value="
        case.skipped["guess"] = "the model has none; it is fitted from its hints"
        return
    hints = {name: dict(hint) for name, hint in case.model.param_hints.items()}
    for what, data, coords in _layouts(case):
        try:
            first = case.model.guess(data, **coords)
            again = case.model.guess(data, **coords)
        except Exception as err:  # noqa: BLE001 - the author's guess may raise anything
            yield f"guess() on {what} raises {type(err).__name__}: {err}"
            continue
        yield from _starts(case, what, first)
        if first.valuesdict() != again.valuesdict():
            yield f"guess() on {what} gives other starts the second time"
    if hints != case.model.param_hints:
        yield "guess() changes the model's hints"


def _layouts(case: Case) -> Iterator[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
    yield "a full grid" if len(case.shape) > 1 else "ordered points", case.surface.copy(), case.coords
    opened = case.open_grid()
    if opened is not None:
        yield "an open grid", case.noisy(case.surface), opened
    points = case.scattered()
    surface = np.asarray(case.evaluate(coords=points))
    yield "scattered points", case.noisy(surface, 1), points
    holes = case.noisy(case.surface, 2)
    holes[np.random.default_rng(case.seed).random(holes.shape) < 0.05] = np.nan
    yield "data with NaN", holes, case.coords


def _starts(case: Case, what: str, params: Any) -> Iterator[str]:
    missing = [name for name in case.model.param_names if name not in params]
    if missing:
        yield f"guess() on {what} has no {', '.join(missing)}; begin with make_params()"
        return
    for name in case.nonlinear:
        value, low, high = params[name].value, case.params[name].min, case.params[name].max
        if not np.isfinite(value):
            yield f"guess() on {what} gives {name} = {value}"
        # lmfit clips values silently when they are set, so the guess must not widen the bounds
        elif not low <= value <= high:
            yield f"guess() on {what} gives {name} = {value:.6g}, outside its bounds {low:.6g} to {high:.6g}"


def own_surface(case: Case) -> Iterator[str]:
    """A fit of the surface without noise, from the guess, gives that surface."""
    result = case.fit(case.surface, case.coords)
    error = float(np.abs(np.asarray(result.best_fit) - case.surface).max() / case.range)
    case.figures["own surface, error of the range"] = error
    if not error <= OWN_SURFACE:
        yield (
            f"a fit of its own surface from guess() is off by {error:.2g} of the range: true values {listed(case.values)}; "
            f"start {listed(_named(case, result.init_params))}; end {listed(_named(case, result.params))}"
        )


def noise(case: Case) -> Iterator[str]:
    """Fits of noisy data, on the grid and scattered, end where fits from the true values end."""
    points = case.scattered()
    for what, key, seed, coords in (("on the grid", "grid", 3, case.coords), ("at scattered points", "points", 4, points)):
        data = case.noisy(np.asarray(case.evaluate(coords=coords)), seed)
        best = case.fit(data, coords, case.parameters(case.values), case.sigma)
        result = case.fit(data, coords, None, case.sigma, covar=key == "grid")
        case.fits[key] = (data, coords, result)
        allowed = best.chisqr * (1 + 1e-6) + SAME_MINIMUM
        if not result.chisqr <= allowed:
            yield (
                f"a fit of noisy data {what} (S/N {SIGNAL_TO_NOISE:.0f}) from guess() ends at chi-square {result.chisqr:.5g} "
                f"for {data.size} points, one from the true values at {best.chisqr:.5g}: true values {listed(case.values)}; "
                f"start {listed(_named(case, result.init_params))}; end {listed(_named(case, result.params))}"
            )
        if key == "grid":
            case.figures["noisy, largest error in standard errors"] = _pull(case, result)
            open_ones = [name for name in case.free if result.params[name].stderr == np.inf]
            if open_ones:
                yield (
                    f"its own example does not determine {', '.join(open_ones)} (stderr inf): parameters that change the surface in the "
                    "same way can't be told apart; drop or fix one, or give an example() that tells them apart"
                )


def _pull(case: Case, result: Any) -> float:
    pulls = [abs(result.params[n].value - case.values[n]) / result.params[n].stderr for n in case.free if result.params[n].stderr > 0]
    finite = [p for p in pulls if np.isfinite(p)]
    return float(max(finite, default=float("nan")))


def _named(case: Case, params: Any) -> dict[str, float]:
    return {name: float(params[name].value) for name in case.free}
