"""Everything that outlives a restart, opened together from the settings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from sqlalchemy.orm import Session

from gated.change import Change
from gated.config import Settings
from gated.core.clock import Evidence, Known
from gated.database import stored_settings as settings_store
from gated.database import traces
from gated.database.engine import Database, is_read_only
from gated.database.spellings import site_of_gates
from gated.devices.clock import JudgedClock, SystemClock
from gated.errors import StorageError
from gated.journal import clock_store, key_rotation
from gated.journal.journal import GateLabel, Journal
from gated.ports import Clock
from gated.vault.files import FileStore, remove_file
from gated.vault.ring import SealedRing
from gated.vault.sealing import load_keys
from gated.vault.state_swap import PENDING, finish

TracesState = Literal["complete", "pending", "database_server"]
"""Whether anything is left of what was erased in the log of changes of the database. The last one:
dead rows and the log are PostgreSQL's, which lets go of them by VACUUM and as it writes on."""


class Workspace:
    """Database (migrated), sealed files, journal and gallery of one state directory.

    create: make what is missing; without it a state directory that holds no database is a
    StorageError, for commands that only look. clock and boot: of the machine, unless others are
    given; what the time is worth is known from what is stored.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        create: bool = True,
        clock: Clock | None = None,
        boot: str | None = None,
    ) -> None:
        state = settings.storage.state_dir
        self.settings = settings
        finish(state)  # a restore that a power cut left half done
        if not create:
            _require_database(settings)
        make_private(state)
        self.traces_since: datetime | None = None
        """Since when erased data is known to be left in the database's log; None: none is."""
        self.keys = load_keys(state, settings.storage.key_file)
        self.files = FileStore(settings.storage.uploads, self.keys.sealer)
        self.database = Database.open(settings.storage.url)
        try:
            self.database.upgrade()
            signer = key_rotation.in_force(self.database, state, self.keys.signer)
            self.keys = replace(self.keys, signer=signer)
            self.settings = settings = self._as_spelt(settings)
            self.journal = Journal(
                self.database,
                self.keys.signer,
                state / "journal.head",
                GateLabel(settings.gate.name, settings.gate.site, settings.gate.timezone),
                shared=settings.gate.role == "hub",
                boot=boot,
            )
            self.ring = SealedRing(state / "incidents", self.keys.sealer)
            """Recent events and decisions of the gate, without erased people."""
            self.refused = SealedRing(state / "refused", self.keys.sealer)
            """Templates of refused visits, for `privacy.denials_hours`."""
            self.journal.on_gone = self.forget_visits
            self.journal.renew_head()
            self.clock = JudgedClock(clock or SystemClock())
            self.clock.evidence = self._evidence()
            self._version = self.database.data_version()
        except BaseException:
            self.database.close()
            raise

    def forget_visits(self, uids: Collection[str]) -> None:
        """Remove what is kept of the visits of these people, and of refused ones like theirs."""
        self.ring.forget(uids)
        self.refused.forget(uids)

    def _as_spelt(self, settings: Settings) -> Settings:
        """The settings, the site as the gates have it that joined there: one site has one name."""
        with self.database.read() as session:
            site = site_of_gates(session, settings.gate.site)
        if site == settings.gate.site:
            return settings
        gate = settings.gate.model_copy(update={"site": site})
        return settings.model_copy(update={"gate": gate})

    def _evidence(self) -> Evidence:
        with self.database.read() as session:
            kept = clock_store.get(session)
            known = kept.known or self.known_by_log(session)
        off_s = self.settings.privacy.longest_off_h * 3600
        return Evidence(self.journal.boot, known, kept.hub, off_s)

    def change(self, actor: str, clock: Clock | None = None) -> Change:
        """Make a change by somebody, to be opened by `with`; its time is that of the clock."""
        return Change(actor, self.database, self.journal, self.files, clock or self.clock)

    def known_by_log(self, session: Session) -> Known | None:
        """Find when the clock was right by the journal alone; None when it does not tell."""
        gate = self.journal.gate_uid_if_known(session)
        return (
            None
            if gate is None
            else clock_store.known_from_journal(session, gate, self.journal.boot)
        )

    def forget_gallery(self) -> None:
        """Remove the packed gallery, which holds templates of those who are gone. StorageError."""
        remove_file(self.gallery_file)

    @property
    def gallery_file(self) -> Path:
        """Path of the packed gallery."""
        return self.settings.storage.state_dir / "cache" / "gallery.bin"

    def gallery_stamp(self) -> str | None:
        """Names the state of people and templates; changes with every change of them."""
        with self.database.read() as session:
            return settings_store.gallery_stamp(session)

    def rules_stamp(self) -> str:
        """Names the state of rules, credentials and persons; changes with every change of them."""
        with self.database.read() as session:
            return settings_store.rules_stamp(session)

    def changed(self) -> bool:
        """Return whether anything was committed since the last call; cheap. One thread may ask."""
        version = self.database.data_version()
        changed, self._version = version != self._version, version
        return changed

    def forget_after(self, change: Change, *files: str) -> None:
        """Let nothing be left of what a change takes away, once it is committed.

        files: sealed ones. The packed gallery and the database's log of changes go as well.
        """
        change.delete_files(*files)
        change.after_commit(self.forget_gallery)
        change.after_commit(self.erase_traces)

    def traces_state(self) -> TracesState:
        """Return whether anything that was erased is left in the database's log. StorageError."""
        if not self.database.sqlite:
            return "database_server"
        with self.database.read() as session:
            return "complete" if traces.left(session) is None else "pending"

    def erase_traces(self) -> TracesState:
        """Let nothing be left of what was erased in the database's log of changes, if that can be.

        `pending`: somebody reads an older state; housekeeping tries again. StorageError.
        """
        if not self.database.sqlite:
            return "database_server"
        with self.database.read() as session:
            left = traces.left(session)
        if left is None:
            self.traces_since = None
            return "complete"
        # more may be erased between: then it is noted anew, and not gone yet
        if self.database.truncate_log():
            with self.database.write() as session:
                if traces.gone(session, left.mark):
                    self.traces_since = None
                    return "complete"
        self.traces_since = left.since
        return "pending"

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def journal_to_verify(settings: Settings) -> Iterator[Journal]:
    """Open the journal of a state directory that holds a database. Raises: StorageError.

    On a read-only file system nothing is written, as for a copy that is evidence.
    """
    state = settings.storage.state_dir
    file = sqlite_file(settings)
    if not any(
        folder.exists() and is_read_only(folder) for folder in {state, (file or state).parent}
    ):
        with Workspace(settings, create=False) as workspace:
            yield workspace.journal
        return
    _require_database(settings)
    if (state / PENDING).exists():
        raise StorageError(f"a restore of {state} was cut off: mount it so that it can be ended")
    keys = load_keys(state, settings.storage.key_file)
    database = Database.open_to_read(settings.storage.url)
    try:
        database.check_schema()
        signer = key_rotation.in_force(database, state, keys.signer, complete=False)
        gate = GateLabel(settings.gate.name, settings.gate.site, settings.gate.timezone)
        shared = settings.gate.role == "hub"
        yield Journal(database, signer, state / "journal.head", gate, shared=shared)
    finally:
        database.close()


class Service:
    """Works on a workspace, by the time of `clock`."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._clock = clock

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The same on the real clock."""
        return cls(workspace, workspace.clock)

    def change(self, actor: str) -> Change:
        """Make a change by somebody, at the time of this service's clock."""
        return self._workspace.change(actor, self._clock)


def make_private(directory: Path) -> None:
    """Create the state directory with mode 0700; StorageError when that is impossible."""
    try:
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the state directory {directory} cannot be made: {error}") from None


def sqlite_file(settings: Settings) -> Path | None:
    """The file of the database; None where it is a server's."""
    found = re.match(r"sqlite(?:\+\w+)?:///([^?]+)", settings.storage.url)
    return None if found is None else Path(found[1])


def _require_database(settings: Settings) -> None:
    if not has_database(settings):
        state = settings.storage.state_dir
        raise StorageError(f"there is no database in {state}: has the gate run here?")


def has_database(settings: Settings) -> bool:
    """Return whether a database can be there; only an SQLite file can be seen to be missing."""
    file = sqlite_file(settings)
    return file is None or file.is_file()
