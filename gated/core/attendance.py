"""Punches: which way a granted passage goes, and the days that follow from many of them.

A punch is a granted passage; the raw ones are never changed. `derive` makes a person's days of
them: doubles are merged, an entry and the exit after it become a visit, a visit belongs to the day
on which it began, also when it ends on the next one. A punch whose partner was forgotten leaves an
open visit that counts no time. Durations are those of UTC: a night in which the clocks change is an
hour shorter or longer than they show. The day is that of the clock at the gate: an evening in New
York is one evening, also where a hub in Berlin derives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from gated.core.messages import LastPassages, RemotePassage
from gated.core.values import Direction, Instant


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
    elsewhere: Mapping[int, RemotePassage] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)
    """Whose last punch was made since the start, by the clock as it is now."""

    def clock_set(self, by_s: float) -> None:
        """The clock was set by so many seconds: what happened since the start is as long ago."""
        for person_id in self.made:
            direction, utc = self.last[person_id]
            self.last[person_id] = direction, utc + by_s

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
        if not self.last:  # there may be very many
            self.last = {id_: punch for id_, punch in punches.items() if punch is not None}
            return
        for person_id, punch in punches.items():
            own = self.last.get(person_id)
            if own is not None and complete_to is not None and own[1] > complete_to:
                continue
            self.made.discard(person_id)
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
        self.made.add(person_id)
        return before

    def undo(self, person_id: int, utc: float, before: tuple[Direction, float] | None) -> bool:
        """The passage of that moment was not made; False when there was another one since."""
        if self.last.get(person_id, (None, None))[1] != utc:
            return False
        if before is None:
            del self.last[person_id]
            self.made.discard(person_id)
        else:
            self.last[person_id] = before
        return True


@dataclass(frozen=True, slots=True)
class Logged:
    """A passage as the log of this gate tells it. utc: UTC seconds.

    place: (number of the chain, of the row) in the journal, None for one whose time somebody, or
    the monotonic clock, has set.
    """

    direction: Direction
    utc: float
    place: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Forgiven:
    """A row of this gate's journal that lets somebody (None: everybody) count as outside."""

    whom: int | None
    utc: float
    place: tuple[int, int]


def last_of(told: Iterable[Logged], now_utc: float) -> Logged | None:
    """The last one of a person's passages; of those with a place the one that stands last is given.

    What is still to come counts as now: a clock was ahead that is right again.
    """
    last = None
    for passage in told:
        seen = replace(passage, utc=min(passage.utc, now_utc))
        if last is None or (seen.utc, seen.place is None) > (last.utc, last.place is None):
            last = seen
    return last


def in_order(
    last: Mapping[int, Logged], forgiven: Iterable[Forgiven], now_utc: float
) -> tuple[dict[int, tuple[Direction, float]], dict[int | None, float]]:
    """Last passages and until when entries are forgiven, so that their times tell the order in
    which the journal has them: who passed before being forgiven is, whatever clock dated either.
    """
    punches = {id_: (p.direction, p.utc) for id_, p in last.items()}
    until: dict[int | None, float] = {}
    newest: dict[int | None, Forgiven] = {}
    for word in forgiven:
        known = newest.get(word.whom)
        if known is None or word.place > known.place:
            newest[word.whom] = word
    for whom, word in newest.items():
        concerned = [*last] if whom is None else [id_ for id_ in (whom,) if id_ in last]
        placed = [(id_, place) for id_ in concerned if (place := last[id_].place) is not None]
        after = [punches[id_][1] for id_, place in placed if place > word.place]
        until[whom] = min([word.utc, now_utc, *(utc - JUST_BEFORE_S for utc in after)])
        for id_, place in placed:
            if place < word.place:
                direction, utc = punches[id_]
                punches[id_] = direction, min(utc, until[whom])
    return punches, until


JUST_BEFORE_S = 1e-3


@dataclass(frozen=True, slots=True)
class Punch:
    """A granted passage of one person: an aware datetime, and the row of the log it stands in.

    zone: of the gate; None where the row does not say.
    unset: written by a clock that was not right. boot and mono: where they are known, the boot and
    the monotonic seconds of the passage, which say how long after another one of it this was.
    """

    at: datetime
    direction: Direction
    id: int = 0
    zone: tzinfo | None = None
    unset: bool = False
    boot: str = ""
    mono: float = 0.0

    @property
    def local(self) -> datetime:
        """The time with the offset that holds at the gate; UTC where its zone is not known."""
        return self.at.astimezone(self.zone or UTC)


