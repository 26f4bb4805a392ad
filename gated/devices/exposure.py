"""Detects pictures that show nothing, taken in the dark or in glare."""

from __future__ import annotations

import cv2

from gated.core.values import CameraEventKind, Image

CELL = 16
"""Pixels; the picture is judged by the means of such squares, so that single pixels do not
count."""

BLACK, WHITE = 40.0, 250.0
"""Brightest square of a black picture, darkest square of a white one: no face can be in it."""

DIM = 16.0
"""Largest mean of a picture taken in the dark, which may show a lamp or a line of text."""


def blank(image: Image) -> CameraEventKind | None:
    """Return DARK or GLARE when the picture shows nothing at all, else None."""
    height, width = image.shape[:2]
    size = (max(1, width // CELL), max(1, height // CELL))
    cells = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if cells.max() <= BLACK:
        return CameraEventKind.DARK
    return CameraEventKind.GLARE if cells.min() >= WHITE else None


def dim(image: Image) -> bool:
    """Return whether the picture was taken in the dark."""
    return float(image.mean()) < DIM
