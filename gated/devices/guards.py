"""Guards of drivers from outside: whatever they raise is a failed device, and ends nothing else.

`devices.drivers` and `devices.doors` wrap what another package has made. The program's own drivers
raise what `ports` says, and a door that is derived from `TimedDoor` is guarded by that class.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from gated.core.messages import Condition, DoorEvent
from gated.core.values import DoorEventKind, Light
from gated.devices.thread_names import name_this_thread
from gated.errors import DeviceError, GatedError
from gated.ports import Camera, CardReader, Door, EndOfStream, Frame, Indicators, KeyedPin

log = logging.getLogger(__name__)

T = TypeVar("T")
RELOCK_S = 1.0
"""Interval at which a door that failed is locked again, as in `timed_door`."""


def made_by(what: str, make: Callable[[Any], T], setup: Any) -> T:
    """Make a device; turn any exception of an outside driver into a DeviceError that names it."""
    try:
        return make(setup)
    except GatedError:
        raise
    except Exception as error:
        raise _failed(what, error) from error


def asked_of(what: str, ask: Callable[[], T], allowed: tuple[type[Exception], ...] = ()) -> T:
    """Call a device that was made; any exception but DeviceError and those allowed becomes one."""
    try:
        return ask()
    except Exception as error:
        if isinstance(error, (DeviceError, *allowed)):
            raise
        raise _failed(what, error) from error


def _failed(what: str, error: Exception) -> DeviceError:
    return DeviceError(f"{what} failed: {type(error).__name__}: {error}")


class GuardedCamera:
    """Wraps an outside camera: any exception becomes a DeviceError, so that it is opened again."""

    def __init__(self, driver: str, camera: Camera) -> None:
        self.name = camera.name
        self._what = f"camera driver {driver}"
        self._camera = camera

    def open(self) -> None:
        """Start to deliver. Raises: DeviceError."""
        asked_of(self._what, self._camera.open)

    def read(self) -> Frame:
        """Return the next frame. Raises: DeviceError, also when it is no BGR picture."""
        frame, problem = asked_of(self._what, self._look, (EndOfStream,))
        if problem:
            raise DeviceError(f"{self._what} gave no BGR picture: {problem}")
        return frame

    def _look(self) -> tuple[Frame, str]:
        """Return the next frame, and why it is no BGR picture; empty for one that is."""
        frame = self._camera.read()
        image = frame.image
        is_bgr = image.ndim == 3 and image.shape[2] == 3 and image.dtype.name == "uint8"
        return frame, "" if is_bgr else f"{image.shape} {image.dtype}"

    def close(self) -> None:
        """Release the device. Raises: DeviceError."""
        asked_of(self._what, self._camera.close)


class GuardedReader:
    """Wraps an outside card reader: any exception becomes a DeviceError."""

    def __init__(self, driver: str, reader: CardReader) -> None:
        self.name = reader.name
        self._what = f"card reader driver {driver}"
        self._reader = reader

    def open(self) -> None:
        """Open the reader. Raises: DeviceError."""
        asked_of(self._what, self._reader.open)

    def read(self, timeout: float) -> str | KeyedPin | None:
        """Return the next number or PIN, or None. Raises: DeviceError, also for another type."""
        number: object = asked_of(self._what, lambda: self._reader.read(timeout))
        if number is None or isinstance(number, (str, KeyedPin)):
            return number
        raise DeviceError(f"{self._what} gave a card as {type(number).__name__}, not as str")

    def close(self) -> None:
        """Close the reader. Raises: DeviceError."""
        asked_of(self._what, self._reader.close)


class GuardedDoor:
    """Wraps an outside door that is no `TimedDoor`: any exception becomes a DeviceError.

    A door that failed is locked again every second, in a thread of its own, until it obeys; then
    FAULT_OVER is posted. The caller posts the fault, as it does for every door.
    """

    def __init__(self, driver: str, door: Door, post: Callable[[DoorEvent], None]) -> None:
        self._what = f"door driver {driver}"
        self._door = door
        self._post = post
        self._state = threading.Lock()
        self._has_failed = self._relocks = False
        self._closed = threading.Event()

    @property
    def unlocked(self) -> bool:
        """True while the relay is at its releasing level, and where the driver cannot tell."""
        try:
            return bool(self._door.unlocked)
        except Exception:
            log.exception("%s does not tell whether it is locked", self._what)
            return True

    @property
    def contact_open(self) -> bool | None:
        """True while the door leaf stands open; None without a contact, or where it fails."""
        try:
            return self._door.contact_open
        except Exception:
            log.exception("%s does not tell whether the leaf is open", self._what)
            return None

    def unlock(self, for_s: float) -> None:
        """Release for so many seconds. Raises: DeviceError."""
        self._obeyed(lambda: self._door.unlock(for_s))

    def lock(self) -> None:
        """End any lease and lock now. Raises: DeviceError."""
        self._obeyed(self._door.lock)

    def reset_fire(self) -> bool:
        """Unlatch after a fire alarm and lock. Raises: DeviceError."""
        return self._obeyed(self._door.reset_fire)

    def close(self) -> None:
        """Lock, then let go of the hardware. Raises: DeviceError."""
        self._closed.set()
        asked_of(self._what, self._door.close)

    def _obeyed(self, call: Callable[[], T]) -> T:
        """Call the door, and note whether it obeyed. Raises: DeviceError."""
        try:
            done = asked_of(self._what, call)
        except DeviceError:
            self._note_failure()
            raise
        with self._state:
            self._has_failed = False
        return done

    def _note_failure(self) -> None:
        with self._state:
            self._has_failed = True
            if self._relocks or self._closed.is_set():
                return
            self._relocks = True
        threading.Thread(target=self._relock, name="door-relock", daemon=True).start()

    def _relock(self) -> None:
        """Lock every second until the door obeys, then post FAULT_OVER."""
        name_this_thread()
        while not self._closed.wait(RELOCK_S):
            # somebody may have been let in meanwhile, by a door that obeys again
            if self._has_failed:
                try:
                    self.lock()
                except DeviceError as error:
                    log.debug("door: %s", error)
            with self._state:
                if not self._has_failed:
                    self._relocks = False
                    break
        else:
            return
        log.info("door: %s works again", self._what)
        self._post(DoorEvent(DoorEventKind.FAULT_OVER))


class GuardedIndicators:
    """Wraps outside lamps and sounders: what they raise is a condition, and ends nothing."""

    def __init__(
        self,
        driver: str,
        indicators: Indicators,
        note: Callable[[Condition], None],
        condition: str,
    ) -> None:
        """condition: the name of the condition to note while they fail."""
        self._what = f"indicators of the door driver {driver}"
        self._indicators = indicators
        self._note = note
        self._condition = condition
        self._failing = False

    def show(self, lights: frozenset[Light]) -> None:
        """Show these lights until the next call."""
        self._try(lambda: self._indicators.show(lights))

    def flash(self, granted: bool) -> None:
        """Show a decision for a moment."""
        self._try(lambda: self._indicators.flash(granted))

    def close(self) -> None:
        """Switch everything off, and let go of the hardware."""
        try:
            self._indicators.close()
        except Exception:
            log.exception("%s cannot be closed", self._what)

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            if not self._failing:
                self._failing = True
                log.exception("%s failed", self._what)
                # a driver from outside does not say which of them failed: it may be the siren
                self._note(
                    Condition(self._condition, True, str(_failed(self._what, error)), "alarm")
                )
            return
        if self._failing:
            self._failing = False
            self._note(Condition(self._condition, False))
