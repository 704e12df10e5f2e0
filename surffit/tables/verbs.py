"""
A fit's answer as tables: broom's three verbs.

`tidy` has a row per parameter, `glance` a row per fit, `augment` a row per data point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from surffit.core.columns import free_name
from surffit.core.significance import half_width, two_sided

__all__ = ["augment", "glance", "tidy"]

TIDY = ["term", "estimate", "std_error", "statistic", "p_value", "at_bound", "linear"]
GLANCE = [
    "ndata", "nvarys", "nfree", "chisqr", "redchi", "aic", "bic", "rsquared", "nfev",
    "success", "status", "reason", "covar_source", "method",
]  # fmt: skip
AUGMENT = ["fitted", "resid", "std_resid"]


def tidy(result: Any, level: float | None = None) -> pd.DataFrame:
    """
    One row per parameter.

    Parameters
    ----------
    result : SurfaceResult or lmfit.model.ModelResult
        A fit.
    level : float, optional
        Confidence level, such as 0.95, for two more columns with the limits of the interval.

    Returns
    -------
    DataFrame, one row per parameter
        ``term``, ``estimate``, ``std_error`` (inf: not determined by the data; nan: held on a bound; 0: fixed),
        ``statistic`` (estimate / std_error), ``p_value`` (two-sided, of the parameter being zero), ``at_bound``,
        ``linear`` and, with `level`, ``lower`` and ``upper``.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1.

    Notes
    -----
    Student's t with ``nfree`` degrees of freedom where the errors were scaled by the data's own scatter
    (``scale_covar=True``), the normal distribution where the data's errors were taken as known.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> x = np.arange(5.0)
    >>> result = sf.get_model("linear").fit(2 * x + np.array([1.1, 0.9, 1.0, 1.1, 0.9]), x=x)
    >>> tidy(result)["term"].tolist()
    ['slope', 'intercept']
    """
    if level is not None and not 0 < level < 1:
        msg = f"level is {level!r}; give the probability of the interval, between 0 and 1 (0.95 for 95 %)"
        raise ValueError(msg)
    params = result.params
    at_bound, linear = (set(findings(result, name)) for name in ("at_bound", "linear"))
    estimate = np.array([par.value for par in params.values()], dtype=float)
    error = np.array([np.nan if par.stderr is None else par.stderr for par in params.values()], dtype=float)
    free = np.array([par.vary or par.expr is not None for par in params.values()], dtype=bool)
    nfree = freedom(result)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(free, estimate / error, np.nan)
        table = {
            "term": list(params),
            "estimate": estimate,
            "std_error": error,
            "statistic": statistic,
            "p_value": two_sided(statistic, nfree),
            "at_bound": [name in at_bound for name in params],
            "linear": [name in linear for name in params],
        }
        if level is not None:
            half = half_width(level, nfree) * error
            table |= {"lower": estimate - half, "upper": estimate + half}
    return pd.DataFrame(table)


def glance(result: Any) -> pd.DataFrame:
    """
    One row for the whole fit.

    Parameters
    ----------
    result : SurfaceResult or lmfit.model.ModelResult
        A fit.

    Returns
    -------
    DataFrame, 1 row
        ``ndata``, ``nvarys``, ``nfree``, ``chisqr``, ``redchi``, ``aic``, ``bic``, ``rsquared``, ``nfev``, ``success``,
        ``status`` (names of the flags), ``reason``, ``covar_source`` and ``method``.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> x = np.arange(5.0)
    >>> row = glance(sf.get_model("linear").fit(2 * x + 1, x=x))
    >>> int(row.loc[0, "nfree"])
    3
    """
    row = {name: getattr(result, name, None) for name in GLANCE}
    row["status"] = "|".join(getattr(row["status"], "names", ()))
    row["reason"] = row["reason"] or ""
    return pd.DataFrame([row], columns=GLANCE)


def augment(result: Any) -> pd.DataFrame:
    """
    One row per data point: the table that was fitted, or data and coordinates, with what the fit says of them.

    Parameters
    ----------
    result : SurfaceResult
        A fit that still has its data (a fit loaded from a file has not).

    Returns
    -------
    DataFrame, one row per data point
        After `fit_table` the table's own columns, else the independent variables and ``data``; then ``fitted``,
        ``resid`` (data - fitted, nan where excluded) and ``std_resid``, the residual in units of its own error
        s_i sqrt(1 - h_i), with s_i the error of the point and h_i its leverage; a column of the same name in the table
        keeps it, and ours gets the suffix ``_fit``.

    Raises
    ------
    ValueError
        If the result has no data.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> x = np.arange(5.0)
    >>> result = sf.get_model("linear").fit(2 * x + np.array([1.1, 0.9, 1.0, 1.1, 0.9]), x=x)
    >>> augment(result).columns.tolist()
    ['x', 'data', 'fitted', 'resid', 'std_resid']
    """
    if hasattr(result, "data_sets"):  # a joint fit: its data sets below each other
        return result.augment()
    observed = getattr(result, "observed", None)
    if observed is None or observed.data is None:
        msg = "this result has no data (it was loaded from a file, which keeps the answer only); augment the fit itself"
        raise ValueError(msg)
    shape = tuple(observed.shape)
    data = np.asarray(observed.data).reshape(shape)
    used = np.broadcast_to(True if observed.used is None else observed.used, shape)
    fitted = _fitted(result, shape)
    resid = np.where(used, data - fitted, np.nan)
    source = getattr(result, "table", None)
    if source is None:
        frame = pd.DataFrame({name: np.broadcast_to(np.asarray(observed.coords[name]), shape).ravel() for name in observed.names})
        frame[free_name("data", frame.columns)] = data.ravel()
        if observed.index is not None and len(observed.index) == len(frame):
            frame.index = observed.index
    else:
        frame = source.copy()
    added = {"fitted": fitted, "resid": resid, "std_resid": _studentised(result, resid, used)}
    return frame.assign(**{free_name(name, frame.columns): np.ravel(values) for name, values in added.items()})


def findings(result: Any, name: str) -> tuple[str, ...]:
    """Parameter names that a result found to be "linear" or "at_bound"; a loaded result has them from its file."""
    conditioning = getattr(result, "conditioning", None)
    return tuple(getattr(conditioning if conditioning is not None else result, name, ()))


def _fitted(result: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Model at every data point, also at the excluded ones, where a result's `best_fit` is nan."""
    fitted = np.asarray(result.best_fit)
    if fitted.shape == shape and np.isfinite(fitted).all():
        return fitted
    everywhere = np.asarray(result.eval())
    return np.broadcast_to(everywhere, shape) if everywhere.shape != shape else everywhere


def _studentised(result: Any, resid: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Residuals over their own errors s_i sqrt(1 - h_i); nan where the fit has no error to offer."""
    # here, because core stands on lmfit, and tables load without it
    from surffit.core.bands import point_error

    scale = point_error(result, resid.shape)
    if result.covar is None or np.iscomplexobj(resid):
        return np.full(resid.shape, np.nan)
    # the band's half width is t * sd(fitted); its ratio to s_i is the square root of the leverage
    level = 0.6827
    band = result.predict(level=level, kind="confidence")
    half = (np.asarray(band["upper"]) - np.asarray(band["lower"])).reshape(resid.shape) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        leverage = np.minimum((half / half_width(level, freedom(result)) / scale) ** 2, 1)
        return np.where(used, resid / (scale * np.sqrt(1 - leverage)), np.nan)


def freedom(result: Any) -> float | None:
    """Degrees of freedom where the scale of the errors was estimated from the data, None where it was known."""
    nfree = getattr(result, "nfree", None)
    return None if nfree is None or not getattr(result, "scale_covar", True) else float(nfree)
