"""One ordinary fit per data set: what is left for models that neither trace nor broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.parameters import copy_parameters
from ..exceptions import NonFiniteError, SurffitError, TooFewPointsError
from ..solve.status import Status
from .maps import Maps
from .slabs import Block
from .task import Task

__all__ = ["LoopEngine", "offer"]


def offer(task: Task, name: str) -> LoopEngine:
    """The loop can do everything."""
    return LoopEngine(task, "one ordinary fit per data set")


class LoopEngine:
    """
    `SurfaceModel.fit` in a loop.

    Parameters
    ----------
    task : Task
    reason : str
        Why no faster engine can do it.
    """

    name = "loop"

    def __init__(self, task: Task, reason: str) -> None:
        self.task = task
        self.reason = reason

    def fit(self, block: Block, out: Maps) -> None:
        """Fit the data sets of a block."""
        task, rows = self.task, self.task.source.rows(block)
        start = task.of(task.value, task.free, block)
        lower, upper = task.of(task.lower, task.free, block), task.of(task.upper, task.free, block)
        known = task.of(task.value, task.known, block)
        for q in range(block.size):
            cut = slice(rows.offsets[q], rows.offsets[q + 1])
            y, w = rows.y[cut], rows.w[cut]
            used = w != 0
            out.nobs[q] = np.count_nonzero(used)
            here = slice(rows.x_offsets[q], rows.x_offsets[q] + len(y))
            if rows.status[q]:
                out.fail(slice(q, q + 1), int(rows.status[q]))
                continue
            params = copy_parameters(task.params)
            for k, name in enumerate(task.free):
                if np.isfinite(start[q, k]):
                    params[name].set(value=start[q, k], min=lower[q, k], max=upper[q, k])
            for k, name in enumerate(task.known):
                params[name].value = known[q, k]
            coords = {name: rows.x[j, here][used] for j, name in enumerate(task.coordinates)}
            self._one(out, q, y[used], w[used], params, coords)

    def _one(self, out: Maps, q: int, y: np.ndarray, w: np.ndarray, params: Any, coords: dict[str, np.ndarray]) -> None:
        task, one = self.task, slice(q, q + 1)
        if not len(y):
            out.fail(one, Status.NO_DATA)
            return
        try:
            result = task.model.fit(
                y, params, weights=w, scale_covar=task.options.scale_covar, max_nfev=None, coords={**coords, **task.opts}
            )
        except TooFewPointsError:
            out.fail(one, Status.FEW_POINTS)
            return
        except NonFiniteError:
            out.fail(one, Status.NONFINITE_START)
            return
        except SurffitError:
            out.fail(one, Status.NONFINITE_START)
            return
        out.values[:, q] = [result.params[name].value for name in task.free]
        out.stderr[:, q] = [result.params[name].stderr for name in task.free]
        out.chisqr[q], out.nfree[q], out.nfev[q] = result.chisqr, result.nfree, result.nfev
        out.status[q] = int(result.status)
        if out.covar is not None:
            order = [result.var_names.index(name) for name in task.free]
            out.covar[..., q] = np.nan if result.covar is None else result.covar[np.ix_(order, order)]
