"""The closer look on portraits turned by a known angle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gated.core.gallery import unit
from gated.core.quality import pose
from gated.core.values import Box, Face, Image, Vector
from gated.vision.assets import AssetStore
from gated.vision.decoding import decode
from gated.vision.detector import YuNetDetector
from gated.vision.embedder import SFaceEmbedder
from gated.vision.engines import calibration_for
from gated.vision.landmark_refiner import LandmarkRefiner
from gated.vision.manifest import SFACE, YUNET
from tests.assets import require_assets


class Kit:
    def __init__(self, assets: AssetStore) -> None:
        self.detector = YuNetDetector(assets.read(YUNET))
        self.look_closer = LandmarkRefiner(assets.read(YUNET))
        self.embedder = SFaceEmbedder(assets.read(SFACE))

    def embed(self, image: Image, face: Face) -> Vector:
        return unit(self.embedder.embed_chip(self.embedder.align(image, face)))


@pytest.fixture(scope="module")
def assets() -> AssetStore:
    return require_assets("default", "demo")


@pytest.fixture(scope="module")
def kit(assets: AssetStore) -> Kit:
    return Kit(assets)


def at_the_gate(image: Image, face: Face, angle: float) -> Image:
    """A 640x480 frame with the face in its middle, 60 pixels wide, tilted clockwise."""
    x, y = face.box.centre
    turn = cv2.getRotationMatrix2D((x, y), -angle, 60 / face.box.width)
    turn[:, 2] += np.array([320 - x, 240 - y])
    frame = cv2.warpAffine(image, turn, (640, 480), flags=cv2.INTER_AREA)
    return np.asarray(frame, np.uint8)


@pytest.mark.parametrize("name", ["obama.jpg", "obama2.jpg", "biden.jpg"])
@pytest.mark.parametrize("angle", [-30, -15, 0, 10, 20])
def test_a_tilted_head_is_recognised(assets: AssetStore, kit: Kit, name: str, angle: float) -> None:
    image = decode(assets.read(name))
    (upright,) = kit.detector.detect(image)
    frame = at_the_gate(image, upright, angle)
    seen = kit.detector.detect(frame)[0]
    closer = kit.look_closer(frame, seen)
    assert pose(closer.landmarks)[2] == pytest.approx(angle, abs=15)
    template = kit.embed(image, upright)
    first, second = (float(kit.embed(frame, f) @ template) for f in (seen, closer))
    assert second > 0.6
    assert second > first - 0.05
    assert closer.box == seen.box


def test_a_tilted_head_is_known_from_another_photo(assets: AssetStore, kit: Kit) -> None:
    known, other = (decode(assets.read(n)) for n in ("obama.jpg", "obama3.jpg"))
    template = kit.embed(known, kit.detector.detect(known)[0])
    (face,) = kit.detector.detect(other)
    glance, close = [], []
    for angle in (-25, -20, -15, 15, 20, 25):
        frame = at_the_gate(other, face, angle)
        seen = kit.detector.detect(frame)[0]
        glance.append(float(kit.embed(frame, seen) @ template))
        close.append(float(kit.embed(frame, kit.look_closer(frame, seen)) @ template))
    assert calibration_for(kit.embedder.model).fmr(min(close)) < 3e-6
    assert np.mean(close) > np.mean(glance) + 0.1


def test_without_it_a_tilted_head_would_not_be(assets: AssetStore, kit: Kit) -> None:
    image = decode(assets.read("obama.jpg"))
    (upright,) = kit.detector.detect(image)
    frame = at_the_gate(image, upright, 40)
    seen = kit.detector.detect(frame)[0]
    assert float(kit.embed(frame, seen) @ kit.embed(image, upright)) < 0.6


def test_a_face_that_is_not_there_stays_as_it_was(kit: Kit) -> None:
    wall = np.full((480, 640, 3), 128, np.uint8)
    landmarks = np.array([[0, 0], [20, 9], [10, 15], [2, 25], [18, 25]], np.float32)
    for corner in (0.0, 300.0, 5000.0):
        ghost = Face(Box(corner, corner, 20, 30), landmarks + np.float32(corner), 0.6)
        assert kit.look_closer(wall, ghost) is ghost
