"""Enrollment with the real models: who is accepted, who is refused, and what is left behind."""

from __future__ import annotations

import io
import multiprocessing
import sqlite3
from collections.abc import Iterator
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.core.photo_advice import LIKENESS, NEARLY_SAME, PhotoAdvice
from gated.core.values import Vector
from gated.enrollment import enrollment_store
from gated.enrollment.enrollment_context import EnrollmentContext
from gated.enrollment.enrollments import Enrollments
from gated.enrollment.gallery_cache import open_gallery, stale_enrollments
from gated.enrollment.photo_entry import PhotoEntry
from gated.errors import Conflict, DuplicateFace, EnrollmentRefused, NotFound, StorageError
from tests.changes import done_by
from tests.enrollment.offices import Engine, kinds, office_in, portrait, rows, stored

EVE = PhotoEntry("eve")
NAMES = {"first_name": "Anna", "last_name": "Arendt"}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[EnrollmentContext]:
    with office_in(tmp_path) as office:
        yield office


@pytest.fixture
def anna(office: EnrollmentContext) -> int:
    """A person with one photo."""
    return office.enrollment.enroll_as("A1", NAMES, portrait("obama"), "eve").enrollment.person_id


def state_of(office: EnrollmentContext) -> tuple[object, ...]:
    """All that a refusal must not change."""
    people, _ = office.people.list_()
    workspace = office.workspace
    return people, rows(workspace), stored(workspace), kinds(workspace)


def test_a_new_person_is_entered_with_photo_template_and_journal(office: EnrollmentContext) -> None:
    enrolled = office.enrollment.enroll_as("A1", NAMES, portrait("obama"), "eve")
    row = enrolled.enrollment
    assert not enrolled.known
    assert 0.5 < row.confidence_score <= 1
    assert row.quality["eye_distance"] > 30
    assert row.model == office.kit.model
    assert office.people.by_code("A1").name == "Anna Arendt"
    files = office.workspace.files
    assert row.face_image_path is not None
    assert row.face_encoding_path is not None
    assert files.load_image(row.face_image_path)[:3] == b"\xff\xd8\xff"
    vector, model = files.load_encoding(row.face_encoding_path)
    assert (vector.shape, model) == ((128,), office.kit.model)
    assert kinds(office.workspace) == ["chain_started", "person_created", "enrolled"]
    assert office.workspace.journal.verify().ok


def test_the_same_picture_once_more_is_no_other_evidence(
    office: EnrollmentContext, anna: int
) -> None:
    def advised() -> str | None:
        return PhotoAdvice.of_photos(rows(office.workspace)).reason

    assert LIKENESS not in rows(office.workspace)[0].quality
    assert advised() == "one_photo"
    whole = PIL.Image.open(io.BytesIO(portrait("obama")))
    cropped = whole.crop((10, 10, whole.width - 20, whole.height - 10))
    buffer = io.BytesIO()
    cropped.save(buffer, "JPEG", quality=60)
    again = office.enrollment.enroll(anna, buffer.getvalue(), EVE).enrollment
    assert again.quality[LIKENESS] >= NEARLY_SAME
    assert advised() == "nearly_same"
    # in its place a photo is compared with those that stay, not with the one that goes
    other = office.enrollment.replace_photo(again.id, portrait("obama2"), EVE).enrollment
    assert 0 < other.quality[LIKENESS] < NEARLY_SAME
    assert advised() is None
    done_by("eve", Enrollments.of(office.workspace).set_active, again.id, False)
    first = rows(office.workspace)[0]
    alone = office.enrollment.replace_photo(first.id, buffer.getvalue(), EVE).enrollment
    assert LIKENESS not in alone.quality


def test_the_stored_photo_is_sealed_and_without_metadata(
    office: EnrollmentContext, tmp_path: Path
) -> None:
    picture = PIL.Image.open(io.BytesIO(portrait("obama")))
    exif = PIL.Image.Exif()
    exif[0x010E] = "taken at the secret place"
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif)
    assert b"secret place" in buffer.getvalue()
    row = office.enrollment.enroll_as("A1", NAMES, buffer.getvalue(), "eve").enrollment
    assert row.face_image_path is not None
    opened = office.workspace.files.load_image(row.face_image_path)
    assert b"secret place" not in opened
    for file in stored(office.workspace):
        # more than three bytes: those are in one sealed photo of a hundred by chance
        assert opened[:16] not in file.read_bytes()
        assert file.stat().st_mode & 0o777 == 0o600


