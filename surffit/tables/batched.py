"""The groups of a table, all at once: the batch engines fit them, and tables are made of whole columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from surffit.batch.answer.result import BatchResult, successful
from surffit.batch.answer.verbs import status_names
from surffit.batch.answer.verbs import tidy as batch_tidy
from surffit.batch.data.ragged import Ragged
from surffit.core.columns import free_name
from surffit.core.data import open_door
from surffit.core.explain import on_bounds, undetermined
from surffit.core.fitting import few_points
from surffit.exceptions import DataError
from surffit.solve.status import CONVERGED, SENTENCES, Status
from surffit.tables.columns import Columns
from surffit.tables.grouping import Grouping, numbers_in_order
from surffit.tables.groups import Group, TableResult
from surffit.tables.pointwise import Points
from surffit.tables.verbs import GLANCE

__all__ = ["BatchTable", "Refit"]

Refit = Callable[[int, Mapping[str, float] | None], Any]


class BatchTable(TableResult):
    """
    Numbers of all groups in arrays; a full result is made of a group that is asked for.

    Parameters
    ----------
    batch : BatchResult
        Data sets are the groups, in their order.
    columns : Columns
        Of the fit, for the whole table.
    refit : callable
        ``refit(q, values)``: an ordinary fit of group q that begins at these values of parameters.
    omit : bool
        Whether points that are not finite were left out.
    """

    def __init__(self, grouping: Grouping, batch: BatchResult, columns: Columns, refit: Refit, omit: bool) -> None:
        super().__init__(grouping, batch.model, batch.engine, batch.engine_reason, batch.complete)
        self._batch, self._columns, self._refit, self._omit = batch, columns, refit, omit

    @cached_property
    def _fitted(self) -> np.ndarray:
        """Groups that have numbers."""
        return np.asarray(np.isfinite(self._batch.maps.values).all(axis=0))

    @property
    def _flags(self) -> np.ndarray:
        return self._batch.maps.status

    @property
    def _success(self) -> np.ndarray:
        return successful(self._batch.maps.status)

    def _group(self, q: int) -> Group:
        status = Status(int(self._flags[q]))

        def result() -> Any:
            task, values = self._batch.task, self._batch.maps.values
            found = {name: float(values[k, q]) for k, name in enumerate(task.free) if name not in task.linear}
            return self._refit(q, found) if self._fitted[q] else None

        return Group(self._grouping.tuples[q], status, lambda: self._grouping.rows(q), lambda: self._reasons[q], result)

    @cached_property
    def _reasons(self) -> list[str]:
        """How every fit ended, in sentences with names and numbers where there are any."""
        found, where = np.unique(self._flags, return_inverse=True)
        plain = [_sentences(Status(int(flags)), {}) for flags in found]
        out = [plain[i] for i in where]
        special = Status.AT_BOUND | Status.RANK_DEFICIENT
        maps, free = self._batch.maps, self._batch.task.free
        for q in np.flatnonzero(self._fitted & ((self._flags & np.uint32(special)) != 0)):
            held = [name for name, error in zip(free, maps.stderr[:, q], strict=True) if np.isnan(error)]
            lost = [name for name, error in zip(free, maps.stderr[:, q], strict=True) if np.isinf(error)]
            out[q] = _sentences(Status(int(self._flags[q])), {Status.AT_BOUND: on_bounds(held), Status.RANK_DEFICIENT: undetermined(lost)})
        in_data = Status.NO_DATA | Status.FEW_POINTS | Status.NONFINITE_DATA
        for q in np.flatnonzero((self._flags & np.uint32(in_data)) != 0):
            out[q] = self._of_data(int(q)) or out[q]
        return out

    def _of_data(self, q: int) -> str:
        """Why the data of a group can't be fitted, in the words of an ordinary fit, which goes no further than the door here."""
        points, cut = self._points, slice(int(self._source.offsets[q]), int(self._source.offsets[q + 1]))
        rows = self._grouping.positions(q)
        errors = {name: series.to_numpy()[rows] for name, series in self._columns.errors.items()}
        coords = {name: x[cut] for name, x in zip(self._batch.task.coordinates, points.coords, strict=True)}
        try:
            data = open_door(points.data[cut], coords, nan_policy="omit" if self._omit else "raise", **errors)
        except DataError as err:
            return str(err)
        return few_points(data.n_used, data.size, data.masked, data.omitted, len(self._batch.task.free))

    def tidy(self, level: float | None = None) -> pd.DataFrame:
        """One row per group and parameter."""
        table, k = batch_tidy(self._batch, level, keys={}), len(self._batch.param_names)
        blank = np.repeat(~self._fitted, k)
        if blank.any():
            numbers = [name for name in table.columns if table[name].dtype.kind == "f"]
            table.loc[blank, numbers] = np.nan
            table.loc[blank, ["at_bound", "linear"]] = False
        return self._grouping.beside(table.rename(columns=self._name), k)

    def glance(self) -> pd.DataFrame:
        """One row per group."""
        batch, fitted = self._batch, self._fitted
        maps, nvarys = batch.maps, len(batch.task.free)
        n = maps.nobs.astype(float)
        with np.errstate(all="ignore"):
            chisqr = np.maximum(maps.chisqr, 1e-250 * n)
            likelihood = n * np.log(chisqr / n)
            bic = likelihood + np.log(n) * nvarys
            rsquared = self._points.rsquared()
        # groups without a fit have no counts, and whole numbers have no nan
        whole: Any = int if fitted.all() else float
        errors = fitted & ~np.isnan(maps.stderr).all(axis=0)
        lost = {
            "nvarys": np.full(len(self), nvarys), "nfree": maps.nfree, "chisqr": chisqr, "redchi": maps.chisqr / np.maximum(maps.nfree, 1),
            "aic": likelihood + 2 * nvarys, "bic": bic, "rsquared": rsquared,
        }  # fmt: skip
        columns = {
            # all rows where there was no fit: why it counts fewer is in the reason
            "ndata": np.where(fitted, maps.nobs, self._source.lengths).astype(int),
            **{
                name: np.where(fitted, numbers, np.nan).astype(whole if name in ("nvarys", "nfree") else float)
                for name, numbers in lost.items()
            },
            "nfev": np.where(fitted, maps.nfev, 0).astype(int),
            "success": self._success,
            "status": status_names(maps.status),
            "reason": pd.Series(self._reasons, dtype="str" if len(self) else object).array,
            "covar_source": _words(errors, "jacobian", "none"),
            "method": _words(fitted, "separable", ""),
        }
        return self._grouping.beside(pd.DataFrame({name: columns[name] for name in GLANCE}).rename(columns=self._name))

    def augment(self) -> pd.DataFrame:
        """All rows of the groups with what their fits say of them."""
        frame = self._grouping.table.iloc[self._grouping.order]
        points = self._points
        added = {"fitted": points.fitted, "resid": points.residual(), "std_resid": points.studentised()}
        return frame.assign(**{free_name(name, frame.columns): values for name, values in added.items()})

    @property
    def _source(self) -> Ragged:
        source: Any = self._batch.task.source
        return source

    @cached_property
    def _points(self) -> Points:
        order = self._grouping.order
        data = self._columns.data.to_numpy()[order].astype(float)
        coords = [numbers_in_order(self._columns.coords[name], self._grouping) for name in self._batch.task.coordinates]
        return Points(self._batch, self._source, data, coords, self._fitted)


def _sentences(status: Status, named: Mapping[Status, str]) -> str:
    """The sentences of the flags; a fit that failed did not converge to anything worth the word."""
    flags = [flag for flag in Status if flag in status and (status.success or flag not in CONVERGED)]
    return " ".join(named.get(flag) or SENTENCES[flag] for flag in flags)


def _words(which: np.ndarray, yes: str, no: str) -> Any:
    return pd.Series([no, yes], dtype="str").array.take(which.astype(int))
