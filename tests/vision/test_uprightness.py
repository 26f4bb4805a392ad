"""A camera that hangs the wrong way up: faces are found in a turned copy only."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from gated.config import CameraSettings, VisionSettings, Zone
from gated.core.messages import Attention
from gated.core.tracking import Tracker
from gated.core.values import Image
from gated.devices.turning import turned
from gated.ports import Frame
from gated.vision.analyzer import Analyzer
from gated.vision.decoding import decode
from gated.vision.factory import build_models
from gated.vision.uprightness import HITS, SURE, setting_for, turn_that_shows_faces
from tests.assets import require_assets

TURNED: list[tuple[Any, bool]] = [(r, m) for r in (0, 90, 180, 270) for m in (False, True)]


@pytest.fixture(scope="module")
def kit() -> tuple[Any, Image]:
    """Models, and a portrait in a frame."""
    store = require_assets("default", "demo")
    image = decode(store.read("obama.jpg"))
    return build_models(VisionSettings(), store), np.asarray(
        cv2.resize(image, (480, 600)), np.uint8
    )


def moving(image: Image, n: int) -> Image:
    """The same with something else that has changed."""
    light = np.random.default_rng(n).choice((-24, -12, 12, 24))
    return np.asarray(np.clip(image.astype(np.int16) + light, 0, 255), np.uint8)


@pytest.mark.parametrize(("rotate", "mirror"), TURNED)
def test_what_the_hint_says_mends_it(kit: tuple[Any, Image], rotate: Any, mirror: bool) -> None:
    """Whatever is set now, and however the camera hangs."""
    models, upright = kit
    now = CameraSettings(source="demo", rotate=rotate, mirror=mirror)
    for hangs in (90, 180, 270):
        sensor = turned(CameraSettings(source="demo", rotate=hangs))(upright)
        shown = turned(now)(sensor)
        turn = turn_that_shows_faces(models.detector, shown)
        if turn is None:
            assert models.detector.detect(shown)
            continue
        mended = now.model_copy(update={"rotate": setting_for(turn, rotate, mirror)})
        assert models.detector.detect(turned(mended)(sensor))


def analyzed(models: Any, frames: int, image: Image) -> Analyzer:
    analyzer = Analyzer(models, Tracker(), VisionSettings(), Zone())
    for n in range(frames):
        analyzer.analyse(Frame(moving(image, n), 0.2 * n, n), Attention())
    return analyzer


def test_a_gate_that_looks_upside_down_finds_out(kit: tuple[Any, Image]) -> None:
    models, upright = kit
    upside_down = np.asarray(cv2.rotate(upright, cv2.ROTATE_180), np.uint8)
    frames = round(2 * HITS * 2.0 / 0.2)
    analyzer = analyzed(models, frames, upside_down)
    assert analyzer.turn == 180
    analyzer.analyse(Frame(upright, 0.2 * frames, frames), Attention())
    assert analyzer.turn is None, "an upright face settles it"


def test_a_gate_that_hangs_right_or_sees_nobody_says_nothing(kit: tuple[Any, Image]) -> None:
    models, upright = kit
    assert analyzed(models, 40, upright).turn is None
    assert analyzed(models, 120, np.full((240, 320, 3), 90, np.uint8)).turn is None


def test_a_large_face_upside_down_is_told_before_somebody_is_refused(
    kit: tuple[Any, Image],
) -> None:
    """The detector finds large ones upside down nearly as surely as upright ones."""
    models, upright = kit
    (face,) = models.detector.detect(upright)
    (x, y), reach = face.box.centre, 0.75 * face.box.height
    left, top = max(0, round(x - reach)), max(0, round(y - reach))
    close = np.ascontiguousarray(upright[top : round(y + reach), left : round(x + reach)])
    upside_down = np.asarray(cv2.rotate(close, cv2.ROTATE_180), np.uint8)
    assert max(f.score for f in models.detector.detect(upside_down)) > SURE
    assert analyzed(models, 8, upside_down).turn == 180
    assert analyzed(models, 20, close).turn is None
