"""Opens the door that the settings name. Drivers are named, never guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gated.config import DoorSettings, Settings
from gated.core.messages import DoorEvent
from gated.devices.clock import SystemClock
from gated.devices.drivers import DoorDriver, DoorHardware, door_driver, make_door
from gated.devices.indicators import NoIndicators
from gated.ports import Clock, Door, Indicators


def open_door(
    settings: DoorSettings,
    post: Callable[[DoorEvent], None],
    clock: Clock,
    pin_factory: Any = None,
    hardware: DoorHardware | None = None,
) -> Door:
    """The configured door, locked. `pin_factory`: gpiozero's, in place of lgpio; else DeviceError.

    `post` is called from the door's own thread and must not block.
    """
    at = hardware or DoorHardware(pins=pin_factory)
    driver, setup = door_driver(settings, post, clock, at)
    return make_door(driver, setup)


def open_indicators(settings: Settings, pin_factory: Any = None) -> Indicators:
    """Lamps and sounders on the door's hardware, all off; DeviceError."""
    at = DoorHardware(pins=pin_factory)
    driver, setup = door_driver(settings.door, lambda event: None, SystemClock(), at)
    wired = settings.indicators.pins() or not settings.door.is_on_pins
    if driver.indicators is None or not wired:
        return NoIndicators()
    return driver.indicators(settings, setup)


class NoDoor:
    """The door of a program without one: attendance only, or a hub."""

    unlocked = False
    contact_open: bool | None = None

    def unlock(self, for_s: float) -> None:
        """There is nothing to release."""

    def lock(self) -> None:
        """There is nothing to lock."""

    def reset_fire(self) -> bool:
        """No fire input has ever released it."""
        return True

    def close(self) -> None:
        """There is nothing to let go of."""


NONE = DoorDriver(name="none", make=lambda setup: NoDoor())
