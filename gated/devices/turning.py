"""Pictures the right way up, whichever way the camera hangs."""

from __future__ import annotations

import cv2
import numpy as np

from gated.config import CameraSettings
from gated.core.values import Image


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
