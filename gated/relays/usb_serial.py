"""Relay boards on USB that take four bytes (LCUS and its like, CH340): A0, relay, 0 or 1, sum.

The board says nothing. Whether it is there is seen by whether the port takes what is written, and
what is wanted is written again at each look: a board that was plugged out and in locks at once. It
has no timer of its own: a computer that hangs while it releases leaves the relay as it is, until
the machine's own watchdog restarts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from gated.config import Section
from gated.devices.bus_door import BoardState, bus_driver, relay_of
from gated.devices.drivers import Check, DoorSetup
from gated.devices.serial_port import SerialPort
from gated.errors import DeviceError

START = 0xA0
WRITE_S = 0.5
RELAYS = 16
"""On the largest of these boards."""


class UsbRelayOptions(Section):
    """The options of `door.driver: usb-relay`."""

    device: Path
    """Such as /dev/serial/by-path/..., which stays the same when others are plugged."""
    baud: Literal[9600, 19200, 38400, 57600, 115200] = 9600


def frame(relay: int, energised: bool) -> bytes:
    """Return what moves a relay, counted from 1."""
    body = (START, relay, int(energised))
    return bytes((*body, sum(body) & 0xFF))


class UsbRelay:
    """One relay of a board (bus_door.RelayLink)."""

    def __init__(self, setup: DoorSetup) -> None:
        options: UsbRelayOptions = setup.options
        self._relay = relay_of(setup.settings)
        if not 1 <= self._relay <= RELAYS:
            raise DeviceError(f"door.relay_pin: the relays of such a board are 1 to {RELAYS}")
        if len(setup.settings.pins()) > 1:
            raise DeviceError("door.driver usb-relay has no inputs: only door.relay_pin can be set")
        self._port = SerialPort(options.device, options.baud)
        self._energised = False
        self.name = f"relay {self._relay} at {options.device}"

    def open(self) -> None:
        """Take the port; DeviceError."""
        self._port.open()

    def drive(self, energised: bool, for_s: float | None) -> None:
        """Move the relay; DeviceError when the port is gone."""
        self._energised = energised
        self._port.write(frame(self._relay, energised), WRITE_S)

    def look(self, inputs: Iterable[int]) -> BoardState:
        """Say again what is wanted; DeviceError when the port is gone."""
        self._port.write(frame(self._relay, self._energised), WRITE_S)
        self._port.drop_input()
        return BoardState()

    def close(self) -> None:
        """Let go of the port; the relay stays as it is."""
        self._port.close()


def _check(setup: DoorSetup) -> Iterator[Check]:
    yield Check(
        "warn" if setup.settings.lock_type == "maglock" else "ok",
        "this board does not tell whether its relay follows, and keeps it when the computer hangs",
        "a maglock needs a board that tells: door.driver: modbus",
    )


DRIVER = bus_driver("usb-relay", UsbRelay, UsbRelayOptions, _check)
