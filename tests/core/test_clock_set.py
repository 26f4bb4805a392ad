"""What happens at a gate while its clock is set: order and ages are those of what happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.attendance import DirectionRule, Forgiven, Logged, in_order, last_of
from gated.core.gate import Gate
from gated.core.messages import (
    Command,
    LastPunches,
    Observation,
    RemotePassage,
    RemotePresence,
    Tick,
)
from gated.core.presence import Presence
from gated.core.values import Direction, Instant
from tests.core.policies import policy_with
from tests.core.scenes import ANN, CALIBRATION, SURE, decisions, face, gallery, records

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT
UTC, HOUR, DAY = 1.8e9, 3600.0, 86_400.0
leaps = st.floats(-400 * DAY, 400 * DAY)


@given(leaps, st.floats(0, 15 * HOUR))
def test_arrivals_do_not_become_exits_when_the_clock_is_set(by_s: float, later: float) -> None:
    rule = DirectionRule()
    rule.passed(1, ENTRY, Instant(0.0, UTC))
    rule.clock_set(by_s)
    for hours, way in ((later, EXIT), (17 * HOUR, ENTRY)):
        assert rule.next(1, Instant(hours, UTC + by_s + hours))[0] is way


@given(leaps, st.floats(1.0, 1e5))
def test_who_is_inside_stays_so_for_as_long_as_it_really_is(by_s: float, passed: float) -> None:
    presence = Presence()
    presence.passed(1, ENTRY, UTC)
    presence.learn({2: (ENTRY, UTC - 5)})
    presence.clock_set(by_s)
    now = UTC + by_s + passed
    assert presence.since(1) == pytest.approx(now - passed, abs=1e-3)
    assert presence.since(2) == UTC - 5, "what the log has told is no matter of this clock"
    assert presence.forgive(1, now) == 1
    presence.learn({3: (ENTRY, now)})
    assert presence.since(1) is None


@pytest.mark.parametrize("early", [0.0, 2.0])
def test_a_grant_that_was_not_used_leaves_what_the_log_has_told_where_it_was(early: float) -> None:
    """The clock is ten hours behind at the start; early: seconds after the grant it is set."""
    gate = Gate(policy_with(contact=True, direction=None), gallery(), CALIBRATION)
    gate.handle(LastPunches({ANN: (ENTRY, UTC - 7 * HOUR)}), Instant(0.0, UTC))
    commands = walk_up(gate, 1.0, UTC + 1.0)
    assert [d.direction for d in decisions(commands)] == [EXIT]
    set_at = 1.5 + early if early else 60.0
    commands = gate.handle(Tick(), Instant(set_at, UTC + 10 * HOUR + set_at))
    commands += gate.handle(Tick(), Instant(60.0, UTC + 10 * HOUR + 60.0))
    assert ("not_used", "info") in records(commands)
    commands = walk_up(gate, 100.0, UTC + 10 * HOUR + 100.0)
    assert [d.direction for d in decisions(commands)] == [ENTRY], "who came in 17 hours ago"


def walk_up(gate: Gate, mono: float, utc: float) -> list[Command]:
    """Ann is seen in three frames."""
    commands: list[Command] = []
    for n in range(3):
        now = Instant(mono + n / 10, utc + n / 10)
        track = int(mono)
        seen = Observation(n, now.mono - 0.05, 640, 480, (face({ANN: SURE}, track=track),))
        commands += gate.handle(seen, now)
    commands += gate.handle(Observation(9, now.mono, 640, 480, (), (track,)), now)
    return commands


@pytest.mark.parametrize("whom", [1, None])
def test_what_is_dated_ahead_is_forgiven_as_well(whom: int | None) -> None:
    presence = Presence()
    presence.passed(1, ENTRY, UTC + 2 * DAY)
    presence.apply_remote(RemotePresence({5: RemotePassage(1, ENTRY, UTC + 2 * DAY, "north")}), UTC)
    assert presence.since(5) == UTC, "nobody elsewhere enters tomorrow"
    presence.forgive(whom, UTC)
    presence.learn({9: (EXIT, UTC)})
    presence.put_back(1, presence.here[1])
    assert presence.since(1) is None
    presence.passed(1, ENTRY, UTC + 60)
    assert presence.since(1) == UTC + 60


def test_the_last_one_is_the_one_that_stands_last() -> None:
    wrong, right = Logged(ENTRY, UTC + DAY, (1, 5)), Logged(EXIT, UTC - 60)
    assert last_of([], UTC) is None
    assert last_of([wrong, right], UTC) == Logged(ENTRY, UTC, (1, 5))
    assert last_of([right], UTC) == right


@given(
    st.lists(
        st.tuples(st.sampled_from(["entry", "forgive", "all"]), st.integers(1, 3), leaps),
        max_size=12,
    )
)
def test_forgiving_follows_the_order_of_the_journal(told: list[tuple[str, int, float]]) -> None:
    last: dict[int, Logged] = {}
    words: list[Forgiven] = []
    inside: set[int] = set()
    for seq, (what, who, ahead) in enumerate(told, 1):
        if what == "entry":
            last[who] = Logged(ENTRY, UTC + ahead, (1, seq))
            inside.add(who)
        else:
            words.append(Forgiven(who if what == "forgive" else None, UTC + ahead, (1, seq)))
            inside = inside - {who} if what == "forgive" else set()
    clamped = {id_: found for id_, p in last.items() if (found := last_of([p], UTC)) is not None}
    punches, until = in_order(clamped, words, UTC)
    presence = Presence()
    presence.was_forgiven(until)
    presence.learn(punches)
    assert set(presence.inside) == inside
