"""How settings from the hub come into force on a gate: tried by a new start, or given up.

There is no reload: the program starts again, when nobody is at the gate, and has some time to show
that it works. What does not fit the gate's own file is refused without a start; one that ends with
an error, sees no frame, or has troubles that the gate did not have before brings back what held
before. Starts are counted before anything is built, so that even a program that is killed each time
it begins cannot try for ever.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from gated.config import Loaded, Settings, load_with
from gated.core.door import DoorState
from gated.errors import ConfigError, StorageError
from gated.ports import Clock
from gated.services.gate import GateBoard, GateStatus
from gated.services.workspace import Workspace, has_database
from gated.storage import given as given_store
from gated.storage.given import Given, Kept, Refused
from gated.storage.journal import Entry
from gated.storage.lock import is_locked

log = logging.getLogger(__name__)

STARTS = 2
"""So often the program may end without a word with the same new settings: one is a power cut."""


_AT_REST = frozenset({DoorState.LOCKED, DoorState.LOCKDOWN, DoorState.OUT_OF_SERVICE})

LONGEST_REASON = 1000
"""Characters; heartbeats repeat it."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The settings of this start: of file, environment and hub.

    given: whose values they hold; None: nobody's. refused: what this start could not use.
    """

    loaded: Loaded
    file: Path | None
    environ: Mapping[str, str]
    given: Given | None = None
    refused: Refused | None = None
    trial: bool = False

    @property
    def settings(self) -> Settings:
        return self.loaded.settings


def in_force(
    file: Path | None, environ: Mapping[str, str] = os.environ, *, trying: bool = False
) -> InForce:
    """The settings to work with; ConfigError for mistakes in file or environment, StorageError.

    trying: also with those that were not shown to work yet, as a gate that starts does.
    """
    plain = load_with(file, environ)
    alone = InForce(plain, file, environ)
    if not has_database(plain.settings):
        return alone
    url = plain.settings.storage.url
    kept = given_store.peek(url)
    refused = None
    if trying and kept.pending is not None and not is_locked(plain.settings.storage.state_dir):
        if kept.starts < STARTS:
            found = _with(alone, kept.pending)
            if isinstance(found, Refused):
                refused = found
            elif _count_start(url):
                return replace(found, trial=True)
        else:
            reason = f"the program ended {kept.starts} times before it worked with them"
            refused = _refused(kept.pending, reason)
    if kept.accepted is None:
        return replace(alone, refused=refused)
    found = _with(alone, kept.accepted)
    if isinstance(found, InForce):
        return replace(found, refused=refused)
    return replace(alone, refused=found)


def _count_start(url: str) -> bool:
    """Count a start with what is pending; what cannot be counted must not be tried."""
    try:
        given_store.count_start(url)
    except StorageError as error:
        log.error("settings of the hub are not tried: %s", error)
        return False
    return True


def settings_in_force(file: Path | None) -> Settings:
    """What a command works with; where the database cannot be used, what file and environment say.

    ConfigError.
    """
    try:
        return in_force(file).settings
    except StorageError:
        return load_with(file).settings


def _with(alone: InForce, given: Given) -> InForce | Refused:
    """The settings with those that were given, or why they cannot be used here."""
    try:
        loaded = load_with(alone.file, alone.environ, given.values, f"revision {given.revision}")
        if loaded.settings.recognition.face_tolerance is not None:
            # the models' module is slow to load, which commands need not wait for
            from gated.services.models import tolerance_in_words

            tolerance_in_words(loaded.settings)
    except ConfigError as error:
        return _refused(given, str(error))
    return replace(alone, loaded=loaded, given=given)


def _refused(given: Given, reason: str) -> Refused:
    return Refused(given.uid, given.revision, reason[:LONGEST_REASON], given.by)


def forget(workspace: Workspace, clock: Clock, *, actor: str) -> None:
    """Drop all that a hub has given; the next start is on file and environment alone."""
    with workspace.database.write() as session:
        given_store.store(session, Kept())
        entry = Entry(clock.now(), "settings_forgotten", {}, {"actor": {"name": actor}})
        workspace.journal.append([entry], session)


class Takeover:
    """Brings settings of the hub into force, step by step; asked now and then, in one thread."""

    def __init__(
        self, workspace: Workspace, in_force: InForce, board: GateBoard, clock: Clock
    ) -> None:
        self._workspace = workspace
        self._now = in_force
        self._board = board
        self._clock = clock
        self._sync = workspace.settings.sync
        self._trial = in_force.given if in_force.trial else None
        self._since: tuple[str, float] | None = None
        """What waits, or is tried, and since when (monotonic)."""

    def begin(self) -> None:
        """At the start, before anything is built: note what could not be used."""
        refused, given = self._now.refused, self._now.given
        try:
            kept = self._kept()
            if refused is not None and kept.refused != refused:
                self._refuse(refused)
            elif kept.refused is not None and given is not None and kept.refused.uid == given.uid:
                # the file was changed so that they fit again
                self._store(replace(kept, refused=None))
        except StorageError as error:  # no reason to stay closed
            log.error("settings of the hub: %s", error)
        self._publish("trial" if self._trial else "refused" if refused else "running")

    def look(self) -> bool:
        """Do what is due; whether the program must start again now. StorageError."""
        if self._board.snapshot().door_state == DoorState.FIRE:
            return False  # the door would be locked for the time of a start
        if self._trial is not None:
            return self._judge(self._trial)
        pending = self._kept().pending
        if pending is None:
            return False
        waiting = self._waiting(pending.uid)
        if waiting is None:
            if isinstance(found := _with(self._now, pending), Refused):
                self._refuse(found)
                self._publish("refused")
                return False
            if pending.values == (self._now.given.values if self._now.given else {}):
                self._accept(pending)  # nothing would be different
                return False
            self._publish("waiting")
            waiting = 0.0
        seen = self._board.snapshot()
        if _camera_is_lost(seen):
            return False  # nothing could be shown to work
        if not _nobody_is_there(seen) and waiting < self._sync.take_over_within_s:
            return False
        self._store(replace(self._kept(), troubles=seen.problems))
        return True

    def failed(self, reason: str) -> bool:
        """This start did not work; whether another one, with what held before, might."""
        if self._trial is None:
            return False
        self._refuse(_refused(self._trial, reason))
        self._trial = None
        return True

    def ended(self) -> None:
        """The program ends because somebody wants it to: that was no failure of what is tried."""
        if self._trial is not None and self._since is not None:
            self._store(replace(self._kept(), starts=0))

    # --- inside -------------------------------------------------------------------------------

    def _judge(self, trial: Given) -> bool:
        waiting = self._waiting(trial.uid) or 0.0
        if waiting < self._sync.trial_s:
            return False
        kept, seen = self._kept(), self._board.snapshot()
        new = sorted(set(seen.problems) - set(kept.troubles))
        if new:
            return self.failed(f"with them the gate is not well: {', '.join(new)}")
        if seen.role == "gate" and "start.first_frame_ms" not in seen.counters:
            return self.failed(f"no frame of the camera within {self._sync.trial_s:g} s")
        self._trial = None
        self._accept(trial)
        return False

    def _accept(self, given: Given) -> None:
        with self._workspace.database.write() as session:
            pending = given_store.load(session).pending
            other = pending if pending is not None and pending.uid != given.uid else None
            given_store.store(session, Kept(accepted=given, pending=other))
            overruled = list(self._now.loaded.overruled)
            self._record(session, "settings_accepted", given, {"overruled": overruled})
        log.info("settings of revision %d work", given.revision)
        self._now = replace(self._now, given=given)
        self._publish("running")

    def _waiting(self, uid: str) -> float | None:
        """For how many seconds this is looked at already; None when only from now on."""
        now = self._clock.now().mono
        if self._since is None or self._since[0] != uid:
            self._since = (uid, now)
            return None
        return now - self._since[1]

    def _refuse(self, refused: Refused) -> None:
        """Give up what is pending, or note that what was accepted fits no more."""
        log.error("settings of revision %d are not used: %s", refused.revision, refused.reason)
        with self._workspace.database.write() as session:
            kept = replace(given_store.load(session), refused=refused)
            if kept.pending is not None and kept.pending.uid == refused.uid:
                kept = replace(kept, pending=None, starts=0)
            given_store.store(session, kept)
            body = {"reason": refused.reason, "severity": "warning"}
            self._record(session, "settings_refused", refused, body)

    def _record(
        self, session: Session, kind: str, what: Given | Refused, more: Mapping[str, object]
    ) -> None:
        body = {"revision": what.revision, "given": what.uid, **more}
        entry = Entry(self._clock.now(), kind, body, {"actor": {"name": what.by or "hub"}})
        self._workspace.journal.append([entry], session)

    def _kept(self) -> Kept:
        with self._workspace.database.read() as session:
            return given_store.load(session)

    def _store(self, kept: Kept) -> None:
        with self._workspace.database.write() as session:
            given_store.store(session, kept)

    def _publish(self, state: str) -> None:
        """What the hub is told; state: running, waiting, trial or refused."""
        given, refused = self._now.given, None
        with suppress(StorageError):
            refused = self._kept().refused
        told: dict[str, Any] = {
            "revision": given.revision if given else 0,
            "given": given.uid if given else None,
            "state": state,
            "refused": refused.uid if refused else None,
            "reason": refused.reason if refused else None,
            "overruled": list(self._now.loaded.overruled),
        }
        self._board.publish(hub_settings=told)


def _nobody_is_there(seen: GateStatus) -> bool:
    return seen.role != "gate" or (seen.idle and seen.door_state in _AT_REST)


def _camera_is_lost(seen: GateStatus) -> bool:
    return any(problem.startswith("camera_") for problem in seen.problems)
