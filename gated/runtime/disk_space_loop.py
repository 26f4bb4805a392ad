"""Keeps disk space free, off the door path."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gated.errors import StorageError
from gated.link.loop import Loop, OnCrash

log = logging.getLogger(__name__)

LOOK_S = 2.0


class DiskSpaceLoop(Loop):
    """Calls `keep` every few seconds, and publishes its result.

    keep: frees space where it is short, as long as its argument returns True, and returns the state
    of the disk. publish: receives that state.
    """

    def __init__(
        self,
        keep: Callable[[Callable[[], bool]], str],
        publish: Callable[[str], None],
        on_crash: OnCrash,
    ) -> None:
        super().__init__("room", on_crash)
        self._keep = keep
        self._publish = publish
        self._failing = False

    def work(self) -> None:
        while not self.stopping.is_set():
            try:
                self._publish(self._keep(self._should_continue))
                self._failing = False
            except StorageError as error:
                if not self._failing:
                    log.error("no space can be freed: %s", error)
                self._failing = True
            self.beat()
            self.stopping.wait(LOOK_S)

    def _should_continue(self) -> bool:
        self.beat()
        return not self.stopping.is_set()
