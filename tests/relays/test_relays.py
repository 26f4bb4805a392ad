"""Doors on relay boards, against boards at the other end of a pseudo-terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gated.config import DoorSettings
from gated.core.messages import Condition
from gated.core.values import DoorEventKind
from gated.devices.bus_door import LOST, BoardState, BusDoor
from gated.devices.clock import SystemClock
from gated.devices.contract import DOOR_CHECKS, Bench, Letters, eventually
from gated.devices.doors import open_door
from gated.devices.drivers import DoorHardware, DoorSetup
from gated.devices.emergency import lock_door
from gated.devices.serial_port import SerialPort
from gated.devices.timed_door import PRESSED_TO_GROUND, Input
from gated.errors import ConfigError, DeviceError
from gated.relays.modbus_frames import Modbus, RtuTransport, TcpTransport, crc16
from gated.relays.simulated import SimulatedBoard, SimulatedModbusBoard, SimulatedUsbRelay
from gated.relays.usb_serial import frame
from gated.runtime.watchdog import stuck

RELAY = 2
PINS: dict[str, Any] = {"contact_pin": 0, "rex_pin": 1, "fire_pin": 2}
INPUTS = {Input.CONTACT: 0, Input.REX: 1, Input.FIRE: 2}


class Site:
    """A board, its door, and what the door posted."""

    def __init__(self, board: SimulatedBoard, settings: DoorSettings) -> None:
        self.board = board
        self.settings = settings
        self.letters = Letters()
        self.conditions: list[Condition] = []
        hardware = DoorHardware(note=self.conditions.append)
        door = open_door(settings, self.letters.post, SystemClock(), hardware=hardware)
        assert isinstance(door, BusDoor)
        self.door = door

    @property
    def energised(self) -> bool:
        return self.board.relays.get(RELAY, False)

    def lost(self, times: int = 1) -> bool:
        """Wait until the board was lost so often."""
        return eventually(lambda: sum(c.present for c in self.conditions) >= times)

    def found(self) -> bool:
        """Wait until the board is there again."""
        return eventually(lambda: self.conditions and not self.conditions[-1].present)

    def set_input(self, name: Input, active: bool) -> None:
        assert isinstance(self.board, SimulatedModbusBoard)
        self.board.inputs[INPUTS[name]] = active == (name in PRESSED_TO_GROUND)

    def bench(self) -> Bench:
        def mover(name: Input) -> Callable[[bool], None]:
            return lambda active: self.set_input(name, active)

        wired = [name for name in INPUTS if f"{name}_pin" in self.settings.pins()]
        return Bench(self.door, self.letters, {name: mover(name) for name in wired})


Make = Callable[..., Site]


@pytest.fixture
def usb(tmp_path: Path) -> Iterator[Make]:
    yield from maker(tmp_path, SimulatedUsbRelay, "usb-relay", {})


@pytest.fixture
def modbus(tmp_path: Path) -> Iterator[Make]:
    yield from maker(tmp_path, SimulatedModbusBoard, "modbus", PINS)


def maker(
    folder: Path, board: Callable[[Path], SimulatedBoard], driver: str, pins: dict[str, Any]
) -> Iterator[Make]:
    sites: list[Site] = []
    boards: list[SimulatedBoard] = []

    def make(options: dict[str, Any] | None = None, plugged: bool = True, **changes: Any) -> Site:
        path = folder / f"board{len(boards)}"
        boards.append(board(path))
        made = boards[-1]
        if isinstance(made, SimulatedModbusBoard):
            made.inputs = {number: name not in PRESSED_TO_GROUND for name, number in INPUTS.items()}
        if not plugged:
            made.unplug()
        settings = DoorSettings(
            driver=driver,
            options={"device": path, **(options or {})},
            relay_pin=RELAY,
            **{"debounce_s": 0.02, **pins, **changes},
        )
        sites.append(Site(made, settings))
        return sites[-1]

    yield make
    for site in sites:
        site.door.close()
    for made in boards:
        made.unplug()


VARIANTS = [
    "usb",
    "modbus",
    pytest.param("modbus-maglock", marks=pytest.mark.long),
    pytest.param("modbus-timer", marks=pytest.mark.long),
]


@pytest.fixture(params=VARIANTS)
def make(request: pytest.FixtureRequest) -> Make:
    kind = request.param.split("-")
    made: Make = request.getfixturevalue(kind[0])
    changes: dict[str, Any] = {"lock_type": "maglock"} if kind[-1] == "maglock" else {}
    options = {"timer": "flash"} if kind[-1] == "timer" else {}
    return lambda **more: made(options, **changes, **more)


@pytest.mark.parametrize("check", DOOR_CHECKS.values(), ids=list(DOOR_CHECKS))
def test_it_does_what_every_door_does(
    make: Make, check: Callable[[Callable[[], Bench]], None]
) -> None:
    check(lambda: make(unlock_s=0.2).bench())


def test_the_relay_follows(make: Make) -> None:
    site = make()
    locked = site.settings.lock_type == "maglock"
    assert eventually(lambda: site.energised is locked)
    site.door.unlock(0.3)
    assert eventually(lambda: site.energised is not locked)
    assert site.letters.heard(DoorEventKind.RELOCKED)
    assert eventually(lambda: site.energised is locked)
    assert site.conditions == []


def test_closing_waits_until_the_board_has_locked(make: Make) -> None:
    site = make()
    locked = site.settings.lock_type == "maglock"
    site.door.unlock(30.0)
    assert eventually(lambda: site.energised is not locked)
    site.door.close()
    # a board of four bytes does not confirm: its port had them all when it was closed
    assert eventually(lambda: site.energised is locked)


def test_a_board_that_is_plugged_out_is_told_and_found_again_locked(make: Make) -> None:
    site = make()
    site.door.unlock(30.0)
    site.board.unplug()
    assert site.lost()
    assert site.conditions[0].name == LOST
    assert site.conditions[0].severity == "alarm"
    assert not site.door.unlocked
    began = time.monotonic()
    with pytest.raises(DeviceError):
        site.door.unlock(30.0)
    assert time.monotonic() - began < 1.0, "who decides never waits for a board"
    assert site.letters.heard(DoorEventKind.FAULT)
    site.board.moves.clear()
    site.board.plug()
    assert site.found()
    locked = site.settings.lock_type == "maglock"
    assert eventually(lambda: site.energised is locked)
    assert [energised for _, _, energised in site.board.moves] == [True] * locked, "nothing is late"
    site.door.unlock(5.0)
    assert eventually(lambda: site.energised is not locked)


def test_a_gate_starts_without_its_board(make: Make) -> None:
    site = make(plugged=False)
    assert site.lost()
    assert "no such device" in site.conditions[0].detail
    assert site.door.problem is not None
    site.board.plug()
    assert site.found()
    assert site.door.problem is None


# --- boards of four bytes -------------------------------------------------------------------------


class HangingLink:
    """A link whose calls do not return, as those of a bad driver."""

    name = "a board"

    def __init__(self) -> None:
        self.hangs, self.goes_on = False, threading.Event()

    def open(self) -> None:
        """There is nothing to open."""

    def drive(self, energised: bool, for_s: float | None) -> None:
        """Nothing is driven."""

    def look(self, inputs: Iterable[int]) -> BoardState:
        if self.hangs:
            self.goes_on.wait(30)
        return BoardState()

    def close(self) -> None:
        """There is nothing to close."""


def test_the_watchdog_sees_a_board_whose_link_hangs() -> None:
    link, settings = HangingLink(), DoorSettings(relay_pin=RELAY)
    door = BusDoor(DoorSetup(settings, None, lambda event: None, SystemClock()), link)
    assert stuck([door]) == []
    link.hangs, door.link_limit_s = True, 0.6
    assert eventually(lambda: stuck([door]) == ["door"])
    link.goes_on.set()
    door.close()
    assert stuck([door]) == []


def test_the_four_bytes() -> None:
    assert frame(1, True) == bytes.fromhex("a00101a2")
    assert frame(1, False) == bytes.fromhex("a00100a1")
    assert frame(2, True) == bytes.fromhex("a00201a3")


def test_it_is_told_again_and_again(usb: Make) -> None:
    site = usb()
    site.door.unlock(30.0)
    assert eventually(lambda: site.energised)
    site.board.move(RELAY, False)
    assert eventually(lambda: site.energised), "somebody pressed its button"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"relay_pin": 0}, "1 to 16"),
        ({"relay_pin": None}, "needs door.relay_pin"),
        ({"contact_pin": 3}, "has no inputs"),
    ],
)
def test_what_it_cannot_do_is_refused(changes: dict[str, Any], says: str) -> None:
    wrong = {"relay_pin": 1, **changes}
    settings = DoorSettings(driver="usb-relay", options={"device": "/dev/null"}, **wrong)
    with pytest.raises(DeviceError, match=says):
        open_door(settings, lambda event: None, SystemClock())


def test_a_port_is_for_one_program(usb: Make) -> None:
    site = usb()
    with pytest.raises(DeviceError, match="another program has taken it"):
        lock_door(site.settings)
    site.door.close()
    assert lock_door(site.settings).startswith("locked: relay 2 at ")


# --- Modbus ---------------------------------------------------------------------------------------


def test_the_crc_is_that_of_the_standard() -> None:
    # the example of Modbus over serial line V1.02, and Waveshare's
    assert crc16(bytes.fromhex("0207")) == bytes.fromhex("4112")
    assert crc16(bytes.fromhex("010502000007")) == bytes.fromhex("8db0")


def test_a_coil_that_somebody_else_moves_is_moved_back(modbus: Make) -> None:
    site = modbus()
    site.board.move(RELAY, True)
    assert eventually(lambda: not site.energised)
    assert not site.door.unlocked


def test_a_board_with_a_timer_ends_a_release_of_a_program_that_is_gone(modbus: Make) -> None:
    site = modbus({"timer": "flash"})
    site.door.unlock(0.3)
    assert eventually(lambda: site.energised)
    site.board.mute = True
    assert site.lost()
    # the simulated board takes nothing while it is mute, so that only its own timer ends it
    assert eventually(lambda: not site.energised)


def test_a_board_with_a_timer_does_not_end_a_fire_release(modbus: Make) -> None:
    site = modbus({"timer": "flash"})
    site.door.unlock(0.5)
    assert eventually(lambda: site.energised)
    site.set_input(Input.FIRE, True)
    assert site.letters.heard(DoorEventKind.FIRE)
    # longer than the lease and the second by which the board's own timer ends after it
    time.sleep(2.0)
    assert [energised for _, _, energised in site.board.moves] == [True]


@pytest.mark.parametrize("energised", [True, False])
def test_without_the_program_a_fire_alarm_is_obeyed(modbus: Make, energised: bool) -> None:
    site = modbus()
    site.door.close()
    site.board.move(RELAY, energised)
    site.set_input(Input.FIRE, True)
    assert "fire" in lock_door(site.settings)
    assert site.energised is energised
    site.set_input(Input.FIRE, False)
    assert lock_door(site.settings).startswith("locked: ")
    assert not site.energised


def test_a_watchdog_is_fed_and_locks_when_nobody_speaks(modbus: Make) -> None:
    site = modbus({"watchdog_register": SimulatedModbusBoard.WATCHDOG})
    site.door.unlock(30.0)
    assert eventually(lambda: site.energised)
    time.sleep(1.5 * SimulatedModbusBoard.WATCHDOG_S)
    assert site.energised, "it is fed"
    site.board.mute = True
    assert eventually(lambda: not site.energised)


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b"", id="nothing", marks=pytest.mark.long),
        pytest.param(b"\0" * 8, id="zeros", marks=pytest.mark.long),
        pytest.param(b"\xff" * 4000, id="flood"),
        pytest.param(bytes.fromhex("01820161c0"), id="a refusal", marks=pytest.mark.long),
        pytest.param(bytes.fromhex("0205000200006c39"), id="another unit"),
    ],
)
def test_answers_that_are_wrong_are_a_lost_board(modbus: Make, noise: bytes) -> None:
    site = modbus()
    site.door.unlock(30.0)
    assert eventually(lambda: site.energised)
    site.board.noise = noise
    assert site.lost()
    assert not site.door.unlocked
    site.board.noise = None
    assert site.found()
    assert eventually(lambda: not site.energised)


def test_a_disturbed_answer_is_not_believed(tmp_path: Path) -> None:
    board = SimulatedModbusBoard(tmp_path / "board")
    board.relays[RELAY] = True
    transport = RtuTransport(SerialPort(board.path, 9600), board.UNIT, 0.4, 9600)
    transport.open()
    assert Modbus(transport).coils(RELAY, 1) == [True]
    right = bytes.fromhex("01010101")
    board.noise = right + bytes(b ^ 1 for b in crc16(right))
    with pytest.raises(DeviceError, match="disturbed"):
        Modbus(transport).coils(RELAY, 1)
    transport.close()
    board.unplug()


def test_a_lost_board_is_no_fire_and_no_forced_door(modbus: Make) -> None:
    site = modbus()
    site.board.unplug()
    assert site.lost()
    site.board.plug()
    assert site.found()
    kinds = {event.kind for event in site.letters.events}
    assert kinds <= {DoorEventKind.FAULT, DoorEventKind.FAULT_OVER}


def test_a_fire_release_is_given_again_to_a_board_that_comes_back(modbus: Make) -> None:
    site = modbus()
    site.set_input(Input.FIRE, True)
    assert site.letters.heard(DoorEventKind.FIRE)
    site.board.unplug()
    assert site.lost()
    site.board.plug()
    assert site.found()
    assert eventually(lambda: site.energised)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give device"),
        ({"device": "/dev/x", "host": "192.0.2.1"}, "give device"),
        ({"host": "192.0.2.1"}, "asks nobody who they are"),
        ({"device": "/dev/x", "unit": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    settings = DoorSettings(driver="modbus", options=options, relay_pin=0)
    with pytest.raises(ConfigError, match=says):
        open_door(settings, lambda event: None, SystemClock())


def test_a_timer_is_not_for_a_maglock() -> None:
    options = {"device": "/dev/x", "timer": "flash"}
    settings = DoorSettings(driver="modbus", options=options, relay_pin=0, lock_type="maglock")
    with pytest.raises(DeviceError, match="not for a maglock"):
        open_door(settings, lambda event: None, SystemClock())


def test_a_name_that_no_resolver_takes_is_a_lost_board() -> None:
    with pytest.raises(DeviceError, match="no connection"):
        TcpTransport("board..lan", 502, 1, 0.1).open()
