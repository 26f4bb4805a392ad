"""Punches: the direction of a granted passage, and the days derived from many punches.

A punch is a granted passage; raw punches are never changed. `derive` makes a person's days: double
punches are merged, an entry and the next exit become a visit, and a visit belongs to the day on
which it began, also when it ends on the next day. A punch without a partner leaves an open visit
that counts no time. Durations are UTC differences, so a night with a clock change has its true
length. Days follow the local time at the gate: an evening in New York is one evening, also when a
hub in Berlin derives it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from gated.core.messages import LastPassages, RemotePassage
from gated.core.values import Direction, Instant

WORKING_DAYS = 5
"""Of a week, from Monday on."""


@dataclass(slots=True)
class DirectionRule:
    """Decides directions: `fixed` for a gate of one direction, else alternating per person.

    After `reset_s` without a punch the next one is an entry again, flagged when the last one was an
    entry too: a forgotten punch leaves an open visit and does not swap directions on the next day.
    A person recognised again within `double_s` still goes the same way. elsewhere: by person id,
    the last passage at the other gates of the site as reported by a hub.
    """

    fixed: Direction | None = None
    reset_s: float = 16 * 3600.0
    double_s: float = 0.0
    last: dict[int, tuple[Direction, float]] = field(default_factory=dict)
    elsewhere: Mapping[int, RemotePassage] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)
    """Ids of people whose last punch was made since the start."""

    def clock_set(self, by_s: float) -> None:
        """Move punches made since the start by the step (seconds) by which the clock was set."""
        for person_id in self.made:
            direction, utc = self.last[person_id]
            self.last[person_id] = direction, utc + by_s

    def next(self, person_id: int | None, now: Instant) -> tuple[Direction, tuple[str, ...]]:
        """Return the direction of a passage now, and flags for its log row; changes nothing.

        A stranger (None) is assumed to enter.
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
        here, other = self.last.get(person_id), self.elsewhere.get(person_id)
        if other is None or other.direction is None or (here is not None and here[1] >= other.utc):
            return here
        return other.direction, other.utc

    def learn(self, punches: LastPassages, complete_to: float | None = None) -> None:
        """Take over the last punches of these people from the log.

        Punches made here after `complete_to`, where known, are newer than the log and stay.
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
        """Remember a granted passage, and return the previous one."""
        before = self.last.get(person_id)
        self.last[person_id] = (direction, now.utc)
        self.made.add(person_id)
        return before

    def undo(
        self, person_id: int, utc: float, before: tuple[Direction, float] | None, made: bool
    ) -> bool:
        """Undo the passage of that moment; return False when there was another one since.

        made: the one before was made since the start, too.
        """
        if self.last.get(person_id, (None, None))[1] != utc:
            return False
        if before is None:
            del self.last[person_id]
        else:
            self.last[person_id] = before
        if before is None or not made:
            self.made.discard(person_id)
        return True


@dataclass(frozen=True, slots=True)
class Logged:
    """A passage as logged at this gate. utc: UTC seconds.

    place: (number of the chain, of the row) in the journal; None for a passage whose time was
    entered by hand or corrected by the monotonic clock.
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


def last_of(passages: Iterable[Logged], now_utc: float) -> Logged | None:
    """Return the last of a person's passages; of those with a place, only the newest is given.

    A passage in the future counts as now: the clock was ahead when it was logged.
    """
    last = None
    for passage in passages:
        seen = replace(passage, utc=min(passage.utc, now_utc))
        if last is None or (seen.utc, seen.place is None) > (last.utc, last.place is None):
            last = seen
    return last


def in_order(
    last: Mapping[int, Logged], forgiven: Iterable[Forgiven], now_utc: float
) -> tuple[dict[int, tuple[Direction, float]], dict[int | None, float]]:
    """Return last passages, and the times until which entries are forgiven.

    Times are adjusted to the order of the journal: a passage journaled before the person was
    forgiven is forgiven, whatever the clock said at either time.
    """
    punches = {id_: (p.direction, p.utc) for id_, p in last.items()}
    until: dict[int | None, float] = {}
    newest: dict[int | None, Forgiven] = {}
    for row in forgiven:
        known = newest.get(row.whom)
        if known is None or row.place > known.place:
            newest[row.whom] = row
    for whom, row in newest.items():
        concerned = [*last] if whom is None else [id_ for id_ in (whom,) if id_ in last]
        placed = [(id_, place) for id_ in concerned if (place := last[id_].place) is not None]
        after = [punches[id_][1] for id_, place in placed if place > row.place]
        until[whom] = min([row.utc, now_utc, *(utc - JUST_BEFORE_S for utc in after)])
        for id_, place in placed:
            if place < row.place:
                direction, utc = punches[id_]
                punches[id_] = direction, min(utc, until[whom])
    return punches, until


