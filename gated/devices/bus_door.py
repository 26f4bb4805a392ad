"""Drives a door whose relay is on an external board: on USB, a serial bus, a network.

Theory of operation. The door (`TimedDoor`) never waits for the board: `unlock` and `lock` store the
wanted state and return. A second thread, the only user of the link, moves the relay to the wanted
state, checks it several times a second, and reads the inputs.

- A link that fails is closed, the lease is dropped, and `relay_lost` begins. It is opened again for
  ever, with pauses that grow to LONGEST_PAUSE_S, and the first command to the board is to lock, so
  that no old request is carried out late. A release meanwhile is a FAULT at once.
- A relay that somebody else has moved is moved back at the next check.
- Inputs keep their last state while the link is lost; that is no fire and no forced door.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gated.config import DoorSettings, Section
from gated.core.messages import Condition
from gated.devices.drivers import Check, DoorDriver, DoorSetup
from gated.devices.thread_names import name_this_thread
from gated.devices.timed_door import PRESSED_TO_GROUND, Input, TimedDoor, wired
from gated.errors import DeviceError

log = logging.getLogger(__name__)

LOST = "relay_lost"
"""Condition: the board does not answer, or is missing."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0
LOOK_S = 0.1
"""Interval of checks with inputs."""
REST_S = 0.5
"""Interval of checks without inputs."""
AFTER_LEASE_S = 1.0
"""Time by which the board's own timer, if any, ends after the lease."""
END_S = 3.0


@dataclass(frozen=True, slots=True)
class BoardState:
    """The state of a board. energised: of the relay; None where the board cannot report it.

    closed: whether the contact of an input is closed, by number of the input.
    """

    energised: bool | None = None
    closed: Mapping[int, bool] = field(default_factory=dict)


class RelayLink(Protocol):
    """A board, used by one thread. Each call ends within two seconds or raises DeviceError."""

    name: str

    def open(self) -> None:
        """Connect to the board; may be called again after `close`."""

    def drive(self, energised: bool, for_s: float | None) -> None:
        """Move the relay. for_s: time after which a board with a timer moves it back."""

    def look(self, inputs: Iterable[int]) -> BoardState:
        """Return the state of the relay and of these inputs."""

    def close(self) -> None:
        """Disconnect, leaving the relay as it is; safe to call twice."""


