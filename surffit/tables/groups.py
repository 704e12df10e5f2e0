"""One model, the groups of a table: the loop, and its answer as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surffit.core.columns import free_name
from surffit.core.progress import Progress
from surffit.exceptions import DataError, NonFiniteError, SurffitError, TooFewPointsError
from surffit.solve.status import Status
from surffit.tables.columns import Columns, column
from surffit.tables.verbs import AUGMENT, GLANCE, TIDY, augment, glance, tidy

__all__ = ["Group", "TableResult", "fit_groups"]


@dataclass(frozen=True, eq=False)
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
        None where no fit was possible.
    status : Status
        The fit's status, or the flag that says why there is no fit.
    reason : str
        The same as a sentence.
    """

    key: tuple[Any, ...]
    rows: pd.DataFrame
    result: Any
    status: Status
    reason: str


class TableResult:
    """
    Fits of the groups of a table.

    A group that could not be fitted stays in its place, with nan for its numbers and the reason in `glance`; it never
    stops the others.

    Attributes
    ----------
    keys : list of str
        Names of the key columns.
    groups : list of Group
        In the order in which the groups first appear in the table.
    complete : bool
        False if the loop was interrupted; the groups that were not reached have the status ABORTED.
    """

    def __init__(self, keys: list[Any], groups: list[Group], terms: list[str], complete: bool = True) -> None:
        self.keys = keys
        self.groups = groups
        self.complete = complete
        self._terms = terms

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __getitem__(self, key: Any) -> Any:
        """The result of one group, by the value of its key (a tuple where there are several key columns)."""
        wanted = key if isinstance(key, tuple) else (key,)
        for group in self.groups:
            if group.key == wanted:
                if group.result is None:
                    msg = f"the group {key!r} has no fit: {group.reason}"
                    raise DataError(msg, key=key, status=group.status)
                return group.result
        first = ", ".join(str(group.key if len(self.keys) > 1 else group.key[0]) for group in self.groups[:3])
        msg = f"no group has {', '.join(map(str, self.keys))} = {key!r}; there are {len(self)}, the first: {first}"
        raise LookupError(msg)

    def __repr__(self) -> str:
        fitted = sum(group.status.success for group in self.groups)
        end = "" if self.complete else ", interrupted"
        return f"<TableResult: {fitted} of {len(self)} groups by {', '.join(map(str, self.keys))} fitted{end}>"

    @property
    def failed(self) -> pd.DataFrame:
        """Groups without a good fit: their keys, ``status`` and ``reason``."""
        table = self.glance()
        status, reason = (self._name(column) for column in ("status", "reason"))
        bad = [not group.status.success for group in self.groups]
        return table.loc[bad, [*self.keys, status, reason]].reset_index(drop=True)

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
        columns = [*TIDY, *(["lower", "upper"] if level is not None else [])]
        blank = pd.DataFrame({"term": self._terms}).reindex(columns=columns)
        blank = blank.assign(at_bound=False, linear=False).astype(dict.fromkeys(set(columns) - {"term", "at_bound", "linear"}, float))
        return self._stack(lambda result: tidy(result, level), lambda group: blank, columns)

    def glance(self) -> pd.DataFrame:
        """
        One row per group.

        Returns
        -------
        DataFrame
            The key columns, then those of `surffit.tables.glance`; ``status`` and ``reason`` say why a group has no fit.
        """

        def blank(group: Group) -> pd.DataFrame:
            counts = {"ndata": len(group.rows), "nfev": 0, "success": False, "covar_source": "none"}
            words = {"status": "|".join(group.status.names), "reason": group.reason}
            return pd.DataFrame([{**dict.fromkeys(GLANCE, np.nan), **counts, **words, "method": ""}], columns=GLANCE)

        return self._stack(glance, blank, GLANCE)

    def augment(self) -> pd.DataFrame:
        """
        All rows of the groups with what their fits say of them.

        Returns
        -------
        DataFrame
            The table's rows, group after group, with their own index, and ``fitted``, ``resid`` and ``std_resid``.
        """
        parts = []
        for group in self.groups:
            if group.result is not None:
                parts.append(augment(group.result))
            else:
                parts.append(group.rows.assign(**{free_name(name, group.rows.columns): np.nan for name in AUGMENT}))
        return pd.concat(parts) if parts else pd.DataFrame(columns=[*self.keys, *AUGMENT])

    def _name(self, name: str) -> str:
        """Our column's name beside the key columns."""
        return free_name(name, self.keys)

    def _stack(self, verb: Callable[[Any], pd.DataFrame], blank: Callable[[Group], pd.DataFrame], columns: list[str]) -> pd.DataFrame:
        """The verb's tables one below the other, the keys as first columns."""
        parts = []
        for group in self.groups:
            part = (verb(group.result) if group.result is not None else blank(group)).rename(columns=self._name)
            for position, (name, value) in enumerate(zip(self.keys, group.key, strict=True)):
                part.insert(position, name, [value] * len(part))
            parts.append(part)
        if not parts:
            return pd.DataFrame(columns=[*self.keys, *map(self._name, columns)])
        return pd.concat(parts, ignore_index=True)


