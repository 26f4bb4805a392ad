"""Liveness scores of the two MiniFASNets (Silent-Face-Anti-Spoofing)."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

from gated.core.model import Box, Face, Image
from gated.errors import AssetError

INPUT = 80
SCALES = (2.7, 4.0)
"""How much of the surroundings MiniFASNetV2 and V1SE see, in sizes of the face box."""

LIVE = 1

COLOURLESS = 4.0
"""Mean difference between the strongest and the weakest channel, in gray levels, below which a
picture counts as gray (infra-red at night). The networks take gray faces for printed ones: living
people came to 0.03 to 0.44. In colour they were seen to have 11 and more."""


class MiniFasNets:
    """A `PadModel`: the mean live score of both networks, each on its own crop.

    `v2`, `v1se`: ONNX files. AssetError when OpenCV cannot load them.
    minivision-ai/Silent-Face-Anti-Spoofing, 2020.
    """

    def __init__(self, v2: bytes, v1se: bytes) -> None:
        self.model = f"minifasnet/{hashlib.sha256(v2 + v1se).hexdigest()[:16]}"
        try:
            self._nets = [cv2.dnn.readNetFromONNX(np.frombuffer(c, np.uint8)) for c in (v2, v1se)]
        except cv2.error as error:
            raise AssetError(f"the liveness models cannot be loaded ({error.err})") from error

    def score(self, image: Image, face: Face) -> float | None:
        """Live score in [0, 1] of one face of a BGR frame; None for a gray one."""
        crops = [surroundings(image, face.box, scale) for scale in SCALES]
        if float((crops[0].max(axis=2) - crops[0].min(axis=2)).mean()) < COLOURLESS:
            return None
        scores = []
        for net, crop in zip(self._nets, crops, strict=True):
            net.setInput(cv2.dnn.blobFromImage(crop))
            scores.append(_live(np.asarray(net.forward(), np.float32)[0]))
        return sum(scores) / len(scores)


def surroundings(image: Image, box: Box, scale: float) -> Image:
    """(80, 80, 3): the box enlarged by `scale`, shifted to stay inside the frame, never padded."""
    height, width = image.shape[:2]
    scale = min(scale, width / max(box.width, 1.0), height / max(box.height, 1.0))
    w, h = box.width * scale, box.height * scale
    x, y = box.centre
    left = int(min(max(x - w / 2, 0.0), width - w))
    top = int(min(max(y - h / 2, 0.0), height - h))
    crop = image[top : top + max(1, int(h)), left : left + max(1, int(w))]
    return np.asarray(cv2.resize(crop, (INPUT, INPUT)), np.uint8)


def _live(logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    odds = np.exp(logits - logits.max())
    return float(odds[LIVE] / odds.sum())
