"""``df.surffit``: the fit of a table as a method of the table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from surffit.tables.fit import fit_table

__all__ = ["TableAccessor"]


@pd.api.extensions.register_dataframe_accessor("surffit")
class TableAccessor:
    """
    Fits on a DataFrame, as ``df.surffit``.

    A column named "surffit" stays reachable as ``df["surffit"]``.
    """

    # pandas turns an AttributeError in here into a misleading one about the frame: nothing that can fail
    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def fit(self, model: Any, data: Any, by: Any = None, **keywords: Any) -> Any:
        """
        Fit a model to this table: `surffit.fit_table` with the table filled in.

        Parameters
        ----------
        model : SurfaceModel, lmfit.Model or callable
            What is fitted.
        data : str or array_like, shape (rows,)
            Column with the data.
        by : str or list of str, optional
            Columns whose values part the rows into groups, each fitted on its own.
        **keywords
            As in `surffit.fit_table`: columns of the independent variables, ``sigma=``, ``params=``, ...

        Returns
        -------
        SurfaceResult or TableResult

        Examples
        --------
        >>> import pandas as pd
        >>> import surffit as sf
        >>> df = pd.DataFrame({"t": [0.0, 1.0, 2.0, 3.0], "v": [1.0, 3.1, 4.9, 7.0]})
        >>> result = df.surffit.fit(sf.get_model("linear"), data="v", x="t")
        >>> round(result.best_values["slope"], 2)
        1.98
        """
        return fit_table(self._frame, model, data, by, **keywords)
