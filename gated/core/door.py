"""The door as the gate knows it: a table of transitions, and a machine that follows it.

Theory of operation
-------------------
The *mode* is what people set and what the door returns to at rest; the *state* is what it does now.
`TABLE` holds every transition: in these states, on this input, under this condition, to that state,
with that effect. What it does not list changes nothing. Beside the state there is the lease (until
when the lock is released), whether the leaf stands open, and whether the other door of a mantrap
does. docs/door.md prints the table.

The adapter ends its lease by itself; the Lock at the deadline is the second pair of hands. Free
access is a lease that is renewed for ever, so that it ends soon after the program does. In a fire
the adapter has released before the gate hears of it, and nothing here locks until it is cleared.
Who presses the exit button is let out in every mode: no change of mode and no other door cuts that
release short.

A leaf that falls shut may rebound from its frame before the latch catches. What opens within the
grace time after a closing belongs to the opening before: it is not forced when that was not, it
takes nothing from who was let in meanwhile, and the time for which the door is held goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gated.core.messages import Command, Lock, RecordEvent, Unlock
from gated.core.values import DoorMode, Instant, Reason, Severity


class DoorState(StrEnum):
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    OPEN = "open"
    HELD_WARNING = "held_warning"
    HELD_OPEN = "held_open"
    FORCED = "forced"
    FREE = "free_access"
    LOCKDOWN = "lockdown"
    OUT_OF_SERVICE = "out_of_service"
    FIRE = "fire"


class DoorInput(StrEnum):
    """Inputs of a door."""

    GRANT = "grant"
    OPERATOR = "operator"
    REX = "rex"
    OPENED = "leaf opened"
    FOUND_OPEN = "leaf found open"
    CLOSED = "leaf closed"
    LEASE_OVER = "lease over"
    RENEWAL = "renewal due"
    WARNING_DUE = "warning due"
    ALARM_DUE = "alarm due"
    OTHER_OPENED = "other door opened"
    NORMAL = "mode normal"
    LOCKDOWN = "mode lockdown"
    FREE = "mode free access"
    OUT_OF_SERVICE = "mode out of service"
    FIRE = "fire"
    FIRE_CLEARED = "fire cleared"


class When(StrEnum):
    """Conditions of transitions."""

    ALWAYS = ""
    ADMITTED = "the mode and the other door allow it"
    RELOCKS_ON_OPEN = "`door.relock: open`"
    JUST_SHUT = "it was opened by right and closed less than a second ago"
    JUST_LOCKED = "a release ended less than a second ago"
    STILL_WANTED = "somebody was let in since it opened, or `door.relock: deadline`"


class Effect(StrEnum):
    NONE = ""
    RELEASE = "release; a longer lease stays"
    RENEW = "release again"
    LOCK = "lock"
    SECURE = "lock, but let out who pressed the exit button"
    TELL = "tell the adapter"
    FORGET = "the lease is over without a lock"


class Rest(StrEnum):
    """Next states that depend on the mode and on the leaf."""

    STAY = "(same)"
    REST = "(rest)"
    AGAIN = "(as before it closed)"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table. tells: kind and severity of the event that is recorded."""

    states: tuple[DoorState, ...]
    input: DoorInput
    next: DoorState | Rest
    effect: Effect = Effect.NONE
    when: When = When.ALWAYS
    tells: tuple[str, Severity] | None = None


_S, _I, _E, _W = DoorState, DoorInput, Effect, When
_SHUT = (_S.LOCKED, _S.LOCKDOWN)
_AJAR = (_S.OPEN, _S.HELD_WARNING, _S.HELD_OPEN)
_LEAF_OPEN = (*_AJAR, _S.FORCED)
_ALL_BUT_FIRE = tuple(s for s in DoorState if s is not DoorState.FIRE)

