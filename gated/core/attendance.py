"""Punches: which way a granted passage goes, and the days that follow from many of them.

A punch is a granted passage; the raw ones are never changed. `derive` makes a person's days of
them: doubles are merged, an entry and the exit after it become a visit, a visit belongs to the day
on which it began, also when it ends on the next one. A punch whose partner was forgotten leaves an
open visit that counts no time. Durations are those of UTC: a night in which the clocks change is an
hour shorter or longer than they show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from gated.core.model import Direction, Instant, LastPassages, PassageElsewhere


@dataclass(slots=True)
class DirectionRule:
    """`fixed` where the gate has one direction; else entry and exit alternate per person.

    After `reset_s` without a punch the next one is an entry again, flagged when the last one was an
    entry too: a forgotten punch stays an open visit and never flips the next day. Who is recognised
    again within `double_s` is going the same way still. elsewhere: person id -> the last passage at
    the other gates of the site, as far as a hub tells.
    """

    fixed: Direction | None = None
    reset_s: float = 16 * 3600.0
    double_s: float = 0.0
    last: dict[int, tuple[Direction, float]] = field(default_factory=dict)
    elsewhere: Mapping[int, PassageElsewhere] = field(default_factory=dict)

    def next(self, person_id: int | None, now: Instant) -> tuple[Direction, tuple[str, ...]]:
        """Direction of a passage now, and flags for the attendance row; changes nothing.

        A stranger (None) is someone who wants to enter.
        """
        if self.fixed is not None:
            return self.fixed, ()
        before = self._last(person_id) if person_id is not None else None
        if before is not None and 0.0 <= now.utc - before[1] < self.double_s:
            return before[0], ("double",)
        if before is None or before[0] is Direction.EXIT:
            return Direction.ENTRY, ()
        if now.utc - before[1] >= self.reset_s:
            return Direction.ENTRY, ("previous_visit_open",)
        return Direction.EXIT, ()

    def _last(self, person_id: int) -> tuple[Direction, float] | None:
        here, told = self.last.get(person_id), self.elsewhere.get(person_id)
        if told is None or told.direction is None or (here is not None and here[1] >= told.utc):
            return here
        return told.direction, told.utc

    def learn(self, punches: LastPassages, complete_to: float | None = None) -> None:
        """Take over what the log says of these people.

        What was seen here after `complete_to`, as far as that is known, is newer than the log.
        """
        for person_id, punch in punches.items():
            own = self.last.get(person_id)
            if own is not None and complete_to is not None and own[1] > complete_to:
                continue
            if punch is None:
                self.last.pop(person_id, None)
            else:
                self.last[person_id] = punch

    def passed(
        self, person_id: int, direction: Direction, now: Instant
    ) -> tuple[Direction, float] | None:
        """Remember a granted passage; returns the one before it."""
        before = self.last.get(person_id)
        self.last[person_id] = (direction, now.utc)
        return before

    def undo(self, person_id: int, utc: float, before: tuple[Direction, float] | None) -> bool:
        """The passage of that moment was not made; False when there was another one since."""
        if self.last.get(person_id, (None, None))[1] != utc:
            return False
        if before is None:
            del self.last[person_id]
        else:
            self.last[person_id] = before
        return True


@dataclass(frozen=True, slots=True)
class Punch:
    """A granted passage of one person: an aware datetime, and the row of the log it stands in."""

    at: datetime
    direction: Direction
    id: int = 0


@dataclass(frozen=True, slots=True)
class DayRules:
    """How days are derived from punches.

    double: punches in the same direction that follow each other within it are one. longest: an exit
    so long after the entry does not belong to it. day_start: after midnight; what begins earlier
    belongs to the day before.
    """

    double: timedelta = timedelta(seconds=60)
    longest: timedelta = timedelta(hours=16)
    day_start: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Visit:
    """From an entry to its exit; one of them is missing where it was forgotten or is to come.

    present: the exit is still to come, as the entry is younger than the longest visit.
    """

    entry: Punch | None
    exit: Punch | None
    present: bool = False

    @property
    def begin(self) -> datetime:
        """What says to which day it belongs: the entry, or the exit where there is none."""
        known = self.entry or self.exit
        assert known is not None  # noqa: S101  (a visit has a punch)
        return known.at

    @property
    def open(self) -> bool:
        """Whether a punch was forgotten."""
        return (self.entry is None or self.exit is None) and not self.present

    @property
    def duration(self) -> timedelta:
        """From entry to exit; zero while one of them is not known."""
        if self.entry is None or self.exit is None:
            return timedelta(0)
        return self.exit.at - self.entry.at


@dataclass(frozen=True, slots=True)
class Day:
    """The visits of one person that began on a day of the site, earliest first; times in UTC."""

    date: date
    visits: tuple[Visit, ...]

    @property
    def first_in(self) -> datetime | None:
        """The first entry; None when none is known."""
        return next((v.entry.at for v in self.visits if v.entry), None)

    @property
    def last_out(self) -> datetime | None:
        """The last exit, which may lie on the next day; None when none is known."""
        return next((v.exit.at for v in reversed(self.visits) if v.exit), None)

    @property
    def inside(self) -> timedelta:
        """Time of all visits that are complete."""
        return sum((v.duration for v in self.visits), timedelta(0))

    @property
    def breaks(self) -> tuple[tuple[datetime, datetime], ...]:
        """(from, to) between visits of the day, where both ends are known."""
        following = zip(self.visits, self.visits[1:], strict=False)
        return tuple((a.exit.at, b.entry.at) for a, b in following if a.exit and b.entry)

    @property
    def away(self) -> timedelta:
        """Time of all breaks."""
        return sum((end - begin for begin, end in self.breaks), timedelta(0))

    @property
    def open_visits(self) -> int:
        """Visits of which a punch was forgotten."""
        return sum(v.open for v in self.visits)


def derive(punches: Iterable[Punch], zone: tzinfo, rules: DayRules, now: datetime) -> list[Day]:
    """The days of one person from all punches in any order, by date in the zone of the site."""
    days: dict[date, list[Visit]] = {}
    for visit in _visits(merge_doubles(punches, rules.double), rules.longest, now):
        days.setdefault(day_of(visit.begin, zone, rules), []).append(visit)
    return [Day(date_, tuple(visits)) for date_, visits in sorted(days.items())]


def merge_doubles(punches: Iterable[Punch], within: timedelta) -> list[Punch]:
    """Punches by time (UTC), doubles as one: of entries the first stays, of exits the last."""
    # aware datetimes of one zone compare and subtract by their wall clocks: all go to UTC first
    in_utc = (replace(p, at=p.at.astimezone(UTC)) for p in punches)
    merged: list[Punch] = []
    before: Punch | None = None
    for punch in sorted(in_utc, key=lambda p: (p.at, p.id)):
        if before is None or punch.direction != before.direction or punch.at - before.at > within:
            merged.append(punch)
        elif punch.direction == Direction.EXIT:
            merged[-1] = punch
        before = punch
    return merged


def day_of(at: datetime, zone: tzinfo, rules: DayRules) -> date:
    """The day of the site to which what begins at this moment belongs."""
    return (at.astimezone(zone).replace(tzinfo=None) - rules.day_start).date()


def _visits(punches: Iterable[Punch], longest: timedelta, now: datetime) -> Iterator[Visit]:
    """Pair punches that are sorted and free of doubles."""
    entry: Punch | None = None
    for punch in punches:
        if punch.direction == Direction.ENTRY:
            if entry is not None:
                yield Visit(entry, None)
            entry = punch
        elif entry is not None and punch.at - entry.at < longest:
            yield Visit(entry, punch)
            entry = None
        else:
            if entry is not None:
                yield Visit(entry, None)
            yield Visit(None, punch)
            entry = None
    if entry is not None:
        yield Visit(entry, None, present=now - entry.at < longest)
