"""Restores a backup: checks all of it first, and keeps the former state.

Everything is done in a staging copy beside the state: unpacking, the schema, the check of journal
and photos, repeating erasures, the journal row of the restore. Then the copy replaces the state.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa

from gated.backup.contents import (
    CONFIG,
    FOLDERS,
    KEPT,
    SEAL_KEY,
    Manifest,
    state_files,
)
from gated.backup.database_copy import (
    SQLITE,
    begin_staging,
    drop_staging,
    fill_tables,
    put_in_force,
    staging_url,
)
from gated.backup.sealed_stream import StreamOpener
from gated.backup.unpacking import Unpacked, unpack
from gated.config import Settings
from gated.database.engine import Database
from gated.database.migrate import require_known
from gated.database.state_lock import DOOR, SERVICE, StateLock
from gated.database.tables import accounts, attendance_logs, enrollments, journal, persons
from gated.errors import Conflict, SealError, SourceError, StorageError
from gated.fleet.hub.restored import recover
from gated.journal import erasure_ledger
from gated.journal.chain_tip import HEAD_FILE, Head, read_head
from gated.journal.erasure_ledger import ErasureLedger
from gated.journal.kinds import RESTORED
from gated.journal.verify import Verification
from gated.ports import Clock
from gated.vault.files import write_atomic
from gated.vault.sealing import given_sealing_key, journal_key, write_key
from gated.vault.state_swap import BEFORE, PENDING, STAGING, finish, swap
from gated.workspace import Workspace, has_database, make_private, sqlite_file

ACTOR = "restore"
RESTORE = "restore.lock"
CONFIG_BESIDE = "restored-gate.yaml"
IDENTITY = ("keys/journal.key", "keys/journal.key.next", "journal.rotations", HEAD_FILE)
"""Files that stay when the backup is of the same gate: the newest key, and the head of the
journal."""

Show = Callable[[int, int], None]


@dataclass(frozen=True)
class RestoreReport:
    """The contents of a backup, and where things are now. kept: where the former state is."""

    created_at: str
    gate: str
    gated: str
    revision: str
    people: int
    photos: int
    rows: int
    erased_again: int = 0
    kept: str | None = None
    config: str | None = None
    """The path of the backup's configuration, if it differs from the one in force."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RestoreOptions:
    """Options of a restore.

    replace: also over a state that holds people. check: check the backup only. ledger: a newer copy
    of the erasure ledger. config: the configuration in force. reason: for the journal.
    """

    replace: bool = False
    check: bool = False
    ledger: Path | None = None
    config: Path | None = None
    reason: str = ""


def restore(
    settings: Settings,
    source: BinaryIO,
    opener: StreamOpener,
    options: RestoreOptions,
    show: Show = lambda done, total: None,
) -> RestoreReport:
    """Check a backup and restore it; the program must not run.

    Raises: StateLocked, Conflict over a state that holds people, SealError, SourceError,
    SchemaTooNew, StorageError; the state is unchanged then.
    """
    state = settings.storage.state_dir
    with ExitStack() as stack:
        stack.enter_context(_made(state))
        stack.enter_context(StateLock(state, RESTORE, leaves_file=False))
        finish(state)  # an earlier swap that a power cut has interrupted
        if not options.check:
            stack.enter_context(StateLock(state, DOOR))
            stack.enter_context(StateLock(state, SERVICE))
            if not options.replace and not _is_empty(settings):
                raise Conflict(
                    f"{state} holds people or accounts already: with --replace they are set aside"
                )
        stage = stack.enter_context(_Stage.made(settings))
        return _Restore(settings, stage, options, show).run(source, opener)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder where it is missing; what is made for this and empty at the end goes again."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_private(folder)
    try:
        yield
    finally:
        for place in missing:
            with contextlib.suppress(OSError):  # it holds something now
                place.rmdir()


