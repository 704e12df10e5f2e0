"""
Where each fit of a batch begins.

What the user gave counts first. A searched parameter without a start is guessed: by the model's own `guess`, which is too slow for a
million data sets, so that a sample of them is guessed (`candidates`), and each data set takes the candidate that fits it best with its
linear parameters solved for.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.bound import probe_value
from ...exceptions import ParameterError
from ..data.cube import Rows
from ..data.slabs import Block
from ..search.rowmodel import RowModel
from ..task import STARTS, Task
from .candidates import Candidates, gather, has_guess, own_guess
from .trials import best

__all__ = ["Starts", "probe_of"]


def probe_of(task: Task) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]] | None:
    """Parameters and coordinates to try a model out at; None without any data set."""
    blocks = task.source.blocks(16)
    if not blocks:
        return None
    rows = task.source.rows(blocks[0])
    lengths = np.diff(rows.offsets)
    q = int(np.argmax(lengths))
    cut = slice(int(rows.x_offsets[q]), int(rows.x_offsets[q] + lengths[q]))
    x = tuple(rows.x[j, cut] for j in range(len(rows.x)))

    def numbers(names: tuple[str, ...]) -> np.ndarray:
        out = np.empty((4, len(names)))
        for k, name in enumerate(names):
            given = np.ravel(task.value[name])
            given = given[np.isfinite(given)]
            out[:, k] = given[:1] if given.size else probe_value(task.params[name])
        return out

    p, known = numbers(task.free), numbers(task.known)
    moves = np.random.default_rng(0).uniform(-0.1, 0.1, p.shape)
    moved = p + np.where(p != 0, np.abs(p), 1.0) * moves
    for k, name in enumerate(task.free):
        low, high = np.max(task.lower[name]), np.min(task.upper[name])
        moved[:, k] = np.clip(moved[:, k], low, high) if low <= high else p[:, k]
    moved[0] = p[0]
    return moved, known, x


class Starts:
    """
    Starts of a task's fits.

    Parameters
    ----------
    task : Task
    model : RowModel

    Raises
    ------
    ParameterError
        If `task.options.start` is none of what is known.
    """

    def __init__(self, task: Task, model: RowModel) -> None:
        self.task, self.model = task, model
        self.how = task.options.start
        self.linear = [task.free.index(name) for name in task.linear]
        self.nonlinear = [task.free.index(name) for name in task.nonlinear]
        self._grid = self._checked()
        self._lock = threading.RLock()  # means of data sets are guessed while their lock is held
        self._candidates: dict[tuple[int, ...], Candidates | None] = {}
        self._coarse: Any = None

    def _checked(self) -> np.ndarray | None:
        """The grid's candidates (K, M), nan where a parameter has its own start."""
        how, task = self.how, self.task
        if how is None or (isinstance(how, str) and how in STARTS):
            if how == "guess" and not has_guess(task.model):
                msg = f'{task.model.name} has no guess(), which start="guess" asks; give starts in params, or start={{name: candidates}}'
                raise ParameterError(msg)
            if how in ("coarse", "neighbours") and not getattr(task.source, "map_shape", ()):
                msg = f'start="{how}" needs a map of data sets, whose neighbours are known; groups of a table have none: leave start=None'
                raise ParameterError(msg)
            return None
        if not isinstance(how, Mapping):
            msg = f"start={how!r} is unknown; use None, {', '.join(map(repr, STARTS))}, or a dict with candidates by name of parameter"
            raise ParameterError(msg)
        odd = [name for name in how if name not in task.nonlinear]
        if odd:
            kind = "is linear and needs no start" if odd[0] in task.linear else "is not searched"
            msg = f"start has candidates for {odd[0]}, which {kind}; parameters that are searched: {', '.join(task.nonlinear) or 'none'}"
            raise ParameterError(msg)
        values = [np.atleast_1d(np.asarray(v, dtype=float)).ravel() for v in how.values()]
        if not all(v.size and np.isfinite(v).all() for v in values):
            msg = "start has an empty list of candidates or one that isn't finite; give finite numbers"
            raise ParameterError(msg)
        table = np.array(list(itertools.product(*values)))
        grid = np.full((len(table), len(task.free)), np.nan)
        grid[:, [task.free.index(name) for name in how]] = table
        return grid

    def of(self, block: Block, rows: Rows, known: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """
        Starts of a block, shape (n, M); nan where a searched parameter has none.

        Parameters
        ----------
        block : Block
        rows : Rows
            Its data.
        known, lower, upper : ndarray, shape (n, K), (n, M), (n, M)
        """
        given = self.task.of(self.task.value, self.task.free, block)
        return self.complete(given, rows, known, lower, upper, block)

    def complete(
        self, given: np.ndarray, rows: Rows, known: np.ndarray, lower: np.ndarray, upper: np.ndarray, block: Block | None = None
    ) -> np.ndarray:
        """Starts from those given (n, M), with nan for searched parameters that have none; without `block`, not from a coarser map."""
        start = given.copy()
        if not self.nonlinear:
            return start
        if self._grid is not None:
            return best(self.model, rows, start, self._grid, known, lower, upper, self.linear)
        if self.how == "guess":
            guessed = own_guess(self.task, rows)
            fine = np.isfinite(guessed)
            fine[:, self.linear] = False
            start[fine] = guessed[fine]
        elif self.how == "coarse" and block is not None:
            from .coarse import coarse_answers

            with self._lock:
                if self._coarse is None:
                    self._coarse = coarse_answers(self.task, self.model, self)
            found = self._coarse.of(block)
            whole = np.isfinite(found).all(axis=1)
            start[np.ix_(whole, self.nonlinear)] = found[np.ix_(whole, self.nonlinear)]
        missing = ~np.isfinite(start)
        missing[:, self.linear] = False
        lacking = np.flatnonzero(missing.any(axis=1) & (rows.status == 0))
        if not len(lacking) or not has_guess(self.task.model):
            return start
        # data sets that lack the same
        for pattern in np.unique(missing[lacking], axis=0):
            some = lacking[(missing[lacking] == pattern).all(axis=1)]
            start[some] = self._guessed(tuple(np.flatnonzero(pattern).tolist()), some, start, rows, known, lower, upper)
        return start

    def _guessed(
        self, names: tuple[int, ...], some: np.ndarray, start: np.ndarray, rows: Rows, known: np.ndarray, lower: np.ndarray,
        upper: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        with self._lock:
            if names not in self._candidates:
                self._candidates[names] = gather(self.task, self.model, names)
            candidates = self._candidates[names]
        out = start[some]
        if candidates is None:
            return out
        from ..data.stack import take

        part = take(rows, some)
        own = own_guess(self.task, part) if candidates.each else None
        return best(self.model, part, out, candidates.table, known[some], lower[some], upper[some], self.linear, own)
