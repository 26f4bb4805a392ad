"""Checks the contract of every camera, door and card reader, for authors of drivers.

Each check takes a function that makes the device, and raises `ContractBroken` with the violation.
Checks need no test framework; with pytest:

    from gated.devices.contract import CAMERA_CHECKS

    @pytest.mark.parametrize("check", CAMERA_CHECKS.values(), ids=CAMERA_CHECKS)
    def test_it_is_a_camera(check):
        check(lambda: MyCamera(...))
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from gated.core.messages import DoorEvent
from gated.core.values import DoorEventKind
from gated.devices.timed_door import Input
from gated.errors import DeviceError
from gated.ports import Camera, CardReader, ContractBroken, Door, EndOfStream, expect

PATIENCE_S = 5.0
"""Time limit for events that should come at once, generous for busy machines."""
FRAMES = 12


def eventually(condition: Callable[[], Any]) -> bool:
    """Wait for a condition and return whether it became true within PATIENCE_S."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


# --- cameras --------------------------------------------------------------------------------------

MakeCamera = Callable[[], Camera]


def gives_bgr_frames_in_order(make: MakeCamera) -> None:
    """Check that frames are BGR bytes of one size, numbered in sequence, never older than the
    last."""
    camera = make()
    camera.open()
    frames = [camera.read() for _ in range(FRAMES)]
    camera.close()
    for frame in frames:
        image = frame.image
        expect(image.dtype == np.uint8, f"pixels are {image.dtype}, not uint8")
        expect(image.ndim == 3 and image.shape[2] == 3, f"a picture has the shape {image.shape}")
    expect(len({frame.image.shape for frame in frames}) == 1, "the size changes between frames")
    expect(
        all(b.number - a.number == 1 for a, b in pairwise(frames)),
        f"frames are numbered {[frame.number for frame in frames]}",
    )
    expect(
        all(b.captured_at >= a.captured_at for a, b in pairwise(frames)),
        "a frame is older than the one before it",
    )


def opens_again_after_close(make: MakeCamera) -> None:
    """Check that it may be closed twice and opened again; frame numbers go on."""
    camera = make()
    camera.open()
    first = camera.read()
    camera.close()
    camera.close()
    camera.open()
    again = camera.read()
    camera.close()
    expect(again.number > first.number, "the number of a frame comes again after a new opening")
    expect(again.image.shape == first.image.shape, "another size after a new opening")


def leaves_frames_alone(make: MakeCamera) -> None:
    """Check that a returned frame does not change when the next one comes."""
    camera = make()
    camera.open()
    first = camera.read()
    before = first.image.copy()
    for _ in range(3):
        camera.read()
    camera.close()
    expect(np.array_equal(first.image, before), "the next frame overwrites the last one")


def fails_with_a_device_error(make: MakeCamera) -> None:
    """Check that reading a closed camera raises DeviceError, or EndOfStream for a recording."""
    camera = make()
    try:
        camera.read()
    except (DeviceError, EndOfStream):
        return
    except Exception as error:
        raise ContractBroken(f"{type(error).__name__} instead of DeviceError") from error
    raise ContractBroken("a camera that is not open gives pictures")


def has_a_name(make: MakeCamera) -> None:
    """Check that it has a name, which is written into the attendance log."""
    camera = make()
    expect(isinstance(camera.name, str) and camera.name.strip(), "a camera without a name")


CAMERA_CHECKS: Mapping[str, Callable[[MakeCamera], None]] = {
    check.__name__: check
    for check in (
        gives_bgr_frames_in_order,
        opens_again_after_close,
        leaves_frames_alone,
        fails_with_a_device_error,
        has_a_name,
    )
}


# --- doors ----------------------------------------------------------------------------------------


