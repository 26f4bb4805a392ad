from __future__ import annotations

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.messages import RemotePassage, RemotePresence
from gated.core.plan import AccessPlan, SiteRules
from gated.core.presence import Presence, forgiven_before
from gated.core.values import Direction

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT


def entered(since: dict[int, float]) -> Presence:
    presence = Presence()
    for person_id, utc in since.items():
        presence.passed(person_id, ENTRY, utc)
    return presence


def word(seq: int, direction: Direction | None, utc: float = 0.0) -> RemotePassage:
    return RemotePassage(seq, direction, utc, "north")


def test_who_entered_is_inside_until_the_exit() -> None:
    presence = Presence()
    assert presence.passed(1, ENTRY, 10.0) is None
    assert presence.since(1) == 10.0
    assert presence.passed(1, ENTRY, 20.0) == (ENTRY, 10.0)
    assert presence.passed(1, EXIT, 30.0) == (ENTRY, 20.0)
    assert presence.since(1) is None
    assert len(presence) == 0


def test_a_passage_that_was_not_made() -> None:
    presence = entered({1: 10.0, 2: 20.0})
    presence.put_back(1, presence.passed(1, EXIT, 30.0))
    presence.put_back(3, presence.passed(3, ENTRY, 30.0))
    assert presence.inside == {1: 10.0, 2: 20.0}
    assert presence.forgive_before(15.0) == 1, "who came first is still the first"


def test_what_the_log_knows() -> None:
    presence = entered({1: 10.0, 2: 20.0})
    presence.learn({1: (EXIT, 15.0), 2: (EXIT, 5.0), 3: (ENTRY, 12.0), 4: (EXIT, 1.0)})
    assert presence.inside == {3: 12.0, 2: 20.0}, "what is older than the entry is no news"


def test_a_corrected_log_takes_entries_back() -> None:
    presence = entered({1: 10.0, 2: 20.0, 3: 30.0})
    presence.learn({1: None, 2: (EXIT, 5.0), 3: None, 4: (ENTRY, 8.0)}, complete_to=25.0)
    assert presence.inside == {4: 8.0, 3: 30.0}, "the log may not yet know of the newest entry"


def test_forgiving_one_and_all() -> None:
    presence = entered({1: 10.0, 2: 20.0, 3: 30.0})
    assert [presence.forgive(1, 99.0), presence.forgive(1, 99.0)] == [1, 0]
    assert [presence.forgive(None, 99.0), presence.forgive(None, 99.0)] == [2, 0]


@pytest.mark.parametrize(
    ("now", "cutoff"),
    [
        ("2026-11-23 02:59", "2026-11-22 03:00"),
        ("2026-11-23 03:00", "2026-11-23 03:00"),
        ("2026-11-23 23:00", "2026-11-23 03:00"),
        # the clock is put forward from 02:00 to 03:00, and back from 03:00 to 02:00
        ("2026-03-29 04:00", "2026-03-29 03:00"),
        ("2026-10-25 04:00", "2026-10-25 03:00"),
    ],
)
def test_every_night(now: str, cutoff: str) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    rules = SiteRules(forgive_at=3 * 60, forgive_after_s=48 * 3600)
    at, wanted = (datetime.fromisoformat(t).replace(tzinfo=berlin) for t in (now, cutoff))
    assert forgiven_before(AccessPlan(berlin, rules=rules), at.timestamp()) == wanted.timestamp()


def test_a_set_time_after_the_entry() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    assert forgiven_before(AccessPlan(rules=SiteRules(forgive_after_s=60)), now) == now - 60


def test_passages_at_other_gates() -> None:
    presence = entered({1: 10.0, 2: 20.0})
    presence.apply_remote(
        RemotePresence({1: word(1, EXIT, 15.0), 2: word(2, EXIT, 5.0), 3: word(3, ENTRY, 12.0)}),
        50.0,
    )
    assert presence.inside == {3: 12.0, 2: 20.0}, "of each person the later passage holds"
    assert (presence.entered_at(3), presence.entered_at(2)) == ("north", "")
    presence.passed(3, EXIT, 30.0)
    presence.apply_remote(RemotePresence({3: word(4, None)}), 50.0)
    assert list(presence.inside) == [2]


def test_what_the_hub_takes_back() -> None:
    presence = entered({1: 10.0})
    presence.apply_remote(RemotePresence({1: word(5, EXIT, 15.0)}), 20.0)
    assert presence.since(1) is None
    presence.apply_remote(RemotePresence({1: word(6, None)}), 20.0)
    assert presence.since(1) == 10.0, "nobody went through there: what was before holds again"


