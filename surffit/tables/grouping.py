"""The groups of a table: which rows belong together, in which order, and what they are called."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from surffit.core.data import is_time
from surffit.exceptions import DataError
from surffit.tables.columns import column

__all__ = ["Grouping", "group_rows", "numbers_in_order"]


@dataclass(frozen=True, eq=False)
class Grouping:
    """
    Rows of a table, group after group.

    Attributes
    ----------
    table : DataFrame
        The table, as it was.
    names : list
        Names of the key columns.
    order : ndarray of int, shape (rows,)
        Positions of the rows, those of the first group first; within a group as in the table.
    offsets : ndarray of int, shape (groups + 1,)
        Group q has the rows ``order[offsets[q]:offsets[q + 1]]``.
    """

    table: pd.DataFrame
    names: list[Any]
    order: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.positions(q) for q in range(len(self)))

    def positions(self, q: int) -> np.ndarray:
        """Positions of a group's rows in the table."""
        return self.order[self.offsets[q] : self.offsets[q + 1]]

    def rows(self, q: int) -> pd.DataFrame:
        """A group's rows of the table."""
        return self.table.iloc[self.positions(q)]

    @cached_property
    def keys(self) -> pd.DataFrame:
        """One row per group: the values of the key columns, in their own types."""
        return self.table[self.names].iloc[self.order[self.offsets[:-1]]].reset_index(drop=True)

    @cached_property
    def tuples(self) -> list[tuple[Any, ...]]:
        """The same as tuples."""
        return list(zip(*(self.keys[name] for name in self.names), strict=True))

    @cached_property
    def numbers(self) -> dict[Any, int]:
        """Number of a group by its key; missing values, which equal nothing, stand as None."""
        return {_plain(key): q for q, key in enumerate(self.tuples)}

    def number(self, key: Any) -> int | None:
        """Number of the group with this key (a tuple where there are several key columns), None if there is none."""
        wanted = key if isinstance(key, tuple) else (key,)
        try:
            return self.numbers.get(_plain(wanted))
        except TypeError:  # no key can be a list
            return None

    def beside(self, frame: pd.DataFrame, times: int = 1) -> pd.DataFrame:
        """Put the key columns first in a table that has `times` rows for each group."""
        each = np.repeat(np.arange(len(self)), times)
        for position, name in enumerate(self.names):
            frame.insert(position, name, self.keys[name].take(each).array)
        return frame

    def label(self, q: int) -> str:
        """``sample=3, run=b``."""
        return ", ".join(f"{name}={value}" for name, value in zip(self.names, self.tuples[q], strict=True))


def _plain(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(None if value is pd.NA or value is pd.NaT or value != value else value for value in key)


def group_rows(df: pd.DataFrame, by: Any) -> Grouping:
    """
    Part a table into groups, in the order in which they first appear.

    Parameters
    ----------
    df : DataFrame
        The table; not changed.
    by : str or list of str
        Key columns. Rows with a missing key are a group of their own; categories without rows are none.

    Returns
    -------
    Grouping

    Raises
    ------
    DataError
        If a key column does not exist, or stands twice.
    """
    names = list(by) if isinstance(by, list | tuple) and not (isinstance(by, tuple) and by in df.columns) else [by]
    if not names:
        msg = "by names no columns; give one or more, or leave it out"
        raise DataError(msg)
    for name in names:
        if not isinstance(name, Hashable):
            msg = f"by is a {type(name).__name__}; give the name of a column (table.assign(key=...) adds one), or a list of names"
            raise DataError(msg)
        column(df, name, "by")
        if names.count(name) > 1:
            msg = f"by names the column {name!r} twice; give each key column once"
            raise DataError(msg, column=name)
    # sort=False keeps the order of first appearance; observed=True leaves out categories without rows; factorize would lose missing keys
    codes = df.groupby(names, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    # a shallow copy, so that columns added to the user's table later don't appear here
    ends = np.cumsum(np.bincount(codes)) if len(df) else np.empty(0, dtype=np.int64)
    return Grouping(df.copy(deep=False), names, order, np.concatenate([[0], ends]).astype(np.int64))


def numbers_in_order(series: pd.Series, grouping: Grouping) -> np.ndarray:
    """A coordinate, group after group, as float64; dates are seconds since the first one of their group."""
    if not is_time(series):
        return np.asarray(series.to_numpy()[grouping.order], dtype=float)
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    array = series.to_numpy()[grouping.order]
    if array.dtype.kind == "M":
        there = np.flatnonzero(~np.isnat(array))
        # the first date of each group that is one; a group without any has nothing to subtract from
        first = there[np.minimum(np.searchsorted(there, grouping.offsets[:-1]), len(there) - 1)] if len(there) else grouping.offsets[:-1]
        array = array - array[np.repeat(first, np.diff(grouping.offsets))]
    return np.asarray(array / np.timedelta64(1, "s"), dtype=float)
