"""Examine whether reference photos can be enrolled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from gated.config import VisionSettings
from gated.core.quality import QualityLimits, flaws
from gated.core.tracking import overlap, overlap_area
from gated.core.values import Box, Face, Image, Quality, Vector
from gated.errors import EnrollmentRefused
from gated.vision.embedder import mirrored_embedding
from gated.vision.factory import Models
from gated.vision.measuring import limits_of, measure
from gated.vision.occlusion import Visibility, visibility

MAX_YAW = 45.0
"""A photo may show more of a profile than a probe: the person's other photos make up for it."""

RIVAL = 0.5
"""A second face at least this prominent, measured by the first, makes a photo ambiguous."""

AT_THE_EDGE = 0.75
"""The prominence that a face loses from the middle of the picture to its corner."""

SMALL_PHOTO = 320
"""Long side up to which one look finds every face that is large enough to enrol."""

SURROUNDINGS = 1.5
"""Half the side of the part around a face that is looked at again, in sizes of its box."""

SURER = 0.05
"""A detection score that is higher by so much is of another kind of view."""

MIN_SHARPNESS = 0.15
GOOD_YAW = 25.0
GOOD_SHARPNESS = 0.4


@dataclass(frozen=True, slots=True)
class Advice:
    """One way to a better photo: a code, which pages have words for, and the same in English."""

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


NEARER = Advice("nearer", "A photo taken from nearer (a larger face) would be recognised better.")
STRAIGHT = Advice(
    "straight", "A photo looking straight into the camera would be recognised better."
)
SHARPER = Advice("sharper", "A sharper photo would be recognised better.")
SEVERAL = "several"
"""The code of advice about a photo of several people: which of them was taken."""


@dataclass(frozen=True, slots=True, eq=False)
class ExaminedPhoto:
    """A photo that can be enrolled: its face, quality and template; how it could be better."""

    face: Face
    quality: Quality
    embedding: Vector
    advice: list[Advice] = field(default_factory=list)


class PhotoExaminer:
    """Finds the one face of a reference photo, and the reason if it cannot be enrolled."""

    def __init__(self, models: Models, settings: VisionSettings) -> None:
        self._models = models
        self._good_eye_distance = settings.enroll_good_eye_distance
        self._limits = replace(
            limits_of(settings),
            min_eye_distance=settings.enroll_min_eye_distance,
            max_yaw=max(MAX_YAW, settings.max_yaw),
            min_sharpness=max(MIN_SHARPNESS, settings.min_sharpness),
        )

    def examine(self, image: Image) -> ExaminedPhoto:
        """Return the face, its quality and template; EnrollmentRefused with the contract's code."""
        found, others = self._only_face(image)
        face = self._models.look_closer(image, found)
        if not self._is_upright(image, face):
            raise EnrollmentRefused(*REFUSALS["extreme_pose"], {"detection": face.score})
        chip = self._models.embedder.align(image, face)
        quality = measure(face, chip)
        _refuse(quality, self._limits)
        _refuse_covered(visibility(image, face))
        embedding = mirrored_embedding(self._models.embedder, chip)
        advice = [*_chosen_face(face, others, image.shape[1]), *self._advice(quality)]
        return ExaminedPhoto(face, quality, embedding, advice)

    def _only_face(self, image: Image) -> tuple[Face, list[Face]]:
        """Return the face that the photo shows, and the lesser ones beside it.

        Raises: EnrollmentRefused.
        """
        found = [f for f in self._detect(image) if f.score >= self._limits.min_detection]
        if not found:
            raise EnrollmentRefused(
                "no_face",
                "No face was found. Use a photo in which the face is seen from the front, upright "
                "and uncovered.",
            )
        height, width = image.shape[:2]
        by_prominence = sorted(((_prominence(f.box, width, height), f) for f in found), key=_first)
        (most, face), *others = by_prominence[::-1]
        rivals = [f for prominence, f in others if prominence >= RIVAL * most]
        if rivals:
            raise EnrollmentRefused(
                "multiple_faces",
                "There are several faces. Use a photo that shows the person alone, or cut it out.",
                {"faces": len(rivals) + 1},
            )
        return face, [f for _, f in others]

    def _detect(self, image: Image) -> list[Face]:
        """Find faces of every size: small ones in large photos, and those that fill the picture."""
        height, width = image.shape[:2]
        border = max(height, width) // 3
        edges = (border, border, border, border)
        wide = np.asarray(cv2.copyMakeBorder(image, *edges, cv2.BORDER_REPLICATE), np.uint8)
        inside = [_moved(face, -border, -border) for face in self._models.detector.detect(wide)]
        faces = [*self._models.detector.detect(image), *inside]
        if max(height, width) > 2 * SMALL_PHOTO:
            faces += self._models.photo_detector.detect(image)
        found: list[Face] = []
        for face in faces:
            if not any(_same(face.box, other.box) for other in found):
                found.append(face)
        return found

    def _is_upright(self, image: Image, face: Face) -> bool:
        """Return False when the turned picture has a higher detection score for the face.

        The detector finds upside-down faces too, but with the landmarks of an upright one.
        """
        part, _, _ = _surroundings(image, face)
        as_it_is = self._surest(part)
        height, width = part.shape[:2]
        for angle in range(45, 360, 45):
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
            turned = np.asarray(cv2.warpAffine(part, turn, (width, height)), np.uint8)
            if self._surest(turned) > as_it_is + SURER:
                return False
        return True

    def _surest(self, image: Image) -> float:
        return max((face.score for face in self._models.detector.detect(image)), default=0.0)

    def _advice(self, quality: Quality) -> list[Advice]:
        advice = []
        if quality.eye_distance < self._good_eye_distance:
            advice.append(NEARER)
        if abs(quality.yaw) > GOOD_YAW:
            advice.append(STRAIGHT)
        if quality.sharpness < GOOD_SHARPNESS:
            advice.append(SHARPER)
        return advice


