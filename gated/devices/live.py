"""Drives live cameras through OpenCV: USB (`v4l2`) and network (`rtsp`)."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path

import cv2
import numpy as np

from gated.config import CameraSource
from gated.config.addresses import shown
from gated.core.values import Image
from gated.devices.drivers import VIDEO, CameraDriver
from gated.devices.identity import host_identity, usb_identity, usb_number
from gated.devices.opencv import silence_opencv
from gated.devices.turning import turned
from gated.errors import DeviceError
from gated.ports import Clock, Frame

SLOW_READ = 0.8
"""Share of the time-out; a longer read came from a stalled stream, whatever it returned: OpenCV
answers the first reads after a stall with old frames (seen with 5.0 and FFmpeg)."""

MOST_BROKEN = 10
"""So many broken pictures in a row are passed over: a bad cable spoils one now and then."""


class CaptureCamera:
    """Base of the drivers on cv2.VideoCapture."""

    identity: str | None = None
    """What another camera would not have, of the one that is open; None: not known by this."""

    def __init__(self, settings: CameraSource, clock: Clock) -> None:
        self.name = settings.name
        self._settings = settings
        self._clock = clock
        self._capture: cv2.VideoCapture | None = None
        self._number = 0
        self._turn = turned(settings)

    @property
    @abstractmethod
    def _where(self) -> str:
        """The device or address, without secrets."""

    @abstractmethod
    def _connect(self) -> cv2.VideoCapture:
        """Make a capture, open or not."""

    def open(self) -> None:
        """Open the camera. Raises: DeviceError after `open_timeout_s`."""
        self.close()
        silence_opencv()
        try:
            capture = self._connect()
        except cv2.error:
            raise DeviceError(f"{self._where} cannot be opened") from None
        if not capture.isOpened():
            capture.release()
            raise DeviceError(f"{self._where} cannot be opened{self._hint()}")
        self._capture = capture

    def read(self) -> Frame:
        """Return the next frame. Raises: DeviceError after `read_timeout_s`."""
        if self._capture is None:
            raise DeviceError(f"{self._where} is not open")
        began = self._clock.now().mono
        image = self._picture(self._capture, began)
        now = self._clock.now().mono
        if now - began > SLOW_READ * self._settings.read_timeout_s:
            raise DeviceError(f"{self._where} stalled for {now - began:.1f} s")
        self._number += 1
        return Frame(self._turn(image), now, self._number)

    def _picture(self, capture: cv2.VideoCapture, began: float) -> Image:
        """Return the next picture that can be decoded. Raises: DeviceError."""
        for _ in range(MOST_BROKEN):
            if not _grabbed(capture):
                raise DeviceError(f"{self._where} delivers no picture")
            if (image := _decoded(capture)) is not None:
                return image
            if self._clock.now().mono - began > SLOW_READ * self._settings.read_timeout_s:
                break
        raise DeviceError(f"{self._where} delivers broken pictures: look at its cable")

    def close(self) -> None:
        """Release the device; safe to call twice."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _hint(self) -> str:
        return ""


def _grabbed(capture: cv2.VideoCapture) -> bool:
    try:
        return bool(capture.grab())
    except cv2.error:
        return False


def _decoded(capture: cv2.VideoCapture) -> Image | None:
    """Return the picture that was grabbed; None for one that is no picture."""
    try:
        whole, image = capture.retrieve()
    except cv2.error:
        return None
    return np.asarray(image, np.uint8) if whole and image is not None else None


class V4l2Camera(CaptureCamera):
    """A USB camera. known: the identity of the one that is wanted, under whatever number it is."""

    def __init__(
        self,
        settings: CameraSource,
        clock: Clock,
        known: str | None = None,
        video: Path = VIDEO,
    ) -> None:
        super().__init__(settings, clock)
        self._device = settings.device
        self._video = video
        self.identity = known

    @property
    def _where(self) -> str:
        return f"/dev/video{self._device}" if isinstance(self._device, int) else self._device

    def _connect(self) -> cv2.VideoCapture:
        settings = self._settings
        if isinstance(settings.device, int):
            self._device = usb_number(settings.device, self.identity, self._video)
        self.identity = usb_identity(self._device, self._video) or self.identity
        capture = cv2.VideoCapture(self._where, cv2.CAP_V4L2)
        # refused where the camera has no MJPG; raw video of that size may not fit through USB 2
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
        capture.set(cv2.CAP_PROP_FPS, settings.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def _hint(self) -> str:
        path = Path(self._where)
        if not path.exists():
            return ": no such device"
        if not os.access(path, os.R_OK | os.W_OK):
            return ": no permission (is the user in the group video?)"
        return ": in use by another program, or not a camera"


class RtspCamera(CaptureCamera):
    """A network camera. Its address may contain a password, which messages never repeat."""

    @property
    def _where(self) -> str:
        return shown(self._settings.url or "", "the RTSP address")

    def _connect(self) -> cv2.VideoCapture:
        settings = self._settings
        return cv2.VideoCapture(
            settings.url or "",
            cv2.CAP_FFMPEG,
            [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(1000 * settings.open_timeout_s)),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * settings.read_timeout_s)),
                # each frame thread would delay by one frame
                *(cv2.CAP_PROP_N_THREADS, 1),
            ],
        )


V4L2 = CameraDriver(
    name="v4l2",
    make=lambda setup: V4l2Camera(setup.settings, setup.clock, setup.known, setup.video),
    identity=lambda setup: usb_identity(setup.settings.device, setup.video),
)
RTSP = CameraDriver(
    name="rtsp",
    make=lambda setup: RtspCamera(setup.settings, setup.clock),
    identity=lambda setup: host_identity(setup.settings.url or ""),
)
