"""Hands the next card that is read to a command, which assigns it to a person, not to the gate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONGEST_S = 120.0
"""Seconds: while a command waits for a card, the reader opens no door."""


class CardRequest:
    """A request for the next card; any thread may use it.

    on_card: called after each card that was taken; must return at once. has_reader: whether the
    gate has a card reader.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: float | None = None
        self._number: str | None = None
        self.has_reader = False
        self.on_card: Callable[[], None] = lambda: None

    def want(self, within_s: float) -> bool:
        """Begin to wait for a card; False while another command waits."""
        with self._lock:
            now = self._clock()
            if self._until is not None and now < self._until:
                return False
            self._until, self._number = now + min(max(within_s, 0.0), LONGEST_S), None
            return True

    def end(self) -> None:
        """End the request."""
        with self._lock:
            self._until = self._number = None

    def offer(self, number: str) -> bool:
        """Take a card that was read; False when none is requested: then it is for the gate."""
        with self._lock:
            if self._until is None or self._clock() >= self._until or self._number is not None:
                return False
            self._number = number
        self.on_card()
        return True

    def result(self) -> tuple[bool, str | None]:
        """Return whether the request is over, and the number; None when no card came in time."""
        with self._lock:
            over = self._number is not None or self._until is None or self._clock() >= self._until
            return over, self._number
