"""Passages: grants that wait for the leaf.

With a contact a grant is `passed` when the leaf is opened before its release ends, or stands open
already (at shift change people follow each other); else it is `not_used`. Releases that overlap are
one: whoever is still waiting then waits until its end. Without a contact nothing waits: a grant
counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gated.core.values import Direction


@dataclass(frozen=True, slots=True)
class Passage:
    """One grant.

    before: the person's last punch (direction, UTC seconds) until then. here_before: the same as
    presence knew it, without what was forgiven.
    """

    visit: int
    person_id: int
    at_utc: float
    before: tuple[Direction, float] | None = None
    here_before: tuple[Direction, float] | None = None


@dataclass(slots=True)
class Passages:
    """contact: whether the door has one. until: when those who wait are given up."""

    contact: bool = False
    waiting: list[Passage] = field(default_factory=list)
    until: float | None = None

    def granted(self, passage: Passage, until: float, leaf_open: bool) -> list[Passage]:
        """Somebody was let in until then; returns who has passed by that."""
        if not self.contact:
            return []
        if leaf_open:
            return [passage]
        self.waiting.append(passage)
        self.until = until if self.until is None else max(until, self.until)
        return []

    def opened(self) -> list[Passage]:
        """The leaf was opened: all who waited have passed."""
        passed, self.waiting, self.until = self.waiting, [], None
        return passed

    def clock_set(self, by_s: float) -> None:
        """The clock was set by so many seconds."""
        self.waiting = [replace(p, at_utc=p.at_utc + by_s) for p in self.waiting]

    def given_up(self, now: float) -> list[Passage]:
        """Those whose time is over at `now`: they have not used it."""
        if self.until is None or now < self.until:
            return []
        return self.opened()
