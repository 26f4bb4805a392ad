"""Changes of people, templates and rules, by whatever process -> news for the gate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gated.errors import StorageError
from gated.runtime.loop import Loop, OnCrash

log = logging.getLogger(__name__)

INTERVAL_S = 0.2
PAUSE_S = 5.0
"""After a failure."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Something that the gate works with. stamp: names its state. renew: hands the gate the new
    one; until then the old one stays in use."""

    name: str
    stamp: Callable[[], object]
    renew: Callable[[], None]


class ChangeWatcher(Loop):
    """Looks for commits a few times a second and renews what they changed.

    changed: cheap, True when something was committed since the last call.
    """

    beat_limit_s = 60.0  # a rebuild of a large gallery on a slow card

    def __init__(
        self, changed: Callable[[], bool], watched: Sequence[Watched], on_crash: OnCrash
    ) -> None:
        super().__init__("changes", on_crash)
        self._changed = changed
        self._seen = [(one, one.stamp()) for one in watched]

    def work(self) -> None:
        unfinished = False
        while not self.stopping.wait(PAUSE_S if unfinished else INTERVAL_S):
            self.beat()
            try:
                if self._changed() or unfinished:
                    unfinished = True
                    self._look()
                unfinished = False
            except StorageError as error:
                log.error("changes cannot be read, all stays as it is: %s", error)
                unfinished = True

    def _look(self) -> None:
        for i, (one, seen) in enumerate(self._seen):
            stamp = one.stamp()
            if stamp != seen:
                one.renew()
                self._seen[i] = (one, stamp)
