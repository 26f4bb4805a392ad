"""Makes pictures of an infra-red camera out of pictures in colour, until there is such a camera.

They are models, not recordings: skin, paper and screens in near infra-red differ more than this.
"""

from __future__ import annotations

import cv2
import numpy as np

from gated.core.values import Box, Image

PAPER = 210.0
"""Gray level of paper under an infra-red lamp."""
INK = 0.2
"""How much of the contrast of a print is left, as most inks take up little infra-red light."""
SCREEN = 12
"""Gray level of a screen, which gives off none."""


def living(picture: Image, shift: int = 0) -> Image:
    """Return a BGR picture of people without its colour, moved to the right by pixels."""
    red = np.ascontiguousarray(picture[:, :, 2])
    gray = cv2.addWeighted(red, 0.7, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), 0.3, 0.0)
    return np.roll(cv2.merge([gray, gray, gray]), shift, axis=1)


def screen(picture: Image, around: Box) -> Image:
    """Return the same of a screen that shows the face in the box."""
    seen = living(picture)
    seen[_sheet(picture, around)] = SCREEN
    return seen


def printed(picture: Image, around: Box) -> Image:
    """Return the same of a print that shows the face in the box."""
    seen = living(picture)
    where = _sheet(picture, around)
    seen[where] = PAPER - INK * (255.0 - seen[where].astype(np.float32))
    return seen


def _sheet(picture: Image, around: Box) -> tuple[slice, slice]:
    """Return the part that a screen or a sheet covers: twice the face, within the picture."""
    (x, y), height, width = around.centre, *picture.shape[:2]
    top, bottom = (round(y + sign * around.height) for sign in (-1, 1))
    left, right = (round(x + sign * around.width) for sign in (-1, 1))
    return slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))
