"""The door on the pins of a Raspberry Pi, through gpiozero on lgpio.

Wiring. Relay: as `relay_active_high` says; a strike is energised to release, a maglock to lock.
Inputs are pulled up and switched to ground: the contact is closed while the leaf is shut, the REX
button closes when pressed, the fire loop is closed while all is well, so that a cut wire releases;
likewise tamper, power and the other door's contact. The key of the fire reset closes when turned.

The kernel of Raspberry Pi OS keeps an output driven after the process that set it is gone, killed
or not (pinctrl parameter persist_gpio_outputs): a gate that is killed while the door is released
leaves it released until `gated door lock` runs, which relies on the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gated.config import DoorSettings
from gated.core.model import DoorEvent
from gated.devices.header import header_chip, import_lgpio
from gated.devices.leased import PRESSED_TO_GROUND, Input, LeasedDoor
from gated.errors import DeviceError


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
            Input.TRIGGER: settings.trigger_pin,
            Input.TAMPER: settings.tamper_pin,
            Input.POWER_FAIL: settings.power_fail_pin,
            Input.OTHER_DOOR: settings.other_door_pin,
            Input.FIRE_RESET: settings.fire_reset_pin,
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
        return grounded if name in PRESSED_TO_GROUND else not grounded

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
