"""Tables of people as spreadsheets really write them: encoding, delimiter, quotes, line by line.

An unreadable row does not affect others; each problem is reported with its first line.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gated.enrollment.headings import Headings, headings_of
from gated.enrollment.workbook import MAX_ROWS, SheetRow, is_workbook, letters, read_workbook
from gated.errors import Broken, SourceError
from gated.http.spreadsheet import meant
from gated.vision.kinds import kind_of

MAX_TABLE_BYTES = 4 << 20
MAX_CELL = 32_767
"""Characters that a spreadsheet can hold in a cell."""
DELIMITERS = ",;\t|"
CELLS = ""
"""In place of a delimiter: the cells of a workbook stand apart by themselves."""
NO_TABLE = "this is neither a ZIP file nor a CSV file"
TOO_LARGE = f"is larger than {MAX_TABLE_BYTES >> 20} MB"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_QUOTED = re.compile(r'"((?:[^"]++|"")*+)"')
_END = re.compile(r"\r\n|\n|\r")
_SEP = re.compile(r"sep=(.)(?:\r\n|\n|\r|$)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NO_LETTERS = re.compile(r"[^\W\d_][‚ƒ„…†‡ˆ‰‹“”•˜™›¤¦§¨©«¬®°±»¼½¾¿÷×][^\W\d_]")
"""Characters that no word contains: a sign that the text has another encoding."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of people. cells: field -> what is written there, trimmed, no empty ones.

    problem: why it cannot be used; empty when it can. rule, limit: its name, for whoever has words
    of their own.
    """

    line: int
    cells: Mapping[str, str]
    problem: str = ""
    rule: str | None = None
    limit: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table in their order, and what is to be said of the whole.

    separator: of the cells of a CSV; a comma for a workbook.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    separator: str = ","


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one record. text: as it is written; problem: why it cannot be read, if so."""

    line: int
    cells: tuple[str, ...]
    problem: Broken | None = None
    text: str = ""


def read_table(content: bytes, given: Mapping[str, str]) -> Table:
    """Read a table of people, CSV or the first sheet of a workbook. given: field -> heading, see
    `headings`.

    Raises: SourceError, without the table's name, when it is none.
    """
    if is_workbook(content):
        return _of_workbook(content, given)
    text, encoding = decoded(content)
    delimiter, begin, line = _dialect(text)
    records = _records(text, delimiter, begin, line)
    head = next((r for r in records if any(map(str.strip, r.cells))), Record(line, ()))
    _require_head(head)
    headings = headings_of(head.cells, head.line, given)
    notes = list(headings.notes())
    if encoding == "cp1252":
        notes.append(
            "read as Windows-1252, as it is no UTF-8: if names look wrong, save it as `CSV UTF-8`"
        )
    filled = (r for r in records if any(map(str.strip, r.cells)))
    found = list(itertools.islice(filled, MAX_ROWS + 1))
    if len(found) > MAX_ROWS:
        text = f"the table has more than {MAX_ROWS:,} rows: make several"
        raise SourceError(text).named("too_many_rows", str(MAX_ROWS))
    if short := [str(r.line) for r in found if not r.problem and len(r.cells) < len(head.cells)]:
        more = ", ..." if len(short) > 10 else ""
        notes.append(
            f"line {', '.join(short[:10])}{more}: fewer cells than columns; those that are missing "
            "are taken as empty"
        )
    rows = tuple(_row(r, headings, delimiter) for r in found)
    return Table(rows, tuple(notes), delimiter)


def _of_workbook(content: bytes, given: Mapping[str, str]) -> Table:
    """Read a workbook; lines are the rows as the spreadsheet numbers them. Raises: SourceError."""
    if len(content) > MAX_TABLE_BYTES:
        text = f"the workbook {TOO_LARGE}: make several, or send pictures apart"
        raise SourceError(text).named("table_large")
    try:
        sheet = read_workbook(content)
    except SourceError as error:
        error.named("workbook_broken")
        raise
    head, *rest = (_of_sheet(row) for row in sheet.rows)
    _require_head(head)
    headings = headings_of(head.cells, head.line, given)
    notes = (*sheet.notes, *headings.notes())
    return Table(tuple(_row(r, headings, CELLS) for r in rest), notes)


def _of_sheet(row: SheetRow) -> Record:
    problem = Broken("cell_unusable", None, row.problem) if row.problem else None
    return Record(row.number, row.cells, problem)


def _require_head(head: Record) -> None:
    """Check that the names of the columns can be read. Raises: SourceError."""
    if why := head.problem:
        raise SourceError(f"line {head.line}: {why.detail}").named(why.rule, why.limit)


def decoded(content: bytes) -> tuple[str, str]:
    """Give the text of a table and its encoding. Raises: SourceError when it is no text."""
    if len(content) > MAX_TABLE_BYTES:
        raise SourceError(f"the table {TOO_LARGE}: make several").named("table_large")
    if (kind := kind_of(content)) is not None and content[:4] != b"PK\3\4":
        text = f"this is {kind}, and no table: save it as `CSV UTF-8`"
        raise SourceError(text).named("no_table")
    mark, encoding = next(((m, e) for m, e in _MARKS if content.startswith(m)), (b"", ""))
    encoding = encoding or _without_mark(content)
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        if not mark and b"\0" in content:
            raise SourceError(NO_TABLE).named("no_table") from None
        what = f"no {encoding.upper()} text" if mark else "neither UTF-8 nor Windows-1252 text"
        text = f"it is {what}: save it as `CSV UTF-8`"
        raise SourceError(text).named("no_table") from None
    text = text.removeprefix("\ufeff").rstrip("\x1a")
    if _CONTROL.search(text):
        raise SourceError(NO_TABLE).named("no_table")
    if encoding == "cp1252" and (strange := _NO_LETTERS.search(text)):
        raise SourceError(
            f"it is neither UTF-8 nor Windows-1252 text (it would say {strange[0]!r}): save it as "
            "`CSV UTF-8`"
        ).named("no_table")
    return text, encoding


