"""Tables as CSV and XLSX."""

from __future__ import annotations

import csv
import io
import itertools
import re
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.http import spreadsheet
from gated.http.spreadsheet import Cell, Row, csv_bytes, harmless, xlsx_bytes


def as_csv(*rows: Row, bom: bool = False) -> str:
    return b"".join(csv_bytes(["a", "b"], rows, bom)).decode()


def archive_of(pieces: Iterator[bytes]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert archive.testzip() is None
    return archive


def sheet(*rows: Row, number: int = 1) -> str:
    with archive_of(xlsx_bytes(["a", "b"], rows, "log")) as archive:
        return archive.read(f"xl/worksheets/sheet{number}.xml").decode()


# --- CSV --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\n1", "＝1", "x;=1", "x\t-1", "x\n@y"],
)
def test_what_a_spreadsheet_would_run_is_neutralised(text: str) -> None:
    safe = harmless(text)
    assert safe != text
    assert safe.replace("'", "") == text
    cells = [c for line in re.split(r"[\r\n]", safe) for c in re.split(r"[;\t]", line)]
    assert not any(c.lstrip()[:1] in {*"=+-@＝＋－＠"} - {""} for c in cells)


@pytest.mark.parametrize("text", ["", "Zoë", "a-b", "1-2", "x=y", "a@b.de", "O'Neil", "Sales, -1"])
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_text_of_every_type_is_guarded() -> None:
    class Word(str):
        __slots__ = ()

    class Kind(StrEnum):
        SUM = "=SUM(A1)"

    row: Row = (Word("+1"), Kind.SUM)
    assert as_csv(row) == "a,b\r\n'+1,'=SUM(A1)\r\n"


def test_numbers_and_times_are_no_text() -> None:
    row: Row = (-1.5, date(2026, 3, 1))
    other: Row = (datetime(2026, 3, 1, 8, 30), timedelta(hours=1, seconds=2))  # noqa: DTZ001
    assert as_csv(row, other, (None, 7)) == (
        "a,b\r\n-1.5,2026-03-01\r\n2026-03-01T08:30:00,3602\r\n,7\r\n"
    )


def test_the_mark_stands_before_the_header_and_once() -> None:
    text = as_csv(*[("x" * 100, "y")] * 2000, bom=True)
    assert text.startswith("\ufeffa,b")
    assert text.count("\ufeff") == 1


def test_the_pieces_of_a_long_table_neither_overlap_nor_miss_anything() -> None:
    rows: list[Row] = [(f"{n}", "x" * (n % 97)) for n in range(5000)]
    read = list(csv.reader(io.StringIO(as_csv(*rows), newline="")))
    assert read[1:] == [list(r) for r in rows]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=20))
def test_csv_is_read_back_as_it_was(rows: list[tuple[str, str]]) -> None:
    rows = [(a.replace("\0", ""), b.replace("\0", "")) for a, b in rows]
    rows = [r for r in rows if all(_encodable(c) for c in r)]
    read = list(csv.reader(io.StringIO(as_csv(*rows), newline="")))
    assert read == [["a", "b"], *([harmless(a), harmless(b)] for a, b in rows)]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- XLSX -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        (None, "<c/>"),
        (1.5, "<c><v>1.5</v></c>"),
        (12, "<c><v>12</v></c>"),
        (date(1900, 3, 1), '<c s="2"><v>61</v></c>'),
        (date(2026, 3, 1), '<c s="2"><v>46082</v></c>'),
        (datetime(2026, 3, 1, 18), '<c s="3"><v>46082.75</v></c>'),  # noqa: DTZ001
        (timedelta(hours=36), '<c s="4"><v>1.5</v></c>'),
        ("=1+1", ">=1+1</t>"),
        ("<&>", ">&lt;&amp;&gt;</t>"),
        ("a\0\x1b\ud800\uffffb", ">ab</t>"),
    ],
)
def test_cells_of_a_sheet(cell: Cell, written: str) -> None:
    assert written in sheet((cell, "end"))


def test_times_of_a_night_when_clocks_go_back_are_told_with_their_offsets() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 40, tzinfo=berlin)
    last = datetime(2026, 10, 25, 2, 20, fold=1, tzinfo=berlin)
    odd = datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("America/St_Johns"))
    assert as_csv((first, last)).splitlines()[1] == (
        "2026-10-25T02:40:00+02:00,2026-10-25T02:20:00+01:00"
    )
    with archive_of(xlsx_bytes(["a", "b"], [(first, last), (odd, None)], "log")) as archive:
        cells = archive.read("xl/worksheets/sheet1.xml").decode()
        styles = archive.read("xl/styles.xml").decode()
    shown = re.findall(r'<c s="(\d+)"><v>([\d.]+)</v></c>', cells)
    formats = dict(re.findall(r'numFmtId="(\d+)" formatCode="([^"]*)"', styles))
    chosen = re.findall(r'<xf numFmtId="(\d+)"', styles.partition("<cellXfs")[2])
    assert f'<cellXfs count="{len(chosen)}">' in styles
    assert [formats[chosen[int(style)]][-12:] for style, _ in shown] == [
        "&quot;+02:00&quot;"[-12:],
        "&quot;+01:00&quot;"[-12:],
        "&quot;-03:30&quot;"[-12:],
    ]
    # they stay times to reckon with: the clock on the wall
    assert float(shown[0][1]) - float(shown[1][1]) == pytest.approx(20 / 1440)


def test_text_is_never_a_formula() -> None:
    assert "<f>" not in sheet(("=1+1", "+cmd"))


def test_an_empty_table_has_its_header() -> None:
    assert sheet().count("<row>") == 1


def test_a_book_names_all_that_is_in_it() -> None:
    with archive_of(xlsx_bytes(["a"], [("x",)], "a & b")) as archive:
        names = set(archive.namelist())
        content = archive.read("[Content_Types].xml").decode()
        assert set(re.findall(r'PartName="/([^"]+)"', content)) < names
        related = archive.read("xl/_rels/workbook.xml.rels").decode()
        assert {f"xl/{t}" for t in re.findall(r'Target="([^"]+)"', related)} < names
        assert '<sheet name="a &amp; b" sheetId="1"' in archive.read("xl/workbook.xml").decode()


@pytest.mark.parametrize("count", [999, 1000, 1001, 2000])
def test_what_does_not_fit_goes_on_in_another_sheet(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(spreadsheet, "SHEET_ROWS", 1000)
    rows = ((float(n), None) for n in range(count))
    found: list[str] = []
    with archive_of(xlsx_bytes(["a", "b"], rows, "log")) as archive:
        sheets = [n for n in archive.namelist() if n.startswith("xl/worksheets/")]
        for name in sheets:
            found += re.findall(r"<v>([\d.]+)</v>", archive.read(name).decode())
    assert len(sheets) == -(-count // 1000)
    assert list(map(float, found)) == list(range(count))


@pytest.mark.parametrize("write", [csv_bytes, lambda h, r: xlsx_bytes(h, r, "log")])
def test_memory_does_not_grow_with_the_table(write: object) -> None:
    def peak(count: int) -> int:
        rows = (("some text", float(n)) for n in itertools.count())
        assert callable(write)
        tracemalloc.start()
        for _ in write(["a", "b"], itertools.islice(rows, count)):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(1000)
    assert peak(30_000) < 2 * peak(6_000)
