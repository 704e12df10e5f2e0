"""Arguments laid along the axes of the data, whatever holds them: arrays, dask arrays, DataArrays, arrays in a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.containers import is_dataarray
from ...core.data import is_time, seconds_since
from ...exceptions import DataError, ParameterError, ShapeError
from .beside import by_dims

__all__ = ["ENDS", "Laid", "lay", "lay_coordinate", "lay_parameters", "put_back"]

# what of a parameter may differ from data set to data set
ENDS = ("value", "min", "max")


@dataclass(frozen=True, eq=False)
class Laid:
    """
    An array and the axes of the data along which it lies.

    Attributes
    ----------
    array : array-like
        Anything with a shape that gives numpy arrays when it is indexed (or a dask array).
    axes : tuple of int
        One axis of the data per axis of the array. Along the others it is the same everywhere.
    """

    array: Any
    axes: tuple[int, ...]

    def cut(self, where: Sequence[slice]) -> np.ndarray:
        """The part that belongs to a rectangle of the data (one slice per axis), read if it must be."""
        return np.asarray(self.array[tuple(where[a] for a in self.axes)])

    def opened(self, part: np.ndarray, ndim: int) -> np.ndarray:
        """A part with one axis per axis of the data, of length 1 where it is the same everywhere."""
        order = np.argsort(self.axes)
        shape = [1] * ndim
        for axis, n in zip(self.axes, part.shape, strict=True):
            shape[axis] = n
        return np.transpose(part, order).reshape(shape)


def lay(value: Any, name: str, shape: tuple[int, ...], like: Any, fit_axes: tuple[int, ...]) -> Laid:
    """
    Find the axes of an argument.

    Parameters
    ----------
    value : scalar, array, dask array or DataArray
        1-D: along the single fit axis; otherwise it broadcasts against the data. Dimensions decide where there are any.
    name : str
        For errors.
    shape : tuple of int
        Shape of the data.
    like : DataArray or None
        The data, or something that has their dimensions and labels, if they have names.
    fit_axes : tuple of int

    Returns
    -------
    Laid

    Raises
    ------
    ShapeError
        If it doesn't fit, with both shapes.
    """
    if is_dataarray(value):
        if like is None:
            msg = f"{name} is a DataArray but the data have no named dimensions; give both as DataArrays, or {name}.data"
            raise DataError(msg)
        if not _is_dask(value.data):
            value = by_dims(value, name, like, tuple(like.dims))
        else:
            return _lay_lazy(value, name, like)
    if hasattr(value, "unit") and hasattr(value, "to_value"):
        msg = f"{name} is in {value.unit} but the data have no unit; give plain numbers: {name}.value"
        raise DataError(msg)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        if name not in ("sigma", "weights"):
            msg = f"{name} is masked in places; give plain numbers, and mask= for points to be excluded"
            raise DataError(msg)
        value = np.ma.filled(value.astype(float), np.inf if name == "sigma" else 0.0)
    array = value if _is_dask(value) or type(value).__module__.startswith(("zarr", __package__)) else np.asarray(value)
    if array.ndim == 0:
        return Laid(np.asarray(array), ())
    if array.ndim == 1 and len(fit_axes) == 1 and array.shape[0] == shape[fit_axes[0]]:
        return Laid(array, fit_axes)
    first = len(shape) - array.ndim
    if first < 0 or any(n not in (1, shape[first + i]) for i, n in enumerate(array.shape)):
        msg = (
            f"{name} has shape {array.shape}, which does not broadcast against the data of shape {shape}; "
            "give it length 1 along the axes where it is constant"
        )
        raise ShapeError(msg)
    keep = [i for i, n in enumerate(array.shape) if n != 1 or shape[first + i] == 1]
    if len(keep) < array.ndim:
        array = array[tuple(slice(None) if i in keep else 0 for i in range(array.ndim))]
    return Laid(array, tuple(first + i for i in keep))


def _lay_lazy(value: Any, name: str, like: Any) -> Laid:
    """A DataArray on dask: its labels must be those of the data, in their order."""
    dims = tuple(like.dims)
    for d in value.dims:
        if d not in dims or value.sizes[d] != like.sizes[d]:
            msg = f"{name} has the dimensions {dict(value.sizes)} but the data have {dict(like.sizes)}; give it those"
            raise ShapeError(msg, argument=name)
        if d in value.indexes and d in like.indexes and not value.indexes[d].equals(like.indexes[d]):
            msg = f"{name} has other labels along {d!r} than the data; align them first: xarray.align(data, {name})"
            raise ShapeError(msg, argument=name)
    return Laid(value.data, tuple(dims.index(d) for d in value.dims))


def lay_coordinate(value: Any, name: str, shape: tuple[int, ...], like: Any, fit_axes: tuple[int, ...]) -> Laid:
    """As `lay`; arrays with at most as many axes as there are fit axes broadcast against those. Dates become seconds."""
    value = value.value if hasattr(value, "unit") and hasattr(value, "to_value") else value
    if is_time(value):
        seconds, _ = seconds_since(value)
        value = value.copy(data=seconds) if is_dataarray(value) else seconds
    if is_dataarray(value) or np.ndim(value) > len(fit_axes) or np.ndim(value) == 0:
        return lay(value, name, shape, like, fit_axes)
    inner = lay(value, name, tuple(shape[a] for a in fit_axes), None, tuple(range(len(fit_axes))))
    return Laid(inner.array, tuple(fit_axes[a] for a in inner.axes))


def lay_parameters(params: Any, shape: tuple[int, ...], like: Any, fit_axes: tuple[int, ...]) -> tuple[Any, dict[str, Laid]]:
    """
    Part parameters into what all data sets share and what differs.

    Parameters
    ----------
    params : Parameters, mapping or None
        Values may be arrays of the map's shape (or that broadcast against it), DataArrays or dask arrays.

    Returns
    -------
    shared : Parameters, dict or None
        The same without the arrays.
    laid : dict of str to Laid
        The arrays by ``end:name``, such as ``value:slope``.
    """
    if not isinstance(params, Mapping) or hasattr(params, "valuesdict"):
        return params, {}
    map_axes = tuple(a for a in range(len(shape)) if a not in fit_axes)
    map_shape = tuple(shape[a] for a in map_axes)
    if like is not None:
        like = like.isel({like.dims[a]: 0 for a in fit_axes})
    shared: dict[str, Any] = {}
    laid: dict[str, Laid] = {}
    for name, given in params.items():
        if hasattr(given, "brute_step"):
            shared[name] = given
            continue
        entry = dict(given) if isinstance(given, Mapping) else {"value": given}
        for end in ENDS:
            if np.ndim(entry.get(end, 0.0)) == 0:
                continue
            found = lay(entry.pop(end), f"params[{name!r}]", map_shape, like, ())
            laid[f"{end}:{name}"] = Laid(found.array, tuple(map_axes[a] for a in found.axes))
        shared[name] = entry
    return shared, laid


def put_back(shared: Any, parts: Mapping[str, np.ndarray], fit_axes: tuple[int, ...]) -> Any:
    """Parameters of one block: `shared` with the parts of `lay_parameters`, opened to all axes of the data."""
    parts = {key: part for key, part in parts.items() if key.partition(":")[0] in ENDS}
    if not parts:
        return shared
    if not isinstance(shared, Mapping):
        msg = f"params can't be {type(shared).__name__} and have arrays; give a dict"
        raise ParameterError(msg)
    params = {name: dict(entry) if isinstance(entry, Mapping) else entry for name, entry in shared.items()}
    for key, part in parts.items():
        end, _, name = key.partition(":")
        params[name][end] = np.squeeze(part, axis=fit_axes)
    return params


def _is_dask(array: Any) -> bool:
    return hasattr(array, "dask") and hasattr(array, "chunks")
