"""The face mesh on real faces: does it see the head turn, and a flat picture not?"""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from gated.core.challenge import FRONTAL, TURNED, Movement
from gated.core.quality import pose
from gated.core.values import Face, Image, Mesh
from gated.errors import AssetError
from gated.vision.detector import YuNetDetector
from gated.vision.landmark_refiner import LandmarkRefiner
from gated.vision.manifest import FACE_MESH, YUNET
from gated.vision.mesh import FaceMesh
from tests.assets import require_assets, require_data


class Look:
    """Both measures of the first face of a picture."""

    def __init__(self) -> None:
        assets = require_assets("default", "demo", "mesh")
        self._detector = YuNetDetector(assets.read(YUNET), 320)
        self._closer = LandmarkRefiner(assets.read(YUNET))
        self._mesh = FaceMesh(assets.read(FACE_MESH))
        self.portrait: Image = np.asarray(cv2.imread(str(assets.path("obama.jpg"))), np.uint8)

    def face(self, image: Image) -> Face | None:
        faces = self._detector.detect(image)
        return self._closer(image, faces[0]) if faces else None

    def at(self, image: Image) -> tuple[float, float, Mesh] | None:
        """Yaw and pitch of the landmarks, and the mesh; None without a face."""
        face = self.face(image)
        if face is None:
            return None
        yaw, pitch, _ = pose(face.landmarks)
        return yaw, pitch, self._mesh.measure(image, face)


@pytest.fixture
def look() -> Look:
    return Look()


def tilted(image: Image, face: Face, around: tuple[float, float]) -> Image:
    """A flat picture, turned by so many degrees sideways and backwards, two faces' widths away."""
    x, y = face.box.centre
    away = 2.0 * face.box.width
    aside, back = (cv2.Rodrigues(np.array(axis, float))[0] for axis in _axes(around))
    turned = aside @ back
    plane = np.column_stack([turned[:, 0], turned[:, 1], [0.0, 0.0, away]])
    lens = np.array([[away, 0, x], [0, away, y], [0, 0, 1]])
    to_plane = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.warpPerspective(image, lens @ plane @ to_plane, size), np.uint8)


def _axes(around: tuple[float, float]) -> tuple[list[float], list[float]]:
    return [0.0, math.radians(around[0]), 0.0], [math.radians(around[1]), 0.0, 0.0]


def test_a_portrait_looks_ahead_with_open_eyes_and_its_mirror_image_too(look: Look) -> None:
    seen = look.at(look.portrait)
    swapped = look.at(np.asarray(cv2.flip(look.portrait, 1), np.uint8))
    assert seen is not None
    assert swapped is not None
    assert abs(seen[2].yaw) < FRONTAL
    assert swapped[2].yaw == pytest.approx(-seen[2].yaw, abs=8.0)
    assert 0.15 < seen[2].eyes < 0.5
    assert swapped[2].eyes == pytest.approx(seen[2].eyes, abs=0.05)


@pytest.mark.parametrize("around", [(35, 0), (-35, 0), (50, 0), (-50, 0), (0, 35), (0, -50)])
def test_a_tilted_photo_turns_nobodys_head(look: Look, around: tuple[float, float]) -> None:
    face = look.face(look.portrait)
    flat = look.at(look.portrait)
    assert face is not None
    assert flat is not None
    turned = look.at(tilted(look.portrait, face, around))
    if turned is None:
        return  # and what is no face any more shows no movement at all
    by_landmarks, by_mesh = turned[0] - flat[0], turned[2].yaw - flat[2].yaw
    assert min(abs(by_landmarks), abs(by_mesh)) < TURNED or by_landmarks * by_mesh < 0


def test_a_head_that_turns_to_and_fro_is_seen_to_turn_by_both_measures(look: Look) -> None:
    clip = cv2.VideoCapture(str(require_data("video", "spoof_pairs", "apfol_real.webm")))
    sides = set()
    together = []
    while clip.grab():
        if int(clip.get(cv2.CAP_PROP_POS_FRAMES)) % 3:
            continue
        seen = look.at(np.asarray(clip.retrieve()[1], np.uint8))
        if seen is None:
            continue
        together.append((seen[0], seen[2].yaw))
        if min(abs(seen[0]), abs(seen[2].yaw)) >= TURNED and seen[0] * seen[2].yaw > 0:
            sides.add(Movement.TURN_LEFT if seen[0] > 0 else Movement.TURN_RIGHT)
    assert sides == {Movement.TURN_LEFT, Movement.TURN_RIGHT}
    assert np.corrcoef(np.array(together).T)[0, 1] > 0.9


def test_a_damaged_mesh_is_refused() -> None:
    with pytest.raises(AssetError, match="face mesh"):
        FaceMesh(b"no model at all")
