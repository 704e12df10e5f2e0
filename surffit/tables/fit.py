"""`fit_table`: a model, a table, the names of its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from surffit.core.asmodel import as_model, as_params
from surffit.exceptions import DataError, ParameterError
from surffit.tables.columns import Columns, gather
from surffit.tables.groups import fit_groups

__all__ = ["fit_table"]


def fit_table(
    df: Any,
    model: Any,
    data: Any,
    by: Any = None,
    *,
    sigma: Any = None,
    weights: Any = None,
    mask: Any = None,
    params: Any = None,
    nan_policy: str = "raise",
    method: str = "separable",
    scale_covar: bool = True,
    fit_kws: Mapping[str, Any] | None = None,
    progress: bool | Callable[[int, int, str], object] = False,
    coords: Mapping[str, Any] | None = None,
    loss: Any = "linear",
    priors: Any = None,
    **variables: Any,
) -> Any:
    """
    Fit a model to the columns of a table, as one data set or one per group of rows.

    Parameters
    ----------
    df : DataFrame
        The table; never changed.
    model : SurfaceModel, lmfit.Model or callable
        What is fitted. lmfit's models and composites go through `SurfaceModel.from_lmfit`; a plain function is taken with the
        variables given here as its independent variables, its other arguments as parameters.
    data : str or array_like, shape (rows,)
        Column of the data.
    by : str or list of str, optional
        Columns whose values part the rows into groups, each fitted on its own, in the order of first appearance.
    sigma, weights : str, array_like, shape (rows,), or float, optional
        Error of the data [data unit], or its inverse; not both.
    mask : str or array_like of bool, shape (rows,), optional
        True excludes a row.
    params : Parameters or mapping, optional
        Starts, bounds and constraints, as lmfit's `Parameters`, or by name as `Model.make_params` takes them
        (``{"a1": 1.3, "b": {"value": 2, "min": 0}}``). Linear parameters need none.
    nan_policy : {"raise", "omit"}
        What to do with rows that hold nan.
    method : str
        The default or any method of lmfit.
    scale_covar : bool
        Whether the errors are scaled by the data's own scatter. Give False where sigma is known.
    fit_kws : mapping, optional
        Options for the solver.
    progress : bool or callable
        For groups: True shows a bar, a callable gets (done, total, text).
    coords : mapping of str to (str or array_like), optional
        Variables whose names collide with a keyword of this function.
    loss, priors
        As for `SurfaceModel.fit`.
    **variables : str, array_like, shape (rows,), or object
        Independent variables: the column's name, or values. Options of the model that are no arrays are handed through.

    Returns
    -------
    SurfaceResult or TableResult
        A TableResult if `by` is given.

    Raises
    ------
    DataError
        If a column is missing or does not hold numbers, and for all that the fit's own door refuses.
    ParameterError
        If a variable or parameter is unknown or missing.

    Examples
    --------
    >>> import surffit as sf
    >>> def index(x, y, a1, a2, b1, b2):
    ...     return a1 + a2 * y + (b1 + b2 * y) / x**2
    >>> df = sf.data.refractive_index()
    >>> result = fit_table(df, index, data="n", x="wavelength_nm", y="temperature_c")
    >>> round(result.best_values["a1"], 4)
    1.3247
    """
    if not isinstance(df, pd.DataFrame):
        msg = f"df is {type(df).__name__}; give a pandas DataFrame, or fit arrays with model.fit"
        raise DataError(msg)
    variables = _merged(variables, coords)
    model = as_model(model, variables)
    columns = gather(df, model, data, {"sigma": sigma, "weights": weights, "mask": mask}, variables)
    params = as_params(model, params)
    options = {"nan_policy": nan_policy, "method": method, "scale_covar": scale_covar, "loss": loss, "priors": priors}
    if fit_kws is not None:
        options["fit_kws"] = dict(fit_kws)

    def fit_one(part: Columns, rows: pd.DataFrame) -> Any:
        result = model.fit(part.data, params, coords=part.coords, **part.errors, **options)
        # what `augment` gives back; a shallow copy, so that columns added to the user's table later don't appear here
        result.table, result.table_names = rows.copy(deep=False), columns.names
        return result

    if by is None:
        return fit_one(columns, df)
    return fit_groups(df, by, columns, fit_one, model, progress)


def _merged(variables: Mapping[str, Any], coords: Mapping[str, Any] | None) -> dict[str, Any]:
    """Variables from both places; none may stand twice."""
    twice = sorted(set(variables) & set(coords or ()))
    if twice:
        msg = f"{', '.join(twice)} stands both as a keyword and in coords; give it once"
        raise ParameterError(msg, names=twice)
    return {**variables, **(coords or {})}
