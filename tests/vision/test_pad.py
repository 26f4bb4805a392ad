"""The liveness networks on pictures whose look is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gated.core.model import Box, Image
from gated.vision.detector import YuNetDetector
from gated.vision.manifest import PAD_V1SE, PAD_V2, YUNET
from gated.vision.pad import INPUT, MiniFasNets, surroundings
from tests.assets import require_assets


def test_a_living_face_scores_high_and_a_gray_one_not_at_all() -> None:
    assets = require_assets("default", "demo", "pad")
    nets = MiniFasNets(assets.read(PAD_V2), assets.read(PAD_V1SE))
    image = np.asarray(cv2.imread(str(assets.path("obama.jpg"))), np.uint8)
    (face,) = YuNetDetector(assets.read(YUNET), 320).detect(image)
    score = nets.score(image, face)
    assert score is not None
    assert score > 0.5
    gray = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))
    assert nets.score(np.asarray(gray, np.uint8), face) is None


@pytest.mark.parametrize(
    ("box", "left", "top", "side"),
    [
        (Box(400, 300, 100, 100), 315, 215, 270),  # centred on the face
        (Box(0, 0, 100, 100), 0, 0, 270),  # shifted to stay inside
        (Box(900, 700, 100, 100), 730, 530, 270),
        (Box(200, 100, 600, 600), 100, 0, 800),  # as much as there is
    ],
)
def test_the_crop_shows_the_surroundings(box: Box, left: int, top: int, side: int) -> None:
    rows, columns = np.mgrid[0:800, 0:1000]
    image: Image = np.stack([columns // 4, rows // 4, 0 * rows], axis=2).astype(np.uint8)
    crop = surroundings(image, box, 2.7).astype(float) * 4
    assert crop.shape == (INPUT, INPUT, 3)
    step = side / INPUT
    for channel, start in ((0, left), (1, top)):
        assert crop[..., channel].min() == pytest.approx(start + step / 2, abs=8)
        assert crop[..., channel].max() == pytest.approx(start + side - step / 2, abs=8)
