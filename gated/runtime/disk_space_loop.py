"""Room on the disk -> kept, again and again, off the door path."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gated.errors import StorageError
from gated.link.loop import Loop, OnCrash

log = logging.getLogger(__name__)

LOOK_S = 2.0


class DiskSpaceLoop(Loop):
    """keep: makes room while it is short, and is told whether to go on; returns how it is."""

    def __init__(
        self,
        keep: Callable[[Callable[[], bool]], str],
        tell: Callable[[str], None],
        on_crash: OnCrash,
    ) -> None:
        super().__init__("room", on_crash)
        self._keep = keep
        self._tell = tell
        self._failing = False

    def work(self) -> None:
        while not self.stopping.is_set():
            try:
                self._tell(self._keep(self._going_on))
                self._failing = False
            except StorageError as error:
                if not self._failing:
                    log.error("no room can be made: %s", error)
                self._failing = True
            self.beat()
            self.stopping.wait(LOOK_S)

    def _going_on(self) -> bool:
        self.beat()
        return not self.stopping.is_set()
