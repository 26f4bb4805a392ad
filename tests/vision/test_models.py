"""Detector and embedder on the demo portraits, with the real models."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gated.core.gallery import unit
from gated.core.values import Face, Image, Vector
from gated.errors import AssetError
from gated.vision.assets import AssetStore
from gated.vision.detector import YuNetDetector
from gated.vision.embedder import SFaceEmbedder
from gated.vision.manifest import SFACE, YUNET
from gated.vision.sface_converter import clean_sface
from gated.vision.sface_offset import OFFSET
from tests.assets import require_assets

PORTRAITS = ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")


@pytest.fixture(scope="module")
def assets() -> AssetStore:
    return require_assets("default", "demo")


@pytest.fixture(scope="module")
def detector(assets: AssetStore) -> YuNetDetector:
    return YuNetDetector(assets.read(YUNET))


@pytest.fixture(scope="module")
def embedder(assets: AssetStore) -> SFaceEmbedder:
    return SFaceEmbedder(assets.read(SFACE))


def portrait(assets: AssetStore, name: str) -> Image:
    image = cv2.imread(str(assets.path(name)))
    assert image is not None
    return np.asarray(image, np.uint8)


def embed(embedder: SFaceEmbedder, image: Image, face: Face) -> Vector:
    return unit(embedder.embed_chip(embedder.align(image, face)))


def test_landmarks_lie_where_they_belong(assets: AssetStore, detector: YuNetDetector) -> None:
    for name in PORTRAITS:
        image = portrait(assets, name)
        (face,) = detector.detect(image)
        right_eye, left_eye, nose, right_mouth, left_mouth = face.landmarks
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_eye[1] < nose[1] < right_mouth[1]
        assert right_mouth[0] < left_mouth[0]
        assert face.box.x < right_eye[0] < face.box.x + face.box.width
        assert 0.7 < face.score <= 1.0


def test_results_are_in_frame_pixels_whatever_the_size(
    assets: AssetStore, detector: YuNetDetector
) -> None:
    image = portrait(assets, "obama.jpg")
    (small,) = detector.detect(np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5), np.uint8))
    (large,) = detector.detect(image)
    np.testing.assert_allclose(small.landmarks * 2, large.landmarks, atol=6)


def test_a_group_photo_has_several_faces_best_first(
    assets: AssetStore, detector: YuNetDetector
) -> None:
    faces = detector.detect(portrait(assets, "t1.jpg"))
    assert len(faces) >= 5
    assert [f.score for f in faces] == sorted((f.score for f in faces), reverse=True)


@pytest.mark.parametrize("shape", [(480, 640), (1, 1), (2, 900), (33, 17)])
def test_an_empty_scene_has_no_face(detector: YuNetDetector, shape: tuple[int, int]) -> None:
    assert detector.detect(np.full((*shape, 3), 127, np.uint8)) == []


def test_the_same_person_is_alike_and_another_is_not(
    assets: AssetStore, detector: YuNetDetector, embedder: SFaceEmbedder
) -> None:
    images = [portrait(assets, name) for name in PORTRAITS]
    vectors = [embed(embedder, im, detector.detect(im)[0]) for im in images]
    cosines = np.array(vectors) @ np.array(vectors).T
    assert cosines[:3, :3].min() > 0.65
    assert cosines[3, :3].max() < 0.3


def test_a_face_seen_from_afar_is_still_itself(
    assets: AssetStore, detector: YuNetDetector, embedder: SFaceEmbedder
) -> None:
    image = portrait(assets, "obama.jpg")
    small = np.asarray(
        cv2.resize(image, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA), np.uint8
    )
    near = embed(embedder, image, detector.detect(image)[0])
    far = embed(embedder, small, detector.detect(small)[0])
    assert float(near @ far) > 0.8


def test_mirrored_vectors_do_not_mind_which_side(
    assets: AssetStore, detector: YuNetDetector, embedder: SFaceEmbedder
) -> None:
    twin = SFaceEmbedder(assets.read(SFACE), mirrored=True)
    image = portrait(assets, "obama2.jpg")
    chip = twin.align(image, detector.detect(image)[0])
    a, b = twin.embed_chip(chip), twin.embed_chip(np.ascontiguousarray(chip[:, ::-1]))
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert float(unit(embedder.embed_chip(chip)) @ a) > 0.9
    assert twin.model == embedder.model


def test_what_all_faces_have_in_common_is_taken_from_what_the_network_gives(
    assets: AssetStore, detector: YuNetDetector, embedder: SFaceEmbedder
) -> None:
    content = np.frombuffer(clean_sface(assets.read(SFACE)), np.uint8)
    network = cv2.FaceRecognizerSF.create("onnx", content, np.empty(0, np.uint8))
    given, kept = [], []
    for name in ("obama2.jpg", "biden.jpg"):
        image = portrait(assets, name)
        chip = embedder.align(image, detector.detect(image)[0])
        given.append(unit(np.array(network.feature(chip)[0], np.float32)))
        kept.append(embedder.embed_chip(chip))
        np.testing.assert_allclose(kept[-1] + OFFSET, given[-1], atol=1e-5)
    assert float(unit(kept[0]) @ unit(kept[1])) < float(given[0] @ given[1])


def test_vectors_are_copies(
    assets: AssetStore, detector: YuNetDetector, embedder: SFaceEmbedder
) -> None:
    image = portrait(assets, "biden.jpg")
    chip = embedder.align(image, detector.detect(image)[0])
    first = embedder.embed_chip(chip)
    kept = first.copy()
    embedder.embed_chip(np.zeros_like(chip))
    np.testing.assert_array_equal(first, kept)


def test_a_damaged_model_is_an_asset_error(assets: AssetStore) -> None:
    for content in (b"", b"nonsense" * 100, assets.read(YUNET)[:5000]):
        with pytest.raises(AssetError, match="YuNet"):
            YuNetDetector(content)
    with pytest.raises(AssetError, match="SFace"):
        SFaceEmbedder(assets.read(SFACE)[:-100_000])
