"""Registered models in a search: each with its own guess, on some points first, within a budget of time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import log
from time import process_time
from typing import Any

import numpy as np

from ...core.predict import gradient
from .judge import Entry, Judge
from .points import Points
from .task import own_variables

# seconds of processor time for all registered models together; points of their first fit; how many are fitted to all points
BUDGET, POINTS, BEST = 4.0, 300, 6
# seconds for one model: the first fit, which of many is a bad idea anyway, and the fit to all points
FIRST, LAST = 0.25, 1.0
# nats of each of their parameters
EACH = 2.0
# they are a choice among at least so many, however many are installed
FEWEST = 20


def entries(names: Sequence[str], points: Points, judge: Judge, seed: int) -> tuple[list[Entry], dict[str, str], int]:
    """
    Fit registered models.

    Parameters
    ----------
    names : sequence of str
        Registered names.
    points : Points
        All points.
    judge : Judge
    seed : int
        Of the choice of points.

    Returns
    -------
    entries : list of Entry
        Those that came out with a finite fit to all points.
    notes : dict of str to str
        Why a model is not among them; models of another number of variables are not mentioned.
    tried : int
    """
    nvars = len(points.raw)
    rows = np.sort(np.random.default_rng(seed).choice(points.size, min(points.size, POINTS), replace=False))
    part = points.part(rows)
    notes: dict[str, str] = {}
    first: list[tuple[float, str, Any, Any]] = []
    usable = []
    for name in names:
        model = _instance(name, notes)
        if model is not None and len(own_variables(model)) == nvars:
            usable.append((name, model))
    end = process_time() + BUDGET
    for name, model in usable:
        if process_time() > end:
            notes[name] = f"not tried: the {BUDGET:g} s for registered models were over"
            continue
        result = _fit(name, model, part, None, FIRST, notes)
        if result is not None:
            price = log(max(FEWEST, len(usable))) + EACH * result.nvarys
            first.append((judge.screen(float(result.chisqr), result.nvarys, price, part.size), name, model, result))
    tried = len(usable) - sum(note.startswith("not tried") for note in notes.values())
    out = []
    for _, name, model, result in sorted(first, key=lambda item: item[0])[:BEST]:
        whole = result if part.size == points.size else _fit(name, model, points, result.params, LAST, notes)
        entry = None if whole is None else _entry(name, whole, points, log(max(FEWEST, len(usable))), notes)
        if entry is not None:
            out.append(entry)
    return out, notes, tried


def _instance(name: str, notes: dict[str, str]) -> Any:
    """A model, or None with the reason: a broken plugin must not stop a search."""
    from ...registry import get_model

    try:
        return get_model(name)
    except TypeError:
        return None  # it needs options, so it is a family and not a law
    except Exception as err:  # noqa: BLE001 - whatever a plugin raises is its own affair, and is told
        notes[name] = f"can't be made: {type(err).__name__}: {err}"
        return None


def _fit(name: str, model: Any, points: Points, params: Any, seconds: float, notes: dict[str, str]) -> Any:
    coords = dict(zip(own_variables(model), points.raw, strict=True))
    end = process_time() + seconds

    def late(*_: Any, **__: Any) -> bool:
        return process_time() > end

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if params is None:
                try:
                    params = model.guess(points.z, **coords)
                except NotImplementedError:
                    if len(model.linear) < len(model.param_names):
                        notes[name] = "has no guess"
                        return None
            result = model.fit(points.z, params, weights=points.w, coords=coords, iter_cb=late, calc_covar=False)
    except Exception as err:  # noqa: BLE001 - as above
        notes[name] = f"its fit failed: {type(err).__name__}: {err}"
        return None
    if not np.isfinite(result.chisqr):
        notes[name] = "its fit is not finite"
        return None
    return result


def _entry(name: str, result: Any, points: Points, price: float, notes: dict[str, str]) -> Entry | None:
    residual = -np.asarray(result.residual, dtype=float).reshape(-1)
    k = int(result.nvarys)
    loo = _left_out(result, points, residual)
    if loo is None or residual.size != points.size:
        notes[name] = "the data do not determine its parameters"
        return None
    values = np.array([p.value for p in result.params.values() if not p.expr])
    formula = f"{name}({', '.join(p for p in result.params if not result.params[p].expr)})"
    cost = price + EACH * k
    family = "registered surface" if len(points.raw) == 2 else "registered model"
    note = "" if result.success else "its fit did not converge"
    return Entry(None, name, formula, family, k, cost, values, float(residual @ residual), loo, residual, note=note)


def _left_out(result: Any, points: Points, residual: np.ndarray) -> float | None:
    """Sum of squares of leave-one-out residuals from the leverages at the solution."""
    try:
        with np.errstate(all="ignore"):
            _, columns = gradient(result, {})
    except Exception:  # noqa: BLE001 - a model that can't be differentiated has no leverages
        return None
    table = np.array([np.broadcast_to(c, points.z.shape) for c in columns]) * points.w
    length = np.sqrt(np.einsum("km,km->k", table, table))
    if not (np.isfinite(length).all() and (length > 0).all()):
        return None
    q, r = np.linalg.qr((table / length[:, None]).T)
    if np.abs(np.diag(r)).min() < 1e-8:
        return None
    without = residual / np.maximum(1.0 - np.einsum("mk,mk->m", q, q), 1e-12)
    return float(without @ without)
