"""Reads badges (codes such as QR) in the camera's frames."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress

from gated.core.values import Image
from gated.link.loop import Loop, OnCrash
from gated.link.running_gate import FrameSubscriber

GONE_S = 3.0
"""Seconds after which a badge that comes back is presented again; a badge that stays in the picture
is presented once."""

RECOGNIZING_FACTOR = 3.0
"""The interval is this many times as long while a face is being recognised."""

NICENESS = 10


class BadgeScanner(Loop):
    """Looks for a code in the newest frame every `interval_s`; recognising faces takes precedence.

    subscribe: as FrameTap.subscribe. read: returns the contents of the codes in a picture.
    present: called once for each badge, as long as it stays.
    """

    def __init__(
        self,
        subscribe: Callable[[], AbstractContextManager[FrameSubscriber]],
        read: Callable[[Image], Collection[str]],
        present: Callable[[str], None],
        interval_s: float,
        on_crash: OnCrash,
    ) -> None:
        super().__init__("badges", on_crash)
        self._subscribe = subscribe
        self._read = read
        self._present = present
        self._interval_s = interval_s
        self._seen: dict[str, float] = {}

    def work(self) -> None:
        # on Linux a thread has a niceness of its own; a sandbox may forbid to change it
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        with self._subscribe() as subscriber:
            while not self.stopping.is_set():
                self.beat()
                frame = subscriber.take(timeout=1.0)
                if frame is None:
                    continue
                self.saw(self._read(frame.image), time.monotonic())
                self.stopping.wait(
                    self._interval_s * (RECOGNIZING_FACTOR if frame.recognizing else 1.0)
                )

    def saw(self, contents: Collection[str], now: float) -> None:
        """Take what a frame at `now` (monotonic seconds) holds; present each badge that is new."""
        self._seen = {text: at for text, at in self._seen.items() if now - at < GONE_S}
        for content in contents:
            if content not in self._seen:
                self._present(content)
            self._seen[content] = now
