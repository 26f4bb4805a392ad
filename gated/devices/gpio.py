"""The door on the pins of a Raspberry Pi, through gpiozero on lgpio.

Wiring. Relay: as `relay_active_high` says; a strike is energised to release, a maglock to lock.
Inputs are pulled up and switched to ground: the contact is closed while the leaf is shut, the REX
button closes when pressed, the fire loop is closed while all is well, so that a cut wire releases.

The kernel of Raspberry Pi OS keeps an output driven after the process that set it is gone, killed
or not (pinctrl parameter persist_gpio_outputs): `gated door lock` relies on it, and needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gated.config import DoorSettings
from gated.core.model import DoorEvent
from gated.devices.leased import Input, LeasedDoor
from gated.errors import DeviceError

CHIPS = Path("/dev")
HEADER_LABELS = ("pinctrl-rp1", "pinctrl-bcm2")
"""Labels of the chips that carry the 40-pin header (Pi 5; Pi 4 and older)."""


class GpioDoor(LeasedDoor):
    """Relay and inputs on GPIO pins; locked from the first moment on."""

    def __init__(
        self,
        settings: DoorSettings,
        post: Callable[[DoorEvent], None],
        pin_factory: Any = None,
    ) -> None:
        """DeviceError when a pin cannot be had. `pin_factory`: gpiozero's; lgpio unless given."""
        wired = {
            Input.CONTACT: settings.contact_pin,
            Input.REX: settings.rex_pin,
            Input.FIRE: settings.fire_pin,
        }
        pins = {name: pin for name, pin in wired.items() if pin is not None}
        super().__init__(settings, post, pins)
        self._energised_is_locked = settings.lock_type == "maglock"
        self._own_factory = pin_factory is None
        self._factory = pin_factory if pin_factory is not None else header_factory()
        self._devices: dict[Input, Any] = {}
        self._relay: Any = None
        try:
            self._claim(pins)
            self._start()
        except Exception as error:
            self._let_go()
            raise DeviceError(f"the door's pins cannot be used: {error}") from error

    def _claim(self, pins: dict[Input, int]) -> None:
        from gpiozero import DigitalInputDevice, OutputDevice

        # direction and level in one step; None instead of a level would read as "on" for some
        self._relay = OutputDevice(
            self._settings.relay_pin,
            active_high=self._settings.relay_active_high,
            initial_value=self._energised_is_locked,
            pin_factory=self._factory,
        )
        for name, pin in pins.items():
            # no bounce_time: what an edge is worth is decided in one place, in LeasedDoor
            device = DigitalInputDevice(pin, pull_up=True, pin_factory=self._factory)
            device.when_activated = device.when_deactivated = self._teller(name)
            self._devices[name] = device

    def _teller(self, name: Input) -> Callable[[], None]:
        return lambda: self._edge(name)

    @property
    def unlocked(self) -> bool:
        return not self._closed and bool(self._relay.value) != self._energised_is_locked

    def _drive(self, released: bool) -> None:
        self._relay.value = released != self._energised_is_locked

    def _active(self, name: Input) -> bool:
        grounded = bool(self._devices[name].value)
        return grounded if name is Input.REX else not grounded

    def _let_go(self) -> None:
        for device in (self._relay, *self._devices.values()):
            if device is not None:
                device.close()
        if self._own_factory:
            self._factory.close()


def header_factory() -> Any:
    """gpiozero's lgpio factory on the chip of the 40-pin header; DeviceError when there is none."""
    lgpio = import_lgpio()
    try:
        from gpiozero.pins.lgpio import LGPIOFactory
    except ImportError as error:
        raise DeviceError(f"door.driver: gpiozero needs the extra `pi`: {error}") from error
    try:
        return LGPIOFactory(chip=header_chip(lgpio))
    except DeviceError:
        raise
    except Exception as error:
        raise DeviceError(f"the GPIO pins cannot be opened: {error}") from error


def import_lgpio() -> Any:
    """The lgpio module; DeviceError with advice when it cannot be had."""
    try:
        import lgpio
    except ImportError as error:
        raise DeviceError(
            f"door.driver: gpiozero needs the extra `pi` (pip install 'gated[pi]'): {error}"
        ) from error
    except OSError as error:
        # on import it makes a pipe in the working directory
        raise DeviceError(f"lgpio needs a working directory to write to: {error}") from error
    return lgpio


def header_chip(lgpio: Any, dev: Path = CHIPS) -> int:
    """Number of the gpiochip that carries the 40-pin header; it differs between Pi models."""
    numbers = sorted(int(p.name[8:]) for p in dev.glob("gpiochip*") if p.name[8:].isdigit())
    problems = []
    for number in numbers:
        try:
            handle = lgpio.gpiochip_open(number)
        except Exception as error:
            problems.append(f"/dev/gpiochip{number}: {error}")
            continue
        try:
            label = str(lgpio.gpio_get_chip_info(handle)[3])
        finally:
            lgpio.gpiochip_close(handle)
        if label.startswith(HEADER_LABELS):
            return number
    if problems:
        raise DeviceError(f"{'; '.join(problems)} (is the user in the group gpio?)")
    raise DeviceError("this computer has no GPIO header: door.driver: simulated or none")
