"""From settings to loaded models, and what is known about their error rates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2

from gated.config import VisionSettings
from gated.core.calibration import Calibration
from gated.core.model import Face, Image
from gated.errors import AssetError
from gated.ports import Embedder, FaceDetector, PadModel
from gated.vision import manifest
from gated.vision.assets import AssetStore
from gated.vision.closer import CloserLook
from gated.vision.detector import YuNetDetector
from gated.vision.dlibnet import DlibEmbedder
from gated.vision.embedder import SFaceEmbedder
from gated.vision.pad import MiniFasNets

PHOTO_SIZE = 1024
"""Long side at which the detector looks for small faces in photos."""

SOURCE = "LFW, 29.6 million impostor pairs; rates above 1e-3: 3.3 million"
SFACE_KNOTS = (
    (0.091, -0.301),
    (0.205, -1.0),
    (0.297, -2.0),
    (0.358, -3.0),
    (0.415, -4.0),
    (0.465, -5.0),
)
DLIB_KNOTS = (
    (-0.822, -0.301),
    (-0.707, -1.0),
    (-0.616, -2.0),
    (-0.544, -3.0),
    (-0.477, -4.0),
    (-0.422, -5.0),
)
"""(similarity, log10 of the false match rate); dlib's similarity is minus the distance."""

LookCloser = Callable[[Image, Face], Face]
"""Returns the face of a frame with better landmarks."""


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one user; they are not shared between threads."""

    detector: FaceDetector
    embedder: Embedder
    photo_detector: FaceDetector
    look_closer: LookCloser
    pad: PadModel | None = None


def build_models(settings: VisionSettings, assets: AssetStore, pad: bool = False) -> Models:
    """Load models of one's own; `pad`: the liveness models too. AssetError names what to install.

    Sets OpenCV's number of threads for the whole process.
    """
    cv2.setNumThreads(settings.threads)
    yunet = assets.read(manifest.YUNET)
    return Models(
        YuNetDetector(yunet, settings.detection_size),
        _embedder(settings, assets),
        YuNetDetector(yunet, PHOTO_SIZE),
        CloserLook(yunet),
        _pad(assets) if pad else None,
    )


def calibration_for(model: str) -> Calibration:
    """False match rates of an embedder's `model`; AssetError for one that was never measured."""
    measured = {"sface-2021dec": SFACE_KNOTS, "dlib-resnet-v1": DLIB_KNOTS}
    knots = measured.get(model.split("/")[0])
    if knots is None:
        raise AssetError(f"no false match rates are known for the model {model}")
    return Calibration(model, SOURCE, knots)


def _embedder(settings: VisionSettings, assets: AssetStore) -> Embedder:
    if settings.engine == "sface":
        return SFaceEmbedder(assets.read(manifest.SFACE))
    return DlibEmbedder(assets.read(manifest.DLIB_RESNET), assets.path(manifest.DLIB_LANDMARKS))


def _pad(assets: AssetStore) -> PadModel:
    return MiniFasNets(assets.read(manifest.PAD_V2), assets.read(manifest.PAD_V1SE))
