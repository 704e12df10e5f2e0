"""
Batches as files: a document of names and words, and the maps as arrays beside it.

An .npz holds both: ``document.json`` and one ``.npy`` per map. A netCDF file or zarr store is the batch's Dataset with the document as
an attribute; the maps there have people's names, and other programs read them too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from surffit._version import __version__
from surffit.exceptions import DocumentError, UnsafeFileError
from surffit.io.arrays import DTYPES, npy_of, pack, unpack
from surffit.io.checks import (
    MOST_PARAMETERS,
    check_expression,
    check_name,
    check_text,
    clean,
    exactly,
    in_order,
    is_plain,
    real,
    shown,
)  # fmt: skip
from surffit.io.files import MAX_BYTES, dumps, number, parse, path_of, read_bytes, write_atomic
from surffit.io.models import model_document, read_tree
from surffit.io.reading import read_params

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SCHEMA", "SUFFIXES", "batch_document", "kind_of", "load_batch", "plain_attrs", "plain_coordinate", "read_batch", "save_batch"]

SCHEMA = "surffit.batch/1"
SUFFIXES = (".npz", ".nc", ".zarr")
KEYS = {
    "schema", "surffit", "model", "options", "params", "free", "linear", "known", "coordinates", "shape", "axes", "scale_covar",
    "engine", "engine_reason", "errors", "complete", "elapsed", "covar", "labels", "arrays",
}  # fmt: skip
MAPS = {"chisqr": "<f8", "nobs": "<i4", "nfree": "<i4", "nfev": "<i4", "status": "<u4"}
LARGER = 16  # the maps may be this many times as large as a document
MEMBER = "document.json"
MOST_AXES = 32
MOST_ERRORS, LONGEST_ERROR = 1000, 2000


# ---- writing


def save_batch(batch: Any, path: str | os.PathLike[str]) -> None:
    """
    Write a batch; see `BatchResult.save`.

    Raises
    ------
    DocumentError
        If the suffix of the path is unknown, or a name or constraint could not be read back.
    OSError
        If it can't be written; what was there is as it was.
    """
    suffix = os.path.splitext(path_of(path))[1].lower()
    if suffix not in SUFFIXES:
        msg = f"a batch can't be saved as {shown(path_of(path))}; give a path that ends in {', '.join(SUFFIXES)}"
        raise DocumentError(msg, path=path_of(path))
    if suffix != ".npz":
        from surffit.io.datasets import save_dataset

        save_dataset(batch, path, suffix)
        return
    labels, coords = _labels(batch)
    arrays = {**_arrays(batch), **coords}
    document = batch_document(batch, labels, {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()})
    text = dumps(document)
    read_batch(parse(text), None, {})  # what could not be read is not written
    write_atomic(path, lambda file: pack(file, {MEMBER: text}, arrays))


def batch_document(batch: Any, labels: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """
    The names and words of a batch as plain dicts, lists, strings and numbers.

    Parameters
    ----------
    batch : BatchResult
    labels : mapping
        Dimensions, coordinates and attributes of the maps, where the file has no other place for them.
    arrays : mapping of str to [str, list of int]
        Type and shape of the arrays beside the document.
    """
    task = batch.task
    names = tuple(task.params)
    if len(names) > MOST_PARAMETERS:
        msg = f"a batch of {len(names)} parameters can't be kept in a document, which holds at most {MOST_PARAMETERS}"
        raise DocumentError(msg)
    constraints = {name: par.expr for name, par in task.params.items() if par.expr}
    for name, text in constraints.items():
        check_expression(name, text, names, DocumentError)
    in_order(constraints, DocumentError)  # for its complaints
    for name in (*names, *task.coordinates):
        check_name(name, DocumentError)
    model, options = _model(task)
    return {
        "schema": SCHEMA,
        "surffit": __version__,
        "model": model,
        "options": options,
        "params": {name: _parameter(batch, name) for name in names},
        "free": list(task.free),
        "linear": list(task.linear),
        "known": list(task.known),
        "coordinates": list(task.coordinates),
        "shape": list(batch.shape),
        "axes": None if batch._axes is None else list(batch._axes),
        "scale_covar": bool(task.options.scale_covar),
        "engine": clean(str(batch.engine), 100),
        "engine_reason": clean(str(batch.engine_reason)),
        "errors": [clean(str(text), LONGEST_ERROR) for text in batch.errors[:MOST_ERRORS]],
        "complete": bool(batch.complete),
        "elapsed": number(batch.elapsed),
        "covar": batch.maps.covar is not None,
        "labels": dict(labels) or None,
        "arrays": dict(arrays),
    }


def _model(task: Any) -> tuple[Any, dict[str, Any]]:
    """The model's tree and the options it was called with; (None, {}) where it can't travel."""
    options = dict(task.opts)
    if not is_plain(options):
        return None, {}
    try:
        return model_document(task.model)["model"], options
    except DocumentError:
        return None, {}


def _parameter(batch: Any, name: str) -> dict[str, Any]:
    """A parameter's rules; its value is the median, so that constraints have something to be evaluated at."""
    import numpy as np

    par = batch.task.params[name]
    values = batch._numbers(name)[0]
    values = values[np.isfinite(values)]
    # bounds and values may differ between data sets, for which one parameter has no room
    low, high = par.min, par.max
    value = float(np.median(values)) if len(values) else 0.0
    if not low <= value <= high:
        low, high = -math.inf, math.inf
    free = name in batch.task.free
    return {
        "value": number(value), "stderr": 0.0, "vary": free, "min": number(low), "max": number(high), "expr": par.expr, "init_value": None
    }  # fmt: skip


