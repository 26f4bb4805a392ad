"""Relay boards that exist only in the program, at the other end of a pseudo-terminal."""

from __future__ import annotations

import os
import select
import struct
import threading
import time
import tty
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from gated.relays.modbus import FLASH, FLASH_STEP_S
from gated.relays.modbus_frames import (
    ERROR,
    ON,
    READ_COILS,
    READ_INPUTS,
    WRITE_COIL,
    WRITE_REGISTER,
    crc16,
)
from gated.relays.usb_serial import START

TURN_S = 0.02


class SimulatedBoard(ABC):
    """A board that is plugged in at a path; `unplug` and `plug` do what hands do.

    mute: it takes what it is sent and answers nothing. noise: what it answers in place of the
    right thing. Relays drop when it is unplugged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.relays: dict[int, bool] = {}
        self.moves: list[tuple[float, int, bool]] = []
        """(monotonic seconds, relay, energised) of each change."""
        self.mute = False
        self.noise: bytes | None = None
        self._master = -1
        self._thread: threading.Thread | None = None
        self.plug()

    def plug(self) -> None:
        """Plug it in: there is a port at the path."""
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        self._slave = slave
        self._thread = threading.Thread(target=self._run, args=(self._master,), daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Plug it out: the port is gone, and the relays drop."""
        self.path.unlink(missing_ok=True)
        master, self._master = self._master, -1
        if self._thread is not None:
            self._thread.join()
        if master >= 0:
            os.close(master)
            os.close(self._slave)
        for relay in list(self.relays):
            self.move(relay, False)

    def move(self, relay: int, energised: bool) -> None:
        """Move a relay, as its buttons or another master on the bus do."""
        if self.relays.get(relay, False) != energised:
            self.moves.append((time.monotonic(), relay, energised))
        self.relays[relay] = energised

    @abstractmethod
    def _heard(self, data: bytes) -> tuple[bytes, int]:
        """Act on what has come; the answer, and how many bytes of it are done with."""

    def _tick(self) -> None:  # noqa: B027 - most boards have no clock
        """Do what is due by its own clock."""

    def _run(self, master: int) -> None:
        heard = b""
        while self._master == master:
            self._tick()
            if not select.select([master], [], [], TURN_S)[0]:
                continue
            with suppress(OSError):
                heard += os.read(master, 4096)
            while heard:
                answer, used = self._heard(heard)
                heard = heard[used:]
                if answer and not self.mute:
                    with suppress(OSError):
                        os.write(master, answer if self.noise is None else self.noise)
                if not used:
                    break


class SimulatedUsbRelay(SimulatedBoard):
    """A board of four bytes; `received` is all that was sent to it."""

    def __init__(self, path: Path) -> None:
        self.received: list[bytes] = []
        super().__init__(path)

    def _heard(self, data: bytes) -> tuple[bytes, int]:
        if data[0] != START:
            return b"", 1
        if len(data) < 4:
            return b"", 0
        start, relay, value, total = data[:4]
        if (start + relay + value) & 0xFF == total and not self.mute:
            self.received.append(data[:4])
            self.move(relay, bool(value))
        return b"", 4


class SimulatedModbusBoard(SimulatedBoard):
    """A board of Modbus RTU with a timer, and a watchdog at register WATCHDOG.

    inputs: discrete input -> closed. When the watchdog was fed once and is not any more, all relays
    drop after WATCHDOG_S.
    """

    UNIT = 1
    WATCHDOG, WATCHDOG_S = 0x40, 1.0

    def __init__(self, path: Path) -> None:
        self.inputs: dict[int, bool] = {}
        self._ends: dict[int, float] = {}
        self._fed: float | None = None
        super().__init__(path)

    def _tick(self) -> None:
        now = time.monotonic()
        for relay, ends in list(self._ends.items()):
            if now >= ends:
                del self._ends[relay]
                self.move(relay, False)
        if self._fed is not None and now >= self._fed + self.WATCHDOG_S:
            for relay in list(self.relays):
                self.move(relay, False)

    def _heard(self, data: bytes) -> tuple[bytes, int]:
        if len(data) < 8:
            return b"", 0
        frame, check = data[:6], data[6:8]
        if crc16(frame) != check or self.mute:
            return b"", 1 if crc16(frame) != check else 8
        unit, function, number, value = struct.unpack(">BBHH", frame)
        if unit != self.UNIT:
            return b"", 8
        body = bytes((unit,)) + self._answer(function, number, value, frame[1:])
        return body + crc16(body), 8

    def _answer(self, function: int, number: int, value: int, question: bytes) -> bytes:
        if function in {READ_COILS, READ_INPUTS}:
            table = self.relays if function == READ_COILS else self.inputs
            bits = sum(table.get(number + i, False) << i for i in range(value))
            octets = (value + 7) // 8
            return bytes((function, octets)) + bits.to_bytes(octets, "little")
        if function == WRITE_COIL and number >= FLASH:
            relay = number - FLASH
            self._ends[relay] = time.monotonic() + value * FLASH_STEP_S
            self.move(relay, True)
            return question
        if function == WRITE_COIL:
            self._ends.pop(number, None)
            self.move(number, value == ON)
            return question
        if function == WRITE_REGISTER and number == self.WATCHDOG:
            self._fed = time.monotonic()
            return question
        return bytes((function | ERROR, 1))
