"""Starts that differ from group to group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from surffit.exceptions import ParameterError
from surffit.tables.grouping import Grouping

__all__ = ["PerGroup", "own_starts"]


@dataclass(frozen=True, eq=False)
class PerGroup:
    """
    Numbers of parameters that differ from group to group.

    Attributes
    ----------
    values : dict of str to ndarray, shape (groups,)
    whole : Parameters, mapping or None
        All that was given, these arrays in their places.
    """

    values: dict[str, np.ndarray] = field(default_factory=dict)
    whole: Any = None

    def set(self, params: Any, q: int) -> None:
        """Put those of one group into its Parameters."""
        for name, column in self.values.items():
            params[name].value = float(column[q])


def own_starts(params: Any, grouping: Grouping | None) -> tuple[Any, PerGroup]:
    """
    Take the numbers per group out of a mapping of starts.

    Parameters
    ----------
    params : Parameters, mapping or None
        A value (or the ``"value"`` of an entry) may be a Series indexed by the keys of the groups.
    grouping : Grouping or None
        None without groups.

    Returns
    -------
    params : Parameters, mapping or None
        The same with single numbers, those of the first group.
    own : PerGroup

    Raises
    ------
    ParameterError
        If there are no groups, or one of them has no number.
    """
    if not isinstance(params, Mapping) or hasattr(params, "valuesdict"):
        return params, PerGroup(whole=params)
    plain, whole = dict(params), dict(params)
    own: dict[str, np.ndarray] = {}
    for name, entry in params.items():
        series = entry.get("value") if isinstance(entry, Mapping) else entry
        if not isinstance(series, pd.Series):
            if isinstance(series, np.ndarray | list | tuple) and np.ndim(series):
                msg = f"params[{name!r}] is a {type(series).__name__}; for a number per group give a Series indexed by the groups' keys"
                raise ParameterError(msg, name=name)
            continue
        if grouping is None:
            msg = f"params[{name!r}] is a Series, one number per group, but there are no groups; pass by=..., or a number"
            raise ParameterError(msg, name=name)
        own[name] = column = _by_key(name, series, grouping)
        first = float(column[0]) if len(column) else 0.0
        plain[name] = {**entry, "value": first} if isinstance(entry, Mapping) else first
        whole[name] = {**entry, "value": column} if isinstance(entry, Mapping) else column
    return plain, PerGroup(own, whole)


def _by_key(name: str, series: pd.Series, grouping: Grouping) -> np.ndarray:
    if not series.index.is_unique:
        msg = f"params[{name!r}] has several numbers for a group; its index must hold each key once"
        raise ParameterError(msg, name=name)
    keys = grouping.keys
    wanted = pd.MultiIndex.from_frame(keys) if len(grouping.names) > 1 else pd.Index(keys[grouping.names[0]])
    column = series.reindex(wanted).to_numpy(dtype=float)
    lost = np.flatnonzero(~np.isfinite(column))
    if len(lost):
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        msg = f"params[{name!r}] has no number for the group {grouping.label(int(lost[0]))}{more}; its index must hold the groups' keys"
        raise ParameterError(msg, name=name, count=len(lost))
    return np.asarray(column)
