"""Arrays in the clothes people bring them in: pandas, xarray, astropy, masked arrays; and back again.

Nothing here imports those packages: an object is recognised by the module its class comes from, so a package that was
never imported costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..exceptions import DataError, NonFiniteError, ShapeError

Wrap = Callable[[np.ndarray], Any]


@dataclass(frozen=True, eq=False)
class Opened:
    """A container taken apart.

    Attributes
    ----------
    values : ndarray
        float64 or complex128.
    mask : ndarray of bool or None
        True = excluded, from a masked array or NDData.
    sigma : ndarray or None
        Errors that the container carried (NDData).
    unit : object or None
        astropy unit.
    index : object or None
        pandas Index, or a tuple of xarray dimensions.
    wrap : callable
        Puts an array of the same shape back into the container.
    dtype : numpy.dtype
        As it came in.
    """

    values: np.ndarray
    mask: np.ndarray | None
    sigma: np.ndarray | None
    unit: Any
    index: Any
    wrap: Wrap
    dtype: np.dtype


def root(value: Any) -> str:
    """Top package that defines the class of `value`."""
    return (type(value).__module__ or "").partition(".")[0]


def is_series(value: Any) -> bool:
    """Whether an object is a Series or DataFrame: rows with labels."""
    return (root(value) == "pandas" and type(value).__name__ in ("Series", "DataFrame")) or (
        hasattr(value, "index") and hasattr(value, "reindex") and hasattr(value, "to_numpy") and root(value) != "xarray"
    )


def is_dataarray(value: Any) -> bool:
    return hasattr(value, "dims") and hasattr(value, "broadcast_like")


def is_array_like(value: Any) -> bool:
    """Whether a keyword is numbers (a coordinate) rather than an option such as a string, a flag or None."""
    if value is None or isinstance(value, (str, bytes, bool, dict, set)) or callable(value):
        return False
    if isinstance(value, (int, float, complex, np.number, np.ndarray)) or hasattr(value, "__array__"):
        return not (isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 0)
    if isinstance(value, (list, tuple, range)):
        try:
            return np.asarray(value).dtype.kind in "biufcmM"
        except ValueError:  # ragged
            return False
    return False


def users_line() -> int:
    """The stacklevel with which a warning points at the first line outside this package and lmfit."""
    frame = sys._getframe(1)
    level = 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("surffit", "lmfit"):
        frame = frame.f_back
        level += 1
    return level


def numbers(value: Any, what: str) -> np.ndarray:
    """float64 or complex128 array in native byte order; a copy only where the type asks for one."""
    try:
        array = np.asarray(value)
    except ValueError as err:
        msg = f"{what} can't be made an array of numbers: {err}"
        raise DataError(msg) from err
    kind = array.dtype.kind
    if kind == "O":
        try:
            array = np.array(array, dtype=float)
        except (TypeError, ValueError) as err:
            msg = f"{what} holds values that aren't numbers ({err}); convert the column first, e.g. with pandas.to_numeric"
            raise DataError(msg) from err
    elif kind == "c":
        array = array.astype(complex, copy=False)
    elif kind in "biuf":
        array = array.astype(float, copy=False)
    else:
        msg = f"{what} has dtype {array.dtype}; numbers are needed"
        raise DataError(msg)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def open_container(value: Any, what: str) -> Opened:
    """Take a container apart; see `Opened`."""
    if isinstance(value, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(value)
        inner = value.data
        # what lies under the mask is nobody's business; zeros keep it from raising
        values = numbers(np.where(mask, np.zeros((), dtype=inner.dtype), inner), what)
        return Opened(values, mask, None, None, None, lambda out: np.ma.MaskedArray(out, mask=mask), inner.dtype)
    if hasattr(value, "unmasked") and hasattr(value, "mask"):  # astropy's masked Quantity and arrays
        return _open_masked(value, what)
    if hasattr(value, "uncertainty") and hasattr(value, "data"):  # astropy NDData, CCDData
        return _open_nddata(value, what)
    if hasattr(value, "unit") and hasattr(value, "to_value"):  # astropy Quantity
        unit = value.unit
        values = numbers(value.value, what)
        return Opened(values, None, None, unit, None, lambda out: out * unit, np.asarray(value.value).dtype)
    if is_series(value):
        dtype = getattr(value, "dtype", np.dtype(float))
        try:
            missing = value.isna().to_numpy()
            array = value.to_numpy(dtype=float, na_value=np.nan) if missing.any() else value.to_numpy()
        except (TypeError, ValueError):
            array = value.to_numpy()
        values = numbers(array, what)

        def wrap(out: np.ndarray) -> Any:
            same = type(value)
            if out.ndim == 2:
                return same(out, index=value.index, columns=value.columns)
            return same(out, index=value.index, name=value.name)

        return Opened(values, None, None, None, value.index, wrap, np.dtype(dtype) if isinstance(dtype, np.dtype) else values.dtype)
    if is_dataarray(value):
        values = numbers(value.to_numpy() if hasattr(value, "to_numpy") else value.values, what)
        return Opened(values, None, None, None, tuple(value.dims), lambda out: value.copy(data=out), value.dtype)
    values = numbers(value, what)
    return Opened(values, None, None, None, None, lambda out: out, np.asarray(value).dtype)


def _open_masked(value: Any, what: str) -> Opened:
    inner = value.unmasked
    unit = getattr(inner, "unit", None)
    plain = np.asarray(inner.value if unit is not None else inner)
    mask = np.broadcast_to(np.asarray(value.mask, dtype=bool), plain.shape)
    values = numbers(np.where(mask, np.zeros((), dtype=plain.dtype), plain), what)

    def wrap(out: np.ndarray) -> Any:
        return type(value)(out if unit is None else out * unit, mask=mask)

    return Opened(values, mask, None, unit, None, wrap, plain.dtype)


def _open_nddata(value: Any, what: str) -> Opened:
    inner = np.asarray(value.data)
    mask = None if value.mask is None else np.broadcast_to(np.asarray(value.mask, dtype=bool), inner.shape)
    sigma = None
    if value.uncertainty is not None:
        kind, array = value.uncertainty.uncertainty_type, np.asarray(value.uncertainty.array, dtype=float)
        if kind not in ("std", "var", "ivar"):
            msg = f"{what} carries an uncertainty of type {kind!r}; std, var or ivar is needed, or pass sigma="
            raise DataError(msg)
        with np.errstate(all="ignore"):
            sigma = array if kind == "std" else np.sqrt(array) if kind == "var" else 1.0 / np.sqrt(array)
        if mask is not None:
            sigma = np.where(mask, 1.0, sigma)
    values = numbers(inner if mask is None else np.where(mask, np.zeros((), dtype=inner.dtype), inner), what)
    unit = value.unit

    def wrap(out: np.ndarray) -> Any:
        return type(value)(out, unit=unit, wcs=value.wcs, mask=value.mask)

    return Opened(values, mask, sigma, unit, None, wrap, inner.dtype)


def align(value: Any, data: Any, what: str) -> Any:
    """Bring pandas or xarray objects onto the labels of the data, or refuse."""
    if is_dataarray(data):
        if is_dataarray(value) and set(value.dims) <= set(data.dims):
            return value.broadcast_like(data).transpose(*data.dims)
        return value
    if not (is_series(data) and is_series(value)):
        return value
    if value.ndim == 2 and data.ndim == 2 and not value.columns.equals(data.columns):
        value = _align_axis(value.T, data.columns, what).T
    return _align_axis(value, data.index, what)


def _align_axis(value: Any, index: Any, what: str) -> Any:
    if value.index.equals(index):
        return value
    if not (index.is_unique and value.index.is_unique):
        msg = f"{what} and the data have different indexes with duplicate labels, so rows can't be matched; reset both indexes first"
        raise ShapeError(msg)
    missing = index.difference(value.index)
    if len(missing):
        msg = f"{what} lacks {len(missing)} of the {len(index)} labels of the data, e.g. {missing[0]!r}; align them or pass plain arrays"
        raise ShapeError(msg)
    return value.reindex(index)


def finite_or_raise(array: np.ndarray, used: np.ndarray | None, what: str, remedy: str) -> None:
    """One sentence with the count and the first index of non-finite values among the used ones."""
    bad = ~np.isfinite(array)
    if used is not None:
        bad &= np.broadcast_to(used, bad.shape) if used.shape == bad.shape else True
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f"[{', '.join(map(str, first))}]"
        n = int(bad.sum())
        msg = f"{what} has {n} non-finite value{'s' if n > 1 else ''}, the first at {where}; {remedy}"
        raise NonFiniteError(msg, count=n, first=first, argument=what)
