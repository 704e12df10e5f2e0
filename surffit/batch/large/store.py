"""`fit_store`: from one store to another, chunk by chunk, over more data than fit in memory."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..._version import __version__
from ...core.containers import is_dataarray
from ...exceptions import DataError
from ...solve.status import SENTENCES, Status
from ..chunks.engine import SAMPLE, ChunkRun, run_chunks
from ..chunks.output import Chunk, Variable, need_zarr
from ..door.laid import Laid, lay, lay_coordinate, lay_parameters
from .blockfit import BlockFit, sort_call
from .fingerprint import describe, job_print
from .layout import Place, attributes, layout
from .lazy import check_dtype, find_axes, kept_attributes, kept_coords
from .stored import Opened, Stored, open_store

if TYPE_CHECKING:
    from xarray import Dataset

__all__ = ["StoreResult", "fit_store"]

# a chunk of the data is cut further where it would take more memory than this [bytes, as float64]
LARGEST = 256_000_000


@dataclass(frozen=True, eq=False)
class FitWork:
    """`BlockFit` on chunks of arrays, in files or in memory."""

    job: BlockFit
    data: Laid
    pieces: Mapping[str, Laid]
    shape: tuple[int, ...]
    names: Mapping[str, str]

    def __reduce__(self) -> tuple[Any, ...]:
        # arrays in memory stay here: `pack` sends their parts
        kept = {key: piece if _lies_in_a_file(piece.array) else Laid(None, piece.axes) for key, piece in self.pieces.items()}
        return FitWork, (self.job, self.data, kept, self.shape, self.names)

    def _where(self, chunk: Chunk) -> list[slice]:
        place = iter(chunk.where)
        return [slice(0, n) if a in self.job.fit_axes else next(place) for a, n in enumerate(self.shape)]

    def pack(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Parts of the arrays in memory."""
        where = self._where(chunk)
        return {key: piece.cut(where) for key, piece in self.pieces.items() if not _lies_in_a_file(piece.array)}

    def read(self, chunk: Chunk, packed: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Read the data and what goes with them."""
        where = self._where(chunk)
        parts = {}
        for key, piece in self.pieces.items():
            parts[key] = piece.opened(packed[key] if key in packed else piece.cut(where), len(self.shape))
        return self.data.cut(where), parts

    def compute(self, chunk: Chunk, block: tuple[np.ndarray, dict[str, np.ndarray]], workers: int) -> dict[str, np.ndarray]:
        """Fit."""
        maps = self.job(*block, workers=workers)
        return {self.names[key]: array for key, array in maps.items()}


class StoreResult:
    """
    A fit in a store.

    Parameters
    ----------
    run : ChunkRun
        How the work on the chunks ended.
    dims : tuple of str
        Dimensions of the maps.

    Attributes
    ----------
    out : str or zarr store
    complete : bool
        Whether every chunk was fitted or quarantined; False after an interrupt.
    quarantined : dict of int to Quarantined
        Chunks that were given up, by number.
    """

    def __init__(self, run: ChunkRun, dims: tuple[str, ...]) -> None:
        self.out, self.complete = run.output.store, run.complete
        self._output = run.output
        chunks = run.output.chunks()
        self.quarantined = {
            number: Quarantined(dict(zip(dims, chunks[number].where, strict=True)), text) for number, text in run.quarantined.items()
        }

    def dataset(self) -> Dataset:
        """
        The maps.

        Returns
        -------
        xarray.Dataset
            Opened from `out`, not read yet. Where a chunk was not reached, nan and the flag ABORTED; where it was given up, nan and
            CHUNK_FAILED.
        """
        import xarray

        found = xarray.open_zarr(self.out, consolidated=False, chunks=None)
        return found[list(self._output.manifest.attributes["variables"])]  # in their order

    def flags(self) -> dict[str, int]:
        """
        How many data sets have which flag, read chunk by chunk.

        Returns
        -------
        dict of str to int
            Flags that occur, by name.
        """
        counts = dict.fromkeys((str(flag.name) for flag in Status), 0)
        status = self._output.arrays[self._output.flags or "status"]
        for chunk in self._output.chunks():
            values, times = np.unique(np.asarray(status[chunk.where]), return_counts=True)
            for value, n in zip(values.tolist(), times.tolist(), strict=True):
                for name in Status(value).names:
                    counts[name] += n
        return {name: n for name, n in counts.items() if n}

    def summary(self) -> str:
        """
        The fit in words: how many, how they ended, what was given up and why.

        Returns
        -------
        str
            Several lines.
        """
        about = self._output.manifest.attributes
        n = math.prod(about["shape"])
        name, end = about["fingerprint"]["fit"]["model"].rpartition(" ")[0], "complete" if self.complete else "not complete"
        lines = [f"{name}: {n} fits in {self.out}, {end}."]
        lines += [f"  {count} {name}: {SENTENCES[Status[name]]}" for name, count in self.flags().items()]
        for number, lost in self.quarantined.items():
            where = ", ".join(f"{dim} {cut.start}:{cut.stop}" for dim, cut in lost.where.items())
            lines.append(f"  chunk {number} ({where}) was given up: {lost.reason}")
        if self.quarantined:
            lines.append("  resume=True with a larger max_attempts tries those given up again.")
        if not self.complete:
            lines.append("  resume=True goes on with it.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        given_up = f", {len(self.quarantined)} chunk{'s' * (len(self.quarantined) > 1)} quarantined" if self.quarantined else ""
        return f"<StoreResult {self.out!r}: {'complete' if self.complete else 'not complete'}{given_up}>"


@dataclass(frozen=True)
class Quarantined:
    """
    A chunk that was given up.

    Attributes
    ----------
    where : dict of str to slice
        Its part of the map.
    error : str
        The whole text of the exception.
    """

    where: Mapping[str, slice]
    error: str

    @property
    def reason(self) -> str:
        """The last line of the error."""
        return self.error.strip().splitlines()[-1] if self.error.strip() else "unknown"


def fit_store(
    store: Any,
    model: Any,
    *,
    out: Any,
    dim: str | tuple[str, ...] | None = None,
    axis: int | tuple[int, ...] | None = None,
    variable: str | None = None,
    group: str | None = None,
    chunks: Mapping[str, int] | tuple[int, ...] | None = None,
    resume: bool = False,
    max_attempts: int = 2,
    client: Any = None,
    params: Any = None,
    sigma: Any = None,
    weights: Any = None,
    mask: Any = None,
    workers: int | None = None,
    worker_timeout: float = 300.0,
    progress: Any = False,
    on_error: str = "flag",
    coords: Mapping[str, Any] | None = None,
    **words: Any,
) -> StoreResult:
    """
    Fit a model to many data sets in a store, chunk by chunk, and write the maps to another.

    A killed run goes on where it stopped (``resume=True``); no chunk is computed again once it was stored.

    Parameters
    ----------
    store : path, zarr array or zarr group
        A zarr array or group, or a file that xarray opens.
    model : SurfaceModel, lmfit.Model, callable or str
        As in `fit_many`.
    out : path or zarr store
        For the maps; must not exist, unless `resume`. `xarray.open_zarr` opens it.
    dim : str or tuple of str, optional
        Dimensions along which one data set lies.
    axis : int or tuple of int, optional
        The same by number; 0 where there are no names.
    variable, group : str, optional
        Which one of a group or file.
    chunks : dict of str to int, or tuple of int, optional
        Size of the pieces of the map that are fitted and stored together; by default those of the store.
    resume : bool
        Go on with what `out` holds. The model, parameters, options and data must be the same.
    max_attempts : int
        Chunks that fail, or kill their process, so often are given up: nan and the flag CHUNK_FAILED.
    client : distributed.Client or False, optional
        Where to compute; by default the active client of dask.distributed if there is one, else threads of this process. Workers need
        some 400 MB for Python and its compilers, besides two or three chunks; distributed pauses them at 80 % of their limit.
    params : lmfit.Parameters or mapping, optional
        As in `fit_many`; maps among the values are cut into the chunks.
    sigma, weights, mask : array_like or str, optional
        As in `fit_many`; text names a variable of the store.
    workers : int, optional
        Threads of this process.
    worker_timeout : float
        How long a cluster that has lost all its workers is waited for [s]; then the call warns, and returns with ``complete=False``.
    progress : bool or callable
        As in `fit_many`.
    on_error : {"flag", "raise"}
        "raise": stop at the first chunk that fails.
    coords : mapping, optional
        Coordinates whose names are words of this function.
    **words
        Coordinates, and further words of `fit_many`. Text names a coordinate or variable of the store.

    Returns
    -------
    StoreResult
        Ctrl-C finishes the chunks that run, and returns with ``complete=False``.

    Raises
    ------
    DataError
        If the store, the dimension or an argument doesn't fit; if `out` exists and `resume` is False, or it holds another fit.
    ParameterError
        For starts that need the whole map.

    Examples
    --------
    >>> import numpy as np, tempfile, zarr
    >>> import surffit as sf
    >>> t = np.arange(4.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cube = zarr.create_array(f"{folder}/cube.zarr", data=np.multiply.outer(t, np.ones((2, 3))), chunks=(4, 1, 3))
    ...     fit = sf.fit_store(f"{folder}/cube.zarr", sf.get_model("linear"), out=f"{folder}/fit.zarr", axis=0, x=t)
    ...     fit.complete, float(fit.dataset()["slope"][0, 0].round(6))
    (True, 1.0)
    """
    need_zarr()
    options, given = _sorted(words)
    given |= coords or {}
    opened = open_store(store, variable, group)
    shape, dims = tuple(opened.array.shape), opened.dims
    check_dtype(opened.array.dtype)
    fit_axes = find_axes(dims if dim is not None or axis is None else None, len(shape), dim, axis)
    named = {name: _named(opened, value, name, False) for name, value in given.items()}
    points = {"sigma": sigma, "weights": weights, "mask": mask}
    points = {name: _named(opened, value, name, True) for name, value in points.items()}
    errors = {name: points[name] for name in ("sigma", "weights")}
    call = sort_call(model, opened.lazy, named, params, errors, {**options, "on_error": on_error, "workers": workers}, "a fit of a store")
    pieces = {f"coord:{name}": _lay(opened, value, name, lay_coordinate, fit_axes) for name, value in call.coords.items()}
    pieces |= {name: _lay(opened, value, name, lay, fit_axes) for name, value in points.items() if value is not None}
    shared, arrays = lay_parameters(call.params, shape, opened.lazy, fit_axes)
    pieces |= arrays
    if on_error == "raise":
        options["on_error"] = on_error
    job = BlockFit.of(call, shared, arrays, fit_axes, options)
    map_axes = [a for a in range(len(shape)) if a not in fit_axes]
    map_dims = tuple(dims[a] if dims else f"dim_{i}" for i, a in enumerate(map_axes))
    size = _chunks(opened, chunks, shape, fit_axes, map_axes, map_dims)
    kept = {} if opened.lazy is None else kept_coords(opened.lazy, [opened.lazy.dims[a] for a in fit_axes])
    attrs = {} if opened.lazy is None else _plain_attributes(kept_attributes(opened.lazy))
    places = layout(job, (*map_dims, *map(str, kept)))
    run = run_chunks(
        FitWork(job, Laid(opened.array, tuple(range(len(shape)))), pieces, shape, {key: p.name for key, p in places.items()}),
        out,
        {p.name: _variable(key, p, len(job.free)) for key, p in places.items()},
        tuple(shape[a] for a in map_axes),
        size,
        dims=map_dims,
        fingerprint={**_fingerprint(job, opened, pieces), SAMPLE: _sample(opened.array, fit_axes)},
        dress=lambda place: _dress(place, kept, places["covar"].lead if job.covar else (), job.free),
        attrs={**attrs, **attributes(job)},
        resume=resume,
        max_attempts=max_attempts,
        client=client,
        workers=workers,
        worker_timeout=worker_timeout,
        progress=progress,
        on_error=on_error,
    )
    return StoreResult(run, map_dims)


def _sorted(words: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Words of `fit_many`, and coordinates."""
    from ..fit import fit_many

    known = [name for name, p in inspect.signature(fit_many).parameters.items() if p.kind is not p.VAR_KEYWORD]
    return {k: v for k, v in words.items() if k in known}, {k: v for k, v in words.items() if k not in known}


def _named(opened: Opened, value: Any, name: str, must: bool) -> Any:
    """A variable of the store, where text names one; short ones are read now, so that the fingerprint holds their values."""
    if not isinstance(value, str) or (value not in opened.others and not must):
        return value
    if value not in opened.others:
        found = ", ".join(opened.others) or "none, being a single array"
        msg = f"{name}={value!r} names no variable of the store, which has {found}"
        raise DataError(msg)
    stored = opened.others[value]
    return stored if stored.ndim > 1 else opened.whole[value]


def _lay(opened: Opened, value: Any, name: str, how: Any, fit_axes: tuple[int, ...]) -> Laid:
    if getattr(value, "ndim", 0) > 1 and is_dataarray(value) and str(value.name) in opened.others:
        value = opened.others[str(value.name)]  # found by its name: not to be read now
    if not isinstance(value, Stored):
        return cast(Laid, how(value, name, tuple(opened.array.shape), opened.lazy, fit_axes))
    sizes, dims = dict(zip(value.dims, value.shape, strict=True)), opened.dims or ()
    if any(d not in dims or n != opened.array.shape[dims.index(d)] for d, n in sizes.items()):
        whole = dict(zip(dims, opened.array.shape, strict=True))
        msg = f"{name} ({value.name!r} of the store) has the dimensions {sizes} but the data have {whole}; give one that has those"
        raise DataError(msg)
    return Laid(value, tuple(dims.index(d) for d in value.dims))


def _lies_in_a_file(array: Any) -> bool:
    return isinstance(array, Stored) or type(array).__module__.partition(".")[0] == "zarr"


def _chunks(
    opened: Opened,
    wanted: Any,
    shape: tuple[int, ...],
    fit_axes: tuple[int, ...],
    map_axes: list[int],
    map_dims: tuple[str, ...],
) -> tuple[int, ...]:
    """Size of the chunks of the map: as wanted, else those of the store, cut further where they are too large for memory."""
    map_shape = [shape[a] for a in map_axes]
    if wanted is not None:
        if isinstance(wanted, Mapping):
            unknown = [d for d in wanted if d not in map_dims]
            if unknown:
                msg = f"chunks names {unknown[0]!r}, which is no dimension of the maps: they have {', '.join(map_dims)}"
                raise DataError(msg)
            wanted = [wanted.get(d, n) for d, n in zip(map_dims, map_shape, strict=True)]
        if not all(isinstance(c, int | np.integer) for c in wanted):
            msg = f"chunks={wanted!r} holds what is no whole number; give one positive size per axis"
            raise DataError(msg)
        sizes = [n if c == -1 else int(c) for c, n in zip(wanted, map_shape, strict=False)]
        if len(list(wanted)) != len(map_shape) or any(c < 1 for c in sizes):
            msg = f"chunks={wanted!r} does not fit maps of shape {tuple(map_shape)}; give one positive size per axis"
            raise DataError(msg)
        return tuple(min(c, max(n, 1)) for c, n in zip(sizes, map_shape, strict=True))
    sizes = [min(opened.chunks[a], shape[a]) if opened.chunks else shape[a] for a in map_axes]
    points = math.prod(shape[a] for a in fit_axes)
    while points * math.prod(sizes) * 8 > LARGEST and max(sizes, default=1) > 1:
        first = next(i for i, n in enumerate(sizes) if n > 1)
        sizes[first] = -(-sizes[first] // 2)
    return tuple(max(1, n) for n in sizes)


def _variable(key: str, place: Place, n_free: int) -> Variable:
    """How a map is stored, and what stands where there is none."""
    attrs = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in place.attrs.items()}
    lead = (n_free,) * len(place.lead)
    if place.dtype.kind == "f":
        return Variable("float64", lead=lead, lead_dims=place.lead, attrs=attrs)
    flags = (int(Status.ABORTED), int(Status.CHUNK_FAILED)) if key == "status" else (0, 0)
    return Variable(place.dtype.name, *flags, lead, place.lead, attrs)


def _fingerprint(job: BlockFit, opened: Opened, pieces: Mapping[str, Laid]) -> dict[str, Any]:
    def told(array: Any) -> Any:
        if isinstance(array, np.ndarray):
            return describe(array)
        name = getattr(array, "name", "").lstrip("/")
        return {"name": name, "shape": list(array.shape), "dtype": str(array.dtype), "chunks": list(array.chunks or ())}

    with_data = {key: [told(piece.array), list(piece.axes)] for key, piece in sorted(pieces.items())}
    return {"surffit": __version__, "fit": job_print(job), "data": told(opened.array), "with the data": with_data}


def _sample(array: Any, fit_axes: tuple[int, ...]) -> str | None:
    """A digest of the data set in the middle; None where it can't be read."""
    where = tuple(slice(None) if a in fit_axes else n // 2 for a, n in enumerate(array.shape))
    try:
        return str(describe(np.asarray(array[where])))
    except Exception:  # noqa: BLE001 -- this chunk will be quarantined, the others are fitted
        return None


def _dress(place: Any, kept: Mapping[Any, Any], lead: tuple[str, ...], free: tuple[str, ...]) -> None:
    """Write coordinates."""
    if not kept and not lead:
        return
    import xarray

    def bare(variable: Any) -> Any:
        # text of any length: zarr warns of the other kind
        values = np.asarray(variable.values)
        return (variable.dims, values.astype(object) if values.dtype.kind == "U" else values, dict(variable.attrs))

    coords = {name: bare(coord.variable) for name, coord in kept.items()}
    coords |= {name: (name, np.array(free, dtype=object), {}) for name in lead}
    xarray.Dataset(coords=coords).to_zarr(place, mode="a", zarr_format=3, consolidated=False)


def _plain_attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Those that JSON can hold."""
    return {str(k): v.tolist() if isinstance(v, np.ndarray | np.generic) else v for k, v in attrs.items() if not callable(v)}
