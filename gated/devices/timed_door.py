"""Keep what every door has in common: the lease, the inputs and the fire latch.

Theory of operation. `TimedDoor` owns one thread, the only one that ends a lease or believes an
input. A subclass brings two primitives: `_drive(released)` moves the relay, `_active(input)` reads
an input as it is now. Everything that moves the relay happens under one lock, so that a lease that
ends and a grant that extends it cannot overtake each other.

- `unlock(for_s)` is a lease: the door locks by itself when it ends, whatever becomes of the caller.
  Overlapping leases end with the later one; they never add up.
- An edge of an input is believed after it has been stable for the debounce time. Inputs are also
  re-read once a second, because the kernel drops edges when its queue is full.
- Fire releases before anyone hears of it and stays latched until `reset_fire`; nothing locks the
  door meanwhile.
- Whatever goes wrong in here locks the door (unless fire holds it) and posts FAULT, once per cause.
  A relay that stands released without a lease is driven back at the next look, so a failed attempt
  to lock is repeated every second.

The lease runs on the machine's monotonic clock and never on an injected one: a test clock that
stands still must not keep a strike energised.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from enum import StrEnum

from gated.config import DoorSettings
from gated.core.messages import DoorEvent
from gated.core.values import DoorEventKind
from gated.errors import DeviceError

log = logging.getLogger(__name__)

Post = Callable[[DoorEvent], None]

REREAD_S = 1.0


class Input(StrEnum):
    """An input that may be wired to a door besides its relay."""

    CONTACT = "contact"
    """Active: the leaf stands open."""
    REX = "rex"
    """Active: the request-to-exit button is pressed."""
    FIRE = "fire"
    """Active: the fire alarm asks for the door to be released."""
    TRIGGER = "trigger"
    """Active: somebody asks the gate to look at faces (a button, a mat, a motion sensor)."""
    TAMPER = "tamper"
    """Active: the box was opened."""
    POWER_FAIL = "power_fail"
    """Active: the mains are gone, the battery feeds the door."""
    OTHER_DOOR = "other_door"
    """Active: the other door of the mantrap stands open."""
    FIRE_RESET = "fire_reset"
    """Active: somebody turns the key that ends the fire release."""


CHANGES: dict[Input, tuple[DoorEventKind, DoorEventKind]] = {
    Input.CONTACT: (DoorEventKind.CONTACT_OPEN, DoorEventKind.CONTACT_CLOSED),
    Input.TAMPER: (DoorEventKind.TAMPER, DoorEventKind.TAMPER_CLEARED),
    Input.POWER_FAIL: (DoorEventKind.POWER_FAIL, DoorEventKind.POWER_RESTORED),
    Input.OTHER_DOOR: (DoorEventKind.OTHER_OPEN, DoorEventKind.OTHER_CLOSED),
}
"""What is told of the inputs whose both states matter."""

PRESSED_TO_GROUND = frozenset({Input.REX, Input.TRIGGER, Input.FIRE_RESET})
"""Active while closed. All other inputs are closed while all is well: a cut wire tells."""


def wired(settings: DoorSettings) -> dict[Input, int]:
    """The pin of each input that has one; the key of its setting is called like the input."""
    pins = settings.pins()
    return {name: pins[key] for name in Input if (key := f"{name}_pin") in pins}


class TimedDoor(ABC):
    """A door whose relay is released for a time and locks by itself (ports.Door)."""

    def __init__(self, settings: DoorSettings, post: Post, inputs: Iterable[Input]) -> None:
        self._settings = settings
        self._post = post
        self._inputs = tuple(inputs)
        self._accepted = dict.fromkeys(self._inputs, False)
        self._settles: dict[Input, float] = {}
        self._lease_ends: float | None = None
        self._fire = False
        self._fault: str | None = None
        self._closed = False
        self._condition = threading.Condition(threading.RLock())
        self._thread = threading.Thread(target=self._run, name="door", daemon=True)

    @abstractmethod
    def _drive(self, released: bool) -> None:
        """Move the relay to its releasing or to its locked level."""

    @abstractmethod
    def _active(self, name: Input) -> bool:
        """Return whether the input is active at this moment, bouncing or not."""

    @abstractmethod
    def _let_go(self) -> None:
        """Give the hardware back; the relay stands where it should stay."""

    @property
    @abstractmethod
    def unlocked(self) -> bool:
        """True while the relay is at its releasing level."""

    @property
    def contact_open(self) -> bool | None:
        """True while the door leaf stands open; None without a contact."""
        return self._accepted.get(Input.CONTACT)

    def inputs(self) -> dict[Input, bool]:
        """Every wired input as it is at this moment, bouncing or not."""
        return {name: self._active(name) for name in self._inputs}

    def unlock(self, for_s: float) -> None:
        """Release for so many seconds, at most `max_unlock_s`; a longer lease stays.

        Raises ValueError for a time that is not positive, DeviceError when the relay cannot be
        moved or the door was closed.
        """
        if not for_s > 0:
            raise ValueError(f"a door is unlocked for a positive time, not {for_s}")
        with self._condition:
            if self._closed:
                raise DeviceError("the door is closed down")
            ends = time.monotonic() + min(for_s, self._settings.max_unlock_s)
            # the lease comes first: from here on the thread ends it even if this caller dies
            self._lease_ends = max(ends, self._lease_ends or -math.inf)
            self._condition.notify()
            try:
                self._drive(True)
            except Exception as error:
                self._fail(f"the relay cannot be released: {error}")
                raise DeviceError(f"the relay cannot be released: {error}") from error

    def lock(self) -> None:
        """End any lease and lock now; while fire is latched the door stays released."""
        with self._condition:
            self._lease_ends = None
            if not self._closed and not self._fire:
                self._drive(False)

    def reset_fire(self) -> bool:
        """Unlatch by hand after a fire alarm and lock; False while the fire input is active."""
        with self._condition:
            if self._closed:
                return False
            if Input.FIRE in self._inputs and self._active(Input.FIRE):
                self._post(DoorEvent(DoorEventKind.FIRE_HELD))
                return False
            if self._fire:
                self._fire = False
                self._accepted[Input.FIRE] = False
                self.lock()
                self._post(DoorEvent(DoorEventKind.FIRE_CLEARED))
            return True

    def close(self) -> None:
        """Lock (unless fire is latched), then let go of the hardware; safe to call twice."""
        with self._condition:
            if self._closed:
                return
            try:
                self.lock()
            finally:
                self._closed = True
                self._condition.notify()
                self._let_go()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def _start(self) -> None:
        """Lock, read the inputs as they stand and begin to watch; the subclass is ready by now."""
        with self._condition:
            self._drive(False)
            # a button that is stuck, or wired the wrong way round, must not open at every start
            self._accepted = self.inputs() | {Input.FIRE: False}
            self._tell_what_holds()
            self._thread.start()

    def _tell_what_holds(self) -> None:
        """Post what is active from the start on; a leaf that stands open was not forced."""
        if Input.FIRE in self._inputs and self._active(Input.FIRE):
            self._accept(Input.FIRE, True)
        for name in self._inputs:
            if name is Input.CONTACT and self._accepted[name]:
                self._post(DoorEvent(DoorEventKind.FOUND_OPEN))
            elif name in CHANGES and self._accepted[name]:
                self._accept(name, True)

    def _edge(self, name: Input) -> None:
        """An input may have changed; called by the driver from any thread."""
        with self._condition:
            # from the first edge on: an input that chatters for ever must not be put off for ever
            self._settles.setdefault(name, time.monotonic() + self._settings.debounce_s)
            self._condition.notify()

    def _run(self) -> None:
        with self._condition:
            while not self._closed:
                try:
                    self._keep_lease(time.monotonic())
                    for name in self._inputs:
                        self._look(name, time.monotonic())
                    self._fault = None
                except Exception as error:
                    self._fail(str(error) or type(error).__name__)
                self._condition.wait(self._idle_s())

    def _idle_s(self) -> float:
        """Seconds until something is due, at most REREAD_S."""
        if self._fault:
            return REREAD_S
        now = time.monotonic()
        due = [now + REREAD_S, *self._settles.values()]
        if self._lease_ends is not None:
            due.append(self._lease_ends)
        return max(0.0, min(due) - now)

    def _keep_lease(self, now: float) -> None:
        """End the lease when it is over, and see that the relay stands where it should."""
        if self._lease_ends is not None and now >= self._lease_ends:
            self.lock()
            if not self._fire:
                self._post(DoorEvent(DoorEventKind.RELOCKED))
        wanted = self._fire or self._lease_ends is not None
        if self.unlocked != wanted:
            self._drive(wanted)

    def _look(self, name: Input, now: float) -> None:
        """Read an input; believe what it says once it was given the time to settle."""
        if now < self._settles.get(name, now):
            return
        active = self._active(name)
        settled = self._settles.pop(name, None) is not None
        if active == self._accepted[name]:
            return
        if settled:
            self._accept(name, active)
        else:
            self._settles[name] = now + self._settings.debounce_s

    def _accept(self, name: Input, active: bool) -> None:
        """Believe the new state of an input: act first, then tell."""
        self._accepted[name] = active
        if name in CHANGES:
            began, ended = CHANGES[name]
            self._post(DoorEvent(began if active else ended))
        elif name is Input.REX and active:
            if self._settings.rex_releases and self._settings.mounting == "inside":
                self.unlock(self._settings.unlock_s)
            self._post(DoorEvent(DoorEventKind.REX))
        elif name is Input.TRIGGER and active:
            self._post(DoorEvent(DoorEventKind.TRIGGER))
        elif name is Input.FIRE_RESET and active:
            self.reset_fire()
        elif name is Input.FIRE and active and not self._fire:
            self._fire = True
            self._drive(True)
            self._post(DoorEvent(DoorEventKind.FIRE))

    def _fail(self, detail: str) -> None:
        """Something in here broke: lock if possible, and say so."""
        news, self._fault = detail != self._fault, detail
        try:
            self.lock()
        except Exception:
            log.exception("door: cannot be locked")
        if news:
            log.error("door: %s", detail)
            try:
                self._post(DoorEvent(DoorEventKind.FAULT, detail))
            except Exception:
                log.exception("door: the fault cannot be told")
