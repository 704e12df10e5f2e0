"""The groups of a table, one ordinary fit after the other: what every model can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from surffit.core.columns import free_name
from surffit.core.progress import Progress
from surffit.exceptions import DataError, NonFiniteError, SurffitError, TooFewPointsError
from surffit.solve.status import Status
from surffit.tables.grouping import Grouping
from surffit.tables.groups import Group, TableResult
from surffit.tables.verbs import AUGMENT, GLANCE, TIDY, augment, glance, tidy

__all__ = ["LoopResult", "fit_one_by_one", "flag_of"]


class LoopResult(TableResult):
    """
    Full results of all groups.

    Parameters
    ----------
    ends : list of (result or None, Status, str)
        One per group: its result, flags and the reason in words.
    """

    def __init__(
        self, grouping: Grouping, model: Any, reason: str, ends: list[tuple[Any, Status, str]], terms: list[str], complete: bool
    ) -> None:
        super().__init__(grouping, model, "loop", reason, complete)
        self._ends, self._terms = ends, terms

    def _group(self, q: int) -> Group:
        result, status, reason = self._ends[q]
        return Group(self._grouping.tuples[q], status, lambda: self._grouping.rows(q), reason, result)

    @property
    def _flags(self) -> np.ndarray:
        return np.array([int(status) for _, status, _ in self._ends], dtype=np.uint32)

    def tidy(self, level: float | None = None) -> pd.DataFrame:
        """One row per group and parameter."""
        columns = [*TIDY, *(["lower", "upper"] if level is not None else [])]
        blank = pd.DataFrame({"term": self._terms}).reindex(columns=columns)
        blank = blank.assign(at_bound=False, linear=False).astype(dict.fromkeys(set(columns) - {"term", "at_bound", "linear"}, float))
        return self._stack([blank if result is None else tidy(result, level) for result, _, _ in self._ends], columns, len(self._terms))

    def glance(self) -> pd.DataFrame:
        """One row per group."""

        def blank(q: int, status: Status, reason: str) -> pd.DataFrame:
            counts = {"ndata": len(self._grouping.positions(q)), "nfev": 0, "success": False, "covar_source": "none"}
            words = {"status": "|".join(status.names), "reason": reason}
            return pd.DataFrame([{**dict.fromkeys(GLANCE, np.nan), **counts, **words, "method": ""}], columns=GLANCE)

        parts = [blank(q, *end[1:]) if end[0] is None else glance(end[0]) for q, end in enumerate(self._ends)]
        return self._stack(parts, GLANCE, 1)

    def augment(self) -> pd.DataFrame:
        """All rows of the groups with what their fits say of them."""
        parts = []
        for q, (result, _, _) in enumerate(self._ends):
            if result is not None:
                parts.append(augment(result))
            else:
                rows = self._grouping.rows(q)
                parts.append(rows.assign(**{free_name(name, rows.columns): np.nan for name in AUGMENT}))
        return pd.concat(parts) if parts else pd.DataFrame(columns=[*self.keys, *AUGMENT])

    def _stack(self, parts: list[pd.DataFrame], columns: list[str], times: int) -> pd.DataFrame:
        """The verb's tables one below the other, the keys as first columns."""
        if not parts:
            return pd.DataFrame(columns=[*self.keys, *map(self._name, columns)])
        return self._grouping.beside(pd.concat(parts, ignore_index=True).rename(columns=self._name), times)


def fit_one_by_one(
    grouping: Grouping, fit_one: Callable[[int], Any], model: Any, terms: list[str], reason: str, progress: Any
) -> LoopResult:
    """
    Fit every group of rows on its own.

    Parameters
    ----------
    grouping : Grouping
    fit_one : callable
        Fits the group with this number.
    model : SurfaceModel
    terms : list of str
        Names of its parameters.
    reason : str
        Why no faster engine does it.
    progress : bool or callable
        As in `fit_table`.

    Returns
    -------
    LoopResult

    Notes
    -----
    Errors that lie in a group's data, or in the numbers met on the way, become its flag; others (a bug in the model's function)
    are raised, as they are when all groups meet the same one.
    """
    ends: list[tuple[Any, Status, str]] = []
    errors: list[Exception] = []
    complete = True
    with Progress(progress, len(grouping)) as report:
        try:
            for q in range(len(grouping)):
                try:
                    result = fit_one(q)
                    ends.append((result, result.status, result.reason or ""))
                except (SurffitError, ValueError, ArithmeticError) as err:
                    errors.append(err)
                    ends.append((None, flag_of(err), str(err)))
                report(len(ends), grouping.label(q))
        except KeyboardInterrupt:
            complete = False
    ends += [(None, Status.ABORTED, "not fitted: the loop was interrupted")] * (len(grouping) - len(ends))
    # what stops every group alike, and isn't in the data, is a fault of the call
    if ends and len(errors) == len(ends) and not isinstance(errors[0], DataError) and len({str(e) for e in errors}) == 1:
        raise errors[0]
    return LoopResult(grouping, model, reason, ends, terms, complete)


def flag_of(err: Exception) -> Status:
    """The status of a fit that could not begin."""
    if getattr(err, "n_points", None) == 0:
        return Status.NO_DATA
    if isinstance(err, TooFewPointsError):
        return Status.FEW_POINTS
    if getattr(err, "status", None) is Status.NONFINITE_START:
        return Status.NONFINITE_START
    if isinstance(err, NonFiniteError | DataError):
        return Status.NONFINITE_DATA
    if isinstance(err, ArithmeticError):
        return Status.NONFINITE_START
    return Status.CHUNK_FAILED
