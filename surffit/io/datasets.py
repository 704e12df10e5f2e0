"""
Batches as netCDF files and zarr stores: the Dataset that `to_dataset` makes, with the document as an attribute.

A zarr store may name any codec that is installed, some of which run code (pickle): its metadata are read as JSON and checked before
zarr sees them. An HDF5 file may point to other files: those are refused, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from surffit.exceptions import DocumentError, OptionalDependencyError, UnsafeFileError
from surffit.io.arrays import DTYPES
from surffit.io.batches import MAPS, SCHEMA, batch_document, plain_attrs, plain_coordinate, read_batch
from surffit.io.checks import exactly, shown
from surffit.io.files import MAX_BYTES, dumps, parse, path_of, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["load_dataset", "save_dataset"]

DOCUMENT = "surffit_document"
COMPRESSORS = {"blosc", "zstd", "zlib", "gzip", "lz4"}
MOST_FILES = 1_000_000


def save_dataset(batch: Any, path: str | os.PathLike[str], suffix: str) -> None:
    """
    Write a batch as netCDF (".nc") or zarr (".zarr").

    Raises
    ------
    OptionalDependencyError
        If the packages for it are not installed.
    DocumentError
        If another kind of folder stands where the store should.
    OSError
        If it can't be written; what was there is as it was.
    """
    _need(suffix, "saved")
    dataset = batch.to_dataset()
    labels = None if batch.labels.template is None else {"dims": list(batch.labels.dims), "coords": {}, "attrs": {}}
    # a file has no room for objects among the attributes
    dataset.attrs = plain_attrs(dataset.attrs)
    for name, coordinate in dataset.coords.items():
        array = plain_coordinate(str(name), coordinate.values)
        dataset = dataset.assign_coords({name: (coordinate.dims, array, plain_attrs(coordinate.attrs))})
    dataset.attrs[DOCUMENT] = dumps(batch_document(batch, labels or {}, {}))
    target = Path(os.path.realpath(path_of(path)))
    if suffix == ".zarr":
        _refuse_other(target)
        _replace(target, lambda temporary: dataset.to_zarr(temporary, mode="w", zarr_format=2, consolidated=False))
    else:
        if target.exists() and not target.is_file():
            msg = f"{shown(path_of(path))} is not a regular file; give the path of a file"
            raise DocumentError(msg, path=path_of(path))
        _replace(target, lambda temporary: dataset.to_netcdf(temporary, engine="h5netcdf"))


def _replace(target: Path, write: Callable[[str], object]) -> None:
    """Write beside the target, and exchange the two at the end."""
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp{target.suffix}")
    old = None
    try:
        write(os.fspath(temporary))
        if target.is_dir():
            old = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.old")
            os.replace(target, old)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            if old is not None and not target.exists():
                os.replace(old, target)
                old = None
        _remove(temporary)
        raise
    if old is not None:
        _remove(old)


def _remove(path: Path) -> None:
    if not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    for _ in range(20):  # threads of zarr may still write into a store that failed
        if not path.exists():
            return
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.02)


def _refuse_other(target: Path) -> None:
    """Replace nothing but a store of our own."""
    if not target.exists():
        return
    try:
        ours = DOCUMENT in _json(target / ".zattrs")
    except (OSError, DocumentError):
        ours = False
    if not ours:
        msg = f"{shown(str(target))} exists and is no batch of surffit; remove it, or give another path"
        raise DocumentError(msg, path=str(target))


def load_dataset(path: str | os.PathLike[str], suffix: str, model: Any, most: int) -> Any:
    """
    Read a batch from netCDF or zarr.

    Parameters
    ----------
    path : path-like
    suffix : {".nc", ".zarr"}
    model : SurfaceModel or None
    most : int
        Largest size of the maps in memory [bytes].

    Returns
    -------
    BatchResult
    """
    _need(suffix, "loaded")
    import xarray as xr

    where = shown(path_of(path))
    target = Path(os.path.realpath(path_of(path)))
    if suffix == ".zarr":
        _check_store(target, where)
        opened = xr.open_zarr(os.fspath(target), consolidated=False, chunks=None)
    else:
        _check_hdf(target, where)
        opened = xr.open_dataset(os.fspath(target), engine="h5netcdf")
    with opened:
        document = opened.attrs.get(DOCUMENT)
        if not isinstance(document, str) or len(document) > MAX_BYTES:
            msg = f"{where} holds no document of surffit; open it with xarray"
            raise DocumentError(msg, path=path_of(path))
        content = parse(document, where)
        if content["schema"] != SCHEMA:
            msg = f"{where} has the schema {shown(content['schema'])}, where {SCHEMA} belongs"
            raise DocumentError(msg, schema=content["schema"])
        if opened.nbytes > most:
            msg = f"the maps in {where} take {opened.nbytes} bytes, more than {most}; if you trust it, pass a larger max_bytes"
            raise UnsafeFileError(msg, bytes=opened.nbytes)
        try:
            dataset = opened.load()
        except Exception as err:  # whatever a damaged chunk makes the libraries raise
            msg = f"{where} is damaged: {str(err)[:200]}"
            raise UnsafeFileError(msg) from err
    return _rebuilt(content, dataset, model, where)


def _rebuilt(content: Mapping[str, Any], dataset: Any, model: Any, where: str) -> Any:
    """The maps under the names that the writer gave them."""
    from surffit.batch.answer.dataset import variable_names
    from surffit.core.columns import free_name

    read_batch(content, model, {})
    own = {name for name in dataset.coords if str(name).removesuffix("_fit").startswith("parameter") and "covar" in str(dataset.data_vars)}
    params = tuple(content["params"])
    probe = [name for name in dataset.coords if name not in own]
    dims = next((tuple(map(str, v.dims)) for v in dataset.data_vars.values() if v.attrs.get("flag_masks") is not None), ())
    taken = (*dims, *map(str, probe))
    names = variable_names(params, taken)

    def array(name: str) -> Any:
        if name not in dataset.data_vars:
            msg = f"{where} has no variable {name!r}; it is damaged or was not written by surffit"
            raise UnsafeFileError(msg, name=name)
        return dataset[name].values

    import numpy as np

    arrays: dict[str, Any] = {}
    for key, k in (("values", 0), ("stderr", 1)):
        found = [array(names[name][k]) for name in content["free"] if name in names]
        arrays[key] = np.array(found, dtype=float).reshape(len(found), *np.shape(array(free_name("status", taken))))
    for name, dtype in MAPS.items():
        arrays[name] = np.asarray(array(free_name(name, taken))).astype(dtype)
    if content["covar"] is True:
        arrays["covar"] = np.asarray(array(free_name("covar", taken)), dtype="<f8")
    for i, name in enumerate(content["known"]):
        arrays[f"known_{i}"] = np.asarray(array(names[name][0]), dtype="<f8")
    tied = [name for name, entry in content["params"].items() if entry["expr"]]
    for i, name in enumerate(tied):
        arrays[f"tied_{i}"] = np.array([array(part) for part in names[name]], dtype="<f8")
    arrays = {name: np.asarray(values, dtype=MAPS.get(name, "<f8")) for name, values in arrays.items()}
    wrap = None
    if content["labels"] is not None:
        import xarray as xr

        exactly(content["labels"], {"dims", "coords", "attrs"}, "the labels")
        coords = {name: dataset.coords[name].variable for name in probe}
        attrs = {name: value for name, value in dataset.attrs.items() if not str(name).startswith("surffit_")}

        def wrap(values: np.ndarray) -> Any:
            return xr.DataArray(values, coords=coords, dims=dims, attrs=attrs)

    return read_batch(content, model, arrays, wrap)


# ---- what may be in a file before a library opens it


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(read_text(path, MAX_BYTES))
    if not isinstance(content, dict):
        msg = f"{shown(str(path))} is no JSON object"
        raise UnsafeFileError(msg)
    return content


def _check_store(target: Path, where: str) -> None:
    """Arrays of numbers and texts, with compressors that only compress."""
    if not (target / ".zgroup").is_file():
        msg = f"{where} is no zarr store as surffit writes it; open it with xarray.open_zarr"
        raise DocumentError(msg, path=str(target))
    count = 0
    for folder, folders, files in os.walk(target):
        count += len(files) + len(folders)
        if count > MOST_FILES:
            msg = f"{where} has more than {MOST_FILES} files; surffit never writes that"
            raise UnsafeFileError(msg)
        for name in (*folders, *files):
            if os.path.islink(os.path.join(folder, name)):
                msg = f"{where} holds the link {shown(name)}; surffit never writes that"
                raise UnsafeFileError(msg)
        if "zarr.json" in files:
            msg = f"{where} holds metadata of another format of zarr; surffit never writes that"
            raise UnsafeFileError(msg)
        if ".zarray" in files:
            _check_array(Path(folder) / ".zarray", where)


def _check_array(path: Path, where: str) -> None:
    try:
        content = _json(path)
    except (ValueError, RecursionError) as err:
        msg = f"the metadata of {shown(path.parent.name)} in {where} are no JSON"
        raise UnsafeFileError(msg) from err
    dtype, compressor = content.get("dtype"), content.get("compressor")
    plain = isinstance(dtype, str) and DTYPES.fullmatch(dtype) is not None
    known = compressor is None or (isinstance(compressor, dict) and compressor.get("id") in COMPRESSORS)
    if not plain or not known or content.get("filters"):
        msg = (
            f"the array {shown(path.parent.name)} in {where} has the type {shown(dtype)}, the compressor {shown(compressor)} and the "
            f"filters {shown(content.get('filters'))}; surffit writes numbers and texts without filters"
        )
        raise UnsafeFileError(msg)


def _check_hdf(target: Path, where: str) -> None:
    """Data that lie in the file itself."""
    import h5py

    try:
        with h5py.File(target, "r") as file:
            for name in file:
                link = file.get(name, getlink=True)
                item = file[name] if isinstance(link, h5py.HardLink) else None
                if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
                    msg = f"{where} holds {shown(str(name))}, which is no data of its own; surffit never writes that"
                    raise UnsafeFileError(msg)
    except OSError as err:
        msg = f"{where} is no netCDF file as surffit writes it: {str(err)[:200]}"
        raise DocumentError(msg) from err


def _need(suffix: str, what: str) -> None:
    """The packages that a kind of file takes."""
    from importlib.util import find_spec

    names = ("xarray", "zarr") if suffix == ".zarr" else ("xarray", "h5netcdf", "h5py")
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        msg = f"a {suffix} file can't be {what} without {', '.join(missing)}: pip install 'surffit[parallel]'; .npz needs nothing else"
        raise OptionalDependencyError(msg, missing=tuple(missing))
