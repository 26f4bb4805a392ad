"""A closer look at one face: its landmarks exact, also when the head is tilted.

In a small picture YuNet draws the landmarks of a tilted head too upright (half the tilt, or none),
and a chip cut by them resembles nobody. The face is enlarged, turned by the measured tilt and
detected again, until it is upright after two or three turns.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from gated.core.values import Face, Image
from gated.vision.detector import YuNetDetector

SIZE = 192
TILT_REACH, LANDMARK_REACH = 0.75, 1.1
"""Side of the picture that is looked at, and half the side of the part that it shows, in sizes of
the face: the tilt is found best where a face is 128 pixels high, landmarks where it is 85."""

TURNS = 3
GAIN = 1.5
"""The measured tilt is too small: turn by more."""

CONVERGED_DEG = 4.0
CERTAIN, UPRIGHT_DEG = 0.94, 3.0
"""A face that was found this surely and seems this upright needs no closer look."""

WORSE = 0.05
"""A detection whose score is lower by this much is ignored."""


class LandmarkRefiner:
    """Corrects the landmarks of faces; `content` is YuNet's published ONNX file."""

    def __init__(self, content: bytes) -> None:
        self._detector = YuNetDetector(content, SIZE)

    def __call__(self, image: Image, face: Face) -> Face:
        """The same box with better landmarks and their score; the face itself if none are found."""
        if face.score >= CERTAIN and abs(_tilt(face)) < UPRIGHT_DEG:
            return face
        turned = self._tilt_of(image, face)
        closer = self._look(image, face, turned, LANDMARK_REACH)
        return closer if closer and closer.score >= face.score - WORSE else face

    def _tilt_of(self, image: Image, face: Face) -> float:
        """Return the tilt in degrees, found by turning the picture until the face seems upright."""
        turned, tilt = 0.0, 0.0
        for _ in range(TURNS):
            turned += GAIN * (tilt - turned)
            found = self._look(image, face, turned, TILT_REACH)
            if found is None:
                break
            tilt = _tilt(found)
            if abs(tilt - turned) < CONVERGED_DEG:
                break
        return tilt

    def _look(self, image: Image, face: Face, turned: float, reach: float) -> Face | None:
        """Detect again in the surroundings of the box, turned by so many degrees."""
        x, y = face.box.centre
        reach *= max(face.box.width, face.box.height, 1.0)
        there = cv2.getRotationMatrix2D((x, y), turned, SIZE / (2 * reach))
        there[:, 2] += np.array([SIZE / 2 - x, SIZE / 2 - y])
        part = cv2.warpAffine(
            image, there, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        faces = self._detector.detect(np.asarray(part, np.uint8))
        if not faces:
            return None
        nearest = min(faces, key=_off_centre)
        back = cv2.invertAffineTransform(there)
        landmarks = nearest.landmarks @ back[:, :2].T + back[:, 2]
        return Face(face.box, np.asarray(landmarks, np.float32), nearest.score)


def _tilt(face: Face) -> float:
    """Angle of the line between the eyes in degrees."""
    dx, dy = face.landmarks[1] - face.landmarks[0]
    return math.degrees(math.atan2(dy, dx))


def _off_centre(face: Face) -> float:
    x, y = face.box.centre
    return math.hypot(x - SIZE / 2, y - SIZE / 2)
