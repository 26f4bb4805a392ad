"""Makes backups as jobs, and keeps the newest of them in the state directory, to be downloaded."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gated.backup.backup import make_backup
from gated.backup.contents import upload_files
from gated.backup.sealed_stream import KeyLock
from gated.change import Change
from gated.enrollment.jobs import Job, Work
from gated.errors import NoSpace, NotFound, StorageError
from gated.live.health_checks import free_bytes
from gated.workspace import Workspace, make_private, sqlite_file

FOLDER = "backups"
SUFFIX = ".backup"

KEPT = 3
"""Older ones are removed once a new one is complete."""

SPARE = 256 << 20
"""Bytes of the disk that stay free, as the log needs room."""

LOOK = 16 << 20
"""Bytes of progress after which the disk is looked at again."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,80}}{re.escape(SUFFIX)}")
_ODD = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class StoredBackup:
    """A backup in the state directory. bytes: its size."""

    name: str
    path: Path
    bytes: int
    created_at: datetime


class _Cancelled(Exception):
    """Nobody wants the backup any more."""


class StoredBackups:
    """The backups in the state directory of a workspace.

    config: the configuration file, which a backup includes. free: returns the free bytes of a path.
    """

    def __init__(
        self,
        workspace: Workspace,
        config: Path | None,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._workspace = workspace
        self._settings = workspace.settings
        self._folder = workspace.settings.storage.state_dir / FOLDER
        self._config = config
        self._free = free

    def list_(self) -> list[StoredBackup]:
        """Return the complete ones, newest first. Raises: StorageError."""
        try:
            there = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
            found = [_stored(path) for path in there if _NAME.fullmatch(path.name)]
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be read: {error.strerror}") from error
        return sorted(found, key=lambda b: (b.created_at, b.name), reverse=True)

    def get(self, name: str) -> StoredBackup:
        """Return one. Raises: NotFound."""
        for found in self.list_():
            if found.name == name:
                return found
        raise NotFound(f"there is no backup {name[:100]}")

    def record_download(self, change: Change, name: str) -> StoredBackup:
        """Return one whose download is recorded. Raises: NotFound."""
        found = self.get(name)
        change.record("backup_downloaded", {"file": found.name})
        return found

    def delete(self, change: Change, name: str) -> None:
        """Remove one. Raises: NotFound."""
        found = self.get(name)
        change.record("backup_deleted", {"file": found.name})
        change.after_commit(lambda: found.path.unlink(missing_ok=True))

    def require_space(self) -> None:
        """Refuse when the disk has no room for one more. Raises: NoSpace."""
        file, storage = sqlite_file(self._settings), self._settings.storage
        photos = sum(_size(path) for path in upload_files(storage.uploads))
        # the copy of the database, and the sealed file
        self._require(2 * (_size(file) if file is not None else 0) + photos)

    def work(self, lock: KeyLock, actor: str) -> Work:
        """Return the work of a job that makes a backup; its report names the file."""

        def work(job: Job) -> None:
            make_private(self._folder)
            name = self._new_name()
            path = self._folder / f".{name}.{secrets.token_hex(8)}.tmp"
            try:
                self._write(job, path, lock)
                os.rename(path, self._folder / name)
            except _Cancelled:
                return
            except OSError as error:
                raise StorageError(f"the backup cannot be stored: {error.strerror}") from error
            finally:
                path.unlink(missing_ok=True)
            made = self.get(name)
            with self._workspace.change(actor) as change:
                change.record("backup_made", {"file": name, "bytes": made.bytes})
            # by a clock that was set back meanwhile the new one is not the newest
            others = [found for found in self.list_() if found.name != name]
            for old in others[KEPT - 1 :]:
                old.path.unlink(missing_ok=True)
            report = {"file": name, "path": str(made.path), "bytes": made.bytes}
            job.progress(job.view.total, job.view.total, report)

        return work

    def _write(self, job: Job, path: Path, lock: KeyLock) -> None:
        looked = 0

        def show(done: int, total: int) -> None:
            nonlocal looked
            if job.cancelled.is_set():
                raise _Cancelled
            job.progress(done, total, {})
            if done - looked >= LOOK:
                looked = done
                os.utime(path)  # so that nobody takes it for the rest of a write that was cut off
                self._require(0)

        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as target:
            make_backup(self._settings, target, lock, config=self._config, show=show)
            target.flush()
            os.fsync(target.fileno())

    def _require(self, wanted: int) -> None:
        if self._free(self._settings.storage.state_dir) < wanted + SPARE:
            raise NoSpace(
                "the disk has no room for a backup: make room, or write it to another disk with "
                "`gated backup`"
            )

    def _new_name(self) -> str:
        gate = _ODD.sub("-", self._settings.gate.name).strip("-")[:40] or "gate"
        return f"{gate}-{datetime.now(UTC):%Y%m%d-%H%M%S}{SUFFIX}"


def _stored(path: Path) -> StoredBackup:
    found = path.stat()
    at = datetime.fromtimestamp(found.st_mtime, UTC)
    return StoredBackup(path.name, path, found.st_size, at)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
