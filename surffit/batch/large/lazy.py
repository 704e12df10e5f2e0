"""dask in, dask out: every block of a larger array is fitted when, and where, its scheduler wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...exceptions import DataError, OptionalDependencyError, ParameterError
from ...solve.status import CONVERGED, FAILED
from ..door.clothes import OF_VALUES
from ..door.laid import Laid, lay, lay_coordinate, lay_parameters
from .blockfit import INTEGERS, BlockFit, sort_call
from .fingerprint import digest
from .layout import dataset

if TYPE_CHECKING:
    from xarray import Dataset

__all__ = ["LazyMaps", "fit_lazy", "is_lazy"]


def is_lazy(data: Any) -> bool:
    """Whether data are a dask array, or a DataArray on one."""
    inner = data.data if hasattr(data, "dims") and hasattr(data, "coords") else data
    return hasattr(inner, "dask") and hasattr(inner, "chunks")


def fit_lazy(
    model: Any,
    data: Any,
    *,
    dim: Any = None,
    axis: Any = None,
    params: Any = None,
    sigma: Any = None,
    weights: Any = None,
    mask: Any = None,
    coords: Mapping[str, Any] | None = None,
    **options: Any,
) -> Dataset | LazyMaps:
    """
    Lay out the fit of a model to many data sets; nothing is computed.

    Parameters
    ----------
    model : SurfaceModel, lmfit.Model or callable
    data : dask array, or DataArray on one
        The fit axes must lie in one chunk each.
    dim : str or tuple of str
        Fit dimensions of a DataArray.
    axis : int or tuple of int
        Fit axes of a bare dask array.
    params, sigma, weights, mask
        As in `fit_many`; dask arrays, arrays or DataArrays. They are cut into the chunks of the data.
    coords : mapping
        Coordinates by name of the independent variable; text names a coordinate of the data.
    **options
        Further words of `fit_many`.

    Returns
    -------
    xarray.Dataset or LazyMaps
        Lazy maps: a Dataset for a DataArray, `LazyMaps` for a bare array.

    Raises
    ------
    DataError
        If a fit axis is cut into several chunks.
    ParameterError
        For words that have no meaning here (``progress``, ``workers``: the scheduler's business), and for starts that need the whole map.

    Notes
    -----
    Maps computed together are fitted once; each map computed by itself fits everything anew, so compute the Dataset, or persist it.
    """
    named = hasattr(data, "dims") and hasattr(data, "coords")
    dims = tuple(map(str, data.dims)) if named else None
    array = data.data if named else data
    fit_axes = find_axes(dims, array.ndim, dim, axis)
    _one_chunk(array, fit_axes, dims)
    _refuse(options)
    like, shape = data if named else None, array.shape
    check_dtype(array.dtype)
    call = sort_call(model, like, coords or {}, params, {"sigma": sigma, "weights": weights}, options, "a lazy fit")
    pieces: dict[str, Laid] = {f"coord:{name}": lay_coordinate(v, name, shape, like, fit_axes) for name, v in call.coords.items()}
    for name, value in (("sigma", sigma), ("weights", weights), ("mask", mask)):
        if value is not None:
            pieces[name] = lay(value, name, shape, like, fit_axes)
    shared, arrays = lay_parameters(call.params, shape, like, fit_axes)
    pieces.update(arrays)
    job = BlockFit.of(call, shared, arrays, fit_axes, options)
    maps = _graph(job, array, pieces)
    if not named:
        return LazyMaps(job, maps)
    keep = [d for i, d in enumerate(data.dims) if i not in fit_axes]
    return dataset(job, maps, keep, kept_coords(data, [data.dims[a] for a in fit_axes]), kept_attributes(data))


def find_axes(dims: tuple[str, ...] | None, ndim: int, dim: Any, axis: Any) -> tuple[int, ...]:
    """Fit axes by name or number, in rising order."""
    if dim is not None and axis is not None:
        msg = f"axis={axis!r} and dim={dim!r} were both given; give one of them"
        raise DataError(msg)
    if dims is not None and dim is not None:
        wanted = [dim] if isinstance(dim, str) else list(dim)
        unknown = [d for d in wanted if d not in dims]
        if unknown or not wanted:
            msg = f"dim={dim!r} names no dimension of the data, which have {', '.join(dims)}"
            raise DataError(msg, dims=dims)
        return tuple(sorted(dims.index(d) for d in wanted))
    if dims is not None and axis is None:
        msg = f"data with named dimensions need dim=, the dimension along which one data set lies; they have {', '.join(dims)}"
        raise DataError(msg, dims=dims)
    if dim is not None:
        msg = f"dim={dim!r} needs data with named dimensions; use axis= here"
        raise DataError(msg)
    numbers = [int(a) for a in np.atleast_1d(0 if axis is None else axis)]
    if any(not -ndim <= a < ndim for a in numbers):
        msg = f"axis={axis!r} is outside data with {ndim} axes"
        raise DataError(msg)
    return tuple(sorted({a % ndim for a in numbers}))


def check_dtype(dtype: Any) -> None:
    """Refuse what can't be fitted before it is read."""
    if np.dtype(dtype).kind not in "biufO":
        kind = "complex; fit the real and imaginary parts" if np.dtype(dtype).kind == "c" else f"of type {dtype}; pass numbers"
        msg = f"the data are {kind}"
        raise DataError(msg)


def _one_chunk(array: Any, fit_axes: tuple[int, ...], dims: tuple[str, ...] | None) -> None:
    cut = [a for a in fit_axes if len(array.chunks[a]) > 1]
    if not cut:
        return
    keys = ", ".join(f'"{dims[a]}": -1' if dims else f"{a}: -1" for a in cut)
    remedy = f"da.chunk({{{keys}}})" if dims else f"data.rechunk({{{keys}}})"
    what = " and ".join(repr(dims[a]) if dims else f"axis {a}" for a in cut)
    counts = " and ".join(str(len(array.chunks[a])) for a in cut)
    msg = f"the fit runs along {what}, which is cut into {counts} chunks; every data set must lie in one chunk: pass {remedy}"
    raise DataError(msg, chunks=array.chunks)


def _refuse(options: dict[str, Any]) -> None:
    for word, why in (("progress", "show it with dask.diagnostics.ProgressBar or the dashboard"), ("workers", "set it there")):
        if options.pop(word, None) not in (None, False):
            msg = f"{word}= has no meaning for a lazy fit, which the dask scheduler runs; {why}"
            raise ParameterError(msg)


def _fit_block(job: BlockFit, ndim: int, order: list[tuple[str, tuple[int, ...]]], data: Any, *parts: Any) -> np.ndarray:
    """All maps of a block, stacked."""
    pieces = {key: Laid(part, axes).opened(np.asarray(part), ndim) for (key, axes), part in zip(order, parts, strict=True)}
    maps = job(np.asarray(data), pieces)
    rows = [maps[name] for name in job.variables]
    if job.covar:
        rows += list(maps["covar"].reshape(-1, *rows[0].shape))
    return np.array(rows, dtype=float)


def _graph(job: BlockFit, array: Any, pieces: dict[str, Laid]) -> dict[str, Any]:
    try:
        import dask.array
        from dask import delayed
    except ImportError as err:
        msg = 'lazy fits need dask: pip install "surffit[parallel]"'
        raise OptionalDependencyError(msg) from err
    map_axes = [a for a in range(array.ndim) if a not in job.fit_axes]
    stack = array.ndim  # label of the axis along which the maps are stacked
    operands: list[Any] = [array, tuple(range(array.ndim))]
    for piece in pieces.values():
        laid = piece.array
        chunks = tuple(array.chunks[a] for a in piece.axes)
        if hasattr(laid, "dask"):
            laid = laid.rechunk(chunks)
        else:
            laid = dask.array.from_array(np.asarray(laid), chunks=chunks or -1)
        operands += [laid, piece.axes]
    count = len(job.variables) + (len(job.free) ** 2 if job.covar else 0)
    token = digest(job, [array.name, *(piece.array for piece in pieces.values())])
    whole = dask.array.blockwise(
        _fit_block,
        (stack, *map_axes),
        *_leading(delayed(job, name=f"surffit-model-{token}", traverse=False), array.ndim, [(k, p.axes) for k, p in pieces.items()]),
        *operands,
        new_axes={stack: count},
        name=f"surffit-fit-{token}",
        dtype=float,
        concatenate=True,
        align_arrays=False,
        meta=np.empty((0,) * (1 + len(map_axes))),
    )
    maps = {name: whole[i].astype(INTEGERS.get(name, float)) for i, name in enumerate(job.variables)}
    if job.covar:
        n = len(job.free)
        maps["covar"] = whole[len(job.variables) :].reshape((n, n, *whole.shape[1:]))
    return maps


def _leading(*values: Any) -> list[Any]:
    return [item for value in values for item in (value, None)]


def kept_coords(data: Any, gone: list[Any]) -> dict[Any, Any]:
    """Coordinates that don't lie along the fit dimensions."""
    return {name: coord for name, coord in data.coords.items() if not set(coord.dims) & set(gone)}


def kept_attributes(data: Any) -> dict[Any, Any]:
    """Attributes that don't tell of the data's own values."""
    return {name: value for name, value in data.attrs.items() if name not in OF_VALUES}


class LazyMaps:
    """
    The maps of a fit that has not been computed.

    Attributes
    ----------
    values, stderr : dict of str to dask array
        By name of parameter.
    chisqr, redchi, nobs, nfree, nfev, status : dask array
    success, failed : dask array of bool
        Whether a minimum was reached; the opposite.
    covar : dask array
        If asked for.
    """

    def __init__(self, job: BlockFit, maps: Mapping[str, Any]) -> None:
        self._job, self._maps = job, dict(maps)
        self.values = {name: maps[name] for name in job.names}
        self.stderr = {name: maps[f"{name}_stderr"] for name in job.names}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._maps:
            return self._maps[name]
        others = ", ".join(n for n in self.__dict__.get("_maps", {}) if n in {*INTEGERS, "chisqr", "redchi", "covar"})
        msg = f"lazy maps have no {name!r}; they have values, stderr, {others}, success, failed"
        raise AttributeError(msg)

    @property
    def success(self) -> Any:
        """Where a minimum was reached."""
        status = self._maps["status"]
        return ((status & int(CONVERGED)) != 0) & ((status & int(FAILED)) == 0)

    @property
    def failed(self) -> Any:
        """Where none was."""
        return ~self.success

    def __repr__(self) -> str:
        status = self._maps["status"]
        how = "not computed yet" if hasattr(status, "dask") else f"{int(self.success.sum())} of {status.size} fits succeeded"
        return f"<LazyMaps of {self._job.model.name}: {how} ({' x '.join(map(str, status.shape)) or 'one data set'})>"

    def compute(self, **kws: Any) -> LazyMaps:
        """The same with numpy arrays, all maps from one pass over the data."""
        import dask

        (maps,) = dask.compute(self._maps, **kws)
        return LazyMaps(self._job, maps)

    def to_dataset(self) -> Dataset:
        """All maps as an xarray Dataset, still lazy if they are."""
        ndim = np.ndim(self._maps["status"])
        return dataset(self._job, self._maps, [f"dim_{i}" for i in range(ndim)], {}, {})
