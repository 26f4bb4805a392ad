"""Find which way up the camera hangs: are faces found only when the picture is turned?"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gated.core.values import Face, Image
from gated.ports import FaceDetector

TURNS = {
    180: cv2.ROTATE_180,
    90: cv2.ROTATE_90_CLOCKWISE,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
"""Degrees clockwise, the likeliest first."""

SURE = 0.85
"""Score of a face that is upright: the detector finds faces upside down as well, below 0.8."""

EVERY_S = 2.0
"""So often a copy is looked at, one turn at a time, and only where no sure face was found."""

SOON_S = 0.5
"""And so often once a copy has shown one."""

HITS = 5
"""So many copies with a face, none of them upright, are no accident."""


def turn_that_shows_faces(detector: FaceDetector, image: Image) -> int | None:
    """Degrees by which a picture has to be turned to show a face; None: it shows one, or none."""
    if any(face.score >= SURE for face in detector.detect(image)):
        return None
    return next((degrees for degrees in TURNS if _shows(detector, image, degrees)), None)


def setting_for(turn: int, rotate: int, mirror: bool) -> int:
    """Return the `camera.rotate` for pictures that have to be turned further."""
    return (rotate - turn if mirror else rotate + turn) % 360


def _shows(detector: FaceDetector, image: Image, degrees: int) -> bool:
    turned = np.asarray(cv2.rotate(image, TURNS[degrees]), np.uint8)
    return any(face.score >= SURE for face in detector.detect(turned))


class Uprightness:
    """Watches a gate's frames; `turn` is by how much they have to be turned, None as it seems.

    An upright face settles it until further notice.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self.turn: int | None = None
        self._detector = detector
        self._hits = dict.fromkeys(TURNS, 0)
        self._order = list(TURNS)
        self._next_at: float | None = None

    def saw(self, image: Image, faces: Sequence[Face], now: float) -> None:
        """A frame was searched, at `now` (monotonic seconds), and these faces were found."""
        if any(face.score >= SURE for face in faces):
            self.turn = None
            self._hits = dict.fromkeys(TURNS, 0)
            return
        if self._next_at is None:
            # nobody has come yet, most likely
            self._next_at = now + EVERY_S
        if now < self._next_at:
            return
        self._next_at = now + EVERY_S
        degrees = self._order[0]
        if _shows(self._detector, image, degrees):
            self._next_at = now + SOON_S
            self._hits[degrees] += 1
            if self._hits[degrees] >= HITS:
                self.turn = degrees
        else:
            # one that shows a face is kept to while the face is there
            self._order = [*self._order[1:], degrees]
