"""What the data determine, as numbers: rank, condition, directions, bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..solve.covariance import Covariance

if TYPE_CHECKING:
    from .outcome import Outcome

Direction = dict[str, float]


@dataclass(frozen=True)
class Conditioning:
    """
    How well the data determine the parameters.

    Attributes
    ----------
    rank : int
        Number of independent directions among the free parameters.
    n_free : int
        Number of free parameters that the model feels and that are not held on a bound.
    condition_raw, condition_scaled : float
        Condition numbers of the Jacobian as it is, and with columns of unit norm; inf below full rank.
    singular_values : tuple of float
        Of the unit-norm columns.
    null_directions : tuple of dict
        Combinations of parameters without any effect, e.g. ``{"a": 1.0, "b": -1.0}``.
    determined : tuple of dict
        What is determined among the parameters of the null directions, e.g. ``{"a": 1.0, "b": 1.0}``.
    weak_directions : tuple of (dict, float)
        Combinations that the data barely see, with their sigma.
    undetermined, unused, stepped, no_effect : tuple of str
        Parameters whose error is infinite; those that the model can't feel at all; those in which it only jumps; those with
        a zero column.
    at_bound : dict of str to str
        Parameters held on a bound: "min" or "max".
    multipliers : dict of str to float
        How fast chi-square / 2 would fall beyond the bound, per unit of the parameter.
    linear, nonlinear : tuple of str
    derivatives : str
        "graph", "complex-step" or "differences".
    curvature : float or None
        Largest eigenvalue of the relative curvature; below 1 at a minimum, small where J'J tells the errors.
    kappa : float
        Step that is left, in standard deviations.
    restarts, patched : int
        Restarts in the full space; derivative entries that were not finite and had to be recomputed.
    escaped : tuple of dict
        Directions along which the fit left saddle points.
    saddle : dict
        Direction in which the end point is not a minimum; empty at a minimum.
    engine : str
        How the columns were looked at. On a rectangular grid, where they are short sums of products g(y) h(x): "grid" (their
        factors; no column was ever formed) or "grid rows" (the same, with weights so uneven that blocks of rows were factored).
        Elsewhere: "linear" or "dense" (whole columns), "rows" (a linear model's, in blocks of rows by QR), "normal" (their
        products), "gram" (sums over blocks of rows), "blocks" (data set by data set), "minpack" (a small problem, by MINPACK),
        "trust-region" and "full" (all parameters at once).
    """

    rank: int
    n_free: int
    condition_raw: float
    condition_scaled: float
    singular_values: tuple[float, ...]
    null_directions: tuple[Direction, ...]
    determined: tuple[Direction, ...]
    weak_directions: tuple[tuple[Direction, float], ...]
    undetermined: tuple[str, ...]
    unused: tuple[str, ...]
    stepped: tuple[str, ...]
    no_effect: tuple[str, ...]
    at_bound: dict[str, str]
    multipliers: dict[str, float]
    linear: tuple[str, ...]
    nonlinear: tuple[str, ...]
    derivatives: str
    curvature: float | None
    kappa: float
    restarts: int
    patched: int
    escaped: tuple[Direction, ...]
    saddle: Direction
    engine: str


def direction(vector: np.ndarray, names: tuple[str, ...]) -> Direction:
    """A direction as name: coefficient, largest 1 and positive, small entries dropped."""
    size = np.abs(vector)
    if not size.max() > 0:
        return {}
    # of equal ones the first: rounding shall not decide
    scaled = vector / vector[int(np.argmax(size >= (1.0 - 1e-6) * size.max()))]
    return {name: float(v) for name, v in zip(names, scaled, strict=True) if abs(v) > 1e-6}


def echelon(rows: np.ndarray) -> np.ndarray:
    """Rows reduced so that each has a parameter of its own: the readable form of a null space."""
    rows = rows / np.abs(rows).max(axis=1, keepdims=True)
    done = np.zeros(rows.shape[1], dtype=bool)
    for i in range(len(rows)):
        free = np.abs(rows[i:]).copy()
        free[:, done] = 0.0
        r, j = (int(index) for index in np.unravel_index(int(np.argmax(free)), free.shape))
        if free[r, j] == 0.0:
            break
        rows[[i, i + r], :] = rows[[i + r, i], :]
        rows[i] /= rows[i, j]
        for other in range(len(rows)):
            if other != i:
                rows[other] -= rows[other, j] * rows[i]
        done[j] = True
    return rows


def determined_combinations(null: np.ndarray, names: tuple[str, ...]) -> list[Direction]:
    """Combinations of the parameters of the null space that the data do determine."""
    support = np.flatnonzero(np.abs(null).max(axis=0) > 0)
    if support.size <= len(null):
        return []
    _, _, Vt = np.linalg.svd(null[:, support])
    rows = echelon(Vt[len(null) :].copy())
    out = []
    for row in rows:
        full = np.zeros(null.shape[1])
        full[support] = np.where(np.abs(row) < 1e-9, 0.0, row)
        out.append(direction(full, names))
    return [d for d in out if len(d) > 1]


def assess(outcome: Outcome, covariance: Covariance) -> Conditioning:
    """Collect the evidence of a fit."""
    bound, solution = outcome.bound, outcome.solution
    names, here = bound.names, solution.here
    problem = bound.problem
    null, determined = [], []
    if len(covariance.null):
        # in units in which every column has norm one, entries below 1e-6 are rounding
        norms = here.norms()
        unit = np.where(norms > 0, norms, 1.0)
        scaled = echelon(covariance.null * unit)
        scaled[np.abs(scaled) < 1e-4 * np.abs(scaled).max(axis=1, keepdims=True)] = 0.0
        raw = scaled / unit
        null = [direction(row, names) for row in raw]
        determined = determined_combinations(raw, names)
    s, thin, errors = covariance.spectrum()
    weak = tuple((direction(v, names), float(e)) for v, e in zip(thin, errors, strict=True))
    held = np.flatnonzero(solution.held)
    g = here.gradient()
    # by the nearer bound: medians of samples lie beside the one the minimum is on
    at_bound = {names[j]: "min" if here.p[j] - problem.lower[j] <= problem.upper[j] - here.p[j] else "max" for j in held}
    raw_condition = 1.0
    if here.free.size:
        full = here.f.rank == here.free.size
        raw = np.linalg.svd(np.asarray(here.f.r * here.f.scale[here.f.pivot]), compute_uv=False) if full else np.zeros(1)
        raw_condition = float(raw[0] / raw[-1]) if raw[-1] > 0 else np.inf
    scaled_condition = float(s[0] / s[-1]) if covariance.rank == here.free.size and s.size else (1.0 if not here.free.size else np.inf)
    return Conditioning(
        rank=covariance.rank,
        n_free=int(here.free.size),
        condition_raw=raw_condition,
        condition_scaled=scaled_condition,
        singular_values=tuple(float(v) for v in s),
        null_directions=tuple(d for d in null if d),
        determined=tuple(determined),
        weak_directions=weak,
        undetermined=tuple(name for name, lost in zip(names, covariance.undetermined, strict=True) if lost) + bound.unused + bound.stepped,
        unused=bound.unused,
        stepped=bound.stepped,
        no_effect=tuple(name for name, dead in zip(names, solution.no_effect, strict=True) if dead),
        at_bound=at_bound,
        multipliers={names[j]: float(abs(g[j])) / problem.unit / problem.unit for j in held},
        linear=bound.linear,
        nonlinear=bound.nonlinear,
        derivatives=bound.derivatives,
        curvature=solution.rate,
        kappa=float(solution.kappa),
        restarts=solution.restarts,
        patched=int(getattr(problem.kernel, "patched", 0)),
        escaped=tuple(direction(d, names) for d in solution.escapes),
        saddle={} if solution.saddle is None else direction(solution.saddle, names),
        engine=solution.engine,
    )
