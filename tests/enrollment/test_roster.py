"""Folders and CSV files as people really have them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from gated.enrollment.import_source import ImportRow, Roster, shown
from gated.enrollment.reading import read_roster
from gated.errors import SourceError


def touch(folder: Path, *names: str) -> list[Path]:
    files = [folder / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return files


Roll = dict[str, tuple[list[str], list[str]]]


def people(roster: Roster) -> Roll:
    """code -> names of photos and encodings."""
    return {
        p.personnel_code: ([f.name for f in p.photos], [f.name for f in p.encodings])
        for p in roster.people
    }


def csv(folder: Path, content: str | bytes) -> Path:
    file = folder / "staff.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_is_read_by_code_whatever_else_lies_in_it(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("E1.jpg", "E1.PNG", "E1/front.JPEG", "E2/a.bmp", "E2/b.tiff", "E3.npy", "E4/x.npy"),
        *("readme.txt", "E2/notes.docx", ".DS_Store", "._E1.jpg", "E2/.hidden.jpg", "E5/a.heic"),
    )
    (tmp_path / "E6").mkdir()
    (tmp_path / "E7.jpg").mkdir()
    (tmp_path / "E8.jpg").symlink_to("nowhere.jpg")
    roster = read_roster(tmp_path)
    assert people(roster) == {
        "E1": (["front.JPEG", "E1.PNG", "E1.jpg"], []),
        "E2": (["a.bmp", "b.tiff"], []),
        "E3": ([], ["E3.npy"]),
        "E4": ([], ["x.npy"]),
        "E5": (["a.heic"], []),
    }
    left_out = ["E2/notes.docx", "E6", "E7.jpg", "E8.jpg", "readme.txt"]
    assert sorted(roster.skipped) == left_out
    assert roster.nameless == ()


@pytest.mark.parametrize("names", [(), ("notes.txt",), (".hidden.jpg",)])
def test_a_folder_with_nobody_in_it_is_no_source(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(SourceError, match="nobody found"):
        read_roster(tmp_path)


def test_a_name_of_any_bytes_can_be_printed(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/E\xff1.jpg"
    try:
        Path(os.fsdecode(raw)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (person,) = read_roster(tmp_path).people
    person.personnel_code.encode()
    with person.photos[0].open("rb") as photo:
        assert photo.read() == b"x"
    shown(str(person.photos[0])).encode()


# --- CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_every_spreadsheet_s_csv_is_read(
    tmp_path: Path, delimiter: str, mark: str, end: str
) -> None:
    rows = [
        ["personnel_code", "First_Name", " last_name ", "department", "shoe size", "photo"],
        [
            "E1",
            "Anna",
            '"Berg, née ""Öz"""',
            "Lager; Nord" if delimiter == "," else "x",
            "39",
            "a.jpg",
        ],
        ["E2", "", "", "", "", "sub/b.jpg"],
        ["e1", "", "", "", "", "/abs/c.jpg"],
        ["", "", "", "", "", ""],
        [],
        ["E3", "Cem", "", "", "", ""],
    ]
    text = mark + end.join(delimiter.join(row) for row in rows) + end
    roster = read_roster(csv(tmp_path, text))
    anna, second, third = roster.people
    assert anna.personnel_code == "E1"
    assert (anna.fields["first_name"], anna.fields["last_name"]) == ("Anna", 'Berg, née "Öz"')
    assert "shoe size" not in anna.fields
    assert roster.notes == ("line 1: the column 'shoe size' is not imported",)
    assert anna.photos == (tmp_path / "a.jpg", Path("/abs/c.jpg"))
    assert second == ImportRow("E2", photos=(tmp_path / "sub" / "b.jpg",))
    assert third == ImportRow("E3", {"first_name": "Cem"})
    assert roster.nameless == ()


def test_a_cell_may_hold_delimiters_quotes_and_lines(tmp_path: Path) -> None:
    text = (
        'personnel_code,last_name,department,photo\nE1,"Berg, ""Öz""","North\nHall",a.jpg\n,x,,\n'
    )
    roster = read_roster(csv(tmp_path, text))
    assert roster.people[0].fields == {"last_name": 'Berg, "Öz"', "department": "North\nHall"}
    assert roster.nameless == (4,)


