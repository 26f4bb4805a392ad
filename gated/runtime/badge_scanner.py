"""camera's frames -> badges shown to it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from gated.core.values import Image
from gated.link.loop import Loop, OnCrash
from gated.link.running_gate import FrameSubscriber

GONE_S = 3.0
"""A badge that was not seen for so long is shown anew when it comes back; one that stays in the
picture is one presentation."""

SELDOM = 3.0
"""So many times as rarely while a face is being recognised."""

NICENESS = 10


class BadgeScanner(Loop):
    """Looks for a code in the newest frame every `interval_s`, and steps back behind the faces.

    look: as FrameTap.look. read: the content of a code in a picture, or "". present: told of each
    badge once, while it stays.
    """

    def __init__(
        self,
        look: Callable[[], AbstractContextManager[FrameSubscriber]],
        read: Callable[[Image], str],
        present: Callable[[str], None],
        interval_s: float,
        on_crash: OnCrash,
    ) -> None:
        super().__init__("badges", on_crash)
        self._look = look
        self._read = read
        self._present = present
        self._interval_s = interval_s
        self._seen: dict[str, float] = {}

    def work(self) -> None:
        # on Linux a thread has a niceness of its own; a sandbox may forbid to change it
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        with self._look() as looker:
            while not self.stopping.is_set():
                self.beat()
                sight = looker.take(timeout=1.0)
                if sight is None:
                    continue
                self.saw(self._read(sight.image), time.monotonic())
                self.stopping.wait(self._interval_s * (SELDOM if sight.recognizing else 1.0))

    def saw(self, content: str, now: float) -> None:
        """Take note of what a frame showed at `now`, monotonic seconds."""
        self._seen = {text: at for text, at in self._seen.items() if now - at < GONE_S}
        if not content:
            return
        if content not in self._seen:
            self._present(content)
        self._seen[content] = now
