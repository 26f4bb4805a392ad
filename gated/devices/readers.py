"""Reads card readers that type like a keyboard (USB HID), through Linux's input events.

A reader types the digits of a card and Enter. It is grabbed (EVIOCGRAB), so that no console and no
login prompt gets the digits.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gated.config import CredentialSettings
from gated.core.cards import SHORTEST
from gated.devices.drivers import DoorHardware, ReaderDriver, make_reader, reader_driver
from gated.errors import DeviceError
from gated.ports import CardReader

EVENT = struct.Struct("llHHi")
"""struct input_event of linux/input.h: two longs of time, type, code, value."""

EV_SYN, EV_KEY = 0, 1
SYN_DROPPED = 3
"""The kernel's queue was full: events were dropped, and keys with them."""
PRESSED = 1
EVIOCGRAB = 0x40044590
"""_IOW('E', 0x90, int)."""

ENTER = frozenset({28, 96})
"""KEY_ENTER, KEY_KPENTER."""

# linux/input-event-codes.h
KEYS = (
    dict(zip(range(2, 12), "1234567890", strict=True))
    | dict(zip(range(16, 26), "QWERTYUIOP", strict=True))
    | dict(zip(range(30, 39), "ASDFGHJKL", strict=True))
    | dict(zip(range(44, 51), "ZXCVBNM", strict=True))
    | {12: "-", 51: ",", 52: ".", 53: "/", 57: " ", 39: ":", 74: "-", 83: ".", 98: "/"}
    | {71: "7", 72: "8", 73: "9", 75: "4", 76: "5", 77: "6", 79: "1", 80: "2", 81: "3", 82: "0"}
)


class Keystrokes:
    """Assembles numbers from keys; drops numbers that are too long, typed slowly by hand, or of
    which keys were lost."""

    def __init__(self, longest: int, pause_s: float) -> None:
        self._longest = longest
        self._pause_s = pause_s
        self._typed = ""
        self._spoilt = False
        self._at = float("-inf")

    def lost(self, now: float) -> None:
        """Drop the number that is being typed at `now`: what is left of it is another one."""
        self._typed, self._spoilt, self._at = "", True, now

    def key(self, code: int, now: float) -> str | None:
        """Take a key pressed at `now` (seconds of any clock); return the number it completes."""
        if not 0.0 <= now - self._at <= self._pause_s:  # also when the clock was set back
            self._typed, self._spoilt = "", False
        self._at = now
        if code in ENTER:
            number, spoilt = self._typed, self._spoilt
            self._typed, self._spoilt = "", False
            return number if not spoilt and len(number) >= SHORTEST else None
        self._typed += KEYS.get(code, "")
        if len(self._typed) > self._longest:
            self._typed, self._spoilt = "", True
        return None


