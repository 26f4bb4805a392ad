from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gated.core.attendance import DirectionRule
from gated.core.values import Direction
from tests.core.scenes import ANN, BOB, at

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT
HOUR = 3600.0


def punch(rule: DirectionRule, hours: float, who: int = ANN) -> tuple[Direction, tuple[str, ...]]:
    now = at(hours * HOUR)
    direction, flags = rule.next(who, now)
    rule.passed(who, direction, now)
    return direction, flags


def test_entry_and_exit_take_turns_for_each_person() -> None:
    rule = DirectionRule()
    assert [punch(rule, h)[0] for h in (8, 12, 13, 17)] == [ENTRY, EXIT, ENTRY, EXIT]
    assert punch(rule, 17, BOB)[0] is ENTRY


def test_to_ask_is_not_to_pass() -> None:
    rule = DirectionRule()
    assert rule.next(ANN, at(0)) == rule.next(ANN, at(1)) == (ENTRY, ())


def test_who_is_recognised_twice_in_a_row_still_goes_the_same_way() -> None:
    rule = DirectionRule(double_s=60)
    assert punch(rule, 8) == (ENTRY, ())
    assert punch(rule, 8 + 59 / HOUR) == (ENTRY, ("double",))
    assert punch(rule, 8 + 120 / HOUR) == (EXIT, ())


def test_a_forgotten_exit_is_flagged_and_never_flips_the_next_day() -> None:
    rule = DirectionRule()
    assert punch(rule, 8) == (ENTRY, ())
    assert punch(rule, 32) == (ENTRY, ("previous_visit_open",))
    assert punch(rule, 41) == (EXIT, ())


def test_the_reset_comes_after_sixteen_hours_and_not_before() -> None:
    rule = DirectionRule()
    punch(rule, 0)
    assert rule.next(ANN, at(16 * HOUR - 1)) == (EXIT, ())
    assert rule.next(ANN, at(16 * HOUR)) == (ENTRY, ("previous_visit_open",))


def test_a_night_at_home_is_no_open_visit() -> None:
    rule = DirectionRule()
    punch(rule, 8)
    punch(rule, 17)
    assert punch(rule, 80) == (ENTRY, ())


def test_a_night_shift_ends_with_an_exit() -> None:
    rule = DirectionRule()
    assert [punch(rule, h) for h in (22, 30)] == [(ENTRY, ()), (EXIT, ())]


def test_a_gate_with_one_direction_has_no_memory() -> None:
    rule = DirectionRule(fixed=EXIT)
    assert [punch(rule, h) for h in (8, 9, 40)] == [(EXIT, ())] * 3
    assert rule.next(None, at(0)) == (EXIT, ())


def test_a_stranger_wants_to_enter() -> None:
    assert DirectionRule().next(None, at(0)) == (ENTRY, ())


@given(st.lists(st.floats(0.0, 30 * HOUR), max_size=30))
def test_an_exit_always_follows_an_entry_of_less_than_the_reset_ago(gaps: list[float]) -> None:
    rule, now, last = DirectionRule(), 0.0, None
    for gap in gaps:
        now += gap
        direction, flags = punch(rule, now / HOUR)
        if direction is EXIT:
            assert last is ENTRY
            assert gap < 16 * HOUR + 1e-3
        assert bool(flags) == (direction is ENTRY and last is ENTRY)
        last = direction
