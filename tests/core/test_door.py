from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.door import DoorControl
from gated.core.model import Lock, Unlock


def test_locked_until_told_otherwise() -> None:
    door = DoorControl()
    assert not door.unlocked
    assert door.advance(1e9) == []


def test_an_unlock_ends_at_its_deadline() -> None:
    door = DoorControl()
    assert door.unlock(3.0, "visit 1", 10.0) == [Unlock(3.0, "visit 1")]
    assert door.advance(12.999) == []
    assert door.until == 13.0
    assert door.advance(13.0) == [Lock("deadline")]
    assert not door.unlocked
    assert door.advance(14.0) == []


def test_overlapping_unlocks_extend_and_never_stack() -> None:
    door = DoorControl()
    door.unlock(3.0, "visit 1", 10.0)
    assert door.unlock(3.0, "visit 2", 12.0) == [Unlock(3.0, "visit 2")]
    assert door.until == 15.0


def test_a_shorter_unlock_does_not_cut_a_longer_one() -> None:
    door = DoorControl()
    door.unlock(10.0, "remote", 0.0)
    assert door.unlock(3.0, "rex", 1.0) == [Unlock(9.0, "rex")]
    assert door.until == 10.0


def test_no_release_is_longer_than_the_longest() -> None:
    door = DoorControl(max_s=30.0)
    assert door.unlock(3600.0, "remote", 0.0) == [Unlock(30.0, "remote")]
    assert door.unlock(math.inf, "remote", 10.0) == [Unlock(30.0, "remote")]
    assert door.until == 40.0


@pytest.mark.parametrize("for_s", [0.0, -1.0, math.nan])
def test_a_duration_that_is_none_changes_nothing(for_s: float) -> None:
    door = DoorControl()
    assert door.unlock(for_s, "remote", 5.0) == []
    assert not door.unlocked


def test_time_may_begin_at_zero() -> None:
    door = DoorControl()
    door.unlock(3.0, "a", -3.0)
    assert door.unlocked
    door.unlock(1.0, "b", -2.0)
    assert door.until == 0.0
    assert door.advance(0.0) == [Lock("deadline")]


def test_lock_ends_a_release_at_once() -> None:
    door = DoorControl()
    door.unlock(3.0, "visit 1", 0.0)
    assert door.lock("shutdown") == [Lock("shutdown")]
    assert not door.unlocked


def test_fire_stays_until_it_is_cleared() -> None:
    door = DoorControl()
    door.unlock(3.0, "visit 1", 0.0)
    door.fire_alarm()
    assert door.unlocked
    assert door.advance(100.0) == []
    assert door.unlock(3.0, "rex", 100.0) == [Unlock(3.0, "rex")]
    assert door.advance(200.0) == []
    assert door.lock("operator") == []
    assert door.unlocked
    assert door.fire_cleared() == [Lock("fire cleared")]
    assert not door.unlocked


@given(
    st.floats(1.0, 60.0),
    st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.1, 90.0)), min_size=1, max_size=10),
)
def test_the_door_is_open_as_long_as_some_release_lasts_and_no_longer(
    longest: float, releases: list[tuple[float, float]]
) -> None:
    door, now, ends = DoorControl(longest), 1000.0, list[float]()
    for gap, for_s in releases:
        now += gap
        door.advance(now)
        (command,) = door.unlock(for_s, "x", now)
        ends.append(now + min(for_s, longest))
        assert isinstance(command, Unlock)
        assert command.for_s <= longest + 1e-9
        assert door.until == max(ends)
    assert door.advance(math.nextafter(max(ends), 0.0)) == []
    assert door.advance(max(ends)) == [Lock("deadline")]
