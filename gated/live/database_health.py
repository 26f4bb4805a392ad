"""Checks that the database can be used, for a health check that must answer within a second.

One check at a time runs in a thread of its own, so that a hanging server, or requests that wait for
it, do not delay the answer. A check that does not end is abandoned with its thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from gated.database.probe import SILENT, DatabaseTrouble, look_at

FRESH_S = 0.4
"""Age up to which a result is reused, to limit the load of frequent requests."""

PATIENCE_S = 0.8
"""Time limit of an answer."""

GIVEN_UP_S = 5.0
"""Time after which a check is abandoned."""
MOST_GIVEN_UP = 8
"""No check is begun while this many hang."""

Look = Callable[[], DatabaseTrouble | None]


class DatabaseHealth:
    """The health of one database. look: checks it, and returns the trouble or None."""

    def __init__(self, look: Look, patience_s: float = PATIENCE_S) -> None:
        self._look = look
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._running: Future[DatabaseTrouble | None] | None = None
        self._began = 0.0
        self._last: tuple[float, DatabaseTrouble | None] | None = None
        self._hanging = 0

    @classmethod
    def of(cls, url: str) -> DatabaseHealth:
        """Make one for the database at a URL."""
        return cls(lambda: look_at(url))

    async def trouble(self) -> DatabaseTrouble | None:
        """Return the present trouble, or None; within `patience_s`."""
        last, look = self._last, None
        if last is not None and time.monotonic() - last[0] < FRESH_S:
            return last[1]
        look = self._present_look()
        if look is None:
            return SILENT
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.shield(asyncio.wrap_future(look))
        except TimeoutError:
            return SILENT

    def _present_look(self) -> Future[DatabaseTrouble | None] | None:
        """Return the running check, or begin one; None when too many hang."""
        with self._lock:
            now = time.monotonic()
            if self._running is not None and now - self._began < GIVEN_UP_S:
                return self._running
            if self._hanging >= MOST_GIVEN_UP:
                return None
            self._hanging += 1
            self._running, self._began = Future(), now
            threading.Thread(
                target=self._work, args=(self._running,), name="database-look", daemon=True
            ).start()
            return self._running

    def _work(self, future: Future[DatabaseTrouble | None]) -> None:
        try:
            found = self._look()
        except Exception as error:
            found = DatabaseTrouble("database_unreachable", type(error).__name__)
        with self._lock:
            self._hanging -= 1
            if self._running is future:
                self._running = None
                self._last = time.monotonic(), found
        future.set_result(found)
