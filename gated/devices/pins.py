"""gpiozero's pins on lgpio, claimed once: with what they are for, and an output with its level.

gpiozero takes each pin as an input without a pull first, then as a low output, and only then writes
the level that was asked for. A relay whose locked level is high would move at every start. At the
end it makes an input of it again, which floats. Here an output is one call of lgpio, and at the end
the line is let go of as it stands: what the kernel makes of that, `header.keeps_outputs` says.
"""

from __future__ import annotations

from typing import Any

import lgpio
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
from gpiozero.pins.local import LocalPiPin


class HeaderPin(LGPIOPin):  # type: ignore[misc]  # gpiozero has no types
    """A pin that nobody has claimed yet."""

    def __init__(self, factory: Any, info: Any) -> None:
        # past the parent's own, which claims the pin as an input
        LocalPiPin.__init__(self, factory, info)
        self._pwm = self._bounce = self._callback = None
        self._edges = lgpio.BOTH_EDGES
        self._use: str | None = None

    def output_with_state(self, state: bool) -> None:
        """Drive the pin from now on, at this level from the first moment."""
        lgpio.gpio_claim_output(self.factory._handle, self._number, int(bool(state)))
        self._use = "output"

    def _set_function(self, value: str) -> None:
        super()._set_function(value)
        self._use = value

    def close(self) -> None:
        """Let go of the pin as it stands; safe to call twice."""
        use, self._use = self._use, None
        if use == "output" and self.factory._handle is not None:
            lgpio.gpio_free(self.factory._handle, self._number)
        elif use is not None:
            super().close()


class HeaderFactory(LGPIOFactory):  # type: ignore[misc]
    """Such pins on one chip."""

    def __init__(self, chip: int) -> None:
        super().__init__(chip=chip)
        # gpiozero keeps one table for all factories: who closes one would close the others' pins
        self.pins: dict[Any, Any] = {}
        self.pin_class = HeaderPin


def claimed_once(factory: Any) -> Any:
    """The factory, making such pins from now on if it is one of lgpio's."""
    if isinstance(factory, LGPIOFactory):
        factory.pin_class = HeaderPin
    return factory