def test_the_journal_s_bodies_name_nobody(office: EnrollmentContext, anna: int) -> None:
    with office.workspace.database.read() as session:
        found = session.connection().exec_driver_sql("SELECT body FROM journal").all()
    told = str(found)
    assert office.people.get(anna).uid in told
    for word in ("Anna", "Arendt", "A1", "eve"):
        assert word not in told


def test_an_erasure_reaches_the_enrollment_s_journal_rows(
    office: EnrollmentContext, anna: int
) -> None:
    done_by("eve", office.people.delete, anna)
    with office.workspace.database.read() as session:
        found = session.connection().exec_driver_sql("SELECT payload FROM journal_private").all()
    assert "Arendt" not in str(found)
    assert office.workspace.journal.verify().ok
    assert stored(office.workspace) == []


def test_the_same_photo_again_changes_nothing(office: EnrollmentContext, anna: int) -> None:
    before = state_of(office)
    for again in (
        office.enrollment.enroll(anna, portrait("obama"), EVE),
        office.enrollment.enroll_as("A1", {"first_name": "Other"}, portrait("obama"), "eve"),
    ):
        assert again.known
        assert again.enrollment == rows(office.workspace)[0]
    assert state_of(office) == before


def test_a_second_photo_of_the_person_is_accepted(office: EnrollmentContext, anna: int) -> None:
    enrolled = office.enrollment.enroll(anna, portrait("obama2"), EVE)
    assert not enrolled.known
    assert [row.person_id for row in rows(office.workspace)] == [anna, anna]
    assert len(stored(office.workspace)) == 4


def test_another_person_s_photo_is_refused(office: EnrollmentContext) -> None:
    anna = office.enrollment.enroll_as("A1", NAMES, portrait("obama2"), "eve").enrollment.person_id
    before = state_of(office)
    with pytest.raises(EnrollmentRefused) as refused:
        office.enrollment.enroll(anna, portrait("biden"), EVE)
    assert refused.value.reason == "not_same_person"
    assert refused.value.measured["similarity"] < 0.3
    assert state_of(office) == before


def test_a_face_is_enrolled_for_one_person_only(office: EnrollmentContext, anna: int) -> None:
    before = state_of(office)
    with pytest.raises(DuplicateFace, match=r"Anna Arendt \(A1\)") as refused:
        office.enrollment.enroll_as("B2", {}, portrait("obama3"), "eve")
    assert refused.value.person_id == anna
    with pytest.raises(NotFound):
        office.people.by_code("B2")
    assert state_of(office) == before


def test_a_switched_off_person_s_face_is_still_theirs(office: EnrollmentContext, anna: int) -> None:
    done_by("eve", office.people.set_active, anna, False)
    with pytest.raises(DuplicateFace):
        office.enrollment.enroll_as("B2", {}, portrait("obama3"), "eve")


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (b"", "unreadable_image"),
        (b"\xff\xd8\xff\xe0" + bytes(500), "unreadable_image"),
        (b"GIF89a" + bytes(100), "unreadable_image"),
        (bytes(10 * 2**20 + 1), "unreadable_image"),
    ],
    ids=["empty", "truncated", "other format", "too large"],
)
def test_hostile_bytes_leave_nothing_behind(
    office: EnrollmentContext, photo: bytes, reason: str
) -> None:
    before = state_of(office)
    with pytest.raises(EnrollmentRefused) as refused:
        office.enrollment.enroll_as("X1", {}, photo, "eve")
    assert refused.value.reason == reason
    assert state_of(office) == before


def test_a_photo_without_or_with_several_faces_is_refused(office: EnrollmentContext) -> None:
    blank = io.BytesIO()
    PIL.Image.new("RGB", (640, 480), "gray").save(blank, "PNG")
    before = state_of(office)
    for photo, reason in ((blank.getvalue(), "no_face"), (portrait("t1"), "multiple_faces")):
        with pytest.raises(EnrollmentRefused) as refused:
            office.enrollment.enroll_as("X1", {}, photo, "eve")
        assert refused.value.reason == reason
    assert state_of(office) == before


def test_nobody_is_enrolled_for_a_person_who_is_not_there(office: EnrollmentContext) -> None:
    with pytest.raises(NotFound):
        office.enrollment.enroll(999, portrait("obama"), EVE)
    assert stored(office.workspace) == []


def test_a_taken_e_mail_address_adds_neither_person_nor_photo(office: EnrollmentContext) -> None:
    done_by("eve", office.people.create, {"personnel_code": "M1", "email": "m@example.org"})
    before = state_of(office)
    with pytest.raises(Conflict, match="already belongs to person 1"):
        office.enrollment.enroll_as("A1", {"email": "M@example.org"}, portrait("obama"), "eve")
    assert state_of(office) == before


