"""Passes frames from the slot to the analyzer, and observations to the inbox."""

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
    """Analyses the newest frame. attention: an immutable value that the controller replaces."""

    def __init__(self, slot: FrameSlot, analyse: Analyse, inbox: Inbox, on_crash: OnCrash) -> None:
        super().__init__("inference", on_crash)
        self._slot = slot
        self._analyse = analyse
        self._inbox = inbox
        self.attention = Attention()
        self.first_frame_s: float | None = None
        """Age of the process (seconds) when its first frame was analysed."""
        self.frames = 0
        self._durations: deque[float] = deque(maxlen=1000)

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
                self._durations.append(time.monotonic() - began)
            if self.first_frame_s is None:
                self.first_frame_s = age_s()
            if seen.faces or seen.lost:
                self._inbox.post(seen)

    def longest_analysis_s(self) -> float | None:
        """Return the longest analysis of a frame with a face since the last call, or None."""
        durations = [self._durations.popleft() for _ in range(len(self._durations))]
        return max(durations, default=None)
