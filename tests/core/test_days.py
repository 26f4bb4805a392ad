"""Days from punches: pairing, doubles, nights, clocks that change."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.attendance import AttendedVisit, Day, DayRules, Punch, day_of, derive, merge_doubles
from gated.core.values import Direction

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT
BERLIN = ZoneInfo("Europe/Berlin")
RULES = DayRules()
LATER = datetime(2030, 1, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)

_ids = itertools.count(1)


def punch(local: str, direction: Direction, fold: int = 0) -> Punch:
    """At this time of Berlin's clocks."""
    at = datetime.fromisoformat(local).replace(tzinfo=BERLIN, fold=fold)
    return Punch(at, direction, next(_ids))


def days(*punches: Punch, rules: DayRules = RULES, now: datetime = LATER) -> list[Day]:
    return derive(punches, BERLIN, rules, now)


def test_a_day_with_a_break() -> None:
    (day,) = days(
        punch("2026-03-02T08:00", ENTRY),
        punch("2026-03-02T12:00", EXIT),
        punch("2026-03-02T12:45", ENTRY),
        punch("2026-03-02T17:00", EXIT),
    )
    assert day.date == date(2026, 3, 2)
    assert day.first_in == datetime(2026, 3, 2, 7, tzinfo=UTC)
    assert day.last_out == datetime(2026, 3, 2, 16, tzinfo=UTC)
    assert (day.inside, day.away) == (8 * HOUR + 15 * MINUTE, 45 * MINUTE)
    assert day.open_visits == 0


def test_nothing_makes_no_day() -> None:
    assert days() == []


def test_a_night_shift_belongs_to_the_day_it_began() -> None:
    (day,) = days(punch("2026-03-02T22:00", ENTRY), punch("2026-03-03T06:00", EXIT))
    assert (day.date, day.inside) == (date(2026, 3, 2), 8 * HOUR)


def test_a_break_after_midnight_does_not_split_a_shift_where_days_begin_later() -> None:
    shift = (
        punch("2026-03-02T22:00", ENTRY),
        punch("2026-03-03T02:00", EXIT),
        punch("2026-03-03T02:30", ENTRY),
        punch("2026-03-03T06:00", EXIT),
    )
    assert [d.date.day for d in days(*shift)] == [2, 3]
    (day,) = days(*shift, rules=DayRules(day_start=5 * HOUR))
    assert (day.date.day, day.inside, day.away) == (2, 7 * HOUR + 30 * MINUTE, 30 * MINUTE)


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [
        ("2026-03-28T22:00", "2026-03-29T06:00", 7),  # forward at 2 o'clock
        ("2026-10-24T22:00", "2026-10-25T06:00", 9),  # back at 3 o'clock
        ("2026-06-05T22:00", "2026-06-06T06:00", 8),
    ],
)
def test_the_clocks_change_and_the_hours_worked_are_right(begin: str, end: str, hours: int) -> None:
    (day,) = days(punch(begin, ENTRY), punch(end, EXIT))
    assert (day.date, day.inside) == (date.fromisoformat(begin[:10]), hours * HOUR)


def test_the_hour_that_comes_twice_is_in_order() -> None:
    first = punch("2026-10-25T02:50", ENTRY, fold=0)
    second = punch("2026-10-25T02:10", EXIT, fold=1)
    (day,) = days(second, first)
    assert day.inside == 20 * MINUTE


def test_doubles_count_from_the_first_entry_to_the_last_exit() -> None:
    (day,) = days(
        punch("2026-03-02T08:00:00", ENTRY),
        punch("2026-03-02T08:00:40", ENTRY),
        punch("2026-03-02T08:01:20", ENTRY),
        punch("2026-03-02T17:00:00", EXIT),
        punch("2026-03-02T17:00:59", EXIT),
    )
    assert len(day.visits) == 1
    assert day.inside == 9 * HOUR + timedelta(seconds=59)


def test_the_time_of_doubles_includes_its_end() -> None:
    first = punch("2026-03-02T08:00:00", ENTRY)
    second = punch("2026-03-02T08:01:00", ENTRY)
    merged = merge_doubles([second, first], MINUTE)
    assert [p.id for p in merged] == [first.id]
    assert len(merge_doubles([second, first], timedelta(seconds=59))) == 2