class BusDoor(TimedDoor):
    """The relay of a link, locked as soon as the board answers; starts without the board, too."""

    link_limit_s = 25.0
    """The same of the thread of the link, which may pause for LONGEST_PAUSE_S."""

    def __init__(self, setup: DoorSetup, link: RelayLink) -> None:
        pins = wired(setup.settings)
        super().__init__(setup.settings, setup.post, pins)
        self._pins, self._link, self._note = pins, link, setup.note
        self._energised_is_locked = setup.settings.lock_type == "maglock"
        self._bus = threading.Condition()
        # guarded by `_bus`, which is taken after the door's own lock and never before it
        self._wanted = self._asked = self._ending = False
        self._problem: str | None = "it is not connected yet"
        self._closed_inputs: dict[Input, bool] = {}
        self._served_at = time.monotonic()
        try:
            self._hello()
        except DeviceError as error:
            self._report_lost(error)
        self._begin_serving()

    @property
    def problem(self) -> str | None:
        """The reason why the board cannot be used now, or None."""
        with self._bus:
            return self._problem

    @property
    def unlocked(self) -> bool:
        return self._wanted

    @property
    def stuck(self) -> bool:
        """True as well when the link has returned nothing in time: the relay moves no more."""
        late = time.monotonic() - self._served_at > self.link_limit_s
        return super().stuck or (late and not self._closed)

    def close(self) -> None:
        """Lock, wait until the board has done so, disconnect; safe to call twice."""
        super().close()
        if self._server.is_alive() and self._server is not threading.current_thread():
            self._server.join(END_S)

    # --- requests of the door -----------------------------------------------------------------

    def _drive(self, released: bool) -> None:
        with self._bus:
            if released and self._problem is not None and not self._fire:
                raise DeviceError(f"{self._link.name}: {self._problem}")
            self._wanted = released
            # also when it is released already: a board's own timer has to be restarted
            self._asked = True
            self._bus.notify()

    def _active(self, name: Input) -> bool:
        ground = name in PRESSED_TO_GROUND
        return self._closed_inputs.get(name, not ground) == ground

    def _let_go(self) -> None:
        with self._bus:
            self._ending = True
            self._bus.notify()

    # --- the thread of the link ---------------------------------------------------------------

    def _begin_serving(self) -> None:
        self._server = threading.Thread(target=self._serve, name="door-link", daemon=True)
        self._start()
        self._server.start()

    def _serve(self) -> None:
        name_this_thread()
        pause = FIRST_PAUSE_S
        while True:
            self._served_at = time.monotonic()
            try:
                if self.problem is not None:
                    self._hello()
                    log.info("door: %s is there again", self._link.name)
                    self._note(Condition(LOST, False))
                pause = FIRST_PAUSE_S
                self._work()
                return
            except DeviceError as error:
                self._lost(error)
            except Exception as error:
                log.exception("door: unexpected error; the program goes on")
                self._lost(DeviceError(f"failed: {type(error).__name__}: {error}"))
            with self._bus:
                if self._ending:
                    return
                self._bus.wait_for(
                    lambda: self._ending,
                    pause * random.uniform(0.75, 1.25),  # noqa: S311 - no secret
                )
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _hello(self) -> None:
        """Open the link, lock, and read the inputs. Raises: DeviceError."""
        self._link.open()
        self._move(released=self._fire)
        self._look_at_board()
        with self._bus:
            self._problem = None

    def _work(self) -> None:
        """Keep the relay in the wanted state until `close`. Raises: DeviceError."""
        try:
            while True:
                self._served_at = time.monotonic()
                with self._bus:
                    self._bus.wait_for(
                        lambda: self._asked or self._ending, LOOK_S if self._pins else REST_S
                    )
                    asked, ending, wanted = self._asked, self._ending, self._wanted
                    self._asked = False
                if asked or ending:
                    self._move(wanted)
                if ending:
                    return
                if self._look_at_board() not in {None, self._level(wanted)}:
                    with self._bus:
                        self._asked = True
        finally:
            self._link.close()

    def _level(self, released: bool) -> bool:
        return released != self._energised_is_locked

    def _move(self, released: bool) -> None:
        # a board's own timer must not end what the fire alarm has released
        ends = None if self._fire else self._lease_ends
        lease = None if not released or ends is None else ends - time.monotonic() + AFTER_LEASE_S
        self._link.drive(self._level(released), lease)

    def _look_at_board(self) -> bool | None:
        """Read relay and inputs, and return whether the relay is energised. Raises: DeviceError."""
        seen = self._link.look(self._pins.values())
        for name, pin in self._pins.items():
            closed = seen.closed.get(pin)
            if closed is not None and closed != self._closed_inputs.get(name):
                self._closed_inputs[name] = closed
                # not during construction and close, which hold the lock and wait for this
                if self._thread.is_alive() and not self._ending:
                    self._edge(name)
        return seen.energised

    def _lost(self, error: DeviceError) -> None:
        self._link.close()
        if self.problem is None:
            self._report_lost(error)
        with self._bus:
            self._problem = str(error)
        if not self._ending:
            self._forget_lease()

    def _report_lost(self, error: DeviceError) -> None:
        self._link.close()
        with self._bus:
            self._problem = str(error)
        detail = f"{self._link.name}: {error}"
        log.error("door: the relay cannot be reached: %s", detail)
        self._note(Condition(LOST, True, detail, "alarm"))

    def _forget_lease(self) -> None:
        """Drop the lease: when the board is back it only gets the command to lock."""
        with self._condition:
            self._lease_ends = None
            if not self._fire:
                with self._bus:
                    self._wanted = False


def lock_link(setup: DoorSetup, link: RelayLink) -> str:
    """Lock without the program, and return what was done. Raises: DeviceError.

    While a fire input is active the relay is left as it is, as on pins.
    """
    unread = ""
    try:
        link.open()
        try:
            if _fire(setup.settings, link):
                return "the fire input is active: the door is left as it is"
        except DeviceError as error:
            unread = f"; the fire input cannot be read: {error}"
        energised = setup.settings.lock_type == "maglock"
        link.drive(energised, None)
        if link.look(()).energised not in {None, energised}:
            raise DeviceError("the relay does not follow")
    except DeviceError as error:
        raise DeviceError(f"{link.name} cannot be driven: {error}") from None
    finally:
        link.close()
    return f"locked: {link.name} was {'energised' if energised else 'switched off'}{unread}"


def _fire(settings: DoorSettings, link: RelayLink) -> bool:
    """Return whether the fire input, if there is one, is active. Raises: DeviceError."""
    pin = settings.fire_pin
    return pin is not None and link.look((pin,)).closed.get(pin) is False


def relay_of(settings: DoorSettings) -> int:
    """Return the number of the relay. Raises: DeviceError without one."""
    if settings.relay_pin is None:
        raise DeviceError(f"door.driver {settings.driver} needs door.relay_pin: the relay's number")
    return settings.relay_pin


def bus_driver(
    name: str, link: Callable[[DoorSetup], RelayLink], options: type[Section],
    check: Callable[[DoorSetup], Iterator[Check]],
) -> DoorDriver:  # fmt: skip
    """Declare a door driver for boards of this link."""
    return DoorDriver(
        name=name,
        make=lambda setup: BusDoor(setup, link(setup)),
        options=options,
        lock=lambda setup: lock_link(setup, link(setup)),
        check=check,
    )
