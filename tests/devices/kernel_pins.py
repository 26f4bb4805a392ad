"""GPIO pins that outlive the process that drives them, as the kernel of Raspberry Pi OS keeps them.

Their levels stand in a JSON file. `door` makes the gate's door on them (gpiozero's mock pins that
write there), `KernelPins` is what `gated door lock` sees of lgpio. Run as a program with a file,
this opens the door and waits to be killed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from gated.config import DoorSettings
from gated.core.messages import DoorEvent
from gated.devices.clock import SystemClock
from gated.devices.doors import open_door
from gated.devices.simulated import SimulatedGpio
from gated.ports import Door

RELAY = 17
SETTINGS = DoorSettings(driver="gpiozero", relay_pin=RELAY, max_unlock_s=600)


def levels(file: Path) -> dict[int, int]:
    """Pin -> level, as the kernel holds them now."""
    if not file.exists():
        return {}
    return {int(pin): level for pin, level in json.loads(file.read_text()).items()}


def hold(file: Path, pin: int, level: int) -> None:
    """The kernel drives this pin from now on."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps({**levels(file), pin: level}))
    new.replace(file)


class KernelPins(SimulatedGpio):
    """lgpio over the file."""

    def __init__(self, file: Path) -> None:
        super().__init__(levels=levels(file))
        self._file = file

    def gpio_claim_output(self, handle: int, pin: int, level: int = 0) -> int:
        hold(self._file, pin, level)
        return super().gpio_claim_output(handle, pin, level)


def door(file: Path) -> Door:
    """The gate's door on these pins."""
    from gpiozero.pins.mock import MockFactory, MockPin

    class KernelPin(MockPin):  # type: ignore[misc]
        def _change_state(self, value: Any) -> bool:
            changed: bool = super()._change_state(value)
            if self.function == "output":
                hold(file, RELAY, int(value))
            return changed

    def nobody(event: DoorEvent) -> None:
        """Nobody listens."""

    return open_door(SETTINGS, nobody, SystemClock(), MockFactory(pin_class=KernelPin))


if __name__ == "__main__":
    opened = door(Path(sys.argv[1]))
    opened.unlock(600)
    print("released", flush=True)
    time.sleep(600)
