from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.plan import AccessPlan
from gated.core.schedule import ALWAYS, DAY, Day, Hours, Schedule

BERLIN = ZoneInfo("Europe/Berlin")
CLOSED: Day = ()
OFFICE = (Hours(8 * 60, 17 * 60),)
NIGHT = (Hours(22 * 60, 6 * 60),)
WORKDAYS = (OFFICE,) * 5 + (CLOSED,) * 2


def plan(schedule: Schedule, holidays: frozenset[date] = frozenset()) -> AccessPlan:
    return AccessPlan(BERLIN, {schedule.id: schedule}, holidays)


def is_open(rules: AccessPlan, wall: str, fold: int = 0) -> bool:
    """Whether schedule 1 is open when the clock in Berlin shows this."""
    at = datetime.fromisoformat(wall).replace(tzinfo=BERLIN, fold=fold)
    return rules.is_open(1, at.timestamp())


def test_hours_begin_and_end() -> None:
    rules = plan(Schedule(1, "office", WORKDAYS))
    assert not is_open(rules, "2026-11-23 07:59:59")
    assert is_open(rules, "2026-11-23 08:00")
    assert is_open(rules, "2026-11-23 16:59:59")
    assert not is_open(rules, "2026-11-23 17:00")
    assert not is_open(rules, "2026-11-22 12:00"), "a Sunday"


def test_a_night_shift_belongs_to_the_day_on_which_it_begins() -> None:
    friday_only = tuple(NIGHT if day == 4 else CLOSED for day in range(7))
    rules = plan(Schedule(1, "night", friday_only), frozenset({date(2026, 11, 28)}))
    assert not is_open(rules, "2026-11-27 05:00"), "the night from Thursday"
    assert is_open(rules, "2026-11-27 22:00")
    assert is_open(rules, "2026-11-28 05:59"), "the holiday begins after it"
    assert not is_open(rules, "2026-11-28 06:00")
    assert not is_open(rules, "2026-11-28 22:00")


def test_holidays_have_hours_of_their_own() -> None:
    holidays = frozenset({date(2026, 12, 25)})
    short = (Hours(9 * 60, 12 * 60),)
    for holiday, at_10, at_15 in ((CLOSED, False, False), (short, True, False), (None, True, True)):
        rules = plan(Schedule(1, "office", WORKDAYS, holiday), holidays)
        assert is_open(rules, "2026-12-25 10:00") is at_10
        assert is_open(rules, "2026-12-25 15:00") is at_15
        assert is_open(rules, "2026-12-24 15:00")


def test_exceptions_come_before_holidays() -> None:
    day = date(2026, 12, 25)
    rules = plan(Schedule(1, "office", WORKDAYS, exceptions={day: NIGHT}), frozenset({day}))
    assert not is_open(rules, "2026-12-25 12:00")
    assert is_open(rules, "2026-12-25 23:00")
    assert is_open(rules, "2026-12-26 05:00")


def test_a_day_without_an_end() -> None:
    rules = plan(Schedule(1, "round the clock", ((Hours(0, DAY),),) * 7))
    assert all(is_open(rules, f"2026-11-23 {hour:02}:30") for hour in range(24))
    rules = plan(Schedule(1, "from nine to nine", ((Hours(540, 540),), *(CLOSED,) * 6)))
    assert is_open(rules, "2026-11-24 08:59")
    assert not is_open(rules, "2026-11-24 09:00")


def test_an_hour_that_comes_twice_is_open_both_times() -> None:
    rules = plan(Schedule(1, "two to three", ((Hours(120, 150),),) * 7))
    assert is_open(rules, "2026-10-25 02:15", fold=0)
    assert is_open(rules, "2026-10-25 02:15", fold=1)
    assert not is_open(rules, "2026-10-25 02:45", fold=0)


def test_an_hour_that_never_comes() -> None:
    rules = plan(Schedule(1, "two to three", ((Hours(120, 180),),) * 7))
    before = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
    assert not any(
        rules.is_open(1, (before + timedelta(minutes=n)).timestamp()) for n in range(120)
    )


def test_always_needs_no_schedule_and_others_do() -> None:
    assert AccessPlan().is_open(ALWAYS, 0.0)
    assert not AccessPlan().is_open(1, 0.0)


@pytest.mark.parametrize(("begin", "end"), [(-1, 60), (DAY, 60), (60, DAY + 1), (60, -1)])
def test_hours_that_no_clock_shows(begin: int, end: int) -> None:
    with pytest.raises(ValueError, match="no hours"):
        Hours(begin, end)


def test_a_week_has_seven_days() -> None:
    with pytest.raises(ValueError, match="not 6"):
        Schedule(1, "short", (OFFICE,) * 6)


# --- against an oracle that counts minutes --------------------------------------------------------

minutes = st.one_of(st.integers(0, DAY - 1), st.sampled_from([0, 60, 120, 150, 180, 1320, 1439]))
some_hours = st.builds(Hours, minutes, st.one_of(minutes, st.just(DAY)))
days = st.lists(some_hours, max_size=2).map(tuple)

CHANGES = [date(2026, 3, 29), date(2026, 10, 25), date(2026, 4, 5), date(2026, 10, 4)]
"""When clocks change in Berlin, and (by half an hour) on Lord Howe Island."""


def minutes_open(schedule: Schedule, holidays: frozenset[date], around: date) -> set[datetime]:
    """What the clock shows in every minute that is open on the days around this one."""
    shown = set[datetime]()
    for day in (around + timedelta(days=n) for n in range(-2, 3)):
        if day in schedule.exceptions:
            hours = schedule.exceptions[day]
        elif day in holidays and schedule.holiday is not None:
            hours = schedule.holiday
        else:
            hours = schedule.week[day.weekday()]
        for some in hours:
            minute = datetime(day.year, day.month, day.day) + timedelta(minutes=some.begin)  # noqa: DTZ001
            for _ in range((some.end - some.begin) % DAY or DAY):
                shown.add(minute)
                minute += timedelta(minutes=1)
    return shown


@given(
    week=st.tuples(*[days] * 7),
    holiday=st.none() | days,
    exception=st.none() | days,
    day=st.sampled_from([*CHANGES, date(2026, 7, 1)]),
    is_holiday=st.booleans(),
    zone=st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_any_schedule_agrees_with_counting_minutes(
    week: tuple[Day, ...],
    holiday: Day | None,
    exception: Day | None,
    day: date,
    is_holiday: bool,
    zone: str,
) -> None:
    exceptions = {} if exception is None else {day: exception}
    schedule = Schedule(1, "any", week, holiday, exceptions)
    holidays = frozenset({day}) if is_holiday else frozenset[date]()
    rules = AccessPlan(ZoneInfo(zone), {1: schedule}, holidays)
    shown = minutes_open(schedule, holidays, day)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=12)
    for n in range(0, 2 * DAY, 5):
        at = begin + timedelta(minutes=n, seconds=n % 60)
        wall = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, second=0)
        assert rules.is_open(1, at.timestamp()) is (wall in shown), wall
