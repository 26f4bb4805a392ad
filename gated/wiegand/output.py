"""The gate as a Wiegand reader: a card is a train of low pulses on two lines of a GPIO chip.

Wiegand is neither encrypted nor answered: whoever reaches the two wires can send any card, and
nobody tells whether the controller is there. OSDP is the better line.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import Any

from gated.config import Section
from gated.config.settings import Misfit
from gated.devices.drivers import CardOutputDriver, CardOutputSetup
from gated.devices.header import import_lgpio
from gated.errors import DeviceError
from gated.ports import CardBits
from gated.wiegand.reader import HIGH, LOW, Line, chip_of

log = logging.getLogger(__name__)

PULSE_US, GAP_US = 50, 2000
"""A pulse of 20 to 100 us, and 0.2 to 20 ms to the next one, are what controllers take."""
WAITING = 8
FRESH_S = 5.0
BETWEEN_S = 0.25
"""Between two cards, so that a controller takes them for two."""
END_S = 2.0
TURN_S = 0.2
LATE_S = 1.0
"""Seconds that a chip may take longer for the pulses of a card than they last."""


class WiegandOutputOptions(Section):
    """The options of `card_output.driver: wiegand`."""

    chip: str | None = None
    """Label or path of the chip; null: the 40-pin header."""
    d0_pin: Line
    d1_pin: Line
    inverted: bool = True
    """True if a transistor is between: a high line pulls the wire low."""

    def misfits(self) -> Any:
        if self.d0_pin == self.d1_pin:
            yield Misfit(("d0_pin", "d1_pin"), "D0 and D1 are two lines")


class WiegandOutput:
    """Two lines (ports.CardOutput); a thread of its own sends."""

    def __init__(self, setup: CardOutputSetup) -> None:
        """DeviceError when the lines cannot be had."""
        options: WiegandOutputOptions = setup.options
        self._lines = (options.d0_pin, options.d1_pin)
        self._idle = LOW if options.inverted else HIGH
        lgpio = setup.lgpio if setup.lgpio is not None else import_lgpio()
        chip = chip_of(lgpio, options.chip, setup)
        self._lgpio = lgpio
        try:
            self._handle = lgpio.gpiochip_open(chip)
            lgpio.group_claim_output(self._handle, list(self._lines), [self._idle] * 2)
        except Exception as error:
            raise DeviceError(f"Wiegand on lines {self._lines}: {error}") from error
        self._cards: queue.Queue[tuple[float, CardBits]] = queue.Queue(WAITING)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wiegand-output", daemon=True)
        self._thread.start()

    def send(self, card: CardBits) -> None:
        """Hand over a card; one too many is dropped."""
        try:
            self._cards.put_nowait((time.monotonic(), card))
        except queue.Full:
            log.warning("wiegand: too many cards at once, one is dropped")

    def close(self) -> None:
        """Release the lines, which are idle; safe to call twice. Takes `END_S` at most."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._thread.join(END_S)
        self._lgpio.gpiochip_close(self._handle)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                at, card = self._cards.get(timeout=TURN_S)
            except queue.Empty:
                continue
            if time.monotonic() - at > FRESH_S:
                continue
            try:
                self._send(card.bits)
            except Exception as error:
                log.error("wiegand: a card was not sent: %s", error)
            self._ending.wait(BETWEEN_S)

    def _send(self, bits: str) -> None:
        """Have lgpio send the pulses: its own thread keeps the times, whatever Python does.

        Raises: DeviceError when they are not sent in time.
        """
        lgpio, idle = self._lgpio, 0b11 * self._idle
        pulses = []
        for bit in bits:
            pulses.append(lgpio.pulse(idle ^ (1 << int(bit)), 0b11, PULSE_US))
            pulses.append(lgpio.pulse(idle, 0b11, GAP_US))
        lgpio.tx_wave(self._handle, self._lines[0], pulses)
        until = time.monotonic() + len(bits) * (PULSE_US + GAP_US) / 1e6 + LATE_S
        while lgpio.tx_busy(self._handle, self._lines[0], lgpio.TX_WAVE):
            if time.monotonic() > until:
                raise DeviceError("the chip does not finish its pulses")
            time.sleep(0.005)


DRIVER = CardOutputDriver(name="wiegand", make=WiegandOutput, options=WiegandOutputOptions)
