"""Days that want mending are found among many without deriving everybody's."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from gated.access import site_store
from gated.access.rules import Access
from gated.attendance import attendance_store
from gated.attendance.reports import EVERYBODY, PeopleFilter, Period, PersonDay, Reports
from gated.config import AttendanceSettings, GateSettings, Settings, StorageSettings
from gated.core.values import PersonRef
from gated.journal.kind_index import newest_of_kind
from gated.people.groups import Groups
from gated.workspace import Workspace
from tests.attendance.test_million import PASSAGES, PERSONS
from tests.attendance.test_reports import clock_at, hire, passes
from tests.changes import done_by
from tests.fixtures.server import Running
from tests.steps import statements_of, steps_of
from tests.workspaces import open_workspace

WEEK = Period(date(2026, 3, 2), date(2026, 3, 8))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        storage=StorageSettings(state_dir=tmp_path),
        gate=GateSettings(timezone="Europe/Berlin"),
        attendance=AttendanceSettings(double_punch_s=90),
    )


def late_group(workspace: Workspace, name: str, after: str | None) -> int:
    group = done_by("olga", Groups.of(workspace).add, name, None, late_after=after)
    return group.id


def join(workspace: Workspace, group: int, who: PersonRef) -> None:
    done_by("olga", Groups.of(workspace).join, group, who.id)


def all_of(
    reports: Reports, people: PeopleFilter = EVERYBODY, limit: int = 7
) -> list[tuple[str, str]]:
    found: list[PersonDay] = []
    cursor = None
    for _ in range(1000):
        some, cursor = reports.exceptions(WEEK, people, limit=limit, cursor=cursor)
        assert len(some) <= limit
        found += some
        if cursor is None:
            return [(f.day.date.isoformat(), f.person.personnel_code) for f in found]
    raise AssertionError("the pages do not end")


def derived(reports: Reports) -> set[tuple[str, str]]:
    return {
        (f.day.date.isoformat(), f.person.personnel_code)
        for part in reports.days(WEEK)
        for f in part
        if f.day.open_visits or f.day.clock_unset or f.late
    }


@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_of_all_days_derived(workspace: Workspace, seed: int) -> None:
    """By day and night, with breaks, doubles and what was forgotten."""
    chance = random.Random(seed)
    early, late = (late_group(workspace, name, at) for name, at in (("A", "08:00"), ("B", "08:30")))
    for n in range(12):
        who, night = hire(workspace, f"p{n:02}"), n % 3 == 0
        for one in (early, late)[: n % 4]:
            join(workspace, one, who)
        for day in range(2, 9):
            at = datetime(2026, 3, day, 22 if night else 8, chance.randrange(60))  # noqa: DTZ001
            for way in ("entry", "exit") * chance.randrange(3):
                if chance.random() < 0.9:
                    passes(workspace, who, at.isoformat(), way)
                if chance.random() < 0.1:
                    passes(workspace, who, (at + timedelta(seconds=40)).isoformat(), way)
                at += timedelta(hours=chance.choice((1, 4, 9)))
    reports = Reports(workspace, clock_at("2026-03-09T20:00"))
    found = all_of(reports)
    assert len(found) == len(set(found))
    assert set(found) == derived(reports)
    assert len(found) > 5
    assert any(f.late for part in reports.days(WEEK) for f in part)
    assert [d for d, _ in found] == sorted((d for d, _ in found), reverse=True)
    only = PeopleFilter(person_id=1)
    assert all_of(reports, only) == [(d, c) for d, c in found if c == "p00"]


@pytest.mark.parametrize(
    ("entered", "by"),
    [
        (["2026-03-02T08:15:00"], None),
        (["2026-03-02T08:15:01"], timedelta(seconds=1)),
        (["2026-03-02T09:45"], timedelta(minutes=90)),
        (["2026-03-02T07:00", "2026-03-02T10:00"], None),
        (["2026-03-03T10:00"], None),  # a holiday
        (["2026-03-07T10:00"], None),  # a Saturday
    ],
)
def test_who_comes_after_the_time_of_their_group_is_late_on_working_days(
    workspace: Workspace, entered: list[str], by: timedelta | None
) -> None:
    """Of several groups the one that allows the most counts."""
    who = hire(workspace, "p1")
    for name, after in (("Early", "07:30"), ("Office", "08:15"), ("No time", None)):
        join(workspace, late_group(workspace, name, after), who)
    join(workspace, late_group(workspace, "Others", "12:00"), hire(workspace, "p2"))
    done_by("olga", Access.of(workspace).set_holiday, date(2026, 3, 3), "A Tuesday")
    for at in entered:
        passes(workspace, who, at, "entry")
        passes(workspace, who, f"{at[:11]}{int(at[11:13]) + 1:02}:00", "exit")
    reports = Reports(workspace, clock_at("2026-03-09T20:00"))
    assert [f.late for part in reports.days(WEEK) for f in part] == [by]
    assert len(all_of(reports)) == (by is not None)


def test_who_came_on_the_evening_before_elsewhere_is_late_in_the_morning(
    workspace: Workspace,
) -> None:
    """Where it is still the day before, an evening lies after the midnight of this machine."""
    who = hire(workspace, "p1")
    join(workspace, late_group(workspace, "Office", "08:15"), who)
    with workspace.database.write() as session:
        site_store.set_timezone(session, "works", "America/New_York")
    # by the clock in Berlin, which is six hours ahead
    for at, way in (("03T01:00", "entry"), ("03T03:00", "exit"), ("03T16:00", "entry")):
        passes(workspace, who, f"2026-03-{at}", way, timezone="America/New_York")
    passes(workspace, who, "2026-03-03T20:00", "exit", timezone="America/New_York")
    reports = Reports(workspace, clock_at("2026-03-09T20:00"))
    days = [(f.day.date.day, f.late) for part in reports.days(WEEK) for f in part]
    assert days == [(2, timedelta(hours=10, minutes=45)), (3, timedelta(hours=1, minutes=45))]
    assert all_of(reports) == [("2026-03-03", "p1"), ("2026-03-02", "p1")]
    assert reports.arrivals(date(2026, 3, 2)) == {19: 1}
    assert reports.arrivals(date(2026, 3, 3)) == {10: 1}


def test_passages_of_a_zone_that_was_removed_are_found_on_the_day_of_their_rows(
    workspace: Workspace,
) -> None:
    late, open_ = hire(workspace, "late"), hire(workspace, "open")
    join(workspace, late_group(workspace, "Office", "08:15"), late)
    # ten in the morning of the next day in Auckland
    for who in (late, open_):
        passes(workspace, who, "2026-03-02T22:00", "entry", timezone="Pacific/Auckland")
    passes(workspace, late, "2026-03-02T22:30", "exit", timezone="Pacific/Auckland")
    reports = Reports(workspace, clock_at("2026-03-09T20:00"))
    day = Period(date(2026, 3, 3), date(2026, 3, 3))
    found, _ = reports.exceptions(day, EVERYBODY, limit=9, cursor=None)
    assert [f.person.personnel_code for f in found] == ["late", "open"]
    some, cursor = reports.exceptions(day, EVERYBODY, limit=1, cursor=None)
    rest, _ = reports.exceptions(day, EVERYBODY, limit=1, cursor=cursor)
    assert [*some, *rest] == found
    before = Period(date(2026, 3, 2), date(2026, 3, 2))
    assert reports.exceptions(before, EVERYBODY, limit=9, cursor=None) == ([], None)


def test_late_arrivals_of_a_department_are_found_however_it_is_spelt(workspace: Workspace) -> None:
    for code, department in (("p1", "Works"), ("p2", "Office")):
        who = hire(workspace, code, department)
        join(workspace, late_group(workspace, f"G {code}", "08:15"), who)
        passes(workspace, who, "2026-03-02T10:00", "entry")
        passes(workspace, who, "2026-03-02T17:00", "exit")
    reports = Reports(workspace, clock_at("2026-03-09T20:00"))
    assert all_of(reports, PeopleFilter(department="works")) == [("2026-03-02", "p1")]


def test_nobody_is_late_whose_first_entry_is_not_known(workspace: Workspace) -> None:
    who = hire(workspace, "p1")
    join(workspace, late_group(workspace, "Office", "08:15"), who)
    passes(workspace, who, "2026-03-02T09:00", "exit")
    passes(workspace, who, "2026-03-02T10:00", "entry")
    passes(workspace, who, "2026-03-02T17:00", "exit")
    reports = Reports(workspace, clock_at("2026-03-09T20:00"))
    assert [f.late for part in reports.days(WEEK) for f in part] == [None]


def test_who_is_still_here_is_no_exception_yet(workspace: Workspace) -> None:
    ann, ben = hire(workspace, "ann"), hire(workspace, "ben")
    passes(workspace, ann, "2026-03-06T08:00", "entry")
    passes(workspace, ben, "2026-03-05T08:00", "entry")
    assert all_of(Reports(workspace, clock_at("2026-03-06T12:00"))) == [("2026-03-05", "ben")]


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-10-26"])
def test_who_comes_when_a_day_begins_is_seen_also_where_the_clocks_change(
    tmp_path: Path, day: str
) -> None:
    """A day that begins at half past four does so by the clock on the wall."""
    settings = Settings(
        storage=StorageSettings(state_dir=tmp_path),
        gate=GateSettings(timezone="Europe/Berlin"),
        attendance=AttendanceSettings(day_start_h=4.5),
    )
    workspace = open_workspace(settings)
    try:
        passes(workspace, hire(workspace, "ann"), f"{day}T04:30", "entry")
        passes(workspace, hire(workspace, "ben"), f"{day}T04:29", "entry")
        reports = Reports(workspace, clock_at("2026-11-09T20:00"))
        only = date.fromisoformat(day)
        some, _ = reports.exceptions(Period(only, only), EVERYBODY, limit=9, cursor=None)
        assert [found.person.personnel_code for found in some] == ["ann"]
        assert reports.arrivals(only) == {4: 1}
    finally:
        workspace.close()


def test_a_department_is_meant_in_any_case(workspace: Workspace) -> None:
    ann = hire(workspace, "ann", "Mill")
    passes(workspace, ann, "2026-03-05T08:00", "entry")
    reports = Reports(workspace, clock_at("2026-03-09T12:00"))
    assert all_of(reports, PeopleFilter(department="MILL")) == [("2026-03-05", "ann")]
    assert all_of(reports, PeopleFilter(department="Kiln")) == []


def test_arrivals_are_the_first_of_each_by_the_clock_of_the_gate(workspace: Workspace) -> None:
    ann, ben = hire(workspace, "ann"), hire(workspace, "ben")
    for who, local, way in (
        (ann, "2026-03-02T00:30", "entry"),  # still Sunday in UTC
        (ann, "2026-03-02T04:30", "exit"),
        (ann, "2026-03-02T08:10", "entry"),
        (ben, "2026-03-02T08:20", "entry"),
        (ben, "2026-03-03T07:20", "entry"),
    ):
        passes(workspace, who, local, way)
    reports = Reports(workspace, clock_at("2026-03-04T12:00"))
    assert reports.arrivals(date(2026, 3, 2)) == {0: 1, 8: 1}
    assert reports.arrivals(date(2026, 3, 3)) == {7: 1}
    assert reports.arrivals(date(2026, 3, 4)) == {}


def fill(workspace: Workspace, people: int, rows: int, last: datetime) -> None:
    """A row a minute up to a time, of everybody in turn, in the place of what there is."""
    values = {"now": "2026-01-01 00:00:00.000000", "people": people, "rows": rows}
    begin = int(last.timestamp()) - rows * 60
    with workspace.database.write() as session:
        if session.execute(sa.text("DELETE FROM attendance_logs RETURNING id")).first() is None:
            session.execute(sa.text(PERSONS), values)
        session.execute(sa.text(PASSAGES), {**values, "first": begin})


def last_passages(workspace: Workspace, since: datetime) -> None:
    with workspace.database.read() as session:
        attendance_store.last_rows(session, since, own=True, until={"g/1": 1 << 40})


@pytest.mark.parametrize("what", ["exceptions", "arrivals", "a day", "who is inside"])
def test_what_was_long_ago_is_not_read(workspace: Workspace, what: str) -> None:
    """The same with a log of three days and one of thirty, on which every planner is tempted."""
    noon = datetime(2026, 3, 8, 11, tzinfo=UTC)
    reports = Reports(workspace, clock_at("2026-03-08T12:00"))
    last = Period(WEEK.last, WEEK.last)
    runs = {
        "exceptions": lambda: reports.exceptions(last, EVERYBODY, limit=50, cursor=None),
        "arrivals": lambda: reports.arrivals(WEEK.last),
        "a day": lambda: reports.page(last, EVERYBODY, by="day", limit=50, cursor=None),
        "who is inside": lambda: last_passages(workspace, noon - timedelta(hours=16)),
    }
    fill(workspace, 400, 3 * 1440, noon)
    few = steps_of(workspace.database, runs[what])
    fill(workspace, 400, 30 * 1440, noon)
    many = steps_of(workspace.database, runs[what])
    assert few > 0
    assert many < 2 * few, f"{few} steps, and {many} with ten times as much of the past"


# in at eight and out at four, a second after the one before
PAIRS = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2 * :people - 1)
INSERT INTO attendance_logs (uid, person_id, gate_name, direction, confidence_score, camera_name,
    status, created_at, reason, method, site, frames, flags, chain, seq, recorded_at)
SELECT 'u' || i, 1 + i / 2, 'g', CASE WHEN i % 2 THEN 'exit' ELSE 'entry' END, 0.9, 'c', 'granted',
    strftime('%Y-%m-%d %H:%M:%f000', :first + i / 2 + i % 2 * 28800, 'unixepoch'), 'granted',
    'face', 'works', 3, '[]', 'g/1', i, :now FROM n
"""


