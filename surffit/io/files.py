"""Files as such: a way to write that can't destroy, a way to read that takes nothing odd."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from surffit.exceptions import DocumentError, UnsafeFileError
from surffit.io.checks import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MAX_BYTES", "dumps", "number", "parse", "path_of", "read_bytes", "read_text", "write_atomic"]


MAX_BYTES = 64 * 2**20
# a bracket costs a hundred bytes of memory, a comma thirty: what a document may unfold into is limited like its size
MOST_BRACKETS = 1_000_000
MOST_COMMAS = 4_000_000


def write_atomic(path: str | os.PathLike[str], content: str | bytes | Callable[[Any], object]) -> None:
    """
    Write a file so that, whatever happens, either the old or the new content is there, whole.

    Parameters
    ----------
    path : path-like
        The file. A symbolic link stays one: the file it points to is replaced, with its permissions kept.
    content : str, bytes or callable
        The content; text is written as UTF-8. A function is handed the open binary file and writes into it.

    Raises
    ------
    DocumentError
        If the path is no regular file (a folder, a pipe).
    OSError
        If it can't be written; the sentence has the system's reason, and the old file is as it was.
    """
    path = path_of(path)
    temporary = None
    try:
        target = Path(os.path.realpath(path))  # os.replace on a link would replace the link
        if target.is_symlink():
            msg = f"{shown(path)} is a link that leads back to itself; give the path of a file"
            raise DocumentError(msg, path=path)
        mode = None
        if target.exists():
            if not target.is_file():
                msg = f"{shown(path)} is not a regular file; give the path of a file"
                raise DocumentError(msg, path=path)
            mode = stat.S_IMODE(target.stat().st_mode)
        # In the target's own folder, since os.replace is atomic only within one file system. Created by os.open and not by mkstemp,
        # which makes files that only the owner can read; with O_EXCL a prepared link of the same name is an error.
        temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "w+b") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, target)
    except BaseException as err:
        if temporary is not None:
            with contextlib.suppress(OSError):  # what went wrong first is what counts
                temporary.unlink(missing_ok=True)
        if isinstance(err, OSError) and err.errno is not None:
            old = "; the file that was there is unchanged" if os.path.exists(path) else ""
            raise OSError(err.errno, f"{err.strerror or err}: the file could not be written{old}", path) from err
        raise
    _settle(target.parent)


def _settle(folder: Path) -> None:
    """Ask the system to bring the new name to the disk; the file is in its place already, so that failing is no error."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def path_of(path: Any) -> str:
    """The path as text; numbers (open handles) and bytes are no paths here, and no system takes a zero character."""
    if not isinstance(path, str | os.PathLike):
        msg = f"{shown(path)} is no path; give the name of a file as text or as a Path"
        raise DocumentError(msg)
    text = os.fspath(path)
    if not isinstance(text, str) or "\0" in text:
        msg = f"{shown(text)} is no path; give the name of a file as text or as a Path"
        raise DocumentError(msg)
    return text


def read_bytes(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """
    The content of a regular file, if it isn't too large.

    Raises
    ------
    UnsafeFileError
        If it is larger than `max_bytes`, or no regular file: reading a pipe or a device may never end.
    OSError
        If it can't be opened.
    """
    path = path_of(path)
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 0:
        msg = f"max_bytes={shown(max_bytes)}; give a whole number of bytes"
        raise DocumentError(msg, max_bytes=max_bytes)
    # opening a pipe that nobody writes to would wait forever
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            msg = f"{shown(path)} is not a regular file; give the path of a file"
            raise UnsafeFileError(msg, path=path)
        raw = None
        if facts.st_size <= max_bytes:
            # never more than the limit, whatever the file system says of the size: the file may grow meanwhile
            with os.fdopen(handle, "rb", closefd=False) as file:
                raw = file.read(max_bytes + 1)
    finally:
        os.close(handle)
    if raw is None or len(raw) > max_bytes:
        msg = f"{shown(path)} is larger than {max_bytes} bytes; if you trust it, pass a larger max_bytes"
        raise UnsafeFileError(msg, path=path, max_bytes=max_bytes)
    return raw


def read_text(path: str | os.PathLike[str], max_bytes: int) -> str:
    """The text of a regular file, if it isn't too large; see `read_bytes`."""
    raw = read_bytes(path, max_bytes)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as err:
        msg = f"{shown(os.fspath(path))} is not JSON text: {err.reason} at byte {err.start}"
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

    _check_extent(text, where)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            seen: set[str] = set()
            twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            msg = f"{where} has the key {shown(twice)} twice; surffit never writes that"
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
        msg = f"{where} is not JSON (damaged or of another kind): {str(err)[:200]}"
        raise DocumentError(msg) from err
    if not isinstance(content, dict) or not isinstance(content.get("schema"), str):
        msg = f"{where} is not a surffit document: it has no schema. Files saved by lmfit itself can hold code and are not read"
        raise UnsafeFileError(msg)
    return content


def dumps(content: Mapping[str, Any]) -> str:
    """Strict JSON text of a document, one line per entry of its upper levels, with a newline at its end."""
    try:
        text = json.dumps(content, allow_nan=False, indent=1) + "\n"
    except (TypeError, ValueError) as err:
        msg = f"this can't be written as strict JSON: {err}"
        raise DocumentError(msg) from err
    if len(text) > MAX_BYTES:
        msg = f"the document would have {len(text)} bytes; at most {MAX_BYTES} are read back without asking"
        raise DocumentError(msg, bytes=len(text))
    _check_extent(text, "the document")
    return text


def _check_extent(text: str, where: str) -> None:
    """Refuse a text that would unfold into more objects than a document has."""
    brackets, commas = text.count("[") + text.count("{"), text.count(",")
    if brackets > MOST_BRACKETS or commas > MOST_COMMAS:
        msg = f"{where} has {brackets} brackets and {commas} commas, where at most {MOST_BRACKETS} and {MOST_COMMAS} are read"
        raise UnsafeFileError(msg, brackets=brackets, commas=commas)


def number(value: Any) -> Any:
    """A number as strict JSON can hold it: nan and None become None, infinities "inf" and "-inf"."""
    if value is None:
        return None
    value = float(value)
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