def _without_mark(content: bytes) -> str:
    """Guess the encoding of a text without a mark: every other byte of UTF-16 is zero mostly."""
    some = content[:4096]
    pairs = max(1, len(some) // 2)
    for place, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if some[place::2].count(0) > 0.1 * pairs and some[1 - place :: 2].count(0) < 0.02 * pairs:
            return encoding
    try:
        content.decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _dialect(text: str) -> tuple[str, int, int]:
    """Return (delimiter, place and line of the first record); `sep=;` is Excel's own word."""
    if found := _SEP.match(text):
        return found[1], found.end(), 2
    first = next(filter(str.strip, text[: 1 << 16].splitlines()), "")
    bare = _QUOTED.sub("", first)
    return max(DELIMITERS, key=bare.count), 0, 1


def _records(text: str, delimiter: str, at: int, line: int) -> Iterator[Record]:
    """Yield the records of a text; of one that cannot be read, the cells of its first line."""
    plain = re.compile(rf"[^{re.escape(delimiter)}\r\n]*+")
    while at < len(text):
        cells, end, problem = _cells(text, at, delimiter, plain)
        if problem and end < 0:
            found = _END.search(text, at)  # a quotation mark that is never closed
            end = found.end() if found else len(text)
        written = text[at:end]
        yield Record(line, cells, problem, written)
        line += len(_END.findall(written))
        at = end


def _cells(
    text: str, at: int, delimiter: str, plain: re.Pattern[str]
) -> tuple[tuple[str, ...], int, Broken | None]:
    """Return (cells, place of the next record, problem); -1 for a quotation mark never closed."""
    cells: list[str] = []
    begin = at
    while True:
        if text.startswith('"', at):
            if (quoted := _QUOTED.match(text, at)) is None:
                problem = Broken("quote_open", None, "a quotation mark is never closed")
                return _roughly(text, begin, delimiter), -1, problem
            cell, at = quoted[1].replace('""', '"'), quoted.end()
            while text.startswith(" ", at):
                at += 1
        elif (found := plain.match(text, at)) is not None:
            cell, at = found[0], found.end()
        cells.append(cell)
        if len(cell) > MAX_CELL:
            end = _END.search(text, at)
            said = f"a cell has more than {MAX_CELL} characters"
            problem = Broken("cell_long", str(MAX_CELL), said)
            return (cells[0][:64],), end.end() if end else len(text), problem
        if text.startswith(delimiter, at):
            at += 1
        elif at >= len(text) or text[at] in "\r\n":
            return tuple(cells), _after(text, at), None
        else:
            end = _END.search(text, at)
            said = "a quotation mark within a quoted cell: write it twice"
            problem = Broken("quote_inside", None, said)
            return _roughly(text, begin, delimiter), end.end() if end else len(text), problem


def _after(text: str, at: int) -> int:
    found = _END.match(text, at)
    return found.end() if found else at


def _roughly(text: str, at: int, delimiter: str) -> tuple[str, ...]:
    """Return the cells of a line that cannot be read, for whoever mends it. at: its begin."""
    line = next(iter(text[at : at + MAX_CELL].splitlines()), "")
    try:
        return tuple(next(csv.reader([line], delimiter=delimiter), ()))
    except csv.Error:
        return (line,)


def _row(record: Record, headings: Headings, delimiter: str) -> Row:
    cells = {
        field: value
        for field, cell in zip(headings.fields, record.cells, strict=False)
        if field is not None and (value := meant(cell).strip())
    }
    why = record.problem or _misfit(record, headings, delimiter)
    return (
        Row(record.line, cells, why.detail, why.rule, why.limit) if why else Row(record.line, cells)
    )


def _misfit(record: Record, headings: Headings, delimiter: str) -> Broken | None:
    """Explain why the cells do not fit under the headings; empty ones at the end do not count."""
    columns, beyond = len(headings.titles), record.cells[len(headings.titles) :]
    if any(map(str.strip, beyond)) and delimiter == CELLS:
        column = letters(len(record.cells) - 1)
        return Broken(
            "no_heading",
            column,
            f"{beyond[-1].strip()[:40]!r} stands in column {column}, which has no heading: give it "
            "one, or empty the cell",
        )
    if any(map(str.strip, beyond)):
        return Broken(
            "too_many_cells",
            str(columns),
            f"it has {len(record.cells)} cells, and the first line names {columns} columns: put a "
            f"text that holds {_NAMES.get(delimiter, repr(delimiter))} into quotation marks "
            f"({beyond[-1].strip()[:40]!r} is one too many)",
        )
    if len(record.cells) == 1 < columns and delimiter != CELLS and delimiter not in record.text:
        said = f"it has one cell, and the first line names {columns} columns"
        return Broken("one_cell", str(columns), said)
    return None


_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
