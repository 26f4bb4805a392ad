"""Days and tables made of a real log."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gated.attendance import reports as module
from gated.attendance.reports import EVERYBODY, PeopleFilter, Period, Reports
from gated.config import AttendanceSettings, GateSettings, Settings, StorageSettings
from gated.core.messages import Decision
from gated.core.values import Direction, Instant, Outcome, PersonRef, Reason
from gated.devices.clock import ManualClock
from gated.errors import SourceError
from gated.journal.journal import decision_entry
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.steps import statements_of

BERLIN = ZoneInfo("Europe/Berlin")
MARCH = Period(date(2026, 3, 1), date(2026, 3, 31))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        storage=StorageSettings(state_dir=tmp_path),
        gate=GateSettings(timezone="Europe/Berlin"),
        attendance=AttendanceSettings(double_punch_s=90),
    )


def clock_at(local: str) -> ManualClock:
    at = datetime.fromisoformat(local).replace(tzinfo=BERLIN)
    return ManualClock(utc=at.timestamp())


def hire(workspace: Workspace, code: str, department: str | None = None) -> PersonRef:
    fields = {"personnel_code": code, "department": department}
    return done_by("test", People(workspace, ManualClock()).create, fields).ref


def passes(
    workspace: Workspace,
    who: PersonRef,
    local: str,
    direction: str,
    granted: bool = True,
    timezone: str | None = None,
) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=BERLIN)
    decision = Decision(
        at=Instant(1.0, at.timestamp()),
        outcome=Outcome.GRANTED if granted else Outcome.DENIED,
        reason=Reason.GRANTED if granted else Reason.COOLDOWN,
        person=who,
        direction=Direction(direction),
    )
    entry = decision_entry(decision, "north", "cam", "works")
    if timezone is not None:
        entry = replace(entry, body={"timezone": timezone, **entry.body})
    workspace.journal.append([entry])


def told(
    workspace: Workspace, period: Period = MARCH, people: PeopleFilter = EVERYBODY
) -> list[tuple[str, str, float]]:
    """(code, date, hours inside) of every day."""
    reports = Reports(workspace, clock_at("2026-04-01T12:00"))
    return [
        (f.person.personnel_code, f.day.date.isoformat(), f.day.inside / timedelta(hours=1))
        for part in reports.days(period, people)
        for f in part
    ]


def test_days_are_those_of_the_site(workspace: Workspace) -> None:
    ann = hire(workspace, "ann")
    passes(workspace, ann, "2026-03-02T00:30", "entry")  # still Sunday in UTC
    passes(workspace, ann, "2026-03-02T04:30", "exit")
    assert told(workspace) == [("ann", "2026-03-02", 4.0)]


def test_a_night_in_which_the_clocks_change(workspace: Workspace) -> None:
    ann = hire(workspace, "ann")
    passes(workspace, ann, "2026-03-28T22:00", "entry")
    passes(workspace, ann, "2026-03-29T06:00", "exit")
    assert told(workspace) == [("ann", "2026-03-28", 7.0)]


def test_a_day_at_a_gate_far_away_is_found_by_the_zone_of_its_rows(workspace: Workspace) -> None:
    """Also where no gate says any more that it stands in that zone."""
    ann = hire(workspace, "ann")
    passes(workspace, ann, "2026-03-02T21:00", "entry", timezone="Pacific/Auckland")
    passes(workspace, ann, "2026-03-02T22:00", "exit", timezone="Pacific/Auckland")
    day = Period(date(2026, 3, 3), date(2026, 3, 3))
    assert told(workspace, day) == [("ann", "2026-03-03", 1.0)]
    assert told(workspace, Period(date(2026, 3, 2), date(2026, 3, 2))) == []


def test_nobody_of_the_day_before_is_derived_for_a_month_that_has_just_begun(
    workspace: Workspace,
) -> None:
    for n in range(40):
        who = hire(workspace, f"p{n}")
        passes(workspace, who, "2026-03-31T08:00", "entry")
        passes(workspace, who, "2026-03-31T16:00", "exit")
    reports, april = Reports(workspace, clock_at("2026-04-01T02:00")), date(2026, 4, 1)
    pages = []

    def look() -> None:
        pages.append(
            reports.page(Period(april, april), EVERYBODY, by="person", limit=9, cursor=None)
        )

    asked = statements_of(workspace.database, look)
    assert pages == [([], None)]
    assert len([statement for statement in asked if "FROM attendance_logs" in statement]) == 1
    assert len(told(workspace)) == 40


def test_denials_are_no_punches_and_doubles_are_one(workspace: Workspace) -> None:
    ann = hire(workspace, "ann")
    passes(workspace, ann, "2026-03-02T08:00:00", "entry")
    passes(workspace, ann, "2026-03-02T08:01:20", "entry")
    passes(workspace, ann, "2026-03-02T10:00:00", "exit", granted=False)
    passes(workspace, ann, "2026-03-02T12:00:00", "exit")
    assert told(workspace) == [("ann", "2026-03-02", 4.0)]
    assert len(list(Reports(workspace).log_table())) == 4


def test_a_long_table_forgets_names_and_still_tells_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("NAMES_KEPT", 2), ("ROWS_AT_FIRST", 2), ("ROWS_AT_A_TIME", 2)):
        monkeypatch.setattr(module, name, value)
    people = [hire(workspace, f"p{n}", "mill") for n in range(5)]
    for n in range(11):
        passes(workspace, people[n % 5], f"2026-03-02T{8 + n:02}:00:01", "entry")
    table = [dict(zip(module.LOG_HEADER, r, strict=True)) for r in Reports(workspace).log_table()]
    assert [r["personnel_code"] for r in table] == [f"p{n % 5}" for n in reversed(range(11))]
    assert [str(r["local_time"])[11:16] for r in table] == [
        f"{8 + n:02}:00" for n in range(10, -1, -1)
    ]


def test_visits_over_the_edge_of_a_period_are_whole(workspace: Workspace) -> None:
    ann = hire(workspace, "ann")
    for night in ("2026-02-28", "2026-03-31"):
        begin = datetime.fromisoformat(night)
        passes(workspace, ann, f"{night}T22:00", "entry")
        passes(workspace, ann, f"{begin + timedelta(days=1):%Y-%m-%d}T06:00", "exit")
    assert told(workspace) == [("ann", "2026-03-31", 8.0)]
    february = Period(date(2026, 2, 1), date(2026, 2, 28))
    assert told(workspace, february) == [("ann", "2026-02-28", 8.0)]


def test_many_people_come_in_parts_and_each_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PEOPLE_AT_A_TIME", 2)
    for n in range(5):
        who = hire(workspace, f"p{n}", "mill" if n % 2 else "kiln")
        passes(workspace, who, "2026-03-02T08:00", "entry")
        passes(workspace, who, "2026-03-02T09:00", "exit")
    hire(workspace, "absent", "mill")
    assert [code for code, _, _ in told(workspace)] == ["p0", "p1", "p2", "p3", "p4"]
    mill = told(workspace, people=PeopleFilter(department="mill"))
    assert [code for code, _, _ in mill] == ["p1", "p3"]
    assert told(workspace, people=PeopleFilter(person_id=10**30)) == []


def test_a_period_that_is_not_told_is_this_month(workspace: Workspace) -> None:
    reports = Reports(workspace, clock_at("2026-03-31T23:30"))
    assert reports.period(None, None) == MARCH
    assert Reports(workspace, clock_at("2026-04-01T00:30")).period(None, None).first.month == 4
    assert reports.period(date(2026, 2, 5), None) == Period(date(2026, 2, 5), date(2026, 3, 31))
    assert reports.period(None, date(2026, 2, 5)) == Period(date(2026, 2, 1), date(2026, 2, 5))
    with pytest.raises(SourceError, match="longer"):
        reports.period(date(2020, 1, 1), None)


def test_the_log_names_people_and_the_clock_of_the_site(workspace: Workspace) -> None:
    ann = hire(workspace, "ann", "mill")
    passes(workspace, ann, "2026-07-01T08:00", "entry")
    passes(workspace, ann, "2026-07-01T12:00", "exit")
    table = Reports(workspace).log_table()
    found = [dict(zip(module.LOG_HEADER, r, strict=True)) for r in table]
    assert [(r["personnel_code"], r["department"], r["direction"]) for r in found] == [
        ("ann", "mill", "exit"),
        ("ann", "mill", "entry"),
    ]
    local = found[1]["local_time"]
    assert isinstance(local, datetime)
    assert local.isoformat() == "2026-07-01T08:00:00+02:00"
    assert (found[1]["timezone"], found[1]["utc_offset"]) == ("Europe/Berlin", "UTC+02:00")
    assert found[1]["created_at"] == datetime(2026, 7, 1, 6, tzinfo=UTC).isoformat()
    only = Reports(workspace).log_table(direction="exit")
    assert [r[0] for r in only] == [found[0]["id"]]
