"""How a new data point will scatter about the fitted model: by the errors of the data, or by what the caller says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import DataError

if TYPE_CHECKING:
    from .result import SurfaceResult

__all__ = ["COUNTS", "UNKNOWN", "UNSAID", "given_error", "new_point_error", "row_error", "typical_sigma"]

# how a point scatters where a loss tells it otherwise than by one number: `_scatter` of a result
COUNTS, UNKNOWN = "counts", "unknown"
# `typical_sigma` of a fit whose document does not tell whether its data had errors
UNSAID = "unsaid"


def row_error(result: SurfaceResult) -> float:
    """Standard deviation of a weighted residual: 1 where the errors of the data are known."""
    scatter = result.__dict__.get("_scatter")
    if isinstance(scatter, float):
        return scatter
    return float(np.sqrt(result.redchi)) if result.scale_covar else 1.0


def typical_sigma(result: Any) -> float | str | None:
    """
    The median error of the used data, which stands for that of a new point; errors as they were given, in data units.

    None if the data came without errors; `UNSAID` for a loaded fit whose file is older than this entry.
    """
    observed = getattr(result, "observed", None)
    if hasattr(observed, "parts"):  # a joint fit leaves it to its parts
        return UNSAID
    if observed is None:
        if "_names" in getattr(result, "__dict__", {}):  # a loaded fit knows what its file said
            said: float | str | None = result.__dict__.get("_typical_sigma", UNSAID)
            return said
        weights = getattr(result, "weights", None)  # one of lmfit's own
        if weights is None:
            return None
        with np.errstate(all="ignore"):
            sigma = 1.0 / np.abs(np.asarray(weights))
    elif observed.sigma is None:
        return None
    else:
        sigma = observed.sigma
    used = sigma[np.isfinite(sigma)] if np.ndim(sigma) else np.atleast_1d(sigma)
    return float(np.median(used)) if used.size else np.nan


def new_point_error(result: SurfaceResult, shape: tuple[int, ...], moved: bool) -> np.ndarray | float:
    """Error of one more data point, in data units."""
    if result.__dict__.get("_scatter") == UNKNOWN:
        msg = "the likelihood of this fit doesn't tell how a new point scatters; pass sigma_new="
        raise DataError(msg)
    factor = row_error(result)
    if result.observed is not None and result.observed.sigma is not None and shape == result.observed.sigma.shape and not moved:
        return np.asarray(factor * result.observed.sigma)
    # which error a new point would have is not known: the typical one of the data
    sigma = typical_sigma(result)
    if sigma is None:
        return factor
    if isinstance(sigma, str):
        msg = "the file of this fit doesn't tell which errors its data had; pass sigma_new=, the error of the new point in data units"
        raise DataError(msg)
    return factor * sigma


def given_error(result: SurfaceResult, sigma_new: Any, shape: tuple[int, ...]) -> np.ndarray:
    """
    The caller's error of new points, in data units; see `SurfaceResult.predict` for when it is scaled.

    Parameters
    ----------
    result : SurfaceResult
    sigma_new : array_like
        Not negative; a Quantity is converted to the data's unit.
    shape : tuple of int
        Of the prediction, to which it must broadcast.

    Raises
    ------
    DataError
        If it is no such array.
    """
    unit = result.units.get("data")
    if hasattr(sigma_new, "unit") and hasattr(sigma_new, "to_value"):
        try:
            sigma_new = sigma_new.to_value("" if unit is None else unit)
        except Exception as err:
            of = "which had no unit" if unit is None else f"in {unit}"
            msg = f"sigma_new is in {sigma_new.unit}, which is not convertible to that of the data, {of}"
            raise DataError(msg) from err
    try:
        error = np.asarray(sigma_new)
        error = error.astype(float, casting="same_kind" if error.dtype.kind == "c" else "unsafe")
    except (TypeError, ValueError) as err:
        msg = f"sigma_new={str(sigma_new)[:60]!r} is no real number or array of them"
        raise DataError(msg) from err
    if not (error >= 0).all():
        wrong = error[~(error >= 0)].reshape(-1)[0]
        msg = f"sigma_new holds {wrong}; the error of a new point is a number from 0 on"
        raise DataError(msg)
    try:
        np.broadcast_to(error, shape)
    except ValueError as err:
        msg = f"sigma_new has the shape {error.shape}, the prediction {shape}; give one error for all points or one for each"
        raise DataError(msg) from err
    # a fit without errors found the scatter in data units itself; errors that the fit scales are scaled for new points too
    scaled = isinstance(typical_sigma(result), float) and result.__dict__.get("_scatter") not in (COUNTS, UNKNOWN)
    return error * row_error(result) if scaled else error
