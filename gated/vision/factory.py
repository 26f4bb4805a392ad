"""From settings to loaded models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2

from gated.config import VisionSettings
from gated.core.values import Face, Image
from gated.ports import Embedder, FaceDetector, MeshModel, PadModel
from gated.vision import manifest
from gated.vision.assets import AssetStore
from gated.vision.detector import PhotoDetector, YuNetDetector
from gated.vision.engines import embedder_of
from gated.vision.landmark_refiner import LandmarkRefiner
from gated.vision.mesh import FaceMesh
from gated.vision.pad import MiniFasNets

PHOTO_SIZE = 1024
"""Long side at which the detector looks for small faces in photos."""

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
    """Load models for one user; `pad`: the liveness models too, `mesh`: the one for challenges.

    Sets OpenCV's number of threads for the whole process. Raises: AssetError, with what to install.
    """
    cv2.setNumThreads(settings.threads)
    yunet = assets.read(manifest.YUNET)
    return Models(
        YuNetDetector(yunet, settings.detection_size),
        embedder_of(settings, assets),
        PhotoDetector(yunet, PHOTO_SIZE),
        LandmarkRefiner(yunet),
        _pad(assets) if pad else None,
        FaceMesh(assets.read(manifest.FACE_MESH)) if mesh else None,
    )


def _pad(assets: AssetStore) -> PadModel:
    return MiniFasNets(assets.read(manifest.PAD_V2), assets.read(manifest.PAD_V1SE))