def fit_groups(
    df: pd.DataFrame, by: Any, columns: Columns, fit_one: Callable[[Columns, pd.DataFrame], Any], model: Any, progress: Any
) -> TableResult:
    """
    Fit every group of rows on its own.

    Parameters
    ----------
    df : DataFrame
        The table.
    by : str or list of str
        Key columns.
    columns : Columns
        Columns of the fit, for the whole table.
    fit_one : callable
        Fits one group, from its columns and its rows.
    model : SurfaceModel
        The model, for the names of its parameters.
    progress : bool or callable
        As in `fit_table`.

    Returns
    -------
    TableResult

    Notes
    -----
    Rows with a missing key are a group of their own. Errors that lie in a group's data, or in the numbers met on the way,
    become its flag; others (a bug in the model's function) are raised, as they are when all groups meet the same one.
    """
    keys = list(by) if isinstance(by, list | tuple) and not (isinstance(by, tuple) and by in df.columns) else [by]
    for name in keys:
        column(df, name, "by")
    # sort=False keeps the order of first appearance; observed=True leaves out categories without rows
    grouped = df.groupby(keys, sort=False, dropna=False, observed=True)
    numbers = grouped.ngroup().to_numpy()
    order = np.argsort(numbers, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(df) else []
    groups: list[Group] = []
    errors: list[Exception] = []
    complete = True
    with Progress(progress, len(members)) as report:
        try:
            for rows in members:
                groups.append(_fit_group(df, keys, rows, columns, fit_one, errors))
                report(len(groups), _label(keys, groups[-1].key))
        except KeyboardInterrupt:
            complete = False
    for rows in members[len(groups) :]:
        part = df.iloc[rows]
        groups.append(Group(_key(part, keys), part, None, Status.ABORTED, "not fitted: the loop was interrupted"))
    # what stops every group alike, and isn't in the data, is a fault of the call
    if groups and len(errors) == len(groups) and not isinstance(errors[0], DataError) and len({str(e) for e in errors}) == 1:
        raise errors[0]
    return TableResult(keys, groups, list(model.make_params()), complete)


def _fit_group(
    df: pd.DataFrame, keys: list[Any], rows: np.ndarray, columns: Columns, fit_one: Callable[..., Any], errors: list[Exception]
) -> Group:
    """One group's fit, or the flag that stands for it."""
    part = df.iloc[rows]
    key = _key(part, keys)
    try:
        result = fit_one(columns.rows(rows), part)
    except (SurffitError, ValueError, ArithmeticError) as err:
        errors.append(err)
        return Group(key, part, None, _flag(err), str(err))
    return Group(key, part, result, result.status, result.reason or "")


def _flag(err: Exception) -> Status:
    """The status of a fit that could not begin."""
    if getattr(err, "n_points", None) == 0:
        return Status.NO_DATA
    if isinstance(err, TooFewPointsError):
        return Status.FEW_POINTS
    if isinstance(err, NonFiniteError):
        return Status.NONFINITE_DATA
    if isinstance(err, ArithmeticError):
        return Status.NONFINITE_START
    return Status.CHUNK_FAILED


def _key(part: pd.DataFrame, keys: list[Any]) -> tuple[Any, ...]:
    """Values of the key columns in a group's first row."""
    return tuple(part[name].iloc[0] for name in keys)


def _label(keys: list[Any], key: tuple[Any, ...]) -> str:
    """``sample=3, run=b``."""
    return ", ".join(f"{name}={value}" for name, value in zip(keys, key, strict=True))
