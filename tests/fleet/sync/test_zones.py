"""A hub in Berlin and gates elsewhere: days, dates and schedules go by the clock at the gate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from gated.access.access_plan import load_plan
from gated.access.rules import Access, GroupRule
from gated.attendance.attendance import Attendance
from gated.attendance.reports import LOG_HEADER, Period, Reports
from gated.core.access import AccessRules, Request
from gated.core.attendance import Day
from gated.core.messages import Decision
from gated.core.values import Direction, Instant, Outcome, Reason
from gated.database.records import Person
from gated.database.tables import attendance_logs
from gated.devices.clock import ManualClock
from gated.fleet.gate import replica
from gated.fleet.gate.uplink import Uplink, status_of
from gated.journal.journal import decision_entry
from gated.link.status_board import StatusBoard
from gated.people.people import People
from gated.privacy.privacy import Privacy
from gated.workspace import Workspace
from tests.changes import done_by
from tests.fleet.sync.test_down import hire, pull_all
from tests.fleet.sync.test_rules import rule
from tests.fleet.sync.test_up import send_all
from tests.fleet.sync.world import ACTOR, JoinedGate, World, hub_in

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)


@pytest.fixture
def world(database_url: str | None, tmp_path: Path) -> Iterator[World]:
    """A hub that stands in Berlin."""
    hub = hub_in(tmp_path, database_url, timezone="Europe/Berlin")
    with hub as there, ExitStack() as stack:
        yield World(tmp_path, there, stack)


def gate_in(world: World, name: str, timezone: str | None) -> JoinedGate:
    return world.join(world.standalone(name, timezone), name)


def passes(gate: JoinedGate, person: Person, at: datetime, direction: Direction) -> None:
    with gate.workspace.database.read() as session:
        known = replica.find(session, person.uid)
    assert known is not None
    decision = Decision(
        at=Instant(1.0, at.timestamp()),
        outcome=Outcome.GRANTED,
        reason=Reason.GRANTED,
        person=known.ref,
        direction=direction,
    )
    entry = decision_entry(decision, gate.workspace.settings.gate.name, "camera", "works")
    gate.workspace.journal.append([entry])


def evening(gate: JoinedGate, person: Person, *hours: float, day: date) -> None:
    """In and out and in ... at these hours after midnight on the clock of New York."""
    for n, hour in enumerate(hours):
        at = datetime.combine(day, datetime.min.time(), NEW_YORK)
        utc = (at + timedelta(hours=hour)).astimezone(UTC)
        passes(gate, person, utc, Direction.EXIT if n % 2 else Direction.ENTRY)


def days_of(workspace: Workspace, period: Period) -> list[Day]:
    return [found.day for part in Reports(workspace).days(period) for found in part]


MARCH = Period(date(2026, 3, 1), date(2026, 3, 31))


def test_an_evening_in_new_york_is_one_day_for_a_hub_in_berlin(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub)
    gate = gate_in(world, "broadway", "America/New_York")
    pull_all(gate)
    evening(gate, ada, 17, 18.5, 19, 22, day=date(2026, 3, 3))
    send_all(gate)
    for workspace in (hub, gate.workspace):
        (day,) = days_of(workspace, MARCH)
        assert (day.date, day.inside, day.away) == (date(2026, 3, 3), 4.5 * HOUR, HOUR / 2)
        assert str(day.first_in) == "2026-03-03 17:00:00-05:00"
        assert str(day.last_out) == "2026-03-03 22:00:00-05:00"
    newest = dict(zip(LOG_HEADER, next(Reports(hub).log_table()), strict=True))
    assert str(newest["local_time"]) == "2026-03-03 22:00:00-05:00"
    (row, *_) = Attendance(hub).page(limit=1).rows
    assert (row.timezone, row.local_time.isoformat()) == (
        "America/New_York",
        "2026-03-03T22:00:00-05:00",
    )
    assert hub.journal.verify().ok
    assert gate.workspace.journal.verify().ok


def test_rows_that_do_not_say_their_zone_go_by_their_site(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub)
    gate = gate_in(world, "broadway", None)
    pull_all(gate)
    evening(gate, ada, 17, 18.5, 19, 22, day=date(2026, 3, 3))
    send_all(gate)
    assert [d.date.day for d in days_of(hub, MARCH)] == [3, 4]  # as the hub's clock shows it
    done_by(ACTOR, Access.of(hub).set_site_rules, {"timezone": "America/New_York"}, site="works")
    (day,) = days_of(hub, MARCH)
    assert (day.date.day, str(day.first_in)) == (3, "2026-03-03 17:00:00-05:00")
    with hub.database.read() as session:
        said = session.execute(sa.select(attendance_logs.c.timezone).distinct()).scalars().all()
    assert said == [None]


def test_a_gate_goes_by_the_zone_of_its_site_unless_it_has_one(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub, "staff")
    office = done_by(
        ACTOR, Access.of(hub).add_schedule, {"name": "Office", "week": [["08:00-17:00"]] * 7}
    )
    rule(hub, "staff", GroupRule(None, office.id))
    given, own = gate_in(world, "broadway", None), gate_in(world, "plaza", "America/Chicago")
    done_by(ACTOR, Access.of(hub).set_site_rules, {"timezone": "America/New_York"}, site="works")
    pull_all(given)
    pull_all(own)
    nine = datetime(2026, 3, 3, 8, 30, tzinfo=NEW_YORK).timestamp()
    (schedule,) = load_plan(given.workspace).schedules
    assert load_plan(given.workspace).is_open(schedule, nine)
    assert str(load_plan(given.workspace).zone) == "America/New_York"
    assert not load_plan(own.workspace).is_open(schedule, nine)  # half past seven in Chicago
    assert not load_plan(own.workspace).is_open(schedule, nine - HOUR.total_seconds())
    passes(given, ada, datetime(2026, 3, 3, 14, tzinfo=UTC), Direction.ENTRY)
    passes(own, ada, datetime(2026, 3, 3, 15, tzinfo=UTC), Direction.EXIT)
    for gate in (given, own):
        send_all(gate)
    said = [row.timezone for row in Attendance(hub).page(limit=2).rows]
    assert said == ["America/Chicago", "America/New_York"]
    done_by(ACTOR, Access.of(hub).set_site_rules, {"timezone": None}, site="works")
    pull_all(given)
    assert str(load_plan(given.workspace).zone) == "UTC"


def may_pass(gate: JoinedGate, person: Person, at: datetime) -> Reason:
    plan = load_plan(gate.workspace)
    (known,) = (p for p in plan.people.values() if p.person.uid == person.uid)
    rules = AccessRules(plan=plan)
    return rules.check(Request(known.person), Instant(1.0, at.timestamp())).reason


def clock_at(utc: float) -> ManualClock:
    """The machine's clocks when it will be, or was, this time."""
    return ManualClock(time.monotonic() + utc - time.time(), utc)