def test_a_passage_here_follows_what_was_told_before() -> None:
    """The clock of the gate by which somebody entered is ahead of ours."""
    presence = Presence()
    presence.apply_remote(RemotePresence({1: word(1, ENTRY, 11.0)}), 10.0)
    presence.passed(1, EXIT, presence.follows(1, 10.5))
    assert presence.since(1) is None


def test_people_whom_this_gate_does_not_know() -> None:
    presence = entered({1: 10.0})
    presence.apply_remote(RemotePresence(others=3), 20.0)
    presence.apply_remote(RemotePresence({1: word(1, None)}), 30.0)
    assert len(presence) == 4
    assert presence.elsewhere_inside == 3
    assert presence.forgive_before(15.0) == 1
    assert len(presence) == 3
    presence.forgive_before(20.1)
    assert len(presence) == 0, "they entered before the hub spoke of them"


def test_a_report_in_parts_counts_once_all_of_it_is_there() -> None:
    presence = Presence()
    presence.apply_remote(RemotePresence({1: word(9, ENTRY, 10.0), 4: word(8, ENTRY, 11.0)}), 20.0)
    before = dict(presence.inside)
    parts = [RemotePresence({n: word(n, ENTRY, 10.0 + n)}, {}, 7, True, n, n < 2) for n in range(3)]
    for part in parts[:2]:
        presence.apply_remote(part, 20.0)
        assert presence.inside == before, "nobody counts as outside while parts are on their way"
    presence.apply_remote(parts[2], 20.0)
    assert presence.inside == {0: 10.0, 1: 11.0, 2: 12.0}
    assert presence.others == 7


def test_a_report_of_which_a_part_is_missing_changes_nothing() -> None:
    presence = Presence()
    presence.apply_remote(RemotePresence({4: word(8, ENTRY, 11.0)}), 20.0)
    parts = [
        RemotePresence({n: word(n, ENTRY, 10.0 + n)}, {}, None, True, n, n < 2) for n in range(3)
    ]
    for part in (parts[0], parts[2], parts[1], parts[2]):
        presence.apply_remote(part, 20.0)
    assert presence.inside == {4: 11.0}
    for part in (parts[0], *parts):
        presence.apply_remote(part, 20.0)
    assert presence.inside == {0: 10.0, 1: 11.0, 2: 12.0}, "a new one begins with its first part"


def test_the_whole_state_of_the_site() -> None:
    presence = Presence()
    presence.apply_remote(RemotePresence({1: word(9, ENTRY, 10.0), 2: word(8, ENTRY, 11.0)}), 20.0)
    presence.apply_remote(RemotePresence({2: word(2, ENTRY, 12.0)}, complete=True), 20.0)
    assert presence.inside == {2: 12.0}, "also that of a hub which counts anew"


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([*Direction, None]), st.floats(0, 100))),
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(Direction), st.floats(0, 100))),
    st.randoms(use_true_random=False),
)
def test_disorder_and_doubles_change_nothing(
    said: list[tuple[int, Direction | None, float]],
    here: list[tuple[int, Direction, float]],
    chance: random.Random,
) -> None:
    """The hub's words of some people among passages here, in the hub's order and in any other."""
    words = [{p: word(n, way, utc)} for n, (p, way, utc) in enumerate(said)]
    in_order, disordered = Presence(), Presence()
    for told in words:
        in_order.apply_remote(RemotePresence(told), 0.0)
    for passage in here:
        in_order.passed(*passage)
    late, passages = [*words, *words], list(here)
    chance.shuffle(late)
    while late or passages:
        if late and (not passages or chance.random() < 0.5):
            disordered.apply_remote(RemotePresence(late.pop()), 0.0)
        else:
            disordered.passed(*passages.pop(0))
    assert dict(disordered.inside) == dict(in_order.inside)
    assert list(disordered.inside.values()) == sorted(disordered.inside.values())


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from([*Direction, None]), st.floats(0, 100)),
        max_size=30,
    )
)
def test_nobody_is_lost(passages: list[tuple[int, Direction | None, float]]) -> None:
    """Inside is who entered last and did not leave, whatever is undone in between."""
    presence, last = Presence(), dict[int, Direction]()
    for person_id, direction, utc in passages:
        if direction is None:
            presence.put_back(person_id, presence.passed(person_id, ENTRY, utc))
        else:
            presence.passed(person_id, direction, utc)
            last[person_id] = direction
    assert set(presence.inside) == {p for p, direction in last.items() if direction is ENTRY}
