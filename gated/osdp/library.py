"""The library that speaks OSDP, and the keys of secure channels."""

from __future__ import annotations

import importlib
import itertools
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from gated.config import Section
from gated.devices.serial_port import SerialPort
from gated.errors import ConfigError, DeviceError

KEY_BYTES = 16
DEFAULT_KEY = bytes(range(0x30, 0x40))
"""SCBK-D, which everybody knows (OSDP v2.2, D.3.1)."""
LONGEST_FILE = 256
WRITE_S = 0.5

Address = Annotated[int, Field(ge=0, le=126)]


class Line(Section):
    """A serial port at which OSDP is spoken, and one device there."""

    device: Path
    """Such as /dev/serial/by-id/..., of an RS-485 adapter."""
    baud: Literal[9600, 19200, 38400, 57600, 115200] = 9600
    address: Address = 0
    key_file: Path
    """32 hexadecimal digits: the key of the secure channel (SCBK), for nobody else to read."""


def import_library() -> Any:
    """Import osdp_sys, silenced; DeviceError with advice when it cannot be had."""
    try:
        library = importlib.import_module("osdp_sys")
    except ImportError as error:
        raise DeviceError(
            f"OSDP needs the library libosdp: pip install 'gated[osdp]' ({error})"
        ) from error
    # it writes to standard error, which nobody reads, and would once a second for a dead reader
    library.set_loglevel(library.LOG_EMERG)
    return library


def read_key(file: Path) -> bytes:
    """Read the key of a secure channel. Raises: ConfigError, also for a key that anybody tries."""
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(file.stat().st_mode)
            text = opened.read(LONGEST_FILE).strip()
        key = bytes.fromhex(text.decode("ascii"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"{file} holds no key of 32 hexadecimal digits: make one with `openssl rand -hex 16`"
        )
    if mode & 0o007:
        raise ConfigError(f"{file} may be read by everybody: chmod 640, or 600")
    steps = {(b - a) % 256 for a, b in itertools.pairwise(key)}
    if key == DEFAULT_KEY or len(steps) == 1:
        raise ConfigError(
            f"{file} holds a default key, which anybody tries: make one with `openssl rand -hex 16`"
        )
    return key


class Channel:
    """A serial port as the library wants it; `failed` is why it does not work any more.

    heard: how many bytes have come. Called by the library, so nothing in here raises.
    """

    id = 1

    def __init__(self, port: SerialPort) -> None:
        self._port = port
        self.failed: DeviceError | None = None
        self.heard = 0

    def read(self, most: int) -> bytes:
        """Return what is there now."""
        try:
            data = self._port.read(most, 0.0)
        except DeviceError as error:
            self.failed = error
            return b""
        self.heard += len(data)
        return data

    def write(self, data: bytes) -> int:
        """Send all of it; what cannot be sent makes the channel fail."""
        try:
            self._port.write(bytes(data), WRITE_S)
        except DeviceError as error:
            self.failed = error
        return len(data)

    def flush(self) -> None:
        """Forget what has come and was not read."""
        try:
            self._port.drop_input()
        except DeviceError as error:
            self.failed = error


def device_info(name: str, line: Line, key: bytes, channel: Channel, flags: int) -> dict[str, Any]:
    """Describe one device to the library."""
    return {
        "name": name,
        "address": line.address,
        "flags": flags,
        "scbk": key,
        "channel": channel,
        "version": 1,
        "model": 1,
        "vendor_code": 0,
        "serial_number": 0,
        "firmware_version": 1,
    }
