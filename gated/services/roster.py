"""Who is to be imported: a folder named by personnel code, or a CSV with photo paths."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from gated.errors import SourceError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
ENCODING_SUFFIX = ".npy"
FIELDS = ("first_name", "last_name", "department", "position", "email", "phone")
DELIMITERS = ",;\t"


class Photo(Protocol):
    """A file, on disk or in an archive, by the name that is told of it."""

    @property
    def name(self) -> str: ...

    def open(self, mode: Literal["rb"]) -> BinaryIO: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """One person to import. encodings: `.npy` files that face_recognition's users made."""

    personnel_code: str
    fields: dict[str, str] = field(default_factory=dict)
    photos: tuple[Photo, ...] = ()
    encodings: tuple[Photo, ...] = ()


@dataclass(frozen=True, slots=True)
class Roster:
    """The people of a source in its order.

    skipped: files that are neither photo nor encoding. nameless: lines without personnel code.
    """

    people: tuple[Candidate, ...]
    skipped: tuple[str, ...] = ()
    nameless: tuple[int, ...] = ()


def read_roster(source: Path) -> Roster:
    """The people that a folder or CSV names.

    Folder: a sub-folder or files per person, named by the personnel code; photos and `.npy` files.
    CSV: a header with `personnel_code` and `photo` or `encoding`, optionally FIELDS; comma,
    semicolon or tab; UTF-8; one row a photo; relative paths start at the CSV's folder. SourceError
    with what is wrong.
    """
    try:
        if source.is_dir():
            return roster_of(_from_folder(source), source)
        if source.is_file():
            content = source.read_bytes()
            return roster_of(candidates_of_table(content, source, source.parent.joinpath), source)
    except (OSError, ValueError) as error:
        raise SourceError(f"{shown(source)}: cannot be read: {error}") from None
    raise SourceError(f"{shown(source)}: no such folder or CSV file")


def shown(path: Path | str) -> str:
    """A path as text that can be printed and stored, whatever bytes it is made of."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def roster_of(found: Iterable[Candidate | str | int], source: Path | str) -> Roster:
    """One candidate a personnel code; texts are files left out, numbers lines without a code.

    SourceError when there is nobody.
    """
    found = list(found)
    people: dict[str, Candidate] = {}
    for item in (x for x in found if isinstance(x, Candidate)):
        code = item.personnel_code
        before = people.get(code, Candidate(code))
        people[code] = Candidate(
            code,
            {**before.fields, **item.fields},
            (*before.photos, *item.photos),
            (*before.encodings, *item.encodings),
        )
    if not people:
        raise SourceError(f"{shown(source)}: nobody found in it")
    return Roster(
        tuple(people.values()),
        tuple(x for x in found if isinstance(x, str)),
        tuple(x for x in found if isinstance(x, int)),
    )


def _from_folder(source: Path) -> Iterator[Candidate | str]:
    for entry in sorted(source.iterdir()):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            yield _of_file(entry.stem, entry) or shown(entry.name)
            continue
        inside = [_of_file(entry.name, p) or p for p in sorted(entry.iterdir())]
        people = [p for p in inside if isinstance(p, Candidate)]
        yield from people
        others = [p for p in inside if isinstance(p, Path) and not p.name.startswith(".")]
        yield from (shown(p.relative_to(source)) for p in others)
        if not people and not others:
            yield shown(entry.name)


def _of_file(name: str, file: Path) -> Candidate | None:
    """The person that a file speaks of; None when it is no photo and no encoding."""
    suffix = file.suffix.lower()
    if file.name.startswith(".") or not file.is_file():
        return None
    code = shown(name).strip()
    if suffix in PHOTO_SUFFIXES:
        return Candidate(code, photos=(file,))
    return Candidate(code, encodings=(file,)) if suffix == ENCODING_SUFFIX else None


def candidates_of_table(
    content: bytes, source: Path | str, find: Callable[[str], Photo]
) -> list[Candidate | int]:
    """The lines of a CSV as candidates, or their number without a code; `find` gives the files.

    SourceError, which calls the table `source`.
    """
    try:
        return list(_lines(content, source, find))
    except csv.Error as error:
        raise SourceError(f"{shown(source)}: cannot be read: {error}") from None


def _lines(
    content: bytes, source: Path | str, find: Callable[[str], Photo]
) -> Iterator[Candidate | int]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError(f"{shown(source)}: is not UTF-8: save it as `CSV UTF-8`") from None
    head = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=head.count)
    lines = io.StringIO(text, newline="")
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    columns = [name.strip().lower() for name in reader.fieldnames or ()]
    if "personnel_code" not in columns or not {"photo", "encoding"} & set(columns):
        raise SourceError(
            f"{shown(source)}: the first line must name the columns: personnel_code, photo (or "
            f"encoding) and, as wanted, {', '.join(FIELDS)}"
        )
    reader.fieldnames = columns
    for row in reader:
        given = {k: v.strip() for k, v in row.items() if isinstance(v, str) and v.strip()}
        if "personnel_code" in given:
            yield Candidate(
                given["personnel_code"],
                {k: given[k] for k in FIELDS if k in given},
                tuple(find(given[k]) for k in ("photo",) if k in given),
                tuple(find(given[k]) for k in ("encoding",) if k in given),
            )
        elif given:
            yield reader.line_num
