"""Folders and CSV files as people really have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gated.errors import SourceError
from gated.services.roster import Candidate, Roster, read_roster, shown


def touch(folder: Path, *names: str) -> list[Path]:
    files = [folder / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return files


def people(roster: Roster) -> dict[str, tuple[list[str], list[str]]]:
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
    }
    left_out = ["E2/notes.docx", "E5/a.heic", "E6", "E7.jpg", "E8.jpg", "readme.txt"]
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
        ["E1", "", "Berg", "", "", "/abs/c.jpg"],
        ["", "", "", "", "", ""],
        [],
        ["E3", "Cem", "", "", "", ""],
    ]
    text = mark + end.join(delimiter.join(row) for row in rows) + end
    roster = read_roster(csv(tmp_path, text))
    anna, second, third = roster.people
    assert anna.personnel_code == "E1"
    assert (anna.fields["first_name"], anna.fields["last_name"]) == ("Anna", "Berg")
    assert "shoe size" not in anna.fields
    assert anna.photos == (tmp_path / "a.jpg", Path("/abs/c.jpg"))
    assert second == Candidate("E2", photos=(tmp_path / "sub" / "b.jpg",))
    assert third == Candidate("E3", {"first_name": "Cem"})
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
        (b"code,photo\nE1,a.jpg\n", "personnel_code"),
        (b"personnel_code,picture\nE1,a.jpg\n", "photo"),
        (b"E1,a.jpg\n", "first line must name"),
        (b"personnel_code,photo\n", "nobody found"),
        ("personnel_code,photo\nÄ1,a.jpg\n".encode("latin-1"), "UTF-8"),
        ("personnel_code,photo\nE1,a.jpg\n".encode("utf-16"), "UTF-8"),
        (b'personnel_code,photo\nE1,"a.jpg\nE2,b.jpg\n', "cannot be read"),
        (b"personnel_code,photo\nE1," + b"a" * 200_000 + b"\n", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "UTF-8"),
    ],
    ids=[
        *("empty", "blank", "no code", "no photo", "no header", "header only", "latin-1"),
        *("utf-16", "open quote", "endless cell", "picture"),
    ],
)
def test_what_is_no_roster_is_told_in_a_line(tmp_path: Path, content: bytes, told: str) -> None:
    file = csv(tmp_path, content)
    with pytest.raises(SourceError, match=told) as refused:
        read_roster(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder or CSV"):
        read_roster(tmp_path / "absent")
    with pytest.raises(SourceError, match=r"cannot be read|no such"):
        read_roster(Path("a\0b"))
