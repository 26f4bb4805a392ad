"""The other end of an OSDP line: the library in its other role, at the far side of a terminal."""

from __future__ import annotations

import os
import threading
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

osdp: Any = pytest.importorskip("osdp_sys", reason="libosdp (extra osdp) is missing")

KEY = bytes.fromhex("9b0d5c1e77a34f28c6e1034ad8f25b90")
DEFAULT = bytes(range(0x30, 0x40))
Turn = Callable[[], None]


class Wire:
    """A serial line with a port at `path`; `cut` and `plug` do what hands do.

    said: what the partner sent, piece by piece. mangle: changes what the partner sends.
    """

    id = 2

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[bytes] = []
        self.mangle: Callable[[bytes], bytes] = lambda data: data
        self._master = self._slave = -1
        self.plug()

    def plug(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))

    def cut(self) -> None:
        self.path.unlink(missing_ok=True)
        ends, self._master, self._slave = (self._master, self._slave), -1, -1
        for end in ends:
            if end >= 0:
                os.close(end)

    def read(self, most: int) -> bytes:
        with suppress(OSError):
            return os.read(self._master, most)
        return b""

    def write(self, data: bytes) -> int:
        self.said = [*self.said[-200:], bytes(data)]
        with suppress(OSError):
            os.write(self._master, self.mangle(bytes(data)))
        return len(data)

    def flush(self) -> None:
        self.read(4096)


class _Partner:
    """Turns the library in a thread; `mute` stops it, as a device without power."""

    def __init__(self, wire: Wire) -> None:
        osdp.set_loglevel(osdp.LOG_EMERG)
        self.wire = wire
        self.mute = False
        self.lock = threading.Lock()
        self._ending = False
        self._make()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _make(self) -> None:
        raise NotImplementedError

    def _turn(self) -> None:
        raise NotImplementedError

    def restart(self) -> None:
        """Off and on again."""
        with self.lock:
            self._make()

    def stop(self) -> None:
        self._ending = True
        self._thread.join()
        self.wire.cut()

    def _run(self) -> None:
        while not self._ending:
            with self.lock:
                if not self.mute:
                    self._turn()
            time.sleep(0.003)

    def info(self, address: int, key: bytes | None, flags: int) -> dict[str, Any]:
        return {
            "name": "partner",
            "address": address,
            "flags": flags,
            "scbk": key,
            "channel": self.wire,
            "version": 1,
            "model": 1,
            "vendor_code": 1,
            "serial_number": 1,
            "firmware_version": 1,
        }


class Peripheral(_Partner):
    """A reader with keypad, and four relays with timers: `outputs`."""

    def __init__(self, wire: Wire, key: bytes | None = KEY, address: int = 0) -> None:
        self.key, self.address = key, address
        self.orders: list[dict[str, Any]] = []
        self.outputs: dict[int, bool] = {}
        self._ends: dict[int, float] = {}
        super().__init__(wire)

    def _make(self) -> None:
        kinds = ("OUTPUT_CONTROL", "READERS", "CARD_DATA_FORMAT", "COMMUNICATION_SECURITY")
        codes = [getattr(osdp, f"CAP_{kind}") for kind in kinds]
        able = [{"function_code": c, "compliance_level": 1, "num_items": 4} for c in codes]
        flags = osdp.FLAG_INSTALL_MODE if self.key in {None, DEFAULT} else 0
        self._device = osdp.PeripheralDevice(
            self.info(self.address, self.key, flags), capabilities=able
        )
        self._device.set_command_callback(self._ordered)

    def _turn(self) -> None:
        self._device.refresh()
        for number, ends in list(self._ends.items()):
            if time.monotonic() >= ends:
                del self._ends[number]
                self.outputs[number] = not self.outputs[number]

    def _ordered(self, order: dict[str, Any]) -> tuple[int, None]:
        self.orders.append(order)
        if order["command"] == osdp.CMD_OUTPUT:
            number, code = order["output_no"], order["control_code"]
            self._ends.pop(number, None)
            self.outputs[number] = code in {2, 5}
            if code in {5, 6}:
                self._ends[number] = time.monotonic() + order["timer_count"] / 10
        return 0, None

    def _tell(self, event: dict[str, Any]) -> None:
        with self.lock:
            assert self._device.submit_event(event)

    def card(self, bits: str) -> None:
        octets = (len(bits) + 7) // 8
        data = int(bits.ljust(8 * octets, "0"), 2).to_bytes(octets, "big")
        shape = {"format": osdp.CARD_FMT_RAW_WIEGAND, "direction": 0, "reader_no": 0}
        self._tell({"event": osdp.EVENT_CARDREAD, **shape, "length": len(bits), "data": data})

    def keys(self, keys: bytes) -> None:
        self._tell({"event": osdp.EVENT_KEYPRESS, "reader_no": 0, "data": keys})

    def tamper(self, opened: bool) -> None:
        kind = {"event": osdp.EVENT_STATUS, "type": osdp.STATUS_REPORT_LOCAL}
        self._tell({**kind, "report": bytes((int(opened), 0))})


class Controller(_Partner):
    """A door controller; `events` is what its reader told."""

    def __init__(self, wire: Wire, key: bytes | None = KEY, address: int = 0) -> None:
        self.key, self.address = key, address
        self.events: list[dict[str, Any]] = []
        super().__init__(wire)

    def _make(self) -> None:
        flags = osdp.FLAG_INSTALL_MODE if self.key is None else 0
        self._panel = osdp.ControlPanel([self.info(self.address, self.key, flags)])
        self._panel.set_event_callback(self._told)

    def _turn(self) -> None:
        self._panel.refresh()

    def _told(self, number: int, event: dict[str, Any]) -> int:
        self.events.append(event)
        return 0

    @property
    def secure(self) -> bool:
        return bool(self._panel.sc_status())

    def order(self, order: dict[str, Any]) -> bool:
        with self.lock:
            return bool(self._panel.submit_command(0, order))
