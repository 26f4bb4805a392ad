"""The base of every loop of the running gate: one named thread with a heartbeat."""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

from gated.devices.thread_names import name_this_thread

log = logging.getLogger(__name__)

STOP_S = 5.0
"""Seconds that one loop may take to end."""

OnCrash = Callable[[str, BaseException], None]


class Watched(Protocol):
    """Something with a thread for which the watchdog is held back while it hangs."""

    @property
    def name(self) -> str:
        """The name in the log."""

    @property
    def stuck(self) -> bool:
        """True when its thread has made no progress in time."""


class Loop(threading.Thread):
    """Runs `work` until `stop`; an exception in `work` is reported to `on_crash`.

    beat_limit_s: seconds without a beat after which the loop counts as stuck.
    """

    beat_limit_s = 15.0

    def __init__(self, name: str, on_crash: OnCrash) -> None:
        super().__init__(name=name, daemon=True)
        self.stopping = threading.Event()
        self._on_crash = on_crash
        self._beat_at = time.monotonic()

    def run(self) -> None:
        name_this_thread()
        try:
            self.work()
        except BaseException as error:
            self._on_crash(self.name, error)

    @abstractmethod
    def work(self) -> None:
        """Loop until `self.stopping` is set, calling `self.beat()` at each turn."""

    def beat(self) -> None:
        """Mark the loop as alive."""
        self._beat_at = time.monotonic()

    @property
    def stuck(self) -> bool:
        """True when a running loop has not beaten in time."""
        return self.is_alive() and time.monotonic() - self._beat_at > self.beat_limit_s

    def stop(self) -> None:
        """Ask the loop to end; safe from any thread."""
        self.stopping.set()


def end(loop: Loop) -> None:
    """Stop a loop and wait for it; a loop that hangs is left behind and logged."""
    loop.stop()
    if loop.is_alive():
        loop.join(timeout=STOP_S)
    if loop.is_alive():
        log.error("%s did not end in time", loop.name)