TABLE: tuple[Transition, ...] = (
    # letting people through
    Transition((_S.LOCKED,), _I.GRANT, _S.UNLOCKED, _E.RELEASE, _W.ADMITTED),
    Transition((_S.LOCKED,), _I.OPERATOR, _S.UNLOCKED, _E.RELEASE, _W.ADMITTED),
    Transition(_SHUT, _I.REX, _S.UNLOCKED, _E.RELEASE),
    Transition((_S.UNLOCKED, _S.FREE), _I.GRANT, Rest.STAY, _E.RELEASE, _W.ADMITTED),
    Transition((_S.UNLOCKED, _S.FREE), _I.OPERATOR, Rest.STAY, _E.RELEASE, _W.ADMITTED),
    Transition((_S.UNLOCKED, _S.FREE, _S.OUT_OF_SERVICE), _I.REX, Rest.STAY, _E.RELEASE),
    Transition(_LEAF_OPEN, _I.GRANT, _S.OPEN, _E.RELEASE, _W.ADMITTED),
    Transition(_LEAF_OPEN, _I.OPERATOR, _S.OPEN, _E.RELEASE, _W.ADMITTED),
    Transition(_LEAF_OPEN, _I.REX, _S.OPEN, _E.RELEASE),
    # the leaf
    Transition((_S.UNLOCKED,), _I.OPENED, _S.OPEN, _E.LOCK, _W.RELOCKS_ON_OPEN),
    Transition((_S.UNLOCKED,), _I.OPENED, _S.OPEN),
    Transition(_SHUT, _I.OPENED, Rest.AGAIN, when=_W.JUST_SHUT),
    Transition(_SHUT, _I.OPENED, _S.OPEN, when=_W.JUST_LOCKED),
    Transition(_SHUT, _I.OPENED, _S.FORCED, tells=("door_forced", "alarm")),
    Transition(_SHUT, _I.FOUND_OPEN, _S.OPEN),
    Transition(_LEAF_OPEN, _I.CLOSED, Rest.REST, when=_W.STILL_WANTED),
    Transition(_LEAF_OPEN, _I.CLOSED, Rest.REST, _E.LOCK),
    # time
    Transition((_S.UNLOCKED,), _I.LEASE_OVER, Rest.REST, _E.LOCK),
    Transition((*_LEAF_OPEN, _S.OUT_OF_SERVICE), _I.LEASE_OVER, Rest.STAY, _E.LOCK),
    Transition((_S.FREE,), _I.RENEWAL, Rest.STAY, _E.RENEW),
    Transition((_S.OPEN,), _I.WARNING_DUE, _S.HELD_WARNING, tells=("door_held_warning", "warning")),
    Transition((_S.HELD_WARNING,), _I.ALARM_DUE, _S.HELD_OPEN, tells=("door_held_open", "alarm")),
    # the other door of a mantrap
    Transition((_S.UNLOCKED,), _I.OTHER_OPENED, Rest.REST, _E.SECURE),
    # modes
    Transition((_S.FREE, _S.LOCKDOWN, _S.OUT_OF_SERVICE), _I.NORMAL, Rest.REST, _E.SECURE),
    Transition(
        (*_SHUT, _S.UNLOCKED, _S.FREE, _S.OUT_OF_SERVICE), _I.LOCKDOWN, Rest.REST, _E.SECURE
    ),
    Transition(_LEAF_OPEN, _I.LOCKDOWN, Rest.STAY, _E.SECURE),
    Transition(_ALL_BUT_FIRE, _I.FREE, _S.FREE, _E.RENEW),
    Transition(_ALL_BUT_FIRE, _I.OUT_OF_SERVICE, _S.OUT_OF_SERVICE, _E.SECURE),
    # fire
    Transition(_ALL_BUT_FIRE, _I.FIRE, _S.FIRE, _E.FORGET),
    Transition((_S.FIRE,), _I.GRANT, Rest.STAY, _E.TELL),
    Transition((_S.FIRE,), _I.OPERATOR, Rest.STAY, _E.TELL),
    Transition((_S.FIRE,), _I.REX, Rest.STAY, _E.TELL),
    Transition((_S.FIRE,), _I.FIRE_CLEARED, Rest.REST, _E.LOCK),
)

REST_STATES = {
    DoorMode.NORMAL: DoorState.LOCKED,
    DoorMode.FREE_ACCESS: DoorState.FREE,
    DoorMode.LOCKDOWN: DoorState.LOCKDOWN,
    DoorMode.OUT_OF_SERVICE: DoorState.OUT_OF_SERVICE,
}
MODE_INPUTS = {
    DoorMode.NORMAL: DoorInput.NORMAL,
    DoorMode.FREE_ACCESS: DoorInput.FREE,
    DoorMode.LOCKDOWN: DoorInput.LOCKDOWN,
    DoorMode.OUT_OF_SERVICE: DoorInput.OUT_OF_SERVICE,
}
REBOUND_S = 0.5
"""A leaf that opens just after it was closed and is shut again within this time has rebounded from
its frame: nobody has gone through."""

