"""The one door: everything a user can hand in becomes `FitData`, checked once and never again.

What leaves here is native float64 or complex128, of one shape, with the excluded points marked; what came in is never
changed. Every fault is one sentence with the numbers in it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..exceptions import DataError, DataWarning, ShapeError
from .containers import Opened, align, finite_or_raise, is_array_like, numbers, open_container, users_line
from .meshgrid import repeated, trimmed

NAN_POLICIES = ("raise", "omit")


@dataclass(frozen=True, eq=False)
class FitData:
    """
    Data of one fit, checked.

    Attributes
    ----------
    data : ndarray
        float64 or complex128; excluded points hold 0.
    coords : dict
        Every independent variable: arrays float64 that broadcast to `shape` (if `elementwise`), or any other object.
    weights : ndarray or None
        1/sigma, shape of the data; 0 where excluded.
    used : ndarray of bool or None
        None if every point is used.
    names : tuple of str
        Independent variables that are arrays.
    elementwise : bool
        Whether the coordinates broadcast to the data's shape; otherwise they are opaque to everything but the model.
    opened : Opened
        The data's container.
    units : dict
        astropy units by name of coordinate; "data" for the data's.
    notes : list of str
        What was done on the way that a user wants to know.
    masked, omitted : int
        How many points a mask (or weight 0) excluded, and how many non-finite ones nan_policy="omit" did.
    epochs : dict
        First instant (None for durations) of coordinates that came as times and are seconds now.
    """

    data: np.ndarray
    coords: dict[str, Any]
    weights: np.ndarray | None
    used: np.ndarray | None
    names: tuple[str, ...]
    elementwise: bool
    opened: Opened
    units: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    masked: int = 0
    omitted: int = 0
    epochs: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def size(self) -> int:
        """Number of all points."""
        return self.data.size

    @property
    def n_used(self) -> int:
        """Number of usable points."""
        return self.data.size if self.used is None else int(np.count_nonzero(self.used))

    @property
    def index(self) -> Any:
        """pandas Index of the data, or None."""
        return self.opened.index if hasattr(self.opened.index, "equals") else None

    @property
    def sigma(self) -> np.ndarray | None:
        """Data errors 1/weights, inf where excluded; None without weights."""
        if self.weights is None:
            return None
        with np.errstate(divide="ignore"):
            return 1.0 / np.abs(self.weights)

    def select(self, array: Any) -> np.ndarray:
        """The used points of an array that broadcasts to the data's shape, 1-D."""
        whole = np.broadcast_to(array, self.shape)
        return whole.reshape(-1) if self.used is None else whole[self.used]

    def values(self, name: str) -> np.ndarray:
        """All values that a coordinate has at used points, each at least once, 1-D: on a grid as few as its lines have."""
        array = np.asarray(self.coords[name])
        short = trimmed(array)
        if self.used is None:
            return short.reshape(-1)
        if short.size == array.size or array.shape != self.shape:
            return self.select(array)
        gone = tuple(i for i in range(array.ndim) if short.shape[i] != array.shape[i])
        return short[self.used.any(axis=gone, keepdims=True)]

    def expand(self, values: np.ndarray) -> np.ndarray:
        """Values of the used points back in the data's shape, nan where excluded."""
        if self.used is None:
            return values.reshape(self.shape)
        out = np.full(self.shape, np.nan, dtype=values.dtype)
        out[self.used] = values
        return out


