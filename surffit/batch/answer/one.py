"""One fit of a batch as a full result: the same points, weights, bounds and fixed values once more, from the batch's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.parameters import copy_parameters
from ...exceptions import DataError
from ...solve.status import Status
from ..data.slabs import Block

if TYPE_CHECKING:
    from .result import BatchResult

__all__ = ["OneSet", "one_result", "one_set"]

# values that differ by more than this share of an error are another fit
SAME = 1e-3


class OneSet:
    """
    The data of one data set.

    Attributes
    ----------
    data : ndarray
        As it came in, float64.
    weights : ndarray or None
        1/sigma, nan or 0 where unusable; None if none were given.
    excluded : ndarray of bool
        Points that were not used.
    coords : dict of str to ndarray
        All of the shape of the data.
    """

    def __init__(self, batch: BatchResult, number: int) -> None:
        source: Any = batch.source("to_lmfit()")
        where = np.unravel_index(number, batch.shape) if batch.shape else ()
        block = Block(number, number + 1, tuple(slice(i, i + 1) for i in map(int, where)))
        rows = source.rows(block)
        shape = source.fit_shape
        self.block = block
        self.data = np.array(source.y[where], dtype=float).reshape(shape)
        self.weights = rows.w.reshape(shape) if source.error is not None else None
        self.excluded = (rows.w == 0).reshape(shape)
        self.coords = {name: x.reshape(shape) for name, x in zip(batch.task.coordinates, rows.x, strict=True)}


def one_set(batch: BatchResult, number: int) -> OneSet:
    """The data of one data set."""
    return OneSet(batch, number)


def one_result(batch: BatchResult, number: int) -> Any:
    """See `BatchResult.to_lmfit`."""
    batch.source("to_lmfit()")
    task, status = batch.task, Status(int(batch.maps.status[number]))
    answer = batch.maps.values[:, number]
    if not np.isfinite(answer).all():
        msg = f"the data set at {batch.labels.place(number)} has no fit. {status.sentence}"
        raise DataError(msg, index=number, status=status)
    one = one_set(batch, number)
    params = copy_parameters(task.params)
    start = dict(zip(task.free, answer.tolist(), strict=True))
    lower, upper = (task.of(side, task.free, one.block)[0] for side in (task.lower, task.upper))
    for name, low, high in zip(task.free, lower.tolist(), upper.tolist(), strict=True):
        params[name].set(value=start[name], min=low, max=high)
    known = task.of(task.value, task.known, one.block)[0]
    for name, value in zip(task.known, known.tolist(), strict=True):
        # bounds of a fixed parameter mean nothing, and would clip a value of its own
        params[name].set(value=value, min=-np.inf, max=np.inf)
    notes = []
    excluded = one.excluded
    if status & Status.CLIPPED:
        excluded, note = _clipped(batch, number, one)
        notes.append(note)
    # what lies under the mask is nobody's business
    data = np.where(excluded, 0.0, one.data)
    weights = None if one.weights is None else np.where(excluded, 1.0, one.weights)
    result = task.model.fit(
        data,
        params,
        weights=weights,
        mask=excluded if excluded.any() else None,
        scale_covar=task.options.scale_covar,
        coords={**one.coords, **task.opts},
    )
    with np.errstate(all="ignore"):
        moved = np.array([result.params[name].value for name in task.free]) - answer
        far = np.abs(moved) > SAME * batch.maps.stderr[:, number]
    if far.any():
        names = [name for name, other in zip(task.free, far, strict=True) if other]
        notes.append(
            f"The refit moved {', '.join(names)} by more than {SAME:g} standard errors from the batch's answer ({status.sentence.strip()})"
        )
    result.batch_notes = tuple(notes)
    return result


def _clipped(batch: BatchResult, number: int, one: OneSet) -> tuple[np.ndarray, str]:
    """The points that clipping dropped: as many as are missing, those farthest from the fit that was made without them."""
    from .evaluate import numbers_of

    params = {name: batch.maps.values[k, number : number + 1] for k, name in enumerate(batch.task.free)}
    params |= {name: numbers_of(batch.task.value[name], one.block) for name in batch.task.known}
    params |= {name: batch._numbers(name)[0][number : number + 1] for name in batch.task.tied}
    fitted = batch.evaluator.value(params, [x.reshape(-1) for x in one.coords.values()])[0].reshape(one.data.shape)
    size = np.abs(one.data - fitted) * (1.0 if one.weights is None else one.weights)
    size = np.where(one.excluded, -1.0, size).reshape(-1)
    count = int((~one.excluded).sum()) - int(batch.maps.nobs[number])
    excluded = one.excluded.reshape(-1).copy()
    excluded[np.argsort(size)[len(size) - count :]] = True
    were = "point was" if count == 1 else "points were"
    return excluded.reshape(one.data.shape), f"{count} {were} dropped as in the batch: those farthest from its fit, made without them."
