"""The door on any GPIO chip: which chip it is, and what reaches its lines."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gated.config import AlarmSettings, CameraSettings, DoorSettings, IndicatorSettings, Settings
from gated.core.messages import DoorEvent
from gated.core.values import DoorEventKind, Light
from gated.devices.clock import SystemClock
from gated.devices.doors import open_door
from gated.devices.drivers import DoorHardware, door_driver
from gated.devices.emergency import lock_door, locked_level
from gated.devices.header import find_chip
from gated.devices.simulated import SimulatedGpio
from gated.devices.timed_door import Input
from gated.errors import DeviceError
from tests.devices.test_door_contract import FIRE, HARDWARE, REX, WIRING, chip_lines
from tests.devices.waiting import eventually

RELAY, BUZZER = 300, 301
WORDS: dict[str, Any] = {"driver": "gpiochip", "chip": "ftdi-cbus", "relay_pin": RELAY}


def dev_of(tmp_path: Path, gpio: SimulatedGpio) -> Path:
    for number in gpio.labels:
        (tmp_path / f"gpiochip{number}").touch()
    return tmp_path


def nobody(event: object) -> None:
    """Nobody listens."""


def test_the_chip_is_found_by_its_label_and_by_its_path(tmp_path: Path) -> None:
    gpio = SimulatedGpio({0: "nct6106", 2: "ftdi-cbus"})
    dev = dev_of(tmp_path, gpio)
    assert find_chip(gpio, "ftdi-cbus", dev) == 2
    assert find_chip(gpio, "/dev/gpiochip2", dev) == 2
    (tmp_path / "door").symlink_to(tmp_path / "gpiochip2")
    assert find_chip(gpio, "/dev/door", dev) == 2, "a link that udev makes stays the same"
    assert not gpio.open_chips


@pytest.mark.parametrize(
    ("labels", "wanted", "says"),
    [
        ({0: "a", 1: "b"}, "c", "there are: a, b"),
        ({}, "c", "none at all"),
        ({0: "a", 1: "a"}, "a", "both called a: give the path"),
        ({0: "a"}, "/etc/passwd", "is no GPIO chip"),
        ({0: "a"}, "/dev/null", "is no GPIO chip"),
    ],
)
def test_a_chip_that_is_not_there_is_not_guessed(
    tmp_path: Path, labels: dict[int, str], wanted: str, says: str
) -> None:
    gpio = SimulatedGpio(labels)
    with pytest.raises(DeviceError, match=says):
        find_chip(gpio, wanted, dev_of(tmp_path, gpio))


@pytest.mark.parametrize("hardware", HARDWARE, ids=str)
def test_the_only_levels_of_the_relay_are_those_of_the_lease(hardware: dict[str, Any]) -> None:
    rig = chip_lines(**hardware)
    gpio: SimulatedGpio = rig.factory
    line = 17
    locked = locked_level(DoorSettings(**hardware))
    rig.door.unlock(30.0)
    rig.door.close()
    driven = [level for at, level in gpio.written if at == line]
    changes = [driven[0], *(b for a, b in pairwise(driven) if a != b)]
    assert changes == [locked, 1 - locked, locked]
    assert not gpio.open_chips


def test_a_chip_without_pull_ups_says_what_to_set() -> None:
    with pytest.raises(DeviceError, match="pull_up: false"):
        chip_lines(pulls=False, pull_up=True)


def test_a_line_that_others_hold_is_a_device_error_and_leaves_nothing_open(tmp_path: Path) -> None:
    gpio = SimulatedGpio({0: "ftdi-cbus"})
    gpio.busy = {RELAY}
    at = DoorHardware(lgpio=gpio, dev=dev_of(tmp_path, gpio))
    with pytest.raises(DeviceError, match=r"busy.*gpioinfo"):
        open_door(DoorSettings(**WORDS), nobody, SystemClock(), hardware=at)
    assert not gpio.open_chips


def test_a_short_press_is_seen_where_the_chip_reports_no_edges() -> None:
    rig = chip_lines(edges=False, unlock_s=30.0)
    rig.factory.turn(REX, 0)
    assert eventually(lambda: rig.door.unlocked)
    rig.door.close()


def test_the_door_is_locked_without_the_program(tmp_path: Path) -> None:
    gpio = SimulatedGpio({0: "ftdi-cbus"}, {RELAY: 1})
    said = lock_door(DoorSettings(**WORDS), gpio, dev_of(tmp_path, gpio))
    assert said == "locked: line 300 of ftdi-cbus is driven low; a resistor keeps it so"
    assert gpio.levels[RELAY] == 0


def test_lamps_are_lines_of_the_same_chip(tmp_path: Path) -> None:
    gpio = SimulatedGpio({0: "ftdi-cbus"})
    settings = Settings(
        camera=CameraSettings(driver="v4l2"),
        door=DoorSettings(**WORDS),
        indicators=IndicatorSettings(buzzer_pin=BUZZER, idle_pin=0, active_high=False),
        alarms=AlarmSettings(sound_s=1),
    )
    at = DoorHardware(lgpio=gpio, dev=dev_of(tmp_path, gpio))
    driver, setup = door_driver(settings.door, nobody, SystemClock(), at)
    assert driver.indicators is not None
    shown = driver.indicators(settings, setup)
    assert (gpio.levels[BUZZER], gpio.levels[0]) == (1, 1), "off from the first moment on"
    shown.show(frozenset({Light.IDLE}))
    assert eventually(lambda: gpio.levels[0] == 0)
    shown.close()
    assert gpio.levels[0] == 1
    assert not gpio.open_chips


def test_the_doctor_says_what_is_not_known_of_such_a_chip() -> None:
    for lock_type, state in (("strike", "ok"), ("maglock", "warn")):
        settings = DoorSettings(**WORDS, lock_type=lock_type)  # type: ignore[arg-type]
        driver, setup = door_driver(settings, nobody, SystemClock())
        assert [check.state for check in driver.check(setup)] == [state]


def test_polling_does_not_end_a_lease_early() -> None:
    rig = chip_lines(edges=False)
    rig.door.unlock(0.3)
    time.sleep(0.15)
    assert rig.unlocked()
    rig.door.close()


def test_a_chip_that_is_unplugged_and_comes_back_under_another_number_works_again(
    tmp_path: Path,
) -> None:
    """Locked, whatever was asked meanwhile, and with a lamp that shows again what it showed."""
    gpio = SimulatedGpio({2: "ftdi-cbus"}, {REX: 1})
    dev, events = dev_of(tmp_path, gpio), list[DoorEvent]()
    settings = DoorSettings(**WORDS, rex_pin=REX, debounce_s=0.02, unlock_s=30.0)
    at = DoorHardware(lgpio=gpio, dev=dev)
    door = open_door(settings, events.append, SystemClock(), hardware=at)
    driver, setup = door_driver(settings, nobody, SystemClock(), at)
    assert driver.indicators is not None
    lamps = Settings(
        camera=CameraSettings(driver="v4l2"),
        door=settings,
        indicators=IndicatorSettings(idle_pin=0),
    )
    shown = driver.indicators(lamps, setup)
    door.unlock(20.0)
    gpio.unplug(2)
    assert eventually(lambda: [e.kind for e in events] == [DoorEventKind.FAULT])
    with pytest.raises(DeviceError, match="No such device"):
        door.lock()
    shown.show(frozenset({Light.IDLE}))
    gpio.turn(REX, 0)
    gpio.written.clear()
    (dev / "gpiochip7").touch()
    gpio.plug(7, "ftdi-cbus")
    assert eventually(lambda: (RELAY, 0) in gpio.written and gpio.levels[0] == 1)
    assert (RELAY, 1) not in gpio.written, "a button that is pressed then is no request"
    gpio.turn(REX, 1)
    assert eventually(lambda: not door.inputs()[Input.REX])  # type: ignore[attr-defined]
    time.sleep(0.1)
    gpio.turn(REX, 0)
    assert eventually(lambda: (RELAY, 1) in gpio.written)
    shown.close()
    door.close()
    assert not gpio.open_chips


@pytest.mark.parametrize("broken", [Input.REX, Input.CONTACT])
def test_an_input_that_cannot_be_read_hides_no_fire(broken: Input, tmp_path: Path) -> None:
    rig = chip_lines(dev=tmp_path)
    gpio: SimulatedGpio = rig.factory
    claimed = len(gpio.written)
    gpio.unreadable = {WIRING[f"{broken}_pin"]}
    assert rig.letters.heard(DoorEventKind.FAULT)
    # after some checks that failed the chip is opened anew, and the wire is still broken
    assert eventually(lambda: len(gpio.written) > claimed + 1)
    gpio.turn(FIRE, 1)
    assert rig.letters.heard(DoorEventKind.FIRE)
    assert rig.door.unlocked
    rig.door.close()
