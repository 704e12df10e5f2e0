"""The lock-step engine: array arithmetic over many fits at once, for models that no kernel can do."""

from __future__ import annotations

import numpy as np

from ...exceptions import DataError
from ...solve.status import Status
from ..data.cube import Rows
from ..data.stack import stacks
from ..maps import Maps
from ..starts.candidates import has_guess
from ..starts.choice import probe_of
from ..task import Task
from .common import Searching
from .ends import fill
from .refine import refine
from .rowmodel import RowModel
from .walk import walk

__all__ = ["LockstepEngine", "offer"]


def offer(task: Task, name: str) -> LockstepEngine | str:
    """What traces, and what takes parameters as columns."""
    if not task.free:
        return "no parameter is free"
    lacking = _unknown_starts(task)
    if lacking:
        # a single fit finds out by differences which parameters are linear
        return f"{', '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no start, and without a graph it isn't known what is linear"
    try:
        model = RowModel(task, probe_of(task))
    except DataError:
        raise
    except Exception as err:  # noqa: BLE001 - the model is tried out here for the first time; what it raises, one fit says better
        return f"the model could not be tried out ({type(err).__name__}: {err})"
    if model.way == "one by one":
        return model.why
    how = {"graph": "exact derivatives", "complex-step": "derivatives by complex step", "differences": "derivatives by differences"}
    taken = "the traced model" if model.way == "graph" else "the function takes parameters as columns"
    return LockstepEngine(task, model, f"{taken}, {how[model.derivatives]}")


def _unknown_starts(task: Task) -> list[str]:
    """Searched parameters that begin nowhere in any data set, and for which no start will be found."""
    if isinstance(task.options.start, str) or has_guess(task.model):
        return []
    chosen = task.options.start or {}
    return [name for name in task.nonlinear if name not in chosen and not np.isfinite(task.value[name]).any()]


class LockstepEngine(Searching):
    """
    Levenberg-Marquardt on arrays of fits.

    Parameters
    ----------
    task : Task
    model : RowModel
    reason : str
        For `BatchResult.engine_reason`.
    """

    name = "lockstep"

    def __init__(self, task: Task, model: RowModel, reason: str) -> None:
        super().__init__(task, model)
        self.reason = reason
        self.model = model
        self.linear = [task.free.index(name) for name in task.linear]
        self.nonlinear = [task.free.index(name) for name in task.nonlinear]

    def fit_rows(self, rows: Rows, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, known: np.ndarray, out: Maps) -> None:
        """Fit gathered data sets; see `Searching.fit_rows`."""
        M = len(self.task.free)
        for flag in np.unique(rows.status[rows.status != 0]).tolist():
            out.fail(rows.status == flag, flag)
        for stack in stacks(rows, M):
            nobs = np.count_nonzero(stack.w, axis=1)
            out.nobs[stack.index] = nobs
            for few, flag in ((nobs == 0, Status.NO_DATA), ((nobs > 0) & (nobs < M), Status.FEW_POINTS)):
                if few.any():
                    out.fail(stack.index[few], flag)
            enough = np.flatnonzero(nobs >= M)
            if not len(enough):
                continue
            some, nobs = stack.take(enough), nobs[enough]
            at = some.index
            end = walk(self.model, some, start[at], known[at], lower[at], upper[at], self.linear, self.task.options)
            refine(self.model, some, end, known[at], lower[at], upper[at])
            fill(out, at, end, start[at], lower[at], upper[at], nobs, self.nonlinear, self.task.options)
