"""Guesses of a sample of the data sets, which are candidates for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...solve.status import CONVERGED
from ..data.cube import Rows
from ..data.stack import Stack, stacks, take
from ..search.rowmodel import RowModel
from ..search.walk import walk
from ..task import Task
from .trials import chi_squares

__all__ = ["Candidates", "gather", "has_guess", "own_guess"]

PLACES = 64  # spread evenly over the data sets
RUN = 16  # neighbours there, whose median is guessed
FITTED = 8  # of them, which are fitted; at every second place one is guessed by itself
WORST = 32  # fits of the sample with the largest reduced chi-square: these are guessed by themselves, too
MOST = 64  # candidates kept
FEW = 64  # data sets up to which each is guessed by itself, too
ENOUGH = 0.9  # of what the best of all candidates wins, for every data set of the sample
GAIN = 1e-4  # least that one more candidate must add to the mean of that
QUICK = 25  # steps of these fits: what takes longer is no good candidate
GOLDEN = 0.6180339887498949  # steps of this share fall evenly into any run, and into step with nothing
ALONE = 0.5  # share of the gain that the other places' candidates must reach for a data set to be served by them
UNSERVED = 0.05  # share of data sets not served from which each is guessed by itself


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
    import lmfit

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
    blocks = source.blocks(max(1, min(RUN, source.n_sets // PLACES), source.n_sets // 4096))
    chosen = np.unique(np.linspace(0, len(blocks) - 1, min(PLACES, len(blocks))).round().astype(int)).tolist()
    table, place, parts = [], [], []
    for number, block in enumerate(blocks[b] for b in chosen):
        rows = source.rows(block)
        usable = np.flatnonzero(rows.status == 0)
        if not len(usable):
            continue
        # every data set where there are few
        few = source.n_sets <= PLACES
        turn = (np.arange(len(usable) if few else FITTED) + number * FITTED) * GOLDEN % 1.0
        members = np.arange(len(usable)) if few else np.unique((turn * len(usable)).astype(int))
        some = take(rows, usable[members])
        guesses = [*own_guess(task, some if few else take(rows, usable[members[: 1 - number % 2]]))]
        first = int(turn[0] * max(1, len(usable) - RUN))
        middle = _median(task, take(rows, usable[first : first + RUN])) if number % 4 == 0 else None
        if middle is not None:
            guesses.append(middle)
        table += guesses
        place += [number] * len(guesses)
        parts.append((number, block.start + usable[members], some))
    if not table:
        return None
    whole = np.full((len(table), len(task.free)), np.nan)
    whole[:, list(names)] = np.array(table)[:, list(names)]
    good = np.isfinite(whole[:, list(names)]).all(axis=1)
    if not good.any():
        return None
    sample = _Sample(task, model, names, parts)
    # the answers of the sample are better candidates than its guesses
    answers, homes, scatter = sample.answers(whole[good])
    worst = sample.worst(scatter)
    again, others, _ = sample.answers(worst) if len(worst) else (worst, homes[:0], scatter)
    whole, places = np.concatenate([again, answers, whole[good]]), np.concatenate([others, homes, np.array(place)[good]])
    return _covering(sample.chi_squares(whole), sample.homes(), whole, places, source.n_sets)


class _Sample:
    """Data sets here and there, each with the number of its place."""

    def __init__(self, task: Task, model: RowModel, names: tuple[int, ...], parts: list[tuple[int, np.ndarray, Rows]]) -> None:
        self.task, self.model, self.names = task, model, list(names)
        self.linear = [task.free.index(name) for name in task.linear]
        self.stacks: list[tuple[int, Stack, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self.rows: list[Rows] = []
        for number, where, rows in parts:
            given = _at(task.value, task.free, where)
            given[:, self.names] = np.nan
            start = np.where(np.isfinite(given), given, 0.0)
            known, lower, upper = _at(task.value, task.known, where), _at(task.lower, task.free, where), _at(task.upper, task.free, where)
            for stack in stacks(rows, len(task.free)):
                at = stack.index
                self.stacks.append((number, stack, start[at], known[at], lower[at], upper[at]))
                self.rows.append(take(rows, at))

    def homes(self) -> np.ndarray:
        """Number of the place of each data set."""
        return np.concatenate([np.full(len(stack.index), number) for number, stack, *_ in self.stacks])

    def chi_squares(self, table: np.ndarray) -> np.ndarray:
        """Of each data set with each candidate."""
        return np.concatenate(
            [
                chi_squares(self.model, stack, start, table, known, lower, upper, self.linear)
                for _, stack, start, known, lower, upper in self.stacks
            ]
        )

    def worst(self, scatter: np.ndarray) -> np.ndarray:
        """Guesses of the data sets whose fits are worst: if another minimum was missed, it was there."""
        some = set(np.argsort(-scatter, kind="stable")[:WORST].tolist())
        out, first = [np.empty((0, len(self.task.free)))], 0
        for rows in self.rows:
            members = [q for q in range(rows.size) if first + q in some]
            first += rows.size
            if members:
                out.append(own_guess(self.task, take(rows, np.array(members))))
        whole = np.full((sum(map(len, out)), len(self.task.free)), np.nan)
        whole[:, self.names] = np.concatenate(out)[:, self.names]
        return whole[np.isfinite(whole[:, self.names]).all(axis=1)]

    def answers(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where the fits of the data sets end that begin with their best candidates, their places, and chi-square per point of all."""
        scatter, quick = [], replace(self.task.options, max_nfev=QUICK)
        found, homes = [np.empty((0, table.shape[1]))], [np.empty(0, dtype=int)]
        for number, stack, start, known, lower, upper in self.stacks:
            chi2 = chi_squares(self.model, stack, start, table, known, lower, upper, self.linear)
            begun = table[np.argmin(np.where(np.isfinite(chi2), chi2, np.inf), axis=1)]
            p = np.where(np.isfinite(begun), begun, start)
            end = walk(self.model, stack, p, known, lower, upper, self.linear, quick)
            scatter.append(np.nan_to_num(end.chi2 / np.maximum(np.count_nonzero(stack.w, axis=1), 1), nan=np.inf, posinf=np.inf))
            good = ((end.status & np.uint32(CONVERGED)) != 0) & np.isfinite(end.p).all(axis=1)
            out = np.full((int(good.sum()), table.shape[1]), np.nan)
            out[:, self.names] = end.p[good][:, self.names]
            found.append(out)
            homes.append(np.full(len(out), number))
        return np.concatenate(found), np.concatenate(homes), np.concatenate(scatter)


def _at(what: Mapping[str, Any], names: tuple[str, ...], where: np.ndarray) -> np.ndarray:
    """Numbers by name of some data sets, shape (n, len(names))."""
    out = np.empty((len(where), len(names)))
    for k, name in enumerate(names):
        out[:, k] = what[name][where] if isinstance(what[name], np.ndarray) else what[name]
    return out


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
        total = np.minimum(np.maximum(win, have[:, None]), ENOUGH).mean(axis=0)
        k = int(np.argmax(total))
        if chosen and total[k] - np.minimum(have, ENOUGH).mean() < GAIN:
            break
        chosen.append(k)
        have = np.maximum(have, win[:, k])
    others = np.where(place[None, :] == home[:, None], 0.0, win).max(axis=1)
    unserved = float((others < ALONE).mean())
    return Candidates(table[chosen], n_sets <= FEW or unserved > UNSERVED)
