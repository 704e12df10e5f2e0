"""What the fits of all groups say of every row: fitted values, residuals, leverages."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from surffit.batch.answer.result import BatchResult
from surffit.batch.data.ragged import Ragged
from surffit.core.hat import ALONE
from surffit.core.structure import evaluate

__all__ = ["Points"]

# points evaluated at a time
POINTS = 200_000
# numbers in a block of derivatives
NUMBERS = 1 << 21
# relative to the largest: singular values of the scaled columns that are none
LOST = 1e-10


class Points:
    """
    Rows of a table, group after group, beside the fits.

    Parameters
    ----------
    batch : BatchResult
        Its data sets are the groups.
    source : Ragged
    data : ndarray, shape (points,)
        As they came in, excluded ones too.
    coords : list of ndarray, shape (points,)
        Likewise.
    fitted : ndarray of bool, shape (groups,)
        Groups that have numbers.
    """

    def __init__(self, batch: BatchResult, source: Ragged, data: np.ndarray, coords: list[np.ndarray], fitted: np.ndarray) -> None:
        self.batch, self.source, self.data, self.coords, self.known = batch, source, data, coords, fitted
        self.used = source.w != 0

    @property
    def _group_of(self) -> np.ndarray:
        return np.repeat(np.arange(self.source.n_sets), self.source.lengths)

    def _columns(self, groups: slice) -> tuple[slice, dict[str, np.ndarray], list[np.ndarray]]:
        """Which points belong to some groups; parameters and coordinates with one row per point."""
        offsets, task = self.source.offsets, self.batch.task
        cut = slice(int(offsets[groups.start]), int(offsets[groups.stop]))
        names = [name for name in task.params if name not in task.tied or not self.batch.evaluator.traced]
        lengths = self.source.lengths[groups]
        params = {name: np.repeat(self.batch._numbers(name)[0][groups], lengths) for name in names}
        return cut, params, [x[cut][:, None] for x in self.coords]

    def _runs(self, points: int) -> list[slice]:
        """Groups in runs of about so many points."""
        return [slice(block.start, block.stop) for block in self.source.blocks(self.source.n_sets, points)]

    @cached_property
    def fitted(self) -> np.ndarray:
        """The model at every point, excluded ones too; nan where a group has no fit."""
        out = np.full(len(self.data), np.nan)
        if self.batch.evaluator.traced:
            for groups in self._runs(POINTS):
                cut, params, coords = self._columns(groups)
                out[cut] = self.batch.evaluator.value(params, coords)[:, 0]
        else:
            task, offsets = self.batch.task, self.source.offsets
            for q in np.flatnonzero(self.known):
                cut = slice(int(offsets[q]), int(offsets[q + 1]))
                values = {name: float(self.batch._numbers(name)[0][q]) for name in task.params}
                here = {name: x[cut] for name, x in zip(task.coordinates, self.coords, strict=True)}
                with np.errstate(all="ignore"):
                    out[cut] = evaluate(task.model, values, {**task.opts, **here})
        out[~np.repeat(self.known, self.source.lengths)] = np.nan
        return out

    def residual(self) -> np.ndarray:
        """data - model, nan where excluded."""
        with np.errstate(all="ignore"):
            return np.where(self.used, self.data - self.fitted, np.nan)

    def rsquared(self) -> np.ndarray:
        """1 - sum of squared residuals over that about the mean, without weights, shape (groups,)."""
        begin = self.source.offsets[:-1]
        if not len(begin):
            return np.empty(0)
        with np.errstate(all="ignore"):
            count = np.add.reduceat(self.used.astype(float), begin)
            data = np.where(self.used, self.data, 0.0)
            mean = np.add.reduceat(data, begin) / count
            spread = np.where(self.used, data - np.repeat(mean, self.source.lengths), 0.0)
            size = np.maximum.reduceat(np.abs(spread), begin)
            unit = np.repeat(np.where(size > 0, size, 1.0), self.source.lengths)  # squares of 1e200 are no numbers
            left = np.where(self.used, self.residual(), 0.0)
            total = np.add.reduceat((spread / unit) ** 2, begin)
            # without spread there is nothing to explain
            return np.asarray(1.0 - np.add.reduceat((left / unit) ** 2, begin) / np.where(total > 0, total, np.nan))

    def studentised(self) -> np.ndarray:
        """Residuals over their own errors s_i sqrt(1 - h_i); nan where excluded, and where a group has no error to offer."""
        maps, lengths = self.batch.maps, self.source.lengths
        out = np.full(len(self.data), np.nan)
        with np.errstate(all="ignore"):
            scale = np.ones(self.source.n_sets)
            if self.batch.task.options.scale_covar:
                scale = np.where(maps.nfree > 0, np.sqrt(maps.chisqr / np.maximum(maps.nfree, 1)), np.nan)
            scale = np.where(np.isnan(maps.stderr).all(axis=0), np.nan, scale)
            weighted = self.residual() * self.source.w / np.repeat(scale, lengths)
            for groups in self._runs(max(1, NUMBERS // max(1, len(self.batch.task.free)))):
                cut = slice(int(self.source.offsets[groups.start]), int(self.source.offsets[groups.stop]))
                h = self._leverage(groups)
                # a point that decides a parameter alone is fitted whatever it is
                out[cut] = np.where(h < ALONE, weighted[cut] / np.sqrt(1.0 - h), np.nan)
        return out

    def _leverage(self, groups: slice) -> np.ndarray:
        """Diagonal of the hat matrices of a run of groups, one number per point; parameters held on a bound pull nothing."""
        task, lengths = self.batch.task, self.source.lengths[groups]
        cut, A = self._derivatives(groups)
        free = ~np.isnan(self.batch.maps.stderr[:, groups])
        A = np.where(np.repeat(free, lengths, axis=1) & np.isfinite(A), A * self.source.w[cut], 0.0)
        begin = self.source.offsets[groups.start : groups.stop] - cut.start
        out = np.empty(A.shape[1])
        # groups of about one length together, the shorter ones filled up with zeros, which change nothing
        longest = lengths.max()
        step = max(1, int(longest) // 8)
        for length in np.unique(-(-lengths // step) * step):
            sets = np.flatnonzero(-(-lengths // step) * step == length)
            at = begin[sets, None] + np.arange(length)
            inside = np.arange(length) < lengths[sets, None]
            rows = np.where(inside[:, :, None], A.T[np.minimum(at, A.shape[1] - 1)], 0.0)
            size = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
            rows = rows / np.where(size > 0, size, 1.0)
            out[at[inside]] = _diagonal(rows, (size > 0).all(axis=(1, 2)) & (length >= len(task.free)))[inside]
        return np.minimum(out, 1.0)

    def _derivatives(self, groups: slice) -> tuple[slice, np.ndarray]:
        """Of the model by the free parameters, (parameters, points)."""
        task, evaluator, errors = self.batch.task, self.batch.evaluator, self.batch.maps.stderr
        if evaluator.traced:
            cut, params, coords = self._columns(groups)
            steps = {name: np.repeat(errors[k, groups], self.source.lengths[groups]) for k, name in enumerate(task.free)}
            return cut, evaluator.gradient(params, coords, steps)[1][:, :, 0]
        offsets = self.source.offsets
        cut = slice(int(offsets[groups.start]), int(offsets[groups.stop]))
        out = np.zeros((len(task.free), cut.stop - cut.start))
        for q in range(groups.start, groups.stop):
            if not self.known[q]:
                continue
            here = slice(int(offsets[q]), int(offsets[q + 1]))
            one = {name: self.batch._numbers(name)[0][q : q + 1] for name in task.params}
            step = {name: errors[k, q : q + 1] for k, name in enumerate(task.free)}
            J: Any = evaluator.gradient(one, [x[here] for x in self.coords], step)[1]
            out[:, here.start - cut.start : here.stop - cut.start] = J[:, 0, :]
        return cut, out


def _diagonal(rows: np.ndarray, easy: np.ndarray) -> np.ndarray:
    """Squared lengths of the rows of an orthonormal basis of the columns, (n, points); `rows` is (n, points, columns)."""
    out = np.empty(rows.shape[:2])
    if easy.any():
        Q, R = np.linalg.qr(rows[easy])
        out[easy] = (Q * Q).sum(axis=2)
        size = np.abs(np.diagonal(R, axis1=1, axis2=2))
        easy = easy.copy()
        easy[np.flatnonzero(easy)[(size < LOST).any(axis=1)]] = False
    if not easy.all():
        U, s, _ = np.linalg.svd(rows[~easy], full_matrices=False)
        out[~easy] = ((U * U) * (s > LOST * s[:, :1])[:, None, :]).sum(axis=2)
    return out
