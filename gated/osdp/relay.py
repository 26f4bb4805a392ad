"""An output module as a door: its relay hangs on the secure side, behind an encrypted line.

A release is a timed output, so that the module locks by itself a second after the gate should have,
whatever becomes of gate and line. The state is sent again twice a second: each time the module
confirms it with the keys of the secure channel.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from gated.devices.bus_door import BoardState, bus_driver, relay_of
from gated.devices.drivers import Check, DoorSetup
from gated.errors import DeviceError
from gated.osdp.bus import OsdpBus, Station, join_bus, leave_bus, wait_secure
from gated.osdp.library import Line, import_library, read_key

OFF, ON, ON_FOR, OFF_FOR = 1, 2, 5, 6
"""Control codes of osdp_OUT: off or on for good, on or off for a time."""
STEP_S, LONGEST_STEPS = 0.1, 0xFFFF
ORDER_S = 1.0
SECURE_S = 1.9
OUTPUTS = 255


class OsdpRelay:
    """One output of a module (bus_door.RelayLink)."""

    def __init__(self, setup: DoorSetup) -> None:
        self._line: Line = setup.options
        self._output = relay_of(setup.settings)
        if len(setup.settings.pins()) > 1:
            raise DeviceError("door.driver osdp has no inputs: only door.relay_pin can be set")
        if self._output > OUTPUTS:
            raise DeviceError(f"door.relay_pin: the outputs of a module are 0 to {OUTPUTS}")
        self._key = read_key(self._line.key_file)
        self._command = import_library().CMD_OUTPUT
        self._joined: tuple[OsdpBus, Station] | None = None
        self._energised = False
        self._ends: float | None = None
        self.name = f"output {self._output} of address {self._line.address} at {self._line.device}"

    def open(self) -> None:
        """Join the bus and wait for the secure channel; DeviceError."""
        if self._joined is None:
            self._joined = join_bus(self._line, self._key)
        wait_secure(*self._joined, SECURE_S)

    def drive(self, energised: bool, for_s: float | None) -> None:
        """Set the output, which the module confirms; DeviceError."""
        self._energised = energised
        self._ends = None if for_s is None else time.monotonic() + for_s
        self._tell()

    def look(self, inputs: Iterable[int]) -> BoardState:
        """Say again what is wanted; DeviceError when the module does not confirm it."""
        bus, station = self._opened()
        with bus.changed:
            if station.tampered:
                raise DeviceError("tamper: the module says that it was opened")
        self._tell()
        return BoardState()

    def close(self) -> None:
        """Leave the bus; the output stays as it is, a timed one ends."""
        joined, self._joined = self._joined, None
        if joined is not None:
            leave_bus(*joined)

    def _tell(self) -> None:
        bus, station = self._opened()
        code, steps = (ON if self._energised else OFF), 0
        if self._ends is not None:
            left = self._ends - time.monotonic()
            code = ON_FOR if self._energised else OFF_FOR
            steps = max(1, min(LONGEST_STEPS, round(left / STEP_S)))
        command: dict[str, Any] = {
            "command": self._command,
            "output_no": self._output,
            "control_code": code,
            "timer_count": steps,
        }
        bus.order(station, command, ORDER_S)

    def _opened(self) -> tuple[OsdpBus, Station]:
        if self._joined is None:
            raise DeviceError("not open")
        return self._joined


def _check(setup: DoorSetup) -> Iterator[Check]:
    yield Check("ok", "the module locks by itself when nobody speaks to it")


DRIVER = bus_driver("osdp", OsdpRelay, Line, _check)
