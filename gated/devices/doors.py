"""Opens the door that the settings name. Drivers are named, never guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gated.config import DoorSettings
from gated.core.model import DoorEvent
from gated.ports import Clock, Door


def open_door(
    settings: DoorSettings,
    post: Callable[[DoorEvent], None],
    clock: Clock,
    pin_factory: Any = None,
) -> Door:
    """The configured door, locked. `pin_factory`: gpiozero's, in place of lgpio; else DeviceError.

    `post` is called from the door's own thread and must not block.
    """
    match settings.driver:
        case "gpiozero":
            from gated.devices.gpio import GpioDoor

            return GpioDoor(settings, post, pin_factory)
        case "simulated":
            from gated.devices.simulated import SimulatedDoor

            return SimulatedDoor(settings, post, clock)
        case "none":
            return NoDoor()


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
