"""A camera that is never given up: outages, backoff, events."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gated.config import CameraSettings
from gated.core.messages import CameraEvent
from gated.core.values import CameraEventKind, Image
from gated.devices.cameras import open_camera
from gated.devices.clock import ManualClock, SystemClock
from gated.devices.simulated import SimulatedCamera
from gated.devices.supervised import FIRST_DELAY_S, LONGEST_DELAY_S, SupervisedCamera
from gated.errors import DeviceError, SourceError
from gated.link.loop import end
from gated.ports import Camera, EndOfStream, Frame
from gated.runtime.capture import Capture
from tests.devices.pictures import flat, video

OPENED, LOST, FROZEN = CameraEventKind.OPENED, CameraEventKind.LOST, CameraEventKind.FROZEN
DARK, CLEAR = CameraEventKind.DARK, CameraEventKind.CLEAR
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


class Scenes(SimulatedCamera):
    """Gives `picture` again and again, every `frame_s` seconds."""

    picture = flat(60)
    frame_s = 1 / 15

    def read(self) -> Frame:
        frame = super().read()
        assert isinstance(self._clock, ManualClock)
        self._clock.advance(self.frame_s)
        return replace(frame, image=self.picture.copy(), captured_at=self._clock.now().mono)


def scenes() -> tuple[Bench, Scenes]:
    bench = Bench(frozen_after_s=10.0, camera=Scenes)
    assert isinstance(bench.camera, Scenes)
    return bench, bench.camera


def look(bench: Bench, seconds: float) -> list[Frame]:
    """What is delivered within the time; the camera is read on meanwhile, delivered or not."""
    until, frames = bench.clock.now().mono + seconds, list[Frame]()

    def heartbeat() -> None:
        if bench.clock.now().mono >= until:
            bench.supervised.stop()

    bench.supervised.heartbeat = heartbeat
    bench.supervised.open()
    with contextlib.suppress(EndOfStream):
        while True:
            frames.append(bench.supervised.read())
    return frames


def lamp(level: int = 200) -> Image:
    """A dark picture with a lamp in it."""
    image = flat(0)
    image[50:70, 70:90] = level
    return image


@pytest.mark.parametrize(("level", "kind"), [(0, "dark"), (6, "dark"), (255, "glare")])
def test_a_picture_in_which_nothing_can_be_seen_is_no_outage(level: int, kind: str) -> None:
    bench, camera = scenes()
    camera.picture, camera.frame_s = flat(level), 0.5
    frames = look(bench, 3000.0)
    assert bench.kinds == [OPENED, CameraEventKind(kind)]
    assert camera.opened == 1, "it is read on"
    assert frames[-1].captured_at > bench.clock.now().mono - 1.0, "and handed on"


@pytest.mark.parametrize("dark_for", [11.0, 47.3, 123.4])
def test_the_first_picture_after_the_dark_is_seen_at_once(dark_for: float) -> None:
    bench, camera = scenes()
    camera.picture = flat(0)
    look(bench, dark_for)
    camera.picture = flat(90)
    began = bench.clock.now().mono
    seen = look(bench, 1.0)
    assert seen[0].image.max() == 90
    assert seen[0].captured_at - began < 0.1
    assert bench.kinds == [OPENED, DARK, CLEAR]
    assert bench.delays == []


def test_a_dark_picture_with_a_lamp_in_it_is_withheld_without_an_alarm() -> None:
    bench, camera = scenes()
    camera.picture = lamp()
    frames = look(bench, 600.0)
    assert bench.kinds == [OPENED, DARK]
    assert camera.opened == 1
    assert len(frames) < 15 * 12, "a face could be next to the lamp: the same one is seen once"
    camera.picture = lamp(201)
    assert look(bench, 0.5)


def test_a_lamp_that_blinks_in_the_dark_is_neither_frozen_nor_a_loop() -> None:
    for period in (0.5, 2.0, 9.0, 15.0):
        bench, camera = scenes()
        camera.frame_s = 0.1
        for turn in range(round(300.0 / period)):
            camera.picture = lamp(200 * (turn % 2))
            assert look(bench, period), "each change is seen"
        assert set(bench.kinds) <= {OPENED, DARK, CLEAR}
        assert camera.opened == 1
        assert len(bench.kinds) < 20, "five minutes fill no log"


def test_a_bright_picture_that_stands_still_is_frozen_and_read_on() -> None:
    bench, camera = scenes()
    camera.frame_s = 0.5
    look(bench, 3600.0)
    camera.frame_s = 0.05
    assert bench.kinds == [OPENED, FROZEN]
    assert 5 <= camera.opened <= 15, "now and then it is opened again, as a driver may be stuck"
    camera.picture = flat(61)
    began = bench.clock.now().mono
    assert look(bench, 1.0)[0].captured_at - began < 0.1
    assert bench.kinds == [OPENED, FROZEN, OPENED]
    assert bench.delays == []


def test_in_the_dark_a_stuck_driver_is_tried_anew_each_hour() -> None:
    bench, camera = scenes()
    camera.picture, camera.frame_s = flat(0), 2.0
    look(bench, 4 * 3600.0)
    assert bench.kinds == [OPENED, DARK]
    assert 3 <= camera.opened <= 5


def test_a_camera_that_was_lost_in_the_dark_is_back_in_the_dark() -> None:
    bench, camera = scenes()
    camera.picture = flat(0)
    look(bench, 30.0)
    camera.fail_next()
    look(bench, 30.0)
    assert bench.kinds == [OPENED, DARK, LOST, OPENED, DARK]


def test_a_loop_is_read_on_and_its_end_seen_at_once() -> None:
    clock, events = ManualClock(), list[CameraEvent]()
    noise = np.random.default_rng(1).integers(80, 90, (80, 120, 160, 3), np.uint8)
    played = iter([*noise[:40], *noise[:40], *noise[:40], *noise[40:]])

    class Played(SimulatedCamera):
        def read(self) -> Frame:
            return replace(super().read(), image=next(played))

    camera = Played([flat(60)], clock)
    supervised = SupervisedCamera(camera, clock, events.append, 10.0, wait=lambda s: False)
    supervised.open()
    shown = [supervised.read().image for _ in range(40 + 14 + 40)]
    assert [e.kind for e in events] == [OPENED, CameraEventKind.LOOPED, OPENED]
    assert np.array_equal(shown[54], noise[40]), "the first other picture"


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


class NeverClosed(SimulatedCamera):
    """A camera whose library fails when it is closed."""

    def close(self) -> None:
        super().close()
        raise DeviceError("it cannot be closed")


def test_a_camera_that_cannot_be_closed_is_no_crash_of_a_gate_that_ends() -> None:
    bench = Bench(camera=NeverClosed)
    crashes: list[BaseException] = []
    taken = threading.Event()

    class Sink:
        def put(self, frame: Frame) -> None:
            taken.set()
            bench.supervised.stop()

    capture = Capture(bench.supervised, Sink(), lambda _, error: crashes.append(error))
    capture.start()
    assert taken.wait(20)
    end(capture)
    assert crashes == []
