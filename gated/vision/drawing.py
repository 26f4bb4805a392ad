"""Pictures for viewers: of the running gate, and thumbnails of stored photos."""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
import PIL.Image

from gated.core.values import Face, Image
from gated.vision.jpeg import encode_jpeg

PREVIEW_QUALITY = 75
COLOUR = (60, 200, 60)


def boxed_jpeg(image: Image, faces: Sequence[Face]) -> bytes:
    """Return a JPEG file of a frame with a box around each face; the frame stays as it is."""
    picture = image.copy()
    for face in faces:
        box = face.box
        corners = np.array([box.x, box.y, box.x + box.width, box.y + box.height])
        left, top, right, bottom = (int(v) for v in np.clip(corners, -10_000, 10_000))
        cv2.rectangle(picture, (left, top), (right, bottom), COLOUR, 2)
    return encode_jpeg(picture, PREVIEW_QUALITY)


def shrunk_jpeg(jpeg: bytes, side: int) -> bytes:
    """Shrink one of our own stored JPEG files so that no side is longer than `side` pixels."""
    with PIL.Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as picture:
        picture.draft("RGB", (2 * side, 2 * side))  # decodes only as many pixels as needed
        small = picture.convert("RGB")
    small.thumbnail((side, side))
    made = io.BytesIO()
    small.save(made, "JPEG", quality=PREVIEW_QUALITY)
    return made.getvalue()
