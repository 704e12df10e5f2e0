"""
From a table's columns to the data, errors and coordinates of a fit.

Here only what is the table's own is decided: which column is meant, whether it holds numbers, and that
arrays handed in beside the table belong to its rows. What numbers make a good fit is checked at the one
door for data, for tables as for everything else.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surffit.exceptions import DataError, ParameterError, ShapeError

__all__ = ["Columns", "column", "gather"]


@dataclass(frozen=True, eq=False)
class Columns:
    """
    The columns of one fit, on the table's index.

    Attributes
    ----------
    data : Series
        What is fitted.
    errors : dict of str to Series
        Those of ``sigma``, ``weights`` and ``mask`` that were given.
    coords : dict of str to Series or object
        One entry per independent variable; options that are not arrays stand as they were given.
    names : dict of str to str
        The table's name for "data" and for each variable that is one of its columns.
    """

    data: pd.Series
    errors: dict[str, pd.Series]
    coords: dict[str, Any]
    names: dict[str, str]

    def rows(self, positions: np.ndarray) -> Columns:
        """The same for some rows, given by position."""
        return Columns(
            data=self.data.iloc[positions],
            errors={name: series.iloc[positions] for name, series in self.errors.items()},
            coords={name: value.iloc[positions] if isinstance(value, pd.Series) else value for name, value in self.coords.items()},
            names=self.names,
        )


def gather(df: pd.DataFrame, model: Any, data: Any, errors: Mapping[str, Any], variables: Mapping[str, Any]) -> Columns:
    """
    Look up all columns of a fit.

    Parameters
    ----------
    df : DataFrame
        The table; only read.
    model : SurfaceModel
        Says which independent variables there are, and which of them are options.
    data : str or array_like, shape (rows,)
        Column of the data.
    errors : mapping of str to (str, array_like, float or None)
        ``sigma``, ``weights`` and ``mask``.
    variables : mapping of str to (str, array_like or object)
        Independent variables.

    Returns
    -------
    Columns

    Raises
    ------
    DataError
        If a column does not exist, stands twice, or does not hold numbers.
    ShapeError
        If an array's length or a Series' labels don't fit the table.
    ParameterError
        If a variable is not one of the model's, or one is missing.
    """
    options = _options(model)
    _check_variables(model, variables, options)
    names: dict[str, str] = {}
    coords: dict[str, Any] = {}
    for name, value in variables.items():
        if isinstance(value, str):
            option = isinstance(options.get(name), str) and value not in df.columns
        else:
            option = np.ndim(value) == 0 and not _names_column(df, value)  # a number, a switch, an object: the same for all rows
        if option:
            coords[name] = value
        else:
            coords[name] = _series(df, value, name, names)
    found = {role: _series(df, value, role, {}) for role, value in errors.items() if value is not None}
    if "mask" in found and found["mask"].any():
        # what stands beside an excluded row is nobody's business
        found |= {role: series.mask(found["mask"], 1.0) for role, series in found.items() if role != "mask"}
    return Columns(data=_series(df, data, "data", names), errors=found, coords=coords, names=names)


def column(df: pd.DataFrame, name: Any, role: str) -> pd.Series:
    """
    One column by name, or a sentence that says which ones there are.

    Parameters
    ----------
    df : DataFrame
        The table.
    name : hashable
        The column.
    role : str
        What it was wanted for, named in errors.

    Returns
    -------
    Series, shape (rows,)

    Raises
    ------
    DataError
        If there is no such column, or more than one.
    """
    if name not in df.columns:
        from difflib import get_close_matches

        known = [str(label) for label in df.columns]
        close = get_close_matches(str(name), known, n=1)
        if name in df.index.names:
            msg = f"{name!r} (given as {role}) is in the index of the table, not a column; pass table.reset_index()"
            raise DataError(msg, column=name, role=role, columns=known)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(map(repr, known)) or 'none'}"
        msg = f"the table has no column {name!r} (given as {role}); {hint}"
        raise DataError(msg, column=name, role=role, columns=known)
    found = df[name]
    if isinstance(found, pd.DataFrame):
        msg = f"the table has {found.shape[1]} columns named {name!r} (given as {role}); rename all but one"
        raise DataError(msg, column=name, role=role)
    return found


def _names_column(df: pd.DataFrame, value: Any) -> bool:
    """Whether a value that isn't text is the name of a column: tables without a header have whole numbers as names."""
    return isinstance(value, tuple | int | np.integer) and not isinstance(value, bool) and value in df.columns


