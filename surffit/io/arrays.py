"""Arrays in .npz files: written without pickles or dates, read only if they are just what the document beside them says."""

from __future__ import annotations

import contextlib
import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping

from surffit.exceptions import UnsafeFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

__all__ = ["DTYPES", "npy_of", "pack", "unpack"]

# numbers, truth values, times and texts; never objects
DTYPES = re.compile(r"\|b1|[|]?[iu]1|<[iu][248]|<f[48]|<[mM]8\[(as|fs|ps|ns|us|ms|s|m|h|D|W|M|Y)\]|<U[0-9]{1,4}")
OVERHEAD = 512  # of one member: its header and its entries in the archive [bytes]
MOST_MEMBERS = 30_000


def pack(file: IO[bytes], text: Mapping[str, str], arrays: Mapping[str, Any]) -> None:
    """
    Write texts and arrays as an .npz: the same content gives the same bytes.

    Parameters
    ----------
    file : binary file
    text : mapping of str to str
        Members that are text, by name.
    arrays : mapping of str to ndarray
        Members that are arrays, by name without ``.npy``.
    """
    import numpy as np

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, words in text.items():
            archive.writestr(zipfile.ZipInfo(name), words.encode("utf-8"))
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)


def unpack(raw: bytes, where: str) -> dict[str, bytes]:
    """
    The members of an archive that `pack` wrote, as they stand.

    Raises
    ------
    UnsafeFileError
        If a member is compressed or named twice, or there are more than a batch has.
    """
    found: dict[str, bytes] = {}
    # the end record counts the members before zipfile reads their list, which could be endless
    end = raw.rfind(b"PK\5\6", max(0, len(raw) - 22))
    if raw[:4] == b"PK\3\4" and end >= 0 and struct.unpack("<H", raw[end + 10 : end + 12])[0] <= MOST_MEMBERS:
        # whatever zipfile makes of bytes that are no archive
        with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            stored = all(member.compress_type == zipfile.ZIP_STORED and member.file_size == member.compress_size for member in members)
            # several entries may claim the same bytes
            small = sum(member.file_size for member in members) <= len(raw)
            if stored and small and len({member.filename for member in members}) == len(members) <= MOST_MEMBERS:
                found = {member.filename: archive.read(member) for member in members}
    if not found:
        msg = f"{where} is no archive as surffit writes it (stored, without compression); if numpy wrote it, open it with numpy.load"
        raise UnsafeFileError(msg, path=where)
    return found


def npy_of(raw: bytes, shape: tuple[int, ...], dtype: str = "<f8") -> Any:
    """
    The array of an .npy in numpy's first format, if it has this shape and type; its header is compared, not evaluated.

    Raises
    ------
    ValueError
        If it is another one.
    """
    import numpy as np

    if not DTYPES.fullmatch(dtype):
        msg = f"the type {dtype[:20]!r} is none that surffit writes"
        raise ValueError(msg)
    length = struct.unpack("<H", raw[8:10])[0] if len(raw) >= 10 else 0
    header, values = raw[10 : 10 + length], memoryview(raw)[10 + length :]
    said = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    if raw[:8] != b"\x93NUMPY\x01\x00" or header.strip() != said or len(values) != np.dtype(dtype).itemsize * math.prod(shape):
        msg = "another array"
        raise ValueError(msg)
    return np.frombuffer(values, dtype=dtype).reshape(shape).copy()
