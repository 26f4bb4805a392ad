"""Limits the streams that are open at a time, in all and for each account."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from gated.errors import Busy

RETRY_AFTER_S = 5.0


class Shares:
    """Allows `most` streams in all and `each` of one account; any thread may ask. what: names
    them."""

    def __init__(self, most: int, each: int, what: str) -> None:
        self._most = most
        self._each = each
        self._what = what
        self._lock = threading.Lock()
        self._held: Counter[Hashable] = Counter()

    def require(self, who: Hashable) -> None:
        """Check that this account may open one now. Raises: Busy."""
        with self._lock:
            self._require(who)

    def holds(self, who: Hashable) -> bool:
        """Return whether this account has a stream open."""
        with self._lock:
            return self._held[who] > 0

    @contextmanager
    def hold(self, who: Hashable) -> Iterator[None]:
        """Count a stream of this account while the block runs. Raises: Busy."""
        with self._lock:
            self._require(who)
            self._held[who] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[who] -= 1
                self._held += Counter()  # removes accounts without a stream

    def _require(self, who: Hashable) -> None:
        if self._held[who] >= self._each:
            raise Busy(f"this account has {self._each} {self._what} open: close one", RETRY_AFTER_S)
        if self._held.total() >= self._most:
            raise Busy(f"too many {self._what} are open: try again", RETRY_AFTER_S)
