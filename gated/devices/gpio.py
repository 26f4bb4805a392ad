"""Drives a door on the pins of a Raspberry Pi, through gpiozero on lgpio.

Wiring. Relay: as `relay_active_high` says; a strike is energised to release, a maglock to lock.
Inputs are pulled up and switched to ground: the contact is closed while the leaf is shut, the REX
button closes when pressed, the fire loop is normally closed, so that a cut wire releases; likewise
tamper, power and the other door's contact. The key of the fire reset closes when turned.

The kernel of Raspberry Pi OS keeps an output driven after its process has ended, killed or not
(parameter persist_gpio_outputs): a gate that is killed while the door is released leaves it
released until `gated door lock` runs, which relies on the same. Other kernels turn the output into
an input: a strike is locked at once, and a maglock is free, which is refused unless accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gated.config import DoorSettings, Settings
from gated.core.messages import DoorEvent
from gated.devices.drivers import Check, DoorDriver, DoorSetup
from gated.devices.emergency import at_exit, lock_on_header, locks_undriven
from gated.devices.header import DEV, SYS, Header, find_header, import_lgpio
from gated.devices.indicators import Output, PlayedIndicators, outputs_of
from gated.devices.timed_door import PRESSED_TO_GROUND, Input, TimedDoor, wired
from gated.errors import DeviceError
from gated.ports import Indicators

log = logging.getLogger(__name__)

GONE = "the pins cannot be claimed"


class GpioDoor(TimedDoor):
    """Relay and inputs on GPIO pins; locked from the first moment."""

    def __init__(
        self,
        settings: DoorSettings,
        post: Callable[[DoorEvent], None],
        pin_factory: Any = None,
        dev: Path = DEV,
        sys: Path = SYS,
    ) -> None:
        """Claim the pins. pin_factory: gpiozero's; by default lgpio's. Raises: DeviceError."""
        pins = wired(settings)
        super().__init__(settings, post, pins)
        self._energised_is_locked = settings.lock_type == "maglock"
        self._own_factory = pin_factory is None
        if pin_factory is None:
            _refuse_release_at_exit(settings, find_header(import_lgpio(), dev), sys)
        self._dev = dev
        self._factory = steady(pin_factory) if pin_factory is not None else header_factory(dev)
        self._devices: dict[Input, Any] = {}
        self._relay: Any = None
        try:
            self._claim()
            self._start()
        except Exception as error:
            self._let_go()
            raise DeviceError(f"the door's pins cannot be used: {error}") from error

    def _claim(self) -> None:
        from gpiozero import DigitalInputDevice, OutputDevice

        # an initial level of None would read as "on" in some factories
        self._relay = OutputDevice(
            self._settings.relay_pin,
            active_high=self._settings.relay_active_high,
            initial_value=self._fire != self._energised_is_locked,
            pin_factory=self._factory,
        )
        for name, pin in wired(self._settings).items():
            # no bounce_time: TimedDoor debounces
            device = DigitalInputDevice(pin, pull_up=True, pin_factory=self._factory)
            device.when_activated = device.when_deactivated = self._on_edge(name)
            self._devices[name] = device

    @property
    def unlocked(self) -> bool:
        relay = self._relay
        return relay is not None and bool(relay.value) != self._energised_is_locked

    def _drive(self, released: bool) -> None:
        if self._relay is None:
            raise DeviceError(GONE)
        self._relay.value = released != self._energised_is_locked

    def _active(self, name: Input) -> bool:
        if name not in self._devices:
            raise DeviceError(GONE)
        grounded = bool(self._devices[name].value)
        return grounded if name in PRESSED_TO_GROUND else not grounded

    def _renew(self) -> bool:
        if not self._own_factory:
            return False
        self._let_go()
        self._factory = header_factory(self._dev)
        self._claim()
        return True

    def _let_go(self) -> None:
        owned = (self._relay, *self._devices.values(), self._factory if self._own_factory else None)
        self._relay, self._devices = None, {}
        _close_each(owned)


def _close_each(owned: Iterable[Any]) -> None:
    """Close pins and factories, those of a chip that is gone as well."""
    for one in owned:
        if one is not None:
            try:
                one.close()
            except Exception as error:
                log.debug("closing %s: %s", one, error)


def _refuse_release_at_exit(door: DoorSettings, header: Header, sys: Path) -> None:
    """Refuse a maglock that would be free whenever the program ends, unless that is accepted.

    Raises: DeviceError.
    """
    problem = at_exit(door, header, sys)
    if problem and door.lock_type == "maglock" and not door.accept_release_at_exit:
        raise DeviceError(f"{problem}, or accept it with door.accept_release_at_exit: true")


def header_factory(dev: Path = DEV) -> Any:
    """Make gpiozero's lgpio factory on the chip of the 40-pin header. Raises: DeviceError.

    Its pins are claimed once, outputs with their level.
    """
    lgpio = import_lgpio()
    try:
        from gated.devices.pins import HeaderFactory
    except ImportError as error:
        raise DeviceError(
            f"door.driver: gpiozero needs the extra `pi` (pip install 'gated[pi]'): {error}"
        ) from error
    except Exception as error:
        raise DeviceError(f"door.driver: gpiozero does not start: {error}") from error
    try:
        return HeaderFactory(find_header(lgpio, dev).chip)
    except DeviceError:
        raise
    except Exception as error:
        raise DeviceError(f"the GPIO pins cannot be opened: {error}") from error


def steady(factory: Any) -> Any:
    """Return the factory, made to claim its pins once if it works on lgpio."""
    if type(factory).__module__ == "gpiozero.pins.lgpio":
        from gated.devices.pins import claimed_once

        return claimed_once(factory)
    return factory


class GpioIndicators(PlayedIndicators):
    """Outputs on GPIO pins; off from the first moment. pin_factory: by default lgpio's."""

    def __init__(
        self, pins: dict[Output, int], active_high: bool, alarm_s: float, pin_factory: Any = None
    ) -> None:
        """Claim the pins. Raises: DeviceError."""
        super().__init__(pins, alarm_s)
        self._pins, self._active_high = pins, active_high
        self._own_factory = pin_factory is None
        self._factory = steady(pin_factory) if pin_factory is not None else header_factory()
        self._devices: dict[Output, Any] = {}
        try:
            self._claim()
        except Exception as error:
            self._let_go()
            raise DeviceError(f"the pins of the indicators cannot be used: {error}") from error
        self._thread.start()

    def _claim(self) -> None:
        from gpiozero import OutputDevice

        for name, pin in self._pins.items():
            self._devices[name] = OutputDevice(
                pin,
                active_high=self._active_high,
                initial_value=False,
                pin_factory=self._factory,
            )

    def _drive(self, output: Output, on: bool) -> None:
        if output not in self._devices:
            raise DeviceError(GONE)
        self._devices[output].value = on

    def _renew(self) -> bool:
        if not self._own_factory:
            return False
        self._let_go()
        self._factory = header_factory()
        self._claim()
        return True

    def _let_go(self) -> None:
        owned = (*self._devices.values(), self._factory if self._own_factory else None)
        self._devices = {}
        _close_each(owned)


