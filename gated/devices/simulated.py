"""Simulates a door, a camera and GPIO pins, for the demo and for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from gated.config import DoorSettings
from gated.core.messages import DoorEvent
from gated.core.values import Image
from gated.devices.drivers import DoorDriver
from gated.devices.indicators import Output, PlayedIndicators
from gated.devices.timed_door import Input, TimedDoor
from gated.errors import DeviceError
from gated.ports import Clock, Frame


@dataclass(frozen=True, slots=True)
class RelayEdge:
    """A movement of the relay: monotonic seconds, and whether it releases since."""

    at: float
    released: bool


class SimulatedDoor(TimedDoor):
    """A door without hardware. edges: when it was released and locked.

    `press_rex`, `press_trigger`, `open_leaf`, `close_leaf`, `fire` and `end_fire` simulate people;
    their effects have happened when they return.
    """

    def __init__(
        self, settings: DoorSettings, post: Callable[[DoorEvent], None], clock: Clock
    ) -> None:
        super().__init__(settings, post, tuple(Input))
        self.edges: list[RelayEdge] = []
        self._clock = clock
        self._released = False
        self._jammed = False
        self._levels = dict.fromkeys(Input, False)
        self._start()

    @property
    def unlocked(self) -> bool:
        return self._released

    def press_rex(self) -> None:
        """Press and release the request-to-exit button."""
        self._set(Input.REX, True)
        self._set(Input.REX, False)

    def press_trigger(self) -> None:
        """Press and release the trigger."""
        self._set(Input.TRIGGER, True)
        self._set(Input.TRIGGER, False)

    def open_leaf(self) -> None:
        """Open the leaf."""
        self._set(Input.CONTACT, True)

    def close_leaf(self) -> None:
        """Close the leaf."""
        self._set(Input.CONTACT, False)

    def set_input(self, name: Input, active: bool) -> None:
        """Set an input active or not."""
        self._set(name, active)

    def fire(self) -> None:
        """Start the fire alarm."""
        self._set(Input.FIRE, True)

    def end_fire(self) -> None:
        """End the fire alarm; the door stays released until `reset_fire`."""
        self._set(Input.FIRE, False)

    def jam(self, jammed: bool = True) -> None:
        """Make the relay fail from now on, or work again."""
        self._jammed = jammed

    def _set(self, name: Input, active: bool) -> None:
        with self._condition:
            self._levels[name] = active
            if active != self._accepted[name]:
                self._accept(name, active)

    def _drive(self, released: bool) -> None:
        if self._jammed:
            raise DeviceError("the simulated relay is jammed")
        if released != self._released:
            self._released = released
            self.edges.append(RelayEdge(self._clock.now().mono, released))

    def _active(self, name: Input) -> bool:
        return self._levels[name]

    def _let_go(self) -> None:
        """Do nothing."""


class SimulatedIndicators(PlayedIndicators):
    """Simulated outputs; `broken` ones cannot be switched."""

    def __init__(self, alarm_s: float) -> None:
        super().__init__(Output, alarm_s)
        self.broken: set[Output] = set()
        self._thread.start()

    def _drive(self, output: Output, on: bool) -> None:
        if output in self.broken:
            raise DeviceError("the simulated lamp is broken")

    def _let_go(self) -> None:
        """Do nothing."""


class SimulatedCamera:
    """Delivers the given pictures over and over; fails, freezes or disappears on command."""

    def __init__(self, pictures: Iterable[Image], clock: Clock, name: str = "simulated") -> None:
        self.name = name
        self.opened = 0
        self._pictures = list(pictures)
        self._clock = clock
        self._fail_next = threading.Event()
        self._gone = threading.Event()
        self._frozen = threading.Event()
        self._picture = self._pictures[0]
        self._number = 0
        self._is_open = False

    def open(self) -> None:
        """Open the camera. Raises: DeviceError after `disappear`."""
        if self._gone.is_set():
            raise DeviceError("the simulated camera is unplugged")
        self._is_open = True
        self.opened += 1

    def read(self) -> Frame:
        """Return the next picture.

        Raises: DeviceError once after `fail_next`, always after `disappear`.
        """
        if not self._is_open:
            raise DeviceError("the simulated camera is not open")
        if self._gone.is_set() or self._fail_next.is_set():
            self._fail_next.clear()
            raise DeviceError("the simulated camera failed")
        if not self._frozen.is_set():
            # a real sensor never delivers the same picture twice
            self._picture = self._pictures[self._number % len(self._pictures)].copy()
            self._picture[0, 0] = np.frombuffer(self._number.to_bytes(4, "little")[:3], np.uint8)
        self._number += 1
        return Frame(self._picture, self._clock.now().mono, self._number)

    def close(self) -> None:
        """Stop delivering."""
        self._is_open = False

    def fail_next(self) -> None:
        """Make the next read fail."""
        self._fail_next.set()

    def freeze(self) -> None:
        """Repeat the same picture from now on, also after reopening."""
        self._frozen.set()

    def thaw(self) -> None:
        """Deliver changing pictures again."""
        self._frozen.clear()

    def disappear(self) -> None:
        """Unplug the camera: reading and opening fail until `come_back`."""
        self._gone.set()

    def come_back(self) -> None:
        """Plug the camera in again."""
        self._gone.clear()


class SimulatedGpio:
    """The part of the `lgpio` module that doors use, with simulated lines.

    labels: by chip; other chips cannot be opened. levels: by line, kept when the chip is closed, as
    by the kernel of Raspberry Pi OS. busy: lines that other programs hold. without_edges,
    without_pulls: the chip does not support them.
    """

    SET_PULL_UP = 32
    FALLING_EDGE = 2
    BOTH_EDGES = 3
    TX_WAVE = 1

    def __init__(
        self, labels: dict[int, str] | None = None, levels: dict[int, int] | None = None
    ) -> None:
        self.labels = {0: "pinctrl-bcm2711"} if labels is None else labels
        self.levels = dict(levels or {})
        self.driven: set[int] = set()
        self.busy: set[int] = set()
        self.unreadable: set[int] = set()
        """Lines that cannot be read."""
        self.open_chips: set[int] = set()
        self.without_edges = False
        self.without_pulls = False
        self.written: list[tuple[int, int]] = []
        """(line, level) of each output as it was driven."""
        self.wires: dict[int, int] = {}
        """Input that a transistor pulls to ground while an output is high, by output."""
        self.sends_for_ever = False
        """True: the pulses of an output never end."""
        self._group: list[int] = []
        self._claimed: set[int] = set()
        self._watching: dict[int, Callable[[int, int, int, int], None]] = {}

    def turn(self, line: int, level: int, stamp_ns: int = 0) -> None:
        """Set the level of an input, as its wire does."""
        before, self.levels[line] = self.levels.get(line), level
        if before != level and line in self._watching:
            self._watching[line](0, line, level, stamp_ns)

    def unplug(self, chip: int) -> None:
        """Take a chip away: every call with its handle fails from now on."""
        del self.labels[chip]
        self._claimed.clear()
        self._watching.clear()

    def plug(self, chip: int, label: str) -> None:
        """Plug a chip in, under this number."""
        self.labels[chip] = label

    def group_claim_output(self, handle: int, lines: list[int], levels: list[int]) -> int:
        for line, level in zip(lines, levels, strict=True):
            self.gpio_claim_output(handle, line, level)
        self._group = lines
        return 0

    def pulse(self, bits: int, mask: int, delay_us: int) -> tuple[int, int, int]:
        return bits, mask, delay_us

    def tx_wave(self, handle: int, line: int, pulses: list[tuple[int, int, int]]) -> int:
        """Send the whole wave at once, with the time stamps that it would have."""
        stamp = time.monotonic_ns()
        for bits, mask, delay_us in pulses:
            for i, output in enumerate(self._group):
                level = bits >> i & 1
                if mask >> i & 1 and self.levels[output] != level:
                    self.gpio_write(handle, output, level)
                    if output in self.wires:
                        self.turn(self.wires[output], 1 - level, stamp)
            stamp += delay_us * 1000
        return 0

    def tx_busy(self, handle: int, line: int, kind: int) -> int:
        return int(self.sends_for_ever)

    def gpiochip_open(self, chip: int) -> int:
        if chip not in self.labels:
            raise OSError("can not open gpiochip")
        self.open_chips.add(chip)
        return chip

    def gpio_get_chip_info(self, handle: int) -> list[object]:
        return [0, 58, f"gpiochip{handle}", self.labels[handle]]

    def gpio_claim_input(self, handle: int, pin: int, flags: int = 0) -> int:
        self._claim(pin, flags)
        self.levels.setdefault(pin, 1 if flags & self.SET_PULL_UP else 0)
        return 0

    def gpio_claim_alert(self, handle: int, pin: int, edges: int, flags: int = 0) -> int:
        if self.without_edges:
            raise OSError("bad event request")
        return self.gpio_claim_input(handle, pin, flags)

    def callback(
        self, handle: int, pin: int, edge: int, func: Callable[[int, int, int, int], None]
    ) -> SimulatedCallback:
        self._watching[pin] = func
        return SimulatedCallback(lambda: self._watching.pop(pin, None))

    def gpio_claim_output(self, handle: int, pin: int, level: int = 0) -> int:
        self._claim(pin, 0)
        self.driven.add(pin)
        return self.gpio_write(handle, pin, level)

    def gpio_write(self, handle: int, pin: int, level: int) -> int:
        self._reach(handle)
        self.levels[pin] = level
        self.written.append((pin, level))
        return 0

    def gpio_read(self, handle: int, pin: int) -> int:
        self._reach(handle)
        if pin in self.unreadable:
            raise OSError("GPIO not readable")
        return self.levels[pin]

    def gpio_free(self, handle: int, pin: int) -> int:
        self._reach(handle)
        self._claimed.discard(pin)
        return 0

    def gpiochip_close(self, handle: int) -> int:
        self.open_chips.discard(handle)
        self._claimed.clear()
        return 0

    def _reach(self, handle: int) -> None:
        if handle not in self.labels:
            raise OSError("No such device")

    def _claim(self, pin: int, flags: int) -> None:
        if pin in self.busy | self._claimed:
            raise OSError("GPIO busy")
        if flags and self.without_pulls:
            raise OSError("bad bias flags")
        self._claimed.add(pin)


class SimulatedCallback:
    """The handle that `SimulatedGpio.callback` returns."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel

    def cancel(self) -> None:
        """End the calls."""
        self._cancel()


DOOR = DoorDriver(
    name="simulated",
    make=lambda setup: SimulatedDoor(setup.settings, setup.post, setup.clock),
    indicators=lambda settings, setup: SimulatedIndicators(settings.alarms.sound_s),
)
