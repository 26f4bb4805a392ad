"""The gate as peripheral: to a door controller it is a card reader behind a secure channel.

A controller without the key gets nothing, and nothing that a controller sends changes the gate:
keys and addresses are not taken from the wire, lamps and sounders are acknowledged and ignored.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Any

from gated.core.messages import Condition
from gated.devices.drivers import CardOutputDriver, CardOutputSetup
from gated.devices.serial_port import SerialPort
from gated.errors import DeviceError
from gated.osdp.library import Channel, Line, device_info, import_library, read_key
from gated.ports import CardBits, CardOutput

log = logging.getLogger(__name__)

LOST = "controller_lost"
"""Condition: the door controller does not ask, or not with our key."""
TURN_S = 0.01
FRESH_S = 5.0
"""A card that the controller has not fetched for so long is dropped: nobody waits any more."""
LOST_S = 10.0
WAITING = 8
PAUSE_S = 2.0
END_S = 2.0


class OsdpPeripheral:
    """One reader at one port (ports.CardOutput); a thread of its own speaks."""

    def __init__(self, setup: CardOutputSetup) -> None:
        self._line: Line = setup.options
        self._key = read_key(self._line.key_file)
        self._library = import_library()
        self._note = setup.note
        self._port = SerialPort(self._line.device, self._line.baud)
        self._waiting: deque[tuple[float, CardBits]] = deque(maxlen=WAITING)
        self._ending = threading.Event()
        self._lost = False
        self._secure_at = time.monotonic()
        self._why = ""
        self._thread = threading.Thread(target=self._run, name="osdp-peripheral", daemon=True)
        self._thread.start()

    def send(self, card: CardBits) -> None:
        """Hand over a card; the oldest of many is dropped."""
        self._waiting.append((time.monotonic(), card))

    def close(self) -> None:
        """Let go of the line; safe to call twice."""
        self._ending.set()
        if self._thread is not threading.current_thread():
            self._thread.join(END_S)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._speak()
            except DeviceError as error:
                self._why = str(error)
            except Exception as error:
                log.exception("osdp: a mistake of this program; it goes on")
                self._why = f"failed: {type(error).__name__}: {error}"
            finally:
                self._port.close()
            self._look_after(secure=False)
            self._ending.wait(PAUSE_S)

    def _speak(self) -> None:
        """Answer the controller until the end is asked for. Raises: DeviceError."""
        self._port.open()
        channel, library = Channel(self._port), self._library
        info = device_info("gate", self._line, self._key, channel, library.FLAG_ENFORCE_SECURE)
        device = library.PeripheralDevice(info, capabilities=_capabilities(library))
        device.set_command_callback(self._command)
        try:
            while not self._ending.is_set():
                device.refresh()
                if channel.failed is not None:
                    raise channel.failed
                secure = bool(device.is_sc_active())
                self._why = (
                    "it comes to no secure channel: it has another key, the default key, or none"
                    if channel.heard
                    else "no controller asks"
                )
                self._look_after(secure)
                self._hand_over(device, secure)
                self._ending.wait(TURN_S)
        finally:
            device.set_command_callback(_refuse)

    def _hand_over(self, device: Any, secure: bool) -> None:
        now = time.monotonic()
        while self._waiting and (secure or now - self._waiting[0][0] > FRESH_S):
            at, card = self._waiting.popleft()
            if now - at > FRESH_S:
                log.warning("osdp: the controller did not fetch a card in time")
                continue
            event = {
                "event": self._library.EVENT_CARDREAD,
                "reader_no": 0,
                "format": self._library.CARD_FMT_RAW_WIEGAND,
                "direction": 0,
                "length": len(card.bits),
                "data": packed(card.bits),
            }
            if not device.submit_event(event):
                log.warning("osdp: a card was not taken by the library")

    def _look_after(self, secure: bool) -> None:
        """Say that the controller is lost, and that it is back."""
        now = time.monotonic()
        if secure:
            self._secure_at = now
        lost = not secure and now - self._secure_at > LOST_S
        if lost and not self._lost:
            self._lost = True
            detail = f"door controller at {self._line.device}: {self._why}"
            log.error("osdp: %s", detail)
            self._note(Condition(LOST, True, detail, "alarm"))
        elif secure and self._lost:
            self._lost = False
            self._note(Condition(LOST, False))

    def _command(self, command: dict[str, Any]) -> tuple[int, None]:
        harmless = {self._library.CMD_LED, self._library.CMD_BUZZER, self._library.CMD_TEXT}
        return (0, None) if command.get("command") in harmless else (-1, None)


def _refuse(command: dict[str, Any]) -> tuple[int, None]:
    return -1, None


def packed(bits: str) -> bytes:
    """Return bits as OSDP has them: the first one highest, filled up with zeros at the end."""
    octets = (len(bits) + 7) // 8
    return int(bits.ljust(8 * octets, "0"), 2).to_bytes(octets, "big")


def _capabilities(library: Any) -> list[dict[str, int]]:
    return [
        {"function_code": code, "compliance_level": 1, "num_items": 1}
        for code in (
            library.CAP_READERS,
            library.CAP_CARD_DATA_FORMAT,
            library.CAP_READER_LED_CONTROL,
            library.CAP_READER_AUDIBLE_OUTPUT,
            library.CAP_COMMUNICATION_SECURITY,
        )
    ]


def _make(setup: CardOutputSetup) -> CardOutput:
    return OsdpPeripheral(setup)


DRIVER = CardOutputDriver(name="osdp", make=_make, options=Line)
