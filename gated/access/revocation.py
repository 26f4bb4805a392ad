"""Stores that the hub has revoked this gate, and limits what the gate may still do.

A revoked gate no longer learns who has left. It goes on for a time set in the configuration, then
lets nobody in by face, unless it is configured to go on for good. Cards and PINs still work.
Joining again ends the revocation.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from gated.change import Change
from gated.config import SyncSettings
from gated.core.values import moment
from gated.database import stored_settings as settings_store
from gated.journal.journal import Entry
from gated.workspace import Service

log = logging.getLogger(__name__)

KEY = "hub_revoked"
ACTOR = "sync"


@dataclass(frozen=True, slots=True)
class RevokedState:
    """The revocation of this gate. since: when it heard of it.

    faces_end: from then on nobody passes by face (None: never). denies: that time has come.
    """

    since: datetime
    faces_end: datetime | None
    denies: bool

    def sentence(self) -> str:
        """Describe the consequences, and what to do."""
        text = f"the hub has revoked this gate (heard {self.since:%Y-%m-%d %H:%M} UTC); "
        if self.denies:
            text += "nobody passes by face; "
        elif self.faces_end is not None:
            text += f"faces are accepted until {self.faces_end:%Y-%m-%d %H:%M} UTC; "
        return text + "to join again: `gated hub replace-gate NAME` there, `gated join` here"


class Revocation(Service):
    """The revocation of a workspace's gate by its hub."""

    def find(self) -> RevokedState | None:
        """Return the revocation; None when this gate is not revoked."""
        with self._workspace.database.read() as session:
            return _read(session, self._workspace.settings.sync)

    def heard(self) -> bool:
        """Store that the hub has revoked this gate; return True if that is new.

        Raises: StorageError.
        """
        with self.change(ACTOR) as change:
            if settings_store.get(change.session, KEY) is not None:
                return False
            since = moment(change.at).isoformat()
            settings_store.set_(change.session, KEY, {"since": since, "denies": False})
            self._append(change, "hub_revoked", "alarm")
        return True

    def step(self) -> bool:
        """Stop accepting faces when the time is over; return True when that begins now."""
        now, found = self._clock.now(), self.find()
        if found is None or found.denies or found.faces_end is None or not now.clock_ok:
            return False
        if moment(now) < found.faces_end:
            return False
        with self.change(ACTOR) as change:
            settings_store.touch_rules(change.session)
            denied = {"since": found.since.isoformat(), "denies": True}
            settings_store.set_(change.session, KEY, denied)
            self._append(change, "hub_revoked_faces_end", "alarm")
        return True

    def over(self) -> bool:
        """Store that the hub knows this gate; return True if it was revoked until now."""
        with self._workspace.database.read() as session:
            if settings_store.get(session, KEY) is None:
                return False
        with self.change(ACTOR) as change:
            end(change.session)
            self._append(change, "hub_revoked_over", "info")
        return True

    def _append(self, change: Change, kind: str, severity: str) -> None:
        body = {"severity": severity, "gate": self._workspace.settings.gate.name}
        change.append(Entry(change.at, kind, body))


def end(session: Session) -> None:
    """Remove the revocation of this gate."""
    if settings_store.get(session, KEY) is not None:
        settings_store.touch_rules(session)
        settings_store.set_(session, KEY, None)


def accepts_faces(session: Session, sync: SyncSettings) -> bool:
    """Return whether anybody may pass by face."""
    found = _read(session, sync)
    return found is None or not found.denies


def _read(session: Session, sync: SyncSettings) -> RevokedState | None:
    stored = settings_store.get(session, KEY)
    if not stored:
        return None
    since, end_ = datetime.fromisoformat(stored["since"]), None
    if sync.when_revoked == "deny_faces":
        end_ = since + timedelta(hours=sync.revoked_grace_h)
    return RevokedState(since, end_, bool(stored["denies"]) and end_ is not None)