def test_a_last_day_is_over_when_it_is_over_at_the_site(world: World) -> None:
    hub, last = world.hub.workspace, date(2026, 3, 31)
    ada = hire(hub, "staff")
    done_by(ACTOR, People.of(hub).update, ada.id, {"leaves_on": date(2030, 1, 1)})
    west, east = gate_in(world, "broadway", "America/New_York"), gate_in(world, "ginza", None)
    done_by(ACTOR, Access.of(hub).set_site_rules, {"timezone": "Asia/Tokyo"}, site="works")
    for gate in (west, east):
        status = status_of(gate.workspace, StatusBoard().snapshot, ManualClock(), 0)
        Uplink.of(gate.workspace, gate.client).greet(status, None)
    evening_in_berlin = datetime(2026, 4, 1, 0, 30, tzinfo=BERLIN)
    at_berlin = clock_at(evening_in_berlin.timestamp())
    assert done_by(ACTOR, People(hub, at_berlin).update, ada.id, {"leaves_on": last}).is_active
    Privacy(hub, at_berlin).apply()
    for gate in (west, east):
        pull_all(gate)
    assert People.of(hub).get(ada.id).is_active
    assert may_pass(west, ada, evening_in_berlin) is Reason.GRANTED
    assert may_pass(east, ada, evening_in_berlin) is Reason.INACTIVE  # half past seven in Tokyo
    midnight = datetime(2026, 4, 1, tzinfo=NEW_YORK)
    assert may_pass(west, ada, midnight - timedelta(seconds=1)) is Reason.GRANTED
    assert may_pass(west, ada, midnight) is Reason.INACTIVE
    Privacy(hub, clock_at((midnight - HOUR).timestamp())).apply()
    assert People.of(hub).get(ada.id).is_active
    Privacy(hub, clock_at(midnight.timestamp())).apply()
    assert not People.of(hub).get(ada.id).is_active


