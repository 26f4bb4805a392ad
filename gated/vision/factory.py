"""From settings to loaded models, and what is known about their error rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2

from gated.config import VisionSettings
from gated.core.calibration import Calibration
from gated.core.model import Face, Image
from gated.errors import AssetError
from gated.ports import Embedder, FaceDetector, MeshModel, PadModel
from gated.vision import manifest
from gated.vision.assets import AssetStore
from gated.vision.closer import CloserLook
from gated.vision.detector import PhotoDetector, YuNetDetector
from gated.vision.dlibnet import DlibEmbedder
from gated.vision.embedder import SFaceEmbedder
from gated.vision.mesh import FaceMesh
from gated.vision.pad import MiniFasNets

PHOTO_SIZE = 1024
"""Long side at which the detector looks for small faces in photos."""

SOURCE = "LFW view 2 folds 1-3, 1,241 people, 4.6 million impostor comparisons, 2026-11-22"
"""`gated calibrate DIR --out FILE` on these photos, template against probe as the gate compares.

Knots rounded to the strict side; from 1e-4 on the similarity is raised to what was counted, label
errors of the data included, where that is more than the fitted tail says.
"""

SFACE_KNOTS = (
    (0.095, -0.301),
    (0.141, -0.523),
    (0.208, -1.0),
    (0.261, -1.523),
    (0.299, -2.0),
    (0.335, -2.5),
    (0.367, -3.0),
    (0.396, -3.5),
    (0.422, -4.0),
    (0.448, -4.5),
    (0.475, -5.0),
)
DLIB_KNOTS = (
    (0.837, -0.301),
    (0.855, -0.523),
    (0.879, -1.0),
    (0.896, -1.523),
    (0.908, -2.0),
    (0.918, -2.5),
    (0.927, -3.0),
    (0.934, -3.5),
    (0.941, -4.0),
    (0.947, -4.5),
    (0.953, -5.0),
)
"""(cosine, log10 of the false match rate)."""

DLIB_DISTANCE_KNOTS = (
    (-0.822, -0.301),
    (-0.707, -1.0),
    (-0.616, -2.0),
    (-0.544, -3.0),
    (-0.475, -4.0),
    (-0.409, -5.0),
)
"""(minus the Euclidean distance, log10 of the false match rate): what a tolerance is given in."""

Knots = tuple[tuple[float, float], ...]

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
    mesh: MeshModel | None = None


def build_models(
    settings: VisionSettings, assets: AssetStore, pad: bool = False, mesh: bool = False
) -> Models:
    """Load models of one's own; `pad`: the liveness models too, `mesh`: the one for challenges.

    AssetError names what to install.

    Sets OpenCV's number of threads for the whole process.
    """
    cv2.setNumThreads(settings.threads)
    yunet = assets.read(manifest.YUNET)
    return Models(
        YuNetDetector(yunet, settings.detection_size),
        _embedder(settings, assets),
        PhotoDetector(yunet, PHOTO_SIZE),
        CloserLook(yunet),
        _pad(assets) if pad else None,
        FaceMesh(assets.read(manifest.FACE_MESH)) if mesh else None,
    )


def calibration_for(model: str) -> Calibration:
    """False match rates of an embedder's `model`; AssetError for one that was never measured."""
    return _measured(model, {"sface-2021dec": SFACE_KNOTS, "dlib-resnet-v1": DLIB_KNOTS})


def tolerance_calibration_for(model: str) -> Calibration:
    """The same over the similarity that a tolerance stands for.

    For SFace the cosine; for dlib minus the Euclidean distance that face_recognition's users know:
    the gate itself compares by cosine, which separates people better.
    """
    return _measured(model, {"sface-2021dec": SFACE_KNOTS, "dlib-resnet-v1": DLIB_DISTANCE_KNOTS})


def _measured(model: str, measured: Mapping[str, Knots]) -> Calibration:
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
