"""A second look from next door: fits that failed, or that a neighbour's answer would improve, begin again from there."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...solve.status import CONVERGED, FAILED, Status
from ..data.slabs import Block
from ..data.stack import stacks, take
from ..maps import Maps
from ..search.rowmodel import RowModel
from ..task import Task
from .trials import each

__all__ = ["improve"]

ROUNDS = 30  # an answer travels that far over the map at most
LOWER = 1e-6  # relative: by how much chi-square must fall to count
UNTOUCHED = Status.NO_DATA | Status.NONFINITE_DATA | Status.FEW_POINTS | Status.ABORTED | Status.CHUNK_FAILED


def improve(task: Task, engine: Any, model: RowModel, maps: Maps) -> None:
    """
    Try again from the answers of the neighbours along each axis of the map (in place).

    A neighbour's answer is tried where it gives a lower chi-square, with the linear parameters solved for, than a fit has, or where a fit
    failed. In each round all fits see the answers of the round before, so that no order of blocks or threads matters.

    Parameters
    ----------
    task : Task
    engine : Engine
        With `fit_rows`.
    model : RowModel
    maps : Maps
        After the first look.
    """
    shape = task.source.map_shape  # type: ignore[attr-defined]
    active = np.ones(len(maps.status), dtype=bool)
    blocks = task.source.blocks(task.options.block)
    for _ in range(ROUNDS):
        values, good = maps.values.copy(), _good(maps.status)
        changed = np.zeros_like(active)
        for block in blocks:
            changed[block.start : block.stop] = _block(task, engine, model, maps, block, shape, values, good, active)
        if not changed.any():
            return
        active = _beside(changed, shape) | changed


def _good(status: np.ndarray) -> np.ndarray:
    return np.asarray(((status & np.uint32(CONVERGED)) != 0) & ((status & np.uint32(FAILED)) == 0))


def _steps(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(axis, step) for axis, n in enumerate(shape) if n > 1 for step in (-1, 1)]


def _beside(flags: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Data sets with a flagged neighbour."""
    whole = flags.reshape(shape)
    out = np.zeros_like(whole)
    for axis, step in _steps(shape):
        to, of = [slice(None)] * len(shape), [slice(None)] * len(shape)
        to[axis], of[axis] = (slice(1, None), slice(None, -1)) if step < 0 else (slice(None, -1), slice(1, None))
        out[tuple(to)] |= whole[tuple(of)]
    return out.reshape(-1)


def _block(
    task: Task, engine: Any, model: RowModel, maps: Maps, block: Block, shape: tuple[int, ...], values: np.ndarray, good: np.ndarray,
    active: np.ndarray,
) -> np.ndarray:  # fmt: skip
    cut = slice(block.start, block.stop)
    changed = np.zeros(block.size, dtype=bool)
    now = maps.part(block)
    open_ = active[cut] & ((now.status & np.uint32(UNTOUCHED)) == 0)
    if not open_.any():
        return changed
    linear = [task.free.index(name) for name in task.linear]
    M = len(task.free)
    rows = task.source.rows(block)
    lower, upper = task.of(task.lower, task.free, block), task.of(task.upper, task.free, block)
    known = task.of(task.value, task.known, block)
    here = np.arange(block.start, block.stop)
    where = np.unravel_index(here, shape)
    best = np.where(good[cut], now.chisqr * (1 - LOWER), np.inf)
    start = np.full((block.size, M), np.nan)
    for axis, step in _steps(shape):
        at = list(where)
        at[axis] = np.clip(where[axis] + step, 0, shape[axis] - 1)
        other = np.ravel_multi_index(tuple(at), shape)
        # answers that were there in the round before are no news
        some = np.flatnonzero(open_ & (other != here) & good[other] & (active[other] | ~good[cut]))
        if not len(some):
            continue
        p = values[:, other].T
        for stack in stacks(rows, M, some):
            q = stack.index
            chi2 = each(model, stack, p[q].copy(), known[q], lower[q], upper[q], linear)
            better = chi2 < best[q]
            best[q[better]], start[q[better]] = chi2[better], p[q[better]]
    some = np.flatnonzero(np.isfinite(start).all(axis=1))
    if not len(some):
        return changed
    again = Maps.empty(M, len(some), now.covar is not None)
    engine.refit(take(rows, some), start[some], lower[some], upper[some], known[some], again)
    fine = _good(again.status)
    before = np.where(good[cut][some], now.chisqr[some], np.inf)
    # points may have been clipped: those of the better fit
    same = again.nobs >= now.nobs[some]
    won = fine & ((again.chisqr < before * (1 - LOWER)) & same | ~np.isfinite(before))
    again.nfev[...] += now.nfev[some]
    for whole, part in (
        (now.values, again.values), (now.stderr, again.stderr), (now.chisqr, again.chisqr), (now.nobs, again.nobs),
        (now.nfree, again.nfree), (now.nfev, again.nfev), (now.status, again.status),
    ):  # fmt: skip
        whole[..., some[won]] = part[..., won]
    if now.covar is not None and again.covar is not None:
        now.covar[..., some[won]] = again.covar[..., won]
    changed[some[won]] = True
    return changed
