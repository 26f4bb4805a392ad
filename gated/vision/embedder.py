"""SFace: 128 numbers per face, compared by cosine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.gallery import unit
from gated.core.values import Face, Image, Vector
from gated.errors import AssetError
from gated.ports import Embedder
from gated.vision.sface_converter import clean_sface
from gated.vision.sface_offset import OFFSET

RECIPE = 2
"""Part of the model's identity: other vectors come out when what is done to the network or to its
output changes."""

CHIP = 112
CHIP_EYE_DISTANCE = 35.2
"""Distance of the eyes in an aligned chip, in pixels (ArcFace's template, which SFace uses)."""


class SFaceEmbedder:
    """An `Embedder`. `content` is the published int8bq file; AssetError when it cannot be loaded.

    What all its embeddings have in common is taken away from each (`vision/sface_offset.py`).

    mirrored: embed the chip and its mirror image and take the mean of the unit vectors; twice the
    work, a little more accurate, comparable with unmirrored vectors.
    Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", 2021.
    """

    dimension = 128
    metric = "cosine"
    mirrors = True

    def __init__(self, content: bytes, mirrored: bool = False) -> None:
        self.model = f"sface-2021dec/{hashlib.sha256(content).hexdigest()[:16]}/r{RECIPE}"
        self.mirrored = mirrored
        cleaned = np.frombuffer(clean_sface(content), np.uint8)
        try:
            self._net = cv2.FaceRecognizerSF.create("onnx", cleaned, np.empty(0, np.uint8))
        except cv2.error as error:
            raise AssetError(f"the SFace model cannot be loaded ({error.err})") from error

    def align(self, image: Image, face: Face) -> Image:
        """(112, 112, 3) BGR uint8: the face turned and scaled onto SFace's template."""
        region, landmarks = without_aliasing(image, face, CHIP_EYE_DISTANCE)
        row = np.zeros((1, 15), np.float32)
        row[0, 4:14] = landmarks.ravel()
        return np.asarray(self._net.alignCrop(region, row), np.uint8)

    def embed_chip(self, chip: Image) -> Vector:
        """(128,) float32; its length means nothing, and is 1 if `mirrored`."""
        return _mirrored(self._feature, chip) if self.mirrored else self._feature(chip)

    def _feature(self, chip: Image) -> Vector:
        # OpenCV returns a view of its own output buffer
        feature = np.array(self._net.feature(chip)[0], np.float32)
        return np.asarray(unit(feature) - OFFSET, np.float32)


def mirrored_embedding(embedder: Embedder, chip: Image) -> Vector:
    """Return the best template of a chip: for a mirroring engine, the mean of it and its mirror
    image."""
    return _mirrored(embedder.embed_chip, chip) if embedder.mirrors else embedder.embed_chip(chip)


def template_and_probe(embedder: Embedder, chip: Image) -> tuple[Vector, Vector]:
    """Return the template that enrollment would keep of a chip, and the gate's probe of it."""
    probe = embedder.embed_chip(chip)
    return (_averaged(embedder.embed_chip, chip, probe) if embedder.mirrors else probe), probe


def _mirrored(embed: Callable[[Image], Vector], chip: Image) -> Vector:
    return _averaged(embed, chip, embed(chip))


def _averaged(embed: Callable[[Image], Vector], chip: Image, plain: Vector) -> Vector:
    twin = np.ascontiguousarray(chip[:, ::-1])
    return unit(np.asarray(unit(plain) + unit(embed(twin)), np.float32))


def without_aliasing(
    image: Image, face: Face, eye_distance: float
) -> tuple[Image, npt.NDArray[np.float32]]:
    """Return the frame, or when the face is large its region shrunk with area averaging; and
    landmarks.

    A warp samples single pixels, so that a face much larger than the chip would come out grainy.
    """
    scale = 1.5 * eye_distance / max(face.eye_distance, 1e-6)
    if scale >= 1.0:
        return image, face.landmarks
    height, width = image.shape[:2]
    margin = 0.5 * max(face.box.width, face.box.height)
    left, top = (int(max(0, v - margin)) for v in (face.box.x, face.box.y))
    right = int(min(width, face.box.x + face.box.width + margin))
    bottom = int(min(height, face.box.y + face.box.height + margin))
    if right - left < 8 or bottom - top < 8:
        return image, face.landmarks
    shape = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    region = cv2.resize(image[top:bottom, left:right], shape, interpolation=cv2.INTER_AREA)
    back = np.array([shape[0] / (right - left), shape[1] / (bottom - top)], np.float32)
    # pixel centres, not corners, keep their place
    moved = (face.landmarks - np.array([left, top], np.float32) + 0.5) * back - 0.5
    return np.asarray(region, np.uint8), np.asarray(moved, np.float32)
