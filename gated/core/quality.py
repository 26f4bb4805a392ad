"""Measures the quality of a face for a matcher: size, pose, sharpness, exposure; and its flaws.

Everything is measured on the five landmarks and on the aligned chip, so that values are comparable
between engines and distances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gated.core.values import Face, Quality

Gray = npt.NDArray[np.uint8]
"""One gray picture: (height, width) uint8."""

FLAWS = (
    "low_detection",
    "too_small",
    "extreme_pose",
    "blurred",
    "too_dark",
    "too_bright",
    "outside_zone",
)
"""Reasons why a frame is not usable, most informative first."""

GOOD_EYE_DISTANCE = 60.0
GOOD_SHARPNESS = 0.6

_BLUR_WINDOW = 9
_SHARP = 0.5
"""Share of variation that a blur removes from a sharp photo: the upper end of the scale."""

# Right eye, left eye, nose tip, mouth corners of an average frontal face in millimetres: x right,
# y down, z away from the camera, 63 mm between the eyes. Fitted to YuNet's landmarks on 2,582
# photos of LFW (structure from motion, mirror symmetric); pitch 0 is their median.
_HEAD = np.array(
    [[-31.5, 0, 0], [31.5, 0, 0], [0, 36.2, -28.9], [-27.3, 63.8, 5.9], [27.3, 63.8, 5.9]],
    np.float64,
)
_HEAD_INVERSE = np.linalg.pinv(_HEAD - _HEAD.mean(axis=0))


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Limits of a usable frame. Pixels, degrees, [0, 1] and gray levels."""

    min_detection: float = 0.7
    min_eye_distance: float = 14.0
    max_yaw: float = 35.0
    max_pitch: float = 30.0
    max_roll: float = 45.0
    min_sharpness: float = 0.1
    min_brightness: float = 30.0
    max_brightness: float = 235.0


def pose(landmarks: npt.NDArray[np.float32]) -> tuple[float, float, float]:
    """Return (yaw, pitch, roll) in degrees of (5, 2) landmarks; 0, 0, 0 is frontal.

    yaw > 0: turned to the picture's right; pitch > 0: looking up; roll > 0: clockwise in the
    picture; the head turns in the order pitch, yaw, roll.
    A scaled orthographic fit of an average head (DeMenthon & Davis, "POS", 1995).
    """
    points = np.asarray(landmarks, np.float64)
    scaled = (_HEAD_INVERSE @ (points - points.mean(axis=0))).T
    if not np.isfinite(scaled).all():
        return 90.0, 90.0, 180.0
    u, _, vt = np.linalg.svd(scaled, full_matrices=False)
    right, down = u @ vt
    roll = math.atan2(down[0], right[0])
    # direction of the nose (the model's -z axis), seen by a camera that rolls with the head
    x, y, z = -right[2], -down[2], down[0] * right[1] - right[0] * down[1]
    x, y = x * math.cos(roll) + y * math.sin(roll), y * math.cos(roll) - x * math.sin(roll)
    yaw = math.degrees(math.atan2(x, -z))
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, -y))))
    return yaw, pitch, math.degrees(roll)


def sharpness(gray: Gray) -> float:
    """Return the sharpness of a gray chip in [0, 1]: the variation that a blur removes.

    The worse of both axes, so that motion blur counts; independent of light and contrast.
    Crete et al., "The blur effect", 2007. Strong noise counts as sharp.
    """
    picture = gray.astype(np.float32)
    raw = min(_lost_to_blur(picture), _lost_to_blur(picture.T))
    return min(1.0, raw / _SHARP)


def exposure(gray: Gray) -> tuple[float, float]:
    """Return (brightness, contrast): mean and deviation of the chip's middle, gray levels."""
    height, width = gray.shape
    middle = gray[height // 5 : height - height // 5, width // 5 : width - width // 5]
    return float(middle.mean()), float(middle.std())


def assess(face: Face, chip: Gray, chip_eye_distance: float = 35.2) -> Quality:
    """Measure one face on its gray chip, whose eyes are `chip_eye_distance` pixels apart."""
    yaw, pitch, roll = pose(face.landmarks)
    # a small face was enlarged into the chip, which blurs it: measure in its own resolution
    factor = max(1, round(chip_eye_distance / max(face.eye_distance, 1.0)))
    sharp = sharpness(_shrunk(chip, factor))
    brightness, contrast = exposure(chip)
    quality = Quality(
        face.score,
        face.eye_distance,
        yaw,
        pitch,
        roll,
        sharp,
        brightness,
        contrast,
        0.0,
    )
    return replace(quality, score=_score(quality))


def flaws(quality: Quality, limits: QualityLimits, in_zone: bool = True) -> tuple[str, ...]:
    """Return the codes of FLAWS that apply, in its order; empty when the frame is usable."""
    applies = {
        "low_detection": quality.detection < limits.min_detection,
        "too_small": quality.eye_distance < limits.min_eye_distance,
        "extreme_pose": abs(quality.yaw) > limits.max_yaw
        or abs(quality.pitch) > limits.max_pitch
        or abs(quality.roll) > limits.max_roll,
        "blurred": quality.sharpness < limits.min_sharpness,
        "too_dark": quality.brightness < limits.min_brightness,
        "too_bright": quality.brightness > limits.max_brightness,
        "outside_zone": not in_zone,
    }
    return tuple(code for code in FLAWS if applies[code])


def _score(q: Quality) -> float:
    """Return the product of all measures, each relative to a good value."""
    facing = max(0.0, math.cos(math.radians(q.yaw))) * max(0.0, math.cos(math.radians(q.pitch)))
    size = math.sqrt(min(1.0, q.eye_distance / GOOD_EYE_DISTANCE))
    sharp = math.sqrt(min(1.0, q.sharpness / GOOD_SHARPNESS))
    light = min(1.0, q.brightness / 60.0, (255.0 - q.brightness) / 40.0)
    return max(0.0, min(1.0, q.detection * facing * size * sharp * light))


def _shrunk(gray: Gray, factor: int) -> Gray:
    """Average blocks of factor x factor pixels."""
    if factor == 1:
        return gray
    height, width = (n // factor * factor for n in gray.shape)
    blocks = gray[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), np.uint8)


def _lost_to_blur(picture: npt.NDArray[np.float32]) -> float:
    """Return the share of the variation between rows that a running mean over them removes."""
    sums = np.cumsum(picture, axis=0)
    blurred = (sums[_BLUR_WINDOW:] - sums[:-_BLUR_WINDOW]) / _BLUR_WINDOW
    half = _BLUR_WINDOW // 2
    inner = picture[half + 1 : half + 1 + len(blurred)]
    before = np.abs(np.diff(inner, axis=0))
    after = np.abs(np.diff(blurred, axis=0))
    # steps of one gray level are rounding errors, and all there is in very smooth pictures
    lost = float(np.maximum(0.0, before - after - 1.0).sum())
    total = float(before.sum())
    return lost / total if total > 0 else 0.0
