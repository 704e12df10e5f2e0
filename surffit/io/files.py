"""Files as such: a way to write that can't destroy, a way to read that takes nothing odd."""

from __future__ import annotations

import json
import math
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from surffit.exceptions import DocumentError, UnsafeFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["dumps", "number", "parse", "read_text", "write_atomic"]


def write_atomic(path: str | os.PathLike[str], text: str) -> None:
    """
    Write a text file so that, whatever happens, either the old or the new content is there, whole.

    Parameters
    ----------
    path : path-like
        The file. A symbolic link stays one: the file it points to is replaced, with its permissions kept.
    text : str
        The content, written as UTF-8.

    Raises
    ------
    DocumentError
        If the path is no regular file (a folder, a pipe).
    OSError
        If it can't be written.
    """
    target = Path(path).resolve()  # os.replace on a link would replace the link
    mode = None
    if target.exists():
        if not target.is_file():
            msg = f"{path} is not a regular file; give the path of a file"
            raise DocumentError(msg, path=str(path))
        mode = stat.S_IMODE(target.stat().st_mode)
    # In the target's own folder, since os.replace is atomic only within one file system. Created by os.open and not by mkstemp,
    # which makes files that only the owner can read; with O_EXCL a prepared link of the same name is an error.
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_text(path: str | os.PathLike[str], max_bytes: int) -> str:
    """The file's text, if it isn't too large."""
    with open(path, "rb") as file:
        raw = file.read(max_bytes + 1)  # never more, whatever the file system says of the size
    if len(raw) > max_bytes:
        msg = f"{path} is larger than {max_bytes} bytes; if you trust it, pass a larger max_bytes"
        raise UnsafeFileError(msg, path=str(path), max_bytes=max_bytes)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as err:
        msg = f"{path} is not JSON text: {err}"
        raise DocumentError(msg, path=str(path)) from err


def parse(text: str, where: str = "the document") -> dict[str, Any]:
    """
    Read strict JSON: an object with a schema, no duplicate keys, no NaN or Infinity, no number that overflows.

    Parameters
    ----------
    text : str
        The JSON text.
    where : str
        Name for errors.

    Returns
    -------
    dict

    Raises
    ------
    UnsafeFileError
        If it is JSON, but not such as surffit writes.
    DocumentError
        If it isn't JSON.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            seen: set[str] = set()
            twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            msg = f"{where} has the key {twice!r} twice; surffit never writes that"
            raise UnsafeFileError(msg, key=twice)
        return found

    def constant(name: str) -> Any:
        msg = f"{where} holds a bare {name}, which is not JSON; surffit writes null, 'inf' and '-inf'"
        raise UnsafeFileError(msg)

    def real(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            msg = f"{where} holds the number {digits[:40]}, which overflows"
            raise UnsafeFileError(msg)
        return value

    def whole(digits: str) -> int:
        if len(digits) > 20:
            msg = f"{where} holds a whole number of {len(digits)} digits; surffit never writes that"
            raise UnsafeFileError(msg)
        return int(digits)

    try:
        content = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=real, parse_int=whole)
    except RecursionError:
        msg = f"{where} is nested too deeply; surffit never writes that"
        raise UnsafeFileError(msg) from None
    except UnsafeFileError:
        raise
    except ValueError as err:
        msg = f"{where} is not JSON (damaged or of another kind): {err}"
        raise DocumentError(msg) from err
    if not isinstance(content, dict) or not isinstance(content.get("schema"), str):
        msg = f"{where} is not a surffit document: it has no schema. Files saved by lmfit itself can hold code and are not read"
        raise UnsafeFileError(msg)
    return content


def dumps(content: Mapping[str, Any]) -> str:
    """Strict JSON text of a document, one line per entry of its upper levels, with a newline at its end."""
    try:
        return json.dumps(content, allow_nan=False, indent=1) + "\n"
    except (TypeError, ValueError) as err:
        msg = f"the fit can't be written as strict JSON: {err}"
        raise DocumentError(msg) from err


def number(value: Any) -> Any:
    """A number as strict JSON can hold it: nan and None become None, infinities "inf" and "-inf"."""
    if value is None:
        return None
    value = float(value)
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
