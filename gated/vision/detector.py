"""YuNet: faces and their five landmarks."""

from __future__ import annotations

import hashlib
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.values import Box, Face, Image
from gated.errors import AssetError

SCORE_FLOOR = 0.5
"""Weaker detections are discarded; a usable frame needs a higher score (`min_detection`)."""

NMS_IOU = 0.3
MAX_FACES = 64

# OpenCV 5 warns at every load that its new engine ignores the target it sets itself
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


class YuNetDetector:
    """A `FaceDetector`: YuNet on a copy of the frame whose long side is `size` pixels.

    `content` is the published ONNX file. AssetError when OpenCV cannot load it.
    Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023.
    """

    def __init__(self, content: bytes, size: int = 320) -> None:
        self.model = f"yunet-2023mar/{hashlib.sha256(content).hexdigest()[:16]}"
        self.size = size
        self._net = _load(content, size)

    def detect(self, image: Image) -> list[Face]:
        """Faces of a BGR frame of any size, in its pixels, best score first."""
        height, width = image.shape[:2]
        scale = self.size / max(height, width)
        shape = (max(1, round(width * scale)), max(1, round(height * scale)))
        filtering = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        self._net.setInputSize(shape)
        _, found = self._net.detect(cv2.resize(image, shape, interpolation=filtering))
        rows = cast("npt.NDArray[np.float32] | None", found)
        if rows is None:
            return []
        back = np.array([width / shape[0], height / shape[1]], np.float32)
        faces = [_face(row, back) for row in rows if np.isfinite(row).all()]
        return sorted(faces, key=lambda face: -face.score)


class PhotoDetector:
    """A `FaceDetector` for photos: a YuNetDetector that keeps nothing loaded between two photos.

    For a picture of this size the network would keep 25 MB; loading it takes 10 ms.
    """

    def __init__(self, content: bytes, size: int) -> None:
        self._content = content
        self._size = size
        self.model = YuNetDetector(content, size).model

    def detect(self, image: Image) -> list[Face]:
        """Faces of a BGR picture of any size, in its pixels, best score first."""
        return YuNetDetector(self._content, self._size).detect(image)


def _load(content: bytes, size: int) -> cv2.FaceDetectorYN:
    try:
        return cv2.FaceDetectorYN.create(
            "onnx",
            np.frombuffer(content, np.uint8),
            np.empty(0, np.uint8),
            (size, size),
            SCORE_FLOOR,
            NMS_IOU,
            MAX_FACES,
        )
    except cv2.error as error:
        raise AssetError(f"the YuNet model cannot be loaded ({error.err})") from error


def _face(row: npt.NDArray[np.float32], back: npt.NDArray[np.float32]) -> Face:
    """Return a row of YuNet (x y w h, five points, score) scaled by `back` (2,)."""
    x, y, w, h = (float(v) for v in (row[:4].reshape(2, 2) * back).ravel())
    return Face(Box(x, y, w, h), row[4:14].reshape(5, 2) * back, min(1.0, float(row[14])))
