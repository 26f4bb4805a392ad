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
"""Score from which on a copy shows a face."""

UPRIGHT = 0.92
"""Score of a face that is upright beyond doubt: large ones are found upside down, too, with up to
0.90."""

MORE = 0.02
"""By so much a turned copy has to be surer. Upright faces were surer than any copy of theirs by
0.04 at least."""

EVERY_S = 2.0
"""So often a copy is looked at, one turn at a time, and only where no sure face was found."""

SOON_S = 0.4
"""And so often while there is a face that is not sure, or once a copy has shown one: before
somebody is refused."""

HITS = 3
"""So many copies that show a face better, none of them upright, are no accident."""


def turn_that_shows_faces(detector: FaceDetector, image: Image) -> int | None:
    """Degrees by which a picture has to be turned to show a face; None: it shows one, or none."""
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
