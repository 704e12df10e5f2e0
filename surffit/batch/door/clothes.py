"""What many data sets come in: arrays, masked arrays, lists, DataArrays, tables of columns, Quantity, NDData; nothing is copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...core.containers import is_dataarray, is_series, numbers
from ...exceptions import DataError

__all__ = ["Clothes", "fit_axes", "undress"]

Wrap = Callable[[np.ndarray], Any]

# attributes that tell of the data's own values, which those of a map are not
OF_VALUES = (
    "units", "long_name", "standard_name", "scale_factor", "add_offset", "valid_range", "valid_min", "valid_max", "actual_range",
    "_FillValue", "missing_value", "cell_methods", "flag_masks", "flag_values", "flag_meanings", "ancillary_variables",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Clothes:
    """
    Data taken out of their container.

    Attributes
    ----------
    array : ndarray of real numbers
        As they came in: any type, byte order, strides.
    axes : tuple of int
        Fit axes, rising.
    dims : tuple of str or None
        Names of the axes, if they have names.
    mask : ndarray of bool or None
        True = excluded; from the container.
    sigma : ndarray or None
        Errors that the container carried.
    unit : astropy unit or None
    data : object
        The container.
    map, inside : callable
        Put an array of the map's or of the data's shape into the container's like.
    """

    array: np.ndarray
    axes: tuple[int, ...]
    dims: tuple[str, ...] | None
    mask: np.ndarray | None
    sigma: np.ndarray | None
    unit: Any
    data: Any
    map: Wrap
    inside: Wrap

    @property
    def map_axes(self) -> tuple[int, ...]:
        """The other axes."""
        return tuple(a for a in range(self.array.ndim) if a not in self.axes)

    @property
    def fit_shape(self) -> tuple[int, ...]:
        """Shape of one data set."""
        return tuple(self.array.shape[a] for a in self.axes)

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Shape of the maps."""
        return tuple(self.array.shape[a] for a in self.map_axes)

    @property
    def along(self) -> str:
        """The fit axes in words."""
        if self.dims is not None:
            return ("dim " if len(self.axes) == 1 else "dims ") + ", ".join(repr(self.dims[a]) for a in self.axes)
        return f"axis {self.axes[0]}" if len(self.axes) == 1 else f"axes {self.axes}"


def undress(data: Any, axis: Any = None, dim: Any = None) -> Clothes:
    """
    Take data out of their container and find the fit axes.

    Parameters
    ----------
    data : array_like
    axis : int, tuple of int, or None
        For arrays; None is 0.
    dim : str, tuple of str, or None
        For DataArrays.

    Raises
    ------
    DataError
        If these are no real numbers, or there are no such axes.
    """
    if hasattr(data, "data_vars"):
        names = ", ".join(map(str, data.data_vars))
        msg = f"data is a Dataset; pass one of its variables, such as dataset[{next(iter(data.data_vars), 'name')!r}] (it has {names})"
        raise DataError(msg)
    if is_dataarray(data):
        return _from_dataarray(data, axis, dim)
    if dim is not None:
        msg = f"dim={dim!r} names a dimension, but {type(data).__name__} has none; pass axis=, or an xarray DataArray"
        raise DataError(msg)
    mask = sigma = unit = None
    map_wrap: Wrap = _same
    whole: Wrap = _same
    inner = data
    if hasattr(data, "uncertainty") and hasattr(data, "data"):
        inner, mask, sigma, unit, whole = _from_nddata(data)
    elif isinstance(data, np.ma.MaskedArray):
        inner, mask = data.data, None if data.mask is np.ma.nomask else np.ma.getmaskarray(data)
        own = np.zeros(data.shape, dtype=bool) if mask is None else mask
        whole = partial(np.ma.MaskedArray, mask=own)
    elif hasattr(data, "unmasked") and hasattr(data, "mask"):
        inner, mask = data.unmasked, np.broadcast_to(np.asarray(data.mask, dtype=bool), data.shape)
        unit = getattr(inner, "unit", None)
        inner = inner if unit is None else inner.value
        whole = lambda out: type(data)(out if unit is None else out * unit, mask=mask)  # noqa: E731
    elif hasattr(data, "unit") and hasattr(data, "to_value"):
        inner, unit = data.value, data.unit
        whole = partial(_times, unit)
    elif is_series(data):
        inner = data.to_numpy()
        if inner.dtype.kind == "O":  # missing numbers of pandas' own types
            try:
                inner = data.to_numpy(dtype=float, na_value=np.nan)
            except (TypeError, ValueError) as err:
                msg = f"data holds values that aren't numbers ({err}); leave out such columns, e.g. by data.select_dtypes('number')"
                raise DataError(msg) from err
    array = _real(inner)
    axes = fit_axes(axis, array)
    if is_series(data):
        map_wrap, whole = _labelled(data, axes)
    return Clothes(array, axes, None, mask, sigma, unit, data, map_wrap, whole)


def _refilled(template: Any, out: np.ndarray) -> Any:
    return template.copy(data=out)


def _times(unit: Any, out: np.ndarray) -> Any:
    return out * unit


def _same(out: np.ndarray) -> np.ndarray:
    return out


def _real(inner: Any) -> np.ndarray:
    """An array of real numbers; a copy only of lists and of objects."""
    try:
        array = np.asarray(inner)
    except ValueError as err:
        msg = f"data can't be made one array: {err}; data sets of different lengths are a table's business, see fit_table(..., by=)"
        raise DataError(msg) from err
    if array.dtype.kind == "O":
        array = numbers(array, "data")
    if array.dtype.kind == "c":
        msg = "data is complex; fit_many fits real numbers: stack real and imaginary parts along the fit axis, or loop over model.fit"
        raise DataError(msg)
    if array.dtype.kind not in "biuf":
        msg = f"data has dtype {array.dtype}; numbers are needed"
        raise DataError(msg)
    return array


