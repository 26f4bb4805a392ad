"""Acts at the door are checked again where they act, in the process that holds the door.

The API has asked for role, password and rate already. Here nothing of that is believed: whoever has
the API in their hands opens the door at most so often, in a mode in which it opens at all, only
while it can be recorded, and never without a name and a reason, which go into the journal first.
What a camera, an input or the clock would notice is not taken from there at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from gated.accounts.throttle import PaceLimit, RateLimit
from gated.config import Settings
from gated.core.messages import (
    AlarmsAcknowledged,
    Condition,
    CredentialPresented,
    Event,
    Forgive,
    LastPunches,
    Noticed,
    OperatorUnlock,
    PresenceHeard,
    PresenceTold,
    ResetFire,
    SetDoorMode,
    Silenced,
)
from gated.core.values import DoorMode, Method
from gated.errors import Conflict, DoorShut, StorageError, Throttled, TooMany
from gated.link.status_board import StatusBoard
from gated.ports import Clock

ALL_TOGETHER = 3
"""Times as many acts in a minute as one account may do, of all together."""

PINS_AT_ONCE, PIN_EVERY_S = 10, 1.0
"""Right PINs at one gate; the keypad itself is slower."""

LONGEST_NAME, LONGEST_CAUSE = 200, 2000

SHUT = frozenset({DoorMode.LOCKDOWN, DoorMode.OUT_OF_SERVICE})


class ActCheck:
    """Hands events of the service to the gate, or refuses them. post: never blocks."""

    def __init__(
        self, settings: Settings, board: StatusBoard, post: Callable[[Event], None], clock: Clock
    ) -> None:
        self._door = settings.door
        self._board = board
        self._post = post
        limit = settings.auth.door_acts_per_minute
        self._of_one = RateLimit(limit, lambda: clock.now().mono)
        self._of_all = RateLimit(ALL_TOGETHER * limit, lambda: clock.now().mono)
        self._pins = PaceLimit(lambda: clock.now().mono, PINS_AT_ONCE, PIN_EVERY_S)

    def take(self, event: Event) -> None:
        """Hand an event to the gate. Raises: Conflict, TooMany, StorageError."""
        match event:
            case OperatorUnlock(actor, cause, for_s):
                self._act(actor, cause)
                self._require_opening()
                self._post(replace(event, for_s=self._bounded(for_s)))
                return
            case SetDoorMode(mode, actor, cause):
                # a lockdown is urgent and opens nothing: it is recorded as soon as that is possible
                self._act(actor, cause, urgent=mode is DoorMode.LOCKDOWN)
            case ResetFire(actor, cause):
                self._act(actor, cause)
                if self._board.snapshot().door_state != "fire":
                    raise Conflict("no fire release holds the door")
            case Forgive(_, actor, cause):
                self._act(actor, cause)
            case Silenced(actor):
                _named(actor)
            case CredentialPresented(method):
                self._present(method)
            case Condition("camera_changed", False) | Noticed("pin_attempts"):
                pass
            case AlarmsAcknowledged() | LastPunches() | PresenceTold() | PresenceHeard():
                pass
            case _:
                raise Conflict("this is noticed at the gate, and not taken from anybody else")
        self._post(event)

    def _act(self, actor: str, cause: str, *, urgent: bool = False) -> None:
        _named(actor)
        if not cause.strip() or len(cause) > LONGEST_CAUSE:
            raise Conflict("an act at the door needs a reason")
        if urgent:
            return
        if self._board.snapshot().journal == "unavailable":
            raise StorageError("what cannot be recorded is not done")
        self._of_all.act("")
        self._of_one.act(actor)

    def _require_opening(self) -> None:
        mode = self._board.snapshot().door_mode
        if mode in SHUT:
            raise DoorShut(f"the door is in the mode {mode}: change that first")

    def _bounded(self, for_s: float | None) -> float:
        if for_s is None or not math.isfinite(for_s) or for_s <= 0:
            return self._door.unlock_s
        return min(for_s, self._door.max_unlock_s)

    def _present(self, method: Method) -> None:
        """Take a PIN: cards and badges have readers of their own at this gate."""
        if method is not Method.PIN:
            raise Conflict(f"a {method} is read at the gate itself")
        try:
            self._pins.act("")
        except Throttled as error:
            raise TooMany(error.retry_after) from None


def _named(actor: str) -> None:
    if not actor.strip() or len(actor) > LONGEST_NAME:
        raise Conflict("an act at the door needs somebody who does it")
