"""Badges that were drawn are read from a camera's picture; nothing is read where there is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gated.core.values import Image
from gated.vision.badges import draw, read

CONTENT = "GATED:ABCDEFGHIJKLMNOPQRSTUVWX"
UNLUCKY = (
    *("M6H2SCJJSCR2Q4UMY243DGC3", "S3YZ74H2QKQ5DPPYIKW6QE7M", "AUHO5OTLKSXDY5IP4NV5ATPV"),
    *("6HVFLCTGCVU5K2GOKAFWEPJF", "SQRKSDNO7Y6ZNK2CBT6HO2W7", "FHWPZRPL2I3KO4YWFCIWAGZS"),
)
"""Of 5,000 tokens sixteen made codes in whose perfect picture OpenCV 5.0 found nothing."""


def drawn(content: str, side: int) -> Image:
    """A badge so many pixels wide, as it was printed."""
    badge = cv2.imdecode(np.frombuffer(draw(content), np.uint8), cv2.IMREAD_COLOR)
    assert badge is not None
    return np.asarray(cv2.resize(badge, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def room(width: int) -> Image:
    """A noisy picture in which nothing is."""
    rng = np.random.default_rng(7)
    picture = rng.normal(120, 20, (width * 3 // 4, width, 3)).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(picture, (5, 5), 0), np.uint8)


def held_up(side: int, width: int = 640, angle: float = 0.0) -> Image:
    """A noisy picture with the badge so many pixels wide in it."""
    picture = room(width)
    # whole within its square, at any angle
    fit = 1 / (abs(np.cos(np.radians(angle))) + abs(np.sin(np.radians(angle))))
    turned = cv2.getRotationMatrix2D((side / 2, side / 2), angle, float(fit))
    badge = cv2.warpAffine(drawn(CONTENT, side), turned, (side, side), borderValue=[255, 255, 255])
    picture[60 : 60 + side, 90 : 90 + side] = badge
    return picture


@pytest.mark.parametrize(
    ("side", "width", "angle"), [(80, 640, 0), (160, 640, 45), (250, 640, 8), (500, 1920, 180)]
)
def test_a_badge_is_read_from_a_picture(side: int, width: int, angle: float) -> None:
    assert read(held_up(side, width, angle)) == {CONTENT}


@pytest.mark.parametrize("token", UNLUCKY)
def test_every_badge_can_be_read_also_those_that_a_poor_reader_takes_for_none(token: str) -> None:
    for side in (120, 250, 400):
        assert read(drawn("GATED:" + token, side)) == {"GATED:" + token}


def test_a_badge_is_read_with_a_corner_spoilt_and_in_the_dark() -> None:
    picture = held_up(250)
    picture[250:300, 280:330] = 120
    assert read(np.asarray(picture * 0.15, np.uint8)) == {CONTENT}


def test_a_poster_beside_a_badge_hides_it_from_nobody() -> None:
    picture = held_up(200)
    picture[200:400, 420:620] = drawn("https://example.org/menu", 200)
    assert read(picture) == {CONTENT, "https://example.org/menu"}


def test_nothing_is_read_where_nothing_is() -> None:
    assert read(np.zeros((480, 640, 3), np.uint8)) == frozenset()
    assert read(held_up(160)[:60]) == frozenset()
    assert read(room(640)) == frozenset()