def _chosen_face(face: Face, others: Sequence[Face], width: int) -> list[Advice]:
    """Name which of several people was chosen, with advice; empty for a single person."""
    if not others:
        return []
    x = face.box.centre[0]
    left = sum(other.box.centre[0] < x for other in others)
    place = _place(left, len(others)) if len(others) < 4 else _third(x / width)
    text = (
        f"The photo shows {len(others) + 1} people. The {place} was taken, whose face "
        f"({face.box.width:.0f} of {width} pixels wide) stands out most. Check that this is the "
        "right person; better, use a photo that shows the person alone."
    )
    return [Advice(SEVERAL, text)]


def _place(left: int, others: int) -> str:
    """Name the person by the number of people on the left."""
    if left == 0:
        return "one on the left"
    return "one on the right" if left == others else f"{('second', 'third')[left - 1]} from left"


def _third(x: float) -> str:
    return "one " + (
        "on the left" if x < 1 / 3 else "in the middle" if x < 2 / 3 else "on the right"
    )


def _refuse(quality: Quality, limits: QualityLimits) -> None:
    """Raise the contract's refusal for the first flaw that a reference photo must not have."""
    measured = {
        name: round(float(getattr(quality, name)), 3) for name in Quality.__dataclass_fields__
    }
    for flaw in flaws(quality, limits):
        code, sentence = REFUSALS[flaw]
        raise EnrollmentRefused(code, sentence, measured)


def _refuse_covered(seen: Visibility) -> None:
    if seen.covered:
        raise EnrollmentRefused(
            "occluded",
            "Something covers mouth or eyes. Take off mask or sunglasses, keep hands away.",
            {"mouth": round(seen.mouth, 3), "eyes": round(seen.eyes, 3)},
        )


REFUSALS = {
    "low_detection": ("no_face", "No face was found clearly enough. Use a photo from the front."),
    "too_small": ("face_too_small", "The face is too small. Use a photo taken from nearer."),
    "extreme_pose": (
        "extreme_pose",
        "The head is turned too far. Look straight into the camera, upright.",
    ),
    "blurred": ("too_blurry", "The face is blurred. Hold still, clean the lens, use more light."),
    "too_dark": ("too_dark", "The face is too dark. Turn it to the light."),
    "too_bright": ("too_bright", "The face is too bright. Avoid direct light and flash."),
}
"""Flaw of a frame -> the contract's code, and what to do about it."""


def _surroundings(image: Image, face: Face) -> tuple[Image, int, int]:
    """Return the part of the picture around a face, and its left and top."""
    height, width = image.shape[:2]
    x, y = face.box.centre
    reach = SURROUNDINGS * max(face.box.width, face.box.height)
    left, top = int(max(0.0, x - reach)), int(max(0.0, y - reach))
    right, bottom = math.ceil(min(width, x + reach)), math.ceil(min(height, y + reach))
    return image[top:bottom, left:right], left, top


def _prominence(box: Box, width: int, height: int) -> float:
    """Visible area, less where it is off the middle: the larger, the more likely the subject of
    the photo."""
    seen = Box(0, 0, width, height)
    x, y = box.centre
    off = math.hypot(x / width - 0.5, y / height - 0.5) / math.hypot(0.5, 0.5)
    return overlap_area(box, seen) * max(0.0, 1.0 - AT_THE_EDGE * off)


def _first(pair: tuple[float, Face]) -> float:
    return pair[0]


def _same(a: Box, b: Box) -> bool:
    """Return whether detections of two looks at a picture are one face."""
    (ax, ay), (bx, by) = a.centre, b.centre
    near = abs(ax - bx) < max(a.width, b.width) / 2 and abs(ay - by) < max(a.height, b.height) / 2
    return near or overlap(a, b) > 0.3


def _moved(face: Face, dx: float, dy: float) -> Face:
    box = Box(face.box.x + dx, face.box.y + dy, face.box.width, face.box.height)
    landmarks = face.landmarks + np.array([dx, dy], np.float32)
    return Face(box, np.asarray(landmarks, np.float32), face.score)
