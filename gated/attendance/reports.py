"""Makes reports from the attendance log: days of people, and tables to hand out.

Days are derived from effective granted rows, each by the clock at its gate, and every local time
is given with the offset that held there: in the night when clocks go back an hour comes twice.
Everything comes in small parts, each read in a transaction of its own: memory does not grow with
the log, and a slow reader holds nobody up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import groupby, islice
from time import sleep, thread_time
from typing import Any, Literal, Self

from sqlalchemy.orm import Session

from gated.attendance import attendance_store
from gated.attendance.attendance import filters_for
from gated.attendance.attendance_store import LogFilter
from gated.attendance.gate_names import GateNames, NamedGate
from gated.config import AttendanceSettings
from gated.core.attendance import Day, DayRules, Punch, day_of, derive, is_working_day
from gated.core.clock import CLOCK_UNSET
from gated.database.records import Person
from gated.errors import SourceError
from gated.http.spreadsheet import Harmless, Row
from gated.journal.journal import Entry
from gated.people.zones import Zones, zones
from gated.ports import Clock
from gated.workspace import Workspace

PEOPLE_AT_FIRST, PEOPLE_AT_A_TIME = 20, 100
"""Whoever wants a few need not wait for many; of many each part asks the database anew."""
DAYS_AT_A_TIME = 3
"""Of exceptions in one answer: of each day all passages of all people are looked at."""
FARTHEST = timedelta(hours=26)
"""Between the clocks of two time zones."""
ROWS_AT_FIRST = 100
"""A table begins with few rows, so that whoever waits for it sees it begin."""
ROWS_AT_A_TIME = 1000
NO_FLAGS = "[]"
LONGEST_PERIOD_DAYS = 400
NAMES_KEPT = 20_000
RESTED, LONGEST_REST_S = 0.25, 0.1
"""Who makes a long table rests for so much of the time that each part took."""

DAY_HEADER = (
    "date", "personnel_code", "last_name", "first_name", "department", "first_in", "last_out",
    "inside", "breaks", "visits", "open_visits", "first_in_offset", "last_out_offset", "flags",
)  # fmt: skip
LOG_HEADER = (
    "id", "local_time", "created_at", "personnel_code", "last_name", "first_name", "department",
    "direction", "gate_name", "camera_name", "status", "reason", "method", "confidence_score",
    "person_id", "site", "superseded_by", "timezone", "utc_offset", "flags",
    "gate_uid", "gate_name_now",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PersonDay:
    """One day of one person.

    corrections: passages of it that somebody put down or changed. late: by how much the first entry
    came after the time that a group of the person names.
    """

    person: Person
    day: Day
    corrections: int = 0
    late: timedelta | None = None

    @property
    def is_odd(self) -> bool:
        """True when somebody should look at it."""
        return bool(self.day.open_visits or self.day.clock_unset or self.late)


By = Literal["person", "day"]

Place = tuple[date, int]
"""Where a page of days ended: date and id of the person."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of one person's days in a period."""

    person: Person
    days: int
    visits: int
    open_visits: int
    inside: timedelta
    away: timedelta

    @classmethod
    def of(cls, person: Person, days: Sequence[Day]) -> Self:
        """The sums over these days."""
        return cls(
            person,
            len(days),
            sum(len(d.visits) for d in days),
            sum(d.open_visits for d in days),
            sum((d.inside for d in days), timedelta(0)),
            sum((d.away for d in days), timedelta(0)),
        )


@dataclass(frozen=True, slots=True)
class PassagesRead:
    """All that days are derived from, by the id of the person."""

    zones: Zones
    punches: Mapping[int, list[Punch]]
    by_hand: Mapping[int, list[attendance_store.Corrected]]
    late_after: Mapping[int, time]
    holidays: Collection[date]

    def late(self, person: Person, day: Day) -> timedelta | None:
        """By how much the person came late on that day."""
        after = self.late_after.get(person.id)
        if after is None or not is_working_day(day.date, self.holidays):
            return None
        return day.late(after)


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """The people whose days are meant; None leaves a side open."""

    person_id: int | None = None
    department: str | None = None


EVERYBODY = PeopleFilter()


@dataclass(frozen=True, slots=True)
class Period:
    """From the first to the last day of the site, both included."""

    first: date
    last: date


