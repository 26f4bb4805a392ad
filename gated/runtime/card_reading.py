"""Reads numbers of the card reader; a reader that fails is opened again for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gated.core.messages import Condition, Event
from gated.errors import DeviceError
from gated.link.loop import Loop, OnCrash
from gated.ports import CardReader, KeyedPin

log = logging.getLogger(__name__)

READ_S = 1.0
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 10.0

LOST = "reader_lost"


class CardReading(Loop):
    """Passes every number to `present`; posts a condition when the reader is lost, and when it is
    back.
    """

    beat_limit_s = 30.0

    def __init__(
        self,
        reader: CardReader,
        present: Callable[[str], None],
        post: Callable[[Event], None],
        on_crash: OnCrash,
        present_pin: Callable[[KeyedPin], None] = lambda pin: None,
    ) -> None:
        super().__init__("cards", on_crash)
        self._reader = reader
        self._present = present
        self._present_pin = present_pin
        self._post = post
        self._lost = False
        self._delay = FIRST_DELAY_S

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.beat()
                try:
                    self._reader.open()
                    self._opened()
                    self._serve()
                except DeviceError as error:
                    self._failed(error)
        finally:
            self._close()

    def _serve(self) -> None:
        while not self.stopping.is_set():
            self.beat()
            number = self._reader.read(READ_S)
            if number is not None:
                # reset only after a read: a reader that opens and then fails is tried ever more
                # rarely
                self._delay = FIRST_DELAY_S
                if isinstance(number, KeyedPin):
                    self._present_pin(number)
                else:
                    self._present(number)

    def _opened(self) -> None:
        log.info("card reader %s is ready", self._reader.name)
        if self._lost:
            self._lost = False
            self._post(Condition(LOST, False))

    def _close(self) -> None:
        try:
            self._reader.close()
        except DeviceError as error:  # of one that was unplugged; it is opened anew all the same
            log.debug("card reader %s: closing: %s", self._reader.name, error)

    def _failed(self, error: DeviceError) -> None:
        self._close()
        if not self._lost:
            self._lost = True
            log.warning("%s", error)
            self._post(Condition(LOST, True, str(error)))
        self.stopping.wait(self._delay)
        self._delay = min(2 * self._delay, LONGEST_DELAY_S)
