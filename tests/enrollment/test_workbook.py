"""Lists of people as Excel saves them."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest

from gated.enrollment.archive import TableFile, read_archive, read_upload
from gated.enrollment.csv_table import MAX_TABLE_BYTES, read_table
from gated.enrollment.reading import read_roster
from gated.enrollment.workbook import (
    MAX_CHARACTERS,
    MAX_PART_BYTES,
    MAX_SHEETS,
    is_workbook,
    read_workbook,
)
from gated.errors import SourceError
from gated.http.spreadsheet import xlsx_bytes

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
HEAD = ("personnel_code", "photo", "last_name")


def shared(*texts: str) -> str:
    return f'<sst xmlns="{MAIN}">{"".join(f"<si>{text}</si>" for text in texts)}</sst>'


def row(*cells: str, at: int | None = None) -> str:
    return f"<row{'' if at is None else f' r={chr(34)}{at}{chr(34)}'}>{''.join(cells)}</row>"


def text(value: str) -> str:
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>'


def titles(*names: str) -> str:
    return row(*map(text, names or HEAD))


def workbook(
    *sheets: str, states: Sequence[str] = (), parts: Mapping[str, str | bytes] | None = None
) -> bytes:
    """A workbook with these sheets; further parts as they are given."""
    states = [*states, *["visible"] * (len(sheets) - len(states))]
    listed = "".join(
        f'<sheet name="S{n}" sheetId="{n}" state="{state}" r:id="r{n}"/>'
        for n, state in enumerate(states, 1)
    )
    related = "".join(
        f'<Relationship Id="r{n}" Type="{RELATIONS}/worksheet" Target="worksheets/s{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    content: dict[str, str | bytes] = {
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{listed}'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f"<Relationships>{related}</Relationships>",
    }
    for n, sheet in enumerate(sheets, 1):
        content[f"xl/worksheets/s{n}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{sheet}</sheetData></worksheet>'
        )
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in {**content, **(parts or {})}.items():
            archive.writestr(name, part)
    return data.getvalue()


def cells_of(data: bytes) -> list[dict[str, str]]:
    return [dict(found.cells) for found in read_table(data, {}).rows]


def problem(*cells: str, parts: Mapping[str, str | bytes] | None = None) -> tuple[int, str]:
    """(line, what is said of it) of a row of these cells."""
    (found,) = read_table(workbook(titles() + row(*cells), parts=parts), {}).rows
    return found.line, found.problem


def test_texts_of_every_kind_and_codes_with_zeros_in_front() -> None:
    """Shared, rich and spoken text, escapes; numbers as a format shows them; rows left out."""
    styles = (
        '<styleSheet><numFmts><numFmt numFmtId="170" formatCode="00000"/></numFmts><cellStyleXfs>'
        '<xf numFmtId="170"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="170"/>'
        "</cellXfs></styleSheet>"
    )
    strings = shared(
        "<t>Bäcker</t>",
        "<r><t>Ja</t></r><r><t>cobs</t></r>",
        "<t>山田</t><rPh sb='0' eb='1'><t>ヤマダ</t></rPh>",
        "<t xml:space='preserve'> O_x0027_Neill </t>",
    )
    sheet = (
        titles()
        + row('<c s="1"><v>17</v></c>', text("a.jpg"), '<c t="s"><v>0</v></c>')
        + row("<c><v>4.9E1</v></c>", text("b.jpg"), '<c t="s"><v>1</v></c>')
        + row('<c r="C7" t="s"><v>2</v></c>', '<c r="A7" t="str"><f>x</f><v>E-3</v></c>', at=7)
        + row()
        + row(text("E4"), "<c/>", '<c t="s"><v>3</v></c>', at=12)
    )
    parts = {"xl/styles.xml": styles, "xl/sharedStrings.xml": strings}
    table = read_table(workbook(sheet, parts=parts), {})
    assert [(r.line, dict(r.cells), r.problem) for r in table.rows] == [
        (2, {"personnel_code": "00017", "photo": "a.jpg", "last_name": "Bäcker"}, ""),
        (3, {"personnel_code": "49", "photo": "b.jpg", "last_name": "Jacobs"}, ""),
        (7, {"personnel_code": "E-3", "last_name": "山田"}, ""),
        (12, {"personnel_code": "E4", "last_name": "O'Neill"}, ""),
    ]
    assert table.notes == ()


def test_our_own_tables_are_read_as_they_were_written() -> None:
    rows = [("E1", "a.jpg", "Berg"), ("0002", "b.jpg", "<&>\x07 ü")]
    written = b"".join(xlsx_bytes(HEAD, rows, "people"))
    assert cells_of(written) == [
        {"personnel_code": "E1", "photo": "a.jpg", "last_name": "Berg"},
        {"personnel_code": "0002", "photo": "b.jpg", "last_name": "<&> ü"},
    ]
    (found,) = read_workbook(b"".join(xlsx_bytes((), [(date(1900, 3, 1),)], "x"))).rows
    assert found.cells == ("61",)


def test_the_first_visible_sheet_with_cells_counts() -> None:
    of = [titles() + row(text(f"E{n}"), text("a.jpg")) for n in range(4)]
    data = workbook(of[0], "", of[2], of[3], states=["veryHidden"])
    table = read_table(data, {})
    assert [dict(r.cells)["personnel_code"] for r in table.rows] == ["E2"]
    assert [n for n in table.notes if "'S4' is not imported" in n] == [*table.notes]
    with pytest.raises(SourceError, match="no visible sheet with cells"):
        read_table(workbook("", of[0], states=["visible", "hidden"]), {})


def test_pictures_in_a_workbook_are_told_of() -> None:
    data = workbook(titles() + row(text("E1")), parts={"xl/media/image1.png": b"x"})
    assert any("save each as a file" in note for note in read_table(data, {}).notes)


def test_what_cannot_be_known_is_said_with_its_cell() -> None:
    name = text("a.jpg")
    assert problem('<c t="e"><v>#N/A</v></c>', name) == (2, "the cell A2 holds an error (#N/A)")
    assert "formula in A2 has no value" in problem("<c><f>B1</f></c>", name)[1]
    assert "number in A2 has too many digits" in problem("<c><v>1E15</v></c>", name)[1]
    assert "text that is not there" in problem('<c t="s"><v>5</v></c>', name)[1]
    assert "more than 32767" in problem(text("E1"), text("x" * 40_000))[1]
    beyond = '<c r="E2" t="inlineStr"><is><t>x</t></is></c>'
    assert "'x' stands in column E, which has no heading" in problem(text("E1"), beyond)[1]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (workbook(titles("a", "b")), "the first line must name the columns"),
        (workbook("<row><c>"), "damaged"),
        (workbook("", parts={"xl/workbook.xml": "<!DOCTYPE x [<!ENTITY a 'b'>]><x/>"}), "entities"),
        (workbook("", parts={"xl/workbook.xml": "<x"}), "damaged"),
        (workbook("", parts={"xl/_rels/workbook.xml.rels": "<x/>"}), "no visible sheet"),
        (workbook(titles() + row('<c r="ZZ2"><v>1</v></c>')), "make several"),
        (workbook("", parts={"x": bytes(MAX_TABLE_BYTES)})[:-40], "."),
    ],
)
def test_what_is_no_list_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(SourceError, match=match):
        read_upload(data)


def test_a_bomb_is_unpacked_to_a_bound_only() -> None:
    head = f'<worksheet xmlns="{MAIN}"><sheetData>'.encode()
    bomb = workbook("", parts={"xl/worksheets/s1.xml": head + b" " * (2 * MAX_PART_BYTES)})
    assert len(bomb) < 1 << 20
    with pytest.raises(SourceError, match="too large when unpacked"):
        read_upload(bomb)


def test_sheets_that_name_the_same_part_again_and_again_are_refused() -> None:
    """Each is read on its own, and the part may be as large as a part can be."""
    listed = "".join(f'<sheet name="S{n}" r:id="r1"/>' for n in range(MAX_SHEETS + 1))
    book = f'<workbook xmlns:r="{RELATIONS}"><sheets>{listed}</sheets></workbook>'
    with pytest.raises(SourceError, match="sheets"):
        read_upload(workbook("", parts={"xl/workbook.xml": book}))
    head = f'<worksheet xmlns="{MAIN}"><sheetData>'.encode()
    large = head + b" " * (MAX_PART_BYTES - 200) + b"</sheetData></worksheet>"
    few = book.replace(listed, "".join(f'<sheet name="S{n}" r:id="r1"/>' for n in range(8)))
    parts: dict[str, str | bytes] = {"xl/workbook.xml": few, "xl/worksheets/s1.xml": large}
    with pytest.raises(SourceError, match="too large when unpacked"):
        read_upload(workbook("", parts=parts))


def test_a_cell_of_very_many_texts_costs_no_more_than_its_length() -> None:
    """Joined one by one each would be copied with all before it."""

    def seconds(many: int) -> float:
        data = workbook(titles() + row(f'<c t="inlineStr"><is>{"<t>abcd</t>" * many}</is></c>'))
        began = time.process_time()
        (found,) = read_table(data, {}).rows
        assert "more than 32767 characters" in found.problem
        return time.process_time() - began

    assert seconds(160_000) < 5 * seconds(40_000) + 0.2


def test_one_long_text_in_many_cells_is_refused() -> None:
    many = row(*[f'<c t="s"><v>{n}</v></c>' for n in (0, 0)]) * (MAX_CHARACTERS // 60_000 + 1)
    data = workbook(
        titles() + many, parts={"xl/sharedStrings.xml": shared(f"<t>{'x' * 30_000}</t>")}
    )
    assert len(data) < 100_000
    with pytest.raises(SourceError, match="33,554,432 characters"):
        read_upload(data)


@pytest.mark.long
def test_more_cells_or_texts_than_a_list_has_are_refused() -> None:
    strings = workbook(titles(), parts={"xl/sharedStrings.xml": "<sst>" + "<si/>" * 500_001})
    many = workbook(titles() + row(*["<c><v>1</v></c>"] * 200) * 5001)
    for data in (strings, many):
        with pytest.raises(SourceError, match="make several"):
            read_upload(data)


def test_a_list_comes_alone_beside_its_photos_and_in_an_archive(tmp_path: Path) -> None:
    data = workbook(titles() + row(text("E1"), text("Anna.JPG"), text("Berg")))
    photo = b"\xff\xd8 photo"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("in/staff.xlsx", data)
        file.writestr("in/anna.jpg", photo)
        file.writestr("in/~$staff.xlsx", b"a lock of Excel")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "staff.xlsx").write_bytes(data)
    (folder / "Anna.JPG").write_bytes(photo)
    for roster in (
        read_upload(data, [TableFile("Anna.JPG", photo)]),
        read_archive(archive.getvalue()),
        read_roster(folder),
        read_roster(folder / "staff.xlsx"),
    ):
        (person,) = roster.people
        assert (person.personnel_code, person.fields["last_name"]) == ("E1", "Berg")
        with person.photos[0].open("rb") as file:
            assert file.read() == photo
    assert is_workbook(data)
    assert not is_workbook(archive.getvalue())
    large = workbook(titles(), parts={"xl/media/image1.bmp": b"x"})
    padded = workbook(titles(), parts={"xl/media/i.png": os.urandom(MAX_TABLE_BYTES)})
    (folder / "staff.xlsx").write_bytes(padded)
    with pytest.raises(SourceError, match="4 MB"):
        read_roster(folder / "staff.xlsx")
    with pytest.raises(SourceError, match="4 MB"):
        read_upload(padded)
    assert is_workbook(large)
