"""Hands the next card that is read to a command that gives it to somebody, and not to the gate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONGEST_S = 120.0
"""A reader that waits for a command opens no door meanwhile."""


class CardDesk:
    """Any thread may ask and offer. on_card: called behind each; must return at once.

    has_reader: whether cards can be read at all.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: float | None = None
        self._number: str | None = None
        self.has_reader = False
        self.on_card: Callable[[], None] = lambda: None

    def want(self, within_s: float) -> bool:
        """Wait for a card from now on; False while somebody else does."""
        with self._lock:
            now = self._clock()
            if self._until is not None and now < self._until:
                return False
            self._until, self._number = now + min(max(within_s, 0.0), LONGEST_S), None
            return True

    def end(self) -> None:
        """Wait no more."""
        with self._lock:
            self._until = self._number = None

    def offer(self, number: str) -> bool:
        """Take a card that was read; False when nobody waits, and it is the gate's."""
        with self._lock:
            if self._until is None or self._clock() >= self._until or self._number is not None:
                return False
            self._number = number
        self.on_card()
        return True

    def result(self) -> tuple[bool, str | None]:
        """Return whether the waiting is over, and the number that was read."""
        with self._lock:
            over = self._number is not None or self._until is None or self._clock() >= self._until
            return over, self._number
