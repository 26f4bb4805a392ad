"""All loops together, on a simulated camera and door: nobody holds up the door."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from gated.config import DoorSettings
from gated.core.gate import Gate
from gated.core.messages import (
    Attention,
    CameraEvent,
    Decision,
    DoorEvent,
    Observation,
    OperatorUnlock,
    RecordDecision,
    RecordEvent,
)
from gated.core.values import Reason, TrackedFace
from gated.devices.clock import SystemClock
from gated.devices.drivers import DoorDriver, DoorSetup, make_door
from gated.devices.simulated import SimulatedCamera, SimulatedDoor
from gated.devices.supervised import SupervisedCamera
from gated.errors import StorageError
from gated.ports import Door, Frame
from gated.runtime.controller import GateDevices, GateListeners
from gated.runtime.inbox import BoundedInbox
from gated.runtime.journal_writer import JournalWriter, Record
from gated.runtime.pipeline import Pipeline
from tests.core.policies import policy_with
from tests.core.scenes import ANN, CALIBRATION, face, gallery

SETTINGS = DoorSettings(unlock_s=0.3)
POLICY = policy_with(unlock_s=0.3, decide_after_s=0.2)


@dataclass
class World:
    """A whole gate; `faces` is what the camera is said to see."""

    pipeline: Pipeline
    door: SimulatedDoor
    camera: SimulatedCamera
    inbox: BoundedInbox
    faces: list[TrackedFace] = field(default_factory=list)
    written: list[Record] = field(default_factory=list)
    decisions: list[tuple[Decision, float | None]] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    broken: threading.Event = field(default_factory=threading.Event)
    slow: threading.Event = field(default_factory=threading.Event)
    stuck: threading.Event = field(default_factory=threading.Event)
    seen: list[Attention] = field(default_factory=list)


@contextmanager
def world(journal_queue: int = 64, outside: Door | None = None) -> Iterator[World]:
    """outside: a door that another package made, instead of the simulated one."""
    clock, inbox = SystemClock(), BoundedInbox()
    pictures = [np.full((48, 64, 3), shade, np.uint8) for shade in (10, 90, 170)]
    camera = SimulatedCamera(pictures, clock)

    def analyse(frame: Frame, attention: Attention) -> Observation:
        here.seen.append(attention)
        while here.stuck.is_set():
            time.sleep(0.01)
        time.sleep(0.02)
        faces = tuple(here.faces)
        return Observation(frame.number, frame.captured_at, 64, 48, faces)

    def append(batch: Sequence[Record]) -> None:
        if here.broken.is_set():
            raise StorageError("disk full")
        while here.slow.is_set():
            time.sleep(0.01)
        here.written += batch

    def post(event: DoorEvent | CameraEvent) -> None:
        inbox.post(event)

    door = SimulatedDoor(SETTINGS, post, clock)
    driven: Door = door
    if outside is not None:
        driver = DoorDriver(name="outside", make=lambda setup: outside)
        driven = make_door(driver, DoorSetup(SETTINGS, None, post, clock))

    def crash(name: str, error: BaseException) -> None:
        here.crashes.append(f"{name}: {error}")

    def decided(decision: Decision, edge: float | None) -> None:
        here.decisions.append((decision, edge))

    pipeline = Pipeline(
        Gate(POLICY, gallery([ANN]), CALIBRATION),
        GateDevices(SupervisedCamera(camera, clock, post, frozen_after_s=10), driven, clock),
        analyse,
        JournalWriter(append, journal_queue, crash),
        inbox,
        GateListeners(on_decision=decided),
        crash,
    )
    here = World(pipeline, door, camera, inbox)
    pipeline.start()
    try:
        yield here
    finally:
        for flag in (here.slow, here.stuck):
            flag.clear()
        pipeline.stop()
        door.close()


def eventually(condition: Callable[[], object], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(condition())


def granted(here: World) -> list[Decision]:
    return [d for d, _ in here.decisions if d.granted]


def test_a_known_face_moves_the_relay_and_is_written() -> None:
    with world() as here:
        here.faces = [face({ANN: 0.9})]
        assert eventually(lambda: granted(here))
        assert eventually(lambda: [e.released for e in here.door.edges] == [True, False])
        released, locked = here.door.edges
        assert 0.2 < locked.at - released.at < 30
        _, edge = here.decisions[0]
        assert edge is not None
        assert edge >= released.at
    recorded = [r.decision for r in here.written if isinstance(r, RecordDecision)]
    assert recorded == granted(here)
    assert here.crashes == []


def test_a_grant_for_which_the_relay_fails_is_no_passage() -> None:
    with world() as here:
        here.door.jam()
        here.faces = [face({ANN: 0.9})]
        assert eventually(lambda: granted(here))
        assert eventually(
            lambda: "not_used" in [r.kind for r in here.written if isinstance(r, RecordEvent)]
        )
        assert here.decisions[0][1] is None
        here.door.jam(False)
    assert here.crashes == []


class Broken:
    """A door of another package, whose library fails."""

    unlocked = False
    contact_open: bool | None = None

    def unlock(self, for_s: float) -> None:
        raise OSError("no such device")

    def lock(self) -> None:
        raise OSError("no such device")

    def reset_fire(self) -> bool:
        raise OSError("no such device")

    def close(self) -> None:
        """Nothing to close."""


def test_a_door_from_outside_that_fails_ends_nothing() -> None:
    with world(outside=Broken()) as here:
        here.faces = [face({ANN: 0.9})]
        assert eventually(lambda: recorded(here, "door_fault"))
        assert eventually(lambda: recorded(here, "not_used"))
    assert here.crashes == []


def recorded(here: World, kind: str) -> list[Record]:
    return [r for r in here.written if isinstance(r, RecordEvent) and r.kind == kind]


def test_settled_tracks_are_told_to_the_inference_thread() -> None:
    with world() as here:
        here.faces = [face({ANN: 0.9}, track=7)]
        assert eventually(lambda: here.seen and here.seen[-1].settled == {7})


def test_a_slow_journal_does_not_delay_the_door() -> None:
    with world() as here:
        here.slow.set()
        here.faces = [face({ANN: 0.9})]
        assert eventually(lambda: here.door.edges)
        assert granted(here)
        assert not [r for r in here.written if isinstance(r, RecordDecision)]


def test_a_stuck_model_does_not_stop_the_relock() -> None:
    with world() as here:
        here.faces = [face({ANN: 0.9})]
        assert eventually(lambda: here.door.unlocked)
        here.stuck.set()
        assert eventually(lambda: not here.door.unlocked)


def test_what_cannot_be_recorded_is_not_granted() -> None:
    with world(journal_queue=33) as here:
        here.broken.set()
        for _ in range(4):
            here.inbox.post(OperatorUnlock("admin", "test", for_s=0.1))
        assert eventually(lambda: not here.pipeline.journal.available)
        # the log may be full before the first of them has moved the door
        assert eventually(lambda: len(here.door.edges) >= 2 and not here.door.unlocked)
        edges = len(here.door.edges)
        here.faces = [face({ANN: 0.9})]
        assert eventually(lambda: here.decisions)
        assert here.decisions[0][0].reason is Reason.LOG_UNAVAILABLE
        assert len(here.door.edges) == edges
        here.broken.clear()
        assert eventually(lambda: here.pipeline.journal.available)


def test_a_crash_in_a_loop_is_reported_by_name() -> None:
    with world() as here:
        here.faces = [None]  # type: ignore[list-item]
        assert eventually(lambda: here.crashes)
        assert here.crashes[0].startswith("controller: ")
        assert not here.door.unlocked


def test_the_door_is_locked_when_the_controller_dies_while_it_is_open() -> None:
    with world() as here:
        here.inbox.post(OperatorUnlock("admin", "test", for_s=20))
        assert eventually(lambda: here.door.unlocked)
        here.faces = [None]  # type: ignore[list-item]
        assert eventually(lambda: here.crashes)
        assert not here.door.unlocked


def test_a_camera_that_comes_back_goes_on() -> None:
    with world() as here:
        assert eventually(lambda: here.seen)
        here.camera.disappear()
        assert eventually(
            lambda: any(getattr(r, "kind", "") == "camera_lost" for r in here.written)
        )
        here.camera.come_back()
        frames = len(here.seen)
        assert eventually(lambda: len(here.seen) > frames)
        assert here.crashes == []


def test_stopping_is_quick_also_while_the_camera_is_gone() -> None:
    with world() as here:
        here.camera.disappear()
        assert eventually(
            lambda: any(getattr(r, "kind", "") == "camera_lost" for r in here.written)
        )
        here.pipeline.stop()
        assert not any(loop.is_alive() for loop in here.pipeline.loops)
