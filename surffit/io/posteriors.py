"""
Posteriors as documents: numbers in JSON, the chain in an .npz beside it.

The .npz is named by its content (``name.0123456789abcdef.npz`` beside ``name.json``), so that a new one never overwrites the
old one: replacing the JSON, in one step, is what exchanges the pair. Only then is the old .npz removed. The name is worked
out from the JSON's own path and the digest in it; no path is ever read from a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from surffit._version import __version__
from surffit.exceptions import DocumentError, UnsafeFileError
from surffit.io.arrays import npy_of
from surffit.io.checks import MOST_PARAMETERS, check_name, check_text, clean, exactly, real, shown
from surffit.io.files import MAX_BYTES, dumps, number, parse, path_of, read_bytes, read_text, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SCHEMA", "read_posterior", "save_posterior"]

SCHEMA = "surffit.posterior/1"
KEYS = {
    "schema", "surffit", "names", "derived", "marginalised", "acceptance", "tau", "converged", "burn", "thin", "seed", "notes", "evidence",
    "chain",
}  # fmt: skip
CHAIN_KEYS = {"steps", "walkers", "sha256"}
ARRAYS = ("chain.npy", "log_prob.npy")
LARGER = 16  # a chain may be this many times as large as a document
OVERHEAD = 2048  # headers of the .npz [bytes]


# ---- writing


def save_posterior(posterior: Any, path: str | os.PathLike[str]) -> None:
    """
    Write a posterior: the JSON to `path`, the chain into an .npz beside it.

    Raises
    ------
    DocumentError
        If it holds what `load` would refuse.
    OSError
        If a file can't be written; the pair that was there is as it was.
    """
    raw = _pack(posterior)
    if len(raw) > LARGER * MAX_BYTES:
        msg = f"the chain has {len(raw)} bytes, more than the {LARGER * MAX_BYTES} that are read back; make its posterior shorter"
        raise DocumentError(msg, bytes=len(raw))
    digest = hashlib.sha256(raw).hexdigest()
    text = dumps(_document(posterior, digest))
    _check(parse(text))
    target = Path(os.path.realpath(path_of(path)))
    before = _digest_in(target)
    beside = _beside(target, digest)
    known = beside.is_file() and _is_kept(beside, digest)
    if not known:
        write_atomic(beside, raw)
    try:
        write_atomic(path, text)
    except BaseException:
        if not known:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        raise
    if before is not None and before != digest:
        with contextlib.suppress(OSError):  # the new pair is whole; an old chain that stays only takes room
            _beside(target, before).unlink(missing_ok=True)


def _document(posterior: Any, digest: str) -> dict[str, Any]:
    evidence = posterior._evidence
    return {
        "schema": SCHEMA,
        "surffit": __version__,
        "names": list(posterior.names),
        "derived": list(posterior.derived),
        "marginalised": list(posterior.marginalised),
        "acceptance": number(posterior.acceptance),
        "tau": [number(value) for value in posterior.tau],
        "converged": posterior.converged,
        "burn": posterior.burn,
        "thin": posterior.thin,
        # a seed may have more digits than a document's whole numbers
        "seed": str(posterior.seed),
        "notes": [clean(str(note)) for note in posterior.notes],
        "evidence": None if evidence is None else {"ln_z": number(evidence.ln_z), "error": number(evidence.error)},
        "chain": {"steps": posterior.steps, "walkers": posterior.walkers, "sha256": digest},
    }


def _pack(posterior: Any) -> bytes:
    """The arrays as an .npz that has the same bytes each time: no date stands in it."""
    import numpy as np

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in zip(ARRAYS, (posterior.chain, posterior.log_prob), strict=True):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array, dtype="<f8"), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name), member.getvalue())
    return buffer.getvalue()


def _beside(target: Path, digest: str) -> Path:
    """Where the chain of a document stands."""
    return target.with_name(f"{target.name.removesuffix('.json')[:100]}.{digest[:16]}.npz")


def _digest_in(target: Path) -> str | None:
    """The digest in the document that a save replaces, if that is a posterior's."""
    try:
        return _check(parse(read_text(target, MAX_BYTES)))
    except (DocumentError, OSError):
        return None


def _is_kept(path: Path, digest: str) -> bool:
    """Whether the chain stands there already."""
    try:
        return hashlib.sha256(read_bytes(path, LARGER * MAX_BYTES)).hexdigest() == digest
    except (DocumentError, OSError):
        return False


# ---- reading


