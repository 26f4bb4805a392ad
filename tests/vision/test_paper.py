"""Prints and paper masks made from portraits: faces that move, and are the same again."""

from __future__ import annotations

from itertools import islice

import cv2
import numpy as np
import pytest

from gated.vision.detector import YuNetDetector
from gated.vision.manifest import YUNET
from gated.vision.paper import SIZE, SPECIES, Sitter, Species, shown_to_camera
from tests.assets import require_assets


@pytest.fixture(scope="module")
def sitters() -> tuple[Sitter, Sitter]:
    assets = require_assets("default", "demo")
    detector = YuNetDetector(assets.read(YUNET), 1024)
    found = []
    for name in ("obama.jpg", "biden.jpg"):
        image = np.asarray(cv2.imread(str(assets.path(name))), np.uint8)
        face = detector.detect(image)[0]
        found.append(Sitter(name, image, face.box, face.landmarks))
    return found[0], found[1]


@pytest.mark.parametrize("species", SPECIES, ids=lambda s: s.name)
def test_a_print_shows_a_face_that_is_moved(
    sitters: tuple[Sitter, Sitter], species: Species
) -> None:
    detector = YuNetDetector(require_assets("default").read(YUNET), 320)
    frames = list(islice(shown_to_camera(species, *sitters, 0), 0, 8, 7))
    faces = [detector.detect(frame)[0] for frame in frames]
    assert all(frame.shape == (SIZE[1], SIZE[0], 3) for frame in frames)
    assert all(face.score > 0.7 and face.eye_distance > 40 for face in faces)
    assert np.abs(faces[0].landmarks - faces[1].landmarks).max() > 0.5
    again = next(shown_to_camera(species, *sitters, 0))
    other = next(shown_to_camera(species, *sitters, 1))
    assert np.array_equal(frames[0], again)
    assert not np.array_equal(frames[0], other)


def test_species_have_names_of_their_own() -> None:
    assert len({s.name for s in SPECIES}) == len(SPECIES)