def test_encodings_have_a_column_of_their_own(tmp_path: Path) -> None:
    text = "personnel_code,encoding\nE1,e1.npy\nE2,\n"
    roster = read_roster(csv(tmp_path, text))
    assert people(roster) == {"E1": ([], ["e1.npy"]), "E2": ([], [])}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "first line must name"),
        (b"\n\n", "first line must name"),
        (b"code,photo\nE1,a.jpg\n", "line 1: there is no column personnel_code; there are 'code'"),
        (b"personnel_code,picture\nE1,a.jpg\n", r"no column photo \(or encoding\); there are"),
        (b"first_name,department\nAda,HR\n", r"no column personnel_code and no column photo \("),
        (b"E1,a.jpg\n", "first line must name"),
        (b"personnel_code,photo\n", "nobody found"),
        (b"personnel_code,photo,Foto\nE1,a.jpg,b.jpg\n", "2 .* and 3 .* are both photo"),
        (b'personnel_code,"photo\nE1,a.jpg\n', "line 1: a quotation mark is never closed"),
        ("personnel_code,photo\nM\u00fcller,a.jpg\n".encode("cp850"), "UTF-8"),
        ("personnel_code,photo\nM\u00e4ller,a.jpg\n".encode("cp850"), "UTF-8"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "neither a ZIP file nor a CSV"),
        (b"%PDF-1.7", "a PDF file, and no table"),
        (b"personnel_code,photo\nE1,a\0b.jpg\n", "neither"),
    ],
    ids=[
        *("empty", "blank", "no code", "no photo", "neither", "no header", "header only", "twins"),
        *("open quote", "DOS", "DOS too", "picture", "PDF", "zero"),
    ],
)
def test_what_is_no_roster_is_told_in_a_line(tmp_path: Path, content: bytes, told: str) -> None:
    file = csv(tmp_path, content)
    with pytest.raises(SourceError, match=told) as refused:
        read_roster(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder or table"):
        read_roster(tmp_path / "absent")
    with pytest.raises(SourceError, match=r"cannot be read|no such"):
        read_roster(Path("a\0b"))


# --- folders around folders -----------------------------------------------------------------------


@pytest.mark.parametrize("top", ["staff", "Belegschaft 2026", "Firma", "a/b/staff"])
def test_a_single_folder_on_top_is_looked_through(tmp_path: Path, top: str) -> None:
    litter = ("._E17.jpg", ".DS_Store", "Thumbs.db", "desktop.ini")
    touch(tmp_path, *(f"{top}/{name}" for name in ("E17.jpg", "E18.png", *litter)))
    touch(tmp_path, f"__MACOSX/{top}/._E17.jpg", "__MACOSX/x.jpg")
    roster = read_roster(tmp_path)
    expected: Roll = {"E17": (["E17.jpg"], []), "E18": (["E18.png"], [])}
    if top == "Belegschaft 2026":  # its name could be a code: the faces will say
        (person,) = roster.people
        assert people(Roster(person.apart)) == expected
    else:
        assert people(roster) == expected
    assert roster.skipped == ()


@pytest.mark.parametrize("top", ["staff", "staff/2026", "E0", "."])
def test_folders_of_people_are_found_below(tmp_path: Path, top: str) -> None:
    touch(tmp_path, *(f"{top}/{name}" for name in ("E17/1.jpg", "E17/2.jpg", "E18/a.jpg")))
    roster = read_roster(tmp_path)
    assert people(roster) == {"E17": (["1.jpg", "2.jpg"], []), "E18": (["a.jpg"], [])}
    assert all(person.is_folder for person in roster.people)


@pytest.mark.parametrize(
    "names", [("front.jpg", "side.jpg"), ("1.jpg", "2.jpg"), ("IMG_0001.jpg",)]
)
def test_the_folder_of_one_person_stays_one(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *(f"E17/{name}" for name in names))
    (person,) = read_roster(tmp_path).people
    assert (person.personnel_code, len(person.photos), person.apart) == ("E17", len(names), ())


def test_whose_code_is_meant_is_not_guessed(tmp_path: Path) -> None:
    touch(tmp_path, "W2026/E17.jpg")
    with pytest.raises(SourceError, match="nobody can tell whose code"):
        read_roster(tmp_path)


def test_a_folder_with_a_table_is_read_by_the_table(tmp_path: Path) -> None:
    touch(tmp_path, "staff/photos/a.jpg", "staff/photos/left.jpg", "staff/readme.txt")
    (tmp_path / "staff" / "list.csv").write_text("personnel_code,photo\nE1,photos\\A.JPG\n")
    roster = read_roster(tmp_path)
    assert people(roster) == {"E1": (["a.jpg"], [])}
    assert sorted(roster.skipped) == ["staff/photos/left.jpg", "staff/readme.txt"]


def test_a_zip_is_read_as_a_folder_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "staff.zip", "w") as archive:
        for name in ("staff/", "staff/E17.jpg", "staff\\E18.jpg", "__MACOSX/staff/._E17.jpg"):
            archive.writestr(name, b"")
    assert people(read_roster(tmp_path / "staff.zip")) == {
        "E17": (["E17.jpg"], []),
        "E18": (["E18.jpg"], []),
    }


