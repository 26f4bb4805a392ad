"""A door of its own that follows the gate's commands, and says when one of them is wrong.

It knows the door's table only by what people may expect of a door: never released without a cause
or past its time, never locked in a fire or in the face of who is on the way out, nobody let in
during a lockdown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gated.core.messages import (
    Command,
    DoorEvent,
    Event,
    Lock,
    RecordDecision,
    RecordEvent,
    Restored,
    SetDoorMode,
    Unlock,
)
from gated.core.policy import GatePolicy
from gated.core.values import DoorEventKind, DoorMode

EPS = 1e-6
CLOSED_TO_ALL = {DoorMode.LOCKDOWN, DoorMode.OUT_OF_SERVICE}
MAY_LOCK = {
    DoorEventKind.CONTACT_OPEN,
    DoorEventKind.CONTACT_CLOSED,
    DoorEventKind.OTHER_OPEN,
    DoorEventKind.FIRE_CLEARED,
}
LEAF = {DoorEventKind.CONTACT_OPEN, DoorEventKind.CONTACT_CLOSED}


class Bolt:
    """counts: what has happened, so that nothing holds only because nothing happened."""

    def __init__(self, policy: GatePolicy, counts: Counter[str]) -> None:
        self.policy = policy
        self.counts = counts
        self.until: float | None = None
        self.promised = float("-inf")
        """Not before this may a release end that nothing else ends."""
        self.exit_until = float("-inf")
        self.fire = False
        self.mode = DoorMode.NORMAL
        self.other_open = False
        self.journal = True
        self.granted: set[int] = set()
        self.settled: dict[int, str] = {}

    def follow(self, event: Event, commands: Sequence[Command], now: float) -> None:
        """Judge what the gate wants after this event."""
        cleared = self._hear(event)
        for command in commands:
            if isinstance(command, Unlock):
                self._unlock(command, now)
            elif isinstance(command, Lock):
                self._lock(event, now)
        shortened = isinstance(event, SetDoorMode | Restored) or (
            isinstance(event, DoorEvent) and event.kind is DoorEventKind.OTHER_OPEN
        )
        if shortened and self.until is not None and now < self.exit_until < self.until:
            # all but the way out may have ended; the lock then comes at the end of that
            self.promised = min(self.promised, self.exit_until)
        self._passages(commands)
        if isinstance(event, DoorEvent) and event.kind is DoorEventKind.REX and not self.fire:
            if self.policy.door.rex_releases:
                assert self.until is not None, "the exit button did nothing"
                assert self.until >= now + self.policy.unlock_s - EPS
            self.exit_until = now + self.policy.unlock_s
        if self.fire:
            self.until, self.exit_until = None, float("-inf")
        if self.until is not None:
            assert now <= self.until + EPS, "unlocked past the deadline"
        assert not (cleared and self.until is not None and self.mode is not DoorMode.FREE_ACCESS)

    def _hear(self, event: Event) -> bool:
        """Take note of the event; whether it ended a fire."""
        if isinstance(event, SetDoorMode):
            if event.mode is not DoorMode.FREE_ACCESS or self.journal:
                self.mode = event.mode
        elif isinstance(event, Restored) and event.mode in CLOSED_TO_ALL:
            self.mode = event.mode
        elif isinstance(event, DoorEvent):
            was_on_fire = self.fire
            self.fire = event.kind is DoorEventKind.FIRE or (
                self.fire and event.kind is not DoorEventKind.FIRE_CLEARED
            )
            if event.kind in {DoorEventKind.OTHER_OPEN, DoorEventKind.OTHER_CLOSED}:
                self.other_open = event.kind is DoorEventKind.OTHER_OPEN
            return was_on_fire and not self.fire
        return False

    def _unlock(self, command: Unlock, now: float) -> None:
        cause = command.cause.split()[0]
        assert 0.0 < command.for_s <= self.policy.door.max_s + EPS
        if not self.fire and cause in {"visit", "remote"}:
            assert self.mode not in CLOSED_TO_ALL, f"let in by {cause} in {self.mode}"
            assert not self.other_open or self.mode is DoorMode.FREE_ACCESS, "both doors open"
        until = now + command.for_s
        if self.until is not None:
            assert until >= self.promised - EPS, "a release was cut short"
        self.until = self.promised = until
        self.counts[f"unlock {cause}"] += 1

    def _lock(self, event: Event, now: float) -> None:
        assert not self.fire, "locked in a fire"
        due = self.until is not None and now >= self.promised - EPS
        kind = event.kind if isinstance(event, DoorEvent) else None
        exit_over = now >= self.exit_until - EPS
        told = kind in MAY_LOCK or isinstance(event, SetDoorMode | Restored)
        # a press whose rest is all that is left of a longer release ends with it
        assert due or told or exit_over, "locked too early"
        if kind not in LEAF | {DoorEventKind.FIRE_CLEARED}:
            assert exit_over, "locked in the face of who is on the way out"
        self.until, self.exit_until = None, float("-inf")
        self.counts["lock"] += 1

    def _passages(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, RecordDecision) and command.decision.granted:
                self.granted.add(command.decision.visit)
            elif isinstance(command, RecordEvent) and command.kind in {"passed", "not_used"}:
                visit = command.body["visit"]
                assert self.policy.contact, "there is nothing to tell by"
                assert visit in self.granted, "nobody was let in"
                assert visit not in self.settled, "told twice"
                self.settled[visit] = command.kind
                self.counts[command.kind] += 1