def test_who_came_and_went_once_is_passed_over_by_sums(workspace: Workspace) -> None:
    """Nearly everybody, on every day: it costs hardly more than to count who came when."""
    people, day = 2000, WEEK.first
    first = int(datetime(2026, 3, 2, 7, tzinfo=UTC).timestamp())
    values = {"now": "2026-01-01 00:00:00.000000", "people": people, "first": first}
    with workspace.database.write() as session:
        session.execute(sa.text(PERSONS), values)
        session.execute(sa.text(PAIRS), values)
        # one has gone home without a trace
        session.execute(sa.text("DELETE FROM attendance_logs WHERE uid = 'u41'"))
    reports = Reports(workspace, clock_at("2026-03-08T12:00"))
    odd: list[PersonDay] = []

    def look() -> None:
        odd[:], _ = reports.exceptions(Period(day, day), EVERYBODY, limit=50, cursor=None)

    counted = steps_of(workspace.database, lambda: reports.arrivals(day))
    looked = steps_of(workspace.database, look)
    assert [found.person.personnel_code for found in odd] == ["C21"]
    assert looked < 3 * counted, f"{looked} steps, and {counted} to count"


@pytest.mark.parametrize("hours", [15, 17])
def test_a_pair_that_is_too_long_is_found_wherever_it_lies(
    workspace: Workspace, hours: int
) -> None:
    longest = 16
    assert workspace.settings.attendance.auto_reset_h == longest
    for n, begins in enumerate(("00:30", "04:30", "07:30", "20:00")):
        who, came = hire(workspace, f"w{n}"), datetime.fromisoformat(f"2026-03-02T{begins}")
        passes(workspace, who, came.isoformat(), "entry")
        passes(workspace, who, (came + timedelta(hours=hours)).isoformat(), "exit")
    reports = Reports(workspace, clock_at("2026-03-09T20:00"))
    found = all_of(reports)
    assert set(found) == derived(reports)
    assert (len(found) > 0) == (hours > longest)