# --- rows of one code -----------------------------------------------------------------------------


def refused(roster: Roster) -> list[tuple[str, list[int]]]:
    return [(p.what, [row.line for row in p.rows]) for p in roster.problems]


@pytest.mark.parametrize("twin", ["K50", "k50", "\uff2b50", " K50\u00a0"])
@pytest.mark.parametrize("photos", [("anna.jpg", "carl.jpg"), ("", "")])
def test_rows_of_one_code_that_disagree_are_refused(
    tmp_path: Path, twin: str, photos: tuple[str, str]
) -> None:
    text = (
        "personnel_code,photo,first_name,last_name\n"
        f"K50,{photos[0]},Anna,Berg\nK51,,Eva,Dorn\n{twin},{photos[1]},Carl,Dorn\n"
    )
    roster = read_roster(csv(tmp_path, text))
    assert refused(roster) == [("K50", [2, 4])]
    assert "first_name is 'Anna' in line 2 and 'Carl' in line 4" in roster.problems[0].detail
    assert [p.personnel_code for p in roster.people] == ["K51"]


@pytest.mark.parametrize(
    "field", ["first_name", "last_name", "department", "position", "email", "phone"]
)
def test_every_field_counts_and_an_empty_cell_says_nothing(tmp_path: Path, field: str) -> None:
    text = f"personnel_code,photo,{field}\nE1,a.jpg,x\nE1,b.jpg,\ne1,c.jpg,X\nE2,,x\nE2,,y\n"
    roster = read_roster(csv(tmp_path, text))
    assert refused(roster) == [("E2", [5, 6])]
    assert people(roster) == {"E1": (["a.jpg", "b.jpg", "c.jpg"], [])}
    assert roster.people[0].fields == {field: "x"}


def test_a_table_of_refused_rows_only_is_still_told(tmp_path: Path) -> None:
    roster = read_roster(csv(tmp_path, "personnel_code,photo\n,a.jpg\n"))
    assert (roster.people, roster.nameless) == ((), (2,))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("K01\u200b", "U+200B"),
        ("K01\u200e", "U+200E"),
        ("\u202eK01", "U+202E"),
        ("K\u00ad01", "U+00AD"),
        ("\u041c\u00fcller", "mixes Cyrillic and Latin"),
        ("K\u0391", "mixes Greek and Latin"),
    ],
)
def test_codes_that_look_like_others_are_refused_with_their_line(
    tmp_path: Path, code: str, told: str
) -> None:
    roster = read_roster(csv(tmp_path, f"personnel_code,photo\nE1,\n{code},\n"))
    ((what, lines),) = refused(roster)
    assert lines == [3]
    assert told in roster.problems[0].detail
    assert not any(char in what for char in "\u200b\u200e\u202e\u00ad")
    assert [p.personnel_code for p in roster.people] == ["E1"]