def day_rules(settings: AttendanceSettings) -> DayRules:
    """The rules of days as they are configured."""
    return DayRules(
        double=timedelta(seconds=settings.double_punch_s),
        longest=timedelta(hours=settings.auto_reset_h),
        day_start=timedelta(hours=settings.day_start_h),
    )


class Reports:
    """Reports of a workspace."""

    def __init__(self, workspace: Workspace, clock: Clock | None = None) -> None:
        self._workspace = workspace
        self._database = workspace.database
        self._clock = clock or workspace.clock
        self._rules = day_rules(workspace.settings.attendance)

    def period(self, first: date | None, last: date | None) -> Period:
        """The days that are meant: up to today, from the first of the month; SourceError."""
        with self._database.read() as session:
            there = zones(self._workspace, session, fleet=True)
        today = there.latest_day(self._clock.now().utc)
        last = last or max(today, first or today)
        first = first or last.replace(day=1)
        if first > last:
            raise SourceError("the period is empty: `from` is after `to`")
        if (last - first).days >= LONGEST_PERIOD_DAYS:
            raise SourceError(f"the period is longer than {LONGEST_PERIOD_DAYS} days: ask in parts")
        if not date(2000, 1, 1) <= first <= last <= date(9000, 1, 1):
            raise SourceError("the period lies outside of all time that is kept")
        return Period(first, last)

    def page(
        self, period: Period, people: PeopleFilter, *, by: By, limit: int, cursor: str | None
    ) -> tuple[list[PersonDay], str | None]:
        """Days by person and date, or by date and person, and what continues behind them.

        SourceError for a cursor that is none of ours.
        """
        at = None if cursor is None else _read_place(cursor)
        found = (
            self._by_person(period, people, at)
            if by == "person"
            else self._by_day(period, people, at)
        )
        some = list(islice(found, limit + 1))
        if len(some) <= limit:
            return some, None
        last = some[limit - 1]
        return some[:limit], f"{last.day.date.isoformat()}.{last.person.id}"

    def _by_person(
        self, period: Period, people: PeopleFilter, at: Place | None
    ) -> Iterator[PersonDay]:
        after = 0 if at is None else at[1] - 1
        for some in self.days(period, people, after):
            for found in some:
                if at is None or (found.person.id, found.day.date) > (at[1], at[0]):
                    yield found

    def _by_day(
        self, period: Period, people: PeopleFilter, at: Place | None
    ) -> Iterator[PersonDay]:
        first = period.first if at is None else max(period.first, at[0])
        for n in range((period.last - first).days + 1):
            day = first + timedelta(days=n)
            after = at[1] if at is not None and at[0] == day else 0
            for some in self.days(Period(day, day), people, after):
                yield from some

    def totals(
        self, period: Period, people: PeopleFilter, *, limit: int, after: int = 0
    ) -> list[Totals]:
        """List the sums of each person's days, by person, behind an id."""
        found = (
            Totals.of(person, [d.day for d in days])
            for some in self.days(period, people, after, limit)
            for person, days in groupby(some, key=lambda d: d.person)
        )
        return list(islice(found, limit))

    def days(
        self,
        period: Period,
        people: PeopleFilter = EVERYBODY,
        after: int = 0,
        wanted: int | None = None,
    ) -> Iterator[list[PersonDay]]:
        """Days on which somebody came or went, by person and date, some people at a time.

        after: the id of a person; who has a higher one follows. wanted: so many people will do.
        """
        limit, left = PEOPLE_AT_FIRST, wanted or 0
        with self._database.read() as session:
            there = zones(self._workspace, session, fleet=True)
        within, names = self._bounds(there, period), there.names()
        while True:
            with self._database.read() as session:
                # not all within reach: on the first of a month these are all of the day before
                some = attendance_store.who_punched(
                    session, *within, moved=self._reach(period), zone_names=names,
                    person_id=people.person_id, department=people.department,
                    after=after, limit=limit,
                )  # fmt: skip
                if not some:
                    return
                read = self.read(session, [p.id for p in some], period)
            yield [day for person in some for day in self.days_of(read, person, period)]
            if len(some) < limit:
                return
            after, left = some[-1].id, left - limit
            limit = PEOPLE_AT_A_TIME
            if wanted is not None:
                limit = min(limit, max(left, PEOPLE_AT_FIRST))

    def exceptions(
        self, period: Period, people: PeopleFilter, *, limit: int, cursor: str | None
    ) -> tuple[list[PersonDay], str | None]:
        """Days with an open visit, a late first entry or an unset clock, the newest first, and what
        continues behind.

        A part may be shorter than `limit`, or empty, though more follows: it ends after
        `DAYS_AT_A_TIME`. SourceError for a cursor that is none of ours.
        """
        day, after = (period.last, 0) if cursor is None else _read_place(cursor)
        found: list[PersonDay] = []
        moved = self._moved(min(day, period.last), people)
        for _ in range(DAYS_AT_A_TIME):
            if day < period.first:
                return found, None
            for one in self._odd_days(min(day, period.last), people, moved, after, limit + 1):
                if len(found) == limit:
                    last = found[-1]
                    return found, f"{last.day.date.isoformat()}.{last.person.id}"
                found.append(one)
            day, after = day - timedelta(days=1), 0
        return found, None if day < period.first else f"{day.isoformat()}.0"

    def _moved(self, day: date, people: PeopleFilter) -> Mapping[int, tuple[datetime, datetime]]:
        """Return who may have passages of these days beyond their bounds at the gates of today.

        Asked once for all days of a part: rows of a zone that was removed are few, or none.
        """
        period = Period(day - timedelta(days=DAYS_AT_A_TIME - 1), day)
        with self._database.read() as session:
            there = zones(self._workspace, session, fleet=True)
            begin, end = self._bounds(there, period)
            return attendance_store.who_may_have_moved(
                session, begin - FARTHEST, end + FARTHEST, there.names(),
                person_id=people.person_id, department=people.department,
            )  # fmt: skip

    def _odd_days(
        self,
        day: date,
        people: PeopleFilter,
        moved: Mapping[int, tuple[datetime, datetime]],
        after: int,
        wanted: int,
    ) -> Iterator[PersonDay]:
        """Yield that day of each who has an exception on it, by person. wanted: so many will do.

        moved: as `_moved` returns them.
        """
        period = Period(day, day)
        now = datetime.fromtimestamp(self._clock.now().utc, UTC)
        with self._database.read() as session:
            there = zones(self._workspace, session, fleet=True)
            begin, end = self._bounds(there, period)
            ids = attendance_store.who_may_be_odd(
                session, begin, end, now - self._rules.longest, self._rules.longest,
                person_id=people.person_id, department=people.department, after=after,
            )  # fmt: skip
            if (due := self._earliest_due(session, there, day)) is not None:
                late = attendance_store.who_came_after(
                    session, begin, end, max(self._begins(there, day)), due,
                    person_id=people.person_id, department=people.department, after=after,
                )  # fmt: skip
                ids = sorted({*ids, *late})
        near = begin - FARTHEST, end + FARTHEST
        others = (i for i, (a, b) in moved.items() if i > after and a < near[1] and b >= near[0])
        ids = sorted({*ids, *others})
        at_a_time = min(max(wanted, PEOPLE_AT_FIRST), PEOPLE_AT_A_TIME)
        for start in range(0, len(ids), at_a_time):
            with self._database.read() as session:
                some = attendance_store.people_of(session, ids[start : start + at_a_time])
                read = self.read(session, [p.id for p in some], period)
            for person in some:
                for found in self.days_of(read, person, period):
                    if found.is_odd:
                        yield found

    def _earliest_due(self, session: Session, there: Zones, day: date) -> datetime | None:
        """Return when the first of all who are due on that day is, in UTC; None: nobody is."""
        if not is_working_day(day, self.holidays(session, Period(day, day))):
            return None
        after = attendance_store.earliest_late_after(session)
        if after is None:
            return None
        at_gates = (datetime.combine(day, after, zone) for zone in there.everywhere())
        return min(at.astimezone(UTC) for at in at_gates)

    def holidays(self, session: Session, period: Period) -> set[date]:
        """Return the holidays of the site in a period."""
        sites = [self._workspace.settings.gate.site]
        return attendance_store.holidays_between(session, period.first, period.last, sites)

    def arrivals(self, day: date) -> Counter[int]:
        """Hour on the clock at the gate -> how many came for the first time on that day."""
        found: Counter[int] = Counter()
        with self._database.read() as session:
            there = zones(self._workspace, session, fleet=True)
            bounds = self._bounds(there, Period(day, day))
            at_gates = {str(zone): self._day_in(zone, day) for zone in there.everywhere()}
            first_entries = attendance_store.first_entries(session, *bounds, at_gates)
        for quarter, timezone, site, count in first_entries:
            zone = there.of(timezone, site)
            at = datetime.fromtimestamp(quarter, UTC)
            if day_of(at, zone, self._rules) == day:
                found[at.astimezone(zone).hour] += count
        return found

    def _bounds(self, there: Zones, period: Period) -> tuple[datetime, datetime]:
        """Between which times, in UTC, these days lie at whatever gate."""
        following = period.last + timedelta(days=1)
        return min(self._begins(there, period.first)), max(self._begins(there, following))

    def _begins(self, there: Zones, day: date) -> list[datetime]:
        """Return when a day begins, in UTC, at one gate or another."""
        return [begin for zone in there.everywhere() for begin in self._begins_in(zone, day)]

    def _begins_in(self, zone: tzinfo, day: date) -> list[datetime]:
        """The same in one zone; a clock may begin a day in an hour that it skips, or has twice."""
        start = datetime.combine(day, time()) + self._rules.day_start
        return [start.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]

    def _day_in(self, zone: tzinfo, day: date) -> tuple[datetime, datetime]:
        """Return between which times, in UTC, a day lies in a zone."""
        following = day + timedelta(days=1)
        return min(self._begins_in(zone, day)), max(self._begins_in(zone, following))

    def read(self, session: Session, ids: Sequence[int], period: Period) -> PassagesRead:
        """Read what the days of these people are derived from."""
        begin, end = self._reach(period)
        there = zones(self._workspace, session)
        late_after = attendance_store.late_after(session, ids)
        return PassagesRead(
            there,
            attendance_store.punches(session, ids, begin, end, there.of),
            attendance_store.by_hand(session, ids, begin, end),
            late_after,
            self.holidays(session, period) if late_after else (),
        )

    def days_of(self, read: PassagesRead, person: Person, period: Period) -> list[PersonDay]:
        """Derive the days of a person in a period."""
        now = datetime.fromtimestamp(self._clock.now().utc, UTC)
        corrections = self.corrections_of(read, person)
        return [
            PersonDay(person, day, corrections[day.date], read.late(person, day))
            for day in derive(read.punches[person.id], read.zones.here, self._rules, now)
            if period.first <= day.date <= period.last
        ]

    def corrections_of(self, read: PassagesRead, person: Person) -> Counter[date]:
        """Count by day the passages that somebody put down, changed or voided."""
        return Counter(
            day_of(at, read.zones.of(timezone, site), self._rules)
            for at, timezone, site in read.by_hand[person.id]
        )

    def day_table(self, period: Period, people: PeopleFilter = EVERYBODY) -> Iterator[Row]:
        """The same as rows under DAY_HEADER; times are those at the gates."""
        for some in self.days(period, people):
            for found in some:
                person, day = found.person, found.day
                yield (
                    day.date, person.personnel_code, person.last_name, person.first_name,
                    person.department, _to_second(day.first_in), _to_second(day.last_out),
                    day.inside, day.away, len(day.visits), day.open_visits,
                    offset_of(day.first_in), offset_of(day.last_out),
                    CLOCK_UNSET if day.clock_unset else None,
                )  # fmt: skip

    def log_table(self, **filters: Any) -> Iterator[Row]:
        """Rows of the attendance log under LOG_HEADER, newest first; the filters are the list's."""
        after: attendance_store.Cursor | None = None
        limit, people = ROWS_AT_FIRST, _Names()
        while True:
            # all of a part's work lies between two rows: each may be fetched by another thread
            began = thread_time()
            with self._database.read() as session:
                wanted = filters_for(self._workspace, session, filters)
                page = attendance_store.select_rows(
                    session, LogFilter(**wanted), after=after, limit=limit
                )
                people.learn(session, {row.person_id for row in page})
                shown = _LocalTimes(zones(self._workspace, session))
                names = GateNames(self._workspace, session)
                gates = names.of(session, [(row.id, row.chain, row.reason) for row in page])
            rows = _log_rows(page, people, shown, gates)
            worked_s = thread_time() - began
            yield from rows
            if len(page) < limit:
                return
            after, limit = (page[-1].created_at, page[-1].id), ROWS_AT_A_TIME
            rest(worked_s)

    def note_export(self, table: str, asked: Mapping[str, Any], *, actor: str) -> None:
        """Tell the journal who takes a table out of the house, and of what; StorageError."""
        filters = {
            name.rstrip("_"): value.isoformat() if isinstance(value, datetime) else value
            for name, value in asked.items()
            if value is not None and value is not False
        }
        exporter = {"name": actor, "filters": filters}
        entry = Entry(self._clock.now(), "exported", {"table": table}, {"actor": exporter})
        self._workspace.journal.append([entry])

    def _reach(self, period: Period) -> tuple[datetime, datetime]:
        """Punches that can have a part in the visits of these days, in UTC."""
        margin = self._rules.longest + self._rules.double
        # a day more than needed, as the local day may be shifted against UTC's
        begin = datetime.combine(period.first, time(), UTC) - margin - timedelta(days=1)
        end = datetime.combine(period.last, time(), UTC) + margin + timedelta(days=3)
        return begin, end


