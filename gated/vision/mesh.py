"""FaceMesh: 468 points over a face; where it looks, and how open its eyes are.

MediaPipe Face Mesh (Kartynnik et al., "Real-time facial surface geometry from monocular video on
mobile GPUs", 2019): RGB in [0, 1], 192 x 192, the face upright in the middle with a quarter of its
box around it; x, y in pixels of the crop and z in the same scale, smaller is nearer.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.values import Face, Image, Mesh
from gated.errors import AssetError

INPUT = 192
REACH = 1.5
POINTS = 468

RIGHT_EYE = (33, 160, 158, 133, 153, 144)
LEFT_EYE = (362, 385, 387, 263, 373, 380)
"""Corner, two on the upper lid, corner, two on the lower lid."""

RIGHT_CHEEK, LEFT_CHEEK, FOREHEAD, CHIN = 234, 454, 10, 152

SHAPE = np.array([RIGHT_EYE[0], LEFT_EYE[3], *range(4, POINTS, 8)])
"""Points that show whether a face moves by itself: corners of the eyes, and every eighth."""

Points = npt.NDArray[np.float32]


class FaceMesh:
    """A `MeshModel`. `network`: the TFLite file. AssetError when OpenCV cannot load it."""

    def __init__(self, network: bytes) -> None:
        try:
            self._net = cv2.dnn.readNetFromTFLite(np.frombuffer(network, np.uint8))
        except cv2.error as error:
            raise AssetError(f"the face mesh cannot be loaded ({error.err})") from error

    def measure(self, image: Image, face: Face) -> Mesh:
        """Angles and eyes of one face of a BGR frame."""
        crop = _upright(image, face)
        self._net.setInput(cv2.dnn.blobFromImage(crop, 1.0 / 255.0, swapRB=True))
        points = np.asarray(self._net.forward(), np.float32).reshape(POINTS, 3)
        yaw, pitch = _angles(points)
        opening = (_opening(points, RIGHT_EYE) + _opening(points, LEFT_EYE)) / 2
        return Mesh(yaw, pitch, opening, points[SHAPE, :2].copy())


def _upright(image: Image, face: Face) -> Image:
    """(192, 192, 3): the surroundings of the box, turned so that the eyes are level."""
    across, down = face.landmarks[1] - face.landmarks[0]
    roll = math.degrees(math.atan2(down, across))
    x, y = face.box.centre
    side = REACH * max(face.box.width, face.box.height, 1.0)
    there = cv2.getRotationMatrix2D((x, y), roll, INPUT / side)
    there[:, 2] += np.array([INPUT / 2 - x, INPUT / 2 - y])
    crop = cv2.warpAffine(image, there, (INPUT, INPUT), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def _angles(points: Points) -> tuple[float, float]:
    """(yaw, pitch) in degrees, signs as `quality.pose` has them."""
    right = points[LEFT_CHEEK] - points[RIGHT_CHEEK]
    right = right / max(float(np.linalg.norm(right)), 1e-6)
    down = points[CHIN] - points[FOREHEAD]
    down = down - right * float(right @ down)
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    x, y, z = -np.cross(right, down)
    return math.degrees(math.atan2(x, -z)), math.degrees(math.asin(max(-1.0, min(1.0, -y))))


def _opening(points: Points, eye: tuple[int, ...]) -> float:
    """Height of an eye by its width (Soukupova & Cech, "Eye blink detection", 2016)."""
    p = points[list(eye), :2]
    height = float(np.linalg.norm(p[1] - p[5]) + np.linalg.norm(p[2] - p[4])) / 2
    return height / max(float(np.linalg.norm(p[0] - p[3])), 1e-6)
