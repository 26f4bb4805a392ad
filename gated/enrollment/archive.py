"""People and photos in a ZIP file, or in a table with files beside it.

All of it stays in memory, bounded; names are compared with each other and never used as paths.
"""

from __future__ import annotations

import contextlib
import io
import posixpath
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gated.enrollment.csv_table import MAX_TABLE_BYTES, TOO_LARGE
from gated.enrollment.file_names import Missing, Names, is_litter
from gated.enrollment.import_source import Photo, Roster, roster_of_files, roster_of_table, shown
from gated.enrollment.workbook import is_workbook
from gated.enrollment.zip_directory import UNPACKING_ERRORS, check_directory
from gated.errors import SourceError
from gated.vision.decoding import MAX_BYTES

MAX_MEMBERS = 20_000

_NO_PHOTOS = {
    "xl/workbook.xml": "an Excel workbook of more than 4 MB: save the sheet as `CSV UTF-8`",
    "xl/workbook.bin": "a binary Excel workbook: save it as .xlsx or `CSV UTF-8`",
    "content.xml": "an OpenDocument file: save the sheet as CSV",
    "Index/Document.iwa": "a Numbers or Pages document: export the sheet as CSV",
    "word/document.xml": "a Word document: save each photo in it as a file",
    "ppt/presentation.xml": "a PowerPoint file: save each photo in it as a file",
}
"""A member that shows what an archive really is, and what to do then."""

_UTF8 = 0x800
"""The flag of a name in UTF-8 (APPNOTE.TXT, 4.4.4)."""


@dataclass(frozen=True, slots=True, eq=False)
class ArchiveFile:
    """One file of an archive."""

    archive: zipfile.ZipFile
    path: str
    info: zipfile.ZipInfo

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)

    def __str__(self) -> str:
        """Return its name in the archive."""
        return self.path

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:
        """Open its content, one byte more than a photo may have at most. Raises: OSError."""
        try:
            with self.archive.open(self.info) as file:
                return io.BytesIO(file.read(MAX_BYTES + 1))
        except UNPACKING_ERRORS as e:
            raise OSError(5, f"cannot be unpacked: {e}") from None


@dataclass(frozen=True, slots=True, eq=False)
class TableFile:
    """A file that came beside a table."""

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:
        """Open its content."""
        return io.BytesIO(self.content)


def read_upload(
    data: bytes, beside: Sequence[TableFile] = (), columns: Mapping[str, str] | None = None
) -> Roster:
    """Read the people of a ZIP file, or of a table with the files `beside` it.

    columns: field -> heading, where a table has others than those that are known. Raises:
    SourceError.
    """
    given = columns or {}
    if data.startswith(b"PK") and not is_workbook(data):
        if beside:
            text = "photos beside a ZIP file would be left out: put them into it"
            raise SourceError(text).named("photos_beside")
        return read_archive(data, given=given)
    if len(data) > MAX_TABLE_BYTES:
        raise SourceError(f"the table {TOO_LARGE}").named("table_large")
    named = ((posixpath.basename(part.name.replace("\\", "/")), part) for part in beside)
    sent = {name: TableFile(name, part.content) for name, part in named}
    if len(sent) < len(beside):
        raise SourceError("two photos have the same name").named("photos_alike")
    names = Names(sent, "was not sent")
    used: set[str] = set()

    def find(name: str) -> Photo:
        # browsers send the last part of a name only
        found = names.find(posixpath.basename(name.replace("\\", "/")))
        if isinstance(found, Missing):
            return Missing(shown(found.name), found.why)
        used.add(found)
        return sent[found]

    roster = roster_of_table(data, "the table", find, given)
    left = tuple(shown(name) for name in sent if name not in used)
    return replace(roster, skipped=left)


def read_archive(
    data: bytes | Path,
    source: str = "the archive",
    given: Mapping[str, str] | None = None,
) -> Roster:
    """Read the people of a ZIP file. Raises: SourceError with what is wrong.

    A sub-folder or file per person, named by the personnel code; or a CSV file as for
    `read_roster`, whose photos are named as they are in the archive, from the CSV's folder on.
    """
    members = _members(data)
    for name, what in _NO_PHOTOS.items():
        if name in members:
            raise SourceError(f"{source} is {what}").named("no_photos_in_it")
    try:
        return roster_of_files(members, source, given or {})
    except OSError as error:
        raise SourceError(f"{source} {error.strerror}").named("zip_broken") from None


def _members(data: bytes | Path) -> dict[str, Photo]:
    """Return the files of an archive by name, with `/`. Raises: SourceError."""
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
        check_directory(file)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data)
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
        text = f"the archive cannot be read: {error}"
        raise SourceError(text).named("zip_broken") from None
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        text = f"the archive has more than {MAX_MEMBERS} files: make several"
        raise SourceError(text).named("too_many_files", str(MAX_MEMBERS))
    members: dict[str, Photo] = {}
    for info in infos:
        name = _name(info)
        if not name.endswith("/") and not any(map(is_litter, name.split("/"))):
            members[name] = ArchiveFile(archive, name, info)
    return members


def _name(info: zipfile.ZipInfo) -> str:
    """Return a member's name with `/`; in UTF-8 where it is, though programs do not say so."""
    name = info.filename
    if not info.flag_bits & _UTF8:
        with contextlib.suppress(UnicodeError):  # it is in the old encoding, as it says
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")
