"""Bands: how sure the fitted model is at given coordinates, and where a new point will lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import DataError
from . import significance
from .containers import is_series
from .new_points import COUNTS, UNKNOWN, UNSAID, given_error, new_point_error, row_error, typical_sigma
from .predict import coordinates, gradient, standard_error, with_band

if TYPE_CHECKING:
    from .result import SurfaceResult

__all__ = ["COUNTS", "UNKNOWN", "coordinates", "half_width", "new_point_error", "point_error", "predict", "row_error", "uncertainty"]


def half_width(result: SurfaceResult, probability: float) -> float:
    """Standard errors on each side that hold a probability: Student's t with scaled errors, else normal."""
    return float(significance.half_width(probability, result.nfree if result.scale_covar else None))


def uncertainty(result: SurfaceResult, params: Any, sigma: float, coords: dict[str, Any]) -> np.ndarray:
    """lmfit's `eval_uncertainty`: sets `dely`, `dely_comps` and `dely_predicted` of the result and returns the first."""
    from scipy.special import erf

    with_band(result, coords)
    times = half_width(result, sigma if sigma < 1 else float(erf(sigma / np.sqrt(2))))
    sd = standard_error(result, gradient(result, coords, params=params)[1])
    result.dely = times * sd
    result.dely_comps = {}
    if len(result.model.components) > 1:
        for part in result.model.components:
            label = part.prefix if len(part.prefix) > 1 else part._name
            result.dely_comps[label] = times * standard_error(result, gradient(result, coords, part, params)[1])
    scatter = result.__dict__.get("_scatter")
    if scatter == COUNTS:
        new: np.ndarray | float = np.sqrt(np.maximum(np.asarray(result.eval(params=params, **coords)), 0.0))
    else:
        # lmfit's attribute has no place for a sentence: what is not known is nan
        silent = scatter == UNKNOWN or typical_sigma(result) is UNSAID
        new = np.nan if silent else new_point_error(result, np.shape(sd), bool(coords))
    result.dely_predicted = times * _with_scatter(sd, new)
    return result.dely


def _with_scatter(sd: np.ndarray, new: np.ndarray | float) -> np.ndarray:
    """The error of the model and that of a new point together, real and imaginary part apart."""
    if np.iscomplexobj(sd):
        return np.asarray(np.hypot(sd.real, new) + 1j * np.hypot(sd.imag, new))
    return np.asarray(np.hypot(sd, new))


def point_error(result: SurfaceResult, shape: tuple[int, ...]) -> np.ndarray:
    """Errors of the fitted points themselves, in data units; nan where the likelihood doesn't tell."""
    scatter = result.__dict__.get("_scatter")
    if scatter == COUNTS:
        return np.sqrt(np.broadcast_to(np.asarray(result.eval()), shape))
    sigma = 1.0 if result.observed.sigma is None else np.asarray(result.observed.sigma)
    return np.broadcast_to(np.nan if scatter == UNKNOWN else sigma * row_error(result), shape)


def predict(result: SurfaceResult, level: float, kind: str, sigma_new: Any, coords: dict[str, Any]) -> Any:
    """The fitted model with its band; see `SurfaceResult.predict`."""
    if not 0 < level < 1:
        msg = f"level = {level!r} is outside 0 to 1; for 95 % pass level=0.95"
        raise DataError(msg)
    if kind not in ("confidence", "prediction"):
        msg = f'kind={kind!r}; use "confidence" (where the model lies) or "prediction" (where a new point will)'
        raise DataError(msg)
    if sigma_new is not None and kind == "confidence":
        msg = 'sigma_new is the error of new points, which a confidence band leaves out; pass kind="prediction", or no sigma_new'
        raise DataError(msg)
    with_band(result, coords)
    unknown = [name for name in coords if name not in result.model.independent_vars]
    if unknown:
        msg = f"predict() got {', '.join(unknown)}; the coordinates of {result.model.name} are {', '.join(result.model.independent_vars)}"
        raise DataError(msg)
    value, J = gradient(result, coords)
    sd = standard_error(result, J)
    fitted = result.observed is not None and not coords
    shape = np.broadcast_shapes(result.observed.shape if fitted else value.shape, sd.shape)
    if kind == "prediction":
        counts = result.__dict__.get("_scatter") == COUNTS
        new: np.ndarray | float
        if sigma_new is not None:
            new = given_error(result, sigma_new, shape)
        else:
            new = np.sqrt(np.maximum(value, 0.0)) if counts else new_point_error(result, sd.shape, bool(coords))
        sd = _with_scatter(sd, new)
    times = half_width(result, level)
    columns = {"fit": value, "lower": value - times * sd, "upper": value + times * sd}
    columns = {name: np.array(np.broadcast_to(column, shape)) for name, column in columns.items()}
    unit = result.units.get("data")
    if unit is not None:
        return {name: column * unit for name, column in columns.items()}
    if columns["fit"].ndim != 1:
        return columns
    import pandas as pd

    index = result.observed.index if fitted else None
    for given in coords.values():
        index = given.index if is_series(given) and len(given) == len(columns["fit"]) else index
    return pd.DataFrame(columns, index=index)
