"""Reads the infra-red camera beside the first one, and looks there for the faces of the first."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from gated.core.messages import Attention, Observation
from gated.core.values import Image, PadReading, TrackedFace
from gated.devices.exposure import blank, dim
from gated.link.loop import Loop, OnCrash
from gated.ports import Camera, EndOfStream, Frame
from gated.runtime.inference import Analyse

log = logging.getLogger(__name__)

KEPT = 8
"""Pictures: half a second at 15 a second."""
TOGETHER_S = 0.15
"""Pictures of both cameras show the same moment when they are no further apart."""

Confirm = Callable[[PadReading, TrackedFace, tuple[int, int], Image | None], PadReading]
"""Returns a reading as far as the second picture bears it out; (height, width) of the first one;
None for no picture."""


class SecondCamera(Loop):
    """Keeps the newest frames of a (supervised) camera; the first camera's thread looks into them.

    A crash of its driver is a crash of the gate, an outage is not: faces are undecided meanwhile.
    """

    beat_limit_s = 60.0  # as of the first camera

    def __init__(self, camera: Camera, confirm: Confirm, on_crash: OnCrash) -> None:
        super().__init__("second camera", on_crash)
        self._camera = camera
        self._confirm = confirm
        self._kept: deque[Frame] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self.frames = 0

    def work(self) -> None:
        try:
            self._camera.open()
            while not self.stopping.is_set():
                self.beat()
                frame = self._camera.read()
                with self._lock:
                    self._kept.append(frame)
                self.frames += 1
        except EndOfStream:
            if not self.stopping.is_set():  # a camera that is stopped ends as well
                log.info("the recorded source of the second camera has ended")
        finally:
            self._camera.close()

    def at(self, moment: float) -> Image | None:
        """Return the picture of a moment (monotonic seconds).

        None: none is near, or its lamp does not shine.
        """
        with self._lock:
            frames = tuple(self._kept)
        best = min(frames, key=lambda frame: abs(frame.captured_at - moment), default=None)
        if best is None or abs(best.captured_at - moment) > TOGETHER_S:
            return None
        unlit = dim(best.image) or blank(best.image) is not None
        return None if unlit else best.image

    def tapped(self, analyse: Analyse) -> Analyse:
        """Return `analyse`, wrapped to confirm each liveness score in the second picture."""

        def analyse_both(frame: Frame, attention: Attention) -> Observation:
            seen = analyse(frame, attention)
            if not any(face.pad for face in seen.faces):
                return seen
            second, shape = self.at(seen.captured_at), (seen.height, seen.width)
            faces = (
                replace(face, pad=self._confirm(face.pad, face, shape, second))
                if face.pad
                else face
                for face in seen.faces
            )
            return replace(seen, faces=tuple(faces))

        return analyse_both