def _read_place(cursor: str) -> Place:
    day, _, id_ = cursor.partition(".")
    try:
        if not id_.isdecimal() or len(id_) > 18:
            raise ValueError(id_)
        return date.fromisoformat(day), int(id_)
    except ValueError:
        raise SourceError("the cursor is not one that this list gave") from None


def rest(worked_s: float) -> None:
    """Leave the processor to the door for a while: a table of a year is made in parts."""
    sleep(min(worked_s * RESTED, LONGEST_REST_S))


def _log_rows(
    page: Sequence[Any],
    people: _Names,
    shown: _LocalTimes,
    gates: Mapping[int, NamedGate | None],
) -> list[Row]:
    """The rows of one part under LOG_HEADER."""
    rows: list[Row] = []
    for (
        at, id_, timezone, site, person_id, direction, gate, camera, status, reason,
        method, confidence, superseded_by, _, flags,
    ) in page:  # fmt: skip
        local, place, offset = shown.of(at, timezone, site)
        made_by = gates[id_]
        rows.append((
            id_, local, Harmless(at.isoformat()), *people.of(person_id), direction, gate,
            camera, status, reason, method, confidence, person_id, site, superseded_by,
            place, offset, None if flags == NO_FLAGS else " ".join(json.loads(flags)),
            *((None, None) if made_by is None else (made_by.uid, made_by.now(gate))),
        ))  # fmt: skip
    return rows


