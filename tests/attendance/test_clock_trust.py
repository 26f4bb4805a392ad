"""A clock that is not known to be right erases nobody, marks its rows, and is put right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gated.access.last_punches import last_punches
from gated.accounts.audit import Audit
from gated.attendance import attendance_store as attendance
from gated.attendance.attendance import Attendance, Correction
from gated.attendance.reports import Period, Reports
from gated.config import PrivacySettings, Settings, StorageSettings
from gated.core.clock import DAY_S, ClockStanding, Doubt
from gated.core.presence import Presence
from gated.core.values import Direction, PersonRef
from gated.database.records import AttendanceRow, Person
from gated.devices.clock import ManualClock
from gated.errors import ClockDoubtful, Conflict, NotFound, RetentionHold
from gated.fleet.hub.tidying import tidy_feed
from gated.journal.journal import Entry, decision_entry, subject_of
from gated.live.clock_trust import ClockKeeper
from gated.live.disk_space import DiskSpace
from gated.people.people import People
from gated.privacy.privacy import Privacy
from gated.workspace import Workspace
from tests.changes import done_by
from tests.people.people import grant
from tests.workspaces import open_workspace

ANNA = {"first_name": "Anna", "last_name": "Arendt", "personnel_code": "E1"}
YEARS = 5 * 365 * DAY_S


@dataclass
class World:
    workspace: Workspace
    clock: ManualClock

    @property
    def people(self) -> People:
        return People.of(self.workspace)

    @property
    def attendance(self) -> Attendance:
        return Attendance(self.workspace)

    def look(self) -> ClockStanding:
        return ClockKeeper.of(self.workspace).look().standing

    def apply(self) -> int:
        return Privacy.of(self.workspace).apply().erased

    def day(self) -> date:
        return datetime.fromtimestamp(self.clock.utc, UTC).date()

    def leaver(self, days_ago: int = 5) -> Person:
        leaves = self.day() - timedelta(days_ago)
        return done_by("test", self.people.create, {**ANNA, "leaves_on": leaves})

    def is_there(self, person: Person) -> bool:
        try:
            self.people.get(person.id)
        except NotFound:
            return False
        return True

    def passage(self, person: PersonRef, direction: Direction) -> None:
        decision = replace(grant(person), at=self.workspace.clock.now(), direction=direction)
        self.workspace.journal.append([decision_entry(decision, "north", "cam", "works")])

    def rows(self, **filters: Any) -> list[AttendanceRow]:
        return self.attendance.page(**filters).rows

    def kinds(self) -> list[str]:
        return [row.kind for row in Audit(self.workspace).page(limit=100).rows]


Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Starts the program anew, with the same state; `boot` for a machine that was off."""
    opened: list[Workspace] = []

    def world(clock: ManualClock, boot: str = "boot 1", **privacy: Any) -> World:
        for before in opened:
            before.close()
        opened.clear()
        settings = Settings(
            storage=StorageSettings(state_dir=tmp_path, keep_acknowledged_days=30),
            privacy=PrivacySettings(**({"leavers_days": 1} | privacy)),
        )
        workspace = open_workspace(settings, clock=clock, boot=boot)
        opened.append(workspace)
        return World(workspace, clock)

    yield world
    for workspace in opened:
        assert workspace.journal.verify().first_problem is None
        workspace.close()


@contextmanager
def nothing_is_erased(world: World) -> Iterator[None]:
    with pytest.raises(ClockDoubtful):
        world.apply()
    with pytest.raises(ClockDoubtful):
        DiskSpace(world.workspace, world.workspace.clock).expire()
    with pytest.raises(ClockDoubtful):
        tidy_feed(world.workspace, world.workspace.clock, lambda: True)
    yield


def test_a_gate_that_starts_years_ahead_erases_nobody_until_the_clock_is_right(
    make: Make,
) -> None:
    anna = make(ManualClock()).leaver(days_ago=-30)
    ahead = make(ManualClock(utc=1.8e9 + YEARS))
    with nothing_is_erased(ahead):
        assert ahead.look() is ClockStanding.DOUBTFUL
    right = make(ManualClock(mono=2000.0, utc=1.8e9 + 1000))
    assert right.look() is ClockStanding.TRUSTED
    assert right.apply() == 0
    assert right.is_there(anna)


