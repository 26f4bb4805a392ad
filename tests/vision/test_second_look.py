"""A face in the picture of a second, infra-red camera; pairs are made of the demo's portraits."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from gated.core.values import Face, Image, PadReading
from gated.enrollment.models import VisionKit
from gated.ports import FaceDetector
from gated.vision.infra_red import living, printed, screen
from gated.vision.second_look import SecondLook, confirmed, look
from tests.assets import require_assets
from tests.enrollment.offices import portrait, settings_in


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> FaceDetector:
    require_assets("default", "demo")
    return VisionKit(settings_in(tmp_path_factory.mktemp("state"))).models.detector


def scene(name: str, width: int = 640, height: int = 480) -> Image:
    """A portrait in the middle of a room."""
    picture = cv2.imdecode(np.frombuffer(portrait(name), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    scale = 0.8 * height / picture.shape[0]
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    room = np.full((height, width, 3), (90, 110, 100), np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    room[top : top + small.shape[0], left : left + small.shape[1]] = small
    return room


@pytest.fixture(params=["biden", "obama"])
def pair(request: pytest.FixtureRequest, detector: FaceDetector) -> tuple[Image, Face]:
    image = scene(request.param)
    return image, detector.detect(image)[0]


def test_a_living_face_is_seen_also_shifted_and_by_another_camera(
    detector: FaceDetector, pair: tuple[Image, Face]
) -> None:
    image, face = pair
    third = round(face.box.width / 3)
    for second in (living(image), living(image, third), living(image, -third)):
        assert look(detector, face, (480, 640), second) is SecondLook.SEEN
    large = np.repeat(np.repeat(living(image), 2, axis=0), 2, axis=1)
    assert look(detector, face, (480, 640), large) is SecondLook.SEEN


def test_a_screen_shows_no_face_and_a_print_none_or_a_flat_one(
    detector: FaceDetector, pair: tuple[Image, Face]
) -> None:
    image, face = pair
    assert look(detector, face, (480, 640), screen(image, face.box)) is SecondLook.UNSEEN
    flat = look(detector, face, (480, 640), printed(image, face.box))
    assert flat in (SecondLook.FLAT, SecondLook.UNSEEN)


def test_somebody_beside_a_screen_does_not_vouch_for_it(
    detector: FaceDetector, pair: tuple[Image, Face]
) -> None:
    image, face = pair
    beside = screen(image, face.box)
    away = living(image, round(1.5 * face.box.width))
    columns = slice(round(face.box.x + 2 * face.box.width), 640)
    beside[:, columns] = away[:, columns]
    assert look(detector, face, (480, 640), beside) is SecondLook.UNSEEN


def test_what_cannot_be_judged_is_no_picture(
    detector: FaceDetector, pair: tuple[Image, Face]
) -> None:
    image, face = pair
    assert look(detector, face, (480, 640), None) is SecondLook.NO_PICTURE
    assert look(detector, face, (480, 640), image) is SecondLook.NO_PICTURE  # it has colour
    edge = replace(face, box=replace(face.box, x=2.0))
    assert look(detector, edge, (480, 640), living(image)) is SecondLook.NO_PICTURE


@pytest.mark.parametrize("live", [0.99, 0.2, None])
def test_the_second_picture_only_denies(live: float | None) -> None:
    reading = PadReading(live, 1.5, grey=live is None)
    said = {seen: confirmed(reading, seen) for seen in SecondLook}
    assert said[SecondLook.SEEN] == reading
    nothing = replace(reading, live=None)
    refused = nothing if live is None else replace(reading, live=0.0)
    assert said[SecondLook.NO_PICTURE] == nothing
    assert said[SecondLook.UNSEEN] == said[SecondLook.FLAT] == refused
