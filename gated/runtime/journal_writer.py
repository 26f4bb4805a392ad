"""Writes records into the journal, in batches, off the door path."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from gated.core.messages import RecordDecision, RecordEvent
from gated.errors import StorageError
from gated.link.loop import Loop, OnCrash

log = logging.getLogger(__name__)

Record = RecordDecision | RecordEvent
Append = Callable[[Sequence[Record]], None]
"""Writes a batch durably, all or nothing. Raises: StorageError."""

RESERVE = 32
"""Places kept free, so that all records of one event fit once it was allowed."""

BATCH = 256


class JournalWriter(Loop):
    """A bounded queue and the thread that empties it. `offer` never blocks.

    While the database refuses, the batch is kept and tried again with backoff; when the queue is
    full `available` turns False and the gate denies by face with `log_unavailable`.

    disk_full: set by the loop that watches the disk; records that still arrive are written.
    """

    def __init__(self, append: Append, capacity: int, on_crash: OnCrash) -> None:
        super().__init__("journal", on_crash)
        self._append = append
        self._capacity = capacity
        self._changed = threading.Condition()
        self._queue: deque[Record] = deque()
        self.failing = False
        self.disk_full = False
        self.written = 0
        self.refused = 0

    @property
    def available(self) -> bool:
        """True when there is a place for all records of one more event."""
        return not self.disk_full and len(self._queue) <= self._capacity - RESERVE

    @property
    def backlog(self) -> int:
        return len(self._queue)

    def offer(self, record: Record) -> bool:
        """Queue a record; False (and counted) when there is no place."""
        with self._changed:
            if len(self._queue) >= self._capacity:
                self.refused += 1
                return False
            self._queue.append(record)
            self._changed.notify()
            return True

    def work(self) -> None:
        pause = 0.1
        while not self.stopping.is_set() or (self._queue and not self.failing):
            self.beat()
            batch = self._peek()
            if batch and self._write(batch):
                pause = 0.1
            elif batch:
                self.stopping.wait(pause)
                pause = min(2 * pause, 5.0)
        if self._queue:
            log.error("%d records could not be written before the end", len(self._queue))

    def stop(self) -> None:
        super().stop()
        with self._changed:
            self._changed.notify()

    def _peek(self) -> list[Record]:
        with self._changed:
            if not self._queue:
                self._changed.wait(1.0)
            return [self._queue[i] for i in range(min(BATCH, len(self._queue)))]

    def _write(self, batch: list[Record]) -> bool:
        try:
            self._append(batch)
        except StorageError as error:
            if not self.failing:
                log.error("the journal cannot be written: %s", error)
            self.failing = True
            return False
        if self.failing:
            log.warning("the journal can be written again")
        self.failing = False
        with self._changed:
            for _ in batch:
                self._queue.popleft()
        self.written += len(batch)
        return True