def test_out_and_in_again_is_no_double_however_short() -> None:
    (day,) = days(
        punch("2026-03-02T08:00:00", ENTRY),
        punch("2026-03-02T08:00:10", EXIT),
        punch("2026-03-02T08:00:20", ENTRY),
        punch("2026-03-02T09:00:00", EXIT),
    )
    assert (len(day.visits), day.away) == (2, timedelta(seconds=10))


def test_a_second_entry_after_the_time_of_doubles_leaves_an_open_visit() -> None:
    (day,) = days(
        punch("2026-03-02T08:00:00", ENTRY),
        punch("2026-03-02T08:01:01", ENTRY),
        punch("2026-03-02T12:01:01", EXIT),
    )
    assert [v.open for v in day.visits] == [True, False]
    assert (day.inside, day.open_visits, day.breaks) == (4 * HOUR, 1, ())


def test_a_forgotten_exit_stays_open_and_leaves_the_next_day_alone() -> None:
    monday, tuesday = days(
        punch("2026-03-02T08:00", ENTRY),
        punch("2026-03-03T08:00", ENTRY),
        punch("2026-03-03T16:00", EXIT),
    )
    assert (monday.inside, monday.open_visits, monday.last_out) == (timedelta(0), 1, None)
    assert (tuesday.inside, tuesday.open_visits) == (8 * HOUR, 0)


def test_an_exit_the_day_after_next_is_not_that_of_the_entry() -> None:
    monday, tuesday = days(punch("2026-03-02T08:00", ENTRY), punch("2026-03-03T17:00", EXIT))
    assert (monday.open_visits, tuesday.open_visits) == (1, 1)
    assert (tuesday.first_in, tuesday.inside) == (None, timedelta(0))


def test_the_longest_visit_is_shorter_than_the_limit() -> None:
    entry = punch("2026-03-02T08:00:00", ENTRY)
    within, beyond = punch("2026-03-02T23:59:59", EXIT), punch("2026-03-03T00:00:00", EXIT)
    assert [d.open_visits for d in days(entry, within)] == [0]
    assert [d.open_visits for d in days(entry, beyond)] == [1, 1]


def test_who_is_inside_now_has_forgotten_nothing() -> None:
    entry = punch("2026-03-02T08:00", ENTRY)
    (day,) = days(entry, now=entry.at + 8 * HOUR)
    assert (day.visits[0].present, day.open_visits, day.inside) == (True, 0, timedelta(0))
    (day,) = days(entry, now=entry.at + 16 * HOUR)
    assert (day.visits[0].present, day.open_visits) == (False, 1)


# --- properties -------------------------------------------------------------------------------

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")

# a week around each change of the clocks, and seconds that meet often
MOMENTS = st.builds(
    lambda week, seconds: week + timedelta(seconds=seconds),
    st.sampled_from(
        [datetime(2026, 3, 26, tzinfo=UTC), datetime(2026, 10, 22, tzinfo=UTC)],
    ),
    st.one_of(st.integers(0, 7 * 86_400), st.integers(0, 600)),
)
PUNCHES = st.lists(
    st.builds(
        lambda at, direction, n, zone: Punch(at.astimezone(ZoneInfo(zone)), direction, n),
        MOMENTS,
        st.sampled_from(Direction),
        st.integers(1, 10**6),
        st.sampled_from(ZONES),
    ),
    max_size=30,
    unique_by=lambda p: p.id,
)
ANY_RULES = st.builds(
    DayRules,
    double=st.sampled_from([timedelta(0), MINUTE, 5 * MINUTE]),
    longest=st.sampled_from([HOUR, 16 * HOUR, 72 * HOUR]),
    day_start=st.sampled_from([timedelta(0), 2.5 * HOUR, 5 * HOUR]),
)
ANY_ZONE = st.sampled_from(ZONES).map(ZoneInfo)


def visits(derived: list[Day]) -> list[AttendedVisit]:
    return sorted((v for d in derived for v in d.visits), key=lambda v: v.begin)


@given(PUNCHES, ANY_ZONE, ANY_RULES)
def test_every_punch_that_is_no_double_is_in_one_visit(
    punches: list[Punch], zone: ZoneInfo, rules: DayRules
) -> None:
    found = visits(derive(punches, zone, rules, LATER))
    used = Counter(p.id for v in found for p in (v.entry, v.exit) if p)
    assert used == Counter(p.id for p in merge_doubles(punches, rules.double))


