"""Card readers and keypads on an OSDP bus (ports.CardReader)."""

from __future__ import annotations

import time
from typing import Any, Literal

from gated.core.wiegand import decode
from gated.devices.drivers import ReaderDriver, ReaderSetup
from gated.errors import CardRefused, DeviceError
from gated.osdp.bus import OsdpBus, Station, join_bus, leave_bus, wait_secure
from gated.osdp.library import Line, import_library, read_key
from gated.ports import KeyedPin

SECURE_S = 3.0
LONGEST_BITS = 256
LONGEST_KEYS = 40
KEY_PAUSE_S = 10.0
"""After so long between two keys an entry begins anew."""
ENTER, CLEAR = b"#\x0d", b"*\x7f"
"""Keypads send # as 0D and * as 7F (OSDP v2.2, table 47); some send the character itself."""


class OsdpReaderOptions(Line):
    """The options of `credentials.reader: osdp`."""

    card: Literal["wiegand", "hex"] = "wiegand"
    """wiegand: 26, 34 or 37 bits with their parities. hex: all bits, for `card_format: hex`."""
    facility_of_37: bool = False
    """True if 37 bits begin with a facility code of 16 (H10304)."""


class Keypad:
    """Keys -> personnel code and PIN: CODE # PIN #, and * begins anew. Digits alone are nothing."""

    def __init__(self) -> None:
        self._typed: list[bytes] = [b""]
        self._at = float("-inf")

    def press(self, keys: bytes, now: float) -> KeyedPin | None:
        """Take keys that were pressed at `now`; what they complete."""
        if now - self._at > KEY_PAUSE_S:
            self._typed = [b""]
        self._at = now
        found = None
        for key in keys[:LONGEST_KEYS]:
            found = self._key(bytes((key,))) or found
        return found

    def _key(self, key: bytes) -> KeyedPin | None:
        if key.isdigit() and sum(map(len, self._typed)) < LONGEST_KEYS:
            self._typed[-1] += key
        elif key in ENTER and len(self._typed) == 1 and self._typed[0]:
            self._typed.append(b"")
        elif key in ENTER and len(self._typed) == 2 and self._typed[1]:
            code, pin = self._typed
            self._typed = [b""]
            return KeyedPin(code.decode("ascii"), pin.decode("ascii"))
        else:
            self._typed = [b""]
        return None


class OsdpReader:
    """One reader of a bus. A reader that was opened (tamper) counts as lost until it is shut."""

    def __init__(self, setup: ReaderSetup) -> None:
        self._options: OsdpReaderOptions = setup.options
        self._key = read_key(self._options.key_file)
        self._library = import_library()
        self._joined: tuple[OsdpBus, Station] | None = None
        self._keypad = Keypad()
        self.name = f"address {self._options.address} at {self._options.device}"

    def open(self) -> None:
        """Join the bus and wait for the secure channel; DeviceError."""
        if self._joined is None:
            self._joined = join_bus(self._options, self._key)
        try:
            wait_secure(*self._joined, SECURE_S)
            self._watch(self._joined[1])
        except DeviceError as error:
            raise DeviceError(f"card reader {self.name}: {error}") from None
        self._keypad = Keypad()

    def read(self, timeout: float) -> str | KeyedPin | None:
        """Return the next number or PIN; DeviceError when the reader is away or was opened."""
        if self._joined is None:
            raise DeviceError(f"card reader {self.name} is not open")
        bus, station = self._joined
        until = time.monotonic() + timeout
        while True:
            with bus.changed:
                bus.changed.wait_for(
                    lambda: station.events or station.tampered,
                    max(0.0, until - time.monotonic()),
                )
                self._watch(station, f"card reader {self.name}: ")
                event = station.events.popleft() if station.events else None
            if event is None:
                return None
            if (found := self._found(event)) is not None:
                return found

    def close(self) -> None:
        """Leave the bus; safe to call twice."""
        joined, self._joined = self._joined, None
        if joined is not None:
            leave_bus(*joined)

    def _watch(self, station: Station, name: str = "") -> None:
        if station.away:
            raise DeviceError(f"{name}{station.why}")
        if station.tampered:
            station.events.clear()
            raise DeviceError(f"{name}tamper: it says that it was opened")

    def _found(self, event: dict[str, Any]) -> str | KeyedPin | None:
        data = bytes(event.get("data", b""))
        if event["event"] == self._library.EVENT_KEYPRESS:
            return self._keypad.press(data, time.monotonic())
        length = int(event.get("length", 0))
        if event.get("format") == self._library.CARD_FMT_ASCII or not data:
            return None
        if not 0 < length <= min(LONGEST_BITS, 8 * len(data)):
            return None
        bits = "".join(f"{byte:08b}" for byte in data)[:length]
        if self._options.card == "hex":
            return f"{int(bits, 2):0{(length + 3) // 4}X}"
        try:
            return decode(bits, self._options.facility_of_37)
        except CardRefused:
            return None


DRIVER = ReaderDriver(name="osdp", make=OsdpReader, options=OsdpReaderOptions)
