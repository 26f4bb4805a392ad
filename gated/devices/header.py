"""Finds the 40-pin header among the GPIO chips of the computer. Imports nothing heavy."""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gated.errors import DeviceError

DEV = Path("/dev")
HEADER_LABELS = ("pinctrl-rp1", "pinctrl-bcm2")
"""Labels of the chips that carry the header (Pi 5; Pi 4 and older)."""


def import_lgpio() -> Any:
    """The lgpio module; DeviceError with advice when it cannot be had."""
    try:
        # on import it makes a pipe in the working directory, which may be anyone's
        with TemporaryDirectory(prefix="gated-lgpio-") as room, contextlib.chdir(room):
            import lgpio
    except ImportError as error:
        raise DeviceError(
            f"door.driver: gpiozero needs the extra `pi` (pip install 'gated[pi]'): {error}"
        ) from error
    except OSError as error:
        raise DeviceError(f"lgpio cannot be started: {error}") from error
    return lgpio


def header_chip(lgpio: Any, dev: Path = DEV) -> int:
    """Number of the gpiochip that carries the 40-pin header; it differs between Pi models."""
    numbers = sorted(int(p.name[8:]) for p in dev.glob("gpiochip*") if p.name[8:].isdigit())
    problems = []
    for number in numbers:
        try:
            handle = lgpio.gpiochip_open(number)
        except Exception as error:
            problems.append(f"/dev/gpiochip{number}: {error}")
            continue
        try:
            label = str(lgpio.gpio_get_chip_info(handle)[3])
        finally:
            lgpio.gpiochip_close(handle)
        if label.startswith(HEADER_LABELS):
            return number
    if problems:
        raise DeviceError(f"{'; '.join(problems)} (is the user in the group gpio?)")
    raise DeviceError("this computer has no GPIO header: door.driver: simulated or none")
