"""Makes what payroll needs: the totals of each person and month, and days, in the user's language.

Hours are decimal numbers. Planned are, of the group of a person that plans the most, a fifth of the
week's hours for each day from Monday to Friday that is no holiday, up to the person's last day.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from gated.attendance import attendance_store
from gated.attendance.attendance_store import Plan
from gated.attendance.reports import (
    EVERYBODY,
    PEOPLE_AT_A_TIME,
    PeopleFilter,
    Period,
    PersonDay,
    Reports,
    offset_of,
)
from gated.core.attendance import WORKING_DAYS, is_working_day
from gated.core.clock import CLOCK_UNSET
from gated.database.records import Person
from gated.errors import SourceError
from gated.http.spreadsheet import Row
from gated.ports import Clock
from gated.workspace import Workspace

MONTH_COLUMNS = (
    "month", "personnel_code", "last_name", "first_name", "department", "group", "worked",
    "planned", "balance", "breaks", "days", "visits", "open_visits", "corrections", "flags",
)  # fmt: skip
DAY_COLUMNS = (
    "date", "personnel_code", "last_name", "first_name", "department", "first_in",
    "first_in_offset", "last_out", "last_out_offset", "worked", "breaks", "visits", "open_visits",
    "corrections", "flags",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MonthTotals:
    """The sums of one person and month; all are zero for who never passed.

    month: its first day. planned: None where no group plans anything. corrections: passages that
    somebody put down, changed or voided.
    """

    person: Person
    month: date
    days: int
    visits: int
    open_visits: int
    inside: timedelta
    away: timedelta
    corrections: int
    clock_unset: bool
    group: str | None
    planned: timedelta | None

    @property
    def balance(self) -> timedelta | None:
        """Hours worked beyond those planned."""
        return None if self.planned is None else self.inside - self.planned


class Payroll:
    """The tables for payroll of a workspace."""

    def __init__(self, workspace: Workspace, clock: Clock | None = None) -> None:
        self._workspace = workspace
        self._reports = Reports(workspace, clock)

    def period(self, first: str | None, last: str | None) -> Period:
        """Return the days of whole months, such as 2026-10; by default of the last that is over.

        Raises: SourceError.
        """
        today = self._reports.period(None, None).last
        begin = _month(first) if first else _before(today.replace(day=1))
        end = _month(last) if last else begin
        return self._reports.period(begin, end.replace(day=monthrange(end.year, end.month)[1]))

    def months(
        self, period: Period, people: PeopleFilter = EVERYBODY, after: int = 0
    ) -> Iterator[list[MonthTotals]]:
        """Totals by person and month of who is active or passed, but visitors, some at a time."""
        # the local day may be shifted against UTC's
        begin = datetime.combine(period.first, time(), UTC) - timedelta(days=1)
        end = datetime.combine(period.last, time(), UTC) + timedelta(days=2)
        while True:
            with self._workspace.database.read() as session:
                some = attendance_store.on_payroll(
                    session, begin, end, person_id=people.person_id,
                    department=people.department, after=after, limit=PEOPLE_AT_A_TIME,
                )  # fmt: skip
                ids = [p.id for p in some]
                read = self._reports.read(session, ids, period)
                plans = attendance_store.plans(session, ids)
                off = self._reports.holidays(session, period)
            yield [
                totals
                for person in some
                for totals in _totals(
                    period,
                    self._reports.days_of(read, person, period),
                    self._reports.corrections_of(read, person),
                    person,
                    (plans.get(person.id), off),
                )
            ]
            if len(some) < PEOPLE_AT_A_TIME:
                return
            after = some[-1].id

    def page(
        self, period: Period, people: PeopleFilter, *, limit: int, after: int = 0
    ) -> tuple[list[MonthTotals], int | None]:
        """Totals of so many people behind an id, and the last one's id where more may follow."""
        found: list[MonthTotals] = []
        seen: set[int] = set()
        for some in self.months(period, people, after):
            for totals in some:
                if totals.person.id not in seen and len(seen) == limit:
                    return found, found[-1].person.id
                seen.add(totals.person.id)
                found.append(totals)
        return found, None

    def month_table(self, period: Period, people: PeopleFilter = EVERYBODY) -> Iterator[Row]:
        """The same as rows under MONTH_COLUMNS, hours as numbers."""
        for some in self.months(period, people):
            for t in some:
                p = t.person
                yield (
                    f"{t.month:%Y-%m}", p.personnel_code, p.last_name, p.first_name, p.department,
                    t.group, hours(t.inside), hours(t.planned), hours(t.balance), hours(t.away),
                    t.days, t.visits, t.open_visits, t.corrections,
                    CLOCK_UNSET if t.clock_unset else None,
                )  # fmt: skip

    def day_table(self, period: Period, people: PeopleFilter = EVERYBODY) -> Iterator[Row]:
        """Days as rows under DAY_COLUMNS, hours as numbers."""
        for some in self._reports.days(period, people):
            for found in some:
                p, day = found.person, found.day
                yield (
                    day.date, p.personnel_code, p.last_name, p.first_name, p.department,
                    _second(day.first_in), offset_of(day.first_in), _second(day.last_out),
                    offset_of(day.last_out), hours(day.inside), hours(day.away), len(day.visits),
                    day.open_visits, found.corrections, CLOCK_UNSET if day.clock_unset else None,
                )  # fmt: skip


def _totals(
    period: Period,
    days: Sequence[PersonDay],
    corrections: dict[date, int],
    person: Person,
    plan: tuple[Plan | None, set[date]],
) -> Iterator[MonthTotals]:
    month = period.first.replace(day=1)
    while month <= period.last:
        following = _following(month)
        part = Period(max(month, period.first), min(following - timedelta(days=1), period.last))
        theirs = [d.day for d in days if part.first <= d.day.date <= part.last]
        changed = sum(n for day, n in corrections.items() if part.first <= day <= part.last)
        yield MonthTotals(
            person,
            month,
            len(theirs),
            sum(len(d.visits) for d in theirs),
            sum(d.open_visits for d in theirs),
            sum((d.inside for d in theirs), timedelta(0)),
            sum((d.away for d in theirs), timedelta(0)),
            changed,
            any(d.clock_unset for d in theirs),
            plan[0][0] if plan[0] else None,
            _planned(part, plan, person.leaves_on),
        )
        month = following


def _planned(
    part: Period, plan: tuple[Plan | None, set[date]], leaves_on: date | None
) -> timedelta | None:
    """Return the hours that are planned for the working days of a period."""
    week, off = plan
    if week is None:
        return None
    last = part.last if leaves_on is None else min(part.last, leaves_on)
    count = (last - part.first).days + 1
    all_days = (part.first + timedelta(days=n) for n in range(max(0, count)))
    working = sum(is_working_day(day, off) for day in all_days)
    return timedelta(hours=week[1]) / WORKING_DAYS * working


def hours(span: timedelta | None) -> float | None:
    """Return a duration as hours, to the hundredth."""
    return None if span is None else round(span.total_seconds() / 3600, 2)


def _second(at: datetime | None) -> datetime | None:
    return at and at.replace(microsecond=0)


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise SourceError(f"{text!r} is no month such as 2026-10") from None


def _before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def _following(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)
