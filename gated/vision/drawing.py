"""Pictures of the running gate for those who look on."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gated.core.model import Face, Image
from gated.vision.photo import encode_jpeg

PREVIEW_QUALITY = 75
COLOUR = (60, 200, 60)


def boxed_jpeg(image: Image, faces: Sequence[Face]) -> bytes:
    """A JPEG file of a frame with a box around each face; the frame stays as it is."""
    picture = image.copy()
    for face in faces:
        box = face.box
        corners = np.array([box.x, box.y, box.x + box.width, box.y + box.height])
        left, top, right, bottom = (int(v) for v in np.clip(corners, -10_000, 10_000))
        cv2.rectangle(picture, (left, top), (right, bottom), COLOUR, 2)
    return encode_jpeg(picture, PREVIEW_QUALITY)
