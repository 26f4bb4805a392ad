"""Read whom to import: from a folder named by personnel code, or a table with photo paths."""

from __future__ import annotations

import io
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from gated.core.text import clean_code, code_key, is_hidden
from gated.enrollment.csv_table import Row, read_table
from gated.enrollment.file_names import Names, is_litter
from gated.enrollment.headings import FIELDS
from gated.errors import SourceError, TextRefused

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff"}
    # not our formats: the error names what they are when they are opened
    | {".heic", ".heif", ".avif", ".webp", ".gif", ".jp2", ".jxl", ".pdf", ".psd", ".svg"}
    | {".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"}
)
ENCODING_SUFFIX = ".npy"
TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".xlsm")

NO_CODE = "it has no personnel_code"

_HAS_DIGIT = re.compile(r"\d")
_OF_A_CAMERA = re.compile(
    r"(img|image|dsc|dscn|dscf|pxl|photo|foto|bild|pict?|picture|scan|portrait|whatsapp|screenshot|"
    r"front|side|left|right|face)?[-_ .()]*\d{0,2}|"
    r"(img|image|dsc|dscn|dscf|pxl|mvimg|pict?|p|whatsapp|screenshot)[-_ ].*|"
    r"(dsc|dscn|dscf|img|p|pict)\d+|(19|20)\d{6}.*"
)
"""Names that cameras and people give to the photos of one person."""
_COLLECTIONS = frozenset(
    {"staff", "people", "persons", "employees", "personnel", "faces", "photos", "photo", "images"}
    | {"pictures", "import", "mitarbeiter", "personal", "belegschaft", "personen", "gesichter"}
    | {"fotos", "foto", "bilder", "employes", "personnes", "visages"}
)
"""Names of folders that hold people, and are none."""

_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")


class Photo(Protocol):
    """A file, on disk or in an archive, by the name used in reports."""

    @property
    def name(self) -> str: ...

    def open(self, mode: Literal["rb"]) -> BinaryIO: ...


@dataclass(frozen=True, slots=True)
class LoadedPhoto:
    """A photo that was read already."""

    name: str
    content: bytes = field(repr=False)

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """Open the content."""
        return io.BytesIO(self.content)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One person to import. encodings: `.npy` files that face_recognition's users made.

    rows: those of a table, each with its files; none of a folder. is_folder: a folder bears the
    code. apart: who they are by the names of the files if these show several people.
    """

    personnel_code: str
    fields: dict[str, str] = field(default_factory=dict)
    photos: tuple[Photo, ...] = ()
    encodings: tuple[Photo, ...] = ()
    rows: tuple[tuple[Row, tuple[Photo, ...]], ...] = field(default=(), compare=False)
    is_folder: bool = field(default=False, compare=False)
    apart: tuple[ImportRow, ...] = field(default=(), compare=False)

    @property
    def has_files(self) -> bool:
        """True when there is anything biometric."""
        return bool(self.photos or self.encodings)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Rows that are refused before anything is stored. what: how they are called.

    rule, limit: the name of the reason, for whoever has words of their own.
    """

    what: str
    detail: str
    rows: tuple[Row, ...] = ()
    rule: str | None = None
    limit: str | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """The people of a source in its order.

    skipped: files that are neither photo nor encoding, or that no row names. problems: rows that
    cannot be used. notes: what else is to be known of the source. base: the folder, within the
    source, that the names of files are seen from. separator: of the cells of a CSV.
    """

    people: tuple[ImportRow, ...]
    skipped: tuple[str, ...] = ()
    problems: tuple[RowProblem, ...] = ()
    notes: tuple[str, ...] = ()
    base: str = ""
    separator: str = ","

    @property
    def nameless(self) -> tuple[int, ...]:
        """The lines without personnel code."""
        return tuple(p.rows[0].line for p in self.problems if p.detail == NO_CODE)


