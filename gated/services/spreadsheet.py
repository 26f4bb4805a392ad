"""Tables as CSV and XLSX, written row by row: memory does not grow with the table.

XLSX is a ZIP archive of XML files (ECMA-376); the little that a table needs of it is written here.
The parts that count the sheets come last, as a reader looks them up in the archive's directory.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import chain, islice
from typing import Any
from xml.sax.saxutils import escape

Cell = str | float | date | datetime | timedelta | None
"""A datetime without zone is shown as it is; an aware one cannot be told to a spreadsheet."""

Row = Sequence[Cell]

CHUNK = 64 * 1024
SHEET_ROWS = 1_000_000
"""A sheet holds 1,048,576 rows at most."""
SHEET_BYTES = 1 << 30
"""zipfile refuses streamed members of 2 GiB and more unless all are written as ZIP64."""

# OWASP, CSV injection: what a cell may not begin with, after a separator of other regions too
_FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@＝＋－＠])|^(?=[\t\r\n])")


def csv_bytes(header: Sequence[str], rows: Iterable[Row], bom: bool = False) -> Iterator[bytes]:
    """The table as CSV (RFC 4180) in UTF-8, in pieces; `bom` marks it for Excel.

    Text that a spreadsheet would run as a formula gets an apostrophe before it. Times are ISO 8601,
    durations are seconds.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if bom:
        text.write("\ufeff")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_plain(cell) for cell in row])
        if text.tell() >= CHUNK:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _plain(cell: Cell) -> Any:
    match cell:
        case str():
            return harmless(cell)
        case datetime() | date():
            return cell.isoformat()
        case timedelta():
            return round(cell.total_seconds())
    return cell


def harmless(text: str) -> str:
    """The text with an apostrophe wherever a spreadsheet would take what follows for a formula."""
    return _FORMULA.sub(r"\1'", text)


class _Pipe(io.RawIOBase):
    """A file to write to, and to take away what was written."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken


def xlsx_bytes(header: Sequence[str], rows: Iterable[Row], name: str) -> Iterator[bytes]:
    """The table as XLSX, in pieces; more rows than a sheet holds go on in further ones.

    name: of the first sheet. Durations are shown as hours and minutes.
    """
    pipe = _Pipe()
    left = iter(rows)
    following = next(left, None)
    sheets = 0
    # a file that cannot be sought in makes zipfile write the archive straight on
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        while following is not None or sheets == 0:
            sheets += 1
            here = chain(() if following is None else (following,), left)
            with archive.open(f"xl/worksheets/sheet{sheets}.xml", "w") as sheet:
                for piece in _sheet(header, here):
                    sheet.write(piece)
                    if data := pipe.take():
                        yield data
            following = next(left, None)
        for path, content in _frame(name, sheets).items():
            archive.writestr(path, content)
    yield pipe.take()


def _sheet(header: Sequence[str], rows: Iterator[Row]) -> Iterator[bytes]:
    """One sheet in pieces; takes no more of the rows than it has room for."""
    yield (_HEAD + _row(header, _BOLD)).encode()
    count = size = 0
    while count < SHEET_ROWS and size < SHEET_BYTES:
        some = list(islice(rows, _ROWS_AT_A_TIME))
        data = "".join(map(_row, some)).encode()
        yield data
        count, size = count + len(some), size + len(data)
        if len(some) < _ROWS_AT_A_TIME:
            break
    yield _FOOT.encode()


_ROWS_AT_A_TIME = 500
_BOLD, _DATE, _TIME, _DURATION = 1, 2, 3, 4

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


def _row(cells: Row, style: int = 0) -> str:
    return f"<row>{''.join(_cell(c, style) for c in cells)}</row>"


def _cell(cell: Cell, style: int) -> str:
    match cell:
        case None:
            return "<c/>"
        case str():
            text = escape(_NO_XML.sub("", cell[:_LONGEST]))
            space = ' xml:space="preserve"'
            return f'<c s="{style}" t="inlineStr"><is><t{space}>{text}</t></is></c>'
        case datetime():
            days = (cell - datetime.combine(_ZERO, datetime.min.time())) / _DAY
            return f'<c s="{_TIME}"><v>{days!r}</v></c>'
        case date():
            return f'<c s="{_DATE}"><v>{(cell - _ZERO).days}</v></c>'
        case timedelta():
            return f'<c s="{_DURATION}"><v>{cell / _DAY!r}</v></c>'
    return f"<c><v>{cell!r}</v></c>"


def _frame(name: str, sheets: int) -> dict[str, str]:
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
        "xl/styles.xml": _STYLES,
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
    '<numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    "<borders><border/></borders>"
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="5"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
    '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="46" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    "</cellXfs></styleSheet>"
)
"""Number format 46 is [h]:mm:ss; the cell styles are those that `_BOLD` and its like count."""
