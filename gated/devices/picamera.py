"""The camera on a Raspberry Pi's ribbon cable, through picamera2.

What libcamera turns costs nothing: the sensor reads out the other way round. It knows mirrored and
upside down; a quarter turn is made here. Where the picture is large, the camera's own hardware
makes a small one of it at the same moment, in which faces are looked for. A frame counts from the
moment at which the sensor read it, not from when it arrived here.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from gated.config import CameraSettings
from gated.core.values import Image
from gated.devices.drivers import CameraDriver
from gated.devices.turning import turned
from gated.errors import DeviceError
from gated.ports import Clock, Frame

SMALL_WIDTH = 640
"""Of the small picture: a multiple of 64, so that its rows are not padded."""


def boot_time() -> int:
    """Nanoseconds on the clock that libcamera stamps frames with."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def small_size(width: int, height: int) -> tuple[int, int] | None:
    """Width and height of the small picture, both even; None where the large one is small."""
    if width <= SMALL_WIDTH:
        return None
    return SMALL_WIDTH, max(2, round(height * SMALL_WIDTH / width / 2) * 2)


class PiCamera:
    """picamera2 is imported when the camera is opened; it comes with Raspberry Pi OS."""

    def __init__(
        self,
        settings: CameraSettings,
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
        """DeviceError without the library, without the camera, or while another program has it."""
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
        # YUV420 is the one format that every Pi makes of its second stream
        return {"lores": {"size": self._small, "format": "YUV420"}} if self._small else {}

    def _transform(self) -> dict[str, Any]:
        """Return the turn that libcamera is asked for; empty without one."""
        across, over = self._flips
        if not (across or over):
            return {}
        libcamera = self._libcamera or _imported("libcamera")
        return {"transform": libcamera.Transform(hflip=int(across), vflip=int(over))}

    def read(self) -> Frame:
        """The next frame; DeviceError when none comes within `read_timeout_s`."""
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
        """Monotonic seconds at which the sensor began to read the frame; now, if that is not known.

        A stamp from the future, or older than a read may take, is of another clock.
        """
        now = self._clock.now().mono
        if not stamp:
            return now
        age = (self._sensor_clock() - stamp) / 1e9
        return now - age if 0 <= age <= self._settings.read_timeout_s else now

    def _as_bgr(self, small: Any) -> Image | None:
        """The small picture as the large one is; None where its rows are not as was asked for."""
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
    """The module; DeviceError with advice, whatever its import ends with.

    One that was built for another numpy raises ValueError, a missing part of it OSError.
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
