"""Many people at once: one bad photo stops nobody, and a second run finds nothing new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from gated.enrollment.archive import read_upload
from gated.enrollment.enrollment_context import EnrollmentContext
from gated.enrollment.failures import failures_csv
from gated.enrollment.import_source import ImportRow, shown
from gated.enrollment.importer import (
    NOT_SAME,
    TOGETHER,
    ImportReport,
    begun,
    import_person,
    read_photo,
)
from gated.enrollment.reading import read_roster
from gated.errors import SourceError
from gated.vision.decoding import MAX_BYTES
from tests.changes import done_by
from tests.enrollment.offices import kinds, office_in, portrait, rows, stored


@pytest.fixture
def office(tmp_path: Path) -> Iterator[EnrollmentContext]:
    with office_in(tmp_path / "state") as office:
        yield office


def imported(office: EnrollmentContext, *people: ImportRow) -> ImportReport:
    report = ImportReport()
    for person in people:
        import_person(office, person, report, "eve")
    return report


def codes(report: ImportReport) -> list[tuple[str, str]]:
    return [(row["photo"], row["code"]) for row in report.refused]


@pytest.fixture
def staff(tmp_path: Path) -> Path:
    """A folder as an admin would hand it over: good, bad and missing photos."""
    folder = tmp_path / "staff"
    for name, content in {
        "A1/first.jpg": portrait("obama"),
        "A1/second.jpg": portrait("obama2"),
        "A1/wrong.jpg": portrait("biden"),
        "B2.png": portrait("biden"),
        "C3.jpg": portrait("obama3"),
        "D4.jpg": b"no picture",
        "E5.jpg": portrait("t1"),
        "bad code.jpg": portrait("biden"),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_is_imported_and_every_refusal_told(
    office: EnrollmentContext, staff: Path
) -> None:
    report = imported(office, *read_roster(staff).people)
    assert report.enrolled == ["A1 first.jpg", "A1 second.jpg", "B2 B2.png"]
    assert codes(report) == [
        ("A1 wrong.jpg", "not_same_person"),
        ("C3 C3.jpg", "duplicate_face"),
        ("D4 D4.jpg", "unreadable_image"),
        ("E5 E5.jpg", "multiple_faces"),
        ("bad code", "refused"),
    ]
    assert all(row["detail"] for row in report.refused)
    assert [p.personnel_code for p in office.people.list_()[0]] == ["A1", "B2"]
    assert len(rows(office.workspace)) == 3
    assert len(stored(office.workspace)) == 6
    before = kinds(office.workspace)

    again = imported(office, *read_roster(staff).people)
    assert (again.enrolled, again.known) == ([], report.enrolled)
    assert codes(again) == codes(report)
    assert kinds(office.workspace) == before
    assert len(stored(office.workspace)) == 6


def test_fields_are_those_of_a_new_person_only(office: EnrollmentContext, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(portrait("obama"))
    (tmp_path / "staff.csv").write_text(
        "personnel_code,first_name,last_name,department,position,email,phone,photo\n"
        "A1,Anna,Berg,North,Lead,anna@example.org,+49 30 1,a.jpg\n"
        "N1,Nora,Neu,,,,,\n"
        "M1,Mia,Meer,,,,,missing.jpg\n"
    )
    people = read_roster(tmp_path / "staff.csv").people
    report = imported(office, *people)
    assert report.enrolled == ["A1 a.jpg"]
    assert report.without_photo == ["N1", "M1"]
    assert office.people.by_code("M1").name == "Mia Meer"
    assert codes(report) == [("M1 missing.jpg", "source")]
    anna = office.people.by_code("A1")
    assert (anna.name, anna.department, anna.position) == ("Anna Berg", "North", "Lead")
    assert (anna.email, anna.phone) == ("anna@example.org", "+49 30 1")
    assert office.people.by_code("N1").name == "Nora Neu"

    done_by("eve", office.people.update, anna.id, {"department": "South"})
    again = imported(office, *people)
    assert (again.enrolled, again.without_photo, again.known) == ([], [], ["A1 a.jpg"])
    assert office.people.by_code("A1").department == "South"
    assert [(d["photo"], d["lines"]) for d in again.differing] == [("A1", [2])]
    assert "department is 'South', and 'North' in the table" in again.differing[0]["detail"]
    assert (again.differing[0]["rule"], again.differing[0]["limit"]) == ("differs", "department")
    assert not again.is_whole


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("", {}),
        ("a b", {}),
        ("a@b", {}),
        ("a\0b", {}),
        ("a\udcffb", {}),
        ("x" * 65, {}),
        ("A1", {"last_name": "two\nlines"}),
        ("A1", {"department": "x" * 201}),
        ("A1", {"email": "nobody"}),
    ],
)
def test_what_could_not_be_stored_or_typed_is_refused(
    office: EnrollmentContext, code: str, fields: dict[str, str]
) -> None:
    report = imported(office, ImportRow(code, fields))
    assert codes(report) == [(shown(code), "refused")]
    assert office.people.list_() == ([], 0)


def test_a_taken_e_mail_address_is_refused(office: EnrollmentContext) -> None:
    mail = {"email": "m@example.org"}
    report = imported(office, ImportRow("A1", mail), ImportRow("B2", mail))
    assert report.without_photo == ["A1"]
    assert codes(report) == [("B2", "email_taken")]


def put(folder: Path, **portraits: str) -> Path:
    """Photos called as the keywords are, with `__` for a folder."""
    for name, shows in portraits.items():
        file = folder / f"{name.replace('__', '/')}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(portrait(shows))
    return folder


def people_of(office: EnrollmentContext) -> list[str]:
    return [p.personnel_code for p in office.people.list_()[0]]


def test_nobody_is_made_of_a_folder_of_several_people(
    office: EnrollmentContext, tmp_path: Path
) -> None:
    source = put(tmp_path / "in", north__anna="obama", north__carl="biden", south__E9="obama2")
    report = imported(office, *read_roster(source).people)
    assert codes(report) == [("north anna.jpg", NOT_SAME), ("north carl.jpg", NOT_SAME)]
    assert people_of(office) == ["south"]


@pytest.mark.parametrize("top", ["company", "W2026"])
def test_the_faces_say_whether_a_single_folder_is_a_person(
    office: EnrollmentContext, tmp_path: Path, top: str
) -> None:
    names = {f"{top}__A7": "obama", f"{top}__C8": "biden", f"{top}__A7b": "t1"}
    if top == "company":
        names = {f"{top}__anna": "obama", f"{top}__carl": "biden", f"{top}__both": "t1"}
    report = imported(office, *read_roster(put(tmp_path / "in", **names)).people)
    assert len(report.enrolled) == 2
    assert people_of(office) == [
        name.split("__")[1] for name in sorted(names) if names[name] != "t1"
    ]
    assert [code for _, code in codes(report)] == ["multiple_faces"]


def test_a_single_folder_of_one_person_is_a_person(
    office: EnrollmentContext, tmp_path: Path
) -> None:
    source = put(tmp_path / "in", anna__portrait="obama", anna__second="obama2")
    assert imported(office, *read_roster(source).people).refused == []
    assert people_of(office) == ["anna"]


def test_rows_of_one_code_with_photos_of_two_people_enroll_neither(
    office: EnrollmentContext, tmp_path: Path
) -> None:
    put(tmp_path, anna="obama", carl="biden")
    (tmp_path / "staff.csv").write_text(
        "personnel_code,photo,first_name\nK50,anna.jpg,Anna\nK50,carl.jpg,\n"
    )
    report = imported(office, *read_roster(tmp_path / "staff.csv").people)
    assert codes(report) == [("K50 anna.jpg", NOT_SAME), ("K50 carl.jpg", NOT_SAME)]
    assert [r["lines"] for r in report.refused] == [[2], [3]]
    assert [r["rows"][0]["photo"] for r in report.refused] == ["anna.jpg", "carl.jpg"]
    assert report.without_photo == ["K50"]
    assert rows(office.workspace) == []


def test_the_odd_photo_counts_for_nothing_wherever_it_stands(
    office: EnrollmentContext, tmp_path: Path
) -> None:
    source = put(tmp_path / "in", A1__0="biden", A1__1="obama", A1__2="obama2", B2="biden")
    report = imported(office, *read_roster(source).people)
    assert codes(report) == [("A1 0.jpg", NOT_SAME)]
    assert report.enrolled == ["A1 1.jpg", "A1 2.jpg", "B2 B2.jpg"]


@pytest.mark.long
def test_more_photos_than_are_compared_at_a_time_are_all_told(
    office: EnrollmentContext, tmp_path: Path
) -> None:
    source = put(tmp_path / "in", north__a="obama", north__b="biden")
    put(source, A1__a="obama2", A1__b="obama3")
    for folder in ("north", "A1"):
        for i in range(TOGETHER):
            (source / folder / f"c{i:02}.jpg").write_bytes(portrait("obama") + bytes(i + 1))
    (source / "A1" / "d.jpg").write_bytes(b"nothing")
    report = imported(office, *read_roster(source).people)
    assert len(report.enrolled) == TOGETHER + 2
    told = [("A1 d.jpg", "unreadable_image"), ("north a.jpg", NOT_SAME), ("north b.jpg", NOT_SAME)]
    assert codes(report) == [
        *told,
        *((f"north c{i:02}.jpg", NOT_SAME) for i in range(TOGETHER)),
    ]


def test_a_row_whose_photo_is_refused_makes_the_person(
    office: EnrollmentContext, tmp_path: Path
) -> None:
    put(tmp_path, a="obama", two="t1")
    (tmp_path / "bad.jpg").write_bytes(b"RIFF\x10\0\0\0WEBPVP8 ")
    (tmp_path / "staff.csv").write_text(
        "personnel_code,photo,first_name\nE1,bad.jpg,Anna\nE2,two.jpg,Bo\nE3,no.jpg,Cem\n"
        "E4,a.jpg,Dora\nE5,a.jpg,Eva\n"
    )
    people = read_roster(tmp_path / "staff.csv").people
    report = imported(office, *people)
    assert people_of(office) == ["E1", "E2", "E3", "E4", "E5"]
    assert report.without_photo == ["E1", "E2", "E3", "E5"]
    assert [(r["code"], r["lines"]) for r in report.refused] == [
        ("unreadable_image", [2]),
        ("multiple_faces", [3]),
        ("source", [4]),
        ("duplicate_face", [6]),
    ]
    assert "a WebP file" in report.refused[0]["detail"]
    (tmp_path / "bad.jpg").write_bytes(portrait("biden"))
    again = imported(office, *people)
    assert again.enrolled == ["E1 bad.jpg"]
    assert again.without_photo == []


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_table_of_failures_opens_where_the_table_did(
    office: EnrollmentContext, tmp_path: Path, separator: str
) -> None:
    """Excel in Germany opens by a double click what a semicolon separates, and nothing else."""
    rows = [("personnel_code", "photo", "department"), ("E7", "gone.jpg", "a;b,c")]
    table = "\n".join(separator.join(f'"{cell}"' for cell in row) for row in rows)
    (tmp_path / "staff.csv").write_text(table)
    for roster in (
        read_roster(tmp_path / "staff.csv"),
        read_roster(tmp_path),
        read_upload(table.encode()),
    ):
        report = begun(roster)
        for person in roster.people:
            import_person(office, person, report, "root")
        head = b"".join(failures_csv(asdict(report))).decode("utf-8-sig").splitlines()[0]
        assert head.split(separator)[:4] == ["line", "problem", "personnel_code", "photo"]
        mended = tmp_path / "mend" / "mend.csv"
        mended.parent.mkdir(exist_ok=True)
        mended.write_bytes(b"".join(failures_csv(asdict(report))))
        (person,) = read_roster(mended).people
        assert person.fields["department"] == "a;b,c"
        mended.unlink()
        mended.parent.rmdir()


def test_whether_two_persons_have_one_face_is_asked_and_the_table_answers(
    office: EnrollmentContext, tmp_path: Path
) -> None:
    put(tmp_path, a="obama")
    (tmp_path / "staff.csv").write_text("personnel_code,photo\nE4,a.jpg\nE5,a.jpg\n")
    report = imported(office, *read_roster(tmp_path / "staff.csv").people)
    assert codes(report) == [("E5 a.jpg", "duplicate_face")]
    assert "column override" in report.refused[0]["detail"]
    table = b"".join(failures_csv(asdict(report))).decode("utf-8-sig")
    head, row = table.strip().splitlines()
    assert head.endswith(",override")

    answered = tmp_path / "mend.csv"
    answered.write_text(f"{head}\n{row}twins\n")
    (person,) = read_roster(answered).people
    refused = imported(office, person)
    assert codes(refused) == [("E5", "forbidden")]
    accepted = ImportReport()
    import_person(office, person, accepted, "root", may_override=True)
    assert (accepted.enrolled, accepted.refused) == (["E5 a.jpg"], [])
    assert kinds(office.workspace)[-1] == "duplicate_overridden"


def test_no_more_of_a_file_is_read_than_needed_to_refuse_it(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MAX_BYTES * 100)
    assert len(read_photo(tmp_path / "huge.jpg")) == MAX_BYTES + 1
    for path in (tmp_path, tmp_path / "absent.jpg", Path("a\0b")):
        with pytest.raises(SourceError):
            read_photo(path)


def test_encodings_of_face_recognition_are_imported(tmp_path: Path) -> None:
    folder = tmp_path / "known"
    folder.mkdir()
    with office_in(tmp_path / "elsewhere", "dlib") as elsewhere:
        for code, name in (("A1", "obama"), ("B2", "biden")):
            row = elsewhere.enrollment.enroll_as(code, {}, portrait(name), "eve").enrollment
            assert row.face_encoding_path is not None
            vector, _ = elsewhere.workspace.files.load_encoding(row.face_encoding_path)
            np.save(folder / f"{code}.npy", np.stack([vector, vector * 1.001]).astype(np.float64))
    np.save(folder / "C3.npy", np.zeros(3))
    (folder / "A1.jpg").write_bytes(portrait("obama2"))
    people = read_roster(folder).people
    with office_in(tmp_path / "dlib", "dlib") as office:
        report = imported(office, *people)
        assert report.enrolled == ["A1 A1.jpg", "A1 A1.npy", "A1 A1.npy", "B2 B2.npy", "B2 B2.npy"]
        assert codes(report) == [("C3 C3.npy", "source")]
        assert len(rows(office.workspace)) == 5
        again = imported(office, *people)
        assert (again.enrolled, again.known) == ([], report.enrolled)
    with office_in(tmp_path / "sface") as office:
        report = imported(office, *people)
        assert report.enrolled == ["A1 A1.jpg"]
        assert {code for what, code in codes(report) if what != "C3 C3.npy"} == {"other_model"}
