"""Two cameras side by side, of recordings: who is living is in the picture of both."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from gated.config import Settings
from gated.core.values import Image
from gated.devices.demo_scene import walk_ups
from gated.enrollment.models import VisionKit
from gated.vision.infra_red import SCREEN, living
from tests.assets import require_assets
from tests.e2e.process import Process, demo_config

pytestmark = pytest.mark.long


def record(path: Path, pictures: list[Image]) -> None:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (640, 480))
    for picture in pictures:
        video.write(picture)
    video.release()


def config_of(folder: Path, second: str) -> Path:
    """A demo whose second camera sees people, screens, or nothing."""
    require_assets("default", "demo", "pad")
    config = demo_config(folder)
    text = config.read_text().replace('level: "off"', f"level: normal, second_camera: {second}")
    config.write_text(text.replace("source: demo", f"source: {folder / 'first.avi'}"))
    scene = list(walk_ups(VisionKit(Settings()).demo_portraits(), (640, 480), 10.0))
    record(folder / "first.avi", scene)
    record(folder / "people.avi", [living(picture) for picture in scene])
    dark = [living(picture) for picture in scene]
    for picture in dark:
        picture[40:440, 120:520] = SCREEN
    record(folder / "screen.avi", dark)
    return config


def test_who_is_in_both_pictures_is_let_in(tmp_path: Path) -> None:
    second = f"{{driver: replay, source: {tmp_path / 'people.avi'}, fps: 10}}"
    with Process("--config", config_of(tmp_path, second)) as gate:
        gate.wait_for("GRANTED", "Barack Obama", "relay", seconds=120)
        assert gate.end() == 0


def test_a_screen_is_an_attack(tmp_path: Path) -> None:
    second = f"{{driver: replay, source: {tmp_path / 'screen.avi'}, fps: 10}}"
    with Process("--config", config_of(tmp_path, second)) as gate:
        gate.wait_for("DENIED", "spoof", seconds=120)
        assert gate.end() == 0
    assert not any("GRANTED" in line for line in gate.lines)


def test_a_picture_with_colour_lets_nobody_in(tmp_path: Path) -> None:
    second = f"{{driver: replay, source: {tmp_path / 'first.avi'}, fps: 10}}"
    with Process("--config", config_of(tmp_path, second)) as gate:
        gate.wait_for("DENIED", "liveness_undecided", seconds=120)
        assert gate.end() == 0
    assert not any("GRANTED" in line for line in gate.lines)
