"""Finds a camera that hangs turned: faces are found only in turned copies of its pictures."""

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
"""Least score of a face in a turned copy."""

UPRIGHT = 0.92
"""Least score of a face that is certainly upright: large faces upside down have up to 0.90."""

MORE = 0.02
"""Least lead of a turned copy's score. Upright faces led any copy of theirs by 0.04 at least."""

EVERY_S = 2.0
"""Interval at which a copy is searched, one turn at a time, where no face is certain."""

SOON_S = 0.4
"""The interval while a face is uncertain, or after a copy has shown one: short, so that the hint
comes before a refusal."""

HITS = 3
"""Copies in a row that have to show a face better than the picture."""


def turn_that_shows_faces(detector: FaceDetector, image: Image) -> int | None:
    """Return the degrees by which a picture must be turned to show a face.

    None where it shows an upright one, or no turn shows one.
    """
    found = detector.detect(image)
    if _best(found) >= UPRIGHT:
        return None
    return next((turn for turn in TURNS if _shows_better(detector, image, turn, found)), None)


def setting_for(turn: int, rotate: int, mirror: bool) -> int:
    """Return the `camera.rotate` for pictures that have to be turned further."""
    return (rotate - turn if mirror else rotate + turn) % 360


def _shows_better(
    detector: FaceDetector, image: Image, degrees: int, found: Sequence[Face]
) -> bool:
    turned = np.asarray(cv2.rotate(image, TURNS[degrees]), np.uint8)
    return _best(detector.detect(turned)) >= max(SURE, _best(found) + MORE)


def _best(faces: Sequence[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


class Uprightness:
    """Watches a gate's frames. turn: the degrees by which they must be turned; None: they need not.

    An upright face sets it back to None.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self.turn: int | None = None
        self._detector = detector
        self._hits = dict.fromkeys(TURNS, 0)
        self._order = list(TURNS)
        self._next_at: float | None = None

    def saw(self, image: Image, faces: Sequence[Face], now: float) -> None:
        """Take note of the faces found in a frame at `now` (monotonic seconds)."""
        if _best(faces) >= UPRIGHT:
            self.turn = None
            self._hits = dict.fromkeys(TURNS, 0)
            return
        soon = now + (SOON_S if faces else EVERY_S)
        # without a face nobody has come yet, most likely
        self._next_at = soon if self._next_at is None else min(self._next_at, soon)
        if now < self._next_at:
            return
        self._next_at = soon
        degrees = self._order[0]
        if _shows_better(self._detector, image, degrees, faces):
            self._next_at = now + SOON_S
            self._hits[degrees] += 1
            if self._hits[degrees] >= HITS:
                self.turn = degrees
        else:
            # one that shows a face is kept to while the face is there
            self._order = [*self._order[1:], degrees]
            self._hits[degrees] = 0