class _Stage:
    """The staging copy: folders named `restore.staging`, and a schema of PostgreSQL."""

    def __init__(self, settings: Settings) -> None:
        storage = settings.storage
        self.live = settings
        self.state = storage.state_dir
        file = sqlite_file(settings)
        self.kind = SQLITE if file is not None else "postgresql"
        self.names: dict[Path, list[str]] = {
            self.state: ["keys", "cache", *KEPT, *(p.name for p in _old_heads(self.state))]
        }
        if file is not None:
            ends = ("", "-wal", "-shm")
            place = file.absolute().parent
            place = self.state if place == self.state.absolute() else place
            self.names.setdefault(place, [])[:0] = [file.name + end for end in ends]
            url = f"sqlite:///{place / STAGING / file.name}"
            self.database = place / STAGING / file.name
        else:
            url, self.database = staging_url(storage.url), Path()
        self.uploads = storage.uploads
        self.names.setdefault(self.uploads, []).extend(FOLDERS)
        changed = {
            "state_dir": self.state / STAGING,
            "upload_dir": self.uploads / STAGING,
            "database_url": url,
        }
        self.settings = settings.model_copy(update={"storage": storage.model_copy(update=changed)})

    @classmethod
    @contextmanager
    def made(cls, settings: Settings) -> Iterator[_Stage]:
        """Yield an empty stage; what is left of it at the end is removed."""
        stage = cls(settings)
        stage.remove()
        with ExitStack() as folders:
            for place in stage.names:
                folders.enter_context(_made(place))
            try:
                for place in stage.names:
                    (place / STAGING).mkdir(mode=0o700, parents=True)
                yield stage
            except OSError as error:
                raise StorageError(f"{stage.state} cannot be written: {error}") from error
            finally:
                stage.remove()

    def remove(self) -> None:
        """Remove the staging copy, unless its swap has begun."""
        if (self.state / PENDING).exists():
            return
        for place in self.names:
            shutil.rmtree(place / STAGING, ignore_errors=True)
        if self.kind != SQLITE:
            drop_staging(self.live.storage.url)

    def place(self, name: str) -> Path:
        """Return the path for a member of a backup."""
        if name == "database.sqlite" and self.kind == SQLITE:
            return self.database
        top, _, rest = name.partition("/")
        if top == "uploads":
            return self.uploads / STAGING / rest
        if top == "state":
            return self.state / STAGING / rest
        return self.state / STAGING / "apart" / name

    def fill_database(self, unpacked: Unpacked) -> None:
        """Make the database of the unpacked files. Raises: SealError, StorageError."""
        manifest = unpacked.manifest.database
        if self.kind == SQLITE:
            with closing(sqlite3.connect(self.database)) as connection:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise SealError(f"the database in the backup is damaged: {found}")
            return
        staged = begin_staging(self.live.storage.url, manifest.revision)
        with ExitStack() as stack:
            stack.callback(staged.close)
            files: dict[str, BinaryIO] = {
                name: stack.enter_context(open(self.place(name), "rb")) for name in unpacked.tables
            }
            fill_tables(staged, files, manifest.counters, lambda done: None)

    def take_over(self, name: str) -> str | None:
        """Swap the copy with the state; return where the former state is, None without one."""
        kept = []
        if self.kind != SQLITE:
            kept.append(f"schema {put_in_force(self.live.storage.url, name)}")
        shutil.rmtree(self.state / STAGING / "apart", ignore_errors=True)
        if swap(self.state, self.names, name):
            kept.insert(0, str(self.state / f"{BEFORE}{name}"))
        return ", ".join(kept) or None


