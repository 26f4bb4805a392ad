"""A camera that is never given up."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

import numpy as np

from gated.core.model import CameraEvent, CameraEventKind, Image
from gated.devices.recorded import RecordedCamera
from gated.devices.repetition import LoopDetector
from gated.errors import DeviceError
from gated.ports import Camera, Clock, EndOfStream, Frame

log = logging.getLogger(__name__)

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
STABLE_S = 10.0
"""A camera that delivers for so long is well again: the next failure starts with a short delay."""


class SupervisedCamera:
    """Reopens the camera under it for ever; each outage is told once when it begins and ends.

    An outage is a DeviceError, the same picture for `frozen_after_s`, or pictures that come again
    in a loop (a recording may do both). They are withheld until others come, reopened or not.
    heartbeat is called before each step that may take long; replace it to prove liveness.
    """

    def __init__(
        self,
        camera: Camera,
        clock: Clock,
        on_event: Callable[[CameraEvent], None],
        frozen_after_s: float,
        *,
        wait: Callable[[float], bool] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`wait(s)` pauses and returns whether to stop; `jitter()` is in [0, 1)."""
        self.name = camera.name
        self.heartbeat: Callable[[], None] = lambda: None
        self._camera = camera
        self._clock = clock
        self._on_event = on_event
        self._frozen_after_s = None if isinstance(camera, RecordedCamera) else frozen_after_s
        self._loops = None if isinstance(camera, RecordedCamera) else LoopDetector()
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._jitter = jitter
        self._is_open = False
        self._outage: CameraEventKind | None = None
        self._told_open = False
        self._attempts = 0
        self._well_since = 0.0
        self._still: Image | None = None
        self._still_since = 0.0

    def open(self) -> None:
        """Begin to deliver; the device is opened by the first `read`."""
        self._stopped.clear()

    def read(self) -> Frame:
        """The next frame, however long it takes; EndOfStream after `stop` or a recording's end."""
        while not self._stopped.is_set():
            self.heartbeat()
            try:
                frame = self._step()
            except DeviceError as error:
                self._lose(CameraEventKind.LOST, str(error))
                continue
            if frame is not None:
                return frame
        raise EndOfStream

    def stop(self) -> None:
        """End a wait for the camera at once; from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Close the device; safe to call twice."""
        self._is_open = False
        self._camera.close()

    def _step(self) -> Frame | None:
        if not self._is_open:
            self._camera.open()
            self._is_open = True
            self._still_since = self._clock.now().mono
            self.heartbeat()
        frame = self._camera.read()
        now = self._clock.now().mono
        if self._frozen_after_s is not None and self._stands_still(frame.image):
            if now - self._still_since >= self._frozen_after_s:
                self._lose(
                    CameraEventKind.FROZEN, f"the same picture for {now - self._still_since:.0f} s"
                )
                return None
            return None if self._outage is CameraEventKind.FROZEN else frame
        self._still_since = now
        if self._loops is not None:
            if self._loops.repeats(frame.image):
                self._lose(CameraEventKind.LOOPED, "the same pictures come again and again")
                return None
            if self._outage is CameraEventKind.LOOPED and self._loops.known:
                return None
        self._recover(now)
        return frame

    def _stands_still(self, image: Image) -> bool:
        before, self._still = self._still, image
        if before is None or before.shape != image.shape:
            return False
        # a few pixels tell nearly always; all of them only when those agree
        return np.array_equal(before[::16, ::16], image[::16, ::16]) and np.array_equal(
            before, image
        )

    def _lose(self, kind: CameraEventKind, detail: str) -> None:
        """The camera failed: close it, tell it once, and wait before the next attempt."""
        self._close_quietly()
        if self._outage is None:
            self._outage = kind
            log.warning("camera %s %s: %s", self.name, kind, detail)
            self._on_event(CameraEvent(kind, detail))
        if self._well_since and self._clock.now().mono - self._well_since >= STABLE_S:
            self._attempts = 0
        self._well_since = 0.0
        delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self._attempts, 16))
        self._attempts += 1
        self.heartbeat()
        self._wait(delay * (0.5 + 0.5 * self._jitter()))

    def _recover(self, now: float) -> None:
        self._well_since = self._well_since or now
        if self._outage is not None or not self._told_open:
            self._outage = None
            self._told_open = True
            log.info("camera %s delivers", self.name)
            self._on_event(CameraEvent(CameraEventKind.OPENED))

    def _close_quietly(self) -> None:
        try:
            self.close()
        except DeviceError as error:
            log.debug("camera %s: closing: %s", self.name, error)
