"""`fit_table`: a model, a table, the names of its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from surffit.core.asmodel import as_model, as_params
from surffit.exceptions import ParameterError
from surffit.tables.columns import Columns, gather
from surffit.tables.foreign import as_frame
from surffit.tables.grouping import Grouping, group_rows
from surffit.tables.groups import TableResult
from surffit.tables.one_by_one import fit_one_by_one
from surffit.tables.starts import PerGroup, own_starts

__all__ = ["fit_table"]

# groups below which ordinary fits are done before an engine has been compiled
FEW = 200
POLICIES = ("raise", "omit", "flag")


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
    engine: str = "auto",
    **variables: Any,
) -> Any:
    """
    Fit a model to the columns of a table, as one data set or one per group of rows.

    Parameters
    ----------
    df : DataFrame, or a polars or pyarrow table
        The table; never changed. Other tables are taken over by column, without copies where their memory allows; the answers come
        as pandas DataFrames.
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
        (``{"a1": 1.3, "b": {"value": 2, "min": 0}}``). Linear parameters need none. A value may be a Series indexed by the groups'
        keys: a start, or with ``"vary": False`` a constant, for each group.
    nan_policy : {"raise", "omit", "flag"}
        What to do with rows that hold nan. "flag" gives their group the flag NONFINITE_DATA, and so does "raise" where there are groups,
        since no group stops the others.
    method : str
        The default or any method of lmfit.
    scale_covar : bool
        Whether the errors are scaled by the data's own scatter. Give False where sigma is known.
    fit_kws : mapping, optional
        Options for the solver.
    progress : bool or callable
        For groups: True shows a bar, a callable gets (done, total, text), at least once per block of groups.
    coords : mapping of str to (str or array_like), optional
        Variables whose names collide with a keyword of this function.
    loss, priors
        As for `SurfaceModel.fit`.
    engine : str
        For groups: "auto"; "loop" (one ordinary fit per group); or an engine of `surffit.fit_many` by name. Few groups, and calls that
        only ordinary fits can do (methods of lmfit, losses, priors), take the loop; `engine_reason` of the result says it. With "auto"
        groups where an engine found no minimum get an ordinary fit besides.
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
    df = as_frame(df)
    variables = _merged(variables, coords)
    model = as_model(model, variables)
    columns = gather(df, model, data, {"sigma": sigma, "weights": weights, "mask": mask}, variables)
    options = {"nan_policy": nan_policy, "method": method, "scale_covar": scale_covar, "loss": loss, "priors": priors}
    if fit_kws is not None:
        options["fit_kws"] = dict(fit_kws)
    grouping = None if by is None else group_rows(df, by)
    params, own = own_starts(params, grouping)
    params = as_params(model, params)
    if grouping is not None:
        return _fit_groups(grouping, model, params, own, columns, options, engine, progress)
    if engine != "auto":
        msg = f"engine={engine!r} says how groups are fitted, and there are none; leave it out, or pass by=..."
        raise ParameterError(msg)
    return _fit(model, columns, df, params, options)


def _fit(model: Any, columns: Columns, rows: Any, params: Any, options: Mapping[str, Any]) -> Any:
    """One ordinary fit."""
    result = model.fit(columns.data, params, coords=columns.coords, **columns.errors, **options)
    # what `augment` gives back; a shallow copy, so that columns added to the user's table later don't appear here
    result.table, result.table_names = rows.copy(deep=False), columns.names
    return result


def _fit_groups(
    grouping: Grouping, model: Any, params: Any, own: PerGroup, columns: Columns, options: dict[str, Any], engine: str, progress: Any
) -> TableResult:
    """All groups, by a batch engine where the call allows, else one by one."""
    from surffit.core.parameters import copy_parameters

    policy = options["nan_policy"]
    if policy not in POLICIES:
        msg = f"nan_policy={policy!r} is not available; use {', '.join(map(repr, POLICIES))}"
        raise ParameterError(msg)
    # a group that raises is flagged
    options["nan_policy"] = "omit" if policy == "omit" else "raise"

    def refit(q: int, values: Mapping[str, float] | None = None) -> Any:
        start = params
        if own.values or values:
            start = model.make_params() if params is None else copy_parameters(params)
            own.set(start, q)
            for name, value in (values or {}).items():
                start[name].value = value
        positions = grouping.positions(q)
        return _fit(model, columns.rows(positions), grouping.table.iloc[positions], start, options)

    reason = _few(grouping, engine)
    if reason is None:
        from surffit.tables.together import batch_task, fit_batch

        task = batch_task(model, own.whole, columns, grouping, options)
        answer = task if isinstance(task, str) else fit_batch(task, grouping, columns, refit, policy == "omit", engine, progress)
        if not isinstance(answer, str):
            return answer
        reason = answer
        if engine not in ("auto", "loop"):
            msg = f"engine={engine!r} can't fit this: {reason}; leave engine='auto'"
            raise ParameterError(msg)
    terms = list(model.make_params() if params is None else params)
    return fit_one_by_one(grouping, refit, model, terms, reason, progress)


def _few(grouping: Grouping, engine: str) -> str | None:
    """Why ordinary fits are the better choice, without a look at the model."""
    if engine == "loop":
        return "as asked for"
    if engine == "auto" and len(grouping) < FEW:
        return f"{len(grouping)} groups are fitted one by one before a faster engine is ready"
    return None


def _merged(variables: Mapping[str, Any], coords: Mapping[str, Any] | None) -> dict[str, Any]:
    """Variables from both places; none may stand twice."""
    twice = sorted(set(variables) & set(coords or ()))
    if twice:
        msg = f"{', '.join(twice)} stands both as a keyword and in coords; give it once"
        raise ParameterError(msg, names=twice)
    return {**variables, **(coords or {})}
