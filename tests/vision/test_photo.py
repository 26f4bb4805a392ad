"""Reference photos: every kind of file, and every reason to refuse a face."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest

from gated.config import VisionSettings
from gated.core.values import Image
from gated.errors import EnrollmentRefused
from gated.vision.assets import AssetStore
from gated.vision.decoding import FORMATS, decode
from gated.vision.factory import build_models
from gated.vision.jpeg import encode_jpeg
from gated.vision.photo import PhotoExaminer
from tests.assets import require_assets, require_data


def picture() -> Image:
    """Red left half, blue right half, a green bar on top: tells colours and turns apart."""
    rgb = np.zeros((60, 80, 3), np.uint8)
    rgb[:, :40] = (200, 10, 10)
    rgb[:, 40:] = (10, 10, 200)
    rgb[:15] = (10, 200, 10)
    return np.ascontiguousarray(rgb[:, :, ::-1])


def file_of(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rgb_picture() -> PIL.Image.Image:
    return PIL.Image.fromarray(np.ascontiguousarray(picture()[:, :, ::-1]))


@pytest.mark.parametrize("kind", FORMATS)
def test_the_contract_s_formats_are_read(kind: str) -> None:
    image = decode(file_of(rgb_picture(), kind))
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - picture()).mean() < 6


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "YCbCr"])
def test_every_mode_becomes_bgr(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "YCbCr", "LA") else "PNG"
    image = decode(file_of(rgb_picture().convert(mode), kind))
    assert image.shape == (60, 80, 3)
    if mode not in ("L", "LA", "1"):
        assert np.abs(image.astype(int) - picture()).mean() < 16


def test_sixteen_bits_become_eight() -> None:
    ramp = np.linspace(0, 65535, 80 * 60).reshape(60, 80).astype(np.uint16)
    image = decode(file_of(PIL.Image.fromarray(ramp), "PNG"))
    np.testing.assert_allclose(image[:, :, 0], ramp / 257, atol=1.5)
    floats = PIL.Image.fromarray((ramp / 65535).astype(np.float32))
    np.testing.assert_allclose(decode(file_of(floats, "TIFF"))[:, :, 1], ramp / 257, atol=1.5)


def test_transparency_lies_on_white() -> None:
    glass = PIL.Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (decode(file_of(glass, "PNG")) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_honoured(orientation: int) -> None:
    turned = {
        1: None,
        2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
        3: PIL.Image.Transpose.ROTATE_180,
        4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
        5: PIL.Image.Transpose.TRANSPOSE,
        6: PIL.Image.Transpose.ROTATE_90,
        7: PIL.Image.Transpose.TRANSVERSE,
        8: PIL.Image.Transpose.ROTATE_270,
    }[orientation]
    stored = rgb_picture() if turned is None else rgb_picture().transpose(turned)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = decode(file_of(stored, "JPEG", exif=exif.tobytes(), quality=95))
    assert np.abs(image.astype(int) - picture()).mean() < 6


def test_only_the_first_frame_counts() -> None:
    other = PIL.Image.new("RGB", (80, 60), "white")
    data = file_of(rgb_picture(), "TIFF", save_all=True, append_images=[other])
    np.testing.assert_array_equal(decode(data), picture())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.4",
        bytes(range(256)) * 20,
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(EnrollmentRefused) as refusal:
        decode(data)
    assert refusal.value.reason == "unreadable_image"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "ICO", "PPM"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(EnrollmentRefused):
        decode(file_of(rgb_picture(), kind))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_cut_off_is_refused(kind: str) -> None:
    rng = np.random.default_rng(0)
    noise = PIL.Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8))
    data = file_of(noise, kind)
    with pytest.raises(EnrollmentRefused):
        decode(data[: len(data) // 2])


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (2**31 - 1, 1), (6400, 6400)])
def test_a_bomb_is_refused_by_its_claim(width: int, height: int) -> None:
    with pytest.raises(EnrollmentRefused, match="megapixels"):
        decode(png_claiming(width, height))


def test_a_file_too_large_is_refused_unread() -> None:
    with pytest.raises(EnrollmentRefused, match="larger than 10 MB"):
        decode(bytes(10 * 2**20 + 1))


def test_the_stored_jpeg_has_no_metadata() -> None:
    exif = PIL.Image.Exif()
    exif[0x010E] = "home address"
    data = file_of(rgb_picture(), "JPEG", exif=exif.tobytes(), comment=b"secret comment")
    assert b"home address" in data
    stored = encode_jpeg(decode(data))
    assert b"home address" not in stored
    assert b"secret" not in stored
    assert not PIL.Image.open(io.BytesIO(stored)).getexif()
    assert np.abs(decode(stored).astype(int) - picture()).mean() < 6


# --- with the real models ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def assets() -> AssetStore:
    return require_assets("default", "demo")


@pytest.fixture(scope="module")
def examiner(assets: AssetStore) -> PhotoExaminer:
    settings = VisionSettings()
    return PhotoExaminer(build_models(settings, assets), settings)


def refusal_of(examiner: PhotoExaminer, image: Image) -> str:
    with pytest.raises(EnrollmentRefused) as refusal:
        examiner.examine(image)
    assert refusal.value.advice
    return refusal.value.reason


def resized(image: Image, factor: float) -> Image:
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def test_portraits_enrol_without_advice(assets: AssetStore, examiner: PhotoExaminer) -> None:
    for name in ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"):
        examined = examiner.examine(decode(assets.read(name)))
        assert examined.advice == []
        assert examined.quality.score > 0.8
        assert float(np.linalg.norm(examined.embedding)) == pytest.approx(1, abs=1e-5)


def test_a_small_face_is_advised_on_and_a_tiny_one_refused(
    assets: AssetStore, examiner: PhotoExaminer
) -> None:
    image = decode(assets.read("obama.jpg"))
    assert any(a.code == "nearer" for a in examiner.examine(resized(image, 0.35)).advice)
    assert refusal_of(examiner, resized(image, 0.2)) == "face_too_small"


def test_a_small_face_in_a_large_photo_is_found(
    assets: AssetStore, examiner: PhotoExaminer
) -> None:
    image = decode(assets.read("obama.jpg"))
    hall = np.full((4000, 5000, 3), 90, np.uint8)
    person = resized(image, 0.5)
    hall[2000 : 2000 + person.shape[0], 3000 : 3000 + person.shape[1]] = person
    examined = examiner.examine(hall)
    assert examined.quality.eye_distance == pytest.approx(60, abs=6)
    assert float(examined.embedding @ examiner.examine(image).embedding) > 0.85


def test_a_face_that_fills_the_photo_is_found(assets: AssetStore, examiner: PhotoExaminer) -> None:
    image = decode(assets.read("obama.jpg"))
    whole = examiner.examine(image)
    box = whole.face.box
    left, top = int(box.x), int(box.y)
    crop = np.ascontiguousarray(image[top : top + int(box.height), left : left + int(box.width)])
    assert float(examiner.examine(crop).embedding @ whole.embedding) > 0.85


def test_a_person_in_front_of_smaller_faces_enrols_and_two_equals_do_not(
    assets: AssetStore, examiner: PhotoExaminer
) -> None:
    one, other = (decode(assets.read(n)) for n in ("obama.jpg", "biden.jpg"))
    one = resized(one, 600 / one.shape[0])

    def beside(height: int) -> Image:
        scene = np.full((600, 1000, 3), 120, np.uint8)
        second = resized(other, height / other.shape[0])[:600]
        scene[: one.shape[0], : one.shape[1]] = one
        scene[: second.shape[0], 550 : 550 + second.shape[1]] = second
        return scene

    assert refusal_of(examiner, beside(1000)) == "multiple_faces"
    in_front = examiner.examine(beside(450))
    assert float(in_front.embedding @ examiner.examine(one).embedding) > 0.95
    assert "shows 2 people. The one on the left was taken" in str(in_front.advice[0])
    mirrored = examiner.examine(np.ascontiguousarray(beside(450)[:, ::-1]))
    assert "shows 2 people. The one on the right was taken" in str(mirrored.advice[0])
    assert refusal_of(examiner, decode(assets.read("t1.jpg"))) == "multiple_faces"


def test_an_empty_wall_has_no_face(examiner: PhotoExaminer) -> None:
    assert refusal_of(examiner, np.full((300, 400, 3), 128, np.uint8)) == "no_face"
    assert refusal_of(examiner, np.full((1, 1, 3), 128, np.uint8)) == "no_face"


def test_blur_and_light_have_their_codes(assets: AssetStore, examiner: PhotoExaminer) -> None:
    image = resized(decode(assets.read("obama.jpg")), 0.5)
    blurred = np.asarray(cv2.GaussianBlur(image, (0, 0), 7), np.uint8)
    assert refusal_of(examiner, blurred) == "too_blurry"
    assert refusal_of(examiner, np.asarray(image // 8, np.uint8)) == "too_dark"
    bright = np.asarray(np.clip(image.astype(int) // 6 + 215, 0, 255), np.uint8)
    assert refusal_of(examiner, bright) == "too_bright"


@pytest.mark.parametrize("angle", [60, -75, 120, 180])
def test_a_head_on_its_side_or_upside_down_is_refused(
    assets: AssetStore, examiner: PhotoExaminer, angle: int
) -> None:
    image = decode(assets.read("obama.jpg"))
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 0.6)
    turned = np.asarray(cv2.warpAffine(image, turn, (width, height)), np.uint8)
    assert refusal_of(examiner, turned) in ("extreme_pose", "no_face")


def test_nearly_every_photo_of_lfw_enrols(examiner: PhotoExaminer) -> None:
    photos = sorted(require_data("lfw").glob("*/*.jpg"))[::80]
    refused: dict[str, list[str]] = {}
    for photo in photos:
        try:
            examiner.examine(decode(photo.read_bytes()))
        except EnrollmentRefused as refusal:
            refused.setdefault(refusal.reason, []).append(photo.stem)
    assert sum(map(len, refused.values())) <= 1, refused


@pytest.mark.parametrize("number", [10, 19])
def test_the_frames_that_replays_enrol_from_can_be_enrolled(
    examiner: PhotoExaminer, number: int
) -> None:
    clip = require_data("video", "approach", "intel_head-pose-face-detection-female.mp4")
    capture = cv2.VideoCapture(str(clip))
    for _ in range(number + 1):
        _, frame = capture.read()
    assert examiner.examine(np.asarray(frame, np.uint8)).quality.eye_distance > 30


@pytest.mark.parametrize("name", ["alex-lacamoire.png", "lin-manuel-miranda.png"])
def test_the_photos_of_a_film_clip_can_be_enrolled(examiner: PhotoExaminer, name: str) -> None:
    photo = require_data("video", "identity", "hamilton", "enrol", name)
    assert examiner.examine(decode(photo.read_bytes())).quality.score > 0.4