@given(PUNCHES, ANY_ZONE, ANY_RULES)
def test_no_time_is_negative_counted_twice_or_longer_than_a_visit_may_be(
    punches: list[Punch], zone: ZoneInfo, rules: DayRules
) -> None:
    derived = derive(punches, zone, rules, LATER)
    end = datetime.min.replace(tzinfo=UTC)
    for visit in visits(derived):
        assert visit.begin >= end
        assert timedelta(0) <= visit.duration < rules.longest
        end = visit.exit.at if visit.exit else visit.begin
    for day in derived:
        assert all(a <= b for a, b in day.breaks)
        assert day.inside == sum((v.duration for v in day.visits), timedelta(0))
        if day.first_in and day.last_out and day.open_visits == 0:
            span = day.last_out.astimezone(UTC) - day.first_in.astimezone(UTC)
            assert day.inside + day.away == span


@given(PUNCHES, ANY_ZONE, ANY_RULES)
def test_hours_are_those_of_utc_in_every_zone(
    punches: list[Punch], zone: ZoneInfo, rules: DayRules
) -> None:
    def total(where: ZoneInfo) -> timedelta:
        return sum((d.inside for d in derive(punches, where, rules, LATER)), timedelta(0))

    assert total(zone) == total(ZoneInfo("UTC"))


@given(PUNCHES, ANY_ZONE, ANY_RULES, st.randoms(use_true_random=False))
def test_the_order_in_which_punches_arrive_does_not_matter(
    punches: list[Punch], zone: ZoneInfo, rules: DayRules, random: Random
) -> None:
    shuffled = random.sample(punches, len(punches))
    assert derive(shuffled, zone, rules, LATER) == derive(punches, zone, rules, LATER)


@given(PUNCHES, st.sampled_from([timedelta(0), MINUTE, HOUR]))
def test_to_merge_twice_is_to_merge_once(punches: list[Punch], within: timedelta) -> None:
    once = merge_doubles(punches, within)
    assert merge_doubles(once, within) == once
    assert {p.id for p in once} <= {p.id for p in punches}


@given(PUNCHES, ANY_ZONE, ANY_RULES)
def test_every_visit_is_in_the_day_it_began(
    punches: list[Punch], zone: ZoneInfo, rules: DayRules
) -> None:
    derived = derive(punches, zone, rules, LATER)
    assert [d.date for d in derived] == sorted({d.date for d in derived})
    for day in derived:
        assert {day_of(v.begin, zone, rules) for v in day.visits} == {day.date}


@given(PUNCHES, st.lists(st.none() | ANY_ZONE, min_size=30, max_size=30), ANY_ZONE, ANY_RULES)
def test_a_visit_is_of_the_day_on_the_clock_where_it_began(
    punches: list[Punch], own: list[ZoneInfo | None], zone: ZoneInfo, rules: DayRules
) -> None:
    placed = [replace(p, zone=z) for p, z in zip(punches, own, strict=False)]
    derived = derive(placed, zone, rules, LATER)
    zones = {p.id: p.zone or zone for p in placed}
    for day in derived:
        for visit in day.visits:
            local = visit.begin.astimezone(zones[visit.first.id]).replace(tzinfo=None)
            assert day.date == (local - rules.day_start).date()
    at = {p.id: p.at.timestamp() for p in placed}
    told = [p for day in derived for v in day.visits for p in (v.entry, v.exit) if p]
    assert all(p.local.timestamp() == at[p.id] for p in told)
    assert all(p.local.utcoffset() == p.at.astimezone(zones[p.id]).utcoffset() for p in told)


def test_the_last_out_of_a_night_in_which_clocks_go_back_has_another_offset() -> None:
    begin = punch("2026-10-25T02:40", ENTRY)
    end = punch("2026-10-25T02:20", EXIT, fold=1)
    (day,) = derive([begin, end], BERLIN, RULES, LATER)
    assert (str(day.first_in), str(day.last_out)) == (
        "2026-10-25 02:40:00+02:00",
        "2026-10-25 02:20:00+01:00",
    )
    assert day.inside == 40 * MINUTE
