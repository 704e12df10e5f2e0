"""What a picture needs of a result: plain float arrays, labels and the excluded points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from surffit.exceptions import DataError

__all__ = ["ABOVE", "BELOW", "View", "evaluate", "make_view"]

# The ends of the diverging colour map: data above the model, data below it.
ABOVE, BELOW = "#b2182b", "#2166ac"

# How complex numbers become real ones, with the sign that a label carries.
_PARTS = {"abs": "|{}|", "real": "Re({})", "imag": "Im({})", "angle": "arg({})"}

# What a user's function raises when it can't be evaluated away from its own data (it closes over an array of
# the data's length, or it looks its coordinates up). A picture does without the finer curve then.
_CANNOT_EVALUATE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NotImplementedError)


@dataclass(frozen=True, eq=False)
class View:
    """
    One fit as real arrays, ready to be drawn.

    All arrays have the shape of the data. Non-finite numbers are nan.

    Attributes
    ----------
    names : tuple of str
        Array-like independent variables, in the order of the model.
    coords : tuple of ndarray
        Their values, broadcast to the shape of the data.
    data, model : ndarray
        Observed and fitted values.
    residual : ndarray
        ``data - model`` [data unit].
    sigma : ndarray or None
        Error of the data, nan where there is none.
    used : ndarray of bool
        False at points that were excluded from the fit.
    labels : tuple of str
        One axis label per coordinate, with its unit.
    data_label, unit, title : str
        Label of the data with its unit, the bare unit (may be empty), name of the model.
    part : str or None
        The part of complex data that is shown, None for real data.
    """

    names: tuple[str, ...]
    coords: tuple[np.ndarray, ...]
    data: np.ndarray
    model: np.ndarray
    residual: np.ndarray
    sigma: np.ndarray | None
    used: np.ndarray
    labels: tuple[str, ...]
    data_label: str
    unit: str
    title: str
    part: str | None

    @property
    def shown(self) -> np.ndarray:
        """Points of the fit that can be drawn: used and finite, shape of the data."""
        return self.used & np.isfinite(self.data)

    def scaled_residual(self) -> tuple[np.ndarray, str]:
        """
        Residual in units of the data's error if that is known, else in data units.

        Returns
        -------
        ndarray, shape of the data
            nan at excluded points.
        str
            Its label.
        """
        residual = np.where(self.used, self.residual, np.nan)
        if self.sigma is None:
            return residual, with_unit("data − model", self.unit)
        with np.errstate(all="ignore"):
            return finite(residual / self.sigma), "(data − model) / σ"


def make_view(result: Any, *, parse_complex: str = "abs", yerr: Any = None, title: str | None = None) -> View:
    """
    Collect from a result what its pictures show.

    Parameters
    ----------
    result : SurfaceResult
        A fit; only read.
    parse_complex : {"abs", "real", "imag", "angle"}
        What is shown of complex data.
    yerr : array_like, optional
        Error of the data in place of the fit's own, broadcastable to the data [data unit].
    title : str, optional
        In place of the model's name.

    Returns
    -------
    View

    Raises
    ------
    ValueError
        If `parse_complex` is unknown or `yerr` does not fit the data's shape.
    DataError
        If the result holds no data.
    """
    if parse_complex not in _PARTS:
        msg = f"parse_complex is {parse_complex!r}; give one of {', '.join(map(repr, _PARTS))}"
        raise ValueError(msg)
    if hasattr(result, "data_sets"):
        result.plot()  # several data sets have no one picture: says what to call
    observed = getattr(result, "observed", None)
    if observed is None:
        msg = "this result holds no data (it comes from a document), so there is nothing to draw; fit again to plot"
        raise DataError(msg)
    shape = tuple(observed.shape)
    used = np.ones(shape, dtype=bool) if observed.used is None else np.broadcast_to(observed.used, shape)
    data = _observed(observed, used)
    model = _spread(_bare(result.best_fit), shape)
    if not used.all():
        model = _with_excluded(result, model, used)
    sigma = _error(observed.sigma if yerr is None else yerr, shape, "sigma" if yerr is None else "yerr")
    part = parse_complex if np.iscomplexobj(data) or np.iscomplexobj(model) else None
    if part is not None:
        sigma = _part_error(data, sigma, part)
        data, model = _part(data, part), _part(model, part)
    sigma = None if sigma is None else _usable_error(sigma, used)
    data, model = finite(data), finite(model)
    residual = data - model
    if part == "angle":  # the nearest way round the circle
        residual = (residual + np.pi) % (2 * np.pi) - np.pi
    names = _axes_of(observed, data.size)
    coords = tuple(np.broadcast_to(np.asarray(observed.coords[name], dtype=np.float64), shape) for name in names)
    units = getattr(observed, "units", None) or getattr(result, "units", None)
    columns = getattr(result, "table_names", None) or {}
    unit = "rad" if part == "angle" else _unit(units, "data")
    quantity = plain(str(columns.get("data", "data")))
    quantity = quantity if part is None else _PARTS[part].format(quantity)
    return View(
        names=names,
        coords=coords,
        data=data,
        model=model,
        residual=residual,
        sigma=sigma,
        used=used,
        labels=tuple(with_unit(plain(str(columns.get(name, name))), _unit(units, name)) for name in names),
        data_label=with_unit(quantity, unit),
        unit=unit,
        title=shorten(plain(str(result.model.name))) if title is None else title,
        part=part,
    )


def evaluate(result: Any, coords: Mapping[str, np.ndarray], *, params: Any = None, part: str | None = None) -> np.ndarray | None:
    """
    Evaluate the model at new coordinates for a picture.

    Parameters
    ----------
    result : SurfaceResult
        A fit.
    coords : mapping of str to ndarray
        New coordinates, all of one shape.
    params : Parameters, optional
        In place of the fitted ones.
    part : {"abs", "real", "imag", "angle", None}
        What is shown of complex values.

    Returns
    -------
    ndarray or None
        Values of the coordinates' shape, nan where not finite; None if the function can't be evaluated there.
    """
    shape = np.broadcast_shapes(*(np.shape(value) for value in coords.values()))
    keywords = dict(coords) if params is None else {**coords, "params": params}
    try:
        with np.errstate(all="ignore"):
            values = _bare(result.eval(**keywords))
        values = _spread(values, shape)
    except _CANNOT_EVALUATE:
        return None
    return finite(values if part is None else _part(values, part))


def finite(values: Any) -> np.ndarray:
    """Float copy of `values` (same shape) with nan in place of everything that isn't finite."""
    values = np.array(values, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def with_unit(label: str, unit: str) -> str:
    """``label [unit]``, or the label alone if there is no unit."""
    return f"{label} [{unit}]" if unit else label


def plain(text: str) -> str:
    """Text in which a dollar sign doesn't start a formula."""
    return text.replace("$", r"\$")


def shorten(text: str, length: int = 72) -> str:
    """Text of at most `length` characters: the names of long composite models end in an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _spread(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values in the given shape: broadcast (a constant model gives one number), or raveled ones folded back."""
    if values.size == np.prod(shape) and values.shape != shape:
        return values.reshape(shape)
    return np.broadcast_to(values, shape)


def _axes_of(observed: Any, size: int) -> tuple[str, ...]:
    """Variables that can be axes: real numbers that belong to the points one by one; a single number for all points is a setting."""
    names = tuple(observed.names) if getattr(observed, "elementwise", True) else ()
    if any(np.iscomplexobj(observed.coords[name]) for name in names):
        return ()
    return tuple(name for name in names if size == 1 or np.size(observed.coords[name]) > 1)


def _bare(values: Any) -> np.ndarray:
    """The numbers of a container: NDData keeps them in an attribute, masked arrays hide some, the others are arrays."""
    if hasattr(values, "uncertainty"):
        values = values.data
    return np.ma.filled(values, np.nan) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)