def _series(df: pd.DataFrame, value: Any, role: str, names: dict[str, str]) -> pd.Series:
    """A column by name, an array of the table's length, or one number for all rows, as numbers on the table's index."""
    if isinstance(value, str) or _names_column(df, value):
        names[role] = str(value)
        return _numbers(column(df, value, role), role)
    if isinstance(value, pd.Series):
        return _numbers(_aligned(df, value, role), role)
    if hasattr(value, "unit"):
        # a Quantity, which a Series would strip of its unit
        msg = f"{role} carries the unit {value.unit}, which a table can't; pass plain numbers in the unit you mean"
        raise DataError(msg, role=role)
    if isinstance(value, np.ma.MaskedArray):
        value = np.ma.filled(value.astype(float), np.nan)
    array = np.asarray(value)
    if array.ndim == 0 and role == "data":
        msg = f"data={value!r} is neither a column of the table nor an array; its columns are {', '.join(map(repr, df.columns[:8]))}"
        raise DataError(msg, role=role)
    if array.ndim == 0:
        array = np.full(len(df), array)
    if array.shape != (len(df),):
        msg = f"{role} has shape {array.shape}, but the table has {len(df)} rows; give a column's name or one value per row"
        raise ShapeError(msg, role=role, shape=array.shape, rows=len(df))
    return _numbers(pd.Series(array, index=df.index), role)


def _aligned(df: pd.DataFrame, series: pd.Series, role: str) -> pd.Series:
    """A Series from outside the table, brought to the table's row order by its labels."""
    if series.index.equals(df.index):
        return series
    if series.index.is_unique and df.index.is_unique and len(series) == len(df) and series.index.isin(df.index).all():
        return series.reindex(df.index)
    msg = (
        f"{role} is a Series whose labels are not those of the table's {len(df)} rows; reindex it to the table, "
        f"or pass {role}.to_numpy() if it is in the table's order"
    )
    raise ShapeError(msg, role=role, rows=len(df))


def _numbers(series: pd.Series, role: str) -> pd.Series:
    """The column as plain numbers (missing ones as nan); text is refused, times are left for the door."""
    dtype = series.dtype
    where = f"column {series.name!r} (given as {role})" if series.name is not None else role
    if isinstance(dtype, pd.CategoricalDtype):
        if not pd.api.types.is_numeric_dtype(dtype.categories.dtype):
            msg = f"{where} is categorical with categories like {dtype.categories[:3].tolist()}; a fit needs numbers"
            raise DataError(msg, column=series.name, role=role)
        return series.astype(dtype.categories.dtype).astype(float)
    if pd.api.types.is_datetime64_any_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        return series
    if role == "mask":
        if series.isna().any():
            msg = f"{where} has {int(series.isna().sum())} missing values; True excludes a row, False keeps it"
            raise DataError(msg, column=series.name, role=role)
        if not pd.api.types.is_bool_dtype(dtype) and not series.isin([0, 1]).all():
            msg = f"{where} has other values than True and False; True excludes a row"
            raise DataError(msg, column=series.name, role=role)
        return series.astype(bool)
    if isinstance(dtype, np.dtype) and dtype.kind in "fiubc":
        return series
    if pd.api.types.is_extension_array_dtype(dtype) and pd.api.types.is_numeric_dtype(dtype):
        return pd.Series(series.to_numpy(dtype=float, na_value=np.nan), index=series.index, name=series.name)
    # object and string columns: numbers kept as objects are numbers, everything else is text to this room, also text that looks
    # like numbers, since guessing would hide the one entry that doesn't
    odd = [(position, item) for position, item in enumerate(series) if not _is_number(item)]
    text = [(position, item) for position, item in enumerate(series) if isinstance(item, str)]
    if odd or text:
        position, item = (odd or text)[0]
        msg = (
            f"{where} does not hold numbers: {len(odd or text)} of {len(series)} rows are like {item!r} (the first in row {position}); "
            "convert it with pd.to_numeric"
        )
        raise DataError(msg, column=series.name, role=role, row=position, value=item)
    return pd.Series([np.nan if pd.isna(item) else float(item) for item in series], index=series.index, name=series.name, dtype=float)


def _is_number(item: Any) -> bool:
    """Whether an object column's entry is a number or a missing value."""
    if item is None or item is pd.NA:
        return True
    try:
        float(item)
    except (TypeError, ValueError):
        return False
    return True


def _options(model: Any) -> dict[str, Any]:
    """Independent variables with a default, which need not be given, and their defaults."""
    found: dict[str, Any] = {}
    for leaf in model.components:
        found |= {**leaf.independent_vars_defvals, **leaf.opts}
    return {name: value for name, value in found.items() if name in model.independent_vars and value is not inspect.Parameter.empty}


def _check_variables(model: Any, variables: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """All independent variables are there, and nothing else."""
    known: Sequence[str] = model.independent_vars
    for name in variables:
        if name in known:
            continue
        if name in model.param_names:
            msg = f"{name} is a parameter of the model; in fit_table starts go into params={{{name!r}: ...}}"
        else:
            from difflib import get_close_matches

            close = get_close_matches(name, [*known, *_KEYWORDS], n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the model's independent variables are {', '.join(known)}"
            msg = f"{name!r} is neither an independent variable of the model nor a keyword of fit_table; {hint}"
        raise ParameterError(msg, name=name)
    missing = [name for name in known if name not in variables and name not in options]
    if missing:
        example = ", ".join(f'{name}="..."' for name in missing)
        msg = f"the model needs a column for {', '.join(missing)}; pass {example}"
        raise ParameterError(msg, missing=missing)


_KEYWORDS = (
    "by", "sigma", "weights", "mask", "params", "nan_policy", "method", "scale_covar", "fit_kws", "progress", "coords",
    "loss", "priors", "engine",
)  # fmt: skip
