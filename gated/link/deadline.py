"""Ends an exchange with a partner at a deadline, however slowly the partner sends."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Deadline:
    """Shuts a connection down after so many seconds, which wakes the thread that waits for it.

    The time limit of a socket counts for one read (of TLS, for all of the handshake): a partner
    that sends a byte every few seconds never meets it.
    """

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._copy: socket.socket | None = None
        self.is_over = False
        """True when the time ran out: what was read by then may be a part."""

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._release()

    def watch(self, connection: socket.socket) -> None:
        """Watch this connection, before TLS is begun on it; the one before is watched no more."""
        # TLS takes the socket itself away, and shutting it down there would wait for its lock
        copy = connection.dup()
        with self._lock:
            self._release()
            self._copy = copy
            if self.is_over:
                _shut(copy)

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            if self._copy is not None:
                _shut(self._copy)

    def _release(self) -> None:
        if self._copy is not None:
            self._copy.close()
            self._copy = None


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
