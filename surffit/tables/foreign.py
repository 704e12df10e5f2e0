"""Tables of other libraries, taken over by column; none of them is ever imported for it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from surffit.exceptions import DataError

__all__ = ["as_frame"]


def as_frame(df: Any) -> pd.DataFrame:
    """
    The pandas table itself, or one made of a polars or pyarrow table.

    Parameters
    ----------
    df : DataFrame, polars.DataFrame, pyarrow.Table, pyarrow.RecordBatch, or anything with ``__arrow_c_stream__``
        Numbers without missing values are not copied where they lie in one piece; missing ones become nan, dictionaries become
        categories, dates datetime64.

    Returns
    -------
    DataFrame

    Raises
    ------
    DataError
        If it is no table.
    """
    if isinstance(df, pd.DataFrame):
        return df
    home = type(df).__module__.partition(".")[0]
    if home == "polars" and hasattr(df, "collect"):
        msg = "df is a polars LazyFrame, which has no rows yet; pass df.collect()"
        raise DataError(msg)
    if hasattr(df, "to_batches") and hasattr(df, "schema"):
        return _from_arrow(df)
    if hasattr(df, "__arrow_c_stream__") or hasattr(df, "__arrow_c_array__"):
        try:
            import pyarrow
        except ImportError:
            pyarrow = None
        if pyarrow is not None:
            try:
                return _from_arrow(pyarrow.table(df))
            except (TypeError, ValueError, pyarrow.ArrowException) as err:
                msg = f"df is {type(df).__name__}, which pyarrow doesn't take for a table ({err}); give a pandas DataFrame"
                raise DataError(msg) from err
    if home == "polars" and hasattr(df, "columns"):
        return pd.DataFrame({name: df[name].to_numpy() for name in df.columns}, copy=False)
    if home == "pyarrow" and hasattr(df, "to_pandas") and hasattr(df, "schema"):
        return _from_arrow(df)
    msg = f"df is {type(df).__name__}; give a pandas DataFrame (or a polars or pyarrow table), or fit arrays with model.fit"
    raise DataError(msg)


def _from_arrow(table: Any) -> pd.DataFrame:
    """Columns that lie in one piece and have no missing values keep their memory."""
    # pandas' own notes in the schema may name a column as index; here rows are rows
    frame = table.to_pandas(split_blocks=True, date_as_object=False, ignore_metadata=True)
    return pd.DataFrame(frame)
