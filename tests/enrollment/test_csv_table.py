"""Tables as spreadsheets of several languages write them, and as people break them."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated.enrollment.csv_table import Row, Table, _records, decoded, read_table
from gated.enrollment.failures import failures_csv
from gated.enrollment.headings import columns_given
from gated.enrollment.workbook import MAX_ROWS
from gated.errors import SourceError
from gated.http.spreadsheet import csv_bytes, meant

HEAD = "personnel_code,photo,first_name,last_name,department\r\n"


def table(text: str | bytes, **given: str) -> Table:
    return read_table(text if isinstance(text, bytes) else text.encode(), given)


def cells(found: Table) -> list[dict[str, str]]:
    return [dict(row.cells) for row in found.rows]


def problems(found: Table) -> list[tuple[int, str]]:
    return [(row.line, row.problem) for row in found.rows if row.problem]


# --- encodings ------------------------------------------------------------------------------------

NAMES = "personnel_code;photo;first_name;last_name\r\nE1;müller.jpg;Jörg;Müller-Lüdenscheidt\r\n"


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", b"\xff\xfe\0\0"),
        ("cp1252", b""),
    ],
)
def test_every_encoding_of_a_spreadsheet_is_understood(encoding: str, mark: bytes) -> None:
    found = table(mark + NAMES.encode(encoding))
    expected = {"personnel_code": "E1", "photo": "müller.jpg", "first_name": "Jörg"}
    assert cells(found) == [{**expected, "last_name": "Müller-Lüdenscheidt"}]
    assert ("read as Windows-1252" in " ".join(found.notes)) == (encoding == "cp1252")


def test_a_table_of_other_letters_in_utf_16_is_understood() -> None:
    text = "personnel_code\tphoto\tfirst_name\n" + "E1\ta.jpg\tЕкатерина\n" * 20
    for encoding in ("utf-16-le", "utf-16-be"):
        assert cells(table(text.encode(encoding)))[0]["first_name"] == "Екатерина"


# --- dialects -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["sep=;\r\n", "SEP=;\n", ""])
def test_excel_s_own_word_for_the_delimiter_is_understood(mark: str) -> None:
    found = table(mark + "personnel_code;photo;first_name\nE1;;Anna\n")
    assert cells(found) == [{"personnel_code": "E1", "first_name": "Anna"}]
    assert found.rows[0].line == (3 if mark else 2)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_lines_are_counted_as_an_editor_does(end: str) -> None:
    text = end.join((HEAD.strip(), "", f'E1,,"a{end}b",,', "E2,,,,", ""))
    assert [row.line for row in table(text).rows] == [3, 5]


def test_what_a_spreadsheet_was_kept_from_running_is_meant_as_it_was() -> None:
    found = table(HEAD + "E1,,'=Anna,'-Berg,'x\n")
    assert cells(found)[0] == {
        "personnel_code": "E1",
        "first_name": "=Anna",
        "last_name": "-Berg",
        "department": "'x",
    }


@given(st.text())
def test_what_was_made_harmless_is_read_as_it_was(text: str) -> None:
    if meant(text) != text:
        return  # somebody has protected it already
    written = b"".join(csv_bytes(["a"], [[text]])).decode("utf-8", "surrogatepass")
    _, row = csv.reader(io.StringIO(written, newline=""))
    assert meant(row[0] if row else "") == text


# --- headings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        "Personalnummer;Foto;Vorname;Nachname;Abteilung;Funktion;E-Mail;Telefon",
        "Personal-Nr.;Bild;VORNAME;Name;Bereich;Stelle;E-Mail-Adresse;Telefonnummer",
        "Mitarbeiternummer;Lichtbild;Rufname;Familienname;Abteilung;Position;Mail;Tel.",
        "Matricule;Photo;Prénom;Nom;Service;Fonction;Courriel;Téléphone",
        "N° matricule;Image;PRENOM;Nom de famille;Département;Poste;Adresse e-mail;Telephone",
        "Code du personnel;photographie;pre\u0301nom;NOM;departement;poste;e-mail;téléphone",
        "Staff ID;photo;First Name;Surname;Dept.;Job title;Email address;Phone number",
    ],
)
def test_headings_of_three_languages_are_understood(head: str) -> None:
    values = ("E1", "a.jpg", "Anna", "Berg", "Lager", "Chefin", "a@example.org", "030 1")
    found = table(head + "\n" + ";".join(values) + "\n")
    fields = ("first_name", "last_name", "department", "position", "email", "phone")
    assert tuple(found.rows[0].cells[f] for f in ("personnel_code", "photo", *fields)) == values
    assert found.notes == ()


def test_other_headings_can_be_told() -> None:
    text = "ID,pic,Given,line,problem\nE1,a.jpg,Anna,3,x\n"
    given = columns_given(["personnel_code=ID,photo=pic", "first_name=given"])
    found = table(text, **given)
    assert cells(found) == [{"personnel_code": "E1", "photo": "a.jpg", "first_name": "Anna"}]
    assert found.notes == ()
    with pytest.raises(SourceError, match="no column 'Nr'; there are 'ID', 'pic'"):
        table(text, personnel_code="Nr")
    for wrong in ("ID", "shoe=ID", "photo=", "photo=a,photo=b"):
        with pytest.raises(SourceError):
            columns_given([wrong])


def test_a_column_that_is_told_wins_over_one_that_is_known() -> None:
    text = "Personalnummer,Ausweisnummer,Foto\n1,E1,a.jpg\n"
    with pytest.raises(SourceError, match=r"columns 1 .* and 2 .* are both personnel_code"):
        table(text)
    assert cells(table(text, personnel_code="Ausweisnummer"))[0]["personnel_code"] == "E1"


def test_a_column_that_is_not_imported_is_named() -> None:
    found = table("personnel_code,photo,frist_name,shoe size\nE1,,Anna,39\n")
    assert found.notes == (
        "line 1: the column 'frist_name' is not imported; is it first_name?",
        "line 1: the column 'shoe size' is not imported",
    )


# --- broken rows ----------------------------------------------------------------------------------


def test_a_row_with_a_cell_too_many_is_named_and_no_other_suffers() -> None:
    found = table(HEAD + "K06,,Berg, Anna,Lager,Schicht 2\nK07,,Anna\nK08,,Carl,,Büro,,\n")
    ((line, problem),) = problems(found)
    assert line == 2
    assert "6 cells" in problem
    assert "names 5 columns" in problem
    assert "'Schicht 2'" in problem
    assert cells(found)[1:] == [
        {"personnel_code": "K07", "first_name": "Anna"},
        {"personnel_code": "K08", "first_name": "Carl", "department": "Büro"},
    ]
    assert found.notes == (
        "line 3: fewer cells than columns; those that are missing are taken as empty",
    )


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ('K09,,"Anna "Annie" B",,', "write it twice"),
        ('K09,,"Anna"x,,', "write it twice"),
        ("K09,," + "x" * 40_000 + ",,", "more than"),
        ("K09 Anna", "one cell"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_no_other_suffers(broken: str, told: str) -> None:
    found = table(HEAD + f"K08,,Anna,,\n{broken}\nK10,,Carl,,\n")
    assert [(line, told in problem) for line, problem in problems(found)] == [(3, True)]
    assert [row.cells["personnel_code"] for row in found.rows if not row.problem] == ["K08", "K10"]


def test_what_is_shown_of_a_row_that_cannot_be_read_copies_no_rest_of_the_table() -> None:
    content = (HEAD + 'K09,,"Anna"x,,\n' + "K10,,Carl,,\n" * 200_000).encode()
    text, _ = decoded(content)
    tracemalloc.start()
    try:
        broken = list(itertools.islice(_records(text, ",", 0, 1), 2))[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert broken.problem is not None
    assert "write it twice" in broken.problem.detail
    assert peak < len(text) / 4


def test_a_quotation_mark_that_is_never_closed_takes_its_own_line_only() -> None:
    found = table(HEAD + 'K08,,Anna,,\nK09,,"Berta,,\nK10,,Carl,,\n')
    assert problems(found) == [(3, "a quotation mark is never closed")]
    assert [row.cells["personnel_code"] for row in found.rows if not row.problem] == ["K08", "K10"]


def test_quotation_marks_within_a_plain_cell_are_meant() -> None:
    found = table(HEAD + 'K08,,Anna "Annie" B,,5" pipes\n')
    assert found.rows[0].cells["first_name"] == 'Anna "Annie" B'
    assert problems(found) == []


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp")), max_size=8)


@given(
    st.lists(st.tuples(CELL, CELL, CELL, CELL), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(deadline=None)
def test_whatever_a_csv_writer_writes_is_read(
    rows: list[tuple[str, ...]], delimiter: str, end: str, encoding: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(["personnel_code", "photo", "first_name", "last_name"])
    writer.writerows(("E1", *row[1:]) for row in rows)
    found = table(text.getvalue().encode(encoding))
    assert problems(found) == []
    names = ("photo", "first_name", "last_name")
    for row, read in zip(rows, found.rows, strict=True):
        expected = {n: meant(c).strip() for n, c in zip(names, row[1:], strict=True)}
        assert dict(read.cells) == {"personnel_code": "E1"} | {
            k: v for k, v in expected.items() if v
        }


@given(st.binary(max_size=300))
def test_nothing_but_a_source_error_comes_of_any_bytes(junk: bytes) -> None:
    for content in (junk, HEAD.encode() + junk):
        with contextlib.suppress(SourceError):
            assert all(isinstance(row, Row) for row in read_table(content, {}).rows)


# --- the table of failures ------------------------------------------------------------------------


@given(st.lists(st.fixed_dictionaries({"first_name": CELL, "photo": CELL}), max_size=5))
@settings(deadline=None)
def test_what_failed_is_a_table_that_can_be_imported(rows: list[dict[str, str]]) -> None:
    rows = [
        {"personnel_code": f"E{i}"} | {k: v.strip() for k, v in r.items() if v.strip() == meant(v)}
        for i, r in enumerate(rows)
    ]
    entry = {"photo": "x", "detail": "=why", "rows": rows, "lines": list(range(2, 2 + len(rows)))}
    found = read_table(b"".join(failures_csv({"refused": [entry] if rows else []})), {})
    assert cells(found) == [{k: v for k, v in row.items() if v} for row in rows]
    assert found.notes == ()


def test_a_table_of_a_million_rows_is_refused_before_all_are_kept() -> None:
    """Each takes a thousand bytes in memory, and four of the file."""
    with pytest.raises(SourceError, match="more than 100,000 rows"):
        table("personnel_code,photo\n" + "E1,\n" * (MAX_ROWS + 1))


def test_what_is_no_text_is_called_so() -> None:
    with pytest.raises(SourceError, match="neither a ZIP file nor a CSV file"):
        decoded(b"\x7fELF\x02\x01\x01\0\0\x81\x8d\x8f")
    with pytest.raises(SourceError, match="neither UTF-8 nor Windows-1252 text"):
        decoded("personnel_code\r\n李\r\n".encode("shift-jis") + b"\x81\x8d")
