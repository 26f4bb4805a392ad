"""Passages: grants that wait until the door is opened.

With a contact a grant is `passed` when the leaf is opened before the release ends, or stands open
already (at shift change people follow each other); else it is `not_used`. Overlapping releases
count as one, with the latest end. Without a contact every grant counts as passed for which the
door was released.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gated.core.values import Direction


@dataclass(frozen=True, slots=True)
class Passage:
    """One grant.

    before: the person's previous punch (direction, UTC seconds). here_before: the same by presence,
    without forgiven entries. made_before: that one was made since the start; else it is the log's.
    """

    visit: int
    person_id: int
    at_utc: float
    before: tuple[Direction, float] | None = None
    here_before: tuple[Direction, float] | None = None
    made_before: bool = False

    def moved(self, by_s: float) -> Passage:
        """Return the same after the clock was set: what the log has told stays."""
        moved = replace(self, at_utc=self.at_utc + by_s)
        if not self.made_before:
            return moved
        before, here = _moved(self.before, by_s), _moved(self.here_before, by_s)
        return replace(moved, before=before, here_before=here)


@dataclass(slots=True)
class Passages:
    """The waiting passages of a door. contact: the door has one. until: end of the waiting time."""

    contact: bool = False
    waiting: list[Passage] = field(default_factory=list)
    until: float | None = None
    last: Passage | None = None
    """The last grant of a door without a contact."""

    def granted(self, passage: Passage, until: float, leaf_open: bool) -> list[Passage]:
        """Add a grant that may be used before `until`; return the passages made already."""
        if not self.contact:
            self.last = passage
            return []
        if leaf_open:
            return [passage]
        self.waiting.append(passage)
        self.until = until if self.until is None else max(until, self.until)
        return []

    def opened(self) -> list[Passage]:
        """Return all waiting passages as made, when the leaf was opened."""
        passed, self.waiting, self.until = self.waiting, [], None
        return passed

    def not_released(self) -> list[Passage]:
        """Return the last grant as not used, as the relay did not move for it.

        With a contact it goes on waiting: the door may be opened by a key.
        """
        last, self.last = self.last, None
        return [] if last is None else [last]

    def clock_set(self, by_s: float) -> None:
        """Move the times by the step (seconds) by which the clock was set."""
        self.waiting = [passage.moved(by_s) for passage in self.waiting]

    def given_up(self, now: float) -> list[Passage]:
        """Return the passages whose time is over at `now`: they were not used."""
        if self.until is None or now < self.until:
            return []
        return self.opened()


def _moved(passed: tuple[Direction, float] | None, by_s: float) -> tuple[Direction, float] | None:
    return None if passed is None else (passed[0], passed[1] + by_s)
