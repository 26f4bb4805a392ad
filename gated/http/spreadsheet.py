"""Tables as CSV and XLSX, written row by row: memory does not grow with the table.

XLSX is a ZIP archive of XML files (ECMA-376); the little that a table needs of it is written here.
The parts that count the sheets come last, as a reader looks them up in the archive's directory.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import chain, islice
from typing import Any
from xml.sax.saxutils import escape

from gated.http.pipe import Pipe

Cell = str | float | date | datetime | timedelta | None
"""A spreadsheet knows no zones: of an aware datetime it gets the clock, and shows the offset."""

Row = Sequence[Cell]

CHUNK = 64 * 1024
_LINES_AT_A_TIME = 100
SHEET_ROWS = 1_000_000
"""A sheet holds 1,048,576 rows at most."""
SHEET_BYTES = 1 << 30
"""zipfile refuses streamed members of 2 GiB and more unless all are written as ZIP64."""

# OWASP, CSV injection: what a cell may not begin with, after a separator of other regions too
_FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@＝＋－＠])|^(?=[\t\r\n])")

_PROTECTED = re.compile(r"(^|[;\t\r\n])'(?=\s*[=+\-@＝＋－＠])|^'(?=[\t\r\n])")


@dataclass(frozen=True, slots=True)
class CsvForm:
    """The form of tables for the spreadsheets of a language: they take no other.

    spaced: times without the T of ISO 8601 and without an offset, which has a column of its own.
    """

    separator: str = ","
    decimal: str = "."
    spaced: bool = False

    def cells(self, row: Row) -> Row:
        """Return the row with its numbers and times in this form."""
        return [self._cell(cell) for cell in row]

    def _cell(self, cell: Cell) -> Cell:
        if isinstance(cell, float):
            return Harmless(str(cell).replace(".", self.decimal))
        if isinstance(cell, datetime):
            return Harmless(f"{cell:%Y-%m-%d %H:%M:%S}")
        return cell


FORMS: Mapping[str, CsvForm] = {
    "en": CsvForm(",", ".", spaced=True),
    "de": CsvForm(";", ",", spaced=True),
    "fr": CsvForm(";", ",", spaced=True),
    "es": CsvForm(";", ",", spaced=True),
    "fa": CsvForm(";", ".", spaced=True),
    "ar": CsvForm(";", ".", spaced=True),
}
"""Language -> the form that its spreadsheets read by a double click."""


def csv_bytes(
    header: Sequence[str],
    rows: Iterable[Row],
    bom: bool = False,
    language: str | None = None,
    separator: str | None = None,
) -> Iterator[bytes]:
    """The table as CSV (RFC 4180) in UTF-8, in pieces; `bom` marks it for Excel.

    language: of the spreadsheet that shall read it, which wants the mark as well. separator: in
    place of that of the language.
    Text that a spreadsheet would run as a formula gets an apostrophe before it. Times are ISO 8601
    with the offset where it is known, durations are seconds.
    """
    text = io.StringIO(newline="")
    form = CsvForm() if language is None else FORMS[language]
    writer = csv.writer(text, delimiter=separator or form.separator)
    rows = map(form.cells, rows) if form.spaced else rows
    if bom or language is not None:
        text.write("\ufeff")
    writer.writerow(header)
    left = iter(rows)
    while some := list(islice(left, _LINES_AT_A_TIME)):
        # most cells are text or numbers: to call a function for each would take as long as all else
        writer.writerows(
            [
                [
                    harmless(c) if (k := type(c)) is str else c if k in _AS_IT_IS else _plain(c)
                    for c in row
                ]
                for row in some
            ]
        )
        if text.tell() >= CHUNK:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


class Harmless(str):
    """Text of the program's own making, which no spreadsheet takes for a formula."""

    __slots__ = ()


@lru_cache(maxsize=8192)
def harmless(text: str) -> str:
    """The text with an apostrophe wherever a spreadsheet would take what follows for a formula."""
    return _FORMULA.sub(r"\1'", text)


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())


