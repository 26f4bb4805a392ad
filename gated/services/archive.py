"""People and photos in a ZIP file, or in a table with files beside it.

All of it stays in memory, bounded; names are compared with each other and never used as paths.
"""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gated.errors import SourceError
from gated.services.roster import (
    ENCODING_SUFFIX,
    PHOTO_SUFFIXES,
    Candidate,
    Roster,
    candidates_of_table,
    roster_of,
    shown,
)
from gated.vision.decoding import MAX_BYTES

MAX_MEMBERS = 20_000
MAX_DIRECTORY_BYTES = 4 << 20
MAX_TABLE_BYTES = 4 << 20

_END = struct.Struct("<4s4H2LH")
_LOCATOR_SIZE = 20


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One file of an archive; without `info` one that a table names and that is not there."""

    archive: zipfile.ZipFile
    name: str
    info: zipfile.ZipInfo | None

    def __str__(self) -> str:
        return self.name

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:
        """Its content, at most one byte more than a photo may have; OSError."""
        return io.BytesIO(self.read(MAX_BYTES))

    def read(self, most: int) -> bytes:
        """Its content, at most one byte more than `most`; OSError."""
        if self.info is None:
            raise FileNotFoundError(2, "is not in the archive")
        try:
            with self.archive.open(self.info) as file:
                return file.read(most + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as e:
            raise OSError(5, f"cannot be unpacked: {e}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A file that came beside a table; without content one that the table names in vain."""

    name: str
    content: bytes | None

    def __str__(self) -> str:
        return self.name

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:
        """Its content; OSError."""
        if self.content is None:
            raise FileNotFoundError(2, "was not sent")
        return io.BytesIO(self.content)


def read_upload(data: bytes, beside: Sequence[Part] = ()) -> Roster:
    """The people of a ZIP file, or of a CSV file with the files `beside` it; SourceError."""
    if data.startswith(b"PK"):
        if beside:
            raise SourceError("photos beside a ZIP file would be left out: put them into it")
        return read_archive(data)
    if len(data) > MAX_TABLE_BYTES:
        raise SourceError(f"the table is larger than {MAX_TABLE_BYTES >> 20} MB")
    if b"\0" in data:
        raise SourceError("this is neither a ZIP file nor a CSV file")
    sent = {posixpath.basename(part.name): part.content for part in beside}
    if len(sent) < len(beside):
        raise SourceError("two photos have the same name")

    def find(name: str) -> Part:
        # browsers send the last part of a name only
        last = posixpath.basename(name.replace("\\", "/"))
        return Part(shown(last), sent.get(last))

    return roster_of(candidates_of_table(data, "the table", find), "the table")


def read_archive(data: bytes) -> Roster:
    """The people of a ZIP file; SourceError with what is wrong.

    A sub-folder or file per person, named by the personnel code; or a CSV file as for
    `read_roster`, whose photos are named as they are in the archive, from the CSV's folder on.
    """
    members = _members(data)
    tables = [name for name in members if name.lower().endswith(".csv")]
    if len(tables) > 1:
        raise SourceError("the archive has several CSV files: keep one")
    if tables:
        return _from_table(members, tables[0])
    found = (_candidate(name, member) or shown(name) for name, member in members.items())
    return roster_of(found, "the archive")


def _members(data: bytes) -> dict[str, Member]:
    _check_directory(data)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
        raise SourceError(f"the archive cannot be read: {error}") from None
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise SourceError(f"the archive has more than {MAX_MEMBERS} files: make several")
    return {
        info.filename: Member(archive, posixpath.basename(info.filename), info)
        for info in infos
        if not info.is_dir() and not _is_hidden(info.filename)
    }


def _check_directory(data: bytes) -> None:
    """Bound the directory before it is read: an entry takes twenty times as much when it is."""
    at = data.rfind(b"PK\5\6", max(0, len(data) - (1 << 16) - _END.size))
    if at < 0 or at + _END.size > len(data):
        raise SourceError("this is no ZIP file")
    size = _END.unpack_from(data, at)[5]
    is_zip64 = data[max(0, at - _LOCATOR_SIZE) : at].startswith(b"PK\6\7")
    if is_zip64 or size > MAX_DIRECTORY_BYTES:
        raise SourceError("the archive has too many files: make several")


def _is_hidden(name: str) -> bool:
    return name.startswith("__MACOSX/") or posixpath.basename(name).startswith(".")


def _candidate(name: str, member: Member) -> Candidate | None:
    """Whom a file speaks of by its name, CODE/photo.jpg or CODE.npy; None for another kind."""
    stem, suffix = posixpath.splitext(name)
    parts = stem.split("/")
    if len(parts) > 2:
        return None
    code = shown(parts[0]).strip()
    if suffix.lower() in PHOTO_SUFFIXES:
        return Candidate(code, photos=(member,))
    return Candidate(code, encodings=(member,)) if suffix.lower() == ENCODING_SUFFIX else None


def _from_table(members: dict[str, Member], table: str) -> Roster:
    def find(name: str) -> Member:
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(table), name))
        known = members.get(inside)
        archive = members[table].archive
        return known or Member(archive, posixpath.basename(name), None)

    try:
        content = members[table].read(MAX_TABLE_BYTES)
    except OSError as error:
        raise SourceError(f"{shown(table)} {error.strerror}") from None
    if len(content) > MAX_TABLE_BYTES:
        raise SourceError(f"{shown(table)} is larger than {MAX_TABLE_BYTES >> 20} MB")
    return roster_of(candidates_of_table(content, shown(table), find), shown(table))
