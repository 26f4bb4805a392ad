from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.door import (
    TABLE,
    DoorControl,
    DoorInput,
    DoorState,
    Rest,
    When,
    as_markdown,
)
from gated.core.messages import Command, Lock, RecordEvent, Unlock
from gated.core.values import DoorMode, Reason
from tests.core.policies import door_rules
from tests.core.scenes import at

DOCS = Path(__file__).parents[2] / "docs" / "door.md"


def grant(door: DoorControl, now: float, for_s: float = 3.0) -> list[Command]:
    return door.release(DoorInput.GRANT, for_s, "visit 1", at(now))


def rex(door: DoorControl, now: float) -> list[Command]:
    return door.release(DoorInput.REX, 3.0, "rex", at(now))


def state_of(door: DoorControl) -> DoorState:
    return door.state


def told(commands: list[Command]) -> list[tuple[str, str]]:
    return [(c.kind, c.severity) for c in commands if isinstance(c, RecordEvent)]


# --- the lease ------------------------------------------------------------------------------------


def test_locked_until_told_otherwise() -> None:
    door = DoorControl(door_rules())
    assert not door.unlocked
    assert door.deadline is None
    assert door.advance(at(1e9)) == []


def test_a_release_ends_at_its_deadline() -> None:
    door = DoorControl(door_rules())
    assert grant(door, 10.0) == [Unlock(3.0, "visit 1")]
    assert door.advance(at(12.999)) == []
    assert door.deadline == 13.0
    assert door.advance(at(13.0)) == [Lock("deadline")]
    assert state_of(door) is DoorState.LOCKED
    assert door.advance(at(14.0)) == []


def test_overlapping_releases_extend_and_never_stack() -> None:
    door = DoorControl(door_rules())
    grant(door, 10.0)
    assert grant(door, 12.0) == [Unlock(3.0, "visit 1")]
    assert door.until == 15.0


def test_a_shorter_release_does_not_cut_a_longer_one() -> None:
    door = DoorControl(door_rules())
    grant(door, 0.0, 10.0)
    assert rex(door, 1.0) == [Unlock(9.0, "rex")]
    assert door.until == 10.0


def test_no_release_is_longer_than_the_longest() -> None:
    door = DoorControl(door_rules(max_s=30.0))
    assert grant(door, 0.0, 3600.0) == [Unlock(30.0, "visit 1")]
    assert grant(door, 10.0, math.inf) == [Unlock(30.0, "visit 1")]
    assert door.until == 40.0


@pytest.mark.parametrize("for_s", [0.0, -1.0, math.nan])
def test_a_duration_that_is_none_changes_nothing(for_s: float) -> None:
    door = DoorControl(door_rules())
    assert grant(door, 5.0, for_s) == []
    assert not door.unlocked


def test_time_may_begin_at_zero() -> None:
    door = DoorControl(door_rules())
    grant(door, -3.0)
    assert door.unlocked
    grant(door, -2.0, 1.0)
    assert door.until == 0.0
    assert door.advance(at(0.0)) == [Lock("deadline")]


@given(
    st.floats(1.0, 60.0),
    st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.1, 90.0)), min_size=1, max_size=10),
)
def test_the_door_is_open_as_long_as_some_release_lasts_and_no_longer(
    longest: float, releases: list[tuple[float, float]]
) -> None:
    door, now, ends = DoorControl(door_rules(max_s=longest)), 1000.0, list[float]()
    for gap, for_s in releases:
        now += gap
        door.advance(at(now))
        (command,) = grant(door, now, for_s)
        ends.append(now + min(for_s, longest))
        assert isinstance(command, Unlock)
        assert command.for_s <= longest + 1e-9
        assert door.until == max(ends)
    assert door.advance(at(math.nextafter(max(ends), 0.0))) == []
    assert door.advance(at(max(ends))) == [Lock("deadline")]


# --- the leaf -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relock", "opened", "closed"),
    [
        ("close", [], [Lock("leaf closed")]),
        ("open", [Lock("leaf opened")], []),
        ("deadline", [], []),
    ],
)
def test_the_leaf_ends_a_release_early(
    relock: str, opened: list[Command], closed: list[Command]
) -> None:
    door = DoorControl(door_rules(relock=relock))
    grant(door, 0.0)
    assert door.leaf(True, at(1.0)) == opened
    assert state_of(door) is DoorState.OPEN
    assert door.leaf(False, at(2.0)) == closed
    assert door.unlocked == (relock == "deadline")


def test_who_is_let_in_while_the_leaf_is_open_is_not_shut_out_when_it_closes() -> None:
    door = DoorControl(door_rules())
    grant(door, 0.0)
    door.leaf(True, at(1.0))
    grant(door, 1.5)
    assert door.leaf(False, at(2.0)) == []
    assert state_of(door) is DoorState.UNLOCKED
    assert door.advance(at(4.5)) == [Lock("deadline")]