_PLAIN: Mapping[type, Callable[[Any], Any]] = {
    str: harmless,
    datetime: datetime.isoformat,
    date: date.isoformat,
    timedelta: _seconds,
}
"""The CSV form of each type; others are written unchanged."""

_AS_IT_IS = frozenset({Harmless, int, float, type(None), bool})


def _plain(cell: Cell) -> Any:
    made = _PLAIN.get(type(cell))
    if made is None:
        # nothing gets by for being of a type that nobody thought of
        made = next(
            (_PLAIN[t] for t in (str, datetime, date, timedelta) if isinstance(cell, t)), str
        )
    return made(cell)


def meant(text: str) -> str:
    """Give the text that `harmless` was given, or that a person protected in the same way."""
    return _PROTECTED.sub(r"\1", text)


def xlsx_bytes(header: Sequence[str], rows: Iterable[Row], name: str) -> Iterator[bytes]:
    """The table as XLSX, in pieces; more rows than a sheet holds go on in further ones.

    name: of the first sheet. Durations are shown as hours and minutes, times with their offset.
    """
    pipe, styles = Pipe(), _Styles()
    left = iter(rows)
    following = next(left, None)
    sheets = 0
    # a file that cannot be sought in makes zipfile write the archive straight on
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        while following is not None or sheets == 0:
            sheets += 1
            here = chain(() if following is None else (following,), left)
            with archive.open(f"xl/worksheets/sheet{sheets}.xml", "w") as sheet:
                for piece in _sheet(header, here, styles):
                    sheet.write(piece)
                    if data := pipe.take():
                        yield data
            following = next(left, None)
        for path, content in _frame(name, sheets, styles).items():
            archive.writestr(path, content)
    yield pipe.take()


class _Styles:
    """The cell styles of a book: those that all have, and one for each offset of its times."""

    def __init__(self) -> None:
        self._offsets: dict[timedelta | None, int] = {None: _TIME}

    def of(self, at: datetime) -> int:
        """The style in which a time is shown, with its offset."""
        offset = at.utcoffset()
        found = self._offsets.get(offset)
        if found is None:
            # there are some forty in the world: what comes then is shown without
            found = _LAST + len(self._offsets) if len(self._offsets) < _MOST_OFFSETS else _TIME
            self._offsets[offset] = found
        return found

    def xml(self) -> str:
        """The part of the book that says what the numbers of styles mean."""
        shown = [_shown(o) for o, style in self._offsets.items() if o is not None and style > _LAST]
        formats = "".join(
            f'<numFmt numFmtId="{_FORMAT + n}" formatCode="{_CLOCK}\\ &quot;{text}&quot;"/>'
            for n, text in enumerate(shown)
        )
        cells = "".join(
            f'<xf numFmtId="{_FORMAT + n}" fontId="0" fillId="0" borderId="0" xfId="0" '
            'applyNumberFormat="1"/>'
            for n in range(len(shown))
        )
        return _STYLES.format(
            formats=formats, number=2 + len(shown), cells=cells, count=5 + len(shown)
        )


def _shown(offset: timedelta) -> str:
    minutes = round(offset / timedelta(minutes=1))
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _sheet(header: Sequence[str], rows: Iterator[Row], styles: _Styles) -> Iterator[bytes]:
    """One sheet in pieces; takes no more of the rows than it has room for."""
    yield (_HEAD + _row(header, styles, _BOLD)).encode()
    count = size = 0
    while count < SHEET_ROWS and size < SHEET_BYTES:
        some = list(islice(rows, _ROWS_AT_A_TIME))
        data = "".join([_row(row, styles) for row in some]).encode()
        yield data
        count, size = count + len(some), size + len(data)
        if len(some) < _ROWS_AT_A_TIME:
            break
    yield _FOOT.encode()


