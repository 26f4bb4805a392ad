"""Checks acts at the door again in the door process, whatever the service process has checked.

The API has checked role, password and rate already, but an attacker may control the API. So the
door opens at most so often, only in a mode that admits people, only while the journal works, and
never without a name and a reason, which are journaled first. Events of cameras, inputs and the
clock are never accepted from the service.
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
    RemotePresence,
    ResetFire,
    SetDoorMode,
    Silenced,
)
from gated.core.mode_end import LONGEST_S
from gated.core.text import scrubbed
from gated.core.values import DoorMode, Instant, Method
from gated.errors import (
    AlreadyDone,
    ClockDoubtful,
    Conflict,
    DoorShut,
    ModeEndRefused,
    StorageError,
    Throttled,
    TooMany,
)
from gated.link.status_board import StatusBoard
from gated.ports import Clock

ALL_TOGETHER = 3
"""All accounts together may act this many times as often as one account."""

PINS_AT_ONCE, PIN_EVERY_S = 10, 1.0
"""Rate of right PINs at one gate; people at the keypad are slower."""

LONGEST_NAME, LONGEST_CAUSE = 200, 2000
"""Characters."""


class ActCheck:
    """Hands events of the service to the gate, or refuses them. post: never blocks."""

    def __init__(
        self, settings: Settings, board: StatusBoard, post: Callable[[Event], None], clock: Clock
    ) -> None:
        self._door = settings.door
        self._board = board
        self._post = post
        self._clock = clock
        limit = settings.auth.door_acts_per_minute
        self._of_one = RateLimit(limit, lambda: clock.now().mono)
        self._of_all = RateLimit(ALL_TOGETHER * limit, lambda: clock.now().mono)
        self._pins = PaceLimit(lambda: clock.now().mono, PINS_AT_ONCE, PIN_EVERY_S)

    def take(self, event: Event) -> None:
        """Hand an event to the gate. Raises: Conflict, TooMany, StorageError."""
        event = _visible(event)
        match event:
            case OperatorUnlock(actor, cause, for_s):
                self._act(actor, cause)
                require_admitting(self._board)
                self._post(replace(event, for_s=self._bounded(for_s)))
                return
            case SetDoorMode(mode, actor, cause, until):
                require_end(mode, until, self._clock.now())
                # a lockdown is urgent and opens nothing: it is recorded as soon as that is possible
                self._act(actor, cause, urgent=mode is DoorMode.LOCKDOWN)
            case ResetFire(actor, cause):
                self._act(actor, cause)
                if self._board.snapshot().door_state != "fire":
                    raise AlreadyDone("no fire release holds the door")
            case Forgive(_, actor, cause):
                self._act(actor, cause)
            case Silenced(actor):
                _require_name(actor)
            case CredentialPresented(method):
                self._present(method)
            case Condition("camera_changed", False) | Noticed("pin_attempts"):
                pass
            case AlarmsAcknowledged() | LastPunches() | RemotePresence() | PresenceHeard():
                pass
            case _:
                raise Conflict("this is noticed at the gate, and not taken from anybody else")
        self._post(event)

    def _act(self, actor: str, cause: str, *, urgent: bool = False) -> None:
        _require_name(actor)
        if not cause.strip() or len(cause) > LONGEST_CAUSE:
            raise Conflict("an act at the door needs a reason")
        if urgent:
            return
        if self._board.snapshot().journal == "unavailable":
            raise StorageError("what cannot be recorded is not done")
        # in this order: what one account may not do takes nothing from the others
        self._of_one.act(actor)
        self._of_all.act("")

    def _bounded(self, for_s: float | None) -> float:
        if for_s is None or not math.isfinite(for_s) or for_s <= 0:
            return self._door.unlock_s
        return min(for_s, self._door.max_unlock_s)

    def _present(self, method: Method) -> None:
        """Accept a PIN only: cards and badges have readers of their own at this gate."""
        if method is not Method.PIN:
            raise Conflict(f"a {method} is read at the gate itself")
        try:
            self._pins.act("")
        except Throttled as error:
            raise TooMany(error.retry_after) from None


def require_admitting(board: StatusBoard) -> None:
    """Refuse to open in a mode that admits nobody. Raises: DoorShut."""
    mode = board.snapshot().door_mode
    if mode is not None and not DoorMode(mode).admits:
        raise DoorShut(f"the door is in the mode {mode}: change that first")


def require_end(mode: DoorMode, until: float | None, now: Instant) -> None:
    """Refuse an end that a mode cannot have. Raises: ModeEndRefused, ClockDoubtful.

    By a clock that may be wrong a lockdown gets no end, as it must not wait; other modes are not
    set.
    """
    if until is None:
        return
    if mode is DoorMode.NORMAL:
        raise ModeEndRefused("normal has no end: leave the time out")
    if not now.sure:
        if mode is not DoorMode.LOCKDOWN:
            raise ClockDoubtful("the gate's clock may be wrong: set it, or leave the time out")
        return
    if not now.utc < until <= now.utc + LONGEST_S:
        raise ModeEndRefused("the end must be in the future, and within a year: give another time")


def _require_name(actor: str) -> None:
    if not actor.strip() or len(actor) > LONGEST_NAME:
        raise Conflict("an act at the door needs the name of who does it")


def _visible(event: Event) -> Event:
    """Drop what would write on screens and into logs by itself, such as escape sequences."""
    match event:
        case OperatorUnlock(actor, cause) | SetDoorMode(_, actor, cause):
            return replace(event, actor=scrubbed(actor), cause=scrubbed(cause))
        case ResetFire(actor, cause) | Forgive(_, actor, cause):
            return replace(event, actor=scrubbed(actor), cause=scrubbed(cause))
        case Silenced(actor):
            return replace(event, actor=scrubbed(actor))
    return event