@pytest.mark.parametrize("off", [2 * DAY_S, 40 * DAY_S, YEARS])
def test_a_machine_that_was_off_for_longer_than_it_may_be_waits_for_somebody(
    make: Make, off: float
) -> None:
    before = make(ManualClock())
    anna = before.leaver()
    assert before.look() is ClockStanding.TRUSTED
    world = make(ManualClock(mono=200.0, utc=1.8e9 + off), "boot 2")
    with nothing_is_erased(world):
        assert world.is_there(anna)
    again = make(ManualClock(mono=300.0, utc=1.8e9 + off + 100), "boot 2")
    with nothing_is_erased(again):
        assert again.is_there(anna), "its own rows of meanwhile prove nothing"
    ClockKeeper.of(again.workspace).confirm(actor="olga")
    assert again.apply() == 1
    assert "clock_confirmed" in again.kinds()


def test_a_weekend_is_no_leap_where_the_gate_may_be_off_so_long(make: Make) -> None:
    anna = make(ManualClock()).leaver()
    settings = {"longest_off_h": 72}
    world = make(ManualClock(mono=200.0, utc=1.8e9 + 2.6 * DAY_S), "boot 2", **settings)
    assert (world.apply(), world.is_there(anna)) == (1, False)


def test_nothing_is_erased_before_the_clock_had_its_time(make: Make) -> None:
    make(ManualClock()).leaver()
    world = make(ManualClock(mono=2.0, utc=1.8e9 + 60), "boot 2")
    with nothing_is_erased(world):
        assert world.workspace.clock.now().sure, "it is not marked for that"
    world.clock.advance(200)
    assert world.apply() == 1


def test_an_unsynchronised_clock_erases_nobody_and_a_hub_that_says_the_same_lets_it(
    make: Make,
) -> None:
    world = make(ManualClock(clock_ok=False))
    world.leaver()
    assert world.look() is ClockStanding.UNSET
    with nothing_is_erased(world):
        pass
    now = world.clock.now()
    keeper = ClockKeeper.of(world.workspace)
    keeper.hub_said(now.utc + 900, now)
    with nothing_is_erased(world):
        assert not world.workspace.clock.now().clock_ok
    keeper.hub_said(now.utc + 3, now)
    assert world.apply() == 1


def test_a_leap_in_mid_run_is_noticed_and_forgiven_when_it_is_taken_back(make: Make) -> None:
    world = make(ManualClock())
    anna = world.leaver(days_ago=-30)
    assert world.look() is ClockStanding.TRUSTED
    for leap in (3600.0, -3600.0, YEARS, -YEARS):
        world.clock.step_utc(leap)
        with nothing_is_erased(world):
            assert ClockKeeper.of(world.workspace).look().doubt is Doubt.LEAPT
        world.clock.step_utc(-leap)
        assert world.apply() == 0
    assert world.is_there(anna)


def test_a_clock_that_creeps_away_a_little_at_a_time_does_not_get_far(make: Make) -> None:
    world = make(ManualClock())
    world.look()
    for _ in range(20):
        world.clock.advance(700)
        world.clock.step_utc(100)
        standing = world.look()
    assert standing is ClockStanding.DOUBTFUL


def test_an_admin_cannot_confirm_what_cannot_be(make: Make) -> None:
    world = make(ManualClock(utc=1e9))
    with pytest.raises(Conflict, match="2001"):
        ClockKeeper.of(world.workspace).confirm(actor="olga")
    world = make(ManualClock())
    now = world.clock.now()
    ClockKeeper.of(world.workspace).hub_said(now.utc + DAY_S, now)
    with pytest.raises(Conflict, match="off the hub's"):
        ClockKeeper.of(world.workspace).confirm(actor="olga")
    assert world.look() is ClockStanding.DOUBTFUL


def test_a_hold_is_not_over_because_a_clock_says_so(make: Make) -> None:
    world = make(ManualClock(), hold_days=30)
    anna = done_by("test", world.people.create, ANNA)
    world.passage(anna.ref, Direction.ENTRY)
    world.look()
    world.clock.step_utc(YEARS)
    with pytest.raises(RetentionHold, match="not known to be right"):
        done_by("olga", world.people.delete, anna.id)
    done_by("olga", world.people.delete, anna.id, override=True, reason="asked for it")


# --- rows of an unset clock ---


def days(world: World) -> list[tuple[float, int, bool]]:
    reports = Reports(world.workspace)
    period = Period(date(2024, 1, 1), date(2030, 1, 1))
    some = [found for part in _years(reports, period) for found in part]
    return [(d.day.inside.total_seconds(), d.day.open_visits, d.day.clock_unset) for d in some]


