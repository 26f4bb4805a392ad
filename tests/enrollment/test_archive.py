"""Archives of photos: who is in them, and what they may not do."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

import pytest

from gated.enrollment.archive import MAX_MEMBERS, TableFile, read_archive, read_upload
from gated.enrollment.import_source import ImportRow
from gated.enrollment.importer import read_photo
from gated.errors import SourceError
from gated.vision.decoding import MAX_BYTES


def zipped(files: Mapping[str, bytes | str], **options: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def contents(person: ImportRow) -> list[bytes]:
    return [read_photo(photo) for photo in person.photos]


def test_folders_and_photos_are_named_by_personnel_code() -> None:
    roster = read_archive(
        zipped(
            {
                "E1/front.jpg": b"1",
                "E1/side.PNG": b"2",
                "E2.tiff": b"3",
                "E2.txt": b"",
                "a/b/c.jpg": b"",
                "E3/": b"",
                "E4/.hidden.jpg": b"",
                "__MACOSX/E5.jpg": b"",
            }
        )
    )
    assert [(p.personnel_code, contents(p)) for p in roster.people] == [
        ("E1", [b"1", b"2"]),
        ("E2", [b"3"]),
    ]
    assert roster.skipped == ("E2.txt", "a/b/c.jpg")


def test_a_file_may_have_the_name_of_a_folder() -> None:
    roster = read_archive(zipped({"E1.jpg": b"1", "E1.jpg/E2/front.jpg": b"2"}))
    assert [p.personnel_code for p in roster.people] == ["E1"]
    assert roster.skipped == ("E1.jpg/E2/front.jpg",)


def test_a_table_names_people_and_their_photos() -> None:
    table = (
        "personnel_code;photo;first_name\nE1;p/1.jpg;Ann\nE1;../out.jpg;\n;x;\nE2;./p//2.jpg;Bo\n"
    )
    roster = read_archive(zipped({"in/list.csv": table, "in/p/1.jpg": b"1", "in/p/2.jpg": b"2"}))
    first, second = roster.people
    assert (first.personnel_code, first.fields) == ("E1", {"first_name": "Ann"})
    assert contents(second) == [b"2"]
    assert read_photo(first.photos[0]) == b"1"
    with pytest.raises(SourceError, match=r"out\.jpg: is not in the archive"):
        read_photo(first.photos[1])
    assert roster.nameless == (4,)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../etc/passwd", "..\\..\\x", "C:/x.jpg", "////", "a\nb.jpg", "\u202e"],
)
def test_names_stay_names(name: str) -> None:
    table = f'personnel_code,photo\nE1,"{name}"\n'
    person = read_archive(zipped({"list.csv": table})).people[0]
    with pytest.raises(SourceError, match="is not in the archive"):
        read_photo(person.photos[0])
    roster = read_archive(zipped({name: b"x", "E1.jpg": b"1"}))
    assert "E1" in {p.personnel_code for p in roster.people}


def test_what_is_no_archive_is_refused() -> None:
    for data in (b"", b"PK\5\6", b"hello" * 100, zipped({"E1.jpg": b"1"})[:-30]):
        with pytest.raises(SourceError):
            read_archive(data)
    with pytest.raises(SourceError, match="nobody"):
        read_archive(zipped({"readme.txt": b""}))
    with pytest.raises(SourceError, match="several CSV"):
        read_archive(zipped({"a.csv": "", "b.csv": ""}))
    with pytest.raises(SourceError, match="UTF-8"):
        read_archive(zipped({"a.csv": b"personnel_code,photo\n\x81,\x81\n"}))
    for name, what in (("xl/workbook.xml", "an Excel workbook"), ("content.xml", "OpenDocument")):
        with pytest.raises(SourceError, match=what):
            read_archive(zipped({name: b"", "media/image1.png": b""}))


def test_a_member_gives_no_more_than_a_photo_may_have() -> None:
    bomb = zipped({"E1.jpg": bytes(3 * MAX_BYTES)}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    assert len(contents(read_archive(bomb).people[0])[0]) == MAX_BYTES + 1


def test_damaged_and_encrypted_members_are_told() -> None:
    whole = zipped({"E1.jpg": b"x" * 1000})
    damaged = whole.replace(b"x" * 1000, b"y" * 1000)
    encrypted = bytearray(whole)
    encrypted[whole.rindex(b"PK\1\2") + 8] |= 1
    encrypted[6] |= 1
    for data in (damaged, bytes(encrypted)):
        with pytest.raises(SourceError, match="cannot be unpacked"):
            contents(read_archive(data).people[0])


def test_a_directory_that_is_too_large_is_refused_before_it_is_read() -> None:
    many = zipped({f"{i}.jpg": b"" for i in range(MAX_MEMBERS + 1)})
    with pytest.raises(SourceError, match="make several"):
        read_archive(many)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 50 << 20, 0, 0)
    with pytest.raises(SourceError, match="make several"):
        read_archive(bytes(51 << 20) + end)
    sixty_four = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1) + end[:12] + bytes(10)
    with pytest.raises(SourceError, match="make several"):
        read_archive(bytes(100) + sixty_four)


TABLE = (
    b"personnel_code,photo,encoding\nE1,C:\\photos\\1.jpg,\nE1,../2.jpg,\nE2,,e.npy\nE3,no.jpg,\n"
)


def test_a_table_may_come_with_photos_beside_it() -> None:
    sent = [TableFile("1.jpg", b"1"), TableFile("somewhere/2.jpg", b"2"), TableFile("e.npy", b"3")]
    one, two, three = read_upload(TABLE, sent).people
    assert contents(one) == [b"1", b"2"]
    assert [read_photo(e) for e in two.encodings] == [b"3"]
    with pytest.raises(SourceError, match="was not sent"):
        contents(three)


def test_a_table_alone_names_people() -> None:
    assert [p.personnel_code for p in read_upload(TABLE).people] == ["E1", "E2", "E3"]


@pytest.mark.parametrize(
    ("data", "beside", "what"),
    [
        (zipped({"E1.jpg": b"1"}), [TableFile("1.jpg", b"")], "left out"),
        (TABLE, [TableFile("1.jpg", b""), TableFile("a/1.jpg", b"")], "same name"),
        (b"\x89PNG\r\n\x1a\n\0\0", [], "neither"),
        (b"\0" * (5 << 20), [], "larger"),
        (b"photo\n1.jpg\n", [], "personnel_code"),
        (b"", [], "personnel_code"),
    ],
)
def test_uploads_that_cannot_be_used(data: bytes, beside: list[TableFile], what: str) -> None:
    with pytest.raises(SourceError, match=what):
        read_upload(data, beside)


def test_encodings_are_found_in_an_archive() -> None:
    (person,) = read_archive(zipped({"E1/a.npy": b"1", "E1/b.jpg": b"2"})).people
    assert [read_photo(e) for e in person.encodings] == [b"1"]
    assert contents(person) == [b"2"]
