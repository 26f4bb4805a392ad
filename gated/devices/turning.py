"""Rotates and mirrors pictures of cameras that are mounted another way."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from gated.config import CameraSource
from gated.core.values import Image

ROTATIONS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def turned(settings: CameraSource) -> Callable[[Image], Image]:
    """Return a function that rotates and then mirrors pictures as configured."""
    rotation, mirror = ROTATIONS.get(settings.rotate), settings.mirror

    def turn(image: Image) -> Image:
        if rotation is not None:
            image = np.asarray(cv2.rotate(image, rotation), np.uint8)
        return np.asarray(cv2.flip(image, 1), np.uint8) if mirror else image

    return turn
