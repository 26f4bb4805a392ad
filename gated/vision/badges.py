"""QR codes: drawn for a badge, and found in what the camera sees."""

from __future__ import annotations

import cv2
import numpy as np

from gated.core.values import Image

MODULE_PX = 8
QUIET = 4
"""Modules of white around a code; the standard (ISO/IEC 18004) wants four."""

LONG_SIDE = 960
"""Larger pictures are shrunk: a badge that is held up to the camera stays readable."""


def draw(content: str) -> bytes:
    """Return a PNG of the QR code with this content."""
    modules = cv2.QRCodeEncoder.create().encode(content)
    side = modules.shape[0] * MODULE_PX
    large = cv2.resize(modules, (side, side), interpolation=cv2.INTER_NEAREST)
    # the encoder leaves a margin of its own, which makes the quiet zone larger, never smaller
    edge = QUIET * MODULE_PX
    framed = cv2.copyMakeBorder(large, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=[255])
    _, png = cv2.imencode(".png", framed)
    return png.tobytes()


class BadgeReader:
    """Finds one QR code in a picture; used by one thread."""

    def __init__(self) -> None:
        self._detector = cv2.QRCodeDetector()

    def read(self, image: Image) -> str:
        """Return the content of a code in a BGR picture; empty when there is none that can be
        read."""
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        scale = LONG_SIDE / max(gray.shape)
        if scale < 1:
            gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        try:
            text, _, _ = self._detector.detectAndDecode(np.ascontiguousarray(gray))
        except (cv2.error, UnicodeDecodeError):
            # a picture at which the decoder fails is no badge of ours
            return ""
        return text
