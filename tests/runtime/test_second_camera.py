"""The loop of a second camera: pictures of the same moment, and what happens without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from gated.config import Settings
from gated.core.messages import Attention, CameraEvent, Observation
from gated.core.values import CameraEventKind, Image, PadReading, TrackedFace
from gated.devices.clock import SystemClock
from gated.devices.drivers import check_options
from gated.devices.simulated import SimulatedCamera
from gated.devices.supervised import SupervisedCamera
from gated.errors import ConfigError
from gated.link.loop import end
from gated.ports import Frame
from gated.runtime.second_camera import TOGETHER_S, SecondCamera
from tests.core.scenes import ANN, face

LIT = [np.full((48, 64, 3), shade, np.uint8) for shade in (70, 90, 170)]
UNLIT = [np.full((48, 64, 3), shade, np.uint8) for shade in (2, 3)]


@dataclass
class Beside:
    second: SecondCamera
    camera: SimulatedCamera
    clock: SystemClock
    events: list[CameraEventKind] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    given: list[Image | None] = field(default_factory=list)


@contextmanager
def beside(pictures: list[Image]) -> Iterator[Beside]:
    clock = SystemClock()
    camera = SimulatedCamera(pictures, clock)

    def confirm(
        reading: PadReading, seen: TrackedFace, shape: tuple[int, int], second: Image | None
    ) -> PadReading:
        here.given.append(second)
        return replace(reading, live=None if second is None else reading.live)

    def noted(event: CameraEvent) -> None:
        here.events.append(event.kind)

    supervised = SupervisedCamera(camera, clock, noted, frozen_after_s=10, watch_view=False)
    second = SecondCamera(supervised, confirm, lambda name, e: here.crashes.append(f"{name}: {e}"))
    supervised.heartbeat = second.beat
    here = Beside(second, camera, clock)
    second.start()
    try:
        yield here
    finally:
        supervised.stop()
        end(second)
        assert not second.is_alive()
        assert here.crashes == []


def eventually(condition: Callable[[], object], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return bool(condition())


def analysed(here: Beside, *faces: TrackedFace) -> tuple[TrackedFace, ...]:
    def analyse(frame: Frame, attention: Attention) -> Observation:
        return Observation(frame.number, frame.captured_at, 64, 48, faces)

    frame = Frame(LIT[0], here.clock.now().mono, 1)
    return here.second.tapped(analyse)(frame, Attention()).faces


LIVING = replace(face({ANN: 0.9}), pad=PadReading(0.9))
UNREAD = replace(LIVING, pad=None)


def test_a_score_is_confirmed_in_the_picture_of_the_same_moment() -> None:
    with beside(LIT) as here:
        assert eventually(lambda: here.second.recent.at(here.clock.now().mono) is not None)
        unread, read = analysed(here, UNREAD, LIVING)
        assert (unread.pad, read.pad) == (None, PadReading(0.9))
        assert len(here.given) == 1, "only faces with a score are looked for"
        assert here.second.recent.at(here.clock.now().mono + 10 * TOGETHER_S) is None


def test_of_frames_without_a_score_nothing_is_asked() -> None:
    with beside(LIT) as here:
        assert analysed(here, UNREAD) == (UNREAD,)
        assert analysed(here) == ()
        assert here.given == []


def test_while_it_is_lost_nothing_is_known_and_it_comes_back_by_itself() -> None:
    with beside(LIT) as here:
        assert eventually(lambda: here.events == [CameraEventKind.OPENED])
        here.camera.disappear()
        assert eventually(lambda: CameraEventKind.LOST in here.events)
        assert eventually(lambda: here.second.recent.at(here.clock.now().mono) is None)
        (undecided,) = analysed(here, LIVING)
        assert undecided.pad == PadReading(None)
        here.camera.come_back()
        assert eventually(lambda: here.events[-1] is CameraEventKind.OPENED)
        assert eventually(lambda: here.second.recent.at(here.clock.now().mono) is not None)


def test_a_picture_without_its_lamp_is_none() -> None:
    with beside(UNLIT) as here:
        assert eventually(lambda: here.second.frames > 3)
        (undecided,) = analysed(here, LIVING)
        assert undecided.pad == PadReading(None)


def test_its_options_are_checked_as_those_of_the_first() -> None:
    settings = Settings.model_validate(
        {"liveness": {"second_camera": {"driver": "v4l2", "options": {"colour": "none"}}}}
    )
    with pytest.raises(ConfigError, match=r"liveness\.second_camera\.options"):
        check_options(settings)
