from __future__ import annotations

import pytest

from gated.core.messages import Condition
from gated.live.strain import BEGINS_S, ENDS_S, Load, StrainWatch

FPS = 15.0


def told(share: list[float], waits: list[float] | None = None, fps: float = FPS) -> list[Condition]:
    """What is told when of each five seconds' frames that share is analysed."""
    watch, found = StrainWatch(), []
    delivered = analysed = 0.0
    for number, part in enumerate(share):
        load = Load(round(delivered), round(analysed), waits[number] if waits else 0.0)
        found += list(watch.changes(5.0 * number, load))
        delivered += 5 * fps
        analysed += 5 * fps * part
    return found


def test_a_camera_that_is_kept_up_with_is_nothing_to_tell() -> None:
    assert told([1.0] * 30) == []
    assert told([0.33] * 30) == [], "a small machine looks at every third frame"


def test_a_starved_camera_is_told_once_and_over_when_all_is_well_for_longer() -> None:
    found = told([1.0] * 4 + [0.1] * 10 + [1.0] * 20)
    assert [(c.name, c.present, c.severity) for c in found] == [
        ("vision_starved", True, "alarm"),
        ("vision_starved", False, "alarm"),
    ]
    assert "frames in" in found[0].detail


def test_what_comes_and_goes_is_one_trouble() -> None:
    found = told([0.0] * 6 + ([1.0] * 3 + [0.0] * 3) * 6)
    assert [c.present for c in found] == [True]


def test_a_moment_is_no_trouble() -> None:
    assert told([1.0] * 3 + [0.0] + [1.0] * 3) == []
    assert BEGINS_S < ENDS_S


@pytest.mark.parametrize("fps", [0.0, 1.0])
def test_a_camera_that_delivers_little_or_nothing_starves_nobody(fps: float) -> None:
    assert told([0.0] * 20, fps=fps) == []


def test_a_late_controller_is_told_and_over() -> None:
    waits = [0.0] * 3 + [0.8] * 5 + [0.3] * 5 + [0.01] * 10
    found = told([1.0] * len(waits), waits)
    assert [(c.name, c.present) for c in found] == [
        ("controller_late", True),
        ("controller_late", False),
    ]


def test_faces_that_take_long_are_told_though_the_empty_scene_is_cheap() -> None:
    """People come and go; between them every frame is looked at."""
    watch, found = StrainWatch(), []
    slow = [1.5, None, None, 1.2, None]
    looks = [0.1, None, *slow * 6, 0.2, *[None] * 3, 0.1, *[None] * 8]
    for number, looked_s in enumerate(looks):
        frames = round(5 * FPS * number)
        found += list(watch.changes(5.0 * number, Load(frames, frames, 0.0, looked_s)))
    assert [(c.name, c.present) for c in found] == [
        ("vision_starved", True),
        ("vision_starved", False),
    ]
    assert "1.5 s for one with a face" in found[0].detail


def test_one_slow_look_is_no_trouble_and_is_forgotten() -> None:
    watch = StrainWatch()
    looks = [1.5, *[None] * 20, 1.5, 0.1, 1.5, *[None] * 20]
    found = [
        list(watch.changes(5.0 * n, Load(75 * n, 75 * n, 0.0, took)))
        for n, took in enumerate(looks)
    ]
    assert not any(found)