class _Restore:
    def __init__(
        self, settings: Settings, stage: _Stage, options: RestoreOptions, show: Show
    ) -> None:
        self._settings = settings
        self._stage = stage
        self._options = options
        self._show = show
        self._notes: list[str] = []

    def run(self, source: BinaryIO, opener: StreamOpener) -> RestoreReport:
        state, stage = self._stage.state, self._stage
        unpacked = unpack(source, opener, stage.place, state, self._show)
        manifest = unpacked.manifest
        self._require_fit(manifest)
        stage.fill_database(unpacked)
        self._take_seal_key()
        with Workspace(stage.settings) as workspace:
            found = workspace.journal.verify(self._show)
            people, photos = self._check_people(workspace)
            gate = workspace.journal.gate_uid()
        if not found.ok:
            self._notes.append(
                f"the journal did not add up when the backup was made ({found.first_problem}): "
                "that is not acknowledged by this"
            )
        report = RestoreReport(
            manifest.created_at, manifest.gate, manifest.gated, manifest.database.revision,
            people, photos, found.rows, notes=self._notes,
        )  # fmt: skip
        if self._options.check:
            return report
        same = self._keep_identity(gate)
        self._join_ledgers()
        with Workspace(stage.settings) as workspace:
            again = self._record(workspace, manifest, same, found)
            workspace.database.truncate_log()
        config = self._config()
        name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        kept = stage.take_over(name)
        return RestoreReport(
            **{**vars(report), "erased_again": again, "kept": kept, "config": config}
        )

    def _require_fit(self, manifest: Manifest) -> None:
        """Raises: SourceError, SchemaTooNew for a backup of another kind of installation."""
        if manifest.database.kind != self._stage.kind:
            raise SourceError(
                f"the backup is of a database of {manifest.database.kind}, and here it is "
                f"{self._stage.kind}: see storage.database_url and DATABASE_URL"
            )
        if manifest.role != self._settings.gate.role:
            raise SourceError(
                f"the backup is that of a {manifest.role}, and this is a "
                f"{self._settings.gate.role}: name its configuration with --config"
            )
        require_known(manifest.database.revision, "the database in the backup")

    def _take_seal_key(self) -> None:
        """Use the sealing key of the backup; one that is configured elsewhere has to be the
        same."""
        storage = self._settings.storage
        given = given_sealing_key(storage.key_file)
        file = self._stage.place(SEAL_KEY)
        key = file.read_bytes()
        file.unlink()
        if given is None:
            write_key(file, key)
        elif given != key:
            raise Conflict(
                "the sealing key of this machine (storage.key_file, GATED_SEAL_KEY or a credential "
                "of systemd) is another one than that of the backup: take it away, and the "
                "backup's own comes into keys/seal.key"
            )

    def _check_people(self, workspace: Workspace) -> tuple[int, int]:
        """Return the numbers of people and photos; note files that are missing or damaged."""
        with workspace.database.read() as session:
            people = session.execute(sa.select(sa.func.count()).select_from(persons)).scalar_one()
            paths = session.execute(
                sa.select(enrollments.c.face_image_path, enrollments.c.face_encoding_path)
            ).all()
        missing = opened = wrong = 0
        for image, encoding in paths:
            for path, load in (
                (image, workspace.files.load_image),
                (encoding, workspace.files.load_encoding),
            ):
                if not path:
                    continue
                try:
                    load(path)
                    opened += 1
                except SealError:
                    wrong += 1
                except StorageError:
                    missing += 1
        if wrong and not opened:
            raise SealError("no photo of the backup can be opened with its key")
        if wrong or missing:
            self._notes.append(
                f"of photos and templates {missing} are not in the backup and {wrong} are damaged"
            )
        return int(people), sum(1 for image, _ in paths if image)

    def _keep_identity(self, gate: str) -> Head | None:
        """Keep key and head of the state for a backup of the same gate; return the head, else None.

        By that head, rows that were written after the backup are reported as missing.
        """
        state, staged = self._stage.state, self._stage.state / STAGING
        head = read_head(state / HEAD_FILE)
        try:
            key = journal_key(state)
        except StorageError:
            key = None
        if head is None or key is None or head.gate != gate:
            return None
        if not head.is_signed_by(key.public_bytes_raw().hex()):
            self._notes.append("journal.head was not signed by keys/journal.key, and is set aside")
            return None
        for name in IDENTITY:
            (staged / name).unlink(missing_ok=True)
            if (state / name).exists():
                write_atomic(staged / name, (state / name).read_bytes())
        for path in _old_heads(state):
            write_atomic(staged / path.name, path.read_bytes())
        return head

    def _join_ledgers(self) -> None:
        """Merge the erasure ledgers of backup, state and `options.ledger`."""
        ledger = ErasureLedger(self._stage.state / STAGING / erasure_ledger.NAME)
        known = ledger.read()
        others = [self._stage.state / erasure_ledger.NAME]
        if self._options.ledger is not None:
            if not self._options.ledger.is_file():
                raise SourceError(f"{self._options.ledger}: there is no such file")
            others.append(self._options.ledger)
        for path in others:
            ledger.add(sorted(ErasureLedger(path).read() - known))

    def _record(
        self, workspace: Workspace, manifest: Manifest, same: Head | None, before: Verification
    ) -> int:
        """Record the restore in the journal, and repeat erasures; return their number."""
        log, clock = workspace.journal, workspace.clock
        self._continue_journal(workspace, clock, same)
        with workspace.change(ACTOR) as change:
            body = {"made_at": manifest.created_at, "by": manifest.gated, "same_gate": bool(same)}
            change.record("state_restored", body)
        was = _count(workspace)
        recover(workspace, clock, restored=True)
        if before.ok and not log.verify().ok:
            reason = self._options.reason or f"backup of {manifest.created_at} restored"
            log.acknowledge(clock.now(), ACTOR, reason)
        return was - _count(workspace)

    def _continue_journal(self, workspace: Workspace, clock: Clock, same: Head | None) -> None:
        log = workspace.journal
        if log.is_behind():
            log.start_pending_chain(clock.now())
        elif same is None and _has_rows(workspace):
            # rows written since the backup are unknown here; a hub may have them, under these
            # numbers
            log.start_new_chain(clock.now(), RESTORED)

    def _config(self) -> str | None:
        """Write the configuration of the backup beside the state if it differs; return its path."""
        found = self._stage.place(CONFIG)
        if not found.is_file():
            return None
        data = found.read_bytes()
        with contextlib.suppress(OSError):
            if self._options.config is not None and self._options.config.read_bytes() == data:
                return None
        target = self._stage.state / CONFIG_BESIDE
        write_atomic(target, data)
        return str(target)


def _is_empty(settings: Settings) -> bool:
    """Return whether the state holds no people, accounts or passages."""
    if not has_database(settings):
        return True
    database = Database.open(settings.storage.url)
    try:
        with database.read() as session:
            there = set(sa.inspect(session.connection()).get_table_names())
            tables = [t for t in (persons, accounts, attendance_logs) if t.name in there]
            return not any(session.execute(sa.select(t.c.id).limit(1)).first() for t in tables)
    finally:
        database.close()


def _has_rows(workspace: Workspace) -> bool:
    with workspace.database.read() as session:
        return session.execute(sa.select(journal.c.seq).limit(1)).first() is not None


def _count(workspace: Workspace) -> int:
    with workspace.database.read() as session:
        return sum(
            session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (persons, enrollments)
        )


def _old_heads(state: Path) -> Iterator[Path]:
    return (p for p in state_files(state) if p.name.startswith(f"{HEAD_FILE}.before-"))
