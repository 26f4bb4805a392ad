"""Alarms from the journal to the operator who acknowledges them, and over a restart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from gated.access.last_punches import last_punches
from gated.core.messages import AlarmsAcknowledged, Event, RecordEvent, Restored
from gated.core.mode_end import ModeEnd, written
from gated.core.values import DoorMode, Instant
from gated.database.tables import journal, settings
from gated.devices.clock import ManualClock, SystemClock
from gated.door.alarms import Alarms, before_restart
from gated.door.door_memory import DoorMemory, Remembered, remembered
from gated.errors import Conflict, NotFound
from gated.journal import erasure_ledger
from gated.link.status_board import StatusBoard
from gated.live.journal_review import JournalReview
from gated.live.journal_watch import LogWatch
from gated.live.recording import Recorder
from gated.workspace import Workspace
from tests.people.people import add_person, entry
from tests.storage import forger

NOW = Instant(100.0, 1_800_000_000.0)
LATER = Instant(160.0, 1_800_000_060.0)


@pytest.fixture
def recorder(workspace: Workspace) -> Recorder:
    return Recorder(workspace, workspace.settings)


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def alarms(workspace: Workspace, told: list[Event]) -> Alarms:
    return Alarms(workspace, told.append, ManualClock())


def test_news_is_no_alarm(alarms: Alarms, recorder: Recorder) -> None:
    recorder.append([RecordEvent(NOW, "door_rex")])
    assert alarms.list_() == []


def test_what_happens_again_is_counted(alarms: Alarms, recorder: Recorder) -> None:
    recorder.append([RecordEvent(NOW, "door_forced", {"detail": "x"}, "alarm")])
    recorder.append([RecordEvent(LATER, "door_forced", {"detail": "y"}, "alarm")])
    (alarm,) = alarms.list_()
    assert (alarm.kind, alarm.severity, alarm.count) == ("door_forced", "alarm", 2)
    assert (alarm.raised_at.timestamp(), alarm.last_at.timestamp()) == (NOW.utc, LATER.utc)
    assert alarm.detail == {"detail": "y"}


def test_who_acknowledges_is_named_and_the_gate_is_told(
    alarms: Alarms, recorder: Recorder, told: list[Event], workspace: Workspace
) -> None:
    recorder.append([RecordEvent(NOW, "door_forced", severity="alarm")])
    (alarm,) = alarms.list_(standing=True)
    after = alarms.acknowledge(alarm.id, actor="eve", note="the wind")
    assert after.acknowledged_by == "eve"
    assert after.acknowledged_at is not None
    assert told == [AlarmsAcknowledged("door_forced")]
    assert alarms.list_(standing=True) == []
    assert alarms.list_(standing=False) == [after]
    with pytest.raises(Conflict):
        alarms.acknowledge(alarm.id, actor="eve")
    with pytest.raises(NotFound):
        alarms.acknowledge(2**70, actor="eve")
    assert workspace.journal.verify().ok


def test_after_it_was_acknowledged_it_is_another_one(alarms: Alarms, recorder: Recorder) -> None:
    recorder.append([RecordEvent(NOW, "door_forced", severity="alarm")])
    alarms.acknowledge(alarms.list_()[0].id, actor="eve")
    recorder.append([RecordEvent(LATER, "door_forced", severity="alarm")])
    assert [(a.count, a.acknowledged_by) for a in alarms.list_()] == [(1, None), (1, "eve")]


def test_what_held_before_the_restart(workspace: Workspace, recorder: Recorder) -> None:
    assert before_restart(workspace) == Restored()
    modes = [DoorMode.OUT_OF_SERVICE, DoorMode.LOCKDOWN]
    recorder.append([RecordEvent(NOW, "door_mode", {"mode": str(mode)}) for mode in modes])
    recorder.append([RecordEvent(NOW, "door_tamper", severity="alarm")])
    assert before_restart(workspace) == Restored(DoorMode.LOCKDOWN, {"door_tamper": "alarm"})


@pytest.mark.parametrize("boot", ["the same", "another"])
def test_the_end_of_a_mode_holds_over_a_restart(
    workspace: Workspace, recorder: Recorder, boot: str
) -> None:
    until = NOW.utc + 3600
    body = {"mode": "lockdown", "until": written(until)}
    recorder.append([RecordEvent(NOW, "door_mode", body)])
    if boot == "another":
        workspace.journal.boot = "after a power cut"
    due = NOW.mono + 3600 if boot == "the same" else None
    assert before_restart(workspace) == Restored(DoorMode.LOCKDOWN, end=ModeEnd(until, due))


def set_to(mode: str, at: Instant = NOW, **body: str) -> RecordEvent:
    return RecordEvent(at, "door_mode", {"mode": mode, **body})


def test_a_lockdown_that_the_log_did_not_take_holds_over_a_restart(
    workspace: Workspace, recorder: Recorder
) -> None:
    state_dir = workspace.settings.storage.state_dir
    recorder.append([set_to("out_of_service")])
    until = written(NOW.utc + 3600)
    before = DoorMemory(state_dir, workspace.journal.boot)
    before.prepare()
    before.keep([set_to("lockdown", LATER, until=until)])
    end = ModeEnd(NOW.utc + 3600, LATER.mono + NOW.utc + 3600 - LATER.utc)
    kept = Restored(DoorMode.LOCKDOWN, end=end, unlogged=True)
    assert before_restart(workspace) == kept

    after, again = DoorMemory(state_dir, "a"), set_to("lockdown", LATER, until=until)
    after.keep([again])
    after.recorded([set_to("lockdown", LATER, until=until)])
    assert before_restart(workspace).unlogged, "another record was written, not this one"
    recorder.append([again])
    after.recorded([again])
    assert remembered(state_dir) == Remembered()
    assert before_restart(workspace) == Restored(DoorMode.LOCKDOWN, end=end)


def test_a_lockdown_that_was_ended_while_the_log_failed_does_not_come_back(
    workspace: Workspace,
) -> None:
    memory = DoorMemory(workspace.settings.storage.state_dir, workspace.journal.boot)
    memory.prepare()
    memory.keep([set_to("lockdown")])
    memory.keep([set_to("normal", LATER)])
    assert before_restart(workspace) == Restored()


def test_an_older_lockdown_in_the_file_yields_to_the_log(
    workspace: Workspace, recorder: Recorder
) -> None:
    memory = DoorMemory(workspace.settings.storage.state_dir, workspace.journal.boot)
    memory.prepare()
    memory.keep([set_to("lockdown")])
    recorder.append([set_to("normal", LATER)])
    assert before_restart(workspace) == Restored()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"mode": {"x": 1}, "fire": 1}'])
def test_a_file_that_cannot_be_read_is_said_in_the_log(
    workspace: Workspace, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    state_dir = workspace.settings.storage.state_dir
    (state_dir / "door-memory").write_text(text)
    assert before_restart(workspace) == Restored()
    assert "what the door had to remember cannot be read" in caplog.text
    memory = DoorMemory(state_dir, "a")
    memory.prepare()
    memory.keep([RecordEvent(NOW, "door_fire")])
    assert remembered(state_dir).fire
    memory.keep([RecordEvent(NOW, "door_fire_cleared")])
    assert remembered(state_dir) == Remembered()
    assert (state_dir / "door-memory").stat().st_size == 512


def test_a_gate_that_was_only_named_misses_no_rows(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.journal.gate_uid()
    assert before_restart(workspace) == Restored()
    assert caplog.records == []
    (workspace.settings.storage.state_dir / "journal.head").write_text("of somebody else")
    before_restart(workspace)
    assert "are missing" in caplog.text


def chain_of(workspace: Workspace) -> str:
    return f"{workspace.journal.gate_uid()}/1"


@pytest.mark.parametrize("how", ["no seal", "seal of another key", "altered", "another journal"])
def test_a_mode_that_the_gate_has_not_sealed_opens_no_door(
    workspace: Workspace, recorder: Recorder, how: str
) -> None:
    recorder.append([RecordEvent(NOW, "door_mode", {"mode": "lockdown"})])
    recorder.append([RecordEvent(NOW, "door_held", {"mode": "free_access"})])
    opened, chain = {"mode": "free_access"}, chain_of(workspace)
    with workspace.database.write() as session:
        if how == "altered":
            there = journal.c.kind == "door_held"
            session.execute(sa.update(journal).where(there).values(kind="door_mode"))
        elif how == "another journal":
            first = sa.select(journal).where(journal.c.seq == 1)
            row = dict(session.execute(first).mappings().one())
            session.execute(sa.insert(journal).values({**row, "chain": "other/1"}))
            forger.forge(session, "other/1", "door_mode", opened, sealed=True)
            value = {"gate": "other", "epoch": 1}
            there = settings.c.key == "journal_identity"
            session.execute(sa.update(settings).where(there).values(value=value))
        else:
            forger.forge(session, chain, "door_mode", opened, sealed=how != "no seal")
    with Workspace(workspace.settings) as restarted:
        assert before_restart(restarted).mode == DoorMode.LOCKDOWN


@pytest.mark.parametrize("how", ["deleted", "another kind"])
@pytest.mark.parametrize("before", [DoorMode.FREE_ACCESS, DoorMode.OUT_OF_SERVICE])
def test_an_older_mode_does_not_come_back_when_the_newest_row_is_gone(
    workspace: Workspace, recorder: Recorder, how: str, before: DoorMode
) -> None:
    for mode in (before, DoorMode.LOCKDOWN):
        recorder.append([RecordEvent(NOW, "door_mode", {"mode": str(mode)})])
    recorder.append([RecordEvent(NOW, "door_held")])
    assert before_restart(workspace).mode == DoorMode.LOCKDOWN
    LogWatch(workspace, StatusBoard(), SystemClock()).look()  # it was verified before
    with workspace.database.write() as session:
        newest = journal.c.kind == "door_mode", journal.c.seq == 3
        if how == "deleted":
            session.execute(sa.delete(journal).where(*newest))
        else:
            session.execute(sa.update(journal).where(*newest).values(kind="door_held"))
    with Workspace(workspace.settings) as restarted:
        kept = DoorMode.NORMAL if before is DoorMode.FREE_ACCESS else before
        assert before_restart(restarted).mode == kept
        board = StatusBoard()
        watch = LogWatch(restarted, board, SystemClock())
        for _ in range(2):
            watch.look()
            assert "row 3" in board.snapshot().journal_problem
            assert "journal_broken" in before_restart(restarted).alarms
        JournalReview.of(restarted).acknowledge(actor="Grace", reason="seen")
        assert watch.look()
    with Workspace(workspace.settings) as restarted:
        assert LogWatch(restarted, StatusBoard(), SystemClock()).look(), "it was acknowledged"


def test_a_cut_that_the_gate_has_not_sealed_opens_no_door(
    workspace: Workspace, recorder: Recorder
) -> None:
    recorder.append([RecordEvent(NOW, "door_forced")])
    chain = chain_of(workspace)
    with workspace.database.write() as session:
        state = {"state": {"door_mode": {"mode": "free_access"}}}
        cut = {"chain": chain, "seq": 0, "hash": "0" * 64, "key": "", "rows": 0}
        forger.forge(session, chain, "pruned", {**cut, "unacknowledged": 0, **state})
    assert before_restart(workspace).mode == DoorMode.NORMAL


def test_nobody_passes_is_forgiven_or_erased_by_a_row_without_a_seal(
    workspace: Workspace, recorder: Recorder
) -> None:
    recorder.append([RecordEvent(NOW, "door_held")])
    chain, journal_ = chain_of(workspace), workspace.journal
    soon = Instant(NOW.mono, NOW.utc - 7.5 * 3600)  # forged rows are dated eight hours before
    with workspace.database.write() as session:
        person = add_person(session)
        whom = {"person_id": person.id, "uid": person.uid}
        forger.forge(session, chain, "presence_forgiven", {"everybody": True})
    assert last_punches(workspace, soon).forgiven == {}
    with workspace.database.write() as session:
        forger.forge(session, chain, "decision", dict(entry(person.ref).body), whom, sealed=True)
        forger.forge(session, chain, "person_erased", {"person": person.uid, "enrollments": 0})
    assert last_punches(workspace, soon).punches == {}
    with workspace.database.read() as session:
        assert erasure_ledger.erased_in_journal(session, proof=journal_.proves) == frozenset()
        assert erasure_ledger.erased_in_journal(session) == {person.uid}
    journal_.append([replace(entry(person.ref), at=soon)])
    told = last_punches(workspace, Instant(soon.mono + 1, soon.utc + 1))
    assert told.punches.keys() == {person.id}, "what it has sealed counts"