def test_a_leaf_that_opens_without_a_release_is_forced() -> None:
    door = DoorControl(door_rules())
    assert told(door.leaf(True, at(0.0))) == [("door_forced", "alarm")]
    assert state_of(door) is DoorState.FORCED
    assert door.leaf(False, at(1.0)) == []
    assert state_of(door) is DoorState.LOCKED


def test_who_pulls_at_the_very_end_of_a_release_forces_nothing() -> None:
    door = DoorControl(door_rules())
    grant(door, 0.0)
    door.advance(at(3.0))
    assert told(door.leaf(True, at(3.9))) == []
    assert state_of(door) is DoorState.OPEN
    door.leaf(False, at(5.0))
    assert told(door.leaf(True, at(6.0))) == [("door_forced", "alarm")]


def test_a_leaf_that_stands_open_at_the_start_is_watched_and_not_forced() -> None:
    door = DoorControl(door_rules())
    assert door.leaf(True, at(0.0), found=True) == []
    assert told(door.advance(at(20.0))) == [("door_held_warning", "warning")]


def test_a_leaf_held_open_is_warned_of_and_then_an_alarm() -> None:
    door = DoorControl(door_rules(held_open_s=30.0, held_warning_s=10.0))
    grant(door, 0.0)
    door.leaf(True, at(1.0))
    assert door.advance(at(3.0)) == [Lock("deadline")]
    assert door.deadline == 23.0  # counted from the end of the release
    assert told(door.advance(at(23.0))) == [("door_held_warning", "warning")]
    assert told(door.advance(at(33.0))) == [("door_held_open", "alarm")]
    assert told(door.advance(at(9999.0))) == []
    assert door.leaf(False, at(40.0)) == []
    assert state_of(door) is DoorState.LOCKED


def test_each_person_who_follows_begins_the_watch_anew() -> None:
    door = DoorControl(door_rules())
    grant(door, 0.0)
    door.leaf(True, at(1.0))
    door.advance(at(25.0))
    assert state_of(door) is DoorState.HELD_WARNING
    grant(door, 26.0)
    assert state_of(door) is DoorState.OPEN
    assert told(door.advance(at(48.9))) == []


def test_who_is_let_in_during_a_long_release_does_not_shorten_it_for_the_watch() -> None:
    door = DoorControl(door_rules(held_open_s=30.0, held_warning_s=10.0, max_s=120.0))
    door.release(DoorInput.OPERATOR, 60.0, "remote", at(0.0))
    door.leaf(True, at(1.0))
    grant(door, 5.0)
    assert told(door.advance(at(59.0))) == []
    assert told(door.advance(at(80.0))) == [("door_held_warning", "warning")]
    door.leaf(False, at(81.0))
    grant(door, 82.0)
    door.leaf(True, at(83.0))
    door.advance(at(85.0))
    assert door.deadline == 105.0, "the long release was over when the leaf was closed"


def test_a_late_tick_warns_and_alarms_in_this_order() -> None:
    door = DoorControl(door_rules())
    grant(door, 0.0)
    door.leaf(True, at(1.0))
    kinds = [kind for kind, _ in told(door.advance(at(500.0)))]
    assert kinds == ["door_held_warning", "door_held_open"]


# --- rebounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("relock", ["close", "open", "deadline"])
@pytest.mark.parametrize("closes", [2.0, 2.9, 3.5, 4.1, 6.0, 20.0, 50.0])
@pytest.mark.parametrize("input_", [DoorInput.GRANT, DoorInput.REX, DoorInput.OPERATOR])
def test_a_leaf_that_rebounds_after_a_passage_is_not_forced(
    input_: DoorInput, closes: float, relock: str
) -> None:
    door = DoorControl(door_rules(relock=relock))
    door.release(input_, 3.0, "visit 1", at(0.0))
    door.leaf(True, at(1.0))
    door.advance(at(closes))
    door.leaf(False, at(closes))
    for n in range(3):
        opens = closes + 0.3 + 0.35 * n
        assert told(door.leaf(True, at(opens))) == []
        door.leaf(False, at(opens + 0.15))
    ends = max(closes + 1.15, 3.0)
    door.advance(at(ends))
    assert told(door.leaf(True, at(ends + 1.01))) == [("door_forced", "alarm")]


def test_a_leaf_that_was_forced_is_forced_again_when_it_rebounds() -> None:
    door = DoorControl(door_rules())
    door.leaf(True, at(0.0))
    door.leaf(False, at(2.0))
    assert told(door.leaf(True, at(2.2))) == [("door_forced", "alarm")]


