"""Badges that were drawn are read from a camera's picture; nothing is read where there is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gated.core.values import Image
from gated.vision.badges import BadgeReader, draw

CONTENT = "GATED:ABCDEFGHIJKLMNOPQRSTUVWX"


def held_up(side: int, width: int = 640, angle: float = 0.0) -> Image:
    """A noisy picture with the badge so many pixels wide in it."""
    rng = np.random.default_rng(7)
    picture = rng.normal(120, 20, (width * 3 // 4, width, 3)).clip(0, 255).astype(np.uint8)
    picture = np.asarray(cv2.GaussianBlur(picture, (5, 5), 0), np.uint8)
    badge = cv2.imdecode(np.frombuffer(draw(CONTENT), np.uint8), cv2.IMREAD_COLOR)
    assert badge is not None
    badge = cv2.resize(badge, (side, side), interpolation=cv2.INTER_AREA)
    turned = cv2.getRotationMatrix2D((side / 2, side / 2), angle, 1.0)
    badge = cv2.warpAffine(badge, turned, (side, side), borderValue=(255, 255, 255))
    picture[60 : 60 + side, 90 : 90 + side] = badge
    return picture


@pytest.mark.parametrize(("side", "width", "angle"), [(160, 640, 0), (250, 640, 8), (500, 1920, 0)])
def test_a_badge_is_read_from_a_picture(side: int, width: int, angle: float) -> None:
    assert BadgeReader().read(held_up(side, width, angle)) == CONTENT


def test_nothing_is_read_where_nothing_is() -> None:
    reader = BadgeReader()
    assert reader.read(np.zeros((480, 640, 3), np.uint8)) == ""
    assert reader.read(held_up(160)[:60]) == ""