def read_posterior(content: Mapping[str, Any], model: Any = None, *, path: Any = None, max_bytes: int = MAX_BYTES) -> Any:
    """
    Rebuild a posterior from its document and the chain beside it.

    Parameters
    ----------
    content : mapping
        The document.
    model : None
        A posterior needs no model.
    path : path-like
        The document's file, beside which the chain stands.
    max_bytes : int
        Limit of the document; the chain may be 16 times as large [bytes].

    Returns
    -------
    Posterior
        Tables and pictures work; `more` needs the fit and says so.

    Raises
    ------
    UnsafeFileError
        If an entry isn't such as `save` writes, or the chain is another than the document's.
    DocumentError
        If the chain is missing, or `model` was given.
    """
    if model is not None:
        msg = "model= is for saved fits; this document holds a posterior"
        raise DocumentError(msg)
    digest = _check(content)
    if path is None:
        msg = "a posterior's chain stands beside its document; load it by its path with surffit.load"
        raise DocumentError(msg)
    import numpy as np

    from surffit.core.posterior import Evidence, Posterior

    beside = _beside(Path(os.path.realpath(path_of(path))), digest)
    try:
        raw = read_bytes(beside, LARGER * max_bytes)
    except FileNotFoundError as err:
        msg = f"the chain of {shown(Path(path).name)} is missing: it stands in {beside.name!r}, which must be in the same folder"
        raise DocumentError(msg, missing=str(beside)) from err
    if hashlib.sha256(raw).hexdigest() != digest:
        msg = f"{beside.name!r} is not the chain that was saved with {shown(Path(path).name)}; restore the two files as a pair"
        raise UnsafeFileError(msg, path=str(beside))
    steps, walkers, names = content["chain"]["steps"], content["chain"]["walkers"], content["names"]
    chain, log_prob = _unpack(raw, (steps, walkers, len(names)), beside.name)
    tau = np.array([real(value, "tau") for value in content["tau"]])
    posterior = Posterior(
        names, chain, log_prob, acceptance=real(content["acceptance"], "acceptance"), tau=tau, converged=content["converged"],
        burn=content["burn"], thin=content["thin"], seed=int(content["seed"]), marginalised=content["marginalised"],
        derived=content["derived"], notes=content["notes"],
    )  # fmt: skip
    if content["evidence"] is not None:
        posterior._evidence = Evidence(*(real(content["evidence"][key], key) for key in ("ln_z", "error")))
    return posterior


def _check(content: Mapping[str, Any]) -> str:
    """Every entry is such as the writer writes; the digest of the chain."""
    if content.get("schema") != SCHEMA:
        msg = f"the document is no posterior but {shown(content.get('schema'))}"
        raise UnsafeFileError(msg)
    exactly(content, KEYS, "the document")
    exactly(content["chain"], CHAIN_KEYS, "the chain's entry")
    check_text(content["surffit"], "the version", 100)
    names = content["names"]
    for key in ("names", "derived", "marginalised", "tau", "notes"):
        if not isinstance(content[key], list) or len(content[key]) > MOST_PARAMETERS:
            msg = f"{key} is {shown(content[key])}, where a list belongs"
            raise UnsafeFileError(msg)
    for name in names:
        check_name(name, UnsafeFileError)
    for key in ("derived", "marginalised"):
        if not all(isinstance(name, str) and name in names for name in content[key]):
            msg = f"{key} names what is not among the parameters"
            raise UnsafeFileError(msg)
    if not names or len(set(names)) != len(names) or len(content["tau"]) != len(names):
        msg = (
            f"the document has {len(names)} names (each once) and {len(content['tau'])} autocorrelation times, which don't belong together"
        )
        raise UnsafeFileError(msg)
    for note in content["notes"]:
        check_text(note, "a note")
    for value in (content["acceptance"], *content["tau"]):
        real(value, "a number")
    if not isinstance(content["converged"], bool):
        msg = f"converged is {shown(content['converged'])}, where true or false belongs"
        raise UnsafeFileError(msg)
    _check_counts(content)
    if content["evidence"] is not None:
        exactly(content["evidence"], {"ln_z", "error"}, "the evidence")
        for key in ("ln_z", "error"):
            if math.isnan(real(content["evidence"][key], key)):
                msg = f"the evidence has no {key}; surffit never writes that"
                raise UnsafeFileError(msg)
    digest = content["chain"]["sha256"]
    # what it stands for is a part of a file's name
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        msg = f"the chain's sha256 is {shown(digest)}, which is no digest"
        raise UnsafeFileError(msg)
    return digest


def _check_counts(content: Mapping[str, Any]) -> None:
    """Numbers of steps and such, in the ranges in which they mean something."""
    steps = content["chain"]["steps"]
    ranges = [
        ("steps", steps, 1, 10**9), ("walkers", content["chain"]["walkers"], 1, 10**9), ("thin", content["thin"], 1, 10**9),
        ("burn", content["burn"], 0, steps),
    ]  # fmt: skip
    for key, value, low, high in ranges:
        if type(value) is not int or not low <= value <= high:
            msg = f"{key} is {shown(value)}, where a whole number from {low} to {high} belongs"
            raise UnsafeFileError(msg)
    if not isinstance(content["seed"], str) or not re.fullmatch("-?[0-9]{1,100}", content["seed"]):
        msg = f"the seed is {shown(content['seed'])}, where digits belong"
        raise UnsafeFileError(msg)


def _unpack(raw: bytes, shape: tuple[int, int, int], where: str) -> list[Any]:
    """
    The arrays of an .npz whose size and contents are known beforehand.

    Nothing in it is believed: two members, stored as they are, each with the bytes of float64 numbers of the document's
    shape and a header that says just that (which is compared, not evaluated).
    """
    size = 8 * shape[0] * shape[1] * (shape[2] + 1)
    # the end record counts the members before zipfile reads their list, which could be endless
    end = raw[-22:]
    few = end[:4] == b"PK\5\6" and struct.unpack("<H", end[10:12])[0] == len(ARRAYS)
    if few and raw[:4] == b"PK\3\4" and size < len(raw) <= size + OVERHEAD:
        # whatever zipfile makes of bytes that are no archive
        with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            stored = all(member.compress_type == zipfile.ZIP_STORED and member.file_size == member.compress_size for member in members)
            small = sum(member.file_size for member in members) <= len(raw)
            if [member.filename for member in members] == list(ARRAYS) and stored and small:
                return [npy_of(archive.read(member), wanted) for member, wanted in zip(members, (shape, shape[:2]), strict=True)]
    msg = f"{where!r} is no chain of {shape[0]} steps, {shape[1]} walkers and {shape[2]} parameters as surffit writes it"
    raise UnsafeFileError(msg, path=where)