class _Names:
    """The names of persons, kept from part to part, and forgotten when they become too many."""

    def __init__(self) -> None:
        self._known: dict[int | None, attendance_store.Named | None] = {None: None}

    def learn(self, session: Session, person_ids: set[int | None]) -> None:
        if len(self._known) > NAMES_KEPT:
            self._known = {None: None}
        new = [id_ for id_ in person_ids if id_ is not None and id_ not in self._known]
        self._known.update(dict.fromkeys(new))
        for id_, named in attendance_store.names(session, new).items():
            self._known[id_] = named

    def of(self, person_id: int | None) -> tuple[str | None, ...]:
        return self._known[person_id] or (None, None, None, None)


class _LocalTimes:
    """Times on the clock at the gates, of some rows."""

    def __init__(self, there: Zones) -> None:
        self._there = there
        self._zones: dict[tuple[str | None, str], tuple[tzinfo, str]] = {}
        self._offsets: dict[timedelta | None, str | None] = {}

    def of(self, at: datetime, timezone: str | None, site: str) -> tuple[datetime, str, str | None]:
        """(to the second, name of the zone, offset) of a row."""
        found = self._zones.get((timezone, site))
        if found is None:
            zone = self._there.of(timezone, site)
            found = self._zones[timezone, site] = zone, timezone or str(zone)
        local = at.astimezone(found[0])
        if local.microsecond:
            local = local.replace(microsecond=0)
        ahead = local.utcoffset()
        if ahead not in self._offsets:
            self._offsets[ahead] = offset_of(local)
        return local, found[1], self._offsets[ahead]


def offset_of(at: datetime | None) -> str | None:
    """Return how far a local time is ahead of UTC, such as UTC+02:00; None for none."""
    return None if at is None else f"UTC{at.isoformat()[-6:]}"


def _to_second(at: datetime | None) -> datetime | None:
    return at and at.replace(microsecond=0)
