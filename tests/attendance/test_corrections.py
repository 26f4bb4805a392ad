"""Corrections in the journal and in the log, and what verifying makes of tampering with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from gated.attendance import attendance_store
from gated.attendance.correction_store import (
    ManualPunch,
    NewValues,
    correction_entry,
    manual_entry,
    versions,
)
from gated.core.values import Direction, Instant
from gated.database.records import AttendanceRow, Person
from gated.errors import Conflict, NotFound
from gated.journal.journal import Entry, Journal
from gated.people import person_store
from gated.vault.sealing import Keys
from tests.people.people import NOW, add_person, entry

LATER = Instant(NOW.mono + 60, NOW.utc + 60)
PASSED = datetime.fromtimestamp(NOW.utc, UTC) - timedelta(hours=2, microseconds=1)


@pytest.fixture
def ada(journal: Journal) -> Person:
    with journal.db.write() as session:
        return add_person(session)


def row(journal: Journal, id_: int | None) -> AttendanceRow:
    assert id_ is not None
    with journal.db.read() as session:
        return attendance_store.get(session, id_)


def correction(old: AttendanceRow, person: Person | None, status: str = "granted") -> Entry:
    new = NewValues(person=person, passed_at=PASSED, direction="exit", status=status)
    return correction_entry(LATER, old, new, actor="boss", cause="was elsewhere")


def corrected(journal: Journal, person: Person) -> tuple[AttendanceRow, AttendanceRow]:
    """A row and the one in its place."""
    old = row(journal, journal.append([entry(person.ref)])[0].attendance_id)
    new = row(journal, journal.append([correction(old, person)])[0].attendance_id)
    return row(journal, old.id), new


def test_a_correction_is_a_row_of_its_own(journal: Journal, ada: Person) -> None:
    old, new = corrected(journal, ada)
    assert (old.superseded_by, new.superseded_by) == (new.id, None)
    assert (new.created_at, new.direction, new.reason) == (PASSED, "exit", "corrected")
    kept = ("person_id", "gate_name", "camera_name", "site", "confidence_score", "score", "frames")
    assert [getattr(new, k) for k in kept] == [getattr(old, k) for k in kept]
    assert journal.verify().ok
    with journal.db.read() as session:
        assert attendance_store.list_(session) == [new]
        first, second = versions(session, new.id)
        assert versions(session, old.id) == [first, second]
    assert (first.row, first.author, first.cause) == (old, None, None)
    assert (second.row, second.author, second.cause) == (new, "boss", "was elsewhere")
    assert second.made_at.timestamp() == LATER.utc


def test_nothing_personal_of_it_is_in_the_chain(journal: Journal, ada: Person) -> None:
    corrected(journal, ada)
    with journal.db.read() as session:
        text = "".join(session.execute(sa.text("SELECT body FROM journal")).scalars())
    assert not any(word in text for word in ("boss", "elsewhere", ada.last_name))


def test_a_row_is_corrected_once(journal: Journal, ada: Person) -> None:
    old, new = corrected(journal, ada)
    with pytest.raises(Conflict):
        journal.append([correction(old, ada)])
    nowhere = correction(replace(new, seq=99), ada)
    with pytest.raises(Conflict):
        journal.append([nowhere])
    with pytest.raises(Conflict):  # not even twice in one batch
        journal.append([correction(new, ada), correction(new, ada)])
    assert journal.verify().ok
    journal.append([correction(new, ada, "void")])
    assert journal.verify().ok


def test_a_chain_begun_later_corrects_rows_of_the_one_before(
    journal: Journal, ada: Person, keys: Keys
) -> None:
    old = row(journal, journal.append([entry(ada.ref)])[0].attendance_id)
    journal.head_file.unlink()
    again = Journal(journal.db, keys.signer, journal.head_file)
    (receipt,) = again.append([correction(old, ada)])
    assert receipt.chain != old.chain
    (lost,) = again.verify().problems  # nothing but the head file
    assert (lost.chain, lost.seq) == (receipt.chain, 1)
    assert "head_missing" in lost.what
    again.acknowledge(LATER, "Grace", "the disk was replaced")
    found = again.verify()
    assert (found.ok, found.first_problem) == (True, None)


def test_a_punch_by_hand_says_so(journal: Journal, ada: Person) -> None:
    punch = ManualPunch(
        person=ada, passed_at=PASSED, direction=Direction.EXIT, gate="north", site="works"
    )
    by_hand = manual_entry(LATER, punch, actor="boss", cause="forgot")
    made = row(journal, journal.append([by_hand])[0].attendance_id)
    assert (made.person_id, made.created_at, made.method) == (ada.id, PASSED, "manual")
    assert journal.verify().ok
    with journal.db.read() as session:
        assert attendance_store.same_punch(session, ada.id, PASSED, "exit") == made.id
        assert attendance_store.same_punch(session, ada.id, PASSED, "entry") is None


def test_an_erasure_takes_the_cause_along(journal: Journal, ada: Person) -> None:
    _, new = corrected(journal, ada)
    with journal.db.write() as session:
        journal.erase_person(session, LATER, ada.uid, "on request")
        person_store.delete(session, ada.id)
    assert journal.verify().ok
    with journal.db.read() as session:
        version = versions(session, new.id)[1]
    assert (version.row.person_id, version.author, version.cause) == (None, "boss", None)


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("UPDATE attendance_logs SET superseded_by = NULL", "row 2: .*superseded_by"),
        ("UPDATE attendance_logs SET superseded_by = id WHERE seq = 4", "row 4: .*superseded_by"),
        ("UPDATE attendance_logs SET superseded_by = 3 WHERE seq = 2", "row 2: .*superseded_by"),
        ("UPDATE attendance_logs SET direction = 'entry' WHERE seq = 3", "row 3: .*direction"),
        ("UPDATE attendance_logs SET created_at = recorded_at WHERE seq = 3", "row 3: .*created_"),
    ],
)
def test_tampering_with_corrections_is_found(
    journal: Journal, ada: Person, tampering: str, told: str
) -> None:
    corrected(journal, ada)
    journal.append([entry(ada.ref)])
    tampered(journal, tampering)
    found = journal.verify()
    assert not found.ok
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(str(found.first_problem))


def test_a_row_that_was_taken_away_is_missed(journal: Journal, ada: Person) -> None:
    corrected(journal, ada)
    tampered(journal, "DELETE FROM attendance_logs WHERE seq = 2")
    assert "row 2: its row of the attendance log is missing" in str(journal.verify().first_problem)


def test_a_correction_of_what_never_was_is_found(journal: Journal, ada: Person) -> None:
    with journal.db.write() as session:  # a gate that was made to do so, between two rows
        (receipt,) = journal.append([entry(ada.ref)], session)
        invented = attendance_store.get(session, receipt.attendance_id or 0)
        session.execute(sa.text("UPDATE attendance_logs SET seq = 99"))
        journal.append([correction(replace(invented, seq=99), ada)], session)
        back = "UPDATE attendance_logs SET seq = 2, superseded_by = NULL WHERE seq = 99"
        session.execute(sa.text(back))
    found = str(journal.verify().first_problem)
    assert found.endswith("row 3: it corrects a row that is not there")


def test_a_row_of_the_log_behind_the_end_ends_the_chain(journal: Journal, ada: Person) -> None:
    """The correction of what never was is told of all the same, behind the first strange row."""
    (receipt,) = journal.append([entry(ada.ref)])
    invented = row(journal, receipt.attendance_id)
    tampered(journal, "UPDATE attendance_logs SET seq = 99")
    (later,) = journal.append([correction(replace(invented, seq=99), ada)])
    tampered(journal, "UPDATE attendance_logs SET seq = 2, superseded_by = NULL WHERE seq = 99")
    broken, never = journal.verify().problems
    assert (broken.chain, broken.seq) == (later.chain, 1)
    assert "(unsealed)" in broken.what
    assert (never.chain, never.seq) == (later.chain, later.seq)
    assert never.what == "it corrects a row that is not there"


def test_a_second_correction_that_was_slipped_in_is_found(journal: Journal, ada: Person) -> None:
    old, new = corrected(journal, ada)
    tampered(journal, "UPDATE attendance_logs SET superseded_by = NULL")
    journal.append([correction(old, ada)])
    back = "UPDATE attendance_logs SET superseded_by = :new WHERE id = :old"
    tampered(journal, back, new=new.id, old=old.id)
    found = str(journal.verify().first_problem)
    assert found.endswith("row 4: it corrects a row that was corrected before")


def tampered(journal: Journal, statement: str, **values: int) -> None:
    with journal.db.write() as session:
        session.execute(sa.text(statement), values)


def test_a_ring_of_corrections_ends(journal: Journal, ada: Person) -> None:
    old, new = corrected(journal, ada)
    with journal.db.write() as session:
        ring = sa.text("UPDATE attendance_logs SET superseded_by = :old WHERE id = :new")
        session.execute(ring, {"old": old.id, "new": new.id})
    assert not journal.verify().ok
    with journal.db.read() as session:
        assert len(versions(session, old.id)) <= 3
        with pytest.raises(NotFound):
            versions(session, 999)
