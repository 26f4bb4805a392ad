"""Opens a serial port of Linux, raw and exclusively, without any library."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import termios
import time
import tty
from contextlib import suppress
from pathlib import Path
from typing import Literal

from gated.errors import DeviceError

Parity = Literal["none", "even", "odd"]
SPEEDS: dict[int, int] = {
    rate: getattr(termios, f"B{rate}") for rate in (2400, 4800, 9600, 19200, 38400, 57600, 115200)
}
"""The kernel's constant by bits per second."""
CFLAG, ISPEED, OSPEED = 2, 4, 5
"""Indices in the list of termios.tcgetattr."""


class SerialPort:
    """A port with 8 data bits, 1 stop bit, no flow control. Every call has a time limit."""

    def __init__(self, path: Path, baud: int, parity: Parity = "none") -> None:
        self.name = str(path)
        self._path, self._baud, self._parity = path, baud, parity
        self._fd: int | None = None

    @property
    def is_open(self) -> bool:
        """True while the port is open."""
        return self._fd is not None

    def open(self) -> None:
        """Open the port exclusively. Raises: DeviceError."""
        self.close()
        try:
            flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            self._fd = os.open(self._path, flags)
            self._take(self._fd)
        except (OSError, termios.error) as error:
            self.close()
            raise DeviceError(f"{self.name}: {_advice(error)}") from None

    def write(self, data: bytes, timeout: float) -> None:
        """Write all data within `timeout` seconds. Raises: DeviceError."""
        until = time.monotonic() + timeout
        fd = self._opened()
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:
                left = until - time.monotonic()
                if left <= 0 or not select.select([], [fd], [], left)[1]:
                    raise DeviceError(f"{self.name} takes no data") from None
            except OSError as error:
                raise DeviceError(f"{self.name}: {_advice(error)}") from None

    def read(self, most: int, timeout: float) -> bytes:
        """Return available bytes, waiting `timeout` seconds for the first. Raises: DeviceError."""
        fd = self._opened()
        try:
            if not select.select([fd], [], [], max(0.0, timeout))[0]:
                return b""
            data = os.read(fd, most)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise DeviceError(f"{self.name}: {_advice(error)}") from None
        if not data:
            raise DeviceError(f"{self.name} was unplugged")
        return data

    def read_all(self, size: int, timeout: float) -> bytes:
        """Return `size` bytes, or fewer after `timeout` seconds."""
        until, data = time.monotonic() + timeout, b""
        while len(data) < size and (left := until - time.monotonic()) > 0:
            data += self.read(size - len(data), left)
        return data

    def drop_input(self) -> None:
        """Drop bytes that have arrived and were not read. Raises: DeviceError."""
        try:
            termios.tcflush(self._opened(), termios.TCIFLUSH)
        except termios.error as error:
            raise DeviceError(f"{self.name}: {_advice(error)}") from None

    def close(self) -> None:
        """Close the port; safe to call twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):  # it was unplugged
                os.close(fd)

    def _opened(self) -> int:
        if self._fd is None:
            raise DeviceError(f"{self.name} is not open")
        return self._fd

    def _take(self, fd: int) -> None:
        """Lock the port and set it up. Raises: OSError, termios.error."""
        if not stat.S_ISCHR(os.fstat(fd).st_mode):
            raise OSError(errno.ENOTTY, "is no serial port")
        # also a lock: TIOCEXCL does not keep root out
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.ioctl(fd, termios.TIOCEXCL)
        tty.setraw(fd)
        attributes = termios.tcgetattr(fd)
        cflag = attributes[CFLAG] & ~(termios.PARENB | termios.PARODD | termios.CRTSCTS)
        cflag &= ~termios.CSTOPB
        cflag |= termios.CLOCAL | termios.CREAD
        if self._parity != "none":
            cflag |= termios.PARENB | (termios.PARODD if self._parity == "odd" else 0)
        attributes[CFLAG] = cflag
        attributes[ISPEED] = attributes[OSPEED] = SPEEDS[self._baud]
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        termios.tcflush(fd, termios.TCIOFLUSH)


def _advice(error: Exception) -> str:
    match error.args[0] if error.args else None:
        case errno.ENOENT:
            return "no such device"
        case errno.EACCES:
            return "no permission (is the user in the group dialout?)"
        case errno.EBUSY | errno.EWOULDBLOCK:
            return "another program has taken it (a running gate does)"
        case errno.ENODEV | errno.ENXIO | errno.EIO:
            return "was unplugged"
        case errno.ENOTTY | errno.EINVAL:
            return "is no serial port"
    return str(error)
