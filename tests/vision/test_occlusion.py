"""Masks, hands and sunglasses, painted over faces: mostly found, hardly ever where none is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gated.core.values import Face, Image, Vector
from gated.errors import EnrollmentRefused
from gated.vision.decoding import decode
from gated.vision.occlusion import visibility
from gated.vision.photo import PhotoExaminer
from tests.assets import require_data
from tests.enrollment.offices import kit_of, portrait

Paint = Callable[[Image, Face], Image]


def frame_of(face: Face) -> tuple[Vector, Vector, float, Vector]:
    """Unit vectors to the right and up, the distance of the eyes, the middle of the mouth."""
    left, right, _, *mouth = face.landmarks
    d = float(np.linalg.norm(right - left))
    across = (right - left) / d
    return across, np.array([across[1], -across[0]]), d, (mouth[0] + mouth[1]) / 2


def pixel(at: Vector) -> tuple[int, int]:
    return int(at[0]), int(at[1])


def sunglasses(image: Image, face: Face) -> Image:
    across, _, d, _ = frame_of(face)
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    painted, size = image.copy(), (int(0.38 * d), int(0.28 * d))
    for eye in face.landmarks[:2]:
        cv2.ellipse(painted, pixel(eye), size, angle, 0, 360, (20, 20, 20), -1, cv2.LINE_AA)
    return painted


def mask(image: Image, face: Face) -> Image:
    across, up, d, mouth = frame_of(face)
    side, chin = across * d, up * d
    corners = [face.landmarks[2] + 0.15 * chin, mouth + side + 0.55 * chin]
    corners += [mouth + 0.85 * side - 0.35 * chin, mouth - 0.95 * chin]
    corners += [mouth - 0.85 * side - 0.35 * chin, mouth - side + 0.55 * chin]
    painted = image.copy()
    cv2.fillPoly(painted, [np.array(corners, np.int32)], (230, 220, 190), cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0, 6, image.shape)
    covered = (painted != image).any(axis=2, keepdims=True)
    return np.asarray(np.where(covered, np.clip(painted + noise, 0, 255), image), np.uint8)


def hand(image: Image, face: Face) -> Image:
    across, up, d, mouth = frame_of(face)
    x, y = pixel(face.landmarks[2] + (face.landmarks[1] - face.landmarks[2]) / 4)
    skin = image[max(0, y - 4) : y + 4, max(0, x - 4) : x + 4].reshape(-1, 3).mean(axis=0)
    light, dark = ([float(v) for v in skin * share] for share in (0.95, 0.75))
    painted, size = image.copy(), (int(0.75 * d), int(0.42 * d))
    cv2.ellipse(painted, pixel(mouth), size, 15.0, 0, 360, light, -1, cv2.LINE_AA)
    for finger in (-0.2, 0.0, 0.2):
        at, reach = mouth + up * (finger * d), across * (0.6 * d)
        ends = pixel(at - reach), pixel(at + reach)
        cv2.line(painted, *ends, dark, max(1, int(0.03 * d)), cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(painted, (0, 0), 0.6), np.uint8)


PAINTS: dict[str, Paint] = {"sunglasses": sunglasses, "mask": mask, "hand": hand}


@pytest.mark.parametrize("engine", ["sface", "dlib"])
def test_a_portrait_is_enrolled_and_refused_when_it_is_covered(engine: str) -> None:
    models = kit_of("sface").models
    kit = kit_of(engine)
    examiner = PhotoExaminer(kit.models, kit.settings.vision)
    image = decode(portrait("obama"))
    (face,) = models.detector.detect(image)
    assert examiner.examine(image).quality.score > 0
    for paint in (sunglasses, mask):
        with pytest.raises(EnrollmentRefused) as refusal:
            examiner.examine(paint(image, face))
        assert refusal.value.reason == "occluded"
        assert refusal.value.measured.keys() == {"mouth", "eyes"}


def test_where_the_face_lies_makes_no_difference() -> None:
    models = kit_of("sface").models
    image = decode(portrait("obama"))
    (face,) = models.detector.detect(image)
    turned = np.ascontiguousarray(np.rot90(image))
    places = np.column_stack([face.landmarks[:, 1], image.shape[1] - 1 - face.landmarks[:, 0]])
    moved = Face(face.box, np.asarray(places, np.float32), face.score)
    one, other = visibility(image, face), visibility(turned, moved)
    assert other.mouth == pytest.approx(one.mouth, rel=0.02)
    assert other.eyes == pytest.approx(one.eyes, rel=0.02)


def first_photos(folder: Path) -> list[Path]:
    """One photo of each person."""
    return [
        files[0] for person in sorted(folder.iterdir()) if (files := sorted(person.glob("*.jpg")))
    ]


@pytest.mark.long
def test_how_often_it_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    folder = require_data("lfw")
    detector = kit_of("sface").models.detector
    found: dict[str, list[bool]] = {name: [] for name in ("nothing", *PAINTS)}
    for file in first_photos(folder):
        image = decode(file.read_bytes())
        faces = detector.detect(image)
        if not faces:
            continue
        middle = image.shape[1] / 2
        face = min(faces, key=lambda f: abs(float(f.landmarks[:, 0].mean()) - middle))
        found["nothing"].append(visibility(image, face).covered)
        for name, paint in PAINTS.items():
            painted = paint(image, face)
            again = detector.detect(painted)
            # who is not found any more is refused, too, as no face
            found[name].append(not again or visibility(painted, again[0]).covered)
    shares = {name: float(np.mean(each)) for name, each in found.items()}
    with capsys.disabled():
        told = (f"{name} {share:.2%}" for name, share in shares.items())
        print(f"\n{len(found['nothing'])} photos, refused as covered: {', '.join(told)}")
    assert shares["nothing"] < 0.01
    assert shares["mask"] > 0.9
    assert shares["sunglasses"] > 0.5
    assert shares["hand"] > 0.4
