"""Locks the door without the program; run by systemd after every stop, crashes included.

Needs lgpio alone, so that it works when the rest does not; outside drivers bring their own
function.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gated.config import DoorSettings
from gated.devices.header import DEV, SYS, Header, find_chip, find_header, import_lgpio
from gated.errors import DeviceError


def locked_level(door: DoorSettings) -> int:
    """Return the level of the relay pin at which the door is locked: 0 or 1."""
    energised = door.lock_type == "maglock"
    return int(energised == door.relay_active_high)


def locks_undriven(door: DoorSettings) -> bool:
    """Return whether the door stays locked when only the pull resistor drives the relay's pin.

    A maglock needs an energised relay, which no pull resistor provides.
    """
    return door.lock_type == "strike" and not door.energised_at_reset


def at_exit(door: DoorSettings, header: Header, sys: Path = SYS) -> str | None:
    """Return why the door would not stay locked when the program ends, with advice; None: it does.

    Also when the kernel does not say whether it keeps outputs.
    """
    if header.keeps_outputs(sys) is not False or locks_undriven(door):
        return None
    return (
        f"this kernel lets GPIO{door.relay_pin} go when the program ends, and the {door.lock_type} "
        f"is released then: {header.advice}"
    )


def lock_door(door: DoorSettings, lgpio: Any = None, dev: Path = DEV, sys: Path = SYS) -> str:
    """Lock without the program, and return a line on what was done.

    Raises: DeviceError when it cannot be locked, for instance because the gate is running.
    """
    match door.driver:
        case "gpiozero":
            return lock_on_header(door, lgpio, dev, sys)
        case "gpiochip":
            return lock_on_chip(door, lgpio, dev)
        case "simulated" | "none":
            return f"door.driver is {door.driver}: there is nothing to drive"
        case _:
            return _lock_from_outside(door)


def _lock_from_outside(door: DoorSettings) -> str:
    from gated.devices.clock import SystemClock
    from gated.devices.drivers import door_driver
    from gated.devices.guards import made_by

    driver, setup = door_driver(door, lambda event: None, SystemClock())
    if driver.lock is None:
        raise DeviceError(
            f"door.driver {door.driver} cannot lock without the program: look at the door"
        )
    return made_by(f"door driver {driver.name}", driver.lock, setup)


def lock_on_chip(door: DoorSettings, lgpio: Any = None, dev: Path = DEV) -> str:
    """Drive the relay's line to its locked level; return what was done. Raises: DeviceError."""
    lgpio = lgpio if lgpio is not None else import_lgpio()
    done, locked = lock_line(door, lgpio, find_chip(lgpio, door.chip or "", dev))
    return f"{done}; a resistor keeps it so" if locked else done


def lock_on_header(door: DoorSettings, lgpio: Any = None, dev: Path = DEV, sys: Path = SYS) -> str:
    """Drive the relay's pin to its locked level and leave it there; return what was done.

    While a fire input is active the relay is left as it is; one that cannot be read does not keep
    the door from being locked. Raises: DeviceError when the pin is not available, for instance
    because the gate is running, or when the kernel does not keep its level.
    """
    lgpio = lgpio if lgpio is not None else import_lgpio()
    header = find_header(lgpio, dev)
    done, locked = lock_line(door, lgpio, header.chip)
    return done if not locked else _kept(door, done, header, sys)


def lock_line(door: DoorSettings, lgpio: Any, chip: int) -> tuple[str, bool]:
    """Drive the relay's line to its locked level; return what was done, and whether it is locked.

    Raises: DeviceError when the line is not available.
    """
    try:
        handle = lgpio.gpiochip_open(chip)
        try:
            return _lock(door, lgpio, handle)
        finally:
            lgpio.gpiochip_close(handle)
    except Exception as error:
        raise DeviceError(
            f"the relay on {door.line(door.relay_pin)} cannot be driven: {error} "
            "(a running gate holds it and locks it itself)"
        ) from error


def _kept(door: DoorSettings, done: str, header: Header, sys: Path) -> str:
    """Describe the state of the pin after it was released."""
    problem = at_exit(door, header, sys)
    if problem is None and header.keeps_outputs(sys) is False:
        return f"{done} and was let go of: its pull resistor keeps the strike locked"
    if problem is None:
        return done
    if door.accept_release_at_exit:
        return f"NOT locked: {problem}"
    raise DeviceError(f"NOT locked: {problem}")


def _lock(door: DoorSettings, lgpio: Any, handle: int) -> tuple[str, bool]:
    """Lock the door; return what was done, and whether the pin is at its locked level now."""
    fire = door.line(door.fire_pin)
    try:
        burns, unread = door.fire_pin is not None and _fire(door, lgpio, handle), ""
    except Exception as error:
        # the panel is wired to the lock as well: a line that is lost must not leave the door open
        burns, unread = False, f"; the fire input ({fire}) cannot be read: {error}"
    if burns:
        return f"the fire input ({fire}) is active: the door is left as it is", False
    level = locked_level(door)
    lgpio.gpio_claim_output(handle, door.relay_pin, level)
    if lgpio.gpio_read(handle, door.relay_pin) != level:
        raise DeviceError("the pin does not follow")
    relay = door.line(door.relay_pin)
    return f"locked: {relay} is driven {'high' if level else 'low'}{unread}", True


def _fire(door: DoorSettings, lgpio: Any, handle: int) -> bool:
    """Return whether the fire input is active."""
    lgpio.gpio_claim_input(handle, door.fire_pin, lgpio.SET_PULL_UP if door.pull_up else 0)
    return bool(lgpio.gpio_read(handle, door.fire_pin))
