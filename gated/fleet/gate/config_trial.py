"""Settings from the hub, or the gate's own pages, come into force: tried by a start, or given up.

There is no reload: the program starts again, when nobody is at the gate, and has some time to show
that it works. What does not fit the gate's own file is refused without a start; one that ends with
an error, sees no frame, or has troubles that the gate did not have before brings back what held
before. Starts are counted before anything is built, so that even a program that is killed each time
it begins cannot try for ever.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gated.change import Change
from gated.config import Loaded, Settings, find_config, load_with
from gated.core.door import DoorState
from gated.database.state_lock import is_locked
from gated.errors import Broken, ConfigError, StorageError
from gated.fleet.gate import assigned_config as given_store
from gated.fleet.gate.assigned_config import AssignedConfig, Giver, KeptConfig, RefusedConfig
from gated.fleet.gate.settings_file import sweep_leftovers, write_values
from gated.link.status_board import GateStatus, StatusBoard
from gated.ports import Clock
from gated.vault.state_swap import finish
from gated.workspace import Workspace, has_database

log = logging.getLogger(__name__)

STARTS = 2
"""So often the program may end without a word with the same new settings: one is a power cut."""


_AT_REST = frozenset({DoorState.LOCKED, DoorState.LOCKDOWN, DoorState.OUT_OF_SERVICE})

LONGEST_REASON = 1000
"""Characters; heartbeats repeat it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings of one giver in this start.

    given: whose values hold; None: nobody's. refused: what this start could not use. trial: it was
    not shown to work yet.
    """

    given: AssignedConfig | None = None
    refused: RefusedConfig | None = None
    trial: bool = False

    @property
    def uid(self) -> str | None:
        return self.given.uid if self.given else None


@dataclass(frozen=True, slots=True)
class InForce:
    """The settings of this start: of file, environment, pages and hub."""

    loaded: Loaded
    file: Path | None
    environ: Mapping[str, str]
    hub: Layer = Layer()
    pages: Layer = Layer()

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    @property
    def given(self) -> AssignedConfig | None:
        """Those of the hub."""
        return self.hub.given

    @property
    def refused(self) -> RefusedConfig | None:
        """Settings of the hub that this start could not use."""
        return self.hub.refused

    @property
    def trial(self) -> bool:
        """True while anything is tried."""
        return self.hub.trial or self.pages.trial

    @property
    def uid(self) -> str | None:
        """Name what was given to this start; None: nothing."""
        return uid_of(self.hub.uid, self.pages.uid)


def uid_of(hub: str | None, pages: str | None) -> str | None:
    """Name what both givers have given."""
    return f"{hub or ''}+{pages}" if pages else hub


def in_force(
    file: Path | None,
    environ: Mapping[str, str] = os.environ,
    *,
    trying: bool = False,
    following: bool = False,
) -> InForce:
    """The settings to work with; ConfigError for mistakes in file or environment, StorageError.

    trying: also with those that were not shown to work yet, as a gate that starts does. following:
    with those that a gate which runs is trying, as its service does.
    """
    plain = load_with(file, environ)
    found = InForce(plain, file, environ)
    finish(plain.settings.storage.state_dir)  # a restore that a power cut left half done
    if not has_database(plain.settings):
        return found
    kept = given_store.peek_all(plain.settings.storage.url)
    for giver in ("pages", "hub"):
        # one thing is tried at a time: else nobody knew what was wrong
        one = trying and not found.pages.trial
        found = _with_layer(found, giver, kept[giver], trying=one, following=following)
    return found


def _with_layer(
    base: InForce, giver: Giver, kept: KeptConfig, *, trying: bool, following: bool
) -> InForce:
    """Put what a giver has given on top."""
    url, state_dir = base.settings.storage.url, base.settings.storage.state_dir
    refused = None
    if trying and kept.pending is not None and not is_locked(state_dir):
        if kept.starts < STARTS:
            found = _with(base, giver, kept.pending)
            if isinstance(found, RefusedConfig):
                refused = found
            elif _count_start(url, giver):
                return _layered(found, giver, trial=True)
        else:
            reason = f"the program ended {kept.starts} times before it worked with them"
            refused = _refused(kept.pending, Broken("ended_early", str(kept.starts), reason))
    if following and kept.pending is not None and _is_tried(kept, base.settings):
        found = _with(base, giver, kept.pending)
        if isinstance(found, InForce):
            return found
    if kept.accepted is None:
        return _layered(base, giver, refused=refused)
    found = _with(base, giver, kept.accepted)
    if isinstance(found, InForce):
        return _layered(found, giver, refused=refused)
    return _layered(base, giver, refused=found)


def _layered(base: InForce, giver: Giver, **fields: Any) -> InForce:
    layer = replace(base.hub if giver == "hub" else base.pages, **fields)
    return replace(base, hub=layer) if giver == "hub" else replace(base, pages=layer)


def _is_tried(kept: KeptConfig, settings: Settings) -> bool:
    """Return whether a gate runs with what is pending."""
    return kept.starts > 0 and is_locked(settings.storage.state_dir)


def _count_start(url: str, giver: Giver) -> bool:
    """Count a start with what is pending; what cannot be counted must not be tried."""
    try:
        given_store.count_start(url, giver)
    except StorageError as error:
        log.error("settings of the %s are not tried: %s", giver, error)
        return False
    return True


def settings_in_force(file: Path | None) -> Settings:
    """Return what a command works with; where the database cannot be used, what file and
    environment say.

    ConfigError.
    """
    try:
        return in_force(file).settings
    except StorageError:
        return load_with(file).settings


def _with(base: InForce, giver: Giver, given: AssignedConfig) -> InForce | RefusedConfig:
    """The settings with those that were given, or why they cannot be used here."""
    try:
        return _loaded_with(base, giver, given)
    except ConfigError as error:
        rule, limit = None, None
        if len(error.mistakes) == 1:
            rule, limit = error.mistakes[0].broken.rule, error.mistakes[0].broken.limit
        return _refused(given, Broken(rule, limit, str(error)))


def _loaded_with(base: InForce, giver: Giver, given: AssignedConfig) -> InForce:
    """Load the settings with those that were given. Raises: ConfigError."""
    wanted = _layered(base, giver, given=given)
    hub, pages = wanted.hub.given, wanted.pages.given
    loaded = load_with(
        base.file,
        base.environ,
        hub.values if hub else None,
        f"revision {hub.revision}" if hub else "hub",
        own=pages.values if pages else None,
    )
    if loaded.settings.recognition.face_tolerance is not None:
        # the models' module is slow to load, which commands need not wait for
        from gated.enrollment.models import tolerance_in_words

        tolerance_in_words(loaded.settings)
    return replace(wanted, loaded=loaded)


def require_usable(base: InForce, given: AssignedConfig) -> None:
    """Check that settings of the pages can be used here. Raises: ConfigError."""
    _loaded_with(base, "pages", given)


def _refused(given: AssignedConfig, why: Broken, problems: Collection[str] = ()) -> RefusedConfig:
    reason = why.detail[:LONGEST_REASON]
    named = why.rule, why.limit
    return RefusedConfig(given.uid, given.revision, reason, given.by, tuple(problems), *named)


def forget(workspace: Workspace, clock: Clock, giver: Giver = "hub", *, actor: str) -> None:
    """Drop all that a giver has given; the next start is without it."""
    with workspace.change(actor, clock) as change:
        given_store.store(change.session, KeptConfig(), giver)
        change.record("settings_forgotten", {"giver": giver})


class ConfigTrial:
    """Brings settings of a giver into force, step by step; asked now and then, in one thread."""

    def __init__(
        self,
        workspace: Workspace,
        in_force: InForce,
        board: StatusBoard,
        clock: Clock,
        giver: Giver = "hub",
    ) -> None:
        self._workspace = workspace
        self._giver = giver
        self._now = in_force
        self._board = board
        self._clock = clock
        self._sync = workspace.settings.sync
        self._trial = self._layer.given if self._layer.trial else None
        self._since: tuple[str, float] | None = None
        """What waits, or is tried, and since when (monotonic)."""

    @property
    def in_force(self) -> str | None:
        """The uid of the giver's settings that this run holds; None: without any."""
        return self._layer.uid

    @property
    def trying(self) -> bool:
        """True while this start is on trial."""
        return self._trial is not None

    @property
    def _layer(self) -> Layer:
        return self._now.hub if self._giver == "hub" else self._now.pages

    def begin(self) -> None:
        """At the start, before anything is built: note what could not be used."""
        file = find_config(self._now.file, self._now.environ)
        if file is not None:
            sweep_leftovers(file)
        refused, given = self._layer.refused, self._layer.given
        try:
            kept = self._kept()
            if refused is not None and kept.refused != refused:
                self._refuse(refused)
            elif kept.refused is not None and given is not None and kept.refused.uid == given.uid:
                # the file was changed so that they fit again
                self._store(replace(kept, refused=None))
        except StorageError as error:  # no reason to stay closed
            log.error("settings of the %s: %s", self._giver, error)
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
            found = _with(self._now, self._giver, pending)
            if isinstance(found, RefusedConfig):
                self._refuse(found)
                self._publish("refused")
                return False
            before = self._layer.given.values if self._layer.given else {}
            if pending.values == before or (
                self._giver == "pages" and found.settings == self._now.settings
            ):
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
        """Give up what is tried, as this start did not work; whether another one might."""
        return self._failed(Broken("crashed", None, reason))

    def _failed(self, why: Broken, problems: Collection[str] = ()) -> bool:
        """Give up what is tried. problems: codes of those that it made."""
        if self._trial is None:
            return False
        self._refuse(_refused(self._trial, why, problems))
        self._trial = None
        return True

    def ended(self) -> None:
        """The program ends because somebody wants it to: that was no failure of what is tried."""
        if self._trial is not None and self._since is not None:
            self._store(replace(self._kept(), starts=0))

    # --- inside -------------------------------------------------------------------------------

    def _judge(self, trial: AssignedConfig) -> bool:
        waiting = self._waiting(trial.uid) or 0.0
        if waiting < self._sync.trial_s:
            return False
        kept, seen = self._kept(), self._board.snapshot()
        new = sorted(set(seen.problems) - set(kept.troubles))
        if new:
            reason = f"with them the gate is not well: {', '.join(new)}"
            return self._failed(Broken("not_well", None, reason), new)
        if seen.role == "gate" and "start.first_frame_ms" not in seen.counters:
            patience = f"{self._sync.trial_s:g}"
            reason = f"no frame of the camera within {patience} s"
            return self._failed(Broken("no_frame", patience, reason))
        self._trial = None
        self._accept(trial)
        return False

    def _accept(self, given: AssignedConfig) -> None:
        if self._giver == "pages":
            given = self._written(given)
        with self._change_by(given) as change:
            session = change.session
            pending = given_store.load(session, self._giver).pending
            other = pending if pending is not None and pending.uid != given.uid else None
            kept = KeptConfig(accepted=given, pending=other)
            given_store.store(session, kept, self._giver)
            overruled = list(self._now.loaded.overruled)
            body = {**self._body_of(given), "overruled": overruled}
            change.record("settings_accepted", body)
        log.info("settings of %s work", _name(given))
        self._now = _layered(self._now, self._giver, given=given)
        self._publish("running")

    def _written(self, given: AssignedConfig) -> AssignedConfig:
        """Put what works into the configuration file; where that cannot be, it is kept here."""
        file = find_config(self._now.file, self._now.environ)
        try:
            if file is not None:
                write_values(file, given.values)
                return replace(given, values={})
        except (OSError, ConfigError) as error:
            log.info("settings of the pages are kept in the database: %s: %s", file, error)
        return given

    def _waiting(self, uid: str) -> float | None:
        """Return for how many seconds this has been looked at; None when only from now on."""
        now = self._clock.now().mono
        if self._since is None or self._since[0] != uid:
            self._since = (uid, now)
            return None
        return now - self._since[1]

    def _refuse(self, refused: RefusedConfig) -> None:
        """Give up what is pending, or note that what was accepted fits no more."""
        log.error("settings of %s are not used: %s", _name(refused), refused.reason)
        with self._change_by(refused) as change:
            session = change.session
            kept = replace(given_store.load(session, self._giver), refused=refused)
            if kept.pending is not None and kept.pending.uid == refused.uid:
                kept = replace(kept, pending=None, starts=0)
            given_store.store(session, kept, self._giver)
            why = {"reason": refused.reason, "severity": "warning"}
            change.record("settings_refused", {**self._body_of(refused), **why})

    def _change_by(self, what: AssignedConfig | RefusedConfig) -> Change:
        """Make a change in the name of whoever has given the settings."""
        return self._workspace.change(what.by or self._giver, self._clock)

    def _body_of(self, what: AssignedConfig | RefusedConfig) -> dict[str, object]:
        return {"revision": what.revision, "given": what.uid, "giver": self._giver}

    def _kept(self) -> KeptConfig:
        with self._workspace.database.read() as session:
            return given_store.load(session, self._giver)

    def _store(self, kept: KeptConfig) -> None:
        with self._workspace.database.write() as session:
            given_store.store(session, kept, self._giver)

    def _publish(self, state: str) -> None:
        """Publish how far it is; state: running, waiting, trial or refused."""
        given, refused = self._layer.given, None
        with suppress(StorageError):
            refused = self._kept().refused
        report: dict[str, Any] = {
            "revision": given.revision if given else 0,
            "given": given.uid if given else None,
            "state": state,
            "refused": refused.uid if refused else None,
            "reason": refused.reason if refused else None,
            "overruled": list(self._now.loaded.overruled),
        }
        self._board.publish(**{f"{self._giver}_settings": report})


def _nobody_is_there(seen: GateStatus) -> bool:
    return seen.role != "gate" or (seen.idle and seen.door_state in _AT_REST)


def _camera_is_lost(seen: GateStatus) -> bool:
    return any(problem.startswith("camera_") for problem in seen.problems)


def _name(what: AssignedConfig | RefusedConfig) -> str:
    return f"revision {what.revision}" if what.revision else f"the pages, by {what.by}"
