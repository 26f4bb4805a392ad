"""The liveness networks on pictures whose look is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gated.core.pad import QUIET_NOISE
from gated.core.values import Box, Image
from gated.vision.degrading import Change, correlated_noise, white_noise
from gated.vision.detector import YuNetDetector
from gated.vision.manifest import PAD_V1SE, PAD_V2, YUNET
from gated.vision.pad import INPUT, MiniFasNets, noise_of, smoothed, surroundings
from tests.assets import require_assets

CORRELATED = correlated_noise(8)


def test_a_living_face_scores_high_and_a_gray_one_not_at_all() -> None:
    assets = require_assets("default", "demo", "pad")
    nets = MiniFasNets(assets.read(PAD_V2), assets.read(PAD_V1SE))
    image = np.asarray(cv2.imread(str(assets.path("obama.jpg"))), np.uint8)
    (face,) = YuNetDetector(assets.read(YUNET), 320).detect(image)
    reading = nets.read(image, face)
    assert reading.live is not None
    assert reading.live > 0.5
    assert not reading.grey
    gray = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))
    without_colour = nets.read(np.asarray(gray, np.uint8), face)
    assert (without_colour.live, without_colour.grey) == (None, True)


def test_the_noise_of_a_large_face_hardly_reaches_the_networks() -> None:
    noise = np.random.default_rng(1).normal(0, 20, (600, 600, 3))
    picture = np.asarray(np.clip(128 + noise, 0, 255), np.uint8)
    crop = surroundings(picture, Box(200, 200, 200, 200), 2.7)
    assert crop.std() < 20 / 5
    assert noise_of(crop) == pytest.approx(crop.std(axis=(0, 1)).mean() * 0.67, rel=0.35)


def test_a_small_face_is_not_blurred_by_averaging() -> None:
    stripes = np.zeros((150, 150, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 200
    crop = surroundings(stripes, Box(50, 50, 50, 50), 2.7)
    assert crop.std() > 60


@pytest.mark.parametrize("side", [151, 250, 333, 479, 719])
def test_the_quick_way_to_average_pixels_gives_their_mean(side: int) -> None:
    """Scores of clean clips are then the same within 0.014, on average within 0.001."""
    rng = np.random.default_rng(3)
    rough = rng.uniform(0, 255, (5, 5, 3)).astype(np.float32)
    picture = cv2.resize(rough, (720, 720), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    face = (side + 0.5) / 2.7
    crop = surroundings(picture, Box(0, 0, face, face), 2.7)
    part = picture[:side, :side]
    way = cv2.INTER_AREA if side >= 2 * INPUT else cv2.INTER_LINEAR
    direct = cv2.resize(part, (INPUT, INPUT), interpolation=way)
    assert np.abs(crop.astype(float) - direct).mean() < 1.5


@pytest.mark.parametrize("level", [0.0, 1.0, 4.0])
def test_noise_is_measured_and_edges_are_not(level: float) -> None:
    picture = np.full((80, 80, 3), 100.0)
    picture[:, 30:50] = 180.0
    picture += level * np.random.default_rng(2).standard_normal((80, 80, 1))
    found = noise_of(np.asarray(np.rint(picture), np.uint8))
    assert found == pytest.approx(level, abs=0.3)


@pytest.mark.parametrize("shrinking", [1.5, 2.5, 5.0])
@pytest.mark.parametrize("change", [white_noise(8), CORRELATED])
def test_noise_that_neighbours_share_is_measured_in_faces_of_any_size(
    change: Change, shrinking: float
) -> None:
    """Where neighbouring pixels resemble each other brightness alone shows too little of it."""
    side = round(INPUT * shrinking)
    slope = np.linspace(60, 180, side)[None, :, None] + np.array([20.0, 0.0, -20.0])
    picture = np.asarray(np.broadcast_to(slope, (side, side, 3)), np.uint8)
    face = Box(0, 0, side / 2.7, side / 2.7)
    assert noise_of(surroundings(picture, face, 2.7)) < 0.6
    noisy = change(picture, np.random.default_rng(4))
    left = 8.0 / (1.0 if change is CORRELATED else shrinking)
    assert noise_of(surroundings(noisy, face, 2.7)) > min(QUIET_NOISE, left / 2)


def test_noise_is_taken_away_and_edges_stay() -> None:
    picture = np.full((80, 80, 3), 90, np.uint8)
    picture[:, 40:] = 170
    noisy = correlated_noise(5)(picture, np.random.default_rng(4))
    still = smoothed(noisy)
    assert still[:, :36].std() < 0.7 * noisy[:, :36].std()
    assert np.abs(np.diff(still.mean(axis=(0, 2)))).max() > 60


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
