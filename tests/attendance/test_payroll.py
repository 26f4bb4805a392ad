"""What a bookkeeper gets: months of people, planned hours, corrections, in the sheet's language."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from gated.access.rules import Access
from gated.attendance.attendance import Attendance, Correction
from gated.attendance.headings import HEADINGS, LANGUAGES, headings
from gated.attendance.payroll import DAY_COLUMNS, MONTH_COLUMNS, MonthTotals, Payroll
from gated.attendance.reports import EVERYBODY, PeopleFilter, Period
from gated.config import AttendanceSettings, GateSettings, Settings, StorageSettings
from gated.core.values import Direction
from gated.errors import SourceError
from gated.http.spreadsheet import csv_bytes, xlsx_bytes
from gated.people.groups import Groups
from gated.people.people import People
from gated.workspace import Workspace
from tests.attendance.test_reports import MARCH, clock_at, hire, passes
from tests.changes import done_by


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        storage=StorageSettings(state_dir=tmp_path),
        gate=GateSettings(timezone="Europe/Berlin"),
        attendance=AttendanceSettings(double_punch_s=90),
    )


def months(
    workspace: Workspace, period: Period = MARCH, people: PeopleFilter = EVERYBODY
) -> list[MonthTotals]:
    payroll = Payroll(workspace, clock_at("2026-04-15T12:00"))
    return [totals for some in payroll.months(period, people) for totals in some]


def member(workspace: Workspace, person_id: int, name: str, planned: float | None) -> None:
    group = done_by("olga", Groups.of(workspace).add, name, None, planned)
    done_by("olga", Groups.of(workspace).join, group.id, person_id)


def hours(totals: MonthTotals) -> list[float | None]:
    spans = (totals.inside, totals.away, totals.planned, totals.balance)
    return [None if s is None else s.total_seconds() / 3600 for s in spans]


def test_hours_breaks_and_plan_of_a_month(workspace: Workspace) -> None:
    ann = hire(workspace, "ann")
    member(workspace, ann.id, "Office", 38.5)
    for way, at in (("entry", "08:00"), ("exit", "12:00"), ("entry", "12:30"), ("exit", "17:00")):
        passes(workspace, ann, f"2026-03-02T{at}", way)
    passes(workspace, ann, "2026-03-03T08:00", "entry")  # and no exit
    (march,) = months(workspace)
    assert hours(march) == [8.5, 0.5, pytest.approx(169.4), pytest.approx(-160.9)]
    assert (march.days, march.visits, march.open_visits, march.group) == (2, 3, 1, "Office")
    assert march.corrections == 0


def test_who_never_came_is_there_and_a_visitor_is_not(workspace: Workspace) -> None:
    ann, eva = hire(workspace, "ann"), hire(workspace, "eva")
    gone = hire(workspace, "gone")
    done_by("olga", Access.of(workspace).set_of_person, eva.id, {"visitor": True})
    done_by("olga", People.of(workspace).set_active, gone.id, False)
    assert [(t.person.personnel_code, t.days) for t in months(workspace)] == [("ann", 0)]
    assert hours(months(workspace)[0]) == [0.0, 0.0, None, None]
    passes(workspace, gone, "2026-03-05T08:00", "entry")
    passes(workspace, gone, "2026-03-05T09:00", "exit")
    passes(workspace, eva, "2026-03-05T09:00", "entry")
    assert [t.person.personnel_code for t in months(workspace)] == ["ann", "gone"]
    assert ann.id


def test_holidays_and_the_last_day_lower_the_plan(workspace: Workspace) -> None:
    ann = hire(workspace, "ann")
    member(workspace, ann.id, "Few", 10.0)
    member(workspace, ann.id, "Most", 40.0)
    member(workspace, ann.id, "Nothing", None)
    done_by("olga", Access.of(workspace).set_holiday, date(2026, 3, 4), "A Wednesday")
    done_by("olga", Access.of(workspace).set_holiday, date(2026, 3, 7), "A Saturday")
    assert hours(months(workspace)[0])[2] == 21 * 8.0
    fields = {"leaves_on": date(2026, 3, 6)}
    done_by("olga", People(workspace, clock_at("2026-03-01T12:00")).update, ann.id, fields)
    assert hours(months(workspace)[0])[2] == 4 * 8.0


def test_corrections_are_marked_whatever_became_of_the_passage(workspace: Workspace) -> None:
    ann = hire(workspace, "ann")
    log = Attendance(workspace, clock_at("2026-04-01T12:00"))
    when = datetime(2026, 3, 2, 7, tzinfo=UTC)
    entry = done_by("olga", log.punch, ann.id, Direction.ENTRY, when, cause="forgot")
    leaving = datetime(2026, 3, 2, 15, tzinfo=UTC)
    done_by("olga", log.punch, ann.id, Direction.EXIT, leaving, cause="forgot")
    assert (months(workspace)[0].corrections, hours(months(workspace)[0])[0]) == (2, 8.0)
    later = Correction(passed_at=datetime(2026, 3, 2, 8, tzinfo=UTC))
    row = done_by("olga", log.correct, entry.id, later, cause="was later")
    assert (months(workspace)[0].corrections, hours(months(workspace)[0])[0]) == (2, 7.0)
    done_by("olga", log.correct, row.id, Correction(status="void"), cause="was nobody")
    assert (months(workspace)[0].corrections, months(workspace)[0].open_visits) == (2, 1)


def test_a_night_belongs_to_the_month_in_which_it_began(workspace: Workspace) -> None:
    ann = hire(workspace, "ann")
    passes(workspace, ann, "2026-03-31T22:00", "entry")
    passes(workspace, ann, "2026-04-01T06:00", "exit")
    both = months(workspace, Period(date(2026, 3, 1), date(2026, 4, 30)))
    assert [(t.month.month, hours(t)[0]) for t in both] == [(3, 8.0), (4, 0.0)]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ((None, None), date(2026, 3, 1), date(2026, 3, 31)),
        (("2026-02", None), date(2026, 2, 1), date(2026, 2, 28)),
        (("2025-12", "2026-01"), date(2025, 12, 1), date(2026, 1, 31)),
    ],
)
def test_the_last_month_that_is_over_is_meant(
    workspace: Workspace, asked: tuple[str | None, str | None], first: date, last: date
) -> None:
    payroll = Payroll(workspace, clock_at("2026-04-01T00:30"))
    assert payroll.period(*asked) == Period(first, last)


@pytest.mark.parametrize(
    "asked",
    [
        ("2026-13", None),
        ("march", None),
        ("2026-03", "2026-01"),
        ("9999-12", None),
        ("9999-11", "9999-12"),
    ],
)
def test_what_is_no_month_is_refused(
    workspace: Workspace, asked: tuple[str | None, str | None]
) -> None:
    with pytest.raises(SourceError):
        Payroll(workspace, clock_at("2026-04-01T00:30")).period(*asked)


def test_pages_lose_nobody(workspace: Workspace) -> None:
    for n in range(45):
        hire(workspace, f"p{n:02}")
    payroll = Payroll(workspace, clock_at("2026-04-15T12:00"))
    period = Period(date(2026, 2, 1), date(2026, 3, 31))
    seen: list[tuple[str, int]] = []
    after: int | None = 0
    while after is not None:
        page, after = payroll.page(period, EVERYBODY, limit=7, after=after)
        seen += [(t.person.personnel_code, t.month.month) for t in page]
    assert seen == [(f"p{n:02}", month) for n in range(45) for month in (2, 3)]


def test_a_german_spreadsheet_reads_it_by_a_double_click(workspace: Workspace) -> None:
    ann = hire(workspace, "ann", "=1+1")
    member(workspace, ann.id, "Büro", 38.5)
    passes(workspace, ann, "2026-03-02T08:00", "entry")
    passes(workspace, ann, "2026-03-02T16:15", "exit")
    payroll = Payroll(workspace, clock_at("2026-04-15T12:00"))
    made = b"".join(
        csv_bytes(headings(MONTH_COLUMNS, "de"), payroll.month_table(MARCH), language="de")
    )
    assert made.startswith(b"\xef\xbb\xbfMonat;Personalnummer;")
    (row,) = csv.DictReader(io.StringIO(made.decode("utf-8-sig")), delimiter=";")
    assert (row["Ist (Std.)"], row["Soll (Std.)"], row["Saldo (Std.)"]) == (
        "8,25", "169,4", "-161,15",
    )  # fmt: skip
    assert row["Abteilung"] == "'=1+1"
    days = b"".join(csv_bytes(headings(DAY_COLUMNS, "de"), payroll.day_table(MARCH), language="de"))
    (day,) = csv.DictReader(io.StringIO(days.decode("utf-8-sig")), delimiter=";")
    assert day["Erstes Kommen (Ortszeit)"] == "2026-03-02 08:00:00"
    assert day["Zeitzone Kommen"] == "UTC+01:00"


def test_a_workbook_has_hours_as_numbers(workspace: Workspace) -> None:
    ann = hire(workspace, "ann")
    passes(workspace, ann, "2026-03-02T08:00", "entry")
    passes(workspace, ann, "2026-03-02T16:15", "exit")
    payroll = Payroll(workspace, clock_at("2026-04-15T12:00"))
    head = headings(MONTH_COLUMNS, "fr")
    made = b"".join(xlsx_bytes(head, payroll.month_table(MARCH), "months"))
    sheet = zipfile.ZipFile(io.BytesIO(made)).read("xl/worksheets/sheet1.xml")
    assert b"<c><v>8.25</v></c>" in sheet
    assert "Travaillé (h)".encode() in sheet


def test_every_language_has_every_heading_and_none_twice() -> None:
    for language in LANGUAGES:
        for columns in (MONTH_COLUMNS, DAY_COLUMNS):
            told = headings(columns, language)
            assert len(set(told)) == len(columns), language
    assert {len(texts) for texts in HEADINGS.values()} == {len(LANGUAGES)}
