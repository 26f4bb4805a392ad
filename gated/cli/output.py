"""Files that a command writes where its user wants them, opened before the state is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gated.errors import SourceError


class OutputFile:
    """A file that keeps what it held until something else is written."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self.written = False

    def write(self, parts: Iterable[bytes]) -> int:
        """Put these bytes in the place of what was there; returns how many. Raises: SourceError."""
        size = 0
        try:
            os.ftruncate(self._fd, 0)
            with open(self._fd, "wb", closefd=False) as file:
                for part in parts:
                    size += file.write(part)
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be written: {error.strerror}") from None
        self.written = True
        return size


@contextmanager
def output_file(path: Path) -> Iterator[OutputFile]:
    """Open a file for writing, for its owner alone, before rights are given away.

    Under sudo a new one belongs to who typed the command. One that was made for nothing is removed
    as far as that can be done. Raises: SourceError.
    """
    flags = os.O_WRONLY | os.O_CLOEXEC
    new = True
    try:
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            fd, new = os.open(path, flags), False
        if new:
            _give_to_caller(fd)
    except OSError as error:
        raise SourceError(f"{path}: cannot be written: {error.strerror}") from None
    file = OutputFile(path, fd)
    try:
        yield file
    finally:
        os.close(fd)
        if new and not file.written:
            with contextlib.suppress(OSError):
                path.unlink()


def _give_to_caller(fd: int) -> None:
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and user.isdecimal() and group.isdecimal():
        os.fchown(fd, int(user), int(group))
