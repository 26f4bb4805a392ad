"""Persons: each change with its journal entry, or none of both."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gated.database.records import Person
from gated.devices.clock import ManualClock
from gated.enrollment import enrollment_store
from gated.errors import ChangedMeanwhile, Conflict, NotFound
from gated.people.people import People
from gated.people.schemas import PersonChange, PersonIn, PersonOut
from gated.workspace import Workspace
from tests.changes import done_by

ANNA = {"first_name": "Anna", "last_name": "Arendt", "personnel_code": "E1", "email": "a@b.org"}


@pytest.fixture
def people(workspace: Workspace) -> People:
    return People(workspace, ManualClock())


def journal(workspace: Workspace) -> list[tuple[str, str]]:
    """(kind, body) of what was told about persons."""
    with workspace.database.read() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT kind, body FROM journal WHERE kind LIKE 'person%' ORDER BY seq"
        )
        return [(str(row[0]), str(row[1])) for row in rows]


def test_a_person_lives_and_every_change_is_told(people: People, workspace: Workspace) -> None:
    person = done_by("eve", people.create, ANNA)
    done_by("eve", people.update, person.id, {"position": "Lead", "first_name": "Anna"})
    done_by("eve", people.set_active, person.id, False)
    done_by("eve", people.set_active, person.id, None)
    assert people.get(person.id).is_active
    assert people.by_code("E1").position == "Lead"
    kinds = [kind for kind, _ in journal(workspace)]
    assert kinds == [
        "person_created",
        "person_changed",
        "person_deactivated",
        "person_activated",
    ]
    assert '"fields":["position"]' in journal(workspace)[1][1]
    assert workspace.journal.verify().ok


def test_the_journal_s_bodies_hold_no_personal_data(people: People, workspace: Workspace) -> None:
    person = done_by("eve", people.create, ANNA)
    done_by("eve", people.update, person.id, {"last_name": "Secretname"})
    told = str(journal(workspace))
    assert person.uid in told
    for word in ("Anna", "Arendt", "Secretname", "E1", "a@b.org", "eve"):
        assert word not in told


def test_a_change_to_what_it_is_already_is_none(people: People, workspace: Workspace) -> None:
    person = done_by("eve", people.create, ANNA)
    assert done_by("eve", people.update, person.id, {"email": "a@b.org"}) == person
    assert done_by("eve", people.set_active, person.id, True) == person
    assert len(journal(workspace)) == 1


def test_a_refused_change_leaves_no_trace(people: People, workspace: Workspace) -> None:
    done_by("eve", people.create, ANNA)
    other = done_by("eve", people.create, {**ANNA, "personnel_code": "E2", "email": None})
    told = journal(workspace)
    with pytest.raises(Conflict):
        done_by("eve", people.create, ANNA)
    with pytest.raises(Conflict):
        done_by("eve", people.update, other.id, {"personnel_code": "E1"})
    with pytest.raises(ChangedMeanwhile):
        done_by("eve", people.update, other.id, {"position": "x"}, versions={other.version + 1})
    with pytest.raises(ChangedMeanwhile):
        done_by("eve", people.set_active, other.id, False, versions={other.version + 1})
    for call in (people.get, people.with_enrollments):
        with pytest.raises(NotFound):
            call(999)
    with pytest.raises(NotFound):
        people.by_code("E9")
    with pytest.raises(NotFound):
        done_by("eve", people.delete, 999)
    assert people.get(other.id) == other
    assert journal(workspace) == told


def test_erasure_removes_files_and_names_and_gives_a_receipt(
    people: People, workspace: Workspace, tmp_path: Path
) -> None:
    person = done_by("eve", people.create, ANNA)
    image = workspace.files.save_image(b"jpeg")
    encoding = workspace.files.save_encoding(np.ones(4, np.float32), "model")
    with workspace.database.write() as session:
        enrollment_store.add(
            session,
            enrollment_store.NewEnrollment(
                person_id=person.id,
                face_image_path=image,
                face_encoding_path=encoding,
                confidence_score=0.9,
                model="model",
            ),
        )
    assert len(people.with_enrollments(person.id)[1]) == 1
    receipt = done_by("eve", people.delete, person.id)
    assert (receipt.person_id, receipt.uid, receipt.files) == (person.id, person.uid, 2)
    assert receipt.redacted_rows > 0
    assert [p for p in (tmp_path / "uploads").rglob("*") if p.is_file()] == []
    with pytest.raises(NotFound):
        people.get(person.id)
    assert workspace.journal.verify().ok
    with workspace.database.read() as session:
        found = session.connection().exec_driver_sql(
            "SELECT seq, hash FROM journal WHERE kind = 'person_erased'"
        )
        assert found.all() == [(receipt.seq, receipt.hash)]
    database = b"".join(f.read_bytes() for f in tmp_path.glob("attendance.db*"))
    for trace in (b"Arendt", b"a@b.org"):
        assert trace not in database


def test_no_field_of_a_person_is_forgotten_in_a_body() -> None:
    record = {field.name for field in dataclasses.fields(Person)}
    assert PersonOut.model_fields.keys() == record - {"version"}
    counted = {"id", "uid", "version", "created_at", "updated_at"}
    assert PersonChange.model_fields.keys() == record - counted
    assert PersonIn.model_fields.keys() == (record - counted - {"is_active"}) | {"groups"}
