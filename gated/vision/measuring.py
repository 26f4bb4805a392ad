"""Quality of a face in a picture, measured the same way for every engine."""

from __future__ import annotations

import cv2
import numpy as np

from gated.config import VisionSettings
from gated.core.quality import QualityLimits, assess
from gated.core.values import Face, Image, Quality
from gated.vision.embedder import CHIP


def measure(face: Face, chip: Image) -> Quality:
    """Quality of a face on its aligned chip (any engine's: their framing is nearly the same)."""
    if chip.shape[:2] != (CHIP, CHIP):
        chip = np.asarray(cv2.resize(chip, (CHIP, CHIP), interpolation=cv2.INTER_AREA), np.uint8)
    return assess(face, np.asarray(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), np.uint8))


def limits_of(settings: VisionSettings) -> QualityLimits:
    """Return the limits of a usable frame, as configured."""
    return QualityLimits(
        min_detection=settings.min_detection,
        min_eye_distance=settings.min_eye_distance,
        max_yaw=settings.max_yaw,
        max_pitch=settings.max_pitch,
        max_roll=settings.max_roll,
        min_sharpness=settings.min_sharpness,
        min_brightness=settings.min_brightness,
        max_brightness=settings.max_brightness,
    )
