"""Maps by name of parameter, and places in a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from ...core.containers import is_dataarray, is_series
from ...exceptions import DataError, UnknownParameterError

__all__ = ["Labels", "NamedMaps", "labels_of"]


class NamedMaps(Mapping[str, Any]):
    """
    One map per parameter, made when it is asked for.

    Parameters
    ----------
    names : sequence of str
    make : callable
        ``make(name)`` gives the map.
    what : str
        For errors: "value", "stderr".
    """

    def __init__(self, names: tuple[str, ...], make: Callable[[str], Any], what: str) -> None:
        self._names, self._make, self._what = names, make, what

    def __getitem__(self, name: str) -> Any:
        """The map of one parameter."""
        if name not in self._names:
            close = get_close_matches(str(name), self._names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"its parameters are {', '.join(self._names)}"
            msg = f"the batch has no parameter {name!r}; {hint}"
            raise UnknownParameterError(msg, name=name)
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<{self._what} of {', '.join(self._names)}>"


class Labels:
    """
    What the axes of the maps are called.

    Attributes
    ----------
    shape : tuple of int
    dims : tuple of str
        Names of the map's axes: those of a DataArray, else dim_0, dim_1, ...
    template : DataArray or None
        A map in the user's xarray clothes: its dimensions, coordinates and attributes.
    index : pandas.Index or None
        Labels of maps that are Series.
    """

    def __init__(self, shape: tuple[int, ...], template: Any = None, index: Any = None) -> None:
        self.shape, self.template, self.index = shape, template, index
        self.dims = tuple(map(str, template.dims)) if template is not None else tuple(f"dim_{i}" for i in range(len(shape)))
        if index is not None and index.name is not None:
            self.dims = (str(index.name),)

    def values(self, dim: str) -> np.ndarray:
        """Labels along one axis: its coordinate, else 0, 1, ..."""
        if self.template is not None and dim in self.template.coords:
            return np.asarray(self.template.coords[dim].values)
        if self.index is not None:
            return np.asarray(self.index)
        return np.arange(self.shape[self.dims.index(dim)])

    def columns(self) -> dict[str, np.ndarray]:
        """The labels of every data set, one column per axis; a single data set has none."""
        n = int(np.prod(self.shape))
        out = {}
        for axis, dim in enumerate(self.dims):
            shape = [-1 if i == axis else 1 for i in range(len(self.shape))]
            out[dim] = np.broadcast_to(self.values(dim).reshape(shape), self.shape).reshape(n)
        return out

    def number(self, index: Any, labels: Mapping[str, Any]) -> int:
        """
        The number (in C order) of one data set.

        Parameters
        ----------
        index : int, tuple of int, dict of str to int, or None
            Place in the map: one whole number per axis, also by name.
        labels : mapping
            Labels by name of axis, in place of `index`.

        Raises
        ------
        DataError
            If there is no such data set.
        """
        if labels:
            index = {**(index if isinstance(index, Mapping) else {}), **{dim: self._at(dim, value) for dim, value in labels.items()}}
        if isinstance(index, Mapping):
            lacking = [dim for dim in self.dims if dim not in index]
            unknown = [dim for dim in index if dim not in self.dims]
            if lacking or unknown:
                msg = f"the maps have the axes {', '.join(self.dims) or 'none'}; give one place for each, not for {', '.join(index)}"
                raise DataError(msg, dims=self.dims)
            index = tuple(index[dim] for dim in self.dims)
        if index is None:
            index = ()
        place = tuple(index) if isinstance(index, tuple | list | np.ndarray) else (index,)
        if len(place) != len(self.shape) and not (len(place) == 0 and np.prod(self.shape) == 1):
            msg = f"index {index!r} does not name one data set of a map of shape {self.shape}; give {len(self.shape)} whole numbers"
            raise DataError(msg, index=index, shape=self.shape)
        found = []
        for i, n in zip(place, self.shape, strict=False):
            if not isinstance(i, int | np.integer) or isinstance(i, bool) or not -n <= i < n:
                msg = f"index {index!r} is outside the map of shape {self.shape}; give whole numbers from 0 to the length - 1"
                raise DataError(msg, index=index, shape=self.shape)
            found.append(int(i) % n)
        return int(np.ravel_multi_index(tuple(found), self.shape)) if found else 0

    def _at(self, dim: str, value: Any) -> int:
        if dim not in self.dims:
            close = get_close_matches(str(dim), self.dims, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            msg = f"{dim!r} is no axis of the maps, which have {', '.join(self.dims) or 'none'}{hint}"
            raise DataError(msg, dim=dim)
        known = self.values(dim)
        if known.dtype.kind in "mM":
            value = np.asarray(value, dtype=known.dtype)
        found = np.flatnonzero(known == value)
        if not len(found) and known.dtype.kind in "fc":
            found = np.flatnonzero(np.isclose(known, float(value), rtol=1e-9, atol=0.0))
        if len(found) != 1:
            if known.dtype.kind in "fiu" and not len(found):
                near = f"; the nearest is {known[np.argmin(np.abs(known - value))]}"
            else:
                near = f"; they are {', '.join(map(str, known[:3]))} ..."
            msg = f"{dim} = {value!r} is {'at several places' if len(found) else 'not'} among the labels of {dim}{near}"
            raise DataError(msg, dim=dim, label=value)
        return int(found[0])

    def place(self, number: int) -> str:
        """A data set's place as people write it: ``(3, 17)``, ``y=0.5, x=2.0``."""
        where = np.unravel_index(number, self.shape) if self.shape else ()
        if self.index is None and (self.template is None or not any(dim in self.template.coords for dim in self.dims)):
            return str(tuple(int(i) for i in where)) if len(where) != 1 else str(int(where[0]))
        return ", ".join(f"{dim}={_short(self.values(dim)[i])}" for dim, i in zip(self.dims, where, strict=True))


def _short(label: Any) -> str:
    if isinstance(label, np.datetime64):
        return np.datetime_as_string(label, unit="auto")
    return f"{label:.6g}" if isinstance(label, float) else str(label)


def labels_of(shape: tuple[int, ...], wrap: Callable[[np.ndarray], Any]) -> Labels:
    """Labels as the container shows them that maps come back in."""
    template = wrap(np.zeros(shape, dtype=np.int8))
    if is_dataarray(template):
        return Labels(shape, template)
    return Labels(shape, index=template.index if is_series(template) and len(shape) == 1 else None)
