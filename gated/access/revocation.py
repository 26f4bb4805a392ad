"""Keeps that the hub has revoked this gate, and what the gate may still do then.

A gate that was revoked has nobody to tell it who has left: it goes on for a time that is a setting,
and then lets nobody in by face, unless the settings say that it goes on for good. Cards and PINs,
which stay with whoever has them, are not concerned. Joining again ends it.
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
    """since: when the gate heard of it; faces_end: when nobody passes by face (None: never).

    denies: whether that is so already.
    """

    since: datetime
    faces_end: datetime | None
    denies: bool

    def sentence(self) -> str:
        """Say what it means, and what to do."""
        told = f"the hub has revoked this gate (heard {self.since:%Y-%m-%d %H:%M} UTC); "
        if self.denies:
            told += "nobody passes by face; "
        elif self.faces_end is not None:
            told += f"faces are accepted until {self.faces_end:%Y-%m-%d %H:%M} UTC; "
        return told + "to join again: `gated hub replace-gate NAME` there, `gated join` here"


class Revocation(Service):
    """The revocation of a workspace's gate by its hub."""

    def find(self) -> RevokedState | None:
        """Return what was heard; None: nothing."""
        with self._workspace.database.read() as session:
            return _read(session, self._workspace.settings.sync)

    def heard(self) -> bool:
        """Note that the hub says so; whether that is news. StorageError."""
        with self.change(ACTOR) as change:
            if settings_store.get(change.session, KEY) is not None:
                return False
            since = moment(change.at).isoformat()
            settings_store.set_(change.session, KEY, {"since": since, "denies": False})
            self._append(change, "hub_revoked", "alarm")
        return True

    def step(self) -> bool:
        """Let faces be accepted no more when the time is over; whether that is news."""
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
        """The hub knows this gate; whether that is news."""
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
    """Forget that the hub has revoked this gate."""
    if settings_store.get(session, KEY) is not None:
        settings_store.touch_rules(session)
        settings_store.set_(session, KEY, None)


def accepts_faces(session: Session, sync: SyncSettings) -> bool:
    """Return whether anybody may pass by face."""
    found = _read(session, sync)
    return found is None or not found.denies


def _read(session: Session, sync: SyncSettings) -> RevokedState | None:
    told = settings_store.get(session, KEY)
    if not told:
        return None
    since, end_ = datetime.fromisoformat(told["since"]), None
    if sync.when_revoked == "deny_faces":
        end_ = since + timedelta(hours=sync.revoked_grace_h)
    return RevokedState(since, end_, bool(told["denies"]) and end_ is not None)