def fit_axes(axis: Any, array: np.ndarray) -> tuple[int, ...]:
    """Fit axes as rising numbers from 0, checked."""
    ndim = array.ndim
    if ndim == 0:
        msg = f"data is a single number ({array!r}); a data set needs at least one axis"
        raise DataError(msg)
    wanted = axis if isinstance(axis, tuple | list | np.ndarray) else (0 if axis is None else axis,)
    if any(isinstance(a, str) for a in wanted):
        msg = f"axis={axis!r} is a name; pass dim={axis!r} with an xarray DataArray, or axis= as a number"
        raise DataError(msg)
    if not len(wanted) or any(not isinstance(a, int | np.integer) or isinstance(a, bool) or not -ndim <= a < ndim for a in wanted):
        msg = f"axis={axis!r} is no axis of data of shape {array.shape}; give whole numbers from {-ndim} to {ndim - 1}"
        raise DataError(msg)
    axes = tuple(sorted(int(a) % ndim for a in wanted))
    if len(set(axes)) < len(axes):
        msg = f"axis={axis!r} names an axis twice; give each fit axis once"
        raise DataError(msg)
    if any(array.shape[a] == 0 for a in axes):
        where = f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
        msg = f"data of shape {array.shape} have no points along {where}; there is nothing to fit"
        raise DataError(msg)
    return axes


def _from_dataarray(data: Any, axis: Any, dim: Any) -> Clothes:
    dims = tuple(map(str, data.dims))
    if dim is None:
        said = f"axis={axis!r} is for arrays" if axis is not None else "data is a DataArray"
        example = dims[0] if dims else "time"
        msg = f"{said}; name the dimension to fit along, e.g. dim={example!r} (the data have {', '.join(dims) or 'none'})"
        raise DataError(msg, dims=dims)
    if axis is not None:
        msg = f"axis={axis!r} and dim={dim!r} were both given; a DataArray needs dim alone"
        raise DataError(msg)
    wanted = [dim] if isinstance(dim, str) or not isinstance(dim, tuple | list | set) else list(dim)
    unknown = [d for d in wanted if d not in data.dims]
    if unknown or not wanted:
        from difflib import get_close_matches

        close = get_close_matches(str(unknown[0]), dims, n=1) if unknown else []
        hint = f"did you mean {close[0]!r}?" if close else f"the data have {', '.join(dims)}"
        msg = f"dim={dim!r} names no dimension of the data; {hint}"
        raise DataError(msg, dims=dims)
    array = _real(data.data if isinstance(data.data, np.ndarray) else data.to_numpy())
    axes = fit_axes(tuple(data.dims.index(d) for d in dict.fromkeys(wanted)), array)
    gone = {data.dims[a] for a in axes}
    kept = data.drop_vars([name for name, coord in data.coords.items() if set(coord.dims) & gone])
    template = kept.isel(dict.fromkeys(gone, 0), drop=True)
    # the template must not keep the data alive
    template = template.copy(data=np.broadcast_to(np.zeros((), dtype=np.int8), template.shape))
    template.name = None
    template.attrs = {name: value for name, value in data.attrs.items() if name not in OF_VALUES}
    shell = data.copy(data=np.broadcast_to(np.zeros((), dtype=np.int8), data.shape))
    return Clothes(array, axes, dims, None, None, None, data, partial(_refilled, template), partial(_refilled, shell))


def _from_nddata(data: Any) -> tuple[Any, Any, Any, Any, Wrap]:
    inner = np.asarray(data.data)
    mask = None if data.mask is None else np.broadcast_to(np.asarray(data.mask, dtype=bool), inner.shape)
    sigma = None
    if data.uncertainty is not None:
        kind = data.uncertainty.uncertainty_type
        if kind not in ("std", "var", "ivar"):
            msg = f"data carries an uncertainty of type {kind!r}; std, var or ivar is needed, or pass sigma="
            raise DataError(msg)
        sigma = np.asarray(data.uncertainty.array)
        with np.errstate(all="ignore"):
            sigma = sigma if kind == "std" else np.sqrt(sigma) if kind == "var" else 1.0 / np.sqrt(sigma)
        own = data.uncertainty.unit
        if own is not None and data.unit is not None:
            power = {"std": 1, "var": 2, "ivar": -2}[kind]
            if own != data.unit**power:
                factor = float(own.to(data.unit**power))
                sigma = sigma * factor ** (1.0 / power)
    unit, wcs = data.unit, getattr(data, "wcs", None)

    def whole(out: np.ndarray) -> Any:
        return type(data)(out, unit=unit, wcs=wcs, mask=data.mask)

    return inner, mask, sigma, unit, whole


def _labelled(data: Any, axes: tuple[int, ...]) -> tuple[Wrap, Wrap]:
    """Maps of a DataFrame are Series: one element per column (fits along the rows) or per row."""
    same: Callable[..., Any] = type(data)
    if data.ndim == 1:
        return _same, partial(same, index=data.index, name=data.name)
    if len(axes) == 2:
        return _same, partial(same, index=data.index, columns=data.columns)
    labels = data.columns if axes == (0,) else data.index
    series: Callable[..., Any] = data._constructor_sliced
    return partial(series, index=labels), partial(same, index=data.index, columns=data.columns)
