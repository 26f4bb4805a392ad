"""What every door does: the simulated one, gpiozero's mock pins, the lines of a chip in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from gated.config import DoorSettings
from gated.core.values import DoorEventKind
from gated.devices.clock import SystemClock
from gated.devices.contract import DOOR_CHECKS, Bench, Letters
from gated.devices.doors import open_door
from gated.devices.drivers import DoorHardware
from gated.devices.simulated import SimulatedDoor, SimulatedGpio
from gated.devices.timed_door import PRESSED_TO_GROUND, Input, TimedDoor

RELAY, CONTACT, REX, FIRE, TRIGGER = 17, 22, 23, 24, 27
TAMPER, POWER_FAIL, OTHER_DOOR, FIRE_RESET = 5, 6, 12, 13
WIRING: dict[str, Any] = {
    "relay_pin": RELAY,
    "contact_pin": CONTACT,
    "rex_pin": REX,
    "fire_pin": FIRE,
    "trigger_pin": TRIGGER,
    "tamper_pin": TAMPER,
    "power_fail_pin": POWER_FAIL,
    "other_door_pin": OTHER_DOOR,
    "fire_reset_pin": FIRE_RESET,
}
PINS = {
    Input.CONTACT: CONTACT,
    Input.TAMPER: TAMPER,
    Input.POWER_FAIL: POWER_FAIL,
    Input.OTHER_DOOR: OTHER_DOOR,
    Input.FIRE_RESET: FIRE_RESET,
}
"""Of the inputs that `Rig.set_input` moves."""
DEBOUNCE_S = 0.02


@dataclass
class Rig:
    """A door on the bench: the door, what it posted, and hands to operate its inputs."""

    door: TimedDoor
    letters: Letters
    press_rex: Callable[[], None]
    press_trigger: Callable[[], None]
    set_leaf: Callable[[bool], None]
    set_fire: Callable[[bool], None]
    set_input: Callable[[Input, bool], None]
    factory: Any = None

    def unlocked(self) -> bool:
        return self.door.unlocked


def simulated(**changes: Any) -> Rig:
    letters = Letters()
    settings = DoorSettings(debounce_s=DEBOUNCE_S, **changes)
    door = open_door(settings, letters.post, SystemClock())
    assert isinstance(door, SimulatedDoor)
    return Rig(
        door,
        letters,
        door.press_rex,
        door.press_trigger,
        lambda is_open: door.open_leaf() if is_open else door.close_leaf(),
        lambda on: door.fire() if on else door.end_fire(),
        door.set_input,
    )


def mock_pins(
    fire: bool = False, rex: bool = False, active: Collection[Input] = (), **changes: Any
) -> Rig:
    mock = pytest.importorskip("gpiozero.pins.mock", reason="gpiozero (extra pi) is missing")

    class WiredPin(mock.MockPin):  # type: ignore[misc, name-defined]
        """A pin that something is wired to: the pull resistor does not move it."""

        def _set_pull(self, value: str) -> None:
            self._pull = value

    factory = mock.MockFactory(pin_class=WiredPin)

    def level(pin: int, high: bool) -> None:
        if high:
            factory.pin(pin).drive_high()
        else:
            factory.pin(pin).drive_low()

    # the leaf is shut, nobody presses the button, the loop of the fire alarm is closed
    for pin, high in ((REX, not rex), (FIRE, fire), (TRIGGER, True)):
        level(pin, high)

    def set_input(name: Input, on: bool) -> None:
        level(PINS[name], on != (name is Input.FIRE_RESET))

    for name in PINS:
        set_input(name, name in active)
    letters = Letters()
    settings = DoorSettings(
        driver="gpiozero", debounce_s=DEBOUNCE_S, accept_boot_glitch=True, **WIRING, **changes
    )
    door = open_door(settings, letters.post, SystemClock(), factory)
    assert isinstance(door, TimedDoor)
    return Rig(
        door,
        letters,
        lambda: level(REX, False),
        lambda: level(TRIGGER, False),
        lambda is_open: level(CONTACT, is_open),
        lambda on: level(FIRE, on),
        set_input,
        factory,
    )


def chip_lines(
    edges: bool = True,
    pulls: bool = True,
    active: Collection[Input] = (),
    dev: Path | None = None,
    **changes: Any,
) -> Rig:
    """The lines of one chip in memory, as lgpio shows them.

    dev: a folder for the chip's file, which stays; unless given the chip cannot be opened anew.
    """
    gpio = SimulatedGpio({0: "other", 3: "a-chip"})
    gpio.without_edges, gpio.without_pulls = not edges, not pulls

    def set_input(name: Input, on: bool) -> None:
        line = WIRING[f"{name}_pin"]
        gpio.turn(line, int(on != (name in PRESSED_TO_GROUND)))

    for name in Input:
        set_input(name, name in active)
    letters = Letters()
    wiring = WIRING | {"chip": "a-chip", "pull_up": pulls, "debounce_s": DEBOUNCE_S}
    settings = DoorSettings(driver="gpiochip", **wiring | changes)
    with TemporaryDirectory() as gone:
        place = dev or Path(gone)
        for number in gpio.labels:
            (place / f"gpiochip{number}").touch()
        hardware = DoorHardware(lgpio=gpio, dev=place)
        door = open_door(settings, letters.post, SystemClock(), hardware=hardware)
    assert isinstance(door, TimedDoor)

    def tell(name: Input) -> Callable[[bool], None]:
        return lambda on: set_input(name, on)

    return Rig(
        door,
        letters,
        lambda: set_input(Input.REX, True),
        lambda: set_input(Input.TRIGGER, True),
        tell(Input.CONTACT),
        tell(Input.FIRE),
        set_input,
        gpio,
    )


HARDWARE: list[dict[str, Any]] = [
    {"lock_type": lock_type, "relay_active_high": active_high}
    for lock_type in ("strike", "maglock")
    for active_high in (True, False)
]
MAKERS: dict[str, Callable[..., Rig]] = {"simulated": simulated} | {
    f"pins-{kind['lock_type']}-{'high' if kind['relay_active_high'] else 'low'}": partial(
        mock_pins, **kind
    )
    for kind in HARDWARE
}
MAKERS |= {
    f"lines-{kind['lock_type']}-{'high' if kind['relay_active_high'] else 'low'}": partial(
        chip_lines, **kind
    )
    for kind in HARDWARE
}
MAKERS["lines-polled"] = partial(chip_lines, edges=False, pulls=False)


@pytest.fixture(params=list(MAKERS))
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def maker(**changes: Any) -> Rig:
        rigs.append(MAKERS[request.param](**changes))
        return rigs[-1]

    yield maker
    for rig in rigs:
        rig.door.close()


@pytest.mark.parametrize("check", DOOR_CHECKS.values(), ids=list(DOOR_CHECKS))
def test_it_does_what_every_door_does(
    make: Callable[..., Rig], check: Callable[[Callable[[], Bench]], None]
) -> None:
    def bench() -> Bench:
        rig = make(unlock_s=0.2)
        inputs = {
            Input.FIRE: rig.set_fire,
            Input.CONTACT: rig.set_leaf,
            Input.REX: lambda on: rig.press_rex() if on else None,
        }
        return Bench(rig.door, rig.letters, inputs)

    check(bench)


def test_a_new_door_is_locked(make: Callable[..., Rig]) -> None:
    rig = make()
    assert not rig.unlocked()
    assert rig.door.contact_open is False
    assert rig.letters.events == []


def test_leases_add_up_to_no_more_than_the_longest(make: Callable[..., Rig]) -> None:
    rig = make(max_unlock_s=0.2)
    for _ in range(1000):
        rig.door.unlock(60.0)
    assert rig.letters.heard(DoorEventKind.RELOCKED), "they are one lease of 0.2 s, not of 200 s"


def test_the_contact_is_told_when_it_changes(make: Callable[..., Rig]) -> None:
    rig = make()
    for is_open, kind in (
        (True, DoorEventKind.CONTACT_OPEN),
        (False, DoorEventKind.CONTACT_CLOSED),
    ):
        rig.set_leaf(is_open)
        assert rig.letters.heard(kind)
        assert rig.door.contact_open is is_open


def test_rex_releases_and_relocks(make: Callable[..., Rig]) -> None:
    rig = make(unlock_s=0.15)
    rig.press_rex()
    assert rig.letters.heard(DoorEventKind.REX)
    assert rig.unlocked()
    assert rig.letters.heard(DoorEventKind.RELOCKED)
    assert not rig.unlocked()


@pytest.mark.parametrize(
    "changes",
    [{"rex_releases": False}, {"mounting": "outside", "accept_outside_relay": True}],
    ids=["told not to", "computer outside"],
)
def test_rex_only_informs_when_it_may_not_release(
    make: Callable[..., Rig], changes: dict[str, Any]
) -> None:
    rig = make(**changes)
    rig.press_rex()
    assert rig.letters.heard(DoorEventKind.REX)
    assert not rig.unlocked()


def test_a_trigger_is_told_and_moves_nothing(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.press_trigger()
    assert rig.letters.heard(DoorEventKind.TRIGGER)
    assert not rig.unlocked()


def test_fire_releases_until_it_is_reset_by_hand(make: Callable[..., Rig]) -> None:
    rig = make(max_unlock_s=0.05, unlock_s=0.05)
    released_when_told: list[bool] = []
    rig.letters.on_letter = lambda event: released_when_told.append(rig.unlocked())
    rig.set_fire(True)
    assert rig.letters.heard(DoorEventKind.FIRE)
    assert released_when_told == [True], "the door acts before anyone hears of it"
    rig.door.lock()
    assert rig.unlocked()
    rig.door.unlock(0.01)
    time.sleep(0.1)
    assert rig.unlocked(), "neither a lock nor the end of a lease locks people in"
    assert not rig.door.reset_fire(), "the alarm still sounds"
    rig.set_fire(False)
    time.sleep(3 * DEBOUNCE_S)
    assert rig.unlocked()
    assert rig.letters.count(DoorEventKind.FIRE_CLEARED) == 0
    assert rig.door.reset_fire()
    assert not rig.unlocked()
    assert rig.letters.count(DoorEventKind.FIRE_CLEARED) == 1
    rig.set_fire(True)
    assert rig.letters.heard(DoorEventKind.FIRE, times=2)


def test_a_fire_that_was_not_reset_before_a_restart_is_taken_up_again(
    make: Callable[..., Rig],
) -> None:
    rig = make(max_unlock_s=0.05, unlock_s=0.05)
    assert rig.door.hold_fire()
    assert rig.unlocked()
    assert rig.letters.heard(DoorEventKind.FIRE)
    rig.door.lock()
    time.sleep(3 * DEBOUNCE_S)
    assert rig.unlocked(), "the input is quiet, and the release was not reset"
    assert rig.door.reset_fire()
    assert not rig.unlocked()
    assert rig.letters.count(DoorEventKind.FIRE_CLEARED) == 1


@pytest.mark.parametrize(
    ("name", "began", "ended"),
    [
        (Input.TAMPER, DoorEventKind.TAMPER, DoorEventKind.TAMPER_CLEARED),
        (Input.POWER_FAIL, DoorEventKind.POWER_FAIL, DoorEventKind.POWER_RESTORED),
        (Input.OTHER_DOOR, DoorEventKind.OTHER_OPEN, DoorEventKind.OTHER_CLOSED),
    ],
)
def test_what_changes_is_told_and_moves_nothing(
    make: Callable[..., Rig], name: Input, began: DoorEventKind, ended: DoorEventKind
) -> None:
    rig = make()
    rig.set_input(name, True)
    assert rig.letters.heard(began)
    rig.set_input(name, False)
    assert rig.letters.heard(ended)
    assert not rig.unlocked()


def test_the_key_ends_the_fire_release_once_the_alarm_is_quiet(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.set_fire(True)
    assert rig.letters.heard(DoorEventKind.FIRE)
    rig.set_input(Input.FIRE_RESET, True)
    assert rig.letters.heard(DoorEventKind.FIRE_HELD)
    assert rig.unlocked()
    rig.set_input(Input.FIRE_RESET, False)
    rig.set_fire(False)
    time.sleep(6 * DEBOUNCE_S)
    rig.set_input(Input.FIRE_RESET, True)
    assert rig.letters.heard(DoorEventKind.FIRE_CLEARED)
    assert not rig.unlocked()


@pytest.mark.parametrize("made", [mock_pins, chip_lines], ids=["pins", "lines"])
def test_what_holds_at_the_start_is_told(made: Callable[..., Rig]) -> None:
    rig = made(active=[Input.CONTACT, Input.TAMPER, Input.OTHER_DOOR])
    kinds = {event.kind for event in rig.letters.events}
    assert kinds == {DoorEventKind.FOUND_OPEN, DoorEventKind.TAMPER, DoorEventKind.OTHER_OPEN}
    assert not rig.unlocked()
    rig.door.close()
