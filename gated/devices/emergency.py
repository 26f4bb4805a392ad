"""Locks the door without the program: what systemd runs after every stop, crashes included.

Stands on lgpio alone, so that it works when the rest does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gated.config import DoorSettings
from gated.devices.header import DEV, header_chip, import_lgpio
from gated.errors import DeviceError


def locked_level(door: DoorSettings) -> int:
    """Level of the relay pin at which the door is locked: 0 or 1."""
    energised = door.lock_type == "maglock"
    return int(energised == door.relay_active_high)


def lock_door(door: DoorSettings, lgpio: Any = None, dev: Path = DEV) -> str:
    """Drive the relay to its locked level and leave it there; say in one line what was done.

    A fire input that is active is obeyed: the relay is left as it is. DeviceError when the pin
    cannot be had, for instance because the gate is running.
    """
    if door.driver != "gpiozero":
        return f"door.driver is {door.driver}: there is nothing to drive"
    lgpio = lgpio if lgpio is not None else import_lgpio()
    chip = header_chip(lgpio, dev)
    try:
        handle = lgpio.gpiochip_open(chip)
        try:
            return _lock(door, lgpio, handle)
        finally:
            # the kernel of Raspberry Pi OS goes on driving the pin
            lgpio.gpiochip_close(handle)
    except Exception as error:
        raise DeviceError(
            f"the relay on GPIO{door.relay_pin} cannot be driven: {error} "
            "(a running gate holds it and locks it itself)"
        ) from error


def _lock(door: DoorSettings, lgpio: Any, handle: int) -> str:
    if door.fire_pin is not None:
        lgpio.gpio_claim_input(handle, door.fire_pin, lgpio.SET_PULL_UP)
        if lgpio.gpio_read(handle, door.fire_pin):
            return f"the fire input (GPIO{door.fire_pin}) is active: the door is left as it is"
    level = locked_level(door)
    lgpio.gpio_claim_output(handle, door.relay_pin, level)
    if lgpio.gpio_read(handle, door.relay_pin) != level:
        raise DeviceError("the pin does not follow")
    return f"locked: GPIO{door.relay_pin} is driven {'high' if level else 'low'}"