def _observed(observed: Any, used: np.ndarray) -> np.ndarray:
    """The data as they came in, excluded points too; nan where a masked array or NDData hides what lies under its mask."""
    opened = getattr(observed, "opened", None)
    if opened is None:
        return np.asarray(observed.data).reshape(used.shape)
    hidden = False if opened.mask is None else opened.mask
    return np.where(hidden, np.nan, opened.values).reshape(used.shape)


def _with_excluded(result: Any, model: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The model at excluded points too, where the result has nan, so that a masked region shows what is expected there."""
    try:
        with np.errstate(all="ignore"):
            everywhere = _spread(_bare(result.eval()), model.shape)
    except _CANNOT_EVALUATE:
        return model
    return np.where(used, model, everywhere)


def _unit(units: Any, name: str) -> str:
    """Unit of a coordinate or of the data as text, empty if there is none."""
    if not units or not isinstance(units, Mapping):
        return ""
    unit = units.get(name)
    return "" if unit is None else plain(str(unit))


def _part(values: np.ndarray, part: str) -> np.ndarray:
    """Real array: modulus, real part, imaginary part or phase [rad] of complex values."""
    if part == "abs":
        return np.abs(values)
    if part == "angle":
        return np.angle(values)
    return np.real(values) if part == "real" else np.imag(values)


def _error(error: Any, shape: tuple[int, ...], name: str) -> np.ndarray | None:
    """Error of the data in its shape, or None."""
    if error is None:
        return None
    error = np.asarray(error)
    try:
        return _spread(error, shape)
    except ValueError as problem:
        msg = f"{name} has shape {error.shape}, which does not broadcast to the data's shape {shape}"
        raise ValueError(msg) from problem


def _part_error(data: np.ndarray, error: np.ndarray | None, part: str) -> np.ndarray | None:
    """Error of one part of complex data by first-order propagation; a real error holds for both real and imaginary part."""
    if error is None:
        return None
    re, im = (error.real, error.imag) if np.iscomplexobj(error) else (error, error)
    if part in ("real", "imag"):
        return re if part == "real" else im
    size = np.abs(data)
    with np.errstate(all="ignore"):
        if part == "abs":
            return np.where(size > 0, np.hypot(data.real * re, data.imag * im) / size, np.hypot(re, im))
        return np.where(size > 0, np.minimum(np.hypot(data.imag * re, data.real * im) / size**2, np.pi), np.pi)


def _usable_error(error: np.ndarray, used: np.ndarray) -> np.ndarray | None:
    """Positive finite errors, nan elsewhere; None if no used point has one."""
    error = finite(np.real(error))
    error[~(error > 0)] = np.nan
    return error if np.isfinite(error[used]).any() else None
