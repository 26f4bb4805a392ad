"""Alarms from the journal to the operator who acknowledges them, and over a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gated.config import Settings, StorageSettings
from gated.core.model import Acknowledged, DoorMode, Event, Instant, RecordEvent, Restored
from gated.devices.clock import ManualClock
from gated.errors import Conflict, NotFound
from gated.services.alarms import Alarms, before_restart
from gated.services.recording import Recorder
from gated.services.workspace import Workspace

NOW = Instant(100.0, 1_800_000_000.0)
LATER = Instant(160.0, 1_800_000_060.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(Settings(storage=StorageSettings(state_dir=tmp_path))) as workspace:
        yield workspace


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
    assert told == [Acknowledged("door_forced")]
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
