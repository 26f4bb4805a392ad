"""Pictures -> sealed files, off the door path."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from typing import Generic, TypeVar

from gated.errors import StorageError
from gated.link.loop import Loop, OnCrash

log = logging.getLogger(__name__)

T = TypeVar("T")

WAITING = 8


class SnapshotWriter(Loop, Generic[T]):
    """A short queue and the thread that empties it; what finds no place is left out."""

    def __init__(self, keep: Callable[[T], None], on_crash: OnCrash) -> None:
        super().__init__("snapshots", on_crash)
        self._keep = keep
        self._queue: queue.Queue[T] = queue.Queue(WAITING)
        self.dropped = 0

    def offer(self, taken: T) -> None:
        """Queue a picture; never waits."""
        try:
            self._queue.put_nowait(taken)
        except queue.Full:
            self.dropped += 1

    def work(self) -> None:
        while not self.stopping.is_set() or not self._queue.empty():
            self.beat()
            try:
                taken = self._queue.get(timeout=0.5)
            except queue.Empty:
                continue
            try:
                self._keep(taken)
            except StorageError as error:
                log.error("a snapshot cannot be stored: %s", error)
