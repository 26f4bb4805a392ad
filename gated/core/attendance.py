"""Punches: which way a granted passage goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from gated.core.model import Direction, Instant


@dataclass(slots=True)
class DirectionRule:
    """`fixed` where the gate has one direction; else entry and exit alternate per person.

    After `reset_s` without a punch the next one is an entry again, flagged when the last one was an
    entry too: a forgotten punch stays an open visit and never flips the next day.
    """

    fixed: Direction | None = None
    reset_s: float = 16 * 3600.0
    last: dict[int, tuple[Direction, float]] = field(default_factory=dict)

    def next(self, person_id: int | None, now: Instant) -> tuple[Direction, tuple[str, ...]]:
        """Direction of a passage now, and flags for the attendance row; changes nothing.

        A stranger (None) is someone who wants to enter.
        """
        if self.fixed is not None:
            return self.fixed, ()
        before = self.last.get(person_id) if person_id is not None else None
        if before is None or before[0] is Direction.EXIT:
            return Direction.ENTRY, ()
        if now.utc - before[1] >= self.reset_s:
            return Direction.ENTRY, ("previous_visit_open",)
        return Direction.EXIT, ()

    def passed(self, person_id: int, direction: Direction, now: Instant) -> None:
        """Remember a granted passage."""
        self.last[person_id] = (direction, now.utc)