def open_door(
    data: Any,
    coords: Mapping[str, Any],
    *,
    weights: Any = None,
    sigma: Any = None,
    var: Any = None,
    ivar: Any = None,
    mask: Any = None,
    nan_policy: str = "raise",
    coerce: bool = True,
) -> FitData:
    """
    Check everything a user handed in for one fit.

    Parameters
    ----------
    data : array_like
        ndarray, masked array, list, pandas Series, xarray DataArray, astropy Quantity, NDData or CCDData.
    coords : mapping
        Independent variables by name; numbers, arrays that broadcast to the data's shape, or any other object.
    weights, sigma, var, ivar : array_like, optional
        Data errors as 1/sigma, sigma, sigma**2 or 1/sigma**2; at most one. Shape of the data, or a scalar.
    mask : array_like of bool, optional
        True = excluded; shape of the data.
    nan_policy : {"raise", "omit"}
        What to do with non-finite data and coordinates.
    coerce : bool
        False leaves coordinates as they are, opaque to everything but the model.

    Returns
    -------
    FitData

    Raises
    ------
    DataError
        With the numbers: shapes that don't fit, non-finite values, bad weights, no usable points.
    """
    if nan_policy not in NAN_POLICIES:
        msg = f'nan_policy={nan_policy!r} is not available; use "raise", or "omit" to exclude non-finite points'
        raise DataError(msg)
    opened = open_container(data, "data")
    if opened.values.size == 0:
        msg = f"data is empty (shape {opened.values.shape}); give at least one point per varying parameter"
        raise DataError(msg)
    notes: list[str] = []
    units = {} if opened.unit is None else {"data": opened.unit}
    epochs: dict[str, Any] = {}
    ready = {name: _coordinate(name, value, data, opened, units, notes, epochs) if coerce else value for name, value in coords.items()}
    names = tuple(name for name, value in ready.items() if coerce and isinstance(value, np.ndarray))
    elementwise = _elementwise(opened.values.shape, {name: ready[name] for name in names})
    errors = _weights(data, opened, weights=weights, sigma=sigma, var=var, ivar=ivar)
    used = _usable(data, opened, mask, errors)
    masked = 0 if used is None else int(used.size - np.count_nonzero(used))
    if masked:
        notes.append(f"{masked} of {opened.values.size} points are excluded by mask or zero weight.")
    used, omitted = _finite(opened, ready, names, elementwise, used, nan_policy)
    if omitted:
        notes.append(f"{omitted} of {opened.values.size} points were not finite and are omitted.")
    if used is not None and not used.any():
        why = f"{masked} masked or with weight 0, {omitted} not finite"
        msg = f"there are 0 usable points of {used.size} ({why}); unmask data or give positive weights"
        raise DataError(msg, n_points=0, n_masked=masked, n_omitted=omitted)
    values = opened.values
    if used is not None:
        values = np.where(used, values, 0.0)
        if errors is not None:
            errors = np.where(used, errors, 0.0)
        if used.all():
            used = None
    return FitData(values, ready, errors, used, names, elementwise, opened, units, notes, masked, omitted, epochs)


def _coordinate(name: str, value: Any, data: Any, opened: Opened, units: dict[str, Any], notes: list[str], epochs: dict[str, Any]) -> Any:
    """One independent variable: a float array, or the object itself where it isn't numbers."""
    if not is_array_like(value):
        if isinstance(value, list | tuple):
            _refuse_ragged(name, value)
        return value
    value = align(value, data, name)
    grid = repeated(value, opened.values.shape)
    if grid is not None:
        _warn_coarse(name, trimmed(grid), value.dtype)
        return grid
    if is_time(value):
        seconds, epochs[name] = seconds_since(value)
        since = f" since {epochs[name]}" if epochs[name] is not None else ""
        notes.append(f"{name} holds times; they are used as seconds{since}.")
        return seconds
    inside = open_container(value, name)
    if inside.unit is not None:
        units[name] = inside.unit
    if inside.mask is not None and inside.mask.any():
        if inside.mask.shape != opened.values.shape:
            msg = f"{name} is masked but has shape {inside.mask.shape}, the data {opened.values.shape}; put the mask on the data"
            raise ShapeError(msg)
        return np.where(inside.mask, np.nan, inside.values)
    array = inside.values
    if array.size > 1 and not np.iscomplexobj(array):
        _warn_coarse(name, array, inside.dtype)
    return array


def _refuse_ragged(name: str, value: list[Any] | tuple[Any, ...]) -> None:
    """A list of number lists of unequal length is a mistake, not an option."""
    if value and all(isinstance(row, list | tuple) and is_array_like(row) for row in value):
        lengths = ", ".join(str(len(row)) for row in value[:4])
        msg = f"{name} is a list of rows of unequal length ({lengths}, ...); coordinates need a rectangular array"
        raise DataError(msg, argument=name)


