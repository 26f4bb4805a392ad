"""The cells of an Excel workbook (.xlsx, ECMA-376), read part by part and bounded in every way.

Of a workbook its first visible sheet counts that holds anything. Numbers are what is shown of them
as far as codes need that: whole, and with the zeros in front that a format such as 00000 adds.
"""

from __future__ import annotations

import io
import posixpath
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from gated.enrollment.zip_directory import UNPACKING_ERRORS, check_directory
from gated.errors import SourceError

WORKBOOK = "xl/workbook.xml"

MAX_MEMBERS = 5_000
MAX_PART_BYTES = 48 << 20
"""Of one part, unpacked: whatever it says of itself, no more is unpacked."""
MAX_UNPACKED_BYTES = 4 * MAX_PART_BYTES
"""Of all parts that are read, each time: many sheets may name the same one."""
MAX_SHEETS = 500
MAX_ROWS = 100_000
MAX_COLUMNS = 256
MAX_CELLS = 1_000_000
MAX_CHARACTERS = 32 << 20
"""Of all cells together: any number of them may refer to one long text."""
MAX_STRINGS = 500_000
MAX_TEXT = 32_767
"""Characters that a cell can hold."""
EXACT = 10**15
"""Numbers with more digits are not kept by a spreadsheet as they were typed."""

_CHUNK = 64 * 1024
_PLACE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_ZEROS = re.compile(r"0{2,32}")
_MORE = f"more than {MAX_ROWS:,} rows, {MAX_COLUMNS} columns or {MAX_CELLS:,} cells: make several"


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row of a sheet that holds anything. problem: why it cannot be used; empty: it can."""

    number: int
    cells: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of the sheet that counts, and what is to be said of the others."""

    rows: tuple[SheetRow, ...]
    notes: tuple[str, ...]


def is_workbook(content: bytes) -> bool:
    """Return whether these bytes are an Excel workbook, as far as its directory says."""
    if not content.startswith(b"PK\3\4"):
        return False
    try:
        return WORKBOOK in _opened(content).namelist()
    except SourceError:
        return False


def read_workbook(content: bytes) -> Sheet:
    """Read the sheet that counts. Raises: SourceError, without the file's name."""
    archive = _opened(content)
    book = _Book(archive)
    notes: list[str] = []
    found: tuple[SheetRow, ...] = ()
    for name, part in book.sheets():
        rows = tuple(_rows(archive, part, book))
        if rows and not found:
            found = rows
        elif rows:
            notes.append(f"the sheet {name[:60]!r} is not imported: only the first one with cells")
    if not found:
        raise SourceError("the workbook has no visible sheet with cells")
    if any(path.startswith("xl/media/") for path in archive.namelist()):
        notes.append(
            "pictures within the workbook are not imported: save each as a file and name it in a "
            "column photo"
        )
    return Sheet(found, tuple(notes))


class _Archive(zipfile.ZipFile):
    """The parts of a workbook. left: how many bytes may be unpacked still."""

    left = MAX_UNPACKED_BYTES


