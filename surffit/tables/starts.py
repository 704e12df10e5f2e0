"""Starts of the groups of a table: given for each group, or guessed from its data."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from surffit.exceptions import ParameterError
from surffit.tables.grouping import Grouping

__all__ = ["PerGroup", "guessed_starts", "own_starts"]


@dataclass(frozen=True, eq=False)
class PerGroup:
    """
    Numbers of parameters that differ from group to group.

    Attributes
    ----------
    values : dict of str to ndarray, shape (groups,)
    """

    values: dict[str, np.ndarray] = field(default_factory=dict)

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
        return params, PerGroup()
    plain: dict[str, Any] = dict(params)
    own: dict[str, np.ndarray] = {}
    for name, entry in params.items():
        series = entry.get("value") if isinstance(entry, Mapping) else entry
        if not isinstance(series, pd.Series):
            continue
        if grouping is None:
            msg = f"params[{name!r}] is a Series, one number per group, but there are no groups; pass by=..., or a number"
            raise ParameterError(msg, name=name)
        own[name] = column = _by_key(name, series, grouping)
        first = float(column[0]) if len(column) else 0.0
        plain[name] = {**entry, "value": first} if isinstance(entry, Mapping) else first
    return plain, PerGroup(own)


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


def guessed_starts(task: Any, source: Any, names: list[str]) -> dict[str, np.ndarray] | None:
    """
    Starts by the model's own guess, one group after the other; nan where it fails.

    Parameters
    ----------
    task : Task
    source : Ragged
    names : list of str
        Parameters that need one.

    Returns
    -------
    dict of str to ndarray, shape (groups,), or None
        None if the model has no guess, or one that doesn't know all of the names.
    """
    import lmfit

    if type(task.model).guess is lmfit.Model.guess:
        return None
    out = {name: np.full(source.n_sets, np.nan) for name in names}
    unknown = 0
    for q in range(source.n_sets):
        cut = slice(source.offsets[q], source.offsets[q + 1])
        used = source.w[cut] != 0
        coords = {name: x[cut][used] for name, x in zip(task.coordinates, source.x, strict=True)}
        # a guess that fails is no guess
        with np.errstate(all="ignore"), suppress(Exception):
            guessed = task.model.guess(source.y[cut][used], **coords)
            unknown += any(name not in guessed for name in names)
            for name, column in out.items():
                column[q] = guessed[name].value
    return None if unknown and all(np.isnan(column).all() for column in out.values()) else out