class Letters:
    """Collects the events that a door posts. broken: raise instead. on_letter: called first."""

    def __init__(self) -> None:
        self.events: list[DoorEvent] = []
        self.broken = False
        self.on_letter: Callable[[DoorEvent], None] = lambda event: None

    def post(self, event: DoorEvent) -> None:
        """Take an event; pass this method to the door."""
        if self.broken:
            raise RuntimeError("the letter box is gone")
        self.on_letter(event)
        self.events.append(event)

    def count(self, kind: DoorEventKind) -> int:
        """Count the received events of a kind."""
        return [event.kind for event in self.events].count(kind)

    def heard(self, kind: DoorEventKind, times: int = 1) -> bool:
        """Wait for `times` events of a kind; return False when they do not come."""
        return eventually(lambda: self.count(kind) >= times)


@dataclass
class Bench:
    """A door under test. inputs: functions that set an input active or not, by its name."""

    door: Door
    letters: Letters
    inputs: Mapping[Input, Callable[[bool], None]] = field(default_factory=dict)


MakeDoor = Callable[[], Bench]


def starts_locked(make: MakeDoor) -> None:
    """Check that a new door is locked and posts no event."""
    bench = make()
    expect(not bench.door.unlocked, "a new door is released")
    expect(bench.letters.events == [], f"a door at rest posts {bench.letters.events}")
    bench.door.close()


def ends_a_lease_itself(make: MakeDoor) -> None:
    """Check that a release ends by itself after its time, not before, and posts RELOCKED once."""
    bench = make()
    began = time.monotonic()
    bench.door.unlock(0.1)
    expect(bench.door.unlocked, "unlock() does not release")
    expect(bench.letters.heard(DoorEventKind.RELOCKED), "RELOCKED is not posted")
    expect(not bench.door.unlocked, "still released after its time")
    expect(time.monotonic() - began >= 0.1, "locked before its time")
    bench.door.close()


def extends_and_never_adds_up(make: MakeDoor) -> None:
    """Check that overlapping releases end with the latest one; a shorter one cuts none."""
    bench = make()
    began = time.monotonic()
    for for_s in (0.3, 0.3, 0.01):
        bench.door.unlock(for_s)
    time.sleep(0.1)
    expect(bench.door.unlocked, "a shorter release cuts a longer one")
    expect(bench.letters.heard(DoorEventKind.RELOCKED), "RELOCKED is not posted")
    expect(time.monotonic() - began >= 0.3, "locked before the longest release is over")
    time.sleep(0.1)
    expect(bench.letters.count(DoorEventKind.RELOCKED) == 1, "releases add up")
    bench.door.close()


def refuses_no_time(make: MakeDoor) -> None:
    """Check that a release of no time raises ValueError and moves nothing."""
    bench = make()
    for for_s in (0.0, -1.0, float("nan")):
        try:
            bench.door.unlock(for_s)
        except ValueError:
            expect(not bench.door.unlocked, f"unlock({for_s}) releases")
        else:
            raise ContractBroken(f"unlock({for_s}) is accepted")
    bench.door.close()


def locks_at_once(make: MakeDoor) -> None:
    """Check that `lock` ends a release at once, without a later RELOCKED."""
    bench = make()
    bench.door.unlock(0.2)
    bench.door.lock()
    expect(not bench.door.unlocked, "lock() does not lock")
    time.sleep(0.3)
    expect(bench.letters.count(DoorEventKind.RELOCKED) == 0, "RELOCKED after lock()")
    bench.door.close()


def stays_locked_when_closed(make: MakeDoor) -> None:
    """Check that `close` locks, may be called twice, and that `unlock` then raises DeviceError."""
    bench = make()
    bench.door.unlock(60.0)
    bench.door.close()
    bench.door.close()
    expect(not bench.door.unlocked, "close() leaves the door released")
    bench.door.lock()
    try:
        bench.door.unlock(1.0)
    except DeviceError:
        return
    raise ContractBroken("a closed door can be released")


