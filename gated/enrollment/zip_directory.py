"""The directory of a ZIP file, bounded before it is read."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import BinaryIO

from gated.errors import SourceError

UNPACKING_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError),
    *(ValueError, OSError, struct.error),
)
"""The errors of `zipfile` for a member that contradicts the directory."""

MAX_DIRECTORY_BYTES = 4 << 20

_END = struct.Struct("<4s4H2LH")
_LOCATOR_SIZE = 20


def check_directory(file: BinaryIO) -> None:
    """Bound the directory before it is read: an entry takes twenty times as much when it is.

    Raises: SourceError.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - (1 << 16) - _END.size - _LOCATOR_SIZE))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise SourceError("this is no ZIP file, or only a part of one").named("zip_broken")
    directory = _END.unpack_from(tail, at)[5]
    is_zip64 = tail[max(0, at - _LOCATOR_SIZE) : at].startswith(b"PK\6\7")
    if is_zip64 or directory > MAX_DIRECTORY_BYTES:
        text = "the archive has too many files: make several"
        raise SourceError(text).named("archive_large")
