"""The camera on a Raspberry Pi's ribbon cable, through picamera2."""

from __future__ import annotations

from typing import Any

import numpy as np

from gated.config import CameraSettings
from gated.errors import DeviceError
from gated.ports import Clock, Frame


class PiCamera:
    """picamera2 is imported when the camera is opened; it comes with Raspberry Pi OS."""

    def __init__(self, settings: CameraSettings, clock: Clock, library: Any = None) -> None:
        self.name = settings.name
        self._settings = settings
        self._clock = clock
        self._library = library
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
                )
            )
            self._camera.start()
        except Exception as error:  # libcamera raises RuntimeError, IndexError and its own
            self.close()
            raise DeviceError(f"Pi camera {index} cannot be opened: {error}") from error

    def read(self) -> Frame:
        """The next frame; DeviceError when none comes within `read_timeout_s`."""
        if self._camera is None:
            raise DeviceError("the Pi camera is not open")
        try:
            job = self._camera.capture_array("main", wait=False)
            image = job.get_result(timeout=self._settings.read_timeout_s)
        except TimeoutError:
            raise DeviceError("the Pi camera delivers no picture") from None
        except Exception as error:
            raise DeviceError(f"the Pi camera failed: {error}") from error
        self._number += 1
        image = np.ascontiguousarray(image[:, :, :3], np.uint8)
        return Frame(image, self._clock.now().mono, self._number)

    def close(self) -> None:
        """Release the camera; safe to call twice."""
        camera, self._camera = self._camera, None
        if camera is not None:
            try:
                camera.close()
            except Exception as error:
                raise DeviceError(f"the Pi camera cannot be closed: {error}") from error


def _import_picamera2() -> Any:
    try:
        import picamera2
    except ImportError as error:
        raise DeviceError(
            f"camera.driver: picamera2 needs the Debian package python3-picamera2 and a virtual "
            f"environment made with --system-site-packages ({error})"
        ) from error
    return picamera2
