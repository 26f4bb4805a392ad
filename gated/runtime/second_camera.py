"""Reads the infra-red camera beside the first one, and looks there for the faces of the first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from gated.core.messages import Attention, Observation
from gated.core.values import Image, PadReading, TrackedFace
from gated.devices.exposure import blank, dim
from gated.link.loop import OnCrash
from gated.ports import Camera, Frame
from gated.runtime.capture import Capture
from gated.runtime.inference import Analyse

KEPT = 8
"""Pictures: half a second at 15 a second."""
TOGETHER_S = 0.15
"""Pictures of both cameras show the same moment when they are no further apart."""

Confirm = Callable[[PadReading, TrackedFace, tuple[int, int], Image | None], PadReading]
"""Returns a reading as far as the second picture bears it out; (height, width) of the first one;
None for no picture."""


class RecentFrames:
    """Keeps the newest frames of a camera."""

    def __init__(self) -> None:
        self._kept: deque[Frame] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def put(self, frame: Frame) -> None:
        """Add a frame; the oldest one goes."""
        with self._lock:
            self._kept.append(frame)

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


class SecondCamera(Capture):
    """Reads the second (supervised) camera; the first one's thread looks into its frames.

    A crash of its driver is a crash of the gate, an outage is not: faces are undecided meanwhile.
    """

    def __init__(self, camera: Camera, confirm: Confirm, on_crash: OnCrash) -> None:
        self.recent = RecentFrames()
        super().__init__(camera, self.recent, on_crash, "second camera")
        self._confirm = confirm

    def tapped(self, analyse: Analyse) -> Analyse:
        """Return `analyse`, wrapped to confirm each liveness score in the second picture."""

        def analyse_both(frame: Frame, attention: Attention) -> Observation:
            seen = analyse(frame, attention)
            if not any(face.pad for face in seen.faces):
                return seen
            second, shape = self.recent.at(seen.captured_at), (seen.height, seen.width)
            faces = (
                replace(face, pad=self._confirm(face.pad, face, shape, second))
                if face.pad
                else face
                for face in seen.faces
            )
            return replace(seen, faces=tuple(faces))

        return analyse_both
