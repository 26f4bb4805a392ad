"""Drives a door on the lines of any GPIO chip that Linux knows, through lgpio alone.

For boards without the header of a Raspberry Pi: an expander on USB or I2C, the header of another
board, the super-I/O chip of an industrial PC. Wiring as in `gpio`: inputs are switched to ground.
A chip without pull-up resistors (`door.pull_up: false`) needs external ones, and the relay's line
needs a resistor that keeps the relay at its locked level, as the state of an undriven line depends
on the chip.

A chip that reports no edges is polled fifty times a second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from gated.config import DoorSettings, Settings
from gated.core.messages import DoorEvent
from gated.devices.drivers import Check, DoorDriver, DoorSetup
from gated.devices.emergency import lock_on_chip
from gated.devices.header import find_chip, import_lgpio
from gated.devices.indicators import Output, PlayedIndicators, outputs_of
from gated.devices.timed_door import PRESSED_TO_GROUND, Input, TimedDoor, wired
from gated.errors import DeviceError
from gated.ports import Indicators

log = logging.getLogger(__name__)

POLL_S = 0.02
"""Polling interval of inputs whose chip reports no edges; shorter than a press of a button."""


class Lines:
    """The claimed lines of one chip; outputs are claimed with their level."""

    def __init__(self, lgpio: Any, chip: int) -> None:
        self._lgpio = lgpio
        self._handle: int | None = lgpio.gpiochip_open(chip)
        self._claimed: list[int] = []
        self._callbacks: list[Any] = []

    def output(self, line: int, level: int) -> None:
        """Claim an output, at this level from the first moment."""
        self._lgpio.gpio_claim_output(self._handle, line, level)
        self._claimed.append(line)

    def input(self, line: int, pull_up: bool, on_edge: Callable[[], None]) -> bool:
        """Claim an input; return False when its chip reports no edges."""
        lgpio, flags = self._lgpio, self._lgpio.SET_PULL_UP if pull_up else 0
        try:
            lgpio.gpio_claim_alert(self._handle, line, lgpio.BOTH_EDGES, flags)
        except Exception as error:
            # if the line is busy or has no pull-up, this call fails with the right reason
            lgpio.gpio_claim_input(self._handle, line, flags)
            self._claimed.append(line)
            log.info("line %d reports no edges (%s): it is polled", line, error)
            return False
        self._claimed.append(line)
        self._callbacks.append(
            lgpio.callback(self._handle, line, lgpio.BOTH_EDGES, lambda *edge: on_edge())
        )
        return True

    def read(self, line: int) -> int:
        level: int = self._lgpio.gpio_read(self._handle, line)
        return level

    def write(self, line: int, level: int) -> None:
        self._lgpio.gpio_write(self._handle, line, level)

    def close(self) -> None:
        """Free the lines as they stand; safe to call twice."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        for callback in self._callbacks:
            callback.cancel()
        # also of a chip that is gone, of which nothing can be freed
        with suppress(Exception):
            for line in self._claimed:
                self._lgpio.gpio_free(handle, line)
        with suppress(Exception):
            self._lgpio.gpiochip_close(handle)


def open_lines(setup: DoorSetup) -> Lines:
    """Open the configured chip. Raises: DeviceError."""
    lgpio = setup.lgpio if setup.lgpio is not None else import_lgpio()
    chip = find_chip(lgpio, setup.settings.chip or "", setup.dev)
    try:
        return Lines(lgpio, chip)
    except Exception as error:
        raise DeviceError(
            f"/dev/gpiochip{chip} cannot be opened: {error} (is the user in the group gpio?)"
        ) from error


