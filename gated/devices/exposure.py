"""Find pictures in which nothing can be seen, taken in the dark or in the glare."""

from __future__ import annotations

import cv2

from gated.core.values import CameraEventKind, Image

CELL = 16
"""Pixels; the picture is judged by the means of such squares, so that no single pixel counts."""

BLACK, WHITE = 40.0, 250.0
"""No square of a black picture is brighter, none of a white one darker: no face is in there."""

DIM = 16.0
"""The mean of a picture taken in the dark, though a lamp or a line of text may be in it."""


def blank(image: Image) -> CameraEventKind | None:
    """DARK or GLARE when nothing at all can be seen in the picture, whatever it is of."""
    height, width = image.shape[:2]
    size = (max(1, width // CELL), max(1, height // CELL))
    cells = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if cells.max() <= BLACK:
        return CameraEventKind.DARK
    return CameraEventKind.GLARE if cells.min() >= WHITE else None


def dim(image: Image) -> bool:
    """Return whether the picture was taken in the dark."""
    return float(image.mean()) < DIM
