"""
A batch as tables: one row per data set, per parameter of each, per data point.

The columns are those of `surffit.tables`; here they are made for all data sets at once. The maps' axes, or other keys, come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.columns import free_name
from ...core.significance import half_width, two_sided
from ...exceptions import DataError
from ...solve.status import Status
from .fitted import params_of, points_of, rows_with_fit

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..data.cube import Rows
    from ..data.slabs import Block
    from .result import BatchResult

__all__ = ["augment", "glance", "leverage", "status_names", "tidy", "to_frame"]

# relative to the largest: singular directions of the scaled columns that carry no leverage
LOST = 1e-12


def to_frame(batch: BatchResult) -> DataFrame:
    """See `BatchResult.to_frame`."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in batch.param_names:
        value, error = batch._numbers(name)
        columns[free_name(name, columns)] = value
        columns[free_name(f"{name}_stderr", columns)] = error
    maps = batch.maps
    fields = {"chisqr": maps.chisqr, "redchi": batch._redchi(), "nobs": maps.nobs, "nfree": maps.nfree, "nfev": maps.nfev}
    for name, numbers in {**fields, "status": maps.status, "success": batch._success()}.items():
        columns[free_name(name, columns)] = numbers
    keys = batch.labels.columns()
    if len(keys) > 1:
        index: Any = pd.MultiIndex.from_product([batch.labels.values(dim) for dim in keys], names=list(keys))
    else:
        index = pd.Index(next(iter(keys.values())), name=next(iter(keys))) if keys else None
    return pd.DataFrame(columns, index=index)


def tidy(batch: BatchResult, level: float | None = None, keys: Mapping[str, Any] | None = None) -> DataFrame:
    """See `BatchResult.tidy`; `keys` are columns with one entry per data set."""
    import pandas as pd

    if level is not None and not 0 < level < 1:
        msg = f"level is {level!r}; give the probability of the interval, between 0 and 1 (0.95 for 95 %)"
        raise DataError(msg)
    task, names, n = batch.task, batch.param_names, batch.size
    nfree = batch.maps.nfree if task.options.scale_covar else None
    numbers = [batch._numbers(name) for name in names]
    estimate, error = (np.stack([one[k] for one in numbers], axis=1) for k in (0, 1))
    fixed = np.array([name in task.known for name in names])
    with np.errstate(all="ignore"):
        statistic = np.where(fixed, np.nan, estimate / error)
    bound = ((batch.maps.status & np.uint32(Status.AT_BOUND)) != 0) & np.isfinite(estimate.T) & np.isnan(error.T)
    held = np.array([name in task.free for name in names])[:, None] & bound
    each = np.tile(np.arange(len(names)), n)
    table: dict[str, Any] = _repeated(batch, keys, len(names))
    columns: dict[str, Any] = {
        "term": _texts(names, each),
        "estimate": estimate.reshape(-1),
        "std_error": error.reshape(-1),
        "statistic": statistic.reshape(-1),
        "p_value": two_sided(statistic, None if nfree is None else nfree[:, None]).reshape(-1),
        "at_bound": held.T.reshape(-1),
        "linear": np.array([name in task.linear for name in names])[each],
    }
    if level is not None:
        width = half_width(level, nfree)
        half = error * (width[:, None] if nfree is not None else width)
        columns |= {"lower": (estimate - half).reshape(-1), "upper": (estimate + half).reshape(-1)}
    return pd.DataFrame(_beside(table, columns), copy=False)


def glance(batch: BatchResult, keys: Mapping[str, Any] | None = None) -> DataFrame:
    """See `BatchResult.glance`; `keys` are columns with one entry per data set."""
    import pandas as pd

    maps, nvary = batch.maps, len(batch.task.free)
    n = maps.nobs.astype(float)
    with np.errstate(all="ignore"):
        likelihood = n * np.log(np.maximum(maps.chisqr, 1e-250 * n) / n)
        criteria = {"aic": likelihood + 2 * nvary, "bic": likelihood + np.log(n) * nvary}
    columns = {
        "nobs": maps.nobs,
        "nvary": np.full(batch.size, nvary),
        "nfree": maps.nfree,
        "chisqr": maps.chisqr,
        "redchi": batch._redchi(),
        **criteria,
        "nfev": maps.nfev,
        "success": batch._success(),
        "status": status_names(maps.status),
    }
    return pd.DataFrame(_beside(_repeated(batch, keys, 1), columns), copy=False)