class KeyboardReader:
    """A reader at an input device such as /dev/input/by-id/usb-...-event-kbd."""

    def __init__(self, settings: CredentialSettings) -> None:
        assert settings.device is not None  # noqa: S101 - the settings see to it
        self.name = str(settings.device)
        self._path = settings.device
        self._settings = settings
        self._fd: int | None = None
        self._ready: Iterator[str] = iter(())
        self._partial = b""

    def open(self) -> None:
        """Open and grab the device. Raises: DeviceError when it is missing, denied or in use."""
        self.close()
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._take(self._fd)
        except OSError as error:
            self.close()
            raise DeviceError(f"card reader {self.name}: {_advice(error)}") from None
        self._strokes = Keystrokes(self._settings.card_length, self._settings.key_timeout_s)
        self._partial = b""

    def read(self, timeout: float) -> str | None:
        """Return the next number, or None. Raises: DeviceError when the reader was unplugged."""
        until = time.monotonic() + timeout
        while (number := next(self._ready, None)) is None:
            left = until - time.monotonic()
            if left <= 0:
                return None
            self._ready = self._numbers(self._receive(left))
        return number

    def close(self) -> None:
        """Close the device, which ends the grab."""
        fd, self._fd = self._fd, None
        self._ready = iter(())
        if fd is not None:
            with suppress(OSError):  # it was unplugged
                os.close(fd)

    def _take(self, fd: int) -> None:
        """Grab the device. Raises: OSError."""
        fcntl.ioctl(fd, EVIOCGRAB, 1)

    def _receive(self, timeout: float) -> bytes:
        """Return the whole events that arrive within `timeout` seconds."""
        fd = self._fd
        if fd is None:
            raise DeviceError(f"card reader {self.name} is not open")
        try:
            if not select.select([fd], [], [], timeout)[0]:
                return b""
            data = os.read(fd, 64 * EVENT.size)
        except OSError as error:
            raise DeviceError(f"card reader {self.name}: {_advice(error)}") from None
        if not data:
            raise DeviceError(f"card reader {self.name} was closed")
        data = self._partial + data
        whole = len(data) // EVENT.size * EVENT.size
        self._partial = data[whole:]
        return data[:whole]

    def _numbers(self, data: bytes) -> Iterator[str]:
        for seconds, micros, kind, code, value in EVENT.iter_unpack(data):
            at = seconds + micros / 1e6
            if (kind, code) == (EV_SYN, SYN_DROPPED):
                self._strokes.lost(at)
            elif kind == EV_KEY and value == PRESSED:
                number = self._strokes.key(code, at)
                if number is not None:
                    yield number


class SimulatedReader(KeyboardReader):
    """A reader whose keystrokes come through a named pipe, which it creates at its path."""

    _writer: int | None = None

    def open(self) -> None:
        """Create and open the pipe. Raises: DeviceError when the path is something else."""
        try:
            if not self._path.exists():
                os.mkfifo(self._path, 0o600)
        except OSError as error:
            raise DeviceError(f"card reader {self.name}: {_advice(error)}") from None
        super().open()

    def _take(self, fd: int) -> None:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            raise OSError(errno.ENOTTY, "is no pipe")
        # our own writer, so that the pipe does not end when others close it
        self._writer = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self) -> None:
        super().close()
        writer, self._writer = self._writer, None
        if writer is not None:
            os.close(writer)


def open_reader(
    settings: CredentialSettings, hardware: DoorHardware | None = None
) -> CardReader | None:
    """Make the configured reader, not yet open; None without one."""
    driver, setup = reader_driver(settings, hardware)
    return make_reader(driver, setup)


KEYBOARD = ReaderDriver(name="keyboard", make=lambda setup: KeyboardReader(setup.settings))
SIMULATED = ReaderDriver(name="simulated", make=lambda setup: SimulatedReader(setup.settings))
NONE = ReaderDriver(name="none", make=lambda setup: None)


def keystrokes(number: str, at: float = 0.0, gap_s: float = 0.005, enter: bool = True) -> bytes:
    """Return the input events of a reader that types `number` from `at` on."""
    codes = {text: code for code, text in KEYS.items() if code < 71}
    typed = [codes[c] for c in number.upper()] + ([min(ENTER)] if enter else [])
    events = b""
    for i, code in enumerate(typed):
        seconds, micros = divmod(round((at + i * gap_s) * 1e6), 1_000_000)
        for value in (PRESSED, 0):
            events += EVENT.pack(seconds, micros, EV_KEY, code, value)
            events += EVENT.pack(seconds, micros, 0, 0, 0)
    return events


def swipe(path: Path, number: str) -> None:
    """Hold a card to the simulated reader at `path`.

    Raises: DeviceError when nobody reads there.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DeviceError(f"{path}: {_advice(error)}") from None
    try:
        os.write(fd, keystrokes(number, time.time()))
    finally:
        os.close(fd)


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "no such device"
        case errno.EACCES:
            return "no permission (is the user in the group input?)"
        case errno.EBUSY:
            return "another program has taken it"
        case errno.ENODEV:
            return "was unplugged"
        case errno.ENOTTY | errno.EINVAL:
            return "is no input device"
        case errno.ENXIO:
            return "nobody reads there"
    return error.strerror or str(error)
