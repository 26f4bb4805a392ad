"""What only one kind of door does: pins and levels, a jammed relay, no door at all."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gated.config import DoorSettings
from gated.core.messages import DoorEvent
from gated.core.values import DoorEventKind
from gated.devices.clock import ManualClock, SystemClock
from gated.devices.doors import NoDoor, open_door
from gated.devices.emergency import locked_level
from gated.devices.header import find_header
from gated.devices.simulated import SimulatedDoor, SimulatedGpio
from gated.devices.timed_door import Input
from gated.errors import DeviceError
from gated.runtime.watchdog import stuck
from tests.devices.test_door_contract import DEBOUNCE_S, FIRE, HARDWARE, RELAY, REX, mock_pins
from tests.devices.waiting import eventually


def levels(factory: Any, pin: int = RELAY) -> list[bool]:
    return [bool(state.state) for state in factory.pin(pin).states]


@pytest.mark.parametrize("hardware", HARDWARE, ids=str)
def test_the_relay_moves_once_per_visit_however_many_grants(hardware: dict[str, Any]) -> None:
    rig = mock_pins(**hardware)
    pin = rig.factory.pin(RELAY)
    locked = bool(locked_level(DoorSettings(**hardware)))
    assert pin.function == "output"
    assert bool(pin.state) is locked
    pin.clear_states()
    for _ in range(3):
        rig.door.unlock(0.1)
        time.sleep(0.03)
    assert rig.letters.heard(DoorEventKind.RELOCKED)
    assert levels(rig.factory) == [locked, not locked, locked]
    rig.door.close()
    assert pin.function == "input"


@pytest.mark.parametrize("hardware", HARDWARE, ids=str)
def test_the_first_level_that_is_driven_is_the_locked_one(hardware: dict[str, Any]) -> None:
    mock = pytest.importorskip("gpiozero.pins.mock", reason="gpiozero (extra pi) is missing")
    driven: list[tuple[str, bool]] = []

    class Watched(mock.MockPin):  # type: ignore[misc, name-defined]
        def output_with_state(self, state: bool) -> None:
            super().output_with_state(state)
            driven.append(("output", bool(state)))

        def _set_state(self, value: bool) -> None:
            super()._set_state(value)
            driven.append(("state", bool(value)))

    settings = DoorSettings(driver="gpiozero", relay_pin=RELAY, accept_boot_glitch=True, **hardware)
    door = open_door(settings, print, SystemClock(), mock.MockFactory(pin_class=Watched))
    door.close()
    assert {state for _, state in driven} == {bool(locked_level(settings))}


def test_close_locks_before_it_lets_go_of_the_pin() -> None:
    rig = mock_pins()
    rig.door.unlock(30.0)
    rig.factory.pin(RELAY).clear_states()
    rig.door.close()
    assert levels(rig.factory) == [True, False]
    assert rig.factory.pin(RELAY).function == "input"


def test_a_bounce_shorter_than_the_debounce_time_is_not_believed() -> None:
    rig = mock_pins()
    for _ in range(3):
        rig.factory.pin(REX).drive_low()
        rig.factory.pin(REX).drive_high()
    time.sleep(5 * DEBOUNCE_S)
    assert rig.letters.events == []
    assert levels(rig.factory) == [False]


def test_an_input_that_chatters_for_ever_is_not_put_off_for_ever() -> None:
    rig = mock_pins()

    def chatter() -> bool:
        rig.set_fire(False)
        rig.set_fire(True)
        return bool(rig.letters.events)

    assert eventually(chatter)
    assert rig.unlocked()
    rig.set_fire(False)
    assert rig.door.reset_fire()


def test_an_edge_that_the_kernel_lost_is_found() -> None:
    rig = mock_pins()
    rig.factory.pin(FIRE)._state = True
    assert rig.letters.heard(DoorEventKind.FIRE)
    assert rig.unlocked()


def test_fire_at_start_releases_at_once() -> None:
    rig = mock_pins(fire=True)
    assert rig.unlocked()
    assert rig.letters.count(DoorEventKind.FIRE) == 1
    rig.door.close()


def test_a_button_that_is_stuck_does_not_open_at_every_start() -> None:
    rig = mock_pins(rex=True)
    time.sleep(3 * DEBOUNCE_S)
    assert rig.letters.events == []
    assert rig.door.inputs() == dict.fromkeys(Input, False) | {Input.REX: True}
    rig.factory.pin(REX).drive_high()
    time.sleep(3 * DEBOUNCE_S)
    rig.press_rex()
    assert rig.letters.heard(DoorEventKind.REX)
    rig.door.close()


def test_a_pin_in_use_is_a_device_error_and_leaves_nothing_behind() -> None:
    rig = mock_pins()
    settings = DoorSettings(driver="gpiozero", relay_pin=RELAY)
    with pytest.raises(DeviceError, match="pins cannot be used"):
        open_door(settings, print, SystemClock(), rig.factory)
    other = DoorSettings(driver="gpiozero", relay_pin=25, rex_pin=REX)
    with pytest.raises(DeviceError):
        open_door(other, print, SystemClock(), rig.factory)
    assert rig.factory.pin(25).function == "input", "a half-made door gives its pins back"
    rig.door.close()


@pytest.mark.parametrize("label", ["pinctrl-bcm2711", "pinctrl-bcm2835", "pinctrl-rp1"])
def test_the_chip_of_the_header_is_found_by_its_label(tmp_path: Path, label: str) -> None:
    for number in (0, 4, 10):
        (tmp_path / f"gpiochip{number}").touch()
    gpio = SimulatedGpio({0: "raspberrypi-exp-gpio", 4: "gpio-brcmstb", 10: label})
    assert find_header(gpio, tmp_path).chip == 10
    assert not gpio.open_chips


def test_without_a_header_the_door_is_not_opened_and_nothing_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no GPIO header"):
        find_header(SimulatedGpio(), tmp_path)
    (tmp_path / "gpiochip0").touch()
    with pytest.raises(DeviceError, match="no GPIO header"):
        find_header(SimulatedGpio({0: "some-expander"}), tmp_path)
    with pytest.raises(DeviceError, match="group gpio"):
        find_header(SimulatedGpio({}), tmp_path)


def jammed() -> tuple[SimulatedDoor, list[DoorEvent]]:
    events: list[DoorEvent] = []
    door = SimulatedDoor(DoorSettings(), events.append, SystemClock())
    return door, events


def test_a_relay_that_cannot_be_released_is_a_fault() -> None:
    door, events = jammed()
    door.jam()
    with pytest.raises(DeviceError, match="jammed"):
        door.unlock(1.0)
    assert [e.kind for e in events] == [DoorEventKind.FAULT]
    door.jam(False)
    door.close()


def test_a_relay_that_does_not_lock_is_tried_again_and_told_once() -> None:
    door, events = jammed()
    door.unlock(0.05)
    door.jam()
    assert eventually(lambda: any(e.kind is DoorEventKind.FAULT for e in events))
    time.sleep(1.2)
    assert door.unlocked
    door.jam(False)
    assert eventually(lambda: not door.unlocked)
    assert [e.kind for e in events].count(DoorEventKind.FAULT) == 1
    door.close()


def test_the_end_of_a_fault_is_told_once() -> None:
    door, events = jammed()
    door.unlock(0.05)
    door.jam()
    assert eventually(lambda: [e.kind for e in events] == [DoorEventKind.FAULT])
    door.jam(False)
    assert eventually(lambda: DoorEventKind.FAULT_OVER in [e.kind for e in events])
    time.sleep(1.2)
    assert [e.kind for e in events].count(DoorEventKind.FAULT_OVER) == 1
    door.close()


@pytest.mark.parametrize(
    ("input_", "kind"), [(Input.FIRE, DoorEventKind.FIRE), (Input.REX, DoorEventKind.REX)]
)
def test_who_leaves_without_the_relay_is_told_of(input_: Input, kind: DoorEventKind) -> None:
    """Fire panel and exit button free the lock themselves: what opens then is not forced."""
    door, events = jammed()
    door.jam()
    with suppress(DeviceError):
        door.set_input(input_, True)
    assert kind in [e.kind for e in events]
    door.jam(False)
    assert eventually(lambda: door.unlocked == (input_ is Input.FIRE))
    door.close()


def test_a_fire_release_that_was_reset_is_over_though_the_relay_fails() -> None:
    door, events = jammed()
    door.fire()
    door.end_fire()
    door.jam()
    with pytest.raises(DeviceError):
        door.reset_fire()
    assert DoorEventKind.FIRE_CLEARED in [e.kind for e in events]
    door.jam(False)
    assert eventually(lambda: not door.unlocked)
    door.close()


class HangingDoor(SimulatedDoor):
    """A door whose chip does not return from a call, as one on a bus that hangs."""

    def __init__(self, *given: Any) -> None:
        self.hangs, self.goes_on = False, threading.Event()
        super().__init__(*given)

    def _active(self, name: Input) -> bool:
        if self.hangs and threading.current_thread() is self._thread:
            self.goes_on.wait(30)
        return super()._active(name)


def test_the_watchdog_sees_a_door_whose_thread_hangs_with_the_door_released() -> None:
    door = HangingDoor(DoorSettings(), lambda event: None, SystemClock())
    assert stuck([door]) == []
    door.unlock(0.1)
    door.hangs, door.beat_limit_s = True, 0.3
    assert eventually(lambda: stuck([door]) == ["door"], 10)
    door.goes_on.set()
    door.close()
    assert stuck([door]) == []


def test_the_simulated_door_tells_when_its_relay_moved() -> None:
    clock = ManualClock(mono=50.0)
    door = SimulatedDoor(DoorSettings(), lambda event: None, clock)
    door.unlock(20.0)
    clock.advance(2.5)
    door.lock()
    door.lock()
    assert [(e.at, e.released) for e in door.edges] == [(50.0, True), (52.5, False)]
    door.close()


def test_no_door_has_nothing_to_unlock() -> None:
    door = open_door(DoorSettings(driver="none"), print, SystemClock())
    assert isinstance(door, NoDoor)
    door.unlock(5.0)
    assert not door.unlocked
    assert door.contact_open is None
    door.lock()
    door.close()