@pytest.mark.parametrize("failing", ["enrollments", "persons", "journal"])
def test_what_the_database_does_not_take_is_not_on_disk(
    office: EnrollmentContext, tmp_path: Path, failing: str
) -> None:
    with sqlite3.connect(tmp_path / "attendance.db") as database:
        database.execute(
            f"CREATE TRIGGER full BEFORE INSERT ON {failing} BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    database.close()
    before = state_of(office)
    with pytest.raises((IntegrityError, Conflict)):
        office.enrollment.enroll_as("A1", NAMES, portrait("obama"), "eve")
    assert state_of(office) == before


def test_an_interrupt_behind_the_commit_keeps_the_files(office: EnrollmentContext) -> None:
    def interrupt(session: Session) -> None:
        if not session.in_nested_transaction():
            raise KeyboardInterrupt

    event.listen(Session, "after_commit", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            office.enrollment.enroll_as("A1", NAMES, portrait("obama"), "eve")
    finally:
        event.remove(Session, "after_commit", interrupt)
    (row,) = rows(office.workspace)
    assert len(stored(office.workspace)) == len(row.files) == 2


def test_a_folder_that_cannot_be_written_leaves_no_half(
    office: EnrollmentContext, tmp_path: Path
) -> None:
    encodings = tmp_path / "uploads" / "encodings"
    encodings.rmdir()
    encodings.write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        office.enrollment.enroll_as("A1", NAMES, portrait("obama"), "eve")
    assert stored(office.workspace) == [encodings]
    assert rows(office.workspace) == []
    assert office.people.list_() == ([], 0)


def enroll_apart(state: Path, code: str, barrier: Barrier, results: Queue[str]) -> None:
    """The work of another process: the same person, then the same face for two people."""
    with office_in(state) as office:
        for whose, name in (("A1", "obama"), (code, "biden")):
            barrier.wait(60)
            try:
                enrolled = office.enrollment.enroll_as(whose, {}, portrait(name), code)
                results.put("known" if enrolled.known else "enrolled")
            except DuplicateFace:
                results.put("duplicate")


def test_of_two_processes_at_once_one_enrolls_the_face(
    tmp_path: Path, office: EnrollmentContext
) -> None:
    portrait("obama")
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(2), spawn.Queue()
    processes = [
        spawn.Process(target=enroll_apart, args=(tmp_path, code, barrier, results))
        for code in ("B2", "C3")
    ]
    for process in processes:
        process.start()
    outcomes = sorted(results.get(timeout=90) for _ in range(4))
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    results.close()
    assert outcomes == ["duplicate", "enrolled", "enrolled", "known"]
    assert len(rows(office.workspace)) == len(office.people.list_()[0]) == 2
    assert len(stored(office.workspace)) == 4
    assert office.workspace.journal.verify().ok


# --- another engine -------------------------------------------------------------------------------


def enrolled_with(engine: Engine, state: Path) -> None:
    with office_in(state, engine) as office:
        for name in ("obama", "obama2"):
            office.enrollment.enroll_as("A1", NAMES, portrait(name), "eve")
        office.enrollment.enroll_as("B2", {}, portrait("biden"), "eve")


def test_another_engine_s_templates_are_left_out_until_made_anew(tmp_path: Path) -> None:
    enrolled_with("sface", tmp_path)
    with office_in(tmp_path, "dlib") as office:
        workspace, kit = office.workspace, office.kit
        cache = open_gallery(workspace, kit.model, kit.metric)
        assert len(cache.load()) == 0
        assert len(stale_enrollments(workspace, kit.model)) == 3
        before = stored(workspace)
        calls: list[tuple[int, int]] = []
        assert office.enrollment.reencode(lambda *call: calls.append(call)) == []
        assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]
        gallery = cache.load()
        assert (gallery.people, len(gallery), gallery.model) == (2, 3, kit.model)
        assert len(stored(workspace)) == len(before) == 6
        assert kinds(workspace).count("template_replaced") == 3
        assert workspace.journal.verify().ok
        match = gallery.match(gallery.vectors[0])
        assert match is not None
        assert match.member.person.personnel_code == "A1"
        calls.clear()
        assert office.enrollment.reencode(lambda *call: calls.append(call)) == []
        assert calls == []
        assert office.enrollment.enroll_as("A1", {}, portrait("obama"), "eve").known


def test_a_stopped_renewal_goes_on_where_it_was(tmp_path: Path) -> None:
    enrolled_with("sface", tmp_path)

    def stop_at_second(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with office_in(tmp_path, "dlib") as office:
        with pytest.raises(KeyboardInterrupt):
            office.enrollment.reencode(stop_at_second)
        assert len(stale_enrollments(office.workspace, office.kit.model)) == 1
        assert len(stored(office.workspace)) == 6
        assert office.enrollment.reencode(lambda *_: None) == []
        assert stale_enrollments(office.workspace, office.kit.model) == []


def test_a_photo_that_is_gone_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    enrolled_with("sface", tmp_path)
    with office_in(tmp_path, "dlib") as office:
        lost = rows(office.workspace)[0]
        assert lost.face_image_path is not None
        office.workspace.files.delete(lost.face_image_path)
        (problem,) = office.enrollment.reencode(lambda *_: None)
        assert problem.startswith(f"enrollment {lost.id}: ")
        assert [e.id for e in stale_enrollments(office.workspace, office.kit.model)] == [lost.id]
        assert rows(office.workspace)[0] == lost


def test_a_disk_that_takes_nothing_ends_the_renewal(tmp_path: Path) -> None:
    enrolled_with("sface", tmp_path)
    with office_in(tmp_path, "dlib") as office:
        encodings = tmp_path / "uploads" / "encodings"
        encodings.rename(tmp_path / "moved")
        encodings.write_text("in the way")
        with pytest.raises(StorageError, match="cannot be written"):
            office.enrollment.reencode(lambda *_: None)
        assert len(stale_enrollments(office.workspace, office.kit.model)) == 3


def test_an_enrollment_that_changed_meanwhile_waits_for_the_next_renewal(tmp_path: Path) -> None:
    enrolled_with("sface", tmp_path)
    with office_in(tmp_path, "dlib") as office:
        first = rows(office.workspace)[0]

        def switch_off_at_start(done: int, _: int) -> None:
            if done == 0:
                with office.workspace.database.write() as session:
                    enrollment_store.set_active(session, first.id, False)

        assert office.enrollment.reencode(switch_off_at_start) == []
        assert [e.id for e in stale_enrollments(office.workspace, office.kit.model)] == [first.id]
        assert len(stored(office.workspace)) == 6
        assert office.enrollment.reencode(lambda *_: None) == []
        assert stale_enrollments(office.workspace, office.kit.model) == []


def test_what_changes_during_the_renewal_is_left_to_the_changer(tmp_path: Path) -> None:
    enrolled_with("sface", tmp_path)
    with office_in(tmp_path, "dlib") as office:
        victims = {e.person_id for e in rows(office.workspace) if e.person_id != 1}

        def erase_at_start(done: int, _: int) -> None:
            if done == 0:
                for person_id in victims:
                    done_by("eve", office.people.delete, person_id)

        assert len(office.enrollment.reencode(erase_at_start)) == 1  # its photo is gone
        assert {e.person_id for e in rows(office.workspace)} == {1}
        assert len(stored(office.workspace)) == 4


# --- encodings of face_recognition ----------------------------------------------------------------


def encoding_of(name: str, state: Path) -> Vector:
    """A portrait's encoding as face_recognition would have made it."""
    with office_in(state, "dlib") as office:
        row = office.enrollment.enroll_as("X1", {}, portrait(name), "eve").enrollment
        assert row.face_encoding_path is not None
        return office.workspace.files.load_encoding(row.face_encoding_path)[0]


def test_encodings_are_templates_without_photo(tmp_path: Path) -> None:
    with office_in(tmp_path, "dlib") as office:
        vector = encoding_of("obama", tmp_path / "elsewhere")
        enroll = office.enrollment.enroll_as
        row = enroll("A1", NAMES, vector, "eve").enrollment
        assert row.face_image_path is None
        assert row.confidence_score == 0.0
        assert enroll("A1", NAMES, vector.astype(np.float64), "eve").known
        assert not enroll("A1", NAMES, portrait("obama2"), "eve").known
        with pytest.raises(DuplicateFace):
            enroll("B2", {}, portrait("obama3"), "eve")
        with pytest.raises(EnrollmentRefused) as refused:
            enroll("A1", {}, portrait("biden"), "eve")
        assert refused.value.reason == "not_same_person"
    with office_in(tmp_path, "sface") as office:
        problems = office.enrollment.reencode(lambda *_: None)
        assert problems == [
            f"enrollment {row.id}: its photo is not stored; enroll the person again"
        ]


def test_encodings_need_the_engine_that_made_them(office: EnrollmentContext) -> None:
    before = state_of(office)
    with pytest.raises(EnrollmentRefused, match="engine: dlib") as refused:
        office.enrollment.enroll_as("A1", {}, np.ones(128, np.float32), "eve")
    assert refused.value.reason == "other_model"
    assert state_of(office) == before
