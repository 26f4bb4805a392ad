"""slot -> analyzer -> inbox."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from gated.core.messages import Attention, Observation
from gated.link.loop import Loop, OnCrash
from gated.ports import Frame, Inbox
from gated.runtime.slot import FrameSlot
from gated.runtime.vitals import age_s

Analyse = Callable[[Frame, Attention], Observation]


class Inference(Loop):
    """Analyses the newest frame. `attention` is an immutable value that the controller replaces."""

    def __init__(self, slot: FrameSlot, analyse: Analyse, inbox: Inbox, on_crash: OnCrash) -> None:
        super().__init__("inference", on_crash)
        self._slot = slot
        self._analyse = analyse
        self._inbox = inbox
        self.attention = Attention()
        self.first_frame_s: float | None = None
        """Age of the process when it had looked at its first frame."""
        self.frames = 0
        self._looks: deque[float] = deque(maxlen=1000)

    def work(self) -> None:
        while not self.stopping.is_set():
            self.beat()
            frame = self._slot.take(timeout=1.0)
            if frame is None:
                continue
            began = time.monotonic()
            seen = self._analyse(frame, self.attention)
            self.frames += 1
            if seen.faces:
                self._looks.append(time.monotonic() - began)
            if self.first_frame_s is None:
                self.first_frame_s = age_s()
            if seen.faces or seen.lost:
                self._inbox.post(seen)

    def longest_look_s(self) -> float | None:
        """Return the longest time for a frame with a face since the last call; None without any."""
        looks = [self._looks.popleft() for _ in range(len(self._looks))]
        return max(looks, default=None)
