"""What the gate decides and sees, as it stands in the journal and the attendance log."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gated.attendance import attendance_store
from gated.config import CameraSettings, GateSettings, Settings, StorageSettings
from gated.core.messages import Decision, RecordDecision, RecordEvent
from gated.core.values import Direction, Instant, Method, Outcome, Reason
from gated.live.recording import Recorder
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by

NOW = Instant(100.0, 1_800_000_000.0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        gate=GateSettings(name="north", site="works"),
        camera=CameraSettings(name="above the door", source="demo"),
        storage=StorageSettings(state_dir=tmp_path),
    )


@pytest.fixture
def recorder(workspace: Workspace) -> Recorder:
    return Recorder(workspace, workspace.settings)


def journal(workspace: Workspace) -> list[tuple[str, dict[str, object]]]:
    with workspace.database.read() as session:
        found = session.connection().exec_driver_sql("SELECT kind, body FROM journal ORDER BY seq")
        return [(row[0], json.loads(row[1])) for row in found]


def test_decisions_become_attendance_of_this_gate(workspace: Workspace, recorder: Recorder) -> None:
    anna = done_by(
        "eve", People.of(workspace).create, {"personnel_code": "E1", "first_name": "Anna"}
    )
    granted = Decision(
        NOW, Outcome.GRANTED, Reason.GRANTED, anna.ref, 0.8, frames=3, direction=Direction.EXIT
    )
    denied = Decision(NOW, Outcome.DENIED, Reason.NO_MATCH, confidence=0.1)
    recorder.append([RecordDecision(granted), RecordDecision(denied)])
    with workspace.database.read() as session:
        rows = attendance_store.list_(session)
    by_status = {row.status: row for row in rows}
    one, other = by_status["granted"], by_status["denied"]
    assert (one.person_id, one.direction, one.confidence_score) == (anna.id, "exit", 0.8)
    assert (other.person_id, other.reason) == (None, "no_match")
    for row in rows:
        assert (row.gate_name, row.camera_name, row.site) == ("north", "above the door", "works")
        assert row.created_at.timestamp() == NOW.utc
    assert workspace.journal.verify().ok
    assert "Anna" not in str(journal(workspace))


def test_a_refusal_names_its_rule_and_a_grant_all_that_was_shown(
    workspace: Workspace, recorder: Recorder
) -> None:
    rule, factors = "schedule office", (Method.CARD, Method.FACE)
    refused = Decision(NOW, Outcome.DENIED, Reason.OUTSIDE_SCHEDULE, rule=rule)
    granted = Decision(NOW, Outcome.GRANTED, Reason.GRANTED, method=Method.CARD, factors=factors)
    recorder.append([RecordDecision(refused), RecordDecision(granted)])
    with workspace.database.read() as session:
        told = {row.reason: (row.method, row.rule) for row in attendance_store.list_(session)}
    assert told == {"outside_schedule": ("face", rule), "granted": ("card", None)}
    bodies = [body for kind, body in journal(workspace) if kind == "decision"]
    assert [body["factors"] for body in bodies] == [[], ["card", "face"]]
    assert workspace.journal.verify().ok


def test_whom_an_event_speaks_of_is_private(workspace: Workspace, recorder: Recorder) -> None:
    anna = done_by(
        "eve", People.of(workspace).create, {"personnel_code": "E1", "first_name": "Anna"}
    )
    recorder.append([RecordEvent(NOW, "presence_forgiven", {"people": 1}, subject=anna.ref)])
    with workspace.database.read() as session:
        wanted = "SELECT payload FROM journal_private WHERE role = 'subject' ORDER BY seq DESC"
        payload = session.connection().exec_driver_sql(wanted).scalar()
    assert json.loads(str(payload))["person_id"] == anna.id
    assert "Anna" not in str(journal(workspace))


def test_why_somebody_was_forgiven_goes_with_the_person(
    workspace: Workspace, recorder: Recorder
) -> None:
    people = People.of(workspace)
    anna = done_by("eve", people.create, {"personnel_code": "E1", "first_name": "Anna"})
    why = "Anna fainted"
    recorder.append(
        [
            RecordEvent(NOW, "presence_forgiven", {}, actor="eve", subject=anna.ref, cause=why),
            RecordEvent(NOW, "door_remote_unlock", {}, actor="eve", cause="parcel"),
        ]
    )
    wanted = "SELECT role, payload FROM journal_private WHERE payload LIKE '%eve%'"
    with workspace.database.read() as session:
        actors = [json.loads(r[1]) for r in session.connection().exec_driver_sql(wanted)]
        everything = "SELECT payload FROM journal_private"
        assert why in str(session.connection().exec_driver_sql(everything).all())
    assert {"name": "eve"} in actors, "an actor is an actor"
    assert {"name": "eve", "cause": "parcel"} in actors
    done_by("eve", people.delete, anna.id)
    with workspace.database.read() as session:
        left = str(
            session.connection().exec_driver_sql("SELECT payload FROM journal_private").all()
        )
    assert "fainted" not in left
    assert "parcel" in left
    assert workspace.journal.verify().ok


def test_events_carry_their_severity_and_hide_who_acted(
    workspace: Workspace, recorder: Recorder
) -> None:
    recorder.append(
        [
            RecordEvent(NOW, "door_forced", {"contact": 1}, "alarm"),
            RecordEvent(NOW, "remote_unlock", {}, actor="eve"),
        ]
    )
    events = dict(journal(workspace)[-2:])
    assert events["door_forced"] == {"contact": 1, "severity": "alarm", "gate": "north"}
    assert events["remote_unlock"] == {"severity": "info", "gate": "north"}
    with workspace.database.read() as session:
        private = session.connection().exec_driver_sql("SELECT role, payload FROM journal_private")
        assert [(r[0], json.loads(r[1])) for r in private] == [("actor", {"name": "eve"})]
    assert workspace.journal.verify().ok


def test_a_batch_is_written_whole_or_not_at_all(
    workspace: Workspace, recorder: Recorder, tmp_path: Path
) -> None:
    recorder.append([RecordEvent(NOW, "first")])
    before = journal(workspace)
    with sqlite3.connect(tmp_path / "attendance.db") as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON attendance_logs "
            "BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    database.close()
    denied = Decision(NOW, Outcome.DENIED, Reason.NO_MATCH)
    with pytest.raises(Exception, match="full"):
        recorder.append([RecordEvent(NOW, "second"), RecordDecision(denied)])
    assert journal(workspace) == before
    assert workspace.journal.verify().ok


def granted_to(workspace: Workspace, recorder: Recorder, visit: int = 1) -> int:
    """The id of the row of somebody who was let in."""
    fields = {"personnel_code": f"E{visit}", "first_name": "Anna"}
    anna = done_by("eve", People.of(workspace).create, fields)
    granted = Decision(NOW, Outcome.GRANTED, Reason.GRANTED, anna.ref, 0.8, frames=3, visit=visit)
    recorder.append([RecordDecision(granted)])
    with workspace.database.read() as session:
        return attendance_store.list_(session, person_id=anna.id)[0].id


def status_of(workspace: Workspace, id_: int) -> str:
    with workspace.database.read() as session:
        return attendance_store.get(session, id_).status


def test_a_grant_that_was_not_used_says_so_in_the_log(
    workspace: Workspace, recorder: Recorder
) -> None:
    one, other = (granted_to(workspace, recorder, visit) for visit in (1, 2))
    recorder.append([RecordEvent(NOW, "passed", {"visit": 1})])
    recorder.append([RecordEvent(NOW, "not_used", {"visit": 2})])
    assert (status_of(workspace, one), status_of(workspace, other)) == (
        "granted",
        "granted_not_used",
    )
    assert workspace.journal.verify().ok


def test_a_grant_and_its_end_in_one_batch(workspace: Workspace, recorder: Recorder) -> None:
    anna = done_by("eve", People.of(workspace).create, {"personnel_code": "E1"})
    granted = Decision(NOW, Outcome.GRANTED, Reason.GRANTED, anna.ref, 0.8, visit=7)
    recorder.append([RecordDecision(granted), RecordEvent(NOW, "not_used", {"visit": 7})])
    with workspace.database.read() as session:
        assert [r.status for r in attendance_store.list_(session)] == ["granted_not_used"]
        assert attendance_store.last_punches(session, datetime(2020, 1, 1, tzinfo=UTC)) == {}
    assert workspace.journal.verify().ok


def test_visits_of_another_run_are_other_visits(workspace: Workspace, recorder: Recorder) -> None:
    row = granted_to(workspace, recorder)
    after_restart = Recorder(workspace, workspace.settings)
    after_restart.append([RecordEvent(NOW, "not_used", {"visit": 1})])
    assert status_of(workspace, row) == "granted"
    assert workspace.journal.verify().ok


@pytest.mark.parametrize("lie", ["granted", "granted_not_used"])
def test_a_log_that_lies_about_a_passage_is_found(
    workspace: Workspace, recorder: Recorder, tmp_path: Path, lie: str
) -> None:
    row = granted_to(workspace, recorder)
    if lie == "granted":
        recorder.append([RecordEvent(NOW, "not_used", {"visit": 1})])
    with sqlite3.connect(tmp_path / "attendance.db") as database:
        database.execute("UPDATE attendance_logs SET status = ? WHERE id = ?", (lie, row))
    database.close()
    problem = workspace.journal.verify().first_problem
    assert problem is not None
    assert "status" in problem.what
