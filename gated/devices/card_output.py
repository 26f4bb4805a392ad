"""Reports people who are let in to a door controller, as cards."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from gated.config import CardOutputSettings
from gated.core.messages import Condition, Decision
from gated.core.wiegand import encode
from gated.devices.drivers import CardOutputDriver, DoorHardware, card_output_driver
from gated.devices.guards import made_by
from gated.errors import CardRefused, ConfigError
from gated.ports import CardBits, CardOutput

log = logging.getLogger(__name__)

LONGEST_FILE = 16 << 20


class CardReporter:
    """Sends the card of each person who is let in. Never waits, never raises."""

    def __init__(
        self,
        settings: CardOutputSettings,
        output: CardOutput,
        numbers: Mapping[str, tuple[int, int]] | None,
    ) -> None:
        """numbers: as `read_numbers` returns them; None: the personnel code is the number."""
        self._output, self._bits, self._facility = output, settings.bits, settings.facility
        self._numbers = numbers

    def decided(self, decision: Decision) -> None:
        """Send the card of a person who was let in."""
        if not decision.granted or decision.person is None:
            return
        card = self._card(decision.person.personnel_code)
        if card is None:
            log.warning("card output: person %d has no card number", decision.person.id)
            return
        try:
            self._output.send(CardBits(encode(self._bits, *card)))
        except CardRefused as error:
            log.warning("card output: person %d: %s", decision.person.id, error)
        except Exception:  # of an output from outside: the gate decides on
            log.exception("card output: the card of person %d is not sent", decision.person.id)

    def close(self) -> None:
        """Close the output."""
        try:
            self._output.close()
        except Exception:  # likewise: the door is closed after it
            log.exception("card output: cannot be closed")

    def _card(self, code: str) -> tuple[int, int] | None:
        if self._numbers is not None:
            found = self._numbers.get(code.casefold())
            return None if found is None else (found[0] or self._facility, found[1])
        digits = code.isascii() and code.isdigit() and len(code) <= 12
        return (self._facility, int(code)) if digits else None


def read_numbers(file: Path) -> Mapping[str, tuple[int, int]]:
    """Read (facility code or 0, number) by personnel code in lower case. Raises: ConfigError."""
    found: dict[str, tuple[int, int]] = {}
    try:
        if file.stat().st_size > LONGEST_FILE:
            raise ConfigError(f"{file} is larger than {LONGEST_FILE >> 20} MB")
        with file.open(encoding="utf-8-sig", newline="") as opened:
            for row in csv.reader(opened):
                if row:
                    code, number = row
                    parts = [int(part) for part in number.split("-")]
                    facility, number_only = parts if len(parts) == 2 else (0, *parts)
                    found[code.strip().casefold()] = (facility, number_only)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error):
        raise ConfigError(
            f"{file}: line {len(found) + 1}, or one below it, is no personnel code and card number "
            "(E17,12-3456)"
        ) from None
    return found


def open_card_output(
    settings: CardOutputSettings,
    note: Callable[[Condition], None],
    hardware: DoorHardware | None = None,
) -> CardReporter | None:
    """Open the configured output; None without one. Raises: ConfigError, DeviceError."""
    if settings.driver == "none":
        return None
    # first: an error in it leaves no line taken
    numbers = None if settings.numbers is None else read_numbers(settings.numbers)
    driver, setup = card_output_driver(settings, note, hardware or DoorHardware())
    output = made_by(f"card output driver {driver.name}", driver.make, setup)
    if output is None:
        return None
    return CardReporter(settings, output, numbers)


NONE = CardOutputDriver(name="none", make=lambda setup: None)
