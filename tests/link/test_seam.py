"""The seam between gate and service: the same in one process and over the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gated.core.messages import (
    AlarmsAcknowledged,
    Attention,
    Event,
    Notice,
    Observation,
    OperatorUnlock,
    RecordEvent,
)
from gated.core.values import Box, Face, Instant, Quality, TrackedFace
from gated.errors import Busy, Conflict, GatedError, StorageError, TooMany
from gated.link.running_gate import FrameCopy, RunningGate
from gated.link.status_board import EventView, RecentEvent, event_view, view_of
from gated.ports import Frame
from tests.devices.waiting import eventually
from tests.link.seams import Seam, one_process, two_processes
from tests.link.test_gate import decision

UNLOCK = OperatorUnlock("olga", "a visitor", 3.0)


@pytest.fixture(params=["one process", "two processes"])
def seam(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Seam]:
    made = one_process() if request.param == "one process" else two_processes(tmp_path)
    with made as seam:
        assert eventually(lambda: reachable(seam.gate))
        yield seam


def reachable(gate: RunningGate) -> bool:
    try:
        gate.require()
    except GatedError:
        return False
    return True


def event(kind: str) -> EventView:
    return EventView(view_of(decision(), None).at, kind, "warning", {"leaf": "open"})


def test_the_service_sees_what_the_gate_publishes(seam: Seam) -> None:
    seam.door.board.publish(
        role="gate", camera="opened", door_state="locked", people=3, alarms={"tamper": "alarm"}
    )
    seam.door.board.trouble("disk_low", "5 MiB free")
    seam.door.board.gauge(**{"camera.frames": 7})
    assert eventually(lambda: "disk_low" in seam.board.snapshot().problems)
    assert eventually(lambda: seam.board.snapshot().counters.get("camera.frames") == 7)
    seen = seam.board.snapshot()
    assert (seen.role, seen.camera, seen.door_state, seen.people) == ("gate", "opened", "locked", 3)
    assert dict(seen.alarms) == {"tamper": "alarm"}
    assert seen.started_at == seam.door.board.snapshot().started_at
    seam.door.board.trouble("disk_low", None)
    assert eventually(lambda: "disk_low" not in seam.board.snapshot().problems)


def test_what_happens_is_heard_once_in_order_and_kept(seam: Seam) -> None:
    heard: list[RecentEvent | Notice] = []

    async def listen() -> None:
        leave = seam.board.subscribe(asyncio.get_running_loop(), heard.append)
        await asyncio.to_thread(happen)
        while len(heard) < 3:
            await asyncio.sleep(0.005)
        leave()

    def happen() -> None:
        seam.door.board.add_decision(view_of(decision(), 101.75))
        seam.door.board.add_event(event("door_opened"))
        seam.door.board.add_notice(Notice(1, "turn_left", done=1, steps=2, seconds_left=3.5))

    asyncio.run(asyncio.wait_for(listen(), 20))
    seen, of_door = seam.board.snapshot(), seam.door.board.snapshot()
    assert heard == [*reversed(of_door.recent), Notice(1, "turn_left", "", 1, 2, 3.5)]
    assert (seen.decisions, seen.recent) == (of_door.decisions, of_door.recent)
    assert [h.number for h in seen.recent] == [2, 1]


def test_an_act_is_done_when_it_is_answered(seam: Seam) -> None:
    seam.gate.post(UNLOCK)
    assert seam.door.taken == [UNLOCK]


@pytest.mark.parametrize(
    "refusal",
    [
        Conflict("the door is in the mode lockdown: change that first"),
        StorageError("what cannot be recorded is not done"),
        TooMany(12.0),
        Busy("somebody else", 3.0),
    ],
    ids=lambda e: e.code,
)
def test_what_the_gate_refuses_is_refused_with_its_words(seam: Seam, refusal: GatedError) -> None:
    def refuse(asked: Event) -> None:
        raise refusal

    seam.door.refuse = refuse
    with pytest.raises(type(refusal)) as told:
        seam.gate.post(UNLOCK)
    assert str(told.value) == str(refusal)
    assert getattr(told.value, "retry_after", 0) == getattr(refusal, "retry_after", 0)
    assert seam.door.taken == []


def test_what_is_told_arrives_in_its_order_before_what_is_asked_later(seam: Seam) -> None:
    told: list[Event] = [AlarmsAcknowledged("tamper"), AlarmsAcknowledged("forced")]
    for news in told:
        seam.gate.notify(news)
    assert eventually(lambda: len(seam.door.taken) == 2)
    seam.gate.post(UNLOCK)
    assert seam.door.taken == [*told, UNLOCK]


def test_frames_are_shown_while_somebody_looks(seam: Seam) -> None:
    image = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    face = Face(Box(1.0, 2.0, 30.0, 40.0), np.ones((5, 2), np.float32), 0.9)
    tracked = TrackedFace(1, face, Quality(*(0.5,) * 9), embedding=np.ones(2, np.float32))
    numbers = iter(range(1, 10_000))

    def show() -> bool:
        frame = Frame(image, 0.0, next(numbers))
        seen = Observation(frame.number, 0.0, 640, 480, (tracked,))
        seam.door.tap.tapped(lambda f, a: seen)(frame, Attention())
        return seam.door.tap.watched

    with seam.gate.tap.subscribe() as one, seam.gate.capture() as other:
        assert eventually(show)
        shown: list[int] = []
        while len(shown) < 3:
            show()
            for looker in (one, other):
                sight = looker.take(0.01)
                if sight is not None:
                    shown.append(sight.number)
                    assert np.array_equal(sight.image, image)
                    assert (sight.faces[0].box, sight.recognizing) == (face.box, True)
        assert shown == sorted(shown)
        with pytest.raises(Busy), seam.gate.capture():
            pass


def test_a_picture_is_drawn_once_for_all_watchers(seam: Seam) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    drawn: list[str] = []

    def draw() -> bytes:
        drawn.append("drawn")
        return b"jpeg"

    def show(number: int) -> None:
        seen = Observation(number, 0.0, 64, 48)
        seam.door.tap.tapped(lambda f, a: seen)(Frame(image, 0.0, number), Attention())

    with seam.gate.tap.subscribe() as one, seam.gate.tap.subscribe() as other:
        sights: list[FrameCopy | None] = []
        for number in range(1, 250):
            show(number)
            if (found := one.take(0.02)) is not None:
                sights = [found, other.take(5)]
                break
        assert [s.drawn.get(draw) for s in sights if s is not None] == [b"jpeg", b"jpeg"]
    assert drawn == ["drawn"]


def test_the_view_of_an_event_travels_whole(seam: Seam) -> None:
    seam.door.board.add_event(
        event_view(RecordEvent(Instant(1.0, 1_800_000_000.0), "door_held", {"s": 31, "x": None}))
    )
    assert eventually(lambda: bool(seam.board.snapshot().recent))
    assert seam.board.snapshot().recent == seam.door.board.snapshot().recent
