"""Supervises a camera: reopens it for ever, and detects frozen, looped and blank pictures.

Theory of operation. A camera that fails is reopened after a pause. A camera that delivers is read
on, whatever it delivers, so that the first new picture is seen at once:

- The same picture for `frozen_after_s`, or pictures in a loop, are an outage; repeated pictures are
  withheld, and the camera is reopened now and then, as a driver may be stuck.
- The same picture that is black or white all over is no outage. Cameras with noise reduction
  deliver it in the dark: it is passed on, as it cannot contain a face. The same dark picture with a
  lamp in it is no outage either, but is withheld, as a face could be next to the lamp.
- A covered lens or another view is no outage: it is reported, and the pictures are passed on.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

import numpy as np

from gated.core.messages import CameraEvent
from gated.core.values import CameraEventKind, Image
from gated.devices.exposure import blank, dim
from gated.devices.loop_detection import LoopDetector
from gated.devices.recorded import RecordedCamera
from gated.devices.view_watch import ViewWatch
from gated.errors import DeviceError
from gated.ports import Camera, Clock, EndOfStream, Frame

log = logging.getLogger(__name__)

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
FIRST_REOPENING_S, LAST_REOPENING_S = 30.0, 600.0
"""Intervals of reopening a camera whose driver may be stuck, growing from first to last."""
DARK_REOPENING_S = 3600.0
"""The same in the dark, where a stuck driver looks like the night."""
REPORT_AGAIN_S = 60.0
"""Time after CLEAR in which DARK is not reported again, so that a blinking lamp fills no log."""
PACE_S = 0.02
"""Least interval of reads that are withheld: a stuck driver may answer at once."""
STABLE_S = 10.0
"""A camera that delivers for this time counts as recovered: the next delay is short again."""

VIEWS = {
    CameraEventKind.COVERED: "nothing but one soft spot is to be seen: look at the lens",
    CameraEventKind.TURNED: "it looks elsewhere than before, or something large is in its view",
}


class SupervisedCamera:
    """Reopens a camera for ever; reports the begin and the end of each outage once.

    An outage is a DeviceError, the same picture for `frozen_after_s`, or pictures in a loop (both
    allowed for a recording). Repeated pictures are withheld until new ones come. DARK, GLARE,
    COVERED, TURNED and CLEAR are reported for a camera that works. heartbeat: called before each
    step that may take long; replace it to prove liveness.
    """

    def __init__(
        self,
        camera: Camera,
        clock: Clock,
        on_event: Callable[[CameraEvent], None],
        frozen_after_s: float,
        *,
        watch_view: bool = True,
        wait: Callable[[float], bool] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Wrap a camera. wait: pauses, and returns whether to stop. jitter: returns [0, 1)."""
        self.name = camera.name
        self.heartbeat: Callable[[], None] = lambda: None
        self._camera = camera
        self._clock = clock
        self._on_event = on_event
        self._frozen_after_s = None if isinstance(camera, RecordedCamera) else frozen_after_s
        self._loops = None if isinstance(camera, RecordedCamera) else LoopDetector()
        self._view = ViewWatch() if watch_view and not isinstance(camera, RecordedCamera) else None
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._jitter = jitter
        self._is_open = False
        self._outage: CameraEventKind | None = None
        self._reported_open = False
        self._attempts = 0
        self._well_since = 0.0
        self._still: Image | None = None
        self._still_since = 0.0
        self._unseen: CameraEventKind | None = None
        self._reported_unseen = False
        self._clear_since = -REPORT_AGAIN_S
        self._reopen_at: float | None = None
        self._reopenings = 0

    @property
    def identity(self) -> str | None:
        """Return the identity of the open camera; None where it does not know it by itself."""
        return getattr(self._camera, "identity", None)

    def open(self) -> None:
        """Start delivering; the device is opened by the first `read`."""
        self._stopped.clear()

    def read(self) -> Frame:
        """Return the next frame, however long it takes.

        Raises: EndOfStream after `stop` or the end of a recording.
        """
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
        """Close the device; safe to call twice, and never raises: it is opened anew, or left."""
        self._is_open = False
        try:
            self._camera.close()
        except DeviceError as error:
            log.debug("camera %s: closing: %s", self.name, error)

    def _step(self) -> Frame | None:
        if not self._is_open:
            self._camera.open()
            self._is_open = True
            self._still_since = self._clock.now().mono
            self.heartbeat()
        began = self._clock.now().mono
        frame = self._camera.read()
        now = self._clock.now().mono
        if self._outage is CameraEventKind.LOST:
            self._recover(now)
        if self._frozen_after_s is not None and self._stands_still(frame.image):
            withheld = self._outage is not None
            if now - self._still_since >= self._frozen_after_s:
                withheld = self._judge_still(frame.image, now)
            if withheld and now - began < PACE_S:
                self._wait(PACE_S)
            return None if withheld else frame
        self._still_since = now
        if self._loops is not None:
            if self._loops.repeats(frame.image):
                self._stuck(CameraEventKind.LOOPED, "the same pictures come again and again", now)
                return None
            if self._outage is CameraEventKind.LOOPED and self._loops.known:
                return None
        self._see(now)
        self._recover(now)
        if self._view is not None and (found := self._view.look(frame.image, now)) is not None:
            self._report(found, VIEWS.get(found, ""))
        return frame

    def _judge_still(self, image: Image, now: float) -> bool:
        """Handle a picture that does not change; return whether it is withheld."""
        empty = blank(image)
        kind = empty or (CameraEventKind.DARK if dim(image) else None)
        since = f"the same picture for {now - self._still_since:.0f} s"
        if kind is None:
            self._stuck(CameraEventKind.FROZEN, since, now)
            return True
        if self._outage is None and self._unseen is None:
            self._unseen = kind
            self._reopen_at = now + DARK_REOPENING_S
            if now - self._clear_since >= REPORT_AGAIN_S:
                self._reported_unseen = True
                self._report(kind, f"nothing to be seen: {since}")
        if self._reopen_at is not None and now >= self._reopen_at:
            self._reopen_at = now + DARK_REOPENING_S
            self.close()
        return empty is None

    def _see(self, now: float) -> None:
        """Handle a new picture."""
        if self._unseen is not None and self._reported_unseen:
            self._clear_since = now
            self._report(CameraEventKind.CLEAR, "")
        self._unseen, self._reported_unseen = None, False

    def _stuck(self, kind: CameraEventKind, detail: str, now: float) -> None:
        """Handle repeated pictures: report them once, and reopen the camera now and then.

        In between reading goes on without a pause.
        """
        if self._outage is None:
            self._begin_outage(kind, detail)
            self._reopen_at, self._reopenings = now, 0
        if self._reopen_at is not None and now >= self._reopen_at:
            pause = FIRST_REOPENING_S * 2.0 ** min(self._reopenings, 16)
            self._reopen_at = now + min(LAST_REOPENING_S, pause)
            self._reopenings += 1
            self.close()

    def _stands_still(self, image: Image) -> bool:
        before, self._still = self._still, image
        if before is None or before.shape != image.shape:
            return False
        # a few pixels are nearly always enough; all are compared only when those are equal
        return np.array_equal(before[::16, ::16], image[::16, ::16]) and np.array_equal(
            before, image
        )

    def _lose(self, kind: CameraEventKind, detail: str) -> None:
        """Handle a failure: close the camera, report it once, wait before the next attempt."""
        self.close()
        self._unseen, self._reported_unseen = None, False
        if self._outage is None:
            self._begin_outage(kind, detail)
        if self._well_since and self._clock.now().mono - self._well_since >= STABLE_S:
            self._attempts = 0
        self._well_since = 0.0
        delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self._attempts, 16))
        self._attempts += 1
        self.heartbeat()
        self._wait(delay * (0.5 + 0.5 * self._jitter()))

    def _begin_outage(self, kind: CameraEventKind, detail: str) -> None:
        self._outage = kind
        log.warning("camera %s %s: %s", self.name, kind, detail)
        self._on_event(CameraEvent(kind, detail))

    def _report(self, kind: CameraEventKind, detail: str) -> None:
        log.info("camera %s: %s", self.name, kind)
        self._on_event(CameraEvent(kind, detail))

    def _recover(self, now: float) -> None:
        self._well_since = self._well_since or now
        if self._outage is not None or not self._reported_open:
            self._outage = None
            self._reported_open = True
            if self._view is not None:
                self._view.reopened()  # who hears of the opening takes the view to be well
            log.info("camera %s delivers", self.name)
            self._on_event(CameraEvent(CameraEventKind.OPENED))
