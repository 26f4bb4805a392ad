"""Write pictures as JPEG files."""

from __future__ import annotations

import cv2

from gated.core.values import Image

JPEG_QUALITY = 95


def encode_jpeg(image: Image, quality: int = JPEG_QUALITY) -> bytes:
    """Return a JPEG file of the picture without any metadata."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("the picture cannot be stored as JPEG")
    return bytes(data)
