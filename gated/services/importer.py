"""Many people at once, from a folder named by personnel code or a CSV with photo paths."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gated.errors import SourceError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
CSV_COLUMNS = ("personnel_code", "first_name", "last_name", "department", "position", "email")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One person to import: personnel code, the other fields that were given, photo files."""

    personnel_code: str
    fields: dict[str, str] = field(default_factory=dict)
    photos: tuple[Path, ...] = ()


def read_source(source: Path) -> list[Candidate]:
    """The people that a folder or CSV names.

    Folder: a sub-folder per person or a photo per person, named by the personnel code. CSV: a
    header with `personnel_code` and `photo`, optionally names, department, position, email; one row
    a photo; relative photo paths start at the CSV's folder. SourceError with what is wrong.
    """
    if source.is_dir():
        people = list(_from_folder(source))
    elif source.is_file():
        people = list(_from_csv(source))
    else:
        raise SourceError(f"{source}: no such folder or CSV file")
    if not people:
        raise SourceError(f"{source}: nobody found in it (sub-folders or photos named by code)")
    return people


def _from_folder(source: Path) -> Iterator[Candidate]:
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            photos = tuple(sorted(p for p in entry.iterdir() if _is_photo(p)))
            if photos:
                yield Candidate(entry.name, photos=photos)
        elif _is_photo(entry):
            yield Candidate(entry.stem, photos=(entry,))


def _from_csv(source: Path) -> Iterator[Candidate]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{source}: not a readable CSV file: {error}") from None
    columns: Sequence[str] = list(rows[0]) if rows else []
    missing = {"personnel_code", "photo"} - set(columns)
    if missing:
        raise SourceError(f"{source}: the header lacks {', '.join(sorted(missing))}")
    people: dict[str, Candidate] = {}
    for number, row in enumerate(rows, start=2):
        code = (row["personnel_code"] or "").strip()
        if not code:
            raise SourceError(f"{source}:{number}: personnel_code is empty")
        given = {k: v.strip() for k in CSV_COLUMNS[1:] if (v := row.get(k) or "").strip()}
        photo = (row["photo"] or "").strip()
        before = people.get(code, Candidate(code))
        people[code] = Candidate(
            code,
            {**before.fields, **given},
            (*before.photos, *((source.parent / photo,) if photo else ())),
        )
    yield from people.values()


def _is_photo(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in PHOTO_SUFFIXES
