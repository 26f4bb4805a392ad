"""Looks for a face in the picture of an infra-red camera that stands beside the first one.

A screen gives off hardly any near infra-red light and many inks take up none of it: there a screen
is dark, and a print a bright sheet. So a living face has to be in both pictures, at the same place
and with contrast. The second picture can only refuse: it makes no liveness score better.

None of this was tried on such a camera. The bounds are those of pairs that are made from pictures
in colour (`docs/accuracy.md`).
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

import cv2
import numpy as np

from gated.core.values import Box, Face, Image, PadReading
from gated.ports import FaceDetector
from gated.vision.pad import is_grey

REACH = 4.0
"""Side of the region that is searched, in widths of the face."""
APART = 0.6
"""Widths of the face by which its places may differ. Lenses 5 cm apart see a face at 60 cm shifted
by a third of its width."""
SIZES = (0.6, 1.67)
"""Bounds of the width in the second picture by that in the first."""
FLAT = 0.25
"""Least contrast of a face: the range of nine tenths of its pixels by their mean."""


class SecondLook(StrEnum):
    SEEN = "seen"
    FLAT = "flat"
    """A face without contrast, as prints are in infra-red."""
    UNSEEN = "unseen"
    """No face at the place, as on screens."""
    NO_PICTURE = "no_picture"
    """None of that time, one with colour, or the face is at its edge."""


def look(
    detector: FaceDetector, face: Face, shape: tuple[int, int], second: Image | None
) -> SecondLook:
    """Look for a face of the first picture in the second.

    shape: (height, width) of the first picture. second: BGR uint8, of the same view, of any size.
    """
    if second is None or not is_grey(second):
        return SecondLook.NO_PICTURE
    height, width = second.shape[:2]
    there = face.scaled(width / shape[1], height / shape[0])
    if not _has_room(there.box, width, height):
        return SecondLook.NO_PICTURE
    region, corner = _region(second, there.box)
    for found in detector.detect(region):
        box = _moved(found.box, corner)
        if _same_place(there.box, box):
            return SecondLook.SEEN if contrast(second, box) >= FLAT else SecondLook.FLAT
    return SecondLook.UNSEEN


def confirmed(reading: PadReading, seen: SecondLook) -> PadReading:
    """Return the reading as far as the second picture bears it out.

    A face that is not there, or flat, is no living one; without a picture nothing is known.
    """
    if seen is SecondLook.SEEN or reading.live is None:
        return reading
    if seen is SecondLook.NO_PICTURE:
        return replace(reading, live=None)
    return replace(reading, live=0.0)


def contrast(picture: Image, box: Box) -> float:
    """Return the range of nine tenths of a face's pixels by their mean, at least 0."""
    part, _ = _cut(picture, box.x, box.y, box.width, box.height)
    if part.size == 0:
        return 0.0
    gray = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
    low, high = np.percentile(gray, (5, 95))
    return float((high - low) / max(1.0, float(gray.mean())))


def _has_room(box: Box, width: int, height: int) -> bool:
    """Return whether a face would be in the picture as far from its place as is allowed."""
    apart = APART * box.width
    across = apart <= box.x and box.x + box.width + apart <= width
    # lenses stand side by side
    return across and box.y >= 0 and box.y + box.height <= height


def _region(picture: Image, box: Box) -> tuple[Image, tuple[int, int]]:
    """Return what surrounds a box, and its corner (x, y)."""
    (x, y), side = box.centre, REACH * max(box.width, box.height)
    return _cut(picture, x - side / 2, y - side / 2, side, side)


def _cut(
    picture: Image, x: float, y: float, width: float, height: float
) -> tuple[Image, tuple[int, int]]:
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = max(left, round(x + width)), max(top, round(y + height))
    return picture[top:bottom, left:right], (left, top)


def _moved(box: Box, corner: tuple[int, int]) -> Box:
    return replace(box, x=box.x + corner[0], y=box.y + corner[1])


def _same_place(expected: Box, found: Box) -> bool:
    (x, y), (u, v) = expected.centre, found.centre
    least, most = SIZES
    near = float(np.hypot(u - x, v - y)) <= APART * expected.width
    return near and least <= found.width / max(expected.width, 1.0) <= most
