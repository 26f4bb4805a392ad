"""One program per state directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from gated.errors import StateLocked, StorageError

DOOR, SERVICE = "gated.lock", "service.lock"
"""Lock files: of the process that holds the door, or of a hub; and of a gate's service."""

GLANCE_S = 0.3
"""Whoever asks whether a program runs (`is_locked`) has the lock for a moment, far shorter."""


class StateLock:
    """Holds a lock file of a state directory; the kernel releases it when the process dies.

    leaves_file: the file stays afterwards; False: it is removed with the lock.
    """

    def __init__(self, state_dir: Path, name: str = DOOR, *, leaves_file: bool = True) -> None:
        self._path = state_dir / name
        self._leaves_file = leaves_file
        self._fd: int | None = None

    def __enter__(self) -> StateLock:
        """Take the lock. Raises: StateLocked, with the process that has it; StorageError."""
        while self._fd is None:
            fd = self._locked()
            # whoever had it may have removed the file: then this lock is of no name any more
            if self._is_of(fd):
                self._fd = fd
            else:
                os.close(fd)
        return self

    def _locked(self) -> int:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise StorageError(f"{self._path} cannot be written: {e.strerror}") from e
        try:
            _lock(fd)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            owner = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise StateLocked(
                f"another gated (process {owner}) uses {self._path.parent}: stop it first or "
                "choose another state directory"
            ) from None
        except OSError as e:
            os.close(fd)
            raise StorageError(f"{self._path} cannot be written: {e.strerror}") from e
        return fd

    def _is_of(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._fd is not None:
            if not self._leaves_file:
                with contextlib.suppress(OSError):
                    self._path.unlink()
            os.close(self._fd)
            self._fd = None


def _lock(fd: int) -> None:
    """Raises: BlockingIOError when somebody has it, and not only to see whether anybody has."""
    end = time.monotonic() + GLANCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        time.sleep(0.01)


def is_locked(state_dir: Path, name: str = DOOR) -> bool:
    """Return whether a door process (or hub), or a service, uses the state directory now."""
    with contextlib.suppress(OSError), (state_dir / name).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
