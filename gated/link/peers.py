"""Opens the socket in the state directory, and checks the user at its other end."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from gated.errors import StorageError

NAME = "gate.sock"

LONGEST_PATH = 100
"""Bytes: the kernel allows 107."""

_UCRED = struct.Struct("3i")


def socket_path(state_dir: Path) -> Path:
    """Return the path at which the door process of a state directory listens."""
    return state_dir / NAME


def listening(state_dir: Path, backlog: int) -> socket.socket:
    """Listen in the state directory, for this user alone; the caller holds the state lock.

    Raises: StorageError.
    """
    path = socket_path(state_dir)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_old(path)
        # before it is bound: it is never open to others, not even for a moment
        os.fchmod(made.fileno(), 0o600)
        with _short(path) as short:
            made.bind(short)
        made.listen(backlog)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise StorageError(f"{path} cannot be listened at: {error.strerror}") from None
    return made


def connected(state_dir: Path, within_s: float) -> socket.socket:
    """Connect to the door process of a state directory. Raises: OSError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(within_s)
    try:
        with _short(socket_path(state_dir)) as short:
            made.connect(short)
    except OSError:
        made.close()
        raise
    return made


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return process id and user id of the other end (SO_PEERCRED). Raises: OSError."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    process, user, _group = _UCRED.unpack(raw)
    return process, user


def is_trusted(user: int) -> bool:
    """Return whether a user is this process's own, or root."""
    return user in {0, os.geteuid()}


def _remove_old(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a path of the socket that is short enough for the kernel."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
