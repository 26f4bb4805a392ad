"""Reads the people to import from a folder, a ZIP file or a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gated.enrollment.csv_table import MAX_TABLE_BYTES
from gated.enrollment.file_names import on_disk
from gated.enrollment.import_source import Roster, _of_folder, roster_of_table, shown
from gated.enrollment.workbook import is_workbook
from gated.errors import SourceError


def read_roster(source: Path, columns: Mapping[str, str] | None = None) -> Roster:
    """Read the people of a folder, a ZIP file, a CSV or a workbook.

    Folder, ZIP: a sub-folder or files per person, named by the personnel code; photos and `.npy`
    files; or a table and its photos. Table: a header with `personnel_code` and `photo` or
    `encoding`, optionally FIELDS (columns: field -> heading, for others); one row a photo; relative
    paths start at its folder. Raises: SourceError with what is wrong.
    """
    given = columns or {}
    try:
        if source.is_dir():
            return _of_folder(source, given)
        if source.is_file():
            return _of_file(source, given)
    except (OSError, ValueError) as error:
        raise SourceError(f"{shown(source)}: cannot be read: {error}") from None
    raise SourceError(f"{shown(source)}: no such folder or table")


def _of_file(source: Path, given: Mapping[str, str]) -> Roster:
    with source.open("rb") as file:
        is_packed = file.read(2) == b"PK"
        file.seek(0)
        # no workbook that can be imported is larger
        content = file.read(MAX_TABLE_BYTES + 1)
        if is_packed and not is_workbook(content):
            from gated.enrollment.archive import read_archive

            return read_archive(source, shown(source), given)
    return roster_of_table(content, source, on_disk(source.parent), given)