def test_the_nights_in_which_clocks_change_in_two_zones(world: World) -> None:
    """New York changes its clocks three weeks before Berlin in spring, a week after in autumn."""
    hub = world.hub.workspace
    ada = hire(hub)
    gate = gate_in(world, "broadway", "America/New_York")
    pull_all(gate)
    for at, way in (
        (datetime(2026, 3, 7, 22, tzinfo=NEW_YORK), Direction.ENTRY),
        (datetime(2026, 3, 8, 6, tzinfo=NEW_YORK), Direction.EXIT),
        (datetime(2026, 3, 28, 22, tzinfo=NEW_YORK), Direction.ENTRY),
        (datetime(2026, 3, 29, 6, tzinfo=NEW_YORK), Direction.EXIT),
        (datetime(2026, 11, 1, 1, 40, fold=0, tzinfo=NEW_YORK), Direction.ENTRY),
        (datetime(2026, 11, 1, 1, 20, fold=1, tzinfo=NEW_YORK), Direction.EXIT),
    ):
        passes(gate, ada, at.astimezone(UTC), way)
    send_all(gate)
    shown = [
        (
            d.date.isoformat(),
            d.inside / HOUR,
            d.first_in and d.first_in.isoformat(),
            str(d.last_out),
        )
        for d in days_of(hub, Period(date(2026, 3, 1), date(2026, 11, 30)))
    ]
    assert shown == [
        ("2026-03-07", 7.0, "2026-03-07T22:00:00-05:00", "2026-03-08 06:00:00-04:00"),
        ("2026-03-28", 8.0, "2026-03-28T22:00:00-04:00", "2026-03-29 06:00:00-04:00"),
        ("2026-11-01", 2 / 3, "2026-11-01T01:40:00-04:00", "2026-11-01 01:20:00-05:00"),
    ]


def test_a_passage_put_down_on_the_hub_is_where_the_person_was(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub)
    gate = gate_in(world, "broadway", "America/New_York")
    pull_all(gate)
    evening(gate, ada, 17, 22, day=date(2026, 3, 3))
    send_all(gate)
    at = datetime(2026, 3, 4, 20, tzinfo=NEW_YORK)
    log = Attendance(hub)
    forgotten = done_by(ACTOR, log.punch, ada.id, Direction.ENTRY, at, cause="forgot the card")
    done_by(ACTOR, log.punch, ada.id, Direction.EXIT, at + 2 * HOUR, cause="forgot the card")
    assert forgotten.local_time.isoformat() == "2026-03-04T20:00:00-05:00"
    first, second = days_of(hub, MARCH)
    assert (first.date.day, second.date.day, second.inside) == (3, 4, 2 * HOUR)
    newest = log.page(limit=1).rows[0]
    assert newest.timezone == "America/New_York"
    assert hub.journal.verify().ok