class GpioChipDoor(TimedDoor):
    """Relay and inputs on lines of one chip; locked from the first moment."""

    def __init__(
        self,
        settings: DoorSettings,
        post: Callable[[DoorEvent], None],
        reopen: Callable[[], Lines],
    ) -> None:
        """Claim lines that `reopen` opens; they are closed on failure. Raises: DeviceError."""
        inputs = wired(settings)
        super().__init__(settings, post, inputs)
        assert settings.relay_pin is not None  # noqa: S101 - the settings see to it
        self._reopen = reopen
        self._relay, self._pins, self._lines = settings.relay_pin, inputs, reopen()
        # the level at which the relay is energised, and whether that locks
        self._high = settings.relay_active_high
        self._energised_is_locked = settings.lock_type == "maglock"
        self._polled = False
        try:
            self._claim()
            self._start()
        except Exception as error:
            self._lines.close()
            raise DeviceError(
                f"the door's lines on {settings.chip} cannot be used: {error}{_advice(error)}"
            ) from error

    def _claim(self) -> None:
        self._lines.output(self._relay, self._level(released=self._fire))
        for name, line in self._pins.items():
            edges = self._lines.input(line, self._settings.pull_up, self._on_edge(name))
            self._polled = self._polled or not edges

    def _renew(self) -> bool:
        self._lines.close()
        self._lines = self._reopen()
        self._claim()
        return True

    def _level(self, released: bool) -> int:
        return int((released != self._energised_is_locked) == self._high)

    @property
    def unlocked(self) -> bool:
        return not self._closed and self._lines.read(self._relay) == self._level(released=True)

    def _drive(self, released: bool) -> None:
        self._lines.write(self._relay, self._level(released))

    def _active(self, name: Input) -> bool:
        grounded = self._lines.read(self._pins[name]) == 0
        return grounded if name in PRESSED_TO_GROUND else not grounded

    def _idle_s(self) -> float:
        idle = super()._idle_s()
        return min(idle, POLL_S) if self._polled and not self._fault else idle

    def _let_go(self) -> None:
        self._lines.close()


def _advice(error: Exception) -> str:
    if "busy" in str(error).lower():
        return ": another program holds it (`gpioinfo` names it)"
    return "; a chip without pull-up resistors of its own needs door.pull_up: false"


class GpioChipIndicators(PlayedIndicators):
    """Outputs on lines of the door's chip; off from the first moment."""

    def __init__(
        self,
        pins: dict[Output, int],
        active_high: bool,
        alarm_s: float,
        reopen: Callable[[], Lines],
    ) -> None:
        """Claim lines that `reopen` opens. Raises: DeviceError."""
        super().__init__(pins, alarm_s)
        self._reopen, self._lines = reopen, reopen()
        self._pins, self._high = pins, active_high
        try:
            self._claim()
        except Exception as error:
            self._lines.close()
            raise DeviceError(f"the lines of the indicators cannot be used: {error}") from error
        self._thread.start()

    def _claim(self) -> None:
        for pin in self._pins.values():
            self._lines.output(pin, int(not self._high))

    def _renew(self) -> bool:
        self._lines.close()
        self._lines = self._reopen()
        self._claim()
        return True

    def _drive(self, output: Output, on: bool) -> None:
        self._lines.write(self._pins[output], int(on == self._high))

    def _let_go(self) -> None:
        self._lines.close()


def _indicators(settings: Settings, setup: DoorSetup) -> Indicators:
    pins, high = outputs_of(settings), settings.indicators.active_high
    return GpioChipIndicators(pins, high, settings.alarms.sound_s, lambda: open_lines(setup))


def _check(setup: DoorSetup) -> Iterator[Check]:
    yield Check(
        "warn" if setup.settings.lock_type == "maglock" else "ok",
        "it is not known how this chip leaves the relay's line when the program ends",
        "let the program end and try the door; a resistor at the line decides its level",
    )


DRIVER = DoorDriver(
    name="gpiochip",
    make=lambda setup: GpioChipDoor(setup.settings, setup.post, lambda: open_lines(setup)),
    lock=lambda setup: lock_on_chip(setup.settings, setup.lgpio, setup.dev),
    indicators=_indicators,
    check=_check,
)
