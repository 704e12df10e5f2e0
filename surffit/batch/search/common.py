"""What all engines that search have in common: starts before, outliers and neighbours after."""

from __future__ import annotations

import threading

import numpy as np

from ..data.cube import Rows
from ..data.slabs import Block
from ..maps import Maps
from ..starts.choice import Starts, probe_of
from ..starts.neighbours import improve
from ..task import Task
from .clipping import clipped
from .rowmodel import RowModel

__all__ = ["Searching"]


class Searching:
    """
    An engine from something that fits gathered data sets from given starts.

    Parameters
    ----------
    task : Task
    model : RowModel, optional
        The model on arrays; made when something needs it.

    Raises
    ------
    ParameterError
        If `task.options.start` can't be had.
    """

    def __init__(self, task: Task, model: RowModel | None = None) -> None:
        self.task = task
        self._model = model
        self._making = threading.Lock()
        self._starts: Starts | None = None
        lacking = any(not np.isfinite(task.value[name]).all() for name in task.nonlinear)
        if task.options.start is not None or lacking:
            self._starts = Starts(task, self.row_model())

    def row_model(self) -> RowModel:
        """The model on arrays."""
        with self._making:
            if self._model is None:
                self._model = RowModel(self.task, probe_of(self.task))
            return self._model

    def fit(self, block: Block, out: Maps) -> None:
        """Fit the data sets of a block and fill in its part of the maps."""
        task, rows = self.task, self.task.source.rows(block)
        lower, upper = task.of(task.lower, task.free, block), task.of(task.upper, task.free, block)
        known = task.of(task.value, task.known, block)
        if self._starts is None:
            start = task.of(task.value, task.free, block)
        else:
            start = self._starts.of(block, rows, known, lower, upper)
        self.refit(rows, start, lower, upper, known, out)

    def refit(self, rows: Rows, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, known: np.ndarray, out: Maps) -> None:
        """As `fit_rows`, without the outliers."""
        if self.task.options.clip is None:
            self.fit_rows(rows, start, lower, upper, known, out)
        else:
            clipped(self, self.row_model(), rows, start, lower, upper, known, out, self.task)

    def finish(self, maps: Maps) -> None:
        """What is left to do when all data sets have been fitted."""
        if self.task.options.start == "neighbours":
            improve(self.task, self, self.row_model(), maps)

    def fit_rows(self, rows: Rows, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, known: np.ndarray, out: Maps) -> None:
        """
        Fit gathered data sets from given starts.

        Parameters
        ----------
        rows : Rows
        start, lower, upper : ndarray, shape (n, M)
            By free parameter; nan where a linear parameter has no start.
        known : ndarray, shape (n, K)
        out : Maps
            Of these data sets.
        """
        raise NotImplementedError
