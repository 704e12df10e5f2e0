"""Checks of a model in other units: what its formula allows, its guess must manage."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from surffit.testing.case import Case, listed
from surffit.testing.starts import SAME_MINIMUM

FACTORS = (1e-3, 1e4, 20.0)  # of the coordinates, one after the other
FARTHER = 100.0  # shift of the coordinates, in ranges
REPRESENTED = 1e-6


def data_units(case: Case) -> Iterator[str]:
    """Data in other units give the same fit with other linear parameters, where the model is proportional to them."""
    if not case.linear or "grid" not in case.fits:
        case.skipped["units of the data"] = "no linear parameters"
        return
    empty = np.asarray(case.evaluate(dict.fromkeys(case.linear, 0.0)))
    if not np.abs(empty).max() <= 1e-12 * np.abs(case.surface).max():
        case.skipped["units of the data"] = "the surface isn't proportional to its linear parameters"
        return
    data, coords, base = case.fits["grid"]
    for k in (1e6, 1e-12):
        result = case.fit(k * data, coords, None, k * case.sigma)
        difference = float(np.abs(np.asarray(result.best_fit) / k - np.asarray(base.best_fit)).max() / case.range)
        if not result.chisqr <= base.chisqr * (1 + 1e-6) + SAME_MINIMUM:
            yield (
                f"data in other units (x {k:g}) end at chi-square {result.chisqr:.5g} instead of {base.chisqr:.5g}, "
                f"from the start {listed({n: float(result.init_params[n].value) for n in case.free})}"
            )
        elif difference > 1e-4 and abs(result.chisqr - base.chisqr) < 1e-9 * base.chisqr:
            yield f"data in other units (x {k:g}) give another surface, by {difference:.2g} of the range"


def coordinate_units(case: Case) -> Iterator[str]:
    """Where other units of the coordinates, or another origin, only change parameters, fits from the guess get there."""
    if "grid" not in case.fits:
        return
    if not case.nonlinear:
        case.skipped["units of the coordinates"] = "no parameter is searched, so that no start depends on them"
        return
    if not case.guesses:
        case.skipped["units of the coordinates"] = "without a guess() the starts are in the units of the hints"
        return
    data, coords, base = case.fits["grid"]
    factors = [dict.fromkeys(case.variables, 1.0) | {n: FACTORS[k % 3]} for k, n in enumerate(case.variables)]
    able = [(one, change) for one, change in ((one, _scaled_values(case, one)) for one in factors) if change is not None]
    together = {name: FACTORS[k % 3] for k, name in enumerate(case.variables)} if len(able) == len(case.variables) else None
    change = _scaled_values(case, together) if together else None
    if change is None and len(case.variables) > 1:
        together = dict.fromkeys(case.variables, FACTORS[0])
        change = _scaled_values(case, together)
    if change is None and able:
        together, change = able[0]
    if change is None or together is None:
        case.skipped["units of the coordinates"] = "the model's coordinates have fixed units"
    else:
        said = ", ".join(f"{name} x {factor:g}" for name, factor in together.items() if factor != 1)
        yield from _fit_there(case, said, data, {name: array * together[name] for name, array in coords.items()}, change, base.chisqr)
    shifts = [(one, change) for one, change in ((one, _shifted_values(case, one)) for one in case.variables) if change is not None]
    if not shifts:
        case.skipped["origin of the coordinates"] = "the model's coordinates have a fixed origin"
    for name, change in shifts[:1]:
        moved = {**coords, name: coords[name] + FARTHER * np.ptp(coords[name])}
        yield from _fit_there(case, f"{name} + {FARTHER * np.ptp(coords[name]):g}", data, moved, change, base.chisqr)


def _fit_there(
    case: Case, said: str, data: np.ndarray, coords: dict[str, np.ndarray], truth: dict[str, float], chisqr: float
) -> Iterator[str]:
    result = case.fit(data, coords, None, case.sigma)
    if not result.chisqr <= chisqr * (1 + 1e-5) + SAME_MINIMUM:
        start = {n: float(result.init_params[n].value) for n in case.free}
        yield (
            f"with {said} a fit from guess() ends at chi-square {result.chisqr:.5g} instead of {chisqr:.5g}: true values {listed(truth)}; "
            f"start {listed(start)}"
        )


def _derivatives(case: Case) -> np.ndarray | None:
    """Derivatives by the free parameters at the example, as columns of one length; made once."""
    if "derivatives" not in case.fits:
        case.fits["derivatives"] = _differences(case)
    table: np.ndarray = case.fits["derivatives"]
    return table if np.isfinite(table).all() else None


def _differences(case: Case) -> np.ndarray:
    columns = []
    for name in case.free:
        h = 1e-3 * case.scale(name)
        f = [np.asarray(case.evaluate({name: case.values[name] + k * h})).ravel() for k in (-2, -1, 1, 2)]
        columns.append((f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h))
    return np.array(columns).T


def _solved(change: np.ndarray, table: np.ndarray) -> np.ndarray | None:
    """Changes of the parameters that undo a small change of the surface."""
    norms = np.sqrt((table**2).sum(axis=0))
    if not norms.all() or not np.isfinite(change).all():
        return None
    found = np.linalg.lstsq(table / norms, -change.ravel(), rcond=1e-12)[0]
    off = np.abs(table / norms @ found + change.ravel()).max()
    return found / norms if off <= 1e-5 * np.abs(change).max() else None


def _scaled_values(case: Case, factors: dict[str, float] | None) -> dict[str, float] | None:
    """Values that give the same surface on scaled coordinates; None if there are none (or none of the form p * factor**e)."""
    if factors is None:
        return None
    with np.errstate(all="ignore"):
        table, h = _derivatives(case), 1e-3
        logs = {name: np.log(factor) for name, factor in factors.items()}
        unit = max(map(abs, logs.values()))
        f = [case.evaluate(coords={n: a * np.exp(k * h * logs[n] / unit) for n, a in case.coords.items()}) for k in (-2, -1, 1, 2)]
        change = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
        sizes = np.array([case.values[name] for name in case.free])
        exponents = np.zeros(len(sizes))  # what is 0 stays 0
        found = None if table is None or not sizes.any() else _solved(change, (table * sizes)[:, sizes != 0])
        if found is None:
            return None
        exponents[sizes != 0] = found
        rounded = np.round(12 * exponents) / 12
        for powers in (np.where(np.abs(rounded - exponents) < 1e-3, rounded, exponents), exponents):
            values = {**case.values, **{n: case.values[n] * float(np.exp(e * unit)) for n, e in zip(case.free, powers, strict=True)}}
            if _represents(case, values, {name: array * factors[name] for name, array in case.coords.items()}):
                return values
    return None


def _shifted_values(case: Case, variable: str) -> dict[str, float] | None:
    """Values that give the same surface with one coordinate's origin elsewhere; None if none do (moving in proportion)."""
    width = float(np.ptp(case.coords[variable]))
    with np.errstate(all="ignore"):
        table, h = _derivatives(case), 1e-3 * width
        f = [case.evaluate(coords={**case.coords, variable: case.coords[variable] + k * h}) for k in (-2, -1, 1, 2)]
        moves = None if table is None else _solved((f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h), table)
        if moves is None:
            return None
        rounded = np.round(12 * moves) / 12
        moves = np.where(np.abs(rounded - moves) < 1e-3, rounded, moves)
        values = {**case.values, **{n: case.values[n] + float(m) * FARTHER * width for n, m in zip(case.free, moves, strict=True)}}
        return values if _represents(case, values, {**case.coords, variable: case.coords[variable] + FARTHER * width}) else None


def _represents(case: Case, values: dict[str, float], coords: dict[str, np.ndarray]) -> bool:
    """Whether these values, within their bounds, give the example's surface on other coordinates."""
    if any(not case.params[name].min <= values[name] <= case.params[name].max for name in case.free):
        return False
    there = np.asarray(case.evaluate(values, coords))
    return bool(np.isfinite(there).all() and np.abs(there - case.surface).max() <= REPRESENTED * case.range)