def bears_many_threads(make: MakeDoor) -> None:
    """Check that a door is locked in the end when many threads release and lock it at once."""
    bench = make()

    def meddle(turn: int) -> None:
        for _ in range(20):
            bench.door.unlock(0.02)
            if turn % 2:
                bench.door.lock()

    threads = [threading.Thread(target=meddle, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(eventually(lambda: not bench.door.unlocked), "many threads keep it open")
    bench.door.close()


def locks_though_nobody_listens(make: MakeDoor) -> None:
    """Check that the door locks although `post` fails."""
    bench = make()
    bench.letters.broken = True
    for _ in range(2):
        bench.door.unlock(0.05)
        expect(eventually(lambda: not bench.door.unlocked), "a failed post keeps it released")
    bench.door.close()


def obeys_the_fire_alarm(make: MakeDoor) -> None:
    """Check that fire releases before the event is posted, and until a reset after the alarm."""
    bench = make()
    move = bench.inputs.get(Input.FIRE)
    if move is None:
        bench.door.close()
        return
    released_when_posted: list[bool] = []
    bench.letters.on_letter = lambda event: released_when_posted.append(bench.door.unlocked)
    move(True)
    expect(bench.letters.heard(DoorEventKind.FIRE), "FIRE is not posted")
    expect(released_when_posted == [True], "FIRE is posted before the door is released")
    bench.door.lock()
    expect(bench.door.unlocked, "lock() locks people in")
    expect(not bench.door.reset_fire(), "the release can be reset while the alarm sounds")
    move(False)
    expect(eventually(bench.door.reset_fire), "the release cannot be reset after the alarm")
    expect(not bench.door.unlocked, "reset, and still released")
    bench.door.close()


def tells_of_its_inputs(make: MakeDoor) -> None:
    """Check that contact and exit button post events, and that the button releases by itself."""
    bench = make()
    if move := bench.inputs.get(Input.CONTACT):
        for is_open, kind in (
            (True, DoorEventKind.CONTACT_OPEN),
            (False, DoorEventKind.CONTACT_CLOSED),
        ):
            move(is_open)
            expect(bench.letters.heard(kind), f"{kind} is not posted")
            expect(bench.door.contact_open is is_open, "contact_open is something else")
    if move := bench.inputs.get(Input.REX):
        move(True)
        expect(bench.letters.heard(DoorEventKind.REX), "REX is not posted")
        expect(bench.door.unlocked, "the exit button does not release")
        move(False)
    bench.door.close()


DOOR_CHECKS: Mapping[str, Callable[[MakeDoor], None]] = {
    check.__name__: check
    for check in (
        starts_locked,
        ends_a_lease_itself,
        extends_and_never_adds_up,
        refuses_no_time,
        locks_at_once,
        stays_locked_when_closed,
        bears_many_threads,
        locks_though_nobody_listens,
        obeys_the_fire_alarm,
        tells_of_its_inputs,
    )
}


# --- card readers ---------------------------------------------------------------------------------


@dataclass
class ReaderBench:
    """A card reader under test. present: holds a card with this number to it."""

    reader: CardReader
    present: Callable[[str], None]


MakeReader = Callable[[], ReaderBench]


def reads_a_card(make: MakeReader) -> None:
    """Check that a card is read once, and nothing without a card."""
    bench = make()
    bench.reader.open()
    expect(bench.reader.read(0.0) is None, "a number comes without a card")
    bench.present("04A1B2C3")
    expect(bench.reader.read(PATIENCE_S) == "04A1B2C3", "the number is another one")
    expect(bench.reader.read(0.05) is None, "a card is read twice")
    bench.reader.close()


def keeps_its_time(make: MakeReader) -> None:
    """Check that `read` returns within its time-out."""
    bench = make()
    bench.reader.open()
    began = time.monotonic()
    bench.reader.read(0.1)
    expect(time.monotonic() - began < PATIENCE_S, "read() does not keep its time-out")
    bench.reader.close()


def may_be_opened_again(make: MakeReader) -> None:
    """Check that it may be closed twice and opened again."""
    bench = make()
    bench.reader.open()
    bench.reader.close()
    bench.reader.close()
    bench.reader.open()
    bench.present("99887766")
    expect(bench.reader.read(PATIENCE_S) == "99887766", "it reads nothing after a new opening")
    bench.reader.close()


READER_CHECKS: Mapping[str, Callable[[MakeReader], None]] = {
    check.__name__: check for check in (reads_a_card, keeps_its_time, may_be_opened_again)
}
