"""Opens the configured door and its indicators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gated.config import DoorSettings, Settings
from gated.config.drivers import BUILT_IN
from gated.core.messages import Condition, DoorEvent
from gated.devices.clock import SystemClock
from gated.devices.drivers import DoorDriver, DoorHardware, door_driver, make_door
from gated.devices.guards import GuardedIndicators, made_by
from gated.devices.indicators import LOST, NoIndicators, PlayedIndicators
from gated.ports import Clock, Door, Indicators


def open_door(
    settings: DoorSettings,
    post: Callable[[DoorEvent], None],
    clock: Clock,
    pin_factory: Any = None,
    hardware: DoorHardware | None = None,
) -> Door:
    """Open the configured door, locked. Raises: DeviceError.

    post: called from the door's own thread; must not block. pin_factory: gpiozero's, instead of
    lgpio.
    """
    at = hardware or DoorHardware(pins=pin_factory)
    driver, setup = door_driver(settings, post, clock, at)
    return make_door(driver, setup)


def open_indicators(
    settings: Settings,
    pin_factory: Any = None,
    note: Callable[[Condition], None] | None = None,
) -> Indicators:
    """Open lamps and sounders on the door's hardware, all off. Raises: DeviceError.

    note: takes the condition that some of them cannot be switched, without blocking.
    """
    at = DoorHardware(pins=pin_factory)
    driver, setup = door_driver(settings.door, lambda event: None, SystemClock(), at)
    wired = settings.indicators.pins() or not settings.door.is_on_pins
    if driver.indicators is None or not wired:
        return NoIndicators()
    make = driver.indicators
    opened = made_by(f"door driver {driver.name}", lambda s: make(settings, s), setup)
    if isinstance(opened, PlayedIndicators):
        opened.note = note or opened.note
    elif driver.name not in BUILT_IN["gated.doors"]:
        return GuardedIndicators(driver.name, opened, note or (lambda condition: None), LOST)
    return opened


class NoDoor:
    """The door of a program without one: attendance only, or a hub."""

    unlocked = False
    contact_open: bool | None = None

    def unlock(self, for_s: float) -> None:
        """Do nothing."""

    def lock(self) -> None:
        """Do nothing."""

    def reset_fire(self) -> bool:
        """Return True: there is no fire input."""
        return True

    def close(self) -> None:
        """Do nothing."""


NONE = DoorDriver(name="none", make=lambda setup: NoDoor())