def augment(batch: BatchResult) -> DataFrame:
    """See `BatchResult.augment`."""
    import pandas as pd

    source: Any = batch.source("augment()")
    n, D = batch.size, source.longest
    table = _repeated(batch, None, D)
    found = {name: np.empty((n, D)) for name in ("data", "fitted", "resid", "std_resid")}
    coords = [np.empty((n, D)) for _ in batch.task.coordinates]
    for block, rows, fitted in rows_with_fit(batch, "augment()"):
        cut = slice(block.start, block.stop)
        place: Any = (*block.index, ...)
        for out, x in zip(coords, points_of(rows, block.size), strict=True):
            out[cut] = x
        w, y = rows.w.reshape(fitted.shape), rows.y.reshape(fitted.shape)
        found["data"][cut] = source.y[place].reshape(fitted.shape)
        found["fitted"][cut] = fitted
        found["resid"][cut] = np.where(w != 0, y - fitted, np.nan)
        found["std_resid"][cut] = _studentised(batch, block, rows, found["resid"][cut] * w)
    columns = {**dict(zip(batch.task.coordinates, coords, strict=True)), **found}
    columns = {name: array.reshape(-1) for name, array in columns.items()}
    columns["status"] = status_names(np.repeat(batch.maps.status, D))
    return pd.DataFrame(_beside(table, columns), copy=False)


def _studentised(batch: BatchResult, block: Block, rows: Rows, weighted: np.ndarray) -> np.ndarray:
    """Weighted residuals (n, points) over their own errors; nan where a fit has no errors."""
    cut = slice(block.start, block.stop)
    with np.errstate(all="ignore"):
        variance = 1.0 - leverage(batch, block, rows)
        if batch.task.options.scale_covar:
            variance = variance * batch._redchi()[cut, None]
        out = weighted / np.sqrt(np.maximum(variance, 0.0))
    out[np.isnan(batch.maps.stderr[:, cut]).all(axis=0)] = np.nan
    out[np.isinf(out)] = np.nan
    return out


def leverage(batch: BatchResult, block: Block, rows: Rows) -> np.ndarray:
    """How much each point draws its own fit: the diagonal of the hat matrix, (n, points); parameters on a bound stay where they are."""
    cut = slice(block.start, block.stop)
    errors = batch.maps.stderr[:, cut]
    _, J = batch.evaluator.gradient(params_of(batch, block), points_of(rows, block.size), dict(zip(batch.task.free, errors, strict=True)))
    with np.errstate(all="ignore"):
        A = np.where(np.isnan(errors)[:, :, None], 0.0, J * rows.w.reshape(J.shape[1:]))
        A = np.moveaxis(np.where(np.isfinite(A), A, 0.0), 0, 2)
        size = np.sqrt((A * A).sum(axis=1, keepdims=True))
        A = np.where(size > 0, A / np.where(size > 0, size, 1.0), 0.0)
        inverse = np.linalg.pinv(A.transpose(0, 2, 1) @ A, rcond=LOST, hermitian=True)
        return np.minimum(((A @ inverse) * A).sum(axis=2), 1.0)


def status_names(status: np.ndarray) -> Any:
    """Names of the flags, joined by "|", for a column."""
    values, codes = np.unique(status, return_inverse=True)
    return _texts(["|".join(Status(int(value)).names) for value in values], codes)


def _texts(texts: Any, codes: np.ndarray) -> Any:
    """A column of few texts; made from their numbers, since a million of them would take a second."""
    import pandas as pd

    return pd.Series(list(texts), dtype="str" if len(texts) else object).array.take(codes)


def _repeated(batch: BatchResult, keys: Mapping[str, Any] | None, times: int) -> dict[str, Any]:
    keys = batch.labels.columns() if keys is None else keys
    return {name: np.repeat(np.asarray(values), times) for name, values in keys.items()}


def _beside(table: dict[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Our columns after the keys; a name that a key has gets a suffix."""
    for name, values in columns.items():
        table[free_name(name, table)] = values
    return table
