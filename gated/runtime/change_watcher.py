"""Watches the database for changes of people, templates and rules, and updates the gate."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gated.errors import StorageError
from gated.link.loop import Loop, OnCrash

log = logging.getLogger(__name__)

INTERVAL_S = 0.2
PAUSE_S = 5.0
"""Seconds between tries after a failure."""

REST_S = 3.0
"""Seconds between two updates that are not urgent, while many changes arrive: reading the gallery
and the rules of thousands delays decisions."""


@dataclass(frozen=True, slots=True)
class WatchedState:
    """Data that the gate works with, such as its rules.

    stamp: identifies its state. renew: reads it and passes it to the gate, which uses the old one
    until then. urgent: is not delayed while many changes arrive.
    """

    name: str
    stamp: Callable[[], object]
    renew: Callable[[], None]
    urgent: bool = False


class ChangeWatcher(Loop):
    """Looks for commits a few times a second and renews what they changed.

    changed: cheap, True when something was committed since the last call. many: True while changes
    arrive by the hundreds.
    """

    beat_limit_s = 60.0  # a rebuild of a large gallery on a slow card

    def __init__(
        self,
        changed: Callable[[], bool],
        watched: Sequence[WatchedState],
        on_crash: OnCrash,
        many: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__("changes", on_crash)
        self._changed = changed
        self._many = many
        self._rests_until = time.monotonic()
        self._seen = [(one, one.stamp()) for one in watched]

    def work(self) -> None:
        unfinished, pause = False, INTERVAL_S
        while not self.stopping.wait(pause):
            self.beat()
            pause = INTERVAL_S
            try:
                unfinished = self._changed() or unfinished
                if not unfinished:
                    continue
                resting = self._many() and time.monotonic() < self._rests_until
                self._look(urgent_only=resting)
                unfinished = resting
            except StorageError as error:
                log.error("changes cannot be read, all stays as it is: %s", error)
                pause = PAUSE_S

    def _look(self, urgent_only: bool) -> None:
        for i, (one, seen) in enumerate(self._seen):
            if urgent_only and not one.urgent:
                continue
            stamp = one.stamp()
            if stamp != seen:
                one.renew()
                self._seen[i] = (one, stamp)
        if not urgent_only:
            self._rests_until = time.monotonic() + REST_S