def shown(path: Path | str) -> str:
    """Return a path as text that can be printed and stored, whatever bytes it is made of."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def _of_folder(source: Path, given: Mapping[str, str]) -> Roster:
    files: dict[str, Photo] = {}
    others = []
    for path, is_file in _walk(source):
        name = path.relative_to(source).as_posix()
        if is_file:
            files[name] = path
        else:
            others.append(shown(name))
        if len(files) > MOST_FILES:
            raise SourceError(f"{shown(source)} has more than {MOST_FILES} files: make several")
    return roster_of_files(files, source, given, others)


DEEPEST = 8
MOST_FILES = 100_000


def _walk(folder: Path, depth: int = 0) -> Iterator[tuple[Path, bool]]:
    """Yield (path, True for a file) of all in a folder, but not of folders with contents."""
    for entry in sorted(folder.iterdir()):
        if is_litter(entry.name):
            continue
        if entry.is_dir() and depth < DEEPEST:
            inside = list(_walk(entry, depth + 1))
            yield from inside or ((entry, False),)
        else:
            yield entry, entry.is_file()


# --- files named by code --------------------------------------------------------------------------


def roster_of_files(
    files: Mapping[str, Photo],
    source: Path | str,
    given: Mapping[str, str],
    others: Sequence[str] = (),
) -> Roster:
    """Read the people of files by their names in a folder or an archive, with `/`.

    Raises: SourceError. A single folder on top, that holds people and is none, is looked through.
    """
    tables = [name for name in files if name.lower().endswith(TABLE_SUFFIXES)]
    if len(tables) > 1:
        text = f"{shown(source)} has several CSV files or workbooks: keep one"
        raise SourceError(text).named("several_tables")
    if tables:
        return _roster_beside(files, tables[0], source, given, others)
    found = list(_named_by_code(files))
    roster = roster_of(found, source)
    return Roster(roster.people, (*others, *roster.skipped))


def _roster_beside(
    files: Mapping[str, Photo],
    table: str,
    source: Path | str,
    given: Mapping[str, str],
    others: Sequence[str],
) -> Roster:
    """Read the people of a table among files; files that no row names are left out."""
    with files[table].open("rb") as file:
        content = file.read()
    names = Names(files)
    used: set[str] = set()

    def find(name: str) -> Photo:
        found = names.find(name, posixpath.dirname(table))
        if isinstance(found, str):
            used.add(found)
            return files[found]
        return found

    roster = roster_of_table(content, shown(table), find, given)
    left = [shown(name) for name in files if name not in used and name != table]
    base = posixpath.dirname(table)
    return replace(roster, skipped=(*others, *left), base=base)


def _named_by_code(files: Mapping[str, Photo]) -> Iterator[ImportRow | str]:
    speaking = {tuple(name.split("/")): file for name, file in files.items() if _is_of_person(name)}
    top = 0
    while speaking and _is_wrapped(speaking, top):
        top += 1
    yield from (shown(name) for name in files if not _is_of_person(name))
    inside = {parts[top:]: file for parts, file in speaking.items()}
    yield from (shown("/".join(parts)) for parts in speaking if len(parts) - top > 2)
    near = {parts: file for parts, file in inside.items() if len(parts) <= 2}
    folders = {parts[0] for parts in near if len(parts) == 2}
    if len(folders) == 1 and len(near) > 0 and all(len(parts) == 2 for parts in near):
        yield from _of_one_folder(folders.pop(), {p[1]: f for p, f in near.items()})
        return
    for parts, file in near.items():
        code = parts[0] if len(parts) == 2 else _stem(parts[0])
        yield _candidate(code, parts[-1], file, is_folder=len(parts) == 2)


def _is_of_person(name: str) -> bool:
    suffix = posixpath.splitext(name)[1].lower()
    return suffix in PHOTO_SUFFIXES or suffix == ENCODING_SUFFIX


def _is_wrapped(speaking: Mapping[tuple[str, ...], Photo], top: int) -> bool:
    """Return whether all lies in one folder that holds folders."""
    depths = [len(parts) - top for parts in speaking]
    # a file of an archive may have the name of a folder in it
    return min(depths) > 1 and max(depths) > 2 and len({parts[top] for parts in speaking}) == 1


def _of_one_folder(folder: str, files: Mapping[str, Photo]) -> Iterator[ImportRow]:
    """Yield the people of a single folder of photos: one person, or several, by the names.

    Where the names leave that open, the import looks at the faces (`apart`). Raises: SourceError.
    """
    apart = [_candidate(_stem(name), name, file) for name, file in files.items()]
    codes = [is_like_a_code(person.personnel_code) for person in apart]
    holds_people = folder.casefold() in _COLLECTIONS
    if holds_people or (all(codes) and not is_like_a_code(folder)):
        yield from apart
        return
    is_one = len(apart) == 1 and code_key(apart[0].personnel_code) == code_key(folder)
    if len(apart) == 1 and all(codes) and not is_one:
        raise SourceError(
            f"nobody can tell whose code is meant, that of the folder {shown(folder)} or that of "
            f"its only photo, {apart[0].personnel_code}: name the person in a CSV"
        ).named("whose_code", shown(folder))
    whole = [_candidate(folder, name, file, is_folder=True) for name, file in files.items()]
    is_open = any(codes) or not is_like_a_code(folder)
    for person in whole[:1]:
        yield ImportRow(
            person.personnel_code,
            photos=tuple(f for p in whole for f in p.photos),
            encodings=tuple(f for p in whole for f in p.encodings),
            is_folder=True,
            apart=_merged(apart) if is_open else (),
        )


def is_like_a_code(name: str) -> bool:
    """Return whether a file or folder is most probably named by a personnel code."""
    return _HAS_DIGIT.search(name) is not None and not _OF_A_CAMERA.fullmatch(name.casefold())


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0]


def _candidate(name: str, file_name: str, file: Photo, *, is_folder: bool = False) -> ImportRow:
    code = shown(unicodedata.normalize("NFC", name)).strip()
    if file_name.lower().endswith(ENCODING_SUFFIX):
        return ImportRow(code, encodings=(file,), is_folder=is_folder)
    return ImportRow(code, photos=(file,), is_folder=is_folder)


def roster_of(found: Iterable[ImportRow | str | RowProblem], source: Path | str) -> Roster:
    """Merge what was found into one row a person; texts are files left out.

    Raises: SourceError when there is nobody, and no problem either.
    """
    found = list(found)
    people = _merged(x for x in found if isinstance(x, ImportRow))
    problems = tuple(x for x in found if isinstance(x, RowProblem))
    if not people and not problems:
        raise SourceError(f"{shown(source)}: nobody found in it").named("nobody_in_it")
    return Roster(people, tuple(x for x in found if isinstance(x, str)), problems)


def _merged(found: Iterable[ImportRow]) -> tuple[ImportRow, ...]:
    """Merge the rows that have one code, however it is spelt."""
    people: dict[str, ImportRow] = {}
    for item in found:
        key = code_key(item.personnel_code)
        before = people.get(key, ImportRow(item.personnel_code))
        people[key] = ImportRow(
            before.personnel_code,
            {**item.fields, **before.fields},
            (*before.photos, *(p for p in item.photos if p not in before.photos)),
            (*before.encodings, *(e for e in item.encodings if e not in before.encodings)),
            (*before.rows, *item.rows),
            before.is_folder or item.is_folder,
            (*before.apart, *item.apart),
        )
    return tuple(people.values())


# --- tables ---------------------------------------------------------------------------------------


def roster_of_table(
    content: bytes,
    source: Path | str,
    find: Callable[[str], Photo],
    given: Mapping[str, str],
) -> Roster:
    """Read the people of a table. find: returns the files. source: its name in messages.

    Raises: SourceError.

    Rows of one code that say different things of a person are refused, all of them.
    """
    try:
        table = read_table(content, given)
    except SourceError as error:
        text = f"{shown(source)}: {error}"
        raise SourceError(text).named(error.rule, error.limit) from None
    found: list[ImportRow | RowProblem] = []
    of_code: dict[str, list[Row]] = {}
    for row in table.rows:
        problem = _problem_of(row)
        if problem is not None:
            found.append(problem)
        else:
            of_code.setdefault(code_key(row.cells["personnel_code"]), []).append(row)
    for rows in of_code.values():
        problem = _disagreement(rows)
        found += [problem] if problem is not None else [_of_row(row, find) for row in rows]
    roster = roster_of(found, source)
    problems = _by_line(roster.problems)
    return Roster(roster.people, (), problems, table.notes, separator=table.separator)


def _by_line(problems: Sequence[RowProblem]) -> tuple[RowProblem, ...]:
    return tuple(sorted(problems, key=lambda p: p.rows[0].line))


def _problem_of(row: Row) -> RowProblem | None:
    """Find why a row alone cannot be used; None: it can."""
    code = row.cells.get("personnel_code", "")
    if row.problem:
        what = code or f"line {row.line}"
        return RowProblem(what, row.problem, (row,), row.rule, row.limit)
    if not code:
        return RowProblem(f"line {row.line}", NO_CODE, (row,), rule="no_code")
    try:
        clean_code(code, "personnel_code")
    except TextRefused as error:
        return RowProblem(_visible(code), str(error), (row,), error.rule, error.limit)
    scripts = {s for c in code if c.isalpha() for s in _SCRIPTS if s in unicodedata.name(c, "")}
    if len(scripts) > 1:
        mixed = " and ".join(sorted(s.capitalize() for s in scripts))
        detail = f"personnel_code mixes {mixed} letters, which look alike: type it again"
        return RowProblem(code, detail, (row,), rule="mixed_letters")
    return None


def _visible(code: str) -> str:
    """Return a code with the names of the characters that nobody can see."""
    return "".join(f"<U+{ord(c):04X}>" if is_hidden(code, i) else c for i, c in enumerate(code))


def _disagreement(rows: Sequence[Row]) -> RowProblem | None:
    """Find where rows of one code differ about a person; an empty cell says nothing."""
    for name in FIELDS:
        said = {code_key(r.cells[name]): r for r in reversed(rows) if name in r.cells}
        if len(said) > 1:
            first, other, *_ = sorted(said.values(), key=lambda r: r.line)
            detail = (
                f"the rows of this code disagree: {name} is {first.cells[name][:60]!r} in line "
                f"{first.line} and {other.cells[name][:60]!r} in line {other.line}. Give each "
                "person a code, or make the rows say the same"
            )
            lines = f"{first.line}, {other.line}"
            what = rows[0].cells["personnel_code"]
            return RowProblem(what, detail, tuple(rows), rule="rows_disagree", limit=lines)
    return None


def _of_row(row: Row, find: Callable[[str], Photo]) -> ImportRow:
    cells = row.cells
    photos = tuple(find(cells[k]) for k in ("photo",) if k in cells)
    encodings = tuple(find(cells[k]) for k in ("encoding",) if k in cells)
    return ImportRow(
        clean_code(cells["personnel_code"], "personnel_code"),
        {k: unicodedata.normalize("NFC", cells[k]) for k in FIELDS if k in cells},
        photos,
        encodings,
        ((row, (*photos, *encodings)),),
    )
