"""Writes records into the journal, in batches, off the door path."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

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


class Memory(Protocol):
    """A place for what must survive a restart also while the database refuses."""

    @property
    def kinds(self) -> Collection[str]:
        """Kinds of records to keep."""

    def keep(self, records: Iterable[RecordEvent]) -> None:
        """Keep what these records say; never raises."""

    def recorded(self, batch: Sequence[Record]) -> None:
        """Take that a batch is in the database; never raises."""


class NoMemory:
    """Keeps nothing."""

    kinds: Collection[str] = ()

    def keep(self, records: Iterable[RecordEvent]) -> None:
        """Do nothing."""

    def recorded(self, batch: Sequence[Record]) -> None:
        """Do nothing."""


class JournalWriter(Loop):
    """A bounded queue and the thread that empties it. `offer` never blocks.

    While the database refuses, the batch is kept and tried again with backoff; when the queue is
    full `available` turns False and the gate denies by face with `log_unavailable`.

    disk_full: set by the loop that watches the disk; records that still arrive are written.
    memory: keeps some kinds at once, also those for which the queue has no place.
    """

    def __init__(
        self, append: Append, capacity: int, on_crash: OnCrash, memory: Memory | None = None
    ) -> None:
        super().__init__("journal", on_crash)
        self._append = append
        self._memory = memory or NoMemory()
        self._unkept: dict[str, RecordEvent] = {}
        """The newest record of each kind that memory has not seen yet, in their order."""
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
            if isinstance(record, RecordEvent) and record.kind in self._memory.kinds:
                self._unkept.pop(record.kind, None)
                self._unkept[record.kind] = record
                self._changed.notify()
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
            self._keep()
            if batch and self._write(batch):
                pause = 0.1
            elif batch:
                self._rest(pause)
                pause = min(2 * pause, 5.0)
        self._keep()
        if self._queue:
            log.error("%d records could not be written before the end", len(self._queue))

    def stop(self) -> None:
        super().stop()
        with self._changed:
            self._changed.notify()

    def _keep(self) -> None:
        with self._changed:
            unkept, self._unkept = self._unkept, {}
        if unkept:
            self._memory.keep(unkept.values())

    def _rest(self, seconds: float) -> None:
        """Wait before the next try; what memory has to keep is kept meanwhile."""
        until = time.monotonic() + seconds
        while not self.stopping.is_set() and (left := until - time.monotonic()) > 0:
            with self._changed:
                self._changed.wait_for(lambda: self.stopping.is_set() or self._unkept, left)
            self._keep()

    def _peek(self) -> list[Record]:
        with self._changed:
            if not self._queue and not self._unkept:
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
        self._memory.recorded(batch)
        with self._changed:
            for _ in batch:
                self._queue.popleft()
        self.written += len(batch)
        return True
