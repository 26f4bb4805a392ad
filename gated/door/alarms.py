"""Lists alarms, and acknowledges them with a name in the journal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from gated.core.messages import AlarmsAcknowledged, Event, Restored
from gated.core.mode_end import ModeEnd
from gated.core.values import DoorMode, moment
from gated.door.door_memory import mode_of, remembered
from gated.errors import AlreadyDone
from gated.journal import alarm_store
from gated.journal.alarm_store import Alarm
from gated.journal.journal import LastRow
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

__all__ = ["Alarm", "Alarms", "before_restart"]


class Alarms:
    """The alarms of a workspace. post: hands the running gate an event."""

    def __init__(
        self, workspace: Workspace, post: Callable[[Event], None], clock: Clock | None = None
    ) -> None:
        self._workspace = workspace
        self._post = post
        self._clock = clock or workspace.clock

    def list_(
        self, *, standing: bool | None = None, limit: int = 200, offset: int = 0
    ) -> list[Alarm]:
        """List alarms, newest first.

        standing: True for unacknowledged ones, False for the others.
        """
        with self._workspace.database.read() as session:
            return alarm_store.list_(session, standing=standing, limit=limit, offset=offset)

    def count(self, *, standing: bool | None = None) -> int:
        """Count the alarms of all pages."""
        with self._workspace.database.read() as session:
            return alarm_store.count(session, standing=standing)

    def acknowledge(self, id_: int, *, actor: str, note: str | None = None) -> Alarm:
        """Acknowledge an alarm. Raises: NotFound, AlreadyDone."""
        with self._workspace.change(actor, self._clock) as change:
            found = alarm_store.get(change.session, id_)
            if found.acknowledged_at is not None:
                raise AlreadyDone(f"alarm {id_} was acknowledged already")
            by = {"cause": note} if note else None
            proof = change.record("alarm_acknowledged", {"kind": found.kind}, by=by)
            alarm_store.acknowledge(change.session, id_, moment(change.at), proof.chain, proof.seq)
            change.after_commit(lambda: self._post(AlarmsAcknowledged(found.kind)))
            return alarm_store.get(change.session, id_)


def before_restart(workspace: Workspace, *, closely: bool = True) -> Restored:
    """Return the state before the program ended: mode of the door, unacknowledged alarms.

    A mode counts only as this gate has sealed it. When newer rows may have been deleted, only a
    mode that keeps people out counts. closely: check for that; it takes a tenth of a second. A mode
    that the log could not take (`door_memory`) keeps people out, and needs no seal.
    """
    with workspace.database.read() as session:
        row = workspace.journal.last_sealed(session, "door_mode") or LastRow({})
        newest = not closely or workspace.journal.is_newest(session, "door_mode")
        standing = alarm_store.list_(session, standing=True)
    mode = DoorMode(row.body.get("mode", DoorMode.NORMAL))
    if not newest:
        log.error("rows of the journal are missing: the mode of the door may be an older one")
        mode = DoorMode.NORMAL if mode.admits else mode
    alarms = {alarm.kind: alarm.severity for alarm in standing}
    kept = remembered(workspace.settings.storage.state_dir).mode
    unlogged = kept is not None and kept.body != mode_of(row.body) and kept.utc > row.utc
    if kept is not None and unlogged:
        row, mode = kept, DoorMode(kept.body["mode"])
    return Restored(mode, alarms, _end_of(row, workspace.journal.boot), unlogged)


def _end_of(row: LastRow, boot: str) -> ModeEnd | None:
    """Return when the mode of a row ends; None: never. Monotonic times count within one boot."""
    if "until" not in row.body:
        return None
    until = datetime.fromisoformat(row.body["until"]).timestamp()
    return ModeEnd(until, row.mono + until - row.utc if row.boot == boot else None)
