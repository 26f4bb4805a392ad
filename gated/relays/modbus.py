"""Relay boards that speak Modbus: `door.relay_pin` is a coil, the other pins are discrete inputs.

Each poll reads the coil back. A board with a timer of its own gets the longest time of a release,
and one with a watchdog is reminded of this program at each look: both lock when nobody speaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gated.config import Section
from gated.config.settings import Misfit
from gated.devices.bus_door import BoardState, bus_driver, relay_of
from gated.devices.drivers import Check, DoorSetup
from gated.devices.serial_port import Parity, SerialPort
from gated.errors import DeviceError
from gated.relays.modbus_frames import OFF, ON, Modbus, RtuTransport, TcpTransport, Transport

FLASH = 0x0200
"""Waveshare and its like: a write to this coil plus the relay's number energises it for a time."""
FLASH_STEP_S, LONGEST_FLASH = 0.1, 0x7FFF
Number = Annotated[int, Field(ge=0, le=0xFFFF)]


class ModbusOptions(Section):
    """The options of `door.driver: modbus`."""

    device: Path | None = None
    """RTU: the serial port."""
    baud: Literal[2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600
    parity: Parity = "none"
    host: str | None = None
    """TCP: name or address."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 502
    accept_unprotected_network: bool = False
    """TCP: anybody in that network can move the relay. A cable of its own is what it is for."""
    unit: Annotated[int, Field(ge=1, le=247)] = 1
    timeout_s: Annotated[float, Field(ge=0.05, le=1.0)] = 0.4
    timer: Literal["none", "flash"] = "none"
    """flash: the board ends a release itself, a second after this program should have."""
    watchdog_register: Number | None = None
    """Holding register written at each look, for a board that drops its relays otherwise."""
    watchdog_value: Number = 1

    def misfits(self) -> Iterator[Misfit]:
        if (self.device is None) == (self.host is None):
            yield Misfit(("device", "host"), "give device (RTU) or host (TCP)")
        if self.host is not None and not self.accept_unprotected_network:
            yield Misfit(
                ("host", "accept_unprotected_network"),
                "Modbus TCP asks nobody who they are: whoever reaches the board opens the door; "
                "give it a cable or network of its own, and accept it with "
                "accept_unprotected_network: true",
            )


class ModbusRelay:
    """One coil of a board (bus_door.RelayLink)."""

    def __init__(self, setup: DoorSetup) -> None:
        options: ModbusOptions = setup.options
        self._coil = relay_of(setup.settings)
        self._timed = options.timer == "flash"
        if self._timed and setup.settings.lock_type == "maglock":
            raise DeviceError("door.options.timer: flash energises for a time: not for a maglock")
        self._watchdog = options.watchdog_register
        self._watchdog_value = options.watchdog_value
        self._transport = _transport(options)
        self._modbus = Modbus(self._transport)
        self.name = f"coil {self._coil} of unit {options.unit} at {options.device or options.host}"

    def open(self) -> None:
        """Take the port, or connect; DeviceError."""
        self._transport.open()

    def drive(self, energised: bool, for_s: float | None) -> None:
        """Set the coil, which the board confirms; DeviceError."""
        if energised and self._timed and for_s is not None:
            steps = max(1, min(LONGEST_FLASH, round(for_s / FLASH_STEP_S)))
            self._modbus.write_coil(FLASH + self._coil, steps)
        else:
            self._modbus.write_coil(self._coil, ON if energised else OFF)

    def look(self, inputs: Iterable[int]) -> BoardState:
        """Read the coil, and the inputs in one question; DeviceError."""
        if self._watchdog is not None:
            self._modbus.write_register(self._watchdog, self._watchdog_value)
        energised = self._modbus.coils(self._coil, 1)[0]
        numbers = list(inputs)
        if not numbers:
            return BoardState(energised)
        first = min(numbers)
        bits = self._modbus.inputs(first, max(numbers) - first + 1)
        return BoardState(energised, {number: bits[number - first] for number in numbers})

    def close(self) -> None:
        """Disconnect; the coil stays as it is."""
        self._transport.close()


def _transport(options: ModbusOptions) -> Transport:
    if options.host is not None:
        return TcpTransport(options.host, options.port, options.unit, options.timeout_s)
    assert options.device is not None  # noqa: S101 - the options see to it
    port = SerialPort(options.device, options.baud, options.parity)
    return RtuTransport(port, options.unit, options.timeout_s, options.baud)


def _check(setup: DoorSetup) -> Iterator[Check]:
    options: ModbusOptions = setup.options
    kept = options.timer == "none" and options.watchdog_register is None
    yield Check(
        "warn" if kept else "ok",
        "the board " + ("keeps its relay when nobody speaks to it" if kept else "locks by itself"),
        "set door.options.timer or watchdog_register, or a watchdog in the board's own settings",
    )
    if options.host is not None:
        yield Check(
            "warn",
            "Modbus TCP is not protected: whoever reaches the board opens the door",
            "give it a cable of its own",
        )


DRIVER = bus_driver("modbus", ModbusRelay, ModbusOptions, _check)
