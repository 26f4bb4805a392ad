"""The controller's inbox."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace

from gated.core.messages import Event, Observation


class BoundedInbox:
    """A bounded queue that never blocks the sender.

    When full, its observations are replaced by one without faces that names all lost tracks
    (`stripped` counts them); an event for which there is still no room is dropped and counted.
    """

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._arrived = threading.Condition()
        self._events: deque[Event] = deque()
        self._posted: deque[float] = deque()
        self._waited_s = 0.0
        self.stripped = 0
        self.dropped = 0

    def post(self, event: Event) -> None:
        """Hand an event to the controller."""
        with self._arrived:
            if len(self._events) >= self._capacity and not self._make_room():
                self.dropped += 1
                return
            self._events.append(event)
            self._posted.append(time.monotonic())
            self._arrived.notify()

    def get(self, timeout: float) -> Event | None:
        """Return the oldest event, or None after `timeout` seconds."""
        with self._arrived:
            if not self._events:
                self._arrived.wait(timeout)
            if not self._events:
                return None
            self._waited_s = max(self._waited_s, time.monotonic() - self._posted.popleft())
            return self._events.popleft()

    def longest_wait_s(self) -> float:
        """Return the longest wait of an event since the last call, a waiting one included."""
        with self._arrived:
            waiting = time.monotonic() - self._posted[0] if self._posted else 0.0
            waited, self._waited_s = max(self._waited_s, waiting), 0.0
        return waited

    def _make_room(self) -> bool:
        lost: tuple[int, ...] = ()
        kept: deque[Event] = deque()
        for event in self._events:
            if isinstance(event, Observation):
                lost += event.lost
                self.stripped += 1
                last = event
            else:
                kept.append(event)
        if len(kept) == len(self._events):
            return False
        if lost:
            kept.append(replace(last, faces=(), lost=lost))
        self._events = kept
        while len(self._posted) > len(kept):
            self._posted.popleft()
        return len(kept) < self._capacity
