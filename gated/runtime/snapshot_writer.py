"""Writes pictures, and templates of refused visits, into sealed files, off the door path."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gated.errors import StorageError
from gated.link.loop import Loop, OnCrash

log = logging.getLogger(__name__)

T = TypeVar("T")

WAITING = 8
MINUTE_S = 60.0


def _nothing() -> None:
    """Do nothing."""


class SnapshotWriter(Loop, Generic[T]):
    """A short queue and the thread that empties it; items are dropped when it is full.

    keep: stores an item. each_minute: called at the start and then each minute.
    """

    def __init__(
        self,
        keep: Callable[[T], None],
        on_crash: OnCrash,
        name: str = "snapshots",
        each_minute: Callable[[], object] = _nothing,
    ) -> None:
        super().__init__(name, on_crash)
        self._keep = keep
        self._each_minute = each_minute
        self._queue: queue.Queue[T] = queue.Queue(WAITING)
        self.dropped = 0

    def offer(self, taken: T) -> None:
        """Queue a picture; never waits."""
        try:
            self._queue.put_nowait(taken)
        except queue.Full:
            self.dropped += 1

    def work(self) -> None:
        due = time.monotonic()
        while not self.stopping.is_set() or not self._queue.empty():
            self.beat()
            if time.monotonic() >= due:
                self._each_minute()
                due = time.monotonic() + MINUTE_S
            try:
                taken = self._queue.get(timeout=0.5)
            except queue.Empty:
                continue
            try:
                self._keep(taken)
            except StorageError as error:
                log.error("%s: one cannot be stored: %s", self.name, error)