def is_time(value: Any) -> bool:
    """Whether an array-like holds dates or durations."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return (kind or np.asarray(value).dtype.kind) in "mM"


def seconds_since(value: Any, first: Any = None) -> tuple[np.ndarray, Any]:
    """Dates and durations as float seconds since `first` (default: the first date), and that instant (None for durations)."""
    dates = getattr(getattr(value, "dtype", None), "kind", "") == "M"
    array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    if array.dtype.kind not in "mM":  # time zones come as objects
        array = np.array(value, dtype="datetime64[ns]" if dates else "timedelta64[ns]")
    if array.dtype.kind == "m":
        return np.asarray(array / np.timedelta64(1, "s"), dtype=float), None
    if first is None:
        there = array[~np.isnat(array)]
        if not there.size:
            return np.full(array.shape, np.nan), None
        first = there.reshape(-1)[0]
    return np.asarray((array - first) / np.timedelta64(1, "s"), dtype=float), first


def _warn_coarse(name: str, array: np.ndarray, dtype: np.dtype) -> None:
    """Warn when the resolution of the number type is coarse against the range that the coordinate spans."""
    if dtype.kind != "f" or dtype.itemsize == 8:
        ends = array.flat
        first, last = float(ends[0]), float(ends[-1])
        if abs(first) < 1e6 * abs(last - first):
            return  # the common case, told from two values
    finite = array[np.isfinite(array)] if not np.isfinite(array.sum()) else array
    if not finite.size:
        return
    eps = float(np.finfo(dtype).eps) if dtype.kind == "f" else float(np.finfo(float).eps)
    low, high = float(finite.min()), float(finite.max())
    span, largest = high - low, max(abs(low), abs(high))
    if span > 0 and eps * largest > 1e-9 * span and largest > 10 * span:
        digits = max(0.0, -np.log10(eps * largest / span))
        msg = (
            f"{name} runs from {low:.10g} to {high:.10g}: its offset leaves about {digits:.0f} digits of {np.dtype(dtype).name} "
            f"for the differences; subtract a reference value, in float64"
        )
        warnings.warn(DataWarning(msg, argument=name, digits=digits), stacklevel=users_line())


def _elementwise(shape: tuple[int, ...], coords: dict[str, np.ndarray]) -> bool:
    """Whether the coordinates broadcast to the data's shape."""
    if not coords:
        return False
    if all(array.shape == shape for array in coords.values()):
        return True
    try:
        return np.broadcast_shapes(shape, *(array.shape for array in coords.values())) == shape
    except ValueError:
        return False


def shape_mismatch(shape: tuple[int, ...], coords: Mapping[str, Any], names: Sequence[str], out: tuple[int, ...]) -> ShapeError:
    """The sentence for data that the model's values don't fit."""
    shapes = {name: np.shape(coords[name]) for name in names}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        each = ", ".join(f"{name} {s}" for name, s in shapes.items())
        msg = f"data has shape {shape}, but the coordinates do not broadcast together: {each}; give arrays of the data's shape"
        return ShapeError(msg, data_shape=shape, coordinate_shapes=shapes)
    listed = " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + f" and {names[-1]}"
    msg = f"data has shape {shape} but {listed or 'the model'} broadcast{'s' if len(names) == 1 else ''} to {out}; give data of shape {out}"
    return ShapeError(msg, data_shape=shape, model_shape=out)


def _aligned_array(value: Any, data: Any, opened: Opened, what: str) -> np.ndarray:
    value = align(value, data, what)
    if hasattr(value, "unit") and hasattr(value, "to_value"):
        unit = value.unit
        target = opened.unit
        if target is None:
            if not getattr(unit, "is_equivalent", lambda _: False)(""):
                msg = f"{what} is in {unit} but the data have no unit; give both or neither"
                raise DataError(msg)
            value = value.to_value("")
        else:
            power = {"sigma": target, "weights": 1 / target, "var": target**2, "ivar": 1 / target**2}[what]
            if not unit.is_equivalent(power):
                msg = f"{what} is in {unit}, which is not convertible to {power}"
                raise DataError(msg)
            value = value.to_value(power)
    if isinstance(value, np.ma.MaskedArray):
        value = value.filled(0.0) if what in ("weights", "ivar") else value.filled(np.inf)
    array = numbers(value.to_numpy() if hasattr(value, "to_numpy") else value, what)
    if array.ndim and array.shape != opened.values.shape:
        msg = f"{what} has shape {array.shape}, the data {opened.values.shape}; give one value per data point, or a single number"
        raise ShapeError(msg, argument=what)
    return np.broadcast_to(array, opened.values.shape)


