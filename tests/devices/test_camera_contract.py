"""What every camera does, over the recorded, the made-up and the simulated ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gated.config import CameraSettings
from gated.devices.cameras import open_camera
from gated.devices.clock import ManualClock
from gated.devices.simulated import SimulatedCamera
from gated.ports import Camera
from tests.devices.pictures import LEVELS, flat, folder, portrait, video

Maker = Callable[[Path], Camera]


def replay(source: Any) -> Camera:
    settings = CameraSettings(
        driver="replay", source=source, realtime=False, loop=True, width=320, height=240
    )
    return open_camera(settings, ManualClock(), demo=[portrait()])


def a_video(tmp_path: Path) -> Camera:
    return replay(video(tmp_path / "clip.avi"))


def a_folder(tmp_path: Path) -> Camera:
    return replay(folder(tmp_path / "pictures"))


def the_demo(tmp_path: Path) -> Camera:
    return replay("demo")


def the_fake(tmp_path: Path) -> Camera:
    return SimulatedCamera([flat(level) for level in LEVELS], ManualClock())


@pytest.fixture(params=[a_video, a_folder, the_demo, the_fake], ids=lambda maker: maker.__name__)
def camera(request: pytest.FixtureRequest, tmp_path: Path) -> Camera:
    made: Camera = request.param(tmp_path)
    return made


def test_frames_are_bgr_numbered_and_in_order_of_time(camera: Camera) -> None:
    camera.open()
    frames = [camera.read() for _ in range(2 * len(LEVELS))]
    for frame in frames:
        assert frame.image.dtype == np.uint8
        assert frame.image.ndim == 3
        assert frame.image.shape[2] == 3
    assert len({frame.image.shape for frame in frames}) == 1
    assert [b.number - a.number for a, b in pairwise(frames)] == [1] * 11
    assert all(b.captured_at >= a.captured_at for a, b in pairwise(frames))
    camera.close()


def test_a_closed_camera_can_be_opened_again(camera: Camera) -> None:
    camera.open()
    first = camera.read()
    camera.close()
    camera.close()
    camera.open()
    again = camera.read()
    assert again.number > first.number, "numbers go on, so that no frame is taken for an old one"
    assert again.image.shape == first.image.shape
    camera.close()


def test_frames_stay_as_they_were_given(camera: Camera) -> None:
    camera.open()
    first = camera.read()
    before = first.image.copy()
    for _ in range(3):
        camera.read()
    assert np.array_equal(first.image, before), "the next frame must not overwrite the last one"
    camera.close()


def test_it_has_a_name(camera: Camera) -> None:
    assert camera.name in {"camera", "simulated"}