_ROWS_AT_A_TIME = 500
_BOLD, _DATE, _TIME, _DURATION = 1, 2, 3, 4
_LAST = _DURATION
_FORMAT = 170
"""The number of the first format with an offset."""
_MOST_OFFSETS = 100
_CLOCK = "yyyy\\-mm\\-dd\\ hh:mm:ss"

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_HEAD = (
    f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" state="frozen"/></sheetView></sheetViews><sheetData>'
)
_FOOT = "</sheetData></worksheet>"

# XML 1.0, 2.2: everything else cannot be written, not even as a reference
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 32_767
_DAY = timedelta(days=1)
_ZERO = date(1899, 12, 30)
"""Day 0 of spreadsheets, for all dates after February 1900."""


def _row(cells: Row, styles: _Styles, style: int = 0) -> str:
    return f"<row>{''.join([_cell(c, styles, style) for c in cells])}</row>"


def _cell(cell: Cell, styles: _Styles, style: int) -> str:
    kind = type(cell)
    if cell is None:
        return "<c/>"
    if kind is str:
        return _text(cell, style)
    if kind is int or kind is float:
        return f"<c><v>{cell!r}</v></c>"
    match cell:
        case Harmless():  # a time of its own in each row: not worth remembering
            return f'<c s="{style}" t="inlineStr"><is><t>{cell}</t></is></c>'
        case str():
            return _text(cell, style)
        case datetime():
            seconds: float = cell.hour * 3600 + cell.minute * 60 + cell.second
            seconds += cell.microsecond / 1e6
            days = cell.toordinal() - _ZERO.toordinal() + seconds / 86_400
            return f'<c s="{styles.of(cell)}"><v>{days!r}</v></c>'
        case date():
            return f'<c s="{_DATE}"><v>{(cell - _ZERO).days}</v></c>'
        case timedelta():
            return f'<c s="{_DURATION}"><v>{cell / _DAY!r}</v></c>'
    return f"<c><v>{cell!r}</v></c>"


@lru_cache(maxsize=4096)
def _text(text: str, style: int) -> str:
    shown = escape(_NO_XML.sub("", text[:_LONGEST]))
    space = ' xml:space="preserve"'
    return f'<c s="{style}" t="inlineStr"><is><t{space}>{shown}</t></is></c>'


def _frame(name: str, sheets: int, styles: _Styles) -> dict[str, str]:
    """path -> content of everything around the sheets."""
    numbers = range(1, sheets + 1)
    titles = [name if n == 1 else f"{name} {n}" for n in numbers]
    relations = f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    content = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    return {
        "xl/workbook.xml": (
            f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>'
            + "".join(
                f'<sheet name="{escape(title)}" sheetId="{n}" r:id="r{n}"/>'
                for n, title in zip(numbers, titles, strict=True)
            )
            + "</sheets></workbook>"
        ),
        "xl/_rels/workbook.xml.rels": (
            relations
            + "".join(
                f'<Relationship Id="r{n}" Type="{_RELATIONS}/worksheet" '
                f'Target="worksheets/sheet{n}.xml"/>'
                for n in numbers
            )
            + f'<Relationship Id="styles" Type="{_RELATIONS}/styles" Target="styles.xml"/>'
            "</Relationships>"
        ),
        "xl/styles.xml": styles.xml(),
        "_rels/.rels": (
            f'{relations}<Relationship Id="r1" Type="{_RELATIONS}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>'
        ),
        "[Content_Types].xml": (
            f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{content}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{content}.styles+xml"/>'
            + "".join(
                f'<Override PartName="/xl/worksheets/sheet{n}.xml" '
                f'ContentType="{content}.worksheet+xml"/>'
                for n in numbers
            )
            + "</Types>"
        ),
    }


_STYLES = (
    f'{_XML}<styleSheet xmlns="{_MAIN}">'
    f'<numFmts count="{{number}}"><numFmt numFmtId="164" formatCode="{_CLOCK}"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd"/>{formats}</numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    "<borders><border/></borders>"
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="{count}"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
    '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="46" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    "{cells}</cellXfs></styleSheet>"
)
"""Number format 46 is [h]:mm:ss; the cell styles are those that `_BOLD` and its like count."""