def _weights(data: Any, opened: Opened, **given: Any) -> np.ndarray | None:
    """1/sigma from whichever of the four was given."""
    present = [name for name, value in given.items() if value is not None]
    if len(present) > 1:
        msg = f"{' and '.join(present)} were both given; the data error needs one of weights (1/sigma), sigma, var, ivar"
        raise DataError(msg, given=present)
    if not present:
        if opened.sigma is None:
            return None
        what, array = "sigma", np.broadcast_to(opened.sigma, opened.values.shape)
    else:
        what = present[0]
        array = _aligned_array(given[what], data, opened, what)
    if opened.mask is None and not np.iscomplexobj(array) and array.size and (plain := _plain_weights(what, array)) is not None:
        return plain
    outside = np.zeros(array.shape, dtype=bool) if opened.mask is None else opened.mask
    if np.iscomplexobj(array) and not np.iscomplexobj(opened.values):
        msg = f"{what} is complex but the data are real"
        raise DataError(msg)
    bad = np.isnan(array) & ~outside
    if bad.any():
        first = [int(i) for i in np.argwhere(bad)[0]]
        n = int(bad.sum())
        msg = f"{what} is NaN at {n} point{'s' if n > 1 else ''}, {first}; a weight of 0 excludes a point, NaN does not"
        raise DataError(msg, argument=what, count=n, first=tuple(first))
    parts = np.stack([array.real, array.imag], axis=-1) if np.iscomplexobj(array) else array
    negative: np.ndarray = parts < 0 if what in ("weights", "ivar") else parts <= 0
    if np.iscomplexobj(array):
        negative = np.asarray(negative.any(axis=-1))
    negative = np.asarray(negative & ~outside)
    if negative.any():
        first = [int(i) for i in np.argwhere(negative)[0]]
        n = int(negative.sum())
        rule = "must not be negative" if what in ("weights", "ivar") else "must be positive (inf excludes a point)"
        msg = f"{what} {rule}; {n} value{'s are' if n > 1 else ' is'} not, the first at {first}: {array[tuple(first)]}"
        raise DataError(msg, argument=what, count=n, first=tuple(first))
    with np.errstate(all="ignore"):
        if what == "weights":
            out = np.array(array)
        elif what == "sigma":
            out = 1.0 / array if not np.iscomplexobj(array) else 1.0 / array.real + 1j / array.imag
        elif what == "var":
            out = 1.0 / np.sqrt(array) if not np.iscomplexobj(array) else 1.0 / np.sqrt(array.real) + 1j / np.sqrt(array.imag)
        else:
            out = np.sqrt(array) if not np.iscomplexobj(array) else np.sqrt(array.real) + 1j * np.sqrt(array.imag)
    infinite = ~np.isfinite(out) & ~outside
    if infinite.any():
        first = [int(i) for i in np.argwhere(infinite)[0]]
        msg = f"{what} gives an infinite weight at {int(infinite.sum())} point(s), the first at {first}; every error must be above zero"
        raise DataError(msg, argument=what, first=tuple(first))
    return np.where(outside, 0.0, out)


def _plain_weights(what: str, array: np.ndarray) -> np.ndarray | None:
    """1/sigma where every error is an ordinary positive number, which two passes tell; else None."""
    few = trimmed(array)
    low, high = float(few.min()), float(few.max())
    if not 1e-150 < low <= high < 1e150:
        return None
    out = few if what == "weights" else np.sqrt(few) if what == "ivar" else 1.0 / (few if what == "sigma" else np.sqrt(few))
    return np.broadcast_to(out, array.shape)


def _usable(data: Any, opened: Opened, mask: Any, weights: np.ndarray | None) -> np.ndarray | None:
    """Points that neither a mask nor a zero weight excludes; None if all."""
    excluded = None if opened.mask is None else np.array(opened.mask)
    if mask is not None:
        mask = align(mask, data, "mask")
        array = np.asarray(mask.to_numpy() if hasattr(mask, "to_numpy") else mask)
        if array.dtype.kind in "iu" and np.isin(array, (0, 1)).all():
            array = array.astype(bool)
        if array.dtype != bool:
            msg = f"mask has dtype {array.dtype}; it must be boolean, True where a point is excluded"
            raise DataError(msg)
        if array.shape != opened.values.shape:
            msg = f"mask has shape {array.shape}, the data {opened.values.shape}; give one flag per data point"
            raise ShapeError(msg)
        excluded = array if excluded is None else excluded | array
    if weights is not None:
        few = trimmed(weights)
        zero = weights == 0 if np.iscomplexobj(weights) or not few.min(initial=1.0) > 0 else None
        if zero is not None and zero.any():
            excluded = zero if excluded is None else excluded | zero
    return None if excluded is None or not excluded.any() else ~excluded


def _all_finite(array: np.ndarray) -> bool:
    """Whether every value is finite; by a dot product, the fastest pass there is, where squares stay inside float64."""
    array = trimmed(array)
    if array.dtype.kind != "c" and array.flags.c_contiguous:
        flat = array.reshape(-1)
        with np.errstate(all="ignore"):
            if math.isfinite(flat.dot(flat)):
                return True
    return bool(np.isfinite(array).all())


def _finite(
    opened: Opened, coords: dict[str, Any], names: Sequence[str], elementwise: bool, used: np.ndarray | None, nan_policy: str
) -> tuple[np.ndarray | None, int]:
    """Refuse or drop points that aren't finite."""
    checked = {"data": opened.values}
    if elementwise:
        checked |= {name: coords[name] for name in names}
    shape = opened.values.shape
    omitted = 0
    for name, array in checked.items():
        if _all_finite(array):
            continue
        whole = np.broadcast_to(array, shape)
        if nan_policy == "raise":
            finite_or_raise(whole, used, name, 'mask them, or pass nan_policy="omit"')
        else:
            bad = ~np.isfinite(whole)
            if used is not None:
                bad &= used
            if bad.any():
                omitted += int(bad.sum())
                used = ~bad if used is None else used & ~bad
    return used, omitted
