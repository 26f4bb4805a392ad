"""Runs the service as a child of the door process, and starts it again whenever it ends.

Both hold one end of a socket pair. When the door process is gone, however it ended, the child reads
end-of-file and exits. When the child cannot start it writes the reason, which the door process
shows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gated.errors import ConfigError
from gated.link.loop import Loop, OnCrash

log = logging.getLogger(__name__)

LIFELINE = "GATED_DOOR_FD"
"""Environment variable of the child: the descriptor of its end."""

LOG_LEVEL = "GATED_LOG_LEVEL"
"""Environment variable of the child: its log level."""

PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
WELL_S = 120.0
"""After a run of so many seconds the pauses begin with the shortest again."""

END_S = 6.0
"""Seconds that the child may take to answer open requests."""

ORPHAN_S = 5.0
"""Seconds after which a service whose door process was killed exits by force, to free its port."""

POLL_S = 1.0
LONGEST_REASON = 8192

_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")


class ServiceChild(Loop):
    """Keeps a service running beside the door.

    served: returns whether it has answered requests since the start. on_refused: called when its
    configuration is invalid, if it never did.
    """

    def __init__(
        self,
        config: Path | None,
        served: Callable[[], bool],
        on_refused: Callable[[ConfigError], None],
        on_crash: OnCrash,
        *,
        level: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__("service", on_crash)
        where = [] if config is None else ["--config", str(config)]
        self._command = [sys.executable, "-m", "gated", "run", "service", *where]
        self._environ = {k: v for k, v in environ.items() if k not in _SYSTEMD}
        if level is not None:
            self._environ[LOG_LEVEL] = level
        self._served = served
        self._on_refused = on_refused
        self._failures = 0
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> int | None:
        """The process id of the child; None while there is none."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def work(self) -> None:
        while not self.stopping.is_set():
            self.beat()
            began = time.monotonic()
            reason, code = self._run()
            if self.stopping.is_set():
                return
            if code == ConfigError.exit_code and not self._served():
                self._on_refused(ConfigError(*(reason or "the service cannot run").splitlines()))
                return
            ran = time.monotonic() - began
            self._failures = 0 if ran >= WELL_S else self._failures + 1
            pause = PAUSES_S[min(max(0, self._failures - 1), len(PAUSES_S) - 1)]
            level = logging.INFO if code == 0 else logging.ERROR
            log.log(level, "the service has ended (%d), again in %g s: %s", code, pause, reason)
            self._rest(pause)

    def stop(self) -> None:
        """Ask the child to end; does not wait for it."""
        super().stop()
        with self._lock:
            if self._child is not None:
                self._child.terminate()

    def _run(self) -> tuple[str, int]:
        """Run a child to its end; return the reason that it wrote, and its exit code."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs, self._lock:
                if self.stopping.is_set():
                    return "", 0
                environ = {**self._environ, LIFELINE: str(theirs.fileno())}
                self._child = subprocess.Popen(  # noqa: S603 - this program itself
                    self._command, env=environ, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
                )
            return self._wait(self._child, ours)

    def _wait(self, child: subprocess.Popen[bytes], ours: socket.socket) -> tuple[str, int]:
        """Wait for the child without polling: its end of the pair closes with it."""
        reason, until = b"", None
        while True:
            self.beat()
            ready, _, _ = select.select([ours], [], [], POLL_S)
            if ready:
                data = b""
                with contextlib.suppress(OSError):
                    data = ours.recv(LONGEST_REASON)
                if not data:
                    break
                reason = (reason + data)[:LONGEST_REASON]
            if self.stopping.is_set():
                until = until or time.monotonic() + END_S
                if time.monotonic() >= until:
                    log.error("the service does not end by itself: it is killed")
                    child.kill()
                    break
        return reason.decode(errors="replace").strip(), self._reaped(child)

    def _reaped(self, child: subprocess.Popen[bytes]) -> int:
        try:
            return child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping.wait(min(POLL_S, max(0.0, until - time.monotonic()))):
            self.beat()
            if time.monotonic() >= until:
                return


class Lifeline:
    """The child's end: ends the service when the door process is gone.

    Does nothing in a service that no door process has started.
    """

    def __init__(self, environ: dict[str, str] | os._Environ[str] = os.environ) -> None:
        number = environ.pop(LIFELINE, None)
        self._socket = None if number is None else socket.socket(fileno=int(number))
        if self._socket is not None:
            os.set_inheritable(self._socket.fileno(), False)

    @property
    def is_child(self) -> bool:
        """True when a door process has started this one."""
        return self._socket is not None

    def send_reason(self, reason: str) -> None:
        """Send the door process the reason why this one cannot run; never waits."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(reason.encode()[:LONGEST_REASON], socket.MSG_DONTWAIT)

    def watch(self, on_end: Callable[[], None]) -> None:
        """Call `on_end` in a thread when the door process is gone; exit by force soon after."""
        lifeline = self._socket
        if lifeline is None:
            return

        def wait() -> None:
            with contextlib.suppress(OSError):
                while lifeline.recv(64):
                    pass
            on_end()
            time.sleep(ORPHAN_S)
            os._exit(0)

        threading.Thread(target=wait, name="lifeline", daemon=True).start()