JUST_BEFORE_S = 1e-3


@dataclass(frozen=True, slots=True)
class Punch:
    """A granted passage of one person. at: aware datetime; id: of its row in the log.

    zone: of the gate; None where the row has none. unset: logged while the clock was not right.
    boot, mono: where known, the boot and the monotonic seconds of the passage, which give exact
    differences between passages of one boot.
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
        """Local time at the gate; UTC where its zone is not known."""
        return self.at.astimezone(self.zone or UTC)


@dataclass(frozen=True, slots=True)
class DayRules:
    """Settings for deriving days from punches.

    double: punches in the same direction within this time count as one. longest: a later exit does
    not belong to the entry. day_start: after midnight; visits that begin earlier belong to the day
    before.
    """

    double: timedelta = timedelta(seconds=60)
    longest: timedelta = timedelta(hours=16)
    day_start: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class AttendedVisit:
    """A visit from entry to exit; one of them is None where it was forgotten or is to come.

    present: the exit is still to come, as the entry is younger than the longest visit.
    """

    entry: Punch | None
    exit: Punch | None
    present: bool = False

    @property
    def first(self) -> Punch:
        """The punch that decides the day: the entry, or the exit where there is none."""
        known = self.entry or self.exit
        assert known is not None  # noqa: S101  (a visit has a punch)
        return known

    @property
    def begin(self) -> datetime:
        """The time of the first punch."""
        return self.first.at

    @property
    def open(self) -> bool:
        """True when a punch was forgotten."""
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

    Times are local to the gate: they can be shown as they are.
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

    def late(self, after: time) -> timedelta | None:
        """By how much the first entry came after that time on the clock at its gate.

        None: in time, or nobody knows when.
        """
        first = self.visits[0].entry if self.visits else None
        if first is None or first.unset:
            return None
        # local times of one zone would be compared by their wall clocks
        due = datetime.combine(self.date, after, first.local.tzinfo).astimezone(UTC)
        by = first.at.astimezone(UTC) - due
        return by if by > timedelta(0) else None

    @property
    def clock_unset(self) -> bool:
        """True when a passage was logged while the clock was not right."""
        return any(p.unset for v in self.visits for p in (v.entry, v.exit) if p)


def is_working_day(day: date, holidays: Collection[date]) -> bool:
    """Return whether it is a Monday to Friday and no holiday."""
    return day.weekday() < WORKING_DAYS and day not in holidays


def derive(punches: Iterable[Punch], zone: tzinfo, rules: DayRules, now: datetime) -> list[Day]:
    """Derive the days of one person from all punches in any order, each in local time at its gate.

    zone: of punches without one.
    """
    days: dict[date, list[AttendedVisit]] = {}
    placed = (p if p.zone else replace(p, zone=zone) for p in by_monotonic(punches))
    for visit in _visits(merge_doubles(placed, rules.double), rules.longest, now):
        day = day_of(visit.begin, visit.first.zone or zone, rules)
        days.setdefault(day, []).append(visit)
    return [Day(date_, tuple(visits)) for date_, visits in sorted(days.items())]


def by_monotonic(punches: Iterable[Punch]) -> list[Punch]:
    """Correct the times of punches of one boot by its monotonic clock.

    The reference is the last punch of the boot with a right clock, or else the last one.
    """
    given, boots = list(punches), dict[str, Punch]()
    for punch in given:
        if punch.boot:
            best = boots.setdefault(punch.boot, punch)
            if (not punch.unset, punch.mono) > (not best.unset, best.mono):
                boots[punch.boot] = punch
    return [
        replace(p, at=boots[p.boot].at + timedelta(seconds=p.mono - boots[p.boot].mono))
        if p.boot
        else p
        for p in given
    ]


def merge_doubles(punches: Iterable[Punch], within: timedelta) -> list[Punch]:
    """Sort punches by time (UTC) and merge doubles: keep the first of entries, the last of
    exits."""
    # aware datetimes of one zone compare and subtract as local times: all go to UTC first
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
    """Return the local day to which a visit that begins at this moment belongs."""
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