def _years(reports: Reports, period: Period) -> Iterator[list[Any]]:
    yield from reports.days(period)


def test_a_night_counts_on_its_day_though_the_log_dates_it_before_and_after(make: Make) -> None:
    """Neither row is of that day by what the log says; by the monotonic clock the entry is."""
    came, behind = datetime(2026, 3, 2, 22, tzinfo=UTC), 40 * 3600
    clock = ManualClock(mono=50.0, utc=came.timestamp() - behind, clock_ok=False)
    world = make(clock)
    anna = done_by("test", world.people.create, ANNA)
    world.passage(anna.ref, Direction.ENTRY)
    clock.advance(8 * 3600)
    clock.step_utc(behind)
    clock.clock_ok = True
    world.passage(anna.ref, Direction.EXIT)
    assert [row.created_at.day for row in world.rows()] == [3, 1]
    some = Reports(world.workspace).days(Period(came.date(), came.date()))
    assert [day.day.inside for part in some for day in part] == [timedelta(hours=8)]


def test_eleven_seconds_over_the_setting_of_the_clock_are_one_visit(make: Make) -> None:
    clock = ManualClock(mono=50.0, utc=1.74e9, clock_ok=False)
    world = make(clock)
    anna = done_by("test", world.people.create, ANNA)
    world.look()
    world.passage(anna.ref, Direction.ENTRY)
    assert [r.flags for r in world.rows()] == [["clock_unset"]]
    clock.advance(11)
    clock.step_utc(6e7)
    clock.clock_ok = True
    world.passage(anna.ref, Direction.EXIT)
    clock.advance(SETTLED)
    assert world.look() is ClockStanding.TRUSTED
    exit_, entry = world.rows()
    assert entry.flags == ["clock_fixed"]
    assert exit_.created_at - entry.created_at == timedelta(seconds=11)
    assert (entry.person_id, entry.status, entry.reason) == (anna.id, "granted", "granted")
    raw = world.rows(raw=True)
    assert [r.created_at.year for r in raw] == [2027, 2027, 2025], "what was written stays"
    assert days(world) == [(11.0, 0, False)]
    with world.workspace.database.read() as session:
        told = session.connection().exec_driver_sql(
            "SELECT kind, body FROM journal WHERE kind IN ('clock_fixed', 'corrected') ORDER BY seq"
        )
        kinds = [row[0] for row in told]
    assert kinds == ["clock_fixed", "corrected"]
    world.look()
    assert len(world.rows(raw=True)) == 3, "once"


SETTLED = 200.0


def test_a_day_without_synchronisation(make: Make) -> None:
    clock = ManualClock(mono=60.0, utc=1.74e9, clock_ok=False)
    world = make(clock)
    anna = done_by("test", world.people.create, ANNA)
    for n in range(8):
        world.look()
        world.passage(anna.ref, Direction.EXIT if n % 2 else Direction.ENTRY)
        clock.advance(3600)
    assert all(unset for _, _, unset in days(world))
    clock.advance(DAY_S - 8 * 3600)
    world = make(clock)  # the program was started again meanwhile
    world.look()
    world.passage(anna.ref, Direction.ENTRY)
    clock.step_utc(6e7)
    clock.clock_ok = True
    world.look()
    rows = world.rows()
    assert [r.flags for r in rows] == [["clock_fixed"]] * 9
    assert rows[0].created_at.timestamp() == pytest.approx(clock.utc, abs=1e-3)
    assert rows[0].created_at - rows[-1].created_at == timedelta(days=1)
    inside = sum(seconds for seconds, _, _ in days(world))
    assert inside == 4 * 3600


def test_rows_of_a_boot_that_never_learned_the_time_stay_marked(make: Make) -> None:
    first = make(ManualClock(mono=60.0, utc=1.74e9, clock_ok=False))
    anna = done_by("test", first.people.create, ANNA)
    first.look()
    first.passage(anna.ref, Direction.ENTRY)
    second = make(ManualClock(mono=300.0, utc=1.8e9), "boot 2")
    assert second.look() is ClockStanding.TRUSTED
    assert [r.flags for r in second.rows()] == [["clock_unset"]]


def test_within_one_boot_an_unset_clock_that_leaps_counts_as_the_monotonic_one_does(
    make: Make,
) -> None:
    clock = ManualClock(mono=60.0, utc=1.74e9, clock_ok=False)
    world = make(clock)
    anna = done_by("test", world.people.create, ANNA)
    for direction, leap in ((Direction.ENTRY, 2 * DAY_S), (Direction.EXIT, -9 * DAY_S)):
        world.passage(anna.ref, direction)
        clock.advance(1800)
        clock.step_utc(leap)
    assert days(world) == [(1800.0, 0, True)]


