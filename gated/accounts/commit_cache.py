"""Keeps the holders of tokens: looked up once, and again after anything was committed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST = 1024


class CommitInvalidatedCache(Generic[K, V]):
    """Remembers what `look_up` found in the database until somebody commits, in any process.

    version: names the state of the database, cheaply. Any thread may ask; errors of `look_up` are
    not remembered.
    """

    def __init__(self, version: Callable[[], int], look_up: Callable[[K], V]) -> None:
        self._version = version
        self._look_up = look_up
        self._known: tuple[int, dict[K, V]] = 0, {}

    def __getitem__(self, key: K) -> V:
        # read before the look-up: what is committed meanwhile makes the finding void
        version = self._version()
        at, known = self._known
        if at != version or len(known) >= MOST:
            self._known = version, known = version, {}
        if key not in known:
            known[key] = self._look_up(key)
        return known[key]
