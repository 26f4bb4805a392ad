"""The rebuilt dlib network against the real one, and the importer of encodings."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from gated.config import VisionSettings
from gated.core.gallery import METRICS, unit
from gated.core.values import Image
from gated.errors import AssetError, SourceError
from gated.vision.assets import AssetStore
from gated.vision.contract import ENGINE_CHECKS, EngineBench
from gated.vision.decoding import decode
from gated.vision.detector import YuNetDetector
from gated.vision.dlibnet import DlibEmbedder, read_encodings, rebuild
from gated.vision.engines import calibration_for, tolerance_calibration_for
from gated.vision.factory import build_models
from gated.vision.manifest import DLIB_LANDMARKS, DLIB_RESNET, YUNET
from gated.vision.photo import PhotoExaminer
from tests.assets import require_assets

PORTRAITS = ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")


class FaceRecognition:
    """What face_recognition 1.3 does with a photo, through the real dlib."""

    def __init__(self, assets: AssetStore) -> None:
        dlib = pytest.importorskip("dlib", reason="the module dlib is missing (extra dlib)")
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(assets.path(DLIB_LANDMARKS)))
        self._network = dlib.face_recognition_model_v1(str(assets.path(DLIB_RESNET)))

    def encode_chip(self, chip: Image) -> npt.NDArray[np.float64]:
        return np.array(self._network.compute_face_descriptor(self._rgb(chip)))

    def encode(self, image: Image) -> npt.NDArray[np.float64]:
        rgb = self._rgb(image)
        (box,) = self._detector(rgb, 1)
        return np.array(self._network.compute_face_descriptor(rgb, self._predictor(rgb, box)))

    @staticmethod
    def _rgb(image: Image) -> Image:
        return np.ascontiguousarray(image[:, :, ::-1])


@pytest.fixture(scope="module")
def assets() -> AssetStore:
    return require_assets("default", "demo", "dlib")


@pytest.fixture(scope="module")
def reference(assets: AssetStore) -> FaceRecognition:
    return FaceRecognition(assets)


@pytest.fixture(scope="module")
def embedder(assets: AssetStore, reference: FaceRecognition) -> DlibEmbedder:
    return DlibEmbedder(assets.read(DLIB_RESNET), assets.path(DLIB_LANDMARKS))


@pytest.fixture(scope="module")
def chips(assets: AssetStore, embedder: DlibEmbedder) -> list[Image]:
    detector = YuNetDetector(assets.read(YUNET))
    images = [decode(assets.read(name)) for name in PORTRAITS]
    return [embedder.align(image, detector.detect(image)[0]) for image in images]


def test_the_network_equals_dlib_s(
    chips: list[Image], embedder: DlibEmbedder, reference: FaceRecognition
) -> None:
    for chip in chips:
        assert chip.shape == (150, 150, 3)
        ours, theirs = embedder.embed_chip(chip), reference.encode_chip(chip)
        assert ours.shape == (128,)
        assert np.abs(ours - theirs).max() < 1e-5
        assert np.linalg.norm(ours - theirs) < 1e-5


def test_templates_are_interchangeable_with_face_recognition_s(
    assets: AssetStore, reference: FaceRecognition
) -> None:
    settings = VisionSettings(engine="dlib")
    examiner = PhotoExaminer(build_models(settings, assets), settings)
    for name in PORTRAITS[:2]:
        image = decode(assets.read(name))
        distance = np.linalg.norm(examiner.examine(image).embedding - reference.encode(image))
        assert distance < 0.15, "jitter of the face box, far below any threshold"


def test_the_same_person_is_near_and_another_is_far(
    chips: list[Image], embedder: DlibEmbedder
) -> None:
    vectors = [embedder.embed_chip(chip) for chip in chips]
    same = max(np.linalg.norm(a - b) for a in vectors[:3] for b in vectors[:3])
    other = min(np.linalg.norm(vectors[3] - a) for a in vectors[:3])
    assert same < 0.5 < 0.7 < other
    assert embedder.metric in METRICS
    tolerated = tolerance_calibration_for(embedder.model)
    assert tolerated.fmr(-0.6) > 1e-3 > tolerated.fmr(-0.5)


def test_the_gate_compares_by_cosine(chips: list[Image], embedder: DlibEmbedder) -> None:
    vectors = unit(np.stack([embedder.embed_chip(chip) for chip in chips]))
    calibration = calibration_for(embedder.model)
    same = min(float(a @ b) for a in vectors[:3] for b in vectors[:3])
    other = max(float(vectors[3] @ a) for a in vectors[:3])
    assert calibration.fmr(same) < 1e-4 < 1e-2 < calibration.fmr(other)
    assert (embedder.metric, embedder.mirrors) == ("cosine", False)


def test_a_face_at_the_border_still_has_a_chip(assets: AssetStore, embedder: DlibEmbedder) -> None:
    image = decode(assets.read("obama.jpg"))
    (face,) = YuNetDetector(assets.read(YUNET)).detect(image)
    assert embedder.align(image[: int(face.box.y + 60)], face).shape == (150, 150, 3)
    assert not embedder.align(np.zeros((10, 10, 3), np.uint8), face).any()


def test_a_damaged_file_is_an_asset_error(assets: AssetStore) -> None:
    weights = assets.read(DLIB_RESNET)
    for damaged in (b"", b"\0" * 1000, weights[: len(weights) // 2], weights[:-2000]):
        with pytest.raises(AssetError, match="cannot be read"):
            rebuild(damaged)


@pytest.mark.parametrize("shape", [(128,), (1, 128), (5, 128)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_encodings_are_read(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    values: npt.NDArray[np.floating] = np.random.default_rng(0).normal(size=shape).astype(dtype)
    file = tmp_path / "e.npy"
    np.save(file, values)
    np.testing.assert_array_equal(read_encodings(file.read_bytes(), "e"), np.atleast_2d(values))


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (marker,))

    np.save(tmp_path / "object.npy", np.array([Payload()], object), allow_pickle=True)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Payload()))
    for name in ("object.npy", "plain.npy"):
        with pytest.raises(SourceError, match="pickled"):
            read_encodings((tmp_path / name).read_bytes(), name)
    assert not marker.exists()


def test_what_is_no_encoding_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(128))
    broken = np.zeros(128)
    broken[3] = np.nan
    files: dict[str, bytes] = {"archive.npy": buffer.getvalue(), "empty.npy": b""}
    for name, array in {
        "short.npy": np.zeros(127),
        "cube.npy": np.zeros((2, 2, 128)),
        "text.npy": np.array(["a"] * 128),
        "whole.npy": np.zeros(128, int),
        "broken.npy": broken,
        "none.npy": np.zeros((0, 128)),
        "beyond_float32.npy": np.full(128, 1e39),
        "large.npy": np.full(128, -1e30, np.float32),
    }.items():
        np.save(tmp_path / name, array)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = sorted(tmp_path.glob("*.npy"))
    assert len(paths) == 10
    for path in paths:
        with pytest.raises(SourceError, match=path.name):
            read_encodings(path.read_bytes(), path.name)


def test_a_header_that_promises_too_much_takes_no_memory() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((1, 128)))
    good = buffer.getvalue()
    for shape in (b"(999999999999, 128)", b"(-1, 128)", b"(2, 128)", b"[1, 128]"):
        at = good.index(b"(1, 128)")
        rest = good[at + 8 :]
        spaces = rest.index(b" " * 20)
        kept = rest[:spaces] + rest[spaces + len(shape) - 8 :]
        with pytest.raises(SourceError, match="pickled objects are refused"):
            read_encodings(good[:at] + shape + kept, "e.npy")


@pytest.mark.parametrize("check", ENGINE_CHECKS.values(), ids=list(ENGINE_CHECKS))
@pytest.mark.parametrize("name", ["sface", "dlib"])
def test_it_does_what_every_engine_does(
    name: str, check: Callable[[Callable[[], EngineBench]], None]
) -> None:
    assets = require_assets("default", "demo", "dlib")
    image = decode(assets.read("obama.jpg"))
    settings = VisionSettings(engine=name)
    face = build_models(settings, assets).photo_detector.detect(image)[0]
    check(lambda: EngineBench(build_models(settings, assets).embedder, image, face))
