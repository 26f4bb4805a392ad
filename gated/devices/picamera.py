"""Drives the camera on a Raspberry Pi's ribbon cable, through picamera2.

Mirroring and half turns are done by libcamera at no cost, as the sensor reads out in another order;
quarter turns are done here. For a large picture, the camera's hardware also delivers a small one of
the same moment, in which faces are detected. The time of a frame is that of the sensor, not of its
arrival.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from gated.config import CameraSource
from gated.core.values import Image
from gated.devices.drivers import CameraDriver
from gated.devices.turning import turned
from gated.errors import DeviceError
from gated.ports import Clock, Frame

SMALL_WIDTH = 640
"""Width of the small picture: a multiple of 64, so that its rows are not padded."""


def boot_time() -> int:
    """Return nanoseconds on the clock that libcamera uses for frames."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def small_size(width: int, height: int) -> tuple[int, int] | None:
    """Return width and height of the small picture, both even; None for a small large one."""
    if width <= SMALL_WIDTH:
        return None
    return SMALL_WIDTH, max(2, round(height * SMALL_WIDTH / width / 2) * 2)


class PiCamera:
    """A camera through picamera2, which is part of Raspberry Pi OS and imported on opening."""

    def __init__(
        self,
        settings: CameraSource,
        clock: Clock,
        library: Any = None,
        libcamera: Any = None,
        sensor_clock: Callable[[], int] = boot_time,
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._clock = clock
        self._library = library
        self._libcamera = libcamera
        self._sensor_clock = sensor_clock
        self._small = small_size(settings.width, settings.height)
        upright = settings.rotate in {0, 180}
        upside_down = settings.rotate == 180
        # rotated first, then mirrored: half a turn is both flips
        self._flips = (upside_down != settings.mirror, upside_down) if upright else (False, False)
        self._turn = (lambda image: image) if upright else turned(settings)
        self._camera: Any = None
        self._number = 0

    def open(self) -> None:
        """Open the camera. Raises: DeviceError without library or camera, or when it is in use."""
        self.close()
        settings = self._settings
        library = self._library or _import_picamera2()
        index = settings.device if isinstance(settings.device, int) else 0
        try:
            self._camera = library.Picamera2(index)
            # libcamera names the channels from the highest byte down: in memory RGB888 is BGR
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"size": (settings.width, settings.height), "format": "RGB888"},
                    controls={"FrameRate": settings.fps},
                    **self._small_stream(),
                    **self._transform(),
                )
            )
            self._camera.start()
        except Exception as error:  # libcamera raises RuntimeError, IndexError and its own
            self.close()
            raise DeviceError(f"Pi camera {index} cannot be opened: {error}") from error

    def _small_stream(self) -> dict[str, Any]:
        # the one format of a second stream that every Pi supports
        return {"lores": {"size": self._small, "format": "YUV420"}} if self._small else {}

    def _transform(self) -> dict[str, Any]:
        """Return libcamera's transform; empty without one."""
        across, over = self._flips
        if not (across or over):
            return {}
        libcamera = self._libcamera or _imported("libcamera")
        return {"transform": libcamera.Transform(hflip=int(across), vflip=int(over))}

    def read(self) -> Frame:
        """Return the next frame. Raises: DeviceError after `read_timeout_s`."""
        if self._camera is None:
            raise DeviceError("the Pi camera is not open")
        try:
            job = self._camera.capture_request(wait=False)
            request = job.get_result(timeout=self._settings.read_timeout_s)
            try:
                image = request.make_array("main")
                small = request.make_array("lores") if self._small else None
                stamp = request.get_metadata().get("SensorTimestamp")
            finally:
                request.release()
        except TimeoutError:
            raise DeviceError("the Pi camera delivers no picture") from None
        except Exception as error:
            raise DeviceError(f"the Pi camera failed: {error}") from error
        self._number += 1
        image = self._turn(np.ascontiguousarray(image[:, :, :3], np.uint8))
        return Frame(image, self._captured_at(stamp), self._number, self._as_bgr(small))

    def _captured_at(self, stamp: int | None) -> float:
        """Return the monotonic seconds at which the sensor began to read the frame, or else now.

        A stamp from the future, or older than the time-out, is of another clock.
        """
        now = self._clock.now().mono
        if not stamp:
            return now
        age = (self._sensor_clock() - stamp) / 1e9
        return now - age if 0 <= age <= self._settings.read_timeout_s else now

    def _as_bgr(self, small: Any) -> Image | None:
        """Convert the small picture to BGR; None when its shape is not as requested."""
        if small is None or self._small is None:
            return None
        width, height = self._small
        if small.shape != (height * 3 // 2, width):
            return None
        return self._turn(np.asarray(cv2.cvtColor(small, cv2.COLOR_YUV2BGR_I420), np.uint8))

    def close(self) -> None:
        """Release the camera; safe to call twice."""
        camera, self._camera = self._camera, None
        if camera is not None:
            try:
                camera.close()
            except Exception as error:
                raise DeviceError(f"the Pi camera cannot be closed: {error}") from error


def _import_picamera2() -> Any:
    return _imported("picamera2")


def _imported(name: str) -> Any:
    """Import a module. Raises: DeviceError with advice, whatever the import raises.

    A module built for another numpy raises ValueError, one with missing parts OSError.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DeviceError(
            f"camera.driver: picamera2 needs the Debian package python3-picamera2 and a virtual "
            f"environment made with --system-site-packages ({error})"
        ) from error
    except Exception as error:
        raise DeviceError(
            f"camera.driver: picamera2: {name} is installed and does not start "
            f"({type(error).__name__}: {error}): bring the system's packages up to date (apt "
            "full-upgrade). picamera2 of Debian 12 (bookworm) was built for numpy 1, and the gate "
            "needs numpy 2: use Raspberry Pi OS 13 (trixie), or a USB camera"
        ) from error


DRIVER = CameraDriver(name="picamera2", make=lambda setup: PiCamera(setup.settings, setup.clock))