@dataclass(frozen=True, slots=True)
class DayRules:
    """Settings by which days are derived from punches.

    double: punches in the same direction that follow each other within it are one. longest: an exit
    so long after the entry does not belong to it. day_start: after midnight; what begins earlier
    belongs to the day before.
    """

    double: timedelta = timedelta(seconds=60)
    longest: timedelta = timedelta(hours=16)
    day_start: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class AttendedVisit:
    """From an entry to its exit; one of them is missing where it was forgotten or is to come.

    present: the exit is still to come, as the entry is younger than the longest visit.
    """

    entry: Punch | None
    exit: Punch | None
    present: bool = False

    @property
    def first(self) -> Punch:
        """Return what says to which day it belongs: the entry, or the exit where there is none."""
        known = self.entry or self.exit
        assert known is not None  # noqa: S101  (a visit has a punch)
        return known

    @property
    def begin(self) -> datetime:
        """Return when its first punch was."""
        return self.first.at

    @property
    def open(self) -> bool:
        """Tell whether a punch was forgotten."""
        return (self.entry is None or self.exit is None) and not self.present

    @property
    def duration(self) -> timedelta:
        """From entry to exit; zero while one of them is not known."""
        if self.entry is None or self.exit is None:
            return timedelta(0)
        return self.exit.at - self.entry.at


@dataclass(frozen=True, slots=True)
class Day:
    """The visits of one person that began on a day of the site, earliest first.

    Times have the offset that held at the gate: they can be shown as they are.
    """

    date: date
    visits: tuple[AttendedVisit, ...]

    @property
    def first_in(self) -> datetime | None:
        """The first entry; None when none is known."""
        return next((v.entry.local for v in self.visits if v.entry), None)

    @property
    def last_out(self) -> datetime | None:
        """The last exit, which may lie on the next day; None when none is known."""
        return next((v.exit.local for v in reversed(self.visits) if v.exit), None)

    @property
    def inside(self) -> timedelta:
        """Time of all visits that are complete."""
        return sum((v.duration for v in self.visits), timedelta(0))

    @property
    def breaks(self) -> tuple[tuple[datetime, datetime], ...]:
        """(from, to) between visits of the day, where both ends are known."""
        return tuple((out.local, back.local) for out, back in self._pauses())

    @property
    def away(self) -> timedelta:
        """Time of all breaks."""
        # local times of one zone would be subtracted by their wall clocks
        return sum((back.at - out.at for out, back in self._pauses()), timedelta(0))

    def _pauses(self) -> Iterator[tuple[Punch, Punch]]:
        following = zip(self.visits, self.visits[1:], strict=False)
        return ((a.exit, b.entry) for a, b in following if a.exit and b.entry)

    @property
    def open_visits(self) -> int:
        """Visits of which a punch was forgotten."""
        return sum(v.open for v in self.visits)

    @property
    def clock_unset(self) -> bool:
        """Tell whether a passage was written by a clock that was not right."""
        return any(p.unset for v in self.visits for p in (v.entry, v.exit) if p)


def derive(punches: Iterable[Punch], zone: tzinfo, rules: DayRules, now: datetime) -> list[Day]:
    """The days of one person from all punches in any order, each by the clock at its gate.

    zone: that of punches which do not say theirs.
    """
    days: dict[date, list[AttendedVisit]] = {}
    placed = (p if p.zone else replace(p, zone=zone) for p in by_monotonic(punches))
    for visit in _visits(merge_doubles(placed, rules.double), rules.longest, now):
        day = day_of(visit.begin, visit.first.zone or zone, rules)
        days.setdefault(day, []).append(visit)
    return [Day(date_, tuple(visits)) for date_, visits in sorted(days.items())]


def by_monotonic(punches: Iterable[Punch]) -> list[Punch]:
    """The same, those of one boot as far apart as its monotonic clock says.

    The last one of the boot that a right clock wrote keeps its time, or else the last of all.
    """
    told, boots = list(punches), dict[str, Punch]()
    for punch in told:
        if punch.boot:
            best = boots.setdefault(punch.boot, punch)
            if (not punch.unset, punch.mono) > (not best.unset, best.mono):
                boots[punch.boot] = punch
    return [
        replace(p, at=boots[p.boot].at + timedelta(seconds=p.mono - boots[p.boot].mono))
        if p.boot
        else p
        for p in told
    ]


def merge_doubles(punches: Iterable[Punch], within: timedelta) -> list[Punch]:
    """Punches by time (UTC), doubles as one: of entries the first stays, of exits the last."""
    # aware datetimes of one zone compare and subtract by their wall clocks: all go to UTC first
    in_utc = (p if p.at.tzinfo is UTC else replace(p, at=p.at.astimezone(UTC)) for p in punches)
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


def _visits(punches: Iterable[Punch], longest: timedelta, now: datetime) -> Iterator[AttendedVisit]:
    """Pair punches that are sorted and free of doubles."""
    entry: Punch | None = None
    for punch in punches:
        if punch.direction == Direction.ENTRY:
            if entry is not None:
                yield AttendedVisit(entry, None)
            entry = punch
        elif entry is not None and punch.at - entry.at < longest:
            yield AttendedVisit(entry, punch)
            entry = None
        else:
            if entry is not None:
                yield AttendedVisit(entry, None)
            yield AttendedVisit(None, punch)
            entry = None
    if entry is not None:
        yield AttendedVisit(entry, None, present=now - entry.at < longest)
