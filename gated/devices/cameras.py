"""Opens the camera that the settings name. Drivers are named, never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from gated.config import CameraSettings
from gated.core.model import Image
from gated.devices.recorded import RecordedCamera, Source, recording
from gated.devices.walkup import Portrait, walk_ups
from gated.errors import ConfigError
from gated.ports import Camera, Clock


def open_camera(settings: CameraSettings, clock: Clock, demo: Sequence[Portrait] = ()) -> Camera:
    """The configured camera, not yet delivering; `demo`: who walks up when the source is `demo`.

    SourceError when a recording cannot be read; ConfigError without a camera.
    """
    match settings.driver:
        case "replay":
            return _replay(settings, clock, demo)
        case "v4l2":
            from gated.devices.live import V4l2Camera

            return V4l2Camera(settings, clock)
        case "rtsp":
            from gated.devices.live import RtspCamera

            return RtspCamera(settings, clock)
        case "picamera2":
            from gated.devices.picamera import PiCamera

            return PiCamera(settings, clock)
        case "none":
            raise ConfigError("camera.driver: none: this program has no camera")


def _replay(settings: CameraSettings, clock: Clock, demo: Sequence[Portrait]) -> Camera:
    source: Source
    fps = settings.fps
    if settings.source == "demo":
        size = (settings.width, settings.height)

        def source() -> Iterator[Image]:
            return walk_ups(demo, size, settings.fps)

    else:
        source, fps = recording(Path(settings.source or ""), settings.fps)
    turn = turned(settings)
    return RecordedCamera(
        settings.name,
        lambda: map(turn, source()),
        fps,
        clock,
        loop=settings.loop,
        realtime=settings.realtime,
    )


class turned:  # noqa: N801 - used like a function
    """Rotates and mirrors pictures as the settings say."""

    def __init__(self, settings: CameraSettings) -> None:
        codes = {
            90: cv2.ROTATE_90_CLOCKWISE,
            180: cv2.ROTATE_180,
            270: cv2.ROTATE_90_COUNTERCLOCKWISE,
        }
        self._code = codes.get(settings.rotate)
        self._mirror = settings.mirror

    def __call__(self, image: Image) -> Image:
        if self._code is not None:
            image = np.asarray(cv2.rotate(image, self._code), np.uint8)
        return np.asarray(cv2.flip(image, 1), np.uint8) if self._mirror else image