@pytest.mark.parametrize("leap", [3600.0, -3600.0])
def test_an_hour_in_mid_visit_is_not_worked(make: Make, leap: float) -> None:
    world = make(ManualClock())
    anna = done_by("test", world.people.create, ANNA)
    world.look()
    world.passage(anna.ref, Direction.ENTRY)
    world.clock.advance(1200)
    world.clock.step_utc(leap)
    world.look()
    world.passage(anna.ref, Direction.EXIT)
    assert days(world) == [(1200.0, 0, True)]
    ClockKeeper.of(world.workspace).confirm(actor="olga")
    assert days(world) == [(1200.0, 0, False)], "the clock is right now, and what passed is known"
    assert [r.flags for r in world.rows(direction="exit")] == [["clock_fixed"]]


def test_what_somebody_corrects_before_the_clock_is_set(make: Make) -> None:
    clock = ManualClock(mono=60.0, utc=1.74e9, clock_ok=False)
    world = make(clock)
    anna = done_by("test", world.people.create, ANNA)
    world.look()
    for _ in range(2):
        world.passage(anna.ref, Direction.ENTRY)
        clock.advance(100)
    later, first = world.rows()
    way = Correction(direction=Direction.EXIT)
    done_by("olga", world.attendance.correct, later.id, way, cause="the other way")
    when = datetime(2025, 3, 3, tzinfo=UTC)
    done_by("olga", world.attendance.correct, first.id, Correction(passed_at=when), cause="seen")
    clock.step_utc(6e7)
    clock.clock_ok = True
    world.look()
    fixed, dated = world.rows()
    assert (dated.created_at, dated.flags) == (when, []), "a time that somebody has named stands"
    assert (fixed.direction, fixed.flags) == ("exit", ["clock_fixed"])
    assert fixed.created_at.timestamp() == pytest.approx(clock.utc - 100, abs=1e-3)


# --- who is inside, and which way somebody goes ---


def forgive(world: World, person: PersonRef | None) -> None:
    body = {"cause": "operator", "people": 1, "everybody": person is None}
    private = {"subject": subject_of(person)} if person else {}
    entry = Entry(world.workspace.clock.now(), "presence_forgiven", body, private)
    world.workspace.journal.append([entry])


@pytest.mark.parametrize("ahead", [2 * DAY_S, 90.0, 300 * DAY_S])
def test_a_passage_in_the_future_counts_as_now_and_the_next_one_is_the_last(
    make: Make, ahead: float
) -> None:
    world = make(ManualClock())
    anna = done_by("test", world.people.create, ANNA)
    world.clock.step_utc(ahead)
    world.passage(anna.ref, Direction.ENTRY)
    world.clock.step_utc(-ahead)
    now = world.clock.now()
    with world.workspace.database.read() as session:
        since = datetime.fromtimestamp(now.utc - DAY_S, UTC)
        last = attendance.last_punches(session, since, now=now.utc)[anna.id]
    assert (last.direction, last.utc) == (Direction.ENTRY, now.utc)
    world.clock.advance(60)
    world.passage(anna.ref, Direction.EXIT)
    told = last_punches(world.workspace, world.clock.now())
    assert told.punches[anna.id] == (Direction.EXIT, world.clock.utc)


@pytest.mark.parametrize("everybody", [True, False])
def test_being_forgiven_lasts_over_a_start_whatever_clock_has_dated_the_entry(
    make: Make, everybody: bool
) -> None:
    world = make(ManualClock())
    anna = done_by("test", world.people.create, ANNA).ref
    world.clock.step_utc(2 * DAY_S)
    world.passage(anna, Direction.ENTRY)
    world.clock.step_utc(-2 * DAY_S)
    world.clock.advance(5)
    assert anna.id in inside_now(world)
    forgive(world, None if everybody else anna)
    for _ in range(2):
        world.clock.advance(3600)
        assert anna.id not in inside_now(world)
    world.passage(anna, Direction.ENTRY)
    assert anna.id in inside_now(world), "who enters again is inside"


def inside_now(world: World) -> set[int]:
    presence, told = Presence(), last_punches(world.workspace, world.workspace.clock.now())
    presence.was_forgiven(told.forgiven)
    presence.learn(told.punches)
    return set(presence.inside)
