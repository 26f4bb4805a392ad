"""The one-frame slot between camera and inference: the newest frame wins."""

from __future__ import annotations

import threading

from gated.ports import Frame


class FrameSlot:
    """Holds one frame; `dropped` counts frames that were overwritten unseen."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Put a frame; it replaces one that was not taken."""
        with self._changed:
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify()

    def take(self, timeout: float) -> Frame | None:
        """Return the newest frame not yet taken, or None after `timeout` seconds."""
        with self._changed:
            if self._frame is None:
                self._changed.wait(timeout)
            frame, self._frame = self._frame, None
            return frame