def test_a_rebound_does_not_begin_the_watch_of_a_held_door_anew() -> None:
    door = DoorControl(door_rules(held_open_s=30.0, held_warning_s=10.0))
    grant(door, 0.0)
    door.leaf(True, at(1.0))
    door.advance(at(3.0))
    alarms: list[tuple[str, str]] = []
    for n in range(1, 60):
        # somebody shuts it for half a second again and again
        alarms += told(door.advance(at(float(n + 3))))
        alarms += told(door.leaf(False, at(n + 3.2)))
        alarms += told(door.leaf(True, at(n + 3.7)))
    assert alarms == [("door_held_warning", "warning"), ("door_held_open", "alarm")]
    assert state_of(door) is DoorState.HELD_OPEN


def test_who_is_let_in_between_closing_and_rebound_is_not_shut_out() -> None:
    door = DoorControl(door_rules())
    grant(door, 0.0)
    door.leaf(True, at(1.0))
    door.leaf(False, at(2.0))
    grant(door, 2.1)
    door.leaf(True, at(2.3))
    assert door.leaf(False, at(2.4)) == []
    door.leaf(True, at(2.7))
    assert door.leaf(False, at(2.8)) == [], "the second rebound is one as well"
    assert door.unlocked
    door.leaf(True, at(4.0))
    assert door.leaf(False, at(4.9)) == [Lock("leaf closed")]


@pytest.mark.parametrize("mode", [DoorMode.FREE_ACCESS, DoorMode.OUT_OF_SERVICE])
def test_a_rebound_across_the_end_of_a_mode_is_not_forced(mode: DoorMode) -> None:
    door = DoorControl(door_rules())
    door.set_mode(mode, at(0.0))
    door.leaf(True, at(5.0))
    door.leaf(False, at(10.0))
    door.set_mode(DoorMode.NORMAL, at(10.2))
    assert told(door.leaf(True, at(10.5))) == []


def test_who_pulls_when_the_fire_release_ends_forces_nothing() -> None:
    door = DoorControl(door_rules())
    door.take(DoorInput.FIRE, at(0.0))
    door.take(DoorInput.FIRE_CLEARED, at(60.0))
    assert told(door.leaf(True, at(60.5))) == []


@given(
    st.floats(1.1, 60.0),
    st.lists(st.tuples(st.floats(0.02, 0.9), st.floats(0.02, 0.45)), max_size=8),
    st.floats(1.0, 50.0),
    st.sampled_from(["close", "open", "deadline"]),
)
def test_only_what_opens_later_than_the_grace_after_a_closing_is_forced(
    closes: float, rebounds: list[tuple[float, float]], later: float, relock: str
) -> None:
    door = DoorControl(door_rules(relock=relock, held_open_s=3600.0))
    grant(door, 0.0)
    door.leaf(True, at(1.0))
    now, alarms = closes, list[tuple[str, str]]()
    door.advance(at(now))
    door.leaf(False, at(now))
    for gap, for_s in rebounds:
        door.advance(at(now + gap))
        alarms += told(door.leaf(True, at(now + gap)))
        now += gap + for_s
        alarms += told(door.leaf(False, at(now)))
    assert alarms == []
    assert not door.unlocked or now <= 3.0
    ends = max(now, 3.0)
    door.advance(at(ends))
    assert told(door.leaf(True, at(ends + later + 1e-6))) == [("door_forced", "alarm")]


# --- modes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [DoorMode.LOCKDOWN, DoorMode.OUT_OF_SERVICE])
def test_nobody_is_let_in_but_everybody_out(mode: DoorMode) -> None:
    door = DoorControl(door_rules())
    grant(door, 0.0)
    assert door.set_mode(mode, at(1.0))[0] == Lock(f"mode {str(mode).replace('_', ' ')}")
    assert grant(door, 1.5) == []
    assert door.release(DoorInput.OPERATOR, 3.0, "remote", at(1.5)) == []
    assert door.refusal() == Reason(str(mode))
    assert rex(door, 2.0) == [Unlock(3.0, "rex")]
    assert grant(door, 2.5) == []
    assert door.advance(at(5.0)) == [Lock("deadline")]
    assert state_of(door) == str(mode)


def test_lockdown_does_not_cut_short_who_is_on_the_way_out() -> None:
    door = DoorControl(door_rules())
    rex(door, 0.0)
    grant(door, 2.0)
    assert door.set_mode(DoorMode.LOCKDOWN, at(2.5)) == []
    assert door.until == 3.0, "what was granted to others ends with the exit"
    assert door.advance(at(3.0)) == [Lock("deadline")]


