"""Makes gpiozero claim pins on lgpio only once, for their purpose, and outputs with their level.

gpiozero itself claims each pin first as an input without a pull, then as a low output, and only
then sets the level. A relay whose locked level is high would move at every start. At the end it
turns the pin into a floating input. Here an output is claimed by one call of lgpio, and freed as it
stands; `header.keeps_outputs` says what the kernel does then.
"""

from __future__ import annotations

from typing import Any

import lgpio
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
from gpiozero.pins.local import LocalPiPin


class HeaderPin(LGPIOPin):  # type: ignore[misc]  # gpiozero has no types
    """A pin that is not claimed yet."""

    def __init__(self, factory: Any, info: Any) -> None:
        # skips the parent's __init__, which claims the pin as an input
        LocalPiPin.__init__(self, factory, info)
        self._pwm = self._bounce = self._callback = None
        self._edges = lgpio.BOTH_EDGES
        self._use: str | None = None

    def output_with_state(self, state: bool) -> None:
        """Claim an output, at this level from the first moment."""
        lgpio.gpio_claim_output(self.factory._handle, self._number, int(bool(state)))
        self._use = "output"

    def _set_function(self, value: str) -> None:
        super()._set_function(value)
        self._use = value

    def close(self) -> None:
        """Free the pin as it stands; safe to call twice."""
        use, self._use = self._use, None
        if use == "output" and self.factory._handle is not None:
            lgpio.gpio_free(self.factory._handle, self._number)
        elif use is not None:
            super().close()


class HeaderFactory(LGPIOFactory):  # type: ignore[misc]
    """Makes HeaderPins on one chip."""

    def __init__(self, chip: int) -> None:
        super().__init__(chip=chip)
        # gpiozero has one table for all factories: closing one would close the others' pins
        self.pins: dict[Any, Any] = {}
        self.pin_class = HeaderPin


def claimed_once(factory: Any) -> Any:
    """Let a factory of lgpio make HeaderPins; return the factory."""
    if isinstance(factory, LGPIOFactory):
        factory.pin_class = HeaderPin
    return factory
