"""A camera that is never given up: outages, backoff, events."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gated.config import CameraSettings
from gated.core.model import CameraEvent, CameraEventKind
from gated.devices.cameras import open_camera
from gated.devices.clock import ManualClock, SystemClock
from gated.devices.simulated import SimulatedCamera
from gated.devices.supervised import FIRST_DELAY_S, LONGEST_DELAY_S, SupervisedCamera
from gated.errors import SourceError
from gated.ports import Camera, EndOfStream, Frame
from tests.devices.pictures import flat, video

OPENED, LOST, FROZEN = CameraEventKind.OPENED, CameraEventKind.LOST, CameraEventKind.FROZEN
FRAME_S = 0.1


class Bench:
    """A simulated camera under supervision, on a clock that moves with every frame and wait."""

    def __init__(
        self,
        frozen_after_s: float = 2.0,
        jitter: float = 1.0,
        camera: type[SimulatedCamera] = SimulatedCamera,
    ) -> None:
        self.clock = ManualClock()
        self.events: list[CameraEvent] = []
        self.delays: list[float] = []
        self.at_delay: dict[int, object] = {}
        self.camera = camera([flat(60)], self.clock)
        self.supervised = SupervisedCamera(
            self.camera,
            self.clock,
            self.events.append,
            frozen_after_s,
            wait=self._wait,
            jitter=lambda: jitter,
        )
        self.supervised.open()

    def _wait(self, seconds: float) -> bool:
        self.delays.append(seconds)
        self.clock.advance(seconds)
        action = self.at_delay.get(len(self.delays))
        if callable(action):
            action()
        return False

    def read(self, frames: int = 1) -> Frame:
        for _ in range(frames):
            self.clock.advance(FRAME_S)
            frame = self.supervised.read()
        return frame

    @property
    def kinds(self) -> list[CameraEventKind]:
        return [event.kind for event in self.events]


def test_a_healthy_camera_is_opened_once_and_told_once() -> None:
    bench = Bench()
    bench.read(200)
    assert bench.kinds == [OPENED]
    assert bench.camera.opened == 1
    assert bench.delays == []


def test_one_failure_is_an_outage_with_a_beginning_and_an_end() -> None:
    bench = Bench()
    bench.read(3)
    bench.camera.fail_next()
    bench.read(3)
    assert bench.kinds == [OPENED, LOST, OPENED]
    assert bench.events[1].detail == "the simulated camera failed"
    assert bench.camera.opened == 2
    assert bench.delays == [FIRST_DELAY_S]


def test_it_is_tried_for_ever_with_growing_pauses_and_told_once() -> None:
    bench = Bench()
    bench.camera.disappear()
    bench.at_delay[300] = bench.camera.come_back
    bench.read()
    assert bench.kinds == [LOST, OPENED]
    assert bench.delays[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_DELAY_S, LONGEST_DELAY_S]
    assert set(bench.delays[6:]) == {LONGEST_DELAY_S}


def test_jitter_spreads_the_attempts_of_many_gates() -> None:
    bench = Bench(jitter=0.0)
    bench.camera.fail_next()
    bench.read()
    assert bench.delays == [FIRST_DELAY_S / 2]


def test_a_camera_that_fails_again_and_again_is_not_hammered() -> None:
    bench = Bench()
    for _ in range(4):
        bench.camera.fail_next()
        bench.read()
    assert bench.delays == [0.5, 1.0, 2.0, 4.0]


def test_after_a_stable_time_the_first_pause_is_short_again() -> None:
    bench = Bench()
    for _ in range(2):
        bench.camera.fail_next()
        bench.read()
    bench.read(150)
    bench.camera.fail_next()
    bench.read()
    assert bench.delays == [0.5, 1.0, 0.5]


def test_a_frozen_picture_is_an_outage_and_is_withheld_until_it_changes() -> None:
    bench = Bench(frozen_after_s=2.0)
    before = bench.read(3)
    bench.camera.freeze()
    bench.at_delay[3] = bench.camera.thaw
    # time passes with every look at the frozen picture
    bench.supervised.heartbeat = lambda: bench.clock.advance(FRAME_S)
    frames = [bench.supervised.read() for _ in range(30)]
    assert bench.kinds == [OPENED, FROZEN, OPENED]
    assert bench.events[1].detail == "the same picture for 2 s"
    assert len(bench.delays) == 3
    withheld_from = next(i for i, f in enumerate(frames) if f.captured_at - before.captured_at > 2)
    assert not np.array_equal(frames[withheld_from].image, before.image)
    assert len({f.image.tobytes() for f in frames[withheld_from:]}) == len(frames) - withheld_from


class OnePixel(SimulatedCamera):
    """Its pictures differ in one pixel, which is not among those that are compared first."""

    def read(self) -> Frame:
        frame = super().read()
        image = flat(60)
        image[7, 9] = frame.number % 256
        return replace(frame, image=image)


def test_a_picture_that_differs_in_one_pixel_is_not_frozen() -> None:
    clock = ManualClock()
    events: list[CameraEvent] = []
    supervised = SupervisedCamera(OnePixel([flat(60)], clock), clock, events.append, 0.5)
    supervised.open()
    for _ in range(50):
        clock.advance(FRAME_S)
        supervised.read()
    assert [event.kind for event in events] == [OPENED]


def test_a_recording_may_stand_still(tmp_path: Path) -> None:
    clock = ManualClock()
    assert cv2.imwrite(str(tmp_path / "1.png"), flat(60))
    settings = CameraSettings(driver="replay", source=tmp_path, realtime=False)
    events: list[CameraEvent] = []
    supervised = SupervisedCamera(open_camera(settings, clock), clock, events.append, 0.5)
    supervised.open()
    for _ in range(20):
        clock.advance(1.0)
        supervised.read()
    assert [event.kind for event in events] == [OPENED]


def test_the_end_of_a_recording_passes_through(tmp_path: Path) -> None:
    clock = SystemClock()
    source = video(tmp_path / "c.avi")
    settings = CameraSettings(driver="replay", source=source, realtime=False, loop=False)
    supervised = SupervisedCamera(open_camera(settings, clock), clock, lambda event: None, 10.0)
    supervised.open()
    for _ in range(6):
        supervised.read()
    with pytest.raises(EndOfStream):
        supervised.read()


class Unreadable:
    """A source that is wrong, not a device that failed."""

    name = "unreadable"

    def open(self) -> None:
        raise SourceError("not a video")

    def read(self) -> Frame:
        raise AssertionError("never opened")

    def close(self) -> None:
        pass


def test_what_no_reopening_can_mend_passes_through() -> None:
    camera: Camera = Unreadable()
    supervised = SupervisedCamera(camera, SystemClock(), lambda event: None, 10.0)
    supervised.open()
    with pytest.raises(SourceError):
        supervised.read()


def test_stop_ends_a_long_wait_at_once() -> None:
    camera = SimulatedCamera([flat(60)], SystemClock())
    camera.disappear()
    lost = threading.Event()
    supervised = SupervisedCamera(
        camera, SystemClock(), lambda event: lost.set(), 10.0, jitter=lambda: 240.0
    )
    supervised.open()

    def read() -> None:
        with pytest.raises(EndOfStream):
            supervised.read()

    reader = threading.Thread(target=read)
    reader.start()
    assert lost.wait(5.0)
    supervised.stop()
    reader.join(10.0)
    assert not reader.is_alive(), "the wait is of a minute"


class SlowToOpen(SimulatedCamera):
    """Takes ten seconds to find out that it is not there."""

    def open(self) -> None:
        assert isinstance(self._clock, ManualClock)
        self._clock.advance(10.0)
        super().open()


def test_a_heartbeat_comes_before_every_long_step_of_an_outage() -> None:
    bench = Bench(camera=SlowToOpen)
    beats: list[float] = []
    bench.supervised.heartbeat = lambda: beats.append(bench.clock.now().mono)
    bench.camera.disappear()
    bench.at_delay[20] = bench.camera.come_back
    bench.read()
    assert sum(np.diff(beats)) > 600
    assert max(np.diff(beats)) <= LONGEST_DELAY_S