def test_free_access_is_a_lease_that_is_renewed() -> None:
    door = DoorControl(door_rules(max_s=30.0))
    assert door.set_mode(DoorMode.FREE_ACCESS, at(0.0)) == [Unlock(30.0, "free access")]
    for n in range(1, 10):
        assert door.deadline == 15.0 * n
        assert door.advance(at(15.0 * n)) == [Unlock(30.0, "free access")]
    assert door.leaf(True, at(140.0)) == []
    assert told(door.advance(at(1000.0))) == []
    assert door.set_mode(DoorMode.NORMAL, at(1001.0)) == [Lock("mode normal")]
    assert state_of(door) is DoorState.OPEN, "it is still open, and watched from now on"


def test_out_of_service_the_leaf_is_nobodys_business() -> None:
    door = DoorControl(door_rules())
    door.set_mode(DoorMode.OUT_OF_SERVICE, at(0.0))
    assert door.leaf(True, at(1.0)) == []
    assert door.advance(at(1000.0)) == []


# --- mantrap and fire -----------------------------------------------------------------------------


def test_while_the_other_door_is_open_nobody_gets_in_but_out() -> None:
    door = DoorControl(door_rules())
    door.other_door(True, at(0.0))
    assert door.refusal() is Reason.INTERLOCK
    assert grant(door, 0.0) == []
    assert rex(door, 1.0) == [Unlock(3.0, "rex")]
    door.other_door(False, at(5.0))
    door.advance(at(5.0))
    assert grant(door, 6.0) == [Unlock(3.0, "visit 1")]
    assert door.other_door(True, at(7.0)) == [Lock("other door opened")]


def test_fire_ends_every_lease_without_a_lock_until_it_is_cleared() -> None:
    door = DoorControl(door_rules())
    grant(door, 0.0)
    assert door.take(DoorInput.FIRE, at(1.0)) == []
    assert door.unlocked
    assert door.advance(at(100.0)) == []
    assert door.set_mode(DoorMode.LOCKDOWN, at(101.0)) == []
    assert rex(door, 102.0) == [Unlock(3.0, "rex")]
    assert door.take(DoorInput.FIRE_CLEARED, at(200.0)) == [Lock("fire cleared")]
    assert state_of(door) is DoorState.LOCKDOWN


# --- the table ------------------------------------------------------------------------------------


def door_in(state: DoorState) -> DoorControl:
    """A door in this state, with all that belongs to it."""
    door = DoorControl(door_rules())
    match state:
        case DoorState.UNLOCKED:
            grant(door, 0.0)
        case DoorState.OPEN | DoorState.HELD_WARNING | DoorState.HELD_OPEN:
            grant(door, 0.0)
            door.leaf(True, at(0.5))
            waits = {DoorState.OPEN: 0.6, DoorState.HELD_WARNING: 25.0, DoorState.HELD_OPEN: 99.0}
            door.advance(at(waits[state]))
        case DoorState.FORCED:
            door.leaf(True, at(0.0))
        case DoorState.FREE | DoorState.LOCKDOWN | DoorState.OUT_OF_SERVICE:
            door.set_mode(DoorMode(str(state)), at(0.0))
        case DoorState.FIRE:
            door.take(DoorInput.FIRE, at(0.0))
    assert state_of(door) is state
    return door


@pytest.mark.parametrize(("state", "input_"), list(product(DoorState, DoorInput)))
def test_what_the_table_does_not_list_changes_nothing(state: DoorState, input_: DoorInput) -> None:
    door = door_in(state)
    before = str(door)
    commands = door.take(input_, at(100.0))
    if not any(r.input is input_ and state in r.states for r in TABLE):
        assert commands == []
        assert str(door) == before


def test_no_row_hides_another_one() -> None:
    seen = set[tuple[DoorState, DoorInput]]()
    for row in TABLE:
        for state in row.states:
            assert (state, row.input) not in seen, f"{state} on {row.input} is never reached"
            if row.when is When.ALWAYS:
                seen.add((state, row.input))


def test_only_the_way_out_and_the_fire_ask_for_nothing() -> None:
    """What lets somebody in names its condition, in every state."""
    for row in TABLE:
        if row.input in {DoorInput.GRANT, DoorInput.OPERATOR}:
            assert row.when is When.ADMITTED or row.states == (DoorState.FIRE,)
        if row.input in {DoorInput.REX, DoorInput.FIRE}:
            assert row.when is When.ALWAYS
    for input_ in (DoorInput.REX, DoorInput.FIRE):
        covered = {s for r in TABLE if r.input is input_ for s in r.states}
        assert covered >= set(DoorState) - {DoorState.FIRE}


def test_every_state_can_be_reached_and_left() -> None:
    for state in DoorState:
        assert state_of(door_in(state)) is state
        assert any(state in r.states and r.next is not Rest.STAY for r in TABLE)


def test_the_docs_print_the_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    printed = text.split("<!-- table -->\n")[1].split("<!-- end of table -->")[0]
    assert printed == as_markdown()