def _indicators(settings: Settings, setup: DoorSetup) -> Indicators:
    pins, high = outputs_of(settings), settings.indicators.active_high
    return GpioIndicators(pins, high, settings.alarms.sound_s, setup.pins)


def _when_it_ends(setup: DoorSetup) -> Iterator[Check]:
    """Check the state of the relay after the program ends or is killed."""
    door = setup.settings
    header = find_header(setup.lgpio or import_lgpio(), setup.dev)
    problem, keeps = at_exit(door, header, setup.sys), header.keeps_outputs(setup.sys)
    if problem is not None:
        message, _, advice = problem.partition(": ")
        yield Check("warn", message, advice)
    elif keeps is None and not locks_undriven(door):
        message = "this kernel does not say whether it keeps the relay when the program ends"
        yield Check("warn", message, f"{header.advice}; then try it")
    else:
        kept = "the kernel keeps its level" if keeps else "its pull resistor keeps it locked"
        yield Check("ok", f"when the program ends, {kept}")


DRIVER = DoorDriver(
    name="gpiozero",
    make=lambda setup: GpioDoor(setup.settings, setup.post, setup.pins, setup.dev, setup.sys),
    lock=lambda setup: lock_on_header(setup.settings, setup.lgpio, setup.dev, setup.sys),
    indicators=_indicators,
    check=_when_it_ends,
)
