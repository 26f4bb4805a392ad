"""Runs the installer's door test: each wired output is moved and each wired input read once.

The state directory is locked meanwhile, so that no gate can start; the test refuses to run beside
a gate. The door is locked when the test ends, however it ends.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

from gated.config import Settings
from gated.core.values import Light
from gated.database.state_lock import StateLock
from gated.devices.clock import SystemClock
from gated.devices.doors import open_door, open_indicators
from gated.devices.emergency import locked_level
from gated.devices.indicators import Output, PlayedIndicators
from gated.devices.simulated import SimulatedDoor
from gated.devices.timed_door import Input, TimedDoor
from gated.errors import DeviceError

PULSE_S = 2.0
LAMP_S = 1.0
WAIT_S = 20.0
POLL_S = 0.02

OPERATE = {
    Input.CONTACT: ("open the door leaf", "close it"),
    Input.REX: ("press the exit button", "let go of it"),
    Input.FIRE: ("let the fire alarm's contact open", "close it again"),
    Input.TRIGGER: ("press the trigger", "let go of it"),
    Input.TAMPER: ("open the box", "close it"),
    Input.POWER_FAIL: ("switch the mains of the power supply off", "switch them on"),
    Input.OTHER_DOOR: ("open the other door of the mantrap", "close it"),
    Input.FIRE_RESET: ("turn the key of the fire reset", "turn it back"),
}
SHOWN = {
    Output.ALARM: Light.ALARM,
    Output.IDLE: Light.IDLE,
    Output.LOOK_HERE: Light.LOOK_HERE,
    Output.FAULT: Light.FAULT,
}


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one test step. name: `relay`, an input or an indicator."""

    name: str
    ok: bool
    detail: str


class DoorTester(Protocol):
    """The person who stands at the door."""

    def operate(self, what: str, name: Input, active: bool) -> None:
        """Have an input moved; what: the instruction in words."""

    def confirms(self, question: str) -> bool:
        """Ask a yes-or-no question and return the answer."""


class SimulatedTester:
    """Replaces the person at the simulated door: sets its inputs, answers yes."""

    def __init__(self, door: SimulatedDoor) -> None:
        self._door = door

    def operate(self, what: str, name: Input, active: bool) -> None:
        self._door.set_input(name, active)

    def confirms(self, question: str) -> bool:
        return True


def check_door(
    settings: Settings,
    tester: DoorTester | None,
    *,
    wait_s: float = WAIT_S,
    pulse_s: float = PULSE_S,
) -> Generator[Step, None, None]:
    """Pulse the relay for `pulse_s`, read every wired input, light every wired indicator.

    wait_s: time limit to operate an input. tester: None for the simulated door only.
    Raises: DeviceError, StateLocked while a gate runs.
    """
    if settings.door.driver == "none":
        raise DeviceError("door.driver is none: there is nothing to test")
    with StateLock(settings.storage.state_dir):
        door = open_door(settings.door, lambda event: None, SystemClock())
        indicators = open_indicators(settings)
        try:
            if not isinstance(door, TimedDoor):
                raise DeviceError("this door cannot be tested")
            if tester is None:
                if not isinstance(door, SimulatedDoor):
                    raise DeviceError("somebody has to look at a real door: leave --yes out")
                tester = SimulatedTester(door)
            yield _relay(settings, door, tester, pulse_s)
            for name in door.inputs():
                yield _input(door, name, tester, wait_s, 2 * settings.door.debounce_s + 0.1)
            if isinstance(indicators, PlayedIndicators):
                yield from _indicators(indicators, tester)
        finally:
            indicators.close()
            door.close()


def _relay(settings: Settings, door: TimedDoor, tester: DoorTester, pulse_s: float) -> Step:
    level = "high" if locked_level(settings.door) else "low"
    locked = tester.confirms(f"the relay's pin is {level}: is the door locked now?")
    door.unlock(pulse_s)
    released = door.unlocked
    open_ = tester.confirms(f"was it released for {pulse_s:g} s?")
    time.sleep(pulse_s + 0.2)
    if not locked:
        return Step("relay", False, "not locked at rest: check lock_type and relay_active_high")
    if not (released and open_):
        return Step("relay", False, "did not release: check the wires and the lock's supply")
    if door.unlocked:
        return Step("relay", False, "did not lock again")
    return Step("relay", True, f"locked at {level}, released for {pulse_s:g} s, locked again")


def _input(
    door: TimedDoor, name: Input, tester: DoorTester, wait_s: float, settle_s: float
) -> Step:
    if door.inputs()[name]:
        return Step(name, False, "active before anybody touched it: swapped, open or stuck")
    begin, end = OPERATE[name]
    for what, active in ((begin, True), (end, False)):
        tester.operate(what, name, active)
        if not _becomes(door, name, active, wait_s):
            return Step(name, False, f"nothing changed: {what}")
        # the door has to debounce the input before the next step
        time.sleep(settle_s)
        if name is Input.FIRE and active and not door.unlocked:
            return Step(name, False, "the fire input did not release the door")
    if name is Input.FIRE and not door.reset_fire():
        return Step(name, False, "the fire release could not be reset")
    return Step(name, True, f"{begin}, {end}")


def _becomes(door: TimedDoor, name: Input, active: bool, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while door.inputs()[name] != active:
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_S)
    return True


def _indicators(indicators: PlayedIndicators, tester: DoorTester) -> Iterator[Step]:
    for output in indicators.wired:
        if output in SHOWN:
            indicators.show(frozenset({SHOWN[output]}))
        else:
            indicators.flash(granted=output is not Output.DENIED)
        time.sleep(LAMP_S / 10)
        driven = output in indicators.on
        seen = tester.confirms(f"is the {output.replace('_', ' ')} on (or was it)?")
        indicators.show(frozenset())
        yield Step(output, driven and seen, "on and off" if driven and seen else "stays off")
