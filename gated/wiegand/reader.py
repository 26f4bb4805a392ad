"""Wiegand readers on two lines of a GPIO chip: D0 and D1, idle high, a short low pulse for a bit.

The kernel stamps each edge, so that a busy program loses no bit: it only hears of them later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

from pydantic import Field

from gated.config import Section
from gated.config.settings import Misfit
from gated.core.wiegand import decode
from gated.devices.drivers import ReaderDriver, ReaderSetup
from gated.devices.header import find_chip, find_header, import_lgpio
from gated.errors import CardRefused, DeviceError
from gated.wiegand.pulses import PulseTrain

TURN_S = 0.01
LOW, HIGH = 0, 1
Line = Annotated[int, Field(ge=0, le=1023)]


class WiegandReaderOptions(Section):
    """The options of `credentials.reader: wiegand`."""

    chip: str | None = None
    """Label or path of the chip; null: the 40-pin header."""
    d0_pin: Line
    d1_pin: Line
    pull_up: bool = True
    """Use the chip's pull-up resistors; the reader's own level is taken down to 3.3 V outside."""
    facility_of_37: bool = False
    """True if 37 bits begin with a facility code of 16 (H10304)."""

    def misfits(self) -> Any:
        if self.d0_pin == self.d1_pin:
            yield Misfit(("d0_pin", "d1_pin"), "D0 and D1 are two lines")


def chip_of(lgpio: Any, chip: str | None, setup: Any) -> int:
    """Return the number of the chip; DeviceError."""
    return find_header(lgpio, setup.dev).chip if chip is None else find_chip(lgpio, chip, setup.dev)


class WiegandReader:
    """One reader (ports.CardReader)."""

    def __init__(self, setup: ReaderSetup) -> None:
        self._setup = setup
        self._options: WiegandReaderOptions = setup.options
        self._lgpio: Any = None
        self._handle: int | None = None
        self._callbacks: list[Any] = []
        self._train = PulseTrain()
        self._edge = threading.Event()
        self.name = f"Wiegand on lines {self._options.d0_pin} and {self._options.d1_pin}"

    def open(self) -> None:
        """Take the lines; DeviceError."""
        self.close()
        options = self._options
        lgpio = self._setup.lgpio if self._setup.lgpio is not None else import_lgpio()
        chip = chip_of(lgpio, options.chip, self._setup)
        self._train = PulseTrain()
        try:
            self._lgpio, self._handle = lgpio, lgpio.gpiochip_open(chip)
            flags = lgpio.SET_PULL_UP if options.pull_up else 0
            for bit, line in enumerate((options.d0_pin, options.d1_pin)):
                lgpio.gpio_claim_alert(self._handle, line, lgpio.FALLING_EDGE, flags)
                self._callbacks.append(
                    lgpio.callback(self._handle, line, lgpio.FALLING_EDGE, self._teller(bit))
                )
        except Exception as error:
            self.close()
            raise DeviceError(f"card reader {self.name}: {error}") from error

    def read(self, timeout: float) -> str | None:
        """Return the next card; what is disturbed, cut short or of another length is dropped."""
        if self._handle is None:
            raise DeviceError(f"card reader {self.name} is not open")
        until = time.monotonic() + timeout
        while True:
            bits = self._train.frame(time.monotonic_ns())
            if bits is not None:
                with suppress(CardRefused):
                    return decode(bits, self._options.facility_of_37)
                continue
            left = until - time.monotonic()
            if left <= 0:
                return None
            if self._train.pending:
                time.sleep(min(left, TURN_S))
            else:
                self._edge.wait(left)
                self._edge.clear()

    def close(self) -> None:
        """Let go of the lines; safe to call twice."""
        handle, self._handle = self._handle, None
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback.cancel()
        if handle is not None:
            with suppress(Exception):
                self._lgpio.gpiochip_close(handle)

    def _teller(self, bit: int) -> Callable[[int, int, int, int], None]:
        def tell(chip: int, line: int, level: int, tick: int) -> None:
            if level == LOW:
                self._train.pulse(bit, tick, time.monotonic_ns())
                self._edge.set()

        return tell


DRIVER = ReaderDriver(name="wiegand", make=WiegandReader, options=WiegandReaderOptions)
