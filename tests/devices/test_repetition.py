from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from gated.core.values import Image
from gated.devices.loop_detection import REMEMBERED, REPEATED, LoopDetector

RANDOM = np.random.default_rng(1)


def living(frames: int) -> list[Image]:
    """A still scene with the noise of a sensor."""
    return [RANDOM.integers(100, 104, (120, 160, 3), np.uint8) for _ in range(frames)]


def told(detector: LoopDetector, frames: list[Image]) -> list[bool]:
    return [detector.repeats(frame) for frame in frames]


def test_a_loop_is_told_within_a_second_of_its_second_round_and_as_long_as_it_lasts() -> None:
    detector, loop = LoopDetector(), living(40)
    assert not any(told(detector, loop))
    second = told(detector, loop)
    assert second.index(True) == REPEATED - 1
    assert all(told(detector, loop * 2))
    assert not any(told(detector, living(40)))


def test_a_living_scene_and_one_that_stands_still_are_no_loop() -> None:
    detector = LoopDetector()
    (still,) = living(1)
    assert not any(told(detector, [*living(50), *[still] * 50, *living(50), *[still] * 50]))


def test_pictures_that_take_turns_are_no_loop() -> None:
    dark = living(2)
    assert not any(told(LoopDetector(), dark * 50))


@pytest.mark.parametrize("length", [1, 2, 8, 20, 30, 100])
def test_lamps_that_blink_where_there_is_no_noise_are_no_loop(length: int) -> None:
    dark = living(4)
    turns = [dark[turn % 4] for turn in range(60) for _ in range(length)]
    assert not any(told(LoopDetector(), turns))


def test_a_loop_in_which_nobody_moves_for_a_while_is_one() -> None:
    (still,) = living(1)
    loop = [*living(30), *[still] * 20, *living(10)]
    assert any(told(LoopDetector(), loop * 2))


def test_memory_is_bounded_however_long_the_camera_shows_new_pictures() -> None:
    detector, pictures = LoopDetector(remembered=10), living(2000)
    tracemalloc.start()
    try:
        told(detector, pictures[:100])
        begun = tracemalloc.get_traced_memory()[0]
        told(detector, pictures[100:])
        grown = tracemalloc.get_traced_memory()[0] - begun
    finally:
        tracemalloc.stop()
    # at least 36 bytes of each of 1,900 digests
    assert grown < 20_000
    assert len(detector._seen) == 10
    assert REMEMBERED * 100 < 1_000_000