def test_a_kind_of_which_there_is_no_row_is_not_looked_for_in_all_others(
    workspace: Workspace,
) -> None:
    row = (
        "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last) "
        "INSERT INTO journal (chain, seq, at_utc, boot_id, mono_ns, clock_ok, kind, body, commits,"
        " prev, hash) SELECT 'g/1', i, i, '', 0, 1, 'decision', '{}', '{}', '', '' FROM n"
    )
    taken = []
    for first, last in ((1, 500), (501, 20_000)):
        with workspace.database.write() as session:
            session.execute(sa.text(row), {"first": first, "last": last})

        def look() -> None:
            with workspace.database.read() as session:
                assert newest_of_kind(session, "g/1", "door_mode") is None
                assert newest_of_kind(session, "g/1", "decision", before=400) == (399, "{}")

        taken.append(steps_of(workspace.database, look))
    assert taken[1] <= taken[0] + 200, f"steps with 500 rows and with 20,000: {taken}"


def test_a_page_asks_the_database_a_few_times(workspace: Workspace) -> None:
    """Not once more for each score of people."""
    fill(workspace, 300, 1440, datetime(2026, 3, 8, 11, tzinfo=UTC))
    reports = Reports(workspace, clock_at("2026-03-08T12:00"))
    day = Period(WEEK.last, WEEK.last)
    page: list[PersonDay] = []

    def look() -> None:
        page[:], _ = reports.page(day, EVERYBODY, by="day", limit=200, cursor=None)

    asked = statements_of(workspace.database, look)
    assert len(page) == 200
    assert len(asked) < 30


def test_they_are_told_over_the_api(server: Running) -> None:
    with server.client("viewer") as viewer:
        for path in ("exceptions?from=2026-03-02&to=2026-03-04", "arrivals?day=2026-03-02"):
            answer = viewer.get(f"/api/attendance/{path}")
            assert (answer.status_code, answer.json()) == (200, [])
        assert viewer.get("/api/attendance/exceptions?cursor=x").status_code == 422
        for day in ("soon", "9999-12-31", "0001-01-01"):
            assert viewer.get(f"/api/attendance/arrivals?day={day}").status_code == 422
    asked = httpx.get(f"{server.address}/api/attendance/exceptions", trust_env=False)
    assert asked.status_code == 401