def _opened(content: bytes) -> _Archive:
    check_directory(io.BytesIO(content))
    try:
        archive = _Archive(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
        raise SourceError(f"the workbook cannot be read: {error}") from None
    if len(archive.infolist()) > MAX_MEMBERS:
        raise SourceError("this is no workbook: it has too many parts")
    return archive


# --- XML ------------------------------------------------------------------------------------------


class _Reader:
    """Reads the elements of a part by their local names; texts are bounded.

    begin and end are called for each element; `text` is the text since `listen`.
    """

    def __init__(
        self, begin: Callable[[str, Mapping[str, str]], None], end: Callable[[str], None]
    ) -> None:
        self._begin, self._end = begin, end
        self._heard: list[str] = []
        self._length, self._listens = 0, False

    def listen(self) -> None:
        self._heard.clear()
        self._length, self._listens = 0, True

    def text(self) -> str:
        self._listens = False
        return "".join(self._heard)

    def parse(self, archive: _Archive, part: str) -> None:
        """Parse a part. Raises: SourceError for no XML, too much of it, or entities."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, attributes: self._begin(_local(name), attributes)
        parser.EndElementHandler = lambda name: self._end(_local(name))
        parser.CharacterDataHandler = self._hear
        parser.StartDoctypeDeclHandler = _refuse_doctype
        left = MAX_PART_BYTES
        try:
            with archive.open(part) as file:
                while piece := file.read(_CHUNK):
                    left -= len(piece)
                    archive.left -= len(piece)
                    if min(left, archive.left) < 0:
                        raise SourceError(f"its part {part} is too large when unpacked")
                    parser.Parse(piece, False)
            parser.Parse(b"", True)
        except KeyError:
            raise SourceError(f"the workbook lacks its part {part[:80]}") from None
        except expat.ExpatError as error:
            raise SourceError(f"its part {part} is damaged: {error}") from None
        except UNPACKING_ERRORS as e:
            raise SourceError(f"its part {part} cannot be unpacked: {e}") from None

    def _hear(self, text: str) -> None:
        if self._listens and self._length <= MAX_TEXT:
            self._heard.append(text)
            self._length += len(text)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _refuse_doctype(*_: object) -> None:
    raise SourceError("the workbook defines entities, which no spreadsheet does")


def _attribute(attributes: Mapping[str, str], name: str) -> str:
    return next((value for key, value in attributes.items() if _local(key) == name), "")


def _plain(text: str) -> str:
    """Return a text without the escapes of characters that XML cannot hold."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


# --- what cells refer to --------------------------------------------------------------------------


@dataclass
class _Book:
    """Texts that cells share, the zeros that formats add, and where the sheets are."""

    archive: _Archive
    strings: list[str] = field(default_factory=list)
    digits: list[int] = field(default_factory=list)
    """Of each cell style: to how many digits a number is filled up; 0: as it is."""

    def __post_init__(self) -> None:
        names = set(self.archive.namelist())
        self._targets = self._relations()
        self.strings = self._strings() if "xl/sharedStrings.xml" in names else []
        self.digits = self._digits() if "xl/styles.xml" in names else []

    def sheets(self) -> Iterator[tuple[str, str]]:
        """Yield (name, part) of the visible sheets in their order. Raises: SourceError."""
        found: list[tuple[str, str]] = []

        def begin(name: str, attributes: Mapping[str, str]) -> None:
            if name == "sheet" and attributes.get("state", "visible") == "visible":
                target = self._targets.get(_attribute(attributes, "id"))
                if target is not None:
                    found.append((attributes.get("name", ""), target))
                if len(found) > MAX_SHEETS:
                    raise SourceError(f"the workbook has more than {MAX_SHEETS} sheets")

        _Reader(begin, lambda name: None).parse(self.archive, WORKBOOK)
        yield from found

    def _relations(self) -> dict[str, str]:
        """Return id -> part of the worksheets."""
        found: dict[str, str] = {}

        def begin(name: str, attributes: Mapping[str, str]) -> None:
            if name == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
                target = attributes.get("Target", "")
                part = target[1:] if target.startswith("/") else posixpath.join("xl", target)
                found[attributes.get("Id", "")] = posixpath.normpath(part)

        _Reader(begin, lambda name: None).parse(self.archive, "xl/_rels/workbook.xml.rels")
        return found

    def _strings(self) -> list[str]:
        found: list[str] = []
        parts: list[str] = []
        spoken = 0  # how a word is read in Japanese stands beside it, and is no part of it

        def begin(name: str, attributes: Mapping[str, str]) -> None:
            nonlocal spoken
            if name == "si":
                parts.clear()
            elif name == "rPh":
                spoken += 1
            elif name == "t" and not spoken:
                reader.listen()

        def end(name: str) -> None:
            nonlocal spoken
            if name == "t" and not spoken:
                parts.append(reader.text())
            elif name == "rPh":
                spoken -= 1
            elif name == "si":
                found.append(_plain("".join(parts)[: MAX_TEXT + 1]))
                if len(found) > MAX_STRINGS:
                    raise SourceError(f"the workbook has {_MORE}")

        reader = _Reader(begin, end)
        reader.parse(self.archive, "xl/sharedStrings.xml")
        return found

    def _digits(self) -> list[int]:
        formats: dict[str, int] = {}
        found: list[int] = []
        inside = ""

        def begin(name: str, attributes: Mapping[str, str]) -> None:
            nonlocal inside
            if name in ("cellXfs", "cellStyleXfs"):
                inside = name
            elif name == "numFmt" and _ZEROS.fullmatch(attributes.get("formatCode", "")):
                formats[attributes.get("numFmtId", "")] = len(attributes["formatCode"])
            elif name == "xf" and inside == "cellXfs" and len(found) < MAX_COLUMNS * 256:
                found.append(formats.get(attributes.get("numFmtId", ""), 0))

        def end(name: str) -> None:
            nonlocal inside
            if name == inside:
                inside = ""

        _Reader(begin, end).parse(self.archive, "xl/styles.xml")
        return found


# --- rows -----------------------------------------------------------------------------------------


def _rows(archive: _Archive, part: str, book: _Book) -> list[SheetRow]:
    """Return the rows of a sheet that hold anything. Raises: SourceError."""
    sheet = _SheetReader(book)
    reader = _Reader(sheet.begin, sheet.end)
    sheet.reader = reader
    reader.parse(archive, part)
    return sheet.rows


class _SheetReader:
    """Makes rows of the elements of a sheet."""

    reader: _Reader

    def __init__(self, book: _Book) -> None:
        self.rows: list[SheetRow] = []
        self._book = book
        self._number = self._column = self._cells = self._characters = 0
        self._row: dict[int, str] = {}
        self._problem = ""
        self._attributes: Mapping[str, str] = {}
        self._texts: list[str] | None = None
        """The texts of the present cell, without those beyond MAX_TEXT; None: it has no value."""
        self._length = 0
        self._formula = False
        self._spoken = 0

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "row":
            self._begin_row(attributes)
        elif name == "c":
            self._begin_cell(attributes)
        elif name == "f":
            self._formula = True
        elif name == "rPh":
            self._spoken += 1
        elif name in ("v", "t") and not self._spoken:
            self.reader.listen()

    def end(self, name: str) -> None:
        if name in ("v", "t") and not self._spoken:
            self._take(self.reader.text())
        elif name == "rPh":
            self._spoken -= 1
        elif name == "c":
            self._end_cell()
        elif name == "row" and (self._row or self._problem):
            width = max(self._row, default=-1) + 1
            cells = tuple(self._row.get(n, "") for n in range(width))
            self.rows.append(SheetRow(self._number, cells, self._problem))

    def _begin_row(self, attributes: Mapping[str, str]) -> None:
        given = attributes.get("r", "")
        self._number = int(given) if given.isdecimal() and len(given) < 8 else self._number + 1
        self._row, self._column, self._problem = {}, -1, ""

    def _begin_cell(self, attributes: Mapping[str, str]) -> None:
        place = _PLACE.fullmatch(attributes.get("r", ""))
        self._column = self._column + 1 if place is None else _column(place[1])
        self._attributes, self._texts, self._length = attributes, None, 0
        self._formula = False

    def _take(self, text: str) -> None:
        """Add a text to the present cell, which may have any number of them."""
        if self._texts is None:
            self._texts = []
        if self._length <= MAX_TEXT:
            self._texts.append(text)
            self._length += len(text)

    def _end_cell(self) -> None:
        text = self._text()
        if not text.strip():
            return
        self._cells += 1
        if self._column >= MAX_COLUMNS or self._cells > MAX_CELLS or len(self.rows) >= MAX_ROWS:
            raise SourceError(f"the sheet has {_MORE}")
        if len(text) > MAX_TEXT:
            self._problem = f"the cell {self._place()} has more than {MAX_TEXT} characters"
            text = text[:64]
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            raise SourceError(
                f"the sheet has more than {MAX_CHARACTERS:,} characters: make several"
            )
        self._row[self._column] = text

    def _text(self) -> str:
        """Return the cell's text; note a problem of the row where it cannot be known."""
        kind = self._attributes.get("t", "n")
        value = None if self._texts is None else "".join(self._texts)
        if kind == "e":
            self._problem = f"the cell {self._place()} holds an error ({(value or '')[:20]})"
            return value or "#"
        if value is None:
            if self._formula:
                self._problem = (
                    f"the formula in {self._place()} has no value: open the file in a spreadsheet "
                    "and save it again"
                )
                return "="
            return ""
        if kind == "s":
            at = int(value) if value.strip().isdecimal() and len(value) < 10 else -1
            if not 0 <= at < len(self._book.strings):
                self._problem = f"the cell {self._place()} refers to a text that is not there"
                return "?"
            return self._book.strings[at]
        if kind == "b":
            return "TRUE" if value.strip() == "1" else "FALSE"
        if kind == "n":
            return self._number_shown(value.strip())
        return _plain(value)

    def _number_shown(self, value: str) -> str:
        """Return a number as it is shown where it is whole, else as it is written."""
        try:
            number = float(value)
        except ValueError:
            return value
        if not number.is_integer():
            return value
        if abs(number) >= EXACT:
            self._problem = (
                f"the number in {self._place()} has too many digits for a spreadsheet: format the "
                "column as text and type it again"
            )
            return value
        style = self._attributes.get("s", "")
        digits = self._book.digits
        at = int(style) if style.isdecimal() and len(style) < 8 else -1
        wide = digits[at] if 0 <= at < len(digits) else 0
        return f"{int(number):0{wide}d}" if wide and number >= 0 else str(int(number))

    def _place(self) -> str:
        return f"{letters(self._column)}{self._number}"


def _column(name: str) -> int:
    """Return the number of a column: A -> 0, Z -> 25, AA -> 26."""
    number = 0
    for letter in name:
        number = number * 26 + ord(letter) - 64
    return number - 1


def letters(column: int) -> str:
    """Return the name of a column: 0 -> A, 25 -> Z, 26 -> AA."""
    name, number = "", column + 1
    while number > 0:
        number, rest = divmod(number - 1, 26)
        name = chr(65 + rest) + name
    return name
