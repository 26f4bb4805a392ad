"""Reads frames of the camera into the slot."""

from __future__ import annotations

import logging
from typing import Protocol

from gated.link.loop import Loop, OnCrash
from gated.ports import Camera, EndOfStream, Frame

log = logging.getLogger(__name__)


class FrameSink(Protocol):
    """A place for frames; never waits."""

    def put(self, frame: Frame) -> None:
        """Take a frame."""


class Capture(Loop):
    """Reads a (supervised) camera as fast as it delivers; ends at the end of a recording."""

    beat_limit_s = 60.0  # the longest pause before a camera is opened again, opening, and a read

    def __init__(
        self, camera: Camera, sink: FrameSink, on_crash: OnCrash, name: str = "capture"
    ) -> None:
        super().__init__(name, on_crash)
        self._camera = camera
        self._sink = sink
        self.frames = 0
        self.ended = False

    def work(self) -> None:
        try:
            self._camera.open()
            while not self.stopping.is_set():
                self.beat()
                self._sink.put(self._camera.read())
                self.frames += 1
        except EndOfStream:
            if not self.stopping.is_set():  # a camera that is stopped ends as well
                log.info("%s: the recorded source has ended", self.name)
            self.ended = True
        finally:
            self._camera.close()
