"""One model, the groups of a table: the answer, whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from surffit.core.columns import free_name
from surffit.exceptions import DataError
from surffit.solve.status import CONVERGED, SENTENCES, Status
from surffit.tables.grouping import Grouping

__all__ = ["Group", "TableResult"]


class Group:
    """
    One group of rows and how its fit ended.

    Attributes
    ----------
    key : tuple
        Values of the key columns.
    rows : DataFrame
        The group's rows of the table.
    result : SurfaceResult or None
        None where no fit was possible. Of a table that was fitted as a batch it is made when it is asked for, by an ordinary fit
        that begins at the batch's answer.
    status : Status
        The fit's status, or the flag that says why there is no fit.
    reason : str
        The same as a sentence.
    """

    def __init__(self, key: tuple[Any, ...], status: Status, rows: Callable[[], pd.DataFrame], reason: Any, result: Any) -> None:
        self.key, self.status = key, status
        self._rows, self._reason, self._result = rows, reason, result

    def __repr__(self) -> str:
        return f"<Group {', '.join(map(str, self.key))}: {'|'.join(self.status.names)}>"

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The group's rows of the table."""
        return self._rows()

    @cached_property
    def result(self) -> Any:
        """The full result, or None."""
        return self._result() if callable(self._result) else self._result

    @cached_property
    def reason(self) -> str:
        """How the fit ended, as a sentence."""
        return str(self._reason() if callable(self._reason) else self._reason)


class TableResult:
    """
    Fits of the groups of a table.

    A group that could not be fitted stays in its place, with nan for its numbers and the reason in `glance`; it never
    stops the others. The tables are pandas DataFrames, whatever kind of table was fitted.

    Attributes
    ----------
    keys : list of str
        Names of the key columns.
    groups : list of Group
        In the order in which the groups first appear in the table.
    complete : bool
        False if the fits were interrupted; the groups that were not reached have the status ABORTED.
    engine, engine_reason : str
        Which engine ran ("loop": one ordinary fit per group), and why.
    """

    def __init__(self, grouping: Grouping, model: Any, engine: str, engine_reason: str, complete: bool) -> None:
        self._grouping, self.model = grouping, model
        self.engine, self.engine_reason, self.complete = engine, engine_reason, complete

    @property
    def keys(self) -> list[Any]:
        """Names of the key columns."""
        return self._grouping.names

    def __len__(self) -> int:
        return len(self._grouping)

    @cached_property
    def groups(self) -> list[Group]:
        """All groups, in the order in which they first appear in the table."""
        return [self._group(q) for q in range(len(self))]

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __getitem__(self, key: Any) -> Any:
        """The result of one group, by the value of its key (a tuple where there are several key columns)."""
        q = self._grouping.number(key)
        if q is not None:
            group = self.groups[q]
            if group.result is None:
                msg = f"the group {key!r} has no fit: {group.reason}"
                raise DataError(msg, key=key, status=group.status)
            return group.result
        first = ", ".join(str(one if len(self.keys) > 1 else one[0]) for one in self._grouping.tuples[:3])
        msg = f"no group has {', '.join(map(str, self.keys))} = {key!r}; there are {len(self)}, the first: {first}"
        raise LookupError(msg)

    def __repr__(self) -> str:
        end = "" if self.complete else ", interrupted"
        return f"<TableResult: {int(self._success.sum())} of {len(self)} groups by {', '.join(map(str, self.keys))} fitted{end}>"

    @property
    def failed(self) -> pd.DataFrame:
        """Groups without a good fit: their keys, ``status`` and ``reason``."""
        table = self.glance()
        status, reason = (self._name(column) for column in ("status", "reason"))
        return table.loc[~self._success, [*self.keys, status, reason]].reset_index(drop=True)

    def summary(self) -> str:
        """
        The fits in words: how many, how they ended and what to do about it, the engine, typical values.

        Returns
        -------
        str
        """
        n, good, by = len(self), self._success, ", ".join(map(str, self.keys))
        lines = [f"{self.model.name}: {n} group{'s' if n != 1 else ''} by {by}, {int(good.sum())} fitted."]
        if not self.complete:
            lines.append("The fits were interrupted; groups that were not reached have the flag ABORTED.")
        lines += [f"Engine: {self.engine} ({self.engine_reason}).", "", "How they ended:"]
        flags = sorted(Status, key=lambda flag: flag not in CONVERGED)
        for flag, count in [(flag, int(((self._flags & np.uint32(flag)) != 0).sum())) for flag in flags]:
            if count:
                lines.append(f"  {count:>{len(str(n))}}  {flag.name}: {SENTENCES[flag]}")
        if good.any():
            tidy = self.tidy()
            term, names = self._name("term"), ["estimate", "std_error"]
            each = tidy[np.repeat(good, len(tidy) // n)].groupby(term, sort=False)[[self._name(name) for name in names]].median()
            lines += ["", "Medians of the groups that were fitted:"]
            width = max(map(len, each.index))
            lines += [f"  {name:<{width}}  {value:.6g}  (stderr {error:.4g})" for name, value, error in each.itertuples()]
        return "\n".join(lines)

    def tidy(self, level: float | None = None) -> pd.DataFrame:
        """
        One row per group and parameter.

        Parameters
        ----------
        level : float, optional
            Confidence level for the columns ``lower`` and ``upper``.

        Returns
        -------
        DataFrame
            The key columns, then those of `surffit.tables.tidy`; numbers of a group without a fit are nan.
        """
        raise NotImplementedError

    def glance(self) -> pd.DataFrame:
        """
        One row per group.

        Returns
        -------
        DataFrame
            The key columns, then those of `surffit.tables.glance`; ``status`` and ``reason`` say why a group has no fit.
        """
        raise NotImplementedError

    def augment(self) -> pd.DataFrame:
        """
        All rows of the groups with what their fits say of them.

        Returns
        -------
        DataFrame
            The table's rows, group after group, with their own index, and ``fitted``, ``resid`` and ``std_resid``.
        """
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """
        One row per group, one column per parameter and per error.

        Returns
        -------
        DataFrame
            The key columns, then ``name`` and ``name_stderr`` for every parameter, ``chisqr``, ``redchi``, ``nfree`` and ``success``.
        """
        tidy, glance = self.tidy(), self.glance()
        k = len(tidy) // max(1, len(self))
        columns: dict[Any, Any] = {name: glance[name].array for name in self.keys}
        for i, term in enumerate(tidy[self._name("term")].iloc[:k]):
            columns[free_name(term, columns)] = tidy[self._name("estimate")].to_numpy()[i::k]
            columns[free_name(f"{term}_stderr", columns)] = tidy[self._name("std_error")].to_numpy()[i::k]
        for name in ("chisqr", "redchi", "nfree", "success"):
            columns[free_name(name, columns)] = glance[self._name(name)].array
        return pd.DataFrame(columns)

    # ---- what each way of fitting knows ----------------------------------------------------------------------------------

    def _group(self, q: int) -> Group:
        raise NotImplementedError

    @property
    def _flags(self) -> np.ndarray:
        """Status of every group, uint32."""
        raise NotImplementedError

    @property
    def _success(self) -> np.ndarray:
        return np.array([Status(int(flags)).success for flags in self._flags], dtype=bool)

    def _name(self, name: str) -> str:
        """Our column's name beside the key columns."""
        return free_name(name, self.keys)
