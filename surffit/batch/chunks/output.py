"""Results in a zarr store: one array per map, one object per chunk."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...exceptions import DataError, OptionalDependencyError
from ...kernels.warned import filtered
from .manifest import GROUP, Manifest, State, stored_print

__all__ = ["Chunk", "Output", "Variable", "chunks_of", "location", "need_zarr"]

Number = float | int


@dataclass(frozen=True)
class Variable:
    """
    One array of the results.

    Attributes
    ----------
    dtype : str
    unset, failed : number
        What stands where a chunk was not reached, and where it was given up.
    lead : tuple of int
        Axes in front of those of the map, kept whole.
    lead_dims : tuple of str
    attrs : dict
    """

    dtype: str = "float64"
    unset: Number = math.nan
    failed: Number = math.nan
    lead: tuple[int, ...] = ()
    lead_dims: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """
    A rectangle of the map, the unit of work.

    Attributes
    ----------
    number : int
        Counted in C order of the grid of chunks.
    where : tuple of slice
    """

    number: int
    where: tuple[slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Data sets along each axis of the map."""
        return tuple(s.stop - s.start for s in self.where)

    @property
    def size(self) -> int:
        """Number of data sets."""
        return math.prod(self.shape)


def chunks_of(shape: tuple[int, ...], chunks: tuple[int, ...]) -> list[Chunk]:
    """
    Cut a map into chunks.

    Examples
    --------
    >>> [c.where[0] for c in chunks_of((5,), (2,))]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    grid = tuple(-(-n // c) for n, c in zip(shape, chunks, strict=True))
    found = []
    for number in range(math.prod(grid)):
        place = np.unravel_index(number, grid) if grid else ()
        found.append(
            Chunk(number, tuple(slice(int(i) * c, min((int(i) + 1) * c, n)) for i, c, n in zip(place, chunks, shape, strict=True)))
        )
    return found


class Output:
    """
    A store that is being filled; it pickles as its place.

    Parameters
    ----------
    store : str or zarr store
    """

    def __init__(self, store: Any) -> None:
        self.store = store
        self._manifest: Manifest | None = None
        self._arrays: dict[str, Any] | None = None
        self._variables: dict[str, Variable] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # workers may be elsewhere
        local = isinstance(self.store, str) and "://" not in self.store
        return (Output, (os.path.abspath(self.store) if local else self.store,))

    @property
    def manifest(self) -> Manifest:
        """Which chunks are done."""
        if self._manifest is None:
            self._manifest = Manifest(self.store)
        return self._manifest

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays by name."""
        if self._arrays is None:
            import zarr

            root = zarr.open_group(self.store, mode="r+")
            self._arrays = {name: root[name] for name in self.manifest.attributes["variables"]}
        return self._arrays

    @property
    def flags(self) -> str | None:
        """Name of the array that holds flags, if any."""
        return next((name for name, array in self.arrays.items() if "flag_masks" in array.attrs), None)

    def make(
        self,
        variables: Mapping[str, Variable],
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        dims: tuple[str, ...],
        fingerprint: dict[str, Any],
        dress: Any = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Make the arrays, all unset.

        Parameters
        ----------
        variables : mapping of str to Variable
        shape, chunks : tuple of int
            Of the map.
        dims : tuple of str
        fingerprint : dict
        dress : callable, optional
            ``dress(store)`` writes coordinates, into the empty store.
        attrs : mapping, optional
        """
        import zarr

        zarr.open_group(self.store, mode="w")
        if dress is not None:
            dress(self.store)
        about = {
            "variables": list(variables),
            "shape": list(shape),
            "chunks": list(chunks),
            "dims": list(dims),
            "failed": {name: _plain(v.failed) for name, v in variables.items()},
        }
        Manifest.create(self.store, len(chunks_of(shape, chunks)), fingerprint, about)
        root = zarr.open_group(self.store, mode="r+")
        root.attrs.update(dict(attrs or {}))
        for name, v in variables.items():
            root.create_array(
                name,
                shape=(*v.lead, *shape),
                chunks=(*v.lead, *chunks),
                dtype=v.dtype,
                fill_value=v.unset,
                dimension_names=(*v.lead_dims, *dims),
                attributes=dict(v.attrs),
            )
        _consolidate(self.store)
        self.manifest.make_ready()

    def write(self, chunk: Chunk, maps: Mapping[str, np.ndarray]) -> None:
        """Write all arrays of a chunk."""
        lacking = [name for name in self.arrays if name not in maps]
        if lacking:
            msg = f"the work on chunk {chunk.number} returned no {', '.join(lacking)}; it must return {', '.join(self.arrays)}"
            raise DataError(msg)
        for name, array in self.arrays.items():
            array[(..., *chunk.where)] = maps[name]

    def give_up(self, chunk: Chunk) -> None:
        """Fill a chunk with what says that it failed."""
        failed = self.manifest.attributes["failed"]
        for name, array in self.arrays.items():
            array[(..., *chunk.where)] = math.nan if failed[name] is None else failed[name]
        self.manifest.quarantined(chunk.number)

    def chunks(self) -> list[Chunk]:
        """All chunks."""
        about = self.manifest.attributes
        return chunks_of(tuple(about["shape"]), tuple(about["chunks"]))


def need_zarr() -> None:
    """Say what is missing."""
    try:
        import zarr  # noqa: F401
    except ImportError as err:
        msg = 'fits between stores need zarr: pip install "surffit[parallel]"'
        raise OptionalDependencyError(msg) from err


def location(out: Any) -> Any:
    """A place that zarr can open: text for paths."""
    if out is None:
        msg = "out is None; give a path for the maps"
        raise DataError(msg)
    return os.fspath(out) if isinstance(out, os.PathLike) else out


def what_is_there(store: Any) -> str:
    """Text on what a store holds; empty if nothing."""
    about = stored_print(store)
    if about is not None:
        states = Manifest(store).states() if about.get("ready") else np.zeros(0)
        return f"a fit with {int((states == State.DONE).sum())} of {len(states)} chunks done"
    if isinstance(store, str) and "://" not in store:
        if not os.path.exists(store) or (os.path.isdir(store) and not os.listdir(store)):
            return ""
        return "something that is no fit of surffit"
    import zarr

    try:
        root = zarr.open_group(store, mode="r")
    except (FileNotFoundError, KeyError, ValueError):
        return ""
    names = [name for name in root.keys() if name != GROUP]  # noqa: SIM118 -- a zarr group
    return f"a group with {', '.join(names[:5])}" if names else ""


def _plain(number: Number) -> Number | None:
    return None if isinstance(number, float) and math.isnan(number) else number


def _consolidate(store: Any) -> None:
    """All metadata in one place, where what opens stores looks first; zarr warns, in a thread of its own, that this is young."""
    from zarr.api import asynchronous
    from zarr.core.sync import sync

    async def quietly() -> None:
        with filtered("ignore"):
            await asynchronous.consolidate_metadata(store)

    sync(quietly())
