"""The baseline of the benchmark: face_recognition 1.3 as in its examples, through dlib.

HOG with one upsampling, the five-point predictor, the ResNet; compared by Euclidean distance with
the tolerance 0.6.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from gated.core.values import Image
from gated.errors import AssetError
from gated.vision import manifest
from gated.vision.assets import AssetStore

TOLERANCE = 0.6


class Baseline:
    """The models of face_recognition."""

    def __init__(self, assets: AssetStore) -> None:
        """Load the models. Raises: AssetError without the set dlib or the module dlib."""
        try:
            import dlib
        except ImportError:
            raise AssetError(
                "the benchmark needs the module dlib: install the extra dlib"
            ) from None
        self._detect: Any = dlib.get_frontal_face_detector()
        self._landmarks: Any = dlib.shape_predictor(str(assets.path(manifest.DLIB_LANDMARKS)))
        self._network: Any = dlib.face_recognition_model_v1(str(assets.path(manifest.DLIB_RESNET)))

    def encodings(self, image: Image) -> npt.NDArray[np.float64]:
        """Return the encodings, (k, 128), of the k faces in a BGR picture."""
        rgb = np.ascontiguousarray(image[:, :, ::-1])
        found = [
            self._network.compute_face_descriptor(rgb, self._landmarks(rgb, box))
            for box in self._detect(rgb, 1)
        ]
        return np.array(found, np.float64).reshape(-1, 128)

    def stages(self, image: Image) -> dict[str, float]:
        """Return the milliseconds for the best face of a BGR picture, by stage."""
        rgb = np.ascontiguousarray(image[:, :, ::-1])
        start = time.perf_counter()
        (box, *_) = self._detect(rgb, 1)
        detected = time.perf_counter()
        landmarks = self._landmarks(rgb, box)
        aligned = time.perf_counter()
        self._network.compute_face_descriptor(rgb, landmarks)
        embedded = time.perf_counter()
        return {
            "detect": (detected - start) * 1e3,
            "align": (aligned - detected) * 1e3,
            "embed": (embedded - aligned) * 1e3,
            "total": (embedded - start) * 1e3,
        }


def face_distance(
    encodings: npt.NDArray[np.float64], probe: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return (n,) Euclidean distances, computed as in face_recognition.face_distance."""
    distances: npt.NDArray[np.float64] = np.linalg.norm(encodings - probe, axis=1)
    return distances
