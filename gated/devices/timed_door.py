"""The base of all doors with a relay: the lease, the inputs and the fire latch.

Theory of operation. `TimedDoor` owns one thread, the only one that ends a lease or accepts a change
of an input. A subclass provides two primitives: `_drive(released)` moves the relay,
`_active(input)` reads an input. Everything that moves the relay happens under one lock, so that the
end of a lease and a grant that extends it are ordered.

- `unlock(for_s)` is a lease: the door locks by itself when it ends, whatever happens to the caller.
  Overlapping leases end with the latest one; they never add up.
- A change of an input is accepted if it is still there when the debounce time after its first edge
  is over. Inputs are also read once a second, because the kernel drops edges when its queue is
  full.
- Fire releases before the event is posted and stays latched until `reset_fire`; nothing locks the
  door meanwhile. A latch from before a restart is taken up again by `hold_fire`.
- Any error in here locks the door (unless fire holds it) and posts FAULT, once per cause; the first
  check without an error posts FAULT_OVER. A relay that is released without a lease is driven back
  at the next check, so a failed attempt to lock is repeated every second.
- Hardware that keeps failing is opened anew (`_renew`), as a chip that was unplugged comes back
  under another number. The relay is locked then, and a button that is pressed is no request.
- A thread that hangs sees no input and ends no lease: `stuck` says so without taking the lock, for
  the watchdog.

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
from contextlib import suppress
from enum import StrEnum

from gated.config import DoorSettings
from gated.core.messages import DoorEvent
from gated.core.values import DoorEventKind
from gated.devices.thread_names import name_this_thread
from gated.errors import DeviceError

log = logging.getLogger(__name__)

Post = Callable[[DoorEvent], None]

NOT_RESET = "its release was not reset before the restart"
"""Detail of a fire that comes from before the start of the program."""

REREAD_S = 1.0
RENEW_AFTER = 3
"""So many checks in a row have to fail until the hardware is opened anew."""


class Input(StrEnum):
    """An input that may be wired to a door besides its relay."""

    CONTACT = "contact"
    """Active: the leaf stands open."""
    REX = "rex"
    """Active: the request-to-exit button is pressed."""
    FIRE = "fire"
    """Active: the fire alarm requests the release of the door."""
    TRIGGER = "trigger"
    """Active: recognition is requested (by a button, a mat, a motion sensor)."""
    TAMPER = "tamper"
    """Active: the box was opened."""
    POWER_FAIL = "power_fail"
    """Active: mains power has failed, the battery feeds the door."""
    OTHER_DOOR = "other_door"
    """Active: the other door of the mantrap stands open."""
    FIRE_RESET = "fire_reset"
    """Active: the key that ends the fire release is turned."""


CHANGES: dict[Input, tuple[DoorEventKind, DoorEventKind]] = {
    Input.CONTACT: (DoorEventKind.CONTACT_OPEN, DoorEventKind.CONTACT_CLOSED),
    Input.TAMPER: (DoorEventKind.TAMPER, DoorEventKind.TAMPER_CLEARED),
    Input.POWER_FAIL: (DoorEventKind.POWER_FAIL, DoorEventKind.POWER_RESTORED),
    Input.OTHER_DOOR: (DoorEventKind.OTHER_OPEN, DoorEventKind.OTHER_CLOSED),
}
"""Events of inputs of which both changes are posted: (active, inactive)."""

PRESSED_TO_GROUND = frozenset({Input.REX, Input.TRIGGER, Input.FIRE_RESET})
"""Active while closed. All other inputs are normally closed, so that a cut wire is noticed."""


def wired(settings: DoorSettings) -> dict[Input, int]:
    """Return the pins of the wired inputs."""
    pins = settings.pins()
    return {name: pins[key] for name in Input if (key := f"{name}_pin") in pins}


class TimedDoor(ABC):
    """A door whose relay is released for a time and locks by itself (ports.Door)."""

    name = "door"
    beat_limit_s = 15.0
    """Seconds without a turn of the thread after which it counts as stuck: it sees no fire."""

    def __init__(self, settings: DoorSettings, post: Post, inputs: Iterable[Input]) -> None:
        self._settings = settings
        self._post = post
        self._inputs = tuple(inputs)
        self._accepted = dict.fromkeys(self._inputs, False)
        self._settles: dict[Input, float] = {}
        self._lease_ends: float | None = None
        self._fire = False
        self._fault: str | None = None
        self._failures = 0
        self._closed = False
        self._turned_at = time.monotonic()
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
        """Release the hardware, leaving the relay as it stands."""

    def _renew(self) -> bool:
        """Open hardware that keeps failing anew, if this kind can; return whether that was done.

        The relay is at its locked level then, or released while fire is latched.
        """
        return False

    @property
    @abstractmethod
    def unlocked(self) -> bool:
        """True while the relay is at its releasing level."""

    @property
    def stuck(self) -> bool:
        """True when the thread that ends leases has not turned in time, or has ended."""
        return not self._closed and time.monotonic() - self._turned_at > self.beat_limit_s

    @property
    def contact_open(self) -> bool | None:
        """True while the door leaf stands open; None without a contact."""
        return self._accepted.get(Input.CONTACT)

    def inputs(self) -> dict[Input, bool]:
        """Read every wired input at this moment, bouncing or not."""
        return {name: self._active(name) for name in self._inputs}

    def unlock(self, for_s: float) -> None:
        """Release for `for_s` seconds, at most `max_unlock_s`; a longer lease stays.

        Raises: ValueError for a time that is not positive, DeviceError when the relay cannot be
        moved or the door was closed.
        """
        if not for_s > 0:
            raise ValueError(f"a door is unlocked for a positive time, not {for_s}")
        with self._condition:
            if self._closed:
                raise DeviceError("the door is closed down")
            ends = time.monotonic() + min(for_s, self._settings.max_unlock_s)
            # the lease comes first: the thread ends it even if the caller dies now
            self._lease_ends = max(ends, self._lease_ends or -math.inf)
            self._condition.notify()
            try:
                self._drive(True)
            except Exception as error:
                self._fail(f"the relay cannot be released: {error}")
                raise DeviceError(f"the relay cannot be released: {error}") from error

    def lock(self) -> None:
        """End any lease and lock now; while fire is latched the door stays released.

        Raises: DeviceError when the relay cannot be moved.
        """
        with self._condition:
            self._lease_ends = None
            if not self._closed and not self._fire:
                try:
                    self._drive(False)
                except Exception as error:
                    # the same words as where the thread fails, so that it is one fault
                    raise DeviceError(str(error) or type(error).__name__) from error

    def reset_fire(self) -> bool:
        """End the fire latch and lock; return False while the fire input is active.

        Raises: DeviceError when the input cannot be read or the relay cannot be moved.
        """
        with self._condition:
            if self._closed:
                return False
            if Input.FIRE in self._inputs and self._read(Input.FIRE):
                self._post(DoorEvent(DoorEventKind.FIRE_HELD))
                return False
            if self._fire:
                self._fire = False
                self._accepted[Input.FIRE] = False
                # the latch is off, whatever the relay does: the thread locks at its next check
                try:
                    self.lock()
                finally:
                    self._post(DoorEvent(DoorEventKind.FIRE_CLEARED))
            return True

    def hold_fire(self) -> bool:
        """Release as for a fire whose release was not reset before the program ended.

        Returns False without a fire input. Raises: DeviceError when the relay cannot be moved; it
        is tried again then.
        """
        with self._condition:
            if self._closed or Input.FIRE not in self._inputs:
                return False
            if not self._fire:
                self._fire = True
                try:
                    self._drive(True)
                except Exception as error:
                    raise DeviceError(f"the relay cannot be released: {error}") from error
                finally:
                    self._post(DoorEvent(DoorEventKind.FIRE, NOT_RESET))
            return True

    def close(self) -> None:
        """Lock (unless fire is latched), then release the hardware; safe to call twice."""
        with self._condition:
            if self._closed:
                return
            try:
                self.lock()
            finally:
                self._closed = True
                self._condition.notify()
                self._release_hardware()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def _release_hardware(self) -> None:
        """Release the hardware. Raises: DeviceError, whatever a driver's library raises."""
        try:
            self._let_go()
        except Exception as error:
            raise DeviceError(f"the door cannot be let go of: {error}") from error

    def _start(self) -> None:
        """Lock, read the inputs and start the thread; called last by the subclass's __init__."""
        with self._condition:
            self._drive(False)
            # a button that is stuck or wired the wrong way round must not open at every start
            self._accepted = self.inputs() | {Input.FIRE: False}
            self._post_initial_state()
            self._thread.start()

    def _post_initial_state(self) -> None:
        """Post inputs that are active at the start; an open leaf was not forced."""
        if Input.FIRE in self._inputs and self._active(Input.FIRE):
            self._accept(Input.FIRE, True)
        for name in self._inputs:
            if name is Input.CONTACT and self._accepted[name]:
                self._post(DoorEvent(DoorEventKind.FOUND_OPEN))
            elif name in CHANGES and self._accepted[name]:
                self._accept(name, True)

    def _edge(self, name: Input) -> None:
        """Note that an input may have changed; called by the driver from any thread."""
        with self._condition:
            # counted from the first edge: a chattering input must not be postponed for ever
            self._settles.setdefault(name, time.monotonic() + self._settings.debounce_s)
            self._condition.notify()

    def _on_edge(self, name: Input) -> Callable[[], None]:
        """Return a callback for edges of an input."""
        return lambda: self._edge(name)

    def _run(self) -> None:
        name_this_thread()
        with self._condition:
            while not self._closed:
                self._turned_at = time.monotonic()
                try:
                    self._begin_anew()
                    self._keep_lease(time.monotonic())
                    self._look_at_all()
                    self._failures = 0
                    self._end_fault()
                except Exception as error:
                    self._failures += 1
                    self._fail(str(error) or type(error).__name__)
                self._condition.wait(self._idle_s())

    def _end_fault(self) -> None:
        """Post FAULT_OVER after a fault; what fails here must not be another one."""
        ended, self._fault = self._fault, None
        if ended is None:
            return
        log.info("door: works again after: %s", ended)
        try:
            self._post(DoorEvent(DoorEventKind.FAULT_OVER))
        except Exception:
            log.exception("door: the end of the fault cannot be posted")

    def _begin_anew(self) -> None:
        """Open the hardware anew after checks that failed; what is pressed then is no request."""
        if self._failures < RENEW_AFTER or not self._renew():
            return
        log.warning("door: the hardware was opened anew after: %s", self._fault)
        self._failures = 0
        self._settles.clear()
        for name in PRESSED_TO_GROUND.intersection(self._inputs):
            # one that cannot be read still is not to keep the others, or a fire, from being read
            with suppress(Exception):
                self._accepted[name] = self._active(name)

    def _idle_s(self) -> float:
        """Return the seconds until something is due, at most REREAD_S."""
        if self._fault:
            return REREAD_S
        now = time.monotonic()
        due = [now + REREAD_S, *self._settles.values()]
        if self._lease_ends is not None:
            due.append(self._lease_ends)
        return max(0.0, min(due) - now)

    def _keep_lease(self, now: float) -> None:
        """End the lease when it is over, and correct the relay if it is in the wrong state."""
        if self._lease_ends is not None and now >= self._lease_ends:
            self.lock()
            if not self._fire:
                self._post(DoorEvent(DoorEventKind.RELOCKED))
        wanted = self._fire or self._lease_ends is not None
        if self.unlocked != wanted:
            self._drive(wanted)

    def _look_at_all(self) -> None:
        """Read every input, the fire loop first; raises the first error only when all were read.

        One wire that cannot be read must not hide another one, least of all a fire.
        """
        errors = []
        for name in sorted(self._inputs, key=lambda name: name is not Input.FIRE):
            try:
                self._look(name, time.monotonic())
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _look(self, name: Input, now: float) -> None:
        """Read an input; accept a change after the debounce time."""
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

    def _read(self, name: Input) -> bool:
        """Return whether the input is active. Raises: DeviceError."""
        try:
            return self._active(name)
        except Exception as error:
            raise DeviceError(f"the input {name} cannot be read: {error}") from error

    def _accept(self, name: Input, active: bool) -> None:
        """Accept the new state of an input: act first, then post, also when the relay fails.

        Fire panel and exit button are wired to the lock as well: people leave without the relay.
        """
        self._accepted[name] = active
        if name in CHANGES:
            began, ended = CHANGES[name]
            self._post(DoorEvent(began if active else ended))
        elif name is Input.REX and active:
            try:
                if self._settings.rex_releases and self._settings.mounting == "inside":
                    self.unlock(self._settings.unlock_s)
            finally:
                self._post(DoorEvent(DoorEventKind.REX))
        elif name is Input.TRIGGER and active:
            self._post(DoorEvent(DoorEventKind.TRIGGER))
        elif name is Input.FIRE_RESET and active:
            self.reset_fire()
        elif name is Input.FIRE and active and not self._fire:
            self._fire = True
            try:
                self._drive(True)
            finally:
                self._post(DoorEvent(DoorEventKind.FIRE))

    def _fail(self, detail: str) -> None:
        """Handle an error: lock if possible, and post FAULT."""
        news, self._fault = detail != self._fault, detail
        try:
            self.lock()
        except Exception:
            # once: a chip that is gone would fill the log at each check
            if news:
                log.exception("door: cannot be locked")
        if news:
            log.error("door: %s", detail)
            try:
                self._post(DoorEvent(DoorEventKind.FAULT, detail))
            except Exception:
                log.exception("door: the fault cannot be posted")
