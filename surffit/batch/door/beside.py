"""What lies beside the data: errors, masks and coordinates as views of the data's shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.containers import align, is_dataarray, is_series, numbers
from ...core.data import is_time, seconds_since
from ...exceptions import DataError, NonFiniteError, ShapeError
from ..data.cube import moved
from .clothes import Clothes

__all__ = ["coordinate", "error", "excluded", "laid"]


def laid(value: Any, what: str, data: Clothes) -> np.ndarray:
    """
    An argument as a view of the data's shape, fit axes last.

    Scalars stand everywhere, 1-D arrays of the fit axis' length along it where there is one fit axis, others broadcast against the
    data. Dimensions decide where there are any.

    Raises
    ------
    ShapeError
        If it does not fit, with both shapes.
    """
    array = _opened(value, what, data)
    shape, axes = data.array.shape, data.axes
    if array.ndim == 1 and len(axes) == 1 and array.size == shape[axes[0]]:
        array = array.reshape([-1 if a == axes[0] else 1 for a in range(len(shape))])
    return moved(_broadcast(array, shape, what, data), axes)


def _broadcast(array: np.ndarray, shape: tuple[int, ...], what: str, data: Clothes) -> np.ndarray:
    try:
        return np.broadcast_to(array, shape)
    except ValueError as err:
        raise _misfit(array, what, data) from err


def _misfit(array: np.ndarray, what: str, data: Clothes) -> ShapeError:
    shape, axes = data.array.shape, data.axes
    constant = tuple(1 if a in axes else n for a, n in enumerate(shape))
    line = f"{data.fit_shape} along {data.along}"
    msg = (
        f"{what} has shape {array.shape}, the data {shape}, fitted along {data.along}; "
        f"give {line}, {constant} for one value per data set, or {shape}"
    )
    return ShapeError(msg, argument=what, shape=array.shape, data_shape=shape)


def _opened(value: Any, what: str, data: Clothes) -> np.ndarray:
    """An array with one axis per axis of the data, or fewer, by numpy's or xarray's rules."""
    if is_dataarray(value) and data.dims is not None:
        return by_dims(value, what, data.data, data.dims)
    if is_series(value):
        if is_series(data.data) and value.ndim == data.data.ndim:
            value = align(value, data.data, what)
        value = value.to_numpy()
    elif is_dataarray(value):
        value = value.to_numpy()
    return np.asarray(value)


def by_dims(value: Any, what: str, like: Any, dims: tuple[str, ...]) -> np.ndarray:
    """
    A DataArray with its dimensions in the order of `dims`, of length 1 where it lacks one.

    Raises
    ------
    ShapeError
        If it has other dimensions, lengths or labels.
    """
    unknown = [d for d in value.dims if d not in dims]
    if unknown:
        msg = f"{what} has the dimension {unknown[0]!r}, which isn't one of {', '.join(dims)}; rename or select it"
        raise ShapeError(msg, argument=what)
    for d in value.dims:
        if d in value.indexes and d in like.indexes and not value.indexes[d].equals(like.indexes[d]):
            lacking = like.indexes[d].difference(value.indexes[d])
            if len(lacking) or not value.indexes[d].is_unique:
                n = len(like.indexes[d])
                msg = (
                    f"{what} lacks {len(lacking)} of the {n} labels of the data along {d!r}, e.g. {lacking[:1].tolist()}; align them first"
                )
                raise ShapeError(msg, argument=what)
            value = value.sel({d: like.indexes[d]})
        if value.sizes[d] != like.sizes[d]:
            msg = f"{what} has {value.sizes[d]} elements along {d!r}, the data {like.sizes[d]}; give as many, or drop the dimension"
            raise ShapeError(msg, argument=what)
    order = [d for d in dims if d in value.dims]
    inner = value.transpose(*order)
    array = inner.data if isinstance(inner.data, np.ndarray) else inner.to_numpy()
    return array.reshape([value.sizes[d] if d in value.dims else 1 for d in dims])


def error(sigma: Any, weights: Any, data: Clothes) -> tuple[np.ndarray | None, bool]:
    """
    Errors of the data as a view, and whether they are weights.

    Raises
    ------
    DataError
        If both are given, or what all data sets share is negative or NaN.
    """
    if sigma is not None and weights is not None:
        msg = "sigma and weights were both given; the data error needs one of them (weights = 1/sigma)"
        raise DataError(msg)
    if sigma is None and weights is None:
        return (None, False) if data.sigma is None else (laid(data.sigma, "sigma", data), False)
    what, value = ("sigma", sigma) if sigma is not None else ("weights", weights)
    value = _in_units(value, what, data)
    if isinstance(value, np.ma.MaskedArray):
        fill = np.inf if what == "sigma" else 0.0
        value = np.ma.filled(value.astype(float), fill) if np.ma.is_masked(value) else value.data
    array = laid(value, what, data)
    if array.dtype.kind not in "biuf":
        if array.dtype.kind == "c":
            msg = f"{what} is complex, the data real"
            raise DataError(msg)
        array = laid(numbers(value, what), what, data)
    _refuse_shared(array, what, len(data.map_axes))
    return array, what == "weights"


def _refuse_shared(array: np.ndarray, what: str, ndim: int) -> None:
    """What all data sets share can't be their fault."""
    if array.size == 0 or any(n > 1 and stride for n, stride in zip(array.shape[:ndim], array.strides, strict=False)):
        return
    line = np.asarray(array[(0,) * ndim], dtype=float)
    with np.errstate(invalid="ignore"):
        bad = ~(line > 0) if what == "sigma" else ~(line >= 0)
    bad |= np.isnan(line) | (np.isinf(line) & (what == "weights"))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        rule = "must be positive (inf excludes a point)" if what == "sigma" else "must be finite and not negative (0 excludes a point)"
        one = all(stride == 0 for stride in array.strides) or line.size == 1
        where = (
            f"it is {float(line[first])}" if one else f"{bad.sum()} of {bad.size} values are not, the first at {list(first)}: {line[first]}"
        )
        msg = f"{what} {rule}; {where}"
        raise DataError(msg, argument=what, count=int(bad.sum()), first=first)


