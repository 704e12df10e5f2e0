"""`save` and `load`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import metadata

from surffit._version import __version__
from surffit.exceptions import DocumentError, PluginError
from surffit.io.checks import SCHEMA
from surffit.io.files import dumps, parse, read_text, write_atomic
from surffit.io.reading import read_result
from surffit.io.writing import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["load", "save"]

GROUP = "surffit.documents"
MAX_BYTES = 64 * 2**20


def save(result: Any, path: str | os.PathLike[str]) -> None:
    """
    Write a fit to a file.

    Parameters
    ----------
    result : SurfaceResult or lmfit.model.ModelResult
        A fit.
    path : path-like
        The file. It is replaced in one step, or left as it was if anything goes wrong.

    Raises
    ------
    DocumentError
        If the fit holds what `load` would refuse, such as a constraint outside the whitelist of expressions.
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
    write_atomic(path, dumps(document(result)))


def load(path: str | os.PathLike[str], model: Any = None, max_bytes: int = MAX_BYTES) -> Any:
    """
    Read a saved fit. Nothing in the file is ever executed.

    Parameters
    ----------
    path : path-like
        The file.
    model : SurfaceModel or lmfit.Model, optional
        The model to evaluate with, for fits whose function could not travel; its parameters must be those of the file.
    max_bytes : int
        Larger files are refused before they are read [bytes].

    Returns
    -------
    SurfaceResult
        Parameters, errors, covariance and statistics as saved; `eval`, `predict` and reports work. The data are not in the file.

    Raises
    ------
    UnsafeFileError
        If the file holds anything that `save` never writes, or is too large.
    DocumentError
        If it is damaged, or of a kind that nothing installed can read.
    OSError
        If it can't be opened.
    """
    content = parse(read_text(path, max_bytes), str(path))
    return _reader(content, str(path))(content, model)


def _reader(content: Mapping[str, Any], where: str) -> Callable[[Mapping[str, Any], Any], Any]:
    """Who reads documents of this schema: registered by installed packages, never named by the file."""
    schema = content["schema"]
    if schema == SCHEMA:
        return read_result
    points = [point for point in metadata.entry_points(group=GROUP) if point.name == schema]
    if not points:
        msg = (
            f"{where} has the schema {schema[:80]!r}, which nothing installed reads; it was written by surffit "
            f"{str(content.get('surffit'))[:40]}, this is {__version__}"
        )
        raise DocumentError(msg, schema=schema)
    if len({point.value for point in points}) > 1:
        msg = f"several packages read documents of the schema {schema!r}: {', '.join(p.value for p in points)}; uninstall one of them"
        raise PluginError(msg, schema=schema)
    return points[0].load()
