"""Many people at once: one bad photo stops nobody, and a second run finds nothing new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gated.errors import SourceError
from gated.services.importer import Report, import_person, read_photo
from gated.services.office import Office
from gated.services.roster import Candidate, read_roster, shown
from gated.vision.decoding import MAX_BYTES
from tests.services.offices import kinds, office_in, portrait, rows, stored


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with office_in(tmp_path / "state") as office:
        yield office


def imported(office: Office, *people: Candidate) -> Report:
    report = Report()
    for person in people:
        import_person(office, person, report, "eve")
    return report


def codes(report: Report) -> list[tuple[str, str]]:
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


def test_a_folder_is_imported_and_every_refusal_told(office: Office, staff: Path) -> None:
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


def test_fields_are_those_of_a_new_person_only(office: Office, tmp_path: Path) -> None:
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
    assert report.without_photo == ["N1"]
    assert codes(report) == [("M1 missing.jpg", "source")]
    anna = office.people.by_code("A1")
    assert (anna.name, anna.department, anna.position) == ("Anna Berg", "North", "Lead")
    assert (anna.email, anna.phone) == ("anna@example.org", "+49 30 1")
    assert office.people.by_code("N1").name == "Nora Neu"

    office.people.update(anna.id, {"department": "South"}, actor="eve")
    again = imported(office, *people)
    assert (again.enrolled, again.without_photo, again.known) == ([], [], ["A1 a.jpg"])
    assert office.people.by_code("A1").department == "South"


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
    office: Office, code: str, fields: dict[str, str]
) -> None:
    report = imported(office, Candidate(code, fields))
    assert codes(report) == [(shown(code), "refused")]
    assert office.people.list_() == ([], 0)


def test_a_taken_e_mail_address_is_refused(office: Office) -> None:
    mail = {"email": "m@example.org"}
    report = imported(office, Candidate("A1", mail), Candidate("B2", mail))
    assert report.without_photo == ["A1"]
    assert codes(report) == [("B2", "conflict")]


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
