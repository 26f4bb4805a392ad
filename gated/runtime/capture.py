"""Reads frames of the camera into the slot."""

from __future__ import annotations

import logging

from gated.link.loop import Loop, OnCrash
from gated.ports import Camera, EndOfStream
from gated.runtime.slot import FrameSlot

log = logging.getLogger(__name__)


class Capture(Loop):
    """Reads the (supervised) camera as fast as it delivers; ends at the end of a recording."""

    beat_limit_s = 60.0  # the longest pause before a camera is opened again, opening, and a read

    def __init__(self, camera: Camera, slot: FrameSlot, on_crash: OnCrash) -> None:
        super().__init__("capture", on_crash)
        self._camera = camera
        self._slot = slot
        self.frames = 0
        self.ended = False

    def work(self) -> None:
        try:
            self._camera.open()
            while not self.stopping.is_set():
                self.beat()
                self._slot.put(self._camera.read())
                self.frames += 1
        except EndOfStream:
            if not self.stopping.is_set():  # a camera that is stopped ends as well
                log.info("the recorded source has ended")
            self.ended = True
        finally:
            self._camera.close()