def _in_units(value: Any, what: str, data: Clothes) -> Any:
    """A Quantity in the data's unit, as plain numbers."""
    if not (hasattr(value, "unit") and hasattr(value, "to_value")):
        return value
    unit = value.unit
    if data.unit is None:
        if not unit.is_equivalent(""):
            msg = f"{what} is in {unit} but the data have no unit; give both or neither"
            raise DataError(msg)
        return value.to_value("")
    target = data.unit if what == "sigma" else 1 / data.unit
    if not unit.is_equivalent(target):
        msg = f"{what} is in {unit}, which is not convertible to {target}"
        raise DataError(msg)
    return value.to_value(target)


def excluded(mask: Any, data: Clothes) -> np.ndarray | None:
    """
    Masks of the call and of the container as a view, True = excluded.

    Raises
    ------
    DataError
        If it is not boolean.
    """
    own = None if data.mask is None else moved(data.mask, data.axes)
    if mask is None:
        return own
    array = laid(mask, "mask", data)
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 1:
        array = array.view(bool) if array.dtype.itemsize == 1 else array.astype(bool)
    if array.dtype != bool:
        msg = f"mask has dtype {array.dtype}; it must be boolean, True where a point is excluded"
        raise DataError(msg)
    return array if own is None else array | own


def coordinate(name: str, value: Any, data: Clothes, epochs: dict[str, Any]) -> np.ndarray:
    """
    One independent variable as a view; dates become seconds since the first of them, which goes into `epochs`.

    Parameters
    ----------
    name : str
    value : array_like
        With at most as many axes as one data set it lies along the fit axes; with more, it broadcasts against the data and differs
        from data set to data set. Dimensions decide where there are any.
    data : Clothes
    epochs : dict

    Raises
    ------
    DataError
        If these are no real numbers.
    ShapeError
        If they do not fit the data.
    """
    named = is_dataarray(value) and data.dims is not None
    dims_of = value
    if hasattr(value, "unit") and hasattr(value, "to_value"):
        value = value.value
    array: np.ndarray = by_dims(value, name, data.data, data.dims or ()) if named else _opened(value, name, data)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        array = np.ma.filled(value.astype(float), np.nan)
    if is_time(array):
        array, epochs[name] = seconds_since(array)
    elif array.dtype.kind not in "biuf":
        array = numbers(array, name)
        if array.dtype.kind == "c":
            msg = f"{name} is complex; coordinates must be real"
            raise DataError(msg)
    fit_shape, whole = data.fit_shape, (*data.map_shape, *data.fit_shape)
    shared = set(dims_of.dims) <= {data.dims[a] for a in data.axes} if named and data.dims else array.ndim <= len(data.axes)
    if shared:
        if named:
            array = array.reshape([array.shape[a] for a in data.axes])
        try:
            line = np.broadcast_to(array.astype(float, copy=False), fit_shape)
        except ValueError as err:
            raise _misfit(array, name, data) from err
        return np.broadcast_to(line, whole)
    return moved(_broadcast(array, data.array.shape, name, data), data.axes)


def refuse_nonfinite(coords: dict[str, np.ndarray], ndim: int) -> None:
    """A shared coordinate that isn't finite would spoil every data set."""
    for name, array in coords.items():
        if array.size == 0 or any(n > 1 and stride for n, stride in zip(array.shape[:ndim], array.strides, strict=False)):
            continue
        bad = ~np.isfinite(array[(0,) * ndim])
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            n = int(bad.sum())
            msg = (
                f"{name} has {n} non-finite value{'s' if n > 1 else ''}, the first at {list(first)}, which no data set can be fitted with; "
                'mask these points, or pass nan_policy="omit"'
            )
            raise NonFiniteError(msg, count=n, first=first, argument=name)
