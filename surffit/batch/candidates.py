"""Guesses of a sample of the data sets, which are candidates for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lmfit
import numpy as np

from .cube import Rows
from .rowmodel import RowModel
from .stack import stacks, take
from .task import Task
from .trials import chi_squares

__all__ = ["Candidates", "gather", "has_guess", "own_guess"]

PLACES = 64  # spread evenly over the data sets
RUN = 16  # neighbours there, whose median is guessed too
MOST = 64  # candidates kept
FEW = 512  # data sets up to which each is guessed by itself, too
ENOUGH = 0.995  # of what all candidates together win, mean over the sample
GAIN = 1e-3  # least that one more candidate must add to that
ALONE = 0.7  # share of the gain that the other places' candidates must reach for a data set to be served by them
UNSERVED = 0.02  # share of data sets not served from which each is guessed by itself


@dataclass(frozen=True, eq=False)
class Candidates:
    """
    Candidates for the searched parameters.

    Attributes
    ----------
    table : ndarray, shape (K, M)
        nan for the parameters that aren't guessed.
    each : bool
        Whether each data set should be guessed by itself, too, because the sample doesn't speak for all of them.
    """

    table: np.ndarray
    each: bool


def has_guess(model: Any) -> bool:
    """Whether a model brings a `guess`."""
    return type(model).guess is not lmfit.Model.guess


def own_guess(task: Task, rows: Rows) -> np.ndarray:
    """The model's guess for each data set, shape (n, M); nan where it has none."""
    out = np.full((rows.size, len(task.free)), np.nan)
    if not has_guess(task.model):
        return out
    for q in range(rows.size):
        if rows.status[q] == 0:
            cut = slice(rows.offsets[q], rows.offsets[q + 1])
            here = slice(rows.x_offsets[q], rows.x_offsets[q] + cut.stop - cut.start)
            used = rows.w[cut] != 0
            out[q] = _guess(task, rows.y[cut][used], {name: rows.x[j, here][used] for j, name in enumerate(task.coordinates)})
    return out


def _guess(task: Task, y: np.ndarray, coords: dict[str, np.ndarray]) -> np.ndarray:
    out = np.full(len(task.free), np.nan)
    try:
        with np.errstate(all="ignore"):
            found = task.model.guess(y, **coords, **task.opts)
    except Exception:  # noqa: BLE001 - a guess that fails is no guess
        return out
    for k, name in enumerate(task.free):
        if name in found and found[name].value is not None:
            out[k] = found[name].value
    return out


def gather(task: Task, model: RowModel, names: tuple[int, ...]) -> Candidates | None:
    """
    Candidates for some of the parameters.

    Which data sets are looked at depends on their number only, so that the answers of a batch don't depend on its blocks.

    Parameters
    ----------
    task : Task
    model : RowModel
    names : tuple of int
        Positions of the parameters to guess, all of them searched.

    Returns
    -------
    Candidates or None
        None if no guess succeeds.
    """
    source = task.source
    blocks = source.blocks(max(RUN, source.n_sets // 4096))
    chosen = np.unique(np.linspace(0, len(blocks) - 1, min(PLACES, len(blocks))).round().astype(int)).tolist()
    linear = [task.free.index(name) for name in task.linear]
    table, place, parts = [], [], []
    for number, block in enumerate(blocks[b] for b in chosen):
        rows = source.rows(block)
        some = take(rows, np.flatnonzero(rows.status == 0)[:RUN])
        if not some.size:
            continue
        # every data set where there are few
        first = take(some, np.arange(some.size if len(blocks) <= PLACES // 8 else 1))
        guesses = [*own_guess(task, first)]
        middle = _median(task, some)
        if middle is not None:
            guesses.append(middle)
        table += guesses
        place += [number] * len(guesses)
        keep = np.flatnonzero(rows.status == 0)[: first.size]
        parts.append((number, block.start + keep, first))
    if not table:
        return None
    whole = np.full((len(table), len(task.free)), np.nan)
    whole[:, list(names)] = np.array(table)[:, list(names)]
    good = np.isfinite(whole[:, list(names)]).all(axis=1)
    if not good.any():
        return None
    whole, places = whole[good], np.array(place)[good]
    chi2, home = [], []
    for number, where, rows in parts:
        given = np.column_stack([_at(task.value[name], where) for name in task.free])
        given[:, list(names)] = np.nan
        lower, upper = (np.column_stack([_at(end[name], where) for name in task.free]) for end in (task.lower, task.upper))
        known = np.column_stack([_at(task.value[name], where) for name in task.known]) if task.known else np.empty((len(where), 0))
        for stack in stacks(rows, len(task.free)):
            at = stack.index
            start = np.where(np.isfinite(given[at]), given[at], 0.0)
            chi2.append(chi_squares(model, stack, start, whole, known[at], lower[at], upper[at], linear))
            home += [number] * len(at)
    return _covering(np.concatenate(chi2), np.array(home), whole, places, source.n_sets)


def _at(value: float | np.ndarray, where: np.ndarray) -> np.ndarray:
    return value[where] if isinstance(value, np.ndarray) else np.full(len(where), float(value))


def _median(task: Task, rows: Rows) -> np.ndarray | None:
    """Guess of the median of a run of data sets: a line that is faint in each of them shows."""
    if rows.size < 4 or not rows.shared:
        return None
    y = np.where(rows.w != 0, rows.y, np.nan).reshape(rows.size, -1)
    used = np.isfinite(y).any(axis=0)
    if not used.any():
        return None
    cut = slice(0, y.shape[1])
    coords = {name: rows.x[j, cut][used] for j, name in enumerate(task.coordinates)}
    return _guess(task, np.nanmedian(y[:, used], axis=0), coords)


def _covering(chi2: np.ndarray, home: np.ndarray, table: np.ndarray, place: np.ndarray, n_sets: int) -> Candidates | None:
    """
    Few candidates that together serve the sample nearly as well as all of them.

    One after the other the candidate that adds most (for such sums the greedy choice is within 1 - 1/e of the best one: Nemhauser,
    Wolsey & Fisher 1978).
    """
    usable = np.isfinite(chi2).any(axis=1)
    chi2, home = chi2[usable], home[usable]
    if not len(chi2):
        return None
    worst = np.nanmax(np.where(np.isfinite(chi2), chi2, np.nan), axis=1)[:, None]
    chi2 = np.where(np.isfinite(chi2), chi2, worst)
    least = chi2.min(axis=1)[:, None]
    win = (worst - chi2) / np.where(worst > least, worst - least, 1.0)
    win[(worst <= least)[:, 0]] = 1.0
    chosen: list[int] = []
    have = np.zeros(len(win))
    while len(chosen) < min(MOST, len(table)):
        total = np.maximum(win, have[:, None]).mean(axis=0)
        k = int(np.argmax(total))
        if chosen and (have.mean() >= ENOUGH or total[k] - have.mean() < GAIN):
            break
        chosen.append(k)
        have = np.maximum(have, win[:, k])
    others = np.where(place[None, :] == home[:, None], 0.0, win).max(axis=1)
    unserved = float((others < ALONE).mean())
    return Candidates(table[chosen], n_sets <= FEW or unserved > UNSERVED)
