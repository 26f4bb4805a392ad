"""The replay driver: videos, folders and their time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gated.config import CameraSettings
from gated.devices.cameras import open_camera
from gated.devices.clock import ManualClock, SystemClock
from gated.errors import ConfigError, SourceError
from gated.ports import Camera, EndOfStream, Frame
from tests.devices.pictures import FPS, HEIGHT, LEVELS, WIDTH, folder, video


def replay(source: Path, **changes: Any) -> Camera:
    settings = {"realtime": False, "loop": False} | changes
    camera = open_camera(
        CameraSettings(driver="replay", source=source, **settings), ManualClock(mono=77.0)
    )
    camera.open()
    return camera


def play(camera: Camera, at_most: int = 100) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < at_most:
        try:
            frames.append(camera.read())
        except EndOfStream:
            break
    return frames


def shades(frames: list[Frame]) -> list[int]:
    return [min(LEVELS, key=lambda v: abs(v - int(f.image.mean()))) for f in frames]


@pytest.mark.parametrize("make", [video, folder])
def test_every_picture_comes_once_and_in_order(tmp_path: Path, make: Any) -> None:
    camera = replay(make(tmp_path / "clip.avi"))
    assert shades(play(camera)) == list(LEVELS)
    with pytest.raises(EndOfStream):
        camera.read()


@pytest.mark.parametrize("make", [video, folder])
def test_a_loop_begins_again(tmp_path: Path, make: Any) -> None:
    camera = replay(make(tmp_path / "clip.avi"), loop=True)
    frames = play(camera, at_most=2 * len(LEVELS) + 1)
    assert shades(frames) == [*LEVELS, *LEVELS, LEVELS[0]]
    assert [f.number for f in frames] == list(range(frames[0].number, frames[0].number + 13))


def test_full_speed_keeps_the_time_of_the_recording(tmp_path: Path) -> None:
    frames = play(replay(video(tmp_path / "clip.avi"), loop=True), at_most=13)
    steps = np.diff([f.captured_at for f in frames])
    assert steps == pytest.approx([1 / FPS] * 12)


def test_a_folder_has_the_rate_of_the_settings(tmp_path: Path) -> None:
    frames = play(replay(folder(tmp_path / "f"), fps=4.0))
    assert np.diff([f.captured_at for f in frames]) == pytest.approx([0.25] * 5)


def test_real_time_takes_its_time_and_stamps_with_the_clock(tmp_path: Path) -> None:
    settings = CameraSettings(driver="replay", source=video(tmp_path / "c.avi"), loop=False)
    clock = SystemClock()
    camera = open_camera(settings, clock)
    camera.open()
    began = clock.now().mono
    frames = play(camera)
    assert clock.now().mono - began >= (len(LEVELS) - 1) / FPS
    assert all(began <= f.captured_at <= clock.now().mono for f in frames)


def test_a_reader_that_was_away_is_not_served_in_a_rush(tmp_path: Path) -> None:
    settings = CameraSettings(driver="replay", source=video(tmp_path / "c.avi", fps=50.0))
    camera = open_camera(settings, SystemClock())
    camera.open()
    camera.read()
    time.sleep(1.6)
    began = time.monotonic()
    for _ in range(70):
        camera.read()
    assert time.monotonic() - began > 0.3, "70 frames at 50/s are 1.4 s, of which 1 s may be late"


def test_rotation_and_mirror(tmp_path: Path) -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:20, :20] = 255
    assert cv2.imwrite(str(tmp_path / "1.png"), image)
    corners = {
        (0, False): (0, 0),
        (90, False): (0, -1),
        (180, False): (-1, -1),
        (270, False): (-1, 0),
        (0, True): (0, -1),
        (90, True): (0, 0),
    }
    for (rotate, mirror), (y, x) in corners.items():
        turned = replay(tmp_path, rotate=rotate, mirror=mirror).read().image
        assert turned.shape[:2] == ((WIDTH, HEIGHT) if rotate in (90, 270) else (HEIGHT, WIDTH))
        bright = {(a, b) for a in (0, -1) for b in (0, -1) if turned[a, b].min() == 255}
        assert bright == {(y, x)}, (rotate, mirror)


def test_pictures_come_in_the_order_that_people_count(tmp_path: Path) -> None:
    for number, level in ((2, 20), (10, 60), (1, 100)):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((40, 40, 3), level, np.uint8))
    assert shades(play(replay(tmp_path))) == [100, 20, 60]


def unreadable(tmp_path: Path) -> dict[str, Path]:
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(1).bytes(40_000))
    empty = tmp_path / "empty.avi"
    empty.touch()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(video(tmp_path / "whole.avi").read_bytes()[:200])
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "readme.txt").write_text("no picture")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "1.jpg").write_bytes(b"not a picture")
    return {
        "noise": noise,
        "empty": empty,
        "cut": cut,
        "missing": tmp_path / "missing.mp4",
        "bare": bare,
        "broken": broken,
    }


@pytest.mark.parametrize("kind", ["noise", "empty", "cut", "missing", "bare", "broken"])
def test_what_cannot_be_played_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    path = unreadable(tmp_path)[kind]
    with pytest.raises(SourceError) as caught:
        replay(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_libraries_add_nothing_to_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gated.devices.recorded import recording\n"
        "from gated.errors import SourceError\n"
        "for path in sys.argv[1:]:\n"
        "    try: recording(Path(path), 15.0)\n"
        "    except SourceError as error: print(error)\n"
    )
    paths = [str(path) for path in unreadable(tmp_path).values()]
    run = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert run.stderr == ""
    assert len(run.stdout.splitlines()) == len(paths)


def test_a_damaged_picture_among_good_ones_is_left_out(tmp_path: Path) -> None:
    folder(tmp_path / "f")
    (tmp_path / "f" / "10.png").write_bytes(b"damaged")
    assert len(play(replay(tmp_path / "f"))) == len(LEVELS) - 1


def test_no_camera_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigError):
        open_camera(CameraSettings(driver="none"), ManualClock())
