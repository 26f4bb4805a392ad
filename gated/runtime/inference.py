"""slot -> analyzer -> inbox."""

from __future__ import annotations

from collections.abc import Callable

from gated.core.model import Attention, Observation
from gated.ports import Frame, Inbox
from gated.runtime.loop import Loop, OnCrash
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

    def work(self) -> None:
        while not self.stopping.is_set():
            self.beat()
            frame = self._slot.take(timeout=1.0)
            if frame is None:
                continue
            seen = self._analyse(frame, self.attention)
            if self.first_frame_s is None:
                self.first_frame_s = age_s()
            if seen.faces or seen.lost:
                self._inbox.post(seen)
