"""Slows down guessing: the delay grows with each failed attempt of an account or an address."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gated.errors import Throttled, TooMany

LONGEST_DELAY_S = 60.0
FORGET_AFTER_S = 900.0
MINUTE_S = 60.0


@dataclass(slots=True)
class _Record:
    attempts: int
    last: float


class RateLimit:
    """At most `limit` acts of each key within a minute; clock: monotonic seconds."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def act(self, key: str) -> None:
        """Count an act; TooMany, then it is not counted."""
        with self._lock:
            now = self._clock()
            self._times = {k: t for k, t in self._times.items() if now - t[-1] < MINUTE_S}
            times = self._times.setdefault(key, deque(maxlen=self._limit))
            if len(times) == self._limit and now - times[0] < MINUTE_S:
                raise TooMany(times[0] + MINUTE_S - now)
            times.append(now)


class PaceLimit:
    """`burst` acts of each key at once, then one every `every_s`; bounded memory.

    Nobody waits longer than `every_s` for the next place, whoever else has taken the last one.
    """

    def __init__(
        self, clock: Callable[[], float], burst: int, every_s: float, size: int = 10_000
    ) -> None:
        self._clock = clock
        self._burst = burst
        self._every_s = every_s
        self._size = size
        self._lock = threading.Lock()
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """When all places of a key are free again."""

    def act(self, key: str) -> None:
        """Take a place. Raises: Throttled, and then none is taken."""
        with self._lock:
            now = self._clock()
            full_at = max(now, self._full_at.get(key, now)) + self._every_s
            wait = full_at - now - self._burst * self._every_s
            if wait > 1e-9:
                raise Throttled(wait)
            self._put(key, full_at)

    def give_back(self, key: str) -> None:
        """Let the last place be free again, as if it had not been taken."""
        with self._lock:
            if key in self._full_at:
                self._put(key, self._full_at[key] - self._every_s)

    def _put(self, key: str, full_at: float) -> None:
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        while len(self._full_at) > self._size:
            self._full_at.popitem(last=False)


class Throttle:
    """Counts attempts by key in bounded memory; forgets a key 15 minutes after its last attempt.

    clock: monotonic seconds. The n-th attempt beyond those that are free has to wait 2^n seconds
    after the one before, a minute at most, so that nobody can lock an owner out for long.
    """

    def __init__(self, clock: Callable[[], float], size: int = 10_000) -> None:
        self._clock = clock
        self._size = size
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def attempt(self, keys: Mapping[str, int]) -> None:
        """Count an attempt for {key: free attempts}; Throttled, then it is not counted.

        It counts before its outcome is known: attempts made at the same time cannot all be free.
        """
        with self._lock:
            now = self._clock()
            wait = max(self._wait(key, free, now) for key, free in keys.items())
            if wait > 0:
                raise Throttled(wait)
            for key in keys:
                self._count(key, now)

    def forgive(self, *keys: str) -> None:
        """Take back the last attempt of these keys."""
        with self._lock:
            for key in keys:
                if (record := self._records.get(key)) is not None:
                    record.attempts -= 1

    def succeeded(self, forget: str, forgive: str) -> None:
        """The attempt was right: forget all of one key, and this attempt of the other."""
        with self._lock:
            self._records.pop(forget, None)
            record = self._records.get(forgive)
            if record is not None:
                record.attempts -= 1

    def _wait(self, key: str, free: int, now: float) -> float:
        record = self._records.get(key)
        if record is None or now - record.last >= FORGET_AFTER_S:
            return 0.0
        beyond = record.attempts - free
        if beyond < 0:
            return 0.0
        delay = min(2.0 ** min(beyond, 10), LONGEST_DELAY_S)
        return max(0.0, record.last + delay - now)

    def _count(self, key: str, now: float) -> None:
        record = self._records.pop(key, None)
        if record is None or now - record.last >= FORGET_AFTER_S:
            record = _Record(0, now)
        record.attempts += 1
        record.last = now
        self._records[key] = record
        while len(self._records) > self._size:
            self._records.popitem(last=False)
