"""Alarms as people see them: listed, and acknowledged with a name in the journal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from gated.core.model import Acknowledged, DoorMode, Event, Restored
from gated.devices.clock import SystemClock
from gated.errors import Conflict
from gated.ports import Clock
from gated.services.workspace import Workspace
from gated.storage import alarms
from gated.storage.alarms import Alarm
from gated.storage.journal import Entry, last_body

__all__ = ["Alarm", "Alarms", "before_restart"]


class Alarms:
    """The alarms of a workspace. tell: hands the running gate an event."""

    def __init__(
        self, workspace: Workspace, tell: Callable[[Event], None], clock: Clock | None = None
    ) -> None:
        self._workspace = workspace
        self._tell = tell
        self._clock = clock or SystemClock()

    def list_(self, *, standing: bool | None = None, limit: int = 200) -> list[Alarm]:
        """The newest first; standing: only those that nobody has acknowledged, or somebody has."""
        with self._workspace.database.read() as session:
            return alarms.list_(session, standing=standing, limit=limit)

    def acknowledge(self, id_: int, *, actor: str, note: str | None = None) -> Alarm:
        """Somebody has seen to it; NotFound, Conflict when somebody had before."""
        now = self._clock.now()
        with self._workspace.database.write() as session:
            found = alarms.get(session, id_)
            if found.acknowledged_at is not None:
                raise Conflict(f"alarm {id_} was acknowledged already")
            by = {"name": actor} | ({"cause": note} if note else {})
            entry = Entry(now, "alarm_acknowledged", {"kind": found.kind}, {"actor": by})
            (receipt,) = self._workspace.journal.append([entry], session)
            at = datetime.fromtimestamp(now.utc, UTC)
            alarms.acknowledge(session, id_, at, receipt.chain, receipt.seq)
            after = alarms.get(session, id_)
        self._tell(Acknowledged(found.kind))
        return after


def before_restart(workspace: Workspace) -> Restored:
    """What held when the program ended: the door's mode, and alarms nobody has acknowledged."""
    with workspace.database.read() as session:
        told = last_body(session, "door_mode") or {}
        standing = alarms.list_(session, standing=True)
    mode = DoorMode(told.get("mode", DoorMode.NORMAL))
    return Restored(mode, {alarm.kind: alarm.severity for alarm in standing})
