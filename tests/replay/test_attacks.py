"""The same people live and replayed from a phone, through the shipped program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.assets import require_assets, require_data
from tests.e2e.process import demo_config
from tests.replay.test_clips import enroll, frame_of, granted, replay, woman

pytestmark = pytest.mark.long

PEOPLE = {"A1": "apfol", "L1": "lestari", "W1": "wolf"}


@pytest.fixture(params=["normal", "strict"])
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    require_assets("default", "pad")
    require_data("video")
    file = demo_config(tmp_path)
    file.write_text(file.read_text().replace('level: "off"', f"level: {request.param}"))
    return file


def clip(who: str, kind: str) -> Path:
    (found,) = require_data("video", "spoof_pairs").glob(f"{PEOPLE[who]}_{kind}.*")
    return found


def test_replays_are_refused_and_their_living_originals_let_in(
    config: Path, tmp_path: Path
) -> None:
    for who in PEOPLE:
        enroll(config, who, frame_of(clip(who, "real"), 1, tmp_path / f"{who}.png"))
    for who in PEOPLE:
        attack = replay(config, clip(who, "replay"))
        assert granted(attack) == set()
        assert "spoof" in {row["reason"] for row in attack}
        live = replay(config, clip(who, "real"))
        assert granted(live) == {who}
        assert all(isinstance(row["pad"], float) for row in (*attack, *live))


def test_a_living_woman_is_let_in_from_afar(config: Path, tmp_path: Path) -> None:
    enroll(config, "W1", woman(10, tmp_path))
    name = "intel_face-demographics-walking-and-pause.mp4"
    assert granted(replay(config, require_data("video", "approach", name))) == {"W1"}


def test_nothing_is_granted_in_the_negative_clips(config: Path, tmp_path: Path) -> None:
    enroll(config, "W1", woman(10, tmp_path))
    for negative in sorted(require_data("video", "negative").iterdir()):
        assert granted(replay(config, negative)) == set(), negative.name
