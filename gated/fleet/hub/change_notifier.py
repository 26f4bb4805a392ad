"""Wakes requests that wait for a change, by one thread for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable

from gated.database import change_feed
from gated.errors import StorageError
from gated.workspace import Workspace

log = logging.getLogger(__name__)

LOOK_S = 0.2
"""The interval of looking for a change in SQLite; PostgreSQL notifies by itself."""


class ChangeNotifier:
    """Rings when the feed has grown, or another topic; listens once somebody has waited.

    It alone asks the database: those who wait are hundreds.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._ends: dict[str, int] = {}
        """Topic -> number of the last change."""
        self._lock = threading.Lock()
        self._waiting: dict[object, tuple[str, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    async def wait(self, seq: int, timeout: float, topic: str = change_feed.FEED) -> bool:
        """Wait for a change behind `seq`, at most `timeout` seconds; whether there is one."""
        rung, key = asyncio.Event(), object()
        loop = asyncio.get_running_loop()

        def ring() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(rung.set)

        with self._lock:
            self._waiting[key] = (topic, ring)
            self._listen()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    while not self._stopping.is_set() and self._end(topic) <= seq:
                        await rung.wait()
                        rung.clear()
        finally:
            with self._lock:
                self._waiting.pop(key, None)
        return self._end(topic) > seq

    def stop(self) -> None:
        """Let everybody go, for good; the thread ends soon after."""
        self._stopping.set()
        self._ring(None)
        if self._thread is not None:
            self._thread.join(5)

    def _listen(self) -> None:
        if self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._work, name="feed-bell", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                with contextlib.closing(
                    change_feed.listen(self._workspace.database, LOOK_S)
                ) as heard:
                    for topics in heard:
                        if self._stopping.is_set():
                            return
                        if topics is None or topics:
                            self._look(topics)
            except StorageError as error:
                log.error("changes cannot be listened to: %s", error)
            self._stopping.wait(1.0)

    def _end(self, topic: str) -> int:
        return self._ends.get(topic, -1)

    def _look(self, topics: frozenset[str] | None) -> None:
        with self._workspace.database.read() as session:
            self._ends |= change_feed.ends(session, topics)
        self._ring(topics)

    def _ring(self, topics: frozenset[str] | None) -> None:
        with self._lock:
            waiting = list(self._waiting.values())
        for topic, ring in waiting:
            if topics is None or topic in topics:
                ring()
