"""Drives live cameras through OpenCV: USB (`v4l2`) and network (`rtsp`)."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path

import cv2
import numpy as np

from gated.config import CameraSettings
from gated.config.addresses import shown
from gated.devices.drivers import CameraDriver
from gated.devices.identity import host_identity, usb_identity
from gated.devices.opencv import silence_opencv
from gated.devices.turning import turned
from gated.errors import DeviceError
from gated.ports import Clock, Frame

SLOW_READ = 0.8
"""Share of the time-out; a longer read came from a stalled stream, whatever it returned: OpenCV
answers the first reads after a stall with old frames (seen with 5.0 and FFmpeg)."""


class CaptureCamera:
    """Base of the drivers on cv2.VideoCapture."""

    def __init__(self, settings: CameraSettings, clock: Clock) -> None:
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
        try:
            ok, image = self._capture.read()
        except cv2.error:
            ok, image = False, None
        now = self._clock.now().mono
        if not ok or image is None:
            raise DeviceError(f"{self._where} delivers no picture")
        if now - began > SLOW_READ * self._settings.read_timeout_s:
            raise DeviceError(f"{self._where} stalled for {now - began:.1f} s")
        self._number += 1
        return Frame(self._turn(np.asarray(image, np.uint8)), now, self._number)

    def close(self) -> None:
        """Release the device; safe to call twice."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _hint(self) -> str:
        return ""


class V4l2Camera(CaptureCamera):
    """A USB camera."""

    @property
    def _where(self) -> str:
        device = self._settings.device
        return f"/dev/video{device}" if isinstance(device, int) else device

    def _connect(self) -> cv2.VideoCapture:
        settings = self._settings
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
    make=lambda setup: V4l2Camera(setup.settings, setup.clock),
    identity=lambda setup: usb_identity(setup.settings.device, setup.video),
)
RTSP = CameraDriver(
    name="rtsp",
    make=lambda setup: RtspCamera(setup.settings, setup.clock),
    identity=lambda setup: host_identity(setup.settings.url or ""),
)
