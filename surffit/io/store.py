"""`save` and `load`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import metadata

from surffit._version import __version__
from surffit.exceptions import DocumentError, PluginError
from surffit.io.batches import SCHEMA as BATCH
from surffit.io.batches import kind_of, load_batch, read_batch, save_batch
from surffit.io.checks import SCHEMA, clean, shown
from surffit.io.files import MAX_BYTES, dumps, parse, path_of, read_text, write_atomic
from surffit.io.joints import SCHEMA as JOINT
from surffit.io.joints import read_joint
from surffit.io.models import SCHEMA as MODEL
from surffit.io.models import read_model
from surffit.io.posteriors import SCHEMA as POSTERIOR
from surffit.io.posteriors import read_posterior, save_posterior
from surffit.io.reading import read_result
from surffit.io.writing import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["load", "save"]

GROUP = "surffit.documents"
READERS: dict[str, Callable[..., Any]] = {
    SCHEMA: read_result,
    MODEL: read_model,
    POSTERIOR: read_posterior,
    JOINT: read_joint,
    BATCH: read_batch,
}


def save(thing: Any, path: str | os.PathLike[str]) -> None:
    """
    Write a fit, a batch, a model or a posterior to a file.

    Parameters
    ----------
    thing : SurfaceResult, lmfit.model.ModelResult, BatchResult, SurfaceModel, lmfit.Model or Posterior
        A fit, a batch (.npz, .nc or .zarr), a model, or a posterior (whose chain goes into an .npz beside the file).
    path : path-like
        The file. It is replaced in one step, or left as it was if anything goes wrong.

    Raises
    ------
    DocumentError
        If it holds what `load` would refuse, such as a constraint outside the whitelist of expressions, or can't travel.
    OSError
        If the file can't be written.

    See Also
    --------
    document : What is written.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> import surffit as sf
    >>> x = np.arange(6.0)
    >>> result = sf.get_model("linear").fit(3 * x + 1, x=x)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "fit.json")
    ...     save(result, path)
    ...     round(load(path).best_values["slope"], 6)
    3.0
    """
    if _is(thing, "surffit.core.posterior", "Posterior"):
        save_posterior(thing, path)
    elif _is(thing, "surffit.batch.answer.result", "BatchResult"):
        save_batch(thing, path)
    else:
        write_atomic(path, dumps(document(thing)))


def _is(thing: Any, module: str, name: str) -> bool:
    """Whether a thing is of a class, without importing anything: who has it has its class."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(thing, getattr(loaded, name))


def load(path: str | os.PathLike[str], model: Any = None, max_bytes: int = MAX_BYTES) -> Any:
    """
    Read a saved fit, batch, model or posterior. Nothing in the file is ever executed.

    Parameters
    ----------
    path : path-like
        The file.
    model : SurfaceModel or lmfit.Model, optional
        The model to evaluate with, for fits whose function could not travel; its parameters must be those of the file.
    max_bytes : int
        Larger files are refused before they are read; a posterior's chain and a batch's maps may be 16 times as large
        [bytes].

    Returns
    -------
    SurfaceResult, BatchResult, SurfaceModel or Posterior
        What was saved. A fit has its parameters, errors, covariance and statistics; `eval`, `predict` and reports work. The data are
        not in the file. A model fits and evaluates as the one that was saved. A posterior has its samples; `more` needs the fit.

    Raises
    ------
    UnsafeFileError
        If the file holds anything that `save` never writes, is too large, or no regular file.
    DocumentError
        If it is damaged, or of a kind that nothing installed can read.
    OSError
        If it can't be opened.
    """
    where = shown(path_of(path))
    kind = kind_of(path)
    if kind is not None:
        return load_batch(path, kind, model, max_bytes)
    content = parse(read_text(path, max_bytes), where)
    if content["schema"] == POSTERIOR:
        return read_posterior(content, model, path=path, max_bytes=max_bytes)
    return _reader(content, where)(content, model)


def _reader(content: Mapping[str, Any], where: str) -> Callable[[Mapping[str, Any], Any], Any]:
    """Who reads documents of this schema: registered by installed packages, never named by the file."""
    schema = content["schema"]
    if schema in READERS:
        return READERS[schema]
    points = [] if len(schema) > 200 else [point for point in metadata.entry_points(group=GROUP) if point.name == schema]
    if not points:
        msg = (
            f"{where} has the schema {shown(schema)}, which nothing installed reads; it was written by surffit "
            f"{clean(str(content.get('surffit'))[:40])}, this is {__version__}"
        )
        raise DocumentError(msg, schema=schema)
    if len({point.value for point in points}) > 1:
        msg = f"several packages read documents of the schema {schema!r}: {', '.join(p.value for p in points)}; uninstall one of them"
        raise PluginError(msg, schema=schema)
    return points[0].load()
