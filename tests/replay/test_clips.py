"""Real people walking up to a camera, through the shipped program: who is granted, who never."""

import json
from pathlib import Path

import cv2
import pytest

from tests.assets import require_assets, require_data
from tests.e2e.process import demo_config, gated

WOMAN = "intel_head-pose-face-detection-female.mp4"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    require_assets("default")
    require_data("video")
    return demo_config(tmp_path)


def frame_of(clip: Path, number: int, photo: Path) -> Path:
    video = cv2.VideoCapture(str(clip))
    for _ in range(number + 1):
        ok, image = video.read()
        assert ok
    assert cv2.imwrite(str(photo), image)
    return photo


def woman(number: int, folder: Path) -> Path:
    return frame_of(require_data("video", "approach", WOMAN), number, folder / "woman.png")


def enroll(config: Path, code: str, photo: Path) -> None:
    result = gated("enroll", code, photo, "--config", config)
    assert result.returncode == 0, result.stderr


def replay(config: Path, clip: Path) -> list[dict[str, object]]:
    result = gated("replay", clip, "--json", "--config", config)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def granted(rows: list[dict[str, object]]) -> set[str]:
    people = [r["person"] for r in rows if r["decision"] == "granted"]
    return {p["personnel_code"] for p in people if isinstance(p, dict)}


@pytest.mark.parametrize("number", [10, pytest.param(19, marks=pytest.mark.long)])
def test_the_woman_is_granted_and_nobody_else(config: Path, tmp_path: Path, number: int) -> None:
    enroll(config, "W1", woman(number, tmp_path))
    for name in ("head-pose-face-detection-female-and-male", "face-demographics-walking-and-pause"):
        rows = replay(config, require_data("video", "approach", f"intel_{name}.mp4"))
        assert granted(rows) == {"W1"}, name
        keys = {"t", "decision", "reason", "person", "confidence", "frames", "pad"}
        assert all(set(row) == keys for row in rows)


def test_nothing_is_granted_in_the_negative_clips(config: Path, tmp_path: Path) -> None:
    enroll(config, "W1", woman(10, tmp_path))
    for clip in sorted(require_data("video", "negative").iterdir()):
        assert granted(replay(config, clip)) == set(), clip.name


def test_of_two_enrolled_men_only_the_one_who_appears_is_granted(config: Path) -> None:
    folder = require_data("video", "identity", "hamilton")
    enroll(config, "M1", folder / "enrol" / "lin-manuel-miranda.png")
    enroll(config, "L1", folder / "enrol" / "alex-lacamoire.png")
    assert granted(replay(config, folder / "short_hamilton_clip.mp4")) == {"M1"}
