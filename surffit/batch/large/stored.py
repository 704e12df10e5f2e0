"""Arrays that lie in files: opened where they are needed, read by the piece."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...exceptions import DataError, OptionalDependencyError

__all__ = ["Opened", "Stored", "open_store"]

# files that this process has open, by path, group and token: another fit looks anew, since the file may have been written again
_OPEN: dict[tuple[str, str | None, str], Any] = {}
MOST_OPEN = 8


@dataclass(frozen=True, eq=False)
class Stored:
    """
    An array in a file; it pickles as its place.

    Attributes
    ----------
    path : str
    group : str or None
    name : str
        Of the variable.
    shape : tuple of int
    dtype : dtype
    dims : tuple of str
    chunks : tuple of int or None
    token : str
        The same for all that one fit reads.
    """

    path: str
    group: str | None
    name: str
    shape: tuple[int, ...]
    dtype: Any
    dims: tuple[str, ...]
    chunks: tuple[int, ...] | None
    token: str = ""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[()], dtype=dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, where: Any) -> np.ndarray:
        return np.asarray(_dataset(self.path, self.group, self.token)[self.name].variable[where].values)


@dataclass(frozen=True, eq=False)
class Opened:
    """
    What a fit needs of a store.

    Attributes
    ----------
    array : Stored or zarr array
        The data.
    dims : tuple of str or None
    chunks : tuple of int or None
        How they are stored.
    lazy : DataArray or None
        The same for coordinates and attributes; nothing of it has been read.
    others : mapping of str to Stored
        Further variables, by name.
    whole : Dataset or None
        All of them.
    """

    array: Any
    dims: tuple[str, ...] | None
    chunks: tuple[int, ...] | None
    lazy: Any
    others: Mapping[str, Stored]
    whole: Any = None


def open_store(store: Any, variable: str | None = None, group: str | None = None) -> Opened:
    """
    Open the data of a fit, reading nothing.

    Parameters
    ----------
    store : path, zarr array or zarr group
        A zarr array or group, or anything that xarray opens.
    variable : str, optional
        Which variable of a group or file; by default the only one with the most axes.
    group : str, optional

    Raises
    ------
    DataError
        If there is nothing there, or several variables that may be meant.
    """
    import zarr

    if isinstance(store, zarr.Group):
        path = _path_of(store)
        return _from_dataset(path, variable, store.path or None)
    if isinstance(store, zarr.Array):
        return _from_array(store)
    if not isinstance(store, str | os.PathLike):
        msg = f"store is {type(store).__name__}; give a path, a zarr array or a zarr group (arrays in memory: fit_many)"
        raise DataError(msg)
    path = os.fspath(store)
    if "://" not in path and not os.path.exists(path):
        msg = f"store={path!r} does not exist"
        raise DataError(msg)
    if "://" not in path:
        path = os.path.abspath(path)  # workers may be elsewhere
    if group is None and variable is None and (os.path.isdir(path) or "://" in path or path.endswith(".zip")):
        try:
            return _from_array(zarr.open_array(path, mode="r"))
        except Exception:  # noqa: BLE001, S110 -- a group, or no zarr store: the next way finds out
            pass
    return _from_dataset(path, variable, group)


def _from_array(array: Any) -> Opened:
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    dims = tuple(map(str, names)) if names and all(names) else None
    chunks = getattr(array, "shards", None) or array.chunks
    return Opened(array, dims, tuple(chunks), None, {})


def _from_dataset(path: str, variable: str | None, group: str | None) -> Opened:
    token = uuid.uuid4().hex
    try:
        ds = _dataset(path, group, token)
    except (OSError, KeyError, ValueError) as err:
        where = f"the group {group!r} of {path!r}" if group is not None else f"store={path!r}"
        msg = f"{where} can't be opened: {err}"
        raise DataError(msg) from err
    if variable is None:
        most = max((v.ndim for v in ds.data_vars.values()), default=0)
        names = [str(name) for name, v in ds.data_vars.items() if v.ndim == most]
        if len(names) != 1:
            found = ", ".join(map(str, ds.data_vars)) or "none"
            msg = f"{path!r} holds the variables {found}; say which one to fit by variable="
            raise DataError(msg, variables=names)
        variable = names[0]
    if variable not in ds.data_vars:
        msg = f"{path!r} holds no variable {variable!r}; it has {', '.join(map(str, ds.data_vars))}"
        raise DataError(msg)
    others = {str(name): _stored(path, group, token, str(name), v) for name, v in ds.variables.items()}
    array = others[variable]
    return Opened(array, array.dims, array.chunks, ds[variable], others, ds)


def _stored(path: str, group: str | None, token: str, name: str, v: Any) -> Stored:
    chunks = v.encoding.get("shards") or v.encoding.get("chunks") or v.encoding.get("chunksizes")
    return Stored(path, group, name, v.shape, v.dtype, tuple(map(str, v.dims)), tuple(chunks) if chunks else None, token)


def _dataset(path: str, group: str | None, token: str) -> Any:
    known = _OPEN.get((path, group, token))
    if known is None:
        try:
            import xarray
        except ImportError as err:
            msg = 'stores with named variables need xarray: pip install "surffit[parallel]"'
            raise OptionalDependencyError(msg) from err
        # a local store can be listed; one behind a URL perhaps only through its consolidated metadata
        words: dict[str, Any] = {"engine": "zarr", "consolidated": None if "://" in path else False} if _is_zarr(path) else {}
        known = xarray.open_dataset(path, group=group, chunks=None, cache=False, **words)
        while len(_OPEN) >= MOST_OPEN:
            _OPEN.pop(next(iter(_OPEN)), None)
        _OPEN[path, group, token] = known
    return known


def _is_zarr(path: str) -> bool:
    return os.path.isdir(path) or ".zarr" in path


def _path_of(group: Any) -> str:
    root = getattr(group.store, "root", None)
    if root is None:
        msg = f"the group lies in a {type(group.store).__name__}; give its path, or one of its arrays"
        raise DataError(msg)
    return os.fspath(root)
