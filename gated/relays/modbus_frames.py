"""The few frames of Modbus that a relay board needs (Modbus Application Protocol V1.1b3).

On a serial line (RTU) a frame ends with a CRC-16; over TCP it begins with a header of seven bytes.
Answers are believed only when unit, function, length, and CRC or transaction are those asked for.
"""

from __future__ import annotations

import itertools
import socket
import struct
import time
from contextlib import suppress
from typing import Protocol

from gated.devices.serial_port import SerialPort
from gated.errors import DeviceError

READ_COILS, READ_INPUTS, WRITE_COIL, WRITE_REGISTER = 1, 2, 5, 6
ON, OFF = 0xFF00, 0x0000
ERROR = 0x80
REFUSALS = {
    1: "it does not know this function",
    2: "it has nothing at this number",
    3: "it does not take this value",
    4: "it has failed",
    6: "it is busy",
}
"""Exception codes that boards answer with."""
HEADER = struct.Struct(">HHHB")
"""Transaction, protocol (0), length of what follows, unit."""
LONGEST = 253
"""Bytes of function and data."""
BITS = 2000
"""The most that one question may ask for."""


def crc16(data: bytes) -> bytes:
    """Return the two bytes that end a frame on a serial line, the lower one first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


class Transport(Protocol):
    """Carries one question and its answer: function and data, without address and check."""

    def open(self) -> None:
        """Connect; DeviceError."""

    def ask(self, question: bytes, size: int) -> bytes:
        """Return the answer, which has `size` bytes or is a refusal of two; DeviceError."""

    def close(self) -> None:
        """Disconnect; safe to call twice."""


class RtuTransport:
    """A serial line. timeout: seconds in which a whole answer has to be there."""

    def __init__(self, port: SerialPort, unit: int, timeout: float, baud: int) -> None:
        self._port, self._unit, self._timeout = port, unit, timeout
        # 3.5 characters of 11 bits, and from 19200 bit/s on 1.75 ms (Modbus over serial line V1.02)
        self._gap_s = 0.00175 if baud > 19200 else 3.5 * 11 / baud

    def open(self) -> None:
        """Take the port; DeviceError."""
        self._port.open()

    def ask(self, question: bytes, size: int) -> bytes:
        """Return the answer, which has `size` bytes or is a refusal of two; DeviceError."""
        frame = bytes((self._unit,)) + question
        time.sleep(self._gap_s)
        self._port.drop_input()
        self._port.write(frame + crc16(frame), self._timeout)
        until = time.monotonic() + self._timeout
        head = self._port.read_all(2, self._timeout)
        if len(head) < 2:
            raise DeviceError(f"unit {self._unit} does not answer")
        rest = 2 if head[1] & ERROR else size
        answer = head + self._port.read_all(rest + 1, max(0.0, until - time.monotonic()))
        if len(answer) != rest + 3 or crc16(answer[:-2]) != answer[-2:]:
            raise DeviceError(f"unit {self._unit}: the answer is disturbed or cut short")
        if answer[0] != self._unit:
            raise DeviceError(f"unit {answer[0]} answers in place of {self._unit}")
        return answer[1:-2]

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()


class TcpTransport:
    """A connection. timeout: seconds for each step."""

    def __init__(self, host: str, port: int, unit: int, timeout: float) -> None:
        self._address, self._unit, self._timeout = (host, port), unit, timeout
        self._socket: socket.socket | None = None
        self._transactions = itertools.cycle(range(1, 1 << 16))

    def open(self) -> None:
        """Connect; DeviceError."""
        self.close()
        try:
            self._socket = socket.create_connection(self._address, self._timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, UnicodeError) as error:  # the second: a name that no resolver takes
            why = getattr(error, "strerror", None) or error
            raise DeviceError(f"no connection: {why}") from None

    def ask(self, question: bytes, size: int) -> bytes:
        """Return the answer, which has `size` bytes or is a refusal of two; DeviceError."""
        if self._socket is None:
            raise DeviceError("not connected")
        number = next(self._transactions)
        until = time.monotonic() + self._timeout
        try:
            header = HEADER.pack(number, 0, len(question) + 1, self._unit)
            self._socket.settimeout(self._timeout)
            self._socket.sendall(header + question)
            found, protocol, length, unit = HEADER.unpack(self._read(HEADER.size, until))
            if (found, protocol, unit) != (number, 0, self._unit) or not 3 <= length <= LONGEST + 1:
                raise DeviceError("the answer is to another question")
            return self._read(length - 1, until)
        except TimeoutError:
            raise DeviceError(f"unit {self._unit} does not answer") from None
        except OSError as error:
            raise DeviceError(f"the connection broke: {error.strerror or error}") from None

    def close(self) -> None:
        """Disconnect."""
        gone, self._socket = self._socket, None
        if gone is not None:
            with suppress(OSError):
                gone.close()

    def _read(self, size: int, until: float) -> bytes:
        assert self._socket is not None  # noqa: S101 - asked by whoever calls
        data = b""
        while len(data) < size:
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            more = self._socket.recv(size - len(data))
            if not more:
                raise DeviceError("it closed the connection")
            data += more
        return data


class Modbus:
    """The questions that a relay board is asked, over either transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def write_coil(self, coil: int, value: int) -> None:
        """Set a coil, to ON, OFF, or what a board takes besides; DeviceError."""
        self._write(WRITE_COIL, coil, value)

    def write_register(self, register: int, value: int) -> None:
        """Write a holding register; DeviceError."""
        self._write(WRITE_REGISTER, register, value)

    def coils(self, first: int, count: int) -> list[bool]:
        """Read coils from a number on; DeviceError."""
        return self._bits(READ_COILS, first, count)

    def inputs(self, first: int, count: int) -> list[bool]:
        """Read discrete inputs from a number on; DeviceError."""
        return self._bits(READ_INPUTS, first, count)

    def _write(self, function: int, number: int, value: int) -> None:
        question = struct.pack(">BHH", function, number, value)
        if self._answer(question, len(question)) != question:
            raise DeviceError("it confirms another value than was written")

    def _bits(self, function: int, first: int, count: int) -> list[bool]:
        octets = (count + 7) // 8
        answer = self._answer(struct.pack(">BHH", function, first, count), 2 + octets)
        if answer[1] != octets:
            raise DeviceError("it answers with another number of values")
        return [bool(answer[2 + i // 8] >> i % 8 & 1) for i in range(count)]

    def _answer(self, question: bytes, size: int) -> bytes:
        try:
            answer = self._transport.ask(question, size)
        except DeviceError:
            # once more: one disturbed frame on a long line is no loss, and all of this may be
            # said twice
            answer = self._transport.ask(question, size)
        if answer[0] == question[0] | ERROR and len(answer) == 2:
            raise DeviceError(REFUSALS.get(answer[1], f"it refuses with code {answer[1]}"))
        if answer[0] != question[0] or len(answer) != size:
            raise DeviceError("the answer is to another question")
        return answer
