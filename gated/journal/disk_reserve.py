"""Reserves disk space with a file, which is deleted when the journal finds no space."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gated.errors import StorageError

NAME = "reserve"
SMALLEST = 64 << 10


class Reserve:
    """The file `reserve` in a directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME

    @property
    def held(self) -> int:
        """The number of bytes that are reserved now."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def hold(self, size: int) -> None:
        """Reserve so many bytes, or as many as there are. Raises: StorageError."""
        size = max(size, 0)
        if size < self.held:
            with _translated(self._path):
                os.truncate(self._path, size)
        while size > max(self.held, SMALLEST) and not self._take(size):
            size //= 2

    def _take(self, size: int) -> bool:
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, size)
            finally:
                os.close(fd)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Delete the file; does nothing without one. Raises: StorageError."""
        with _translated(self._path):
            self._path.unlink(missing_ok=True)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Raise an error of the disk, which may have become read-only, as a StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be changed: {error.strerror}") from error
