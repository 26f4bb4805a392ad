"""What follows from the attendance log: days of people, and tables to hand out.

Days are derived from effective granted rows in the time zone of the site. Everything comes in small
parts, each read in a transaction of its own: memory does not grow with the log, and a slow reader
holds nobody up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gated.config import AttendanceSettings
from gated.core.attendance import Day, DayRules, derive
from gated.devices.clock import SystemClock
from gated.errors import SourceError
from gated.ports import Clock
from gated.services.attendance import Attendance
from gated.services.spreadsheet import Row
from gated.services.workspace import Workspace
from gated.storage import attendance
from gated.storage.journal import Entry
from gated.storage.records import Person

PEOPLE_AT_A_TIME = 20
ROWS_AT_FIRST = 100
"""A table begins with few rows, so that whoever waits for it sees it begin."""
ROWS_AT_A_TIME = 1000
LONGEST_PERIOD_DAYS = 400

DAY_HEADER = (
    "date", "personnel_code", "last_name", "first_name", "department", "first_in", "last_out",
    "inside", "breaks", "visits", "open_visits",
)  # fmt: skip
LOG_HEADER = (
    "id", "local_time", "created_at", "personnel_code", "last_name", "first_name", "department",
    "direction", "gate_name", "camera_name", "status", "reason", "method", "confidence_score",
    "person_id", "site", "superseded_by",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PersonDay:
    """One day of one person."""

    person: Person
    day: Day


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """Whose days are meant; None leaves a side open."""

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
        self._attendance = Attendance(workspace)
        self._clock = clock or SystemClock()
        self._rules = day_rules(workspace.settings.attendance)
        self.zone = ZoneInfo(workspace.settings.gate.timezone)

    def period(self, first: date | None, last: date | None) -> Period:
        """The days that are meant: up to today, from the first of the month; SourceError."""
        today = datetime.fromtimestamp(self._clock.now().utc, self.zone).date()
        last = last or max(today, first or today)
        first = first or last.replace(day=1)
        if first > last:
            raise SourceError("the period is empty: `from` is after `to`")
        if (last - first).days >= LONGEST_PERIOD_DAYS:
            raise SourceError(f"the period is longer than {LONGEST_PERIOD_DAYS} days: ask in parts")
        if not date(2000, 1, 1) <= first <= last <= date(9000, 1, 1):
            raise SourceError("the period lies outside of all time that is kept")
        return Period(first, last)

    def days(self, period: Period, people: PeopleFilter = EVERYBODY) -> Iterator[list[PersonDay]]:
        """Days on which somebody came or went, by person and date, some people at a time."""
        begin, end = self._reach(period)
        after = 0
        while True:
            with self._database.read() as session:
                some = attendance.who_punched(
                    session, begin, end, person_id=people.person_id, department=people.department,
                    after=after, limit=PEOPLE_AT_A_TIME,
                )  # fmt: skip
                punches = attendance.punches(session, [p.id for p in some], begin, end)
            now = datetime.fromtimestamp(self._clock.now().utc, UTC)
            yield [
                PersonDay(person, day)
                for person in some
                for day in derive(punches[person.id], self.zone, self._rules, now)
                if period.first <= day.date <= period.last
            ]
            if len(some) < PEOPLE_AT_A_TIME:
                return
            after = some[-1].id

    def day_table(self, period: Period, people: PeopleFilter = EVERYBODY) -> Iterator[Row]:
        """The same as rows under DAY_HEADER; times are those of the site."""
        for some in self.days(period, people):
            for found in some:
                person, day = found.person, found.day
                yield (
                    day.date, person.personnel_code, person.last_name, person.first_name,
                    person.department, self._local(day.first_in), self._local(day.last_out),
                    day.inside, day.away, len(day.visits), day.open_visits,
                )  # fmt: skip

    def log_table(self, **filters: Any) -> Iterator[Row]:
        """Rows of the attendance log under LOG_HEADER, newest first; the filters are the list's."""
        cursor, limit = None, ROWS_AT_FIRST
        while True:
            page = self._attendance.page(limit=limit, cursor=cursor, **filters)
            limit = ROWS_AT_A_TIME
            with self._database.read() as session:
                people = attendance.names(session, {r.person_id for r in page.rows if r.person_id})
            for row in page.rows:
                who = None if row.person_id is None else people.get(row.person_id)
                yield (
                    row.id, self._local(row.created_at), row.created_at.isoformat(),
                    *((who.personnel_code, who.last_name, who.first_name, who.department)
                      if who else (None, None, None, None)),
                    row.direction, row.gate_name, row.camera_name, row.status, row.reason,
                    row.method, row.confidence_score, row.person_id, row.site, row.superseded_by,
                )  # fmt: skip
            if (cursor := page.cursor) is None:
                return

    def note_export(self, table: str, asked: Mapping[str, Any], *, actor: str) -> None:
        """Tell the journal who takes a table out of the house, and of what; StorageError."""
        filters = {
            name.rstrip("_"): value.isoformat() if isinstance(value, datetime) else value
            for name, value in asked.items()
            if value is not None and value is not False
        }
        actor_told = {"name": actor, "filters": filters}
        entry = Entry(self._clock.now(), "exported", {"table": table}, {"actor": actor_told})
        self._workspace.journal.append([entry])

    def _local(self, at: datetime | None) -> datetime | None:
        """The clock of the site, as spreadsheets know it: without a zone, to the second."""
        return at and at.astimezone(self.zone).replace(tzinfo=None, microsecond=0)

    def _reach(self, period: Period) -> tuple[datetime, datetime]:
        """Punches that can have a part in the visits of these days, in UTC."""
        margin = self._rules.longest + self._rules.double
        # a day more than needed, as the local day may be shifted against UTC's
        begin = datetime.combine(period.first, time(), UTC) - margin - timedelta(days=1)
        end = datetime.combine(period.last, time(), UTC) + margin + timedelta(days=3)
        return begin, end
