"""Makes a backup of a running gate or hub: a consistent snapshot, encrypted, in one file."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from gated import __version__
from gated.backup.contents import (
    CONFIG,
    LARGEST_CONFIG,
    MANIFEST,
    SEAL_KEY,
    DatabaseInBackup,
    Manifest,
    state_files,
    upload_files,
)
from gated.backup.database_copy import DatabaseCopy, copied
from gated.backup.sealed_stream import KeyLock, SealedWriter
from gated.config import Settings
from gated.database.engine import Database
from gated.errors import Conflict, StorageError
from gated.journal.erasure_ledger import NAME as LEDGER
from gated.vault.sealing import sealing_key
from gated.workspace import has_database, sqlite_file

Show = Callable[[int, int], None]
"""Called with the number of bytes done, and of all bytes."""

_LEDGER = f"state/{LEDGER}"
LARGEST_STATE_FILE = 64 << 20
"""Bytes; a larger file in the state directory is not one of the program's."""


@dataclass(frozen=True)
class BackupReport:
    """The contents of a backup. bytes: before compression. revision: of the schema."""

    created_at: str
    gate: str
    revision: str
    database: str
    files: int
    bytes: int


def make_backup(
    settings: Settings,
    target: BinaryIO,
    lock: KeyLock,
    *,
    config: Path | None = None,
    show: Show = lambda done, total: None,
) -> BackupReport:
    """Write a backup of the state into a file that is open for writing.

    config: the configuration file, which is included. show: receives the progress. Raises: Conflict
    when the journal's key was changed meanwhile, StorageError.
    """
    if not has_database(settings):
        state = settings.storage.state_dir
        raise StorageError(f"there is no database in {state}: has the gate run here?")
    return _Backup(settings, lock, config, show).write(target)


class _Backup:
    def __init__(self, settings: Settings, lock: KeyLock, config: Path | None, show: Show) -> None:
        self._settings = settings
        self._storage = settings.storage
        self._lock = lock
        self._config = config
        self._show = show
        self._done = self._total = self._files = 0

    def write(self, target: BinaryIO) -> BackupReport:
        state = self._storage.state_dir
        try:
            # the head first: a head behind the database is normal, the reverse is an alarm
            small = self._state()
            photos = list(upload_files(self._storage.uploads))
        except OSError as error:
            raise StorageError(f"{state} cannot be read: {error.strerror}") from error
        self._total = 2 * self._database_bytes() + sum(map(_size, photos))
        database = Database.open(self._storage.url)
        try:
            with copied(database, state, self._step) as copy:
                sizes = sum(_length(file) for file in copy.files.values())
                self._total += sizes - self._database_bytes()
                manifest = self._manifest(copy, sizes + sum(map(_size, photos)))
                sealed = SealedWriter(target, self._lock)
                with (
                    gzip.GzipFile(fileobj=sealed, mode="wb", compresslevel=1, mtime=0) as packed,
                    tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
                ):
                    self._fill(tar, manifest, copy, small, photos)
                sealed.finish()
        except OSError as error:
            raise StorageError(f"the backup cannot be written: {error.strerror}") from error
        finally:
            database.close()
        return BackupReport(
            manifest.created_at,
            manifest.gate,
            manifest.database.revision,
            manifest.database.kind,
            self._files,
            manifest.bytes,
        )

    def _fill(
        self,
        tar: tarfile.TarFile,
        manifest: Manifest,
        copy: DatabaseCopy,
        small: dict[str, bytes],
        photos: list[Path],
    ) -> None:
        self._add(tar, MANIFEST, manifest.model_dump_json().encode())
        for name, file in copy.files.items():
            file.seek(0)
            self._add_file(tar, name, file, _length(file))
        for path in photos:
            try:
                file = open(path, "rb")  # noqa: SIM115  # closed below
            except FileNotFoundError:  # deleted meanwhile: it must not be in the backup
                self._step(0)
                continue
            with file:
                name = f"uploads/{path.parent.name}/{path.name}"
                self._add_file(tar, name, file, os.fstat(file.fileno()).st_size)
        # the ledger last: persons erased while the backup is written must not come back
        later = self._state()
        for name, data in (small | {n: later[n] for n in {_LEDGER} & later.keys()}).items():
            self._add(tar, name, data)
        if _keys(later) != _keys(small):
            text = "a key was changed while the backup was made: make it once more"
            raise Conflict(text).named("key_changed")

    def _state(self) -> dict[str, bytes]:
        """Return the small files by their names in the backup."""
        found = {}
        state = self._storage.state_dir
        for path in state_files(state):
            with suppress(FileNotFoundError):  # removed meanwhile by the running gate
                if path.stat().st_size <= LARGEST_STATE_FILE:
                    found[f"state/{path.relative_to(state)}"] = path.read_bytes()
        found[SEAL_KEY] = sealing_key(state, self._storage.key_file)
        if self._config is not None and _size(self._config) <= LARGEST_CONFIG:
            found[CONFIG] = self._config.read_bytes()
        return found

    def _manifest(self, copy: DatabaseCopy, size: int) -> Manifest:
        if copy.revision is None:
            raise StorageError("the database has no tables yet: there is nothing to back up")
        gate = self._settings.gate
        return Manifest(
            format=1,
            gated=__version__,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            role=gate.role,
            gate=gate.name,
            site=gate.site,
            database=DatabaseInBackup(
                kind="sqlite" if copy.kind == "sqlite" else "postgresql",
                revision=copy.revision,
                counters=copy.counters,
            ),
            bytes=size,
        )

    def _database_bytes(self) -> int:
        file = sqlite_file(self._settings)
        return _size(file) if file is not None else 0

    def _add(self, tar: tarfile.TarFile, name: str, data: bytes) -> None:
        self._add_file(tar, name, io.BytesIO(data), len(data))

    def _add_file(self, tar: tarfile.TarFile, name: str, file: BinaryIO, size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        tar.addfile(member, _Counted(file, self._step))
        tar.members.clear()  # type: ignore[attr-defined]  # it would remember all of them
        self._files += 1

    def _step(self, done: int) -> None:
        self._done += done
        self._show(min(self._done, self._total), self._total)


class _Counted:
    """A file that reports the bytes that are read."""

    def __init__(self, file: BinaryIO, step: Callable[[int], None]) -> None:
        self._file = file
        self._step = step

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._step(len(data))
        return data


def _keys(found: Mapping[str, bytes]) -> dict[str, bytes]:
    return {n: d for n, d in found.items() if n.startswith("state/keys/") and n.endswith(".key")}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _length(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
