"""Pages of the attendance log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.access.last_punches import last_punches
from gated.access.rules import Access
from gated.attendance.attendance import Attendance, Correction, read_cursor, write_cursor
from gated.config import AttendanceSettings, Settings, StorageSettings
from gated.core.messages import Decision, LastPunches, RecordEvent
from gated.core.values import Direction, Instant, Outcome, PersonRef, Reason
from gated.devices.clock import ManualClock
from gated.errors import NotFound, SourceError
from gated.journal.journal import decision_entry
from gated.live.recording import Recorder
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by

NOW = 1_800_000_000.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        storage=StorageSettings(state_dir=tmp_path), attendance=AttendanceSettings(auto_reset_h=10)
    )


def punch(
    workspace: Workspace, at: float, person: PersonRef | None = None, direction: str = "entry"
) -> None:
    decision = Decision(
        at=Instant(1000.0, at),
        outcome=Outcome.GRANTED if person else Outcome.DENIED,
        reason=Reason.GRANTED if person else Reason.NO_MATCH,
        person=person,
        direction=Direction(direction),
    )
    workspace.journal.append([decision_entry(decision, "north", "cam", "works")])


def test_pages_follow_each_other_without_gap_or_double(workspace: Workspace) -> None:
    for n in range(7):
        punch(workspace, NOW + n // 3)  # equal times, so that the id has to decide
    attendance = Attendance(workspace)
    everything = attendance.page().rows
    seen, cursor, sizes = [], None, []
    while True:
        page = attendance.page(limit=3, cursor=cursor)
        seen += page.rows
        sizes.append(len(page.rows))
        cursor = page.cursor
        if cursor is None:
            break
        punch(workspace, NOW + 100)  # what comes meanwhile is newer than all pages to come
    assert sizes == [3, 3, 1]
    assert seen == everything
    assert [r.id for r in seen] == [7, 6, 5, 4, 3, 2, 1]


def test_the_last_page_says_so(workspace: Workspace) -> None:
    for _ in range(3):
        punch(workspace, NOW)
    assert Attendance(workspace).page(limit=3).cursor is None
    assert Attendance(workspace).page(limit=2).cursor is not None


@given(
    st.datetimes(
        min_value=datetime(1970, 1, 1),  # noqa: DTZ001
        max_value=datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    st.integers(1, 2**63 - 1),
)
def test_a_cursor_names_its_place_exactly(at: datetime, id_: int) -> None:
    assert read_cursor(write_cursor(at, id_)) == (at, id_)


@given(st.text(max_size=40))
def test_any_other_cursor_is_refused_or_understood(text: str) -> None:
    try:
        at, id_ = read_cursor(text)
    except SourceError:
        return
    assert at.tzinfo is UTC
    assert -(2**63) <= id_ < 2**63


def test_only_punches_that_still_count_are_remembered(workspace: Workspace) -> None:
    people = People(workspace, ManualClock())
    anna, bert = (
        done_by("test", people.create, {"personnel_code": code}).ref for code in ("E1", "E2")
    )
    hour = timedelta(hours=1).total_seconds()
    punch(workspace, NOW - 11 * hour, bert)
    punch(workspace, NOW - 9 * hour, anna)
    punch(workspace, NOW - 1 * hour, anna, "exit")
    found = last_punches(workspace, Instant(1.0, NOW))
    assert found.punches == {anna.id: (Direction.EXIT, NOW - hour)}


def test_who_may_be_inside_for_longer_is_remembered_for_longer(workspace: Workspace) -> None:
    now = ManualClock(utc=NOW)
    anna = done_by("test", People(workspace, now).create, {"personnel_code": "E1"}).ref
    punch(workspace, NOW - 30 * 3600, anna)
    rules = {"anti_passback": "soft", "forgive_after_s": 48 * 3600.0}
    done_by("test", Access(workspace, now).set_site_rules, rules)
    found = last_punches(workspace, now.now())
    assert found.punches == {anna.id: (Direction.ENTRY, NOW - 30 * 3600)}


def test_who_was_forgiven_counts_as_outside_after_a_start(workspace: Workspace) -> None:
    now = ManualClock(utc=NOW)
    anna, bert = (
        done_by("test", People(workspace, now).create, {"personnel_code": code}).ref
        for code in ("E1", "E2")
    )
    recorder = Recorder(workspace, workspace.settings)

    def forgiven(ago: float, person: PersonRef | None, cause: str = "operator") -> None:
        at = Instant(1.0, NOW - ago)
        body = {"cause": cause, "people": 1, "everybody": person is None and cause != "time"}
        recorder.append([RecordEvent(at, "presence_forgiven", body, subject=person)])

    forgiven(99 * 3600, anna)
    forgiven(3600, None, "fire")
    forgiven(1800, bert)
    forgiven(60, None, "time")
    told = last_punches(workspace, now.now()).forgiven
    assert told == {None: NOW - 3600, bert.id: NOW - 1800}
    with workspace.database.write() as session:
        workspace.journal.erase_person(session, now.now(), bert.uid, "asked for")
    assert last_punches(workspace, now.now()).forgiven == {None: NOW - 3600}, "not everybody"


def test_the_gate_hears_of_whom_the_log_was_changed(workspace: Workspace) -> None:
    now, told = ManualClock(utc=NOW), list[LastPunches]()
    attendance = Attendance(workspace, now, told.append)
    people = People(workspace, now)
    ann, bob = (done_by("test", people.create, {"personnel_code": c}) for c in ("A", "B"))
    punch(workspace, NOW - 3600, ann.ref)
    punch(workspace, NOW - 60, ann.ref, "exit")
    newest = attendance.page().rows[0]
    why = "why not"
    to_bob = done_by("test", attendance.correct, newest.id, Correction(person_id=bob.id), cause=why)
    entry, exit_ = (Direction.ENTRY, NOW - 3600), (Direction.EXIT, NOW - 60)
    assert told.pop().punches == {ann.id: entry, bob.id: exit_}
    done_by("test", attendance.correct, to_bob.id, Correction(status="void"), cause=why)
    assert told.pop().punches == {bob.id: None}
    done_by("test", attendance.punch, bob.id, Direction.ENTRY, None, cause=why)
    last = told.pop()
    assert last.punches == {bob.id: (Direction.ENTRY, NOW)}
    assert last.complete_to is not None
    assert NOW - 60 < last.complete_to < NOW
    with pytest.raises(NotFound):
        done_by("test", attendance.punch, 999, Direction.ENTRY, None, cause=why)
    assert told == []
