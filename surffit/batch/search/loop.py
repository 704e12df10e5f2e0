"""One ordinary fit per data set: what is left for models that neither trace nor take parameters as columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.parameters import copy_parameters
from ...exceptions import NonFiniteError, ParameterError, SurffitWarning, TooFewPointsError
from ...kernels.warned import filtered
from ...solve.status import Status
from ..data.cube import Rows
from ..data.stack import take
from ..maps import Maps
from ..starts.candidates import own_guess
from ..task import Options, Task
from .common import Searching

__all__ = ["LoopEngine", "offer"]


def offer(task: Task, name: str) -> LoopEngine | str:
    """The loop can do everything but fit nothing."""
    if not task.free:
        return f"every parameter of {task.model.name} is fixed; set vary=True for one"
    return LoopEngine(task, "one ordinary fit per data set")


class LoopEngine(Searching):
    """
    `SurfaceModel.fit` in a loop.

    Its fits end by their own rules, which are tighter than `ftol`, `xtol` and `gtol` of a batch.

    Parameters
    ----------
    task : Task
    reason : str
        For `BatchResult.engine_reason`.

    Attributes
    ----------
    block : int
        Data sets in a block at most: they are slow, and an interrupt waits for the block's end.
    """

    name = "loop"
    block = 64

    def __init__(self, task: Task, reason: str) -> None:
        super().__init__(task)
        self.reason = reason
        limit = task.options.max_nfev
        # there a look at the derivatives counts as one per parameter
        self._max_nfev = None if limit == Options.max_nfev else limit * (len(task.free) + 1)

    def fit_rows(self, rows: Rows, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, known: np.ndarray, out: Maps) -> None:
        """
        Fit gathered data sets; see `Searching.fit_rows`.

        Raises
        ------
        Exception
            What the model raises. The run then looks for the data set that is to blame.
        """
        task = self.task
        start = self._guessed(rows, start)
        for q in range(rows.size):
            one = slice(q, q + 1)
            cut = slice(rows.offsets[q], rows.offsets[q + 1])
            used = rows.w[cut] != 0
            here = slice(rows.x_offsets[q], rows.x_offsets[q] + len(used))
            out.nobs[q] = np.count_nonzero(used)
            if rows.status[q]:
                out.fail(one, int(rows.status[q]))
            elif not out.nobs[q]:
                out.fail(one, Status.NO_DATA)
            elif out.nobs[q] < len(task.free):
                out.fail(one, Status.FEW_POINTS)
            else:
                coords = {name: rows.x[j, here][used] for j, name in enumerate(task.coordinates)}
                params = self._parameters(start[q], lower[q], upper[q], known[q])
                self._one(out, q, rows.y[cut][used], rows.w[cut][used], params, coords)

    def _guessed(self, rows: Rows, start: np.ndarray) -> np.ndarray:
        """Searched parameters without a start get that of the model's guess."""
        searched = [self.task.free.index(name) for name in self.task.nonlinear]
        lacking = np.flatnonzero(~np.isfinite(start[:, searched]).all(axis=1) & (rows.status == 0))
        if len(lacking):
            start, guessed = start.copy(), own_guess(self.task, take(rows, lacking))
            start[lacking] = np.where(np.isfinite(start[lacking]), start[lacking], guessed)
        return start

    def _parameters(self, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, known: np.ndarray) -> Any:
        params = copy_parameters(self.task.params)
        for k, name in enumerate(self.task.free):
            params[name].min, params[name].max = lower[k], upper[k]
            # -inf is lmfit's "not set"
            params[name].value = start[k] if np.isfinite(start[k]) else -np.inf
        for k, name in enumerate(self.task.known):
            params[name].value = known[k]
        return params

    def _one(self, out: Maps, q: int, y: np.ndarray, w: np.ndarray, params: Any, coords: dict[str, np.ndarray]) -> None:
        task, one = self.task, slice(q, q + 1)
        try:
            # a warning per data set would be a storm; the flags say the same
            with filtered("ignore", SurffitWarning):
                result = task.model.fit(
                    y, params, weights=w, scale_covar=task.options.scale_covar, max_nfev=self._max_nfev, coords={**coords, **task.opts}
                )
        except TooFewPointsError:
            out.fail(one, Status.FEW_POINTS)
        except (NonFiniteError, ParameterError):
            out.fail(one, Status.NONFINITE_START)
        else:
            out.values[:, q] = [result.params[name].value for name in task.free]
            out.stderr[:, q] = [result.params[name].stderr for name in task.free]
            out.chisqr[q], out.nfree[q], out.nfev[q] = result.chisqr, result.nfree, result.nfev
            out.status[q] = int(result.status)
            if out.covar is not None:
                out.covar[..., q] = _covariance(result, task.free)


def _covariance(result: Any, names: tuple[str, ...]) -> np.ndarray:
    """Covariance in the order of the names; nan where the result has none."""
    out = np.full((len(names), len(names)), np.nan)
    if result.covar is not None:
        there = [name for name in names if name in result.var_names]
        order = [result.var_names.index(name) for name in there]
        at = [names.index(name) for name in there]
        out[np.ix_(at, at)] = result.covar[np.ix_(order, order)]
    return out