def _arrays(batch: Any) -> dict[str, Any]:
    """Maps in the shape of the map, the fixed parameters that differ from data set to data set, tied ones with their errors."""
    import numpy as np

    maps, task, shape = batch.maps, batch.task, batch.shape
    arrays = {name: getattr(maps, name).reshape(len(task.free), *shape) for name in ("values", "stderr")}
    for name, dtype in MAPS.items():
        arrays[name] = getattr(maps, name).astype(dtype, copy=False).reshape(shape)
    if maps.covar is not None:
        arrays["covar"] = batch.covar
    for i, name in enumerate(task.known):
        value = task.value[name]
        arrays[f"known_{i}"] = value.reshape(shape) if isinstance(value, np.ndarray) else np.asarray(float(value))
    for i, name in enumerate(task.tied):
        arrays[f"tied_{i}"] = np.array([numbers.reshape(shape) for numbers in batch._numbers(name)])
    return {name: np.asarray(array, dtype=MAPS.get(name, "<f8")) for name, array in arrays.items()}


def _labels(batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Dimensions, coordinates and attributes of the maps, where they have names, and the coordinates' arrays."""

    template = batch.labels.template
    if template is None:
        return {}, {}
    coords: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for name, coordinate in template.coords.items():
        array = plain_coordinate(str(name), coordinate.values)
        key = f"coord_{len(arrays)}"
        arrays[key] = array
        coords[str(name)] = {"dims": [str(dim) for dim in coordinate.dims], "array": key, "attrs": plain_attrs(coordinate.attrs)}
    return {"dims": [str(dim) for dim in template.dims], "coords": coords, "attrs": plain_attrs(template.attrs)}, arrays


def plain_coordinate(name: str, values: Any) -> Any:
    """
    A coordinate as a file can hold it: numbers, times or texts, little-endian.

    Raises
    ------
    DocumentError
        If it holds objects of another kind, which only a pickle could keep.
    """
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind in "OT" and all(isinstance(item, str) for item in array.ravel()):
        array = array.astype(str)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if not DTYPES.fullmatch(array.dtype.str):
        kind = type(array.ravel()[0]).__name__ if array.size else array.dtype
        msg = (
            f"the coordinate {shown(name)} holds {kind}, which a file can't keep; "
            "fit data without it (drop_vars, or reset_index for a MultiIndex)"
        )
        raise DocumentError(msg, coordinate=name)
    return array


def plain_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes that are numbers and texts; others as text."""
    import numpy as np

    plain = {}
    for name, value in attrs.items():
        value = value.item() if isinstance(value, np.generic) else value.tolist() if isinstance(value, np.ndarray) else value
        plain[clean(str(name), 200)] = value if is_plain(value) and not isinstance(value, dict) else clean(str(value), 2000)
    return plain


# ---- reading


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """The kind of file by its first bytes: ".npz", ".nc", ".zarr" (a folder), or None for what may be text."""
    text = path_of(path)
    if os.path.isdir(text):
        named = text.rstrip("/").endswith(".zarr") or any(os.path.isfile(os.path.join(text, name)) for name in (".zgroup", "zarr.json"))
        return ".zarr" if named else None
    if not os.path.isfile(text):
        return None  # whoever reads it says what is wrong with it
    with open(text, "rb") as file:
        start = file.read(8)
    if start[:4] == b"PK\3\4":
        return ".npz"
    return ".nc" if start == b"\x89HDF\r\n\x1a\n" or start[:3] == b"CDF" else None


def load_batch(path: str | os.PathLike[str], kind: str, model: Any = None, max_bytes: int = MAX_BYTES) -> Any:
    """
    Read a batch.

    Parameters
    ----------
    path : path-like
    kind : {".npz", ".nc", ".zarr"}
    model : SurfaceModel or lmfit.Model, optional
        To evaluate with, where the function could not travel.
    max_bytes : int
        The maps may have 16 times as many.

    Returns
    -------
    BatchResult
    """
    if kind != ".npz":
        from surffit.io.datasets import load_dataset

        return load_dataset(path, kind, model, LARGER * max_bytes)
    where = shown(path_of(path))
    members = unpack(read_bytes(path, LARGER * max_bytes), where)
    if MEMBER not in members:
        msg = f"{where} holds no batch of surffit ({MEMBER} is missing); open it with numpy.load"
        raise UnsafeFileError(msg, path=path_of(path))
    try:
        text = members.pop(MEMBER).decode("utf-8")
    except UnicodeDecodeError as err:
        msg = f"the document in {where} is no text"
        raise UnsafeFileError(msg) from err
    if len(text) > max_bytes:
        msg = f"the document in {where} is larger than {max_bytes} bytes"
        raise UnsafeFileError(msg, max_bytes=max_bytes)
    content = parse(text, where)
    if content["schema"] != SCHEMA:
        msg = f"{where} has the schema {shown(content['schema'])}, which this surffit ({__version__}) does not read from an .npz"
        raise DocumentError(msg, schema=content["schema"])
    exactly(content, KEYS, "the document")
    wanted = content["arrays"]
    if not isinstance(wanted, Mapping) or set(members) != {f"{name}.npy" for name in wanted}:
        msg = f"the arrays in {where} are not those of its document"
        raise UnsafeFileError(msg)
    arrays = {}
    for name, entry in wanted.items():
        dtype, shape = _type_and_shape(entry, name)
        try:
            arrays[name] = npy_of(members.pop(f"{name}.npy"), shape, dtype)
        except ValueError as err:
            msg = f"the array {shown(name)} in {where} is not the {dtype} of shape {shape} that its document says"
            raise UnsafeFileError(msg, name=name) from err
    return read_batch(content, model, arrays)


def _type_and_shape(entry: Any, name: str) -> tuple[str, tuple[int, ...]]:
    if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and DTYPES.fullmatch(entry[0])):
        msg = f"the array {shown(name)} is described as {shown(entry)}; surffit never writes that"
        raise UnsafeFileError(msg)
    return entry[0], _shape(entry[1])


def _shape(content: Any) -> tuple[int, ...]:
    if not isinstance(content, list) or len(content) > MOST_AXES or not all(type(n) is int and 0 <= n < 2**48 for n in content):
        msg = f"{shown(content)} is no shape of an array"
        raise UnsafeFileError(msg)
    return tuple(content)


def read_batch(content: Mapping[str, Any], model: Any = None, arrays: Mapping[str, Any] | None = None, wrap: Any = None) -> Any:
    """
    Rebuild a batch from its document and arrays.

    Parameters
    ----------
    content : mapping
        As `batch_document` makes it.
    model : SurfaceModel or lmfit.Model, optional
        In place of the document's.
    arrays : mapping of str to ndarray, optional
        The maps; a document alone is no batch. Empty: only the document is checked.
    wrap : callable, optional
        Puts a map into its container, where the file itself tells.

    Returns
    -------
    BatchResult
        Maps, tables and `predict` at given coordinates; what needs the data says that they are not in the file.
    """
    exactly(content, KEYS, "the document")
    check_text(content["surffit"], "the version", 100)
    if arrays is None:
        msg = "a batch's document stands with its maps in one file; load that file with surffit.load"
        raise DocumentError(msg)
    params = read_params(content["params"])
    names = {key: _names(content, key) for key in ("free", "linear", "known", "coordinates")}
    tied = tuple(name for name, par in params.items() if par.expr)
    rest = [*names["free"], *names["known"], *tied]
    if sorted(rest) != sorted(params) or not set(names["linear"]) <= set(names["free"]):
        msg = "the document's varied, fixed and tied parameters are not its parameters"
        raise UnsafeFileError(msg)
    for key in ("scale_covar", "complete", "covar"):
        if not isinstance(content[key], bool):
            msg = f"{key} is {shown(content[key])}, where true or false belongs"
            raise UnsafeFileError(msg)
    options = content["options"]
    if not isinstance(options, dict) or not is_plain(options):
        msg = "the model's options are not plain numbers and texts"
        raise UnsafeFileError(msg)
    axes = None if content["axes"] is None else _shape(content["axes"])
    shape, elapsed = _shape(content["shape"]), real(content["elapsed"], "elapsed")
    if axes is not None and any(a >= len(shape) + len(axes) for a in axes):
        msg = f"the axes {axes} are none of data whose maps have the shape {shape}"
        raise UnsafeFileError(msg)
    engine = {key: check_text(content[key], key) for key in ("engine", "engine_reason")}
    if not isinstance(content["errors"], list) or len(content["errors"]) > MOST_ERRORS:
        msg = f"errors is {shown(content['errors'])}, where a list of texts belongs"
        raise UnsafeFileError(msg)
    errors = [check_text(text, "an error", LONGEST_ERROR) for text in content["errors"]]
    built = _built(content["model"], model, params)
    if not arrays:
        return None
    from types import SimpleNamespace

    from surffit.batch.answer.result import BatchResult
    from surffit.batch.task import Options, Task

    maps = _maps(arrays, shape, len(names["free"]), content["covar"], errors)
    value = {name: _known(arrays, f"known_{i}", shape) for i, name in enumerate(names["known"])}
    lower, upper = ({name: getattr(params[name], end) for name in rest} for end in ("min", "max"))
    task = Task(
        built, None, None, names["coordinates"], names["free"], names["linear"], names["known"], tied, value, lower, upper, params,  # type: ignore[arg-type]
        Options(scale_covar=content["scale_covar"], covar=content["covar"]), options,
    )  # fmt: skip
    wrap = _wrap(content["labels"], arrays, shape) if wrap is None else wrap
    name = SimpleNamespace(name=engine["engine"], reason=engine["engine_reason"])
    batch = BatchResult(task, maps, shape, wrap, name, content["complete"], axes=axes, elapsed=None if math.isnan(elapsed) else elapsed)
    for i, one in enumerate(tied):
        numbers = _array(arrays, f"tied_{i}", (2, *shape)).reshape(2, math.prod(shape))
        batch._found[f"tied {one}"] = (numbers[0], numbers[1])
    return batch


def _names(content: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = content[key]
    if not isinstance(names, list) or len(names) > MOST_PARAMETERS:
        msg = f"{key} is {shown(names)}, where a list of names belongs"
        raise UnsafeFileError(msg)
    for name in names:
        check_name(name, UnsafeFileError)
    if len(set(names)) != len(names):
        msg = f"{key} has a name twice"
        raise UnsafeFileError(msg)
    return tuple(names)


def _built(content: Any, model: Any, params: Any) -> Any:
    """The model that the document has, or the caller's, or one that says that there is none."""
    if model is not None:
        from surffit.core.model import SurfaceModel

        built = SurfaceModel.from_lmfit(model)
    elif content is None:
        from surffit.core.restore import without_model

        return without_model()
    else:
        built = read_tree(content)
    missing = [name for name in built.param_names if name not in params]
    if missing:
        msg = f"the model has the parameter {missing[0]!r}, which the batch's file has not; its parameters are {', '.join(params)}"
        raise (DocumentError if model is not None else UnsafeFileError)(msg, missing=tuple(missing))
    return built


def _array(arrays: Mapping[str, Any], name: str, shape: tuple[int, ...], dtype: str = "<f8") -> Any:
    if name not in arrays or arrays[name].shape != shape or arrays[name].dtype != dtype:
        msg = f"the file has no array {name!r} of type {dtype} and shape {shape}; it is damaged or was not written by surffit"
        raise UnsafeFileError(msg, name=name)
    return arrays[name]


def _maps(arrays: Mapping[str, Any], shape: tuple[int, ...], n_free: int, covar: bool, errors: list[str]) -> Any:
    from surffit.batch.maps import Maps

    values, stderr = (_array(arrays, name, (n_free, *shape)).reshape(n_free, math.prod(shape)) for name in ("values", "stderr"))
    numbers = {name: _array(arrays, name, shape, dtype).reshape(-1) for name, dtype in MAPS.items()}
    whole = _array(arrays, "covar", (n_free, n_free, *shape)).reshape(n_free, n_free, math.prod(shape)) if covar else None
    return Maps(values=values, stderr=stderr, covar=whole, errors=errors, **numbers)


def _known(arrays: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Any:
    if name in arrays and arrays[name].shape == () and arrays[name].dtype == "<f8":
        return float(arrays[name])
    return _array(arrays, name, shape).reshape(-1)


def _wrap(content: Any, arrays: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    """Puts maps into DataArrays with the names that they had; arrays where they had none, or xarray is not installed."""
    if content is None:
        return lambda array: array
    exactly(content, {"dims", "coords", "attrs"}, "the labels")
    dims, coords = content["dims"], content["coords"]
    if not (isinstance(dims, list) and len(dims) == len(shape) and isinstance(coords, Mapping) and is_plain(content["attrs"])):
        msg = "the names of the maps' axes are not such as surffit writes"
        raise UnsafeFileError(msg)
    for dim in dims:
        check_text(dim, "the name of an axis", 200)
    found = {}
    for name, entry in coords.items():
        exactly(entry, {"dims", "array", "attrs"}, f"the coordinate {shown(name)}")
        own = entry["dims"]
        lengths = dict(zip(dims, shape, strict=True))
        known = isinstance(own, list) and all(isinstance(dim, str) and dim in lengths for dim in own) and isinstance(entry["array"], str)
        if not known or entry["array"] not in arrays or not is_plain(entry["attrs"]):
            msg = f"the coordinate {shown(name)} is not such as surffit writes"
            raise UnsafeFileError(msg)
        if arrays[entry["array"]].shape != tuple(lengths[dim] for dim in own):
            msg = f"the coordinate {shown(name)} has another shape than its axes"
            raise UnsafeFileError(msg)
        found[name] = (own, arrays[entry["array"]], entry["attrs"])
    try:
        import xarray as xr
    except ImportError:
        return lambda array: array
    return lambda array: xr.DataArray(array, coords=found, dims=dims, attrs=content["attrs"])
