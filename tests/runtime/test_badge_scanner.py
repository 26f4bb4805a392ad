"""Badges before the camera: each shown once, however long it stays."""

from __future__ import annotations

import numpy as np

from gated.core.messages import Attention, Observation
from gated.core.values import Image
from gated.link.loop import end
from gated.link.running_gate import FrameTap
from gated.ports import Frame
from gated.runtime.badge_scanner import GONE_S, BadgeScanner
from tests.devices.waiting import eventually


def crashed(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


def scanner(tap: FrameTap, shown: list[str]) -> BadgeScanner:
    def read(image: Image) -> list[str]:
        return [f"badge {image.max()}"] if image.any() else []

    return BadgeScanner(tap.subscribe, read, shown.append, 0.01, crashed)


def test_a_badge_that_stays_is_shown_once_and_one_that_comes_back_again() -> None:
    shown: list[str] = []
    scan = scanner(FrameTap(), shown)
    for at, contents in ((0.0, "a"), (1.0, ""), (2.5, "a"), (5.0, "a"), (5.5, "b"), (6.0, "a")):
        scan.saw(contents, at)
    assert shown == ["a", "b"]
    scan.saw("a", 6.0 + GONE_S)
    assert shown == ["a", "b", "a"]


def test_a_badge_before_a_poster_with_a_code_is_shown() -> None:
    shown: list[str] = []
    scan = scanner(FrameTap(), shown)
    scan.saw(["poster"], 0.0)
    scan.saw(["poster", "badge"], 0.1)
    assert shown == ["poster", "badge"]


def test_frames_of_the_gate_are_searched_beside_its_work() -> None:
    shown: list[str] = []
    tap = FrameTap()

    def analyse(frame: Frame, attention: Attention) -> Observation:
        return Observation(frame.number, frame.captured_at, 4, 4)

    analysing = tap.tapped(analyse)
    scan = scanner(tap, shown)
    scan.start()
    try:
        number = 0

        def sees() -> bool:
            nonlocal number
            number += 1
            analysing(Frame(np.full((4, 4, 3), 7, np.uint8), 0.0, number), Attention())
            return bool(shown)

        assert eventually(sees)
    finally:
        end(scan)
    assert shown == ["badge 7"]
    assert tap._subscribers == ()