LOCK_CAUSES = {DoorInput.LEASE_OVER: "deadline"}
"""Causes in Lock commands that differ from the name of the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorRules:
    """Times in seconds. relock: `close`, `open` or `deadline`: what ends a lease before its end.

    held_open_s: the leaf may stand open for so long after the release; the warning comes
    held_warning_s before the alarm. grace_s: who pulls at the very end is heard of after it, as a
    contact is believed only when it has settled; and so long a leaf may rebound from its frame.
    """

    max_s: float
    rex_releases: bool
    """False: the exit button is wired to the lock alone, and the program only hears of it."""
    relock: str
    held_open_s: float
    held_warning_s: float
    grace_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Closing:
    """The leaf was closed. at: monotonic seconds; the rest is what held until then."""

    at: float
    state: DoorState
    opened_at: float | None
    watched: float | None


@dataclass(slots=True)
class DoorControl:
    """The machine. All times are monotonic seconds.

    until: end of the lease, None without one. egress_until: end of what the exit button gave.
    allowed_until: end of the longest release that goes on, or of the last one, also when the door
    was locked before. watched: since when the leaf counts as held. closing: the last one.
    reopened: the closing that the leaf was opened just after, while it stands open; it may be a
    rebound.
    """

    rules: DoorRules
    mode: DoorMode = DoorMode.NORMAL
    state: DoorState = DoorState.LOCKED
    leaf_open: bool = False
    other_open: bool = False
    until: float | None = None
    egress_until: float | None = None
    released_at: float | None = None
    allowed_until: float | None = None
    locked_at: float | None = None
    opened_at: float | None = None
    watched: float | None = None
    closing: Closing | None = None
    reopened: Closing | None = None

    # --- state ---

    @property
    def unlocked(self) -> bool:
        return self.state is DoorState.FIRE or self.until is not None

    @property
    def deadline(self) -> float | None:
        """Return when `advance` has something to do; None: never."""
        due = (self._lease_due, self._held_due)
        return min((t for t in due if t is not None), default=None)

    def maybe_rebound(self, now: float) -> bool:
        """Return whether the leaf stands open and may merely have rebounded."""
        if self.reopened is None or self.opened_at is None:
            return False
        return now - self.opened_at < REBOUND_S

    def refusal(self) -> Reason | None:
        """Return why nobody may be let in now; None: the door has no objection."""
        if self.state is DoorState.FIRE or self.mode is DoorMode.FREE_ACCESS:
            return None
        if self.mode is DoorMode.LOCKDOWN:
            return Reason.LOCKDOWN
        if self.mode is DoorMode.OUT_OF_SERVICE:
            return Reason.OUT_OF_SERVICE
        return Reason.INTERLOCK if self.other_open else None

    # --- inputs ---

    def release(self, input_: DoorInput, for_s: float, cause: str, now: Instant) -> list[Command]:
        """Take GRANT, OPERATOR or REX for `for_s` seconds; without a positive time, do nothing."""
        return self._take(input_, now, cause, min(for_s, self.rules.max_s)) if for_s > 0 else []

    def take(self, input_: DoorInput, now: Instant) -> list[Command]:
        """Take any other input. What the table does not list changes nothing."""
        return self._take(input_, now, LOCK_CAUSES.get(input_, str(input_)), 0.0)

    def leaf(self, is_open: bool, now: Instant, found: bool = False) -> list[Command]:
        """Take that the leaf was opened or closed. found: it stood open at the start already."""
        was_open, self.leaf_open = self.leaf_open, is_open
        if not is_open:
            closing = Closing(now.mono, self.state, self._opened_at(now.mono), self.watched)
            commands = self.take(DoorInput.CLOSED, now)
            if was_open:
                self.closing = closing
            self.opened_at = self.reopened = None
            return commands
        self.reopened = self.closing if self._just_shut(now.mono) else None
        self.opened_at = now.mono
        return self.take(DoorInput.FOUND_OPEN if found else DoorInput.OPENED, now)

    def other_door(self, is_open: bool, now: Instant) -> list[Command]:
        """Take that the other door of the mantrap was opened or closed."""
        self.other_open = is_open
        return self.take(DoorInput.OTHER_OPENED, now) if is_open else []

    def set_mode(self, mode: DoorMode, now: Instant) -> list[Command]:
        """Set the mode that the door returns to at rest; in a fire it takes effect afterwards."""
        self.mode = mode
        return self.take(MODE_INPUTS[mode], now)

    def advance(self, now: Instant) -> list[Command]:
        """Do what is due: end or renew the lease, warn or alarm when the leaf is held open."""
        commands: list[Command] = []
        if self._lease_due is not None and now.mono >= self._lease_due:
            free = self.state is DoorState.FREE
            commands += self.take(DoorInput.RENEWAL if free else DoorInput.LEASE_OVER, now)
        for due in (DoorInput.WARNING_DUE, DoorInput.ALARM_DUE):
            if self._held_due is not None and now.mono >= self._held_due:
                commands += self.take(due, now)
        return commands

    # --- transitions ---

    @property
    def _lease_due(self) -> float | None:
        if self.until is None or self.state is not DoorState.FREE:
            return self.until
        return self.until - self.rules.max_s / 2

    @property
    def _held_due(self) -> float | None:
        if self.watched is None:
            return None
        alarm = self.watched + self.rules.held_open_s
        if self.state is DoorState.OPEN:
            return alarm - min(self.rules.held_warning_s, self.rules.held_open_s)
        return alarm if self.state is DoorState.HELD_WARNING else None

    def _take(self, input_: DoorInput, now: Instant, cause: str, for_s: float) -> list[Command]:
        row = next((r for r in self._rows(input_) if self._holds(r.when, now.mono)), None)
        if row is None:
            return []
        commands: list[Command] = []
        if row.tells is not None:
            commands.append(RecordEvent(now, row.tells[0], severity=row.tells[1]))
        commands += self._act(row.effect, input_, now, cause, for_s)
        if row.next is not Rest.STAY:
            commands += self._enter(row.next, now)
        return commands

    def _rows(self, input_: DoorInput) -> Iterator[Transition]:
        return (r for r in TABLE if r.input is input_ and self.state in r.states)

    def _holds(self, when: When, now: float) -> bool:
        match when:
            case When.JUST_SHUT:
                return self._just_shut(now)
            case When.JUST_LOCKED:
                return self.locked_at is not None and now - self.locked_at < self.rules.grace_s
            case When.ADMITTED:
                return self.refusal() is None
            case When.RELOCKS_ON_OPEN:
                return self.rules.relock == "open"
            case When.STILL_WANTED:
                released, opened = self.released_at, self._opened_at(now)
                since = released is not None and opened is not None and released > opened
                return self.until is not None and (since or self.rules.relock == "deadline")
        return True

    def _act(
        self, effect: Effect, input_: DoorInput, now: Instant, cause: str, for_s: float
    ) -> list[Command]:
        match effect:
            case Effect.RELEASE:
                return self._release(input_, now.mono, cause, for_s)
            case Effect.RENEW:
                self.until = now.mono + self.rules.max_s
                return [Unlock(self.rules.max_s, "free access")]
            case Effect.SECURE if self._leaving(now.mono):
                self.until = self.egress_until
                return []
            case Effect.LOCK | Effect.SECURE:
                idle = self.until is None and input_ is DoorInput.CLOSED
                self.locked_at = now.mono if self.unlocked else self.locked_at
                self.until = self.egress_until = None
                return [] if idle else [Lock(cause)]
            case Effect.TELL:
                return [Unlock(for_s, cause)]
            case Effect.FORGET:
                self.until = self.egress_until = None
        return []

    def _release(self, input_: DoorInput, now: float, cause: str, for_s: float) -> list[Command]:
        end = now + for_s
        if input_ is DoorInput.REX:
            self.egress_until = end if self.egress_until is None else max(end, self.egress_until)
        # a shorter release takes nothing from a longer one that goes on
        allowed = None if self.until is None else self.allowed_until
        self.allowed_until = end if allowed is None else max(end, allowed)
        self.until = end if self.until is None else max(end, self.until)
        self.released_at = now
        if input_ is DoorInput.REX and not self.rules.rex_releases:
            return []
        return [Unlock(self.until - now, cause)]

    def _leaving(self, now: float) -> bool:
        return self.egress_until is not None and now < self.egress_until

    def _just_shut(self, now: float) -> bool:
        closing = self.closing
        if closing is None or closing.state is DoorState.FORCED:
            return False
        return now - closing.at < self.rules.grace_s

    def _opened_at(self, now: float) -> float | None:
        """Return when somebody opened the leaf: a rebound belongs to the opening before it."""
        reopened = self.reopened
        return reopened.opened_at if reopened and self.maybe_rebound(now) else self.opened_at

    def _enter(self, next_: DoorState | Rest, now: Instant) -> list[Command]:
        if next_ is Rest.AGAIN and self.closing is not None and self.closing.watched is not None:
            # the time and the warning of a held door go on
            self.state, self.watched = self.closing.state, self.closing.watched
            return []
        if next_ is Rest.AGAIN:
            next_ = DoorState.OPEN
        self.state = self._rest() if isinstance(next_, Rest) else next_
        if self.state is DoorState.OPEN:
            # a longer release also extends the time for which the door may be held
            self.watched = max(now.mono, self.allowed_until or now.mono)
        elif self.state not in _AJAR:
            self.watched = None
        if self.state is DoorState.FREE and self.until is None:
            return self._act(Effect.RENEW, DoorInput.FREE, now, "", 0.0)
        return []

    def _rest(self) -> DoorState:
        rest = REST_STATES[self.mode]
        if rest in _SHUT and self.leaf_open:
            return DoorState.OPEN
        return DoorState.UNLOCKED if rest in _SHUT and self.until is not None else rest


def as_markdown() -> str:
    """Return the table for docs/door.md."""
    lines = ["| in | on | when | becomes | does | tells |", "|---|---|---|---|---|---|"]
    for row in TABLE:
        states = "any but fire" if row.states == _ALL_BUT_FIRE else ", ".join(row.states)
        event = f"`{row.tells[0]}` ({row.tells[1]})" if row.tells else ""
        cells = (states, row.input, row.when, row.next, row.effect, event)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
